/*-------------------------------------------------------------------------
 *
 * nested.c
 *	  Attributes that are associated rows.
 *
 * As Ecto's cast_assoc: an object with the key of a row that is associated
 * changes this row, any other object is a new row.  In an association that may
 * "put", as put_assoc does, an object of nothing but a key takes that row,
 * whosever it was.  Elsewhere a key that is none of an associated row's is an
 * error: else whoever sends attributes could take anybody's rows.  A row that
 * was associated and isn't among them any more goes by the association's
 * on_replace.
 *
 * An object that is itself a changeset, of the changes of one, stands for its
 * changes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/jsonb_writer.h"
#include "base/load.h"
#include "port/pg_bitutils.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "write/changeset.h"

/* An association that is being cast. */
typedef struct AssocCast
{
	Changeset  *owner;
	Assoc	   *assoc;
	AssocChange *change;
	TableInfo  *table;			/* of the associated rows */
	PermittedLevel level;		/* of their attributes */
	bool		put;			/* takes rows by their keys */
	bool		create;			/* makes new rows */
	bool		dropped;		/* would have made one */
	int			ncurrent;
	TableRow  **current;
	bool	   *taken;
	int			nbuckets;		/* a power of two */
	int		   *buckets;		/* the first current row of each; -1: none */
	int		   *next;			/* the next one of the same; -1: none */
} AssocCast;


/* Is this another shape than it must be?  Then it is an error of the owner. */
static void
add_invalid(AssocCast *cast)
{
	RuleError  *error = chatroom_make_error(cast->change->name, 0,
											"is invalid", "assoc");

	chatroom_error_key(error, "type",
					   cast->change->many ? "[\"array\", \"map\"]" : "\"map\"");
	chatroom_add_error(cast->owner, error);
}

/* Make the current rows known by their keys. */
static void
hash_current(AssocCast *cast)
{
	cast->nbuckets = pg_nextpower2_32(Max(cast->ncurrent, 1) * 2);
	cast->buckets = palloc(sizeof(int) * cast->nbuckets);
	memset(cast->buckets, 0xFF, sizeof(int) * cast->nbuckets);
	cast->next = palloc(sizeof(int) * Max(cast->ncurrent, 1));

	/* the first of a bucket is to come first */
	for (int i = cast->ncurrent - 1; i >= 0; i--)
	{
		int			bucket = chatroom_hash_row(cast->table, cast->current[i]) &
			(cast->nbuckets - 1);

		cast->next[i] = cast->buckets[bucket];
		cast->buckets[bucket] = i;
	}
}

/* The rows that are associated now. */
static void
load_current(AssocCast *cast)
{
	LoadedRows **loaded;

	if (cast->owner->action != ACTION_UPDATE)
		return;
	loaded = chatroom_load(cast->owner->table, cast->assoc, cast->table,
						   chatroom_readable_columns(cast->table), 1,
						   &cast->owner->data, false);
	cast->ncurrent = loaded[0]->n;
	cast->current = loaded[0]->rows;
	cast->taken = palloc0(sizeof(bool) * Max(loaded[0]->n, 1));
	hash_current(cast);
}

/* The key in an object, NULL: it has none, or not all of it. */
static TableRow *
object_key(TableInfo *table, JsonbContainer *object)
{
	TableRow   *row = chatroom_new_row(table);

	for (int i = 0; i < table->nkeys; i++)
	{
		TableColumn *column = &table->columns[table->keys[i] - 1];
		JsonbValue *value = chatroom_member(object, column->name);

		if (value == NULL || chatroom_is_empty_value(value) ||
			chatroom_cast(&column->caster, value,
						  &row->values[column->attnum - 1]) != CAST_OK)
			return NULL;
		row->nulls[column->attnum - 1] = false;
	}
	return table->nkeys > 0 ? row : NULL;
}

/* Have two rows the same key? */
static bool
same_key(const TableInfo *table, const TableRow *a, const TableRow *b)
{
	for (int i = 0; i < table->nkeys; i++)
	{
		int			k = table->keys[i] - 1;

		if (!chatroom_same_column_value(&table->columns[k], a->values[k],
										a->nulls[k], b->values[k],
										b->nulls[k]))
			return false;
	}
	return true;
}

/* Which of the current rows has a key?  -1: none. */
static int
find_current(AssocCast *cast, const TableRow *key)
{
	int		   *link;

	if (cast->ncurrent == 0)
		return -1;
	link = &cast->buckets[chatroom_hash_row(cast->table, key) &
						  (cast->nbuckets - 1)];
	while (*link >= 0)
	{
		int			i = *link;

		/* it is looked for once: so who comes after isn't held up by it */
		if (same_key(cast->table, key, cast->current[i]))
		{
			*link = cast->next[i];
			return i;
		}
		link = &cast->next[i];
	}
	return -1;
}

/* Add a changeset to what stays. */
static Changeset *
keep(AssocCast *cast, Changeset *child, bool current)
{
	cast->change->kept = lappend(cast->change->kept, child);
	cast->change->current = lappend_int(cast->change->current, current);
	return child;
}

