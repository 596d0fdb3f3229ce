/*-------------------------------------------------------------------------
 *
 * event.c
 *	  Encoding and decoding of what chatroom writes into WAL.
 *
 * See event.h for the format.  Nothing here touches shared memory, catalogs
 * or transactions, so the same code runs in writers, in the tailer and in a
 * fuzzer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/event.h"
#include "common/hashfn.h"

/* Sanity limits of the decoder: more than any writer sends. */
#define MAX_COLUMNS			3200	/* a policy column may stand twice */
#define MAX_EXTRA_TOPICS	8

/* ---------------------------------------------------------------- writing */

/* The character that stands for 6 bits; see event.h. */
static inline char
digit_of(uint64 bits)
{
	char		c = '#' + (char) (bits & 0x3F);

	return c < '\\' ? c : c + 1;
}

/* Append an integer of 1 to 13 characters. */
void
chatroom_put_vint(StringInfo buf, uint64 value)
{
	char		digits[13];
	int			n = 0;

	while (value >= 0x20)
	{
		digits[n++] = digit_of(value | 0x20);
		value >>= 5;
	}
	digits[n++] = digit_of(value);
	appendBinaryStringInfo(buf, digits, n);
}

/* Write a word. */
static void
set_word(char *digits, uint64 value)
{
	for (int i = 0; i < CHATROOM_WORD_LEN; i++, value >>= 6)
		digits[i] = digit_of(value);
}

/*
 * The seal of a message.  What stands in front of the body goes into it, too:
 * a position is larger than the xids that it could be taken for, or the second
 * word tells it from them.
 */
static uint64
make_seal(const SipKey *key, char version, char kind, bool transactional,
		  uint64 place, const char *body, Size len)
{
	uint64		second = (uint8) version | (uint64) (uint8) kind << 8 |
		(uint64) transactional << 16;

	return chatroom_siphash(key, place, second, body, len);
}

/* Seal a message; see event.h. */
void
chatroom_seal(char *message, Size len, MessageKind kind, const SipKey *key,
			  uint32 xid, XLogRecPtr position)
{
	bool		transactional = xid != 0;
	char	   *body = message + CHATROOM_SEAL_ROOM;
	uint64		seal = make_seal(key, CHATROOM_EVENT_VERSION, (char) kind,
								 transactional,
								 transactional ? xid : position, body,
								 len - CHATROOM_SEAL_ROOM);

	if (transactional)
		message += CHATROOM_POSITION_LEN;
	else
		set_word(message + 2 + CHATROOM_WORD_LEN, position);
	message[0] = CHATROOM_EVENT_VERSION;
	message[1] = (char) kind;
	set_word(message + 2, seal);
}

/* Append a string that is not NULL. */
static void
put_string(StringInfo buf, const char *data, int len)
{
	chatroom_put_vint(buf, len);
	appendBinaryStringInfo(buf, data, len);
}

/* Append a value that may be NULL or absent: vint 0, 1, or length + 2. */
static void
put_value(StringInfo buf, const Piece *value)
{
	if (value->len == PIECE_NULL)
		chatroom_put_vint(buf, 0);
	else if (value->len == PIECE_ABSENT)
		chatroom_put_vint(buf, 1);
	else
	{
		chatroom_put_vint(buf, (uint64) value->len + 2);
		appendBinaryStringInfo(buf, value->data, value->len);
	}
}

/* Append a word. */
static void
put_word(StringInfo buf, uint64 value)
{
	char		digits[CHATROOM_WORD_LEN];

	set_word(digits, value);
	appendBinaryStringInfo(buf, digits, sizeof(digits));
}

/*
 * Append names that each have a zero byte behind: how many bytes that is, and
 * each as a string.
 */
static void
put_names(StringInfo buf, const Piece *names)
{
	const char *end = names->data + names->len;

	chatroom_put_vint(buf, names->len);
	for (const char *name = names->data; name < end;)
	{
		int			len = (int) strlen(name);

		put_string(buf, name, len);
		name += len + 1;
	}
}

/*
 * Append a descriptor; returns its id.  The id is a hash of the encoded body,
 * so equal descriptors of different backends are one.
 */
