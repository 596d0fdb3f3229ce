/*-------------------------------------------------------------------------
 *
 * fold_apply.c
 *	  What an answer says, applied to the value.
 *
 * It goes from the root downwards, one association after the other, for all
 * rows that have it at once: rows that are gone leave it, rows that belong to
 * it now enter it, at their place.  What has to be loaded is gathered and
 * loaded by one query, and then treated alike.  A row that enters brings along
 * what it had at another place of the same kind.
 *
 * Where events can't tell what an association has now, it is loaded anew:
 *
 * - its rows have no key, or events lack the columns that it goes by;
 * - through others: something on the way came, went, or moved;
 * - many to many: a row began to meet the association's condition, or to be
 *	 visible, and the value doesn't know whose it is; or the join table may
 *	 have the same pair twice;
 * - a page lost a row: the next one comes in;
 * - the owner's key changed: topics asked for knew the old one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "miscadmin.h"
#include "read/fold.h"

/* Are two keys the same? */
static bool
same_key(FoldKey a, FoldKey b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* The key of an item's row in the end. */
static FoldKey
final_key(const FoldItem *item)
{
	return item->row != NULL ? item->row->key : item->key;
}

/* Is an item's row gone? */
static bool
is_gone(const FoldLevel *level, const FoldItem *item)
{
	if (item->image != NULL)
		return false;
	return item->row != NULL ? item->row->gone : level->table->truncated;
}

/* Does an item meet a condition? */
static bool
item_matches(const RowFilter *filter, const FoldItem *item)
{
	JsonRow		json = chatroom_fold_json(item);

	return chatroom_filter_matches(filter, &json);
}

/* Does a row that the answer tells of meet a condition? */
static bool
row_matches(const RowFilter *filter, const FoldRow *row)
{
	JsonRow		json = {row->image, NULL};

	return chatroom_filter_matches(filter, &json);
}

/* ------------------------------------------------------------- list edits */

/* Take an item out. */
static void
remove_item(FoldItems *items, int i)
{
	memmove(&items->items[i], &items->items[i + 1],
			sizeof(FoldItem *) * (items->n - i - 1));
	items->n--;
	items->changed = true;
}

/* Put an item at a place. */
static void
insert_item(FoldItems *items, int i, FoldItem *item)
{
	chatroom_fold_append(items, item);
	memmove(&items->items[i + 1], &items->items[i],
			sizeof(FoldItem *) * (items->n - 1 - i));
	items->items[i] = item;
	items->changed = true;
}

/* Which of two items comes first? */
static int
compare_items(RowOrder *order, const FoldItem *a, const FoldItem *b)
{
	JsonRow		left = chatroom_fold_json(a);
	JsonRow		right = chatroom_fold_json(b);

	return chatroom_compare_rows(order, &left, &right);
}

/* Put an item at its place in a list that is ordered; NULL: at the end. */
static void
place_item(FoldItems *items, FoldItem *item, RowOrder *order)
{
	int			low = 0;
	int			high = items->n;

	if (order == NULL)
		low = high;
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (compare_items(order, items->items[middle], item) > 0)
			high = middle;
		else
			low = middle + 1;
	}
	insert_item(items, low, item);
}

/* An item that is to be put at its place. */
typedef struct Placed
{
	FoldItem   *item;
	int			index;			/* those alike stay as they come */
} Placed;

/* qsort_arg comparator of items to be placed. */
static int
compare_placed(const void *a, const void *b, void *arg)
{
	const Placed *left = a;
	const Placed *right = b;
	int			order;

	CHECK_FOR_INTERRUPTS();
	order = compare_items(arg, left->item, right->item);
	return order != 0 ? order : left->index - right->index;
}

/*
 * Put items at their places as place_item() does one after the other, but
 * move what is there only once.
 */
static void
place_items(FoldItems *items, const FoldItems *new, RowOrder *order)
{
	Placed	   *placed;
	int			end = items->n;

	if (order == NULL || new->n < 2)
	{
		for (int i = 0; i < new->n; i++)
			place_item(items, new->items[i], order);
		return;
	}
	placed = palloc(sizeof(Placed) * new->n);
	for (int i = 0; i < new->n; i++)
	{
		placed[i].item = new->items[i];
		placed[i].index = i;
		chatroom_fold_append(items, new->items[i]);
	}
	qsort_arg(placed, new->n, sizeof(Placed), compare_placed, order);
	for (int i = new->n - 1; i >= 0; i--)
	{
		int			low = 0;
		int			high = end;

		CHECK_FOR_INTERRUPTS();
		while (low < high)
		{
			int			middle = low + (high - low) / 2;

			if (compare_items(order, items->items[middle],
							  placed[i].item) > 0)
				high = middle;
			else
				low = middle + 1;
		}
		memmove(&items->items[low + i + 1], &items->items[low],
				sizeof(FoldItem *) * (end - low));
		items->items[low + i] = placed[i].item;
		end = low;
	}
	items->changed = true;
	pfree(placed);
}

/* Did an item's new image leave it at its place? */
static bool
keeps_place(const FoldLevel *level, const FoldItem *item,
			const Bitmapset *columns)
{
	JsonRow		before = {NULL, item->object};
	JsonRow		after = {item->image, item->object};
	int			attnum = -1;

	if (item->image == NULL)
		return true;
	if (item->object == NULL)
		return false;
	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		AttrNumber	column = attnum;
		FoldKey		old;
		FoldKey		new;
		FoldKeyResult had;

		had = chatroom_fold_key(level->table->info, &column, 1, &before,
								&old);
		if (had != chatroom_fold_key(level->table->info, &column, 1, &after,
									 &new) ||
			(had == FOLD_KEY_OK && !same_key(old, new)))
			return false;
	}
	return true;
}

