/*-------------------------------------------------------------------------
 *
 * event.c
 *	  Fuzzes the decoding of what stands in WAL, and the putting together of
 *	  events from it.
 *
 * The input's first byte chooses what is decoded.  A row event needs a
 * descriptor: two bytes of its length, the descriptor, and the event.  What
 * was decoded is encoded and decoded again, which must come to the same; and
 * is turned into a ring's event, whose parts must lie inside of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/event.h"
#include "cache/build.h"
#include "fuzz.h"

enum
{
	INPUT_ROW,
	INPUT_DESCRIPTOR,
	INPUT_BROADCAST,
	INPUT_RESET,
	INPUT_ANCHOR,
	INPUT_HEADER,
	INPUT_KEY,
	INPUT_PRESENCE,
	INPUTS
};

/* ---------------------------------------------------------------- checking */

static ByteReader
reader_of(const void *data, size_t size)
{
	ByteReader reader = {data, (const char *) data + size, false};

	return reader;
}

static ByteReader
reader_of_buffer(const StringInfoData *buf)
{
	return reader_of(buf->data, buf->len);
}

static void
check_same_piece(const Piece *a, const Piece *b)
{
	CHECK(a->len == b->len);
	CHECK(a->len <= 0 || memcmp(a->data, b->data, a->len) == 0);
}

static void
check_same_image(const Piece *a, const Piece *b, int n)
{
	CHECK((a == NULL) == (b == NULL));
	for (int i = 0; i < n && a != NULL; i++)
		check_same_piece(&a[i], &b[i]);
}

/* Does a part lie inside the event? */
static void
check_part(const RingEvent *event, uint32 start, uint32 len)
{
	CHECK(start <= event->len && len <= event->len - start);
}

static void
check_columns(const RingEvent *event, uint32 offset, int n)
{
	const RingColumn *column = ring_columns(event, offset);

	check_part(event, offset, n * sizeof(RingColumn));
	for (int i = 0; i < n; i++)
	{
		if (column[i].len >= 0)
			check_part(event, column[i].start, column[i].len);
		CHECK(column[i].name_len == 0 ||
			  (int) column[i].name_len <= column[i].len);
	}
}

/* Check an event that was put together. */
static void
check_event(const StringInfoData *batch)
{
	const RingEvent *event = (const RingEvent *) batch->data;

	CHECK(event->len == (uint32) batch->len);
	CHECK(event->len == MAXALIGN(event->len));
	CHECK(event->nlinks <= CHATROOM_MAX_TOPICS);
	for (int i = 0; i < event->nlinks; i++)
		check_part(event, event->links[i].name, event->links[i].name_len);
	check_columns(event, event->row_columns, event->nrow);
	check_columns(event, event->old_columns, event->nold);
	check_columns(event, event->new_policy_columns, event->nnew_policy);
	check_columns(event, event->old_policy_columns, event->nold_policy);
	check_part(event, event->tail, event->tail_len);
	check_part(event, event->table, event->table_len);
	check_part(event, event->key, event->key_len);
	check_part(event, event->row, event->row_len);
	check_part(event, event->old, event->old_len);
	check_part(event, event->changed, event->changed_len);
	check_part(event, event->payload, event->payload_len);
	check_part(event, event->event, event->event_len);
	check_part(event, event->origin, event->origin_len);
	check_part(event, event->at_json, event->at_len);
	check_part(event, event->audience, event->audience_len);
}

/* ---------------------------------------------------------------- decoding */

static const EventFrame frame = {1, 2, 3, 4, 5};

static bool
take_descriptor(const uint8_t *data, size_t size, Descriptor *descriptor)
{
	ByteReader reader = reader_of(data, size);
	Descriptor again;
	StringInfoData buf;

	if (!chatroom_decode_descriptor(&reader, descriptor))
		return false;
	initStringInfo(&buf);
	(void) chatroom_encode_descriptor(&buf, descriptor);
	reader = reader_of_buffer(&buf);
	CHECK(chatroom_decode_descriptor(&reader, &again));
	CHECK(again.relid == descriptor->relid);
	CHECK(again.ncolumns == descriptor->ncolumns);
	CHECK(again.nextra == descriptor->nextra);
	check_same_piece(&again.base, &descriptor->base);
	check_same_piece(&again.table, &descriptor->table);
	for (int i = 0; i < again.ncolumns; i++)
	{
		CHECK(again.columns[i].attnum == descriptor->columns[i].attnum);
		CHECK(again.columns[i].flags == descriptor->columns[i].flags);
		check_same_piece(&again.columns[i].name, &descriptor->columns[i].name);
	}
	for (int i = 0; i < again.nextra; i++)
	{
		CHECK(again.extra[i].column < again.ncolumns);
		CHECK(again.extra[i].column == descriptor->extra[i].column);
	}
	return true;
}

