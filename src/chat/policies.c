/*-------------------------------------------------------------------------
 *
 * policies.c
 *	  What row-level security of the chat tables asks.
 *
 * Each function answers for the caller, of a prefix given by its table
 * "rooms", so that policies follow renames and are in dumps as they stand.
 * They look with the active snapshot, as the rows were found that they are
 * asked about.
 *
 * A room that the caller can't see must not differ from one that isn't there:
 * a message for either is refused as the foreign key would refuse it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "base/compat.h"
#include "base/identity.h"
#include "base/rooms.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* The prefix of a table "rooms". */
static const ChatTables *
prefix_of(Oid rooms)
{
	const ChatTables *tables = chatroom_tables_of(rooms);
	char	   *name;

	if (tables != NULL && tables->rooms == rooms)
		return tables;
	name = get_rel_name(rooms);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("\"%s\" is no table of chat rooms",
					name ? name : psprintf("%u", rooms)),
			 errhint("Row-level security of chat tables is made by "
					 "chatroom.migrate(), and needs the table's comment, "
					 "columns and owner as they were made.")));
	return NULL;
}

/* Is this the caller's username? */
static bool
is_caller(const text *username)
{
	const char *identity = chatroom_identity();
	int			len = VARSIZE_ANY_EXHDR(username);

	return identity != NULL && strlen(identity) == len &&
		memcmp(identity, VARDATA_ANY(username), len) == 0;
}

/*
 * What the caller is to the room that the arguments tell.  Rows that are about
 * to be written may be of a room that this very command made: so where the
 * snapshot shows none that the caller may see, there is a second look.
 */
static void
room_of(FunctionCallInfo fcinfo, RoomAccess *access)
{
	const ChatTables *tables = prefix_of(PG_GETARG_OID(0));
	int64		room_id = PG_GETARG_INT64(1);

	chatroom_room_access(tables, room_id, access);
	if (!access->visible)
		chatroom_room_access_now(tables, room_id, access);
}

CHATROOM_FUNCTION(chatroom_is_exempt);

/* is_exempt(rooms regclass) returns boolean */
Datum
chatroom_is_exempt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(chatroom_exempt(prefix_of(PG_GETARG_OID(0))));
}

CHATROOM_FUNCTION(chatroom_sees_room);

/* sees_room(rooms regclass, room_id bigint) returns boolean */
Datum
chatroom_sees_room(PG_FUNCTION_ARGS)
{
	RoomAccess	access;

	room_of(fcinfo, &access);
	PG_RETURN_BOOL(access.visible);
}

CHATROOM_FUNCTION(chatroom_sees_room_row);

/*
 * sees_room(rooms regclass, room_id bigint, private boolean) returns boolean:
 * of a row of rooms itself
 */
Datum
chatroom_sees_room_row(PG_FUNCTION_ARGS)
{
	const ChatTables *tables = prefix_of(PG_GETARG_OID(0));
	const char *username;

	if (!PG_GETARG_BOOL(2) || chatroom_exempt(tables))
		PG_RETURN_BOOL(true);
	username = chatroom_identity();
	PG_RETURN_BOOL(username != NULL &&
				   chatroom_room_role(tables, PG_GETARG_INT64(1), username) !=
				   ROOM_NONE);
}

/* Refuse a message as the foreign key does where its check is hidden. */
static void
refuse_message(const ChatTables *tables)
{
	Relation	messages = table_open(tables->messages, AccessShareLock);

	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("insert or update on table \"%s\" violates foreign key "
					"constraint \"%s\"", RelationGetRelationName(messages),
					"messages_room_id_fkey"),
			 errdetail("Key is not present in table \"%s\".",
					   get_rel_name(tables->rooms)),
			 errtableconstraint(messages, "messages_room_id_fkey")));
}

CHATROOM_FUNCTION(chatroom_may_post);

/*
 * may_post(rooms regclass, room_id bigint, username text) returns boolean: may
 * a message be written, of that room and username?
 */
Datum
chatroom_may_post(PG_FUNCTION_ARGS)
{
	RoomAccess	access;

	/* NOT NULL has its own errors */
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_BOOL(true);
	room_of(fcinfo, &access);
	if (!access.visible)
		refuse_message(prefix_of(PG_GETARG_OID(0)));
	PG_RETURN_BOOL(!RoomGoverns(&access) ||
				   is_caller(PG_GETARG_TEXT_PP(2)));
}

CHATROOM_FUNCTION(chatroom_may_edit);

/*
 * may_edit(rooms regclass, room_id bigint, username text) returns boolean: a
 * message of theirs
 */
Datum
chatroom_may_edit(PG_FUNCTION_ARGS)
{
	RoomAccess	access;

	room_of(fcinfo, &access);
	PG_RETURN_BOOL(access.visible &&
				   (!RoomGoverns(&access) ||
					is_caller(PG_GETARG_TEXT_PP(2))));
}

CHATROOM_FUNCTION(chatroom_may_moderate);

/*
 * may_moderate(rooms regclass, room_id bigint, username text) returns boolean:
 * delete a message of theirs
 */
Datum
chatroom_may_moderate(PG_FUNCTION_ARGS)
{
	RoomAccess	access;

	room_of(fcinfo, &access);
	PG_RETURN_BOOL(access.visible &&
				   (!RoomGoverns(&access) || access.role >= ROOM_ADMIN ||
					is_caller(PG_GETARG_TEXT_PP(2))));
}

CHATROOM_FUNCTION(chatroom_may_manage);

/* may_manage(rooms regclass, room_id bigint) returns boolean: change a room */
Datum
chatroom_may_manage(PG_FUNCTION_ARGS)
{
	RoomAccess	access;

	room_of(fcinfo, &access);
	PG_RETURN_BOOL(access.visible &&
				   (!RoomGoverns(&access) || access.role >= ROOM_ADMIN));
}

CHATROOM_FUNCTION(chatroom_may_delete);

/* may_delete(rooms regclass, room_id bigint) returns boolean: the room */
Datum
chatroom_may_delete(PG_FUNCTION_ARGS)
{
	RoomAccess	access;

	room_of(fcinfo, &access);
	PG_RETURN_BOOL(access.visible &&
				   (!RoomGoverns(&access) || access.role == ROOM_OWNER));
}
