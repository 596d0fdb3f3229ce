/*-------------------------------------------------------------------------
 *
 * rooms.c
 *	  The tables of a prefix, and who may see a room.
 *
 * That a schema is a prefix, the comment on its table "rooms" tells, with the
 * version of the tables and their access mode: so it is in every dump, and
 * stays where the extension goes.  What the catalog says of a prefix is kept
 * in this process until an invalidation of one of its relations; that a schema
 * is none, until one of any relation.
 *
 * Rooms and members are looked up by index scans, without a query: policies
 * call this for each row, and row-level security does not apply to it.
 * Nothing of that outlives a snapshot.  Invalidations may come whenever a
 * table is opened: indexes are only taken from what is known after that, under
 * the table's lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/compat.h"
#include "base/distributed.h"
#include "base/event.h"
#include "base/hash.h"
#include "base/identity.h"
#include "base/invalidation.h"
#include "base/rooms.h"
#include "base/settings.h"
#include "base/watches.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "rewrite/rowsecurity.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define COMMENT_VERSION		"chatroom: rooms, version "
#define COMMENT_MEMBERS		", access members"

/* What is kept of a schema. */
typedef struct KeptSchema
{
	Oid			schema;			/* key */
	bool		valid;
	bool		is_prefix;
	const char *problem;		/* why it is none although it says so ... */
	Oid			distributed;	/* ... or: this table is */
	NameData	name;
	ChatTables	tables;
	AttrNumber	rooms_id;
	AttrNumber	rooms_name;
	AttrNumber	rooms_private;
	AttrNumber	members_room;
	AttrNumber	members_username;
	AttrNumber	members_role;
} KeptSchema;

static HTAB *kept_schemas = NULL;

/*
 * The room that was asked about last.  A message is held against the policies
 * for writing and for reading it, and a scan of messages asks about the same
 * room again and again.  That nothing changed since, the snapshot tells: of
 * two of one transaction that agree in these numbers, neither sees what the
 * other doesn't.  But for what a subtransaction did that was rolled back
 * between them: that makes it forgotten.
 */
typedef struct LastRoom
{
	LocalTransactionId transaction; /* Invalid: there is none */
	TransactionId xmin;
	TransactionId xmax;
	uint32		xcnt;
	int32		subxcnt;
	CommandId	curcid;
	Oid			user;
	uint64		changes;		/* of identity, but for the claims */
	char	   *identity;		/* NULL: none; in TopMemoryContext */
	bool		acting;			/* for somebody */
	Oid			rooms;
	int64		room_id;
	RoomAccess	access;
} LastRoom;

static LastRoom last_room;

/* Of relations and schemas. */
static uint64 invalidations = 0;

/* -------------------------------------------------------- invalidations */

/* Does an invalidation of a relation concern a prefix? */
static bool
is_of_prefix(const ChatTables *tables, Oid relid)
{
	return relid == tables->rooms || relid == tables->messages ||
		relid == tables->users || relid == tables->members ||
		relid == tables->invites || relid == tables->rooms_pkey ||
		relid == tables->rooms_name_index || relid == tables->members_pkey ||
		relid == tables->users_username_index ||
		relid == tables->messages_room_index;
}

/* A relation changed, or a schema. */
static void
relation_changed(Oid relid)
{
	HASH_SEQ_STATUS status;
	KeptSchema *kept;

	invalidations++;
	hash_seq_init(&status, kept_schemas);
	while ((kept = hash_seq_search(&status)) != NULL)
		if (!OidIsValid(relid) || !kept->is_prefix ||
			is_of_prefix(&kept->tables, relid))
			kept->valid = false;
}

/* A subtransaction was rolled back: what was found since may be void. */
static void
subtransaction_ended(SubXactEvent event, SubTransactionId id,
					 SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		last_room.transaction = InvalidLocalTransactionId;
}

/* Make the table of schemas. */
static void
make_kept_schemas(void)
{
	kept_schemas = chatroom_make_hash("chatroom prefixes", TopMemoryContext,
									  16, sizeof(Oid), sizeof(KeptSchema));
	chatroom_on_relation_change(relation_changed);
	chatroom_on_catalog_change(NAMESPACEOID, relation_changed);
	RegisterSubXactCallback(subtransaction_ended, NULL);
}

/* --------------------------------------------------- what the catalog says */