/* A row event's topics, and what it looks like in the ring. */
static void
use_row(const Descriptor *descriptor, const RowEvent *event)
{
	StringInfoData buf;
	Piece topics[CHATROOM_MAX_TOPICS];
	uint8 images[CHATROOM_MAX_TOPICS];
	int n;

	initStringInfo(&buf);
	n = chatroom_row_topics(descriptor, event, &buf, topics, images);
	CHECK(n >= 0 && n <= CHATROOM_MAX_TOPICS);
	for (int i = 0; i < n; i++)
	{
		CHECK(topics[i].len >= 0 && topics[i].len <= CHATROOM_MAX_TOPIC);
		CHECK(topics[i].data >= buf.data &&
			  topics[i].data + topics[i].len <= buf.data + buf.len);
	}
	for (int strip = 0; strip < 2; strip++)
	{
		resetStringInfo(&buf);
		chatroom_build_row(&buf, &frame, descriptor, event, strip);
		check_event(&buf);
	}
}

static void
take_row(const uint8_t *data, size_t size)
{
	Descriptor descriptor;
	RowEvent event;
	RowEvent again;
	ByteReader reader;
	StringInfoData buf;
	size_t len;
	uint64 id;
	uint32 command;

	if (size < 2)
		return;
	len = Min((size_t) (data[0] | data[1] << 8), size - 2);
	if (!take_descriptor(data + 2, len, &descriptor))
		return;
	reader = reader_of(data + 2 + len, size - 2 - len);
	(void) chatroom_peek_row(reader, &id, &command);
	if (!chatroom_decode_row(&reader, &descriptor, &event))
		return;
	CHECK(id == event.descriptor && command == event.command);
	use_row(&descriptor, &event);

	/* an encoder tells a whole old image by there being no new one */
	if ((event.flags & EVENT_OLD) &&
		(event.flags & (EVENT_NEW | EVENT_OLD_SOME)))
		return;
	initStringInfo(&buf);
	chatroom_encode_row(&buf, &descriptor, &event);
	reader = reader_of_buffer(&buf);
	CHECK(chatroom_decode_row(&reader, &descriptor, &again));
	CHECK(again.type == event.type && again.command == event.command);
	check_same_piece(&again.origin, &event.origin);
	check_same_image(again.values, event.values, descriptor.ncolumns);
	check_same_image(again.old, event.old, descriptor.ncolumns);
	CHECK((again.changed == NULL) == (event.changed == NULL));
	for (int i = 0; i < descriptor.ncolumns && event.changed != NULL; i++)
		CHECK(again.changed[i] == event.changed[i]);
	CHECK((again.audience.data == NULL) == (event.audience.data == NULL));
	if (event.audience.data != NULL)
	{
		check_same_piece(&again.audience, &event.audience);
		(void) chatroom_in_audience(event.audience.data, event.audience.len,
									"alice");
	}
}

static void
take_broadcast(const uint8_t *data, size_t size)
{
	ByteReader reader = reader_of(data, size);
	BroadcastEvent event;
	BroadcastEvent again;
	StringInfoData buf;

	if (!chatroom_decode_broadcast(&reader, &event))
		return;
	initStringInfo(&buf);
	chatroom_encode_broadcast(&buf, &event);
	reader = reader_of_buffer(&buf);
	CHECK(chatroom_decode_broadcast(&reader, &again));
	check_same_piece(&again.topic, &event.topic);
	check_same_piece(&again.event, &event.event);
	check_same_piece(&again.payload, &event.payload);
	resetStringInfo(&buf);
	chatroom_build_broadcast(&buf, &frame, &event);
	check_event(&buf);
}

