/*-------------------------------------------------------------------------
 *
 * assocs.h
 *	  Associations of tables that changesets and preloads use.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_ASSOCS_H
#define CHATROOM_ASSOCS_H

#include "postgres.h"

#include "base/assoc.h"
#include "write/table.h"

/*
 * An association of a table by its name; missing_ok: NULL if there is none.
 * It lives as long as the table's entry.
 */
extern Assoc *chatroom_table_assoc(TableInfo *table, const char *name,
								   bool missing_ok);

/* Has it one row on the other side, or many? */
extern bool chatroom_is_to_one(const Assoc *assoc);

#endif							/* CHATROOM_ASSOCS_H */
