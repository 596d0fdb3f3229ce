/*-------------------------------------------------------------------------
 *
 * labels.c
 *	  What a label must not take from others.
 *
 * With a label the owner of a table gives a meaning to all topics that begin
 * like it: they are the table's from then on, for those who may select from
 * it, and nobody broadcasts there any more.  So a label takes no topic that is
 * granted, or that somebody uses: who has events there that are kept, who is
 * present, who listens.  Nor are a label's topics granted.  Who would be told
 * which ones are in the way could find out what others have: nobody is.
 *
 * Grants and labels are made one at a time, under a lock on the trigger
 * function, so that each sees the other.  Broadcasts, presence and listening
 * take no such lock: what begins while the label is made is as if it had come
 * later, or earlier, and opens nothing.  For an event without a row is for
 * those alone who may sync its topic by a grant, whatever the topic means, and
 * a row for those who may select it (read/rooms.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/grants.h"
#include "base/launch.h"
#include "base/memory.h"
#include "base/topics.h"
#include "base/wal.h"
#include "base/watches.h"
#include "cache/demand.h"
#include "cache/interest.h"
#include "cache/presence.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "write/labels.h"

/* How long to wait for what was broadcast just now, in ms. */
#define PUBLISH_TIMEOUT	1000

/* One at a time; see labels.h. */
void
chatroom_lock_labels(void)
{
	LockDatabaseObject(ProcedureRelationId, chatroom_trigger_function("emit"),
					   0, ShareUpdateExclusiveLock);
}

/* Refuse a label for topics that somebody uses; see labels.h. */
void
chatroom_check_label_unused(const char *label)
{
	Cache	   *cache = IsBinaryUpgrade ? NULL : chatroom_need_cache();

	if (cache == NULL)
		return;					/* nothing is kept, nobody is there */
	if (chatroom_tailer_running())
		(void) chatroom_wait_published(cache, chatroom_available_wal(NULL),
									   PUBLISH_TIMEOUT);
	if (chatroom_cache_taken(cache, label) ||
		chatroom_presence_taken(cache, label) ||
		chatroom_interest_taken(cache, label))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("label \"%s\" would take topics that are in use",
						label),
				 errdetail("On topics that begin like this somebody has "
						   "broadcast, is present, or listens."),
				 errhint("Choose another label.")));
}

/* Would one label take topics of another? */
static bool
labels_meet(const char *label, const char *other)
{
	char	   *row = psprintf("%s:", label);
	char	   *other_row = psprintf("%s:", other);

	return strcmp(label, other) != 0 &&
		(chatroom_label_takes(label, other_row, strlen(other_row)) ||
		 chatroom_label_takes(other, row, strlen(row)));
}

/* Refuse a label for topics that are others'; see labels.h. */
void
chatroom_check_label_free(const char *label)
{
	ListCell   *lc;

	foreach(lc, chatroom_all_labels())
		if (labels_meet(label, lfirst(lc)))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("label \"%s\" has topics in common with label "
							"\"%s\"", label, (char *) lfirst(lc)),
					 errhint("Choose another label.")));
	if (chatroom_label_granted(label))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("label \"%s\" would take topics that are granted",
						label),
				 errdetail("The database's owner has granted topics that "
						   "begin like this."),
				 errhint("Choose another label, or have the grants revoked: "
						 "see view chatroom.topic_grants.")));
}

/* Refuse to grant topics that are a label's; see labels.h. */
void
chatroom_check_pattern_free(const char *pattern, int len)
{
	ListCell   *lc;

	if (chatroom_pattern_open(pattern, len))
		return;
	foreach(lc, chatroom_all_labels())
		if (chatroom_pattern_meets(pattern, len, lfirst(lc)))
			ereport(ERROR,
					(errcode(ERRCODE_RESERVED_NAME),
					 errmsg("pattern \"%.*s\" has topics of a watched table",
							len, pattern),
					 errdetail("They begin with the label \"%s\".",
							   (char *) lfirst(lc)),
					 errhint("Grant SELECT on the table to who is to follow "
							 "it, or choose another pattern.")));
}
