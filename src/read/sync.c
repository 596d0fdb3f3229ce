/*-------------------------------------------------------------------------
 *
 * sync.c
 *	  What happened to topics since a cursor.
 *
 * How far an answer may go is settled first: to what is published, or to the
 * first transaction, of whatever topic, that the caller's snapshot can't see.
 * So no event comes whose row a SELECT of the same statement would not show,
 * and the answer's cursor holds for all topics.
 *
 * Up to there the events are gone through in slices, in four steps, each of
 * which takes this process's stripe of the cache anew, so that the tailer
 * never waits for long:
 *
 *	  1. find: is there news of any topic, and where does it begin?
 *	  2. positions: where in the ring are the events of the slice?
 *	  3. copy: take them out, at most READ_CHUNK bytes at a time
 *	  4. judge: which of them may the caller see, and how?
 *
 * until as many as wanted were found that the caller may see, and one more: so
 * "more" is said where he may see more, and an answer that hides something is,
 * cursor and all, that of a topic where nothing happened.  For the same reason
 * what is lost of a topic whose events may be hidden is not asked of the topic
 * but of the whole ring; see chatroom_cache_find().
 *
 * "published" is read in step 1, too: a tailer that starts anew empties the
 * cache and sets it back.  Events that were overwritten between the steps make
 * a slice start anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogrecovery.h"
#include "base/arguments.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/launch.h"
#include "base/memory.h"
#include "base/settings.h"
#include "base/wal.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "read/rooms.h"
#include "read/sync.h"
#include "storage/ipc.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Tries where the ring moves on while an answer is put together. */
#define MAX_TRIES		5

/* What an event takes in an answer before its tail: cursor, type, topics. */
#define EVENT_HEAD_GUESS	192

/* Most bytes of an answer that are made room for beforehand. */
#define MAX_RESERVED	(16 * 1024 * 1024)

/*
 * Of events that may be hidden so many of a topic are looked at together: the
 * first time as many as are wanted, then more, and not many more bytes.
 */
#define SLICE_LEAST		64
#define SLICE_MOST		2048
#define SLICE_BYTES		(1024 * 1024)

/* -------------------------------------------------------------- arguments */

/* One topic as the caller gave it. */
void
chatroom_one_topic(text *topic, SyncTopics *topics)
{
	topics->n = 1;
	topics->prepared = false;
	topics->topics = palloc(sizeof(ResolvedTopic));
	topics->reads = palloc0(sizeof(TopicRead));
	chatroom_resolve_topic(VARDATA_ANY(topic), VARSIZE_ANY_EXHDR(topic),
						   &topics->topics[0]);
}

/* Several topics as the caller gave them. */
void
chatroom_many_topics(ArrayType *array, SyncTopics *topics)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("topics must be a one-dimensional array")));
	n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topics must not be empty"),
				 errhint("Name at least one topic.")));
	if (n > CHATROOM_MAX_ASKED)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many topics"),
				 errdetail("%d were given; one call takes at most %d.",
						   n, CHATROOM_MAX_ASKED),
				 errhint("Follow a topic that comprises them, or call "
						 "several times.")));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &n);
	topics->n = n;
	topics->prepared = false;
	topics->topics = palloc(sizeof(ResolvedTopic) * n);
	topics->reads = palloc0(sizeof(TopicRead) * n);
	for (int i = 0; i < n; i++)
	{
		text	   *topic;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("topics must not contain nulls")));
		topic = DatumGetTextPP(elements[i]);
		chatroom_resolve_topic(VARDATA_ANY(topic), VARSIZE_ANY_EXHDR(topic),
							   &topics->topics[i]);
	}
}

/* Check again that the caller may follow the topics. */
void
chatroom_recheck_topics(SyncTopics *topics)
{
	for (int i = 0; i < topics->n; i++)
		chatroom_resolve_topic(topics->topics[i].topic,
							   topics->topics[i].len, &topics->topics[i]);
}

/* A cursor as the caller gave it. */
void
chatroom_parse_since(text *since, Cursor *cursor)
{
	int			len = VARSIZE_ANY_EXHDR(since);

	if (!chatroom_parse_cursor(VARDATA_ANY(since), len, cursor))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid cursor: \"%.*s%s\"",
						pg_mbcliplen(VARDATA_ANY(since), len, 40),
						VARDATA_ANY(since), len > 40 ? "..." : ""),
				 errhint("Pass the \"cursor\" of an earlier answer "
						 "unchanged, or null to start.")));
}

/* A limit as the caller gave it. */
int
chatroom_check_limit(int max_events)
{
	if (max_events < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_events must be at least 1, not %d",
						max_events)));
	return max_events;
}

/* ------------------------------------------------------------ step 1: find */

/* Where it is marked that what is known of a prefix' topics ends. */
static uint64
prefix_mark(const Cache *cache, const ResolvedTopic *topic)
{
	if (topic->base_len < topic->len && topic->topic[topic->base_len] == '/')
		return chatroom_mark_hash(cache, topic->topic, topic->base_len,
								  MARK_SCHEMA);
	return chatroom_mark_hash(cache, CHAT_DEFAULT_PREFIX,
							  strlen(CHAT_DEFAULT_PREFIX), MARK_SCHEMA);
}

/* Compute the topics' hashes, which are the cache's own; see sync.h. */
void
chatroom_prepare_reads(SyncTopics *topics, Cache *cache)
{
	if (topics->prepared && topics->seed == cache->seed)
		return;
	for (int i = 0; i < topics->n; i++)
	{
		ResolvedTopic *topic = &topics->topics[i];
		TopicRead  *read = &topics->reads[i];

		read->hash = chatroom_topic_hash(cache, topic->topic, topic->len);
		read->base_hash = read->sub_hash = 0;
		if (topic_of_prefix(topic->kind))
			read->base_hash = prefix_mark(cache, topic);
		if (topic->kind != TOPIC_WATCH)
			continue;
		read->base_hash = chatroom_mark_hash(cache, topic->topic,
											 topic->base_len, MARK_BASE);
		if (topic->base_len < topic->len)
			read->sub_hash = chatroom_mark_hash(cache, topic->topic,
												topic->base_len,
												MARK_SUBTOPICS);
	}
	topics->seed = cache->seed;
	topics->prepared = true;
}

/* May events of one of the topics be hidden from the caller? */
static bool
find_judged(SyncTopics *topics)
{
	bool		any = false;

	for (int i = 0; i < topics->n; i++)
	{
		topics->reads[i].whole_ring =
			chatroom_topic_judged(&topics->topics[i]);
		any = any || topics->reads[i].whole_ring;
	}
	return any;
}

