/*-------------------------------------------------------------------------
 *
 * log.c
 *	  Play a log of chat rooms, as fast as it goes, and follow it.
 *
 * The log has a line for each message: room, time, kind, nick and text, with
 * tabs between, backslashes doubled as in COPY's text format, and may be
 * compressed with gzip.  It is read into memory, and sorted by room.
 *
 * Several writers, each a thread with its connection, take room after room
 * and write its lines in the log's order, in transactions of BATCH rows, two
 * in flight.  A message's key is its line number, so three things can be told
 * for each event: whether it came, whether it came twice, and, since a room
 * is written by one session, whether its messages came in their order.
 *
 * Followers only touch their own counters; the main thread reads them after
 * they ended, but for the atomic ones.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITERS			4
#define BATCH			25
#define IN_FLIGHT		2
#define PATIENCE_US		UINT64_C(30000000)
#define BAR_WIDTH		30

typedef struct Line
{
	int			room;			/* index */
	int			nick;			/* index */
	char	   *time;
	char	   *kind;
	char	   *text;
} Line;

/* Names, each with a number. */
typedef struct Names
{
	int			n;
	int			space;
	char	  **names;
	int			nslots;			/* a power of two */
	int		   *slots;			/* number + 1, or 0 */
} Names;

/* What a follower saw. */
typedef struct Sight
{
	unsigned char *times;		/* per line, room or nick: how often */
	uint64_t   *at;				/* per line: when first; 0 by reload */
	int		   *last;			/* per room: line seen last */
	uint64_t	disorder;
	uint64_t	strange;		/* events that nothing written explains */
	atomic_ullong known;		/* how many lines, rooms or nicks are known */
} Sight;

enum
{
	MESSAGES, ROOMS, PEOPLE, NFOLLOWERS
};

static int	nlines = 0;
static Line *lines = NULL;
static Names rooms;
static Names nicks;
static int *room_start;			/* per room, and one more: into room_lines */
static int *room_lines;			/* line indexes, by room, in order */

static atomic_int next_room;
static atomic_ullong lines_written;
static atomic_ullong users_written;
static atomic_ullong rooms_written;
static _Atomic uint64_t *committed_at;	/* per line, microseconds */

static Sight sights[NFOLLOWERS];

/* Get memory, zeroed. */
static void *
get_memory(size_t n, size_t size)
{
	void	   *memory = calloc(n ? n : 1, size);

	if (memory == NULL)
		die("out of memory");
	return memory;
}

/* --------------------------------------------------------------- reading */

static uint32_t
hash_name(const char *name)
{
	uint32_t	hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char) *name) * 16777619u;
	return hash;
}

/* The slot where a name is or belongs. */
static int *
name_slot(Names *names, const char *name)
{
	uint32_t	i = hash_name(name) & (names->nslots - 1);

	while (names->slots[i] != 0 &&
		   strcmp(names->names[names->slots[i] - 1], name) != 0)
		i = (i + 1) & (names->nslots - 1);
	return &names->slots[i];
}

/* The number of a name, which is made if add; else -1. */
static int
name_number(Names *names, char *name, bool add)
{
	int		   *slot;

	if (2 * (names->n + 1) > names->nslots)
	{
		names->nslots = names->nslots ? 2 * names->nslots : 1024;
		free(names->slots);
		names->slots = get_memory(names->nslots, sizeof(int));
		for (int i = 0; i < names->n; i++)
			*name_slot(names, names->names[i]) = i + 1;
	}
	slot = name_slot(names, name);
	if (*slot == 0 && add)
	{
		if (names->n == names->space)
		{
			names->space = names->space ? 2 * names->space : 512;
			names->names = realloc(names->names,
								   names->space * sizeof(char *));
			if (names->names == NULL)
				die("out of memory");
		}
		names->names[names->n++] = name;
		*slot = names->n;
	}
	return *slot - 1;
}

