/*-------------------------------------------------------------------------
 *
 * native.c
 *	  What PostgreSQL's own constraints would say of a row.
 *
 * So that a client learns at once of all that is wrong, the constraints of a
 * table are looked at before it is written to: in changesets, and by the
 * trigger once a row is refused anyway.  What they say first is only good
 * advice; PostgreSQL has the last word.
 *
 * What is deferred, what the user may not look up, and what is about columns
 * that are known to be in error already, is passed over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/columns.h"
#include "base/compat.h"
#include "base/table.h"
#include "base/values.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "write/rulecode.h"
#include "write/tree.h"

/* A check constraint. */
typedef struct NativeCheck
{
	char	   *name;
	Bitmapset  *columns;		/* that it reads; 0 is the whole row */
	RowCondition *condition;
} NativeCheck;

/* A unique index, or one of an exclusion constraint. */
typedef struct NativeIndex
{
	char	   *name;
	bool		exclusion;
	bool		nulls_distinct;
	Bitmapset  *columns;
	int			nkeys;
	AttrNumber	attnums[INDEX_MAX_KEYS];	/* 0: an expression */
	RowCondition *expressions[INDEX_MAX_KEYS];
	RowCondition *predicate;	/* NULL: all rows */
	Lookup	   *insert;			/* any row with these keys */
	Lookup	   *update;			/* any other row; NULL: can't be told */
} NativeIndex;

/* A foreign key. */
typedef struct NativeKey
{
	ForeignKey *key;
	Bitmapset  *columns;
	Lookup	   *lookup;
} NativeKey;

/* The constraints of a relation, in the memory of its rules. */
typedef struct NativeSet
{
	List	   *checks;
	List	   *indexes;
	List	   *keys;
	int			nprimary;		/* columns of the key ... */
	AttrNumber	primary[INDEX_MAX_KEYS];	/* ... that tells rows apart */
} NativeSet;

/* A row being checked. */
typedef struct NativeCheckState
{
	Relation	relation;
	RuleSet    *rules;
	const RuleInput *input;
	Bitmapset  *failed;			/* attnums that have errors */
	TupleTableSlot *slot;		/* the new row; NULL: not made yet */
	List	   *errors;
} NativeCheckState;

/* --------------------------------------------------------------- compiling */

/* An expression to be evaluated over rows. */
static RowCondition *
row_condition(Node *expr, Relation relation)
{
	RowCondition *condition = palloc0(sizeof(RowCondition));

	condition->expr = (Expr *) chatroom_expand_generated(copyObject(expr),
														 relation);
	return condition;
}

/* The check constraints. */
static List *
compile_checks(Relation relation)
{
	TupleConstr *constr = RelationGetDescr(relation)->constr;
	List	   *checks = NIL;

	for (int i = 0; constr != NULL && i < constr->num_check; i++)
	{
		NativeCheck *check;
		bool		system;

		if (!ChatroomCheckEnforced(&constr->check[i]))
			continue;
		check = palloc0(sizeof(NativeCheck));
		check->name = pstrdup(constr->check[i].ccname);
		check->condition = row_condition(stringToNode(constr->check[i].ccbin),
										 relation);
		check->columns =
			chatroom_expression_columns((Node *) check->condition->expr,
										1, &system);
		/* which partition the row will be in isn't known yet */
		if (system)
			continue;
		checks = lappend(checks, check);
	}
	return checks;
}

/* Append one key of an index as it can be compared: t.name, (lower(t.x)). */
static Oid
append_key(StringInfo buf, Relation relation, NativeIndex *index, int i,
		   Node *expr, Oid collation)
{
	Oid			typid;
	Oid			own_collation;

	if (expr != NULL)
	{
		List	   *context = deparse_context_for("t",
												  RelationGetRelid(relation));

		appendStringInfo(buf, "(%s)",
						 deparse_expression(expr, context, true, false));
		typid = exprType(expr);
		own_collation = exprCollation(expr);
	}
	else
	{
		Form_pg_attribute attribute =
			TupleDescAttr(RelationGetDescr(relation), index->attnums[i] - 1);

		appendStringInfo(buf, "t.%s",
						 quote_identifier(NameStr(attribute->attname)));
		typid = attribute->atttypid;
		own_collation = attribute->attcollation;
	}
	if (OidIsValid(collation) && collation != own_collation)
		appendStringInfo(buf, " COLLATE %s",
						 generate_collation_name(collation));
	return getBaseType(typid);
}

