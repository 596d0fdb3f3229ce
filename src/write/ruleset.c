/*-------------------------------------------------------------------------
 *
 * ruleset.c
 *	  The rules of a relation: read from the catalog, compiled, and cached.
 *
 * A rule is a disabled trigger, a holder, of the function chatroom.rule, which
 * does nothing.  The holder's name is the rule's; its UPDATE OF list names the
 * columns, the field's first; its WHEN is the expression of a rule "check"; its
 * arguments are the validation, the parameters, the rule's own message (or '')
 * and the field, where that is no column.  So rules follow renames, and are in
 * every dump.  One trigger of chatroom.validate, on the relation and on all
 * below it, holds rows against the rules of its relation and of all above.
 *
 * What rules of a relation are compiled to is kept in this process until a
 * relcache invalidation of a relation that it was made from.  Compiling runs
 * code of users', as input functions of their types: it is for sessions that
 * use the table.  Who only looks at rules compiles an outline.  A set outdated
 * while it is in use stays in memory until the transaction ends, as lookups
 * and expressions may run any code.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "base/columns.h"
#include "base/compat.h"
#include "base/hash.h"
#include "base/invalidation.h"
#include "base/table.h"
#include "catalog/pg_index.h"
#include "commands/trigger.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "write/rulecode.h"

typedef struct RuleSetEntry
{
	Oid			relid;			/* hash key */
	bool		valid;
	RuleSet    *rules;			/* NULL: none yet */
} RuleSetEntry;

static HTAB *rule_sets = NULL;

/* ------------------------------------------------------------ the catalog */

/* Parameters' text: with what stands elsewhere in the holder. */
static char *
full_params(const TriggerRow *trigger, RuleKind kind)
{
	char	   *text = trigger->args[1];
	StringInfoData buf;

	initStringInfo(&buf);
	if (kind == RULE_UNIQUE)
	{
		appendStringInfoString(&buf, "{\"fields\": [");
		for (int i = 0; i < trigger->ncolumns; i++)
		{
			if (i > 0)
				appendStringInfoString(&buf, ", ");
			escape_json(&buf, get_attname(trigger->relid, trigger->columns[i],
										  false));
		}
		appendStringInfoString(&buf, "]}");
		text = buf.data;
	}
	else if (kind == RULE_CHECK && trigger->qual != NULL)
	{
		appendStringInfoString(&buf, "{\"expression\": ");
		escape_json(&buf, chatroom_condition_text(trigger->relid,
												  stringToNode(trigger->qual),
												  PRS2_NEW_VARNO, false));
		appendStringInfoChar(&buf, '}');
		text = buf.data;
	}
	return text;
}

/* The parameters of a row that was read; see rulecode.h. */
Jsonb *
chatroom_row_params(const RuleRow *row)
{
	if (row->params == NULL)
		return row->rule.params;
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											  CStringGetDatum(row->params)));
}

/* Read a rule from its holder; false where that is not of our making. */
static bool
read_rule(const TriggerRow *trigger, RuleRow *row)
{
	Rule	   *rule = &row->rule;
	bool		known = false;

	row->triggerid = trigger->oid;
	row->name = trigger->name;
	rule->name = trigger->name;
	rule->relid = trigger->relid;
	rule->field = trigger->nargs > 3 ? trigger->args[3] : NULL;
	if (trigger->nargs < 2 || trigger->ncolumns > INDEX_MAX_KEYS)
		return false;
	for (RuleKind kind = RULE_REQUIRED; kind <= RULE_OPTIMISTIC_LOCK; kind++)
	{
		if (strcmp(chatroom_rule_kind(kind)->name, trigger->args[0]) != 0)
			continue;
		rule->kind = kind;
		known = true;
	}
	rule->ncolumns = trigger->ncolumns;
	for (int i = 0; i < trigger->ncolumns; i++)
		rule->columns[i] = trigger->columns[i];
	if (trigger->nargs > 2 && trigger->args[2][0] != '\0')
		rule->message = trigger->args[2];
	if (rule->field == NULL && rule->ncolumns > 0)
		rule->field = get_attname(trigger->relid, rule->columns[0], false);
	if (!known || rule->field == NULL ||
		(rule->ncolumns == 0 && chatroom_rule_kind(rule->kind)->needs_column))
		return false;
	row->params = full_params(trigger, rule->kind);
	if (rule->kind == RULE_CHECK)
		row->condition = trigger->qual ? stringToNode(trigger->qual) : NULL;
	return rule->kind != RULE_CHECK || row->condition != NULL;
}

