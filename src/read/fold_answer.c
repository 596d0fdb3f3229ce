/*-------------------------------------------------------------------------
 *
 * fold_answer.c
 *	  What an answer says of which rows.
 *
 * The events of an answer are gathered by row: what counts in the end is
 * whether the row is there, and its newest image.  A row is known by the key
 * that it had before the answer (that's what the value has) and by the one
 * that it has after it; an event that changes the key moves it from one name
 * to another.  What happens then under the new name need not be told, where
 * the topics asked for knew the old one: such rows are loaded.
 *
 * The value knows nothing of join tables' rows: their events are kept as they
 * are, and looked through by the associations that go across the table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/event.h"
#include "base/watches.h"
#include "read/fold.h"

/* An answer that is none. */
static void
bad_answer(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("answer is not one of chatroom.sync()"),
			 errdetail_internal("%s", detail)));
}

/* A member of an event that is an object; NULL: it is none. */
JsonbContainer *
chatroom_fold_member(JsonbContainer *event, const char *name)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(event, name, strlen(name),
									 &value) == NULL ||
		value.type != jbvBinary ||
		!JsonContainerIsObject(value.val.binary.data))
		return NULL;
	return value.val.binary.data;
}

/* A member that is a list, or NULL. */
static JsonbContainer *
list_member_of(JsonbContainer *event, const char *name)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(event, name, strlen(name),
									 &value) == NULL ||
		value.type != jbvBinary ||
		!JsonContainerIsArray(value.val.binary.data))
		return NULL;
	return value.val.binary.data;
}

/* The types of events that are of rows. */
static const char *const row_types[] = {
	"insert", "update", "delete", "enter", "leave", "truncate"
};

/* The type of an event; NULL: none that is of rows. */
const char *
chatroom_fold_type(JsonbContainer *event)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(event, "type", 4, &value) == NULL ||
		value.type != jbvString)
		bad_answer("It has an event without \"type\".");
	for (int i = 0; i < lengthof(row_types); i++)
		if (strlen(row_types[i]) == value.val.string.len &&
			memcmp(row_types[i], value.val.string.val,
				   value.val.string.len) == 0)
			return row_types[i];
	return NULL;
}

/* Is an event of this type, as chatroom_fold_type() gave it? */
static bool
is_type(const char *type, const char *name)
{
	return strcmp(type, name) == 0;
}

/* The table that an event is of, if the value has to do with it. */
static FoldTable *
event_table(Fold *fold, JsonbContainer *event)
{
	JsonbValue	value;
	ListCell   *lc;

	if (getKeyJsonValueFromContainer(event, "table", 5, &value) == NULL ||
		value.type != jbvString)
		bad_answer("It has an event without \"table\".");
	foreach(lc, fold->tables)
	{
		FoldTable  *table = lfirst(lc);

		if (table->base_len == value.val.string.len &&
			memcmp(table->base, value.val.string.val,
				   table->base_len) == 0)
			return table;
	}
	return NULL;
}

/* Has an image all of these columns? */
bool
chatroom_fold_has(const TableInfo *table, JsonbContainer *image,
				  const Bitmapset *columns)
{
	int			attnum = -1;
	JsonbValue	value;

	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		const TableColumn *column = &table->columns[attnum - 1];

		if (getKeyJsonValueFromContainer(image, column->name,
										 column->namelen, &value) == NULL)
			return false;
	}
	return true;
}

/* Did an event change one of these columns, or may it have? */
bool
chatroom_fold_event_changed(FoldTable *table, JsonbContainer *event,
							const Bitmapset *columns)
{
	JsonbContainer *changed;
	JsonbContainer *row;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	name;

	if (!is_type(chatroom_fold_type(event), "update"))
		return true;
	row = chatroom_fold_member(event, "row");
	changed = list_member_of(event, "changed");

	/* of columns that aren't shown it isn't told */
	if (changed == NULL || row == NULL ||
		!chatroom_fold_has(table->info, row, columns))
		return true;
	iterator = JsonbIteratorInit(changed);
	while ((token = JsonbIteratorNext(&iterator, &name, true)) != WJB_DONE)
	{
		TableColumn *column;

		if (token != WJB_ELEM || name.type != jbvString)
			continue;
		column = chatroom_column(table->info, name.val.string.val,
								 name.val.string.len);
		if (column != NULL && bms_is_member(column->attnum, columns))
			return true;
	}
	return false;
}

