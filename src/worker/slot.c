/*-------------------------------------------------------------------------
 *
 * slot.c
 *	  Where reading starts, and what WAL is kept for that.
 *
 * Words:
 *
 * - anchor: a message that the primary's tailer logs now and then, after all
 *	 descriptors in use and with the history of incarnations.  At an anchor
 *	 reading can start anew: its restart point is the first message of the
 *	 oldest transaction that was open there (or the anchor's own beginning),
 *	 its floor the anchor itself.  All that commits after the floor can be
 *	 put together from WAL after the restart point.
 * - slot: "chatroom", a physical replication slot.  restart_lsn is an
 *	 anchor's restart point, confirmed_flush (which physical slots don't use)
 *	 its floor.  Persistent where the library was preloaded, so that the next
 *	 server run rebuilds the caches from it; otherwise temporary.
 *
 * The slot rests at the oldest anchor that is not further back than
 * chatroom.retain_wal.  An anchor is logged every quarter of that, when the
 * redo point has moved (so that a standby, which starts at its last restart
 * point, meets one soon), and when the tailer of a primary starts, with a new
 * incarnation.
 *
 * Without a slot (none free, wal_level = minimal, invalidated) the tailer
 * works on the WAL that is there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/timeline.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogrecovery.h"
#include "base/compat.h"
#include "base/memory.h"
#include "base/settings.h"
#include "base/wal.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"
#include "worker/tailer.h"

#define SLOT_NAME		"chatroom"

/* Anchors remembered: a quarter of retain_wal apart, and some more. */
#define MAX_ANCHORS		32

/*
 * An anchor logged because of a checkpoint wants at least so many bytes of
 * WAL since the last: an idle server's checkpoints must not beget anchors,
 * which beget checkpoints.
 */
#define REDO_ANCHOR_DISTANCE	(64 * 1024)

/* How far before its restart point a standby starts to look for an anchor. */
#define STANDBY_LOOKBACK		(2 * REDO_ANCHOR_DISTANCE)

typedef struct Anchor
{
	XLogRecPtr	restart;
	XLogRecPtr	floor;
} Anchor;

uint64		chatroom_partial_before = 0;
XLogRecPtr	chatroom_read_start = InvalidXLogRecPtr;

static Anchor anchors[MAX_ANCHORS]; /* oldest first */
static int	nanchors = 0;
static XLogRecPtr last_anchor_logged = InvalidXLogRecPtr;

/* ---------------------------------------------------------------- the slot */

/* Run something with slots; an error there is logged, and false. */
static bool
try_slot(void (*action) (void))
{
	volatile bool done = true;
	MemoryContext old = CurrentMemoryContext;

	PG_TRY();
	{
		action();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(old);
		LWLockReleaseAll();
		EmitErrorReport();
		FlushErrorState();
		done = false;
	}
	PG_END_TRY();
	return done;
}

static void
acquire_slot(void)
{
	chatroom_slot_acquire(SLOT_NAME);
}

static void
create_slot(void)
{
	chatroom_slot_create(SLOT_NAME,
						 chatroom_preloaded ? RS_PERSISTENT : RS_TEMPORARY);
	ReplicationSlotReserveWal();
	ReplicationSlotMarkDirty();
	ReplicationSlotSave();
}

static void
drop_slot(void)
{
	ReplicationSlotDrop(SLOT_NAME, true);
}

/* Is there a slot of our name, and could it be used? */
static bool
slot_exists(bool *usable)
{
	ReplicationSlot *slot = SearchNamedReplicationSlot(SLOT_NAME, true);

	if (slot == NULL)
		return false;
	SpinLockAcquire(&slot->mutex);
	*usable = slot->data.persistency == RS_PERSISTENT &&
		!OidIsValid(slot->data.database) &&
		!ChatroomSlotInvalid(slot) &&
		slot->data.restart_lsn != InvalidXLogRecPtr;
	SpinLockRelease(&slot->mutex);
	return true;
}

/* Move the slot to an anchor. */
static void
move_slot(const Anchor *anchor)
{
	ReplicationSlot *slot = MyReplicationSlot;

	if (slot == NULL || slot->data.restart_lsn >= anchor->restart)
		return;
	SpinLockAcquire(&slot->mutex);
	slot->data.restart_lsn = anchor->restart;
	slot->data.confirmed_flush = anchor->floor;
	SpinLockRelease(&slot->mutex);
	ReplicationSlotMarkDirty();
	if (slot->data.persistency == RS_PERSISTENT)
		ReplicationSlotSave();
	ReplicationSlotsComputeRequiredLSN();
}

/* Drop the slot, if it is there; for a stop. */
void
chatroom_slot_drop(void)
{
	bool		usable;

	if (MyReplicationSlot != NULL)
		ReplicationSlotRelease();
	if (slot_exists(&usable))
		try_slot(drop_slot);
}

/* ------------------------------------------------------ where reading starts */

