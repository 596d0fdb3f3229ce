/*-------------------------------------------------------------------------
 *
 * multi.c
 *	  chatroom.multi: several operations, all or nothing, as Ecto.Multi.
 *
 * Operations run in their order in one subtransaction; each may refer to the
 * results of earlier ones.  The first that fails ends it: all is rolled back,
 * events included, and the answer tells which it was.  What is wrong with the
 * list itself is an error, before anything has run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/rooms.h"
#include "base/spi.h"
#include "base/subtransaction.h"
#include "base/where.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/varlena.h"
#include "write/repo.h"

/* Most operations that merges may add up to. */
#define MAX_OPERATIONS	10000

/* A result so far. */
typedef struct MultiResult
{
	char	   *name;
	Jsonb	   *value;
} MultiResult;

/* All that is running. */
typedef struct Multi
{
	Jsonb	   *operations;		/* as given */
	List	   *results;		/* MultiResult */
	int			noperations;
	char	   *failed;			/* the name of what failed, or NULL */
	Jsonb	   *value;			/* and what it failed with */
} Multi;

typedef bool (*Operator) (Multi *multi, Jsonb *operation, Jsonb **value);

CHATROOM_FUNCTION(chatroom_multi);

static void run_operations(Multi *multi, Jsonb *operations);


/* ---------------------------------------------------------------- values */

/* JSON null. */
static Jsonb *
json_null(void)
{
	JsonbValue	value;

	value.type = jbvNull;
	return JsonbValueToJsonb(&value);
}

/* A JSON boolean. */
static Jsonb *
json_bool(bool boolean)
{
	JsonbValue	value;

	value.type = jbvBool;
	value.val.boolean = boolean;
	return JsonbValueToJsonb(&value);
}

/* {"count": n} */
static Jsonb *
json_count(uint64 count)
{
	StringInfoData buf;
	JsonbFrame	frame;

	chatroom_jsonb_start(&buf);
	chatroom_begin_object(&buf, &frame, 1);
	chatroom_put_text(&buf, &frame, "count", 5);
	chatroom_put_numeric(&buf, &frame, int64_to_numeric(count));
	chatroom_end(&buf, &frame, NULL);
	return chatroom_jsonb_finish(&buf);
}

/* Order results by name, as objects have them. */
static int
compare_results(const ListCell *a, const ListCell *b)
{
	const MultiResult *left = lfirst(a);
	const MultiResult *right = lfirst(b);

	return chatroom_compare_keys(left->name, strlen(left->name),
								 right->name, strlen(right->name));
}

/* The results so far as an object. */
static Jsonb *
results_object(const Multi *multi)
{
	List	   *results = list_copy(multi->results);
	StringInfoData buf;
	JsonbFrame	frame;
	ListCell   *lc;

	list_sort(results, compare_results);
	chatroom_jsonb_start(&buf);
	chatroom_begin_object(&buf, &frame, list_length(results));
	foreach(lc, results)
	{
		const char *name = ((MultiResult *) lfirst(lc))->name;

		chatroom_put_text(&buf, &frame, name, strlen(name));
	}
	foreach(lc, results)
		chatroom_put_jsonb(&buf, &frame, ((MultiResult *) lfirst(lc))->value);
	chatroom_end(&buf, &frame, NULL);
	return chatroom_jsonb_finish(&buf);
}

/* The result of a name; NULL: there is none. */
static Jsonb *
find_result(const Multi *multi, const char *name, int len)
{
	ListCell   *lc;

	foreach(lc, multi->results)
	{
		MultiResult	   *result = lfirst(lc);

		if (strlen(result->name) == len &&
			memcmp(result->name, name, len) == 0)
			return result->value;
	}
	return NULL;
}

/* ------------------------------------------------------------ references */

