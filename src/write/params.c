/*-------------------------------------------------------------------------
 *
 * params.c
 *	  Parameters of rules.
 *
 * Parameters are a JSON object.  The same code reads them when a rule is
 * added, where its errors are what the caller is told, and when the rules of a
 * table are compiled.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "access/htup_details.h"
#include "access/transam.h"
#include "base/arguments.h"
#include "base/cast.h"
#include "base/compat.h"
#include "base/values.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "regex/regex.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"
#include "write/rulecode.h"

/* How deep embeds may be nested. */
#define MAX_EMBED_DEPTH			8

/* Longer lists of values are sorted. */
#define MAX_UNSORTED			8

/* Bytes of a list that errors show. */
#define MAX_SHOWN				1000

const NumberRelation chatroom_number_relations[NUMBER_RELATIONS] = {
	{"less_than", "must be less than %{number}", true, false, false},
	{"greater_than", "must be greater than %{number}", false, false, true},
	{"less_than_or_equal_to", "must be less than or equal to %{number}",
	true, true, false},
	{"greater_than_or_equal_to",
	"must be greater than or equal to %{number}", false, true, true},
	{"equal_to", "must be equal to %{number}", false, true, false},
	{"not_equal_to", "must be not equal to %{number}", true, false, true}
};

/* Parameters of the kinds of rules. */
static const char *const no_params[] = {NULL};
static const char *const length_params[] = {"is", "min", "max", "count", NULL};
static const char *const format_params[] = {"with", NULL};
static const char *const list_params[] = {"in", NULL};
static const char *const number_params[] = {
	"less_than", "greater_than", "less_than_or_equal_to",
	"greater_than_or_equal_to", "equal_to", "not_equal_to", NULL
};
static const char *const confirmation_params[] = {"required", NULL};
static const char *const check_params[] = {"expression", NULL};
static const char *const embed_params[] = {"rules", "many", "on_replace", NULL};
static const char *const unique_params[] = {"fields", NULL};

/* Kinds of rules, by RuleKind. */
static const RuleKindInfo kinds[] = {
	{"required", true, true, no_params},
	{"length", true, true, length_params},
	{"format", true, true, format_params},
	{"inclusion", true, true, list_params},
	{"exclusion", true, true, list_params},
	{"subset", true, true, list_params},
	{"number", true, true, number_params},
	{"acceptance", false, false, no_params},
	{"confirmation", false, false, confirmation_params},
	{"check", false, true, check_params},
	{"embed", true, true, embed_params},
	{"unique", false, true, unique_params},
	{"assoc", false, false, no_params},
	{"no_assoc", false, false, no_params},
	{"optimistic_lock", false, true, no_params}
};

static const char *const on_replace_names[] = {
	"raise", "mark_as_invalid", "nilify", "update", "delete"
};

static void read_params(Rule *rule, int depth);

/* What is known of a kind. */
const RuleKindInfo *
chatroom_rule_kind(RuleKind kind)
{
	return &kinds[kind];
}

/* A kind by its name. */
RuleKind
chatroom_find_rule_kind(const char *name)
{
	StringInfoData names;

	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return (RuleKind) i;
	initStringInfo(&names);
	for (int i = 0; i < lengthof(kinds); i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", kinds[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown validation \"%s\"", name),
			 errhint("Validations are %s.", names.data)));
	return RULE_REQUIRED;		/* keep the compiler quiet */
}

/* ------------------------------------------------------------------ types */

/* How values of a type are to be read. */
static ValueClass
type_class(Oid typid)
{
	switch (typid)
	{
		case NAMEOID:
			return CLASS_NAME;
		case BYTEAOID:
			return CLASS_BYTES;
		case JSONOID:
			return CLASS_JSON;
		case JSONBOID:
			return CLASS_JSONB;
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return CLASS_INTEGER;
		case FLOAT4OID:
			return CLASS_FLOAT4;
		case FLOAT8OID:
			return CLASS_FLOAT8;
		case NUMERICOID:
			return CLASS_NUMERIC;
		case BOOLOID:
			return CLASS_BOOLEAN;
		default:
			break;
	}

	/* text, varchar, char(n), citext: not what merely is written like it */
	if (typid == BPCHAROID)
		return CLASS_TEXT;
	if (get_typtype(typid) == TYPTYPE_BASE &&
		TypeCategory(typid) == TYPCATEGORY_STRING &&
		IsBinaryCoercible(typid, TEXTOID))
		return CLASS_TEXT;
	return type_is_array(typid) ? CLASS_ARRAY : CLASS_OTHER;
}

