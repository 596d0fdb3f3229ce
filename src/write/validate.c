/*-------------------------------------------------------------------------
 *
 * validate.c
 *	  Holding rows against rules.
 *
 * The semantics are those of Ecto 3's validators: a null passes all but
 * "required"; a rule counts on an insert, and on an update that changed one of
 * its columns, "required" always; a field that "required" found missing is not
 * looked at by others.  Rules that look into tables come last, and not for
 * columns that have errors already.
 *
 * Rules run with the rights of who writes, in the trigger's per-tuple memory.
 * Nothing is allocated for a row that is all right, other than for values that
 * are TOASTed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/toast_internals.h"
#include "access/detoast.h"
#include "base/compat.h"
#include "base/graphemes.h"
#include "base/jsonb_writer.h"
#include "catalog/pg_collation.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "regex/regex.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/rel.h"
#include "write/rulecode.h"

/* A value that rules look at. */
typedef struct RuleValue
{
	ValueClass	class;
	bool		isnull;
	bool		is_json;		/* it is, or is within, json or jsonb */
	Datum		datum;			/* unless JSON: the column's */
	const char *data;			/* TEXT, NAME, BYTES */
	int			len;
	Numeric		number;			/* NUMERIC */
	JsonbValue	json;			/* where is_json */
} RuleValue;

/* A row being checked. */
typedef struct Check
{
	RuleSet    *rules;
	const RuleInput *input;
	List	   *errors;
	Bitmapset  *failed;			/* attnums that have errors ... */
	Bitmapset  *missing;		/* ... those that "required" found missing */
	TupleTableSlot *slot;		/* the new row; NULL: not made yet */
	bool		own_slot;
	AttrNumber	attnum;			/* whose value "value" is; 0: none */
	RuleValue	value;
	const Rule *rule;			/* the column's rule, where inside embeds */
	const char *path;			/* of the object inside embeds: a.0 */
	const char *path_json;		/* the same: "a", 0 */
} Check;

static void check_object(Check *check, const Rule *rule,
						 JsonbContainer *object, const char *path,
						 const char *path_json);

/* --------------------------------------------------------------- values */

/* Are two values of a column the same? */
bool
chatroom_same_value(Form_pg_attribute attribute, Datum a, bool a_null,
					Datum b, bool b_null)
{
	if (a_null || b_null)
		return a_null && b_null;
	if (attribute->attlen == -1)
	{
		struct varlena *left = (struct varlena *) DatumGetPointer(a);
		struct varlena *right = (struct varlena *) DatumGetPointer(b);

		/* what an UPDATE leaves alone is not even fetched */
		if (VARATT_IS_EXTERNAL_ONDISK(left) &&
			VARATT_IS_EXTERNAL_ONDISK(right) &&
			memcmp(left, right, TOAST_POINTER_SIZE) == 0)
			return true;
	}
	return datum_image_eq(a, b, attribute->attbyval, attribute->attlen);
}

/* Is a column's value another one than before? */
bool
chatroom_column_changed(const RuleInput *input, AttrNumber attnum)
{
	if (input->none_changed)
		return false;
	if (input->changed != NULL)
		return bms_is_member(attnum, input->changed);
	if (input->old == NULL)
		return true;
	return !chatroom_same_value(TupleDescAttr(input->tupdesc, attnum - 1),
								input->old[attnum - 1],
								input->old_nulls[attnum - 1],
								input->values[attnum - 1],
								input->nulls[attnum - 1]);
}

/* Read a JSON value. */
static void
read_json(RuleValue *value, const JsonbValue *json)
{
	value->is_json = true;
	value->isnull = false;
	value->json = *json;
	switch (json->type)
	{
		case jbvNull:
			value->isnull = true;
			value->class = CLASS_OTHER;
			break;
		case jbvString:
			value->class = CLASS_TEXT;
			value->data = json->val.string.val;
			value->len = json->val.string.len;
			break;
		case jbvNumeric:
			value->class = CLASS_NUMERIC;
			value->number = json->val.numeric;
			break;
		case jbvBool:
			value->class = CLASS_BOOLEAN;
			break;
		default:
			value->class = CLASS_JSONB;
			break;
	}
}

/* Read a json or jsonb column. */
static void
read_jsonb(RuleValue *value, Jsonb *jsonb)
{
	JsonbValue	json;

	chatroom_jsonb_value(jsonb, &json);
	read_json(value, &json);
}

