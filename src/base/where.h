/*-------------------------------------------------------------------------
 *
 * where.h
 *	  Conditions and orders given as JSON.
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

/*
 * The same, read once.  A list that was ordered is in the order that the SQL
 * would put it in.
 */
typedef struct RowFilter RowFilter;
typedef struct RowOrder RowOrder;

/* A row that is JSON: members of an object, some of them replaced. */
typedef struct JsonRow
{
	JsonbContainer *image;		/* goes before the object; or NULL */
	JsonbContainer *object;		/* or NULL */
} JsonRow;

extern RowFilter *chatroom_make_filter(TableInfo *table, Jsonb *where,
									   const char *what);
extern void chatroom_append_filter(StringInfo sql, const RowFilter *filter,
								   const char *alias, QueryArgs *args);
extern RowOrder *chatroom_make_order(TableInfo *table, Jsonb *json,
									 const char *what);
extern void chatroom_append_sort(StringInfo sql, const RowOrder *order,
								 const char *alias);

/* A column's member of a row; false: it has none. */
extern bool chatroom_row_member(const JsonRow *row, const char *name, int len,
								JsonbValue *value);

/* Does a row meet a condition?  NULL: it does. */
extern bool chatroom_filter_matches(const RowFilter *filter,
									const JsonRow *row);

/* Which of two rows comes first?  Negative: a, positive: b. */
extern int	chatroom_compare_rows(RowOrder *order, const JsonRow *a,
								  const JsonRow *b);

/* Add the columns that a condition, or an order, is about. */
extern Bitmapset *chatroom_filter_columns(const RowFilter *filter,
										  Bitmapset *columns);
extern Bitmapset *chatroom_order_columns(const RowOrder *order,
										 Bitmapset *columns);

/* The values that a condition allows of a column; -1: not just these. */
extern int	chatroom_filter_values(const RowFilter *filter,
								   AttrNumber attnum, Datum **values);

#endif							/* CHATROOM_WHERE_H */
