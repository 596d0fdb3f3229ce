/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  Who the caller is in chat.
 *
 * Ordinarily a user of the chat is a database role.  An application server
 * connects as one role for many users: it says with chatroom.act_as(), or an
 * argument acting_for, for whom it acts.  The right to execute act_as(text) is
 * the right to speak for users.  What it said is kept here, in this process,
 * and not in a setting, which anyone could set.
 *
 * With the setting chatroom.claims, as PostgREST and its like use it, the user
 * is the "sub" of claims that a trusted proxy puts into another setting.
 *
 * Where PostgreSQL runs the code of a table's owner for somebody else, in
 * ANALYZE and its like, the caller is nobody: see base/judging.c.  While a
 * policy is judged, he is who he was.
 *
 * What act_as() said ends with the transaction; a savepoint that is rolled
 * back takes back what was said since.  Where the transaction is that of the
 * statement alone, and nothing in it asks whom it acts for, that was in vain,
 * and a warning says so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/compat.h"
#include "base/identity.h"
#include "base/judging.h"
#include "base/settings.h"
#include "base/watches.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* What act_as() said in one (sub)transaction; in TopTransactionContext. */
typedef struct Acting
{
	struct Acting *outer;
	int			level;			/* of the subtransaction that said so */
	const char *username;		/* NULL: for nobody */
} Acting;

static Acting *acting = NULL;

/* The argument of a call in progress; in TopMemoryContext. */
static char *call_username = NULL;
static int	call_level;			/* of the subtransaction it is in */

/* Claims as last read in this transaction; in TopTransactionContext. */
static const char *read_claims = NULL;
static const char *read_sub = NULL;

/* act_as() was called outside a transaction block, and nobody has asked. */
static bool in_vain = false;

static uint64 changes = 0;

/* -------------------------------------------------- ends of transactions */

/* Forget a call's argument. */
static void
end_call(void)
{
	if (call_username == NULL)
		return;
	pfree(call_username);
	call_username = NULL;
	changes++;
}

/* Tell who called act_as() for nothing, as SET LOCAL does. */
static void
warn_in_vain(void)
{
	if (!in_vain)
		return;
	in_vain = false;
	ereport(WARNING,
			(errcode(ERRCODE_NO_ACTIVE_SQL_TRANSACTION),
			 errmsg("chatroom.act_as() can only be used in transaction "
					"blocks"),
			 errdetail("It was forgotten at the end of its statement, in "
					   "which nothing asked for whom it acts."),
			 errhint("Say BEGIN first.")));
}

/* A transaction ended, and with it what it said. */
static void
transaction_ended(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			warn_in_vain();
			return;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			end_call();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PREPARE:
			break;
		default:
			return;
	}
	acting = NULL;
	in_vain = false;
	read_claims = read_sub = NULL;
	changes++;
}

/* A subtransaction ended: what it said is its parent's, or taken back. */
static void
subtransaction_ended(SubXactEvent event, SubTransactionId id,
					 SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (acting != NULL && acting->level >= level)
			acting = acting->outer;
		in_vain = in_vain && acting != NULL;
		if (call_username != NULL && call_level >= level)
			end_call();
		changes++;
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		if (acting != NULL && acting->level == level)
		{
			acting->level--;
			if (acting->outer != NULL &&
				acting->outer->level == acting->level)
				acting->outer = acting->outer->outer;
		}
		if (call_username != NULL && call_level == level)
			call_level--;
	}
}

/* Be told when transactions end. */
static void
watch_transactions(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(transaction_ended, NULL);
	RegisterSubXactCallback(subtransaction_ended, NULL);
	registered = true;
}

/* ------------------------------------------------------------- acting for */

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

/* Refuse what names nobody. */
static void
check_username(const text *username, const char *argument)
{
	if (VARSIZE_ANY_EXHDR(username) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", argument),
				 errhint("NULL means to act for nobody.")));
}

/* Act for a user during a call; see identity.h. */
void
chatroom_acting_for(const text *username)
{
	char	   *copy;

	if (username == NULL)
		return;
	chatroom_refuse_restricted("acting_for");
	if (!may_act())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to act for another user"),
				 errhint("acting_for takes the right to execute "
						 "chatroom.act_as(text).")));
	check_username(username, "acting_for");
	watch_transactions();
	copy = MemoryContextAlloc(TopMemoryContext,
							  VARSIZE_ANY_EXHDR(username) + 1);
	text_to_cstring_buffer(username, copy, VARSIZE_ANY_EXHDR(username) + 1);
	end_call();
	call_username = copy;
	call_level = GetCurrentTransactionNestLevel();
	changes++;
}

