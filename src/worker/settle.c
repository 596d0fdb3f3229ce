/*-------------------------------------------------------------------------
 *
 * settle.c
 *	  Transactions that began before reading did.
 *
 * Reading begins somewhere in WAL (slot.c) while transactions run, and is to
 * tell all that commits behind the floor.  Two kinds of transactions can't be
 * told that way; both are few, and gone some time after the start:
 *
 * - partial: reading may have missed its first messages.  Every transaction
 *	 below chatroom_partial_before is taken for one.  When it commits, all
 *	 topics are reset at its commit (assemble.c), whether or not messages of
 *	 it were met: all of them may have been before.  The boundary is the next
 *	 xid at the start.  It falls when an anchor is met (slot.c), a record of
 *	 running transactions, or a checkpoint of a server that ran none: these
 *	 tell which transactions are read from their beginning.
 *
 * - old: it was in ProcArray when the tailer started.  It may have committed
 *	 before the floor by then, and wait for a synchronous standby: its rows
 *	 appear when it leaves ProcArray, and there are no events of them.  WAL
 *	 after the floor doesn't tell; but one that leaves ProcArray, and has
 *	 neither a commit nor an abort record behind the floor, must have been
 *	 such a one.  Then the floor goes up to where that was found out.
 *
 *		 listed ──► its record is read ───────────────► struck off
 *			│				▲
 *			▼				│
 *		 has left ProcArray ┴► WAL is read up to there ► floor goes up
 *
 * A transaction that leaves ProcArray has written its record before; so it is
 * known to have none once all WAL was read that there was when it had left.
 *
 * When no old one remains, and the WAL of the time when they were listed has
 * been read, the caches are settled: all that ran at the start has ended, so
 * that none is partial either.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "base/compat.h"
#include "base/wal.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "worker/tailer.h"

typedef struct OldTransaction
{
	TransactionId xid;			/* a subtransaction's, too */
	XLogRecPtr	left;			/* end of WAL when it was found to have left
								 * ProcArray; invalid: it is there */
} OldTransaction;

uint64		chatroom_partial_before = 0;

static OldTransaction *old_transactions = NULL;
static int	nold = 0;
static XLogRecPtr listed_at;	/* end of WAL when they were listed */
static bool settled = false;

/* List one. */
static void
add_old(TransactionId xid)
{
	old_transactions = repalloc(old_transactions,
								sizeof(OldTransaction) * (nold + 1));
	old_transactions[nold].xid = xid;
	old_transactions[nold].left = InvalidXLogRecPtr;
	nold++;
}

/* Take one off the list: the last has its place. */
static void
strike_off(int i)
{
	old_transactions[i] = old_transactions[--nold];
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
		old_transactions = MemoryContextAlloc(TopMemoryContext,
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
	listed_at = chatroom_wal_position();
	settled = false;
}

/* Does the end of any transaction matter, also of one without messages? */
bool
chatroom_settling(void)
{
	return nold > 0 || chatroom_partial_before != 0;
}

/* A (sub)transaction has a record behind the floor: it is accounted for. */
void
chatroom_settle_ended(TransactionId xid)
{
	for (int i = 0; i < nold; i++)
		if (old_transactions[i].xid == xid)
		{
			strike_off(i);
			return;
		}
}

/* All transactions from this one on are read from their beginning. */
void
chatroom_settle_from(uint64 next)
{
	chatroom_partial_before = Min(chatroom_partial_before, next);
}

/* Did an old one leave ProcArray without a record behind the floor? */
static bool
left_unread(OldTransaction *old, Snapshot snapshot, XLogRecPtr available)
{
	if (old->left != InvalidXLogRecPtr)
		return available >= old->left;

	/* its record is before here: when that is read, it is struck off */
	if (!XidInMVCCSnapshot(old->xid, snapshot))
		old->left = chatroom_wal_position();
	return false;
}

/* See which old transactions have left ProcArray. */
static void
look_who_left(XLogRecPtr available)
{
	Snapshot	snapshot = chatroom_begin_look();
	bool		missed = false;

	for (int i = nold - 1; i >= 0; i--)
		if (left_unread(&old_transactions[i], snapshot, available))
		{
			strike_off(i);
			missed = true;
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
		look_who_left(available);
	if (nold > 0 || available < listed_at)
		return;
	settled = true;
	chatroom_partial_before = 0;
	chatroom_settle_caches();
}
