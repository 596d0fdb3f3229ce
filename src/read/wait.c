/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  Procedures that sleep until something happens to topics: CALL
 *	  chatroom.wait(), and what chat makes of it.
 *
 * A function that blocks would hold its statement's snapshot, and with it
 * vacuum on a primary, or replay on a standby.  So these are procedures, and
 * end their transaction before they sleep: then they hold no snapshot and no
 * lock but that on their own virtual transaction.  That needs a call outside a
 * transaction block.
 *
 * Each turn is: take a waiter's slot (if it hasn't one), look with a fresh
 * snapshot, end the transaction, sleep.  The slot is there before the look, so
 * whatever the look does not find wakes the sleep; see cache/waiters.h.
 *
 * Where there is no cache (stopped, no memory, no place), nobody would wake
 * us, and an answer that says so would be asked for again at once, for ever.
 * So we look again after pauses that grow, until there is one: then the
 * cursor is judged by it, which mostly means a reset.  Only at the timeout is
 * the client told to reload without it.
 *
 * What ends a right without an event (a trigger that was disabled, a
 * privilege, a role) wakes nobody: so no sleep is longer than
 * chatroom.recheck, and each turn looks at the rights again.
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
#include "base/clock.h"
#include "base/compat.h"
#include "base/delay.h"
#include "base/duration.h"
#include "base/identity.h"
#include "base/settings.h"
#include "cache/waiters.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "read/wait.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

/*
 * The answer is there this much before a timeout of the server's would strike:
 * a tenth of what is left, within these bounds in ms.
 */
#define MARGIN_LEAST	10
#define MARGIN_MOST		1000

/* The pauses between looks for a cache: from here on doubled, in us. */
#define PAUSE_LEAST		(10 * 1000)
#define PAUSE_MOST		(1000 * 1000)

/* Only a call that may end its transaction may sleep. */
static void
require_own_transaction(FunctionCallInfo fcinfo, const char *procedure)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic || IsSubTransaction())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot be called inside a transaction block",
						procedure),
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
time_left(const WaitCall *call)
{
	return call->timeout - (int64) (chatroom_monotonic_us() - call->start);
}

/* Start a call; see wait.h. */
void
chatroom_begin_wait(FunctionCallInfo fcinfo, const char *procedure,
					const WaitArguments *arguments, WaitCall *call)
{
	Interval   *interval;

	require_own_transaction(fcinfo, procedure);
	memset(call, 0, sizeof(*call));
	call->procedure = procedure;
	call->caller = CurrentMemoryContext;
	call->context = AllocSetContextCreate(call->caller, "chatroom wait",
										  ALLOCSET_DEFAULT_SIZES);
	call->look_context = AllocSetContextCreate(call->context,
											   "chatroom wait look",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(call->context);
	chatroom_require_argument(fcinfo, arguments->timeout, "timeout");
	chatroom_require_argument(fcinfo, arguments->max_events, "max_events");
	call->start = chatroom_monotonic_us();
	interval = PG_GETARG_INTERVAL_P(arguments->timeout);
	call->timeout = clamp_timeout(chatroom_duration(interval, "timeout"));
	call->max_events =
		chatroom_check_limit(PG_GETARG_INT32(arguments->max_events));
	call->have_since = !PG_ARGISNULL(arguments->since);
	if (call->have_since)
		chatroom_parse_since(PG_GETARG_TEXT_PP(arguments->since),
							 &call->since);
	if (!PG_ARGISNULL(arguments->acting_for))
		call->acting_for = PG_GETARG_TEXT_P_COPY(arguments->acting_for);
	chatroom_acting_for(call->acting_for);
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
enlist(WaitCall *call)
{
	Cache	   *cache = chatroom_need_cache();
	TopicBits	bits = {0};

	if (cache == NULL || cache->seed == call->seed)
		return;
	chatroom_prepare_reads(&call->topics, cache);
	for (int i = 0; i < call->topics.n; i++)
		topic_bits_add(&bits, call->topics.reads[i].hash);
	if (!chatroom_waiter_register(cache, &bits, waiter_limit()))
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
				 errmsg("too many sessions wait already"),
				 errdetail("chatroom.max_waiters allows %u in this database.",
						   waiter_limit()),
				 errhint("Raise chatroom.max_waiters and max_connections, "
						 "or poll with chatroom.sync().")));
	call->seed = cache->seed;
	pg_atomic_fetch_add_u64(&cache->stats.waits, 1);
}

/* Are we still registered in the database's cache, so that sleep can end? */
static bool
still_enlisted(const WaitCall *call)
{
	bool		current;
	Cache	   *cache = chatroom_mapped_cache(&current);

	return cache != NULL && current && cache->seed == call->seed;
}

