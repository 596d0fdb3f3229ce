/*-------------------------------------------------------------------------
 *
 * tree.h
 *	  The triggers that watches need on all relations of a tree.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_TREE_H
#define CHATROOM_TREE_H

#include "postgres.h"

/* Are we changing triggers ourselves?  Our event triggers then do nothing. */
extern bool chatroom_changing_triggers;

/*
 * Run DDL that was made here: with a safe search_path, as the owner of the
 * relation or, without one, as the caller.
 */
extern void chatroom_run_ddl(const char *sql, Oid as_owner_of);

/* A trigger's name: of a label, and for what. */
extern char *chatroom_trigger_name(const char *label, const char *suffix);

/* schema.table, quoted for SQL. */
extern char *chatroom_quote_relation(Oid relid);

/*
 * Create and drop what the watches of a relation, and of those above, need on
 * it and on all below it: TRUNCATE triggers, and those of inheritance
 * children.
 */
extern void chatroom_settle_tree(Oid relid);

/* Disable the holders again that an ENABLE TRIGGER USER or ALL enabled. */
extern void chatroom_disable_holders(Oid relid);

#endif							/* CHATROOM_TREE_H */
