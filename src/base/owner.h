/*-------------------------------------------------------------------------
 *
 * owner.h
 *	  Doing something with the rights of a table's owner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_OWNER_H
#define CHATROOM_OWNER_H

#include "postgres.h"

/* What is done as the owner: it runs a statement of ours. */
typedef void (*OwnersWork) (void *arg);

/*
 * Do some work as a role, exempt from the policies of its own tables.  The
 * statement that the work runs, if it does, is not shown in the CONTEXT of
 * errors.
 */
extern void chatroom_as_owner(Oid owner, const char *statement,
							  OwnersWork work, void *arg);

/* The same for an error that was caught. */
extern void chatroom_hide_statement(ErrorData *error, const char *statement);

/*
 * Restrict what is done from now on to the end of the subtransaction, as
 * PostgreSQL does where it runs somebody's code for somebody else.
 */
extern void chatroom_restrict(void);

/*
 * Set search_path such that it finds nothing that users made, until
 * AtEOXact_GUC(true, what this returns).
 */
extern int	chatroom_pin_search_path(void);

#endif							/* CHATROOM_OWNER_H */
