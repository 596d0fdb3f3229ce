/*-------------------------------------------------------------------------
 *
 * identity.h
 *	  Who the caller is in chat.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_IDENTITY_H
#define CHATROOM_IDENTITY_H

#include "postgres.h"

/*
 * The user that the caller acts for: as said with act_as() or acting_for, else
 * the claims' "sub".  NULL: nobody in particular.  Good until the transaction
 * ends, or an acting_for does.
 */
extern const char *chatroom_acts_for(void);

/*
 * The caller's username: that of above, else the session's role.  NULL where
 * chatroom.claims is set and the claims name nobody, and in the server's
 * security-restricted operations (ANALYZE and its like).
 */
extern const char *chatroom_identity(void);

/* The same where one is needed: raises 42501 for NULL. */
extern const char *chatroom_require_identity(void);

/* Moves whenever act_as() or acting_for may have changed the answers. */
extern uint64 chatroom_identity_changes(void);

/*
 * An argument acting_for: from now on to the call's end (until
 * chatroom_acting_done), the caller acts for that user; NULL changes nothing.
 * Raises 42501 where it has not the right to execute chatroom.act_as().  An
 * error ends it, too; the end of a transaction does not, for calls may outlive
 * some.
 */
extern void chatroom_acting_for(const text *username);
extern void chatroom_acting_done(void);

#endif							/* CHATROOM_IDENTITY_H */