static void
take_reset(const uint8_t *data, size_t size)
{
	ByteReader reader = reader_of(data, size);
	ResetEvent event;
	ResetEvent again;
	StringInfoData buf;

	if (!chatroom_decode_reset(&reader, &event))
		return;
	initStringInfo(&buf);
	chatroom_encode_reset(&buf, &event);
	reader = reader_of_buffer(&buf);
	CHECK(chatroom_decode_reset(&reader, &again));
	CHECK(again.scope == event.scope && again.reason == event.reason);
	check_same_piece(&again.base, &event.base);
}

static void
take_anchor(const uint8_t *data, size_t size)
{
	ByteReader reader = reader_of(data, size);
	AnchorEvent event;
	AnchorEvent again;
	StringInfoData buf;

	memset(&event, 0, sizeof(event));
	memset(&again, 0, sizeof(again));
	if (!chatroom_decode_anchor(&reader, &event))
		return;
	initStringInfo(&buf);
	chatroom_encode_anchor(&buf, &event);
	reader = reader_of_buffer(&buf);
	CHECK(chatroom_decode_anchor(&reader, &again));
	CHECK(memcmp(&event, &again, sizeof(event)) == 0);
}

static void
take_presence(const uint8_t *data, size_t size)
{
	ByteReader reader = reader_of(data, size);
	PresenceMessage message;
	PresenceMessage again;
	StringInfoData buf;
	StringInfoData built;

	if (!chatroom_decode_presence(&reader, &message))
		return;
	initStringInfo(&buf);
	chatroom_encode_presence(&buf, &message);
	for (int i = 0; i < message.nitems; i++)
	{
		int before = buf.len;
		const PresenceItem *item = &message.items[i];

		chatroom_encode_presence_item(&buf, item);
		CHECK(buf.len - before <= PRESENCE_ITEM_OVERHEAD + item->topic.len +
			  item->key.len + item->meta.len);
	}
	reader = reader_of_buffer(&buf);
	CHECK(chatroom_decode_presence(&reader, &again));
	CHECK(again.action == message.action && again.at == message.at &&
		  again.database == message.database &&
		  again.as_of == message.as_of && again.nitems == message.nitems);
	check_same_piece(&again.origin, &message.origin);
	for (int i = 0; i < message.nitems; i++)
	{
		const PresenceItem *item = &message.items[i];
		const PresenceItem *other = &again.items[i];

		CHECK(item->id == other->id && item->ref == other->ref &&
			  item->prev_ref == other->prev_ref &&
			  item->slot == other->slot && item->ttl == other->ttl &&
			  item->role == other->role);
		check_same_piece(&item->topic, &other->topic);
		check_same_piece(&item->key, &other->key);
		check_same_piece(&item->meta, &other->meta);
		initStringInfo(&built);
		chatroom_build_presence(&built, &frame, message.action, item,
								&message.origin);
		check_event(&built);
	}
}

static void
take_header(const uint8_t *data, size_t size)
{
	static const SipKey key = {1, 2};
	ByteReader reader = reader_of(data, size);
	StringInfoData buf;
	XLogRecPtr position;
	MessageKind kind;

	/* nobody guesses a seal */
	CHECK(chatroom_unseal(&reader, &key, size % 2 == 0, 3, &position,
						  &kind) == HEADER_FORGED);

	/* what was sealed is known again, and not with a bit changed */
	for (int transactional = 0; transactional < 2; transactional++)
	{
		int skip = transactional ? CHATROOM_POSITION_LEN : 0;

		initStringInfo(&buf);
		for (int i = 0; i < CHATROOM_SEAL_ROOM; i++)
			appendStringInfoChar(&buf, ' ');
		appendBinaryStringInfo(&buf, (const char *) data, (int) size);
		chatroom_seal(buf.data, buf.len, MESSAGE_ROW, &key,
					  transactional ? 3 : 0, 1000);
		for (int i = skip; i < CHATROOM_SEAL_ROOM; i++)
			CHECK(buf.data[i] > ' ' && buf.data[i] <= 'c' &&
				  buf.data[i] != '\\' && buf.data[i] != '"');
		reader = reader_of(buf.data + skip, buf.len - skip);
		CHECK(chatroom_unseal(&reader, &key, transactional, 3, &position,
							  &kind) == HEADER_OK);
		CHECK(kind == MESSAGE_ROW && reader.end - reader.pos == (long) size &&
			  position == (transactional ? 0 : 1000));
		reader = reader_of(buf.data + skip, buf.len - skip);
		if (transactional)
			CHECK(chatroom_unseal(&reader, &key, true, 4, &position,
								  &kind) == HEADER_FORGED);
		reader = reader_of(buf.data + skip, buf.len - skip);
		buf.data[skip + size % (buf.len - skip)] ^= 1;
		CHECK(chatroom_unseal(&reader, &key, transactional, 3, &position,
							  &kind) == HEADER_FORGED);
	}
}

