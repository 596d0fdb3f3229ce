/*-------------------------------------------------------------------------
 *
 * message.c
 *	  Writing chatroom's messages into WAL, and knowing them again.
 *
 * Anyone may call pg_logical_emit_message('chatroom', …), and a role with
 * REPLICATION can read the messages that others wrote.  So a message bears a
 * seal (event.h) made with a key of its database, over all of it and over the
 * place where it stands:
 *
 * - of a transaction: the (sub)transaction's id.  Copied into another one it
 *	 is not genuine.
 * - outside one: a position in WAL, told in the message, from which its record
 *	 is no further than WINDOW.  Whoever logs sees afterwards if it got there
 *	 in time, and else logs again.  That it does not come twice within the
 *	 window is seen by who reads on and on.
 *
 * The key comes from the random bytes that the control file holds for mock
 * authentication, which are the same on standbys and over restarts, and stand
 * neither in WAL nor anywhere in SQL.  Whoever can read the server's files, or
 * take a base backup of them, can make seals; but such a one has all data.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "base/compat.h"
#include "base/message.h"
#include "catalog/pg_control.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* How far from the position that it tells a message's record may begin. */
#define WINDOW			(128 * 1024)

/* So many of them have room in the window, and more: each record has 88. */
#define MAX_REMEMBERED	2048

/* The key of a database's messages; invalid: of the tailer's own. */
static const SipKey *
database_key(Oid database)
{
	static struct
	{
		bool		valid;
		Oid			database;
		SipKey		key;
	}			cache[16];
	int			slot = database % lengthof(cache);
	static const char purpose[] = "chatroom message seal";
	pg_cryptohash_ctx *ctx;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	ResourceOwner owner = NULL;

	if (cache[slot].valid && cache[slot].database == database)
		return &cache[slot].key;

	/* hashing wants a resource owner; a worker may have none */
	if (CurrentResourceOwner == NULL)
		CurrentResourceOwner = owner = ResourceOwnerCreate(NULL,
														   "chatroom key");
	ctx = pg_cryptohash_create(PG_SHA256);
	if (pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, (const uint8 *) purpose,
							 sizeof(purpose)) < 0 ||
		pg_cryptohash_update(ctx,
							 (const uint8 *) GetMockAuthenticationNonce(),
							 MOCK_AUTH_NONCE_LEN) < 0 ||
		pg_cryptohash_update(ctx, (const uint8 *) &database,
							 sizeof(database)) < 0 ||
		pg_cryptohash_final(ctx, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute SHA-256: %s",
			 pg_cryptohash_error(ctx));
	pg_cryptohash_free(ctx);
	if (owner != NULL)
	{
		CurrentResourceOwner = NULL;
		ResourceOwnerDelete(owner);
	}

	memcpy(&cache[slot].key, digest, sizeof(cache[slot].key));
	cache[slot].database = database;
	cache[slot].valid = true;
	return &cache[slot].key;
}

/* ---------------------------------------------------------------- writing */

/* Start a message; see message.h. */
void
chatroom_start_message(StringInfo buf)
{
	static const char room[CHATROOM_SEAL_ROOM] = {0};

	(void) database_key(MyDatabaseId);
	appendBinaryStringInfo(buf, room, sizeof(room));
}

/* Log a message of this process's database; the tailer's have none. */
XLogRecPtr
chatroom_log(MessageKind kind, char *message, int len, bool transactional)
{
	const SipKey *key = database_key(MyDatabaseId);
	XLogRecPtr	here;
	XLogRecPtr	end;

	if (transactional)
	{
		chatroom_seal(message, len, kind, key, GetCurrentTransactionId(),
					  InvalidXLogRecPtr);
		return chatroom_log_message(CHATROOM_PREFIX,
									message + CHATROOM_POSITION_LEN,
									len - CHATROOM_POSITION_LEN, true);
	}
	do
	{
		here = GetXLogInsertRecPtr();
		chatroom_seal(message, len, kind, key, InvalidTransactionId, here);
		end = chatroom_log_message(CHATROOM_PREFIX, message, len, false);
	} while (ProcLastRecPtr - here > WINDOW);
	return end;
}

/* ---------------------------------------------------------------- reading */

/* Is a record a message with our prefix? */
bool
chatroom_is_message(XLogReaderState *reader, bool *torn)
{
	xl_logical_message *record;
	Size		length;

	*torn = false;
	if (XLogRecGetRmid(reader) != RM_LOGICALMSG_ID)
		return false;
	record = (xl_logical_message *) XLogRecGetData(reader);
	length = XLogRecGetDataLen(reader);
	if (length < SizeOfLogicalMessage + sizeof(CHATROOM_PREFIX) ||
		record->prefix_size != sizeof(CHATROOM_PREFIX) ||
		memcmp(record->message, CHATROOM_PREFIX,
			   sizeof(CHATROOM_PREFIX)) != 0)
		return false;
	*torn = record->message_size >
		length - SizeOfLogicalMessage - record->prefix_size;
	return !*torn;
}

/* Who wrote such a message, and what is it? */
HeaderResult
chatroom_open_message(XLogReaderState *reader, ByteReader *body,
					  MessageKind *kind)
{
	xl_logical_message *record =
		(xl_logical_message *) XLogRecGetData(reader);
	XLogRecPtr	position;
	HeaderResult result;

	body->pos = record->message + record->prefix_size;
	body->end = body->pos + record->message_size;
	body->failed = false;
	result = chatroom_unseal(body, database_key(record->dbId),
							 record->transactional,
							 XLogRecGetXid(reader), &position, kind);
	if (result != HEADER_FORGED && !record->transactional &&
		(position > reader->ReadRecPtr ||
		 reader->ReadRecPtr - position > WINDOW))
		return HEADER_FORGED;
	return result;
}

/* Was a genuine message read before?  Remembers it. */
bool
chatroom_message_repeats(XLogReaderState *reader)
{
	static struct
	{
		XLogRecPtr	lsn;
		char		seal[CHATROOM_SEAL_ROOM];
	}			remembered[MAX_REMEMBERED];
	static uint32 next = 0;
	xl_logical_message *record =
		(xl_logical_message *) XLogRecGetData(reader);
	const char *seal = record->message + record->prefix_size;
	XLogRecPtr	here = reader->ReadRecPtr;

	for (uint32 i = 1; i <= MAX_REMEMBERED; i++)
	{
		uint32		at = (next - i) % MAX_REMEMBERED;

		if (remembered[at].lsn + WINDOW < here || remembered[at].lsn > here)
			break;
		if (memcmp(remembered[at].seal, seal, CHATROOM_SEAL_ROOM) == 0)
			return true;
	}
	remembered[next % MAX_REMEMBERED].lsn = here;
	memcpy(remembered[next % MAX_REMEMBERED].seal, seal, CHATROOM_SEAL_ROOM);
	next++;
	return false;
}
