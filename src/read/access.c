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
 * against PostgreSQL's own caches: those of a SELECT from the table, and for a
 * row's or an association's topic those for the columns that it names, for to
 * follow it is to ask which rows have that value.
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
	Bitmapset  *columns;		/* that the topic tells values of: attnums */
	bool		names_relation; /* that is there, and not watched so */
	int			len;
	char	   *topic;
} KeptTopic;

/* What find_meaning finds. */
typedef struct Meaning
{
	TopicKind	kind;
	Oid			relid;
	int			base_len;
	Bitmapset  *columns;
	bool		names_relation;
} Meaning;

static HTAB *kept_topics = NULL;
static MemoryContext kept_context = NULL;

/* ------------------------------------------------------ what a topic means */

/* A table changed: what was known of its topics, and of free ones, is void. */
static void
forget_topics_of(Datum arg, Oid relid)
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

/* A schema changed: so may have any topic. */
static void
forget_topics(Datum arg, int cacheid, uint32 hashvalue)
{
	forget_topics_of(arg, InvalidOid);
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
		CacheRegisterRelcacheCallback(forget_topics_of, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, forget_topics, (Datum) 0);
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

/* The column of which a watch publishes topics under this name; 0: none. */
static AttrNumber
published_column(const WatchInfo *watch, const char *name, int len)
{
	StringInfoData spelled;
	AttrNumber	attnum = 0;
	ListCell   *lc;

	initStringInfo(&spelled);
	foreach(lc, chatroom_topic_columns(watch))
	{
		char	   *column = get_attname(watch->relid, lfirst_int(lc), true);

		if (column == NULL)
			continue;
		resetStringInfo(&spelled);
		chatroom_append_identifier(&spelled, column, strlen(column));
		if (spelled.len == len && memcmp(spelled.data, name, len) == 0)
			attnum = lfirst_int(lc);
	}
	pfree(spelled.data);
	return attnum;
}

/* The columns of a table's key. */
static Bitmapset *
key_columns(Oid relid)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	foreach(lc, chatroom_key_columns(relid))
		columns = bms_add_member(columns, lfirst_int(lc));
	return columns;
}

/* Find out what a topic means. */
static void
find_meaning(const char *topic, int len, Meaning *meaning)
{
	int			colon;
	int			dot;
	int			base_len;
	WatchInfo	watch;
	AttrNumber	attnum;

	memset(meaning, 0, sizeof(*meaning));
	split_topic(topic, len, &colon, &dot);
	base_len = colon < 0 ? len : colon;
	meaning->kind = TOPIC_WATCH;
	if (chatroom_find_watch(topic, base_len, &watch))
	{
		meaning->relid = watch.relid;
		meaning->base_len = base_len;
		if (colon >= 0)
			meaning->columns = key_columns(watch.relid);
		return;
	}
	if (colon >= 0 && dot > 0 &&
		chatroom_find_watch(topic, dot, &watch) &&
		(attnum = published_column(&watch, topic + dot + 1,
								   colon - dot - 1)) > 0)
	{
		meaning->relid = watch.relid;
		meaning->base_len = dot;
		meaning->columns = bms_make_singleton(attnum);
		return;
	}
	meaning->kind = TOPIC_FREE;
	meaning->names_relation =
		OidIsValid(chatroom_base_relation(topic, base_len)) ||
		(colon >= 0 && dot > 0 &&
		 OidIsValid(chatroom_base_relation(topic, dot)));
}

