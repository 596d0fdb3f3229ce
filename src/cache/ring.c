/*-------------------------------------------------------------------------
 *
 * ring.c
 *	  The cache of one database: a ring of events in shared memory.
 *
 * See ring.h for the words and the locking.  What a topic's chain can prove:
 *
 * - The topic table names a topic's newest event.  Where the topic is not in
 *	 the table, its bucket's mark is an upper bound of the LSN of any event
 *	 that the table has forgotten: a cursor at or after the mark has missed
 *	 nothing.  Marks are raised before an entry is replaced.
 * - A link bears the LSN of the topic's previous event.  If that event has
 *	 been overwritten, a cursor at or after that LSN has missed nothing.
 *
 * So a cursor is good as long as nothing newer than it has been lost of its
 * own topic, however old it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>
#include <unistd.h>

#include "access/xlog.h"
#include "base/compat.h"
#include "base/memory.h"
#include "base/settings.h"
#include "base/topics.h"
#include "cache/interest.h"
#include "cache/presence.h"
#include "cache/ring.h"
#include "cache/waiters.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

/* ------------------------------------------------------------- attaching */

/* What is mapped here. */
static dsm_segment *mapped_segment = NULL;
static Cache *mapped_cache = NULL;
static uint32 mapped_generation = 0;
static int	mapped_slot = -1;

/*
 * The cache that is mapped here, or NULL; never looks for a newer one.
 * *current: it is still the database's.
 */
Cache *
chatroom_mapped_cache(bool *current)
{
	*current = false;
	if (mapped_cache != NULL)
	{
		DatabaseSlot *slot = &chatroom_control->databases[mapped_slot];

		/*
		 * Read without lock: a stale generation is no harm, for the old
		 * segment stays mapped here, and its floor was raised to infinity
		 * before it was given up.
		 */
		*current = slot->generation == mapped_generation &&
			slot->dboid == MyDatabaseId;
	}
	return mapped_cache;
}

/* The cache in a segment, if it is one that this library knows. */
Cache *
chatroom_cache_of(dsm_segment *segment)
{
	Cache	   *cache = (Cache *) dsm_segment_address(segment);

	if (cache->magic != CACHE_MAGIC)
		chatroom_refuse_layout("a cache of other sizes");
	return cache;
}

/*
 * This database's cache, or NULL where there is none.
 *
 * The mapping is kept for the process's life; a cache that was made anew has
 * another generation, and the old mapping is let go.
 */
Cache *
chatroom_my_cache(void)
{
	DatabaseSlot found = {0};
	ResourceOwner owner;
	bool		current;

	if (chatroom_mapped_cache(&current) != NULL && current)
		return mapped_cache;

	LWLockAcquire(&chatroom_control->lock, LW_SHARED);
	for (int i = 0; i < chatroom_control->ndatabases; i++)
	{
		if (chatroom_control->databases[i].dboid == MyDatabaseId)
		{
			found = chatroom_control->databases[i];
			mapped_slot = i;
			break;
		}
	}
	LWLockRelease(&chatroom_control->lock);

	if (mapped_segment != NULL)
	{
		chatroom_waiter_unregister();
		dsm_detach(mapped_segment);
		mapped_segment = NULL;
		mapped_cache = NULL;
	}
	if (!OidIsValid(found.dboid) || found.handle == DSM_HANDLE_INVALID)
		return NULL;

	/* without an owner the mapping outlives the transaction */
	owner = CurrentResourceOwner;
	CurrentResourceOwner = NULL;
	PG_TRY();
	{
		mapped_segment = dsm_attach(found.handle);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = owner;
	}
	PG_END_TRY();
	if (mapped_segment == NULL)
		return NULL;
	mapped_cache = chatroom_cache_of(mapped_segment);
	mapped_generation = found.generation;
	return mapped_cache;
}

/* ------------------------------------------------------------ the layout */

