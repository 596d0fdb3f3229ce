/*-------------------------------------------------------------------------
 *
 * status.c
 *	  chatroom status: the view of that name, for people.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NAME_WIDTH		14

/* This database first. */
#define QUERY \
	"SELECT json_build_object('rows'," \
	"  coalesce(json_agg(s ORDER BY s.database <> current_database()," \
	"                    s.database), '[]')," \
	"  'server', current_setting('server_version')," \
	"  'database', current_database()," \
	"  'extension', (SELECT extversion FROM pg_catalog.pg_extension" \
	"                WHERE extname = 'chatroom')," \
	"  'last_event', (SELECT extract(epoch FROM pg_catalog.clock_timestamp()" \
	"                                           - last_event_at)::bigint" \
	"                 FROM chatroom.status" \
	"                 WHERE database = pg_catalog.current_database()))" \
	" FROM chatroom.status AS s"

/* Run a statement, waiting for its end. */
static PGresult *
run(Link *link, const char *sql)
{
	link_query(link, sql, 0, NULL, PATIENCE_MS);
	for (;;)
	{
		struct pollfd fd;
		int			timeout = link_poll(link, &fd);
		PGresult   *result;

		if (poll(&fd, 1, timeout) < 0 && errno != EINTR)
			die("could not poll: %s", strerror(errno));
		switch (link_advance(link, &result))
		{
			case LINK_RESULT:
				return result;
			case LINK_LOST:
				die("%s", link_error(link));
			default:
				break;
		}
	}
}

static void line(const char *name, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A line: a name, and what there is to say. */
static void
line(const char *name, const char *format, ...)
{
	va_list		args;
	char	   *text;
	char	   *escaped;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		need(NULL);
	va_end(args);
	escaped = escape_text(text, false);
	printf("%-*s%s\n", NAME_WIDTH, name, escaped);
	free(escaped);
	free(text);
}

/* A column's text, "-" for null.  Never freed: there are few. */
static const char *
get(Json row, const char *column)
{
	char	   *text = json_text(json_get(row, column));

	return text ? text : "-";
}

/* A column of bytes, for people. */
static const char *
get_bytes(Json row, const char *column)
{
	static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
	char	   *text = json_text(json_get(row, column));
	double		bytes;
	int			unit = 0;

	if (text == NULL)
		return "-";
	bytes = strtod(text, NULL);
	while (bytes >= 10240 && unit < 4)
	{
		bytes /= 1024;
		unit++;
	}
	return format_text("%.0f %s", bytes, units[unit]);
}

/* A while, for people. */
static const char *
get_ago(Json row, const char *column)
{
	char	   *text = json_text(json_get(row, column));
	long		s;

	if (text == NULL)
		return "";
	s = strtol(text, NULL, 10);
	if (s < 120)
		return format_text(", the last %ld s ago", s);
	if (s < 7200)
		return format_text(", the last %ld min ago", s / 60);
	if (s < 172800)
		return format_text(", the last %ld h ago", s / 3600);
	return format_text(", the last %ld days ago", s / 86400);
}

/* What concerns the whole server. */
static void
print_worker(Json answer, Json row)
{
	bool		standby = json_true(json_get(row, "standby"));

	line("server", "PostgreSQL %s, %s, timeline %s", get(answer, "server"),
		 standby ? "standby" : "primary", get(row, "timeline"));
	line("extension", "chatroom %s, %s", get(answer, "extension"),
		 json_true(json_get(row, "preloaded")) ?
		 "preloaded" : "not preloaded");
	if (json_null(json_get(row, "tailer_pid")))
		line("worker", "%s", get(row, "state"));
	else
		line("worker", "%s, process %s, started %s time(s)",
			 get(row, "state"), get(row, "tailer_pid"),
			 get(row, "tailer_starts"));
	line("  WAL", "read up to %s, %s behind, kept from %s on",
		 get(row, "read_lsn"), get_bytes(row, "lag_bytes"),
		 get(row, "restart_lsn"));
	line("  messages", "%s read, %s forged, %s torn",
		 get(row, "messages_read"), get(row, "messages_forged"),
		 get(row, "messages_torn"));
	line("  memory", "%s for open transactions, %s transaction(s) read again",
		 get_bytes(row, "assembly_bytes"), get(row, "transactions_reread"));
}

/* The resets, by reason. */
static void
print_resets(Json resets)
{
	Json		reason;
	Json		count = {NULL, 0};
	char	   *all = copy_text("");

	while (json_next_member(resets, &reason, &count))
	{
		char	   *name = json_text(reason);
		char	   *more = format_text("%s%s%s %.*s", all, *all ? ", " : "",
									   name, (int) count.len, count.text);

		free(all);
		free(name);
		all = more;
	}
	line("  resets", "%s", *all ? all : "none");
	free(all);
}

/* What concerns one database. */
static void
print_database(Json row, const char *ago)
{
	printf("\n");
	line("database", "%s", get(row, "database"));
	if (!json_null(json_get(row, "problem")))
		line("  cache", "none: %s", get(row, "problem"));
	else
		line("  cache", "%s of %s used, %s event(s)%s",
			 get_bytes(row, "cache_used_bytes"),
			 get_bytes(row, "cache_bytes"), get(row, "events_kept"), ago);
	if (json_true(json_get(row, "held")))
		line("  held", "a commit that others can't see yet");
	line("  published", "%s event(s) in %s transaction(s), %s",
		 get(row, "events"), get(row, "transactions"),
		 get_bytes(row, "event_bytes"));
	line("  lost", "%s overwritten, %s oversize, %s large transaction(s)",
		 get(row, "overwritten"), get(row, "oversize"),
		 get(row, "large_transactions"));
	line("  reading", "%s look(s), %s with news; %s wait(s), %s waiting now",
		 get(row, "syncs"), get(row, "syncs_with_news"), get(row, "waits"),
		 get(row, "waiting"));
	line("  presence", "%s of %s, %s refused", get(row, "present"),
		 get(row, "presence_limit"), get(row, "presence_refused"));
	line("  listening", "%s topic(s), %s notification(s) in %s"
		 " transaction(s)", get(row, "interested"), get(row, "notifies"),
		 get(row, "notify_batches"));
	print_resets(json_get(row, "resets"));
	line("  since", "%s", get(row, "stats_reset"));
}

/* Print the state; the exit status says whether the worker runs. */
int
show_status(const Options *options)
{
	Link	   *link = link_open(NULL);
	PGresult   *result;
	Json		answer;
	Json		rows;
	Json		row = {NULL, 0};
	bool		running;

	link_start(link);
	result = run(link, QUERY);
	if (strcmp(result_state(result), "42P01") == 0 ||
		strcmp(result_state(result), "3F000") == 0)
		die("the extension is not in database \"%s\":"
			" CREATE EXTENSION chatroom", PQdb(link_conn(link)));
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		die("%s", result_error(result));
	answer = json_value(PQgetvalue(result, 0, 0));
	rows = json_get(answer, "rows");
	if (!json_next(rows, &row))
		die("the server says nothing of its state");
	running = json_is(json_get(row, "state"), "running");
	if (options->json)
	{
		/* a line for each database */
		do
		{
			json_print(row, stdout);
		} while (json_next(rows, &row));
	}
	else
	{
		const char *ago = get_ago(answer, "last_event");

		print_worker(answer, row);
		do
		{
			print_database(row, ago);
			ago = "";
		} while (json_next(rows, &row));
	}
	PQclear(result);
	link_close(link);
	if (fflush(stdout) != 0)
		die("could not write: %s", strerror(errno));
	return running ? EXIT_GOOD : EXIT_REFUSED;
}