/* Any bytes as key's values and as JSON. */
static void
take_key(const uint8_t *data, size_t size)
{
	StringInfoData buf;
	Piece values[3];
	int third = (int) (size / 3);

	initStringInfo(&buf);
	for (int i = 0; i < 3; i++)
	{
		values[i].data = (const char *) data + i * third;
		values[i].len = third;
	}
	chatroom_append_topic_key(&buf, values, 3);
	CHECK(buf.len <= CHATROOM_MAX_TOPIC_KEY);
	resetStringInfo(&buf);
	chatroom_append_identifier(&buf, (const char *) data, (int) size);
	CHECK(buf.len >= (int) size);
	resetStringInfo(&buf);
	chatroom_append_json_string(&buf, (const char *) data, (int) size);
	CHECK(buf.len >= (int) size + 2 && buf.data[buf.len - 1] == '"');
	for (int i = 0; i < buf.len; i++)
		CHECK((unsigned char) buf.data[i] >= ' ');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Descriptor descriptor;

	if (size == 0)
		return 0;
	switch (data[0] % INPUTS)
	{
		case INPUT_ROW:
			take_row(data + 1, size - 1);
			break;
		case INPUT_DESCRIPTOR:
			(void) take_descriptor(data + 1, size - 1, &descriptor);
			break;
		case INPUT_BROADCAST:
			take_broadcast(data + 1, size - 1);
			break;
		case INPUT_RESET:
			take_reset(data + 1, size - 1);
			break;
		case INPUT_ANCHOR:
			take_anchor(data + 1, size - 1);
			break;
		case INPUT_HEADER:
			take_header(data + 1, size - 1);
			break;
		case INPUT_KEY:
			take_key(data + 1, size - 1);
			break;
		case INPUT_PRESENCE:
			take_presence(data + 1, size - 1);
			break;
	}
	forget_memory();
	return 0;
}

/* ------------------------------------------------------------------- seeds */

#define PIECE(text) \
	{ \
		text, sizeof(text) - 1 \
	}

static DescriptorColumn seed_columns[] = {
	{1, COLUMN_KEY | COLUMN_SHOWN | COLUMN_LITERAL, 20, PIECE("id")},
	{2, COLUMN_TOPIC | COLUMN_SHOWN, 20, PIECE("room_id")},
	{3, COLUMN_SHOWN | COLUMN_POLICY, 25, PIECE("text")},
	{3, COLUMN_POLICY, 25, PIECE("text")},
	{4, COLUMN_SHOWN | COLUMN_LITERAL | COLUMN_NUMERIC, 1700, PIECE("n")}};

static DescriptorTopic seed_topics[] = {
	{PIECE("room:"), 1}, {PIECE("rooms"), -1}};

static Descriptor seed_descriptor = {
	.relid = 16384, .flags = DESCRIPTOR_POLICIES, .base = PIECE("chat.messages"), .table = PIECE("chat.messages"), .ncolumns = lengthof(seed_columns), .columns = seed_columns, .nextra = lengthof(seed_topics), .extra = seed_topics};

static Piece seed_values[] = {
	PIECE("17"), PIECE("3"), PIECE("hello \"you\"\n"), {NULL, PIECE_NULL}, PIECE("NaN")};

static Piece seed_old[] = {
	PIECE("16"), PIECE("4"), PIECE("hi"), {NULL, PIECE_ABSENT}, PIECE("1.5")};

static bool seed_changed[] = {true, true, true, false, true};

static PresenceItem seed_items[] = {
	{0x1122334455667788, 0x99aabbccddeeff00, 1, PRESENCE_SLOT_TYPING, 5000000, 10, PIECE("room:1"), PIECE("alice"), PIECE("{\"typing\": true}")},
	{2, 2, 0, 0, 0, PG_UINT32_MAX, PIECE("lobby"), PIECE("b\"ob"), PIECE("{}")}};

