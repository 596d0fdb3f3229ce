/*-------------------------------------------------------------------------
 *
 * build.c
 *	  Putting events together as they stand in the ring.
 *
 * The tailer does it for what it publishes, pending() for the caller's own
 * transaction.  Events are appended to a buffer, one after another; offsets
 * are used throughout, for the buffer moves when it grows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/build.h"
#include "catalog/pg_type.h"
#include "utils/datetime.h"
#include "utils/json.h"

/* The event being put together; moves when the batch grows. */
#define EVENT(start)	((RingEvent *) (batch->data + (start)))

/* Pad the batch for an array of structs to follow. */
static void
align_batch(StringInfo batch)
{
	static const char zeros[MAXIMUM_ALIGNOF] = {0};

	appendBinaryStringInfo(batch, zeros, MAXALIGN(batch->len) - batch->len);
}

/* Start an event: its header and links, and the topics' texts. */
static int
start_event(StringInfo batch, const EventFrame *frame, uint8 type, int ntopics,
			const Piece *topics, const uint8 *images)
{
	int			start;
	Size		header = offsetof(RingEvent, links) +
		sizeof(RingLink) * ntopics;

	align_batch(batch);
	start = batch->len;
	enlargeStringInfo(batch, header);
	memset(batch->data + start, 0, header);
	batch->len += header;
	EVENT(start)->type = type;
	EVENT(start)->nlinks = ntopics;
	EVENT(start)->lsn = frame->lsn;
	EVENT(start)->fxid = frame->fxid;
	EVENT(start)->next_fxid = frame->next_fxid;
	EVENT(start)->at = frame->at;
	for (int i = 0; i < ntopics; i++)
	{
		RingLink   *link = &EVENT(start)->links[i];

		link->hash = chatroom_hash_topic(frame->seed, topics[i].data,
										 topics[i].len);
		link->name = batch->len - start;
		link->name_len = topics[i].len;
		link->images = images[i];
		appendBinaryStringInfo(batch, topics[i].data, topics[i].len);
	}
	return start;
}

/* End it: pad, and set its length. */
static void
end_event(StringInfo batch, int start)
{
	align_batch(batch);
	EVENT(start)->len = batch->len - start;
}

#define append_literal(text) \
	appendBinaryStringInfo(batch, text, sizeof(text) - 1)

/* Note where the part begins; its length is set by end_part. */
#define begin_part(start, part) \
	(EVENT(start)->part = batch->len - (start))
#define end_part(start, part, len_field) \
	(EVENT(start)->len_field = batch->len - (start) - EVENT(start)->part)

/* Should the row's JSON show this column of an image? */
static bool
column_shown(const DescriptorColumn *column, const Piece *value)
{
	return (column->flags & COLUMN_SHOWN) && value->len != PIECE_ABSENT;
}

/* Append an image as JSON object, noting where each column stands. */
static int
append_image(StringInfo batch, int start, const Descriptor *descriptor,
			 const Piece *values, const bool *changed, uint32 columns_offset)
{
	int			n = 0;

	appendStringInfoCharMacro(batch, '{');
	for (int i = 0; i < descriptor->ncolumns; i++)
	{
		const DescriptorColumn *column = &descriptor->columns[i];
		RingColumn	place = {0};

		if (!column_shown(column, &values[i]))
			continue;
		if (n > 0)
			appendStringInfoCharMacro(batch, ',');
		place.attnum = column->attnum;
		place.flags = column->flags &
			(COLUMN_KEY | COLUMN_TOPIC | COLUMN_SHOWN);
		if (changed != NULL && changed[i])
			place.flags |= RING_COLUMN_CHANGED;
		place.start = batch->len - start;
		chatroom_append_json_string(batch, column->name.data,
									column->name.len);
		place.name_len = batch->len - start - place.start;
		appendStringInfoCharMacro(batch, ':');
		chatroom_append_json_value(batch, column->flags, &values[i]);
		place.len = batch->len - start - place.start;
		memcpy(batch->data + start + columns_offset + sizeof(RingColumn) * n,
			   &place, sizeof(place));
		n++;
	}
	appendStringInfoCharMacro(batch, '}');
	return n;
}

/* Make room for an array of columns; returns its offset. */
static uint32
reserve_columns(StringInfo batch, int start, int n)
{
	uint32		offset;

	align_batch(batch);
	offset = batch->len - start;
	enlargeStringInfo(batch, sizeof(RingColumn) * n);
	memset(batch->data + batch->len, 0, sizeof(RingColumn) * n);
	batch->len += sizeof(RingColumn) * n;
	return offset;
}

