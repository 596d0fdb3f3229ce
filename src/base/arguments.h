/*-------------------------------------------------------------------------
 *
 * arguments.h
 *	  Arguments of SQL functions, and members of JSON objects.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_ARGUMENTS_H
#define CHATROOM_ARGUMENTS_H

#include "postgres.h"

#include "base/compat.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/jsonb.h"

/* Refuse a null argument by name: 22004. */
extern void chatroom_require_argument(FunctionCallInfo fcinfo, int argument,
									  const char *name);

/*
 * Find a relation by its name, as regclass reads it; InvalidOid, if that is
 * wanted, where there is none.
 */
extern Oid	chatroom_named_relation(text *name, bool missing_ok);

/* The same, which must be one with rows: a table or view. */
extern Oid	chatroom_relation_arg(text *name);

/* The strings of an array argument: one dimension, no nulls. */
extern List *chatroom_array_texts(ArrayType *array, const char *argument);

/* An argument that must not be null. */
extern text *chatroom_text_arg(FunctionCallInfo fcinfo, int i,
							   const char *argument);
extern Jsonb *chatroom_jsonb_arg(FunctionCallInfo fcinfo, int i,
								 const char *argument);

/* The same, and must be an object, or a list. */
extern Jsonb *chatroom_object_arg(FunctionCallInfo fcinfo, int i,
								  const char *argument);
extern Jsonb *chatroom_list_arg(FunctionCallInfo fcinfo, int i,
								const char *argument);

/*
 * Complain of a column that isn't there, and was named by an argument, or by
 * none (NULL).
 */
CHATROOM_NORETURN extern void chatroom_no_column(const char *name,
												 const char *relation,
												 const char *argument);

/* Refuse what is no object, or no list. */
extern void chatroom_want_object(Jsonb *value, const char *what);
extern void chatroom_want_list(Jsonb *value, const char *what);

/* A member of an object, NULL if it has none; as it stands in it. */
extern JsonbValue *chatroom_member(JsonbContainer *object, const char *name);

/* The same as jsonb; also NULL for a null. */
extern Jsonb *chatroom_member_jsonb(Jsonb *object, const char *name);

/* The same as a string; an error if it is none. */
extern char *chatroom_member_text(Jsonb *object, const char *name,
								  const char *what);

/* A list of strings, or one string for a list of one. */
extern List *chatroom_text_list(Jsonb *value, const char *what);

/* An error for members other than those named, of which NULL is the last. */
extern void chatroom_only_members(Jsonb *object, const char *what,
								  const char *const *names);

/* A copy for the caller of a function that is about to call SPI_finish(). */
extern Jsonb *chatroom_keep_jsonb(Jsonb *value);

/* The kind of a JSON value, for errors. */
extern const char *chatroom_json_kind(const JsonbValue *value);

#endif							/* CHATROOM_ARGUMENTS_H */
