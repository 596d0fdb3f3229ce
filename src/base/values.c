/*-------------------------------------------------------------------------
 *
 * values.c
 *	  Values as events carry them.
 *
 * What row_to_json would print for a value, without the quotes of a string;
 * but the same in every session: UTC, ISO dates, hex bytea, shortest floats.
 * Common types are written here, without a function call and mostly without
 * a copy.  For the others PostgreSQL's own functions run, while the variables
 * behind the settings that they look at are pinned.  Two kinds of types look
 * at more (reg* at search_path, money at lc_monetary): these settings are
 * changed for the moment as a function's SET clause would.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/tupdesc.h"
#include "base/compat.h"
#include "base/values.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "pgtime.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

typedef enum ValueKind
{
	VALUE_BOOL,
	VALUE_INT2,
	VALUE_INT4,
	VALUE_INT8,
	VALUE_FLOAT4,
	VALUE_FLOAT8,
	VALUE_NUMERIC,
	VALUE_TEXT,					/* text and all that is stored alike */
	VALUE_NAME,
	VALUE_DATETIME,				/* date, timestamp, timestamptz */
	VALUE_UUID,
	VALUE_BYTEA,
	VALUE_JSONB,
	VALUE_ARRAY,
	VALUE_COMPOSITE,
	VALUE_CAST,					/* a user's cast to json */
	VALUE_OUTPUT				/* the type's output function */
} ValueKind;


/* Does the output of a type, or of its parts, look at costly settings? */
static bool
needs_settings(Oid typid, int depth)
{
	TypeCacheEntry *entry;
	TupleDesc	tupdesc;
	Oid			element;
	bool		result = false;

	check_stack_depth();
	typid = getBaseType(typid);
	switch (typid)
	{
		case CASHOID:
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
			return true;
		default:
			break;
	}
	element = get_element_type(typid);
	if (OidIsValid(element))
		return needs_settings(element, depth + 1);
	if (typid == RECORDOID || typid == RECORDARRAYOID)
		return true;
	if (!type_is_rowtype(typid))
		return false;

	/* a type can't contain itself but through an array: depth bounds that */
	if (depth > 16)
		return true;
	entry = lookup_type_cache(typid, TYPECACHE_TUPDESC);
	if (entry->tupDesc == NULL)
		return true;
	tupdesc = CreateTupleDescCopy(entry->tupDesc);
	for (int i = 0; i < tupdesc->natts && !result; i++)
		result = !TupleDescAttr(tupdesc, i)->attisdropped &&
			needs_settings(TupleDescAttr(tupdesc, i)->atttypid, depth + 1);
	FreeTupleDesc(tupdesc);
	return result;
}

/* Is the type text by another name, as far as memory goes? */
static bool
is_text(Oid typid)
{
	return typid == TEXTOID || typid == VARCHAROID || typid == BPCHAROID;
}

/* Does the type's output look at none of the settings that are pinned? */
static bool
is_constant_output(Oid typid)
{
	switch (typid)
	{
		case OIDOID:
		case CHAROID:
		case TIMEOID:
		case TIMETZOID:
		case INETOID:
		case CIDROID:
		case MACADDROID:
		case MACADDR8OID:
		case BITOID:
		case VARBITOID:
		case TSVECTOROID:
			return true;
		default:
			return is_text(typid) || type_is_enum(typid);
	}
}

/* Let the type's output function write. */
static void
use_output(ValueWriter *writer, MemoryContext context)
{
	Oid			function;
	bool		is_varlena;

	getTypeOutputInfo(writer->typid, &function, &is_varlena);
	fmgr_info_cxt(function, &writer->function, context);
	writer->kind = VALUE_OUTPUT;
	writer->reads_back = true;
	writer->needs_pins = !is_constant_output(writer->typid);
}

/* Prepare to write values of a type as its output function prints them. */
void
chatroom_value_output(ValueWriter *writer, Oid typid, MemoryContext context)
{
	memset(writer, 0, sizeof(*writer));
	writer->typid = getBaseType(typid);
	writer->needs_settings = needs_settings(typid, 0);
	use_output(writer, context);
}