/* What a reference is to: a result, or something in it. */
static Jsonb *
resolve_path(const Multi *multi, const char *path)
{
	int			len = strcspn(path, ".");
	Jsonb	   *value = find_result(multi, path, len);

	/* a name may itself have dots */
	for (const char *dot = strchr(path + len, '.');
		 value == NULL && path[len] != '\0'; dot = strchr(dot + 1, '.'))
	{
		len = dot == NULL ? strlen(path) : dot - path;
		value = find_result(multi, path, len);
		if (dot == NULL)
			break;
	}
	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"$ref\" to unknown operation \"%.*s\"",
						(int) strcspn(path, "."), path),
				 errhint("It must be the name of an earlier operation, with or without a path as in room.id.")));
	path += len;
	while (*path == '.')
	{
		JsonbValue *member = NULL;

		path++;
		len = strcspn(path, ".");
		if (!JB_ROOT_IS_SCALAR(value) && JB_ROOT_IS_OBJECT(value))
			member = chatroom_member(&value->root, pnstrdup(path, len));
		else if (!JB_ROOT_IS_SCALAR(value) && len > 0 && len < 9 &&
				 strspn(path, "0123456789") >= len)
			member = getIthJsonbValueFromContainer(&value->root,
												   strtoul(path, NULL, 10));
		if (member == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"$ref\" finds no \"%.*s\"", len, path),
					 errdetail("The result of the operation has no such member.")));
		value = JsonbValueToJsonb(member);
		path += len;
	}
	return value;
}

/* The path of {"$ref": path}; NULL: it is something else. */
static char *
reference_path(JsonbContainer *container)
{
	JsonbValue *path;

	if (!JsonContainerIsObject(container) ||
		JsonContainerSize(container) != 1)
		return NULL;
	path = chatroom_member(container, "$ref");
	if (path == NULL)
		return NULL;
	if (path->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"$ref\" must be a string"),
				 errhint("Write it like {\"$ref\": \"room.id\"}.")));
	return pnstrdup(path->val.string.val, path->val.string.len);
}

static void put_resolved(StringInfo buf, JsonbFrame *parent,
						 const Multi *multi, const JsonbValue *value);

/* Put an object or list with its references resolved. */
static void
put_container(StringInfo buf, JsonbFrame *parent, const Multi *multi,
			  JsonbContainer *container)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	value;
	JsonbValue *values;
	JsonbFrame	frame;
	int			n = JsonContainerSize(container);
	int			i = 0;

	check_stack_depth();
	values = palloc(sizeof(JsonbValue) * Max(n, 1));
	if (JsonContainerIsObject(container))
		chatroom_begin_object(buf, &frame, n);
	else
		chatroom_begin_array(buf, &frame, n);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			chatroom_put_value(buf, &frame, &value);
		else if (token == WJB_VALUE || token == WJB_ELEM)
			values[i++] = value;
	}
	for (i = 0; i < n; i++)
		put_resolved(buf, &frame, multi, &values[i]);
	chatroom_end(buf, &frame, parent);
}

/* Put a value with its references resolved. */
static void
put_resolved(StringInfo buf, JsonbFrame *parent, const Multi *multi,
			 const JsonbValue *value)
{
	char	   *path;

	if (value->type != jbvBinary)
	{
		chatroom_put_value(buf, parent, value);
		return;
	}
	path = reference_path(value->val.binary.data);
	if (path != NULL)
		chatroom_put_jsonb(buf, parent, resolve_path(multi, path));
	else
		put_container(buf, parent, multi, value->val.binary.data);
}

/* A value with its references to earlier results resolved. */
static Jsonb *
resolve(const Multi *multi, Jsonb *value)
{
	StringInfoData buf;
	char	   *path;

	if (value == NULL || JB_ROOT_IS_SCALAR(value))
		return value;
	path = reference_path(&value->root);
	if (path != NULL)
		return resolve_path(multi, path);
	chatroom_jsonb_start(&buf);
	put_container(&buf, NULL, multi, &value->root);
	return chatroom_jsonb_finish(&buf);
}

/* A member of an operation, resolved; NULL: it has none. */
static Jsonb *
member(const Multi *multi, Jsonb *operation, const char *name)
{
	return resolve(multi, chatroom_member_jsonb(operation, name));
}

/* The same, which must be there. */
static Jsonb *
needed_member(const Multi *multi, Jsonb *operation, const char *name)
{
	Jsonb	   *value = member(multi, operation, name);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("operation \"%s\" needs \"%s\"",
						chatroom_member_text(operation, "name", "operation"),
						name)));
	return value;
}