/* The rules that a relation itself has, as RuleRow; see rulecode.h. */
List *
chatroom_relation_rules(Oid relid, bool broken)
{
	Oid			function = chatroom_trigger_function("rule");
	List	   *rows = NIL;
	ListCell   *lc;

	if (!OidIsValid(function))
		return NIL;
	foreach(lc, chatroom_relation_triggers(relid))
	{
		TriggerRow *trigger = lfirst(lc);
		RuleRow    *row;

		if (trigger->function != function || OidIsValid(trigger->parentid))
			continue;
		row = palloc0(sizeof(RuleRow));
		row->broken = !read_rule(trigger, row);
		if (broken || !row->broken)
			rows = lappend(rows, row);
	}
	return rows;
}

/* ------------------------------------------------------- generated columns */

/* Replace generated columns by what they are generated from. */
static Node *
expand_generated(Node *node, void *context)
{
	Relation	relation = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		TupleDesc	tupdesc = RelationGetDescr(relation);

		if (var->varattno > 0 && var->varattno <= tupdesc->natts &&
			TupleDescAttr(tupdesc, var->varattno - 1)->attgenerated)
			return ChatroomGenerationExpression(relation, var->varattno);
		return node;
	}
	return expression_tree_mutator(node, expand_generated, context);
}

/* Has a table generated columns? */
static bool
has_generated(Relation relation)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);

	for (int i = 0; i < tupdesc->natts; i++)
		if (TupleDescAttr(tupdesc, i)->attgenerated)
			return true;
	return false;
}

Node *
chatroom_expand_generated(Node *expr, Relation relation)
{
	return expand_generated(expr, relation);
}

/* An expression over rows of a relation, and what makes it count. */
static RowCondition *
make_condition(RuleCode *code, Node *expr)
{
	RowCondition *condition = palloc0(sizeof(RowCondition));

	condition->expr = copyObject((Expr *) expr);
	code->depends = bms_join(code->depends,
							 chatroom_expression_columns(expr, 0, NULL));
	if (bms_is_member(0, code->depends))
		code->always = true;
	return condition;
}

/* --------------------------------------------------------------- compiling */

/* Where the relation that fires has a column of the one of the rule. */
static AttrNumber
map_column(const AttrMap *map, AttrNumber attnum)
{
	return map != NULL ? map->attnums[attnum - 1] : attnum;
}

/* Has a table a unique index of just these columns, good for upserts? */
static bool
has_unique_index(Oid relid, int n, const AttrNumber *columns)
{
	Relation	relation = table_open(relid, AccessShareLock);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(relation))
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID,
											ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index form;
		int			same = 0;

		if (!HeapTupleIsValid(tuple))
			continue;
		form = (Form_pg_index) GETSTRUCT(tuple);
		if (form->indisunique && form->indisvalid &&
			heap_attisnull(tuple, Anum_pg_index_indpred, NULL))
		{
			for (int i = 0; i < form->indnkeyatts; i++)
				for (int j = 0; j < n; j++)
					if (form->indkey.values[i] == columns[j])
						same++;
			found |= same == n && form->indnkeyatts == n;
		}
		ReleaseSysCache(tuple);
	}
	table_close(relation, AccessShareLock);
	return found;
}

