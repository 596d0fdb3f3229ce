/*-------------------------------------------------------------------------
 *
 * access.c
 *	  What a topic's name means, and who may see its events.
 *
 * Topics have these forms:
 *
 *	  BASE				all of a watch; BASE is schema.table or a label
 *	  BASE:KEY			one of its rows
 *	  BASE.column:VALUE one of its associations
 *	  anything else		a free topic: broadcasts and presence
 *
 * What a text means is found in the catalog once and kept in this process
 * until an invalidation of its table; free topics until any invalidation, for
 * a new watch may give them a meaning.  Privileges are checked in each call,
 * against PostgreSQL's own caches.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/compat.h"
#include "base/event.h"
#include "base/watches.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "read/access.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/syscache.h"

/* Texts kept per process; beyond, all are forgotten. */
#define MAX_KEPT		10000

typedef struct KeptTopic
{
	uint64		hash;			/* of the text; key */
	bool		valid;
	TopicKind	kind;
	Oid			relid;
	int			base_len;
	int			len;
	char	   *topic;
} KeptTopic;

static HTAB *kept_topics = NULL;
static MemoryContext kept_context = NULL;

/* ------------------------------------------------------ what a topic means */

/* A table changed: what was known of its topics, and of free ones, is void. */
static void
forget_topics(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	KeptTopic  *kept;

	if (kept_topics == NULL)
		return;
	hash_seq_init(&status, kept_topics);
	while ((kept = hash_seq_search(&status)) != NULL)
		if (!OidIsValid(relid) || kept->relid == relid ||
			kept->kind == TOPIC_FREE)
			kept->valid = false;
}

/* Make the table of kept topics. */
static void
make_kept_topics(void)
{
	static bool registered = false;
	HASHCTL		control;

	if (kept_context != NULL)
		MemoryContextDelete(kept_context);
	kept_topics = NULL;
	kept_context = AllocSetContextCreate(TopMemoryContext,
										 "chatroom topics",
										 ALLOCSET_DEFAULT_SIZES);
	control.keysize = sizeof(uint64);
	control.entrysize = sizeof(KeptTopic);
	control.hcxt = kept_context;
	kept_topics = hash_create("chatroom topics", 64, &control,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	if (!registered)
	{
		CacheRegisterRelcacheCallback(forget_topics, (Datum) 0);
		registered = true;
	}
}

/*
 * Find the first colon, and the last dot before it, outside double quotes;
 * -1 where there is none.
 */
static void
split_topic(const char *topic, int len, int *colon, int *dot)
{
	bool		quoted = false;

	*colon = *dot = -1;
	for (int i = 0; i < len; i++)
	{
		if (topic[i] == '"')
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (topic[i] == ':')
		{
			*colon = i;
			return;
		}
		else if (topic[i] == '.')
			*dot = i;
	}
}

/* Does a watch publish topics of this column? */
static bool
publishes_column(const WatchInfo *watch, const char *name, int len)
{
	StringInfoData spelled;
	bool		found = false;
	ListCell   *lc;

	initStringInfo(&spelled);
	foreach(lc, chatroom_topic_columns(watch))
	{
		char	   *column = get_attname(watch->relid, lfirst_int(lc), true);

		if (column == NULL)
			continue;
		resetStringInfo(&spelled);
		chatroom_append_identifier(&spelled, column, strlen(column));
		found = spelled.len == len && memcmp(spelled.data, name, len) == 0;
		if (found)
			break;
	}
	pfree(spelled.data);
	return found;
}

/* Find out what a topic means; false: a free one. */
static bool
find_meaning(const char *topic, int len, ResolvedTopic *resolved)
{
	int			colon;
	int			dot;
	int			base_len;
	WatchInfo	watch;

	split_topic(topic, len, &colon, &dot);
	base_len = colon < 0 ? len : colon;
	resolved->kind = TOPIC_WATCH;
	if (chatroom_find_watch(topic, base_len, &watch))
	{
		resolved->relid = watch.relid;
		resolved->base_len = base_len;
		return true;
	}
	if (colon >= 0 && dot > 0 &&
		chatroom_find_watch(topic, dot, &watch) &&
		publishes_column(&watch, topic + dot + 1, colon - dot - 1))
	{
		resolved->relid = watch.relid;
		resolved->base_len = dot;
		return true;
	}
	resolved->kind = TOPIC_FREE;
	resolved->relid = InvalidOid;
	resolved->base_len = 0;
	return false;
}

/* Does a topic name a table, or part of one, that is there? */
static bool
names_relation(const char *topic, int len)
{
	int			colon;
	int			dot;

	split_topic(topic, len, &colon, &dot);
	if (OidIsValid(chatroom_base_relation(topic, colon < 0 ? len : colon)))
		return true;
	return colon >= 0 && dot > 0 &&
		OidIsValid(chatroom_base_relation(topic, dot));
}

/* Texts that can't be a topic. */
static void
check_topic_text(const char *topic, int len)
{
	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic must not be empty"),
				 errhint("A topic is, for example, schema.table, "
						 "schema.table:KEY or schema.table.column:VALUE; "
						 "chatroom.topic() tells a table's.")));
	if (len > CHATROOM_MAX_TOPIC)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic is too long"),
				 errdetail("It has %d bytes; a topic has at most %d.",
						   len, CHATROOM_MAX_TOPIC),
				 errhint("chatroom.topic() shortens long keys as events "
						 "do.")));
}