/* The relation of an operation. */
static Oid
relation_of(Jsonb *operation)
{
	char	   *name = chatroom_member_text(operation, "relation", "operation");

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("operation \"%s\" needs \"relation\"",
						chatroom_member_text(operation, "name", "operation"))));
	return chatroom_relation_arg(cstring_to_text(name));
}

/* The attributes of an operation; none are an empty object. */
static Jsonb *
attrs_of(const Multi *multi, Jsonb *operation)
{
	Jsonb	   *attrs = needed_member(multi, operation, "attrs");

	chatroom_want_object(attrs, "attrs");
	return attrs;
}

/* The key of an operation: of a row that is referred to, its key alone. */
static Jsonb *
key_of(const Multi *multi, Jsonb *operation, Oid relid)
{
	Jsonb	   *given = chatroom_member_jsonb(operation, "key");
	Jsonb	   *key = member(multi, operation, "key");
	TableInfo  *table;
	StringInfoData buf;
	JsonbFrame	frame;
	RowShape   *shape;
	Bitmapset  *columns = NULL;

	if (key == NULL || JB_ROOT_IS_SCALAR(key) || !JB_ROOT_IS_OBJECT(key) ||
		reference_path(&given->root) == NULL)
		return key;
	table = chatroom_open_table(relid);
	for (int i = 0; i < table->nkeys; i++)
		columns = bms_add_member(columns, table->keys[i]);
	shape = chatroom_shape(table, columns, NIL);
	chatroom_jsonb_start(&buf);
	chatroom_begin_shape(&buf, &frame, shape);
	for (int i = 0; i < shape->n; i++)
	{
		JsonbValue *part = chatroom_member(&key->root,
										   shape->entries[i].key.name);

		if (part == NULL)
			return key;
		chatroom_put_value(&buf, &frame, part);
	}
	chatroom_end(&buf, &frame, NULL);
	return chatroom_jsonb_finish(&buf);
}

/* ------------------------------------------------------------- operations */

/* What a changeset came to. */
static bool
take_changeset(const Changeset *changeset, Jsonb **value)
{
	*value = changeset->valid ? chatroom_result_row(changeset) :
		chatroom_changeset_jsonb(changeset);
	return changeset->valid;
}

/* insert */
static bool
run_insert(Multi *multi, Jsonb *operation, Jsonb **value)
{
	return take_changeset(chatroom_insert_row(relation_of(operation),
											  attrs_of(multi, operation),
											  member(multi, operation,
													 "on_conflict")),
						  value);
}

/* update */
static bool
run_update(Multi *multi, Jsonb *operation, Jsonb **value)
{
	Oid			relid = relation_of(operation);
	Jsonb	   *key = key_of(multi, operation, relid);

	if (key == NULL)
		key = needed_member(multi, operation, "key");
	return take_changeset(chatroom_update_row(relid, key,
											  attrs_of(multi, operation)),
						  value);
}

/* insert_or_update: by whether there is a row of the key */
static bool
run_insert_or_update(Multi *multi, Jsonb *operation, Jsonb **value)
{
	Oid			relid = relation_of(operation);
	Jsonb	   *key = key_of(multi, operation, relid);
	Jsonb	   *attrs = attrs_of(multi, operation);
	TableInfo  *table = chatroom_open_table(relid);

	if (key != NULL &&
		chatroom_fetch_row(table, chatroom_read_key(table, key),
						   chatroom_readable_columns(table), false) != NULL)
		return take_changeset(chatroom_update_row(relid, key, attrs), value);
	if (key != NULL && !JB_ROOT_IS_SCALAR(key))
		attrs = DatumGetJsonbP(DirectFunctionCall2(jsonb_concat,
												   JsonbPGetDatum(key),
												   JsonbPGetDatum(attrs)));
	return take_changeset(chatroom_insert_row(relid, attrs,
											  member(multi, operation,
													 "on_conflict")), value);
}

/* delete */
static bool
run_delete(Multi *multi, Jsonb *operation, Jsonb **value)
{
	Oid			relid = relation_of(operation);
	Jsonb	   *key = key_of(multi, operation, relid);

	if (key == NULL)
		key = needed_member(multi, operation, "key");
	return take_changeset(chatroom_delete_row(relid, key), value);
}

