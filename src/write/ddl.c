/*-------------------------------------------------------------------------
 *
 * ddl.c
 *	  Event triggers: what changes watched tables without a row trigger.
 *
 * DDL on a watched table, or on what is above or below it, ends completeness
 * of its topics: rows may have changed, come, or gone without an event, or
 * events may look different from now on.  So it logs a reset, with the
 * transaction, for each watch that is touched.  Tables that get or lose a
 * parent also get or lose the triggers that the parent's watches need.
 *
 * DDL on something else reaches a table, too: types that its columns are of,
 * or have within; casts of these to json; whatever takes a column, the key or
 * a foreign key along when it is dropped, of which PostgreSQL tells here.
 * What a function or an operator does, nobody follows.
 *
 * What may hide from somebody what happens to a table, be it row-level
 * security or a lost privilege, has all channels named anew: who listens can't
 * be told apart from those who may go on.
 *
 * What a dropped or renamed table was called is read with a snapshot from
 * before the transaction.  (A table that was also made or renamed in this
 * transaction had its reset then.)
 *
 * This must not fail the DDL of others: it runs in a subtransaction, and what
 * fails becomes a warning and a reset of all topics.  Where nothing is watched
 * it costs one probe of an index.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/compat.h"
#include "base/dependents.h"
#include "base/spi.h"
#include "base/subtransaction.h"
#include "base/watches.h"
#include "cache/interest.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "write/altered.h"
#include "write/emit.h"
#include "write/labels.h"
#include "write/presence.h"
#include "write/rules.h"
#include "write/tree.h"

/* One object that DDL made, changed or dropped. */
typedef struct DdlObject
{
	Oid			classid;
	Oid			objid;
	bool		column;			/* only one of its columns */
} DdlObject;

/* What is to be done, found out for one command. */
typedef struct DdlWork
{
	Snapshot	before;			/* as before this transaction */
	List	   *resets;			/* bases, each once */
	List	   *types;			/* whose users were added */
} DdlWork;

typedef void (*DdlHandler) (DdlWork *work, Node *statement);

CHATROOM_FUNCTION(chatroom_on_ddl);
CHATROOM_FUNCTION(chatroom_on_drop);

/* --------------------------------------------------------- looking around */

/* Has a trigger function any triggers? */
static bool
function_in_use(Oid function, Snapshot snapshot)
{
	return OidIsValid(function) &&
		chatroom_dependents(ProcedureRelationId, function,
							TriggerRelationId, snapshot) != NIL;
}

/* Are there holders of anything? */
bool
chatroom_anything_held(void)
{
	return function_in_use(chatroom_trigger_function("rule"), NULL) ||
		function_in_use(chatroom_trigger_function("watch_option"), NULL) ||
		function_in_use(chatroom_trigger_function("assoc_option"), NULL);
}

/* A snapshot as before this transaction; to be unregistered. */
static Snapshot
snapshot_before(void)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

	/* what we did since then is not in it */
	snapshot->curcid = FirstCommandId;
	return snapshot;
}

/* Is, or was, anything watched, or has anything rules or associations? */
static bool
anything_to_follow(void)
{
	Oid			emit = chatroom_trigger_function("emit");
	Snapshot	before;
	bool		found;

	if (!OidIsValid(emit))
		return false;
	if (function_in_use(emit, NULL) || chatroom_anything_held())
		return true;
	before = snapshot_before();
	found = function_in_use(emit, before);
	UnregisterSnapshot(before);
	return found;
}

