/*-------------------------------------------------------------------------
 *
 * presence.c
 *	  Who is present, in each cache: a table of fixed size.
 *
 * See presence.h for the words and the locking.  Entries are found by topic,
 * and by topic and key, through two hash tables of doubly linked chains.
 * Their texts stand in chunks, of which there are so many that an entry may
 * have PRESENCE_TEXT bytes on average.
 *
 * What the tailer looks through all entries for, when leases end and which
 * entries a session has, stands in arrays of its own.
 *
 * A role has a share of entries, and half of the chunks or more, so that none
 * takes presence from the others.  For typing there is a 16th more, of all and
 * of each share: who fills up the rest doesn't stop that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/memory.h"
#include "base/message.h"
#include "base/topics.h"
#include "cache/interest.h"
#include "cache/presence.h"
#include "cache/shares.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"

#define CHUNK_TEXT		60		/* bytes of text in a chunk */
#define CHUNKS			4		/* chunks for each entry */
#define TYPING_CHUNKS	1		/* for one that is kept for typing */
#define TYPING_PART		16		/* one entry in so many is */

#define NONE			PG_UINT32_MAX

typedef struct Chunk
{
	uint32		next;			/* of the entry, or of the free ones */
	char		text[CHUNK_TEXT];
} Chunk;

typedef struct ChainLink
{
	uint32		next;
	uint32		prev;
} ChainLink;

typedef struct PresenceEntry
{
	uint64		id;				/* 0: free */
	uint64		ref;
	uint64		slot;			/* of a lease */
	uint64		seq;			/* order of coming */
	uint64		topic_hash;
	uint64		key_hash;		/* of topic and key */
	int64		ttl;			/* us; 0: a session's */
	XLogRecPtr	lsn;			/* of the newest message about it */
	XLogRecPtr	named;			/* as_of of the newest state that named it */
	ChainLink	by_topic;
	ChainLink	by_key;			/* next: also of the free list */
	uint32		next_leaving;
	uint32		chunk;			/* first one of topic, key and meta */
	uint16		topic_len;
	uint16		key_len;
	uint16		meta_len;
	bool		leaving;
} PresenceEntry;

/* Topics share this many counts of changes. */
#define CHANGE_STRIPES	1024

/* Its arrays follow it, in the order of the functions below. */
typedef struct PresenceTable
{
	LWLock		lock;
	uint32		nentries;
	uint32		reserve;		/* of them, for typing */
	uint32		nbuckets;		/* power of 2 */
	uint32		nchunks;
	/* all below under the lock: */
	bool		open;
	XLogRecPtr	applied;		/* messages up to here are folded in */
	uint64		last_seq;
	uint32		count;			/* entries, but for leaving ones */
	uint32		used;			/* no entry from here on was ever used */
	uint32		free_entry;
	uint32		free_chunk;
	uint32		free_chunks;	/* their number */
	uint32		free_entries;
	uint32		first_leaving;
	uint32		last_leaving;
	uint64		last_change;
	uint64		changes[CHANGE_STRIPES];	/* of topics, by hash */
	/* but for this: when the first lease ends, or before */
	pg_atomic_uint64 next_expiry;
} PresenceTable;

/* ------------------------------------------------------------- the layout */

#define TABLE_SIZE		MAXALIGN(sizeof(PresenceTable))

/* What typing may have beyond some room for all. */
static inline uint32
typing_reserve(uint32 room)
{
	return room / TYPING_PART;
}

static inline PresenceTable *
presence_table(Cache *cache)
{
	return (PresenceTable *) ((char *) cache + cache->presence_offset);
}

/* When leases end, in us of the monotonic clock; 0: no lease. */
static inline pg_atomic_uint64 *
expiries(PresenceTable *table)
{
	return (pg_atomic_uint64 *) ((char *) table + TABLE_SIZE);
}

/* The sessions of entries; 0: of none that lives. */
static inline uint64 *
sessions(PresenceTable *table)
{
	return (uint64 *) (expiries(table) + table->nentries);
}

static inline PresenceEntry *
entries(PresenceTable *table)
{
	return (PresenceEntry *) (sessions(table) + table->nentries);
}

static inline Chunk *
chunks(PresenceTable *table)
{
	return (Chunk *) (entries(table) + table->nentries);
}

static inline uint32 *
topic_buckets(PresenceTable *table)
{
	return (uint32 *) (chunks(table) + table->nchunks);
}

static inline uint32 *
key_buckets(PresenceTable *table)
{
	return topic_buckets(table) + table->nbuckets;
}

/* Who tracked an entry; InvalidOid: nobody. */
static inline Oid *
roles(PresenceTable *table)
{
	return (Oid *) (key_buckets(table) + table->nbuckets);
}

/* What roles have: of entries that are not leaving, and in units of chunks. */
static inline Shares *
role_shares(PresenceTable *table)
{
	return (Shares *) MAXALIGN(roles(table) + table->nentries);
}

