/*-------------------------------------------------------------------------
 *
 * client.c
 *	  What the benchmark measures at clients, where pgbench can't.
 *
 *	  client latency WAY SIDE SECONDS
 *		One connection inserts, another follows the room: how long from
 *		sending the INSERT until the other has it?  WAY is notify, wait or
 *		listen.
 *	  client follow WAY COUNT NAME
 *		COUNT connections follow what NAME says ("%d" is the connection's
 *		number): a channel for notify, else a topic.  Prints "ready"; at the
 *		end of standard input, what they got.
 *	  client idle WAY COUNT NAME
 *		COUNT connections that do nothing (plain), or nothing but follow.
 *		Prints their backends' pids; ends with standard input.
 *	  client rebuild
 *		Has the tailer started anew, and times it until it is up to date.
 *	  client fsync FILE
 *		How long writing a page to disk takes.
 *
 * Results are JSON, one object; times in microseconds unless they say so.
 *
 *-------------------------------------------------------------------------
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE		(20 * SECOND)

/* Followers are at the end of it all when nothing came for so long. */
#define SILENCE_MS		300

/*
 * Between two probes, so that whoever waits is asleep, and a doorbell is not
 * put off because another rang just now; microseconds.
 */
#define GAP_LEAST		6000
#define GAP_MOST		9000

typedef enum Means
{
	PLAIN,
	NOTIFY,
	WAIT,
	LISTEN
} Means;

static Means
parse_means(const char *name)
{
	if (strcmp(name, "plain") == 0)
		return PLAIN;
	if (strcmp(name, "notify") == 0)
		return NOTIFY;
	if (strcmp(name, "wait") == 0)
		return WAIT;
	if (strcmp(name, "listen") == 0)
		return LISTEN;
	die("no such way to follow: %s", name);
}

/* ------------------------------------------------------------ connections */

/* Someone who follows a topic or a channel. */
typedef struct Client
{
	PGconn	   *conn;
	char	   *topic;			/* or channel */
	char	   *array;			/* of the one topic */
	char	   *cursor;
	bool		busy;			/* a statement is running */
	bool		rung;			/* a doorbell came since the last sync */
	uint64_t	events;
	uint64_t	answers;
	uint64_t	bytes;
} Client;

/*
 * The result of what runs, if it is there already: the one value that it
 * answered, to be freed; NULL if it isn't.
 */
static char *
take_result(PGconn *conn)
{
	PGresult   *result;
	char	   *value = NULL;

	if (!PQconsumeInput(conn))
		die("%s", PQerrorMessage(conn));
	if (PQisBusy(conn))
		return NULL;
	while ((result = PQgetResult(conn)) != NULL)
	{
		if (PQresultStatus(result) != PGRES_TUPLES_OK ||
			PQntuples(result) != 1)
			die("%s", PQresultErrorMessage(result));
		value = strdup(PQgetvalue(result, 0, 0));
		PQclear(result);
	}
	return value;
}

/* Take the doorbells that have come; how many? */
static int
take_notifies(Client *client)
{
	PGnotify   *notify;
	int			n = 0;

	if (!PQconsumeInput(client->conn))
		die("%s", PQerrorMessage(client->conn));
	while ((notify = PQnotifies(client->conn)) != NULL)
	{
		client->bytes += strlen(notify->extra);
		PQfreemem(notify);
		n++;
	}
	return n;
}

/* Take an answer over: its cursor, and how many events it has. */
static int
take_answer(Client *client, const char *answer)
{
	int			n;

	free(client->cursor);
	client->cursor = read_answer(answer, &n);
	client->answers++;
	client->bytes += strlen(answer);
	client->events += n;
	return n;
}

/* Connect, and start to follow. */
static void
client_open(Client *client, Means means, const char *topic)
{
	const char *params[1];

	memset(client, 0, sizeof(*client));
	client->conn = connect_db();
	client->topic = strdup(topic);
	client->array = text_array(1, &client->topic);
	params[0] = client->topic;
	switch (means)
	{
		case PLAIN:
			run(client->conn, "SELECT 1");
			return;
		case NOTIFY:
			{
				char		sql[256];

				snprintf(sql, sizeof(sql), "LISTEN \"%s\"", topic);
				run(client->conn, sql);
				return;
			}
		case WAIT:
			client->cursor = query_text(client->conn,
										"SELECT chatroom.snapshot_cursor()",
										0, NULL);
			prepare(client->conn, "wait",
					"CALL chatroom.wait($1::text[], $2, $3::interval)");
			return;
		case LISTEN:
			client->cursor = query_text(client->conn,
										"SELECT chatroom.listen($1)",
										1, params);
			prepare(client->conn, "sync",
					"SELECT chatroom.sync($1, $2)");
			return;
	}
}

/* Start waiting. */
static void
client_wait(Client *client, const char *timeout)
{
	const char *params[] = {client->array, client->cursor, timeout};

	send_prepared(client->conn, "wait", 3, params);
	client->busy = true;
}

/* Start asking what is new. */
static void
client_sync(Client *client)
{
	const char *params[] = {client->topic, client->cursor};

	send_prepared(client->conn, "sync", 2, params);
	client->busy = true;
	client->rung = false;
}

