/*-------------------------------------------------------------------------
 *
 * cascade.c
 *	  What a room's deletion is to those who saw it, and to what it held.
 *
 * A private room exists for its members only, and they go with it.  So the
 * event of its deletion carries their names, hidden, and is shown to them.
 * They are read with a snapshot that sees the rows as they were before the
 * statement, but all that others committed until now: somebody may have come
 * in while the statement waited for the room's lock, and the cascade took him,
 * too.
 *
 * Who is present in the room leaves with it, and channels get other names.
 *
 * Messages and members that a foreign key's cascade takes along are not told
 * one by one: a million of them would drive everybody else's events out of the
 * cache.  Whoever follows the room knows by the room's own event; whoever
 * follows the table gets one reset of the table's topics for all that goes
 * along in a (sub)transaction.  To tell such a row from one that is deleted by
 * itself, the row that it refers to is looked up: once in a command, as a
 * rule.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/compat.h"
#include "base/rooms.h"
#include "base/settings.h"
#include "cache/interest.h"
#include "catalog/indexing.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "write/cascade.h"
#include "write/emit.h"
#include "write/presence.h"

/* A watch whose reset was logged, in a (sub)transaction that goes on. */
typedef struct LoggedReset
{
	Oid			watchid;
	SubTransactionId subid;
} LoggedReset;

static List *logged_resets = NIL;	/* in TopTransactionContext */

/*
 * Rows that were looked up in this command, by key.  They can't go while its
 * triggers run, but by a later command.
 */
typedef struct LookedUp
{
	Oid			rooms;			/* invalid: nothing */
	int64		room_id;
	TransactionId xid;
	SubTransactionId subid;
	CommandId	command;
	bool		there;
	Oid			watchid;		/* its reset was logged; or invalid */
} LookedUp;

static LookedUp looked_up[64];

/* ------------------------------------------------ what there is to look up */

/* Has a relation's column this type? */
static bool
column_is(Oid relid, AttrNumber attnum, Oid type)
{
	return attnum > 0 && get_atttype(relid, attnum) == type;
}

/* Where to read of a room that is deleted; see cascade.h. */
void
chatroom_find_audience_source(AudienceSource *source, const WatchInfo *watch)
{
	const ChatTables *tables;

	memset(source, 0, sizeof(*source));
	if (!watch->audience)
		return;
	tables = chatroom_tables_of(watch->relid);
	if (tables == NULL || tables->rooms != watch->relid ||
		!OidIsValid(tables->members))
		return;
	source->schema = tables->schema;
	source->members = tables->members;
	source->room_id = get_attnum(source->members, "room_id");
	source->username = get_attnum(source->members, "username");
	source->private = get_attnum(watch->relid, "private");
	if (column_is(source->members, source->room_id, INT8OID) &&
		column_is(source->members, source->username, TEXTOID) &&
		column_is(watch->relid, source->private, BOOLOID))
		source->attnum = get_attnum(watch->relid, "id");
}

/* What a row goes along with; see cascade.h. */
void
chatroom_find_cascade_source(CascadeSource *source, const WatchInfo *watch)
{
	const ChatTables *tables;
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	memset(source, 0, sizeof(*source));
	if (watch->cascade == 0 ||
		!column_is(watch->relid, watch->cascade, INT8OID))
		return;
	tables = chatroom_tables_of(watch->relid);
	if (tables == NULL)
		return;
	source->schema = tables->schema;
	source->rooms = tables->rooms;
	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(watch->relid));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		AttrNumber	conkey[INDEX_MAX_KEYS];
		AttrNumber	confkey[INDEX_MAX_KEYS];
		int			nkeys;

		if (form->contype != CONSTRAINT_FOREIGN ||
			form->confdeltype != FKCONSTR_ACTION_CASCADE ||
			form->confrelid != source->rooms)
			continue;
		DeconstructFkConstraintRow(tuple, &nkeys, conkey, confkey, NULL,
								   NULL, NULL, NULL, NULL);
		if (nkeys != 1 || conkey[0] != watch->cascade ||
			!column_is(source->rooms, confkey[0], INT8OID))
			continue;
		source->attnum = watch->cascade;
		source->id = confkey[0];
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/*
 * Open a prefix' rooms or members, and find the index that they are looked up
 * by: of after the table was locked, for what was known before may be gone, or
 * not be kept up any more.  *index is invalid where there is none; NULL: the
 * table is gone.
 */
static Relation
open_table(Oid relid, Oid schema, Oid *index)
{
	Relation	relation = try_table_open(relid, AccessShareLock);
	const ChatTables *tables;

	*index = InvalidOid;
	if (relation == NULL)
		return NULL;
	tables = chatroom_schema_tables(schema);
	if (tables != NULL && tables->rooms == relid)
		*index = tables->rooms_pkey;
	else if (tables != NULL && tables->members == relid)
		*index = tables->members_pkey;
	return relation;
}

/* ------------------------------------------------------------ the audience */

/*
 * Append the names of a room's members; false, and none, where they take more
 * than so many bytes.
 */
