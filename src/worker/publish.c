/*-------------------------------------------------------------------------
 *
 * publish.c
 *	  From committed transactions to events in the caches.
 *
 * Each database has a queue of committed transactions in commit order.  One
 * is published when it has left ProcArray, so that whoever reads its events
 * sees its rows: a commit record is in WAL, and flushed, before that, with
 * synchronous replication possibly for long.  The first one that has not
 * holds those behind it, in its own database.
 *
 * Events are put together outside the cache's locks, in a batch, and appended
 * under all of them, followed by the resets that the batch's transactions
 * bring about.  A transaction is appended whole or not at all: one that is
 * larger than three quarters of the ring resets its topics instead.
 *
 * All that resets a topic, or the database, takes its place in the queue:
 * earlier, readers would be told of it with a cursor from before it, and so
 * again and again.  What resets leaves an event without topics in the ring, so
 * that the cursor of a snapshot which does not see the transaction (see
 * read/snapshot.c) comes to stand before it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/message.h"
#include "base/settings.h"
#include "base/wal.h"
#include "cache/build.h"
#include "cache/interest.h"
#include "cache/presence.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "worker/notifier.h"
#include "worker/tailer.h"

/* Bytes appended under one hold of the locks, where transactions are small. */
#define BATCH_BYTES		(256 * 1024)

/* A cache that could not be made is tried again after so long, in us. */
#define RETRY_CACHE		(10 * 1000 * 1000)

/* Memory of a queued transaction besides its messages, about. */
#define PENDING_OVERHEAD	1024

/* Bytes of marks gathered at a time. */
#define MARK_BYTES		(1024 * 1024)

/* Descriptors kept; beyond, the oldest knowledge is dropped. */
#define MAX_DESCRIPTORS	10000

/* What happened to a topic, or under a base, up to lsn can't be told. */
typedef struct Mark
{
	uint64		hash;
	XLogRecPtr	lsn;
	uint64		lost;			/* of one topic: see ring.h */
} Mark;

typedef struct DescriptorKey
{
	uint64		id;
	Oid			dboid;
	uint32		zero;
} DescriptorKey;

typedef struct KnownDescriptor
{
	DescriptorKey key;
	MemoryContext context;		/* of all below */
	Descriptor	descriptor;
	char	   *body;			/* as logged */
	int			len;
	XLogRecPtr	logged;			/* start of its newest message */
	bool		used;			/* since the last anchor */
} KnownDescriptor;

static HTAB *databases = NULL;
static HTAB *descriptors = NULL;
static MemoryContext publish_context;
static MemoryContext event_context;
static StringInfoData batch;	/* RingEvents one after another */
static StringInfoData marks;	/* Marks that follow them */
static uint64 marked = 0;		/* marks of the transaction at hand */
static XLogRecPtr batch_floor = InvalidXLogRecPtr;	/* floor to follow */
static ResetReason batch_floor_reason;
static StringInfoData topics_text;
static Size queued_bytes = 0;
static XLogRecPtr global_floor = InvalidXLogRecPtr;

/* What a cache made now begins with; see Cache.tail_fxid. */
static uint64 floor_fxid = 0;
static bool caches_settled = false;

void
chatroom_publish_init(void)
{
	MemoryContext old;

	publish_context = AllocSetContextCreate(TopMemoryContext,
											"chatroom publish",
											ALLOCSET_DEFAULT_SIZES);
	event_context = AllocSetContextCreate(publish_context,
										  "chatroom event",
										  ALLOCSET_DEFAULT_SIZES);
	databases = chatroom_make_hash("chatroom databases", publish_context, 16,
								   sizeof(Oid), sizeof(TailerDatabase));
	descriptors = chatroom_make_hash("chatroom descriptors", publish_context,
									 128, sizeof(DescriptorKey),
									 sizeof(KnownDescriptor));
	old = MemoryContextSwitchTo(publish_context);
	initStringInfo(&batch);
	initStringInfo(&marks);
	initStringInfo(&topics_text);
	MemoryContextSwitchTo(old);
}

/* The commit LSN up to which nothing is known, of any database. */
XLogRecPtr
chatroom_global_floor(void)
{
	return global_floor;
}

/* ---------------------------------------------------------------- caches */

/* Take a place in the control struct for a database; -1: none free. */
static int
take_slot(Oid dboid)
{
	int			free_slot = -1;
	int			i;

	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	for (i = 0; i < chatroom_control->ndatabases; i++)
	{
		DatabaseSlot *slot = &chatroom_control->databases[i];

		if (slot->dboid == dboid)
			break;
		if (!OidIsValid(slot->dboid) && free_slot < 0)
			free_slot = i;
	}
	if (i == chatroom_control->ndatabases)
	{
		i = free_slot;
		if (i >= 0)
		{
			DatabaseSlot *slot = &chatroom_control->databases[i];

			slot->dboid = dboid;
			slot->handle = DSM_HANDLE_INVALID;
			slot->wanted = false;
			slot->failed = false;
			slot->want_notifier = false;
			slot->notifier_pid = 0;
		}
	}
	LWLockRelease(&chatroom_control->lock);
	return i;
}

/*
 * Make a segment, pinned so that it survives the tailer: interests and
 * waiters that are registered in it go on being served by the next one.
 */
