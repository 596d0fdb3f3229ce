/*-------------------------------------------------------------------------
 *
 * acting.c
 *	  Acting for a user: the argument acting_for.
 *
 * The right to speak for users is the right to execute chatroom.act_as(text).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/watches.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "read/acting.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

/* May the current user speak for others? */
static bool
may_act(void)
{
	Oid			schema = get_namespace_oid(CHATROOM_SCHEMA, true);
	Oid			types[1] = {TEXTOID};
	oidvector  *arguments = buildoidvector(types, 1);
	Oid			function;

	function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
							   CStringGetDatum("act_as"),
							   PointerGetDatum(arguments),
							   ObjectIdGetDatum(schema));
	return OidIsValid(function) && ChatroomMayExecute(function, GetUserId());
}

/* The caller wants to act for a user; see acting.h. */
void
chatroom_acting_for(const text *username)
{
	if (username == NULL)
		return;
	if (!may_act())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to act for another user"),
				 errhint("acting_for takes the right to execute "
						 "chatroom.act_as(text).")));
}