/* Read rows of a table: of a key, or of a condition, or all. */
static uint64
select_rows(Multi *multi, Jsonb *operation, TableInfo *table,
			Bitmapset *columns, uint64 limit)
{
	Jsonb	   *where = member(multi, operation, "where");
	Jsonb	   *key = key_of(multi, operation, table->relid);
	StringInfoData sql;
	QueryArgs	args = {0};

	chatroom_refuse_unbound(table->relid);

	/* of no column may be read: let the server say so */
	if (bms_is_empty(columns))
		columns = table->all;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	chatroom_append_columns(&sql, table, columns, "t");
	appendStringInfo(&sql, " FROM %s AS t WHERE true", table->quoted);
	if (key != NULL)
	{
		TableRow   *wanted = chatroom_read_key(table, key);

		appendStringInfoString(&sql, " AND ");
		chatroom_append_key(&sql, table, 1);
		for (int i = 0; i < table->nkeys; i++)
		{
			int			k = table->keys[i] - 1;

			(void) chatroom_add_arg(&args, table->columns[k].typid,
									wanted->values[k], false);
		}
	}
	if (where != NULL)
	{
		appendStringInfoString(&sql, " AND ");
		chatroom_append_where(&sql, table, "t", where, &args, "where");
	}
	chatroom_append_order(&sql, table, "t", NULL, "order");
	if (SPI_execute_plan(chatroom_plan(table, sql.data, args.n, args.types),
						 args.values, args.nulls, false,
						 limit) != SPI_OK_SELECT)
		elog(ERROR, "could not execute: %s", sql.data);
	return SPI_processed;
}

/* Rows of the last query as a list of objects. */
static Jsonb *
rows_list(TableInfo *table, const Bitmapset *columns)
{
	SPITupleTable *result = SPI_tuptable;
	uint64		n = SPI_processed;
	StringInfoData buf;
	JsonbFrame	frame;
	ValuePins	pins;

	chatroom_jsonb_start(&buf);
	chatroom_begin_array(&buf, &frame, n);
	chatroom_pin(&pins, table->needs_settings);
	PG_TRY();
	{
		for (uint64 i = 0; i < n; i++)
		{
			TableRow   *row = chatroom_new_row(table);

			CHECK_FOR_INTERRUPTS();
			chatroom_read_row(table, row, columns, result->vals[i],
							  result->tupdesc, 0);
			chatroom_put_row(&buf, &frame, table, columns, row);
		}
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	chatroom_end(&buf, &frame, NULL);
	return chatroom_jsonb_finish(&buf);
}

/* one: a row or null; an error if there are several */
static bool
run_one(Multi *multi, Jsonb *operation, Jsonb **value)
{
	TableInfo  *table = chatroom_open_table(relation_of(operation));
	Bitmapset  *columns = chatroom_readable_columns(table);
	uint64		n = select_rows(multi, operation, table, columns, 2);

	if (n > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("operation \"%s\" finds more than one row of table \"%s\"",
						chatroom_member_text(operation, "name", "operation"),
						table->name),
				 errhint("Use \"all\", or a narrower \"where\".")));
	*value = json_null();
	if (n > 0)
	{
		Jsonb	   *rows = rows_list(table, columns);

		*value =
			JsonbValueToJsonb(getIthJsonbValueFromContainer(&rows->root, 0));
	}
	return true;
}

/* all: a list of rows */
static bool
run_all(Multi *multi, Jsonb *operation, Jsonb **value)
{
	TableInfo  *table = chatroom_open_table(relation_of(operation));
	Bitmapset  *columns = chatroom_readable_columns(table);

	(void) select_rows(multi, operation, table, columns, 0);
	*value = rows_list(table, columns);
	return true;
}

/* exists: a boolean */
static bool
run_exists(Multi *multi, Jsonb *operation, Jsonb **value)
{
	TableInfo  *table = chatroom_open_table(relation_of(operation));

	*value = json_bool(select_rows(multi, operation, table,
								   chatroom_readable_columns(table), 1) > 0);
	return true;
}

