/*-------------------------------------------------------------------------
 *
 * waiters.h
 *	  Sessions that sleep until something happens to their topics.
 *
 * A waiter's slot is that of its process, so that a process that dies leaves
 * nothing that another would trip over.  It holds a bitmap of the topics'
 * hashes; the tailer gathers one of what it published and wakes those that
 * intersect.  A collision wakes a session for nothing: it looks and sleeps.
 * One more bitmap says whose slots are in use.
 *
 * Protocol: the waiter fills its slot, sets its bit, which is a barrier, looks
 * at the cache, and sleeps; the tailer publishes, issues a barrier, and looks
 * at the bits.  One of both sees the other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_WAITERS_H
#define CHATROOM_WAITERS_H

#include "postgres.h"

#include "cache/ring.h"

#define WAITER_WORDS	16		/* of 64 bits */

typedef struct TopicBits
{
	uint64		words[WAITER_WORDS];
} TopicBits;

extern Size chatroom_waiters_bytes(uint32 nwaiters);
extern void chatroom_waiters_init(Cache *cache);

static inline void
topic_bits_add(TopicBits *bits, uint64 hash)
{
	uint32		bit = hash % (WAITER_WORDS * 64);

	bits->words[bit / 64] |= UINT64CONST(1) << (bit % 64);
}

/* The waiting session. */
extern bool chatroom_waiter_register(Cache *cache, const TopicBits *bits,
									 uint32 limit);
extern void chatroom_waiter_unregister(void);

/* The tailer. */
extern void chatroom_waiters_wake(Cache *cache, const TopicBits *published);
extern void chatroom_waiters_wake_all(Cache *cache);

#endif							/* CHATROOM_WAITERS_H */
