/*-------------------------------------------------------------------------
 *
 * assoc.h
 *	  Associations between tables, as foreign keys tell them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_ASSOC_H
#define CHATROOM_ASSOC_H

#include "postgres.h"

#include "access/attnum.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef enum AssocKind
{
	ASSOC_BELONGS_TO,			/* our foreign key refers to them: one */
	ASSOC_HAS_ONE,				/* their foreign key, unique, refers to us */
	ASSOC_HAS_MANY,				/* their foreign key refers to us */
	ASSOC_MANY_TO_MANY,			/* a join table refers to us and to them */
	ASSOC_THROUGH				/* the associations of associated rows */
} AssocKind;

/* What becomes of associated rows that others take the place of. */
typedef enum ReplaceAction
{
	REPLACE_RAISE,
	REPLACE_MARK_AS_INVALID,
	REPLACE_NILIFY,
	REPLACE_UPDATE,
	REPLACE_DELETE,
	REPLACE_DELETE_IF_EXISTS
} ReplaceAction;

/* Columns of a foreign key and what they refer to; pairs by index. */
typedef struct AssocKey
{
	int			n;
	AttrNumber	referencing[INDEX_MAX_KEYS];
	AttrNumber	referenced[INDEX_MAX_KEYS];
} AssocKey;

typedef struct Assoc
{
	AssocKind	kind;
	Oid			from;			/* whose association it is */
	Oid			to;				/* the associated table */
	AssocKey	key;			/* of from, of to, or of join to from */
	Oid			join;			/* MANY_TO_MANY: the join table */
	AssocKey	join_key;		/* of join to to */
	bool		pure_join;		/* its two foreign keys are its key */
	bool		unique;			/* HAS: the foreign key's columns are unique */

	/* what chatroom.add_assoc was told, and foreign keys don't tell */
	char	   *added;			/* the name; NULL: as foreign keys tell */
	char	   *trigger;		/* where this is kept: a trigger's name ... */
	Oid			holder;			/* ... and its table */
	List	   *through;		/* THROUGH: names */
	ReplaceAction on_replace;
	Jsonb	   *where;			/* or NULL */
	Jsonb	   *order;			/* or NULL */
	List	   *names;			/* private to assoc.c */
} Assoc;

/* The words for kinds of associations and for what on_replace does. */
extern const char *chatroom_assoc_kind_name(AssocKind kind);
extern bool chatroom_parse_assoc_kind(const char *text, AssocKind *kind);
extern const char *chatroom_replace_name(ReplaceAction action);
extern bool chatroom_parse_replace(const char *text, ReplaceAction *action);

/* All associations of a table, those of chatroom.add_assoc first. */
extern List *chatroom_associations(Oid relid);

/* As foreign keys tell them, and no others. */
extern List *chatroom_derived_associations(Oid relid);

/*
 * The name to call an association by: the plainest that no other of the
 * table's goes by.  NULL: none (a foreign key that is there twice).
 */
extern const char *chatroom_association_name(const Assoc *assoc,
											 List *assocs);

/* One by its name; an error lists the names there are. */
extern Assoc *chatroom_find_association(Oid relid, const char *name);

/* The same; NULL: there is none of that name, or several. */
extern Assoc *chatroom_lookup_association(Oid relid, const char *name);

/* One by its name among some; missing_ok: NULL if there is none. */
extern Assoc *chatroom_choose_association(Oid relid, List *assocs,
										  const char *name, bool missing_ok);

/* The associations that a name stands for: more than one of a THROUGH. */
extern List *chatroom_expand_association(Assoc *assoc);

/* Has it one row on the other side, or many? */
extern bool chatroom_is_to_one(const Assoc *assoc);

/* A name in a path, as it is written and as an identifier is folded. */
typedef struct PathName
{
	char	   *exact;			/* of one in quotes both are what is in them */
	char	   *folded;
} PathName;

/* The names, PathName, of a path like posts.comments.author. */
extern List *chatroom_split_path(const char *path);

#endif							/* CHATROOM_ASSOC_H */
