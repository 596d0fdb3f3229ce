/*-------------------------------------------------------------------------
 *
 * presence.c
 *	  Who is present.
 *
 * Told from the cache's table of presence: what is copied under its lock is
 * put in order, and together as Phoenix Presence has it, afterwards.  A long
 * answer is kept until its topic changes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/presence.h"
#include "cache/demand.h"
#include "cache/presence.h"
#include "port/pg_bswap.h"
#include "read/presence.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/*
 * The answer that was put together last, in case that it is asked for again:
 * many come into one room.
 */
static struct
{
	char	   *json;			/* NULL: none */
	int			len;
	char		topic[100];
	int			topic_len;
	uint64		seed;			/* of the cache */
	uint64		changes;
}			kept;

/* Bytes of answers that are kept. */
#define KEPT_LEAST		2000
#define KEPT_MOST		(1024 * 1024)

/* Bytes that an entry takes besides its key and meta, or a little less. */
#define COPY_TEXT_GUESS	32

#define append_literal(buf, text) \
	appendBinaryStringInfo(buf, text, sizeof(text) - 1)

/* The key of a copy. */
static inline const char *
copy_key(const PresenceCopy *copy)
{
	return (const char *) copy + sizeof(PresenceCopy);
}

/* A copy to be put in order; mostly the start of its key decides. */
typedef struct OrderedCopy
{
	uint64		start;			/* of the key, the first byte highest */
	const PresenceCopy *copy;
} OrderedCopy;

/* The start of a key. */
static uint64
key_start(const PresenceCopy *copy)
{
	uint64		start = 0;

	memcpy(&start, copy_key(copy), Min(copy->key_len, sizeof(start)));
	return pg_ntoh64(start);
}

/* Order copies by key, and of one key by when they came. */
static inline int
compare_copies(const OrderedCopy *a, const OrderedCopy *b)
{
	const PresenceCopy *left = a->copy;
	const PresenceCopy *right = b->copy;
	int			order;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	order = memcmp(copy_key(left), copy_key(right),
				   Min(left->key_len, right->key_len));
	if (order != 0)
		return order;
	if (left->key_len != right->key_len)
		return left->key_len < right->key_len ? -1 : 1;
	return left->seq < right->seq ? -1 : 1;
}

#define ST_SORT sort_copies
#define ST_ELEMENT_TYPE OrderedCopy
#define ST_COMPARE(a, b) compare_copies(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Is a copy of the same key as the one before? */
static bool
same_key(const PresenceCopy *copy, const PresenceCopy *before)
{
	return before != NULL && copy->key_len == before->key_len &&
		memcmp(copy_key(copy), copy_key(before), copy->key_len) == 0;
}

/* Append copies, in order, as JSON. */
static void
append_copies(StringInfo buf, const OrderedCopy *copies, int n)
{
	const PresenceCopy *before = NULL;

	appendStringInfoChar(buf, '{');
	for (int i = 0; i < n; i++)
	{
		const PresenceCopy *copy = copies[i].copy;
		Piece		meta = {copy_key(copy) + copy->key_len, copy->meta_len};

		if (same_key(copy, before))
			append_literal(buf, ", ");
		else
		{
			if (before != NULL)
				append_literal(buf, "]}, ");
			chatroom_append_json_string(buf, copy_key(copy), copy->key_len);
			append_literal(buf, ": {\"metas\": [");
		}
		chatroom_append_presence_meta(buf, &meta, copy->ref, 0);
		before = copy;
	}
	appendStringInfoString(buf, n > 0 ? "]}}" : "}");
}

/* Put together who is present; see chatroom_presence_of_topic(). */
static void
append_anew(StringInfo buf, Cache *cache, const Piece *topic,
			uint64 *changes)
{
	StringInfoData copied;
	OrderedCopy *copies;
	Size		at = 0;
	int			n;

	initStringInfo(&copied);
	n = chatroom_presence_of_topic(cache, topic, &copied, changes);
	copies = palloc(sizeof(OrderedCopy) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		const PresenceCopy *copy = (PresenceCopy *) (copied.data + at);

		copies[i].start = key_start(copy);
		copies[i].copy = copy;
		at += MAXALIGN(sizeof(*copy) + copy->key_len + copy->meta_len);
	}
	sort_copies(copies, n);
	enlargeStringInfo(buf, copied.len + n * COPY_TEXT_GUESS);
	append_copies(buf, copies, n);
	pfree(copies);
	pfree(copied.data);
}

/* Does what is kept still hold? */
static bool
kept_is_good(Cache *cache, const Piece *topic)
{
	return kept.json != NULL && kept.seed == cache->seed &&
		kept.topic_len == topic->len &&
		memcmp(kept.topic, topic->data, topic->len) == 0 &&
		kept.changes == chatroom_presence_changes(cache, topic);
}

/* Keep what was put together, if that is worth it. */
static void
keep_json(Cache *cache, const Piece *topic, uint64 changes, const char *json,
		  int len)
{
	if (kept.json != NULL)
		pfree(kept.json);
	kept.json = NULL;
	if (len < KEPT_LEAST || len > KEPT_MOST ||
		topic->len > sizeof(kept.topic))
		return;
	kept.json = MemoryContextAlloc(TopMemoryContext, len);
	memcpy(kept.json, json, len);
	kept.len = len;
	memcpy(kept.topic, topic->data, topic->len);
	kept.topic_len = topic->len;
	kept.changes = changes;
	kept.seed = cache->seed;
}

/* Append who is present in a cache. */
static void
append_presence(StringInfo buf, Cache *cache, const Piece *topic)
{
	int			start = buf->len;
	uint64		changes;

	if (kept_is_good(cache, topic))
	{
		appendBinaryStringInfo(buf, kept.json, kept.len);
		return;
	}
	append_anew(buf, cache, topic, &changes);
	keep_json(cache, topic, changes, buf->data + start, buf->len - start);
}

/* Append who is present on a topic; see read/presence.h. */
void
chatroom_presence_json(StringInfo buf, const char *topic, int len)
{
	Cache	   *cache = chatroom_need_cache();
	Piece		piece = {topic, len};

	if (cache == NULL)
		appendStringInfoString(buf, "{}");
	else
		append_presence(buf, cache, &piece);
}

CHATROOM_FUNCTION(chatroom_presence);

/* presence(topic text) → json */
Datum
chatroom_presence(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	text	   *value;
	Piece		topic;

	chatroom_require_argument(fcinfo, 0, "topic");
	value = PG_GETARG_TEXT_PP(0);
	topic.data = VARDATA_ANY(value);
	topic.len = VARSIZE_ANY_EXHDR(value);
	chatroom_check_presence(&topic, NULL);
	initStringInfo(&buf);
	append_presence(&buf, chatroom_require_cache(), &topic);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}
