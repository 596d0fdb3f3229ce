/*-------------------------------------------------------------------------
 *
 * rules.c
 *	  Adding, dropping and listing rules.
 *
 * chatroom.add_rule turns its arguments into a holder (ruleset.c says what
 * that is) by statements built here, run with the caller's rights.  A call
 * that would change nothing changes nothing, so an application may call it
 * whenever it starts.
 *
 * Locking: relation names are resolved without lock, rights are checked, then
 * the relation is locked as CREATE TRIGGER does, and all is checked again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "base/distributed.h"
#include "base/spi.h"
#include "base/subtransaction.h"
#include "base/values.h"
#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "rewrite/prs2lock.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "write/rulecode.h"
#include "write/tree.h"
#include "write/watch.h"

/*
 * Row triggers fire in the order of their names: this one is after all names
 * that begin with an ASCII character but ~ itself.
 */
#define VALIDATE_TRIGGER		"~chatroom_validate"

#define ALL_EVENTS \
	(TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE)

CHATROOM_FUNCTION(chatroom_add_rule);
CHATROOM_FUNCTION(chatroom_drop_rule);
CHATROOM_FUNCTION(chatroom_list_rules);

/* What a rule is to be. */
typedef struct NewRule
{
	Oid			relid;
	char	   *name;
	RuleKind	kind;
	char	   *field;
	int			ncolumns;
	AttrNumber	columns[INDEX_MAX_KEYS];
	Jsonb	   *params;			/* as given */
	Jsonb	   *stored;			/* without what stands elsewhere */
	char	   *when;			/* check: expression over "new" */
	char	   *message;		/* NULL: none */
} NewRule;

/* ------------------------------------------------------------- relations */

/* Refuse what can't have rules. */
static void
refuse_rules(Oid relid, Form_pg_class form)
{
	const char *why = NULL;
	const char *hint = NULL;

	if (form->relkind != RELKIND_RELATION &&
		form->relkind != RELKIND_PARTITIONED_TABLE &&
		form->relkind != RELKIND_FOREIGN_TABLE)
		why = "This is not a table.";
	else if (chatroom_is_system(relid, form))
		why = "This is a system catalog.";
	else if (form->relispartition)
	{
		why = "This is a partition.";
		hint = "Rules are those of the partitioned table.";
	}
	if (why != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" can't have rules", NameStr(form->relname)),
				 errdetail_internal("%s", why),
				 hint ? errhint("%s", hint) : 0));
}

/* Check a table that is to have a rule: one more thing is in its way. */
static void
check_for_rule(Oid relid)
{
	chatroom_check_table(relid, refuse_rules);
	chatroom_refuse_distributed(relid);
}

/* ------------------------------------------------------------- arguments */

/* The column of a name; 0: there is none. */
static AttrNumber
find_column(Oid relid, const char *name)
{
	AttrNumber	attnum = get_attnum(relid, name);

	if (attnum < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("system column \"%s\" can't have rules", name)));
	return attnum;
}

/* The same for a column that must be there. */
static AttrNumber
needed_column(Oid relid, const char *name)
{
	AttrNumber	attnum = find_column(relid, name);

	if (attnum == 0)
		chatroom_no_column(name, get_rel_name(relid), NULL);
	return attnum;
}

/* The columns of "unique": the field's first. */
static void
unique_columns(NewRule *new)
{
	List	   *fields = chatroom_param_strings(new->params, "fields");
	bool		found = fields == NIL;
	ListCell   *lc;

	new->columns[new->ncolumns++] = needed_column(new->relid, new->field);
	foreach(lc, fields)
	{
		AttrNumber	attnum = needed_column(new->relid, lfirst(lc));

		if (attnum == new->columns[0])
		{
			found = true;
			continue;
		}
		for (int i = 1; i < new->ncolumns; i++)
			if (new->columns[i] == attnum)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" is more than once in parameter \"fields\"",
								(char *) lfirst(lc))));
		if (new->ncolumns == INDEX_MAX_KEYS)
			ereport(ERROR,
					(errcode(ERRCODE_TOO_MANY_COLUMNS),
					 errmsg("parameter \"fields\" must not have more than %d columns",
							INDEX_MAX_KEYS)));
		new->columns[new->ncolumns++] = attnum;
	}
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameter \"fields\" must have the field \"%s\" in it",
						new->field)));
}