uint64
chatroom_encode_descriptor(StringInfo buf, const Descriptor *descriptor)
{
	int			start = buf->len;
	uint64		id;

	chatroom_put_vint(buf, descriptor->relid);
	chatroom_put_vint(buf, descriptor->flags);
	put_string(buf, descriptor->base.data, descriptor->base.len);
	put_string(buf, descriptor->table.data, descriptor->table.len);
	chatroom_put_vint(buf, descriptor->ncolumns);
	for (int i = 0; i < descriptor->ncolumns; i++)
	{
		const DescriptorColumn *column = &descriptor->columns[i];

		chatroom_put_vint(buf, (uint64) column->attnum);
		chatroom_put_vint(buf, column->flags);
		chatroom_put_vint(buf, column->typid);
		put_string(buf, column->name.data, column->name.len);
	}
	chatroom_put_vint(buf, descriptor->nextra);
	for (int i = 0; i < descriptor->nextra; i++)
	{
		const DescriptorTopic *topic = &descriptor->extra[i];

		put_string(buf, topic->prefix.data, topic->prefix.len);
		chatroom_put_vint(buf, (uint64) (topic->column + 1));
	}
	id = hash_bytes_extended((unsigned char *) buf->data + start,
							 buf->len - start, 0);
	return id;
}

/* Append an image's columns that it carries, with their numbers. */
static void
put_some_values(StringInfo buf, int ncolumns, const Piece *values)
{
	int			count = 0;

	for (int i = 0; i < ncolumns; i++)
		if (values[i].len != PIECE_ABSENT)
			count++;
	chatroom_put_vint(buf, count);
	for (int i = 0; i < ncolumns; i++)
	{
		if (values[i].len == PIECE_ABSENT)
			continue;
		chatroom_put_vint(buf, i);
		put_value(buf, &values[i]);
	}
}

/* Append a row event; the images it has are told by its pointers. */
void
chatroom_encode_row(StringInfo buf, const Descriptor *descriptor,
					const RowEvent *event)
{
	uint8		flags = event->flags & (EVENT_OVERSIZE | EVENT_PARTIAL);
	int			ncolumns = descriptor->ncolumns;
	bool		old_whole = event->old != NULL && event->values == NULL;

	if (event->origin.len >= 0)
		flags |= EVENT_ORIGIN;
	if (event->values != NULL)
		flags |= EVENT_NEW;
	if (event->old != NULL)
		flags |= old_whole ? EVENT_OLD : EVENT_OLD_SOME;
	if (event->changed != NULL)
		flags |= EVENT_CHANGED;
	if (event->audience.data != NULL)
		flags |= EVENT_AUDIENCE;

	put_word(buf, event->descriptor);
	chatroom_put_vint(buf, event->type);
	chatroom_put_vint(buf, flags);
	chatroom_put_vint(buf, event->command);
	if (flags & EVENT_ORIGIN)
		put_string(buf, event->origin.data, event->origin.len);
	if (flags & EVENT_NEW)
		for (int i = 0; i < ncolumns; i++)
			put_value(buf, &event->values[i]);
	if (flags & EVENT_OLD)
		for (int i = 0; i < ncolumns; i++)
			put_value(buf, &event->old[i]);
	if (flags & EVENT_OLD_SOME)
		put_some_values(buf, ncolumns, event->old);
	if (flags & EVENT_CHANGED)
	{
		for (int i = 0; i < ncolumns; i += 6)
		{
			uint8		bits = 0;

			for (int j = i; j < Min(i + 6, ncolumns); j++)
				if (event->changed[j])
					bits |= 1 << (j - i);
			appendStringInfoCharMacro(buf, digit_of(bits));
		}
	}
	if (flags & EVENT_AUDIENCE)
		put_names(buf, &event->audience);
}

/* Append a broadcast. */
void
chatroom_encode_broadcast(StringInfo buf, const BroadcastEvent *event)
{
	chatroom_put_vint(buf, event->command);
	chatroom_put_vint(buf, (uint64) event->at);
	put_value(buf, &event->topic);
	put_value(buf, &event->event);
	put_value(buf, &event->payload);
	put_value(buf, &event->origin);
}

/* Append a reset. */
void
chatroom_encode_reset(StringInfo buf, const ResetEvent *event)
{
	chatroom_put_vint(buf, event->scope);
	chatroom_put_vint(buf, event->reason);
	put_value(buf, &event->base);
}

/* Append an anchor. */
void
chatroom_encode_anchor(StringInfo buf, const AnchorEvent *event)
{
	chatroom_put_vint(buf, event->begin);
	chatroom_put_vint(buf, event->oldest_open);
	chatroom_put_vint(buf, event->next_fxid);
	chatroom_put_vint(buf, event->partial_before);
	chatroom_put_vint(buf, event->nincarnations);
	for (int i = 0; i < event->nincarnations; i++)
	{
		chatroom_put_vint(buf, event->incarnations[i].id);
		chatroom_put_vint(buf, event->incarnations[i].start);
	}
	chatroom_put_vint(buf, event->presence);
}

