/*-------------------------------------------------------------------------
 *
 * events.c
 *	  sync() as rows, and the newest version of a row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/watches.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "read/sync.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#define EVENTS_COLUMNS	12

/* Text as a datum. */
static Datum
text_datum(const char *data, int len)
{
	return PointerGetDatum(cstring_to_text_with_len(data, len));
}

/* JSON text as jsonb. */
static Jsonb *
parse_jsonb(const char *json, int len)
{
	char	   *text = pnstrdup(json, len);

	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											  CStringGetDatum(text)));
}

/* Set a jsonb column from JSON text; SQL null for JSON null. */
static void
set_json(const char *json, int len, int column, Datum *values, bool *nulls)
{
	if (len == 4 && memcmp(json, "null", 4) == 0)
		return;
	values[column] = JsonbPGetDatum(parse_jsonb(json, len));
	nulls[column] = false;
}

/* Set a json column from JSON text; SQL null for JSON null. */
static void
set_json_text(const char *json, int len, int column, Datum *values,
			  bool *nulls)
{
	if (len == 4 && memcmp(json, "null", 4) == 0)
		return;
	values[column] = text_datum(json, len);
	nulls[column] = false;
}

/* The strings of a JSON array, or the one of a scalar. */
static Datum *
json_strings(const char *json, int len, int *n)
{
	JsonbIterator *iterator = JsonbIteratorInit(&parse_jsonb(json, len)->root);
	JsonbValue	value;
	JsonbIteratorToken token;
	Datum	   *strings = palloc(sizeof(Datum) * MaxHeapAttributeNumber);

	*n = 0;
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_ELEM && value.type == jbvString &&
			*n < MaxHeapAttributeNumber)
			strings[(*n)++] = text_datum(value.val.string.val,
										 value.val.string.len);
	return strings;
}

/* Set a text column from a JSON string; SQL null for JSON null. */
static void
set_string(const char *json, int len, int column, Datum *values, bool *nulls)
{
	int			n;
	Datum	   *strings = json_strings(json, len, &n);

	if (n == 0)
		return;
	values[column] = strings[0];
	nulls[column] = false;
}

/* Set a text[] column. */
static void
set_array(Datum *elements, int n, int column, Datum *values, bool *nulls)
{
	values[column] = PointerGetDatum(construct_array(elements, n, TEXTOID,
													 -1, false,
													 TYPALIGN_INT));
	nulls[column] = false;
}

/* The text of a cursor, as a datum. */
static Datum
cursor_datum(const Cursor *cursor)
{
	StringInfoData buf;

	initStringInfo(&buf);
	chatroom_append_cursor(&buf, cursor);
	return text_datum(buf.data, buf.len);
}