static inline RingTopic *
topic_table(Cache *cache)
{
	return (RingTopic *) ((char *) cache + cache->topics_offset);
}

static inline XLogRecPtr *
mark_table(Cache *cache)
{
	return (XLogRecPtr *) ((char *) cache + cache->marks_offset);
}

static inline RingEvent *
event_at(Cache *cache, uint64 position)
{
	return (RingEvent *) ((char *) cache + cache->ring_offset +
						  position % cache->ring_size);
}

/*
 * Bytes of the segment for chatroom.cache_size: so much, and what has settings
 * of its own (connections, presence), which else might leave nothing for
 * events.
 */
Size
chatroom_cache_bytes(Size ring_kb)
{
	return ring_kb * 1024 +
		chatroom_waiters_bytes(ProcGlobal->allProcCount) +
		chatroom_presence_bytes(chatroom_max_presence);
}

/* Largest power of 2 not over n. */
static uint32
power_of_2_below(uint64 n)
{
	return (uint32) 1 << pg_leftmost_one_pos64(Max(n, 1));
}

/*
 * Lay out a new segment.  One eighth of it holds the topic table (an event
 * has about three topics and takes about half a kB), a 32th the marks.
 */
void
chatroom_cache_init(Cache *cache, Oid dboid, Size bytes, int tranche)
{
	uint64		offset = MAXALIGN(sizeof(Cache));
	Size		shared;

	memset(cache, 0, sizeof(Cache));
	cache->dboid = dboid;
	if (!pg_strong_random(&cache->seed, sizeof(cache->seed)))
		cache->seed = pg_prng_uint64(&pg_global_prng_state);

	cache->npresence = chatroom_max_presence;
	shared = bytes - chatroom_presence_bytes(cache->npresence);
	cache->nbuckets = power_of_2_below(shared / 8 /
									   (sizeof(RingTopic) * TOPIC_WAYS));
	cache->topics_offset = offset;
	offset += (uint64) cache->nbuckets * TOPIC_WAYS * sizeof(RingTopic);
	cache->nmarks = power_of_2_below(shared / 32 / sizeof(XLogRecPtr));
	cache->marks_offset = offset;
	offset += (uint64) cache->nmarks * sizeof(XLogRecPtr);
	cache->nwaiters = ProcGlobal->allProcCount;
	cache->waiters_offset = offset = MAXALIGN(offset);
	offset += chatroom_waiters_bytes(cache->nwaiters);
	cache->ninterests = Max(shared / 4096, 256);
	cache->interest_offset = offset = MAXALIGN(offset);
	offset += chatroom_interest_bytes(cache->ninterests);
	cache->presence_offset = offset = CACHELINEALIGN(offset);
	offset += chatroom_presence_bytes(cache->npresence);
	cache->ring_offset = offset = CACHELINEALIGN(offset);
	cache->ring_size = (bytes - offset) & ~(uint64) 63;

	memset((char *) cache + sizeof(Cache), 0,
		   cache->ring_offset - sizeof(Cache));
	cache->tail = cache->head = cache->ring_size;
	pg_atomic_init_u64(&cache->published, 0);
	pg_atomic_init_u64(&cache->held, 0);
	pg_atomic_init_u64(&cache->channel_epoch, 0);
	pg_atomic_init_u32(&cache->waiting, 0);
	pg_atomic_init_u32(&cache->interested, 0);
	chatroom_waiters_init(cache);
	chatroom_interest_init(cache);
	chatroom_presence_init(cache, tranche);
	cache->stats_reset = GetCurrentTimestamp();
	{
		pg_atomic_uint64 *counter = (pg_atomic_uint64 *) &cache->stats;

		for (Size i = 0; i < sizeof(CacheStats) / sizeof(*counter); i++)
			pg_atomic_init_u64(&counter[i], 0);
	}
	for (int i = 0; i < CHATROOM_STRIPES; i++)
		LWLockInitialize(&cache->stripes[i].lock, tranche);
	cache->magic = CACHE_MAGIC;
}