/*
 * The same, noting the offset in a field of the event.  The event may move
 * meanwhile, so its address must not be taken before the call.
 */
#define reserve_part(start, field, n) \
	do \
	{ \
		uint32		offset_ = reserve_columns(batch, start, n); \
		EVENT(start)->field = offset_; \
	} while (0)

/* Is a column of the key in the row's JSON, too? */
static bool
row_has_key(const Descriptor *descriptor, const Piece *row)
{
	for (int i = 0; i < descriptor->ncolumns; i++)
		if ((descriptor->columns[i].flags & COLUMN_KEY) &&
			(row == NULL || !column_shown(&descriptor->columns[i], &row[i])))
			return false;
	return true;
}

/* How many columns have a flag? */
static int
count_columns(const Descriptor *descriptor, uint8 flag)
{
	int			n = 0;

	for (int i = 0; i < descriptor->ncolumns; i++)
		if (descriptor->columns[i].flags & flag)
			n++;
	return n;
}

/*
 * Append the key's JSON object, or null where there is none.  With an offset
 * of columns it is noted where each stands.  Of values, those that the first
 * image lacks are in the second one.  Returns the number of columns.
 */
static int
append_key(StringInfo batch, int start, const Descriptor *descriptor,
		   const Piece *values, const Piece *others, uint32 columns_offset)
{
	int			n = 0;

	for (int i = 0; i < descriptor->ncolumns; i++)
	{
		const DescriptorColumn *column = &descriptor->columns[i];
		const Piece *value = &values[i];
		RingColumn	place = {0};

		if ((column->flags & COLUMN_KEY) == 0)
			continue;
		if (value->len == PIECE_ABSENT && others != NULL)
			value = &others[i];
		if (value->len == PIECE_ABSENT)
			continue;
		appendStringInfoCharMacro(batch, n == 0 ? '{' : ',');
		place.attnum = column->attnum;
		place.flags = COLUMN_KEY;
		place.start = batch->len - start;
		chatroom_append_json_string(batch, column->name.data,
									column->name.len);
		place.name_len = batch->len - start - place.start;
		appendStringInfoCharMacro(batch, ':');
		chatroom_append_json_value(batch, column->flags, value);
		place.len = batch->len - start - place.start;
		if (columns_offset != 0)
			memcpy(batch->data + start + columns_offset +
				   sizeof(RingColumn) * n, &place, sizeof(place));
		n++;
	}
	if (n == 0)
		append_literal("null");
	else
		appendStringInfoCharMacro(batch, '}');
	return n;
}

/* The key that the row had, where an update changed it. */
static void
append_old_key(StringInfo batch, int start, const Descriptor *descriptor,
			   const RowEvent *event)
{
	bool		changed = false;
	int			n;

	if (event->values == NULL || event->old == NULL)
		return;
	for (int i = 0; i < descriptor->ncolumns && !changed; i++)
		changed = (descriptor->columns[i].flags & COLUMN_KEY) &&
			event->old[i].len != PIECE_ABSENT;
	if (!changed)
		return;
	reserve_part(start, old_key_columns,
				 count_columns(descriptor, COLUMN_KEY));
	begin_part(start, old_key);
	n = append_key(batch, start, descriptor, event->old, event->values,
				   EVENT(start)->old_key_columns);
	end_part(start, old_key, old_key_len);
	EVENT(start)->nold_key = n;
}

/* Append the names of the changed columns that the row shows. */
static void
append_changed(StringInfo batch, const Descriptor *descriptor,
			   const bool *changed)
{
	int			n = 0;

	appendStringInfoCharMacro(batch, '[');
	for (int i = 0; i < descriptor->ncolumns; i++)
	{
		const DescriptorColumn *column = &descriptor->columns[i];

		if ((column->flags & COLUMN_SHOWN) == 0 || !changed[i])
			continue;
		if (n++ > 0)
			appendStringInfoCharMacro(batch, ',');
		chatroom_append_json_string(batch, column->name.data,
									column->name.len);
	}
	appendStringInfoCharMacro(batch, ']');
}

/* Append what all events end with: at, origin. */
static void
append_end(StringInfo batch, int start, const EventFrame *frame,
		   const Piece *origin)
{
	char		buffer[MAXDATELEN + 1];
	int			utc = 0;

	append_literal(",\"at\":");
	begin_part(start, at_json);
	JsonEncodeDateTime(buffer, TimestampTzGetDatum(frame->at),
					   TIMESTAMPTZOID, &utc);
	chatroom_append_json_string(batch, buffer, strlen(buffer));
	end_part(start, at_json, at_len);
	append_literal(",\"origin\":");
	begin_part(start, origin);
	if (origin->len < 0)
		append_literal("null");
	else
		chatroom_append_json_string(batch, origin->data, origin->len);
	end_part(start, origin, origin_len);
}

