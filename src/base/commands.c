/*-------------------------------------------------------------------------
 *
 * commands.c
 *	  Being told of commands that give back what a session holds.
 *
 * DISCARD ALL hands a session on to somebody else, UNLISTEN gives up channels.
 * Those that keep something for the session are told when such a command has
 * succeeded.  The hook is set by the first of them: sessions that hold nothing
 * don't have it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/commands.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"

/* Interests of a session (read/listen.c), and presence (write/presence.c). */
#define MAX_LISTENERS	2

static CommandListener listeners[MAX_LISTENERS];
static int	nlisteners = 0;
static ProcessUtility_hook_type prev_process_utility = NULL;

/* Run a command, and tell of it. */
static void
watch_commands(PlannedStmt *statement, const char *query, bool read_only,
			   ProcessUtilityContext context, ParamListInfo params,
			   QueryEnvironment *environment, DestReceiver *receiver,
			   QueryCompletion *completion)
{
	Node	   *command = statement->utilityStmt;
	bool		unlisten = IsA(command, UnlistenStmt);
	bool		discard = IsA(command, DiscardStmt) &&
		((DiscardStmt *) command)->target == DISCARD_ALL;
	char	   *channel = NULL;

	/* the command's tree needn't outlive it */
	if (unlisten && ((UnlistenStmt *) command)->conditionname != NULL)
		channel = pstrdup(((UnlistenStmt *) command)->conditionname);
	if (prev_process_utility)
		prev_process_utility(statement, query, read_only, context, params,
							 environment, receiver, completion);
	else
		standard_ProcessUtility(statement, query, read_only, context, params,
								environment, receiver, completion);
	if (unlisten || discard)
		for (int i = 0; i < nlisteners; i++)
			listeners[i] (discard, channel);
}

/* Have a listener called from now on; see commands.h. */
void
chatroom_listen_to_commands(CommandListener listener)
{
	if (nlisteners == MAX_LISTENERS)
		elog(ERROR, "too many listeners to commands");
	if (nlisteners == 0)
	{
		prev_process_utility = ProcessUtility_hook;
		ProcessUtility_hook = watch_commands;
	}
	listeners[nlisteners++] = listener;
}
