/*-------------------------------------------------------------------------
 *
 * nested.c
 *	  Attributes that are associated rows.
 *
 * As Ecto's cast_assoc and put_assoc: an object with the key of a row that is
 * associated changes this row; an object of nothing but a key puts that row
 * in the association; any other object is a new row.  A row that was
 * associated and isn't among them any more goes by the association's
 * on_replace.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/load.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "write/changeset.h"

/* An association that is being cast. */
typedef struct AssocCast
{
	Changeset  *owner;
	Assoc	   *assoc;
	AssocChange *change;
	TableInfo  *table;			/* of the associated rows */
	int			ncurrent;
	TableRow  **current;
	bool	   *taken;
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

/* Which of the current rows has a key?  -1: none. */
static int
find_current(const AssocCast *cast, const TableRow *key)
{
	for (int i = 0; i < cast->ncurrent; i++)
	{
		bool		same = true;

		for (int j = 0; j < cast->table->nkeys && same; j++)
		{
			int			k = cast->table->keys[j] - 1;
			TableColumn *column = &cast->table->columns[k];

			same = chatroom_same_column_value(column, key->values[k],
											  key->nulls[k],
									   cast->current[i]->values[k],
									   cast->current[i]->nulls[k]);
		}
		if (same && !cast->taken[i])
			return i;
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

/* One object of the attributes. */
static void
cast_object(AssocCast *cast, JsonbValue *value, int forced)
{
	JsonbContainer *object = value->val.binary.data;
	TableRow   *key = object_key(cast->table, object);
	int			match = forced >= 0 ? forced :
		key != NULL ? find_current(cast, key) : -1;
	Changeset  *child;

	if (match >= 0)
	{
		cast->taken[match] = true;
		child = keep(cast, chatroom_new_changeset(cast->table->relid,
												  ACTION_UPDATE,
												  cast->current[match]), true);
		chatroom_cast_attrs(child, JsonbValueToJsonb(value), true, NIL);
		return;
	}
	if (key != NULL && JsonContainerSize(object) == cast->table->nkeys)
	{
		Bitmapset  *columns = chatroom_readable_columns(cast->table);
		TableRow   *row = chatroom_fetch_row(cast->table, key, columns,
											 false);

		if (row != NULL)
		{
			child = keep(cast, chatroom_new_changeset(cast->table->relid,
													  ACTION_NONE, row),
						 false);
			note_link(cast, child);
			return;
		}
		if (cast->table->columns[cast->table->keys[0] - 1].volatile_default)
		{
			RuleError  *error = chatroom_make_error(cast->change->name, 0,
													"does not exist",
													"assoc");

			chatroom_add_error(cast->owner, error);
			return;
		}
	}
	child = keep(cast, chatroom_new_changeset(cast->table->relid,
											  ACTION_INSERT, NULL), false);
	note_link(cast, child);
	chatroom_cast_attrs(child, JsonbValueToJsonb(value), true, NIL);
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
	if (value->type == jbvBinary &&
		JsonContainerIsArray(value->val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("association \"%s\" must be an object",
						cast->change->name),
				 errdetail("It is a list.")));
	if (value->type != jbvBinary)
	{
		add_invalid(cast);
		return;
	}
	if (cast->assoc->on_replace == REPLACE_UPDATE && cast->ncurrent > 0)
		forced = 0;
	cast_object(cast, value, forced);
	(void) replace_others(cast);
}

/* A list of rows, or an object of them as forms send it. */
static void
cast_to_many(AssocCast *cast, JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;

	if (value->type != jbvBinary)
	{
		add_invalid(cast);
		return;
	}
	if (JsonContainerIsObject(value->val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("association \"%s\" must be a list",
						cast->change->name),
				 errdetail("It is an object.")));
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
					const JsonbValue *value)
{
	AssocCast	cast = {0};
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
	cast.change = palloc0(sizeof(AssocChange));
	cast.change->assoc = assoc;
	cast.change->name = (char *) name;
	cast.change->many = !chatroom_is_to_one(assoc);
	load_current(&cast);
	if (cast.change->many)
		cast_to_many(&cast, &copy);
	else
		cast_to_one(&cast, &copy);
	changeset->assocs = lappend(changeset->assocs, cast.change);
}
