/*-------------------------------------------------------------------------
 *
 * rooms.c
 *	  Who may see the events of a prefix' tables.
 *
 * Whoever may see a room may see its rows.  That is what the policies of the
 * tables say, as migrate() makes them, and where a table has no others it need
 * not be asked of each event: a room's topic is checked once a call, with the
 * snapshot that the answer is made with, and shows all events whose images are
 * all in it.  Of other topics each room is looked up once in a row.
 * Privileges for tables and columns hold all the same.
 *
 * The same look-up holds those to a user's rights who act for one and could
 * see everything by themselves.
 *
 * A room that the caller can't see is not there: P0002, the same whether it is
 * missing or hidden.  Only what concerns himself may say otherwise:
 *
 * - The room was deleted since his cursor, and was not private, or he is in
 *	 its audience: he gets its events up to that.
 * - He was taken out of it since his cursor, or it became private: he gets one
 *	 reset, whose cursor is behind that.
 *
 * A room's id may come back, with other rights: after a deletion, by one who
 * may choose ids, or after a TRUNCATE that restarts them.  What was before a
 * room's deletion is for those who saw it go, whatever bears the id now; the
 * events of the room's own row tell.
 *
 * What concerns the caller is looked for among the events of the room's own
 * row and those of the caller's own memberships: so how long it takes tells
 * nothing of what happens in a room.
 *
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/grants.h"
#include "base/identity.h"
#include "base/launch.h"
#include "base/wal.h"
#include "base/watches.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "read/rooms.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

/* How long to wait for events of what the snapshot sees, in ms. */
#define PUBLISH_TIMEOUT	1000

/* Newest events of a topic that are looked at for what concerns the caller. */
#define MAX_LOOKED_AT	1000

/* ----------------------------------------------------------- asked topics */

/* qsort comparator by hash. */
static int
compare_asked(const void *a, const void *b)
{
	uint64		left = ((const AskedTopic *) a)->hash;
	uint64		right = ((const AskedTopic *) b)->hash;

	return left < right ? -1 : left > right;
}

/* Get ready to judge the events of some topics. */
void
chatroom_start_judge(Judge *judge, const SyncTopics *topics)
{
	memset(judge, 0, sizeof(*judge));
	judge->topics = topics;
	for (int i = 0; i < topics->n; i++)
	{
		if (topics->topics[i].kind == TOPIC_WATCH)
			judge->tables_asked = true;
		if (!topic_of_prefix(topics->topics[i].kind))
			continue;
		if (judge->asked == NULL)
			judge->asked = palloc(sizeof(AskedTopic) * topics->n);
		judge->asked[judge->nasked].hash = topics->reads[i].hash;
		judge->asked[judge->nasked++].topic = &topics->topics[i];
	}
	if (judge->nasked > 1)
		qsort(judge->asked, judge->nasked, sizeof(AskedTopic), compare_asked);
}

/* The prefix' topic asked for that a link is of; NULL: none. */
static const ResolvedTopic *
asked_topic(const Judge *judge, const RingLink *link)
{
	AskedTopic	key = {link->hash, NULL};
	const AskedTopic *found;

	if (judge->nasked == 0)
		return NULL;
	found = bsearch(&key, judge->asked, judge->nasked, sizeof(AskedTopic),
					compare_asked);
	return found != NULL ? found->topic : NULL;
}

/* Does an event belong to a topic asked for that is no prefix'? */
static bool
asked_otherwise(const Judge *judge, const RingEvent *event)
{
	const SyncTopics *topics = judge->topics;

	for (int i = 0; i < topics->n; i++)
		if (!topic_of_prefix(topics->topics[i].kind) &&
			chatroom_cache_link(event, topics->reads[i].hash) != NULL)
			return true;
	return false;
}

/*
 * Does an event without a row belong to a label's topic, and may not be told
 * to the caller?  It is from before the label, or came with it: so it is for
 * those to whom the topic is granted.
 */
static bool
not_granted(const Judge *judge, const RingEvent *event)
{
	const SyncTopics *topics = judge->topics;

	for (int i = 0; i < topics->n && judge->tables_asked; i++)
		if (topics->topics[i].kind == TOPIC_WATCH &&
			chatroom_cache_link(event, topics->reads[i].hash) != NULL &&
			!chatroom_topic_granted(topics->topics[i].topic,
									topics->topics[i].len, TOPIC_SYNC))
			return true;
	return false;
}