static dsm_segment *
create_segment(Size bytes)
{
	dsm_segment *segment = NULL;
	MemoryContext old = CurrentMemoryContext;

	PG_TRY();
	{
		segment = dsm_create(bytes, DSM_CREATE_NULL_IF_MAXSEGMENTS);
	}
	PG_CATCH();
	{
		/* /dev/shm is full, or the like: say it, and do without */
		MemoryContextSwitchTo(old);
		EmitErrorReport();
		FlushErrorState();
		LWLockReleaseAll();
		segment = NULL;
	}
	PG_END_TRY();
	return segment;
}

/* Attach to a database's cache, or make it. */
static void
open_cache(TailerDatabase *db)
{
	XLogRecPtr	floor = Max(global_floor, db->floor);
	DatabaseSlot *slot;
	dsm_handle	handle;
	Size		bytes = chatroom_cache_bytes(chatroom_cache_size);
	bool		fresh = true;

	db->slot = take_slot(db->dboid);
	if (db->slot < 0)
	{
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("chatroom has no place for database %u", db->dboid),
				 errdetail("At most %d databases have a cache at a time.",
						   chatroom_control->ndatabases),
				 errhint("Raise chatroom.max_databases.")));
		return;
	}
	slot = &chatroom_control->databases[db->slot];
	handle = slot->handle;
	if (handle != DSM_HANDLE_INVALID)
	{
		db->segment = dsm_attach(handle);
		fresh = db->segment == NULL;
	}
	if (fresh)
	{
		db->segment = create_segment(bytes);
		if (db->segment != NULL)
			dsm_pin_segment(db->segment);
	}
	if (db->segment != NULL)
	{
		if (fresh)
			chatroom_cache_init(dsm_segment_address(db->segment), db->dboid,
								dsm_segment_map_length(db->segment),
								chatroom_control->tranche);
		db->cache = chatroom_cache_of(db->segment);
		chatroom_cache_lock(db->cache);
		chatroom_cache_empty(db->cache, floor, floor_fxid, caches_settled);

		/* a standby may not have replayed as far, so don't claim to */
		pg_atomic_write_u64(&db->cache->published,
							Min(floor, chatroom_wal_position()));
		pg_atomic_write_u64(&db->cache->held, 0);
		chatroom_cache_unlock(db->cache);
		chatroom_open_presence(db);
	}
	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	slot->wanted = false;
	slot->failed = db->segment == NULL;
	if (fresh)
	{
		slot->handle = db->segment != NULL ?
			dsm_segment_handle(db->segment) : DSM_HANDLE_INVALID;
		slot->generation++;
	}
	LWLockRelease(&chatroom_control->lock);
}

/* The tailer's view of a database, with its cache. */
TailerDatabase *
chatroom_tailer_database(Oid dboid)
{
	TailerDatabase *db;
	bool		found;

	db = hash_search(databases, &dboid, HASH_ENTER, &found);
	if (!found)
	{
		db->slot = -1;
		db->segment = NULL;
		db->cache = NULL;
		dlist_init(&db->queue);
		db->queued_bytes = 0;
		db->visible = 0;
		memset(&db->published, 0, sizeof(db->published));
		db->touched = false;
		/* who waits since an earlier tailer's time has to look again */
		db->wake_all = true;
		db->notify = false;
		db->opened = false;
		db->floor = InvalidXLogRecPtr;
		db->thrown_fxid = 0;
	}
	if (!db->opened)
	{
		db->opened = true;
		db->tried = chatroom_monotonic_us();
		open_cache(db);
	}
	return db;
}

/*
 * Try again to make a cache for which there was no memory, or no place.  What
 * was thrown away meanwhile is below its floor, and must have left ProcArray:
 * otherwise who starts at the floor would never hear of it.
 */
static void
retry_cache(TailerDatabase *db)
{
	uint64		now = chatroom_monotonic_us();
	MemoryContext old = CurrentMemoryContext;
	uint64		xmin;

	if (now - db->tried < RETRY_CACHE)
		return;
	db->tried = now;
	xmin = chatroom_widen_xid(chatroom_begin_look()->xmin);
	chatroom_end_look();
	MemoryContextSwitchTo(old);
	if (xmin <= db->thrown_fxid)
		return;
	floor_fxid = U64FromFullTransactionId(ReadNextFullTransactionId());
	open_cache(db);
}

/* Reading starts anew: the caches that are there are emptied. */
void
chatroom_publish_start(XLogRecPtr floor)
{
	global_floor = floor;
	floor_fxid = U64FromFullTransactionId(ReadNextFullTransactionId());
	caches_settled = false;
	for (int i = 0; i < chatroom_control->ndatabases; i++)
		if (OidIsValid(chatroom_control->databases[i].dboid))
			chatroom_tailer_database(chatroom_control->databases[i].dboid);
}

/*
 * All that committed up to the floor has left ProcArray.  Said of the moment
 * of the next xid, so that readers can tell snapshots taken later.
 */
void
chatroom_settle_caches(void)
{
	HASH_SEQ_STATUS status;
	TailerDatabase *db;

	floor_fxid = U64FromFullTransactionId(ReadNextFullTransactionId());
	caches_settled = true;
	hash_seq_init(&status, databases);
	while ((db = hash_seq_search(&status)) != NULL)
	{
		if (db->cache == NULL)
			continue;
		chatroom_cache_lock(db->cache);
		if (!db->cache->tail_settled)
		{
			db->cache->tail_settled = true;
			db->cache->tail_fxid = floor_fxid;
		}
		chatroom_cache_unlock(db->cache);
	}
}

/* Make the caches that readers ask for. */
void
chatroom_make_wanted_caches(void)
{
	for (int i = 0; i < chatroom_control->ndatabases; i++)
	{
		DatabaseSlot *slot = &chatroom_control->databases[i];
		TailerDatabase *db;

		if (!slot->wanted)
			continue;
		db = chatroom_tailer_database(slot->dboid);
		if (db->cache == NULL)
			retry_cache(db);
	}
}