/* The columns of "assoc" and "no_assoc": those of ours in the foreign key. */
static void
assoc_columns(NewRule *new)
{
	Assoc	   *assoc = chatroom_find_association(new->relid, new->field);
	bool		belongs = new->kind == RULE_ASSOC;

	if (assoc->kind == ASSOC_MANY_TO_MANY ||
		belongs != (assoc->kind == ASSOC_BELONGS_TO))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("association \"%s\" can't have a rule of validation \"%s\"",
						new->field, chatroom_rule_kind(new->kind)->name),
				 belongs ?
				 errdetail("The table \"%s\" does not refer to the other one.",
						   get_rel_name(new->relid)) :
				 errdetail("The other table does not refer to \"%s\".",
						   get_rel_name(new->relid)),
				 belongs ? errhint("Use validation \"no_assoc\".") :
				 assoc->kind == ASSOC_BELONGS_TO ?
				 errhint("Use validation \"assoc\".") :
				 errhint("Use the name of the join table.")));
	for (int i = 0; i < assoc->key.n; i++)
		new->columns[new->ncolumns++] = belongs ?
			assoc->key.referencing[i] : assoc->key.referenced[i];
}

/* Find the columns that a rule is about. */
static void
find_columns(NewRule *new)
{
	AttrNumber	attnum;

	switch (new->kind)
	{
		case RULE_UNIQUE:
			unique_columns(new);
			break;
		case RULE_ASSOC:
		case RULE_NO_ASSOC:
			assoc_columns(new);
			break;
		case RULE_ACCEPTANCE:
		case RULE_CONFIRMATION:
			attnum = find_column(new->relid, new->field);
			if (attnum > 0)
				new->columns[new->ncolumns++] = attnum;
			break;
		default:
			new->columns[new->ncolumns++] = needed_column(new->relid,
														  new->field);
			break;
	}
}

/* A condition as it is written in WHEN, whatever the search_path. */
static char *
when_text(Oid relid, Node *condition, int varno)
{
	int			nest_level = chatroom_fix_settings();
	char	   *text;

	text = chatroom_condition_text(relid, condition, varno, true);
	AtEOXact_GUC(true, nest_level);
	return text;
}

/* Read the expression of "check". */
static void
read_expression(NewRule *new)
{
	char	   *expression = chatroom_param_string(new->params, "expression");
	Node	   *condition;

	if (expression == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("validation \"check\" needs parameter \"expression\"")));
	condition = chatroom_parse_condition(new->relid, expression,
										 "expression of a rule");
	new->when = when_text(new->relid, condition, 1);
}

/* Take a name, or make one. */
static char *
rule_name(const NewRule *new, const char *given)
{
	if (given == NULL)
		return makeObjectName(get_rel_name(new->relid), new->field,
							  chatroom_rule_kind(new->kind)->name);
	if (given[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name of a rule must not be empty")));
	if (strlen(given) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name of a rule must not have more than %d bytes: \"%s\"",
						NAMEDATALEN - 1, given)));
	return pstrdup(given);
}

