/*-------------------------------------------------------------------------
 *
 * assocs.c
 *	  chatroom.add_assoc and the view chatroom.assocs.
 *
 * Associations are told by foreign keys (base/assoc.c).  add_assoc tells what
 * they leave open, and keeps it in a disabled trigger of the table that has
 * the foreign key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "base/subtransaction.h"
#include "base/watches.h"
#include "base/where.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "write/changeset.h"
#include "write/tree.h"
#include "write/watch.h"

/* What add_assoc is told. */
typedef struct AssocOptions
{
	Oid			relid;
	char	   *name;
	Jsonb	   *params;
	Oid			relation;		/* to; InvalidOid: not told */
	List	   *foreign_key;	/* names; NIL: not told */
	Oid			join;
	bool		kind_told;
	AssocKind	kind;
	List	   *through;
} AssocOptions;

CHATROOM_FUNCTION(chatroom_add_assoc);
CHATROOM_FUNCTION(chatroom_drop_assoc);
CHATROOM_FUNCTION(chatroom_list_assocs);
CHATROOM_FUNCTION(chatroom_assoc_option);


/* ------------------------------------------------------------- add_assoc */

/* Do the columns of a key have these names? */
static bool
key_is_named(Oid relid, const AssocKey *key, const List *names)
{
	if (key->n != list_length(names))
		return false;
	for (int i = 0; i < key->n; i++)
		if (strcmp(get_attname(relid, key->referencing[i], false),
				   list_nth(names, i)) != 0)
			return false;
	return true;
}

/* Can this be the association that is meant? */
static bool
fits_options(const Assoc *assoc, const AssocOptions *options)
{
	if (OidIsValid(options->relation) && assoc->to != options->relation)
		return false;
	if ((assoc->kind == ASSOC_MANY_TO_MANY) !=
		(OidIsValid(options->join) || (options->kind_told &&
									   options->kind == ASSOC_MANY_TO_MANY)))
		return false;
	if (OidIsValid(options->join) && assoc->join != options->join)
		return false;
	if (options->kind_told &&
		(assoc->kind == ASSOC_BELONGS_TO) !=
		(options->kind == ASSOC_BELONGS_TO))
		return false;
	if (options->foreign_key == NIL)
		return true;
	switch (assoc->kind)
	{
		case ASSOC_BELONGS_TO:
			return key_is_named(assoc->from, &assoc->key,
								options->foreign_key);
		case ASSOC_MANY_TO_MANY:
			return key_is_named(assoc->join, &assoc->join_key,
								options->foreign_key);
		default:
			return key_is_named(assoc->to, &assoc->key,
								options->foreign_key);
	}
}

/* The association of foreign keys that is meant. */
static Assoc *
meant_association(const AssocOptions *options)
{
	List	   *assocs = chatroom_derived_associations(options->relid);
	Assoc	   *found = NULL;
	ListCell   *lc;

	if (!OidIsValid(options->relation) && options->foreign_key == NIL &&
		!OidIsValid(options->join))
		return chatroom_choose_association(options->relid, assocs,
										   options->name, false);
	foreach(lc, assocs)
	{
		if (!fits_options(lfirst(lc), options))
			continue;
		if (found != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_AMBIGUOUS_COLUMN),
					 errmsg("params name more than one association of table \"%s\"",
							get_rel_name(options->relid)),
					 errhint("Say more of relation, foreign_key, join_through and kind. View chatroom.assocs lists the associations.")));
		found = lfirst(lc);
	}
	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("params name no association of table \"%s\"",
						get_rel_name(options->relid)),
				 errhint("Associations are told by foreign keys. View chatroom.assocs lists them.")));
	return found;
}

/* A relation that a member names; InvalidOid: no such member. */
static Oid
member_relation(Jsonb *params, const char *name)
{
	char	   *text = chatroom_member_text(params, name, "params");

	return text == NULL ? InvalidOid :
		chatroom_named_relation(cstring_to_text(text), false);
}

