/*-------------------------------------------------------------------------
 *
 * migrate.c
 *	  What migrate() and set_access() need beyond SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/distributed.h"
#include "base/rooms.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "commands/comment.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "write/watch.h"

CHATROOM_FUNCTION(chatroom_require_local);
CHATROOM_FUNCTION(chatroom_watch_chat);

/* require_local(relation text) returns void: 0A000 where it is distributed */
Datum
chatroom_require_local(PG_FUNCTION_ARGS)
{
	text	   *relation = chatroom_text_arg(fcinfo, 0, "relation");

	chatroom_refuse_distributed(chatroom_named_relation(relation, false));
	PG_RETURN_VOID();
}

/* A column of a chat table, by its name. */
static AttrNumber
chat_column(Oid relid, const char *name)
{
	AttrNumber	attnum = get_attnum(relid, name);

	if (attnum <= 0)
		chatroom_no_column(name, get_rel_name(relid), NULL);
	return attnum;
}

/* Refuse topics that chat tables don't have; anyone may ask for them. */
static void
check_chat_topic(const char *name, int nextra)
{
	if (nextra == CHATROOM_MAX_EXTRA ||
		(strcmp(name, "rooms") != 0 && strcmp(name, "*") != 0 &&
		 strncmp(name, "room:", 5) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid topic of a chat table: \"%s\"", name),
				 errhint("This function is a part of chatroom.migrate(); "
						 "call that, or chatroom.watch().")));
}

/*
 * watch_chat(relation text, topics text[], columns text[]) returns text: watch
 * a chat table; a topic that ends in a colon is followed by the value of the
 * column that stands behind it
 */
Datum
chatroom_watch_chat(PG_FUNCTION_ARGS)
{
	WatchOptions options = {0};
	ListCell   *lc;

	options.relid =
		chatroom_watchable_relation(chatroom_text_arg(fcinfo, 0, "relation"));
	options.events = WATCH_ALL_EVENTS;
	options.default_topics = true;
	options.always = true;
	chatroom_require_argument(fcinfo, 1, "topics");
	foreach(lc, chatroom_array_texts(PG_GETARG_ARRAYTYPE_P(1), "topics"))
	{
		WatchTopic *topic = &options.extra[options.nextra];
		char	   *name = lfirst(lc);
		char	   *colon = strchr(name, ':');

		check_chat_topic(name, options.nextra++);
		if (colon != NULL)
		{
			topic->attnum = chat_column(options.relid, colon + 1);
			colon[1] = '\0';
		}
		topic->name = name;
	}
	if (!PG_ARGISNULL(2))
	{
		foreach(lc, chatroom_array_texts(PG_GETARG_ARRAYTYPE_P(2), "columns"))
			options.columns =
				list_append_unique_int(options.columns,
									   chat_column(options.relid,
												   lfirst(lc)));
		list_sort(options.columns, list_int_cmp);
	}

	/* what a room's deletion is to its members, and to what it held */
	options.audience = strcmp(get_rel_name(options.relid), "rooms") == 0;
	options.cascade = Max(get_attnum(options.relid, "room_id"), 0);
	PG_RETURN_TEXT_P(cstring_to_text(chatroom_make_watch(&options)));
}

/* Refuse a change of a prefix to all but its owner. */
static void
check_owner(const ChatTables *tables)
{
	if (!has_privs_of_role(GetUserId(), tables->owner))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE,
					   get_rel_name(tables->rooms));
}

CHATROOM_FUNCTION(chatroom_set_access);

/* set_access(mode text, prefix text) returns void */
Datum
chatroom_set_access(PG_FUNCTION_ARGS)
{
	char	   *mode = text_to_cstring(chatroom_text_arg(fcinfo, 0, "mode"));
	char	   *prefix = PG_ARGISNULL(1) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(1));
	const ChatTables *tables = chatroom_prefix(prefix);
	bool		members = strcmp(mode, "members") == 0;

	PreventCommandIfReadOnly("chatroom.set_access()");
	PreventCommandDuringRecovery("chatroom.set_access()");
	if (!members && strcmp(mode, "open") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown access mode \"%s\"", mode),
				 errhint("Modes are open and members.")));
	check_owner(tables);

	/* as COMMENT does; another, or migrate(), may be at it */
	LockRelationOid(tables->rooms, ShareUpdateExclusiveLock);
	tables = chatroom_prefix(prefix);
	check_owner(tables);
	chatroom_require_version(tables, 2);
	if (tables->members_mode == members)
		PG_RETURN_VOID();
	CreateComments(tables->rooms, RelationRelationId, 0,
				   psprintf("chatroom: rooms, version %d%s", tables->version,
							members ? ", access members" : ""));

	/* a comment is nothing that others are told of */
	CacheInvalidateRelcacheByRelid(tables->rooms);
	PG_RETURN_VOID();
}
