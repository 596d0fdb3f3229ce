/*-------------------------------------------------------------------------
 *
 * columns.c
 *	  The columns that an expression reads.
 *
 * PostgreSQL's pull_varattnos() does this for planned expressions, in which
 * there are no subqueries.  A policy may have some, and they may refer to the
 * row that the policy is asked about.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/columns.h"
#include "nodes/nodeFuncs.h"

/* What was found so far. */
typedef struct ColumnWalk
{
	int			varno;			/* 0: any */
	int			depth;			/* of subqueries */
	Bitmapset  *columns;
	bool		system;
} ColumnWalk;

/* Note the columns of an expression's part. */
static bool
collect_columns(Node *node, void *context)
{
	ColumnWalk *walk = context;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if ((walk->varno != 0 && var->varno != walk->varno) ||
			(int) var->varlevelsup != walk->depth)
			return false;
		if (var->varattno < 0)
			walk->system = true;
		else
			walk->columns = bms_add_member(walk->columns, var->varattno);
		return false;
	}
	if (IsA(node, Query))
	{
		bool		result;

		walk->depth++;
		result = query_tree_walker((Query *) node, collect_columns, context,
								   0);
		walk->depth--;
		return result;
	}
	return expression_tree_walker(node, collect_columns, context);
}

Bitmapset *
chatroom_expression_columns(Node *expr, int varno,
							   bool *system)
{
	ColumnWalk	walk = {varno, 0, NULL, false};

	collect_columns(expr, &walk);
	if (system != NULL)
		*system = walk.system;
	return walk.columns;
}
