/*-------------------------------------------------------------------------
 *
 * post.c
 *	  What we do in a room: post, edit, delete, be there, type.
 *
 * What is to be done stands in a queue, and goes one after the other over a
 * connection of its own.  A post has a key, so it can be sent again when the
 * connection is lost before its answer came.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MAX_QUEUE		50		/* lines that are read ahead from a pipe */
#define SEARCH_MS		30000	/* how long to look for a primary */
#define SEEN_MS			60000	/* how long to wait for what was posted */
#define MAX_TRIES		10
#define MAX_TOLD		300		/* columns of a line that is told of */

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

/* Send the first command of the queue. */
static void
send_command(void)
{
	const char *room = chat_room_id();
	const char *call = NULL;
	const char *params[MAX_CALL_PARAMS];
	int			n = 0;

	sent = queue;
	switch (sent->kind)
	{
		case POST:
			call = "chatroom.post($1::text, $2, $3, $4, $5)";
			params[n++] = room;
			params[n++] = session.me;
			params[n++] = sent->text;
			params[n++] = no_keys ? NULL : sent->id;
			params[n++] = session.options->prefix;
			break;
		case EDIT:
			call = "chatroom.edit_message($1::bigint, $2, $3)";
			params[n++] = sent->id;
			params[n++] = sent->text;
			params[n++] = session.options->prefix;
			break;
		case DELETE:
			call = "chatroom.delete_message($1::bigint, $2)";
			params[n++] = sent->id;
			params[n++] = session.options->prefix;
			break;
		case HISTORY:
			call = "chatroom.list_messages($1::text, $2, 30, $3)";
			params[n++] = room;
			params[n++] = chat_older();
			params[n++] = session.options->prefix;
			break;
		case TRACK:
			call = "chatroom.track($1, $2)";
			params[n++] = chat_topic();
			params[n++] = session.me;
			break;
		case TYPING:
			call = "chatroom.typing($1::text, $2, $3::boolean, $4)";
			params[n++] = room;
			params[n++] = session.me;
			params[n++] = sent->text;
			params[n++] = session.options->prefix;
			break;
	}
	send_call(poster, call, n, params);
}

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

/* Put a command at the queue's end; takes the id. */
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
	if (session.connected || !screen_interactive())
		return;
	if (kind == POST)
		screen_note("not connected, to be posted later: %s", text);
	else if (kind != TYPING && kind != TRACK)
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

/* The room was shown up to now: forget the awaited messages that have come. */
void
post_check_awaited(void)
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

/* A line that is told of, which may be a whole file.  malloc'd. */
static char *
begin_of(const char *text)
{
	size_t		fits = text_fit(text, MAX_TOLD, false);

	return format_text("%.*s%s", (int) fits, text, text[fits] ? "…" : "");
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
		if (read_only && is_read_only(poster))
		{
			free(error);
			error = copy_text("this server is a standby, which can be read "
							  "only");
		}
		if (command->kind == POST)
		{
			char	   *text = begin_of(command->text);

			screen_trouble("not posted: %s\n%s", error, text);
			free(text);
		}
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
			screen_trouble("this server is a standby: looking for its "
						   "primary");
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
	if (result_passes(result) && !courtesy && ++command->tries < MAX_TRIES)
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
		char	   *text = begin_of(sent->text);

		screen_trouble("the connection was lost: this is posted, or not:\n%s",
					   text);
		free(text);
		note_refusal();
		remove_command();
	}
	else if (sent)
		sent->tries++;
	sent = NULL;
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

/* Say that nothing can be posted, once. */
void
post_read_only(void)
{
	if (!told_read_only)
		screen_trouble("this server is a standby: you can read, but not post");
	told_read_only = true;
}

/* The server that is read was promoted; perhaps it is that of the poster. */
void
post_promoted(void)
{
	if (!told_read_only)
		return;
	told_read_only = false;
	screen_trouble("this server is a primary now");
	track();
}

/* The room is there now: all that was typed can be done. */
void
post_begin(void)
{
	if (link_up(poster) && !is_read_only(poster))
		track();
}

/* Commands can be sent. */
static void
poster_connected(void)
{
	told_failed = false;
	if (is_read_only(poster))
		post_read_only();
	else
	{
		told_read_only = false;
		track();
	}
}

/* Deal with what has happened, and go on. */
void
post_advance(void)
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
		else if (!told_failed && session.connected && queue)
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

/* ---------------------------------------------------------- for join.c */

void
post_open(void)
{
	poster = link_open("read-write");
}

int
post_poll(struct pollfd *fd)
{
	return link_poll(poster, fd);
}

/* Post a line. */
void
post_line(const char *text)
{
	add_command(POST, make_key(), text);
}

/* Change a message; takes the id. */
void
post_edit(char *id, const char *text)
{
	add_command(EDIT, id, text);
}

/* Delete a message; takes the id. */
void
post_delete(char *id)
{
	add_command(DELETE, id, NULL);
}

/* Ask for the page before what was shown. */
void
post_history(void)
{
	if (!has_command(HISTORY))
		add_command(HISTORY, NULL, NULL);
}

/* Tell others that we type, or don't any more; false: they can't be told. */
bool
post_typing(bool typing)
{
	if (!link_up(poster) || told_read_only)
		return false;
	if (!has_command(TYPING) || !typing)
		add_command(TYPING, NULL, typing ? "true" : "false");
	return true;
}

/* Should more lines be read, or wait? */
bool
post_wants_more(void)
{
	return queue_length < MAX_QUEUE;
}

/* Has all been done?  For a person without connection: all that can be. */
bool
post_idle(void)
{
	for (Command *command = queue; command; command = command->next)
	{
		if (command->kind != TYPING && command->kind != TRACK)
			return screen_interactive() && !session.connected;
	}
	if (nawaited == 0)
		return true;
	if (!session.connected)
		awaited_since = now_ms();
	if (now_ms() - awaited_since < SEEN_MS)
		return false;
	screen_trouble("%d message(s) were posted, but do not come back",
				   nawaited);
	session.exit_status = EXIT_TROUBLE;
	return true;
}

/* Leave; what could not be posted is said. */
void
post_close(void)
{
	for (Command *command = queue; command; command = command->next)
	{
		char	   *text;

		if (command->kind != POST)
			continue;
		text = begin_of(command->text);
		complain("%s: %s", command == sent ? "perhaps not posted" :
				 "not posted", text);
		free(text);
		session.exit_status = EXIT_REFUSED;
	}
	link_close(poster);
}