/* Read the comment on rooms; false: it is none of ours. */
static bool
read_comment(Oid rooms, int *version, bool *members_mode)
{
	char	   *comment = GetComment(rooms, RelationRelationId, 0);
	const char *rest;
	char	   *end;

	if (comment == NULL ||
		strncmp(comment, COMMENT_VERSION, strlen(COMMENT_VERSION)) != 0)
		return false;
	rest = comment + strlen(COMMENT_VERSION);
	*version = strtol(rest, &end, 10);
	*members_mode = strcmp(end, COMMENT_MEMBERS) == 0;
	return end > rest && *version > 0;
}

/* The column of a name, if it is of a type that is expected there; 0: no. */
static AttrNumber
find_column(Relation relation, const char *name, Oid type)
{
	TupleDesc	desc = RelationGetDescr(relation);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped ||
			strcmp(NameStr(attribute->attname), name) != 0)
			continue;
		if (attribute->atttypid == type ||
			(type == TEXTOID && attribute->atttypid == VARCHAROID))
			return attribute->attnum;
		return 0;
	}
	return 0;
}

/* A unique index of just these columns, in this order, as we look up by. */
static Oid
find_index(Relation relation, int ncolumns, const AttrNumber *columns)
{
	List	   *indexes = RelationGetIndexList(relation);
	Oid			found = InvalidOid;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		bool		fits = form->indisvalid && form->indisunique &&
			index->rd_rel->relam == BTREE_AM_OID &&
			form->indnkeyatts == ncolumns &&
			RelationGetIndexPredicate(index) == NIL;

		for (int i = 0; i < ncolumns && fits; i++)
			fits = form->indkey.values[i] == columns[i] &&
				index->rd_opfamily[i] < FirstNormalObjectId &&
				index->rd_indcollation[i] ==
				TupleDescAttr(RelationGetDescr(relation),
							  columns[i] - 1)->attcollation;
		if (fits)
			found = lfirst_oid(lc);
		index_close(index, AccessShareLock);
		if (fits)
			break;
	}
	list_free(indexes);
	return found;
}

/* An index whose rows are in the order of these columns. */
static Oid
find_order(Relation relation, int ncolumns, const AttrNumber *columns)
{
	List	   *indexes = RelationGetIndexList(relation);
	Oid			found = InvalidOid;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		bool		fits = form->indisvalid &&
			index->rd_rel->relam == BTREE_AM_OID &&
			form->indnkeyatts >= ncolumns &&
			RelationGetIndexPredicate(index) == NIL;

		for (int i = 0; i < ncolumns && fits; i++)
			fits = form->indkey.values[i] == columns[i] &&
				index->rd_opfamily[i] < FirstNormalObjectId &&
				(index->rd_indoption[i] & INDOPTION_DESC) == 0;
		if (fits)
			found = lfirst_oid(lc);
		index_close(index, AccessShareLock);
		if (fits)
			break;
	}
	list_free(indexes);
	return found;
}

/* The sequence that a table's ids come from; InvalidOid: from none. */
static Oid
find_ids(Relation relation)
{
	AttrNumber	id = find_column(relation, "id", INT8OID);

	return id > 0 ? ChatroomFindIdentitySequence(relation, id) : InvalidOid;
}

/* Our function of that name and number of arguments, or InvalidOid. */
static Oid
policy_function(const char *name, int nargs)
{
	static const Oid types[3] = {REGCLASSOID, INT8OID, BOOLOID};

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(types, nargs)),
						   ObjectIdGetDatum(get_namespace_oid(CHATROOM_SCHEMA,
															  true)));
}

/* Is an expression our function of the prefix' rooms and these columns? */
static bool
is_call(Expr *expr, Oid function, Oid rooms, int ncolumns,
		const AttrNumber *columns)
{
	FuncExpr   *call = (FuncExpr *) expr;
	Const	   *first;

	if (expr == NULL || !IsA(expr, FuncExpr) || !OidIsValid(function) ||
		call->funcid != function || list_length(call->args) != ncolumns + 1)
		return false;
	first = linitial(call->args);
	if (!IsA(first, Const) || first->constisnull ||
		DatumGetObjectId(first->constvalue) != rooms)
		return false;
	for (int i = 0; i < ncolumns; i++)
	{
		Var		   *var = list_nth(call->args, i + 1);

		if (!IsA(var, Var) || var->varattno != columns[i])
			return false;
	}
	return true;
}

