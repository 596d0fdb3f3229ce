/*-------------------------------------------------------------------------
 *
 * watch.c
 *	  Making and removing watches.
 *
 * chatroom.watch turns its arguments into triggers (base/watches.c says which)
 * by statements built here, run with the caller's rights.  A call that would
 * change nothing changes nothing: it takes no lock, and no topic is reset; so
 * an application may call it whenever it starts.
 *
 * Locking: relation names are resolved without lock, rights are checked, then
 * the relation is locked as CREATE or DROP TRIGGER does, and all is checked
 * again.  Labels are unique in the database: who makes a labelled watch holds
 * a lock on the trigger function until its transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "base/arguments.h"
#include "base/assoc.h"
#include "base/compat.h"
#include "base/distributed.h"
#include "base/table.h"
#include "base/memory.h"
#include "base/owner.h"
#include "base/spelling.h"
#include "base/values.h"
#include "cache/interest.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "rewrite/prs2lock.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"
#include "write/condition.h"
#include "write/emit.h"
#include "write/labels.h"
#include "write/tree.h"
#include "write/watch.h"

CHATROOM_FUNCTION(chatroom_watch);
CHATROOM_FUNCTION(chatroom_watch_assocs);
CHATROOM_FUNCTION(chatroom_unwatch);
CHATROOM_FUNCTION(chatroom_list_watches);
CHATROOM_FUNCTION(chatroom_installed);

static const struct
{
	const char *name;
	int			event;
}			event_names[] = {
	{"insert", WATCH_INSERT}, {"update", WATCH_UPDATE},
	{"delete", WATCH_DELETE}, {"truncate", WATCH_TRUNCATE}
};


/* ------------------------------------------------------------- relations */

/* Why a kind of relation can't be watched, NULL if it can. */
static const char *
unwatchable_kind(Form_pg_class form, const char **hint)
{
	*hint = NULL;
	switch (form->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			break;
		case RELKIND_VIEW:
			*hint = "Watch the tables that the view reads.";
			return "This is a view.";
		case RELKIND_MATVIEW:
			*hint = "Watch the tables that the view reads.";
			return "This is a materialized view.";
		case RELKIND_FOREIGN_TABLE:
			*hint = "Watch the table on its own server.";
			return "This is a foreign table: others change it unseen.";
		default:
			return "This is not a table.";
	}
	if (form->relpersistence == RELPERSISTENCE_TEMP)
		return "Temporary tables are seen by their own session only.";
	if (form->relpersistence == RELPERSISTENCE_UNLOGGED)
	{
		*hint = "Use ALTER TABLE ... SET LOGGED.";
		return "Unlogged tables are emptied by a crash, without an event.";
	}
	if (form->relispartition)
	{
		*hint = "Watch the partitioned table.";
		return "This is a partition.";
	}
	return NULL;
}

/* Refuse all but the owner of a table. */
void
chatroom_require_owner(Oid relid)
{
	if (!ChatroomOwnsRelation(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
}

/* Check a table that the caller means to change; see watch.h. */
void
chatroom_check_table(Oid relid, void (*refuse) (Oid, Form_pg_class))
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	refuse(relid, (Form_pg_class) GETSTRUCT(tuple));
	chatroom_require_owner(relid);
	ReleaseSysCache(tuple);
}

/* Is this a relation of the system? */
bool
chatroom_is_system(Oid relid, Form_pg_class form)
{
	return IsSystemClass(relid, form) || relid < FirstNormalObjectId;
}

/* Refuse what can't be watched. */
static void
refuse_unwatchable(Oid relid, Form_pg_class form)
{
	const char *hint;
	const char *why = unwatchable_kind(form, &hint);

	if (why == NULL && chatroom_is_system(relid, form))
		why = "This is a system catalog.";
	if (why != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot watch \"%s\"", NameStr(form->relname)),
				 errdetail_internal("%s", why),
				 hint ? errhint("%s", hint) : 0));
	chatroom_refuse_distributed(relid);
}