/* For types without a fast path: do as core's datum_to_json does. */
static void
use_core(ValueWriter *writer, MemoryContext context)
{
	Oid			cast;

	writer->needs_settings = needs_settings(writer->typid, 0);
	writer->needs_pins = true;
	writer->flags = COLUMN_LITERAL;
	if (OidIsValid(get_element_type(writer->typid)) ||
		writer->typid == RECORDARRAYOID)
		writer->kind = VALUE_ARRAY;
	else if (type_is_rowtype(writer->typid))
		writer->kind = VALUE_COMPOSITE;
	else if (writer->typid >= FirstNormalObjectId &&
			 find_coercion_pathway(JSONOID, writer->typid, COERCION_EXPLICIT,
								   &cast) == COERCION_PATH_FUNC &&
			 OidIsValid(cast))
	{
		writer->kind = VALUE_CAST;
		fmgr_info_cxt(cast, &writer->function, context);
	}
	else
	{
		writer->flags = 0;
		use_output(writer, context);
	}
}

/*
 * Prepare to write values of a type as row_to_json would.  Memory that must
 * live as long as the writer is allocated in context.
 */
void
chatroom_value_json(ValueWriter *writer, Oid typid, bool big_numbers_text,
					MemoryContext context)
{
	memset(writer, 0, sizeof(*writer));
	writer->typid = getBaseType(typid);
	writer->reads_back = true;
	switch (writer->typid)
	{
		case BOOLOID:
			writer->kind = VALUE_BOOL;
			writer->flags = COLUMN_LITERAL;
			break;
		case INT2OID:
			writer->kind = VALUE_INT2;
			writer->flags = COLUMN_LITERAL;
			break;
		case INT4OID:
			writer->kind = VALUE_INT4;
			writer->flags = COLUMN_LITERAL;
			break;
		case INT8OID:
			writer->kind = VALUE_INT8;
			writer->flags = big_numbers_text ? 0 : COLUMN_LITERAL;
			break;
		case FLOAT4OID:
			writer->kind = VALUE_FLOAT4;
			writer->flags = COLUMN_LITERAL | COLUMN_NUMERIC;
			break;
		case FLOAT8OID:
			writer->kind = VALUE_FLOAT8;
			writer->flags = COLUMN_LITERAL | COLUMN_NUMERIC;
			break;
		case NUMERICOID:
			writer->kind = VALUE_NUMERIC;
			writer->flags = big_numbers_text ? 0 :
				COLUMN_LITERAL | COLUMN_NUMERIC;
			break;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			writer->kind = VALUE_DATETIME;
			break;
		case UUIDOID:
			writer->kind = VALUE_UUID;
			break;
		case NAMEOID:
			writer->kind = VALUE_NAME;
			break;
		case BYTEAOID:
			writer->kind = VALUE_BYTEA;
			break;
		case JSONOID:
			writer->kind = VALUE_TEXT;
			writer->flags = COLUMN_LITERAL;
			break;
		case JSONBOID:
			writer->kind = VALUE_JSONB;
			writer->flags = COLUMN_LITERAL;
			break;
		default:
			if (is_text(writer->typid))
				writer->kind = VALUE_TEXT;
			else
			{
				writer->reads_back = false;
				use_core(writer, context);
			}
			break;
	}
}

/* Point a piece to a C string. */
static void
set_piece(Piece *piece, const char *text)
{
	piece->data = text;
	piece->len = strlen(text);
}

/* Write a uuid: 36 bytes. */
static void
write_uuid(const pg_uuid_t *uuid, char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*text++ = '-';
		*text++ = digits[uuid->data[i] >> 4];
		*text++ = digits[uuid->data[i] & 0x0F];
	}
}

/* Write bytes as \x and hex digits. */
static void
write_bytea(const struct varlena *bytes, Piece *piece)
{
	Size		len = VARSIZE_ANY_EXHDR(bytes);
	char	   *text = palloc(len * 2 + 2);

	text[0] = '\\';
	text[1] = 'x';
	hex_encode(VARDATA_ANY(bytes), len, text + 2);
	piece->data = text;
	piece->len = len * 2 + 2;
}

/* Write a float as float8out does with extra_float_digits > 0. */
static void
write_float(double value, bool single, char *text, Piece *piece)
{
	piece->data = text;
	if (isnan(value))
		set_piece(piece, "NaN");
	else if (isinf(value))
		set_piece(piece, value > 0 ? "Infinity" : "-Infinity");
	else if (single)
		piece->len = float_to_shortest_decimal_buf((float) value, text);
	else
		piece->len = double_to_shortest_decimal_buf(value, text);
}

/* Point a piece to the bytes of a text datum. */
static void
set_text(Piece *piece, Datum value)
{
	struct varlena *text = PG_DETOAST_DATUM_PACKED(value);

	piece->data = VARDATA_ANY(text);
	piece->len = VARSIZE_ANY_EXHDR(text);
}

/*
 * Write a value that is not null.  The piece points into the value, into
 * scratch (VALUE_SCRATCH bytes), or to memory of the current context.
 */
