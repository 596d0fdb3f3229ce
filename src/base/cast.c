/*-------------------------------------------------------------------------
 *
 * cast.c
 *	  Values of JSON as values of a type.
 *
 * The type's input function says what is a value of it.  It may raise an
 * error, which only a subtransaction turns into an answer (from 16 on most of
 * PostgreSQL's own types know a softer way).  So for common types the text is
 * looked at before: where it's plain that the input function takes it, or that
 * it can't, no subtransaction is needed.
 *
 * As Ecto does, text and dates are taken from JSON strings alone, and numbers
 * and booleans from what they are or from strings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/cast.h"
#include "base/compat.h"
#include "base/subtransaction.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

typedef enum CastKind
{
	KIND_BOOL,
	KIND_INT2,
	KIND_INT4,
	KIND_INT8,
	KIND_FLOAT4,
	KIND_FLOAT8,
	KIND_NUMERIC,
	KIND_TEXT,					/* and what has text's input function */
	KIND_LIMITED_TEXT,			/* varchar, char */
	KIND_UUID,
	KIND_DATETIME,				/* date, timestamp, timestamptz */
	KIND_STRING,				/* other types that are written as strings */
	KIND_BYTEA,
	KIND_ENUM,
	KIND_JSON,
	KIND_JSONB,
	KIND_ARRAY,
	KIND_COMPOSITE,
	KIND_SCALAR					/* all others: any JSON scalar's text */
} CastKind;

/* What runs in a subtransaction. */
typedef struct Attempt
{
	Caster	   *caster;
	char	   *text;			/* for the input function; NULL: check only */
	Datum		value;			/* what came out, or is checked */
} Attempt;


/* ---------------------------------------------------------- preparation */

/* The kind of a base type. */
static CastKind
kind_of_type(Caster *caster)
{
	switch (caster->base)
	{
		case BOOLOID:
			return KIND_BOOL;
		case INT2OID:
			return KIND_INT2;
		case INT4OID:
			return KIND_INT4;
		case INT8OID:
			return KIND_INT8;
		case FLOAT4OID:
			return KIND_FLOAT4;
		case FLOAT8OID:
			return KIND_FLOAT8;
		case NUMERICOID:
			return KIND_NUMERIC;
		case VARCHAROID:
		case BPCHAROID:
			return KIND_LIMITED_TEXT;
		case UUIDOID:
			return KIND_UUID;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return KIND_DATETIME;
		case TIMEOID:
		case TIMETZOID:
		case INTERVALOID:
		case NAMEOID:
		case XMLOID:
		case INETOID:
		case CIDROID:
		case MACADDROID:
		case MACADDR8OID:
			return KIND_STRING;
		case BYTEAOID:
			return KIND_BYTEA;
		case JSONOID:
			return KIND_JSON;
		case JSONBOID:
			return KIND_JSONB;
		default:
			break;
	}
	if (OidIsValid(get_element_type(caster->base)))
		return KIND_ARRAY;
	if (type_is_enum(caster->base))
		return KIND_ENUM;
	if (type_is_rowtype(caster->base) && caster->base != RECORDOID)
		return KIND_COMPOSITE;

	/* text itself, and citext: the function that only copies */
	if (caster->input.fn_addr == textin)
		return KIND_TEXT;
	return KIND_SCALAR;
}

/* Prepare for the attributes of a composite type. */
static void
prepare_attributes(Caster *caster)
{
	TupleDesc	tupdesc = lookup_rowtype_tupdesc(caster->base, -1);
	MemoryContext caller = MemoryContextSwitchTo(caster->context);

	caster->tupdesc = CreateTupleDescCopy(tupdesc);
	ReleaseTupleDesc(tupdesc);
	caster->parts = palloc0(sizeof(Caster) * caster->tupdesc->natts);
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < caster->tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(caster->tupdesc, i);

		if (!attribute->attisdropped)
			chatroom_prepare_cast(&caster->parts[i], attribute->atttypid,
								  attribute->atttypmod, caster->context);
	}
}