/* The answer's beginning: a varlena's header. */
void
chatroom_start_wait_answer(WaitCall *call)
{
	MemoryContext old = MemoryContextSwitchTo(call->context);

	initStringInfo(&call->json);
	call->json.len = VARHDRSZ;
	MemoryContextSwitchTo(old);
}

/*
 * Take over what a look has found; says whether there is something to tell.
 * Where there was no cache, a cursor is still to be continued; and who has
 * none may miss something until there is one, which a place before all says.
 */
static bool
take_look(WaitCall *call, const SyncAnswer *answer)
{
	call->no_cache = answer->reset == RESET_REASON_NO_CACHE;
	if (call->no_cache && call->have_since)
		return false;
	call->since = answer->cursor;
	call->have_since = true;
	return !call->no_cache &&
		(answer->reset != RESET_REASON_NONE || answer->n > 0);
}

/*
 * Look what happened.  Sets the answer and returns true where there is
 * something to tell, or where this is the last look.
 */
static bool
look(WaitCall *call)
{
	MemoryContext old;
	SyncAnswer	answer;
	bool		last;
	bool		done;

	MemoryContextReset(call->look_context);
	old = MemoryContextSwitchTo(call->look_context);
	PushActiveSnapshot(GetLatestSnapshot());

	/* rights may be gone since the last look */
	chatroom_recheck_topics(&call->topics);
	last = time_left(call) <= 0;
	chatroom_find_events(&call->topics,
						 call->have_since ? &call->since : NULL,
						 call->max_events, &answer);
	done = take_look(call, &answer);

	if (done || last)
	{
		chatroom_start_wait_answer(call);
		if (answer.reset != RESET_REASON_NONE && call->reload != NULL)
			call->reload(call, call->reload_arg, &call->json);
		else
			chatroom_append_answer(&call->json, &call->topics, &answer);
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

/* Sleep until the next look. */
static void
sleep_between_looks(WaitCall *call)
{
	int64		left = time_left(call);

	if (left <= 0)
		return;
	if (still_enlisted(call))
		sleep_until_woken(Min(left, (int64) chatroom_recheck * 1000000));
	else if (call->no_cache)
	{
		call->pause = Max(call->pause, PAUSE_LEAST);
		sleep_until_woken(Min(left, call->pause));
		call->pause = Min(call->pause * 2, PAUSE_MOST);
	}
}

/* Wait for the answer; see wait.h. */
void
chatroom_wait_for_answer(WaitCall *call)
{
	/* a call that may not sleep takes no slot */
	if (time_left(call) <= 0 && look(call))
		return;

	PG_TRY();
	{
		for (;;)
		{
			enlist(call);
			CHATROOM_DELAY(DELAY_TURN);
			if (look(call))
				break;
			end_transaction();
			CHATROOM_DELAY(DELAY_TURN);
			sleep_between_looks(call);

			AcceptInvalidationMessages();
			chatroom_acting_for(call->acting_for);
		}
	}
	PG_FINALLY();
	{
		chatroom_waiter_unregister();
	}
	PG_END_TRY();
}

/* End the call; see wait.h. */
Datum
chatroom_end_wait(WaitCall *call)
{
	TupleDesc	desc;
	Datum		value;
	bool		null = false;
	Datum		result;

	chatroom_acting_done();
	SET_VARSIZE(call->json.data, call->json.len);
	value = PointerGetDatum(call->json.data);
	MemoryContextSwitchTo(call->caller);
	desc = CreateTemplateTupleDesc(1);
	TupleDescInitEntry(desc, 1, "answer", JSONOID, -1, 0);
	desc = BlessTupleDesc(desc);
	result = HeapTupleGetDatum(heap_form_tuple(desc, &value, &null));
	MemoryContextDelete(call->context);
	return result;
}

CHATROOM_FUNCTION(chatroom_wait);

/*
 * wait(topics text[], since text, timeout interval, max_events int, INOUT
 * answer json, acting_for text)
 */
Datum
chatroom_wait(PG_FUNCTION_ARGS)
{
	static const WaitArguments arguments = {1, 2, 3, 5};
	WaitCall	call;

	chatroom_require_argument(fcinfo, 0, "topics");
	chatroom_begin_wait(fcinfo, "chatroom.wait", &arguments, &call);
	chatroom_many_topics(PG_GETARG_ARRAYTYPE_P_COPY(0), &call.topics);
	chatroom_wait_for_answer(&call);
	PG_RETURN_DATUM(chatroom_end_wait(&call));
}