/* Start an input of a kind. */
static void
start_seed(StringInfo buf, char input)
{
	initStringInfo(buf);
	appendStringInfoChar(buf, input);
}

static void
write_seed_of(const char *name, RowEvent event)
{
	StringInfoData buf;
	int len;

	start_seed(&buf, INPUT_ROW);
	appendBinaryStringInfo(&buf, "\0\0", 2);
	event.descriptor = chatroom_encode_descriptor(&buf, &seed_descriptor);
	len = buf.len - 3;
	buf.data[1] = (char) (len & 0xff);
	buf.data[2] = (char) (len >> 8);
	chatroom_encode_row(&buf, &seed_descriptor, &event);
	write_seed(name, buf.data, buf.len);
}

static void
write_row_seed(const char *name, uint8 type, uint8 flags, Piece *values,
			   Piece *old, bool *changed)
{
	RowEvent event = {0, type, flags, 3, PIECE("me"), values, old, changed};

	write_seed_of(name, event);
}

/* The deletion of a room, which tells who saw it go. */
static void
write_audience_seed(void)
{
	RowEvent event = {0, EVENT_DELETE, 0, 3, PIECE("me"), NULL, seed_old, NULL, PIECE("alice\0bob\0")};

	write_seed_of("audience", event);
}

static void
write_presence_seed(const char *name, PresenceAction action, int n)
{
	PresenceMessage message = {action, 5, 7, 900, PIECE("me"), 0, NULL};
	StringInfoData buf;

	start_seed(&buf, INPUT_PRESENCE);
	chatroom_encode_presence(&buf, &message);
	for (int i = 0; i < n; i++)
		chatroom_encode_presence_item(&buf, &seed_items[i]);
	write_seed(name, buf.data, buf.len);
}

void
write_seeds(void)
{
	BroadcastEvent broadcast = {1, 2, PIECE("lobby"), PIECE("ping"), PIECE("{\"a\": 1}"), {NULL, PIECE_NULL}};
	ResetEvent reset = {RESET_BASE, PIECE("chat.messages"),
						RESET_REASON_DDL};
	AnchorEvent anchor = {1000, 900, 800, 700, 2, {{1, 100}, {2, 0}}};
	StringInfoData buf;

	write_row_seed("insert", EVENT_INSERT, 0, seed_values, NULL, NULL);
	write_row_seed("update", EVENT_UPDATE, 0, seed_values, seed_old,
				   seed_changed);
	write_row_seed("delete", EVENT_DELETE, 0, NULL, seed_old, NULL);
	write_audience_seed();
	write_row_seed("leave", EVENT_LEAVE, EVENT_PARTIAL, NULL, seed_old, NULL);
	write_row_seed("oversize", EVENT_INSERT, EVENT_PARTIAL | EVENT_OVERSIZE,
				   seed_values, NULL, NULL);
	write_row_seed("truncate", EVENT_TRUNCATE, 0, NULL, NULL, NULL);
	start_seed(&buf, INPUT_DESCRIPTOR);
	(void) chatroom_encode_descriptor(&buf, &seed_descriptor);
	write_seed("descriptor", buf.data, buf.len);
	start_seed(&buf, INPUT_BROADCAST);
	chatroom_encode_broadcast(&buf, &broadcast);
	write_seed("broadcast", buf.data, buf.len);
	start_seed(&buf, INPUT_RESET);
	chatroom_encode_reset(&buf, &reset);
	write_seed("reset", buf.data, buf.len);
	start_seed(&buf, INPUT_ANCHOR);
	chatroom_encode_anchor(&buf, &anchor);
	write_seed("anchor", buf.data, buf.len);
	write_presence_seed("presence_join", PRESENCE_JOIN, 1);
	write_presence_seed("presence_update", PRESENCE_UPDATE, 1);
	write_presence_seed("presence_leave", PRESENCE_LEAVE, 2);
	write_presence_seed("presence_state", PRESENCE_STATE, 2);
	start_seed(&buf, INPUT_HEADER);
	appendStringInfoString(&buf, "2Ea seal that nobody made");
	write_seed("header", buf.data, buf.len);
	start_seed(&buf, INPUT_KEY);
	appendStringInfoString(&buf, "a,b\\c\"d\te");
	write_seed("key", buf.data, buf.len);
}
