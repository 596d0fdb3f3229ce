/*-------------------------------------------------------------------------
 *
 * tail.c
 *	  chatroom tail: events as lines of JSON, for pipes.
 *
 * An event is printed as the server wrote it.  The cursor moves on when an
 * answer's events have been handed to the system, and goes to the file after
 * that: who starts again with the file may see events again, of the answer
 * that was being printed when we were killed, but misses none.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_EVENTS		1000
#define WAIT			"10s"
typedef struct Tail
{
	const Options *options;
	Link	   *link;
	char	   *topics;			/* array literal */
	char	   *cursor;
	int64_t		printed;		/* events */
	bool		reset;			/* the last answer was one */
	bool		told;			/* that the connection is lost */
	bool		done;
	int			status;
} Tail;

/* Print to standard output now; false when nobody reads it any more. */
static bool
print_now(const char *text, size_t len)
{
	while (len > 0)
	{
		ssize_t		n = write(STDOUT_FILENO, text, len);

		if (n < 0)
		{
			if (errno == EINTR)
				continue;
			if (errno != EPIPE)
				die("could not write: %s", strerror(errno));
			return false;
		}
		text += n;
		len -= n;
	}
	return true;
}

/* The first line of the cursor file; NULL: there is none.  malloc'd. */
static char *
read_cursor_file(const char *path)
{
	FILE	   *file = fopen(path, "r");
	char	   *line = NULL;
	size_t		size = 0;
	ssize_t		len;

	if (file == NULL)
	{
		if (errno != ENOENT)
			die("could not open \"%s\": %s", path, strerror(errno));
		return NULL;
	}
	len = getline(&line, &size, file);
	if (len < 0 && ferror(file))
		die("could not read \"%s\": %s", path, strerror(errno));
	fclose(file);
	if (len >= 0)
		line[strcspn(line, "\r\n")] = '\0';
	if (len < 0 || line[0] == '\0')
		die("\"%s\" is empty: remove it to start from now", path);
	return line;
}

/* Put the cursor into its file, the old or the new one, nothing between. */
static void
write_cursor_file(const char *path, const char *cursor)
{
	char	   *new_path = format_text("%s.new", path);
	FILE	   *file = fopen(new_path, "w");

	if (file == NULL)
		die("could not create \"%s\": %s", new_path, strerror(errno));
	if (fprintf(file, "%s\n", cursor) < 0 || fflush(file) != 0 ||
		fsync(fileno(file)) != 0 || fclose(file) != 0)
		die("could not write \"%s\": %s", new_path, strerror(errno));
	if (rename(new_path, path) != 0)
		die("could not rename \"%s\" to \"%s\": %s", new_path, path,
			strerror(errno));
	free(new_path);
}

/* All up to a cursor is printed. */
static void
move_on(Tail *tail, char *cursor)
{
	bool		moved = tail->cursor == NULL ||
		strcmp(tail->cursor, cursor) != 0;

	free(tail->cursor);
	tail->cursor = cursor;
	if (moved && tail->options->cursor_file)
		write_cursor_file(tail->options->cursor_file, cursor);
}

/*
 * Print an answer's events.  The count is kept to the event; with a file,
 * whose cursor can only point between transactions, to the transaction.
 */
static bool
print_answer(Tail *tail, Json answer, char **last)
{
	const Options *options = tail->options;
	Json		events = json_get(answer, "events");
	Json		event = {NULL, 0};
	Json		before = {NULL, 0};
	char	   *text = NULL;
	size_t		len = 0;
	FILE	   *lines = need(open_memstream(&text, &len));
	bool		good;

	if (json_true(json_get(answer, "reset")))
	{
		Json		cursor = json_get(answer, "cursor");

		fprintf(lines, "{\"cursor\":%.*s,\"type\":\"reset\"}\n",
				(int) cursor.len, cursor.text);
	}
	while (json_next(events, &event))
	{
		Json		cursor = json_get(event, "cursor");

		if (options->count > 0 && tail->printed >= options->count &&
			!(options->cursor_file && json_same(cursor, before)))
		{
			*last = json_text(before);
			tail->done = true;
			break;
		}
		json_print(event, lines);
		tail->printed++;
		before = cursor;
	}
	if (options->count > 0 && tail->printed >= options->count)
		tail->done = true;
	fclose(need(lines));
	good = print_now(text, len);
	free(text);
	return good;
}