/* Is a policy for everybody? */
static bool
is_for_all(RowSecurityPolicy *policy)
{
	return policy->permissive && ARR_DIMS(policy->roles)[0] == 1 &&
		((Oid *) ARR_DATA_PTR(policy->roles))[0] == ACL_ID_PUBLIC;
}

/*
 * Are the policies for SELECT those that migrate() made, and no others?  That
 * is one of sees_room, and one that lets the exempt pass.
 */
static bool
has_plain_policies(Relation relation, Oid rooms, int ncolumns,
				   const AttrNumber *columns)
{
	Oid			sees = policy_function("sees_room", ncolumns + 1);
	Oid			exempt = policy_function("is_exempt", 1);
	bool		found = false;
	ListCell   *lc;

	if (!relation->rd_rel->relrowsecurity || relation->rd_rsdesc == NULL ||
		row_security_policy_hook_permissive != NULL ||
		row_security_policy_hook_restrictive != NULL)
		return false;
	foreach(lc, relation->rd_rsdesc->policies)
	{
		RowSecurityPolicy *policy = lfirst(lc);

		if (policy->polcmd != '*' && policy->polcmd != ACL_SELECT_CHR)
			continue;
		if (!is_for_all(policy))
			return false;
		if (is_call(policy->qual, sees, rooms, ncolumns, columns))
			found = true;
		else if (!is_call(policy->qual, exempt, rooms, 0, NULL))
			return false;
	}
	return found;
}

/* Open a table of a prefix for a look at it; NULL: there is no such table. */
static Relation
open_chat_table(Oid schema, const char *name, Oid owner, Oid *relid)
{
	Relation	relation;

	*relid = get_relname_relid(name, schema);
	if (!OidIsValid(*relid))
		return NULL;
	relation = try_relation_open(*relid, AccessShareLock);
	if (relation == NULL)
		return NULL;
	if ((relation->rd_rel->relkind == RELKIND_RELATION ||
		 relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) &&
		(!OidIsValid(owner) || relation->rd_rel->relowner == owner))
		return relation;
	relation_close(relation, AccessShareLock);
	return NULL;
}

/* Find out about rooms. */
static bool
load_rooms(KeptSchema *kept)
{
	ChatTables *tables = &kept->tables;
	Oid			relid = get_relname_relid("rooms", kept->schema);
	Relation	rooms;
	bool		ok;

	/* before it is opened: don't wait for a table that is none of ours */
	if (!OidIsValid(relid) ||
		!read_comment(relid, &tables->version, &tables->members_mode))
		return false;
	rooms = open_chat_table(kept->schema, "rooms", InvalidOid,
							&tables->rooms);
	if (rooms == NULL)
		return false;
	tables->owner = rooms->rd_rel->relowner;
	kept->rooms_id = find_column(rooms, "id", INT8OID);
	kept->rooms_name = find_column(rooms, "name", TEXTOID);
	kept->rooms_private = find_column(rooms, "private", BOOLOID);
	ok = kept->rooms_id != 0 && kept->rooms_name != 0 &&
		(tables->version < 2 || kept->rooms_private != 0);
	if (ok)
	{
		AttrNumber	columns[2] = {kept->rooms_id, kept->rooms_private};

		tables->rooms_ids = find_ids(rooms);
		tables->rooms_pkey = find_index(rooms, 1, columns);
		tables->rooms_name_index = find_index(rooms, 1, &kept->rooms_name);
		tables->plain_rooms = tables->version >= 2 &&
			has_plain_policies(rooms, tables->rooms, 2, columns);
	}
	else
		kept->problem = "Table \"rooms\" has not the columns that it is to have.";
	relation_close(rooms, AccessShareLock);
	return ok;
}

/* Find out about messages. */
static bool
load_messages(KeptSchema *kept)
{
	ChatTables *tables = &kept->tables;
	Relation	messages = open_chat_table(kept->schema, "messages",
										   tables->owner, &tables->messages);
	AttrNumber	room_id;
	AttrNumber	columns[2];

	if (messages == NULL)
	{
		kept->problem = "There is no table \"messages\" of the same owner as \"rooms\".";
		return false;
	}
	room_id = find_column(messages, "room_id", INT8OID);
	tables->plain_messages = tables->version >= 2 && room_id != 0 &&
		has_plain_policies(messages, tables->rooms, 1, &room_id);
	columns[0] = room_id;
	columns[1] = find_column(messages, "inserted_at", TIMESTAMPTZOID);
	if (columns[0] != 0 && columns[1] != 0)
		tables->messages_room_index = find_order(messages, 2, columns);
	tables->messages_ids = find_ids(messages);
	if (room_id == 0)
		kept->problem = "Table \"messages\" has not the columns that it is to have.";
	relation_close(messages, AccessShareLock);
	return room_id != 0;
}

