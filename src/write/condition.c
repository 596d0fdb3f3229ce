/*-------------------------------------------------------------------------
 *
 * condition.c
 *	  Conditions of watches, and of rules, as SQL text; evaluating them.
 *
 * A condition is an SQL boolean over one row of the watched table.  The user
 * writes it as in the WHERE of a query of this table alone.  It is kept in the
 * WHEN of a trigger, where columns are those of "new": so it is parsed here
 * with PostgreSQL's parser, and written again.  No text of the user's becomes
 * part of a statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "base/compat.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_collate.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "write/condition.h"

/* A condition that is being read. */
typedef struct ConditionText
{
	const char *text;
	const char *what;			/* what errors call it */
} ConditionText;

/* Let positions in errors refer to the condition, not to the statement. */
static void
condition_error(void *arg)
{
	const ConditionText *condition = arg;
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(condition->text);
	}
	errcontext("%s", condition->what);
}

/* The expression of a text that is nothing but one. */
static Node *
parse_expression(const char *text)
{
	List	   *statements = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *statement;
	ResTarget  *target;

	statement = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;
	if (!IsA(statement, SelectStmt) ||
		list_length(statement->targetList) != 1 ||
		statement->distinctClause || statement->fromClause ||
		statement->whereClause || statement->groupClause ||
		statement->havingClause || statement->windowClause ||
		statement->sortClause || statement->limitOffset ||
		statement->limitCount || statement->lockingClause)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("condition is not one expression: %s", text),
				 errhint("Write it as after WHERE, for example: status = 'open'.")));
	target = linitial_node(ResTarget, statement->targetList);
	if (target->name != NULL || target->indirection != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("condition must not have a column name: %s", text)));
	return target->val;
}

/* Refuse what an event's images don't have. */
static bool
check_columns(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varattno < 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("condition must not refer to system columns")));
		return false;
	}
	return expression_tree_walker(node, check_columns, context);
}

/* Read a condition over a relation's columns; the Vars have varno 1. */
Node *
chatroom_parse_condition(Oid relid, const char *text, const char *what)
{
	ConditionText condition = {text, what};
	Relation	relation = table_open(relid, NoLock);
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item;
	ErrorContextCallback callback;
	Node	   *expr;

	callback.callback = condition_error;
	callback.arg = &condition;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	pstate->p_sourcetext = text;
	item = addRangeTableEntryForRelation(pstate, relation, AccessShareLock,
										 NULL, false, true);
	addNSItemToQuery(pstate, item, false, true, true);
	expr = transformWhereClause(pstate, parse_expression(text),
								EXPR_KIND_TRIGGER_WHEN, "condition");
	assign_expr_collations(pstate, expr);
	check_columns(expr, NULL);
	free_parsestate(pstate);

	error_context_stack = callback.previous;
	table_close(relation, NoLock);
	return expr;
}

/* Write a condition whose Vars have a varno. */
char *
chatroom_condition_text(Oid relid, Node *condition, int varno, bool for_when)
{
	Node	   *expr = copyObject(condition);
	const char *alias = for_when ? "new" : get_rel_name(relid);

	if (varno != 1)
		ChangeVarNodes(expr, varno, 1, 0);
	return deparse_expression(expr, deparse_context_for(alias, relid),
							  for_when, false);
}

/* Compile an expression with the rights of the user. */
static ExprState *
compile(const Expr *expr)
{
	Node	   *copy = (Node *) copyObject(expr);

	return ExecInitExpr(expression_planner((Expr *) copy), NULL);
}

/* Evaluate what is compiled. */
static Datum
evaluate(ExprState *state, ExprContext *context, TupleTableSlot *slot,
		 bool *isnull)
{
	Datum		result;

	ResetExprContext(context);
	context->ecxt_scantuple = slot;
	result = ExecEvalExpr(state, context, isnull);
	context->ecxt_scantuple = NULL;
	return result;
}

/* Compile a condition, to be kept. */
static void
prepare(RowCondition *condition, MemoryContext keep)
{
	MemoryContext caller;

	/* sessions behind a pooler change roles often: don't pile up */
	condition->state = NULL;
	if (condition->memory == NULL)
		condition->memory = AllocSetContextCreate(keep, "chatroom condition",
												  ALLOCSET_SMALL_SIZES);
	if (condition->context != NULL)
		FreeExprContext(condition->context, true);
	condition->context = NULL;
	MemoryContextReset(condition->memory);

	caller = MemoryContextSwitchTo(condition->memory);
	condition->context = CreateStandaloneExprContext();
	condition->state = compile(condition->expr);
	condition->userid = GetUserId();
	MemoryContextSwitchTo(caller);
}

/* Evaluate an expression for a row. */
Datum
chatroom_evaluate(RowCondition *condition, MemoryContext keep,
				  TupleTableSlot *slot, bool *isnull)
{
	Datum		result;

	if (condition->busy)
	{
		/* called by what the expression itself calls */
		ExprContext *context = CreateStandaloneExprContext();

		result = evaluate(compile(condition->expr), context, slot, isnull);
		FreeExprContext(context, true);
		return result;
	}
	if (condition->state == NULL || condition->userid != GetUserId())
		prepare(condition, keep);
	condition->busy = true;
	PG_TRY();
	{
		result = evaluate(condition->state, condition->context, slot, isnull);
	}
	PG_FINALLY();
	{
		condition->busy = false;
	}
	PG_END_TRY();
	return result;
}
