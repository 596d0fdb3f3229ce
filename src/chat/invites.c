/*-------------------------------------------------------------------------
 *
 * invites.c
 *	  chatroom.create_invite, accept_invite.
 *
 * Whoever has an invite's token may accept it.  The token is 24 random bytes;
 * kept is its hash alone, so that who reads the table, or a dump, can't use
 * what is in it.  An invite ends with the right of its maker to make it: see
 * members_changed() in triggers.c.
 *
 * Locking: the room's row first, then the invite's, whose uses are counted by
 * an UPDATE that looks whether one is left.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/duration.h"
#include "base/identity.h"
#include "base/spi.h"
#include "catalog/pg_type.h"
#include "chat/members.h"
#include "chat/write.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#define TOKEN_BYTES		24		/* 32 characters of base 64 */

static const ChatStatement insert_invite = {
	"INSERT INTO %s.invites "
	"(room_id, token_hash, role, username, expires_at, max_uses) "
	"VALUES ($1, $2, $3, $4, $5, $6) "
	"RETURNING %c, room_id OPERATOR(pg_catalog.=) $1 "
	"AND token_hash OPERATOR(pg_catalog.=) $2",
	6, {INT8OID, BYTEAOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID}
};

/* The room of a token, and the role; then why it is of no use, or null. */
static const ChatStatement select_invite = {
	"SELECT room_id, role::pg_catalog.text, "
	"CASE WHEN expires_at OPERATOR(pg_catalog.<=) $2 THEN 'expired' "
	"WHEN uses OPERATOR(pg_catalog.>=) max_uses THEN 'used' END "
	"FROM %s.invites WHERE token_hash OPERATOR(pg_catalog.=) $1",
	2, {BYTEAOID, TIMESTAMPTZOID}
};

static const ChatStatement use_invite = {
	"UPDATE %s.invites SET uses = uses OPERATOR(pg_catalog.+) 1 "
	"WHERE token_hash OPERATOR(pg_catalog.=) $1 "
	"AND (expires_at IS NULL OR expires_at OPERATOR(pg_catalog.>) $2) "
	"AND (max_uses IS NULL OR uses OPERATOR(pg_catalog.<) max_uses) "
	"RETURNING %c, token_hash OPERATOR(pg_catalog.=) $1",
	2, {BYTEAOID, TIMESTAMPTZOID}
};

static const ChatStatement good_invite = {
	"SELECT 1 FROM %s.invites WHERE token_hash OPERATOR(pg_catalog.=) $1 "
	"AND (expires_at IS NULL OR expires_at OPERATOR(pg_catalog.>) $2) "
	"AND (max_uses IS NULL OR uses OPERATOR(pg_catalog.<) max_uses)",
	2, {BYTEAOID, TIMESTAMPTZOID}
};

/* ----------------------------------------------------------------- tokens */

/* A new token. */
static text *
make_token(void)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8		bytes[TOKEN_BYTES];
	char		token[TOKEN_BYTES / 3 * 4];
	char	   *out = token;

	if (!pg_strong_random(bytes, sizeof(bytes)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random token")));
	for (int i = 0; i < TOKEN_BYTES; i += 3)
	{
		uint32		group = bytes[i] << 16 | bytes[i + 1] << 8 | bytes[i + 2];

		for (int shift = 18; shift >= 0; shift -= 6)
			*out++ = digits[(group >> shift) & 63];
	}
	return cstring_to_text_with_len(token, sizeof(token));
}

/* What is kept of a token: its bytes are a bytea's as they are. */
static Datum
hash_token(text *token)
{
	return DirectFunctionCall1(sha256_bytea, PointerGetDatum(token));
}

/* ---------------------------------------------------------- create_invite */

/* Refuse an invite that the caller may not make. */
static void
check_may_invite(const RoomCall *call, RoomRole role)
{
	RoomRole	rank = chatroom_rank(&call->access);

	if (rank < ROOM_MEMBER)
		chatroom_room_denied(call, "Its members may invite others.");
	if (rank == ROOM_MEMBER && role > ROOM_GUEST)
		chatroom_room_denied(call, "Its members may invite guests only.");
	if (rank == ROOM_ADMIN && role > ROOM_MEMBER)
		chatroom_room_denied(call, "Only its owner says who its admins are.");
}

/* When an invite ends that is made now. */
static TimestampTz
expiry(const Interval *after)
{
	int64		duration = chatroom_duration(after, "expires");

	if (duration == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expires must be more than nothing"),
				 errhint("NULL is for an invite that never expires.")));
	return GetCurrentTimestamp() + duration;
}

