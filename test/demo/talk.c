/*-------------------------------------------------------------------------
 *
 * talk.c
 *	  A conversation, and who sees what of it, how fast.
 *
 * The main thread is all who write: it commits something, waits until every
 * follower has seen it, and prints how long that took.  What was committed is
 * kept in "expected", in commit order; what a follower saw, in its own list.
 * In the end they must be equal.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_TOPIC		"demo.messages.room_id:1"
#define PATIENCE_US		UINT64_C(20000000)
#define LIVELY_POSTS	300
#define LABEL_WIDTH		50
#define TIME_WIDTH		10

/* One event: what it is, and when it was committed or seen. */
typedef struct Happening
{
	char	   *what;			/* type, table and key */
	uint64_t	at;				/* microseconds; 0: not measured */
} Happening;

typedef struct List
{
	pthread_mutex_t lock;
	int			n;
	int			space;
	Happening  *all;
} List;

/* Someone who writes. */
typedef struct Writer
{
	const char *name;
	PGconn	   *conn;
} Writer;

enum
{
	WAIT, LISTEN, SYNC, NFOLLOWERS
};

static char *room_topics[] = {ROOM_TOPIC, "demo.rooms:1"};

static List expected = {.lock = PTHREAD_MUTEX_INITIALIZER};
static List seen[NFOLLOWERS + 1] = {
	{.lock = PTHREAD_MUTEX_INITIALIZER},
	{.lock = PTHREAD_MUTEX_INITIALIZER},
	{.lock = PTHREAD_MUTEX_INITIALIZER},
	{.lock = PTHREAD_MUTEX_INITIALIZER}
};
static Follower followers[NFOLLOWERS];
static Follower dora;

/* Add to a list. */
static void
list_add(List *list, char *what, uint64_t at)
{
	pthread_mutex_lock(&list->lock);
	if (list->n == list->space)
	{
		list->space = list->space ? 2 * list->space : 256;
		list->all = realloc(list->all, list->space * sizeof(Happening));
		if (list->all == NULL)
			die("out of memory");
	}
	list->all[list->n].what = what;
	list->all[list->n].at = at;
	list->n++;
	pthread_mutex_unlock(&list->lock);
}

static int
list_length(List *list)
{
	int			n;

	pthread_mutex_lock(&list->lock);
	n = list->n;
	pthread_mutex_unlock(&list->lock);
	return n;
}

static Happening
list_get(List *list, int i)
{
	Happening	happening;

	pthread_mutex_lock(&list->lock);
	happening = list->all[i];
	pthread_mutex_unlock(&list->lock);
	return happening;
}

/* A follower sees an event. */
static void
see(Follower *follower, json_t *event, uint64_t now)
{
	const char *type = json_string_value(json_object_get(event, "type"));
	const char *table = json_string_value(json_object_get(event, "table"));
	json_t	   *key = json_object_get(event, "key");
	char	   *key_text = json_dumps(key, JSON_COMPACT | JSON_ENCODE_ANY);
	char	   *what;

	if (asprintf(&what, "%s %s %s", type ? type : "?", table ? table : "?",
				 key_text ? key_text : "?") < 0)
		die("out of memory");
	free(key_text);
	list_add(follower->arg, what, now);
}

/* Note what a commit was to bring. */
static void
expect(const char *type, const char *table, const char *id, uint64_t at)
{
	char	   *what;

	if (asprintf(&what, "%s demo.%s {\"id\":%s}", type, table, id) < 0)
		die("out of memory");
	list_add(&expected, what, at);
}

/* Wait until a follower has seen all that is expected. */
static bool
await(Follower *follower)
{
	uint64_t	give_up = now_us() + PATIENCE_US;
	int			n = list_length(&expected);

	while (list_length(follower->arg) < n)
	{
		if (now_us() > give_up)
			return false;
		sleep_ms(1);
	}
	return true;
}

