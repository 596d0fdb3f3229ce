/*-------------------------------------------------------------------------
 *
 * presence.c
 *	  What the tailer does about presence.
 *
 * See cache/presence.h for the words.  Wherever it runs, the tailer folds the
 * messages that it reads into the tables which are not open, and publishes
 * them as events.  On a primary it also
 *
 * - takes over, once all WAL of before is read: session entries of an earlier
 *	 run of the server (or of the primary before) leave, leases have a full
 *	 ttl, and sessions may track;
 * - ends leases that ran out, and tells who left;
 * - logs the whole state before each anchor, so that who starts reading there
 *	 knows it.
 *
 * The order of messages about one entry is that of what happened: sessions log
 * under the table's lock, and only what has been told to leave is freed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/memory.h"
#include "base/message.h"
#include "cache/interest.h"
#include "cache/presence.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/tailer.h"

/* Bytes of items in a message, about, and most of those that leave. */
#define MESSAGE_ROOM	(64 * 1024)
#define MAX_LEAVING		256

/* Leases are looked through no more often than this, in us. */
#define EXPIRE_INTERVAL	(10 * 1000)

static bool taken_over = false;
static MemoryContext presence_context = NULL;

/* ------------------------------------------------------- what is read */

/* Publish a message's items as events of a database. */
static void
publish_items(Oid dboid, const char *body, int len, XLogRecPtr start,
			  XLogRecPtr end, TimestampTz at)
{
	chatroom_enqueue_message(dboid, start, end, at, MESSAGE_PRESENCE, body,
							 len);
}