/*
 * Find what is new of each topic; says whether any is, or why to reset.  Up to
 * *published there is nothing but what was found: it is read under the stripe,
 * for a tailer that starts anew empties the cache and sets it back.
 */
static ResetReason
find_news(SyncTopics *topics, Cache *cache, XLogRecPtr after, bool *news,
		  XLogRecPtr *published)
{
	LWLock	   *stripe = chatroom_stripe(cache);
	ResetReason reset = RESET_REASON_NONE;

	*news = false;
	LWLockAcquire(stripe, LW_SHARED);
	if (after < cache->lost)
	{
		/* only now it makes a difference what may be hidden */
		LWLockRelease(stripe);
		(void) find_judged(topics);
		LWLockAcquire(stripe, LW_SHARED);
	}
	*published = pg_atomic_read_u64(&cache->published);
	for (int i = 0; i < topics->n && reset == RESET_REASON_NONE; i++)
	{
		chatroom_cache_find(cache, &topics->reads[i], after);
		reset = topics->reads[i].reset;
		*news = *news || topics->reads[i].news;
	}
	LWLockRelease(stripe);
	return reset;
}

/* ------------------------------------------------------- step 2: positions */

/* qsort comparator of positions. */
static int
compare_positions(const void *a, const void *b)
{
	uint64		left = *(const uint64 *) a;
	uint64		right = *(const uint64 *) b;

	return left < right ? -1 : left > right;
}

/*
 * The positions of the topics' events, in commit order, each once; of each
 * topic at most limit.  Returns their number, or -1 where some have been
 * overwritten meanwhile.  *complete: no topic has more.
 */
static int
find_positions(SyncTopics *topics, Cache *cache, int limit,
			   uint64 **positions, bool *complete)
{
	LWLock	   *stripe = chatroom_stripe(cache);
	uint64	   *all;
	Size		room = 0;
	int			n = 0;
	int			kept = 0;
	uint64		cut = PG_UINT64_MAX;

	*complete = true;
	for (int i = 0; i < topics->n; i++)
	{
		TopicRead  *read = &topics->reads[i];
		Size		count;

		if (!read->news)
			continue;
		count = read->last_index - read->first_index + 1;
		if (count > limit)
			*complete = false;
		room += Min(count, limit);
	}
	all = MemoryContextAllocHuge(CurrentMemoryContext,
								 sizeof(uint64) * Max(room, 1));

	LWLockAcquire(stripe, LW_SHARED);
	for (int i = 0; i < topics->n && n >= 0; i++)
	{
		TopicRead  *read = &topics->reads[i];
		int			got;

		if (!read->news)
			continue;
		got = chatroom_cache_positions(cache, read, limit, all + n);
		/* what comes after a cut topic's last is not known to be next */
		if (got > 0 && read->last_index - read->first_index + 1 > got)
			cut = Min(cut, all[n + got - 1]);
		n = got < 0 ? -1 : n + got;
	}
	LWLockRelease(stripe);
	if (n < 0)
		return -1;

	if (topics->n > 1)
	{
		qsort(all, n, sizeof(uint64), compare_positions);
		for (int i = 0; i < n && all[i] <= cut; i++)
			if (kept == 0 || all[kept - 1] != all[i])
				all[kept++] = all[i];
		n = kept;
	}
	*positions = all;
	return n;
}

/* ------------------------------------------------------------ step 3: copy */

/* A snapshot's 32-bit xid with its epoch. */
static uint64
full_xid(TransactionId xid, uint64 next)
{
	uint64		full = (next & ~UINT64CONST(0xffffffff)) | xid;

	return full > next ? full - (UINT64CONST(1) << 32) : full;
}

/* What the caller can see. */
void
chatroom_get_horizon(Horizon *horizon)
{
	uint64		next;

	horizon->snapshot = ActiveSnapshotSet() ? GetActiveSnapshot() :
		GetLatestSnapshot();
	next = U64FromFullTransactionId(ReadNextFullTransactionId());
	horizon->xmin = full_xid(horizon->snapshot->xmin, next);
	horizon->xmax = full_xid(horizon->snapshot->xmax, next);
}

/* Can the caller see the transaction that an event is of? */
bool
chatroom_event_visible(const Horizon *horizon, uint64 fxid)
{
	if (fxid < horizon->xmin)
		return true;
	if (fxid >= horizon->xmax)
		return false;
	return !XidInMVCCSnapshot((TransactionId) fxid, horizon->snapshot);
}

/* Up to where has the cursor's holder seen everything? */
XLogRecPtr
chatroom_cursor_begin(const Cursor *since)
{
	return since->nholes > 0 ? since->holes[0] - 1 : since->lsn;
}

/* Has the cursor's holder seen all of the transaction that ended here? */
bool
chatroom_already_seen(const Cursor *since, XLogRecPtr lsn)
{
	if (lsn > since->lsn)
		return false;
	for (int i = 0; i < since->nholes; i++)
		if (since->holes[i] == lsn)
			return false;
	return true;
}

typedef enum CopyResult
{
	COPY_ALL,					/* all positions were copied */
	COPY_PART,					/* whole transactions, and there are more */
	COPY_OVERWRITTEN,			/* start anew */
	COPY_MORE_POSITIONS			/* the first transaction goes on */
} CopyResult;

/* A growing array of copies. */
typedef struct Copies
{
	RingEvent **events;
	int			n;
	int			room;
	int			boundary;		/* events of whole transactions so far */
	int			whole;			/* events that can be told; others follow */
	Size		bytes;
} Copies;

/* Keep a copy of an event. */
static void
keep_copy(Copies *copies, RingEvent *event)
{
	if (copies->n == copies->room)
	{
		copies->room *= 2;
		copies->events = repalloc_huge(copies->events,
									   sizeof(RingEvent *) * copies->room);
	}
	if (copies->n > 0 && copies->events[copies->n - 1]->lsn != event->lsn)
		copies->boundary = copies->n;
	copies->events[copies->n++] = event;
	copies->bytes += event->len;
}

/*
 * Copy events from the ring, a chunk under each hold of the stripe.  Returns
 * the number of positions that were handled, or -1 where one was overwritten.
 */
static int
copy_chunk(Cache *cache, const uint64 *positions, int n, char *chunk,
		   Size chunk_size, Size *needed)
{
	LWLock	   *stripe = chatroom_stripe(cache);
	Size		used = 0;
	int			done = 0;

	*needed = 0;
	LWLockAcquire(stripe, LW_SHARED);
	while (done < n)
	{
		const RingEvent *event = chatroom_cache_event(cache,
													  positions[done]);

		if (event == NULL)
		{
			done = -1;
			break;
		}
		if (used + event->len > chunk_size)
		{
			*needed = event->len;
			break;
		}
		memcpy(chunk + used, event, event->len);
		used += event->len;
		done++;
	}
	LWLockRelease(stripe);
	return done;
}

