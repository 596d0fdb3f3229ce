/*-------------------------------------------------------------------------
 *
 * fold.h
 *	  Bringing a value that a client holds up to date.
 *
 * Private to fold*.c.  All of a call's memory is in one context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_FOLD_H
#define CHATROOM_FOLD_H

#include "postgres.h"

#include "base/assoc.h"
#include "base/event.h"
#include "base/table.h"
#include "base/where.h"
#include "utils/array.h"
#include "utils/jsonb.h"

/*
 * Some columns' values of a row as text, the same for all spellings of equal
 * numbers.  Values of several columns are told apart by zero bytes.
 */
typedef struct FoldKey
{
	const char *data;
	int			len;
} FoldKey;

typedef enum FoldKeyResult
{
	FOLD_KEY_OK,
	FOLD_KEY_NULL,				/* one of them is null */
	FOLD_KEY_MISSING			/* the row doesn't have one of them */
} FoldKeyResult;

typedef struct FoldMapEntry
{
	FoldKey		key;
	uint32		hash;
	char		status;
	void	   *value;
} FoldMapEntry;

#define SH_PREFIX fold_map
#define SH_ELEMENT_TYPE FoldMapEntry
#define SH_KEY_TYPE FoldKey
#define SH_SCOPE extern
#define SH_DECLARE
#include "lib/simplehash.h"

/* What an answer says of one row. */
typedef struct FoldRow
{
	FoldKey		key;			/* in the end */
	JsonRow		source;			/* an object that has the key's columns */
	JsonbContainer *image;		/* in the end; NULL: not told, or gone */
	bool		gone;			/* in the end */
	bool		inserted;		/* came in by insert or enter */
	bool		incomplete;		/* the image lacks columns that are needed */
	bool		trusted;		/* what comes later would be told, too */
	bool		renamed;		/* its key changed */
	int			move;			/* 1: into the topics asked for, -1: out */
	List	   *events;			/* JsonbContainer, in order */
} FoldRow;

/* A table that the value has rows of, or that associations go through. */
typedef struct FoldTable
{
	TableInfo  *info;
	char	   *base;			/* schema.table as events tell it */
	int			base_len;
	Bitmapset  *readable;		/* columns that the caller may select */
	bool		shown;			/* the value has rows of it */
	bool		touched;		/* the answer has events of it */
	bool		truncated;
	bool		blind;			/* events of rows that can't be told apart */
	List	   *events;			/* JsonbContainer, in order */
	List	   *rows;			/* FoldRow, in order */
	fold_map_hash *initial;		/* rows by their keys before the answer */
	fold_map_hash *current;		/* and after it */
	Bitmapset  *needed;			/* columns that decisions are made by */
	List	   *levels;			/* FoldLevel: where the value has its rows */
} FoldTable;

typedef struct FoldLevel FoldLevel;
typedef struct FoldItem FoldItem;

/* The rows that an item has by one association. */
typedef struct FoldItems
{
	bool		parsed;			/* the items are known */
	bool		changed;		/* they differ from what the object has */
	int			n;
	int			allocated;
	FoldItem  **items;
} FoldItems;

/* A row at one place of the value. */
struct FoldItem
{
	JsonbContainer *object;		/* as it stood there; NULL: it comes in */
	int			len;			/* of object, in bytes */
	JsonbContainer *image;		/* newer values of columns; NULL: none */
	FoldKey		key;			/* before the answer */
	FoldRow    *row;			/* what the answer says of it, or NULL */
	bool		seen;			/* it was among the items to be looked at */
	int			written;		/* 1: is to be written anew, 0: not, -1: ? */
	FoldItems  *assocs;			/* by number of the branch */
};

/* An association that the value's rows have loaded. */
typedef struct FoldBranch
{
	char	   *name;			/* member of the objects */
	int			namelen;
	int			number;			/* among the level's branches */
	Assoc	   *assoc;
	List	   *steps;			/* Assoc: more than one for THROUGH */
	bool		to_one;
	FoldLevel  *from;
	FoldLevel  *level;
	FoldTable  *join;			/* MANY_TO_MANY */
	List	   *passed;			/* FoldTable: tables between, of THROUGH */
	RowFilter  *filter;			/* or NULL */
	RowOrder   *order;			/* or NULL: of one row */
	const AttrNumber *targets;	/* columns that tell rows of level */
	int			ntargets;

	/* while events are applied */
	bool		affected;		/* the answer may change it, or what's below */
	bool		selective;		/* but only for these owners: */
	fold_map_hash *owners;		/* by owner's key: anything */
	bool		reload;			/* load it anew for all rows */
	bool		join_truncated;
	fold_map_hash *changes;		/* by owner: List of FoldRow or FoldPair */
	fold_map_hash *pairs;		/* by owner and target: FoldPair */
	fold_map_hash *told;		/* by target columns: FoldRow */
	fold_map_hash *present;		/* by target columns: FoldItem */
} FoldBranch;