/* create_invite(room, role text, expires interval, max_uses int, prefix) */
static Datum
create_invite(FunctionCallInfo fcinfo, RoomArgument how)
{
	text	   *name = chatroom_text_arg(fcinfo, 1, "role");
	RoomRole	role = chatroom_role_to_give(name);
	text	   *token = make_token();
	char		nulls[7] = "      ";
	Datum		values[6] = {0};
	RoomCall	call;
	ChatRows	rows;

	if (PG_ARGISNULL(2))
		nulls[4] = 'n';
	else
		values[4] = TimestampTzGetDatum(expiry(PG_GETARG_INTERVAL_P(2)));
	if (PG_ARGISNULL(3))
		nulls[5] = 'n';
	else if (PG_GETARG_INT32(3) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_uses must be at least 1"),
				 errhint("NULL is for no limit.")));
	else
		values[5] = PG_GETARG_DATUM(3);
	chatroom_find_member_room(fcinfo, how, 4, &call);
	values[0] = Int64GetDatum(call.id);
	values[1] = hash_token(token);
	values[2] = PointerGetDatum(name);
	values[3] = CStringGetTextDatum(chatroom_require_identity());
	chatroom_spi_connect();
	chatroom_lock_room(&call);
	check_may_invite(&call, role);
	(void) chatroom_write_row(&call.tables, call.tables.invites,
							  &insert_invite, NULL, values, nulls,
							  CHAT_AS_OWNER, &rows);
	chatroom_spi_finish();
	PG_RETURN_TEXT_P(token);
}

CHATROOM_ROOM_FUNCTION(chatroom_create_invite, create_invite);

/* ---------------------------------------------------------- accept_invite */

/* Raise that a token is no invite's. */
static void
no_invite(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("there is no such invite"),
			 errhint("It may have been taken back, or its room deleted. Ask "
					 "for another.")));
}

/* Find out about a token: its room and role; raise if it is of no use. */
static RoomRole
look_at_invite(RoomCall *call, Datum *values, bool must_be_good)
{
	ChatRows	rows;
	HeapTuple	tuple;
	TupleDesc	desc;
	Datum		role;
	char	   *problem;
	bool		isnull;

	chatroom_query(&call->tables, call->tables.invites, &select_invite,
				   values, NULL, CHAT_AS_OWNER, &rows);
	if (rows.n == 0)
		no_invite();
	tuple = rows.tuples->vals[0];
	desc = rows.tuples->tupdesc;
	problem = SPI_getvalue(tuple, desc, 3);
	if (must_be_good && problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 strcmp(problem, "expired") == 0 ?
				 errmsg("the invite has expired") :
				 errmsg("the invite is used up"),
				 errhint("Ask for another.")));
	call->id = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	role = SPI_getbinval(tuple, desc, 2, &isnull);
	return chatroom_role_named(VARDATA_ANY(DatumGetTextPP(role)),
							   VARSIZE_ANY_EXHDR(DatumGetTextPP(role)));
}

CHATROOM_FUNCTION(chatroom_accept_invite);

/* accept_invite(token text, prefix text) */
Datum
chatroom_accept_invite(PG_FUNCTION_ARGS)
{
	text	   *token = chatroom_text_arg(fcinfo, 0, "token");
	text	   *username = cstring_to_text(chatroom_require_identity());
	Datum		values[2] = {hash_token(token), 0};
	RoomCall	call;
	ChatRows	rows;
	RoomRole	role;
	Jsonb	   *row;

	chatroom_prefix_argument(fcinfo, 1, &call.tables);
	chatroom_require_version(&call.tables, 2);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	chatroom_spi_connect();
	role = look_at_invite(&call, values, false);
	call.room = psprintf(INT64_FORMAT, call.id);
	if (!chatroom_lock_any_room(&call.tables, call.id))
		no_invite();

	/* who is in already takes nobody's place */
	if (chatroom_role_now(&call, username) >= role)
		row = chatroom_member_row(&call, username);
	else
	{
		if (!chatroom_write_row(&call.tables, call.tables.invites,
								&use_invite, &good_invite, values, NULL,
								CHAT_AS_OWNER, &rows))
		{
			(void) look_at_invite(&call, values, true);
			no_invite();
		}
		row = chatroom_put_member(&call, username, role);
	}
	chatroom_spi_finish();
	PG_RETURN_JSONB_P(row);
}
