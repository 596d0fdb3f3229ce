/*-------------------------------------------------------------------------
 *
 * peers.c
 *	  Writers and followers of chatroom and of what it is compared with.
 *
 *	  peers write -S SCHEMA -c CLIENTS [-T SECONDS | -N COUNT] [-R RATE]
 *				  [-r ROOMS] [-z SIZE] [-x SOCKET]
 *		Insert messages, each in a transaction of its own, in random rooms;
 *		RATE a second in all, else as fast as it goes.  With the socket of a
 *		Redis server, each is added to its stream, too, once it is committed.
 *	  peers follow -w WAY [-n COUNT] [-t NAME] [-s CURSOR] [-o PLUGIN]
 *				   [-x SOCKET]
 *		COUNT followers, each of which gets all there is under NAME ("%d" is
 *		the follower's number).  Prints "ready" and their backends' pids.
 *		Reads from standard input how many events they are to get in all, and
 *		ends when they have them.
 *	  peers probe -S SCHEMA -T SECONDS -w WAY ...
 *		One follower, as above, or none, and a writer of few messages: how
 *		long it takes each from being sent to being seen.  Without a follower,
 *		until the writer is told of the commit.
 *
 * The ways are
 *	  none		nobody follows
 *	  plain		nobody follows, but there are connections
 *	  notify	LISTEN; what the notifications carry is taken for the event
 *	  listen	chatroom.listen(), then chatroom.sync() when the doorbell rings
 *	  wait		CALL chatroom.wait()
 *	  outbox	asks a table every POLL_MS: see outbox.sql
 *	  pgq		consumers of PgQ; we also are its ticker, every POLL_MS
 *	  decode	pg_recvlogical, one for each follower, of the slot NAME
 *	  redis		XREAD BLOCK of a Redis stream
 *
 * All followers are served by one thread, so that their number is not limited
 * by the machine's.  Results are JSON, one object; times are in microseconds
 * of the monotonic clock, which all processes share.
 *
 *-------------------------------------------------------------------------
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS			100
#define BATCH			"1000"
#define STREAM			"messages"
#define QUEUE			"messages"

/* When nothing comes for so long, no more will; microseconds. */
#define SILENCE			(10 * SECOND)

/* Between two probes, as in client.c; microseconds. */
#define GAP_LEAST		6000
#define GAP_MOST		9000

typedef enum Feed
{
	NONE,
	PLAIN,
	NOTIFY,
	LISTEN,
	WAIT,
	OUTBOX,
	PGQ,
	DECODE,
	REDIS
} Feed;

static const char *const way_names[] = {
	"none", "plain", "notify", "listen", "wait", "outbox", "pgq", "decode",
	"redis"
};

/* What the arguments say. */
static struct
{
	Feed		way;
	int			count;			/* of followers */
	const char *name;			/* of a topic, channel, slot or consumer */
	const char *cursor;			/* where to start from; NULL: now */
	const char *plugin;			/* of logical decoding */
	const char *redis;			/* its socket */
	const char *schema;
	int			clients;		/* who write */
	double		seconds;
	long		messages;		/* to write, 0: until the time is up */
	double		rate;			/* messages a second, 0: as many as can be */
	int			rooms;
	int			size;			/* of a text, bytes */
} args = {
	.count = 1, .name = "", .schema = "plain", .clients = 1, .rooms = 1,
	.size = 70
};

/* ------------------------------------------------------------------ probes */

/* When the messages of the one who measures were sent, told, and seen. */
static const char probe_mark[] = "probe";
static uint64_t *probe_sent;
static uint64_t *probe_told;
static uint64_t *probe_seen;
static int	probe_room = 0;
static int	probes_seen = 0;
static atomic_int probes_made = 0;
static atomic_bool probes_done = false;

/* Look for probes in something that came just now. */
static void
look(const char *text, size_t length)
{
	const char *end = text + length;

	while (probe_room > 0 && (text = memmem(text, end - text, probe_mark,
											strlen(probe_mark))) != NULL)
	{
		int			n = atoi(text += strlen(probe_mark));

		if (n >= 0 && n < probe_room && probe_seen[n] == 0)
		{
			probe_seen[n] = now_us();
			probes_seen++;
		}
	}
}