/* ------------------------------------------------- which topics brought it */

/* How the topic of an association ends that a column's value makes. */
static FoldKey
column_end(const JsonbValue *name, const JsonbValue *value)
{
	StringInfoData buf;
	Piece		piece = chatroom_fold_piece(value);

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '.');
	chatroom_append_identifier(&buf, name->val.string.val,
							   name->val.string.len);
	appendStringInfoChar(&buf, ':');
	chatroom_append_topic_key(&buf, &piece, 1);
	return (FoldKey){buf.data, buf.len};
}

/* How the topic of a row ends by its key; empty: not all of it is there. */
static FoldKey
key_end(const TableInfo *table, const JsonRow *row)
{
	Piece	   *pieces = palloc(sizeof(Piece) * Max(table->nkeys, 1));
	StringInfoData buf;

	for (int i = 0; i < table->nkeys; i++)
	{
		const TableColumn *column = &table->columns[table->keys[i] - 1];
		JsonbValue	value;

		if (!chatroom_row_member(row, column->name, column->namelen, &value))
			return (FoldKey){NULL, 0};
		pieces[i] = chatroom_fold_piece(&value);
	}
	initStringInfo(&buf);
	chatroom_append_row_topic(&buf, "", pieces, table->nkeys);
	return (FoldKey){buf.data, buf.len};
}

/* Does a topic end so? */
static bool
ends_so(const JsonbValue *topic, FoldKey end)
{
	int			rest = topic->val.string.len - end.len;

	return end.len > 0 && rest > 0 &&
		memcmp(topic->val.string.val + rest, end.data, end.len) == 0;
}

/*
 * Does a topic tell an old value, or a new one, of what an update changed?
 * -1: an old one, 1: a new one, 0: neither.
 */
