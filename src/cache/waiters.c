/*-------------------------------------------------------------------------
 *
 * waiters.c
 *	  Sessions that sleep until something happens to their topics.
 *
 * See waiters.h for the protocol.  No locks: a slot and its bit are written by
 * their own process alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "cache/waiters.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"

/* The cache where this process is registered, for its exit. */
static Cache *registered_in = NULL;

/* Which processes wait: one bit each. */
static inline pg_atomic_uint64 *
active_words(Cache *cache)
{
	return (pg_atomic_uint64 *) ((char *) cache + cache->waiters_offset);
}

static inline uint32
active_count(uint32 nwaiters)
{
	return (nwaiters + 63) / 64;
}

/* What for; written by the waiter, before its bit is set. */
static inline TopicBits *
waiter_bits(Cache *cache)
{
	return (TopicBits *) (active_words(cache) + active_count(cache->nwaiters));
}

Size
chatroom_waiters_bytes(uint32 nwaiters)
{
	return (Size) nwaiters * sizeof(TopicBits) +
		active_count(nwaiters) * sizeof(pg_atomic_uint64);
}

void
chatroom_waiters_init(Cache *cache)
{
	for (uint32 i = 0; i < active_count(cache->nwaiters); i++)
		pg_atomic_init_u64(&active_words(cache)[i], 0);
}

/* At exit, also by FATAL: leave no slot behind. */
static void
unregister_at_exit(int code, Datum arg)
{
	chatroom_waiter_unregister();
}

/* Take this process's slot; false where limit are waiting already. */
bool
chatroom_waiter_register(Cache *cache, const TopicBits *bits, uint32 limit)
{
	static bool exit_registered = false;
	uint32		me = ChatroomMyProcNumber();

	if (pg_atomic_fetch_add_u32(&cache->waiting, 1) >= limit)
	{
		pg_atomic_fetch_sub_u32(&cache->waiting, 1);
		return false;
	}
	if (!exit_registered)
	{
		before_shmem_exit(unregister_at_exit, (Datum) 0);
		exit_registered = true;
	}
	registered_in = cache;
	waiter_bits(cache)[me] = *bits;
	/* a barrier, for what was written before and what is read after */
	pg_atomic_fetch_or_u64(&active_words(cache)[me / 64],
						   UINT64CONST(1) << (me % 64));
	return true;
}

/* Give it back, if it was taken. */
void
chatroom_waiter_unregister(void)
{
	uint32		me = ChatroomMyProcNumber();

	if (registered_in == NULL)
		return;
	pg_atomic_fetch_and_u64(&active_words(registered_in)[me / 64],
							~(UINT64CONST(1) << (me % 64)));
	pg_atomic_fetch_sub_u32(&registered_in->waiting, 1);
	registered_in = NULL;
}

/*
 * Wake those who wait for any of the topics published.  All words are looked
 * at: a count of those who wait, read before, would be used up by others who
 * register meanwhile, and who waits since long would be passed over.
 */
void
chatroom_waiters_wake(Cache *cache, const TopicBits *published)
{
	const TopicBits *bits = waiter_bits(cache);

	pg_memory_barrier();
	for (uint32 i = 0; i < active_count(cache->nwaiters); i++)
	{
		uint64		active = pg_atomic_read_u64(&active_words(cache)[i]);

		if (active == 0)
			continue;
		pg_read_barrier();
		for (; active != 0; active &= active - 1)
		{
			uint32		waiter = i * 64 + pg_rightmost_one_pos64(active);
			uint64		common = 0;

			for (int word = 0; word < WAITER_WORDS; word++)
				common |= bits[waiter].words[word] & published->words[word];
			if (common != 0)
				SetLatch(&ProcGlobal->allProcs[waiter].procLatch);
		}
	}
}

/* Wake everybody: something happened that is no topic's. */
void
chatroom_waiters_wake_all(Cache *cache)
{
	TopicBits	all;

	memset(&all, 0xff, sizeof(all));
	chatroom_waiters_wake(cache, &all);
}
