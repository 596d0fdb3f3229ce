/*-------------------------------------------------------------------------
 *
 * demand.c
 *	  Having a cache when one is needed.
 *
 * The worker, and a database's cache, are there from their first use on: who
 * needs them asks for them here, and waits a while.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/launch.h"
#include "base/memory.h"
#include "cache/demand.h"
#include "miscadmin.h"
#include "storage/ipc.h"

/* How long the first use waits for a worker and a cache, in ms. */
#define START_TIMEOUT	5000

/* How long a worker may be away before readers are told, in ms. */
#define AWAY_TIMEOUT	10000

/* Ask for a cache of this database; false where there is no place. */
static bool
want_cache(void)
{
	int			free_slot = -1;
	int			mine = -1;
	bool		possible;

	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	for (int i = 0; i < chatroom_control->ndatabases && mine < 0; i++)
	{
		DatabaseSlot *slot = &chatroom_control->databases[i];

		if (slot->dboid == MyDatabaseId)
			mine = i;
		else if (!OidIsValid(slot->dboid) && free_slot < 0)
			free_slot = i;
	}
	if (mine < 0 && free_slot >= 0)
	{
		DatabaseSlot *slot = &chatroom_control->databases[free_slot];

		mine = free_slot;
		slot->dboid = MyDatabaseId;
		slot->handle = DSM_HANDLE_INVALID;
		slot->failed = false;
		slot->want_notifier = false;
		slot->notifier_pid = 0;
	}
	if (mine >= 0)
		chatroom_control->databases[mine].wanted = true;
	/* one that could not be made is tried again, but not waited for */
	possible = mine >= 0 && !chatroom_control->databases[mine].failed;
	LWLockRelease(&chatroom_control->lock);
	if (possible)
		chatroom_wake_tailer();
	return possible;
}

/* This database's cache, with a worker that fills it; see demand.h. */
Cache *
chatroom_need_cache(void)
{
	Cache	   *cache;
	uint64		start;

	chatroom_attach_control();
	if (chatroom_tailer_running() && (cache = chatroom_my_cache()) != NULL)
		return cache;

	start = chatroom_monotonic_us();
	if (!chatroom_ensure_tailer(START_TIMEOUT))
	{
		/* rebuilding for long: what is there already may be read */
		if (pg_atomic_read_u32(&chatroom_control->tailer_state) ==
			TAILER_REBUILDING)
			return chatroom_my_cache();
		return NULL;
	}
	while ((cache = chatroom_my_cache()) == NULL)
	{
		if (!want_cache() || chatroom_elapsed_ms(start) > START_TIMEOUT)
			return NULL;
		chatroom_nap(2);
	}
	return cache;
}

/* The cache, without waiting for a worker that comes back; see demand.h. */
Cache *
chatroom_cache_at_hand(void)
{
	Cache	   *cache;
	uint64		ended_at;

	chatroom_attach_control();
	if (chatroom_tailer_running())
		return chatroom_need_cache();

	/* asks for a worker, but doesn't wait for it */
	(void) chatroom_ensure_tailer(0);
	cache = chatroom_control->stopped ? NULL : chatroom_my_cache();
	ended_at = pg_atomic_read_u64(&chatroom_control->ended_at);

	/* one that has been away for long may not come back: that is told */
	if (cache != NULL &&
		(pg_atomic_read_u32(&chatroom_control->tailer_state) ==
		 TAILER_REBUILDING || chatroom_elapsed_ms(ended_at) < AWAY_TIMEOUT))
		return cache;
	return chatroom_need_cache();
}

/* The same; an error where it can't be had. */
Cache *
chatroom_require_cache(void)
{
	Cache	   *cache = chatroom_need_cache();

	if (cache != NULL)
		return cache;
	if (chatroom_control->stopped)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("chatroom was stopped"),
				 errhint("chatroom.start() starts it again.")));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("chatroom's worker is not available"),
			 errhint("Look into the server's log, and at "
					 "max_worker_processes and chatroom.cache_size.")));
}

/* Wait until all of WAL up to a place is published; see demand.h. */
bool
chatroom_wait_published(Cache *cache, XLogRecPtr target, long timeout_ms)
{
	uint64		wanted;
	uint64		start;

	if (pg_atomic_read_u64(&cache->published) >= target)
		return true;
	start = chatroom_monotonic_us();
	wanted = pg_atomic_read_u64(&chatroom_control->flush_wanted);
	while (wanted < target && !RecoveryInProgress() &&
		   !pg_atomic_compare_exchange_u64(&chatroom_control->flush_wanted,
										   &wanted, target))
		;
	while (pg_atomic_read_u64(&cache->published) < target)
	{
		if (chatroom_elapsed_ms(start) > timeout_ms)
			return false;
		chatroom_wake_tailer();
		chatroom_nap(1);
	}
	return true;
}