/* ------------------------------------------------------------- the locks */

/* Take all stripes, to change the cache. */
void
chatroom_cache_lock(Cache *cache)
{
	for (int i = 0; i < CHATROOM_STRIPES; i++)
		LWLockAcquire(&cache->stripes[i].lock, LW_EXCLUSIVE);
}

void
chatroom_cache_unlock(Cache *cache)
{
	for (int i = CHATROOM_STRIPES - 1; i >= 0; i--)
		LWLockRelease(&cache->stripes[i].lock);
}

/* This process's stripe. */
LWLock *
chatroom_stripe(Cache *cache)
{
	return &cache->stripes[ChatroomMyProcNumber() % CHATROOM_STRIPES].lock;
}

/*
 * Sessions keep a segment mapped until they look for the database's cache
 * again: those that sleep, for long.  So the memory of the ring, most of it,
 * is taken out of the segment where the system can do that.  Whoever still
 * uses the cache finds it empty, and doesn't look at the ring.
 */
void
chatroom_cache_discard(Cache *cache)
{
#ifdef MADV_REMOVE
	uintptr_t	page = sysconf(_SC_PAGESIZE);
	uintptr_t	ring = (uintptr_t) cache + cache->ring_offset;
	uintptr_t	begin = TYPEALIGN(page, ring);
	uintptr_t	end = TYPEALIGN_DOWN(page, ring + cache->ring_size);

	if (begin < end)
		(void) madvise((void *) begin, end - begin, MADV_REMOVE);
#endif
}

/* ------------------------------------------------------------- the hashes */

/* Hash of a topic; never 0. */
uint64
chatroom_hash_topic(uint64 seed, const char *topic, int len)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) topic, len,
										   seed);

	return hash != 0 ? hash : 1;
}

uint64
chatroom_topic_hash(const Cache *cache, const char *topic, int len)
{
	return chatroom_hash_topic(cache->seed, topic, len);
}

uint64
chatroom_mark_hash(const Cache *cache, const char *name, int len,
				   MarkKind kind)
{
	static const uint64 salts[] = {
		[MARK_BASE] = 0xa5,
		[MARK_SUBTOPICS] = 0x5b,
		[MARK_SCHEMA] = 0x3c
	};
	uint64		hash;

	hash = hash_bytes_extended((const unsigned char *) name, len,
							   cache->seed ^ salts[kind]);
	return hash != 0 ? hash : 1;
}

static inline RingTopic *
topic_bucket(Cache *cache, uint64 hash)
{
	return topic_table(cache) +
		(hash & (cache->nbuckets - 1)) * TOPIC_WAYS;
}

static inline XLogRecPtr *
topic_mark(Cache *cache, uint64 hash)
{
	return mark_table(cache) + ((hash >> 32) & (cache->nmarks - 1));
}

/* ---------------------------------------------------------------- writing */

/*
 * No event may take more than a quarter of the ring, and no transaction more
 * than three quarters; and both have to be put together in one buffer, which
 * has at most 1 GB.
 */
Size
chatroom_cache_max_event(const Cache *cache)
{
	return Min(cache->ring_size / 4, (Size) 128 * 1024 * 1024);
}

Size
chatroom_cache_max_transaction(const Cache *cache)
{
	return Min(cache->ring_size / 4 * 3, (Size) 256 * 1024 * 1024);
}

/* No transaction may bring more marks into the topic table. */
uint32
chatroom_cache_max_marks(const Cache *cache)
{
	return cache->nbuckets;
}

/*
 * The entry of a topic, made if it isn't there; *known says which.  A new one
 * takes the place of the bucket's longest silent topic, whose LSN goes to its
 * mark.  The new entry's LSN is its own mark: what it may have had before.
 */