/* Read a value of a type. */
static void
read_value(RuleValue *value, const ValueType *type, Datum datum)
{
	struct varlena *data;
	Datum		string;

	value->class = type->class;
	value->datum = datum;
	value->isnull = false;
	value->is_json = false;
	switch (type->class)
	{
		case CLASS_TEXT:
		case CLASS_BYTES:
			data = PG_DETOAST_DATUM_PACKED(datum);
			value->data = VARDATA_ANY(data);
			value->len = VARSIZE_ANY_EXHDR(data);
			if (type->typid == BPCHAROID)
				value->len = bpchartruelen((char *) value->data, value->len);
			break;
		case CLASS_NAME:
			value->data = NameStr(*DatumGetName(datum));
			value->len = strlen(value->data);
			break;
		case CLASS_NUMERIC:
			value->number = DatumGetNumeric(datum);
			break;
		case CLASS_JSON:
			string = CStringGetDatum(TextDatumGetCString(datum));
			read_jsonb(value,
					   DatumGetJsonbP(DirectFunctionCall1(jsonb_in, string)));
			break;
		case CLASS_JSONB:
			read_jsonb(value, DatumGetJsonbP(datum));
			break;
		default:
			break;
	}
}

/* The new row as a slot that is made; see rulecode.h. */
TupleTableSlot *
chatroom_make_row_slot(const RuleInput *input)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(input->tupdesc,
													&TTSOpsVirtual);
	int			natts = input->tupdesc->natts;

	memcpy(slot->tts_values, input->values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, input->nulls, sizeof(bool) * natts);
	return ExecStoreVirtualTuple(slot);
}

/* The new row as a slot. */
static TupleTableSlot *
row_slot(Check *check)
{
	if (check->slot == NULL)
	{
		check->slot = chatroom_make_row_slot(check->input);
		check->own_slot = true;
	}
	return check->slot;
}

/* The value of a rule's column. */
static const RuleValue *
column_value(Check *check, const Rule *rule)
{
	const RuleCode *code = rule->code;
	RuleValue  *value = &check->value;
	Datum		datum;
	bool		isnull;

	if (check->attnum == code->number)
		return value;
	if (code->generated != NULL)
		datum = chatroom_evaluate(code->generated,
								  check->rules->code->context,
								  row_slot(check), &isnull);
	else
	{
		datum = check->input->values[code->number - 1];
		isnull = check->input->nulls[code->number - 1];
	}
	check->attnum = code->number;
	if (isnull)
		value->isnull = true;
	else
		read_value(value, &code->type, datum);
	return value;
}

/* --------------------------------------------------------------- errors */

/* An integer as JSON. */
static char *
json_integer(int64 number)
{
	return psprintf(INT64_FORMAT, number);
}

/* Note an error; the keys are added, and the text finished, afterwards. */
static RuleError *
add_error(Check *check, const Rule *rule, const char *text,
		  const char *validation)
{
	const Rule *top = check->rule ? check->rule : rule;
	const char *field = rule->field;
	RuleError  *error;

	if (check->path != NULL)
		field = psprintf("%s.%s", check->path, field);
	error = chatroom_make_error(field, top->columns[0],
								rule->message ? rule->message : text,
								validation);
	error->rule = top->name;
	error->name = top->name;
	error->relid = top->relid;
	check->errors = lappend(check->errors, error);
	if (top->ncolumns > 0)
		check->failed = bms_add_member(check->failed, top->columns[0]);
	return error;
}

/* All keys are there: finish an error. */
static void
finish_error(Check *check, const Rule *rule, RuleError *error)
{
	if (check->path != NULL)
		chatroom_error_key(error, "path",
						   psprintf("[%s, %s]", check->path_json,
									chatroom_json_string(rule->field)));
	chatroom_interpolate_error(error);
}

/* A JSON value is of another type than the rule is for. */
static void
add_cast_error(Check *check, const Rule *rule, const char *type)
{
	RuleError  *error = add_error(check, rule, "is invalid", "cast");

	if (rule->message != NULL)
		error->message = "is invalid";
	chatroom_error_key(error, "type", type);
	finish_error(check, rule, error);
}

/* -------------------------------------------------------- the validations */

/* Is a value missing? */
static bool
is_missing(const RuleValue *value)
{
	if (value->isnull)
		return true;
	switch (value->class)
	{
		case CLASS_TEXT:
		case CLASS_NAME:
			return chatroom_is_blank(value->data, value->len);
		case CLASS_BYTES:
			return value->len == 0;
		default:
			return false;
	}
}

/* required; returns false if it is broken. */
static bool
check_required(Check *check, const Rule *rule, const RuleValue *value)
{
	if (!is_missing(value))
		return true;
	finish_error(check, rule, add_error(check, rule, "can't be blank",
										"required"));
	return false;
}

/* How many keys or elements JSON has. */
static int
json_size(const JsonbValue *value)
{
	return JsonContainerSize(value->val.binary.data);
}