/* Compile "unique". */
static void
compile_unique(Rule *rule, Relation relation, const AttrNumber *columns)
{
	RuleCode   *code = rule->code;
	Oid			argtypes[INDEX_MAX_KEYS];
	Oid			operators[INDEX_MAX_KEYS];
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '[');
	code->nkeys = rule->ncolumns;
	for (int i = 0; i < rule->ncolumns; i++)
	{
		Form_pg_attribute attribute =
			TupleDescAttr(RelationGetDescr(relation), rule->columns[i] - 1);
		TypeCacheEntry *type;

		if (attribute->attgenerated)
		{
			code->problem = "a field is a generated column, which is not there yet when rules are checked";
			return;
		}
		code->keys[i] = rule->columns[i];
		code->collations[i] = attribute->attcollation;
		argtypes[i] = getBaseType(attribute->atttypid);
		type = lookup_type_cache(argtypes[i], TYPECACHE_EQ_OPR);
		if (!OidIsValid(type->eq_opr))
		{
			code->problem = psprintf("type %s has no equality operator",
									 format_type_be(argtypes[i]));
			return;
		}
		operators[i] = type->eq_opr;
		fmgr_info_cxt(get_opcode(type->eq_opr), &code->equals[i],
					  CurrentMemoryContext);
		if (i > 0)
			appendStringInfoString(&buf, ", ");
		escape_json(&buf, NameStr(attribute->attname));
	}
	appendStringInfoChar(&buf, ']');
	code->fields_json = buf.data;
	code->native = has_unique_index(rule->relid, rule->ncolumns, columns);
	code->guarded = code->native;
	code->lookup = chatroom_make_lookup(rule->relid, rule->ncolumns, columns,
										argtypes, operators);
}

/* Compile "assoc": the row that a foreign key refers to exists. */
static void
compile_assoc(Rule *rule, Relation relation, const AttrNumber *columns,
			  const AttrMap *map, List **relations)
{
	RuleCode   *code = rule->code;
	Relation	root = table_open(rule->relid, AccessShareLock);
	ForeignKey *key = chatroom_foreign_key(root, rule->ncolumns, columns);

	table_close(root, AccessShareLock);
	if (key == NULL)
	{
		code->problem = "its foreign key is gone";
		return;
	}
	*relations = list_append_unique_oid(*relations, key->referenced);
	code->native = key->deferred;
	code->constraint = key->name;
	code->sqlerrcode = ERRCODE_FOREIGN_KEY_VIOLATION;
	code->guarded = true;
	code->nkeys = key->n;
	for (int i = 0; i < key->n; i++)
	{
		code->keys[i] = map_column(map, key->columns[i]);
		if (key->referenced != rule->relid)
			continue;
		code->same[i] = map_column(map, key->keys[i]);
		code->collations[i] =
			TupleDescAttr(RelationGetDescr(relation),
						  code->same[i] - 1)->attcollation;
		fmgr_info_cxt(get_opcode(key->operators[i]), &code->equals[i],
					  CurrentMemoryContext);
	}
	code->lookup = chatroom_make_key_lookup(key);
}

/* The same query, where a row that refers to itself doesn't count. */
static char *
others_query(const char *query, const ForeignKey *key)
{
	TableInfo  *table = chatroom_open_table(key->referenced);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "%s AND NOT (", query);
	for (int i = 0; i < key->n; i++)
	{
		const TableColumn *column = &table->columns[key->keys[i] - 1];

		appendStringInfo(&buf, "%st.%s %s $%d", i > 0 ? " AND " : "",
						 column->quoted, chatroom_equality(table, column),
						 i + 1);
	}
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

/* Compile "no_assoc": nothing refers to the row. */
static void
compile_no_assoc(Rule *rule, Relation relation, const AttrMap *map,
				 List **relations)
{
	RuleCode   *code = rule->code;
	Assoc	   *assoc = chatroom_lookup_association(rule->relid, rule->field);
	Relation	other;
	ForeignKey *key = NULL;
	Oid			argtypes[INDEX_MAX_KEYS];
	Oid			operators[INDEX_MAX_KEYS];

	if (assoc != NULL && (assoc->kind == ASSOC_HAS_ONE ||
						  assoc->kind == ASSOC_HAS_MANY))
	{
		other = table_open(assoc->to, AccessShareLock);
		key = chatroom_foreign_key(other, assoc->key.n,
								   assoc->key.referencing);
		table_close(other, AccessShareLock);
	}
	if (key == NULL || key->referenced != rule->relid)
	{
		code->problem = "there is no such association any more";
		return;
	}
	*relations = list_append_unique_oid(*relations, key->referencing);
	code->has_many = assoc->kind == ASSOC_HAS_MANY;
	code->guarded = key->enforced;
	code->constraint = key->name;
	code->sqlerrcode = key->restricts ? CHATROOM_ERRCODE_RESTRICT :
		ERRCODE_FOREIGN_KEY_VIOLATION;
	code->nkeys = key->n;
	for (int i = 0; i < key->n; i++)
	{
		Oid			commutator = get_commutator(key->operators[i]);

		code->keys[i] = map_column(map, key->keys[i]);
		argtypes[i] = getBaseType(get_atttype(rule->relid, key->keys[i]));
		operators[i] = OidIsValid(commutator) ? commutator :
			key->operators[i];
	}
	code->lookup = chatroom_make_lookup(key->referencing, key->n,
										key->columns, argtypes, operators);
	if (key->referencing == rule->relid)
		code->lookup->query = others_query(code->lookup->query, key);
}

