/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between PostgreSQL versions, and nothing else.
 *
 * Every test of PG_VERSION_NUM in this extension lives here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_COMPAT_H
#define CHATROOM_COMPAT_H

#include "postgres.h"

#include "access/attmap.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "access/xlogreader.h"
#include "fmgr.h"
#include "replication/message.h"
#include "replication/slot.h"
#include "storage/lwlock.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "chatroom needs PostgreSQL 15 or later"
#endif

/* 16 declares V1 functions exported by itself. */
#if PG_VERSION_NUM < 160000
#define CHATROOM_FUNCTION(name) \
	PG_FUNCTION_INFO_V1(name); \
	PGDLLEXPORT Datum name(PG_FUNCTION_ARGS)
#else
#define CHATROOM_FUNCTION(name) PG_FUNCTION_INFO_V1(name)
#endif

/* 18 lets a module tell its name and version. */
#if PG_VERSION_NUM >= 180000
#define CHATROOM_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "chatroom", .version = "0.1.0")
#else
#define CHATROOM_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* 18 renamed this, and wants it in front. */
#if PG_VERSION_NUM >= 180000
#define CHATROOM_NORETURN pg_noreturn
#else
#define CHATROOM_NORETURN pg_attribute_noreturn()
#endif

/* 16 has input functions that tell of bad input without raising an error. */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#endif

/* Use that for PostgreSQL's own types; false: not to be had. */
static inline bool
chatroom_soft_input(FmgrInfo *function, char *text, Oid parameter,
					int32 typmod, Datum *result, bool *success)
{
#if PG_VERSION_NUM >= 160000
	ErrorSaveContext context = {T_ErrorSaveContext};

	if (function->fn_oid >= FirstNormalObjectId)
		return false;
	*success = InputFunctionCallSafe(function, text, parameter, typmod,
									 (Node *) &context, result);
	return true;
#else
	return false;
#endif
}

/* 17 added "flush" to LogLogicalMessage. */
static inline XLogRecPtr
chatroom_log_message(const char *prefix, const char *data, Size size,
					 bool transactional)
{
#if PG_VERSION_NUM >= 170000
	return LogLogicalMessage(prefix, data, size, transactional, false);
#else
	return LogLogicalMessage(prefix, data, size, transactional);
#endif
}

/* 17 and 19 added arguments to ReplicationSlotCreate. */
static inline void
chatroom_slot_create(const char *name, ReplicationSlotPersistency persistency)
{
#if PG_VERSION_NUM >= 190000
	ReplicationSlotCreate(name, false, persistency, false, false, false,
						  false);
#elif PG_VERSION_NUM >= 170000
	ReplicationSlotCreate(name, false, persistency, false, false, false);
#else
	ReplicationSlotCreate(name, false, persistency, false);
#endif
}

/* 18 added "error_if_invalid" to ReplicationSlotAcquire. */
static inline void
chatroom_slot_acquire(const char *name)
{
#if PG_VERSION_NUM >= 180000
	ReplicationSlotAcquire(name, true, false);
#else
	ReplicationSlotAcquire(name, true);
#endif
}

/* 16 replaced invalidated_at by a cause. */
#if PG_VERSION_NUM >= 160000
#define ChatroomSlotInvalid(slot) ((slot)->data.invalidated != RS_INVAL_NONE)
#else
#define ChatroomSlotInvalid(slot) \
	((slot)->data.invalidated_at != InvalidXLogRecPtr)
#endif

/* 19 names a tranche of locks when it is made, before each process did. */
#if PG_VERSION_NUM >= 190000
#define ChatroomNewTranche(name) LWLockNewTrancheId(name)
#define ChatroomRegisterTranche(id, name) ((void) 0)
#else
#define ChatroomNewTranche(name) LWLockNewTrancheId()
#define ChatroomRegisterTranche(id, name) LWLockRegisterTranche(id, name)
#endif

/* 19 added an error message to XLogFindNextRecord. */
static inline XLogRecPtr
chatroom_find_record(XLogReaderState *reader, XLogRecPtr lsn)
{
#if PG_VERSION_NUM >= 190000
	char	   *error;

	return XLogFindNextRecord(reader, lsn, &error);
#else
	return XLogFindNextRecord(reader, lsn);
#endif
}

/* 17 renamed backend ids to process numbers. */
#if PG_VERSION_NUM >= 170000
#define ChatroomMyProcNumber() MyProcNumber
#else
#define ChatroomMyProcNumber() (MyProc->pgprocno)
#endif

/* The transaction that this backend is in; 17 moved it. */
#if PG_VERSION_NUM >= 170000
#define ChatroomLocalTransaction() (MyProc->vxid.lxid)
#else
#define ChatroomLocalTransaction() (MyProc->lxid)
#endif

/* 17 lets an extension name its wait events. */
#if PG_VERSION_NUM >= 170000
#define ChatroomWaitEvent(name) WaitEventExtensionNew(name)
#else
#define ChatroomWaitEvent(name) PG_WAIT_EXTENSION
#endif

