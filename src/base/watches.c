/*-------------------------------------------------------------------------
 *
 * watches.c
 *	  What the catalog says about watches.
 *
 * A watch consists of triggers of the watched relation:
 *
 * - The main trigger, a row trigger of chatroom.emit.  Its arguments are the
 *	 label (or '') and options: "events=...", "big_numbers=text",
 *	 "topic_columns=none", "topic=...", "audience", "cascade=..." and the kinds
 *	 of holders there are.  PostgreSQL clones it to partitions.
 * - Holders: triggers of chatroom.watch_option, which does nothing, created
 *	 and disabled.  Their arguments are their kind and the label.  A list of
 *	 columns is the UPDATE OF of a holder, the condition is the WHEN of one: so
 *	 they follow renames and dumps.  A column that is dropped goes from such
 *	 a list (write/altered.c); one of the condition, with CASCADE, takes the
 *	 holder along; the main trigger's arguments tell that it existed, and
 *	 then the watch is broken: it shows keys only, never more than asked for.
 * - TRUNCATE triggers, of chatroom.emit_truncate with the label, on the
 *	 relation and all below it.
 * - On inheritance children, which row triggers are not cloned to: triggers of
 *	 chatroom.emit with the label and "child".  They stand for the watches of
 *	 that label on all of the child's ancestors.
 *
 * Reading goes by pg_trigger, without a lock on the watched relation: a reader
 * of events must not wait for somebody's DDL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/compat.h"
#include "base/dependents.h"
#include "base/invalidation.h"
#include "base/spelling.h"
#include "base/watches.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "nodes/nodes.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* ----------------------------------------------------------- pg_trigger */

/* The oid of one of our trigger functions; InvalidOid where it is missing. */
Oid
chatroom_trigger_function(const char *name)
{
	Oid			schema = get_namespace_oid(CHATROOM_SCHEMA, true);
	oidvector  *no_arguments;

	if (!OidIsValid(schema))
		return InvalidOid;
	no_arguments = buildoidvector(NULL, 0);
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name),
						   PointerGetDatum(no_arguments),
						   ObjectIdGetDatum(schema));
}

/* Split tgargs into its texts. */
static char **
split_arguments(bytea *packed, int nargs)
{
	char	   *data = VARDATA_ANY(packed);
	char	   *end = data + VARSIZE_ANY_EXHDR(packed);
	char	  **args = palloc0(sizeof(char *) * Max(nargs, 1));

	for (int i = 0; i < nargs; i++)
	{
		int			len = strnlen(data, end - data);

		args[i] = pnstrdup(data, len);
		data += Min(len + 1, end - data);
	}
	return args;
}

/* Copy what matters of a row of pg_trigger. */
static TriggerRow *
read_trigger(HeapTuple tuple, TupleDesc tupdesc)
{
	Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
	TriggerRow *row = palloc0(sizeof(TriggerRow));
	Datum		datum;
	bool		isnull;

	row->oid = form->oid;
	row->relid = form->tgrelid;
	row->parentid = form->tgparentid;
	row->function = form->tgfoid;
	row->name = pstrdup(NameStr(form->tgname));
	row->enabled = form->tgenabled;
	row->type = form->tgtype;
	row->nargs = form->tgnargs;
	datum = heap_getattr(tuple, Anum_pg_trigger_tgargs, tupdesc, &isnull);
	if (isnull)
		row->nargs = 0;
	row->args = split_arguments(isnull ?
								(bytea *) cstring_to_text("") :
								DatumGetByteaPP(datum), row->nargs);
	row->ncolumns = form->tgattr.dim1;
	row->columns = palloc(sizeof(AttrNumber) * Max(row->ncolumns, 1));
	for (int i = 0; i < row->ncolumns; i++)
		row->columns[i] = form->tgattr.values[i];
	datum = heap_getattr(tuple, Anum_pg_trigger_tgqual, tupdesc, &isnull);
	if (!isnull)
		row->qual = TextDatumGetCString(datum);
	return row;
}

