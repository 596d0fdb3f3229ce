/*-------------------------------------------------------------------------
 *
 * watches.h
 *	  What the catalog says about watches.
 *
 * A watch is a trigger of the function chatroom.emit; everything that
 * chatroom.watch was told stands in it and in its holders (see watches.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_WATCHES_H
#define CHATROOM_WATCHES_H

#include "postgres.h"

#include "access/attnum.h"
#include "base/event.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "utils/snapshot.h"

/* The schema of everything. */
#define CHATROOM_SCHEMA			"chatroom"

/* Longest label, in bytes. */
#define CHATROOM_MAX_LABEL		63

/* Most topics that a watch adds to each event beyond its own. */
#define CHATROOM_MAX_EXTRA		4

/* Kinds of change that a watch can emit. */
#define WATCH_INSERT			0x01
#define WATCH_UPDATE			0x02
#define WATCH_DELETE			0x04
#define WATCH_TRUNCATE			0x08
#define WATCH_ROW_EVENTS		(WATCH_INSERT | WATCH_UPDATE | WATCH_DELETE)
#define WATCH_ALL_EVENTS		(WATCH_ROW_EVENTS | WATCH_TRUNCATE)

/* A topic beyond a watch's own; see chatroom_extra_prefix(). */
typedef struct WatchTopic
{
	char	   *name;			/* "room:", "rooms" or "*" */
	AttrNumber	attnum;			/* its value is appended; 0: none */
} WatchTopic;

typedef struct WatchInfo
{
	Oid			relid;			/* relation that the watch was made on */
	Oid			triggerid;
	char	   *trigger;		/* its name */
	char	   *label;			/* NULL: none */
	char	   *base;			/* topic: schema.table, or the label */
	int			events;			/* WATCH_* */
	bool		enabled;		/* fires in an ordinary session */
	bool		always;			/* and in one that applies replicated rows */
	bool		big_numbers_text;
	bool		broken;			/* a holder is gone: show keys only */
	bool		all_columns;	/* else those of "columns" */
	Bitmapset  *columns;
	bool		any_column;		/* else an update of "trigger_columns" counts */
	Bitmapset  *trigger_columns;
	bool		default_topics; /* topic columns are the foreign keys */
	int			ntopics;
	AttrNumber	topics[CHATROOM_MAX_TOPIC_COLUMNS]; /* ascending */
	Node	   *condition;		/* over NEW (varno 2), or NULL */
	int			nextra;
	WatchTopic	extra[CHATROOM_MAX_EXTRA];

	/*
	 * Of a prefix' tables: a deleted room tells its members' names, hidden;
	 * and deletions that a room's own brings along are not told one by one:
	 * the column that refers to the room, or 0.
	 */
	bool		audience;
	AttrNumber	cascade;
	List	   *holders;		/* names of the holders' triggers */
} WatchInfo;

/* What a trigger's arguments and those of holders begin with. */
#define HOLDER_COLUMNS			"columns"
#define HOLDER_TRIGGER_COLUMNS	"trigger_columns"
#define HOLDER_TOPIC_COLUMNS	"topic_columns"
#define HOLDER_EXTRA_COLUMNS	"extra_columns"
#define HOLDER_CONDITION		"condition"

/* One row of pg_trigger, as far as it matters here. */
typedef struct TriggerRow
{
	Oid			oid;
	Oid			relid;
	Oid			parentid;		/* of a partition's clone */
	Oid			function;
	char	   *name;
	char		enabled;
	int16		type;			/* TRIGGER_TYPE_* */
	int			nargs;
	char	  **args;
	int			ncolumns;		/* UPDATE OF */
	AttrNumber *columns;
	char	   *qual;			/* WHEN as a node string, or NULL */
} TriggerRow;

/* Is this trigger the copy that an inheritance child has? */
extern bool chatroom_trigger_is_child(const TriggerRow *trigger);

/* The label that a trigger's arguments begin with; NULL: none. */
extern char *chatroom_trigger_label(const TriggerRow *trigger);

extern Oid	chatroom_trigger_function(const char *name);
extern TriggerRow *chatroom_get_trigger(Oid triggerid, Snapshot snapshot);
extern List *chatroom_function_triggers(Oid function);
extern List *chatroom_relation_triggers(Oid relid);

/* All watches of a relation, as WatchInfo, oldest first. */
extern List *chatroom_relation_watches(Oid relid);

/* All watches of the database. */
extern List *chatroom_all_watches(void);

/* The watch of a topic of the form "base"; false: there is none. */
extern bool chatroom_find_watch(const char *base, int len, WatchInfo *watch);

/* The watch of a relation and label; false: there is none. */
extern bool chatroom_relation_watch(Oid relid, const char *label,
									WatchInfo *watch);

/* schema.table as topics spell it; NULL when there is no such relation. */
extern char *chatroom_relation_base(Oid relid);
extern char *chatroom_spell_base(const char *schema, const char *table);

/*
 * Take one identifier, spelled as in topics, off the front of a text; NULL:
 * there is none.
 */
extern char *chatroom_take_identifier(const char **text, const char *end);

/* The relation of such a text, spelled exactly so; or InvalidOid. */
extern Oid	chatroom_base_relation(const char *base, int len);

/* Can this text be a label?  Else says why in *detail. */
extern bool chatroom_label_valid(const char *label, const char **detail);

/* The main trigger that has a label: the oldest, if there are several. */
extern Oid	chatroom_label_trigger(const char *label, Oid *relid);

/* All labels of the database, as texts. */
extern List *chatroom_all_labels(void);

/* The key's columns, ascending: primary key, replica identity, or none. */
extern List *chatroom_key_columns(Oid relid);

/* The columns that make association topics, ascending. */
extern List *chatroom_topic_columns(const WatchInfo *watch);

/* Partitioned tables and inheritance parents above a relation. */
extern List *chatroom_ancestors(Oid relid, Snapshot snapshot);

/* How an extra topic's text begins, in the schema of its relation. */
extern char *chatroom_extra_prefix(Oid relid, const WatchTopic *topic);

/*
 * Append the topic of a row, base:KEY, or of an association,
 * base.column:VALUE.  The values are as events carry them.
 */
extern void chatroom_append_row_topic(StringInfo buf, const char *base,
									  const Piece *values, int nvalues);
extern void chatroom_append_column_topic(StringInfo buf, const char *base,
										 const char *column,
										 const Piece *value);

#endif							/* CHATROOM_WATCHES_H */