static RingTopic *
enter_topic(Cache *cache, uint64 hash, bool *known)
{
	RingTopic  *bucket = topic_bucket(cache, hash);
	RingTopic  *victim = &bucket[0];

	for (int i = 0; i < TOPIC_WAYS; i++)
	{
		if (bucket[i].hash == hash)
		{
			*known = true;
			return &bucket[i];
		}
		if (bucket[i].newest_lsn < victim->newest_lsn)
			victim = &bucket[i];
	}
	*known = false;
	if (victim->hash != 0)
	{
		XLogRecPtr *mark = topic_mark(cache, victim->hash);

		*mark = Max(*mark, victim->newest_lsn);
		cache->lost = Max(cache->lost, victim->newest_lsn);
		pg_atomic_write_u64(&cache->stats.topics_evicted,
							pg_atomic_read_u64(&cache->stats.topics_evicted) +
							1);
	}
	victim->hash = hash;
	victim->newest_pos = POSITION_EVICTED;
	victim->newest_lsn = *topic_mark(cache, hash);
	return victim;
}

/* Overwrite the oldest events until len bytes fit behind head. */
static void
make_room(Cache *cache, Size len)
{
	uint64		gone = 0;

	while (cache->head + len - cache->tail > cache->ring_size)
	{
		RingEvent  *oldest = event_at(cache, cache->tail);

		if ((oldest->flags & RING_FILLER) == 0)
		{
			cache->tail_fxid = oldest->next_fxid;
			if (oldest->nlinks > 0)
			{
				cache->lost = Max(cache->lost, oldest->lsn);
				cache->nevents--;
				gone++;
			}
		}
		cache->tail += oldest->len;
	}
	if (gone > 0)
		pg_atomic_write_u64(&cache->stats.overwritten,
							pg_atomic_read_u64(&cache->stats.overwritten) +
							gone);
}

/* Fill in a link's pointers, from the topic's newest event. */
static void
set_link(Cache *cache, RingLink *link, const RingTopic *topic)
{
	const RingEvent *prev;
	const RingLink *prev_link;
	const RingLink *jump_link = NULL;

	/* one that can't be had any more says why */
	link->prev_pos = topic->newest_pos;
	link->prev_lsn = topic->newest_lsn;
	link->jump_pos = 0;
	link->jump_lsn = InvalidXLogRecPtr;
	link->jump_index = 0;
	link->index = RING_FIRST_INDEX;
	prev = chatroom_cache_event(cache, topic->newest_pos);
	if (prev == NULL)
		return;
	prev_link = chatroom_cache_link(prev, link->hash);
	if (prev_link == NULL)
		return;

	link->index = prev_link->index + 1;

	/* a skew-binary list: two equal jumps in a row make one of both */
	if (prev_link->jump_pos != 0)
	{
		const RingEvent *jump = chatroom_cache_event(cache,
													 prev_link->jump_pos);

		if (jump != NULL)
			jump_link = chatroom_cache_link(jump, link->hash);
	}
	if (jump_link != NULL && jump_link->jump_pos != 0 &&
		prev_link->index - prev_link->jump_index ==
		jump_link->index - jump_link->jump_index)
	{
		link->jump_pos = jump_link->jump_pos;
		link->jump_lsn = jump_link->jump_lsn;
		link->jump_index = jump_link->jump_index;
	}
	else
	{
		link->jump_pos = link->prev_pos;
		link->jump_lsn = link->prev_lsn;
		link->jump_index = prev_link->index;
	}
}

/* Append an event, and make it the newest of its topics. */
void
chatroom_cache_append(Cache *cache, const RingEvent *event)
{
	RingEvent  *copy;
	uint64		room = cache->ring_size - cache->head % cache->ring_size;

	Assert(event->len == MAXALIGN(event->len));
	if (room < event->len)
	{
		/* an event stands in one piece: skip the ring's end */
		make_room(cache, room);
		copy = event_at(cache, cache->head);
		copy->len = (uint32) room;
		copy->flags = RING_FILLER;
		cache->head += room;
	}
	make_room(cache, event->len);

	copy = event_at(cache, cache->head);
	memcpy(copy, event, event->len);
	copy->before = cache->newest;
	cache->newest = cache->head;
	for (int i = 0; i < copy->nlinks; i++)
	{
		bool		known;
		RingTopic  *topic = enter_topic(cache, copy->links[i].hash, &known);

		set_link(cache, &copy->links[i], topic);
		topic->newest_pos = cache->head;
		topic->newest_lsn = event->lsn;
	}
	cache->head += event->len;
	if (event->nlinks == 0)
		return;
	cache->nevents++;
	cache->last_event = event->at;
}