/* What a value's length is, and what is counted; false: it has none. */
static bool
value_length(const RuleValue *value, LengthUnit unit, int64 *length,
			 const char **type)
{
	switch (value->class)
	{
		case CLASS_TEXT:
		case CLASS_NAME:
			*type = unit == COUNT_BYTES ? "binary" : "string";
			if (unit == COUNT_BYTES)
				*length = value->len;
			else if (unit == COUNT_CODEPOINTS)
				*length = chatroom_count_codepoints(value->data, value->len);
			else
				*length = chatroom_count_graphemes(value->data, value->len);
			return true;
		case CLASS_BYTES:
			*type = "binary";
			*length = value->len;
			return true;
		case CLASS_ARRAY:
			{
				ArrayType  *array = DatumGetArrayTypeP(value->datum);

				*type = "list";
				*length = ARR_NDIM(array) > 0 ? ARR_DIMS(array)[0] : 0;
				return true;
			}
		case CLASS_JSONB:
			*type = JsonContainerIsArray(value->json.val.binary.data) ?
				"list" : "map";
			*length = json_size(&value->json);
			return true;
		default:
			return false;
	}
}

/* The texts of broken lengths, of strings, bytes and lists or maps. */
typedef enum LengthKind
{
	LENGTH_IS,
	LENGTH_MIN,
	LENGTH_MAX
} LengthKind;

static const char *const length_kinds[] = {"is", "min", "max"};
static const char *const string_texts[] = {
	"should be %{count} character(s)",
	"should be at least %{count} character(s)",
	"should be at most %{count} character(s)"
};
static const char *const binary_texts[] = {
	"should be %{count} byte(s)",
	"should be at least %{count} byte(s)",
	"should be at most %{count} byte(s)"
};
static const char *const list_texts[] = {
	"should have %{count} item(s)",
	"should have at least %{count} item(s)",
	"should have at most %{count} item(s)"
};

/* length */
static void
check_length(Check *check, const Rule *rule, const RuleValue *value)
{
	const RuleCode *code = rule->code;
	const char *type;
	const char *const *texts = list_texts;
	LengthKind	kind;
	int64		length;
	int64		limit;
	RuleError  *error;

	if (!value_length(value, code->unit, &length, &type))
	{
		add_cast_error(check, rule, "\"string\"");
		return;
	}
	if (code->is >= 0 && length != code->is)
	{
		kind = LENGTH_IS;
		limit = code->is;
	}
	else if (code->min >= 0 && length < code->min)
	{
		kind = LENGTH_MIN;
		limit = code->min;
	}
	else if (code->max >= 0 && length > code->max)
	{
		kind = LENGTH_MAX;
		limit = code->max;
	}
	else
		return;
	if (strcmp(type, "string") == 0)
		texts = string_texts;
	else if (strcmp(type, "binary") == 0)
		texts = binary_texts;
	error = add_error(check, rule, texts[kind], "length");
	chatroom_error_key(error, "kind", chatroom_json_string(length_kinds[kind]));
	chatroom_error_key(error, "count", json_integer(limit));
	chatroom_error_key(error, "type", chatroom_json_string(type));
	finish_error(check, rule, error);
}

/* format */
static void
check_format(Check *check, const Rule *rule, const RuleValue *value)
{
	const RuleCode *code = rule->code;
	Oid			collation = OidIsValid(code->type.collation) ?
		code->type.collation : DEFAULT_COLLATION_OID;

	if (value->class != CLASS_TEXT && value->class != CLASS_NAME)
		add_cast_error(check, rule, "\"string\"");
	else if (!RE_compile_and_execute(code->pattern, (char *) value->data,
									 value->len, REG_ADVANCED, collation,
									 0, NULL))
		finish_error(check, rule, add_error(check, rule, "has invalid format",
											"format"));
}

/* Tell a list in an error. */
static void
add_list(RuleError *error, const ValueList *list)
{
	chatroom_error_key(error, "enum", list->shown);
	if (list->more != NULL)
		chatroom_error_key(error, "more", list->more);
}

/* inclusion, exclusion */
static void
check_list(Check *check, const Rule *rule, const RuleValue *value)
{
	ValueList  *list = rule->code->list;
	bool		has = value->is_json ?
		chatroom_list_has_json(list, (JsonbValue *) &value->json) :
		chatroom_list_has(list, value->datum);
	bool		excluded = rule->kind == RULE_EXCLUSION;
	RuleError  *error;

	if (has != excluded)
		return;
	error = add_error(check, rule, excluded ? "is reserved" : "is invalid",
					  excluded ? "exclusion" : "inclusion");
	add_list(error, list);
	finish_error(check, rule, error);
}

