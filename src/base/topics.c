/*-------------------------------------------------------------------------
 *
 * topics.c
 *	  What a topic's name means.
 *
 * Topics have these forms:
 *
 *	  BASE				all of a watch; BASE is schema.table or a label
 *	  BASE:KEY			one of its rows
 *	  BASE.column:VALUE one of its associations
 *	  room:ID			a room of the prefix "chat"; PREFIX/room:ID of others
 *	  rooms				all rooms of it; PREFIX/rooms
 *	  PREFIX/ and *		everything in a prefix
 *	  anything else		a free topic: broadcasts and presence
 *
 * What a text means, its start up to the first colon decides: the stem.  So
 * this is found in the catalog once a stem and kept in this process, however
 * many topics there are, until an invalidation of the table; of free topics
 * until any invalidation, for a new watch may give them a meaning.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/distributed.h"
#include "base/event.h"
#include "base/hash.h"
#include "base/invalidation.h"
#include "base/topics.h"
#include "base/watches.h"
#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "common/int.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* Stems kept per process; beyond, all are forgotten. */
#define MAX_KEPT		10000

typedef struct KeptTopic
{
	uint64		hash;			/* of the stem; key */
	bool		valid;
	TopicMeaning meaning;
	int			len;
	char	   *stem;			/* with its colon, if there is one */
} KeptTopic;

static HTAB *kept_topics = NULL;
static MemoryContext kept_context = NULL;

/* Of tables and schemas; counted since there is a table of kept topics. */
static uint64 invalidations = 0;

/* ------------------------------------------------------- forms of topics */

/* Refuse texts that can't be a topic. */
void
chatroom_check_topic(const char *topic, int len)
{
	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic must not be empty"),
				 errhint("A topic is, for example, schema.table, "
						 "schema.table:KEY or schema.table.column:VALUE; "
						 "chatroom.topic() tells a table's.")));
	if (len > CHATROOM_MAX_TOPIC)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic is too long"),
				 errdetail("It has %d bytes; a topic has at most %d.",
						   len, CHATROOM_MAX_TOPIC),
				 errhint("chatroom.topic() shortens long keys as events "
						 "do.")));
}

/*
 * The end of an identifier as topics spell it, or NULL.  In patterns the
 * asterisk may stand for any part of one.
 */
static const char *
skip_identifier(const char *pos, const char *end)
{
	const char *start = pos;

	if (pos < end && *pos == '"')
	{
		for (pos++; pos < end; pos++)
		{
			if (*pos != '"')
				continue;
			if (pos + 1 == end || pos[1] != '"')
				return pos > start + 1 ? pos + 1 : NULL;
			pos++;
		}
		return NULL;
	}
	while (pos < end &&
		   ((*pos >= 'a' && *pos <= 'z') || *pos == '_' || *pos == '*' ||
			(*pos >= '0' && *pos <= '9' && pos > start)))
		pos++;
	return pos > start ? pos : NULL;
}

/* Is a topic's form that of a table's, whether or not there is one? */
bool
chatroom_topic_of_table(const char *topic, int len)
{
	const char *end = topic + len;
	const char *pos = skip_identifier(topic, end);

	if (pos == NULL || pos == end || *pos != '.')
		return false;
	pos = skip_identifier(pos + 1, end);
	if (pos != NULL && pos < end && *pos == '.')
		pos = skip_identifier(pos + 1, end);
	return pos != NULL && (pos == end || *pos == ':');
}

/* Is a topic's form that of a table's, a room's or a prefix's? */
bool
chatroom_topic_reserved(const char *topic, int len)
{
	const char *end = topic + len;
	const char *pos;

	if ((len == 5 && memcmp(topic, "rooms", 5) == 0) ||
		(len >= 5 && memcmp(topic, "room:", 5) == 0))
		return true;
	pos = skip_identifier(topic, end);
	if (pos != NULL && pos < end && *pos == '/')
		return true;
	return chatroom_topic_of_table(topic, len);
}

/* Refuse topics of these forms. */
void
chatroom_refuse_reserved(const char *topic, int len)
{
	if (chatroom_topic_reserved(topic, len))
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("topic \"%.*s\" is of a reserved form", len, topic),
				 errdetail("Topics of the forms schema.table, "
						   "schema.table:KEY, schema.table.column:VALUE, "
						   "room:ID, rooms and PREFIX/... are those of tables "
						   "and rooms."),
				 errhint("Choose another form, for example \"lobby\" or "
						 "\"lobby:42\".")));
}

