/*
 * libpq.c
 *	  chatroom through libpq: libpq TASK...
 *
 * follow prints what happens in the room "lobby" until somebody says bye
 * there; post, sync, wait, listen and errors try that, and print "ok NAME" or
 * "not ok NAME" for each thing they looked at.  The server is the one that
 * PGHOST, PGPORT, PGUSER and PGDATABASE name.
 *
 *	   cc libpq.c -o libpq -I`pg_config --includedir` -lpq -ljansson
 */
#include <jansson.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PARAMS 8

/* Types of answers, as in PostgreSQL's catalog/pg_type.h. */
#define JSONOID 114
#define JSONBOID 3802

static const char *const text = "it's \"quoted\" \\ %s $1 👍";
static int	failures = 0;

/* Give up because of what the server, or libpq, said. */
static void
die(PGconn *conn)
{
	fprintf(stderr, "error: %s", PQerrorMessage(conn));
	exit(1);
}

static PGconn *
connect_server(void)
{
	PGconn	   *conn = PQconnectdb("");

	if (PQstatus(conn) != CONNECTION_OK)
		die(conn);
	return conn;
}

/* Run a statement with n parameters, all of them text. */
static PGresult *
run(PGconn *conn, const char *sql, int n, ...)
{
	const char *params[MAX_PARAMS];
	va_list		args;

	va_start(args, n);
	for (int i = 0; i < n; i++)
		params[i] = va_arg(args, const char *);
	va_end(args);
	return PQexecParams(conn, sql, n, NULL, params, NULL, NULL, 0);
}

/* The only value of an answer, as JSON; frees the answer. */
static json_t *
value(PGconn *conn, PGresult *res)
{
	json_t	   *json;

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		die(conn);
	if (PQgetisnull(res, 0, 0))
		json = json_null();
	else if (PQftype(res, 0) == JSONOID || PQftype(res, 0) == JSONBOID)
		json = json_loads(PQgetvalue(res, 0, 0), JSON_DECODE_ANY, NULL);
	else
		json = json_string(PQgetvalue(res, 0, 0));
	PQclear(res);
	return json;
}

/* Tell of one thing: what of the things expected is otherwise?  Frees them. */
static void
report(const char *name, json_t *got, json_t *expected)
{
	const char *key;
	json_t	   *wanted;
	bool		good = true;

	json_object_foreach(expected, key, wanted)
	{
		json_t	   *found = json_object_get(got, key);

		if (found == NULL ? !json_is_null(wanted) : !json_equal(found, wanted))
			good = false;
	}
	printf("%s %s\n", good ? "ok" : "not ok", name);
	if (!good)
	{
		failures++;
		printf("# %s\n# expected %s\n",
			   json_dumps(got, JSON_ENCODE_ANY | JSON_COMPACT),
			   json_dumps(expected, JSON_COMPACT));
	}
	json_decref(got);
	json_decref(expected);
}

static json_t *
first_event(json_t *answer)
{
	return json_array_get(json_object_get(answer, "events"), 0);
}

/* A member of an object, as text that lives as long as the object. */
static const char *
get(json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static void
post_from_elsewhere(const char *what)
{
	PGconn	   *conn = connect_server();

	json_decref(value(conn,
					  run(conn, "SELECT chatroom.post('lobby', 'bobby', $1)",
						  1, what)));
	PQfinish(conn);
}

/* What is wrong with each field. */
static json_t *
form_errors(PGresult *res)
{
	json_t	   *errors = json_object();
	json_t	   *rules;
	json_t	   *rule;
	size_t		i;

	rules = json_loads(PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL), 0,
					   NULL);
	json_array_foreach(rules, i, rule)
	{
		json_object_set(errors, get(rule, "field"),
						json_object_get(rule, "message"));
	}
	json_decref(rules);
	return errors;
}

static void
follow(void)
{
	PGconn	   *conn = connect_server();
	char	   *since = NULL;
	bool		bye = false;

	while (!bye)
	{
		PGresult   *res;
		json_t	   *answer;
		json_t	   *event;
		size_t		i;

		res = run(conn, "CALL chatroom.follow_room('lobby', $1)", 1, since);
		if (PQstatus(conn) == CONNECTION_BAD)
		{
			/* Connect again, and go on from the cursor. */
			PQclear(res);
			usleep(200 * 1000);
			PQreset(conn);
			continue;
		}
		answer = value(conn, res);
		free(since);
		since = strdup(get(answer, "cursor"));
		if (json_is_true(json_object_get(answer, "reset")))
			printf("loaded %zu\n",
				   json_array_size(json_object_get(answer, "messages")));
		json_array_foreach(json_object_get(answer, "events"), i, event)
		{
			json_t	   *row = json_object_get(event, "row");

			if (strcmp(get(event, "table"), "chat.messages") == 0 &&
				strcmp(get(event, "type"), "insert") == 0)
			{
				puts(get(row, "text"));
				bye = bye || strcmp(get(row, "text"), "bye") == 0;
			}
		}
		json_decref(answer);
	}
	free(since);
	PQfinish(conn);
}