/* ------------------------------------------------------------------- Redis */

/* Some bytes that grow. */
typedef struct Bytes
{
	char	   *data;
	size_t		length;
	size_t		size;
} Bytes;

/* Make room for more. */
static void
make_room(Bytes *bytes, size_t more)
{
	if (bytes->size - bytes->length >= more)
		return;
	bytes->size = 2 * (bytes->length + more);
	bytes->data = realloc(bytes->data, bytes->size);
	if (bytes->data == NULL)
		die("out of memory");
}

/* Connect to the Redis server. */
static int
redis_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int			fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (args.redis == NULL || strlen(args.redis) >= sizeof(address.sun_path))
		die("no path of a Redis server's socket");
	strcpy(address.sun_path, args.redis);
	if (fd < 0 ||
		connect(fd, (struct sockaddr *) &address, sizeof(address)) != 0)
		die("%s: %s", args.redis, strerror(errno));
	return fd;
}

/* Send a command, as an array of its words. */
static void
redis_send(int fd, Bytes *out, int n, const char *const *words)
{
	out->length = 0;
	make_room(out, 32);
	out->length = sprintf(out->data, "*%d\r\n", n);
	for (int i = 0; i < n; i++)
	{
		size_t		length = strlen(words[i]);

		make_room(out, length + 32);
		out->length += sprintf(out->data + out->length, "$%zu\r\n", length);
		memcpy(out->data + out->length, words[i], length);
		out->length += length;
		out->length += sprintf(out->data + out->length, "\r\n");
	}
	for (size_t sent = 0; sent < out->length;)
	{
		ssize_t		n_sent = write(fd, out->data + sent, out->length - sent);

		if (n_sent < 0 && errno != EINTR)
			die("Redis: %s", strerror(errno));
		sent += n_sent > 0 ? n_sent : 0;
	}
}

/* Take what has come; false if that was the end. */
static bool
take_bytes(int fd, Bytes *in)
{
	ssize_t		n;

	make_room(in, 65536);
	n = read(fd, in->data + in->length, in->size - in->length - 1);
	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0)
		return false;
	in->length += n;
	in->data[in->length] = '\0';
	return true;
}

/* Add a message to the stream, and wait until it is there. */
static void
redis_add(int fd, Bytes *out, Bytes *in, const char *id, const char *room,
		  const char *text)
{
	const char *const words[] = {
		"XADD", STREAM, "*", "id", id, "room_id", room, "username", "crimsun",
		"text", text
	};

	redis_send(fd, out, 11, words);

	/* the answer is its id: a line with a length, and a line with the text */
	in->length = 0;
	do
	{
		if (!take_bytes(fd, in))
			die("Redis went away");
		if (in->data[0] != '$')
			die("Redis answered: %s", in->data);
	} while (in->length < 4 || memcmp(in->data + in->length - 2, "\r\n", 2) != 0 ||
			 strchr(in->data, '\n') == in->data + in->length - 1);
}

/* ----------------------------------------------------------------- writers */

typedef struct Writer
{
	pthread_t	thread;
	int			number;
	PGconn	   *conn;
	int			redis;			/* or -1 */
	unsigned int seed;
	long		rows;
	Bytes		out;
	Bytes		in;
} Writer;

static pthread_barrier_t writers_ready;
static uint64_t writing_began;

/* Connect one who writes. */
static void
open_writer(Writer *writer)
{
	char		sql[256];

	writer->conn = connect_db();
	snprintf(sql, sizeof(sql),
			 "INSERT INTO %s.messages (room_id, username, text)"
			 " VALUES ($1, 'crimsun', $2) RETURNING id", args.schema);
	prepare(writer->conn, "insert", sql);
	writer->redis = args.redis != NULL ? redis_connect() : -1;
}

/* Write one message, wherever it is to be written. */
static void
write_message(Writer *writer, const char *room, const char *text)
{
	const char *params[] = {room, text};
	PGresult   *result = PQexecPrepared(writer->conn, "insert", 2, params, NULL,
										NULL, 0);

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		die("%s", PQerrorMessage(writer->conn));
	if (writer->redis >= 0)
		redis_add(writer->redis, &writer->out, &writer->in,
				  PQgetvalue(result, 0, 0), room, text);
	PQclear(result);
	writer->rows++;
}

