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
 * - partial: a transaction of which reading may have missed the beginning, see
 *	 settle.c.  At the start that is every transaction which has an xid; an
 *	 anchor on the way tells better (know_partial).
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
 * works on the WAL that is there.  A server that has our slot does not start
 * with settings that allow none: nothing of ours runs early enough to drop it,
 * so that is stop()'s to do before.
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
#include "base/message.h"
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
 * WAL since the last began: an idle server's checkpoints must not beget
 * anchors, which beget checkpoints.  (Where so many are present that to log
 * them takes as much, they do: a standby that starts at the checkpoint has to
 * find all of it.)
 */
#define REDO_ANCHOR_DISTANCE	(64 * 1024)

/* How far before its restart point a standby starts to look for an anchor. */
#define STANDBY_LOOKBACK		(2 * REDO_ANCHOR_DISTANCE)

typedef struct Anchor
{
	XLogRecPtr	restart;
	XLogRecPtr	begin;			/* restart point where that is too far back */
	XLogRecPtr	floor;
} Anchor;

/* What a look for the slot finds; those from SLOT_LOST on are ours. */
typedef enum SlotFound
{
	SLOT_NONE,
	SLOT_FOREIGN,				/* somebody else's, of the same name */
	SLOT_LOST,					/* invalidated */
	SLOT_OURS
} SlotFound;

/* Where reading started. */
static XLogRecPtr read_start = InvalidXLogRecPtr;

static Anchor anchors[MAX_ANCHORS]; /* oldest first */
static int	nanchors = 0;
static XLogRecPtr last_anchor_logged = InvalidXLogRecPtr;
static XLogRecPtr last_anchor_begin = InvalidXLogRecPtr;

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

/* Actions for that: take the slot that is there, */
static void
acquire_slot(void)
{
	chatroom_slot_acquire(SLOT_NAME);
}

/* make one, */
static void
create_slot(void)
{
	chatroom_slot_create(SLOT_NAME,
						 chatroom_preloaded ? RS_PERSISTENT : RS_TEMPORARY);
	ReplicationSlotReserveWal();

	/* it is ours from now on, but at no anchor yet */
	SpinLockAcquire(&MyReplicationSlot->mutex);
	MyReplicationSlot->data.confirmed_flush =
		MyReplicationSlot->data.restart_lsn;
	SpinLockRelease(&MyReplicationSlot->mutex);
	ReplicationSlotMarkDirty();
	ReplicationSlotSave();
}

/* drop it. */
static void
drop_slot(void)
{
	ReplicationSlotDrop(SLOT_NAME, true);
}

/*
 * What there is under our name.  Nobody else's physical slot has a
 * confirmed_flush: so a standby that is called chatroom keeps its own.
 */
static SlotFound
find_slot(void)
{
	ReplicationSlot *slot = SearchNamedReplicationSlot(SLOT_NAME, true);
	SlotFound	found;

	if (slot == NULL)
		return SLOT_NONE;
	SpinLockAcquire(&slot->mutex);
	if (slot->data.confirmed_flush == InvalidXLogRecPtr ||
		OidIsValid(slot->data.database) ||
		(slot->data.persistency != RS_PERSISTENT &&
		 !ChatroomSlotIsMine(slot)))
		found = SLOT_FOREIGN;
	else if (ChatroomSlotInvalid(slot) ||
			 slot->data.restart_lsn == InvalidXLogRecPtr)
		found = SLOT_LOST;
	else
		found = SLOT_OURS;
	SpinLockRelease(&slot->mutex);
	return found;
}

/* Was a slot made, and moved to no anchor yet? */
static bool
rests_nowhere(const ReplicationSlot *slot)
{
	return slot->data.confirmed_flush <= slot->data.restart_lsn;
}

/*
 * Move the slot to an anchor; back only at the start, see hold_wal.  False
 * where it rests at no anchor yet and this one is before it, as on a standby,
 * which starts to read before the place where its slot is made: then the next
 * one has to do.
 */
