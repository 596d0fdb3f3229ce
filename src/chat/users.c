/*-------------------------------------------------------------------------
 *
 * users.c
 *	  chatroom.update_user, delete_user.
 *
 * A user is what is known beyond a name: the row is made on first use.  Users
 * change and delete themselves, the tables' owner anyone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/identity.h"
#include "base/spi.h"
#include "base/subtransaction.h"
#include "catalog/pg_type.h"
#include "chat/members.h"
#include "chat/people.h"
#include "chat/write.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* Tries to lock the rooms of a user whom others take into more of them. */
#define MAX_LOCK_TRIES	100

/* A null in the profile's place takes a member of it away. */
static const ChatStatement update_user = {
	"UPDATE %s.users SET profile = "
	"(SELECT coalesce(pg_catalog.jsonb_object_agg(p.key, p.value), '{}') "
	"FROM pg_catalog.jsonb_each(profile OPERATOR(pg_catalog.||) $2) p "
	"WHERE pg_catalog.jsonb_typeof(p.value) OPERATOR(pg_catalog.<>) 'null') "
	"WHERE username OPERATOR(pg_catalog.=) $1 "
	"RETURNING %c, username OPERATOR(pg_catalog.=) $1",
	2, {TEXTOID, JSONBOID}
};

static const ChatStatement select_user = {
	"SELECT %c FROM %s.users WHERE username OPERATOR(pg_catalog.=) $1",
	1, {TEXTOID}
};

/* In the order of ids: two users who go at once don't wait for each other. */
static const ChatStatement lock_rooms = {
	"SELECT 1 FROM %s.rooms WHERE id OPERATOR(pg_catalog.=) ANY ("
	"SELECT m.room_id FROM %s.members m "
	"WHERE m.username OPERATOR(pg_catalog.=) $1) "
	"ORDER BY id FOR NO KEY UPDATE",
	1, {TEXTOID}
};

/* Whoever makes a membership holds the user's row: now there is none. */
static const ChatStatement lock_user = {
	"SELECT 1 FROM %s.users WHERE username OPERATOR(pg_catalog.=) $1 "
	"FOR UPDATE",
	1, {TEXTOID}
};

/* Those that are left over from a room that is gone have none to lock. */
static const ChatStatement select_memberships = {
	"SELECT 1 FROM %s.members m WHERE m.username OPERATOR(pg_catalog.=) $1 "
	"AND EXISTS (SELECT FROM %s.rooms r "
	"WHERE r.id OPERATOR(pg_catalog.=) m.room_id)",
	1, {TEXTOID}
};

static const ChatStatement any_membership = {
	"SELECT 1 FROM %s.members WHERE username OPERATOR(pg_catalog.=) $1",
	1, {TEXTOID}
};

static const ChatStatement lock_other_rooms = {
	"SELECT 1 FROM %s.rooms WHERE id OPERATOR(pg_catalog.=) ANY ("
	"SELECT m.room_id FROM %s.members m "
	"WHERE m.username OPERATOR(pg_catalog.=) $1) "
	"FOR NO KEY UPDATE SKIP LOCKED",
	1, {TEXTOID}
};

static const ChatStatement delete_user = {
	"DELETE FROM %s.users WHERE username OPERATOR(pg_catalog.=) $1 "
	"RETURNING %c, true",
	1, {TEXTOID}
};

/* Refuse all but the user itself, and the tables' owner. */
static void
check_user(const ChatTables *tables, const text *username)
{
	chatroom_require_version(tables, 2);
	if (chatroom_is_caller(username) || chatroom_exempt(tables))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for user \"%s\"",
					text_to_cstring(username)),
			 errdetail("Users change themselves only."),
			 errhint("Act for the user with chatroom.act_as(), or call this "
					 "as the tables' owner.")));
}

/* What attributes say of the profile; NULL: nothing. */
static Jsonb *
profile_of(Jsonb *attrs)
{
	static const char *const names[] = {"profile", NULL};
	Jsonb	   *profile;

	chatroom_only_members(attrs, "attrs", names);
	profile = chatroom_member_jsonb(attrs, "profile");
	if (profile != NULL)
		chatroom_want_object(profile, "profile");
	return profile;
}

