/*-------------------------------------------------------------------------
 *
 * permitted.h
 *	  What of attributes is taken.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_PERMITTED_H
#define CHATROOM_PERMITTED_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* Paths, sorted. */
typedef struct PathSet
{
	int			n;
	char	  **paths;
} PathSet;

/* What a call permits, on all levels of its attributes. */
typedef struct Permitted
{
	bool		all;			/* whatever is given */
	PathSet		paths;
	PathSet		put;			/* associations that take rows by their keys */
} Permitted;

/* One level: where the attributes stand that are looked at. */
typedef struct PermittedLevel
{
	const Permitted *permitted;
	const char *prefix;			/* "" at the root, else like "books." */
} PermittedLevel;

/* Of lists of paths (char *); all: "paths" don't count. */
extern Permitted *chatroom_make_permitted(bool all, List *paths, List *put);

/* The arguments of a function: text[] that may be null, and not given. */
extern Permitted *chatroom_permitted_args(FunctionCallInfo fcinfo,
										  int permitted, int put);

/* All there is. */
extern Permitted *chatroom_all_permitted(void);

/* Is an attribute itself permitted? */
extern bool chatroom_permits(const PermittedLevel *level, const char *name,
							 int len);

/* Is something within it permitted? */
extern bool chatroom_permits_within(const PermittedLevel *level,
									const char *name, int len);

/* May an association take rows by their keys? */
extern bool chatroom_permits_put(const PermittedLevel *level,
								 const char *name, int len);

/* Is an association to be looked at: is any of that so, in it or below? */
extern bool chatroom_permits_assoc(const PermittedLevel *level,
								   const char *name, int len);

/* The level of what is within an attribute. */
extern PermittedLevel chatroom_permitted_below(const PermittedLevel *level,
											   const char *name, int len);

/*
 * An object, or list of objects, with only those members that are permitted on
 * the level.
 */
extern Jsonb *chatroom_permitted_part(const PermittedLevel *level,
									  const JsonbValue *value);

#endif							/* CHATROOM_PERMITTED_H */
