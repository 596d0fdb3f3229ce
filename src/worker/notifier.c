/*-------------------------------------------------------------------------
 *
 * notifier.c
 *	  The worker that rings doorbells with NOTIFY.
 *
 * One per database, and only while someone there is interested:
 *
 *	  first interest (a session), or an event that someone still wants to hear
 *	  of, or a notifier that ended against its will (the tailer)
 *	       │
 *	       ▼
 *	  asked for ── started ──► ringing ──► nobody is interested, for a while;
 *	                             ▲   │     no session is left in the database;
 *	                    doorbell │   │     the cache was given up: leaves
 *	                             └───┘
 *
 * It is connected to its database, so it would be in the way of DROP DATABASE:
 * therefore it leaves as soon as no session is left there, whatever interest
 * is kept.  The postmaster never restarts it; the tailer has it started again,
 * with pauses that grow.
 *
 * A batch is one transaction with a NOTIFY for each topic that had news, the
 * first at once, so that a lone event is not late, the next after a pause.
 * The transaction doesn't wait for the disk, runs nobody's code, and the
 * worker never sleeps inside it.  A NOTIFY queue that fills up slows it down;
 * what could not be sent is sent later.
 *
 * The payload is the cursor of the topic's newest event, and nothing else,
 * because LISTEN needs no privilege.  An empty payload tells that the channel
 * has another name from now on (see cache/interest.h), or that there is no
 * cache any more: listen again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/cursor.h"
#include "base/delay.h"
#include "base/launch.h"
#include "base/memory.h"
#include "cache/interest.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "worker/notifier.h"

/* Most channels in one transaction. */
#define MAX_BATCH		1000

/*
 * Least time between two batches, in us.  Each wakes every session of the
 * database that listens, to whatever channel; that costs about 30 us of CPU a
 * session.  So it grows with their number.  And when the queue is filling up.
 */
#define BATCH_PAUSE			5000
#define BATCH_PAUSE_SESSION	100
#define BATCH_PAUSE_MOST	50000
#define BATCH_PAUSE_FULL	1000000

/* A queue more than this full is filling up. */
#define QUEUE_FULL		0.5

/* How often to look around when nothing is to be done, in ms. */
#define IDLE_PAUSE		1000

/* Leave after nobody was interested for so long, in ms. */
#define LINGER			5000

/* Pauses before a notifier that ended is started again, in ms. */
#define RESTART_PAUSE		1000
#define RESTART_PAUSE_MOST	30000

/* One that was asked for and hasn't come by then won't come, in ms. */
#define START_TIMEOUT		10000

PGDLLEXPORT void chatroom_notifier_main(Datum arg);

static MemoryContext batch_context;
static Doorbell *bells;

/* ---------------------------------------------------- seen from the tailer */

/* What the tailer knows of a database's notifier; times in us. */
typedef struct NotifierWatch
{
	Oid			dboid;
	int			last_pid;
	uint64		since;			/* last_pid is */
	uint64		next_try;
	uint64		pause;
} NotifierWatch;

static NotifierWatch *watched = NULL;	/* one a database's slot */

/* See to one database's notifier. */
static void
watch_notifier(int number)
{
	DatabaseSlot *slot = &chatroom_control->databases[number];
	NotifierWatch *watch = &watched[number];
	int			pid = slot->notifier_pid;
	uint64		now = chatroom_monotonic_us();

	if (watch->dboid != slot->dboid)
	{
		memset(watch, 0, sizeof(*watch));
		watch->dboid = slot->dboid;
		watch->pause = RESTART_PAUSE * 1000;
	}
	if (pid != watch->last_pid)
	{
		/* one that ran for long doesn't suffer for the one before */
		if (watch->last_pid > 0 &&
			now - watch->since > RESTART_PAUSE_MOST * 1000)
			watch->pause = RESTART_PAUSE * 1000;
		if (pid == 0)
			watch->next_try = now + watch->pause;
		watch->last_pid = pid;
		watch->since = now;
	}
	if (pid == NOTIFIER_ASKED_FOR && now - watch->since > START_TIMEOUT * 1000)
	{
		LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
		if (slot->notifier_pid == NOTIFIER_ASKED_FOR)
			slot->notifier_pid = 0;
		LWLockRelease(&chatroom_control->lock);
	}
	if (pid == 0 && now >= watch->next_try)
	{
		watch->pause = Min(watch->pause * 2, RESTART_PAUSE_MOST * 1000);
		watch->next_try = now + watch->pause;
		(void) chatroom_launch_notifier(slot->dboid);
	}
}

/* Have those notifiers started that are wanted and not there. */
void
chatroom_start_notifiers(void)
{
	if (watched == NULL)
		watched = MemoryContextAllocZero(TopMemoryContext,
										 sizeof(NotifierWatch) *
										 chatroom_control->ndatabases);
	for (int i = 0; i < chatroom_control->ndatabases; i++)
		if (chatroom_control->databases[i].want_notifier &&
			OidIsValid(chatroom_control->databases[i].dboid))
			watch_notifier(i);
}

