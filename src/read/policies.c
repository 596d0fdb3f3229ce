/*-------------------------------------------------------------------------
 *
 * policies.c
 *	  Row-level security on events.
 *
 * Whether a role could select the row of an event is for the table's SELECT
 * policies to say, as of now, over the images that the event carries: hidden
 * in it are the columns that the policies referred to when it was written.
 *
 * The images become rows of a tuplestore that bears the table's row type, the
 * policies one expression that PostgreSQL itself puts together for the current
 * user (get_row_security_policies), and the question
 *
 *	  SELECT visible FROM chatroom_images
 *
 * where a parser hook puts that expression for "visible".  So there is nothing
 * to deparse, whole-row references and subqueries work as in any query, and
 * tables that a policy looks into are read with the caller's rights and their
 * own policies.  No condition of a user's takes part: nothing can see a row
 * before its policies have let it through.
 *
 * The plan is kept per table and role.  Being one of the plan cache, it goes
 * with any change of the table, its policies, and all that they use; changes
 * of roles and memberships are watched for here.
 *
 * What the policies need and the event doesn't carry, and what fails while it
 * is evaluated, can't be told: the answer is then a reset, and the client's
 * own SELECT says what is wrong.  The policies are the code of the table's
 * owner: it runs for what it says alone, and what it does is undone, see
 * base/judging.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "base/columns.h"
#include "base/compat.h"
#include "base/hash.h"
#include "base/judging.h"
#include "base/owner.h"
#include "base/plans.h"
#include "base/invalidation.h"
#include "base/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "read/access.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rowsecurity.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#define IMAGES			"chatroom_images"
#define QUESTION		"SELECT visible FROM " IMAGES

/* Plans kept per process; beyond, all are forgotten. */
#define MAX_PLANS		200

#define COLUMN_WORDS	(MaxHeapAttributeNumber / 64 + 1)

typedef struct PlanKey
{
	Oid			relid;
	Oid			userid;
} PlanKey;

/* The policies of a table for a role. */
typedef struct PolicyPlan
{
	PlanKey		key;			/* of the hash table */
	SPIPlanPtr	plan;			/* NULL: not made yet */
	bool		stale;			/* roles have changed since */
	int			busy;			/* evaluations going on */
	PlanFolds	folds;
	/* what the policies refer to; set whenever the plan is analyzed: */
	uint64		columns[COLUMN_WORDS];	/* bit attnum; 0: system columns */
} PolicyPlan;

/* An event whose images are looked at. */
typedef struct Judged
{
	int			index;			/* among the caller's events */
	bool		new;			/* has a new image */
	bool		old;			/* has an old image */
	bool		same;			/* which is the new one, to the policies */
	bool		missing;		/* lacks a column */
	bool		new_visible;
	bool		old_visible;
} Judged;

/* How the columns that the policies need are read. */
typedef struct ColumnReader
{
	FmgrInfo	input;
	Oid			ioparam;
	int32		typmod;
} ColumnReader;

static HTAB *plans = NULL;

/* ------------------------------------------------- from policies to a plan */

/* Note that the policies need a column; 0: a system column. */
static void
add_column(PolicyPlan *plan, AttrNumber attnum)
{
	plan->columns[attnum / 64] |= UINT64CONST(1) << attnum % 64;
}

/* Do the policies need a column? */
static bool
needs_column(const PolicyPlan *plan, AttrNumber attnum)
{
	return (plan->columns[attnum / 64] >> attnum % 64) & 1;
}

/* Note the columns that the policies refer to. */
static void
add_columns(PolicyPlan *plan, Relation relation, Node *condition)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);
	bool		system;
	Bitmapset  *columns = chatroom_expression_columns(condition, 1,
														 &system);
	bool		whole = bms_is_member(0, columns);

	memset(plan->columns, 0, sizeof(plan->columns));
	if (system)
		add_column(plan, 0);
	for (AttrNumber attnum = 1; attnum <= tupdesc->natts; attnum++)
		if ((whole || bms_is_member(attnum, columns)) &&
			!TupleDescAttr(tupdesc, attnum - 1)->attisdropped)
			add_column(plan, attnum);
}

