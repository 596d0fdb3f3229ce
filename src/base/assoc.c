/*-------------------------------------------------------------------------
 *
 * assoc.c
 *	  Associations between tables, as foreign keys tell them.
 *
 * There is no schema of associations to be kept up to date: a foreign key says
 * that rows of one table belong to a row of another, and so that this has one
 * (if the key's columns are unique) or many of them; a table with two of them
 * joins the tables that they refer to.
 *
 * An association goes by several names, of falling precedence:
 *
 * 1. belongs to: the foreign key's column, with or without a trailing _id;
 *	  has: TABLE:COLUMN of the foreign key; many to many: JOIN_TABLE/COLUMN of
 *	  the join table that refers to the other side.  These are unambiguous.
 * 2. has: the other table's name.
 * 3. belongs to: the other table's name.
 * 4. many to many: the other table's name, where the join table has nothing
 *	  but its two foreign keys for a key.
 * 5. many to many: the same, with any other join table.
 *
 * chatroom.add_assoc gives an association another name, which goes before all
 * of these, and tells what foreign keys can't.  It keeps that in a trigger of
 * the function chatroom.assoc_option, which does nothing and is disabled, on
 * the table that has the foreign key.  The foreign key's columns are the
 * trigger's UPDATE OF: so a rename is followed, and every dump has it.  The
 * arguments are
 *
 * - the kind: belongs_to, has_one, has_many, many_to_many or through;
 * - the name;
 * - JSON of "where", "order", "on_replace", "through";
 * - many_to_many: which of the columns are of the key that refers to us and
 *	 which of the other, as in 1,2/1,3.
 *
 * Whose table isn't the associated table's owner's has no say there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/assoc.h"
#include "base/compat.h"
#include "base/dependents.h"
#include "base/watches.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_trigger.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

/* Bytes of a path of associations: some hundred levels. */
#define MAX_PATH		1000

/* A name that an association goes by; lower rank wins. */
typedef struct AssocName
{
	char	   *name;
	int			rank;
} AssocName;

/* A foreign key. */
typedef struct ForeignKey
{
	Oid			oid;
	Oid			referencing;
	Oid			referenced;
	AssocKey	key;
} ForeignKey;


/* Read a foreign key of pg_constraint; NULL for what is none. */
static ForeignKey *
read_foreign_key(Oid constraintid)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	ForeignKey *result = NULL;

	ScanKeyInit(&key, Anum_pg_constraint_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(constraintid));
	scan = systable_beginscan(catalog, ConstraintOidIndexId, true, NULL,
							  1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

		/* partitions have copies of the partitioned table's keys */
		if (form->contype == CONSTRAINT_FOREIGN &&
			!OidIsValid(form->conparentid))
		{
			result = palloc0(sizeof(ForeignKey));
			result->oid = constraintid;
			result->referencing = form->conrelid;
			result->referenced = form->confrelid;
			DeconstructFkConstraintRow(tuple, &result->key.n,
									   result->key.referencing,
									   result->key.referenced,
									   NULL, NULL, NULL, NULL, NULL);
		}
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/* The foreign keys that a table has, or that refer to it. */
static List *
foreign_keys(Oid relid)
{
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, chatroom_dependents(RelationRelationId, relid,
									ConstraintRelationId, NULL))
	{
		ForeignKey *key = read_foreign_key(lfirst_oid(lc));

		if (key != NULL)
			keys = lappend(keys, key);
	}
	return keys;
}

/* Is an index' key made of no other columns than these? */
static bool
index_within(Form_pg_index index, const AttrNumber *columns, int n)
{
	for (int i = 0; i < index->indnkeyatts; i++)
	{
		bool		found = false;

		for (int j = 0; j < n; j++)
			if (index->indkey.values[i] == columns[j])
				found = true;
		if (!found)
			return false;
	}
	return true;
}

/* Are these columns unique in a table, partial indexes aside? */
static bool
are_unique(Oid relid, const AttrNumber *columns, int n)
{
	bool		found = false;
	Relation	catalog = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, NULL,
							  1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);

		found = form->indisunique && form->indisvalid &&
			heap_attisnull(tuple, Anum_pg_index_indpred, NULL) &&
			index_within(form, columns, n);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/* Give an association a name. */
static void
add_name(Assoc *assoc, char *name, int rank)
{
	AssocName  *entry = palloc(sizeof(AssocName));

	entry->name = name;
	entry->rank = rank;
	assoc->names = lappend(assoc->names, entry);
}

