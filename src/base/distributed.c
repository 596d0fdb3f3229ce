/*-------------------------------------------------------------------------
 *
 * distributed.c
 *	  Tables whose rows Citus keeps elsewhere.
 *
 * What Citus distributes, replicates to all nodes or merely manages is a shell
 * here: its rows are in shards, tables of other names and mostly of other
 * servers.  Triggers of the shell don't fire for them, and its topics would
 * be silent for ever.  So who asks for such a table is told.
 *
 * Citus lists them in pg_catalog.pg_dist_partition, where nobody else can have
 * made a table; one of that name in another schema means nothing.  It also
 * invalidates the relcache entry of a table that it distributes, so what is
 * kept of tables and topics may be made from the answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "base/distributed.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define LIST_OF_TABLES	"pg_dist_partition"
#define COLUMN_TABLE	"logicalrelid"

/* The column that names a table, if this is Citus' list; 0: it is not. */
static AttrNumber
table_column(Relation list)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(list), COLUMN_TABLE);

	if (list->rd_rel->relkind != RELKIND_RELATION || attnum <= 0 ||
		TupleDescAttr(RelationGetDescr(list), attnum - 1)->atttypid !=
		REGCLASSOID)
		return 0;
	return attnum;
}

/* Is a table in Citus' list?  See distributed.h. */
bool
chatroom_is_distributed(Oid relid)
{
	Oid			listid = get_relname_relid(LIST_OF_TABLES,
										   PG_CATALOG_NAMESPACE);
	Relation	list = OidIsValid(listid) ?
		try_relation_open(listid, AccessShareLock) : NULL;
	AttrNumber	attnum;
	bool		found = false;

	if (list == NULL)
		return false;
	attnum = table_column(list);
	if (attnum != 0)
	{
		ScanKeyData key;
		SysScanDesc scan;

		/* without an index: there are as many as the database has tables */
		ScanKeyInit(&key, attnum, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(relid));
		scan = systable_beginscan(list, InvalidOid, false, NULL, 1, &key);
		found = HeapTupleIsValid(systable_getnext(scan));
		systable_endscan(scan);
	}
	relation_close(list, AccessShareLock);
	return found;
}

/* Raise that a table is one of those. */
void
chatroom_no_distributed(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("table \"%s\" is distributed", get_rel_name(relid)),
			 errdetail("Citus keeps its rows in other tables, whose changes "
					   "are not seen here."),
			 errhint("Use a table that Citus does not manage; "
					 "undistribute_table() makes it one again.")));
}

/* Raise that, if a table is. */
void
chatroom_refuse_distributed(Oid relid)
{
	if (chatroom_is_distributed(relid))
		chatroom_no_distributed(relid);
}
