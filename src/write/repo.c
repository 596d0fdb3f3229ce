/*-------------------------------------------------------------------------
 *
 * repo.c
 *	  chatroom.insert, update and delete: writing changesets.
 *
 * What a changeset and those of its associations ask for is written in one
 * subtransaction, parents before children.  When the server refuses a row,
 * all rows are held against all constraints, so that those that are broken are
 * told together.  Where none is found broken in that way, it is tried once
 * more, looking before each statement, and the error of the constraint that
 * refuses a row then becomes one of the changeset's.
 *
 * All statements run with the caller's rights, row-level security and
 * triggers.  A statement that hits no row, because of another session or a
 * trigger, is an error of the changeset, too: nothing is told to be written
 * that isn't there.  Other errors are raised.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "base/spi.h"
#include "base/subtransaction.h"
#include "base/values.h"
#include "base/where.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"
#include "write/repo.h"

typedef enum ConflictAction
{
	CONFLICT_RAISE,
	CONFLICT_NOTHING,
	CONFLICT_REPLACE,			/* columns take their new values */
	CONFLICT_SET				/* columns are set, or counted up */
} ConflictAction;

struct Conflict
{
	ConflictAction action;
	Bitmapset  *target;			/* columns, or ... */
	char	   *constraint;		/* ... a constraint's name, or ... */
	char	   *index;			/* ... a unique index: what it is made of */
	Bitmapset  *replace;
	Jsonb	   *set;
	Jsonb	   *inc;
};

/* What is being written. */
typedef struct Writer
{
	Changeset  *root;
	Conflict   *conflict;		/* of the root */
	Changeset  *current;		/* whose statement runs; for errors */
	Changeset  *blame;			/* NULL: current has them, else this one ... */
	const char *field;			/* ... under this name */
	bool		careful;		/* look at constraints beforehand */
	bool		passed;			/* the root met a row, and does nothing */
	const int64 *version;		/* that a deleted root is to have, or NULL */
} Writer;

CHATROOM_FUNCTION(chatroom_insert);
CHATROOM_FUNCTION(chatroom_update);
CHATROOM_FUNCTION(chatroom_delete);

static bool write_changeset(Writer *writer, Changeset *changeset);


/* ------------------------------------------------------------ on_conflict */

/* A set of columns of names. */
static Bitmapset *
column_set(TableInfo *table, Jsonb *names, const char *what)
{
	Bitmapset  *set = NULL;
	ListCell   *lc;

	chatroom_want_list(names, what);
	foreach(lc, chatroom_text_list(names, what))
	{
		const char *name = lfirst(lc);

		set = bms_add_member(set,
							 chatroom_named_column(table, name, strlen(name),
												   what)->attnum);
	}
	return set;
}

/* The column of a rule optimistic_lock; 0: there is none. */
static AttrNumber
lock_column(const RuleSet *rules)
{
	for (int i = 0; i < rules->nrules; i++)
		if (rules->rules[i].kind == RULE_OPTIMISTIC_LOCK &&
			rules->rules[i].ncolumns > 0)
			return rules->rules[i].columns[0];
	return 0;
}

/*
 * All columns that replace_all replaces: not keys, nor inserted_at, nor the
 * version, which the row that there is counts on.
 */
static Bitmapset *
replaceable_columns(const Changeset *changeset, const Conflict *conflict)
{
	const TableInfo *table = changeset->table;
	AttrNumber	version = lock_column(changeset->rules);
	Bitmapset  *set = bms_copy(table->all);

	for (int i = 0; i < table->natts; i++)
		if (table->columns[i].generated || table->columns[i].identity_always)
			set = bms_del_member(set, i + 1);
	for (int i = 0; i < table->nkeys; i++)
		set = bms_del_member(set, table->keys[i]);
	set = bms_del_members(set, conflict->target);
	if (version > 0)
		set = bms_del_member(set, version);
	return table->inserted_at ?
		bms_del_member(set, table->inserted_at) : set;
}

/* Is an index unique? */
static bool
is_unique(Oid index)
{
	Relation	indexrel = index_open(index, AccessShareLock);
	bool		result = indexrel->rd_index->indisunique;

	index_close(indexrel, AccessShareLock);
	return result;
}

/* Append what tells ON CONFLICT of a unique index: its keys and condition. */
static void
append_index(StringInfo buf, Relation table, Oid index)
{
	Relation	indexrel = index_open(index, AccessShareLock);
	List	   *predicate = RelationGetIndexPredicate(indexrel);

	/* all names in expressions are to be qualified, all values to be clear */
	int			nest_level = chatroom_fix_settings();

	appendStringInfo(buf, "(%s)", pg_get_indexdef_columns(index, 0));
	if (predicate != NIL)
	{
		Oid			relid = RelationGetRelid(table);
		List	   *context =
			deparse_context_for(get_rel_name(relid), relid);

		appendStringInfo(buf, " WHERE %s",
						 deparse_expression((Node *)
											make_ands_explicit(predicate),
											context, false, false));
	}
	AtEOXact_GUC(true, nest_level);
	index_close(indexrel, AccessShareLock);
}

/*
 * The unique index of a name, as ON CONFLICT tells it, which takes names of
 * constraints alone; NULL: the table has no such index.
 */
static char *
find_index(const TableInfo *table, const char *name)
{
	Relation	relation = relation_open(table->relid, AccessShareLock);
	StringInfoData buf;
	bool		found = false;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, RelationGetIndexList(relation))
	{
		Oid			index = lfirst_oid(lc);
		char	   *other = get_rel_name(index);

		if (other == NULL || strcmp(other, name) != 0 ||
			!is_unique(index))
			continue;
		append_index(&buf, relation, index);
		found = true;
	}
	relation_close(relation, NoLock);
	return found ? buf.data : NULL;
}

