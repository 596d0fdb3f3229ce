/*-------------------------------------------------------------------------
 *
 * pending.c
 *	  The events of the caller's own open transaction.
 *
 * For tests in a sandbox that never commits.  Nothing is kept for it while
 * writing: the events stand in WAL, from the transaction's first message on,
 * and are read back from there.  Rolled back subtransactions are left out,
 * because their xids are no longer the current transaction's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "base/descriptors.h"
#include "base/memory.h"
#include "base/message.h"
#include "base/wal.h"
#include "cache/build.h"
#include "miscadmin.h"
#include "read/rooms.h"
#include "read/sync.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Most bytes of messages that are read back. */
#define MAX_PENDING		(64 * 1024 * 1024)

/* One message of this transaction. */
typedef struct OwnMessage
{
	XLogRecPtr	lsn;
	uint32		command;
	ByteReader	body;
	MessageKind kind;
} OwnMessage;

typedef struct OwnMessages
{
	OwnMessage *messages;
	int			n;
	int			room;
	Size		bytes;
} OwnMessages;

/* Keep a message, if it is one of this transaction that shows an event. */
static void
keep_own(OwnMessages *own, XLogReaderState *reader)
{
	OwnMessage *message;
	ByteReader	body;
	MessageKind kind;
	uint64		descriptor;
	uint32		command = 0;
	const xl_logical_message *record;
	char	   *copy;

	record = (xl_logical_message *) XLogRecGetData(reader);
	if (record->dbId != MyDatabaseId || !record->transactional ||
		!TransactionIdIsCurrentTransactionId(XLogRecGetXid(reader)) ||
		chatroom_open_message(reader, &body, &kind) != HEADER_OK)
		return;
	if (kind == MESSAGE_ROW)
	{
		if (!chatroom_peek_row(body, &descriptor, &command))
			return;
	}
	else if (kind == MESSAGE_RESET)
	{
		ResetEvent	event;
		ByteReader	again = body;

		/* what DDL did is plain to the transaction itself */
		if (!chatroom_decode_reset(&again, &event) ||
			event.scope != RESET_OWN)
			return;
	}
	else if (kind == MESSAGE_BROADCAST)
	{
		BroadcastEvent event;
		ByteReader	again = body;

		if (!chatroom_decode_broadcast(&again, &event))
			return;
		command = event.command;
	}
	else
		return;

	own->bytes += body.end - body.pos;
	if (own->bytes > MAX_PENDING)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("transaction has too many events"),
				 errdetail("At most %d MB of events can be shown.",
						   MAX_PENDING / (1024 * 1024))));
	if (own->n == own->room)
	{
		own->room = Max(own->room * 2, 16);
		own->messages = own->messages == NULL ?
			palloc(sizeof(OwnMessage) * own->room) :
			repalloc_huge(own->messages, sizeof(OwnMessage) * own->room);
	}
	message = &own->messages[own->n++];
	message->lsn = reader->ReadRecPtr;
	message->command = command;
	message->kind = kind;
	copy = palloc(body.end - body.pos);
	memcpy(copy, body.pos, body.end - body.pos);
	message->body.pos = copy;
	message->body.end = copy + (body.end - body.pos);
	message->body.failed = false;
}

/* Read this transaction's messages; false where the WAL has gone. */
static bool
read_own(OwnMessages *own)
{
	XLogRecPtr	first = chatroom_first_message();
	XLogRecPtr	end = XactLastRecEnd;
	XLogReaderState *reader;

	if (first == InvalidXLogRecPtr)
		return true;
	if (first < chatroom_oldest_wal())
		return false;
	XLogFlush(end);
	reader = chatroom_open_wal(NULL);

	/* no resource owner knows of the file that it has open */
	PG_TRY();
	{
		XLogBeginRead(reader, first);
		for (;;)
		{
			char	   *error;
			bool		torn;

			CHECK_FOR_INTERRUPTS();
			if (XLogReadRecord(reader, &error) == NULL ||
				reader->ReadRecPtr >= end)
				break;
			if (chatroom_is_message(reader, &torn))
				keep_own(own, reader);
		}
	}
	PG_FINALLY();
	{
		chatroom_close_wal(reader);
	}
	PG_END_TRY();
	return true;
}

