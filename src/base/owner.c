/*-------------------------------------------------------------------------
 *
 * owner.c
 *	  Doing something with the rights of a table's owner.
 *
 * Members and invites are written, triggers of children made, and topics
 * granted with the rights of the owner of the tables concerned, as foreign
 * keys are enforced: that the caller may call the function is what entitles
 * it.  This is the only place that changes the user, so that nothing is
 * forgotten:
 *
 * - the user himself, and that nobody changes him meanwhile (SET ROLE);
 * - that policies of his own tables don't hold him, forced or not;
 * - search_path.  Statements of ours name schemas and operators in full, but
 *	 triggers, rules and defaults of the owner's run inside, and what they
 *	 leave open must not be found in a schema of the caller's.
 *
 * Other settings stay the caller's, as in functions that are SECURITY DEFINER:
 * they change what a function answers, but not whose functions run.
 *
 * An error puts everything back at once; the end of its (sub)transaction would
 * do so, too.  CONTEXT tells of errors which statements they happened in: ours
 * is taken out of it, for the caller never wrote it, and may not run it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/owner.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* Make search_path find nothing that users made; see owner.h. */
int
chatroom_pin_search_path(void)
{
	int			nest_level = NewGUCNestLevel();

	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	return nest_level;
}

/* Take the lines with a statement out of an error's CONTEXT. */
void
chatroom_hide_statement(ErrorData *error, const char *statement)
{
	char	   *found;

	if (error->internalquery != NULL &&
		strcmp(error->internalquery, statement) == 0)
	{
		error->internalquery = NULL;
		error->internalpos = 0;
	}
	while (error->context != NULL &&
		   (found = strstr(error->context, statement)) != NULL)
	{
		char	   *end = strchr(found + strlen(statement), '\n');

		while (found > error->context && found[-1] != '\n')
			found--;
		if (end != NULL)
			memmove(found, end + 1, strlen(end + 1) + 1);
		else if (found > error->context)
			found[-1] = '\0';
		else
			error->context = NULL;
	}
}

/* Do some work as a role; see owner.h. */
void
chatroom_as_owner(Oid owner, const char *statement, OwnersWork work,
				  void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			user;
	int			security;
	int			nest_level = chatroom_pin_search_path();

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(owner,
						   security | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
	PG_TRY();
	{
		work(arg);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		SetUserIdAndSecContext(user, security);
		AtEOXact_GUC(false, nest_level);
		if (statement != NULL)
			chatroom_hide_statement(error, statement);
		ReThrowError(error);
	}
	PG_END_TRY();
	SetUserIdAndSecContext(user, security);
	AtEOXact_GUC(true, nest_level);
}

/* Restrict what is done until the subtransaction ends; see owner.h. */
void
chatroom_restrict(void)
{
	Oid			user;
	int			security;

	Assert(GetCurrentTransactionNestLevel() > 1);
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(user, security | SECURITY_RESTRICTED_OPERATION);
}