/* Read the target: columns, or the name of a constraint or unique index. */
static void
read_target(TableInfo *table, Conflict *conflict, Jsonb *target)
{
	static const char *const members[] = {"constraint", "index", NULL};
	char	   *index;

	if (target == NULL)
		return;
	if (JB_ROOT_IS_OBJECT(target) && JB_ROOT_COUNT(target) > 0)
	{
		chatroom_only_members(target, "target", members);
		conflict->constraint = chatroom_member_text(target, "constraint",
													"target");
		index = chatroom_member_text(target, "index", "target");
		if (conflict->constraint != NULL && index != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("target of on_conflict names a constraint and an index"),
					 errhint("Name one of them.")));
		if (conflict->constraint != NULL && conflict->constraint[0] != '\0')
		{
			/* as Ecto's unique_constraint takes either's name */
			if (!OidIsValid(get_relation_constraint_oid(table->relid,
														conflict->constraint,
														true)))
				conflict->index = find_index(table, conflict->constraint);
			return;
		}
		if (index != NULL && index[0] != '\0')
		{
			conflict->index = find_index(table, index);
			if (conflict->index == NULL)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_OBJECT),
						 errmsg("table \"%s\" has no unique index \"%s\"",
								table->name, index)));
			return;
		}
	}
	else
		conflict->target = column_set(table, target, "target");
	if (bms_is_empty(conflict->target))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("target of on_conflict must not be empty")));
}

/* Refuse what an action makes nothing of. */
static void
check_members(const Conflict *conflict, const char *action, bool fields)
{
	const char *idle = NULL;

	if (fields && strcmp(action, "replace") != 0 &&
		strcmp(action, "replace_all_except") != 0)
		idle = "fields";
	else if (conflict->action == CONFLICT_RAISE ||
			 conflict->action == CONFLICT_NOTHING)
		idle = conflict->set != NULL ? "set" :
			conflict->inc != NULL ? "inc" : NULL;
	if (idle != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("action \"%s\" of on_conflict takes no \"%s\"", action,
						idle)));
}

/* Read on_conflict. */
static Conflict *
read_conflict(const Changeset *changeset, Jsonb *json)
{
	TableInfo  *table = changeset->table;
	static const char *const members[] = {
		"target", "action", "fields", "set", "inc", NULL
	};
	Conflict   *conflict = palloc0(sizeof(Conflict));
	Jsonb	   *fields;
	char	   *action;

	if (json == NULL)
		return NULL;
	chatroom_want_object(json, "on_conflict");
	chatroom_only_members(json, "on_conflict", members);
	action = chatroom_member_text(json, "action", "on_conflict");
	read_target(table, conflict, chatroom_member_jsonb(json, "target"));
	fields = chatroom_member_jsonb(json, "fields");
	conflict->set = chatroom_member_jsonb(json, "set");
	conflict->inc = chatroom_member_jsonb(json, "inc");
	if (conflict->set != NULL)
		chatroom_want_object(conflict->set, "set of on_conflict");
	if (conflict->inc != NULL)
		chatroom_want_object(conflict->inc, "inc of on_conflict");

	if (action == NULL)
		action = conflict->set != NULL ? "set" :
			conflict->inc != NULL ? "inc" : "raise";
	if (strcmp(action, "raise") == 0)
		conflict->action = CONFLICT_RAISE;
	else if (strcmp(action, "nothing") == 0)
		conflict->action = CONFLICT_NOTHING;
	else if (strcmp(action, "replace_all") == 0)
	{
		conflict->action = CONFLICT_REPLACE;
		conflict->replace = replaceable_columns(changeset, conflict);
	}
	else if (strcmp(action, "replace_all_except") == 0 && fields != NULL)
	{
		conflict->action = CONFLICT_REPLACE;
		conflict->replace =
			bms_del_members(replaceable_columns(changeset, conflict),
							column_set(table, fields, "fields"));
	}
	else if (strcmp(action, "replace") == 0 && fields != NULL)
	{
		conflict->action = CONFLICT_REPLACE;
		conflict->replace = column_set(table, fields, "fields");
	}
	else if ((strcmp(action, "set") == 0 || strcmp(action, "inc") == 0) &&
			 (conflict->set != NULL || conflict->inc != NULL))
		conflict->action = CONFLICT_SET;
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid action \"%s\" of on_conflict", action),
				 errhint("Actions are raise, nothing, replace_all, replace_all_except and replace with \"fields\", set with \"set\" and inc with \"inc\".")));

	check_members(conflict, action, fields != NULL);
	if (conflict->action == CONFLICT_RAISE)
		return NULL;
	if (conflict->action != CONFLICT_NOTHING && conflict->target == NULL &&
		conflict->constraint == NULL && conflict->index == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("on_conflict needs a target"),
				 errhint("Give the columns of a unique index, like {\"target\": [\"name\"], \"action\": \"%s\"}.",
						 action)));

	/* the row is wanted as an answer, also where there is nothing to change */
	if (conflict->action == CONFLICT_REPLACE &&
		bms_is_empty(conflict->replace))
	{
		conflict->replace = conflict->target;
		if (conflict->target == NULL)
			conflict->action = CONFLICT_NOTHING;
	}
	return conflict;
}

