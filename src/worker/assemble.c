/*-------------------------------------------------------------------------
 *
 * assemble.c
 *	  From WAL records to committed transactions.
 *
 * Messages are gathered by the (sub)transaction id that wrote them.  At
 * wal_level = replica a record does not bear its top-level transaction, so
 * subtransactions stand alone until the commit record lists them.  At commit
 * the messages of all of them are put in order, by command id and then LSN:
 * LSN alone is not the order of row versions, for a trigger that runs before
 * ours may change another row of the statement and so log it first.
 *
 * A transaction that would take too much memory is not kept, only where it
 * began; at its commit its WAL is read again (publish.c).
 *
 * Transactions that began before reading did are settle.c's matter; a partial
 * one, of which messages may be missing, is told as a reset.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/rmgr.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog_internal.h"
#include "base/compat.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/message.h"
#include "base/wal.h"
#include "catalog/pg_control.h"
#include "commands/dbcommands_xlog.h"
#include "miscadmin.h"
#include "storage/standbydefs.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "worker/tailer.h"

/* Bytes of messages kept of one (sub)transaction, and of all. */
#define KEEP_ONE		(4 * 1024 * 1024)
#define KEEP_ALL		(64 * 1024 * 1024)
#define MESSAGE_OVERHEAD	64

/* A transaction that ended, with its subtransactions. */
typedef struct Family
{
	TransactionId xid;
	int			nsubxacts;
	TransactionId *subxacts;
} Family;

#define FamilySize(family)	((family)->nsubxacts + 1)
#define FamilyMember(family, i) \
	((i) == 0 ? (family)->xid : (family)->subxacts[(i) - 1])

static HTAB *open_transactions = NULL;	/* OpenTransaction, by (sub)xid */
static Size kept_bytes = 0;		/* of the messages of all of them */
static MemoryContext assemble_context;

/* Get ready, once per process. */
void
chatroom_assemble_init(void)
{
	assemble_context = AllocSetContextCreate(TopMemoryContext,
											 "chatroom assemble",
											 ALLOCSET_DEFAULT_SIZES);
	open_transactions = chatroom_make_hash("chatroom open transactions",
										   assemble_context, 256,
										   sizeof(TransactionId),
										   sizeof(OpenTransaction));
}

/* A 32-bit xid seen in WAL, with its epoch. */
uint64
chatroom_widen_xid(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();
	uint32		epoch = EpochFromFullTransactionId(next);

	/*
	 * WAL holds no xid that was not assigned before, so what looks larger
	 * than the next one is of the epoch before.
	 */
	if (xid > XidFromFullTransactionId(next) && epoch > 0)
		epoch--;
	return U64FromFullTransactionId(FullTransactionIdFromEpochAndXid(epoch,
																	 xid));
}

/* Let everybody see how much is kept. */
static void
tell_kept_bytes(void)
{
	pg_atomic_write_u64(&chatroom_control->assembly_bytes, kept_bytes);
}

/* What is known of a (sub)transaction; NULL: it sent no message. */
static OpenTransaction *
find_open(TransactionId xid)
{
	return hash_search(open_transactions, &xid, HASH_FIND, NULL);
}

/* Free a transaction's messages. */
static void
drop_messages(OpenTransaction *open)
{
	while (!slist_is_empty(&open->messages))
		pfree(slist_container(Message, node,
							  slist_pop_head_node(&open->messages)));
	if (!open->reread)
		kept_bytes -= open->bytes;
	tell_kept_bytes();
}

/* Forget a (sub)transaction. */
static void
forget_transaction(TransactionId xid)
{
	OpenTransaction *open = find_open(xid);

	if (open == NULL)
		return;
	drop_messages(open);
	hash_search(open_transactions, &xid, HASH_REMOVE, NULL);
}

/* Forget all of a transaction. */
static void
forget_family(const Family *family)
{
	for (int i = 0; i < FamilySize(family); i++)
		forget_transaction(FamilyMember(family, i));
}

/* Keep no messages of a transaction any more: it is read again. */
static void
stop_keeping(OpenTransaction *open)
{
	drop_messages(open);
	open->reread = true;
}

/*
 * Make room where all transactions together take too much memory: those above
 * half the average are not kept, which leaves at most half of the limit.
 */