/* The type of a column. */
void
chatroom_value_type(ValueType *type, Oid typid, Oid collation)
{
	type->typid = getBaseType(typid);
	type->class = type_class(type->typid);
	type->collation = collation;
	get_typlenbyvalalign(type->typid, &type->typlen, &type->typbyval,
						 &type->typalign);
}

/* Refuse a rule on a column of another type than it can be for. */
static void
wrong_type(const Rule *rule, const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("\"%s\" can't have a rule of validation \"%s\"",
					rule->field, kinds[rule->kind].name),
			 errdetail("It is of type %s.",
					   format_type_be(rule->code->type.typid)),
			 errhint("The validation is for %s.", wanted)));
}

/* -------------------------------------------------------- JSON parameters */

/* A JSON value as text. */
char *
chatroom_json_text(Jsonb *json)
{
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

/* One JSON value as text. */
static char *
value_text(JsonbValue *value)
{
	return chatroom_json_text(JsonbValueToJsonb(value));
}

/* What a JSON value is, for "must not be ...". */
static const char *
value_name(const JsonbValue *value)
{
	return value->type == jbvNull ? "null" : chatroom_json_kind(value);
}

/* Complain of a parameter that is something else than it should be. */
static void
wrong_value(const char *name, const JsonbValue *value, const char *wanted)
{
	bool		empty = strcmp(wanted, "a list") == 0 &&
		value->type == jbvBinary &&
		JsonContainerIsObject(value->val.binary.data) &&
		JsonContainerSize(value->val.binary.data) == 0;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("parameter \"%s\" must be %s, not %s", name, wanted,
					value_name(value)),
			 empty ?
			 errhint("Some drivers turn an empty list into an object: hand the JSON over as text.") :
			 0));
}

/* One parameter; NULL: not given. */
static JsonbValue *
find_param(Jsonb *params, const char *name)
{
	JsonbValue *value;

	value = getKeyJsonValueFromContainer(&params->root, name, strlen(name),
										 NULL);
	return value;
}

/* One parameter that must be given. */
static JsonbValue *
needed_param(const Rule *rule, const char *name)
{
	JsonbValue *value = find_param(rule->params, name);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("validation \"%s\" needs parameter \"%s\"",
						kinds[rule->kind].name, name)));
	return value;
}

/* Refuse parameters that a validation doesn't have. */
static void
check_keys(Jsonb *params, const char *const *known, const char *of)
{
	JsonbIterator *iterator;
	JsonbValue	key;
	JsonbIteratorToken token;
	StringInfoData names;

	if (!JB_ROOT_IS_OBJECT(params))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameters of %s must be an object, not %s", of,
						JB_ROOT_IS_SCALAR(params) ? "a scalar" : "a list")));
	initStringInfo(&names);
	for (int i = 0; known[i] != NULL; i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", known[i]);
	iterator = JsonbIteratorInit(&params->root);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		bool		found = false;

		if (token != WJB_KEY)
			continue;
		for (int i = 0; known[i] != NULL; i++)
			if (strlen(known[i]) == key.val.string.len &&
				memcmp(known[i], key.val.string.val,
					   key.val.string.len) == 0)
				found = true;
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown parameter \"%s\" of %s",
							pnstrdup(key.val.string.val, key.val.string.len),
							of),
					 known[0] != NULL ?
					 errhint("Parameters are: %s.", names.data) :
					 errhint("It has no parameters.")));
	}
}

/* Refuse parameters that a kind doesn't have. */
void
chatroom_check_params(RuleKind kind, Jsonb *params)
{
	check_keys(params, kinds[kind].params,
			   psprintf("validation \"%s\"", kinds[kind].name));
}