/* Do something about each database that is known. */
void
chatroom_for_databases(void (*action) (TailerDatabase *, void *), void *arg)
{
	HASH_SEQ_STATUS status;
	TailerDatabase *db;

	hash_seq_init(&status, databases);
	while ((db = hash_seq_search(&status)) != NULL)
		action(db, arg);
}

/* Free a pending transaction. */
static void
free_pending(TailerDatabase *db, PendingTransaction *pending)
{
	dlist_delete(&pending->node);
	db->queued_bytes -= pending->bytes;
	queued_bytes -= pending->bytes;
	if (pending->messages != NULL)
		for (int i = 0; i < pending->count; i++)
			pfree(pending->messages[i]);
	MemoryContextDelete(pending->context);
}

/* Give up a database's cache and queue. */
static void
release_cache(TailerDatabase *db)
{
	while (!dlist_is_empty(&db->queue))
		free_pending(db, dlist_head_element(PendingTransaction, node,
											&db->queue));
	if (db->cache != NULL)
	{
		/* who has it mapped still reads it: let it answer nothing */
		chatroom_cache_lock(db->cache);
		chatroom_cache_empty(db->cache, PG_UINT64_MAX, PG_UINT64_MAX,
							 false);
		chatroom_cache_unlock(db->cache);
		chatroom_cache_discard(db->cache);
		chatroom_presence_close(db->cache);
		chatroom_waiters_wake_all(db->cache);
	}
	if (db->slot >= 0)
	{
		DatabaseSlot *slot = &chatroom_control->databases[db->slot];

		LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
		slot->handle = DSM_HANDLE_INVALID;
		slot->generation++;
		slot->failed = false;
		slot->dboid = InvalidOid;
		LWLockRelease(&chatroom_control->lock);
	}
	/* the notifier tells who listens, and leaves */
	if (db->cache != NULL)
		(void) chatroom_interest_wake(db->cache);
	if (db->segment != NULL)
	{
		dsm_unpin_segment(dsm_segment_handle(db->segment));
		dsm_detach(db->segment);
	}
	db->slot = -1;
	db->segment = NULL;
	db->cache = NULL;
	db->visible = 0;
	db->opened = false;
}

/*
 * A database was dropped, or moved to another tablespace, which looks the
 * same: then its cache is made anew, and knows nothing of before.
 */
void
chatroom_drop_database(Oid dboid, XLogRecPtr lsn)
{
	TailerDatabase *db;

	db = hash_search(databases, &dboid, HASH_FIND, NULL);
	if (db != NULL)
		db->floor = lsn;
	if (db != NULL && db->opened)
	{
		release_cache(db);
		return;
	}
	/* a reader may have asked for a cache that wasn't made yet */
	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	for (int i = 0; i < chatroom_control->ndatabases; i++)
		if (chatroom_control->databases[i].dboid == dboid)
			chatroom_control->databases[i].dboid = InvalidOid;
	LWLockRelease(&chatroom_control->lock);
}

/* The tailer stops for good: give all memory back. */
void
chatroom_release_caches(void)
{
	HASH_SEQ_STATUS status;
	TailerDatabase *db;

	hash_seq_init(&status, databases);
	while ((db = hash_seq_search(&status)) != NULL)
		if (db->opened)
			release_cache(db);
}

/* -------------------------------------------------------------- queueing */

/* Put something at the end of a database's queue. */
static void
enqueue(TailerDatabase *db, PendingTransaction *pending)
{
	dlist_push_tail(&db->queue, &pending->node);
	db->queued_bytes += pending->bytes;
	queued_bytes += pending->bytes;
}

/* One that is to be published; "lsn" is where it stands in commit order. */
PendingTransaction *
chatroom_new_pending(XLogRecPtr lsn, TransactionId xid, uint64 fxid)
{
	MemoryContext context = AllocSetContextCreate(publish_context,
												  "chatroom pending",
												  ALLOCSET_SMALL_SIZES);
	PendingTransaction *pending =
		MemoryContextAllocZero(context, sizeof(PendingTransaction));

	pending->context = context;
	pending->lsn = lsn;
	pending->xid = xid;
	pending->fxid = fxid;
	return pending;
}

/* A transaction has committed: it is published when it can be seen. */
void
chatroom_enqueue(Oid dboid, PendingTransaction *pending)
{
	TailerDatabase *db = chatroom_tailer_database(dboid);

	pending->bytes += PENDING_OVERHEAD;
	enqueue(db, pending);
	if (db->cache == NULL)
	{
		db->floor = pending->lsn;
		db->thrown_fxid = Max(db->thrown_fxid, pending->fxid);
		free_pending(db, pending);
	}
}

/*
 * What a transaction did to a database can't be told: this is published in
 * its stead.  xid is invalid where it was none.
 */
static PendingTransaction *
enqueue_reset(TailerDatabase *db, XLogRecPtr lsn, TransactionId xid,
			  uint64 fxid, ResetReason reason)
{
	PendingTransaction *pending;

	if (db->cache == NULL)
	{
		db->floor = lsn;
		db->thrown_fxid = Max(db->thrown_fxid, fxid);
		return NULL;
	}
	pending = chatroom_new_pending(lsn, xid, fxid);
	pending->reset = reason;
	pending->bytes = PENDING_OVERHEAD;
	enqueue(db, pending);
	return pending;
}

