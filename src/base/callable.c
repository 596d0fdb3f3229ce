/*-------------------------------------------------------------------------
 *
 * callable.c
 *	  Functions that may be called by name from data.
 *
 * What a client sends must not choose among all functions that the role may
 * execute: many are PUBLIC's, and nobody thought of them when the application
 * was given its rights.  So only those that chatroom.allow_call() allowed to
 * a role of the caller's are called, if the caller may execute them, too.
 *
 * They are kept in chatroom.call_grant, a table of the extension's that dumps
 * carry, by signature and owner: a function of the same name with other
 * arguments, or of somebody else, is another one.  It is read for each call,
 * by its index and without a look at anybody's privileges on it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "base/callable.h"
#include "base/compat.h"
#include "base/watches.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define CALLABLE_TABLE		"call_grant"
#define CALLABLE_INDEX		"call_grant_pkey"
#define COLUMN_FUNCTION		1
#define COLUMN_ROLE			2
#define COLUMN_OWNER		3


/* A relation of the extension's. */
static Oid
own_relation(const char *name)
{
	Oid			schema = get_namespace_oid(CHATROOM_SCHEMA, true);
	Oid			relid = InvalidOid;

	if (OidIsValid(schema))
		relid = get_relname_relid(name, schema);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s.%s\" does not exist", CHATROOM_SCHEMA,
						name),
				 errhint("Create the extension chatroom anew.")));
	return relid;
}

/* The table of what chatroom.allow_call() allowed. */
Oid
chatroom_callable_table(void)
{
	return own_relation(CALLABLE_TABLE);
}

/* The owner of a function; InvalidOid: it is gone. */
static Oid
function_owner(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Does a row of the table allow a function of this owner to a user? */
static bool
row_allows(HeapTuple tuple, TupleDesc tupdesc, Oid owner, Oid userid)
{
	bool		isnull;
	Oid			kept = DatumGetObjectId(heap_getattr(tuple, COLUMN_OWNER,
													 tupdesc, &isnull));
	Oid			role = DatumGetObjectId(heap_getattr(tuple, COLUMN_ROLE,
													 tupdesc, &isnull));

	return kept == owner &&
		(!OidIsValid(role) || has_privs_of_role(userid, role));
}

/* Has chatroom.allow_call() allowed a function to the current user? */
bool
chatroom_is_callable(Oid function)
{
	Oid			owner = function_owner(function);
	Oid			relid = chatroom_callable_table();
	Datum		signature;
	Relation	relation;
	Snapshot	snapshot;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	bool		allowed = false;

	if (!OidIsValid(owner))
		return false;
	signature = CStringGetTextDatum(format_procedure_qualified(function));
	relation = table_open(relid, AccessShareLock);
	snapshot = RegisterSnapshot(GetCatalogSnapshot(relid));
	ScanKeyInit(&key, COLUMN_FUNCTION, BTEqualStrategyNumber, F_TEXTEQ,
				signature);
	scan = systable_beginscan(relation, own_relation(CALLABLE_INDEX), true,
							  snapshot, 1, &key);
	while (!allowed && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		allowed = row_allows(tuple, RelationGetDescr(relation), owner,
							 GetUserId());
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(relation, AccessShareLock);
	return allowed;
}

/* Find a function by its name; it may be gone a moment later. */
static Oid
look_up_function(const char *name, bool missing_ok)
{
	PGFunction	input;
	Datum		found;

	if (missing_ok)
	{
		bool		arguments = strchr(name, '(') != NULL;
		LOCAL_FCINFO(fcinfo, 1);

		input = arguments ? to_regprocedure : to_regproc;
		InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
		fcinfo->args[0].value = CStringGetTextDatum(name);
		fcinfo->args[0].isnull = false;
		found = input(fcinfo);
		return fcinfo->isnull ? InvalidOid : DatumGetObjectId(found);
	}
	input = strchr(name, '(') != NULL ? regprocedurein : regprocin;
	found = DirectFunctionCall1(input, CStringGetDatum(name));
	return DatumGetObjectId(found);
}

/* Find a function by its name, and keep it. */
Oid
chatroom_named_function(const char *name, bool missing_ok)
{
	Oid			locked = InvalidOid;

	for (;;)
	{
		Oid			found = look_up_function(name, missing_ok);

		/* "-" and numbers are read, too, but name nothing */
		if (OidIsValid(found) && !OidIsValid(function_owner(found)))
			found = InvalidOid;
		if (!OidIsValid(found) && !missing_ok)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("function \"%s\" does not exist", name)));
		if (found == locked || !OidIsValid(found))
			return found;
		if (OidIsValid(locked))
			UnlockDatabaseObject(ProcedureRelationId, locked, 0,
								 AccessShareLock);
		LockDatabaseObject(ProcedureRelationId, found, 0, AccessShareLock);
		locked = found;
	}
}
