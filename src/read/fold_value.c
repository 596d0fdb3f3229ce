/*-------------------------------------------------------------------------
 *
 * fold_value.c
 *	  The value that a client holds: its rows, their keys, and writing it.
 *
 * Paths of associations make a tree of levels, each of which has the rows of
 * one table at one kind of place.  An object of the value becomes an item of
 * its level; what the object has of an association becomes items of the level
 * below, but only where that is needed: what nothing happens to is written as
 * it stood, byte by byte.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/jsonb_writer.h"
#include "base/watches.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "read/fold.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#define SH_PREFIX fold_map
#define SH_ELEMENT_TYPE FoldMapEntry
#define SH_KEY_TYPE FoldKey
#define SH_KEY key
#define SH_HASH_KEY(tb, key) \
	hash_bytes((const unsigned char *) (key).data, (key).len)
#define SH_EQUAL(tb, a, b) \
	((a).len == (b).len && memcmp((a).data, (b).data, (a).len) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) (a)->hash
#define SH_SCOPE extern
#define SH_DEFINE
#include "lib/simplehash.h"

/* ------------------------------------------------------------------- keys */

/* The text of a value, the same for equal numbers. */
static FoldKey
value_text(const JsonbValue *value)
{
	FoldKey		text;

	switch (value->type)
	{
		case jbvString:
			text.data = value->val.string.val;
			text.len = value->val.string.len;
			return text;
		case jbvNumeric:
			text.data = numeric_normalize(value->val.numeric);
			break;
		case jbvBool:
			text.data = value->val.boolean ? "true" : "false";
			break;
		default:
			text.data = JsonbToCString(NULL, value->val.binary.data,
									   value->val.binary.len);
			break;
	}
	text.len = strlen(text.data);
	return text;
}

/* A value as topics tell it; PIECE_NULL: they can't. */
Piece
chatroom_fold_piece(const JsonbValue *value)
{
	Piece		piece = {NULL, PIECE_NULL};

	/* keys of all rows of a value come here: no copies */
	if (value->type == jbvString)
	{
		piece.data = value->val.string.val;
		piece.len = value->val.string.len;
		return piece;
	}
	piece.data = chatroom_scalar_text(value);
	if (piece.data != NULL)
		piece.len = strlen(piece.data);
	return piece;
}

/* Some columns' values of a row as text. */
FoldKeyResult
chatroom_fold_key(const TableInfo *table, const AttrNumber *columns, int n,
				  const JsonRow *row, FoldKey *key)
{
	StringInfoData buf;
	JsonbValue	value;

	for (int i = 0; i < n; i++)
	{
		const TableColumn *column = &table->columns[columns[i] - 1];
		FoldKey		text;

		if (!chatroom_row_member(row, column->name, column->namelen, &value))
			return FOLD_KEY_MISSING;
		if (value.type == jbvNull)
			return FOLD_KEY_NULL;
		text = value_text(&value);
		if (n == 1)
		{
			*key = text;
			return FOLD_KEY_OK;
		}
		if (i == 0)
			initStringInfo(&buf);
		else
			appendStringInfoChar(&buf, '\0');
		appendBinaryStringInfo(&buf, text.data, text.len);
	}
	if (n == 0)
		return FOLD_KEY_MISSING;
	key->data = buf.data;
	key->len = buf.len;
	return FOLD_KEY_OK;
}

/* What is kept under a key; NULL: nothing. */
void *
chatroom_fold_find(fold_map_hash *map, FoldKey key)
{
	FoldMapEntry *entry = map == NULL ? NULL : fold_map_lookup(map, key);

	return entry == NULL ? NULL : entry->value;
}

/* Keep something under a key. */
void
chatroom_fold_put(fold_map_hash **map, FoldKey key, void *value)
{
	bool		found;

	if (*map == NULL)
		*map = fold_map_create(CurrentMemoryContext, 8, NULL);
	fold_map_insert(*map, key, &found)->value = value;
}

/* --------------------------------------------------------------- the tree */

