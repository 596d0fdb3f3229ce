/*-------------------------------------------------------------------------
 *
 * build.h
 *	  Putting events together as they stand in the ring.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_BUILD_H
#define CHATROOM_BUILD_H

#include "postgres.h"

#include "base/event.h"
#include "cache/ring.h"
#include "lib/stringinfo.h"

/* What an event has besides its row. */
typedef struct EventFrame
{
	uint64		seed;			/* of topic hashes; see ring.h */
	XLogRecPtr	lsn;
	uint64		fxid;
	uint64		next_fxid;
	TimestampTz at;
} EventFrame;

/*
 * Append a RingEvent for a row event; strip: without its row, as oversize.
 * Memory besides the buffer is allocated in the current context.
 */
extern void chatroom_build_row(StringInfo batch, const EventFrame *frame,
							   const Descriptor *descriptor,
							   const RowEvent *event, bool strip);

/* Append a RingEvent for a broadcast. */
extern void chatroom_build_broadcast(StringInfo batch,
									 const EventFrame *frame,
									 const BroadcastEvent *event);

/* Append a RingEvent for what happened to a presence entry. */
extern void chatroom_build_presence(StringInfo batch,
									const EventFrame *frame, uint8 action,
									const PresenceItem *item,
									const Piece *origin);

/*
 * Append a RingEvent without topics, which stands for a transaction that
 * resets some, so that snapshots that don't see it can tell.
 */
extern void chatroom_build_marker(StringInfo batch, const EventFrame *frame);

#endif							/* CHATROOM_BUILD_H */