static bool
append_members(StringInfo names, const AudienceSource *source, int64 room_id,
			   Snapshot snapshot, Size limit)
{
	Oid			index;
	Relation	members = open_table(source->members, source->schema, &index);
	TupleDesc	tupdesc;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		all = true;

	if (members == NULL)
		return true;
	tupdesc = RelationGetDescr(members);
	ScanKeyInit(&key, source->room_id, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(room_id));
	scan = systable_beginscan(members, index, OidIsValid(index), snapshot, 1,
							  &key);
	while (all && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		datum = heap_getattr(tuple, source->username, tupdesc,
										 &isnull);
		text	   *name;

		CHECK_FOR_INTERRUPTS();
		if (isnull)
			continue;
		name = DatumGetTextPP(datum);
		appendBinaryStringInfo(names, VARDATA_ANY(name),
							   VARSIZE_ANY_EXHDR(name));
		appendStringInfoChar(names, '\0');
		all = names->len <= limit;
	}
	systable_endscan(scan);
	table_close(members, AccessShareLock);
	return all;
}

/*
 * With a room leaves who is present in it; and whoever listens for it must not
 * hear of another room that gets its id.
 */
static void
end_room(const AudienceSource *source, int64 room_id)
{
	const ChatTables *tables = chatroom_schema_tables(source->schema);

	if (tables == NULL)
		return;
	chatroom_end_presence_at_commit(chatroom_room_topic(tables, room_id),
									NULL);
	chatroom_rename_channels_at_commit();
}

/* Who saw a private room go; see cascade.h. */
void
chatroom_find_audience(const AudienceSource *source, const Piece *base,
					   TupleTableSlot *room, Piece *audience)
{
	StringInfoData names;
	Snapshot	snapshot;
	Datum		id;
	bool		isnull;
	bool		private;

	id = slot_getattr(room, source->attnum, &isnull);
	if (isnull)
		return;
	end_room(source, DatumGetInt64(id));
	private = DatumGetBool(slot_getattr(room, source->private, &isnull));
	if (isnull || !private)
		return;

	initStringInfo(&names);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	snapshot->curcid = GetActiveSnapshot()->curcid;
	if (append_members(&names, source, DatumGetInt64(id), snapshot,
					   (Size) chatroom_max_event_size * 1024 / 2))
	{
		audience->data = names.data;
		audience->len = names.len;
	}
	else
		chatroom_log_reset(pnstrdup(base->data, base->len),
						   RESET_REASON_OVERSIZE);
	UnregisterSnapshot(snapshot);
}

/* --------------------------------------------------------- what goes along */

/* Is a room there, as of now?  What this transaction deleted isn't. */
static bool
room_is_there(const CascadeSource *source, int64 room_id)
{
	Oid			index;
	Relation	rooms = open_table(source->rooms, source->schema, &index);
	ScanKeyData key;
	SysScanDesc scan;
	bool		there;

	if (rooms == NULL)
		return true;
	ScanKeyInit(&key, source->id, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(room_id));
	scan = systable_beginscan(rooms, index, OidIsValid(index), SnapshotSelf, 1,
							  &key);
	there = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(rooms, AccessShareLock);
	return there;
}

/* After the transaction: nothing is logged any more. */
static void
resets_at_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE ||
		event == XACT_EVENT_ABORT)
	{
		logged_resets = NIL;
		memset(looked_up, 0, sizeof(looked_up));
	}
}

/* After a subtransaction was rolled back: what it logged isn't. */
static void
resets_at_subend(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	memset(looked_up, 0, sizeof(looked_up));
	foreach(lc, logged_resets)
	{
		LoggedReset *logged = lfirst(lc);

		/* those it had within it, and that ended well, are later ones */
		if (logged->subid >= subid)
			logged_resets = foreach_delete_current(logged_resets, lc);
	}
}

/* Log a watch's reset, if it hasn't been. */
static void
log_once(Oid watchid, const Piece *base)
{
	static bool registered = false;
	MemoryContext caller;
	LoggedReset *logged;
	ListCell   *lc;

	foreach(lc, logged_resets)
		if (((LoggedReset *) lfirst(lc))->watchid == watchid)
			return;
	if (!registered)
	{
		RegisterXactCallback(resets_at_end, NULL);
		RegisterSubXactCallback(resets_at_subend, NULL);
		registered = true;
	}
	chatroom_log_own_reset(pnstrdup(base->data, base->len),
						   RESET_REASON_LARGE);
	caller = MemoryContextSwitchTo(TopTransactionContext);
	logged = palloc(sizeof(LoggedReset));
	logged->watchid = watchid;
	logged->subid = GetCurrentSubTransactionId();
	logged_resets = lappend(logged_resets, logged);
	MemoryContextSwitchTo(caller);
}

/* Did a row go along with the one it refers to?  See cascade.h. */
bool
chatroom_went_along(const CascadeSource *source, Oid watchid,
					const Piece *base, TupleTableSlot *slot)
{
	bool		isnull;
	int64		room_id = DatumGetInt64(slot_getattr(slot, source->attnum,
													 &isnull));
	LookedUp   *row = &looked_up[(uint64) room_id % lengthof(looked_up)];

	if (isnull)
		return false;
	if (row->rooms != source->rooms || row->room_id != room_id ||
		row->command != GetCurrentCommandId(false) ||
		row->subid != GetCurrentSubTransactionId() ||
		row->xid != GetTopTransactionIdIfAny())
	{
		row->rooms = InvalidOid;
		row->there = room_is_there(source, room_id);
		row->rooms = source->rooms;
		row->room_id = room_id;
		row->command = GetCurrentCommandId(false);
		row->subid = GetCurrentSubTransactionId();
		row->xid = GetTopTransactionIdIfAny();
		row->watchid = InvalidOid;
	}
	if (!row->there && row->watchid != watchid)
	{
		log_once(watchid, base);
		row->watchid = watchid;
	}
	return !row->there;
}
