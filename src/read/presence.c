/*-------------------------------------------------------------------------
 *
 * presence.c
 *	  Who is present.
 *
 * Told from the cache's table of presence: what is copied under its lock is
 * put in order, and together as Phoenix Presence has it, afterwards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/presence.h"
#include "cache/demand.h"
#include "cache/presence.h"
#include "read/presence.h"
#include "utils/builtins.h"

/* The key of a copy. */
static inline const char *
copy_key(const PresenceCopy *copy)
{
	return (const char *) copy + sizeof(PresenceCopy);
}

/* Order copies by key, and of one key by when they came. */
static int
compare_copies(const void *a, const void *b)
{
	const PresenceCopy *left = *(const PresenceCopy *const *) a;
	const PresenceCopy *right = *(const PresenceCopy *const *) b;
	int			order = memcmp(copy_key(left), copy_key(right),
							   Min(left->key_len, right->key_len));

	if (order != 0)
		return order;
	if (left->key_len != right->key_len)
		return left->key_len < right->key_len ? -1 : 1;
	return left->seq < right->seq ? -1 : 1;
}

/* Is a copy of the same key as the one before? */
static bool
same_key(const PresenceCopy *copy, const PresenceCopy *before)
{
	return before != NULL && copy->key_len == before->key_len &&
		memcmp(copy_key(copy), copy_key(before), copy->key_len) == 0;
}

/* Append copies, in order, as JSON. */
static void
append_copies(StringInfo buf, const PresenceCopy **copies, int n)
{
	const PresenceCopy *before = NULL;

	appendStringInfoChar(buf, '{');
	for (int i = 0; i < n; i++)
	{
		const PresenceCopy *copy = copies[i];
		Piece		meta = {copy_key(copy) + copy->key_len, copy->meta_len};

		if (same_key(copy, before))
			appendStringInfoString(buf, ", ");
		else
		{
			if (before != NULL)
				appendStringInfoString(buf, "]}, ");
			chatroom_append_json_string(buf, copy_key(copy), copy->key_len);
			appendStringInfoString(buf, ": {\"metas\": [");
		}
		chatroom_append_presence_meta(buf, &meta, copy->ref, 0);
		before = copy;
	}
	appendStringInfoString(buf, n > 0 ? "]}}" : "}");
}

/* Append who is present in a cache. */
static void
append_presence(StringInfo buf, Cache *cache, const Piece *topic)
{
	StringInfoData copied;
	const PresenceCopy **copies;
	Size		at = 0;
	int			n;

	initStringInfo(&copied);
	n = chatroom_presence_of_topic(cache, topic, &copied);
	copies = palloc(sizeof(PresenceCopy *) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		const PresenceCopy *copy = (PresenceCopy *) (copied.data + at);

		copies[i] = copy;
		at += MAXALIGN(sizeof(*copy) + copy->key_len + copy->meta_len);
	}
	qsort(copies, n, sizeof(PresenceCopy *), compare_copies);
	append_copies(buf, copies, n);
	pfree(copies);
	pfree(copied.data);
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