/* Print one event, and how long after COMMIT each follower saw it. */
static void
report(const char *label, int i)
{
	Happening	committed = list_get(&expected, i);
	char		text[32];

	printf("  ");
	print_padded(label, LABEL_WIDTH);
	for (int f = 0; f < NFOLLOWERS; f++)
	{
		Happening	saw = {NULL, 0};

		if (list_length(&seen[f]) > i)
			saw = list_get(&seen[f], i);
		if (saw.what == NULL || strcmp(saw.what, committed.what) != 0)
		{
			printf("%s", red());
			print_right(saw.what ? "other" : "nothing", TIME_WIDTH);
		}
		else
		{
			printf("%s", green());
			print_right(duration(saw.at > committed.at ?
								 saw.at - committed.at : 0,
								 text, sizeof(text)), TIME_WIDTH);
		}
		printf("%s", plain());
	}
	printf("\n");
}

/* All that is expected from number "from" on is there: wait for it, show it. */
static void
show(int from, int n, const char *const *labels)
{
	for (int f = 0; f < NFOLLOWERS; f++)
		await(&followers[f]);
	for (int i = 0; i < n; i++)
		report(labels[i], from + i);
}

/* Run a statement of a writer that answers an id. */
static char *
write_row(Writer *writer, const char *sql, const char *text)
{
	const char *params[] = {writer->name, text};
	char	   *id = query_text(writer->conn, sql, 2, params);

	if (id == NULL)
		die("%s lost the connection", writer->name);
	return id;
}

static void
command(PGconn *conn, const char *sql)
{
	PGresult   *result = query(conn, sql, 0, NULL);

	if (result == NULL)
		die("lost the connection");
	PQclear(result);
}

#define POST \
	"INSERT INTO demo.messages (room_id, username, text)" \
	" VALUES (1, $1, $2) RETURNING id"
#define EDIT \
	"UPDATE demo.messages SET text = $2 WHERE id = (SELECT max(id)" \
	" FROM demo.messages WHERE username = $1) RETURNING id"
#define REMOVE \
	"DELETE FROM demo.messages WHERE id = (SELECT max(id)" \
	" FROM demo.messages WHERE username = $1 AND text <> $2) RETURNING id"
#define RENAME_ROOM \
	"UPDATE demo.rooms SET name = $2 WHERE id = 1 AND $1 <> '' RETURNING id"

/* One statement, one event: commit it, show it. */
static void
say(Writer *writer, const char *sql, const char *type, const char *verb,
	const char *text)
{
	int			from = list_length(&expected);
	char	   *id = write_row(writer, sql, text);
	uint64_t	at = now_us();
	char		label[200];
	const char *labels[] = {label};

	expect(type, sql == (const char *) RENAME_ROOM ? "rooms" : "messages", id,
		   at);
	snprintf(label, sizeof(label), "%s%s %s", writer->name, verb, text);
	show(from, 1, labels);
	free(id);
}

/* The tables of a chat, watched. */
static void
make_tables(PGconn *conn)
{
	static const char *const tables[] = {"rooms", "users", "messages"};

	command(conn, "CREATE EXTENSION chatroom");
	command(conn, "CREATE SCHEMA demo");
	command(conn,
			"CREATE TABLE demo.rooms ("
			" id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
			" name text NOT NULL UNIQUE)");
	command(conn, "CREATE TABLE demo.users (name text PRIMARY KEY)");
	command(conn,
			"CREATE TABLE demo.messages ("
			" id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
			" room_id bigint NOT NULL"
			"  REFERENCES demo.rooms ON DELETE CASCADE,"
			" username text NOT NULL REFERENCES demo.users,"
			" text text NOT NULL,"
			" inserted_at timestamptz NOT NULL DEFAULT now())");
	for (int i = 0; i < 3; i++)
	{
		char		sql[100];
		char	   *topic;

		snprintf(sql, sizeof(sql), "SELECT chatroom.watch('demo.%s')",
				 tables[i]);
		topic = query_text(conn, sql, 0, NULL);
		if (topic == NULL)
			die("lost the connection");
		printf("  %s;%*s→ topic %s\n", sql,
			   (int) (12 - strlen(tables[i])), "", topic);
		free(topic);
	}
	command(conn, "INSERT INTO demo.rooms (name) VALUES ('garden')");
	command(conn, "INSERT INTO demo.users VALUES ('anna'), ('ben'), ('carla')");
}

