/*-------------------------------------------------------------------------
 *
 * duration.c
 *	  Intervals that callers give as durations.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/duration.h"
#include "utils/timestamp.h"

/* Longest duration, in days: a hundred years. */
#define MAX_DAYS	36500

/* Microseconds of an interval; see duration.h. */
int64
chatroom_duration(const Interval *interval, const char *name)
{
	int64		days;
	int64		total;

	if (ChatroomIntervalInfinite(interval))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be infinite", name)));

	/* both sums are far from 64 bits' ends */
	days = (int64) interval->month * DAYS_PER_MONTH + interval->day +
		interval->time / USECS_PER_DAY;
	if (days > MAX_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is too long", name),
				 errdetail("It may be a hundred years at most.")));
	if (days < -MAX_DAYS)
		total = -1;
	else
		total = days * USECS_PER_DAY + interval->time % USECS_PER_DAY;
	if (total < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", name)));
	return total;
}
