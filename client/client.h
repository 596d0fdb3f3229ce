/*-------------------------------------------------------------------------
 *
 * client.h
 *	  The terminal client: what its parts are to each other.
 *
 * main.c reads the options, and hands over to join.c, tail.c or status.c.
 * connection.c keeps connections that come back by themselves, json.c reads
 * answers, text.c makes of what others wrote something that is safe to print.
 * For join.c, follow.c hears what happens in a room, chat.c knows what of it
 * has been shown, people.c who is there, post.c does what is typed, and
 * screen.c has the terminal with the line that is being edited.
 *
 * One thread does all of it, but for connecting: see connection.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_CLIENT_H
#define CHATROOM_CLIENT_H

#if defined(__has_include)
#if !__has_include(<readline/readline.h>)
#error "the terminal client needs GNU readline's headers: install libreadline-dev, or say make with_client=no"
#endif
#if !__has_include(<libpq-fe.h>)
#error "the terminal client needs libpq's headers: install libpq-dev, or say make with_client=no"
#endif
#if !__has_include(<utf8proc.h>)
#error "chatroom needs utf8proc's headers: install libutf8proc-dev"
#endif
#endif

#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses. */
#define EXIT_GOOD		0
#define EXIT_REFUSED	1		/* asked, and the answer is no */
#define EXIT_TROUBLE	2		/* could not ask */

/* What the command line says. */
typedef struct Options
{
	/* of the connection; NULL: not said */
	const char *dbname;			/* a name, or a connection string */
	const char *host;
	const char *port;
	const char *user;
	int			password;		/* -1: never ask, 1: ask, 0: if need be */

	/* join */
	const char *room;
	const char *as;
	const char *prefix;
	bool		create;
	bool		act_as;

	/* tail */
	char	  **topics;
	int			ntopics;
	const char *since;
	const char *cursor_file;
	int64_t		count;			/* 0: for ever */

	/* status */
	bool		json;
} Options;

extern int	join_room(const Options *options);
extern int	tail_topics(const Options *options);
extern int	show_status(const Options *options);

/* text.c: memory, time, signals, and text that is safe to print. */
extern void die(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));
extern void complain(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
extern void *need(void *memory);
extern char *copy_text(const char *text);
extern char *format_text(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
extern int64_t now_ms(void);
extern int	catch_signals(const int *signals);
extern int	caught_signal(void);
extern void use_utf8(void);
extern char *escape_text(const char *text, bool lines);
extern size_t next_code(const char *text, int32_t *code);
extern bool is_control(int32_t code);
extern int	text_width(const char *text);
extern size_t text_fit(const char *text, int width, bool words);

/*
 * json.c: a value is a piece of the answer's text, which is not copied.  No
 * text: there is no such value.
 */
typedef struct Json
{
	const char *text;
	size_t		len;
} Json;

extern Json json_value(const char *text);
extern Json json_get(Json object, const char *key);
extern bool json_next(Json array, Json *element);
extern bool json_next_member(Json object, Json *key, Json *value);
extern char *json_text(Json value);
extern void json_print(Json value, FILE *to);
extern bool json_is(Json value, const char *text);
extern bool json_true(Json value);
extern bool json_null(Json value);
extern bool json_same(Json a, Json b);

/* connection.c */
typedef enum LinkNews
{
	LINK_NOTHING,
	LINK_CONNECTED,				/* ready for a statement */
	LINK_FAILED,				/* could not connect: will try again */
	LINK_LOST,					/* was connected: will connect again */
	LINK_RESULT					/* the statement's result */
} LinkNews;

typedef struct Link Link;

extern void link_options(const Options *options);
extern const char *link_user(void);
extern bool link_has_hosts(void);
extern Link *link_open(const char *attrs);
extern void link_start(Link *link);
extern bool link_ready(const Link *link);
extern bool link_up(const Link *link);
extern const char *link_error(const Link *link);
extern PGconn *link_conn(const Link *link);
extern int	link_poll(Link *link, struct pollfd *fd);
extern LinkNews link_advance(Link *link, PGresult **result);
extern void link_query(Link *link, const char *sql, int nparams,
					   const char *const *params, int64_t patience);
extern void link_drop(Link *link, const char *why, bool at_once);
extern void link_rest(Link *link, bool again);
extern void link_close(Link *link);
extern const char *result_state(const PGresult *result);
extern char *result_error(const PGresult *result);
extern bool result_passes(const PGresult *result);
extern char *text_array(int n, char *const *texts);

/*
 * screen.c: lines go above the one that is being edited, if there is one.  All
 * text is escaped there.
 */
extern void screen_open(const char *name);
extern void screen_close(void);
extern bool screen_interactive(void);
extern void screen_hold(bool hold);
extern void screen_note(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
extern void screen_trouble(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
extern void screen_message(const char *time, const char *id,
						   const char *name, const char *verb,
						   const char *text);
extern void screen_status(const char *status);
extern bool screen_ended(void);
extern void screen_read(void (*take_line) (char *line));
extern bool screen_typing(bool *changed);
extern void screen_resize(void);
extern void screen_suspend(void);
extern void screen_complete(const char *(*next_name) (int n));

/* people.c: who is here, by the room's presence. */
extern void people_reset(Json presence, bool tell, const char *me);
extern void people_event(Json event, const char *type, const char *me);
extern char *people_here(void);
extern char *people_typing(const char *me);
extern const char *people_name(int n);

/* chat.c: what was shown of a room. */
extern bool chat_begun(void);
extern const char *chat_room_id(void);
extern const char *chat_topic(void);
extern const char *chat_older(void);
extern const char *chat_own(const char *name);
extern const char *chat_name(int n);
extern bool chat_seen(const char *id);
extern bool chat_joins(Json messages, int64_t margin);
extern void chat_room(Json answer);
extern void chat_reload(Json *pages, int npages, bool complete);
extern void chat_older_page(Json answer);
extern bool chat_event(Json event);

/* join.c: what follow.c and post.c share. */
typedef struct Session
{
	const Options *options;
	const char *me;				/* who we are to others */
	bool		connected;		/* the room is followed */
	bool		gone;			/* it can't be any more */
	int			exit_status;
} Session;

extern Session session;

/* How many parameters send_call() takes; leave place for one more. */
#define MAX_CALL_PARAMS	6
#define PATIENCE_MS		30000	/* for an answer */

extern void send_call(Link *link, const char *call, int nparams,
					  const char **params);
extern bool is_read_only(const Link *link);
extern void note_refusal(void);

/* follow.c */
extern void follow_open(void);
extern void follow_begin(void);
extern int	follow_poll(struct pollfd *fd);
extern void follow_advance(void);
extern void follow_close(void);

/* post.c */
extern void post_open(void);
extern int	post_poll(struct pollfd *fd);
extern void post_advance(void);
extern void post_begin(void);
extern void post_promoted(void);
extern void post_read_only(void);
extern void post_check_awaited(void);
extern void post_line(const char *text);
extern void post_edit(char *id, const char *text);
extern void post_delete(char *id);
extern void post_history(void);
extern bool post_typing(bool typing);
extern bool post_wants_more(void);
extern bool post_idle(void);
extern void post_close(void);

#endif							/* CHATROOM_CLIENT_H */
