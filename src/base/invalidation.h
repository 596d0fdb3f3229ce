/*-------------------------------------------------------------------------
 *
 * invalidation.h
 *	  Being told when the catalog has changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_INVALIDATION_H
#define CHATROOM_INVALIDATION_H

#include "postgres.h"

#include "utils/syscache.h"

/*
 * What to do when a relation has changed; InvalidOid: perhaps any, or what is
 * in a catalog cache.  Runs in odd moments, and may not fail.
 */
typedef void (*InvalidationCallback) (Oid relid);

/*
 * Have it called for each relation that changes, or with InvalidOid whenever
 * a catalog cache has.  Once is enough in a process; more often is no harm.
 */
extern void chatroom_on_relation_change(InvalidationCallback callback);
extern void chatroom_on_catalog_change(int cacheid,
									   InvalidationCallback callback);

#endif							/* CHATROOM_INVALIDATION_H */
