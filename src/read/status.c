/*-------------------------------------------------------------------------
 *
 * status.c
 *	  State of the worker and of the caches; start and stop.
 *
 * The views answer also when nothing runs, and start nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/grants.h"
#include "base/judging.h"
#include "base/launch.h"
#include "base/memory.h"
#include "base/rooms.h"
#include "cache/presence.h"
#include "base/settings.h"
#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "read/sync.h"
#include "storage/ipc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/pg_lsn.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* How long stop() and start() wait, in ms. */
#define STOP_TIMEOUT	10000
#define START_TIMEOUT	10000

static const char *const reason_names[RESET_REASONS] = {
	[RESET_REASON_NONE] = NULL,
	[RESET_REASON_OVERWRITTEN] = "overwritten",
	[RESET_REASON_FLOOR] = "floor",
	[RESET_REASON_CURSOR] = "cursor",
	[RESET_REASON_AHEAD] = "ahead",
	[RESET_REASON_DDL] = "ddl",
	[RESET_REASON_WATCH] = "watch",
	[RESET_REASON_UNWATCH] = "unwatch",
	[RESET_REASON_LARGE] = "large",
	[RESET_REASON_POLICY] = "policy",
	[RESET_REASON_DROP] = "drop",
	[RESET_REASON_TRUNCATE] = "truncate",
	[RESET_REASON_OVERSIZE] = "oversize",
	[RESET_REASON_INSTALL] = "install",
	[RESET_REASON_EMIT_OFF] = "emit_off",
	[RESET_REASON_NO_CACHE] = "no_cache",
	[RESET_REASON_ACCESS] = "access",
	[RESET_REASON_EVICTED] = "evicted"
};

/* A row being filled, column after column. */
typedef struct StatusRow
{
	Datum		values[64];
	bool		nulls[64];
	int			n;

	/*
	 * What happens, also where not everybody may see it, is told to those who
	 * may read statistics only; to others the columns are null.
	 */
	bool		told;
	bool		activity;		/* the columns that come are of that kind */
} StatusRow;

static void
put_datum(StatusRow *row, Datum value)
{
	row->values[row->n] = value;
	row->nulls[row->n++] = row->activity && !row->told;
}

static void
put_null(StatusRow *row)
{
	row->values[row->n] = (Datum) 0;
	row->nulls[row->n++] = true;
}

static void
put_count(StatusRow *row, uint64 value)
{
	put_datum(row, Int64GetDatum((int64) value));
}

static void
put_atomic(StatusRow *row, pg_atomic_uint64 *value)
{
	put_count(row, pg_atomic_read_u64(value));
}

static void
put_bool(StatusRow *row, bool value)
{
	put_datum(row, BoolGetDatum(value));
}

/* An LSN; null where it is none. */
static void
put_lsn(StatusRow *row, XLogRecPtr lsn)
{
	if (lsn == InvalidXLogRecPtr || lsn == PG_UINT64_MAX)
		put_null(row);
	else
		put_datum(row, LSNGetDatum(lsn));
}

static void
put_text(StatusRow *row, const char *text)
{
	if (text == NULL)
		put_null(row);
	else
		put_datum(row, CStringGetTextDatum(text));
}

/* The worker's state in a word. */
static const char *
state_name(void)
{
	switch ((TailerState)
			pg_atomic_read_u32(&chatroom_control->tailer_state))
	{
		case TAILER_STARTING:
			return "starting";
		case TAILER_REBUILDING:
			return "rebuilding";
		case TAILER_RUNNING:
			return "running";
		case TAILER_NONE:
			break;
	}
	return chatroom_control->stopped ? "stopped" : "not running";
}

/* The end of WAL here. */
static XLogRecPtr
end_of_wal(void)
{
	return RecoveryInProgress() ? GetXLogReplayRecPtr(NULL) :
		GetFlushRecPtr(NULL);
}

/* Resets by reason, as jsonb. */
static Datum
resets_by_reason(Cache *cache)
{
	StringInfoData buf;
	bool		first = true;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	for (int i = 1; i < RESET_REASONS; i++)
	{
		uint64		count = pg_atomic_read_u64(&cache->stats.resets[i]);

		if (count == 0 || reason_names[i] == NULL)
			continue;
		appendStringInfo(&buf, "%s\"%s\": " UINT64_FORMAT,
						 first ? "" : ", ", reason_names[i], count);
		first = false;
	}
	appendStringInfoChar(&buf, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data));
}

/*
 * Why a database has no cache, though somebody may have asked for one; NULL:
 * none of that.
 */