/* Put items whose order changed at their places. */
static void
settle_order(const FoldLevel *level, FoldItems *items, RowOrder *order)
{
	Bitmapset  *columns;
	FoldItems	moved = {0};
	int			kept = 0;

	if (order == NULL || level->table->rows == NIL)
		return;
	columns = chatroom_order_columns(order, NULL);
	for (int i = items->n - 1; i >= 0; i--)
		if (!keeps_place(level, items->items[i], columns))
		{
			CHECK_FOR_INTERRUPTS();
			chatroom_fold_append(&moved, items->items[i]);
			items->items[i] = NULL;
		}
	if (moved.n == 0)
		return;
	for (int i = 0; i < items->n; i++)
		if (items->items[i] != NULL)
			items->items[kept++] = items->items[i];
	items->n = kept;
	items->changed = true;
	place_items(items, &moved, order);
}

/* Fewest items for which it pays to make their keys known. */
#define MIN_INDEXED 16

/* The rows that items are of, by their keys. */
typedef struct RowSet
{
	const FoldItems *items;
	fold_map_hash *keys;		/* NULL: not made yet */
} RowSet;

/* Is a row among items? */
static bool
has_row(RowSet *set, const FoldRow *row)
{
	const FoldItems *items = set->items;

	if (set->keys == NULL && items->n < MIN_INDEXED)
	{
		for (int i = 0; i < items->n; i++)
			if (items->items[i]->row == row ||
				same_key(final_key(items->items[i]), row->key))
				return true;
		return false;
	}
	if (set->keys == NULL)
		for (int i = 0; i < items->n; i++)
			if (final_key(items->items[i]).data != NULL)
				chatroom_fold_put(&set->keys, final_key(items->items[i]),
								  items->items[i]);
	return chatroom_fold_find(set->keys, row->key) != NULL;
}

/* -------------------------------------------------- items that come in */

/* The items of a level by their rows' keys in the end. */
static fold_map_hash *
level_index(FoldLevel *level)
{
	if (level->index != NULL)
		return level->index;
	level->index = fold_map_create(CurrentMemoryContext, 16, NULL);
	if (level->branches == NIL)
		return level->index;
	chatroom_fold_parse(level);
	for (int i = 0; i < level->all.n; i++)
		chatroom_fold_put(&level->index, final_key(level->all.items[i]),
						  level->all.items[i]);
	return level->index;
}

/* An item for a row that the answer tells of. */
static FoldItem *
told_item(FoldLevel *level, FoldRow *row)
{
	FoldItem   *item = NULL;

	/* one that was just inserted is at no other place */
	if (level->index != NULL || row->events == NIL ||
		strcmp(chatroom_fold_type(linitial(row->events)), "insert") != 0)
		item = chatroom_fold_find(level_index(level), row->key);
	if (item == NULL)
	{
		item = chatroom_fold_new_item(level, row->image);
		item->row = row;
		item->key = row->key;
		if (level->index != NULL)
			chatroom_fold_put(&level->index, item->key, item);
	}
	item->image = row->image;
	return item;
}

/* An item for a row that was loaded. */
static FoldItem *
loaded_item(FoldLevel *level, JsonbContainer *image)
{
	const TableInfo *table = level->table->info;
	JsonRow		json = {image, NULL};
	FoldItem   *item = NULL;
	FoldKey		key = {NULL, 0};

	if (chatroom_fold_key(table, table->keys, table->nkeys, &json,
						  &key) == FOLD_KEY_OK)
		item = chatroom_fold_find(level_index(level), key);
	if (item == NULL)
	{
		item = chatroom_fold_new_item(level, image);
		item->key = key;
		if (key.data != NULL)
			chatroom_fold_put(&level->index, key, item);
	}
	item->image = image;
	return item;
}

/* --------------------------------------- what an answer says of a branch */

/* The list kept under a key gets one more. */
static void
add_to_list(fold_map_hash **map, FoldKey key, void *value)
{
	chatroom_fold_put(map, key, lappend(chatroom_fold_find(*map, key),
										value));
}

/* Has: the rows that the answer tells of, by whom they belong to. */
static void
gather_children(FoldBranch *branch)
{
	const Assoc *assoc = linitial(branch->steps);
	FoldTable  *table = branch->level->table;
	ListCell   *lc;

	foreach(lc, table->rows)
	{
		FoldRow    *row = lfirst(lc);
		JsonRow		json = {row->image, NULL};
		FoldKey		key;

		if (!row->gone &&
			chatroom_fold_key(table->info, assoc->key.referencing,
							  assoc->key.n, &json, &key) == FOLD_KEY_OK)
			add_to_list(&branch->changes, key, row);
	}
}

/* A pair by whom it belongs to and what it tells; NULL: there is none. */
static FoldPair *
find_pair(const FoldBranch *branch, FoldKey owner, FoldKey target,
		  FoldKey *key)
{
	char	   *data = palloc(owner.len + target.len + 1);

	/* no value has a zero byte in it */
	memcpy(data, owner.data, owner.len);
	data[owner.len] = '\0';
	memcpy(data + owner.len + 1, target.data, target.len);
	key->data = data;
	key->len = owner.len + target.len + 1;
	return chatroom_fold_find(branch->pairs, *key);
}