/* Find out about members. */
static bool
load_members(KeptSchema *kept)
{
	ChatTables *tables = &kept->tables;
	Relation	members = open_chat_table(kept->schema, "members",
										  tables->owner, &tables->members);
	AttrNumber	columns[2];

	if (members == NULL)
	{
		kept->problem = "There is no table \"members\" of the same owner as \"rooms\".";
		return false;
	}
	columns[0] = kept->members_room = find_column(members, "room_id",
												  INT8OID);
	columns[1] = kept->members_username = find_column(members, "username",
													  TEXTOID);
	kept->members_role = find_column(members, "role", TEXTOID);
	if (columns[0] != 0 && columns[1] != 0)
		tables->members_pkey = find_index(members, 2, columns);
	tables->plain_members = columns[0] != 0 &&
		has_plain_policies(members, tables->rooms, 1, columns);
	relation_close(members, AccessShareLock);
	if (columns[0] != 0 && columns[1] != 0 && kept->members_role != 0)
		return true;
	kept->problem = "Table \"members\" has not the columns that it is to have.";
	return false;
}

/* Find out about users and invites. */
static bool
load_others(KeptSchema *kept)
{
	ChatTables *tables = &kept->tables;
	Relation	users = open_chat_table(kept->schema, "users", tables->owner,
										&tables->users);
	Relation	invites = open_chat_table(kept->schema, "invites",
										  tables->owner, &tables->invites);
	AttrNumber	username;

	if (users != NULL)
	{
		username = find_column(users, "username", TEXTOID);
		if (username != 0)
			tables->users_username_index = find_index(users, 1, &username);
		tables->users_ids = find_ids(users);
		relation_close(users, AccessShareLock);
	}
	if (invites != NULL)
	{
		tables->invites_ids = find_ids(invites);
		relation_close(invites, AccessShareLock);
	}
	if (users != NULL && invites != NULL)
		return true;
	kept->problem = "There are no tables \"users\" and \"invites\" of the same owner as \"rooms\".";
	return false;
}

/* A table of a prefix that others distribute, or InvalidOid. */
static Oid
find_distributed(const ChatTables *tables)
{
	const Oid	relids[] = {
		tables->rooms, tables->messages, tables->users, tables->members,
		tables->invites
	};

	for (int i = 0; i < lengthof(relids); i++)
		if (OidIsValid(relids[i]) && chatroom_is_distributed(relids[i]))
			return relids[i];
	return InvalidOid;
}

/* Find out what a schema is. */
static void
load_schema(KeptSchema *kept)
{
	char	   *name = get_namespace_name(kept->schema);

	kept->is_prefix = false;
	kept->problem = NULL;
	kept->distributed = InvalidOid;
	memset(&kept->tables, 0, sizeof(kept->tables));
	if (name == NULL)
		return;
	namestrcpy(&kept->name, name);
	kept->tables.schema = kept->schema;
	kept->tables.prefix = NameStr(kept->name);
	kept->is_prefix = load_rooms(kept) && load_messages(kept) &&
		(kept->tables.version < 2 ||
		 (load_members(kept) && load_others(kept)));
	if (kept->is_prefix)
		kept->distributed = find_distributed(&kept->tables);
	if (OidIsValid(kept->distributed))
		kept->is_prefix = false;
}

/* Make what is kept of a schema what the catalog says. */
static void
refresh(KeptSchema *kept)
{
	/*
	 * Reading the catalog may itself bring an invalidation.  With
	 * debug_discard_caches there is no end of them: use it this once.
	 */
	for (int tries = 0; !kept->valid && tries < 3; tries++)
	{
		uint64		before = invalidations;

		load_schema(kept);
		kept->valid = before == invalidations;
	}
}

/* What is known of a schema. */
static KeptSchema *
find_schema(Oid schema)
{
	KeptSchema *kept;
	bool		found;

	if (kept_schemas == NULL)
		make_kept_schemas();
	kept = hash_search(kept_schemas, &schema, HASH_ENTER, &found);
	if (!found)
	{
		kept->valid = false;
		kept->is_prefix = false;
		memset(&kept->tables, 0, sizeof(kept->tables));
	}
	if (!kept->valid)
		refresh(kept);
	return kept;
}

