/*-------------------------------------------------------------------------
 *
 * rulecode.h
 *	  What rules are compiled to; private to the files that do and use it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_RULECODE_H
#define CHATROOM_RULECODE_H

#include "postgres.h"

#include "base/assoc.h"
#include "base/watches.h"
#include "executor/spi.h"
#include "nodes/execnodes.h"
#include "utils/numeric.h"
#include "write/condition.h"
#include "write/rules.h"

/* How a value is to be read. */
typedef enum ValueClass
{
	CLASS_NONE,					/* no column */
	CLASS_TEXT,					/* stored as text is */
	CLASS_NAME,
	CLASS_BYTES,				/* bytea */
	CLASS_ARRAY,
	CLASS_JSON,
	CLASS_JSONB,
	CLASS_INTEGER,				/* smallint, integer, bigint */
	CLASS_FLOAT4,
	CLASS_FLOAT8,
	CLASS_NUMERIC,
	CLASS_BOOLEAN,
	CLASS_OTHER
} ValueClass;

/* A column's type; of a domain its base type. */
typedef struct ValueType
{
	ValueClass	class;
	Oid			typid;
	Oid			collation;
	int16		typlen;
	bool		typbyval;
	char		typalign;
} ValueType;

typedef enum LengthUnit
{
	COUNT_GRAPHEMES,
	COUNT_CODEPOINTS,
	COUNT_BYTES
} LengthUnit;

/* Values that a column may or may not have. */
typedef struct ValueList
{
	const char *shown;			/* by errors: the first ones, as JSON list */
	char	   *more;			/* how many errors leave out; NULL: none */
	int			n;
	Datum	   *values;			/* of the type; else NULL */
	Jsonb	  **jsons;			/* for values that are JSON; in order */
	ValueType	type;			/* of the elements */
	bool		bytewise;		/* equal is what has the same bytes */
	bool		sorted;			/* values are, by bytes or by "compare" */
	FmgrInfo	equal;			/* of the type */
	FmgrInfo	compare;		/* of the type, if sorted and not bytewise */
} ValueList;

typedef struct NumberLimit
{
	int			relation;		/* index into chatroom_number_relations */
	const char *json;			/* as given */
	Numeric		number;
	bool		integral;		/* "integer" is it exactly */
	int64		integer;
	double		real;
} NumberLimit;

typedef struct NumberRelation
{
	const char *name;			/* less_than ... */
	const char *text;			/* must be less than %{number} */
	bool		less;			/* does it hold for what is less, */
	bool		equal;			/* equal, */
	bool		greater;		/* greater? */
} NumberRelation;

#define NUMBER_RELATIONS		6
extern const NumberRelation chatroom_number_relations[NUMBER_RELATIONS];

/* A query for rows of a table that have given values. */
typedef struct Lookup
{
	Oid			relid;			/* table that is looked into */
	List	   *columns;		/* its attnums that the query reads */
	char	   *query;			/* answers with rows, or none */
	bool		single;			/* with one row at most: the key is unique */
	int			nargs;
	Oid			argtypes[INDEX_MAX_KEYS * 2];
	SPIPlanPtr	plan;			/* NULL: not prepared yet */
} Lookup;

/* What a rule is compiled to. */
typedef struct RuleCode
{
	ValueType	type;			/* of the field's column */
	int			number;			/* attnum of the column, 0 for none */
	int			order;			/* the same in the rule's own relation */
	bool		always;			/* counts whatever changed */
	Bitmapset  *depends;		/* attnums whose change makes it count */
	RowCondition *generated;	/* the value, where the column is generated */
	const char *problem;		/* why it can't be enforced; else NULL */
	bool		outline;		/* to be looked at: no code of users' runs */

	int64		is;				/* length; -1: not limited */
	int64		min;
	int64		max;
	LengthUnit	unit;
	text	   *pattern;		/* format */
	ValueList  *list;			/* inclusion, exclusion, subset */
	int			nlimits;		/* number */
	NumberLimit limits[NUMBER_RELATIONS];
	bool		confirmation_required;
	RowCondition *condition;	/* check */
	int			nrules;			/* embed */
	Rule	   *rules;
	bool		native;			/* unique: an index says the same; assoc,
								 * no_assoc: a foreign key does, deferred */
	bool		guarded;		/* native, or a foreign key not deferred: who
								 * may not look it up may still write */
	char	   *fields_json;	/* unique: fields, as JSON */
	Lookup	   *lookup;			/* unique, assoc, no_assoc */
	int			nkeys;			/* columns that it is asked with ... */
	AttrNumber	keys[INDEX_MAX_KEYS];	/* of the relation that fires */
	AttrNumber	same[INDEX_MAX_KEYS];	/* assoc to the same table: the
										 * column that is referred to */
	bool		has_many;		/* no_assoc */
	const char *constraint;		/* assoc, no_assoc: the foreign key, ... */
	int			sqlerrcode;		/* ... and what the server raises for it */
	Oid			collations[INDEX_MAX_KEYS];	/* to compare with: unique, the */
	FmgrInfo	equals[INDEX_MAX_KEYS]; /* old row's; assoc, "same" */
} RuleCode;

typedef struct RuleSetCode
{
	MemoryContext context;		/* holds the set */
	TupleDesc	tupdesc;
	int			natts;			/* the last column that is needed */
	AttrNumber	lock_column;	/* optimistic_lock; 0: none */
	const Rule *lock;
	bool		lookups;		/* does any rule look into tables? */
	struct NativeSet *native;	/* constraints; NULL: not compiled yet */
	int			nrelations;		/* that this was made from */
	Oid		   *relations;
} RuleSetCode;

/* params.c */

