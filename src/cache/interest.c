/*-------------------------------------------------------------------------
 *
 * interest.c
 *	  Topics for which someone wants a NOTIFY.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/interest.h"

Size
chatroom_interest_bytes(uint32 ninterests)
{
	return 0;
}

void
chatroom_interest_init(Cache *cache)
{
}

bool
chatroom_interest_published(Cache *cache, uint64 hash, XLogRecPtr lsn)
{
	return false;
}