/* Append what a message of presence begins with; its items follow. */
void
chatroom_encode_presence(StringInfo buf, const PresenceMessage *message)
{
	chatroom_put_vint(buf, message->action);
	chatroom_put_vint(buf, message->database);
	chatroom_put_vint(buf, (uint64) message->at);
	chatroom_put_vint(buf, message->as_of);
	put_value(buf, &message->origin);
}

/* Append one of its items. */
void
chatroom_encode_presence_item(StringInfo buf, const PresenceItem *item)
{
	chatroom_put_vint(buf, item->id);
	chatroom_put_vint(buf, item->ref);
	chatroom_put_vint(buf, item->prev_ref);
	chatroom_put_vint(buf, item->slot);
	chatroom_put_vint(buf, (uint64) item->ttl);
	chatroom_put_vint(buf, item->role);
	put_value(buf, &item->topic);
	put_value(buf, &item->key);
	put_value(buf, &item->meta);
}

/* ---------------------------------------------------------------- reading */

/* Take n bytes; NULL when there are not as many. */
static const char *
get_bytes(ByteReader *reader, uint64 n)
{
	const char *data = reader->pos;

	if (reader->failed || (uint64) (reader->end - reader->pos) < n)
	{
		reader->failed = true;
		return NULL;
	}
	reader->pos += n;
	return data;
}

/* Take a character that stands for 6 bits; 0 when there is none. */
static uint8
get_digit(ByteReader *reader)
{
	const char *data = get_bytes(reader, 1);

	if (data == NULL)
		return 0;
	if (*data < '#' || *data > 'c' || *data == '\\')
	{
		reader->failed = true;
		return 0;
	}
	return (uint8) (*data - '#' - (*data > '\\'));
}

/* Take an integer; 0 when it is torn or longer than 64 bits. */
uint64
chatroom_get_vint(ByteReader *reader)
{
	uint64		value = 0;

	for (int shift = 0; shift < 64; shift += 5)
	{
		uint8		digit = get_digit(reader);

		if (shift == 60 && digit > 0x0F)
			break;
		value |= (uint64) (digit & 0x1F) << shift;
		if ((digit & 0x20) == 0)
			return reader->failed ? 0 : value;
	}
	reader->failed = true;
	return 0;
}

/* Take a word; 0 when it is torn. */
static uint64
get_word(ByteReader *reader)
{
	uint64		value = 0;

	for (int i = 0; i < CHATROOM_WORD_LEN; i++)
	{
		uint8		digit = get_digit(reader);

		if (i == CHATROOM_WORD_LEN - 1 && digit > 0x0F)
			reader->failed = true;
		value |= (uint64) digit << (6 * i);
	}
	return reader->failed ? 0 : value;
}

/* Take an integer that must not exceed a limit. */
static uint32
get_limited(ByteReader *reader, uint64 limit)
{
	uint64		value = chatroom_get_vint(reader);

	if (value > limit)
	{
		reader->failed = true;
		return 0;
	}
	return (uint32) value;
}

/* Take a piece of a given length. */
static Piece
get_piece(ByteReader *reader, uint64 len)
{
	Piece		piece;

	piece.data = get_bytes(reader, len);
	piece.len = piece.data ? (int) len : PIECE_NULL;
	return piece;
}

/* Take a string that is not NULL. */
static Piece
get_string(ByteReader *reader)
{
	return get_piece(reader, chatroom_get_vint(reader));
}

/* Take what put_value wrote. */
static Piece
get_value(ByteReader *reader)
{
	uint64		code = chatroom_get_vint(reader);
	Piece		piece = {NULL, PIECE_NULL};

	if (code == 1)
		piece.len = PIECE_ABSENT;
	else if (code >= 2)
		piece = get_piece(reader, code - 2);
	return piece;
}

/* Did reading take everything, and fail nowhere? */
static bool
reader_done(const ByteReader *reader)
{
	return !reader->failed && reader->pos == reader->end;
}

/*
 * Take names that put_names wrote: as a piece of its own, with a zero byte
 * behind each.
 */