/* Part 1: people talk. */
static void
talk(Writer *anna, Writer *ben, Writer *carla)
{
	int			from;
	char	   *first;
	char	   *second;
	uint64_t	at;
	const char *labels[] = {
		"ben: two messages in one transaction,",
		"ben: both come at once, a rolled-back one doesn't"
	};

	printf("\n%sThree people write, three sessions follow the room, each in "
		   "its own way%s\n"
		   "  wait    CALL chatroom.wait(…): sleeps in the server until there "
		   "is news\n"
		   "  listen  chatroom.listen(…), and chatroom.sync_many(…) when the "
		   "doorbell rings\n"
		   "  sync    chatroom.sync_many(…) every 10 ms\n\n  %s",
		   bold(), plain(), dim());
	print_padded("seen how long after COMMIT returned", LABEL_WIDTH);
	print_right("wait", TIME_WIDTH);
	print_right("listen", TIME_WIDTH);
	print_right("sync", TIME_WIDTH);
	printf("%s\n", plain());

	say(anna, POST, "insert", ":", "Is anyone watering the tomatoes?");
	say(ben, POST, "insert", ":", "I did, this mornign.");
	say(ben, EDIT, "update", " edits:", "I did, this morning.");
	say(carla, POST, "insert", ":", "Grüße aus dem Urlaub! 🍅");

	from = list_length(&expected);
	command(ben->conn, "BEGIN");
	first = write_row(ben, POST, "They need more sun.");
	command(ben->conn, "SAVEPOINT s");
	free(write_row(ben, POST, "never said"));
	command(ben->conn, "ROLLBACK TO s");
	second = write_row(ben, POST, "And a stick each.");
	command(ben->conn, "COMMIT");
	at = now_us();
	expect("insert", "messages", first, at);
	expect("insert", "messages", second, at);
	show(from, 2, labels);
	free(first);
	free(second);

	command(carla->conn, "BEGIN");
	free(write_row(carla, POST, "never said either"));
	command(carla->conn, "ROLLBACK");

	say(anna, RENAME_ROOM, "update", " renames the room:", "greenhouse");
	say(carla, REMOVE, "delete", " deletes a message", "");
}

/* Part 2: more of it, for figures. */
static void
talk_lively(Writer *writers)
{
	int			from = list_length(&expected);

	for (int i = 0; i < LIVELY_POSTS; i++)
	{
		Writer	   *writer = &writers[i % 3];
		char	   *id = write_row(writer, POST, "So much to do in a garden!");

		expect("insert", "messages", id, now_us());
		free(id);
		sleep_ms(4);
	}
	for (int f = 0; f < NFOLLOWERS; f++)
		await(&followers[f]);

	for (int row = 0; row < 2; row++)
	{
		char		label[100];

		snprintf(label, sizeof(label), row == 0 ?
				 "%d more, 4 ms apart: half of them within" :
				 "99 %% of them within", LIVELY_POSTS);
		printf("  ");
		print_padded(label, LABEL_WIDTH);
		for (int f = 0; f < NFOLLOWERS; f++)
		{
			uint64_t	times[LIVELY_POSTS];
			int			n = 0;
			int			end = list_length(&seen[f]);
			char		text[32];

			if (end > from + LIVELY_POSTS)
				end = from + LIVELY_POSTS;
			for (int i = from; i < end; i++)
			{
				uint64_t	committed = list_get(&expected, i).at;
				uint64_t	saw = list_get(&seen[f], i).at;

				times[n++] = saw > committed ? saw - committed : 0;
			}
			print_right(duration(percentile(times, n, row == 0 ? 50 : 99),
								 text, sizeof(text)), TIME_WIDTH);
		}
		printf("\n");
	}
}