/* The call that acted for a user ends. */
void
chatroom_acting_done(void)
{
	end_call();
}

CHATROOM_FUNCTION(chatroom_act_as);

/* act_as(username text) returns void */
Datum
chatroom_act_as(PG_FUNCTION_ARGS)
{
	int			level = GetCurrentTransactionNestLevel();
	char	   *username = NULL;

	chatroom_refuse_restricted("chatroom.act_as()");
	if (!PG_ARGISNULL(0))
	{
		check_username(PG_GETARG_TEXT_PP(0), "username");
		username = MemoryContextStrdup(TopTransactionContext,
									   text_to_cstring(PG_GETARG_TEXT_PP(0)));
	}
	watch_transactions();
	if (acting == NULL || acting->level != level)
	{
		Acting	   *inner = MemoryContextAlloc(TopTransactionContext,
											   sizeof(Acting));

		inner->outer = acting;
		inner->level = level;
		acting = inner;
	}
	acting->username = username;
	in_vain = username != NULL && !IsTransactionBlock();
	changes++;
	PG_RETURN_VOID();
}

/* ----------------------------------------------------------------- claims */

/* The "sub" of claims; NULL: they name nobody. */
static char *
claims_sub(const char *claims)
{
	Datum		json = DirectFunctionCall1(jsonb_in, CStringGetDatum(claims));
	Jsonb	   *object = DatumGetJsonbP(json);
	JsonbValue	buffer;
	JsonbValue *sub;

	if (!JB_ROOT_IS_OBJECT(object))
		return NULL;
	sub = getKeyJsonValueFromContainer(&object->root, "sub", 3, &buffer);
	if (sub == NULL || sub->type != jbvString || sub->val.string.len == 0)
		return NULL;
	return pnstrdup(sub->val.string.val, sub->val.string.len);
}

/*
 * The user that the claims' setting names.  It is looked at every time, for
 * anything may set it, but read anew only where it differs.
 */
static const char *
claims_username(void)
{
	const char *claims = GetConfigOption(chatroom_claims, true, false);
	char	   *sub;

	if (claims == NULL || claims[0] == '\0')
		return NULL;
	if (read_claims != NULL && strcmp(read_claims, claims) == 0)
		return read_sub;

	watch_transactions();
	sub = claims_sub(claims);
	if (sub != NULL)
		sub = MemoryContextStrdup(TopTransactionContext, sub);
	read_claims = MemoryContextStrdup(TopTransactionContext, claims);
	return read_sub = sub;
}

/* Is the user taken from claims? */
static bool
by_claims(void)
{
	return chatroom_claims != NULL && chatroom_claims[0] != '\0';
}

/* --------------------------------------------------------------- identity */

/* The user that the caller acts for; see identity.h. */
const char *
chatroom_acts_for(void)
{
	if (chatroom_in_maintenance())
		return NULL;
	if (call_username != NULL)
		return call_username;
	in_vain = false;
	if (acting != NULL && acting->username != NULL)
		return acting->username;
	return by_claims() ? claims_username() : NULL;
}

/* The caller's username; see identity.h. */
const char *
chatroom_identity(void)
{
	static NameData role;
	const char *username = chatroom_acts_for();
	char	   *name;

	if (username != NULL || by_claims() || chatroom_in_maintenance())
		return username;

	/* the role that the session acts as, whoever's function this runs in */
	name = GetUserNameFromId(GetOuterUserId(), false);
	namestrcpy(&role, name);
	pfree(name);
	return NameStr(role);
}

/* The same where one is needed. */
const char *
chatroom_require_identity(void)
{
	const char *username = chatroom_identity();

	if (username == NULL)
		chatroom_refuse_restricted("the caller's username");
	if (username == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the caller has no username"),
				 errdetail("Setting \"%s\", which chatroom.claims names, has "
						   "no claim \"sub\".", chatroom_claims),
				 errhint("Put the user's claims there, or call "
						 "chatroom.act_as().")));
	return username;
}

/* Moves whenever the answers may have changed, but for the claims. */
uint64
chatroom_identity_changes(void)
{
	return changes;
}