/*
 * What happened to a topic up to lsn can no longer be told; lost: of that one
 * topic, and not of all that are its kind.
 */
void
chatroom_cache_mark_topic(Cache *cache, uint64 hash, XLogRecPtr lsn,
						  bool lost)
{
	bool		known;
	RingTopic  *topic = enter_topic(cache, hash, &known);

	topic->newest_pos = POSITION_LARGE;
	topic->newest_lsn = Max(topic->newest_lsn, lsn);
	if (lost)
		cache->lost = Max(cache->lost, lsn);
}

/* What happened in the database up to lsn can no longer be told. */
void
chatroom_cache_raise_floor(Cache *cache, XLogRecPtr lsn, ResetReason reason)
{
	if (lsn <= cache->floor)
		return;
	cache->floor = lsn;
	cache->floor_reason = reason;
}

/*
 * Forget everything; cursors from floor on are good.  next_fxid: all that
 * committed up to floor has a lower xid; settled: it had also left ProcArray
 * when this was the next xid.
 */
void
chatroom_cache_empty(Cache *cache, XLogRecPtr floor, uint64 next_fxid,
					 bool settled)
{
	memset(topic_table(cache), 0,
		   sizeof(RingTopic) * cache->nbuckets * TOPIC_WAYS);
	memset(mark_table(cache), 0, sizeof(XLogRecPtr) * cache->nmarks);
	cache->tail = cache->head;
	cache->nevents = 0;
	cache->floor = cache->lost = floor;
	cache->floor_reason = RESET_REASON_FLOOR;
	cache->newest = 0;
	cache->tail_fxid = next_fxid;
	cache->tail_settled = settled;
}

/* ---------------------------------------------------------------- reading */

/* The event at a position, or NULL where it has been overwritten. */
const RingEvent *
chatroom_cache_event(Cache *cache, uint64 position)
{
	if (position < cache->tail || position >= cache->head)
		return NULL;
	return event_at(cache, position);
}

/* The link of a topic in an event. */
const RingLink *
chatroom_cache_link(const RingEvent *event, uint64 hash)
{
	for (int i = 0; i < event->nlinks; i++)
		if (event->links[i].hash == hash)
			return &event->links[i];
	return NULL;
}

/* A topic's entry, or NULL and its mark. */
const RingTopic *
chatroom_cache_topic(Cache *cache, uint64 hash, XLogRecPtr *mark)
{
	RingTopic  *bucket = topic_bucket(cache, hash);

	for (int i = 0; i < TOPIC_WAYS; i++)
		if (bucket[i].hash == hash)
			return &bucket[i];
	*mark = *topic_mark(cache, hash);
	return NULL;
}

/*
 * Up to where was a mark set under this key?  *known: the table of topics
 * knows it; else it may have forgotten one, and this is a bound.
 */
static XLogRecPtr
marked_at(Cache *cache, uint64 hash, bool *known)
{
	XLogRecPtr	mark;
	const RingTopic *topic;

	*known = true;
	if (hash == 0)
		return InvalidXLogRecPtr;
	topic = chatroom_cache_topic(cache, hash, &mark);
	*known = topic != NULL;
	return topic != NULL ? topic->newest_lsn : mark;
}