/* Compile a rule for rows of a relation. */
static void
compile_rule(Rule *rule, Relation relation, Node *condition, List **relations,
			 bool outline)
{
	AttrNumber	columns[INDEX_MAX_KEYS];
	AttrMap    *map = NULL;
	RuleCode   *code = palloc0(sizeof(RuleCode));

	rule->code = code;
	code->outline = outline;
	code->order = rule->columns[0];
	memcpy(columns, rule->columns, sizeof(columns));
	if (rule->relid != RelationGetRelid(relation))
	{
		Relation	root = table_open(rule->relid, AccessShareLock);

		map = ChatroomAttrMap(RelationGetDescr(relation),
							  RelationGetDescr(root));
		table_close(root, AccessShareLock);
	}
	for (int i = 0; i < rule->ncolumns; i++)
	{
		rule->columns[i] = map_column(map, columns[i]);
		code->depends = bms_add_member(code->depends, rule->columns[i]);
	}
	if (rule->ncolumns > 0)
	{
		Form_pg_attribute attribute =
			TupleDescAttr(RelationGetDescr(relation), rule->columns[0] - 1);

		code->number = rule->columns[0];
		chatroom_value_type(&code->type, attribute->atttypid,
							attribute->attcollation);
		if (attribute->attgenerated)
			code->generated =
				make_condition(code,
							   ChatroomGenerationExpression(relation,
															code->number));
	}
	chatroom_read_params(rule);
	if (rule->kind == RULE_CHECK)
	{
		bool		whole_row;

		if (map != NULL)
			condition = map_variable_attnos(condition, PRS2_NEW_VARNO, 0, map,
											RelationGetForm(relation)->reltype,
											&whole_row);
		code->condition = make_condition(code, expand_generated(condition,
																relation));
		if (code->always && has_generated(relation))
			code->problem = "its expression refers to the whole row, and the table has generated columns";
	}
	else if (rule->kind == RULE_OPTIMISTIC_LOCK && code->generated != NULL)
		code->problem = "a generated column can't be counted up";
	else if (rule->kind == RULE_UNIQUE)
		compile_unique(rule, relation, columns);
	else if (rule->kind == RULE_ASSOC)
		compile_assoc(rule, relation, columns, map, relations);
	else if (rule->kind == RULE_NO_ASSOC)
		compile_no_assoc(rule, relation, map, relations);
}

/* Order rules as they are checked: by column, kind, and name. */
static int
compare_rules(const void *a, const void *b)
{
	const Rule *left = a;
	const Rule *right = b;
	int			result = left->code->order - right->code->order;

	if (result == 0)
		result = (int) left->kind - (int) right->kind;
	return result != 0 ? result : strcmp(left->name, right->name);
}

