/*-------------------------------------------------------------------------
 *
 * emit.c
 *	  The triggers that write events into WAL.
 *
 * chatroom.emit is an AFTER ROW trigger: it builds one row event and logs it
 * as a transactional logical message.  Nothing else happens in the writer.
 *
 * What an event looks like is worked out once per trigger and backend, into
 * an EmitPlan, that a relcache invalidation of any relation that it was made
 * from marks as outdated.  A plan outdated while it is in use (output
 * functions and conditions may run any code, and so this trigger again) stays
 * in memory until the transaction ends.  All else is allocated in the
 * trigger's per-tuple context.
 *
 * A plan has a target for each watch that the trigger stands for: one, except
 * on inheritance children, which speak for the watches of all ancestors.
 * Partitions and children speak in the name and with the columns of the
 * relation that the watch was made on.
 *
 * A message that says what an event's columns are, the descriptor, must stand
 * in WAL after each redo point, before or at least in front of the commit of
 * the first transaction that needs it.  Shared memory remembers, in a small
 * hash table without locks, which descriptors were logged since the current
 * redo point.  Losing an entry costs a message too many.  Whether the redo
 * point moved just before the event went into WAL is seen after it was logged
 * (inserting refreshes this process' copy of the redo pointer); the descriptor
 * then follows the event.
 *
 * An UPDATE that moves a row to another partition fires triggers for a DELETE
 * on the one and for an INSERT on the other partition.  The deleted tuple is
 * marked as moved (in its ctid): its delete event is set aside, and becomes an
 * update together with the insert of the same command that comes next.  Should
 * that never come, because a trigger suppressed the insert, the delete event
 * is logged at the end of the transaction at the latest.
 *
 * A prefix' tables have two more things of their own, see write/cascade.c: who
 * saw a private room go, and what went with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/toast_internals.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/columns.h"
#include "base/compat.h"
#include "base/descriptors.h"
#include "base/hash.h"
#include "base/invalidation.h"
#include "base/memory.h"
#include "base/message.h"
#include "base/settings.h"
#include "base/values.h"
#include "base/watches.h"
#include "cache/interest.h"
#include "catalog/pg_am.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rewriteManip.h"
#include "rewrite/rowsecurity.h"
#include "utils/acl.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "write/cascade.h"
#include "write/condition.h"
#include "write/emit.h"
#include "write/presence.h"

/* One column of the descriptor, and where the firing relation has it. */
typedef struct EmitColumn
{
	AttrNumber	attnum;			/* in the relation that fires */
	int16		typlen;
	bool		typbyval;
	bool		needed;			/* for key, topics or policies */
	ValueWriter writer;
} EmitColumn;

/* A column that an update must change to count. */
typedef struct TriggerColumn
{
	AttrNumber	attnum;			/* in the relation that fires */
	int16		typlen;
	bool		typbyval;
} TriggerColumn;

/* One watch that a trigger emits for. */
typedef struct EmitTarget
{
	Oid			watchid;		/* the watch's main trigger */
	int			events;			/* WATCH_* */
	Descriptor	descriptor;
	char	   *message;		/* the descriptor's, ready to be logged */
	int			message_len;
	int			slot;			/* in chatroom_control->logged */
	uint64		logged;			/* what the slot holds when it is logged */
	XLogRecPtr	logged_redo;	/* ... after this redo point */
	uint64		logged_epoch;	/* ... in this epoch */
	bool		known;			/* this backend knows it to be logged */
	EmitColumn *columns;
	int			natts;			/* of the relation that fires: the last one */
	bool		old_whole;		/* no key: updates carry the old row */
	bool		pin;
	bool		pin_settings;
	int			ntriggers;		/* -1: any column */
	TriggerColumn *triggers;
	RowCondition condition;		/* expr NULL: none */
	AudienceSource audience;	/* of a prefix' rooms, else nothing */
	CascadeSource cascade;		/* of what goes with a room, else nothing */
} EmitTarget;

/* What a trigger does; hashed by the trigger's oid. */
typedef struct EmitPlan
{
	MemoryContext context;		/* holds this plan */
	TupleDesc	tupdesc;		/* of the relation that fires */
	int			ntargets;
	EmitTarget *targets;
	int			nrelations;		/* that this was made from */
	Oid		   *relations;
} EmitPlan;

typedef struct EmitEntry
{
	Oid			triggerid;		/* hash key */
	bool		valid;
	EmitPlan   *plan;			/* NULL: none yet */
} EmitEntry;

/* Some columns' values of a row. */
typedef struct Image
{
	Datum	   *values;
	bool	   *nulls;
} Image;

/* A row as one target sees it. */
typedef struct Row
{
	Image		image;			/* the descriptor's columns */
	Image		triggers;		/* the trigger columns */
	bool		matched;		/* does it meet the condition? */
} Row;

/* The first half of an update that moves a row to another partition. */
typedef struct PendingMove
{
	Oid			watchid;
	CommandId	command;
	SubTransactionId subid;
	EmitTarget *target;			/* of the partition that it left */
	Row			row;
	char	   *message;		/* the delete event, in case; or NULL */
	int			message_len;
} PendingMove;

static HTAB *plans = NULL;
static List *pending_moves = NIL;	/* in TopTransactionContext */

CHATROOM_FUNCTION(chatroom_emit);
CHATROOM_FUNCTION(chatroom_emit_truncate);
CHATROOM_FUNCTION(chatroom_watch_option);

/* ------------------------------------------------------ descriptors in WAL */

/* What a descriptor's slot holds if it was logged since the redo point. */
static uint64
logged_value(EmitTarget *target)
{
	XLogRecPtr	redo;
	bool		page_writes;
	uint64		epoch;

	epoch = pg_atomic_read_u64(&chatroom_control->descriptor_epoch);
	GetFullPageWriteInfo(&redo, &page_writes);
	if (target->logged_redo != redo || target->logged_epoch != epoch)
	{
		uint64		place;

		place = hash_combine64(redo, epoch);
		place = hash_combine64(place, MyDatabaseId);
		target->logged = hash_combine64(target->descriptor.id, place);
		target->logged_redo = redo;
		target->logged_epoch = epoch;
		target->known = false;
	}
	return target->logged;
}

