/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  Places in the commit order, as clients hold them.
 *
 * See cursor.h.  What cursors are made of and checked against stands in the
 * control struct, and is copied here when its cursor_epoch has moved.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "base/cursor.h"
#include "base/memory.h"
#include "miscadmin.h"

/* A copy of the control struct's part on cursors. */
typedef struct History
{
	uint64		epoch;			/* 0: never copied */
	TimeLineID	tli;
	int			ntimelines;
	TimelineSwitch timelines[CHATROOM_MAX_TIMELINES];
	int			nincarnations;
	Incarnation incarnations[MAX_INCARNATIONS];
} History;

static History history;

/* Copy the history if it has changed; cheap if it hasn't. */
static void
refresh_history(void)
{
	/*
	 * Read without lock: a stale epoch means a history that was current a
	 * moment ago.  After it grew, cursors issued with the old one are good
	 * all the same.
	 */
	if (history.epoch == chatroom_control->cursor_epoch && history.epoch != 0)
		return;
	LWLockAcquire(&chatroom_control->lock, LW_SHARED);
	history.epoch = chatroom_control->cursor_epoch;
	history.tli = chatroom_control->tli;
	history.ntimelines = chatroom_control->ntimelines;
	memcpy(history.timelines, chatroom_control->timelines,
		   sizeof(history.timelines));
	history.nincarnations = chatroom_control->nincarnations;
	memcpy(history.incarnations, chatroom_control->incarnations,
		   sizeof(history.incarnations));
	LWLockRelease(&chatroom_control->lock);
}

/* The system identifier, folded. */
static uint32
short_system(void)
{
	uint64		id = GetSystemIdentifier();

	return (uint32) (id >> 32) ^ (uint32) id;
}

/* Take one field of at most 16 hexadecimal digits. */
static bool
parse_field(const char **pos, const char *end, uint64 limit, uint64 *value)
{
	const char *start = *pos;

	*value = 0;
	for (; *pos < end && **pos != '-'; (*pos)++)
	{
		char		c = **pos;
		int			digit;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (c >= 'a' && c <= 'f')
			digit = c - 'a' + 10;
		else
			return false;
		if (*pos - start >= 16)
			return false;
		*value = (*value << 4) | digit;
	}
	return *pos > start && *value <= limit;
}

/* Take a dash and one field. */
static bool
parse_next(const char **pos, const char *end, uint64 limit, uint64 *value)
{
	if (*pos >= end || **pos != '-')
		return false;
	(*pos)++;
	return parse_field(pos, end, limit, value);
}

/* Parse; false where the text is no cursor. */
bool
chatroom_parse_cursor(const char *text, int len, Cursor *cursor)
{
	const char *pos = text;
	const char *end = text + len;
	uint64		value;
	uint64		fields[5];
	static const uint64 limits[5] = {
		PG_UINT32_MAX, PG_UINT32_MAX, PG_UINT32_MAX, PG_UINT32_MAX,
		PG_UINT64_MAX
	};

	if (len > CURSOR_MAX_TEXT || !parse_field(&pos, end, 1, &value) ||
		value != 1)
		return false;
	for (int i = 0; i < 5; i++)
		if (!parse_next(&pos, end, limits[i], &fields[i]))
			return false;
	cursor->system = (uint32) fields[0];
	cursor->dboid = (Oid) fields[1];
	cursor->incarnation = (uint32) fields[2];
	cursor->tli = (TimeLineID) fields[3];
	cursor->lsn = fields[4];
	cursor->nholes = 0;
	while (pos < end)
	{
		XLogRecPtr	least = cursor->nholes > 0 ?
			cursor->holes[cursor->nholes - 1] : 0;

		if (cursor->nholes >= CURSOR_MAX_HOLES ||
			!parse_next(&pos, end, PG_UINT64_MAX, &value) ||
			value <= least || value >= cursor->lsn)
			return false;
		cursor->holes[cursor->nholes++] = value;
	}
	return true;
}

/* Append a dash and a number in hexadecimal. */
static void
append_field(StringInfo buf, uint64 value)
{
	char		text[17];
	char	   *pos = text + sizeof(text);

	do
	{
		*--pos = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value != 0);
	*--pos = '-';
	appendBinaryStringInfo(buf, pos, text + sizeof(text) - pos);
}