/* Bytes of a table. */
Size
chatroom_presence_bytes(uint32 npresence)
{
	uint32		nentries = npresence + typing_reserve(npresence);
	Size		entry = sizeof(pg_atomic_uint64) + sizeof(uint64) +
		sizeof(PresenceEntry) + sizeof(Chunk) * CHUNKS + sizeof(Oid);

	return CACHELINEALIGN(MAXALIGN(TABLE_SIZE + entry * nentries +
								   2 * sizeof(uint32) *
								   pg_nextpower2_32(nentries)) +
						  chatroom_shares_bytes(nentries));
}

/* What is shown of a topic has changed. */
static void
note_change(PresenceTable *table, uint64 topic_hash)
{
	table->changes[topic_hash % CHANGE_STRIPES] = ++table->last_change;
}

/* Make the table empty. */
static void
clear_table(PresenceTable *table)
{
	for (uint64 i = 0; i < CHANGE_STRIPES; i++)
		note_change(table, i);
	table->applied = InvalidXLogRecPtr;
	table->count = table->used = 0;
	table->first_leaving = table->last_leaving = NONE;
	for (uint32 i = 0; i < table->nbuckets; i++)
		topic_buckets(table)[i] = key_buckets(table)[i] = NONE;
	for (uint32 i = 0; i < table->nentries; i++)
	{
		pg_atomic_write_u64(&expiries(table)[i], 0);
		sessions(table)[i] = 0;
		roles(table)[i] = InvalidOid;
		entries(table)[i].id = 0;
		entries(table)[i].by_key.next = i + 1 < table->nentries ? i + 1 : NONE;
	}
	for (uint32 i = 0; i < table->nchunks; i++)
		chunks(table)[i].next = i + 1 < table->nchunks ? i + 1 : NONE;
	table->free_entry = table->free_chunk = 0;
	table->free_chunks = table->nchunks;
	table->free_entries = table->nentries;
	chatroom_shares_init(role_shares(table), table->nentries);
	pg_atomic_write_u64(&table->next_expiry, PG_UINT64_MAX);
}

/* Lay out a new cache's table; all of it is zero. */
void
chatroom_presence_init(Cache *cache, int tranche)
{
	PresenceTable *table = presence_table(cache);

	LWLockInitialize(&table->lock, tranche);
	table->reserve = typing_reserve(cache->npresence);
	table->nentries = cache->npresence + table->reserve;
	table->nbuckets = pg_nextpower2_32(table->nentries);
	table->nchunks = table->nentries * CHUNKS;
	pg_atomic_init_u64(&table->next_expiry, PG_UINT64_MAX);
	for (uint32 i = 0; i < table->nentries; i++)
		pg_atomic_init_u64(&expiries(table)[i], 0);
	clear_table(table);
}

/* ----------------------------------------------------------------- chains */

/* Put an entry at the beginning of a chain. */
#define link_entry(table, bucket, index, field) \
	do \
	{ \
		PresenceEntry *all_ = entries(table); \
		all_[index].field.prev = NONE; \
		all_[index].field.next = *(bucket); \
		if (*(bucket) != NONE) \
			all_[*(bucket)].field.prev = index; \
		*(bucket) = index; \
	} while (0)

/* Take it out. */
#define unlink_entry(table, bucket, index, field) \
	do \
	{ \
		PresenceEntry *all_ = entries(table); \
		ChainLink	link_ = all_[index].field; \
		if (link_.prev == NONE) \
			*(bucket) = link_.next; \
		else \
			all_[link_.prev].field.next = link_.next; \
		if (link_.next != NONE) \
			all_[link_.next].field.prev = link_.prev; \
	} while (0)

static inline uint32 *
topic_bucket(PresenceTable *table, uint64 hash)
{
	return &topic_buckets(table)[hash & (table->nbuckets - 1)];
}

static inline uint32 *
key_bucket(PresenceTable *table, uint64 hash)
{
	return &key_buckets(table)[hash & (table->nbuckets - 1)];
}

/* ------------------------------------------------------------------ texts */

/* Chunks that hold so many bytes. */
static inline uint32
chunks_for(uint32 bytes)
{
	return (bytes + CHUNK_TEXT - 1) / CHUNK_TEXT;
}

static inline uint32
text_len(const PresenceEntry *entry)
{
	return entry->topic_len + entry->key_len + entry->meta_len;
}

/* Free an entry's chunks. */
static void
free_text(PresenceTable *table, PresenceEntry *entry)
{
	while (entry->chunk != NONE)
	{
		uint32		chunk = entry->chunk;

		entry->chunk = chunks(table)[chunk].next;
		chunks(table)[chunk].next = table->free_chunk;
		table->free_chunk = chunk;
		table->free_chunks++;
	}
}

/* Is there room for an item's texts, if those of an entry go? */
static bool
text_fits(const PresenceTable *table, const PresenceEntry *entry,
		  const PresenceItem *item)
{
	uint32		room = table->free_chunks;

	if (entry != NULL)
		room += chunks_for(text_len(entry));
	return chunks_for(item->topic.len + item->key.len + item->meta.len) <=
		room;
}