/* insert_all: of a list of attributes */
static bool
run_insert_all(Multi *multi, Jsonb *operation, Jsonb **value)
{
	Oid			relid = relation_of(operation);
	Jsonb	   *list = needed_member(multi, operation, "attrs");
	Jsonb	   *on_conflict = member(multi, operation, "on_conflict");
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;
	uint64		count = 0;

	chatroom_want_list(list, "attrs of insert_all");
	iterator = JsonbIteratorInit(&list->root);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		Jsonb	   *attrs;
		Changeset  *changeset;

		CHECK_FOR_INTERRUPTS();
		if (token != WJB_ELEM)
			continue;
		attrs = JsonbValueToJsonb(&element);
		chatroom_want_object(attrs, "an element of attrs");
		changeset = chatroom_insert_row(relid, attrs, on_conflict);
		if (!changeset->valid)
			return take_changeset(changeset, value);
		if (changeset->written)
			count++;
	}
	*value = json_count(count);
	return true;
}

/* Rows of a condition, whose keys update_all and delete_all go by. */
static List *
rows_of_condition(Multi *multi, Jsonb *operation, Oid relid)
{
	TableInfo  *table = chatroom_open_table(relid);
	Bitmapset  *columns = NULL;
	Jsonb	   *list;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;
	List	   *keys = NIL;

	if (table->nkeys == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has no key", table->name),
				 errhint("Add a primary key.")));
	for (int i = 0; i < table->nkeys; i++)
		columns = bms_add_member(columns, table->keys[i]);
	(void) select_rows(multi, operation, table, columns, 0);
	list = rows_list(table, columns);
	iterator = JsonbIteratorInit(&list->root);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			keys = lappend(keys, JsonbValueToJsonb(&element));
	return keys;
}

/* update_all: every row of a condition */
static bool
run_update_all(Multi *multi, Jsonb *operation, Jsonb **value)
{
	Oid			relid = relation_of(operation);
	Jsonb	   *attrs = attrs_of(multi, operation);
	List	   *keys = rows_of_condition(multi, operation, relid);
	ListCell   *lc;

	foreach(lc, keys)
	{
		Changeset  *changeset;

		CHECK_FOR_INTERRUPTS();
		changeset = chatroom_update_row(relid, lfirst(lc), attrs);
		if (!changeset->valid)
			return take_changeset(changeset, value);
	}
	*value = json_count(list_length(keys));
	return true;
}

/* delete_all: every row of a condition */
static bool
run_delete_all(Multi *multi, Jsonb *operation, Jsonb **value)
{
	Oid			relid = relation_of(operation);
	List	   *keys = rows_of_condition(multi, operation, relid);
	ListCell   *lc;

	foreach(lc, keys)
	{
		Changeset  *changeset;

		CHECK_FOR_INTERRUPTS();
		changeset = chatroom_delete_row(relid, lfirst(lc));
		if (!changeset->valid)
			return take_changeset(changeset, value);
	}
	*value = json_count(list_length(keys));
	return true;
}

/* put: a value */
static bool
run_put(Multi *multi, Jsonb *operation, Jsonb **value)
{
	*value = member(multi, operation, "value");
	if (*value == NULL)
		*value = json_null();
	return true;
}

/* error: fail with a value */
static bool
run_error(Multi *multi, Jsonb *operation, Jsonb **value)
{
	(void) run_put(multi, operation, value);
	return false;
}

/* merge: the operations of a list, as if they stood here */
static bool
run_merge(Multi *multi, Jsonb *operation, Jsonb **value)
{
	/* references are resolved when their operations run */
	Jsonb	   *list = chatroom_member_jsonb(operation, "value");

	if (list != NULL && !JB_ROOT_IS_SCALAR(list) &&
		reference_path(&list->root) != NULL)
		list = resolve(multi, list);
	if (list == NULL)
		list = needed_member(multi, operation, "value");
	chatroom_want_list(list, "value of merge");
	run_operations(multi, list);
	*value = NULL;
	return true;
}