/* Raise that there is no such user. */
static void
no_such_user(const text *username)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("user \"%s\" does not exist",
					text_to_cstring(username)),
			 errhint("A user is made by the first message, membership or "
					 "chatroom.update_user().")));
}

CHATROOM_FUNCTION(chatroom_update_user);

/* update_user(username text, attrs jsonb, prefix text) */
Datum
chatroom_update_user(PG_FUNCTION_ARGS)
{
	text	   *username = chatroom_text_arg(fcinfo, 0, "username");
	Jsonb	   *attrs = chatroom_object_arg(fcinfo, 1, "attrs");
	Jsonb	   *profile = profile_of(attrs);
	ChatTables	tables;
	Datum		values[2];
	ChatRows	rows;
	Jsonb	   *row;

	chatroom_prefix_argument(fcinfo, 2, &tables);
	check_user(&tables, username);
	values[0] = PointerGetDatum(username);
	values[1] = PointerGetDatum(profile);
	chatroom_spi_connect();
	chatroom_hold_user(&tables, username);
	if (profile == NULL ?
		!chatroom_read_now(&tables, tables.users, &select_user, values,
						   CHAT_AS_OWNER, &rows) :
		!chatroom_write_row(&tables, tables.users, &update_user, &select_user,
							values, NULL, CHAT_AS_OWNER, &rows))
		no_such_user(username);
	row = chatroom_row_jsonb(&rows, 0);
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(row);
}

/* Whose rows are to be locked. */
typedef struct UserLocks
{
	const ChatTables *tables;
	Datum	   *values;			/* $1: the username */
} UserLocks;

/*
 * Lock a user's rooms, then its row: the order in which all do.  A room that
 * it came into meanwhile is locked if that needs no waiting; else this is
 * false, and what was locked has to be let go.
 */
static bool
try_to_lock(void *arg)
{
	const UserLocks *locks = arg;
	const ChatTables *tables = locks->tables;
	Datum	   *values = locks->values;
	ChatRows	rows;
	uint64		memberships;

	chatroom_query(tables, tables->rooms, &lock_rooms, values, NULL,
				   CHAT_AS_OWNER, &rows);
	chatroom_query(tables, tables->users, &lock_user, values, NULL,
				   CHAT_AS_OWNER, &rows);
	chatroom_query(tables, tables->members, &select_memberships, values, NULL,
				   CHAT_AS_OWNER, &rows);
	memberships = rows.n;
	chatroom_query(tables, tables->rooms, &lock_other_rooms, values, NULL,
				   CHAT_AS_OWNER, &rows);
	return rows.n == memberships;
}

/*
 * Lock all that goes with a user: two who go at once must not deadlock.  Each
 * further try waits for somebody else who took the user into a room meanwhile.
 */
static void
lock_user_and_rooms(const ChatTables *tables, Datum *values)
{
	UserLocks	locks = {tables, values};

	for (int try = 0; try < MAX_LOCK_TRIES; try++)
	{
		CHECK_FOR_INTERRUPTS();
		if (chatroom_subtransaction(try_to_lock, &locks, NULL))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not lock the rooms of user \"%s\"",
					TextDatumGetCString(values[0])),
			 errdetail("Others took it into rooms again and again."),
			 errhint("Try again.")));
}

CHATROOM_FUNCTION(chatroom_delete_user);

/* delete_user(username text, prefix text) */
Datum
chatroom_delete_user(PG_FUNCTION_ARGS)
{
	text	   *username = chatroom_text_arg(fcinfo, 0, "username");
	ChatTables	tables;
	Datum		values[1] = {PointerGetDatum(username)};
	ChatRows	rows;
	Jsonb	   *row;

	chatroom_prefix_argument(fcinfo, 1, &tables);
	check_user(&tables, username);
	chatroom_spi_connect();
	lock_user_and_rooms(&tables, values);
	if (!chatroom_write_row(&tables, tables.users, &delete_user, &select_user,
							values, NULL, CHAT_AS_OWNER, &rows))
		no_such_user(username);
	row = chatroom_row_jsonb(&rows, 0);

	/* a trigger that suppresses a member's deletion suppresses a cascade's */
	if (chatroom_read_now(&tables, tables.members, &any_membership, values,
						  CHAT_AS_OWNER, &rows))
		chatroom_not_written(tables.members);
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(row);
}