/* Set an entry's texts, which fit. */
static void
set_text(PresenceTable *table, PresenceEntry *entry, const PresenceItem *item)
{
	const Piece *pieces[] = {&item->topic, &item->key, &item->meta};
	uint32	   *link = &entry->chunk;
	uint32		at = CHUNK_TEXT;
	Chunk	   *chunk = NULL;

	free_text(table, entry);
	for (int i = 0; i < lengthof(pieces); i++)
		for (int done = 0; done < pieces[i]->len;)
		{
			uint32		n;

			if (at == CHUNK_TEXT)
			{
				*link = table->free_chunk;
				chunk = &chunks(table)[*link];
				table->free_chunk = chunk->next;
				table->free_chunks--;
				link = &chunk->next;
				at = 0;
			}
			n = Min(pieces[i]->len - done, CHUNK_TEXT - at);
			memcpy(chunk->text + at, pieces[i]->data + done, n);
			done += n;
			at += n;
		}
	*link = NONE;
	entry->topic_len = item->topic.len;
	entry->key_len = item->key.len;
	entry->meta_len = item->meta.len;
}

/* Copy an entry's texts from an offset on. */
static void
copy_text(PresenceTable *table, const PresenceEntry *entry, uint32 from,
		  char *to)
{
	uint32		len = text_len(entry);
	uint32		chunk = entry->chunk;

	for (uint32 at = 0; at < len; at += CHUNK_TEXT)
	{
		uint32		n = Min(len - at, CHUNK_TEXT);

		if (at + n > from)
		{
			uint32		skip = from > at ? from - at : 0;

			memcpy(to, chunks(table)[chunk].text + skip, n - skip);
			to += n - skip;
		}
		chunk = chunks(table)[chunk].next;
	}
}

/* Does a part of an entry's texts equal a piece of the same length? */
static bool
text_equals(PresenceTable *table, const PresenceEntry *entry, uint32 from,
			const Piece *piece)
{
	uint32		chunk = entry->chunk;
	uint32		at = 0;
	uint32		done = 0;

	while (done < (uint32) piece->len)
	{
		uint32		skip;
		uint32		n;

		for (; from + done >= at + CHUNK_TEXT; at += CHUNK_TEXT)
			chunk = chunks(table)[chunk].next;
		skip = from + done - at;
		n = Min(CHUNK_TEXT - skip, (uint32) piece->len - done);
		if (memcmp(chunks(table)[chunk].text + skip, piece->data + done,
				   n) != 0)
			return false;
		done += n;
	}
	return true;
}

/* ---------------------------------------------------------------- entries */

/* Where a topic's and a key's entries are. */
typedef struct Place
{
	uint64		topic_hash;
	uint64		key_hash;
} Place;

static Place
place_of(const Cache *cache, const Piece *topic, const Piece *key)
{
	Place		place;

	place.topic_hash = chatroom_topic_hash(cache, topic->data, topic->len);
	place.key_hash = key == NULL ? 0 :
		hash_bytes_extended((const unsigned char *) key->data, key->len,
							place.topic_hash);
	return place;
}

/* Is an entry of a topic, and (unless NULL) of a key? */
static bool
entry_is_of(PresenceTable *table, const PresenceEntry *entry, Place place,
			const Piece *topic, const Piece *key)
{
	return entry->topic_hash == place.topic_hash &&
		entry->topic_len == topic->len &&
		text_equals(table, entry, 0, topic) &&
		(key == NULL ||
		 (entry->key_hash == place.key_hash &&
		  entry->key_len == key->len &&
		  text_equals(table, entry, topic->len, key)));
}

/* The entry that a claim is about, if it is there. */
static uint32
find_claimed(PresenceTable *table, Place place, const PresenceClaim *claim)
{
	const PresenceItem *item = &claim->item;
	uint32		i;

	for (i = *key_bucket(table, place.key_hash); i != NONE;
		 i = entries(table)[i].by_key.next)
	{
		PresenceEntry *entry = &entries(table)[i];

		if (!entry->leaving &&
			(item->ttl > 0 ? entry->ttl > 0 && entry->slot == item->slot :
			 entry->ttl == 0 && sessions(table)[i] == claim->session) &&
			entry_is_of(table, entry, place, &item->topic, &item->key))
			break;
	}
	return i;
}

/* The entry with an id, among those of a place. */
static uint32
find_id(PresenceTable *table, Place place, uint64 id)
{
	uint32		i;

	for (i = *key_bucket(table, place.key_hash); i != NONE;
		 i = entries(table)[i].by_key.next)
		if (entries(table)[i].id == id)
			break;
	return i;
}

/* Have the tailer look for ended leases at a moment, or before. */
static void
expect_expiry(PresenceTable *table, uint64 moment)
{
	uint64		old = pg_atomic_read_u64(&table->next_expiry);

	while (moment < old &&
		   !pg_atomic_compare_exchange_u64(&table->next_expiry, &old, moment))
		;
}

