/*-------------------------------------------------------------------------
 *
 * presence.h
 *	  Who is present.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_READ_PRESENCE_H
#define CHATROOM_READ_PRESENCE_H

#include "postgres.h"

#include "lib/stringinfo.h"

/*
 * Append who is present on a topic, as presence() tells it: an object of
 * {"metas": […]} by key, sorted by key, "{}" where nobody is, or no worker.
 * Checks nothing: the caller has found that its user may see the topic.
 *
 * It is at least as new as any cursor that was taken before, and events that
 * it has heard of already may come again: they change nothing in it.
 */
extern void chatroom_presence_json(StringInfo buf, const char *topic,
								   int len);

#endif							/* CHATROOM_READ_PRESENCE_H */
