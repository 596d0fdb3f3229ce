/*-------------------------------------------------------------------------
 *
 * access.c
 *	  Who may follow a topic and see its events.
 *
 * Privileges are checked in each call, against PostgreSQL's own caches: those
 * of a SELECT from the table, and for a row's or an association's topic those
 * for the columns that it names, for to follow it is to ask which rows have
 * that value.  Topics of no table are for grants to decide.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/compat.h"
#include "base/distributed.h"
#include "base/grants.h"
#include "base/identity.h"
#include "base/rooms.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "read/access.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"

/* ------------------------------------------------- who may follow a topic */

/* May the current user select all columns that a topic tells values of? */
static bool
columns_allowed(const RelationAccess *access, const Bitmapset *columns)
{
	return access->any &&
		(access->all || bms_is_subset(columns, access->columns));
}

/* May events of a table be hidden from one who may select from it? */
static bool
rows_judged(const RelationAccess *access)
{
	const ChatTables *tables = NULL;

	if (access->policies || chatroom_acts_for() != NULL)
		tables = chatroom_tables_of(access->relid);
	if (tables == NULL || tables->version < 2)
		return access->policies;
	if (!chatroom_exempt(tables))
		return true;
	return access->policies && !chatroom_plain_table(tables, access->relid);
}

/* May those of a table that a prefix' topic has be? */
static bool
table_judged(const ChatTables *tables, Oid relid, bool by_room)
{
	RelationAccess access;

	chatroom_relation_access(relid, &access);
	if (!access.any)
		return true;
	return by_room && chatroom_plain_table(tables, relid) ? false :
		rows_judged(&access);
}

/* May events of a prefix' topic be hidden from one who may follow it? */
static bool
prefix_judged(const ChatTables *known, TopicKind kind)
{
	ChatTables	tables = *known;
	bool		by_room = kind == TOPIC_ROOM;
	Oid			relids[] = {tables.rooms, tables.messages, tables.members,
	tables.users, tables.invites};
	int			n = kind == TOPIC_ROOMS ? 1 : by_room ? 3 : lengthof(relids);

	for (int i = 0; i < n; i++)
		if (OidIsValid(relids[i]) &&
			table_judged(&tables, relids[i], by_room))
			return true;
	return false;
}

/* May events of a topic be hidden from the caller?  See access.h. */
bool
chatroom_topic_judged(const ResolvedTopic *topic)
{
	RelationAccess access;
	const ChatTables *tables;

	if (topic->kind == TOPIC_WATCH)
	{
		chatroom_relation_access(topic->relid, &access);
		return !access.any || rows_judged(&access);
	}
	if (!topic_of_prefix(topic->kind))
		return false;
	tables = chatroom_schema_tables(topic->schema);
	return tables == NULL || prefix_judged(tables, topic->kind);
}

/* Check that the caller may follow a table's topic. */
static void
check_table_topic(const TopicMeaning *meaning, const char *topic, int len)
{
	RelationAccess access;
	Oid			relid = meaning->relid;

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
	if (!columns_allowed(&access, meaning->columns))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for topic \"%.*s\"", len, topic),
				 errdetail("It tells values of columns of table \"%s\" that "
						   "this role may not select.",
						   get_rel_name(relid)),
				 errhint("Follow the topic of the whole table, which shows "
						 "the columns that the role may select.")));
	if (meaning->distributed)
		chatroom_no_distributed(relid);
}

/*
 * Check that the caller may follow a prefix' topic.  Of a room that he can't
 * see, his cursor may still entitle him to what happened up to its end: that
 * is found out when it is known.
 */
static void
check_prefix_topic(const TopicMeaning *meaning, const char *topic, int len,
				   ResolvedTopic *resolved)
{
	const ChatTables *tables;

	if (meaning->kind == TOPIC_ROOM)
		resolved->room_id = chatroom_require_room_id(topic, len);
	tables = chatroom_topic_tables(meaning, topic, len);
	resolved->schema = tables->schema;
	resolved->base_len = chatroom_identifier_len(topic, len);
	if (meaning->kind != TOPIC_ROOM)
		return;
	resolved->hidden = !chatroom_room_visible(tables, resolved->room_id);
}

/* Refuse rooms that the caller can't see. */
void
chatroom_refuse_hidden(const ResolvedTopic *topics, int n)
{
	for (int i = 0; i < n; i++)
		if (topics[i].hidden)
			chatroom_no_such_room(psprintf(INT64_FORMAT, topics[i].room_id));
}

/* Find out what a topic means, and whether the caller may follow it. */
void
chatroom_resolve_topic(const char *topic, int len, ResolvedTopic *resolved)
{
	const TopicMeaning *meaning = chatroom_topic_meaning(topic, len);

	memset(resolved, 0, sizeof(*resolved));
	resolved->topic = topic;
	resolved->len = len;
	resolved->kind = meaning->kind;
	resolved->relid = meaning->relid;
	resolved->base_len = meaning->base_len;
	if (meaning->kind >= TOPIC_ROOM)
	{
		check_prefix_topic(meaning, topic, len, resolved);
		return;
	}
	if (meaning->kind == TOPIC_WATCH)
	{
		check_table_topic(meaning, topic, len);
		return;
	}
	if (meaning->names_relation || chatroom_topic_of_table(topic, len))
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
