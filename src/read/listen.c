/*-------------------------------------------------------------------------
 *
 * listen.c
 *	  listen(), unlisten() and channel(): doorbells through LISTEN.
 *
 * A session has an interest (cache/interest.h) in each topic that it listens
 * to, and gives it back when it no longer does: at unlisten(), UNLISTEN,
 * DISCARD ALL, and when it ends.  As LISTEN, all that takes effect when the
 * transaction commits, and not if it doesn't; so the interest is taken at
 * once, and given back at the end of a transaction that leaves the session
 * without need of it.  The interest that channel() takes is no transaction's:
 * the caller has the name.
 *
 * listen() answers a cursor, after the interest was taken.  What is published
 * between that and the commit may be rung too early for this session, for it
 * isn't listening yet.  So if there is news at the commit, the doorbell is
 * rung again; PostgreSQL delivers whatever is sent from then on.
 *
 * A doorbell tells that something happened, so it is for topics of which the
 * caller sees everything.  What may take that from him has all channels named
 * anew (see chatroom_rename_channels_at_commit()): he is told to listen again,
 * and then refused.
 *
 * Interests live in a database's cache.  When that is given up they are gone;
 * the notifier tells who listens with an empty payload.  What is kept here
 * bears the cache's seed, to know the one from the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "base/arguments.h"
#include "base/clock.h"
#include "base/commands.h"
#include "base/compat.h"
#include "base/cursor.h"
#include "base/duration.h"
#include "base/hash.h"
#include "base/identity.h"
#include "base/judging.h"
#include "base/launch.h"
#include "base/memory.h"
#include "base/settings.h"
#include "cache/interest.h"
#include "cache/shares.h"
#include "commands/async.h"
#include "fmgr.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "read/sync.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Longest that channel() keeps an interest: a day, in us. */
#define MAX_KEEP	USECS_PER_DAY

/* An interest of this session's. */
typedef struct Held
{
	uint64		hash;			/* of the topic; key */
	uint32		index;			/* in the cache's table */
	char		channel[CHANNEL_NAME_LEN + 1];
	TopicRead	read;			/* to find out whether there is news */
	XLogRecPtr	cursor;			/* of the last listen() */
	bool		rung_at_commit; /* see whether there is news, at commit */
	bool		listening;		/* by a transaction that committed */
	bool		will_listen;	/* when the running one has committed */
	bool		named;			/* by channel() */
	bool		will_be_named;
	uint64		named_at;		/* in the order of actions */
} Held;

/* What the running transaction has done, to be undone with subtransactions. */
typedef struct Action
{
	slist_node	node;			/* newest first */
	int			level;			/* of nesting */
	uint64		number;			/* in the order of actions */
	bool		listen;			/* else unlisten */
	bool		all;			/* from all channels */
	char		channel[CHANNEL_NAME_LEN + 1];
} Action;

static HTAB *held_interests = NULL;
static uint64 held_seed = 0;	/* of the cache that they are in */
static slist_head actions = SLIST_STATIC_INIT(actions);
static uint64 last_action = 0;

/* Is there anything to do at the transaction's end? */
static bool dirty = false;

/* ---------------------------------------------------- what a session holds */

/* The cache that our interests are in, or NULL; never fails. */
static Cache *
held_cache(void)
{
	bool		current;
	Cache	   *cache = chatroom_mapped_cache(&current);

	return cache != NULL && cache->seed == held_seed ? cache : NULL;
}

/* Give one back. */
static void
give_back(Held *held)
{
	Cache	   *cache = held_cache();

	if (cache != NULL)
		chatroom_interest_give_back(cache, held->index);
	hash_search(held_interests, &held->hash, HASH_REMOVE, NULL);
	if (cache != NULL && hash_get_num_entries(held_interests) == 0)
		chatroom_interest_leave(cache);
}

/* At exit, also by FATAL: then the transaction ends only after this. */
static void
give_back_at_exit(int code, Datum arg)
{
	HASH_SEQ_STATUS status;
	Held	   *held;
	Cache	   *cache = held_cache();

	dirty = false;
	if (cache == NULL || held_interests == NULL ||
		hash_get_num_entries(held_interests) == 0)
		return;
	hash_seq_init(&status, held_interests);
	while ((held = hash_seq_search(&status)) != NULL)
		chatroom_interest_give_back(cache, held->index);
	chatroom_interest_leave(cache);
	held_interests = NULL;
}

/* Forget what was held in a cache that is no more; nobody rings it. */
static void
forget_interests(void)
{
	HASH_SEQ_STATUS status;
	Held	   *held;

	hash_seq_init(&status, held_interests);
	while ((held = hash_seq_search(&status)) != NULL)
	{
		if (held->listening)
			Async_Unlisten(held->channel);
		hash_search(held_interests, &held->hash, HASH_REMOVE, NULL);
	}
}

