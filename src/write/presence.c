/*-------------------------------------------------------------------------
 *
 * presence.c
 *	  Coming and going.
 *
 * A session writes its own coming into WAL and into the cache's table (see
 * cache/presence.h), and waits for nothing; what it says is out at once,
 * whatever becomes of the transaction.  Its going is told by the worker, which
 * it wakes: so does a session that ends, and one that is given to somebody
 * else with DISCARD ALL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/arguments.h"
#include "base/clock.h"
#include "base/commands.h"
#include "base/compat.h"
#include "base/delay.h"
#include "base/duration.h"
#include "base/judging.h"
#include "base/memory.h"
#include "base/presence.h"
#include "base/rooms.h"
#include "base/settings.h"
#include "base/topics.h"
#include "cache/demand.h"
#include "cache/interest.h"
#include "cache/presence.h"
#include "cache/shares.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "write/presence.h"

/* Typing ends after so long, in us, if nobody types. */
#define TYPING_TTL		(5 * USECS_PER_SEC)
#define TYPING_META		"{\"typing\": true}"

/* Longest and shortest lease, in us. */
#define MIN_TTL			INT64CONST(1000)
#define MAX_TTL			USECS_PER_DAY

/* How long to wait for a table that is about to be opened, in us. */
#define OPEN_TIMEOUT	(5 * USECS_PER_SEC)

/* How much larger than its text a jsonb can be, at most; generously. */
#define JSONB_OVERHEAD	16

static uint64 my_session = 0;

/* ------------------------------------------------------------- the session */

/* End what this session tracks, if there is something. */
static void
end_session(void)
{
	Cache	   *cache;
	bool		current;

	cache = chatroom_mapped_cache(&current);
	if (cache != NULL && current &&
		chatroom_presence_end_session(cache, my_session))
		chatroom_wake_tailer();
}

/* At exit, also by FATAL, which may come while a lock is held: even ours. */
static void
end_session_at_exit(int code, Datum arg)
{
	LWLockReleaseAll();
	CHATROOM_DELAY(DELAY_END);
	end_session();
}

/* DISCARD ALL gives the session to somebody else. */
static void
end_at_discard(bool discard, const char *channel)
{
	if (discard)
		end_session();
}

/* A number that is nobody else's, and not 0. */
static uint64
unique_number(void)
{
	uint64		number;

	do
		number = pg_prng_uint64(&pg_global_prng_state);
	while (number == 0);
	return number;
}

/* The number of this session, which is going to track something. */
static uint64
this_session(void)
{
	if (my_session == 0)
	{
		before_shmem_exit(end_session_at_exit, (Datum) 0);
		chatroom_listen_to_commands(end_at_discard);
		my_session = unique_number();
	}
	return my_session;
}

/* ----------------------------------------------------------- what is asked */

/* The bytes of a text. */
static Piece
text_piece(const text *value)
{
	Piece		piece = {VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};

	return piece;
}

/* Check the key of an entry. */
static void
check_key(const Piece *key, const char *name)
{
	if (key->len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", name)));
	if (key->len > CHATROOM_MAX_PRESENCE_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is too long", name),
				 errdetail("It has %d bytes; the limit is %d.", key->len,
						   CHATROOM_MAX_PRESENCE_KEY)));
}

/* Presence is told on the primary. */
static void
require_primary(const char *function)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s during recovery", function),
				 errhint("Call it on the primary; presence() and the events "
						 "are on standbys, too.")));
}

static void
report_meta_too_large(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("meta is too large"),
			 errdetail("The meta of a presence entry has at most %d bytes.",
					   CHATROOM_MAX_PRESENCE_META),
			 errhint("Keep what is large in a table, and its key in meta.")));
}

/* Has an object a field? */
static bool
has_field(Jsonb *object, const char *name)
{
	JsonbValue	found;

	return getKeyJsonValueFromContainer(&object->root, name, strlen(name),
										&found) != NULL;
}

/* The meta of an entry, without what is ours to say. */
static Jsonb *
read_meta(Datum value)
{
	static const char *const ours[] = {"phx_ref", "phx_ref_prev"};
	Jsonb	   *meta;

	/* don't make a huge text to find that it is */
	if (toast_raw_datum_size(value) >
		CHATROOM_MAX_PRESENCE_META * JSONB_OVERHEAD)
		report_meta_too_large();
	meta = DatumGetJsonbP(value);
	if (!JB_ROOT_IS_OBJECT(meta))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("meta must be a JSON object")));
	for (int i = 0; i < lengthof(ours); i++)
	{
		Datum		name = CStringGetTextDatum(ours[i]);

		if (has_field(meta, ours[i]))
			meta = DatumGetJsonbP(DirectFunctionCall2(jsonb_delete,
													  JsonbPGetDatum(meta),
													  name));
	}
	return meta;
}

