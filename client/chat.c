/*-------------------------------------------------------------------------
 *
 * chat.c
 *	  What was shown of a room.
 *
 * The newest messages are kept in the order of (inserted_at, id), so that what
 * comes again, with the page after a reset or behind the back of a cursor, is
 * not shown again, and so that what was edited or deleted meanwhile is found.
 * Deleted ones stay among them, marked.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_MESSAGES	5000
#define MAX_DELETED		10		/* deletions that are shown one by one */
#define MAX_NAMES		200		/* messages whose authors are completed */

typedef struct Message
{
	int64_t		id;
	int64_t		at;				/* inserted_at, us since 1970 */
	char	   *name;
	char	   *text;
	bool		gone;			/* deleted */
	bool		listed;			/* is in the pages of a reload */
} Message;

static Message *messages;
static int	nmessages;

static char *room_id;
static char *room_name;
static char *topic;
static char *older;				/* token of the page before the oldest */
static bool older_end;			/* there is none before */
static int	last_day = -1;		/* that was printed */

bool
chat_begun(void)
{
	return room_id != NULL;
}

const char *
chat_room_id(void)
{
	return room_id;
}

const char *
chat_topic(void)
{
	return topic;
}

/* The token of the page that ends before what was shown; NULL: none is. */
const char *
chat_older(void)
{
	return older_end ? NULL : older;
}

static void
set_text(char **to, char *text)
{
	free(*to);
	*to = text;
}

/* A timestamp in a row, in microseconds since 1970; 0 for none. */
static int64_t
read_time(Json value)
{
	char	   *text = json_text(value);
	struct tm	tm = {0};
	char		digits[7] = "000000";
	const char *fraction;
	int64_t		at = 0;

	if (text && sscanf(text, "%d-%d-%dT%d:%d:%d", &tm.tm_year, &tm.tm_mon,
					   &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
					   &tm.tm_sec) == 6)
	{
		tm.tm_year -= 1900;
		tm.tm_mon -= 1;
		fraction = strchr(text, '.');
		for (int i = 0; fraction && i < 6; i++)
		{
			if (fraction[i + 1] < '0' || fraction[i + 1] > '9')
				break;
			digits[i] = fraction[i + 1];
		}
		at = (int64_t) timegm(&tm) * 1000000 + atoi(digits);
	}
	free(text);
	return at;
}

/* A time of day; for pipes, which get no lines for days, with the date. */
static void
write_time(int64_t at, char *text, size_t size)
{
	time_t		seconds = at / 1000000;
	struct tm	tm;
	char		day[100];

	localtime_r(&seconds, &tm);
	if (!screen_interactive())
	{
		strftime(text, size, "%Y-%m-%d %H:%M:%S", &tm);
		return;
	}
	if (last_day != tm.tm_yday + 366 * tm.tm_year)
	{
		last_day = tm.tm_yday + 366 * tm.tm_year;
		strftime(day, sizeof(day), "%A, %x", &tm);
		screen_note("%s", day);
	}
	strftime(text, size, "%H:%M", &tm);
}

/* Show a message, or what becomes of it. */
static void
show(int64_t at, int64_t id, const char *name, const char *verb,
	 const char *text)
{
	char		time_text[30];
	char		id_text[30];

	write_time(at, time_text, sizeof(time_text));
	snprintf(id_text, sizeof(id_text), "%lld", (long long) id);
	screen_message(time_text, id_text, name ? name : "?", verb,
				   text ? text : "(not to be shown)");
}

static void
free_message(Message *message)
{
	free(message->name);
	free(message->text);
}

/* Is a message before a place? */
static bool
is_before(const Message *message, int64_t at, int64_t id)
{
	return message->at < at || (message->at == at && message->id < id);
}

static Message *
find(int64_t id)
{
	for (int i = nmessages - 1; i >= 0; i--)
	{
		if (messages[i].id == id)
			return &messages[i];
	}
	return NULL;
}

/* Keep a message; takes name and text. */
static Message *
keep(int64_t at, int64_t id, char *name, char *text)
{
	int			i = nmessages;

	if (nmessages == MAX_MESSAGES)
	{
		/* forget a fifth at once: moving them costs */
		int			forget = MAX_MESSAGES / 5;

		for (int j = 0; j < forget; j++)
			free_message(&messages[j]);
		nmessages -= forget;
		memmove(messages, messages + forget, nmessages * sizeof(Message));
		i = nmessages;
	}
	if (messages == NULL)
		messages = need(malloc(MAX_MESSAGES * sizeof(Message)));
	while (i > 0 && !is_before(&messages[i - 1], at, id))
		i--;
	memmove(&messages[i + 1], &messages[i],
			(nmessages++ - i) * sizeof(Message));
	messages[i] = (Message){id, at, name, text, false, true};
	return &messages[i];
}

