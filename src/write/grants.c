/*-------------------------------------------------------------------------
 *
 * grants.c
 *	  Changing who may use topics that are no table's.
 *
 * See base/grants.c for how grants are kept.  Who may call the functions is
 * said by the privilege to execute them; they work on the table as its owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "base/grants.h"
#include "base/owner.h"
#include "base/spi.h"
#include "base/topics.h"
#include "cache/interest.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "write/labels.h"

static const char *const privileges[] = {"sync", "track", "broadcast"};

CHATROOM_FUNCTION(chatroom_topic_grants_changed);

/* Statement trigger of the table of grants: tell all processes. */
Datum
chatroom_topic_grants_changed(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function chatroom.topic_grants_changed() was not "
						"called by a trigger")));
	CacheInvalidateRelcache(data->tg_relation);
	if (TRIGGER_FIRED_BY_DELETE(data->tg_event) ||
		TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		chatroom_rename_channels_at_commit();
	PG_RETURN_POINTER(NULL);
}

/* Arguments of grant_topic and revoke_topic. */
typedef struct GrantArgs
{
	text	   *pattern;
	Oid			role;
	char	   *role_name;
	Datum		privileges;		/* text[], each once */
} GrantArgs;

/* The privileges argument, checked. */
static Datum
check_privileges(ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	int			bits = 0;
	Datum		names[lengthof(privileges)];
	int			nnames = 0;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("privileges must be a one-dimensional array")));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &n);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("privileges must not be empty"),
				 errhint("Privileges are sync, track and broadcast.")));
	for (int i = 0; i < n; i++)
	{
		char	   *name;
		int			bit;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("privileges must not contain nulls")));
		name = TextDatumGetCString(elements[i]);
		bit = chatroom_privilege_bit(name, strlen(name));
		if (bit == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unrecognized privilege: \"%s\"", name),
					 errhint("Privileges are sync, track and broadcast.")));
		bits |= bit;
	}
	for (int i = 0; i < lengthof(privileges); i++)
		if (bits & chatroom_privilege_bit(privileges[i],
										  strlen(privileges[i])))
			names[nnames++] = CStringGetTextDatum(privileges[i]);
	return PointerGetDatum(construct_array(names, nnames, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/* The arguments, checked. */
static void
get_grant_args(FunctionCallInfo fcinfo, GrantArgs *args)
{
	static const char *const names[] = {"pattern", "role", "privileges"};

	for (int i = 0; i < lengthof(names); i++)
		chatroom_require_argument(fcinfo, i, names[i]);
	args->pattern = PG_GETARG_TEXT_PP(0);
	chatroom_check_topic(VARDATA_ANY(args->pattern),
						 VARSIZE_ANY_EXHDR(args->pattern));
	args->role_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	args->role = strcmp(args->role_name, "public") == 0 ? InvalidOid :
		get_role_oid(args->role_name, false);
	args->privileges = check_privileges(PG_GETARG_ARRAYTYPE_P(2));
}

/* One statement on the table of grants. */
typedef struct GrantStatement
{
	const GrantArgs *args;
	const char *sql;
	uint64		touched;		/* rows */
} GrantStatement;

/* Run it. */
static void
run_grant_statement(void *arg)
{
	GrantStatement *statement = arg;
	const GrantArgs *args = statement->args;
	Oid			types[] = {TEXTOID, OIDOID, TEXTARRAYOID};
	Datum		values[] = {
		PointerGetDatum(args->pattern),
		ObjectIdGetDatum(args->role),
		args->privileges
	};

	if (SPI_execute_with_args(statement->sql, lengthof(types), types, values,
							  NULL, false, 0) < 0)
		elog(ERROR, "could not change grants: %s", statement->sql);
	statement->touched = SPI_processed;
}

/*
 * Run statements on the table of grants as its owner: that the caller may
 * execute the function is what entitles it.  Returns the number of rows
 * touched.
 */
static uint64
change_grants(const GrantArgs *args, const char *const *statements, int n)
{
	Relation	relation = table_open(chatroom_grants_table(),
									  RowExclusiveLock);
	uint64		touched = 0;

	chatroom_spi_connect();
	for (int i = 0; i < n; i++)
	{
		GrantStatement statement = {args, statements[i], 0};

		chatroom_as_owner(relation->rd_rel->relowner, statement.sql,
						  run_grant_statement, &statement);
		touched += statement.touched;
	}
	chatroom_spi_finish();
	table_close(relation, NoLock);
	return touched;
}

CHATROOM_FUNCTION(chatroom_grant_topic);

/* grant_topic(pattern text, role text, privileges text[]) */
Datum
chatroom_grant_topic(PG_FUNCTION_ARGS)
{
	static const char *const statements[] = {
		"INSERT INTO chatroom.topic_grant AS g (pattern, role, privileges) "
		"VALUES ($1, $2::regrole, $3) "
		"ON CONFLICT (pattern, role) DO UPDATE SET privileges = ARRAY("
		"SELECT p FROM unnest('{sync,track,broadcast}'::text[]) p "
		"WHERE p = ANY (g.privileges || excluded.privileges))"
	};
	GrantArgs	args;

	get_grant_args(fcinfo, &args);
	chatroom_refuse_reserved(VARDATA_ANY(args.pattern),
							 VARSIZE_ANY_EXHDR(args.pattern));
	PreventCommandIfReadOnly("chatroom.grant_topic()");
	PreventCommandDuringRecovery("chatroom.grant_topic()");
	chatroom_lock_labels();
	chatroom_check_pattern_free(VARDATA_ANY(args.pattern),
								VARSIZE_ANY_EXHDR(args.pattern));
	change_grants(&args, statements, lengthof(statements));
	PG_RETURN_VOID();
}

CHATROOM_FUNCTION(chatroom_revoke_topic);

/* revoke_topic(pattern text, role text, privileges text[]) */
Datum
chatroom_revoke_topic(PG_FUNCTION_ARGS)
{
	static const char *const statements[] = {
		"DELETE FROM chatroom.topic_grant WHERE pattern = $1 "
		"AND role = $2::regrole AND privileges <@ $3",
		"UPDATE chatroom.topic_grant SET privileges = ARRAY("
		"SELECT p FROM unnest(privileges) p WHERE p <> ALL ($3)) "
		"WHERE pattern = $1 AND role = $2::regrole AND privileges && $3"
	};
	GrantArgs	args;

	get_grant_args(fcinfo, &args);
	if (change_grants(&args, statements, lengthof(statements)) == 0)
		ereport(NOTICE,
				(errmsg("nothing of this was granted to \"%s\" on \"%s\"",
						args.role_name, text_to_cstring(args.pattern)),
				 errhint("Patterns are compared as they were given; see view "
						 "chatroom.topic_grants.")));
	chatroom_rename_channels_at_commit();
	PG_RETURN_VOID();
}
