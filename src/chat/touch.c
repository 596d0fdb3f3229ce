/*-------------------------------------------------------------------------
 *
 * touch.c
 *	  The trigger that keeps ids and times of chat tables.
 *
 * Ids and times are the database's.  Whoever may insert a message could
 * otherwise take an id that is to be somebody else's, or was; learn from a
 * broken key that a hidden row is there; or pin a message above all others.
 * So of who isn't exempt from row-level security an id is refused, silently
 * set are times: clients that know timestamps send them by themselves.  Who is
 * exempt may give both, as a restored dump or an imported log does.
 *
 * What an INSERT was given and what is a default looks the same here.  An id
 * is the sequence's own if it is what this session drew last, and was seen
 * here by no other row.  A time is the default if it lies in the transaction.
 *
 * A message's inserted_at is the time of the clock when it is written, not
 * when its transaction began, and later than that of the room's newest
 * message: so an answer stands below what it answers, also where the clock was
 * set back.  The newest is found by one look into an index.  It may be one
 * that isn't committed yet, which does no harm.  The look is no read of the
 * transaction's to SERIALIZABLE: two who post at the same time don't conflict.
 *
 * updated_at is never inserted_at for a row that was changed, and moves with
 * each change: clients tell from it that a row was edited.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "base/compat.h"
#include "base/hash.h"
#include "base/owner.h"
#include "base/rooms.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* A row that is about to be written. */
typedef struct Touch
{
	Relation	relation;
	TupleDesc	desc;
	const ChatTables *tables;	/* NULL: the table is of no prefix */
	bool		exempt;
	HeapTuple	old;			/* NULL: it is new */
	HeapTuple	new;
	int			inserted;		/* columns; 0: there is none */
	int			updated;
} Touch;

/*
 * The id of a sequence that a row got last, and how deep in triggers: one that
 * a trigger wrote while the default of an outer row had been drawn already
 * leaves that one behind.
 */
typedef struct GivenId
{
	Oid			sequence;		/* key */
	Oid			storage;		/* another once the sequence began anew */
	int64		id;
	int32		depth;
} GivenId;

static HTAB *given_ids = NULL;

/* ----------------------------------------------------------------- columns */

/* A column of a type; 0: there is none. */
static int
column_of(TupleDesc desc, const char *name, Oid type)
{
	int			attnum = SPI_fnumber(desc, name);

	if (attnum <= 0 || SPI_gettypeid(desc, attnum) != type)
		return 0;
	return attnum;
}

/* Put a value into the new row. */
static void
put(Touch *touch, int column, Datum value)
{
	bool		null = false;

	touch->new = heap_modify_tuple_by_cols(touch->new, touch->desc, 1,
										   &column, &value, &null);
}

/* A time of a row; false: null, or there is no such column. */
static bool
time_of(const Touch *touch, HeapTuple row, int column, TimestampTz *time)
{
	bool		isnull;
	Datum		value;

	if (column == 0)
		return false;
	value = heap_getattr(row, column, touch->desc, &isnull);
	*time = isnull ? 0 : DatumGetTimestampTz(value);
	return !isnull;
}

/* A bigint of a row; false: null, or there is no such column. */
static bool
number_of(const Touch *touch, HeapTuple row, const char *name, int64 *number)
{
	int			column = column_of(touch->desc, name, INT8OID);
	bool		isnull;
	Datum		value;

	if (column == 0)
		return false;
	value = heap_getattr(row, column, touch->desc, &isnull);
	*number = isnull ? 0 : DatumGetInt64(value);
	return !isnull;
}

/* --------------------------------------------------------------------- ids */

/* Refuse an id. */
static void
refuse_id(const Touch *touch)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to choose ids of table \"%s\"",
					RelationGetRelationName(touch->relation)),
			 errdetail("They are the database's to give."),
			 errhint("Leave the column out, or write as the tables' owner, "
					 "acting for nobody.")));
}

/* The sequence that a table's ids come from; invalid: from none. */
static Oid
ids_of(const Touch *touch)
{
	const ChatTables *tables = touch->tables;
	Oid			relid = RelationGetRelid(touch->relation);

	return relid == tables->rooms ? tables->rooms_ids :
		relid == tables->messages ? tables->messages_ids :
		relid == tables->users ? tables->users_ids :
		relid == tables->invites ? tables->invites_ids : InvalidOid;
}

/* What a sequence is stored in: RESTART gives it another file. */
static Oid
storage_of(Oid sequence)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(sequence));
	Oid			storage = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		storage = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
		ReleaseSysCache(tuple);
	}
	return storage;
}

/* A sequence, and what this session drew from it last. */
typedef struct Drawn
{
	Oid			sequence;
	int64		id;
} Drawn;

