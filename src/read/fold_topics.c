/*-------------------------------------------------------------------------
 *
 * fold_topics.c
 *	  chatroom.topics_for: the topics that keep a value true.
 *
 * Of each row that the value has, the row's topic; of what it has by an
 * association, the topic of the association, so that rows that come in are
 * told, too.  Where neither tells all that may change the value, the table's
 * topic, which comprises the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/load.h"
#include "base/watches.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "read/access.h"
#include "read/fold.h"
#include "read/sync.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* Most topics of one table: of more, its own topic instead. */
#define MAX_TABLE_TOPICS	1000

/* The topics of one table. */
typedef struct TableTopics
{
	FoldTable  *table;
	WatchInfo	watch;
	List	   *columns;		/* that make association topics */
	bool		all;			/* the table's own */
	fold_map_hash *known;
	List	   *topics;			/* text */
} TableTopics;

typedef struct Topics
{
	Fold	   *fold;
	List	   *tables;			/* TableTopics, in order */
} Topics;

CHATROOM_FUNCTION(chatroom_topics_for);


/* The watch by which a table's changes are told. */
static void
choose_watch(FoldTable *table, WatchInfo *chosen)
{
	List	   *watches = chatroom_relation_watches(table->info->relid);
	ListCell   *lc;

	foreach(lc, watches)
	{
		WatchInfo  *watch = lfirst(lc);

		if (watch->label != NULL)
			continue;
		*chosen = *watch;
		return;
	}
	foreach(lc, watches)
	{
		WatchInfo  *watch = lfirst(lc);

		if (watch->condition != NULL || !watch->any_column ||
			(watch->events & WATCH_ROW_EVENTS) != WATCH_ROW_EVENTS)
			continue;
		*chosen = *watch;
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" is not watched", table->info->name),
			 errhint("chatroom.watch_assocs() watches a table and those that associations lead to.")));
}

/* The topics of a table, made where there are none yet. */
static TableTopics *
table_topics(Topics *topics, FoldTable *table)
{
	TableTopics *entry;
	ListCell   *lc;

	foreach(lc, topics->tables)
	{
		entry = lfirst(lc);
		if (entry->table == table)
			return entry;
	}
	entry = palloc0(sizeof(TableTopics));
	entry->table = table;
	choose_watch(table, &entry->watch);
	entry->columns = chatroom_topic_columns(&entry->watch);
	topics->tables = lappend(topics->tables, entry);
	return entry;
}

/* Follow a topic. */
static void
add_topic(TableTopics *entry, StringInfo topic)
{
	FoldKey		key = {topic->data, topic->len};

	if (chatroom_fold_find(entry->known, key) != NULL)
		return;
	chatroom_fold_put(&entry->known, key, entry);
	entry->topics = lappend(entry->topics,
							cstring_to_text_with_len(topic->data,
													 topic->len));
	if (list_length(entry->topics) > MAX_TABLE_TOPICS)
		entry->all = true;
}

/* A value as events show it. */
static Piece
write_datum(TableColumn *column, Datum value)
{
	Piece		piece;

	chatroom_write_value(&column->writer, value, palloc(VALUE_SCRATCH),
						 &piece);
	return piece;
}

/*
 * The values of some columns of an item, as another table's columns show
 * them; false: one is null.
 */
static bool
item_pieces(const TableInfo *from, const AttrNumber *from_columns,
			const TableInfo *to, const AttrNumber *to_columns, int n,
			const FoldItem *item, Piece *pieces)
{
	JsonRow		json = chatroom_fold_json(item);

	for (int i = 0; i < n; i++)
	{
		Bitmapset  *columns = bms_make_singleton(from_columns[i]);
		TableColumn *column = &to->columns[to_columns[i] - 1];
		TableRow   *row = chatroom_read_columns(from, &json, columns);
		JsonbValue	value;
		Datum		datum;

		if (row->nulls[from_columns[i] - 1])
			return false;
		(void) chatroom_row_member(&json,
								   from->columns[from_columns[i] - 1].name,
								   from->columns[from_columns[i] - 1].namelen,
								   &value);
		if (chatroom_cast(&column->caster, &value, &datum) != CAST_OK)
			return false;
		pieces[i] = write_datum(column, datum);
	}
	return true;
}