/*
 * Was it checked for a topic asked for that the caller may select the columns
 * of an event's table that the topic tells values of?  A row may also come by
 * a topic that means something else by now.
 */
static bool
columns_checked(const Judge *judge, const RingEvent *event)
{
	const SyncTopics *topics = judge->topics;

	for (int i = 0; i < topics->n; i++)
	{
		const ResolvedTopic *topic = &topics->topics[i];

		if ((topic_of_prefix(topic->kind) ||
			 (topic->kind == TOPIC_WATCH && topic->relid == event->relid)) &&
			chatroom_cache_link(event, topics->reads[i].hash) != NULL)
			return true;
	}
	return false;
}

/* ------------------------------------------------------- values of images */

/*
 * A column's value in an image, as JSON has it; false: the event doesn't carry
 * it.
 */
static bool
image_value(const RingEvent *event, AttrNumber attnum, bool old, Piece *value)
{
	const RingColumn *columns;
	int			n;

	/* what an update left alone stands in the new row only */
	for (int pass = old ? 0 : 1; pass < 2; pass++)
	{
		n = pass == 0 ? event->nold : event->nrow;
		columns = ring_columns(event, pass == 0 ? event->old_columns :
							   event->row_columns);
		for (int i = 0; i < n; i++)
		{
			if (columns[i].attnum != attnum)
				continue;
			value->data = ring_part(event, columns[i].start) +
				columns[i].name_len + 1;
			value->len = columns[i].len - columns[i].name_len - 1;
			return true;
		}
	}

	/* a row too large to be sent: what policies refer to is there, raw */
	n = old ? event->nold_policy : event->nnew_policy;
	columns = ring_columns(event, old ? event->old_policy_columns :
						   event->new_policy_columns);
	for (int i = 0; i < n; i++)
	{
		if (columns[i].attnum != attnum || columns[i].len < 0)
			continue;
		value->data = ring_part(event, columns[i].start);
		value->len = columns[i].len;
		return true;
	}
	return false;
}

/* A bigint of an image. */
static bool
image_number(const RingEvent *event, AttrNumber attnum, bool old,
			 int64 *number)
{
	Piece		value;
	char		text[MAXINT8LEN + 1];
	char	   *end;

	if (attnum <= 0 || !image_value(event, attnum, old, &value))
		return false;
	/* where big numbers are sent as strings */
	if (value.len >= 2 && value.data[0] == '"')
	{
		value.data++;
		value.len -= 2;
	}
	if (value.len < 1 || value.len > MAXINT8LEN)
		return false;
	memcpy(text, value.data, value.len);
	text[value.len] = '\0';
	errno = 0;
	*number = strtoi64(text, &end, 10);
	return errno == 0 && *end == '\0';
}

/* A boolean of an image; of one that doesn't carry it, false. */
static bool
image_bool(const RingEvent *event, AttrNumber attnum, bool old)
{
	Piece		value;

	return attnum > 0 && image_value(event, attnum, old, &value) &&
		value.len > 0 && value.data[0] == 't';
}

/* Is a text of an image this one? */
static bool
image_is(const RingEvent *event, AttrNumber attnum, bool old,
		 const char *text)
{
	Piece		value;
	StringInfoData json;
	bool		same;

	if (attnum <= 0 || !image_value(event, attnum, old, &value))
		return false;
	initStringInfo(&json);
	chatroom_append_json_string(&json, text, strlen(text));
	same = json.len == value.len &&
		memcmp(json.data, value.data, value.len) == 0;
	pfree(json.data);
	return same;
}

/* ----------------------------------------------------------------- judging */

/* How are the events of a table judged? */
static TableRule
table_rule(Judge *judge)
{
	bool		policies = judge->access.policies;

	if (!judge->of_prefix || judge->tables.version < 2)
		return policies ? RULE_POLICIES : RULE_SHOW;
	if (chatroom_exempt(&judge->tables))
		return policies && !judge->plain ? RULE_POLICIES : RULE_SHOW;

	/* under row_security = off a SELECT fails, and so does this */
	if (policies)
		(void) check_enable_rls(judge->relid, InvalidOid, false);
	if (judge->plain)
		return RULE_ROOM;
	if (policies)
		return RULE_POLICIES;

	/* who acts for a user sees no more than the user */
	return chatroom_acts_for() != NULL && judge->room > 0 ? RULE_ROOM :
		RULE_SHOW;
}

