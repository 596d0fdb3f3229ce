/*-------------------------------------------------------------------------
 *
 * table.c
 *	  What is known of a table.
 *
 * Casting, comparing and showing values takes much that the catalog tells: it
 * is put together once per backend and table, and again after the table
 * changed.  With it are kept the plans of the statements that insert, read and
 * change its rows, by their texts.  All names in these texts come from the
 * catalog and are quoted, operators are qualified: so search_path has no say.
 *
 * An invalidated entry lives on until the transaction ends, because somebody
 * may be in the middle of using it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "base/hash.h"
#include "base/invalidation.h"
#include "base/plans.h"
#include "base/spelling.h"
#include "base/table.h"
#include "base/watches.h"
#include "catalog/namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* Plans kept of one table: more are statements of all kinds of columns. */
#define MAX_PLANS	200

/* Of one text there may be a plan of each kind. */
typedef enum PlanKind
{
	PLAN_PLAIN,
	PLAN_GENERIC,				/* never for particular values */
	PLAN_EXEMPT					/* the same, without policies in it */
} PlanKind;

typedef struct TablePlan
{
	struct TablePlan *next;
	uint32		hash;
	PlanKind	kind;
	char	   *sql;
	SPIPlanPtr	plan;
	PlanFolds	folds;
} TablePlan;

/* An entry of the hash table. */
typedef struct TableEntry
{
	Oid			relid;
	TableInfo  *table;
} TableEntry;

static HTAB *tables = NULL;

/* Of tables and schemas: one that comes during reading must not get lost. */
static uint64 invalidations = 0;

/* Entries that are replaced, but may still be used in this transaction. */
static List *replaced = NIL;
static List *retired = NIL;		/* memory contexts, the same */


/* ----------------------------------------------------------- life cycle */

/* A table changed; invalid relid: perhaps any, or a schema was renamed. */
static void
invalidate_table(Oid relid)
{
	HASH_SEQ_STATUS status;
	TableEntry *entry;

	invalidations++;
	hash_seq_init(&status, tables);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (!OidIsValid(relid) || entry->relid == relid)
			entry->table->valid = false;

		/* an association involves other tables */
		entry->table->assocs_valid = false;
	}
}

/* Free an entry and its plans. */
static void
free_table(TableInfo *table)
{
	for (TablePlan *plan = table->plans; plan != NULL; plan = plan->next)
		(void) SPI_freeplan(plan->plan);
	MemoryContextDelete(table->context);
}

/* Nobody uses what was replaced any more. */
static void
end_of_transaction(XactEvent event, void *arg)
{
	ListCell   *lc;

	if ((replaced == NIL && retired == NIL) ||
		(event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		 event != XACT_EVENT_PREPARE))
		return;
	foreach(lc, replaced)
		free_table(lfirst(lc));
	list_free(replaced);
	replaced = NIL;
	foreach(lc, retired)
		MemoryContextDelete(lfirst(lc));
	list_free(retired);
	retired = NIL;
}

/* Free something that is replaced when the transaction ends. */
static void
retire(MemoryContext context)
{
	MemoryContext caller;

	if (context == NULL)
		return;
	MemoryContextSetParent(context, CacheMemoryContext);
	caller = MemoryContextSwitchTo(TopMemoryContext);
	retired = lappend(retired, context);
	MemoryContextSwitchTo(caller);
}

/* Make the hash table. */
static void
make_tables(void)
{
	tables = chatroom_make_hash("chatroom tables", TopMemoryContext, 32,
								sizeof(Oid), sizeof(TableEntry));
	chatroom_on_relation_change(invalidate_table);
	chatroom_on_catalog_change(NAMESPACEOID, invalidate_table);
	RegisterXactCallback(end_of_transaction, NULL);
}

/* ------------------------------------------------------------- building */

