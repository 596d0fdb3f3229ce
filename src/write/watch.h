/*-------------------------------------------------------------------------
 *
 * watch.h
 *	  Making and removing watches.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_WATCH_H
#define CHATROOM_WATCH_H

#include "postgres.h"

#include "base/watches.h"
#include "catalog/pg_class.h"
#include "utils/array.h"

/* What a watch is to be; checked by who fills it in. */
typedef struct WatchOptions
{
	Oid			relid;
	const char *label;			/* NULL: none */
	int			events;			/* WATCH_* */
	List	   *columns;		/* attnums; NIL: all */
	List	   *trigger_columns;	/* attnums; NIL: any */
	bool		default_topics; /* foreign keys' */
	List	   *topic_columns;	/* else these attnums */
	const char *condition;		/* for WHEN, over "new"; NULL: none */
	bool		big_numbers_text;
	bool		always;
	int			nextra;			/* topics of the chat tables */
	WatchTopic	extra[CHATROOM_MAX_EXTRA];
	bool		audience;		/* see WatchInfo */
	AttrNumber	cascade;
} WatchOptions;

/* Find a relation by its name, and check that the caller may watch it. */
extern Oid	chatroom_watchable_relation(text *name);

/* Make or change a watch; returns its topic. */
extern char *chatroom_make_watch(const WatchOptions *options);

/* Refuse all but the owner of a table: 42501. */
extern void chatroom_require_owner(Oid relid);

/*
 * Check a table that the caller means to give a watch or rules, and so must
 * own.  "refuse" raises an error for what can't have them.
 */
extern void chatroom_check_table(Oid relid,
								 void (*refuse) (Oid, Form_pg_class));

/* Is this a relation of the system? */
extern bool chatroom_is_system(Oid relid, Form_pg_class form);

/* May the user know of a relation's watches, rules and associations? */
extern bool chatroom_may_see(Oid relid);

#endif							/* CHATROOM_WATCH_H */
