/*-------------------------------------------------------------------------
 *
 * interest.h
 *	  Topics for which someone wants a NOTIFY.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_INTEREST_H
#define CHATROOM_INTEREST_H

#include "postgres.h"

#include "cache/ring.h"

extern Size chatroom_interest_bytes(uint32 ninterests);
extern void chatroom_interest_init(Cache *cache);

/*
 * The tailer, after an event of a topic was published: true where someone is
 * interested, so that the notifier has to be woken.
 */
extern bool chatroom_interest_published(Cache *cache, uint64 hash,
										XLogRecPtr lsn);

#endif							/* CHATROOM_INTEREST_H */
