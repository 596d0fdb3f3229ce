/*-------------------------------------------------------------------------
 *
 * values.h
 *	  Values as events carry them: the text that JSON would hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_VALUES_H
#define CHATROOM_VALUES_H

#include "postgres.h"

#include "base/event.h"
#include "fmgr.h"

/* Bytes of scratch space that writing one value may use. */
#define VALUE_SCRATCH			64

/* How one column's values become text. */
typedef struct ValueWriter
{
	uint8		kind;			/* private to values.c */
	uint8		flags;			/* COLUMN_LITERAL, COLUMN_NUMERIC */
	bool		reads_back;		/* does the type's input take this text? */
	bool		needs_pins;		/* write it between pin and unpin */
	bool		needs_settings; /* a costlier way of pinning, too */
	Oid			typid;			/* base type */
	FmgrInfo	function;		/* output function or cast, where needed */
} ValueWriter;

/* The session's settings that output depends on, while they are pinned. */
typedef struct ValuePins
{
	struct pg_tz *timezone;
	int			date_style;
	int			date_order;
	int			interval_style;
	int			bytea;
	int			float_digits;
	bool		array_nulls;
	int			nest_level;		/* of GUCs; 0: not used */
} ValuePins;

extern void chatroom_value_json(ValueWriter *writer, Oid typid,
								bool big_numbers_text, MemoryContext context);
extern void chatroom_value_output(ValueWriter *writer, Oid typid,
								  MemoryContext context);
extern void chatroom_write_value(ValueWriter *writer, Datum value,
								 char *scratch, Piece *piece);
extern void chatroom_pin(ValuePins *pins, bool settings);
extern void chatroom_unpin(const ValuePins *pins);

/*
 * Set what SQL depends on that is written from expressions, and what reading
 * it back does, so that it means the same in every session; until
 * AtEOXact_GUC() of the answer.
 */
extern int	chatroom_fix_settings(void);

#endif							/* CHATROOM_VALUES_H */