/* Many to many: a row of the join table is there now, or isn't. */
static void
note_pair(FoldBranch *branch, const JsonRow *row, bool present)
{
	const Assoc *assoc = linitial(branch->steps);
	const TableInfo *join = branch->join->info;
	FoldKey		owner;
	FoldKey		target;
	FoldKey		key;
	FoldKeyResult known[2];
	FoldPair   *pair;

	known[0] = chatroom_fold_key(join, assoc->key.referencing, assoc->key.n,
								 row, &owner);
	known[1] = chatroom_fold_key(join, assoc->join_key.referencing,
								 assoc->join_key.n, row, &target);
	if (known[0] == FOLD_KEY_MISSING || known[1] == FOLD_KEY_MISSING)
		branch->reload = true;
	if (known[0] != FOLD_KEY_OK || known[1] != FOLD_KEY_OK)
		return;
	pair = find_pair(branch, owner, target, &key);
	if (pair == NULL)
	{
		pair = palloc0(sizeof(FoldPair));
		pair->target = target;
		chatroom_fold_put(&branch->pairs, key, pair);
		add_to_list(&branch->changes, owner, pair);
	}
	pair->present = present;
	pair->source = *row;
	pair->count++;
}

/* The columns of a join table that an association goes by. */
static Bitmapset *
join_columns(const Assoc *assoc)
{
	Bitmapset  *columns = NULL;

	for (int i = 0; i < assoc->key.n; i++)
		columns = bms_add_member(columns, assoc->key.referencing[i]);
	for (int i = 0; i < assoc->join_key.n; i++)
		columns = bms_add_member(columns, assoc->join_key.referencing[i]);
	return columns;
}

/* An update of a join table's row: it may tell other rows now. */
static void
note_pair_update(FoldBranch *branch, JsonbContainer *event,
				 const Bitmapset *columns)
{
	const TableInfo *join = branch->join->info;
	JsonRow		after = {chatroom_fold_member(event, "row"), NULL};
	JsonRow		before = {chatroom_fold_member(event, "old"), after.image};
	int			attnum = -1;

	if (!chatroom_fold_event_changed(branch->join, event, columns))
		return;
	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		const TableColumn *column = &join->columns[attnum - 1];
		JsonRow		old = {before.image, NULL};
		JsonbValue	value;

		/* it changed, but what it was isn't told */
		if (chatroom_fold_event_changed(branch->join, event,
										bms_make_singleton(attnum)) &&
			!chatroom_row_member(&old, column->name, column->namelen, &value))
		{
			branch->reload = true;
			return;
		}
	}
	note_pair(branch, &before, false);
	note_pair(branch, &after, true);
}

/* All pairs are gone. */
static void
forget_pairs(FoldBranch *branch)
{
	branch->join_truncated = true;
	branch->changes = NULL;
	branch->pairs = NULL;
}

/* Many to many: what became of the join table's rows. */
static void
gather_pairs(FoldBranch *branch)
{
	Bitmapset  *columns = join_columns(linitial(branch->steps));
	ListCell   *lc;

	foreach(lc, branch->join->events)
	{
		JsonbContainer *event = lfirst(lc);
		const char *type = chatroom_fold_type(event);
		JsonRow		row = {chatroom_fold_member(event, "row"), NULL};

		CHECK_FOR_INTERRUPTS();
		if (strcmp(type, "truncate") == 0)
			forget_pairs(branch);
		else if (strcmp(type, "update") == 0)
			note_pair_update(branch, event, columns);
		else if (strcmp(type, "insert") == 0 || strcmp(type, "enter") == 0)
			note_pair(branch, &row, true);
		else
		{
			row.image = chatroom_fold_member(event, "old");
			note_pair(branch, &row, false);
		}
	}
}

/* May rows have come that the value doesn't know whose they are? */
static bool
unknown_owners(FoldBranch *branch)
{
	FoldTable  *table = branch->level->table;
	Bitmapset  *columns = chatroom_filter_columns(branch->filter, NULL);
	ListCell   *lc;
	ListCell   *le;

	foreach(lc, table->rows)
	{
		FoldRow    *row = lfirst(lc);

		if (row->gone || !row_matches(branch->filter, row))
			continue;
		foreach(le, row->events)
			if (strcmp(chatroom_fold_type(lfirst(le)), "insert") != 0 &&
				chatroom_fold_event_changed(table, lfirst(le), columns))
				return true;
	}
	return false;
}

/* Through others: may anything on the way have changed? */
static bool
path_changed(FoldBranch *branch)
{
	const Assoc *last = llast(branch->steps);
	FoldTable  *table = branch->level->table;
	const AttrNumber *columns = last->kind == ASSOC_HAS_ONE ||
		last->kind == ASSOC_HAS_MANY ? last->key.referencing :
		last->kind == ASSOC_BELONGS_TO ? last->key.referenced :
		last->join_key.referenced;
	int			n = last->kind == ASSOC_MANY_TO_MANY ? last->join_key.n :
		last->key.n;
	Bitmapset  *set = NULL;
	ListCell   *lc;

	foreach(lc, branch->passed)
		if (((FoldTable *) lfirst(lc))->touched)
			return true;
	if (table->truncated)
		return true;
	for (int i = 0; i < n; i++)
		set = bms_add_member(set, columns[i]);
	if (last->where != NULL)
		set = chatroom_filter_columns(chatroom_make_filter(table->info,
														   last->where,
														   "the association's where"),
									  set);
	set = chatroom_order_columns(chatroom_make_order(table->info, last->order,
													 "the association's order"),
								 set);
	foreach(lc, table->events)
		if (chatroom_fold_event_changed(table, lfirst(lc), set))
			return true;
	return false;
}

