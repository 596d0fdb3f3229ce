/*-------------------------------------------------------------------------
 *
 * client.h
 *	  What a client of chatroom needs: a connection, and followers.
 *
 * A follower is a thread with its own connection that follows some topics in
 * one of the three ways there are, and hands each event to a function.  It
 * keeps its cursor when its connection is lost, connects again, and goes on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEMO_CLIENT_H
#define DEMO_CLIENT_H

#include <jansson.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum Way
{
	BY_WAIT,					/* CALL chatroom.wait() */
	BY_LISTEN,					/* chatroom.listen(), and sync() when told */
	BY_SYNC						/* chatroom.sync() now and then */
} Way;

typedef struct Follower Follower;

struct Follower
{
	const char *name;
	Way			way;
	int			ntopics;
	char	  **topics;
	int			max_events;		/* most events an answer should have */

	/* called in the follower's thread; now is when the answer arrived */
	void		(*on_event) (Follower *follower, json_t *event, uint64_t now);
	/* after a reset, in a transaction whose snapshot goes with the cursor */
	void		(*on_reload) (Follower *follower, PGconn *conn);
	void	   *arg;

	char	   *cursor;			/* the thread's, or anyone's while stopped */
	pthread_t	thread;
	atomic_bool ready;			/* has a cursor, and listens */
	atomic_bool stop;
	atomic_ullong calls;
	atomic_ullong events;
	atomic_ullong resets;
	atomic_ullong reconnects;
};

extern void die(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));
extern uint64_t now_us(void);
extern void sleep_ms(int ms);

extern PGconn *connect_db(void);
extern PGresult *query(PGconn *conn, const char *sql, int nparams,
					   const char *const *params);
extern char *query_text(PGconn *conn, const char *sql, int nparams,
						const char *const *params);
extern bool connection_lost(PGconn *conn, PGresult *result);
extern char *text_array(int n, char *const *texts);

extern void follower_start(Follower *follower);
extern void follower_stop(Follower *follower);

extern void start_server(void);
extern void kill_server(void);

/* Output that knows whether a person reads it. */
extern void print_init(void);
extern bool print_is_terminal;
extern const char *bold(void);
extern const char *dim(void);
extern const char *green(void);
extern const char *red(void);
extern const char *plain(void);
extern const char *duration(uint64_t us, char *buf, size_t size);
extern void print_padded(const char *text, int width);
extern void print_right(const char *text, int width);
extern uint64_t percentile(uint64_t *values, int n, int percent);

extern bool play_conversation(void);
extern bool play_log(int fd);

#endif							/* DEMO_CLIENT_H */