/* Read what add_rule() is told; the relation is locked by the caller. */
static void
read_new_rule(FunctionCallInfo fcinfo, Oid relid, NewRule *new)
{
	char	   *kind;

	memset(new, 0, sizeof(*new));
	new->relid = relid;

	new->field = text_to_cstring(chatroom_text_arg(fcinfo, 1, "field"));
	if (new->field[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field must not be empty")));
	kind = text_to_cstring(chatroom_text_arg(fcinfo, 2, "validation"));
	new->kind = chatroom_find_rule_kind(kind);
	new->params = PG_ARGISNULL(3) ?
		DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"))) :
		PG_GETARG_JSONB_P_COPY(3);
	chatroom_check_params(new->kind, new->params);
	if (!PG_ARGISNULL(4))
		new->message = text_to_cstring(PG_GETARG_TEXT_PP(4));
	if (new->message != NULL && new->message[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("message must not be empty"),
				 errhint("Leave it out, or NULL, for Ecto's.")));
	find_columns(new);
	if (new->ncolumns > 0)
		new->params = chatroom_kept_params(new->kind, new->field, new->params,
										   get_atttype(relid,
													   new->columns[0]));
	new->stored = new->params;
	if (new->kind == RULE_CHECK)
	{
		read_expression(new);
		new->stored = chatroom_params_without(new->params, "expression");
	}
	else if (new->kind == RULE_UNIQUE)
		new->stored = chatroom_params_without(new->params, "fields");
	new->name = rule_name(new, PG_ARGISNULL(5) ? NULL :
						  text_to_cstring(PG_GETARG_TEXT_PP(5)));
}

/* ----------------------------------------------------- triggers that fire */

/* The relation's own trigger of chatroom.validate; NULL: none. */
static TriggerRow *
find_validate(Oid relid)
{
	Oid			function = chatroom_trigger_function("validate");
	ListCell   *lc;

	foreach(lc, chatroom_relation_triggers(relid))
	{
		TriggerRow *trigger = lfirst(lc);

		if (trigger->function == function && !OidIsValid(trigger->parentid))
			return trigger;
	}
	return NULL;
}

/* The events that the trigger of a relation must fire for. */
static int16
wanted_events(Oid relid)
{
	int16		events = 0;
	ListCell   *lc;
	ListCell   *lr;

	foreach(lc, lcons_oid(relid, chatroom_ancestors(relid, NULL)))
	{
		foreach(lr, chatroom_relation_rules(lfirst_oid(lc),
											 false))
		{
			RuleKind	kind = ((RuleRow *) lfirst(lr))->rule.kind;

			if (kind == RULE_NO_ASSOC)
				events |= TRIGGER_TYPE_DELETE;
			else if (RuleKindFires(kind))
				events |= TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE;
		}
	}
	return events;
}

/* Does a trigger, or none, fire for just these events? */
static bool
fires_for(const TriggerRow *trigger, int16 events)
{
	if (trigger == NULL)
		return events == 0;
	return (trigger->type & ALL_EVENTS) == events;
}

/* Make one relation's trigger fire for what it must. */
static void
settle_relation(Oid relid)
{
	TriggerRow *trigger = find_validate(relid);
	int16		wanted = wanted_events(relid);
	char	   *relation = chatroom_quote_relation(relid);
	const char *events = wanted == ALL_EVENTS ? "INSERT OR UPDATE OR DELETE" :
		wanted == TRIGGER_TYPE_DELETE ? "DELETE" : "INSERT OR UPDATE";

	if (fires_for(trigger, wanted))
		return;
	if (trigger != NULL)
		chatroom_run_ddl(psprintf("DROP TRIGGER %s ON %s",
								  quote_identifier(trigger->name), relation),
						 relid);
	if (wanted == 0)
		return;
	chatroom_run_ddl(psprintf("CREATE TRIGGER %s BEFORE %s ON %s "
							  "FOR EACH ROW EXECUTE FUNCTION chatroom.validate()",
							  quote_identifier(VALIDATE_TRIGGER), events,
							  relation), relid);
	if (trigger != NULL && trigger->enabled != TRIGGER_FIRES_ON_ORIGIN)
		chatroom_run_ddl(psprintf("ALTER TABLE ONLY %s %s TRIGGER %s",
								  relation,
								  trigger->enabled == TRIGGER_DISABLED ?
								  "DISABLE" :
								  trigger->enabled == TRIGGER_FIRES_ALWAYS ?
								  "ENABLE ALWAYS" : "ENABLE REPLICA",
								  quote_identifier(VALIDATE_TRIGGER)), relid);
}

/* Make a relation and all below it have the trigger that they should. */
void
chatroom_settle_rules(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, ShareRowExclusiveLock, NULL))
		if (!get_rel_relispartition(lfirst_oid(lc)))
			settle_relation(lfirst_oid(lc));
}