/* Log the descriptor, if nobody did since the redo point. */
static void
log_descriptor(EmitTarget *target)
{
	uint64		value = logged_value(target);
	pg_atomic_uint64 *slot = &chatroom_control->logged[target->slot];

	if (target->known)
		return;
	if (pg_atomic_read_u64(slot) != value)
	{
		chatroom_log(MESSAGE_DESCRIPTOR, target->message,
					 target->message_len, false);

		/*
		 * Store what was true before: has the redo point moved meanwhile, the
		 * entry is worthless, and the check after the event logs it again.
		 */
		pg_atomic_write_u64(slot, value);
	}
	target->known = true;
}

/* Log an event and, if the redo point was passed, its descriptor again. */
static void
log_event(EmitTarget *target, char *message, int len)
{
	XLogRecPtr	lsn;

	log_descriptor(target);
	lsn = chatroom_log(MESSAGE_ROW, message, len, true);
	chatroom_note_message(lsn);
	log_descriptor(target);
}

/* Log a reset. */
static void
log_reset(ResetScope scope, const char *base, ResetReason reason)
{
	StringInfoData buf;
	ResetEvent	event;

	chatroom_attach_control();
	event.scope = scope;
	event.reason = reason;
	event.base.data = base;
	event.base.len = base ? (int) strlen(base) : PIECE_NULL;
	initStringInfo(&buf);
	chatroom_start_message(&buf);
	chatroom_encode_reset(&buf, &event);
	chatroom_note_message(chatroom_log(MESSAGE_RESET, buf.data, buf.len,
									   true));
	pfree(buf.data);
}

/* Log, with this transaction, that completeness of a watch's topics ends. */
void
chatroom_log_reset(const char *base, ResetReason reason)
{
	log_reset(RESET_BASE, base, reason);
}

/* The same, of base's own topics: base, base:* and base.*. */
void
chatroom_log_own_reset(const char *base, ResetReason reason)
{
	log_reset(RESET_OWN, base, reason);
}

/* The same for all topics of the database. */
void
chatroom_log_database_reset(ResetReason reason)
{
	log_reset(RESET_DATABASE, NULL, reason);
}

/* ------------------------------------------------------------ making plans */

/* Mark the plans made from a relation, or all, as outdated. */
static void
invalidate_plans(Oid relid)
{
	HASH_SEQ_STATUS status;
	EmitEntry  *entry;

	hash_seq_init(&status, plans);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (!entry->valid)
			continue;
		if (!OidIsValid(relid) || entry->plan == NULL)
		{
			entry->valid = false;
			continue;
		}
		for (int i = 0; i < entry->plan->nrelations; i++)
			if (entry->plan->relations[i] == relid)
				entry->valid = false;
	}
}

/* Make the hash table of plans, which may refer to schemas and functions. */
static void
make_plan_table(void)
{
	plans = chatroom_make_hash("chatroom emit plans", TopMemoryContext, 16,
							   sizeof(Oid), sizeof(EmitEntry));
	chatroom_on_relation_change(invalidate_plans);
	chatroom_on_catalog_change(NAMESPACEOID, invalidate_plans);
	chatroom_on_catalog_change(PROCOID, invalidate_plans);
}

/* Columns that the SELECT policies of a relation refer to. */
static Bitmapset *
policy_columns(Relation root)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	if (!root->rd_rel->relrowsecurity || root->rd_rsdesc == NULL)
		return NULL;
	foreach(lc, root->rd_rsdesc->policies)
	{
		RowSecurityPolicy *policy = lfirst(lc);

		if (policy->polcmd == ACL_SELECT_CHR || policy->polcmd == '*')
			columns =
				bms_join(columns,
						 chatroom_expression_columns((Node *) policy->qual,
													 1, NULL));
	}
	if (bms_is_member(0, columns))
		columns = bms_add_range(columns, 1,
								RelationGetNumberOfAttributes(root));
	return bms_del_member(columns, 0);
}

/* A list of columns as a set. */
static Bitmapset *
list_set(List *columns)
{
	Bitmapset  *set = NULL;
	ListCell   *lc;

	foreach(lc, columns)
		set = bms_add_member(set, lfirst_int(lc));
	return set;
}

/* A copy of a text as a piece, in the current context. */
static Piece
copy_piece(const char *text)
{
	Piece		piece;

	piece.data = pstrdup(text);
	piece.len = strlen(text);
	return piece;
}

/* Where the relation that fires has a column of the watched one. */
static AttrNumber
map_column(const AttrMap *map, AttrNumber attnum)
{
	return map != NULL ? map->attnums[attnum - 1] : attnum;
}

/* Does a column's type read what JSON shows of it? */
static bool
json_reads_back(Form_pg_attribute attribute)
{
	ValueWriter writer;

	chatroom_value_json(&writer, attribute->atttypid, false,
						CurrentMemoryContext);
	return writer.reads_back;
}

