-- create_room, rename_room, delete_room, get_room, list_rooms

SET client_min_messages = warning;
CREATE EXTENSION chatroom;
SELECT chatroom.migrate();
-- an answer without times
CREATE FUNCTION short(answer jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT answer - '{inserted_at,updated_at}'::text[] $$;

SELECT short(chatroom.create_room('lobby'));
SELECT short(chatroom.create_room('Größe & "Maß"'));
-- open access, for nobody in particular: no owner
SELECT count(*) FROM chat.members;
-- the row looks as it does in events
SELECT chatroom.create_room('same') AS created \gset
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT chatroom.cached('chat.rooms', '3')::jsonb = :'created' AS same;

-- what a room's name may be
SELECT chatroom.create_room('');
\echo :SQLSTATE
SELECT chatroom.create_room('123');
\echo :SQLSTATE
SELECT chatroom.create_room(repeat('x', 101));
\echo :SQLSTATE
SELECT chatroom.create_room('lobby');
\echo :SQLSTATE
SELECT chatroom.create_room(NULL);
\echo :SQLSTATE
SELECT chatroom.create_room('x', NULL);
\echo :SQLSTATE
SELECT chatroom.create_room('x', prefix => 'nowhere');
\echo :SQLSTATE

-- by name or id; digits are an id, also as text
SELECT short(chatroom.get_room('lobby'));
SELECT short(chatroom.get_room(1));
SELECT short(chatroom.get_room('1'));
SELECT short(chatroom.get_room('Größe & "Maß"'));
SELECT chatroom.get_room('nope');
\echo :SQLSTATE
SELECT chatroom.get_room(99);
\echo :SQLSTATE
SELECT chatroom.get_room('99');
\echo :SQLSTATE
SELECT chatroom.get_room('99999999999999999999');
\echo :SQLSTATE
SELECT chatroom.get_room('');
\echo :SQLSTATE
SELECT chatroom.get_room(NULL::text);
\echo :SQLSTATE
SELECT chatroom.get_room(NULL::bigint);
\echo :SQLSTATE

-- associations
SELECT chatroom.post('lobby', 'alice', 'hi') ->> 'id' AS message;
SELECT short(chatroom.get_room('lobby', '{messages}') #- '{messages}'),
	short(chatroom.get_room('lobby', '{messages}') #> '{messages,0}');
SELECT chatroom.get_room('lobby', '{nothing}');

-- a new name, and updated_at with it
SELECT short(chatroom.rename_room('lobby', 'hall'));
SELECT chatroom.rename_room(1, 'lobby') ->> 'updated_at' >
	chatroom.get_room(1) ->> 'inserted_at' AS renamed;
SELECT chatroom.rename_room('lobby', 'same');
SELECT chatroom.rename_room('lobby', '7');
SELECT chatroom.rename_room('lobby', NULL);
SELECT chatroom.rename_room('nope', 'other');

-- deleting: its messages go, too
SELECT short(chatroom.delete_room('lobby'));
SELECT count(*) FROM chat.messages;
SELECT chatroom.delete_room('lobby');
SELECT short(chatroom.delete_room(2));

-- what a caller may not do at all, it may not do here
CREATE ROLE regress_rooms_reader;
GRANT USAGE ON SCHEMA chat TO regress_rooms_reader;
SET ROLE regress_rooms_reader;
SELECT chatroom.get_room('same');
SELECT chatroom.create_room('mine');
RESET ROLE;
GRANT SELECT (id, name) ON chat.rooms TO regress_rooms_reader;
SET ROLE regress_rooms_reader;
SELECT chatroom.get_room('same');
SELECT chatroom.create_room('mine');
SELECT chatroom.rename_room('same', 'mine');
SELECT chatroom.delete_room('same');
RESET ROLE;

-- a private room is for its members; for others it is none
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat
	TO regress_rooms_reader;
BEGIN;
SELECT chatroom.act_as('alice');
SELECT short(chatroom.create_room('den', true));
SELECT room_id, username, role FROM chat.members;
SELECT short(chatroom.get_room('den'));
COMMIT;
BEGIN;
SELECT chatroom.act_as('mallory');
SAVEPOINT a;
SELECT chatroom.get_room('den');
\echo :SQLSTATE
ROLLBACK TO a;
SELECT chatroom.get_room('nope');
\echo :SQLSTATE
ROLLBACK TO a;
SELECT chatroom.rename_room('den', 'mine');
\echo :SQLSTATE
ROLLBACK TO a;
SELECT chatroom.delete_room('den');
\echo :SQLSTATE
ROLLBACK TO a;
SELECT chatroom.list_messages('den');
\echo :SQLSTATE
ROLLBACK TO a;
SELECT r ->> 'name' AS room
	FROM json_array_elements(chatroom.list_rooms() -> 'rooms') r;
COMMIT;
BEGIN;
SELECT chatroom.act_as('alice');
SELECT r ->> 'name' AS room
	FROM json_array_elements(chatroom.list_rooms() -> 'rooms') r;
SELECT short(chatroom.rename_room('den', 'cave'));
SELECT short(chatroom.delete_room('cave'));
COMMIT;
-- so for a role of its own
SET ROLE regress_rooms_reader;
SELECT short(chatroom.create_room('nook', true));
SELECT r ->> 'name' AS room
	FROM json_array_elements(chatroom.list_rooms() -> 'rooms') r;
RESET ROLE;
SELECT room_id, username, role FROM chat.members;

-- access members: owners and admins manage
SELECT chatroom.set_access('members');
BEGIN;
SELECT chatroom.act_as('bobby');
SELECT short(chatroom.create_room('bobs'));
COMMIT;
BEGIN;
SELECT chatroom.act_as('carol');
SELECT short(chatroom.get_room('bobs'));
SAVEPOINT a;
SELECT chatroom.rename_room('bobs', 'carols');
\echo :SQLSTATE
ROLLBACK TO a;
SELECT chatroom.delete_room('bobs');
\echo :SQLSTATE
ROLLBACK TO a;
COMMIT;
SELECT chatroom.set_access('open');

-- another prefix, and the setting
SELECT chatroom.migrate('team');
SELECT short(chatroom.create_room('lobby', prefix => 'team'));
SET chatroom.prefix = 'team';
SELECT short(chatroom.get_room('lobby'));
RESET chatroom.prefix;
SELECT chatroom.get_room('lobby');
ALTER SCHEMA team RENAME TO "The Team";
SELECT short(chatroom.get_room('lobby', prefix => 'The Team'));
SELECT chatroom.get_room('lobby', prefix => 'team');
-- columns of one's own
ALTER TABLE "The Team".rooms ADD COLUMN topic text DEFAULT 'anything';
SELECT short(chatroom.get_room('lobby', prefix => 'The Team'));

DROP SCHEMA chat CASCADE;
DROP SCHEMA "The Team" CASCADE;
DROP ROLE regress_rooms_reader;
DROP FUNCTION short;
DROP EXTENSION chatroom;
