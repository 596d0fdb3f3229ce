/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Queries for rows that have given values.
 *
 * They are run with the rights of who writes, row-level security included: a
 * rule must not tell anybody of rows that they could not see.  All names in
 * them, those of operators too, come from the catalog and are qualified, so
 * that they mean the same with any search_path.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/spi.h"
#include "base/table.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "write/rulecode.h"
#include "write/tree.h"

/* Free a plan: called when the memory that holds the look-up goes. */
static void
free_plan(void *arg)
{
	Lookup	   *lookup = arg;

	if (lookup->plan != NULL)
		SPI_freeplan(lookup->plan);
	lookup->plan = NULL;
}

/* Make a look-up of rows that meet a condition. */
Lookup *
chatroom_make_lookup_where(Oid relid, const char *where)
{
	Lookup	   *lookup = palloc0(sizeof(Lookup));
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	lookup->relid = relid;
	lookup->query = psprintf("SELECT 1 FROM %s t WHERE %s",
							 chatroom_quote_relation(relid), where);
	callback->func = free_plan;
	callback->arg = lookup;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return lookup;
}

/* Make a look-up of rows whose columns equal arguments. */
Lookup *
chatroom_make_lookup(Oid relid, int n, const AttrNumber *columns,
					 const Oid *argtypes, const Oid *operators)
{
	Lookup	   *lookup;
	StringInfoData where;

	initStringInfo(&where);
	for (int i = 0; i < n; i++)
		appendStringInfo(&where, "%st.%s %s $%d", i > 0 ? " AND " : "",
						 quote_identifier(get_attname(relid, columns[i],
													  false)),
						 chatroom_quote_operator(operators[i]), i + 1);
	lookup = chatroom_make_lookup_where(relid, where.data);
	lookup->nargs = n;
	for (int i = 0; i < n; i++)
	{
		lookup->columns = lappend_int(lookup->columns, columns[i]);
		lookup->argtypes[i] = argtypes[i];
	}
	return lookup;
}

/* Make a look-up of the row that a foreign key refers to. */
Lookup *
chatroom_make_key_lookup(const ForeignKey *key)
{
	Oid			argtypes[INDEX_MAX_KEYS];
	Lookup	   *lookup;

	for (int i = 0; i < key->n; i++)
		argtypes[i] = getBaseType(get_atttype(key->referencing,
											  key->columns[i]));
	lookup = chatroom_make_lookup(key->referenced, key->n, key->keys,
								  argtypes, key->operators);
	lookup->single = true;
	return lookup;
}

/* May the user look there? */
bool
chatroom_may_look_up(const Lookup *lookup)
{
	Oid			user = GetUserId();
	ListCell   *lc;

	if (!ChatroomSchemaUsable(get_rel_namespace(lookup->relid), user))
		return false;
	if (pg_class_aclcheck(lookup->relid, user, ACL_SELECT) == ACLCHECK_OK)
		return true;
	foreach(lc, lookup->columns)
		if (pg_attribute_aclcheck(lookup->relid, lfirst_int(lc), user,
								  ACL_SELECT) != ACLCHECK_OK)
			return false;
	return true;
}

/* Is there such a row? */
bool
chatroom_look_up(Lookup *lookup, const Datum *values, const char *nulls)
{
	bool		found;
	int			result;

	chatroom_spi_connect();
	if (lookup->plan == NULL)
	{
		/* the planner is to know that one of many is enough */
		const char *query = lookup->single ? lookup->query :
			psprintf("%s LIMIT 1", lookup->query);
		SPIPlanPtr	plan = SPI_prepare(query, lookup->nargs,
									   lookup->argtypes);

		if (plan == NULL)
			elog(ERROR, "could not prepare: %s", query);
		SPI_keepplan(plan);
		lookup->plan = plan;
	}
	result = SPI_execute_plan(lookup->plan, (Datum *) values, nulls, false, 1);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not execute: %s", lookup->query);
	found = SPI_processed > 0;
	chatroom_spi_finish();
	return found;
}