/* The owner's foreign key, or the child's, gets its value when written. */
static void
note_link(AssocCast *cast, Changeset *child)
{
	const AssocKey *key = &cast->assoc->key;
	Changeset  *owner = cast->owner;

	for (int i = 0; i < key->n; i++)
	{
		if (cast->assoc->kind == ASSOC_BELONGS_TO)
			owner->later = bms_add_member(bms_copy(owner->later),
										  key->referencing[i]);
		else if (cast->assoc->kind != ASSOC_MANY_TO_MANY)
			child->later = bms_add_member(bms_copy(child->later),
										  key->referencing[i]);
	}
}

/* Does the database make the table's keys? */
static bool
makes_keys(const TableInfo *table)
{
	for (int i = 0; i < table->nkeys; i++)
		if (table->columns[table->keys[i] - 1].volatile_default)
			return true;
	return false;
}

/* Are all columns of the key permitted? */
static bool
permits_key(const AssocCast *cast)
{
	for (int i = 0; i < cast->table->nkeys; i++)
	{
		TableColumn *column =
			&cast->table->columns[cast->table->keys[i] - 1];

		if (!chatroom_permits(&cast->level, column->name, column->namelen))
			return false;
	}
	return true;
}

/*
 * Can an object whose key is none of an associated row's be a new row?  Where
 * the database makes the keys it names a row that should be there, but for
 * what is given together with a new owner.
 */
static bool
can_be_new(const AssocCast *cast, bool only_key)
{
	if (!cast->create)
		return false;
	return !makes_keys(cast->table) ||
		(!only_key && cast->owner->action == ACTION_INSERT &&
		 permits_key(cast));
}

/* An object that names a row which isn't there, or not for it to name. */
static void
add_missing(AssocCast *cast, TableRow *key)
{
	AttrNumber	attnum = cast->table->keys[0];
	TableColumn *column = &cast->table->columns[attnum - 1];
	Changeset  *child = keep(cast, chatroom_new_changeset(cast->table->relid,
														  ACTION_NONE, key),
							 false);

	note_link(cast, child);
	chatroom_add_error(child, chatroom_make_error(column->name, attnum,
												  "does not exist", "assoc"));
}

/* Put a row in the association; false: there is none of that key. */
static bool
put_existing(AssocCast *cast, const TableRow *key)
{
	Bitmapset  *columns = chatroom_readable_columns(cast->table);
	TableRow   *row = chatroom_fetch_row(cast->table, key, columns, false);

	if (row == NULL)
		return false;
	note_link(cast, keep(cast, chatroom_new_changeset(cast->table->relid,
													  ACTION_NONE, row),
						 false));
	return true;
}

/* Attributes with the key that a row has. */
static Jsonb *
with_key(const TableInfo *table, JsonbContainer *row, Jsonb *attrs)
{
	Bitmapset  *columns = NULL;
	RowShape   *shape;
	StringInfoData buf;
	JsonbFrame	frame;
	Jsonb	   *keys;

	for (int i = 0; i < table->nkeys; i++)
		columns = bms_add_member(columns, table->keys[i]);
	shape = chatroom_shape(table, columns, NIL);
	chatroom_jsonb_start(&buf);
	chatroom_begin_shape(&buf, &frame, shape);
	for (int i = 0; i < shape->n; i++)
	{
		JsonbValue *part = chatroom_member(row, shape->entries[i].key.name);

		if (part == NULL)
			return attrs;
		chatroom_put_value(&buf, &frame, part);
	}
	chatroom_end(&buf, &frame, NULL);
	keys = chatroom_jsonb_finish(&buf);
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat,
											  JsonbPGetDatum(attrs),
											  JsonbPGetDatum(keys)));
}

/* The attributes that an object has, if it is a changeset; else NULL. */
static Jsonb *
changeset_attrs(const TableInfo *table, JsonbContainer *object)
{
	static const char *const members[] = {
		"action", "changes", "data", "errors", "valid"
	};
	JsonbValue *values[lengthof(members)];
	Jsonb	   *attrs;
	JsonbValue	data;

	if (JsonContainerSize(object) != lengthof(members))
		return NULL;
	for (int i = 0; i < lengthof(members); i++)
	{
		/* a row that can be like that is taken for a row */
		if (chatroom_column(table, members[i], strlen(members[i])) != NULL)
			return NULL;
		values[i] = chatroom_member(object, members[i]);
		if (values[i] == NULL)
			return NULL;
	}
	if (values[0]->type != jbvString || values[4]->type != jbvBool ||
		values[1]->type != jbvBinary || values[2]->type != jbvBinary ||
		!JsonContainerIsObject(values[1]->val.binary.data) ||
		!JsonContainerIsObject(values[2]->val.binary.data))
		return NULL;
	attrs = JsonbValueToJsonb(values[1]);
	if (values[0]->val.string.len == strlen("insert") &&
		memcmp(values[0]->val.string.val, "insert", strlen("insert")) == 0)
		return attrs;

	/* the row that there is goes by the key that it has */
	data = *values[2];
	return with_key(table, data.val.binary.data, attrs);
}