/* Append what is set, or counted up, on a conflict. */
static void
append_sets(StringInfo sql, TableInfo *table, Jsonb *object, bool inc,
			QueryArgs *args, bool *first)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	if (object == NULL)
		return;
	iterator = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		TableColumn *column;
		Datum		datum = (Datum) 0;
		CastResult	result;
		int			parameter;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		column = chatroom_named_column(table, key.val.string.val,
									   key.val.string.len, "on_conflict");
		result = chatroom_cast(&column->caster, &value, &datum);
		if (result != CAST_OK && (result != CAST_NULL || inc))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid value of column \"%s\" in on_conflict",
							column->name),
					 errdetail("Column \"%s\" has type %s.", column->name,
							   format_type_be(column->typid))));
		parameter = chatroom_add_arg(args, column->typid, datum,
									 result == CAST_NULL);
		appendStringInfo(sql, "%s%s = ", *first ? "" : ", ", column->quoted);
		if (inc)
			appendStringInfo(sql, "t.%s OPERATOR(pg_catalog.+) ",
							 column->quoted);
		appendStringInfo(sql, "$%d", parameter);
		*first = false;
	}
}

/* Append ON CONFLICT. */
static void
append_conflict(StringInfo sql, TableInfo *table, const Conflict *conflict,
				QueryArgs *args)
{
	bool		first = true;
	int			attnum = -1;

	appendStringInfoString(sql, " ON CONFLICT");
	if (conflict->index != NULL)
		appendStringInfo(sql, " %s", conflict->index);
	else if (conflict->constraint != NULL)
		appendStringInfo(sql, " ON CONSTRAINT %s",
						 quote_identifier(conflict->constraint));
	else if (conflict->target != NULL)
	{
		appendStringInfoString(sql, " (");
		chatroom_append_columns(sql, table, conflict->target, NULL);
		appendStringInfoChar(sql, ')');
	}
	if (conflict->action == CONFLICT_NOTHING)
	{
		appendStringInfoString(sql, " DO NOTHING");
		return;
	}
	appendStringInfoString(sql, " DO UPDATE SET ");
	while ((attnum = bms_next_member(conflict->replace, attnum)) >= 0)
	{
		const char *name = table->columns[attnum - 1].quoted;

		appendStringInfo(sql, "%s%s = excluded.%s", first ? "" : ", ", name,
						 name);
		first = false;
	}
	append_sets(sql, table, conflict->set, false, args, &first);
	append_sets(sql, table, conflict->inc, true, args, &first);
}

/* ------------------------------------------------------------- statements */

/* Set a column to the time, where the changes don't. */
static void
stamp(Changeset *changeset, AttrNumber attnum, TimestampTz time,
	  Bitmapset **columns)
{
	TableColumn *column;
	Datum		now;
	int32		typmod;

	if (attnum == 0 || bms_is_member(attnum, changeset->changed))
		return;
	column = &changeset->table->columns[attnum - 1];
	if (changeset->action == ACTION_INSERT && column->has_default)
		return;
	now = TimestampTzGetDatum(time);
	if (column->caster.base == TIMESTAMPOID)
	{
		Datum		zone = CStringGetTextDatum("UTC");

		now = DirectFunctionCall2(timestamptz_zone, zone, now);
	}
	typmod = column->caster.typmod;
	if (typmod >= 0)
		now = column->caster.base == TIMESTAMPOID ?
			DirectFunctionCall2(timestamp_scale, now, Int32GetDatum(typmod)) :
			DirectFunctionCall2(timestamptz_scale, now,
								Int32GetDatum(typmod));
	changeset->row->values[attnum - 1] = now;
	changeset->row->nulls[attnum - 1] = false;
	*columns = bms_add_member(*columns, attnum);
}

/* Add the values of columns as parameters. */
static void
add_values(const Changeset *changeset, const Bitmapset *columns,
		   QueryArgs *args)
{
	int			attnum = -1;

	while ((attnum = bms_next_member(columns, attnum)) >= 0)
		(void) chatroom_add_arg(args,
								changeset->table->columns[attnum - 1].typid,
								changeset->row->values[attnum - 1],
								changeset->row->nulls[attnum - 1]);
}

/* Add the key of the row that there is, and WHERE. */
static void
append_where_key(StringInfo sql, const Changeset *changeset, QueryArgs *args)
{
	const TableInfo *table = changeset->table;

	appendStringInfoString(sql, " WHERE ");
	chatroom_append_key(sql, table, args->n + 1);
	for (int i = 0; i < table->nkeys; i++)
		(void) chatroom_add_arg(args,
								table->columns[table->keys[i] - 1].typid,
								changeset->data->values[table->keys[i] - 1],
								false);
}

/* Add RETURNING, run it, and take the row; false: there was none. */
static bool
run_statement(Writer *writer, Changeset *changeset, StringInfo sql,
			  QueryArgs *args)
{
	TableInfo  *table = changeset->table;
	bool		returning = !bms_is_empty(changeset->readable);
	int			result;

	if (returning)
	{
		appendStringInfoString(sql, " RETURNING ");
		chatroom_append_columns(sql, table, changeset->readable, "t");
	}
	writer->current = changeset;
	result = SPI_execute_plan(chatroom_plan(table, sql->data, args->n,
											args->types),
							  args->values, args->nulls, false, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", sql->data,
			 SPI_result_code_string(result));
	if (SPI_processed == 0)
		return false;
	changeset->written = true;
	if (returning && changeset->action != ACTION_DELETE)
	{
		TableRow   *stored = chatroom_new_row(table);

		/* what is rolled back takes this with it, but not the changes */
		memcpy(stored->values, changeset->row->values,
			   sizeof(Datum) * table->natts);
		memcpy(stored->nulls, changeset->row->nulls,
			   sizeof(bool) * table->natts);
		chatroom_read_row(table, stored, changeset->readable,
						  SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 0);
		changeset->stored = stored;
	}
	return true;
}

