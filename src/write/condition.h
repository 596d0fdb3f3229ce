/*-------------------------------------------------------------------------
 *
 * condition.h
 *	  Conditions of watches as SQL text.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_CONDITION_H
#define CHATROOM_CONDITION_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "nodes/nodes.h"

/*
 * An expression over a row, compiled when it is first evaluated.  Whoever has
 * one fills "expr" in, and zeroes the rest.
 */
typedef struct RowCondition
{
	Expr	   *expr;			/* Vars are of the row, whatever varno */
	MemoryContext memory;		/* holds what is compiled */
	ExprState  *state;			/* NULL: not compiled yet */
	ExprContext *context;
	Oid			userid;			/* compiled with this user's rights */
	bool		busy;			/* being evaluated */
} RowCondition;

/*
 * Evaluate an expression for a row, with the current user's rights; the result
 * is good while the current memory context is, and until the next evaluation.
 * What is compiled is kept in a context under "keep".
 */
extern Datum chatroom_evaluate(RowCondition *condition, MemoryContext keep,
							   TupleTableSlot *slot, bool *isnull);

/*
 * Read a condition over a relation's columns; returns it as it must be written
 * in a WHEN, over "new".  The relation is locked by the caller.  It is read
 * with the caller's search_path.  Errors call it "what".
 */
extern Node *chatroom_parse_condition(Oid relid, const char *text,
									  const char *what);

/*
 * Write a condition over varno: with the prefix "new." for a WHEN, or as the
 * user would.  Names are qualified as search_path demands.
 */
extern char *chatroom_condition_text(Oid relid, Node *condition, int varno,
									 bool for_when);

#endif							/* CHATROOM_CONDITION_H */