/* Find a relation by its name, and check that the caller may watch it. */
Oid
chatroom_watchable_relation(text *name)
{
	Oid			relid = chatroom_named_relation(name, false);

	chatroom_check_table(relid, refuse_unwatchable);
	return relid;
}

/* Lock a relation as long as the transaction; check that it still is there. */
static void
lock_relation(Oid relid, LOCKMODE mode)
{
	LockRelationOid(relid, mode);
	chatroom_check_table(relid, refuse_unwatchable);
}

/* ------------------------------------------------------------- arguments */

/* The column numbers of an array of names; ascending, none twice. */
static List *
array_columns(Oid relid, ArrayType *array, const char *argument)
{
	Bitmapset  *set = NULL;
	List	   *columns = NIL;
	ListCell   *lc;
	int			attnum = -1;

	foreach(lc, chatroom_array_texts(array, argument))
	{
		char	   *name = lfirst(lc);
		HeapTuple	tuple = SearchSysCacheAttName(relid, name);

		if (!HeapTupleIsValid(tuple))
			chatroom_no_column(name, get_rel_name(relid), argument);
		attnum = ((Form_pg_attribute) GETSTRUCT(tuple))->attnum;
		if (attnum < 0 ||
			ChatroomIsVirtual((Form_pg_attribute) GETSTRUCT(tuple)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("column \"%s\" can't be in %s", name, argument),
					 errdetail("Events have no system columns and no virtual generated columns.")));
		ReleaseSysCache(tuple);
		if (bms_is_member(attnum, set))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" is more than once in %s",
							name, argument)));
		set = bms_add_member(set, attnum);
	}
	attnum = -1;
	while ((attnum = bms_next_member(set, attnum)) >= 0)
		columns = lappend_int(columns, attnum);
	return columns;
}

/* The same for an argument that must name columns if it is given. */
static List *
some_columns(Oid relid, ArrayType *array, const char *argument)
{
	List	   *columns = array_columns(relid, array, argument);

	if (columns == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", argument),
				 errhint("Leave it out, or NULL, for all columns.")));
	return columns;
}

/* Columns that are to make topics: not more than an event has room for. */
static List *
some_topic_columns(Oid relid, ArrayType *array)
{
	List	   *columns = array_columns(relid, array, "topic_columns");
	ListCell   *lc;

	foreach(lc, columns)
		if (!chatroom_column_one_spelling(relid, lfirst_int(lc)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("column \"%s\" can't make topics",
							get_attname(relid, lfirst_int(lc), false)),
					 errdetail("Its type or collation has equal values that are spelled differently, and a topic has one spelling."),
					 errhint("Follow the table's topic; or give the column another type: numeric(p,s) in place of numeric, or a text that is kept in lower case.")));
	if (list_length(columns) > CHATROOM_MAX_TOPIC_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("topic_columns must not have more than %d columns",
						CHATROOM_MAX_TOPIC_COLUMNS),
				 errhint("Make a second watch, with a label, for the others.")));
	return columns;
}

/* The events of an array. */
static int
array_events(ArrayType *array)
{
	int			events = 0;
	ListCell   *lc;

	foreach(lc, chatroom_array_texts(array, "events"))
	{
		char	   *name = lfirst(lc);
		int			event = 0;

		for (int i = 0; i < lengthof(event_names); i++)
			if (strcmp(event_names[i].name, name) == 0)
				event = event_names[i].event;
		if (event == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown event \"%s\"", name),
					 errhint("Events are insert, update, delete and truncate.")));
		if (events & event)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("event \"%s\" is more than once in events", name)));
		events |= event;
	}
	if (events == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("events must not be empty"),
				 errhint("Use chatroom.unwatch() to end a watch.")));
	return events;
}

/* Are big numbers to be sent as strings? */
static bool
big_numbers_text(const char *value)
{
	if (strcmp(value, "text") != 0 && strcmp(value, "number") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown value \"%s\" of big_numbers", value),
				 errhint("It is number, or text for strings.")));
	return strcmp(value, "text") == 0;
}