typedef struct RuleKindInfo
{
	const char *name;
	bool		in_embed;		/* can it be in an embed? */
	bool		needs_column;
	const char *const *params;	/* NULL ends */
} RuleKindInfo;

extern const RuleKindInfo *chatroom_rule_kind(RuleKind kind);

/* A kind by its name; an error if there is none. */
extern RuleKind chatroom_find_rule_kind(const char *name);

/* The type of a column, or of what is to be taken for one. */
extern void chatroom_value_type(ValueType *type, Oid typid, Oid collation);

/*
 * Read a rule's parameters into rule->code, with rule->kind and code->type
 * set.  Errors tell what is wrong with them.
 */
extern void chatroom_read_params(Rule *rule);

/* Refuse what is no object, and keys that a kind doesn't have. */
extern void chatroom_check_params(RuleKind kind, Jsonb *params);

/* The strings of a list in parameters; NULL: not given. */
extern List *chatroom_param_strings(Jsonb *params, const char *name);

/* One string of parameters; NULL: not given. */
extern char *chatroom_param_string(Jsonb *params, const char *name);

/* Parameters without one of the keys. */
extern Jsonb *chatroom_params_without(Jsonb *params, const char *name);

extern char *chatroom_json_text(Jsonb *json);

/*
 * Parameters as they are kept: values of a list are what their type writes
 * under fixed settings, so that they mean the same in every session.
 */
extern Jsonb *chatroom_kept_params(RuleKind kind, const char *field,
								   Jsonb *params, Oid typid);

/* Is a value, not null, one of a list's? */
extern bool chatroom_list_has(ValueList *list, Datum value);
extern bool chatroom_list_has_json(const ValueList *list, JsonbValue *value);

/* foreign.c */

typedef struct ForeignKey
{
	Oid			oid;
	char	   *name;
	Oid			referencing;	/* table that has it */
	Oid			referenced;
	int			n;
	AttrNumber	columns[INDEX_MAX_KEYS];	/* of referencing */
	AttrNumber	keys[INDEX_MAX_KEYS];	/* of referenced */
	Oid			operators[INDEX_MAX_KEYS];	/* key = column */
	char		match;			/* FKCONSTR_MATCH_* */
	bool		deferred;		/* checked at the transaction's end */
	bool		restricts;		/* ON DELETE RESTRICT */
	bool		enforced;		/* by NO ACTION or RESTRICT */
} ForeignKey;

/* The foreign keys of a table; those over time ranges are left out. */
extern List *chatroom_foreign_keys(Relation relation);

/* The foreign key of just these columns, NULL if there is none. */
extern ForeignKey *chatroom_foreign_key(Relation relation, int n,
										const AttrNumber *columns);

/* lookup.c */

/*
 * Make a look-up of rows whose columns equal arguments, by the operators
 * given, in the current memory context: its plan is freed with that.
 */
extern Lookup *chatroom_make_lookup(Oid relid, int n,
									const AttrNumber *columns,
									const Oid *argtypes,
									const Oid *operators);

/* One with a condition of another kind; the table is "t" in it. */
extern Lookup *chatroom_make_lookup_where(Oid relid, const char *where);

/* One of the row that a foreign key refers to, by its columns' values. */
extern Lookup *chatroom_make_key_lookup(const ForeignKey *key);

/* May the user look there? */
extern bool chatroom_may_look_up(const Lookup *lookup);

/* Is there such a row?  nulls as of SPI, or NULL. */
extern bool chatroom_look_up(Lookup *lookup, const Datum *values,
							 const char *nulls);

/* ruleset.c */

/* One rule that a relation itself has, with its parameters; not compiled. */
typedef struct RuleRow
{
	Oid			triggerid;
	char	   *name;
	Rule		rule;			/* params: not read yet, where there is text */
	char	   *params;			/* text of the parameters, or NULL */
	bool		broken;			/* not as add_rule() makes it */
	Node	   *condition;		/* check: over NEW (varno 2) */
} RuleRow;

/* What rules are compiled for. */
typedef enum RulePurpose
{
	RULES_NEW,					/* making one: errors are the caller's */
	RULES_STORED,				/* checking rows: errors name the rule */
	RULES_ALTERED,				/* the same, but runs nothing of users' */
	RULES_OUTLINE				/* looking at them: runs nothing of users' */
} RulePurpose;

/* With "broken", those that are not as add_rule() makes them, too. */
extern List *chatroom_relation_rules(Oid relid, bool broken);

/* The parameters of a row that was read. */
extern Jsonb *chatroom_row_params(const RuleRow *row);

/*
 * Make a set of some rules for a relation: the one that they were added to, or
 * one below.  Relations whose change makes it void are added to the list.  It
 * isn't cached, but in the current memory context.
 */
extern RuleSet *chatroom_make_rules(Relation relation, List *rows,
									List **relations, RulePurpose purpose);

/* Replace generated columns by what they are generated from. */
extern Node *chatroom_expand_generated(Node *expr, Relation relation);

/* validate.c */

/* Are two values of a column the same, byte by byte? */
extern bool chatroom_same_value(Form_pg_attribute attribute, Datum a,
								bool a_null, Datum b, bool b_null);

/* Make a slot of the new row. */
extern TupleTableSlot *chatroom_make_row_slot(const RuleInput *input);

/* Is a column's value another one than before, or is it to be taken so? */
extern bool chatroom_column_changed(const RuleInput *input,
									AttrNumber attnum);

/* Is a kind enforced by the trigger? */
#define RuleKindFires(kind) \
	((kind) != RULE_ACCEPTANCE && (kind) != RULE_CONFIRMATION)

#endif							/* CHATROOM_RULECODE_H */
