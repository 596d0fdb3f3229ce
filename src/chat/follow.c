/*-------------------------------------------------------------------------
 *
 * follow.c
 *	  CALL chatroom.follow_room: a client's whole loop.
 *
 * Without a cursor, or with one that can't be continued, the answer is the
 * room as join_room() has it; otherwise it is what wait() would tell of the
 * room's topic.  So a client has one thing to do: render, and call again with
 * the cursor.
 *
 * One who may see the room no more, with a cursor, is told what wait() tells:
 * the room's delete event, or one reset, here with nothing in it; after that
 * there is no such room.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "chat/join.h"
#include "chat/pages.h"
#include "chat/room.h"
#include "read/wait.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

/* Arguments, by number. */
enum
{
	ARG_ROOM,
	ARG_SINCE,
	ARG_TIMEOUT,
	ARG_MAX_EVENTS,
	ARG_ANSWER,
	ARG_ACTING_FOR,
	ARG_PREFIX
};

/* What is left of a room to show to one who may not see it any more. */
static void
append_nothing(const WaitCall *wait, const RoomCall *call, StringInfo buf)
{
	char	   *topic = chatroom_room_topic(&call->tables, call->id);

	appendStringInfoString(buf, "{\"cursor\":\"");
	chatroom_append_cursor(buf, &wait->since);
	appendStringInfoString(buf, "\",\"topic\":");
	chatroom_append_json_string(buf, topic, strlen(topic));
	appendStringInfoString(buf, ",\"room\":null,\"messages\":[]");
	appendStringInfoString(buf, ",\"next\":null,\"end_reached\":true");
	appendStringInfoString(buf, ",\"presence\":{}");
}

/* Answer with the room as it is now; a WaitReload. */
static void
reload_room(const WaitCall *wait, void *arg, StringInfo buf)
{
	RoomCall   *call = arg;

	chatroom_room_access(&call->tables, call->id, &call->access);
	if (call->access.visible)
	{
		appendStringInfoChar(buf, '{');
		chatroom_append_join(buf, call, PAGE_DEFAULT);
	}
	else
		append_nothing(wait, call, buf);
	appendStringInfoString(buf, ",\"reset\":true,\"more\":false");
	appendStringInfoString(buf, ",\"events\":[]}");
}

/* Follow the room's topic from the cursor on. */
static void
follow(WaitCall *wait, RoomCall *call)
{
	char	   *topic = chatroom_room_topic(&call->tables, call->id);

	wait->reload = reload_room;
	wait->reload_arg = call;
	chatroom_one_topic(cstring_to_text(topic), &wait->topics);
	chatroom_wait_for_answer(wait);
}

/*
 * follow_room(room, since text, timeout interval, max_events int, INOUT answer
 * json, acting_for text, prefix text)
 */
static Datum
follow_it(FunctionCallInfo fcinfo, RoomArgument how)
{
	static const WaitArguments arguments = {
		ARG_SINCE, ARG_TIMEOUT, ARG_MAX_EVENTS, ARG_ACTING_FOR
	};
	WaitCall	wait;
	RoomCall	call;
	bool		visible;

	chatroom_begin_wait(fcinfo, "chatroom.follow_room", &arguments, &wait);
	PushActiveSnapshot(GetLatestSnapshot());
	visible = chatroom_look_for_room(fcinfo, how, ARG_PREFIX, &call);
	if (!visible && (!wait.have_since || call.id == 0))
		chatroom_no_such_room(call.room);
	if (!wait.have_since)
	{
		chatroom_start_wait_answer(&wait);
		reload_room(&wait, &call, &wait.json);
	}
	PopActiveSnapshot();
	if (wait.have_since)
		follow(&wait, &call);
	PG_RETURN_DATUM(chatroom_end_wait(&wait));
}

CHATROOM_ROOM_FUNCTION(chatroom_follow_room, follow_it);
