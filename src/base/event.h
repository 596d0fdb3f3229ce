/*-------------------------------------------------------------------------
 *
 * event.h
 *	  What chatroom writes into WAL, and how it is read back.
 *
 * A message is a logical message (xl_logical_message) with the prefix
 * "chatroom".  Its payload is:
 *
 *	  version, kind: a character each
 *	  seal: word, says that the message is ours and stands where it was logged
 *	  position: word; outside transactions only
 *	  body
 *
 * All of it is text of the database's encoding, for others read WAL, too:
 * output plugins hand out every message, and clients take what they get for
 * text.  So numbers are written with 64 characters of ASCII, none of which
 * JSON escapes ('#' to 'c', without the backslash), and all else are names and
 * values as they stand in the database.
 *
 * The record itself bears the database, the transaction and the LSN; the
 * commit record bears the time.
 *
 * Words:
 *
 * - descriptor: what the events of one watch have in common (names, columns,
 *	 topics).  It is logged, non-transactionally, before a watch's first
 *	 event after each checkpoint's redo point, as full-page images are, and
 *	 known by the hash of its content; so an event stays small.
 * - base: the topic of all of a watch: schema.table, or its label.  The
 *	 others are base:KEY and base.column:VALUE.
 *
 * A vint is an integer of 5 bits a character, low first, of which all but the
 * last have the sixth bit set; a word has 64 bits in 11 characters.  Strings
 * are a vint of their length and the bytes, not terminated.
 *
 * Encoding appends to a StringInfo.  Decoding works on bytes that nobody
 * vouches for: a ByteReader never reads past its end, and once it failed it
 * stays failed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_EVENT_H
#define CHATROOM_EVENT_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "base/siphash.h"
#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

#define CHATROOM_PREFIX			"chatroom"
#define CHATROOM_EVENT_VERSION	'2'

/* Characters in front of a body: position, which not all have; and others. */
#define CHATROOM_WORD_LEN		11
#define CHATROOM_POSITION_LEN	CHATROOM_WORD_LEN
#define CHATROOM_SEAL_ROOM		(2 + 2 * CHATROOM_WORD_LEN)

/* Largest topic in bytes, and most topics an event can have. */
#define CHATROOM_MAX_TOPIC		1000
#define CHATROOM_MAX_TOPICS		16

/* Most columns whose values make association topics of one watch. */
#define CHATROOM_MAX_TOPIC_COLUMNS	6

/* A KEY or VALUE longer than this stands in a topic as '#' and a hash. */
#define CHATROOM_MAX_TOPIC_KEY	400

typedef enum MessageKind
{
	MESSAGE_FUTURE = 0,			/* of a later version: can't be read */
	MESSAGE_ROW = 'E',			/* transactional: one row change */
	MESSAGE_DESCRIPTOR = 'D',	/* see above */
	MESSAGE_BROADCAST = 'B',	/* an event without a row */
	MESSAGE_RESET = 'R',		/* completeness of topics is lost here */
	MESSAGE_ANCHOR = 'A',		/* a place from which rings can be rebuilt */
	MESSAGE_KNOWN = 'K',		/* vint database, a descriptor's body */
	MESSAGE_PRESENCE = 'P'		/* entries of presence come, change, go */
} MessageKind;

typedef enum EventType
{
	EVENT_INSERT = 1,
	EVENT_UPDATE,
	EVENT_DELETE,
	EVENT_TRUNCATE,
	EVENT_ENTER,				/* update after which the row is in */
	EVENT_LEAVE,				/* update after which the row is out */
	EVENT_BROADCAST,
	EVENT_PRESENCE_JOIN,
	EVENT_PRESENCE_UPDATE,
	EVENT_PRESENCE_LEAVE
} EventType;

/* Flags of a row event. */
#define EVENT_OVERSIZE			0x01	/* row left out: too large */
#define EVENT_ORIGIN			0x02	/* an origin string follows */
#define EVENT_PARTIAL			0x04	/* values of key and topics only */
#define EVENT_NEW				0x08	/* a new image follows */
#define EVENT_OLD				0x10	/* a whole old image follows */
#define EVENT_OLD_SOME			0x20	/* an old image of some columns */
#define EVENT_CHANGED			0x40	/* a bitmap of changed columns */
#define EVENT_AUDIENCE			0x80	/* names of who saw it go follow */