/* ------------------------------------------------------------- adding one */

/* The rule of a name that a relation itself has; NULL: none. */
static RuleRow *
find_rule(Oid relid, const char *name)
{
	ListCell   *lc;

	foreach(lc, chatroom_relation_rules(relid, false))
	{
		RuleRow    *row = lfirst(lc);

		if (strcmp(row->name, name) == 0)
			return row;
	}
	return NULL;
}

/* Is a rule already what it is to be? */
static bool
same_rule(const RuleRow *row, const NewRule *new)
{
	const Rule *rule = &row->rule;

	if (rule->kind != new->kind || rule->ncolumns != new->ncolumns ||
		strcmp(rule->field, new->field) != 0 ||
		(rule->message == NULL) != (new->message == NULL) ||
		(rule->message != NULL && strcmp(rule->message, new->message) != 0))
		return false;
	for (int i = 0; i < rule->ncolumns; i++)
		if (rule->columns[i] != new->columns[i])
			return false;
	if (rule->kind == RULE_CHECK)
		return strcmp(when_text(new->relid, row->condition, PRS2_NEW_VARNO),
					  new->when) == 0;
	return rule->kind == RULE_UNIQUE ||
		compareJsonbContainers(&chatroom_row_params(row)->root,
							   &new->params->root) == 0;
}

/* Refuse a name that a rule, or any other trigger, has. */
static void
check_name_is_free(const NewRule *new)
{
	ListCell   *lc;

	foreach(lc, chatroom_relation_triggers(new->relid))
	{
		TriggerRow *trigger = lfirst(lc);

		if (strcmp(trigger->name, new->name) != 0)
			continue;
		if (trigger->function == chatroom_trigger_function("rule"))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("table \"%s\" already has a rule \"%s\"",
							get_rel_name(new->relid), new->name),
					 errhint("Drop that rule, or give this one another name.")));
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("table \"%s\" already has a trigger \"%s\"",
						get_rel_name(new->relid), new->name),
				 errdetail("A rule is kept in a disabled trigger of its name."),
				 errhint("Give the rule another name.")));
	}
}

/* Create the holder. */
static void
make_holder(const NewRule *new)
{
	StringInfoData sql;
	char	   *relation = chatroom_quote_relation(new->relid);
	char	   *params = chatroom_json_text(new->stored);
	const char *column = new->ncolumns > 0 ?
		get_attname(new->relid, new->columns[0], false) : NULL;
	bool		field = column == NULL || strcmp(column, new->field) != 0;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TRIGGER %s AFTER UPDATE",
					 quote_identifier(new->name));
	for (int i = 0; i < new->ncolumns; i++)
		appendStringInfo(&sql, "%s%s", i == 0 ? " OF " : ", ",
						 quote_identifier(get_attname(new->relid,
													  new->columns[i],
													  false)));
	appendStringInfo(&sql, " ON %s ", relation);
	if (new->when != NULL)
		appendStringInfo(&sql, "FOR EACH ROW WHEN (%s)", new->when);
	else
		appendStringInfoString(&sql, "FOR EACH STATEMENT");
	appendStringInfo(&sql, " EXECUTE FUNCTION chatroom.rule(%s, %s",
					 quote_literal_cstr(chatroom_rule_kind(new->kind)->name),
					 quote_literal_cstr(params));
	if (new->message != NULL || field)
		appendStringInfo(&sql, ", %s",
						 quote_literal_cstr(new->message ? new->message : ""));
	if (field)
		appendStringInfo(&sql, ", %s", quote_literal_cstr(new->field));
	appendStringInfoChar(&sql, ')');
	chatroom_run_ddl(sql.data, InvalidOid);
	chatroom_run_ddl(psprintf("ALTER TABLE %s DISABLE TRIGGER %s", relation,
							  quote_identifier(new->name)), InvalidOid);
}