/* Copy the events at some positions, not many more bytes than max_bytes. */
static CopyResult
copy_events(Cache *cache, const uint64 *positions, int n, bool complete,
			Size max_bytes, Copies *copies)
{
	memset(copies, 0, sizeof(*copies));
	copies->room = Min(Max(n, 1), 1024);
	copies->events = palloc(sizeof(RingEvent *) * copies->room);
	for (int done = 0; done < n;)
	{
		Size		size = READ_CHUNK;
		Size		needed;
		char	   *chunk = palloc(size);
		int			got;

		if (copies->bytes > max_bytes && copies->boundary > 0)
		{
			complete = false;
			break;
		}
		got = copy_chunk(cache, positions + done, n - done, chunk, size,
						 &needed);
		if (got == 0)
		{
			/* one event larger than a chunk */
			pfree(chunk);
			chunk = palloc(needed);
			got = copy_chunk(cache, positions + done, 1, chunk, needed,
							 &needed);
		}
		if (got < 0)
			return COPY_OVERWRITTEN;
		for (int i = 0; i < got; i++)
		{
			keep_copy(copies, (RingEvent *) chunk);
			chunk += copies->events[copies->n - 1]->len;
		}
		done += got;
		CHECK_FOR_INTERRUPTS();
	}
	copies->whole = copies->n;
	if (complete)
		return COPY_ALL;

	/* there is more: cut before the transaction that may go on */
	if (copies->boundary == 0)
		return COPY_MORE_POSITIONS;
	copies->whole = copies->boundary;
	return COPY_PART;
}

/* ----------------------------------------------------------- step 4: judge */

/* qsort and bsearch comparator of topic hashes. */
static int
compare_hashes(const void *a, const void *b)
{
	uint64		left = *(const uint64 *) a;
	uint64		right = *(const uint64 *) b;

	return left < right ? -1 : left > right;
}

/* The hashes asked for, in order. */
static uint64 *
sorted_hashes(const SyncTopics *topics)
{
	uint64	   *hashes = palloc(sizeof(uint64) * topics->n);

	for (int i = 0; i < topics->n; i++)
		hashes[i] = topics->reads[i].hash;
	qsort(hashes, topics->n, sizeof(uint64), compare_hashes);
	return hashes;
}

/*
 * Is a topic of an event one of those asked for?  Of a row that comes into the
 * caller's view or goes out of it, the topics of the other image are none.
 */
bool
chatroom_topic_asked(const uint64 *hashes, int n, const RingLink *link,
					 Verdict verdict)
{
	if ((verdict == VERDICT_ENTER && (link->images & TOPIC_OF_NEW) == 0) ||
		(verdict == VERDICT_LEAVE && (link->images & TOPIC_OF_OLD) == 0))
		return false;
	if (n == 1)
		return hashes[0] == link->hash;
	return bsearch(&link->hash, hashes, n, sizeof(uint64),
				   compare_hashes) != NULL;
}

/* Withhold what belongs to the topics by an image only that is not seen. */
static void
withhold_unasked(const SyncTopics *topics, RingEvent **events, int n,
				 Verdict *verdicts)
{
	uint64	   *hashes = sorted_hashes(topics);

	for (int i = 0; i < n; i++)
	{
		const RingEvent *event = events[i];
		bool		asked = false;

		if (verdicts[i] != VERDICT_ENTER && verdicts[i] != VERDICT_LEAVE)
			continue;
		for (int j = 0; j < event->nlinks && !asked; j++)
			asked = chatroom_topic_asked(hashes, topics->n, &event->links[j],
										 verdicts[i]);
		if (!asked)
			verdicts[i] = VERDICT_WITHHOLD;
	}
	pfree(hashes);
}

/* What becomes of each of some events for the caller? */
static Verdict *
judge_events(const SyncTopics *topics, RingEvent **events, int n)
{
	Verdict    *verdicts = palloc_extended(sizeof(Verdict) * Max(n, 1),
										   MCXT_ALLOC_HUGE);
	Judge		judge;
	Oid			last = InvalidOid;
	List	   *policed = NIL;
	ListCell   *cell;
	bool		turned = false;

	chatroom_start_judge(&judge, topics);
	for (int i = 0; i < n; i++)
	{
		bool		policies;

		verdicts[i] = chatroom_judge_event(&judge, events[i], &policies);
		turned = turned || verdicts[i] == VERDICT_ENTER ||
			verdicts[i] == VERDICT_LEAVE;
		if (!policies || events[i]->relid == last)
			continue;
		last = events[i]->relid;
		policed = list_append_unique_oid(policed, last);
	}
	foreach(cell, policed)
		chatroom_apply_policies(lfirst_oid(cell), events, n, verdicts);
	if (policed != NIL || turned)
		withhold_unasked(topics, events, n, verdicts);
	return verdicts;
}

/* Leave of an answer's events those that the caller sees; see sync.h. */
void
chatroom_judge_events(const SyncTopics *topics, SyncAnswer *answer)
{
	int			seen = 0;

	answer->verdicts = judge_events(topics, answer->events, answer->n);
	for (int i = 0; i < answer->n; i++)
	{
		if (answer->verdicts[i] == VERDICT_WITHHOLD)
			continue;
		if (answer->verdicts[i] == VERDICT_RESET)
		{
			answer->reset = RESET_REASON_POLICY;
			answer->n = 0;
			return;
		}
		answer->events[seen] = answer->events[i];
		answer->verdicts[seen++] = answer->verdicts[i];
	}
	answer->n = seen;
}

/* ------------------------------------------------------------- the answer */

/* Start with an answer that tells of a reset, from now on. */
static void
answer_reset(SyncAnswer *answer, Cache *cache, ResetReason reason)
{
	answer->n = 0;
	answer->more = false;
	answer->reset = reason;
	chatroom_make_cursor(cache != NULL ?
						 pg_atomic_read_u64(&cache->published) : 0,
						 &answer->cursor);
	if (cache != NULL)
		pg_atomic_fetch_add_u64(&cache->stats.resets[reason], 1);
}