/*
 * Append the raw values that row-level security policies refer to; returns
 * their number.
 */
static int
append_policy_image(StringInfo batch, int start, const Descriptor *descriptor,
					const RowEvent *event, bool old, uint32 columns_offset)
{
	int			n = 0;

	for (int i = 0; i < descriptor->ncolumns; i++)
	{
		const DescriptorColumn *column = &descriptor->columns[i];
		Piece		value = {NULL, PIECE_ABSENT};
		RingColumn	place = {0};

		if ((column->flags & COLUMN_POLICY) == 0)
			continue;
		if (old && event->old != NULL)
			value = event->old[i];
		if (value.len == PIECE_ABSENT && event->values != NULL)
			value = event->values[i];
		if (value.len == PIECE_ABSENT)
			continue;
		place.attnum = column->attnum;
		place.start = batch->len - start;
		place.len = value.len;
		if (value.len > 0)
			appendBinaryStringInfo(batch, value.data, value.len);
		memcpy(batch->data + start + columns_offset + sizeof(RingColumn) * n,
			   &place, sizeof(place));
		n++;
	}
	return n;
}

/* Does an update leave all columns as they were that policies refer to? */
static bool
policies_unaffected(const Descriptor *descriptor, const RowEvent *event)
{
	if (event->values == NULL)
		return false;
	for (int i = 0; i < descriptor->ncolumns; i++)
		if ((descriptor->columns[i].flags & COLUMN_POLICY) &&
			event->old != NULL && event->old[i].len != PIECE_ABSENT)
			return false;
	return true;
}

/* Append both images for the policies, as far as the event has them. */
static void
append_policy_images(StringInfo batch, int start,
					 const Descriptor *descriptor, const RowEvent *event)
{
	int			room = count_columns(descriptor, COLUMN_POLICY);
	int			n;

	EVENT(start)->flags |= RING_POLICIES;
	if (event->values != NULL)
	{
		reserve_part(start, new_policy_columns, room);
		n = append_policy_image(batch, start, descriptor, event, false,
								EVENT(start)->new_policy_columns);
		EVENT(start)->nnew_policy = n;
	}
	if (event->type == EVENT_INSERT || event->type == EVENT_ENTER)
		return;
	if (policies_unaffected(descriptor, event))
	{
		EVENT(start)->old_policy_columns = EVENT(start)->new_policy_columns;
		EVENT(start)->nold_policy = EVENT(start)->nnew_policy;
		return;
	}
	reserve_part(start, old_policy_columns, room);
	n = append_policy_image(batch, start, descriptor, event, true,
							EVENT(start)->old_policy_columns);
	EVENT(start)->nold_policy = n;
}