/* Get to know the table that an event is of. */
static void
judge_table(Judge *judge, Oid relid)
{
	const ChatTables *tables;

	if (judge->relid == relid)
		return;
	judge->relid = relid;
	chatroom_relation_access(relid, &judge->access);
	judge->rule = RULE_SHOW;
	judge->of_prefix = judge->plain = false;
	judge->room = judge->private = 0;
	if (!judge->access.any)
		return;
	tables = chatroom_tables_of(relid);
	if (tables != NULL)
	{
		judge->of_prefix = true;
		judge->tables = *tables;
		judge->plain = chatroom_plain_table(tables, relid);
		judge->room = get_attnum(relid, relid == judge->tables.rooms ? "id" :
								 "room_id");
		if (relid == judge->tables.rooms)
			judge->private = get_attnum(relid, "private");
	}
	judge->rule = table_rule(judge);
}

/* Which images has an event? */
static uint8
event_images(const RingEvent *event)
{
	switch ((EventType) event->type)
	{
		case EVENT_INSERT:
		case EVENT_ENTER:
			return TOPIC_OF_NEW;
		case EVENT_DELETE:
		case EVENT_LEAVE:
			return TOPIC_OF_OLD;
		case EVENT_UPDATE:
			return TOPIC_OF_NEW | TOPIC_OF_OLD;
		default:
			return 0;
	}
}

/* Copy the event at a position; NULL: it was overwritten. */
static RingEvent *
copy_event(Cache *cache, uint64 position)
{
	LWLock	   *stripe = chatroom_stripe(cache);
	RingEvent  *copy = NULL;
	Size		room = 0;

	for (;;)
	{
		const RingEvent *event;
		Size		len;

		LWLockAcquire(stripe, LW_SHARED);
		event = chatroom_cache_event(cache, position);
		len = event != NULL ? event->len : 0;
		if (len > 0 && len <= room)
			memcpy(copy, event, len);
		LWLockRelease(stripe);
		if (len <= room)
			return len > 0 ? copy : NULL;
		copy = palloc(len);
		room = len;
	}
}

/* What the caller is to a room. */
static const RoomAccess *
look_at_room(Judge *judge, const ChatTables *tables, int64 room_id)
{
	if (judge->room_schema != tables->schema || judge->room_id != room_id)
	{
		judge->room_schema = InvalidOid;
		chatroom_room_access(tables, room_id, &judge->room_access);
		judge->room_schema = tables->schema;
		judge->room_id = room_id;
	}
	return &judge->room_access;
}

/* Was the caller in a private room when it was deleted? */
static bool
saw_it_go(const RingEvent *event)
{
	const char *identity = chatroom_identity();

	return identity != NULL && (event->flags & RING_AUDIENCE) &&
		chatroom_in_audience(ring_part(event, event->audience),
							 event->audience_len, identity);
}

/* ---------------------------------------------------- ids that come back */

/* Note a deletion of a room, if the caller's snapshot sees it. */
static void
note_end(RoomPast *past, const ChatTables *tables, const Horizon *horizon,
		 const RingEvent *event)
{
	AttrNumber	private = get_attnum(tables->rooms, "private");

	if (!chatroom_event_visible(horizon, event->fxid))
		return;
	past->ends[past->n].before = event->before;
	past->ends[past->n++].shown = event->type == EVENT_DELETE &&
		(!image_bool(event, private, true) || saw_it_go(event));
}

/* A way back along the events of a room's row. */
typedef struct WayBack
{
	uint64		position;		/* of the next event */
	XLogRecPtr	next;			/* its LSN, or more */
	int			n;				/* found: where the id was taken away */
	uint64		positions[MAX_LOOKED_AT];
} WayBack;