/* Are all elements of an array in a list? */
static bool
array_within(ValueList *list, ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, ARR_ELEMTYPE(array), list->type.typlen,
					  list->type.typbyval, list->type.typalign, &elements,
					  &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nulls[i] || !chatroom_list_has(list, elements[i]))
			return false;
	}
	return true;
}

/* Are all elements of a JSON list in a list? */
static bool
json_within(const ValueList *list, JsonbContainer *array)
{
	JsonbIterator *iterator = JsonbIteratorInit(array);
	JsonbValue	element;
	JsonbIteratorToken token;
	bool		started = false;

	while ((token = JsonbIteratorNext(&iterator, &element, started)) !=
		   WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		started = true;
		if (token == WJB_ELEM && !chatroom_list_has_json(list, &element))
			return false;
	}
	return true;
}

/* subset */
static void
check_subset(Check *check, const Rule *rule, const RuleValue *value)
{
	ValueList  *list = rule->code->list;
	bool		within;
	RuleError  *error;

	if (value->class == CLASS_ARRAY)
		within = array_within(list, DatumGetArrayTypeP(value->datum));
	else if (value->class == CLASS_JSONB &&
			 JsonContainerIsArray(value->json.val.binary.data))
		within = json_within(list, value->json.val.binary.data);
	else
	{
		add_cast_error(check, rule, "\"list\"");
		return;
	}
	if (within)
		return;
	error = add_error(check, rule, "has an invalid entry", "subset");
	add_list(error, list);
	finish_error(check, rule, error);
}

/* Compare an integer with a limit: negative, zero or positive. */
static int
compare_integer(int64 number, const NumberLimit *limit)
{
	Datum		numeric;

	if (limit->integral)
		return number < limit->integer ? -1 : number > limit->integer;
	numeric = DirectFunctionCall1(int8_numeric, Int64GetDatum(number));
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, numeric,
											 NumericGetDatum(limit->number)));
}

/* Compare a number with a limit; false: it is not a number. */
static bool
compare_number(const RuleValue *value, const ValueType *type,
			   const NumberLimit *limit, int *result)
{
	double		real;
	double		other = limit->real;
	Datum		order;

	switch (value->class)
	{
		case CLASS_INTEGER:
			*result = compare_integer(type->typlen == 2 ?
									  DatumGetInt16(value->datum) :
									  type->typlen == 4 ?
									  DatumGetInt32(value->datum) :
									  DatumGetInt64(value->datum), limit);
			return true;
		case CLASS_NUMERIC:
			if (numeric_is_nan(value->number))
				return false;
			order = DirectFunctionCall2(numeric_cmp,
										NumericGetDatum(value->number),
										NumericGetDatum(limit->number));
			*result = DatumGetInt32(order);
			return true;
		case CLASS_FLOAT4:
			real = DatumGetFloat4(value->datum);
			other = (float4) other;
			break;
		default:
			real = DatumGetFloat8(value->datum);
			break;
	}
	*result = real < other ? -1 : real > other;
	return !isnan(real);
}

/* number */
static void
check_number(Check *check, const Rule *rule, const RuleValue *value)
{
	const RuleCode *code = rule->code;

	if (value->class != CLASS_INTEGER && value->class != CLASS_FLOAT4 &&
		value->class != CLASS_FLOAT8 && value->class != CLASS_NUMERIC)
	{
		add_cast_error(check, rule, "\"decimal\"");
		return;
	}
	for (int i = 0; i < code->nlimits; i++)
	{
		const NumberLimit *limit = &code->limits[i];
		const NumberRelation *relation =
			&chatroom_number_relations[limit->relation];
		int			order = 0;
		bool		holds;
		RuleError  *error;

		if (!compare_number(value, &code->type, limit, &order))
			holds = relation->less && relation->greater;	/* not equal */
		else
			holds = order < 0 ? relation->less :
				order > 0 ? relation->greater : relation->equal;
		if (holds)
			continue;
		error = add_error(check, rule, relation->text, "number");
		chatroom_error_key(error, "kind", chatroom_json_string(relation->name));
		chatroom_error_key(error, "number", limit->json);
		finish_error(check, rule, error);
		return;
	}
}

/* check */
static void
check_expression(Check *check, const Rule *rule)
{
	bool		isnull;
	Datum		result = chatroom_evaluate(rule->code->condition,
										   check->rules->code->context,
										   row_slot(check), &isnull);
	RuleError  *error;

	if (isnull || DatumGetBool(result))
		return;
	error = add_error(check, rule, "is invalid", NULL);
	error->constraint = "check";
	finish_error(check, rule, error);
}