/* ------------------------------------------------------ what a topic means */

/* Does what a topic means depend on a table? */
static bool
depends_on(const TopicMeaning *meaning, Oid relid)
{
	if (!OidIsValid(relid) || meaning->kind == TOPIC_FREE)
		return true;
	if (!topic_of_prefix(meaning->kind))
		return meaning->relid == relid;
	for (int i = 0; i < lengthof(meaning->tables); i++)
		if (meaning->tables[i] == relid)
			return true;
	return !meaning->published;
}

/*
 * A table changed: what was known of its topics, and of free ones, is void; or
 * a schema did: so may have any topic.
 */
static void
forget_topics_of(Oid relid)
{
	HASH_SEQ_STATUS status;
	KeptTopic  *kept;

	invalidations++;
	if (kept_topics == NULL)
		return;
	hash_seq_init(&status, kept_topics);
	while ((kept = hash_seq_search(&status)) != NULL)
		if (depends_on(&kept->meaning, relid))
			kept->valid = false;
}

/* Make the table of kept topics. */
static void
make_kept_topics(void)
{
	if (kept_context != NULL)
		MemoryContextDelete(kept_context);
	kept_topics = NULL;
	kept_context = AllocSetContextCreate(TopMemoryContext,
										 "chatroom topics",
										 ALLOCSET_DEFAULT_SIZES);
	kept_topics = chatroom_make_hash("chatroom topics", kept_context, 64,
									 sizeof(uint64), sizeof(KeptTopic));
	chatroom_on_relation_change(forget_topics_of);
	chatroom_on_catalog_change(NAMESPACEOID, forget_topics_of);
}

/*
 * Find the first colon, and the last dot before it, outside double quotes;
 * -1 where there is none.
 */
static void
split_topic(const char *topic, int len, int *colon, int *dot)
{
	bool		quoted = false;

	*colon = *dot = -1;
	for (int i = 0; i < len; i++)
	{
		if (topic[i] == '"')
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (topic[i] == ':')
		{
			*colon = i;
			return;
		}
		else if (topic[i] == '.')
			*dot = i;
	}
}

/*
 * What a topic begins with that would make it a label's, if it were one: in
 * LABEL:KEY and LABEL.column:VALUE, whether or not there is such a column.
 */
int
chatroom_topic_stems(const char *topic, int len, int *lens)
{
	int			colon;
	int			dot;
	int			n = 0;

	split_topic(topic, len, &colon, &dot);
	lens[n++] = colon < 0 ? len : colon;
	if (colon >= 0 && dot > 0)
		lens[n++] = dot;
	return n;
}

/* Would a label take this topic? */
bool
chatroom_label_takes(const char *label, const char *topic, int len)
{
	int			lens[TOPIC_STEMS];
	int			n = chatroom_topic_stems(topic, len, lens);

	for (int i = 0; i < n; i++)
		if (lens[i] == strlen(label) && memcmp(topic, label, lens[i]) == 0)
			return true;
	return false;
}

/* The column of which a watch publishes topics under this name; 0: none. */
static AttrNumber
published_column(const WatchInfo *watch, const char *name, int len)
{
	StringInfoData spelled;
	AttrNumber	attnum = 0;
	ListCell   *lc;

	initStringInfo(&spelled);
	foreach(lc, chatroom_topic_columns(watch))
	{
		char	   *column = get_attname(watch->relid, lfirst_int(lc), true);

		if (column == NULL)
			continue;
		resetStringInfo(&spelled);
		chatroom_append_identifier(&spelled, column, strlen(column));
		if (spelled.len == len && memcmp(spelled.data, name, len) == 0)
			attnum = lfirst_int(lc);
	}
	pfree(spelled.data);
	return attnum;
}

/* The columns of a table's key. */
static Bitmapset *
key_columns(Oid relid)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	foreach(lc, chatroom_key_columns(relid))
		columns = bms_add_member(columns, lfirst_int(lc));
	return columns;
}

/* Is a text this word? */
static bool
is_word(const char *text, const char *end, const char *word)
{
	return end - text == strlen(word) && memcmp(text, word, end - text) == 0;
}

