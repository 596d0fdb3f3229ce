/*-------------------------------------------------------------------------
 *
 * triggers.c
 *	  Triggers of the chat tables, beyond those of rules, watches and touch.c.
 *
 * members_changed() passes a room on whose owner goes, ends invites that a
 * former member made, and it and room_changed() see to it that who may no
 * longer follow a room can't listen for it either.
 *
 * All this is of rights, and so these triggers, and those of the watches, are
 * ENABLE ALWAYS: they fire also where a session replicates.
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
#include "base/spi.h"
#include "cache/interest.h"
#include "catalog/pg_type.h"
#include "chat/members.h"
#include "chat/write.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "write/presence.h"

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

/* Has the room no owner although somebody could be it? */
static const ChatStatement has_heir = {
	"SELECT 1 FROM %s.members m WHERE m.room_id OPERATOR(pg_catalog.=) $1 "
	"AND m.role OPERATOR(pg_catalog.=) "
	"ANY ('{admin,member}'::pg_catalog.text[]) "
	"AND NOT EXISTS (SELECT FROM %s.members o "
	"WHERE o.room_id OPERATOR(pg_catalog.=) $1 "
	"AND o.role OPERATOR(pg_catalog.=) 'owner')",
	1, {INT8OID}
};

/* Invites that their maker could not make any more. */
static const ChatStatement end_invites = {
	"DELETE FROM %s.invites WHERE room_id OPERATOR(pg_catalog.=) $1 "
	"AND username OPERATOR(pg_catalog.=) $2 "
	"AND role OPERATOR(pg_catalog.<>) ALL ($3::pg_catalog.text[])",
	3, {INT8OID, TEXTOID, TEXTOID}
};

static const ChatStatement void_invites = {
	"SELECT 1 FROM %s.invites WHERE room_id OPERATOR(pg_catalog.=) $1 "
	"AND username OPERATOR(pg_catalog.=) $2 "
	"AND role OPERATOR(pg_catalog.<>) ALL ($3::pg_catalog.text[])",
	3, {INT8OID, TEXTOID, TEXTOID}
};

static const ChatStatement rename_invites = {
	"UPDATE %s.invites SET username = $3 "
	"WHERE room_id OPERATOR(pg_catalog.=) $1 "
	"AND username OPERATOR(pg_catalog.=) $2",
	3, {INT8OID, TEXTOID, TEXTOID}
};

static const ChatStatement invites_of = {
	"SELECT 1 FROM %s.invites WHERE room_id OPERATOR(pg_catalog.=) $1 "
	"AND username OPERATOR(pg_catalog.=) $2",
	2, {INT8OID, TEXTOID}
};

/* A member, before a change or after it. */
typedef struct Member
{
	int64		room_id;
	char	   *username;
	RoomRole	role;
} Member;

/* The roles that a member of a role may invite others as; an array's text. */
static const char *
invitable(RoomRole role)
{
	switch (role)
	{
		case ROOM_OWNER:
			return "{admin,member,guest}";
		case ROOM_ADMIN:
			return "{member,guest}";
		case ROOM_MEMBER:
			return "{guest}";
		default:
			return "{}";
	}
}

/* Read a member's row. */
static void
read_member(HeapTuple tuple, TupleDesc desc, Member *member)
{
	char	   *role = SPI_getvalue(tuple, desc, SPI_fnumber(desc, "role"));
	bool		isnull;

	member->room_id =
		DatumGetInt64(SPI_getbinval(tuple, desc,
									SPI_fnumber(desc, "room_id"), &isnull));
	member->username = SPI_getvalue(tuple, desc,
									SPI_fnumber(desc, "username"));
	member->role = role == NULL ? ROOM_NONE :
		chatroom_role_named(role, strlen(role));
}

/*
 * Change invites of a member, so that none is "left": none that the snapshot
 * doesn't show, either.  It would outlive its maker's right to make it.
 */
static void
change_invites(const ChatTables *tables, const ChatStatement *statement,
			   const ChatStatement *left, const Member *member,
			   const char *value)
{
	Datum		values[3] = {Int64GetDatum(member->room_id),
		CStringGetTextDatum(member->username),
	CStringGetTextDatum(value)};

	chatroom_write_all(tables, tables->invites, statement, left, values,
					   CHAT_AS_OWNER);
}

/* A member of a room goes: to nowhere, or by another name or room. */
static void
member_went(const ChatTables *tables, const Member *old, const Member *new)
{
	Datum		values[1] = {Int64GetDatum(old->room_id)};
	ChatRows	rows;
	bool		isnull;

	chatroom_query(tables, tables->rooms, &lock_room, values, NULL,
				   CHAT_AS_OWNER, &rows);

	/* with the room, all goes */
	if (rows.n == 0)
		return;
	if (DatumGetBool(SPI_getbinval(rows.tuples->vals[0],
								   rows.tuples->tupdesc, 1, &isnull)))
		chatroom_rename_channels_at_commit();
	chatroom_end_presence_at_commit(chatroom_room_topic(tables, old->room_id),
									old->username);
	if (new != NULL && new->room_id == old->room_id)
		change_invites(tables, &rename_invites, &invites_of, old,
					   new->username);
	else
		change_invites(tables, &end_invites, &void_invites, old, "{}");
	if (new == NULL && old->role == ROOM_OWNER)
		chatroom_write_all(tables, tables->members, &pass_on, &has_heir,
						   values, CHAT_AS_OWNER);
}

CHATROOM_FUNCTION(chatroom_members_changed);

/*
 * members_changed() returns trigger, of members, AFTER DELETE OR UPDATE OF
 * room_id, username, role
 */
Datum
chatroom_members_changed(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, "members_changed");
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	const ChatTables *known =
		chatroom_tables_of(RelationGetRelid(data->tg_relation));
	ChatTables	tables;
	Member		old;
	Member		new;

	if (known == NULL || known->version < 2 ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
		TRIGGER_FIRED_BY_INSERT(data->tg_event))
		return PointerGetDatum(NULL);
	tables = *known;
	read_member(data->tg_trigtuple, desc, &old);
	chatroom_spi_connect();
	if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		member_went(&tables, &old, NULL);
	else
	{
		read_member(data->tg_newtuple, desc, &new);
		if (new.room_id != old.room_id ||
			strcmp(new.username, old.username) != 0)
			member_went(&tables, &old, &new);
		if (new.role < old.role)
			change_invites(&tables, &end_invites, &void_invites, &new,
						   invitable(new.role));
	}
	chatroom_spi_finish();
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