/* Prepare to cast to a type; what is allocated lives in context. */
void
chatroom_prepare_cast(Caster *caster, Oid typid, int32 typmod,
					  MemoryContext context)
{
	Oid			function;

	check_stack_depth();
	memset(caster, 0, sizeof(*caster));
	caster->typid = typid;
	caster->typmod = typmod;
	caster->context = context;
	caster->base = getBaseTypeAndTypmod(typid, &caster->typmod);
	caster->checked = caster->base != typid &&
		ChatroomDomainHasConstraints(typid);
	getTypeInputInfo(caster->base, &function, &caster->parameter);
	fmgr_info_cxt(function, &caster->input, context);
	caster->kind = kind_of_type(caster);
	if (caster->kind == KIND_ARRAY)
	{
		caster->parts = MemoryContextAllocZero(context, sizeof(Caster));
		chatroom_prepare_cast(caster->parts, get_element_type(caster->base),
							  caster->typmod, context);
	}
	else if (caster->kind == KIND_COMPOSITE)
		prepare_attributes(caster);
}

/* The most characters that a type of limited length has; -1: no limit. */
int
chatroom_max_characters(const Caster *caster)
{
	if (caster->kind != KIND_LIMITED_TEXT || caster->typmod < (int) VARHDRSZ)
		return -1;
	return caster->typmod - VARHDRSZ;
}

/* --------------------------------------------------------- what may raise */

/* Errors that are not about the value that was given. */
static bool
is_foreign_error(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_FEATURE_NOT_SUPPORTED:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
			return false;
		case ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR):
			return sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE;
		case ERRCODE_TO_CATEGORY(ERRCODE_INVALID_SCHEMA_NAME):
			return false;
		default:
			return true;
	}
}

/* Run the input function, or check a domain's constraints. */
static bool
attempt(void *arg)
{
	Attempt    *what = arg;
	Caster	   *caster = what->caster;

	if (what->text != NULL)
		what->value = InputFunctionCall(&caster->input, what->text,
										caster->parameter, caster->typmod);
	else
		domain_check(what->value, false, caster->typid, NULL,
					 CurrentMemoryContext);
	return true;
}

/* Do that in a subtransaction: is there no error? */
static bool
attempt_safely(Attempt *what)
{
	ErrorData  *error;

	if (chatroom_subtransaction(attempt, what, &error))
		return true;
	if (is_foreign_error(error->sqlerrcode))
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}

/* The input function's value of a text that it may not take. */
static CastResult
try_input(Caster *caster, char *text, Datum *result)
{
	Attempt		what = {caster, text, 0};
	bool		success;

	if (!chatroom_soft_input(&caster->input, text, caster->parameter,
							 caster->typmod, result, &success))
	{
		success = attempt_safely(&what);
		*result = what.value;
	}
	return success ? CAST_OK : CAST_INVALID;
}

/* Its value of a text that it takes. */
static CastResult
plain_input(Caster *caster, char *text, Datum *result)
{
	*result = InputFunctionCall(&caster->input, text, caster->parameter,
								caster->typmod);
	return CAST_OK;
}

/* ------------------------------------------------------- looking at texts */

/* The text of a scalar; see cast.h. */
char *
chatroom_scalar_text(const JsonbValue *value)
{
	Datum		number;

	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			number = NumericGetDatum(value->val.numeric);
			return DatumGetCString(DirectFunctionCall1(numeric_out, number));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}

/* Skip digits; how many there are. */
static int
skip_digits(const char **text)
{
	int			n = strspn(*text, "0123456789");

	*text += n;
	return n;
}

/* Is this a plain decimal number, without exponent, of bearable length? */
static bool
is_plain_number(const char *text)
{
	int			digits;

	if (strlen(text) > 30)
		return false;
	if (*text == '-' || *text == '+')
		text++;
	digits = skip_digits(&text);
	if (*text == '.')
	{
		text++;
		digits += skip_digits(&text);
	}
	return digits > 0 && *text == '\0';
}