/* Rows that the answer tells of, by the columns that they are found by. */
static void
gather_told(FoldBranch *branch)
{
	FoldTable  *table = branch->level->table;
	ListCell   *lc;

	foreach(lc, table->rows)
	{
		FoldRow    *row = lfirst(lc);
		JsonRow		json = {row->image, NULL};
		FoldKey		key;

		if (!row->gone && row->trusted &&
			chatroom_fold_key(table->info, branch->targets, branch->ntargets,
							  &json, &key) == FOLD_KEY_OK)
			chatroom_fold_put(&branch->told, key, row);
	}
}

/*
 * Does the text of values tell whether two columns' are equal?  That of whole
 * numbers and numerics does without its zeros: so chatroom_fold_key() has it.
 */
static bool
told_by_text(const TableColumn *column, const TableColumn *other)
{
	const Oid	types[] = {column->caster.base, other->caster.base};
	int			numbers = 0;

	for (int i = 0; i < lengthof(types); i++)
		if (types[i] == INT2OID || types[i] == INT4OID ||
			types[i] == INT8OID || types[i] == NUMERICOID)
			numbers++;
	return numbers == lengthof(types) || chatroom_columns_alike(column, other);
}

/* The same of the columns of a key; of one that a join table has, too. */
static bool
key_told_by_text(const AssocKey *key, const TableInfo *referencing,
				 const TableInfo *referenced)
{
	for (int i = 0; i < key->n; i++)
		if (!told_by_text(&referencing->columns[key->referencing[i] - 1],
						  &referenced->columns[key->referenced[i] - 1]))
			return false;
	return true;
}

/*
 * Did something happen that the texts of keys don't tell the meaning of?  Then
 * a query by the columns' own = does.
 */
static bool
spelling_matters(const FoldBranch *branch)
{
	const Assoc *assoc = linitial(branch->steps);
	const FoldTable *from = branch->from->table;
	const FoldTable *to = branch->level->table;

	if (!from->touched && !to->touched &&
		(branch->join == NULL || !branch->join->touched))
		return false;
	if (assoc->kind == ASSOC_BELONGS_TO)
		return !key_told_by_text(&assoc->key, from->info, to->info);
	if (assoc->kind != ASSOC_MANY_TO_MANY)
		return !key_told_by_text(&assoc->key, to->info, from->info);
	return !key_told_by_text(&assoc->key, branch->join->info, from->info) ||
		!key_told_by_text(&assoc->join_key, branch->join->info, to->info);
}

/* Work out what the answer says of a branch. */
static void
prepare_branch(Fold *fold, FoldBranch *branch)
{
	const Assoc *assoc = linitial(branch->steps);

	branch->reload = fold->reset || branch->level->table->blind;
	if (list_length(branch->steps) > 1)
		branch->reload |= path_changed(branch);
	else if (assoc->kind == ASSOC_BELONGS_TO)
		gather_told(branch);
	else if (assoc->kind == ASSOC_MANY_TO_MANY)
	{
		gather_told(branch);
		gather_pairs(branch);
		branch->reload |= unknown_owners(branch);
	}
	else
		gather_children(branch);
	if (list_length(branch->steps) == 1)
		branch->reload |= spelling_matters(branch);
}

/* ------------------------------------------------- one item's association */

/* What is to be loaded for a branch. */
typedef struct Loads
{
	FoldItems	anew;			/* items for which to load all of it */
	List	   *wants;			/* FoldWant: single rows */
} Loads;

/* An item wants a row that it, or a row of a join table, refers to. */
static void
want_row(Loads *loads, FoldItem *item, FoldKey key, JsonRow source,
		 const TableInfo *table, const AttrNumber *columns)
{
	FoldWant   *want = palloc0(sizeof(FoldWant));

	want->item = item;
	want->key = key;
	want->source = source;
	want->source_table = table;
	want->source_columns = columns;
	loads->wants = lappend(loads->wants, want);
}

/* The columns that an item's row is found by, as text. */
static bool
target_key(const FoldBranch *branch, const FoldItem *item, FoldKey *key)
{
	JsonRow		json = chatroom_fold_json(item);

	return chatroom_fold_key(branch->level->table->info, branch->targets,
							 branch->ntargets, &json, key) == FOLD_KEY_OK;
}

/* Belongs to: the row that the item refers to now. */
static void
apply_belongs_to(FoldBranch *branch, FoldItem *owner, Loads *loads)
{
	const Assoc *assoc = linitial(branch->steps);
	const TableInfo *table = branch->from->table->info;
	FoldItems  *items = &owner->assocs[branch->number];
	JsonRow		before = {NULL, owner->object};
	FoldItem   *item = items->n > 0 ? items->items[0] : NULL;
	FoldKey		wanted;
	FoldKey		had;
	FoldRow    *row;

	if (!chatroom_fold_owner_key(branch, owner, &wanted))
	{
		if (item != NULL)
			remove_item(items, 0);
		return;
	}
	if (item != NULL && target_key(branch, item, &had) &&
		same_key(had, wanted))
	{
		if (is_gone(branch->level, item) ||
			(item->image != NULL && !item_matches(branch->filter, item)))
			remove_item(items, 0);
		return;
	}
	if (item != NULL)
		remove_item(items, 0);
	else if (chatroom_fold_key(table, assoc->key.referencing, assoc->key.n,
							   &before, &had) == FOLD_KEY_OK &&
			 same_key(had, wanted))
	{
		/* it wasn't visible, or didn't meet the condition: does it now? */
		row = chatroom_fold_find(branch->told, wanted);
		if (row == NULL || !row_matches(branch->filter, row))
			return;
	}
	want_row(loads, owner, wanted, chatroom_fold_json(owner), table,
			 assoc->key.referencing);
}