/* Append a column to the target being made. */
static void
add_column(EmitTarget *target, Form_pg_attribute attribute, uint8 flags,
		   AttrNumber attnum, bool plain, bool big_numbers_text)
{
	DescriptorColumn *column =
		&target->descriptor.columns[target->descriptor.ncolumns];
	EmitColumn *emit = &target->columns[target->descriptor.ncolumns++];

	emit->attnum = attnum;
	target->natts = Max(target->natts, attnum);
	emit->typlen = attribute->attlen;
	emit->typbyval = attribute->attbyval;
	if (plain)
		chatroom_value_output(&emit->writer, attribute->atttypid,
							  CurrentMemoryContext);
	else
		chatroom_value_json(&emit->writer, attribute->atttypid,
							big_numbers_text, CurrentMemoryContext);
	emit->needed =
		(flags & (COLUMN_KEY | COLUMN_TOPIC | COLUMN_POLICY)) != 0;
	target->pin |= emit->writer.needs_pins || emit->writer.needs_settings;
	target->pin_settings |= emit->writer.needs_settings;
	column->attnum = attribute->attnum;
	column->typid = attribute->atttypid;
	column->name = copy_piece(NameStr(attribute->attname));
	column->flags = flags | emit->writer.flags;
}

/* Choose the columns that a watch's events carry. */
static void
make_columns(EmitTarget *target, const WatchInfo *watch, Relation root,
			 const AttrMap *map)
{
	TupleDesc	tupdesc = RelationGetDescr(root);
	Bitmapset  *key = list_set(chatroom_key_columns(watch->relid));
	Bitmapset  *topics = list_set(chatroom_topic_columns(watch));
	Bitmapset  *policies = policy_columns(root);
	Bitmapset  *extra = NULL;

	for (int i = 0; i < watch->nextra; i++)
		if (watch->extra[i].attnum > 0)
			extra = bms_add_member(extra, watch->extra[i].attnum);

	target->descriptor.columns =
		palloc0(sizeof(DescriptorColumn) * (tupdesc->natts * 2 + 1));
	target->columns = palloc0(sizeof(EmitColumn) * (tupdesc->natts * 2 + 1));
	target->old_whole = key == NULL;
	for (int i = 1; i <= tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i - 1);
		uint8		flags = 0;
		int			index = target->descriptor.ncolumns;
		bool		plain;

		if (attribute->attisdropped || ChatroomIsVirtual(attribute))
			continue;
		if (bms_is_member(i, key))
			flags |= COLUMN_KEY;
		if (bms_is_member(i, topics))
			flags |= COLUMN_TOPIC;
		if (bms_is_member(i, policies))
			flags |= COLUMN_POLICY;
		if (watch->all_columns || bms_is_member(i, watch->columns))
			flags |= COLUMN_SHOWN;
		if (flags == 0 && !bms_is_member(i, extra))
			continue;

		/* policies can't read what JSON shows: send what they can, too */
		plain = (flags & COLUMN_POLICY) && !json_reads_back(attribute);
		if (plain)
			flags &= ~COLUMN_POLICY;
		if (flags != 0 || bms_is_member(i, extra))
			add_column(target, attribute, flags, map_column(map, i), false,
					   watch->big_numbers_text);
		if (bms_is_member(i, extra))
			target->columns[index].needed = true;
		if (plain)
			add_column(target, attribute, COLUMN_POLICY, map_column(map, i),
					   true, false);
	}
}

/* The topics that a watch's events have beyond its own. */
static void
make_extra_topics(Descriptor *descriptor, const WatchInfo *watch)
{
	descriptor->extra = palloc0(sizeof(DescriptorTopic) *
								Max(watch->nextra, 1));
	for (int i = 0; i < watch->nextra; i++)
	{
		DescriptorTopic *topic = &descriptor->extra[descriptor->nextra++];

		topic->prefix = copy_piece(chatroom_extra_prefix(watch->relid,
														 &watch->extra[i]));
		topic->column = -1;
		for (int j = 0; j < descriptor->ncolumns; j++)
			if (watch->extra[i].attnum > 0 && topic->column < 0 &&
				descriptor->columns[j].attnum == watch->extra[i].attnum)
				topic->column = j;
	}
}

/* The columns that an update must change to count. */
static void
make_trigger_columns(EmitTarget *target, const WatchInfo *watch,
					 Relation root, const AttrMap *map)
{
	int			attnum = -1;

	target->ntriggers = -1;
	if (watch->any_column)
		return;
	target->ntriggers = 0;
	target->triggers = palloc0(sizeof(TriggerColumn) *
							   bms_num_members(watch->trigger_columns));
	while ((attnum = bms_next_member(watch->trigger_columns, attnum)) >= 0)
	{
		Form_pg_attribute attribute =
			TupleDescAttr(RelationGetDescr(root), attnum - 1);
		TriggerColumn *column = &target->triggers[target->ntriggers++];

		column->attnum = map_column(map, attnum);
		target->natts = Max(target->natts, column->attnum);
		column->typlen = attribute->attlen;
		column->typbyval = attribute->attbyval;
	}
}

/* Translate the condition to rows of the relation that fires. */
static void
make_condition(EmitTarget *target, const WatchInfo *watch, Relation relation,
			   const AttrMap *map)
{
	Node	   *expr = watch->condition;
	bool		whole_row;

	if (expr == NULL)
		return;
	if (map != NULL)
		expr = map_variable_attnos(expr, PRS2_NEW_VARNO, 0, map,
								   relation->rd_rel->reltype,
								   &whole_row);
	target->condition.expr = copyObject((Expr *) expr);
}