/* Undo the doubling of backslashes, in place. */
static void
unescape(char *text)
{
	char	   *to = text;

	for (char *from = text; *from; from++)
	{
		if (from[0] == '\\' && from[1] == '\\')
			from++;
		*to++ = *from;
	}
	*to = '\0';
}

/* Read a whole log through gzip, which also takes what isn't compressed. */
static char *
read_all(int fd, size_t *size)
{
	char		command[50];
	FILE	   *pipe;
	size_t		space = 1 << 20;
	char	   *data = malloc(space);
	size_t		got;

	snprintf(command, sizeof(command), "gzip -dcf <&%d", fd);
	pipe = popen(command, "r");
	if (pipe == NULL || data == NULL)
		die("could not start gzip");
	*size = 0;
	while ((got = fread(data + *size, 1, space - *size - 1, pipe)) > 0)
	{
		*size += got;
		if (space - *size < 2)
		{
			space *= 2;
			data = realloc(data, space);
			if (data == NULL)
				die("out of memory");
		}
	}
	if (pclose(pipe) != 0)
		die("could not read the log");
	data[*size] = '\0';
	return data;
}

/* Cut one line into its fields. */
static void
parse_line(char *text)
{
	char	   *fields[5];
	Line	   *line = &lines[nlines++];

	for (int i = 0; i < 5; i++)
	{
		fields[i] = strsep(&text, "\t");
		if (fields[i] == NULL)
			die("line %d of the log has %d fields, not 5", nlines, i);
		unescape(fields[i]);
	}
	if (text != NULL)
		die("line %d of the log has more than 5 fields", nlines);
	line->room = name_number(&rooms, fields[0], true);
	line->time = fields[1];
	line->kind = fields[2];
	line->nick = name_number(&nicks, fields[3], true);
	line->text = fields[4];
}

/* Read the log, and sort it by room. */
static void
read_log(int fd)
{
	size_t		size;
	char	   *data = read_all(fd, &size);
	char	   *end = data + size;
	int			space = 0;
	int		   *next;

	if (memchr(data, '\0', size) != NULL)
		die("the log has zero bytes");
	for (char *start = data; start < end;)
	{
		char	   *newline = memchr(start, '\n', end - start);

		if (newline == NULL)
			newline = end;
		*newline = '\0';
		if (nlines == space)
		{
			space = space ? 2 * space : 1 << 16;
			lines = realloc(lines, space * sizeof(Line));
			if (lines == NULL)
				die("out of memory");
		}
		parse_line(start);
		start = newline + 1;
	}
	if (nlines == 0)
		die("the log is empty");

	room_start = get_memory(rooms.n + 1, sizeof(int));
	room_lines = get_memory(nlines, sizeof(int));
	next = get_memory(rooms.n, sizeof(int));
	for (int i = 0; i < nlines; i++)
		room_start[lines[i].room + 1]++;
	for (int i = 0; i < rooms.n; i++)
		next[i] = room_start[i + 1] += room_start[i];
	for (int i = nlines - 1; i >= 0; i--)
		room_lines[--next[lines[i].room]] = i;
	free(next);
	committed_at = get_memory(nlines, sizeof(*committed_at));
}

/* --------------------------------------------------------------- writing */

