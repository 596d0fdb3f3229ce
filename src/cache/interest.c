/*-------------------------------------------------------------------------
 *
 * interest.c
 *	  Topics for which someone wants a NOTIFY.
 *
 * See interest.h for the locking.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/memory.h"
#include "cache/interest.h"
#include "cache/ring.h"
#include "cache/shares.h"
#include "catalog/pg_control.h"
#include "common/hmac.h"
#include "common/pg_prng.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/resowner.h"

/* An interest; (X): written under all stripes. */
typedef struct Interest
{
	uint64		hash;			/* (X) of the topic; 0: unused */
	uint32		next;			/* (X) in its bucket, or the free list */
	pg_atomic_uint32 sessions;	/* that hold it */
	pg_atomic_uint64 keep_until;	/* us of the monotonic clock */
	pg_atomic_uint64 published; /* LSN of the newest event; only grows */
	pg_atomic_uint64 stems[TOPIC_STEMS];	/* of a free topic; 0: none */
	Oid			role;			/* (X) that linked it */
	Channel		channel;		/* (X) made; written by the notifier */
} Interest;

/* Entries that are looked at under one hold of a stripe, in a search. */
#define STRETCH			4096

/* Dead ones that are unlinked under one hold of all stripes. */
#define MOST_UNLINKED	64

/* Its arrays follow it: buckets, entries, dirty bits, roles' shares. */
typedef struct InterestTable
{
	uint32		nbuckets;		/* power of 2 */
	uint32		first_free;		/* (X) */
	pg_atomic_uint32 hand;		/* where the search for dead ones goes on */
	pg_atomic_uint32 notifier;	/* process number; PG_UINT32_MAX: none */
	pg_atomic_uint32 sessions;	/* that hold any */
} InterestTable;

#define TABLE_SIZE		MAXALIGN(sizeof(InterestTable))

/* ------------------------------------------------------------- the layout */

static inline InterestTable *
interest_table(Cache *cache)
{
	return (InterestTable *) ((char *) cache + cache->interest_offset);
}

static inline uint32 *
interest_buckets(InterestTable *table)
{
	return (uint32 *) ((char *) table + TABLE_SIZE);
}

static inline Interest *
interest_entries(InterestTable *table)
{
	return (Interest *) ((char *) table + TABLE_SIZE +
						 MAXALIGN(sizeof(uint32) * table->nbuckets));
}

static inline pg_atomic_uint64 *
interest_bits(Cache *cache, InterestTable *table)
{
	return (pg_atomic_uint64 *) (interest_entries(table) + cache->ninterests);
}

static inline Shares *
interest_shares(Cache *cache, InterestTable *table)
{
	return (Shares *) (interest_bits(cache, table) +
					   (cache->ninterests + 63) / 64);
}

static inline uint32 *
interest_bucket(InterestTable *table, uint64 hash)
{
	return &interest_buckets(table)[hash & (table->nbuckets - 1)];
}

/* Bytes that the table takes. */
Size
chatroom_interest_bytes(uint32 ninterests)
{
	return TABLE_SIZE +
		MAXALIGN(sizeof(uint32) * pg_nextpower2_32(ninterests)) +
		sizeof(Interest) * ninterests +
		sizeof(pg_atomic_uint64) * ((ninterests + 63) / 64) +
		chatroom_shares_bytes(ninterests);
}

/* Lay out the table. */
void
chatroom_interest_init(Cache *cache)
{
	InterestTable *table = interest_table(cache);
	Interest   *entries;
	pg_atomic_uint64 *bits;
	uint64		epoch;

	table->nbuckets = pg_nextpower2_32(cache->ninterests);
	pg_atomic_init_u32(&table->notifier, PG_UINT32_MAX);
	pg_atomic_init_u32(&table->sessions, 0);
	pg_atomic_init_u32(&table->hand, 0);
	for (uint32 i = 0; i < table->nbuckets; i++)
		interest_buckets(table)[i] = NO_INTEREST;

	entries = interest_entries(table);
	table->first_free = 0;
	for (uint32 i = 0; i < cache->ninterests; i++)
	{
		entries[i].hash = 0;
		entries[i].next = i + 1 < cache->ninterests ? i + 1 : NO_INTEREST;
		pg_atomic_init_u32(&entries[i].sessions, 0);
		pg_atomic_init_u64(&entries[i].keep_until, 0);
		pg_atomic_init_u64(&entries[i].published, 0);
		for (int j = 0; j < TOPIC_STEMS; j++)
			pg_atomic_init_u64(&entries[i].stems[j], 0);
	}
	chatroom_shares_init(interest_shares(cache, table), cache->ninterests);
	bits = interest_bits(cache, table);
	for (uint32 i = 0; i < (cache->ninterests + 63) / 64; i++)
		pg_atomic_init_u64(&bits[i], 0);

	/* a name that someone knows of before must not come back */
	if (!pg_strong_random(&epoch, sizeof(epoch)))
		epoch = pg_prng_uint64(&pg_global_prng_state);
	pg_atomic_write_u64(&cache->channel_epoch, epoch);
}

