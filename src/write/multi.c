/*-------------------------------------------------------------------------
 *
 * multi.c
 *	  chatroom.multi: several operations, all or nothing, as Ecto.Multi.
 *
 * Operations run in their order in one subtransaction; each may refer to the
 * results of earlier ones (refs.c).  The first that fails ends it: all is
 * rolled back, events included, and the answer tells which it was.  What is
 * wrong with the list itself is an error, before anything has run.
 *
 * Each operation, and each row of those of many rows, has an SPI connection of
 * its own, with which goes all memory that it took but for its result.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/callable.h"
#include "base/compat.h"
#include "base/rooms.h"
#include "base/spi.h"
#include "base/subtransaction.h"
#include "base/where.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "write/refs.h"
#include "write/repo.h"

/* Most operations that merges may add up to. */
#define MAX_OPERATIONS	10000

/* An operation of that name, and its result. */
typedef struct MultiResult
{
	char	   *name;			/* of the hash table */
	Jsonb	   *value;			/* NULL: it has none yet, or is a merge */
	bool		absent;			/* it found no row, or wrote none */
} MultiResult;

/* One operation. */
typedef struct Operation
{
	Jsonb	   *json;
	char	   *name;
	RefNode    *refs;
	Permitted  *permitted;
	bool		absent;			/* as in its result */
} Operation;

/* All that is running. */
typedef struct Multi
{
	Jsonb	   *operations;		/* as given */
	MemoryContext context;		/* of results */
	HTAB	   *names;			/* MultiResult, of all operations met */
	List	   *results;		/* MultiResult, in their order */
	int			noperations;
	char	   *failed;			/* the name of what failed, or NULL */
	Jsonb	   *value;			/* and what it failed with */
} Multi;

typedef bool (*Operator) (Multi *multi, Operation *operation, Jsonb **value);

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

/* A hash of a name. */
static uint32
hash_name(const void *key, Size keysize)
{
	const char *name = *(char *const *) key;

	return hash_bytes((const unsigned char *) name, strlen(name));
}

/* Compare names. */
static int
match_names(const void *a, const void *b, Size keysize)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Make the table of names. */
static void
make_names(Multi *multi)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(char *);
	ctl.entrysize = sizeof(MultiResult);
	ctl.hash = hash_name;
	ctl.match = match_names;
	ctl.hcxt = multi->context;
	multi->names = hash_create("chatroom operations", 64, &ctl,
							   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
							   HASH_CONTEXT);
}

/* Take a name, which must be the only one. */
static void
take_name(Multi *multi, const char *name)
{
	char	   *copy = MemoryContextStrdup(multi->context, name);
	MultiResult *result;
	bool		found;

	result = hash_search(multi->names, &copy, HASH_ENTER, &found);
	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("more than one operation has the name \"%s\"",
						name)));
	result->value = NULL;
	result->absent = false;
}

/* A value that stays until all is done. */
static Jsonb *
keep_value(const Multi *multi, const Jsonb *value)
{
	Jsonb	   *copy = MemoryContextAlloc(multi->context, VARSIZE(value));

	memcpy(copy, value, VARSIZE(value));
	return copy;
}

/* Take the result of an operation. */
static void
take_result(Multi *multi, const Operation *operation, const Jsonb *value)
{
	MultiResult *result = hash_search(multi->names, &operation->name,
									  HASH_FIND, NULL);
	MemoryContext caller = MemoryContextSwitchTo(multi->context);

	result->value = keep_value(multi, value);
	result->absent = operation->absent;
	multi->results = lappend(multi->results, result);
	MemoryContextSwitchTo(caller);
}

/* The result of a name; NULL: there is none. */
static MultiResult *
find_result(const Multi *multi, const char *name, int len)
{
	char	   *wanted = pnstrdup(name, len);
	MultiResult *result = hash_search(multi->names, &wanted, HASH_FIND, NULL);

	return result != NULL && result->value != NULL ? result : NULL;
}