/* Have the values of some columns of two tables one spelling when equal? */
static bool
spelled_alike(const TableInfo *from, const AttrNumber *from_columns,
			  const TableInfo *to, const AttrNumber *to_columns, int n)
{
	for (int i = 0; i < n; i++)
		if (!chatroom_columns_alike(&from->columns[from_columns[i] - 1],
									&to->columns[to_columns[i] - 1]))
			return false;
	return true;
}

/* Follow a row of the value, by the key that it has. */
static void
follow_row(TableTopics *entry, const FoldItem *item)
{
	const TableInfo *table = entry->table->info;
	Piece	   *pieces = palloc(sizeof(Piece) * Max(table->nkeys, 1));
	StringInfoData buf;

	if (entry->all || table->nkeys == 0 ||
		!spelled_alike(table, table->keys, table, table->keys,
					   table->nkeys) ||
		!item_pieces(table, table->keys, table, table->keys, table->nkeys,
					 item, pieces))
	{
		entry->all = true;
		return;
	}
	initStringInfo(&buf);
	chatroom_append_row_topic(&buf, entry->watch.base, pieces, table->nkeys);
	add_topic(entry, &buf);
}

/*
 * Follow the rows of a table whose columns have the values that an item has in
 * columns of its own: by the key's topic, an association's, or the table's.
 */
static void
follow_by(TableTopics *entry, const AttrNumber *columns, int n,
		  const TableInfo *from, const AttrNumber *from_columns,
		  const FoldItem *item)
{
	const TableInfo *table = entry->table->info;
	Piece	   *pieces = palloc(sizeof(Piece) * n);
	Piece	   *key = palloc(sizeof(Piece) * n);
	int			found = 0;
	StringInfoData buf;

	if (!spelled_alike(from, from_columns, table, columns, n))
		entry->all = true;
	if (entry->all ||
		!item_pieces(from, from_columns, table, columns, n, item, pieces))
		return;
	initStringInfo(&buf);
	for (int i = 0; i < table->nkeys && n == table->nkeys; i++)
		for (int j = 0; j < n; j++)
			if (columns[j] == table->keys[i])
				key[found++] = pieces[j];
	if (found == n)
	{
		chatroom_append_row_topic(&buf, entry->watch.base, key, n);
		add_topic(entry, &buf);
		return;
	}
	for (int i = 0; i < n; i++)
	{
		if (!list_member_int(entry->columns, columns[i]))
			continue;
		chatroom_append_column_topic(&buf, entry->watch.base,
									 table->columns[columns[i] - 1].name,
									 &pieces[i]);
		add_topic(entry, &buf);
		return;
	}
	entry->all = true;
}

/* May the caller not see some rows of a table? */
static bool
has_policies(const FoldTable *table)
{
	RelationAccess access;

	memset(&access, 0, sizeof(access));
	chatroom_relation_access(table->info->relid, &access);
	return access.policies;
}

/* Follow what the items of a level have by a branch. */
static void
follow_branch(Topics *topics, FoldBranch *branch)
{
	const Assoc *assoc = linitial(branch->steps);
	const TableInfo *from = branch->from->table->info;
	TableTopics *to;
	TableTopics *join = NULL;
	FoldItems  *owners = &branch->from->all;
	ListCell   *lc;

	/* beyond the first step, the value doesn't know the rows on the way */
	foreach(lc, branch->passed)
		table_topics(topics, lfirst(lc))->all = true;
	to = table_topics(topics, branch->level->table);
	if (list_length(branch->steps) > 1)
	{
		to->all = true;
		return;
	}
	if (branch->join != NULL)
	{
		join = table_topics(topics, branch->join);

		/* whose a row is that begins to be visible, the value doesn't know */
		if (branch->filter != NULL || has_policies(branch->level->table))
			to->all = true;
	}
	for (int i = 0; i < owners->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (assoc->kind == ASSOC_BELONGS_TO)
			follow_by(to, assoc->key.referenced, assoc->key.n, from,
					  assoc->key.referencing, owners->items[i]);
		else
			follow_by(join ? join : to, assoc->key.referencing, assoc->key.n,
					  from, assoc->key.referenced, owners->items[i]);
	}
	for (int i = 0; join != NULL && i < branch->level->all.n; i++)
		follow_row(to, branch->level->all.items[i]);
}

