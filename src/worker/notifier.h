/*-------------------------------------------------------------------------
 *
 * notifier.h
 *	  The worker that rings doorbells with NOTIFY.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_NOTIFIER_H
#define CHATROOM_NOTIFIER_H

/* The tailer: start the notifiers of databases where someone listens. */
extern void chatroom_start_notifiers(void);

#endif							/* CHATROOM_NOTIFIER_H */