/* Begin with the newest event. */
static void
start_way_back(Cache *cache, const TopicRead *read, WayBack *way,
			   RoomPast *past)
{
	LWLock	   *stripe = chatroom_stripe(cache);
	const RingTopic *topic;
	const RingEvent *event;

	way->position = 0;
	way->n = 0;
	past->newest = 0;
	LWLockAcquire(stripe, LW_SHARED);
	past->unknown = chatroom_cache_mark_lsn(cache, read);
	topic = chatroom_cache_topic(cache, read->hash, &way->next);
	if (topic != NULL)
	{
		way->position = topic->newest_pos;
		way->next = topic->newest_lsn;
	}
	event = chatroom_cache_event(cache, way->position);
	if (event != NULL)
		past->newest = event->fxid;
	LWLockRelease(stripe);
}

/* Go back a part of the way; false: it is at its end. */
static bool
go_back(Cache *cache, const TopicRead *read, WayBack *way, RoomPast *past)
{
	LWLock	   *stripe = chatroom_stripe(cache);
	bool		more = true;

	LWLockAcquire(stripe, LW_SHARED);
	for (int i = 0; i < MAX_LOOKED_AT && more; i++)
	{
		const RingEvent *event = chatroom_cache_event(cache, way->position);
		const RingLink *link;

		link = event ? chatroom_cache_link(event, read->hash) : NULL;
		more = link != NULL && way->next >= past->from &&
			way->n < MAX_LOOKED_AT;
		if (!more)
			break;
		if ((link->images & TOPIC_OF_NEW) == 0)
			way->positions[way->n++] = way->position;
		way->position = link->prev_pos;
		way->next = link->prev_lsn;
	}
	LWLockRelease(stripe);
	CHECK_FOR_INTERRUPTS();
	return more;
}

/* The topic of a room's row; false: its table is gone. */
static bool
read_of_row(Cache *cache, const ChatTables *tables, int64 room_id,
			TopicRead *read)
{
	const char *base = chatroom_relation_base(tables->rooms);
	char		number[MAXINT8LEN + 1];
	Piece		id = {number, 0};
	StringInfoData topic;

	memset(read, 0, sizeof(*read));
	if (base == NULL)
		return false;
	id.len = snprintf(number, sizeof(number), INT64_FORMAT, room_id);
	initStringInfo(&topic);
	chatroom_append_row_topic(&topic, base, &id, 1);
	read->hash = chatroom_topic_hash(cache, topic.data, topic.len);
	read->base_hash = chatroom_mark_hash(cache, base, strlen(base),
										 MARK_BASE);
	read->sub_hash = chatroom_mark_hash(cache, base, strlen(base),
										MARK_SUBTOPICS);
	pfree(topic.data);
	return true;
}

/* Get to know what a room's id has meant since a place. */
static const RoomPast *
look_at_past(Judge *judge, const ChatTables *tables, int64 room_id,
			 XLogRecPtr from)
{
	Cache	   *cache = chatroom_need_cache();
	RoomPast   *past = &judge->past;
	TopicRead	read;
	Horizon		horizon;
	WayBack    *way;

	if (past->schema == tables->schema && past->room_id == room_id &&
		past->from <= from)
		return past;
	past->schema = tables->schema;
	past->room_id = room_id;
	past->from = from;
	past->n = 0;
	past->unknown = PG_UINT64_MAX;
	if (cache == NULL || !read_of_row(cache, tables, room_id, &read))
		return past;
	way = palloc(sizeof(WayBack));
	start_way_back(cache, &read, way, past);
	while (go_back(cache, &read, way, past))
		;
	past->unknown = Max(past->unknown, way->next);
	if (way->n > 0)
	{
		chatroom_get_horizon(&horizon);
		past->ends = palloc(sizeof(RoomEnd) * way->n);
	}
	for (int i = 0; i < way->n; i++)
	{
		RingEvent  *event = copy_event(cache, way->positions[i]);

		/* what is overwritten by now is behind all that is judged */
		if (event == NULL)
			break;
		note_end(past, tables, &horizon, event);
		pfree(event);
	}
	pfree(way);
	return past;
}

