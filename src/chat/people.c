/*-------------------------------------------------------------------------
 *
 * people.c
 *	  Rows of users and members that functions make by themselves.
 *
 * Users are made on first use.  Mostly they are there: so a look into the
 * index comes first, which costs a fraction of an INSERT that finds the
 * conflict.
 *
 * A member's user is held: it is there by just this name, or it is an error.
 * Who posts needs no row, so one that a trigger suppresses, or writes by
 * another name, is no matter there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "base/compat.h"
#include "catalog/pg_type.h"
#include "chat/people.h"
#include "chat/write.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static const ChatStatement insert_user = {
	"INSERT INTO %s.users (username) VALUES ($1) "
	"ON CONFLICT (username) DO NOTHING "
	"RETURNING %c, username OPERATOR(pg_catalog.=) $1",
	1, {TEXTOID}
};

static const ChatStatement hold_user = {
	"SELECT 1 FROM %s.users WHERE username OPERATOR(pg_catalog.=) $1 "
	"FOR KEY SHARE",
	1, {TEXTOID}
};

static const ChatStatement insert_member = {
	"INSERT INTO %s.members (room_id, username, role) VALUES ($1, $2, $3) "
	"RETURNING %c, room_id OPERATOR(pg_catalog.=) $1 "
	"AND username OPERATOR(pg_catalog.=) $2",
	3, {INT8OID, TEXTOID, TEXTOID}
};

/*
 * Does the active snapshot show a user's row?  Yes, so that none is made,
 * where chatroom.migrate() took the table away just now.
 */
static bool
user_is_there(const ChatTables *tables, text *username)
{
	Relation	users = try_relation_open(tables->users, AccessShareLock);
	AttrNumber	attnum;
	SysScanDesc scan;
	ScanKeyData key;
	Oid			type;
	int32		typmod;
	Oid			collation;
	bool		found = false;

	if (users == NULL)
		return true;
	attnum = get_attnum(tables->users, "username");
	get_atttypetypmodcoll(tables->users, attnum, &type, &typmod, &collation);
	if (type == TEXTOID)
	{
		ScanKeyEntryInitialize(&key, 0, attnum, BTEqualStrategyNumber,
							   InvalidOid, collation, F_TEXTEQ,
							   PointerGetDatum(username));
		scan = systable_beginscan(users, tables->users_username_index, true,
								  GetActiveSnapshot(), 1, &key);
		found = HeapTupleIsValid(systable_getnext(scan));
		systable_endscan(scan);
	}
	table_close(users, NoLock);
	return found;
}

/* Make a user's row, unless it is there. */
void
chatroom_need_user(const ChatTables *tables, text *username)
{
	Datum		values[1] = {PointerGetDatum(username)};
	ChatRows	rows;

	if (!OidIsValid(tables->users) || user_is_there(tables, username))
		return;
	chatroom_query(tables, tables->users, &insert_user, values, NULL,
				   CHAT_AS_OWNER, &rows);
}

/* Make a user's row, unless it is there, and keep it there. */
void
chatroom_hold_user(const ChatTables *tables, text *username)
{
	Datum		values[1] = {PointerGetDatum(username)};
	ChatRows	rows;
	bool		isnull;

	/* somebody else's may go between both; our own can't */
	for (int try = 0; try < CHAT_MAX_TRIES; try++)
	{
		CHECK_FOR_INTERRUPTS();
		chatroom_query(tables, tables->users, &hold_user, values, NULL,
					   CHAT_AS_OWNER, &rows);
		if (rows.n > 0)
			return;
		chatroom_query(tables, tables->users, &insert_user, values, NULL,
					   CHAT_AS_OWNER, &rows);
		if (rows.n == 0)
			continue;
		if (!DatumGetBool(chatroom_row_extra(&rows, 0, 0, &isnull)) || isnull)
			chatroom_written_as_another(tables->users);
		return;
	}
	chatroom_not_written(tables->users);
}

/* Make a user a member of a room. */
void
chatroom_record_member(const ChatTables *tables, int64 room_id,
					   text *username, const char *role)
{
	Datum		values[3];
	ChatRows	rows;

	chatroom_hold_user(tables, username);
	values[0] = Int64GetDatum(room_id);
	values[1] = PointerGetDatum(username);
	values[2] = CStringGetTextDatum(role);
	(void) chatroom_write_row(tables, tables->members, &insert_member, NULL,
							  values, NULL, CHAT_AS_OWNER, &rows);
}
