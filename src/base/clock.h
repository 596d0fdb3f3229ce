/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  Time that has passed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_CLOCK_H
#define CHATROOM_CLOCK_H

#include "postgres.h"

/* Microseconds of the monotonic clock, which all processes share. */
extern uint64 chatroom_monotonic_us(void);

/* Milliseconds since a moment of it. */
extern long chatroom_elapsed_ms(uint64 since);

/*
 * Sleep a little, for something that another process is about to do; until
 * the latch is set, at the latest.  Interrupts are handled.
 */
extern void chatroom_nap(long ms);

#endif							/* CHATROOM_CLOCK_H */