/* Look at all constraints before a statement; false: some are broken. */
static bool
look_before(Writer *writer, Changeset *changeset, bool upsert)
{
	if (!writer->careful || upsert)
		return true;
	chatroom_check_changeset(changeset, false, true);
	return changeset->errors == NIL;
}

/* Run an INSERT of some columns; false: there was no row. */
static bool
run_insert(Writer *writer, Changeset *changeset, const Bitmapset *columns,
		   Conflict *conflict)
{
	TableInfo  *table = changeset->table;
	StringInfoData sql;
	QueryArgs	args = {0};

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s AS t ", table->quoted);
	if (bms_is_empty(columns))
		appendStringInfoString(&sql, "DEFAULT VALUES");
	else
	{
		appendStringInfoChar(&sql, '(');
		chatroom_append_columns(&sql, table, columns, NULL);
		appendStringInfoString(&sql, ") VALUES (");
		add_values(changeset, columns, &args);
		for (int i = 1; i <= args.n; i++)
			appendStringInfo(&sql, "%s$%d", i > 1 ? ", " : "", i);
		appendStringInfoChar(&sql, ')');
	}
	if (conflict != NULL)
		append_conflict(&sql, table, conflict, &args);
	return run_statement(writer, changeset, &sql, &args);
}

/* An INSERT that is tried in a subtransaction. */
typedef struct InsertAttempt
{
	Writer	   *writer;
	Changeset  *changeset;
	const Bitmapset *columns;
} InsertAttempt;

/* Insert without ON CONFLICT. */
static bool
attempt_insert(void *arg)
{
	InsertAttempt *attempt = arg;

	return run_insert(attempt->writer, attempt->changeset, attempt->columns,
					  NULL);
}

/*
 * DO NOTHING did nothing: because there is such a row?  Else a trigger has
 * suppressed it.  Only trying to insert it tells them apart, also where the
 * row can't be seen; if it has gone meanwhile it is inserted.
 */
static bool
row_is_there(Writer *writer, Changeset *changeset, const Bitmapset *columns)
{
	InsertAttempt attempt = {writer, changeset, columns};
	ErrorData  *error;

	/* other than tables that are one by themselves have them elsewhere */
	if (!changeset->table->other_triggers &&
		changeset->table->relkind == RELKIND_RELATION &&
		!has_subclass(changeset->table->relid))
		writer->passed = true;
	else if (!chatroom_subtransaction(attempt_insert, &attempt, &error))
	{
		if (error != NULL &&
			error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION &&
			error->sqlerrcode != ERRCODE_EXCLUSION_VIOLATION)
			ReThrowError(error);
		writer->passed = error != NULL;
	}
	return writer->passed;
}

/* Insert a row. */
static bool
insert_row(Writer *writer, Changeset *changeset, const Bitmapset *linked)
{
	TableInfo  *table = changeset->table;
	Conflict   *conflict = changeset == writer->root ? writer->conflict :
		NULL;
	Bitmapset  *columns = bms_union(changeset->changed, linked);
	TimestampTz now = GetCurrentTimestamp();

	if (!look_before(writer, changeset, conflict != NULL))
		return false;
	stamp(changeset, table->inserted_at, now, &columns);
	stamp(changeset, table->updated_at, now, &columns);
	if (run_insert(writer, changeset, columns, conflict))
		return true;
	if (conflict != NULL && conflict->action == CONFLICT_NOTHING &&
		row_is_there(writer, changeset, columns))
		return false;
	if (changeset->written)
		return true;
	chatroom_add_stale(changeset, 0);
	return false;
}

/* The column of a rule optimistic_lock, if the attributes give its version. */
static AttrNumber
given_version(const Changeset *changeset)
{
	AttrNumber	attnum = lock_column(changeset->rules);

	if (attnum == 0 || changeset->attrs == NULL ||
		chatroom_member(&changeset->attrs->root,
						changeset->table->columns[attnum - 1].name) == NULL)
		return 0;
	return attnum;
}

/* Update a row. */
static bool
update_row(Writer *writer, Changeset *changeset, const Bitmapset *linked)
{
	TableInfo  *table = changeset->table;
	Bitmapset  *columns = bms_union(changeset->changed, linked);
	AttrNumber	version = given_version(changeset);
	StringInfoData sql;
	QueryArgs	args = {0};
	int			attnum = -1;
	int			n = 0;

	if (bms_is_empty(columns))
		return true;
	if (!look_before(writer, changeset, false))
		return false;
	stamp(changeset, table->updated_at, GetCurrentTimestamp(), &columns);
	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS t SET ", table->quoted);
	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		appendStringInfo(&sql, "%s%s = $%d", n > 0 ? ", " : "",
						 table->columns[attnum - 1].quoted, n + 1);
		n++;
	}
	add_values(changeset, columns, &args);
	append_where_key(&sql, changeset, &args);
	if (version != 0)
	{
		const TableColumn *column = &table->columns[version - 1];
		const TableRow *data = changeset->data;

		appendStringInfo(&sql, " AND t.%s %s $%d", column->quoted,
						 chatroom_equality(table, column),
						 chatroom_add_arg(&args, column->typid,
										  data->values[version - 1],
										  data->nulls[version - 1]));
	}
	if (run_statement(writer, changeset, &sql, &args))
		return true;
	chatroom_add_stale(changeset, version);
	return false;
}

