/*-------------------------------------------------------------------------
 *
 * distributed.h
 *	  Tables whose rows Citus keeps elsewhere.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_DISTRIBUTED_H
#define CHATROOM_DISTRIBUTED_H

#include "postgres.h"

/* Is a table one of Citus'?  Reads its catalog: keep the answer. */
extern bool chatroom_is_distributed(Oid relid);

/* 0A000 for such a table: where it is known to be one, or may be one. */
extern void chatroom_no_distributed(Oid relid);
extern void chatroom_refuse_distributed(Oid relid);

#endif							/* CHATROOM_DISTRIBUTED_H */
