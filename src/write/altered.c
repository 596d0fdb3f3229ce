/*-------------------------------------------------------------------------
 *
 * altered.c
 *	  What ALTER changes of what is kept in triggers.
 *
 * Rules, options of watches and associations are kept in disabled triggers,
 * their holders.  Columns in UPDATE OF and WHEN follow renames by themselves,
 * but PostgreSQL neither changes the type of a column that a trigger names,
 * nor drops it.  So the holders in the way are dropped before ALTER TABLE
 * begins, once its locks are taken, and made again when it is done: as
 * PostgreSQL does with constraints and indexes.  A rule or an association goes
 * with any of its columns; a watch's list of columns gets shorter.  A watch's
 * condition stays in the way of dropping a column, since to go on without it
 * would show more than was asked for.  A rule that is not for the new type
 * makes ALTER TABLE fail.
 *
 * Labels of enums stand in rules' lists as text.  When one is renamed, the
 * rules that have it in their lists are made again with its new name, whoever
 * owns their tables.
 *
 * Nothing of users' runs here but what CREATE TRIGGER runs to read WHEN, and
 * that as the table's owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "base/columns.h"
#include "base/compat.h"
#include "base/subtransaction.h"
#include "base/values.h"
#include "base/watches.h"
#include "catalog/namespace.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_type.h"
#include "rewrite/prs2lock.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "write/altered.h"
#include "write/rulecode.h"
#include "write/rules.h"
#include "write/tree.h"

/* What makes a holder again. */
typedef struct Holder
{
	TriggerRow *trigger;
	const char *function;
	Bitmapset  *of_when;		/* columns that WHEN is about */
	char	   *when;			/* NULL: none */
} Holder;

/* The holders taken down for a command that is under way. */
typedef struct Taken
{
	Node	   *statement;
	List	   *holders;
	MemoryContext context;		/* goes with the (sub)transaction */
	struct Taken *outer;
} Taken;

static Taken *taken = NULL;

CHATROOM_FUNCTION(chatroom_on_alter);


/* --------------------------------------------------------------- holders */

/* The name of a holder's function; NULL: it is no holder. */
static const char *
holder_function(const TriggerRow *trigger)
{
	static const char *const names[] = {"rule", "watch_option", "assoc_option"};

	for (int i = 0; i < lengthof(names); i++)
		if (trigger->function == chatroom_trigger_function(names[i]))
			return names[i];
	return NULL;
}

/* Read what makes a trigger again; NULL: it is no holder, or a clone. */
static Holder *
read_holder(TriggerRow *trigger)
{
	Holder	   *holder;
	const char *function = OidIsValid(trigger->parentid) ? NULL :
		holder_function(trigger);

	if (function == NULL)
		return NULL;
	holder = palloc0(sizeof(Holder));
	holder->trigger = trigger;
	holder->function = function;
	if (trigger->qual != NULL)
	{
		Node	   *condition = stringToNode(trigger->qual);
		int			nest_level = chatroom_fix_settings();

		holder->of_when = chatroom_expression_columns(condition, 0, NULL);
		holder->when = chatroom_condition_text(trigger->relid, condition,
											   PRS2_NEW_VARNO, true);
		AtEOXact_GUC(true, nest_level);
	}
	return holder;
}

/* The columns that a holder names. */
static Bitmapset *
named_columns(const Holder *holder)
{
	Bitmapset  *columns = bms_copy(holder->of_when);

	for (int i = 0; i < holder->trigger->ncolumns; i++)
		columns = bms_add_member(columns, holder->trigger->columns[i]);
	return columns;
}

/* Drop a holder. */
static void
drop_holder(const Holder *holder)
{
	Oid			relid = holder->trigger->relid;

	chatroom_run_ddl(psprintf("DROP TRIGGER %s ON %s",
							  quote_identifier(holder->trigger->name),
							  chatroom_quote_relation(relid)), relid);
}