/* Does an item belong to this owner? */
static bool
belongs_here(const FoldBranch *branch, const FoldItem *item, FoldKey owner)
{
	const Assoc *assoc = linitial(branch->steps);
	JsonRow		json = chatroom_fold_json(item);
	FoldKey		key;

	if (item->image == NULL)
		return true;
	return chatroom_fold_key(branch->level->table->info,
							 assoc->key.referencing, assoc->key.n, &json,
							 &key) == FOLD_KEY_OK &&
		same_key(key, owner) && item_matches(branch->filter, item);
}

/* Does an item have its rows by other values than before the answer? */
static bool
owner_changed(FoldBranch *branch, FoldItem *owner)
{
	const Assoc *assoc = linitial(branch->steps);
	const TableInfo *table = branch->from->table->info;
	const AttrNumber *columns = assoc->kind == ASSOC_BELONGS_TO ?
		assoc->key.referencing : assoc->key.referenced;
	JsonRow		before = {NULL, owner->object};
	FoldKey		had;
	FoldKey		has;
	FoldKeyResult known;
	bool		now;

	if (owner->image == NULL || owner->object == NULL)
		return false;
	known = chatroom_fold_key(table, columns, assoc->key.n, &before, &had);
	now = chatroom_fold_owner_key(branch, owner, &has);
	return now != (known == FOLD_KEY_OK) || (now && !same_key(had, has));
}

/* Has: the rows that refer to the item now. */
static void
apply_has(FoldBranch *branch, FoldItem *owner, Loads *loads)
{
	const Assoc *assoc = linitial(branch->steps);
	FoldItems  *items = &owner->assocs[branch->number];
	bool		full = items->n > 0;
	FoldItem   *first = full ? items->items[0] : NULL;
	FoldKey		key;
	bool		known = chatroom_fold_owner_key(branch, owner, &key);
	RowSet		held = {items, NULL};
	FoldItems	entering = {0};
	int			kept = 0;
	ListCell   *lc;

	for (int i = 0; i < items->n; i++)
		if (known && !is_gone(branch->level, items->items[i]) &&
			belongs_here(branch, items->items[i], key))
			items->items[kept++] = items->items[i];
	items->changed |= kept < items->n;
	items->n = kept;
	if (!known)
		return;

	/* the one row of several that there may be: another may take its place */
	if (owner_changed(branch, owner) ||
		(branch->to_one && !assoc->unique && full &&
		 (items->n == 0 || first->image != NULL)))
	{
		chatroom_fold_append(&loads->anew, owner);
		return;
	}
	settle_order(branch->level, items, branch->order);
	foreach(lc, (List *) chatroom_fold_find(branch->changes, key))
	{
		FoldRow    *row = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (!has_row(&held, row) && row_matches(branch->filter, row))
			chatroom_fold_append(&entering, told_item(branch->level, row));
	}
	place_items(items, &entering, branch->order);
	while (branch->to_one && items->n > 1)
		remove_item(items, items->n - 1);
}

/* What the answer says of an owner and an item of it; NULL: nothing. */
static FoldPair *
item_pair(const FoldBranch *branch, FoldKey owner, const FoldItem *item)
{
	FoldKey		target;
	FoldKey		key;

	if (!target_key(branch, item, &target))
		return NULL;
	return find_pair(branch, owner, target, &key);
}

/*
 * Is an item's pair gone?  When that went, the row may have had the key that
 * it has now, or the one before.
 */
static bool
is_parted(const FoldBranch *branch, FoldKey owner, const FoldItem *item)
{
	const FoldPair *pair = item_pair(branch, owner, item);
	JsonRow		before = {NULL, item->object};
	FoldKey		target;
	FoldKey		key;

	if (pair != NULL && !pair->present)
		return true;
	if (item->object == NULL || item->image == NULL ||
		chatroom_fold_key(branch->level->table->info, branch->targets,
						  branch->ntargets, &before, &target) != FOLD_KEY_OK)
		return false;
	pair = find_pair(branch, owner, target, &key);
	return pair != NULL && !pair->present;
}

/* Many to many, where the join table may have the same pair twice. */
static bool
is_ambiguous(const FoldBranch *branch, const FoldItems *items, FoldKey owner,
			 List *pairs)
{
	const Assoc *assoc = linitial(branch->steps);
	ListCell   *lc;

	if (assoc->pure_join || pairs == NIL)
		return false;
	foreach(lc, pairs)
	{
		const FoldPair *pair = lfirst(lc);

		if (!pair->present || pair->count > 1)
			return true;
	}
	for (int i = 0; i < items->n; i++)
		if (item_pair(branch, owner, items->items[i]) != NULL)
			return true;
	return false;
}