/* A table, made known to the fold. */
static FoldTable *
known_table(Fold *fold, Oid relid)
{
	FoldTable  *table;
	ListCell   *lc;

	foreach(lc, fold->tables)
	{
		table = lfirst(lc);
		if (table->info->relid == relid)
			return table;
	}
	table = palloc0(sizeof(FoldTable));
	table->info = chatroom_open_table(relid);
	table->base = chatroom_relation_base(relid);
	table->base_len = strlen(table->base);
	table->readable = chatroom_readable_columns(table->info);
	for (int i = 0; i < table->info->nkeys; i++)
		table->needed = bms_add_member(table->needed, table->info->keys[i]);
	fold->tables = lappend(fold->tables, table);
	return table;
}

/* Columns of a table are needed to tell where its rows belong. */
static void
need_columns(FoldTable *table, const AttrNumber *columns, int n)
{
	for (int i = 0; i < n; i++)
		table->needed = bms_add_member(table->needed, columns[i]);
}

/* A level without branches. */
static FoldLevel *
make_level(Fold *fold, Oid relid, FoldBranch *branch)
{
	FoldLevel  *level = palloc0(sizeof(FoldLevel));

	level->fold = fold;
	level->table = known_table(fold, relid);
	level->table->shown = true;
	level->table->levels = lappend(level->table->levels, level);
	level->branch = branch;
	return level;
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

/* What a branch needs of the tables at its ends, and knows of its rows. */
static void
prepare_branch(Fold *fold, FoldBranch *branch)
{
	Assoc	   *assoc = linitial(branch->steps);
	FoldTable  *from = branch->from->table;
	FoldTable  *to = branch->level->table;

	need_columns(from, assoc->kind == ASSOC_BELONGS_TO ?
				 assoc->key.referencing : assoc->key.referenced,
				 assoc->key.n);
	if (list_length(branch->steps) > 1)
	{
		ListCell   *lc;

		foreach(lc, branch->steps)
		{
			Assoc	   *step = lfirst(lc);

			if (step->kind == ASSOC_MANY_TO_MANY)
				branch->passed =
					lappend(branch->passed,
							known_table(fold, step->join));
			if (step != llast(branch->steps))
				branch->passed =
					lappend(branch->passed,
							known_table(fold, step->to));
		}
		return;
	}
	if (assoc->where != NULL)
		branch->filter = chatroom_make_filter(to->info, assoc->where,
											  "the association's where");
	if (assoc->kind != ASSOC_BELONGS_TO)
		branch->order = chatroom_make_order(to->info, assoc->order,
											"the association's order");
	to->needed = chatroom_filter_columns(branch->filter, to->needed);
	if (branch->order != NULL)
		to->needed = chatroom_order_columns(branch->order, to->needed);
	switch (assoc->kind)
	{
		case ASSOC_BELONGS_TO:
			branch->targets = assoc->key.referenced;
			branch->ntargets = assoc->key.n;
			break;
		case ASSOC_MANY_TO_MANY:
			branch->targets = assoc->join_key.referenced;
			branch->ntargets = assoc->join_key.n;
			branch->join = known_table(fold, assoc->join);
			break;
		default:
			branch->targets = to->info->keys;
			branch->ntargets = to->info->nkeys;
			need_columns(to, assoc->key.referencing, assoc->key.n);
			break;
	}
	need_columns(to, branch->targets, branch->ntargets);
}

/* The branch of a name, made where there is none yet. */
static FoldBranch *
find_branch(Fold *fold, FoldLevel *level, char *name)
{
	FoldBranch *branch;
	ListCell   *lc;

	foreach(lc, level->branches)
	{
		branch = lfirst(lc);
		if (strcmp(branch->name, name) == 0)
			return branch;
	}
	branch = palloc0(sizeof(FoldBranch));
	branch->name = name;
	branch->namelen = strlen(name);
	branch->number = list_length(level->branches);
	branch->assoc = chatroom_loadable_assoc(level->table->info, name);
	branch->steps = chatroom_expand_association(branch->assoc);
	branch->to_one = leads_to_one(branch->steps);
	branch->from = level;
	branch->level = make_level(fold, ((Assoc *) llast(branch->steps))->to,
							   branch);
	prepare_branch(fold, branch);
	level->branches = lappend(level->branches, branch);
	return branch;
}

/* The tree of some paths. */
FoldLevel *
chatroom_fold_root(Fold *fold, Oid relid, ArrayType *preload)
{
	FoldLevel  *root = make_level(fold, relid, NULL);
	ListCell   *lc;
	ListCell   *ln;

	fold->big_numbers = -1;
	foreach(lc, chatroom_array_texts(preload, "preload"))
	{
		FoldLevel  *level = root;

		foreach(ln, chatroom_split_path(lfirst(lc)))
			level = find_branch(fold, level,
								chatroom_path_name(level->table->info,
												   lfirst(ln)))->level;
	}
	return root;
}

/* The first object at the end of a path that an object leads to, or NULL. */
static JsonbContainer *
first_below(JsonbContainer *object, List *path, int depth)
{
	FoldBranch *branch;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbContainer *found = NULL;
	JsonbValue	value;

	check_stack_depth();
	if (depth == list_length(path))
		return object;
	branch = list_nth(path, depth);
	if (getKeyJsonValueFromContainer(object, branch->name, branch->namelen,
									 &value) == NULL ||
		value.type != jbvBinary)
		return NULL;
	if (JsonContainerIsObject(value.val.binary.data))
		return first_below(value.val.binary.data, path, depth + 1);
	iterator = JsonbIteratorInit(value.val.binary.data);
	while (found == NULL &&
		   (token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_ELEM && value.type == jbvBinary &&
			JsonContainerIsObject(value.val.binary.data))
			found = first_below(value.val.binary.data, path, depth + 1);
	return found;
}

/* The first object that the value has at a level, or NULL. */
static JsonbContainer *
first_object(const FoldLevel *level)
{
	const FoldItems *roots = &level->fold->root->all;
	JsonbContainer *found = NULL;
	List	   *path = NIL;

	for (; level->branch != NULL; level = level->branch->from)
		path = lcons(level->branch, path);
	for (int i = 0; i < roots->n && found == NULL; i++)
		found = first_below(roots->items[i]->object, path, 0);
	return found;
}

/* The columns that rows which come into a level show. */
Bitmapset *
chatroom_fold_columns(FoldLevel *level)
{
	const TableInfo *table = level->table->info;
	JsonbContainer *object;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	key;

	if (level->columns != NULL)
		return level->columns;
	object = first_object(level);
	if (object == NULL)
	{
		level->columns = level->table->readable;
		return level->columns;
	}
	iterator = JsonbIteratorInit(object);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		TableColumn *column;

		if (token != WJB_KEY)
			continue;
		column = chatroom_column(table, key.val.string.val,
								 key.val.string.len);
		if (column != NULL &&
			bms_is_member(column->attnum, level->table->readable))
			level->columns = bms_add_member(level->columns, column->attnum);
	}
	return level->columns;
}

/* ---------------------------------------------------------------- parsing */

/* Add an item. */
void
chatroom_fold_append(FoldItems *items, FoldItem *item)
{
	if (items->n == items->allocated)
	{
		int			n = Max(8, items->allocated * 2);

		items->items = items->allocated == 0 ?
			palloc(sizeof(FoldItem *) * n) :
			repalloc(items->items, sizeof(FoldItem *) * n);
		items->allocated = n;
	}
	items->items[items->n++] = item;
}

/* A row that comes in. */
FoldItem *
chatroom_fold_new_item(FoldLevel *level, JsonbContainer *image)
{
	FoldItem   *item = palloc0(sizeof(FoldItem));

	item->image = image;
	item->written = -1;
	if (level->branches != NIL)
		item->assocs = palloc0(sizeof(FoldItems) *
							   list_length(level->branches));
	return item;
}

/* An item as conditions see it. */
JsonRow
chatroom_fold_json(const FoldItem *item)
{
	JsonRow		json = {item->image, item->object};

	return json;
}

/* An object of the value becomes an item. */
static FoldItem *
take_object(FoldLevel *level, const JsonbValue *value)
{
	const TableInfo *table = level->table->info;
	FoldItem   *item;
	JsonRow		json;

	if (value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value must have an object for each row of \"%s\"",
						table->name),
				 errdetail("It has %s.", chatroom_json_kind(value))));
	item = chatroom_fold_new_item(level, NULL);
	item->object = value->val.binary.data;
	item->len = value->val.binary.len;
	json = chatroom_fold_json(item);
	if (table->nkeys > 0 &&
		chatroom_fold_key(table, table->keys, table->nkeys, &json,
						  &item->key) != FOLD_KEY_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value has a row of \"%s\" without its key",
						table->name),
				 errhint("Rows are told apart by the columns of the table's key.")));
	chatroom_fold_append(&level->all, item);
	chatroom_fold_match(level, item);
	return item;
}

