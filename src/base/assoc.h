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

typedef enum AssocKind
{
	ASSOC_BELONGS_TO,			/* our foreign key refers to them: one */
	ASSOC_HAS_ONE,				/* their foreign key, unique, refers to us */
	ASSOC_HAS_MANY,				/* their foreign key refers to us */
	ASSOC_MANY_TO_MANY			/* a join table refers to us and to them */
} AssocKind;

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
	List	   *names;			/* private to assoc.c */
} Assoc;

/* All associations of a table. */
extern List *chatroom_associations(Oid relid);

/* One by its name; an error lists the names there are. */
extern Assoc *chatroom_find_association(Oid relid, const char *name);

/* The same; NULL: there is none of that name, or several. */
extern Assoc *chatroom_lookup_association(Oid relid, const char *name);

/* The names of a path like posts.comments.author. */
extern List *chatroom_split_path(const char *path);

#endif							/* CHATROOM_ASSOC_H */