/* Compile a rule alone: its errors are those of its parameters. */
static RuleSet *
compile_alone(Relation relation, RuleRow *row)
{
	List	   *relations = NIL;

	return chatroom_make_rules(relation, list_make1(row), &relations,
							   RULES_NEW);
}

/* A new rule as if it had been read from its holder. */
static RuleRow *
new_row(const NewRule *new)
{
	RuleRow    *row = palloc0(sizeof(RuleRow));

	row->name = new->name;
	row->rule.name = new->name;
	row->rule.kind = new->kind;
	row->rule.field = new->field;
	row->rule.ncolumns = new->ncolumns;
	memcpy(row->rule.columns, new->columns, sizeof(new->columns));
	row->rule.relid = new->relid;
	row->rule.params = new->params;
	row->rule.message = new->message;
	if (new->kind == RULE_CHECK)
		row->condition =
			chatroom_parse_condition(new->relid,
									 chatroom_param_string(new->params,
														   "expression"),
									 "expression of a rule");
	return row;
}

/* Check a rule's parameters by compiling it. */
static void
check_compiles(const NewRule *new)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "chatroom rule",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Relation	relation = table_open(new->relid, NoLock);
	RuleSet    *rules = compile_alone(relation, new_row(new));
	RuleCode   *code = rules->rules[0].code;

	if (code->problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("rule \"%s\" can't be enforced", new->name),
				 errdetail_internal("%s.", pstrdup(code->problem))));
	if (new->kind == RULE_UNIQUE && !code->native)
		ereport(NOTICE,
				(errmsg("table \"%s\" has no unique index for rule \"%s\"",
						get_rel_name(new->relid), new->name),
				 errdetail("Two transactions at the same time may both write the same values."),
				 errhint("Create a unique index on just these columns.")));
	table_close(relation, NoLock);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* ---------------------------------------------------------- existing rows */

/* Existing rows that break a rule. */
typedef struct BrokenRows
{
	int64		count;
	char	   *example;		/* (id)=(1): text can't be blank */
} BrokenRows;

/* A row's key as constraints' errors show it. */
static char *
key_text(Relation relation, TupleTableSlot *slot)
{
	List	   *columns = chatroom_key_columns(RelationGetRelid(relation));
	StringInfoData names;
	StringInfoData values;
	ListCell   *lc;

	if (columns == NIL)
	{
		Datum		tid = DirectFunctionCall1(tidout,
											  PointerGetDatum(&slot->tts_tid));

		return psprintf("(ctid)=(%s)", DatumGetCString(tid));
	}
	initStringInfo(&names);
	initStringInfo(&values);
	foreach(lc, columns)
	{
		int			index = lfirst_int(lc) - 1;
		Form_pg_attribute attribute =
			TupleDescAttr(RelationGetDescr(relation), index);
		const char *comma = lc == list_head(columns) ? "" : ", ";
		Oid			output;
		bool		varlena;

		getTypeOutputInfo(attribute->atttypid, &output, &varlena);
		appendStringInfo(&names, "%s%s", comma, NameStr(attribute->attname));
		appendStringInfo(&values, "%s%s", comma,
						 slot->tts_isnull[index] ? "null" :
						 OidOutputFunctionCall(output,
											   slot->tts_values[index]));
	}
	return psprintf("(%s)=(%s)", names.data, values.data);
}