static void
limit_memory(void)
{
	HASH_SEQ_STATUS status;
	OpenTransaction *open;
	Size		average;

	if (kept_bytes <= KEEP_ALL)
		return;
	average = KEEP_ALL / 2 / hash_get_num_entries(open_transactions);
	hash_seq_init(&status, open_transactions);
	while ((open = hash_seq_search(&status)) != NULL)
		if (!open->reread && open->bytes >= average)
			stop_keeping(open);
}

/* A copy of a message. */
static Message *
copy_message(MemoryContext context, XLogRecPtr lsn, uint32 command,
			 MessageKind kind, const char *body, Size size)
{
	Message    *message =
		MemoryContextAllocHuge(context, offsetof(Message, data) + size);

	message->lsn = lsn;
	message->command = command;
	message->kind = kind;
	message->len = (uint32) size;
	memcpy(message->data, body, size);
	return message;
}

/* Keep a transactional message until its transaction ends. */
static void
keep_message(XLogReaderState *reader, Oid dboid, MessageKind kind,
			 const ByteReader *body, uint32 command)
{
	TransactionId xid = XLogRecGetXid(reader);
	Size		size = body->end - body->pos;
	OpenTransaction *open;
	Message    *message;
	bool		found;

	open = hash_search(open_transactions, &xid, HASH_ENTER, &found);
	if (!found)
	{
		open->dboid = dboid;
		open->first_lsn = reader->ReadRecPtr;
		open->bytes = 0;
		open->count = 0;
		open->reread = false;
		slist_init(&open->messages);
	}
	open->bytes += MESSAGE_OVERHEAD + size;
	open->count++;
	if (open->reread)
		return;
	kept_bytes += MESSAGE_OVERHEAD + size;
	message = copy_message(assemble_context, reader->ReadRecPtr, command,
						   kind, body->pos, size);
	slist_push_head(&open->messages, &message->node);
	if (open->bytes > KEEP_ONE)
		stop_keeping(open);
	limit_memory();
	tell_kept_bytes();
}

/* qsort comparator: command id, then LSN. */
static int
compare_messages(const void *a, const void *b)
{
	const Message *left = *(Message *const *) a;
	const Message *right = *(Message *const *) b;

	if (left->command != right->command)
		return left->command < right->command ? -1 : 1;
	if (left->lsn != right->lsn)
		return left->lsn < right->lsn ? -1 : 1;
	return 0;
}

/* Put messages into the order in which their rows came about. */
void
chatroom_sort_messages(Message **messages, int count)
{
	qsort(messages, count, sizeof(Message *), compare_messages);
}

/* What all of a transaction sent, together; false: nothing. */
static bool
sum_up(const Family *family, OpenTransaction *total)
{
	memset(total, 0, sizeof(*total));
	for (int i = 0; i < FamilySize(family); i++)
	{
		OpenTransaction *open = find_open(FamilyMember(family, i));

		if (open == NULL)
			continue;
		total->dboid = open->dboid;
		total->count += open->count;
		total->bytes += open->bytes;
		total->reread |= open->reread;
		if (total->first_lsn == InvalidXLogRecPtr ||
			open->first_lsn < total->first_lsn)
			total->first_lsn = open->first_lsn;
	}
	return total->count > 0;
}

/* Not all messages were kept: note by which xids they are found again. */
static void
note_xids(PendingTransaction *pending, const Family *family)
{
	pending->nxids = FamilySize(family);
	pending->xids = MemoryContextAllocHuge(pending->context,
										   sizeof(TransactionId) *
										   pending->nxids);
	for (int i = 0; i < pending->nxids; i++)
		pending->xids[i] = FamilyMember(family, i);
	forget_family(family);
}

/* Hand the messages over, which go on living, in their order. */
static void
take_messages(PendingTransaction *pending, const Family *family)
{
	int			n = 0;

	pending->messages = MemoryContextAllocHuge(pending->context,
											   sizeof(Message *) *
											   pending->count);
	for (int i = 0; i < FamilySize(family); i++)
	{
		TransactionId xid = FamilyMember(family, i);
		OpenTransaction *open = find_open(xid);
		slist_iter	iter;

		if (open == NULL)
			continue;
		slist_foreach(iter, &open->messages)
			pending->messages[n++] = slist_container(Message, node, iter.cur);
		kept_bytes -= open->bytes;
		hash_search(open_transactions, &xid, HASH_REMOVE, NULL);
	}
	Assert(n == pending->count);
	chatroom_sort_messages(pending->messages, n);
	tell_kept_bytes();
}

