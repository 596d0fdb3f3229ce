/*-------------------------------------------------------------------------
 *
 * rooms.c
 *	  chatroom.create_room, rename_room, set_private, delete_room, get_room.
 *
 * A private room is for its members only, and policies say so of the row that
 * an INSERT returns, too: nobody could return the room that it just made.  So
 * a room with an owner gets its id first, then its row, its owner, and is read
 * last.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "base/identity.h"
#include "base/spi.h"
#include "catalog/pg_type.h"
#include "chat/members.h"
#include "chat/people.h"
#include "chat/room.h"
#include "chat/write.h"
#include "commands/sequence.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "write/preload.h"
#include "write/presence.h"

static const ChatStatement insert_room = {
	"INSERT INTO %s.rooms (name) VALUES ($1) RETURNING %c, true",
	1, {TEXTOID}
};

static const ChatStatement insert_owned_room = {
	"INSERT INTO %s.rooms (id, name, private) VALUES ($1, $2, $3)",
	3, {INT8OID, TEXTOID, BOOLOID}
};

static const ChatStatement select_room = {
	"SELECT %c FROM %s.rooms WHERE id OPERATOR(pg_catalog.=) $1",
	1, {INT8OID}
};

static const ChatStatement update_room = {
	"UPDATE %s.rooms SET name = $2 WHERE id OPERATOR(pg_catalog.=) $1 "
	"RETURNING %c, id OPERATOR(pg_catalog.=) $1",
	2, {INT8OID, TEXTOID}
};

static const ChatStatement update_private = {
	"UPDATE %s.rooms SET private = $2 WHERE id OPERATOR(pg_catalog.=) $1 "
	"RETURNING %c, id OPERATOR(pg_catalog.=) $1",
	2, {INT8OID, BOOLOID}
};

static const ChatStatement delete_room = {
	"DELETE FROM %s.rooms WHERE id OPERATOR(pg_catalog.=) $1 "
	"RETURNING %c, true",
	1, {INT8OID}
};

/* Is the room there, whoever may see it? */
static const ChatStatement find_room = {
	"SELECT 1 FROM %s.rooms WHERE id OPERATOR(pg_catalog.=) $1",
	1, {INT8OID}
};

/* What goes along with a room: a cascade that a trigger suppressed. */
static const ChatStatement left_messages = {
	"SELECT 1 FROM %s.messages WHERE room_id OPERATOR(pg_catalog.=) $1 "
	"LIMIT 1",
	1, {INT8OID}
};

static const ChatStatement left_members = {
	"SELECT 1 FROM %s.members WHERE room_id OPERATOR(pg_catalog.=) $1 LIMIT 1",
	1, {INT8OID}
};

static const ChatStatement left_invites = {
	"SELECT 1 FROM %s.invites WHERE room_id OPERATOR(pg_catalog.=) $1 LIMIT 1",
	1, {INT8OID}
};

/* Read the room; gone just now, it is no room. */
static Jsonb *
read_room(const RoomCall *call, int flags)
{
	Datum		values[1] = {Int64GetDatum(call->id)};
	ChatRows	rows;

	chatroom_query(&call->tables, call->tables.rooms, &select_room, values,
				   NULL, flags, &rows);
	if (rows.n == 0)
		chatroom_no_such_room(call->room);
	return chatroom_row_jsonb(&rows, 0);
}

/* Change the room; gone just now, it is no room. */
static Jsonb *
write_room(const RoomCall *call, const ChatStatement *statement,
		   Datum *values)
{
	ChatRows	rows;

	if (!chatroom_write_row(&call->tables, call->tables.rooms, statement,
							&find_room, values, NULL, CHAT_CASCADES, &rows))
		chatroom_no_such_room(call->room);
	return chatroom_row_jsonb(&rows, 0);
}

/* ------------------------------------------------------------ create_room */

/* The next value of the rooms' ids, as an INSERT would take it. */
static int64
next_room_id(const ChatTables *tables)
{
	Relation	rooms = table_open(tables->rooms, AccessShareLock);
	Oid			sequence;

	sequence = ChatroomIdentitySequence(rooms,
										get_attnum(tables->rooms, "id"));
	table_close(rooms, NoLock);
	return nextval_internal(sequence, false);
}

/* Make a room that the caller owns. */
static Jsonb *
create_owned_room(RoomCall *call, text *name, bool private)
{
	text	   *owner = cstring_to_text(chatroom_require_identity());
	Datum		values[3];
	ChatRows	rows;

	call->id = next_room_id(&call->tables);
	values[0] = Int64GetDatum(call->id);
	values[1] = PointerGetDatum(name);
	values[2] = BoolGetDatum(private);
	(void) chatroom_write_row(&call->tables, call->tables.rooms,
							  &insert_owned_room, NULL, values, NULL, 0,
							  &rows);
	chatroom_query(&call->tables, call->tables.rooms, &find_room, values,
				   NULL, CHAT_AS_OWNER, &rows);
	if (rows.n == 0)
		chatroom_written_as_another(call->tables.rooms);
	chatroom_record_member(&call->tables, call->id, owner, "owner");
	return read_room(call, 0);
}

CHATROOM_FUNCTION(chatroom_create_room);