/* -------------------------------------------------------------- embeds */

/* An embed is something else than an object, or than a list of them. */
static void
add_embed_error(Check *check, const Rule *rule)
{
	RuleError  *error = add_error(check, rule, "is invalid", "embed");

	chatroom_error_key(error, "type",
					   rule->many ? "[\"array\", \"map\"]" : "\"map\"");
	finish_error(check, rule, error);
}

/* embed: a list of objects */
static void
check_objects(Check *check, const Rule *rule, JsonbContainer *array,
			  const char *path, const char *path_json)
{
	JsonbIterator *iterator = JsonbIteratorInit(array);
	JsonbValue	element;
	JsonbIteratorToken token;
	int			index = 0;
	bool		started = false;

	while ((token = JsonbIteratorNext(&iterator, &element, started)) !=
		   WJB_DONE)
	{
		started = true;
		if (token != WJB_ELEM)
			continue;
		if (element.type != jbvBinary ||
			!JsonContainerIsObject(element.val.binary.data))
		{
			add_embed_error(check, rule);
			return;
		}
		check_object(check, rule, element.val.binary.data,
					 psprintf("%s.%d", path, index),
					 psprintf("%s, %d", path_json, index));
		index++;
	}
}

/* embed */
static void
check_embed(Check *check, const Rule *rule, const RuleValue *value)
{
	const char *path = check->path ?
		psprintf("%s.%s", check->path, rule->field) : rule->field;
	const char *path_json = check->path ?
		psprintf("%s, %s", check->path_json, chatroom_json_string(rule->field)) :
		chatroom_json_string(rule->field);
	JsonbContainer *container;

	if (value->class != CLASS_JSONB ||
		JsonContainerIsArray(value->json.val.binary.data) != rule->many)
	{
		add_embed_error(check, rule);
		return;
	}
	container = value->json.val.binary.data;
	if (rule->many)
		check_objects(check, rule, container, path, path_json);
	else
		check_object(check, rule, container, path, path_json);
}

/* Check a value that is not null. */
static void
check_value(Check *check, const Rule *rule, const RuleValue *value)
{
	switch (rule->kind)
	{
		case RULE_LENGTH:
			check_length(check, rule, value);
			break;
		case RULE_FORMAT:
			check_format(check, rule, value);
			break;
		case RULE_INCLUSION:
		case RULE_EXCLUSION:
			check_list(check, rule, value);
			break;
		case RULE_SUBSET:
			check_subset(check, rule, value);
			break;
		case RULE_NUMBER:
			check_number(check, rule, value);
			break;
		case RULE_EMBED:
			check_embed(check, rule, value);
			break;
		default:
			break;
	}
}

/* Check an object inside an embed. */
static void
check_object(Check *check, const Rule *rule, JsonbContainer *object,
			 const char *path, const char *path_json)
{
	const RuleCode *code = rule->code;
	const char *missing = NULL;
	const char *old_path = check->path;
	const char *old_path_json = check->path_json;
	const Rule *old_rule = check->rule;

	CHECK_FOR_INTERRUPTS();
	if (check->rule == NULL)
		check->rule = rule;
	check->path = path;
	check->path_json = path_json;
	for (int i = 0; i < code->nrules; i++)
	{
		const Rule *inner = &code->rules[i];
		JsonbValue	buffer;
		JsonbValue *json;
		RuleValue	value = {0};

		/* rules come by field */
		if (missing != NULL && strcmp(missing, inner->field) == 0)
			continue;
		json = getKeyJsonValueFromContainer(object, inner->field,
											strlen(inner->field), &buffer);
		if (json != NULL)
			read_json(&value, json);
		else
			value.isnull = true;
		if (inner->kind == RULE_REQUIRED)
		{
			if (!check_required(check, inner, &value))
				missing = inner->field;
		}
		else if (!value.isnull)
			check_value(check, inner, &value);
	}
	check->path = old_path;
	check->path_json = old_path_json;
	check->rule = old_rule;
}

/* ---------------------------------------------------- what the client sent */

/* One attribute; NULL where there is none. */
static JsonbValue *
find_attribute(Jsonb *attrs, const char *name)
{
	if (!JB_ROOT_IS_OBJECT(attrs))
		return NULL;
	return getKeyJsonValueFromContainer(&attrs->root, name, strlen(name),
										NULL);
}

/* acceptance: true, "true" or "1" */
static void
check_acceptance(Check *check, const Rule *rule)
{
	JsonbValue *value = find_attribute(check->input->attrs, rule->field);

	if (value != NULL && value->type == jbvBool && value->val.boolean)
		return;
	if (value != NULL && value->type == jbvString &&
		((value->val.string.len == 4 &&
		  memcmp(value->val.string.val, "true", 4) == 0) ||
		 (value->val.string.len == 1 && value->val.string.val[0] == '1')))
		return;
	finish_error(check, rule, add_error(check, rule, "must be accepted",
										"acceptance"));
}

