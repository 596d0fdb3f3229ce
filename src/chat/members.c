/*-------------------------------------------------------------------------
 *
 * members.c
 *	  chatroom.add_member, remove_member, leave_room, list_members,
 *	  transfer_room.
 *
 * Nobody writes members but these functions and the tables' owner: row-level
 * security sees to it.  They check what the caller may do, and then write with
 * the owner's rights.  Roles count in every room, whatever the access mode is.
 *
 * Locking: the room's row first, then members.  What the caller is to the room
 * is looked up again under that lock, as of now whatever the isolation level:
 * it may have changed while waiting, or since the transaction's snapshot.
 * Statements see that snapshot, though: write.h says what becomes of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/identity.h"
#include "base/spi.h"
#include "catalog/pg_type.h"
#include "chat/members.h"
#include "chat/people.h"
#include "chat/write.h"
#include "utils/builtins.h"

static const ChatStatement lock_room = {
	"SELECT 1 FROM %s.rooms WHERE id OPERATOR(pg_catalog.=) $1 "
	"FOR NO KEY UPDATE",
	1, {INT8OID}
};

static const ChatStatement select_member = {
	"SELECT %c FROM %s.members WHERE room_id OPERATOR(pg_catalog.=) $1 "
	"AND username OPERATOR(pg_catalog.=) $2",
	2, {INT8OID, TEXTOID}
};

static const ChatStatement insert_member = {
	"INSERT INTO %s.members (room_id, username, role) VALUES ($1, $2, $3) "
	"RETURNING %c, room_id OPERATOR(pg_catalog.=) $1 "
	"AND username OPERATOR(pg_catalog.=) $2",
	3, {INT8OID, TEXTOID, TEXTOID}
};

static const ChatStatement update_member = {
	"UPDATE %s.members SET role = $3 WHERE room_id OPERATOR(pg_catalog.=) $1 "
	"AND username OPERATOR(pg_catalog.=) $2 "
	"RETURNING %c, room_id OPERATOR(pg_catalog.=) $1 "
	"AND username OPERATOR(pg_catalog.=) $2",
	3, {INT8OID, TEXTOID, TEXTOID}
};

static const ChatStatement delete_member = {
	"DELETE FROM %s.members WHERE room_id OPERATOR(pg_catalog.=) $1 "
	"AND username OPERATOR(pg_catalog.=) $2 RETURNING %c, true",
	2, {INT8OID, TEXTOID}
};

static const ChatStatement demote_owner = {
	"UPDATE %s.members SET role = 'admin' "
	"WHERE room_id OPERATOR(pg_catalog.=) $1 "
	"AND role OPERATOR(pg_catalog.=) 'owner'",
	1, {INT8OID}
};

static const ChatStatement select_owner = {
	"SELECT 1 FROM %s.members WHERE room_id OPERATOR(pg_catalog.=) $1 "
	"AND role OPERATOR(pg_catalog.=) 'owner'",
	1, {INT8OID}
};

static const ChatStatement select_members = {
	"SELECT %c FROM %s.members WHERE room_id OPERATOR(pg_catalog.=) $1 "
	"ORDER BY pg_catalog.array_position("
	"'{owner,admin,member,guest}'::pg_catalog.text[], role::pg_catalog.text), "
	"inserted_at, username",
	1, {INT8OID}
};

/* ------------------------------------------------------------------ roles */

static const char *const role_names[] = {
	[ROOM_NONE] = "none",
	[ROOM_GUEST] = "guest",
	[ROOM_MEMBER] = "member",
	[ROOM_ADMIN] = "admin",
	[ROOM_OWNER] = "owner"
};

/* A role by its name; ROOM_NONE: there is none of that name. */
RoomRole
chatroom_role_named(const char *name, int len)
{
	for (RoomRole role = ROOM_GUEST; role <= ROOM_OWNER; role++)
		if (strlen(role_names[role]) == len &&
			memcmp(role_names[role], name, len) == 0)
			return role;
	return ROOM_NONE;
}

/* A role that an argument names, and that may be given. */
RoomRole
chatroom_role_to_give(const text *name)
{
	RoomRole	role = chatroom_role_named(VARDATA_ANY(name),
										   VARSIZE_ANY_EXHDR(name));

	if (role == ROOM_NONE || role == ROOM_OWNER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no role to give", text_to_cstring(name)),
				 errhint("Roles are admin, member and guest; a room gets "
						 "another owner by chatroom.transfer_room().")));
	return role;
}