/* Make a holder, of those of its columns that are given. */
static void
make_holder(const Holder *holder, const Bitmapset *columns)
{
	const TriggerRow *trigger = holder->trigger;
	char	   *relation = chatroom_quote_relation(trigger->relid);
	const char *separator = " OF ";
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TRIGGER %s AFTER %s",
					 quote_identifier(trigger->name),
					 TRIGGER_FOR_INSERT(trigger->type) ? "INSERT" : "UPDATE");
	for (int i = 0; i < trigger->ncolumns; i++)
	{
		if (!bms_is_member(trigger->columns[i], columns))
			continue;
		appendStringInfo(&sql, "%s%s", separator,
						 quote_identifier(get_attname(trigger->relid,
													  trigger->columns[i],
													  false)));
		separator = ", ";
	}
	appendStringInfo(&sql, " ON %s FOR EACH %s", relation,
					 TRIGGER_FOR_ROW(trigger->type) ? "ROW" : "STATEMENT");
	if (holder->when != NULL)
		appendStringInfo(&sql, " WHEN (%s)", holder->when);
	appendStringInfo(&sql, " EXECUTE FUNCTION chatroom.%s(", holder->function);
	for (int i = 0; i < trigger->nargs; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 quote_literal_cstr(trigger->args[i]));
	appendStringInfoChar(&sql, ')');
	chatroom_run_ddl(sql.data, trigger->relid);
	chatroom_run_ddl(psprintf("ALTER TABLE %s DISABLE TRIGGER %s", relation,
							  quote_identifier(trigger->name)),
					 trigger->relid);
}

/* ----------------------------------------------------------- ALTER TABLE */

/* The columns of a relation that parts of ALTER TABLE are about. */
static Bitmapset *
altered_columns(const AlterTableStmt *statement, Oid relid,
				AlterTableType subtype)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		AttrNumber	attnum = cmd->subtype == subtype ?
			get_attnum(relid, cmd->name) : 0;

		if (attnum > 0)
			columns = bms_add_member(columns, attnum);
	}
	return columns;
}

/* Can columns of a holder be dropped? */
static bool
can_lose_columns(const Holder *holder)
{
	return strcmp(holder->function, "watch_option") != 0 ||
		(holder->when == NULL && holder->trigger->nargs > 0 &&
		 strcmp(holder->trigger->args[0], HOLDER_EXTRA_COLUMNS) != 0);
}

/* Take down the holders of one relation that are in the way. */
static void
take_down(Taken *frame, Oid relid)
{
	const AlterTableStmt *statement = (AlterTableStmt *) frame->statement;
	MemoryContext caller = MemoryContextSwitchTo(frame->context);
	Bitmapset  *retyped = altered_columns(statement, relid,
										  AT_AlterColumnType);
	Bitmapset  *dropped = altered_columns(statement, relid, AT_DropColumn);
	ListCell   *lc;

	foreach(lc, chatroom_relation_triggers(relid))
	{
		Holder	   *holder = read_holder(lfirst(lc));
		Bitmapset  *columns;

		if (holder == NULL)
			continue;
		columns = named_columns(holder);
		if (!bms_overlap(columns, retyped) && !bms_overlap(columns, dropped))
			continue;
		if (bms_overlap(columns, dropped) && !can_lose_columns(holder))
			continue;
		drop_holder(holder);
		frame->holders = lappend(frame->holders, holder);
	}
	MemoryContextSwitchTo(caller);
}

/* The columns of a set that are there still. */
static Bitmapset *
columns_left(Oid relid, const Bitmapset *columns)
{
	Bitmapset  *left = NULL;
	int			attnum = -1;

	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid),
											Int16GetDatum(attnum));

		if (!HeapTupleIsValid(tuple))
			continue;
		if (!((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped)
			left = bms_add_member(left, attnum);
		ReleaseSysCache(tuple);
	}
	return left;
}

/* Check that a rule can be for the type that its column has now. */
static void
check_rule(Oid relid, const char *name)
{
	Relation	relation = table_open(relid, AccessShareLock);
	List	   *relations = NIL;
	ListCell   *lc;

	foreach(lc, chatroom_relation_rules(relid, false))
		if (strcmp(((RuleRow *) lfirst(lc))->name, name) == 0)
			(void) chatroom_make_rules(relation, list_make1(lfirst(lc)),
									   &relations, RULES_ALTERED);
	table_close(relation, AccessShareLock);
}

