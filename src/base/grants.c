/*-------------------------------------------------------------------------
 *
 * grants.c
 *	  Who may use topics that are no table's.
 *
 * Grants stand in chatroom.topic_grant, a table of the extension's that dumps
 * carry.  A process reads it whole when it first needs it, without a query,
 * and sorts what concerns a role: exact topics for a binary search, patterns
 * for matching one after another.  A statement trigger on the table sends a
 * relcache invalidation of it, on which everybody, on standbys too, reads it
 * again; roles' memberships are watched as well.
 *
 * The database's owner may do everything; nobody else may do anything until
 * it is granted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "base/compat.h"
#include "base/grants.h"
#include "base/hash.h"
#include "base/invalidation.h"
#include "base/topics.h"
#include "base/watches.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define GRANTS_TABLE		"topic_grant"
#define COLUMN_PATTERN		0
#define COLUMN_ROLE			1
#define COLUMN_PRIVILEGES	2
#define GRANT_COLUMNS		3

/* Roles whose grants are kept sorted; beyond, all are forgotten. */
#define MAX_ROLES			100

typedef struct Grant
{
	const char *pattern;
	int			len;
	Oid			role;			/* InvalidOid: everybody */
	int			privileges;		/* TOPIC_* */
} Grant;

/* What a role was granted, itself or by its memberships. */
typedef struct RoleGrants
{
	Oid			userid;			/* of the hash table */
	int			nexact;
	Grant	   *exact;			/* by pattern, each once */
	int			nwild;
	Grant	   *wild;
} RoleGrants;

/* All grants of this database, as read from the table. */
typedef struct AllGrants
{
	MemoryContext context;		/* of all below; NULL: none was read */
	Oid			relid;			/* of the table */
	int			n;
	Grant	   *grants;
	HTAB	   *roles;			/* RoleGrants */
} AllGrants;

static AllGrants all = {0};

/* Is all that as the table and the roles are?  Cleared by invalidations. */
static bool all_valid = false;
static uint64 invalidations = 0;

static const char *const privilege_names[] = {"sync", "track", "broadcast"};
static const int privilege_bits[] = {TOPIC_SYNC, TOPIC_TRACK, TOPIC_BROADCAST};

/* ----------------------------------------------------- topics and patterns */

/* Does a topic match a pattern, in which "*" stands for any text? */
static bool
matches(const char *topic, int len, const char *pattern, int pattern_len)
{
	int			t = 0;
	int			p = 0;
	int			star = -1;		/* the last one met ... */
	int			mark = 0;		/* ... and where what it took ends */

	while (t < len)
	{
		if (p < pattern_len && pattern[p] == '*')
		{
			star = p++;
			mark = t;
		}
		else if (p < pattern_len && pattern[p] == topic[t])
		{
			p++;
			t++;
		}
		else if (star >= 0)
		{
			p = star + 1;
			t = ++mark;
		}
		else
			return false;
	}
	while (p < pattern_len && pattern[p] == '*')
		p++;
	return p == pattern_len;
}

/* qsort and bsearch comparator of grants, by pattern. */
static int
compare_grants(const void *a, const void *b)
{
	const Grant *left = a;
	const Grant *right = b;
	int			result = memcmp(left->pattern, right->pattern,
								Min(left->len, right->len));

	return result != 0 ? result : left->len - right->len;
}

/* Where the part of a pattern ends that stands for itself. */
static int
literal_len(const char *pattern, int len)
{
	static const char user[] = "{user}";
	const int	user_len = sizeof(user) - 1;
	int			i = 0;

	while (i < len && pattern[i] != '*' &&
		   (len - i < user_len || memcmp(pattern + i, user, user_len) != 0))
		i++;
	return i;
}

/* Does a pattern name no topic?  See grants.h. */
bool
chatroom_pattern_open(const char *pattern, int len)
{
	return literal_len(pattern, len) == 0;
}