/* A trigger by its oid, NULL if there is none; snapshot NULL: as of now. */
TriggerRow *
chatroom_get_trigger(Oid triggerid, Snapshot snapshot)
{
	TriggerRow *row = NULL;
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(triggerid));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, snapshot,
							  1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		row = read_trigger(tuple, RelationGetDescr(catalog));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return row;
}

/* All triggers of a function, as TriggerRow, oldest first; no clones. */
List *
chatroom_function_triggers(Oid function)
{
	List	   *rows = NIL;
	ListCell   *lc;

	if (!OidIsValid(function))
		return NIL;
	foreach(lc, chatroom_dependents(ProcedureRelationId, function,
									TriggerRelationId, NULL))
	{
		TriggerRow *row = chatroom_get_trigger(lfirst_oid(lc), NULL);

		if (row != NULL && row->function == function &&
			!OidIsValid(row->parentid))
			rows = lappend(rows, row);
	}
	return rows;
}

/* Order triggers by their age. */
static int
compare_triggers(const ListCell *a, const ListCell *b)
{
	Oid			left = ((TriggerRow *) lfirst(a))->oid;
	Oid			right = ((TriggerRow *) lfirst(b))->oid;

	return left < right ? -1 : left > right;
}

/* All triggers of a relation, as TriggerRow, oldest first. */
List *
chatroom_relation_triggers(Oid relid)
{
	List	   *rows = NIL;
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, NULL,
							  1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		/* those of foreign keys are many, and nothing to us */
		if (!((Form_pg_trigger) GETSTRUCT(tuple))->tgisinternal)
			rows = lappend(rows,
						   read_trigger(tuple, RelationGetDescr(catalog)));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	list_sort(rows, compare_triggers);
	return rows;
}

/* --------------------------------------------------------------- labels */

/* A label, and the main trigger that has it. */
typedef struct Label
{
	char	   *label;
	Oid			triggerid;
	Oid			relid;
} Label;

/*
 * The labels of the database, oldest trigger first.  Making or dropping a
 * trigger invalidates its table's relcache entry; then this is read again.
 */
static MemoryContext labels_context = NULL;
static List *labels = NIL;
static bool labels_valid = false;
static uint64 label_invalidations = 0;

/* Any table may have got a trigger. */
static void
invalidate_labels(Oid relid)
{
	labels_valid = false;
	label_invalidations++;
}

/* Read the labels. */
static void
read_labels(void)
{
	List	   *triggers;
	MemoryContext caller;
	uint64		before;
	ListCell   *lc;

	if (labels_context == NULL)
	{
		labels_context = AllocSetContextCreate(TopMemoryContext,
											   "chatroom labels",
											   ALLOCSET_SMALL_SIZES);
		chatroom_on_relation_change(invalidate_labels);
	}

	/* what is invalidated while reading counts */
	before = label_invalidations;
	triggers = chatroom_function_triggers(chatroom_trigger_function("emit"));
	labels = NIL;
	MemoryContextReset(labels_context);
	caller = MemoryContextSwitchTo(labels_context);
	foreach(lc, triggers)
	{
		TriggerRow *trigger = lfirst(lc);
		char	   *label = chatroom_trigger_label(trigger);
		Label	   *entry;

		if (label == NULL || chatroom_trigger_is_child(trigger))
			continue;
		entry = palloc(sizeof(Label));
		entry->label = pstrdup(label);
		entry->triggerid = trigger->oid;
		entry->relid = trigger->relid;
		labels = lappend(labels, entry);
	}
	MemoryContextSwitchTo(caller);
	labels_valid = before == label_invalidations;
}

/* The main trigger that has a label: the oldest, if there are several. */
Oid
chatroom_label_trigger(const char *label, Oid *relid)
{
	ListCell   *lc;

	if (!labels_valid)
		read_labels();
	foreach(lc, labels)
	{
		Label	   *entry = lfirst(lc);

		if (strcmp(entry->label, label) != 0)
			continue;
		if (relid != NULL)
			*relid = entry->relid;
		return entry->triggerid;
	}
	return InvalidOid;
}

