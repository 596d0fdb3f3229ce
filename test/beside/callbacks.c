/*-------------------------------------------------------------------------
 *
 * callbacks.c
 *	  A neighbour that takes seven of a session's ten relcache callbacks, as
 *	  several extensions together may.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/inval.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

/* Nothing is to be done. */
static void
relation_changed(Datum arg, Oid relid)
{
}

/* Called when a session loads the library. */
void
_PG_init(void)
{
	for (int i = 0; i < 7; i++)
		CacheRegisterRelcacheCallback(relation_changed, Int32GetDatum(i));
}
