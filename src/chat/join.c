/*-------------------------------------------------------------------------
 *
 * join.c
 *	  chatroom.join_room: a room as it is, and the cursor to go on from.
 *
 * Room, messages and cursor are of one snapshot, the caller's: whatever
 * isolation level it has, what the page does not show the first sync() tells,
 * and nothing else.
 *
 * Presence is not of transactions, so no snapshot has it.  It is read after
 * the cursor was found: what happened to it meanwhile is in it, and comes as
 * an event again.  An entry that is there already, by its phx_ref, and one
 * that leaves and isn't there, are nothing new to the client.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/event.h"
#include "base/spi.h"
#include "catalog/pg_type.h"
#include "chat/join.h"
#include "chat/pages.h"
#include "chat/query.h"
#include "read/presence.h"
#include "read/sync.h"

static const ChatStatement select_room = {
	"SELECT %c FROM %s.rooms WHERE id OPERATOR(pg_catalog.=) $1",
	1, {INT8OID}
};

/* Append the room's row. */
static void
append_room(StringInfo buf, const RoomCall *call)
{
	Datum		values[1] = {Int64GetDatum(call->id)};
	ChatRows	rows;

	chatroom_query(&call->tables, call->tables.rooms, &select_room, values,
				   NULL, CHAT_READ_ONLY, &rows);
	if (rows.n == 0)
		chatroom_no_such_room(call->room);
	chatroom_append_row(buf, &rows, 0);
}

/* Append the members of the answer; see join.h. */
void
chatroom_append_join(StringInfo buf, const RoomCall *call, int max_rows)
{
	char	   *topic = chatroom_room_topic(&call->tables, call->id);
	Cursor		cursor;

	chatroom_cursor_of_snapshot(&cursor);
	appendStringInfoString(buf, "\"cursor\":\"");
	chatroom_append_cursor(buf, &cursor);
	appendStringInfoString(buf, "\",\"topic\":");
	chatroom_append_json_string(buf, topic, strlen(topic));
	chatroom_spi_connect();
	appendStringInfoString(buf, ",\"room\":");
	append_room(buf, call);
	appendStringInfoChar(buf, ',');
	chatroom_append_messages(buf, call, NULL, max_rows);
	chatroom_spi_finish();
	appendStringInfoString(buf, ",\"presence\":");
	chatroom_presence_json(buf, topic, strlen(topic));
}

/* join_room(room, max_rows int, prefix text) */
static Datum
join_it(FunctionCallInfo fcinfo, RoomArgument how)
{
	int			max_rows = chatroom_max_rows(fcinfo, 1);
	RoomCall	call;
	StringInfoData buf;

	chatroom_room_argument(fcinfo, how, 2, &call);
	initStringInfo(&buf);
	buf.len = VARHDRSZ;
	appendStringInfoChar(&buf, '{');
	chatroom_append_join(&buf, &call, max_rows);
	appendStringInfoChar(&buf, '}');
	SET_VARSIZE(buf.data, buf.len);
	PG_RETURN_TEXT_P((text *) buf.data);
}

CHATROOM_ROOM_FUNCTION(chatroom_join_room, join_it);