/* Find the function of an operation: name(jsonb) or its bare name. */
static Oid
find_function(const char *text)
{
	Oid			types[1] = {JSONBOID};
	List	   *names;
	Oid			function;
	Oid		   *arguments;
	int			nargs;

	if (strchr(text, '(') != NULL)
	{
		Datum		datum = DirectFunctionCall1(regprocedurein,
												CStringGetDatum(text));

		function = DatumGetObjectId(datum);
	}
	else
	{
		names = textToQualifiedNameList(cstring_to_text(text));
		function = LookupFuncName(names, 1, types, false);
	}
	if (!OidIsValid(function) ||
		get_func_signature(function, &arguments, &nargs) != JSONBOID ||
		nargs != 1 || arguments[0] != JSONBOID ||
		get_func_prokind(function) != PROKIND_FUNCTION ||
		get_func_retset(function))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function \"%s\" can't be called by multi", text),
				 errhint("It must take one jsonb and return jsonb.")));
	return function;
}

/* call: a function of the results so far */
static bool
run_call(Multi *multi, Jsonb *operation, Jsonb **value)
{
	char	   *name = chatroom_member_text(operation, "function",
											"operation");
	Oid			function;
	char	   *schema;
	Jsonb	   *answer;
	JsonbValue *part;
	StringInfoData sql;
	Oid			types[1] = {JSONBOID};
	Datum		values[1];
	Datum		datum;
	bool		isnull;

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("operation \"%s\" needs \"function\"",
						chatroom_member_text(operation, "name",
											 "operation"))));
	function = find_function(name);

	/* a statement, so that EXECUTE is checked and snapshots are as anywhere */
	initStringInfo(&sql);
	schema = get_namespace_name(get_func_namespace(function));
	appendStringInfo(&sql, "SELECT %s($1)",
					 quote_qualified_identifier(schema,
												get_func_name(function)));
	values[0] = JsonbPGetDatum(results_object(multi));
	if (SPI_execute_with_args(sql.data, 1, types, values, NULL, false,
							  0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not execute: %s", sql.data);
	datum = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						  &isnull);
	answer = isnull ? json_null() : DatumGetJsonbPCopy(datum);
	*value = answer;
	if (JB_ROOT_IS_SCALAR(answer) || !JB_ROOT_IS_OBJECT(answer) ||
		JB_ROOT_COUNT(answer) != 1)
		return true;
	part = chatroom_member(&answer->root, "ok");
	if (part != NULL)
	{
		*value = JsonbValueToJsonb(part);
		return true;
	}
	part = chatroom_member(&answer->root, "error");
	if (part == NULL)
		return true;
	*value = JsonbValueToJsonb(part);
	return false;
}

static const struct
{
	const char *name;
	Operator	run;
}			operators[] = {
	{"insert", run_insert},
	{"update", run_update},
	{"insert_or_update", run_insert_or_update},
	{"delete", run_delete},
	{"one", run_one},
	{"all", run_all},
	{"exists", run_exists},
	{"insert_all", run_insert_all},
	{"update_all", run_update_all},
	{"delete_all", run_delete_all},
	{"put", run_put},
	{"error", run_error},
	{"merge", run_merge},
	{"call", run_call}
};

/* ----------------------------------------------------------------- running */

/* The operator of a word. */
static Operator
find_operator(const char *op, const char *name)
{
	for (int i = 0; op != NULL && i < lengthof(operators); i++)
		if (strcmp(operators[i].name, op) == 0)
			return operators[i].run;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 op == NULL ?
			 errmsg("operation \"%s\" needs \"op\"", name) :
			 errmsg("operation \"%s\" has an unknown op \"%s\"", name, op),
			 errhint("Ops are insert, update, insert_or_update, delete, one, all, exists, insert_all, update_all, delete_all, put, error, merge and call.")));
	return NULL;				/* keep compiler quiet */
}

/* Check what can be told of an operation beforehand; returns its name. */
static char *
check_operation(Jsonb *operation)
{
	static const char *const members[] = {
		"name", "op", "relation", "attrs", "key", "on_conflict", "value",
		"function", "where", NULL
	};
	char	   *name;

	chatroom_want_object(operation, "an operation");
	chatroom_only_members(operation, "an operation", members);
	name = chatroom_member_text(operation, "name", "an operation");
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an operation needs a \"name\"")));
	(void) find_operator(chatroom_member_text(operation, "op", "operation"),
						 name);
	return name;
}