/* A member that is no list, or no object, where there should be one. */
static void
bad_member(const FoldBranch *branch, const JsonbValue *value)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value has %s for \"%s\" of \"%s\"",
					chatroom_json_kind(value), branch->name,
					branch->from->table->info->name),
			 branch->to_one ?
			 errhint("The association has one row: it is an object or null.") :
			 errhint("The association has many rows: it is a list.")));
}

/* Take what an item's object has of an association. */
void
chatroom_fold_parse_items(FoldBranch *branch, FoldItem *item)
{
	FoldItems  *items = &item->assocs[branch->number];
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	JsonbValue	element;

	if (items->parsed || item->object == NULL ||
		!getKeyJsonValueFromContainer(item->object, branch->name,
									  branch->namelen, &value))
		return;
	items->parsed = true;
	if (branch->to_one)
	{
		if (value.type == jbvBinary &&
			JsonContainerIsObject(value.val.binary.data))
			chatroom_fold_append(items, take_object(branch->level, &value));
		else if (value.type != jbvNull)
			bad_member(branch, &value);
		return;
	}
	if (value.type != jbvBinary ||
		!JsonContainerIsArray(value.val.binary.data))
		bad_member(branch, &value);
	iterator = JsonbIteratorInit(value.val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &element,
									  true)) != WJB_DONE)
		if (token == WJB_ELEM)
			chatroom_fold_append(items, take_object(branch->level, &element));
}