/* The text of a meta. */
static Piece
meta_text(Jsonb *meta)
{
	Piece		text;

	text.data = JsonbToCString(NULL, &meta->root, VARSIZE(meta));
	text.len = strlen(text.data);
	if (text.len > CHATROOM_MAX_PRESENCE_META)
		report_meta_too_large();
	return text;
}

/* Which lease of a key it is: by its "id", if there is one. */
static uint64
meta_slot(Jsonb *meta)
{
	JsonbValue	found;
	JsonbValue *id;
	Jsonb	   *value;
	uint64		slot;

	id = getKeyJsonValueFromContainer(&meta->root, "id", 2, &found);
	if (id == NULL || id->type == jbvNull)
		return PRESENCE_SLOT_NONE;

	/* a number and its text are the same, as meta->>'id' has it */
	if (id->type == jbvString)
		slot = hash_bytes_extended((const unsigned char *) id->val.string.val,
								   id->val.string.len, 0);
	else
	{
		char	   *text;

		value = JsonbValueToJsonb(id);
		text = JsonbToCString(NULL, &value->root, VARSIZE(value));
		slot = hash_bytes_extended((const unsigned char *) text, strlen(text),
								   0);
	}
	return slot > PRESENCE_SLOT_TYPING ? slot : PRESENCE_SLOT_TYPING + 1;
}

/* The ttl of a lease, in us. */
static int64
read_ttl(const Interval *interval)
{
	int64		ttl = chatroom_duration(interval, "ttl");

	if (ttl < MIN_TTL || ttl > MAX_TTL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ttl must be at least a millisecond, and at most a "
						"day"),
				 errhint("Call chatroom.track() again in time to stay "
						 "present longer.")));
	return ttl;
}

/* --------------------------------------------------------- ends at commit */

/* Who leaves when the transaction commits. */
typedef struct Ending
{
	SubTransactionId subid;
	Piece		topic;
	Piece		key;			/* len < 0: all keys */
	bool		under;			/* all topics that begin like this one */
} Ending;

static List *endings = NIL;		/* in TopTransactionContext */

/* The end of a transaction: they leave, unless it is rolled back. */
static void
end_at_commit(XactEvent event, void *arg)
{
	Cache	   *cache;
	bool		current;
	bool		ended = false;
	ListCell   *lc;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_PREPARE &&
		event != XACT_EVENT_ABORT)
		return;
	cache = endings == NIL ? NULL : chatroom_mapped_cache(&current);
	if (cache != NULL && current && event != XACT_EVENT_ABORT)
		foreach(lc, endings)
		{
			Ending	   *ending = (Ending *) lfirst(lc);

			if (ending->under ?
				chatroom_presence_end_under(cache, &ending->topic) :
				chatroom_presence_end_all(cache, &ending->topic,
										  ending->key.len < 0 ? NULL :
										  &ending->key))
				ended = true;
		}
	if (ended)
		chatroom_wake_tailer();
	endings = NIL;
}

/* Of a subtransaction: it is its parent's from now on, or nothing. */
static void
end_at_subcommit(SubXactEvent event, SubTransactionId mine,
				 SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(lc, endings)
	{
		Ending	   *ending = (Ending *) lfirst(lc);

		if (ending->subid != mine)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			ending->subid = parent;
		else
			endings = foreach_delete_current(endings, lc);
	}
}

/* Have entries leave at commit. */
static void
add_ending(const char *topic, const char *key, bool under)
{
	static bool registered = false;
	MemoryContext old;
	Ending	   *ending;

	if (!registered)
	{
		RegisterXactCallback(end_at_commit, NULL);
		RegisterSubXactCallback(end_at_subcommit, NULL);
		registered = true;
	}
	chatroom_attach_control();
	(void) chatroom_my_cache();
	old = MemoryContextSwitchTo(TopTransactionContext);
	ending = palloc(sizeof(Ending));
	ending->subid = GetCurrentSubTransactionId();
	ending->topic.data = pstrdup(topic);
	ending->topic.len = strlen(topic);
	ending->key.data = key != NULL ? pstrdup(key) : NULL;
	ending->key.len = key != NULL ? (int) strlen(key) : PIECE_NULL;
	ending->under = under;
	endings = lappend(endings, ending);
	MemoryContextSwitchTo(old);
}