/* ---------------------------------------------------------------- prefixes */

/* Raise that a schema's tables are not what they say; NULL: no such schema. */
static void
no_prefix(const char *prefix, const KeptSchema *kept)
{
	if (kept != NULL && OidIsValid(kept->distributed))
		chatroom_no_distributed(kept->distributed);
	if (kept != NULL && kept->problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the chat tables of prefix \"%s\" are not as "
						"chatroom.migrate() made them", prefix),
				 errdetail_internal("%s", kept->problem),
				 errhint("Columns and owners of chat tables have to stay; "
						 "columns may be added.")));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_SCHEMA),
			 errmsg("there are no chat tables with prefix \"%s\"", prefix),
			 errhint("Make them with chatroom.migrate(prefix), or name "
					 "another prefix; the setting chatroom.prefix is the "
					 "default, and view chatroom.migrations lists them.")));
}

/* The tables of a prefix; see rooms.h. */
const ChatTables *
chatroom_prefix(const char *prefix)
{
	Oid			schema;
	KeptSchema *kept;

	if (prefix == NULL)
		prefix = chatroom_default_prefix;
	schema = get_namespace_oid(prefix, true);
	if (!OidIsValid(schema))
		no_prefix(prefix, NULL);
	kept = find_schema(schema);
	if (!kept->is_prefix)
	{
		/* that a comment was set is nothing we are told of */
		kept->valid = false;
		refresh(kept);
	}
	if (!kept->is_prefix)
		no_prefix(prefix, kept);
	return &kept->tables;
}

/* The tables of a schema; NULL: it is no prefix. */
const ChatTables *
chatroom_schema_tables(Oid schema)
{
	KeptSchema *kept = find_schema(schema);

	return kept->is_prefix ? &kept->tables : NULL;
}

/* The tables that a table is one of; NULL: of none. */
const ChatTables *
chatroom_tables_of(Oid relid)
{
	Oid			schema = get_rel_namespace(relid);
	const ChatTables *tables;

	if (!OidIsValid(schema))
		return NULL;
	tables = chatroom_schema_tables(schema);
	if (tables == NULL ||
		(relid != tables->rooms && relid != tables->messages &&
		 relid != tables->users && relid != tables->members &&
		 relid != tables->invites))
		return NULL;
	return tables;
}

/* Is seeing a room all that is asked of who wants to see a table's rows? */
bool
chatroom_plain_table(const ChatTables *tables, Oid relid)
{
	return (relid == tables->rooms && tables->plain_rooms) ||
		(relid == tables->messages && tables->plain_messages) ||
		(relid == tables->members && tables->plain_members);
}

/* Refuse what older tables can't do. */
void
chatroom_require_version(const ChatTables *tables, int version)
{
	if (tables->version < version)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the chat tables of prefix \"%s\" are of version %d",
						tables->prefix, tables->version),
				 errdetail("This takes version %d.", version),
				 errhint("Have their owner call chatroom.migrate(%s).",
						 quote_literal_cstr(tables->prefix))));
}

/* Is the caller exempt from row-level security here? */
bool
chatroom_exempt(const ChatTables *tables)
{
	Oid			user = GetUserId();

	return chatroom_acts_for() == NULL &&
		(has_bypassrls_privilege(user) ||
		 has_privs_of_role(user, tables->owner));
}

/* Must a function see to the caller's rights itself? */
bool
chatroom_unbound(const ChatTables *tables, Oid relid)
{
	return tables->version >= 2 && !chatroom_exempt(tables) &&
		check_enable_rls(relid, InvalidOid, true) != RLS_ENABLED;
}

/* Refuse who acts for a user where nothing would hold it to his rights. */
void
chatroom_refuse_unbound(Oid relid)
{
	const ChatTables *tables = chatroom_tables_of(relid);

	if (tables == NULL || !chatroom_unbound(tables, relid))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for table \"%s\" for a user",
					get_rel_name(relid)),
			 errdetail("Row-level security, which would hold to what the "
					   "user may see and do, does not bind this role."),
			 errhint("Act for users as a role that is neither superuser nor "
					 "has BYPASSRLS.")));
}

/* --------------------------------------------------------------- look-ups */