/* Dora comes back: how long until she knows all, in how many calls? */
static void
return_of_dora(void)
{
	int			before = list_length(dora.arg);
	uint64_t	calls = atomic_load(&dora.calls);
	uint64_t	start = now_us();
	uint64_t	took;
	char		text[32];

	follower_start(&dora);
	await(&dora);
	took = now_us() - start;
	printf("  dora is back with her cursor: %s%d events%s at once, "
		   "in %llu call%s, %s with connecting\n",
		   green(), list_length(dora.arg) - before, plain(),
		   (unsigned long long) (atomic_load(&dora.calls) - calls),
		   atomic_load(&dora.calls) - calls == 1 ? "" : "s",
		   duration(took, text, sizeof(text)));
}

/* Part 3: someone is away, and comes back. */
static void
talk_behind_dora(Writer *anna, Writer *ben)
{
	printf("\n%sDora, who followed too, closes her laptop%s\n",
		   bold(), plain());
	follower_stop(&dora);
	say(anna, POST, "insert", ":", "Dora will miss this.");
	say(ben, POST, "insert", ":", "She won't, she has a cursor.");
	say(ben, EDIT, "update", " edits:", "She won't: she keeps her cursor.");
	return_of_dora();
}

/* A thread that writes as fast as it can until the server is gone. */
static void *
write_until_killed(void *arg)
{
	Writer	   *writer = arg;
	const char *params[] = {writer->name, "Quick, before the storm!"};
	intptr_t	acknowledged = 0;
	char	   *id;

	while ((id = query_text(writer->conn, POST, 2, params)) != NULL)
	{
		acknowledged++;
		free(id);
	}
	return (void *) acknowledged;
}

/* Part 4: the server is killed while someone writes. */
static void
talk_through_crash(Writer *writers)
{
	PGresult   *result;
	pthread_t	thread;
	void	   *acknowledged;
	char	   *last;
	char		text[32];
	uint64_t	start;

	printf("\n%sThe server is killed with -9 while carla writes, and dora is "
		   "away%s\n", bold(), plain());
	follower_stop(&dora);
	last = query_text(writers[0].conn, "SELECT max(id) FROM demo.messages", 0,
					  NULL);
	if (last == NULL)
		die("lost the connection");
	if (pthread_create(&thread, NULL, write_until_killed, &writers[2]) != 0)
		die("could not start a thread");
	sleep_ms(400);
	kill_server();
	pthread_join(thread, &acknowledged);
	start = now_us();
	start_server();
	printf("  started again in %s\n",
		   duration(now_us() - start, text, sizeof(text)));

	for (int i = 0; i < 3; i++)
	{
		PQfinish(writers[i].conn);
		writers[i].conn = connect_db();
	}
	/* One session wrote, so the ids' order is that of the commits. */
	result = query(writers[0].conn,
				   "SELECT id FROM demo.messages WHERE id > $1 ORDER BY id",
				   1, (const char *const *) &last);
	if (result == NULL)
		die("lost the connection");
	for (int i = 0; i < PQntuples(result); i++)
		expect("insert", "messages", PQgetvalue(result, i, 0), 0);
	printf("  carla's commits acknowledged: %ld, in the table: %d\n",
		   (long) (intptr_t) acknowledged, PQntuples(result));
	if (PQntuples(result) < (intptr_t) acknowledged)
		die("the server lost acknowledged commits");
	PQclear(result);
	free(last);

	for (int f = 0; f < NFOLLOWERS; f++)
	{
		bool		all = await(&followers[f]);

		printf("  %s connected again, went on from its cursor, and %s\n",
			   followers[f].name, all ? "has seen all" : "misses some");
	}
	return_of_dora();
	say(&writers[0], POST, "insert", ":", "That was close.");
	await(&dora);
}

