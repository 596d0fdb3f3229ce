/*-------------------------------------------------------------------------
 *
 * where.c
 *	  Conditions and orders given as JSON, as SQL.
 *
 * Names of columns are looked up in the table, values are cast to the column's
 * type and become parameters: no text of the caller's becomes part of a
 * statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "base/where.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* What an object of comparisons may have: the words of the number rule. */
static const struct
{
	const char *name;
	int			strategy;
	bool		negate;
}			comparisons[] = {
	{"equal_to", BTEqualStrategyNumber, false},
	{"not_equal_to", BTEqualStrategyNumber, true},
	{"less_than", BTLessStrategyNumber, false},
	{"less_than_or_equal_to", BTLessEqualStrategyNumber, false},
	{"greater_than", BTGreaterStrategyNumber, false},
	{"greater_than_or_equal_to", BTGreaterEqualStrategyNumber, false}
};

static const struct
{
	const char *name;
	const char *sql;
}			directions[] = {
	{"asc", ""},
	{"desc", " DESC"},
	{"asc_nulls_first", " NULLS FIRST"},
	{"asc_nulls_last", " NULLS LAST"},
	{"desc_nulls_first", " DESC NULLS FIRST"},
	{"desc_nulls_last", " DESC NULLS LAST"}
};

/* What conditions are appended to, and from where. */
typedef struct WhereContext
{
	StringInfo	sql;
	TableInfo  *table;
	const char *alias;
	QueryArgs  *args;
	const char *what;			/* for errors: what the JSON is of */
} WhereContext;


/* Add a parameter. */
int
chatroom_add_arg(QueryArgs *args, Oid type, Datum value, bool isnull)
{
	if (args->n == args->allocated)
	{
		int			n = Max(8, args->allocated * 2);

		args->types = args->n ? repalloc(args->types, sizeof(Oid) * n) :
			palloc(sizeof(Oid) * n);
		args->values = args->n ? repalloc(args->values, sizeof(Datum) * n) :
			palloc(sizeof(Datum) * n);
		args->nulls = args->n ? repalloc(args->nulls, n) : palloc(n);
		args->allocated = n;
	}
	args->types[args->n] = type;
	args->values[args->n] = value;
	args->nulls[args->n] = isnull ? 'n' : ' ';
	return ++args->n;
}

/* Append the column, and what comes between it and its value. */
static void
append_column(WhereContext *context, const TableColumn *column)
{
	if (context->alias != NULL)
		appendStringInfo(context->sql, "%s.", context->alias);
	appendStringInfoString(context->sql, column->quoted);
}

/* Cast a value of a condition. */
static Datum
cast_value(WhereContext *context, TableColumn *column,
		   const JsonbValue *value)
{
	Datum		datum;
	volatile CastResult result = CAST_INVALID;
	ValuePins	pins;

	chatroom_pin(&pins, column->writer.needs_settings);
	PG_TRY();
	{
		result = chatroom_cast(&column->caster, value, &datum);
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	if (result != CAST_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value of column \"%s\" in %s",
						column->name, context->what),
				 errdetail("Column \"%s\" has type %s.", column->name,
						   format_type_be(column->typid))));
	return datum;
}

/* Append col = ANY (values); nulls are told apart. */
static void
append_list(WhereContext *context, TableColumn *column,
			const JsonbValue *list, bool negate)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	Datum	   *elements;
	int			n = 0;
	bool		has_null = false;
	int16		typlen;
	bool		typbyval;
	char		typalign;
	Oid			array_type = get_array_type(column->caster.base);
	ArrayType  *array;

	if (list->type != jbvBinary ||
		!JsonContainerIsArray(list->val.binary.data) ||
		!OidIsValid(array_type))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid condition of column \"%s\" in %s",
						column->name, context->what),
				 errhint("\"in\" wants a list of values.")));
	elements = palloc(sizeof(Datum) *
					  Max(JsonContainerSize(list->val.binary.data), 1));
	iterator = JsonbIteratorInit(list->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (value.type == jbvNull)
			has_null = true;
		else
			elements[n++] = cast_value(context, column, &value);
	}
	get_typlenbyvalalign(column->caster.base, &typlen, &typbyval, &typalign);
	array = construct_array(elements, n, column->caster.base, typlen,
							typbyval, typalign);
	appendStringInfoString(context->sql, negate ? "NOT (" : "(");
	append_column(context, column);
	appendStringInfo(context->sql, " %s ANY ($%d)",
					 chatroom_equality(context->table, column),
					 chatroom_add_arg(context->args, array_type,
									  PointerGetDatum(array), false));
	if (has_null)
	{
		appendStringInfoString(context->sql, " OR ");
		append_column(context, column);
		appendStringInfoString(context->sql, " IS NULL");
	}
	appendStringInfoChar(context->sql, ')');
}

/* The comparison operator of a column. */
static char *
comparison(WhereContext *context, const TableColumn *column, int strategy)
{
	TypeCacheEntry *type = lookup_type_cache(column->typid,
											 TYPECACHE_BTREE_OPFAMILY);
	Oid			operator = InvalidOid;

	if (OidIsValid(type->btree_opf))
		operator = get_opfamily_member(type->btree_opf, type->btree_opintype,
									   type->btree_opintype, strategy);
	if (!OidIsValid(operator))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("column \"%s\" of table \"%s\" can't be compared",
						column->name, context->table->name),
				 errdetail("Type %s has no order.",
						   format_type_be(column->typid))));
	return chatroom_quote_operator(operator);
}