/* Look what was drawn last; with a right that the caller need not have. */
static void
look_at_sequence(void *arg)
{
	Drawn	   *drawn = arg;

	drawn->id = DatumGetInt64(DirectFunctionCall1(currval_oid,
							  ObjectIdGetDatum(drawn->sequence)));
}

/* What this session drew last from a sequence; refuses where that is none. */
static int64
last_drawn(const Touch *touch, Oid sequence)
{
	MemoryContext caller = CurrentMemoryContext;
	Drawn		drawn = {sequence, 0};

	/* what fails here ends in another error: no subtransaction */
	PG_TRY();
	{
		chatroom_as_owner(touch->tables->owner, NULL, look_at_sequence,
						  &drawn);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		if (geterrcode() != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
			PG_RE_THROW();
		FlushErrorState();
		refuse_id(touch);
	}
	PG_END_TRY();
	return drawn.id;
}

/* See to it that a new row's id is the database's. */
static void
check_new_id(Touch *touch)
{
	Oid			sequence = ids_of(touch);
	GivenId    *given;
	bool		found;
	Oid			storage;
	int32		depth;
	int64		drawn;
	int64		id;

	if (!OidIsValid(sequence) || !number_of(touch, touch->new, "id", &id))
		return;
	depth = DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0));
	drawn = last_drawn(touch, sequence);
	if (given_ids == NULL)
		given_ids = chatroom_make_hash("chatroom ids", TopMemoryContext, 16,
									   sizeof(Oid), sizeof(GivenId));
	given = hash_search(given_ids, &sequence, HASH_FIND, &found);
	storage = storage_of(sequence);
	if (found && given->id == drawn && given->storage == storage)
	{
		/* a trigger's row took it, or somebody called setval() */
		if (id != drawn && given->depth <= depth)
			refuse_id(touch);
		id = nextval_internal(sequence, false);
		put(touch, SPI_fnumber(touch->desc, "id"), Int64GetDatum(id));
	}
	else if (id != drawn)
		refuse_id(touch);
	if (!found)
		given = hash_search(given_ids, &sequence, HASH_ENTER, &found);
	given->storage = storage;
	given->id = id;
	given->depth = depth;
}

/* See to it that a row keeps its id. */
static void
check_old_id(const Touch *touch)
{
	int64		before;
	int64		after;

	if (number_of(touch, touch->old, "id", &before) &&
		number_of(touch, touch->new, "id", &after) && before != after)
		refuse_id(touch);
}

/* ------------------------------------------------------------------- times */

/* A moment after a time, as far as there is one. */
static TimestampTz
after(TimestampTz time)
{
	return IS_VALID_TIMESTAMP(time) && IS_VALID_TIMESTAMP(time + 1) ?
		time + 1 : time;
}

/* Is a time that of a default: one of the transaction's? */
static bool
is_default(TimestampTz time, TimestampTz now)
{
	TimestampTz start = GetCurrentTransactionStartTimestamp();

	return time == start || (time > start && time <= now);
}

/* The time of a room's newest message; -infinity: it has none. */
static TimestampTz
newest_time(const Touch *touch, int64 room_id)
{
	Relation	index;
	SnapshotData snapshot;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	TimestampTz newest = DT_NOBEGIN;

	if (!OidIsValid(touch->tables->messages_room_index))
		return newest;
	index = index_open(touch->tables->messages_room_index, AccessShareLock);
	InitDirtySnapshot(snapshot);
	ScanKeyInit(&keys[0], column_of(touch->desc, "room_id", INT8OID),
				BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(room_id));
	ScanKeyInit(&keys[1], touch->inserted, BTLessStrategyNumber,
				F_TIMESTAMPTZ_LT, TimestampTzGetDatum(DT_NOEND));
	scan = systable_beginscan_ordered(touch->relation, index, &snapshot, 2,
									  keys);
	tuple = systable_getnext_ordered(scan, BackwardScanDirection);
	if (HeapTupleIsValid(tuple))
		(void) time_of(touch, tuple, touch->inserted, &newest);
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	return newest;
}

/* When is a new row written? */
static TimestampTz
time_of_new(const Touch *touch, TimestampTz now)
{
	int64		room_id;

	if (RelationGetRelid(touch->relation) != touch->tables->messages)
		return GetCurrentTransactionStartTimestamp();
	if (number_of(touch, touch->new, "room_id", &room_id))
		now = Max(now, after(newest_time(touch, room_id)));
	return now;
}