/* Append the condition that it is another row. */
static void
append_other_row(StringInfo buf, Relation relation, const NativeSet *set,
				 int nargs)
{
	TableInfo  *table = chatroom_open_table(RelationGetRelid(relation));

	appendStringInfoString(buf, " AND NOT (");
	for (int i = 0; i < set->nprimary; i++)
	{
		const TableColumn *column = &table->columns[set->primary[i] - 1];

		appendStringInfo(buf, "%st.%s %s $%d", i > 0 ? " AND " : "",
						 column->quoted, chatroom_equality(table, column),
						 nargs + i + 1);
	}
	appendStringInfoChar(buf, ')');
}

/* Finish a look-up: what it reads, and the types of its arguments. */
static Lookup *
make_index_lookup(Relation relation, const NativeIndex *index,
				  const char *where, const Oid *argtypes, int nargs)
{
	Lookup	   *lookup = chatroom_make_lookup_where(RelationGetRelid(relation),
													where);
	int			attnum = 0;

	lookup->single = !index->exclusion;
	lookup->nargs = nargs;
	memcpy(lookup->argtypes, argtypes, sizeof(Oid) * nargs);
	while ((attnum = bms_next_member(index->columns, attnum)) >= 0)
		lookup->columns = lappend_int(lookup->columns, attnum);
	return lookup;
}

/* The look-ups of an index. */
static void
compile_lookups(Relation relation, Relation indexrel, IndexInfo *info,
				NativeIndex *index, const NativeSet *set)
{
	StringInfoData where;
	Oid			argtypes[INDEX_MAX_KEYS * 2];
	const Oid  *operators = index->exclusion ? info->ii_ExclusionOps :
		info->ii_UniqueOps;
	ListCell   *next = list_head(info->ii_Expressions);

	initStringInfo(&where);
	for (int i = 0; i < index->nkeys; i++)
	{
		Node	   *expr = NULL;
		StringInfoData key;

		if (index->attnums[i] == 0)
		{
			expr = lfirst(next);
			next = lnext(info->ii_Expressions, next);
			index->expressions[i] = row_condition(expr, relation);
		}
		initStringInfo(&key);
		argtypes[i] = append_key(&key, relation, index, i, expr,
								 indexrel->rd_indcollation[i]);
		appendStringInfo(&where, "%s(%s %s $%d", i > 0 ? " AND " : "",
						 key.data, chatroom_quote_operator(operators[i]),
						 i + 1);
		if (!index->nulls_distinct)
			appendStringInfo(&where, " OR (%s IS NULL AND $%d IS NULL)",
							 key.data, i + 1);
		appendStringInfoChar(&where, ')');
	}
	if (info->ii_Predicate != NIL)
	{
		Node	   *predicate =
			(Node *) make_ands_explicit(copyObject(info->ii_Predicate));
		List	   *context = deparse_context_for("t",
												  RelationGetRelid(relation));

		index->predicate = row_condition(predicate, relation);
		appendStringInfo(&where, " AND (%s)",
						 deparse_expression(predicate, context, true, false));
	}
	index->insert = make_index_lookup(relation, index, where.data, argtypes,
									  index->nkeys);
	if (set->nprimary == 0)
		return;
	append_other_row(&where, relation, set, index->nkeys);
	for (int i = 0; i < set->nprimary; i++)
		argtypes[index->nkeys + i] =
			getBaseType(get_atttype(RelationGetRelid(relation),
									set->primary[i]));
	index->update = make_index_lookup(relation, index, where.data, argtypes,
									  index->nkeys + set->nprimary);
	for (int i = 0; i < set->nprimary; i++)
		index->update->columns =
			list_append_unique_int(index->update->columns, set->primary[i]);
}

