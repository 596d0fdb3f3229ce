/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  Connections that come back by themselves.
 *
 * A link is a connection that is tried again, with growing pauses, whenever it
 * is lost; nothing here waits, but the first attempt.  Its owner polls for
 * what link_poll() asks, then calls link_advance() until that has no news.
 *
 * Looking up a host's name blocks, and libpq goes on to a connection string's
 * next host by itself, on a timeout, too, only while PQconnectdbParams()
 * blocks.  So connecting is done by a thread.  It hands the connection over
 * through a pipe and ends; while it runs the link is the thread's, and what it
 * reads of ours, the parameters, doesn't change any more.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define MAX_PARAMS		20
#define FIRST_PAUSE_MS	100
#define LONGEST_PAUSE_MS 5000

struct Link
{
	const char *attrs;			/* target_session_attrs to try first */
	enum
	{
		DOWN,					/* until retry_at */
		CONNECTING,				/* a thread is at it */
		UP
	}			state;
	PGconn	   *conn;			/* when UP */
	char	   *error;			/* why it is not */
	int64_t		retry_at;		/* when to connect, as of now_ms() */
	int64_t		pause;			/* ms; how long after the next failure */
	int			pipe[2];		/* the thread writes its PGconn pointer */
	int64_t		rest;			/* ms; the last rest, 0: none */
	int64_t		rest_until;		/* no statement before, as of now_ms() */
	bool		busy;			/* a statement runs */
	int64_t		deadline;		/* until then it should have ended */
	PGresult   *result;			/* what has come of its result */
};

/* Parameters of all connections. */
static int	nparams;
static const char *keywords[MAX_PARAMS];
static const char *values[MAX_PARAMS];
static int	password_wish;

/* Of the first connection: */
static char *user_name;
static bool has_hosts;
static bool has_attrs;

static void
add_param(const char *keyword, const char *value)
{
	if (value == NULL)
		return;
	keywords[nparams] = keyword;
	values[nparams++] = value;
}

/* A default of ours, where the environment says nothing. */
static void
add_default(const char *keyword, const char *value, const char *variable)
{
	if (variable == NULL || getenv(variable) == NULL)
		add_param(keyword, value);
}