/* Have the ring have all that the snapshot sees; false: it hasn't. */
static bool
settle_ring(Judge *judge)
{
	Cache	   *cache = chatroom_need_cache();

	if (judge->settled)
		return true;
	if (cache == NULL || !chatroom_tailer_running() ||
		!chatroom_wait_published(cache, chatroom_available_wal(NULL),
								 PUBLISH_TIMEOUT))
		return false;
	judge->past.schema = InvalidOid;
	judge->settled = true;
	return true;
}

/* Is what tells of a room older than an event about a room of its id? */
static bool
older_than(const RoomAccess *access, const RingEvent *event)
{
	TransactionId xid = (TransactionId) (event->fxid != 0 ? event->fxid :
										 event->next_fxid);

	return TransactionIdPrecedes(access->since, xid);
}

/* What a room was to the caller when something happened. */
typedef enum RoomThen
{
	THEN_AS_NOW,				/* it is the one that bears the id now */
	THEN_SEEN,					/* another, which the caller saw go */
	THEN_HIDDEN,				/* another, which he didn't */
	THEN_UNKNOWN				/* it may be another */
} RoomThen;

/* Which room is an event about? */
static RoomThen
room_then(Judge *judge, const ChatTables *known, int64 room_id,
		  const RingEvent *event)
{
	ChatTables	tables = *known;
	const RoomPast *past;
	const RoomAccess *access;

	/* of the caller's own transaction, or for one who sees all */
	if (event->lsn == InvalidXLogRecPtr)
		return THEN_AS_NOW;
	if (tables.version < 2 || chatroom_exempt(&tables))
		return THEN_SEEN;
	access = look_at_room(judge, &tables, room_id);

	past = look_at_past(judge, &tables, room_id, event->lsn);

	/*
	 * The snapshot may see another room before the ring has the deletion of
	 * the one before; but not where what it sees of the room is in the ring.
	 */
	if (access->visible && !older_than(access, event) &&
		access->since != (TransactionId) past->newest)
	{
		if (!settle_ring(judge))
			return THEN_UNKNOWN;
		past = look_at_past(judge, &tables, room_id, event->lsn);
	}
	for (int i = past->n - 1; i >= 0; i--)
		if (past->ends[i].before >= event->before)
			return past->ends[i].shown ? THEN_SEEN : THEN_HIDDEN;
	if (access->visible && event->lsn <= past->unknown &&
		!older_than(access, event))
		return THEN_UNKNOWN;
	return THEN_AS_NOW;
}

/* Is an event of the room that bears the id of a topic shown? */
static bool
shown_now(const ResolvedTopic *topic, const RingEvent *event)
{
	return !topic->hidden ||
		(topic->gone && event->lsn == InvalidXLogRecPtr);
}

/* Is an event of a room that was asked for and that the caller may see? */
static bool
shown_by_room(Judge *judge, const RingEvent *event)
{
	uint8		images = event_images(event);

	for (int i = 0; i < event->nlinks; i++)
	{
		const RingLink *link = &event->links[i];
		const ResolvedTopic *topic;

		if ((link->images & images) != images)
			continue;
		topic = asked_topic(judge, link);
		if (topic == NULL || topic->kind != TOPIC_ROOM ||
			topic->schema != judge->tables.schema)
			continue;
		switch (room_then(judge, &judge->tables, topic->room_id, event))
		{
			case THEN_SEEN:
				return true;
			case THEN_AS_NOW:
				if (shown_now(topic, event))
					return true;
				break;
			default:
				break;
		}
	}
	return false;
}

/* May the caller see an image?  False in *told: that can't be told. */
static bool
image_visible(Judge *judge, const RingEvent *event, bool old, bool *told)
{
	const RoomAccess *access;
	RoomThen	then;
	int64		room_id;

	if (!image_number(event, judge->room, old, &room_id))
	{
		*told = false;
		return false;
	}
	if (judge->relid == judge->tables.rooms &&
		!image_bool(event, judge->private, old))
		return true;
	then = room_then(judge, &judge->tables, room_id, event);
	if (then == THEN_UNKNOWN)
		*told = false;
	if (then != THEN_AS_NOW)
		return then == THEN_SEEN && judge->relid != judge->tables.invites;
	access = look_at_room(judge, &judge->tables, room_id);
	if (judge->relid == judge->tables.invites)
		return access->visible &&
			(!access->governed || access->role >= ROOM_ADMIN);
	if (judge->relid != judge->tables.rooms)
		return access->visible;
	return access->exempt || access->role != ROOM_NONE;
}