/* Put a holder up again, with what is left of its columns. */
static void
put_up(const Holder *holder)
{
	Oid			relid = holder->trigger->relid;
	bool		is_rule = strcmp(holder->function, "rule") == 0;
	Bitmapset  *columns = bms_del_member(named_columns(holder), 0);
	Bitmapset  *left = columns_left(relid, columns);

	if (strcmp(holder->function, "watch_option") == 0 ||
		bms_equal(left, columns))
	{
		make_holder(holder, left);
		if (is_rule)
			check_rule(relid, holder->trigger->name);
	}
	else if (is_rule)
		chatroom_settle_rules(relid);
}

/* Is something to be taken down for a command, by the looks of it? */
static bool
concerns_columns(const Node *statement)
{
	ListCell   *lc;

	if (!IsA(statement, AlterTableStmt))
		return false;
	foreach(lc, ((AlterTableStmt *) statement)->cmds)
	{
		AlterTableType subtype = lfirst_node(AlterTableCmd, lc)->subtype;

		if (subtype == AT_AlterColumnType || subtype == AT_DropColumn)
			return true;
	}
	return false;
}

/* Will chatroom_finish_alter() be called? */
static bool
will_finish(void)
{
	HeapTuple	tuple = SearchSysCache1(EVENTTRIGGERNAME,
										CStringGetDatum("chatroom_ddl"));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_event_trigger) GETSTRUCT(tuple))->evtenabled ==
		TRIGGER_FIRES_ALWAYS;
	ReleaseSysCache(tuple);
	return result;
}

/* Forget what was taken down: called when its memory goes. */
static void
forget_taken(void *arg)
{
	for (Taken **link = &taken; *link != NULL; link = &(*link)->outer)
	{
		if (*link != arg)
			continue;
		*link = (*link)->outer;
		return;
	}
}

/* Remember a command that things are to be taken down for. */
static Taken *
make_taken(Node *statement)
{
	MemoryContext context = AllocSetContextCreate(CurTransactionContext,
												  "chatroom ALTER TABLE",
												  ALLOCSET_SMALL_SIZES);
	MemoryContextCallback *callback =
		MemoryContextAlloc(context, sizeof(MemoryContextCallback));
	Taken	   *frame = MemoryContextAllocZero(context, sizeof(Taken));

	frame->statement = statement;
	frame->context = context;
	frame->outer = taken;
	taken = frame;
	callback->func = forget_taken;
	callback->arg = frame;
	MemoryContextRegisterResetCallback(context, callback);
	return frame;
}

/* Take down what is in the way of ALTER TABLE, under its locks. */
static void
begin_alter(AlterTableStmt *statement)
{
	Oid			relid =
		RangeVarGetRelidExtended(statement->relation, AccessExclusiveLock,
								 RVR_MISSING_OK, RangeVarCallbackOwnsRelation,
								 NULL);
	List	   *relations;
	Taken	   *frame;
	ListCell   *lc;

	if (!OidIsValid(relid) ||
		(get_rel_relkind(relid) != RELKIND_RELATION &&
		 get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE &&
		 get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE))
		return;
	relations = statement->relation->inh ?
		find_all_inheritors(relid, AccessExclusiveLock, NULL) :
		list_make1_oid(relid);
	frame = make_taken((Node *) statement);
	foreach(lc, relations)
		take_down(frame, lfirst_oid(lc));
}

/* Event trigger on ddl_command_start. */
Datum
chatroom_on_alter(PG_FUNCTION_ARGS)
{
	Node	   *statement;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function chatroom.%s() was not called by an event trigger",
						"on_alter")));
	statement = ((EventTriggerData *) fcinfo->context)->parsetree;
	if (!chatroom_changing_triggers && concerns_columns(statement) &&
		will_finish() && chatroom_anything_held())
		begin_alter((AlterTableStmt *) statement);
	PG_RETURN_NULL();
}

/* Put up again what was taken down for a command; see altered.h. */
void
chatroom_finish_alter(Node *statement)
{
	Taken	   *frame = taken;
	ListCell   *lc;

	while (frame != NULL && frame->statement != statement)
		frame = frame->outer;
	if (frame == NULL)
		return;
	frame->statement = NULL;
	foreach(lc, frame->holders)
		put_up(lfirst(lc));
	MemoryContextDelete(frame->context);
}

/* ------------------------------------------------------------ ALTER TYPE */

