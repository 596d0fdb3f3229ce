/*-------------------------------------------------------------------------
 *
 * arguments.c
 *	  Arguments of SQL functions, and members of JSON objects.
 *
 * What callers may get wrong here is not data that a user of theirs typed in:
 * so it raises errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/jsonb_writer.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

/* Refuse a null argument by name. */
void
chatroom_require_argument(FunctionCallInfo fcinfo, int argument,
						  const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

/*
 * Find a relation by its name, as regclass reads it.  InvalidOid, if that is
 * wanted, where there is none.
 */
Oid
chatroom_named_relation(text *name, bool missing_ok)
{
	char	   *string = text_to_cstring(name);
	List	   *names;

	if (string[0] != '\0' && strspn(string, "0123456789") == strlen(string))
	{
		Oid			relid;

		relid = DatumGetObjectId(DirectFunctionCall1(oidin,
													 CStringGetDatum(string)));

		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
			return relid;
		if (missing_ok)
			return InvalidOid;
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	}
	if (missing_ok && (!SplitIdentifierString(pstrdup(string), '.', &names) ||
					   names == NIL))
		return InvalidOid;
	names = textToQualifiedNameList(name);
	return RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock,
							missing_ok);
}

/* A relation by its name, which must be one with rows. */
Oid
chatroom_relation_arg(text *name)
{
	Oid			relid = chatroom_named_relation(name, false);

	switch (get_rel_relkind(relid))
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_FOREIGN_TABLE:
		case RELKIND_VIEW:
			return relid;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" is not a table", get_rel_name(relid))));
			return InvalidOid;	/* keep compiler quiet */
	}
}

/* The texts of an array argument. */
List *
chatroom_array_texts(ArrayType *array, const char *argument)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	List	   *texts = NIL;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must be a one-dimensional array", argument)));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not contain nulls", argument)));
		texts = lappend(texts, TextDatumGetCString(elements[i]));
	}
	return texts;
}

/* A text that must not be null. */
text *
chatroom_text_arg(FunctionCallInfo fcinfo, int i, const char *argument)
{
	chatroom_require_argument(fcinfo, i, argument);
	return PG_GETARG_TEXT_PP(i);
}

/* JSON that must not be null. */
Jsonb *
chatroom_jsonb_arg(FunctionCallInfo fcinfo, int i, const char *argument)
{
	chatroom_require_argument(fcinfo, i, argument);
	return PG_GETARG_JSONB_P(i);
}

/* An object. */
Jsonb *
chatroom_object_arg(FunctionCallInfo fcinfo, int i, const char *argument)
{
	Jsonb	   *value = chatroom_jsonb_arg(fcinfo, i, argument);

	chatroom_want_object(value, argument);
	return value;
}

/* A list. */
Jsonb *
chatroom_list_arg(FunctionCallInfo fcinfo, int i, const char *argument)
{
	Jsonb	   *value = chatroom_jsonb_arg(fcinfo, i, argument);

	chatroom_want_list(value, argument);
	return value;
}

/* Complain of a column that isn't there; see arguments.h. */
void
chatroom_no_column(const char *name, const char *relation,
				   const char *argument)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of relation \"%s\" does not exist", name,
					relation),
			 argument ? errdetail("It is named by %s.", argument) : 0));
}

/* What a jsonb is, in words. */
static const char *
jsonb_kind(Jsonb *jsonb)
{
	JsonbValue	value;

	chatroom_jsonb_value(jsonb, &value);
	return chatroom_json_kind(&value);
}

/* The kind of a JSON value, for errors. */
const char *
chatroom_json_kind(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return "a null";
		case jbvString:
			return "a string";
		case jbvNumeric:
			return "a number";
		case jbvBool:
			return "a boolean";
		case jbvArray:
			return "a list";
		case jbvBinary:
			return JsonContainerIsArray(value->val.binary.data) ?
				"a list" : "an object";
		default:
			return "an object";
	}
}

/* Refuse what is no object. */
void
chatroom_want_object(Jsonb *value, const char *what)
{
	if (!JB_ROOT_IS_OBJECT(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a JSON object", what),
				 errdetail("It is %s.", jsonb_kind(value))));
}

/* Refuse what is no list. */
void
chatroom_want_list(Jsonb *value, const char *what)
{
	if (JB_ROOT_IS_SCALAR(value) || !JB_ROOT_IS_ARRAY(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a JSON list", what),
				 errdetail("It is %s.", jsonb_kind(value)),
				 JB_ROOT_IS_OBJECT(value) && JB_ROOT_COUNT(value) == 0 ?
					 errhint("Some drivers send an empty list as {}: send it as JSON text.") :
					 0));
}

/* A member of an object. */
JsonbValue *
chatroom_member(JsonbContainer *object, const char *name)
{
	JsonbValue	key;

	key.type = jbvString;
	key.val.string.val = (char *) name;
	key.val.string.len = strlen(name);
	return findJsonbValueFromContainer(object, JB_FOBJECT, &key);
}

/* The same as jsonb. */
Jsonb *
chatroom_member_jsonb(Jsonb *object, const char *name)
{
	JsonbValue *value = chatroom_member(&object->root, name);

	return value == NULL || value->type == jbvNull ? NULL :
		JsonbValueToJsonb(value);
}

/* The same as a string. */
char *
chatroom_member_text(Jsonb *object, const char *name, const char *what)
{
	JsonbValue *value = chatroom_member(&object->root, name);

	if (value == NULL || value->type == jbvNull)
		return NULL;
	if (value->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" of %s must be a string", name, what),
				 errdetail("It is %s.", chatroom_json_kind(value))));
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* A list of strings, or one string. */
List *
chatroom_text_list(Jsonb *value, const char *what)
{
	JsonbIterator *iterator = JsonbIteratorInit(&value->root);
	JsonbIteratorToken token;
	JsonbValue	element;
	List	   *texts = NIL;

	while ((token = JsonbIteratorNext(&iterator, &element,
									  true)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_ARRAY || token == WJB_END_ARRAY)
			continue;
		if (token != WJB_ELEM || element.type != jbvString)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s must be a list of strings", what)));
		texts = lappend(texts, pnstrdup(element.val.string.val,
										element.val.string.len));
	}
	return texts;
}

/* An error for members other than those named. */
void
chatroom_only_members(Jsonb *object, const char *what,
					  const char *const *names)
{
	JsonbIterator *iterator = JsonbIteratorInit(&object->root);
	JsonbIteratorToken token;
	JsonbValue	key;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		bool		known = false;

		if (token != WJB_KEY)
			continue;
		for (int i = 0; names[i] != NULL; i++)
			if (strlen(names[i]) == key.val.string.len &&
				memcmp(names[i], key.val.string.val,
					   key.val.string.len) == 0)
				known = true;
		if (!known)
		{
			StringInfoData list;

			initStringInfo(&list);
			for (int i = 0; names[i] != NULL; i++)
				appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", names[i]);
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s has an unknown member \"%s\"", what,
							pnstrdup(key.val.string.val,
									 key.val.string.len)),
					 errhint("It may have: %s.", list.data)));
		}
	}
}

/* A copy for the caller of a function that is about to call SPI_finish(). */
Jsonb *
chatroom_keep_jsonb(Jsonb *value)
{
	Jsonb	   *copy = SPI_palloc(VARSIZE(value));

	memcpy(copy, value, VARSIZE(value));
	return copy;
}