/* All labels of the database; see watches.h. */
List *
chatroom_all_labels(void)
{
	List	   *texts = NIL;
	ListCell   *lc;

	if (!labels_valid)
		read_labels();
	foreach(lc, labels)
		texts = lappend(texts, pstrdup(((Label *) lfirst(lc))->label));
	return texts;
}

/* -------------------------------------------------------------- watches */

/* The label that a trigger's arguments begin with; NULL: none. */
char *
chatroom_trigger_label(const TriggerRow *trigger)
{
	if (trigger->nargs < 1 || trigger->args[0][0] == '\0')
		return NULL;
	return trigger->args[0];
}

/* Is this trigger the copy that an inheritance child has? */
bool
chatroom_trigger_is_child(const TriggerRow *trigger)
{
	return trigger->nargs == 2 && strcmp(trigger->args[1], "child") == 0;
}

/* The text after "name=", or NULL if it is another argument. */
static const char *
option_value(const char *argument, const char *name)
{
	int			len = strlen(name);

	if (strncmp(argument, name, len) == 0 && argument[len] == '=')
		return argument + len + 1;
	return NULL;
}

/* Read "events=insert,update"; 0 for what is none. */
static int
parse_events(const char *text)
{
	static const struct
	{
		const char *name;
		int			event;
	}			names[] = {
		{"insert", WATCH_INSERT}, {"update", WATCH_UPDATE},
		{"delete", WATCH_DELETE}, {"truncate", WATCH_TRUNCATE}
	};
	int			events = 0;

	for (;;)
	{
		int			len = strcspn(text, ",");
		int			event = 0;

		for (int i = 0; i < lengthof(names); i++)
			if (strlen(names[i].name) == len &&
				strncmp(names[i].name, text, len) == 0)
				event = names[i].event;
		if (event == 0)
			return 0;
		events |= event;
		if (text[len] == '\0')
			return events;
		text += len + 1;
	}
}

/* Read "{2}": a number of one of the extra columns; 0 for what is none. */
static int
parse_column(const char *text)
{
	char	   *end;
	long		column;

	if (text[0] != '{')
		return 0;
	column = strtol(text + 1, &end, 10);
	return column > 0 && column <= MaxHeapAttributeNumber &&
			strcmp(end, "}") == 0 ?
		(int) column :
		0;
}

/*
 * Read an extra topic: its name, and in braces which of the extra columns'
 * values follows.  Only names that the chat's own topics have are taken:
 * else whoever owns a table could speak in any topic.
 */
static bool
parse_extra(const char *text, WatchTopic *topic, int *column)
{
	int			len = strcspn(text, "{");

	topic->name = pnstrdup(text, len);
	topic->attnum = 0;
	*column = 0;
	if (strcmp(topic->name, "room:") == 0)
	{
		*column = parse_column(text + len);
		return *column > 0;
	}
	return text[len] == '\0' &&
		(strcmp(topic->name, "rooms") == 0 || strcmp(topic->name, "*") == 0);
}

/* The holder of a kind and label among a relation's triggers. */
static TriggerRow *
find_holder(List *triggers, Oid function, const char *kind,
			const char *label)
{
	ListCell   *lc;

	foreach(lc, triggers)
	{
		TriggerRow *row = lfirst(lc);

		if (row->function == function && row->nargs == 2 &&
			!OidIsValid(row->parentid) &&
			strcmp(row->args[0], kind) == 0 &&
			strcmp(row->args[1], label ? label : "") == 0)
			return row;
	}
	return NULL;
}

/* A holder's columns as a set. */
static Bitmapset *
holder_columns(const TriggerRow *holder)
{
	Bitmapset  *set = NULL;

	for (int i = 0; i < holder->ncolumns; i++)
		set = bms_add_member(set, holder->columns[i]);
	return set;
}

