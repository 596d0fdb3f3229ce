/*-------------------------------------------------------------------------
 *
 * validate.c
 *	  Holding rows against rules.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "write/rules.h"

/* Check an inserted or updated row. */
List *
chatroom_check(RuleSet *rules, Relation relation, const RuleInput *input)
{
	return NIL;
}

/* Check a row that is to be deleted. */
List *
chatroom_check_delete(RuleSet *rules, Relation relation,
					  const RuleInput *input)
{
	return NIL;
}

/* Check a row against the constraints that PostgreSQL keeps. */
List *
chatroom_check_native(Relation relation, const RuleInput *input, List *errors)
{
	return errors;
}

/* What an error that was caught is in a changeset. */
List *
chatroom_caught_errors(Relation relation, const ErrorData *error)
{
	return NIL;
}