/* Give a belongs-to association its names. */
static void
name_belongs_to(Assoc *assoc)
{
	if (assoc->key.n == 1)
	{
		char	   *column = get_attname(assoc->from,
										 assoc->key.referencing[0], false);
		int			len = strlen(column);

		if (len > 3 && strcmp(column + len - 3, "_id") == 0)
			add_name(assoc, pnstrdup(column, len - 3), 1);
		add_name(assoc, column, 1);
	}
	add_name(assoc, get_rel_name(assoc->to), 3);
}

/* Our foreign key: we belong to what it refers to. */
static Assoc *
belongs_to(const ForeignKey *key)
{
	Assoc	   *assoc = palloc0(sizeof(Assoc));

	assoc->kind = ASSOC_BELONGS_TO;
	assoc->from = key->referencing;
	assoc->to = key->referenced;
	assoc->key = key->key;
	name_belongs_to(assoc);
	return assoc;
}

/* Somebody's foreign key refers to us: we have one or many of them. */
static Assoc *
has(const ForeignKey *key)
{
	Assoc	   *assoc = palloc0(sizeof(Assoc));
	char	   *table = get_rel_name(key->referencing);

	assoc->unique = are_unique(key->referencing, key->key.referencing,
							   key->key.n);
	assoc->kind = assoc->unique ? ASSOC_HAS_ONE : ASSOC_HAS_MANY;
	assoc->from = key->referenced;
	assoc->to = key->referencing;
	assoc->key = key->key;
	add_name(assoc, table, 2);
	for (int i = 0; i < key->key.n; i++)
		add_name(assoc, psprintf("%s:%s", table,
								 get_attname(key->referencing,
											 key->key.referencing[i],
											 false)), 1);
	return assoc;
}

/* A table has a foreign key to us and one to another table. */
static Assoc *
many_to_many(const ForeignKey *ours, const ForeignKey *theirs)
{
	Assoc	   *assoc = palloc0(sizeof(Assoc));
	AttrNumber	columns[INDEX_MAX_KEYS * 2];
	int			n = 0;

	for (int i = 0; i < ours->key.n; i++)
		columns[n++] = ours->key.referencing[i];
	for (int i = 0; i < theirs->key.n; i++)
		columns[n++] = theirs->key.referencing[i];

	assoc->kind = ASSOC_MANY_TO_MANY;
	assoc->from = ours->referenced;
	assoc->to = theirs->referenced;
	assoc->key = ours->key;
	assoc->join = ours->referencing;
	assoc->join_key = theirs->key;
	assoc->pure_join = are_unique(ours->referencing, columns, n);
	add_name(assoc, get_rel_name(assoc->to), assoc->pure_join ? 4 : 5);
	for (int i = 0; i < theirs->key.n; i++)
		add_name(assoc, psprintf("%s/%s", get_rel_name(assoc->join),
								 get_attname(assoc->join,
											 theirs->key.referencing[i],
											 false)), 1);
	return assoc;
}

/* As foreign keys tell them. */
List *
chatroom_derived_associations(Oid relid)
{
	List	   *assocs = NIL;
	List	   *keys = foreign_keys(relid);
	ListCell   *lc;
	ListCell   *lj;

	foreach(lc, keys)
		if (((ForeignKey *) lfirst(lc))->referencing == relid)
			assocs = lappend(assocs, belongs_to(lfirst(lc)));
	foreach(lc, keys)
		if (((ForeignKey *) lfirst(lc))->referenced == relid)
			assocs = lappend(assocs, has(lfirst(lc)));
	foreach(lc, keys)
	{
		ForeignKey *ours = lfirst(lc);

		if (ours->referenced != relid)
			continue;
		foreach(lj, foreign_keys(ours->referencing))
		{
			ForeignKey *theirs = lfirst(lj);

			if (theirs->referencing == ours->referencing &&
				theirs->oid != ours->oid)
				assocs = lappend(assocs, many_to_many(ours, theirs));
		}
	}
	return assocs;
}

/* ----------------------------------------------------- told by add_assoc */

static const char *const kind_names[] = {
	"belongs_to", "has_one", "has_many", "many_to_many", "through"
};

static const char *const replace_names[] = {
	"raise", "mark_as_invalid", "nilify", "update", "delete",
	"delete_if_exists"
};