/* The operations of a list; names are checked to be unique. */
static List *
read_operations(const Multi *multi, Jsonb *list)
{
	JsonbIterator *iterator = JsonbIteratorInit(&list->root);
	JsonbIteratorToken token;
	JsonbValue	element;
	List	   *operations = NIL;
	List	   *names = NIL;
	ListCell   *lc;

	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		Jsonb	   *operation;
		char	   *name;

		if (token != WJB_ELEM)
			continue;
		operation = JsonbValueToJsonb(&element);
		name = check_operation(operation);
		foreach(lc, names)
			if (strcmp(lfirst(lc), name) == 0)
				break;
		if (lc != NULL || find_result(multi, name, strlen(name)) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("more than one operation has the name \"%s\"",
							name)));
		names = lappend(names, name);
		operations = lappend(operations, operation);
	}
	return operations;
}

/* Run operations until one fails. */
static void
run_operations(Multi *multi, Jsonb *list)
{
	List	   *operations = read_operations(multi, list);
	ListCell   *lc;

	check_stack_depth();
	multi->noperations += list_length(operations);
	if (multi->noperations > MAX_OPERATIONS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("more than %d operations", MAX_OPERATIONS)));
	foreach(lc, operations)
	{
		Jsonb	   *operation = lfirst(lc);
		char	   *name = chatroom_member_text(operation, "name",
												"operation");
		Operator	run = find_operator(chatroom_member_text(operation, "op",
															 "operation"),
										name);
		Jsonb	   *value;

		CHECK_FOR_INTERRUPTS();
		if (!run(multi, operation, &value))
		{
			multi->failed = name;
			multi->value = value;
			return;
		}
		if (multi->failed != NULL)
			return;
		if (value != NULL)
		{
			MultiResult	   *result = palloc(sizeof(MultiResult));

			if (find_result(multi, name, strlen(name)) != NULL)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("more than one operation has the name \"%s\"",
								name)));
			result->name = name;
			result->value = value;
			multi->results = lappend(multi->results, result);
		}
	}
}

/* Run all in a subtransaction, which is rolled back if one fails. */
static bool
run_all_or_nothing(void *arg)
{
	Multi	   *multi = arg;

	run_operations(multi, multi->operations);
	return multi->failed == NULL;
}

/* {"ok": {name: value}} or {"error": {"failed", "value", "changes"}} */
static Jsonb *
answer(const Multi *multi)
{
	StringInfoData buf;
	JsonbFrame	frame;
	JsonbFrame	error;

	chatroom_jsonb_start(&buf);
	chatroom_begin_object(&buf, &frame, 1);
	if (multi->failed == NULL)
	{
		chatroom_put_text(&buf, &frame, "ok", 2);
		chatroom_put_jsonb(&buf, &frame, results_object(multi));
	}
	else
	{
		chatroom_put_text(&buf, &frame, "error", 5);
		chatroom_begin_object(&buf, &error, 3);
		chatroom_put_text(&buf, &error, "value", 5);
		chatroom_put_text(&buf, &error, "failed", 6);
		chatroom_put_text(&buf, &error, "changes", 7);
		chatroom_put_jsonb(&buf, &error, multi->value);
		chatroom_put_text(&buf, &error, multi->failed,
						  strlen(multi->failed));
		chatroom_put_jsonb(&buf, &error, results_object(multi));
		chatroom_end(&buf, &error, &frame);
	}
	chatroom_end(&buf, &frame, NULL);
	return chatroom_jsonb_finish(&buf);
}

/* chatroom.multi(operations jsonb) returns jsonb */
Datum
chatroom_multi(PG_FUNCTION_ARGS)
{
	Jsonb	   *operations = chatroom_list_arg(fcinfo, 0, "operations");
	Multi		multi = {0};
	Jsonb	   *result;

	chatroom_spi_connect();
	multi.operations = operations;
	(void) chatroom_subtransaction(run_all_or_nothing, &multi, NULL);
	result = chatroom_keep_jsonb(answer(&multi));
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(result);
}