static const char *
find_problem(const DatabaseSlot *slot, bool all_taken)
{
	if (chatroom_control->stopped)
		return "The worker was stopped: chatroom.start() starts it again.";
	if (chatroom_control->tailer_pid == 0 && chatroom_control->refused)
		return "There is no slot for the worker: raise max_worker_processes.";
	if (slot != NULL && slot->failed)
		return "There is no memory for the cache: see the server's log, and "
			"chatroom.cache_size.";
	if (slot == NULL && all_taken)
		return psprintf("%d databases have a cache, and no more can: raise "
						"chatroom.max_databases.",
						chatroom_control->ndatabases);
	return NULL;
}

/* What the cluster's worker is about. */
static void
put_worker(StatusRow *row)
{
	XLogRecPtr	end = end_of_wal();
	uint64		caught_up = pg_atomic_read_u64(&chatroom_control->caught_up);

	put_text(row, state_name());
	if (chatroom_control->tailer_pid != 0)
		put_datum(row, Int32GetDatum(chatroom_control->tailer_pid));
	else
		put_null(row);
	put_bool(row, chatroom_preloaded);
	put_bool(row, RecoveryInProgress());
	if (chatroom_control->tli != 0)
		put_count(row, chatroom_control->tli);
	else
		put_null(row);
	put_lsn(row, pg_atomic_read_u64(&chatroom_control->read_lsn));
	if (chatroom_control->tailer_pid != 0)
		put_count(row, end > caught_up ? end - caught_up : 0);
	else
		put_null(row);
	put_lsn(row, chatroom_control->anchor_restart);
	row->activity = true;
	put_atomic(row, &chatroom_control->messages_read);
	put_atomic(row, &chatroom_control->messages_forged);
	put_atomic(row, &chatroom_control->messages_torn);
	row->activity = false;
	put_atomic(row, &chatroom_control->bytes_read);
	row->activity = true;
	put_atomic(row, &chatroom_control->transactions_reread);
	put_atomic(row, &chatroom_control->assembly_bytes);
	row->activity = false;
	put_atomic(row, &chatroom_control->tailer_starts);
}

/* What is in a database's cache; nulls where there is none. */
static void
put_cache(StatusRow *row, Cache *cache, int ncolumns)
{
	int			last = row->n + ncolumns;
	uint64		published;
	LWLock	   *stripe;

	if (cache == NULL)
	{
		while (row->n < last)
			put_null(row);
		return;
	}
	stripe = chatroom_stripe(cache);
	LWLockAcquire(stripe, LW_SHARED);
	put_count(row, cache->ring_size);
	row->activity = true;
	put_count(row, cache->head - cache->tail);
	put_count(row, cache->nevents);
	row->activity = false;
	put_lsn(row, cache->floor);
	row->activity = true;
	if (cache->nevents > 0)
		put_datum(row, TimestampTzGetDatum(cache->last_event));
	else
		put_null(row);
	row->activity = false;
	put_datum(row, TimestampTzGetDatum(cache->stats_reset));
	LWLockRelease(stripe);
	published = pg_atomic_read_u64(&cache->published);
	put_lsn(row, published);
	row->activity = true;
	put_bool(row, pg_atomic_read_u64(&cache->held) != 0);
	put_count(row, pg_atomic_read_u32(&cache->waiting));
	put_count(row, pg_atomic_read_u32(&cache->interested));
	put_count(row, chatroom_presence_count(cache));
	row->activity = false;
	put_count(row, cache->npresence);
	row->activity = true;
	put_atomic(row, &cache->stats.events);
	put_atomic(row, &cache->stats.transactions);
	put_atomic(row, &cache->stats.bytes);
	put_atomic(row, &cache->stats.overwritten);
	put_atomic(row, &cache->stats.oversize);
	put_atomic(row, &cache->stats.large_transactions);
	put_atomic(row, &cache->stats.topics_evicted);
	put_atomic(row, &cache->stats.syncs);
	put_atomic(row, &cache->stats.syncs_with_news);
	put_atomic(row, &cache->stats.waits);
	put_atomic(row, &cache->stats.notifies);
	put_atomic(row, &cache->stats.notify_batches);
	put_atomic(row, &cache->stats.presence_refused);
	put_datum(row, resets_by_reason(cache));
	row->activity = false;
}

/* Emit one database's row. */
static void
put_database(ReturnSetInfo *result, Oid dboid, Cache *cache,
			 const DatabaseSlot *slot, bool all_taken)
{
	StatusRow	row = {0};

	row.told = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		has_privs_of_role(GetUserId(), ROLE_PG_DATABASE_OWNER);
	put_datum(&row, ObjectIdGetDatum(dboid));
	put_worker(&row);
	if (slot != NULL && slot->notifier_pid > 0)
		put_datum(&row, Int32GetDatum(slot->notifier_pid));
	else
		put_null(&row);
	put_bool(&row, slot != NULL && slot->failed);
	put_text(&row, cache != NULL ? NULL : find_problem(slot, all_taken));
	put_cache(&row, cache, result->setDesc->natts - row.n);
	tuplestore_putvalues(result->setResult, result->setDesc, row.values,
						 row.nulls);
}