/* What a set needs to know beyond its rules. */
static void
finish_set(RuleSet *rules)
{
	RuleSetCode *set = rules->code;

	for (int i = 0; i < rules->nrules; i++)
	{
		const Rule *rule = &rules->rules[i];
		const RuleCode *code = rule->code;
		int			attnum = -1;

		while ((attnum = bms_next_member(code->depends, attnum)) >= 0)
			set->natts = Max(set->natts, attnum);
		if (code->always)
			set->natts = set->tupdesc->natts;
		for (int j = 0; j < code->nkeys; j++)
			set->natts = Max(set->natts, Max(code->keys[j], code->same[j]));
		set->lookups |= code->lookup != NULL;
		rules->on_delete |= rule->kind == RULE_NO_ASSOC;
		if (rule->kind == RULE_OPTIMISTIC_LOCK && code->problem == NULL &&
			set->lock == NULL)
		{
			set->lock = rule;
			set->lock_column = code->number;
		}
	}
}

/* Raise what a stored rule could not be compiled for, with its name. */
static void
raise_broken_rule(const Rule *rule, const ErrorData *error)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rule \"%s\" of table \"%s\" can't be applied: %s",
					rule->name, get_rel_name(rule->relid), error->message),
			 errhint("Drop it with chatroom.drop_rule(), and add it again as it is to be.")));
}

/* Is an error one of a rule's, and not of the circumstances? */
static bool
is_rules_error(int sqlerrcode)
{
	static const int categories[] = {
		ERRCODE_DATA_EXCEPTION, ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION,
		ERRCODE_SYNTAX_ERROR, ERRCODE_FEATURE_NOT_SUPPORTED
	};
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	for (int i = 0; i < lengthof(categories); i++)
		if (category == ERRCODE_TO_CATEGORY(categories[i]))
			return true;
	return false;
}

/* Read a rule's parameters, and compile it. */
static void
read_and_compile(const RuleRow *row, Rule *rule, Relation relation,
				 List **relations, bool outline)
{
	rule->params =
		DatumGetJsonbPCopy(JsonbPGetDatum(chatroom_row_params(row)));
	compile_rule(rule, relation, row->condition, relations, outline);
}

/*
 * The same for a stored rule.  What a type can't read any more was not the
 * writer's fault: the error says whose it was, and how to go on.
 */
static void
compile_stored(const RuleRow *row, Rule *rule, Relation relation,
			   List **relations, bool outline)
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		read_and_compile(row, rule, relation, relations, outline);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		if (!is_rules_error(error->sqlerrcode))
			PG_RE_THROW();
		FlushErrorState();
		raise_broken_rule(rule, error);
	}
	PG_END_TRY();
}

/* Make a set of some rules. */
RuleSet *
chatroom_make_rules(Relation relation, List *rows, List **relations,
					RulePurpose purpose)
{
	RuleSet    *rules = palloc0(sizeof(RuleSet));
	ListCell   *lc;

	rules->relid = RelationGetRelid(relation);
	rules->code = palloc0(sizeof(RuleSetCode));
	rules->code->context = CurrentMemoryContext;
	rules->code->tupdesc = CreateTupleDescCopy(RelationGetDescr(relation));
	rules->rules = palloc0(sizeof(Rule) * Max(list_length(rows), 1));
	foreach(lc, rows)
	{
		const RuleRow *row = lfirst(lc);
		Rule	   *rule = &rules->rules[rules->nrules++];

		*rule = row->rule;
		rule->name = pstrdup(rule->name);
		rule->field = pstrdup(rule->field);
		rule->message = rule->message ? pstrdup(rule->message) : NULL;
		if (purpose == RULES_STORED || purpose == RULES_ALTERED)
			compile_stored(row, rule, relation, relations,
						   purpose == RULES_ALTERED);
		else
			read_and_compile(row, rule, relation, relations,
							 purpose == RULES_OUTLINE);
	}
	qsort(rules->rules, rules->nrules, sizeof(Rule), compare_rules);
	finish_set(rules);
	return rules;
}

/* ----------------------------------------------------------------- caching */

/* Mark the sets made from a relation, or all, as outdated. */
static void
invalidate_sets(Oid relid)
{
	HASH_SEQ_STATUS status;
	RuleSetEntry *entry;

	hash_seq_init(&status, rule_sets);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (!entry->valid)
			continue;
		if (!OidIsValid(relid) || entry->rules == NULL)
		{
			entry->valid = false;
			continue;
		}
		for (int i = 0; i < entry->rules->code->nrelations; i++)
			if (entry->rules->code->relations[i] == relid)
				entry->valid = false;
	}
}