static bool
move_slot(const Anchor *anchor, bool back)
{
	ReplicationSlot *slot = MyReplicationSlot;

	if (slot == NULL)
		return true;
	if (!back && anchor->restart < slot->data.restart_lsn)
		return !rests_nowhere(slot);
	if (!back && anchor->restart == slot->data.restart_lsn &&
		!rests_nowhere(slot))
		return true;
	SpinLockAcquire(&slot->mutex);
	slot->data.restart_lsn = anchor->restart;
	slot->data.confirmed_flush = anchor->floor;
	SpinLockRelease(&slot->mutex);
	ReplicationSlotMarkDirty();
	if (slot->data.persistency == RS_PERSISTENT)
		ReplicationSlotSave();
	ReplicationSlotsComputeRequiredLSN();
	return true;
}

/* Drop our slot, if it is there. */
void
chatroom_slot_drop(void)
{
	if (MyReplicationSlot != NULL)
		ReplicationSlotRelease();
	if (find_slot() >= SLOT_LOST)
		try_slot(drop_slot);
}

/* ---------------------------------------------------- where reading starts */

/* Take the slot of an earlier run, and the anchor that it rests at, if any. */
static void
continue_from_slot(Anchor *anchor)
{
	SlotFound	found = find_slot();

	if (found == SLOT_LOST || (found == SLOT_OURS && !chatroom_preloaded))
	{
		/* nobody would move it on, so it would pin WAL forever */
		try_slot(drop_slot);
		return;
	}
	if (found != SLOT_OURS || !try_slot(acquire_slot))
		return;
	if (rests_nowhere(MyReplicationSlot))
		return;
	anchor->restart = MyReplicationSlot->data.restart_lsn;
	anchor->floor = MyReplicationSlot->data.confirmed_flush;
}

/*
 * Is a slot's anchor after a standby's restart point?  Then a fresh start
 * finds that anchor, too, and what was before it.  So it is where the slot was
 * made here not long ago, and rests where a primary, after a promotion, can
 * begin.
 */
static bool
restart_point_is_better(const Anchor *anchor)
{
	XLogRecPtr	redo;
	TimeLineID	tli;

	if (anchor->floor == InvalidXLogRecPtr || !RecoveryInProgress())
		return false;
	GetOldestRestartPoint(&redo, &tli);
	return redo < anchor->restart;
}

/* Make a slot, where that is possible. */
static void
make_slot(void)
{
	if (wal_level < WAL_LEVEL_REPLICA || max_replication_slots == 0)
		return;
	if (find_slot() == SLOT_FOREIGN)
		ereport(LOG,
				(errmsg("replication slot \"%s\" is not the chatroom worker's",
						SLOT_NAME),
				 errdetail("The worker does without a slot: a restart of the "
						   "server resets who follows topics."),
				 errhint("Give that slot another name.")));
	else
		try_slot(create_slot);
}

/* The anchor that an earlier tailer of this server run left, if any. */
static void
continue_from_control(Anchor *anchor)
{
	LWLockAcquire(&chatroom_control->lock, LW_SHARED);
	anchor->restart = chatroom_control->anchor_restart;
	anchor->floor = chatroom_control->anchor_floor;
	LWLockRelease(&chatroom_control->lock);
}

/*
 * The record at an LSN, or the first one after it (search); invalid where
 * there is none, or its WAL is not there.
 */
static XLogRecPtr
probe_wal(XLogRecPtr lsn, bool search)
{
	volatile XLogRecPtr found = InvalidXLogRecPtr;
	MemoryContext old = CurrentMemoryContext;
	XLogReaderState *reader = chatroom_open_wal(NULL);

	PG_TRY();
	{
		char	   *error = NULL;

		if (search)
			found = chatroom_find_record(reader, lsn);
		else
		{
			chatroom_begin_wal(reader, lsn);
			if (XLogReadRecord(reader, &error) != NULL)
				found = reader->ReadRecPtr;
		}
	}
	PG_CATCH();
	{
		/* the segment is not there */
		MemoryContextSwitchTo(old);
		FlushErrorState();
	}
	PG_END_TRY();
	chatroom_close_wal(reader);
	return found;
}