/* Take the slot of an earlier run; true where it has an anchor. */
static bool
continue_from_slot(Anchor *anchor)
{
	bool		usable;

	if (!slot_exists(&usable))
		return false;
	if (!chatroom_preloaded || !usable)
	{
		/* nobody would move it on, so it would pin WAL forever */
		try_slot(drop_slot);
		return false;
	}
	if (!try_slot(acquire_slot))
		return false;
	anchor->restart = MyReplicationSlot->data.restart_lsn;
	anchor->floor = MyReplicationSlot->data.confirmed_flush;
	return anchor->floor != InvalidXLogRecPtr;
}

/* The first record at or after an LSN, or invalid. */
static XLogRecPtr
first_record_after(XLogRecPtr lsn)
{
	XLogReaderState *reader;
	XLogRecPtr	oldest = chatroom_oldest_wal();
	XLogRecPtr	found;

	lsn = Max(lsn, Max(oldest, (XLogRecPtr) wal_segment_size));
	reader = chatroom_open_wal(NULL);
	found = chatroom_find_record(reader, lsn);
	chatroom_close_wal(reader);
	return found;
}

/*
 * Start without an anchor.  A primary logs one and starts there; whoever had
 * an xid by then may have logged something before.  A standby looks for the
 * primary's anchors from a little before its last restart point on, and
 * learns from the next running-xacts record whom it has seen from the
 * beginning.
 */
static void
start_afresh(Anchor *start)
{
	if (!RecoveryInProgress())
	{
		/* writers have to log again the descriptors that we won't meet */
		pg_atomic_fetch_add_u64(&chatroom_control->descriptor_epoch, 1);
		chatroom_log_anchor(true);
		start->restart = start->floor = ProcLastRecPtr;
		chatroom_partial_before =
			U64FromFullTransactionId(ReadNextFullTransactionId());
	}
	else
	{
		XLogRecPtr	redo;
		TimeLineID	tli;

		GetOldestRestartPoint(&redo, &tli);
		start->restart = first_record_after(redo > STANDBY_LOOKBACK ?
											redo - STANDBY_LOOKBACK : redo);
		if (start->restart == InvalidXLogRecPtr)
			start->restart = first_record_after(redo);
		if (start->restart == InvalidXLogRecPtr)
			start->restart = GetXLogReplayRecPtr(&tli);
		start->floor = start->restart;
		chatroom_partial_before = PG_UINT64_MAX;
	}
}

/*
 * Find out from where to read, and hold that WAL.  The anchor that an earlier
 * run left in the slot, or (when just the tailer was restarted) in the control
 * struct, else a fresh start.
 */
void
chatroom_slot_start(XLogRecPtr *restart, XLogRecPtr *floor)
{
	Anchor		start = {InvalidXLogRecPtr, InvalidXLogRecPtr};
	bool		anchored = continue_from_slot(&start);

	nanchors = 0;
	last_anchor_logged = InvalidXLogRecPtr;
	chatroom_partial_before = 0;
	if (MyReplicationSlot == NULL && wal_level >= WAL_LEVEL_REPLICA &&
		max_replication_slots > 0)
		try_slot(create_slot);

	if (!anchored)
	{
		LWLockAcquire(&chatroom_control->lock, LW_SHARED);
		start.restart = chatroom_control->anchor_restart;
		start.floor = chatroom_control->anchor_floor;
		LWLockRelease(&chatroom_control->lock);
		anchored = start.floor != InvalidXLogRecPtr &&
			start.restart >= chatroom_oldest_wal();
	}
	if (!anchored)
		start_afresh(&start);
	chatroom_read_start = start.restart;
	*restart = start.restart;
	*floor = start.floor;
}

/* ---------------------------------------------------------------- anchors */

/* Remember an anchor that was read; the oldest gives way. */
void
chatroom_slot_anchor(XLogRecPtr restart, XLogRecPtr floor)
{
	if (nanchors == MAX_ANCHORS)
	{
		memmove(anchors, anchors + 1, sizeof(Anchor) * (MAX_ANCHORS - 1));
		nanchors--;
	}
	anchors[nanchors].restart = restart;
	anchors[nanchors].floor = floor;
	nanchors++;
}

/* Let go WAL that is further back than chatroom.retain_wal. */
void
chatroom_slot_trim(XLogRecPtr now)
{
	uint64		retain = (uint64) chatroom_retain_wal * 1024 * 1024;
	int			keep = 0;

	while (keep < nanchors - 1 && now - anchors[keep].restart > retain)
		keep++;
	if (keep > 0)
	{
		memmove(anchors, anchors + keep, sizeof(Anchor) * (nanchors - keep));
		nanchors -= keep;
	}
	if (nanchors == 0)
		return;
	if (chatroom_control->anchor_restart != anchors[0].restart)
	{
		LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
		chatroom_control->anchor_restart = anchors[0].restart;
		chatroom_control->anchor_floor = anchors[0].floor;
		LWLockRelease(&chatroom_control->lock);
	}
	move_slot(&anchors[0]);
}

