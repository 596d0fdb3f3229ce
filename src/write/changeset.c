/*-------------------------------------------------------------------------
 *
 * changeset.c
 *	  Changesets: what is to become of a row, and what is wrong with that.
 *
 * Attributes of JSON are cast to the types of the columns that they name, as
 * Ecto's cast/4 does: what is of no column is dropped, empty strings become
 * the column's default, and only what differs from the row that there is (of a
 * new row: the defaults) is a change.  Then the row as it would be is held
 * against the rules.  Nothing is written here.
 *
 * What only writing a row can tell (a number of a sequence, a time) is null
 * until then, and no rule looks at it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "base/rooms.h"
#include "base/spi.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "write/changeset.h"
#include "write/embeds.h"
#include "write/watch.h"

CHATROOM_FUNCTION(chatroom_changeset);


/* ------------------------------------------------------------- relations */

/* -------------------------------------------------------------- defaults */

/* Compute defaults that are neither constant nor volatile. */
static void
compute_default(TableColumn *column, TableRow *row)
{
	EState	   *estate = CreateExecutorState();
	ExprContext *context = GetPerTupleExprContext(estate);
	ExprState  *state = ExecInitExpr(column->default_expr, NULL);
	Datum		value;
	bool		isnull;

	value = ExecEvalExprSwitchContext(state, context, &isnull);
	row->nulls[column->attnum - 1] = isnull;
	if (!isnull)
		row->values[column->attnum - 1] = datumCopy(value, column->typbyval,
													column->typlen);
	FreeExecutorState(estate);
}

/* What a new row has without being told. */
static void
fill_defaults(Changeset *changeset)
{
	TableInfo  *table = changeset->table;

	for (int i = 0; i < table->natts; i++)
	{
		TableColumn *column = &table->columns[i];

		if (column->dropped)
			continue;
		if (column->generated || column->volatile_default ||
			column->attnum == table->inserted_at ||
			column->attnum == table->updated_at)
			changeset->later = bms_add_member(changeset->later,
											  column->attnum);
		else if (column->default_expr != NULL)
			compute_default(column, changeset->data);
		else if (!column->default_null)
		{
			changeset->data->nulls[i] = false;
			changeset->data->values[i] = column->default_value;
		}
	}
}

/* Start a changeset. */
Changeset *
chatroom_new_changeset(Oid relid, ChangesetAction action, TableRow *data)
{
	Relation	relation = relation_open(relid, AccessShareLock);
	Changeset  *changeset = palloc0(sizeof(Changeset));
	TableInfo  *table = chatroom_table(relation);
	Size		n = Max(table->natts, 1);

	chatroom_refuse_unbound(relid);
	changeset->table = table;
	changeset->rules = chatroom_rules(relation);
	relation_close(relation, NoLock);
	changeset->action = action;
	changeset->valid = true;
	changeset->readable = chatroom_readable_columns(table);
	changeset->data = data;
	if (data == NULL)
	{
		changeset->data = chatroom_new_row(table);
		if (action == ACTION_INSERT)
			fill_defaults(changeset);
	}
	else
	{
		for (int i = 0; i < table->natts; i++)
			if (table->columns[i].generated)
				changeset->later = bms_add_member(changeset->later, i + 1);
	}
	changeset->row = chatroom_new_row(table);
	memcpy(changeset->row->values, changeset->data->values,
		   sizeof(Datum) * n);
	memcpy(changeset->row->nulls, changeset->data->nulls, sizeof(bool) * n);
	return changeset;
}

/* --------------------------------------------------------------- changes */

/* An error of a changeset. */
void
chatroom_add_error(Changeset *changeset, RuleError *error)
{
	changeset->errors = lappend(changeset->errors, error);
	changeset->valid = false;
}

/* Set a column's value: it becomes a change, if it is one. */
void
chatroom_set_value(Changeset *changeset, AttrNumber attnum, Datum value,
				   bool isnull)
{
	int			i = attnum - 1;
	TableColumn *column = &changeset->table->columns[i];

	changeset->row->values[i] = value;
	changeset->row->nulls[i] = isnull;
	if (chatroom_same_column_value(column, value, isnull,
							changeset->data->values[i],
							changeset->data->nulls[i]) &&
		bms_is_member(attnum, changeset->readable))
		changeset->changed = bms_del_member(changeset->changed, attnum);
	else
	{
		changeset->changed = bms_add_member(changeset->changed, attnum);
		changeset->later = bms_del_member(changeset->later, attnum);
	}
}

