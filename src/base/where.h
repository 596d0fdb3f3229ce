/*-------------------------------------------------------------------------
 *
 * where.h
 *	  Conditions and orders given as JSON, as SQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_WHERE_H
#define CHATROOM_WHERE_H

#include "postgres.h"

#include "base/table.h"

/* The parameters of a query that is put together. */
typedef struct QueryArgs
{
	int			n;
	int			allocated;
	Oid		   *types;
	Datum	   *values;
	char	   *nulls;			/* ' ' or 'n', as SPI has it */
} QueryArgs;

/* Add a parameter; its number, from 1 on. */
extern int	chatroom_add_arg(QueryArgs *args, Oid type, Datum value,
							 bool isnull);

/*
 * Append the condition that an object is, all of whose members hold: column:
 * value, null, a list of values, or an object of comparisons.
 */
extern void chatroom_append_where(StringInfo sql, TableInfo *table,
								  const char *alias, Jsonb *where,
								  QueryArgs *args, const char *what);

/*
 * Append ORDER BY what a list (or NULL) tells: names of columns, or objects
 * like {"desc": name}; and then by key.
 */
extern void chatroom_append_order(StringInfo sql, TableInfo *table,
								  const char *alias, Jsonb *order,
								  const char *what);

#endif							/* CHATROOM_WHERE_H */