/* Refuse what can't be a label. */
static void
check_label(const char *label)
{
	const char *detail;

	if (label != NULL && !chatroom_label_valid(label, &detail))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" can't be a label", label),
				 errdetail_internal("%s", detail)));
}

/* A condition as it is written in WHEN. */
static char *
when_text(Oid relid, const char *condition)
{
	Node	   *expr = chatroom_parse_condition(relid, condition,
												"condition of a watch");
	int			nest_level = chatroom_fix_settings();
	char	   *text;

	text = chatroom_condition_text(relid, expr, 1, true);
	AtEOXact_GUC(true, nest_level);
	return text;
}

/* ------------------------------------------------------- making a watch */

/* Is a stored condition the one that is wanted? */
static bool
same_condition(const WatchInfo *watch, const char *condition)
{
	int			nest_level;
	char	   *text;

	if (watch->condition == NULL || condition == NULL)
		return watch->condition == NULL && condition == NULL;
	nest_level = chatroom_fix_settings();
	text = chatroom_condition_text(watch->relid, watch->condition,
								   PRS2_NEW_VARNO, true);
	AtEOXact_GUC(true, nest_level);
	return strcmp(text, condition) == 0;
}

/* Are a set and a list of columns the same? */
static bool
same_columns(const Bitmapset *set, const List *columns)
{
	ListCell   *lc;

	if (bms_num_members(set) != list_length(columns))
		return false;
	foreach(lc, columns)
		if (!bms_is_member(lfirst_int(lc), set))
			return false;
	return true;
}

/* Is a watch already what it is to be? */
static bool
same_watch(const WatchInfo *watch, const WatchOptions *options)
{
	if (watch->broken || !watch->enabled ||
		watch->events != options->events ||
		watch->always != options->always ||
		watch->big_numbers_text != options->big_numbers_text ||
		watch->all_columns != (options->columns == NIL) ||
		watch->any_column != (options->trigger_columns == NIL) ||
		watch->default_topics != options->default_topics ||
		watch->nextra != options->nextra ||
		watch->audience != options->audience ||
		watch->cascade != options->cascade ||
		!same_columns(watch->columns, options->columns) ||
		!same_columns(watch->trigger_columns, options->trigger_columns) ||
		!same_condition(watch, options->condition))
		return false;
	for (int i = 0; i < watch->nextra; i++)
		if (watch->extra[i].attnum != options->extra[i].attnum ||
			strcmp(watch->extra[i].name, options->extra[i].name) != 0)
			return false;
	if (list_length(options->topic_columns) != watch->ntopics)
		return false;
	for (int i = 0; i < watch->ntopics; i++)
		if (list_nth_int(options->topic_columns, i) != watch->topics[i])
			return false;
	return true;
}

/* Has a relation a main trigger of a label, be it as it may? */
static bool
has_watch(Oid relid, const char *label)
{
	Oid			emit = chatroom_trigger_function("emit");
	ListCell   *lc;

	foreach(lc, chatroom_relation_triggers(relid))
	{
		TriggerRow *trigger = lfirst(lc);

		if (trigger->function == emit && !OidIsValid(trigger->parentid) &&
			trigger->nargs > 0 && !chatroom_trigger_is_child(trigger) &&
			strcmp(trigger->args[0], label ? label : "") == 0)
			return true;
	}
	return false;
}

/* Refuse a label that is in use. */
static void
check_label_is_free(Oid relid, const char *label)
{
	Oid			other;

	chatroom_lock_labels();
	if (OidIsValid(chatroom_label_trigger(label, &other)) && other != relid)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("label \"%s\" is in use", label),
				 errdetail("It is a label of table \"%s\".",
						   get_rel_name(other)),
				 errhint("Choose another label.")));
	if (!has_watch(relid, label))
		chatroom_check_label_free(label);
}

