/*-------------------------------------------------------------------------
 *
 * launch.c
 *	  Having the workers started.
 *
 * Preloaded, the postmaster starts it with the server; otherwise the first
 * backend that reads does, as a dynamic worker.  The control struct says
 * whether somebody has asked already; should two ask all the same (after a
 * crash restart, which workers survive that were not stopped, and shared
 * memory doesn't; or while the server starts its own), the second tailer to
 * come leaves again.
 *
 * A notifier is started by the session that registers the first interest in
 * its database, so that it learns at once where there is no slot for it; after
 * that the tailer does (worker/notifier.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/launch.h"
#include "base/memory.h"
#include "base/settings.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"

/* Fill in what the postmaster needs to know. */
static void
describe_worker(BackgroundWorker *worker)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_ConsistentState;
	worker->bgw_restart_time = 1;
	snprintf(worker->bgw_library_name, BGW_MAXLEN, "chatroom");
	snprintf(worker->bgw_function_name, BGW_MAXLEN, "chatroom_tailer_main");
	snprintf(worker->bgw_name, BGW_MAXLEN, "chatroom tailer");
	snprintf(worker->bgw_type, BGW_MAXLEN, "chatroom tailer");
}

/* Have the postmaster start the tailer with the server. */
void
chatroom_register_boot_tailer(void)
{
	BackgroundWorker worker;

	describe_worker(&worker);
	RegisterBackgroundWorker(&worker);
}

/* Ask the postmaster for a tailer, unless somebody has; false: no slot. */
static bool
register_tailer(void)
{
	BackgroundWorker worker;
	bool		registered;

	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	registered = chatroom_control->tailer_registered;
	chatroom_control->tailer_registered = true;
	LWLockRelease(&chatroom_control->lock);
	if (registered)
		return true;

	describe_worker(&worker);
	registered = RegisterDynamicBackgroundWorker(&worker, NULL);
	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	chatroom_control->refused = !registered;
	if (!registered)
		chatroom_control->tailer_registered = false;
	LWLockRelease(&chatroom_control->lock);
	/* the server's own may be about to come */
	return registered || chatroom_preloaded;
}

bool
chatroom_tailer_running(void)
{
	return pg_atomic_read_u32(&chatroom_control->tailer_state) ==
		TAILER_RUNNING;
}

/* Make sure that the tailer runs; see launch.h. */
bool
chatroom_ensure_tailer(long timeout_ms)
{
	uint64		start;

	if (chatroom_tailer_running())
		return true;
	start = chatroom_monotonic_us();
	for (;;)
	{
		if (chatroom_tailer_running())
			return true;
		if (chatroom_control->stopped || !register_tailer())
			return false;
		if (chatroom_elapsed_ms(start) >= timeout_ms)
			return false;
		chatroom_nap(2);
	}
}

/*
 * Claim the asking for a database's notifier; -1: it is there, or was asked
 * for.  Most calls find it there, and need no more than a shared lock.
 */
static int
claim_notifier(Oid dboid, LWLockMode mode)
{
	int			claimed = -1;

	LWLockAcquire(&chatroom_control->lock, mode);
	for (int i = 0; i < chatroom_control->ndatabases; i++)
	{
		DatabaseSlot *slot = &chatroom_control->databases[i];

		if (slot->dboid != dboid)
			continue;
		if (slot->want_notifier && slot->notifier_pid != 0)
			break;
		claimed = i;
		if (mode == LW_SHARED)
			break;
		slot->want_notifier = true;
		if (slot->notifier_pid != 0)
			claimed = -1;
		else
			slot->notifier_pid = NOTIFIER_ASKED_FOR;
		break;
	}
	LWLockRelease(&chatroom_control->lock);
	return claimed;
}

/* Ask the postmaster for a database's notifier; see launch.h. */
bool
chatroom_launch_notifier(Oid dboid)
{
	BackgroundWorker worker;
	int			slot;

	if (claim_notifier(dboid, LW_SHARED) < 0)
		return true;
	slot = claim_notifier(dboid, LW_EXCLUSIVE);
	if (slot < 0)
		return true;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = ObjectIdGetDatum(dboid);
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "chatroom");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "chatroom_notifier_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "chatroom notifier");
	snprintf(worker.bgw_type, BGW_MAXLEN, "chatroom notifier");
	if (RegisterDynamicBackgroundWorker(&worker, NULL))
		return true;

	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	if (chatroom_control->databases[slot].notifier_pid == NOTIFIER_ASKED_FOR)
		chatroom_control->databases[slot].notifier_pid = 0;
	LWLockRelease(&chatroom_control->lock);
	return false;
}