/* What becomes of an event for one who sees some rooms. */
static Verdict
judge_by_room(Judge *judge, const RingEvent *event)
{
	uint8		images = event_images(event);
	bool		told = true;
	bool		new;
	bool		old;

	if (images == 0)
		return VERDICT_SHOW;	/* a truncation: the table's name only */
	if (event->type == EVENT_DELETE && judge->relid == judge->tables.rooms &&
		saw_it_go(event))
		return VERDICT_SHOW;
	new = (images & TOPIC_OF_NEW) &&
		image_visible(judge, event, false, &told);
	old = (images & TOPIC_OF_OLD) && image_visible(judge, event, true, &told);
	if (!told)
		return VERDICT_RESET;
	if (images != (TOPIC_OF_NEW | TOPIC_OF_OLD))
		return new || old ? VERDICT_SHOW : VERDICT_WITHHOLD;
	if (new)
		return old ? VERDICT_SHOW : VERDICT_ENTER;
	return old ? VERDICT_LEAVE : VERDICT_WITHHOLD;
}

/*
 * Did who leaves, or changes, come after a room's deletion?  Who was in that
 * one is told to have left a moment later, when another may bear the id.
 */
static bool
came_after(const RingEvent *event, const RingLink *link, uint64 end)
{
	Cache	   *cache = chatroom_need_cache();
	LWLock	   *stripe;
	uint64		position = link->prev_pos;
	bool		came = event->type == EVENT_PRESENCE_JOIN;

	if (cache == NULL)
		return came;
	stripe = chatroom_stripe(cache);
	LWLockAcquire(stripe, LW_SHARED);
	for (int i = 0; i < MAX_LOOKED_AT && !came; i++)
	{
		const RingEvent *other = chatroom_cache_event(cache, position);
		const RingLink *back;

		back = other ? chatroom_cache_link(other, link->hash) : NULL;
		if (back == NULL || other->before <= end)
			break;
		came = other->type == EVENT_PRESENCE_JOIN &&
			other->key_len == event->key_len &&
			memcmp(ring_part(other, other->key), ring_part(event, event->key),
				   event->key_len) == 0;
		position = back->prev_pos;
	}
	LWLockRelease(stripe);
	return came;
}

/* Is an event of presence in a room, or a broadcast there, for the caller? */
static Verdict
judge_in_room(Judge *judge, const ResolvedTopic *topic, const RingLink *link,
			  const RingEvent *event)
{
	const ChatTables *tables = chatroom_schema_tables(topic->schema);
	const RoomPast *past = &judge->past;
	RoomThen	then;
	bool		seen;

	if (tables == NULL)
		return VERDICT_WITHHOLD;
	then = room_then(judge, tables, topic->room_id, event);
	if (then == THEN_UNKNOWN)
		return VERDICT_RESET;
	seen = then == THEN_SEEN || (then == THEN_AS_NOW &&
								 shown_now(topic, event));
	if (event->type == EVENT_BROADCAST || past->schema != topic->schema ||
		past->room_id != topic->room_id)
		return seen ? VERDICT_SHOW : VERDICT_WITHHOLD;
	for (int i = 0; i < past->n; i++)
	{
		if (past->ends[i].before >= event->before)
			continue;
		if (!came_after(event, link, past->ends[i].before))
			seen = past->ends[i].shown;
		break;
	}
	return seen ? VERDICT_SHOW : VERDICT_WITHHOLD;
}

/* Is an event of no table for the caller?  Topics of presence are one each. */
static Verdict
judge_presence(Judge *judge, const RingEvent *event)
{
	for (int i = 0; i < event->nlinks; i++)
	{
		const RingLink *link = &event->links[i];
		const ResolvedTopic *topic = asked_topic(judge, link);

		if (topic != NULL && topic->kind == TOPIC_ROOM)
			return judge_in_room(judge, topic, link, event);
	}
	return not_granted(judge, event) ? VERDICT_WITHHOLD : VERDICT_SHOW;
}

