/*-------------------------------------------------------------------------
 *
 * presence.h
 *	  Who is present, in each cache: a table of fixed size.
 *
 * Words:
 *
 * - entry: a key (who) on a topic (where) with its meta (how).  It has an id
 *	 for life, and a ref for each meta that it had.
 * - session entry: lives as long as the session that tracked it; one for each
 *	 session, topic and key.
 * - lease: lives until its time to live runs out, unless it is tracked again;
 *	 one for each topic, key and slot, where the slot is a hash of its meta's
 *	 "id", or says that it is the entry of typing().
 * - leaving: an entry that has ended and is shown no more, of which the tailer
 *	 has not yet told; it frees the entry once it has.
 * - open: a primary's table whose state is complete.  Sessions write into an
 *	 open table themselves; into one that isn't, on a standby, and while WAL
 *	 is read again after a start, the tailer alone does.
 *
 * The state is a fold of the messages in WAL.  Who comes and changes is told
 * by the session, which logs the message and changes the table under one hold
 * of the lock, so both have the same order.  Who leaves is told by the
 * primary's tailer alone: so nothing is written while a process dies, and
 * between two messages of the tailer nobody leaves.  With each anchor it logs
 * the whole state; what the state of an anchor does not name, and came before
 * it, has left (sweep).
 *
 * Locking: "lock" of the table protects all of it but the two atomics; who
 * reads takes it shared, who writes exclusive.  To renew a lease is to set its
 * "expires", for which shared is enough; the tailer, which ends leases, looks
 * again under the exclusive lock.  A session writes WAL under the lock, so it
 * may last as long as an insertion into WAL; nobody who holds it waits for the
 * tailer, or for any other lock but those of WAL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_CACHE_PRESENCE_H
#define CHATROOM_CACHE_PRESENCE_H

#include "postgres.h"

#include "base/event.h"
#include "cache/ring.h"
#include "lib/stringinfo.h"

extern Size chatroom_presence_bytes(uint32 nentries);
extern void chatroom_presence_init(Cache *cache, int tranche);

/* ---- sessions ---- */

typedef enum PresenceResult
{
	PRESENCE_TOLD,				/* it came or changed, as WAL says */
	PRESENCE_RENEWED,			/* nothing is new */
	PRESENCE_CLOSED,			/* the table is not open (yet, or for good) */
	PRESENCE_FULL,				/* no entry is free */
	PRESENCE_TEXT_FULL,			/* no room is left for texts */
	PRESENCE_QUOTA				/* the role has too many entries */
} PresenceResult;

typedef struct PresenceClaim
{
	PresenceItem item;			/* id, ref: to be used if new; set to those
								 * that are in force */
	uint64		session;		/* who tracks; not 0 */
	uint32		quota;			/* most entries of the role, but for typing */
	TimestampTz at;
	Piece		origin;
} PresenceClaim;

/* Track an entry.  *lsn: where its message ends, if it was told. */
extern PresenceResult chatroom_presence_track(Cache *cache,
											  PresenceClaim *claim,
											  XLogRecPtr *lsn);

/*
 * End entries; true: some were, so the tailer is to be woken.  Those of a key:
 * the session's own, and leases.  One lease, by its slot.  All of a session's.
 */
extern bool chatroom_presence_untrack(Cache *cache, const Piece *topic,
									  const Piece *key, uint64 session);
extern bool chatroom_presence_end_lease(Cache *cache, const Piece *topic,
										const Piece *key, uint64 slot);
extern bool chatroom_presence_end_session(Cache *cache, uint64 session);

/* All of a topic, or (unless NULL) of a key there, whosever they are. */
extern bool chatroom_presence_end_all(Cache *cache, const Piece *topic,
									  const Piece *key);

/* All of the topics whose names begin so. */
extern bool chatroom_presence_end_under(Cache *cache, const Piece *start);

/* An entry as it is read: followed by its key and meta. */
typedef struct PresenceCopy
{
	uint64		ref;
	uint64		seq;			/* order of coming */
	uint32		key_len;
	uint32		meta_len;
} PresenceCopy;

/*
 * Append PresenceCopies of a topic's entries, each MAXALIGNed, to an empty
 * buffer; returns their number.  *changes: a number that is another one once
 * they have changed, which the other function asks for.
 */
extern int	chatroom_presence_of_topic(Cache *cache, const Piece *topic,
									   StringInfo copies, uint64 *changes);
extern uint64 chatroom_presence_changes(Cache *cache, const Piece *topic);

/* Entries that are there, and room for how many there is. */
extern uint32 chatroom_presence_count(Cache *cache);

/* Is somebody present on a topic that a label would take? */
extern bool chatroom_presence_taken(Cache *cache, const char *label);

/* ---- the tailer ---- */

/*
 * Fold a message into a table that is not open; lsn is where it ends.  Open
 * ones know it already.
 */
extern void chatroom_presence_apply(Cache *cache,
									const PresenceMessage *message,
									XLogRecPtr lsn);

/* What came up to as_of, and the state of then did not name, leaves. */
extern void chatroom_presence_sweep(Cache *cache, XLogRecPtr as_of,
									XLogRecPtr lsn);

/* Session entries of earlier sessions leave; leases have a full ttl. */
extern void chatroom_presence_open(Cache *cache);
extern bool chatroom_presence_is_open(Cache *cache);

/* The cache is given up. */
extern void chatroom_presence_close(Cache *cache);

/*
 * End leases that have run out.  Returns when to look again, in us of the
 * monotonic clock; PG_UINT64_MAX: when one is tracked.
 */
extern uint64 chatroom_presence_expire(Cache *cache, uint64 now);

/* An entry that leaves, or is part of the state. */
typedef struct PresenceHandle
{
	uint32		index;
	uint64		id;
} PresenceHandle;

/* Does anybody leave?  Costs a look. */
extern bool chatroom_presence_anybody_leaves(Cache *cache);

/*
 * Encode items that leave, at most n and as many as there is room for in the
 * buffer, which must not grow; one always has room.
 */
extern int	chatroom_presence_leaving(Cache *cache, StringInfo buf,
									  PresenceHandle *handles, int n);

/* They were told: free them. */
extern void chatroom_presence_forget(Cache *cache,
									 const PresenceHandle *handles, int n);

/*
 * Encode items of the state from *next on, which is moved; returns their
 * number, 0 at the end.
 */
extern int	chatroom_presence_state(Cache *cache, StringInfo buf,
									uint32 *next);

/* Bytes that hold any item. */
#define PRESENCE_ITEM_ROOM \
	(PRESENCE_ITEM_OVERHEAD + CHATROOM_MAX_TOPIC + \
	 CHATROOM_MAX_PRESENCE_KEY + CHATROOM_MAX_PRESENCE_META)

#endif							/* CHATROOM_CACHE_PRESENCE_H */