/* A transaction has committed, "end" is the end of its record. */
static void
commit_family(const Family *family, XLogRecPtr end, TimestampTz at)
{
	PendingTransaction *pending;
	OpenTransaction total;
	uint64		fxid = chatroom_widen_xid(family->xid);

	/* what is already below the floor was published by no one, or before */
	if (end <= chatroom_global_floor())
	{
		forget_family(family);
		return;
	}

	/* of a partial one no message need have been met: see settle.c */
	if (fxid < chatroom_partial_before)
	{
		forget_family(family);
		chatroom_reset_all(end, family->xid, fxid, RESET_REASON_FLOOR);
		return;
	}
	if (!sum_up(family, &total))
		return;
	pending = chatroom_new_pending(end, family->xid, fxid);
	pending->at = at;
	pending->bytes = total.bytes;
	pending->count = total.count;
	pending->reread = total.reread;
	pending->first_lsn = total.first_lsn;
	if (total.reread)
		note_xids(pending, family);
	else
		take_messages(pending, family);
	chatroom_enqueue(total.dboid, pending);
}

/* ----------------------------------------------------------------- records */

/* An old transaction may be one of those that ended; see settle.c. */
static void
account_for(const Family *family)
{
	for (int i = 0; i < FamilySize(family); i++)
		chatroom_settle_ended(FamilyMember(family, i));
}

/* A transaction committed. */
static void
handle_commit(XLogReaderState *reader, bool prepared)
{
	xl_xact_parsed_commit parsed;
	Family		family;

	ParseCommitRecord(XLogRecGetInfo(reader),
					  (xl_xact_commit *) XLogRecGetData(reader), &parsed);
	family.xid = prepared ? parsed.twophase_xid : XLogRecGetXid(reader);
	family.nsubxacts = parsed.nsubxacts;
	family.subxacts = parsed.subxacts;
	if (!TransactionIdIsValid(family.xid))
		return;
	if (reader->EndRecPtr > chatroom_global_floor())
		account_for(&family);
	commit_family(&family, reader->EndRecPtr, parsed.xact_time);
}

/* One was rolled back: what has left no rows needs no events, anywhere. */
static void
handle_abort(XLogReaderState *reader, bool prepared)
{
	xl_xact_parsed_abort parsed;
	Family		family;

	ParseAbortRecord(XLogRecGetInfo(reader),
					 (xl_xact_abort *) XLogRecGetData(reader), &parsed);
	family.xid = prepared ? parsed.twophase_xid : XLogRecGetXid(reader);
	family.nsubxacts = parsed.nsubxacts;
	family.subxacts = parsed.subxacts;
	account_for(&family);
	forget_family(&family);
}

/* A record of a transaction's end. */
static void
handle_xact_record(XLogReaderState *reader)
{
	/* the usual case: it is none of ours */
	if (hash_get_num_entries(open_transactions) == 0 && !chatroom_settling())
		return;
	switch (XLogRecGetInfo(reader) & XLOG_XACT_OPMASK)
	{
		case XLOG_XACT_COMMIT:
			handle_commit(reader, false);
			break;
		case XLOG_XACT_COMMIT_PREPARED:
			handle_commit(reader, true);
			break;
		case XLOG_XACT_ABORT:
			handle_abort(reader, false);
			break;
		case XLOG_XACT_ABORT_PREPARED:
			handle_abort(reader, true);
			break;
		default:
			/* a prepared transaction stays open until its second phase */
			break;
	}
}

/* Transactions that a crash ended left no abort record: forget them. */
static void
handle_running_xacts(const xl_running_xacts *running)
{
	HASH_SEQ_STATUS status;
	OpenTransaction *open;

	/*
	 * What gets an xid from here on is read from its beginning: no xid is
	 * assigned between this record's making and its place in WAL.
	 */
	chatroom_settle_from(chatroom_widen_xid(running->nextXid));

	hash_seq_init(&status, open_transactions);
	while ((open = hash_seq_search(&status)) != NULL)
		if (TransactionIdPrecedes(open->xid, running->oldestRunningXid))
			forget_transaction(open->xid);
}

