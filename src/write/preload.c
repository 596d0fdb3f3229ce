/*-------------------------------------------------------------------------
 *
 * preload.c
 *	  chatroom.preload and chatroom.assoc: rows with what belongs to them.
 *
 * Paths of associations make a tree: each of its nodes is one association, to
 * be loaded for all rows of the node above at once.  The rows at the root are
 * the caller's objects; those below are kept as they come from the query until
 * all is written as jsonb, in one go.
 *
 * As in Ecto, what an object already has is not loaded again; paths that go on
 * from there go on with what it has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/load.h"
#include "base/rooms.h"
#include "base/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "write/changeset.h"
#include "write/preload.h"
#include "write/watch.h"

typedef struct Entry Entry;

/* What an association has for one item. */
typedef struct Entries
{
	bool		absent;			/* the object has it already */
	int			n;
	Entry	  **items;
} Entries;

/* A row: of a query, or an object of the caller's. */
struct Entry
{
	TableRow   *row;
	JsonbContainer *object;		/* NULL: it is of a query */
	Entries	   *assocs;			/* by number of the branch */
};

/* The rows of a table, and what is to be loaded for them. */
typedef struct Level
{
	TableInfo  *table;
	Bitmapset  *readable;		/* columns shown */
	Bitmapset  *needed;			/* columns that associations go by */
	List	   *branches;		/* Branch */
	RowShape   *shape;			/* of rows that come from a query */
	int			nitems;
	int			allocated;
	Entry	  **items;
} Level;

/* An association to be loaded. */
typedef struct Branch
{
	char	   *name;			/* key in the objects */
	Assoc	   *assoc;
	List	   *steps;			/* Assoc: more than one for THROUGH */
	bool		to_one;
	Level	   *level;			/* of the rows that it leads to */
} Branch;

CHATROOM_FUNCTION(chatroom_preload);
CHATROOM_FUNCTION(chatroom_assoc);


/* ------------------------------------------------------------- the tree */

/* A level without branches. */
static Level *
make_level(Oid relid)
{
	Level	   *level = palloc0(sizeof(Level));

	level->table = chatroom_open_table(relid);
	level->readable = chatroom_readable_columns(level->table);
	return level;
}

/* The columns that an association goes by are needed of its owner's rows. */
static void
need_columns(Level *level, const Assoc *assoc)
{
	const AttrNumber *columns = chatroom_parent_columns(assoc);

	for (int i = 0; i < assoc->key.n; i++)
		level->needed = bms_add_member(level->needed, columns[i]);
}

/* Is the association one to one all the way? */
static bool
leads_to_one(const List *steps)
{
	ListCell   *lc;

	foreach(lc, steps)
		if (!chatroom_is_to_one(lfirst(lc)))
			return false;
	return true;
}

/* The branch of a name, made where there is none yet. */
static Branch *
find_branch(Level *level, char *name)
{
	Branch	   *branch;
	ListCell   *lc;

	foreach(lc, level->branches)
	{
		branch = lfirst(lc);
		if (strcmp(branch->name, name) == 0)
			return branch;
	}
	branch = palloc0(sizeof(Branch));
	branch->name = name;
	branch->assoc = chatroom_loadable_assoc(level->table, name);
	branch->steps = chatroom_expand_association(branch->assoc);
	branch->to_one = leads_to_one(branch->steps);
	branch->level = make_level(((Assoc *) llast(branch->steps))->to);
	need_columns(level, linitial(branch->steps));
	level->branches = lappend(level->branches, branch);
	return branch;
}

/* Put a path in the tree. */
static void
add_path(Level *level, const char *path)
{
	ListCell   *lc;

	foreach(lc, chatroom_split_path(path))
	{
		char	   *name = chatroom_path_name(level->table, lfirst(lc));

		level = find_branch(level, name)->level;
	}
}

/* Work out what the rows of a level's queries look like. */
static void
make_shape(Level *level)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, level->branches)
		names = lappend(names, ((Branch *) lfirst(lc))->name);
	level->shape = chatroom_shape(level->table, level->readable, names);
}

/* --------------------------------------------------------------- items */

