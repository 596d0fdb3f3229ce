/*-------------------------------------------------------------------------
 *
 * where.c
 *	  Conditions and orders given as JSON.
 *
 * Names of columns are looked up in the table, values are cast to the column's
 * type.  They become SQL, in which the values are parameters, so that no text
 * of the caller's becomes part of a statement; or they are applied to rows
 * that are JSON objects, with the same operators, and so with the same result.
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
#include "utils/sortsupport.h"
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
	bool		descending;
	bool		nulls_first;
	const char *sql;
}			directions[] = {
	{"asc", false, false, ""},
	{"desc", true, true, " DESC"},
	{"asc_nulls_first", false, true, " NULLS FIRST"},
	{"asc_nulls_last", false, false, " NULLS LAST"},
	{"desc_nulls_first", true, true, " DESC NULLS FIRST"},
	{"desc_nulls_last", true, false, " DESC NULLS LAST"}
};

/* What one column must be like. */
typedef enum TermKind
{
	TERM_NULL,					/* null */
	TERM_LIST,					/* one of some values, or null with them */
	TERM_COMPARE
} TermKind;

typedef struct WhereTerm
{
	TermKind	kind;
	TableColumn *column;
	bool		negate;
	Oid			operator;		/* LIST: the equality */
	FmgrInfo	function;		/* of the operator; filled in when needed */
	int			n;				/* LIST: how many values; else 1 */
	Datum	   *values;
	bool		has_null;		/* LIST: null is one of them */
} WhereTerm;

struct RowFilter
{
	TableInfo  *table;
	List	   *terms;			/* all of them must hold */
};

typedef struct OrderTerm
{
	TableColumn *column;
	const char *sql;			/* the direction */
	SortSupportData sort;		/* filled in when needed */
	bool		descending;
	bool		nulls_first;
} OrderTerm;

struct RowOrder
{
	TableInfo  *table;
	List	   *terms;
};


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

/* ------------------------------------------------------ reading conditions */

/* Cast a value, with the settings pinned that this depends on. */
static CastResult
cast_pinned(TableColumn *column, const JsonbValue *value, Datum *datum)
{
	volatile CastResult result = CAST_INVALID;
	ValuePins	pins;

	chatroom_pin(&pins, column->writer.needs_settings);
	PG_TRY();
	{
		result = chatroom_cast(&column->caster, value, datum);
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	return result;
}

/* Cast a value of a condition. */
static Datum
cast_value(TableColumn *column, const JsonbValue *value, const char *what)
{
	Datum		datum;

	if (cast_pinned(column, value, &datum) != CAST_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value of column \"%s\" in %s",
						column->name, what),
				 errdetail("Column \"%s\" has type %s.", column->name,
						   format_type_be(column->typid))));
	return datum;
}

/* A term about a column, yet without values. */
static WhereTerm *
make_term(RowFilter *filter, TermKind kind, TableColumn *column, bool negate)
{
	WhereTerm  *term = palloc0(sizeof(WhereTerm));

	term->kind = kind;
	term->column = column;
	term->negate = negate;
	filter->terms = lappend(filter->terms, term);
	return term;
}

/* Read a list of values. */
static void
read_list(RowFilter *filter, TableColumn *column, const JsonbValue *list,
		  bool negate, const char *what)
{
	WhereTerm  *term = make_term(filter, TERM_LIST, column, negate);
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (list->type != jbvBinary ||
		!JsonContainerIsArray(list->val.binary.data) ||
		!OidIsValid(get_array_type(column->caster.base)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid condition of column \"%s\" in %s",
						column->name, what),
				 errhint("\"in\" wants a list of values.")));
	chatroom_equality(filter->table, column);
	term->operator = column->equal;
	term->values = palloc(sizeof(Datum) *
						  Max(JsonContainerSize(list->val.binary.data), 1));
	iterator = JsonbIteratorInit(list->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (value.type == jbvNull)
			term->has_null = true;
		else
			term->values[term->n++] = cast_value(column, &value, what);
	}
}

/* The comparison operator of a column. */
static Oid
comparison(const TableInfo *table, const TableColumn *column, int strategy)
{
	TypeCacheEntry *type;
	Oid			operator = InvalidOid;

	if (strategy == BTEqualStrategyNumber)
	{
		chatroom_equality(table, column);
		return column->equal;
	}
	type = lookup_type_cache(column->typid, TYPECACHE_BTREE_OPFAMILY);
	if (OidIsValid(type->btree_opf))
		operator = get_opfamily_member(type->btree_opf, type->btree_opintype,
									   type->btree_opintype, strategy);
	if (!OidIsValid(operator))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("column \"%s\" of table \"%s\" can't be compared",
						column->name, table->name),
				 errdetail("Type %s has no order.",
						   format_type_be(column->typid))));
	return operator;
}

