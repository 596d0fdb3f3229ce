/*-------------------------------------------------------------------------
 *
 * shares.h
 *	  How much of a table in shared memory each role has.
 *
 * A table of fixed size that anybody may put entries into counts here whose
 * they are, so that nobody takes all of it from the others.  Locking is the
 * table's: exclusive to change a count, shared to read one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_SHARES_H
#define CHATROOM_SHARES_H

#include "postgres.h"

/* What a role has; units are whatever else entries take up. */
typedef struct Share
{
	Oid			role;
	uint32		next;			/* in its bucket, or the free list */
	uint32		entries;
	uint32		units;
} Share;

/* Shares of as many roles as the table has entries; more there can't be. */
typedef struct Shares
{
	uint32		nshares;
	uint32		nbuckets;		/* power of 2 */
	uint32		first_free;
} Shares;

extern Size chatroom_shares_bytes(uint32 nentries);
extern void chatroom_shares_init(Shares *shares, uint32 nentries);

/* What a role has now. */
extern Share chatroom_share_of(Shares *shares, Oid role);

/* An entry of a role's comes or goes, or takes up more or less. */
extern void chatroom_share_change(Shares *shares, Oid role, int entries,
								  int units);

/*
 * How many entries the current user may have, of so many; setting < 0: half of
 * them, and superusers all.
 */
extern uint32 chatroom_share_limit(int setting, uint32 nentries);

#endif							/* CHATROOM_SHARES_H */
