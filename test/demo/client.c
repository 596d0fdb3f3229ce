/*-------------------------------------------------------------------------
 *
 * client.c
 *	  Connections, followers and output of the demonstration.
 *
 * Connection settings come from the environment, as libpq reads it.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RECONNECT_SECONDS	60
#define POLL_MS				10

bool		print_is_terminal = false;

static bool colours = false;

/* Say what is wrong, and end it all. */
void
die(const char *format, ...)
{
	va_list		args;

	fflush(stdout);
	fprintf(stderr, "demo: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(1);
}

/* Microseconds of a clock that nobody sets. */
uint64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Sleep. */
void
sleep_ms(int ms)
{
	struct timespec left = {ms / 1000, (ms % 1000) * 1000000L};

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

/* What the server says besides is in its log. */
static void
ignore_notice(void *arg, const char *message)
{
	(void) arg;
	(void) message;
}

/* Connect; wait for a server that is just starting. */
PGconn *
connect_db(void)
{
	uint64_t	give_up = now_us() + RECONNECT_SECONDS * UINT64_C(1000000);

	for (;;)
	{
		PGconn	   *conn = PQconnectdb("");

		if (PQstatus(conn) == CONNECTION_OK)
		{
			PQsetNoticeProcessor(conn, ignore_notice, NULL);
			return conn;
		}
		if (now_us() > give_up)
			die("could not connect: %s", PQerrorMessage(conn));
		PQfinish(conn);
		sleep_ms(10);
	}
}

/* Did this fail because the server went away? */
bool
connection_lost(PGconn *conn, PGresult *result)
{
	const char *code;

	if (PQstatus(conn) != CONNECTION_OK)
		return true;
	code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	return code == NULL || strncmp(code, "57P", 3) == 0;
}

/* Run a statement; NULL if the connection was lost. */
PGresult *
query(PGconn *conn, const char *sql, int nparams, const char *const *params)
{
	PGresult   *result = PQexecParams(conn, sql, nparams, NULL, params, NULL,
									  NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return result;
	if (!connection_lost(conn, result))
		die("%s\n%s", PQerrorMessage(conn), sql);
	PQclear(result);
	return NULL;
}

/* Run a statement that answers one value, copied; NULL as query(). */
char *
query_text(PGconn *conn, const char *sql, int nparams,
		   const char *const *params)
{
	PGresult   *result = query(conn, sql, nparams, params);
	char	   *text;

	if (result == NULL)
		return NULL;
	if (PQntuples(result) != 1 || PQnfields(result) < 1)
		die("expected one value from: %s", sql);
	text = strdup(PQgetvalue(result, 0, 0));
	PQclear(result);
	return text;
}

/* The text form of a text[]. */
char *
text_array(int n, char *const *texts)
{
	size_t		size = 3;
	char	   *array;
	char	   *end;

	for (int i = 0; i < n; i++)
		size += 2 * strlen(texts[i]) + 3;
	end = array = malloc(size);
	*end++ = '{';
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			*end++ = ',';
		*end++ = '"';
		for (const char *c = texts[i]; *c; c++)
		{
			if (*c == '"' || *c == '\\')
				*end++ = '\\';
			*end++ = *c;
		}
		*end++ = '"';
	}
	*end++ = '}';
	*end = '\0';
	return array;
}

/* ------------------------------------------------------------- followers */

/* Keep a new cursor. */
static void
set_cursor(Follower *follower, const char *cursor)
{
	if (cursor == NULL)
		die("%s: an answer without cursor", follower->name);
	free(follower->cursor);
	follower->cursor = strdup(cursor);
}

/* Have the doorbell rung for a topic; false if the connection was lost. */
static bool
listen_to(PGconn *conn, const char *topic)
{
	char	   *cursor = query_text(conn, "SELECT chatroom.listen($1)", 1,
									&topic);
	bool		done = cursor != NULL;

	free(cursor);
	return done;
}

/*
 * Connect, take a first cursor if there is none yet, and listen where that is
 * the way.
 */
static PGconn *
follower_connect(Follower *follower)
{
	for (;;)
	{
		PGconn	   *conn = connect_db();
		char	   *cursor = NULL;
		bool		lost = false;

		/*
		 * Not the cursor of sync(topic, NULL) or listen(): what has committed
		 * a moment ago, as that the tables are watched, may come after that.
		 */
		if (follower->cursor == NULL)
		{
			cursor = query_text(conn, "SELECT chatroom.snapshot_cursor()", 0,
								NULL);
			lost = cursor == NULL;
		}
		if (follower->way == BY_LISTEN)
			for (int i = 0; i < follower->ntopics && !lost; i++)
				lost = !listen_to(conn, follower->topics[i]);
		if (!lost)
		{
			if (follower->cursor == NULL)
				set_cursor(follower, cursor);
			free(cursor);
			return conn;
		}
		free(cursor);
		PQfinish(conn);
	}
}

/* Read everything anew: rows and cursor of one snapshot. */
static bool
reload(Follower *follower, PGconn *conn)
{
	PGresult   *result;
	char	   *cursor;

	result = query(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
				   0, NULL);
	if (result == NULL)
		return false;
	PQclear(result);
	cursor = query_text(conn, "SELECT chatroom.snapshot_cursor()", 0, NULL);
	if (cursor == NULL)
		return false;
	if (follower->on_reload)
		follower->on_reload(follower, conn);
	result = query(conn, "COMMIT", 0, NULL);
	if (result == NULL)
		return false;
	PQclear(result);
	set_cursor(follower, cursor);
	free(cursor);
	return true;
}

/*
 * Hand on what an answer holds.  Returns false if the connection was lost;
 * sets *more if there is more to be had at once.
 */
static bool
take_answer(Follower *follower, PGconn *conn, const char *text, bool *more)
{
	uint64_t	now = now_us();
	json_error_t error;
	json_t	   *answer = json_loads(text, 0, &error);
	json_t	   *event;
	size_t		i;

	if (answer == NULL)
		die("%s: answer is no JSON (%s): %.200s", follower->name, error.text,
			text);
	if (json_is_true(json_object_get(answer, "reset")))
	{
		json_decref(answer);
		atomic_fetch_add(&follower->resets, 1);
		*more = true;
		return reload(follower, conn);
	}
	json_array_foreach(json_object_get(answer, "events"), i, event)
	{
		follower->on_event(follower, event, now);
		atomic_fetch_add(&follower->events, 1);
	}
	*more = json_is_true(json_object_get(answer, "more"));
	set_cursor(follower,
			   json_string_value(json_object_get(answer, "cursor")));
	json_decref(answer);
	return true;
}

/* Sleep until the doorbell rings, or a while. */
static void
await_doorbell(PGconn *conn)
{
	struct pollfd fd = {PQsocket(conn), POLLIN, 0};
	PGnotify   *notify;
	bool		rung = false;

	while ((notify = PQnotifies(conn)) != NULL)
	{
		rung = true;
		PQfreemem(notify);
	}
	if (!rung)
	{
		poll(&fd, 1, 500);
		PQconsumeInput(conn);
		while ((notify = PQnotifies(conn)) != NULL)
			PQfreemem(notify);
	}
}

/* The thread of a follower. */
static void *
follow(void *arg)
{
	Follower   *follower = arg;
	char	   *topics = text_array(follower->ntopics, follower->topics);
	char		max_events[16];
	PGconn	   *conn = follower_connect(follower);

	snprintf(max_events, sizeof(max_events), "%d", follower->max_events);
	atomic_store(&follower->ready, true);
	while (!atomic_load(&follower->stop))
	{
		bool		many = follower->ntopics > 1 || follower->way == BY_WAIT;
		const char *params[] = {
			many ? topics : follower->topics[0], follower->cursor, max_events
		};
		const char *sql = follower->way == BY_WAIT ?
			"CALL chatroom.wait($1::text[], $2, '1s', $3::int)" :
			many ? "SELECT chatroom.sync_many($1::text[], $2, $3::int)" :
			"SELECT chatroom.sync($1, $2, $3::int)";
		char	   *answer = query_text(conn, sql, 3, params);
		bool		more = false;

		atomic_fetch_add(&follower->calls, 1);
		if (answer == NULL || !take_answer(follower, conn, answer, &more))
		{
			PQfinish(conn);
			conn = follower_connect(follower);
			atomic_fetch_add(&follower->reconnects, 1);
		}
		else if (follower->way == BY_SYNC && !more)
			sleep_ms(POLL_MS);
		else if (follower->way == BY_LISTEN && !more)
			await_doorbell(conn);
		free(answer);
	}
	PQfinish(conn);
	free(topics);
	return NULL;
}

/* Start following; returns when nothing later can be missed. */
void
follower_start(Follower *follower)
{
	if (follower->max_events == 0)
		follower->max_events = 1000;
	atomic_store(&follower->stop, false);
	atomic_store(&follower->ready, false);
	if (pthread_create(&follower->thread, NULL, follow, follower) != 0)
		die("could not start a thread");
	while (!atomic_load(&follower->ready))
		sleep_ms(1);
}

/* Stop following; the cursor is kept. */
void
follower_stop(Follower *follower)
{
	atomic_store(&follower->stop, true);
	pthread_join(follower->thread, NULL);
}

/* ---------------------------------------------------------------- output */

/* See what standard output is. */
void
print_init(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	print_is_terminal = isatty(STDOUT_FILENO) != 0;
	colours = print_is_terminal && getenv("NO_COLOR") == NULL;
}

const char *
bold(void)
{
	return colours ? "\033[1m" : "";
}

const char *
dim(void)
{
	return colours ? "\033[2m" : "";
}

const char *
green(void)
{
	return colours ? "\033[32m" : "";
}

const char *
red(void)
{
	return colours ? "\033[31m" : "";
}

const char *
plain(void)
{
	return colours ? "\033[0m" : "";
}

/* A time for people. */
const char *
duration(uint64_t us, char *buf, size_t size)
{
	if (us < 1000)
		snprintf(buf, size, "%d µs", (int) us);
	else if (us < 1000000)
		snprintf(buf, size, "%.1f ms", us / 1e3);
	else
		snprintf(buf, size, "%.2f s", us / 1e6);
	return buf;
}

/* How many columns UTF-8 text takes: what's beyond the BMP is mostly wide. */
static int
text_width(const char *text)
{
	int			width = 0;

	for (; *text; text++)
		width += ((*text & 0xC0) != 0x80) + ((*text & 0xF8) == 0xF0);
	return width;
}

/* Print text, then blanks up to width. */
void
print_padded(const char *text, int width)
{
	int			blanks = width - text_width(text);

	printf("%s%*s", text, blanks > 0 ? blanks : 0, "");
}

/* Print blanks up to width, then text. */
void
print_right(const char *text, int width)
{
	int			blanks = width - text_width(text);

	printf("%*s%s", blanks > 0 ? blanks : 0, "", text);
}

static int
compare_times(const void *a, const void *b)
{
	uint64_t	left = *(const uint64_t *) a;
	uint64_t	right = *(const uint64_t *) b;

	return (left > right) - (left < right);
}

/* A percentile of values, which it sorts; 0 of none. */
uint64_t
percentile(uint64_t *values, int n, int percent)
{
	if (n == 0)
		return 0;
	qsort(values, n, sizeof(*values), compare_times);
	return values[(int64_t) (n - 1) * percent / 100];
}