/* One event as a row of events(). */
static void
put_event(ReturnSetInfo *result, const RingEvent *event, Verdict verdict,
		  Cursor *cursor, const uint64 *hashes, int nhashes,
		  RelationAccess *access)
{
	Datum		values[EVENTS_COLUMNS];
	bool		nulls[EVENTS_COLUMNS];
	Datum		topics[CHATROOM_MAX_TOPICS];
	int			ntopics = 0;
	StringInfoData buf;

	memset(nulls, true, sizeof(nulls));
	memset(values, 0, sizeof(values));
	initStringInfo(&buf);
	chatroom_event_access(event, access);
	chatroom_place_cursor(cursor, event->lsn);
	values[0] = cursor_datum(cursor);
	values[1] = CStringGetTextDatum(chatroom_event_type(event, verdict));
	nulls[0] = nulls[1] = false;
	if (event->table != 0)
		set_string(ring_part(event, event->table), event->table_len, 2,
				   values, nulls);
	if (event->payload != 0)
	{
		/* a broadcast's name, or who is present */
		if (event->event != 0)
		{
			appendStringInfoString(&buf, "{\"event\":");
			appendBinaryStringInfo(&buf, ring_part(event, event->event),
								   event->event_len);
		}
		else
		{
			appendStringInfoString(&buf, "{\"key\":");
			appendBinaryStringInfo(&buf, ring_part(event, event->key),
								   event->key_len);
		}
		appendStringInfoChar(&buf, '}');
		set_json(buf.data, buf.len, 3, values, nulls);
		set_json(ring_part(event, event->payload), event->payload_len, 8,
				 values, nulls);
	}
	else
	{
		chatroom_append_allowed_key(&buf, event, access, verdict);
		set_json(buf.data, buf.len, 3, values, nulls);
		if (verdict != VERDICT_LEAVE)
		{
			resetStringInfo(&buf);
			chatroom_append_allowed_row(&buf, event, access);
			set_json_text(buf.data, buf.len, 4, values, nulls);
		}
		if (verdict != VERDICT_ENTER)
		{
			resetStringInfo(&buf);
			chatroom_append_allowed_old(&buf, event, access, verdict);
			set_json_text(buf.data, buf.len, 5, values, nulls);
		}
		if (verdict == VERDICT_SHOW)
		{
			resetStringInfo(&buf);
			chatroom_append_allowed_changed(&buf, event, access);
			if (buf.data[0] == '[')
			{
				int			n;
				Datum	   *names = json_strings(buf.data, buf.len, &n);

				set_array(names, n, 6, values, nulls);
			}
		}
	}
	for (int i = 0; i < event->nlinks; i++)
		if (chatroom_topic_asked(hashes, nhashes, &event->links[i], verdict))
			topics[ntopics++] = text_datum(ring_part(event,
													 event->links[i].name),
										   event->links[i].name_len);
	set_array(topics, ntopics, 7, values, nulls);
	values[9] = BoolGetDatum((event->flags & RING_OVERSIZE) != 0);
	values[10] = TimestampTzGetDatum(event->at);
	nulls[9] = nulls[10] = false;
	set_string(ring_part(event, event->origin), event->origin_len, 11,
			   values, nulls);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* The row that says reset. */
static void
put_reset(ReturnSetInfo *result, const Cursor *cursor)
{
	Datum		values[EVENTS_COLUMNS] = {0};
	bool		nulls[EVENTS_COLUMNS];

	memset(nulls, true, sizeof(nulls));
	values[0] = cursor_datum(cursor);
	values[1] = CStringGetTextDatum("reset");
	values[9] = BoolGetDatum(false);
	nulls[0] = nulls[1] = nulls[9] = false;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

CHATROOM_FUNCTION(chatroom_events);

/* events(topic text, since text, max_events int) → rows */
Datum
chatroom_events(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	SyncTopics	topics;
	SyncAnswer	answer;
	Cursor		cursor;
	int			max_events;

	chatroom_require_argument(fcinfo, 0, "topic");
	chatroom_require_argument(fcinfo, 2, "max_events");
	chatroom_one_topic(PG_GETARG_TEXT_PP(0), &topics);
	if (!PG_ARGISNULL(1))
		chatroom_parse_since(PG_GETARG_TEXT_PP(1), &cursor);
	max_events = chatroom_check_limit(PG_GETARG_INT32(2));
	InitMaterializedSRF(fcinfo, 0);

	if (PG_ARGISNULL(1))
		chatroom_find_newest(&topics, max_events, &answer);
	else
		chatroom_find_events(&topics, &cursor, max_events, &answer);
	if (answer.reset != RESET_REASON_NONE)
		put_reset(result, &answer.cursor);
	if (answer.n > 0)
	{
		RelationAccess access = {InvalidOid, true, true, false, NULL};
		uint64		hash = topics.reads[0].hash;

		chatroom_make_cursor(0, &cursor);
		for (int i = 0; i < answer.n; i++)
			put_event(result, answer.events[i], answer.verdicts[i], &cursor,
					  &hash, 1, &access);
	}
	return (Datum) 0;
}

/*
 * The topic of a row, as chatroom.topic() tells it: called by its name in the
 * catalog, with the caller's search_path to resolve the relation by.
 */
static text *
row_topic(Datum relation, Datum key)
{
	static const Oid types[2] = {TEXTOID, JSONBOID};
	List	   *name = list_make2(makeString("chatroom"),
								  makeString("topic"));
	Oid			function = LookupFuncName(name, 2, types, false);

	return DatumGetTextPP(OidFunctionCall2(function, relation, key));
}

/* Append the newest version of a row; false: it isn't cached. */
static bool
append_cached(StringInfo buf, SyncTopics *topics)
{
	SyncAnswer	answer;
	RelationAccess access = {InvalidOid, true, true, false, NULL};
	RingEvent  *event = chatroom_find_row(topics, &answer);

	if (event == NULL)
		return false;
	chatroom_event_access(event, &access);
	chatroom_append_allowed_row(buf, event, &access);
	return buf->data[0] == '{';
}

/* The newest version of a row by its topic; NULL: it isn't cached. */
Jsonb *
chatroom_cached_row(text *topic)
{
	SyncTopics	topics;
	StringInfoData buf;

	chatroom_one_topic(topic, &topics);
	initStringInfo(&buf);
	if (!append_cached(&buf, &topics))
		return NULL;
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											  CStringGetDatum(buf.data)));
}

CHATROOM_FUNCTION(chatroom_cached);

/*
 * cached(relation text, key jsonb) → json: the newest version of a row; null
 * where it isn't cached, was deleted, or the caller may not see it.
 */
Datum
chatroom_cached(PG_FUNCTION_ARGS)
{
	SyncTopics	topics;
	StringInfoData buf;

	chatroom_require_argument(fcinfo, 0, "relation");
	chatroom_require_argument(fcinfo, 1, "key");
	chatroom_one_topic(row_topic(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)),
					   &topics);
	if (topics.topics[0].kind != TOPIC_WATCH ||
		topics.topics[0].base_len == topics.topics[0].len ||
		topics.topics[0].topic[topics.topics[0].base_len] != ':')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key must have all columns of the table's key, and "
						"no others")));
	initStringInfo(&buf);
	if (!append_cached(&buf, &topics))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}
