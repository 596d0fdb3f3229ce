/*-------------------------------------------------------------------------
 *
 * tailer.c
 *	  The worker that reads WAL and fills the caches: its life.
 *
 * One per cluster, with a connection to no database: so it is in nobody's way
 * for DROP DATABASE or a template copy, as long as it checks for interrupts
 * on every page of WAL, and yet has a place in ProcArray, without which
 * snapshots and xid comparisons go wrong.  It never assigns an xid.
 *
 *	            first use, or boot when preloaded
 *	  NONE ───────────────────────────────────────► STARTING
 *	   ▲                                               │ slot and anchor
 *	   │ stop(): caches and slot given back, exit 0     │ found, or made
 *	   │                                               ▼
 *	   ├────────────────────────────────────────── REBUILDING ◄─────────┐
 *	   │                                               │ end of WAL      │
 *	   │                                               │ reached, own    │
 *	   │                                               │ anchor read     │
 *	   │                                               ▼                 │
 *	   └─────────────────────────────────────────── RUNNING              │
 *	                                                   │ promotion: new  │
 *	                                                   │ incarnation ────┘
 *	  any state ── ERROR, SIGTERM: exit 1, started again after a second,
 *	               from the last anchor
 *
 * A turn (take_turn) happens where the reader has no more WAL:
 * publish what was read, do what others asked for, sleep.  The latch is reset
 * before WAL is looked at again, so no wake-up is lost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "access/xlogutils.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/delay.h"
#include "base/launch.h"
#include "base/memory.h"
#include "base/settings.h"
#include "base/wal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/notifier.h"
#include "worker/tailer.h"

/* How long to sleep when nothing wakes us, in ms. */
#define POLL_PRIMARY	100		/* commits tell; 2PC and foreign WAL don't */
#define POLL_STANDBY	5		/* nothing tells of replay */
#define POLL_HELD		1		/* a transaction is about to be seen ... */
#define POLL_HELD_MAX	50		/* ... or stuck */

/*
 * Where commits come closer together than BUSY_US for BUSY_TURNS turns, the
 * tailer naps between turns, with its latch not waited for: so that hundreds
 * of commits don't each pay for waking it, and for a switch to it.
 */
#define BUSY_US			2000
#define BUSY_TURNS		8
#define BUSY_NAP_US		400

/* Publish in between where so much was queued without an end of WAL. */
#define PUBLISH_BYTES	(512 * 1024)

/* After so many starts that came to nothing, do without the anchor. */
#define MAX_FAILED_STARTS	3

PGDLLEXPORT void chatroom_tailer_main(Datum arg);

static bool incarnation_logged = false;
static bool was_standby = false;
static int	held_turns = 0;

/* --------------------------------------------------------------- the turns */

static void
set_state(TailerState state)
{
	pg_atomic_write_u32(&chatroom_control->tailer_state, state);
}

/* Give everything back and leave for good, as chatroom.stop() asks. */
static void
leave(void)
{
	set_state(TAILER_NONE);
	chatroom_release_caches();
	chatroom_slot_drop();
	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	chatroom_control->anchor_restart = InvalidXLogRecPtr;
	chatroom_control->anchor_floor = InvalidXLogRecPtr;
	LWLockRelease(&chatroom_control->lock);
	ereport(LOG, (errmsg("chatroom tailer stopped")));
	proc_exit(0);
}

/* Do what has been asked of us meanwhile. */
static void
look_around(void)
{
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	if (chatroom_control->stopped)
		leave();
	chatroom_make_wanted_caches();
}

/* What only a primary's tailer writes. */
static void
write_as_primary(void)
{
	if (was_standby)
	{
		/* promoted: cursors of the old primary end at the switch */
		was_standby = false;
		incarnation_logged = false;
		chatroom_presence_start();
	}
	if (chatroom_log_anchor(!incarnation_logged))
		incarnation_logged = true;
}

