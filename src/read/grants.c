/*-------------------------------------------------------------------------
 *
 * grants.c
 *	  Who may use topics that are no table's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "read/access.h"

bool
chatroom_topic_granted(const char *topic, int len, TopicPrivilege privilege)
{
	return superuser();
}
