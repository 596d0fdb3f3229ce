/*-------------------------------------------------------------------------
 *
 * table.h
 *	  What is known of a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_TABLE_H
#define CHATROOM_TABLE_H

#include "postgres.h"

#include "access/attnum.h"
#include "base/assoc.h"
#include "base/cast.h"
#include "base/jsonb_writer.h"
#include "base/values.h"
#include "executor/spi.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

typedef struct TableColumn
{
	AttrNumber	attnum;
	bool		dropped;		/* nothing else is set then */
	char	   *name;
	int			namelen;
	char	   *quoted;			/* the name, for SQL */
	Oid			typid;
	int32		typmod;
	int16		typlen;
	bool		typbyval;
	bool		one_spelling;	/* equal values: see spelling.h */
	bool		generated;		/* by an expression: never written */
	bool		identity_always;	/* GENERATED ALWAYS AS IDENTITY */
	bool		has_default;
	bool		volatile_default;	/* only an INSERT can tell its value */
	Expr	   *default_expr;	/* planned; NULL: none, constant or volatile */
	Datum		default_value;	/* of a constant one */
	bool		default_null;
	Oid			equal;			/* = of the type, or InvalidOid */
	Caster		caster;
	ValueWriter writer;
} TableColumn;

/* Are values of two columns spelled alike when a foreign key finds them so? */
extern bool chatroom_columns_alike(const TableColumn *column,
								   const TableColumn *other);

/* One key of the objects that rows of a kind become. */
typedef struct ShapeEntry
{
	JsonbKey	key;
	int			column;			/* index into the table's; -1: an extra */
	int			extra;			/* index into the names given; -1: a column */
} ShapeEntry;

/*
 * Good until the transaction ends, whatever happens to the table; it then
 * describes what was.
 */
typedef struct TableInfo
{
	Oid			relid;
	bool		valid;			/* false: look it up anew */
	MemoryContext context;
	char	   *name;
	char	   *quoted;			/* schema.table, for SQL */
	char		relkind;
	TupleDesc	tupdesc;
	int			natts;
	TableColumn *columns;		/* by attnum - 1 */
	Bitmapset  *all;			/* attnums of all that are not dropped ... */
	int			nsorted;
	ShapeEntry *sorted;			/* ... as objects have them */
	int			nkeys;
	AttrNumber	keys[INDEX_MAX_KEYS];	/* of the key; ascending */
	AttrNumber	inserted_at;	/* 0: no such column */
	AttrNumber	updated_at;
	bool		needs_settings; /* for chatroom_pin() */
	bool		other_triggers; /* row triggers BEFORE, not of ours */
	struct TablePlan *plans;	/* private to table.c */
	int			nplans;
	List	   *assocs;			/* these are private to table.c */
	MemoryContext assocs_context;
	bool		assocs_valid;
} TableInfo;

/* What objects of rows look like: keys in the order that jsonb has them. */
typedef struct RowShape
{
	int			n;
	ShapeEntry *entries;
} RowShape;

/* A row, by attnum - 1. */
typedef struct TableRow
{
	Datum	   *values;
	bool	   *nulls;
} TableRow;

extern TableInfo *chatroom_table(Relation relation);

/* The same by oid; the table is locked until the transaction ends. */
extern TableInfo *chatroom_open_table(Oid relid);

/* A column by its name, or NULL. */
extern TableColumn *chatroom_column(const TableInfo *table, const char *name,
									int len);

/* The same, with an error that says where the name is from. */
extern TableColumn *chatroom_named_column(const TableInfo *table,
										  const char *name, int len,
										  const char *argument);

/*
 * An association of a table by its name; missing_ok: NULL if there is none.
 * It lives as long as the table's entry.
 */
extern Assoc *chatroom_table_assoc(TableInfo *table, const char *name,
								   bool missing_ok);

/* The name in a path to look an association up by: the exact one first. */
extern char *chatroom_path_name(TableInfo *table, const PathName *name);

/*
 * The same, whose rows objects can have as a member of this name: an error if
 * there is a column of the name.
 */
extern Assoc *chatroom_loadable_assoc(TableInfo *table, const char *name);

/* The columns that the current user may select. */
extern Bitmapset *chatroom_readable_columns(const TableInfo *table);

/*
 * The plan of a statement, kept with the table that it is mostly about.  The
 * text must refer to nothing by a name that search_path decides on.
 */
extern SPIPlanPtr chatroom_plan(TableInfo *table, const char *sql, int nargs,
								Oid *types);

/*
 * The same, never planned for particular values.  exempt: for who is exempt
 * from policies for the time, for the server knows a plan by its user alone.
 */
extern SPIPlanPtr chatroom_generic_plan(TableInfo *table, const char *sql,
										int nargs, Oid *types, bool exempt);

/* An operator as it can be written anywhere: OPERATOR(schema.=). */
extern char *chatroom_quote_operator(Oid operator);

/* The equality of a column, for SQL; raises an error if it has none. */
extern const char *chatroom_equality(const TableInfo *table,
									 const TableColumn *column);

/* Append "a", "b" of a set of columns; alias NULL: none. */
extern void chatroom_append_columns(StringInfo buf, const TableInfo *table,
									const Bitmapset *columns,
									const char *alias);

/* Are two values of a column the same? */
extern bool chatroom_same_column_value(TableColumn *column,
									   Datum a, bool anull,
									   Datum b, bool bnull);

/* A hash of a value: those that are the same have the same. */
extern uint32 chatroom_hash_column_value(const TableColumn *column,
										 Datum value, bool isnull);

/* An empty row: all null. */
extern TableRow *chatroom_new_row(const TableInfo *table);

/* Are two rows of a table the same one?  Not where it has no key. */
extern bool chatroom_same_row(const TableInfo *table, const TableRow *a,
							  const TableRow *b);

/* A hash of a row's key: rows that are the same have the same. */
extern uint32 chatroom_hash_row(const TableInfo *table, const TableRow *row);

/* Take a row out of a query's result whose columns are those of a set. */
extern void chatroom_read_row(const TableInfo *table, TableRow *row,
							  const Bitmapset *columns, HeapTuple tuple,
							  TupleDesc tupdesc, int first);

/* Rows as jsonb; settings must be pinned, see values.h. */
extern RowShape *chatroom_shape(const TableInfo *table,
								const Bitmapset *columns, List *extras);
extern void chatroom_begin_shape(StringInfo buf, JsonbFrame *frame,
								 const RowShape *shape);
extern void chatroom_put_column(StringInfo buf, JsonbFrame *frame,
								TableColumn *column, Datum value,
								bool isnull);
extern void chatroom_put_row(StringInfo buf, JsonbFrame *parent,
							 const TableInfo *table,
							 const Bitmapset *columns, const TableRow *row);

#endif							/* CHATROOM_TABLE_H */