/* A value that is none of its column's. */
static void
add_cast_error(Changeset *changeset, TableColumn *column, CastResult result)
{
	RuleError  *error;

	if (result == CAST_TOO_LONG)
	{
		int			max = chatroom_max_characters(&column->caster);

		error = chatroom_make_error(column->name, column->attnum,
									"should be at most %{count} character(s)",
									"length");
		chatroom_error_key(error, "count", psprintf("%d", max));
		chatroom_error_key(error, "kind", "\"max\"");
		chatroom_error_key(error, "type", "\"string\"");
		chatroom_interpolate_error(error);
	}
	else
	{
		const char *type = format_type_be(column->typid);

		error = chatroom_make_error(column->name, column->attnum,
									"is invalid", "cast");
		chatroom_error_key(error, "type", chatroom_json_string(type));
	}
	changeset->failed = bms_add_member(changeset->failed, column->attnum);
	chatroom_add_error(changeset, error);
}

/* An empty string: the column's default takes its place. */
static void
set_default(Changeset *changeset, TableColumn *column)
{
	TableRow   *row;

	if (column->default_expr == NULL)
	{
		chatroom_set_value(changeset, column->attnum, column->default_value,
						   column->default_null);
		return;
	}
	row = chatroom_new_row(changeset->table);
	compute_default(column, row);
	chatroom_set_value(changeset, column->attnum,
					   row->values[column->attnum - 1],
					   row->nulls[column->attnum - 1]);
}

/* Cast a value as Ecto does. */
static CastResult
cast_value(TableColumn *column, const JsonbValue *value, Datum *datum)
{
	return chatroom_ecto_takes(&column->caster, value) ?
		chatroom_cast(&column->caster, value, datum) : CAST_INVALID;
}

/* Cast the value of one column. */
static void
cast_column(Changeset *changeset, TableColumn *column,
			const JsonbValue *value, const PermittedLevel *part)
{
	const Rule *embed = changeset->rules->nrules == 0 ? NULL :
		chatroom_embed_rule(changeset->rules, column->attnum);
	Datum		datum = (Datum) 0;
	CastResult	result;
	JsonbValue	permitted;

	if (part != NULL && embed == NULL)
	{
		/* of what has no members nothing is permitted */
		if (value->type != jbvBinary)
		{
			add_cast_error(changeset, column, CAST_INVALID);
			return;
		}
		chatroom_jsonb_value(chatroom_permitted_part(part, value), &permitted);
		value = &permitted;
	}
	if (chatroom_is_empty_value(value))
	{
		set_default(changeset, column);
		return;
	}
	result = cast_value(column, value, &datum);
	if (result != CAST_OK && result != CAST_NULL)
	{
		add_cast_error(changeset, column, result);
		return;
	}
	if (embed != NULL)
		chatroom_cast_embed(changeset, column, embed, value, part);
	else
		chatroom_set_value(changeset, column->attnum, datum,
						   result == CAST_NULL);
}

/* Is it a column whose objects have members that paths can lead to? */
static bool
has_members(const TableColumn *column)
{
	return column->caster.base == JSONBOID || column->caster.base == JSONOID;
}

/*
 * A value for an identity column that is GENERATED ALWAYS: it may be the one
 * that the row has.  Another one can't be written, and the row must not be
 * taken for one with this value.
 */
static void
cast_identity(Changeset *changeset, TableColumn *column,
			  const JsonbValue *value, const PermittedLevel *level)
{
	int			index = column->attnum - 1;
	Datum		datum = (Datum) 0;
	CastResult	result;
	RuleError  *error;

	if (!chatroom_permits(level, column->name, column->namelen) ||
		chatroom_is_empty_value(value))
		return;
	result = cast_value(column, value, &datum);
	if (result == CAST_NULL)
		return;
	if (result != CAST_OK)
	{
		add_cast_error(changeset, column, result);
		return;
	}
	if (changeset->action != ACTION_INSERT &&
		chatroom_same_column_value(column, datum, false,
								   changeset->data->values[index],
								   changeset->data->nulls[index]))
		return;
	error = chatroom_make_error(column->name, column->attnum,
								"is always generated", "generated");
	chatroom_add_error(changeset, error);
}

