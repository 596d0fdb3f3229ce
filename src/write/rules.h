/*-------------------------------------------------------------------------
 *
 * rules.h
 *	  Rules of tables, as Ecto's changeset validations, and their errors.
 *
 * chatroom_rules() gives a relation's rules, compiled.  chatroom_check() holds
 * a row against them; chatroom_check_native() against the constraints that
 * PostgreSQL itself keeps.  Both answer with a list of RuleError.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_RULES_H
#define CHATROOM_RULES_H

#include "postgres.h"

#include "access/attnum.h"
#include "base/compat.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"

/* In the order in which the rules of one field are checked. */
typedef enum RuleKind
{
	RULE_REQUIRED,
	RULE_LENGTH,
	RULE_FORMAT,
	RULE_INCLUSION,
	RULE_EXCLUSION,
	RULE_SUBSET,
	RULE_NUMBER,
	RULE_ACCEPTANCE,
	RULE_CONFIRMATION,
	RULE_CHECK,
	RULE_EMBED,
	RULE_UNIQUE,
	RULE_ASSOC,
	RULE_NO_ASSOC,
	RULE_OPTIMISTIC_LOCK
} RuleKind;

/* What cast_embed does with objects that are replaced (Ecto's on_replace). */
typedef enum OnReplace
{
	ON_REPLACE_RAISE,
	ON_REPLACE_MARK_AS_INVALID,
	ON_REPLACE_NILIFY,
	ON_REPLACE_UPDATE,
	ON_REPLACE_DELETE
} OnReplace;

/*
 * One rule.  What others may read; the rest is private to rules.c and
 * validate.c.
 */
typedef struct Rule
{
	char	   *name;			/* <table>_<field>_<validation>, or given */
	RuleKind	kind;
	char	   *field;			/* what errors call it: column, association or
								 * attribute */
	int			ncolumns;		/* 0: field is no column */
	AttrNumber	columns[INDEX_MAX_KEYS];	/* of the relation it was asked
											 * for; errors name the first */
	Oid			relid;			/* relation that the rule was added to */
	Jsonb	   *params;			/* as given to add_rule */
	char	   *message;		/* own text, or NULL */
	bool		many;			/* RULE_EMBED: a list of objects */
	OnReplace	on_replace;		/* RULE_EMBED */
	struct RuleCode *code;		/* private */
} Rule;

/* The rules of a relation, with those of its ancestors. */
typedef struct RuleSet
{
	Oid			relid;
	int			nrules;
	Rule	   *rules;			/* by column, then kind, then name */
	bool		on_delete;		/* is there a rule for deletes? */
	struct RuleSetCode *code;	/* private */
} RuleSet;

/* A row, or what is to become one, and what is known of it. */
typedef struct RuleInput
{
	TupleDesc	tupdesc;		/* of the relation */
	Datum	   *values;			/* the new row's, by attnum - 1 */
	bool	   *nulls;
	const Datum *old;			/* the old row's; NULL: this is an insert */
	const bool *old_nulls;

	/*
	 * Attnums to be checked as changed.  NULL: on an insert all, on an update
	 * those that differ from the old row.  Rules "required" always count.  An
	 * empty set can't be told from NULL: see none_changed.
	 */
	const Bitmapset *changed;
	bool		none_changed;

	/* Attnums with errors (of a cast) already: their rules don't count. */
	const Bitmapset *failed;

	/*
	 * What the client sent, for acceptance and confirmation; NULL: these are
	 * skipped.  Not checked for being an object.
	 */
	Jsonb	   *attrs;

	/*
	 * Is this the trigger?  Then what native constraints will refuse anyway,
	 * in a way that upserts can make use of, is left to them: "unique" where a
	 * unique index says the same, "assoc" where the foreign key is deferred.
	 */
	bool		in_trigger;

	/* Is a row that is there already no error, but what it is for? */
	bool		upsert;

	/* The new row as a slot, if there is one; else it is made when needed. */
	TupleTableSlot *slot;
} RuleInput;

/* A key of an error's metadata; the value is JSON text. */
typedef struct RuleErrorKey
{
	const char *name;			/* kind, count, number, type, enum, ... */
	const char *json;
} RuleErrorKey;

/* One broken rule or constraint. */
typedef struct RuleError
{
	const char *field;			/* in an embed a path: items.0.name */
	const char *message;		/* Ecto's or own text, interpolated */
	const char *template;		/* the same before that; NULL: as message */
	const char *validation;		/* NULL: a native constraint */
	const char *constraint;		/* unique, foreign, check, exclusion, not_null,
								 * assoc, no_assoc; NULL: another rule */
	const char *rule;			/* rule's name; NULL: a native constraint */
	const char *name;			/* constraint's, or rule's; may be NULL */
	int			sqlerrcode;		/* a foreign key says the same: its code */
	AttrNumber	attnum;			/* first column, or 0 */
	Oid			relid;			/* whose rule or constraint; or InvalidOid */
	List	   *keys;			/* RuleErrorKey */
} RuleError;

/*
 * The rules of a relation; never NULL.  Good until the transaction ends.
 */
extern RuleSet *chatroom_rules(Relation relation);

/*
 * Make a relation and all below it have the trigger that enforces their rules,
 * and those above: after a table got or lost a parent.
 */
extern void chatroom_settle_rules(Oid relid);

/* The embed rule of a column, or NULL. */
extern const Rule *chatroom_embed_rule(const RuleSet *rules,
									   AttrNumber attnum);

/* Check an inserted or updated row.  NIL: all is well. */
extern List *chatroom_check(RuleSet *rules, Relation relation,
							const RuleInput *input);

/* Check a row (in input->values) that is to be deleted. */
extern List *chatroom_check_delete(RuleSet *rules, Relation relation,
								   const RuleInput *input);

/*
 * Check an inserted or updated row against the constraints that PostgreSQL
 * keeps: not null, check, unique, exclusion, foreign keys.  Looks up with the
 * caller's rights; what the caller may not read, and what is deferred, is
 * left to PostgreSQL.  Columns in input->failed, and those of the errors
 * given, are passed over.  Returns the errors given and more.
 */
extern List *chatroom_check_native(Relation relation, const RuleInput *input,
								   List *errors);

/*
 * What an error of a native constraint, or of the trigger itself, that was
 * caught is in a changeset: a list of RuleError, or NIL for other errors.
 */
extern List *chatroom_caught_errors(Relation relation, const ErrorData *error);

/* Make an error of one's own: keys are added with the function below. */
extern RuleError *chatroom_make_error(const char *field, AttrNumber attnum,
									  const char *text,
									  const char *validation);
extern void chatroom_error_key(RuleError *error, const char *name,
							   const char *json);

/* A string as JSON, for a key. */
extern char *chatroom_json_string(const char *string);

/* Put values for %{key} in the message: after the last key was added. */
extern void chatroom_interpolate_error(RuleError *error);

/* Append errors as a JSON array; for adapters with rules and templates. */
extern void chatroom_append_errors_json(StringInfo buf, const List *errors,
										bool for_adapters);

/*
 * Raise errors as the trigger does: 23514, all of them in DETAIL; or, if a
 * foreign key says of each the same, as the first one's would.
 */
CHATROOM_NORETURN extern void chatroom_raise_errors(Relation relation,
													const List *errors);

#endif							/* CHATROOM_RULES_H */