/* Refuse texts that can't be a topic. */
void
chatroom_check_topic(const char *topic, int len)
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
static const KeptTopic *
keep_topic(const char *topic, int len)
{
	uint64		hash;
	KeptTopic  *kept;
	bool		found;
	Meaning		meaning;
	MemoryContext caller;

	if (kept_topics == NULL || hash_get_num_entries(kept_topics) >= MAX_KEPT)
		make_kept_topics();

	hash = hash_bytes_extended((const unsigned char *) topic, len, 0);
	kept = hash_search(kept_topics, &hash, HASH_FIND, NULL);
	if (kept != NULL && kept->valid && kept->len == len &&
		memcmp(kept->topic, topic, len) == 0)
		return kept;

	/*
	 * The look-up may itself process invalidations; what it finds is of after
	 * them, so entering it afterwards is right.
	 */
	chatroom_check_topic(topic, len);
	find_meaning(topic, len, &meaning);
	kept = hash_search(kept_topics, &hash, HASH_ENTER, &found);
	if (found)
	{
		pfree(kept->topic);
		bms_free(kept->columns);
	}
	caller = MemoryContextSwitchTo(kept_context);
	kept->valid = false;
	kept->columns = NULL;
	kept->topic = palloc(len);
	memcpy(kept->topic, topic, len);
	kept->columns = bms_copy(meaning.columns);
	MemoryContextSwitchTo(caller);
	kept->len = len;
	kept->kind = meaning.kind;
	kept->relid = meaning.relid;
	kept->base_len = meaning.base_len;
	kept->names_relation = meaning.names_relation;
	kept->valid = true;
	return kept;
}

/* What a topic means, without privileges; see access.h. */
bool
chatroom_topic_exists(const char *topic, int len, ResolvedTopic *resolved)
{
	const KeptTopic *kept = keep_topic(topic, len);

	resolved->topic = topic;
	resolved->len = len;
	resolved->kind = kept->kind;
	resolved->relid = kept->relid;
	resolved->base_len = kept->base_len;
	return kept->kind == TOPIC_WATCH;
}

/* Check that the caller may follow a table's topic. */
static void
check_table_topic(Oid relid, const Bitmapset *columns, const char *topic,
				  int len)
{
	RelationAccess access;

	chatroom_relation_access(relid, &access);
	if (!access.exists)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the table of topic \"%.*s\" is gone", len, topic)));
	if (!access.usage)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SCHEMA,
					   get_namespace_name(get_rel_namespace(relid)));
	if (!access.any)
		aclcheck_error(ACLCHECK_NO_PRIV,
					   get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
	if (!access.all && !bms_is_subset(columns, access.columns))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for topic \"%.*s\"", len, topic),
				 errdetail("It tells values of columns of table \"%s\" that "
						   "this role may not select.",
						   get_rel_name(relid)),
				 errhint("Follow the topic of the whole table, which shows "
						 "the columns that the role may select.")));
}

/* Find out what a topic means, and whether the caller may follow it. */
void
chatroom_resolve_topic(const char *topic, int len, ResolvedTopic *resolved)
{
	const KeptTopic *kept = keep_topic(topic, len);

	resolved->topic = topic;
	resolved->len = len;
	resolved->kind = kept->kind;
	resolved->relid = kept->relid;
	resolved->base_len = kept->base_len;
	if (kept->kind == TOPIC_WATCH)
	{
		check_table_topic(kept->relid, kept->columns, topic, len);
		return;
	}
	if (kept->names_relation)
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

/*
 * A relation's schema, and number of columns, dropped ones included; false:
 * it is gone.
 */
static bool
describe_relation(Oid relid, Oid *schema, int *natts)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_class) GETSTRUCT(tuple);
	*schema = form->relnamespace;
	*natts = form->relnatts;
	ReleaseSysCache(tuple);
	return true;
}

/* What the current user may see of a relation's rows. */
void
chatroom_relation_access(Oid relid, RelationAccess *access)
{
	Oid			user = GetUserId();
	bool		missing = false;
	Oid			schema;
	int			natts;

	memset(access, 0, sizeof(*access));
	access->relid = relid;
	if (!describe_relation(relid, &schema, &natts))
		return;
	access->exists = true;
	access->usage = ChatroomSchemaUsable(schema, user);
	if (!access->usage)
		return;
	if (pg_class_aclcheck_ext(relid, user, ACL_SELECT, &missing) ==
		ACLCHECK_OK && !missing)
		access->any = access->all = true;
	else if (!missing)
	{
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