/* Hold the rows of one table against a rule. */
static void
check_rows(const RuleRow *row, Relation relation, BrokenRows *broken)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller,
												  "chatroom existing rows",
												  ALLOCSET_DEFAULT_SIZES);
	RuleSet    *rules = compile_alone(relation, (RuleRow *) row);
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = ChatroomBeginScan(relation, snapshot);

	MemoryContextSwitchTo(context);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		RuleInput	input = {0};
		List	   *errors;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		input.tupdesc = RelationGetDescr(relation);
		input.values = slot->tts_values;
		input.nulls = slot->tts_isnull;
		input.slot = slot;
		errors = chatroom_check(rules, relation, &input);
		if (errors != NIL && broken->count++ == 0)
		{
			const RuleError *error = linitial(errors);

			broken->example = MemoryContextStrdup(caller,
												  psprintf("%s: %s %s",
														   key_text(relation,
																	slot),
														   error->field,
														   error->message));
		}
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(context);
}

/* Find values that are not unique. */
static void
check_unique_rows(const NewRule *new, BrokenRows *broken)
{
	StringInfoData columns;
	StringInfoData values;
	StringInfoData nulls;
	char	   *sql;
	MemoryContext caller = CurrentMemoryContext;

	initStringInfo(&columns);
	initStringInfo(&values);
	initStringInfo(&nulls);
	for (int i = 0; i < new->ncolumns; i++)
	{
		const char *column = quote_identifier(get_attname(new->relid,
														  new->columns[i],
														  false));

		appendStringInfo(&columns, "%st.%s", i ? ", " : "", column);
		appendStringInfo(&values, "%st.%s::pg_catalog.text",
						 i ? ", ', ', " : "", column);
		appendStringInfo(&nulls, "%st.%s IS NOT NULL", i ? " AND " : "",
						 column);
	}
	sql = psprintf("SELECT pg_catalog.sum(d.n)::pg_catalog.int8, "
				   "pg_catalog.min(d.v) "
				   "FROM (SELECT pg_catalog.count(*) AS n, "
				   "pg_catalog.min(pg_catalog.concat(%s)) AS v FROM %s t "
				   "WHERE %s GROUP BY %s "
				   "HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1) d",
				   values.data, chatroom_quote_relation(new->relid),
				   nulls.data, columns.data);
	chatroom_spi_connect();
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not execute: %s", sql);
	else
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	tupdesc = SPI_tuptable->tupdesc;
		bool		isnull;
		Datum		count = SPI_getbinval(tuple, tupdesc, 1, &isnull);

		if (!isnull)
		{
			broken->count = DatumGetInt64(count);
			broken->example =
				MemoryContextStrdup(caller,
									psprintf("(%s)=(%s)", new->field,
											 SPI_getvalue(tuple, tupdesc, 2)));
		}
	}
	chatroom_spi_finish();
}

/* Refuse a rule that existing rows break. */
static void
check_existing_rows(const NewRule *new, const RuleRow *row)
{
	BrokenRows	broken = {0};
	Oid			schema = get_rel_namespace(new->relid);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "chatroom existing rows",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	ListCell   *lc;

	if (new->kind == RULE_UNIQUE)
		check_unique_rows(new, &broken);
	else
	{
		foreach(lc, find_all_inheritors(new->relid, AccessShareLock, NULL))
		{
			Relation	relation = table_open(lfirst_oid(lc), NoLock);

			if (relation->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("check_existing can't be used with foreign table \"%s\"",
								RelationGetRelationName(relation))));
			if (relation->rd_rel->relkind == RELKIND_RELATION)
				check_rows(row, relation, &broken);
			table_close(relation, NoLock);
		}
	}
	if (broken.count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg_plural("rule \"%s\" is broken by %lld existing row of table \"%s\"",
							   "rule \"%s\" is broken by %lld existing rows of table \"%s\"",
							   broken.count, new->name,
							   (long long) broken.count,
							   get_rel_name(new->relid)),
				 errdetail("For example %s", broken.example),
				 err_generic_string(PG_DIAG_SCHEMA_NAME,
									get_namespace_name(schema)),
				 err_generic_string(PG_DIAG_TABLE_NAME,
									get_rel_name(new->relid)),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, new->name)));
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* --------------------------------------------------------- SQL functions */