/* The default of a column: known beforehand, or not. */
static void
read_default(TableInfo *table, TableColumn *column, Relation relation)
{
	Node	   *expr;
	Const	   *constant;

	column->default_null = true;
	if (column->generated)
		return;
	expr = build_column_default(relation, column->attnum);
	if (expr == NULL)
		return;
	column->has_default = true;
	if (contain_volatile_functions(expr))
	{
		column->volatile_default = true;
		return;
	}
	expr = (Node *) expression_planner((Expr *) expr);
	if (!IsA(expr, Const))
	{
		column->default_expr = (Expr *) copyObject(expr);
		return;
	}
	constant = (Const *) expr;
	column->default_null = constant->constisnull;
	if (!constant->constisnull)
		column->default_value = datumCopy(constant->constvalue,
										  column->typbyval, column->typlen);
}

/* Are values of two columns spelled alike when they are equal? */
bool
chatroom_columns_alike(const TableColumn *column, const TableColumn *other)
{
	return column->one_spelling && other->one_spelling &&
		chatroom_same_spelling(column->typid, column->typmod, other->typid,
							   other->typmod);
}

/* Fill in what is known of a column. */
static void
read_column(TableInfo *table, TableColumn *column,
			Form_pg_attribute attribute, Relation relation)
{
	TypeCacheEntry *type;

	column->attnum = attribute->attnum;
	column->dropped = attribute->attisdropped;
	if (column->dropped)
		return;
	column->name = pstrdup(NameStr(attribute->attname));
	column->namelen = strlen(column->name);
	column->quoted = pstrdup(quote_identifier(column->name));
	column->typid = attribute->atttypid;
	column->typmod = attribute->atttypmod;
	column->typlen = attribute->attlen;
	column->typbyval = attribute->attbyval;
	column->one_spelling =
		chatroom_one_spelling(attribute->atttypid, attribute->atttypmod,
							  attribute->attcollation);
	column->generated = attribute->attgenerated != '\0';
	column->identity_always =
		attribute->attidentity == ATTRIBUTE_IDENTITY_ALWAYS;
	read_default(table, column, relation);
	type = lookup_type_cache(column->typid, TYPECACHE_EQ_OPR);
	column->equal = type->eq_opr;
	chatroom_prepare_cast(&column->caster, column->typid, column->typmod,
						  table->context);
	chatroom_value_json(&column->writer, column->typid, false,
						table->context);
	if (column->writer.needs_settings)
		table->needs_settings = true;
	table->all = bms_add_member(table->all, column->attnum);
}

/* Are there row triggers BEFORE that may change a row, but for ours? */
static bool
has_other_triggers(Relation relation)
{
	Oid			validate = chatroom_trigger_function("validate");
	TriggerDesc *triggers = relation->trigdesc;

	/* looking the function up may have made the triggers anew */
	if (triggers == NULL)
		return false;
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_ROW(trigger->tgtype) &&
			!TRIGGER_FOR_AFTER(trigger->tgtype) &&
			trigger->tgenabled != TRIGGER_DISABLED &&
			trigger->tgfoid != validate)
			return true;
	}
	return false;
}

/* The column of a name that holds a time; 0: there is none. */
static AttrNumber
time_column(const TableInfo *table, const char *name)
{
	TableColumn *column = chatroom_column(table, name, strlen(name));

	if (column == NULL || column->generated)
		return 0;
	switch (column->caster.base)
	{
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return column->attnum;
		default:
			return 0;
	}
}

/* Sort the columns as objects have them. */
static void
sort_columns(TableInfo *table)
{
	table->sorted = palloc(sizeof(ShapeEntry) * Max(table->natts, 1));
	for (int i = 0; i < table->natts; i++)
	{
		ShapeEntry *entry = &table->sorted[table->nsorted];

		if (table->columns[i].dropped)
			continue;
		entry->key.name = table->columns[i].name;
		entry->key.namelen = table->columns[i].namelen;
		entry->column = i;
		entry->extra = -1;
		table->nsorted++;
	}
	chatroom_sort_keys(table->sorted, table->nsorted, sizeof(ShapeEntry));
}

