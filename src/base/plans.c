/*-------------------------------------------------------------------------
 *
 * plans.c
 *	  Kept plans that hold nothing of whom they were made for.
 *
 * The planner calls functions that are IMMUTABLE, and keeps in the plan what
 * they said.  Many a policy's function is, though it reads a setting that
 * tells the user: with a plan that is kept, the next user gets the rows of the
 * one before.  A statement that is planned each time shows no such thing, and
 * whoever calls a function of ours expects just that.  So what may hold an
 * answer of a user's function is planned anew each time: where one is
 * IMMUTABLE, or in SQL, which the planner looks into.  PostgreSQL's own are
 * what they say.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "base/plans.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "utils/plancache.h"
#include "utils/syscache.h"

/* May the planner put a function's answer into a plan? */
static bool
is_folded(Oid function, void *context)
{
	HeapTuple	tuple;
	Form_pg_proc form;
	bool		folded;

	if (function < FirstNormalObjectId)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return true;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	folded = form->provolatile == PROVOLATILE_IMMUTABLE ||
		form->prolang == SQLlanguageId;
	ReleaseSysCache(tuple);
	return folded;
}

/* Is there such a function in a query, as it was rewritten? */
static bool
has_folded(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_folded, context))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_folded, context, 0);
	return expression_tree_walker(node, has_folded, context);
}

/*
 * Have a plan made anew if it may hold what a user's function said.  One that
 * is in use is not freed, and a query that has to be analyzed anew is planned
 * anew in any case.
 */
void
chatroom_renew_plan(SPIPlanPtr plan, PlanFolds *known)
{
	ListCell   *lc;

	foreach(lc, SPI_plan_get_plan_sources(plan))
	{
		CachedPlanSource *source = lfirst(lc);
		CachedPlan *generic = source->gplan;

		if (generic == NULL)
			continue;
		if (known->generation != generic->generation)
		{
			known->folds = has_folded((Node *) source->query_list, NULL);
			known->generation = generic->generation;
		}
		if (known->folds)
			generic->is_valid = false;
	}
}