/* ------------------------------------------------------------ references */

/* What a reference is to: a result, or something in it. */
static Jsonb *
resolve_path(const void *arg, const char *path)
{
	const Multi *multi = arg;
	int			len = strcspn(path, ".");
	MultiResult *result = find_result(multi, path, len);
	Jsonb	   *value;

	/* a name may itself have dots */
	for (const char *dot = strchr(path + len, '.');
		 result == NULL && path[len] != '\0'; dot = strchr(dot + 1, '.'))
	{
		len = dot == NULL ? strlen(path) : dot - path;
		result = find_result(multi, path, len);
		if (dot == NULL)
			break;
	}
	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("refs name the unknown operation \"%.*s\"",
						(int) strcspn(path, "."), path),
				 errhint("It must be the name of an earlier operation, with or without a path as in room.id.")));
	if (result->absent)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("operation \"%s\" has no row to refer to",
						result->name),
				 errdetail("It found none, or on_conflict let it write none.")));
	value = result->value;
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
					 errmsg("refs find no \"%.*s\"", len, path),
					 errdetail("The result of the operation has no such member.")));
		value = JsonbValueToJsonb(member);
		path += len;
	}
	return value;
}

/* Read the references of an operation. */
static void
read_refs(const Multi *multi, Operation *operation)
{
	static const char *const members[] = {
		"attrs", "key", "on_conflict", "value", "where", NULL
	};

	operation->refs =
		chatroom_read_refs(chatroom_member_jsonb(operation->json, "refs"),
						   operation->name, members, resolve_path, multi);
}

/* A member of an operation, with its references; NULL: it has none. */
static Jsonb *
member(const Operation *operation, const char *name)
{
	return chatroom_apply_refs(operation->refs, name,
							   chatroom_member_jsonb(operation->json, name));
}

/* The same, which must be there. */
static Jsonb *
needed_member(const Operation *operation, const char *name)
{
	Jsonb	   *value = member(operation, name);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("operation \"%s\" needs \"%s\"", operation->name,
						name)));
	return value;
}

/* The relation of an operation. */
static Oid
relation_of(const Operation *operation)
{
	char	   *name = chatroom_member_text(operation->json, "relation",
											"operation");

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("operation \"%s\" needs \"relation\"",
						operation->name)));
	return chatroom_relation_arg(cstring_to_text(name));
}

/* The attributes of an operation; none are an empty object. */
static Jsonb *
attrs_of(const Operation *operation)
{
	Jsonb	   *attrs = needed_member(operation, "attrs");

	chatroom_want_object(attrs, "attrs");
	return attrs;
}