/*
 * Open one of a prefix' tables.  That may bring news of the prefix: what is
 * kept is right afterwards.  NULL: it has no such table any more.
 */
static Relation
open_known_table(KeptSchema *kept, const Oid *relid)
{
	for (;;)
	{
		Oid			opened = *relid;
		Relation	relation = OidIsValid(opened) ?
			try_relation_open(opened, AccessShareLock) : NULL;

		if (!kept->valid)
			refresh(kept);
		if (!kept->is_prefix)
			no_prefix(NameStr(kept->name), kept);
		if (opened == *relid && (relation != NULL || !OidIsValid(opened)))
			return relation;
		if (relation != NULL)
			relation_close(relation, AccessShareLock);
		else if (opened == *relid)
			elog(ERROR, "could not open relation with OID %u", opened);
	}
}

/* Set a key of a look-up by equality. */
static void
set_key(ScanKey key, Relation relation, AttrNumber attnum, RegProcedure equal,
		Datum value)
{
	ScanKeyInit(key, attnum, BTEqualStrategyNumber, equal, value);
	key->sk_collation = TupleDescAttr(RelationGetDescr(relation),
									  attnum - 1)->attcollation;
}

/*
 * The first row of a look-up: one of its values, and who wrote it, unless that
 * isn't wanted; false: there is none.
 */
static bool
look_up(Relation relation, Oid index, Snapshot snapshot, int nkeys,
		ScanKey keys, AttrNumber column, Datum *value, TransactionId *xmin)
{
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull = true;

	scan = systable_beginscan(relation, index, OidIsValid(index), snapshot,
							  nkeys, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		*value = heap_getattr(tuple, column, RelationGetDescr(relation),
							  &isnull);
		if (xmin != NULL)
			*xmin = HeapTupleHeaderGetXmin(tuple->t_data);
		/* what is of fixed size is copied, a role is short */
		if (!isnull && column > 0 &&
			!TupleDescAttr(RelationGetDescr(relation), column - 1)->attbyval)
			*value = PointerGetDatum(PG_DETOAST_DATUM_COPY(*value));
	}
	systable_endscan(scan);
	return !isnull;
}

/* What a role is called. */
static RoomRole
role_of(Datum value)
{
	text	   *role = DatumGetTextPP(value);
	static const struct
	{
		const char *name;
		RoomRole	role;
	}			roles[] = {
		{"guest", ROOM_GUEST}, {"member", ROOM_MEMBER},
		{"admin", ROOM_ADMIN}, {"owner", ROOM_OWNER}
	};

	for (int i = 0; i < lengthof(roles); i++)
		if (VARSIZE_ANY_EXHDR(role) == strlen(roles[i].name) &&
			memcmp(VARDATA_ANY(role), roles[i].name,
				   strlen(roles[i].name)) == 0)
			return roles[i].role;
	return ROOM_NONE;
}

/* What a user is to a room, whether or not there is such a room. */
static RoomRole
look_up_role(KeptSchema *kept, int64 room_id, const char *username,
			 Snapshot snapshot, TransactionId *xmin)
{
	Relation	members = open_known_table(kept, &kept->tables.members);
	ScanKeyData keys[2];
	Datum		value;
	RoomRole	role = ROOM_NONE;
	text	   *name;

	if (members == NULL)
		return ROOM_NONE;
	name = cstring_to_text(username);
	set_key(&keys[0], members, kept->members_room, F_INT8EQ,
			Int64GetDatum(room_id));
	set_key(&keys[1], members, kept->members_username, F_TEXTEQ,
			PointerGetDatum(name));
	if (look_up(members, kept->tables.members_pkey, snapshot, 2, keys,
				kept->members_role, &value, xmin))
	{
		role = role_of(value);
		pfree(DatumGetPointer(value));
	}
	pfree(name);
	relation_close(members, AccessShareLock);
	return role;
}

/* What the caller is to a room, whether or not there is such a room. */
static RoomRole
look_up_own_role(KeptSchema *kept, int64 room_id, Snapshot snapshot,
				 TransactionId *xmin)
{
	const char *username = chatroom_identity();

	if (username == NULL || kept->tables.version < 2)
		return ROOM_NONE;
	return look_up_role(kept, room_id, username, snapshot, xmin);
}

/*
 * Look a room up, in which the caller has that role; a missing room costs what
 * a hidden one does.
 */