/* Who is present as a key leaves at commit; see write/presence.h. */
void
chatroom_end_presence_at_commit(const char *topic, const char *key)
{
	add_ending(topic, key, false);
}

/* Who is present in a prefix' rooms does; see write/presence.h. */
void
chatroom_end_prefix_at_commit(const char *base)
{
	int			len = chatroom_identifier_len(base, strlen(base));

	if (strcmp(base + len, ".rooms") != 0)
		return;
	if (strncmp(base, CHAT_DEFAULT_PREFIX ".", len + 1) == 0)
		add_ending("room:", NULL, true);
	else
		add_ending(psprintf("%.*s/room:", len, base), NULL, true);
}

/* -------------------------------------------------------------- tracking */

/* There was no room, of one kind or another. */
static void
report_refused(Cache *cache, PresenceResult result, const PresenceClaim *claim)
{
	pg_atomic_fetch_add_u64(&cache->stats.presence_refused, 1);
	if (result == PRESENCE_QUOTA)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("role \"%s\" has too many presence entries",
						GetUserNameFromId(claim->item.role, false)),
				 errdetail("It may have %u in a database "
						   "(chatroom.max_presence_per_role).",
						   claim->quota),
				 errhint("Untrack some, or have a superuser raise the role's "
						 "setting.")));
	if (result == PRESENCE_FULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many presence entries in this database"),
				 errdetail("There is room for %u (chatroom.max_presence).",
						   cache->npresence),
				 errhint("Untrack some, or raise chatroom.max_presence.")));
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("no room is left for presence metas in this database"),
			 errdetail("Topics, keys and metas share room for about 240 "
					   "bytes an entry (chatroom.max_presence)."),
			 errhint("Keep metas small, or raise chatroom.max_presence.")));
}

/* Sleep until the worker may have opened the table; false: long enough. */
static bool
wait_for_open(uint64 *started)
{
	if (*started == 0)
		*started = chatroom_monotonic_us();
	if (chatroom_monotonic_us() - *started > OPEN_TIMEOUT)
		return false;
	chatroom_wake_tailer();
	chatroom_nap(2);
	return true;
}

/* Track what is claimed; the topic has been checked. */
static void
track(PresenceClaim *claim)
{
	uint64		started = 0;
	PresenceResult result;
	XLogRecPtr	lsn;
	Cache	   *cache;

	if (!chatroom_emit_enabled)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("chatroom.emit is off"),
				 errdetail("Nobody would be told of who is present."),
				 errhint("The server's administrator has switched events "
						 "off.")));
	claim->session = this_session();
	claim->at = GetCurrentTimestamp();
	claim->origin.data = chatroom_origin;
	claim->origin.len = chatroom_origin && chatroom_origin[0] ?
		(int) strlen(chatroom_origin) : PIECE_NULL;
	claim->item.role = GetUserId();
	claim->item.id = unique_number();
	claim->item.ref = claim->item.id;
	do
	{
		cache = chatroom_require_cache();
		claim->quota = chatroom_share_limit(chatroom_max_presence_per_role,
											cache->npresence);
		result = chatroom_presence_track(cache, claim, &lsn);
	} while (result == PRESENCE_CLOSED && wait_for_open(&started));
	switch (result)
	{
		case PRESENCE_TOLD:
			chatroom_want_flush(lsn);
			break;
		case PRESENCE_RENEWED:
			break;
		case PRESENCE_CLOSED:
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("chatroom's worker is not ready"),
					 errdetail("It still reads what was written before the "
							   "server started."),
					 errhint("Try again in a moment.")));
			break;
		default:
			report_refused(cache, result, claim);
	}
}

CHATROOM_FUNCTION(chatroom_track);

/* track(topic text, key text, meta jsonb, ttl interval) → text: phx_ref */
Datum
chatroom_track(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"topic", "key", "meta"};
	PresenceClaim claim = {0};
	StringInfoData ref;
	Jsonb	   *meta;

	chatroom_refuse_restricted("chatroom.track()");
	for (int i = 0; i < lengthof(names); i++)
		chatroom_require_argument(fcinfo, i, names[i]);
	claim.item.topic = text_piece(PG_GETARG_TEXT_PP(0));
	claim.item.key = text_piece(PG_GETARG_TEXT_PP(1));
	chatroom_attach_control();
	chatroom_check_presence(&claim.item.topic, &claim.item.key);
	check_key(&claim.item.key, "key");
	require_primary("chatroom.track()");
	meta = read_meta(PG_GETARG_DATUM(2));
	claim.item.meta = meta_text(meta);
	if (!PG_ARGISNULL(3))
	{
		claim.item.ttl = read_ttl(PG_GETARG_INTERVAL_P(3));
		claim.item.slot = meta_slot(meta);
	}
	track(&claim);
	initStringInfo(&ref);
	chatroom_append_ref(&ref, claim.item.ref);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(ref.data, ref.len));
}

