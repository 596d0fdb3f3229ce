/*-------------------------------------------------------------------------
 *
 * judging.h
 *	  Running what users defined to learn what it says, and for nothing else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_JUDGING_H
#define CHATROOM_JUDGING_H

#include "postgres.h"

/* What is run; it leaves its answer in memory that the caller made. */
typedef void (*JudgingWork) (void *arg);

/*
 * Run some work that evaluates policies, such that nothing of what they do
 * lasts.  Returns NULL, or the error that it ended with.
 */
extern ErrorData *chatroom_judge(JudgingWork work, void *arg);

/* Is an error one that must end the call, whatever it happened in? */
extern bool chatroom_ends_call(const ErrorData *error);

/*
 * Is this a security-restricted operation, and not for being judged here?
 * Then nobody's identity may be used.
 */
extern bool chatroom_in_maintenance(void);

/* Raise 42501 in a security-restricted operation, judging included. */
extern void chatroom_refuse_restricted(const char *what);

#endif							/* CHATROOM_JUDGING_H */
