/*-------------------------------------------------------------------------
 *
 * snapshot.c
 *	  The cursor that belongs to a snapshot.
 *
 * Whoever reads rows with a snapshot and then syncs must get exactly the
 * changes that the snapshot does not show.  Commit order is not snapshot
 * order: of two transactions, the one with the later commit record may be
 * visible and the other not yet.  So the cursor is a place P such that all
 * later transactions are not visible, plus "holes": the transactions up to P
 * that are not visible either.
 *
 * Everything visible has its commit record before the WAL position read after
 * the snapshot was taken; so wait until that is published.  Then go back
 * through the ring from its newest event.  Where to stop: an event that was
 * published before the snapshot was taken is visible, and so are all that are
 * older.  It was, if an xid that was assigned after its publishing (not below
 * its next_fxid) had ended when the snapshot was taken (is below the
 * snapshot's xmax); or if all xids up to its publishing are visible (not
 * above xmin).
 *
 * Before the ring's tail there may be more: what was overwritten, or ended
 * before the worker began to read.  If that isn't known to be older than the
 * snapshot, it is enough that all transactions which the snapshot saw running
 * still run: what ended before the tail has left ProcArray.  (Or the worker
 * found it there when it began, and raises the floor when it leaves: see
 * worker/settle.c.)  So an old transaction somewhere in the cluster is in
 * nobody's way.
 *
 * An answer's cursor is good for all topics, too, although the answer is of
 * certain ones: its holder may have read rows with the answer's snapshot (as
 * fold does), and follow others from there on.  So an answer ends before the
 * first transaction that the snapshot does not see, whatever that is about.
 * What is held back thereby is so new that the next call has it; and which
 * topics a transaction is of that the caller can't see makes no difference.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "base/compat.h"
#include "base/wal.h"
#include "miscadmin.h"
#include "read/sync.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

/* How long to wait for the tailer, in ms. */
#define PUBLISH_TIMEOUT	5000

/* Events looked at under one hold of the stripe. */
#define SCAN_CHUNK		1024

/* What the way back through the ring has found so far. */
typedef struct Scan
{
	Horizon		horizon;
	const Cursor *since;		/* of an answer: what it continues */
	XLogRecPtr	begin;			/* all up to here was seen by its holder */
	XLogRecPtr	first_hidden;	/* of an answer */
	XLogRecPtr	base;			/* P, as far as is known */
	bool		visible_seen;	/* a visible transaction: P is settled */
	int			nholes;
	XLogRecPtr	holes[CURSOR_MAX_HOLES];	/* descending */
	bool		overflow;
} Scan;

/* Was everything that ended by then published before the snapshot? */
static bool
precedes_snapshot(const Horizon *horizon, uint64 next_fxid, bool settled)
{
	return next_fxid <= horizon->xmin ||
		(settled && next_fxid < horizon->xmax);
}

/*
 * Take one event into account.  What is part of no transaction, presence and
 * broadcasts, settles nothing: it is seen by everybody at once, also by who
 * doesn't see the transactions before it.  If P comes to be before it, it is
 * told again.
 */
static void
scan_event(Scan *scan, const RingEvent *event)
{
	if (event->fxid == 0)
		return;
	if (scan->since != NULL &&
		(event->lsn > scan->base ||
		 chatroom_already_seen(scan->since, event->lsn)))
		return;
	if (chatroom_event_visible(&scan->horizon, event->fxid))
	{
		scan->visible_seen = true;
		return;
	}
	if (scan->since != NULL)
	{
		scan->first_hidden = event->lsn;
		return;
	}
	if (!scan->visible_seen)
	{
		scan->base = event->lsn - 1;
		return;
	}
	if (scan->nholes > 0 && scan->holes[scan->nholes - 1] == event->lsn)
		return;
	if (scan->nholes == CURSOR_MAX_HOLES)
		scan->overflow = true;
	else
		scan->holes[scan->nholes++] = event->lsn;
}

/*
 * Do all transactions still run that the snapshot saw running, of those that
 * had begun by next_fxid?  Rolled back is as good.
 */
static bool
unseen_still_run(const Horizon *horizon, uint64 next_fxid)
{
	Snapshot	snapshot = horizon->snapshot;
	bool		recovery = snapshot->takenDuringRecovery;
	const TransactionId *xids = recovery ? snapshot->subxip : snapshot->xip;
	uint32		n = recovery ? snapshot->subxcnt : snapshot->xcnt;

	/* on a standby all are listed as subtransactions, or are not */
	if (next_fxid > horizon->xmax || (recovery && snapshot->suboverflowed))
		return false;
	for (uint32 i = 0; i < n; i++)
		if (TransactionIdPrecedes(xids[i], (TransactionId) next_fxid) &&
			!TransactionIdIsInProgress(xids[i]) &&
			!TransactionIdDidAbort(xids[i]))
			return false;
	return true;
}

