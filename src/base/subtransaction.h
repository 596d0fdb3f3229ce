/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *	  Doing something in a subtransaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_SUBTRANSACTION_H
#define CHATROOM_SUBTRANSACTION_H

#include "postgres.h"

/* What is to be done; false: roll it back, though it raised no error. */
typedef bool (*SubtransactionWork) (void *arg);

/*
 * Do some work in a subtransaction, in the current memory context, which that
 * of the caller stays.  True: it is kept, false: rolled back.  Then *error
 * tells of the error that was raised, NULL if there was none; where error is
 * NULL it is raised again, once the subtransaction has ended.
 */
extern bool chatroom_subtransaction(SubtransactionWork work, void *arg,
									ErrorData **error);

#endif							/* CHATROOM_SUBTRANSACTION_H */