/* Many to many: does an item stay? */
static bool
stays_paired(const FoldBranch *branch, FoldKey owner, List *pairs,
			 FoldItem *item)
{
	const FoldPair *pair;

	if (is_gone(branch->level, item) ||
		(item->image != NULL && !item_matches(branch->filter, item)))
		return false;
	if (pairs == NIL)
		return !branch->join_truncated;
	if (is_parted(branch, owner, item))
		return false;
	if (!branch->join_truncated)
		return true;
	pair = item_pair(branch, owner, item);
	return pair != NULL && pair->present;
}

/* Many to many: the rows that the join table tells now. */
static void
apply_many_to_many(FoldBranch *branch, FoldItem *owner, Loads *loads)
{
	const Assoc *assoc = linitial(branch->steps);
	FoldItems  *items = &owner->assocs[branch->number];
	FoldKey		key;
	bool		known = chatroom_fold_owner_key(branch, owner, &key);
	List	   *pairs = known ? chatroom_fold_find(branch->changes, key) : NIL;
	int			kept = 0;
	ListCell   *lc;

	if (is_ambiguous(branch, items, key, pairs) ||
		(known && owner_changed(branch, owner)))
	{
		chatroom_fold_append(&loads->anew, owner);
		return;
	}
	for (int i = 0; i < items->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (known && stays_paired(branch, key, pairs, items->items[i]))
			items->items[kept++] = items->items[i];
	}
	items->changed |= kept < items->n;
	items->n = kept;
	settle_order(branch->level, items, branch->order);
	if (pairs == NIL)
		return;
	for (int i = 0; i < items->n; i++)
	{
		FoldPair   *pair = item_pair(branch, key, items->items[i]);

		CHECK_FOR_INTERRUPTS();
		if (pair != NULL)
			pair->shown_by = owner;
	}
	foreach(lc, pairs)
	{
		FoldPair   *pair = lfirst(lc);

		if (pair->present && pair->shown_by != owner)
			want_row(loads, owner, pair->target, pair->source,
					 branch->join->info, assoc->join_key.referencing);
	}
}

/* Through others, where nothing moved: rows may still be gone. */
static void
apply_through(FoldBranch *branch, FoldItem *owner, Loads *loads)
{
	FoldItems  *items = &owner->assocs[branch->number];
	int			kept = 0;

	if (owner_changed(branch, owner))
	{
		chatroom_fold_append(&loads->anew, owner);
		return;
	}
	for (int i = 0; i < items->n; i++)
		if (!is_gone(branch->level, items->items[i]))
			items->items[kept++] = items->items[i];
	items->changed |= kept < items->n;
	items->n = kept;
}

/* Does what an item has of an association stay as it stood in the value? */
static bool
stays_as_it_is(FoldBranch *branch, FoldItem *owner)
{
	JsonbValue	value;
	FoldKey		key;

	if (owner->object == NULL || owner->assocs[branch->number].parsed ||
		getKeyJsonValueFromContainer(owner->object, branch->name,
									 branch->namelen, &value) == NULL)
		return false;
	if (!branch->affected)
		return !owner_changed(branch, owner);
	return branch->selective && !branch->reload && owner->image == NULL &&
		(!chatroom_fold_owner_key(branch, owner, &key) ||
		 (chatroom_fold_find(branch->owners, key) == NULL &&
		  chatroom_fold_find(branch->changes, key) == NULL));
}

/* Apply the answer to what one item has. */
static void
apply_item(FoldBranch *branch, FoldItem *owner, Loads *loads)
{
	const Assoc *assoc = linitial(branch->steps);
	FoldItems  *items = &owner->assocs[branch->number];
	FoldKey		key;

	if (stays_as_it_is(branch, owner))
		return;
	chatroom_fold_parse_items(branch, owner);
	if (branch->reload ||
		(!items->parsed && list_length(branch->steps) > 1) ||
		(!branch->affected && items->parsed && owner_changed(branch, owner)))
		chatroom_fold_append(&loads->anew, owner);
	else if (!items->parsed && assoc->kind == ASSOC_BELONGS_TO)
	{
		items->changed = true;
		if (chatroom_fold_owner_key(branch, owner, &key))
			want_row(loads, owner, key, chatroom_fold_json(owner),
					 branch->from->table->info, assoc->key.referencing);
	}
	else if (!items->parsed)
		chatroom_fold_append(&loads->anew, owner);
	else if (!branch->affected)
		return;
	else if (list_length(branch->steps) > 1)
		apply_through(branch, owner, loads);
	else if (assoc->kind == ASSOC_BELONGS_TO)
		apply_belongs_to(branch, owner, loads);
	else if (assoc->kind == ASSOC_MANY_TO_MANY)
		apply_many_to_many(branch, owner, loads);
	else
		apply_has(branch, owner, loads);
	items->parsed = true;
}

/* ---------------------------------------------------------------- loading */

/* The value's items of a branch's level, by what refers to them. */
static void
gather_present(FoldBranch *branch)
{
	FoldLevel  *level = branch->level;

	chatroom_fold_parse(level);
	branch->present = fold_map_create(CurrentMemoryContext, 16, NULL);
	for (int i = 0; i < level->all.n; i++)
	{
		FoldItem   *item = level->all.items[i];
		FoldKey		key;

		if (!is_gone(level, item) && target_key(branch, item, &key) &&
			(item->row == NULL || item->row->trusted))
			chatroom_fold_put(&branch->present, key, item);
	}
}

/* Rows that an item gets, which wanted them one after the other. */
typedef struct Gift
{
	FoldItem   *owner;
	FoldItems	rows;
} Gift;