/*
 * Go back through the ring, a chunk at a time.  False where what there was
 * before the ring's tail can't be told.
 */
static bool
scan_ring(Cache *cache, Scan *scan)
{
	LWLock	   *stripe = chatroom_stripe(cache);
	uint64		position = 0;
	bool		started = false;
	bool		done = false;
	bool		at_tail = false;
	bool		tail_settled = false;
	uint64		tail_fxid = 0;

	while (!done)
	{
		LWLockAcquire(stripe, LW_SHARED);
		if (!started)
			position = cache->newest;
		started = true;
		for (int i = 0; i < SCAN_CHUNK && !done; i++)
		{
			const RingEvent *event = chatroom_cache_event(cache, position);

			if (event == NULL)
			{
				tail_fxid = cache->tail_fxid;
				tail_settled = cache->tail_settled;
				at_tail = done = true;
			}
			else if (event->lsn <= scan->begin ||
					 precedes_snapshot(&scan->horizon, event->next_fxid,
									   true))
				done = true;
			else
			{
				scan_event(scan, event);
				position = event->before;
			}
		}
		LWLockRelease(stripe);
		CHECK_FOR_INTERRUPTS();
	}
	return !at_tail ||
		precedes_snapshot(&scan->horizon, tail_fxid, tail_settled) ||
		unseen_still_run(&scan->horizon, tail_fxid);
}

/* Is everything that was published so far seen by the snapshot, or before? */
static bool
all_visible(Cache *cache, XLogRecPtr begin, Snapshot snapshot)
{
	LWLock	   *stripe = chatroom_stripe(cache);
	const RingEvent *event;
	bool		result;

	LWLockAcquire(stripe, LW_SHARED);
	event = chatroom_cache_event(cache, cache->newest);
	result = event == NULL || event->lsn <= begin ||
		TransactionIdPrecedesOrEquals((TransactionId) event->next_fxid,
									  snapshot->xmin);
	LWLockRelease(stripe);
	return result;
}

/* How far an answer may go; see sync.h. */
bool
chatroom_find_answer_end(Cache *cache, const Cursor *since, AnswerEnd *end)
{
	Scan		scan = {0};

	end->published = pg_atomic_read_u64(&cache->published);
	end->hidden = InvalidXLogRecPtr;
	pg_read_barrier();
	scan.since = since;
	scan.begin = chatroom_cursor_begin(since);
	scan.base = end->published;
	if (all_visible(cache, scan.begin, ActiveSnapshotSet() ?
					GetActiveSnapshot() : GetLatestSnapshot()))
		return true;
	chatroom_get_horizon(&scan.horizon);
	if (!scan_ring(cache, &scan))
		return false;
	end->hidden = scan.first_hidden;
	return true;
}

/* The cursor that belongs to the active snapshot. */
void
chatroom_cursor_of_snapshot(Cursor *cursor)
{
	Cache	   *cache = chatroom_need_cache();
	Scan		scan = {0};

	if (cache == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("chatroom has no running worker, or no cache for "
						"this database"),
				 errhint("See the view chatroom.status; chatroom.start() "
						 "starts the worker.")));
	if (!chatroom_wait_published(cache, chatroom_wal_position(),
								 PUBLISH_TIMEOUT))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the chatroom worker has not caught up with this "
						"snapshot within %d s", PUBLISH_TIMEOUT / 1000),
				 errdetail("It may be behind, or a transaction that has "
						   "committed is waiting for a synchronous standby."),
				 errhint("See the view chatroom.status, and try again.")));
	chatroom_get_horizon(&scan.horizon);
	scan.base = pg_atomic_read_u64(&cache->published);
	pg_read_barrier();
	if (!scan_ring(cache, &scan) || scan.overflow)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no cursor can be told for this snapshot"),
				 errdetail("The worker was started after the snapshot was "
						   "taken, the snapshot is too old, or more than %d "
						   "transactions were just ending.",
						   CURSOR_MAX_HOLES),
				 errhint("Try again in a new transaction.")));
	chatroom_make_cursor(scan.base, cursor);
	for (int i = scan.nholes - 1; i >= 0; i--)
		if (scan.holes[i] < scan.base)
			cursor->holes[cursor->nholes++] = scan.holes[i];
}

CHATROOM_FUNCTION(chatroom_snapshot_cursor);

/* snapshot_cursor() → text */
Datum
chatroom_snapshot_cursor(PG_FUNCTION_ARGS)
{
	Cursor		cursor;
	StringInfoData buf;

	chatroom_cursor_of_snapshot(&cursor);
	initStringInfo(&buf);
	chatroom_append_cursor(&buf, &cursor);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}
