/*-------------------------------------------------------------------------
 *
 * embeds.h
 *	  Objects in a jsonb column that a rule "embed" is for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_EMBEDS_H
#define CHATROOM_EMBEDS_H

#include "postgres.h"

#include "write/changeset.h"

/*
 * Cast a value of such a column, as Ecto's cast_embed; part: only those
 * members of its objects that are permitted there, NULL: all.
 */
extern void chatroom_cast_embed(Changeset *changeset, TableColumn *column,
								const Rule *rule, const JsonbValue *value,
								const PermittedLevel *part);

#endif							/* CHATROOM_EMBEDS_H */