/* Delete a row. */
static bool
delete_row(Writer *writer, Changeset *changeset, bool missing_ok)
{
	StringInfoData sql;
	QueryArgs	args = {0};
	AttrNumber	version = 0;

	if (changeset->rules->on_delete)
	{
		Relation	relation = relation_open(changeset->table->relid,
											 AccessShareLock);
		RuleInput	input = {0};

		input.tupdesc = changeset->table->tupdesc;
		input.values = changeset->row->values;
		input.nulls = changeset->row->nulls;
		changeset->errors = chatroom_check_delete(changeset->rules, relation,
												  &input);
		relation_close(relation, NoLock);
		if (changeset->errors != NIL)
			return false;
	}
	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s AS t", changeset->table->quoted);
	append_where_key(&sql, changeset, &args);
	if (writer->version != NULL && changeset == writer->root)
	{
		version = lock_column(changeset->rules);
		appendStringInfo(&sql, " AND t.%s OPERATOR(pg_catalog.=) $%d",
						 changeset->table->columns[version - 1].quoted,
						 chatroom_add_arg(&args, INT8OID,
										  Int64GetDatum(*writer->version),
										  false));
	}
	if (run_statement(writer, changeset, &sql, &args) || missing_ok)
		return true;
	chatroom_add_stale(changeset, version);
	return false;
}

/* ----------------------------------------------------------- associations */

/* Refuse to link to a row whose value isn't known, or is null. */
static void
check_link(const Changeset *other, AttrNumber attnum)
{
	const TableInfo *table = other->table;
	const char *column = table->columns[attnum - 1].name;

	/* what was given may not be what a trigger has made of it */
	if (!bms_is_member(attnum, other->readable))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for column \"%s\" of table \"%s\"",
						column, table->name),
				 errdetail("Rows are associated by its value, which only who may select it is told.")));
	if (ChangesetFinalRow(other)->nulls[attnum - 1])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a row of table \"%s\" can't be associated",
						table->name),
				 errdetail("Column \"%s\", which the association goes by, is null.",
						   column)));
}

/* Give a changeset the values that link it to another row. */
static Bitmapset *
link_columns(Changeset *changeset, const AttrNumber *columns,
			 const Changeset *other, const AttrNumber *others, int n)
{
	Bitmapset  *linked = NULL;

	for (int i = 0; i < n; i++)
	{
		int			to = columns[i] - 1;
		const TableRow *row = other == NULL ? NULL : ChangesetFinalRow(other);
		bool		isnull = row == NULL;
		Datum		value = isnull ? (Datum) 0 : row->values[others[i] - 1];
		Oid			type = changeset->table->columns[to].typid;

		if (other != NULL)
			check_link(other, others[i]);

		/* int and bigint may refer to each other */
		if (!isnull &&
			other->table->columns[others[i] - 1].typid != type)
		{
			const TableColumn *from = &other->table->columns[others[i] - 1];
			Oid			output;
			Oid			input;
			Oid			parameter;
			bool		is_varlena;

			getTypeOutputInfo(from->typid, &output, &is_varlena);
			getTypeInputInfo(type, &input, &parameter);
			value = OidInputFunctionCall(input,
										 OidOutputFunctionCall(output, value),
										 parameter,
										 changeset->table->columns[to].typmod);
		}
		else if (!isnull)
			value = datumCopy(value, changeset->table->columns[to].typbyval,
							  changeset->table->columns[to].typlen);
		if (changeset->action == ACTION_INSERT ||
			!chatroom_same_column_value(&changeset->table->columns[to], value,
								 isnull, changeset->data->values[to],
								 changeset->data->nulls[to]))
			linked = bms_add_member(linked, columns[i]);
		changeset->row->values[to] = value;
		changeset->row->nulls[to] = isnull;
		changeset->later = bms_del_member(changeset->later, columns[i]);
	}
	return linked;
}

/* The rows that a row belongs to come before it. */
static bool
write_parents(Writer *writer, Changeset *changeset, Bitmapset **linked)
{
	ListCell   *lc;

	foreach(lc, changeset->assocs)
	{
		AssocChange *change = lfirst(lc);
		const AssocKey *key = &change->assoc->key;
		Changeset  *parent;

		if (change->assoc->kind != ASSOC_BELONGS_TO)
			continue;
		parent = change->kept == NIL ? NULL : linitial(change->kept);
		if (parent != NULL && !write_changeset(writer, parent))
			return false;
		if (parent == NULL && change->removed == NIL &&
			changeset->action == ACTION_UPDATE)
			continue;
		*linked = bms_union(*linked,
							link_columns(changeset, key->referencing, parent,
										 key->referenced, key->n));
	}
	return true;
}

/* Insert or delete the row of a join table. */
static bool
write_join(Writer *writer, Changeset *owner, const AssocChange *change,
		   Changeset *child, bool remove)
{
	const Assoc *assoc = change->assoc;
	Changeset  *join = chatroom_new_changeset(assoc->join, ACTION_INSERT,
											  NULL);
	Bitmapset  *linked;
	ListCell   *lc;
	bool		result;

	writer->blame = owner;
	writer->field = change->name;
	linked = link_columns(join, assoc->key.referencing, owner,
						  assoc->key.referenced, assoc->key.n);
	linked = bms_union(linked, link_columns(join, assoc->join_key.referencing,
											child, assoc->join_key.referenced,
											assoc->join_key.n));
	if (remove)
	{
		StringInfoData sql;
		QueryArgs	args = {0};
		int			attnum = -1;

		initStringInfo(&sql);
		appendStringInfo(&sql, "DELETE FROM %s AS t WHERE ",
						 join->table->quoted);
		while ((attnum = bms_next_member(linked, attnum)) >= 0)
		{
			const TableColumn *column = &join->table->columns[attnum - 1];

			appendStringInfo(&sql, "%s%s %s $%d", args.n > 0 ? " AND " : "",
							 column->quoted,
							 chatroom_equality(join->table, column),
							 args.n + 1);
			(void) chatroom_add_arg(&args, column->typid,
									join->row->values[attnum - 1], false);
		}
		join->action = ACTION_DELETE;
		result = run_statement(writer, join, &sql, &args) ||
			assoc->on_replace == REPLACE_DELETE_IF_EXISTS;
		if (!result)
			chatroom_add_stale(join, 0);
	}
	else
		result = insert_row(writer, join, linked);
	foreach(lc, join->errors)
		((RuleError *) lfirst(lc))->field = change->name;
	owner->errors = list_concat(owner->errors, join->errors);
	writer->blame = NULL;
	return result;
}