/* The interest of this session in a channel; NULL: none. */
static Held *
find_channel(const char *channel)
{
	HASH_SEQ_STATUS status;
	Held	   *held;

	hash_seq_init(&status, held_interests);
	while ((held = hash_seq_search(&status)) != NULL)
		if (strcmp(held->channel, channel) == 0)
		{
			hash_seq_term(&status);
			return held;
		}
	return NULL;
}

/* ---------------------------------------------------- ends of transactions */

/* Ring, if there is news since the cursor that listen() answered. */
static void
ring_if_news(Held *held)
{
	Cache	   *cache = held_cache();
	LWLock	   *stripe;
	bool		news;

	if (cache == NULL)
		return;
	stripe = chatroom_stripe(cache);
	LWLockAcquire(stripe, LW_SHARED);
	chatroom_cache_find(cache, &held->read, held->cursor);
	news = held->read.news || held->read.reset != RESET_REASON_NONE;
	LWLockRelease(stripe);
	if (news)
		chatroom_interest_ring(cache, held->index);
}

/* An UNLISTEN that commits; what channel() named after it stays. */
static void
unlisten_held(Held *held, const Action *action)
{
	held->will_listen = false;
	if (held->named_at < action->number)
		held->will_be_named = false;
}

static void
apply_unlisten(const Action *action)
{
	HASH_SEQ_STATUS status;
	Held	   *held;

	if (!action->all)
	{
		held = find_channel(action->channel);
		if (held != NULL)
			unlisten_held(held, action);
		return;
	}
	hash_seq_init(&status, held_interests);
	while ((held = hash_seq_search(&status)) != NULL)
		unlisten_held(held, action);
}

/* Find out, from what the transaction did, what will be listened to. */
static void
apply_actions(void)
{
	slist_head	in_order;

	slist_init(&in_order);
	while (!slist_is_empty(&actions))
		slist_push_head(&in_order, slist_pop_head_node(&actions));
	while (!slist_is_empty(&in_order))
	{
		Action	   *action = slist_container(Action, node,
											 slist_pop_head_node(&in_order));
		Held	   *held;

		if (!action->listen)
			apply_unlisten(action);
		else if ((held = find_channel(action->channel)) != NULL)
			held->will_listen = true;
		pfree(action);
	}
}

/* Drop the actions of a level of nesting and deeper. */
static void
drop_actions(int level)
{
	while (!slist_is_empty(&actions))
	{
		Action	   *action = slist_head_element(Action, node, &actions);

		if (action->level < level)
			break;
		slist_pop_head_node(&actions);
		pfree(action);
	}
}

/* The end of a transaction: keep those interests that are needed. */
static void
settle_interests(bool committed)
{
	HASH_SEQ_STATUS status;
	Held	   *held;

	hash_seq_init(&status, held_interests);
	while ((held = hash_seq_search(&status)) != NULL)
	{
		held->will_listen = held->listening;
		held->will_be_named = held->named;
	}
	if (committed)
		apply_actions();
	else
		drop_actions(0);

	hash_seq_init(&status, held_interests);
	while ((held = hash_seq_search(&status)) != NULL)
	{
		held->listening = held->will_listen;
		held->named = held->will_be_named;
		if (held->rung_at_commit && held->listening)
			ring_if_news(held);
		held->rung_at_commit = false;
		if (!held->listening && !held->named)
			give_back(held);
	}
}

/* Transactions. */
static void
transaction_ended(XactEvent event, void *arg)
{
	if (!dirty || (event != XACT_EVENT_COMMIT &&
				   event != XACT_EVENT_PREPARE && event != XACT_EVENT_ABORT))
		return;
	dirty = false;
	settle_interests(event != XACT_EVENT_ABORT);
}

/* Subtransactions: as async.c treats what they did. */
static void
subtransaction_ended(SubXactEvent event, SubTransactionId id,
					 SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	slist_iter	iter;

	if (event == SUBXACT_EVENT_ABORT_SUB)
		drop_actions(level);
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		slist_foreach(iter, &actions)
		{
			Action	   *action = slist_container(Action, node, iter.cur);

			if (action->level < level)
				break;
			action->level = level - 1;
		}
}

/* Note what the transaction does; channel NULL: UNLISTEN *. */
static void
note_action(bool listen, const char *channel)
{
	Action	   *action = MemoryContextAllocZero(TopMemoryContext,
												sizeof(Action));

	action->level = GetCurrentTransactionNestLevel();
	action->number = ++last_action;
	action->listen = listen;
	action->all = channel == NULL;
	if (channel != NULL)
		strlcpy(action->channel, channel, sizeof(action->channel));
	slist_push_head(&actions, &action->node);
	dirty = true;
}

