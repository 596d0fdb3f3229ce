/*-------------------------------------------------------------------------
 *
 * members.h
 *	  Members of rooms, and what they may do to others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_MEMBERS_H
#define CHATROOM_MEMBERS_H

#include "postgres.h"

#include "chat/room.h"
#include "utils/jsonb.h"

/* A role by its name; ROOM_NONE: there is none of that name. */
extern RoomRole chatroom_role_named(const char *name, int len);

/* The same of an argument: 22023 for what is none to give, as owner. */
extern RoomRole chatroom_role_to_give(const text *name);

/* The room that argument 0 names, whose members are to be changed. */
extern void chatroom_find_member_room(FunctionCallInfo fcinfo,
									  RoomArgument how, int prefix_argument,
									  RoomCall *call);

/*
 * Lock a room, so that nobody else changes its members, whether or not the
 * caller may see it; false: there is none.  SPI is connected.
 */
extern bool chatroom_lock_any_room(const ChatTables *tables, int64 room_id);

/*
 * Lock the room of a call, so that nobody else changes its members, and look
 * anew what the caller is to it.  SPI is connected.
 */
extern void chatroom_lock_room(RoomCall *call);

/* What a user is to the room of a call now; SPI is connected. */
extern RoomRole chatroom_role_now(const RoomCall *call, const text *username);

/* The role that the caller has in effect: who is exempt is as an owner. */
extern RoomRole chatroom_rank(const RoomAccess *access);

/* Make a user a member, or give a member another role; the member's row. */
extern Jsonb *chatroom_put_member(const RoomCall *call, text *username,
								  RoomRole role);

/* A member's row, which is there. */
extern Jsonb *chatroom_member_row(const RoomCall *call, text *username);

#endif							/* CHATROOM_MEMBERS_H */