Size
chatroom_queued_bytes(void)
{
	return queued_bytes;
}

/* What happened up to lsn can't be told, in a database. */
void
chatroom_reset_database(Oid dboid, XLogRecPtr lsn, ResetReason reason)
{
	enqueue_reset(chatroom_tailer_database(dboid), lsn, InvalidTransactionId,
				  0, reason);
}

/*
 * The same in any database, because of a transaction or (xid is invalid) for
 * other reasons.
 */
void
chatroom_reset_all(XLogRecPtr lsn, TransactionId xid, uint64 fxid,
				   ResetReason reason)
{
	HASH_SEQ_STATUS status;
	TailerDatabase *db;

	global_floor = Max(global_floor, lsn);
	hash_seq_init(&status, databases);
	while ((db = hash_seq_search(&status)) != NULL)
		enqueue_reset(db, lsn, xid, fxid, reason);
}

/* Take a queued transaction's xids over into another's. */
static void
take_xids(PendingTransaction *to, const PendingTransaction *from)
{
	int			n = 0;
	const TransactionId *xids = NULL;

	if (from->reset != RESET_REASON_NONE && from->nxids > 0)
	{
		n = from->nxids;
		xids = from->xids;
	}
	else if (TransactionIdIsValid(from->xid))
	{
		n = 1;
		xids = &from->xid;
	}
	while (to->nxids + n > to->xids_room)
	{
		to->xids_room = Max(to->xids_room * 2, 64);
		to->xids = to->xids == NULL ?
			MemoryContextAllocHuge(to->context,
								   sizeof(TransactionId) * to->xids_room) :
			repalloc_huge(to->xids, sizeof(TransactionId) * to->xids_room);
	}
	if (n > 0)
		memcpy(to->xids + to->nxids, xids, sizeof(TransactionId) * n);
	to->nxids += n;
}

/*
 * So much waits behind a transaction that is held that the ring would not
 * hold it: forget it, and tell that, when all of it can be seen.
 */
static void
limit_queue(TailerDatabase *db)
{
	dlist_node *first;
	PendingTransaction *reset;
	XLogRecPtr	lsn;

	if (db->queued_bytes <= db->cache->ring_size)
		return;
	first = dlist_head_node(&db->queue);
	if (!dlist_has_next(&db->queue, first))
		return;
	lsn = dlist_tail_element(PendingTransaction, node, &db->queue)->lsn;
	reset = enqueue_reset(db, lsn, InvalidTransactionId, 0,
						  RESET_REASON_OVERWRITTEN);
	for (;;)
	{
		PendingTransaction *next;

		next = dlist_container(PendingTransaction, node,
							   dlist_next_node(&db->queue, first));
		if (next == reset)
			break;
		take_xids(reset, next);
		free_pending(db, next);
	}
}

/* ----------------------------------------------------------- descriptors */

/*
 * Remember a descriptor whose message starts at lsn.  own: the tailer repeats
 * it, which tells nothing new to who knows it.
 */