/* Change a row that is associated. */
static void
change_current(AssocCast *cast, int match, Jsonb *attrs)
{
	Changeset  *child;

	cast->taken[match] = true;
	child = keep(cast, chatroom_new_changeset(cast->table->relid,
											  ACTION_UPDATE,
											  cast->current[match]), true);
	chatroom_cast_attrs(child, attrs, &cast->level);
}

/* One object of the attributes; forced: the row that it changes, or -1. */
static void
cast_object(AssocCast *cast, JsonbValue *value, int forced)
{
	Jsonb	   *attrs = changeset_attrs(cast->table, value->val.binary.data);
	TableRow   *key;
	bool		only_key;
	int			match;
	Changeset  *child;

	if (attrs == NULL)
		attrs = JsonbValueToJsonb(value);
	key = object_key(cast->table, &attrs->root);
	only_key = key != NULL && JB_ROOT_COUNT(attrs) == cast->table->nkeys;
	match = key != NULL ? find_current(cast, key) : forced;
	if (match >= 0)
	{
		change_current(cast, match, attrs);
		return;
	}
	if (only_key && cast->put && put_existing(cast, key))
		return;
	if (key != NULL && !can_be_new(cast, only_key))
	{
		add_missing(cast, key);
		return;
	}
	if (forced >= 0)
	{
		change_current(cast, forced, attrs);
		return;
	}
	if (!cast->create)
	{
		cast->dropped = true;
		return;
	}
	child = keep(cast, chatroom_new_changeset(cast->table->relid,
											  ACTION_INSERT, NULL), false);
	note_link(cast, child);
	chatroom_cast_attrs(child, attrs, &cast->level);
	note_link(cast, child);
}

/* What becomes of rows that are associated no more; false: it is invalid. */
static bool
replace_others(AssocCast *cast)
{
	for (int i = 0; i < cast->ncurrent; i++)
	{
		Changeset  *child;

		if (cast->taken[i])
			continue;
		switch (cast->assoc->on_replace)
		{
			case REPLACE_RAISE:
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("association \"%s\" of table \"%s\" would lose a row",
								cast->change->name,
								cast->owner->table->name),
						 errdetail("A row that is associated is not among those given, and on_replace is raise."),
						 errhint("Give all rows with their keys, or set on_replace with chatroom.add_assoc().")));
				break;
			case REPLACE_MARK_AS_INVALID:
				add_invalid(cast);
				return false;
			default:
				break;
		}
		child = chatroom_new_changeset(cast->table->relid, ACTION_DELETE,
									   cast->current[i]);
		child->unlink = cast->assoc->on_replace == REPLACE_NILIFY ||
			cast->assoc->kind == ASSOC_MANY_TO_MANY;
		cast->change->removed = lappend(cast->change->removed, child);
	}
	return true;
}

/* One row, or none. */
static void
cast_to_one(AssocCast *cast, JsonbValue *value)
{
	int			forced = -1;

	if (value->type == jbvNull)
	{
		(void) replace_others(cast);
		return;
	}
	if (value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
	{
		add_invalid(cast);
		return;
	}
	if (cast->assoc->on_replace == REPLACE_UPDATE && cast->ncurrent > 0)
		forced = 0;
	cast_object(cast, value, forced);

	/* what makes no row leaves the one that there is */
	if (!cast->dropped)
		(void) replace_others(cast);
}

/* A list of rows. */
static void
cast_to_many(AssocCast *cast, JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;

	if (value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data))
	{
		add_invalid(cast);
		return;
	}
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &element,
									  true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token != WJB_ELEM)
			continue;
		if (element.type != jbvBinary ||
			!JsonContainerIsObject(element.val.binary.data))
		{
			add_invalid(cast);
			return;
		}
		cast_object(cast, &element, -1);
	}
	(void) replace_others(cast);
}

/* Cast an association. */
void
chatroom_cast_assoc(Changeset *changeset, Assoc *assoc, const char *name,
					const JsonbValue *value, const PermittedLevel *level)
{
	AssocCast	cast = {0};
	int			len = strlen(name);
	JsonbValue	copy = *value;

	check_stack_depth();
	if (assoc->kind == ASSOC_THROUGH)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("association \"%s\" of table \"%s\" can't be written",
						name, changeset->table->name),
				 errdetail("It goes through others."),
				 errhint("Write the association that it goes through.")));
	cast.owner = changeset;
	cast.assoc = assoc;
	cast.table = chatroom_open_table(assoc->to);
	cast.level = chatroom_permitted_below(level, name, len);
	cast.put = chatroom_permits_put(level, name, len);
	cast.create = chatroom_permits_within(level, name, len);
	cast.change = palloc0(sizeof(AssocChange));
	cast.change->assoc = assoc;
	cast.change->name = (char *) name;
	cast.change->many = !chatroom_is_to_one(assoc);
	load_current(&cast);
	if (cast.change->many)
		cast_to_many(&cast, &copy);
	else
		cast_to_one(&cast, &copy);
	if (cast.dropped && !cast.change->many)
		return;
	changeset->assocs = lappend(changeset->assocs, cast.change);
}