/* 18 has generated columns that are not stored: events don't carry them. */
#if PG_VERSION_NUM >= 180000
#define ChatroomIsVirtual(attribute) \
	((attribute)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#else
#define ChatroomIsVirtual(attribute) false
#endif

/* 16 added "missing_ok" to build_attrmap_by_name. */
#if PG_VERSION_NUM >= 160000
#define ChatroomAttrMap(in, out) build_attrmap_by_name(in, out, false)
#else
#define ChatroomAttrMap(in, out) build_attrmap_by_name(in, out)
#endif

/* 16 has one check of ownership for all kinds of objects. */
#if PG_VERSION_NUM >= 160000
#define ChatroomOwnsRelation(relid, role) \
	object_ownercheck(RelationRelationId, relid, role)
#else
#define ChatroomOwnsRelation(relid, role) pg_class_ownercheck(relid, role)
#endif

/* 16 replaced the ACL checks of each kind of object by one. */
#if PG_VERSION_NUM >= 160000
#define ChatroomMayExecute(function, role) \
	(object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == \
	 ACLCHECK_OK)
#else
#define ChatroomMayExecute(function, role) \
	(pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK)
#endif

/* 17 has infinite intervals. */
#if PG_VERSION_NUM >= 170000
#define ChatroomIntervalInfinite(interval) INTERVAL_NOT_FINITE(interval)
#else
#define ChatroomIntervalInfinite(interval) false
#endif

/* 17 has transaction_timeout, in ms; 0 is none. */
#if PG_VERSION_NUM >= 170000
#define ChatroomTransactionTimeout() TransactionTimeout
#else
#define ChatroomTransactionTimeout() 0
#endif

/*
 * From libpq/libpq.h, which wants GSSAPI's headers: they may be missing where
 * an extension is built.
 */
extern PGDLLIMPORT struct WaitEventSet *FeBeWaitSet;
#define ChatroomClientSocketPos	0	/* FeBeWaitSetSocketPos */

/* 16 replaced the checks of each kind of object's privileges by one. */
#if PG_VERSION_NUM >= 160000
#include "catalog/pg_namespace.h"
#define ChatroomSchemaUsable(schema, user) \
	(object_aclcheck(NamespaceRelationId, schema, user, ACL_USAGE) == \
	 ACLCHECK_OK)
#else
#define ChatroomSchemaUsable(schema, user) \
	(pg_namespace_aclcheck(schema, user, ACL_USAGE) == ACLCHECK_OK)
#endif

/* 16 split the column-number helpers of varattno off. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 19 added flags to table_beginscan. */
#if PG_VERSION_NUM >= 190000
#define ChatroomBeginScan(relation, snapshot) \
	table_beginscan(relation, snapshot, 0, NULL, SO_NONE)
#else
#define ChatroomBeginScan(relation, snapshot) \
	table_beginscan(relation, snapshot, 0, NULL)
#endif

/* 16 moved the permissions of range table entries to a list of their own. */
#if PG_VERSION_NUM >= 160000
#include "parser/parse_relation.h"
#define ChatroomRequireSelect(query, entry) \
	(addRTEPermissionInfo(&(query)->rteperminfos, entry)->requiredPerms = \
	 ACL_SELECT)
#else
#define ChatroomRequireSelect(query, entry) \
	((entry)->requiredPerms = ACL_SELECT)
#endif

/* 19 tells a slot's owner by process number, and volatile domains. */
#if PG_VERSION_NUM >= 190000
#define ChatroomSlotIsMine(slot) ((slot)->active_proc == MyProcNumber)
#define ChatroomDomainHasConstraints(type) DomainHasConstraints(type, NULL)
#else
#define ChatroomSlotIsMine(slot) ((slot)->active_pid == MyProcPid)
#define ChatroomDomainHasConstraints(type) DomainHasConstraints(type)
#endif

/* 18 has foreign keys over time ranges, and constraints not enforced. */
#if PG_VERSION_NUM >= 180000
#define ChatroomTemporalKey(form) ((form)->conperiod)
#define ChatroomKeyEnforced(form) ((form)->conenforced)
#define ChatroomCheckEnforced(check) ((check)->ccenforced)
#else
#define ChatroomTemporalKey(form) false
#define ChatroomKeyEnforced(form) true
#define ChatroomCheckEnforced(check) true
#endif

/* 18 has generated columns that are not stored, and their own function. */
#include "rewrite/rewriteHandler.h"
#if PG_VERSION_NUM >= 180000
#define ChatroomGenerationExpression(relation, attnum) \
	(TupleDescAttr(RelationGetDescr(relation), (attnum) - 1)->attgenerated == \
	 ATTRIBUTE_GENERATED_VIRTUAL ? \
	 build_generation_expression(relation, attnum) : \
	 build_column_default(relation, attnum))
#else
#define ChatroomGenerationExpression(relation, attnum) \
	build_column_default(relation, attnum)
#endif

/* 17 wants the relation open to tell an identity column's sequence. */
#include "catalog/dependency.h"
#if PG_VERSION_NUM >= 170000
#define ChatroomIdentitySequence(relation, attnum) \
	getIdentitySequence(relation, attnum, false)
#define ChatroomFindIdentitySequence(relation, attnum) \
	getIdentitySequence(relation, attnum, true)
#else
#define ChatroomIdentitySequence(relation, attnum) \
	getIdentitySequence(RelationGetRelid(relation), attnum, false)
#define ChatroomFindIdentitySequence(relation, attnum) \
	getIdentitySequence(RelationGetRelid(relation), attnum, true)
#endif

/* 18 has a code of its own for what ON DELETE RESTRICT refuses. */
#if PG_VERSION_NUM >= 180000
#define CHATROOM_ERRCODE_RESTRICT ERRCODE_RESTRICT_VIOLATION
#else
#define CHATROOM_ERRCODE_RESTRICT ERRCODE_FOREIGN_KEY_VIOLATION
#endif

#endif							/* CHATROOM_COMPAT_H */