/* A row is associated no more. */
static bool
remove_child(Writer *writer, Changeset *owner, const AssocChange *change,
			 Changeset *child)
{
	const Assoc *assoc = change->assoc;

	if (assoc->kind == ASSOC_MANY_TO_MANY)
		return write_join(writer, owner, change, child, true);
	if (!child->unlink)
		return delete_row(writer, child,
						  assoc->on_replace == REPLACE_DELETE_IF_EXISTS);
	if (assoc->kind == ASSOC_BELONGS_TO)
		return true;
	child->action = ACTION_UPDATE;
	return update_row(writer, child,
					  link_columns(child, assoc->key.referencing, NULL,
								   assoc->key.referenced, assoc->key.n));
}

/* Write the rows that have or are joined with a row. */
static bool
write_children(Writer *writer, Changeset *changeset)
{
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, changeset->assocs)
	{
		AssocChange *change = lfirst(lc);
		const Assoc *assoc = change->assoc;

		foreach(lk, change->removed)
			if (!remove_child(writer, changeset, change, lfirst(lk)))
				return false;
		if (assoc->kind == ASSOC_BELONGS_TO)
			continue;
		for (int i = 0; i < list_length(change->kept); i++)
		{
			Changeset  *child = list_nth(change->kept, i);
			bool		current = list_nth_int(change->current, i) != 0;

			if (assoc->kind != ASSOC_MANY_TO_MANY)
				child->linked = link_columns(child, assoc->key.referencing,
											 changeset,
											 assoc->key.referenced,
											 assoc->key.n);
			if (!write_changeset(writer, child))
				return false;
			if (assoc->kind == ASSOC_MANY_TO_MANY && !current &&
				!write_join(writer, changeset, change, child, false))
				return false;
		}
	}
	return true;
}

/* Write a changeset and those of its associations; false: an error. */
static bool
write_changeset(Writer *writer, Changeset *changeset)
{
	Bitmapset  *linked = bms_copy(changeset->linked);
	bool		result = true;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (!write_parents(writer, changeset, &linked))
		return false;
	switch (changeset->action)
	{
		case ACTION_INSERT:
			result = insert_row(writer, changeset, linked);
			break;
		case ACTION_NONE:
		case ACTION_UPDATE:
			result = update_row(writer, changeset, linked);
			break;
		case ACTION_DELETE:
			result = delete_row(writer, changeset, false);
			break;
	}
	return result && write_children(writer, changeset);
}

/* ---------------------------------------------------------------- trying */

/* What the server refused becomes errors; others are raised again. */
static void
take_error(Writer *writer, ErrorData *error)
{
	Changeset  *changeset = writer->current;
	Relation	relation;
	List	   *errors;
	ListCell   *lc;

	if (changeset == NULL)
		ReThrowError(error);
	relation = relation_open(changeset->table->relid, AccessShareLock);
	errors = chatroom_caught_errors(relation, error);
	relation_close(relation, NoLock);
	if (errors == NIL)
		ReThrowError(error);
	if (writer->blame != NULL)
	{
		foreach(lc, errors)
			((RuleError *) lfirst(lc))->field = writer->field;
		changeset = writer->blame;
	}
	changeset->errors = list_concat(changeset->errors, errors);
}

/* Write all, in a subtransaction. */
static bool
write_root(void *arg)
{
	Writer	   *writer = arg;

	return write_changeset(writer, writer->root);
}

/* Write in a subtransaction; false: nothing is written, and why is told. */
static bool
try_writing(Writer *writer)
{
	ErrorData  *error;
	bool		success;

	writer->current = NULL;
	writer->blame = NULL;
	writer->passed = false;
	success = chatroom_subtransaction(write_root, writer, &error);
	if (error != NULL)
		take_error(writer, error);
	return success;
}

/* Its columns get their values from another row once more. */
static void
unlink_columns(Changeset *changeset, const AssocKey *key)
{
	for (int i = 0; i < key->n; i++)
		changeset->later = bms_add_member(changeset->later,
										  key->referencing[i]);
}

/* Forget the errors, and the other rows' keys, of the first attempt. */
static void
clear_errors(Changeset *changeset)
{
	ListCell   *lc;
	ListCell   *lk;

	chatroom_forget_errors(changeset);
	changeset->stored = NULL;
	changeset->written = false;
	changeset->linked = NULL;
	foreach(lc, changeset->assocs)
	{
		AssocChange *change = lfirst(lc);
		AssocKind	kind = change->assoc->kind;

		if (kind == ASSOC_BELONGS_TO)
			unlink_columns(changeset, &change->assoc->key);
		foreach(lk, change->kept)
		{
			clear_errors(lfirst(lk));
			if (kind == ASSOC_HAS_ONE || kind == ASSOC_HAS_MANY)
				unlink_columns(lfirst(lk), &change->assoc->key);
		}

		/* that a row can't be removed stays told: only trying tells it */
		foreach(lk, change->removed)
			((Changeset *) lfirst(lk))->stored = NULL;
	}
}