static void
look_up_room(KeptSchema *kept, int64 room_id, RoomRole role,
			 TransactionId member_xmin, Snapshot snapshot, RoomAccess *access)
{
	Relation	rooms = open_known_table(kept, &kept->tables.rooms);
	bool		versioned = kept->tables.version >= 2;
	ScanKeyData key;
	Datum		value;

	memset(access, 0, sizeof(*access));
	set_key(&key, rooms, kept->rooms_id, F_INT8EQ, Int64GetDatum(room_id));
	access->exists = look_up(rooms, kept->tables.rooms_pkey, snapshot, 1,
							 &key, versioned ? kept->rooms_private :
							 kept->rooms_id, &value, &access->since);
	relation_close(rooms, AccessShareLock);
	access->private = access->exists && versioned && DatumGetBool(value);
	access->exempt = chatroom_exempt(&kept->tables);
	access->governed = access->private ||
		(versioned && kept->tables.members_mode);
	if (access->exists)
		access->role = role;

	/* there is no member without a room: the older of both tells */
	if (access->role != ROOM_NONE &&
		TransactionIdPrecedes(member_xmin, access->since))
		access->since = member_xmin;
	access->visible = access->exists &&
		(!access->private || access->exempt || access->role != ROOM_NONE);
}

/* What is kept of tables that we gave out, or of a copy. */
static KeptSchema *
kept_of(const ChatTables *tables)
{
	KeptSchema *kept = find_schema(tables->schema);

	if (!kept->is_prefix)
		no_prefix(NameStr(kept->name), kept);
	return kept;
}

/* Are two usernames the same, or both none? */
static bool
same_identity(const char *a, const char *b)
{
	return a != NULL && b != NULL ? strcmp(a, b) == 0 : a == b;
}

/* Is what was answered last the answer? */
static bool
is_last_room(Oid rooms, int64 room_id, Snapshot snapshot)
{
	return last_room.transaction == ChatroomLocalTransaction() &&
		LocalTransactionIdIsValid(last_room.transaction) &&
		last_room.room_id == room_id && last_room.rooms == rooms &&
		last_room.user == GetUserId() &&
		last_room.changes == chatroom_identity_changes() &&
		last_room.xmin == snapshot->xmin &&
		last_room.xmax == snapshot->xmax &&
		last_room.xcnt == snapshot->xcnt &&
		last_room.subxcnt == snapshot->subxcnt &&
		last_room.curcid == snapshot->curcid &&
		last_room.acting == (chatroom_acts_for() != NULL) &&
		same_identity(last_room.identity, chatroom_identity());
}

/* Keep an answer. */
static void
keep_last_room(Oid rooms, int64 room_id, Snapshot snapshot,
			   const RoomAccess *access)
{
	const char *identity = chatroom_identity();

	last_room.transaction = InvalidLocalTransactionId;
	if (!same_identity(last_room.identity, identity))
	{
		if (last_room.identity != NULL)
			pfree(last_room.identity);
		last_room.identity = NULL;
		if (identity != NULL)
			last_room.identity = MemoryContextStrdup(TopMemoryContext,
													 identity);
	}
	last_room.xmin = snapshot->xmin;
	last_room.xmax = snapshot->xmax;
	last_room.xcnt = snapshot->xcnt;
	last_room.subxcnt = snapshot->subxcnt;
	last_room.curcid = snapshot->curcid;
	last_room.user = GetUserId();
	last_room.changes = chatroom_identity_changes();
	last_room.acting = chatroom_acts_for() != NULL;
	last_room.rooms = rooms;
	last_room.room_id = room_id;
	last_room.access = *access;
	last_room.transaction = ChatroomLocalTransaction();
}

/* What the caller is to a room; see rooms.h. */
void
chatroom_room_access(const ChatTables *tables, int64 room_id,
					 RoomAccess *access)
{
	Oid			rooms = tables->rooms;
	Snapshot	snapshot = GetActiveSnapshot();
	KeptSchema *kept;
	TransactionId xmin = InvalidTransactionId;
	RoomRole	role;

	if (is_last_room(rooms, room_id, snapshot))
	{
		*access = last_room.access;
		return;
	}
	kept = kept_of(tables);
	role = look_up_own_role(kept, room_id, snapshot, &xmin);
	look_up_room(kept, room_id, role, xmin, snapshot, access);
	keep_last_room(rooms, room_id, snapshot, access);
}

