/*-------------------------------------------------------------------------
 *
 * shares.c
 *	  How much of a table in shared memory each role has.
 *
 * Counts by role, in a hash table of chains, so that to enter something costs
 * the same however much there is.  See shares.h for the locking.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/shares.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"

#define NONE			PG_UINT32_MAX
#define HEAD_SIZE		MAXALIGN(sizeof(Shares))

static inline Share *
share_array(Shares *shares)
{
	return (Share *) ((char *) shares + HEAD_SIZE);
}

static inline uint32 *
share_bucket(Shares *shares, Oid role)
{
	uint32	   *buckets = (uint32 *) (share_array(shares) + shares->nshares);

	return &buckets[murmurhash32(role) & (shares->nbuckets - 1)];
}

/* Bytes for the roles of so many entries. */
Size
chatroom_shares_bytes(uint32 nentries)
{
	return MAXALIGN(HEAD_SIZE + sizeof(Share) * nentries +
					sizeof(uint32) * pg_nextpower2_32(nentries));
}

/* Nobody has anything. */
void
chatroom_shares_init(Shares *shares, uint32 nentries)
{
	Share	   *array;
	uint32	   *buckets;

	shares->nshares = nentries;
	shares->nbuckets = pg_nextpower2_32(nentries);
	shares->first_free = 0;
	array = share_array(shares);
	for (uint32 i = 0; i < nentries; i++)
		array[i].next = i + 1 < nentries ? i + 1 : NONE;
	buckets = (uint32 *) (array + nentries);
	for (uint32 i = 0; i < shares->nbuckets; i++)
		buckets[i] = NONE;
}

/* The link that leads to a role's share, or to none. */
static uint32 *
find_link(Shares *shares, Oid role)
{
	uint32	   *link = share_bucket(shares, role);

	while (*link != NONE && share_array(shares)[*link].role != role)
		link = &share_array(shares)[*link].next;
	return link;
}

/* What a role has now. */
Share
chatroom_share_of(Shares *shares, Oid role)
{
	uint32		index = *find_link(shares, role);
	Share		nothing = {role};

	return index != NONE ? share_array(shares)[index] : nothing;
}

/* An entry of a role's comes or goes, or takes up more or less. */
void
chatroom_share_change(Shares *shares, Oid role, int entries, int units)
{
	uint32	   *link;
	Share	   *share;

	if (!OidIsValid(role))
		return;
	link = find_link(shares, role);
	if (*link == NONE)
	{
		uint32		index = shares->first_free;

		Assert(index != NONE && entries > 0);
		share = &share_array(shares)[index];
		shares->first_free = share->next;
		share->role = role;
		share->next = NONE;
		share->entries = share->units = 0;
		*link = index;
	}
	share = &share_array(shares)[*link];
	share->entries += entries;
	share->units += units;
	if (share->entries == 0)
	{
		uint32		index = *link;

		*link = share->next;
		share->next = shares->first_free;
		shares->first_free = index;
	}
}

/* How many entries the current user may have; see shares.h. */
uint32
chatroom_share_limit(int setting, uint32 nentries)
{
	if (setting >= 0)
		return (uint32) setting;
	return superuser() ? PG_UINT32_MAX : nentries / 2;
}
