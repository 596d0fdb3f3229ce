/*-------------------------------------------------------------------------
 *
 * access.h
 *	  Who may follow a topic and see its events.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_ACCESS_H
#define CHATROOM_ACCESS_H

#include "postgres.h"

#include "base/topics.h"
#include "cache/ring.h"
#include "nodes/bitmapset.h"

/* A topic that the caller may follow. */
typedef struct ResolvedTopic
{
	const char *topic;
	int			len;
	TopicKind	kind;
	Oid			relid;			/* TOPIC_WATCH */
	int			base_len;		/* TOPIC_WATCH: the base's part of topic */
	Oid			schema;			/* of a prefix */
	int64		room_id;		/* TOPIC_ROOM */

	/*
	 * TOPIC_ROOM: there is no such room, or none that the caller may see.  Who
	 * resolves has to see to it, with chatroom_refuse_hidden() or
	 * read/rooms.h.
	 */
	bool		hidden;
	bool		gone;			/* hidden, and the caller may see it go */
} ResolvedTopic;

/*
 * Find out what a topic means and check that the caller may follow it.  Raises
 * 22023 for a text that can't be a topic, 55000 for a table's topic that
 * nobody watches, 3F000 for one of no prefix, 42501 where the caller may not.
 * The answer points to the text that was given.  Rooms are looked up with the
 * active snapshot.
 */
extern void chatroom_resolve_topic(const char *topic, int len,
								   ResolvedTopic *resolved);

/*
 * May events of a topic be hidden from the caller, by policies, or because he
 * may not select from one of the tables that it is of?  Then nothing may tell
 * that they are there.
 */
extern bool chatroom_topic_judged(const ResolvedTopic *topic);

/* P0002 for a room that the caller can't see. */
extern void chatroom_refuse_hidden(const ResolvedTopic *topics, int n);

/* What the current user may see of a relation's rows. */
typedef struct RelationAccess
{
	Oid			relid;
	bool		any;			/* something */
	bool		all;			/* all columns */
	bool		policies;		/* row-level security applies */
	Bitmapset  *columns;		/* if not all: attnums */
	bool		exists;
	bool		usage;			/* may look into its schema */
} RelationAccess;

extern void chatroom_relation_access(Oid relid, RelationAccess *access);

/* What becomes of an event for a caller. */
typedef enum Verdict
{
	VERDICT_SHOW,
	VERDICT_WITHHOLD,
	VERDICT_ENTER,				/* shown as a row that comes in */
	VERDICT_LEAVE,				/* shown as a row that goes out */
	VERDICT_RESET				/* can't be told */
} Verdict;

/*
 * Evaluate a relation's SELECT policies, as the current user and as of now,
 * over the images of its events among events[0 .. n-1]; one query.  Sets the
 * verdicts of those events, except where they say to withhold it already.
 */
extern void chatroom_apply_policies(Oid relid, RingEvent **events, int n,
									Verdict *verdicts);

#endif							/* CHATROOM_ACCESS_H */