/* Take over errors of removed rows, and tell who is valid. */
static bool
settle(Changeset *changeset)
{
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, changeset->assocs)
	{
		AssocChange *change = lfirst(lc);

		foreach(lk, change->removed)
		{
			Changeset  *removed = lfirst(lk);

			changeset->errors = list_concat(changeset->errors,
											removed->errors);
			removed->errors = NIL;
		}
	}
	changeset->valid = changeset->errors == NIL;
	foreach(lc, changeset->assocs)
		foreach(lk, ((AssocChange *) lfirst(lc))->kept)
			if (!settle(lfirst(lk)))
				changeset->valid = false;
	return changeset->valid;
}

/*
 * The row is there, and nothing is to be done: neither is anything of the rows
 * that were given with it.
 */
static Changeset *
pass_by(Changeset *changeset)
{
	changeset->assocs = NIL;
	return changeset;
}

/* Write a valid changeset, or tell why not. */
static Changeset *
write_or_tell(Changeset *changeset, Conflict *conflict, const int64 *version)
{
	Writer		writer = {0};

	if (!changeset->valid)
		return changeset;
	writer.root = changeset;
	writer.conflict = conflict;
	writer.version = version;
	if (try_writing(&writer))
		return changeset;
	if (writer.passed)
		return pass_by(changeset);
	if (changeset->action != ACTION_DELETE && writer.current != NULL)
	{
		clear_errors(changeset);

		/* all rows that are wrong are told of, not just the first */
		chatroom_check_tree(changeset, conflict != NULL, true);
		if (!changeset->valid)
			return changeset;
		writer.careful = true;
		if (try_writing(&writer))
			return changeset;
		if (writer.passed)
			return pass_by(changeset);
	}
	(void) settle(changeset);
	if (changeset->valid)
		elog(ERROR, "changeset of table \"%s\" failed without an error",
			 changeset->table->name);
	return changeset;
}

/* Hold a changeset and those of its associations against the rules. */
void
chatroom_check_tree(Changeset *changeset, bool upsert, bool native)
{
	ListCell   *lc;
	ListCell   *lk;

	check_stack_depth();
	foreach(lc, changeset->assocs)
	{
		AssocChange *change = lfirst(lc);

		if (change->assoc->kind == ASSOC_BELONGS_TO)
			for (int i = 0; i < change->assoc->key.n; i++)
				changeset->later =
					bms_add_member(changeset->later,
								   change->assoc->key.referencing[i]);
		foreach(lk, change->kept)
			chatroom_check_tree(lfirst(lk), false, native);
	}
	chatroom_check_changeset(changeset, upsert, native);
	(void) settle(changeset);
}

/* ------------------------------------------------------------- operations */

/* A changeset for the row that a key names. */
Changeset *
chatroom_existing(Oid relid, Jsonb *key, ChangesetAction action,
				  bool read_only)
{
	TableInfo  *table = chatroom_open_table(relid);
	TableRow   *wanted = chatroom_read_key(table, key);
	Bitmapset  *columns = chatroom_readable_columns(table);
	TableRow   *row;
	Changeset  *changeset;

	chatroom_check_privilege(table, action == ACTION_DELETE ? ACL_DELETE :
							 ACL_UPDATE);
	row = chatroom_fetch_row(table, wanted, columns, read_only);
	changeset = chatroom_new_changeset(relid, action, row ? row : wanted);
	if (row == NULL)
		chatroom_add_stale(changeset, 0);
	return changeset;
}

/* Hold it against the rules, and where one is broken against all else. */
static void
check_all(Changeset *changeset, bool upsert)
{
	chatroom_check_tree(changeset, upsert, false);

	/* told together with what the server would refuse */
	if (!changeset->valid)
		chatroom_check_tree(changeset, upsert, true);
}

/* Insert a row. */
Changeset *
chatroom_insert_row(Oid relid, Jsonb *attrs, Jsonb *on_conflict,
					const Permitted *permitted)
{
	return chatroom_insert_keyed(relid, NULL, attrs, on_conflict, permitted);
}

/* Insert a row with a key. */
Changeset *
chatroom_insert_keyed(Oid relid, Jsonb *key, Jsonb *attrs, Jsonb *on_conflict,
					  const Permitted *permitted)
{
	Changeset  *changeset = chatroom_new_changeset(relid, ACTION_INSERT,
												   NULL);
	Conflict   *conflict = read_conflict(changeset, on_conflict);
	PermittedLevel level = {permitted, ""};
	PermittedLevel of_key = {chatroom_all_permitted(), ""};

	chatroom_check_privilege(changeset->table, ACL_INSERT);
	if (key != NULL)
		chatroom_cast_attrs(changeset, key, &of_key);
	chatroom_cast_attrs(changeset, attrs, &level);
	check_all(changeset, conflict != NULL);
	return write_or_tell(changeset, conflict, NULL);
}

/* Update a row. */
Changeset *
chatroom_update_row(Oid relid, Jsonb *key, Jsonb *attrs,
					const Permitted *permitted)
{
	Changeset  *changeset = chatroom_existing(relid, key, ACTION_UPDATE,
											  false);
	PermittedLevel level = {permitted, ""};

	if (!changeset->valid)
		return changeset;
	chatroom_cast_attrs(changeset, attrs, &level);
	check_all(changeset, false);
	if (changeset->valid && !chatroom_has_changes(changeset))
		return changeset;
	return write_or_tell(changeset, NULL, NULL);
}