/* Read what add_assoc is told; what is wrong is said before all else. */
static void
read_options(AssocOptions *options)
{
	static const char *const members[] = {
		"relation", "foreign_key", "join_through", "kind", "through",
		"where", "order", "on_replace", NULL
	};
	Jsonb	   *member;
	char	   *text;
	ReplaceAction action;

	chatroom_only_members(options->params, "params", members);
	options->relation = member_relation(options->params, "relation");
	options->join = member_relation(options->params, "join_through");
	member = chatroom_member_jsonb(options->params, "foreign_key");
	if (member != NULL)
		options->foreign_key = chatroom_text_list(member, "foreign_key");
	member = chatroom_member_jsonb(options->params, "through");
	if (member != NULL)
		options->through = chatroom_text_list(member, "through");
	text = chatroom_member_text(options->params, "kind", "params");
	if (text != NULL)
	{
		options->kind_told = true;
		if (!chatroom_parse_assoc_kind(text, &options->kind))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown kind of association \"%s\"", text),
					 errhint("Kinds are belongs_to, has_one, has_many, many_to_many and through.")));
	}
	text = chatroom_member_text(options->params, "on_replace", "params");
	if (text != NULL && !chatroom_parse_replace(text, &action))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown value \"%s\" of on_replace", text),
				 errhint("It is raise, mark_as_invalid, nilify, update, delete or delete_if_exists.")));
}

/* Check that a path of associations leads somewhere; where to. */
static Oid
check_through(const AssocOptions *options)
{
	Oid			relid = options->relid;
	ListCell   *lc;

	if (list_length(options->through) < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("through must name at least two associations")));
	if (OidIsValid(options->relation) || OidIsValid(options->join) ||
		options->foreign_key != NIL ||
		chatroom_member(&options->params->root, "on_replace") != NULL ||
		chatroom_member(&options->params->root, "where") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an association through others has no other params than order"),
				 errhint("Add them to one of the associations that it goes through.")));
	foreach(lc, options->through)
	{
		Assoc	   *assoc = chatroom_find_association(relid, lfirst(lc));

		if (relid == options->relid && assoc->added != NULL &&
			strcmp(assoc->added, options->name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("association \"%s\" goes through itself",
							options->name)));
		relid = ((Assoc *) llast(chatroom_expand_association(assoc)))->to;
	}
	return relid;
}

/* Check what an association's where, order and on_replace say. */
static void
check_params(const AssocOptions *options, AssocKind kind, Oid to)
{
	TableInfo  *table = chatroom_open_table(to);
	Jsonb	   *member;
	char	   *text;
	ReplaceAction action;
	StringInfoData sql;
	QueryArgs	args = {0};

	initStringInfo(&sql);
	member = chatroom_member_jsonb(options->params, "where");
	if (member != NULL)
		chatroom_append_where(&sql, table, NULL, member, &args, "where");
	member = chatroom_member_jsonb(options->params, "order");
	if (member != NULL)
		chatroom_append_order(&sql, table, NULL, member, "order");

	text = chatroom_member_text(options->params, "on_replace", "params");
	if (text == NULL || !chatroom_parse_replace(text, &action))
		return;
	if ((action == REPLACE_UPDATE && kind != ASSOC_BELONGS_TO &&
		 kind != ASSOC_HAS_ONE) ||
		(action == REPLACE_NILIFY && kind == ASSOC_MANY_TO_MANY) ||
		(action == REPLACE_DELETE_IF_EXISTS && kind != ASSOC_HAS_ONE &&
		 kind != ASSOC_HAS_MANY))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("on_replace \"%s\" is not for associations of kind %s",
						text, chatroom_assoc_kind_name(kind)),
				 action == REPLACE_UPDATE ?
				 errhint("It is for one associated row.") : 0));
}

/* Append a column to a trigger's UPDATE OF, unless it is there. */
static int
column_index(List **columns, AttrNumber attnum)
{
	for (int i = 0; i < list_length(*columns); i++)
		if (list_nth_int(*columns, i) == attnum)
			return i + 1;
	*columns = lappend_int(*columns, attnum);
	return list_length(*columns);
}