/* Read a whole number; false if it is none or out of range. */
static bool
read_integer(const char *text, int64 min, int64 max, int64 *result)
{
	char	   *end;

	while (isspace((unsigned char) *text))
		text++;
	if (strspn(text, "+-0123456789") == 0)
		return false;
	errno = 0;
	*result = strtoll(text, &end, 10);
	if (end == text || errno != 0 || *result < min || *result > max)
		return false;
	while (isspace((unsigned char) *end))
		end++;
	return *end == '\0';
}

/* Read so many digits as a number within bounds. */
static bool
read_field(const char **text, int width, int min, int max, int *result)
{
	*result = 0;
	for (int i = 0; i < width; i++)
	{
		char		c = *(*text)++;

		if (c < '0' || c > '9')
			return false;
		*result = *result * 10 + (c - '0');
	}
	return *result >= min && *result <= max;
}

/* Is this the time zone of ISO 8601, or nothing? */
static bool
is_iso_zone(const char *text)
{
	int			field;

	if (*text == '\0' || pg_strcasecmp(text, "Z") == 0)
		return true;
	if (*text != '+' && *text != '-')
		return false;
	text++;
	if (!read_field(&text, 2, 0, 14, &field))
		return false;
	if (*text == ':')
		text++;
	if (*text == '\0')
		return text[-1] != ':';
	return read_field(&text, 2, 0, 59, &field) && *text == '\0';
}

/* Is this a date, with or without a time, as ISO 8601 writes it? */
static bool
is_iso_datetime(const char *text)
{
	int			year;
	int			month;
	int			day;
	int			field;

	if (!read_field(&text, 4, 1, 9999, &year) || *text++ != '-' ||
		!read_field(&text, 2, 1, 12, &month) || *text++ != '-' ||
		!read_field(&text, 2, 1, day_tab[isleap(year)][month - 1], &day))
		return false;
	if (*text == '\0')
		return true;
	if ((*text != 'T' && *text != 't' && *text != ' ') || (text++, false) ||
		!read_field(&text, 2, 0, 23, &field) || *text++ != ':' ||
		!read_field(&text, 2, 0, 59, &field))
		return false;
	if (*text == ':')
	{
		text++;
		if (!read_field(&text, 2, 0, 59, &field))
			return false;
		if (*text == '.')
		{
			text++;
			field = skip_digits(&text);
			if (field < 1 || field > 9)
				return false;
		}
	}
	return is_iso_zone(text);
}

/* Has it the characters of a time of day as ISO 8601 writes it? */
static bool
is_iso_time(const char *text)
{
	return isdigit((unsigned char) text[0]) && strchr(text, ':') != NULL &&
		text[strspn(text, "0123456789:.+-Zz")] == '\0';
}

/* Are these the 36 characters, or 32, of a uuid? */
static bool
is_uuid(const char *text)
{
	int			len = strlen(text);

	if (len != 36 && len != 32)
		return false;
	for (int i = 0; i < len; i++)
		if (len == 36 && (i == 8 || i == 13 || i == 18 || i == 23) ?
			text[i] != '-' : !isxdigit((unsigned char) text[i]))
			return false;
	return true;
}

/* Are these bytes in hex digits? */
static bool
is_hex_bytea(const char *text)
{
	int			len = strlen(text);

	return len >= 2 && len % 2 == 0 && text[0] == '\\' && text[1] == 'x' &&
		strspn(text + 2, "0123456789abcdefABCDEF") == len - 2;
}