/* Take over one holder's content. */
static void
apply_holder(WatchInfo *watch, const char *kind, const TriggerRow *holder,
			 const int *extra_columns, int cascade_column)
{
	watch->holders = lappend(watch->holders, holder->name);
	if (strcmp(kind, HOLDER_COLUMNS) == 0)
	{
		watch->all_columns = false;
		watch->columns = holder_columns(holder);
	}
	else if (strcmp(kind, HOLDER_TRIGGER_COLUMNS) == 0)
	{
		watch->any_column = false;
		watch->trigger_columns = holder_columns(holder);
	}
	else if (strcmp(kind, HOLDER_TOPIC_COLUMNS) == 0)
	{
		Bitmapset  *set = holder_columns(holder);
		int			attnum = -1;

		watch->default_topics = false;
		while ((attnum = bms_next_member(set, attnum)) >= 0 &&
			   watch->ntopics < CHATROOM_MAX_TOPIC_COLUMNS)
			watch->topics[watch->ntopics++] = attnum;
	}
	else if (strcmp(kind, HOLDER_CONDITION) == 0)
		watch->condition = holder->qual ? stringToNode(holder->qual) : NULL;
	else
	{
		for (int i = 0; i < watch->nextra; i++)
		{
			if (extra_columns[i] > holder->ncolumns)
				watch->broken = true;
			else if (extra_columns[i] > 0)
				watch->extra[i].attnum =
					holder->columns[extra_columns[i] - 1];
		}
		if (cascade_column > 0 && cascade_column <= holder->ncolumns)
			watch->cascade = holder->columns[cascade_column - 1];
	}
}

/* Show keys only: what was asked for is not known any more. */
static void
break_watch(WatchInfo *watch)
{
	watch->broken = true;
	watch->all_columns = false;
	watch->columns = NULL;
	watch->any_column = true;
	watch->trigger_columns = NULL;
	watch->default_topics = false;
	watch->ntopics = 0;
	watch->condition = NULL;
	watch->nextra = 0;
	watch->cascade = 0;
}

/*
 * Read a watch from its main trigger and the relation's others.  False when
 * the arguments are not of our making, or the label isn't one or is that of an
 * older watch: anybody may write CREATE TRIGGER, but not speak for others.
 */
static bool
read_watch(const TriggerRow *trigger, List *triggers, WatchInfo *watch)
{
	static const char *const kinds[] = {
		HOLDER_COLUMNS, HOLDER_TRIGGER_COLUMNS, HOLDER_TOPIC_COLUMNS,
		HOLDER_EXTRA_COLUMNS, HOLDER_CONDITION
	};
	bool		wanted[lengthof(kinds)] = {false};
	int			extra_columns[CHATROOM_MAX_EXTRA] = {0};
	int			cascade_column = 0;
	Oid			option_function = chatroom_trigger_function("watch_option");

	memset(watch, 0, sizeof(*watch));
	watch->relid = trigger->relid;
	watch->triggerid = trigger->oid;
	watch->trigger = trigger->name;
	watch->label = chatroom_trigger_label(trigger);
	watch->enabled = trigger->enabled == TRIGGER_FIRES_ON_ORIGIN ||
		trigger->enabled == TRIGGER_FIRES_ALWAYS;
	watch->always = trigger->enabled == TRIGGER_FIRES_ALWAYS;
	watch->events = WATCH_ALL_EVENTS;
	watch->all_columns = true;
	watch->any_column = true;
	watch->default_topics = true;
	if (trigger->nargs < 1 || !TRIGGER_FOR_ROW(trigger->type) ||
		!TRIGGER_FOR_AFTER(trigger->type))
		return false;

	for (int i = 1; i < trigger->nargs; i++)
	{
		const char *argument = trigger->args[i];
		const char *value;
		bool		known = false;

		for (int j = 0; j < lengthof(kinds); j++)
			if (strcmp(argument, kinds[j]) == 0)
				known = wanted[j] = true;
		if (known)
			continue;
		if ((value = option_value(argument, "events")) != NULL)
		{
			watch->events = parse_events(value);
			if (watch->events == 0)
				return false;
		}
		else if (strcmp(argument, "big_numbers=text") == 0)
			watch->big_numbers_text = true;
		else if (strcmp(argument, "topic_columns=none") == 0)
			watch->default_topics = false;
		else if (strcmp(argument, "audience") == 0)
			watch->audience = true;
		else if ((value = option_value(argument, "cascade")) != NULL)
		{
			cascade_column = parse_column(value);
			if (cascade_column == 0)
				return false;
		}
		else if ((value = option_value(argument, "topic")) != NULL &&
				 watch->nextra < CHATROOM_MAX_EXTRA)
		{
			if (!parse_extra(value, &watch->extra[watch->nextra],
							 &extra_columns[watch->nextra]))
				return false;
			watch->nextra++;
		}
		else
			return false;
	}

	for (int j = 0; j < lengthof(kinds); j++)
	{
		TriggerRow *holder = find_holder(triggers, option_function, kinds[j],
										 watch->label);

		if (!wanted[j])
			continue;
		if (holder == NULL)
			watch->broken = true;
		else
			apply_holder(watch, kinds[j], holder, extra_columns,
						 cascade_column);
	}
	for (int i = 0; i < watch->nextra; i++)
		if (extra_columns[i] > 0 && watch->extra[i].attnum == 0)
			watch->broken = true;
	if (cascade_column > 0 && watch->cascade == 0)
		watch->broken = true;
	if (watch->broken)
		break_watch(watch);

	if (watch->label != NULL)
	{
		const char *detail;

		watch->base = pstrdup(watch->label);
		return chatroom_label_valid(watch->label, &detail) &&
			chatroom_label_trigger(watch->label, NULL) == trigger->oid;
	}
	watch->base = chatroom_relation_base(watch->relid);
	return watch->base != NULL;
}