/*
 * Flags of a descriptor's column.
 *
 * A column's value is the text that JSON would hold: for LITERAL ones the
 * JSON value itself, otherwise the string before quoting.  NUMERIC is LITERAL
 * but for NaN and infinities, which JSON quotes.
 */
#define COLUMN_KEY				0x01
#define COLUMN_TOPIC			0x02	/* makes base.column:VALUE */
#define COLUMN_SHOWN			0x04	/* part of the event's row */
#define COLUMN_POLICY			0x08	/* a SELECT policy refers to it */
#define COLUMN_LITERAL			0x10
#define COLUMN_NUMERIC			0x20
/*
 * A column that policies refer to, and whose type does not read back what JSON
 * shows (arrays, composites, json casts), has an entry of its own for them: of
 * the same attnum, with COLUMN_POLICY alone, and with the text of the type's
 * output function.  The entry for JSON then lacks COLUMN_POLICY.
 */

/* Flags of a descriptor. */
#define DESCRIPTOR_LABELLED		0x01
#define DESCRIPTOR_POLICIES		0x02	/* row-level security is enabled */

/*
 * Images: an insert has the new one, a delete the old one, an update the new
 * one and of the old one what changed among key, topic and policy columns.
 * The columns that an image does not carry are PIECE_ABSENT.
 *
 * Enter has the new image alone, as an insert.  Leave has the old one alone,
 * as a delete, but only its key, topic and policy columns (EVENT_PARTIAL):
 * what the row became is nobody's business.  An oversize event's images have
 * these columns only, too.  The old image of an update of a table without key
 * is the whole old row.
 */

/* A piece of text inside a message: not terminated; len < 0 is NULL. */
typedef struct Piece
{
	const char *data;
	int			len;
} Piece;

#define PIECE_NULL		(-1)
#define PIECE_ABSENT	(-2)	/* the event does not carry this column */

typedef struct DescriptorColumn
{
	int16		attnum;			/* of the watched (root) relation */
	uint8		flags;			/* COLUMN_* */
	Oid			typid;
	Piece		name;
} DescriptorColumn;

/*
 * A topic that a watch adds to each of its events beyond base's own: the
 * prefix, followed by the value of a column where one is named.
 */
typedef struct DescriptorTopic
{
	Piece		prefix;
	int			column;			/* index into columns, or -1 */
} DescriptorTopic;

typedef struct Descriptor
{
	uint64		id;				/* hash of the encoded body */
	Oid			relid;			/* the watched relation */
	uint8		flags;			/* DESCRIPTOR_* */
	Piece		base;			/* "chat.messages", or the label */
	Piece		table;			/* "chat.messages" */
	int			ncolumns;
	DescriptorColumn *columns;
	int			nextra;
	DescriptorTopic *extra;
} Descriptor;

typedef struct RowEvent
{
	uint64		descriptor;		/* Descriptor.id */
	uint8		type;			/* EventType */
	uint8		flags;			/* EVENT_* */
	uint32		command;		/* command id: order inside a transaction */
	Piece		origin;			/* PIECE_NULL without */
	Piece	   *values;			/* new image, or NULL: one a column */
	Piece	   *old;			/* old image, or NULL: one a column */
	bool	   *changed;		/* or NULL: did the column's value change */

	/*
	 * Who could see a private room that was deleted: its members' names, each
	 * with a zero byte behind it (but in the message, where they are strings).
	 * data is NULL where this isn't told.
	 */
	Piece		audience;
} RowEvent;

/* Is a name in an audience? */
extern bool chatroom_in_audience(const char *audience, int len,
								 const char *name);

typedef struct BroadcastEvent
{
	uint32		command;		/* orders it among the transaction's rows */
	TimestampTz at;				/* when it was sent */
	Piece		topic;
	Piece		event;			/* the name the caller gave it */
	Piece		payload;		/* JSON text */
	Piece		origin;
} BroadcastEvent;

/* Longest key and meta of a presence entry, in bytes. */
#define CHATROOM_MAX_PRESENCE_KEY	255
#define CHATROOM_MAX_PRESENCE_META	4096

