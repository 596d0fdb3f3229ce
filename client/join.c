/*-------------------------------------------------------------------------
 *
 * join.c
 *	  chatroom join: take part in a room.
 *
 * One connection follows the room, and is always in a call of follow_room();
 * another one posts, edits, says that we are here and type.  Both come back
 * when they are lost; the cursor is kept, so nothing is lost with them.
 *
 * What is to be done stands in a queue.  A post has a key of its own, so it
 * can be sent again when a connection is lost before its answer came.
 *
 * After a reset the room's newest page may not reach back to what was shown:
 * then the pages before are read on the same connection, before any is shown.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define PATIENCE_MS		30000	/* for an answer */
#define MAX_PAGES		20		/* that are read to fill a gap */
#define MAX_QUEUE		50		/* lines that are read ahead from a pipe */
#define TYPING_MS		2000	/* say so again; the server takes 5 s */
#define SEARCH_MS		30000	/* how long to look for a primary */
#define SEEN_MS			60000	/* how long to wait for what was posted */
#define MAX_PARAMS		6

/* What the connection that follows was asked. */
typedef enum Question
{
	FOLLOW,
	FILL_GAP,
	CREATE
} Question;

typedef enum Kind
{
	POST,
	EDIT,
	DELETE,
	HISTORY,
	TRACK,
	TYPING
} Kind;

typedef struct Command Command;

struct Command
{
	Kind		kind;
	char	   *id;				/* of a message, or of a post's key */
	char	   *text;			/* TYPING: do we? */
	int			tries;
	int64_t		since;			/* looking for a primary; 0: not */
	Command    *next;
};

static const Options *options;
static const char *me;
static bool done;
static int	exit_status;

/* Following. */
static Link *follower;
static Question question;
static char *cursor;
static PGresult *pages[MAX_PAGES];	/* of a reload, the newest first */
static Json page_answers[MAX_PAGES];
static int	npages;
static bool was_reset;			/* the last answer was one */
static bool told_lost;
static bool tried_create;

/* Posting. */
static Link *poster;
static Command *queue;
static Command *sent;			/* the one that runs, first of the queue */
static int	queue_length;
static bool no_keys;			/* tables of version 1 */
static bool told_read_only;
static bool told_failed;
static char **awaited;			/* ids of what was posted and not yet seen */
static int	nawaited;
static int64_t awaited_since;
static int64_t typed_at;		/* when we last said so; 0: we don't type */

static void finish_answer(void);

/* ------------------------------------------------------------ statements */

/*
 * Send a call; its parameters are taken as text.  With --act-as, of the user
 * that we act for: that is over with the transaction.
 */
static void
send_call(Link *link, const char *call, int nparams, const char **params)
{
	char	   *sql;

	if (options->act_as)
	{
		sql = format_text("WITH user_is AS MATERIALIZED"
						  " (SELECT chatroom.act_as($%d))"
						  " SELECT %s FROM user_is", nparams + 1, call);
		params[nparams++] = me;
	}
	else
		sql = format_text("SELECT %s", call);
	link_query(link, sql, nparams, params, PATIENCE_MS);
	free(sql);
}

/* Ask what happens next. */
static void
ask_follow(void)
{
	const char *params[] = {
		chat_begun() ? chat_room_id() : options->room, cursor,
		options->act_as ? me : NULL, options->prefix
	};

	question = FOLLOW;
	link_query(follower, "CALL chatroom.follow_room($1::text, $2, '10s',"
			   " 1000, NULL::json, $3, $4)", 4, params, PATIENCE_MS);
}

/* Ask for the page before those that we have. */
static void
ask_page(void)
{
	char	   *before = json_text(json_get(page_answers[npages - 1], "next"));
	const char *params[MAX_PARAMS] = {
		chat_room_id(), before, options->prefix
	};

	question = FILL_GAP;
	send_call(follower, "chatroom.list_messages($1::text, $2, 100, $3)", 3,
			  params);
	free(before);
}

static void
ask_create(void)
{
	const char *params[MAX_PARAMS] = {options->room, options->prefix};

	question = CREATE;
	tried_create = true;
	send_call(follower, "chatroom.create_room($1, false, $2)", 2, params);
}

