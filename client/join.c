/*-------------------------------------------------------------------------
 *
 * join.c
 *	  chatroom join: take part in a room.
 *
 * follow.c tells what happens, on one connection; post.c does what we want, on
 * another.  Here is what is typed, and the loop that waits for all of it.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TYPING_MS		2000	/* say so again; the server takes 5 s */
#define LEAVE_MS		5000	/* how long to try to post the last lines */

Session		session;

static int64_t leaving_since;	/* 0: we stay */
static bool killed;				/* leave now */
static int64_t typed_at;		/* when we last said so; 0: we don't type */

/*
 * Send a call; its parameters are taken as text.  With --act-as, of the user
 * that we act for: that is over with the transaction.
 */
void
send_call(Link *link, const char *call, int nparams, const char **params)
{
	char	   *sql;

	if (session.options->act_as)
	{
		sql = format_text("WITH user_is AS MATERIALIZED"
						  " (SELECT chatroom.act_as($%d))"
						  " SELECT %s FROM user_is", nparams + 1, call);
		params[nparams++] = session.me;
	}
	else
		sql = format_text("SELECT %s", call);
	link_query(link, sql, nparams, params, PATIENCE_MS);
	free(sql);
}

/* A line was not posted; that is of interest where nobody sees it. */
void
note_refusal(void)
{
	if (!screen_interactive())
		session.exit_status = EXIT_REFUSED;
}

/* A server that can't be written to. */
bool
is_read_only(const Link *link)
{
	const char *standby = PQparameterStatus(link_conn(link),
											"in_hot_standby");

	return standby && strcmp(standby, "on") == 0;
}

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
		if (chat_own(session.me) == NULL)
			screen_note("you have no message here that is shown: name one, "
						"as #17");
		return copy_text(chat_own(session.me));
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

/* Leave, when what was typed before is done. */
static void
leave(void)
{
	if (leaving_since == 0)
		leaving_since = now_ms();
}

/* A command: its name, and what follows. */
static void
take_command(char *name, char *args)
{
	char	   *id;

	if (strcmp(name, "quit") == 0 || strcmp(name, "exit") == 0)
		leave();
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
		else
			post_history();
	}
	else if (strcmp(name, "edit") == 0)
	{
		id = take_id(&args);
		if (id && *args)
			post_edit(id, args);
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
			post_delete(id);
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

/* A line was entered; NULL: it was none. */
static void
take_line(char *line)
{
	char	   *name;
	char	   *args;

	if (line == NULL)
	{
		screen_trouble("not posted: a line with a null byte");
		note_refusal();
		return;
	}
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
	post_line(line);
}

/* Tell others that we type, not more often than they need to be told. */
static void
tell_typing(void)
{
	bool		changed;
	bool		typing = screen_typing(&changed);
	int64_t		now = now_ms();

	if (!changed || !chat_begun())
		return;
	if (typing && (typed_at == 0 || now - typed_at >= TYPING_MS))
		typed_at = post_typing(true) ? now : 0;
	else if (!typing && typed_at != 0)
	{
		post_typing(false);
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
		killed = true;
}

/* Can we go? */
static bool
may_leave(void)
{
	if (killed || session.gone)
		return true;
	if (leaving_since == 0)
		return false;
	/* whoever quits doesn't want to wait for long */
	if (screen_interactive())
		return post_idle() || now_ms() - leaving_since > LEAVE_MS;
	return chat_begun() && post_idle();
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
	int			timeout = sooner(follow_poll(&fds[0]), post_poll(&fds[1]));
	int			number;

	if (leaving_since == 0 && (screen_interactive() || post_wants_more()))
		fds[3].fd = STDIN_FILENO;
	if (leaving_since != 0)
		timeout = sooner(timeout, 500);
	if (poll(fds, 4, timeout) < 0 && errno != EINTR)
		die("could not poll: %s", strerror(errno));
	while ((number = caught_signal()) != 0)
		take_signal(number);
	if (fds[3].revents)
	{
		screen_read(take_line);
		tell_typing();
		if (screen_ended())
			leave();
	}
	follow_advance();
	if (!session.gone)
		post_advance();
}

/* Take part in a room until told to leave. */
int
join_room(const Options *options)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, 0};
	int			signal_fd;

	session.options = options;
	signal(SIGPIPE, SIG_IGN);
	follow_open();
	session.me = options->as ? options->as : link_user();
	post_open();
	signal_fd = catch_signals(signals);
	screen_open(session.me);
	screen_complete(known_name);
	follow_begin();
	while (!may_leave())
		turn(signal_fd);
	screen_close();
	follow_close();
	post_close();
	return session.exit_status;
}
