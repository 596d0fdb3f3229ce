/*-------------------------------------------------------------------------
 *
 * preload.h
 *	  Rows with what belongs to them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_PRELOAD_H
#define CHATROOM_PRELOAD_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/*
 * Load paths of associations for an object or list of objects.  Checked: the
 * caller has seen to it that they show what a user may see whom it acts for.
 */
extern Jsonb *chatroom_preload_value(Jsonb *value, Oid relid, List *paths,
									 bool read_only, bool checked);

#endif							/* CHATROOM_PRELOAD_H */
