/*-------------------------------------------------------------------------
 *
 * triggers.c
 *	  Triggers of the chat tables, beyond those of rules and watches.
 *
 * touch() says when a row was changed last.  members_changed() passes a room
 * on whose owner goes, and room_changed() and it see to it that who may no
 * longer follow a room can't listen for it either.
 *
 * Locking: whoever changes who owns a room holds the lock of the room's row,
 * as FOR NO KEY UPDATE takes it, until his transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/compat.h"
#include "base/rooms.h"
#include "cache/interest.h"
#include "catalog/pg_type.h"
#include "chat/query.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* Refuse a call that no trigger made. */
static TriggerData *
trigger_data(FunctionCallInfo fcinfo, const char *function)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function chatroom.%s() was not called by a trigger",
						function)));
	return (TriggerData *) fcinfo->context;
}

/* A column of a type; 0: there is none. */
static int
column_of(TupleDesc desc, const char *name, Oid type)
{
	int			attnum = SPI_fnumber(desc, name);

	if (attnum <= 0 || SPI_gettypeid(desc, attnum) != type)
		return 0;
	return attnum;
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

CHATROOM_FUNCTION(chatroom_touch);

/*
 * touch() returns trigger, BEFORE UPDATE: a changed row's updated_at is now,
 * unless the statement set it.  It is never inserted_at: that both differ
 * tells that a row was edited.
 */
Datum
chatroom_touch(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, "touch");
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	HeapTuple	old = data->tg_trigtuple;
	HeapTuple	new = data->tg_newtuple;
	int			updated = column_of(desc, "updated_at", TIMESTAMPTZOID);
	int			inserted = column_of(desc, "inserted_at", TIMESTAMPTZOID);
	Datum		before;
	Datum		after;
	Datum		made;
	bool		nulls[3];
	TimestampTz now;
	Datum		value;
	bool		null = false;

	if (!TRIGGER_FIRED_BY_UPDATE(data->tg_event) ||
		!TRIGGER_FIRED_BEFORE(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("chatroom.touch() is for BEFORE UPDATE triggers for "
						"each row")));
	if (updated == 0 || same_row(old, new))
		return PointerGetDatum(new);
	before = heap_getattr(old, updated, desc, &nulls[0]);
	after = heap_getattr(new, updated, desc, &nulls[1]);
	if (nulls[1] || nulls[0] || before != after)
		return PointerGetDatum(new);
	now = GetCurrentTimestamp();
	if (inserted != 0)
	{
		made = heap_getattr(new, inserted, desc, &nulls[2]);
		if (!nulls[2] && !TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(made)))
			now = Max(now, DatumGetTimestampTz(made) + 1);
	}
	value = TimestampTzGetDatum(now);
	return PointerGetDatum(heap_modify_tuple_by_cols(new, desc, 1, &updated,
													 &value, &null));
}

/* ----------------------------------------------------- who may follow what */

/* Lock a room; tells whether it is private. */
static const ChatStatement lock_room = {
	"SELECT private FROM %s.rooms WHERE id OPERATOR(pg_catalog.=) $1 "
	"FOR NO KEY UPDATE",
	1, {INT8OID}
};

/* Its heir is locked: somebody else may be taking him away. */
static const ChatStatement pass_on = {
	"UPDATE %s.members SET role = 'owner' "
	"WHERE room_id OPERATOR(pg_catalog.=) $1 "
	"AND username OPERATOR(pg_catalog.=) (SELECT m.username "
	"FROM %s.members m WHERE m.room_id OPERATOR(pg_catalog.=) $1 "
	"AND m.role OPERATOR(pg_catalog.=) "
	"ANY ('{admin,member}'::pg_catalog.text[]) "
	"ORDER BY m.role OPERATOR(pg_catalog.=) 'admin' DESC, m.inserted_at, "
	"m.username LIMIT 1 FOR NO KEY UPDATE)",
	1, {INT8OID}
};

/* A member of a room goes. */
static void
member_went(const ChatTables *known, int64 room_id, bool was_owner)
{
	ChatTables	tables = *known;
	Datum		values[1] = {Int64GetDatum(room_id)};
	ChatRows	rows;
	bool		isnull;

	chatroom_spi_connect();
	chatroom_query(&tables, tables.rooms, &lock_room, values, NULL,
				   CHAT_AS_OWNER, &rows);

	/* with the room, all goes */
	if (rows.n > 0)
	{
		if (DatumGetBool(SPI_getbinval(rows.tuples->vals[0],
									   rows.tuples->tupdesc, 1, &isnull)))
			chatroom_rename_channels_at_commit();
		if (was_owner)
			chatroom_query(&tables, tables.members, &pass_on, values, NULL,
						   CHAT_AS_OWNER, &rows);
	}
	chatroom_spi_finish();
}

CHATROOM_FUNCTION(chatroom_members_changed);

/*
 * members_changed() returns trigger, of members, AFTER DELETE OR UPDATE OF
 * room_id, username
 */
Datum
chatroom_members_changed(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, "members_changed");
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	const ChatTables *tables =
		chatroom_tables_of(RelationGetRelid(data->tg_relation));
	Datum		room_id;
	char	   *role;
	bool		isnull;

	if (tables == NULL || tables->version < 2 ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
		TRIGGER_FIRED_BY_INSERT(data->tg_event))
		return PointerGetDatum(NULL);
	room_id = SPI_getbinval(data->tg_trigtuple, desc,
							SPI_fnumber(desc, "room_id"), &isnull);
	role = SPI_getvalue(data->tg_trigtuple, desc, SPI_fnumber(desc, "role"));
	member_went(tables, DatumGetInt64(room_id),
				TRIGGER_FIRED_BY_DELETE(data->tg_event) && role != NULL &&
				strcmp(role, "owner") == 0);
	return PointerGetDatum(NULL);
}

CHATROOM_FUNCTION(chatroom_room_changed);

/* room_changed() returns trigger, of rooms, when one becomes private */
Datum
chatroom_room_changed(PG_FUNCTION_ARGS)
{
	(void) trigger_data(fcinfo, "room_changed");
	chatroom_rename_channels_at_commit();
	return PointerGetDatum(NULL);
}