/* Does a table publish in the topics of rooms? */
static bool
publishes(Oid relid)
{
	WatchInfo	watch;

	if (!chatroom_relation_watch(relid, NULL, &watch) || !watch.enabled)
		return false;
	for (int i = 0; i < watch.nextra; i++)
		if (strcmp(watch.extra[i].name, "room:") == 0)
			return true;
	return false;
}

/* Do a prefix' tables publish what its topics are to show? */
static void
find_publishers(TopicMeaning *meaning)
{
	const ChatTables *tables = OidIsValid(meaning->schema) ?
		chatroom_schema_tables(meaning->schema) : NULL;

	if (tables == NULL)
		return;
	meaning->tables[0] = tables->rooms;
	meaning->tables[1] = tables->messages;
	meaning->tables[2] = tables->members;
	meaning->published = true;
	for (int i = 0; i < lengthof(meaning->tables); i++)
		if (OidIsValid(meaning->tables[i]) && !publishes(meaning->tables[i]))
			meaning->published = false;
}

/*
 * Find out what topics with a stem mean to a prefix; false for those that are
 * none's.  The form alone decides that.
 */
static bool
find_prefix_meaning(const char *topic, int len, TopicMeaning *meaning)
{
	const char *pos = topic;
	const char *end = topic + len;
	char	   *prefix = NULL;

	if (!is_word(pos, end, "rooms") && !is_word(pos, end, "room:"))
	{
		prefix = chatroom_take_identifier(&pos, end);
		if (prefix == NULL || pos == end || *pos++ != '/')
			return false;
	}
	namestrcpy(&meaning->prefix, prefix ? prefix : CHAT_DEFAULT_PREFIX);
	meaning->schema = get_namespace_oid(NameStr(meaning->prefix), true);
	meaning->kind = TOPIC_NOTHING;
	if (prefix != NULL && is_word(pos, end, "*"))
		meaning->kind = TOPIC_PREFIX;
	else if (prefix != NULL && strcmp(prefix, CHAT_DEFAULT_PREFIX) == 0)
		return true;
	else if (is_word(pos, end, "room:"))
		meaning->kind = TOPIC_ROOM;
	else if (is_word(pos, end, "rooms"))
		meaning->kind = TOPIC_ROOMS;
	return true;
}

/* Find out what topics with a stem mean. */
static void
find_meaning(const char *topic, int len, TopicMeaning *meaning)
{
	int			colon;
	int			dot;
	int			base_len;
	WatchInfo	watch;
	AttrNumber	attnum;

	memset(meaning, 0, sizeof(*meaning));
	if (find_prefix_meaning(topic, len, meaning))
	{
		if (topic_of_prefix(meaning->kind))
			find_publishers(meaning);
		return;
	}
	split_topic(topic, len, &colon, &dot);
	base_len = colon < 0 ? len : colon;
	meaning->kind = TOPIC_WATCH;
	if (chatroom_find_watch(topic, base_len, &watch))
	{
		meaning->relid = watch.relid;
		meaning->distributed = chatroom_is_distributed(watch.relid);
		meaning->base_len = base_len;
		if (colon >= 0)
			meaning->columns = key_columns(watch.relid);
		return;
	}
	if (colon >= 0 && dot > 0 &&
		chatroom_find_watch(topic, dot, &watch) &&
		(attnum = published_column(&watch, topic + dot + 1,
								   colon - dot - 1)) > 0)
	{
		meaning->relid = watch.relid;
		meaning->distributed = chatroom_is_distributed(watch.relid);
		meaning->base_len = dot;
		meaning->columns = bms_make_singleton(attnum);
		return;
	}
	meaning->kind = TOPIC_FREE;
	meaning->names_relation =
		OidIsValid(chatroom_base_relation(topic, base_len)) ||
		(colon >= 0 && dot > 0 &&
		 OidIsValid(chatroom_base_relation(topic, dot)));
}