/* The cursor after all that ended up to lsn has been told. */
static void
advance_cursor(Cursor *cursor, const Cursor *since, XLogRecPtr lsn)
{
	if (lsn >= since->lsn)
	{
		chatroom_make_cursor(lsn, cursor);
		return;
	}

	/* still among the holes: those after lsn are left */
	*cursor = *since;
	cursor->nholes = 0;
	for (int i = 0; i < since->nholes; i++)
		if (since->holes[i] > lsn)
			cursor->holes[cursor->nholes++] = since->holes[i];
}

/* The look for an answer, slice by slice. */
typedef struct Search
{
	SyncTopics *topics;
	Cache	   *cache;
	const Cursor *since;
	AnswerEnd	end;
	XLogRecPtr	after;			/* the slices so far went up to here */
	int			limit;			/* events of a topic in a slice */
	int			max_events;
	MemoryContext slices;		/* of slices behind the first; or NULL */
	SyncAnswer *answer;
	int			room;			/* of the answer's arrays */
	int			boundary;		/* events of whole transactions in it */
} Search;

/* Put an event that is seen into the answer. */
static void
tell_event(Search *search, RingEvent *event, Verdict verdict)
{
	SyncAnswer *answer = search->answer;

	if (answer->n == search->room)
	{
		search->room *= 2;
		answer->events = repalloc_huge(answer->events,
									   sizeof(RingEvent *) * search->room);
		answer->verdicts = repalloc_huge(answer->verdicts,
										 sizeof(Verdict) * search->room);
	}
	if (verdict == VERDICT_RESET)
		answer->reset = RESET_REASON_POLICY;
	if (search->slices != NULL)
	{
		RingEvent  *copy = palloc(event->len);

		memcpy(copy, event, event->len);
		event = copy;
	}
	answer->events[answer->n] = event;
	answer->verdicts[answer->n++] = verdict;
}

/*
 * Is the answer full before an event that is seen?  It is cut at the end of a
 * transaction, but has at least one.
 */
static bool
full_before(Search *search, const RingEvent *event)
{
	SyncAnswer *answer = search->answer;

	if (answer->n > 0 && answer->events[answer->n - 1]->lsn != event->lsn)
		search->boundary = answer->n;
	if (answer->n < search->max_events || search->boundary == 0)
		return false;
	answer->n = search->boundary;
	answer->more = true;
	return true;
}

/* Is an event one that the answer may have? */
static bool
within_answer(const Search *search, const RingEvent *event)
{
	return event->lsn <= search->end.published &&
		(search->end.hidden == InvalidXLogRecPtr ||
		 event->lsn < search->end.hidden) &&
		!chatroom_already_seen(search->since, event->lsn);
}

/* Make room in the answer, as much as the first slice may want. */
static void
prepare_answer(Search *search, int n)
{
	SyncAnswer *answer = search->answer;

	if (answer->events != NULL)
		return;
	search->room = n;
	answer->events = palloc_extended(sizeof(RingEvent *) * n,
									 MCXT_ALLOC_HUGE);
	answer->verdicts = palloc_extended(sizeof(Verdict) * n, MCXT_ALLOC_HUGE);
}

/*
 * Tell of a slice what the caller sees; false: the answer is full, or a reset.
 * What follows the slice's last whole transaction only shows that there is
 * more.
 */
static bool
tell_slice(Search *search, Copies *copies, MemoryContext caller)
{
	SyncAnswer *answer = search->answer;
	MemoryContext old;
	Verdict    *verdicts;
	int			n = 0;
	int			whole = 0;

	search->after = Max(search->after,
						copies->events[copies->whole - 1]->lsn);
	for (int i = 0; i < copies->n; i++)
	{
		if (!within_answer(search, copies->events[i]))
			continue;
		copies->events[n++] = copies->events[i];
		if (i < copies->whole)
			whole = n;
	}
	if (n == 0)
		return true;
	verdicts = judge_events(search->topics, copies->events, n);

	old = MemoryContextSwitchTo(caller);
	prepare_answer(search, n);
	for (int i = 0; i < n && answer->reset == RESET_REASON_NONE; i++)
	{
		if (verdicts[i] == VERDICT_WITHHOLD)
			continue;
		if (full_before(search, copies->events[i]) || i >= whole)
			break;
		tell_event(search, copies->events[i], verdicts[i]);
	}
	MemoryContextSwitchTo(old);
	return !answer->more && answer->reset == RESET_REASON_NONE;
}