static int
topic_side(const JsonbValue *topic, JsonbContainer *old, JsonbContainer *row)
{
	JsonbIterator *iterator = JsonbIteratorInit(old);
	JsonbIteratorToken token;
	JsonbValue	name;
	JsonbValue	value;
	JsonbValue	now;

	while ((token = JsonbIteratorNext(&iterator, &name, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		if (value.type != jbvNull && ends_so(topic, column_end(&name, &value)))
			return -1;
		if (row != NULL &&
			getKeyJsonValueFromContainer(row, name.val.string.val,
										 name.val.string.len, &now) != NULL &&
			now.type != jbvNull && ends_so(topic, column_end(&name, &now)))
			return 1;
	}
	return 0;
}

/*
 * Work out by which topics an update came.  By none but those that it left:
 * what happens to the row later isn't told.  The key that the row had is among
 * what it left, also where only some of its columns changed.
 */
static void
judge_topics(const FoldTable *table, FoldRow *row, JsonbContainer *event,
			 JsonbContainer *old)
{
	JsonbContainer *topics = list_member_of(event, "topics");
	JsonRow		before = {old, row->source.image};
	FoldKey		old_key;
	FoldKey		new_key;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	topic;
	bool		sides[3] = {false, false, false};

	row->trusted = true;
	row->move = 0;
	if (topics == NULL || old == NULL)
		return;
	old_key = key_end(table->info, &before);
	new_key = key_end(table->info, &row->source);
	iterator = JsonbIteratorInit(topics);
	while ((token = JsonbIteratorNext(&iterator, &topic, true)) != WJB_DONE)
	{
		int			side;

		if (token != WJB_ELEM || topic.type != jbvString)
			continue;
		if (ends_so(&topic, old_key) && !ends_so(&topic, new_key))
			side = -1;
		else
			side = topic_side(&topic, old,
							  chatroom_fold_member(event, "row"));
		sides[1 + side] = true;
	}
	row->trusted = sides[1] || sides[2] || !sides[0];
	if (!sides[1] && sides[0] != sides[2])
		row->move = sides[2] ? 1 : -1;
}

/* ------------------------------------------------------------------- rows */

/* The row of a key now, made known where it isn't. */
static FoldRow *
current_row(FoldTable *table, FoldKey key)
{
	FoldRow    *row = chatroom_fold_find(table->current, key);

	if (row != NULL)
		return row;
	row = palloc0(sizeof(FoldRow));
	row->key = key;
	row->trusted = true;
	table->rows = lappend(table->rows, row);
	chatroom_fold_put(&table->current, key, row);
	if (chatroom_fold_find(table->initial, key) == NULL)
		chatroom_fold_put(&table->initial, key, row);
	return row;
}

/* The row that an event is of; NULL: that can't be told. */
static FoldRow *
event_row(FoldTable *table, JsonbContainer *event, const char *type,
		  JsonRow *source)
{
	const TableInfo *info = table->info;
	JsonbContainer *old = chatroom_fold_member(event, "old");
	FoldKey		key;
	FoldKey		old_key;
	FoldRow    *row;
	JsonRow		before;

	source->image = chatroom_fold_member(event, "key");
	source->object = NULL;
	if (chatroom_fold_key(info, info->keys, info->nkeys, source,
						  &key) != FOLD_KEY_OK)
		return NULL;
	before.image = old;
	before.object = source->image;
	if (old != NULL && is_type(type, "update") &&
		chatroom_fold_key(info, info->keys, info->nkeys, &before,
						  &old_key) == FOLD_KEY_OK &&
		(old_key.len != key.len ||
		 memcmp(old_key.data, key.data, key.len) != 0))
	{
		row = current_row(table, old_key);
		(void) fold_map_delete(table->current, old_key);
		row->key = key;
		row->renamed = true;
		chatroom_fold_put(&table->current, key, row);
		return row;
	}
	return current_row(table, key);
}

/* All rows of a table are gone. */
static void
truncate_table(FoldTable *table)
{
	ListCell   *lc;

	table->truncated = true;
	foreach(lc, table->rows)
	{
		FoldRow    *row = lfirst(lc);

		row->gone = true;
		row->image = NULL;
		row->events = NIL;
	}
}

/* Note an event of a table that the value has rows of. */
static void
note_row(FoldTable *table, JsonbContainer *event, const char *type)
{
	JsonRow		source;
	FoldRow    *row;

	if (is_type(type, "truncate"))
	{
		truncate_table(table);
		return;
	}
	row = event_row(table, event, type, &source);
	if (row == NULL)
	{
		table->blind = true;
		return;
	}
	row->source = source;
	row->events = lappend(row->events, event);
	row->gone = is_type(type, "delete") || is_type(type, "leave");
	row->image = row->gone ? NULL : chatroom_fold_member(event, "row");
	if (row->gone)
		row->inserted = false;
	else if (!is_type(type, "update"))
		row->inserted = true;
	if (is_type(type, "update"))
		judge_topics(table, row, event, chatroom_fold_member(event, "old"));
	else
	{
		row->trusted = true;
		row->move = 0;
	}
}

/* Note an event. */
static void
note_event(Fold *fold, JsonbContainer *event)
{
	const char *type = chatroom_fold_type(event);
	FoldTable  *table;

	if (type == NULL)
		return;
	table = event_table(fold, event);
	if (table == NULL)
		return;
	table->touched = true;
	table->events = lappend(table->events, event);
	if (table->shown)
		note_row(table, event, type);
}

/* Read an answer. */
void
chatroom_fold_read_answer(Fold *fold, Jsonb *answer)
{
	JsonbContainer *events;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(answer))
		bad_answer("It is no object.");
	if (getKeyJsonValueFromContainer(&answer->root, "reset", 5,
									 &value) == NULL ||
		value.type != jbvBool)
		bad_answer("It has no \"reset\".");
	fold->reset = value.val.boolean;
	if (fold->reset)
		return;
	events = list_member_of(&answer->root, "events");
	if (events == NULL)
		bad_answer("It has no \"events\".");
	iterator = JsonbIteratorInit(events);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (value.type != jbvBinary ||
			!JsonContainerIsObject(value.val.binary.data))
			bad_answer("It has an event that is no object.");
		note_event(fold, value.val.binary.data);
	}
}

