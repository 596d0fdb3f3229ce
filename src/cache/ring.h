/*-------------------------------------------------------------------------
 *
 * ring.h
 *	  The cache of one database: a ring of events in shared memory.
 *
 * Words:
 *
 * - position: an ever-growing 64-bit offset; an event stands in the ring at
 *	 position % ring_size, in one piece.  tail <= position < head are there.
 * - chain: the events of one topic, newest first.  An event has a link for
 *	 each of its topics; links are immutable and point backward.
 * - jump: a link's second pointer, further back (a skew-binary list, as in
 *	 Myers, "An applicative random-access stack"), by which any event of the
 *	 chain is found in O(log n) steps.
 * - mark: the LSN up to which nothing can be said about what the topic table
 *	 has forgotten, one per hash bucket.
 *
 * Locking: the tailer takes all stripes exclusively to change anything, a
 * reader its own stripe shared.  "published" is an atomic that moves after
 * the events it stands for are in the ring: a reader that reads it first and
 * the chains afterwards misses nothing up to it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_RING_H
#define CHATROOM_RING_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "base/event.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/dsm.h"
#include "storage/lwlock.h"

#define CHATROOM_STRIPES		16
#define TOPIC_WAYS				8	/* entries in a bucket of topics */

/* Most bytes that a reader copies under one hold of its stripe. */
#define READ_CHUNK				(64 * 1024)

/*
 * A chain's first event has this index: so that each chain of some hundred
 * events passes 2^32, which others do after years.
 */
#define RING_FIRST_INDEX		((uint64) PG_UINT32_MAX - 300)

/* No position: of a topic that the table forgot, or that a reset ended. */
#define POSITION_EVICTED		0
#define POSITION_LARGE			1

/* One topic of one event. */
typedef struct RingLink
{
	uint64		hash;			/* of the topic */
	uint64		prev_pos;		/* event of the topic before, or POSITION_* */
	XLogRecPtr	prev_lsn;		/* its LSN, or an upper bound of it */
	uint64		jump_pos;		/* 0: none */
	XLogRecPtr	jump_lsn;
	uint64		index;			/* RING_FIRST_INDEX, … along the chain */
	uint64		jump_index;
	uint32		name;			/* offset of the topic's text */
	uint16		name_len;
	uint16		images;			/* TOPIC_OF_*: which row is in the topic */
} RingLink;

/* One column inside an event's row, old row or hidden policy values. */
typedef struct RingColumn
{
	int16		attnum;
	uint16		name_len;		/* bytes of the name's JSON, with quotes */
	uint32		start;			/* offset from the event's start */
	int32		len;			/* bytes; -1: NULL (of raw values) */
	uint32		flags;			/* COLUMN_*, and RING_COLUMN_* */
} RingColumn;

/* The column's value differs between old and new (bit of RingColumn.flags). */
#define RING_COLUMN_CHANGED		0x80

#define RING_OVERSIZE			0x01
#define RING_OLD_VISIBLE		0x02	/* has an old row part */
#define RING_POLICIES			0x04	/* table had row-level security */
#define RING_AUDIENCE			0x08	/* tells who saw a room go */
#define RING_FILLER				0x80	/* skips the rest of the ring */

/*
 * An event in the ring.  Offsets are bytes from its start; 0 stands for a
 * part that is not there.
 *
 * "tail" is the answer's JSON from "table" on, closed by "}", as a caller
 * sees it who may see all columns.  The columns' parts point into it, so that
 * others get their row put together from pieces.
 */
typedef struct RingEvent
{
	uint32		len;			/* of all of it, MAXALIGNed */
	uint8		type;			/* EventType */
	uint8		flags;			/* RING_* */
	uint16		nlinks;
	XLogRecPtr	lsn;			/* end of the commit record, or message */
	uint64		fxid;			/* full xid; 0: non-transactional */
	uint64		next_fxid;		/* next xid when this was published */
	uint64		before;			/* position of the event before; 0: none */
	TimestampTz at;				/* commit time */
	Oid			relid;			/* InvalidOid: no table's */
	uint16		nrow;			/* RingColumns of the row ... */
	uint16		nold;			/* ... of the old row ... */
	uint16		nnew_policy;	/* ... raw values for policies, new ... */
	uint16		nold_policy;	/* ... and old image */
	uint16		nkey;			/* of the key, where row_columns lack it ... */
	uint16		nold_key;		/* ... and of the old key, where it changed */
	uint32		row_columns;	/* offset of their arrays */
	uint32		old_columns;
	uint32		new_policy_columns;
	uint32		old_policy_columns; /* may be new_policy_columns */
	uint32		key_columns;
	uint32		old_key_columns;
	uint32		tail;			/* offset of the JSON */
	uint32		tail_len;
	/* parts of the tail, for those who may not see all, and events() */
	uint32		table,
				table_len;		/* JSON string */
	uint32		key,
				key_len;		/* JSON object or null; presence: string */
	uint32		row,
				row_len;		/* JSON object or null */
	uint32		old,
				old_len;
	uint32		changed,
				changed_len;	/* JSON array or null */
	uint32		old_key,
				old_key_len;	/* not in the tail: JSON object */
	uint32		payload,
				payload_len;	/* of a broadcast: JSON; presence: meta */
	uint32		event,
				event_len;		/* of a broadcast: its name, JSON string */
	uint32		origin,
				origin_len;		/* JSON string or null */
	uint32		at_json,
				at_len;			/* JSON string */
	uint32		audience,
				audience_len;	/* not in the tail; see RowEvent */
	RingLink	links[FLEXIBLE_ARRAY_MEMBER];
} RingEvent;

