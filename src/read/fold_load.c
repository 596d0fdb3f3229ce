/*-------------------------------------------------------------------------
 *
 * fold_load.c
 *	  Rows that events don't carry: from the cache, else by one query.
 *
 * Queries run with the caller's rights and in the caller's snapshot.  What
 * they find becomes JSON as preload() would write it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/jsonb_writer.h"
#include "base/load.h"
#include "base/rooms.h"
#include "base/watches.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "read/fold.h"
#include "read/sync.h"
#include "utils/builtins.h"

/* -------------------------------------------------------------- the cache */

/* The topic of a row that is wanted; NULL: it is wanted by other columns. */
static text *
want_topic(const FoldTable *table, const char *base,
		   const AttrNumber *columns, int n, const FoldWant *want)
{
	const TableInfo *info = table->info;
	Piece	   *values = palloc(sizeof(Piece) * Max(n, 1));
	StringInfoData buf;

	if (n != info->nkeys)
		return NULL;
	for (int i = 0; i < n; i++)
	{
		const TableColumn *column;
		JsonbValue	value;
		int			j = 0;

		while (j < n && columns[j] != info->keys[i])
			j++;
		if (j == n)
			return NULL;
		column = &want->source_table->columns[want->source_columns[j] - 1];
		if (!chatroom_row_member(&want->source, column->name, column->namelen,
								 &value))
			return NULL;
		values[i] = chatroom_fold_piece(&value);
		if (values[i].len < 0)
			return NULL;
	}
	initStringInfo(&buf);
	chatroom_append_row_topic(&buf, base, values, n);
	return cstring_to_text_with_len(buf.data, buf.len);
}

/* Look in the cache for what is wanted; returns what isn't there. */
static List *
look_in_cache(FoldTable *table, const AttrNumber *columns, int n,
			  const Bitmapset *shown, List *wants)
{
	WatchInfo	watch;
	List	   *rest = NIL;
	ListCell   *lc;

	for (int i = 0; i < table->info->nkeys; i++)
		if (!bms_is_member(table->info->keys[i], table->readable))
			return wants;
	if (!chatroom_relation_watch(table->info->relid, NULL, &watch))
		return wants;
	foreach(lc, wants)
	{
		FoldWant   *want = lfirst(lc);
		text	   *topic = want_topic(table, watch.base, columns, n, want);
		Jsonb	   *row = topic ? chatroom_cached_row(topic) : NULL;

		if (row != NULL && chatroom_fold_has(table->info, &row->root, shown))
			want->image = &row->root;
		else
			rest = lappend(rest, want);
	}
	return rest;
}

/* ---------------------------------------------------------------- queries */

/* A row of a query as JSON; settings are pinned. */
static JsonbContainer *
row_json(const TableInfo *table, const Bitmapset *columns,
		 const TableRow *row)
{
	StringInfoData buf;

	chatroom_jsonb_start(&buf);
	chatroom_put_row(&buf, NULL, table, columns, row);
	return &chatroom_jsonb_finish(&buf)->root;
}

/* The columns to be loaded of a table; never none. */
static Bitmapset *
loaded_columns(const FoldTable *table, const Bitmapset *shown)
{
	Bitmapset  *columns = bms_union(table->needed, shown);

	return bms_is_empty(columns) ? table->info->all : columns;
}

/* The key of a row that is wanted; false: none can have it. */
static bool
cast_want(const TableInfo *table, const AttrNumber *columns, int n,
		  const FoldWant *want, TableRow *row)
{
	for (int i = 0; i < n; i++)
	{
		const TableColumn *from =
			&want->source_table->columns[want->source_columns[i] - 1];
		TableColumn *to = &table->columns[columns[i] - 1];
		JsonbValue	value;

		if (!chatroom_row_member(&want->source, from->name, from->namelen,
								 &value) ||
			chatroom_cast(&to->caster, &value,
						  &row->values[columns[i] - 1]) != CAST_OK)
			return false;
		row->nulls[columns[i] - 1] = false;
	}
	return true;
}

