/*-------------------------------------------------------------------------
 *
 * jsonb_writer.c
 *	  Writing jsonb as it is stored, without building a tree before.
 *
 * PostgreSQL makes a jsonb from a tree of values, each of them allocated and
 * each object's keys sorted.  Rows of one table all have the same keys: here
 * their order is known, and a row is written in one go, in the format that
 * utils/jsonb.h describes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/jsonb_writer.h"
#include "utils/memutils.h"


/* The order that keys of an object stand in. */
int
chatroom_compare_keys(const char *a, int alen, const char *b, int blen)
{
	if (alen != blen)
		return alen < blen ? -1 : 1;
	return memcmp(a, b, alen);
}

/* The same for qsort, of what begins with a JsonbKey. */
static int
compare_structs(const void *a, const void *b)
{
	const JsonbKey *left = a;
	const JsonbKey *right = b;

	return chatroom_compare_keys(left->name, left->namelen,
								 right->name, right->namelen);
}

/* Order structs by their keys; see jsonb_writer.h. */
void
chatroom_sort_keys(void *structs, int n, Size size)
{
	qsort(structs, n, size, compare_structs);
}

/* Append zeroes up to a boundary of 4 bytes. */
static void
pad(StringInfo buf)
{
	static const char zeroes[sizeof(uint32)] = {0};
	int			missing = INTALIGN(buf->len) - buf->len;

	if (missing > 0)
		appendBinaryStringInfo(buf, zeroes, missing);
}

/* Start a jsonb: room for its length. */
void
chatroom_jsonb_start(StringInfo buf)
{
	static const char zeroes[VARHDRSZ] = {0};

	initStringInfo(buf);
	appendBinaryStringInfo(buf, zeroes, VARHDRSZ);
}

/* It is complete. */
Jsonb *
chatroom_jsonb_finish(StringInfo buf)
{
	SET_VARSIZE(buf->data, buf->len);
	return (Jsonb *) buf->data;
}

/* Begin an object or array, with room for its entries. */
static void
begin(StringInfo buf, JsonbFrame *frame, uint32 header, int nentries)
{
	Size		size = (Size) nentries * sizeof(JEntry);

	frame->start = buf->len;
	frame->index = 0;
	frame->total = 0;
	pad(buf);
	appendBinaryStringInfo(buf, (char *) &header, sizeof(header));
	if (size > MaxAllocSize / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many elements for one jsonb value")));
	enlargeStringInfo(buf, size);
	frame->entries = buf->len;
	buf->len += size;
	buf->data[buf->len] = '\0';
}

/* Begin an object of so many pairs. */
void
chatroom_begin_object(StringInfo buf, JsonbFrame *frame, int npairs)
{
	begin(buf, frame, npairs | JB_FOBJECT, npairs * 2);
}

/* Begin an array of so many elements. */
void
chatroom_begin_array(StringInfo buf, JsonbFrame *frame, int nelements)
{
	begin(buf, frame, nelements | JB_FARRAY, nelements);
}

/* Note an entry whose bytes have been appended from a place on. */
static void
note_entry(StringInfo buf, JsonbFrame *frame, JEntry type, int from)
{
	uint32		len = buf->len - from;
	JEntry		entry = type | len;

	frame->total += len;
	if (frame->total > JENTRY_OFFLENMASK)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("total size of jsonb elements exceeds the maximum of %u bytes",
						JENTRY_OFFLENMASK)));
	if (frame->index % JB_OFFSET_STRIDE == 0)
		entry = type | frame->total | JENTRY_HAS_OFF;
	memcpy(buf->data + frame->entries, &entry, sizeof(entry));
	frame->entries += sizeof(entry);
	frame->index++;
}

/* An object or array is complete; parent NULL: it is the outermost. */
void
chatroom_end(StringInfo buf, JsonbFrame *frame, JsonbFrame *parent)
{
	if (parent != NULL)
		note_entry(buf, parent, JENTRY_ISCONTAINER, frame->start);
}

/* Put a string, or a key. */
void
chatroom_put_text(StringInfo buf, JsonbFrame *frame, const char *data,
				  int len)
{
	int			from = buf->len;

	appendBinaryStringInfo(buf, data, len);
	note_entry(buf, frame, JENTRY_ISSTRING, from);
}

/* Start an object, with its keys; see jsonb_writer.h. */
void
chatroom_begin_keys(StringInfo buf, JsonbFrame *frame, const void *structs,
					int n, Size size)
{
	const char *pos = structs;

	chatroom_begin_object(buf, frame, n);
	for (int i = 0; i < n; i++, pos += size)
	{
		const JsonbKey *key = (const JsonbKey *) pos;

		chatroom_put_text(buf, frame, key->name, key->namelen);
	}
}

/* Put a number. */
void
chatroom_put_numeric(StringInfo buf, JsonbFrame *frame, Numeric number)
{
	int			from = buf->len;

	pad(buf);
	appendBinaryStringInfo(buf, (char *) number, VARSIZE_ANY(number));
	note_entry(buf, frame, JENTRY_ISNUMERIC, from);
}

/* Put true or false. */
void
chatroom_put_bool(StringInfo buf, JsonbFrame *frame, bool value)
{
	note_entry(buf, frame,
			   value ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE, buf->len);
}

/* Put a null. */
void
chatroom_put_null(StringInfo buf, JsonbFrame *frame)
{
	note_entry(buf, frame, JENTRY_ISNULL, buf->len);
}

/* Put a value that a jsonb was taken apart to; not an array or object tree. */
void
chatroom_put_value(StringInfo buf, JsonbFrame *frame, const JsonbValue *value)
{
	int			from = buf->len;

	switch (value->type)
	{
		case jbvNull:
			chatroom_put_null(buf, frame);
			break;
		case jbvString:
			chatroom_put_text(buf, frame, value->val.string.val,
							  value->val.string.len);
			break;
		case jbvNumeric:
			chatroom_put_numeric(buf, frame, value->val.numeric);
			break;
		case jbvBool:
			chatroom_put_bool(buf, frame, value->val.boolean);
			break;
		case jbvBinary:
			pad(buf);
			appendBinaryStringInfo(buf, (char *) value->val.binary.data,
								   value->val.binary.len);
			note_entry(buf, frame, JENTRY_ISCONTAINER, from);
			break;
		default:
			elog(ERROR, "unexpected jsonb value of type %d",
				 (int) value->type);
	}
}

/* A whole jsonb as a value; see jsonb_writer.h. */
void
chatroom_jsonb_value(Jsonb *jsonb, JsonbValue *value)
{
	if (!JB_ROOT_IS_SCALAR(jsonb) ||
		!JsonbExtractScalar(&jsonb->root, value))
	{
		value->type = jbvBinary;
		value->val.binary.data = &jsonb->root;
		value->val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
	}
}

/* Put a whole jsonb. */
void
chatroom_put_jsonb(StringInfo buf, JsonbFrame *frame, Jsonb *jsonb)
{
	JsonbValue	value;

	chatroom_jsonb_value(jsonb, &value);
	chatroom_put_value(buf, frame, &value);
}