/* Put a row event together at the batch's end. */
void
chatroom_build_row(StringInfo batch, const EventFrame *frame,
				   const Descriptor *descriptor, const RowEvent *event,
				   bool strip)
{
	StringInfoData topics_text;
	Piece		topics[CHATROOM_MAX_TOPICS];
	uint8		images[CHATROOM_MAX_TOPICS];
	int			ntopics;
	int			start;
	bool		oversize = strip || (event->flags & EVENT_OVERSIZE) != 0;
	bool		partial = strip || (event->flags & EVENT_PARTIAL) != 0;
	const Piece *row = partial ? NULL : event->values;
	const Piece *old = strip ? NULL : event->old;
	const Piece *key = event->values != NULL ? event->values : event->old;
	uint32		key_columns = 0;

	initStringInfo(&topics_text);
	ntopics = chatroom_row_topics(descriptor, event, &topics_text, topics,
								  images);
	start = start_event(batch, frame, event->type, ntopics, topics, images);
	EVENT(start)->relid = descriptor->relid;
	if (oversize)
		EVENT(start)->flags |= RING_OVERSIZE;

	if (row != NULL)
		reserve_part(start, row_columns, descriptor->ncolumns);
	if (old != NULL)
		reserve_part(start, old_columns, descriptor->ncolumns);
	if (descriptor->flags & DESCRIPTOR_POLICIES)
		append_policy_images(batch, start, descriptor, event);
	append_old_key(batch, start, descriptor, event);
	if (event->audience.data != NULL)
	{
		EVENT(start)->flags |= RING_AUDIENCE;
		begin_part(start, audience);
		appendBinaryStringInfo(batch, event->audience.data,
							   event->audience.len);
		end_part(start, audience, audience_len);
	}
	if (key != NULL && !row_has_key(descriptor, row))
		key_columns = reserve_columns(batch, start,
									  count_columns(descriptor, COLUMN_KEY));

	begin_part(start, tail);
	append_literal("\"table\":");
	begin_part(start, table);
	chatroom_append_json_string(batch, descriptor->table.data,
								descriptor->table.len);
	end_part(start, table, table_len);
	append_literal(",\"key\":");
	begin_part(start, key);
	if (key != NULL)
	{
		int			n = append_key(batch, start, descriptor, key, NULL,
								   key_columns);

		EVENT(start)->key_columns = key_columns;
		EVENT(start)->nkey = key_columns != 0 ? n : 0;
	}
	else
		append_literal("null");
	end_part(start, key, key_len);
	append_literal(",\"row\":");
	begin_part(start, row);
	if (row != NULL)
	{
		int			n = append_image(batch, start, descriptor, row,
									 event->changed,
									 EVENT(start)->row_columns);

		EVENT(start)->nrow = n;
	}
	else
		append_literal("null");
	end_part(start, row, row_len);
	append_literal(",\"old\":");
	begin_part(start, old);
	if (old != NULL)
	{
		int			before = batch->len;
		int			n = append_image(batch, start, descriptor, old, NULL,
									 EVENT(start)->old_columns);

		EVENT(start)->nold = n;
		if (n == 0)
		{
			batch->len = before;
			append_literal("null");
		}
	}
	else
		append_literal("null");
	end_part(start, old, old_len);
	append_literal(",\"changed\":");
	begin_part(start, changed);
	if (event->changed != NULL)
		append_changed(batch, descriptor, event->changed);
	else
		append_literal("null");
	end_part(start, changed, changed_len);
	if (oversize)
		append_literal(",\"oversize\":true");
	append_end(batch, start, frame, &event->origin);
	appendStringInfoCharMacro(batch, '}');
	end_part(start, tail, tail_len);
	end_event(batch, start);
}

/* Put a broadcast together at the batch's end. */
void
chatroom_build_broadcast(StringInfo batch, const EventFrame *frame,
						 const BroadcastEvent *event)
{
	const uint8 images = TOPIC_OF_NEW | TOPIC_OF_OLD;
	int			start = start_event(batch, frame, EVENT_BROADCAST, 1,
									&event->topic, &images);

	begin_part(start, tail);
	append_literal("\"event\":");
	begin_part(start, event);
	chatroom_append_json_string(batch, event->event.data, event->event.len);
	end_part(start, event, event_len);
	append_literal(",\"payload\":");
	begin_part(start, payload);
	appendBinaryStringInfo(batch, event->payload.data, event->payload.len);
	end_part(start, payload, payload_len);
	append_end(batch, start, frame, &event->origin);
	appendStringInfoCharMacro(batch, '}');
	end_part(start, tail, tail_len);
	end_event(batch, start);
}

/* Put an event of presence together at the batch's end. */
void
chatroom_build_presence(StringInfo batch, const EventFrame *frame,
						uint8 action, const PresenceItem *item,
						const Piece *origin)
{
	const uint8 images = TOPIC_OF_NEW | TOPIC_OF_OLD;
	uint8		type = action == PRESENCE_JOIN ? EVENT_PRESENCE_JOIN :
		action == PRESENCE_UPDATE ? EVENT_PRESENCE_UPDATE :
		EVENT_PRESENCE_LEAVE;
	int			start = start_event(batch, frame, type, 1, &item->topic,
									&images);

	begin_part(start, tail);
	append_literal("\"key\":");
	begin_part(start, key);
	chatroom_append_json_string(batch, item->key.data, item->key.len);
	end_part(start, key, key_len);
	append_literal(",\"meta\":");
	begin_part(start, payload);
	chatroom_append_presence_meta(batch, &item->meta, item->ref,
								  action == PRESENCE_UPDATE ?
								  item->prev_ref : 0);
	end_part(start, payload, payload_len);
	append_end(batch, start, frame, origin);
	appendStringInfoCharMacro(batch, '}');
	end_part(start, tail, tail_len);
	end_event(batch, start);
}

/* Append a RingEvent without topics; see build.h. */
void
chatroom_build_marker(StringInfo batch, const EventFrame *frame)
{
	end_event(batch, start_event(batch, frame, 0, 0, NULL, NULL));
}