/* Another database's row; its cache is mapped just for this. */
static void
put_other_database(ReturnSetInfo *result, const DatabaseSlot *slot)
{
	dsm_segment *segment = NULL;

	if (slot->handle != DSM_HANDLE_INVALID)
		segment = dsm_attach(slot->handle);
	put_database(result, slot->dboid,
				 segment ? chatroom_cache_of(segment) : NULL,
				 slot, false);
	if (segment != NULL)
		dsm_detach(segment);
}

CHATROOM_FUNCTION(chatroom_status);

/*
 * status_rows(): this database, and for those who may read all statistics the
 * other databases that have a cache.
 */
Datum
chatroom_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	DatabaseSlot *slots;
	Size		size;
	const DatabaseSlot *mine = NULL;
	bool		all_taken = true;
	bool		all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);

	InitMaterializedSRF(fcinfo, 0);
	chatroom_attach_control();
	size = sizeof(DatabaseSlot) * chatroom_control->ndatabases;
	slots = palloc(size);
	LWLockAcquire(&chatroom_control->lock, LW_SHARED);
	memcpy(slots, chatroom_control->databases, size);
	LWLockRelease(&chatroom_control->lock);
	for (int i = 0; i < chatroom_control->ndatabases; i++)
	{
		if (slots[i].dboid == MyDatabaseId)
			mine = &slots[i];
		all_taken = all_taken && OidIsValid(slots[i].dboid);
	}
	put_database(result, MyDatabaseId, chatroom_my_cache(), mine, all_taken);
	for (int i = 0; i < chatroom_control->ndatabases && all; i++)
		if (OidIsValid(slots[i].dboid) && slots[i].dboid != MyDatabaseId)
			put_other_database(result, &slots[i]);
	return (Datum) 0;
}

CHATROOM_FUNCTION(chatroom_stat_reset);

/* stat_reset(): this database's counters. */
Datum
chatroom_stat_reset(PG_FUNCTION_ARGS)
{
	Cache	   *cache;
	pg_atomic_uint64 *counters;

	chatroom_refuse_restricted("chatroom.stat_reset()");
	chatroom_attach_control();
	cache = chatroom_my_cache();
	if (cache == NULL)
		PG_RETURN_VOID();
	counters = (pg_atomic_uint64 *) &cache->stats;
	chatroom_cache_lock(cache);
	for (Size i = 0; i < sizeof(CacheStats) / sizeof(*counters); i++)
		pg_atomic_write_u64(&counters[i], 0);
	cache->stats_reset = GetCurrentTimestamp();
	chatroom_cache_unlock(cache);
	PG_RETURN_VOID();
}

/* ------------------------------------------------------------- stat_topics */

/* What is told of one topic. */
typedef struct TopicStat
{
	char	   *topic;
	int			len;
	uint64		events;
	XLogRecPtr	lsn;
	TimestampTz at;
} TopicStat;

/*
 * The same of a prefix' topic: a room's for those who can see it, that of all
 * rooms, or of everything, for those who see all of them.
 */
static bool
prefix_topic_shown(const TopicMeaning *meaning, const TopicStat *stat)
{
	const ChatTables *tables = OidIsValid(meaning->schema) ?
		chatroom_schema_tables(meaning->schema) : NULL;
	RelationAccess access;
	int64		room_id;
	bool		exempt;

	if (tables == NULL || meaning->kind == TOPIC_NOTHING)
		return false;
	exempt = chatroom_exempt(tables);
	chatroom_relation_access(tables->rooms, &access);
	if (!access.any)
		return false;
	if (meaning->kind != TOPIC_ROOM)
		return exempt || (tables->version < 2 && !access.policies);
	room_id = chatroom_topic_room_id(stat->topic, stat->len);
	return room_id != 0 && chatroom_room_visible(tables, room_id);
}

/*
 * May the caller know that a topic exists and how busy it is?  Where it may
 * not see all of the rows, their keys and numbers are none of its business.
 */
static bool
topic_shown(const TopicStat *stat)
{
	const TopicMeaning *meaning = chatroom_topic_meaning(stat->topic,
														 stat->len);
	const ChatTables *tables;
	RelationAccess access;

	if (meaning->kind == TOPIC_FREE)
		return chatroom_topic_granted(stat->topic, stat->len, TOPIC_SYNC);
	if (meaning->kind >= TOPIC_ROOM)
		return prefix_topic_shown(meaning, stat);
	chatroom_relation_access(meaning->relid, &access);
	if (!access.any || access.policies ||
		(!access.all && meaning->base_len != stat->len))
		return false;

	/* who acts for a user sees no more than the user */
	tables = chatroom_tables_of(meaning->relid);
	return tables == NULL || tables->version < 2 || chatroom_exempt(tables);
}