/* All watches of a relation, as WatchInfo, oldest first. */
List *
chatroom_relation_watches(Oid relid)
{
	List	   *watches = NIL;
	List	   *triggers;
	Oid			function = chatroom_trigger_function("emit");
	ListCell   *lc;

	if (!OidIsValid(function))
		return NIL;
	triggers = chatroom_relation_triggers(relid);
	foreach(lc, triggers)
	{
		TriggerRow *trigger = lfirst(lc);
		WatchInfo  *watch;

		if (trigger->function != function || OidIsValid(trigger->parentid) ||
			chatroom_trigger_is_child(trigger))
			continue;
		watch = palloc(sizeof(WatchInfo));
		if (read_watch(trigger, triggers, watch))
			watches = lappend(watches, watch);
	}
	return watches;
}

/* All watches of the database. */
List *
chatroom_all_watches(void)
{
	List	   *relations = NIL;
	List	   *watches = NIL;
	List	   *triggers =
		chatroom_function_triggers(chatroom_trigger_function("emit"));
	ListCell   *lc;

	foreach(lc, triggers)
		relations = list_append_unique_oid(relations,
										   ((TriggerRow *) lfirst(lc))->relid);
	foreach(lc, relations)
		watches = list_concat(watches,
							  chatroom_relation_watches(lfirst_oid(lc)));
	return watches;
}

/* The watch of a relation and label; false: there is none. */
bool
chatroom_relation_watch(Oid relid, const char *label, WatchInfo *watch)
{
	ListCell   *lc;

	foreach(lc, chatroom_relation_watches(relid))
	{
		WatchInfo  *candidate = lfirst(lc);

		if (label == NULL ? candidate->label == NULL :
			candidate->label != NULL && strcmp(candidate->label, label) == 0)
		{
			*watch = *candidate;
			return true;
		}
	}
	return false;
}

/* The watch of a topic of the form "base"; false: there is none. */
bool
chatroom_find_watch(const char *base, int len, WatchInfo *watch)
{
	Oid			relid = chatroom_base_relation(base, len);
	char	   *label;

	if (OidIsValid(relid) && chatroom_relation_watch(relid, NULL, watch))
		return true;
	if (len < 1 || len > CHATROOM_MAX_LABEL || memchr(base, '\0', len))
		return false;
	label = pnstrdup(base, len);
	return OidIsValid(chatroom_label_trigger(label, &relid)) &&
		chatroom_relation_watch(relid, label, watch);
}

/* ---------------------------------------------------------------- names */