/* Send the first command of the queue. */
static void
send_command(void)
{
	Command    *command = queue;
	const char *room = chat_room_id();
	const char *prefix = options->prefix;

	sent = command;
	switch (command->kind)
	{
		case POST:
			send_call(poster, "chatroom.post($1::text, $2, $3, $4, $5)", 5,
					  (const char *[MAX_PARAMS]){room, me, command->text,
												 no_keys ? NULL : command->id,
												 prefix});
			break;
		case EDIT:
			send_call(poster, "chatroom.edit_message($1::bigint, $2, $3)", 3,
					  (const char *[MAX_PARAMS]){command->id, command->text,
												 prefix});
			break;
		case DELETE:
			send_call(poster, "chatroom.delete_message($1::bigint, $2)", 2,
					  (const char *[MAX_PARAMS]){command->id, prefix});
			break;
		case HISTORY:
			send_call(poster,
					  "chatroom.list_messages($1::text, $2, 30, $3)", 3,
					  (const char *[MAX_PARAMS]){room, chat_older(),
												 prefix});
			break;
		case TRACK:
			send_call(poster, "chatroom.track($1, $2)", 2,
					  (const char *[MAX_PARAMS]){chat_topic(), me});
			break;
		case TYPING:
			send_call(poster,
					  "chatroom.typing($1::text, $2, $3::boolean, $4)", 4,
					  (const char *[MAX_PARAMS]){room, me, command->text,
												 prefix});
			break;
	}
}

/* ----------------------------------------------------------------- queue */

