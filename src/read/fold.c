/*-------------------------------------------------------------------------
 *
 * fold.c
 *	  chatroom.fold: values that a client holds stay true.
 *
 * A client holds a row, a list of rows, or rows with nested associations as
 * JSON, and a cursor.  fold() applies an answer of sync() to the value, which
 * is then what preload() would return at the answer's cursor.  See
 * docs/fold.md.
 *
 *	  fold_value.c		the value's rows, and writing it
 *	  fold_answer.c		what the answer says of which rows
 *	  fold_apply.c		the one applied to the other
 *	  fold_load.c		rows that the answer doesn't carry
 *	  fold_topics.c		chatroom.topics_for
 *
 * No query runs where the events carry all that is needed; SPI is connected to
 * when the first one does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "base/spi.h"
#include "read/fold.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"

CHATROOM_FUNCTION(chatroom_fold);

/* Connect to SPI, unless that was done. */
void
chatroom_fold_connect(Fold *fold)
{
	if (fold->connected)
		return;
	chatroom_spi_connect();
	fold->connected = true;
	MemoryContextSwitchTo(fold->context);
}

/* The limit that the options have. */
static int
read_limit(Jsonb *limit)
{
	JsonbValue	value;
	char	   *end = "";
	long		number = 0;

	if (limit == NULL)
		return -1;
	if (JsonbExtractScalar(&limit->root, &value) &&
		value.type == jbvNumeric)
		number = strtol(numeric_normalize(value.val.numeric), &end, 10);
	if (number < 1 || number > PG_INT32_MAX || *end != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"limit\" of options must be a number from 1 on")));
	return number;
}

/* What the options say of the value's list. */
void
chatroom_fold_options(Fold *fold, Jsonb *options)
{
	static const char *const members[] = {"where", "order", "limit", NULL};
	FoldTable  *table = fold->root->table;
	Jsonb	   *where;
	Jsonb	   *order;

	chatroom_want_object(options, "options");
	chatroom_only_members(options, "options", members);
	where = chatroom_member_jsonb(options, "where");
	order = chatroom_member_jsonb(options, "order");
	fold->limit = read_limit(chatroom_member_jsonb(options, "limit"));
	if (where != NULL)
	{
		fold->has_where = true;
		fold->filter = chatroom_make_filter(table->info, where,
											"\"where\" of options");
		table->needed = chatroom_filter_columns(fold->filter, table->needed);
	}
	if (order != NULL || fold->limit >= 0)
	{
		fold->order = chatroom_make_order(table->info, order,
										  "\"order\" of options");
		table->needed = chatroom_order_columns(fold->order, table->needed);
	}
}

/* Bring a value up to date. */
static Jsonb *
fold_value(Fold *fold, Jsonb *value, Jsonb *answer)
{
	bool		pushed = false;

	chatroom_fold_read_answer(fold, answer);
	if (!chatroom_fold_take(fold, value))
		return value;

	/* the cursor of a reset may be of after the statement's snapshot */
	if (fold->reset && !IsolationUsesXactSnapshot())
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		pushed = true;
	}
	chatroom_fold_prepare(fold);
	chatroom_fold_apply(fold);
	if (pushed)
		PopActiveSnapshot();
	return chatroom_fold_write(fold, value);
}

/* fold(value jsonb, answer json, relation, preload, options) → jsonb */
Datum
chatroom_fold(PG_FUNCTION_ARGS)
{
	text	   *text = chatroom_text_arg(fcinfo, 1, "answer");
	MemoryContext caller = CurrentMemoryContext;
	Fold		fold = {0};
	Oid			relid;
	Jsonb	   *value;
	Jsonb	   *result;
	Datum		answer;

	relid = chatroom_relation_arg(chatroom_text_arg(fcinfo, 2, "relation"));
	chatroom_require_argument(fcinfo, 3, "preload");
	fold.context = AllocSetContextCreate(caller, "chatroom fold",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(fold.context);
	value = PG_ARGISNULL(0) ?
		DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
										   CStringGetDatum("null"))) :
		PG_GETARG_JSONB_P(0);
	fold.root = chatroom_fold_root(&fold, relid, PG_GETARG_ARRAYTYPE_P(3));
	chatroom_fold_options(&fold, chatroom_jsonb_arg(fcinfo, 4, "options"));
	answer = CStringGetDatum(text_to_cstring(text));
	value = fold_value(&fold, value,
					   DatumGetJsonbP(DirectFunctionCall1(jsonb_in, answer)));
	MemoryContextSwitchTo(caller);
	result = palloc(VARSIZE(value));
	memcpy(result, value, VARSIZE(value));
	if (fold.connected)
		chatroom_spi_finish();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(fold.context);
	PG_RETURN_JSONB_P(result);
}