/* Has a pattern a topic that a label would take? */
bool
chatroom_pattern_meets(const char *pattern, int len, const char *label)
{
	int			literal = literal_len(pattern, len);
	int			label_len = strlen(label);

	if (literal == len)
		return chatroom_label_takes(label, pattern, len);

	/* what follows may be any text: LABEL:KEY, for one */
	return memcmp(pattern, label, Min(literal, label_len)) == 0 &&
		(literal <= label_len || pattern[label_len] == ':' ||
		 pattern[label_len] == '.');
}

/* ----------------------------------------------------- reading the grants */

/* The table of grants. */
Oid
chatroom_grants_table(void)
{
	Oid			schema = get_namespace_oid(CHATROOM_SCHEMA, true);
	Oid			relid = InvalidOid;

	if (OidIsValid(schema))
		relid = get_relname_relid(GRANTS_TABLE, schema);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s.%s\" does not exist", CHATROOM_SCHEMA,
						GRANTS_TABLE),
				 errhint("Create the extension chatroom anew.")));
	return relid;
}

/* The bit of a privilege's name; 0: there is none of that name. */
int
chatroom_privilege_bit(const char *name, int len)
{
	for (int i = 0; i < lengthof(privilege_names); i++)
		if (strlen(privilege_names[i]) == len &&
			memcmp(privilege_names[i], name, len) == 0)
			return privilege_bits[i];
	return 0;
}

/* Privileges as the table has them. */
static int
read_privileges(Datum array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	int			privileges = 0;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false,
					  TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		text	   *name;

		if (nulls[i])
			continue;
		name = DatumGetTextPP(elements[i]);
		privileges |= chatroom_privilege_bit(VARDATA_ANY(name),
											 VARSIZE_ANY_EXHDR(name));
	}
	return privileges;
}

/* Take one row of the table over. */
static void
read_grant(TupleTableSlot *slot, Grant *grant, MemoryContext context)
{
	text	   *pattern;
	char	   *copy;

	slot_getallattrs(slot);
	pattern = DatumGetTextPP(slot->tts_values[COLUMN_PATTERN]);
	grant->len = VARSIZE_ANY_EXHDR(pattern);
	copy = MemoryContextAlloc(context, Max(grant->len, 1));
	memcpy(copy, VARDATA_ANY(pattern), grant->len);
	grant->pattern = copy;
	grant->role = DatumGetObjectId(slot->tts_values[COLUMN_ROLE]);
	grant->privileges = read_privileges(slot->tts_values[COLUMN_PRIVILEGES]);
}

/* Read the table, without a look at anybody's privileges on it. */
static void
read_all_grants(AllGrants *grants)
{
	Relation	relation = table_open(grants->relid, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(grants->relid));
	TableScanDesc scan = ChatroomBeginScan(relation, snapshot);
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	int			room = 64;

	grants->grants = MemoryContextAlloc(grants->context,
										sizeof(Grant) * room);
	while (RelationGetNumberOfAttributes(relation) >= GRANT_COLUMNS &&
		   table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		if (grants->n == room)
		{
			room *= 2;
			grants->grants = repalloc_huge(grants->grants,
										   sizeof(Grant) * room);
		}
		read_grant(slot, &grants->grants[grants->n++], grants->context);
		CHECK_FOR_INTERRUPTS();
	}
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(relation, AccessShareLock);
}

/*
 * The table of grants has changed; or anything may have: roles, memberships,
 * the database's owner.
 */
static void
grants_changed(Oid relid)
{
	if (OidIsValid(relid) && relid != all.relid)
		return;
	all_valid = false;
	invalidations++;
}

/* Make all grants known, as they are now. */
static void
load_grants(void)
{
	AllGrants	grants = {0};
	uint64		before;

	chatroom_on_relation_change(grants_changed);
	chatroom_on_catalog_change(AUTHMEMROLEMEM, grants_changed);
	chatroom_on_catalog_change(AUTHOID, grants_changed);
	chatroom_on_catalog_change(DATABASEOID, grants_changed);
	grants.relid = chatroom_grants_table();
	all.relid = grants.relid;

	/* an invalidation that comes while reading must not get lost */
	all_valid = false;
	before = invalidations;
	grants.context = AllocSetContextCreate(CurrentMemoryContext,
										   "chatroom grants",
										   ALLOCSET_DEFAULT_SIZES);
	read_all_grants(&grants);
	grants.roles = chatroom_make_hash("chatroom roles", grants.context, 16,
									  sizeof(Oid), sizeof(RoleGrants));
	MemoryContextSetParent(grants.context, TopMemoryContext);
	if (all.context != NULL)
		MemoryContextDelete(all.context);
	all = grants;
	all_valid = before == invalidations;
}