/* A string. */
static char *
string_of(const char *name, const JsonbValue *value)
{
	if (value->type != jbvString)
		wrong_value(name, value, "a string");
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* A boolean parameter. */
static bool
read_boolean(const Rule *rule, const char *name)
{
	JsonbValue *value = find_param(rule->params, name);

	if (value == NULL)
		return false;
	if (value->type != jbvBool)
		wrong_value(name, value, "a boolean");
	return value->val.boolean;
}

/* A number of things; -1: not given. */
static int64
read_count(const Rule *rule, const char *name)
{
	JsonbValue *value = find_param(rule->params, name);
	char	   *text;
	char	   *end;
	int64		count;

	if (value == NULL)
		return -1;
	if (value->type != jbvNumeric)
		wrong_value(name, value, "a number");
	text = value_text(value);
	errno = 0;
	count = strtoi64(text, &end, 10);
	if (errno != 0 || *end != '\0' || count < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameter \"%s\" must be a whole number of 0 or more, not %s",
						name, text)));
	return count;
}

/* The values of a list, as JsonbValue. */
static List *
list_values(const char *name, const JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbValue	element;
	JsonbIteratorToken token;
	List	   *values = NIL;
	bool		started = false;

	if (value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data))
		wrong_value(name, value, "a list");
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &element, started)) !=
		   WJB_DONE)
	{
		started = true;
		if (token == WJB_ELEM)
		{
			JsonbValue *copy = palloc(sizeof(JsonbValue));

			*copy = element;
			values = lappend(values, copy);
		}
	}
	return values;
}

/* The strings of a list in parameters. */
List *
chatroom_param_strings(Jsonb *params, const char *name)
{
	JsonbValue *value = find_param(params, name);
	List	   *strings = NIL;
	ListCell   *lc;

	if (value == NULL)
		return NIL;
	foreach(lc, list_values(name, value))
	{
		const JsonbValue *element = lfirst(lc);

		if (element->type != jbvString)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("parameter \"%s\" must be a list of strings, but has %s in it",
							name, value_name(element))));
		strings = lappend(strings, string_of(name, element));
	}
	if (strings == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameter \"%s\" must not be empty", name)));
	return strings;
}

/* One string of parameters. */
char *
chatroom_param_string(Jsonb *params, const char *name)
{
	JsonbValue *value = find_param(params, name);

	return value != NULL ? string_of(name, value) : NULL;
}

/* Parameters without one of the keys. */
Jsonb *
chatroom_params_without(Jsonb *params, const char *name)
{
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_delete,
											  JsonbPGetDatum(params),
											  CStringGetTextDatum(name)));
}

/* -------------------------------------------------------- the validations */

/* Read length's parameters. */
static void
read_length(Rule *rule)
{
	static const char *const units[] = {"graphemes", "codepoints", "bytes"};
	RuleCode   *code = rule->code;
	char	   *unit = chatroom_param_string(rule->params, "count");
	bool		known = unit == NULL;

	code->is = read_count(rule, "is");
	code->min = read_count(rule, "min");
	code->max = read_count(rule, "max");
	if (code->is < 0 && code->min < 0 && code->max < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("validation \"length\" needs a parameter"),
				 errhint("Parameters are: is, min, max, count.")));
	if (code->min >= 0 && code->max >= 0 && code->min > code->max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameter \"min\" must not be greater than \"max\"")));
	if (code->is >= 0 && (code->min > code->is ||
						  (code->max >= 0 && code->max < code->is)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameter \"is\" must not be outside of \"min\" and \"max\"")));
	for (int i = 0; unit != NULL && i < lengthof(units); i++)
	{
		if (strcmp(unit, units[i]) != 0)
			continue;
		code->unit = (LengthUnit) i;
		known = true;
	}
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameter \"count\" must not be \"%s\"", unit),
				 errhint("It is graphemes, codepoints or bytes.")));
}

/* Read format's parameter: a regular expression that can be compiled. */
static void
read_format(Rule *rule)
{
	JsonbValue *value = needed_param(rule, "with");

	rule->code->pattern = cstring_to_text(string_of("with", value));
	if (rule->code->outline)
		return;
	RE_compile_and_cache(rule->code->pattern, REG_ADVANCED,
						 OidIsValid(rule->code->type.collation) ?
						 rule->code->type.collation : DEFAULT_COLLATION_OID);
}