/* Where a word stands in a list; -1: nowhere. */
static int
find_word(const char *const *words, int n, const char *text)
{
	for (int i = 0; i < n; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	return -1;
}

/* The word for a kind of association. */
const char *
chatroom_assoc_kind_name(AssocKind kind)
{
	return kind_names[kind];
}

/* The kind that a word is for; false: none. */
bool
chatroom_parse_assoc_kind(const char *text, AssocKind *kind)
{
	int			i = find_word(kind_names, lengthof(kind_names), text);

	if (i >= 0)
		*kind = i;
	return i >= 0;
}

/* The word for what on_replace does. */
const char *
chatroom_replace_name(ReplaceAction action)
{
	return replace_names[action];
}

/* What on_replace does, of a word; false: there is no such thing. */
bool
chatroom_parse_replace(const char *text, ReplaceAction *action)
{
	int			i = find_word(replace_names, lengthof(replace_names), text);

	if (i >= 0)
		*action = i;
	return i >= 0;
}

/* The owner of a relation. */
static Oid
relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Are the columns of a list (1,2 of a trigger's) those of a key? */
static bool
key_has_columns(const AssocKey *key, const TriggerRow *trigger,
				const char *list)
{
	for (int i = 0; i < key->n; i++)
	{
		char	   *end;
		long		index = list ? strtol(list, &end, 10) : i + 1;

		if (index < 1 || index > trigger->ncolumns ||
			key->referencing[i] != trigger->columns[index - 1])
			return false;
		if (list != NULL)
			list = *end == ',' ? end + 1 : end;
	}
	return list != NULL ? *list == '\0' || *list == '/' :
		key->n == trigger->ncolumns;
}

/* Is it this association that a trigger is about? */
static bool
is_meant(const Assoc *assoc, AssocKind kind, const TriggerRow *trigger)
{
	const char *theirs;

	switch (assoc->kind)
	{
		case ASSOC_BELONGS_TO:
			return kind == ASSOC_BELONGS_TO &&
				trigger->relid == assoc->from &&
				key_has_columns(&assoc->key, trigger, NULL);
		case ASSOC_HAS_ONE:
		case ASSOC_HAS_MANY:
			return (kind == ASSOC_HAS_ONE || kind == ASSOC_HAS_MANY) &&
				trigger->relid == assoc->to &&
				key_has_columns(&assoc->key, trigger, NULL);
		case ASSOC_MANY_TO_MANY:
			if (kind != ASSOC_MANY_TO_MANY ||
				trigger->relid != assoc->join || trigger->nargs != 4)
				return false;
			theirs = strchr(trigger->args[3], '/');
			return theirs != NULL &&
				key_has_columns(&assoc->key, trigger, trigger->args[3]) &&
				key_has_columns(&assoc->join_key, trigger, theirs + 1);
		case ASSOC_THROUGH:
			break;
	}
	return false;
}

/* A member of a JSON object, as jsonb; or NULL. */
static Jsonb *
json_member(Jsonb *object, const char *name)
{
	JsonbValue	key;
	JsonbValue *value;

	key.type = jbvString;
	key.val.string.val = (char *) name;
	key.val.string.len = strlen(name);
	value = findJsonbValueFromContainer(&object->root, JB_FOBJECT, &key);
	return value == NULL || value->type == jbvNull ? NULL :
		JsonbValueToJsonb(value);
}

/* Take over what the JSON of a trigger's arguments says; false: nonsense. */
static bool
apply_params(Assoc *assoc, const char *text)
{
	Jsonb	   *params;
	Jsonb	   *member;
	JsonbValue	value;

	params = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
												CStringGetDatum(text)));
	if (!JB_ROOT_IS_OBJECT(params))
		return false;
	assoc->where = json_member(params, "where");
	assoc->order = json_member(params, "order");
	member = json_member(params, "on_replace");
	if (member != NULL)
	{
		if (!JsonbExtractScalar(&member->root, &value) ||
			value.type != jbvString ||
			!chatroom_parse_replace(pnstrdup(value.val.string.val,
											 value.val.string.len),
									&assoc->on_replace))
			return false;
	}
	member = json_member(params, "through");
	if (member != NULL)
	{
		JsonbIterator *iterator = JsonbIteratorInit(&member->root);
		JsonbIteratorToken token;

		while ((token = JsonbIteratorNext(&iterator, &value,
										  true)) != WJB_DONE)
			if (token == WJB_ELEM && value.type == jbvString)
				assoc->through =
					lappend(assoc->through,
							pnstrdup(value.val.string.val,
									 value.val.string.len));
	}
	return true;
}

