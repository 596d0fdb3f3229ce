/*-------------------------------------------------------------------------
 *
 * sync.h
 *	  What happened to topics since a cursor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_SYNC_H
#define CHATROOM_SYNC_H

#include "postgres.h"

#include "base/cursor.h"
#include "cache/demand.h"
#include "cache/ring.h"
#include "lib/stringinfo.h"
#include "read/access.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/snapshot.h"

/* Most topics in one call. */
#define CHATROOM_MAX_ASKED	10000

typedef struct SyncTopics
{
	int			n;
	ResolvedTopic *topics;
	TopicRead  *reads;			/* hashes filled in once a cache is there */
	bool		prepared;		/* the hashes were computed ... */
	uint64		seed;			/* ... for the cache with this seed */
} SyncTopics;

/* What was found. */
typedef struct SyncAnswer
{
	Cursor		cursor;			/* where to go on */
	ResetReason reset;			/* if not NONE, there are no events */
	bool		more;
	bool		uncommitted;	/* pending(): no cursors yet */
	int			n;				/* events that the caller sees */
	RingEvent **events;			/* copies, in commit order */
	Verdict    *verdicts;
} SyncAnswer;

/* The caller's snapshot, its bounds as full xids. */
typedef struct Horizon
{
	Snapshot	snapshot;
	uint64		xmin;			/* all below are visible, or aborted */
	uint64		xmax;			/* none from here on is */
} Horizon;

extern void chatroom_get_horizon(Horizon *horizon);
extern bool chatroom_event_visible(const Horizon *horizon, uint64 fxid);

/* The LSN up to which the cursor's holder has seen everything. */
extern XLogRecPtr chatroom_cursor_begin(const Cursor *since);

/* Has the cursor's holder seen all of the transaction that ended here? */
extern bool chatroom_already_seen(const Cursor *since, XLogRecPtr lsn);

/* The cursor that belongs to the active snapshot; or an error, 55000. */
extern void chatroom_cursor_of_snapshot(Cursor *cursor);

/* How far an answer may go. */
typedef struct AnswerEnd
{
	XLogRecPtr	published;		/* all up to here is in the ring ... */
	XLogRecPtr	hidden;			/* ... the first that isn't visible; 0: none */
} AnswerEnd;

/*
 * How far an answer may go that continues a cursor: before the first
 * transaction, of whatever topics, that the active snapshot does not see.
 * False: that can't be told, for the snapshot is older than all the ring has.
 */
extern bool chatroom_find_answer_end(Cache *cache, const Cursor *since,
									 AnswerEnd *end);

/*
 * Arguments, checked; errors as in docs/errors.md.  A room that the caller
 * can't see is only refused when its events are asked for; see read/rooms.h.
 */
extern void chatroom_one_topic(text *topic, SyncTopics *topics);
extern void chatroom_many_topics(ArrayType *array, SyncTopics *topics);
extern void chatroom_parse_since(text *since, Cursor *cursor);
extern int	chatroom_check_limit(int max_events);

/* Compute the topics' hashes for a cache, unless that was done. */
extern void chatroom_prepare_reads(SyncTopics *topics, Cache *cache);

/*
 * Check again that the caller may follow the topics, with the active snapshot
 * (wait, after sleeping).
 */
extern void chatroom_recheck_topics(SyncTopics *topics);

/*
 * What happened since the cursor, as far as the caller may see it; since NULL:
 * nothing, and the cursor of now.  At most max_events, but for those of one
 * transaction.  Memory is allocated in the current context.
 */
extern void chatroom_find_events(SyncTopics *topics, const Cursor *since,
								 int max_events, SyncAnswer *answer);

/*
 * The newest events of one topic that are kept and the caller may see, at most
 * max_events.
 */
extern void chatroom_find_newest(SyncTopics *topics, int max_events,
								 SyncAnswer *answer);

/* The newest visible event of a row's topic, or NULL. */
extern RingEvent *chatroom_find_row(SyncTopics *topics, SyncAnswer *answer);

/* The newest version of a row by its topic, as cached() has it, or NULL. */
extern Jsonb *chatroom_cached_row(text *topic);

/*
 * Leave of an answer's events those that the caller sees and that belong to
 * the topics for what he sees of them; may turn the answer into a reset.
 */
extern void chatroom_judge_events(const SyncTopics *topics,
								  SyncAnswer *answer);

/* An answer as JSON. */
extern void chatroom_append_answer(StringInfo buf, SyncTopics *topics,
								   const SyncAnswer *answer);

/* Parts of events, for those who put them together otherwise. */
extern const char *chatroom_event_type(const RingEvent *event,
									   Verdict verdict);
extern bool chatroom_topic_asked(const uint64 *hashes, int n,
								 const RingLink *link, Verdict verdict);
extern void chatroom_event_access(const RingEvent *event,
								  RelationAccess *access);
extern void chatroom_append_allowed_key(StringInfo buf,
										const RingEvent *event,
										const RelationAccess *access,
										Verdict verdict);
extern void chatroom_append_allowed_row(StringInfo buf,
										const RingEvent *event,
										const RelationAccess *access);
extern void chatroom_append_allowed_old(StringInfo buf,
										const RingEvent *event,
										const RelationAccess *access,
										Verdict verdict);
extern void chatroom_append_allowed_changed(StringInfo buf,
											const RingEvent *event,
											const RelationAccess *access);

#endif							/* CHATROOM_SYNC_H */