/* The columns of an association's foreign keys, and which are whose. */
static List *
key_columns(const Assoc *assoc, StringInfo indexes)
{
	List	   *columns = NIL;

	for (int i = 0; i < assoc->key.n; i++)
		appendStringInfo(indexes, "%s%d", i > 0 ? "," : "",
						 column_index(&columns, assoc->key.referencing[i]));
	if (assoc->kind != ASSOC_MANY_TO_MANY)
		return columns;
	appendStringInfoChar(indexes, '/');
	for (int i = 0; i < assoc->join_key.n; i++)
		appendStringInfo(indexes, "%s%d", i > 0 ? "," : "",
						 column_index(&columns,
									  assoc->join_key.referencing[i]));
	return columns;
}

/* The params that are kept: what the columns don't tell. */
static char *
kept_params(Jsonb *params)
{
	Datum		value = JsonbPGetDatum(params);
	static const char *const told[] = {
		"relation", "foreign_key", "join_through", "kind"
	};

	for (int i = 0; i < lengthof(told); i++)
		value = DirectFunctionCall2(jsonb_delete, value,
									CStringGetTextDatum(told[i]));
	return JsonbToCString(NULL, &DatumGetJsonbP(value)->root,
						  VARSIZE(DatumGetJsonbP(value)));
}

/* A name that no trigger of a table has. */
static char *
trigger_name(Oid relid, const AssocOptions *options)
{
	char	   *base = chatroom_relation_base(options->relid);
	char	   *full = psprintf("%s %s", base, options->name);
	uint32		hash = hash_bytes((const unsigned char *) full, strlen(full));
	char	   *name;

	do
		name = psprintf("chatroom_assoc_%08x", hash++);
	while (OidIsValid(get_trigger_oid(relid, name, true)));
	return name;
}

/* Make the trigger that an association is kept in. */
static void
make_holder(const AssocOptions *options, const Assoc *assoc)
{
	AssocKind	kind = options->kind_told ? options->kind : assoc->kind;
	Oid			holder = assoc->from;
	List	   *columns = NIL;
	StringInfoData sql;
	StringInfoData indexes;
	char	   *name;
	char	   *relation;
	ListCell   *lc;

	if (assoc->kind == ASSOC_MANY_TO_MANY)
		holder = assoc->join;
	else if (assoc->kind == ASSOC_HAS_ONE || assoc->kind == ASSOC_HAS_MANY)
		holder = assoc->to;
	chatroom_require_owner(holder);
	name = trigger_name(holder, options);
	relation = chatroom_quote_relation(holder);

	initStringInfo(&indexes);
	if (assoc->kind != ASSOC_THROUGH)
		columns = key_columns(assoc, &indexes);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TRIGGER %s AFTER ", name);
	if (columns == NIL)
		appendStringInfoString(&sql, "INSERT");
	else
		appendStringInfoString(&sql, "UPDATE OF ");
	foreach(lc, columns)
		appendStringInfo(&sql, "%s%s", lc == list_head(columns) ? "" : ", ",
						 quote_identifier(get_attname(holder, lfirst_int(lc),
													  false)));
	appendStringInfo(&sql,
					 " ON %s FOR EACH STATEMENT EXECUTE FUNCTION chatroom.assoc_option('%s', %s, %s",
					 relation, chatroom_assoc_kind_name(kind),
					 quote_literal_cstr(options->name),
					 quote_literal_cstr(kept_params(options->params)));
	if (assoc->kind == ASSOC_MANY_TO_MANY)
		appendStringInfo(&sql, ", '%s'", indexes.data);
	appendStringInfoChar(&sql, ')');
	chatroom_run_ddl(sql.data, InvalidOid);
	chatroom_run_ddl(psprintf("ALTER TABLE %s DISABLE TRIGGER %s", relation,
							  name), InvalidOid);
}

/* Drop an association of that name; false: there is none. */
static bool
drop_association(Oid relid, const char *name)
{
	ListCell   *lc;

	foreach(lc, chatroom_associations(relid))
	{
		Assoc	   *assoc = lfirst(lc);

		if (assoc->added == NULL || strcmp(assoc->added, name) != 0)
			continue;
		chatroom_run_ddl(psprintf("DROP TRIGGER %s ON %s",
								  quote_identifier(assoc->trigger),
								  chatroom_quote_relation(assoc->holder)),
						 InvalidOid);
		return true;
	}
	return false;
}

