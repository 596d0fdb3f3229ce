/*-------------------------------------------------------------------------
 *
 * pages.c
 *	  chatroom.list_rooms, list_messages, list_messages_by.
 *
 * Rows have the order of (inserted_at, id), which an index has, too; a page
 * goes on where another ended, by a condition that is a place in that index.
 * So a page costs the same however deep it is, and rows that come and go
 * elsewhere neither repeat nor hide others.
 *
 * A token is such a place: p, microseconds since 2000-01-01, a dot, an id.
 * Nobody else need know; a timestamp serves instead, as the place before (or
 * after) all rows of that moment.
 *
 * One row more than wanted is read, to tell whether the end is reached.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/spi.h"
#include "catalog/pg_type.h"
#include "chat/pages.h"
#include "common/int.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* What statements for pages have as parameters. */
enum
{
	PARAM_INSERTED_AT,
	PARAM_ID,
	PARAM_LIMIT,
	PARAM_OF,					/* the room or username they are of */
	PARAM_ROOMS,				/* regclass, for sees_room() */
	NPARAMS
};

#define BEFORE \
	"ROW(inserted_at, id) OPERATOR(pg_catalog.<) ROW($1, $2)"
#define NEWEST_FIRST \
	" ORDER BY inserted_at DESC, id DESC LIMIT $3"
#define AFTER \
	"ROW(inserted_at, id) OPERATOR(pg_catalog.>) ROW($1, $2)"
#define OLDEST_FIRST \
	" ORDER BY inserted_at, id LIMIT $3"

static const ChatStatement messages_of_room = {
	"SELECT %c, inserted_at, id FROM %s.messages "
	"WHERE room_id OPERATOR(pg_catalog.=) $4 AND " BEFORE NEWEST_FIRST,
	4, {TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID}
};

static const ChatStatement messages_by_user = {
	"SELECT %c, inserted_at, id FROM %s.messages "
	"WHERE username OPERATOR(pg_catalog.=) $4 AND " BEFORE NEWEST_FIRST,
	4, {TIMESTAMPTZOID, INT8OID, INT8OID, TEXTOID}
};

static const ChatStatement seen_messages_by_user = {
	"SELECT %c, inserted_at, id FROM %s.messages "
	"WHERE username OPERATOR(pg_catalog.=) $4 AND " BEFORE
	" AND chatroom.sees_room($5, room_id)" NEWEST_FIRST,
	5, {TIMESTAMPTZOID, INT8OID, INT8OID, TEXTOID, REGCLASSOID}
};

static const ChatStatement all_rooms = {
	"SELECT %c, inserted_at, id FROM %s.rooms WHERE " AFTER OLDEST_FIRST,
	3, {TIMESTAMPTZOID, INT8OID, INT8OID}
};

static const ChatStatement seen_rooms = {
	"SELECT %c, inserted_at, id FROM %s.rooms WHERE " AFTER
	" AND chatroom.sees_room($5, id, private)" OLDEST_FIRST,
	5, {TIMESTAMPTZOID, INT8OID, INT8OID, TEXTOID, REGCLASSOID}
};

/* --------------------------------------------------------------- arguments */

/* A page length. */
int
chatroom_max_rows(FunctionCallInfo fcinfo, int argument)
{
	int			max_rows;

	if (PG_ARGISNULL(argument))
		return PAGE_ALL;
	max_rows = PG_GETARG_INT32(argument);
	if (max_rows < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be at least 1, not %d", max_rows),
				 errhint("Pass null to get all rows.")));
	return max_rows;
}

/* Read a number of a token; false: that is none. */
static bool
read_number(char **pos, char end, int64 *number)
{
	char	   *stop;

	if (**pos != '-' && !(**pos >= '0' && **pos <= '9'))
		return false;
	errno = 0;
	*number = strtoi64(*pos, &stop, 10);
	if (errno != 0 || stop == *pos || *stop != end)
		return false;
	*pos = stop + 1;
	return true;
}

/* Refuse a token. */
static void
bad_token(const text *token)
{
	int			len = VARSIZE_ANY_EXHDR(token);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid page token: \"%.*s%s\"",
					pg_mbcliplen(VARDATA_ANY(token), len, 40),
					VARDATA_ANY(token), len > 40 ? "..." : ""),
			 errhint("Pass the \"next\" of another page unchanged, a "
					 "timestamp, or null to start.")));
}

/* Read a timestamp as its type does; false: it is none. */
static bool
read_timestamp(char *token, TimestampTz *result)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool valid = true;

	/* what fails here ends in another error: no subtransaction */
	PG_TRY();
	{
		Datum		value = DirectFunctionCall3(timestamptz_in,
												CStringGetDatum(token),
												ObjectIdGetDatum(InvalidOid),
												Int32GetDatum(-1));

		*result = DatumGetTimestampTz(value);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		FlushErrorState();
		valid = false;
	}
	PG_END_TRY();
	return valid;
}

/*
 * The place that an argument names; "before": the page is of rows before it.
 * NULL is the end where all begins.
 */
static void
place_argument(FunctionCallInfo fcinfo, int argument, bool before,
			   PagePlace *place)
{
	char	   *token;
	char	   *pos;

	place->id = before ? PG_INT64_MAX : PG_INT64_MIN;
	place->inserted_at = before ? DT_NOEND : DT_NOBEGIN;
	if (PG_ARGISNULL(argument))
		return;
	token = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	pos = token + 1;
	if (token[0] == 'p')
	{
		if (!read_number(&pos, '.', &place->inserted_at) ||
			!read_number(&pos, '\0', &place->id))
			bad_token(PG_GETARG_TEXT_PP(argument));
		return;
	}

	/* all rows of that moment are on the other side */
	place->id = before ? PG_INT64_MIN : PG_INT64_MAX;
	if (!read_timestamp(token, &place->inserted_at))
		bad_token(PG_GETARG_TEXT_PP(argument));
}

