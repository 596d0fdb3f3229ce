/*-------------------------------------------------------------------------
 *
 * judging.c
 *	  Running what users defined to learn what it says, and for nothing else.
 *
 * A table's policies are its owner's code.  While chatroom evaluates them for
 * events, they run with the powers of the caller, who may be an application
 * server that speaks for everybody, and who asked for no such thing.  So they
 * run in a security-restricted operation, where roles can't be changed nor
 * users acted for, read-only, and in a subtransaction that is rolled back in
 * any case: so what they set is not set afterwards, whatever it was and
 * however it ended.  The answers were copied out before.
 *
 * Whatever error they raise is theirs, and says that they could not be asked.
 * But a cancel, a time-out or a deadlock is the caller's.  Its SQLSTATE tells
 * nothing, since they may raise any: so the error is asked which function of
 * the server raised it, which no SQL can forge.
 *
 * PostgreSQL, too, runs the code of tables' owners for others: in ANALYZE,
 * REINDEX, CREATE INDEX, REFRESH MATERIALIZED VIEW, autovacuum, logical
 * replication.  It changes the user and restricts the operation, but the
 * outer user, by whom chat knows its users, remains: there chat has to know
 * nobody.  Judging that goes on inside is no different.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/judging.h"
#include "base/owner.h"
#include "base/subtransaction.h"
#include "miscadmin.h"

/* Is the operation restricted by what is judged here alone? */
static bool judging = false;

/* What is to be judged. */
typedef struct Judgement
{
	JudgingWork work;
	void	   *arg;
} Judgement;

/* Judge it, in a subtransaction; its end puts back what is changed here. */
static bool
judge(void *arg)
{
	const Judgement *judgement = arg;

	chatroom_restrict();
	XactReadOnly = true;
	judgement->work(judgement->arg);
	return false;
}

/* Run what users defined, and leave no trace of it; see judging.h. */
ErrorData *
chatroom_judge(JudgingWork work, void *arg)
{
	Judgement	judgement = {work, arg};
	bool		before = judging;
	ErrorData  *error;

	judging = !chatroom_in_maintenance();
	PG_TRY();
	{
		(void) chatroom_subtransaction(judge, &judgement, &error);
	}
	PG_FINALLY();
	{
		judging = before;
	}
	PG_END_TRY();
	return error;
}

/* Must an error end the call?  See judging.h. */
bool
chatroom_ends_call(const ErrorData *error)
{
	static const char *const functions[] = {
		"ProcessInterrupts",
		"ProcessRecoveryConflictInterrupt",
		"ProcessRecoveryConflictInterrupts",
		"DeadLockReport"
	};

	for (int i = 0; i < lengthof(functions); i++)
		if (error->funcname != NULL &&
			strcmp(error->funcname, functions[i]) == 0)
			return true;
	return false;
}

/* Is this one of PostgreSQL's restricted operations?  See judging.h. */
bool
chatroom_in_maintenance(void)
{
	return InSecurityRestrictedOperation() && !judging;
}

/* Refuse what would outlive such an operation, or give it powers. */
void
chatroom_refuse_restricted(const char *what)
{
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot use %s within security-restricted operation",
						what),
				 errdetail("Policies that are evaluated for events, and "
						   "functions in ANALYZE, REINDEX, CREATE INDEX and "
						   "REFRESH MATERIALIZED VIEW, run in such a one.")));
}