/* One index; NULL: it is no constraint to be looked at. */
static NativeIndex *
compile_index(Relation relation, Relation indexrel, const NativeSet *set)
{
	Form_pg_index form = indexrel->rd_index;
	IndexInfo  *info;
	NativeIndex *index;

	if (!(form->indisunique || form->indisexclusion) || !form->indisvalid ||
		!form->indisready || !form->indimmediate)
		return NULL;
	info = BuildIndexInfo(indexrel);
	index = palloc0(sizeof(NativeIndex));
	index->name = pstrdup(RelationGetRelationName(indexrel));
	index->exclusion = form->indisexclusion;
	index->nulls_distinct = !info->ii_NullsNotDistinct;
	index->nkeys = form->indnkeyatts;
	if (!index->exclusion)
		BuildSpeculativeIndexInfo(indexrel, info);
	for (int i = 0; i < index->nkeys; i++)
	{
		index->attnums[i] = form->indkey.values[i];
		if (index->attnums[i] < 0)
			return NULL;		/* a system column */
		if (index->attnums[i] > 0)
			index->columns = bms_add_member(index->columns,
											index->attnums[i]);
	}
	index->columns =
		bms_join(index->columns,
				 chatroom_expression_columns((Node *) info->ii_Expressions,
											 1, NULL));
	index->columns =
		bms_join(index->columns,
				 chatroom_expression_columns((Node *) info->ii_Predicate,
											 1, NULL));
	compile_lookups(relation, indexrel, info, index, set);
	return index;
}

/* The unique indexes and exclusion constraints. */
static List *
compile_indexes(Relation relation, const NativeSet *set)
{
	List	   *indexes = NIL;
	ListCell   *lc;

	/* all names in expressions are to be qualified, all values to be clear */
	int			nest_level = chatroom_fix_settings();

	foreach(lc, RelationGetIndexList(relation))
	{
		Relation	indexrel = index_open(lfirst_oid(lc), AccessShareLock);
		NativeIndex *index = compile_index(relation, indexrel, set);

		if (index != NULL)
			indexes = lappend(indexes, index);
		index_close(indexrel, AccessShareLock);
	}
	AtEOXact_GUC(true, nest_level);
	return indexes;
}

/* The foreign keys. */
static List *
compile_keys(Relation relation)
{
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, chatroom_foreign_keys(relation))
	{
		ForeignKey *key = lfirst(lc);
		NativeKey  *native;

		if (key->deferred)
			continue;
		native = palloc0(sizeof(NativeKey));
		native->key = key;
		for (int i = 0; i < key->n; i++)
			native->columns = bms_add_member(native->columns,
											 key->columns[i]);
		native->lookup = chatroom_make_key_lookup(key);
		keys = lappend(keys, native);
	}
	return keys;
}

/* A table's name is part of what was compiled: a change of it voids that. */
static void
depend_on(RuleSetCode *code, Oid relid)
{
	for (int i = 0; i < code->nrelations; i++)
		if (code->relations[i] == relid)
			return;
	code->relations = repalloc(code->relations,
							   sizeof(Oid) * (code->nrelations + 1));
	code->relations[code->nrelations++] = relid;
}

/* The constraints of a relation. */
static NativeSet *
get_natives(RuleSet *rules, Relation relation)
{
	RuleSetCode *code = rules->code;
	MemoryContext caller;
	NativeSet  *set;
	List	   *primary;
	ListCell   *lc;

	if (code->native != NULL)
		return code->native;
	caller = MemoryContextSwitchTo(code->context);
	set = palloc0(sizeof(NativeSet));
	primary = chatroom_key_columns(RelationGetRelid(relation));
	foreach(lc, primary)
		set->primary[set->nprimary++] = lfirst_int(lc);
	set->checks = compile_checks(relation);
	set->indexes = compile_indexes(relation, set);
	set->keys = compile_keys(relation);
	foreach(lc, set->keys)
		depend_on(code, ((NativeKey *) lfirst(lc))->key->referenced);
	code->native = set;
	MemoryContextSwitchTo(caller);
	return set;
}

/* ---------------------------------------------------------------- checking */

/* The new row as a slot. */
static TupleTableSlot *
row_slot(NativeCheckState *state)
{
	if (state->slot == NULL)
		state->slot = chatroom_make_row_slot(state->input);
	return state->slot;
}

