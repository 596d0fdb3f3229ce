/*-------------------------------------------------------------------------
 *
 * tailer.h
 *	  The worker that reads WAL and fills the caches, and its parts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_TAILER_H
#define CHATROOM_TAILER_H

#include "postgres.h"

#include "access/xlogreader.h"
#include "base/event.h"
#include "cache/ring.h"
#include "cache/waiters.h"
#include "lib/ilist.h"
#include "utils/snapshot.h"

/* ---- assemble.c ---- */

/* A message kept in memory. */
typedef struct Message
{
	slist_node	node;
	XLogRecPtr	lsn;			/* start of its record */
	uint32		command;
	MessageKind kind;
	uint32		len;
	char		data[FLEXIBLE_ARRAY_MEMBER];	/* its body */
} Message;

/* What is known of a (sub)transaction that has not ended. */
typedef struct OpenTransaction
{
	TransactionId xid;			/* hash key */
	Oid			dboid;
	XLogRecPtr	first_lsn;		/* of its first message */
	Size		bytes;			/* of all its messages */
	int			count;
	bool		reread;			/* messages not kept: too many */
	slist_head	messages;		/* newest first */
} OpenTransaction;

/* A committed transaction that waits to be published. */
typedef struct PendingTransaction
{
	dlist_node	node;
	XLogRecPtr	lsn;			/* end of the commit record */
	TransactionId xid;			/* invalid: non-transactional */
	uint64		fxid;
	TimestampTz at;
	Size		bytes;
	int			count;
	bool		reread;
	XLogRecPtr	first_lsn;
	int			nxids;			/* xid and its subtransactions; of a reset: */
	int			xids_room;		/* ... many, that were queued */
	TransactionId *xids;
	Message   **messages;		/* in order; NULL where reread */
	ResetReason reset;			/* not NONE: it can't be told */
	MemoryContext context;		/* of this, but for the messages */
} PendingTransaction;

extern void chatroom_assemble_init(void);
extern void chatroom_handle_record(XLogReaderState *reader);
extern void chatroom_enqueue_message(Oid dboid, XLogRecPtr start,
									 XLogRecPtr end, TimestampTz at,
									 MessageKind kind, const char *body,
									 Size size);
extern bool chatroom_message_order(MessageKind kind, ByteReader body,
								   Oid dboid, uint32 *command);
extern void chatroom_sort_messages(Message **messages, int count);
extern XLogRecPtr chatroom_oldest_open(void);
extern uint64 chatroom_widen_xid(TransactionId xid);

/* ---- settle.c ---- */

/* Transactions below this may have messages before where reading started. */
extern uint64 chatroom_partial_before;

extern void chatroom_settle_begin(void);
extern bool chatroom_settling(void);
extern void chatroom_settle_ended(TransactionId xid);
extern void chatroom_settle_from(uint64 next);
extern void chatroom_settle(XLogRecPtr available);

/* ---- publish.c ---- */

/* A database as the tailer sees it. */
typedef struct TailerDatabase
{
	Oid			dboid;			/* hash key */
	int			slot;			/* in the control struct; -1: none */
	dsm_segment *segment;
	Cache	   *cache;			/* NULL: could not be made */
	dlist_head	queue;			/* PendingTransactions in commit order */
	Size		queued_bytes;
	int			visible;		/* at the queue's head, to be published */
	TopicBits	published;		/* topics of the running batch ... */
	bool		touched;		/* ... if there are any */
	bool		wake_all;
	bool		notify;			/* someone LISTENs for what was published */
	bool		opened;			/* the cache was made, or tried to ... */
	uint64		tried;			/* ... then, in us of the monotonic clock */
	uint64		thrown_fxid;	/* newest transaction thrown away without it */
	XLogRecPtr	floor;			/* up to which events were thrown away */
} TailerDatabase;

extern void chatroom_publish_init(void);
extern void chatroom_publish_start(XLogRecPtr floor);
extern TailerDatabase *chatroom_tailer_database(Oid dboid);
extern PendingTransaction *chatroom_new_pending(XLogRecPtr lsn,
												TransactionId xid,
												uint64 fxid);
extern void chatroom_enqueue(Oid dboid, PendingTransaction *pending);
extern bool chatroom_publish(XLogRecPtr up_to);
extern Size chatroom_queued_bytes(void);
extern void chatroom_reset_all(XLogRecPtr lsn, TransactionId xid,
							   uint64 fxid, ResetReason reason);
extern void chatroom_reset_database(Oid dboid, XLogRecPtr lsn,
									ResetReason reason);
extern void chatroom_settle_caches(void);
extern void chatroom_drop_database(Oid dboid, XLogRecPtr lsn);
extern void chatroom_make_wanted_caches(void);
extern void chatroom_release_caches(void);
extern XLogRecPtr chatroom_global_floor(void);

/* Do something about each database that is known. */
extern void chatroom_for_databases(void (*action) (TailerDatabase *, void *),
								   void *arg);

/* A fresh snapshot, for a moment. */
extern Snapshot chatroom_begin_look(void);
extern void chatroom_end_look(void);

/* Descriptors, known by database and id. */
extern void chatroom_know_descriptor(Oid dboid, const char *body, int len,
									 XLogRecPtr lsn, bool own);
extern void chatroom_use_descriptor(Oid dboid, uint64 id);
extern void chatroom_log_known_descriptors(void);

/* ---- presence.c ---- */

extern void chatroom_presence_start(void);
extern bool chatroom_read_presence(Oid dboid, ByteReader body,
								   XLogRecPtr start, XLogRecPtr end);
extern void chatroom_read_presence_anchor(XLogRecPtr as_of, XLogRecPtr lsn);
extern void chatroom_log_presence(XLogRecPtr as_of);
extern void chatroom_open_presence(TailerDatabase *db);
extern void chatroom_take_over_presence(void);
extern uint64 chatroom_presence_turn(void);

/* ---- slot.c ---- */

extern void chatroom_slot_start(XLogRecPtr *restart, XLogRecPtr *floor);
extern void chatroom_slot_trim(XLogRecPtr now);
extern void chatroom_slot_drop(void);
extern bool chatroom_log_anchor(bool new_incarnation);
extern void chatroom_read_anchor(const AnchorEvent *anchor, XLogRecPtr lsn);
extern XLogRecPtr chatroom_last_anchor(void);
extern void chatroom_refresh_timelines(TimeLineID tli);

#endif							/* CHATROOM_TAILER_H */