/* End an association that was added; an error if there is none. */
static void
end_association(Oid relid, const char *name)
{
	if (!drop_association(relid, name))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table \"%s\" has no added association \"%s\"",
						get_rel_name(relid), name),
				 errhint("View chatroom.assocs lists the associations; those of foreign keys can't be dropped here.")));
}

/* Check the name of an association. */
static void
check_name(const AssocOptions *options)
{
	if (options->name[0] == '\0' || strlen(options->name) >= NAMEDATALEN ||
		strchr(options->name, '.') != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" can't be an association", options->name),
				 errdetail("A name has 1 to %d bytes and no dot.",
						   NAMEDATALEN - 1)));
	if (get_attnum(options->relid, options->name) != InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("\"%s\" is a column of table \"%s\"", options->name,
						get_rel_name(options->relid)),
				 errhint("In JSON rows both would have the same key: choose another name.")));
}

/* chatroom.add_assoc(relation text, name text, params jsonb) returns void */
Datum
chatroom_add_assoc(PG_FUNCTION_ARGS)
{
	AssocOptions options = {0};
	Assoc	   *assoc;

	PreventCommandIfReadOnly("chatroom.add_assoc()");
	PreventCommandDuringRecovery("chatroom.add_assoc()");
	options.relid =
		chatroom_relation_arg(chatroom_text_arg(fcinfo, 0, "relation"));
	options.name =
		text_to_cstring(chatroom_text_arg(fcinfo, 1, "name"));
	chatroom_require_owner(options.relid);
	LockRelationOid(options.relid, ShareRowExclusiveLock);
	if (PG_ARGISNULL(2))
	{
		end_association(options.relid, options.name);
		PG_RETURN_VOID();
	}
	options.params = chatroom_object_arg(fcinfo, 2, "params");
	check_name(&options);
	read_options(&options);
	if (options.through != NIL ||
		(options.kind_told && options.kind == ASSOC_THROUGH))
	{
		assoc = palloc0(sizeof(Assoc));
		assoc->kind = ASSOC_THROUGH;
		assoc->from = options.relid;
		options.kind_told = false;
		check_params(&options, ASSOC_THROUGH, check_through(&options));
	}
	else
	{
		assoc = meant_association(&options);
		check_params(&options, options.kind_told ? options.kind : assoc->kind,
					 assoc->to);
	}
	(void) drop_association(options.relid, options.name);
	make_holder(&options, assoc);
	PG_RETURN_VOID();
}

/* chatroom.drop_assoc(relation text, name text) returns void */
Datum
chatroom_drop_assoc(PG_FUNCTION_ARGS)
{
	Oid			relid;
	text	   *name = chatroom_text_arg(fcinfo, 1, "name");

	PreventCommandIfReadOnly("chatroom.drop_assoc()");
	PreventCommandDuringRecovery("chatroom.drop_assoc()");
	relid = chatroom_relation_arg(chatroom_text_arg(fcinfo, 0, "relation"));
	chatroom_require_owner(relid);
	LockRelationOid(relid, ShareRowExclusiveLock);
	end_association(relid, text_to_cstring(name));
	PG_RETURN_VOID();
}

/* The function of the triggers that associations are kept in: does nothing. */
Datum
chatroom_assoc_option(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function chatroom.assoc_option() was not called by a trigger")));
	return PointerGetDatum(NULL);
}

/* ------------------------------------------------------------ the view */