/*
 * Hold the WAL from an anchor on, and see that it is there; false where it is
 * not, as after pg_resetwal, or when the slot was lost for a while.
 */
static bool
hold_wal(Anchor *anchor)
{
	anchor->begin = anchor->restart;
	if (anchor->restart == InvalidXLogRecPtr ||
		anchor->floor == InvalidXLogRecPtr ||
		anchor->restart < chatroom_oldest_wal())
		return false;
	(void) move_slot(anchor, true);

	/* a standby that was restarted may still have to replay what it read */
	if (anchor->restart >= chatroom_oldest_wal() &&
		(RecoveryInProgress() || anchor->floor <= chatroom_wal_position()) &&
		(anchor->restart >= chatroom_wal_position() ||
		 probe_wal(anchor->restart, false) != InvalidXLogRecPtr))
		return true;
	ereport(LOG,
			(errmsg("chatroom can't continue at %X/%X, where WAL is not there any more",
					LSN_FORMAT_ARGS(anchor->restart)),
			 errdetail("Who follows topics is told to reset.")));
	return false;
}

/*
 * Reading is to begin there.  Not before that is known: what gets an xid from
 * now on has its first message behind it, and only that is known for sure.
 */
static void
begin_reading(XLogRecPtr restart)
{
	read_start = restart;
	chatroom_partial_before =
		U64FromFullTransactionId(ReadNextFullTransactionId());
}

/* Start without an anchor on a primary: log one, and start there. */
static void
start_on_primary(Anchor *start)
{
	/* writers have to log again the descriptors that we won't meet */
	pg_atomic_fetch_add_u64(&chatroom_control->descriptor_epoch, 1);
	start->restart = chatroom_wal_position();
	begin_reading(start->restart);
	pg_atomic_write_u64(&chatroom_control->read_lsn, start->restart);
	chatroom_log_anchor(true);
	start->floor = last_anchor_logged;
}

/*
 * The same on a standby: look for the primary's anchors, from a little before
 * the last restart point on.
 */
static void
start_on_standby(Anchor *start)
{
	XLogRecPtr	redo;
	XLogRecPtr	segment;
	TimeLineID	tli;

	/* after a backup, what precedes redo's segment may not be there */
	GetOldestRestartPoint(&redo, &tli);
	segment = redo - XLogSegmentOffset(redo, wal_segment_size);
	start->restart = InvalidXLogRecPtr;
	if (redo > STANDBY_LOOKBACK + wal_segment_size)
		start->restart = probe_wal(redo - STANDBY_LOOKBACK, true);
	if (start->restart == InvalidXLogRecPtr)
		start->restart = probe_wal(segment, true);
	if (start->restart == InvalidXLogRecPtr)
		start->restart = probe_wal(redo, true);
	if (start->restart == InvalidXLogRecPtr)
		start->restart = GetXLogReplayRecPtr(&tli);
	start->floor = start->restart;
	begin_reading(start->restart);
}

/*
 * Find out from where to read, and hold that WAL.  The anchor that an earlier
 * run left in the slot, or (when just the tailer was restarted) in the control
 * struct, else a fresh start.
 */
void
chatroom_slot_start(XLogRecPtr *restart, XLogRecPtr *floor)
{
	Anchor		start = {InvalidXLogRecPtr};

	nanchors = 0;
	last_anchor_logged = last_anchor_begin = InvalidXLogRecPtr;
	continue_from_slot(&start);
	if (restart_point_is_better(&start))
		start.restart = start.floor = InvalidXLogRecPtr;
	if (start.floor == InvalidXLogRecPtr)
		continue_from_control(&start);
	if (MyReplicationSlot == NULL)
		make_slot();
	if (hold_wal(&start))
		begin_reading(start.restart);
	else
	{
		if (MyReplicationSlot != NULL)
		{
			chatroom_slot_drop();
			make_slot();
		}
		if (RecoveryInProgress())
			start_on_standby(&start);
		else
			start_on_primary(&start);
	}
	*restart = start.restart;
	*floor = start.floor;
}

