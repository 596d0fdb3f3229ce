/*-------------------------------------------------------------------------
 *
 * descriptors.h
 *	  Descriptors of the events that this process has logged.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_DESCRIPTORS_H
#define CHATROOM_DESCRIPTORS_H

#include "postgres.h"

#include "base/event.h"

/* Remember a descriptor, by its encoded body. */
extern void chatroom_remember_descriptor(uint64 id, const char *body,
										 int len);

/* The descriptor of an event of this process; NULL: not remembered. */
extern const Descriptor *chatroom_recall_descriptor(uint64 id);

#endif							/* CHATROOM_DESCRIPTORS_H */