/* The key of an operation: of a row that is referred to, its key alone. */
static Jsonb *
key_of(const Operation *operation, Oid relid)
{
	Jsonb	   *key = member(operation, "key");
	TableInfo  *table;
	StringInfoData buf;
	JsonbFrame	frame;
	RowShape   *shape;
	Bitmapset  *columns = NULL;

	if (key == NULL || JB_ROOT_IS_SCALAR(key) || !JB_ROOT_IS_OBJECT(key) ||
		!chatroom_is_ref(operation->refs, "key"))
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

/* The list of a member; NIL where it has none. */
static List *
paths_of(const Operation *operation, const char *name)
{
	Jsonb	   *json = chatroom_member_jsonb(operation->json, name);

	if (json == NULL)
		return NIL;
	chatroom_want_list(json, name);
	return chatroom_text_list(json, name);
}

/* Read what an operation permits, as the arguments of insert. */
static void
read_permitted(Operation *operation)
{
	Jsonb	   *permitted = chatroom_member_jsonb(operation->json,
												  "permitted");

	operation->permitted =
		chatroom_make_permitted(permitted == NULL,
								paths_of(operation, "permitted"),
								paths_of(operation, "put"));
}

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
run_insert(Multi *multi, Operation *operation, Jsonb **value)
{
	Changeset  *changeset =
		chatroom_insert_row(relation_of(operation), attrs_of(operation),
							member(operation, "on_conflict"),
							operation->permitted);

	operation->absent = changeset->valid && !changeset->written;
	return take_changeset(changeset, value);
}

/* update */
static bool
run_update(Multi *multi, Operation *operation, Jsonb **value)
{
	Oid			relid = relation_of(operation);
	Jsonb	   *key = key_of(operation, relid);

	if (key == NULL)
		key = needed_member(operation, "key");
	return take_changeset(chatroom_update_row(relid, key,
											  attrs_of(operation),
											  operation->permitted), value);
}

/* insert_or_update: by whether there is a row of the key */
static bool
run_insert_or_update(Multi *multi, Operation *operation, Jsonb **value)
{
	Oid			relid = relation_of(operation);
	Jsonb	   *key = key_of(operation, relid);
	Jsonb	   *attrs = attrs_of(operation);
	TableInfo  *table = chatroom_open_table(relid);
	Changeset  *changeset;

	if (key != NULL &&
		chatroom_fetch_row(table, chatroom_read_key(table, key),
						   chatroom_readable_columns(table), false) != NULL)
		return take_changeset(chatroom_update_row(relid, key, attrs,
												  operation->permitted),
							  value);
	changeset = chatroom_insert_keyed(relid,
									  key == NULL || JB_ROOT_IS_SCALAR(key) ?
									  NULL : key, attrs,
									  member(operation, "on_conflict"),
									  operation->permitted);
	operation->absent = changeset->valid && !changeset->written;
	return take_changeset(changeset, value);
}

/* delete */
static bool
run_delete(Multi *multi, Operation *operation, Jsonb **value)
{
	Oid			relid = relation_of(operation);
	Jsonb	   *key = key_of(operation, relid);
	int64		version;
	bool		given = chatroom_given_version(relid,
											   member(operation, "attrs"),
											   &version);

	if (key == NULL)
		key = needed_member(operation, "key");
	return take_changeset(chatroom_delete_row(relid, key,
											  given ? &version : NULL),
						  value);
}

/* Read rows of a table: of a key, or of a condition, or all. */
static uint64
select_rows(const Operation *operation, TableInfo *table,
			Bitmapset *columns, uint64 limit)
{
	Jsonb	   *where = member(operation, "where");
	Jsonb	   *key = key_of(operation, table->relid);
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
run_one(Multi *multi, Operation *operation, Jsonb **value)
{
	TableInfo  *table = chatroom_open_table(relation_of(operation));
	Bitmapset  *columns = chatroom_readable_columns(table);
	uint64		n = select_rows(operation, table, columns, 2);

	if (n > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("operation \"%s\" finds more than one row of table \"%s\"",
						operation->name,
						table->name),
				 errhint("Use \"all\", or a narrower \"where\".")));
	*value = json_null();
	operation->absent = n == 0;
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
run_all(Multi *multi, Operation *operation, Jsonb **value)
{
	TableInfo  *table = chatroom_open_table(relation_of(operation));
	Bitmapset  *columns = chatroom_readable_columns(table);

	(void) select_rows(operation, table, columns, 0);
	*value = rows_list(table, columns);
	return true;
}

/* exists: a boolean */
static bool
run_exists(Multi *multi, Operation *operation, Jsonb **value)
{
	TableInfo  *table = chatroom_open_table(relation_of(operation));

	*value = json_bool(select_rows(operation, table,
								   chatroom_readable_columns(table), 1) > 0);
	return true;
}

/* A row that an operation of many writes. */
typedef Changeset *(*WriteRow) (const Operation *operation, Oid relid,
								Jsonb *given, Jsonb *other);

/* insert_all */
static Changeset *
insert_one(const Operation *operation, Oid relid, Jsonb *attrs,
		   Jsonb *on_conflict)
{
	return chatroom_insert_row(relid, attrs, on_conflict,
							   operation->permitted);
}

/* update_all */
static Changeset *
update_one(const Operation *operation, Oid relid, Jsonb *key, Jsonb *attrs)
{
	return chatroom_update_row(relid, key, attrs, operation->permitted);
}

/* delete_all */
static Changeset *
delete_one(const Operation *operation, Oid relid, Jsonb *key, Jsonb *other)
{
	return chatroom_delete_row(relid, key, NULL);
}

/*
 * Write a row for each element of a list; false: one failed, with a value.
 * Counts those that are there.
 */
static bool
write_each(const Operation *operation, Oid relid, Jsonb *list, Jsonb *other,
		   WriteRow write_row, uint64 *count, Jsonb **value)
{
	JsonbIterator *iterator = JsonbIteratorInit(&list->root);
	JsonbIteratorToken token;
	JsonbValue	element;

	*count = 0;
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		Changeset  *changeset;
		bool		valid;

		CHECK_FOR_INTERRUPTS();
		if (token != WJB_ELEM)
			continue;
		chatroom_spi_connect();
		changeset = write_row(operation, relid, JsonbValueToJsonb(&element),
							  other);
		valid = changeset->valid;
		if (!valid)
		{
			(void) take_changeset(changeset, value);
			*value = chatroom_keep_jsonb(*value);
		}
		if (changeset->action != ACTION_INSERT || changeset->written)
			(*count)++;
		chatroom_spi_finish();
		if (!valid)
			return false;
	}
	return true;
}

/* insert_all: of a list of attributes */
static bool
run_insert_all(Multi *multi, Operation *operation, Jsonb **value)
{
	Oid			relid = relation_of(operation);
	Jsonb	   *list = needed_member(operation, "attrs");
	Jsonb	   *on_conflict = member(operation, "on_conflict");
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;
	uint64		count;

	chatroom_want_list(list, "attrs of insert_all");
	iterator = JsonbIteratorInit(&list->root);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
		if (token == WJB_ELEM &&
			(element.type != jbvBinary ||
			 !JsonContainerIsObject(element.val.binary.data)))
			chatroom_want_object(JsonbValueToJsonb(&element),
								 "an element of attrs");
	if (!write_each(operation, relid, list, on_conflict, insert_one, &count,
					value))
		return false;
	*value = json_count(count);
	return true;
}

/* Rows of a condition, whose keys update_all and delete_all go by. */
static Jsonb *
rows_of_condition(const Operation *operation, Oid relid)
{
	TableInfo  *table = chatroom_open_table(relid);
	Bitmapset  *columns = NULL;

	if (table->nkeys == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has no key", table->name),
				 errhint("Add a primary key.")));
	for (int i = 0; i < table->nkeys; i++)
		columns = bms_add_member(columns, table->keys[i]);
	(void) select_rows(operation, table, columns, 0);
	return rows_list(table, columns);
}