/* Let an error of a type's input say where it comes from. */
static void
list_error(void *arg)
{
	errcontext("parameter \"in\" of a rule");
}

/* One value of a list as one of the type, under the settings there are. */
static Datum
typed_value(const ValueType *type, const JsonbValue *value)
{
	char	   *text = chatroom_scalar_text(value);
	Oid			input;
	Oid			param;
	Datum		result;
	ErrorContextCallback callback;

	if (text == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameter \"in\" must not have %s in it",
						value_name(value)),
				 errhint("Values of type %s are strings, numbers or booleans.",
						 format_type_be(type->typid))));
	callback.callback = list_error;
	callback.arg = NULL;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	getTypeInputInfo(type->typid, &input, &param);
	result = OidInputFunctionCall(input, text, param, -1);
	error_context_stack = callback.previous;
	return result;
}

/* Does what a type writes and reads depend on settings? */
static bool
depends_on_settings(const ValueType *type)
{
	return type->class == CLASS_BYTES || type->class == CLASS_ARRAY ||
		type->class == CLASS_OTHER;
}

/* One value of a list that was kept. */
static Datum
kept_value(const ValueType *type, const JsonbValue *value)
{
	volatile Datum result = (Datum) 0;
	ValuePins	pins;

	if (!depends_on_settings(type))
		return typed_value(type, value);
	chatroom_pin(&pins, true);
	PG_TRY();
	{
		result = typed_value(type, value);
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	return result;
}

/* What a type writes for a value, under fixed settings. */
static char *
fixed_output(const ValueType *type, Datum value)
{
	char	   *volatile text = NULL;
	Oid			output;
	bool		varlena;
	ValuePins	pins;

	getTypeOutputInfo(type->typid, &output, &varlena);
	chatroom_pin(&pins, true);
	PG_TRY();
	{
		text = OidOutputFunctionCall(output, value);
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	return text;
}

/*
 * Does reading a value of a type run no code of a user's?  Only superusers
 * make base types; what others make are domains, and what consists of types.
 */
static bool
reads_harmlessly(Oid typid)
{
	Oid			element = get_element_type(typid);

	if (OidIsValid(element))
		return reads_harmlessly(element);
	return typid < FirstNormalObjectId ||
		get_typtype(typid) == TYPTYPE_ENUM ||
		get_typtype(typid) == TYPTYPE_BASE;
}

/* Order values by their bytes. */
static int
compare_bytes(const void *a, const void *b, void *arg)
{
	struct varlena *left = (struct varlena *) DatumGetPointer(*(Datum *) a);
	struct varlena *right = (struct varlena *) DatumGetPointer(*(Datum *) b);
	int			left_len = VARSIZE_ANY_EXHDR(left);
	int			right_len = VARSIZE_ANY_EXHDR(right);

	if (left_len != right_len)
		return left_len < right_len ? -1 : 1;
	return memcmp(VARDATA_ANY(left), VARDATA_ANY(right), left_len);
}

/* Order values as their type does. */
static int
compare_values(const void *a, const void *b, void *arg)
{
	ValueList  *list = arg;

	return DatumGetInt32(FunctionCall2Coll(&list->compare,
										   list->type.collation,
										   *(Datum *) a, *(Datum *) b));
}

/* Find how values of a list are compared, and sort them if that pays. */
static void
prepare_list(const Rule *rule, ValueList *list)
{
	TypeCacheEntry *entry = lookup_type_cache(list->type.typid,
											  TYPECACHE_EQ_OPR |
											  TYPECACHE_CMP_PROC);
	Oid			equal = OidIsValid(entry->eq_opr) ?
		get_opcode(entry->eq_opr) : InvalidOid;

	list->bytewise = (list->type.typid == TEXTOID ||
					  list->type.typid == VARCHAROID) &&
		(!OidIsValid(list->type.collation) ||
		 get_collation_isdeterministic(list->type.collation));
	if (!list->bytewise)
	{
		if (!OidIsValid(equal))
			wrong_type(rule, "types that have an equality operator");
		fmgr_info_cxt(equal, &list->equal, CurrentMemoryContext);
	}
	if (list->n <= MAX_UNSORTED)
		return;
	if (list->bytewise)
		qsort_arg(list->values, list->n, sizeof(Datum), compare_bytes, list);
	else if (OidIsValid(entry->cmp_proc))
	{
		fmgr_info_cxt(entry->cmp_proc, &list->compare, CurrentMemoryContext);
		qsort_arg(list->values, list->n, sizeof(Datum), compare_values, list);
	}
	else
		return;
	list->sorted = true;
}

/* Order JSON values. */
static int
compare_jsons(const void *a, const void *b)
{
	return compareJsonbContainers(&(*(Jsonb *const *) a)->root,
								  &(*(Jsonb *const *) b)->root);
}

/* Is a JSON value one of a list's? */
bool
chatroom_list_has_json(const ValueList *list, JsonbValue *value)
{
	Jsonb	   *json = JsonbValueToJsonb(value);

	return bsearch(&json, list->jsons, list->n, sizeof(Jsonb *),
				   compare_jsons) != NULL;
}

/* Is a value one of a list's? */
bool
chatroom_list_has(ValueList *list, Datum value)
{
	if (list->bytewise)
		value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
	if (list->sorted)
		return bsearch_arg(&value, list->values, list->n, sizeof(Datum),
						   list->bytewise ? compare_bytes : compare_values,
						   list) != NULL;
	for (int i = 0; i < list->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (list->bytewise ?
			compare_bytes(&value, &list->values[i], NULL) == 0 :
			DatumGetBool(FunctionCall2Coll(&list->equal, list->type.collation,
										   value, list->values[i])))
			return true;
	}
	return false;
}

/* The type of a list's values. */
static void
list_type(const Rule *rule, ValueType *type)
{
	const ValueType *column = &rule->code->type;

	*type = *column;
	if (rule->kind != RULE_SUBSET)
		return;
	if (column->class == CLASS_ARRAY)
		chatroom_value_type(type, get_element_type(column->typid),
							column->collation);
	else if (column->class != CLASS_JSON && column->class != CLASS_JSONB)
		wrong_type(rule, "arrays, json and jsonb");
}

/* Refuse null in a list. */
static void
refuse_null(const JsonbValue *value)
{
	if (value->type == jbvNull)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameter \"in\" must not have null in it"),
				 errdetail("A null passes all rules but \"required\".")));
}

