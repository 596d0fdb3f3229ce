/*-------------------------------------------------------------------------
 *
 * presence.h
 *	  Coming and going.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_WRITE_PRESENCE_H
#define CHATROOM_WRITE_PRESENCE_H

#include "postgres.h"

/*
 * A user has said what it was typing: its typing entry on a room's topic ends,
 * if there is one.  Checks nothing, never raises an error, and costs a look
 * into memory; at once, whatever becomes of the transaction.
 */
extern void chatroom_end_typing(const char *topic, int topic_len,
								const char *username, int username_len);

/*
 * When the transaction commits, whatever is present on a topic as a key (NULL:
 * as any) leaves: a member was removed, or the room.
 */
extern void chatroom_end_presence_at_commit(const char *topic,
											const char *key);

/*
 * The same of all rooms of a prefix: they are gone, or have other topics.  It
 * is told by the topics' base of its table "rooms"; of another, nothing is
 * done.
 */
extern void chatroom_end_prefix_at_commit(const char *base);

#endif							/* CHATROOM_WRITE_PRESENCE_H */