/* Read one comparison with a value or null. */
static void
read_comparison(RowFilter *filter, TableColumn *column,
				const JsonbValue *value, int strategy, bool negate,
				const char *what)
{
	WhereTerm  *term;

	if (value->type == jbvNull && strategy == BTEqualStrategyNumber)
	{
		make_term(filter, TERM_NULL, column, negate);
		return;
	}
	term = make_term(filter, TERM_COMPARE, column, negate);
	term->n = 1;
	term->values = palloc(sizeof(Datum));
	term->values[0] = cast_value(column, value, what);
	term->operator = comparison(filter->table, column, strategy);
}

/* Read a comparison by its word; false: it is none. */
static bool
read_named_comparison(RowFilter *filter, TableColumn *column,
					  const JsonbValue *key, const JsonbValue *value,
					  const char *what)
{
	const char *name = pnstrdup(key->val.string.val, key->val.string.len);

	if (strcmp(name, "in") == 0 || strcmp(name, "not_in") == 0)
		read_list(filter, column, value, name[0] == 'n', what);
	else if (strcmp(name, "not") == 0)
		read_comparison(filter, column, value, BTEqualStrategyNumber, true,
						what);
	else
	{
		for (int i = 0; i < lengthof(comparisons); i++)
		{
			if (strcmp(name, comparisons[i].name) != 0)
				continue;
			read_comparison(filter, column, value, comparisons[i].strategy,
							comparisons[i].negate, what);
			return true;
		}
		return false;
	}
	return true;
}

/* Read an object of comparisons. */
static void
read_comparisons(RowFilter *filter, TableColumn *column,
				 JsonbContainer *object, const char *what)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		if (!read_named_comparison(filter, column, &key, &value, what))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown comparison \"%s\" of column \"%s\" in %s",
							pnstrdup(key.val.string.val, key.val.string.len),
							column->name, what),
					 errhint("Comparisons are in, not_in, not, equal_to, not_equal_to, less_than, less_than_or_equal_to, greater_than and greater_than_or_equal_to.")));
	}
}

/* Read a condition. */
RowFilter *
chatroom_make_filter(TableInfo *table, Jsonb *where, const char *what)
{
	RowFilter  *filter = palloc0(sizeof(RowFilter));
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	filter->table = table;
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
		if (value.type == jbvBinary &&
			JsonContainerIsArray(value.val.binary.data))
			read_list(filter, column, &value, false, what);
		else if (value.type == jbvBinary)
			read_comparisons(filter, column, value.val.binary.data, what);
		else
			read_comparison(filter, column, &value, BTEqualStrategyNumber,
							false, what);
	}
	return filter;
}

/* ------------------------------------------------------ conditions as SQL */

/* Append a column. */
static void
append_column(StringInfo sql, const char *alias, const TableColumn *column)
{
	if (alias != NULL)
		appendStringInfo(sql, "%s.", alias);
	appendStringInfoString(sql, column->quoted);
}

/* Append col = ANY (values); nulls are told apart. */
static void
append_list(StringInfo sql, const char *alias, const WhereTerm *term,
			QueryArgs *args)
{
	Oid			base = term->column->caster.base;
	int16		typlen;
	bool		typbyval;
	char		typalign;
	ArrayType  *array;

	get_typlenbyvalalign(base, &typlen, &typbyval, &typalign);
	array = construct_array(term->values, term->n, base, typlen, typbyval,
							typalign);
	append_column(sql, alias, term->column);
	appendStringInfo(sql, " %s ANY ($%d)",
					 chatroom_quote_operator(term->operator),
					 chatroom_add_arg(args, get_array_type(base),
									  PointerGetDatum(array), false));
	if (term->has_null)
	{
		appendStringInfoString(sql, " OR ");
		append_column(sql, alias, term->column);
		appendStringInfoString(sql, " IS NULL");
	}
}

/* Append one term. */
static void
append_term(StringInfo sql, const char *alias, const WhereTerm *term,
			QueryArgs *args)
{
	if (term->kind == TERM_NULL)
	{
		append_column(sql, alias, term->column);
		appendStringInfoString(sql, term->negate ? " IS NOT NULL" :
							   " IS NULL");
		return;
	}
	appendStringInfoString(sql, term->negate ? "NOT (" : "(");
	if (term->kind == TERM_LIST)
		append_list(sql, alias, term, args);
	else
	{
		append_column(sql, alias, term->column);
		appendStringInfo(sql, " %s $%d",
						 chatroom_quote_operator(term->operator),
						 chatroom_add_arg(args, term->column->typid,
										  term->values[0], false));
	}
	appendStringInfoChar(sql, ')');
}