/* ---------------------------------------------------------------- anchors */

/*
 * Remember an anchor that was read.  Where there are too many, one goes that
 * is close to its neighbours.
 */
static void
remember_anchor(const Anchor *anchor)
{
	if (nanchors == MAX_ANCHORS)
	{
		int			victim = 1;

		for (int i = 2; i < nanchors - 1; i++)
			if (anchors[i + 1].floor - anchors[i - 1].floor <
				anchors[victim + 1].floor - anchors[victim - 1].floor)
				victim = i;
		memmove(anchors + victim, anchors + victim + 1,
				sizeof(Anchor) * (nanchors - victim - 1));
		nanchors--;
	}
	anchors[nanchors++] = *anchor;
}

/*
 * Bytes of WAL to keep: chatroom.retain_wal, but no more than half of what the
 * server takes slots away for, and ends their owners.
 */
static uint64
wal_to_keep(void)
{
	uint64		mb = chatroom_retain_wal;

	if (max_slot_wal_keep_size_mb >= 0)
		mb = Min(mb, Max(max_slot_wal_keep_size_mb / 2, 1));
	return mb * 1024 * 1024;
}

/*
 * Let go WAL that is further back than chatroom.retain_wal: first what just
 * the oldest transactions want, which then are partial, then anchors; but the
 * newest stays in any case.
 */
static void
forget_anchors(XLogRecPtr now)
{
	uint64		retain = wal_to_keep();
	int			gone = 0;

	for (int i = 0; i < nanchors; i++)
	{
		if (now - anchors[i].restart > retain)
			anchors[i].restart = anchors[i].begin;
		if (gone == i && i < nanchors - 1 &&
			now - anchors[i].restart > retain)
			gone++;
	}
	if (gone > 0)
	{
		memmove(anchors, anchors + gone, sizeof(Anchor) * (nanchors - gone));
		nanchors -= gone;
	}
}