/* What a topic means, from memory or the catalog. */
bool
chatroom_topic_exists(const char *topic, int len, ResolvedTopic *resolved)
{
	uint64		hash;
	KeptTopic  *kept;
	bool		found;

	resolved->topic = topic;
	resolved->len = len;
	if (kept_topics == NULL || hash_get_num_entries(kept_topics) >= MAX_KEPT)
		make_kept_topics();

	hash = hash_bytes_extended((const unsigned char *) topic, len, 0);
	kept = hash_search(kept_topics, &hash, HASH_FIND, NULL);
	if (kept != NULL && kept->valid && kept->len == len &&
		memcmp(kept->topic, topic, len) == 0)
	{
		resolved->kind = kept->kind;
		resolved->relid = kept->relid;
		resolved->base_len = kept->base_len;
		return kept->kind == TOPIC_WATCH;
	}

	/*
	 * The look-up may itself process invalidations; what it finds is of after
	 * them, so entering it afterwards is right.
	 */
	check_topic_text(topic, len);
	find_meaning(topic, len, resolved);
	kept = hash_search(kept_topics, &hash, HASH_ENTER, &found);
	if (!found)
		kept->topic = NULL;
	kept->valid = false;
	if (kept->topic != NULL)
		pfree(kept->topic);
	kept->topic = MemoryContextAlloc(kept_context, len);
	memcpy(kept->topic, topic, len);
	kept->len = len;
	kept->kind = resolved->kind;
	kept->relid = resolved->relid;
	kept->base_len = resolved->base_len;
	kept->valid = true;
	return resolved->kind == TOPIC_WATCH;
}

/* Find out what a topic means, and whether the caller may follow it. */
void
chatroom_resolve_topic(const char *topic, int len, ResolvedTopic *resolved)
{
	RelationAccess access;

	if (chatroom_topic_exists(topic, len, resolved))
	{
		chatroom_relation_access(resolved->relid, &access);
		if (!access.any)
			aclcheck_error(ACLCHECK_NO_PRIV,
						   get_relkind_objtype(get_rel_relkind(resolved->relid)),
						   get_rel_name(resolved->relid));
		return;
	}
	if (names_relation(topic, len))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing is published under topic \"%.*s\"",
						len, topic),
				 errhint("Have the table's owner call chatroom.watch(); "
						 "association topics exist for foreign keys and "
						 "the columns named by topic_columns.")));
	if (!chatroom_topic_granted(topic, len, TOPIC_SYNC))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for topic \"%.*s\"", len, topic),
				 errdetail("The topic is no watched table's, and no grant "
						   "lets this role follow it."),
				 errhint("The database's owner may call "
						 "chatroom.grant_topic().")));
}

/* ------------------------------------------------------- who may see a row */

/* Number of a relation's columns, dropped ones included; 0: it is gone. */
static int
column_count(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	int			natts;

	if (!HeapTupleIsValid(tuple))
		return 0;
	natts = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	ReleaseSysCache(tuple);
	return natts;
}

/* What the current user may see of a relation's rows. */
void
chatroom_relation_access(Oid relid, RelationAccess *access)
{
	Oid			user = GetUserId();
	Oid			schema;
	bool		missing = false;
	int			natts;

	memset(access, 0, sizeof(*access));
	access->relid = relid;
	/* where a SELECT could not even name the table, or it is gone */
	schema = get_rel_namespace(relid);
	if (!OidIsValid(schema) || !ChatroomSchemaUsable(schema, user))
		return;
	if (pg_class_aclcheck_ext(relid, user, ACL_SELECT, &missing) ==
		ACLCHECK_OK && !missing)
		access->any = access->all = true;
	else if (!missing)
	{
		natts = column_count(relid);
		for (AttrNumber attnum = 1; attnum <= natts; attnum++)
		{
			bool		dropped = false;

			if (pg_attribute_aclcheck_ext(relid, attnum, user, ACL_SELECT,
										  &dropped) != ACLCHECK_OK ||
				dropped)
				continue;
			access->columns = bms_add_member(access->columns, attnum);
			access->any = true;
		}
	}
	if (access->any)
		access->policies = check_enable_rls(relid, InvalidOid, true) ==
			RLS_ENABLED;
}