/* LSN of the anchor that was logged last by this process. */
XLogRecPtr
chatroom_last_anchor(void)
{
	return last_anchor_logged;
}

/* A random id for this run of the tailer. */
static uint32
random_incarnation(void)
{
	uint32		id = 0;

	while (id == 0)
		if (!pg_strong_random(&id, sizeof(id)))
			id = pg_prng_uint32(&pg_global_prng_state);
	return id;
}

/*
 * Log an anchor, where it is time for one: on a primary, and (unless a new
 * incarnation begins) a quarter of retain_wal or a redo point after the last.
 */
bool
chatroom_log_anchor(bool new_incarnation)
{
	StringInfoData buf;
	AnchorEvent anchor;
	XLogRecPtr	here = pg_atomic_read_u64(&chatroom_control->read_lsn);
	XLogRecPtr	open;

	if (RecoveryInProgress())
		return false;
	if (!new_incarnation)
	{
		uint64		quarter = (uint64) chatroom_retain_wal * 1024 * 1024 / 4;
		XLogRecPtr	redo = GetRedoRecPtr();

		if (here < last_anchor_logged + quarter &&
			redo < last_anchor_logged + REDO_ANCHOR_DISTANCE)
			return false;
	}

	memset(&anchor, 0, sizeof(anchor));
	LWLockAcquire(&chatroom_control->lock, LW_SHARED);
	anchor.nincarnations = chatroom_control->nincarnations;
	memcpy(anchor.incarnations, chatroom_control->incarnations,
		   sizeof(Incarnation) * anchor.nincarnations);
	LWLockRelease(&chatroom_control->lock);
	if (new_incarnation)
	{
		Incarnation *newest;

		if (anchor.nincarnations == MAX_INCARNATIONS)
		{
			memmove(anchor.incarnations, anchor.incarnations + 1,
					sizeof(Incarnation) * (MAX_INCARNATIONS - 1));
			anchor.nincarnations--;
		}
		newest = &anchor.incarnations[anchor.nincarnations++];
		newest->id = random_incarnation();
		newest->start = here;
	}
	anchor.begin = here;
	anchor.next_fxid =
		U64FromFullTransactionId(ReadNextFullTransactionId());
	open = chatroom_oldest_open();
	anchor.oldest_open = open != InvalidXLogRecPtr ? open : here;

	chatroom_log_known_descriptors();
	initStringInfo(&buf);
	chatroom_put_header(&buf, MESSAGE_ANCHOR);
	chatroom_encode_anchor(&buf, &anchor);
	last_anchor_logged = chatroom_log_message(CHATROOM_PREFIX, buf.data,
											  buf.len, false);
	pfree(buf.data);
	XLogFlush(last_anchor_logged);
	return true;
}

/*
 * An anchor was read, ending at lsn.  Its restart point goes back to the
 * oldest open transaction, but not further than retain_wal allows: what is
 * then partial is told when reading starts there.
 */
void
chatroom_read_anchor(const AnchorEvent *anchor, XLogRecPtr lsn)
{
	XLogRecPtr	restart = Min(anchor->begin, anchor->oldest_open);
	uint64		retain = (uint64) chatroom_retain_wal * 1024 * 1024;

	if (lsn - restart > retain)
		restart = anchor->begin;
	restart = Max(restart, chatroom_read_start);

	/* a rebuild whose start left out the beginning of some transaction */
	if (chatroom_read_start > anchor->oldest_open &&
		chatroom_partial_before < anchor->next_fxid)
		chatroom_partial_before = anchor->next_fxid;

	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	chatroom_control->nincarnations = anchor->nincarnations;
	memcpy(chatroom_control->incarnations, anchor->incarnations,
		   sizeof(Incarnation) * anchor->nincarnations);
	chatroom_control->cursor_epoch++;
	LWLockRelease(&chatroom_control->lock);
	chatroom_slot_anchor(restart, lsn);
}

/* The server's timeline changed, or is seen for the first time. */
void
chatroom_refresh_timelines(TimeLineID tli)
{
	static TimeLineID last = 0;
	List	   *history;
	ListCell   *cell;
	TimelineSwitch switches[CHATROOM_MAX_TIMELINES];
	int			n = 0;

	if (tli == last)
		return;
	history = readTimeLineHistory(tli);
	foreach(cell, history)
	{
		TimeLineHistoryEntry *entry = lfirst(cell);

		if (entry->tli == tli || n >= CHATROOM_MAX_TIMELINES)
			continue;
		switches[n].tli = entry->tli;
		switches[n].end = entry->end;
		n++;
	}
	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	chatroom_control->tli = tli;
	chatroom_control->ntimelines = n;
	memcpy(chatroom_control->timelines, switches,
		   sizeof(TimelineSwitch) * n);
	chatroom_control->cursor_epoch++;
	LWLockRelease(&chatroom_control->lock);
	list_free_deep(history);
	last = tli;
}