/* Append a condition. */
void
chatroom_append_filter(StringInfo sql, const RowFilter *filter,
					   const char *alias, QueryArgs *args)
{
	ListCell   *lc;

	foreach(lc, filter->terms)
	{
		if (lc != list_head(filter->terms))
			appendStringInfoString(sql, " AND ");
		append_term(sql, alias, lfirst(lc), args);
	}
	if (filter->terms == NIL)
		appendStringInfoString(sql, "true");
}

/* Append a condition that is JSON. */
void
chatroom_append_where(StringInfo sql, TableInfo *table, const char *alias,
					  Jsonb *where, QueryArgs *args, const char *what)
{
	chatroom_append_filter(sql, chatroom_make_filter(table, where, what),
						   alias, args);
}

/* ----------------------------------------------------- conditions on rows */

/* A column's value in a row; CAST_INVALID: the row has none that fits. */
static CastResult
row_value(const JsonRow *row, TableColumn *column, Datum *datum)
{
	JsonbValue	value;

	if (!chatroom_row_member(row, column->name, column->namelen, &value))
		return CAST_INVALID;
	if (value.type == jbvNull)
		return CAST_NULL;
	return cast_pinned(column, &value, datum);
}

/* A column's member of a row; false: it has none. */
bool
chatroom_row_member(const JsonRow *row, const char *name, int len,
					JsonbValue *value)
{
	return (row->image != NULL &&
			getKeyJsonValueFromContainer(row->image, name, len, value)) ||
		(row->object != NULL &&
		 getKeyJsonValueFromContainer(row->object, name, len, value));
}

/* Compare a row's value with one of a term's. */
static bool
term_compare(WhereTerm *term, const TableInfo *table, Datum datum, int i)
{
	Oid			collation;

	collation = TupleDescAttr(table->tupdesc,
							  term->column->attnum - 1)->attcollation;
	if (!OidIsValid(term->function.fn_oid))
		fmgr_info(get_opcode(term->operator), &term->function);
	return DatumGetBool(FunctionCall2Coll(&term->function, collation, datum,
										  term->values[i]));
}

/* Does a row meet a term?  Unknown is no, as after WHERE. */
static bool
term_matches(WhereTerm *term, const TableInfo *table, const JsonRow *row)
{
	Datum		datum;
	CastResult	result = row_value(row, term->column, &datum);
	bool		found = false;

	if (term->kind == TERM_NULL)
		return (result == CAST_NULL) != term->negate;
	if (result != CAST_OK && result != CAST_NULL)
		return false;
	if (result == CAST_NULL)
	{
		if (term->kind != TERM_LIST)
			return false;
		if (term->has_null)
			return !term->negate;
		return term->n == 0 && term->negate;
	}
	for (int i = 0; i < term->n && !found; i++)
		found = term_compare(term, table, datum, i);
	return found != term->negate;
}

/* Does a row meet a condition?  NULL: it does. */
bool
chatroom_filter_matches(const RowFilter *filter, const JsonRow *row)
{
	ListCell   *lc;

	if (filter == NULL)
		return true;
	foreach(lc, filter->terms)
		if (!term_matches(lfirst(lc), filter->table, row))
			return false;
	return true;
}

/* The columns that a condition is about. */
Bitmapset *
chatroom_filter_columns(const RowFilter *filter, Bitmapset *columns)
{
	ListCell   *lc;

	if (filter == NULL)
		return columns;
	foreach(lc, filter->terms)
	{
		WhereTerm  *term = lfirst(lc);

		columns = bms_add_member(columns, term->column->attnum);
	}
	return columns;
}

/* The values that a condition allows of a column; -1: not just these. */
int
chatroom_filter_values(const RowFilter *filter, AttrNumber attnum,
					   Datum **values)
{
	ListCell   *lc;

	foreach(lc, filter->terms)
	{
		WhereTerm  *term = lfirst(lc);

		if (term->column->attnum != attnum || term->negate ||
			term->kind == TERM_NULL || term->has_null ||
			term->operator != term->column->equal)
			continue;
		*values = term->values;
		return term->n;
	}
	return -1;
}

/* ----------------------------------------------------------------- orders */

/* Read one column of an order. */
static void
read_order_column(RowOrder *order, const JsonbValue *name, int direction,
				  const char *what)
{
	OrderTerm  *term = palloc0(sizeof(OrderTerm));

	if (name->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a list of columns", what),
				 errhint("An element is a column's name, or an object like {\"desc\": \"inserted_at\"}.")));
	term->column = chatroom_named_column(order->table, name->val.string.val,
										 name->val.string.len, what);
	term->sql = directions[direction].sql;
	term->descending = directions[direction].descending;
	term->nulls_first = directions[direction].nulls_first;
	order->terms = lappend(order->terms, term);
}