/*
 * What errors show of a list: as many of its first values as take few bytes.
 * Whoever writes a wrong value shall not be sent megabytes for it.
 */
static void
show_list(ValueList *list, List *values)
{
	StringInfoData buf;
	int			n = 0;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '[');
	for (; n < list_length(values); n++)
	{
		char	   *text = value_text(list_nth(values, n));

		if (buf.len + strlen(text) > MAX_SHOWN)
			break;
		if (n > 0)
			appendStringInfoString(&buf, ", ");
		appendStringInfoString(&buf, text);
	}
	appendStringInfoChar(&buf, ']');
	list->shown = buf.data;
	if (n < list_length(values))
		list->more = psprintf("%d", list_length(values) - n);
}

/* Read the parameter of inclusion, exclusion and subset. */
static void
read_list(Rule *rule)
{
	RuleCode   *code = rule->code;
	JsonbValue *param = needed_param(rule, "in");
	List	   *values = list_values("in", param);
	ValueList  *list = palloc0(sizeof(ValueList));
	bool		is_json;
	ListCell   *lc;

	code->list = list;
	show_list(list, values);
	list_type(rule, &list->type);
	is_json = list->type.class == CLASS_JSON ||
		list->type.class == CLASS_JSONB;
	if (is_json)
		list->jsons = palloc(sizeof(Jsonb *) * Max(list_length(values), 1));
	else
		list->values = palloc(sizeof(Datum) * Max(list_length(values), 1));
	foreach(lc, values)
	{
		JsonbValue *value = lfirst(lc);

		refuse_null(value);
		if (is_json)
			list->jsons[list->n++] = JsonbValueToJsonb(value);
		else if (!code->outline || reads_harmlessly(list->type.typid))
			list->values[list->n++] = kept_value(&list->type, value);
	}
	if (is_json)
		qsort(list->jsons, list->n, sizeof(Jsonb *), compare_jsons);
	else if (!code->outline)
		prepare_list(rule, list);
}