/* create_room(name text, private boolean, prefix text) */
Datum
chatroom_create_room(PG_FUNCTION_ARGS)
{
	text	   *name = chatroom_text_arg(fcinfo, 0, "name");
	bool		private;
	RoomCall	call;
	Datum		values[1] = {PointerGetDatum(name)};
	ChatRows	rows;
	Jsonb	   *row;

	chatroom_require_argument(fcinfo, 1, "private");
	private = PG_GETARG_BOOL(1);
	chatroom_prefix_argument(fcinfo, 2, &call.tables);
	call.room = text_to_cstring(name);
	if (private)
		chatroom_require_version(&call.tables, 2);
	chatroom_spi_connect();
	if (private || call.tables.members_mode ||
		(call.tables.version >= 2 && chatroom_acts_for() != NULL))
		row = create_owned_room(&call, name, private);
	else
	{
		(void) chatroom_write_row(&call.tables, call.tables.rooms,
								  &insert_room, NULL, values, NULL, 0, &rows);
		row = chatroom_row_jsonb(&rows, 0);
	}
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(row);
}

/* ---------------------------------------------------- rename, set_private */

/* rename_room(room, name text, prefix text) */
static Datum
rename_it(FunctionCallInfo fcinfo, RoomArgument how)
{
	RoomCall	call;
	Datum		values[2];
	Jsonb	   *row;

	values[1] = PointerGetDatum(chatroom_text_arg(fcinfo, 1, "name"));
	chatroom_room_to_change(fcinfo, how, 2, &call);
	chatroom_require_role(&call, ROOM_ADMIN,
						  "Its owner and admins may rename it.");
	values[0] = Int64GetDatum(call.id);
	chatroom_spi_connect();
	row = write_room(&call, &update_room, values);
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(row);
}

CHATROOM_ROOM_FUNCTION(chatroom_rename_room, rename_it);

/*
 * set_private(room, private boolean, prefix text): the room is locked first,
 * so that nobody gives it away meanwhile
 */
static Datum
set_private(FunctionCallInfo fcinfo, RoomArgument how)
{
	RoomCall	call;
	Datum		values[2];
	Jsonb	   *row;

	chatroom_require_argument(fcinfo, 1, "private");
	chatroom_find_member_room(fcinfo, how, 2, &call);
	values[0] = Int64GetDatum(call.id);
	values[1] = PG_GETARG_DATUM(1);
	chatroom_spi_connect();
	chatroom_lock_room(&call);
	if (chatroom_rank(&call.access) < ROOM_OWNER)
		chatroom_room_denied(&call, "Its owner may say whether it is "
							 "private.");
	row = write_room(&call, &update_private, values);
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(row);
}

CHATROOM_ROOM_FUNCTION(chatroom_set_private, set_private);

/* --------------------------------------------------------- delete and get */

/* Raise an error where something of a room is left that was deleted. */
static void
check_left(const RoomCall *call, Oid relid, const ChatStatement *left)
{
	Datum		values[1] = {Int64GetDatum(call->id)};
	ChatRows	rows;

	if (OidIsValid(relid) &&
		chatroom_read_now(&call->tables, relid, left, values, CHAT_AS_OWNER,
						  &rows))
		chatroom_not_written(relid);
}

/* delete_room(room, prefix text) */
static Datum
delete_it(FunctionCallInfo fcinfo, RoomArgument how)
{
	RoomCall	call;
	Datum		values[1];
	Jsonb	   *row;
	char	   *topic;

	chatroom_room_to_change(fcinfo, how, 1, &call);
	chatroom_require_role(&call, ROOM_OWNER, "Its owner may delete it.");
	values[0] = Int64GetDatum(call.id);
	chatroom_spi_connect();
	row = write_room(&call, &delete_room, values);
	check_left(&call, call.tables.messages, &left_messages);
	check_left(&call, call.tables.members, &left_members);
	check_left(&call, call.tables.invites, &left_invites);
	chatroom_spi_finish();
	topic = chatroom_room_topic(&call.tables, call.id);
	chatroom_end_presence_at_commit(topic, NULL);
	PG_RETURN_JSONB_P(row);
}

CHATROOM_ROOM_FUNCTION(chatroom_delete_room, delete_it);

/*
 * Refuse paths on which an unbound caller could come to rooms that the user
 * whom it acts for can't see, or to invites that aren't for the user's eyes.
 */
static void
check_paths(const RoomCall *call, const List *paths)
{
	static const char *const harmless[] = {"messages", "members", "users"};
	ListCell   *lc;

	foreach(lc, paths)
	{
		const char *path = lfirst(lc);
		bool		allowed = strcmp(path, "invites") == 0 &&
			(!call->access.governed || call->access.role >= ROOM_ADMIN);

		for (int i = 0; i < lengthof(harmless) && !allowed; i++)
			allowed = strcmp(path, harmless[i]) == 0;
		if (!allowed)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to preload \"%s\" for a user",
							path),
					 errdetail("Row-level security, which would show what "
							   "the user may see of it, does not bind this "
							   "role."),
					 errhint("Act for users as a role that is neither "
							 "superuser nor has BYPASSRLS.")));
	}
}

/* get_room(room, preload text[], prefix text) */
static Datum
get_it(FunctionCallInfo fcinfo, RoomArgument how)
{
	RoomCall	call;
	List	   *paths;
	Jsonb	   *row;

	chatroom_require_argument(fcinfo, 1, "preload");
	paths = chatroom_array_texts(PG_GETARG_ARRAYTYPE_P(1), "preload");
	chatroom_room_argument(fcinfo, how, 2, &call);
	if (paths != NIL && chatroom_unbound(&call.tables, call.tables.rooms))
		check_paths(&call, paths);
	chatroom_spi_connect();
	row = read_room(&call, CHAT_READ_ONLY);
	if (paths != NIL)
		row = chatroom_keep_jsonb(chatroom_preload_value(row,
														 call.tables.rooms,
														 paths, true, true));
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(row);
}

CHATROOM_ROOM_FUNCTION(chatroom_get_room, get_it);
