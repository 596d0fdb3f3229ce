/*-------------------------------------------------------------------------
 *
 * altered.h
 *	  What ALTER changes of what is kept in triggers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_ALTERED_H
#define CHATROOM_ALTERED_H

#include "postgres.h"

#include "nodes/nodes.h"

/* Are there holders of anything? */
extern bool chatroom_anything_held(void);

/* After a command: what was taken down for it is put up again. */
extern void chatroom_finish_alter(Node *statement);

/* After ALTER TYPE ... RENAME VALUE: lists of values follow. */
extern void chatroom_follow_enum(Node *statement);

#endif							/* CHATROOM_ALTERED_H */