/* Put together what is known of a table. */
static TableInfo *
build_table(Relation relation)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "chatroom table",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	TableInfo  *table = palloc0(sizeof(TableInfo));
	Oid			schema = RelationGetNamespace(relation);
	ListCell   *lc;

	table->context = context;
	table->relid = RelationGetRelid(relation);
	table->relkind = relation->rd_rel->relkind;
	table->name = pstrdup(RelationGetRelationName(relation));
	table->quoted = quote_qualified_identifier(get_namespace_name(schema),
											   table->name);
	table->tupdesc = CreateTupleDescCopyConstr(RelationGetDescr(relation));
	table->natts = table->tupdesc->natts;
	table->columns = palloc0(sizeof(TableColumn) * table->natts);
	for (int i = 0; i < table->natts; i++)
		read_column(table, &table->columns[i],
					TupleDescAttr(table->tupdesc, i), relation);
	sort_columns(table);
	foreach(lc, chatroom_key_columns(table->relid))
		table->keys[table->nkeys++] = lfirst_int(lc);
	table->inserted_at = time_column(table, "inserted_at");
	table->updated_at = time_column(table, "updated_at");
	table->other_triggers = has_other_triggers(relation);
	MemoryContextSwitchTo(caller);
	return table;
}

/* What is known of a table. */
TableInfo *
chatroom_table(Relation relation)
{
	Oid			relid = RelationGetRelid(relation);
	TableEntry *entry;
	TableInfo  *table;
	MemoryContext caller;
	uint64		before;
	bool		found;

	if (tables == NULL)
		make_tables();
	entry = hash_search(tables, &relid, HASH_FIND, NULL);
	if (entry != NULL && entry->table->valid)
		return entry->table;

	/* what may fail comes first */
	before = invalidations;
	table = build_table(relation);
	table->valid = before == invalidations;
	caller = MemoryContextSwitchTo(TopMemoryContext);
	entry = hash_search(tables, &relid, HASH_FIND, NULL);
	if (entry != NULL)
		replaced = lappend(replaced, entry->table);
	entry = hash_search(tables, &relid, HASH_ENTER, &found);
	MemoryContextSetParent(table->context, CacheMemoryContext);
	entry->table = table;
	MemoryContextSwitchTo(caller);
	return table;
}

/* The same by oid. */
TableInfo *
chatroom_open_table(Oid relid)
{
	Relation	relation = relation_open(relid, AccessShareLock);
	TableInfo  *table = chatroom_table(relation);

	relation_close(relation, NoLock);
	return table;
}

/* -------------------------------------------------------------- columns */

/* A column by its name, or NULL. */
TableColumn *
chatroom_column(const TableInfo *table, const char *name, int len)
{
	for (int i = 0; i < table->natts; i++)
	{
		TableColumn *column = &table->columns[i];

		if (!column->dropped && column->namelen == len &&
			memcmp(column->name, name, len) == 0)
			return column;
	}
	return NULL;
}

/* The same, with an error that says where the name is from. */
TableColumn *
chatroom_named_column(const TableInfo *table, const char *name, int len,
					  const char *argument)
{
	TableColumn *column = chatroom_column(table, name, len);

	if (column == NULL)
		chatroom_no_column(pnstrdup(name, len), table->name, argument);
	return column;
}

/* The columns that the current user may select. */
Bitmapset *
chatroom_readable_columns(const TableInfo *table)
{
	Oid			user = GetUserId();
	Bitmapset  *columns = NULL;

	if (pg_class_aclcheck(table->relid, user, ACL_SELECT) == ACLCHECK_OK)
		return table->all;
	for (int i = 0; i < table->natts; i++)
		if (!table->columns[i].dropped &&
			pg_attribute_aclcheck(table->relid, i + 1, user,
								  ACL_SELECT) == ACLCHECK_OK)
			columns = bms_add_member(columns, i + 1);
	return columns;
}