/* Make the target for one watch, in the current memory context. */
static void
make_target(EmitTarget *target, const WatchInfo *watch, Relation relation,
			bool child)
{
	Relation	root = relation;
	AttrMap    *map = NULL;
	char	   *table;
	StringInfoData buf;
	int			header;

	if (watch->relid != RelationGetRelid(relation))
	{
		root = table_open(watch->relid, AccessShareLock);
		map = ChatroomAttrMap(RelationGetDescr(relation),
							  RelationGetDescr(root));
	}
	target->watchid = watch->triggerid;
	target->events = watch->events;

	/* a child's trigger stays enabled when its parent's is disabled */
	if (child && !watch->enabled)
		target->events = 0;
	make_columns(target, watch, root, map);
	make_trigger_columns(target, watch, root, map);
	make_condition(target, watch, relation, map);

	table = chatroom_relation_base(watch->relid);
	target->descriptor.relid = watch->relid;
	if (watch->label != NULL)
		target->descriptor.flags |= DESCRIPTOR_LABELLED;
	if (root->rd_rel->relrowsecurity)
		target->descriptor.flags |= DESCRIPTOR_POLICIES;
	target->descriptor.base = copy_piece(watch->base);
	target->descriptor.table = copy_piece(table);
	make_extra_topics(&target->descriptor, watch);
	if (watch->relid == RelationGetRelid(relation))
	{
		chatroom_find_audience_source(&target->audience, watch);
		chatroom_find_cascade_source(&target->cascade, watch);
	}

	initStringInfo(&buf);
	chatroom_start_message(&buf);
	header = buf.len;
	target->descriptor.id = chatroom_encode_descriptor(&buf,
													   &target->descriptor);
	target->message = buf.data;
	target->message_len = buf.len;
	chatroom_remember_descriptor(target->descriptor.id, buf.data + header,
								 buf.len - header);
	target->slot = (target->descriptor.id ^ MyDatabaseId) %
		CHATROOM_LOGGED_SLOTS;
	if (root != relation)
		table_close(root, AccessShareLock);
}

/*
 * Complain about a trigger that is no watch's.  Arguments that were not made
 * by chatroom.watch are an error of whoever wrote them.  A label may have been
 * good once; no writer fails for that, but nothing is emitted.
 */
static void
bad_trigger(const TriggerRow *trigger, Relation relation)
{
	char	   *label = chatroom_trigger_label(trigger);
	const char *detail;

	if (label != NULL && chatroom_label_valid(label, &detail) &&
		chatroom_label_trigger(label, NULL) != trigger->oid)
		detail = "It is the label of another table.";
	if (label != NULL && detail != NULL)
	{
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("changes of table \"%s\" can't be emitted with label \"%s\"",
						RelationGetRelationName(relation), label),
				 errdetail_internal("%s", detail),
				 errhint("Use chatroom.unwatch(), and chatroom.watch() with another label.")));
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("trigger \"%s\" of table \"%s\" is not one that chatroom.watch() makes",
					trigger->name, RelationGetRelationName(relation)),
			 errhint("Drop the trigger and use chatroom.watch().")));
}

/* The watches that a trigger stands for, and the relations to be told of. */
static List *
trigger_watches(const TriggerRow *trigger, Relation relation, List **relations)
{
	List	   *watches = NIL;
	WatchInfo  *watch;
	const TriggerRow *root = trigger;
	ListCell   *lc;

	if (chatroom_trigger_is_child(trigger))
	{
		foreach(lc, chatroom_ancestors(trigger->relid, NULL))
		{
			watch = palloc(sizeof(WatchInfo));
			*relations = list_append_unique_oid(*relations, lfirst_oid(lc));
			if (chatroom_relation_watch(lfirst_oid(lc),
										chatroom_trigger_label(trigger),
										watch))
				watches = lappend(watches, watch);
		}
		return watches;
	}
	while (OidIsValid(root->parentid))
	{
		root = chatroom_get_trigger(root->parentid, NULL);
		if (root == NULL)
			elog(ERROR, "could not find parent of trigger \"%s\"",
				 trigger->name);
		*relations = list_append_unique_oid(*relations, root->relid);
	}
	foreach(lc, chatroom_relation_watches(root->relid))
	{
		watch = lfirst(lc);
		if (watch->triggerid == root->oid)
			watches = lappend(watches, watch);
	}
	if (watches == NIL)
		bad_trigger(root, relation);
	return watches;
}

/* Make a plan. */
static EmitPlan *
make_plan(Oid triggerid, Relation relation)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "chatroom emit plan",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "chatroom emit planning",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	TriggerRow *trigger = chatroom_get_trigger(triggerid, NULL);
	List	   *relations = list_make1_oid(RelationGetRelid(relation));
	List	   *watches;
	EmitPlan   *plan;
	ListCell   *lc;

	if (trigger == NULL)
		elog(ERROR, "could not find trigger %u", triggerid);
	watches = trigger_watches(trigger, relation, &relations);

	plan = MemoryContextAllocZero(context, sizeof(EmitPlan));
	plan->context = context;
	MemoryContextSwitchTo(context);
	plan->tupdesc = CreateTupleDescCopy(RelationGetDescr(relation));
	plan->targets = palloc0(sizeof(EmitTarget) *
							Max(list_length(watches), 1));
	foreach(lc, watches)
	{
		EmitTarget *target = &plan->targets[plan->ntargets++];

		make_target(target, lfirst(lc), relation,
					chatroom_trigger_is_child(trigger));
		if (target->audience.attnum > 0)
			relations = list_append_unique_oid(relations,
											   target->audience.members);
		if (target->cascade.attnum > 0)
			relations = list_append_unique_oid(relations,
											   target->cascade.rooms);
	}
	plan->relations = palloc(sizeof(Oid) * list_length(relations));
	foreach(lc, relations)
		plan->relations[plan->nrelations++] = lfirst_oid(lc);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return plan;
}

/* Take a plan out of use; somebody up the stack may be in the midst of it. */
static void
retire_plan(EmitEntry *entry)
{
	if (entry->plan != NULL)
		MemoryContextSetParent(entry->plan->context, TopTransactionContext);
	entry->plan = NULL;
}

/* Forget all outdated plans; their triggers may be gone. */
static void
sweep_plans(void)
{
	HASH_SEQ_STATUS status;
	EmitEntry  *entry;

	hash_seq_init(&status, plans);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->valid)
			continue;
		retire_plan(entry);
		hash_search(plans, &entry->triggerid, HASH_REMOVE, NULL);
	}
}