/* schema.table as topics spell it. */
char *
chatroom_spell_base(const char *schema, const char *table)
{
	StringInfoData buf;

	initStringInfo(&buf);
	chatroom_append_identifier(&buf, schema, strlen(schema));
	appendStringInfoCharMacro(&buf, '.');
	chatroom_append_identifier(&buf, table, strlen(table));
	return buf.data;
}

/* The same for a relation; NULL when there is no such relation. */
char *
chatroom_relation_base(Oid relid)
{
	char	   *name = get_rel_name(relid);
	char	   *schema;

	if (name == NULL)
		return NULL;
	schema = get_namespace_name(get_rel_namespace(relid));
	return schema ? chatroom_spell_base(schema, name) : NULL;
}

/*
 * Take one identifier, as chatroom_append_identifier writes it, off the front
 * of a text.  NULL for what is none.
 */
char *
chatroom_take_identifier(const char **text, const char *end)
{
	StringInfoData buf;
	StringInfoData again;
	const char *start = *text;

	initStringInfo(&buf);
	if (start < end && *start == '"')
	{
		const char *pos = start + 1;

		while (pos < end)
		{
			char		c = *pos++;

			if (c == '"')
			{
				if (pos >= end || *pos != '"')
					break;
				pos++;
			}
			appendStringInfoCharMacro(&buf, c);
		}
		*text = pos;
	}
	else
	{
		const char *pos = start;

		while (pos < end && *pos != '.' && *pos != '/')
			appendStringInfoCharMacro(&buf, *pos++);
		*text = pos;
	}
	if (buf.len == 0 || buf.len >= NAMEDATALEN || strlen(buf.data) != buf.len)
		return NULL;

	/* one spelling only, so that a topic has one name */
	initStringInfo(&again);
	chatroom_append_identifier(&again, buf.data, buf.len);
	if (again.len != *text - start ||
		memcmp(again.data, start, again.len) != 0)
		return NULL;
	return buf.data;
}

/* The relation of schema.table, spelled exactly as topics do. */
Oid
chatroom_base_relation(const char *base, int len)
{
	const char *pos = base;
	const char *end = base + len;
	char	   *schema;
	char	   *name;
	Oid			namespace;

	schema = chatroom_take_identifier(&pos, end);
	if (schema == NULL || pos >= end || *pos++ != '.')
		return InvalidOid;
	name = chatroom_take_identifier(&pos, end);
	if (name == NULL || pos != end)
		return InvalidOid;
	namespace = get_namespace_oid(schema, true);
	return OidIsValid(namespace) ? get_relname_relid(name, namespace) :
		InvalidOid;
}

/*
 * Can this text be a label?  A label must not be taken for what begins the
 * topics of a table, nor for one of the chat's topics.
 */
bool
chatroom_label_valid(const char *label, const char **detail)
{
	int			len = strlen(label);
	char	   *schema = pnstrdup(label, strcspn(label, "."));

	*detail = NULL;
	if (len == 0)
		*detail = "A label is not empty.";
	else if (len > CHATROOM_MAX_LABEL)
		*detail = psprintf("A label has at most %d bytes.",
						   CHATROOM_MAX_LABEL);
	else if (strpbrk(label, ":/*\"{}") != NULL)
		*detail = "A label has none of : / * \" { } in it.";
	else if (strcmp(label, "room") == 0 || strcmp(label, "rooms") == 0)
		*detail = "This is the name of topics of chat rooms.";
	else if (strlen(schema) < NAMEDATALEN &&
			 OidIsValid(get_namespace_oid(schema, true)))
		*detail = psprintf("Topics of tables in schema \"%s\" begin like this.",
						   schema);
	for (int i = 0; i < len && *detail == NULL; i++)
		if ((unsigned char) label[i] < ' ' || label[i] == 0x7F)
			*detail = "A label has no control characters.";
	return *detail == NULL;
}

