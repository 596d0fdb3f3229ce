/*-------------------------------------------------------------------------
 *
 * presence.h
 *	  Who may be tracked on a topic, and who may see it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_BASE_PRESENCE_H
#define CHATROOM_BASE_PRESENCE_H

#include "postgres.h"

#include "base/event.h"

/*
 * May the caller see who is present on a topic, or (with a key) track that key
 * there?  Raises 22023 for a text that can't be a topic, 42939 for a table's
 * topic, 3F000 for a room of no prefix, P0002 for one that the caller can't
 * see, 42501.
 */
extern void chatroom_check_presence(const Piece *topic, const Piece *key);

#endif							/* CHATROOM_BASE_PRESENCE_H */
