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
 * Objects are found by sorting those that are there: however many there are,
 * and however alike, it is n log n.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/jsonb_writer.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
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

/* The "id" of an object; false: it has none to go by. */
static bool
object_id(const JsonbValue *value, JsonbValue *id)
{
	JsonbValue *member;

	if (value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		return false;
	member = chatroom_member(value->val.binary.data, "id");
	if (member == NULL)
		return false;
	*id = *member;
	pfree(member);
	return id->type == jbvString || id->type == jbvNumeric;
}

/* Order ids: those of each kind by themselves. */
static int
compare_ids(const JsonbValue *a, const JsonbValue *b)
{
	if (a->type != b->type)
		return a->type == jbvString ? -1 : 1;
	if (a->type == jbvString)
		return chatroom_compare_keys(a->val.string.val, a->val.string.len,
									 b->val.string.val, b->val.string.len);
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp,
											 NumericGetDatum(a->val.numeric),
											 NumericGetDatum(b->val.numeric)));
}

/* Are two objects the same, or have they the same id? */
static bool
same_object(JsonbValue *a, JsonbValue *b, bool whole)
{
	JsonbValue	left;
	JsonbValue	right;

	if (a->type != jbvBinary || b->type != jbvBinary)
		return false;
	if (whole)
		return compareJsonbContainers(a->val.binary.data,
									  b->val.binary.data) == 0;
	return object_id(a, &left) && object_id(b, &right) &&
		compare_ids(&left, &right) == 0;
}

