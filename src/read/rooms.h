/*-------------------------------------------------------------------------
 *
 * rooms.h
 *	  Who may see the events of a prefix' tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_READ_ROOMS_H
#define CHATROOM_READ_ROOMS_H

#include "postgres.h"

#include "base/rooms.h"
#include "read/sync.h"

/* How the events of a table are judged. */
typedef enum TableRule
{
	RULE_SHOW,					/* no row-level security for the caller */
	RULE_POLICIES,				/* the table's policies tell */
	RULE_ROOM					/* seeing the room tells */
} TableRule;

/* A topic of a prefix that was asked for. */
typedef struct AskedTopic
{
	uint64		hash;
	const ResolvedTopic *topic;
} AskedTopic;

/* A room's deletion: what bears its id before it is not what does after. */
typedef struct RoomEnd
{
	uint64		before;			/* the event's: places it in the ring */
	bool		shown;			/* the caller may see what was before */
} RoomEnd;

/* What a room's id has meant. */
typedef struct RoomPast
{
	Oid			schema;			/* invalid: nothing is known */
	int64		room_id;
	XLogRecPtr	from;			/* it was looked at back to here */
	XLogRecPtr	unknown;		/* deletions up to here may be lost */
	uint64		newest;			/* xid of its row's newest event; 0: none */
	int			n;
	RoomEnd    *ends;			/* newest first */
} RoomPast;

/* What is known of the caller, and of the table of the event at hand. */
typedef struct Judge
{
	const SyncTopics *topics;
	bool		tables_asked;	/* some topics are tables' */
	int			nasked;			/* topics of prefixes, by hash */
	AskedTopic *asked;
	/* the table: */
	Oid			relid;
	RelationAccess access;
	TableRule	rule;
	bool		of_prefix;		/* one of tables' */
	bool		plain;			/* who sees the room sees its rows */
	ChatTables	tables;
	AttrNumber	room;			/* the column of the room's id */
	AttrNumber	private;		/* of rooms: whether it is private */
	/* the room that was looked up last: */
	Oid			room_schema;	/* invalid: none */
	int64		room_id;
	RoomAccess	room_access;
	RoomPast	past;			/* the same */
	bool		settled;		/* the ring has all that the snapshot sees */
} Judge;

extern void chatroom_start_judge(Judge *judge, const SyncTopics *topics);

/*
 * What becomes of an event; of one of a table with RULE_POLICIES that may
 * still be for its policies to say: then *policies is set.
 */
extern Verdict chatroom_judge_event(Judge *judge, const RingEvent *event,
									bool *policies);

/*
 * Rooms among the topics that the caller can't see: P0002; but where events
 * since his cursor entitle him to it, events up to the room's end, or one
 * reset because he was taken out of it.  Then returns the reason.
 */
extern ResetReason chatroom_settle_hidden(SyncTopics *topics, Cache *cache,
										  const Cursor *since);

/* The same of the events of the caller's own transaction. */
extern ResetReason chatroom_settle_hidden_own(SyncTopics *topics,
											  RingEvent **events, int n);

#endif							/* CHATROOM_READ_ROOMS_H */
