/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  Time that has passed.
 *
 * By the monotonic clock: somebody who sets the time must neither prolong nor
 * cut short what is waited for.  Not by instr_time, whose zero and unit are a
 * process's own where it reads the CPU's counter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "base/clock.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"

/* Microseconds of the monotonic clock; see clock.h. */
uint64
chatroom_monotonic_us(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
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