/* Make the plan of a trigger, and keep it. */
static EmitPlan *
renew_plan(Oid triggerid, Relation relation)
{
	EmitEntry  *entry;
	EmitPlan   *plan;
	bool		found;

	for (int tries = 1;; tries++)
	{
		sweep_plans();

		/*
		 * An invalidation that comes while the plan is made must not be lost:
		 * the entry, still without a plan, is there to take it.
		 */
		entry = hash_search(plans, &triggerid, HASH_ENTER, &found);
		if (!found)
			entry->plan = NULL;
		entry->valid = true;
		plan = make_plan(triggerid, relation);

		/* gone, or replaced, if making it fired this trigger */
		entry = hash_search(plans, &triggerid, HASH_FIND, NULL);
		if (entry != NULL && entry->valid)
			break;

		/* with debug_discard_caches there is no end: use it this once */
		if (tries >= 3)
		{
			MemoryContextSetParent(plan->context, TopTransactionContext);
			return plan;
		}
		MemoryContextDelete(plan->context);
	}
	retire_plan(entry);
	MemoryContextSetParent(plan->context, TopMemoryContext);
	entry->plan = plan;
	return plan;
}

/* The plan of a trigger. */
static EmitPlan *
get_plan(Oid triggerid, Relation relation)
{
	EmitEntry  *entry;

	if (unlikely(plans == NULL))
	{
		chatroom_attach_control();
		make_plan_table();
	}
	entry = hash_search(plans, &triggerid, HASH_FIND, NULL);
	if (likely(entry != NULL && entry->valid && entry->plan != NULL))
		return entry->plan;
	return renew_plan(triggerid, relation);
}

/* -------------------------------------------------------------- conditions */

/* Does a row meet a watch's condition? */
static bool
meets_condition(RowCondition *condition, MemoryContext plan_context,
				TupleTableSlot *slot)
{
	Datum		result;
	bool		isnull;

	if (condition->expr == NULL)
		return true;
	result = chatroom_evaluate(condition, plan_context, slot, &isnull);
	return !isnull && DatumGetBool(result);
}

/* ----------------------------------------------------------- making events */

/* Are two values of a column the same, byte by byte? */
static bool
same_value(Datum a, bool a_null, Datum b, bool b_null, bool typbyval,
		   int16 typlen)
{
	if (a_null || b_null)
		return a_null && b_null;
	if (typlen == -1)
	{
		struct varlena *left = (struct varlena *) DatumGetPointer(a);
		struct varlena *right = (struct varlena *) DatumGetPointer(b);
		Size		size;

		/* untouched TOASTed values have the same pointer */
		if (VARATT_IS_EXTERNAL_ONDISK(left) &&
			VARATT_IS_EXTERNAL_ONDISK(right) &&
			memcmp(left, right, TOAST_POINTER_SIZE) == 0)
			return true;

		/* don't fetch what an event would not carry */
		size = toast_raw_datum_size(a);
		if (size != toast_raw_datum_size(b))
			return false;
		if (size > (Size) chatroom_max_event_size * 1024 &&
			VARATT_IS_EXTENDED(left) && VARATT_IS_EXTENDED(right))
			return false;
	}
	return datum_image_eq(a, b, typbyval, typlen);
}

/* How much room a value will take, about, without fetching it. */
static Size
value_size(const EmitColumn *column, Datum value)
{
	if (column->typlen == -1)
		return toast_raw_datum_size(value);
	return 24;
}

/* Make room for an image of n columns. */
static void
make_image(Image *image, int n)
{
	image->values = palloc(sizeof(Datum) * Max(n, 1));
	image->nulls = palloc(sizeof(bool) * Max(n, 1));
}

/* Take what a target needs out of a slot. */
static void
read_row(EmitPlan *plan, EmitTarget *target, TupleTableSlot *slot, Row *row)
{
	int			n = target->descriptor.ncolumns;

	row->matched = meets_condition(&target->condition, plan->context, slot);
	slot_getsomeattrs(slot, target->natts);
	make_image(&row->image, n);
	for (int i = 0; i < n; i++)
	{
		int			index = target->columns[i].attnum - 1;

		row->image.values[i] = slot->tts_values[index];
		row->image.nulls[i] = slot->tts_isnull[index];
	}
	if (target->ntriggers <= 0)
		return;
	make_image(&row->triggers, target->ntriggers);
	for (int i = 0; i < target->ntriggers; i++)
	{
		int			index = target->triggers[i].attnum - 1;

		row->triggers.values[i] = slot->tts_values[index];
		row->triggers.nulls[i] = slot->tts_isnull[index];
	}
}

/* An event being built. */
typedef struct EventBuild
{
	EmitTarget *target;
	RowEvent	event;
	const Image *new;			/* or NULL */
	const Image *old;			/* or NULL */
	char	   *scratch;		/* VALUE_SCRATCH bytes a value */
	Size		room;			/* bytes that the event may have */
} EventBuild;

/* Which columns of the old image does the event carry? */
static bool
carries_old(const EventBuild *build, int i)
{
	const EmitTarget *target = build->target;

	if (build->new == NULL)
		return true;
	return target->old_whole ||
		(build->event.changed[i] && target->columns[i].needed);
}

/* About how large will the event be? */
static Size
build_size(const EventBuild *build, bool partial)
{
	const EmitTarget *target = build->target;
	Size		size = 0;

	for (int i = 0; i < target->descriptor.ncolumns; i++)
	{
		const EmitColumn *column = &target->columns[i];

		if (partial && !column->needed)
			continue;
		if (build->new != NULL && !build->new->nulls[i])
			size += value_size(column, build->new->values[i]);
		if (build->old != NULL && carries_old(build, i) &&
			!build->old->nulls[i])
			size += value_size(column, build->old->values[i]);
	}
	return size;
}

/* Write one value of an image; returns its length. */
static Size
build_value(EventBuild *build, const Image *image, int i, char *scratch,
			Piece *piece)
{
	if (image->nulls[i])
	{
		piece->data = NULL;
		piece->len = PIECE_NULL;
		return 0;
	}
	chatroom_write_value(&build->target->columns[i].writer, image->values[i],
						 scratch, piece);
	return piece->len;
}