/* What becomes of an event?  See rooms.h. */
Verdict
chatroom_judge_event(Judge *judge, const RingEvent *event, bool *policies)
{
	*policies = false;
	if (!OidIsValid(event->relid))
		return judge_presence(judge, event);
	judge_table(judge, event->relid);
	if (!judge->access.any ||
		(!judge->access.all && !columns_checked(judge, event)))
		return VERDICT_WITHHOLD;

	/* a prefix' topics are for its own tables to speak in */
	if (!judge->of_prefix && judge->nasked > 0 &&
		!asked_otherwise(judge, event))
		return VERDICT_WITHHOLD;
	switch (judge->rule)
	{
		case RULE_SHOW:
			return VERDICT_SHOW;
		case RULE_POLICIES:
			*policies = true;
			return VERDICT_SHOW;
		case RULE_ROOM:
			break;
	}
	if (judge->plain && judge->nasked > 0 && shown_by_room(judge, event))
		return VERDICT_SHOW;
	return judge_by_room(judge, event);
}

/* ------------------------------------------------ rooms that can't be seen */

/* What is looked for: what happened to a room that concerns the caller. */
typedef struct Evidence
{
	ChatTables	tables;
	int64		room_id;
	const char *identity;		/* NULL: nobody */
	bool		exempt;
	AttrNumber	private;		/* of rooms */
	AttrNumber	member_room;	/* of members */
	AttrNumber	member_name;
	bool		lost;			/* he was taken out, or it became private */
	bool		gone;			/* it was deleted, and he could see it */
} Evidence;

/* Get ready to look for it. */
static void
start_evidence(Evidence *evidence, const ResolvedTopic *topic)
{
	const ChatTables *tables = chatroom_schema_tables(topic->schema);

	memset(evidence, 0, sizeof(*evidence));
	if (tables == NULL)
		chatroom_no_such_room(psprintf(INT64_FORMAT, topic->room_id));
	evidence->tables = *tables;
	evidence->room_id = topic->room_id;
	evidence->identity = chatroom_identity();
	evidence->exempt = chatroom_exempt(&evidence->tables);
	if (tables->version < 2)
		return;
	evidence->private = get_attnum(evidence->tables.rooms, "private");
	evidence->member_room = get_attnum(evidence->tables.members, "room_id");
	evidence->member_name = get_attnum(evidence->tables.members, "username");
}

/* Does an event of the room's own row say something? */
static void
look_at_room_event(Evidence *evidence, const RingEvent *event)
{
	bool		was_private = image_bool(event, evidence->private, true);

	if (event->type == EVENT_DELETE)
	{
		if (was_private && !evidence->exempt && !saw_it_go(event))
			return;
		evidence->gone = true;
	}
	else if (event->type == EVENT_UPDATE && !was_private &&
			 image_bool(event, evidence->private, false))
		evidence->lost = true;
}

/* Does an event of a membership? */
static void
look_at_member_event(Evidence *evidence, const RingEvent *event)
{
	int64		room_id;

	if (evidence->identity == NULL ||
		(event->type != EVENT_DELETE && event->type != EVENT_UPDATE) ||
		!image_number(event, evidence->member_room, true, &room_id) ||
		room_id != evidence->room_id ||
		!image_is(event, evidence->member_name, true, evidence->identity))
		return;
	if (event->type == EVENT_DELETE ||
		!image_number(event, evidence->member_room, false, &room_id) ||
		room_id != evidence->room_id ||
		!image_is(event, evidence->member_name, false, evidence->identity))
		evidence->lost = true;
}

/* Take one event into account. */
static void
take_evidence(Evidence *evidence, const RingEvent *event)
{
	int64		id;

	if (event->relid == evidence->tables.rooms)
	{
		if (image_number(event, get_attnum(event->relid, "id"), true, &id) &&
			id == evidence->room_id)
			look_at_room_event(evidence, event);
	}
	else if (OidIsValid(event->relid) &&
			 event->relid == evidence->tables.members)
		look_at_member_event(evidence, event);
}