/* Know all items that the value has at a level. */
void
chatroom_fold_parse(FoldLevel *level)
{
	FoldBranch *branch = level->branch;

	if (level->parsed)
		return;
	level->parsed = true;
	if (branch == NULL)
		return;
	chatroom_fold_parse(branch->from);
	for (int i = 0; i < branch->from->all.n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		chatroom_fold_parse_items(branch, branch->from->all.items[i]);
	}
}

/* Take the value; false: it is a scalar, which has no rows. */
bool
chatroom_fold_take(Fold *fold, Jsonb *value)
{
	FoldLevel  *root = fold->root;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;

	root->parsed = true;
	if (JB_ROOT_IS_SCALAR(value))
	{
		(void) JsonbExtractScalar(&value->root, &element);
		return element.type == jbvNull;
	}
	fold->list = JB_ROOT_IS_ARRAY(value);
	if (!fold->list)
	{
		chatroom_jsonb_value(value, &element);
		chatroom_fold_append(&fold->items, take_object(root, &element));
		return true;
	}
	iterator = JsonbIteratorInit(&value->root);
	while ((token = JsonbIteratorNext(&iterator, &element,
									  true)) != WJB_DONE)
		if (token == WJB_ELEM)
			chatroom_fold_append(&fold->items, take_object(root, &element));
	return true;
}

/* The values by which an item has its rows of an association; false: null. */
bool
chatroom_fold_owner_key(FoldBranch *branch, FoldItem *item, FoldKey *key)
{
	const Assoc *assoc = linitial(branch->steps);
	const TableInfo *table = branch->from->table->info;
	const AttrNumber *columns = assoc->kind == ASSOC_BELONGS_TO ?
		assoc->key.referencing : assoc->key.referenced;
	JsonRow		json = chatroom_fold_json(item);

	switch (chatroom_fold_key(table, columns, assoc->key.n, &json, key))
	{
		case FOLD_KEY_OK:
			return true;
		case FOLD_KEY_NULL:
			return false;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("value has a row of \"%s\" without what \"%s\" goes by",
							table->name, branch->name),
					 errhint("Its objects need column \"%s\".",
							 table->columns[columns[0] - 1].name)));
			return false;		/* keep compiler quiet */
	}
}

/* ---------------------------------------------------------------- writing */

/* Is an item to be written anew, because of itself or what is below? */
static bool
is_changed(const FoldLevel *level, FoldItem *item)
{
	ListCell   *lc;

	check_stack_depth();
	if (item->written < 0)
		item->written = item->object == NULL || item->image != NULL;
	foreach(lc, level->branches)
	{
		const FoldBranch *branch = lfirst(lc);
		FoldItems  *items;

		if (item->written > 0)
			break;
		items = &item->assocs[branch->number];
		if (items->changed)
			item->written = 1;
		for (int i = 0; i < items->n && item->written == 0; i++)
			item->written = is_changed(branch->level, items->items[i]);
	}
	return item->written > 0;
}

