/*-------------------------------------------------------------------------
 *
 * messages.c
 *	  chatroom.post, shout, edit_message, delete_message.
 *
 * These are the plain INSERT, UPDATE and DELETE that the caller could have
 * typed, with its privileges and under its row-level security; the checks here
 * come first for their errors, and because a superuser that acts for a user is
 * held to that user's rights by nothing else.
 *
 * client_key makes sending again harmless: the message that is there is the
 * answer, whatever is said this time.  A unique index decides, so two sessions
 * that race are no exception: the second waits for the first, and then finds
 * its row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/spi.h"
#include "catalog/pg_type.h"
#include "chat/people.h"
#include "chat/room.h"
#include "chat/write.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "write/presence.h"

static const ChatStatement insert_message = {
	"INSERT INTO %s.messages (room_id, username, text) VALUES ($1, $2, $3) "
	"RETURNING %c",
	3, {INT8OID, TEXTOID, TEXTOID}
};

static const ChatStatement insert_message_once = {
	"INSERT INTO %s.messages (room_id, username, text, client_key) "
	"VALUES ($1, $2, $3, $4) "
	"ON CONFLICT (room_id, username, client_key) "
	"WHERE client_key IS NOT NULL DO NOTHING RETURNING %c",
	4, {INT8OID, TEXTOID, TEXTOID, TEXTOID}
};

static const ChatStatement select_posted = {
	"SELECT %c FROM %s.messages WHERE room_id OPERATOR(pg_catalog.=) $1 "
	"AND username OPERATOR(pg_catalog.=) $2 "
	"AND client_key OPERATOR(pg_catalog.=) $3",
	3, {INT8OID, TEXTOID, TEXTOID}
};

static const ChatStatement select_message = {
	"SELECT %c, room_id, username FROM %s.messages "
	"WHERE id OPERATOR(pg_catalog.=) $1",
	1, {INT8OID}
};

static const ChatStatement update_message = {
	"UPDATE %s.messages SET text = $2 WHERE id OPERATOR(pg_catalog.=) $1 "
	"RETURNING %c, id OPERATOR(pg_catalog.=) $1",
	2, {INT8OID, TEXTOID}
};

static const ChatStatement delete_message = {
	"DELETE FROM %s.messages WHERE id OPERATOR(pg_catalog.=) $1 "
	"RETURNING %c, true",
	1, {INT8OID}
};

/* -------------------------------------------------------------- posting */

/* What is to be posted. */
typedef struct Post
{
	text	   *username;
	text	   *text;
	text	   *client_key;		/* NULL: none */
} Post;

/* Insert the message; false: one with its key is there. */
static bool
insert_row(const RoomCall *call, const Post *post, ChatRows *rows)
{
	Datum		values[4];

	values[0] = Int64GetDatum(call->id);
	values[1] = PointerGetDatum(post->username);
	values[2] = PointerGetDatum(post->text);
	values[3] = PointerGetDatum(post->client_key);
	chatroom_query(&call->tables, call->tables.messages,
				   post->client_key == NULL ? &insert_message :
				   &insert_message_once, values, NULL, 0, rows);
	return rows->n > 0;
}

/* Find the message that has the key. */
static bool
find_posted(const RoomCall *call, const Post *post, ChatRows *rows)
{
	Datum		values[3];

	values[0] = Int64GetDatum(call->id);
	values[1] = PointerGetDatum(post->username);
	values[2] = PointerGetDatum(post->client_key);
	chatroom_query(&call->tables, call->tables.messages, &select_posted,
				   values, NULL, 0, rows);
	return rows->n > 0;
}

/* The user has said what it was typing. */
static void
end_typing(const RoomCall *call, const Post *post)
{
	char	   *topic = chatroom_room_topic(&call->tables, call->id);

	chatroom_end_typing(topic, strlen(topic), VARDATA_ANY(post->username),
						VARSIZE_ANY_EXHDR(post->username));
}

/* Insert the message, or find the one that was posted with its key. */
static Jsonb *
post_message(const RoomCall *call, const Post *post)
{
	ChatRows	rows;

	/* one with the same key may come and go */
	for (int try = 0; try < CHAT_MAX_TRIES; try++)
	{
		CHECK_FOR_INTERRUPTS();
		if (post->client_key != NULL && find_posted(call, post, &rows))
			return chatroom_row_jsonb(&rows, 0);
		if (insert_row(call, post, &rows))
		{
			Jsonb	   *row = chatroom_row_jsonb(&rows, 0);

			chatroom_need_user(&call->tables, post->username);
			end_typing(call, post);
			return row;
		}
		if (post->client_key == NULL)
			break;
	}
	chatroom_not_written(call->tables.messages);
	return NULL;
}

/* post() and shout(): who may do it in this room. */
static void
check_post(const RoomCall *call, const Post *post)
{
	if (RoomGoverns(&call->access) && !chatroom_is_caller(post->username))
		chatroom_room_denied(call, "In this room everyone posts under the "
							 "own name only.");
}

/*
 * Post what the arguments say.  Told is which is the client's key (-1: none),
 * and which the prefix.
 */