/* Give a lease its full time. */
static void
renew(PresenceTable *table, uint32 index, int64 ttl)
{
	uint64		moment = chatroom_monotonic_us() + ttl;

	pg_atomic_write_u64(&expiries(table)[index], moment);
	expect_expiry(table, moment);
}

/* Enter an item for which there is room. */
static uint32
enter(PresenceTable *table, Place place, const PresenceItem *item)
{
	uint32		index = table->free_entry;
	PresenceEntry *entry = &entries(table)[index];

	table->free_entry = entry->by_key.next;
	table->free_entries--;
	table->used = Max(table->used, index + 1);
	table->count++;
	memset(entry, 0, sizeof(*entry));
	entry->id = item->id;
	entry->ref = item->ref;
	entry->slot = item->slot;
	entry->seq = ++table->last_seq;
	entry->topic_hash = place.topic_hash;
	entry->key_hash = place.key_hash;
	entry->ttl = item->ttl;
	entry->chunk = NONE;
	entry->next_leaving = NONE;
	set_text(table, entry, item);
	link_entry(table, topic_bucket(table, place.topic_hash), index, by_topic);
	link_entry(table, key_bucket(table, place.key_hash), index, by_key);
	roles(table)[index] = item->role;
	chatroom_share_change(role_shares(table), item->role, 1,
						  chunks_for(text_len(entry)));
	sessions(table)[index] = 0;
	pg_atomic_write_u64(&expiries(table)[index], 0);
	note_change(table, place.topic_hash);
	return index;
}

/* An entry is nobody's any more. */
static void
leave_share(PresenceTable *table, uint32 index)
{
	chatroom_share_change(role_shares(table), roles(table)[index], -1,
						  -(int) chunks_for(text_len(&entries(table)[index])));
}

/* An entry gets other texts, which fit. */
static void
change_text(PresenceTable *table, uint32 index, const PresenceItem *item)
{
	PresenceEntry *entry = &entries(table)[index];
	int			before = chunks_for(text_len(entry));

	set_text(table, entry, item);
	if (!entry->leaving)
		chatroom_share_change(role_shares(table), roles(table)[index], 0,
							  (int) chunks_for(text_len(entry)) - before);
}

/* Have the tailer tell that an entry has ended. */
static void
end_entry(PresenceTable *table, uint32 index)
{
	PresenceEntry *entry = &entries(table)[index];

	entry->leaving = true;
	leave_share(table, index);
	note_change(table, entry->topic_hash);
	table->count--;
	sessions(table)[index] = 0;
	pg_atomic_write_u64(&expiries(table)[index], 0);
	entry->next_leaving = NONE;
	if (table->last_leaving == NONE)
		table->first_leaving = index;
	else
		entries(table)[table->last_leaving].next_leaving = index;
	table->last_leaving = index;
}

/* Free an entry that is not leaving, or no longer in the list of those. */
static void
remove_entry(PresenceTable *table, uint32 index)
{
	PresenceEntry *entry = &entries(table)[index];

	unlink_entry(table, topic_bucket(table, entry->topic_hash), index,
				 by_topic);
	unlink_entry(table, key_bucket(table, entry->key_hash), index, by_key);
	if (!entry->leaving)
		leave_share(table, index);
	free_text(table, entry);
	if (!entry->leaving)
	{
		note_change(table, entry->topic_hash);
		table->count--;
	}
	sessions(table)[index] = 0;
	roles(table)[index] = InvalidOid;
	pg_atomic_write_u64(&expiries(table)[index], 0);
	entry->id = 0;
	entry->by_key.next = table->free_entry;
	table->free_entry = index;
	table->free_entries++;
}

/* --------------------------------------------------------------- sessions */

/* Is a claim's meta that of an entry already? */
static bool
same_meta(PresenceTable *table, const PresenceEntry *entry,
		  const PresenceItem *item)
{
	return entry->meta_len == item->meta.len &&
		text_equals(table, entry, entry->topic_len + entry->key_len,
					&item->meta);
}

/*
 * Nothing but a renewal, as most calls are where many type: for which a shared
 * lock is enough.
 */
static bool
only_renew(PresenceTable *table, Place place, PresenceClaim *claim)
{
	uint32		index;
	bool		found = false;

	LWLockAcquire(&table->lock, LW_SHARED);
	if (table->open &&
		(index = find_claimed(table, place, claim)) != NONE)
	{
		PresenceEntry *entry = &entries(table)[index];

		if (entry->ttl == claim->item.ttl &&
			same_meta(table, entry, &claim->item))
		{
			claim->item.id = entry->id;
			claim->item.ref = entry->ref;
			if (entry->ttl > 0)
				renew(table, index, entry->ttl);
			found = true;
		}
	}
	LWLockRelease(&table->lock);
	return found;
}

/* Log what is told of a claim; the buffer has room for it. */
static XLogRecPtr
log_claim(StringInfo buf, PresenceAction action, const PresenceClaim *claim)
{
	PresenceMessage message = {0};

	message.action = action;
	message.at = claim->at;
	message.origin = claim->origin;
	chatroom_encode_presence(buf, &message);
	chatroom_encode_presence_item(buf, &claim->item);
	return chatroom_log(MESSAGE_PRESENCE, buf->data, buf->len, false);
}

