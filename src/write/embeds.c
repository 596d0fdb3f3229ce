/*-------------------------------------------------------------------------
 *
 * embeds.c
 *	  Objects in a jsonb column that a rule "embed" is for.
 *
 * As Ecto's cast_embed: an object that has the "id" of one that is there
 * changes this; others are new, and what they take the place of goes by the
 * rule's on_replace.  What isn't an object, or a list of them, is left for the
 * rule to complain of.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "write/embeds.h"


/* The column's value as jsonb; NULL: it is null. */
static Jsonb *
current_value(const Changeset *changeset, const TableColumn *column)
{
	int			i = column->attnum - 1;
	Datum		value = changeset->data->values[i];

	if (changeset->data->nulls[i])
		return NULL;
	if (column->caster.base == JSONBOID)
		return DatumGetJsonbP(value);
	value = DirectFunctionCall1(jsonb_in,
								CStringGetDatum(TextDatumGetCString(value)));
	return DatumGetJsonbP(value);
}

/* Set the column. */
static void
set_value(Changeset *changeset, TableColumn *column, Jsonb *value)
{
	Datum		datum = JsonbPGetDatum(value);

	if (value != NULL && column->caster.base != JSONBOID)
		datum = CStringGetTextDatum(JsonbToCString(NULL, &value->root,
												   VARSIZE(value)));
	chatroom_set_value(changeset, column->attnum, datum, value == NULL);
}

/* Are two objects the same, or have they the same id? */
static bool
same_object(JsonbValue *a, JsonbValue *b, bool whole)
{
	JsonbValue *left;
	JsonbValue *right;

	if (a->type != jbvBinary || b->type != jbvBinary)
		return false;
	if (whole)
		return compareJsonbContainers(a->val.binary.data,
									  b->val.binary.data) == 0;
	if (!JsonContainerIsObject(a->val.binary.data) ||
		!JsonContainerIsObject(b->val.binary.data))
		return false;
	left = chatroom_member(a->val.binary.data, "id");
	right = chatroom_member(b->val.binary.data, "id");
	if (left == NULL || right == NULL || left->type != right->type)
		return false;
	if (left->type == jbvString)
		return left->val.string.len == right->val.string.len &&
			memcmp(left->val.string.val, right->val.string.val,
				   left->val.string.len) == 0;
	return left->type == jbvNumeric &&
		DatumGetBool(DirectFunctionCall2(numeric_eq,
										 NumericGetDatum(left->val.numeric),
										 NumericGetDatum(right->val.numeric)));
}

/* The object with the members of both. */
static Jsonb *
merge(JsonbValue *old, JsonbValue *new)
{
	Datum		merged;

	merged = DirectFunctionCall2(jsonb_concat,
								 JsonbPGetDatum(JsonbValueToJsonb(old)),
								 JsonbPGetDatum(JsonbValueToJsonb(new)));
	return DatumGetJsonbP(merged);
}

/* Something is replaced: may it be? */
static bool
may_replace(Changeset *changeset, const TableColumn *column,
			const Rule *rule)
{
	RuleError  *error;

	switch (rule->on_replace)
	{
		case ON_REPLACE_RAISE:
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("embed \"%s\" of table \"%s\" would be replaced",
							column->name, changeset->table->name),
					 errdetail("on_replace of its rule is raise."),
					 errhint("Give the object with its \"id\", or add the rule again with on_replace update, delete or mark_as_invalid.")));
			break;
		case ON_REPLACE_MARK_AS_INVALID:
			error = chatroom_make_error(column->name, column->attnum,
										"is invalid", "embed");
			chatroom_error_key(error, "type",
							   rule->many ? "[\"array\", \"map\"]" : "\"map\"");
			chatroom_add_error(changeset, error);
			changeset->failed = bms_add_member(changeset->failed,
											   column->attnum);
			return false;
		default:
			break;
	}
	return true;
}

/* Cast the one object of a column. */
static void
cast_one(Changeset *changeset, TableColumn *column, const Rule *rule,
		 JsonbValue *old, JsonbValue *new)
{
	if (new->type == jbvBinary && same_object(old, new, true))
		return;
	if (new->type == jbvBinary &&
		(rule->on_replace == ON_REPLACE_UPDATE ||
		 same_object(old, new, false)))
		set_value(changeset, column, merge(old, new));
	else if (may_replace(changeset, column, rule))
		set_value(changeset, column, new->type == jbvNull ? NULL :
				  JsonbValueToJsonb(new));
}

/* The elements of a list. */
static int
list_elements(JsonbContainer *container, JsonbValue **elements)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			n = 0;

	*elements = palloc(sizeof(JsonbValue) *
					   Max(JsonContainerSize(container), 1));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			(*elements)[n++] = value;
	return n;
}

/* Cast the list of objects of a column. */
static void
cast_many(Changeset *changeset, TableColumn *column, const Rule *rule,
		  JsonbContainer *old, JsonbContainer *new)
{
	JsonbValue *olds;
	JsonbValue *news;
	int			nold = list_elements(old, &olds);
	int			nnew = list_elements(new, &news);
	bool	   *found = palloc0(sizeof(bool) * Max(nold, 1));
	StringInfoData buf;
	JsonbFrame	frame;

	chatroom_jsonb_start(&buf);
	chatroom_begin_array(&buf, &frame, nnew);
	for (int i = 0; i < nnew; i++)
	{
		int			match = -1;

		for (int whole = 1; whole >= 0 && match < 0; whole--)
			for (int j = 0; j < nold && match < 0; j++)
				if (!found[j] && same_object(&olds[j], &news[i], whole == 1))
					match = j;
		if (match >= 0)
		{
			found[match] = true;
			chatroom_put_jsonb(&buf, &frame, merge(&olds[match], &news[i]));
		}
		else
			chatroom_put_value(&buf, &frame, &news[i]);
	}
	chatroom_end(&buf, &frame, NULL);
	for (int j = 0; j < nold; j++)
		if (!found[j])
		{
			if (!may_replace(changeset, column, rule))
				return;
			break;
		}
	set_value(changeset, column, chatroom_jsonb_finish(&buf));
}

/* Cast a value of such a column. */
void
chatroom_cast_embed(Changeset *changeset, TableColumn *column,
					const Rule *rule, const JsonbValue *value)
{
	Jsonb	   *current = current_value(changeset, column);
	JsonbValue	new = *value;
	JsonbValue	old;
	bool		is_list = new.type == jbvBinary &&
		JsonContainerIsArray(new.val.binary.data);
	bool		well_formed = new.type == jbvNull ||
		(new.type == jbvBinary && is_list == rule->many);

	if (current == NULL || JB_ROOT_IS_SCALAR(current) || !well_formed ||
		(bool) JB_ROOT_IS_ARRAY(current) != rule->many)
	{
		set_value(changeset, column, new.type == jbvNull ? NULL :
				  JsonbValueToJsonb(&new));
		return;
	}
	old.type = jbvBinary;
	old.val.binary.data = &current->root;
	old.val.binary.len = VARSIZE(current) - VARHDRSZ;
	if (rule->many && is_list)
		cast_many(changeset, column, rule, &current->root,
				  new.val.binary.data);
	else
		cast_one(changeset, column, rule, &old, &new);
}