/* qsort comparator: command id, then LSN, as the tailer orders them. */
static int
compare_own(const void *a, const void *b)
{
	const OwnMessage *left = (const OwnMessage *) a;
	const OwnMessage *right = (const OwnMessage *) b;

	if (left->command != right->command)
		return left->command < right->command ? -1 : 1;
	if (left->lsn != right->lsn)
		return left->lsn < right->lsn ? -1 : 1;
	return 0;
}

/* Does a message reset a table's topic? */
static bool
resets_topic(const OwnMessage *message, const ResolvedTopic *topic)
{
	ByteReader	body = message->body;
	ResetEvent	event;

	return message->kind == MESSAGE_RESET && topic->kind == TOPIC_WATCH &&
		chatroom_decode_reset(&body, &event) &&
		event.base.len == topic->base_len &&
		memcmp(event.base.data, topic->topic, event.base.len) == 0;
}

/* Put a message's event together; false where it can't be. */
static bool
build_own(StringInfo batch, const EventFrame *frame, OwnMessage *message)
{
	if (message->kind == MESSAGE_ROW)
	{
		uint64		id;
		uint32		command;
		const Descriptor *descriptor;
		RowEvent	event;

		if (!chatroom_peek_row(message->body, &id, &command))
			return false;
		descriptor = chatroom_recall_descriptor(id);
		if (descriptor == NULL ||
			!chatroom_decode_row(&message->body, descriptor, &event))
			return false;
		chatroom_build_row(batch, frame, descriptor, &event, false);
	}
	else
	{
		BroadcastEvent event;

		if (!chatroom_decode_broadcast(&message->body, &event))
			return false;
		chatroom_build_broadcast(batch, frame, &event);
	}
	return true;
}

/* Put together those events of the transaction that are of a topic. */
static bool
build_answer(OwnMessages *own, const SyncTopics *topics, SyncAnswer *answer)
{
	uint64		hash = topics->reads[0].hash;
	EventFrame	frame = {0};

	frame.at = GetCurrentTimestamp();
	answer->events = palloc(sizeof(RingEvent *) * Max(own->n, 1));
	for (int i = 0; i < own->n; i++)
	{
		StringInfoData batch;

		if (resets_topic(&own->messages[i], &topics->topics[0]))
		{
			answer->reset = RESET_REASON_LARGE;
			answer->n = 0;
			return true;
		}
		if (own->messages[i].kind == MESSAGE_RESET)
			continue;
		initStringInfo(&batch);
		if (!build_own(&batch, &frame, &own->messages[i]))
			return false;
		if (chatroom_cache_link((RingEvent *) batch.data, hash) != NULL)
			answer->events[answer->n++] = (RingEvent *) batch.data;
		else
			pfree(batch.data);
	}
	return true;
}

CHATROOM_FUNCTION(chatroom_pending);

/* pending(topic text) → json */
Datum
chatroom_pending(PG_FUNCTION_ARGS)
{
	SyncTopics	topics;
	SyncAnswer	answer = {0};
	OwnMessages own = {0};
	StringInfoData buf;

	chatroom_require_argument(fcinfo, 0, "topic");
	chatroom_attach_control();
	chatroom_one_topic(PG_GETARG_TEXT_PP(0), &topics);
	/* events built here hash their topics with seed 0 */
	topics.reads[0].hash = chatroom_hash_topic(0, topics.topics[0].topic,
											   topics.topics[0].len);
	answer.uncommitted = true;
	if (!read_own(&own))
		answer.reset = RESET_REASON_OVERWRITTEN;
	else if (own.n > 0)
	{
		qsort(own.messages, own.n, sizeof(OwnMessage), compare_own);
		if (!build_answer(&own, &topics, &answer))
			answer.reset = RESET_REASON_DDL;
	}
	if (topics.topics[0].hidden)
		answer.reset = chatroom_settle_hidden_own(&topics, answer.events,
												  answer.n);
	if (answer.reset == RESET_REASON_NONE && answer.n > 0)
		chatroom_judge_events(&topics, &answer);
	if (answer.reset != RESET_REASON_NONE)
		answer.n = 0;
	initStringInfo(&buf);
	chatroom_append_answer(&buf, &topics, &answer);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}