/* Bytes of a claim's texts. */
static inline uint32
claim_len(const PresenceClaim *claim)
{
	return claim->item.topic.len + claim->item.key.len + claim->item.meta.len;
}

/* Is a claim one of typing? */
static inline bool
is_typing(const PresenceClaim *claim)
{
	return claim->item.ttl > 0 && claim->item.slot == PRESENCE_SLOT_TYPING;
}

/* Would a role have more than its share with so much more? */
static bool
share_exceeded(PresenceTable *table, const PresenceClaim *claim, Oid role,
			   int more_entries, int more_chunks)
{
	Share		share = chatroom_share_of(role_shares(table), role);
	uint64		quota = claim->quota;
	uint64		chunk_quota = Max(quota * CHUNKS, table->nchunks / 2);

	if (quota >= table->nentries - table->reserve)
		return false;
	if (is_typing(claim))
	{
		quota += typing_reserve(quota);
		chunk_quota += typing_reserve(chunk_quota);
	}
	return (more_entries > 0 && share.entries + more_entries > quota) ||
		(more_chunks > 0 && share.units + more_chunks > chunk_quota);
}

/* An entry is tracked again: its ttl, and where it differs its meta. */
static PresenceResult
change_entry(PresenceTable *table, uint32 index, PresenceClaim *claim,
			 StringInfo buf, XLogRecPtr *lsn)
{
	PresenceEntry *entry = &entries(table)[index];
	PresenceItem *item = &claim->item;
	PresenceResult result = PRESENCE_RENEWED;

	item->id = entry->id;
	if (same_meta(table, entry, item))
		item->ref = entry->ref;
	else if (share_exceeded(table, claim, roles(table)[index], 0,
							(int) chunks_for(claim_len(claim)) -
							(int) chunks_for(text_len(entry))))
	{
		item->role = roles(table)[index];
		return PRESENCE_QUOTA;
	}
	else if (!text_fits(table, entry, item))
		return PRESENCE_TEXT_FULL;
	else
	{
		item->prev_ref = entry->ref;
		*lsn = log_claim(buf, PRESENCE_UPDATE, claim);
		entry->ref = item->ref;
		entry->lsn = *lsn;
		change_text(table, index, item);
		note_change(table, entry->topic_hash);
		result = PRESENCE_TOLD;
	}
	entry->ttl = item->ttl;
	if (entry->ttl > 0)
		renew(table, index, entry->ttl);
	return result;
}

/* Is there room for a new entry, but for what is kept for typing? */
static PresenceResult
check_room(PresenceTable *table, const PresenceClaim *claim)
{
	uint32		reserve = is_typing(claim) ? 0 : table->reserve;
	uint32		needed = chunks_for(claim_len(claim));

	if (share_exceeded(table, claim, claim->item.role, 1, needed))
		return PRESENCE_QUOTA;
	if (table->free_entries <= reserve)
		return PRESENCE_FULL;
	if (table->free_chunks < needed + reserve * TYPING_CHUNKS)
		return PRESENCE_TEXT_FULL;
	return PRESENCE_TOLD;
}

/* An entry comes. */
static PresenceResult
add_entry(PresenceTable *table, Place place, PresenceClaim *claim,
		  StringInfo buf, XLogRecPtr *lsn)
{
	PresenceResult result = check_room(table, claim);
	uint32		index;

	if (result != PRESENCE_TOLD)
		return result;
	*lsn = log_claim(buf, PRESENCE_JOIN, claim);
	index = enter(table, place, &claim->item);
	entries(table)[index].lsn = *lsn;
	if (claim->item.ttl > 0)
		renew(table, index, claim->item.ttl);
	else
		sessions(table)[index] = claim->session;
	return PRESENCE_TOLD;
}

/* Track an entry; see presence.h. */
PresenceResult
chatroom_presence_track(Cache *cache, PresenceClaim *claim, XLogRecPtr *lsn)
{
	PresenceTable *table = presence_table(cache);
	Place		place = place_of(cache, &claim->item.topic, &claim->item.key);
	StringInfoData buf;
	PresenceResult result;
	uint32		index;

	*lsn = InvalidXLogRecPtr;
	if (only_renew(table, place, claim))
		return PRESENCE_RENEWED;

	/* make room now: nothing is allocated under the lock */
	initStringInfo(&buf);
	chatroom_start_message(&buf);
	enlargeStringInfo(&buf, PRESENCE_ITEM_ROOM + PRESENCE_ITEM_OVERHEAD +
					  Max(claim->origin.len, 0));
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	if (!table->open)
		result = PRESENCE_CLOSED;
	else if ((index = find_claimed(table, place, claim)) != NONE)
		result = change_entry(table, index, claim, &buf, lsn);
	else
		result = add_entry(table, place, claim, &buf, lsn);
	LWLockRelease(&table->lock);
	pfree(buf.data);
	return result;
}