/* Cast an attribute of a column, as far as it is permitted. */
static void
cast_permitted(Changeset *changeset, TableColumn *column,
			   const JsonbValue *value, const PermittedLevel *level)
{
	PermittedLevel below;

	if (column->generated)
		return;
	if (column->identity_always)
		cast_identity(changeset, column, value, level);
	else if (chatroom_permits(level, column->name, column->namelen))
		cast_column(changeset, column, value, NULL);
	else if (has_members(column) &&
			 chatroom_permits_within(level, column->name, column->namelen))
	{
		below = chatroom_permitted_below(level, column->name,
										 column->namelen);
		cast_column(changeset, column, value, &below);
	}
}

/* Cast what attributes say of columns; gather those of no column. */
static List *
cast_columns(Changeset *changeset, Jsonb *attrs,
			 const PermittedLevel *level)
{
	JsonbIterator *iterator = JsonbIteratorInit(&attrs->root);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;
	List	   *others = NIL;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		TableColumn *column;

		if (token != WJB_KEY)
			continue;
		CHECK_FOR_INTERRUPTS();
		(void) JsonbIteratorNext(&iterator, &value, true);
		column = chatroom_column(changeset->table, key.val.string.val,
								 key.val.string.len);
		if (column != NULL)
			cast_permitted(changeset, column, &value, level);
		else if (chatroom_permits_assoc(level, key.val.string.val,
										key.val.string.len))
		{
			JsonbValue *pair = palloc(sizeof(JsonbValue) * 2);

			pair[0] = key;
			pair[1] = value;
			others = lappend(others, pair);
		}
	}
	return others;
}

/* Cast attributes. */
void
chatroom_cast_attrs(Changeset *changeset, Jsonb *attrs,
					const PermittedLevel *level)
{
	List	   *volatile others = NIL;
	ValuePins	pins;
	ListCell   *lc;

	changeset->attrs = attrs;
	chatroom_pin(&pins, changeset->table->needs_settings);
	PG_TRY();
	{
		others = cast_columns(changeset, attrs, level);
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();

	foreach(lc, others)
	{
		JsonbValue *pair = lfirst(lc);
		char	   *name = pnstrdup(pair->val.string.val,
									pair->val.string.len);
		Assoc	   *assoc = chatroom_table_assoc(changeset->table, name,
												 true);

		CHECK_FOR_INTERRUPTS();
		if (assoc != NULL)
			chatroom_cast_assoc(changeset, assoc, name, &pair[1], level);
	}
}

/* Forget all errors but those of casting. */
void
chatroom_forget_errors(Changeset *changeset)
{
	if (!changeset->cast)
		changeset->ncast = list_length(changeset->errors);
	changeset->cast = true;
	changeset->errors = list_truncate(changeset->errors, changeset->ncast);
}

/* Hold a changeset against the rules. */
void
chatroom_check_changeset(Changeset *changeset, bool upsert, bool native)
{
	RuleInput	input = {0};
	Relation	relation;
	bool		update = changeset->action == ACTION_UPDATE;
	List	   *errors;

	chatroom_forget_errors(changeset);
	if (changeset->action == ACTION_NONE ||
		changeset->action == ACTION_DELETE ||
		(!native && changeset->rules->nrules == 0))
		return;
	input.tupdesc = changeset->table->tupdesc;
	input.values = changeset->row->values;
	input.nulls = changeset->row->nulls;
	input.failed = bms_union(changeset->failed, changeset->later);
	input.attrs = changeset->attrs;
	input.in_trigger = upsert;
	input.upsert = upsert;
	if (update)
	{
		input.old = changeset->data->values;
		input.old_nulls = changeset->data->nulls;
		input.changed = changeset->changed;
		input.none_changed = bms_is_empty(changeset->changed);
	}
	relation = relation_open(changeset->table->relid, AccessShareLock);
	errors = chatroom_check(changeset->rules, relation, &input);
	changeset->errors = list_concat(changeset->errors, errors);
	if (native)
	{
		/* what a user's trigger will fill in, nobody knows */
		if (!update && changeset->table->other_triggers)
		{
			input.changed = changeset->changed;
			input.none_changed = bms_is_empty(changeset->changed);
		}
		changeset->errors = chatroom_check_native(relation, &input,
												  changeset->errors);
	}
	relation_close(relation, NoLock);
	changeset->valid = changeset->errors == NIL;
}

/* Is something to be written? */
bool
chatroom_has_changes(const Changeset *changeset)
{
	return !bms_is_empty(changeset->changed) || changeset->assocs != NIL;
}

/* ------------------------------------------------------------------ rows */

/* Cast one value of a key. */
static void
read_key_column(TableInfo *table, TableRow *row, TableColumn *column,
				const JsonbValue *value)
{
	CastResult	result = chatroom_cast(&column->caster, value,
									   &row->values[column->attnum - 1]);

	if (result == CAST_NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key must not contain nulls"),
				 errdetail("Column \"%s\" of table \"%s\" is given as null.",
						   column->name, table->name)));
	if (result != CAST_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid key of table \"%s\"", table->name),
				 errdetail("Column \"%s\" has type %s.", column->name,
						   format_type_be(column->typid))));
	row->nulls[column->attnum - 1] = false;
}

