/*-------------------------------------------------------------------------
 *
 * permitted.c
 *	  What of attributes is taken.
 *
 * As the list of cast/3: what an application passes on from its users is cut
 * down to what they may say.  Paths like "books.title" reach into associations
 * and objects of jsonb columns: what is permitted of a row says nothing of the
 * rows given with it.  They are kept as they are, in order, so that each
 * look-up is a binary search, however many there are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/jsonb_writer.h"
#include "miscadmin.h"
#include "write/permitted.h"


/* qsort comparator of strings. */
static int
compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* A sorted set of paths. */
static void
make_set(PathSet *set, List *paths)
{
	ListCell   *lc;

	set->paths = palloc(sizeof(char *) * Max(list_length(paths), 1));
	foreach(lc, paths)
		set->paths[set->n++] = lfirst(lc);
	qsort(set->paths, set->n, sizeof(char *), compare_paths);
}

/* Put together what is permitted. */
Permitted *
chatroom_make_permitted(bool all, List *paths, List *put)
{
	Permitted  *permitted = palloc0(sizeof(Permitted));

	permitted->all = all;
	make_set(&permitted->paths, paths);
	make_set(&permitted->put, put);
	return permitted;
}

/* The arguments of a function. */
Permitted *
chatroom_permitted_args(FunctionCallInfo fcinfo, int permitted, int put)
{
	bool		all = PG_ARGISNULL(permitted);
	List	   *paths = all ? NIL :
		chatroom_array_texts(PG_GETARG_ARRAYTYPE_P(permitted), "permitted");
	List	   *puts = PG_ARGISNULL(put) ? NIL :
		chatroom_array_texts(PG_GETARG_ARRAYTYPE_P(put), "put");

	return chatroom_make_permitted(all, paths, puts);
}

/* All there is. */
Permitted *
chatroom_all_permitted(void)
{
	return chatroom_make_permitted(true, NIL, NIL);
}

/*
 * Is the path of a name on a level in a set, followed by some text, or with
 * more behind it?
 */
static bool
has_path(const PathSet *set, const PermittedLevel *level, const char *name,
		 int len, const char *end, bool more)
{
	int			prefix_len = strlen(level->prefix);
	int			end_len = strlen(end);
	int			wanted_len = prefix_len + len + end_len;
	char	   *wanted;
	int			low = 0;
	int			high = set->n;
	bool		found;

	if (set->n == 0)
		return false;
	wanted = palloc(wanted_len + 1);
	memcpy(wanted, level->prefix, prefix_len);
	memcpy(wanted + prefix_len, name, len);
	memcpy(wanted + prefix_len + len, end, end_len + 1);
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (strcmp(set->paths[middle], wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	found = low < set->n &&
		(more ? strncmp(set->paths[low], wanted, wanted_len) == 0 :
		 strcmp(set->paths[low], wanted) == 0);
	pfree(wanted);
	return found;
}

/* Is an attribute itself permitted? */
bool
chatroom_permits(const PermittedLevel *level, const char *name, int len)
{
	return level->permitted->all ||
		has_path(&level->permitted->paths, level, name, len, "", false);
}

/* Is something within it permitted? */
bool
chatroom_permits_within(const PermittedLevel *level, const char *name,
						int len)
{
	return level->permitted->all ||
		has_path(&level->permitted->paths, level, name, len, ".", true);
}

/* May an association take rows by their keys? */
bool
chatroom_permits_put(const PermittedLevel *level, const char *name, int len)
{
	return has_path(&level->permitted->put, level, name, len, "", false);
}

/* Is an association to be looked at? */
bool
chatroom_permits_assoc(const PermittedLevel *level, const char *name, int len)
{
	return chatroom_permits(level, name, len) ||
		chatroom_permits_within(level, name, len) ||
		chatroom_permits_put(level, name, len) ||
		has_path(&level->permitted->put, level, name, len, ".", true);
}

/* The level of what is within an attribute. */
PermittedLevel
chatroom_permitted_below(const PermittedLevel *level, const char *name,
						 int len)
{
	return (PermittedLevel)
	{
		level->permitted, psprintf("%s%.*s.", level->prefix, len, name)
	};
}

static void put_part(StringInfo buf, JsonbFrame *parent,
					 const PermittedLevel *level, JsonbContainer *container);

/* One member of an object that is taken. */
typedef struct Member
{
	JsonbKey	key;
	JsonbValue	value;
	bool		whole;
} Member;

/* Put what is permitted of an object. */
static void
put_object(StringInfo buf, JsonbFrame *parent, const PermittedLevel *level,
		   JsonbContainer *object)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	Member	   *members = palloc(sizeof(Member) *
								 Max(JsonContainerSize(object), 1));
	JsonbValue	key;
	JsonbFrame	frame;
	int			n = 0;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		const char *name = key.val.string.val;
		int			len = key.val.string.len;
		Member	   *member = &members[n];

		if (token != WJB_KEY)
			continue;
		CHECK_FOR_INTERRUPTS();
		(void) JsonbIteratorNext(&iterator, &member->value, true);
		member->key.name = name;
		member->key.namelen = len;
		member->whole = chatroom_permits(level, name, len);
		if (member->whole ||
			(member->value.type == jbvBinary &&
			 chatroom_permits_within(level, name, len)))
			n++;
	}
	chatroom_begin_keys(buf, &frame, members, n, sizeof(Member));
	for (int i = 0; i < n; i++)
	{
		if (members[i].whole)
			chatroom_put_value(buf, &frame, &members[i].value);
		else
		{
			PermittedLevel below =
				chatroom_permitted_below(level, members[i].key.name,
										 members[i].key.namelen);

			put_part(buf, &frame, &below, members[i].value.val.binary.data);
		}
	}
	chatroom_end(buf, &frame, parent);
	pfree(members);
}

/* Is the value one that can have members? */
static bool
is_container(JsonbIteratorToken token, const JsonbValue *value)
{
	return token == WJB_ELEM && value->type == jbvBinary;
}

/* Put what is permitted of an object, or of those in a list. */
static void
put_part(StringInfo buf, JsonbFrame *parent, const PermittedLevel *level,
		 JsonbContainer *container)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;
	JsonbFrame	frame;
	int			n = 0;

	check_stack_depth();
	if (JsonContainerIsObject(container))
	{
		put_object(buf, parent, level, container);
		return;
	}
	iterator = JsonbIteratorInit(container);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
		if (is_container(token, &element))
			n++;
	chatroom_begin_array(buf, &frame, n);
	iterator = JsonbIteratorInit(container);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
		if (is_container(token, &element))
			put_part(buf, &frame, level, element.val.binary.data);
	chatroom_end(buf, &frame, parent);
}

/* An object or list with only those members that are permitted. */
Jsonb *
chatroom_permitted_part(const PermittedLevel *level, const JsonbValue *value)
{
	StringInfoData buf;

	Assert(value->type == jbvBinary);
	chatroom_jsonb_start(&buf);
	put_part(&buf, NULL, level, value->val.binary.data);
	return chatroom_jsonb_finish(&buf);
}
