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

/* The same; raises 55000 or 53000 where they can't be had. */
extern Cache *chatroom_require_cache(void);

#endif							/* CHATROOM_DEMAND_H */