static void
post(void)
{
	static const char *const send =
		"SELECT chatroom.post($1, $2, $3, client_key => $4)";
	PGconn	   *conn = connect_server();
	PGresult   *res;
	json_t	   *sent;
	char		key[64];

	snprintf(key, sizeof(key), "libpq %d", PQbackendPID(conn));
	sent = value(conn, run(conn, send, 4, "lobby", "alice", text, key));
	report("post returns the message", json_incref(sent),
		   json_pack("{s:s, s:s, s:s}", "username", "alice", "text", text,
					 "client_key", key));
	report("the same client_key returns the same message",
		   value(conn, run(conn, send, 4, "lobby", "alice", text, key)), sent);

	res = run(conn, send, 4, "lobby", "al", "x", NULL);
	report("broken rules are told by field", form_errors(res),
		   json_pack("{s:s, s:s}",
					 "username", "should be at least 4 character(s)",
					 "text", "should be at least 2 character(s)"));
	PQclear(res);
	PQfinish(conn);
}

static json_t *
sync_until_news(PGconn *conn, const char *topic, const char *since)
{
	for (;;)
	{
		json_t	   *answer;

		answer = value(conn, run(conn, "SELECT chatroom.sync($1, $2)", 2,
								 topic, since));
		if (json_is_true(json_object_get(answer, "reset")) ||
			json_array_size(json_object_get(answer, "events")) > 0)
			return answer;
		json_decref(answer);
		usleep(10 * 1000);
	}
}

static void
sync_room(void)
{
	PGconn	   *conn = connect_server();
	json_t	   *room;
	json_t	   *sent;
	json_t	   *answer;
	json_t	   *nothing;
	char		id[32];

	room = value(conn, run(conn, "SELECT chatroom.join_room('lobby')", 0));
	snprintf(id, sizeof(id), "%" JSON_INTEGER_FORMAT,
			 json_integer_value(
				 json_object_get(json_object_get(room, "room"), "id")));
	sent = value(conn,
				 run(conn, "SELECT chatroom.post($1, 'alice', 'to a number')",
					 1, id));
	answer = sync_until_news(conn, get(room, "topic"), get(room, "cursor"));
	report("sync returns what happened since the cursor",
		   json_incref(first_event(answer)),
		   json_pack("{s:s, s:o}", "type", "insert", "row", sent));
	nothing = value(conn, run(conn, "SELECT chatroom.sync($1, $2)", 2,
							  get(room, "topic"), get(answer, "cursor")));
	report("and nothing twice", nothing,
		   json_pack("{s:b, s:[]}", "reset", 0, "events"));
	json_decref(answer);
	json_decref(room);
	PQfinish(conn);
}

static void
wait_for_news(void)
{
	static const char *const call = "CALL chatroom.wait($1, $2, $3)";
	PGconn	   *conn = connect_server();
	PGresult   *res;
	json_t	   *room;
	json_t	   *answer;
	char		topics[256];
	const char *params[3];

	room = value(conn, run(conn, "SELECT chatroom.join_room('lobby')", 0));
	snprintf(topics, sizeof(topics), "{\"%s\"}", get(room, "topic"));

	/* This connection waits, and meanwhile the program goes on. */
	params[0] = topics;
	params[1] = get(room, "cursor");
	params[2] = "30s";
	if (!PQsendQueryParams(conn, call, 3, NULL, params, NULL, NULL, 0))
		die(conn);
	post_from_elsewhere("wake up");
	answer = value(conn, PQgetResult(conn));
	while ((res = PQgetResult(conn)) != NULL)
		PQclear(res);
	report("wait returns when something happens",
		   json_incref(json_object_get(first_event(answer), "row")),
		   json_pack("{s:s, s:s}", "username", "bobby", "text", "wake up"));

	report("wait returns without events at its timeout",
		   value(conn,
				 run(conn, call, 3, topics, get(answer, "cursor"), "10ms")),
		   json_pack("{s:[]}", "events"));

	PQclear(PQexec(conn, "BEGIN"));
	res = run(conn, call, 3, topics, get(answer, "cursor"), "10ms");
	report("wait refuses a transaction block",
		   json_pack("{s:s}", "sqlstate",
					 PQresultErrorField(res, PG_DIAG_SQLSTATE)),
		   json_pack("{s:s}", "sqlstate", "25001"));
	PQclear(res);
	json_decref(answer);
	json_decref(room);
	PQfinish(conn);
}

/* The next notification, waited for. */
static PGnotify *
next_notification(PGconn *conn)
{
	PGnotify   *notify;

	while ((notify = PQnotifies(conn)) == NULL)
	{
		struct pollfd pfd = {.fd = PQsocket(conn), .events = POLLIN};

		poll(&pfd, 1, -1);
		if (!PQconsumeInput(conn))
			die(conn);
	}
	return notify;
}