/* Make up a text that is no smaller when it is compressed. */
static void
make_text(char *text, unsigned int *seed)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789. ";

	for (int i = 0; i < args.size; i++)
		text[i] = letters[rand_r(seed) % 64];
	text[args.size] = '\0';
}

/* A thread that writes. */
static void *
write_messages(void *arg)
{
	Writer	   *writer = arg;
	char	   *text = malloc(args.size + 1);
	double		interval = 0;
	uint64_t	end;
	long		most;

	if (args.rate > 0)
		interval = args.clients / args.rate * SECOND;
	make_text(text, &writer->seed);
	pthread_barrier_wait(&writers_ready);
	pthread_barrier_wait(&writers_ready);
	end = args.messages > 0 ? UINT64_MAX :
		writing_began + (uint64_t) (args.seconds * SECOND);
	most = args.messages > 0 ?
		args.messages / args.clients +
		(writer->number < args.messages % args.clients) : LONG_MAX;

	while (writer->rows < most && now_us() < end)
	{
		char		room[16];

		if (interval > 0)
		{
			double		turn = writer->rows +
				(double) writer->number / args.clients;
			uint64_t	due = writing_began + (uint64_t) (interval * turn);
			uint64_t	now = now_us();

			if (due >= end)
				break;
			if (due > now)
				usleep(due - now);
		}

		/* the same but for its start, so that making it up costs little */
		for (int i = 0; i < args.size && i < 10; i++)
			text[i] = 'a' + rand_r(&writer->seed) % 26;
		snprintf(room, sizeof(room), "%d",
				 1 + rand_r(&writer->seed) % args.rooms);
		write_message(writer, room, text);
	}
	free(text);
	return NULL;
}