/* A place in memory for a slice behind the first, and more of it. */
static void
widen_search(Search *search)
{
	if (search->slices == NULL)
		search->slices = AllocSetContextCreate(CurrentMemoryContext,
											   "chatroom slice",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(search->slices);
	if (search->limit < SLICE_MOST / 2)
		search->limit = Max(search->limit * 2, SLICE_LEAST);
	else
		search->limit = SLICE_MOST;
}

/* Is there more to be looked at than the slices so far? */
static bool
search_goes_on(const Search *search)
{
	return search->after < search->end.published &&
		(search->end.hidden == InvalidXLogRecPtr ||
		 search->after < search->end.hidden - 1);
}

/* Fill the answer; a reason where the cursor can't be continued. */
static ResetReason
run_search(Search *search)
{
	MemoryContext caller = CurrentMemoryContext;

	for (int try = 0; try < MAX_TRIES;)
	{
		XLogRecPtr	published;
		uint64	   *positions;
		bool		complete;
		bool		news;
		int			n;
		Copies		copies;
		CopyResult	result;
		ResetReason reset;

		reset = find_news(search->topics, search->cache, search->after,
						  &news, &published);
		search->end.published = Min(search->end.published, published);
		if (reset != RESET_REASON_NONE || !news)
			return reset;
		if (search->slices != NULL)
			MemoryContextSwitchTo(search->slices);
		n = find_positions(search->topics, search->cache, search->limit,
						   &positions, &complete);
		result = n < 0 ? COPY_OVERWRITTEN :
			copy_events(search->cache, positions, n, complete,
						search->slices != NULL ? SLICE_BYTES : SIZE_MAX,
						&copies);
		if (result == COPY_OVERWRITTEN)
			try++;
		else if (result == COPY_MORE_POSITIONS)
			search->limit = search->limit < INT_MAX / 2 ? search->limit * 2 :
				INT_MAX;
		else if (!tell_slice(search, &copies, caller) ||
				 result == COPY_ALL || !search_goes_on(search))
		{
			MemoryContextSwitchTo(caller);
			return search->answer->reset;
		}
		else
			try = 0;
		MemoryContextSwitchTo(caller);
		if (result == COPY_PART)
			widen_search(search);
		else if (search->slices != NULL)
			MemoryContextReset(search->slices);
	}
	return RESET_REASON_OVERWRITTEN;
}

/* The answer to a cursor that can be continued. */
static ResetReason
find_since(SyncTopics *topics, Cache *cache, const Cursor *since,
		   int max_events, SyncAnswer *answer)
{
	Search		search = {0};
	XLogRecPtr	place;
	ResetReason reset;

	search.topics = topics;
	search.cache = cache;
	search.since = since;
	search.after = chatroom_cursor_begin(since);
	search.limit = max_events < INT_MAX / 2 - 1 ? max_events + 1 :
		INT_MAX / 2;
	if (search.limit > SLICE_MOST && find_judged(topics))
		search.limit = SLICE_MOST;
	search.max_events = max_events;
	search.answer = answer;

	/* a later snapshot, of which this can be told, will do */
	if (!chatroom_find_answer_end(cache, since, &search.end))
	{
		answer->cursor = *since;
		return RESET_REASON_NONE;
	}
	reset = run_search(&search);
	if (search.slices != NULL)
		MemoryContextDelete(search.slices);
	if (reset != RESET_REASON_NONE)
		return reset;
	if (answer->more)
		place = answer->events[answer->n - 1]->lsn;
	else if (search.end.hidden != InvalidXLogRecPtr)
		place = search.end.hidden - 1;
	else
		place = search.end.published;
	if (answer->n > 0)
		place = Max(place, answer->events[answer->n - 1]->lsn);
	advance_cursor(&answer->cursor, since, place);
	return RESET_REASON_NONE;
}

/* What happened since the cursor; see sync.h. */
void
chatroom_find_events(SyncTopics *topics, const Cursor *since,
					 int max_events, SyncAnswer *answer)
{
	Cache	   *cache = chatroom_cache_at_hand();
	XLogRecPtr	published;
	ResetReason reset;
	bool		settled;

	memset(answer, 0, sizeof(*answer));
	if (cache == NULL)
	{
		chatroom_refuse_hidden(topics->topics, topics->n);
		answer_reset(answer, NULL, RESET_REASON_NO_CACHE);
		return;
	}
	settled = chatroom_tailer_running() && !RecoveryInProgress();
	published = pg_atomic_read_u64(&cache->published);
	pg_read_barrier();
	pg_atomic_fetch_add_u64(&cache->stats.syncs, 1);
	if (since == NULL)
	{
		chatroom_refuse_hidden(topics->topics, topics->n);
		chatroom_make_cursor(published, &answer->cursor);
		return;
	}
	switch (chatroom_check_cursor(since, published))
	{
		case CURSOR_GOOD:
			break;
		case CURSOR_AHEAD:

			/*
			 * What is in WAL but not published yet is only a moment away: a
			 * broadcast's cursor, or one of an event that was read from the
			 * ring just before "published" moved.
			 */
			if (settled && since->lsn > GetXLogInsertRecPtr())
			{
				chatroom_refuse_hidden(topics->topics, topics->n);
				answer_reset(answer, cache, RESET_REASON_AHEAD);
			}
			else
				answer->cursor = *since;
			return;
		case CURSOR_FOREIGN:
			chatroom_refuse_hidden(topics->topics, topics->n);
			answer_reset(answer, cache, RESET_REASON_CURSOR);
			return;
	}

	chatroom_prepare_reads(topics, cache);
	reset = chatroom_settle_hidden(topics, cache, since);
	if (reset == RESET_REASON_NONE)
		reset = find_since(topics, cache, since, max_events, answer);
	if (reset == RESET_REASON_NONE && answer->n > 0)
		pg_atomic_fetch_add_u64(&cache->stats.syncs_with_news, 1);
	if (reset != RESET_REASON_NONE)
		answer_reset(answer, cache, reset);
}

/* ------------------------------------------------------ the newest events */

/* The events of the next slice, in their order; returns their number. */
static int
copy_slice_before(Search *search, bool *first, RingEvent ***events)
{
	TopicRead  *read = &search->topics->reads[0];
	LWLock	   *stripe = chatroom_stripe(search->cache);

	for (int try = 0; try < MAX_TRIES; try++)
	{
		uint64	   *positions;
		bool		complete;
		Copies		copies;
		int			n;

		LWLockAcquire(stripe, LW_SHARED);
		chatroom_cache_newest(search->cache, read, search->limit, *first);
		LWLockRelease(stripe);
		if (!read->news)
			return 0;
		n = find_positions(search->topics, search->cache, search->limit,
						   &positions, &complete);
		if (n >= 0 && copy_events(search->cache, positions, n, true,
								  SIZE_MAX, &copies) == COPY_ALL)
		{
			*first = false;
			*events = copies.events;
			return copies.n;
		}

		/* the oldest was overwritten: of those before there are none, then */
		if (!*first)
			return 0;
	}
	return 0;
}

/*
 * Leave of a slice what the answer may have; *last: before that there is
 * nothing that still means what it meant.
 */
static int
leave_tellable(Search *search, RingEvent **events, int n, bool *last)
{
	LWLock	   *stripe = chatroom_stripe(search->cache);
	int			left = 0;

	LWLockAcquire(stripe, LW_SHARED);
	for (int i = 0; i < n; i++)
	{
		if (!within_answer(search, events[i]))
			continue;
		if (chatroom_cache_void(search->cache, &search->topics->reads[0],
								events[i]))
		{
			*last = true;
			continue;
		}
		events[left++] = events[i];
	}
	LWLockRelease(stripe);
	return left;
}

/* Put what is seen of a slice into the answer, which is newest first. */
static bool
tell_backward(Search *search, RingEvent **events, int n, MemoryContext caller)
{
	SyncAnswer *answer = search->answer;
	Verdict    *verdicts = judge_events(search->topics, events, n);
	MemoryContext old = MemoryContextSwitchTo(caller);

	prepare_answer(search, n);
	for (int i = n - 1; i >= 0 && answer->n < search->max_events; i--)
		if (verdicts[i] != VERDICT_WITHHOLD)
			tell_event(search, events[i], verdicts[i]);
	MemoryContextSwitchTo(old);
	return answer->n < search->max_events &&
		answer->reset == RESET_REASON_NONE;
}

/* Put an answer's events into their order. */
static void
reverse_answer(SyncAnswer *answer)
{
	for (int i = 0, j = answer->n - 1; i < j; i++, j--)
	{
		RingEvent  *event = answer->events[i];
		Verdict		verdict = answer->verdicts[i];

		answer->events[i] = answer->events[j];
		answer->verdicts[i] = answer->verdicts[j];
		answer->events[j] = event;
		answer->verdicts[j] = verdict;
	}
}

/* The newest events of one topic that are kept; see sync.h. */
void
chatroom_find_newest(SyncTopics *topics, int max_events, SyncAnswer *answer)
{
	Cache	   *cache = chatroom_cache_at_hand();
	MemoryContext caller = CurrentMemoryContext;
	Cursor		since = {0};
	Search		search = {0};
	bool		first = true;
	bool		last = false;

	memset(answer, 0, sizeof(*answer));
	chatroom_refuse_hidden(topics->topics, topics->n);
	if (cache == NULL)
	{
		answer_reset(answer, NULL, RESET_REASON_NO_CACHE);
		return;
	}
	chatroom_prepare_reads(topics, cache);
	chatroom_make_cursor(pg_atomic_read_u64(&cache->published),
						 &answer->cursor);
	search.topics = topics;
	search.cache = cache;
	search.since = &since;
	search.limit = Min(max_events, SLICE_MOST);
	search.max_events = max_events;
	search.answer = answer;
	if (!chatroom_find_answer_end(cache, &since, &search.end))
		return;
	while (!last)
	{
		RingEvent **events;
		int			n;

		if (search.slices != NULL)
			MemoryContextSwitchTo(search.slices);
		n = copy_slice_before(&search, &first, &events);
		last = n == 0;
		n = leave_tellable(&search, events, n, &last);
		if (n > 0 && !tell_backward(&search, events, n, caller))
			last = true;
		MemoryContextSwitchTo(caller);
		if (!last)
			widen_search(&search);
	}
	if (search.slices != NULL)
		MemoryContextDelete(search.slices);
	if (answer->reset != RESET_REASON_NONE)
		answer_reset(answer, cache, answer->reset);
	reverse_answer(answer);
}

/* ---------------------------------------------------- a row's newest one */

/* What chatroom_find_row does under the stripe. */
typedef enum RowSearch
{
	ROW_FOUND,
	ROW_UNKNOWN,				/* not cached, or reset since */
	ROW_TOO_LARGE				/* for the buffer given */
} RowSearch;

/*
 * Copy the newest event of a row's topic that a snapshot can see, unless what
 * the topic's table went through since then makes it void.
 */
static RowSearch
copy_newest_visible(Cache *cache, const TopicRead *read,
					const Horizon *horizon, char *buffer, Size *size)
{
	XLogRecPtr	mark;
	const RingTopic *topic = chatroom_cache_topic(cache, read->hash, &mark);
	uint64		position = topic != NULL ? topic->newest_pos : 0;

	for (;;)
	{
		const RingEvent *event = chatroom_cache_event(cache, position);
		const RingLink *link;

		link = event ? chatroom_cache_link(event, read->hash) : NULL;
		if (link == NULL)
			return ROW_UNKNOWN;
		if (!chatroom_event_visible(horizon, event->fxid))
		{
			position = link->prev_pos;
			continue;
		}
		if (chatroom_cache_void(cache, read, event))
			return ROW_UNKNOWN;
		if (event->len > *size)
		{
			*size = event->len;
			return ROW_TOO_LARGE;
		}
		memcpy(buffer, event, event->len);
		return ROW_FOUND;
	}
}

/* The newest visible version of a row, or NULL; see sync.h. */
RingEvent *
chatroom_find_row(SyncTopics *topics, SyncAnswer *answer)
{
	Cache	   *cache = chatroom_cache_at_hand();
	Horizon		horizon;
	Size		size = READ_CHUNK;
	char	   *buffer = palloc(size);
	RowSearch	found = ROW_TOO_LARGE;
	const RingLink *link;

	memset(answer, 0, sizeof(*answer));
	if (cache == NULL)
		return NULL;
	chatroom_prepare_reads(topics, cache);
	chatroom_get_horizon(&horizon);
	for (int try = 0; try < MAX_TRIES && found == ROW_TOO_LARGE; try++)
	{
		LWLock	   *stripe = chatroom_stripe(cache);
		Size		room = size;

		LWLockAcquire(stripe, LW_SHARED);
		found = copy_newest_visible(cache, &topics->reads[0], &horizon,
									buffer, &size);
		LWLockRelease(stripe);
		if (found == ROW_TOO_LARGE && size > room)
		{
			pfree(buffer);
			buffer = palloc(size);
		}
	}
	if (found != ROW_FOUND)
		return NULL;
	answer->n = 1;
	answer->events = palloc(sizeof(RingEvent *));
	answer->events[0] = (RingEvent *) buffer;
	chatroom_judge_events(topics, answer);
	if (answer->n == 0 || answer->verdicts[0] == VERDICT_LEAVE)
		return NULL;

	/* an update that took this key away from the row */
	link = chatroom_cache_link(answer->events[0], topics->reads[0].hash);
	if (link == NULL || (link->images & TOPIC_OF_NEW) == 0)
		return NULL;
	return answer->events[0];
}

/* ------------------------------------------------------------------- JSON */

static const char *const type_names[] = {
	[EVENT_INSERT] = "insert",
	[EVENT_UPDATE] = "update",
	[EVENT_DELETE] = "delete",
	[EVENT_TRUNCATE] = "truncate",
	[EVENT_ENTER] = "enter",
	[EVENT_LEAVE] = "leave",
	[EVENT_BROADCAST] = "broadcast",
	[EVENT_PRESENCE_JOIN] = "presence_join",
	[EVENT_PRESENCE_UPDATE] = "presence_update",
	[EVENT_PRESENCE_LEAVE] = "presence_leave"
};

#define append_literal(buf, text) \
	appendBinaryStringInfo(buf, text, sizeof(text) - 1)

/* The name of an event's type, as the caller sees it. */
const char *
chatroom_event_type(const RingEvent *event, Verdict verdict)
{
	if (verdict == VERDICT_ENTER)
		return type_names[EVENT_ENTER];
	if (verdict == VERDICT_LEAVE)
		return type_names[EVENT_LEAVE];
	return type_names[event->type];
}

/* Append the event's topics that were asked for, as JSON array. */
static void
append_topics(StringInfo buf, const RingEvent *event, Verdict verdict,
			  const uint64 *hashes, int n)
{
	bool		first = true;

	appendStringInfoCharMacro(buf, '[');
	for (int i = 0; i < event->nlinks; i++)
	{
		const RingLink *link = &event->links[i];

		if (!chatroom_topic_asked(hashes, n, link, verdict))
			continue;
		if (!first)
			appendStringInfoCharMacro(buf, ',');
		first = false;
		chatroom_append_json_string(buf, ring_part(event, link->name),
									link->name_len);
	}
	appendStringInfoCharMacro(buf, ']');
}

/* May the caller see a column? */
static bool
column_allowed(const RelationAccess *access, AttrNumber attnum)
{
	return access->all || bms_is_member(attnum, access->columns);
}

/* Append an image from the columns that the caller may see, or null. */
static void
append_allowed(StringInfo buf, const RingEvent *event, uint32 columns, int n,
			   const RelationAccess *access, bool only_key)
{
	const RingColumn *column = ring_columns(event, columns);
	int			shown = 0;

	for (int i = 0; i < n; i++, column++)
	{
		if (!column_allowed(access, column->attnum) ||
			(only_key && (column->flags & COLUMN_KEY) == 0))
			continue;
		appendStringInfoCharMacro(buf, shown++ == 0 ? '{' : ',');
		appendBinaryStringInfo(buf, ring_part(event, column->start),
							   column->len);
	}
	if (shown == 0)
		append_literal(buf, "null");
	else
		appendStringInfoCharMacro(buf, '}');
}

/* Append the key as far as the caller may see it: of the image seen. */
void
chatroom_append_allowed_key(StringInfo buf, const RingEvent *event,
							const RelationAccess *access, Verdict verdict)
{
	bool		old = verdict == VERDICT_LEAVE && event->nold_key > 0;

	if (access->all && old)
		appendBinaryStringInfo(buf, ring_part(event, event->old_key),
							   event->old_key_len);
	else if (access->all)
		appendBinaryStringInfo(buf, ring_part(event, event->key),
							   event->key_len);
	else if (old)
		append_allowed(buf, event, event->old_key_columns, event->nold_key,
					   access, true);
	else if (event->nkey > 0)
		append_allowed(buf, event, event->key_columns, event->nkey, access,
					   true);
	else
		append_allowed(buf, event, event->row_columns, event->nrow, access,
					   true);
}

/* Append the row as far as the caller may see it. */
void
chatroom_append_allowed_row(StringInfo buf, const RingEvent *event,
							const RelationAccess *access)
{
	if (access->all)
		appendBinaryStringInfo(buf, ring_part(event, event->row),
							   event->row_len);
	else
		append_allowed(buf, event, event->row_columns, event->nrow, access,
					   false);
}

/* The column of an event's old image, or NULL. */
static const RingColumn *
old_column(const RingEvent *event, AttrNumber attnum)
{
	const RingColumn *columns = ring_columns(event, event->old_columns);

	for (int i = 0; i < event->nold; i++)
		if (columns[i].attnum == attnum)
			return &columns[i];
	return NULL;
}

/*
 * Append what is known of a row that an update took out of the caller's view:
 * what a leave event has, key and topic columns, and those that changed.
 */
static void
append_left(StringInfo buf, const RingEvent *event,
			const RelationAccess *access)
{
	const RingColumn *columns = ring_columns(event, event->row_columns);
	int			shown = 0;

	for (int i = 0; i < event->nrow; i++)
	{
		const RingColumn *column = old_column(event, columns[i].attnum);

		if (column == NULL && (columns[i].flags & RING_COLUMN_CHANGED) == 0 &&
			(columns[i].flags & (COLUMN_KEY | COLUMN_TOPIC)))
			column = &columns[i];
		if (column == NULL || !column_allowed(access, column->attnum))
			continue;
		appendStringInfoCharMacro(buf, shown++ == 0 ? '{' : ',');
		appendBinaryStringInfo(buf, ring_part(event, column->start),
							   column->len);
	}
	if (shown == 0)
		append_literal(buf, "null");
	else
		appendStringInfoCharMacro(buf, '}');
}

/* Append the old row as far as the caller may see it. */
void
chatroom_append_allowed_old(StringInfo buf, const RingEvent *event,
							const RelationAccess *access, Verdict verdict)
{
	if (verdict == VERDICT_LEAVE && event->nrow > 0)
		append_left(buf, event, access);
	else if (access->all)
		appendBinaryStringInfo(buf, ring_part(event, event->old),
							   event->old_len);
	else
		append_allowed(buf, event, event->old_columns, event->nold, access,
					   false);
}

/* Append the changed columns as far as the caller may see them. */
void
chatroom_append_allowed_changed(StringInfo buf, const RingEvent *event,
								const RelationAccess *access)
{
	const RingColumn *column = ring_columns(event, event->row_columns);
	int			shown = 0;

	if (access->all || event->changed_len == 4) /* null */
	{
		appendBinaryStringInfo(buf, ring_part(event, event->changed),
							   event->changed_len);
		return;
	}
	appendStringInfoCharMacro(buf, '[');
	for (int i = 0; i < event->nrow; i++, column++)
	{
		if (!column_allowed(access, column->attnum) ||
			(column->flags & RING_COLUMN_CHANGED) == 0)
			continue;
		if (shown++ > 0)
			appendStringInfoCharMacro(buf, ',');
		appendBinaryStringInfo(buf, ring_part(event, column->start),
							   column->name_len);
	}
	appendStringInfoCharMacro(buf, ']');
}

/* Append an event's part from "table" on, for one who may not see all. */
static void
append_restricted(StringInfo buf, const RingEvent *event,
				  const RelationAccess *access, Verdict verdict)
{
	append_literal(buf, "\"table\":");
	appendBinaryStringInfo(buf, ring_part(event, event->table),
						   event->table_len);
	append_literal(buf, ",\"key\":");
	chatroom_append_allowed_key(buf, event, access, verdict);
	append_literal(buf, ",\"row\":");
	if (verdict == VERDICT_LEAVE)
		append_literal(buf, "null");
	else
		chatroom_append_allowed_row(buf, event, access);
	append_literal(buf, ",\"old\":");
	if (verdict == VERDICT_ENTER)
		append_literal(buf, "null");
	else
		chatroom_append_allowed_old(buf, event, access, verdict);
	append_literal(buf, ",\"changed\":");
	if (verdict != VERDICT_SHOW)
		append_literal(buf, "null");
	else
		chatroom_append_allowed_changed(buf, event, access);
	if (event->flags & RING_OVERSIZE)
		append_literal(buf, ",\"oversize\":true");
	append_literal(buf, ",\"at\":");
	appendBinaryStringInfo(buf, ring_part(event, event->at_json),
						   event->at_len);
	append_literal(buf, ",\"origin\":");
	appendBinaryStringInfo(buf, ring_part(event, event->origin),
						   event->origin_len);
	appendStringInfoCharMacro(buf, '}');
}

/* What the caller may see of an event's table; kept from event to event. */
void
chatroom_event_access(const RingEvent *event, RelationAccess *access)
{
	if (access->relid == event->relid)
		return;
	if (OidIsValid(event->relid))
		chatroom_relation_access(event->relid, access);
	else
	{
		memset(access, 0, sizeof(*access));
		access->any = access->all = true;
	}
}

/* Append a cursor as JSON string; null for what has not been committed. */
static void
append_json_cursor(StringInfo buf, const Cursor *cursor)
{
	if (cursor == NULL)
	{
		append_literal(buf, "null");
		return;
	}
	appendStringInfoCharMacro(buf, '"');
	chatroom_append_cursor(buf, cursor);
	appendStringInfoCharMacro(buf, '"');
}

/* What the events of an answer have in common. */
typedef struct AnswerStyle
{
	Cursor		cursor;			/* of the last event */
	StringInfoData start;		/* of each event, up to its cursor's LSN */
	bool		uncommitted;	/* events have no cursor yet */
	StringInfoData topic;		/* JSON array of the only topic asked for */
	int			ntopics;
	uint64	   *hashes;			/* of the topics asked for, in order */
	RelationAccess access;		/* to the last event's table */
} AnswerStyle;

/* How events begin from now on. */
static void
start_cursors(AnswerStyle *style)
{
	resetStringInfo(&style->start);
	append_literal(&style->start, "{\"cursor\":");
	if (style->uncommitted)
		return;
	appendStringInfoCharMacro(&style->start, '"');
	chatroom_append_cursor_start(&style->start, &style->cursor);
}

/* Find out what the events of an answer have in common. */
static void
start_events(AnswerStyle *style, const SyncTopics *topics, bool uncommitted)
{
	memset(style, 0, sizeof(*style));
	style->uncommitted = uncommitted;
	style->ntopics = topics->n;
	style->hashes = sorted_hashes(topics);
	style->access.any = style->access.all = true;
	initStringInfo(&style->start);
	chatroom_make_cursor(0, &style->cursor);
	start_cursors(style);
	if (topics->n == 1)
	{
		initStringInfo(&style->topic);
		appendStringInfoCharMacro(&style->topic, '[');
		chatroom_append_json_string(&style->topic, topics->topics[0].topic,
									topics->topics[0].len);
		appendStringInfoCharMacro(&style->topic, ']');
	}
}

/* Append one event. */
static void
append_event(StringInfo buf, AnswerStyle *style, const RingEvent *event,
			 Verdict verdict)
{
	const char *type = chatroom_event_type(event, verdict);

	if (!style->uncommitted &&
		chatroom_place_cursor(&style->cursor, event->lsn))
		start_cursors(style);
	appendBinaryStringInfo(buf, style->start.data, style->start.len);
	if (style->uncommitted)
		append_literal(buf, "null,\"type\":\"");
	else
	{
		chatroom_append_cursor_lsn(buf, event->lsn);
		append_literal(buf, "\",\"type\":\"");
	}
	appendBinaryStringInfo(buf, type, strlen(type));
	append_literal(buf, "\",\"topics\":");
	if (style->ntopics == 1)
		appendBinaryStringInfo(buf, style->topic.data, style->topic.len);
	else
		append_topics(buf, event, verdict, style->hashes, style->ntopics);
	appendStringInfoCharMacro(buf, ',');
	chatroom_event_access(event, &style->access);
	if (style->access.all && verdict == VERDICT_SHOW)
		appendBinaryStringInfo(buf, ring_part(event, event->tail),
							   event->tail_len);
	else
		append_restricted(buf, event, &style->access, verdict);
}

/* Make room for the events of an answer, rather than grow again and again. */
static void
reserve_answer(StringInfo buf, const SyncAnswer *answer)
{
	Size		size = 0;

	for (int i = 0; i < answer->n; i++)
		size += answer->events[i]->tail_len + EVENT_HEAD_GUESS;
	enlargeStringInfo(buf, (int) Min(size, MAX_RESERVED));
}

/* An answer as JSON. */
void
chatroom_append_answer(StringInfo buf, SyncTopics *topics,
					   const SyncAnswer *answer)
{
	append_literal(buf, "{\"cursor\":");
	append_json_cursor(buf, answer->uncommitted ? NULL : &answer->cursor);
	if (answer->reset != RESET_REASON_NONE)
		append_literal(buf, ",\"reset\":true,\"more\":");
	else
		append_literal(buf, ",\"reset\":false,\"more\":");
	if (answer->more)
		append_literal(buf, "true,\"events\":[");
	else
		append_literal(buf, "false,\"events\":[");
	if (answer->n > 0)
	{
		AnswerStyle style;

		start_events(&style, topics, answer->uncommitted);
		reserve_answer(buf, answer);
		for (int i = 0; i < answer->n; i++)
		{
			if (i > 0)
				appendStringInfoCharMacro(buf, ',');
			append_event(buf, &style, answer->events[i],
						 answer->verdicts[i]);
		}
	}
	append_literal(buf, "]}");
}

/* -------------------------------------------------------- SQL: sync et al. */

/* The common part of sync and sync_many. */
static Datum
answer_call(FunctionCallInfo fcinfo, SyncTopics *topics)
{
	Cursor		since;
	bool		have_since = !PG_ARGISNULL(1);
	int			max_events;
	SyncAnswer	answer;
	StringInfoData buf;

	if (have_since)
		chatroom_parse_since(PG_GETARG_TEXT_PP(1), &since);
	chatroom_require_argument(fcinfo, 2, "max_events");
	max_events = chatroom_check_limit(PG_GETARG_INT32(2));
	chatroom_find_events(topics, have_since ? &since : NULL, max_events,
						 &answer);
	initStringInfo(&buf);
	buf.len = VARHDRSZ;
	chatroom_append_answer(&buf, topics, &answer);
	SET_VARSIZE(buf.data, buf.len);
	PG_RETURN_TEXT_P((text *) buf.data);
}

CHATROOM_FUNCTION(chatroom_sync);

/* sync(topic text, since text, max_events int) → json */
Datum
chatroom_sync(PG_FUNCTION_ARGS)
{
	SyncTopics	topics;

	chatroom_require_argument(fcinfo, 0, "topic");
	chatroom_one_topic(PG_GETARG_TEXT_PP(0), &topics);
	return answer_call(fcinfo, &topics);
}

CHATROOM_FUNCTION(chatroom_sync_many);

/* sync_many(topics text[], since text, max_events int) → json */
Datum
chatroom_sync_many(PG_FUNCTION_ARGS)
{
	SyncTopics	topics;

	chatroom_require_argument(fcinfo, 0, "topics");
	chatroom_many_topics(PG_GETARG_ARRAYTYPE_P(0), &topics);
	return answer_call(fcinfo, &topics);
}