/* Cast the keys of all that is wanted; those that can't be there stay null. */
static TableRow **
cast_wants(TableInfo *table, const AttrNumber *columns, int n, List *wants)
{
	TableRow  **rows = palloc(sizeof(TableRow *) * list_length(wants));
	ValuePins	pins;

	chatroom_pin(&pins, table->needs_settings);
	PG_TRY();
	{
		for (int i = 0; i < list_length(wants); i++)
		{
			rows[i] = chatroom_new_row(table);
			if (!cast_want(table, columns, n, list_nth(wants, i), rows[i]))
				rows[i] = chatroom_new_row(table);
		}
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	return rows;
}

/* Turn the rows loaded for each parent into JSON. */
static JsonbContainer ***
loaded_json(TableInfo *table, const Bitmapset *columns, LoadedRows **loaded,
			int n, int **counts)
{
	JsonbContainer ***images = palloc(sizeof(JsonbContainer **) * Max(n, 1));
	ValuePins	pins;

	*counts = palloc(sizeof(int) * Max(n, 1));
	chatroom_pin(&pins, table->needs_settings);
	PG_TRY();
	{
		for (int i = 0; i < n; i++)
		{
			(*counts)[i] = loaded[i]->n;
			images[i] = palloc(sizeof(JsonbContainer *) *
							   Max(loaded[i]->n, 1));
			for (int j = 0; j < loaded[i]->n; j++)
				images[i][j] = row_json(table, columns, loaded[i]->rows[j]);
		}
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	return images;
}

/*
 * Find rows that are wanted by the values of some columns, which are unique:
 * in the cache, if that may be, and else by one query.
 */
void
chatroom_fold_load_rows(Fold *fold, FoldTable *table,
						const AttrNumber *columns, int n,
						const Bitmapset *shown, List *wants, bool cached)
{
	Assoc		self = {0};
	Bitmapset  *loaded = loaded_columns(table, shown);
	LoadedRows **rows;
	JsonbContainer ***images;
	int		   *counts;

	if (cached)
		wants = look_in_cache(table, columns, n,
							  bms_intersect(loaded, table->readable), wants);
	if (wants == NIL)
		return;
	self.kind = ASSOC_BELONGS_TO;
	self.key.n = n;
	memcpy(self.key.referencing, columns, sizeof(AttrNumber) * n);
	memcpy(self.key.referenced, columns, sizeof(AttrNumber) * n);
	chatroom_refuse_unbound(table->info->relid);
	chatroom_fold_connect(fold);
	rows = chatroom_load(table->info, &self, table->info, loaded,
						 list_length(wants),
						 cast_wants(table->info, columns, n, wants), true);
	MemoryContextSwitchTo(fold->context);
	images = loaded_json(table->info, loaded, rows, list_length(wants),
						 &counts);
	for (int i = 0; i < list_length(wants); i++)
		if (counts[i] > 0)
			((FoldWant *) list_nth(wants, i))->image = images[i][0];
}

/* ----------------------------------------------------------- associations */

/* The columns that a row's associated rows are found by. */
static Bitmapset *
parent_columns(const Assoc *assoc)
{
	const AttrNumber *columns = chatroom_parent_columns(assoc);
	Bitmapset  *set = NULL;

	for (int i = 0; i < assoc->key.n; i++)
		set = bms_add_member(set, columns[i]);
	return set;
}

/* Add a row to others, unless it is among them. */
static void
add_distinct(RowSet *known, LoadedRows *rows, int *allocated, TableRow *row)
{
	if (!chatroom_take_row(known, row))
		return;
	if (rows->n == *allocated)
	{
		*allocated = Max(8, *allocated * 2);
		rows->rows = rows->n == 0 ?
			palloc(sizeof(TableRow *) * *allocated) :
			repalloc(rows->rows, sizeof(TableRow *) * *allocated);
	}
	rows->rows[rows->n++] = row;
}

/*
 * Load what is at the end of some steps: of several, each row once.  There is
 * one query a step.
 */
static LoadedRows **
load_steps(Fold *fold, TableInfo *from, List *steps, int depth,
		   const Bitmapset *columns, TableRow **parents, int n)
{
	const Assoc *assoc = list_nth(steps, depth);
	TableInfo  *to = chatroom_open_table(assoc->to);
	bool		last = depth == list_length(steps) - 1;
	LoadedRows **loaded;
	LoadedRows **ends;
	LoadedRows **result;
	TableRow  **next;
	int			nnext = 0;
	int			place = 0;

	chatroom_refuse_unbound(assoc->to);
	loaded = chatroom_load(from, assoc, to, last ? columns :
						   parent_columns(list_nth(steps, depth + 1)), n,
						   parents, true);
	MemoryContextSwitchTo(fold->context);
	if (last)
		return loaded;
	for (int i = 0; i < n; i++)
		nnext += loaded[i]->n;
	next = palloc(sizeof(TableRow *) * Max(nnext, 1));
	nnext = 0;
	for (int i = 0; i < n; i++)
		for (int j = 0; j < loaded[i]->n; j++)
			next[nnext++] = loaded[i]->rows[j];
	ends = load_steps(fold, to, steps, depth + 1, columns, next, nnext);
	result = palloc(sizeof(LoadedRows *) * Max(n, 1));
	to = chatroom_open_table(((Assoc *) llast(steps))->to);
	for (int i = 0; i < n; i++)
	{
		RowSet		known = {to, NULL};
		int			allocated = 0;

		CHECK_FOR_INTERRUPTS();
		result[i] = palloc0(sizeof(LoadedRows));
		for (int j = 0; j < loaded[i]->n; j++, place++)
			for (int k = 0; k < ends[place]->n; k++)
				add_distinct(&known, result[i], &allocated,
							 ends[place]->rows[k]);
	}
	return result;
}

/* Read columns of some items; settings are pinned. */
static void
fill_rows(const TableInfo *table, const Bitmapset *columns, FoldItem **items,
		  int n, TableRow **rows)
{
	for (int i = 0; i < n; i++)
	{
		JsonRow		json = chatroom_fold_json(items[i]);

		rows[i] = chatroom_read_columns(table, &json, columns);
	}
}

/* The same; it pins them. */
static TableRow **
read_items(TableInfo *table, const Bitmapset *columns, FoldItem **items,
		   int n)
{
	TableRow  **rows = palloc(sizeof(TableRow *) * Max(n, 1));
	ValuePins	pins;

	chatroom_pin(&pins, table->needs_settings);
	PG_TRY();
	{
		fill_rows(table, columns, items, n, rows);
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	return rows;
}

/* Load what some items have by an association: for each a list of images. */
JsonbContainer ***
chatroom_fold_load_assoc(Fold *fold, FoldBranch *branch, FoldItem **items,
						 int n, int **counts)
{
	TableInfo  *from = branch->from->table->info;
	FoldTable  *to = branch->level->table;
	Bitmapset  *columns = loaded_columns(to,
										 chatroom_fold_columns(branch->level));
	LoadedRows **loaded;

	chatroom_fold_connect(fold);
	loaded = load_steps(fold, from, branch->steps, 0, columns,
						read_items(from,
								   parent_columns(linitial(branch->steps)),
								   items, n), n);
	return loaded_json(to->info, columns, loaded, n, counts);
}

/* ------------------------------------------------------------- the root */

/* The rows of a query's result as JSON. */
static List *
result_json(TableInfo *table, const Bitmapset *columns, uint64 n)
{
	List	   *volatile images = NIL;
	ValuePins	pins;

	chatroom_pin(&pins, table->needs_settings);
	PG_TRY();
	{
		for (uint64 i = 0; i < n; i++)
		{
			TableRow   *row = chatroom_new_row(table);

			chatroom_read_row(table, row, columns, SPI_tuptable->vals[i],
							  SPI_tuptable->tupdesc, 0);
			images = lappend(images, row_json(table, columns, row));
		}
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	return images;
}

/* Load the list that the options tell of: images in its order. */
List *
chatroom_fold_load_list(Fold *fold, int limit)
{
	FoldTable  *table = fold->root->table;
	TableInfo  *info = table->info;
	Bitmapset  *columns = loaded_columns(table,
										 chatroom_fold_columns(fold->root));
	QueryArgs	args = {0};
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	chatroom_append_columns(&sql, info, columns, "t");
	appendStringInfo(&sql, " FROM %s AS t", info->quoted);
	if (fold->filter != NULL)
	{
		appendStringInfoString(&sql, " WHERE ");
		chatroom_append_filter(&sql, fold->filter, "t", &args);
	}
	chatroom_append_sort(&sql, fold->order ? fold->order :
						 chatroom_make_order(info, NULL, "order"), "t");
	if (limit >= 0)
		appendStringInfo(&sql, " LIMIT $%d",
						 chatroom_add_arg(&args, INT8OID,
										  Int64GetDatum(limit), false));
	chatroom_fold_connect(fold);
	if (SPI_execute_plan(chatroom_plan(info, sql.data, args.n, args.types),
						 args.values, args.nulls, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute: %s", sql.data);
	MemoryContextSwitchTo(fold->context);
	return result_json(info, columns, SPI_processed);
}
