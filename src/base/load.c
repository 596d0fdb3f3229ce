/*-------------------------------------------------------------------------
 *
 * load.c
 *	  Loading the rows of an association.
 *
 * However many rows there are whose associated rows are wanted, it is one
 * query: their keys, each once, go into it as arrays, and it says with each
 * row found which of the keys it is for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/compat.h"
#include "base/load.h"
#include "base/where.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

/* The keys of parents, each once. */
typedef struct KeySet
{
	int			n;
	TableRow  **rows;			/* a parent that has the key */
	int		   *of_parent;		/* the parent's key, -1: it has nulls */
	LoadedRows *loaded;			/* by key */
} KeySet;


/* The columns whose values tell what a row is associated with. */
const AttrNumber *
chatroom_parent_columns(const Assoc *assoc)
{
	return assoc->kind == ASSOC_BELONGS_TO ? assoc->key.referencing :
		assoc->key.referenced;
}

/* Read columns of a row that is JSON; settings must be pinned. */
TableRow *
chatroom_read_columns(const TableInfo *table, const JsonRow *json,
					  const Bitmapset *columns)
{
	TableRow   *row = chatroom_new_row(table);
	int			attnum = -1;

	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		TableColumn *column = &table->columns[attnum - 1];
		JsonbValue	value;
		CastResult	result;

		if (!chatroom_row_member(json, column->name, column->namelen, &value))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("value has an object without \"%s\"",
							column->name),
					 errdetail("An association of table \"%s\" goes by this column.",
							   table->name)));
		result = chatroom_cast(&column->caster, &value,
							   &row->values[attnum - 1]);
		if (result != CAST_OK && result != CAST_NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("value has an object with an invalid \"%s\"",
							column->name),
					 errdetail("Column \"%s\" of table \"%s\" has type %s.",
							   column->name, table->name,
							   format_type_be(column->typid))));
		row->nulls[attnum - 1] = result == CAST_NULL;
	}
	return row;
}

/* Has a row nulls in its key? */
static bool
has_nulls(const TableRow *row, const AttrNumber *columns, int n)
{
	for (int i = 0; i < n; i++)
		if (row->nulls[columns[i] - 1])
			return true;
	return false;
}

/* A hash of a row's key. */
static uint32
hash_key(const TableInfo *table, const TableRow *row,
		 const AttrNumber *columns, int n)
{
	uint32		hash = 0;

	for (int i = 0; i < n; i++)
	{
		const TableColumn *column = &table->columns[columns[i] - 1];

		hash = hash_combine(hash,
							datum_image_hash(row->values[columns[i] - 1],
											 column->typbyval,
											 column->typlen));
	}
	return hash;
}

/* Have two rows the same key? */
static bool
same_key(const TableInfo *table, const TableRow *a, const TableRow *b,
		 const AttrNumber *columns, int n)
{
	for (int i = 0; i < n; i++)
	{
		const TableColumn *column = &table->columns[columns[i] - 1];

		if (!datum_image_eq(a->values[columns[i] - 1],
							b->values[columns[i] - 1],
							column->typbyval, column->typlen))
			return false;
	}
	return true;
}

/* An entry of a set of rows. */
typedef struct SetEntry
{
	TableRow   *row;
	uint32		hash;
	char		status;
} SetEntry;

#define SH_PREFIX rows
#define SH_ELEMENT_TYPE SetEntry
#define SH_KEY_TYPE TableRow *
#define SH_KEY row
#define SH_HASH_KEY(tb, key) chatroom_hash_row((tb)->private_data, key)
#define SH_EQUAL(tb, a, b) chatroom_same_row((tb)->private_data, a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Put a row into a set; false: it was there. */
bool
chatroom_take_row(RowSet *set, TableRow *row)
{
	const TableInfo *table = set->table;
	bool		found;

	CHECK_FOR_INTERRUPTS();
	if (table->nkeys == 0 || has_nulls(row, table->keys, table->nkeys))
		return true;
	if (set->rows == NULL)
		set->rows = rows_create(CurrentMemoryContext, 8,
								unconstify(TableInfo *, table));
	rows_insert(set->rows, row, &found);
	return !found;
}