static Jsonb *
post_arguments(FunctionCallInfo fcinfo, RoomArgument how, int client_key,
			   int prefix)
{
	RoomCall	call;
	Post		post;
	Jsonb	   *row;

	chatroom_room_to_change(fcinfo, how, prefix, &call);
	post.username = chatroom_text_arg(fcinfo, 1, "username");
	post.text = chatroom_text_arg(fcinfo, 2, "text");
	post.client_key = client_key < 0 || PG_ARGISNULL(client_key) ? NULL :
		PG_GETARG_TEXT_PP(client_key);
	check_post(&call, &post);
	chatroom_spi_connect();
	row = post_message(&call, &post);
	chatroom_spi_finish();
	return row;
}

/* post(room, username text, text text, client_key text, prefix text) */
static Datum
post_to_room(FunctionCallInfo fcinfo, RoomArgument how)
{
	PG_RETURN_JSONB_P(post_arguments(fcinfo, how, 3, 4));
}

CHATROOM_ROOM_FUNCTION(chatroom_post, post_to_room);

/*
 * shout(room, username text, text text, prefix text): post without waiting for
 * the disk.  The tailer flushes WAL before it publishes what is in it, so
 * nobody is shown what a crash could still undo.
 */
static Datum
shout_in_room(FunctionCallInfo fcinfo, RoomArgument how)
{
	Jsonb	   *row = post_arguments(fcinfo, how, -1, 3);

	(void) set_config_option("synchronous_commit", "off", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
							 false);
	PG_RETURN_JSONB_P(row);
}

CHATROOM_ROOM_FUNCTION(chatroom_shout, shout_in_room);

/* --------------------------------------------------- editing and deleting */

/* A message that a function was called for. */
typedef struct MessageCall
{
	RoomCall	room;
	int64		id;
	bool		author;			/* the caller wrote it */
} MessageCall;

/* There is no such message, or none that the caller may see. */
static void
no_such_message(int64 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("message %lld does not exist", (long long) id)));
}

/* The message that argument 0 names, and its room; SPI is connected. */
static void
message_argument(FunctionCallInfo fcinfo, int prefix_argument,
				 MessageCall *call)
{
	const ChatTables *tables = &call->room.tables;
	Datum		values[1];
	Datum		username;
	ChatRows	rows;
	bool		isnull;

	chatroom_require_argument(fcinfo, 0, "id");
	call->id = PG_GETARG_INT64(0);
	chatroom_prefix_argument(fcinfo, prefix_argument, &call->room.tables);
	values[0] = Int64GetDatum(call->id);
	chatroom_query(tables, tables->messages, &select_message, values, NULL,
				   0, &rows);
	if (rows.n == 0)
		no_such_message(call->id);
	call->room.id = DatumGetInt64(chatroom_row_extra(&rows, 0, 0, &isnull));
	call->room.room = psprintf(INT64_FORMAT, call->room.id);
	chatroom_access_to_change(tables, call->room.id, &call->room.access);
	if (!call->room.access.visible)
		no_such_message(call->id);
	username = chatroom_row_extra(&rows, 0, 1, &isnull);
	call->author = !isnull && chatroom_is_caller(DatumGetTextPP(username));
}

/* Run a statement that changes the message; returns its row. */
static Jsonb *
change_message(const MessageCall *call, const ChatStatement *statement,
			   Datum *values)
{
	const ChatTables *tables = &call->room.tables;
	ChatRows	rows;

	/* deleted just now */
	if (!chatroom_write_row(tables, tables->messages, statement,
							&select_message, values, NULL, CHAT_CASCADES,
							&rows))
		no_such_message(call->id);
	return chatroom_row_jsonb(&rows, 0);
}

CHATROOM_FUNCTION(chatroom_edit_message);

/* edit_message(id bigint, text text, prefix text) */
Datum
chatroom_edit_message(PG_FUNCTION_ARGS)
{
	MessageCall call;
	Datum		values[2];
	Jsonb	   *row;

	values[1] = PointerGetDatum(chatroom_text_arg(fcinfo, 1, "text"));
	chatroom_spi_connect();
	message_argument(fcinfo, 2, &call);
	if (RoomGoverns(&call.room.access) && !call.author)
		chatroom_room_denied(&call.room, "In this room a message is edited "
							 "by its author only.");
	values[0] = Int64GetDatum(call.id);
	row = change_message(&call, &update_message, values);
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(row);
}

CHATROOM_FUNCTION(chatroom_delete_message);

/* delete_message(id bigint, prefix text) */
Datum
chatroom_delete_message(PG_FUNCTION_ARGS)
{
	MessageCall call;
	Datum		values[1];
	Jsonb	   *row;

	chatroom_spi_connect();
	message_argument(fcinfo, 1, &call);
	if (!call.author)
		chatroom_require_role(&call.room, ROOM_ADMIN,
							  "In this room a message is deleted by its "
							  "author, the owner or an admin.");
	values[0] = Int64GetDatum(call.id);
	row = change_message(&call, &delete_message, values);
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(row);
}