/* Refuse to take over a trigger of somebody else's by its name. */
static void
check_name_is_free(Oid relid, const char *name)
{
	ListCell   *lc;

	foreach(lc, chatroom_relation_triggers(relid))
	{
		TriggerRow *trigger = lfirst(lc);

		if (strcmp(trigger->name, name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("table \"%s\" already has a trigger \"%s\"",
							get_rel_name(relid), name),
					 errhint("Rename that trigger, or choose another label.")));
	}
}

/* Append "a", "b" of a list of columns. */
static void
append_columns(StringInfo buf, Oid relid, const List *columns)
{
	ListCell   *lc;

	foreach(lc, columns)
		appendStringInfo(buf, "%s%s", lc == list_head(columns) ? "" : ", ",
						 quote_identifier(get_attname(relid, lfirst_int(lc),
													  false)));
}

/* Create and disable a holder. */
static void
make_holder(const WatchOptions *options, const char *kind,
			const List *columns, const char *when)
{
	StringInfoData sql;
	char	   *name = chatroom_trigger_name(options->label, kind);
	char	   *relation = chatroom_quote_relation(options->relid);

	check_name_is_free(options->relid, name);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TRIGGER %s AFTER ", name);
	if (when != NULL)
		appendStringInfo(&sql, "INSERT ON %s FOR EACH ROW WHEN (%s)",
						 relation, when);
	else
	{
		appendStringInfoString(&sql, "UPDATE OF ");
		append_columns(&sql, options->relid, columns);
		appendStringInfo(&sql, " ON %s FOR EACH STATEMENT", relation);
	}
	appendStringInfo(&sql, " EXECUTE FUNCTION chatroom.watch_option(%s, %s)",
					 quote_literal_cstr(kind),
					 quote_literal_cstr(options->label ? options->label : ""));
	chatroom_run_ddl(sql.data, InvalidOid);
	chatroom_run_ddl(psprintf("ALTER TABLE %s DISABLE TRIGGER %s",
							  relation, name), InvalidOid);
}

/* Append "INSERT OR UPDATE". */
static void
append_events(StringInfo buf, int events)
{
	bool		first = true;

	for (int i = 0; i < lengthof(event_names); i++)
	{
		if ((events & event_names[i].event) == 0)
			continue;
		appendStringInfo(buf, "%s%s", first ? "" : " OR ",
						 event_names[i].name);
		first = false;
	}
}

/* The columns of extra topics, each once, in the order of the topics. */
static List *
extra_columns(const WatchOptions *options)
{
	List	   *columns = NIL;

	for (int i = 0; i < options->nextra; i++)
		if (options->extra[i].attnum > 0)
			columns = list_append_unique_int(columns,
											 options->extra[i].attnum);
	if (options->cascade > 0)
		columns = list_append_unique_int(columns, options->cascade);
	return columns;
}

/* The number that a column has among these. */
static int
extra_column_number(const List *columns, AttrNumber attnum)
{
	for (int i = 0; i < list_length(columns); i++)
		if (list_nth_int(columns, i) == attnum)
			return i + 1;
	return 0;
}

