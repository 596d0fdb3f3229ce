/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  Time that has passed.
 *
 * By the monotonic clock: somebody who sets the time must neither prolong nor
 * cut short what is waited for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/latch.h"

/* Microseconds of the monotonic clock; see clock.h. */
uint64
chatroom_monotonic_us(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (uint64) INSTR_TIME_GET_MICROSEC(now);
}

/* Milliseconds since a moment. */
long
chatroom_elapsed_ms(uint64 since)
{
	return (long) ((chatroom_monotonic_us() - since) / 1000);
}

/* Sleep a little; see clock.h. */
void
chatroom_nap(long ms)
{
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
