/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  CALL chatroom.wait(): sleep until something happens to topics.
 *
 * A function that blocks would hold its statement's snapshot, and with it
 * vacuum on a primary, or replay on a standby.  So this is a procedure, and
 * ends its transaction before it sleeps: then it holds no snapshot and no lock
 * but that on its own virtual transaction.  That needs a call outside a
 * transaction block.
 *
 * Each turn is: take a waiter's slot (if it hasn't one), look with a fresh
 * snapshot, end the transaction, sleep.  The slot is there before the look, so
 * whatever the look does not find wakes the sleep; see cache/waiters.h.
 *
 * What the call was given, and what is known of the topics, stands in a memory
 * context below the caller's: that is the portal's, and outlives our
 * transactions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "base/settings.h"
#include "cache/waiters.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "read/acting.h"
#include "read/duration.h"
#include "read/sync.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

/* Arguments, by number. */
enum
{
	ARG_TOPICS,
	ARG_SINCE,
	ARG_TIMEOUT,
	ARG_MAX_EVENTS,
	ARG_ANSWER,
	ARG_ACTING_FOR
};

/*
 * The answer is there this much before a timeout of the server's would strike:
 * a tenth of what is left, within these bounds in ms.
 */
#define MARGIN_LEAST	10
#define MARGIN_MOST		1000

/* A call in progress. */
typedef struct Wait
{
	MemoryContext context;		/* lives as long as the call */
	MemoryContext look_context; /* reset before each look */
	SyncTopics	topics;
	bool		have_since;
	Cursor		since;			/* moves on past what was withheld */
	int			max_events;
	text	   *acting_for;		/* NULL: nobody */
	instr_time	start;
	int64		timeout;		/* us */
	uint64		seed;			/* of the cache where we are registered */
	StringInfoData json;		/* the answer, behind a varlena header */
} Wait;

/* Only a call that may end its transaction may sleep. */
static void
require_own_transaction(FunctionCallInfo fcinfo)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic || IsSubTransaction())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("chatroom.wait cannot be called inside a transaction "
						"block"),
				 errdetail("It ends its transaction before it sleeps."),
				 errhint("Call it on its own (drivers: in autocommit mode), "
						 "or call chatroom.sync() instead, which does not "
						 "wait.")));
}

/* Microseconds before a moment that the server would act at. */
static int64
time_before(TimestampTz moment)
{
	int64		left = moment - GetCurrentTimestamp();
	int64		margin = left / 10;

	margin = Max(margin, MARGIN_LEAST * 1000);
	margin = Min(margin, MARGIN_MOST * 1000);
	return Max(left - margin, 0);
}

/* What is to be waited at most, of what the caller asked for. */
static int64
clamp_timeout(int64 timeout)
{
	timeout = Min(timeout, (int64) chatroom_max_wait * 1000);
	if (get_timeout_active(STATEMENT_TIMEOUT))
		timeout = Min(timeout,
					  time_before(get_timeout_finish_time(STATEMENT_TIMEOUT)));

	/* it begins again with each of our transactions, but is fatal */
	if (ChatroomTransactionTimeout() > 0)
		timeout = Min(timeout,
					  time_before(GetCurrentTimestamp() +
								  ChatroomTransactionTimeout() *
								  INT64CONST(1000)));
	return timeout;
}

/* Microseconds left to wait; monotonic time. */
static int64
time_left(const Wait *wait)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, wait->start);
	return wait->timeout - (int64) INSTR_TIME_GET_MICROSEC(now);
}

/* Take the arguments over into the call's own memory. */
static void
read_arguments(FunctionCallInfo fcinfo, Wait *wait)
{
	Interval   *interval;

	chatroom_require_argument(fcinfo, ARG_TOPICS, "topics");
	chatroom_require_argument(fcinfo, ARG_TIMEOUT, "timeout");
	chatroom_require_argument(fcinfo, ARG_MAX_EVENTS, "max_events");
	INSTR_TIME_SET_CURRENT(wait->start);
	interval = PG_GETARG_INTERVAL_P(ARG_TIMEOUT);
	wait->timeout = clamp_timeout(chatroom_duration(interval, "timeout"));
	wait->max_events = chatroom_check_limit(PG_GETARG_INT32(ARG_MAX_EVENTS));
	wait->have_since = !PG_ARGISNULL(ARG_SINCE);
	if (wait->have_since)
		chatroom_parse_since(PG_GETARG_TEXT_PP(ARG_SINCE), &wait->since);
	wait->acting_for = NULL;
	if (!PG_ARGISNULL(ARG_ACTING_FOR))
		wait->acting_for = PG_GETARG_TEXT_P_COPY(ARG_ACTING_FOR);
	chatroom_acting_for(wait->acting_for);
	chatroom_many_topics(PG_GETARG_ARRAYTYPE_P_COPY(ARG_TOPICS),
						 &wait->topics);
}

/*
 * End the transaction, and with it snapshots and locks; another begins.  It
 * takes a new snapshot for each look, whatever the session's default is.
 */
static void
end_transaction(void)
{
	MemoryContext old = CurrentMemoryContext;

	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	SPI_commit();
	SPI_finish();
	XactIsoLevel = XACT_READ_COMMITTED;
	InvalidateCatalogSnapshot();
	MemoryContextSwitchTo(old);
}

/* Most waiters of one database. */
static uint32
waiter_limit(void)
{
	return chatroom_max_waiters < 0 ? Max(MaxConnections / 2, 1) :
		chatroom_max_waiters;
}

