/*-------------------------------------------------------------------------
 *
 * grants.h
 *	  Who may use topics that are no table's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_GRANTS_H
#define CHATROOM_GRANTS_H

#include "postgres.h"

typedef enum TopicPrivilege
{
	TOPIC_SYNC = 0x01,
	TOPIC_TRACK = 0x02,
	TOPIC_BROADCAST = 0x04
} TopicPrivilege;

/* May the current user do this on a topic that is no table's? */
extern bool chatroom_topic_granted(const char *topic, int len,
								   TopicPrivilege privilege);

/*
 * Patterns and labels: a pattern that begins with * names no topic, and is in
 * no label's way; any other is in the way of a label that would take a topic
 * that it has.
 */
extern bool chatroom_pattern_open(const char *pattern, int len);
extern bool chatroom_pattern_meets(const char *pattern, int len,
								   const char *label);

/*
 * Is a grant in the way of a label?  Those with open patterns are, but for the
 * database's owner.
 */
extern bool chatroom_label_granted(const char *label);

/* The table of grants, and the bit of a privilege's name there; 0: none. */
extern Oid	chatroom_grants_table(void);
extern int	chatroom_privilege_bit(const char *name, int len);

#endif							/* CHATROOM_GRANTS_H */