/* A key that no other post has.  malloc'd. */
static char *
make_key(void)
{
	unsigned char bytes[16];
	char	   *key = need(malloc(2 * sizeof(bytes) + 1));

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		die("there are no random numbers: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(bytes); i++)
		sprintf(key + 2 * i, "%02x", bytes[i]);
	return key;
}

static void
add_command(Kind kind, char *id, const char *text)
{
	Command    *command = need(calloc(1, sizeof(Command)));
	Command   **end = &queue;

	command->kind = kind;
	command->id = id;
	command->text = copy_text(text);
	while (*end)
		end = &(*end)->next;
	*end = command;
	queue_length++;
	if (kind != TYPING && kind != TRACK && !link_up(poster) &&
		screen_interactive())
		screen_note("not connected: that is done as soon as it can be");
}

/* The first command is done with. */
static void
remove_command(void)
{
	Command    *command = queue;

	queue = command->next;
	sent = NULL;
	queue_length--;
	free(command->id);
	free(command->text);
	free(command);
}

static bool
has_command(Kind kind)
{
	for (Command *command = queue; command; command = command->next)
	{
		if (command->kind == kind)
			return true;
	}
	return false;
}

/* A posted message must be seen before a pipe's session ends. */
static void
await_message(Json row)
{
	char	   *id = json_text(json_get(row, "id"));

	awaited_since = now_ms();
	if (id == NULL || chat_seen(id))
	{
		free(id);
		return;
	}
	awaited = need(realloc(awaited, (nawaited + 1) * sizeof(char *)));
	awaited[nawaited++] = id;
}

/* Forget the awaited messages that have come. */
static void
check_awaited(void)
{
	int			left = 0;

	for (int i = 0; i < nawaited; i++)
	{
		if (chat_seen(awaited[i]))
			free(awaited[i]);
		else
			awaited[left++] = awaited[i];
	}
	nawaited = left;
}

/* A line was not posted; that is of interest where nobody sees it. */
static void
note_refusal(void)
{
	if (!screen_interactive())
		exit_status = EXIT_REFUSED;
}

/* The command can't be done; say what and why. */
static void
refuse(const PGresult *result)
{
	char	   *error = result_error(result);
	Command    *command = queue;
	bool		read_only = strcmp(result_state(result), "25006") == 0;

	if (command->kind == TYPING || command->kind == TRACK)
	{
		/* to be here is a courtesy; on a standby nobody can */
		if (command->kind == TRACK && !read_only)
			screen_trouble("others don't see that you are here: %s", error);
	}
	else
	{
		if (read_only)
		{
			free(error);
			error = copy_text("this server is a standby, which can be read "
							  "only");
		}
		if (command->kind == POST)
			screen_trouble("not posted: %s\n%s", error, command->text);
		else
			screen_trouble("not done: %s", error);
		note_refusal();
	}
	free(error);
	remove_command();
}

/* An error: try again, or give the command up. */
static void
take_error(const PGresult *result)
{
	const char *state = result_state(result);
	Command    *command = queue;
	bool		courtesy = command->kind == TYPING || command->kind == TRACK;

	/* another host may be the primary, or is about to be */
	if (strcmp(state, "25006") == 0 && link_has_hosts() && !courtesy)
	{
		if (command->since == 0)
		{
			command->since = now_ms();
			screen_trouble("this server is a standby: looking for its primary");
		}
		if (now_ms() - command->since < SEARCH_MS)
		{
			sent = NULL;
			link_drop(poster, "it is a standby", false);
			return;
		}
	}
	if (strcmp(state, "55000") == 0 && command->kind == POST && !no_keys)
	{
		no_keys = true;
		sent = NULL;
		return;
	}
	if (result_passes(result) && !courtesy && ++command->tries < 10)
	{
		sent = NULL;
		link_drop(poster, "", false);
		return;
	}
	/* sent twice because its answer was lost: it is done */
	if (strcmp(state, "P0002") == 0 && command->kind == DELETE &&
		command->tries > 0)
	{
		remove_command();
		return;
	}
	refuse(result);
}

/* A command's result. */
static void
take_command_result(PGresult *result)
{
	Json		answer;

	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
	{
		take_error(result);
		return;
	}
	answer = json_value(PQgetvalue(result, 0, 0));
	if (queue->kind == POST && !screen_interactive())
		await_message(answer);
	if (queue->kind == HISTORY)
	{
		screen_hold(true);
		chat_older_page(answer);
		screen_hold(false);
	}
	remove_command();
}

/* The connection is lost: what of the queue is to be done again? */
static void
requeue(void)
{
	Command   **link = &queue;

	if (sent && sent->kind == POST && no_keys)
	{
		screen_trouble("the connection was lost: this may be posted, or not:\n%s",
					sent->text);
		note_refusal();
		remove_command();
	}
	else if (sent)
		sent->tries++;
	sent = NULL;
	typed_at = 0;
	while (*link)
	{
		Command    *command = *link;

		if (command->kind == TYPING || command->kind == TRACK)
		{
			*link = command->next;
			queue_length--;
			free(command->text);
			free(command);
		}
		else
			link = &command->next;
	}
}

/* Others are to see that we are here, before all else that is to be done. */
static void
track(void)
{
	Command   **place = sent ? &sent->next : &queue;
	Command    *rest;

	if (chat_topic() == NULL)
		return;
	/* one that runs is the first of the queue, and stays it */
	rest = *place;
	*place = NULL;
	add_command(TRACK, NULL, NULL);
	(*place)->next = rest;
}

/* A server that can't be written to. */
static bool
is_read_only(const Link *link)
{
	const char *standby = PQparameterStatus(link_conn(link),
											"in_hot_standby");

	return standby && strcmp(standby, "on") == 0;
}

/* Commands can be sent. */
static void
poster_connected(void)
{
	told_failed = false;
	if (!is_read_only(poster))
	{
		told_read_only = false;
		track();
	}
	else if (!told_read_only)
	{
		screen_trouble("this server is a standby: you can read, but not post");
		told_read_only = true;
	}
}

static void
advance_poster(void)
{
	LinkNews	news;
	PGresult   *result;

	while ((news = link_advance(poster, &result)) != LINK_NOTHING)
	{
		if (news == LINK_CONNECTED)
			poster_connected();
		else if (news == LINK_LOST)
			requeue();
		else if (news == LINK_RESULT)
			take_command_result(result);
		else if (!told_failed && !told_lost && queue)
		{
			told_failed = true;
			screen_trouble("can't post now, trying again: %s",
						   link_error(poster));
		}
		PQclear(result);
	}
	if (queue && chat_begun() && link_ready(poster))
		send_command();
}

/* ------------------------------------------------------------- following */

/* What the prompt tells. */
static void
show_status_text(void)
{
	char	   *names = people_typing(me);
	char	   *status = NULL;

	if (told_lost)
		status = copy_text("not connected");
	else if (*names)
		status = format_text("%s %s", names,
							 strchr(names, ',') ? "type" : "types");
	screen_status(status);
	free(status);
	free(names);
}

/* The room can't be followed, for good. */
static void
give_up(const char *why)
{
	screen_trouble("%s", why);
	if (exit_status == EXIT_GOOD)
		exit_status = EXIT_REFUSED;
	done = true;
}

static void
set_cursor(Json answer)
{
	free(cursor);
	cursor = json_text(json_get(answer, "cursor"));
}

/* Show the pages of a reload, and go on from their cursor. */
static void
show_reload(bool complete)
{
	Json		answer = page_answers[0];
	bool		first = cursor == NULL;
	char	   *here;

	screen_hold(true);
	chat_reload(page_answers, npages, complete);
	people_reset(json_get(answer, "presence"), !first, me);
	set_cursor(answer);
	if (first)
	{
		here = people_here();
		if (*here)
			screen_note("here: %s", here);
		free(here);
	}
	for (int i = 0; i < npages; i++)
		PQclear(pages[i]);
	npages = 0;
	finish_answer();
	screen_hold(false);
}

/* A page came: do they reach back to what was shown? */
static void
take_page(PGresult *result, Json answer)
{
	pages[npages] = result;
	page_answers[npages++] = answer;
	if (chat_joins(json_get(answer, "messages")) ||
		json_true(json_get(answer, "end_reached")))
		show_reload(true);
	else if (npages == MAX_PAGES)
		show_reload(false);
}

/* The room as it is now. */
static void
take_reset(PGresult *result, Json answer)
{
	bool		first = !chat_begun();

	if (json_null(json_get(answer, "room")))
	{
		PQclear(result);
		give_up("the room is gone, or you may not see it any more");
		return;
	}
	chat_room(answer);
	link_rest(follower, was_reset);
	was_reset = true;
	take_page(result, answer);
	if (first)
	{
		if (is_read_only(follower) && !link_has_hosts() && !told_read_only)
		{
			screen_trouble("this server is a standby: you can read, but not "
						"post");
			told_read_only = true;
		}
		if (link_up(poster) && !is_read_only(poster))
			track();
	}
}

/* What happened. */
static void
take_events(Json answer)
{
	Json		events = json_get(answer, "events");
	Json		event = {NULL, 0};

	screen_hold(true);
	while (json_next(events, &event) && !done)
	{
		char	   *type = json_text(json_get(event, "type"));

		if (type && strncmp(type, "presence_", 9) == 0)
			people_event(event, type, me);
		else if (!chat_event(event))
		{
			done = true;
			if (queue)
				note_refusal();
		}
		free(type);
	}
	set_cursor(answer);
	link_rest(follower, false);
	was_reset = false;
	finish_answer();
	screen_hold(false);
}

/* An answer has been shown. */
static void
finish_answer(void)
{
	check_awaited();
	show_status_text();
}

/* The connection that follows is lost: begin again at the cursor. */
static void
follower_lost(void)
{
	for (int i = 0; i < npages; i++)
		PQclear(pages[i]);
	npages = 0;
	if (told_lost)
		return;
	told_lost = true;
	screen_trouble("disconnected, trying again: %s", link_error(follower));
	show_status_text();
}

/* The room can't be followed now, or at all. */
static void
take_follow_error(const PGresult *result)
{
	const char *state = result_state(result);
	char	   *error = result_error(result);

	if (question == CREATE)
	{
		/* somebody was faster; else following says what is wrong */
		if (strcmp(state, "23505") != 0 && strcmp(state, "23514") != 0)
			give_up(error);
	}
	else if (strcmp(state, "P0002") == 0 && question == FOLLOW &&
			 !tried_create && !chat_begun())
	{
		if (options->create)
			ask_create();
		else
		{
			char	   *more = format_text("%s\n--create makes it.", error);

			give_up(more);
			free(more);
		}
	}
	else if (result_passes(result) ||
			 (strcmp(state, "55000") == 0 && chat_begun()))
	{
		link_drop(follower, error, false);
		follower_lost();
	}
	else if (strcmp(state, "42883") == 0 || strcmp(state, "3F000") == 0)
	{
		char	   *more = format_text("%s\nIs the extension chatroom in this "
									   "database?", error);

		give_up(strcmp(state, "42883") == 0 || strstr(error, "chatroom\"") ?
				more : error);
		free(more);
	}
	else
		give_up(error);
	free(error);
}

/* A result of the connection that follows; it is freed here. */
static void
take_follow_result(PGresult *result)
{
	Json		answer;

	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
	{
		take_follow_error(result);
		PQclear(result);
		return;
	}
	if (told_lost)
	{
		told_lost = false;
		screen_trouble("connected again");
	}
	if (told_read_only && !is_read_only(follower))
	{
		/* promoted; the other connection hasn't heard of it */
		told_read_only = false;
		screen_trouble("this server is a primary now");
		track();
	}
	answer = json_value(PQgetvalue(result, 0, 0));
	if (question == FILL_GAP)
		take_page(result, answer);
	else if (question == FOLLOW && json_true(json_get(answer, "reset")))
		take_reset(result, answer);
	else
	{
		if (question == FOLLOW)
			take_events(answer);
		PQclear(result);
	}
}

static void
advance_follower(void)
{
	LinkNews	news;
	PGresult   *result;

	while (!done &&
		   (news = link_advance(follower, &result)) != LINK_NOTHING)
	{
		if (news == LINK_RESULT)
			take_follow_result(result);
		else if (news != LINK_CONNECTED)
			follower_lost();
	}
	if (!done && link_ready(follower))
	{
		if (npages > 0)
			ask_page();
		else
			ask_follow();
	}
}

/* -------------------------------------------------------------- keyboard */

static void
show_help(void)
{
	screen_note("type a line to post it, Tab completes names\n"
				"/edit [#ID] TEXT  change a message; without #ID your last\n"
				"/delete [#ID]     delete a message; without #ID your last\n"
				"/who              who is here\n"
				"/history          older messages\n"
				"/quit             leave; so do Ctrl-D and Ctrl-C\n"
				"//TEXT            post a line that begins with /");
}

static void
show_who(void)
{
	char	   *here = people_here();
	char	   *typing = people_typing(NULL);

	screen_note("here: %s", *here ? here : "nobody");
	if (*typing)
		screen_note("typing: %s", typing);
	free(typing);
	free(here);
}

/*
 * The message that a command is about: #ID, or the last of our own.  *args is
 * moved behind it.  NULL: there is none.  malloc'd.
 */
static char *
take_id(char **args)
{
	size_t		digits;
	char	   *id;

	if (**args != '#')
	{
		if (chat_own(me) == NULL)
			screen_note("you have no message here that is shown: name one, "
						"as #17");
		return copy_text(chat_own(me));
	}
	digits = strspn(*args + 1, "0123456789");
	if (digits == 0 || digits > 18 ||
		((*args)[digits + 1] != '\0' && (*args)[digits + 1] != ' '))
	{
		screen_note("a message is named as #17");
		return NULL;
	}
	id = need(strndup(*args + 1, digits));
	*args += digits + 1;
	*args += strspn(*args, " ");
	return id;
}

/* A command: its name, and what follows. */
static void
take_command(char *name, char *args)
{
	char	   *id;

	if (strcmp(name, "quit") == 0 || strcmp(name, "exit") == 0)
		done = true;
	else if (strcmp(name, "help") == 0)
		show_help();
	else if (strcmp(name, "who") == 0)
		show_who();
	else if (!chat_begun())
		screen_note("wait for the room to be there");
	else if (strcmp(name, "history") == 0)
	{
		if (chat_older() == NULL)
			screen_note("there are no older messages");
		else if (!has_command(HISTORY))
			add_command(HISTORY, NULL, NULL);
	}
	else if (strcmp(name, "edit") == 0)
	{
		id = take_id(&args);
		if (id && *args)
			add_command(EDIT, id, args);
		else if (id)
		{
			screen_note("/edit wants the new text");
			free(id);
		}
	}
	else if (strcmp(name, "delete") == 0)
	{
		id = take_id(&args);
		if (id && *args == '\0')
			add_command(DELETE, id, NULL);
		else if (id)
		{
			screen_note("/delete takes nothing but a message's #ID");
			free(id);
		}
	}
	else
		screen_note("there is no command /%s; /help shows those that are",
					name);
}

/* A line was entered. */
static void
take_line(char *line)
{
	char	   *name;
	char	   *args;

	if (line[strspn(line, " \t\r\n")] == '\0')
		return;
	typed_at = 0;
	/* what comes through a pipe is posted, whatever it begins with */
	if (screen_interactive() && line[0] == '/')
	{
		line++;
		if (line[0] != '/')
		{
			name = line;
			args = line + strcspn(line, " ");
			if (*args)
				*args++ = '\0';
			args += strspn(args, " ");
			take_command(name, args);
			return;
		}
	}
	add_command(POST, make_key(), line);
}

/* Tell others that we type, not more often than they need to be told. */
static void
tell_typing(void)
{
	bool		changed;
	bool		typing = screen_typing(&changed);
	int64_t		now = now_ms();

	if (!changed || !chat_begun() || !link_up(poster) || told_read_only)
		return;
	if (typing && (typed_at == 0 || now - typed_at >= TYPING_MS))
	{
		if (!has_command(TYPING))
			add_command(TYPING, NULL, "true");
		typed_at = now;
	}
	else if (!typing && typed_at != 0)
	{
		add_command(TYPING, NULL, "false");
		typed_at = 0;
	}
}

/* Names for completion: who is here, then who wrote. */
static const char *
known_name(int n)
{
	static int	people;

	if (n == 0)
		people = 0;
	if (people_name(n))
	{
		people = n + 1;
		return people_name(n);
	}
	return chat_name(n < people ? 0 : n - people);
}

/* A signal came. */
static void
take_signal(int number)
{
	if (number == SIGWINCH)
		screen_resize();
	else
		done = true;
}

/* Is all of the input posted and seen? */
static bool
input_done(void)
{
	if (screen_interactive())
		return true;
	if (!chat_begun() || queue || npages > 0)
		return false;
	if (nawaited > 0 && now_ms() - awaited_since > SEEN_MS)
	{
		screen_trouble("%d message(s) were posted, but do not come back",
					nawaited);
		exit_status = EXIT_TROUBLE;
		return true;
	}
	return nawaited == 0;
}

/* The shorter of two times to wait; -1: for ever. */
static int
sooner(int a, int b)
{
	return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

/* Wait for something to happen, and deal with it. */
static void
turn(int signals)
{
	struct pollfd fds[4] = {{-1}, {-1}, {signals, POLLIN}, {-1, POLLIN}};
	int			timeout = sooner(link_poll(follower, &fds[0]),
								 link_poll(poster, &fds[1]));
	int			number;

	if (!screen_ended() &&
		(screen_interactive() || queue_length < MAX_QUEUE))
		fds[3].fd = STDIN_FILENO;
	if (nawaited > 0)
		timeout = sooner(timeout, 1000);
	if (poll(fds, 4, timeout) < 0 && errno != EINTR)
		die("could not poll: %s", strerror(errno));
	while ((number = caught_signal()) != 0)
		take_signal(number);
	if (fds[3].revents)
	{
		screen_read(take_line);
		if (!done)
			tell_typing();
	}
	if (done)
		return;
	advance_follower();
	if (done)
		return;
	advance_poster();
	if (screen_ended() && input_done())
		done = true;
}

/* Take part in a room until told to leave. */
int
join_room(const Options *all_options)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, 0};
	int			signal_fd;

	options = all_options;
	signal(SIGPIPE, SIG_IGN);
	follower = link_open(NULL);
	link_start(follower);
	me = options->as ? options->as : link_user();
	poster = link_open("read-write");
	signal_fd = catch_signals(signals);
	screen_open(me);
	screen_complete(known_name);
	ask_follow();
	while (!done)
		turn(signal_fd);
	screen_close();
	link_close(follower);
	link_close(poster);
	return exit_status;
}
