/*-------------------------------------------------------------------------
 *
 * native.c
 *	  What PostgreSQL's own constraints would say of a row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "write/rulecode.h"

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