/* ----------------------------------------------------------------- latency */

/* Has the follower what it waits for?  Goes on asking where it hasn't. */
static bool
has_it(Client *client, Means means)
{
	char	   *answer;
	int			n;

	if (means == NOTIFY || (means == LISTEN && !client->busy))
	{
		if (take_notifies(client) == 0)
			return false;
		if (means == NOTIFY)
			return true;
		client_sync(client);
	}
	answer = take_result(client->conn);
	if (answer == NULL)
		return false;
	client->busy = false;
	n = take_answer(client, answer);
	free(answer);
	if (n == 0 && means == WAIT)
		client_wait(client, "10s");
	return n > 0;
}

/* Print the percentiles of some times. */
static void
print_times(const char *name, uint64_t *times, int n)
{
	uint64_t	p50 = percentile(times, n, 50);
	uint64_t	p99 = percentile(times, n, 99);

	printf("\"%s\": {\"n\": %d, \"p50\": %llu, \"p99\": %llu}", name, n,
		   (unsigned long long) p50, (unsigned long long) p99);
}

/* Sleep until one of two connections has something to say. */
static void
await_either(PGconn *a, PGconn *b)
{
	struct pollfd fds[] = {
		{PQsocket(a), POLLIN, 0},
		{PQsocket(b), POLLIN, 0}
	};

	poll(fds, b != NULL ? 2 : 1, 1000);
}

/* Insert, and see how long it takes to arrive. */
static void
measure_latency(Means means, const char *side, double seconds)
{
	char		name[256];
	char		sql[512];
	PGconn	   *writer = connect_db();
	Client		follower;
	uint64_t	end = now_us() + (uint64_t) (seconds * SECOND);
	uint64_t   *from_send;
	uint64_t   *from_commit;
	int			room = 1024;
	int			n = 0;

	from_send = malloc(sizeof(uint64_t) * room);
	from_commit = malloc(sizeof(uint64_t) * room);
	snprintf(sql, sizeof(sql),
			 "INSERT INTO %s.messages (room_id, username, text)"
			 " VALUES (1, 'prober', $1) RETURNING id", side);
	prepare(writer, "insert", sql);
	snprintf(name, sizeof(name), means == NOTIFY ? "messages_inserted_1" :
			 "%s.messages.room_id:1", side);
	client_open(&follower, means, name);

	while (now_us() < end)
	{
		static const char *const params[] = {
			"how long does it take until somebody else sees this message?"
		};
		uint64_t	sent;
		uint64_t	seen = 0;
		uint64_t	committed = 0;

		if (means == WAIT)
			client_wait(&follower, "10s");
		usleep(GAP_LEAST + random() % (GAP_MOST - GAP_LEAST));

		sent = now_us();
		send_prepared(writer, "insert", 1, params);
		while (seen == 0 || committed == 0)
		{
			char	   *id;

			if (seen == 0 && has_it(&follower, means))
				seen = now_us();
			if (committed == 0 && (id = take_result(writer)) != NULL)
			{
				committed = now_us();
				free(id);
			}
			if (now_us() > sent + PATIENCE)
				die("nothing came for so long");
			if (seen == 0)
				await_either(follower.conn, committed == 0 ? writer : NULL);
			else if (committed == 0)
				await_either(writer, NULL);
		}
		if (n == room)
		{
			room *= 2;
			from_send = realloc(from_send, sizeof(uint64_t) * room);
			from_commit = realloc(from_commit, sizeof(uint64_t) * room);
		}
		from_send[n] = seen - sent;
		from_commit[n++] = seen > committed ? seen - committed : 0;
	}
	printf("{");
	print_times("sent", from_send, n);
	printf(", ");
	print_times("committed", from_commit, n);
	printf("}\n");
}

/* ----------------------------------------------------------------- follow */

/* Take what has come for a follower, and ask on. */
static void
serve(Client *client, Means means, bool finish)
{
	int			rung = take_notifies(client);

	if (means == NOTIFY)
	{
		client->events += rung;
		return;
	}
	client->rung |= rung > 0;
	if (client->busy)
	{
		char	   *answer = take_result(client->conn);

		if (answer == NULL)
			return;
		client->busy = false;

		/* more than one answer can take; the next tells */
		if (take_answer(client, answer) > 0)
			client->rung |= finish || strstr(answer, "\"more\":true") != NULL;
		free(answer);
	}
	if (client->rung)
		client_sync(client);
}