/* confirmation: field_confirmation, where it is sent, is the same as field */
static void
check_confirmation(Check *check, const Rule *rule)
{
	Rule		other = *rule;
	JsonbValue *value = find_attribute(check->input->attrs, rule->field);
	JsonbValue *again;
	JsonbValue	null = {0};

	other.field = psprintf("%s_confirmation", rule->field);
	other.ncolumns = 0;
	again = find_attribute(check->input->attrs, other.field);
	null.type = jbvNull;
	if (again == NULL)
	{
		if (rule->code->confirmation_required)
			finish_error(check, &other, add_error(check, &other,
												  "can't be blank",
												  "required"));
		return;
	}
	if (compareJsonbContainers(&JsonbValueToJsonb(value ? value : &null)->root,
							   &JsonbValueToJsonb(again)->root) != 0)
		finish_error(check, &other, add_error(check, &other,
											  "does not match confirmation",
											  "confirmation"));
}

/* ------------------------------------------------------------- look-ups */

/* Is a unique rule's every field what it was, as its type compares? */
static bool
same_keys(const RuleCode *code, const RuleInput *input)
{
	for (int i = 0; i < code->nkeys; i++)
	{
		int			index = code->keys[i] - 1;

		if (input->old_nulls[index] ||
			!DatumGetBool(FunctionCall2Coll((FmgrInfo *) &code->equals[i],
											code->collations[i],
											input->old[index],
											input->values[index])))
			return false;
	}
	return true;
}

/* Does a row refer to itself? */
static bool
refers_to_itself(const RuleCode *code, const RuleInput *input)
{
	for (int i = 0; i < code->nkeys; i++)
	{
		AttrNumber	same = code->same[i];
		int			index = code->keys[i] - 1;

		if (same == 0 || input->nulls[same - 1] || input->nulls[index] ||
			!DatumGetBool(FunctionCall2Coll((FmgrInfo *) &code->equals[i],
											code->collations[i],
											input->values[same - 1],
											input->values[index])))
			return false;
	}
	return true;
}

/*
 * Look a rule's keys up; false where that can't be done: one of them is null,
 * or the user may not, and a constraint sees to it anyway.
 */
static bool
look_up(const RuleCode *code, const RuleInput *input, bool *found)
{
	Datum		values[INDEX_MAX_KEYS];

	for (int i = 0; i < code->nkeys; i++)
	{
		if (input->nulls[code->keys[i] - 1])
			return false;
		values[i] = input->values[code->keys[i] - 1];
	}
	if (code->guarded && !chatroom_may_look_up(code->lookup))
		return false;
	*found = chatroom_look_up(code->lookup, values, NULL);
	return true;
}

/* unique */
static void
check_unique(Check *check, const Rule *rule)
{
	const RuleCode *code = rule->code;
	bool		found;
	RuleError  *error;

	for (int i = 0; i < code->nkeys; i++)
		if (check->input->nulls[code->keys[i] - 1])
			return;
	if (check->input->old != NULL && same_keys(code, check->input))
		return;
	if (!look_up(code, check->input, &found) || !found)
		return;
	error = add_error(check, rule, "has already been taken", "unsafe_unique");
	chatroom_error_key(error, "fields", code->fields_json);
	finish_error(check, rule, error);
}

/* assoc */
static void
check_assoc(Check *check, const Rule *rule)
{
	bool		found;
	RuleError  *error;

	if (refers_to_itself(rule->code, check->input) ||
		!look_up(rule->code, check->input, &found) || found)
		return;
	error = add_error(check, rule, "does not exist", NULL);
	error->constraint = "assoc";
	error->name = rule->code->constraint;
	error->sqlerrcode = rule->code->sqlerrcode;
	finish_error(check, rule, error);
}

/* no_assoc */
static void
check_no_assoc(Check *check, const Rule *rule)
{
	bool		found;
	RuleError  *error;

	if (!look_up(rule->code, check->input, &found) || !found)
		return;
	error = add_error(check, rule, rule->code->has_many ?
					  "are still associated with this entry" :
					  "is still associated with this entry", NULL);
	error->constraint = "no_assoc";
	error->name = rule->code->constraint;
	error->sqlerrcode = rule->code->sqlerrcode;
	finish_error(check, rule, error);
}

/* ------------------------------------------------------- optimistic locks */