/* The tables that have foreign keys, or are referred to by any. */
static List *
tables_with_keys(void)
{
	List	   *tables = NIL;
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL,
										  0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

		if (form->contype != CONSTRAINT_FOREIGN ||
			OidIsValid(form->conparentid))
			continue;
		tables = list_append_unique_oid(tables, form->conrelid);
		tables = list_append_unique_oid(tables, form->confrelid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return tables;
}

/* The names of columns as text[]. */
static Datum
names_array(Oid relid, const AttrNumber *columns, int n)
{
	Datum	   *names = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		names[i] = CStringGetTextDatum(get_attname(relid, columns[i], false));
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/* Texts as text[]. */
static Datum
texts_array(const List *texts)
{
	Datum	   *elements = palloc(sizeof(Datum) * list_length(texts));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, texts)
		elements[n++] = CStringGetTextDatum(lfirst(lc));
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/* Put one association in the result. */
static void
list_association(ReturnSetInfo *result, Assoc *assoc, List *assocs)
{
	Datum		values[12] = {0};
	bool		nulls[12];
	const char *name = chatroom_association_name(assoc, assocs);
	Oid			to = assoc->to;
	Oid			owner = assoc->from;

	memset(nulls, true, sizeof(nulls));
	if (name == NULL)
		return;
	if (assoc->kind == ASSOC_THROUGH)
		to = ((Assoc *) llast(chatroom_expand_association(assoc)))->to;
	else if (assoc->kind == ASSOC_MANY_TO_MANY)
		owner = assoc->join;
	else if (assoc->kind != ASSOC_BELONGS_TO)
		owner = assoc->to;

	nulls[0] = nulls[1] = nulls[2] = nulls[3] = nulls[9] = nulls[10] = false;
	values[0] = CStringGetTextDatum(chatroom_relation_base(assoc->from));
	values[1] = CStringGetTextDatum(name);
	values[2] = CStringGetTextDatum(chatroom_assoc_kind_name(assoc->kind));
	values[3] = CStringGetTextDatum(chatroom_relation_base(to));
	if (assoc->kind == ASSOC_THROUGH)
	{
		nulls[5] = false;
		values[5] = texts_array(assoc->through);
	}
	else
	{
		const AssocKey *key = assoc->kind == ASSOC_MANY_TO_MANY ?
			&assoc->join_key : &assoc->key;

		nulls[4] = false;
		values[4] = names_array(owner, key->referencing, key->n);
	}
	if (assoc->kind == ASSOC_MANY_TO_MANY)
	{
		nulls[6] = false;
		values[6] = CStringGetTextDatum(chatroom_relation_base(assoc->join));
	}
	nulls[7] = assoc->where == NULL;
	values[7] = JsonbPGetDatum(assoc->where);
	nulls[8] = assoc->order == NULL;
	values[8] = JsonbPGetDatum(assoc->order);
	values[9] = CStringGetTextDatum(chatroom_replace_name(assoc->on_replace));
	values[10] = BoolGetDatum(assoc->added != NULL);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* A table's associations, which are looked at. */
typedef struct LookedAt
{
	ReturnSetInfo *result;
	Oid			relid;
} LookedAt;

/* Put one table's associations in the result. */
static bool
list_associations(void *arg)
{
	const LookedAt *look = arg;
	List	   *assocs = chatroom_associations(look->relid);
	ListCell   *lc;

	foreach(lc, assocs)
		list_association(look->result, lfirst(lc), assocs);
	return true;
}

/* Tell why a table's associations can't be had. */
static void
list_problem(const LookedAt *look, const ErrorData *error)
{
	Datum		values[12] = {0};
	bool		nulls[12];
	char	   *base = chatroom_relation_base(look->relid);

	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
		ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION))
		ReThrowError((ErrorData *) error);
	if (base == NULL)
		return;
	memset(nulls, true, sizeof(nulls));
	nulls[0] = nulls[11] = false;
	values[0] = CStringGetTextDatum(base);
	values[11] = CStringGetTextDatum(error->message);
	tuplestore_putvalues(look->result->setResult, look->result->setDesc,
						 values, nulls);
}

/*
 * chatroom.list_assocs(): the rows of the view chatroom.assocs.  A trigger
 * that somebody made by hand is a problem of its table's, and of no other's.
 */
Datum
chatroom_list_assocs(PG_FUNCTION_ARGS)
{
	LookedAt	look = {(ReturnSetInfo *) fcinfo->resultinfo};
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, tables_with_keys())
	{
		ErrorData  *error;

		look.relid = lfirst_oid(lc);
		if (!chatroom_may_see(look.relid))
			continue;
		CHECK_FOR_INTERRUPTS();
		(void) chatroom_subtransaction(list_associations, &look, &error);
		if (error != NULL)
			list_problem(&look, error);
	}
	return (Datum) 0;
}