/* Fold a message in that was read, and publish it; false: it is torn. */
bool
chatroom_read_presence(Oid dboid, ByteReader body, XLogRecPtr start,
					   XLogRecPtr end)
{
	PresenceMessage message;
	ByteReader	reader = body;
	MemoryContext old = MemoryContextSwitchTo(presence_context);
	TailerDatabase *db;
	bool		ours = !OidIsValid(dboid);
	bool		good;

	good = chatroom_decode_presence(&reader, &message) &&
		ours == (message.action > PRESENCE_UPDATE) &&
		ours == OidIsValid(message.database) && message.as_of <= start;
	if (good)
	{
		if (ours)
			dboid = message.database;
		db = chatroom_tailer_database(dboid);
		if (db->cache != NULL)
			chatroom_presence_apply(db->cache, &message, end);
		if (message.action != PRESENCE_STATE)
			publish_items(dboid, body.pos, (int) (body.end - body.pos),
						  start, end, message.at);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(presence_context);
	return good;
}

/* What one message tells of who leaves. */
typedef struct Leaving
{
	StringInfoData buf;
	int			body;			/* where it begins in the buffer */
	TimestampTz at;
	PresenceHandle handles[MAX_LEAVING];
	int			n;
} Leaving;

/* Start a message, in a buffer that needn't grow. */
static void
start_message(StringInfo buf, PresenceAction action, Oid dboid,
			  XLogRecPtr as_of, TimestampTz at)
{
	PresenceMessage message = {0};

	message.action = action;
	message.database = dboid;
	message.as_of = as_of;
	message.at = at;
	message.origin.len = PIECE_NULL;
	chatroom_encode_presence(buf, &message);
}

/* Take some who leave; false: nobody does, as most of the time. */
static bool
take_leaving(TailerDatabase *db, Leaving *leaving)
{
	if (!chatroom_presence_anybody_leaves(db->cache))
		return false;
	leaving->at = GetCurrentTimestamp();
	initStringInfo(&leaving->buf);
	enlargeStringInfo(&leaving->buf, MESSAGE_ROOM);
	chatroom_start_message(&leaving->buf);
	leaving->body = leaving->buf.len;
	start_message(&leaving->buf, PRESENCE_LEAVE, db->dboid,
				  InvalidXLogRecPtr, leaving->at);
	leaving->n = chatroom_presence_leaving(db->cache, &leaving->buf,
										   leaving->handles, MAX_LEAVING);
	return leaving->n > 0;
}

/* Of which place an anchor tells the state, and where it ends. */
typedef struct PresenceAnchor
{
	XLogRecPtr	as_of;
	XLogRecPtr	lsn;
} PresenceAnchor;

/* What the state of an anchor did not name has left: say so. */
static void
sweep(TailerDatabase *db, void *arg)
{
	const PresenceAnchor *anchor = (const PresenceAnchor *) arg;
	Leaving		leaving;

	if (db->cache == NULL || chatroom_presence_is_open(db->cache))
		return;
	chatroom_presence_sweep(db->cache, anchor->as_of, anchor->lsn);
	while (take_leaving(db, &leaving))
	{
		publish_items(db->dboid, leaving.buf.data + leaving.body,
					  leaving.buf.len - leaving.body, anchor->lsn,
					  anchor->lsn, leaving.at);
		chatroom_presence_forget(db->cache, leaving.handles, leaving.n);
		pfree(leaving.buf.data);
	}
}

/* An anchor was read that the state of its place precedes. */
void
chatroom_read_presence_anchor(XLogRecPtr as_of, XLogRecPtr lsn)
{
	PresenceAnchor anchor = {as_of, lsn};
	MemoryContext old = MemoryContextSwitchTo(presence_context);

	chatroom_for_databases(sweep, &anchor);
	MemoryContextSwitchTo(old);
	MemoryContextReset(presence_context);
}

/* ------------------------------------------------------- what is written */

/* Log who is present in a database. */
static void
log_state(TailerDatabase *db, void *arg)
{
	XLogRecPtr	as_of = *(XLogRecPtr *) arg;
	StringInfoData buf;
	uint32		next = 0;

	if (db->cache == NULL || chatroom_presence_count(db->cache) == 0)
		return;
	initStringInfo(&buf);
	enlargeStringInfo(&buf, MESSAGE_ROOM);
	for (;;)
	{
		resetStringInfo(&buf);
		chatroom_start_message(&buf);
		start_message(&buf, PRESENCE_STATE, db->dboid, as_of, 0);
		if (chatroom_presence_state(db->cache, &buf, &next) == 0)
			break;
		chatroom_log(MESSAGE_PRESENCE, buf.data, buf.len, false);
		CHECK_FOR_INTERRUPTS();
	}
	pfree(buf.data);
}

/* Log who is present, for an anchor that follows; as_of: what was read. */
void
chatroom_log_presence(XLogRecPtr as_of)
{
	MemoryContext old = MemoryContextSwitchTo(presence_context);

	chatroom_for_databases(log_state, &as_of);
	MemoryContextSwitchTo(old);
	MemoryContextReset(presence_context);
}

/* Let a database's sessions write, if the state is complete. */
void
chatroom_open_presence(TailerDatabase *db)
{
	if (taken_over && db->cache != NULL)
		chatroom_presence_open(db->cache);
}

static void
open_database(TailerDatabase *db, void *arg)
{
	chatroom_open_presence(db);
}

/* All of before was read, on a primary: the state is ours to change. */
void
chatroom_take_over_presence(void)
{
	if (taken_over)
		return;
	taken_over = true;
	chatroom_for_databases(open_database, NULL);
}

/* What a look at the tables comes to. */
typedef struct PresenceTurn
{
	uint64		now;
	uint64		next;			/* when to look again */
	bool		expire;			/* is it time to look for ended leases? */
} PresenceTurn;

/* End a database's leases, and tell who left. */
static void
tell_leaving(TailerDatabase *db, void *arg)
{
	PresenceTurn *turn = (PresenceTurn *) arg;
	Leaving		leaving;

	if (db->cache == NULL || !chatroom_presence_is_open(db->cache))
		return;
	if (turn->expire)
		turn->next = Min(turn->next,
						 chatroom_presence_expire(db->cache, turn->now));
	while (take_leaving(db, &leaving))
	{
		XLogRecPtr	lsn;

		lsn = chatroom_log(MESSAGE_PRESENCE, leaving.buf.data,
						   leaving.buf.len, false);
		chatroom_want_flush(lsn);
		chatroom_presence_forget(db->cache, leaving.handles, leaving.n);
		pfree(leaving.buf.data);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * On a primary: end leases and tell who left.  Returns for how long there will
 * be nothing to do, in us, as far as leases go.
 */
uint64
chatroom_presence_turn(void)
{
	static uint64 looked = 0;
	MemoryContext old;
	PresenceTurn turn;

	if (!taken_over)
		return PG_UINT64_MAX;
	turn.now = chatroom_monotonic_us();
	turn.expire = turn.now >= looked + EXPIRE_INTERVAL;
	turn.next = PG_UINT64_MAX;
	old = MemoryContextSwitchTo(presence_context);
	chatroom_for_databases(tell_leaving, &turn);
	MemoryContextSwitchTo(old);
	MemoryContextReset(presence_context);
	/* what was tracked since the last look may end soon */
	if (turn.expire)
		looked = turn.now;
	else
		turn.next = 0;
	return Max(turn.next, looked + EXPIRE_INTERVAL) - turn.now;
}

/* Get ready: at the tailer's start, and (again) when it was a standby's. */
void
chatroom_presence_start(void)
{
	taken_over = false;
	if (presence_context == NULL)
		presence_context = AllocSetContextCreate(TopMemoryContext,
												 "chatroom presence",
												 ALLOCSET_DEFAULT_SIZES);
}