/* Append the arguments of the main trigger. */
static void
append_arguments(StringInfo buf, const WatchOptions *options)
{
	List	   *extra = extra_columns(options);

	appendStringInfoString(buf, quote_literal_cstr(options->label ?
												   options->label : ""));
	if (options->events != WATCH_ALL_EVENTS)
	{
		bool		first = true;

		appendStringInfoString(buf, ", 'events=");
		for (int i = 0; i < lengthof(event_names); i++)
		{
			if ((options->events & event_names[i].event) == 0)
				continue;
			appendStringInfo(buf, "%s%s", first ? "" : ",",
							 event_names[i].name);
			first = false;
		}
		appendStringInfoChar(buf, '\'');
	}
	if (options->columns != NIL)
		appendStringInfoString(buf, ", '" HOLDER_COLUMNS "'");
	if (options->trigger_columns != NIL)
		appendStringInfoString(buf, ", '" HOLDER_TRIGGER_COLUMNS "'");
	if (!options->default_topics)
		appendStringInfoString(buf, options->topic_columns != NIL ?
							   ", '" HOLDER_TOPIC_COLUMNS "'" :
							   ", 'topic_columns=none'");
	if (options->condition != NULL)
		appendStringInfoString(buf, ", '" HOLDER_CONDITION "'");
	if (options->big_numbers_text)
		appendStringInfoString(buf, ", 'big_numbers=text'");
	if (extra != NIL)
		appendStringInfoString(buf, ", '" HOLDER_EXTRA_COLUMNS "'");
	for (int i = 0; i < options->nextra; i++)
	{
		appendStringInfo(buf, ", 'topic=%s", options->extra[i].name);
		if (options->extra[i].attnum > 0)
			appendStringInfo(buf, "{%d}",
							 extra_column_number(extra,
												 options->extra[i].attnum));
		appendStringInfoChar(buf, '\'');
	}
	if (options->audience)
		appendStringInfoString(buf, ", 'audience'");
	if (options->cascade > 0)
		appendStringInfo(buf, ", 'cascade={%d}'",
						 extra_column_number(extra, options->cascade));
}

/*
 * Create the main trigger.  A row that moves to another partition is a delete
 * and an insert to triggers: on partitioned tables it fires for all, and the
 * arguments tell which events are wanted.  It is also what a watch for
 * TRUNCATE alone stands in.
 */
static void
make_main_trigger(const WatchOptions *options)
{
	char	   *name = chatroom_trigger_name(options->label, NULL);
	int			events = options->events & WATCH_ROW_EVENTS;
	StringInfoData sql;

	if (events == 0)
		events = WATCH_DELETE;
	else if (get_rel_relkind(options->relid) == RELKIND_PARTITIONED_TABLE)
		events = WATCH_ROW_EVENTS;
	check_name_is_free(options->relid, name);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TRIGGER %s AFTER ", name);
	append_events(&sql, events);
	appendStringInfo(&sql, " ON %s FOR EACH ROW EXECUTE FUNCTION chatroom.emit(",
					 chatroom_quote_relation(options->relid));
	append_arguments(&sql, options);
	appendStringInfoChar(&sql, ')');
	chatroom_run_ddl(sql.data, InvalidOid);
	if (options->always)
		chatroom_run_ddl(psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s",
								  chatroom_quote_relation(options->relid),
								  name), InvalidOid);
}

/* Drop one trigger of a relation. */
static void
drop_trigger(Oid relid, const char *name)
{
	chatroom_run_ddl(psprintf("DROP TRIGGER %s ON %s", quote_identifier(name),
							  chatroom_quote_relation(relid)), InvalidOid);
}

/* Drop a watch's main trigger and holders. */
static void
drop_triggers(Oid relid, const char *label)
{
	Oid			emit = chatroom_trigger_function("emit");
	Oid			watch_option = chatroom_trigger_function("watch_option");
	ListCell   *lc;

	foreach(lc, chatroom_relation_triggers(relid))
	{
		TriggerRow *trigger = lfirst(lc);
		const char *of = NULL;

		if (OidIsValid(trigger->parentid))
			continue;
		if (trigger->function == emit && trigger->nargs > 0 &&
			!chatroom_trigger_is_child(trigger))
			of = trigger->args[0];
		else if (trigger->function == watch_option && trigger->nargs == 2)
			of = trigger->args[1];
		if (of != NULL && strcmp(of, label ? label : "") == 0)
			drop_trigger(relid, trigger->name);
	}
}

