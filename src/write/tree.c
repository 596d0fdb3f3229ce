/*-------------------------------------------------------------------------
 *
 * tree.c
 *	  The triggers that watches need on all relations of a tree.
 *
 * PostgreSQL clones row triggers of partitioned tables to partitions, but not
 * TRUNCATE triggers, and to inheritance children neither.  So these are made
 * here, when a table is watched, and when a table gets a parent (the event
 * triggers of ddl.c).  One function, chatroom_settle_tree, makes what is
 * missing and drops what is not needed any more, in whatever state it finds
 * things.
 *
 * Triggers on a child or partition are made as that table's owner: owning
 * the parent is what entitles to watch its rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/owner.h"
#include "base/spi.h"
#include "base/values.h"
#include "base/watches.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "write/tree.h"

/* One trigger that a relation should have. */
typedef struct Wanted
{
	char	   *label;			/* NULL: none */
	bool		truncate;		/* emit_truncate, else emit of a child */
	bool		always;			/* fires for replicated changes too */
	bool		found;
} Wanted;

bool		chatroom_changing_triggers = false;


/* The owner of a relation. */
static Oid
relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Run a statement. */
static void
execute_ddl(void *arg)
{
	const char *sql = arg;

	chatroom_spi_connect();
	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not execute: %s", sql);
	chatroom_spi_finish();
}

/* Run DDL that was made here. */
void
chatroom_run_ddl(const char *sql, Oid as_owner_of)
{
	int			nest_level = chatroom_fix_settings();
	bool		was_changing = chatroom_changing_triggers;

	/* NOTICEs of the details are not the caller's business */
	if (client_min_messages < WARNING)
		(void) set_config_option("client_min_messages", "warning",
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
	chatroom_changing_triggers = true;
	PG_TRY();
	{
		if (OidIsValid(as_owner_of))
			chatroom_as_owner(relation_owner(as_owner_of), sql, execute_ddl,
							  unconstify(char *, sql));
		else
			execute_ddl(unconstify(char *, sql));
	}
	PG_FINALLY();
	{
		chatroom_changing_triggers = was_changing;
	}
	PG_END_TRY();
	AtEOXact_GUC(true, nest_level);
}

/* A trigger's name: of a label, and for what. */
char *
chatroom_trigger_name(const char *label, const char *suffix)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "chatroom_emit");
	if (label != NULL)
		appendStringInfo(&buf, "_%08x",
						 hash_bytes((const unsigned char *) label,
									strlen(label)));
	if (suffix != NULL)
		appendStringInfo(&buf, "_%s", suffix);
	return buf.data;
}

/* schema.table, quoted for SQL. */
char *
chatroom_quote_relation(Oid relid)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relid));
	char	   *name = get_rel_name(relid);

	if (schema == NULL || name == NULL)
		elog(ERROR, "cache lookup failed for relation %u", relid);
	return quote_qualified_identifier(schema, name);
}

/* Add to what is wanted. */
static List *
want(List *wanted, char *label, bool truncate, bool always)
{
	Wanted	   *new;
	ListCell   *lc;

	foreach(lc, wanted)
	{
		Wanted	   *old = lfirst(lc);

		if (old->truncate == truncate &&
			strcmp(old->label ? old->label : "", label ? label : "") == 0)
		{
			old->always |= always;
			return wanted;
		}
	}
	new = palloc0(sizeof(Wanted));
	new->label = label;
	new->truncate = truncate;
	new->always = always;
	return lappend(wanted, new);
}

/* The triggers that a relation should have. */
static List *
wanted_triggers(Oid relid)
{
	List	   *wanted = NIL;
	List	   *tree = lcons_oid(relid, chatroom_ancestors(relid, NULL));
	bool		partition = get_rel_relispartition(relid);
	bool		truncatable = get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE;
	ListCell   *lc;
	ListCell   *lw;

	foreach(lc, tree)
	{
		foreach(lw, chatroom_relation_watches(lfirst_oid(lc)))
		{
			WatchInfo  *watch = lfirst(lw);

			if (truncatable && (watch->events & WATCH_TRUNCATE))
				wanted = want(wanted, watch->label, true, watch->always);
			if (watch->relid != relid && !partition)
				wanted = want(wanted, watch->label, false, watch->always);
		}
	}
	return wanted;
}