/* A new item of a level. */
static Entry *
add_item(Level *level, TableRow *row, JsonbContainer *object)
{
	Entry	   *item = palloc(sizeof(Entry));

	item->row = row;
	item->object = object;
	item->assocs = level->branches == NIL ? NULL :
		palloc0(sizeof(Entries) * list_length(level->branches));
	if (level->nitems == level->allocated)
	{
		int			n = Max(16, level->allocated * 2);

		level->items = level->allocated == 0 ?
			palloc(sizeof(Entry *) * n) :
			repalloc(level->items, sizeof(Entry *) * n);
		level->allocated = n;
	}
	level->items[level->nitems++] = item;
	return item;
}

static Entry *add_object(Level *level, const JsonbValue *value);

/* Take an object's own list, or single object, of an association. */
static void
take_present(Branch *branch, Entries *items, JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;

	items->absent = true;
	if (branch->level->branches == NIL || value->type != jbvBinary)
		return;
	items->absent = false;
	if (JsonContainerIsObject(value->val.binary.data))
	{
		items->items = palloc(sizeof(Entry *));
		items->items[items->n++] = add_object(branch->level, value);
		return;
	}
	items->items = palloc(sizeof(Entry *) *
						  Max(JsonContainerSize(value->val.binary.data), 1));
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &element,
									  true)) != WJB_DONE)
		if (token == WJB_ELEM)
			items->items[items->n++] = add_object(branch->level, &element);
}

/* An object of the caller's becomes an item. */
static Entry *
add_object(Level *level, const JsonbValue *value)
{
	JsonbContainer *object;
	JsonRow		row = {NULL, NULL};
	Entry	   *item;
	ListCell   *lc;
	int			i = 0;

	check_stack_depth();
	if (value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value must be an object or a list of objects"),
				 errdetail("It has %s.", chatroom_json_kind(value))));
	object = value->val.binary.data;
	row.object = object;
	item = add_item(level, chatroom_read_columns(level->table, &row,
												 level->needed), object);
	foreach(lc, level->branches)
	{
		Branch	   *branch = lfirst(lc);
		JsonbValue *present = chatroom_member(object, branch->name);

		if (present != NULL)
			take_present(branch, &item->assocs[i], present);
		i++;
	}
	return item;
}

/* The caller's value becomes items; returns them. */
static Entries
add_value(Level *level, Jsonb *value)
{
	Entries		items = {0};
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;

	if (JB_ROOT_IS_OBJECT(value))
	{
		chatroom_jsonb_value(value, &element);
		items.items = palloc(sizeof(Entry *));
		items.items[items.n++] = add_object(level, &element);
		return items;
	}
	items.items = palloc(sizeof(Entry *) * Max(JB_ROOT_COUNT(value), 1));
	iterator = JsonbIteratorInit(&value->root);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			items.items[items.n++] = add_object(level, &element);
	return items;
}