/* Fetch one row of a catalog by its oid column; free it. */
static HeapTuple
catalog_row(Oid catalogid, Oid indexid, AttrNumber oid_column, Oid oid,
			Snapshot snapshot)
{
	Relation	catalog = table_open(catalogid, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, oid_column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(oid));
	scan = systable_beginscan(catalog, indexid, true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return tuple;
}

/* schema.table as it was in a snapshot; NULL: it was not there. */
static char *
base_before(Oid relid, Snapshot snapshot)
{
	HeapTuple	class = catalog_row(RelationRelationId, ClassOidIndexId,
									Anum_pg_class_oid, relid, snapshot);
	HeapTuple	namespace;
	Form_pg_class form;

	if (!HeapTupleIsValid(class))
		return NULL;
	form = (Form_pg_class) GETSTRUCT(class);
	namespace = catalog_row(NamespaceRelationId, NamespaceOidIndexId,
							Anum_pg_namespace_oid, form->relnamespace,
							snapshot);
	if (!HeapTupleIsValid(namespace))
		return NULL;
	return chatroom_spell_base(NameStr(((Form_pg_namespace)
										GETSTRUCT(namespace))->nspname),
							   NameStr(form->relname));
}

/* The table of an index by whose columns its rows are told apart, or none. */
static Oid
key_relation(Oid indexid, Snapshot snapshot, bool concurrent)
{
	HeapTuple	tuple = catalog_row(IndexRelationId, IndexRelidIndexId,
									Anum_pg_index_indexrelid, indexid,
									snapshot);
	Form_pg_index form;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	form = (Form_pg_index) GETSTRUCT(tuple);

	/* DROP INDEX CONCURRENTLY has taken the mark away by then */
	if (form->indisprimary || form->indisreplident ||
		(concurrent && form->indisunique))
		return form->indrelid;
	return InvalidOid;
}

/* The table of a foreign key, or none. */
static Oid
foreign_key_relation(Oid constraint, Snapshot snapshot)
{
	HeapTuple	tuple = catalog_row(ConstraintRelationId, ConstraintOidIndexId,
									Anum_pg_constraint_oid, constraint,
									snapshot);
	Form_pg_constraint form;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	return form->contype == CONSTRAINT_FOREIGN ? form->conrelid : InvalidOid;
}

/* The type that a cast is from; or none, when it isn't one to json. */
static Oid
cast_source(Oid castid, Snapshot snapshot)
{
	HeapTuple	tuple = catalog_row(CastRelationId, CastOidIndexId,
									Anum_pg_cast_oid, castid, snapshot);
	Form_pg_cast form;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	form = (Form_pg_cast) GETSTRUCT(tuple);
	return form->casttarget == JSONOID ? form->castsource : InvalidOid;
}

/* The table of a policy. */
static Oid
policy_relation(Oid policyid, Snapshot snapshot)
{
	HeapTuple	tuple = catalog_row(PolicyRelationId, PolicyOidIndexId,
									Anum_pg_policy_oid, policyid, snapshot);

	return HeapTupleIsValid(tuple) ?
		((Form_pg_policy) GETSTRUCT(tuple))->polrelid : InvalidOid;
}

/* The objects that the command was about, as a query tells them. */
static List *
ddl_objects(const char *query)
{
	List	   *objects = NIL;
	MemoryContext caller = CurrentMemoryContext;

	chatroom_spi_connect();
	if (SPI_execute(query, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute: %s", query);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	tupdesc = SPI_tuptable->tupdesc;
		DdlObject  *object = MemoryContextAlloc(caller, sizeof(DdlObject));
		MemoryContext spi_context;
		bool		isnull;

		object->classid = DatumGetObjectId(SPI_getbinval(tuple, tupdesc, 1,
														 &isnull));
		object->objid = DatumGetObjectId(SPI_getbinval(tuple, tupdesc, 2,
													   &isnull));
		object->column = DatumGetInt32(SPI_getbinval(tuple, tupdesc, 3,
													 &isnull)) > 0;
		spi_context = MemoryContextSwitchTo(caller);
		objects = lappend(objects, object);
		MemoryContextSwitchTo(spi_context);
	}
	chatroom_spi_finish();
	return objects;
}

/* The objects that the command made or changed. */
static List *
made_objects(void)
{
	return ddl_objects("SELECT classid, objid, objsubid "
					   "FROM pg_catalog.pg_event_trigger_ddl_commands()");
}

/* ----------------------------------------------------------------- resets */

/* A base is to be reset. */
static void
add_reset(DdlWork *work, const char *base)
{
	ListCell   *lc;

	if (base == NULL)
		return;
	foreach(lc, work->resets)
		if (strcmp(lfirst(lc), base) == 0)
			return;
	work->resets = lappend(work->resets, (void *) base);
}

/* A watch is to be reset, by all names that it had. */
static void
add_watch(DdlWork *work, Oid relid, const char *label)
{
	const char *detail;
	Oid			owner;

	if (label != NULL)
	{
		/* another table's label is nothing to those who only use its name */
		if (chatroom_label_valid(label, &detail) &&
			(!OidIsValid(chatroom_label_trigger(label, &owner)) ||
			 owner == relid))
			add_reset(work, label);
		return;
	}
	add_reset(work, base_before(relid, work->before));
	add_reset(work, chatroom_relation_base(relid));
}

/* The watches of one relation are to be reset. */
static void
add_relation(DdlWork *work, Oid relid)
{
	ListCell   *lc;

	foreach(lc, chatroom_relation_watches(relid))
		add_watch(work, relid, ((WatchInfo *) lfirst(lc))->label);
}

/* The watches of a relation, and of all above and below, are to be reset. */
static void
add_tree(DdlWork *work, Oid relid)
{
	List	   *relations = list_make1_oid(relid);
	ListCell   *lc;

	if (!OidIsValid(get_rel_namespace(relid)))
		return;
	relations = list_concat_unique_oid(relations,
									   chatroom_ancestors(relid, NULL));
	relations = list_concat_unique_oid(relations,
									   chatroom_ancestors(relid,
														  work->before));
	relations = list_concat_unique_oid(relations,
									   find_all_inheritors(relid, NoLock,
														   NULL));
	foreach(lc, relations)
		add_relation(work, lfirst_oid(lc));
}

/* The watch that a trigger, which may be gone, stands for is to be reset. */
static void
add_trigger(DdlWork *work, Oid triggerid, Snapshot snapshot)
{
	TriggerRow *trigger = chatroom_get_trigger(triggerid, snapshot);
	ListCell   *lc;

	while (trigger != NULL && OidIsValid(trigger->parentid))
		trigger = chatroom_get_trigger(trigger->parentid, snapshot);
	if (trigger == NULL)
		return;
	if (trigger->function == chatroom_trigger_function("watch_option") &&
		trigger->nargs == 2)
		add_watch(work, trigger->relid,
				  trigger->args[1][0] ? trigger->args[1] : NULL);
	else if (trigger->function != chatroom_trigger_function("emit"))
		return;
	else if (!chatroom_trigger_is_child(trigger))
		add_watch(work, trigger->relid, chatroom_trigger_label(trigger));
	else
	{
		foreach(lc, chatroom_ancestors(trigger->relid, snapshot))
			add_relation(work, lfirst_oid(lc));
	}
}

/*
 * Tables that have columns of a type are to be reset: of itself, its arrays,
 * domains and ranges, and rows that have such columns.  Plans for their events
 * are made anew, in all sessions.
 */
static void
add_type(DdlWork *work, Oid typid)
{
	ListCell   *lc;

	if (!OidIsValid(typid) || list_member_oid(work->types, typid))
		return;
	check_stack_depth();
	work->types = lappend_oid(work->types, typid);
	foreach(lc, chatroom_dependents(TypeRelationId, typid, TypeRelationId,
									NULL))
		add_type(work, lfirst_oid(lc));
	foreach(lc, chatroom_dependents(TypeRelationId, typid, RelationRelationId,
									NULL))
	{
		Oid			relid = lfirst_oid(lc);

		if (chatroom_relation_watches(relid) != NIL)
			CacheInvalidateRelcacheByRelid(relid);
		add_tree(work, relid);
		add_type(work, get_rel_type_id(relid));
	}
}

/* A table changed, and with it what has columns of its row type. */
static void
add_changed(DdlWork *work, Oid relid)
{
	add_tree(work, relid);
	add_type(work, get_rel_type_id(relid));
}

/* Tables may have other names, as ALTER SCHEMA and ALTER EXTENSION do. */
static void
add_renamed(DdlWork *work)
{
	ListCell   *lc;

	foreach(lc, chatroom_all_watches())
	{
		WatchInfo  *watch = lfirst(lc);
		char	   *before = base_before(watch->relid, work->before);
		char	   *now = chatroom_relation_base(watch->relid);

		if (before != NULL && now != NULL && strcmp(before, now) != 0)
			add_watch(work, watch->relid, watch->label);
	}
}

/*
 * Tables were dropped, or have other names: presence in the rooms of a prefix
 * whose table "rooms" is among them ends, for these topics are no room's now.
 */
static void
end_presence(DdlWork *work)
{
	ListCell   *lc;

	foreach(lc, work->resets)
		chatroom_end_prefix_at_commit(lfirst(lc));
}

/* Log what was found. */
static void
log_resets(DdlWork *work, ResetReason reason)
{
	ListCell   *lc;

	foreach(lc, work->resets)
		chatroom_log_reset(lfirst(lc), reason);
}

/* --------------------------------------------------------------- handlers */

/* Does this part of ALTER TABLE leave rows, columns and triggers alone? */
static bool
is_harmless(AlterTableType type)
{
	switch (type)
	{
		case AT_ColumnDefault:
		case AT_SetStatistics:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_SetStorage:
		case AT_SetCompression:
		case AT_ValidateConstraint:
		case AT_ChangeOwner:
		case AT_ClusterOn:
		case AT_DropCluster:
		case AT_SetTableSpace:
		case AT_SetRelOptions:
		case AT_ResetRelOptions:
		case AT_ReplaceRelOptions:
		case AT_SetIdentity:
			return true;
		default:
			return false;
	}
}

/* Can this command be passed over, by the looks of it? */
static bool
is_harmless_command(Node *statement)
{
	ListCell   *lc;

	switch (nodeTag(statement))
	{
		case T_CreateStmt:
			return ((CreateStmt *) statement)->inhRelations == NIL;
		case T_CreateForeignTableStmt:
			return ((CreateForeignTableStmt *) statement)->base.inhRelations ==
				NIL;
		case T_CreateSchemaStmt:
			return ((CreateSchemaStmt *) statement)->schemaElts == NIL;
		case T_AlterTableStmt:
			foreach(lc, ((AlterTableStmt *) statement)->cmds)
				if (!is_harmless(lfirst_node(AlterTableCmd, lc)->subtype))
					return false;
			return true;
		case T_AlterEnumStmt:
			return ((AlterEnumStmt *) statement)->oldVal == NULL;
		case T_RenameStmt:
			switch (((RenameStmt *) statement)->renameType)
			{
				case OBJECT_TYPE:
				case OBJECT_TABCONSTRAINT:
				case OBJECT_POLICY:
					return true;
				default:

					/* of a table, too: ALTER INDEX and ALTER VIEW take one */
					return false;
			}
		case T_AlterTypeStmt:
		case T_AlterExtensionStmt:	/* its script's commands are told */
		case T_AlterExtensionContentsStmt:
		case T_AlterOwnerStmt:
			return true;
		default:
			return false;
	}
}

/* May this command hide from somebody what happens to a table? */
static bool
hides_something(Node *statement)
{
	ListCell   *lc;

	if (IsA(statement, GrantStmt))
		return !((GrantStmt *) statement)->is_grant;
	if (!IsA(statement, AlterTableStmt))
		return IsA(statement, CreatePolicyStmt) ||
			IsA(statement, AlterPolicyStmt) ||
			IsA(statement, AlterOwnerStmt) ||
			IsA(statement, DropOwnedStmt);
	foreach(lc, ((AlterTableStmt *) statement)->cmds)
		switch (lfirst_node(AlterTableCmd, lc)->subtype)
		{
			case AT_EnableRowSecurity:
			case AT_ForceRowSecurity:
			case AT_ChangeOwner:
				return true;
			default:
				break;
		}
	return false;
}

/* Does a command make tables? */
static bool
makes_tables(Node *statement)
{
	return IsA(statement, CreateStmt) || IsA(statement, CreateSchemaStmt);
}

/* Is a relation a table of its own kind? */
static bool
is_table(Oid relid)
{
	char		relkind = get_rel_relkind(relid);

	return relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE;
}

/* Make triggers right after tables got or lost a parent, or all enabled. */
static void
settle_changed(Node *statement, Oid relid)
{
	ListCell   *lc;

	if (makes_tables(statement) && is_table(relid))
	{
		chatroom_settle_tree(relid);
		chatroom_settle_rules(relid);
	}
	if (!IsA(statement, AlterTableStmt))
		return;
	foreach(lc, ((AlterTableStmt *) statement)->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		Oid			partition = InvalidOid;

		switch (cmd->subtype)
		{
			case AT_AddInherit:
			case AT_DropInherit:
				chatroom_settle_tree(relid);
				chatroom_settle_rules(relid);
				break;
			case AT_EnableTrig:
			case AT_EnableAlwaysTrig:
			case AT_EnableReplicaTrig:
			case AT_EnableTrigAll:
			case AT_EnableTrigUser:
				chatroom_disable_holders(relid);
				break;
			case AT_AttachPartition:
			case AT_DetachPartition:
			case AT_DetachPartitionFinalize:
				partition = RangeVarGetRelid(castNode(PartitionCmd,
													  cmd->def)->name,
											 NoLock, true);
				if (OidIsValid(partition) && is_table(partition))
					chatroom_settle_tree(partition);
				break;
			default:
				break;
		}
	}
}

/* After one that changes who may see what. */
static void
handle_hiding(DdlWork *work, Node *statement)
{
	chatroom_rename_channels_at_commit();
}

/* Does a command give tables other names? */
static bool
renames(Node *statement)
{
	return IsA(statement, RenameStmt) || IsA(statement, AlterObjectSchemaStmt);
}

/* An object was made or changed. */
static void
handle_object(DdlWork *work, Node *statement, Oid classid, Oid objid)
{
	switch (classid)
	{
		case RelationRelationId:
			/* a new table is empty, and nobody knows it */
			if (!makes_tables(statement))
				add_changed(work, objid);
			settle_changed(statement, objid);
			break;
		case TriggerRelationId:
			add_trigger(work, objid, NULL);
			break;
		case PolicyRelationId:
			add_relation(work, policy_relation(objid, NULL));
			break;
		case NamespaceRelationId:
		case ExtensionRelationId:
			add_renamed(work);
			break;
		case TypeRelationId:
			if (IsA(statement, AlterEnumStmt))
				add_type(work, objid);
			break;
		case CastRelationId:
			add_type(work, cast_source(objid, NULL));
			break;
		default:
			break;
	}
}

/* After a command that made or changed something. */
static void
handle_ddl(DdlWork *work, Node *statement)
{
	List	   *objects = made_objects();
	ListCell   *lc;

	foreach(lc, objects)
	{
		DdlObject  *object = lfirst(lc);

		handle_object(work, statement, object->classid, object->objid);
	}
	chatroom_follow_enum(statement);
	if (IsA(statement, AlterObjectSchemaStmt) ||
		(IsA(statement, RenameStmt) &&
		 (((RenameStmt *) statement)->renameType == OBJECT_TABLE ||
		  ((RenameStmt *) statement)->renameType == OBJECT_INDEX ||
		  ((RenameStmt *) statement)->renameType == OBJECT_SCHEMA)))
		end_presence(work);
	log_resets(work, RESET_REASON_DDL);

	/* the old topics may become somebody else's */
	if (renames(statement) && work->resets != NIL)
		chatroom_rename_channels_at_commit();
}

/* Something was dropped of a relation, or an index was. */
static void
handle_dropped_relation(DdlWork *work, Node *statement,
						const DdlObject *object)
{
	bool		concurrent = IsA(statement, DropStmt) &&
		((DropStmt *) statement)->concurrent;

	if (object->column)
		add_changed(work, object->objid);
	else
		add_tree(work, key_relation(object->objid, work->before, concurrent));
}

/* Triggers were dropped, and with them watches, or their tables. */
static void
handle_dropped_triggers(DdlWork *work, const List *objects)
{
	ListCell   *lc;

	foreach(lc, objects)
	{
		DdlObject  *object = lfirst(lc);

		if (object->classid == TriggerRelationId)
			add_trigger(work, object->objid, work->before);
	}

	end_presence(work);

	/* somebody else may take these topics */
	if (work->resets != NIL)
		chatroom_rename_channels_at_commit();
}

/* After a command that dropped something. */
static void
handle_drop(DdlWork *work, Node *statement)
{
	List	   *objects =
		ddl_objects("SELECT classid, objid, objsubid "
					"FROM pg_catalog.pg_event_trigger_dropped_objects() "
					"WHERE object_type OPERATOR(pg_catalog.=) ANY (ARRAY["
					"'trigger', 'policy', 'index', 'table column', "
					"'foreign table column', 'composite type column', "
					"'table constraint', 'cast'])");
	ListCell   *lc;

	handle_dropped_triggers(work, objects);
	foreach(lc, objects)
	{
		DdlObject  *object = lfirst(lc);

		switch (object->classid)
		{
			case PolicyRelationId:
				add_relation(work,
							 policy_relation(object->objid, work->before));
				chatroom_rename_channels_at_commit();
				break;
			case RelationRelationId:
				handle_dropped_relation(work, statement, object);
				break;
			case ConstraintRelationId:
				add_tree(work,
						 foreign_key_relation(object->objid, work->before));
				break;
			case CastRelationId:
				add_type(work, cast_source(object->objid, work->before));
				break;
			default:
				break;
		}
	}
	log_resets(work, RESET_REASON_DROP);
}

/* What an event trigger does, and the statement it does it for. */
typedef struct Handling
{
	DdlHandler	handler;
	Node	   *statement;
} Handling;

/* Run a handler. */
static bool
handle(void *arg)
{
	Handling   *handling = arg;
	DdlWork		work = {0};

	work.before = snapshot_before();
	handling->handler(&work, handling->statement);
	UnregisterSnapshot(work.before);
	return true;
}

/* Tell of a handler that failed; an error where the command is to end. */
static void
report_failure(ErrorData *error)
{
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
		ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION))
		ReThrowError(error);
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("chatroom could not follow this command: %s",
					error->message),
			 errdetail("All topics of the database are reset."),
			 errhint("Call chatroom.unwatch() and chatroom.watch() for the table.")));
}