/* Append what cursors of one run share; see cursor.h. */
void
chatroom_append_cursor_start(StringInfo buf, const Cursor *cursor)
{
	appendStringInfoCharMacro(buf, '1');
	append_field(buf, cursor->system);
	append_field(buf, cursor->dboid);
	append_field(buf, cursor->incarnation);
	append_field(buf, cursor->tli);
}

/* Append the rest of a cursor without holes. */
void
chatroom_append_cursor_lsn(StringInfo buf, XLogRecPtr lsn)
{
	append_field(buf, lsn);
}

/* Append the text; this is in the way of each answer, so without printf. */
void
chatroom_append_cursor(StringInfo buf, const Cursor *cursor)
{
	chatroom_append_cursor_start(buf, cursor);
	chatroom_append_cursor_lsn(buf, cursor->lsn);
	for (int i = 0; i < cursor->nholes; i++)
		append_field(buf, cursor->holes[i]);
}

/* Move a cursor of ours to an LSN; see cursor.h. */
bool
chatroom_place_cursor(Cursor *cursor, XLogRecPtr lsn)
{
	TimeLineID	tli = history.tli;
	uint32		incarnation = 0;
	bool		changed;

	for (int i = 0; i < history.ntimelines; i++)
	{
		if (lsn > history.timelines[i].end)
			break;
		tli = history.timelines[i].tli;
	}
	for (int i = history.nincarnations - 1; i >= 0; i--)
	{
		incarnation = history.incarnations[i].id;
		if (lsn > history.incarnations[i].start)
			break;
	}
	changed = cursor->tli != tli || cursor->incarnation != incarnation;
	cursor->tli = tli;
	cursor->incarnation = incarnation;
	cursor->lsn = lsn;
	return changed;
}

/* A cursor of this database, at an LSN. */
void
chatroom_make_cursor(XLogRecPtr lsn, Cursor *cursor)
{
	refresh_history();
	cursor->system = short_system();
	cursor->dboid = MyDatabaseId;
	cursor->tli = 0;
	cursor->incarnation = 0;
	cursor->nholes = 0;
	chatroom_place_cursor(cursor, lsn);
}

/* What our history says of a cursor's place. */
typedef enum Place
{
	PLACE_OURS,
	PLACE_UNKNOWN,				/* of something we have not heard of */
	PLACE_FOREIGN				/* after where its history left ours */
} Place;

/* Is the place on a timeline that ours comes from?  Our own has no end. */
static Place
timeline_place(TimeLineID tli, XLogRecPtr lsn)
{
	if (tli == history.tli)
		return PLACE_OURS;
	for (int i = 0; i < history.ntimelines; i++)
		if (history.timelines[i].tli == tli)
			return lsn <= history.timelines[i].end ? PLACE_OURS :
				PLACE_FOREIGN;
	return PLACE_UNKNOWN;
}

/* Was the incarnation's run still the newest there? */
static Place
incarnation_place(uint32 id, XLogRecPtr lsn)
{
	if (history.nincarnations == 0 && id == 0)
		return PLACE_OURS;
	for (int i = 0; i < history.nincarnations; i++)
		if (history.incarnations[i].id == id)
			return i == history.nincarnations - 1 ||
				lsn <= history.incarnations[i + 1].start ? PLACE_OURS :
				PLACE_FOREIGN;
	return PLACE_UNKNOWN;
}

/* Is a cursor good on this server? */
CursorCheck
chatroom_check_cursor(const Cursor *cursor, XLogRecPtr published)
{
	Place		timeline;
	Place		incarnation;

	refresh_history();
	if (cursor->system != short_system() || cursor->dboid != MyDatabaseId)
		return CURSOR_FOREIGN;
	timeline = timeline_place(cursor->tli, cursor->lsn);
	incarnation = incarnation_place(cursor->incarnation, cursor->lsn);
	if (timeline == PLACE_FOREIGN || incarnation == PLACE_FOREIGN)
		return CURSOR_FOREIGN;

	/* we may yet hear of what we don't know */
	if (cursor->lsn > published)
		return CURSOR_AHEAD;
	if (timeline == PLACE_UNKNOWN || incarnation == PLACE_UNKNOWN)
		return CURSOR_FOREIGN;
	return CURSOR_GOOD;
}
