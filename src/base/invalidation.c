/*-------------------------------------------------------------------------
 *
 * invalidation.c
 *	  Being told when the catalog has changed.
 *
 * A process has room for ten relcache callbacks and 64 syscache callbacks,
 * those of all extensions and of the server itself; who asks for one more ends
 * the session.  So chatroom takes one of the former, and one of the latter for
 * each catalog cache that anything here is made from, and tells its own caches
 * itself.  They are asked for when the first of them is made: a session that
 * doesn't use chatroom has none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/invalidation.h"
#include "utils/inval.h"

/* More than there are places in the source that ask for it. */
#define MAX_LISTENERS	64

/* Stands for the relcache where else the number of a catalog cache does. */
#define RELATIONS		(-1)

/* Who wants to be told of what. */
typedef struct Listener
{
	int			cacheid;		/* or RELATIONS */
	InvalidationCallback callback;
} Listener;

static Listener listeners[MAX_LISTENERS];
static int	nlisteners = 0;

/* Tell those who listen to something. */
static void
tell(int cacheid, Oid relid)
{
	for (int i = 0; i < nlisteners; i++)
		if (listeners[i].cacheid == cacheid)
			listeners[i].callback(relid);
}

/* A relation has changed, or perhaps any. */
static void
relation_changed(Datum arg, Oid relid)
{
	tell(RELATIONS, relid);
}

/* An entry of a catalog cache has changed. */
static void
catalog_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	tell(cacheid, InvalidOid);
}

/* Add a listener; says whether it is the first to listen to that. */
static bool
add_listener(int cacheid, InvalidationCallback callback)
{
	bool		first = true;

	for (int i = 0; i < nlisteners; i++)
	{
		if (listeners[i].cacheid != cacheid)
			continue;
		if (listeners[i].callback == callback)
			return false;
		first = false;
	}
	if (nlisteners == MAX_LISTENERS)
		elog(ERROR, "too many caches listen to invalidations");
	listeners[nlisteners].cacheid = cacheid;
	listeners[nlisteners++].callback = callback;
	return first;
}

/* Tell a cache of relations that change; see invalidation.h. */
void
chatroom_on_relation_change(InvalidationCallback callback)
{
	if (add_listener(RELATIONS, callback))
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
}

/* Tell a cache of a catalog cache's changes; see invalidation.h. */
void
chatroom_on_catalog_change(int cacheid, InvalidationCallback callback)
{
	if (add_listener(cacheid, callback))
		CacheRegisterSyscacheCallback(cacheid, catalog_changed, (Datum) 0);
}