/* Let a trigger fire for replicated changes, or not. */
static void
set_always(Oid relid, const char *name, bool always)
{
	chatroom_run_ddl(psprintf("ALTER TABLE ONLY %s ENABLE %s TRIGGER %s",
							  chatroom_quote_relation(relid),
							  always ? "ALWAYS" : "",
							  quote_identifier(name)), relid);
}

/* Compare a trigger with what is wanted; drop it, or correct it. */
static void
settle_trigger(Oid relid, const TriggerRow *trigger, bool truncate,
			   List *wanted)
{
	char	   *label = chatroom_trigger_label(trigger);
	ListCell   *lc;

	foreach(lc, wanted)
	{
		Wanted	   *want = lfirst(lc);

		if (want->truncate != truncate || want->found ||
			strcmp(want->label ? want->label : "", label ? label : "") != 0)
			continue;
		want->found = true;
		if (want->always ? trigger->enabled == TRIGGER_FIRES_ON_ORIGIN :
			trigger->enabled == TRIGGER_FIRES_ALWAYS)
			set_always(relid, trigger->name, want->always);
		return;
	}
	chatroom_run_ddl(psprintf("DROP TRIGGER %s ON %s",
							  quote_identifier(trigger->name),
							  chatroom_quote_relation(relid)), relid);
}

/* Create a trigger that is wanted. */
static void
create_wanted(Oid relid, const Wanted *want)
{
	char	   *name = chatroom_trigger_name(want->label, want->truncate ?
											 "truncate" : "child");
	char	   *label = quote_literal_cstr(want->label ? want->label : "");

	if (want->truncate)
		chatroom_run_ddl(psprintf("CREATE TRIGGER %s AFTER TRUNCATE ON %s "
								  "FOR EACH STATEMENT "
								  "EXECUTE FUNCTION chatroom.emit_truncate(%s)",
								  name, chatroom_quote_relation(relid), label),
						 relid);
	else
		chatroom_run_ddl(psprintf("CREATE TRIGGER %s "
								  "AFTER INSERT OR UPDATE OR DELETE ON %s "
								  "FOR EACH ROW "
								  "EXECUTE FUNCTION chatroom.emit(%s, 'child')",
								  name, chatroom_quote_relation(relid), label),
						 relid);
	if (want->always)
		set_always(relid, name, true);
}

/* Disable the holders again that an ENABLE TRIGGER enabled. */
void
chatroom_disable_holders(Oid relid)
{
	Oid			watch_option = chatroom_trigger_function("watch_option");
	Oid			rule = chatroom_trigger_function("rule");
	Oid			assoc_option = chatroom_trigger_function("assoc_option");
	ListCell   *lc;

	foreach(lc, chatroom_relation_triggers(relid))
	{
		TriggerRow *trigger = lfirst(lc);

		if ((trigger->function == watch_option ||
			 trigger->function == rule ||
			 trigger->function == assoc_option) &&
			trigger->enabled != TRIGGER_DISABLED)
			chatroom_run_ddl(psprintf("ALTER TABLE %s DISABLE TRIGGER %s",
									  chatroom_quote_relation(relid),
									  quote_identifier(trigger->name)), relid);
	}
}

/* Make one relation have what it should. */
static void
settle_relation(Oid relid)
{
	List	   *wanted = wanted_triggers(relid);
	Oid			emit = chatroom_trigger_function("emit");
	Oid			emit_truncate = chatroom_trigger_function("emit_truncate");
	ListCell   *lc;

	foreach(lc, chatroom_relation_triggers(relid))
	{
		TriggerRow *trigger = lfirst(lc);

		if (trigger->function == emit_truncate)
			settle_trigger(relid, trigger, true, wanted);
		else if (trigger->function == emit &&
				 chatroom_trigger_is_child(trigger))
			settle_trigger(relid, trigger, false, wanted);
	}
	foreach(lc, wanted)
		if (!((Wanted *) lfirst(lc))->found)
			create_wanted(relid, lfirst(lc));
}

/* Make a relation and all below it have what they should. */
void
chatroom_settle_tree(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, ShareRowExclusiveLock, NULL))
		if (get_rel_persistence(lfirst_oid(lc)) != RELPERSISTENCE_TEMP)
			settle_relation(lfirst_oid(lc));
}