/* Gather the keys of parents. */
static void
gather_keys(KeySet *keys, const TableInfo *table, const AttrNumber *columns,
			int n, int nparents, TableRow **parents)
{
	uint32		mask = pg_nextpower2_32(Max(nparents, 1) * 2) - 1;
	int		   *buckets = palloc(sizeof(int) * (mask + 1));

	memset(buckets, 0xFF, sizeof(int) * (mask + 1));
	keys->n = 0;
	keys->rows = palloc(sizeof(TableRow *) * Max(nparents, 1));
	keys->of_parent = palloc(sizeof(int) * Max(nparents, 1));
	for (int i = 0; i < nparents; i++)
	{
		uint32		bucket;

		keys->of_parent[i] = -1;
		if (has_nulls(parents[i], columns, n))
			continue;
		bucket = hash_key(table, parents[i], columns, n) & mask;
		while (buckets[bucket] >= 0 &&
			   !same_key(table, keys->rows[buckets[bucket]], parents[i],
						 columns, n))
			bucket = (bucket + 1) & mask;
		if (buckets[bucket] < 0)
		{
			buckets[bucket] = keys->n;
			keys->rows[keys->n++] = parents[i];
		}
		keys->of_parent[i] = buckets[bucket];
	}
	keys->loaded = palloc0(sizeof(LoadedRows) * Max(keys->n, 1));
}

/* The values of one column of the keys as an array. */
static Datum
key_array(const KeySet *keys, const TableColumn *column)
{
	Datum	   *values = palloc(sizeof(Datum) * keys->n);
	int16		typlen;
	bool		typbyval;
	char		typalign;

	for (int i = 0; i < keys->n; i++)
		values[i] = keys->rows[i]->values[column->attnum - 1];
	get_typlenbyvalalign(column->caster.base, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_array(values, keys->n,
										   column->caster.base, typlen,
										   typbyval, typalign));
}

/* Append a.x = b.y AND ... of a foreign key. */
static void
append_join(StringInfo sql, const char *left, const TableInfo *left_table,
			const AttrNumber *left_columns, const char *right,
			const TableInfo *right_table, const AttrNumber *right_columns,
			int n)
{
	for (int i = 0; i < n; i++)
	{
		const TableColumn *column =
			&left_table->columns[left_columns[i] - 1];

		appendStringInfo(sql, "%s%s.%s %s %s.", i > 0 ? " AND " : "", left,
						 column->quoted,
						 chatroom_equality(left_table, column), right);
		if (right_table != NULL)
		{
			AttrNumber	attnum = right_columns[i];

			appendStringInfoString(sql,
								   right_table->columns[attnum - 1].quoted);
		}
		else
			appendStringInfo(sql, "c%d", i);
	}
}

/* Append the keys as a table k of columns c0, c1 ..., and which one it is. */
static void
append_keys(StringInfo sql, const TableInfo *from, const Assoc *assoc,
			const KeySet *keys, QueryArgs *args)
{
	const AttrNumber *attnums = chatroom_parent_columns(assoc);
	StringInfoData names;

	/* arrays would be planned for anew each time, one key need not be */
	if (keys->n == 1)
	{
		appendStringInfoString(sql, "(SELECT ");
		for (int i = 0; i < assoc->key.n; i++)
		{
			const TableColumn *column = &from->columns[attnums[i] - 1];
			Datum		value = keys->rows[0]->values[attnums[i] - 1];

			appendStringInfo(sql, "$%d AS c%d, ",
							 chatroom_add_arg(args, column->caster.base,
											  value, false), i);
		}
		appendStringInfoString(sql, "1::pg_catalog.int8 AS i) AS k");
		return;
	}

	initStringInfo(&names);
	appendStringInfoString(sql, "ROWS FROM (");
	for (int i = 0; i < assoc->key.n; i++)
	{
		const TableColumn *column = &from->columns[attnums[i] - 1];
		Oid			type = get_array_type(column->caster.base);

		if (!OidIsValid(type))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("association by column \"%s\" can't be loaded",
							column->name),
					 errdetail("Type %s has no arrays.",
							   format_type_be(column->typid))));
		appendStringInfo(sql, "%spg_catalog.unnest($%d)", i > 0 ? ", " : "",
						 chatroom_add_arg(args, type,
										  key_array(keys, column), false));
		appendStringInfo(&names, "c%d, ", i);
	}
	appendStringInfo(sql, ") WITH ORDINALITY AS k(%si)", names.data);
}