/* End the entries of a key that are a session's, or leases. */
bool
chatroom_presence_untrack(Cache *cache, const Piece *topic, const Piece *key,
						  uint64 session)
{
	PresenceTable *table = presence_table(cache);
	Place		place = place_of(cache, topic, key);
	bool		ended = false;

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (uint32 i = *key_bucket(table, place.key_hash);
		 i != NONE && table->open; i = entries(table)[i].by_key.next)
	{
		PresenceEntry *entry = &entries(table)[i];

		if (entry->leaving ||
			(entry->ttl == 0 && sessions(table)[i] != session) ||
			!entry_is_of(table, entry, place, topic, key))
			continue;
		end_entry(table, i);
		ended = true;
	}
	LWLockRelease(&table->lock);
	return ended;
}

/* End a lease, if it is there; mostly it isn't. */
bool
chatroom_presence_end_lease(Cache *cache, const Piece *topic,
							const Piece *key, uint64 slot)
{
	PresenceTable *table = presence_table(cache);
	PresenceClaim claim = {0};
	Place		place = place_of(cache, topic, key);
	uint32		index;

	claim.item.topic = *topic;
	claim.item.key = *key;
	claim.item.slot = slot;
	claim.item.ttl = 1;			/* any: it is a lease */
	LWLockAcquire(&table->lock, LW_SHARED);
	index = table->open ? find_claimed(table, place, &claim) : NONE;
	LWLockRelease(&table->lock);
	if (index == NONE)
		return false;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	index = table->open ? find_claimed(table, place, &claim) : NONE;
	if (index != NONE)
		end_entry(table, index);
	LWLockRelease(&table->lock);
	return index != NONE;
}

/* End all entries of a session. */
bool
chatroom_presence_end_session(Cache *cache, uint64 session)
{
	PresenceTable *table = presence_table(cache);
	bool		ended = false;

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < table->used; i++)
		if (sessions(table)[i] == session)
		{
			end_entry(table, i);
			ended = true;
		}
	LWLockRelease(&table->lock);
	return ended;
}

/* End all entries of a topic, or (unless NULL) of a key there. */
bool
chatroom_presence_end_all(Cache *cache, const Piece *topic, const Piece *key)
{
	PresenceTable *table = presence_table(cache);
	Place		place = place_of(cache, topic, key);
	bool		ended = false;
	uint32		next;

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	next = key != NULL ? *key_bucket(table, place.key_hash) :
		*topic_bucket(table, place.topic_hash);
	while (next != NONE && table->open)
	{
		uint32		index = next;
		PresenceEntry *entry = &entries(table)[index];

		next = key != NULL ? entry->by_key.next : entry->by_topic.next;
		if (entry->leaving || !entry_is_of(table, entry, place, topic, key))
			continue;
		end_entry(table, index);
		ended = true;
	}
	LWLockRelease(&table->lock);
	return ended;
}

/* End all entries of the topics whose names begin so. */
bool
chatroom_presence_end_under(Cache *cache, const Piece *start)
{
	PresenceTable *table = presence_table(cache);
	bool		ended = false;

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < table->used && table->open; i++)
	{
		PresenceEntry *entry = &entries(table)[i];

		if (entry->id == 0 || entry->leaving ||
			entry->topic_len < start->len ||
			!text_equals(table, entry, 0, start))
			continue;
		end_entry(table, i);
		ended = true;
	}
	LWLockRelease(&table->lock);
	return ended;
}

/*
 * Copy the entries of a topic into a buffer, while they fit; returns the bytes
 * that all of them take.
 */
static Size
copy_topic(PresenceTable *table, Place place, const Piece *topic,
		   StringInfo copies, int *n)
{
	Size		needed = 0;

	*n = 0;
	copies->len = 0;
	for (uint32 i = *topic_bucket(table, place.topic_hash); i != NONE;
		 i = entries(table)[i].by_topic.next)
	{
		PresenceEntry *entry = &entries(table)[i];
		PresenceCopy copy;
		Size		size;

		if (entry->leaving || !entry_is_of(table, entry, place, topic, NULL))
			continue;
		size = MAXALIGN(sizeof(copy) + entry->key_len + entry->meta_len);
		needed += size;
		if (needed > copies->maxlen)
			continue;
		copy.ref = entry->ref;
		copy.seq = entry->seq;
		copy.key_len = entry->key_len;
		copy.meta_len = entry->meta_len;
		memcpy(copies->data + copies->len, &copy, sizeof(copy));
		copy_text(table, entry, entry->topic_len,
				  copies->data + copies->len + sizeof(copy));
		copies->len += size;
		(*n)++;
	}
	return needed;
}

