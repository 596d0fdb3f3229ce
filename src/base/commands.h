/*-------------------------------------------------------------------------
 *
 * commands.h
 *	  Being told of commands that give back what a session holds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_COMMANDS_H
#define CHATROOM_COMMANDS_H

#include "postgres.h"

/*
 * What to do after DISCARD ALL, or else UNLISTEN, of a channel or, with NULL,
 * of all.
 */
typedef void (*CommandListener) (bool discard, const char *channel);

/* Have it called from now on, in this process; once for each listener. */
extern void chatroom_listen_to_commands(CommandListener listener);

#endif							/* CHATROOM_COMMANDS_H */