/* The version of a table's rows that attributes give; false: they don't. */
bool
chatroom_given_version(Oid relid, Jsonb *attrs, int64 *version)
{
	TableInfo  *table = chatroom_open_table(relid);
	Relation	relation = relation_open(relid, AccessShareLock);
	AttrNumber	attnum = lock_column(chatroom_rules(relation));
	JsonbValue *value = NULL;
	Datum		number;

	relation_close(relation, NoLock);
	if (attnum > 0 && attrs != NULL && JB_ROOT_IS_OBJECT(attrs))
		value = chatroom_member(&attrs->root,
								table->columns[attnum - 1].name);
	if (value == NULL)
		return false;
	if (value->type != jbvNumeric)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the version of a row to delete must be a number")));
	number = NumericGetDatum(value->val.numeric);
	*version = DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
	return true;
}

/* Delete a row; of this version, unless that is NULL. */
Changeset *
chatroom_delete_row(Oid relid, Jsonb *key, const int64 *version)
{
	Changeset  *changeset = chatroom_existing(relid, key, ACTION_DELETE,
											  false);

	if (version != NULL && lock_column(changeset->rules) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("table \"%s\" has no rule optimistic_lock",
						changeset->table->name),
				 errhint("Leave out lock_version, or use chatroom.add_rule().")));
	return write_or_tell(changeset, NULL, version);
}

/* Put the row that a changeset became. */
static void
put_result(StringInfo buf, JsonbFrame *parent, const Changeset *changeset)
{
	List	   *names = NIL;
	RowShape   *shape;
	JsonbFrame	frame;
	ListCell   *lc;

	check_stack_depth();
	foreach(lc, changeset->assocs)
		names = lappend(names, ((AssocChange *) lfirst(lc))->name);
	shape = chatroom_shape(changeset->table,
						   bms_is_empty(changeset->readable) ?
						   changeset->changed : changeset->readable, names);
	chatroom_begin_shape(buf, &frame, shape);
	for (int i = 0; i < shape->n; i++)
	{
		int			column = shape->entries[i].column;
		AssocChange *change;
		JsonbFrame	list;
		ListCell   *lk;

		if (column >= 0)
		{
			chatroom_put_column(buf, &frame,
								&changeset->table->columns[column],
								ChangesetFinalRow(changeset)->values[column],
								ChangesetFinalRow(changeset)->nulls[column]);
			continue;
		}
		change = list_nth(changeset->assocs, shape->entries[i].extra);
		if (!change->many)
		{
			if (change->kept == NIL)
				chatroom_put_null(buf, &frame);
			else
				put_result(buf, &frame, linitial(change->kept));
			continue;
		}
		chatroom_begin_array(buf, &list, list_length(change->kept));
		foreach(lk, change->kept)
			put_result(buf, &list, lfirst(lk));
		chatroom_end(buf, &list, &frame);
	}
	chatroom_end(buf, &frame, parent);
}

/* The row that a valid changeset became. */
Jsonb *
chatroom_result_row(const Changeset *changeset)
{
	return chatroom_write_changeset(changeset, put_result);
}

/* ---------------------------------------------------------- SQL functions */

/* {"ok": row} or {"error": changeset}, for the caller of SPI. */
static Jsonb *
answer(const Changeset *changeset)
{
	const char *key = changeset->valid ? "ok" : "error";
	StringInfoData buf;
	JsonbFrame	frame;

	chatroom_jsonb_start(&buf);
	chatroom_begin_object(&buf, &frame, 1);
	chatroom_put_text(&buf, &frame, key, strlen(key));
	chatroom_put_jsonb(&buf, &frame, changeset->valid ?
					   chatroom_result_row(changeset) :
					   chatroom_changeset_jsonb(changeset));
	chatroom_end(&buf, &frame, NULL);
	return chatroom_keep_jsonb(chatroom_jsonb_finish(&buf));
}

/*
 * chatroom.insert(relation text, attrs jsonb, on_conflict jsonb,
 * permitted text[], put text[]) returns jsonb
 */
Datum
chatroom_insert(PG_FUNCTION_ARGS)
{
	Oid			relid =
		chatroom_relation_arg(chatroom_text_arg(fcinfo, 0, "relation"));
	Jsonb	   *attrs = chatroom_object_arg(fcinfo, 1, "attrs");
	Jsonb	   *on_conflict = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	Permitted  *permitted = chatroom_permitted_args(fcinfo, 3, 4);
	Jsonb	   *result;

	chatroom_spi_connect();
	result = answer(chatroom_insert_row(relid, attrs, on_conflict,
										permitted));
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(result);
}

/*
 * chatroom.update(relation text, key jsonb, attrs jsonb, permitted text[],
 * put text[]) returns jsonb
 */
Datum
chatroom_update(PG_FUNCTION_ARGS)
{
	Oid			relid =
		chatroom_relation_arg(chatroom_text_arg(fcinfo, 0, "relation"));
	Jsonb	   *key = chatroom_jsonb_arg(fcinfo, 1, "key");
	Jsonb	   *attrs = chatroom_object_arg(fcinfo, 2, "attrs");
	Permitted  *permitted = chatroom_permitted_args(fcinfo, 3, 4);
	Jsonb	   *result;

	chatroom_spi_connect();
	result = answer(chatroom_update_row(relid, key, attrs, permitted));
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(result);
}

/* chatroom.delete(relation text, key jsonb, lock_version bigint) */
Datum
chatroom_delete(PG_FUNCTION_ARGS)
{
	Oid			relid =
		chatroom_relation_arg(chatroom_text_arg(fcinfo, 0, "relation"));
	Jsonb	   *key = chatroom_jsonb_arg(fcinfo, 1, "key");
	int64		version = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2);
	Jsonb	   *result;

	chatroom_spi_connect();
	result = answer(chatroom_delete_row(relid, key,
										PG_ARGISNULL(2) ? NULL : &version));
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(result);
}