/* Is a constraint of these columns to be looked at? */
static bool
counts(const NativeCheckState *state, const Bitmapset *columns)
{
	int			attnum = 0;

	if (bms_overlap(columns, state->failed))
		return false;
	if (state->input->old == NULL || bms_is_member(0, columns))
		return true;
	while ((attnum = bms_next_member(columns, attnum)) >= 0)
		if (chatroom_column_changed(state->input, attnum))
			return true;
	return false;
}

/* The first of some columns; 0: there is none. */
static AttrNumber
first_column(const Bitmapset *columns)
{
	int			attnum = bms_next_member(columns, 0);

	return attnum > 0 ? attnum : 0;
}

/* A rule that says the same as a foreign key has its own text. */
static void
take_rule_text(RuleSet *rules, RuleKind kind, RuleError *error)
{
	for (int i = 0; i < rules->nrules; i++)
	{
		const Rule *rule = &rules->rules[i];

		if (rule->kind == kind && rule->message != NULL &&
			rule->code->constraint != NULL && error->name != NULL &&
			strcmp(rule->code->constraint, error->name) == 0)
			error->message = rule->message;
	}
}

/* A constraint's error. */
static RuleError *
constraint_error(Relation relation, AttrNumber attnum, const char *name,
				 const char *constraint, const char *text)
{
	const char *field = attnum > 0 ?
		get_attname(RelationGetRelid(relation), attnum, false) :
		name ? name : "";
	RuleError  *error = chatroom_make_error(field, attnum, text, NULL);

	error->constraint = constraint;
	error->name = name;
	error->relid = RelationGetRelid(relation);
	if (strcmp(constraint, "foreign") == 0)
	{
		error->sqlerrcode = ERRCODE_FOREIGN_KEY_VIOLATION;
		take_rule_text(chatroom_rules(relation), RULE_ASSOC, error);
	}
	return error;
}

/* Note one. */
static void
add_error(NativeCheckState *state, AttrNumber attnum, const char *name,
		  const char *constraint, const char *text)
{
	state->errors = lappend(state->errors,
							constraint_error(state->relation, attnum, name,
											 constraint, text));
}

/* not null */
static void
check_not_null(NativeCheckState *state)
{
	TupleDesc	tupdesc = RelationGetDescr(state->relation);

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);

		if (!attribute->attnotnull || attribute->attisdropped ||
			attribute->attgenerated || !state->input->nulls[i] ||
			bms_is_member(i + 1, state->failed))
			continue;
		add_error(state, i + 1, NULL, "not_null", "can't be blank");
		state->failed = bms_add_member(state->failed, i + 1);
	}
}

/* check */
static void
check_checks(NativeCheckState *state, const NativeSet *set)
{
	ListCell   *lc;

	foreach(lc, set->checks)
	{
		NativeCheck *check = lfirst(lc);
		Datum		result;
		bool		isnull;

		if (!counts(state, check->columns))
			continue;
		result = chatroom_evaluate(check->condition,
								   state->rules->code->context,
								   row_slot(state), &isnull);
		if (!isnull && !DatumGetBool(result))
			add_error(state, first_column(check->columns), check->name,
					  "check", "is invalid");
	}
}

/* The keys of a row in an index; false: it has no place there. */
static bool
index_keys(NativeCheckState *state, const NativeIndex *index, Datum *values,
		   char *nulls)
{
	MemoryContext context = state->rules->code->context;
	bool		isnull;

	if (index->predicate != NULL)
	{
		Datum		result = chatroom_evaluate(index->predicate, context,
											   row_slot(state), &isnull);

		if (isnull || !DatumGetBool(result))
			return false;
	}
	for (int i = 0; i < index->nkeys; i++)
	{
		if (index->attnums[i] > 0)
		{
			values[i] = state->input->values[index->attnums[i] - 1];
			isnull = state->input->nulls[index->attnums[i] - 1];
		}
		else
			values[i] = chatroom_evaluate(index->expressions[i], context,
										  row_slot(state), &isnull);
		if (isnull && index->nulls_distinct)
			return false;
		nulls[i] = isnull ? 'n' : ' ';
	}
	return true;
}