/* Make or change a watch; returns its topic. */
char *
chatroom_make_watch(const WatchOptions *options)
{
	Oid			relid = options->relid;
	WatchInfo	watch;

	if (chatroom_relation_watch(relid, options->label, &watch) &&
		same_watch(&watch, options))
		return watch.base;

	if (options->label != NULL && !has_watch(relid, options->label))
		chatroom_check_label_unused(options->label);
	lock_relation(relid, has_watch(relid, options->label) ?
				  AccessExclusiveLock : ShareRowExclusiveLock);
	if (options->label != NULL)
		check_label_is_free(relid, options->label);
	if (chatroom_relation_watch(relid, options->label, &watch) &&
		same_watch(&watch, options))
		return watch.base;

	drop_triggers(relid, options->label);
	if (options->columns != NIL)
		make_holder(options, HOLDER_COLUMNS, options->columns, NULL);
	if (options->trigger_columns != NIL)
		make_holder(options, HOLDER_TRIGGER_COLUMNS,
					options->trigger_columns, NULL);
	if (!options->default_topics && options->topic_columns != NIL)
		make_holder(options, HOLDER_TOPIC_COLUMNS, options->topic_columns,
					NULL);
	if (extra_columns(options) != NIL)
		make_holder(options, HOLDER_EXTRA_COLUMNS, extra_columns(options),
					NULL);
	if (options->condition != NULL)
		make_holder(options, HOLDER_CONDITION, NIL, options->condition);
	make_main_trigger(options);
	chatroom_settle_tree(relid);

	if (!chatroom_relation_watch(relid, options->label, &watch) ||
		!same_watch(&watch, options))
		elog(ERROR, "watch of table \"%s\" did not come out as asked",
			 get_rel_name(relid));
	chatroom_log_reset(watch.base, RESET_REASON_WATCH);
	return watch.base;
}

/* Remove a watch; false if there is none. */
static bool
remove_watch(Oid relid, const char *label)
{
	if (!has_watch(relid, label))
		return false;
	LockRelationOid(relid, AccessExclusiveLock);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)) ||
		!has_watch(relid, label))
		return false;
	chatroom_log_reset(label ? label : chatroom_relation_base(relid),
					   RESET_REASON_UNWATCH);
	/* the topic may become somebody else's, or nobody's */
	chatroom_rename_channels_at_commit();
	drop_triggers(relid, label);
	chatroom_settle_tree(relid);
	return true;
}

/* --------------------------------------------------------- SQL functions */

/* An argument that may be null, as a C string. */
static char *
optional_text(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i));
}

/* What makes a watch one of the chat's is not for callers to take away. */
static void
keep_chat_options(WatchOptions *options)
{
	WatchInfo	watch;

	if (!chatroom_relation_watch(options->relid, NULL, &watch))
		return;
	options->nextra = watch.nextra;
	memcpy(options->extra, watch.extra, sizeof(options->extra));
	options->audience = watch.audience;
	options->cascade = watch.cascade;
	options->always |= watch.nextra > 0;
}

/* Read what watch() is told. */
static void
read_options(FunctionCallInfo fcinfo, WatchOptions *options)
{
	text	   *relation = chatroom_text_arg(fcinfo, 0, "relation");
	Oid			relid = chatroom_watchable_relation(relation);

	memset(options, 0, sizeof(*options));
	options->relid = relid;
	options->label = optional_text(fcinfo, 1);
	check_label(options->label);
	options->events = PG_ARGISNULL(2) ? WATCH_ALL_EVENTS :
		array_events(PG_GETARG_ARRAYTYPE_P(2));
	if (!PG_ARGISNULL(3))
		options->columns = some_columns(relid, PG_GETARG_ARRAYTYPE_P(3),
										"columns");
	if (!PG_ARGISNULL(4))
		options->trigger_columns = some_columns(relid,
												PG_GETARG_ARRAYTYPE_P(4),
												"trigger_columns");
	if (!PG_ARGISNULL(4) && (options->events & WATCH_UPDATE) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trigger_columns are for updates, which events leaves out"),
				 errhint("Add update to events, or leave out trigger_columns.")));
	options->default_topics = PG_ARGISNULL(5);
	if (!PG_ARGISNULL(5))
		options->topic_columns =
			some_topic_columns(relid, PG_GETARG_ARRAYTYPE_P(5));
	if (!PG_ARGISNULL(6))
	{
		LockRelationOid(relid, AccessShareLock);
		chatroom_check_table(relid, refuse_unwatchable);
		options->condition = when_text(relid, optional_text(fcinfo, 6));
		UnlockRelationOid(relid, AccessShareLock);
	}
	options->big_numbers_text = !PG_ARGISNULL(7) &&
		big_numbers_text(optional_text(fcinfo, 7));
	options->always = !PG_ARGISNULL(8) && PG_GETARG_BOOL(8);
	if (options->label == NULL)
		keep_chat_options(options);
}