/* Ask for a password at the terminal. */
static char *
ask_password(void)
{
	FILE	   *terminal = fopen("/dev/tty", "r+");
	struct termios before;
	struct termios silent;
	char	   *line = NULL;
	size_t		size = 0;
	ssize_t		len;

	if (terminal == NULL)
		die("there is no terminal to ask for the password");
	tcgetattr(fileno(terminal), &before);
	silent = before;
	silent.c_lflag &= ~ECHO;
	tcsetattr(fileno(terminal), TCSAFLUSH, &silent);
	fputs("Password: ", terminal);
	fflush(terminal);
	len = getline(&line, &size, terminal);
	tcsetattr(fileno(terminal), TCSAFLUSH, &before);
	fputs("\n", terminal);
	fclose(terminal);
	if (len < 0)
		die("no password");
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/*
 * Take the options.  What comes later in the list counts; what a connection
 * string says counts from its own place on.
 */
void
link_options(const Options *options)
{
	/* a host that is gone should be noticed before a minute is over */
	add_default("connect_timeout", "5", "PGCONNECT_TIMEOUT");
	add_default("keepalives_idle", "10", NULL);
	add_default("keepalives_interval", "5", NULL);
	add_default("keepalives_count", "3", NULL);
	add_default("tcp_user_timeout", "20000", NULL);
	add_param("fallback_application_name", "chatroom");
	add_param("dbname", options->dbname);
	add_param("host", options->host);
	add_param("port", options->port);
	add_param("user", options->user);
	add_param("client_encoding", "UTF8");
	password_wish = options->password;
	if (password_wish > 0)
		add_param("password", ask_password());
}

static void
ignore_notice(void *arg, const char *message)
{
	(void) arg;
	(void) message;
}

/* Connect; waits. */
static PGconn *
connect_now(const char *attrs)
{
	const char *all_keywords[MAX_PARAMS + 2];
	const char *all_values[MAX_PARAMS + 2];
	int			n = 0;
	PGconn	   *conn;

	if (attrs)
	{
		all_keywords[n] = "target_session_attrs";
		all_values[n++] = attrs;
	}
	for (int i = 0; i < nparams; i++)
	{
		all_keywords[n] = keywords[i];
		all_values[n++] = values[i];
	}
	all_keywords[n] = NULL;
	all_values[n] = NULL;
	conn = need(PQconnectdbParams(all_keywords, all_values, 1));
	PQsetNoticeProcessor(conn, ignore_notice, NULL);
	return conn;
}

/* What a connection says of its trouble.  malloc'd. */
static char *
conn_error(const PGconn *conn)
{
	char	   *error = copy_text(PQerrorMessage(conn));
	size_t		len = strlen(error);

	while (len > 0 && error[len - 1] == '\n')
		error[--len] = '\0';
	return error;
}

/* Remember what the first connection tells of the parameters. */
static void
note_params(PGconn *conn)
{
	PQconninfoOption *all = need(PQconninfo(conn));

	for (PQconninfoOption *option = all; option->keyword; option++)
	{
		if (option->val == NULL)
			continue;
		if (strcmp(option->keyword, "host") == 0 ||
			strcmp(option->keyword, "hostaddr") == 0)
			has_hosts |= strchr(option->val, ',') != NULL;
		if (strcmp(option->keyword, "target_session_attrs") == 0)
			has_attrs = strcmp(option->val, "any") != 0;
	}
	PQconninfoFree(all);
	user_name = copy_text(PQuser(conn));
}

/* Whom the server takes us for. */
const char *
link_user(void)
{
	return user_name;
}

/* Are there several hosts to choose among? */
bool
link_has_hosts(void)
{
	return has_hosts;
}

/* A link that isn't connected yet. */
Link *
link_open(const char *attrs)
{
	Link	   *link = need(calloc(1, sizeof(Link)));

	link->attrs = attrs;
	link->pause = FIRST_PAUSE_MS;
	link->retry_at = now_ms();
	if (pipe(link->pipe) != 0)
		die("could not create a pipe: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
		fcntl(link->pipe[i], F_SETFD, FD_CLOEXEC);
	return link;
}

/* A connection is there. */
static void
link_take(Link *link, PGconn *conn)
{
	link->conn = conn;
	link->state = UP;
	link->busy = false;
	PQsetnonblocking(conn, 1);
	free(link->error);
	link->error = NULL;
}

/* Connect for the first time, waiting; what can't be is fatal. */
void
link_start(Link *link)
{
	PGconn	   *conn = connect_now(NULL);

	if (PQstatus(conn) != CONNECTION_OK && password_wish == 0 &&
		PQconnectionNeedsPassword(conn))
	{
		add_param("password", ask_password());
		PQfinish(conn);
		conn = connect_now(NULL);
	}
	if (PQstatus(conn) != CONNECTION_OK)
		die("%s", conn_error(conn));
	note_params(conn);
	link_take(link, conn);
}

/* The thread that connects. */
static void *
connect_in_thread(void *arg)
{
	Link	   *link = arg;
	const char *attrs = has_hosts && !has_attrs ? link->attrs : NULL;
	PGconn	   *conn = connect_now(attrs);

	if (attrs && PQstatus(conn) != CONNECTION_OK)
	{
		PQfinish(conn);
		conn = connect_now(NULL);
	}
	/* a pointer is written at once */
	if (write(link->pipe[1], &conn, sizeof(conn)) != sizeof(conn))
		abort();
	return NULL;
}

/* Start connecting. */
static void
link_connect(Link *link)
{
	pthread_t	thread;
	int			error = pthread_create(&thread, NULL, connect_in_thread,
									   link);

	if (error)
		die("could not start a thread: %s", strerror(error));
	pthread_detach(thread);
	link->state = CONNECTING;
}

/* Is a statement welcome? */
bool
link_ready(const Link *link)
{
	return link->state == UP && !link->busy && now_ms() >= link->rest_until;
}

bool
link_up(const Link *link)
{
	return link->state == UP;
}

/* Why it is not connected. */
const char *
link_error(const Link *link)
{
	return link->error ? link->error : "";
}

PGconn *
link_conn(const Link *link)
{
	return link->conn;
}

/* What to poll for, and for how long at most (ms, -1: for ever). */
int
link_poll(Link *link, struct pollfd *fd)
{
	int64_t		until = -1;

	fd->fd = -1;
	fd->events = 0;
	fd->revents = 0;
	switch (link->state)
	{
		case DOWN:
			until = link->retry_at;
			break;
		case CONNECTING:
			fd->fd = link->pipe[0];
			fd->events = POLLIN;
			break;
		case UP:
			fd->fd = PQsocket(link->conn);
			fd->events = POLLIN;
			if (PQflush(link->conn) == 1)
				fd->events |= POLLOUT;
			if (link->busy)
				until = link->deadline;
			else if (link->rest_until > 0)
				until = link->rest_until;
			break;
	}
	if (until < 0)
		return -1;
	until -= now_ms();
	return until < 0 ? 0 : until > 60000 ? 60000 : until;
}

/*
 * Ask nothing for a while, each time longer, if again; else be at it as ever.
 */
void
link_rest(Link *link, bool again)
{
	link->rest = !again ? 0 : link->rest == 0 ? FIRST_PAUSE_MS :
		2 * link->rest > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : 2 * link->rest;
	link->rest_until = again ? now_ms() + link->rest : 0;
}

/* Wait before the next attempt, each time longer, and not all at one time. */
static void
link_pause(Link *link)
{
	link->retry_at = now_ms() + link->pause + random() % (link->pause / 4 + 1);
	link->pause *= 2;
	if (link->pause > LONGEST_PAUSE_MS)
		link->pause = LONGEST_PAUSE_MS;
}

/* Give the connection up, and connect anew. */
void
link_drop(Link *link, const char *why, bool at_once)
{
	char	   *error = copy_text(why);

	free(link->error);
	link->error = error;
	PQclear(link->result);
	link->result = NULL;
	PQfinish(link->conn);
	link->conn = NULL;
	link->busy = false;
	link->state = DOWN;
	if (at_once)
		link->retry_at = now_ms();
	else
		link_pause(link);
}

/* Take what the thread brings. */
static LinkNews
link_connected(Link *link)
{
	struct pollfd fd = {link->pipe[0], POLLIN, 0};
	PGconn	   *conn;
	char	   *error;

	if (poll(&fd, 1, 0) != 1)
		return LINK_NOTHING;
	if (read(link->pipe[0], &conn, sizeof(conn)) != sizeof(conn))
		abort();
	if (PQstatus(conn) == CONNECTION_OK)
	{
		link_take(link, conn);
		return LINK_CONNECTED;
	}
	error = conn_error(conn);
	link->conn = conn;
	link_drop(link, error, false);
	free(error);
	return LINK_FAILED;
}

/* Does this error mean that the session is over? */
static bool
ends_session(const PGresult *result)
{
	const char *state = result_state(result);

	return state[0] == '\0' || strncmp(state, "08", 2) == 0 ||
		strcmp(state, "57P01") == 0 || strcmp(state, "57P02") == 0 ||
		strcmp(state, "57P03") == 0 || strcmp(state, "57P05") == 0;
}

/* The statement has ended. */
static LinkNews
link_result(Link *link, PGresult **result)
{
	*result = link->result;
	link->result = NULL;
	link->busy = false;
	if (*result == NULL || PQresultStatus(*result) == PGRES_FATAL_ERROR)
	{
		if (*result == NULL || PQstatus(link->conn) != CONNECTION_OK ||
			ends_session(*result))
		{
			char	   *error = *result && *result_state(*result) ?
				result_error(*result) : conn_error(link->conn);

			PQclear(*result);
			*result = NULL;
			link_drop(link, error, false);
			free(error);
			return LINK_LOST;
		}
	}
	else
		link->pause = FIRST_PAUSE_MS;
	return LINK_RESULT;
}

/* Read what has come. */
static LinkNews
link_read(Link *link, PGresult **result)
{
	bool		alive = PQconsumeInput(link->conn) != 0;
	PGnotify   *notify;

	while ((notify = PQnotifies(link->conn)) != NULL)
		PQfreemem(notify);
	while (link->busy && !PQisBusy(link->conn))
	{
		PGresult   *next = PQgetResult(link->conn);

		if (next == NULL)
			return link_result(link, result);
		/* keep the first that says something */
		if (link->result == NULL)
			link->result = next;
		else
			PQclear(next);
	}
	if (!alive || PQstatus(link->conn) != CONNECTION_OK)
	{
		char	   *error = conn_error(link->conn);

		link_drop(link, error, false);
		free(error);
		return LINK_LOST;
	}
	if (link->busy && now_ms() > link->deadline)
	{
		link_drop(link, "the server doesn't answer", true);
		return LINK_LOST;
	}
	return LINK_NOTHING;
}

/* What has happened?  The result is the caller's. */
LinkNews
link_advance(Link *link, PGresult **result)
{
	*result = NULL;
	switch (link->state)
	{
		case DOWN:
			if (now_ms() >= link->retry_at)
				link_connect(link);
			return LINK_NOTHING;
		case CONNECTING:
			return link_connected(link);
		case UP:
			return link_read(link, result);
	}
	return LINK_NOTHING;
}

/*
 * Send a statement; the link must be ready.  Without an answer after patience
 * (ms) the connection is taken for dead.
 */
void
link_query(Link *link, const char *sql, int nparams,
		   const char *const *params, int64_t patience)
{
	link->busy = true;
	link->rest_until = 0;
	link->deadline = now_ms() + patience;
	/* what goes wrong here, link_advance() finds */
	PQsendQueryParams(link->conn, sql, nparams, NULL, params, NULL, NULL, 0);
	PQflush(link->conn);
}

/* End the session; a thread may still use the link, so it isn't freed. */
void
link_close(Link *link)
{
	if (link->state == UP)
		PQfinish(link->conn);
	link->conn = NULL;
	link->state = DOWN;
	link->retry_at = INT64_MAX;
}

/* The SQLSTATE of an error; "" for one of libpq. */
const char *
result_state(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return state ? state : "";
}

/* An error as text, with its hint.  malloc'd. */
char *
result_error(const PGresult *result)
{
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);

	if (message == NULL)
		message = PQresultErrorMessage(result);
	/* a detail in JSON is for programs */
	if (detail && (detail[0] == '[' || detail[0] == '{'))
		detail = NULL;
	return format_text("%s%s%s%s%s", message, detail ? "\n" : "",
					   detail ? detail : "", hint ? "\n" : "",
					   hint ? hint : "");
}

/* Is it an error that may be over when the same is tried again? */
bool
result_passes(const PGresult *result)
{
	const char *state = result_state(result);

	/* resources, conflicts, cancelled, and a worker that isn't ready */
	return strncmp(state, "53", 2) == 0 || strncmp(state, "40", 2) == 0 ||
		strcmp(state, "57014") == 0;
}

/* An array literal.  malloc'd. */
char *
text_array(int n, char *const *texts)
{
	size_t		size = 3;
	char	   *array;
	char	   *to;

	for (int i = 0; i < n; i++)
		size += 2 * strlen(texts[i]) + 3;
	array = to = need(malloc(size));
	*to++ = '{';
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			*to++ = ',';
		*to++ = '"';
		for (const char *from = texts[i]; *from; from++)
		{
			if (*from == '"' || *from == '\\')
				*to++ = '\\';
			*to++ = *from;
		}
		*to++ = '"';
	}
	*to++ = '}';
	*to = '\0';
	return array;
}