/* Unicode's white space beyond ASCII, in UTF-8; how long it is, or 0. */
static int
wide_space(const unsigned char *data, int len)
{
	if (len >= 2 && data[0] == 0xC2 && (data[1] == 0x85 || data[1] == 0xA0))
		return 2;
	if (len < 3)
		return 0;
	if ((data[0] == 0xE1 && data[1] == 0x9A && data[2] == 0x80) ||
		(data[0] == 0xE2 && data[1] == 0x80 &&
		 ((data[2] >= 0x80 && data[2] <= 0x8A) || data[2] == 0xA8 ||
		  data[2] == 0xA9 || data[2] == 0xAF)) ||
		(data[0] == 0xE2 && data[1] == 0x81 && data[2] == 0x9F) ||
		(data[0] == 0xE3 && data[1] == 0x80 && data[2] == 0x80))
		return 3;
	return 0;
}

/* Is a value a string of nothing but white space? */
bool
chatroom_is_empty_value(const JsonbValue *value)
{
	const char *data;
	const char *end;

	if (value->type != jbvString)
		return false;
	data = value->val.string.val;
	end = data + value->val.string.len;
	while (data < end)
	{
		int			len = 0;

		if (*data == ' ' || (*data >= '\t' && *data <= '\r'))
			len = 1;
		else if (IS_HIGHBIT_SET(*data) && GetDatabaseEncoding() == PG_UTF8)
			len = wide_space((const unsigned char *) data, end - data);
		if (len == 0)
			return false;
		data += len;
	}
	return true;
}

/* ------------------------------------------------------------- scalars */

/* Cast to a boolean. */
static CastResult
cast_bool(Caster *caster, const JsonbValue *value, Datum *result)
{
	bool		boolean;

	if (value->type == jbvBool)
		*result = BoolGetDatum(value->val.boolean);
	else if (value->type == jbvString &&
			 parse_bool_with_len(value->val.string.val,
								 value->val.string.len, &boolean))
		*result = BoolGetDatum(boolean);
	else
		return CAST_INVALID;
	return CAST_OK;
}

/* Cast to a whole number. */
static CastResult
cast_integer(Caster *caster, const JsonbValue *value, Datum *result)
{
	int64		number;
	char	   *text;

	if (value->type != jbvNumeric && value->type != jbvString)
		return CAST_INVALID;
	text = chatroom_scalar_text(value);
	switch ((CastKind) caster->kind)
	{
		case KIND_INT2:
			if (!read_integer(text, PG_INT16_MIN, PG_INT16_MAX, &number))
				return CAST_INVALID;
			*result = Int16GetDatum((int16) number);
			break;
		case KIND_INT4:
			if (!read_integer(text, PG_INT32_MIN, PG_INT32_MAX, &number))
				return CAST_INVALID;
			*result = Int32GetDatum((int32) number);
			break;
		default:
			if (!read_integer(text, PG_INT64_MIN, PG_INT64_MAX, &number))
				return CAST_INVALID;
			*result = Int64GetDatum(number);
			break;
	}
	return CAST_OK;
}

/* Cast to a number that need not be whole. */
static CastResult
cast_number(Caster *caster, const JsonbValue *value, Datum *result)
{
	char	   *text;

	if (value->type != jbvNumeric && value->type != jbvString)
		return CAST_INVALID;
	text = chatroom_scalar_text(value);
	if (is_plain_number(text) &&
		(caster->kind != KIND_NUMERIC || caster->typmod < 0))
		return plain_input(caster, text, result);
	return try_input(caster, text, result);
}

/* Cast to varchar(n) or char(n): blanks beyond n are cut off. */
static CastResult
cast_limited_text(Caster *caster, const JsonbValue *value, Datum *result)
{
	int			max = chatroom_max_characters(caster);
	const char *data = value->val.string.val;
	int			len = value->val.string.len;

	if (value->type != jbvString)
		return CAST_INVALID;
	if (max >= 0 && len > max && pg_mbstrlen_with_len(data, len) > max)
	{
		int			fits = pg_mbcharcliplen(data, len, max);

		for (int i = fits; i < len; i++)
			if (data[i] != ' ')
				return CAST_TOO_LONG;
	}
	return plain_input(caster, pnstrdup(data, len), result);
}