/* The same, with the settings pinned that casting depends on. */
static Entries
add_value_pinned(Level *level, Jsonb *value)
{
	ValuePins	pins;
	volatile Entries items = {0};

	chatroom_pin(&pins, level->table->needs_settings);
	PG_TRY();
	{
		Entries		added = add_value(level, value);

		items.n = added.n;
		items.items = added.items;
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	return (Entries)
	{
		false, items.n, items.items
	};
}

/* -------------------------------------------------------------- loading */

/* Give loaded rows to the items that they are for. */
static void
give_rows(Level *level, Entries **targets, LoadedRows **loaded, int n)
{
	for (int i = 0; i < n; i++)
	{
		targets[i]->n = loaded[i]->n;
		targets[i]->items = palloc(sizeof(Entry *) * Max(loaded[i]->n, 1));
		for (int j = 0; j < loaded[i]->n; j++)
			targets[i]->items[j] = add_item(level, loaded[i]->rows[j], NULL);
	}
}

/* Load one step for some items. */
static void
load_step(Level *from, const Assoc *assoc, Level *to, Entry **items,
		  Entries **targets, int n, bool read_only)
{
	TableRow  **parents = palloc(sizeof(TableRow *) * Max(n, 1));
	LoadedRows **loaded;

	for (int i = 0; i < n; i++)
		parents[i] = items[i]->row;
	loaded = chatroom_load(from->table, assoc, to->table,
						   bms_union(to->readable, to->needed), n, parents,
						   read_only);
	give_rows(to, targets, loaded, n);
}

/* Add an item to others, unless its row is among them. */
static void
add_distinct(RowSet *known, Entries *items, int *allocated, Entry *item)
{
	if (!chatroom_take_row(known, item->row))
		return;
	if (items->n == *allocated)
	{
		int			n = Max(8, *allocated * 2);

		items->items = *allocated == 0 ? palloc(sizeof(Entry *) * n) :
			repalloc(items->items, sizeof(Entry *) * n);
		*allocated = n;
	}
	items->items[items->n++] = item;
}

/* What is at the end of some steps: each row once. */
static void
collect_end(RowSet *known, Entries *from, int depth, Entries *into,
			int *allocated)
{
	for (int i = 0; i < from->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (depth == 0)
			add_distinct(known, into, allocated, from->items[i]);
		else
			collect_end(known, from->items[i]->assocs, depth - 1, into,
						allocated);
	}
}

/* Load an association through others, for some items. */
static void
load_through(Level *level, Branch *branch, Entry **items, Entries **targets,
			 int n, bool read_only)
{
	int			nsteps = list_length(branch->steps);
	Level	   *from = level;
	Entries	   *first = palloc0(sizeof(Entries) * Max(n, 1));
	Entries	  **next = palloc(sizeof(Entries *) * Max(n, 1));
	Level	   *ends = palloc(sizeof(Level));

	/* the last level's items are the branch's, but each only once a parent */
	*ends = *branch->level;
	ends->nitems = ends->allocated = 0;
	for (int i = 0; i < n; i++)
		next[i] = &first[i];
	for (int i = 0, count = n; i < nsteps; i++)
	{
		const Assoc *assoc = list_nth(branch->steps, i);
		Level	   *to = i == nsteps - 1 ? ends : make_level(assoc->to);

		if (i < nsteps - 1)
		{
			need_columns(to, list_nth(branch->steps, i + 1));

			/* room for one association: the next step */
			to->branches = list_make1(branch);
			to->readable = NULL;
		}
		load_step(from, assoc, to, items, next, count, read_only);
		count = to->nitems;
		items = to->items;
		next = palloc(sizeof(Entries *) * Max(count, 1));
		if (i < nsteps - 1)
			for (int j = 0; j < count; j++)
				next[j] = to->items[j]->assocs;
		from = to;
	}
	for (int i = 0; i < n; i++)
	{
		RowSet		known = {branch->level->table, NULL};
		int			allocated = 0;

		collect_end(&known, &first[i], nsteps - 1, targets[i], &allocated);
	}
	for (int i = 0; i < ends->nitems; i++)
	{
		Entry	   *item = ends->items[i];

		/* nested associations are loaded for the branch's own items */
		if (branch->level->nitems == branch->level->allocated)
		{
			int			room = Max(16, branch->level->allocated * 2);

			branch->level->items = branch->level->allocated == 0 ?
				palloc(sizeof(Entry *) * room) :
				repalloc(branch->level->items, sizeof(Entry *) * room);
			branch->level->allocated = room;
		}
		branch->level->items[branch->level->nitems++] = item;
	}
}

/* Load all that is below a level. */
static void
load_level(Level *level, bool read_only)
{
	ListCell   *lc;
	int			index = 0;

	check_stack_depth();
	make_shape(level);
	foreach(lc, level->branches)
	{
		Branch	   *branch = lfirst(lc);
		Entry	  **items = palloc(sizeof(Entry *) * Max(level->nitems, 1));
		Entries   **targets = palloc(sizeof(Entries *) *
									 Max(level->nitems, 1));
		int			n = 0;

		for (int i = 0; i < level->nitems; i++)
		{
			Entry	   *item = level->items[i];

			if (item->assocs[index].absent || item->assocs[index].items)
				continue;
			targets[n] = &item->assocs[index];
			items[n++] = item;
		}
		if (list_length(branch->steps) > 1)
			load_through(level, branch, items, targets, n, read_only);
		else
			load_step(level, linitial(branch->steps), branch->level, items,
					  targets, n, read_only);
		load_level(branch->level, read_only);
		index++;
	}
}

/* -------------------------------------------------------------- writing */

static void put_item(StringInfo buf, JsonbFrame *parent, const Level *level,
					 const Entry *item);

/* Put what an association has for an item. */
static void
put_items(StringInfo buf, JsonbFrame *parent, const Level *level,
		  const Entries *items, bool to_one)
{
	JsonbFrame	frame;

	if (to_one)
	{
		if (items->n == 0)
			chatroom_put_null(buf, parent);
		else
			put_item(buf, parent, level, items->items[0]);
		return;
	}
	chatroom_begin_array(buf, &frame, items->n);
	for (int i = 0; i < items->n; i++)
		put_item(buf, &frame, level, items->items[i]);
	chatroom_end(buf, &frame, parent);
}

/* Put the items of a branch. */
static void
put_branch(StringInfo buf, JsonbFrame *parent, const Level *level,
		   const Entry *item, int index)
{
	const Branch *branch = list_nth(level->branches, index);

	put_items(buf, parent, branch->level, &item->assocs[index],
			  branch->to_one);
}

/* Put a row that came from a query. */
static void
put_row_item(StringInfo buf, JsonbFrame *parent, const Level *level,
			 const Entry *item)
{
	const RowShape *shape = level->shape;
	JsonbFrame	frame;

	chatroom_begin_shape(buf, &frame, shape);
	for (int i = 0; i < shape->n; i++)
	{
		int			column = shape->entries[i].column;

		if (column >= 0)
			chatroom_put_column(buf, &frame, &level->table->columns[column],
								item->row->values[column],
								item->row->nulls[column]);
		else
			put_branch(buf, &frame, level, item, shape->entries[i].extra);
	}
	chatroom_end(buf, &frame, parent);
}

/* One pair of an object that is written: its own, or an association. */
typedef struct Pair
{
	JsonbKey	key;
	JsonbValue	value;
	int			branch;			/* -1: value */
} Pair;

/* The pairs of an object, but for the associations that go with it. */
static int
object_pairs(const Level *level, const Entry *item, Pair *pairs)
{
	JsonbIterator *iterator = JsonbIteratorInit(item->object);
	JsonbIteratorToken token;
	JsonbValue	key;
	int			n = 0;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		bool		replaced = false;
		ListCell   *lc;
		int			index = 0;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &pairs[n].value, true);
		foreach(lc, level->branches)
		{
			const Branch *branch = lfirst(lc);

			if (!item->assocs[index++].absent &&
				strlen(branch->name) == key.val.string.len &&
				memcmp(branch->name, key.val.string.val,
					   key.val.string.len) == 0)
				replaced = true;
		}
		if (replaced)
			continue;
		pairs[n].key.name = key.val.string.val;
		pairs[n].key.namelen = key.val.string.len;
		pairs[n++].branch = -1;
	}
	return n;
}