/* An integer of two, four or eight bytes. */
static int64
get_integer(const ValueType *type, Datum datum)
{
	return type->typlen == 2 ? DatumGetInt16(datum) :
		type->typlen == 4 ? DatumGetInt32(datum) : DatumGetInt64(datum);
}

/* The version after one; at the end of the type it begins again. */
static int64
next_version(const ValueType *type, int64 version)
{
	int64		last = type->typlen == 2 ? PG_INT16_MAX :
		type->typlen == 4 ? PG_INT32_MAX : PG_INT64_MAX;

	return version >= last ? 1 : version + 1;
}

/*
 * optimistic_lock: an update carries the version that it was made from, which
 * is also what it has when it says nothing of it; or the next, which the
 * libraries send that count it up themselves, with the old one in WHERE.
 */
static void
check_lock(Check *check, const Rule *rule)
{
	const RuleInput *input = check->input;
	const RuleCode *code = rule->code;
	int			index = code->number - 1;
	int64		old;
	int64		new;
	RuleError  *error;

	if (input->old == NULL || input->old_nulls[index])
		return;
	if (!input->nulls[index])
	{
		old = get_integer(&code->type, input->old[index]);
		new = get_integer(&code->type, input->values[index]);
		if (new == old || new == next_version(&code->type, old))
			return;
	}
	error = add_error(check, rule, "is stale", "optimistic_lock");
	chatroom_error_key(error, "stale", "true");
	finish_error(check, rule, error);
}

/* ------------------------------------------------------------------ rows */

/* Does a rule count for what was written? */
static bool
counts(const Check *check, const Rule *rule)
{
	const RuleCode *code = rule->code;
	int			attnum = -1;

	if (code->always)
		return true;
	if (check->input->old == NULL && check->input->changed == NULL &&
		!check->input->none_changed)
		return true;
	while ((attnum = bms_next_member(code->depends, attnum)) >= 0)
		if (chatroom_column_changed(check->input, attnum))
			return true;
	return false;
}

/* Is one of a rule's columns known to be in error? */
static bool
has_failed(const Check *check, const Rule *rule)
{
	return (check->input->failed != NULL &&
			bms_overlap(rule->code->depends, check->input->failed));
}

/* Check a rule that needs no look-up. */
static void
check_rule(Check *check, const Rule *rule)
{
	const RuleValue *value;

	switch (rule->kind)
	{
		case RULE_ACCEPTANCE:
			if (check->input->attrs != NULL)
				check_acceptance(check, rule);
			return;
		case RULE_CONFIRMATION:
			if (check->input->attrs != NULL)
				check_confirmation(check, rule);
			return;
		case RULE_UNIQUE:
		case RULE_ASSOC:
		case RULE_NO_ASSOC:
			return;
		default:
			break;
	}
	if (rule->code->problem != NULL || has_failed(check, rule))
		return;
	if (rule->kind == RULE_REQUIRED)
	{
		if (!check_required(check, rule, column_value(check, rule)))
			check->missing = bms_add_member(check->missing,
											rule->columns[0]);
		return;
	}
	if (rule->kind == RULE_OPTIMISTIC_LOCK)
	{
		check_lock(check, rule);
		return;
	}
	if ((check->missing != NULL &&
		 bms_is_member(rule->columns[0], check->missing)) ||
		!counts(check, rule))
		return;
	if (rule->kind == RULE_CHECK)
	{
		check_expression(check, rule);
		return;
	}
	value = column_value(check, rule);
	if (!value->isnull)
		check_value(check, rule, value);
}

/* Check a rule that looks into a table. */
static void
check_lookup(Check *check, const Rule *rule)
{
	const RuleCode *code = rule->code;

	if (code->lookup == NULL || rule->kind == RULE_NO_ASSOC ||
		has_failed(check, rule) || bms_overlap(code->depends, check->failed) ||
		(check->input->in_trigger && code->native) || !counts(check, rule))
		return;
	if (rule->kind == RULE_UNIQUE)
		check_unique(check, rule);
	else if (rule->kind == RULE_ASSOC)
		check_assoc(check, rule);
}

/* Check an inserted or updated row. */
List *
chatroom_check(RuleSet *rules, Relation relation, const RuleInput *input)
{
	Check		check;

	if (rules->nrules == 0)
		return NIL;
	check.rules = rules;
	check.input = input;
	check.errors = NIL;
	check.failed = NULL;
	check.missing = NULL;
	check.slot = input->slot;
	check.own_slot = false;
	check.attnum = 0;
	check.rule = NULL;
	check.path = NULL;
	check.path_json = NULL;
	for (int i = 0; i < rules->nrules; i++)
		check_rule(&check, &rules->rules[i]);
	for (int i = 0; rules->code->lookups && i < rules->nrules; i++)
		check_lookup(&check, &rules->rules[i]);
	if (check.own_slot)
		ExecDropSingleTupleTableSlot(check.slot);
	return check.errors;
}