static void
listen_room(void)
{
	PGconn	   *conn = connect_server();
	PGnotify   *notify;
	json_t	   *room;
	json_t	   *since;
	json_t	   *answer;

	room = value(conn, run(conn, "SELECT chatroom.join_room('lobby')", 0));
	since = value(conn, run(conn, "SELECT chatroom.listen($1)", 1,
							get(room, "topic")));
	post_from_elsewhere("ring");
	notify = next_notification(conn);
	answer = value(conn, run(conn, "SELECT chatroom.sync($1, $2)", 2,
							 get(room, "topic"), json_string_value(since)));
	report("a notification comes, with a cursor",
		   json_incref(first_event(answer)),
		   json_pack("{s:s}", "cursor", notify->extra));
	report("and sync tells what happened",
		   json_incref(json_object_get(first_event(answer), "row")),
		   json_pack("{s:s, s:s}", "username", "bobby", "text", "ring"));
	PQfreemem(notify);
	json_decref(answer);
	json_decref(since);
	json_decref(room);
	PQfinish(conn);
}

/* All that an error tells; the broken rules, where there are any. */
static json_t *
error_fields(PGresult *res)
{
	static const struct
	{
		const char *name;
		int			code;
	}			fields[] = {
		{"sqlstate", PG_DIAG_SQLSTATE},
		{"message", PG_DIAG_MESSAGE_PRIMARY},
		{"schema", PG_DIAG_SCHEMA_NAME},
		{"table", PG_DIAG_TABLE_NAME},
		{"column", PG_DIAG_COLUMN_NAME},
		{"constraint", PG_DIAG_CONSTRAINT_NAME},
		{"detail", PG_DIAG_MESSAGE_DETAIL},
	};
	json_t	   *got = json_object();
	json_t	   *rules;
	const char *detail;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
	{
		const char *field = PQresultErrorField(res, fields[i].code);

		if (field != NULL)
			json_object_set_new(got, fields[i].name, json_string(field));
	}
	detail = get(got, "detail");
	if (detail != NULL && detail[0] == '[' &&
		(rules = json_loads(detail, 0, NULL)) != NULL)
		json_object_set_new(got, "detail", rules);
	return got;
}

/* Run one statement of errors.json, which has ? where libpq has $1, $2, ... */
static void
run_case(PGconn *conn, json_t *test)
{
	json_t	   *params = json_object_get(test, "params");
	const char *values[MAX_PARAMS] = {NULL};
	char		numbers[MAX_PARAMS][32];
	char		sql[1024] = "";
	json_t	   *param;
	size_t		i;
	int			n = 0;
	PGresult   *res;
	json_t	   *got;

	for (const char *p = get(test, "sql"); *p != '\0'; p++)
	{
		size_t		used = strlen(sql);

		if (*p == '?')
			snprintf(sql + used, sizeof(sql) - used, "$%d", ++n);
		else
			snprintf(sql + used, sizeof(sql) - used, "%c", *p);
	}
	json_array_foreach(params, i, param)
	{
		values[i] = json_string_value(param);
		if (json_is_integer(param))
		{
			snprintf(numbers[i], sizeof(numbers[i]), "%" JSON_INTEGER_FORMAT,
					 json_integer_value(param));
			values[i] = numbers[i];
		}
	}

	res = PQexecParams(conn, sql, n, NULL, values, NULL, NULL, 0);
	switch (PQresultStatus(res))
	{
		case PGRES_TUPLES_OK:
			got = json_pack("{s:o}", "answer", value(conn, res));
			break;
		case PGRES_COMMAND_OK:
			got = json_object();
			PQclear(res);
			break;
		default:
			got = error_fields(res);
			PQclear(res);
			break;
	}
	report(get(test, "name"), got,
		   json_incref(json_object_get(test, "expect")));
}

static void
errors(void)
{
	json_t	   *cases = json_load_file("errors.json", 0, NULL);
	PGconn	   *conn = connect_server();
	json_t	   *test;
	size_t		i;

	json_array_foreach(cases, i, test)
	{
		run_case(conn, test);
	}
	json_decref(cases);
	PQfinish(conn);
}

static void
check(void)
{
	printf("libpq %d\n", PQlibVersion());
}

int
main(int argc, char **argv)
{
	static const struct
	{
		const char *name;
		void		(*run)(void);
	}			tasks[] = {
		{"check", check},
		{"follow", follow},
		{"post", post},
		{"sync", sync_room},
		{"wait", wait_for_news},
		{"listen", listen_room},
		{"errors", errors},
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++)
	{
		for (size_t j = 0; j < sizeof(tasks) / sizeof(tasks[0]); j++)
		{
			if (strcmp(argv[i], tasks[j].name) == 0)
				tasks[j].run();
		}
	}
	return failures > 0 ? 1 : 0;
}
