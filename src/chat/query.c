/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Statements about the tables of a prefix, and their rows as JSON.
 *
 * Where SQL says it, SQL does it: with the caller's own privileges and under
 * row-level security, as if the caller had typed the statement.  What users
 * may not write themselves, members and invites, is written as the tables'
 * owner, the way foreign keys are enforced; their functions check before.
 *
 * Plans are kept with the table, by their text, see base/table.h; a prefix
 * that is renamed has other texts.  They are generic: planning a page of
 * messages costs more than reading it, and what a planner could learn from the
 * values, the number of rows wanted, would not change the plan.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "base/owner.h"
#include "base/values.h"
#include "chat/query.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

/* Put a statement's text together. */
static char *
statement_text(const ChatTables *tables, const ChatRows *rows,
			   const ChatStatement *statement)
{
	StringInfoData buf;
	const char *pos = statement->sql;
	const char *sign;

	initStringInfo(&buf);
	while ((sign = strchr(pos, '%')) != NULL)
	{
		appendBinaryStringInfo(&buf, pos, sign - pos);
		if (sign[1] == 's')
			appendStringInfoString(&buf, quote_identifier(tables->prefix));
		else
		{
			Assert(sign[1] == 'c');
			chatroom_append_columns(&buf, rows->table, rows->columns, NULL);
		}
		pos = sign + 2;
	}
	appendStringInfoString(&buf, pos);
	return buf.data;
}

/* A statement to be run. */
typedef struct Execution
{
	const ChatRows *rows;
	const ChatStatement *statement;
	const char *sql;
	Datum	   *values;
	const char *nulls;
	int			flags;
} Execution;

/* Run it, as whoever the user is. */
static void
execute(void *arg)
{
	const Execution *execution = arg;
	const ChatStatement *statement = execution->statement;
	int			result;
	SPIPlanPtr	plan;

	plan = chatroom_generic_plan(execution->rows->table, execution->sql,
								 statement->nargs,
								 (Oid *) statement->types,
								 (execution->flags & CHAT_AS_OWNER) != 0);
	result = SPI_execute_plan(plan, execution->values, execution->nulls,
							  (execution->flags & CHAT_READ_ONLY) != 0, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement->sql,
			 SPI_result_code_string(result));
}

/* Run a statement; see query.h. */
void
chatroom_query(const ChatTables *tables, Oid relid,
			   const ChatStatement *statement, Datum *values,
			   const char *nulls, int flags, ChatRows *rows)
{
	Execution	execution = {rows, statement, NULL, values, nulls, flags};

	rows->table = chatroom_open_table(relid);
	rows->columns = chatroom_readable_columns(rows->table);

	/* if none may be read, the server is to say so */
	if (bms_is_empty(rows->columns))
		rows->columns = rows->table->all;
	rows->ncolumns = bms_num_members(rows->columns);

	execution.sql = statement_text(tables, rows, statement);
	if (flags & CHAT_AS_OWNER)
		chatroom_as_owner(tables->owner, execution.sql, execute, &execution);
	else if (flags & CHAT_CASCADES)
	{
		int			nest_level = chatroom_pin_search_path();

		execute(&execution);
		AtEOXact_GUC(true, nest_level);
	}
	else
		execute(&execution);
	rows->n = SPI_processed;
	rows->tuples = SPI_tuptable;
}

/* A row's value behind those of %c. */
Datum
chatroom_row_extra(const ChatRows *rows, uint64 i, int extra, bool *isnull)
{
	return heap_getattr(rows->tuples->vals[i], rows->ncolumns + extra + 1,
						rows->tuples->tupdesc, isnull);
}

/* Put rows as jsonb: one, or a list of all. */
static Jsonb *
write_jsonb(const ChatRows *rows, uint64 first, bool list)
{
	TableRow   *row = chatroom_new_row(rows->table);
	StringInfoData buf;
	JsonbFrame	frame;
	ValuePins	pins;

	if (!list && first >= rows->n)
		elog(ERROR, "there is no such row of table \"%s\"",
			 get_rel_name(rows->table->relid));
	chatroom_jsonb_start(&buf);
	chatroom_pin(&pins, rows->table->needs_settings);
	PG_TRY();
	{
		if (list)
			chatroom_begin_array(&buf, &frame, rows->n);
		for (uint64 i = first; i < (list ? rows->n : first + 1); i++)
		{
			chatroom_read_row(rows->table, row, rows->columns,
							  rows->tuples->vals[i], rows->tuples->tupdesc,
							  0);
			chatroom_put_row(&buf, list ? &frame : NULL, rows->table,
							 rows->columns, row);
		}
		if (list)
			chatroom_end(&buf, &frame, NULL);
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
	return chatroom_keep_jsonb(chatroom_jsonb_finish(&buf));
}

/* A row as events show it. */
Jsonb *
chatroom_row_jsonb(const ChatRows *rows, uint64 i)
{
	return write_jsonb(rows, i, false);
}

/* A list of all rows. */
Jsonb *
chatroom_rows_jsonb(const ChatRows *rows)
{
	return write_jsonb(rows, 0, true);
}

/* Append a row as JSON: its columns in the table's order, as in events. */
static void
append_row(StringInfo buf, const ChatRows *rows, const Datum *values,
		   const bool *nulls)
{
	int			attnum = -1;
	int			n = 0;

	while ((attnum = bms_next_member(rows->columns, attnum)) >= 0)
	{
		TableColumn *column = &rows->table->columns[attnum - 1];
		char		scratch[VALUE_SCRATCH];
		Piece		piece = {NULL, -1};

		appendStringInfoCharMacro(buf, n == 0 ? '{' : ',');
		chatroom_append_json_string(buf, column->name, column->namelen);
		appendStringInfoCharMacro(buf, ':');
		if (!nulls[n])
			chatroom_write_value(&column->writer, values[n], scratch,
								 &piece);
		chatroom_append_json_value(buf, column->writer.flags, &piece);
		n++;
	}
	appendStringInfoCharMacro(buf, '}');
}

/* Append rows, from one on, in either direction, with commas between. */
static void
append_rows(StringInfo buf, const ChatRows *rows, uint64 first, uint64 n,
			int64 step)
{
	TupleDesc	desc = rows->tuples->tupdesc;
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	ValuePins	pins;

	chatroom_pin(&pins, rows->table->needs_settings);
	PG_TRY();
	{
		for (uint64 i = 0; i < n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (i > 0)
				appendStringInfoCharMacro(buf, ',');
			heap_deform_tuple(rows->tuples->vals[first + i * step], desc,
							  values, nulls);
			append_row(buf, rows, values, nulls);
		}
	}
	PG_FINALLY();
	{
		chatroom_unpin(&pins);
	}
	PG_END_TRY();
}

/* Append a row as JSON object. */
void
chatroom_append_row(StringInfo buf, const ChatRows *rows, uint64 i)
{
	append_rows(buf, rows, i, 1, 1);
}

/* Append rows as a JSON array; see query.h. */
void
chatroom_append_rows(StringInfo buf, const ChatRows *rows, uint64 n,
					 bool reversed)
{
	appendStringInfoCharMacro(buf, '[');
	if (n > 0)
		append_rows(buf, rows, reversed ? n - 1 : 0, n, reversed ? -1 : 1);
	appendStringInfoCharMacro(buf, ']');
}
