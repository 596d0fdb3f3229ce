/*-------------------------------------------------------------------------
 *
 * notifier.h
 *	  The worker that rings doorbells with NOTIFY.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_NOTIFIER_H
#define CHATROOM_NOTIFIER_H

#include "postgres.h"

#include "cache/ring.h"

/* The tailer: start the notifiers of databases where someone listens. */
extern void chatroom_start_notifiers(void);

/*
 * The tailer, after "published" moved over news that someone is interested
 * in: wake the notifier of the database in this slot, or want one.
 */
extern void chatroom_wake_notifier(Cache *cache, int slot);

#endif							/* CHATROOM_NOTIFIER_H */