/* Make the hash table of sets. */
static void
make_set_table(void)
{
	rule_sets = chatroom_make_hash("chatroom rules", TopMemoryContext, 16,
								   sizeof(Oid), sizeof(RuleSetEntry));
	chatroom_on_relation_change(invalidate_sets);
	chatroom_on_catalog_change(NAMESPACEOID, invalidate_sets);
	chatroom_on_catalog_change(PROCOID, invalidate_sets);
	chatroom_on_catalog_change(TYPEOID, invalidate_sets);
	chatroom_on_catalog_change(CONSTROID, invalidate_sets);
}

/* Make the set of a relation. */
static RuleSet *
make_set(Relation relation)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "chatroom rules",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "chatroom rules compiling",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	Oid			relid = RelationGetRelid(relation);
	List	   *relations = lcons_oid(relid, chatroom_ancestors(relid, NULL));
	List	   *rows = NIL;
	RuleSet    *rules;
	ListCell   *lc;

	foreach(lc, relations)
		rows = list_concat(rows, chatroom_relation_rules(lfirst_oid(lc),
														 false));

	MemoryContextSwitchTo(context);
	rules = chatroom_make_rules(relation, rows, &relations, RULES_STORED);
	rules->code->relations = palloc(sizeof(Oid) * list_length(relations));
	foreach(lc, relations)
		rules->code->relations[rules->code->nrelations++] = lfirst_oid(lc);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return rules;
}

/* Take a set out of use; somebody up the stack may be in the midst of it. */
static void
retire_set(RuleSetEntry *entry)
{
	if (entry->rules != NULL)
		MemoryContextSetParent(entry->rules->code->context,
							   TopTransactionContext);
	entry->rules = NULL;
}

/* Forget all outdated sets; their tables may be gone. */
static void
sweep_sets(void)
{
	HASH_SEQ_STATUS status;
	RuleSetEntry *entry;

	hash_seq_init(&status, rule_sets);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->valid)
			continue;
		retire_set(entry);
		hash_search(rule_sets, &entry->relid, HASH_REMOVE, NULL);
	}
}

/* Make the set of a relation, and keep it. */
static RuleSet *
renew_set(Relation relation)
{
	Oid			relid = RelationGetRelid(relation);
	RuleSetEntry *entry;
	RuleSet    *rules;
	bool		found;

	for (int tries = 1;; tries++)
	{
		sweep_sets();

		/*
		 * An invalidation that comes while the set is made must not be lost:
		 * the entry, still without a set, is there to take it.
		 */
		entry = hash_search(rule_sets, &relid, HASH_ENTER, &found);
		if (!found)
			entry->rules = NULL;
		entry->valid = true;
		rules = make_set(relation);
		entry = hash_search(rule_sets, &relid, HASH_FIND, NULL);
		if (entry != NULL && entry->valid)
			break;

		/* with debug_discard_caches there is no end: use it this once */
		if (tries >= 3)
		{
			MemoryContextSetParent(rules->code->context,
								   TopTransactionContext);
			return rules;
		}
		MemoryContextDelete(rules->code->context);
	}
	retire_set(entry);
	MemoryContextSetParent(rules->code->context, TopMemoryContext);
	entry->rules = rules;
	return rules;
}

/* The rules of a relation. */
RuleSet *
chatroom_rules(Relation relation)
{
	Oid			relid = RelationGetRelid(relation);
	RuleSetEntry *entry;

	if (unlikely(rule_sets == NULL))
		make_set_table();
	entry = hash_search(rule_sets, &relid, HASH_FIND, NULL);
	if (likely(entry != NULL && entry->valid && entry->rules != NULL))
		return entry->rules;
	return renew_set(relation);
}

/* The embed rule of a column, or NULL. */
const Rule *
chatroom_embed_rule(const RuleSet *rules, AttrNumber attnum)
{
	for (int i = 0; i < rules->nrules; i++)
		if (rules->rules[i].kind == RULE_EMBED &&
			rules->rules[i].columns[0] == attnum)
			return &rules->rules[i];
	return NULL;
}