/* ------------------------------------------------------------------- names */

/* A keyed hash of two pieces, its first CHANNEL_BYTES. */
static void
keyed_hash(const char *purpose, const void *piece, Size piece_len,
		   const void *text, Size len, uint8 *result)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	ResourceOwner owner = NULL;
	pg_hmac_ctx *ctx;

	/* hashing wants a resource owner; a worker may have none */
	if (CurrentResourceOwner == NULL)
		CurrentResourceOwner = owner = ResourceOwnerCreate(NULL,
														   "chatroom channel");
	ctx = pg_hmac_create(PG_SHA256);
	if (ctx == NULL ||
		pg_hmac_init(ctx, (const uint8 *) GetMockAuthenticationNonce(),
					 MOCK_AUTH_NONCE_LEN) < 0 ||
		pg_hmac_update(ctx, (const uint8 *) purpose,
					   strlen(purpose) + 1) < 0 ||
		pg_hmac_update(ctx, piece, piece_len) < 0 ||
		pg_hmac_update(ctx, text, len) < 0 ||
		pg_hmac_final(ctx, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute HMAC: %s", pg_hmac_error(ctx));
	pg_hmac_free(ctx);
	if (owner != NULL)
	{
		CurrentResourceOwner = NULL;
		ResourceOwnerDelete(owner);
	}
	memcpy(result, digest, CHANNEL_BYTES);
}

/* Name a channel whose topic is known, at the epoch of now. */
static void
name_channel(Cache *cache, Channel *channel)
{
	channel->epoch = pg_atomic_read_u64(&cache->channel_epoch);
	keyed_hash("chatroom channel", &channel->epoch, sizeof(channel->epoch),
			   channel->topic, CHANNEL_BYTES, channel->name);
}

/* The channel of a topic of this database, at the epoch of now. */
void
chatroom_topic_channel(Cache *cache, const char *topic, int len,
					   Channel *channel)
{
	keyed_hash("chatroom topic", &cache->dboid, sizeof(cache->dboid),
			   topic, len, channel->topic);
	name_channel(cache, channel);
}

/* A channel's name as text, into CHANNEL_NAME_LEN + 1 bytes. */
void
chatroom_channel_text(const uint8 *name, char *text)
{
	static const char digits[] = "0123456789abcdef";

	memcpy(text, CHANNEL_PREFIX, sizeof(CHANNEL_PREFIX) - 1);
	text += sizeof(CHANNEL_PREFIX) - 1;
	for (int i = 0; i < CHANNEL_BYTES; i++)
	{
		*text++ = digits[name[i] >> 4];
		*text++ = digits[name[i] & 0x0f];
	}
	*text = '\0';
}

/* Have all channels of this database named anew. */
static void
rename_channels(Cache *cache)
{
	pg_atomic_fetch_add_u64(&cache->channel_epoch, 1);
	(void) chatroom_interest_wake(cache);
}

/* Do the database's channels get new names when this transaction commits? */
static bool rename_at_commit = false;

/* At the end of a transaction that took something away. */
static void
revocation_ended(XactEvent event, void *arg)
{
	Cache	   *cache;
	bool		current;

	if (!rename_at_commit)
		return;
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
	{
		cache = chatroom_mapped_cache(&current);
		if (cache != NULL)
			rename_channels(cache);
	}
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE ||
		event == XACT_EVENT_ABORT)
		rename_at_commit = false;
}

/* Who may no longer follow a topic must not guess its channel's next name. */
void
chatroom_rename_channels_at_commit(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(revocation_ended, NULL);
		registered = true;
	}
	chatroom_attach_control();
	(void) chatroom_my_cache();
	rename_at_commit = true;
}