/* The association that a trigger tells of, given those of foreign keys. */
static Assoc *
read_holder(Oid relid, List *derived, const TriggerRow *trigger)
{
	Assoc	   *assoc = NULL;
	AssocKind	kind;
	ListCell   *lc;

	if (trigger->nargs < 3 ||
		!chatroom_parse_assoc_kind(trigger->args[0], &kind))
		return NULL;
	if (kind == ASSOC_THROUGH)
	{
		if (trigger->relid != relid)
			return NULL;
		assoc = palloc0(sizeof(Assoc));
		assoc->kind = kind;
		assoc->from = relid;
	}
	else
	{
		foreach(lc, derived)
		{
			if (!is_meant(lfirst(lc), kind, trigger))
				continue;
			assoc = palloc(sizeof(Assoc));
			*assoc = *(Assoc *) lfirst(lc);
			assoc->kind = kind;
			break;
		}
		if (assoc == NULL)
			return NULL;
	}
	assoc->added = trigger->args[1];
	assoc->trigger = trigger->name;
	assoc->holder = trigger->relid;
	assoc->names = NIL;
	add_name(assoc, assoc->added, 0);
	if (!apply_params(assoc, trigger->args[2]) ||
		(kind == ASSOC_THROUGH && assoc->through == NIL))
		return NULL;
	return assoc;
}

/* All associations of a table. */
List *
chatroom_associations(Oid relid)
{
	List	   *derived = chatroom_derived_associations(relid);
	List	   *added = NIL;
	List	   *holders = list_make1_oid(relid);
	Oid			function = chatroom_trigger_function("assoc_option");
	Oid			owner = relation_owner(relid);
	ListCell   *lc;
	ListCell   *lt;

	foreach(lc, derived)
	{
		Assoc	   *assoc = lfirst(lc);

		holders = list_append_unique_oid(holders,
										 assoc->kind == ASSOC_MANY_TO_MANY ?
										 assoc->join : assoc->to);
	}
	foreach(lc, holders)
	{
		Oid			holder = relation_owner(lfirst_oid(lc));

		if (!OidIsValid(function) || !OidIsValid(holder) ||
			!has_privs_of_role(holder, owner))
			continue;
		foreach(lt, chatroom_relation_triggers(lfirst_oid(lc)))
		{
			TriggerRow *trigger = lfirst(lt);
			Assoc	   *assoc = trigger->function == function ?
				read_holder(relid, derived, trigger) : NULL;

			if (assoc != NULL)
				added = lappend(added, assoc);
		}
	}
	return list_concat(added, derived);
}

/* ---------------------------------------------------------------- finding */

/* Order strings. */
static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* The names that associations go by, of a rank, or the best ones. */
static char *
list_names(List *assocs, const char *wanted, int rank)
{
	List	   *names = NIL;
	StringInfoData buf;
	ListCell   *lc;
	ListCell   *ln;
	const char *last = NULL;

	foreach(lc, assocs)
	{
		Assoc	   *assoc = lfirst(lc);
		bool		meant = wanted == NULL;

		foreach(ln, assoc->names)
		{
			AssocName  *name = lfirst(ln);

			if (wanted != NULL && strcmp(name->name, wanted) == 0 &&
				name->rank == rank)
				meant = true;
		}
		if (!meant)
			continue;
		foreach(ln, assoc->names)
		{
			AssocName  *name = lfirst(ln);

			if (wanted == NULL ? ln == list_head(assoc->names) :
				name->rank == 1)
			{
				names = lappend(names, name->name);
				break;
			}
		}
	}
	list_sort(names, compare_names);
	initStringInfo(&buf);
	foreach(lc, names)
	{
		if (last != NULL && strcmp(last, lfirst(lc)) == 0)
			continue;
		appendStringInfo(&buf, "%s%s", last ? ", " : "",
						 (char *) lfirst(lc));
		last = lfirst(lc);
	}
	return buf.data;
}

/* The association that a name is best for, and if it's the only one. */
static Assoc *
best_match(List *assocs, const char *name, int *rank, bool *ambiguous)
{
	Assoc	   *best = NULL;
	ListCell   *lc;
	ListCell   *ln;

	*rank = INT_MAX;
	*ambiguous = false;
	foreach(lc, assocs)
	{
		Assoc	   *assoc = lfirst(lc);

		foreach(ln, assoc->names)
		{
			AssocName  *candidate = lfirst(ln);

			if (strcmp(candidate->name, name) != 0 ||
				candidate->rank > *rank)
				continue;
			*ambiguous = candidate->rank == *rank && best != assoc;
			best = assoc;
			*rank = candidate->rank;
		}
	}
	return best;
}