/*
 * chatroom.watch(relation text, label text, events text[], columns text[],
 *				  trigger_columns text[], topic_columns text[], condition text,
 *				  big_numbers text, always boolean) returns text
 */
Datum
chatroom_watch(PG_FUNCTION_ARGS)
{
	WatchOptions options;

	PreventCommandIfReadOnly("chatroom.watch()");
	PreventCommandDuringRecovery("chatroom.watch()");
	read_options(fcinfo, &options);
	PG_RETURN_TEXT_P(cstring_to_text(chatroom_make_watch(&options)));
}

/* Watch a table as it is by default, unless it is watched without a label. */
static void
watch_plainly(Oid relid, List **done, List **topics)
{
	WatchOptions options = {0};
	WatchInfo	watch;

	if (list_member_oid(*done, relid))
		return;
	*done = lappend_oid(*done, relid);
	chatroom_check_table(relid, refuse_unwatchable);
	if (chatroom_relation_watch(relid, NULL, &watch) && watch.enabled)
	{
		*topics = lappend(*topics, watch.base);
		return;
	}
	options.relid = relid;
	options.events = WATCH_ALL_EVENTS;
	options.default_topics = true;
	*topics = lappend(*topics, chatroom_make_watch(&options));
}

/* Watch the tables on a path of associations. */
static void
watch_path(Oid relid, const char *path, List **done, List **topics)
{
	ListCell   *lc;
	ListCell   *ls;

	foreach(lc, chatroom_split_path(path))
	{
		TableInfo  *table = chatroom_open_table(relid);
		char	   *name = chatroom_path_name(table, lfirst(lc));
		Assoc	   *named = chatroom_table_assoc(table, name, false);

		CHECK_FOR_INTERRUPTS();

		foreach(ls, chatroom_expand_association(named))
		{
			Assoc	   *assoc = lfirst(ls);

			if (assoc->kind == ASSOC_MANY_TO_MANY)
				watch_plainly(assoc->join, done, topics);
			watch_plainly(assoc->to, done, topics);
			relid = assoc->to;
		}
	}
}

/* chatroom.watch_assocs(relation text, preload text[]) returns text[] */
Datum
chatroom_watch_assocs(PG_FUNCTION_ARGS)
{
	Oid			relid =
		chatroom_watchable_relation(chatroom_text_arg(fcinfo, 0, "relation"));
	List	   *done = NIL;
	List	   *topics = NIL;
	List	   *paths;
	const char *last = NULL;
	Datum	   *elements;
	int			n = 0;
	ListCell   *lc;

	PreventCommandIfReadOnly("chatroom.watch_assocs()");
	PreventCommandDuringRecovery("chatroom.watch_assocs()");
	chatroom_require_argument(fcinfo, 1, "preload");
	watch_plainly(relid, &done, &topics);
	paths = chatroom_array_texts(PG_GETARG_ARRAYTYPE_P(1), "preload");
	foreach(lc, paths)
	{
		if (last == NULL || strcmp(last, lfirst(lc)) != 0)
			watch_path(relid, lfirst(lc), &done, &topics);
		last = lfirst(lc);
	}

	elements = palloc(sizeof(Datum) * list_length(topics));
	foreach(lc, topics)
		elements[n++] = CStringGetTextDatum(lfirst(lc));
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, n, TEXTOID, -1, false,
										  TYPALIGN_INT));
}

