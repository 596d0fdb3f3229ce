/*-------------------------------------------------------------------------
 *
 * waiters.c
 *	  Sessions that sleep until something happens to their topics.
 *
 * See waiters.h for the protocol.  No locks: a slot is written by its own
 * process alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "cache/waiters.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"

typedef struct WaiterSlot
{
	pg_atomic_uint32 active;
	TopicBits	bits;			/* written by the waiter before active */
} WaiterSlot;

/* The cache where this process is registered, for its exit. */
static Cache *registered_in = NULL;

static inline WaiterSlot *
waiter_slots(Cache *cache)
{
	return (WaiterSlot *) ((char *) cache + cache->waiters_offset);
}

Size
chatroom_waiters_bytes(uint32 nwaiters)
{
	return (Size) nwaiters * sizeof(WaiterSlot);
}

void
chatroom_waiters_init(Cache *cache)
{
	WaiterSlot *slots = waiter_slots(cache);

	for (uint32 i = 0; i < cache->nwaiters; i++)
		pg_atomic_init_u32(&slots[i].active, 0);
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
	WaiterSlot *slot = &waiter_slots(cache)[ChatroomMyProcNumber()];

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
	slot->bits = *bits;
	pg_write_barrier();
	pg_atomic_write_u32(&slot->active, 1);
	pg_memory_barrier();
	return true;
}

/* Give it back, if it was taken. */
void
chatroom_waiter_unregister(void)
{
	WaiterSlot *slot;

	if (registered_in == NULL)
		return;
	slot = &waiter_slots(registered_in)[ChatroomMyProcNumber()];
	pg_atomic_write_u32(&slot->active, 0);
	pg_atomic_fetch_sub_u32(&registered_in->waiting, 1);
	registered_in = NULL;
}

/* Wake those who wait for any of the topics published. */
void
chatroom_waiters_wake(Cache *cache, const TopicBits *published)
{
	WaiterSlot *slots = waiter_slots(cache);
	uint32		left;

	pg_memory_barrier();
	left = pg_atomic_read_u32(&cache->waiting);
	for (uint32 i = 0; i < cache->nwaiters && left > 0; i++)
	{
		uint64		common = 0;

		if (pg_atomic_read_u32(&slots[i].active) == 0)
			continue;
		pg_read_barrier();
		left--;
		for (int word = 0; word < WAITER_WORDS; word++)
			common |= slots[i].bits.words[word] & published->words[word];
		if (common != 0)
			SetLatch(&ProcGlobal->allProcs[i].procLatch);
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
