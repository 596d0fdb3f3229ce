/*-------------------------------------------------------------------------
 *
 * acting.h
 *	  Acting for a user: the argument acting_for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_ACTING_H
#define CHATROOM_ACTING_H

#include "postgres.h"

/*
 * The caller wants to act for a user in this transaction; NULL: for nobody.
 * Raises 42501 where it has not the right to execute chatroom.act_as().
 */
extern void chatroom_acting_for(const text *username);

#endif							/* CHATROOM_ACTING_H */
