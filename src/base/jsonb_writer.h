/*-------------------------------------------------------------------------
 *
 * jsonb_writer.h
 *	  Writing jsonb as it is stored, without building a tree before.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_JSONB_WRITER_H
#define CHATROOM_JSONB_WRITER_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* An object or array that is being written. */
typedef struct JsonbFrame
{
	int			start;			/* where in the buffer it begins */
	int			entries;		/* where its next entry goes */
	int			index;			/* of the next entry */
	uint32		total;			/* bytes of its entries so far */
} JsonbFrame;

/* A whole jsonb as a value: an object, an array, or the scalar that it is. */
extern void chatroom_jsonb_value(Jsonb *jsonb, JsonbValue *value);

/* A key of an object. */
typedef struct JsonbKey
{
	const char *name;
	int			namelen;
} JsonbKey;

/* The order that keys of an object stand in. */
extern int	chatroom_compare_keys(const char *a, int alen,
								  const char *b, int blen);

/* Order n structs of a size that begin with a JsonbKey each. */
extern void chatroom_sort_keys(void *structs, int n, Size size);

/*
 * A jsonb is started, gets one object or array, and is finished.  An object
 * gets all its keys, in their order, as strings, and then all its values; an
 * array its elements.  The number of pairs or elements is told beforehand.
 * A nested object or array is begun and ended within its parent's frame.
 */
extern void chatroom_jsonb_start(StringInfo buf);
extern Jsonb *chatroom_jsonb_finish(StringInfo buf);

extern void chatroom_begin_object(StringInfo buf, JsonbFrame *frame,
								  int npairs);
/* The same, with the keys of n structs of a size, in their order. */
extern void chatroom_begin_keys(StringInfo buf, JsonbFrame *frame,
								const void *structs, int n, Size size);
extern void chatroom_begin_array(StringInfo buf, JsonbFrame *frame,
								 int nelements);
extern void chatroom_end(StringInfo buf, JsonbFrame *frame,
						 JsonbFrame *parent);

extern void chatroom_put_text(StringInfo buf, JsonbFrame *frame,
							  const char *data, int len);
extern void chatroom_put_numeric(StringInfo buf, JsonbFrame *frame,
								 Numeric number);
extern void chatroom_put_bool(StringInfo buf, JsonbFrame *frame, bool value);
extern void chatroom_put_null(StringInfo buf, JsonbFrame *frame);
extern void chatroom_put_jsonb(StringInfo buf, JsonbFrame *frame,
							   Jsonb *value);
extern void chatroom_put_value(StringInfo buf, JsonbFrame *frame,
							   const JsonbValue *value);

#endif							/* CHATROOM_JSONB_WRITER_H */