/*
 * chatroom.add_rule(relation text, field text, validation text, params jsonb,
 *					 message text, name text, check_existing boolean)
 *	returns text
 */
Datum
chatroom_add_rule(PG_FUNCTION_ARGS)
{
	Oid			relid;
	NewRule		new;
	RuleRow    *row;
	bool		check_existing = !PG_ARGISNULL(6) && PG_GETARG_BOOL(6);

	PreventCommandIfReadOnly("chatroom.add_rule()");
	PreventCommandDuringRecovery("chatroom.add_rule()");
	relid = chatroom_named_relation(chatroom_text_arg(fcinfo, 0, "relation"),
									false);
	check_for_rule(relid);
	LockRelationOid(relid, AccessShareLock);
	check_for_rule(relid);
	read_new_rule(fcinfo, relid, &new);
	row = find_rule(relid, new.name);
	if (row != NULL && same_rule(row, &new) && !check_existing &&
		fires_for(find_validate(relid), wanted_events(relid)))
		PG_RETURN_TEXT_P(cstring_to_text(new.name));

	LockRelationOid(relid, ShareRowExclusiveLock);
	check_for_rule(relid);
	read_new_rule(fcinfo, relid, &new);
	row = find_rule(relid, new.name);
	if (row == NULL || !same_rule(row, &new))
	{
		check_name_is_free(&new);
		check_compiles(&new);
		make_holder(&new);
		row = find_rule(new.relid, new.name);
		if (row == NULL || !same_rule(row, &new))
			elog(ERROR, "rule \"%s\" did not come out as asked", new.name);
	}
	chatroom_settle_rules(new.relid);
	if (check_existing)
		check_existing_rows(&new, row);
	PG_RETURN_TEXT_P(cstring_to_text(new.name));
}

/* chatroom.drop_rule(relation text, name text) returns void */
Datum
chatroom_drop_rule(PG_FUNCTION_ARGS)
{
	Oid			relid =
		chatroom_named_relation(chatroom_text_arg(fcinfo, 0, "relation"), false);
	char	   *name = text_to_cstring(chatroom_text_arg(fcinfo, 1, "name"));
	Oid			function = chatroom_trigger_function("rule");
	bool		found = false;
	ListCell   *lc;

	PreventCommandIfReadOnly("chatroom.drop_rule()");
	PreventCommandDuringRecovery("chatroom.drop_rule()");
	chatroom_check_table(relid, refuse_rules);
	LockRelationOid(relid, AccessExclusiveLock);
	chatroom_check_table(relid, refuse_rules);
	foreach(lc, chatroom_relation_triggers(relid))
	{
		TriggerRow *trigger = lfirst(lc);

		found |= trigger->function == function &&
			!OidIsValid(trigger->parentid) &&
			strcmp(trigger->name, name) == 0;
	}
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table \"%s\" has no rule \"%s\"",
						get_rel_name(relid), name),
				 errhint("View chatroom.rules lists the rules.")));
	chatroom_run_ddl(psprintf("DROP TRIGGER %s ON %s", quote_identifier(name),
							  chatroom_quote_relation(relid)), InvalidOid);
	chatroom_settle_rules(relid);
	PG_RETURN_VOID();
}