/* Put the query together. */
static char *
build_query(TableInfo *from, const Assoc *assoc, TableInfo *to,
			const Bitmapset *columns, const KeySet *keys, QueryArgs *args)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT k.i, ");
	chatroom_append_columns(&sql, to, columns, "t");
	appendStringInfoString(&sql, " FROM ");
	append_keys(&sql, from, assoc, keys, args);
	appendStringInfoString(&sql, " JOIN ");
	if (assoc->kind == ASSOC_MANY_TO_MANY)
	{
		TableInfo  *join = chatroom_open_table(assoc->join);

		appendStringInfo(&sql, "%s AS j ON ", join->quoted);
		append_join(&sql, "j", join, assoc->key.referencing, "k", NULL, NULL,
					assoc->key.n);
		appendStringInfo(&sql, " JOIN %s AS t ON ", to->quoted);
		append_join(&sql, "t", to, assoc->join_key.referenced, "j", join,
					assoc->join_key.referencing, assoc->join_key.n);
	}
	else
	{
		appendStringInfo(&sql, "%s AS t ON ", to->quoted);
		append_join(&sql, "t", to, assoc->kind == ASSOC_BELONGS_TO ?
					assoc->key.referenced : assoc->key.referencing,
					"k", NULL, NULL, assoc->key.n);
	}
	if (assoc->where != NULL)
	{
		appendStringInfoString(&sql, " WHERE ");
		chatroom_append_where(&sql, to, "t", assoc->where, args,
							  "the association's where");
	}
	chatroom_append_order(&sql, to, "t", assoc->order,
						  "the association's order");
	return sql.data;
}

/* Take one row of the result. */
static TableRow *
take_row(const TableInfo *table, const AttrNumber *attnums, int n,
		 HeapTuple tuple, TupleDesc tupdesc, Datum *values, bool *nulls)
{
	TableRow   *row = chatroom_new_row(table);

	heap_deform_tuple(tuple, tupdesc, values, nulls);
	for (int i = 0; i < n; i++)
	{
		row->values[attnums[i] - 1] = values[i + 1];
		row->nulls[attnums[i] - 1] = nulls[i + 1];
	}
	return row;
}

/* Distribute the rows of a result to their keys. */
static void
distribute(KeySet *keys, const TableInfo *to, const Bitmapset *columns,
		   SPITupleTable *result, uint64 nrows, bool to_one)
{
	int			n = bms_num_members(columns);
	AttrNumber *attnums = palloc(sizeof(AttrNumber) * n);
	Datum	   *values = palloc(sizeof(Datum) * (n + 1));
	bool	   *nulls = palloc(sizeof(bool) * (n + 1));
	int		   *of_row = palloc(sizeof(int) * Max(nrows, 1));
	int			attnum = -1;
	bool		isnull;

	for (int i = 0; (attnum = bms_next_member(columns, attnum)) >= 0; i++)
		attnums[i] = attnum;
	for (uint64 i = 0; i < nrows; i++)
	{
		Datum		key = heap_getattr(result->vals[i], 1, result->tupdesc,
									   &isnull);

		of_row[i] = DatumGetInt64(key) - 1;
		keys->loaded[of_row[i]].n++;
	}
	for (int i = 0; i < keys->n; i++)
	{
		keys->loaded[i].rows = palloc(sizeof(TableRow *) *
									  Max(keys->loaded[i].n, 1));
		keys->loaded[i].n = 0;
	}
	for (uint64 i = 0; i < nrows; i++)
	{
		LoadedRows *loaded = &keys->loaded[of_row[i]];

		CHECK_FOR_INTERRUPTS();
		if (to_one && loaded->n > 0)
			continue;
		loaded->rows[loaded->n++] = take_row(to, attnums, n, result->vals[i],
											 result->tupdesc, values, nulls);
	}
}

/* Load what some rows are associated with, in one query. */
LoadedRows **
chatroom_load(TableInfo *from, const Assoc *assoc, TableInfo *to,
			  const Bitmapset *columns, int nparents, TableRow **parents,
			  bool read_only)
{
	static LoadedRows nothing = {0, NULL};
	LoadedRows **result = palloc(sizeof(LoadedRows *) * Max(nparents, 1));
	QueryArgs	args = {0};
	KeySet		keys;
	char	   *sql;

	Assert(assoc->kind != ASSOC_THROUGH);

	/* of no column may be read: let the server say so */
	if (bms_is_empty(columns))
		columns = to->all;
	gather_keys(&keys, from, chatroom_parent_columns(assoc), assoc->key.n,
				nparents, parents);
	if (keys.n > 0)
	{
		sql = build_query(from, assoc, to, columns, &keys, &args);
		if (SPI_execute_plan(chatroom_plan(from, sql, args.n, args.types),
							 args.values, args.nulls, read_only,
							 0) != SPI_OK_SELECT)
			elog(ERROR, "could not execute: %s", sql);
		distribute(&keys, to, columns, SPI_tuptable, SPI_processed,
				   assoc->kind == ASSOC_BELONGS_TO ||
				   assoc->kind == ASSOC_HAS_ONE);
	}
	for (int i = 0; i < nparents; i++)
		result[i] = keys.of_parent[i] < 0 ? &nothing :
			&keys.loaded[keys.of_parent[i]];
	return result;
}