/* CPU time that we, and those we started and have seen end, have used. */
static double
own_cpu(void)
{
	double		sum = 0;

	for (int i = 0; i < 2; i++)
	{
		struct rusage usage;

		getrusage(i == 0 ? RUSAGE_SELF : RUSAGE_CHILDREN, &usage);
		sum += usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
			(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	}
	return sum;
}

/* Write messages by some clients at a time. */
static void
run_writers(void)
{
	Writer	   *writers = calloc(args.clients, sizeof(Writer));
	long		rows = 0;
	uint64_t	ended;
	double		cpu;

	pthread_barrier_init(&writers_ready, NULL, args.clients + 1);
	for (int i = 0; i < args.clients; i++)
	{
		writers[i].number = i;
		writers[i].seed = now_us() + i;
		open_writer(&writers[i]);
		if (pthread_create(&writers[i].thread, NULL, write_messages,
						   &writers[i]) != 0)
			die("could not start a thread");
	}
	pthread_barrier_wait(&writers_ready);
	cpu = own_cpu();
	writing_began = now_us();
	pthread_barrier_wait(&writers_ready);
	for (int i = 0; i < args.clients; i++)
	{
		pthread_join(writers[i].thread, NULL);
		rows += writers[i].rows;
	}
	ended = now_us();
	cpu = own_cpu() - cpu;
	for (int i = 0; i < args.clients; i++)
		PQfinish(writers[i].conn);
	printf("{\"rows\": %ld, \"began\": %llu, \"ended\": %llu, \"cpu\": %.6f}\n",
		   rows, (unsigned long long) writing_began,
		   (unsigned long long) ended, cpu);
}

/* --------------------------------------------------------------- followers */

typedef enum Step
{
	NEXT_BATCH,
	BATCH_EVENTS,
	FINISH_BATCH
} Step;

typedef struct Peer
{
	int			fd;				/* to wait for, by poll() */
	PGconn	   *conn;			/* but of decode and redis */
	pid_t		child;			/* of decode */
	char	   *name;
	bool		busy;			/* a statement is running */
	uint64_t	events;

	/* chatroom */
	char	   *array;			/* of the one topic */
	char	   *cursor;
	bool		rung;			/* a doorbell came since the last sync */

	/* outbox: where it is, and when it asks again */
	char		txid[32];
	char		id[32];
	uint64_t	due;

	/* PgQ: where it is */
	Step		step;
	char		batch[32];
	bool		ticked;			/* there was a tick since it asked */

	/* decode and redis: what has come and isn't understood yet */
	Bytes		in;
	Bytes		out;
	char		last[64];		/* id in the stream */
} Peer;

static Peer *peers;
static PGconn *ticker;
static bool ticker_busy = false;
static uint64_t ticker_due = 0;
static uint64_t last_event = 0;

/* Some events came. */
static void
got(Peer *peer, int n)
{
	if (n > 0)
	{
		peer->events += n;
		last_event = now_us();
	}
}

/* Start a pg_recvlogical whose output we read. */
static void
open_decode(Peer *peer)
{
	int			ends[2];
	bool		json = strcmp(args.plugin, "wal2json") == 0;

	if (pipe(ends) != 0 || (peer->child = fork()) < 0)
		die("%s", strerror(errno));
	if (peer->child == 0)
	{
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		close(STDIN_FILENO);
		execlp("pg_recvlogical", "pg_recvlogical", "-d", "postgres", "-S",
			   peer->name, "--start", "-f", "-",
			   "-o", json ? "format-version=2" : "include-xids=off",
			   "-o", json ? "include-transaction=off" : "skip-empty-xacts=on",
			   (char *) NULL);
		die("pg_recvlogical: %s", strerror(errno));
	}
	close(ends[1]);
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	peer->fd = ends[0];
}

/* Ask what comes after the last. */
static void
ask_redis(Peer *peer)
{
	const char *const words[] = {
		"XREAD", "COUNT", BATCH, "BLOCK", "0", "STREAMS", STREAM, peer->last
	};

	redis_send(peer->fd, &peer->out, 8, words);
}

/* Start a statement. */
static void
ask(Peer *peer, const char *name, int n, const char *const *params)
{
	send_prepared(peer->conn, name, n, params);
	peer->busy = true;
}

static void
ask_sync(Peer *peer)
{
	const char *params[] = {peer->name, peer->cursor};

	peer->rung = false;
	ask(peer, "sync", 2, params);
}

static void
ask_wait(Peer *peer)
{
	const char *params[] = {peer->array, peer->cursor};

	ask(peer, "wait", 2, params);
}

static void
ask_outbox(Peer *peer)
{
	const char *params[] = {peer->txid, peer->id};

	ask(peer, "poll", 2, params);
}

static void
ask_pgq(Peer *peer, Step step)
{
	static const char *const names[] = {"next", "events", "finish"};
	const char *params[] = {
		step == NEXT_BATCH ? peer->name : peer->batch
	};

	if (step == NEXT_BATCH)
		peer->ticked = false;
	peer->step = step;
	ask(peer, names[step], 1, params);
}

/* Connect, and start to follow. */
static void
open_peer(Peer *peer, int number)
{
	char		name[256];
	const char *params[1];

	snprintf(name, sizeof(name), args.name, number);
	peer->name = strdup(name);
	params[0] = peer->name;
	strcpy(peer->txid, "0");
	strcpy(peer->id, "0");
	strcpy(peer->last, "0-0");

	if (args.way == DECODE)
	{
		open_decode(peer);
		return;
	}
	if (args.way == REDIS)
	{
		peer->fd = redis_connect();
		ask_redis(peer);
		return;
	}
	peer->conn = connect_db();
	peer->fd = PQsocket(peer->conn);
	if (args.way == PLAIN)
		run(peer->conn, "SELECT 1");
	else if (args.way == NOTIFY)
	{
		snprintf(name, sizeof(name), "LISTEN \"%s\"", peer->name);
		run(peer->conn, name);
	}
	else if (args.way == LISTEN || args.way == WAIT)
	{
		peer->array = text_array(1, &peer->name);
		peer->cursor = args.way == LISTEN ?
			query_text(peer->conn, "SELECT chatroom.listen($1)", 1, params) :
			query_text(peer->conn, "SELECT chatroom.snapshot_cursor()", 0, NULL);
		if (args.cursor != NULL)
			peer->cursor = strdup(args.cursor);
		peer->rung = args.cursor != NULL;
		if (args.way == LISTEN)
			prepare(peer->conn, "sync", "SELECT chatroom.sync($1, $2)");
		else
			prepare(peer->conn, "wait",
					"CALL chatroom.wait($1::text[], $2, '50 s')");
		if (args.way == WAIT)
			ask_wait(peer);
	}
	else if (args.way == OUTBOX)
	{
		prepare(peer->conn, "poll",
				"SELECT txid, id, message FROM outbox.outbox"
				" WHERE (txid, id) > ($1::xid8, $2::bigint)"
				" AND txid < pg_snapshot_xmin(pg_current_snapshot())"
				" ORDER BY txid, id LIMIT " BATCH);
		peer->due = now_us() + random() % (POLL_MS * 1000);
	}
	else if (args.way == PGQ)
	{
		prepare(peer->conn, "next",
				"SELECT pgq.next_batch('" QUEUE "', $1)");
		prepare(peer->conn, "events",
				"SELECT ev_id, ev_data FROM pgq.get_batch_events($1)");
		prepare(peer->conn, "finish", "SELECT pgq.finish_batch($1)");
		peer->ticked = true;
	}
}

/* Take over what a statement of ours answered. */
static void
take_rows(Peer *peer, PGresult *result)
{
	int			n = PQntuples(result);

	if (args.way == LISTEN || args.way == WAIT)
	{
		const char *answer = PQgetvalue(result, 0, 0);

		free(peer->cursor);
		peer->cursor = read_answer(answer, &n);
		look(answer, PQgetlength(result, 0, 0));
		got(peer, n);
		peer->rung |= strstr(answer, "\"more\":true") != NULL;
	}
	else if (args.way == OUTBOX)
	{
		for (int i = 0; i < n; i++)
			look(PQgetvalue(result, i, 2), PQgetlength(result, i, 2));
		got(peer, n);
		peer->due = n < atoi(BATCH) ? now_us() + POLL_MS * 1000 : 0;
		if (n > 0)
		{
			strcpy(peer->txid, PQgetvalue(result, n - 1, 0));
			strcpy(peer->id, PQgetvalue(result, n - 1, 1));
		}
	}
	else if (peer->step == NEXT_BATCH)
		strcpy(peer->batch, PQgetvalue(result, 0, 0));
	else if (peer->step == BATCH_EVENTS)
	{
		for (int i = 0; i < n; i++)
			look(PQgetvalue(result, i, 1), PQgetlength(result, i, 1));
		got(peer, n);
	}
}

/* What a follower does next, if there is something to do. */
static void
go_on(Peer *peer)
{
	if (args.way == WAIT)
		ask_wait(peer);
	else if (args.way == LISTEN && peer->rung)
		ask_sync(peer);
	else if (args.way == OUTBOX && peer->due <= now_us())
		ask_outbox(peer);
	else if (args.way == PGQ)
	{
		if (peer->step == NEXT_BATCH && peer->batch[0] != '\0')
			ask_pgq(peer, BATCH_EVENTS);
		else if (peer->step == BATCH_EVENTS)
			ask_pgq(peer, FINISH_BATCH);
		else if (peer->step == FINISH_BATCH || peer->ticked)
		{
			peer->batch[0] = '\0';
			ask_pgq(peer, NEXT_BATCH);
		}
	}
}

/* Take the notifications that libpq has read. */
static void
take_notifies(Peer *peer)
{
	PGnotify   *notify;

	while ((notify = PQnotifies(peer->conn)) != NULL)
	{
		if (args.way == NOTIFY)
		{
			look(notify->extra, strlen(notify->extra));
			got(peer, 1);
		}
		peer->rung = true;
		PQfreemem(notify);
	}
}

/*
 * Something has come on a database connection, or it is time to ask.
 * Notifications are taken last: the server sends those that came during a
 * statement after its result, so libpq may meet them while we take that.
 */
static void
serve_sql(Peer *peer)
{
	if (!PQconsumeInput(peer->conn))
		die("%s", PQerrorMessage(peer->conn));
	if (peer->busy && !PQisBusy(peer->conn))
	{
		PGresult   *result;

		while ((result = PQgetResult(peer->conn)) != NULL)
		{
			if (PQresultStatus(result) != PGRES_TUPLES_OK)
				die("%s", PQresultErrorMessage(result));
			take_rows(peer, result);
			PQclear(result);
		}
		peer->busy = false;
	}
	take_notifies(peer);
	if (!peer->busy && args.way != NOTIFY && args.way != PLAIN)
		go_on(peer);
}

/* Take the lines that pg_recvlogical printed. */
static void
serve_decode(Peer *peer)
{
	char	   *line;
	char	   *end;

	if (!take_bytes(peer->fd, &peer->in))
		die("pg_recvlogical ended");
	line = peer->in.data;
	while ((end = memchr(line, '\n', peer->in.data + peer->in.length - line)))
	{
		*end = '\0';
		if (strstr(line, "\"action\":\"I\"") != NULL ||
			strstr(line, ": INSERT: ") != NULL)
		{
			look(line, end - line);
			got(peer, 1);
		}
		line = end + 1;
	}
	peer->in.length -= line - peer->in.data;
	memmove(peer->in.data, line, peer->in.length);
}

/*
 * Walk over a value of Redis' protocol; NULL if not all of it is here yet.
 * With a peer, take its events over: what XREAD answers is a list of streams,
 * each a name and a list of entries, each an id and a list of fields.
 */
static const char *
walk(const char *at, const char *end, Peer *peer, int depth, int place)
{
	const char *line = memchr(at, '\n', end - at);
	long		n;

	if (line == NULL)
		return NULL;
	n = atol(at + 1);
	line++;
	if (*at == '*')
	{
		for (long i = 0; i < n && line != NULL; i++)
			line = walk(line, end, peer, depth + 1, i);
		return line;
	}
	if (*at != '$')
		die("Redis answered: %.100s", at);
	if (n < 0)
		return line;
	if (end - line < n + 2)
		return NULL;
	if (peer != NULL && depth == 4 && place == 0)
	{
		snprintf(peer->last, sizeof(peer->last), "%.*s", (int) n, line);
		got(peer, 1);
	}
	if (peer != NULL && depth == 5)
		look(line, n);
	return line + n + 2;
}

/* Take what Redis answered. */
static void
serve_redis(Peer *peer)
{
	const char *end;

	if (!take_bytes(peer->fd, &peer->in))
		die("Redis went away");
	end = peer->in.data + peer->in.length;
	if (end[-1] != '\n' || walk(peer->in.data, end, NULL, 0, 0) != end)
		return;
	walk(peer->in.data, end, peer, 0, 0);
	peer->in.length = 0;
	ask_redis(peer);
}

/* Tick, for PgQ's consumers, which then ask. */
static void
serve_ticker(void)
{
	if (!PQconsumeInput(ticker))
		die("%s", PQerrorMessage(ticker));
	if (ticker_busy && !PQisBusy(ticker))
	{
		PGresult   *result;

		while ((result = PQgetResult(ticker)) != NULL)
		{
			if (PQresultStatus(result) != PGRES_TUPLES_OK)
				die("%s", PQresultErrorMessage(result));
			for (int i = 0; i < args.count && !PQgetisnull(result, 0, 0); i++)
			{
				peers[i].ticked = true;
				if (!peers[i].busy)
					go_on(&peers[i]);
			}
			PQclear(result);
		}
		ticker_busy = false;
		ticker_due = now_us() + POLL_MS * 1000;
	}
	if (!ticker_busy && ticker_due <= now_us())
	{
		send_prepared(ticker, "tick", 0, NULL);
		ticker_busy = true;
	}
}

/* Microseconds until someone has to ask by itself. */
static uint64_t
next_due(void)
{
	uint64_t	now = now_us();
	uint64_t	due = now + SECOND / 10;

	if (args.way == OUTBOX)
	{
		for (int i = 0; i < args.count; i++)
			if (!peers[i].busy && peers[i].due < due)
				due = peers[i].due;
	}
	else if (args.way == PGQ && !ticker_busy && ticker_due < due)
		due = ticker_due;
	return due > now ? due - now : 0;
}

/* Wait until all slots are being read. */
static void
await_streams(void)
{
	PGconn	   *conn = connect_db();
	char	   *active;

	do
	{
		sleep_ms(20);
		active = query_text(conn, "SELECT count(*) FROM pg_replication_slots"
							" WHERE active AND slot_type = 'logical'", 0, NULL);
	} while (atoi(active) < args.count);
	PQfinish(conn);
}

/* Connect all who follow. */
static void
open_peers(void)
{
	peers = calloc(args.count + 1, sizeof(Peer));
	for (int i = 0; i < args.count; i++)
		open_peer(&peers[i], i + 1);
	if (args.way == DECODE)
		await_streams();
	if (args.way == PGQ)
	{
		ticker = connect_db();
		prepare(ticker, "tick", "SELECT pgq.ticker('" QUEUE "')");
		serve_ticker();
	}
}

/*
 * Serve those who follow, once, waiting at most until one has to ask.  The
 * last of fds is the caller's, and the one before it the ticker's.
 */
static void
serve_peers(struct pollfd *fds)
{
	uint64_t	due = next_due();
	struct timespec patience = {due / SECOND, due % SECOND * 1000};

	for (int i = 0; i < args.count; i++)
	{
		fds[i].fd = peers[i].fd;
		fds[i].events = POLLIN;
	}
	fds[args.count].fd = ticker != NULL ? PQsocket(ticker) : -1;
	fds[args.count].events = POLLIN;
	if (ppoll(fds, args.count + 2, &patience, NULL) < 0)
		die("poll: %s", strerror(errno));
	for (int i = 0; i < args.count; i++)
	{
		if (args.way == DECODE || args.way == REDIS)
		{
			if (fds[i].revents == 0)
				continue;
			if (args.way == DECODE)
				serve_decode(&peers[i]);
			else
				serve_redis(&peers[i]);
		}
		else if (fds[i].revents != 0)
			serve_sql(&peers[i]);
		else if (!peers[i].busy)
		{
			if (args.way == OUTBOX || args.way == PGQ || peers[i].rung)
				serve_sql(&peers[i]);
		}
	}
	if (ticker != NULL)
		serve_ticker();
}

/* Let those who follow go. */
static void
close_peers(void)
{
	for (int i = 0; i < args.count; i++)
		if (peers[i].child != 0)
			kill(peers[i].child, SIGTERM);
	for (int i = 0; i < args.count; i++)
	{
		if (peers[i].child != 0)
			waitpid(peers[i].child, NULL, 0);
		if (peers[i].conn != NULL)
			PQfinish(peers[i].conn);
	}
}

/* How many events came, in all and to who got least. */
static uint64_t
count_events(uint64_t *least)
{
	uint64_t	events = 0;

	*least = UINT64_MAX;
	for (int i = 0; i < args.count; i++)
	{
		events += peers[i].events;
		if (peers[i].events < *least)
			*least = peers[i].events;
	}
	return events;
}

/* Follow until all have what they are to get. */
static void
run_followers(void)
{
	struct pollfd *fds;
	struct pollfd *input;
	uint64_t	began = now_us();
	uint64_t	wanted = UINT64_MAX;
	uint64_t	events;
	uint64_t	least;
	uint64_t	told = 0;
	double		cpu = own_cpu();

	open_peers();
	fds = calloc(args.count + 2, sizeof(struct pollfd));
	input = &fds[args.count + 1];
	input->fd = STDIN_FILENO;
	input->events = POLLIN;
	if (args.cursor == NULL)
		cpu = own_cpu();
	printf("ready");
	for (int i = 0; i < args.count; i++)
		if (peers[i].conn != NULL)
			printf(" %d", PQbackendPID(peers[i].conn));
	printf("\n");
	fflush(stdout);

	while ((events = count_events(&least)) < wanted)
	{
		serve_peers(fds);
		if (input->revents != 0)
		{
			char		line[32];

			if (fgets(line, sizeof(line), stdin) == NULL)
				line[0] = '\0';
			wanted = strtoull(line, NULL, 10);
			input->fd = -1;
			input->revents = 0;
			told = now_us();
		}
		if (told != 0 && now_us() > (last_event > told ? last_event : told) +
			SILENCE)
			break;
	}
	close_peers();
	cpu = own_cpu() - cpu;
	printf("{\"events\": %llu, \"least\": %llu, \"began\": %llu, "
		   "\"last\": %llu, \"cpu\": %.6f}\n",
		   (unsigned long long) events,
		   (unsigned long long) (args.count > 0 ? least : 0),
		   (unsigned long long) began, (unsigned long long) last_event, cpu);
}

/* ------------------------------------------------------------------ probes */

/* A thread that writes a message now and then. */
static void *
write_probes(void *arg)
{
	Writer		writer = {.seed = now_us()};
	uint64_t	end = now_us() + (uint64_t) (args.seconds * SECOND);

	(void) arg;
	open_writer(&writer);
	for (int n = 0; n < probe_room && now_us() < end; n++)
	{
		char		text[128];

		usleep(GAP_LEAST + rand_r(&writer.seed) % (GAP_MOST - GAP_LEAST));
		snprintf(text, sizeof(text), "%s%06d how long does it take until"
				 " somebody else sees this?", probe_mark, n);
		probe_sent[n] = now_us();
		write_message(&writer, "1", text);
		probe_told[n] = now_us();
		atomic_store(&probes_made, n + 1);
	}
	PQfinish(writer.conn);
	atomic_store(&probes_done, true);
	return NULL;
}

/* Print how long each took. */
static void
print_times(const char *name, const uint64_t *times, int n)
{
	printf("\"%s\": [", name);
	for (int i = 0; i < n; i++)
		printf("%s%lld", i > 0 ? ", " : "", times[i] < probe_sent[i] ? 0LL :
			   (long long) (times[i] - probe_sent[i]));
	printf("]");
}

/* How long does it take from sending to seeing? */
static void
run_probes(void)
{
	struct pollfd *fds;
	pthread_t	writer;
	int			room = (int) (args.seconds * SECOND / GAP_LEAST) + 1;
	int			n;

	if (args.way == NONE)
		args.count = 0;
	probe_sent = calloc(room, sizeof(uint64_t));
	probe_told = calloc(room, sizeof(uint64_t));
	probe_seen = calloc(room, sizeof(uint64_t));
	probe_room = room;
	open_peers();
	fds = calloc(args.count + 2, sizeof(struct pollfd));
	fds[args.count + 1].fd = -1;
	if (pthread_create(&writer, NULL, write_probes, NULL) != 0)
		die("could not start a thread");
	while (!atomic_load(&probes_done) ||
		   (args.count > 0 && probes_seen < atomic_load(&probes_made)))
	{
		serve_peers(fds);
		n = atomic_load(&probes_made);
		if (atomic_load(&probes_done) && n > 0 &&
			now_us() > probe_told[n - 1] + SILENCE)
			die("%d of %d messages were not seen", n - probes_seen, n);
	}
	pthread_join(writer, NULL);
	close_peers();
	printf("{");
	print_times("told", probe_told, probes_made);
	printf(", ");
	print_times("seen", args.count > 0 ? probe_seen : probe_told, probes_made);
	printf("}\n");
}

static Feed
parse_way(const char *name)
{
	for (int i = 0; i < (int) (sizeof(way_names) / sizeof(*way_names)); i++)
		if (strcmp(name, way_names[i]) == 0)
			return i;
	die("no such way to follow: %s", name);
}

int
main(int argc, char **argv)
{
	int			option;

	while ((option = getopt(argc, argv, "w:n:t:s:o:x:S:c:T:N:R:r:z:")) != -1)
	{
		switch (option)
		{
			case 'w':
				args.way = parse_way(optarg);
				break;
			case 'n':
				args.count = atoi(optarg);
				break;
			case 't':
				args.name = optarg;
				break;
			case 's':
				args.cursor = optarg;
				break;
			case 'o':
				args.plugin = optarg;
				break;
			case 'x':
				args.redis = optarg;
				break;
			case 'S':
				args.schema = optarg;
				break;
			case 'c':
				args.clients = atoi(optarg);
				break;
			case 'T':
				args.seconds = atof(optarg);
				break;
			case 'N':
				args.messages = atol(optarg);
				break;
			case 'R':
				args.rate = atof(optarg);
				break;
			case 'r':
				args.rooms = atoi(optarg);
				break;
			case 'z':
				args.size = atoi(optarg);
				break;
			default:
				return 1;
		}
	}
	if (optind != argc - 1)
		die("see the top of test/bench/peers.c for how to call this");
	if (strcmp(argv[optind], "write") == 0)
		run_writers();
	else if (strcmp(argv[optind], "follow") == 0)
		run_followers();
	else if (strcmp(argv[optind], "probe") == 0)
		run_probes();
	else
		die("no such thing to do: %s", argv[optind]);
	return 0;
}
