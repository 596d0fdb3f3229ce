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
#include "catalog/pg_type.h"
#include "chat/members.h"
#include "chat/people.h"
#include "chat/query.h"
#include "utils/builtins.h"

/* A null in the profile's place takes a member of it away. */
static const ChatStatement update_user = {
	"UPDATE %s.users SET profile = "
	"(SELECT coalesce(pg_catalog.jsonb_object_agg(p.key, p.value), '{}') "
	"FROM pg_catalog.jsonb_each(profile OPERATOR(pg_catalog.||) $2) p "
	"WHERE pg_catalog.jsonb_typeof(p.value) OPERATOR(pg_catalog.<>) 'null') "
	"WHERE username OPERATOR(pg_catalog.=) $1 RETURNING %c",
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

static const ChatStatement delete_user = {
	"DELETE FROM %s.users WHERE username OPERATOR(pg_catalog.=) $1 "
	"RETURNING %c",
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

/* Run a statement about a user; the row that comes back, NULL: none. */
static Jsonb *
user_row(const ChatTables *tables, const ChatStatement *statement,
		 Datum *values)
{
	ChatRows	rows;

	chatroom_query(tables, tables->users, statement, values, NULL,
				   CHAT_AS_OWNER, &rows);
	return rows.n > 0 ? chatroom_row_jsonb(&rows, 0) : NULL;
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
	Jsonb	   *row;

	chatroom_prefix_argument(fcinfo, 2, &tables);
	check_user(&tables, username);
	values[0] = PointerGetDatum(username);
	values[1] = PointerGetDatum(profile);
	chatroom_spi_connect();
	chatroom_need_user(&tables, username);
	row = user_row(&tables, profile ? &update_user : &select_user, values);
	chatroom_spi_finish();
	if (row == NULL)
		elog(ERROR, "user \"%s\" went away", text_to_cstring(username));
	PG_RETURN_JSONB_P(row);
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
	chatroom_query(&tables, tables.rooms, &lock_rooms, values, NULL,
				   CHAT_AS_OWNER, &rows);
	row = user_row(&tables, &delete_user, values);
	chatroom_spi_finish();
	if (row == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("user \"%s\" does not exist",
						text_to_cstring(username)),
				 errhint("A user is made by the first message, membership or "
						 "chatroom.update_user().")));
	PG_RETURN_JSONB_P(row);
}