CHATROOM_FUNCTION(chatroom_untrack);

/* untrack(topic text, key text) */
Datum
chatroom_untrack(PG_FUNCTION_ARGS)
{
	Piece		topic;
	Piece		key;

	chatroom_refuse_restricted("chatroom.untrack()");
	chatroom_require_argument(fcinfo, 0, "topic");
	chatroom_require_argument(fcinfo, 1, "key");
	topic = text_piece(PG_GETARG_TEXT_PP(0));
	key = text_piece(PG_GETARG_TEXT_PP(1));
	chatroom_attach_control();
	chatroom_check_presence(&topic, &key);
	require_primary("chatroom.untrack()");
	if (chatroom_presence_untrack(chatroom_require_cache(), &topic, &key,
								  this_session()))
		chatroom_wake_tailer();
	PG_RETURN_VOID();
}

/* ---------------------------------------------------------------- typing */

/* A user has said what it was typing; see write/presence.h. */
void
chatroom_end_typing(const char *topic, int topic_len, const char *username,
					int username_len)
{
	Piece		room = {topic, topic_len};
	Piece		key = {username, username_len};
	Cache	   *cache;

	chatroom_attach_control();
	cache = chatroom_my_cache();
	if (cache != NULL &&
		chatroom_presence_end_lease(cache, &room, &key,
									PRESENCE_SLOT_TYPING))
		chatroom_wake_tailer();
}

/* Say that a user types in a room, or no longer does. */
static void
set_typing(const char *topic, const Piece *username, bool typing)
{
	PresenceClaim claim = {0};

	claim.item.topic.data = topic;
	claim.item.topic.len = strlen(topic);
	claim.item.key = *username;
	chatroom_check_presence(&claim.item.topic, username);
	check_key(username, "username");
	require_primary("chatroom.typing()");
	if (!typing)
	{
		chatroom_end_typing(claim.item.topic.data, claim.item.topic.len,
							username->data, username->len);
		return;
	}
	claim.item.meta.data = TYPING_META;
	claim.item.meta.len = strlen(TYPING_META);
	claim.item.ttl = TYPING_TTL;
	claim.item.slot = PRESENCE_SLOT_TYPING;
	track(&claim);
}

/* The arguments of both that follow the room. */
static void
typing_in(const ChatTables *tables, int64 room_id, FunctionCallInfo fcinfo)
{
	Piece		username = text_piece(PG_GETARG_TEXT_PP(1));

	chatroom_attach_control();
	set_typing(chatroom_room_topic(tables, room_id), &username,
			   PG_GETARG_BOOL(2));
}

/* The tables of the prefix that a call names. */
static const ChatTables *
named_prefix(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"room", "username", "typing"};
	const ChatTables *tables;

	chatroom_refuse_restricted("chatroom.typing()");
	for (int i = 0; i < lengthof(names); i++)
		chatroom_require_argument(fcinfo, i, names[i]);
	tables = chatroom_prefix(PG_ARGISNULL(3) ? NULL :
							 text_to_cstring(PG_GETARG_TEXT_PP(3)));
	chatroom_check_rooms(tables);
	return tables;
}

CHATROOM_FUNCTION(chatroom_typing);

/* typing(room text, username text, typing boolean, prefix text) */
Datum
chatroom_typing(PG_FUNCTION_ARGS)
{
	const ChatTables *tables = named_prefix(fcinfo);
	RoomAccess	access;
	int64		room_id;

	room_id = chatroom_find_room(tables, PG_GETARG_TEXT_PP(0), &access);
	if (room_id == 0)
		chatroom_no_such_room(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	typing_in(tables, room_id, fcinfo);
	PG_RETURN_VOID();
}

CHATROOM_FUNCTION(chatroom_typing_id);

/* typing(room bigint, username text, typing boolean, prefix text) */
Datum
chatroom_typing_id(PG_FUNCTION_ARGS)
{
	const ChatTables *tables = named_prefix(fcinfo);

	typing_in(tables, PG_GETARG_INT64(0), fcinfo);
	PG_RETURN_VOID();
}