static int
compare_happenings(const void *a, const void *b)
{
	return strcmp(((const Happening *) a)->what,
				  ((const Happening *) b)->what);
}

/* Compare what a follower saw with what was committed, print it. */
static bool
judge(Follower *follower)
{
	List	   *list = follower->arg;
	int			n = expected.n;
	int			m = list->n;
	int			disorder = 0;
	int			missing = 0;
	int			extra = 0;
	Happening  *left = malloc((n + 1) * sizeof(Happening));
	Happening  *right = malloc((m + 1) * sizeof(Happening));
	unsigned long long resets = atomic_load(&follower->resets);
	bool		good;

	for (int i = 0; i < n && i < m; i++)
		disorder += strcmp(expected.all[i].what, list->all[i].what) != 0;
	memcpy(left, expected.all, n * sizeof(Happening));
	memcpy(right, list->all, m * sizeof(Happening));
	qsort(left, n, sizeof(Happening), compare_happenings);
	qsort(right, m, sizeof(Happening), compare_happenings);
	for (int i = 0, j = 0; i < n || j < m;)
	{
		int			order = i == n ? 1 : j == m ? -1 :
			strcmp(left[i].what, right[j].what);

		missing += order < 0;
		extra += order > 0;
		i += order <= 0;
		j += order >= 0;
	}
	free(left);
	free(right);
	good = disorder == 0 && missing == 0 && extra == 0 && resets == 0;

	printf("  %s", good ? green() : red());
	print_padded(follower->name, 8);
	printf("%9d%9d%9d%9d%9d%9llu%9llu%s\n", n, m, missing, extra, disorder,
		   resets,
		   (unsigned long long) atomic_load(&follower->reconnects), plain());
	return good;
}

/* The whole of it; false if anything was missing. */
bool
play_conversation(void)
{
	static const char *const names[] = {"wait", "listen", "sync"};
	static const Way ways[] = {BY_WAIT, BY_LISTEN, BY_SYNC};
	Writer		writers[] = {{"anna", NULL}, {"ben", NULL}, {"carla", NULL}};
	bool		good = true;

	for (int i = 0; i < 3; i++)
		writers[i].conn = connect_db();
	make_tables(writers[0].conn);

	for (int f = 0; f <= NFOLLOWERS; f++)
	{
		Follower   *follower = f < NFOLLOWERS ? &followers[f] : &dora;

		follower->name = f < NFOLLOWERS ? names[f] : "dora";
		follower->way = f < NFOLLOWERS ? ways[f] : BY_WAIT;
		follower->ntopics = 2;
		follower->topics = room_topics;
		follower->on_event = see;
		follower->arg = &seen[f];
		follower_start(follower);
	}

	talk(&writers[0], &writers[1], &writers[2]);
	talk_lively(writers);
	talk_behind_dora(&writers[0], &writers[1]);
	talk_through_crash(writers);

	for (int f = 0; f < NFOLLOWERS; f++)
		follower_stop(&followers[f]);
	follower_stop(&dora);

	printf("\n%sIn the end%s\n  %s", bold(), plain(), dim());
	print_padded("", 8);
	printf("expected     seen  missing    extra disorder   resets lost con.%s\n",
		   plain());
	for (int f = 0; f < NFOLLOWERS; f++)
		good &= judge(&followers[f]);
	good &= judge(&dora);
	printf("%s%s%s\n", good ? green() : red(), good ?
		   "Everyone saw everything, in order, none twice." :
		   "Not everyone saw everything as it was committed.", plain());

	for (int i = 0; i < 3; i++)
		PQfinish(writers[i].conn);
	return good;
}