/* When did the table of a topic go through something last? */
XLogRecPtr
chatroom_cache_mark_lsn(Cache *cache, const TopicRead *read)
{
	bool		known;

	return Max(marked_at(cache, read->base_hash, &known),
			   marked_at(cache, read->sub_hash, &known));
}

/*
 * Did a topic go through something after an event, or the whole database?  A
 * mark has the LSN of its transaction: of one in the event's own transaction
 * nothing tells which of the two came first.
 */
bool
chatroom_cache_void(Cache *cache, const TopicRead *read,
					const RingEvent *event)
{
	return event->lsn <= cache->floor ||
		event->lsn <= chatroom_cache_mark_lsn(cache, read);
}

/* Why to reset, if it did after lsn, or may have. */
static ResetReason
mark_reason(Cache *cache, const TopicRead *read, XLogRecPtr lsn)
{
	bool		base_known;
	bool		sub_known;
	bool		base = marked_at(cache, read->base_hash, &base_known) > lsn;
	bool		sub = marked_at(cache, read->sub_hash, &sub_known) > lsn;

	if ((base && base_known) || (sub && sub_known))
		return RESET_REASON_DDL;
	return base || sub ? RESET_REASON_EVICTED : RESET_REASON_NONE;
}

/* Why can't the event at a position be told? */
static ResetReason
lost_reason(uint64 position)
{
	switch (position)
	{
		case POSITION_EVICTED:
			return RESET_REASON_EVICTED;
		case POSITION_LARGE:
			return RESET_REASON_LARGE;
		default:
			return RESET_REASON_OVERWRITTEN;
	}
}

/*
 * What is there of a topic after lsn?  Sets news and where it starts, or the
 * reason for a reset.
 */
void
chatroom_cache_find(Cache *cache, TopicRead *read, XLogRecPtr lsn)
{
	XLogRecPtr	mark;
	const RingTopic *topic;
	const RingEvent *event;
	const RingLink *link;
	uint64		position;

	read->news = false;
	read->reset = RESET_REASON_NONE;
	if (lsn < cache->floor)
	{
		read->reset = (ResetReason) cache->floor_reason;
		return;
	}
	read->reset = mark_reason(cache, read, lsn);
	if (read->reset != RESET_REASON_NONE)
		return;
	if (read->whole_ring && lsn < cache->lost)
	{
		read->reset = RESET_REASON_OVERWRITTEN;
		return;
	}
	topic = chatroom_cache_topic(cache, read->hash, &mark);
	if (topic == NULL)
	{
		if (mark > lsn)
			read->reset = RESET_REASON_EVICTED;
		return;
	}
	if (topic->newest_lsn <= lsn)
		return;

	position = topic->newest_pos;
	event = chatroom_cache_event(cache, position);
	link = event ? chatroom_cache_link(event, read->hash) : NULL;
	if (link == NULL)
	{
		read->reset = lost_reason(position);
		return;
	}
	read->newest_pos = position;
	read->last_index = link->index;

	/* go back to the oldest event that is after lsn */
	while (link->prev_lsn > lsn)
	{
		position = link->jump_lsn > lsn ? link->jump_pos : link->prev_pos;
		event = chatroom_cache_event(cache, position);
		link = event ? chatroom_cache_link(event, read->hash) : NULL;
		if (link == NULL)
		{
			read->reset = lost_reason(position);
			return;
		}
	}
	read->news = true;
	read->first_pos = position;
	read->first_index = link->index;
}

/* Where those begin that come before the ones that were told last. */
static uint64
position_before(Cache *cache, const TopicRead *read)
{
	const RingEvent *event = chatroom_cache_event(cache, read->first_pos);
	const RingLink *link;

	link = event ? chatroom_cache_link(event, read->hash) : NULL;
	return link != NULL ? link->prev_pos : 0;
}

/* Where the newest one stands that is known. */
static uint64
newest_position(Cache *cache, const TopicRead *read)
{
	XLogRecPtr	mark;
	const RingTopic *topic = chatroom_cache_topic(cache, read->hash, &mark);

	return topic != NULL ? topic->newest_pos : 0;
}

