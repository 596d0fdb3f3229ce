/*-------------------------------------------------------------------------
 *
 * cascade.h
 *	  What a room's deletion is to those who saw it, and to what it held.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_CASCADE_H
#define CHATROOM_CASCADE_H

#include "postgres.h"

#include "base/event.h"
#include "base/watches.h"
#include "executor/tuptable.h"

/* Where a room stands, in its table, whether it is private, and who is in. */
typedef struct AudienceSource
{
	AttrNumber	attnum;			/* of the room's id; 0: no such table */
	AttrNumber	private;
	Oid			schema;
	Oid			members;
	AttrNumber	room_id;		/* of members */
	AttrNumber	username;		/* of members */
} AudienceSource;

/* The room that a row refers to, and goes with. */
typedef struct CascadeSource
{
	AttrNumber	attnum;			/* the column that refers; 0: none */
	Oid			schema;
	Oid			rooms;
	AttrNumber	id;				/* of rooms */
} CascadeSource;

/* Find these out for a watch. */
extern void chatroom_find_audience_source(AudienceSource *source,
										  const WatchInfo *watch);
extern void chatroom_find_cascade_source(CascadeSource *source,
										 const WatchInfo *watch);

/*
 * A room is deleted: who is present in it leaves at commit.  Tells the names
 * of those who were in a private room when the statement that
 * deletes it began; nothing for a room that isn't private.  Where they are too
 * many, logs a reset of the watch and of its prefix' topics in their stead.
 */
extern void chatroom_find_audience(const AudienceSource *source,
								   const Piece *base, TupleTableSlot *room,
								   Piece *audience);

/*
 * Is a deleted row one that went along with the row it refers to?  Then a
 * reset of the watch's own topics has been logged.
 */
extern bool chatroom_went_along(const CascadeSource *source, Oid watchid,
								const Piece *base, TupleTableSlot *slot);

#endif							/* CHATROOM_CASCADE_H */