/*
 * Write the images' values.  False as soon as they are larger than an event
 * may be.
 */
static bool
build_values(EventBuild *build, bool partial)
{
	const EmitTarget *target = build->target;
	int			n = target->descriptor.ncolumns;
	Size		size = 0;
	static const Piece absent = {NULL, PIECE_ABSENT};

	for (int i = 0; i < n; i++)
	{
		bool		skip = partial && !target->columns[i].needed;

		if (build->new != NULL)
		{
			build->event.values[i] = absent;
			if (!skip)
				size += build_value(build, build->new, i,
									build->scratch + VALUE_SCRATCH * i,
									&build->event.values[i]);
		}
		if (build->old != NULL)
		{
			build->event.old[i] = absent;
			if (!skip && carries_old(build, i))
				size += build_value(build, build->old, i,
									build->scratch + VALUE_SCRATCH * (n + i),
									&build->event.old[i]);
		}
		if (size > build->room)
			return false;
	}
	return true;
}

/* The same, with settings pinned where needed. */
static bool
build_images(EventBuild *build, bool partial)
{
	ValuePins	pins;
	bool		result;

	if (build_size(build, partial) > build->room)
		return false;
	if (!build->target->pin)
		return build_values(build, partial);
	chatroom_pin(&pins, build->target->pin_settings);
	PG_TRY();
	{
		result = build_values(build, partial);
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	return result;
}

/* Which columns did an update change? */
static void
find_changed(EventBuild *build)
{
	const EmitTarget *target = build->target;

	build->event.changed = palloc(sizeof(bool) *
								  Max(target->descriptor.ncolumns, 1));
	for (int i = 0; i < target->descriptor.ncolumns; i++)
		build->event.changed[i] =
			!same_value(build->old->values[i], build->old->nulls[i],
						build->new->values[i], build->new->nulls[i],
						target->columns[i].typbyval,
						target->columns[i].typlen);
}

/*
 * Build an event's message.  False when not even key and topics have room in
 * it: then nothing but a reset tells the truth.
 */
static bool
build_event(EmitTarget *target, EventType type, CommandId command,
			const Image *old, const Image *new, Piece audience,
			StringInfo message)
{
	EventBuild	build = {0};
	int			n = target->descriptor.ncolumns;
	bool		fits;

	build.target = target;
	build.old = old;
	build.new = new;
	build.room = (Size) chatroom_max_event_size * 1024;
	if (audience.data != NULL)
		build.room -= audience.len;
	build.event.audience = audience;
	build.scratch = palloc(VALUE_SCRATCH * Max(n, 1) * (old && new ? 2 : 1) +
						   VALUE_SCRATCH * (old && !new ? n : 0));
	build.event.descriptor = target->descriptor.id;
	build.event.type = type;
	build.event.command = command;
	build.event.origin.data = chatroom_origin;
	build.event.origin.len = chatroom_origin && chatroom_origin[0] ?
		(int) strlen(chatroom_origin) : PIECE_NULL;
	if (new != NULL)
		build.event.values = palloc(sizeof(Piece) * Max(n, 1));
	if (old != NULL)
		build.event.old = palloc(sizeof(Piece) * Max(n, 1));
	if (old != NULL && new != NULL)
		find_changed(&build);

	if (type == EVENT_LEAVE)
	{
		build.event.flags = EVENT_PARTIAL;
		fits = build_images(&build, true);
	}
	else
	{
		fits = build_images(&build, false);
		if (!fits)
		{
			build.event.flags = EVENT_PARTIAL | EVENT_OVERSIZE;
			fits = build_images(&build, true);
		}
	}
	if (!fits)
		return false;
	chatroom_start_message(message);
	chatroom_encode_row(message, &target->descriptor, &build.event);
	return true;
}

/* Build and log an event, or a reset where none can be built. */
static void
emit_event_to(EmitTarget *target, EventType type, CommandId command,
			  const Image *old, const Image *new, Piece audience)
{
	StringInfoData message;

	initStringInfo(&message);
	if (build_event(target, type, command, old, new, audience, &message))
		log_event(target, message.data, message.len);
	else
		chatroom_log_reset(pnstrdup(target->descriptor.base.data,
									target->descriptor.base.len),
						   RESET_REASON_OVERSIZE);
}

/* The same for an event that has no audience. */
static void
emit_event(EmitTarget *target, EventType type, CommandId command,
		   const Image *old, const Image *new)
{
	static const Piece nobody = {NULL, PIECE_NULL};

	emit_event_to(target, type, command, old, new, nobody);
}

/* ---------------------------------------------------------- moved rows */

/* Log what waits for an insert that didn't come. */
static void
flush_move(PendingMove *move)
{
	if (move->message != NULL)
		log_event(move->target, move->message, move->message_len);
	pending_moves = list_delete_ptr(pending_moves, move);
}

/* Before commit: log what still waits; after abort: forget it. */
static void
moves_at_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			while (pending_moves != NIL)
				flush_move(linitial(pending_moves));
			break;
		case XACT_EVENT_ABORT:
			pending_moves = NIL;
			break;
		default:
			break;
	}
}

