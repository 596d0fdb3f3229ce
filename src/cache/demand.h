/*-------------------------------------------------------------------------
 *
 * demand.h
 *	  Having a cache when one is needed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_DEMAND_H
#define CHATROOM_DEMAND_H

#include "postgres.h"

#include "cache/ring.h"

/*
 * Make sure that there is a worker and a cache, starting them on first use;
 * NULL where they can't be had (sync then answers reset).
 */
extern Cache *chatroom_need_cache(void);

/*
 * The same for those who want what is there, and not what is newest: while the
 * worker is away for a moment, or reads what it missed, they don't wait.  What
 * the cache tells is true all the time, and nothing behind it is missed.
 */
extern Cache *chatroom_cache_at_hand(void);

/* A cache as chatroom_need_cache() has it; else raises 55000 or 53000. */
extern Cache *chatroom_require_cache(void);

/*
 * Wait until the tailer has published all that stands in WAL up to a place in
 * this database, at most timeout ms; false where it has not.
 */
extern bool chatroom_wait_published(Cache *cache, XLogRecPtr target,
									long timeout_ms);

#endif							/* CHATROOM_DEMAND_H */