/* Cast to a type that is written as a string. */
static CastResult
cast_string(Caster *caster, const JsonbValue *value, Datum *result)
{
	char	   *text;

	if (value->type != jbvString)
		return CAST_INVALID;
	if (caster->kind == KIND_TEXT)
	{
		*result =
			PointerGetDatum(cstring_to_text_with_len(value->val.string.val,
													 value->val.string.len));
		return CAST_OK;
	}
	text = chatroom_scalar_text(value);
	if ((caster->kind == KIND_DATETIME && is_iso_datetime(text)) ||
		(caster->kind == KIND_UUID && is_uuid(text)) ||
		(caster->kind == KIND_BYTEA && is_hex_bytea(text)) ||
		caster->base == NAMEOID)
		return plain_input(caster, text, result);
	return try_input(caster, text, result);
}

/* Cast to a label of an enum. */
static CastResult
cast_enum(Caster *caster, const JsonbValue *value, Datum *result)
{
	char	   *text;

	if (value->type != jbvString || value->val.string.len >= NAMEDATALEN)
		return CAST_INVALID;
	text = chatroom_scalar_text(value);
	if (!SearchSysCacheExists2(ENUMTYPOIDNAME,
							   ObjectIdGetDatum(caster->base),
							   CStringGetDatum(text)))
		return CAST_INVALID;
	return plain_input(caster, text, result);
}

/* ----------------------------------------------------- json and compounds */

/* Cast to jsonb: it is what it is. */
static CastResult
cast_jsonb(Caster *caster, const JsonbValue *value, Datum *result)
{
	Jsonb	   *jsonb = JsonbValueToJsonb((JsonbValue *) value);

	if (caster->kind == KIND_JSON)
		*result = CStringGetTextDatum(JsonbToCString(NULL, &jsonb->root,
													 VARSIZE(jsonb)));
	else
		*result = JsonbPGetDatum(jsonb);
	return CAST_OK;
}

/* The elements of an array that is being cast. */
typedef struct ElementBuffer
{
	int			ndim;			/* 0: not known yet */
	int			dims[MAXDIM];
	int			n;
	int			allocated;
	Datum	   *values;
	bool	   *nulls;
} ElementBuffer;

/* Add an element. */
static void
add_element(ElementBuffer *buffer, Datum value, bool isnull)
{
	if (buffer->n == buffer->allocated)
	{
		buffer->allocated = Max(16, buffer->allocated * 2);
		buffer->values = buffer->n == 0 ?
			palloc(sizeof(Datum) * buffer->allocated) :
			repalloc(buffer->values, sizeof(Datum) * buffer->allocated);
		buffer->nulls = buffer->n == 0 ?
			palloc(sizeof(bool) * buffer->allocated) :
			repalloc(buffer->nulls, sizeof(bool) * buffer->allocated);
	}
	buffer->values[buffer->n] = value;
	buffer->nulls[buffer->n++] = isnull;
}

/* Cast the elements of one JSON array; false: not of this type. */
static bool
cast_elements(Caster *element, JsonbContainer *container, int depth,
			  ElementBuffer *buffer)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbValue	value;
	JsonbIteratorToken token;
	int			count = 0;

	check_stack_depth();
	if (depth >= MAXDIM)
		return false;
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		Datum		datum = (Datum) 0;
		CastResult	result;

		CHECK_FOR_INTERRUPTS();
		if (token != WJB_ELEM)
			continue;
		/* Ecto drops empty values of lists */
		if (chatroom_is_empty_value(&value))
			continue;
		count++;
		if (value.type == jbvBinary &&
			JsonContainerIsArray(value.val.binary.data) &&
			element->kind != KIND_JSON && element->kind != KIND_JSONB)
		{
			if (buffer->ndim > 0 && depth + 1 >= buffer->ndim)
				return false;
			if (!cast_elements(element, value.val.binary.data, depth + 1,
							   buffer))
				return false;
			continue;
		}
		if (buffer->ndim == 0)
			buffer->ndim = depth + 1;
		else if (depth + 1 != buffer->ndim)
			return false;
		result = chatroom_cast(element, &value, &datum);
		if (result != CAST_OK && result != CAST_NULL)
			return false;
		add_element(buffer, datum, result == CAST_NULL);
	}
	if (buffer->dims[depth] < 0)
		buffer->dims[depth] = count;
	return buffer->dims[depth] == count;
}