/* What a topic means, from memory or the catalog; see topics.h. */
const TopicMeaning *
chatroom_topic_meaning(const char *topic, int len)
{
	int			colon;
	int			dot;
	uint64		hash;
	KeptTopic  *kept;
	bool		found;
	TopicMeaning meaning;
	MemoryContext caller;
	uint64		before;

	chatroom_check_topic(topic, len);
	split_topic(topic, len, &colon, &dot);
	if (colon >= 0)
		len = colon + 1;
	if (kept_topics == NULL || hash_get_num_entries(kept_topics) >= MAX_KEPT)
		make_kept_topics();

	hash = hash_bytes_extended((const unsigned char *) topic, len, 0);
	kept = hash_search(kept_topics, &hash, HASH_FIND, NULL);
	if (kept != NULL && kept->valid && kept->len == len &&
		memcmp(kept->stem, topic, len) == 0)
		return &kept->meaning;

	/*
	 * The look-up may itself process invalidations, with some of it done
	 * before: then what it finds is used this once, and found anew next time.
	 */
	before = invalidations;
	find_meaning(topic, len, &meaning);
	caller = MemoryContextSwitchTo(kept_context);
	kept = hash_search(kept_topics, &hash, HASH_ENTER, &found);
	if (found)
	{
		pfree(kept->stem);
		bms_free(kept->meaning.columns);
	}
	kept->valid = false;
	kept->meaning = meaning;
	kept->meaning.columns = bms_copy(meaning.columns);
	kept->stem = palloc(len);
	memcpy(kept->stem, topic, len);
	kept->len = len;
	kept->valid = before == invalidations;
	MemoryContextSwitchTo(caller);
	return &kept->meaning;
}

/* --------------------------------------------------------- topics of rooms */

/* May the caller select anything from a prefix' rooms? */
void
chatroom_check_rooms(const ChatTables *tables)
{
	Oid			user = GetUserId();

	if (!ChatroomSchemaUsable(tables->schema, user))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SCHEMA, tables->prefix);
	if (pg_class_aclcheck(tables->rooms, user, ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(tables->rooms, user, ACL_SELECT,
								  ACLMASK_ANY) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE,
					   get_rel_name(tables->rooms));
}

/* The tables of the prefix that a topic is of; see topics.h. */
const ChatTables *
chatroom_topic_tables(const TopicMeaning *meaning, const char *topic, int len)
{
	const ChatTables *tables = NULL;

	if (meaning->kind == TOPIC_NOTHING)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic \"%.*s\" is of a form that no topic has", len,
						topic),
				 strcmp(NameStr(meaning->prefix), CHAT_DEFAULT_PREFIX) == 0 ?
					 errhint("Topics are room:ID, rooms and chat/*.") :
					 errhint("Topics of a prefix are PREFIX/room:ID, "
							 "PREFIX/rooms and PREFIX/*.")));
	if (OidIsValid(meaning->schema))
		tables = chatroom_schema_tables(meaning->schema);
	if (tables == NULL)
		tables = chatroom_prefix(pstrdup(NameStr(meaning->prefix)));
	chatroom_check_rooms(tables);
	if (!meaning->published)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing is published under topic \"%.*s\"",
						len, topic),
				 errdetail("Tables of prefix \"%s\" are not watched.",
						   NameStr(meaning->prefix)),
				 errhint("Have their owner call chatroom.migrate(%s).",
						 quote_literal_cstr(NameStr(meaning->prefix)))));
	return tables;
}

/* The room of a topic; see topics.h. */
int64
chatroom_topic_room_id(const char *topic, int len)
{
	int			colon;
	int			dot;
	int64		id = 0;
	bool		valid;

	split_topic(topic, len, &colon, &dot);
	valid = colon + 1 < len && topic[colon + 1] != '0';
	for (int i = colon + 1; i < len && valid; i++)
		valid = topic[i] >= '0' && topic[i] <= '9' &&
			!pg_mul_s64_overflow(id, 10, &id) &&
			!pg_add_s64_overflow(id, topic[i] - '0', &id);
	return valid ? id : 0;
}

/* The same, where it must have one. */
int64
chatroom_require_room_id(const char *topic, int len)
{
	int64		id = chatroom_topic_room_id(topic, len);

	if (id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic \"%.*s\" names no room", len, topic),
				 errdetail("A room's topic ends with its id."),
				 errhint("join_room() tells a room's topic.")));
	return id;
}

/* Is a topic one of a room that the caller may see?  See topics.h. */
bool
chatroom_room_topic_access(const char *topic, int len, int64 *room_id,
						   RoomAccess *access)
{
	const TopicMeaning *meaning = chatroom_topic_meaning(topic, len);
	const ChatTables *tables;

	if (meaning->kind != TOPIC_ROOM)
		return false;
	*room_id = chatroom_require_room_id(topic, len);
	tables = chatroom_topic_tables(meaning, topic, len);
	chatroom_room_access(tables, *room_id, access);
	if (!access->visible)
		chatroom_no_such_room(psprintf(INT64_FORMAT, *room_id));
	return true;
}