/* Append the names of columns. */
void
chatroom_append_columns(StringInfo buf, const TableInfo *table,
						const Bitmapset *columns, const char *alias)
{
	int			attnum = -1;
	bool		first = true;

	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		if (!first)
			appendStringInfoString(buf, ", ");
		if (alias != NULL)
		{
			appendStringInfoString(buf, alias);
			appendStringInfoChar(buf, '.');
		}
		appendStringInfoString(buf, table->columns[attnum - 1].quoted);
		first = false;
	}
}

/* An operator as it can be written anywhere; see table.h. */
char *
chatroom_quote_operator(Oid operator)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char	   *schema;
	char	   *text;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	schema = get_namespace_name(form->oprnamespace);
	if (schema == NULL)
		elog(ERROR, "cache lookup failed for schema %u", form->oprnamespace);
	text = psprintf("OPERATOR(%s.%s)", quote_identifier(schema),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return text;
}

/* The equality of a column, for SQL. */
const char *
chatroom_equality(const TableInfo *table, const TableColumn *column)
{
	if (!OidIsValid(column->equal))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("column \"%s\" of table \"%s\" can't be compared",
						column->name, table->name),
				 errdetail("Type %s has no equality operator.",
						   format_type_be(column->typid))));
	return chatroom_quote_operator(column->equal);
}

/* Are two values of a column the same? */
bool
chatroom_same_column_value(TableColumn *column, Datum a, bool anull, Datum b,
					bool bnull)
{
	if (anull || bnull)
		return anull && bnull;

	/* what is bitwise the same may be told apart still, but not by anyone */
	if (datumIsEqual(a, b, column->typbyval, column->typlen))
		return true;

	/* numbers of other scale, text in other case (citext) are changes */
	if (column->caster.base == NUMERICOID)
		return DatumGetBool(DirectFunctionCall2(numeric_eq, a, b));
	return datum_image_eq(a, b, column->typbyval, column->typlen);
}

/* A hash of a value: those that are the same have the same. */
uint32
chatroom_hash_column_value(const TableColumn *column, Datum value,
						   bool isnull)
{
	if (isnull)
		return 0;
	if (column->caster.base == NUMERICOID)
		return DatumGetUInt32(DirectFunctionCall1(hash_numeric, value));
	return datum_image_hash(value, column->typbyval, column->typlen);
}

/* ---------------------------------------------------------- associations */

/* An association of a table by its name. */
Assoc *
chatroom_table_assoc(TableInfo *table, const char *name, bool missing_ok)
{
	if (!table->assocs_valid)
	{
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
													  "chatroom associations",
													  ALLOCSET_SMALL_SIZES);
		MemoryContext caller = MemoryContextSwitchTo(context);
		uint64		before = invalidations;
		List	   *assocs;

		assocs = chatroom_associations(table->relid);
		MemoryContextSwitchTo(caller);
		retire(table->assocs_context);
		MemoryContextSetParent(context, table->context);
		table->assocs_context = context;
		table->assocs = assocs;
		table->assocs_valid = before == invalidations;
	}
	return chatroom_choose_association(table->relid, table->assocs, name,
									   missing_ok);
}

/* The name to look an association up by: the exact one first. */
char *
chatroom_path_name(TableInfo *table, const PathName *name)
{
	if (strcmp(name->exact, name->folded) == 0 ||
		chatroom_table_assoc(table, name->exact, true) == NULL)
		return name->folded;
	return name->exact;
}

/* One whose rows objects can have as a member of this name. */
Assoc *
chatroom_loadable_assoc(TableInfo *table, const char *name)
{
	if (chatroom_column(table, name, strlen(name)) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("association \"%s\" of table \"%s\" can't be loaded by this name",
						name, table->name),
				 errdetail("Rows have a column of that name."),
				 errhint("View chatroom.assocs tells the associations' names; chatroom.add_assoc() gives them others.")));
	return chatroom_table_assoc(table, name, false);
}

/* ----------------------------------------------------------------- plans */

