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
