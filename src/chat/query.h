/*-------------------------------------------------------------------------
 *
 * query.h
 *	  Statements about the tables of a prefix, and their rows as JSON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_QUERY_H
#define CHATROOM_QUERY_H

#include "postgres.h"

#include "base/rooms.h"
#include "base/table.h"
#include "executor/spi.h"

#define CHAT_MAX_ARGS	8

/*
 * A statement.  In its text %s stands for the prefix' schema, quoted, and %c
 * for the columns of the table that the rows are of, as far as the caller may
 * select them.  All else must be spelled such that search_path has no say:
 * OPERATOR(pg_catalog.=).
 */
typedef struct ChatStatement
{
	const char *sql;
	int			nargs;
	Oid			types[CHAT_MAX_ARGS];
} ChatStatement;

/* How to run it. */
#define CHAT_READ_ONLY	0x01	/* with the active snapshot; else a new one */
#define CHAT_AS_OWNER	0x02	/* of the tables; no row-level security */
#define CHAT_CASCADES	0x04	/* foreign keys go on with it as the owner */

/* The rows that came back; gone with SPI_finish(). */
typedef struct ChatRows
{
	TableInfo  *table;
	const Bitmapset *columns;	/* of the table, first in each row */
	int			ncolumns;
	uint64		n;
	SPITupleTable *tuples;
} ChatRows;

/*
 * Run a statement; SPI is connected.  relid: the table whose rows come back.
 * nulls is as SPI has it, or NULL: none.  The plan is kept, and made anew when
 * the table or its schema changes.
 */
extern void chatroom_query(const ChatTables *tables, Oid relid,
						   const ChatStatement *statement, Datum *values,
						   const char *nulls, int flags, ChatRows *rows);

/* A row's value behind those of %c: 0 is the first. */
extern Datum chatroom_row_extra(const ChatRows *rows, uint64 i, int extra,
								bool *isnull);

/* A row as events show it, allocated for the caller of SPI_connect(). */
extern Jsonb *chatroom_row_jsonb(const ChatRows *rows, uint64 i);

/* A list of all rows, the same. */
extern Jsonb *chatroom_rows_jsonb(const ChatRows *rows);

/* Append a row as JSON object. */
extern void chatroom_append_row(StringInfo buf, const ChatRows *rows,
								uint64 i);

/*
 * Append rows as a JSON array: n of them from the first on; or, reversed, the
 * nth first.
 */
extern void chatroom_append_rows(StringInfo buf, const ChatRows *rows,
								 uint64 n, bool reversed);

#endif							/* CHATROOM_QUERY_H */