/* What is taken of an object; anything else is for the rule to complain of. */
static Jsonb *
new_object(JsonbValue *value, const PermittedLevel *part)
{
	if (part == NULL || value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		return JsonbValueToJsonb(value);
	return chatroom_permitted_part(part, value);
}

/* The object with the members of both. */
static Jsonb *
merge(JsonbValue *old, JsonbValue *new, const PermittedLevel *part)
{
	Datum		merged;

	merged = DirectFunctionCall2(jsonb_concat,
								 JsonbPGetDatum(JsonbValueToJsonb(old)),
								 JsonbPGetDatum(new_object(new, part)));
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
		 JsonbValue *old, JsonbValue *new, const PermittedLevel *part)
{
	if (new->type == jbvBinary && same_object(old, new, true))
		return;
	if (new->type == jbvBinary &&
		(rule->on_replace == ON_REPLACE_UPDATE ||
		 same_object(old, new, false)))
		set_value(changeset, column, merge(old, new, part));
	else if (may_replace(changeset, column, rule))
		set_value(changeset, column, new->type == jbvNull ? NULL :
				  new_object(new, part));
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

/* An object that is there, and what it is found by. */
typedef struct Candidate
{
	JsonbValue *value;
	JsonbValue	id;				/* not where found as a whole */
	int			index;
} Candidate;

/* Objects that are there, sorted by what they are found by. */
typedef struct Candidates
{
	bool		whole;			/* by all they have, or by id */
	int			n;
	Candidate  *sorted;
	int		   *next;			/* by the first of those that are alike: which
								 * one is to be taken next */
} Candidates;

/* qsort_arg comparator of candidates: the earlier first of those alike. */
static int
compare_candidates(const void *a, const void *b, void *arg)
{
	const Candidate *left = a;
	const Candidate *right = b;
	const Candidates *candidates = arg;
	int			order;

	CHECK_FOR_INTERRUPTS();
	order = candidates->whole ?
		compareJsonbContainers(left->value->val.binary.data,
							   right->value->val.binary.data) :
		compare_ids(&left->id, &right->id);
	return order != 0 ? order : left->index - right->index;
}

/* Sort the objects that are there. */
static void
sort_candidates(Candidates *candidates, bool whole, JsonbValue *values, int n)
{
	candidates->whole = whole;
	candidates->n = 0;
	candidates->sorted = palloc(sizeof(Candidate) * Max(n, 1));
	candidates->next = palloc(sizeof(int) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		Candidate  *candidate = &candidates->sorted[candidates->n];

		candidate->value = &values[i];
		candidate->index = i;
		if (whole ? values[i].type == jbvBinary :
			object_id(&values[i], &candidate->id))
			candidates->n++;
	}
	qsort_arg(candidates->sorted, candidates->n, sizeof(Candidate),
			  compare_candidates, candidates);
	for (int i = 0; i < candidates->n; i++)
		candidates->next[i] = i;
}

/* The first object like one that wasn't found before; -1: there is none. */
static int
find_candidate(Candidates *candidates, JsonbValue *value, const bool *found)
{
	Candidate	wanted = {value, {0}, -1};
	int			low = 0;
	int			high = candidates->n;
	int		   *next;

	if (candidates->whole ? value->type != jbvBinary :
		!object_id(value, &wanted.id))
		return -1;
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (compare_candidates(&candidates->sorted[middle], &wanted,
							   candidates) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == candidates->n)
		return -1;
	next = &candidates->next[low];
	while (*next < candidates->n && found[candidates->sorted[*next].index])
		(*next)++;
	if (*next == candidates->n)
		return -1;

	/* are we still among those that are alike? */
	wanted.index = candidates->sorted[*next].index;
	return compare_candidates(&candidates->sorted[*next], &wanted,
							  candidates) == 0 ? wanted.index : -1;
}

/* Cast the list of objects of a column. */
static void
cast_many(Changeset *changeset, TableColumn *column, const Rule *rule,
		  JsonbContainer *old, JsonbContainer *new,
		  const PermittedLevel *part)
{
	JsonbValue *olds;
	JsonbValue *news;
	int			nold = list_elements(old, &olds);
	int			nnew = list_elements(new, &news);
	bool	   *found = palloc0(sizeof(bool) * Max(nold, 1));
	Candidates	same;
	Candidates	by_id;
	StringInfoData buf;
	JsonbFrame	frame;

	sort_candidates(&same, true, olds, nold);
	sort_candidates(&by_id, false, olds, nold);
	chatroom_jsonb_start(&buf);
	chatroom_begin_array(&buf, &frame, nnew);
	for (int i = 0; i < nnew; i++)
	{
		int			match = find_candidate(&same, &news[i], found);
		Jsonb	   *object;

		CHECK_FOR_INTERRUPTS();
		if (match >= 0)
		{
			found[match] = true;
			chatroom_put_value(&buf, &frame, &olds[match]);
			continue;
		}
		match = find_candidate(&by_id, &news[i], found);
		if (match >= 0)
			found[match] = true;
		object = match >= 0 ? merge(&olds[match], &news[i], part) :
			new_object(&news[i], part);
		chatroom_put_jsonb(&buf, &frame, object);
		pfree(object);
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

/* What is taken of a value where none of its objects was there before. */
static Jsonb *
all_new(JsonbValue *value, const Rule *rule, const PermittedLevel *part)
{
	JsonbValue *elements;
	StringInfoData buf;
	JsonbFrame	frame;
	int			n;

	if (!rule->many || part == NULL || value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data))
		return new_object(value, part);
	n = list_elements(value->val.binary.data, &elements);
	chatroom_jsonb_start(&buf);
	chatroom_begin_array(&buf, &frame, n);
	for (int i = 0; i < n; i++)
		chatroom_put_jsonb(&buf, &frame, new_object(&elements[i], part));
	chatroom_end(&buf, &frame, NULL);
	return chatroom_jsonb_finish(&buf);
}

/* Cast a value of such a column. */
void
chatroom_cast_embed(Changeset *changeset, TableColumn *column,
					const Rule *rule, const JsonbValue *value,
					const PermittedLevel *part)
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
				  all_new(&new, rule, part));
		return;
	}
	old.type = jbvBinary;
	old.val.binary.data = &current->root;
	old.val.binary.len = VARSIZE(current) - VARHDRSZ;
	if (rule->many && is_list)
		cast_many(changeset, column, rule, &current->root,
				  new.val.binary.data, part);
	else
		cast_one(changeset, column, rule, &old, &new, part);
}