void
chatroom_know_descriptor(Oid dboid, const char *body, int len, XLogRecPtr lsn,
						 bool own)
{
	KnownDescriptor *known;
	MemoryContext context;
	MemoryContext old;
	DescriptorKey key;
	Descriptor	descriptor;
	ByteReader	reader;
	char	   *copy;
	bool		found;

	context = AllocSetContextCreate(publish_context, "chatroom descriptor",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	copy = palloc(len);
	memcpy(copy, body, len);
	reader.pos = copy;
	reader.end = copy + len;
	reader.failed = false;
	if (!chatroom_decode_descriptor(&reader, &descriptor))
	{
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		pg_atomic_fetch_add_u64(&chatroom_control->messages_torn, 1);
		return;
	}
	MemoryContextSwitchTo(old);

	/* more than anybody's schema has: forget the ones not used lately */
	if (hash_get_num_entries(descriptors) >= MAX_DESCRIPTORS)
	{
		HASH_SEQ_STATUS status;

		hash_seq_init(&status, descriptors);
		while ((known = hash_seq_search(&status)) != NULL)
		{
			if (known->used)
				continue;
			MemoryContextDelete(known->context);
			hash_search(descriptors, &known->key, HASH_REMOVE, NULL);
		}
	}
	memset(&key, 0, sizeof(key));
	key.id = descriptor.id;
	key.dboid = dboid;
	known = hash_search(descriptors, &key, HASH_ENTER, &found);
	if (found && own)
	{
		MemoryContextDelete(context);
		return;
	}
	if (found)
		MemoryContextDelete(known->context);
	known->context = context;
	known->descriptor = descriptor;
	known->body = copy;
	known->len = len;
	known->logged = lsn;
	known->used = true;
}

/* The descriptor of an event, or NULL where it isn't known. */
static const Descriptor *
find_descriptor(Oid dboid, uint64 id)
{
	DescriptorKey key;
	KnownDescriptor *known;

	memset(&key, 0, sizeof(key));
	key.id = id;
	key.dboid = dboid;
	known = hash_search(descriptors, &key, HASH_FIND, NULL);
	if (known == NULL)
		return NULL;
	known->used = true;
	return &known->descriptor;
}

/* An event of it was read: whoever starts reading here will want it. */
void
chatroom_use_descriptor(Oid dboid, uint64 id)
{
	static Oid	last_dboid = InvalidOid;
	static uint64 last_id = 0;
	static XLogRecPtr last_anchor = InvalidXLogRecPtr;

	if (id == last_id && dboid == last_dboid &&
		last_anchor == chatroom_last_anchor())
		return;
	(void) find_descriptor(dboid, id);
	last_id = id;
	last_dboid = dboid;
	last_anchor = chatroom_last_anchor();
}

/*
 * Log the descriptors that are not to be had from WAL after the restart point
 * of an anchor that is logged now:
 *
 * - those of events read since the last anchor: older ones of transactions
 *	 that are open still are after that anchor's restart point, and so are its
 *	 descriptors;
 * - those logged since the redo point of now: writers don't log them again.
 */
void
chatroom_log_known_descriptors(void)
{
	HASH_SEQ_STATUS status;
	KnownDescriptor *known;
	StringInfoData buf;
	XLogRecPtr	redo = GetRedoRecPtr();

	initStringInfo(&buf);
	hash_seq_init(&status, descriptors);
	while ((known = hash_seq_search(&status)) != NULL)
	{
		if (!known->used && known->logged < redo)
			continue;
		known->used = false;
		resetStringInfo(&buf);
		chatroom_start_message(&buf);
		chatroom_put_vint(&buf, known->key.dboid);
		appendBinaryStringInfo(&buf, known->body, known->len);
		chatroom_log(MESSAGE_KNOWN, buf.data, buf.len, false);
	}
	pfree(buf.data);
}

/* -------------------------------------------------------------- publishing */

/* Have a mark follow the batch's events. */
static void
add_mark(uint64 hash, XLogRecPtr lsn, bool lost)
{
	Mark		mark = {hash, lsn, lost};

	if (marks.len > 0 &&
		memcmp(marks.data + marks.len - sizeof(mark), &mark,
			   sizeof(mark)) == 0)
		return;
	appendBinaryStringInfo(&marks, (char *) &mark, sizeof(mark));
	marked++;
}

/* Have a raised floor follow the batch's events. */
static void
add_floor(XLogRecPtr lsn, ResetReason reason)
{
	batch_floor = lsn;
	batch_floor_reason = reason;
}

/* Reset what comes under a base: its rows' topics, or all. */
static void
mark_base(TailerDatabase *db, const Piece *base, MarkKind kind,
		  XLogRecPtr lsn)
{
	add_mark(chatroom_mark_hash(db->cache, base->data, base->len, kind), lsn,
			 false);
	db->wake_all = true;
}

/*
 * Reset the topics of the prefix that a base's table may be of: what becomes
 * of one of its tables can't be told in them, either.
 */
static void
mark_schema(TailerDatabase *db, const Piece *base, XLogRecPtr lsn)
{
	int			len = chatroom_identifier_len(base->data, base->len);

	if (len < base->len && base->data[len] == '.')
		add_mark(chatroom_mark_hash(db->cache, base->data, len, MARK_SCHEMA),
				 lsn, false);
}

/* Reset what a reset message speaks of. */
static void
add_reset(TailerDatabase *db, const ResetEvent *reset, XLogRecPtr lsn)
{
	if (reset->scope == RESET_DATABASE)
		add_floor(lsn, (ResetReason) reset->reason);
	else
		mark_base(db, &reset->base, MARK_BASE, lsn);
	if (reset->scope == RESET_BASE)
		mark_schema(db, &reset->base, lsn);
}

/* Does a topic come under a base? */
static bool
under_base(const Descriptor *descriptor, const Piece *topic)
{
	return topic->len >= descriptor->base.len &&
		memcmp(topic->data, descriptor->base.data, descriptor->base.len) == 0;
}

/*
 * Reset the topics of a row event that is not published itself.  Where the
 * transaction has too many for the topic table, all of the table's: or their
 * marks would push everybody else's topics out.
 */
static void
mark_row(TailerDatabase *db, const Descriptor *descriptor,
		 const RowEvent *event, XLogRecPtr lsn)
{
	Piece		topics[CHATROOM_MAX_TOPICS];
	bool		many;
	int			n;

	many = marked > chatroom_cache_max_marks(db->cache);
	resetStringInfo(&topics_text);
	n = chatroom_row_topics(descriptor, event, &topics_text, topics, NULL);
	if (many)
		mark_base(db, &descriptor->base, MARK_BASE, lsn);
	for (int i = 0; i < n; i++)
		if (!many || !under_base(descriptor, &topics[i]))
			add_mark(chatroom_topic_hash(db->cache, topics[i].data,
										 topics[i].len), lsn, true);
}

/* The event that stands at an offset of the batch; moves when it grows. */
#define EVENT(start)	((RingEvent *) (batch.data + (start)))

/* How a message fares. */
typedef enum BuildResult
{
	BUILD_OK,
	BUILD_UNKNOWN				/* its descriptor isn't known, or the like */
} BuildResult;

/*
 * Turn a message into an event in the batch; or, with mark_only, into marks
 * on its topics.
 */
static BuildResult
build_event(TailerDatabase *db, const EventFrame *frame,
			MessageKind kind, const char *data, int len, bool mark_only)
{
	ByteReader	reader = {data, data + len, false};
	int			start = batch.len;

	if (kind == MESSAGE_FUTURE)
		return BUILD_UNKNOWN;
	if (kind == MESSAGE_ROW)
	{
		uint64		id;
		uint32		command;
		const Descriptor *descriptor;
		RowEvent	event;

		if (!chatroom_peek_row(reader, &id, &command))
			return BUILD_UNKNOWN;
		descriptor = find_descriptor(db->dboid, id);
		if (descriptor == NULL ||
			!chatroom_decode_row(&reader, descriptor, &event))
			return BUILD_UNKNOWN;
		if (event.type == EVENT_TRUNCATE)
		{
			mark_base(db, &descriptor->base, MARK_SUBTOPICS, frame->lsn);
			mark_schema(db, &descriptor->base, frame->lsn);
		}
		if (mark_only)
		{
			mark_row(db, descriptor, &event, frame->lsn);
			return BUILD_OK;
		}
		chatroom_build_row(&batch, frame, descriptor, &event, false);
		if (EVENT(start)->len > chatroom_cache_max_event(db->cache))
		{
			batch.len = start;
			chatroom_build_row(&batch, frame, descriptor, &event, true);
		}
		if (EVENT(start)->len > chatroom_cache_max_event(db->cache))
		{
			/* those who saw it go are too many */
			batch.len = start;
			mark_base(db, &descriptor->base, MARK_BASE, frame->lsn);
			mark_schema(db, &descriptor->base, frame->lsn);
			mark_row(db, descriptor, &event, frame->lsn);
			return BUILD_OK;
		}
		if (EVENT(start)->flags & RING_OVERSIZE)
			pg_atomic_fetch_add_u64(&db->cache->stats.oversize, 1);
	}
	else if (kind == MESSAGE_BROADCAST)
	{
		BroadcastEvent event;

		if (!chatroom_decode_broadcast(&reader, &event))
			return BUILD_UNKNOWN;
		if (mark_only ||
			event.payload.len > chatroom_cache_max_event(db->cache) / 2)
			add_mark(chatroom_topic_hash(db->cache, event.topic.data,
										 event.topic.len), frame->lsn, true);
		else
			chatroom_build_broadcast(&batch, frame, &event);
	}
	else if (kind == MESSAGE_PRESENCE)
	{
		PresenceMessage message;

		if (!chatroom_decode_presence(&reader, &message))
			return BUILD_UNKNOWN;
		for (int i = 0; i < message.nitems; i++)
		{
			const PresenceItem *item = &message.items[i];

			if (mark_only)
				add_mark(chatroom_topic_hash(db->cache, item->topic.data,
											 item->topic.len), frame->lsn,
						 true);
			else
				chatroom_build_presence(&batch, frame, message.action, item,
										&message.origin);
		}
	}
	else if (kind == MESSAGE_RESET)
	{
		ResetEvent	reset;

		if (!chatroom_decode_reset(&reader, &reset))
			return BUILD_UNKNOWN;
		add_reset(db, &reset, frame->lsn);
	}
	return BUILD_OK;
}

/* Called for each message of a transaction that is read again. */
typedef void (*RereadCallback) (TailerDatabase *db, void *state,
								XLogRecPtr lsn, uint32 command,
								MessageKind kind, const char *data, int len);

/* qsort and bsearch comparator of xids, by number. */
static int
compare_xids(const void *a, const void *b)
{
	TransactionId left = *(const TransactionId *) a;
	TransactionId right = *(const TransactionId *) b;

	return left < right ? -1 : left > right;
}

/* Read a transaction's WAL again; false where it isn't there any more. */
static bool
reread_transaction(TailerDatabase *db, PendingTransaction *pending,
				   RereadCallback callback, void *state)
{
	XLogReaderState *reader;
	bool		complete = false;

	pg_atomic_fetch_add_u64(&chatroom_control->transactions_reread, 1);
	qsort(pending->xids, pending->nxids, sizeof(TransactionId),
		  compare_xids);
	if (pending->first_lsn < chatroom_oldest_wal())
		return false;
	reader = chatroom_open_wal(NULL);
	chatroom_begin_wal(reader, pending->first_lsn);
	for (;;)
	{
		char	   *error;
		XLogRecord *record = XLogReadRecord(reader, &error);
		TransactionId xid;
		ByteReader	body;
		MessageKind kind;
		bool		torn;
		uint32		command;

		CHECK_FOR_INTERRUPTS();
		if (record == NULL)
			break;
		if (reader->EndRecPtr >= pending->lsn)
		{
			complete = true;
			break;
		}
		if (!chatroom_is_message(reader, &torn))
			continue;
		xid = XLogRecGetXid(reader);
		if (bsearch(&xid, pending->xids, pending->nxids,
					sizeof(TransactionId), compare_xids) == NULL)
			continue;
		if (!((xl_logical_message *) XLogRecGetData(reader))->transactional ||
			chatroom_open_message(reader, &body, &kind) == HEADER_FORGED ||
			!chatroom_message_order(kind, body, db->dboid, &command))
			continue;
		callback(db, state, reader->ReadRecPtr, command, kind, body.pos,
				 (int) (body.end - body.pos));
	}
	chatroom_close_wal(reader);
	return complete;
}

/* What keep_again gathers. */
typedef struct KeptAgain
{
	MemoryContext context;
	Message   **messages;
	int			count;
	int			room;
} KeptAgain;

static void append_batch(TailerDatabase *db);

/* RereadCallback: keep the message. */
static void
keep_again(TailerDatabase *db, void *state, XLogRecPtr lsn, uint32 command,
		   MessageKind kind, const char *data, int len)
{
	KeptAgain  *kept = (KeptAgain *) state;
	Message    *message;

	if (kept->count >= kept->room)
		return;
	message = MemoryContextAllocHuge(kept->context,
									 offsetof(Message, data) + len);
	message->lsn = lsn;
	message->command = command;
	message->kind = kind;
	message->len = len;
	memcpy(message->data, data, len);
	kept->messages[kept->count++] = message;
}

/* Turn one message into an event or marks. */
static void
add_message(TailerDatabase *db, const EventFrame *frame, MessageKind kind,
			const char *data, int len, bool mark_only)
{
	MemoryContext old = MemoryContextSwitchTo(event_context);

	if (build_event(db, frame, kind, data, len, mark_only) == BUILD_UNKNOWN)
	{
		/* what can't be read can't be told: all who follow reload */
		add_floor(frame->lsn, RESET_REASON_FLOOR);
		db->wake_all = true;
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(event_context);
}

/* RereadCallback: mark the message's topics. */
static void
mark_again(TailerDatabase *db, void *state, XLogRecPtr lsn, uint32 command,
		   MessageKind kind, const char *data, int len)
{
	add_message(db, (const EventFrame *) state, kind, data, len, true);
	if (marks.len > MARK_BYTES)
		append_batch(db);
}

/*
 * Get back the messages of a transaction that were not kept, where it may fit
 * the ring; false where they can't be had.
 */
static bool
recover_messages(TailerDatabase *db, PendingTransaction *pending)
{
	KeptAgain	kept;

	if (pending->bytes > chatroom_cache_max_transaction(db->cache))
		return false;
	/* so that all of it goes back when the transaction is published */
	kept.context = pending->context;
	kept.messages = MemoryContextAllocHuge(pending->context,
										   sizeof(Message *) *
										   pending->count);
	kept.count = 0;
	kept.room = pending->count;
	if (!reread_transaction(db, pending, keep_again, &kept) ||
		kept.count != pending->count)
	{
		while (kept.count > 0)
			pfree(kept.messages[--kept.count]);
		return false;
	}
	chatroom_sort_messages(kept.messages, kept.count);
	pending->messages = kept.messages;
	return true;
}

/* Put a transaction's events into the batch; false where it is too large. */
static bool
build_transaction(TailerDatabase *db, PendingTransaction *pending,
				  const EventFrame *frame)
{
	int			start = batch.len;
	int			first_mark = marks.len;

	if (pending->messages == NULL && !recover_messages(db, pending))
		return false;
	for (int i = 0; i < pending->count; i++)
	{
		add_message(db, frame, pending->messages[i]->kind,
					pending->messages[i]->data, pending->messages[i]->len,
					false);
		if (batch.len - start > chatroom_cache_max_transaction(db->cache))
		{
			batch.len = start;
			marks.len = first_mark;
			return false;
		}
		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* Reset the topics of a transaction that is larger than the ring. */
static void
mark_transaction(TailerDatabase *db, PendingTransaction *pending,
				 EventFrame *frame)
{
	marked = 0;
	pg_atomic_fetch_add_u64(&db->cache->stats.large_transactions, 1);
	chatroom_build_marker(&batch, frame);
	if (pending->messages != NULL)
	{
		for (int i = 0; i < pending->count; i++)
			mark_again(db, frame, 0, 0, pending->messages[i]->kind,
					   pending->messages[i]->data, pending->messages[i]->len);
	}
	else if (!reread_transaction(db, pending, mark_again, frame))
	{
		add_floor(pending->lsn, RESET_REASON_LARGE);
		db->wake_all = true;
	}
}

/* Under all stripes: something happened to a topic. */
static void
note_topic(TailerDatabase *db, uint64 hash, XLogRecPtr lsn)
{
	topic_bits_add(&db->published, hash);
	db->touched = true;
	if (chatroom_interest_published(db->cache, hash, lsn))
		db->notify = true;
}

/* Empty a buffer, and let it go where a rare transaction made it large. */
static void
empty_buffer(StringInfo buf)
{
	MemoryContext old;

	resetStringInfo(buf);
	if (buf->maxlen <= 4 * BATCH_BYTES)
		return;
	pfree(buf->data);
	old = MemoryContextSwitchTo(publish_context);
	initStringInfo(buf);
	MemoryContextSwitchTo(old);
}

/* Append the batch to the ring, and what follows it. */
static void
append_batch(TailerDatabase *db)
{
	Cache	   *cache = db->cache;
	const Mark *mark = (const Mark *) marks.data;
	int			nmarks = marks.len / sizeof(Mark);
	int			n = 0;

	if (batch.len == 0 && nmarks == 0 && batch_floor == InvalidXLogRecPtr)
		return;
	chatroom_cache_lock(cache);
	for (int at = 0; at < batch.len; at += EVENT(at)->len)
	{
		const RingEvent *event = EVENT(at);

		chatroom_cache_append(cache, event);
		for (int i = 0; i < event->nlinks; i++)
			note_topic(db, event->links[i].hash, event->lsn);
		if (event->nlinks > 0)
			n++;
	}
	for (int i = 0; i < nmarks; i++)
	{
		chatroom_cache_mark_topic(cache, mark[i].hash, mark[i].lsn,
								  mark[i].lost);
		note_topic(db, mark[i].hash, mark[i].lsn);
	}
	if (batch_floor != InvalidXLogRecPtr)
		chatroom_cache_raise_floor(cache, batch_floor, batch_floor_reason);
	chatroom_cache_unlock(cache);

	pg_atomic_fetch_add_u64(&cache->stats.events, n);
	pg_atomic_fetch_add_u64(&cache->stats.bytes, batch.len);
	empty_buffer(&batch);
	empty_buffer(&marks);
	batch_floor = InvalidXLogRecPtr;
}

/*
 * A fresh snapshot, for a moment: RecentXmin must be of now, or old xids look
 * long gone.  Not serializable, whatever the default, for that doesn't go on
 * a standby, and may wait.
 */
Snapshot
chatroom_begin_look(void)
{
	StartTransactionCommand();
	XactIsoLevel = XACT_READ_COMMITTED;
	return GetTransactionSnapshot();
}

void
chatroom_end_look(void)
{
	CommitTransactionCommand();
}

/* Is a transaction, or one of many, still in ProcArray? */
static bool
is_held(const PendingTransaction *pending, Snapshot snapshot)
{
	if (TransactionIdIsValid(pending->xid) &&
		XidInMVCCSnapshot(pending->xid, snapshot))
		return true;
	if (pending->reset != RESET_REASON_NONE)
		for (int i = 0; i < pending->nxids; i++)
			if (XidInMVCCSnapshot(pending->xids[i], snapshot))
				return true;
	return false;
}

/*
 * Count, in each database, the transactions at the queue's head that have
 * left ProcArray.
 */
static void
find_visible(void)
{
	HASH_SEQ_STATUS status;
	TailerDatabase *db;
	Snapshot	snapshot;

	snapshot = chatroom_begin_look();
	hash_seq_init(&status, databases);
	while ((db = hash_seq_search(&status)) != NULL)
	{
		dlist_iter	iter;

		dlist_foreach(iter, &db->queue)
		{
			PendingTransaction *pending;

			pending = dlist_container(PendingTransaction, node, iter.cur);
			if (is_held(pending, snapshot))
				break;
			db->visible++;
		}
	}
	chatroom_end_look();
}

/* Publish the first of a database's queue. */
static void
publish_first(TailerDatabase *db, uint64 next_fxid)
{
	PendingTransaction *pending = dlist_head_element(PendingTransaction, node,
													 &db->queue);
	EventFrame	frame;

	frame.seed = db->cache->seed;
	frame.lsn = pending->lsn;
	frame.fxid = pending->fxid;
	frame.next_fxid = next_fxid;
	frame.at = pending->at;
	if (pending->reset != RESET_REASON_NONE)
	{
		/* of many, or of nobody knows which: no older snapshot sees them */
		if (frame.fxid == 0)
			frame.fxid = next_fxid;
		chatroom_build_marker(&batch, &frame);
		add_floor(pending->lsn, pending->reset);
		db->wake_all = true;
	}
	else
	{
		if (!build_transaction(db, pending, &frame))
		{
			append_batch(db);
			mark_transaction(db, pending, &frame);
		}
		pg_atomic_fetch_add_u64(&db->cache->stats.transactions, 1);
	}
	free_pending(db, pending);
	if (batch.len >= BATCH_BYTES || marks.len >= MARK_BYTES)
		append_batch(db);
}

/*
 * Publish a database's queue up to the first transaction that is still to
 * leave ProcArray.  up_to: all that committed before it has been read.
 */
static void
publish_database(TailerDatabase *db, XLogRecPtr up_to)
{
	uint64		held = 0;
	uint64		next_fxid;

	if (db->cache == NULL)
		return;
	if (dlist_is_empty(&db->queue))
	{
		/* as most databases: nothing is held, or to be told */
		if (pg_atomic_read_u64(&db->cache->published) < up_to)
			pg_atomic_write_u64(&db->cache->published, up_to);
		return;
	}
	/* after find_visible: see the scan in read/snapshot.c */
	next_fxid = U64FromFullTransactionId(ReadNextFullTransactionId());
	for (; db->visible > 0; db->visible--)
	{
		/* a reset may be of a place just behind what was read */
		up_to = Max(up_to, dlist_head_element(PendingTransaction, node,
											  &db->queue)->lsn);
		publish_first(db, next_fxid);
	}
	append_batch(db);
	if (!dlist_is_empty(&db->queue))
	{
		PendingTransaction *first;

		limit_queue(db);
		first = dlist_head_element(PendingTransaction, node, &db->queue);
		up_to = Min(up_to, first->lsn - 1);
		held = Max(first->fxid, 1);
	}
	pg_atomic_write_u64(&db->cache->held, held);
	pg_write_barrier();
	if (pg_atomic_read_u64(&db->cache->published) < up_to)
		pg_atomic_write_u64(&db->cache->published, up_to);
}

/* Wake those who wait for what was published. */
static void
wake_readers(TailerDatabase *db)
{
	if (db->cache == NULL || !(db->wake_all || db->touched))
		return;
	if (db->wake_all)
	{
		XLogRecPtr	published = pg_atomic_read_u64(&db->cache->published);

		chatroom_waiters_wake_all(db->cache);
		if (chatroom_interest_mark_all(db->cache, published))
			db->notify = true;
	}
	else
		chatroom_waiters_wake(db->cache, &db->published);
	if (db->notify)
		chatroom_wake_notifier(db->cache, db->slot);
	memset(&db->published, 0, sizeof(db->published));
	db->touched = false;
	db->wake_all = false;
	db->notify = false;
}

/*
 * Publish what can be; up_to: all that committed before it has been read.
 * Returns whether a transaction is held.
 */
bool
chatroom_publish(XLogRecPtr up_to)
{
	HASH_SEQ_STATUS status;
	TailerDatabase *db;
	bool		held = false;
	MemoryContext old = MemoryContextSwitchTo(publish_context);

	if (queued_bytes > 0)
	{
		find_visible();
		MemoryContextSwitchTo(publish_context);
	}
	hash_seq_init(&status, databases);
	while ((db = hash_seq_search(&status)) != NULL)
	{
		publish_database(db, up_to);
		held = held || !dlist_is_empty(&db->queue);
		wake_readers(db);
	}
	MemoryContextSwitchTo(old);
	return held;
}