/* Read the parameters of number. */
static void
read_number(Rule *rule)
{
	RuleCode   *code = rule->code;

	for (int i = 0; i < NUMBER_RELATIONS; i++)
	{
		const char *name = chatroom_number_relations[i].name;
		JsonbValue *value = find_param(rule->params, name);
		NumberLimit *limit;
		char	   *end;

		if (value == NULL)
			continue;
		if (value->type != jbvNumeric)
			wrong_value(name, value, "a number");
		limit = &code->limits[code->nlimits++];
		limit->relation = i;
		limit->json = value_text(value);
		limit->number =
			DatumGetNumericCopy(NumericGetDatum(value->val.numeric));
		errno = 0;
		limit->integer = strtoi64(limit->json, &end, 10);
		limit->integral = errno == 0 && *end == '\0';
		limit->real = strtod(limit->json, NULL);
	}
	if (code->nlimits == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("validation \"number\" needs a parameter"),
				 errhint("Parameters are: less_than, greater_than, less_than_or_equal_to, greater_than_or_equal_to, equal_to, not_equal_to.")));
}

/* Read one rule of an embed. */
static void
read_embedded(Rule *rule, JsonbValue *value, int depth, bool outline)
{
	static const char *const keys[] = {
		"field", "validation", "params", "message", NULL
	};
	Jsonb	   *object;
	JsonbValue *params;
	char	   *validation;

	if (value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameter \"rules\" must be a list of objects, but has %s in it",
						value_name(value)),
				 errhint("A rule is like {\"field\": \"name\", \"validation\": \"length\", \"params\": {\"max\": 40}}.")));
	object = JsonbValueToJsonb(value);
	check_keys(object, keys, "a rule of an embed");
	rule->field = chatroom_param_string(object, "field");
	validation = chatroom_param_string(object, "validation");
	if (rule->field == NULL || validation == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a rule of an embed needs \"field\" and \"validation\"")));
	rule->kind = chatroom_find_rule_kind(validation);
	if (!kinds[rule->kind].in_embed)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("validation \"%s\" can't be in an embed", validation),
				 errhint("Validations there are required, length, format, inclusion, exclusion, subset, number and embed.")));
	rule->message = chatroom_param_string(object, "message");
	params = find_param(object, "params");
	if (params != NULL && params->type != jbvBinary)
		wrong_value("params", params, "an object");
	rule->params = params ? JsonbValueToJsonb(params) :
		DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
										   CStringGetDatum("{}")));
	rule->code = palloc0(sizeof(RuleCode));
	rule->code->outline = outline;
	chatroom_value_type(&rule->code->type, JSONBOID, InvalidOid);
	read_params(rule, depth + 1);
}

/* Required rules first, as on columns. */
static int
compare_embedded(const void *a, const void *b)
{
	const Rule *left = a;
	const Rule *right = b;
	int			result = strcmp(left->field, right->field);

	if (result == 0)
		result = (int) left->kind - (int) right->kind;
	return result;
}

/* Read embed's parameters. */
static void
read_embed(Rule *rule, int depth)
{
	JsonbValue *value = find_param(rule->params, "rules");
	char	   *on_replace = chatroom_param_string(rule->params, "on_replace");
	List	   *rules = value ? list_values("rules", value) : NIL;
	RuleCode   *code = rule->code;
	bool		known = on_replace == NULL;
	ListCell   *lc;

	if (depth > MAX_EMBED_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("embeds must not be nested deeper than %d",
						MAX_EMBED_DEPTH)));
	rule->many = read_boolean(rule, "many");
	for (int i = 0; on_replace != NULL && i < lengthof(on_replace_names); i++)
	{
		if (strcmp(on_replace, on_replace_names[i]) != 0)
			continue;
		rule->on_replace = (OnReplace) i;
		known = true;
	}

	/* as Ecto has it: an embed can't be nilified, and only one be updated */
	if (!known || (rule->many && rule->on_replace == ON_REPLACE_UPDATE) ||
		rule->on_replace == ON_REPLACE_NILIFY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameter \"on_replace\" must not be \"%s\"",
						on_replace),
				 errhint("It is raise, mark_as_invalid, delete or, where \"many\" is false, update.")));
	code->rules = palloc0(sizeof(Rule) * Max(list_length(rules), 1));
	foreach(lc, rules)
		read_embedded(&code->rules[code->nrules++], lfirst(lc), depth,
					  code->outline);
	qsort(code->rules, code->nrules, sizeof(Rule), compare_embedded);
}