/* Put the rows at their places; of one the last stays. */
static void
hand_over(FoldBranch *branch, Gift *gift)
{
	FoldItems  *items;

	if (gift->rows.n == 0)
		return;
	items = &gift->owner->assocs[branch->number];
	if (branch->to_one)
	{
		items->n = 0;
		place_item(items, gift->rows.items[gift->rows.n - 1], branch->order);
	}
	else
		place_items(items, &gift->rows, branch->order);
	gift->rows.n = 0;
}

/* Give an item a row that it wanted; hand_over() puts it there. */
static void
give_item(FoldBranch *branch, const FoldWant *want, FoldItem *item,
		  Gift *gift)
{
	CHECK_FOR_INTERRUPTS();
	if (gift->owner != want->item)
		hand_over(branch, gift);
	gift->owner = want->item;
	if (item_matches(branch->filter, item))
		chatroom_fold_append(&gift->rows, item);
}

/* Find the rows that are wanted: in the value, the answer, or elsewhere. */
static void
find_wanted(Fold *fold, FoldBranch *branch, List *wants)
{
	List	   *rest = NIL;
	fold_map_hash *distinct = NULL;
	Gift		gift = {0};
	ListCell   *lc;

	if (wants == NIL)
		return;
	if (branch->present == NULL)
		gather_present(branch);
	foreach(lc, wants)
	{
		FoldWant   *want = lfirst(lc);
		FoldItem   *item = chatroom_fold_find(branch->present, want->key);
		FoldRow    *row = chatroom_fold_find(branch->told, want->key);

		if (item == NULL && row != NULL)
			item = told_item(branch->level, row);
		if (item != NULL)
			give_item(branch, want, item, &gift);
		else if (chatroom_fold_find(distinct, want->key) == NULL)
		{
			chatroom_fold_put(&distinct, want->key, want);
			rest = lappend(rest, want);
		}
	}
	hand_over(branch, &gift);
	if (rest == NIL)
		return;
	chatroom_fold_load_rows(fold, branch->level->table, branch->targets,
							branch->ntargets,
							chatroom_fold_columns(branch->level), rest, true);
	foreach(lc, wants)
	{
		FoldWant   *want = lfirst(lc);
		FoldWant   *found = chatroom_fold_find(distinct, want->key);

		if (found != NULL && found->image != NULL)
			give_item(branch, want,
					  loaded_item(branch->level, found->image), &gift);
	}
	hand_over(branch, &gift);
}

/* Load all that some items have by a branch. */
static void
load_anew(Fold *fold, FoldBranch *branch, const FoldItems *owners)
{
	JsonbContainer ***images;
	int		   *counts;

	if (owners->n == 0)
		return;
	images = chatroom_fold_load_assoc(fold, branch, owners->items, owners->n,
									  &counts);
	for (int i = 0; i < owners->n; i++)
	{
		FoldItems  *items = &owners->items[i]->assocs[branch->number];

		items->n = 0;
		items->parsed = items->changed = true;
		for (int j = 0; j < counts[i]; j++)
			chatroom_fold_append(items, loaded_item(branch->level,
													images[i][j]));
	}
}

/* --------------------------------------------------------------- the tree */

/* An item is to be looked at, once. */
static void
look_at(FoldLevel *level, FoldItem *item)
{
	if (item->seen || level->branches == NIL)
		return;
	item->seen = true;
	chatroom_fold_append(&level->live, item);
}

/* Apply the answer to all below the items of a level. */
static void
apply_level(Fold *fold, FoldLevel *level)
{
	ListCell   *lc;

	check_stack_depth();
	foreach(lc, level->branches)
	{
		FoldBranch *branch = lfirst(lc);
		Loads		loads = {0};

		if (branch->affected)
			prepare_branch(fold, branch);
		for (int i = 0; i < level->live.n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			apply_item(branch, level->live.items[i], &loads);
		}
		load_anew(fold, branch, &loads.anew);
		find_wanted(fold, branch, loads.wants);
		for (int i = 0; i < level->live.n; i++)
		{
			FoldItems  *items = &level->live.items[i]->assocs[branch->number];

			for (int j = 0; j < items->n; j++)
				look_at(branch->level, items->items[j]);
		}
		apply_level(fold, branch->level);
	}
}

/* --------------------------------------------------------------- the root */

/* The value can't be loaded anew: nobody told what it is. */
static void
cannot_load(Fold *fold)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("value can't be loaded anew"),
			 fold->reset ?
			 errdetail("The answer is a reset, and the value doesn't tell which rows it is of.") :
			 errdetail("Table \"%s\" has no key to tell its rows apart by.",
					   fold->root->table->info->name),
			 errhint("Give \"where\" in the options, {} for all rows; or read the rows, and go on from the answer's cursor.")));
}

/* The images of the rows that the value has, by their keys. */
static List *
load_by_key(Fold *fold)
{
	FoldTable  *table = fold->root->table;
	List	   *wants = NIL;
	List	   *images = NIL;
	ListCell   *lc;

	for (int i = 0; i < fold->items.n; i++)
	{
		FoldItem   *item = fold->items.items[i];
		Loads		loads = {0};

		want_row(&loads, item, item->key, chatroom_fold_json(item),
				 table->info, table->info->keys);
		wants = list_concat(wants, loads.wants);
	}
	chatroom_fold_load_rows(fold, table, table->info->keys,
							table->info->nkeys,
							chatroom_fold_columns(fold->root), wants, false);
	foreach(lc, wants)
	{
		FoldWant   *want = lfirst(lc);
		JsonRow		json = {want->image, NULL};

		if (want->image != NULL &&
			chatroom_filter_matches(fold->filter, &json))
			images = lappend(images, want->image);
	}
	return images;
}