/* The names of a key's columns. */
static char *
key_names(const TableInfo *table)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < table->nkeys; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "",
						 table->columns[table->keys[i] - 1].name);
	return buf.data;
}

/* A key that is not of the key's columns. */
static void
wrong_key(const TableInfo *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("key does not name a row of table \"%s\"", table->name),
			 table->nkeys == 1 ?
			 errhint("Give a value of column %s, or an object with it.",
					 key_names(table)) :
			 errhint("Give an object with columns %s.", key_names(table))));
}

/* Read a key; settings are pinned. */
static TableRow *
read_key(TableInfo *table, Jsonb *key)
{
	TableRow   *row = chatroom_new_row(table);
	JsonbValue	value;

	if (JB_ROOT_IS_SCALAR(key) && table->nkeys == 1)
	{
		(void) JsonbExtractScalar(&key->root, &value);
		read_key_column(table, row, &table->columns[table->keys[0] - 1],
						&value);
		return row;
	}
	if (!JB_ROOT_IS_OBJECT(key) || JB_ROOT_COUNT(key) != table->nkeys)
		wrong_key(table);
	for (int i = 0; i < table->nkeys; i++)
	{
		TableColumn *column = &table->columns[table->keys[i] - 1];
		JsonbValue *part;

		value.type = jbvString;
		value.val.string.val = column->name;
		value.val.string.len = column->namelen;
		part = findJsonbValueFromContainer(&key->root, JB_FOBJECT, &value);
		if (part == NULL)
			wrong_key(table);
		read_key_column(table, row, column, part);
	}
	return row;
}

/* The key that names a row. */
TableRow *
chatroom_read_key(TableInfo *table, Jsonb *key)
{
	TableRow   *volatile row = NULL;
	ValuePins	pins;

	if (table->nkeys == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has no key", table->name),
				 errhint("Add a primary key.")));
	chatroom_pin(&pins, table->needs_settings);
	PG_TRY();
	{
		row = read_key(table, key);
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	return row;
}

/* Find a row by its key. */
TableRow *
chatroom_fetch_row(TableInfo *table, const TableRow *key,
				  const Bitmapset *columns, bool read_only)
{
	StringInfoData sql;
	Oid			types[INDEX_MAX_KEYS];
	Datum		values[INDEX_MAX_KEYS];
	TableRow   *row;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	chatroom_append_columns(&sql, table, columns, NULL);
	appendStringInfo(&sql, " FROM %s WHERE ", table->quoted);
	chatroom_append_key(&sql, table, 1);
	for (int i = 0; i < table->nkeys; i++)
	{
		types[i] = table->columns[table->keys[i] - 1].typid;
		values[i] = key->values[table->keys[i] - 1];
	}
	if (SPI_execute_plan(chatroom_plan(table, sql.data, table->nkeys, types),
						 values, NULL, read_only, 2) != SPI_OK_SELECT)
		elog(ERROR, "could not execute: %s", sql.data);
	if (SPI_processed == 0)
		return NULL;
	row = chatroom_new_row(table);
	chatroom_read_row(table, row, columns, SPI_tuptable->vals[0],
					  SPI_tuptable->tupdesc, 0);
	return row;
}