/* Cast to an array. */
static CastResult
cast_array(Caster *caster, const JsonbValue *value, Datum *result)
{
	Caster	   *element = caster->parts;
	ElementBuffer buffer = {0};
	int			lower[MAXDIM];
	int16		typlen;
	bool		typbyval;
	char		typalign;

	if (value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data))
		return CAST_INVALID;
	for (int i = 0; i < MAXDIM; i++)
	{
		buffer.dims[i] = -1;
		lower[i] = 1;
	}
	if (!cast_elements(element, value->val.binary.data, 0, &buffer))
		return CAST_INVALID;
	if (buffer.n == 0)
	{
		*result = PointerGetDatum(construct_empty_array(element->typid));
		return CAST_OK;
	}
	get_typlenbyvalalign(element->typid, &typlen, &typbyval, &typalign);
	*result = PointerGetDatum(construct_md_array(buffer.values, buffer.nulls,
												 buffer.ndim, buffer.dims,
												 lower, element->typid,
												 typlen, typbyval,
												 typalign));
	return CAST_OK;
}

/* Cast an object to a composite type; what it lacks is null. */
static CastResult
cast_composite(Caster *caster, const JsonbValue *value, Datum *result)
{
	int			natts = caster->tupdesc->natts;
	Datum	   *values;
	bool	   *nulls;
	HeapTuple	tuple;

	if (value->type == jbvString)
		return try_input(caster, chatroom_scalar_text(value), result);
	if (value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		return CAST_INVALID;
	values = palloc0(sizeof(Datum) * natts);
	nulls = palloc(sizeof(bool) * natts);
	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(caster->tupdesc, i);
		JsonbValue	key;
		JsonbValue *part;
		CastResult	cast;

		nulls[i] = true;
		if (attribute->attisdropped)
			continue;
		key.type = jbvString;
		key.val.string.val = NameStr(attribute->attname);
		key.val.string.len = strlen(NameStr(attribute->attname));
		part = findJsonbValueFromContainer(value->val.binary.data,
										   JB_FOBJECT, &key);
		if (part == NULL)
			continue;
		cast = chatroom_cast(&caster->parts[i], part, &values[i]);
		if (cast != CAST_OK && cast != CAST_NULL)
			return CAST_INVALID;
		nulls[i] = cast == CAST_NULL;
	}
	tuple = heap_form_tuple(caster->tupdesc, values, nulls);
	*result = HeapTupleGetDatum(tuple);
	return CAST_OK;
}

/* Cast to a base type. */
static CastResult
cast_to_base(Caster *caster, const JsonbValue *value, Datum *result)
{
	char	   *text;

	switch ((CastKind) caster->kind)
	{
		case KIND_BOOL:
			return cast_bool(caster, value, result);
		case KIND_INT2:
		case KIND_INT4:
		case KIND_INT8:
			return cast_integer(caster, value, result);
		case KIND_FLOAT4:
		case KIND_FLOAT8:
		case KIND_NUMERIC:
			return cast_number(caster, value, result);
		case KIND_LIMITED_TEXT:
			return cast_limited_text(caster, value, result);
		case KIND_TEXT:
		case KIND_UUID:
		case KIND_DATETIME:
		case KIND_STRING:
		case KIND_BYTEA:
			return cast_string(caster, value, result);
		case KIND_ENUM:
			return cast_enum(caster, value, result);
		case KIND_JSON:
		case KIND_JSONB:
			return cast_jsonb(caster, value, result);
		case KIND_ARRAY:
			return cast_array(caster, value, result);
		case KIND_COMPOSITE:
			return cast_composite(caster, value, result);
		case KIND_SCALAR:
			text = chatroom_scalar_text(value);
			if (text != NULL)
				return try_input(caster, text, result);
			break;
	}
	return CAST_INVALID;
}

