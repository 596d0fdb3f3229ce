/*-------------------------------------------------------------------------
 *
 * wait.h
 *	  Procedures that sleep until something happens to topics.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_WAIT_H
#define CHATROOM_WAIT_H

#include "postgres.h"

#include "fmgr.h"
#include "read/sync.h"

typedef struct WaitCall WaitCall;

/*
 * Writes the answer where the cursor can't be continued, instead of one that
 * says just that.  A fresh snapshot is active.
 */
typedef void (*WaitReload) (const WaitCall *call, void *arg, StringInfo buf);

/* A call in progress. */
struct WaitCall
{
	const char *procedure;		/* its name, for errors */
	MemoryContext caller;		/* where the result belongs */
	MemoryContext context;		/* lives as long as the call */
	MemoryContext look_context; /* reset before each look */
	SyncTopics	topics;
	bool		have_since;
	Cursor		since;			/* moves on past what was withheld */
	int			max_events;
	text	   *acting_for;		/* NULL: nobody */
	uint64		start;			/* us, monotonic */
	int64		timeout;		/* us */
	uint64		seed;			/* of the cache where we are registered */
	bool		no_cache;		/* the last look found none */
	int64		pause;			/* us until the next look for one */
	WaitReload	reload;			/* NULL: the answer says reset */
	void	   *reload_arg;
	StringInfoData json;		/* the answer, behind a varlena header */
};

/* Where the arguments stand that all such procedures have. */
typedef struct WaitArguments
{
	int			since;
	int			timeout;
	int			max_events;
	int			acting_for;
} WaitArguments;

/*
 * Start a call: 25001 where it may not sleep.  Takes those arguments over, and
 * switches to the call's own memory context.
 */
extern void chatroom_begin_wait(FunctionCallInfo fcinfo,
								const char *procedure,
								const WaitArguments *arguments,
								WaitCall *call);

/* Sleep until there is an answer; the topics were set. */
extern void chatroom_wait_for_answer(WaitCall *call);

/* An answer that is there without waiting: append to call->json after this. */
extern void chatroom_start_wait_answer(WaitCall *call);

/* End the call: the procedure's result, a row of its one INOUT argument. */
extern Datum chatroom_end_wait(WaitCall *call);

#endif							/* CHATROOM_WAIT_H */
