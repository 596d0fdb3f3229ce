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

#include "nodes/bitmapset.h"

typedef enum TopicKind
{
	TOPIC_WATCH,				/* of a watched table */
	TOPIC_FREE					/* of no table: grants decide */
} TopicKind;

typedef struct TopicMeaning
{
	TopicKind	kind;
	Oid			relid;			/* TOPIC_WATCH */
	int			base_len;		/* TOPIC_WATCH: the base's part of it */
	Bitmapset  *columns;		/* that it tells values of: attnums */
	bool		names_relation; /* TOPIC_FREE: one that is not watched so */
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

/* Refuse such topics: 42939. */
extern void chatroom_refuse_reserved(const char *topic, int len);

#endif							/* CHATROOM_TOPICS_H */