/* Copy what there is in a stretch of the topic table. */
static int
copy_topics(Cache *cache, uint32 from, uint32 to, TopicStat *stats,
			char *texts)
{
	LWLock	   *stripe = chatroom_stripe(cache);
	int			n = 0;

	LWLockAcquire(stripe, LW_SHARED);
	for (uint32 i = from; i < to; i++)
	{
		const RingTopic *topic = (RingTopic *)
			((char *) cache + cache->topics_offset) + i;
		const RingEvent *event;
		const RingLink *link;

		if (topic->hash == 0)
			continue;
		event = chatroom_cache_event(cache, topic->newest_pos);
		link = event ? chatroom_cache_link(event, topic->hash) : NULL;
		if (link == NULL)
			continue;
		stats[n].topic = texts + n * CHATROOM_MAX_TOPIC;
		stats[n].len = Min(link->name_len, CHATROOM_MAX_TOPIC);
		memcpy(stats[n].topic, ring_part(event, link->name), stats[n].len);
		stats[n].events = link->index - RING_FIRST_INDEX + 1;
		stats[n].lsn = event->lsn;
		stats[n].at = event->at;
		n++;
	}
	LWLockRelease(stripe);
	return n;
}

CHATROOM_FUNCTION(chatroom_stat_topics);

/* stat_topic_rows(): the topics in the ring that the caller may follow. */
Datum
chatroom_stat_topics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	enum
	{
		STRETCH = 64
	};
	TopicStat	stats[STRETCH];
	Cache	   *cache;
	char	   *texts;
	uint32		total;

	InitMaterializedSRF(fcinfo, 0);
	chatroom_attach_control();
	cache = chatroom_my_cache();
	if (cache == NULL)
		return (Datum) 0;
	texts = palloc(STRETCH * CHATROOM_MAX_TOPIC);
	total = cache->nbuckets * TOPIC_WAYS;
	for (uint32 from = 0; from < total; from += STRETCH)
	{
		int			n = copy_topics(cache, from, Min(from + STRETCH, total),
									stats, texts);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n; i++)
		{
			StatusRow	row = {0};
			Cursor		cursor;
			StringInfoData buf;

			if (!topic_shown(&stats[i]))
				continue;
			put_datum(&row,
					  PointerGetDatum(cstring_to_text_with_len(stats[i].topic,
															   stats[i].len)));
			put_count(&row, stats[i].events);
			initStringInfo(&buf);
			chatroom_make_cursor(stats[i].lsn, &cursor);
			chatroom_append_cursor(&buf, &cursor);
			put_text(&row, buf.data);
			put_datum(&row, TimestampTzGetDatum(stats[i].at));
			tuplestore_putvalues(result->setResult, result->setDesc,
								 row.values, row.nulls);
			pfree(buf.data);
		}
	}
	return (Datum) 0;
}

/* ---------------------------------------------------------- start and stop */

CHATROOM_FUNCTION(chatroom_start);

/* start(): undo a stop, and start the worker; returns whether it is ready. */
Datum
chatroom_start(PG_FUNCTION_ARGS)
{
	chatroom_refuse_restricted("chatroom.start()");
	chatroom_attach_control();
	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	chatroom_control->stopped = false;
	LWLockRelease(&chatroom_control->lock);
	if (chatroom_ensure_tailer(START_TIMEOUT))
		PG_RETURN_BOOL(true);
	if (!chatroom_control->tailer_registered)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not start the chatroom worker"),
				 errdetail("No background worker slot is free."),
				 errhint("Raise max_worker_processes.")));
	PG_RETURN_BOOL(false);
}

CHATROOM_FUNCTION(chatroom_stop);

/*
 * stop(): end the worker, give its memory, slot and retained WAL back.  It
 * stays stopped until start() or a server restart.
 */
Datum
chatroom_stop(PG_FUNCTION_ARGS)
{
	uint64		start;

	chatroom_refuse_restricted("chatroom.stop()");
	chatroom_attach_control();
	LWLockAcquire(&chatroom_control->lock, LW_EXCLUSIVE);
	chatroom_control->stopped = true;
	LWLockRelease(&chatroom_control->lock);
	chatroom_wake_tailer();
	start = chatroom_monotonic_us();
	while (chatroom_control->tailer_pid != 0)
	{
		if (chatroom_elapsed_ms(start) > STOP_TIMEOUT)
			PG_RETURN_BOOL(false);
		chatroom_nap(5);
	}
	PG_RETURN_BOOL(true);
}