/* Set the times of a new row. */
static void
stamp_new(Touch *touch)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz inserted;
	TimestampTz updated;

	if (!time_of(touch, touch->new, touch->inserted, &inserted))
		return;
	if (!touch->exempt || is_default(inserted, now))
	{
		inserted = time_of_new(touch, now);
		put(touch, touch->inserted, TimestampTzGetDatum(inserted));
	}
	if (time_of(touch, touch->new, touch->updated, &updated) &&
		(!touch->exempt || is_default(updated, now)))
		put(touch, touch->updated, TimestampTzGetDatum(inserted));
}

/* Are two versions of a row the same, byte by byte? */
static bool
same_row(HeapTuple old, HeapTuple new)
{
	int			header = SizeofHeapTupleHeader;

	return old->t_len == new->t_len &&
		old->t_data->t_hoff == new->t_data->t_hoff &&
		HeapTupleHeaderGetNatts(old->t_data) ==
		HeapTupleHeaderGetNatts(new->t_data) &&
		(old->t_data->t_infomask & HEAP_HASNULL) ==
		(new->t_data->t_infomask & HEAP_HASNULL) &&
		memcmp((char *) old->t_data + header, (char *) new->t_data + header,
			   old->t_len - header) == 0;
}

/* Let a time be what it was. */
static void
keep_time(Touch *touch, int column)
{
	TimestampTz before;
	TimestampTz after;

	if (time_of(touch, touch->old, column, &before) &&
		(!time_of(touch, touch->new, column, &after) || before != after))
		put(touch, column, TimestampTzGetDatum(before));
}

/* Set the times of a changed row. */
static void
stamp_changed(Touch *touch)
{
	TimestampTz now;
	TimestampTz inserted;
	TimestampTz before;
	TimestampTz updated;

	if (!touch->exempt)
	{
		keep_time(touch, touch->inserted);
		keep_time(touch, touch->updated);
	}
	if (same_row(touch->old, touch->new) ||
		!time_of(touch, touch->old, touch->updated, &before) ||
		!time_of(touch, touch->new, touch->updated, &updated) ||
		before != updated)
		return;
	now = GetCurrentTimestamp();
	if (time_of(touch, touch->new, touch->inserted, &inserted) &&
		!TIMESTAMP_NOT_FINITE(inserted))
		now = Max(now, after(inserted));
	if (!TIMESTAMP_NOT_FINITE(before))
		now = Max(now, after(before));
	put(touch, touch->updated, TimestampTzGetDatum(now));
}

/* ----------------------------------------------------------------- private */

/* Whether a room is private is for its owner to say. */
static void
check_private(const Touch *touch)
{
	int			column = column_of(touch->desc, "private", BOOLOID);
	RoomAccess	access;
	int64		id;
	bool		nulls[2];

	if (column == 0 ||
		DatumGetBool(heap_getattr(touch->old, column, touch->desc,
								  &nulls[0])) ==
		DatumGetBool(heap_getattr(touch->new, column, touch->desc,
								  &nulls[1])) ||
		!number_of(touch, touch->old, "id", &id))
		return;
	chatroom_room_access_now(touch->tables, id, &access);
	if (access.role < ROOM_OWNER)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for room \"%lld\"",
						(long long) id),
				 errdetail("Its owner may say whether it is private.")));
}

/* ------------------------------------------------------------- the trigger */

CHATROOM_FUNCTION(chatroom_touch);

/* touch() returns trigger, BEFORE INSERT OR UPDATE */
Datum
chatroom_touch(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	const ChatTables *known;
	ChatTables	tables;
	Touch		touch = {0};

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
		!TRIGGER_FIRED_BEFORE(data->tg_event) ||
		TRIGGER_FIRED_BY_DELETE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("chatroom.touch() is for BEFORE INSERT OR UPDATE "
						"triggers for each row")));
	touch.relation = data->tg_relation;
	touch.desc = RelationGetDescr(data->tg_relation);
	touch.inserted = column_of(touch.desc, "inserted_at", TIMESTAMPTZOID);
	touch.updated = column_of(touch.desc, "updated_at", TIMESTAMPTZOID);
	known = chatroom_tables_of(RelationGetRelid(data->tg_relation));
	touch.exempt = true;
	if (known != NULL)
	{
		tables = *known;
		touch.tables = &tables;
		touch.exempt = chatroom_exempt(&tables);
	}
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		touch.new = data->tg_trigtuple;
		if (touch.tables == NULL)
			return PointerGetDatum(touch.new);
		if (!touch.exempt)
			check_new_id(&touch);
		stamp_new(&touch);
		return PointerGetDatum(touch.new);
	}
	touch.old = data->tg_trigtuple;
	touch.new = data->tg_newtuple;
	if (!touch.exempt)
	{
		check_old_id(&touch);
		if (RelationGetRelid(touch.relation) == tables.rooms)
			check_private(&touch);
	}
	stamp_changed(&touch);
	return PointerGetDatum(touch.new);
}