/* Is a column's type one that watches may show as strings? */
static bool
is_big_number(const TableColumn *column)
{
	return column->caster.base == INT8OID ||
		column->caster.base == NUMERICOID;
}

/* Is this a number written as a string? */
static bool
is_number_string(const JsonbValue *value)
{
	return value->type == jbvString && value->val.string.len > 0 &&
		strspn(pnstrdup(value->val.string.val, value->val.string.len),
			   "-+0123456789.eE") == value->val.string.len;
}

/* How do the value's rows have big numbers?  1: as strings, -1: no telling. */
static int
find_big_numbers(const FoldLevel *level)
{
	const TableInfo *table = level->table->info;
	JsonbContainer *object = first_object(level);
	int			result = -1;
	JsonbValue	value;
	ListCell   *lc;

	for (int i = 0; i < table->natts && object != NULL && result < 0; i++)
	{
		const TableColumn *column = &table->columns[i];

		if (column->dropped || !is_big_number(column) ||
			getKeyJsonValueFromContainer(object, column->name,
										 column->namelen, &value) == NULL)
			continue;
		if (value.type == jbvNumeric)
			result = 0;
		else if (is_number_string(&value))
			result = 1;
	}
	foreach(lc, level->branches)
		if (result < 0)
			result = find_big_numbers(((FoldBranch *) lfirst(lc))->level);
	return result;
}

/* Write a big number as the value has them, whatever the watch does. */
static void
fit_number(FoldLevel *level, const TableColumn *column, JsonbValue *value)
{
	Fold	   *fold = level->fold;
	Datum		datum;

	if (!is_big_number(column) ||
		(value->type != jbvNumeric && !is_number_string(value)))
		return;
	if (fold->big_numbers < 0)
	{
		fold->big_numbers = find_big_numbers(fold->root);
		if (fold->big_numbers < 0)
			fold->big_numbers = 2;
	}
	if (fold->big_numbers == 1 && value->type == jbvNumeric)
	{
		Piece		piece = chatroom_fold_piece(value);

		value->type = jbvString;
		value->val.string.val = (char *) piece.data;
		value->val.string.len = piece.len;
	}
	else if (fold->big_numbers == 0 && value->type == jbvString)
	{
		char	   *text = pnstrdup(value->val.string.val,
									value->val.string.len);

		datum = DirectFunctionCall3(numeric_in, CStringGetDatum(text),
									ObjectIdGetDatum(InvalidOid),
									Int32GetDatum(-1));
		value->type = jbvNumeric;
		value->val.numeric = DatumGetNumeric(datum);
	}
}

/* One pair of an object that is written. */
typedef struct Pair
{
	JsonbKey	key;
	JsonbValue	value;
	const FoldBranch *branch;	/* not NULL: its rows instead */
} Pair;

/* The branch of a member's name, or NULL. */
static const FoldBranch *
named_branch(const FoldLevel *level, const char *name, int len)
{
	ListCell   *lc;

	foreach(lc, level->branches)
	{
		const FoldBranch *branch = lfirst(lc);

		if (branch->namelen == len && memcmp(branch->name, name, len) == 0)
			return branch;
	}
	return NULL;
}

/* The pairs of an object as it stood, with newer values. */
static int
object_pairs(FoldLevel *level, const FoldItem *item, Pair *pairs)
{
	JsonbIterator *iterator = JsonbIteratorInit(item->object);
	JsonbIteratorToken token;
	JsonbValue	key;
	int			n = 0;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		Pair	   *pair = &pairs[n];
		const TableColumn *column;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &pair->value, true);
		pair->key.name = key.val.string.val;
		pair->key.namelen = key.val.string.len;
		pair->branch = named_branch(level, pair->key.name, pair->key.namelen);
		if (pair->branch != NULL && !item->assocs[pair->branch->number].parsed)
			pair->branch = NULL;
		n++;
		if (item->image == NULL || pair->branch != NULL)
			continue;
		column = chatroom_column(level->table->info, pair->key.name,
								 pair->key.namelen);
		if (column == NULL)
			continue;
		if (getKeyJsonValueFromContainer(item->image, pair->key.name,
										 pair->key.namelen, &pair->value))
			fit_number(level, column, &pair->value);
		else
			n--;				/* the caller may not see it any more */
	}
	return n;
}