/* No lease is as long; so times that are reckoned with it fit. */
#define CHATROOM_MAX_PRESENCE_TTL	(366 * USECS_PER_DAY)

/* What a message of presence says of its entries. */
typedef enum PresenceAction
{
	PRESENCE_JOIN = 1,			/* a session's: one entry came ... */
	PRESENCE_UPDATE,			/* ... or has another meta */
	PRESENCE_LEAVE,				/* the tailer's: entries left */
	PRESENCE_STATE				/* the tailer's: entries that are there */
} PresenceAction;

/* What an entry is one of, for those with a lease; see cache/presence.h. */
#define PRESENCE_SLOT_NONE		0	/* a lease without meta's id, or none */
#define PRESENCE_SLOT_TYPING	1

typedef struct PresenceItem
{
	uint64		id;				/* never changes; not 0 */
	uint64		ref;			/* phx_ref: of this meta */
	uint64		prev_ref;		/* of the meta before; 0: none */
	uint64		slot;			/* hash of meta's id, or PRESENCE_SLOT_* */
	int64		ttl;			/* us; 0: bound to a session */
	Oid			role;			/* who tracked it */
	Piece		topic;
	Piece		key;
	Piece		meta;			/* a JSON object's text */
} PresenceItem;

typedef struct PresenceMessage
{
	uint8		action;			/* PresenceAction */
	Oid			database;		/* the tailer's: of which */
	TimestampTz at;
	XLogRecPtr	as_of;			/* STATE: complete up to here */
	Piece		origin;
	int			nitems;
	PresenceItem *items;
} PresenceMessage;

typedef enum ResetScope
{
	RESET_DATABASE = 0,			/* all topics of the database */
	RESET_BASE = 1,				/* base, base:*, base.* of one watch, and the
								 * topics of a prefix where it is of one */
	RESET_OWN = 2				/* base, base:*, base.* alone */
} ResetScope;

/* Why a reader was told reset; counted in status. */
typedef enum ResetReason
{
	RESET_REASON_NONE = 0,
	RESET_REASON_OVERWRITTEN,	/* the ring has moved on */
	RESET_REASON_FLOOR,			/* before what the cache was built from */
	RESET_REASON_CURSOR,		/* other cluster, timeline, incarnation */
	RESET_REASON_AHEAD,			/* cursor from a future we don't have */
	RESET_REASON_DDL,			/* the table changed */
	RESET_REASON_WATCH,			/* watched from now on, or otherwise */
	RESET_REASON_UNWATCH,		/* no longer watched */
	RESET_REASON_LARGE,			/* a transaction larger than the ring */
	RESET_REASON_POLICY,		/* row-level security could not be told */
	RESET_REASON_DROP,			/* a watched table is gone */
	RESET_REASON_TRUNCATE,		/* part of a watched tree was truncated */
	RESET_REASON_OVERSIZE,		/* a key or topic value too large to send */
	RESET_REASON_INSTALL,		/* the extension was created */
	RESET_REASON_EMIT_OFF,		/* chatroom.emit was off */
	RESET_REASON_NO_CACHE,		/* no memory for this database's cache */
	RESET_REASON_ACCESS,		/* the caller lost its right to the topic */
	RESET_REASON_EVICTED,		/* other topics took its place in the table */
	RESET_REASONS
} ResetReason;

typedef struct ResetEvent
{
	uint8		scope;			/* ResetScope */
	Piece		base;
	uint8		reason;			/* ResetReason, for the counters */
} ResetEvent;

/* A stretch of WAL written by one primary's run of the tailer. */
typedef struct Incarnation
{
	uint32		id;				/* random, never 0 */
	XLogRecPtr	start;			/* end of its first anchor; not known there */
} Incarnation;

#define MAX_INCARNATIONS	32

typedef struct AnchorEvent
{
	XLogRecPtr	begin;			/* all descriptors logged from here on */
	XLogRecPtr	oldest_open;	/* first message of the oldest open xact */
	uint64		next_fxid;		/* read after begin */
	uint64		partial_before; /* the tailer missed beginnings of these */
	int			nincarnations;
	Incarnation incarnations[MAX_INCARNATIONS];	/* oldest first */
	bool		presence;		/* its state, as of begin, precedes it */
} AnchorEvent;