/* UNLISTEN and DISCARD ALL, as commands, give interests back, too. */
static void
unlisten_at_command(bool discard, const char *channel)
{
	/* channels of other names are none of ours */
	if (channel == NULL || strlen(channel) == CHANNEL_NAME_LEN)
		note_action(false, channel);
}

/* Get ready to hold interests: once per process. */
static void
prepare_session(void)
{
	if (held_interests != NULL)
		return;
	held_interests = chatroom_make_hash("chatroom interests", TopMemoryContext,
										16, sizeof(uint64), sizeof(Held));
	before_shmem_exit(give_back_at_exit, (Datum) 0);
	RegisterXactCallback(transaction_ended, NULL);
	RegisterSubXactCallback(subtransaction_ended, NULL);
	chatroom_listen_to_commands(unlisten_at_command);
}

/* ----------------------------------------------------------- what is asked */

/* Where there is no NOTIFY, there is no doorbell. */
static void
require_primary(const char *function)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s during recovery", function),
				 errdetail("A standby has no LISTEN."),
				 errhint("Follow the topic with CALL chatroom.wait() or "
						 "chatroom.sync() here, or listen on the primary.")));
}

/* As LISTEN itself: see standard_ProcessUtility. */
static void
require_session(const char *function)
{
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot execute %s within security-restricted "
						"operation", function)));
	if (MyBackendType != B_BACKEND)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot execute %s within a background process",
						function)));
}

/* See that somebody rings. */
static void
require_notifier(void)
{
	if (!chatroom_launch_notifier(MyDatabaseId))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("no background worker slot is free for chatroom's "
						"notifier"),
				 errhint("Raise max_worker_processes.")));
}

/* A topic that the caller may listen to. */
typedef struct Wanted
{
	Cache	   *cache;
	TopicRead	read;
	InterestClaim claim;
	char		name[CHANNEL_NAME_LEN + 1];
} Wanted;

/*
 * Who rings can't judge what a listener would see.  So there is no doorbell
 * for a topic of which something may be hidden from the caller.
 */
static void
refuse_judged(const ResolvedTopic *topic)
{
	if (!chatroom_topic_judged(topic))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot listen to topic \"%.*s\"",
					topic->len, topic->topic),
			 errdetail("Row-level security or missing privileges may hide "
					   "what happens to it from this role, and a doorbell "
					   "would tell that something does."),
			 errhint("Follow it with CALL chatroom.wait(), or listen to a "
					 "topic of which this role sees everything, such as a "
					 "room's.")));
}

/* What is claimed of an interest in a topic. */
static void
claim_topic(Cache *cache, const ResolvedTopic *topic, InterestClaim *claim)
{
	int			lens[TOPIC_STEMS];
	int			n = chatroom_topic_stems(topic->topic, topic->len, lens);

	memset(claim, 0, sizeof(*claim));
	claim->hash = chatroom_topic_hash(cache, topic->topic, topic->len);
	for (int i = 0; i < n && topic->kind == TOPIC_FREE; i++)
		claim->stems[i] = chatroom_topic_hash(cache, topic->topic, lens[i]);
	claim->role = GetUserId();
	claim->quota = chatroom_share_limit(chatroom_max_interests_per_role,
										cache->ninterests);
	chatroom_topic_channel(cache, topic->topic, topic->len, &claim->channel);
}

/* Check the topic, and find its channel. */
static void
resolve_wanted(text *topic, Wanted *wanted)
{
	SyncTopics	topics;

	chatroom_one_topic(topic, &topics);
	chatroom_refuse_hidden(topics.topics, topics.n);
	refuse_judged(&topics.topics[0]);
	wanted->cache = chatroom_require_cache();
	chatroom_prepare_reads(&topics, wanted->cache);
	wanted->read = topics.reads[0];
	claim_topic(wanted->cache, &topics.topics[0], &wanted->claim);
	chatroom_channel_text(wanted->claim.channel.name, wanted->name);
}

/* There is no room: for the role, or for anybody. */
static void
report_full(const Wanted *wanted, uint32 index)
{
	if (index == INTEREST_QUOTA)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("role \"%s\" listens to too many topics",
						GetUserNameFromId(wanted->claim.role, false)),
				 errdetail("It may listen to %u in a database "
						   "(chatroom.max_interests_per_role).",
						   wanted->claim.quota),
				 errhint("Listen to topics that comprise others, such as a "
						 "table's own, or have a superuser raise the role's "
						 "setting.")));
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("too many topics are listened to in this database"),
			 errdetail("There is room for %u.", wanted->cache->ninterests),
			 errhint("Listen to topics that comprise others, such as a "
					 "table's own, or raise chatroom.cache_size.")));
}

