/*-------------------------------------------------------------------------
 *
 * people.h
 *	  Rows of users and members that functions make by themselves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_PEOPLE_H
#define CHATROOM_PEOPLE_H

#include "postgres.h"

#include "base/rooms.h"

/*
 * Make a user's row, unless it is there; nothing before version 2.  SPI is
 * connected.
 */
extern void chatroom_need_user(const ChatTables *tables, text *username);

/*
 * The same, and nobody else deletes it until the transaction ends: what is
 * about to refer to it can.  Version 2; SPI is connected.
 */
extern void chatroom_hold_user(const ChatTables *tables, text *username);

/* Make a user a member of a room, with that role.  SPI is connected. */
extern void chatroom_record_member(const ChatTables *tables, int64 room_id,
								   text *username, const char *role);

#endif							/* CHATROOM_PEOPLE_H */