typedef struct RingTopic
{
	uint64		hash;			/* 0: unused */
	uint64		newest_pos;		/* or POSITION_* */
	XLogRecPtr	newest_lsn;
} RingTopic;

typedef struct CacheStats
{
	pg_atomic_uint64 events;	/* published */
	pg_atomic_uint64 transactions;
	pg_atomic_uint64 bytes;		/* written to the ring */
	pg_atomic_uint64 overwritten;	/* events gone from the ring */
	pg_atomic_uint64 oversize;
	pg_atomic_uint64 large_transactions;
	pg_atomic_uint64 topics_evicted;
	pg_atomic_uint64 syncs;		/* answers of sync, sync_many, wait, events */
	pg_atomic_uint64 syncs_with_news;
	pg_atomic_uint64 waits;
	pg_atomic_uint64 notifies;	/* NOTIFYs sent */
	pg_atomic_uint64 notify_batches;
	pg_atomic_uint64 presence_refused;	/* calls of track(): no room, quota */
	pg_atomic_uint64 resets[RESET_REASONS];
} CacheStats;

typedef struct Cache
{
	uint32		magic;
	Oid			dboid;
	uint64		seed;			/* of topic hashes; random */
	uint64		ring_size;		/* bytes, MAXALIGNed */
	uint32		nbuckets;		/* power of 2 */
	uint32		nmarks;			/* power of 2 */
	uint32		nwaiters;		/* length of the waiters' array */
	uint32		ninterests;		/* length of the interest table */
	uint32		npresence;		/* entries of presence */
	/* offsets from the segment's start */
	uint64		topics_offset;
	uint64		marks_offset;
	uint64		waiters_offset;
	uint64		interest_offset;
	uint64		presence_offset;
	uint64		ring_offset;

	/* Under all stripes: */
	uint64		tail;			/* oldest position kept */
	uint64		head;			/* where the next event goes */
	uint64		newest;			/* position of the newest event; 0: none */
	uint64		tail_fxid;		/* next_fxid of the newest one overwritten */
	bool		tail_settled;	/* what ended before has left ProcArray */
	XLogRecPtr	floor;			/* a cursor before this is reset */
	uint8		floor_reason;	/* ResetReason */
	XLogRecPtr	lost;			/* of any topic nothing behind it is lost */
	int64		nevents;		/* in the ring */
	TimestampTz last_event;		/* commit time of the newest event */

	/* All that committed up to here in this database is in the ring. */
	pg_atomic_uint64 published;

	/* A transaction that committed, and hasn't left ProcArray; 0: none. */
	pg_atomic_uint64 held;

	/* Bumped when a topic's channel must change; see cache/interest.h. */
	pg_atomic_uint64 channel_epoch;

	pg_atomic_uint32 waiting;	/* waiters registered */
	pg_atomic_uint32 interested;	/* interests registered */

	TimestampTz stats_reset;	/* under all stripes */
	CacheStats	stats;
	LWLockPadded stripes[CHATROOM_STRIPES];
} Cache;

/* Other where the structs have other sizes; see also CHATROOM_LAYOUT. */
#define CACHE_MAGIC \
	((uint32) (0x43484152 ^ sizeof(Cache) ^ (sizeof(RingEvent) << 12) ^ \
			   (sizeof(RingLink) << 20)))

/* ---- attaching (any process) ---- */

/* This database's cache, or NULL where there is none (yet). */
extern Cache *chatroom_my_cache(void);

/* The cache in a segment that is attached to. */
extern Cache *chatroom_cache_of(dsm_segment *segment);

/* The one that is mapped here; *current: it is still the database's. */
extern Cache *chatroom_mapped_cache(bool *current);

/* ---- writing (the tailer) ---- */

