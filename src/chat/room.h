/*-------------------------------------------------------------------------
 *
 * room.h
 *	  The room that a function was called for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_ROOM_H
#define CHATROOM_ROOM_H

#include "postgres.h"

#include "base/compat.h"
#include "base/rooms.h"
#include "fmgr.h"

/* How a room was given: most functions are there twice. */
typedef enum RoomArgument
{
	ROOM_BY_TEXT,				/* all digits is an id, all else a name */
	ROOM_BY_ID
} RoomArgument;

/*
 * The two functions that SQL sees for one that does the work: NAME takes the
 * room as text, NAME_id its id.
 */
#define CHATROOM_ROOM_FUNCTION(name, work) \
	CHATROOM_FUNCTION(name); \
	CHATROOM_FUNCTION(name##_id); \
	Datum \
	name(PG_FUNCTION_ARGS) \
	{ \
		return work(fcinfo, ROOM_BY_TEXT); \
	} \
	Datum \
	name##_id(PG_FUNCTION_ARGS) \
	{ \
		return work(fcinfo, ROOM_BY_ID); \
	} \
	extern Datum name(PG_FUNCTION_ARGS)

/* A function's room, which the caller may see. */
typedef struct RoomCall
{
	ChatTables	tables;			/* a copy, good until the call's end */
	const char *room;			/* as it was given, for errors */
	int64		id;
	RoomAccess	access;
} RoomCall;

/*
 * The tables of the prefix that an argument names, NULL: the setting's.  A
 * copy, for those of the catalog may go with any command.  Raises 42501 for
 * who has not USAGE on the schema, and SELECT on any column of rooms.
 */
extern void chatroom_prefix_argument(FunctionCallInfo fcinfo, int argument,
									 ChatTables *tables);

/*
 * The room that argument 0 names, and the prefix that another does.  Raises
 * P0002 where there is no such room that the caller may see.
 */
extern void chatroom_room_argument(FunctionCallInfo fcinfo, RoomArgument how,
								   int prefix_argument, RoomCall *call);

/*
 * The same for functions that change something.  They see what their own
 * statement did before, a room that it made, as functions in SQL do: they have
 * a snapshot of their own.
 */
extern void chatroom_room_to_change(FunctionCallInfo fcinfo,
									RoomArgument how, int prefix_argument,
									RoomCall *call);
extern void chatroom_access_to_change(const ChatTables *tables,
									  int64 room_id, RoomAccess *access);

/*
 * The same without an error; false: there is none.  Then the id is the one
 * that was given, 0 for a name.
 */
extern bool chatroom_look_for_room(FunctionCallInfo fcinfo, RoomArgument how,
								   int prefix_argument, RoomCall *call);

/* Raise 42501 for a room that the caller sees, with a reason. */
extern void chatroom_room_denied(const RoomCall *call, const char *detail);

/* Is this username the caller's own? */
extern bool chatroom_is_caller(const text *username);

/*
 * Raise 42501 unless the caller is exempt, or the room is not governed, or the
 * caller has at least a role in it.
 */
extern void chatroom_require_role(const RoomCall *call, RoomRole role,
								  const char *detail);

#endif							/* CHATROOM_ROOM_H */