/* ---------------------------------------------------------- marking topics */

/* Find a topic's interest; under some stripe. */
static uint32
find_interest(InterestTable *table, uint64 hash)
{
	uint32		index = *interest_bucket(table, hash);

	while (index != NO_INTEREST && interest_entries(table)[index].hash != hash)
		index = interest_entries(table)[index].next;
	return index;
}

/* Say that an interest has to be rung for something at lsn. */
static void
mark_interest(Cache *cache, InterestTable *table, uint32 index,
			  XLogRecPtr lsn)
{
	Interest   *entry = &interest_entries(table)[index];
	uint64		old = pg_atomic_read_u64(&entry->published);

	while (old < lsn &&
		   !pg_atomic_compare_exchange_u64(&entry->published, &old, lsn))
		;
	/* a full barrier: whoever clears the bit reads the LSN afterwards */
	pg_atomic_fetch_or_u64(&interest_bits(cache, table)[index / 64],
						   UINT64CONST(1) << (index % 64));
}

/* An event of a topic was published; under all stripes. */
bool
chatroom_interest_mark(Cache *cache, uint64 hash, XLogRecPtr lsn)
{
	InterestTable *table = interest_table(cache);
	uint32		index = find_interest(table, hash);

	if (index == NO_INTEREST)
		return false;
	mark_interest(cache, table, index, lsn);
	return true;
}

/* Something happened that is no topic's: ring them all. */
bool
chatroom_interest_mark_all(Cache *cache, XLogRecPtr lsn)
{
	InterestTable *table = interest_table(cache);
	LWLock	   *stripe = chatroom_stripe(cache);
	bool		any = false;

	if (pg_atomic_read_u32(&cache->interested) == 0)
		return false;
	LWLockAcquire(stripe, LW_SHARED);
	for (uint32 i = 0; i < cache->ninterests; i++)
		if (interest_entries(table)[i].hash != 0)
		{
			mark_interest(cache, table, i, lsn);
			any = true;
		}
	LWLockRelease(stripe);
	return any;
}

/* ------------------------------------------------------- taking part in it */

/* Is an interest of no use to anybody any more? */
static bool
interest_dead(Interest *entry, uint64 now)
{
	return entry->hash != 0 &&
		pg_atomic_read_u32(&entry->sessions) == 0 &&
		pg_atomic_read_u64(&entry->keep_until) <= now;
}

/* Take part in an interest that is linked; under some stripe. */
static void
join_interest(InterestTable *table, uint32 index, const InterestClaim *claim,
			  uint64 keep_until)
{
	Interest   *entry = &interest_entries(table)[index];
	uint64		old;

	/* a label's topic may have become a free one meanwhile */
	for (int i = 0; i < TOPIC_STEMS; i++)
		if (claim->stems[i] != 0)
			pg_atomic_write_u64(&entry->stems[i], claim->stems[i]);
	if (keep_until == 0)
	{
		pg_atomic_fetch_add_u32(&entry->sessions, 1);
		return;
	}
	old = pg_atomic_read_u64(&entry->keep_until);
	while (old < keep_until &&
		   !pg_atomic_compare_exchange_u64(&entry->keep_until, &old,
										   keep_until))
		;
}

/* Unlink an interest; under all stripes. */
static void
unlink_interest(Cache *cache, InterestTable *table, uint32 index)
{
	Interest   *entry = &interest_entries(table)[index];
	uint32	   *link = interest_bucket(table, entry->hash);

	while (*link != index)
		link = &interest_entries(table)[*link].next;
	*link = entry->next;
	entry->hash = 0;
	entry->next = table->first_free;
	table->first_free = index;
	pg_atomic_fetch_and_u64(&interest_bits(cache, table)[index / 64],
							~(UINT64CONST(1) << (index % 64)));
	pg_atomic_fetch_sub_u32(&cache->interested, 1);
	chatroom_share_change(interest_shares(cache, table), entry->role, -1, 0);
}