/* The same for subtransactions. */
static void
moves_at_subend(SubXactEvent event, SubTransactionId subid,
				SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	if (event != SUBXACT_EVENT_PRE_COMMIT_SUB &&
		event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(lc, pending_moves)
	{
		PendingMove *move = lfirst(lc);

		if (move->subid < subid)
			continue;
		if (event == SUBXACT_EVENT_PRE_COMMIT_SUB && move->message != NULL)
			log_event(move->target, move->message, move->message_len);
		pending_moves = foreach_delete_current(pending_moves, lc);
	}
}

/* Copy an image to the current context. */
static void
copy_image(Image *to, const Image *from, int n, bool triggers,
		   const EmitTarget *target)
{
	make_image(to, n);
	for (int i = 0; i < n; i++)
	{
		bool		typbyval = triggers ? target->triggers[i].typbyval :
			target->columns[i].typbyval;
		int16		typlen = triggers ? target->triggers[i].typlen :
			target->columns[i].typlen;

		to->nulls[i] = from->nulls[i];
		if (!from->nulls[i])
			to->values[i] = datumCopy(from->values[i], typbyval, typlen);
	}
}

/* The move that waits for the insert of a command, if any. */
static PendingMove *
find_move(const EmitTarget *target, CommandId command)
{
	ListCell   *lc;

	foreach(lc, pending_moves)
	{
		PendingMove *move = lfirst(lc);

		if (move->watchid == target->watchid && move->command == command &&
			move->subid == GetCurrentSubTransactionId())
			return move;
	}
	return NULL;
}

/* Set a moved row's delete event aside. */
static void
begin_move(EmitTarget *target, CommandId command, const Row *row)
{
	static bool registered = false;
	PendingMove *move = find_move(target, command);
	MemoryContext caller;
	StringInfoData message;

	if (!registered)
	{
		RegisterXactCallback(moves_at_end, NULL);
		RegisterSubXactCallback(moves_at_subend, NULL);
		registered = true;
	}
	if (move != NULL)
		flush_move(move);
	caller = MemoryContextSwitchTo(TopTransactionContext);
	move = palloc0(sizeof(PendingMove));
	move->watchid = target->watchid;
	move->command = command;
	move->subid = GetCurrentSubTransactionId();
	move->target = target;
	move->row.matched = row->matched;
	copy_image(&move->row.image, &row->image, target->descriptor.ncolumns,
			   false, target);
	if (target->ntriggers > 0)
		copy_image(&move->row.triggers, &row->triggers, target->ntriggers,
				   true, target);
	if (row->matched && (target->events & WATCH_DELETE))
	{
		Piece		nobody = {NULL, PIECE_NULL};

		initStringInfo(&message);
		if (build_event(target, EVENT_DELETE, command, &row->image, NULL,
						nobody, &message))
		{
			move->message = message.data;
			move->message_len = message.len;
		}
	}
	pending_moves = lappend(pending_moves, move);
	MemoryContextSwitchTo(caller);
}

/* ------------------------------------------------------------ the triggers */

/* Did an update change one of the columns that make it count? */
static bool
update_counts(const EmitTarget *target, const Row *old, const Row *new)
{
	for (int i = 0; i < target->ntriggers; i++)
		if (!same_value(old->triggers.values[i], old->triggers.nulls[i],
						new->triggers.values[i], new->triggers.nulls[i],
						target->triggers[i].typbyval,
						target->triggers[i].typlen))
			return true;
	return target->ntriggers < 0;
}

/* Emit what an update is to a watch. */
static void
emit_update(EmitTarget *target, CommandId command, const Row *old,
			const Row *new)
{
	if ((target->events & WATCH_UPDATE) == 0)
		return;
	if (old->matched && new->matched)
	{
		if (update_counts(target, old, new))
			emit_event(target, EVENT_UPDATE, command, &old->image,
					   &new->image);
	}
	else if (new->matched)
		emit_event(target, EVENT_ENTER, command, NULL, &new->image);
	else if (old->matched)
		emit_event(target, EVENT_LEAVE, command, &old->image, NULL);
}

/* Was this tuple written by the current transaction, and how to tell? */
static bool
has_header(Relation relation, HeapTuple tuple)
{
	return relation->rd_rel->relam == HEAP_TABLE_AM_OID &&
		(tuple->t_data->t_infomask & HEAP_MOVED) == 0;
}

/* The command that wrote a tuple. */
static CommandId
insert_command(Relation relation, HeapTuple tuple)
{
	HeapTupleHeader header = tuple->t_data;

	if (has_header(relation, tuple) &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(header)))
		return HeapTupleHeaderGetCmin(header);
	return GetCurrentCommandId(false);
}

/* The command that deleted a tuple, and whether it moved it elsewhere. */
static CommandId
delete_command(Relation relation, HeapTuple tuple, bool *moved)
{
	HeapTupleHeader header = tuple->t_data;
	TransactionId xmax;

	*moved = false;
	if (!has_header(relation, tuple) ||
		(header->t_infomask & HEAP_XMAX_INVALID) != 0)
		return GetCurrentCommandId(false);
	xmax = HeapTupleHeaderGetUpdateXid(header);
	if (TransactionIdIsCurrentTransactionId(xmax))
	{
		*moved = HeapTupleHeaderIndicatesMovedPartitions(header);
		return HeapTupleHeaderGetCmax(header);
	}
	return GetCurrentCommandId(false);
}

/* Emit an insert, or the second half of a move. */
static void
emit_insert(EmitPlan *plan, EmitTarget *target, const TriggerData *data)
{
	CommandId	command = insert_command(data->tg_relation,
										 data->tg_trigtuple);
	PendingMove *move = NULL;
	Row			row;

	if (unlikely(pending_moves != NIL))
		move = find_move(target, command);
	if (move == NULL && (target->events & WATCH_INSERT) == 0)
		return;
	read_row(plan, target, data->tg_trigslot, &row);
	if (move != NULL)
	{
		/* evaluating the condition may have run anything */
		pending_moves = list_delete_ptr(pending_moves, move);
		emit_update(target, command, &move->row, &row);
	}
	else if (row.matched)
		emit_event(target, EVENT_INSERT, command, NULL, &row.image);
}

