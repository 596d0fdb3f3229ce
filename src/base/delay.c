/*-------------------------------------------------------------------------
 *
 * delay.c
 *	  Delays that bring races about, in builds made for that alone.
 *
 * They sleep whatever happens meanwhile: a process that is late doesn't hear
 * its latch either.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/delay.h"

#ifdef CHATROOM_DELAYS

#include "common/pg_prng.h"

/* The most that each kind takes, in us; and of how many one sleeps. */
static const struct
{
	uint32		most;
	uint32		one_of;
}			delays[] = {
	[DELAY_TURN] = {20000, 8},
	[DELAY_START] = {300000, 1},
	[DELAY_END] = {50000, 1}
};

/* Sleep for a while; see delay.h. */
void
chatroom_delay(DelayKind kind)
{
	static bool seeded = false;
	static pg_prng_state state;

	/* not the process' own state: a postmaster's children share its seed */
	if (!seeded)
	{
		pg_prng_seed(&state, (uint64) getpid() ^ (uint64) time(NULL) << 32);
		seeded = true;
	}
	if (pg_prng_uint32(&state) % delays[kind].one_of != 0)
		return;
	pg_usleep(pg_prng_uint32(&state) % delays[kind].most);
}

#endif