/*
 * The condition under which the current user may select a row of the table,
 * as an expression over the first entry of a range table.
 */
static Expr *
visible_condition(Relation relation, bool *has_sublinks)
{
	Query	   *query = makeNode(Query);
	RangeTblEntry *entry = makeNode(RangeTblEntry);
	List	   *quals;
	List	   *checks;
	bool		row_security;
	Expr	   *condition;

	query->commandType = CMD_SELECT;
	entry->rtekind = RTE_RELATION;
	entry->relid = RelationGetRelid(relation);
	entry->relkind = relation->rd_rel->relkind;
	entry->rellockmode = AccessShareLock;
	query->rtable = list_make1(entry);
	ChatroomRequireSelect(query, entry);
	get_row_security_policies(query, entry, 1, &quals, &checks,
							  &row_security, has_sublinks);
	if (quals == NIL)
		return (Expr *) makeBoolConst(true, false);
	condition = make_ands_explicit(quals);

	/* the tables of subqueries are to be locked as in a view's */
	if (*has_sublinks)
	{
		query->jointree = makeFromExpr(NIL, (Node *) condition);
		query->hasSubLinks = true;
		AcquireRewriteLocks(query, true, false);
	}
	return condition;
}

/* Parser hook: put the policies for the column "visible". */
static Node *
resolve_visible(ParseState *pstate, ColumnRef *reference)
{
	PolicyPlan *plan = pstate->p_ref_hook_state;
	Relation	relation = table_open(plan->key.relid, AccessShareLock);
	bool		has_sublinks = false;
	Expr	   *condition = visible_condition(relation, &has_sublinks);

	add_columns(plan, relation, (Node *) condition);

	/*
	 * Images have no system columns, so nothing will be asked; the planner
	 * would look for them beyond the ends of what it knows of the images.
	 */
	if (needs_column(plan, 0))
	{
		condition = (Expr *) makeBoolConst(false, false);
		has_sublinks = false;
	}
	pstate->p_hasSubLinks = pstate->p_hasSubLinks || has_sublinks;
	table_close(relation, NoLock);
	return (Node *) condition;
}

/* Parser set-up: install the hook. */
static void
set_up_parser(ParseState *pstate, void *arg)
{
	pstate->p_pre_columnref_hook = resolve_visible;
	pstate->p_ref_hook_state = arg;
}

/* Roles or memberships changed: so may have who a policy is for. */
static void
roles_changed(Oid relid)
{
	HASH_SEQ_STATUS status;
	PolicyPlan *plan;

	hash_seq_init(&status, plans);
	while ((plan = hash_seq_search(&status)) != NULL)
		plan->stale = true;
}

/* Make the hash table of plans. */
static void
make_plan_table(void)
{
	plans = chatroom_make_hash("chatroom policies", TopMemoryContext, 16,
							   sizeof(PlanKey), sizeof(PolicyPlan));
	chatroom_on_catalog_change(AUTHMEMROLEMEM, roles_changed);
	chatroom_on_catalog_change(AUTHOID, roles_changed);
	chatroom_on_catalog_change(DATABASEOID, roles_changed);
}

/* Forget the plans that nobody is using. */
static void
forget_plans(void)
{
	HASH_SEQ_STATUS status;
	PolicyPlan *plan;

	hash_seq_init(&status, plans);
	while ((plan = hash_seq_search(&status)) != NULL)
	{
		if (plan->busy > 0)
			continue;
		if (plan->plan != NULL)
			SPI_freeplan(plan->plan);
		hash_search(plans, &plan->key, HASH_REMOVE, NULL);
	}
}

/* The current user's plan for a table, made when it is first executed. */
static PolicyPlan *
find_plan(Oid relid)
{
	PlanKey		key = {relid, GetUserId()};
	PolicyPlan *plan;
	bool		found;

	if (plans == NULL)
		make_plan_table();
	plan = hash_search(plans, &key, HASH_FIND, NULL);
	if (plan != NULL)
		return plan;
	if (hash_get_num_entries(plans) >= MAX_PLANS)
		forget_plans();
	plan = hash_search(plans, &key, HASH_ENTER, &found);
	memset((char *) plan + sizeof(PlanKey), 0,
		   sizeof(PolicyPlan) - sizeof(PlanKey));
	return plan;
}