/* The plan of a statement. */
static SPIPlanPtr
find_plan(TableInfo *table, const char *sql, int nargs, Oid *types,
		  PlanKind kind)
{
	uint32		hash = hash_bytes((const unsigned char *) sql, strlen(sql));
	TablePlan  *entry;
	SPIPlanPtr	plan;

	for (entry = table->plans; entry != NULL; entry = entry->next)
		if (entry->hash == hash && entry->kind == kind &&
			strcmp(entry->sql, sql) == 0)
		{
			chatroom_renew_plan(entry->plan, &entry->folds);
			return entry->plan;
		}

	plan = SPI_prepare_cursor(sql, nargs, types, kind == PLAN_PLAIN ? 0 :
							  CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", sql,
			 SPI_result_code_string(SPI_result));

	/* who runs one may be further up: so those of others stay until the end */
	if (table->nplans >= MAX_PLANS)
		return plan;
	entry = MemoryContextAllocZero(table->context, sizeof(TablePlan));
	entry->hash = hash;
	entry->kind = kind;
	entry->sql = MemoryContextStrdup(table->context, sql);
	entry->plan = plan;
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "could not keep the plan of \"%s\"", sql);
	entry->next = table->plans;
	table->plans = entry;
	table->nplans++;
	return plan;
}

/* The plan of a statement. */
SPIPlanPtr
chatroom_plan(TableInfo *table, const char *sql, int nargs, Oid *types)
{
	return find_plan(table, sql, nargs, types, PLAN_PLAIN);
}

/* The same, never planned for particular values; see table.h. */
SPIPlanPtr
chatroom_generic_plan(TableInfo *table, const char *sql, int nargs,
					  Oid *types, bool exempt)
{
	return find_plan(table, sql, nargs, types,
					 exempt ? PLAN_EXEMPT : PLAN_GENERIC);
}

/* ------------------------------------------------------------------ rows */

/* An empty row: all null. */
TableRow *
chatroom_new_row(const TableInfo *table)
{
	TableRow   *row = palloc(sizeof(TableRow));

	row->values = palloc0(sizeof(Datum) * Max(table->natts, 1));
	row->nulls = palloc(sizeof(bool) * Max(table->natts, 1));
	memset(row->nulls, true, table->natts);
	return row;
}

/* Are two rows of a table the same one, by the key? */
bool
chatroom_same_row(const TableInfo *table, const TableRow *a,
				  const TableRow *b)
{
	for (int i = 0; i < table->nkeys; i++)
	{
		const TableColumn *column = &table->columns[table->keys[i] - 1];
		int			k = column->attnum - 1;

		if (a->nulls[k] || b->nulls[k] ||
			!datum_image_eq(a->values[k], b->values[k], column->typbyval,
							column->typlen))
			return false;
	}
	return table->nkeys > 0;
}

/* A hash of a row's key: rows that are the same have the same. */
uint32
chatroom_hash_row(const TableInfo *table, const TableRow *row)
{
	uint32		hash = 0;

	for (int i = 0; i < table->nkeys; i++)
	{
		int			k = table->keys[i] - 1;

		hash = hash_combine(hash,
							chatroom_hash_column_value(&table->columns[k],
													   row->values[k],
													   row->nulls[k]));
	}
	return murmurhash32(hash);
}

/*
 * Take a row out of a query's result, whose columns from "first" on (0 is the
 * first) are those of a set.  Values point into the tuple.
 */
void
chatroom_read_row(const TableInfo *table, TableRow *row,
				  const Bitmapset *columns, HeapTuple tuple,
				  TupleDesc tupdesc, int first)
{
	int			attnum = -1;

	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		row->values[attnum - 1] = heap_getattr(tuple, ++first, tupdesc,
											   &row->nulls[attnum - 1]);
	}
}