/*
 * A checkpoint at a shutdown, or at the end of a crash's recovery: no
 * transaction runs then but prepared ones, and none gets an xid.
 */
static void
handle_idle_checkpoint(const CheckPoint *checkpoint)
{
	chatroom_settle_from(U64FromFullTransactionId(checkpoint->nextXid));
}

/* ---------------------------------------------------------------- messages */

/*
 * A message outside a transaction is one of its own, whose record starts and
 * ends there.
 */
void
chatroom_enqueue_message(Oid dboid, XLogRecPtr start, XLogRecPtr end,
						 TimestampTz at, MessageKind kind, const char *body,
						 Size size)
{
	PendingTransaction *pending;

	if (end <= chatroom_global_floor())
		return;
	pending = chatroom_new_pending(end, InvalidTransactionId, 0);
	pending->at = at;
	pending->bytes = size;
	pending->count = 1;
	pending->messages = MemoryContextAlloc(pending->context,
										   sizeof(Message *));
	pending->messages[0] = copy_message(pending->context, start, 0, kind, body,
										size);
	chatroom_enqueue(dboid, pending);
}

/* A broadcast or reset outside a transaction. */
static void
publish_at_once(XLogReaderState *reader, Oid dboid, MessageKind kind,
				const ByteReader *body, TimestampTz at)
{
	chatroom_enqueue_message(dboid, reader->ReadRecPtr, reader->EndRecPtr, at,
							 kind, body->pos, body->end - body->pos);
}

/*
 * Is this one that a transaction keeps until its end, and at which command
 * does it stand there?  One of a later version is: it says that something
 * happened which can't be told.
 */
bool
chatroom_message_order(MessageKind kind, ByteReader body, Oid dboid,
					   uint32 *command)
{
	uint64		descriptor;
	BroadcastEvent broadcast;
	ResetEvent	reset;

	*command = 0;
	switch (kind)
	{
		case MESSAGE_FUTURE:
			return true;
		case MESSAGE_ROW:
			if (!chatroom_peek_row(body, &descriptor, command))
				return false;
			chatroom_use_descriptor(dboid, descriptor);
			return true;
		case MESSAGE_BROADCAST:
			if (!chatroom_decode_broadcast(&body, &broadcast))
				return false;
			*command = broadcast.command;
			return true;
		case MESSAGE_RESET:
			/* before the transaction's events: they come after it */
			return chatroom_decode_reset(&body, &reset);
		default:
			return false;
	}
}

/* Count a message that is ours, and can't be read. */
static void
count_torn(void)
{
	pg_atomic_fetch_add_u64(&chatroom_control->messages_torn, 1);
}

/* Does an anchor that was read tell of nothing that is still to come? */
static bool
anchor_makes_sense(const AnchorEvent *anchor, XLogRecPtr start)
{
	if (anchor->begin > start || anchor->oldest_open > anchor->begin)
		return false;
	for (int i = 0; i < anchor->nincarnations; i++)
		if (anchor->incarnations[i].id == 0 ||
			anchor->incarnations[i].start > start)
			return false;
	return true;
}

/* A message that speaks for itself, outside a transaction. */
static void
handle_single_message(XLogReaderState *reader, Oid database, MessageKind kind,
					  ByteReader body)
{
	bool		ours = !OidIsValid(database);	/* the tailer's own */
	ByteReader	bytes = body;
	BroadcastEvent broadcast;
	ResetEvent	reset;
	AnchorEvent anchor;
	uint64		dboid;

	switch (kind)
	{
		case MESSAGE_BROADCAST:
			if (ours || !chatroom_decode_broadcast(&bytes, &broadcast))
				count_torn();
			else
				publish_at_once(reader, database, kind, &body, broadcast.at);
			return;
		case MESSAGE_RESET:
			if (!chatroom_decode_reset(&bytes, &reset))
				count_torn();
			else if (ours)
				chatroom_reset_all(reader->EndRecPtr, InvalidTransactionId,
								   0, reset.reason);
			else
				publish_at_once(reader, database, kind, &body, 0);
			return;
		case MESSAGE_DESCRIPTOR:
			chatroom_know_descriptor(database, bytes.pos,
									 (int) (bytes.end - bytes.pos),
									 reader->ReadRecPtr, false);
			return;
		case MESSAGE_KNOWN:
			dboid = chatroom_get_vint(&bytes);
			if (bytes.failed || !ours || dboid > PG_UINT32_MAX)
				count_torn();
			else
				chatroom_know_descriptor((Oid) dboid, bytes.pos,
										 (int) (bytes.end - bytes.pos),
										 reader->ReadRecPtr, true);
			return;
		case MESSAGE_ANCHOR:
			if (!ours || !chatroom_decode_anchor(&bytes, &anchor) ||
				!anchor_makes_sense(&anchor, reader->ReadRecPtr))
				count_torn();
			else
				chatroom_read_anchor(&anchor, reader->EndRecPtr);
			return;
		case MESSAGE_PRESENCE:
			if (!chatroom_read_presence(database, bytes, reader->ReadRecPtr,
										reader->EndRecPtr))
				count_torn();
			return;
		case MESSAGE_ROW:
		case MESSAGE_FUTURE:
			break;
	}
	count_torn();
}

