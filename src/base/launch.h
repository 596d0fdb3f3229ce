/*-------------------------------------------------------------------------
 *
 * launch.h
 *	  Having the workers started.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_LAUNCH_H
#define CHATROOM_LAUNCH_H

#include "postgres.h"

/* Registers the worker while the server starts; for _PG_init. */
extern void chatroom_register_boot_tailer(void);

/* Is all that is flushed published, and are cursors of now good? */
extern bool chatroom_tailer_running(void);

/*
 * Make sure that the tailer runs, starting it on first use; waits until it is
 * ready, at most timeout ms.  False where it isn't (stopped by the owner, no
 * worker slot free, recovery not far enough).
 */
extern bool chatroom_ensure_tailer(long timeout_ms);

/*
 * Ask the postmaster for a database's notifier, unless it is there or was
 * asked for; false: no worker slot is free.
 */
extern bool chatroom_launch_notifier(Oid dboid);

#endif							/* CHATROOM_LAUNCH_H */
