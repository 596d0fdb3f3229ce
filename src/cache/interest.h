/*-------------------------------------------------------------------------
 *
 * interest.h
 *	  Topics for which someone wants a NOTIFY.
 *
 * A table of fixed size in each cache, hashed by topic hash.  An interest is
 * alive while sessions hold it, or until a moment that somebody asked for;
 * dead ones are unlinked now and then.  It bears the LSN of the topic's newest
 * event, and the name of the channel.  One bit for each says that it has to be
 * rung: "dirty".
 *
 * Channels: "chatroom_" and 32 hexadecimal digits, of a hash that is keyed by
 * the cluster's secret, of database, topic and the cache's channel epoch.  The
 * epoch begins at random; when it moves, all channels get other names, and the
 * notifier rings the old ones a last time, with an empty payload.
 *
 * An interest is counted for the role that linked it, which may have a share
 * of the table only.  Where there is no room, dead ones are looked for under
 * one stripe, shared, a stretch at a time, and a few of them are unlinked at
 * once: however large the table, nobody waits for a search through all of it.
 *
 * Locking: linking and unlinking take all the cache's stripes, which only the
 * first interest in a topic and the removal of dead ones do.  Everything else
 * goes with any one stripe, shared: finding an interest, taking part in one,
 * prolonging it (its counters are atomics).  A session that takes part in an
 * interest gives it back without any lock, also while it exits: an interest
 * that somebody holds stays where it is.  The tailer marks topics under the
 * hold of all stripes in which it appends their events, so it never waits on
 * account of interests but for a stripe that links one.
 *
 * The bits: the tailer sets an event's LSN, then the bit; the notifier clears
 * the bit, then reads the LSN.  It rings no LSN that is not "published" yet,
 * so who hears a doorbell finds the event.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_INTEREST_H
#define CHATROOM_INTEREST_H

#include "postgres.h"

#include "base/topics.h"
#include "cache/ring.h"

/* What a channel's name is made of, and its length. */
#define CHANNEL_BYTES		16
#define CHANNEL_PREFIX		"chatroom_"
#define CHANNEL_NAME_LEN	(sizeof(CHANNEL_PREFIX) - 1 + 2 * CHANNEL_BYTES)

typedef struct Channel
{
	uint8		topic[CHANNEL_BYTES];	/* keyed hash of database and topic */
	uint8		name[CHANNEL_BYTES];	/* and of that and the epoch */
	uint64		epoch;
} Channel;

/* No interest's index: there is no room, or none that is the role's. */
#define NO_INTEREST			PG_UINT32_MAX
#define INTEREST_QUOTA		(PG_UINT32_MAX - 1)

/* An interest that somebody wants to take part in. */
typedef struct InterestClaim
{
	uint64		hash;			/* of the topic */
	uint64		stems[TOPIC_STEMS]; /* of a free topic: see base/topics.h */
	Channel		channel;
	Oid			role;			/* whose it is */
	uint32		quota;			/* how many the role may have */
} InterestClaim;

extern Size chatroom_interest_bytes(uint32 ninterests);
extern void chatroom_interest_init(Cache *cache);

/* ---- names ---- */

/* The channel of a topic of this database, at the cache's epoch of now. */
extern void chatroom_topic_channel(Cache *cache, const char *topic, int len,
								   Channel *channel);
extern void chatroom_channel_text(const uint8 *name, char *text);

/*
 * Have all channels of this database named anew when the current transaction,
 * which takes from somebody what he may follow, commits.
 */
extern void chatroom_rename_channels_at_commit(void);

/* ---- sessions ---- */

/*
 * Take part in the interest in a topic, linking it if it isn't there: for this
 * session (give it back, then), or until a moment of the monotonic clock.
 * NO_INTEREST: the table is full; INTEREST_QUOTA: the role's share of it is.
 */
extern uint32 chatroom_interest_hold(Cache *cache,
									 const InterestClaim *claim);
extern uint32 chatroom_interest_keep(Cache *cache, const InterestClaim *claim,
									 uint64 keep_until);
extern void chatroom_interest_give_back(Cache *cache, uint32 index);

/* Has somebody an interest in a free topic that a label would take? */
extern bool chatroom_interest_taken(Cache *cache, const char *label);

/* Around a session's first and last hold: the notifier counts them. */
extern void chatroom_interest_enter(Cache *cache);
extern void chatroom_interest_leave(Cache *cache);

/* Have an interest rung that this session holds. */
extern void chatroom_interest_ring(Cache *cache, uint32 index);

/* ---- the tailer ---- */

extern bool chatroom_interest_mark(Cache *cache, uint64 hash,
								   XLogRecPtr lsn);

/*
 * Under all stripes, after an event of a topic: true where someone is
 * interested, so that the notifier has to be woken.
 */
static inline bool
chatroom_interest_published(Cache *cache, uint64 hash, XLogRecPtr lsn)
{
	return pg_atomic_read_u32(&cache->interested) > 0 &&
		chatroom_interest_mark(cache, hash, lsn);
}

/* Without a lock: something happened that is no topic's. */
extern bool chatroom_interest_mark_all(Cache *cache, XLogRecPtr lsn);

/* ---- the notifier ---- */

/* What is to be rung. */
typedef struct Doorbell
{
	uint32		index;
	Channel		channel;
	XLogRecPtr	lsn;
} Doorbell;

/* Who rings, for those who wake it: a process number, or PG_UINT32_MAX. */
extern void chatroom_interest_set_notifier(Cache *cache, uint32 procno);

/* Set the notifier's latch; false: there is none. */
extern bool chatroom_interest_wake(Cache *cache);

/* Sessions that hold an interest. */
extern uint32 chatroom_interest_sessions(Cache *cache);

/* Take up to n dirty ones; *ahead: some wait for "published" to move. */
extern int	chatroom_interest_collect(Cache *cache, Doorbell *bells, int n,
									  bool *ahead);

/* Those that were collected could not be rung. */
extern void chatroom_interest_put_back(Cache *cache, const Doorbell *bells,
									   int n);

/* All that an earlier notifier may have left half done. */
extern void chatroom_interest_mark_known(Cache *cache);

/*
 * Up to n channels, from *next on: those whose names are not of the epoch of
 * now, or all.
 */
extern int	chatroom_interest_collect_old(Cache *cache, bool all,
										  Doorbell *bells, int n,
										  uint32 *next);

/* Name those channels as the epoch of now wants it, and mark them. */
extern void chatroom_interest_rename(Cache *cache, const Doorbell *bells,
									 int n);

/* Unlink dead interests; returns the number of those alive. */
extern int	chatroom_interest_sweep(Cache *cache);

#endif							/* CHATROOM_INTEREST_H */