/* update_all: every row of a condition */
static bool
run_update_all(Multi *multi, Operation *operation, Jsonb **value)
{
	Oid			relid = relation_of(operation);
	Jsonb	   *attrs = attrs_of(operation);
	uint64		count;

	if (!write_each(operation, relid, rows_of_condition(operation, relid),
					attrs, update_one, &count, value))
		return false;
	*value = json_count(count);
	return true;
}

/* delete_all: every row of a condition */
static bool
run_delete_all(Multi *multi, Operation *operation, Jsonb **value)
{
	Oid			relid = relation_of(operation);
	uint64		count;

	if (!write_each(operation, relid, rows_of_condition(operation, relid),
					NULL, delete_one, &count, value))
		return false;
	*value = json_count(count);
	return true;
}

/* put: a value */
static bool
run_put(Multi *multi, Operation *operation, Jsonb **value)
{
	*value = member(operation, "value");
	if (*value == NULL)
		*value = json_null();
	return true;
}

/* error: fail with a value */
static bool
run_error(Multi *multi, Operation *operation, Jsonb **value)
{
	(void) run_put(multi, operation, value);
	return false;
}

/* merge: the operations of a list, as if they stood here */
static bool
run_merge(Multi *multi, Operation *operation, Jsonb **value)
{
	Jsonb	   *list = needed_member(operation, "value");

	chatroom_want_list(list, "value of merge");
	run_operations(multi, list);
	*value = NULL;
	return true;
}

