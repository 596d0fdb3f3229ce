/*-------------------------------------------------------------------------
 *
 * load.h
 *	  Loading the rows of an association.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_LOAD_H
#define CHATROOM_LOAD_H

#include "postgres.h"

#include "base/assoc.h"
#include "base/table.h"
#include "base/where.h"

/* The associated rows of one row, in their order. */
typedef struct LoadedRows
{
	int			n;
	TableRow  **rows;
} LoadedRows;

/* Rows of a table, each once: those without a key are never the same. */
typedef struct RowSet
{
	const TableInfo *table;
	struct rows_hash *rows;		/* NULL: none yet */
} RowSet;

/* Put a row into a set; false: it was there. */
extern bool chatroom_take_row(RowSet *set, TableRow *row);

/* The columns whose values tell what a row is associated with. */
extern const AttrNumber *chatroom_parent_columns(const Assoc *assoc);

/*
 * Load what some rows are associated with, in one query; not for THROUGH.
 * "columns" are those wanted of the associated table.  One answer for each of
 * the rows, some of them shared where rows belong to the same.
 */
extern LoadedRows **chatroom_load(TableInfo *from, const Assoc *assoc,
								  TableInfo *to, const Bitmapset *columns,
								  int nparents, TableRow **parents,
								  bool read_only);

/* Read columns of a row that is JSON; settings must be pinned. */
extern TableRow *chatroom_read_columns(const TableInfo *table,
									   const JsonRow *json,
									   const Bitmapset *columns);

#endif							/* CHATROOM_LOAD_H */