/* -------------------------------------------------------- what Ecto takes */

/* Would Ecto take a string for a number? */
static bool
is_ecto_number(const char *text, bool whole)
{
	if (*text == '+' || *text == '-')
		text++;
	if (!isdigit((unsigned char) *text) && (whole || *text != '.'))
		return false;
	return text[strspn(text, whole ? "0123456789" :
					   "0123456789.eE+-")] == '\0';
}

/* Would Ecto take a string for a value of a type? */
static bool
ecto_takes_string(const Caster *caster, const char *text)
{
	switch ((CastKind) caster->kind)
	{
		case KIND_BOOL:
			return strcmp(text, "true") == 0 || strcmp(text, "false") == 0 ||
				strcmp(text, "1") == 0 || strcmp(text, "0") == 0;
		case KIND_INT2:
		case KIND_INT4:
		case KIND_INT8:
			return is_ecto_number(text, true);
		case KIND_FLOAT4:
		case KIND_FLOAT8:
		case KIND_NUMERIC:
			return is_ecto_number(text, false);
		case KIND_DATETIME:
			return is_iso_datetime(text);
		default:
			return (caster->base != TIMEOID && caster->base != TIMETZOID) ||
				is_iso_time(text);
	}
}

/* Would Ecto take what an array has, or a composite value? */
static bool
ecto_takes_parts(const Caster *caster, JsonbContainer *container)
{
	bool		array = JsonContainerIsArray(container);
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	value;
	const Caster *part = array ? caster->parts : NULL;

	check_stack_depth();
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_KEY)
		{
			part = NULL;
			for (int i = 0; i < caster->tupdesc->natts; i++)
			{
				const char *name =
					NameStr(TupleDescAttr(caster->tupdesc, i)->attname);

				if (!TupleDescAttr(caster->tupdesc, i)->attisdropped &&
					strlen(name) == value.val.string.len &&
					memcmp(name, value.val.string.val,
						   value.val.string.len) == 0)
					part = &caster->parts[i];
			}
			continue;
		}
		if ((token != WJB_ELEM && token != WJB_VALUE) || part == NULL ||
			chatroom_is_empty_value(&value))
			continue;

		/* an array of several dimensions */
		if (!chatroom_ecto_takes(array && value.type == jbvBinary &&
								 JsonContainerIsArray(value.val.binary.data) &&
								 part->kind != KIND_JSON &&
								 part->kind != KIND_JSONB ? caster : part,
								 &value))
			return false;
	}
	return true;
}

/* Would Ecto take a value for a type?  See cast.h. */
bool
chatroom_ecto_takes(const Caster *caster, const JsonbValue *value)
{
	if (value->type == jbvString)
		return ecto_takes_string(caster, chatroom_scalar_text(value));
	if (value->type == jbvBinary &&
		(caster->kind == KIND_ARRAY ?
		 JsonContainerIsArray(value->val.binary.data) :
		 caster->kind == KIND_COMPOSITE &&
		 JsonContainerIsObject(value->val.binary.data)))
		return ecto_takes_parts(caster, value->val.binary.data);
	return true;
}

/* ----------------------------------------------------------- all types */

/* Cast a value. */
CastResult
chatroom_cast(Caster *caster, const JsonbValue *value, Datum *result)
{
	CastResult	cast;

	if (value->type == jbvNull)
	{
		*result = (Datum) 0;
		return CAST_NULL;
	}
	cast = cast_to_base(caster, value, result);
	if (cast == CAST_OK && caster->checked)
	{
		Attempt		what = {caster, NULL, *result};

		if (!attempt_safely(&what))
			return CAST_INVALID;
	}
	return cast;
}
