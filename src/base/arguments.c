/*-------------------------------------------------------------------------
 *
 * arguments.c
 *	  Checks of SQL arguments that many functions share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"

/* Refuse a null argument by name. */
void
chatroom_require_argument(FunctionCallInfo fcinfo, int argument,
						  const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}