/* News that someone is interested in was published; see notifier.h. */
void
chatroom_wake_notifier(Cache *cache, int slot)
{
	if (chatroom_interest_wake(cache) ||
		chatroom_control->databases[slot].want_notifier ||
		RecoveryInProgress())
		return;
	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	chatroom_control->databases[slot].want_notifier = true;
	LWLockRelease(&chatroom_control->lock);
}

/* -------------------------------------------------------- coming and going */

/* This database's slot; under the control struct's lock.  NULL: none. */
static DatabaseSlot *
find_slot(Oid dboid)
{
	for (int i = 0; i < chatroom_control->ndatabases; i++)
		if (chatroom_control->databases[i].dboid == dboid)
			return &chatroom_control->databases[i];
	return NULL;
}

/* At exit, however it comes about. */
static void
notifier_exit(int code, Datum arg)
{
	DatabaseSlot *slot;
	bool		current;
	Cache	   *cache = chatroom_mapped_cache(&current);

	CHATROOM_DELAY(DELAY_END);
	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	slot = find_slot(DatumGetObjectId(arg));
	if (slot != NULL && slot->notifier_pid == MyProcPid)
	{
		slot->notifier_pid = 0;
		if (cache != NULL)
			chatroom_interest_set_notifier(cache, PG_UINT32_MAX);
	}
	LWLockRelease(&chatroom_control->lock);
	chatroom_wake_tailer();
}

/* Take the place; leave where another has it, or nobody wants us now. */
static void
become_the_notifier(Oid dboid)
{
	DatabaseSlot *slot;
	bool		taken = false;

	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	slot = find_slot(dboid);
	if (slot != NULL && slot->notifier_pid <= 0 && slot->want_notifier)
	{
		slot->notifier_pid = MyProcPid;
		taken = true;
	}
	LWLockRelease(&chatroom_control->lock);
	if (!taken)
		proc_exit(0);
	before_shmem_exit(notifier_exit, ObjectIdGetDatum(dboid));
}

/*
 * Leave of our own will, unless somebody has become interested just now: who
 * does counts itself first, then looks under the lock whether we are wanted.
 */
static void
leave(Cache *cache)
{
	DatabaseSlot *slot;
	bool		stay = false;

	if (cache != NULL)
		(void) chatroom_interest_sweep(cache);
	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	slot = find_slot(MyDatabaseId);
	if (cache != NULL && chatroom_interest_sessions(cache) > 0)
		stay = true;
	else if (slot != NULL)
		slot->want_notifier = false;
	LWLockRelease(&chatroom_control->lock);
	if (!stay)
		proc_exit(0);
}

/* Leave if nobody needs us. */
static void
leave_if_unneeded(Cache *cache)
{
	static uint64 swept = 0;
	static uint64 idle_since = 0;
	uint64		now = chatroom_monotonic_us();

	/* a session that holds an interest is there to be rung */
	if (chatroom_interest_sessions(cache) == 0 &&
		CountDBConnections(MyDatabaseId) == 0)
		leave(cache);
	if (now - swept < IDLE_PAUSE * 1000)
		return;
	swept = now;
	if (chatroom_interest_sweep(cache) > 0)
		idle_since = 0;
	else if (idle_since == 0)
		idle_since = now;
	else if (now - idle_since >= LINGER * 1000)
		leave(cache);
}

/* ----------------------------------------------------------------- ringing */

/* How full is the NOTIFY queue? */
static double
queue_usage(void)
{
	LOCAL_FCINFO(fcinfo, 0);

	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	return DatumGetFloat8(pg_notification_queue_usage(fcinfo));
}

/* The transaction of a batch. */
static void
send_batch(int n, bool farewell)
{
	MemoryContext old;
	Cursor		cursor;
	StringInfoData payload;

	StartTransactionCommand();
	old = MemoryContextSwitchTo(batch_context);
	initStringInfo(&payload);
	for (int i = 0; i < n; i++)
	{
		char		name[CHANNEL_NAME_LEN + 1];

		resetStringInfo(&payload);
		if (!farewell)
		{
			chatroom_make_cursor(bells[i].lsn, &cursor);
			chatroom_append_cursor(&payload, &cursor);
		}
		chatroom_channel_text(bells[i].channel.name, name);
		Async_Notify(name, payload.data);
	}
	MemoryContextSwitchTo(old);
	CommitTransactionCommand();
	MemoryContextReset(batch_context);
}

/* Send a batch; false where the queue won't take it. */
static bool
try_batch(Cache *cache, int n, bool farewell)
{
	volatile bool sent = true;

	PG_TRY();
	{
		send_batch(n, farewell);
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		EmitErrorReport();
		AbortCurrentTransaction();
		FlushErrorState();
		MemoryContextSwitchTo(TopMemoryContext);
		MemoryContextReset(batch_context);
		RESUME_INTERRUPTS();
		sent = false;
	}
	PG_END_TRY();
	if (sent)
	{
		pg_atomic_fetch_add_u64(&cache->stats.notifies, n);
		pg_atomic_fetch_add_u64(&cache->stats.notify_batches, 1);
	}
	return sent;
}