/* Append one comparison with a value or null. */
static void
append_comparison(WhereContext *context, TableColumn *column,
				  const JsonbValue *value, int strategy, bool negate)
{
	Datum		datum;

	if (value->type == jbvNull && strategy == BTEqualStrategyNumber)
	{
		append_column(context, column);
		appendStringInfoString(context->sql,
							   negate ? " IS NOT NULL" : " IS NULL");
		return;
	}
	datum = cast_value(context, column, value);
	appendStringInfoString(context->sql, negate ? "NOT (" : "(");
	append_column(context, column);
	appendStringInfo(context->sql, " %s $%d)",
					 strategy == BTEqualStrategyNumber ?
					 chatroom_equality(context->table, column) :
					 comparison(context, column, strategy),
					 chatroom_add_arg(context->args, column->typid, datum,
									  false));
}

/* Append a comparison by its word; false: it is none. */
static bool
append_named_comparison(WhereContext *context, TableColumn *column,
						const JsonbValue *key, const JsonbValue *value)
{
	const char *name = pnstrdup(key->val.string.val, key->val.string.len);

	if (strcmp(name, "in") == 0 || strcmp(name, "not_in") == 0)
		append_list(context, column, value, name[0] == 'n');
	else if (strcmp(name, "not") == 0)
		append_comparison(context, column, value, BTEqualStrategyNumber, true);
	else
	{
		for (int i = 0; i < lengthof(comparisons); i++)
		{
			if (strcmp(name, comparisons[i].name) != 0)
				continue;
			append_comparison(context, column, value,
							  comparisons[i].strategy, comparisons[i].negate);
			return true;
		}
		return false;
	}
	return true;
}

/* Append what an object of comparisons says. */
static void
append_comparisons(WhereContext *context, TableColumn *column,
				   JsonbContainer *object)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;
	bool		first = true;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		if (!first)
			appendStringInfoString(context->sql, " AND ");
		first = false;
		if (!append_named_comparison(context, column, &key, &value))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown comparison \"%s\" of column \"%s\" in %s",
							pnstrdup(key.val.string.val, key.val.string.len),
							column->name, context->what),
					 errhint("Comparisons are in, not_in, not, equal_to, not_equal_to, less_than, less_than_or_equal_to, greater_than and greater_than_or_equal_to.")));
	}
	if (first)
		appendStringInfoString(context->sql, "true");
}

/* Append a condition. */
void
chatroom_append_where(StringInfo sql, TableInfo *table, const char *alias,
					  Jsonb *where, QueryArgs *args, const char *what)
{
	WhereContext context = {sql, table, alias, args, what};
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;
	bool		first = true;

	chatroom_want_object(where, what);
	iterator = JsonbIteratorInit(&where->root);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		TableColumn *column;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		column = chatroom_named_column(table, key.val.string.val,
									   key.val.string.len, what);
		if (!first)
			appendStringInfoString(sql, " AND ");
		first = false;
		if (value.type == jbvBinary &&
			JsonContainerIsArray(value.val.binary.data))
			append_list(&context, column, &value, false);
		else if (value.type == jbvBinary)
			append_comparisons(&context, column, value.val.binary.data);
		else
			append_comparison(&context, column, &value,
							  BTEqualStrategyNumber, false);
	}
	if (first)
		appendStringInfoString(sql, "true");
}

/* Append one column of an order. */
static void
append_order_column(StringInfo sql, TableInfo *table, const char *alias,
					const JsonbValue *name, const char *direction,
					const char *what)
{
	TableColumn *column;

	if (name->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a list of columns", what),
				 errhint("An element is a column's name, or an object like {\"desc\": \"inserted_at\"}.")));
	column = chatroom_named_column(table, name->val.string.val,
								   name->val.string.len, what);
	if (alias != NULL)
		appendStringInfo(sql, "%s.", alias);
	appendStringInfo(sql, "%s%s, ", column->quoted, direction);
}

/* Append the columns of an object of an order. */
static void
append_order_object(StringInfo sql, TableInfo *table, const char *alias,
					JsonbContainer *object, const char *what)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		const char *direction = NULL;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		for (int i = 0; i < lengthof(directions); i++)
			if (strlen(directions[i].name) == key.val.string.len &&
				memcmp(directions[i].name, key.val.string.val,
					   key.val.string.len) == 0)
				direction = directions[i].sql;
		if (direction == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown direction \"%s\" in %s",
							pnstrdup(key.val.string.val, key.val.string.len),
							what),
					 errhint("Directions are asc and desc, also with _nulls_first or _nulls_last.")));
		append_order_column(sql, table, alias, &value, direction, what);
	}
}

/* Append ORDER BY: what is told, and then by key. */
void
chatroom_append_order(StringInfo sql, TableInfo *table, const char *alias,
					  Jsonb *order, const char *what)
{
	int			start = sql->len;
	int			empty;

	appendStringInfoString(sql, " ORDER BY ");
	empty = sql->len;
	if (order != NULL)
	{
		JsonbIterator *iterator;
		JsonbIteratorToken token;
		JsonbValue	value;

		chatroom_want_list(order, what);
		iterator = JsonbIteratorInit(&order->root);
		while ((token = JsonbIteratorNext(&iterator, &value,
										  true)) != WJB_DONE)
		{
			if (token != WJB_ELEM)
				continue;
			if (value.type == jbvBinary &&
				JsonContainerIsObject(value.val.binary.data))
				append_order_object(sql, table, alias, value.val.binary.data,
									what);
			else
				append_order_column(sql, table, alias, &value, "", what);
		}
	}
	for (int i = 0; i < table->nkeys; i++)
	{
		if (alias != NULL)
			appendStringInfo(sql, "%s.", alias);
		appendStringInfo(sql, "%s, ",
						 table->columns[table->keys[i] - 1].quoted);
	}

	/* no comma after the last, and no ORDER BY nothing */
	sql->len = sql->len > empty ? sql->len - 2 : start;
	sql->data[sql->len] = '\0';
}
