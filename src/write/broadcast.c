/*-------------------------------------------------------------------------
 *
 * broadcast.c
 *	  Events without a row.
 *
 * A broadcast is a logical message as any event.  In a transaction block, or
 * in a transaction that has written already, it is part of the transaction:
 * it comes with its other events, in the order of commands, or not at all.
 * Otherwise it is out at once, as a non-transactional message, and its place
 * in the commit order is known: the end of its record.
 *
 * A cursor of a place that a crash could still take back must not be told: WAL
 * that is written later would stand there.  So the record is flushed first, or
 * with synchronous_commit off no cursor is told.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "base/cursor.h"
#include "base/event.h"
#include "base/grants.h"
#include "base/memory.h"
#include "base/message.h"
#include "base/settings.h"
#include "base/topics.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* Longest name of an event, in bytes. */
#define MAX_EVENT_NAME		255

/* How much larger than its text a jsonb can be, at most; generously. */
#define JSONB_OVERHEAD		16

CHATROOM_FUNCTION(chatroom_broadcast);

/* Check that the caller may broadcast on a topic. */
static void
check_broadcast_topic(const char *topic, int len)
{
	const TopicMeaning *meaning;

	chatroom_check_topic(topic, len);
	chatroom_refuse_reserved(topic, len);
	meaning = chatroom_topic_meaning(topic, len);
	if (meaning->kind == TOPIC_WATCH)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("topic \"%.*s\" is a watched table's", len, topic),
				 errdetail("Its events are the changes of the table's rows."),
				 errhint("Choose a topic that does not begin with the label "
						 "of a watch.")));
	if (!chatroom_topic_granted(topic, len, TOPIC_BROADCAST))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to broadcast on topic \"%.*s\"",
						len, topic),
				 errhint("The database's owner may call "
						 "chatroom.grant_topic().")));
}

/* Check an event's name. */
static void
check_event_name(int len)
{
	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("event must not be empty"),
				 errhint("Name what happened, for example \"typing\".")));
	if (len > MAX_EVENT_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("event is too long"),
				 errdetail("It has %d bytes; the name of an event has at "
						   "most %d.", len, MAX_EVENT_NAME),
				 errhint("Put the content into payload.")));
}

/* The payload's text, unless it is too large. */
static Piece
payload_text(Datum payload)
{
	Size		limit = (Size) chatroom_max_event_size * 1024;
	Piece		result = {NULL, -1};

	/* don't make a huge text to find that it is */
	if (toast_raw_datum_size(payload) <= limit * JSONB_OVERHEAD)
	{
		Jsonb	   *json = DatumGetJsonbP(payload);

		result.data = JsonbToCString(NULL, &json->root, VARSIZE(json));
		result.len = strlen(result.data);
	}
	if (result.len < 0 || result.len > limit)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("payload is too large"),
				 errdetail("A payload has at most %d kB "
						   "(chatroom.max_event_size).",
						   chatroom_max_event_size),
				 errhint("Broadcast a reference to where the content is.")));
	return result;
}

/* Must a broadcast be part of the transaction? */
static bool
is_transactional(void)
{
	return IsTransactionBlock() || IsSubTransaction() ||
		TransactionIdIsValid(GetTopTransactionIdIfAny());
}

/* Log a broadcast.  Returns the end of its record, if that is its place. */
static XLogRecPtr
log_broadcast(const BroadcastEvent *event, bool transactional)
{
	StringInfoData message;
	XLogRecPtr	lsn;

	initStringInfo(&message);
	chatroom_start_message(&message);
	chatroom_encode_broadcast(&message, event);
	lsn = chatroom_log(MESSAGE_BROADCAST, message.data, message.len,
					   transactional);
	pfree(message.data);
	if (transactional)
	{
		chatroom_note_message(lsn);
		return InvalidXLogRecPtr;
	}
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
	{
		chatroom_want_flush(lsn);
		return InvalidXLogRecPtr;
	}
	XLogFlush(lsn);
	chatroom_wake_tailer();
	return lsn;
}

/* The bytes of a text. */
static Piece
text_piece(const text *value)
{
	Piece		piece = {VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};

	return piece;
}

/* broadcast(topic text, event text, payload jsonb) → text: its cursor */
Datum
chatroom_broadcast(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"topic", "event", "payload"};
	BroadcastEvent event;
	Cursor		cursor;
	XLogRecPtr	lsn;
	StringInfoData buf;

	for (int i = 0; i < lengthof(names); i++)
		chatroom_require_argument(fcinfo, i, names[i]);
	event.topic = text_piece(PG_GETARG_TEXT_PP(0));
	event.event = text_piece(PG_GETARG_TEXT_PP(1));
	chatroom_attach_control();
	check_broadcast_topic(event.topic.data, event.topic.len);
	check_event_name(event.event.len);
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s during recovery",
						"chatroom.broadcast()"),
				 errhint("Call chatroom.broadcast() on the primary; followers "
						 "on standbys get the event, too.")));
	event.payload = payload_text(PG_GETARG_DATUM(2));
	event.origin.data = chatroom_origin;
	event.origin.len = chatroom_origin && chatroom_origin[0] ?
		(int) strlen(chatroom_origin) : PIECE_NULL;
	event.at = GetCurrentTimestamp();
	event.command = GetCurrentCommandId(false);
	if (!chatroom_emit_enabled)
	{
		chatroom_note_suppressed();
		PG_RETURN_NULL();
	}

	lsn = log_broadcast(&event, is_transactional());
	if (lsn == InvalidXLogRecPtr)
		PG_RETURN_NULL();
	chatroom_make_cursor(lsn, &cursor);
	if (cursor.incarnation == 0)
		PG_RETURN_NULL();		/* no worker has ever run */
	initStringInfo(&buf);
	chatroom_append_cursor(&buf, &cursor);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}