static Piece
get_names(ByteReader *reader)
{
	uint64		len = chatroom_get_vint(reader);
	Piece		names = {NULL, PIECE_NULL};
	char	   *to;

	/* each has at least a digit in the message, and a zero byte here */
	if (reader->failed || len > (uint64) (reader->end - reader->pos))
	{
		reader->failed = true;
		return names;
	}
	names.data = to = palloc(Max(len, 1));
	names.len = (int) len;
	while (len > 0)
	{
		Piece		name = get_string(reader);

		if (name.len < 0 || (uint64) name.len >= len ||
			memchr(name.data, '\0', name.len) != NULL)
		{
			reader->failed = true;
			break;
		}
		memcpy(to, name.data, name.len);
		to[name.len] = '\0';
		to += name.len + 1;
		len -= name.len + 1;
	}
	return names;
}

/* Is a time one that can be shown? */
static bool
good_time(TimestampTz at)
{
	return IS_VALID_TIMESTAMP(at);
}

/* Check who wrote a message, and of what kind it is. */
HeaderResult
chatroom_unseal(ByteReader *reader, const SipKey *key, bool transactional,
				uint32 xid, XLogRecPtr *position, MessageKind *kind)
{
	const char *header = get_bytes(reader, 2);
	uint64		seal = get_word(reader);

	*position = transactional ? InvalidXLogRecPtr : get_word(reader);
	*kind = MESSAGE_FUTURE;
	if (reader->failed ||
		seal != make_seal(key, header[0], header[1], transactional,
						  transactional ? xid : *position, reader->pos,
						  reader->end - reader->pos))
		return HEADER_FORGED;
	if (header[0] != CHATROOM_EVENT_VERSION)
		return HEADER_FUTURE;
	*kind = (MessageKind) header[1];
	return HEADER_OK;
}

/* Read a descriptor. */
bool
chatroom_decode_descriptor(ByteReader *reader, Descriptor *descriptor)
{
	const char *start = reader->pos;

	descriptor->relid = get_limited(reader, PG_UINT32_MAX);
	descriptor->flags = get_limited(reader, PG_UINT8_MAX);
	descriptor->base = get_string(reader);
	descriptor->table = get_string(reader);
	if (descriptor->base.len > CHATROOM_MAX_TOPIC / 2 ||
		descriptor->table.len > CHATROOM_MAX_TOPIC / 2)
		return false;
	descriptor->ncolumns = get_limited(reader, MAX_COLUMNS);
	if (reader->failed)
		return false;
	descriptor->columns = palloc0(sizeof(DescriptorColumn) *
								  Max(descriptor->ncolumns, 1));
	for (int i = 0; i < descriptor->ncolumns && !reader->failed; i++)
	{
		DescriptorColumn *column = &descriptor->columns[i];

		column->attnum = (int16) get_limited(reader, PG_INT16_MAX);
		column->flags = get_limited(reader, PG_UINT8_MAX);
		column->typid = get_limited(reader, PG_UINT32_MAX);
		column->name = get_string(reader);
		if (column->name.len > NAMEDATALEN)
			return false;
	}
	descriptor->nextra = get_limited(reader, MAX_EXTRA_TOPICS);
	if (reader->failed)
		return false;
	descriptor->extra = palloc0(sizeof(DescriptorTopic) *
								Max(descriptor->nextra, 1));
	for (int i = 0; i < descriptor->nextra && !reader->failed; i++)
	{
		DescriptorTopic *topic = &descriptor->extra[i];

		topic->prefix = get_string(reader);
		topic->column = (int) get_limited(reader, descriptor->ncolumns) - 1;
		if (topic->prefix.len > CHATROOM_MAX_TOPIC / 2)
			return false;
	}
	descriptor->id = hash_bytes_extended((const unsigned char *) start,
										 reader->pos - start, 0);
	return reader_done(reader);
}

/* Read just what orders a row event and names its descriptor. */
bool
chatroom_peek_row(ByteReader reader, uint64 *descriptor, uint32 *command)
{
	*descriptor = get_word(&reader);
	(void) chatroom_get_vint(&reader);
	(void) chatroom_get_vint(&reader);
	*command = get_limited(&reader, PG_UINT32_MAX);
	return !reader.failed;
}

/* Make an image in which no column is carried. */
static Piece *
absent_image(int ncolumns)
{
	Piece	   *values = palloc(sizeof(Piece) * Max(ncolumns, 1));

	for (int i = 0; i < ncolumns; i++)
	{
		values[i].data = NULL;
		values[i].len = PIECE_ABSENT;
	}
	return values;
}

