/*-------------------------------------------------------------------------
 *
 * memory.c
 *	  The control struct, and what a writing transaction leaves in it.
 *
 * The control struct comes from the main shared memory segment: from what was
 * asked for when preloaded, otherwise from the segment's slack.  Another small
 * struct, which never changes, says how that and the caches are laid out: not
 * preloaded, a library can be replaced while the server runs.
 *
 * One transaction callback, registered once per process, sets the tailer's
 * latch after a transaction with events has committed.  It runs after the
 * transaction left ProcArray, so the tailer that wakes finds it visible.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "base/compat.h"
#include "base/delay.h"
#include "base/memory.h"
#include "base/message.h"
#include "base/settings.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"

/* Bytes of the text that says how shared memory is laid out. */
#define LAYOUT_SIZE		64

ChatroomControl *chatroom_control = NULL;

/* First message of the running transaction; invalid while it has none. */
static XLogRecPtr first_message = InvalidXLogRecPtr;

/* Did the running transaction change watched rows with events off? */
static bool suppressed = false;

static bool callback_registered = false;

/* Bytes of the control struct: the same in all processes of a server. */
static Size
control_bytes(void)
{
	return offsetof(ChatroomControl, databases) +
		sizeof(DatabaseSlot) * chatroom_max_databases;
}

/* Ask for the control struct's memory while the server starts. */
void
chatroom_request_control(void)
{
	RequestAddinShmemSpace(MAXALIGN(control_bytes()));
	RequestAddinShmemSpace(MAXALIGN(LAYOUT_SIZE));
}

/* What this library takes shared memory to look like. */
static void
describe_layout(char *layout)
{
	snprintf(layout, LAYOUT_SIZE, "layout " CHATROOM_LAYOUT ", %zu bytes",
			 sizeof(ChatroomControl));
}

/* See memory.h. */
void
chatroom_refuse_layout(const char *found)
{
	char		own[LAYOUT_SIZE];

	describe_layout(own);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("chatroom's shared memory is of another version of its library"),
			 errdetail("The server has \"%s\", the library \"%s\".",
					   found, own),
			 errhint("Restart the server.")));
}

/*
 * See that shared memory is as this library has it: before a struct of another
 * size is asked for, of which the server would complain in its own way.
 */
static void
check_layout(void)
{
	char	   *shared;
	char		own[LAYOUT_SIZE];
	bool		found;

	describe_layout(own);
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("chatroom layout", LAYOUT_SIZE, &found);
	if (!found)
		strlcpy(shared, own, LAYOUT_SIZE);
	LWLockRelease(AddinShmemInitLock);
	if (strcmp(shared, own) != 0)
		chatroom_refuse_layout(shared);
}

/* Attach to the control struct, making it on first use. */
void
chatroom_attach_control(void)
{
	bool		found;
	ChatroomControl *control;

	if (chatroom_control != NULL)
		return;

	check_layout();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	control = ShmemInitStruct("chatroom", control_bytes(), &found);
	if (!found)
	{
		memset(control, 0, control_bytes());
		control->ndatabases = chatroom_max_databases;
		control->tranche = ChatroomNewTranche("chatroom");
		LWLockInitialize(&control->lock, control->tranche);
		pg_atomic_init_u32(&control->tailer_state, TAILER_NONE);
		pg_atomic_init_u64(&control->ended_at, 0);
		pg_atomic_init_u32(&control->tailer_procno, PG_UINT32_MAX);
		pg_atomic_init_u64(&control->flush_wanted, 0);
		for (int i = 0; i < CHATROOM_LOGGED_SLOTS; i++)
			pg_atomic_init_u64(&control->logged[i], 0);
		pg_atomic_init_u64(&control->descriptor_epoch, 1);
		pg_atomic_init_u64(&control->read_lsn, 0);
		pg_atomic_init_u64(&control->caught_up, 0);
		pg_atomic_init_u64(&control->messages_forged, 0);
		pg_atomic_init_u64(&control->messages_torn, 0);
		pg_atomic_init_u64(&control->messages_read, 0);
		pg_atomic_init_u64(&control->bytes_read, 0);
		pg_atomic_init_u64(&control->transactions_reread, 0);
		pg_atomic_init_u64(&control->tailer_starts, 0);
		pg_atomic_init_u64(&control->assembly_bytes, 0);
		for (int i = 0; i < control->ndatabases; i++)
			control->databases[i].handle = DSM_HANDLE_INVALID;
	}
	LWLockRelease(AddinShmemInitLock);
	ChatroomRegisterTranche(control->tranche, "chatroom");
	chatroom_control = control;
}

