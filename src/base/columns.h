/*-------------------------------------------------------------------------
 *
 * columns.h
 *	  The columns that an expression reads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_COLUMNS_H
#define CHATROOM_COLUMNS_H

#include "postgres.h"

#include "nodes/bitmapset.h"
#include "nodes/nodes.h"

/*
 * The columns that an expression, or a list of them, reads of the relation
 * that its range table has at varno (0: there is but one); 0 is the whole row.
 * system, unless NULL: does it read system columns?
 */
extern Bitmapset *chatroom_expression_columns(Node *expr, int varno,
											  bool *system);

#endif							/* CHATROOM_COLUMNS_H */