/*
 * Tell all who listen under a name that is no longer good: those of another
 * epoch, or (the cache being given up) all of them.
 */
static void
say_farewell(Cache *cache, bool all)
{
	uint32		next = 0;
	int			n;

	while ((n = chatroom_interest_collect_old(cache, all, bells, MAX_BATCH,
											  &next)) > 0)
	{
		(void) try_batch(cache, n, true);
		if (!all)
			chatroom_interest_rename(cache, bells, n);
		CHECK_FOR_INTERRUPTS();
	}
}

/* How long to pause after a batch, in us. */
static uint64
batch_pause(Cache *cache, bool sent)
{
	static uint64 usage_checked = 0;
	static bool filling_up = false;
	uint64		now = chatroom_monotonic_us();

	if (!sent)
		filling_up = true;
	else if (now - usage_checked >= IDLE_PAUSE * 1000)
	{
		filling_up = queue_usage() > QUEUE_FULL;
		usage_checked = now;
	}
	if (filling_up)
		return BATCH_PAUSE_FULL;
	return Min(BATCH_PAUSE +
			   BATCH_PAUSE_SESSION * chatroom_interest_sessions(cache),
			   BATCH_PAUSE_MOST);
}

/*
 * Ring what is to be rung; returns how long to sleep, in ms.  *deaf: no
 * wake-up can make that any shorter.
 */
static long
ring(Cache *cache, bool *deaf)
{
	static uint64 next_batch = 0;
	uint64		now = chatroom_monotonic_us();

	if (now >= next_batch)
	{
		bool		ahead;
		bool		sent;
		int			n;

		n = chatroom_interest_collect(cache, bells, MAX_BATCH, &ahead);
		if (n == 0)
		{
			*deaf = false;
			return ahead ? BATCH_PAUSE / 1000 : IDLE_PAUSE;
		}
		sent = try_batch(cache, n, false);
		if (!sent)
			chatroom_interest_put_back(cache, bells, n);
		next_batch = now + batch_pause(cache, sent);
	}
	*deaf = next_batch - now <= BATCH_PAUSE_MOST;
	return (long) ((next_batch - now + 999) / 1000);
}

/* -------------------------------------------------------------------- life */

/* This database's cache; leaves where there is none any more. */
static Cache *
current_cache(void)
{
	static Cache *announced_in = NULL;
	static uint64 seed = 0;
	bool		current;
	Cache	   *cache = chatroom_mapped_cache(&current);

	if (cache != NULL && !current)
		say_farewell(cache, true);
	cache = chatroom_my_cache();
	if (cache == NULL)
		leave(NULL);
	if (announced_in != cache || seed != cache->seed)
	{
		chatroom_interest_set_notifier(cache, ChatroomMyProcNumber());
		chatroom_interest_mark_known(cache);
		announced_in = cache;
		seed = cache->seed;
	}
	return cache;
}

/* Settings that a database's owner must not choose for us. */
static void
fix_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", ""},
		{"synchronous_commit", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"}
	};

	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET,
						PGC_S_OVERRIDE);
	if (ChatroomTransactionTimeout() > 0)
		SetConfigOption("transaction_timeout", "0", PGC_SUSET,
						PGC_S_OVERRIDE);
}

/* Entry point of the worker. */
void
chatroom_notifier_main(Datum arg)
{
	Oid			dboid = DatumGetObjectId(arg);
	uint64		epoch_seen = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	chatroom_attach_control();
	CHATROOM_DELAY(DELAY_START);
	become_the_notifier(dboid);
	BackgroundWorkerInitializeConnectionByOid(dboid, InvalidOid,
											  BGWORKER_BYPASS_ALLOWCONN);
	CHATROOM_DELAY(DELAY_START);
	fix_settings();
	batch_context = AllocSetContextCreate(TopMemoryContext,
										  "chatroom notifier",
										  ALLOCSET_DEFAULT_SIZES);
	bells = MemoryContextAlloc(TopMemoryContext,
							   sizeof(Doorbell) * MAX_BATCH);

	for (;;)
	{
		Cache	   *cache;
		uint64		epoch;
		bool		deaf;
		long		timeout;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		CHATROOM_DELAY(DELAY_TURN);
		cache = current_cache();
		CHATROOM_DELAY(DELAY_TURN);
		epoch = pg_atomic_read_u64(&cache->channel_epoch);
		if (epoch != epoch_seen)
		{
			say_farewell(cache, false);
			epoch_seen = epoch;
		}
		timeout = ring(cache, &deaf);
		leave_if_unneeded(cache);

		/* a latch that nobody sleeps on costs those who set it nothing */
		(void) WaitLatch(MyLatch,
						 (deaf ? 0 : WL_LATCH_SET) |
						 WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 timeout, PG_WAIT_EXTENSION);
	}
}
