/*-------------------------------------------------------------------------
 *
 * message.h
 *	  Writing chatroom's messages into WAL, and knowing them again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_MESSAGE_H
#define CHATROOM_MESSAGE_H

#include "postgres.h"

#include "access/xlogreader.h"
#include "base/event.h"
#include "replication/message.h"

/*
 * Start a message in an empty buffer: leave the room that logging needs in
 * front of the body, and allocate what it needs.
 */
extern void chatroom_start_message(StringInfo buf);

/*
 * Log a message that was started so; it may be logged again.  Returns the end
 * of its record.  Allocates nothing of its own, so that it can be done under a
 * lock.
 */
extern XLogRecPtr chatroom_log(MessageKind kind, char *message, int len,
							   bool transactional);

/* Is a record a message with our prefix?  Where not, *torn says if ours is. */
extern bool chatroom_is_message(XLogReaderState *reader, bool *torn);

/* Who wrote such a message, and what is it? */
extern HeaderResult chatroom_open_message(XLogReaderState *reader,
										  ByteReader *body,
										  MessageKind *kind);

/*
 * For who reads on and on: was a message outside a transaction, which is
 * genuine, read before?
 */
extern bool chatroom_message_repeats(XLogReaderState *reader);

#endif							/* CHATROOM_MESSAGE_H */