/* Follow all below a level. */
static void
follow_level(Topics *topics, FoldLevel *level)
{
	ListCell   *lc;

	foreach(lc, level->branches)
	{
		FoldBranch *branch = lfirst(lc);

		chatroom_fold_parse(branch->level);
		follow_branch(topics, branch);
		follow_level(topics, branch->level);
	}
}

/* Follow a list by the values that its condition has for a topic column. */
static bool
follow_filter(Topics *topics, TableTopics *entry)
{
	ListCell   *lc;

	foreach(lc, topics->fold->has_where ? entry->columns : NIL)
	{
		AttrNumber	attnum = lfirst_int(lc);
		TableColumn *column = &entry->table->info->columns[attnum - 1];
		Datum	   *values;
		int			n = chatroom_filter_values(topics->fold->filter, attnum,
											   &values);

		if (n < 0 || n > MAX_TABLE_TOPICS)
			continue;
		for (int i = 0; i < n; i++)
		{
			Piece		piece = write_datum(column, values[i]);
			StringInfoData buf;

			initStringInfo(&buf);
			chatroom_append_column_topic(&buf, entry->watch.base,
										 column->name, &piece);
			add_topic(entry, &buf);
		}
		return true;
	}
	return false;
}

/* Follow the whole value. */
static void
follow_value(Topics *topics)
{
	Fold	   *fold = topics->fold;
	TableTopics *entry = table_topics(topics, fold->root->table);

	if (!fold->list && fold->items.n > 0)
		follow_row(entry, fold->items.items[0]);
	if ((fold->list || fold->items.n == 0 || fold->has_where) &&
		!follow_filter(topics, entry))
		entry->all = true;
	follow_level(topics, fold->root);
}

/* The same, with the settings pinned that values' texts depend on. */
static void
follow_pinned(Topics *topics)
{
	ValuePins	pins;
	bool		settings = false;
	ListCell   *lc;

	foreach(lc, topics->fold->tables)
		settings |= ((FoldTable *) lfirst(lc))->info->needs_settings;
	chatroom_pin(&pins, settings);
	PG_TRY();
	{
		follow_value(topics);
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
}

/* All topics as an array. */
static ArrayType *
topics_array(Topics *topics)
{
	Datum	   *elements;
	int			n = 0;
	ListCell   *lc;
	ListCell   *lt;

	foreach(lc, topics->tables)
		n += list_length(((TableTopics *) lfirst(lc))->topics) + 1;
	elements = palloc(sizeof(Datum) * Max(n, 1));
	n = 0;
	foreach(lc, topics->tables)
	{
		TableTopics *entry = lfirst(lc);

		if (entry->all)
			elements[n++] = CStringGetTextDatum(entry->watch.base);
		else
			foreach(lt, entry->topics)
				elements[n++] = PointerGetDatum(lfirst(lt));
	}
	return construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT);
}

/* topics_for(value jsonb, relation text, preload text[], options) → text[] */
Datum
chatroom_topics_for(PG_FUNCTION_ARGS)
{
	Fold		fold = {0};
	Topics		topics = {&fold, NIL};
	Oid			relid;
	Jsonb	   *value;

	relid = chatroom_relation_arg(chatroom_text_arg(fcinfo, 1, "relation"));
	chatroom_require_argument(fcinfo, 2, "preload");
	value = PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0);
	fold.root = chatroom_fold_root(&fold, relid, PG_GETARG_ARRAYTYPE_P(2));
	chatroom_fold_options(&fold, chatroom_jsonb_arg(fcinfo, 3, "options"));
	if (value != NULL && !chatroom_fold_take(&fold, value))
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
	fold.root->parsed = true;
	follow_pinned(&topics);
	PG_RETURN_ARRAYTYPE_P(topics_array(&topics));
}