/* Look for dead interests in the next stretch; returns how many. */
static int
find_dead(Cache *cache, InterestTable *table, uint32 *found)
{
	LWLock	   *stripe = chatroom_stripe(cache);
	uint64		now = chatroom_monotonic_us();
	uint32		hand = pg_atomic_read_u32(&table->hand);
	uint32		last = Min(hand + STRETCH, cache->ninterests);
	int			n = 0;

	LWLockAcquire(stripe, LW_SHARED);
	for (; hand < last && n < MOST_UNLINKED; hand++)
		if (interest_dead(&interest_entries(table)[hand], now))
			found[n++] = hand;
	LWLockRelease(stripe);
	pg_atomic_write_u32(&table->hand, hand < cache->ninterests ? hand : 0);
	return n;
}

/* Unlink some dead interests, if there are; returns whether there were. */
static bool
unlink_dead(Cache *cache, InterestTable *table)
{
	uint32		found[MOST_UNLINKED];
	uint64		now;
	int			n = 0;
	int			unlinked = 0;

	/* other searches may move the hand, too: this only looks less far then */
	for (uint32 seen = 0; seen <= cache->ninterests && n == 0;
		 seen += STRETCH)
		n = find_dead(cache, table, found);
	if (n == 0)
		return false;
	chatroom_cache_lock(cache);
	now = chatroom_monotonic_us();
	for (int i = 0; i < n; i++)
		if (interest_dead(&interest_entries(table)[found[i]], now))
		{
			unlink_interest(cache, table, found[i]);
			unlinked++;
		}
	chatroom_cache_unlock(cache);
	return unlinked > 0;
}

/*
 * Link a new interest; under all stripes.  NO_INTEREST, INTEREST_QUOTA: there
 * is no room for it.
 */
static uint32
link_interest(Cache *cache, InterestTable *table, const InterestClaim *claim,
			  const Channel *channel)
{
	Shares	   *shares = interest_shares(cache, table);
	uint32		index = table->first_free;
	uint32	   *bucket = interest_bucket(table, claim->hash);
	Interest   *entry;

	if (chatroom_share_of(shares, claim->role).entries >= claim->quota)
		return INTEREST_QUOTA;
	if (index == NO_INTEREST)
		return NO_INTEREST;
	entry = &interest_entries(table)[index];
	table->first_free = entry->next;
	entry->hash = claim->hash;
	entry->next = *bucket;
	entry->channel = *channel;
	entry->role = claim->role;
	pg_atomic_write_u32(&entry->sessions, 0);
	pg_atomic_write_u64(&entry->keep_until, 0);
	pg_atomic_write_u64(&entry->published, 0);
	for (int i = 0; i < TOPIC_STEMS; i++)
		pg_atomic_write_u64(&entry->stems[i], 0);
	*bucket = index;
	pg_atomic_fetch_add_u32(&cache->interested, 1);
	chatroom_share_change(shares, claim->role, 1, 0);
	return index;
}

/* Take part in an interest that others keep alive; NO_INTEREST: none is. */
static uint32
join_living(Cache *cache, const InterestClaim *claim, uint64 keep_until)
{
	InterestTable *table = interest_table(cache);
	LWLock	   *stripe = chatroom_stripe(cache);
	uint64		now = chatroom_monotonic_us();
	uint32		index;

	LWLockAcquire(stripe, LW_SHARED);
	index = find_interest(table, claim->hash);
	if (index != NO_INTEREST &&
		interest_dead(&interest_entries(table)[index], now))
		index = NO_INTEREST;
	if (index != NO_INTEREST)
		join_interest(table, index, claim, keep_until);
	LWLockRelease(stripe);
	return index;
}

/* Take part in an interest, linking it unless it lives. */
static uint32
join_or_link(Cache *cache, const InterestClaim *claim, uint64 keep_until)
{
	InterestTable *table = interest_table(cache);
	Channel		name = claim->channel;
	uint32		index;

	chatroom_cache_lock(cache);
	/* the notifier renames what it finds linked: link no older name */
	while (name.epoch != pg_atomic_read_u64(&cache->channel_epoch))
	{
		chatroom_cache_unlock(cache);
		name_channel(cache, &name);
		chatroom_cache_lock(cache);
	}
	index = find_interest(table, claim->hash);
	if (index != NO_INTEREST &&
		interest_dead(&interest_entries(table)[index],
					  chatroom_monotonic_us()))
	{
		/* whoever had it: from now on it is this role's */
		unlink_interest(cache, table, index);
		index = NO_INTEREST;
	}
	if (index == NO_INTEREST)
		index = link_interest(cache, table, claim, &name);
	if (index < INTEREST_QUOTA)
		join_interest(table, index, claim, keep_until);
	chatroom_cache_unlock(cache);
	return index;
}