/* Make the plan itself, or anew where roles have changed. */
static void
prepare_plan(PolicyPlan *plan)
{
	SPIPlanPtr	prepared;

	/* whoever is executing it up the stack goes on with the old one */
	if (plan->plan != NULL && plan->stale && plan->busy == 1)
	{
		SPI_freeplan(plan->plan);
		plan->plan = NULL;
	}
	if (plan->plan != NULL)
	{
		chatroom_renew_plan(plan->plan, &plan->folds);
		return;
	}
	plan->stale = false;
	memset(&plan->folds, 0, sizeof(plan->folds));
	prepared = SPI_prepare_params(QUESTION, set_up_parser, plan, 0);
	if (prepared == NULL)
		elog(ERROR, "SPI_prepare_params failed: %s",
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(prepared);
	plan->plan = prepared;
}

/* ----------------------------------------------------- images become rows */

/* The raw values of an event's image. */
static const RingColumn *
image_columns(const RingEvent *event, bool old, int *n)
{
	*n = old ? event->nold_policy : event->nnew_policy;
	return ring_columns(event, old ? event->old_policy_columns :
						event->new_policy_columns);
}

/* The value of a column in an image, or NULL where it has none. */
static const RingColumn *
image_column(const RingEvent *event, bool old, AttrNumber attnum)
{
	int			n;
	const RingColumn *columns = image_columns(event, old, &n);

	for (int i = 0; i < n; i++)
		if (columns[i].attnum == attnum)
			return &columns[i];
	return NULL;
}

/* Are all columns that the policies need in an image? */
static bool
image_complete(const RingEvent *event, bool old, const PolicyPlan *plan,
			   int natts)
{
	for (AttrNumber attnum = 1; attnum <= natts; attnum++)
		if (needs_column(plan, attnum) &&
			image_column(event, old, attnum) == NULL)
			return false;
	return true;
}

/* Which images does an event have, and do they tell enough? */
static void
inspect_event(const RingEvent *event, const PolicyPlan *plan, int natts,
			  Judged *judged)
{
	judged->new = judged->old = judged->same = false;
	judged->new_visible = judged->old_visible = false;
	switch ((EventType) event->type)
	{
		case EVENT_INSERT:
		case EVENT_ENTER:
			judged->new = true;
			break;
		case EVENT_DELETE:
		case EVENT_LEAVE:
			judged->old = true;
			break;
		case EVENT_UPDATE:
			judged->new = judged->old = true;
			judged->same =
				event->old_policy_columns == event->new_policy_columns;
			break;
		default:
			break;
	}
	judged->missing = needs_column(plan, 0) ||
		(judged->new && !image_complete(event, false, plan, natts)) ||
		(judged->old && !image_complete(event, true, plan, natts));
}

/*
 * Set what reading depends on as it was set where the value was written; see
 * write/values.c.
 */
static int
pin_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"DateStyle", "ISO, MDY"},
		{"IntervalStyle", "postgres"},
		{"lc_monetary", "C"},
		{"xmloption", "content"},
		{"array_nulls", "on"}
	};
	int			nest_level = NewGUCNestLevel();

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
	return nest_level;
}

/*
 * Prepare to read the columns that the policies need.  A domain's constraints
 * were checked when the row was written; its values are of the type below.
 */
static ColumnReader *
make_readers(TupleDesc tupdesc, const PolicyPlan *plan)
{
	ColumnReader *readers = palloc0(sizeof(ColumnReader) *
									Max(tupdesc->natts, 1));

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);
		Oid			type;
		Oid			function;

		if (!needs_column(plan, attribute->attnum))
			continue;
		readers[i].typmod = attribute->atttypmod;
		type = getBaseTypeAndTypmod(attribute->atttypid, &readers[i].typmod);
		getTypeInputInfo(type, &function, &readers[i].ioparam);
		fmgr_info(function, &readers[i].input);
	}
	return readers;
}

