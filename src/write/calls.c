/*-------------------------------------------------------------------------
 *
 * calls.c
 *	  chatroom.allow_call and disallow_call: who may call what from data.
 *
 * See base/callable.c for how that is kept.  A function is the database's
 * owner's to allow to anybody, and its own owner's to allow to roles that it
 * is a member of: it offers its code to its own, and to nobody who might be
 * made to run it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "base/arguments.h"
#include "base/callable.h"
#include "base/compat.h"
#include "base/owner.h"
#include "base/spi.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"

CHATROOM_FUNCTION(chatroom_allow_call);
CHATROOM_FUNCTION(chatroom_disallow_call);

/* One change of the table. */
typedef struct CallChange
{
	const char *sql;
	char	   *function;		/* its signature */
	Oid			role;			/* InvalidOid: everybody */
	Oid			owner;
	uint64		touched;		/* rows */
} CallChange;


/* The role argument. */
static Oid
role_arg(FunctionCallInfo fcinfo, char **name)
{
	*name = text_to_cstring(chatroom_text_arg(fcinfo, 1, "role"));
	return strcmp(*name, "public") == 0 ? InvalidOid :
		get_role_oid(*name, false);
}

/* Refuse who may not say whether a role calls a function. */
static void
check_right(Oid owner, Oid role, const char *function)
{
	Oid			userid = GetUserId();

	if (has_privs_of_role(userid, ROLE_PG_DATABASE_OWNER))
		return;
	if (OidIsValid(owner) && OidIsValid(role) &&
		has_privs_of_role(userid, owner) && has_privs_of_role(userid, role))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to say who calls function \"%s\"",
					function),
			 errdetail("The database's owner may, and the function's owner to roles that it is a member of.")));
}

/* Run the statement. */
static void
run_change(void *arg)
{
	CallChange *change = arg;
	Oid			types[] = {TEXTOID, OIDOID, OIDOID};
	Datum		values[] = {
		CStringGetTextDatum(change->function),
		ObjectIdGetDatum(change->role),
		ObjectIdGetDatum(change->owner)
	};

	if (SPI_execute_with_args(change->sql, lengthof(types), types, values,
							  NULL, false, 0) < 0)
		elog(ERROR, "could not change callable functions: %s", change->sql);
	change->touched = SPI_processed;
}

/* Change the table as its owner. */
static void
change_table(CallChange *change)
{
	Relation	relation = table_open(chatroom_callable_table(),
									  RowExclusiveLock);

	chatroom_spi_connect();
	chatroom_as_owner(relation->rd_rel->relowner, change->sql, run_change,
					  change);
	chatroom_spi_finish();
	table_close(relation, NoLock);
}

/* The owner and the kind of a function. */
static Oid
read_function(Oid function, char *kind)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	owner = form->proowner;
	*kind = form->prokind;
	ReleaseSysCache(tuple);
	return owner;
}

/* allow_call(function text, role text) returns void */
Datum
chatroom_allow_call(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(chatroom_text_arg(fcinfo, 0,
														 "function"));
	Oid			function = chatroom_named_function(name, false);
	CallChange	change = {0};
	char	   *role_name;
	char		kind;

	change.role = role_arg(fcinfo, &role_name);
	change.owner = read_function(function, &kind);
	check_right(change.owner, change.role, name);
	if (kind != PROKIND_FUNCTION)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" can't be allowed to be called", name),
				 errdetail("It is an aggregate, a window function or a procedure.")));
	change.function = format_procedure_qualified(function);
	change.sql =
		"INSERT INTO chatroom.call_grant AS g (function, role, owner) "
		"VALUES ($1, $2::regrole, $3::regrole) ON CONFLICT (function, role) "
		"DO UPDATE SET owner = excluded.owner WHERE g.owner <> excluded.owner";
	change_table(&change);
	PG_RETURN_VOID();
}

/* disallow_call(function text, role text) returns void */
Datum
chatroom_disallow_call(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(chatroom_text_arg(fcinfo, 0,
														 "function"));
	Oid			function = chatroom_named_function(name, true);
	CallChange	change = {0};
	char	   *role_name;
	char		kind;

	change.role = role_arg(fcinfo, &role_name);

	/* one that is gone is named as the view shows it */
	change.function = name;
	if (OidIsValid(function))
	{
		change.owner = read_function(function, &kind);
		change.function = format_procedure_qualified(function);
	}
	check_right(change.owner, change.role, name);
	change.sql = "DELETE FROM chatroom.call_grant "
		"WHERE function = $1 AND role = $2::regrole AND $3 IS NOT NULL";
	change_table(&change);
	if (change.touched == 0)
		ereport(NOTICE,
				(errmsg("function \"%s\" was not allowed to be called by \"%s\"",
						name, role_name),
				 errhint("View chatroom.callable shows what is allowed.")));
	PG_RETURN_VOID();
}
