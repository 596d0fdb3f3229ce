/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  Definition of the extension's settings.
 *
 * Those that size shared memory are read by the tailer when it makes a
 * database's cache; a change of them by reload takes effect with the next
 * cache that is made (chatroom.stop() and start(), or a server restart).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "base/event.h"
#include "base/settings.h"
#include "utils/guc.h"

int			chatroom_cache_size;
int			chatroom_retain_wal;
int			chatroom_max_event_size;
int			chatroom_max_wait;
int			chatroom_max_waiters;
int			chatroom_max_databases = 64;
int			chatroom_recheck;
int			chatroom_max_presence;
int			chatroom_max_presence_per_role;
int			chatroom_max_interests_per_role;
bool		chatroom_emit_enabled;
char	   *chatroom_default_prefix;
char	   *chatroom_claims;
char	   *chatroom_origin;
bool		chatroom_preloaded = false;

/* An origin travels in each event: keep it a tag. */
static bool
check_origin(char **newval, void **extra, GucSource source)
{
	if (*newval != NULL && strlen(*newval) > 64)
	{
		GUC_check_errdetail("An origin has at most 64 bytes.");
		return false;
	}
	return true;
}

/* Define all settings; called once per process by _PG_init. */
void
chatroom_define_settings(void)
{
	DefineCustomIntVariable("chatroom.cache_size",
							"Memory of one database's event cache.",
							"Read when the cache is made: at the worker's "
							"first use of the database.",
							&chatroom_cache_size,
							16 * 1024, 1024, 16 * 1024 * 1024,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("chatroom.retain_wal",
							"Most WAL kept to rebuild the caches from.",
							"Held by the worker's replication slot.",
							&chatroom_retain_wal,
							64, 1, INT_MAX / 1024,
							PGC_SIGHUP, GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomIntVariable("chatroom.max_event_size",
							"Largest row that an event carries.",
							"Larger rows are published without their content, "
							"marked oversize.",
							&chatroom_max_event_size,
							256, 1, 64 * 1024,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("chatroom.max_wait",
							"Longest that CALL chatroom.wait() blocks.",
							NULL,
							&chatroom_max_wait,
							60 * 1000, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("chatroom.max_waiters",
							"Most sessions in CALL chatroom.wait() at a "
							"time, in one database.",
							"-1 means half of max_connections.",
							&chatroom_max_waiters,
							-1, -1, INT_MAX / 2,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	/* not preloaded, its memory is taken from what the server has to spare */
	DefineCustomIntVariable("chatroom.max_databases",
							"Most databases that can have a cache at a time.",
							"Without preloading it is what it is.",
							&chatroom_max_databases,
							64, 1, 8192,
							chatroom_preloaded ? PGC_POSTMASTER : PGC_INTERNAL,
							0, NULL, NULL, NULL);
	DefineCustomIntVariable("chatroom.recheck",
							"Longest that who waits goes by rights that "
							"nothing told of.",
							"A right that ends is looked for with each "
							"event, and at least as often as this.",
							&chatroom_recheck,
							30, 1, 24 * 60 * 60,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("chatroom.max_presence",
							"Most presence entries at a time, in one "
							"database.",
							"Read when the cache is made: at the worker's "
							"first use of the database.",
							&chatroom_max_presence,
							10000, 16, 1000000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("chatroom.max_presence_per_role",
							"Most presence entries that a role may have at "
							"a time, in one database.",
							"-1 means half of chatroom.max_presence, and for "
							"superusers all.",
							&chatroom_max_presence_per_role,
							-1, -1, INT_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("chatroom.max_interests_per_role",
							"Most topics that a role may listen to at a "
							"time, in one database.",
							"-1 means half of what there is room for, and "
							"for superusers all.",
							&chatroom_max_interests_per_role,
							-1, -1, INT_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("chatroom.emit",
							 "Emit events for watched tables.",
							 "Off is a kill switch: the changes are made without "
							 "events, and all topics of the database are reset.",
							 &chatroom_emit_enabled,
							 true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("chatroom.prefix",
							   "Schema of the chat tables that functions "
							   "without a prefix argument work on.",
							   NULL,
							   &chatroom_default_prefix,
							   "chat",
							   PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("chatroom.claims",
							   "Setting that holds JWT claims whose \"sub\" "
							   "is the user.",
							   "Empty: the user is the session's role.",
							   &chatroom_claims,
							   "",
							   PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("chatroom.origin",
							   "Tag that this session's events carry.",
							   "Lets a client skip events of its own.",
							   &chatroom_origin,
							   "",
							   PGC_USERSET, 0, check_origin, NULL, NULL);
	MarkGUCPrefixReserved("chatroom");
}