/* Take part in the interest in a topic; keep_until 0: for this session. */
static uint32
take_part(Cache *cache, const InterestClaim *claim, uint64 keep_until)
{
	uint32		index = join_living(cache, claim, keep_until);

	while (index == NO_INTEREST)
	{
		index = join_or_link(cache, claim, keep_until);
		if (index < INTEREST_QUOTA ||
			!unlink_dead(cache, interest_table(cache)))
			break;
		index = NO_INTEREST;
	}
	return index;
}

/* For this session. */
uint32
chatroom_interest_hold(Cache *cache, const InterestClaim *claim)
{
	return take_part(cache, claim, 0);
}

/* Until a moment. */
uint32
chatroom_interest_keep(Cache *cache, const InterestClaim *claim,
					   uint64 keep_until)
{
	return take_part(cache, claim, keep_until);
}

/* Is there a living interest in a free topic with this stem, from *next on? */
static bool
find_stem(Cache *cache, uint64 stem, uint32 *next)
{
	Interest   *entries = interest_entries(interest_table(cache));
	LWLock	   *stripe = chatroom_stripe(cache);
	uint64		now = chatroom_monotonic_us();
	uint32		last = Min(*next + STRETCH, cache->ninterests);
	bool		found = false;

	LWLockAcquire(stripe, LW_SHARED);
	for (; *next < last && !found; (*next)++)
	{
		if (entries[*next].hash == 0 || interest_dead(&entries[*next], now))
			continue;
		for (int i = 0; i < TOPIC_STEMS; i++)
			if (pg_atomic_read_u64(&entries[*next].stems[i]) == stem)
				found = true;
	}
	LWLockRelease(stripe);
	return found;
}

