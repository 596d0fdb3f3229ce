/*-------------------------------------------------------------------------
 *
 * repo.h
 *	  Writing changesets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_REPO_H
#define CHATROOM_REPO_H

#include "postgres.h"

#include "write/changeset.h"

/* What an insert does where the row is there already. */
typedef struct Conflict Conflict;

/*
 * Insert a row with a key (NULL: without one) that is given beside attributes,
 * whether it is permitted there or not.
 */
extern Changeset *chatroom_insert_keyed(Oid relid, Jsonb *key, Jsonb *attrs,
										Jsonb *on_conflict,
										const Permitted *permitted);

/*
 * Insert, update or delete; NULL conflict: none.  The answer is a changeset:
 * if it is valid all is written, otherwise nothing is.  SPI is connected.
 */
extern Changeset *chatroom_insert_row(Oid relid, Jsonb *attrs,
									  Jsonb *on_conflict,
									  const Permitted *permitted);
extern Changeset *chatroom_update_row(Oid relid, Jsonb *key, Jsonb *attrs,
									  const Permitted *permitted);
/* The version of a row that attributes give; false: they don't. */
extern bool chatroom_given_version(Oid relid, Jsonb *attrs, int64 *version);

extern Changeset *chatroom_delete_row(Oid relid, Jsonb *key,
									  const int64 *version);

/* The row that a valid changeset became, with the associations written. */
extern Jsonb *chatroom_result_row(const Changeset *changeset);

#endif							/* CHATROOM_REPO_H */
