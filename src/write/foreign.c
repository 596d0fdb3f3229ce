/*-------------------------------------------------------------------------
 *
 * foreign.c
 *	  Foreign keys, as far as rows are checked against them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/compat.h"
#include "catalog/pg_constraint.h"
#include "nodes/parsenodes.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "write/rulecode.h"

/* What matters of one; NULL where it is not to be looked at. */
static ForeignKey *
read_key(const ForeignKeyCacheInfo *info)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(info->conoid));
	Form_pg_constraint form;
	ForeignKey *key = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (!ChatroomTemporalKey(form) && ChatroomKeyEnforced(form))
	{
		key = palloc0(sizeof(ForeignKey));
		key->oid = info->conoid;
		key->name = pstrdup(NameStr(form->conname));
		key->referencing = info->conrelid;
		key->referenced = info->confrelid;
		key->n = info->nkeys;
		memcpy(key->columns, info->conkey, sizeof(key->columns));
		memcpy(key->keys, info->confkey, sizeof(key->keys));
		memcpy(key->operators, info->conpfeqop, sizeof(key->operators));
		key->match = form->confmatchtype;
		key->deferred = form->condeferred;
		key->restricts = form->confdeltype == FKCONSTR_ACTION_RESTRICT;
		key->enforced = form->confdeltype == FKCONSTR_ACTION_NOACTION ||
			form->confdeltype == FKCONSTR_ACTION_RESTRICT;
	}
	ReleaseSysCache(tuple);
	return key;
}

/* The foreign keys of a table. */
List *
chatroom_foreign_keys(Relation relation)
{
	List	   *infos = copyObject(RelationGetFKeyList(relation));
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, infos)
	{
		ForeignKey *key = read_key(lfirst(lc));

		if (key != NULL)
			keys = lappend(keys, key);
	}
	return keys;
}

/* The foreign key of just these columns. */
ForeignKey *
chatroom_foreign_key(Relation relation, int n, const AttrNumber *columns)
{
	ListCell   *lc;

	foreach(lc, chatroom_foreign_keys(relation))
	{
		ForeignKey *key = lfirst(lc);
		int			same = 0;

		for (int i = 0; i < key->n; i++)
			for (int j = 0; j < n; j++)
				if (key->columns[i] == columns[j])
					same++;
		if (key->n == n && same == n)
			return key;
	}
	return NULL;
}