/* Has somebody an interest in a topic that a label would take? */
bool
chatroom_interest_taken(Cache *cache, const char *label)
{
	uint64		stem = chatroom_topic_hash(cache, label, strlen(label));
	uint32		next = 0;

	while (next < cache->ninterests)
	{
		if (find_stem(cache, stem, &next))
			return true;
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

/* Give back what chatroom_interest_hold took. */
void
chatroom_interest_give_back(Cache *cache, uint32 index)
{
	InterestTable *table = interest_table(cache);

	pg_atomic_fetch_sub_u32(&interest_entries(table)[index].sessions, 1);
}

/* A session is about to hold its first interest. */
void
chatroom_interest_enter(Cache *cache)
{
	pg_atomic_fetch_add_u32(&interest_table(cache)->sessions, 1);
}

/* It has given back its last; the notifier may be needed no more. */
void
chatroom_interest_leave(Cache *cache)
{
	if (pg_atomic_fetch_sub_u32(&interest_table(cache)->sessions, 1) == 1)
		(void) chatroom_interest_wake(cache);
}

/* Have an interest rung that this session holds. */
void
chatroom_interest_ring(Cache *cache, uint32 index)
{
	mark_interest(cache, interest_table(cache), index,
				  pg_atomic_read_u64(&cache->published));
	(void) chatroom_interest_wake(cache);
}

/* ------------------------------------------------------------ the notifier */

/* Say who rings. */
void
chatroom_interest_set_notifier(Cache *cache, uint32 procno)
{
	pg_atomic_write_u32(&interest_table(cache)->notifier, procno);
	pg_memory_barrier();
}

/* Set its latch; false: there is none. */
bool
chatroom_interest_wake(Cache *cache)
{
	uint32		procno = pg_atomic_read_u32(&interest_table(cache)->notifier);

	if (procno >= (uint32) ProcGlobal->allProcCount)
		return false;
	SetLatch(&ProcGlobal->allProcs[procno].procLatch);
	return true;
}

/* How many sessions hold an interest? */
uint32
chatroom_interest_sessions(Cache *cache)
{
	return pg_atomic_read_u32(&interest_table(cache)->sessions);
}

/* Take up to n dirty interests. */
int
chatroom_interest_collect(Cache *cache, Doorbell *bells, int n, bool *ahead)
{
	InterestTable *table = interest_table(cache);
	pg_atomic_uint64 *bits = interest_bits(cache, table);
	LWLock	   *stripe = chatroom_stripe(cache);
	XLogRecPtr	published;
	int			taken = 0;

	*ahead = false;
	published = pg_atomic_read_u64(&cache->published);
	LWLockAcquire(stripe, LW_SHARED);
	for (uint32 word = 0; word < (cache->ninterests + 63) / 64; word++)
	{
		uint64		set = pg_atomic_read_u64(&bits[word]);

		while (set != 0 && taken < n)
		{
			int			bit = pg_rightmost_one_pos64(set);
			uint64		mask = UINT64CONST(1) << bit;
			Interest   *entry = &interest_entries(table)[word * 64 + bit];
			XLogRecPtr	lsn;

			set &= ~mask;
			pg_atomic_fetch_and_u64(&bits[word], ~mask);
			if (entry->hash == 0)
				continue;
			lsn = pg_atomic_read_u64(&entry->published);
			if (lsn > published)
			{
				/* readers would not find it yet; the tailer wakes us again */
				pg_atomic_fetch_or_u64(&bits[word], mask);
				*ahead = true;
				continue;
			}
			if (lsn == InvalidXLogRecPtr)
				continue;
			bells[taken].index = word * 64 + bit;
			bells[taken].channel = entry->channel;
			bells[taken].lsn = lsn;
			taken++;
		}
	}
	LWLockRelease(stripe);
	return taken;
}

/* Those that were collected could not be rung: mark them again. */
void
chatroom_interest_put_back(Cache *cache, const Doorbell *bells, int n)
{
	InterestTable *table = interest_table(cache);

	/* a bit too many, of an interest unlinked meanwhile, does no harm */
	for (int i = 0; i < n; i++)
		mark_interest(cache, table, bells[i].index, 0);
}

/* Mark all topics that had events: an earlier notifier may have taken some. */
void
chatroom_interest_mark_known(Cache *cache)
{
	InterestTable *table = interest_table(cache);
	LWLock	   *stripe = chatroom_stripe(cache);

	LWLockAcquire(stripe, LW_SHARED);
	for (uint32 i = 0; i < cache->ninterests; i++)
	{
		Interest   *entry = &interest_entries(table)[i];

		if (entry->hash != 0 && pg_atomic_read_u64(&entry->published) != 0)
			mark_interest(cache, table, i, 0);
	}
	LWLockRelease(stripe);
}

/* Take up to n channels whose names are not of the epoch of now, or all. */
int
chatroom_interest_collect_old(Cache *cache, bool all, Doorbell *bells, int n,
							  uint32 *next)
{
	InterestTable *table = interest_table(cache);
	LWLock	   *stripe = chatroom_stripe(cache);
	uint64		epoch = pg_atomic_read_u64(&cache->channel_epoch);
	int			taken = 0;

	LWLockAcquire(stripe, LW_SHARED);
	for (; *next < cache->ninterests && taken < n; (*next)++)
	{
		Interest   *entry = &interest_entries(table)[*next];

		if (entry->hash == 0 || (!all && entry->channel.epoch == epoch))
			continue;
		bells[taken].index = *next;
		bells[taken].channel = entry->channel;
		bells[taken].lsn = pg_atomic_read_u64(&entry->published);
		taken++;
	}
	LWLockRelease(stripe);
	return taken;
}

/*
 * Name those channels as the epoch of now wants it, and mark those that had
 * events.  A shared stripe is enough to write names: only we read them.
 */
void
chatroom_interest_rename(Cache *cache, const Doorbell *bells, int n)
{
	InterestTable *table = interest_table(cache);
	LWLock	   *stripe = chatroom_stripe(cache);

	for (int i = 0; i < n; i++)
	{
		Interest   *entry = &interest_entries(table)[bells[i].index];
		Channel		channel = bells[i].channel;

		name_channel(cache, &channel);
		LWLockAcquire(stripe, LW_SHARED);
		if (entry->hash != 0 &&
			memcmp(entry->channel.topic, channel.topic, CHANNEL_BYTES) == 0)
		{
			entry->channel = channel;
			if (bells[i].lsn != 0)
				mark_interest(cache, table, bells[i].index, 0);
		}
		LWLockRelease(stripe);
	}
}

/* Unlink dead interests, if there are; returns the number of those left. */
int
chatroom_interest_sweep(Cache *cache)
{
	while (unlink_dead(cache, interest_table(cache)))
		CHECK_FOR_INTERRUPTS();
	return (int) pg_atomic_read_u32(&cache->interested);
}