/* Put an object of the caller's, with what was loaded for it. */
static void
put_object_item(StringInfo buf, JsonbFrame *parent, const Level *level,
				const Entry *item)
{
	Pair	   *pairs = palloc(sizeof(Pair) *
							   (JsonContainerSize(item->object) +
								list_length(level->branches) + 1));
	int			n = object_pairs(level, item, pairs);
	JsonbFrame	frame;
	ListCell   *lc;
	int			index = 0;

	foreach(lc, level->branches)
	{
		const Branch *branch = lfirst(lc);

		if (!item->assocs[index].absent)
		{
			pairs[n].key.name = branch->name;
			pairs[n].key.namelen = strlen(branch->name);
			pairs[n++].branch = index;
		}
		index++;
	}
	chatroom_sort_keys(pairs, n, sizeof(Pair));
	chatroom_begin_keys(buf, &frame, pairs, n, sizeof(Pair));
	for (int i = 0; i < n; i++)
	{
		if (pairs[i].branch < 0)
			chatroom_put_value(buf, &frame, &pairs[i].value);
		else
			put_branch(buf, &frame, level, item, pairs[i].branch);
	}
	chatroom_end(buf, &frame, parent);
}

/* Put an item. */
static void
put_item(StringInfo buf, JsonbFrame *parent, const Level *level,
		 const Entry *item)
{
	check_stack_depth();
	if (item->object != NULL)
		put_object_item(buf, parent, level, item);
	else
		put_row_item(buf, parent, level, item);
}

/* Do any tables of the tree want settings pinned? */
static bool
tree_needs_settings(const Level *level)
{
	ListCell   *lc;

	if (level->table->needs_settings)
		return true;
	foreach(lc, level->branches)
		if (tree_needs_settings(((Branch *) lfirst(lc))->level))
			return true;
	return false;
}

