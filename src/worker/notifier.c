/*-------------------------------------------------------------------------
 *
 * notifier.c
 *	  The worker that rings doorbells with NOTIFY.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "worker/notifier.h"

void
chatroom_start_notifiers(void)
{
}
