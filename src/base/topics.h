/*-------------------------------------------------------------------------
 *
 * topics.h
 *	  What a topic's name means.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_TOPICS_H
#define CHATROOM_TOPICS_H

#include "postgres.h"

#include "base/rooms.h"
#include "nodes/bitmapset.h"

typedef enum TopicKind
{
	TOPIC_WATCH,				/* of a watched table */
	TOPIC_FREE,					/* of no table: grants decide */
	TOPIC_ROOM,					/* of a room */
	TOPIC_ROOMS,				/* of all rooms of a prefix */
	TOPIC_PREFIX,				/* of everything in a prefix */
	TOPIC_NOTHING				/* of the form of these, and none */
} TopicKind;

/* Is a topic of this kind one of a prefix? */
#define topic_of_prefix(kind) \
	((kind) >= TOPIC_ROOM && (kind) <= TOPIC_PREFIX)

typedef struct TopicMeaning
{
	TopicKind	kind;
	Oid			relid;			/* TOPIC_WATCH */
	bool		distributed;	/* TOPIC_WATCH: nothing is published */
	int			base_len;		/* TOPIC_WATCH: the base's part of it */
	Bitmapset  *columns;		/* that it tells values of: attnums */
	bool		names_relation; /* TOPIC_FREE: one that is not watched so */
	Oid			schema;			/* of a prefix: may be missing, or no prefix */
	NameData	prefix;			/* of a prefix: the schema's name */
	bool		published;		/* of a prefix: its tables are watched ... */
	Oid			tables[3];		/* ... namely these */
} TopicMeaning;

/*
 * Find out what a topic means; 22023 for a text that can't be one.  The answer
 * is good until the next call.
 */
extern const TopicMeaning *chatroom_topic_meaning(const char *topic, int len);

/* Refuse texts that can't be a topic: 22023. */
extern void chatroom_check_topic(const char *topic, int len);

/* Is a topic's form that of a table's, whether or not there is one? */
extern bool chatroom_topic_of_table(const char *topic, int len);

/* Is a topic's form that of a table's, a room's or a prefix's? */
extern bool chatroom_topic_reserved(const char *topic, int len);

/*
 * A topic is of a label that its first lens[] bytes are; returns how many of
 * them there are.
 */
#define TOPIC_STEMS		2

extern int	chatroom_topic_stems(const char *topic, int len, int *lens);

/* Would a label take this topic? */
extern bool chatroom_label_takes(const char *label, const char *topic,
								 int len);

/* Refuse such topics: 42939. */
extern void chatroom_refuse_reserved(const char *topic, int len);

/*
 * The tables of the prefix that a topic is of, which the caller may know:
 * raises 22023 for TOPIC_NOTHING, 3F000 where there is no such prefix, 42501
 * where the caller may select nothing from its rooms, 55000 where its tables
 * aren't watched.
 */
extern const ChatTables *chatroom_topic_tables(const TopicMeaning *meaning,
											   const char *topic, int len);

/* The room of a topic of the form room:ID; 0, or 22023, for what is no ID. */
extern int64 chatroom_topic_room_id(const char *topic, int len);
extern int64 chatroom_require_room_id(const char *topic, int len);

/* May the caller look for rooms at all?  42501. */
extern void chatroom_check_rooms(const ChatTables *tables);

/*
 * For presence: is a topic one of a room, which the caller may see?  False: it
 * is none's.  Raises what chatroom_topic_tables does, and P0002 where
 * there is no such room, or none that the caller may see.
 */
extern bool chatroom_room_topic_access(const char *topic, int len,
									   int64 *room_id, RoomAccess *access);

#endif							/* CHATROOM_TOPICS_H */