/* Write items as one jsonb. */
static Jsonb *
write_items(const Level *root, const Level *level, const Entries *items,
			bool to_one)
{
	StringInfoData buf;
	ValuePins	pins;

	chatroom_jsonb_start(&buf);
	chatroom_pin(&pins, tree_needs_settings(root));
	PG_TRY();
	{
		if (to_one)
			put_item(&buf, NULL, level, items->items[0]);
		else
			put_items(&buf, NULL, level, items, false);
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	return chatroom_jsonb_finish(&buf);
}

/* -------------------------------------------------------- SQL functions */

/* Refuse to load from tables whose policies are needed, and don't bind. */
static void
refuse_unbound(const Level *level)
{
	ListCell   *lb;
	ListCell   *ls;

	foreach(lb, level->branches)
	{
		const Branch *branch = lfirst(lb);

		foreach(ls, branch->steps)
			chatroom_refuse_unbound(((Assoc *) lfirst(ls))->to);
		refuse_unbound(branch->level);
	}
}

/* Load paths of associations for an object or a list of objects. */
Jsonb *
chatroom_preload_value(Jsonb *value, Oid relid, List *paths, bool read_only,
					   bool checked)
{
	Level	   *root = make_level(relid);
	Entries		items;
	ListCell   *lc;

	foreach(lc, paths)
		add_path(root, lfirst(lc));
	if (!checked)
		refuse_unbound(root);
	items = add_value_pinned(root, value);
	load_level(root, read_only);
	return write_items(root, root, &items, JB_ROOT_IS_OBJECT(value));
}

/* Is a value a JSON null?  Other scalars are refused. */
static bool
is_null_value(Jsonb *value)
{
	JsonbValue	scalar;

	if (!JB_ROOT_IS_SCALAR(value))
		return false;
	(void) JsonbExtractScalar(&value->root, &scalar);
	if (scalar.type != jbvNull)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value must be an object or a list of objects"),
				 errdetail("It is %s.", chatroom_json_kind(&scalar))));
	return true;
}

/* chatroom.preload(value jsonb, relation text, preload text[]) */
Datum
chatroom_preload(PG_FUNCTION_ARGS)
{
	Oid			relid;
	List	   *paths;
	Jsonb	   *value;

	relid = chatroom_relation_arg(chatroom_text_arg(fcinfo, 1,
														  "relation"));
	chatroom_require_argument(fcinfo, 2, "preload");
	paths = chatroom_array_texts(PG_GETARG_ARRAYTYPE_P(2), "preload");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	value = PG_GETARG_JSONB_P(0);
	if (is_null_value(value))
		PG_RETURN_JSONB_P(value);

	chatroom_spi_connect();
	value = chatroom_keep_jsonb(chatroom_preload_value(value, relid, paths,
													   true, false));
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(value);
}

/* What the rows of a value are associated with, each once. */
static Entries
associated(const Branch *branch, const Entries *parents)
{
	Entries		items = {0};
	RowSet		known = {branch->level->table, NULL};
	int			allocated = 0;

	for (int i = 0; i < parents->n; i++)
	{
		const Entries *own = parents->items[i]->assocs;

		for (int j = 0; j < own->n; j++)
		{
			CHECK_FOR_INTERRUPTS();
			add_distinct(&known, &items, &allocated, own->items[j]);
		}
	}
	return items;
}

/* chatroom.assoc(value jsonb, relation text, name text) returns jsonb */
Datum
chatroom_assoc(PG_FUNCTION_ARGS)
{
	Oid			relid;
	char	   *name;
	Jsonb	   *value;
	Level	   *root;
	Branch	   *branch;
	Entries		parents;
	Entries		items;
	bool		to_one;

	relid = chatroom_relation_arg(chatroom_text_arg(fcinfo, 1,
														  "relation"));
	name = text_to_cstring(chatroom_text_arg(fcinfo, 2, "name"));
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	value = PG_GETARG_JSONB_P(0);
	if (is_null_value(value))
		PG_RETURN_NULL();

	chatroom_spi_connect();
	root = make_level(relid);
	branch = find_branch(root, name);
	refuse_unbound(root);
	parents = add_value_pinned(root, value);

	/* what the value itself has is not asked for */
	for (int i = 0; i < parents.n; i++)
		memset(parents.items[i]->assocs, 0, sizeof(Entries));
	load_level(root, true);
	items = associated(branch, &parents);
	to_one = branch->to_one && JB_ROOT_IS_OBJECT(value);
	value = to_one && items.n == 0 ? NULL :
		chatroom_keep_jsonb(write_items(root, branch->level, &items, to_one));
	chatroom_spi_finish();
	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(value);
}