/* Emit a delete, or keep it as the first half of a move. */
static void
emit_delete(EmitPlan *plan, EmitTarget *target, const TriggerData *data)
{
	bool		moved;
	CommandId	command = delete_command(data->tg_relation,
										 data->tg_trigtuple, &moved);
	Row			row;

	if ((target->events & (moved ? WATCH_UPDATE | WATCH_DELETE :
						   WATCH_DELETE)) == 0)
		return;
	if (target->cascade.attnum > 0 && !moved &&
		chatroom_went_along(&target->cascade, target->watchid,
							&target->descriptor.base, data->tg_trigslot))
		return;
	read_row(plan, target, data->tg_trigslot, &row);
	if (moved)
		begin_move(target, command, &row);
	else if (row.matched)
	{
		Piece		audience = {NULL, PIECE_NULL};

		if (target->audience.attnum > 0)
			chatroom_find_audience(&target->audience,
								   &target->descriptor.base,
								   data->tg_trigslot, &audience);
		emit_event_to(target, EVENT_DELETE, command, &row.image, NULL,
					  audience);
	}
}

/* Emit one row change for one watch. */
static void
emit_change(EmitPlan *plan, EmitTarget *target, const TriggerData *data)
{
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		emit_insert(plan, target, data);
	else if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		emit_delete(plan, target, data);
	else if (target->events & WATCH_UPDATE)
	{
		Row			old;
		Row			new;

		read_row(plan, target, data->tg_trigslot, &old);
		read_row(plan, target, data->tg_newslot, &new);
		emit_update(target,
					insert_command(data->tg_relation, data->tg_newtuple),
					&old, &new);
	}
}

/* Complain about a function that is called otherwise than it must be. */
static void
check_called(FunctionCallInfo fcinfo, const char *name, bool right)
{
	if (!CALLED_AS_TRIGGER(fcinfo) || !right)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function chatroom.%s() was not called by a trigger that chatroom.watch() made",
						name),
				 errhint("Use chatroom.watch().")));
}

/* AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW: emit the change. */
Datum
chatroom_emit(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	EmitPlan   *plan;

	check_called(fcinfo, "emit", CALLED_AS_TRIGGER(fcinfo) &&
				 TRIGGER_FIRED_AFTER(data->tg_event) &&
				 TRIGGER_FIRED_FOR_ROW(data->tg_event) &&
				 data->tg_trigger->tgnargs > 0);
	plan = get_plan(data->tg_trigger->tgoid, data->tg_relation);
	if (unlikely(!chatroom_emit_enabled))
	{
		chatroom_note_suppressed();
		PG_RETURN_POINTER(NULL);
	}
	for (int i = 0; i < plan->ntargets; i++)
		emit_change(plan, &plan->targets[i], data);
	PG_RETURN_POINTER(NULL);
}

/* The watch that the latest TRUNCATE was told of, and by which command. */
static struct
{
	Oid			watchid;
	TransactionId xid;
	CommandId	command;
}			last_truncate;

/* Emit the truncation of a watched relation itself. */
static void
truncate_watched(const WatchInfo *watch, Relation relation)
{
	EmitPlan   *plan;

	/* TRUNCATE ONLY looks the same, and leaves the children's rows */
	if (relation->rd_rel->relhassubclass &&
		relation->rd_rel->relkind == RELKIND_RELATION)
	{
		chatroom_log_reset(watch->base, RESET_REASON_TRUNCATE);
		return;
	}
	if (watch->audience)
	{
		/* all rooms are gone, and their ids may begin anew */
		chatroom_end_prefix_at_commit(watch->base);
		chatroom_rename_channels_at_commit();
	}
	plan = get_plan(watch->triggerid, relation);
	for (int i = 0; i < plan->ntargets; i++)
		emit_event(&plan->targets[i], EVENT_TRUNCATE,
				   GetCurrentCommandId(false), NULL, NULL);
	last_truncate.watchid = watch->triggerid;
	last_truncate.xid = GetCurrentTransactionId();
	last_truncate.command = GetCurrentCommandId(false);
}

/* A part of a watched tree was truncated, maybe with all of it. */
static void
truncate_part(const WatchInfo *watch)
{
	if (last_truncate.watchid == watch->triggerid &&
		last_truncate.xid == GetCurrentTransactionId() &&
		last_truncate.command == GetCurrentCommandId(false))
		return;
	chatroom_log_reset(watch->base, RESET_REASON_TRUNCATE);
}

/* AFTER TRUNCATE FOR EACH STATEMENT, on a watched relation and all below. */
Datum
chatroom_emit_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Oid			relid;
	char	   *label;
	WatchInfo	watch;
	ListCell   *lc;

	check_called(fcinfo, "emit_truncate", CALLED_AS_TRIGGER(fcinfo) &&
				 TRIGGER_FIRED_AFTER(data->tg_event) &&
				 TRIGGER_FIRED_BY_TRUNCATE(data->tg_event) &&
				 data->tg_trigger->tgnargs == 1);
	chatroom_attach_control();
	if (!chatroom_emit_enabled)
	{
		chatroom_note_suppressed();
		PG_RETURN_POINTER(NULL);
	}
	relid = RelationGetRelid(data->tg_relation);
	label = data->tg_trigger->tgargs[0];
	if (label[0] == '\0')
		label = NULL;
	if (chatroom_relation_watch(relid, label, &watch) &&
		(watch.events & WATCH_TRUNCATE))
		truncate_watched(&watch, data->tg_relation);
	foreach(lc, chatroom_ancestors(relid, NULL))
		if (chatroom_relation_watch(lfirst_oid(lc), label, &watch) &&
			watch.enabled && (watch.events & WATCH_TRUNCATE))
			truncate_part(&watch);
	PG_RETURN_POINTER(NULL);
}

/* What holders call, should anybody enable them: nothing. */
Datum
chatroom_watch_option(PG_FUNCTION_ARGS)
{
	check_called(fcinfo, "watch_option", CALLED_AS_TRIGGER(fcinfo));
	PG_RETURN_POINTER(NULL);
}