/* Read a row event of a descriptor. */
bool
chatroom_decode_row(ByteReader *reader, const Descriptor *descriptor,
					RowEvent *event)
{
	int			ncolumns = descriptor->ncolumns;

	memset(event, 0, sizeof(*event));
	event->origin.len = PIECE_NULL;
	event->descriptor = get_word(reader);
	event->type = get_limited(reader, PG_UINT8_MAX);
	event->flags = get_limited(reader, PG_UINT8_MAX);
	event->command = get_limited(reader, PG_UINT32_MAX);
	if (event->type < EVENT_INSERT || event->type > EVENT_LEAVE)
		return false;
	if (event->flags & EVENT_ORIGIN)
		event->origin = get_string(reader);
	if (event->flags & EVENT_NEW)
	{
		event->values = absent_image(ncolumns);
		for (int i = 0; i < ncolumns && !reader->failed; i++)
			event->values[i] = get_value(reader);
	}
	if (event->flags & (EVENT_OLD | EVENT_OLD_SOME))
		event->old = absent_image(ncolumns);
	if (event->flags & EVENT_OLD)
		for (int i = 0; i < ncolumns && !reader->failed; i++)
			event->old[i] = get_value(reader);
	if (event->flags & EVENT_OLD_SOME)
	{
		uint32		count = get_limited(reader, ncolumns);

		while (count-- > 0 && !reader->failed)
		{
			uint32		i = get_limited(reader, PG_UINT32_MAX);

			if (i >= (uint32) ncolumns)
				return false;
			event->old[i] = get_value(reader);
		}
	}
	if (event->flags & EVENT_CHANGED)
	{
		uint8		bits = 0;

		event->changed = palloc(sizeof(bool) * Max(ncolumns, 1));
		for (int i = 0; i < ncolumns; i++)
		{
			if (i % 6 == 0)
				bits = get_digit(reader);
			event->changed[i] = (bits >> (i % 6)) & 1;
		}
	}
	if (event->flags & EVENT_AUDIENCE)
		event->audience = get_names(reader);
	return reader_done(reader);
}

/* Is a name in an audience?  It ends with a zero byte, or is empty. */
bool
chatroom_in_audience(const char *audience, int len, const char *name)
{
	const char *end = audience + len;

	while (audience < end)
	{
		if (strcmp(audience, name) == 0)
			return true;
		audience += strlen(audience) + 1;
	}
	return false;
}

/* Read a broadcast. */
bool
chatroom_decode_broadcast(ByteReader *reader, BroadcastEvent *event)
{
	event->command = get_limited(reader, PG_UINT32_MAX);
	event->at = (TimestampTz) chatroom_get_vint(reader);
	event->topic = get_value(reader);
	event->event = get_value(reader);
	event->payload = get_value(reader);
	event->origin = get_value(reader);
	return reader_done(reader) &&
		good_time(event->at) &&
		event->topic.len > 0 && event->topic.len <= CHATROOM_MAX_TOPIC &&
		event->event.len >= 0 && event->payload.len >= 0;
}

/* Read a reset. */
bool
chatroom_decode_reset(ByteReader *reader, ResetEvent *event)
{
	event->scope = get_limited(reader, PG_UINT8_MAX);
	event->reason = get_limited(reader, PG_UINT8_MAX);
	event->base = get_value(reader);
	return reader_done(reader) &&
		event->reason > RESET_REASON_NONE && event->reason < RESET_REASONS &&
		(event->scope == RESET_DATABASE ||
		 ((event->scope == RESET_BASE || event->scope == RESET_OWN) &&
		  event->base.len > 0 && event->base.len <= CHATROOM_MAX_TOPIC));
}

/* Read an anchor. */
bool
chatroom_decode_anchor(ByteReader *reader, AnchorEvent *event)
{
	event->begin = chatroom_get_vint(reader);
	event->oldest_open = chatroom_get_vint(reader);
	event->next_fxid = chatroom_get_vint(reader);
	event->partial_before = chatroom_get_vint(reader);
	event->nincarnations = get_limited(reader, MAX_INCARNATIONS);
	for (int i = 0; i < event->nincarnations; i++)
	{
		event->incarnations[i].id = get_limited(reader, PG_UINT32_MAX);
		event->incarnations[i].start = chatroom_get_vint(reader);
	}
	event->presence = get_limited(reader, 1) != 0;
	return reader_done(reader);
}