/* ------------------------------------------------------------------- pages */

/* Read a page and append it, with the name of its rows. */
static void
append_page(StringInfo buf, const ChatTables *tables, Oid relid,
			const ChatStatement *statement, const char *name, bool reversed,
			const PagePlace *place, int max_rows, Datum of)
{
	Datum		values[NPARAMS];
	char		nulls[NPARAMS + 1] = "     ";
	ChatRows	rows;
	uint64		shown;

	values[PARAM_INSERTED_AT] = TimestampTzGetDatum(place->inserted_at);
	values[PARAM_ID] = Int64GetDatum(place->id);
	values[PARAM_LIMIT] = Int64GetDatum((int64) max_rows + 1);
	values[PARAM_OF] = of;
	values[PARAM_ROOMS] = ObjectIdGetDatum(tables->rooms);
	if (max_rows == PAGE_ALL)
		nulls[PARAM_LIMIT] = 'n';
	if (of == (Datum) 0)
		nulls[PARAM_OF] = 'n';
	chatroom_query(tables, relid, statement, values, nulls, CHAT_READ_ONLY,
				   &rows);
	shown = max_rows == PAGE_ALL ? rows.n : Min(rows.n, (uint64) max_rows);
	appendStringInfo(buf, "\"%s\":", name);
	chatroom_append_rows(buf, &rows, shown, reversed);
	if (shown == rows.n)
		appendStringInfoString(buf, ",\"next\":null,\"end_reached\":true");
	else
	{
		bool		isnull;
		Datum		at = chatroom_row_extra(&rows, shown - 1, 0, &isnull);
		Datum		id = chatroom_row_extra(&rows, shown - 1, 1, &isnull);

		appendStringInfo(buf, ",\"next\":\"p" INT64_FORMAT "." INT64_FORMAT
						 "\",\"end_reached\":false",
						 (int64) DatumGetTimestampTz(at), DatumGetInt64(id));
	}
}

/* Append a page of a room's messages; see pages.h. */
void
chatroom_append_messages(StringInfo buf, const RoomCall *call,
						 const PagePlace *before, int max_rows)
{
	static const PagePlace newest = {DT_NOEND, PG_INT64_MAX};

	append_page(buf, &call->tables, call->tables.messages, &messages_of_room,
				"messages", true, before == NULL ? &newest : before, max_rows,
				Int64GetDatum(call->id));
}

/* Start an answer: JSON in a varlena. */
static void
start_answer(StringInfo buf)
{
	initStringInfo(buf);
	buf->len = VARHDRSZ;
	appendStringInfoChar(buf, '{');
}

/* End it. */
static Datum
end_answer(StringInfo buf)
{
	appendStringInfoChar(buf, '}');
	SET_VARSIZE(buf->data, buf->len);
	return PointerGetDatum(buf->data);
}

/* list_messages(room, before text, max_rows int, prefix text) */
static Datum
list_messages_of(FunctionCallInfo fcinfo, RoomArgument how)
{
	RoomCall	call;
	PagePlace	before;
	int			max_rows = chatroom_max_rows(fcinfo, 2);
	StringInfoData buf;

	place_argument(fcinfo, 1, true, &before);
	chatroom_room_argument(fcinfo, how, 3, &call);
	start_answer(&buf);
	chatroom_spi_connect();
	chatroom_append_messages(&buf, &call, &before, max_rows);
	chatroom_spi_finish();
	return end_answer(&buf);
}

CHATROOM_ROOM_FUNCTION(chatroom_list_messages, list_messages_of);

CHATROOM_FUNCTION(chatroom_list_messages_by);

/* list_messages_by(username text, before text, max_rows int, prefix text) */
Datum
chatroom_list_messages_by(PG_FUNCTION_ARGS)
{
	text	   *username = chatroom_text_arg(fcinfo, 0, "username");
	PagePlace	before;
	int			max_rows = chatroom_max_rows(fcinfo, 2);
	ChatTables	tables;
	StringInfoData buf;

	place_argument(fcinfo, 1, true, &before);
	chatroom_prefix_argument(fcinfo, 3, &tables);
	start_answer(&buf);
	chatroom_spi_connect();
	append_page(&buf, &tables, tables.messages,
				chatroom_unbound(&tables, tables.messages) ?
				&seen_messages_by_user : &messages_by_user,
				"messages", true, &before, max_rows,
				PointerGetDatum(username));
	chatroom_spi_finish();
	return end_answer(&buf);
}

CHATROOM_FUNCTION(chatroom_list_rooms);

/* list_rooms(after text, max_rows int, prefix text) */
Datum
chatroom_list_rooms(PG_FUNCTION_ARGS)
{
	PagePlace	after;
	int			max_rows = chatroom_max_rows(fcinfo, 1);
	ChatTables	tables;
	StringInfoData buf;

	place_argument(fcinfo, 0, false, &after);
	chatroom_prefix_argument(fcinfo, 2, &tables);
	start_answer(&buf);
	chatroom_spi_connect();
	append_page(&buf, &tables, tables.rooms,
				chatroom_unbound(&tables, tables.rooms) ?
				&seen_rooms : &all_rooms, "rooms", false, &after, max_rows, (Datum) 0);
	chatroom_spi_finish();
	return end_answer(&buf);
}