/* The role that the caller has in effect; see members.h. */
RoomRole
chatroom_rank(const RoomAccess *access)
{
	return access->exempt ? ROOM_OWNER : access->role;
}

/* ------------------------------------------------------------- the caller */

/* Find the room that a function was called for; see members.h. */
void
chatroom_find_member_room(FunctionCallInfo fcinfo, RoomArgument how,
						  int prefix_argument, RoomCall *call)
{
	ChatTables	tables;

	chatroom_prefix_argument(fcinfo, prefix_argument, &tables);
	chatroom_require_version(&tables, 2);
	chatroom_room_to_change(fcinfo, how, prefix_argument, call);
}

/* Lock a room, whether or not the caller may see it; false: there is none. */
bool
chatroom_lock_any_room(const ChatTables *tables, int64 room_id)
{
	Datum		values[1] = {Int64GetDatum(room_id)};
	ChatRows	rows;

	chatroom_query(tables, tables->rooms, &lock_room, values, NULL,
				   CHAT_AS_OWNER, &rows);
	return rows.n > 0;
}

/* Lock the room of a call; see members.h. */
void
chatroom_lock_room(RoomCall *call)
{
	bool		there = chatroom_lock_any_room(&call->tables, call->id);

	if (there)
		chatroom_room_access_now(&call->tables, call->id, &call->access);
	if (!there || !call->access.visible)
		chatroom_no_such_room(call->room);
}

/* What a user is to the room of a call now. */
RoomRole
chatroom_role_now(const RoomCall *call, const text *username)
{
	return chatroom_room_role_now(&call->tables, call->id,
								  text_to_cstring(username));
}

/* Raise that a user is no member. */
static void
no_member(const RoomCall *call, const text *username)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("user \"%s\" is no member of room \"%s\"",
					text_to_cstring(username), call->room),
			 errhint("chatroom.list_members() lists them.")));
}

/* ------------------------------------------------------- rows of members */

/* Write a member's row, which is there unless it is to be new. */
static Jsonb *
write_member(const RoomCall *call, const ChatStatement *statement,
			 text *username, const char *role)
{
	Datum		values[3] = {Int64GetDatum(call->id),
	PointerGetDatum(username), role ? CStringGetTextDatum(role) : 0};
	ChatRows	rows;

	if (!chatroom_write_row(&call->tables, call->tables.members, statement,
							statement == &insert_member ? NULL :
							&select_member, values, NULL, CHAT_AS_OWNER,
							&rows))
		no_member(call, username);
	return chatroom_row_jsonb(&rows, 0);
}

/* A member's row. */
Jsonb *
chatroom_member_row(const RoomCall *call, text *username)
{
	Datum		values[2] = {Int64GetDatum(call->id),
	PointerGetDatum(username)};
	ChatRows	rows;

	if (!chatroom_read_now(&call->tables, call->tables.members,
						   &select_member, values, CHAT_AS_OWNER, &rows))
		no_member(call, username);
	return chatroom_row_jsonb(&rows, 0);
}

/* Make a user a member, or give a member another role. */
Jsonb *
chatroom_put_member(const RoomCall *call, text *username, RoomRole role)
{
	RoomRole	old = chatroom_role_now(call, username);

	if (old == role)
		return chatroom_member_row(call, username);
	if (old != ROOM_NONE)
		return write_member(call, &update_member, username, role_names[role]);
	chatroom_hold_user(&call->tables, username);
	return write_member(call, &insert_member, username, role_names[role]);
}

/* ------------------------------------------------------------- add_member */

/* Who may make somebody that he is "old" to the room a "role" of it? */
static void
check_may_put(const RoomCall *call, const text *username, RoomRole old,
			  RoomRole role)
{
	RoomRole	rank = chatroom_rank(&call->access);

	if (rank < ROOM_ADMIN)
		chatroom_room_denied(call, "Its owner and admins may add members.");
	if (old == ROOM_OWNER)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("user \"%s\" owns room \"%s\"",
						text_to_cstring(username), call->room),
				 errhint("Give the room to another member with "
						 "chatroom.transfer_room() first.")));
	if (rank < ROOM_OWNER && (role >= ROOM_ADMIN || old >= ROOM_ADMIN))
		chatroom_room_denied(call, "Only its owner says who its admins are.");
}