/* This session's interest in a topic, taken if it hasn't one. */
static Held *
hold_interest(const Wanted *wanted)
{
	Held	   *held;
	uint32		index;
	bool		found;

	prepare_session();
	if (held_seed != wanted->cache->seed)
	{
		forget_interests();
		held_seed = wanted->cache->seed;
	}
	held = hash_search(held_interests, &wanted->read.hash, HASH_ENTER,
					   &found);
	if (found)
		return held;

	if (hash_get_num_entries(held_interests) == 1)
		chatroom_interest_enter(wanted->cache);
	index = chatroom_interest_hold(wanted->cache, &wanted->claim);
	if (index >= INTEREST_QUOTA)
	{
		hash_search(held_interests, &wanted->read.hash, HASH_REMOVE, NULL);
		if (hash_get_num_entries(held_interests) == 0)
			chatroom_interest_leave(wanted->cache);
		report_full(wanted, index);
	}
	memset((char *) held + sizeof(held->hash), 0,
		   sizeof(Held) - sizeof(held->hash));
	held->index = index;
	held->read = wanted->read;
	strlcpy(held->channel, wanted->name, sizeof(held->channel));
	dirty = true;
	return held;
}

CHATROOM_FUNCTION(chatroom_listen);

/* listen(topic text, acting_for text) → text */
Datum
chatroom_listen(PG_FUNCTION_ARGS)
{
	Wanted		wanted;
	Held	   *held;
	Cursor		cursor;
	StringInfoData buf;

	chatroom_refuse_restricted("chatroom.listen()");
	chatroom_require_argument(fcinfo, 0, "topic");
	require_primary("chatroom.listen()");
	require_session("chatroom.listen()");
	chatroom_acting_for(PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1));
	resolve_wanted(PG_GETARG_TEXT_PP(0), &wanted);
	held = hold_interest(&wanted);
	chatroom_acting_done();
	require_notifier();

	/* the channel has got another name since we last listened */
	if (strcmp(held->channel, wanted.name) != 0)
	{
		Async_Unlisten(held->channel);
		strlcpy(held->channel, wanted.name, sizeof(held->channel));
	}
	Async_Listen(held->channel);
	note_action(true, held->channel);
	held->cursor = pg_atomic_read_u64(&wanted.cache->published);
	held->rung_at_commit = true;

	chatroom_make_cursor(held->cursor, &cursor);
	initStringInfo(&buf);
	chatroom_append_cursor(&buf, &cursor);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}

CHATROOM_FUNCTION(chatroom_unlisten);

/* unlisten(topic text) */
Datum
chatroom_unlisten(PG_FUNCTION_ARGS)
{
	text	   *topic;
	Cache	   *cache;
	uint64		hash;
	Held	   *held;

	chatroom_refuse_restricted("chatroom.unlisten()");
	chatroom_require_argument(fcinfo, 0, "topic");
	topic = PG_GETARG_TEXT_PP(0);
	chatroom_attach_control();
	cache = held_cache();
	if (held_interests == NULL || cache == NULL)
		PG_RETURN_VOID();
	hash = chatroom_topic_hash(cache, VARDATA_ANY(topic),
							   VARSIZE_ANY_EXHDR(topic));
	held = hash_search(held_interests, &hash, HASH_FIND, NULL);
	if (held == NULL)
		PG_RETURN_VOID();
	Async_Unlisten(held->channel);
	note_action(false, held->channel);
	PG_RETURN_VOID();
}

CHATROOM_FUNCTION(chatroom_channel);

/* channel(topic text, keep interval, acting_for text) → text */
Datum
chatroom_channel(PG_FUNCTION_ARGS)
{
	Wanted		wanted;
	int64		keep = 0;

	chatroom_refuse_restricted("chatroom.channel()");
	chatroom_require_argument(fcinfo, 0, "topic");
	require_primary("chatroom.channel()");
	require_session("chatroom.channel()");
	if (!PG_ARGISNULL(1))
	{
		keep = chatroom_duration(PG_GETARG_INTERVAL_P(1), "keep");
		if (keep == 0 || keep > MAX_KEEP)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("keep must be more than nothing, and at most a "
							"day"),
					 errhint("Call chatroom.channel() again in time to keep "
							 "the interest longer.")));
	}
	chatroom_acting_for(PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2));
	resolve_wanted(PG_GETARG_TEXT_PP(0), &wanted);
	if (keep > 0)
	{
		uint32		index;

		index = chatroom_interest_keep(wanted.cache, &wanted.claim,
									   chatroom_monotonic_us() + keep);
		if (index >= INTEREST_QUOTA)
			report_full(&wanted, index);
	}
	else
	{
		Held	   *held = hold_interest(&wanted);

		held->named = true;
		held->named_at = ++last_action;
		if (!held->listening)
			strlcpy(held->channel, wanted.name, sizeof(held->channel));
	}
	chatroom_acting_done();
	require_notifier();
	PG_RETURN_TEXT_P(cstring_to_text(wanted.name));
}
