/*-------------------------------------------------------------------------
 *
 * delay.h
 *	  Delays that bring races about, in builds made for that alone.
 *
 * Where another process may do something between two of ours, and tests would
 * hardly ever see it, stands CHATROOM_DELAY(kind).  It is nothing, unless
 * built with -DCHATROOM_DELAYS, as make test-delays does.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_DELAY_H
#define CHATROOM_DELAY_H

#include "postgres.h"

/* How long one of them takes. */
typedef enum DelayKind
{
	DELAY_TURN,					/* now and then some ms: loops, commits */
	DELAY_START,				/* each time some 100 ms: a process' start */
	DELAY_END					/* each time some 10 ms: a process' end */
} DelayKind;

#ifdef CHATROOM_DELAYS
#define CHATROOM_DELAY(kind)	chatroom_delay(kind)

/* Sleep for a while, chosen at random; no lock may be held. */
extern void chatroom_delay(DelayKind kind);
#else
#define CHATROOM_DELAY(kind)	((void) 0)
#endif

#endif							/* CHATROOM_DELAY_H */