/* Is a text the least that an object's JSON may be? */
static bool
looks_like_object(const Piece *text)
{
	return text->len >= 2 && text->data[0] == '{' &&
		text->data[text->len - 1] == '}';
}

/* Read an item of a message of presence. */
static bool
decode_presence_item(ByteReader *reader, PresenceItem *item)
{
	item->id = chatroom_get_vint(reader);
	item->ref = chatroom_get_vint(reader);
	item->prev_ref = chatroom_get_vint(reader);
	item->slot = chatroom_get_vint(reader);
	item->ttl = (int64) chatroom_get_vint(reader);
	item->role = get_limited(reader, PG_UINT32_MAX);
	item->topic = get_value(reader);
	item->key = get_value(reader);
	item->meta = get_value(reader);
	return !reader->failed && item->id != 0 &&
		item->ttl >= 0 && item->ttl <= CHATROOM_MAX_PRESENCE_TTL &&
		item->topic.len > 0 && item->topic.len <= CHATROOM_MAX_TOPIC &&
		item->key.len > 0 && item->key.len <= CHATROOM_MAX_PRESENCE_KEY &&
		item->meta.len <= CHATROOM_MAX_PRESENCE_META &&
		looks_like_object(&item->meta);
}

/* Read a message of presence. */
bool
chatroom_decode_presence(ByteReader *reader, PresenceMessage *message)
{
	int			room = 0;

	message->action = get_limited(reader, PG_UINT8_MAX);
	message->database = get_limited(reader, PG_UINT32_MAX);
	message->at = (TimestampTz) chatroom_get_vint(reader);
	message->as_of = chatroom_get_vint(reader);
	message->origin = get_value(reader);
	message->nitems = 0;
	message->items = NULL;
	if (reader->failed || message->action < PRESENCE_JOIN ||
		message->action > PRESENCE_STATE || !good_time(message->at))
		return false;
	while (reader->pos < reader->end)
	{
		if (message->nitems == room)
		{
			room = Max(room * 2, 1);
			message->items = message->items == NULL ?
				palloc(sizeof(PresenceItem) * room) :
				repalloc(message->items, sizeof(PresenceItem) * room);
		}
		if (!decode_presence_item(reader, &message->items[message->nitems]))
			return false;
		message->nitems++;
	}
	return reader_done(reader) && message->nitems > 0 &&
		(message->action > PRESENCE_UPDATE || message->nitems == 1);
}

/* ----------------------------------------------------------------- topics */

/*
 * Append an identifier to a topic: as it is where it would be read back
 * unquoted, else in double quotes.  Unlike quote_identifier this depends on
 * no setting, and keywords need no quotes.
 */
void
chatroom_append_identifier(StringInfo buf, const char *name, int len)
{
	bool		plain = len > 0 &&
		((name[0] >= 'a' && name[0] <= 'z') || name[0] == '_');

	for (int i = 0; i < len && plain; i++)
		plain = (name[i] >= 'a' && name[i] <= 'z') ||
			(name[i] >= '0' && name[i] <= '9') || name[i] == '_';
	if (plain)
	{
		appendBinaryStringInfo(buf, name, len);
		return;
	}
	appendStringInfoCharMacro(buf, '"');
	for (int i = 0; i < len; i++)
	{
		if (name[i] == '"')
			appendStringInfoCharMacro(buf, '"');
		appendStringInfoCharMacro(buf, name[i]);
	}
	appendStringInfoCharMacro(buf, '"');
}

/* Bytes of the identifier that a text begins with; see event.h. */
int
chatroom_identifier_len(const char *text, int len)
{
	bool		quoted = false;

	for (int i = 0; i < len; i++)
	{
		if (text[i] == '"')
			quoted = !quoted;
		else if (!quoted && (text[i] == '.' || text[i] == '/'))
			return i;
	}
	return len;
}

/*
 * Append KEY or VALUE of a topic.  Several values are joined by commas, with
 * backslashes before commas and backslashes inside; what is longer than
 * CHATROOM_MAX_TOPIC_KEY is replaced by '#' and a 128 bit hash.
 */