/* Append "key = $n AND ...", with parameters from a number on. */
void
chatroom_append_key(StringInfo buf, const TableInfo *table, int parameter)
{
	for (int i = 0; i < table->nkeys; i++)
	{
		const TableColumn *column = &table->columns[table->keys[i] - 1];

		appendStringInfo(buf, "%s%s %s $%d", i > 0 ? " AND " : "",
						 column->quoted, chatroom_equality(table, column),
						 parameter + i);
	}
}

/* --------------------------------------------------------------- as JSON */

/* The word for an action. */
static const char *
action_name(ChangesetAction action)
{
	switch (action)
	{
		case ACTION_INSERT:
			return "insert";
		case ACTION_DELETE:
			return "delete";
		default:
			return "update";
	}
}

/* Put the errors. */
static void
put_errors(StringInfo buf, JsonbFrame *parent, const List *errors)
{
	StringInfoData text;
	Datum		array;

	if (errors == NIL)
	{
		JsonbFrame	frame;

		chatroom_begin_array(buf, &frame, 0);
		chatroom_end(buf, &frame, parent);
		return;
	}
	initStringInfo(&text);
	chatroom_append_errors_json(&text, errors, false);
	array = DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
	chatroom_put_jsonb(buf, parent, DatumGetJsonbP(array));
}

static void put_changeset(StringInfo buf, JsonbFrame *parent,
						  const Changeset *changeset);

/* Put what becomes of an association. */
static void
put_assoc(StringInfo buf, JsonbFrame *parent, const AssocChange *change)
{
	JsonbFrame	frame;
	ListCell   *lc;

	if (!change->many)
	{
		if (change->kept == NIL)
			chatroom_put_null(buf, parent);
		else
			put_changeset(buf, parent, linitial(change->kept));
		return;
	}
	chatroom_begin_array(buf, &frame, list_length(change->kept));
	foreach(lc, change->kept)
		put_changeset(buf, &frame, lfirst(lc));
	chatroom_end(buf, &frame, parent);
}

/* Does an association change?  Not if its rows stay, and as they are. */
static bool
assoc_changes(const AssocChange *change)
{
	ListCell   *lc;
	ListCell   *lk;
	ListCell   *ln;

	if (change->removed != NIL)
		return true;
	forboth(lc, change->kept, lk, change->current)
	{
		const Changeset *child = lfirst(lc);

		if (lfirst_int(lk) == 0 || child->action == ACTION_INSERT ||
			!child->valid || !bms_is_empty(child->changed))
			return true;
		foreach(ln, child->assocs)
			if (assoc_changes(lfirst(ln)))
				return true;
	}
	return false;
}

/* Put the changes. */
static void
put_changes(StringInfo buf, JsonbFrame *parent, const Changeset *changeset)
{
	List	   *names = NIL;
	List	   *assocs = NIL;
	RowShape   *shape;
	JsonbFrame	frame;
	ListCell   *lc;

	foreach(lc, changeset->assocs)
	{
		AssocChange *change = lfirst(lc);

		if (!assoc_changes(change))
			continue;
		names = lappend(names, change->name);
		assocs = lappend(assocs, change);
	}
	shape = chatroom_shape(changeset->table, changeset->changed, names);
	chatroom_begin_shape(buf, &frame, shape);
	for (int i = 0; i < shape->n; i++)
	{
		int			column = shape->entries[i].column;

		if (column < 0)
			put_assoc(buf, &frame,
					  list_nth(assocs, shape->entries[i].extra));
		else
			chatroom_put_column(buf, &frame,
								&changeset->table->columns[column],
								changeset->row->values[column],
								changeset->row->nulls[column]);
	}
	chatroom_end(buf, &frame, parent);
}