/* add_member(room, username text, role text, prefix text) */
static Datum
add_member(FunctionCallInfo fcinfo, RoomArgument how)
{
	text	   *username = chatroom_text_arg(fcinfo, 1, "username");
	RoomRole	role =
		chatroom_role_to_give(chatroom_text_arg(fcinfo, 2, "role"));
	RoomCall	call;
	Jsonb	   *row;

	chatroom_find_member_room(fcinfo, how, 3, &call);
	chatroom_spi_connect();
	chatroom_lock_room(&call);
	check_may_put(&call, username, chatroom_role_now(&call, username), role);
	row = chatroom_put_member(&call, username, role);
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(row);
}

CHATROOM_ROOM_FUNCTION(chatroom_add_member, add_member);

/* ---------------------------------------------- remove_member, leave_room */

/* Take a member out of a room, if the caller may. */
static Jsonb *
remove_one(RoomCall *call, text *username)
{
	RoomRole	rank;
	RoomRole	role;
	Jsonb	   *row;

	chatroom_spi_connect();
	chatroom_lock_room(call);
	rank = chatroom_rank(&call->access);
	if (rank < ROOM_ADMIN && !chatroom_is_caller(username))
		chatroom_room_denied(call, "Its owner and admins may remove members.");
	role = chatroom_role_now(call, username);
	if (role == ROOM_NONE)
		no_member(call, username);
	if (rank < ROOM_OWNER && role >= ROOM_ADMIN &&
		!chatroom_is_caller(username))
		chatroom_room_denied(call, "Only its owner may remove admins.");
	row = write_member(call, &delete_member, username, NULL);
	chatroom_spi_finish();
	return row;
}

/* remove_member(room, username text, prefix text) */
static Datum
remove_member(FunctionCallInfo fcinfo, RoomArgument how)
{
	text	   *username = chatroom_text_arg(fcinfo, 1, "username");
	RoomCall	call;

	chatroom_find_member_room(fcinfo, how, 2, &call);
	PG_RETURN_JSONB_P(remove_one(&call, username));
}

CHATROOM_ROOM_FUNCTION(chatroom_remove_member, remove_member);

/* leave_room(room, prefix text) */
static Datum
leave_room(FunctionCallInfo fcinfo, RoomArgument how)
{
	RoomCall	call;
	text	   *username;

	chatroom_find_member_room(fcinfo, how, 1, &call);
	username = cstring_to_text(chatroom_require_identity());
	PG_RETURN_JSONB_P(remove_one(&call, username));
}

CHATROOM_ROOM_FUNCTION(chatroom_leave_room, leave_room);

/* ----------------------------------------------------------- list_members */

/* list_members(room, prefix text) */
static Datum
list_members(FunctionCallInfo fcinfo, RoomArgument how)
{
	RoomCall	call;
	Datum		values[1];
	ChatRows	rows;
	Jsonb	   *list;

	chatroom_prefix_argument(fcinfo, 1, &call.tables);
	chatroom_require_version(&call.tables, 2);
	chatroom_room_argument(fcinfo, how, 1, &call);
	values[0] = Int64GetDatum(call.id);
	chatroom_spi_connect();
	chatroom_query(&call.tables, call.tables.members, &select_members, values,
				   NULL, CHAT_READ_ONLY, &rows);
	list = chatroom_rows_jsonb(&rows);
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(list);
}

CHATROOM_ROOM_FUNCTION(chatroom_list_members, list_members);

/* ---------------------------------------------------------- transfer_room */

/* transfer_room(room, username text, prefix text) */
static Datum
transfer_room(FunctionCallInfo fcinfo, RoomArgument how)
{
	text	   *username = chatroom_text_arg(fcinfo, 1, "username");
	RoomCall	call;
	RoomRole	role;
	Datum		values[1];
	Jsonb	   *row;

	chatroom_find_member_room(fcinfo, how, 2, &call);
	chatroom_spi_connect();
	chatroom_lock_room(&call);
	if (chatroom_rank(&call.access) < ROOM_OWNER)
		chatroom_room_denied(&call, "Its owner may give it away.");
	role = chatroom_role_now(&call, username);
	if (role == ROOM_NONE)
		no_member(&call, username);
	if (role != ROOM_OWNER)
	{
		values[0] = Int64GetDatum(call.id);
		chatroom_write_all(&call.tables, call.tables.members, &demote_owner,
						   &select_owner, values, CHAT_AS_OWNER);
	}
	row = chatroom_put_member(&call, username, ROOM_OWNER);
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(row);
}

CHATROOM_ROOM_FUNCTION(chatroom_transfer_room, transfer_room);