/* Take an answer; false when it isn't one. */
static bool
take_answer(Tail *tail, const char *text)
{
	Json		answer = json_value(text);
	char	   *cursor = json_text(json_get(answer, "cursor"));
	bool		reset = json_true(json_get(answer, "reset"));
	char	   *last = NULL;

	if (cursor == NULL)
		return false;

	/* where the worker is stopped, every answer is a reset, at once */
	link_rest(tail->link, reset && tail->reset);
	tail->reset = reset;
	if (!print_answer(tail, answer, &last))
	{
		/* nobody reads: what was not read is not behind us */
		free(cursor);
		tail->done = true;
	}
	else if (last)
	{
		free(cursor);
		move_on(tail, last);
	}
	else
		move_on(tail, cursor);
	return true;
}

/* Ask for what comes next; first of all, where we are. */
static void
ask(Tail *tail)
{
	char		max_events[16];
	int64_t		left = tail->options->count - tail->printed;
	const char *params[] = {tail->topics, tail->cursor, max_events};

	if (tail->cursor == NULL)
	{
		link_query(tail->link, "SELECT chatroom.sync_many($1::text[])", 1,
				   params, PATIENCE_MS);
		return;
	}
	if (tail->options->count == 0 || left > MAX_EVENTS)
		left = MAX_EVENTS;
	snprintf(max_events, sizeof(max_events), "%d", (int) left);
	link_query(tail->link, "CALL chatroom.wait($1::text[], $2, '" WAIT "',"
			   " $3::int)", 3, params, PATIENCE_MS);
}

/* Take what a call brought. */
static void
take_result(Tail *tail, PGresult *result)
{
	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
		take_answer(tail, PQgetvalue(result, 0, 0)))
		return;
	if (PQresultStatus(result) == PGRES_FATAL_ERROR)
	{
		char	   *error = result_error(result);

		complain("%s", error);
		if (result_passes(result))
			link_drop(tail->link, error, false);
		else
			tail->done = true;
		free(error);
	}
	else
	{
		complain("the server's answer is not understood");
		tail->done = true;
	}
	if (tail->done)
		tail->status = EXIT_TROUBLE;
}

/* Deal with what the connection tells. */
static void
advance(Tail *tail)
{
	LinkNews	news;
	PGresult   *result;

	while (!tail->done &&
		   (news = link_advance(tail->link, &result)) != LINK_NOTHING)
	{
		if (news == LINK_RESULT)
			take_result(tail, result);
		else if (news == LINK_CONNECTED && tail->told)
		{
			complain("connected again");
			tail->told = false;
		}
		else if (news != LINK_CONNECTED && !tail->told)
		{
			complain("%s\ntrying again", link_error(tail->link));
			tail->told = true;
		}
		PQclear(result);
	}
	if (!tail->done && link_ready(tail->link))
		ask(tail);
}

/* Follow topics until told to stop. */
int
tail_topics(const Options *options)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, 0};
	Tail		tail = {0};
	struct pollfd fds[3];

	signal(SIGPIPE, SIG_IGN);
	tail.options = options;
	if (options->since)
		tail.cursor = copy_text(options->since);
	else if (options->cursor_file)
		tail.cursor = read_cursor_file(options->cursor_file);
	tail.topics = text_array(options->ntopics, options->topics);
	tail.link = link_open(NULL);
	link_start(tail.link);
	fds[1].fd = catch_signals(signals);
	fds[1].events = POLLIN;
	/* no events, but POLLERR: the reader is gone */
	fds[2].fd = STDOUT_FILENO;
	fds[2].events = 0;
	ask(&tail);
	while (!tail.done)
	{
		int			timeout = link_poll(tail.link, &fds[0]);

		if (poll(fds, 3, timeout) < 0 && errno != EINTR)
			die("could not poll: %s", strerror(errno));
		if (caught_signal() || (fds[2].revents & POLLERR))
			break;
		advance(&tail);
	}
	link_close(tail.link);
	free(tail.cursor);
	free(tail.topics);
	return tail.status;
}