/* Is there another row with the keys of this one? */
static bool
index_conflict(NativeCheckState *state, const NativeSet *set,
			   const NativeIndex *index)
{
	const RuleInput *input = state->input;
	Lookup	   *lookup = input->old ? index->update : index->insert;
	Datum		values[INDEX_MAX_KEYS * 2];
	char		nulls[INDEX_MAX_KEYS * 2];

	if (lookup == NULL || !chatroom_may_look_up(lookup) ||
		!index_keys(state, index, values, nulls))
		return false;
	for (int i = 0; input->old != NULL && i < set->nprimary; i++)
	{
		values[index->nkeys + i] = input->old[set->primary[i] - 1];
		nulls[index->nkeys + i] =
			input->old_nulls[set->primary[i] - 1] ? 'n' : ' ';
	}
	return chatroom_look_up(lookup, values, nulls);
}

/* The column that an index' errors are about. */
static AttrNumber
index_column(const NativeIndex *index)
{
	for (int i = 0; i < index->nkeys; i++)
		if (index->attnums[i] > 0)
			return index->attnums[i];
	return first_column(index->columns);
}

/* unique and exclusion */
static void
check_indexes(NativeCheckState *state, const NativeSet *set)
{
	ListCell   *lc;

	foreach(lc, set->indexes)
	{
		NativeIndex *index = lfirst(lc);

		if (!counts(state, index->columns) ||
			!index_conflict(state, set, index))
			continue;
		if (index->exclusion)
			add_error(state, index_column(index), index->name, "exclusion",
					  "violates an exclusion constraint");
		else
			add_error(state, index_column(index), index->name, "unique",
					  "has already been taken");
	}
}

/* Does a row refer to one that is not there? */
static bool
key_broken(NativeCheckState *state, const NativeKey *native)
{
	const ForeignKey *key = native->key;
	Datum		values[INDEX_MAX_KEYS];
	int			nulls = 0;
	bool		itself = key->referenced == key->referencing;

	for (int i = 0; i < key->n; i++)
	{
		values[i] = state->input->values[key->columns[i] - 1];
		if (state->input->nulls[key->columns[i] - 1])
			nulls++;
	}
	if (nulls > 0)
		return key->match == FKCONSTR_MATCH_FULL && nulls < key->n;
	for (int i = 0; itself && i < key->n; i++)
	{
		Form_pg_attribute attribute =
			TupleDescAttr(state->input->tupdesc, key->keys[i] - 1);

		itself = chatroom_same_value(attribute, values[i], false,
									 state->input->values[key->keys[i] - 1],
									 state->input->nulls[key->keys[i] - 1]);
	}
	return !itself && chatroom_may_look_up(native->lookup) &&
		!chatroom_look_up(native->lookup, values, NULL);
}

/* foreign keys */
static void
check_keys(NativeCheckState *state, const NativeSet *set)
{
	ListCell   *lc;

	foreach(lc, set->keys)
	{
		NativeKey  *native = lfirst(lc);

		if (counts(state, native->columns) && key_broken(state, native))
			add_error(state, native->key->columns[0], native->key->name,
					  "foreign", "does not exist");
	}
}

/* Check a row against the constraints that PostgreSQL keeps. */
List *
chatroom_check_native(Relation relation, const RuleInput *input, List *errors)
{
	NativeCheckState state = {0};
	NativeSet  *set;
	ListCell   *lc;

	state.relation = relation;
	state.rules = chatroom_rules(relation);
	state.input = input;
	state.errors = errors;
	state.slot = input->slot;
	state.failed = bms_copy(input->failed);
	foreach(lc, errors)
	{
		const RuleError *error = lfirst(lc);

		if (error->attnum > 0)
			state.failed = bms_add_member(state.failed, error->attnum);
	}
	set = get_natives(state.rules, relation);
	check_not_null(&state);
	check_checks(&state, set);
	if (!input->upsert)
		check_indexes(&state, set);
	check_keys(&state, set);
	if (state.slot != NULL && state.slot != input->slot)
		ExecDropSingleTupleTableSlot(state.slot);
	return state.errors;
}

/* ----------------------------------------------------------- caught errors */