void
chatroom_append_topic_key(StringInfo buf, const Piece *values, int nvalues)
{
	int			start = buf->len;

	for (int i = 0; i < nvalues; i++)
	{
		if (i > 0)
			appendStringInfoCharMacro(buf, ',');
		if (values[i].len < 0)
			continue;
		if (nvalues == 1)
		{
			appendBinaryStringInfo(buf, values[i].data, values[i].len);
			continue;
		}
		for (int j = 0; j < values[i].len; j++)
		{
			char		c = values[i].data[j];

			if (c == ',' || c == '\\')
				appendStringInfoCharMacro(buf, '\\');
			appendStringInfoCharMacro(buf, c);
		}
	}
	if (buf->len - start > CHATROOM_MAX_TOPIC_KEY)
	{
		const unsigned char *key = (unsigned char *) buf->data + start;
		int			len = buf->len - start;
		uint64		high = hash_bytes_extended(key, len, 1);
		uint64		low = hash_bytes_extended(key, len, 2);

		buf->len = start;
		buf->data[start] = '\0';
		appendStringInfo(buf, "#" "%016llx%016llx",
						 (unsigned long long) high, (unsigned long long) low);
	}
}

/* Where a topic being written starts in the buffer, and how long it is. */
typedef struct TopicSpan
{
	int			start;
	int			len;
	uint8		images;			/* TOPIC_OF_* */
} TopicSpan;

/* Keep the topic that stands from start to the buffer's end, if it is new. */
static int
keep_topic(StringInfo buf, int start, uint8 images, TopicSpan *spans, int n)
{
	int			len = buf->len - start;

	for (int i = 0; i < n; i++)
	{
		if (spans[i].len == len &&
			memcmp(buf->data + spans[i].start, buf->data + start, len) == 0)
		{
			spans[i].images |= images;
			buf->len = start;
			return n;
		}
	}
	if (n >= CHATROOM_MAX_TOPICS || len > CHATROOM_MAX_TOPIC)
	{
		buf->len = start;
		return n;
	}
	spans[n].start = start;
	spans[n].len = len;
	spans[n].images = images;
	return n + 1;
}

/* The value of a column in an image; what old does not carry is as in new. */
static Piece
image_value(const RowEvent *event, bool old, int column)
{
	Piece		absent = {NULL, PIECE_ABSENT};

	if (old && event->old != NULL &&
		event->old[column].len != PIECE_ABSENT)
		return event->old[column];
	return event->values != NULL ? event->values[column] : absent;
}

/* Add the topics of one of a row event's images. */
static int
image_topics(const Descriptor *descriptor, const RowEvent *event, bool old,
			 StringInfo buf, TopicSpan *spans, int n)
{
	Piece		keys[CHATROOM_MAX_TOPICS * 2];
	int			nkeys = 0;
	bool		whole = true;
	int			start = buf->len;
	uint8		image = old ? TOPIC_OF_OLD : TOPIC_OF_NEW;

	for (int i = 0; i < descriptor->ncolumns; i++)
	{
		if ((descriptor->columns[i].flags & COLUMN_KEY) == 0)
			continue;
		if (nkeys >= lengthof(keys))
			break;
		keys[nkeys] = image_value(event, old, i);
		if (keys[nkeys].len < 0)
			whole = false;
		nkeys++;
	}
	if (nkeys > 0 && whole)
	{
		appendBinaryStringInfo(buf, descriptor->base.data,
							   descriptor->base.len);
		appendStringInfoCharMacro(buf, ':');
		chatroom_append_topic_key(buf, keys, nkeys);
		n = keep_topic(buf, start, image, spans, n);
	}
	for (int i = 0; i < descriptor->ncolumns; i++)
	{
		const DescriptorColumn *column = &descriptor->columns[i];
		Piece		value;

		if ((column->flags & COLUMN_TOPIC) == 0)
			continue;
		value = image_value(event, old, i);
		if (value.len < 0)
			continue;
		start = buf->len;
		appendBinaryStringInfo(buf, descriptor->base.data,
							   descriptor->base.len);
		appendStringInfoCharMacro(buf, '.');
		chatroom_append_identifier(buf, column->name.data, column->name.len);
		appendStringInfoCharMacro(buf, ':');
		chatroom_append_topic_key(buf, &value, 1);
		n = keep_topic(buf, start, image, spans, n);
	}
	for (int i = 0; i < descriptor->nextra; i++)
	{
		const DescriptorTopic *topic = &descriptor->extra[i];

		start = buf->len;
		appendBinaryStringInfo(buf, topic->prefix.data, topic->prefix.len);
		if (topic->column >= 0)
		{
			Piece		value = image_value(event, old, topic->column);

			if (value.len < 0)
				continue;
			chatroom_append_topic_key(buf, &value, 1);
		}
		n = keep_topic(buf, start, image, spans, n);
	}
	return n;
}

