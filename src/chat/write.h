/*-------------------------------------------------------------------------
 *
 * write.h
 *	  Statements that must have written what they were to write.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_WRITE_H
#define CHATROOM_WRITE_H

#include "postgres.h"

#include "chat/query.h"

/* Tries at what somebody else may undo each time. */
#define CHAT_MAX_TRIES	10

/*
 * Run a statement that writes one row.  "look" finds that row, by the first of
 * the same parameters; NULL for one that is to be new.  If the statement
 * returns rows, the value behind %c tells whether the row has the key that it
 * was to have.
 *
 * False: there is no such row.  It is an error where there is one that the
 * transaction's snapshot doesn't show (40001), or where the row wasn't written
 * (09000), or was by another key (27000).
 */
extern bool chatroom_write_row(const ChatTables *tables, Oid relid,
							   const ChatStatement *statement,
							   const ChatStatement *look, Datum *values,
							   const char *nulls, int flags, ChatRows *rows);

/*
 * Run a statement after which "left" must find nothing, by the same
 * parameters; errors are the same.
 */
extern void chatroom_write_all(const ChatTables *tables, Oid relid,
							   const ChatStatement *statement,
							   const ChatStatement *left, Datum *values,
							   int flags);

/*
 * Read as of now, whatever the transaction's snapshot shows.  False: there is
 * nothing.
 */
extern bool chatroom_read_now(const ChatTables *tables, Oid relid,
							  const ChatStatement *statement, Datum *values,
							  int flags, ChatRows *rows);

/* Raise that a table's row was not written: 09000. */
extern void chatroom_not_written(Oid relid);

/* Raise that it was written by another key: 27000. */
extern void chatroom_written_as_another(Oid relid);

#endif							/* CHATROOM_WRITE_H */