void
chatroom_write_value(ValueWriter *writer, Datum value, char *scratch,
					 Piece *piece)
{
	static const int utc = 0;

	piece->data = scratch;
	switch ((ValueKind) writer->kind)
	{
		case VALUE_BOOL:
			set_piece(piece, DatumGetBool(value) ? "true" : "false");
			break;
		case VALUE_INT2:
			piece->len = pg_itoa(DatumGetInt16(value), scratch);
			break;
		case VALUE_INT4:
			piece->len = pg_ltoa(DatumGetInt32(value), scratch);
			break;
		case VALUE_INT8:
			piece->len = pg_lltoa(DatumGetInt64(value), scratch);
			break;
		case VALUE_FLOAT4:
			write_float(DatumGetFloat4(value), true, scratch, piece);
			break;
		case VALUE_FLOAT8:
			write_float(DatumGetFloat8(value), false, scratch, piece);
			break;
		case VALUE_NUMERIC:
			set_piece(piece, DatumGetCString(DirectFunctionCall1(numeric_out,
																 value)));
			break;
		case VALUE_TEXT:
			set_text(piece, value);
			break;
		case VALUE_NAME:
			set_piece(piece, NameStr(*DatumGetName(value)));
			break;
		case VALUE_DATETIME:
			{
				char		text[MAXDATELEN + 1];

				JsonEncodeDateTime(text, value, writer->typid, &utc);
				piece->len = strlen(text);
				if (piece->len > VALUE_SCRATCH)
					piece->data = pnstrdup(text, piece->len);
				else
					memcpy(scratch, text, piece->len);
				break;
			}
		case VALUE_UUID:
			write_uuid(DatumGetUUIDP(value), scratch);
			piece->len = UUID_LEN * 2 + 4;
			break;
		case VALUE_BYTEA:
			write_bytea(PG_DETOAST_DATUM_PACKED(value), piece);
			break;
		case VALUE_JSONB:
			{
				Jsonb	   *jb = DatumGetJsonbP(value);

				set_piece(piece, JsonbToCString(NULL, &jb->root, VARSIZE(jb)));
				break;
			}
		case VALUE_ARRAY:
			set_text(piece, DirectFunctionCall1(array_to_json, value));
			break;
		case VALUE_COMPOSITE:
			set_text(piece, DirectFunctionCall1(row_to_json, value));
			break;
		case VALUE_CAST:
			set_text(piece, FunctionCall1(&writer->function, value));
			break;
		case VALUE_OUTPUT:
			set_piece(piece, OutputFunctionCall(&writer->function, value));
			break;
	}
}

/*
 * Pin what output depends on, so that it's the same in all sessions.  The
 * caller unpins also after an error (PG_FINALLY).
 */
void
chatroom_pin(ValuePins *pins, bool settings)
{
	static struct pg_tz *utc = NULL;

	if (utc == NULL)
		utc = pg_tzset("GMT");
	pins->timezone = session_timezone;
	pins->date_style = DateStyle;
	pins->date_order = DateOrder;
	pins->interval_style = IntervalStyle;
	pins->bytea = bytea_output;
	pins->float_digits = extra_float_digits;
	pins->array_nulls = Array_nulls;
	pins->nest_level = 0;
	if (settings)
	{
		pins->nest_level = NewGUCNestLevel();
		(void) set_config_option("search_path", "pg_catalog, pg_temp",
								 PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
		(void) set_config_option("lc_monetary", "C",
								 PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	}
	session_timezone = utc;
	DateStyle = USE_ISO_DATES;
	DateOrder = DATEORDER_MDY;
	IntervalStyle = INTSTYLE_POSTGRES;
	bytea_output = BYTEA_OUTPUT_HEX;
	extra_float_digits = 1;
	Array_nulls = true;
}

/* Put back what was pinned. */
void
chatroom_unpin(const ValuePins *pins)
{
	session_timezone = pins->timezone;
	DateStyle = pins->date_style;
	DateOrder = pins->date_order;
	IntervalStyle = pins->interval_style;
	bytea_output = pins->bytea;
	extra_float_digits = pins->float_digits;
	Array_nulls = pins->array_nulls;
	if (pins->nest_level > 0)
		AtEOXact_GUC(false, pins->nest_level);
}

/* Set what SQL of expressions depends on; see values.h. */
int
chatroom_fix_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"DateStyle", "ISO, MDY"},
		{"IntervalStyle", "postgres"},
		{"extra_float_digits", "1"},
		{"array_nulls", "on"}
	};
	int			nest_level = NewGUCNestLevel();

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
	return nest_level;
}