extern Size chatroom_cache_bytes(Size ring_kb);
extern void chatroom_cache_init(Cache *cache, Oid dboid, Size bytes,
								int tranche);
extern void chatroom_cache_lock(Cache *cache);
extern void chatroom_cache_unlock(Cache *cache);

/* Largest event, largest transaction and most marks that the cache takes. */
extern Size chatroom_cache_max_event(const Cache *cache);
extern Size chatroom_cache_max_transaction(const Cache *cache);
extern uint32 chatroom_cache_max_marks(const Cache *cache);

/* Under all stripes: append an event whose links have hash and name set. */
extern void chatroom_cache_append(Cache *cache, const RingEvent *event);
extern void chatroom_cache_mark_topic(Cache *cache, uint64 hash,
									  XLogRecPtr lsn, bool lost);
extern void chatroom_cache_raise_floor(Cache *cache, XLogRecPtr lsn,
									   ResetReason reason);
extern void chatroom_cache_empty(Cache *cache, XLogRecPtr floor,
								 uint64 next_fxid, bool settled);

/* An emptied cache is given up: give the ring's memory back. */
extern void chatroom_cache_discard(Cache *cache);

/* ---- reading ---- */

extern uint64 chatroom_hash_topic(uint64 seed, const char *topic, int len);
extern uint64 chatroom_topic_hash(const Cache *cache, const char *topic,
								  int len);
/*
 * Keys under which resets are marked: those of a watch's own topics, those of
 * all of them but base itself, and those that end what is known of a prefix'
 * topics.
 */
typedef enum MarkKind
{
	MARK_BASE,					/* by a watch's base */
	MARK_SUBTOPICS,				/* the same */
	MARK_SCHEMA					/* by a schema's name, as topics spell it */
} MarkKind;

extern uint64 chatroom_mark_hash(const Cache *cache, const char *name,
								 int len, MarkKind kind);

extern LWLock *chatroom_stripe(Cache *cache);

/* What a reader asks of one topic, and is told. */
typedef struct TopicRead
{
	uint64		hash;
	uint64		base_hash;		/* resets of the watch, or prefix; 0: none */
	uint64		sub_hash;		/* resets of its sub-topics; 0: none */
	bool		whole_ring;		/* judge by all topics what is lost */
	/* answer of chatroom_cache_find: */
	bool		news;
	ResetReason reset;
	uint64		first_pos;		/* first event after the cursor */
	uint64		first_index;
	uint64		last_index;
	uint64		newest_pos;
} TopicRead;

/*
 * Under a stripe: what is there of a topic after lsn?  With whole_ring a
 * topic's own losses make no difference: what is lost of any topic counts as
 * lost of all, so nothing tells whether there was something.
 */
extern void chatroom_cache_find(Cache *cache, TopicRead *topic,
								XLogRecPtr lsn);

/*
 * Under a stripe: the newest n events that are kept, as news; or, unless
 * first, the n before those that were told last.
 */
extern void chatroom_cache_newest(Cache *cache, TopicRead *topic, int n,
								  bool first);

/* Is an event kept that has no row, of a topic that a label would take? */
extern bool chatroom_cache_taken(Cache *cache, const char *label);

/*
 * Under a stripe: is an event void by itself, because a reset of its topic
 * followed it, or may have?
 */
extern bool chatroom_cache_void(Cache *cache, const TopicRead *read,
								const RingEvent *event);

/* Under a stripe: up to where resets of its table were marked. */
extern XLogRecPtr chatroom_cache_mark_lsn(Cache *cache, const TopicRead *read);

/*
 * Under a stripe: positions of the events of a topic from first_pos on, at
 * most n, oldest first.  Returns their number, or -1 where they have been
 * overwritten since.
 */
extern int	chatroom_cache_positions(Cache *cache, const TopicRead *topic,
									 int n, uint64 *positions);

/* Under a stripe: the event at a position, or NULL where overwritten. */
extern const RingEvent *chatroom_cache_event(Cache *cache, uint64 position);

/* Under a stripe: the link of a topic in an event, or NULL. */
extern const RingLink *chatroom_cache_link(const RingEvent *event,
										   uint64 hash);

/* Under a stripe: a topic's entry, or NULL; *mark is then its mark. */
extern const RingTopic *chatroom_cache_topic(Cache *cache, uint64 hash,
											 XLogRecPtr *mark);

/* A part of an event. */
static inline const char *
ring_part(const RingEvent *event, uint32 offset)
{
	return (const char *) event + offset;
}

static inline const RingColumn *
ring_columns(const RingEvent *event, uint32 offset)
{
	return (const RingColumn *) ((const char *) event + offset);
}

#endif							/* CHATROOM_RING_H */