/* Who is present on a topic; see presence.h. */
int
chatroom_presence_of_topic(Cache *cache, const Piece *topic,
						   StringInfo copies, uint64 *changes)
{
	PresenceTable *table = presence_table(cache);
	Place		place = place_of(cache, topic, NULL);

	for (;;)
	{
		int			n;
		Size		needed;

		LWLockAcquire(&table->lock, LW_SHARED);
		needed = copy_topic(table, place, topic, copies, &n);
		*changes = table->changes[place.topic_hash % CHANGE_STRIPES];
		LWLockRelease(&table->lock);
		if (needed <= copies->maxlen)
			return n;
		copies->len = 0;
		enlargeStringInfo(copies, needed + needed / 8);
	}
}

/* What tells whether a topic has changed; see presence.h. */
uint64
chatroom_presence_changes(Cache *cache, const Piece *topic)
{
	PresenceTable *table = presence_table(cache);
	Place		place = place_of(cache, topic, NULL);
	uint64		changes;

	LWLockAcquire(&table->lock, LW_SHARED);
	changes = table->changes[place.topic_hash % CHANGE_STRIPES];
	LWLockRelease(&table->lock);
	return changes;
}

/* Is somebody present on a topic that a label would take? */
bool
chatroom_presence_taken(Cache *cache, const char *label)
{
	PresenceTable *table = presence_table(cache);
	char		topic[CHATROOM_MAX_TOPIC];
	bool		taken = false;

	LWLockAcquire(&table->lock, LW_SHARED);
	for (uint32 i = 0; i < table->used && !taken; i++)
	{
		PresenceEntry *entry = &entries(table)[i];
		PresenceEntry only_topic = *entry;

		if (entry->id == 0 || entry->leaving ||
			entry->topic_len > sizeof(topic))
			continue;
		only_topic.key_len = only_topic.meta_len = 0;
		copy_text(table, &only_topic, 0, topic);
		taken = chatroom_label_takes(label, topic, entry->topic_len);
	}
	LWLockRelease(&table->lock);
	return taken;
}

/* Entries that are there. */
uint32
chatroom_presence_count(Cache *cache)
{
	return presence_table(cache)->count;
}

/* ---------------------------------------------------- the tailer: the fold */

/* An item came, or has another meta. */
static void
apply_item(Cache *cache, PresenceTable *table, const PresenceMessage *message,
		   const PresenceItem *item, XLogRecPtr lsn)
{
	Place		place = place_of(cache, &item->topic, &item->key);
	uint32		index = find_id(table, place, item->id);
	PresenceEntry *entry = index == NONE ? NULL : &entries(table)[index];

	/* of a state all that came later has been read already */
	if (message->action == PRESENCE_STATE)
		lsn = message->as_of;
	if (entry == NULL)
	{
		/* a standby may have less room: it shows what it can */
		if (table->free_entry == NONE || !text_fits(table, NULL, item))
			return;
		index = enter(table, place, item);
		entry = &entries(table)[index];
		entry->lsn = lsn;
	}
	else if (entry->lsn < lsn)
	{
		if (text_fits(table, entry, item))
			change_text(table, index, item);
		entry->ref = item->ref;
		entry->ttl = item->ttl;
		entry->lsn = lsn;
		note_change(table, entry->topic_hash);
	}
	if (message->action == PRESENCE_STATE)
		entry->named = message->as_of;
}

/* Fold a message into a table that is not open. */
void
chatroom_presence_apply(Cache *cache, const PresenceMessage *message,
						XLogRecPtr lsn)
{
	PresenceTable *table = presence_table(cache);

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	if (!table->open && lsn > table->applied)
	{
		for (int i = 0; i < message->nitems; i++)
		{
			const PresenceItem *item = &message->items[i];

			if (message->action != PRESENCE_LEAVE)
				apply_item(cache, table, message, item, lsn);
			else
			{
				Place		place = place_of(cache, &item->topic, &item->key);
				uint32		index = find_id(table, place, item->id);

				/* one that is leaving is told of, and freed, by the list */
				if (index != NONE && !entries(table)[index].leaving)
					remove_entry(table, index);
			}
		}
		table->applied = lsn;
	}
	LWLockRelease(&table->lock);
}

/* What a state did not name, and came before, leaves; see presence.h. */
void
chatroom_presence_sweep(Cache *cache, XLogRecPtr as_of, XLogRecPtr lsn)
{
	PresenceTable *table = presence_table(cache);

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	if (!table->open && lsn > table->applied)
	{
		for (uint32 i = 0; i < table->used; i++)
		{
			PresenceEntry *entry = &entries(table)[i];

			if (entry->id == 0 || entry->leaving || entry->lsn > as_of ||
				entry->named == as_of)
				continue;
			end_entry(table, i);
		}
		table->applied = lsn;
	}
	LWLockRelease(&table->lock);
}

/* Have sessions write from now on; see presence.h. */
void
chatroom_presence_open(Cache *cache)
{
	PresenceTable *table = presence_table(cache);

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < table->used && !table->open; i++)
	{
		PresenceEntry *entry = &entries(table)[i];

		if (entry->id == 0 || entry->leaving)
			continue;
		if (entry->ttl > 0)
			renew(table, i, entry->ttl);
		else
			end_entry(table, i);
	}
	table->open = true;
	LWLockRelease(&table->lock);
}