/* A label of an enum that was renamed, and a rule that may have it. */
typedef struct RenamedLabel
{
	Oid			typid;
	const char *old;
	const char *new;
	TriggerRow *trigger;
} RenamedLabel;

/* The new name of a label, or what else it is. */
static char *
renamed_text(const RenamedLabel *renamed, char *text)
{
	return strcmp(text, renamed->old) == 0 ? (char *) renamed->new : text;
}

/* The same within an array: labels are written and read as texts are. */
static char *
renamed_array(const RenamedLabel *renamed, char *given)
{
	Datum		read = OidInputFunctionCall(F_ARRAY_IN, given, TEXTOID, -1);
	ArrayType  *array = DatumGetArrayTypeP(read);
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *label = nulls[i] ? NULL : TextDatumGetCString(elements[i]);

		if (label != NULL)
			elements[i] = CStringGetTextDatum(renamed_text(renamed, label));
	}
	array = construct_md_array(elements, nulls, ARR_NDIM(array),
							   ARR_DIMS(array), ARR_LBOUND(array), TEXTOID,
							   -1, false, TYPALIGN_INT);
	return OidOutputFunctionCall(F_ARRAY_OUT, PointerGetDatum(array));
}

/* Let one rule follow, if it has the label. */
static bool
follow_rule(void *arg)
{
	const RenamedLabel *renamed = arg;
	TriggerRow *trigger = renamed->trigger;
	Oid			type = getBaseType(get_atttype(trigger->relid,
											   trigger->columns[0]));
	Oid			element = get_element_type(type);
	Holder	   *holder;
	Datum		json;
	Jsonb	   *params;
	StringInfoData buf;
	bool		array;
	bool		changed = false;
	ListCell   *lc;

	if (OidIsValid(element))
		element = getBaseType(element);
	array = element == renamed->typid &&
		strcmp(trigger->args[0], "subset") != 0;
	if (!array && element != renamed->typid && type != renamed->typid)
		return true;
	json = CStringGetDatum(trigger->args[1]);
	params = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, json));
	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"in\": [");
	foreach(lc, chatroom_param_strings(params, "in"))
	{
		char	   *old = lfirst(lc);
		char	   *new = array ? renamed_array(renamed, old) :
			renamed_text(renamed, old);

		changed |= strcmp(old, new) != 0;
		if (buf.data[buf.len - 1] != '[')
			appendStringInfoString(&buf, ", ");
		escape_json(&buf, new);
	}
	appendStringInfoString(&buf, "]}");
	if (!changed)
		return true;
	holder = read_holder(trigger);
	if (holder == NULL)
		return true;
	drop_holder(holder);
	trigger->args[1] = buf.data;
	make_holder(holder, named_columns(holder));
	return true;
}

/* Lists of values follow a renamed label; see altered.h. */
void
chatroom_follow_enum(Node *statement)
{
	AlterEnumStmt *alter = (AlterEnumStmt *) statement;
	TypeName   *type;
	RenamedLabel renamed;
	ListCell   *lc;

	if (!IsA(statement, AlterEnumStmt) || alter->oldVal == NULL)
		return;
	type = makeTypeNameFromNameList(alter->typeName);
	renamed.typid = LookupTypeNameOid(NULL, type, true);
	renamed.old = alter->oldVal;
	renamed.new = alter->newVal;
	if (!OidIsValid(renamed.typid))
		return;
	foreach(lc, chatroom_function_triggers(chatroom_trigger_function("rule")))
	{
		TriggerRow *trigger = lfirst(lc);
		ErrorData  *error;

		if (trigger->nargs < 2 || trigger->ncolumns != 1 ||
			(strcmp(trigger->args[0], "inclusion") != 0 &&
			 strcmp(trigger->args[0], "exclusion") != 0 &&
			 strcmp(trigger->args[0], "subset") != 0))
			continue;
		renamed.trigger = trigger;
		(void) chatroom_subtransaction(follow_rule, &renamed, &error);
		if (error == NULL)
			continue;
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
			ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION))
			ReThrowError(error);
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("rule \"%s\" of table \"%s\" could not follow this command: %s",
						trigger->name, get_rel_name(trigger->relid),
						error->message),
				 errhint("Drop it with chatroom.drop_rule(), and add it again as it is to be.")));
	}
}