/* The newest events of a topic, at most n, as far as they are kept. */
void
chatroom_cache_newest(Cache *cache, TopicRead *read, int n, bool begin)
{
	uint64		position = begin ? newest_position(cache, read) :
		position_before(cache, read);
	const RingEvent *event = chatroom_cache_event(cache, position);
	const RingLink *link;
	uint64		first;

	read->reset = RESET_REASON_NONE;
	link = event ? chatroom_cache_link(event, read->hash) : NULL;
	read->news = link != NULL;
	if (link == NULL)
		return;
	read->newest_pos = position;
	read->last_index = link->index;
	first = Max(link->index - n + 1, RING_FIRST_INDEX);
	for (;;)
	{
		read->first_pos = position;
		read->first_index = link->index;
		if (link->index <= first)
			break;
		if (link->jump_index >= first &&
			chatroom_cache_event(cache, link->jump_pos) != NULL)
			position = link->jump_pos;
		else
			position = link->prev_pos;
		event = chatroom_cache_event(cache, position);
		link = event ? chatroom_cache_link(event, read->hash) : NULL;
		if (link == NULL)
			break;
	}
}

/* Positions of at most n events of a topic, from its first_pos on. */
int
chatroom_cache_positions(Cache *cache, const TopicRead *read, int n,
						 uint64 *positions)
{
	uint64		position = read->newest_pos;
	uint64		last;
	const RingEvent *event;
	const RingLink *link;

	if (read->first_pos < cache->tail)
		return -1;
	n = (int) Min((uint64) n,
				  read->last_index - read->first_index + 1);
	last = read->first_index + n - 1;

	event = chatroom_cache_event(cache, position);
	link = event ? chatroom_cache_link(event, read->hash) : NULL;
	while (link != NULL && link->index > last)
	{
		position = link->jump_pos != 0 && link->jump_index >= last ?
			link->jump_pos : link->prev_pos;
		event = chatroom_cache_event(cache, position);
		link = event ? chatroom_cache_link(event, read->hash) : NULL;
	}
	for (int i = n - 1; i >= 0; i--)
	{
		if (link == NULL)
			return -1;
		positions[i] = position;
		if (i == 0)
			break;
		position = link->prev_pos;
		event = chatroom_cache_event(cache, position);
		link = event ? chatroom_cache_link(event, read->hash) : NULL;
	}
	return n;
}

/* Entries of the topic table that are looked at under one hold. */
#define STRETCH			1024

/* Is it so in a stretch of the topic table? */
static bool
taken_in_stretch(Cache *cache, uint32 from, uint32 to, const char *label)
{
	LWLock	   *stripe = chatroom_stripe(cache);
	bool		taken = false;

	LWLockAcquire(stripe, LW_SHARED);
	for (uint32 i = from; i < to && !taken; i++)
	{
		const RingTopic *topic = topic_table(cache) + i;
		const RingEvent *event = chatroom_cache_event(cache,
													  topic->newest_pos);
		const RingLink *link;

		if (topic->hash == 0 || event == NULL || OidIsValid(event->relid))
			continue;
		link = chatroom_cache_link(event, topic->hash);
		taken = link != NULL &&
			chatroom_label_takes(label, ring_part(event, link->name),
								 link->name_len);
	}
	LWLockRelease(stripe);
	return taken;
}

/*
 * Is an event kept that has no row, of a topic that a label would take?  A
 * topic's newest event tells: rows are not under such a topic as long as there
 * are others.
 */
bool
chatroom_cache_taken(Cache *cache, const char *label)
{
	uint32		total = cache->nbuckets * TOPIC_WAYS;

	for (uint32 from = 0; from < total; from += STRETCH)
	{
		CHECK_FOR_INTERRUPTS();
		if (taken_in_stretch(cache, from, Min(from + STRETCH, total), label))
			return true;
	}
	return false;
}
