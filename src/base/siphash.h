/*-------------------------------------------------------------------------
 *
 * siphash.h
 *	  SipHash-2-4: a short keyed hash that only who has the key can make.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_SIPHASH_H
#define CHATROOM_SIPHASH_H

#include "postgres.h"

typedef struct SipKey
{
	uint64		low;
	uint64		high;
} SipKey;

/* Of two words, low byte first, and the bytes that follow them. */
extern uint64 chatroom_siphash(const SipKey *key, uint64 first, uint64 second,
							   const char *data, Size len);

#endif							/* CHATROOM_SIPHASH_H */
