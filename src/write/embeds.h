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

/* Cast a value of such a column, as Ecto's cast_embed. */
extern void chatroom_cast_embed(Changeset *changeset, TableColumn *column,
								const Rule *rule, const JsonbValue *value);

#endif							/* CHATROOM_EMBEDS_H */