/* Set the tailer's latch, if it runs. */
void
chatroom_wake_tailer(void)
{
	uint32		procno;

	procno = pg_atomic_read_u32(&chatroom_control->tailer_procno);
	if (procno < (uint32) ProcGlobal->allProcCount)
		SetLatch(&ProcGlobal->allProcs[procno].procLatch);
}

/* Advance an atomic LSN that only grows. */
static void
advance_lsn(pg_atomic_uint64 *place, XLogRecPtr lsn)
{
	uint64		old = pg_atomic_read_u64(place);

	while (old < lsn && !pg_atomic_compare_exchange_u64(place, &old, lsn))
		;
}

/* Have WAL flushed up to lsn, by the tailer. */
void
chatroom_want_flush(XLogRecPtr lsn)
{
	advance_lsn(&chatroom_control->flush_wanted, lsn);
	chatroom_wake_tailer();
}

/*
 * The transaction changed rows while events were switched off: nobody knows
 * which, so all topics of the database are reset.  As part of the transaction,
 * so that no end of a process or server can lose it, and at the time of COMMIT
 * PREPARED where it is prepared.
 */
static void
log_suppressed(void)
{
	StringInfoData buf;
	ResetEvent	reset;

	reset.scope = RESET_DATABASE;
	reset.base.data = NULL;
	reset.base.len = PIECE_NULL;
	reset.reason = RESET_REASON_EMIT_OFF;
	initStringInfo(&buf);
	chatroom_start_message(&buf);
	chatroom_encode_reset(&buf, &reset);
	chatroom_note_message(chatroom_log(MESSAGE_RESET, buf.data, buf.len,
									   true));
	pfree(buf.data);
}

/* The end of a transaction: tell the tailer of a commit with events. */
static void
transaction_ends(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (suppressed)
				log_suppressed();
			return;
		case XACT_EVENT_COMMIT:
			CHATROOM_DELAY(DELAY_TURN);
			/* the tailer flushes asynchronous commits itself */
			if (first_message != InvalidXLogRecPtr)
				chatroom_want_flush(XactLastCommitEnd);
			break;
		case XACT_EVENT_PREPARE:

			/*
			 * Nobody tells of the later COMMIT PREPARED: it may happen in a
			 * session that has not loaded this library.  The tailer polls.
			 */
		case XACT_EVENT_ABORT:
			break;
		default:
			return;
	}
	first_message = InvalidXLogRecPtr;
	suppressed = false;
}

/* Register the callback once per process. */
static void
register_callback(void)
{
	if (callback_registered)
		return;
	RegisterXactCallback(transaction_ends, NULL);
	callback_registered = true;
}

/* A message of the running transaction was logged, ending at lsn. */
void
chatroom_note_message(XLogRecPtr lsn)
{
	if (first_message != InvalidXLogRecPtr)
		return;
	register_callback();
	first_message = ProcLastRecPtr != InvalidXLogRecPtr ?
		ProcLastRecPtr : lsn;
}

/* The running transaction changed watched rows with events off. */
void
chatroom_note_suppressed(void)
{
	register_callback();
	suppressed = true;
}

/* Start of the running transaction's first message, or invalid. */
XLogRecPtr
chatroom_first_message(void)
{
	return first_message;
}