/* Sort out what concerns a role. */
static RoleGrants *
compile_role(Oid userid)
{
	RoleGrants	compiled = {userid};
	RoleGrants *entry;
	int			n = 0;

	compiled.exact = MemoryContextAllocHuge(all.context,
											sizeof(Grant) * Max(all.n, 1));
	compiled.wild = MemoryContextAllocHuge(all.context,
										   sizeof(Grant) * Max(all.n, 1));
	for (int i = 0; i < all.n; i++)
	{
		const Grant *grant = &all.grants[i];

		if (OidIsValid(grant->role) &&
			!has_privs_of_role(userid, grant->role))
			continue;
		if (memchr(grant->pattern, '*', grant->len) != NULL)
			compiled.wild[compiled.nwild++] = *grant;
		else
			compiled.exact[n++] = *grant;
	}
	qsort(compiled.exact, n, sizeof(Grant), compare_grants);
	for (int i = 0; i < n; i++)
	{
		Grant	   *last = &compiled.exact[compiled.nexact - 1];

		if (compiled.nexact > 0 &&
			compare_grants(last, &compiled.exact[i]) == 0)
			last->privileges |= compiled.exact[i].privileges;
		else
			compiled.exact[compiled.nexact++] = compiled.exact[i];
	}
	compiled.exact = repalloc_huge(compiled.exact,
								   sizeof(Grant) * Max(compiled.nexact, 1));
	compiled.wild = repalloc_huge(compiled.wild,
								  sizeof(Grant) * Max(compiled.nwild, 1));
	entry = hash_search(all.roles, &userid, HASH_ENTER, NULL);
	*entry = compiled;
	return entry;
}

/* What a role was granted, from memory or the table. */
static RoleGrants *
role_grants(Oid userid)
{
	for (int tries = 1;; tries++)
	{
		RoleGrants *found;

		if (!all_valid || hash_get_num_entries(all.roles) > MAX_ROLES)
			load_grants();
		found = hash_search(all.roles, &userid, HASH_FIND, NULL);
		if (found == NULL)
			found = compile_role(userid);

		/*
		 * Looking at roles may have brought an invalidation; with
		 * debug_discard_caches there is no end of them.
		 */
		if (all_valid || tries >= 3)
			return found;
	}
}

/* Is a grant in the way of a label?  See grants.h. */
bool
chatroom_label_granted(const char *label)
{
	bool		owner = has_privs_of_role(GetUserId(),
										  ROLE_PG_DATABASE_OWNER);

	if (!all_valid)
		load_grants();
	for (int i = 0; i < all.n; i++)
	{
		const Grant *grant = &all.grants[i];

		if (chatroom_pattern_open(grant->pattern, grant->len) ? !owner :
			chatroom_pattern_meets(grant->pattern, grant->len, label))
			return true;
	}
	return false;
}

/* May the current user do this on a topic?  See grants.h. */
bool
chatroom_topic_granted(const char *topic, int len, TopicPrivilege privilege)
{
	Oid			userid = GetUserId();
	RoleGrants *grants;
	Grant		wanted = {topic, len};
	Grant	   *exact;

	if (has_privs_of_role(userid, ROLE_PG_DATABASE_OWNER))
		return true;
	if (chatroom_topic_reserved(topic, len))
		return false;
	grants = role_grants(userid);
	exact = bsearch(&wanted, grants->exact, grants->nexact, sizeof(Grant),
					compare_grants);
	if (exact != NULL && (exact->privileges & privilege))
		return true;
	for (int i = 0; i < grants->nwild; i++)
		if ((grants->wild[i].privileges & privilege) &&
			matches(topic, len, grants->wild[i].pattern,
					grants->wild[i].len))
			return true;
	return false;
}