bool
chatroom_presence_is_open(Cache *cache)
{
	return presence_table(cache)->open;
}

/* The cache is given up: who has it mapped writes into it no more. */
void
chatroom_presence_close(Cache *cache)
{
	PresenceTable *table = presence_table(cache);

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	table->open = false;
	clear_table(table);
	LWLockRelease(&table->lock);
}

/* -------------------------------------------- the tailer: what it tells of */

/* End leases that have run out; see presence.h. */
uint64
chatroom_presence_expire(Cache *cache, uint64 now)
{
	PresenceTable *table = presence_table(cache);
	uint64		next = PG_UINT64_MAX;
	bool		ended = false;

	if (!table->open)
		return PG_UINT64_MAX;
	if (pg_atomic_read_u64(&table->next_expiry) > now)
		return pg_atomic_read_u64(&table->next_expiry);

	/* who renews from now on says so */
	pg_atomic_exchange_u64(&table->next_expiry, PG_UINT64_MAX);
	LWLockAcquire(&table->lock, LW_SHARED);
	for (uint32 i = 0; i < table->used; i++)
	{
		uint64		moment = pg_atomic_read_u64(&expiries(table)[i]);

		if (moment != 0 && moment <= now)
			ended = true;
		else if (moment != 0)
			next = Min(next, moment);
	}
	LWLockRelease(&table->lock);
	if (ended)
	{
		LWLockAcquire(&table->lock, LW_EXCLUSIVE);
		for (uint32 i = 0; i < table->used; i++)
		{
			uint64		moment = pg_atomic_read_u64(&expiries(table)[i]);

			if (moment != 0 && moment <= now)
				end_entry(table, i);
		}
		LWLockRelease(&table->lock);
	}
	expect_expiry(table, next);
	return next;
}

/* Append an entry as item; the scratch space holds its texts. */
static void
encode_entry(PresenceTable *table, uint32 index, char *scratch,
			 StringInfo buf)
{
	PresenceEntry *entry = &entries(table)[index];
	PresenceItem item = {0};

	copy_text(table, entry, 0, scratch);
	item.id = entry->id;
	item.ref = entry->ref;
	item.slot = entry->slot;
	item.ttl = entry->ttl;
	item.role = roles(table)[index];
	item.topic.data = scratch;
	item.topic.len = entry->topic_len;
	item.key.data = item.topic.data + item.topic.len;
	item.key.len = entry->key_len;
	item.meta.data = item.key.data + item.key.len;
	item.meta.len = entry->meta_len;
	chatroom_encode_presence_item(buf, &item);
}

/* Has the buffer room for any item? */
static inline bool
has_room(StringInfo buf)
{
	return buf->maxlen - buf->len > PRESENCE_ITEM_ROOM;
}

/*
 * Does anybody leave?  Read without lock: who ends entries wakes the tailer
 * afterwards, which looks again.
 */
bool
chatroom_presence_anybody_leaves(Cache *cache)
{
	return presence_table(cache)->first_leaving != NONE;
}

/* Encode items that leave; see presence.h. */
int
chatroom_presence_leaving(Cache *cache, StringInfo buf,
						  PresenceHandle *handles, int n)
{
	PresenceTable *table = presence_table(cache);
	char	   *scratch;
	int			taken = 0;

	scratch = palloc(PRESENCE_ITEM_ROOM);
	LWLockAcquire(&table->lock, LW_SHARED);
	for (uint32 i = table->first_leaving;
		 i != NONE && taken < n && has_room(buf);
		 i = entries(table)[i].next_leaving)
	{
		encode_entry(table, i, scratch, buf);
		handles[taken].index = i;
		handles[taken].id = entries(table)[i].id;
		taken++;
	}
	LWLockRelease(&table->lock);
	pfree(scratch);
	return taken;
}

/* They were told: free them, who are the first of those that leave. */
void
chatroom_presence_forget(Cache *cache, const PresenceHandle *handles, int n)
{
	PresenceTable *table = presence_table(cache);

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
	{
		uint32		index = table->first_leaving;

		if (index != handles[i].index ||
			entries(table)[index].id != handles[i].id)
			break;
		table->first_leaving = entries(table)[index].next_leaving;
		if (table->first_leaving == NONE)
			table->last_leaving = NONE;
		remove_entry(table, index);
	}
	LWLockRelease(&table->lock);
}

/* Encode items of the state; see presence.h. */
int
chatroom_presence_state(Cache *cache, StringInfo buf, uint32 *next)
{
	PresenceTable *table = presence_table(cache);
	char	   *scratch = palloc(PRESENCE_ITEM_ROOM);
	int			taken = 0;

	LWLockAcquire(&table->lock, LW_SHARED);
	for (; *next < table->used && has_room(buf); (*next)++)
		if (entries(table)[*next].id != 0)
		{
			encode_entry(table, *next, scratch, buf);
			taken++;
		}
	LWLockRelease(&table->lock);
	pfree(scratch);
	return taken;
}