/* What objects of rows look like: some columns, and other names. */
RowShape *
chatroom_shape(const TableInfo *table, const Bitmapset *columns, List *extras)
{
	RowShape   *shape = palloc(sizeof(RowShape));
	int			extra = 0;
	ListCell   *lc;

	shape->n = 0;
	shape->entries = palloc(sizeof(ShapeEntry) *
							(table->natts + list_length(extras) + 1));
	for (int i = 0; i < table->nsorted; i++)
		if (bms_is_member(table->sorted[i].column + 1, columns))
			shape->entries[shape->n++] = table->sorted[i];
	foreach(lc, extras)
	{
		ShapeEntry *entry = &shape->entries[shape->n++];

		entry->key.name = lfirst(lc);
		entry->key.namelen = strlen(entry->key.name);
		entry->column = -1;
		entry->extra = extra++;
	}
	if (extra > 0)
		chatroom_sort_keys(shape->entries, shape->n, sizeof(ShapeEntry));
	return shape;
}

/* Put a number written as text, or the text where it is none. */
static void
put_number(StringInfo buf, JsonbFrame *frame, const Piece *piece)
{
	char	   *text = pnstrdup(piece->data, piece->len);
	Datum		number;

	if (strspn(text, "-+0123456789.eE") != piece->len)
	{
		chatroom_put_text(buf, frame, piece->data, piece->len);
		return;
	}
	number = DirectFunctionCall3(numeric_in, CStringGetDatum(text),
								 ObjectIdGetDatum(InvalidOid),
								 Int32GetDatum(-1));
	chatroom_put_numeric(buf, frame, DatumGetNumeric(number));
}

/* Put a column's value, as events show it. */
void
chatroom_put_column(StringInfo buf, JsonbFrame *frame, TableColumn *column,
					Datum value, bool isnull)
{
	char		scratch[VALUE_SCRATCH];
	Piece		piece;
	Numeric		number;

	if (isnull)
	{
		chatroom_put_null(buf, frame);
		return;
	}
	switch (column->writer.typid)
	{
		case BOOLOID:
			chatroom_put_bool(buf, frame, DatumGetBool(value));
			return;
		case INT2OID:
			chatroom_put_numeric(buf, frame,
								 int64_to_numeric(DatumGetInt16(value)));
			return;
		case INT4OID:
			chatroom_put_numeric(buf, frame,
								 int64_to_numeric(DatumGetInt32(value)));
			return;
		case INT8OID:
			chatroom_put_numeric(buf, frame,
								 int64_to_numeric(DatumGetInt64(value)));
			return;
		case NUMERICOID:
			number = DatumGetNumeric(value);
			if (!numeric_is_nan(number) && !numeric_is_inf(number))
			{
				chatroom_put_numeric(buf, frame, number);
				return;
			}
			break;
		case JSONBOID:
			chatroom_put_jsonb(buf, frame, DatumGetJsonbP(value));
			return;
		default:
			break;
	}
	chatroom_write_value(&column->writer, value, scratch, &piece);
	if (column->writer.flags & COLUMN_NUMERIC)
		put_number(buf, frame, &piece);
	else if (column->writer.flags & COLUMN_LITERAL)
	{
		char	   *text = pnstrdup(piece.data, piece.len);

		value = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
		chatroom_put_jsonb(buf, frame, DatumGetJsonbP(value));
	}
	else
		chatroom_put_text(buf, frame, piece.data, piece.len);
}

/* Begin an object of a shape, whose keys it gets. */
void
chatroom_begin_shape(StringInfo buf, JsonbFrame *frame, const RowShape *shape)
{
	chatroom_begin_keys(buf, frame, shape->entries, shape->n,
						sizeof(ShapeEntry));
}

/* Put a row of some columns as an object. */
void
chatroom_put_row(StringInfo buf, JsonbFrame *parent, const TableInfo *table,
				 const Bitmapset *columns, const TableRow *row)
{
	RowShape   *shape = chatroom_shape(table, columns, NIL);
	JsonbFrame	frame;

	chatroom_begin_shape(buf, &frame, shape);
	for (int i = 0; i < shape->n; i++)
	{
		int			column = shape->entries[i].column;

		chatroom_put_column(buf, &frame, &table->columns[column],
							row->values[column], row->nulls[column]);
	}
	chatroom_end(buf, &frame, parent);
}
