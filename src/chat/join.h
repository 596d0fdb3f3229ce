/*-------------------------------------------------------------------------
 *
 * join.h
 *	  What one who comes into a room is shown.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_JOIN_H
#define CHATROOM_JOIN_H

#include "postgres.h"

#include "chat/room.h"
#include "lib/stringinfo.h"

/*
 * Append the members of join_room()'s answer, without the braces: all as of
 * the active snapshot.  The caller may see the room.
 */
extern void chatroom_append_join(StringInfo buf, const RoomCall *call,
								 int max_rows);

#endif							/* CHATROOM_JOIN_H */