/* Append an image to the rows. */
static void
put_image(Tuplestorestate *rows, TupleDesc tupdesc, const PolicyPlan *plan,
		  ColumnReader *readers, const RingEvent *event, bool old,
		  MemoryContext scratch)
{
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	Datum	   *values = palloc0(sizeof(Datum) * tupdesc->natts);
	bool	   *nulls = palloc(sizeof(bool) * tupdesc->natts);

	memset(nulls, true, sizeof(bool) * tupdesc->natts);
	for (int i = 0; i < tupdesc->natts; i++)
	{
		const RingColumn *column;

		if (!needs_column(plan, i + 1))
			continue;
		column = image_column(event, old, i + 1);
		if (column->len < 0)
			continue;
		values[i] = InputFunctionCall(&readers[i].input,
									  pnstrdup(ring_part(event, column->start),
											   column->len),
									  readers[i].ioparam, readers[i].typmod);
		nulls[i] = false;
	}
	MemoryContextSwitchTo(caller);
	tuplestore_putvalues(rows, tupdesc, values, nulls);
	MemoryContextReset(scratch);
}

/* Make the rows that the policies are asked about, in the events' order. */
static Tuplestorestate *
make_rows(Relation relation, const PolicyPlan *plan, RingEvent **events,
		  Judged *judged, int n)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);
	Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);
	ColumnReader *readers = make_readers(tupdesc, plan);
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "chatroom image",
												  ALLOCSET_DEFAULT_SIZES);
	int			nest_level = pin_settings();

	for (int i = 0; i < n; i++)
	{
		const RingEvent *event = events[judged[i].index];

		inspect_event(event, plan, tupdesc->natts, &judged[i]);
		if (judged[i].missing)
			continue;
		if (judged[i].new)
			put_image(rows, tupdesc, plan, readers, event, false, scratch);
		if (judged[i].old && !judged[i].same)
			put_image(rows, tupdesc, plan, readers, event, true, scratch);
		CHECK_FOR_INTERRUPTS();
	}
	AtEOXact_GUC(true, nest_level);
	MemoryContextDelete(scratch);
	return rows;
}

/* ------------------------------------------------------------- evaluation */

/* Take the answers, in the order of the rows. */
static void
take_answers(Judged *judged, int n)
{
	uint64		row = 0;

	for (int i = 0; i < n; i++)
	{
		bool		asked[2];

		if (judged[i].missing)
			continue;
		asked[0] = judged[i].new;
		asked[1] = judged[i].old && !judged[i].same;
		for (int image = 0; image < 2; image++)
		{
			Datum		value;
			bool		isnull;

			if (!asked[image])
				continue;
			if (row >= SPI_processed)
				elog(ERROR, "too few answers of policies");
			value = SPI_getbinval(SPI_tuptable->vals[row++],
								  SPI_tuptable->tupdesc, 1, &isnull);
			if (isnull || !DatumGetBool(value))
				continue;
			if (image == 0)
				judged[i].new_visible = true;
			else
				judged[i].old_visible = true;
		}
		if (judged[i].same)
			judged[i].old_visible = judged[i].new_visible;
	}
	if (row != SPI_processed)
		elog(ERROR, "too many answers of policies");
}

/* Ask the policies once about all images. */
static void
ask_policies(Relation relation, PolicyPlan *plan, RingEvent **events,
			 Judged *judged, int n)
{
	EphemeralNamedRelationData images = {0};
	uint64		columns[COLUMN_WORDS];
	bool		told;

	chatroom_spi_connect();
	images.md.name = IMAGES;
	images.md.reliddesc = RelationGetRelid(relation);
	images.md.enrtype = ENR_NAMED_TUPLESTORE;
	images.md.enrtuples = n;
	if (SPI_register_relation(&images) != SPI_OK_REL_REGISTER)
		elog(ERROR, "SPI_register_relation failed");
	prepare_plan(plan);
	do
	{
		Tuplestorestate *rows;

		memcpy(columns, plan->columns, sizeof(columns));
		rows = make_rows(relation, plan, events, judged, n);
		images.reldata = rows;
		if (SPI_execute_plan(plan->plan, NULL, NULL, true, 0) !=
			SPI_OK_SELECT)
			elog(ERROR, "SPI_execute_plan failed");

		/* was the plan made anew, and the policies need other columns? */
		told = memcmp(columns, plan->columns, sizeof(columns)) == 0;
		if (told)
			take_answers(judged, n);
		SPI_freetuptable(SPI_tuptable);
		tuplestore_end(rows);
	} while (!told);
	chatroom_spi_finish();
}