/* The relation that an error is about: this, or a partition or child of it. */
static Oid
error_relid(Relation relation, const ErrorData *error)
{
	Oid			namespace = error->schema_name ?
		get_namespace_oid(error->schema_name, true) : InvalidOid;
	Oid			relid = OidIsValid(namespace) && error->table_name ?
		get_relname_relid(error->table_name, namespace) : InvalidOid;

	if (OidIsValid(relid) && relid != RelationGetRelid(relation) &&
		!list_member_oid(chatroom_ancestors(relid, NULL),
						 RelationGetRelid(relation)))
		return InvalidOid;
	return relid;
}

/* The index that a partition's is part of, by its name. */
static const char *
root_index(Relation relation, Relation child, const char *name)
{
	Oid			index = get_relname_relid(name,
										  RelationGetNamespace(child));
	ListCell   *lc;

	if (!OidIsValid(index) || !get_rel_relispartition(index))
		return name;
	foreach(lc, get_partition_ancestors(index))
		if (IndexGetRelation(lfirst_oid(lc), true) ==
			RelationGetRelid(relation))
			return get_rel_name(lfirst_oid(lc));
	return name;
}

/* A text of JSON, NULL where it is not given. */
static char *
json_member(Jsonb *object, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&object->root, name,
													 strlen(name), NULL);

	return value != NULL && value->type == jbvString ?
		pnstrdup(value->val.string.val, value->val.string.len) : NULL;
}

/* The other keys of an error in JSON. */
static void
read_keys(RuleError *error, Jsonb *object)
{
	static const char *const own[] = {
		"field", "message", "validation", "constraint", "constraint_name",
		"rule", "template"
	};
	JsonbIterator *iterator = JsonbIteratorInit(&object->root);
	JsonbValue	key;
	JsonbIteratorToken token;
	char	   *name = NULL;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		bool		skip = false;

		if (token == WJB_KEY)
			name = pnstrdup(key.val.string.val, key.val.string.len);
		if (token != WJB_VALUE)
			continue;
		for (int i = 0; i < lengthof(own); i++)
			skip |= strcmp(own[i], name) == 0;
		if (!skip)
			chatroom_error_key(error, name,
							   chatroom_json_text(JsonbValueToJsonb(&key)));
	}
}

/* The errors that our trigger raised, from DETAIL. */
static List *
read_raised(Relation relation, const char *detail)
{
	Datum		string = CStringGetDatum(detail);
	Jsonb	   *json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, string));
	JsonbIterator *iterator = JsonbIteratorInit(&json->root);
	JsonbValue	element;
	JsonbIteratorToken token;
	List	   *errors = NIL;
	bool		started = false;

	while ((token = JsonbIteratorNext(&iterator, &element, started)) !=
		   WJB_DONE)
	{
		Jsonb	   *object;
		RuleError  *error;
		char	   *field;

		started = true;
		if (token != WJB_ELEM)
			continue;
		object = JsonbValueToJsonb(&element);
		field = json_member(object, "field");
		error = chatroom_make_error(field ? field : "", 0,
									json_member(object, "message"),
									json_member(object, "validation"));
		error->attnum = Max(get_attnum(RelationGetRelid(relation),
									   error->field), 0);
		error->constraint = json_member(object, "constraint");
		error->name = json_member(object, "constraint_name");
		read_keys(error, object);
		errors = lappend(errors, error);
	}
	return errors;
}

/* The column that a unique or exclusion constraint is about; 0: none. */
static AttrNumber
caught_index(Relation relation, const char *name)
{
	NativeSet  *set = get_natives(chatroom_rules(relation), relation);
	ListCell   *lc;

	foreach(lc, set->indexes)
		if (strcmp(((NativeIndex *) lfirst(lc))->name, name) == 0)
			return index_column(lfirst(lc));
	return 0;
}

/* The column that a check constraint is about. */
static AttrNumber
caught_check(Relation relation, const char *name)
{
	NativeSet  *set = get_natives(chatroom_rules(relation), relation);
	ListCell   *lc;

	foreach(lc, set->checks)
		if (strcmp(((NativeCheck *) lfirst(lc))->name, name) == 0)
			return first_column(((NativeCheck *) lfirst(lc))->columns);
	return 0;
}

/* The column of a foreign key. */
static AttrNumber
caught_key(Relation relation, const char *name)
{
	ListCell   *lc;

	foreach(lc, chatroom_foreign_keys(relation))
		if (strcmp(((ForeignKey *) lfirst(lc))->name, name) == 0)
			return ((ForeignKey *) lfirst(lc))->columns[0];
	return 0;
}

