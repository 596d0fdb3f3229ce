/*-------------------------------------------------------------------------
 *
 * room.c
 *	  The room that a function was called for.
 *
 * A room that the caller may not see is no room: the error is the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/identity.h"
#include "base/topics.h"
#include "chat/room.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

/*
 * The tables of the prefix that an argument names.  Those who may not use them
 * at all are refused before a look at any room: an error must not tell which
 * there are.
 */
void
chatroom_prefix_argument(FunctionCallInfo fcinfo, int argument,
						 ChatTables *tables)
{
	char	   *prefix = NULL;

	if (!PG_ARGISNULL(argument))
		prefix = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	*tables = *chatroom_prefix(prefix);
	tables->prefix = pstrdup(tables->prefix);
	chatroom_check_rooms(tables);
}

/* An id as text has it; 0: it is a name. */
static int64
text_to_id(const char *room)
{
	int64		id;

	if (room[0] == '\0' || room[strspn(room, "0123456789")] != '\0')
		return 0;
	errno = 0;
	id = strtoi64(room, NULL, 10);
	return errno == 0 ? id : 0;
}

/* The room that argument 0 names; false: there is none. */
bool
chatroom_look_for_room(FunctionCallInfo fcinfo, RoomArgument how,
					   int prefix_argument, RoomCall *call)
{
	chatroom_require_argument(fcinfo, 0, "room");
	chatroom_prefix_argument(fcinfo, prefix_argument, &call->tables);
	if (how == ROOM_BY_ID)
	{
		call->id = PG_GETARG_INT64(0);
		call->room = psprintf(INT64_FORMAT, call->id);
		chatroom_room_access(&call->tables, call->id, &call->access);
		return call->access.visible;
	}
	call->room = text_to_cstring(PG_GETARG_TEXT_PP(0));
	call->id = chatroom_find_room(&call->tables, PG_GETARG_TEXT_PP(0),
								  &call->access);
	if (call->id != 0)
		return true;
	call->id = text_to_id(call->room);
	return false;
}

/* The room that argument 0 names; see room.h. */
void
chatroom_room_argument(FunctionCallInfo fcinfo, RoomArgument how,
					   int prefix_argument, RoomCall *call)
{
	if (!chatroom_look_for_room(fcinfo, how, prefix_argument, call))
		chatroom_no_such_room(call->room);
}

/* The room that argument 0 names, to be changed; see room.h. */
void
chatroom_room_to_change(FunctionCallInfo fcinfo, RoomArgument how,
						int prefix_argument, RoomCall *call)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	chatroom_room_argument(fcinfo, how, prefix_argument, call);
	PopActiveSnapshot();
}

/* What the caller is to a room that is to be changed. */
void
chatroom_access_to_change(const ChatTables *tables, int64 room_id,
						  RoomAccess *access)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	chatroom_room_access(tables, room_id, access);
	PopActiveSnapshot();
}

/* Refuse what takes more than seeing the room. */
void
chatroom_room_denied(const RoomCall *call, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for room \"%s\"", call->room),
			 errdetail("%s", detail)));
}

/* Is this username the caller's own? */
bool
chatroom_is_caller(const text *username)
{
	const char *identity = chatroom_identity();

	return identity != NULL &&
		strlen(identity) == VARSIZE_ANY_EXHDR(username) &&
		memcmp(identity, VARDATA_ANY(username),
			   VARSIZE_ANY_EXHDR(username)) == 0;
}

/* Refuse those who have not a role that the room's rules ask for. */
void
chatroom_require_role(const RoomCall *call, RoomRole role, const char *detail)
{
	if (RoomGoverns(&call->access) && call->access.role < role)
		chatroom_room_denied(call, detail);
}
