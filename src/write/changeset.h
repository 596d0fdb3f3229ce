/*-------------------------------------------------------------------------
 *
 * changeset.h
 *	  Changesets: what is to become of a row, and what is wrong with that.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_CHANGESET_H
#define CHATROOM_CHANGESET_H

#include "postgres.h"

#include "base/assoc.h"
#include "base/table.h"
#include "nodes/parsenodes.h"
#include "write/permitted.h"
#include "write/rules.h"

typedef enum ChangesetAction
{
	ACTION_NONE,				/* an existing row, put into an association */
	ACTION_INSERT,
	ACTION_UPDATE,
	ACTION_DELETE
} ChangesetAction;

/* What becomes of one association; see nested.c. */
typedef struct AssocChange
{
	Assoc	   *assoc;
	char	   *name;			/* as attributes called it */
	bool		many;			/* a list in JSON */
	List	   *kept;			/* Changeset: in the order of attributes */
	List	   *current;		/* Changeset, parallel: true if associated
								 * already (an int list) */
	List	   *removed;		/* Changeset: to be deleted or set apart */
} AssocChange;

typedef struct Changeset
{
	TableInfo  *table;
	RuleSet    *rules;
	ChangesetAction action;
	Jsonb	   *attrs;			/* as given, or NULL */
	TableRow   *data;			/* the row there is; on an insert defaults */
	TableRow   *row;			/* with the changes */
	TableRow   *stored;			/* as written; NULL: it isn't, or can't be
								 * read */
	bool		written;		/* a statement of it hit a row */
	Bitmapset  *readable;		/* columns that the user may select */
	Bitmapset  *changed;		/* attnums */
	Bitmapset  *failed;			/* attnums that could not be cast */
	Bitmapset  *linked;			/* attnums that an association sets */
	Bitmapset  *later;			/* attnums that get a value when written */
	List	   *errors;			/* RuleError */
	bool		cast;			/* casting is done ... */
	int			ncast;			/* ... and had so many errors */
	List	   *assocs;			/* AssocChange */
	bool		valid;			/* no errors here, nor in associations */
	bool		unlink;			/* removed from a join table, not deleted */
} Changeset;

/* The row as it is after writing. */
#define ChangesetFinalRow(changeset) \
	((changeset)->stored != NULL ? (changeset)->stored : (changeset)->row)

/* Start a changeset: data NULL is an insert. */
extern Changeset *chatroom_new_changeset(Oid relid, ChangesetAction action,
										 TableRow *data);

/*
 * Cast attributes, of those that are permitted.  Those of no column nor
 * association are dropped.
 */
extern void chatroom_cast_attrs(Changeset *changeset, Jsonb *attrs,
								const PermittedLevel *level);

/* Set a column's value: it becomes a change, if it is one. */
extern void chatroom_set_value(Changeset *changeset, AttrNumber attnum,
							   Datum value, bool isnull);

/* An error of a changeset. */
extern void chatroom_add_error(Changeset *changeset, RuleError *error);

/*
 * Hold it against the rules.  "upsert": what a unique index refuses is not an
 * error.  "native" also holds it against native constraints.
 */
extern void chatroom_check_changeset(Changeset *changeset, bool upsert,
									 bool native);

/* Forget all errors but those of casting. */
extern void chatroom_forget_errors(Changeset *changeset);

/* The same for it and all in its associations: sets "valid". */
extern void chatroom_check_tree(Changeset *changeset, bool upsert,
								bool native);

/* The row is not there, or not as it was; attnum 0: the key's. */
extern void chatroom_add_stale(Changeset *changeset, AttrNumber attnum);

/* Is something to be written? */
extern bool chatroom_has_changes(const Changeset *changeset);

/* Write jsonb of a changeset; "put" has the settings pinned that it needs. */
typedef void (*PutChangeset) (StringInfo buf, JsonbFrame *parent,
							  const Changeset *changeset);
extern Jsonb *chatroom_write_changeset(const Changeset *changeset,
									   PutChangeset put);

/* {"valid", "action", "changes", "errors", "data"}. */
extern Jsonb *chatroom_changeset_jsonb(const Changeset *changeset);

/* The key that names a row, of JSON: an object, or a scalar. */
extern TableRow *chatroom_read_key(TableInfo *table, Jsonb *key);

/* Find a row by its key, of those columns; NULL: there is none. */
extern TableRow *chatroom_fetch_row(TableInfo *table, const TableRow *key,
								   const Bitmapset *columns, bool read_only);

/* Append "key = $n AND ...", with parameters from a number on. */
extern void chatroom_append_key(StringInfo buf, const TableInfo *table,
								int parameter);

/*
 * A changeset for the row that a key names.  Where there is none it has an
 * error.
 */
extern Changeset *chatroom_existing(Oid relid, Jsonb *key,
									ChangesetAction action, bool read_only);

/* Refuse what the user may not do to any row anyway. */
extern void chatroom_check_privilege(const TableInfo *table,
									 AclMode privilege);

/* Casting of associations, see nested.c. */
extern void chatroom_cast_assoc(Changeset *changeset, Assoc *assoc,
								const char *name, const JsonbValue *value,
								const PermittedLevel *level);

#endif							/* CHATROOM_CHANGESET_H */
