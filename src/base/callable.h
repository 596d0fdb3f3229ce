/*-------------------------------------------------------------------------
 *
 * callable.h
 *	  Functions that may be called by name from data.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_CALLABLE_H
#define CHATROOM_CALLABLE_H

#include "postgres.h"

/* The table of what chatroom.allow_call() allowed. */
extern Oid	chatroom_callable_table(void);

/* Has chatroom.allow_call() allowed a function to the current user? */
extern bool chatroom_is_callable(Oid function);

/*
 * Find a function by its name, alone or with arguments' types, as regproc and
 * regprocedure read them, and keep it from being dropped or renamed until the
 * transaction ends; InvalidOid, if that is wanted, where there is none.
 */
extern Oid	chatroom_named_function(const char *name, bool missing_ok);

#endif							/* CHATROOM_CALLABLE_H */