/* Reads bytes that nobody vouches for. */
typedef struct ByteReader
{
	const char *pos;
	const char *end;
	bool		failed;
} ByteReader;

/*
 * Seal a message, whose body begins after CHATROOM_SEAL_ROOM bytes.  One of a
 * transaction bears its xid, and begins after CHATROOM_POSITION_LEN bytes; any
 * other bears a position.
 */
extern void chatroom_seal(char *message, Size len, MessageKind kind,
						  const SipKey *key, uint32 xid, XLogRecPtr position);

extern void chatroom_put_vint(StringInfo buf, uint64 value);
extern uint64 chatroom_encode_descriptor(StringInfo buf,
										 const Descriptor *descriptor);
extern void chatroom_encode_row(StringInfo buf, const Descriptor *descriptor,
								const RowEvent *event);
extern void chatroom_encode_broadcast(StringInfo buf,
									  const BroadcastEvent *event);
extern void chatroom_encode_reset(StringInfo buf, const ResetEvent *event);
extern void chatroom_encode_anchor(StringInfo buf, const AnchorEvent *event);

/* In steps, so that items can be taken from memory one by one. */
extern void chatroom_encode_presence(StringInfo buf,
									 const PresenceMessage *message);
extern void chatroom_encode_presence_item(StringInfo buf,
										  const PresenceItem *item);

/* Most bytes of an item beside its texts. */
#define PRESENCE_ITEM_OVERHEAD	100

/*
 * Decoding: false for anything that is not exactly such a body.  Pieces point
 * into the message.  Arrays are palloc'd in the current memory context.
 */
typedef enum HeaderResult
{
	HEADER_OK,
	HEADER_FORGED,				/* no seal, or one of another place */
	HEADER_FUTURE				/* authentic, but of a later version */
} HeaderResult;

/* Check a seal, and read what stands in front of the body. */
extern HeaderResult chatroom_unseal(ByteReader *reader, const SipKey *key,
									bool transactional, uint32 xid,
									XLogRecPtr *position, MessageKind *kind);
extern uint64 chatroom_get_vint(ByteReader *reader);
extern bool chatroom_decode_descriptor(ByteReader *reader,
									   Descriptor *descriptor);
extern bool chatroom_peek_row(ByteReader reader, uint64 *descriptor,
							  uint32 *command);
extern bool chatroom_decode_row(ByteReader *reader,
								const Descriptor *descriptor,
								RowEvent *event);
extern bool chatroom_decode_broadcast(ByteReader *reader,
									  BroadcastEvent *event);
extern bool chatroom_decode_reset(ByteReader *reader, ResetEvent *event);
extern bool chatroom_decode_anchor(ByteReader *reader, AnchorEvent *event);
extern bool chatroom_decode_presence(ByteReader *reader,
									 PresenceMessage *message);

/* Topics: the same text at the writer, the tailer and the reader. */

/* Which image of a row is in a topic? */
#define TOPIC_OF_NEW		0x01
#define TOPIC_OF_OLD		0x02

extern void chatroom_append_identifier(StringInfo buf, const char *name,
									   int len);

/* Bytes of the identifier at a text's start; all, where it has no end. */
extern int chatroom_identifier_len(const char *text, int len);

extern void chatroom_append_topic_key(StringInfo buf, const Piece *values,
									  int nvalues);
extern int chatroom_row_topics(const Descriptor *descriptor,
							   const RowEvent *event, StringInfo buf,
							   Piece *topics, uint8 *images);

/* JSON of a value, as row_to_json writes it. */
extern void chatroom_append_json_string(StringInfo buf, const char *data,
										int len);
extern void chatroom_append_json_value(StringInfo buf, uint8 column_flags,
									   const Piece *value);

extern void chatroom_append_ref(StringInfo buf, uint64 ref);

/* A presence entry's meta as it is shown; prev_ref 0: without it. */
extern void chatroom_append_presence_meta(StringInfo buf, const Piece *meta,
										  uint64 ref, uint64 prev_ref);

#endif							/* CHATROOM_EVENT_H */