/* ---------------------------------------------------- rows and the value */

/* Does an image lack columns that an object shows, and the caller may see? */
static bool
lacks_members(const FoldTable *table, JsonbContainer *image,
			  JsonbContainer *object)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		const TableColumn *column;

		if (token != WJB_KEY)
			continue;
		column = chatroom_column(table->info, key.val.string.val,
								 key.val.string.len);
		if (column != NULL &&
			bms_is_member(column->attnum, table->readable) &&
			getKeyJsonValueFromContainer(image, column->name,
										 column->namelen, &value) == NULL)
			return true;
	}
	return false;
}

/* Find out what the answer says of an item of the value. */
void
chatroom_fold_match(FoldLevel *level, FoldItem *item)
{
	FoldTable  *table = level->table;
	FoldRow    *row;

	if (table->initial == NULL)
		return;
	row = chatroom_fold_find(table->initial, item->key);
	item->row = row;
	if (row != NULL && !row->gone &&
		(row->image == NULL || (row->renamed && !row->trusted) ||
		 lacks_members(table, row->image, item->object)))
		row->incomplete = true;
	if (row != NULL && level->fold->prepared)
		item->image = row->image;
}

/* Load the rows of which the answer doesn't tell all that is needed. */
static void
complete_rows(Fold *fold, FoldTable *table)
{
	Bitmapset  *columns = bms_copy(table->needed);
	List	   *rows = NIL;
	List	   *wants = NIL;
	ListCell   *lc;
	ListCell   *lw;

	foreach(lc, table->levels)
		columns = bms_add_members(columns, chatroom_fold_columns(lfirst(lc)));
	columns = bms_int_members(columns, table->readable);
	foreach(lc, table->rows)
	{
		FoldRow    *row = lfirst(lc);
		FoldWant   *want;

		if (row->gone ||
			(!row->incomplete && row->image != NULL &&
			 chatroom_fold_has(table->info, row->image, columns)))
			continue;
		want = palloc0(sizeof(FoldWant));
		want->key = row->key;
		want->source = row->source;
		want->source_table = table->info;
		want->source_columns = table->info->keys;
		rows = lappend(rows, row);
		wants = lappend(wants, want);
	}
	if (rows == NIL)
		return;
	chatroom_fold_load_rows(fold, table, table->info->keys,
							table->info->nkeys, table->readable, wants,
							false);
	forboth(lc, rows, lw, wants)
	{
		FoldRow    *row = lfirst(lc);

		row->image = ((FoldWant *) lfirst(lw))->image;
		row->gone = row->image == NULL;
		row->trusted = true;
	}
}

/* Is anything below a level, or what leads there, touched? */
static bool
mark_affected(Fold *fold, FoldLevel *level)
{
	bool		any = false;
	ListCell   *lc;
	ListCell   *lt;

	foreach(lc, level->branches)
	{
		FoldBranch *branch = lfirst(lc);
		Assoc	   *assoc = linitial(branch->steps);

		branch->affected = mark_affected(fold, branch->level) ||
			fold->reset || branch->level->table->touched ||
			(branch->join != NULL && branch->join->touched) ||
			(assoc->kind == ASSOC_BELONGS_TO && level->table->touched);
		foreach(lt, branch->passed)
			if (((FoldTable *) lfirst(lt))->touched)
				branch->affected = true;
		any |= branch->affected;
	}
	return any;
}

/* The owner that a row has by an association, as an event tells it. */
static void
note_owner(FoldBranch *branch, const Assoc *assoc, JsonRow row)
{
	FoldKey		key;

	switch (chatroom_fold_key(branch->level->table->info,
							  assoc->key.referencing, assoc->key.n, &row,
							  &key))
	{
		case FOLD_KEY_OK:
			chatroom_fold_put(&branch->owners, key, branch);
			break;
		case FOLD_KEY_MISSING:
			branch->selective = false;
			break;
		default:
			break;
	}
}