/*
 * May the caller see a room?  The same, without a look at the room of whoever
 * is in it: there is no member without a room.
 */
bool
chatroom_room_visible(const ChatTables *tables, int64 room_id)
{
	KeptSchema *kept = kept_of(tables);
	Snapshot	snapshot = GetActiveSnapshot();
	RoomRole	role = look_up_own_role(kept, room_id, snapshot, NULL);
	RoomAccess	access;

	if (role != ROOM_NONE)
		return true;
	look_up_room(kept, room_id, role, InvalidTransactionId, snapshot,
				 &access);
	return access.visible;
}

/* The same as of now: with what this command made, or others committed. */
void
chatroom_room_access_now(const ChatTables *tables, int64 room_id,
						 RoomAccess *access)
{
	KeptSchema *kept = kept_of(tables);
	TransactionId xmin = InvalidTransactionId;
	RoomRole	role = look_up_own_role(kept, room_id, SnapshotSelf, &xmin);

	look_up_room(kept, room_id, role, xmin, SnapshotSelf, access);
}

/* What a user is to a room. */
RoomRole
chatroom_room_role(const ChatTables *tables, int64 room_id,
				   const char *username)
{
	if (tables->version < 2)
		return ROOM_NONE;
	return look_up_role(kept_of(tables), room_id, username,
						GetActiveSnapshot(), NULL);
}

/* The same as of now. */
RoomRole
chatroom_room_role_now(const ChatTables *tables, int64 room_id,
					   const char *username)
{
	return look_up_role(kept_of(tables), room_id, username, SnapshotSelf,
						NULL);
}

/* The id of a room by its name; 0: there is none. */
static int64
look_up_name(KeptSchema *kept, const text *name)
{
	Relation	rooms = open_known_table(kept, &kept->tables.rooms);
	ScanKeyData key;
	Datum		value;
	int64		room_id = 0;

	set_key(&key, rooms, kept->rooms_name, F_TEXTEQ, PointerGetDatum(name));
	if (look_up(rooms, kept->tables.rooms_name_index, GetActiveSnapshot(), 1,
				&key, kept->rooms_id, &value, NULL))
		room_id = DatumGetInt64(value);
	relation_close(rooms, AccessShareLock);
	return room_id;
}

/* The number that digits are; 0 for one that can't be an id. */
static int64
digits_id(const char *digits, int len)
{
	int64		id = 0;

	for (int i = 0; i < len; i++)
	{
		if (id > (PG_INT64_MAX - (digits[i] - '0')) / 10)
			return 0;
		id = id * 10 + (digits[i] - '0');
	}
	return id;
}

/* Is a text all digits? */
static bool
all_digits(const char *text, int len)
{
	for (int i = 0; i < len; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return len > 0;
}

/* A room's id by the text that callers give; see rooms.h. */
int64
chatroom_find_room(const ChatTables *tables, const text *room,
				   RoomAccess *access)
{
	KeptSchema *kept = kept_of(tables);
	const char *data = VARDATA_ANY(room);
	int			len = VARSIZE_ANY_EXHDR(room);
	Snapshot	snapshot = GetActiveSnapshot();
	TransactionId xmin = InvalidTransactionId;
	RoomRole	role;
	int64		room_id;

	room_id = all_digits(data, len) ? digits_id(data, len) :
		look_up_name(kept, room);
	role = look_up_own_role(kept, room_id, snapshot, &xmin);
	look_up_room(kept, room_id, role, xmin, snapshot, access);
	return access->visible ? room_id : 0;
}

/* Raise that there is no such room. */
void
chatroom_no_such_room(const char *room)
{
	int			len = pg_mbcliplen(room, strlen(room), 100);

	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("room \"%.*s\" does not exist", len, room),
			 errhint("chatroom.list_rooms() lists the rooms; digits are taken "
					 "for an id, anything else for a name.")));
}

/* ----------------------------------------------------------------- topics */

/* The topic of a room. */
char *
chatroom_room_topic(const ChatTables *tables, int64 room_id)
{
	StringInfoData buf;

	initStringInfo(&buf);
	if (strcmp(tables->prefix, CHAT_DEFAULT_PREFIX) != 0)
	{
		chatroom_append_identifier(&buf, tables->prefix,
								   strlen(tables->prefix));
		appendStringInfoChar(&buf, '/');
	}
	appendStringInfo(&buf, "room:" INT64_FORMAT, room_id);
	return buf.data;
}