/* Run a statement that must work, return how many rows it wrote. */
static int
write_rows(PGconn *conn, const char *sql, int nparams,
		   const char *const *params)
{
	PGresult   *result = query(conn, sql, nparams, params);
	int			n;

	if (result == NULL)
		die("lost the connection: %s", PQerrorMessage(conn));
	n = atoi(PQcmdTuples(result));
	PQclear(result);
	return n;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/*
 * Write a room and who is in it.  Several sessions may write the same names:
 * all do it in the same order, so that they can't deadlock.
 */
static void
write_room(PGconn *conn, int room)
{
	int			n = room_start[room + 1] - room_start[room];
	char	  **names = get_memory(n, sizeof(char *));
	int			distinct = 0;
	char		id[16];
	const char *params[] = {id, rooms.names[room]};
	char	   *array;

	for (int i = 0; i < n; i++)
		names[i] = nicks.names[lines[room_lines[room_start[room] + i]].nick];
	qsort(names, n, sizeof(char *), compare_names);
	for (int i = 0; i < n; i++)
	{
		if (distinct == 0 || strcmp(names[distinct - 1], names[i]) != 0)
			names[distinct++] = names[i];
	}
	array = text_array(distinct, names);

	snprintf(id, sizeof(id), "%d", room + 1);
	atomic_fetch_add(&rooms_written,
					 write_rows(conn,
								"INSERT INTO demo.rooms VALUES ($1, $2)",
								2, params));
	params[0] = array;
	atomic_fetch_add(&users_written,
					 write_rows(conn,
								"INSERT INTO demo.users"
								" SELECT name FROM unnest($1::text[]) name"
								" ORDER BY name COLLATE \"C\""
								" ON CONFLICT DO NOTHING", 1, params));
	free(array);
	free(names);
}

/* Send a transaction of some lines, without waiting. */
static void
send_batch(PGconn *conn, const int *batch, int n)
{
	bool		sent;

	sent = PQsendQueryParams(conn, "BEGIN", 0, NULL, NULL, NULL, NULL, 0);
	for (int i = 0; i < n; i++)
	{
		const Line *line = &lines[batch[i]];
		char		key[16];
		char		room[16];
		const char *params[] = {
			key, room, line->time, line->kind, nicks.names[line->nick],
			line->text
		};

		snprintf(key, sizeof(key), "%d", batch[i] + 1);
		snprintf(room, sizeof(room), "%d", line->room + 1);
		sent &= PQsendQueryPrepared(conn, "post", 6, params, NULL, NULL, 0);
	}
	sent &= PQsendQueryParams(conn, "COMMIT", 0, NULL, NULL, NULL, NULL, 0);
	if (!sent || !PQpipelineSync(conn))
		die("could not send: %s", PQerrorMessage(conn));
}

/* Read the answers to a transaction of n lines. */
static void
read_batch(PGconn *conn, const int *batch, int n)
{
	uint64_t	now;

	for (int i = 0; i < n + 2; i++)
	{
		PGresult   *result = PQgetResult(conn);

		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			die("near line %d of the log: %s", batch[0] + 1,
				PQresultErrorMessage(result));
		PQclear(result);
		if (PQgetResult(conn) != NULL)
			die("one answer too many");
	}
	now = now_us();
	PQclear(PQgetResult(conn)); /* the pipeline's end */
	for (int i = 0; i < n; i++)
		atomic_store(&committed_at[batch[i]], now);
	atomic_fetch_add(&lines_written, n);
}

/* The thread of a writer. */
static void *
write_log(void *arg)
{
	PGconn	   *conn = connect_db();
	PGresult   *result;
	int			room;

	(void) arg;
	result = PQprepare(conn, "post",
					   "INSERT INTO demo.messages"
					   " VALUES ($1, $2, $3, $4, $5, $6)", 6, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("%s", PQerrorMessage(conn));
	PQclear(result);

	while ((room = atomic_fetch_add(&next_room, 1)) < rooms.n)
	{
		const int  *all = room_lines + room_start[room];
		int			n = room_start[room + 1] - room_start[room];
		int			done = 0;

		write_room(conn, room);
		PQenterPipelineMode(conn);
		for (int sent = 0; done < n;)
		{
			while (sent < n && sent - done < IN_FLIGHT * BATCH)
			{
				int			size = n - sent < BATCH ? n - sent : BATCH;

				send_batch(conn, all + sent, size);
				sent += size;
			}
			read_batch(conn, all + done, n - done < BATCH ? n - done : BATCH);
			done += n - done < BATCH ? n - done : BATCH;
		}
		if (!PQexitPipelineMode(conn))
			die("%s", PQerrorMessage(conn));
	}
	PQfinish(conn);
	return NULL;
}

/* ------------------------------------------------------------- following */

/* Something with this number was seen. */
static bool
count_sight(Sight *sight, int number)
{
	if (sight->times[number] < 255)
		sight->times[number]++;
	if (sight->times[number] > 1)
		return false;
	atomic_fetch_add(&sight->known, 1);
	return true;
}

/* A follower of messages sees one. */
static void
see_message(Follower *follower, json_t *event, uint64_t now)
{
	Sight	   *sight = follower->arg;
	json_t	   *key = json_object_get(event, "key");
	json_int_t	line = json_integer_value(json_object_get(key, "line")) - 1;
	int			room;

	if (line < 0 || line >= nlines)
	{
		sight->strange++;
		return;
	}
	if (!count_sight(sight, line))
		return;
	sight->at[line] = now;
	room = lines[line].room;
	if (sight->last[room] > line)
		sight->disorder++;
	sight->last[room] = line;
}

/* The follower of people and rooms sees one; nicks count on from rooms. */
static void
see_person(Follower *follower, json_t *event, uint64_t now)
{
	Sight	   *sight = follower->arg;
	json_t	   *key = json_object_get(event, "key");
	json_t	   *name = json_object_get(key, "name");
	int			number;

	(void) now;
	if (json_is_string(name))
	{
		number = name_number(&nicks, (char *) json_string_value(name), false);
		number = number < 0 ? -1 : rooms.n + number;
	}
	else
	{
		number = json_integer_value(json_object_get(key, "id")) - 1;
		if (number >= rooms.n)
			number = -1;
	}
	if (number < 0)
		sight->strange++;
	else
		count_sight(sight, number);
}

/* After a reset: what is in the table is known. */
static void
reload_messages(Follower *follower, PGconn *conn)
{
	Sight	   *sight = follower->arg;
	PGresult   *result = query(conn, "SELECT line FROM demo.messages", 0,
							   NULL);

	for (int i = 0; i < PQntuples(result); i++)
	{
		int			line = atoi(PQgetvalue(result, i, 0)) - 1;

		if (sight->times[line] == 0)
			count_sight(sight, line);
		if (line > sight->last[lines[line].room])
			sight->last[lines[line].room] = line;
	}
	PQclear(result);
}

/* The same for people and rooms. */
static void
reload_people(Follower *follower, PGconn *conn)
{
	Sight	   *sight = follower->arg;
	PGresult   *result = query(conn,
							   "SELECT NULL, id FROM demo.rooms"
							   " UNION ALL SELECT name, NULL FROM demo.users",
							   0, NULL);

	for (int i = 0; i < PQntuples(result); i++)
	{
		int			number = PQgetisnull(result, i, 0) ?
			atoi(PQgetvalue(result, i, 1)) - 1 :
			rooms.n + name_number(&nicks, PQgetvalue(result, i, 0), false);

		if (sight->times[number] == 0)
			count_sight(sight, number);
	}
	PQclear(result);
}

/* ---------------------------------------------------------------- output */

/* A number with commas, in one of a few static buffers. */
static const char *
commas(uint64_t number)
{
	static char buffers[8][32];
	static int	next = 0;
	char	   *buffer = buffers[next++ % 8];
	char	   *to = buffer + 31;
	int			digits = 0;

	*to = '\0';
	do
	{
		if (digits > 0 && digits % 3 == 0)
			*--to = ',';
		*--to = '0' + number % 10;
		number /= 10;
		digits++;
	} while (number > 0);
	return to;
}

/* Show how far it is, each time on a terminal, else at every tenth. */
static void
progress(uint64_t start, int *shown)
{
	uint64_t	written = atomic_load(&lines_written);
	uint64_t	followed = atomic_load(&sights[MESSAGES].known);
	uint64_t	elapsed = now_us() - start;
	uint64_t	rate = elapsed ? written * 1000000 / elapsed : 0;
	int			percent = written * 100 / nlines;

	if (print_is_terminal)
	{
		int			filled = written * BAR_WIDTH / nlines;

		printf("\r  [%s", green());
		for (int i = 0; i < BAR_WIDTH; i++)
			printf("%s", i < filled ? "█" : "·");
		printf("%s] %3d %%  %s lines, %s/s, followed %s  ", plain(), percent,
			   commas(written), commas(rate), commas(followed));
		fflush(stdout);
	}
	else if (percent / 10 > *shown)
	{
		*shown = percent / 10;
		printf("  %3d %%  %s lines, %s/s, followed %s\n", percent,
			   commas(written), commas(rate), commas(followed));
	}
}

/*
 * Print what a follower saw of what there was, add what it missed to *total;
 * false if it wasn't all, or not as it should be.
 */
static bool
judge(Follower *follower, const char *what, int n, uint64_t expected,
	  uint64_t *total)
{
	Sight	   *sight = follower->arg;
	uint64_t	missing = 0;
	uint64_t	twice = 0;
	uint64_t	resets = atomic_load(&follower->resets);
	bool		good;

	for (int i = 0; i < n; i++)
	{
		missing += sight->times[i] == 0;
		twice += sight->times[i] > 1;
	}
	good = missing == 0 && twice == 0 && sight->disorder == 0 &&
		sight->strange == 0 && expected == (uint64_t) n;
	*total += missing;

	printf("  ");
	print_padded(what, 36);
	print_right(commas(n - missing), 9);
	printf("%s, missing %s, twice %s, out of order %s%s",
		   good ? green() : red(), commas(missing), commas(twice),
		   commas(sight->disorder), plain());
	if (sight->strange > 0)
		printf(", %sunexplained %s%s", red(), commas(sight->strange), plain());
	if (resets > 0)
		printf(", reloaded %s times after a reset", commas(resets));
	if (sight->at)
	{
		uint64_t   *times = get_memory(n, sizeof(uint64_t));
		char		text[2][32];
		int			m = 0;

		for (int i = 0; i < n; i++)
		{
			uint64_t	committed = atomic_load(&committed_at[i]);

			if (sight->at[i] > 0)
				times[m++] = sight->at[i] > committed ?
					sight->at[i] - committed : 0;
		}
		printf("; after COMMIT p50 %s, p99 %s",
			   duration(percentile(times, m, 50), text[0], 32),
			   duration(percentile(times, m, 99), text[1], 32));
		free(times);
	}
	printf("\n");
	return good;
}

/* The tables, watched. */
static void
make_tables(void)
{
	static const char *const steps[] = {
		"CREATE EXTENSION chatroom",
		"CREATE SCHEMA demo",
		"CREATE TABLE demo.rooms (id int PRIMARY KEY, name text NOT NULL)",
		"CREATE TABLE demo.users (name text PRIMARY KEY)",
		"CREATE TABLE demo.messages (line int PRIMARY KEY,"
		" room_id int NOT NULL REFERENCES demo.rooms ON DELETE CASCADE,"
		" at timestamptz NOT NULL, kind text NOT NULL,"
		" nick text NOT NULL REFERENCES demo.users, text text NOT NULL)",
		"SELECT chatroom.watch('demo.rooms')",
		"SELECT chatroom.watch('demo.users')",
		"SELECT chatroom.watch('demo.messages',"
		" topic_columns => '{room_id}')"
	};
	PGconn	   *conn = connect_db();

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		write_rows(conn, steps[i], 0, NULL);
	PQfinish(conn);
}

/* Fill in a follower and what it will see. */
static void
prepare_follower(Follower *follower, int i, const char *name, Way way,
				 int ntopics, char **topics)
{
	bool		people = i == PEOPLE;
	Sight	   *sight = &sights[i];

	sight->times = get_memory(people ? rooms.n + nicks.n : nlines, 1);
	if (!people)
	{
		sight->at = get_memory(nlines, sizeof(uint64_t));
		sight->last = get_memory(rooms.n, sizeof(int));
	}
	follower->name = name;
	follower->way = way;
	follower->ntopics = ntopics;
	follower->topics = topics;
	follower->on_event = people ? see_person : see_message;
	follower->on_reload = people ? reload_people : reload_messages;
	follower->arg = sight;
	follower_start(follower);
}

/* Wait until the followers know all, or one gets no further. */
static void
await_followers(void)
{
	uint64_t	want = 2 * (uint64_t) nlines + rooms.n + nicks.n;
	uint64_t	last = 0;
	uint64_t	since = now_us();

	for (;;)
	{
		uint64_t	known = 0;

		for (int i = 0; i < NFOLLOWERS; i++)
			known += atomic_load(&sights[i].known);
		if (known >= want)
			break;
		if (known != last)
		{
			last = known;
			since = now_us();
		}
		else if (now_us() - since > PATIENCE_US)
			break;
		sleep_ms(1);
	}
}

/* All of it; false if anything was missing. */
bool
play_log(int fd)
{
	static char *all_messages[] = {"demo.messages"};
	static char *people[] = {"demo.users", "demo.rooms"};
	static Follower followers[NFOLLOWERS];
	pthread_t	writers[WRITERS];
	char	  **room_topics;
	uint64_t	start;
	uint64_t	written = 0;	/* the last commit */
	uint64_t	followed = 0;	/* the last message seen */
	uint64_t	elapsed;
	uint64_t	rows;
	uint64_t	events = 0;
	uint64_t	missing = 0;
	int			shown = 0;
	bool		good;
	char		text[32];

	read_log(fd);
	printf("  the log has %s lines of %s people in %s rooms\n",
		   commas(nlines), commas(nicks.n), commas(rooms.n));
	make_tables();

	room_topics = get_memory(rooms.n, sizeof(char *));
	for (int i = 0; i < rooms.n; i++)
	{
		if (asprintf(&room_topics[i], "demo.messages.room_id:%d", i + 1) < 0)
			die("out of memory");
	}
	prepare_follower(&followers[MESSAGES], MESSAGES, "wait", BY_WAIT, 1,
					 all_messages);
	prepare_follower(&followers[ROOMS], ROOMS, "sync", BY_SYNC, rooms.n,
					 room_topics);
	prepare_follower(&followers[PEOPLE], PEOPLE, "listen", BY_LISTEN, 2,
					 people);

	printf("  %d sessions write, in transactions of %d lines\n", WRITERS,
		   BATCH);
	start = now_us();
	for (int i = 0; i < WRITERS; i++)
	{
		if (pthread_create(&writers[i], NULL, write_log, NULL) != 0)
			die("could not start a thread");
	}
	while (atomic_load(&lines_written) < (uint64_t) nlines)
	{
		progress(start, &shown);
		sleep_ms(50);
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	await_followers();
	progress(start, &shown);
	if (print_is_terminal)
		printf("\n");
	for (int i = 0; i < NFOLLOWERS; i++)
	{
		follower_stop(&followers[i]);
		events += atomic_load(&followers[i].events);
	}
	for (int i = 0; i < nlines; i++)
	{
		if (committed_at[i] > written)
			written = committed_at[i];
		for (int f = 0; f < PEOPLE; f++)
		{
			if (sights[f].at[i] > followed)
				followed = sights[f].at[i];
		}
	}
	rows = lines_written + users_written + rooms_written;
	elapsed = written - start;

	printf("\n%sWho followed what%s\n", bold(), plain());
	good = judge(&followers[MESSAGES], "wait, all messages", nlines,
				 lines_written, &missing);
	good &= judge(&followers[ROOMS], "sync, messages by room", nlines,
				  lines_written, &missing);
	good &= judge(&followers[PEOPLE], "listen, people and rooms",
				  rooms.n + nicks.n, users_written + rooms_written, &missing);
	printf("  %s rows/s; the last event was seen %s after the last COMMIT\n",
		   commas(rows * 1000000 / elapsed),
		   duration(followed > written ? followed - written : 0, text,
					sizeof(text)));
	printf("%srows written %s, events followed %s, missing %s, in %s: "
		   "%s lines/s%s\n", good ? green() : red(), commas(rows),
		   commas(events), commas(missing),
		   duration(elapsed, text, sizeof(text)),
		   commas((uint64_t) nlines * 1000000 / elapsed), plain());
	return good;
}