/* Write {"valid", "action", "changes", "errors", "data"}. */
static void
put_changeset(StringInfo buf, JsonbFrame *parent, const Changeset *changeset)
{
	const char *action = action_name(changeset->action);
	JsonbFrame	frame;

	check_stack_depth();
	/* the order that jsonb has: shorter keys first */
	chatroom_begin_object(buf, &frame, 5);
	chatroom_put_text(buf, &frame, "data", 4);
	chatroom_put_text(buf, &frame, "valid", 5);
	chatroom_put_text(buf, &frame, "action", 6);
	chatroom_put_text(buf, &frame, "errors", 6);
	chatroom_put_text(buf, &frame, "changes", 7);
	chatroom_put_row(buf, &frame, changeset->table, changeset->readable,
					 changeset->data);
	chatroom_put_bool(buf, &frame, changeset->valid);
	chatroom_put_text(buf, &frame, action, strlen(action));
	put_errors(buf, &frame, changeset->errors);
	put_changes(buf, &frame, changeset);
	chatroom_end(buf, &frame, parent);
}

/* Do any tables of a changeset and its associations want settings pinned? */
static bool
needs_settings(const Changeset *changeset)
{
	ListCell   *lc;
	ListCell   *lk;

	if (changeset->table->needs_settings)
		return true;
	foreach(lc, changeset->assocs)
		foreach(lk, ((AssocChange *) lfirst(lc))->kept)
			if (needs_settings(lfirst(lk)))
				return true;
	return false;
}

/* Write jsonb of a changeset, with the settings that its values want. */
Jsonb *
chatroom_write_changeset(const Changeset *changeset, PutChangeset put)
{
	StringInfoData buf;
	ValuePins	pins;

	chatroom_jsonb_start(&buf);
	chatroom_pin(&pins, needs_settings(changeset));
	PG_TRY();
	{
		put(&buf, NULL, changeset);
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	return chatroom_jsonb_finish(&buf);
}

/* A changeset as jsonb. */
Jsonb *
chatroom_changeset_jsonb(const Changeset *changeset)
{
	return chatroom_write_changeset(changeset, put_changeset);
}

/* The row is not there, or not as it was. */
void
chatroom_add_stale(Changeset *changeset, AttrNumber attnum)
{
	const TableInfo *table = changeset->table;
	const char *validation = attnum == 0 ? "stale" : "optimistic_lock";
	RuleError  *error;

	if (attnum == 0 && table->nkeys > 0)
		attnum = table->keys[0];
	error = chatroom_make_error(attnum == 0 ? table->name :
								table->columns[attnum - 1].name, attnum,
								"is stale", validation);
	chatroom_error_key(error, "stale", "true");
	chatroom_add_error(changeset, error);
}

/* Refuse what the user may not do anyway. */
void
chatroom_check_privilege(const TableInfo *table, AclMode privilege)
{
	AclResult	result = pg_class_aclcheck(table->relid, GetUserId(),
										   privilege);

	if (result != ACLCHECK_OK && privilege != ACL_DELETE)
		result = pg_attribute_aclcheck_all(table->relid, GetUserId(),
										   privilege, ACLMASK_ANY);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE, table->name);
}

/* ---------------------------------------------------------- SQL function */

/*
 * chatroom.changeset(relation text, attrs jsonb, key jsonb, permitted text[],
 * put text[]) returns jsonb
 */
Datum
chatroom_changeset(PG_FUNCTION_ARGS)
{
	Oid			relid =
		chatroom_relation_arg(chatroom_text_arg(fcinfo, 0, "relation"));
	Jsonb	   *attrs = chatroom_object_arg(fcinfo, 1, "attrs");
	PermittedLevel level = {chatroom_permitted_args(fcinfo, 3, 4), ""};
	Changeset  *changeset;
	Jsonb	   *result;

	chatroom_spi_connect();
	if (PG_ARGISNULL(2))
	{
		changeset = chatroom_new_changeset(relid, ACTION_INSERT, NULL);
		chatroom_check_privilege(changeset->table, ACL_INSERT);
	}
	else
		changeset = chatroom_existing(relid, PG_GETARG_JSONB_P(2),
									  ACTION_UPDATE, true);
	if (changeset->valid)
	{
		chatroom_cast_attrs(changeset, attrs, &level);
		chatroom_check_tree(changeset, false, true);
	}
	result = chatroom_keep_jsonb(chatroom_changeset_jsonb(changeset));
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(result);
}