/* Check a row that is to be deleted. */
List *
chatroom_check_delete(RuleSet *rules, Relation relation,
					  const RuleInput *input)
{
	Check		check = {0};

	check.rules = rules;
	check.input = input;
	for (int i = 0; rules->on_delete && i < rules->nrules; i++)
		if (rules->rules[i].kind == RULE_NO_ASSOC &&
			rules->rules[i].code->lookup != NULL)
			check_no_assoc(&check, &rules->rules[i]);
	return check.errors;
}

/* ------------------------------------------------------------ the trigger */

CHATROOM_FUNCTION(chatroom_validate);
CHATROOM_FUNCTION(chatroom_rule);

/* Take what rules need out of a slot. */
static void
read_slot(RuleInput *input, const RuleSetCode *set, TupleTableSlot *slot)
{
	slot_getsomeattrs(slot, set->natts);
	input->values = slot->tts_values;
	input->nulls = slot->tts_isnull;
}

/* Count a row's version up, unless whoever wrote did. */
static HeapTuple
count_version(const RuleSetCode *set, Relation relation, HeapTuple tuple,
			  const RuleInput *input)
{
	const ValueType *type = &set->lock->code->type;
	int			column = set->lock_column;
	int			index = column - 1;
	int64		version = 1;
	Datum		datum;
	bool		isnull = false;

	if (!input->old_nulls[index])
	{
		int64		old = get_integer(type, input->old[index]);

		version = next_version(type, old);
		if (get_integer(type, input->values[index]) == version)
			return tuple;
	}
	else if (!input->nulls[index])
		return tuple;
	datum = type->typlen == 2 ? Int16GetDatum(version) :
		type->typlen == 4 ? Int32GetDatum(version) : Int64GetDatum(version);
	return heap_modify_tuple_by_cols(tuple, RelationGetDescr(relation), 1,
									 &column, &datum, &isnull);
}

/* Raise a row's errors, with those of the constraints that it breaks, too. */
static void
refuse_row(Relation relation, RuleInput *input, List *errors,
		   const TriggerData *data)
{
	slot_getallattrs(input->slot);
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		slot_getallattrs(data->tg_trigslot);
	chatroom_raise_errors(relation,
						  chatroom_check_native(relation, input, errors));
}

/* BEFORE DELETE: nothing must refer to the row, where a rule says so. */
static void
validate_delete(RuleSet *rules, const TriggerData *data)
{
	RuleInput	input = {0};
	List	   *errors;

	if (!rules->on_delete)
		return;
	input.tupdesc = RelationGetDescr(data->tg_relation);
	input.in_trigger = true;
	read_slot(&input, rules->code, data->tg_trigslot);
	errors = chatroom_check_delete(rules, data->tg_relation, &input);
	if (errors != NIL)
		chatroom_raise_errors(data->tg_relation, errors);
}

/* BEFORE INSERT OR UPDATE OR DELETE FOR EACH ROW: check the row. */
Datum
chatroom_validate(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Relation	relation;
	RuleSet    *rules;
	RuleInput	input = {0};
	HeapTuple	tuple;
	List	   *errors;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function chatroom.validate() was not called by a trigger that chatroom.add_rule() made"),
				 errhint("Use chatroom.add_rule().")));
	relation = data->tg_relation;
	rules = chatroom_rules(relation);
	if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
	{
		validate_delete(rules, data);
		return PointerGetDatum(data->tg_trigtuple);
	}
	tuple = data->tg_trigtuple;
	input.slot = data->tg_trigslot;
	input.tupdesc = RelationGetDescr(relation);
	input.in_trigger = true;
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		read_slot(&input, rules->code, data->tg_trigslot);
		input.old = input.values;
		input.old_nulls = input.nulls;
		tuple = data->tg_newtuple;
		input.slot = data->tg_newslot;
	}
	read_slot(&input, rules->code, input.slot);
	errors = chatroom_check(rules, relation, &input);
	if (unlikely(errors != NIL))
		refuse_row(relation, &input, errors, data);
	if (rules->code->lock != NULL && input.old != NULL)
		tuple = count_version(rules->code, relation, tuple, &input);
	return PointerGetDatum(tuple);
}

/* What holders call, should anybody enable them: nothing. */
Datum
chatroom_rule(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function chatroom.rule() was not called by a trigger"),
				 errhint("Use chatroom.add_rule().")));
	PG_RETURN_POINTER(NULL);
}
