/*-------------------------------------------------------------------------
 *
 * refs.c
 *	  References of multi's operations to earlier results.
 *
 * They stand beside the data, never in it: whatever an application's users
 * send as attributes stays what it is.  The paths where values go are made a
 * tree, by which a member is written anew in one go, however many there are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "base/jsonb_writer.h"
#include "miscadmin.h"
#include "write/refs.h"

/* Longest path, in bytes, on either side. */
#define MAX_REF_PATH	1000

/* All elements of a list. */
#define EVERY_ELEMENT	"*"

/* A place in an operation; its children are in the order of jsonb's keys. */
struct RefNode
{
	JsonbKey	key;
	Jsonb	   *value;			/* goes here; or NULL */
	int			n;
	RefNode    *children;
};

/* One reference: where its value goes, and what it is. */
typedef struct Ref
{
	char	   *path;
	Jsonb	   *value;
} Ref;


/* ---------------------------------------------------------------- reading */

/* Compare paths name by name: a dot comes before all other characters. */
static int
compare_refs(const void *a, const void *b)
{
	const char *left = ((const Ref *) a)->path;
	const char *right = ((const Ref *) b)->path;

	while (*left != '\0' && *left == *right)
	{
		left++;
		right++;
	}
	if (*left == *right)
		return 0;
	if (*left == '\0' || *right == '\0')
		return *left == '\0' ? -1 : 1;
	if (*left == '.' || *right == '.')
		return *left == '.' ? -1 : 1;
	return (unsigned char) *left < (unsigned char) *right ? -1 : 1;
}

/* Make the nodes below one of references that begin with the same names. */
static void
make_children(RefNode *node, Ref *refs, int n, int depth)
{
	int			i = 0;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (i < n && refs[i].path[depth] == '\0')
		node->value = refs[i++].value;
	if (i == n)
		return;

	/* the others go on behind a dot, but at the root */
	if (depth > 0)
		depth++;
	node->children = palloc0(sizeof(RefNode) * (n - i));
	while (i < n)
	{
		RefNode    *child = &node->children[node->n++];
		const char *name = refs[i].path + depth;
		int			len = strcspn(name, ".");
		int			end = i + 1;

		while (end < n && strncmp(refs[end].path + depth, name, len) == 0 &&
			   (refs[end].path[depth + len] == '.' ||
				refs[end].path[depth + len] == '\0'))
			end++;
		child->key.name = name;
		child->key.namelen = len;
		make_children(child, &refs[i], end - i, depth + len);
		i = end;
	}
	chatroom_sort_keys(node->children, node->n, sizeof(RefNode));
}

/* May a value go there? */
static void
check_target(const char *path, const char *operation,
			 const char *const *members)
{
	int			len = strcspn(path, ".");
	StringInfoData list;

	if (strlen(path) > MAX_REF_PATH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a path in refs of operation \"%s\" is too long",
						operation),
				 errdetail("It has %zu bytes; a path has at most %d.",
						   strlen(path), MAX_REF_PATH)));
	initStringInfo(&list);
	for (int i = 0; members[i] != NULL; i++)
	{
		if (strlen(members[i]) == len && memcmp(members[i], path, len) == 0)
			return;
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", members[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("refs of operation \"%s\" can't set \"%s\"", operation,
					path),
			 errhint("Paths begin with one of: %s.", list.data)));
}

/* Read references. */
RefNode *
chatroom_read_refs(Jsonb *json, const char *operation,
				   const char *const *members, ResolveRef resolve,
				   const void *arg)
{
	RefNode    *root = palloc0(sizeof(RefNode));
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	source;
	Ref		   *refs;
	int			n = 0;

	if (json == NULL)
		return root;
	chatroom_want_object(json, "refs");
	refs = palloc(sizeof(Ref) * Max(JB_ROOT_COUNT(json), 1));
	iterator = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		char	   *path;

		if (token != WJB_KEY)
			continue;
		CHECK_FOR_INTERRUPTS();
		(void) JsonbIteratorNext(&iterator, &source, true);
		if (source.type != jbvString || source.val.string.len > MAX_REF_PATH)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("refs of operation \"%s\" must be paths",
							operation),
					 errhint("Write them like {\"attrs.room_id\": \"room.id\"}; a path has at most %d bytes.",
							 MAX_REF_PATH)));
		refs[n].path = pnstrdup(key.val.string.val, key.val.string.len);
		check_target(refs[n].path, operation, members);
		path = pnstrdup(source.val.string.val, source.val.string.len);
		refs[n++].value = resolve(arg, path);
	}
	qsort(refs, n, sizeof(Ref), compare_refs);
	make_children(root, refs, n, 0);
	return root;
}

/* --------------------------------------------------------------- applying */