/* Follow until standard input ends, and then to the end of what there is. */
static void
follow_all(Means means, int count, const char *name)
{
	Client	   *clients = calloc(count, sizeof(Client));
	struct pollfd *fds = calloc(count + 1, sizeof(struct pollfd));
	uint64_t	events = 0;
	uint64_t	least = UINT64_MAX;
	uint64_t	answers = 0;
	uint64_t	bytes = 0;
	bool		finish = false;

	for (int i = 0; i < count; i++)
	{
		char		topic[256];

		snprintf(topic, sizeof(topic), name, i + 1);
		client_open(&clients[i], means, topic);
		fds[i].fd = PQsocket(clients[i].conn);
		fds[i].events = POLLIN;
	}
	fds[count].fd = STDIN_FILENO;
	fds[count].events = POLLIN;
	printf("ready\n");
	fflush(stdout);

	for (;;)
	{
		int			ready = poll(fds, count + 1, finish ? SILENCE_MS : -1);

		if (ready < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		if (ready == 0)
			break;
		if (fds[count].revents != 0)
		{
			fds[count].fd = -1;
			fds[count].revents = 0;
			finish = true;
			for (int i = 0; i < count && means == LISTEN; i++)
			{
				clients[i].rung = true;
				serve(&clients[i], means, finish);
			}
		}
		for (int i = 0; i < count; i++)
			if (fds[i].revents != 0)
				serve(&clients[i], means, finish);
	}
	for (int i = 0; i < count; i++)
	{
		events += clients[i].events;
		answers += clients[i].answers;
		bytes += clients[i].bytes;
		if (clients[i].events < least)
			least = clients[i].events;
	}
	printf("{\"events\": %llu, \"least\": %llu, \"answers\": %llu, "
		   "\"bytes\": %llu}\n",
		   (unsigned long long) events, (unsigned long long) least,
		   (unsigned long long) answers, (unsigned long long) bytes);
}

/* ------------------------------------------------------------------- idle */

/* Open connections that do nothing, until standard input ends. */
static void
idle_all(Means means, int count, const char *name)
{
	Client	   *clients = calloc(count, sizeof(Client));
	char		byte;

	for (int i = 0; i < count; i++)
	{
		char		topic[256];

		snprintf(topic, sizeof(topic), name, i + 1);
		client_open(&clients[i], means, topic);
		if (means == WAIT)
			client_wait(&clients[i], "50s");
	}
	for (int i = 0; i < count; i++)
		printf("%d ", PQbackendPID(clients[i].conn));
	printf("\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

/* ---------------------------------------------------------------- rebuild */

/* What the tailer is doing. */
static char *
tailer_state(PGconn *conn, long *pid)
{
	PGresult   *result = query(conn, "SELECT state, tailer_pid"
							   " FROM chatroom.status", 0, NULL);
	char	   *state;

	if (result == NULL || PQntuples(result) == 0)
		die("no status");
	state = strdup(PQgetvalue(result, 0, 0));
	*pid = atol(PQgetvalue(result, 0, 1));
	PQclear(result);
	return state;
}

/* Start the tailer anew, and time its way to the end of WAL. */
static void
measure_rebuild(void)
{
	PGconn	   *conn = connect_db();
	long		before;
	char	   *state = tailer_state(conn, &before);
	uint64_t	give_up = now_us() + 10 * PATIENCE;
	uint64_t	start = 0;

	if (strcmp(state, "running") != 0)
		die("the tailer isn't running, but %s", state);
	free(state);
	run(conn, "SELECT pg_terminate_backend(tailer_pid) FROM chatroom.status");
	for (;;)
	{
		long		pid;
		bool		done;

		state = tailer_state(conn, &pid);
		if (pid != 0 && pid != before && start == 0 &&
			strcmp(state, "starting") != 0)
			start = now_us();
		done = start != 0 && strcmp(state, "running") == 0;
		free(state);
		if (done)
			break;
		if (now_us() > give_up)
			die("the tailer doesn't get ready");
		usleep(5000);
	}
	printf("{\"seconds\": %.6f}\n", (double) (now_us() - start) / SECOND);
}

/* ------------------------------------------------------------------ fsync */

#define SYNCS	200

/* Write a page and have it on disk, again and again. */
static void
measure_fsync(const char *file)
{
	static char page[8192];
	int			fd = open(file, O_RDWR | O_CREAT, 0600);
	uint64_t	times[SYNCS];

	if (fd < 0)
		die("%s: %s", file, strerror(errno));
	for (int i = 0; i < SYNCS + 1; i++)
	{
		uint64_t	start = now_us();

		if (pwrite(fd, page, sizeof(page), 0) != sizeof(page) ||
			fdatasync(fd) != 0)
			die("%s: %s", file, strerror(errno));
		if (i > 0)
			times[i - 1] = now_us() - start;
	}
	close(fd);
	unlink(file);
	printf("{");
	print_times("fdatasync", times, SYNCS);
	printf("}\n");
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "latency") == 0 && argc == 5)
		measure_latency(parse_means(argv[2]), argv[3], atof(argv[4]));
	else if (strcmp(what, "follow") == 0 && argc == 5)
		follow_all(parse_means(argv[2]), atoi(argv[3]), argv[4]);
	else if (strcmp(what, "idle") == 0 && argc == 5)
		idle_all(parse_means(argv[2]), atoi(argv[3]), argv[4]);
	else if (strcmp(what, "rebuild") == 0 && argc == 2)
		measure_rebuild();
	else if (strcmp(what, "fsync") == 0 && argc == 3)
		measure_fsync(argv[2]);
	else
		die("see the top of test/bench/client.c for how to call this");
	return 0;
}
