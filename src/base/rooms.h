/*-------------------------------------------------------------------------
 *
 * rooms.h
 *	  The tables of a prefix, and who may see a room.
 *
 * A prefix is a schema with the tables that chatroom.migrate() makes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_ROOMS_H
#define CHATROOM_ROOMS_H

#include "postgres.h"

#include "utils/snapshot.h"

/* The newest version of a prefix' tables. */
#define CHAT_VERSION		2

/* The prefix whose topics have none. */
#define CHAT_DEFAULT_PREFIX "chat"

/* What is known of a prefix, from the catalog; gone with invalidations. */
typedef struct ChatTables
{
	Oid			schema;
	char	   *prefix;			/* the schema's name */
	int			version;
	Oid			owner;			/* of rooms */
	bool		members_mode;	/* set_access('members') */
	Oid			rooms;
	Oid			messages;
	Oid			users;			/* these from version 2 on, else InvalidOid */
	Oid			members;
	Oid			invites;
	Oid			rooms_pkey;		/* indexes that look-ups use */
	Oid			rooms_name_index;
	Oid			members_pkey;
	Oid			users_username_index;
	Oid			messages_room_index;	/* of room_id, inserted_at, ... */
	Oid			rooms_ids;		/* sequences of identity columns */
	Oid			messages_ids;
	Oid			users_ids;
	Oid			invites_ids;

	/*
	 * Is the table's row-level security for SELECT what migrate() made, and
	 * nothing else?  Then who sees the room sees its rows.
	 */
	bool		plain_rooms;
	bool		plain_messages;
	bool		plain_members;
} ChatTables;

/*
 * The tables of a prefix; NULL means the setting chatroom.prefix.  Raises
 * 3F000 where there is no such prefix, 55000 where its tables were changed so
 * that they can't be used.  The memory is good for ever, what is in it until
 * the next call of one of these, or the next AcceptInvalidationMessages().
 */
extern const ChatTables *chatroom_prefix(const char *prefix);

/* The same by the schema, or by any of its tables; NULL: none. */
extern const ChatTables *chatroom_schema_tables(Oid schema);
extern const ChatTables *chatroom_tables_of(Oid relid);

/* Is seeing a room all that is asked of who wants to see a table's rows? */
extern bool chatroom_plain_table(const ChatTables *tables, Oid relid);

/* Raises 55000 where a prefix' tables are older than that. */
extern void chatroom_require_version(const ChatTables *tables, int version);

typedef enum RoomRole
{
	ROOM_NONE,					/* no member */
	ROOM_GUEST,
	ROOM_MEMBER,
	ROOM_ADMIN,
	ROOM_OWNER
} RoomRole;

/* What the caller (chatroom_identity) is to a room. */
typedef struct RoomAccess
{
	bool		exists;			/* a row is there, whoever may see it */
	bool		private;
	bool		exempt;			/* row-level security is not for the caller */
	bool		governed;		/* members' rules apply: mode, or private */
	RoomRole	role;
	bool		visible;		/* exists, and the caller may see it */
	TransactionId since;		/* wrote a row that tells it is there */
} RoomAccess;

/* Do the members' rules hold for the caller? */
#define RoomGoverns(access)	((access)->governed && !(access)->exempt)

/* Look a room up, with the active snapshot. */
extern void chatroom_room_access(const ChatTables *tables, int64 room_id,
								 RoomAccess *access);

/* May the caller see a room, with the active snapshot? */
extern bool chatroom_room_visible(const ChatTables *tables, int64 room_id);

/* What a user is to a room, with the active snapshot. */
extern RoomRole chatroom_room_role(const ChatTables *tables, int64 room_id,
								   const char *username);

/*
 * The same as of now, whatever the active snapshot is: with what this very
 * command made, and what others committed.
 */
extern void chatroom_room_access_now(const ChatTables *tables, int64 room_id,
									 RoomAccess *access);
extern RoomRole chatroom_room_role_now(const ChatTables *tables,
									   int64 room_id, const char *username);

/*
 * A room's id by the text that callers give: all digits is an id, all else a
 * name.  0: no room that the caller can see.  Takes the same look-ups whether
 * a room is missing or hidden.
 */
extern int64 chatroom_find_room(const ChatTables *tables, const text *room,
								RoomAccess *access);

/* P0002: there is no such room, or none that the caller may see. */
extern void chatroom_no_such_room(const char *room);

/* Is the caller exempt from row-level security here? */
extern bool chatroom_exempt(const ChatTables *tables);

/*
 * Is the caller one whom row-level security of a table does not bind, though
 * it is held to a user's rights?  Then a function must see to them itself,
 * or, where it leaves them to row-level security, refuse: 42501 then, and
 * nothing for tables that are no prefix'.
 */
extern bool chatroom_unbound(const ChatTables *tables, Oid relid);
extern void chatroom_refuse_unbound(Oid relid);

/* The topic of a room: room:ID or PREFIX/room:ID; palloc'd. */
extern char *chatroom_room_topic(const ChatTables *tables, int64 room_id);

#endif							/* CHATROOM_ROOMS_H */
