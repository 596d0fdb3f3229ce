/*-------------------------------------------------------------------------
 *
 * bench.h
 *	  What the benchmark's two programs have in common.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BENCH_H
#define BENCH_H

#include "../demo/client.h"

#include <string.h>

#define SECOND			UINT64_C(1000000)

/* Run a statement that must work, and throw its result away. */
static inline void
run(PGconn *conn, const char *sql)
{
	PGresult   *result = query(conn, sql, 0, NULL);

	if (result == NULL)
		die("connection lost: %s", sql);
	PQclear(result);
}

/* Prepare a statement. */
static inline void
prepare(PGconn *conn, const char *name, const char *sql)
{
	PGresult   *result = PQprepare(conn, name, sql, 0, NULL);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("%s\n%s", PQerrorMessage(conn), sql);
	PQclear(result);
}

/* Send an execution of a prepared statement. */
static inline void
send_prepared(PGconn *conn, const char *name, int n, const char *const *params)
{
	if (!PQsendQueryPrepared(conn, name, n, params, NULL, NULL, 0))
		die("%s", PQerrorMessage(conn));
}

/*
 * Read an answer of chatroom's: its cursor, to be freed, and how many events
 * it has.  Looks at the text alone: an answer begins with its cursor, as does
 * each event in it.
 */
static inline char *
read_answer(const char *answer, int *events)
{
	static const char start[] = "{\"cursor\":\"";
	const char *cursor = answer + strlen(start);
	const char *end;
	char	   *copy;

	if (strncmp(answer, start, strlen(start)) != 0 ||
		(end = strchr(cursor, '"')) == NULL)
		die("unexpected answer: %.100s", answer);
	if (strstr(end, "\"reset\":true") == end + 2)
		die("an answer tells of a reset: %.100s", answer);
	copy = strndup(cursor, end - cursor);
	*events = 0;
	while ((end = strstr(end, start)) != NULL)
	{
		(*events)++;
		end++;
	}
	return copy;
}

#endif							/* BENCH_H */