/* Find the function of an operation: name(jsonb) or its bare name. */
static Oid
find_function(const char *text)
{
	Oid			function;
	Oid		   *arguments;
	int			nargs;

	function = chatroom_named_function(strchr(text, '(') != NULL ? text :
									   psprintf("%s(pg_catalog.jsonb)", text),
									   false);
	if (get_func_signature(function, &arguments, &nargs) != JSONBOID ||
		nargs != 1 || arguments[0] != JSONBOID ||
		get_func_prokind(function) != PROKIND_FUNCTION ||
		get_func_retset(function))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function \"%s\" can't be called by multi", text),
				 errhint("It must take one jsonb and return jsonb.")));
	if (!chatroom_is_callable(function))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("function \"%s\" is not allowed to be called by name",
						text),
				 errhint("Its owner, or the database's, may allow it to roles with chatroom.allow_call().")));
	return function;
}

/* call: a function of the results so far */
static bool
run_call(Multi *multi, Operation *operation, Jsonb **value)
{
	char	   *name = chatroom_member_text(operation->json, "function",
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
						operation->name)));
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
		"function", "where", "refs", "permitted", "put", NULL
	};
	char	   *name;
	Jsonb	   *refs;

	chatroom_want_object(operation, "an operation");
	chatroom_only_members(operation, "an operation", members);
	name = chatroom_member_text(operation, "name", "an operation");
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an operation needs a \"name\"")));
	(void) find_operator(chatroom_member_text(operation, "op", "operation"),
						 name);
	if ((refs = chatroom_member_jsonb(operation, "refs")) != NULL)
		chatroom_want_object(refs, "refs");
	return name;
}

/* The operations of a list; names are checked to be unique. */
static List *
read_operations(Multi *multi, Jsonb *list)
{
	JsonbIterator *iterator = JsonbIteratorInit(&list->root);
	JsonbIteratorToken token;
	JsonbValue	element;
	List	   *operations = NIL;

	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		Operation  *operation;

		if (token != WJB_ELEM)
			continue;
		CHECK_FOR_INTERRUPTS();
		if (++multi->noperations > MAX_OPERATIONS)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("more than %d operations", MAX_OPERATIONS)));
		operation = palloc0(sizeof(Operation));
		operation->json = JsonbValueToJsonb(&element);
		operation->name = check_operation(operation->json);
		take_name(multi, operation->name);
		operations = lappend(operations, operation);
	}
	return operations;
}

/* Run one operation; false: it failed, or one that it merged. */
static bool
run_operation(Multi *multi, Operation *operation)
{
	Operator	run = find_operator(chatroom_member_text(operation->json, "op",
														 "operation"),
									operation->name);
	Jsonb	   *value = NULL;
	bool		success;

	chatroom_spi_connect();
	read_refs(multi, operation);
	read_permitted(operation);
	success = run(multi, operation, &value);
	if (!success)
	{
		multi->failed = MemoryContextStrdup(multi->context, operation->name);
		multi->value = keep_value(multi, value);
	}
	else if (value != NULL)
		take_result(multi, operation, value);
	chatroom_spi_finish();
	return multi->failed == NULL;
}

/* Run operations until one fails. */
static void
run_operations(Multi *multi, Jsonb *list)
{
	List	   *operations = read_operations(multi, list);
	ListCell   *lc;

	check_stack_depth();
	foreach(lc, operations)
	{
		CHECK_FOR_INTERRUPTS();
		if (!run_operation(multi, lfirst(lc)))
			return;
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
	multi.context = CurrentMemoryContext;
	make_names(&multi);
	(void) chatroom_subtransaction(run_all_or_nothing, &multi, NULL);
	result = chatroom_keep_jsonb(answer(&multi));
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(result);
}