/* A message with our prefix; believe nothing that it says of itself. */
static void
handle_message(XLogReaderState *reader)
{
	const xl_logical_message *record =
		(xl_logical_message *) XLogRecGetData(reader);
	ByteReader	body;
	MessageKind kind;
	HeaderResult header = chatroom_open_message(reader, &body, &kind);
	uint32		command;

	if (header == HEADER_FORGED ||
		(!record->transactional && chatroom_message_repeats(reader)))
	{
		pg_atomic_fetch_add_u64(&chatroom_control->messages_forged, 1);
		return;
	}
	pg_atomic_write_u64(&chatroom_control->messages_read,
						pg_atomic_read_u64(&chatroom_control->messages_read) +
						1);
	if (record->transactional)
	{
		if (chatroom_message_order(kind, body, record->dbId, &command))
			keep_message(reader, record->dbId, kind, &body, command);
		else
			count_torn();
	}
	else if (header == HEADER_OK)
		handle_single_message(reader, record->dbId, kind, body);
	else if (OidIsValid(record->dbId))
		chatroom_reset_database(record->dbId, reader->EndRecPtr,
								RESET_REASON_FLOOR);
	else
		/* a later version's tailer wrote it: we can't say what it says */
		chatroom_reset_all(reader->EndRecPtr, InvalidTransactionId, 0,
						   RESET_REASON_FLOOR);
}

/* A logical message of anybody's. */
static void
handle_logical_message(XLogReaderState *reader)
{
	bool		torn;

	if (chatroom_is_message(reader, &torn))
		handle_message(reader);
	else if (torn)
		count_torn();
}

/* Handle a record that the reader has just read. */
void
chatroom_handle_record(XLogReaderState *reader)
{
	uint8		info = XLogRecGetInfo(reader) & ~XLR_INFO_MASK;

	switch (XLogRecGetRmid(reader))
	{
		case RM_LOGICALMSG_ID:
			handle_logical_message(reader);
			break;
		case RM_XACT_ID:
			handle_xact_record(reader);
			break;
		case RM_STANDBY_ID:
			if (info == XLOG_RUNNING_XACTS)
				handle_running_xacts((xl_running_xacts *)
									 XLogRecGetData(reader));
			break;
		case RM_XLOG_ID:
			if (info == XLOG_CHECKPOINT_SHUTDOWN)
				handle_idle_checkpoint((CheckPoint *)
									   XLogRecGetData(reader));
			break;
		case RM_DBASE_ID:
			if (info == XLOG_DBASE_DROP)
				chatroom_drop_database(((xl_dbase_drop_rec *)
										XLogRecGetData(reader))->db_id,
									   reader->EndRecPtr);
			break;
		default:
			break;
	}
}

/* LSN of the oldest message of a transaction that is open; or invalid. */
XLogRecPtr
chatroom_oldest_open(void)
{
	HASH_SEQ_STATUS status;
	OpenTransaction *open;
	XLogRecPtr	oldest = InvalidXLogRecPtr;

	hash_seq_init(&status, open_transactions);
	while ((open = hash_seq_search(&status)) != NULL)
		if (oldest == InvalidXLogRecPtr || open->first_lsn < oldest)
			oldest = open->first_lsn;
	return oldest;
}
