/*-------------------------------------------------------------------------
 *
 * policies.c
 *	  Row-level security on events.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "read/access.h"

void
chatroom_apply_policies(Oid relid, RingEvent **events, int n,
						Verdict *verdicts)
{
	for (int i = 0; i < n; i++)
		if (events[i]->relid == relid)
			verdicts[i] = VERDICT_WITHHOLD;
}