/* The child of a name; NULL: there is none. */
static const RefNode *
find_child(const RefNode *node, const char *name, int len)
{
	int			low = 0;
	int			high = node->n;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		const JsonbKey *key = &node->children[middle].key;
		int			order = chatroom_compare_keys(key->name, key->namelen,
												  name, len);

		if (order == 0)
			return &node->children[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* A member of an object that is written anew. */
typedef struct Member
{
	JsonbKey	key;
	JsonbValue	value;			/* jbvNull: it has none, or null */
	const RefNode *node;		/* or NULL */
} Member;

static void put_value(StringInfo buf, JsonbFrame *parent,
					  const RefNode *node, const JsonbValue *value);

/* Put an object with values that go into it; NULL: one of these alone. */
static void
put_object(StringInfo buf, JsonbFrame *parent, const RefNode *node,
		   JsonbContainer *object)
{
	int			room = node->n + (object ? JsonContainerSize(object) : 0);
	Member	   *members = palloc(sizeof(Member) * Max(room, 1));
	bool	   *met = palloc0(sizeof(bool) * Max(node->n, 1));
	int			n = 0;
	JsonbFrame	frame;

	if (object != NULL)
	{
		JsonbIterator *iterator = JsonbIteratorInit(object);
		JsonbIteratorToken token;
		JsonbValue	key;

		while ((token = JsonbIteratorNext(&iterator, &key,
										  true)) != WJB_DONE)
		{
			Member	   *member = &members[n];

			if (token != WJB_KEY)
				continue;
			(void) JsonbIteratorNext(&iterator, &member->value, true);
			member->key.name = key.val.string.val;
			member->key.namelen = key.val.string.len;
			member->node = find_child(node, member->key.name,
									  member->key.namelen);
			if (member->node != NULL)
				met[member->node - node->children] = true;
			n++;
		}
	}
	for (int i = 0; i < node->n; i++)
	{
		if (met[i])
			continue;
		members[n].key = node->children[i].key;
		members[n].value.type = jbvNull;
		members[n++].node = &node->children[i];
	}
	chatroom_sort_keys(members, n, sizeof(Member));
	chatroom_begin_keys(buf, &frame, members, n, sizeof(Member));
	for (int i = 0; i < n; i++)
		put_value(buf, &frame, members[i].node, &members[i].value);
	chatroom_end(buf, &frame, parent);
}

/* Refuse an index that a list doesn't have. */
static void
check_indexes(const RefNode *node, int n)
{
	for (int i = 0; i < node->n; i++)
	{
		const JsonbKey *key = &node->children[i].key;
		char	   *name = pnstrdup(key->name, key->namelen);

		if (strcmp(name, EVERY_ELEMENT) != 0 &&
			(key->namelen == 0 || key->namelen > 9 ||
			 strspn(name, "0123456789") != key->namelen ||
			 (name[0] == '0' && key->namelen > 1) ||
			 strtoul(name, NULL, 10) >= n))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("refs find no element \"%s\" of a list", name),
					 errdetail("The list has %d elements; the first one is 0.",
							   n),
					 errhint("All of them are %s.", EVERY_ELEMENT)));
	}
}

/* Put a list with values that go into its elements. */
static void
put_list(StringInfo buf, JsonbFrame *parent, const RefNode *node,
		 JsonbContainer *list)
{
	JsonbIterator *iterator = JsonbIteratorInit(list);
	JsonbIteratorToken token;
	JsonbValue	element;
	JsonbFrame	frame;
	const RefNode *every = find_child(node, EVERY_ELEMENT,
									  strlen(EVERY_ELEMENT));
	int			index = 0;

	check_indexes(node, JsonContainerSize(list));
	chatroom_begin_array(buf, &frame, JsonContainerSize(list));
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		char		name[12];
		const RefNode *child;

		if (token != WJB_ELEM)
			continue;
		CHECK_FOR_INTERRUPTS();
		snprintf(name, sizeof(name), "%d", index++);
		child = find_child(node, name, strlen(name));
		put_value(buf, &frame, child ? child : every, &element);
	}
	chatroom_end(buf, &frame, parent);
}

/* Put a value, with those that go in its place or into it. */
static void
put_value(StringInfo buf, JsonbFrame *parent, const RefNode *node,
		  const JsonbValue *value)
{
	JsonbValue	replaced;

	check_stack_depth();
	if (node != NULL && node->value != NULL)
	{
		chatroom_jsonb_value(node->value, &replaced);
		value = &replaced;
	}
	if (node == NULL || node->n == 0)
	{
		chatroom_put_value(buf, parent, value);
		return;
	}
	if (value->type == jbvNull)
		put_object(buf, parent, node, NULL);
	else if (value->type != jbvBinary)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("refs can't set \"%s\" of a scalar",
						pnstrdup(node->children[0].key.name,
								 node->children[0].key.namelen)),
				 errdetail("It is %s.", chatroom_json_kind(value))));
	else if (JsonContainerIsObject(value->val.binary.data))
		put_object(buf, parent, node, value->val.binary.data);
	else
		put_list(buf, parent, node, value->val.binary.data);
}

/* A member with the values that go there. */
Jsonb *
chatroom_apply_refs(const RefNode *refs, const char *member, Jsonb *value)
{
	const RefNode *node = find_child(refs, member, strlen(member));
	StringInfoData buf;
	JsonbValue	before;

	if (node == NULL)
		return value;
	if (node->n == 0)
		return node->value;
	before.type = jbvNull;
	if (value != NULL)
		chatroom_jsonb_value(value, &before);
	chatroom_jsonb_start(&buf);
	put_value(&buf, NULL, node, &before);
	return chatroom_jsonb_finish(&buf);
}

/* Is the member as a whole a reference's value? */
bool
chatroom_is_ref(const RefNode *refs, const char *member)
{
	const RefNode *node = find_child(refs, member, strlen(member));

	return node != NULL && node->value != NULL && node->n == 0;
}
