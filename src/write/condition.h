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

#include "nodes/nodes.h"

/*
 * Read a condition over a relation's columns; returns it as it must be written
 * in a WHEN, over "new".  The relation is locked by the caller.  It is read
 * with the caller's search_path.
 */
extern Node *chatroom_parse_condition(Oid relid, const char *text);

/*
 * Write a condition over varno: with the prefix "new." for a WHEN, or as the
 * user would.  Names are qualified as search_path demands.
 */
extern char *chatroom_condition_text(Oid relid, Node *condition, int varno,
									 bool for_when);

#endif							/* CHATROOM_CONDITION_H */
