/*-------------------------------------------------------------------------
 *
 * cursor.h
 *	  Places in the commit order, as clients hold them.
 *
 * A cursor is text, opaque to clients:
 *
 *	  1-SYSTEM-DATABASE-INCARNATION-TIMELINE-LSN[-HOLE…]
 *
 * all but the first in lower-case hexadecimal without leading zeros.  It says
 * "I have seen all that committed up to LSN, but for the transactions that
 * committed at the HOLEs".
 *
 * - SYSTEM: the system identifier, folded to 32 bits.
 * - INCARNATION: of the primary's tailer's run in which LSN was written.  Each
 *	 run logs a new one, with its first anchor, so that cursors of a clone, of
 *	 a second promotion, or of a storage that was rolled back are told from
 *	 our own.  0 where a standby knows of none yet.
 * - TIMELINE: on which LSN was written; checked against the history.
 *
 * Both are those of the LSN, not of the moment: so who has come to the LSN has
 * heard of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_CURSOR_H
#define CHATROOM_CURSOR_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "lib/stringinfo.h"

#define CURSOR_MAX_HOLES	64

/* Longest text of a cursor, in bytes. */
#define CURSOR_MAX_TEXT		(5 * 17 + 2 + CURSOR_MAX_HOLES * 17)

typedef struct Cursor
{
	uint32		system;
	Oid			dboid;
	uint32		incarnation;
	TimeLineID	tli;
	XLogRecPtr	lsn;
	int			nholes;
	XLogRecPtr	holes[CURSOR_MAX_HOLES];	/* ascending, all before lsn */
} Cursor;

typedef enum CursorCheck
{
	CURSOR_GOOD,
	CURSOR_AHEAD,				/* of what this server has published */
	CURSOR_FOREIGN				/* of another history: reset */
} CursorCheck;

/* Parse; false where the text is no cursor. */
extern bool chatroom_parse_cursor(const char *text, int len, Cursor *cursor);

/* Append the text. */
extern void chatroom_append_cursor(StringInfo buf, const Cursor *cursor);

/*
 * The same in two steps, for many cursors that differ in their LSN alone: the
 * first part is the same for all of them.
 */
extern void chatroom_append_cursor_start(StringInfo buf,
										 const Cursor *cursor);
extern void chatroom_append_cursor_lsn(StringInfo buf, XLogRecPtr lsn);

/*
 * A cursor of this database, at an LSN; and moved to another: true where this
 * changed more than the LSN.
 */
extern void chatroom_make_cursor(XLogRecPtr lsn, Cursor *cursor);
extern bool chatroom_place_cursor(Cursor *cursor, XLogRecPtr lsn);

/* Is a cursor good on this server?  published: of this database's cache. */
extern CursorCheck chatroom_check_cursor(const Cursor *cursor,
										 XLogRecPtr published);

#endif							/* CHATROOM_CURSOR_H */