/* Hold no more WAL than chatroom.retain_wal: move on to the oldest anchor. */
void
chatroom_slot_trim(XLogRecPtr now)
{
	forget_anchors(now);
	if (nanchors == 0)
		return;

	/* for a tailer that is started anew, without a slot too */
	if (chatroom_control->anchor_restart != anchors[0].restart ||
		chatroom_control->anchor_floor != anchors[0].floor)
	{
		LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
		chatroom_control->anchor_restart = anchors[0].restart;
		chatroom_control->anchor_floor = anchors[0].floor;
		LWLockRelease(&chatroom_control->lock);
	}
	for (int i = 0; i < nanchors && !move_slot(&anchors[i], false); i++)
		;
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
 * Is it time for an anchor?  A quarter of retain_wal after the last, so that a
 * few of them are within it; or when the redo point moved, so that a standby
 * meets one soon.
 */
static bool
anchor_is_due(XLogRecPtr here)
{
	return here >= last_anchor_logged + wal_to_keep() / 4 ||
		GetRedoRecPtr() >= last_anchor_begin + REDO_ANCHOR_DISTANCE;
}

/* The history of incarnations, with a new one at its end if that is wanted. */
static void
tell_incarnations(AnchorEvent *anchor, bool new_incarnation)
{
	Incarnation *newest;

	LWLockAcquire(&chatroom_control->lock, LW_SHARED);
	anchor->nincarnations = chatroom_control->nincarnations;
	memcpy(anchor->incarnations, chatroom_control->incarnations,
		   sizeof(Incarnation) * anchor->nincarnations);
	LWLockRelease(&chatroom_control->lock);
	if (!new_incarnation)
		return;

	/* the oldest goes where there is no room */
	if (anchor->nincarnations == MAX_INCARNATIONS)
	{
		memmove(anchor->incarnations, anchor->incarnations + 1,
				sizeof(Incarnation) * (MAX_INCARNATIONS - 1));
		anchor->nincarnations--;
	}
	newest = &anchor->incarnations[anchor->nincarnations++];
	newest->id = random_incarnation();
	newest->start = InvalidXLogRecPtr;	/* where it will be read */
}

/*
 * Log an anchor, where it is time for one, or a new incarnation begins; false:
 * none was logged.  Only a primary can.
 */
bool
chatroom_log_anchor(bool new_incarnation)
{
	StringInfoData buf;
	AnchorEvent anchor;
	XLogRecPtr	here = pg_atomic_read_u64(&chatroom_control->read_lsn);
	XLogRecPtr	open;

	if (RecoveryInProgress() || (!new_incarnation && !anchor_is_due(here)))
		return false;

	memset(&anchor, 0, sizeof(anchor));
	tell_incarnations(&anchor, new_incarnation);
	anchor.begin = here;
	anchor.next_fxid =
		U64FromFullTransactionId(ReadNextFullTransactionId());
	open = chatroom_oldest_open();
	anchor.oldest_open = open != InvalidXLogRecPtr ? open : here;
	anchor.partial_before = chatroom_partial_before;

	/* before the caches are known, nobody knows who is present */
	anchor.presence = chatroom_global_floor() != InvalidXLogRecPtr;
	if (anchor.presence)
		chatroom_log_presence(here);
	chatroom_log_known_descriptors();
	initStringInfo(&buf);
	chatroom_start_message(&buf);
	chatroom_encode_anchor(&buf, &anchor);
	last_anchor_begin = here;
	last_anchor_logged = chatroom_log(MESSAGE_ANCHOR, buf.data, buf.len,
									  false);
	pfree(buf.data);
	XLogFlush(last_anchor_logged);
	return true;
}

/* Take over the history of incarnations that an anchor tells. */
static void
take_incarnations(const AnchorEvent *anchor, XLogRecPtr lsn)
{
	Incarnation *newest;

	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	chatroom_control->nincarnations = anchor->nincarnations;
	memcpy(chatroom_control->incarnations, anchor->incarnations,
		   sizeof(Incarnation) * anchor->nincarnations);
	if (anchor->nincarnations > 0)
	{
		newest = &chatroom_control->incarnations[anchor->nincarnations - 1];
		if (newest->start == InvalidXLogRecPtr)
			newest->start = lsn;
	}
	chatroom_control->cursor_epoch++;
	LWLockRelease(&chatroom_control->lock);
}

/*
 * What does an anchor tell of partial transactions?  What was so to the tailer
 * that logged it is so to us; and, where a transaction was open then whose
 * first message is before where we began to read, all that may have been open.
 * Where it was begun before that, it doesn't say who began meanwhile.
 */
static void
know_partial(const AnchorEvent *event)
{
	uint64		before = event->partial_before;

	if (event->begin < read_start)
		return;
	if (event->oldest_open < read_start)
		before = Max(before, event->next_fxid);
	chatroom_settle_from(before);
}

/*
 * An anchor was read, ending at lsn.  Its restart point goes back to the
 * oldest open transaction, but not further than where reading started.
 */
void
chatroom_read_anchor(const AnchorEvent *event, XLogRecPtr lsn)
{
	Anchor		anchor;

	anchor.restart = Max(Min(event->begin, event->oldest_open), read_start);
	anchor.begin = Max(event->begin, read_start);
	anchor.floor = lsn;

	know_partial(event);

	/* the state of presence that goes before it was read as a whole */
	if (event->presence && event->begin >= read_start)
		chatroom_read_presence_anchor(event->begin, lsn);
	take_incarnations(event, lsn);
	remember_anchor(&anchor);
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