/* Read the columns of an object of an order. */
static void
read_order_object(RowOrder *order, JsonbContainer *object, const char *what)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		int			direction = -1;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		for (int i = 0; i < lengthof(directions); i++)
			if (strlen(directions[i].name) == key.val.string.len &&
				memcmp(directions[i].name, key.val.string.val,
					   key.val.string.len) == 0)
				direction = i;
		if (direction < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown direction \"%s\" in %s",
							pnstrdup(key.val.string.val, key.val.string.len),
							what),
					 errhint("Directions are asc and desc, also with _nulls_first or _nulls_last.")));
		read_order_column(order, &value, direction, what);
	}
}

/* Read an order: what a list (or NULL) tells, and then by key. */
RowOrder *
chatroom_make_order(TableInfo *table, Jsonb *json, const char *what)
{
	RowOrder   *order = palloc0(sizeof(RowOrder));
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	order->table = table;
	if (json != NULL)
	{
		chatroom_want_list(json, what);
		iterator = JsonbIteratorInit(&json->root);
		while ((token = JsonbIteratorNext(&iterator, &value,
										  true)) != WJB_DONE)
		{
			if (token != WJB_ELEM)
				continue;
			if (value.type == jbvBinary &&
				JsonContainerIsObject(value.val.binary.data))
				read_order_object(order, value.val.binary.data, what);
			else
				read_order_column(order, &value, 0, what);
		}
	}
	for (int i = 0; i < table->nkeys; i++)
	{
		OrderTerm  *term = palloc0(sizeof(OrderTerm));

		term->column = &table->columns[table->keys[i] - 1];
		term->sql = "";
		order->terms = lappend(order->terms, term);
	}
	return order;
}

/* Append ORDER BY an order. */
void
chatroom_append_sort(StringInfo sql, const RowOrder *order, const char *alias)
{
	ListCell   *lc;

	foreach(lc, order->terms)
	{
		OrderTerm  *term = lfirst(lc);

		appendStringInfoString(sql, lc == list_head(order->terms) ?
							   " ORDER BY " : ", ");
		append_column(sql, alias, term->column);
		appendStringInfoString(sql, term->sql);
	}
}

/* Append ORDER BY what is told, and then by key. */
void
chatroom_append_order(StringInfo sql, TableInfo *table, const char *alias,
					  Jsonb *json, const char *what)
{
	chatroom_append_sort(sql, chatroom_make_order(table, json, what), alias);
}

/* The columns that an order is by. */
Bitmapset *
chatroom_order_columns(const RowOrder *order, Bitmapset *columns)
{
	ListCell   *lc;

	foreach(lc, order->terms)
	{
		OrderTerm  *term = lfirst(lc);

		columns = bms_add_member(columns, term->column->attnum);
	}
	return columns;
}

/* Prepare to compare by a column. */
static void
prepare_sort(OrderTerm *term, const TableInfo *table)
{
	TypeCacheEntry *type;
	Form_pg_attribute attribute;
	Oid			operator;

	type = lookup_type_cache(term->column->typid,
							 TYPECACHE_LT_OPR | TYPECACHE_GT_OPR);
	operator = term->descending ? type->gt_opr : type->lt_opr;
	if (!OidIsValid(operator))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("column \"%s\" of table \"%s\" can't be compared",
						term->column->name, table->name),
				 errdetail("Type %s has no order.",
						   format_type_be(term->column->typid))));
	attribute = TupleDescAttr(table->tupdesc, term->column->attnum - 1);
	term->sort.ssup_cxt = CurrentMemoryContext;
	term->sort.ssup_collation = attribute->attcollation;
	term->sort.ssup_nulls_first = term->nulls_first;
	PrepareSortSupportFromOrderingOp(operator, &term->sort);
}

/* A value to sort by. */
static Datum
sort_value(const JsonRow *row, TableColumn *column, bool *isnull)
{
	Datum		datum = (Datum) 0;
	CastResult	result = row_value(row, column, &datum);

	if (result != CAST_OK && result != CAST_NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value has an object without \"%s\"",
						column->name),
				 errdetail("Its list is ordered by this column.")));
	*isnull = result == CAST_NULL;
	return datum;
}

/* Which of two rows comes first?  Negative: a, positive: b. */
int
chatroom_compare_rows(RowOrder *order, const JsonRow *a, const JsonRow *b)
{
	ListCell   *lc;

	foreach(lc, order->terms)
	{
		OrderTerm  *term = lfirst(lc);
		Datum		left;
		Datum		right;
		bool		left_null;
		bool		right_null;
		int			result;

		if (term->sort.comparator == NULL)
			prepare_sort(term, order->table);
		left = sort_value(a, term->column, &left_null);
		right = sort_value(b, term->column, &right_null);
		result = ApplySortComparator(left, left_null, right, right_null,
									 &term->sort);
		if (result != 0)
			return result;
	}
	return 0;
}