/* How an extra topic's text begins, in the schema of its relation. */
char *
chatroom_extra_prefix(Oid relid, const WatchTopic *topic)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relid));
	StringInfoData buf;

	if (schema == NULL)
		elog(ERROR, "cache lookup failed for schema of relation %u", relid);
	initStringInfo(&buf);
	if (strcmp(schema, "chat") != 0 || strcmp(topic->name, "*") == 0)
	{
		chatroom_append_identifier(&buf, schema, strlen(schema));
		appendStringInfoChar(&buf, '/');
	}
	appendStringInfoString(&buf, topic->name);
	return buf.data;
}

/* Append the topic of a row. */
void
chatroom_append_row_topic(StringInfo buf, const char *base,
						  const Piece *values, int nvalues)
{
	appendStringInfoString(buf, base);
	appendStringInfoChar(buf, ':');
	chatroom_append_topic_key(buf, values, nvalues);
}

/* Append the topic of an association. */
void
chatroom_append_column_topic(StringInfo buf, const char *base,
							 const char *column, const Piece *value)
{
	appendStringInfoString(buf, base);
	appendStringInfoChar(buf, '.');
	chatroom_append_identifier(buf, column, strlen(column));
	appendStringInfoChar(buf, ':');
	chatroom_append_topic_key(buf, value, 1);
}

/* ------------------------------------------------------------ relations */

/* The key's columns, ascending: primary key, replica identity, or none. */
List *
chatroom_key_columns(Oid relid)
{
	List	   *columns = NIL;
	bool		primary = false;
	Relation	catalog = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, NULL,
							  1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);

		if (!form->indisvalid || primary ||
			!(form->indisprimary || form->indisreplident))
			continue;
		primary = form->indisprimary;
		columns = NIL;
		for (int i = 0; i < form->indnkeyatts; i++)
			columns = lappend_int(columns, form->indkey.values[i]);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	list_sort(columns, list_int_cmp);
	return columns;
}

/* Columns of foreign keys of one column, ascending. */
static List *
foreign_key_columns(Oid relid)
{
	List	   *columns = NIL;
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		AttrNumber	conkey[INDEX_MAX_KEYS];
		AttrNumber	confkey[INDEX_MAX_KEYS];
		int			nkeys;

		if (form->contype != CONSTRAINT_FOREIGN)
			continue;
		DeconstructFkConstraintRow(tuple, &nkeys, conkey, confkey, NULL,
								   NULL, NULL, NULL, NULL);
		if (nkeys == 1)
			columns = list_append_unique_int(columns, conkey[0]);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	list_sort(columns, list_int_cmp);
	return columns;
}

/*
 * The columns that make association topics, ascending: not those whose equal
 * values may be spelled differently, as a column's may since its type was
 * changed.
 */
List *
chatroom_topic_columns(const WatchInfo *watch)
{
	List	   *columns = NIL;
	ListCell   *lc;

	if (watch->default_topics)
		columns = foreign_key_columns(watch->relid);
	for (int i = 0; !watch->default_topics && i < watch->ntopics; i++)
		columns = lappend_int(columns, watch->topics[i]);
	foreach(lc, columns)
		if (!chatroom_column_one_spelling(watch->relid, lfirst_int(lc)))
			columns = foreach_delete_current(columns, lc);
	return list_truncate(columns, CHATROOM_MAX_TOPIC_COLUMNS);
}

/* Partitioned tables and inheritance parents above a relation. */
List *
chatroom_ancestors(Oid relid, Snapshot snapshot)
{
	List	   *found = NIL;
	List	   *todo = list_make1_oid(relid);
	Relation	catalog = table_open(InheritsRelationId, AccessShareLock);

	for (int i = 0; i < list_length(todo); i++)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber,
					F_OIDEQ, ObjectIdGetDatum(list_nth_oid(todo, i)));
		scan = systable_beginscan(catalog, InheritsRelidSeqnoIndexId, true,
								  snapshot, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			Form_pg_inherits form = (Form_pg_inherits) GETSTRUCT(tuple);

			found = list_append_unique_oid(found, form->inhparent);
			todo = list_append_unique_oid(todo, form->inhparent);
		}
		systable_endscan(scan);
	}
	table_close(catalog, AccessShareLock);
	return found;
}