/* A row of a join table came or went. */
typedef struct FoldPair
{
	FoldKey		target;
	JsonRow		source;			/* row of the join table */
	bool		present;		/* in the end */
	int			count;			/* events */
	FoldItem   *shown_by;		/* owner looked at last that has the row */
} FoldPair;

struct FoldLevel
{
	struct Fold *fold;
	FoldTable  *table;
	FoldBranch *branch;			/* that leads here; NULL: the root */
	List	   *branches;		/* FoldBranch */
	bool		parsed;
	FoldItems	all;			/* the value's, in all places */
	FoldItems	live;			/* to be looked at while events are applied */
	Bitmapset  *columns;		/* that rows which come in show */
	fold_map_hash *index;		/* items by their keys in the end */
};

typedef struct Fold
{
	MemoryContext context;
	bool		connected;		/* to SPI */
	bool		reset;			/* all is to be loaded anew */
	bool		prepared;		/* rows have their newest images */
	List	   *tables;			/* FoldTable */
	FoldLevel  *root;
	bool		list;			/* the value is a list */
	FoldItems	items;			/* at the root */
	int			big_numbers;	/* 1: strings, 0: numbers, 2: none, -1: ? */
	bool		has_where;
	RowFilter  *filter;			/* of the options; or NULL */
	RowOrder   *order;			/* or NULL: as they come */
	int			limit;			/* -1: none */
} Fold;

/* fold.c */
extern void chatroom_fold_connect(Fold *fold);
extern void chatroom_fold_options(Fold *fold, Jsonb *options);

/* fold_value.c: the value, its rows and their keys */
extern FoldKeyResult chatroom_fold_key(const TableInfo *table,
									   const AttrNumber *columns, int n,
									   const JsonRow *row, FoldKey *key);
extern Piece chatroom_fold_piece(const JsonbValue *value);
extern void *chatroom_fold_find(fold_map_hash *map, FoldKey key);
extern void chatroom_fold_put(fold_map_hash **map, FoldKey key, void *value);
extern FoldLevel *chatroom_fold_root(Fold *fold, Oid relid,
									 ArrayType *preload);
extern bool chatroom_fold_take(Fold *fold, Jsonb *value);
extern void chatroom_fold_parse(FoldLevel *level);
extern void chatroom_fold_parse_items(FoldBranch *branch, FoldItem *item);
extern Bitmapset *chatroom_fold_columns(FoldLevel *level);
extern FoldItem *chatroom_fold_new_item(FoldLevel *level,
										JsonbContainer *image);
extern void chatroom_fold_append(FoldItems *items, FoldItem *item);
extern bool chatroom_fold_owner_key(FoldBranch *branch, FoldItem *item,
									FoldKey *key);
extern JsonRow chatroom_fold_json(const FoldItem *item);
extern Jsonb *chatroom_fold_write(Fold *fold, Jsonb *value);

/* fold_answer.c: what an answer says of which rows */
extern void chatroom_fold_read_answer(Fold *fold, Jsonb *answer);
extern JsonbContainer *chatroom_fold_member(JsonbContainer *event,
											const char *name);
extern const char *chatroom_fold_type(JsonbContainer *event);
extern bool chatroom_fold_has(const TableInfo *table, JsonbContainer *image,
							  const Bitmapset *columns);
extern bool chatroom_fold_event_changed(FoldTable *table,
										JsonbContainer *event,
										const Bitmapset *columns);
extern void chatroom_fold_match(FoldLevel *level, FoldItem *item);
extern void chatroom_fold_prepare(Fold *fold);

/* fold_apply.c: events onto the value */
extern void chatroom_fold_apply(Fold *fold);

/* fold_load.c: rows that events don't carry */

/* A row that is wanted by some columns' values. */
typedef struct FoldWant
{
	FoldItem   *item;			/* whom it is for */
	FoldKey		key;
	JsonRow		source;			/* the values ... */
	const TableInfo *source_table;	/* ... in columns of this table */
	const AttrNumber *source_columns;
	JsonbContainer *image;		/* what was found; NULL: nothing */
} FoldWant;

extern void chatroom_fold_load_rows(Fold *fold, FoldTable *table,
									const AttrNumber *columns, int n,
									const Bitmapset *shown, List *wants,
									bool cached);
extern JsonbContainer ***chatroom_fold_load_assoc(Fold *fold,
												  FoldBranch *branch,
												  FoldItem **items, int n,
												  int **counts);
extern List *chatroom_fold_load_list(Fold *fold, int limit);

#endif							/* CHATROOM_FOLD_H */