/* What to ask a table's policies about. */
typedef struct Questions
{
	Relation	relation;
	PolicyPlan *plan;
	RingEvent **events;
	Judged	   *judged;
	int			n;
} Questions;

/* Ask them, with a snapshot. */
static void
ask_with_snapshot(void *arg)
{
	Questions  *questions = arg;
	bool		pushed = false;

	if (!ActiveSnapshotSet())
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		pushed = true;
	}
	ask_policies(questions->relation, questions->plan, questions->events,
				 questions->judged, questions->n);
	if (pushed)
		PopActiveSnapshot();
}

/* The same, leaving no trace; false where the policies failed. */
static bool
try_policies(Relation relation, PolicyPlan *plan, RingEvent **events,
			 Judged *judged, int n)
{
	Questions	questions = {relation, plan, events, judged, n};
	ErrorData  *error;

	plan->busy++;
	error = chatroom_judge(ask_with_snapshot, &questions);
	plan->busy--;
	if (error == NULL)
		return true;
	if (chatroom_ends_call(error))
	{
		chatroom_hide_statement(error, QUESTION);
		ReThrowError(error);
	}
	ereport(DEBUG1,
			(errmsg_internal("policies of table \"%s\" failed: %s",
							 RelationGetRelationName(relation),
							 error->message)));
	FreeErrorData(error);
	return false;
}

/* What becomes of an event. */
static Verdict
verdict_of(const RingEvent *event, const Judged *judged)
{
	if (judged->missing)
		return VERDICT_RESET;
	if (!judged->new && !judged->old)
		return VERDICT_SHOW;	/* a truncation: the table's name only */
	if (judged->new != judged->old)
		return judged->new_visible || judged->old_visible ?
			VERDICT_SHOW : VERDICT_WITHHOLD;
	if (judged->new_visible)
		return judged->old_visible ? VERDICT_SHOW : VERDICT_ENTER;
	if (!judged->old_visible)
		return VERDICT_WITHHOLD;

	/* which row left?  Too large, and without key, it can't be told */
	if ((event->flags & RING_OVERSIZE) && event->nold == 0 &&
		event->key_len == strlen("null"))
		return VERDICT_RESET;
	return VERDICT_LEAVE;
}

/* Evaluate a relation's policies over its events; see access.h. */
void
chatroom_apply_policies(Oid relid, RingEvent **events, int n,
						Verdict *verdicts)
{
	Judged	   *judged = palloc_extended(sizeof(Judged) * Max(n, 1),
										 MCXT_ALLOC_HUGE);
	int			njudged = 0;
	Relation	relation;
	bool		told;

	for (int i = 0; i < n; i++)
		if (events[i]->relid == relid && verdicts[i] != VERDICT_WITHHOLD)
			judged[njudged++].index = i;

	/* under row_security = off a SELECT fails, and so does this */
	(void) check_enable_rls(relid, InvalidOid, false);
	relation = try_table_open(relid, AccessShareLock);
	told = relation != NULL &&
		try_policies(relation, find_plan(relid), events, judged, njudged);
	for (int i = 0; i < njudged; i++)
	{
		int			index = judged[i].index;

		if (relation == NULL)
			verdicts[index] = VERDICT_WITHHOLD;
		else if (!told)
			verdicts[index] = VERDICT_RESET;
		else
			verdicts[index] = verdict_of(events[index], &judged[i]);
	}
	if (relation != NULL)
		table_close(relation, AccessShareLock);
	pfree(judged);
}
