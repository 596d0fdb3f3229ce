/*-------------------------------------------------------------------------
 *
 * emit.h
 *	  What the rest of src/write uses of the emit trigger.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_EMIT_H
#define CHATROOM_EMIT_H

#include "postgres.h"

#include "base/event.h"

/* Log, with this transaction, that completeness of a watch's topics ends. */
extern void chatroom_log_reset(const char *base, ResetReason reason);

/* The same, of base's own topics: base, base:* and base.*. */
extern void chatroom_log_own_reset(const char *base, ResetReason reason);

/* The same for all topics of the database. */
extern void chatroom_log_database_reset(ResetReason reason);

#endif							/* CHATROOM_EMIT_H */
