/*-------------------------------------------------------------------------
 *
 * subtransaction.c
 *	  Doing something in a subtransaction.
 *
 * PL/pgSQL's blocks with EXCEPTION do it in this order (exec_stmt_block() in
 * pl_exec.c), and so do PL/Perl and PL/Python: the error is copied out of the
 * memory for errors before that is flushed, and flushed before the rollback,
 * which must not run inside the handling of an error.  Beginning and ending a
 * subtransaction both change the memory context and the resource owner; those
 * of before are put back, whatever happened.  SPI gives back what was
 * connected inside by itself (AtEOSubXact_SPI()).
 *
 * An error that only has to go on still ends the subtransaction here: who
 * catches it further up knows nothing of an internal one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/subtransaction.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* Do some work in a subtransaction; see subtransaction.h. */
bool
chatroom_subtransaction(SubtransactionWork work, void *arg, ErrorData **error)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile raised = NULL;
	volatile bool kept = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		kept = work(arg);
		if (kept)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		raised = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		kept = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (error != NULL)
		*error = raised;
	else if (raised != NULL)
		ReThrowError(raised);
	return kept;
}