/*
 * Run a handler in a subtransaction.  What fails there must not fail the
 * command, and must not be lost on readers either.
 */
static void
run_handler(DdlHandler handler, Node *statement)
{
	Handling	handling = {handler, statement};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "chatroom DDL",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	ErrorData  *error;

	(void) chatroom_subtransaction(handle, &handling, &error);
	MemoryContextSwitchTo(caller);
	if (error != NULL)
	{
		report_failure(error);
		chatroom_log_database_reset(RESET_REASON_DDL);
	}
	MemoryContextDelete(context);
}

/* The event trigger's data, or an error. */
static EventTriggerData *
event_trigger_data(FunctionCallInfo fcinfo, const char *name)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function chatroom.%s() was not called by an event trigger",
						name)));
	return (EventTriggerData *) fcinfo->context;
}

/*
 * A trigger that was written by hand may have a label, too: what watch() would
 * refuse fails the command.
 */
static void
check_made_trigger(void)
{
	List	   *objects = made_objects();
	ListCell   *lc;

	foreach(lc, objects)
	{
		DdlObject  *object = lfirst(lc);
		TriggerRow *trigger;
		char	   *label;

		if (object->classid != TriggerRelationId)
			continue;
		trigger = chatroom_get_trigger(object->objid, NULL);
		if (trigger == NULL ||
			trigger->function != chatroom_trigger_function("emit") ||
			chatroom_trigger_is_child(trigger))
			continue;
		label = chatroom_trigger_label(trigger);
		if (label == NULL)
			continue;
		chatroom_lock_labels();
		chatroom_check_label_free(label);
		chatroom_check_label_unused(label);
	}
}

/* Event trigger on ddl_command_end. */
Datum
chatroom_on_ddl(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = event_trigger_data(fcinfo, "on_ddl");

	/* what can't be put up again must not be lost: it fails the command */
	if (!chatroom_changing_triggers)
		chatroom_finish_alter(data->parsetree);
	if (!chatroom_changing_triggers &&
		(IsA(data->parsetree, CreateTrigStmt) ||
		 IsA(data->parsetree, CreateSchemaStmt)))
		check_made_trigger();
	if (!chatroom_changing_triggers && !is_harmless_command(data->parsetree) &&
		anything_to_follow())
		run_handler(handle_ddl, data->parsetree);
	if (hides_something(data->parsetree) && anything_to_follow())
		run_handler(handle_hiding, data->parsetree);
	PG_RETURN_NULL();
}

/* Event trigger on sql_drop. */
Datum
chatroom_on_drop(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = event_trigger_data(fcinfo, "on_drop");

	if (!chatroom_changing_triggers && anything_to_follow())
		run_handler(handle_drop, data->parsetree);
	PG_RETURN_NULL();
}