/* Have the tailer wake us, if there is a cache and we aren't known there. */
static void
enlist(Wait *wait)
{
	Cache	   *cache = chatroom_need_cache();
	TopicBits	bits = {0};

	if (cache == NULL || cache->seed == wait->seed)
		return;
	chatroom_prepare_reads(&wait->topics, cache);
	for (int i = 0; i < wait->topics.n; i++)
		topic_bits_add(&bits, wait->topics.reads[i].hash);
	if (!chatroom_waiter_register(cache, &bits, waiter_limit()))
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
				 errmsg("too many sessions wait already"),
				 errdetail("chatroom.max_waiters allows %u in this database.",
						   waiter_limit()),
				 errhint("Raise chatroom.max_waiters and max_connections, "
						 "or poll with chatroom.sync().")));
	wait->seed = cache->seed;
	pg_atomic_fetch_add_u64(&cache->stats.waits, 1);
}

/* Are we still registered in the database's cache, so that sleep can end? */
static bool
still_enlisted(const Wait *wait)
{
	bool		current;
	Cache	   *cache = chatroom_mapped_cache(&current);

	return cache != NULL && current && cache->seed == wait->seed;
}

/*
 * Look what happened.  Sets the answer and returns true where there is
 * something to tell, or where this is the last look.
 */
static bool
look(Wait *wait)
{
	MemoryContext old;
	SyncAnswer	answer;
	bool		last;
	bool		done;

	MemoryContextReset(wait->look_context);
	old = MemoryContextSwitchTo(wait->look_context);
	PushActiveSnapshot(GetLatestSnapshot());
	do
	{
		last = time_left(wait) <= 0;
		chatroom_find_events(&wait->topics,
							 wait->have_since ? &wait->since : NULL,
							 wait->max_events, &answer);
		done = answer.reset != RESET_REASON_NONE;
		for (int i = 0; i < answer.n && !done; i++)
			done = answer.verdicts[i] != VERDICT_WITHHOLD;
		wait->since = answer.cursor;
		wait->have_since = true;
	} while (!done && !last && answer.more);

	if (done || last)
	{
		MemoryContextSwitchTo(wait->context);
		initStringInfo(&wait->json);
		wait->json.len = VARHDRSZ;
		chatroom_append_answer(&wait->json, &wait->topics, &answer);
		SET_VARSIZE(wait->json.data, wait->json.len);
	}
	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
	return done || last;
}

/* Sleep until woken, or the client is gone. */
static void
sleep_until_woken(int64 timeout)
{
	static uint32 wait_event = 0;
	long		ms = (long) ((timeout + 999) / 1000);
	WaitEvent	event = {0};

	if (wait_event == 0)
		wait_event = ChatroomWaitEvent("ChatroomWait");
	if (MyProcPort != NULL && FeBeWaitSet != NULL &&
		WaitEventSetCanReportClosed())
	{
		/* as pq_check_connection does */
		ModifyWaitEvent(FeBeWaitSet, ChatroomClientSocketPos,
						WL_SOCKET_CLOSED, NULL);
		(void) WaitEventSetWait(FeBeWaitSet, ms, &event, 1, wait_event);
		if (event.events & WL_POSTMASTER_DEATH)
			ereport(FATAL,
					(errcode(ERRCODE_ADMIN_SHUTDOWN),
					 errmsg("terminating connection due to unexpected "
							"postmaster exit")));
		if (event.events & WL_SOCKET_CLOSED)
		{
			ClientConnectionLost = true;
			InterruptPending = true;
		}
	}
	else
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 ms, wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Wait for the answer. */
static void
wait_for_answer(Wait *wait)
{
	/* a call that may not sleep takes no slot */
	if (time_left(wait) <= 0 && look(wait))
		return;

	PG_TRY();
	{
		for (;;)
		{
			int64		left;

			enlist(wait);
			if (look(wait))
				break;
			end_transaction();
			left = time_left(wait);
			if (left > 0 && still_enlisted(wait))
				sleep_until_woken(left);

			/* rights may be gone meanwhile */
			AcceptInvalidationMessages();
			chatroom_acting_for(wait->acting_for);
			chatroom_recheck_topics(&wait->topics);
		}
	}
	PG_FINALLY();
	{
		chatroom_waiter_unregister();
	}
	PG_END_TRY();
}

/* The procedure's result: a row of its one INOUT argument. */
static Datum
make_result(const Wait *wait)
{
	TupleDesc	desc = CreateTemplateTupleDesc(1);
	Datum		value = PointerGetDatum(wait->json.data);
	bool		null = false;

	TupleDescInitEntry(desc, 1, "answer", JSONOID, -1, 0);
	desc = BlessTupleDesc(desc);
	return HeapTupleGetDatum(heap_form_tuple(desc, &value, &null));
}

CHATROOM_FUNCTION(chatroom_wait);

/*
 * wait(topics text[], since text, timeout interval, max_events int, INOUT
 * answer json, acting_for text)
 */
Datum
chatroom_wait(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	Wait		wait = {0};
	Datum		result;

	require_own_transaction(fcinfo);
	wait.context = AllocSetContextCreate(caller, "chatroom wait",
										 ALLOCSET_DEFAULT_SIZES);
	wait.look_context = AllocSetContextCreate(wait.context,
											  "chatroom wait look",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(wait.context);
	read_arguments(fcinfo, &wait);
	wait_for_answer(&wait);

	MemoryContextSwitchTo(caller);
	result = make_result(&wait);
	MemoryContextDelete(wait.context);
	PG_RETURN_DATUM(result);
}