/*
 * Compute the topics of a row event: base, then those of the new and of the
 * old image, each once.  The texts go to buf (which must be empty), the pieces
 * point into it and must have room for CHATROOM_MAX_TOPICS, as must images,
 * which says to which image each belongs (or is NULL).  Returns their number.
 */
int
chatroom_row_topics(const Descriptor *descriptor, const RowEvent *event,
					StringInfo buf, Piece *topics, uint8 *images)
{
	TopicSpan	spans[CHATROOM_MAX_TOPICS];
	int			n = 0;

	appendBinaryStringInfo(buf, descriptor->base.data, descriptor->base.len);
	n = keep_topic(buf, 0, TOPIC_OF_NEW | TOPIC_OF_OLD, spans, n);
	if (event->values != NULL)
		n = image_topics(descriptor, event, false, buf, spans, n);
	if (event->old != NULL)
		n = image_topics(descriptor, event, true, buf, spans, n);
	for (int i = 0; i < n; i++)
	{
		topics[i].data = buf->data + spans[i].start;
		topics[i].len = spans[i].len;
		if (images != NULL)
			images[i] = spans[i].images;
	}
	return n;
}

/* ------------------------------------------------------------------- JSON */

/*
 * Append a JSON string, escaped as escape_json does.  Text runs without
 * special characters are copied whole.
 */
void
chatroom_append_json_string(StringInfo buf, const char *data, int len)
{
	int			run = 0;

	appendStringInfoCharMacro(buf, '"');
	for (int i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) data[i];
		char		escape;

		if (likely(c >= ' ' && c != '"' && c != '\\'))
			continue;
		appendBinaryStringInfo(buf, data + run, i - run);
		run = i + 1;
		switch (c)
		{
			case '\b':
				escape = 'b';
				break;
			case '\f':
				escape = 'f';
				break;
			case '\n':
				escape = 'n';
				break;
			case '\r':
				escape = 'r';
				break;
			case '\t':
				escape = 't';
				break;
			case '"':
			case '\\':
				escape = (char) c;
				break;
			default:
				appendStringInfo(buf, "\\u%04x", c);
				continue;
		}
		appendStringInfoCharMacro(buf, '\\');
		appendStringInfoCharMacro(buf, escape);
	}
	appendBinaryStringInfo(buf, data + run, len - run);
	appendStringInfoCharMacro(buf, '"');
}

/* Append a column's value as JSON. */
void
chatroom_append_json_value(StringInfo buf, uint8 column_flags,
						   const Piece *value)
{
	bool		literal = (column_flags & COLUMN_LITERAL) != 0;

	if (value->len < 0)
	{
		appendBinaryStringInfo(buf, "null", 4);
		return;
	}
	/* NaN, Infinity and -Infinity are no JSON numbers */
	if ((column_flags & COLUMN_NUMERIC) && value->len > 0 &&
		(value->data[0] == 'N' || value->data[0] == 'I' ||
		 (value->data[0] == '-' && value->len > 1 && value->data[1] == 'I')))
		literal = false;
	if (literal)
		appendBinaryStringInfo(buf, value->data, value->len);
	else
		chatroom_append_json_string(buf, value->data, value->len);
}

/* Append a phx_ref: 16 hexadecimal digits. */
void
chatroom_append_ref(StringInfo buf, uint64 ref)
{
	static const char digits[] = "0123456789abcdef";
	char		text[16];

	for (int i = 0; i < sizeof(text); i++)
		text[i] = digits[(ref >> (60 - 4 * i)) & 0x0F];
	appendBinaryStringInfo(buf, text, sizeof(text));
}

/*
 * Append a presence entry's meta as it is shown, with its phx_ref: the id of
 * this meta, by which clients know it again.
 */
void
chatroom_append_presence_meta(StringInfo buf, const Piece *meta, uint64 ref,
							  uint64 prev_ref)
{
	appendBinaryStringInfo(buf, meta->data, meta->len - 1);
	if (meta->len > 2)
		appendStringInfoString(buf, ", ");
	appendStringInfoString(buf, "\"phx_ref\": \"");
	chatroom_append_ref(buf, ref);
	appendStringInfoCharMacro(buf, '"');
	if (prev_ref != 0)
	{
		appendStringInfoString(buf, ", \"phx_ref_prev\": \"");
		chatroom_append_ref(buf, prev_ref);
		appendStringInfoCharMacro(buf, '"');
	}
	appendStringInfoCharMacro(buf, '}');
}