/* The id in a row or key; 0: none. */
static int64_t
read_id(Json row, const char *column)
{
	char	   *text = json_text(json_get(row, column));
	int64_t		id = text ? strtoll(text, NULL, 10) : 0;

	free(text);
	return id;
}

/* Is the row one of this room's? */
static bool
is_ours(Json row)
{
	int64_t		room = read_id(row, "room_id");

	return room == 0 || room == strtoll(room_id, NULL, 10);
}

/*
 * Show a row, unless that was done: a message, or its new text.  at is when
 * that was written, 0: unknown.
 */
static void
take_row(Json row, int64_t at)
{
	int64_t		id = read_id(row, "id");
	int64_t		inserted = read_time(json_get(row, "inserted_at"));
	char	   *text = json_text(json_get(row, "text"));
	char	   *name = json_text(json_get(row, "username"));
	Message    *message = find(id);
	bool		edited = !json_null(json_get(row, "updated_at")) &&
		!json_same(json_get(row, "updated_at"),
				   json_get(row, "inserted_at"));

	if (message == NULL)
	{
		show(inserted, id, name, edited ? " (edited)" : "", text);
		keep(inserted, id, name, text);
		return;
	}
	message->listed = true;
	message->gone = false;
	if (text && (message->text == NULL || strcmp(message->text, text) != 0))
	{
		if (at == 0)
			at = read_time(json_get(row, "updated_at"));
		show(at, id, name, " edits", text);
		set_text(&message->text, text);
		text = NULL;
	}
	free(text);
	free(name);
}

/* A message is no more. */
static void
take_away(int64_t id, Json old)
{
	Message    *message = find(id);
	char	   *name;

	if (message && message->gone)
		return;
	name = message ? copy_text(message->name) :
		json_text(json_get(old, "username"));
	if (name)
		screen_note("message #%lld of %s was deleted", (long long) id, name);
	else
		screen_note("message #%lld was deleted", (long long) id);
	if (message)
		message->gone = true;
	free(name);
}

/* Was this message shown? */
bool
chat_seen(const char *id)
{
	return find(strtoll(id, NULL, 10)) != NULL;
}

/* The id of somebody's newest message; NULL: none.  Good until the next. */
const char *
chat_own(const char *name)
{
	static char text[30];

	for (int i = nmessages - 1; i >= 0; i--)
	{
		if (!messages[i].gone && messages[i].name &&
			strcmp(messages[i].name, name) == 0)
		{
			snprintf(text, sizeof(text), "%lld", (long long) messages[i].id);
			return text;
		}
	}
	return NULL;
}

/* The author of the nth newest message, for completion; NULL: no more. */
const char *
chat_name(int n)
{
	if (n >= nmessages || n >= MAX_NAMES)
		return NULL;
	return messages[nmessages - 1 - n].name ?
		messages[nmessages - 1 - n].name : "";
}

/* Take what an answer says of the room itself. */
void
chat_room(Json answer)
{
	Json		room = json_get(answer, "room");
	char	   *name = json_text(json_get(room, "name"));

	if (room_name && name && strcmp(room_name, name) != 0)
		screen_note("the room is called %s now", name);
	set_text(&room_name, name);
	set_text(&room_id, json_text(json_get(room, "id")));
	set_text(&topic, json_text(json_get(answer, "topic")));
}

/* Where a list of messages begins; false: it is empty. */
static bool
list_begin(Json list, int64_t *at, int64_t *id)
{
	Json		row = {NULL, 0};

	if (!json_next(list, &row))
		return false;
	*at = read_time(json_get(row, "inserted_at"));
	*id = read_id(row, "id");
	return true;
}

/* Does this list begin margin (us) before the end of what was shown? */
bool
chat_joins(Json list, int64_t margin)
{
	int64_t		at;
	int64_t		id;

	if (nmessages == 0 || !list_begin(list, &at, &id))
		return true;
	return !is_before(&messages[nmessages - 1], at + margin, id);
}

/*
 * What should be in the pages of a reload, which begin at a place, or have all
 * there is, and isn't, was deleted.
 */
