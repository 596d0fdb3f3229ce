/*-------------------------------------------------------------------------
 *
 * follow.c
 *	  What happens in a room: always in a call of follow_room().
 *
 * When the connection is lost, the next one goes on from the cursor, which
 * moves only when what came with it has been shown: nothing is lost, nothing
 * comes twice.
 *
 * After a reset the room's newest page may not reach back to what was shown:
 * then the pages before are read, too, before any is shown.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PAGES		20		/* that are read to fill a gap */

/*
 * Messages are ordered by when their transactions began.  One that lasted this
 * long (us) and ended while we were away is found, too.
 */
#define MARGIN_US		60000000

/* What the connection was asked. */
typedef enum Question
{
	FOLLOW,
	FILL_GAP,
	CREATE
} Question;

static Link *follower;
static Question question;
static char *cursor;			/* NULL: the room was not shown yet */
static PGresult *pages[MAX_PAGES];	/* of a reload, the newest first */
static Json page_answers[MAX_PAGES];
static int	npages;
static bool was_reset;			/* the last answer was one */
static bool tried_create;

static void finish_answer(void);

/* Ask what happens next. */
static void
ask_follow(void)
{
	const char *params[] = {
		chat_begun() ? chat_room_id() : session.options->room, cursor,
		session.options->act_as ? session.me : NULL, session.options->prefix
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
	const char *params[MAX_CALL_PARAMS] = {
		chat_room_id(), before, session.options->prefix
	};

	question = FILL_GAP;
	send_call(follower, "chatroom.list_messages($1::text, $2, 100, $3)", 3,
			  params);
	free(before);
}

/* Ask for the room to be made. */
static void
ask_create(void)
{
	const char *params[MAX_CALL_PARAMS] = {
		session.options->room, session.options->prefix
	};

	question = CREATE;
	tried_create = true;
	send_call(follower, "chatroom.create_room($1, false, $2)", 2, params);
}

/* What the prompt tells. */
static void
show_status_text(void)
{
	char	   *names = people_typing(session.me);
	char	   *status = NULL;

	if (!session.connected)
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
	if (session.exit_status == EXIT_GOOD)
		session.exit_status = EXIT_REFUSED;
	session.gone = true;
}

static void
set_cursor(Json answer)
{
	free(cursor);
	cursor = json_text(json_get(answer, "cursor"));
}

/* An answer has been shown. */
static void
finish_answer(void)
{
	post_check_awaited();
	show_status_text();
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
	people_reset(json_get(answer, "presence"), !first, session.me);
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
	if (chat_joins(json_get(answer, "messages"), MARGIN_US) ||
		json_true(json_get(answer, "end_reached")))
		show_reload(true);
	else if (npages == MAX_PAGES)
		show_reload(chat_joins(json_get(answer, "messages"), 0));
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
		if (is_read_only(follower) && !link_has_hosts())
			post_read_only();
		post_begin();
	}
}

/* What happened. */
static void
take_events(Json answer)
{
	Json		events = json_get(answer, "events");
	Json		event = {NULL, 0};

	screen_hold(true);
	while (json_next(events, &event) && !session.gone)
	{
		char	   *type = json_text(json_get(event, "type"));

		if (type && strncmp(type, "presence_", 9) == 0)
			people_event(event, type, session.me);
		else if (!chat_event(event))
			session.gone = true;
		free(type);
	}
	set_cursor(answer);
	link_rest(follower, false);
	was_reset = false;
	finish_answer();
	screen_hold(false);
}

/* The connection that follows is lost: begin again at the cursor. */
static void
follower_lost(void)
{
	for (int i = 0; i < npages; i++)
		PQclear(pages[i]);
	npages = 0;
	if (!session.connected)
		return;
	session.connected = false;
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
		if (session.options->create)
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
	if (!session.connected)
	{
		session.connected = true;
		screen_trouble("connected again");
	}
	if (!is_read_only(follower))
		post_promoted();
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

/* Deal with what has happened, and ask what happens next. */
void
follow_advance(void)
{
	LinkNews	news;
	PGresult   *result;

	while (!session.gone &&
		   (news = link_advance(follower, &result)) != LINK_NOTHING)
	{
		if (news == LINK_RESULT)
			take_follow_result(result);
		else if (news != LINK_CONNECTED)
			follower_lost();
	}
	if (!session.gone && link_ready(follower))
	{
		if (npages > 0)
			ask_page();
		else
			ask_follow();
	}
}

/* Connect, waiting for it, and ask for the room. */
void
follow_open(void)
{
	follower = link_open(NULL);
	link_start(follower);
}

void
follow_begin(void)
{
	session.connected = true;
	ask_follow();
}

int
follow_poll(struct pollfd *fd)
{
	return link_poll(follower, fd);
}

void
follow_close(void)
{
	link_close(follower);
}
