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
 * A transaction of which reading may have missed the beginning ("partial")
 * raises the floor when it commits, whether or not it is known to have
 * events.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/rmgr.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog_internal.h"
#include "base/compat.h"
#include "base/memory.h"
#include "base/wal.h"
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

static HTAB *open_transactions = NULL;
static Size kept_bytes = 0;
static MemoryContext assemble_context;

void
chatroom_assemble_init(void)
{
	HASHCTL		control;

	assemble_context = AllocSetContextCreate(TopMemoryContext,
											 "chatroom assemble",
											 ALLOCSET_DEFAULT_SIZES);
	control.keysize = sizeof(TransactionId);
	control.entrysize = sizeof(OpenTransaction);
	control.hcxt = assemble_context;
	open_transactions = hash_create("chatroom open transactions", 256,
									&control,
									HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
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

/* Free a transaction's messages. */
static void
drop_messages(OpenTransaction *open)
{
	while (!slist_is_empty(&open->messages))
		pfree(slist_container(Message, node,
							  slist_pop_head_node(&open->messages)));
	if (!open->reread)
		kept_bytes -= open->bytes;
	pg_atomic_write_u64(&chatroom_control->assembly_bytes, kept_bytes);
}

/* Forget a transaction. */
static void
forget_transaction(TransactionId xid)
{
	OpenTransaction *open;

	open = hash_search(open_transactions, &xid, HASH_FIND, NULL);
	if (open == NULL)
		return;
	drop_messages(open);
	hash_search(open_transactions, &xid, HASH_REMOVE, NULL);
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

/* Keep a transactional message until its transaction ends. */
static void
keep_message(XLogReaderState *reader, const xl_logical_message *record,
			 const char *payload, uint32 command)
{
	TransactionId xid = XLogRecGetXid(reader);
	OpenTransaction *open;
	Message    *message;
	bool		found;

	open = hash_search(open_transactions, &xid, HASH_ENTER, &found);
	if (!found)
	{
		open->dboid = record->dbId;
		open->first_lsn = reader->ReadRecPtr;
		open->bytes = 0;
		open->count = 0;
		open->reread = false;
		slist_init(&open->messages);
	}
	open->bytes += MESSAGE_OVERHEAD + record->message_size;
	open->count++;
	if (open->reread)
		return;
	kept_bytes += MESSAGE_OVERHEAD + record->message_size;
	message = MemoryContextAllocHuge(assemble_context,
									 offsetof(Message, data) +
									 record->message_size);
	message->lsn = reader->ReadRecPtr;
	message->command = command;
	message->len = (uint32) record->message_size;
	memcpy(message->data, payload, record->message_size);
	slist_push_head(&open->messages, &message->node);
	if (open->bytes > KEEP_ONE)
		stop_keeping(open);
	limit_memory();
	pg_atomic_write_u64(&chatroom_control->assembly_bytes, kept_bytes);
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

/* Hand the messages of a committed transaction over to publish.c. */
static void
commit_transaction(XLogReaderState *reader, TransactionId xid,
				   TimestampTz at, int nsubxacts, TransactionId *subxacts)
{
	PendingTransaction *pending;
	MemoryContext context;
	Oid			dboid = InvalidOid;
	int			count = 0;
	int			nkept = 0;
	Size		bytes = 0;
	bool		reread = false;
	XLogRecPtr	first = InvalidXLogRecPtr;
	uint64		fxid;

	fxid = chatroom_widen_xid(xid);
	if (fxid < chatroom_partial_before)
	{
		forget_transaction(xid);
		for (int i = 0; i < nsubxacts; i++)
			forget_transaction(subxacts[i]);
		chatroom_reset_all(reader->EndRecPtr, xid, fxid, RESET_REASON_FLOOR);
		return;
	}

	for (int i = -1; i < nsubxacts; i++)
	{
		TransactionId id = i < 0 ? xid : subxacts[i];
		OpenTransaction *open;

		open = hash_search(open_transactions, &id, HASH_FIND, NULL);
		if (open == NULL)
			continue;
		dboid = open->dboid;
		count += open->count;
		bytes += open->bytes;
		reread = reread || open->reread;
		if (first == InvalidXLogRecPtr || open->first_lsn < first)
			first = open->first_lsn;
	}
	if (count == 0)
		return;

	/* what is already below the floor was published by no one, or before */
	if (reader->EndRecPtr <= chatroom_global_floor())
	{
		for (int i = -1; i < nsubxacts; i++)
			forget_transaction(i < 0 ? xid : subxacts[i]);
		return;
	}

	context = AllocSetContextCreate(assemble_context,
									"chatroom pending transaction",
									ALLOCSET_SMALL_SIZES);
	pending = MemoryContextAllocZero(context, sizeof(PendingTransaction));
	pending->context = context;
	pending->lsn = reader->EndRecPtr;
	pending->xid = xid;
	pending->fxid = fxid;
	pending->at = at;
	pending->bytes = bytes;
	pending->count = count;
	pending->reread = reread;
	pending->first_lsn = first;
	if (reread)
	{
		pending->nxids = nsubxacts + 1;
		pending->xids = MemoryContextAllocHuge(context,
											   sizeof(TransactionId) *
											   pending->nxids);
		pending->xids[0] = xid;
		if (nsubxacts > 0)
			memcpy(pending->xids + 1, subxacts,
				   sizeof(TransactionId) * nsubxacts);
	}
	else
		pending->messages = MemoryContextAllocHuge(context,
												   sizeof(Message *) * count);
	for (int i = -1; i < nsubxacts; i++)
	{
		TransactionId id = i < 0 ? xid : subxacts[i];
		OpenTransaction *open;
		slist_iter	iter;

		open = hash_search(open_transactions, &id, HASH_FIND, NULL);
		if (open == NULL)
			continue;
		if (reread)
		{
			forget_transaction(id);
			continue;
		}
		slist_foreach(iter, &open->messages)
			pending->messages[nkept++] = slist_container(Message, node,
														 iter.cur);
		/* the messages go on living */
		kept_bytes -= open->bytes;
		hash_search(open_transactions, &id, HASH_REMOVE, NULL);
	}
	if (!reread)
	{
		Assert(nkept == count);
		chatroom_sort_messages(pending->messages, nkept);
	}
	pg_atomic_write_u64(&chatroom_control->assembly_bytes, kept_bytes);
	chatroom_enqueue(dboid, pending);
}

/* ------------------------------------------------- transactions of before */

/*
 * Transactions that were in ProcArray when reading began ("old").
 *
 * Some may have committed before the floor and wait for a synchronous standby:
 * when they leave ProcArray, rows appear of which there are no events.  An old
 * one that leaves without a commit or abort record behind the floor was such:
 * then the floor goes up.
 *
 * Once all have left, no transaction is partial any more, and all that
 * committed before the floor has left ProcArray.
 */
typedef struct OldTransaction
{
	TransactionId xid;
	XLogRecPtr	gone;			/* where it had left; invalid: it has not */
} OldTransaction;

static OldTransaction *old_transactions = NULL;
static int	nold = 0;
static XLogRecPtr old_until;	/* end of WAL when they were listed */
static bool settled = false;

/* List one. */
static void
add_old(TransactionId xid)
{
	old_transactions = repalloc(old_transactions,
								sizeof(OldTransaction) * (nold + 1));
	old_transactions[nold].xid = xid;
	old_transactions[nold].gone = InvalidXLogRecPtr;
	nold++;
}

/*
 * List the transactions that are in ProcArray now: those of a snapshot, and
 * the newest, from its xmax on, that it doesn't list.
 */
void
chatroom_settle_begin(void)
{
	Snapshot	snapshot = chatroom_begin_look();
	TransactionId next = XidFromFullTransactionId(ReadNextFullTransactionId());

	if (old_transactions == NULL)
		old_transactions = MemoryContextAlloc(assemble_context,
											  sizeof(OldTransaction));
	nold = 0;
	for (uint32 i = 0; i < snapshot->xcnt; i++)
		add_old(snapshot->xip[i]);
	if (snapshot->takenDuringRecovery)
		for (int i = 0; i < snapshot->subxcnt; i++)
			add_old(snapshot->subxip[i]);
	for (TransactionId xid = snapshot->xmax; TransactionIdPrecedes(xid, next);)
	{
		add_old(xid);
		TransactionIdAdvance(xid);
	}
	chatroom_end_look();
	old_until = chatroom_wal_position();
	settled = false;
}

/* A transaction ended behind the floor: it is accounted for. */
static void
forget_old(TransactionId xid)
{
	for (int i = 0; i < nold; i++)
		if (old_transactions[i].xid == xid)
		{
			old_transactions[i] = old_transactions[--nold];
			return;
		}
}

/* See which old transactions have left ProcArray. */
static void
look_for_old(XLogRecPtr available)
{
	Snapshot	snapshot = chatroom_begin_look();
	bool		missed = false;

	for (int i = nold - 1; i >= 0; i--)
	{
		OldTransaction *old = &old_transactions[i];

		if (old->gone != InvalidXLogRecPtr)
		{
			/* its record would have been read */
			if (available < old->gone)
				continue;
			missed = true;
			*old = old_transactions[--nold];
		}
		else if (!XidInMVCCSnapshot(old->xid, snapshot))
			old->gone = chatroom_wal_position();
	}
	chatroom_end_look();

	/*
	 * "available" itself was published a moment ago, and may be a cursor by
	 * now: it has to be before the floor, too.  No record ends right behind.
	 */
	if (missed)
		chatroom_reset_all(available + 1, InvalidTransactionId, 0,
						   RESET_REASON_FLOOR);
}

/* All that ends up to "available" has been read: are the caches settled? */
void
chatroom_settle(XLogRecPtr available)
{
	if (settled)
		return;
	if (nold > 0)
		look_for_old(available);
	if (nold > 0 || available < old_until)
		return;
	settled = true;
	chatroom_partial_before = 0;
	chatroom_settle_caches();
}

/* ----------------------------------------------------------------- records */

/* The same of a transaction with its subtransactions. */
static void
forget_old_ones(TransactionId xid, int nsubxacts,
				const TransactionId *subxacts)
{
	if (nold == 0)
		return;
	forget_old(xid);
	for (int i = 0; i < nsubxacts && nold > 0; i++)
		forget_old(subxacts[i]);
}

/* A commit, abort or prepare. */
static void
handle_xact_record(XLogReaderState *reader)
{
	uint8		info = XLogRecGetInfo(reader);
	uint8		op = info & XLOG_XACT_OPMASK;

	if (op == XLOG_XACT_COMMIT || op == XLOG_XACT_COMMIT_PREPARED)
	{
		xl_xact_parsed_commit parsed;
		TransactionId xid = XLogRecGetXid(reader);

		/* the usual case: a transaction that is none of ours */
		if (hash_get_num_entries(open_transactions) == 0 &&
			chatroom_partial_before == 0 && nold == 0)
			return;
		ParseCommitRecord(info, (xl_xact_commit *) XLogRecGetData(reader),
						  &parsed);
		if (op == XLOG_XACT_COMMIT_PREPARED)
			xid = parsed.twophase_xid;
		if (!TransactionIdIsValid(xid))
			return;
		if (reader->EndRecPtr > chatroom_global_floor())
			forget_old_ones(xid, parsed.nsubxacts, parsed.subxacts);
		commit_transaction(reader, xid, parsed.xact_time, parsed.nsubxacts,
						   parsed.subxacts);
	}
	else if (op == XLOG_XACT_ABORT || op == XLOG_XACT_ABORT_PREPARED)
	{
		xl_xact_parsed_abort parsed;
		TransactionId xid = XLogRecGetXid(reader);

		if (hash_get_num_entries(open_transactions) == 0 && nold == 0)
			return;
		ParseAbortRecord(info, (xl_xact_abort *) XLogRecGetData(reader),
						 &parsed);
		if (op == XLOG_XACT_ABORT_PREPARED)
			xid = parsed.twophase_xid;
		forget_old_ones(xid, parsed.nsubxacts, parsed.subxacts);
		forget_transaction(xid);
		for (int i = 0; i < parsed.nsubxacts; i++)
			forget_transaction(parsed.subxacts[i]);
	}
	/* a prepared transaction stays open until its second phase */
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
	if (chatroom_partial_before != 0)
		chatroom_partial_before = Min(chatroom_partial_before,
									  chatroom_widen_xid(running->nextXid));

	hash_seq_init(&status, open_transactions);
	while ((open = hash_seq_search(&status)) != NULL)
		if (TransactionIdPrecedes(open->xid, running->oldestRunningXid))
			forget_transaction(open->xid);
}

/* ---------------------------------------------------------------- messages */

/*
 * A message outside a transaction is one of its own, whose record starts and
 * ends there.
 */
void
chatroom_enqueue_message(Oid dboid, XLogRecPtr start, XLogRecPtr end,
						 TimestampTz at, const char *payload, Size size)
{
	PendingTransaction *pending;
	MemoryContext context;
	Message    *message;

	if (end <= chatroom_global_floor())
		return;
	context = AllocSetContextCreate(assemble_context,
									"chatroom pending message",
									ALLOCSET_SMALL_SIZES);
	pending = MemoryContextAllocZero(context, sizeof(PendingTransaction));
	message = MemoryContextAlloc(context, offsetof(Message, data) + size);
	message->lsn = start;
	message->command = 0;
	message->len = (uint32) size;
	memcpy(message->data, payload, size);
	pending->context = context;
	pending->lsn = end;
	pending->at = at;
	pending->bytes = size;
	pending->count = 1;
	pending->messages = MemoryContextAlloc(context, sizeof(Message *));
	pending->messages[0] = message;
	chatroom_enqueue(dboid, pending);
}

/* A broadcast or reset outside a transaction. */
static void
publish_at_once(XLogReaderState *reader, const xl_logical_message *record,
				const char *payload, TimestampTz at)
{
	chatroom_enqueue_message(record->dbId, reader->ReadRecPtr,
							 reader->EndRecPtr, at, payload,
							 record->message_size);
}

/*
 * Is this one that a transaction keeps until its end, and at which command
 * does it stand there?  One of a later version is: it says that something
 * happened which can't be told.
 */
bool
chatroom_message_order(const char *payload, Size size, Oid dboid,
					   uint32 *command)
{
	ByteReader	bytes = {payload, payload + size, false};
	MessageKind kind;
	uint64		descriptor;
	BroadcastEvent broadcast;
	ResetEvent	reset;

	*command = 0;
	switch (chatroom_get_header(&bytes, dboid, &kind))
	{
		case HEADER_FORGED:
			return false;
		case HEADER_FUTURE:
			return true;
		case HEADER_OK:
			break;
	}
	switch (kind)
	{
		case MESSAGE_ROW:
			if (!chatroom_peek_row(bytes, &descriptor, command))
				return false;
			chatroom_use_descriptor(dboid, descriptor);
			return true;
		case MESSAGE_BROADCAST:
			if (!chatroom_decode_broadcast(&bytes, &broadcast))
				return false;
			*command = broadcast.command;
			return true;
		case MESSAGE_RESET:
			/* before the transaction's events: they come after it */
			return chatroom_decode_reset(&bytes, &reset);
		default:
			return false;
	}
}

static void
count_torn(void)
{
	pg_atomic_fetch_add_u64(&chatroom_control->messages_torn, 1);
}

/* A message that speaks for itself, outside a transaction. */
static void
handle_single_message(XLogReaderState *reader,
					  const xl_logical_message *record, const char *payload,
					  MessageKind kind, ByteReader bytes)
{
	bool		ours = !OidIsValid(record->dbId);	/* the tailer's own */
	BroadcastEvent broadcast;
	ResetEvent	reset;
	AnchorEvent anchor;
	Oid			dboid;

	switch (kind)
	{
		case MESSAGE_BROADCAST:
			if (!chatroom_decode_broadcast(&bytes, &broadcast))
				count_torn();
			else
				publish_at_once(reader, record, payload, broadcast.at);
			return;
		case MESSAGE_RESET:
			if (!chatroom_decode_reset(&bytes, &reset))
				count_torn();
			else if (ours)
				chatroom_reset_all(reader->EndRecPtr, InvalidTransactionId,
								   0, reset.reason);
			else
				publish_at_once(reader, record, payload, 0);
			return;
		case MESSAGE_DESCRIPTOR:
			chatroom_know_descriptor(record->dbId, bytes.pos,
									 (int) (bytes.end - bytes.pos),
									 reader->ReadRecPtr, false);
			return;
		case MESSAGE_KNOWN:
			dboid = (Oid) chatroom_get_vint(&bytes);
			if (bytes.failed || !ours)
				count_torn();
			else
				chatroom_know_descriptor(dboid, bytes.pos,
										 (int) (bytes.end - bytes.pos),
										 reader->ReadRecPtr, true);
			return;
		case MESSAGE_ANCHOR:
			if (!ours || !chatroom_decode_anchor(&bytes, &anchor))
				count_torn();
			else
				chatroom_read_anchor(&anchor, reader->EndRecPtr);
			return;
		case MESSAGE_PRESENCE:
			if (!chatroom_read_presence(record->dbId, bytes,
										reader->ReadRecPtr,
										reader->EndRecPtr))
				count_torn();
			return;
		case MESSAGE_ROW:
			break;
	}
	count_torn();
}

/* A message with our prefix; believe nothing that it says of itself. */
static void
handle_message(XLogReaderState *reader, const xl_logical_message *record,
			   const char *payload)
{
	ByteReader	bytes = {payload, payload + record->message_size, false};
	MessageKind kind;
	HeaderResult header = chatroom_get_header(&bytes, record->dbId, &kind);
	uint32		command;

	if (header == HEADER_FORGED)
	{
		pg_atomic_fetch_add_u64(&chatroom_control->messages_forged, 1);
		return;
	}
	pg_atomic_write_u64(&chatroom_control->messages_read,
						pg_atomic_read_u64(&chatroom_control->messages_read) +
						1);
	if (record->transactional)
	{
		if (chatroom_message_order(payload, record->message_size,
								   record->dbId, &command))
			keep_message(reader, record, payload, command);
		else
			count_torn();
	}
	else if (header == HEADER_OK)
		handle_single_message(reader, record, payload, kind, bytes);
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
	xl_logical_message *record;
	Size		length = XLogRecGetDataLen(reader);

	record = (xl_logical_message *) XLogRecGetData(reader);
	if (length < SizeOfLogicalMessage ||
		record->prefix_size != sizeof(CHATROOM_PREFIX) ||
		memcmp(record->message, CHATROOM_PREFIX,
			   sizeof(CHATROOM_PREFIX)) != 0)
		return;
	if (length < SizeOfLogicalMessage + record->prefix_size ||
		record->message_size >
		length - SizeOfLogicalMessage - record->prefix_size)
	{
		count_torn();
		return;
	}
	handle_message(reader, record, record->message + record->prefix_size);
}

/* Handle a record that the reader has just read. */
void
chatroom_handle_record(XLogReaderState *reader)
{
	switch (XLogRecGetRmid(reader))
	{
		case RM_LOGICALMSG_ID:
			handle_logical_message(reader);
			break;
		case RM_XACT_ID:
			handle_xact_record(reader);
			break;
		case RM_STANDBY_ID:
			if ((XLogRecGetInfo(reader) & ~XLR_INFO_MASK) ==
				XLOG_RUNNING_XACTS)
				handle_running_xacts((xl_running_xacts *)
									 XLogRecGetData(reader));
			break;
		case RM_DBASE_ID:
			if ((XLogRecGetInfo(reader) & ~XLR_INFO_MASK) ==
				XLOG_DBASE_DROP)
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