/* The pairs of a row that comes in: its columns. */
static int
image_pairs(FoldLevel *level, const FoldItem *item, Pair *pairs)
{
	Bitmapset  *columns = chatroom_fold_columns(level);
	JsonbIterator *iterator = JsonbIteratorInit(item->image);
	JsonbIteratorToken token;
	JsonbValue	key;
	int			n = 0;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		const TableColumn *column;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &pairs[n].value, true);
		column = chatroom_column(level->table->info, key.val.string.val,
								 key.val.string.len);
		if (column == NULL || !bms_is_member(column->attnum, columns))
			continue;
		pairs[n].key.name = key.val.string.val;
		pairs[n].key.namelen = key.val.string.len;
		fit_number(level, column, &pairs[n].value);
		pairs[n++].branch = NULL;
	}
	return n;
}

/* Add the associations that an object didn't have. */
static int
branch_pairs(const FoldLevel *level, const FoldItem *item, Pair *pairs, int n)
{
	int			old = n;
	ListCell   *lc;

	foreach(lc, level->branches)
	{
		const FoldBranch *branch = lfirst(lc);
		JsonbValue	value;

		if (!item->assocs[branch->number].parsed ||
			(item->object != NULL &&
			 getKeyJsonValueFromContainer(item->object, branch->name,
										  branch->namelen, &value)))
			continue;
		pairs[n].key.name = branch->name;
		pairs[n].key.namelen = branch->namelen;
		pairs[n++].branch = branch;
	}
	if (n > old)
		chatroom_sort_keys(pairs, n, sizeof(Pair));
	return n;
}

static void put_item(StringInfo buf, JsonbFrame *parent, FoldLevel *level,
					 FoldItem *item);

/* Put items as a list, or as the one or none that there is. */
static void
put_items(StringInfo buf, JsonbFrame *parent, FoldLevel *level,
		  const FoldItems *items, bool to_one)
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

/* Put an item. */
static void
put_item(StringInfo buf, JsonbFrame *parent, FoldLevel *level, FoldItem *item)
{
	Pair	   *pairs;
	JsonbFrame	frame;
	int			n;

	CHECK_FOR_INTERRUPTS();
	if (parent != NULL && !is_changed(level, item))
	{
		JsonbValue	value;

		value.type = jbvBinary;
		value.val.binary.data = item->object;
		value.val.binary.len = item->len;
		chatroom_put_value(buf, parent, &value);
		return;
	}
	n = JsonContainerSize(item->object ? item->object : item->image);
	pairs = palloc(sizeof(Pair) * (n + list_length(level->branches) + 1));
	n = item->object ? object_pairs(level, item, pairs) :
		image_pairs(level, item, pairs);
	n = branch_pairs(level, item, pairs, n);
	chatroom_begin_keys(buf, &frame, pairs, n, sizeof(Pair));
	for (int i = 0; i < n; i++)
	{
		const FoldBranch *branch = pairs[i].branch;

		if (branch != NULL)
			put_items(buf, &frame, branch->level,
					  &item->assocs[branch->number], branch->to_one);
		else
			chatroom_put_value(buf, &frame, &pairs[i].value);
	}
	chatroom_end(buf, &frame, parent);
	pfree(pairs);
}

/* The value as it is now, in the current context. */
Jsonb *
chatroom_fold_write(Fold *fold, Jsonb *value)
{
	StringInfoData buf;
	bool		changed = fold->items.changed;

	for (int i = 0; i < fold->items.n && !changed; i++)
		changed = is_changed(fold->root, fold->items.items[i]);
	if (!changed)
		return value;
	if (!fold->list && fold->items.n == 0)
	{
		JsonbValue	null;

		null.type = jbvNull;
		return JsonbValueToJsonb(&null);
	}
	chatroom_jsonb_start(&buf);
	enlargeStringInfo(&buf, VARSIZE(value) + 512);
	put_items(&buf, NULL, fold->root, &fold->items, !fold->list);
	return chatroom_jsonb_finish(&buf);
}