/*
 * The error of a constraint of ours, or of the partition or child that the row
 * is in, whose columns may be in another order, and whose indexes have other
 * names.  NULL: it is no such error.
 */
static RuleError *
caught_constraint(Relation relation, Oid relid, const ErrorData *error)
{
	const char *name = error->constraint_name;
	const char *constraint;
	const char *text;
	Relation	child = table_open(relid, AccessShareLock);
	AttrNumber	attnum;

	switch (error->sqlerrcode)
	{
		case ERRCODE_FOREIGN_KEY_VIOLATION:
		case ERRCODE_RESTRICT_VIOLATION:
			attnum = caught_key(child, name);
			constraint = "foreign";
			text = "does not exist";
			break;
		case ERRCODE_CHECK_VIOLATION:
			attnum = caught_check(child, name);
			constraint = "check";
			text = "is invalid";
			break;
		case ERRCODE_UNIQUE_VIOLATION:
			attnum = caught_index(child, name);
			name = root_index(relation, child, name);
			constraint = "unique";
			text = "has already been taken";
			break;
		case ERRCODE_EXCLUSION_VIOLATION:
			attnum = caught_index(child, name);
			name = root_index(relation, child, name);
			constraint = "exclusion";
			text = "violates an exclusion constraint";
			break;
		default:
			table_close(child, AccessShareLock);
			return NULL;
	}
	if (attnum > 0 && relid != RelationGetRelid(relation))
		attnum = Max(get_attnum(RelationGetRelid(relation),
								get_attname(relid, attnum, false)), 0);
	table_close(child, AccessShareLock);

	/* none of PostgreSQL's: users' triggers may say what column they mean */
	if (attnum == 0 && error->column_name != NULL)
		attnum = Max(get_attnum(RelationGetRelid(relation),
								error->column_name), 0);
	return constraint_error(relation, attnum, name, constraint, text);
}

/* The error of a foreign key that refers to us. */
static RuleError *
caught_reference(Relation relation, const char *table, const char *name)
{
	RuleError  *error;
	bool		one = false;
	ListCell   *lc;

	foreach(lc, chatroom_associations(RelationGetRelid(relation)))
	{
		const Assoc *assoc = lfirst(lc);
		char	   *other = get_rel_name(assoc->to);

		one |= assoc->kind == ASSOC_HAS_ONE && other != NULL &&
			strcmp(other, table) == 0;
	}
	error = chatroom_make_error(pstrdup(table), 0, one ?
								"is still associated with this entry" :
								"are still associated with this entry", NULL);
	error->constraint = "no_assoc";
	error->name = name;
	error->relid = RelationGetRelid(relation);
	take_rule_text(chatroom_rules(relation), RULE_NO_ASSOC, error);
	return error;
}

/* What an error that was caught is in a changeset. */
List *
chatroom_caught_errors(Relation relation, const ErrorData *error)
{
	Oid			relid = error_relid(relation, error);
	RuleError  *caught = NULL;
	AttrNumber	attnum;

	if ((error->sqlerrcode == ERRCODE_FOREIGN_KEY_VIOLATION ||
		 error->sqlerrcode == ERRCODE_RESTRICT_VIOLATION) &&
		error->constraint_name != NULL && error->table_name != NULL &&
		error->message_id != NULL &&
		strncmp(error->message_id, "update or delete", 16) == 0)
		return list_make1(caught_reference(relation, error->table_name,
										   error->constraint_name));
	if (!OidIsValid(relid))
		return NIL;
	if (error->funcname != NULL && error->detail != NULL &&
		strcmp(error->funcname, "chatroom_raise_errors") == 0)
		return read_raised(relation, error->detail);
	if (error->sqlerrcode == ERRCODE_NOT_NULL_VIOLATION &&
		error->column_name != NULL)
	{
		attnum = get_attnum(RelationGetRelid(relation), error->column_name);
		caught = constraint_error(relation, Max(attnum, 0), NULL, "not_null",
								  "can't be blank");
	}
	else if (error->constraint_name != NULL)
		caught = caught_constraint(relation, relid, error);
	return caught ? list_make1(caught) : NIL;
}