/* The name to call an association by: the plainest that is its own. */
const char *
chatroom_association_name(const Assoc *assoc, List *assocs)
{
	ListCell   *lc;

	foreach(lc, assoc->names)
	{
		AssocName  *name = lfirst(lc);
		int			rank;
		bool		ambiguous;

		if (best_match(assocs, name->name, &rank, &ambiguous) == assoc &&
			!ambiguous)
			return name->name;
	}
	return NULL;
}

/* One association by its name among those of a table. */
Assoc *
chatroom_choose_association(Oid relid, List *assocs, const char *name,
							bool missing_ok)
{
	int			rank;
	bool		ambiguous;
	Assoc	   *best = best_match(assocs, name, &rank, &ambiguous);

	if (best == NULL)
	{
		char	   *names;

		if (missing_ok)
			return NULL;
		names = list_names(assocs, NULL, 0);
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table \"%s\" has no association \"%s\"",
						get_rel_name(relid), name),
				 names[0] == '\0' ?
				 errdetail("It has no foreign keys, and none refer to it.") :
				 errdetail("Its associations are: %s.", names),
				 errhint("Associations are told by foreign keys.")));
	}
	if (ambiguous)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_COLUMN),
				 errmsg("association \"%s\" of table \"%s\" is ambiguous",
						name, get_rel_name(relid)),
				 errhint("Use one of: %s.",
						 list_names(assocs, name, rank))));
	return best;
}

/* One association by its name; NULL: none, or several. */
Assoc *
chatroom_lookup_association(Oid relid, const char *name)
{
	int			rank;
	bool		ambiguous;
	Assoc	   *assoc = best_match(chatroom_associations(relid), name, &rank,
								   &ambiguous);

	return ambiguous ? NULL : assoc;
}

/* One association by its name. */
Assoc *
chatroom_find_association(Oid relid, const char *name)
{
	return chatroom_choose_association(relid, chatroom_associations(relid),
									   name, false);
}

/* The same, on the way from other associations THROUGH. */
static List *
expand_association(Assoc *assoc, List *passed)
{
	List	   *result = NIL;
	Oid			relid = assoc->from;
	ListCell   *lc;

	if (assoc->kind != ASSOC_THROUGH)
		return list_make1(assoc);
	foreach(lc, passed)
	{
		const Assoc *other = lfirst(lc);

		if (other->from == assoc->from &&
			strcmp(other->added, assoc->added) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("association \"%s\" of table \"%s\" goes through itself",
							assoc->added, get_rel_name(assoc->from)),
					 errhint("Tell chatroom.add_assoc() other associations for \"through\".")));
	}
	passed = lappend(list_copy(passed), assoc);
	foreach(lc, assoc->through)
	{
		List	   *steps =
			expand_association(chatroom_find_association(relid, lfirst(lc)),
							   passed);

		result = list_concat(result, steps);
		relid = ((Assoc *) llast(result))->to;
	}
	return result;
}

/* The associations that a name stands for: more than one of a THROUGH. */
List *
chatroom_expand_association(Assoc *assoc)
{
	return expand_association(assoc, NIL);
}

/* Has it one row on the other side, or many? */
bool
chatroom_is_to_one(const Assoc *assoc)
{
	return assoc->kind == ASSOC_BELONGS_TO || assoc->kind == ASSOC_HAS_ONE;
}

/* The end of a name as a path has it: a dot, blanks or its end. */
static const char *
name_end(const char *pos)
{
	if (*pos != '"')
		return pos + strcspn(pos, ". \t\n\r\f\v");
	for (pos++; *pos != '\0'; pos++)
		if (*pos == '"' && *++pos != '"')
			break;
	return pos;
}

/* The names of a path like posts.comments.author. */
List *
chatroom_split_path(const char *path)
{
	const char *pos = path;
	List	   *names;
	List	   *result = NIL;
	ListCell   *lc;

	if (strlen(path) > MAX_PATH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("path of associations is too long"),
				 errdetail("It has %zu bytes; a path has at most %d.",
						   strlen(path), MAX_PATH),
				 errhint("A path is like posts.comments.author.")));
	if (!SplitIdentifierString(pstrdup(path), '.', &names) || names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid path of associations: \"%s\"", path),
				 errhint("A path is like posts.comments.author.")));
	foreach(lc, names)
	{
		PathName   *name = palloc(sizeof(PathName));
		const char *end;

		/* it is a valid path: what isn't the name is blank, or the dot */
		pos += strspn(pos, ". \t\n\r\f\v");
		end = name_end(pos);
		name->folded = lfirst(lc);
		name->exact = *pos == '"' ? name->folded : pnstrdup(pos, end - pos);
		pos = end;
		result = lappend(result, name);
	}
	return result;
}