/* Refuse a rule on a column whose type it is not for. */
static void
check_type(const Rule *rule)
{
	ValueClass	class = rule->code->type.class;
	bool		json = class == CLASS_JSON || class == CLASS_JSONB;

	switch (rule->kind)
	{
		case RULE_LENGTH:
			if (class != CLASS_TEXT && class != CLASS_NAME &&
				class != CLASS_BYTES && class != CLASS_ARRAY && !json)
				wrong_type(rule, "texts, bytea, arrays, json and jsonb");
			break;
		case RULE_FORMAT:
			if (class != CLASS_TEXT && class != CLASS_NAME && !json)
				wrong_type(rule, "texts");
			break;
		case RULE_NUMBER:
			if (class != CLASS_INTEGER && class != CLASS_FLOAT4 &&
				class != CLASS_FLOAT8 && class != CLASS_NUMERIC && !json)
				wrong_type(rule, "smallint, integer, bigint, real, double precision and numeric");
			break;
		case RULE_EMBED:
			if (!json)
				wrong_type(rule, "json and jsonb");
			break;
		case RULE_OPTIMISTIC_LOCK:
			if (class != CLASS_INTEGER)
				wrong_type(rule, "smallint, integer and bigint");
			break;
		default:
			break;
	}
}

/* Parameters as they are kept; see rulecode.h. */
Jsonb *
chatroom_kept_params(RuleKind kind, const char *field, Jsonb *params,
					 Oid typid)
{
	Rule		rule = {0};
	RuleCode	code = {0};
	ValueType	type;
	StringInfoData buf;
	ListCell   *lc;

	if (kind != RULE_INCLUSION && kind != RULE_EXCLUSION &&
		kind != RULE_SUBSET)
		return params;
	rule.kind = kind;
	rule.field = (char *) field;
	rule.params = params;
	rule.code = &code;
	chatroom_value_type(&code.type, typid, InvalidOid);
	list_type(&rule, &type);
	if (!depends_on_settings(&type))
		return params;
	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"in\": [");
	foreach(lc, list_values("in", needed_param(&rule, "in")))
	{
		const JsonbValue *value = lfirst(lc);

		refuse_null(value);
		if (buf.data[buf.len - 1] != '[')
			appendStringInfoString(&buf, ", ");
		escape_json(&buf, fixed_output(&type, typed_value(&type, value)));
	}
	appendStringInfoString(&buf, "]}");
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											  CStringGetDatum(buf.data)));
}

/* Read a rule's parameters, and those of rules within it. */
static void
read_params(Rule *rule, int depth)
{
	check_stack_depth();
	chatroom_check_params(rule->kind, rule->params);
	check_type(rule);
	switch (rule->kind)
	{
		case RULE_LENGTH:
			read_length(rule);
			break;
		case RULE_FORMAT:
			read_format(rule);
			break;
		case RULE_INCLUSION:
		case RULE_EXCLUSION:
		case RULE_SUBSET:
			read_list(rule);
			break;
		case RULE_NUMBER:
			read_number(rule);
			break;
		case RULE_CONFIRMATION:
			rule->code->confirmation_required = read_boolean(rule, "required");
			break;
		case RULE_EMBED:
			read_embed(rule, depth);
			break;
		default:
			break;
	}
}

/* Read a rule's parameters. */
void
chatroom_read_params(Rule *rule)
{
	read_params(rule, 1);
}