/* Has: whose lists are the events about?  Those before and after each. */
static void
note_owners(FoldBranch *branch)
{
	const Assoc *assoc = linitial(branch->steps);
	FoldTable  *table = branch->level->table;
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	for (int i = 0; i < assoc->key.n; i++)
		columns = bms_add_member(columns, assoc->key.referencing[i]);
	foreach(lc, table->events)
	{
		JsonbContainer *event = lfirst(lc);
		const char *type = chatroom_fold_type(event);
		JsonRow		before = {chatroom_fold_member(event, "old"), NULL};
		JsonRow		after = {chatroom_fold_member(event, "row"), NULL};

		if (!is_type(type, "delete") && !is_type(type, "leave"))
			note_owner(branch, assoc, after);
		if (is_type(type, "insert") || is_type(type, "enter"))
			continue;
		if (!is_type(type, "update"))
			note_owner(branch, assoc, before);
		else if (chatroom_fold_event_changed(table, event, columns))
		{
			/* of a key of several columns, not all that changed is told */
			if (assoc->key.n > 1)
				branch->selective = false;
			note_owner(branch, assoc, before);
		}
	}
}

/* Belongs to: whose rows are the events about?  Those that refer to them. */
static void
note_referrers(FoldBranch *branch)
{
	const Assoc *assoc = linitial(branch->steps);
	FoldTable  *table = branch->level->table;
	ListCell   *lc;

	if (table->info->nkeys != 1 || assoc->key.n != 1 ||
		assoc->key.referenced[0] != table->info->keys[0])
	{
		branch->selective = false;
		return;
	}
	foreach(lc, table->rows)
	{
		FoldRow    *row = lfirst(lc);

		chatroom_fold_put(&branch->owners, row->key, branch);
		if (row->renamed)
			branch->selective = false;
	}
}

/* Can the parts be told that the answer may change, without looking at all? */
static void
select_owners(Fold *fold, FoldBranch *branch)
{
	const Assoc *assoc = linitial(branch->steps);
	FoldTable  *table = branch->level->table;
	ListCell   *lc;

	branch->selective = !fold->reset && !table->truncated && !table->blind &&
		list_length(branch->steps) == 1 &&
		assoc->kind != ASSOC_MANY_TO_MANY;
	foreach(lc, branch->level->branches)
		if (((FoldBranch *) lfirst(lc))->affected)
			branch->selective = false;
	if (!branch->selective)
		return;
	if (assoc->kind == ASSOC_BELONGS_TO)
		note_referrers(branch);
	else
		note_owners(branch);
}

/* Take the parts of the value that the answer may change. */
static void
parse_affected(Fold *fold, FoldLevel *level)
{
	ListCell   *lc;

	foreach(lc, level->branches)
	{
		FoldBranch *branch = lfirst(lc);

		if (!branch->affected)
			continue;
		select_owners(fold, branch);
		if (branch->selective)
			continue;
		chatroom_fold_parse(branch->level);
		parse_affected(fold, branch->level);
	}
}

/* Give the value's items the newest images of their rows. */
static void
give_images(FoldLevel *level)
{
	ListCell   *lc;

	for (int i = 0; i < level->all.n; i++)
	{
		FoldItem   *item = level->all.items[i];

		if (item->row != NULL && !item->row->gone)
			item->image = item->row->image;
	}
	foreach(lc, level->branches)
		give_images(((FoldBranch *) lfirst(lc))->level);
}

/* Know what the answer says of the value's rows, and of all others. */
void
chatroom_fold_prepare(Fold *fold)
{
	ListCell   *lc;

	(void) mark_affected(fold, fold->root);
	parse_affected(fold, fold->root);
	foreach(lc, fold->tables)
	{
		FoldTable  *table = lfirst(lc);

		if (table->shown && table->rows != NIL)
			complete_rows(fold, table);
	}
	give_images(fold->root);
	fold->prepared = true;
}
