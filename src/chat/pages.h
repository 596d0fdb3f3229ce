/*-------------------------------------------------------------------------
 *
 * pages.h
 *	  Lists of rooms and messages, a page at a time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_PAGES_H
#define CHATROOM_PAGES_H

#include "postgres.h"

#include "chat/query.h"
#include "chat/room.h"
#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

/* All rows there are, instead of a page of so many. */
#define PAGE_ALL	(-1)

/* The page length that follow_room() shows. */
#define PAGE_DEFAULT	30

/* A place between rows in the order of (inserted_at, id). */
typedef struct PagePlace
{
	TimestampTz inserted_at;
	int64		id;
} PagePlace;

/* A page length that an argument gives; NULL: PAGE_ALL.  22023 below 1. */
extern int	chatroom_max_rows(FunctionCallInfo fcinfo, int argument);

/*
 * Append a page of a room's messages, the newest before a place (NULL: of
 * all), as "messages":[...],"next":...,"end_reached":...  With the active
 * snapshot; SPI is connected.
 */
extern void chatroom_append_messages(StringInfo buf, const RoomCall *call,
									 const PagePlace *before, int max_rows);

#endif							/* CHATROOM_PAGES_H */