/* The item that the value has of a row that was loaded, or a new one. */
static FoldItem *
root_item(Fold *fold, fold_map_hash *held, JsonbContainer *image)
{
	const TableInfo *table = fold->root->table->info;
	JsonRow		json = {image, NULL};
	FoldItem   *item = NULL;
	FoldKey		key = {NULL, 0};

	if (chatroom_fold_key(table, table->keys, table->nkeys, &json,
						  &key) == FOLD_KEY_OK)
		item = chatroom_fold_find(held, key);
	if (item == NULL)
	{
		item = chatroom_fold_new_item(fold->root, image);
		item->key = key;
	}
	item->image = image;
	return item;
}

/* Load the value's rows anew. */
static void
load_root(Fold *fold)
{
	FoldItems  *items = &fold->items;
	fold_map_hash *held = NULL;
	bool		defined = fold->has_where || fold->limit >= 0;
	bool		keyed = fold->root->table->info->nkeys > 0 && items->n > 0;
	List	   *images;
	ListCell   *lc;

	if (fold->list ? defined : (defined && items->n == 0))
		images = chatroom_fold_load_list(fold, fold->list ? fold->limit : 1);
	else if (keyed)
		images = load_by_key(fold);
	else
	{
		cannot_load(fold);
		return;
	}
	for (int i = 0; i < items->n && keyed; i++)
		chatroom_fold_put(&held, final_key(items->items[i]),
						  items->items[i]);
	items->n = 0;
	items->changed = true;
	foreach(lc, images)
		chatroom_fold_append(items, root_item(fold, held, lfirst(lc)));
}

/* Does a row come into the value's list, that has not been in it? */
static bool
enters_root(const Fold *fold, RowSet *held, const FoldRow *row)
{
	if (row->gone || has_row(held, row))
		return false;
	if (!fold->has_where && fold->limit < 0)
		return row->inserted ? row->move >= 0 : row->move > 0;
	return row_matches(fold->filter, row);
}

/* Does an item leave the value's list? */
static bool
leaves_root(const Fold *fold, const FoldItem *item)
{
	if (is_gone(fold->root, item))
		return true;
	if (item->image == NULL || item->row == NULL)
		return false;
	if (!fold->has_where && fold->limit < 0)
		return fold->list && item->row->move < 0;
	return !item_matches(fold->filter, item);
}

/* Is an item behind what was the page's last row? */
static bool
is_behind(const Fold *fold, const FoldItem *item, JsonbContainer *last)
{
	JsonRow		json = chatroom_fold_json(item);
	JsonRow		end = {NULL, last};

	return chatroom_compare_rows(fold->order, &json, &end) > 0;
}

/* Apply the answer to the value's list. */
static void
apply_list(Fold *fold)
{
	FoldLevel  *root = fold->root;
	FoldItems  *items = &fold->items;
	bool		full = fold->limit >= 0 && items->n >= fold->limit;
	JsonbContainer *last = full && items->n > 0 ?
		items->items[items->n - 1]->object : NULL;
	RowSet		held = {items, NULL};
	FoldItems	entering = {0};
	int			kept = 0;
	ListCell   *lc;

	for (int i = 0; i < items->n; i++)
		if (!leaves_root(fold, items->items[i]))
			items->items[kept++] = items->items[i];
	items->changed |= kept < items->n;
	items->n = kept;
	settle_order(root, items, fold->order);
	foreach(lc, root->table->rows)
	{
		FoldRow    *row = lfirst(lc);
		FoldItem   *item;

		CHECK_FOR_INTERRUPTS();
		if (!enters_root(fold, &held, row))
			continue;
		item = chatroom_fold_new_item(root, row->image);
		item->row = row;
		item->key = row->key;
		chatroom_fold_append(&entering, item);
	}
	place_items(items, &entering, fold->order);

	/* what is behind the page's end competes with rows that aren't known */
	while (last != NULL && items->n > 0 && items->changed &&
		   is_behind(fold, items->items[items->n - 1], last))
		remove_item(items, items->n - 1);
	while (fold->limit >= 0 && items->n > fold->limit)
		remove_item(items, items->n - 1);
	if (full && items->n < fold->limit)
		load_root(fold);
}

/* Apply the answer to the value that is one row, or null. */
static void
apply_single(Fold *fold)
{
	FoldItems  *items = &fold->items;
	bool		held = items->n > 0;
	ListCell   *lc;

	if (held && leaves_root(fold, items->items[0]))
		remove_item(items, 0);
	if (items->n > 0 || (held && !fold->has_where))
		return;
	foreach(lc, fold->root->table->rows)
	{
		FoldRow    *row = lfirst(lc);
		FoldItem   *item;

		if (row->gone || !row_matches(fold->filter, row) ||
			(!fold->has_where && !row->inserted))
			continue;
		item = chatroom_fold_new_item(fold->root, row->image);
		item->row = row;
		item->key = row->key;
		place_item(items, item, NULL);
		return;
	}
}

/* Apply an answer to the value. */
void
chatroom_fold_apply(Fold *fold)
{
	if (fold->reset || fold->root->table->blind)
		load_root(fold);
	else if (fold->list)
		apply_list(fold);
	else
		apply_single(fold);
	for (int i = 0; i < fold->items.n; i++)
		look_at(fold->root, fold->items.items[i]);
	apply_level(fold, fold->root);
}
