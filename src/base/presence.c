/*-------------------------------------------------------------------------
 *
 * presence.c
 *	  Who may be tracked on a topic, and who may see it.
 *
 * On a room's topic who sees the room; where members' rules govern it, nobody
 * is tracked but by themselves.  On topics of no table grants decide.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/grants.h"
#include "base/identity.h"
#include "base/presence.h"
#include "base/rooms.h"
#include "base/topics.h"

/* Is the key the caller's own name? */
static bool
is_own_name(const Piece *key)
{
	const char *identity = chatroom_identity();

	return identity != NULL && strlen(identity) == key->len &&
		memcmp(identity, key->data, key->len) == 0;
}

/* Check what may be done on a room's topic. */
static void
check_room(int64 room_id, const RoomAccess *access, const Piece *key)
{
	if (key != NULL && RoomGoverns(access) && !is_own_name(key))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for room \"%s\"",
						psprintf(INT64_FORMAT, room_id)),
				 errdetail("In this room a user is tracked under their own "
						   "name alone."),
				 errhint("The key has to be the name of the user who "
						 "calls.")));
}

/* Check what may be done on a topic that is no room's. */
static void
check_free_topic(const Piece *topic, const Piece *key)
{
	const TopicMeaning *meaning;

	chatroom_refuse_reserved(topic->data, topic->len);
	meaning = chatroom_topic_meaning(topic->data, topic->len);
	if (meaning->kind == TOPIC_WATCH)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("topic \"%.*s\" is a watched table's",
						topic->len, topic->data),
				 errdetail("Nobody is present on a table's topic."),
				 errhint("Choose a topic that does not begin with the label "
						 "of a watch.")));
	if (key != NULL &&
		!chatroom_topic_granted(topic->data, topic->len, TOPIC_TRACK))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to track on topic \"%.*s\"",
						topic->len, topic->data),
				 errhint("The database's owner may call "
						 "chatroom.grant_topic().")));
	if (key == NULL &&
		!chatroom_topic_granted(topic->data, topic->len, TOPIC_SYNC))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for topic \"%.*s\"",
						topic->len, topic->data),
				 errdetail("The topic is no watched table's, and no grant "
						   "lets this role follow it."),
				 errhint("The database's owner may call "
						 "chatroom.grant_topic().")));
}

/* May the caller do this?  See presence.h. */
void
chatroom_check_presence(const Piece *topic, const Piece *key)
{
	RoomAccess	access;
	int64		room_id;

	if (chatroom_room_topic_access(topic->data, topic->len, &room_id,
								   &access))
		check_room(room_id, &access, key);
	else
		check_free_topic(topic, key);
}