/* chatroom.unwatch(relation text, label text) returns void */
Datum
chatroom_unwatch(PG_FUNCTION_ARGS)
{
	text	   *relation = chatroom_text_arg(fcinfo, 0, "relation");
	char	   *label = optional_text(fcinfo, 1);
	Oid			relid;

	PreventCommandIfReadOnly("chatroom.unwatch()");
	PreventCommandDuringRecovery("chatroom.unwatch()");
	relid = chatroom_named_relation(relation, false);
	chatroom_require_owner(relid);
	if (!remove_watch(relid, label))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 label ?
				 errmsg("table \"%s\" is not watched with label \"%s\"",
						get_rel_name(relid), label) :
				 errmsg("table \"%s\" is not watched without a label",
						get_rel_name(relid)),
				 errhint("View chatroom.watches lists the watches.")));
	PG_RETURN_VOID();
}

/* The names of columns as text[]. */
static Datum
columns_array(Oid relid, const List *columns)
{
	Datum	   *names = palloc(sizeof(Datum) * Max(list_length(columns), 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, columns)
	{
		char	   *name = get_attname(relid, lfirst_int(lc), true);

		if (name != NULL)
			names[n++] = CStringGetTextDatum(name);
	}
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/* A set of columns as a list. */
static List *
set_list(const Bitmapset *set)
{
	List	   *columns = NIL;
	int			attnum = -1;

	while ((attnum = bms_next_member(set, attnum)) >= 0)
		columns = lappend_int(columns, attnum);
	return columns;
}

/* The names of events as text[]. */
static Datum
events_array(int events)
{
	Datum		names[lengthof(event_names)];
	int			n = 0;

	for (int i = 0; i < lengthof(event_names); i++)
		if (events & event_names[i].event)
			names[n++] = CStringGetTextDatum(event_names[i].name);
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/* May the user know of a relation's watches, rules and associations? */
bool
chatroom_may_see(Oid relid)
{
	Oid			user = GetUserId();

	return pg_class_aclcheck(relid, user, ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck_all(relid, user, ACL_SELECT,
								  ACLMASK_ANY) == ACLCHECK_OK ||
		ChatroomOwnsRelation(relid, user);
}

/* chatroom.list_watches(): the rows of the view chatroom.watches */
Datum
chatroom_list_watches(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, chatroom_all_watches())
	{
		WatchInfo  *watch = lfirst(lc);
		Oid			relid = watch->relid;
		char	   *base = chatroom_relation_base(relid);
		Datum		values[11] = {0};
		bool		nulls[11] = {false};

		if (base == NULL || !chatroom_may_see(relid))
			continue;
		values[0] = CStringGetTextDatum(base);
		nulls[1] = watch->label == NULL;
		if (watch->label != NULL)
			values[1] = CStringGetTextDatum(watch->label);
		values[2] = CStringGetTextDatum(watch->base);
		values[3] = events_array(watch->events);
		nulls[4] = watch->all_columns;
		values[4] = columns_array(relid, set_list(watch->columns));
		nulls[5] = watch->any_column;
		values[5] = columns_array(relid, set_list(watch->trigger_columns));
		values[6] = columns_array(relid, chatroom_topic_columns(watch));
		nulls[7] = watch->condition == NULL;
		if (watch->condition != NULL)
			values[7] =
				CStringGetTextDatum(chatroom_condition_text(relid,
															watch->condition,
															PRS2_NEW_VARNO,
															false));
		values[8] = CStringGetTextDatum(watch->big_numbers_text ? "text" :
										"number");
		values[9] = BoolGetDatum(watch->always);
		values[10] = BoolGetDatum(watch->enabled);
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}

/*
 * Called by the install script, and dropped by it: events may have been
 * emitted and not, while the extension wasn't there.
 */
Datum
chatroom_installed(PG_FUNCTION_ARGS)
{
	chatroom_log_database_reset(RESET_REASON_INSTALL);
	PG_RETURN_VOID();
}
