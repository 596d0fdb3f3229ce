/*-------------------------------------------------------------------------
 *
 * write.c
 *	  Statements that must have written what they were to write.
 *
 * A function has looked what is there, and then writes.  That the statement
 * hits nothing, or something else, has one of these causes:
 *
 * - Somebody else took the row away meanwhile.  Then there is no such row,
 *	 which is for the caller to say.
 * - The transaction has one snapshot for all its statements, and the row is
 *	 newer: functions look at members as of now.  Another try can't help, but
 *	 the transaction can be started again: 40001.
 * - A trigger of the owner's suppressed the row, or a policy of his hid it
 *	 from the statement: 09000.
 * - A trigger made another key of it: 27000.  What other columns it changed is
 *	 its affair: functions return the row as it was written.
 *
 * So no function returns a row that isn't there, or one of somebody else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/compat.h"
#include "chat/write.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

/* Raise that a table's row was not written. */
void
chatroom_not_written(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
			 errmsg("row of table \"%s\" was not written",
					get_rel_name(relid)),
			 errdetail("A trigger or a policy of the table's owner kept it "
					   "from being written.")));
}

/* Raise that it was written by another key. */
void
chatroom_written_as_another(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			 errmsg("row of table \"%s\" was written as another",
					get_rel_name(relid)),
			 errdetail("A trigger of the table changed its key."),
			 errhint("Give values that the trigger leaves as they are.")));
}

/* Read with a snapshot; false: it shows nothing. */
static bool
read_with(Snapshot snapshot, const ChatTables *tables, Oid relid,
		  const ChatStatement *statement, Datum *values, int flags,
		  ChatRows *rows)
{
	PushActiveSnapshot(snapshot);
	chatroom_query(tables, relid, statement, values, NULL,
				   flags | CHAT_READ_ONLY, rows);
	PopActiveSnapshot();
	return rows->n > 0;
}

/* Read as of now; see write.h. */
bool
chatroom_read_now(const ChatTables *tables, Oid relid,
				  const ChatStatement *statement, Datum *values, int flags,
				  ChatRows *rows)
{
	return read_with(GetLatestSnapshot(), tables, relid, statement, values,
					 flags, rows);
}

/* Raise why what is there now was not hit. */
static void
missed(const ChatTables *tables, Oid relid, const ChatStatement *look,
	   Datum *values, int flags)
{
	ChatRows	rows;

	if (IsolationUsesXactSnapshot() &&
		!read_with(GetTransactionSnapshot(), tables, relid, look, values,
				   flags, &rows))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access to table \"%s\" due to "
						"concurrent update", get_rel_name(relid)),
				 errdetail("It has a row by now that the transaction's "
						   "snapshot doesn't show."),
				 errhint("The transaction might succeed if retried.")));
	chatroom_not_written(relid);
}

/* Run a statement that writes one row; see write.h. */
bool
chatroom_write_row(const ChatTables *tables, Oid relid,
				   const ChatStatement *statement, const ChatStatement *look,
				   Datum *values, const char *nulls, int flags,
				   ChatRows *rows)
{
	bool		isnull;

	chatroom_query(tables, relid, statement, values, nulls, flags, rows);
	if (rows->n == 0)
	{
		if (look == NULL)
			chatroom_not_written(relid);
		if (chatroom_read_now(tables, relid, look, values, flags, rows))
			missed(tables, relid, look, values, flags);
		return false;
	}
	if (rows->tuples != NULL &&
		(!DatumGetBool(chatroom_row_extra(rows, 0, 0, &isnull)) || isnull))
		chatroom_written_as_another(relid);
	return true;
}

/* Run a statement that leaves nothing; see write.h. */
void
chatroom_write_all(const ChatTables *tables, Oid relid,
				   const ChatStatement *statement, const ChatStatement *left,
				   Datum *values, int flags)
{
	ChatRows	rows;

	/* what somebody else commits meanwhile, the next statement sees */
	for (int try = 0; try < CHAT_MAX_TRIES; try++)
	{
		CHECK_FOR_INTERRUPTS();
		chatroom_query(tables, relid, statement, values, NULL, flags, &rows);
		if (!chatroom_read_now(tables, relid, left, values, flags, &rows))
			return;
		if (IsolationUsesXactSnapshot())
			break;
	}
	missed(tables, relid, left, values, flags);
}