static void
take_unlisted(bool all, int64_t at, int64_t id)
{
	int			n = 0;

	for (int i = 0; i < nmessages; i++)
	{
		Message    *message = &messages[i];

		if (message->listed || message->gone ||
			(!all && is_before(message, at, id)))
			continue;
		if (n++ < MAX_DELETED)
			take_away(message->id, (Json){NULL, 0});
		message->gone = true;
	}
	if (n > MAX_DELETED)
		screen_note("and %d more were deleted", n - MAX_DELETED);
}

/*
 * Show answers with pages of messages, the newest first, as far as they were
 * not shown.  complete: nothing is missing between them and what was shown.
 */
void
chat_reload(Json *pages, int npages, bool complete)
{
	Json		oldest = pages[npages - 1];
	bool		begins = json_true(json_get(oldest, "end_reached"));
	bool		first = nmessages == 0;
	int64_t		at = 0;
	int64_t		id = 0;

	list_begin(json_get(oldest, "messages"), &at, &id);
	for (int i = 0; i < nmessages; i++)
		messages[i].listed = false;
	if (!complete)
		screen_note("more than can be shown was written meanwhile; /history "
					"shows what is missing here");
	for (int i = npages - 1; i >= 0; i--)
	{
		Json		list = json_get(pages[i], "messages");
		Json		row = {NULL, 0};

		while (json_next(list, &row))
			take_row(row, 0);
	}
	take_unlisted(begins, at, id);
	if (first || !complete)
	{
		set_text(&older, json_text(json_get(oldest, "next")));
		older_end = begins;
	}
}

/* Show the page before what was shown. */
void
chat_older_page(Json answer)
{
	Json		list = json_get(answer, "messages");
	Json		row = {NULL, 0};

	screen_note("older messages:");
	while (json_next(list, &row))
	{
		Message    *message = find(read_id(row, "id"));
		char	   *name = json_text(json_get(row, "username"));
		char	   *text = json_text(json_get(row, "text"));
		int64_t		at = read_time(json_get(row, "inserted_at"));

		show(at, read_id(row, "id"), name, "", text);
		if (message || nmessages == MAX_MESSAGES)
		{
			free(name);
			free(text);
		}
		else
			keep(at, read_id(row, "id"), name, text);
	}
	set_text(&older, json_text(json_get(answer, "next")));
	older_end = json_true(json_get(answer, "end_reached"));
	screen_note(older_end ? "that is how it began" : "end of older messages");
	last_day = -1;
}

/* A message comes, changes, goes. */
static void
message_event(Json event, const char *type)
{
	Json		row = json_get(event, "row");
	Json		old = json_get(event, "old");
	int64_t		id = read_id(json_get(event, "key"), "id");
	int64_t		at = read_time(json_get(event, "at"));

	if (strcmp(type, "delete") == 0 || strcmp(type, "leave") == 0)
		take_away(id, old);
	else if (json_true(json_get(event, "oversize")))
		screen_note("message #%lld is too large to be shown here",
					(long long) id);
	else if (json_null(row))
		return;
	else if (is_ours(row))
		take_row(row, at);
	else
		take_away(id, old);
}

/* The room changes; false: it is gone. */
static bool
room_event(Json event, const char *type)
{
	char	   *name;

	if (strcmp(type, "delete") == 0 || strcmp(type, "leave") == 0)
	{
		screen_note("the room was deleted");
		return false;
	}
	name = json_text(json_get(json_get(event, "row"), "name"));
	if (name && (room_name == NULL || strcmp(name, room_name) != 0))
	{
		screen_note("the room is called %s now", name);
		set_text(&room_name, name);
	}
	else
		free(name);
	return true;
}

/* Somebody's membership begins, changes, ends. */
static void
member_event(Json event, const char *type)
{
	char	   *name = json_text(json_get(json_get(event, "key"), "username"));
	char	   *role = json_text(json_get(json_get(event, "row"), "role"));

	if (name && (strcmp(type, "delete") == 0 || strcmp(type, "leave") == 0))
		screen_note("%s is no member any more", name);
	else if (name && role)
		screen_note("%s is %s now", name, role);
	free(name);
	free(role);
}

/* Show what happened to the room; false: it is gone. */
bool
chat_event(Json event)
{
	char	   *type = json_text(json_get(event, "type"));
	char	   *table = json_text(json_get(event, "table"));
	const char *name = table ? strrchr(table, '.') : NULL;
	bool		there = true;

	if (type && name)
	{
		if (strcmp(name, ".messages") == 0)
			message_event(event, type);
		else if (strcmp(name, ".rooms") == 0)
			there = room_event(event, type);
		else if (strcmp(name, ".members") == 0)
			member_event(event, type);
	}
	free(type);
	free(table);
	return there;
}
