/*-------------------------------------------------------------------------
 *
 * topic.c
 *	  chatroom.topic: the names of topics.
 *
 * Values go through their type's input function, and are written as events
 * write them, so that whatever spelling a client uses, {"id": "007"} or
 * {"id": 7}, it gets the one topic.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/arguments.h"
#include "base/cast.h"
#include "base/compat.h"
#include "base/values.h"
#include "base/watches.h"
#include "catalog/pg_attribute.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "write/watch.h"

/* One column and value of the key that was given. */
typedef struct KeyPart
{
	AttrNumber	attnum;
	Piece		value;
} KeyPart;

CHATROOM_FUNCTION(chatroom_topic);


/* The watch of a table, or what it would be; or that of a label. */
static void
find_watch(text *name, WatchInfo *watch)
{
	Oid			relid = chatroom_named_relation(name, true);

	if (!OidIsValid(relid))
	{
		if (chatroom_find_watch(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name),
								watch) && watch->label != NULL)
			return;

		/* complain as for any relation */
		relid = chatroom_named_relation(name, false);
	}
	if (chatroom_relation_watch(relid, NULL, watch))
		return;
	memset(watch, 0, sizeof(*watch));
	watch->relid = relid;
	watch->base = chatroom_relation_base(relid);
	watch->default_topics = true;
}

/* The text of a JSON scalar, or the JSON of anything else. */
static char *
key_text(const JsonbValue *value)
{
	if (value->type == jbvNull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key must not contain nulls"),
				 errdetail("No topic belongs to a null.")));
	if (value->type == jbvBinary)
		return JsonbToCString(NULL, value->val.binary.data,
							  value->val.binary.len);
	return chatroom_scalar_text(value);
}

/* Read a value as its column does, and write it as events do. */
static Piece
column_value(const WatchInfo *watch, AttrNumber attnum, JsonbValue *value)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM,
										ObjectIdGetDatum(watch->relid),
										Int16GetDatum(attnum));
	Form_pg_attribute attribute;
	Oid			function;
	Oid			parameter;
	Datum		datum;
	ValueWriter writer;
	ValuePins	pins;
	Piece		piece;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for attribute %d of relation %u",
			 attnum, watch->relid);
	attribute = (Form_pg_attribute) GETSTRUCT(tuple);
	getTypeInputInfo(attribute->atttypid, &function, &parameter);
	datum = OidInputFunctionCall(function, key_text(value), parameter,
								 attribute->atttypmod);
	chatroom_value_json(&writer, attribute->atttypid, watch->big_numbers_text,
						CurrentMemoryContext);
	ReleaseSysCache(tuple);

	chatroom_pin(&pins, writer.needs_settings);
	PG_TRY();
	{
		chatroom_write_value(&writer, datum, palloc(VALUE_SCRATCH), &piece);
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	return piece;
}

/* Complain about a key that names neither a row nor an association. */
static void
bad_key(const WatchInfo *watch, List *key, List *topics)
{
	StringInfoData hint;
	ListCell   *lc;

	initStringInfo(&hint);
	if (key != NIL)
	{
		appendStringInfoString(&hint, "Give the key of a row (");
		foreach(lc, key)
			appendStringInfo(&hint, "%s%s", lc == list_head(key) ? "" : ", ",
							 get_attname(watch->relid, lfirst_int(lc), false));
		appendStringInfoString(&hint, ")");
	}
	if (topics != NIL)
	{
		appendStringInfoString(&hint, key != NIL ?
							   " or one of the topic columns (" :
							   "Give one of the topic columns (");
		foreach(lc, topics)
			appendStringInfo(&hint, "%s%s",
							 lc == list_head(topics) ? "" : ", ",
							 get_attname(watch->relid, lfirst_int(lc), false));
		appendStringInfoString(&hint, ")");
	}
	if (hint.len > 0)
		appendStringInfoChar(&hint, '.');
	else
		appendStringInfoString(&hint, "The table has neither a key nor topic columns.");
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("key names no topic of \"%s\"", watch->base),
			 errhint("%s", hint.data)));
}

/* The columns and values of a JSON object. */
static List *
object_parts(const WatchInfo *watch, Jsonb *object)
{
	List	   *parts = NIL;
	JsonbIterator *iterator = JsonbIteratorInit(&object->root);
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		KeyPart    *part;
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value.val.string.val, value.val.string.len);
		(void) JsonbIteratorNext(&iterator, &value, true);
		part = palloc(sizeof(KeyPart));
		part->attnum = get_attnum(watch->relid, name);
		if (part->attnum <= 0)
			chatroom_no_column(name, get_rel_name(watch->relid), "key");
		part->value = column_value(watch, part->attnum, &value);
		parts = lappend(parts, part);
	}
	return parts;
}

/* The value of a scalar: it stands for a key of one column. */
static List *
scalar_parts(const WatchInfo *watch, Jsonb *scalar, List *key)
{
	KeyPart    *part = palloc(sizeof(KeyPart));
	JsonbValue	value;

	if (list_length(key) != 1 || !JB_ROOT_IS_SCALAR(scalar))
		return NIL;
	(void) JsonbExtractScalar(&scalar->root, &value);
	part->attnum = linitial_int(key);
	part->value = column_value(watch, part->attnum, &value);
	return list_make1(part);
}

/* Order parts by column. */
static int
compare_parts(const ListCell *a, const ListCell *b)
{
	return ((KeyPart *) lfirst(a))->attnum - ((KeyPart *) lfirst(b))->attnum;
}

/* Are the parts exactly the key's columns?  Both are ascending. */
static bool
parts_are_key(List *parts, List *key)
{
	if (key == NIL || list_length(parts) != list_length(key))
		return false;
	for (int i = 0; i < list_length(key); i++)
		if (((KeyPart *) list_nth(parts, i))->attnum != list_nth_int(key, i))
			return false;
	return true;
}

/* Append the topic of a row or association to its base. */
static void
append_topic(StringInfo buf, const WatchInfo *watch, Jsonb *given)
{
	List	   *key = chatroom_key_columns(watch->relid);
	List	   *topics = chatroom_topic_columns(watch);
	List	   *parts = JB_ROOT_IS_OBJECT(given) ?
		object_parts(watch, given) : scalar_parts(watch, given, key);

	list_sort(parts, compare_parts);
	if (parts_are_key(parts, key))
	{
		Piece	   *values = palloc(sizeof(Piece) * list_length(parts));

		for (int i = 0; i < list_length(parts); i++)
			values[i] = ((KeyPart *) list_nth(parts, i))->value;
		chatroom_append_row_topic(buf, watch->base, values,
								  list_length(parts));
	}
	else if (list_length(parts) == 1 &&
			 list_member_int(topics, ((KeyPart *) linitial(parts))->attnum))
	{
		KeyPart    *part = linitial(parts);

		chatroom_append_column_topic(buf, watch->base,
									 get_attname(watch->relid, part->attnum,
												 false),
									 &part->value);
	}
	else
		bad_key(watch, key, topics);
}

/* chatroom.topic(relation text, key jsonb) returns text */
Datum
chatroom_topic(PG_FUNCTION_ARGS)
{
	WatchInfo	watch;
	StringInfoData buf;

	chatroom_require_argument(fcinfo, 0, "relation");
	find_watch(PG_GETARG_TEXT_PP(0), &watch);
	initStringInfo(&buf);
	if (PG_ARGISNULL(1))
		appendStringInfoString(&buf, watch.base);
	else
		append_topic(&buf, &watch, PG_GETARG_JSONB_P(1));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}