/* Look at the events of a topic since the cursor that the caller can see. */
static void
look_at_topic(Evidence *evidence, Cache *cache, const Horizon *horizon,
			  const Cursor *since, const char *topic, int len)
{
	LWLock	   *stripe = chatroom_stripe(cache);
	uint64	   *positions = palloc(sizeof(uint64) * MAX_LOOKED_AT);
	TopicRead	read = {0};
	int			n = 0;

	read.hash = chatroom_topic_hash(cache, topic, len);
	LWLockAcquire(stripe, LW_SHARED);
	chatroom_cache_find(cache, &read, chatroom_cursor_begin(since));

	/* where some were lost, or are too many, the newest tell most */
	if (read.reset != RESET_REASON_NONE ||
		(read.news && read.last_index - read.first_index >= MAX_LOOKED_AT))
		chatroom_cache_newest(cache, &read, MAX_LOOKED_AT, true);
	if (read.news)
		n = chatroom_cache_positions(cache, &read, MAX_LOOKED_AT, positions);
	LWLockRelease(stripe);
	for (int i = 0; i < n; i++)
	{
		RingEvent  *event = copy_event(cache, positions[i]);

		if (event == NULL)
			continue;
		if (!chatroom_already_seen(since, event->lsn) &&
			chatroom_event_visible(horizon, event->fxid))
			take_evidence(evidence, event);
		pfree(event);
	}
	pfree(positions);
}

/* Look for what concerns the caller in the cache. */
static void
find_evidence(Evidence *evidence, Cache *cache, const Cursor *since)
{
	char		number[MAXINT8LEN + 1];
	Piece		id = {number, 0};
	StringInfoData topic;
	Horizon		horizon;
	const char *base;

	chatroom_get_horizon(&horizon);
	id.len = snprintf(number, sizeof(number), INT64_FORMAT,
					  evidence->room_id);
	initStringInfo(&topic);
	base = chatroom_relation_base(evidence->tables.rooms);
	if (base == NULL)
		return;
	chatroom_append_row_topic(&topic, base, &id, 1);
	look_at_topic(evidence, cache, &horizon, since, topic.data, topic.len);

	if (!OidIsValid(evidence->tables.members) || evidence->identity == NULL)
		return;
	base = chatroom_relation_base(evidence->tables.members);
	if (base == NULL)
		return;
	resetStringInfo(&topic);
	id.data = evidence->identity;
	id.len = strlen(evidence->identity);
	chatroom_append_column_topic(&topic, base, "username", &id);
	look_at_topic(evidence, cache, &horizon, since, topic.data, topic.len);
}

/* Say what was found of a room, or that there is none. */
static bool
conclude(const Evidence *evidence, ResolvedTopic *topic)
{
	if (evidence->gone)
	{
		topic->gone = true;
		return false;
	}
	if (!evidence->lost)
		chatroom_no_such_room(psprintf(INT64_FORMAT, topic->room_id));
	return true;
}

/* Rooms that the caller can't see; see rooms.h. */
ResetReason
chatroom_settle_hidden(SyncTopics *topics, Cache *cache, const Cursor *since)
{
	bool		lost = false;
	bool		waited = false;

	for (int i = 0; i < topics->n; i++)
	{
		ResolvedTopic *topic = &topics->topics[i];
		Evidence	evidence;

		if (!topic->hidden)
			continue;

		/* the snapshot may see what isn't in the cache yet */
		if (!waited && chatroom_tailer_running())
			(void) chatroom_wait_published(cache,
										   chatroom_available_wal(NULL),
										   PUBLISH_TIMEOUT);
		waited = true;
		start_evidence(&evidence, topic);
		find_evidence(&evidence, cache, since);
		if (conclude(&evidence, topic))
			lost = true;
	}
	return lost ? RESET_REASON_ACCESS : RESET_REASON_NONE;
}

/* The same of the caller's own transaction. */
ResetReason
chatroom_settle_hidden_own(SyncTopics *topics, RingEvent **events, int n)
{
	bool		lost = false;

	for (int i = 0; i < topics->n; i++)
	{
		ResolvedTopic *topic = &topics->topics[i];
		Evidence	evidence;

		if (!topic->hidden)
			continue;
		start_evidence(&evidence, topic);
		for (int j = 0; j < n; j++)
			take_evidence(&evidence, events[j]);
		if (conclude(&evidence, topic))
			lost = true;
	}
	return lost ? RESET_REASON_ACCESS : RESET_REASON_NONE;
}