/* Are cursors of now good, and is all published? */
static void
judge_state(XLogRecPtr available)
{
	bool		ready;

	if (RecoveryInProgress())
		ready = available >= chatroom_global_floor();
	else
		ready = incarnation_logged && available >= chatroom_last_anchor() &&
			pg_atomic_read_u64(&chatroom_control->read_lsn) >=
			chatroom_last_anchor();
	if (ready && !RecoveryInProgress())
		chatroom_take_over_presence();
	if (ready && !chatroom_tailer_running())
	{
		set_state(TAILER_RUNNING);
		LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
		chatroom_control->failed_starts = 0;
		LWLockRelease(&chatroom_control->lock);
	}
	else if (!ready && chatroom_tailer_running() && !incarnation_logged)
		set_state(TAILER_REBUILDING);
}

/*
 * Sleep until somebody commits, or asks for something; at most so many us, if
 * that is less than usual.
 */
static void
sleep_until_news(bool held, uint64 at_most)
{
	long		timeout = RecoveryInProgress() ? POLL_STANDBY : POLL_PRIMARY;

	if (held)
	{
		timeout = Min(POLL_HELD + held_turns / 8, POLL_HELD_MAX);
		held_turns++;
	}
	else
		held_turns = 0;
	if (at_most / 1000 < timeout)
		timeout = at_most / 1000 + 1;
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 timeout, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

/* Nap instead of sleeping, while commits come thick and fast. */
static void
nap_while_busy(bool published)
{
	static uint64 last = 0;
	static int	busy = 0;
	uint64		now;

	if (!published)
		return;
	now = chatroom_monotonic_us();
	if (now - last < BUSY_US)
		busy = Min(busy + 1, BUSY_TURNS);
	else
		busy = 0;
	if (busy == BUSY_TURNS)
	{
		pg_usleep(BUSY_NAP_US);
		now = chatroom_monotonic_us();
	}
	last = now;
}

/*
 * A turn: the reader has handled all records that end up to "available", and
 * wants more.
 */
static void
take_turn(XLogRecPtr available, TimeLineID tli)
{
	bool		standby = RecoveryInProgress();
	bool		held;
	XLogRecPtr	wanted;
	bool		published = chatroom_queued_bytes() > 0;
	uint64		lease = PG_UINT64_MAX;

	CHATROOM_DELAY(DELAY_TURN);
	look_around();
	chatroom_refresh_timelines(tli);
	chatroom_settle(available);
	CHATROOM_DELAY(DELAY_TURN);
	held = chatroom_publish(pg_atomic_read_u64(&chatroom_control->read_lsn));
	pg_atomic_write_u64(&chatroom_control->caught_up, available);
	if (standby)
		was_standby = true;
	else
		write_as_primary();
	judge_state(available);
	chatroom_slot_trim(available);
	chatroom_start_notifiers();

	if (!standby)
	{
		lease = chatroom_presence_turn();
		/* an asynchronous commit: nobody else may flush it for long */
		wanted = pg_atomic_read_u64(&chatroom_control->flush_wanted);
		if (wanted > GetFlushRecPtr(NULL))
			XLogFlush(wanted);
	}
	nap_while_busy(published);
	if (!standby && GetFlushRecPtr(NULL) > available)
		return;
	sleep_until_news(held, lease);
}

/* -------------------------------------------------------------------- life */

/* At exit, however it comes about. */
static void
tailer_exit(int code, Datum arg)
{
	CHATROOM_DELAY(DELAY_END);
	pg_atomic_write_u32(&chatroom_control->tailer_procno, PG_UINT32_MAX);
	pg_atomic_write_u64(&chatroom_control->ended_at, chatroom_monotonic_us());
	set_state(TAILER_NONE);
	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	chatroom_control->tailer_pid = 0;
	if (code == 0)
		chatroom_control->tailer_registered = false;
	LWLockRelease(&chatroom_control->lock);
}

/* Take the tailer's place; leave where another has it. */
static void
become_the_tailer(void)
{
	bool		taken;
	bool		stopped;

	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	taken = chatroom_control->tailer_pid != 0;
	stopped = chatroom_control->stopped;
	if (!taken)
	{
		chatroom_control->tailer_pid = MyProcPid;
		chatroom_control->tailer_registered = !stopped;
		if (chatroom_control->failed_starts++ >= MAX_FAILED_STARTS)
			chatroom_control->anchor_floor = InvalidXLogRecPtr;
	}
	LWLockRelease(&chatroom_control->lock);
	if (taken)
		proc_exit(0);
	before_shmem_exit(tailer_exit, (Datum) 0);
	if (stopped)
		proc_exit(0);
	pg_atomic_write_u32(&chatroom_control->tailer_procno,
						ChatroomMyProcNumber());
	pg_atomic_fetch_add_u64(&chatroom_control->tailer_starts, 1);
	set_state(TAILER_STARTING);
}

/* The slot's anchor leads nowhere: do without it. */
static bool
start_is_hopeless(void)
{
	return chatroom_control->failed_starts > MAX_FAILED_STARTS;
}

/* The timeline that this server is on. */
static TimeLineID
current_timeline(void)
{
	TimeLineID	tli;

	if (RecoveryInProgress())
		GetXLogReplayRecPtr(&tli);
	else
		GetFlushRecPtr(&tli);
	return tli;
}

/* Read WAL, forever. */
static void
read_wal(XLogRecPtr restart)
{
	XLogReaderState *reader = chatroom_open_wal(take_turn);
	Size		published_at = 0;
	uint32		count = 0;

	chatroom_begin_wal(reader, restart);
	for (;;)
	{
		char	   *error = NULL;
		Size		queued;

		if (XLogReadRecord(reader, &error) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("could not read WAL at %X/%X: %s",
							LSN_FORMAT_ARGS(reader->EndRecPtr),
							error ? error : "no record")));
		chatroom_handle_record(reader);
		chatroom_trim_wal(reader);
		pg_atomic_write_u64(&chatroom_control->bytes_read,
							pg_atomic_read_u64(&chatroom_control->bytes_read) +
							(reader->EndRecPtr - reader->ReadRecPtr));
		pg_atomic_write_u64(&chatroom_control->read_lsn, reader->EndRecPtr);

		queued = chatroom_queued_bytes();
		published_at = Min(published_at, queued);
		if (queued >= published_at + PUBLISH_BYTES)
		{
			chatroom_refresh_timelines(current_timeline());
			chatroom_publish(reader->EndRecPtr);
			published_at = chatroom_queued_bytes();
		}
		if (++count % 4096 == 0)
			look_around();
	}
}

/* Entry point of the worker. */
void
chatroom_tailer_main(Datum arg)
{
	XLogRecPtr	restart;
	XLogRecPtr	floor;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	chatroom_attach_control();
	CHATROOM_DELAY(DELAY_START);
	become_the_tailer();
	CHATROOM_DELAY(DELAY_START);

	MemoryContextSwitchTo(AllocSetContextCreate(TopMemoryContext,
												"chatroom tailer",
												ALLOCSET_DEFAULT_SIZES));
	chatroom_assemble_init();
	chatroom_publish_init();
	chatroom_presence_start();
	was_standby = RecoveryInProgress();

	if (start_is_hopeless())
		chatroom_slot_drop();
	chatroom_slot_start(&restart, &floor);
	pg_atomic_write_u64(&chatroom_control->read_lsn, restart);
	chatroom_publish_start(floor);
	chatroom_settle_begin();
	ereport(LOG,
			(errmsg("chatroom tailer starts reading at %X/%X",
					LSN_FORMAT_ARGS(restart))));
	set_state(TAILER_REBUILDING);
	read_wal(restart);
}