/* May the user know of a relation's rules? */
static bool
may_see(Oid relid)
{
	Oid			user = GetUserId();

	return pg_class_aclcheck(relid, user, ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck_all(relid, user, ACL_SELECT,
								  ACLMASK_ANY) == ACLCHECK_OK ||
		ChatroomOwnsRelation(relid, user);
}

/* Does a trigger, or none, fire in an ordinary session? */
static bool
fires(const TriggerRow *trigger)
{
	return trigger != NULL && (trigger->enabled == TRIGGER_FIRES_ON_ORIGIN ||
							   trigger->enabled == TRIGGER_FIRES_ALWAYS);
}

/* A rule that is looked at. */
typedef struct LookedAt
{
	Relation	relation;
	RuleRow    *row;
	Jsonb	   *params;
	const char *problem;
} LookedAt;

/* Find what is wrong with a rule, without running anything of users'. */
static bool
look_at_rule(void *arg)
{
	LookedAt   *look = arg;
	List	   *relations = NIL;
	RuleSet    *rules;

	look->params = chatroom_row_params(look->row);
	rules = chatroom_make_rules(look->relation, list_make1(look->row),
								&relations, RULES_OUTLINE);
	look->problem = rules->rules[0].code->problem;
	return true;
}

/* The same; what a broken rule raises is its problem, and nobody else's. */
static void
find_problem(LookedAt *look)
{
	ErrorData  *error;

	if (look->row->broken)
	{
		look->problem = "it is not as chatroom.add_rule() makes it";
		return;
	}
	(void) chatroom_subtransaction(look_at_rule, look, &error);
	if (error == NULL)
		return;
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
		ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION))
		ReThrowError(error);
	look->problem = error->message;
}

/* Add the row of one rule. */
static void
list_rule(LookedAt *look, const char *base, bool fires_now,
		  ReturnSetInfo *result)
{
	const Rule *rule = &look->row->rule;
	Datum		values[8] = {0};
	bool		nulls[8] = {false};

	find_problem(look);
	values[0] = CStringGetTextDatum(base);
	values[1] = CStringGetTextDatum(look->row->name);
	nulls[2] = rule->field == NULL;
	if (rule->field != NULL)
		values[2] = CStringGetTextDatum(rule->field);
	nulls[3] = look->row->broken;
	if (!look->row->broken)
		values[3] = CStringGetTextDatum(chatroom_rule_kind(rule->kind)->name);
	nulls[4] = look->params == NULL;
	values[4] = JsonbPGetDatum(look->params);
	nulls[5] = rule->message == NULL;
	if (rule->message != NULL)
		values[5] = CStringGetTextDatum(rule->message);
	values[6] = BoolGetDatum(!look->row->broken &&
							 (!RuleKindFires(rule->kind) || fires_now));
	nulls[7] = look->problem == NULL;
	if (look->problem != NULL)
		values[7] = CStringGetTextDatum(look->problem);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Order rules as they are checked: by column, kind, and name. */
static int
compare_rows(const ListCell *a, const ListCell *b)
{
	const RuleRow *left = lfirst(a);
	const RuleRow *right = lfirst(b);
	int			result = left->rule.columns[0] - right->rule.columns[0];

	if (result == 0)
		result = (int) left->rule.kind - (int) right->rule.kind;
	return result != 0 ? result : strcmp(left->name, right->name);
}

/* Add the rows of one relation's rules. */
static void
list_relation_rules(Oid relid, ReturnSetInfo *result)
{
	Relation	relation = try_relation_open(relid, AccessShareLock);
	bool		fires_now;
	List	   *rows;
	char	   *base;
	ListCell   *lc;

	if (relation == NULL)
		return;
	base = chatroom_relation_base(relid);
	fires_now = fires(find_validate(relid));
	rows = chatroom_relation_rules(relid, true);
	list_sort(rows, compare_rows);
	foreach(lc, rows)
	{
		LookedAt	look = {relation, lfirst(lc)};

		CHECK_FOR_INTERRUPTS();
		list_rule(&look, base, fires_now, result);
	}
	relation_close(relation, AccessShareLock);
}

/* chatroom.list_rules(): the rows of the view chatroom.rules */
Datum
chatroom_list_rules(PG_FUNCTION_ARGS)
{
	List	   *relations = NIL;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, chatroom_function_triggers(chatroom_trigger_function("rule")))
		relations = list_append_unique_oid(relations,
										   ((TriggerRow *) lfirst(lc))->relid);
	foreach(lc, relations)
		if (may_see(lfirst_oid(lc)))
			list_relation_rules(lfirst_oid(lc),
								(ReturnSetInfo *) fcinfo->resultinfo);
	return (Datum) 0;
}
