-- ids and times of chat tables are the database's to give, whatever a writer says: nobody squats an id, pins a
-- message above others, edits without being seen, or learns from a broken key that a hidden row is there
CREATE EXTENSION chatroom;
SET client_min_messages = warning;
SELECT chatroom.migrate();
CREATE ROLE olga;			-- owns a private room
CREATE ROLE adam;			-- its admin
CREATE ROLE mallory;		-- a stranger
GRANT olga, adam, mallory TO CURRENT_USER;
GRANT USAGE ON SCHEMA chat TO olga, adam, mallory;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat TO olga, adam, mallory;
RESET client_min_messages;
\set VERBOSITY terse
SELECT chatroom.create_room('lobby') ->> 'id' AS lobby;
SET ROLE olga;
SELECT chatroom.create_room('den', true) ->> 'id' AS den;
SELECT role FROM (SELECT chatroom.add_member('den', 'adam', 'admin') ->> 'role' AS role) m;
SELECT chatroom.post('den', 'olga', 'hidden') ->> 'id' AS hidden;

-- ids: there or not, of a row or of none, the answer is the same; one that this session drew last makes way for another
SET ROLE mallory;
INSERT INTO chat.messages (id, room_id, username, text) VALUES (1, 1, 'mallory', 'taken');
INSERT INTO chat.messages (id, room_id, username, text) VALUES (2, 1, 'mallory', 'squatted');
INSERT INTO chat.messages (id, room_id, username, text) VALUES (2, 9, 'mallory', 'squatted');
INSERT INTO chat.rooms (id, name) VALUES (2, 'taken');
INSERT INTO chat.rooms (id, name) VALUES (3, 'squatted');
SELECT chatroom.post('lobby', 'mallory', 'hello') ->> 'id' AS id;
INSERT INTO chat.messages (id, room_id, username, text) VALUES (1, 1, 'mallory', 'taken');
INSERT INTO chat.messages (id, room_id, username, text) VALUES (99, 1, 'mallory', 'squatted');
UPDATE chat.messages SET id = 1 WHERE username = 'mallory';
UPDATE chat.messages SET id = 99 WHERE username = 'mallory';
\echo :SQLSTATE
UPDATE chat.rooms SET id = 99 WHERE name = 'lobby';
-- by default they are given, to any number of rows, also where a statement failed before
INSERT INTO chat.messages (room_id, username, text) VALUES (1, 'mallory', '');
INSERT INTO chat.messages (room_id, username, text) VALUES (1, 'mallory', 'two'), (1, 'mallory', 'three') RETURNING id;
INSERT INTO chat.messages (room_id, username, text) SELECT 1, 'mallory', 'text ' || i FROM generate_series(4, 6) i ORDER BY i DESC RETURNING id, text;
INSERT INTO chat.messages (id, room_id, username, text) VALUES (DEFAULT, 1, 'mallory', 'seven') RETURNING id;
-- one's own of before is no default: the row gets another
DELETE FROM chat.messages WHERE id = 9 RETURNING id;
INSERT INTO chat.messages (id, room_id, username, text) VALUES (9, 1, 'mallory', 'again') RETURNING id;
INSERT INTO chat.messages (room_id, username, text) VALUES (1, 'mallory', 'and on') RETURNING id;
SELECT chatroom.create_room('hall') ->> 'id' AS hall;
INSERT INTO chat.rooms (name) VALUES ('yard') RETURNING id;
RESET ROLE;
-- a trigger that writes into the same table comes first, and leaves the outer row's default behind
CREATE FUNCTION answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO chat.messages (room_id, username, text) VALUES (NEW.room_id, 'robot', 'seen it');
	RETURN NEW;
END
$$;
CREATE TRIGGER answer BEFORE INSERT ON chat.messages FOR EACH ROW WHEN (NEW.text ~ '^note') EXECUTE FUNCTION answer();
SET ROLE mallory;
SELECT chatroom.post('lobby', 'mallory', 'note this') ->> 'text' AS text;
SELECT chatroom.post('lobby', 'mallory', 'note that') ->> 'text' AS text;
SELECT count(*), count(DISTINCT id) FROM chat.messages WHERE text ~ '^(note|seen)';
INSERT INTO chat.messages (id, room_id, username, text) VALUES (99, 1, 'mallory', 'squatted') RETURNING id = 99 AS squatted;
RESET ROLE;
DROP TRIGGER answer ON chat.messages;
DROP FUNCTION answer;
-- who acts for a user is held to it, too; the owner itself gives what it likes, and a sequence may begin anew
BEGIN;
SELECT chatroom.act_as('alice');
INSERT INTO chat.messages (id, room_id, username, text) VALUES (99, 1, 'alice', 'squatted');
ROLLBACK;
INSERT INTO chat.messages (id, room_id, username, text) VALUES (99, 1, 'alice', 'imported') RETURNING id;
DELETE FROM chat.messages WHERE id < 99;
SET ROLE mallory;
SELECT (chatroom.post('lobby', 'mallory', 'hello') ->> 'id')::int AS last \gset
RESET ROLE;
SELECT setval('chat.messages_id_seq', :last, false) = :last AS back;
DELETE FROM chat.messages WHERE id = :last;
SET ROLE mallory;
SELECT (chatroom.post('lobby', 'mallory', 'hello') ->> 'id')::int >= :last AS posted;

-- times: those that are given are not taken, whatever they say
RESET ROLE;
TRUNCATE chat.messages;
SET ROLE mallory;
INSERT INTO chat.messages (room_id, username, text, inserted_at, updated_at)
VALUES (1, 'mallory', 'pinned', 'infinity', 'infinity'), (1, 'mallory', 'hidden', '-infinity', '2000-01-01'), (1, 'mallory', 'plain', DEFAULT, DEFAULT)
RETURNING inserted_at BETWEEN now() AND clock_timestamp() AS now, updated_at = inserted_at AS unedited, text;
INSERT INTO chat.rooms (name, inserted_at, updated_at) VALUES ('first', '2000-01-01', 'infinity')
RETURNING inserted_at = now() AS now, updated_at = inserted_at AS unedited;
-- an edit is seen
SELECT inserted_at AS at FROM chat.messages WHERE text = 'plain' \gset
UPDATE chat.messages SET text = 'edited', inserted_at = 'infinity', updated_at = inserted_at WHERE text = 'plain'
RETURNING inserted_at = :'at' AS kept, updated_at > inserted_at AS edited;
UPDATE chat.messages SET text = 'edited twice', inserted_at = now(), updated_at = now() WHERE text = 'edited'
RETURNING inserted_at = :'at' AS kept, updated_at > inserted_at AS edited;
SELECT updated_at AS at FROM chat.messages WHERE text = 'edited twice' \gset
UPDATE chat.messages SET updated_at = 'infinity' WHERE text = 'edited twice' RETURNING updated_at = :'at' AS kept;
UPDATE chat.messages SET text = text WHERE text = 'edited twice' RETURNING updated_at = :'at' AS kept;
UPDATE chat.messages SET text = 'edited again' WHERE text = 'edited twice' RETURNING updated_at > :'at' AS moved;
RESET ROLE;

-- what is written stands below what its writer could see, also after the clock was set back
INSERT INTO chat.messages (room_id, username, text, inserted_at) VALUES (1, 'alice', 'of tomorrow', now() + interval '1 day')
RETURNING inserted_at > now() + interval '1 hour' AS given, updated_at = inserted_at AS unedited;
SET ROLE mallory;
SELECT chatroom.post('lobby', 'mallory', 'answer') ->> 'text' AS text;
INSERT INTO chat.messages (room_id, username, text) VALUES (1, 'mallory', 'another'), (1, 'mallory', 'and one more');
SELECT (chatroom.edit_message((m ->> 'id')::bigint, 'answer of tomorrow') ->> 'updated_at')::timestamptz > (m ->> 'inserted_at')::timestamptz AS edited
FROM json_array_elements(chatroom.list_messages('lobby') -> 'messages') m WHERE m ->> 'text' = 'answer';
SELECT m ->> 'text' AS text FROM json_array_elements(chatroom.list_messages('lobby', max_rows => 4) -> 'messages') m;
-- other rooms have a time of their own
SELECT (chatroom.post('hall', 'mallory', 'hello') ->> 'inserted_at')::timestamptz <= clock_timestamp() AS now;
RESET ROLE;
-- the owner's own, too; what it gives by hand stays, out of all bounds as well
SELECT (chatroom.post('lobby', 'alice', 'mine') ->> 'inserted_at')::timestamptz > now() + interval '1 hour' AS below;
SELECT (chatroom.insert('chat.messages', '{"room_id": 1, "username": "alice", "text": "mine, too"}') -> 'ok' ->> 'inserted_at')::timestamptz
	> now() + interval '1 hour' AS below;
INSERT INTO chat.messages (room_id, username, text, inserted_at) VALUES (1, 'alice', 'old', '2000-01-01'), (1, 'alice', 'never', 'infinity'),
	(1, 'alice', 'last', '294276-12-31 23:59:59.999999Z') RETURNING inserted_at, updated_at = inserted_at AS unedited;
SELECT chatroom.post('lobby', 'alice', 'after all') ->> 'inserted_at' AS at;
UPDATE chat.messages SET text = 'edited after all' WHERE text IN ('after all', 'never') RETURNING updated_at > now() AS edited;
-- without an index to look into, it is the clock
DROP INDEX chat.messages_room_id_index;
SELECT (chatroom.post('lobby', 'alice', 'by the clock') ->> 'inserted_at')::timestamptz <= clock_timestamp() AS now;

-- whether a room is private is its owner's to say
SET ROLE adam;
UPDATE chat.rooms SET private = false WHERE name = 'den';
\echo :SQLSTATE
SELECT chatroom.set_private('den', false);
\echo :SQLSTATE
UPDATE chat.rooms SET name = 'the den' WHERE name = 'den' RETURNING name, private;
SET ROLE mallory;
SELECT chatroom.set_private('the den', false);
SELECT chatroom.set_private('lobby', true);
UPDATE chat.rooms SET private = true WHERE name = 'lobby';
SET ROLE olga;
SELECT chatroom.set_private('the den', NULL);
SELECT chatroom.set_private('the den', false) - '{inserted_at,updated_at}'::text[] AS room;
SELECT chatroom.set_private(2, false) ->> 'private' AS private;
SET ROLE mallory;
SELECT m ->> 'text' AS text FROM json_array_elements(chatroom.list_messages('the den') -> 'messages') m;
SET ROLE olga;
UPDATE chat.rooms SET private = true WHERE id = 2 RETURNING name;
SET ROLE mallory;
SELECT chatroom.list_messages('the den');
RESET ROLE;
SELECT chatroom.set_private('lobby', true) ->> 'private' AS private;
SELECT chatroom.migrate('old', 1);
SELECT chatroom.create_room('cellar', prefix => 'old') ->> 'name' AS name;
SELECT chatroom.set_private('cellar', true, 'old');

SET client_min_messages = warning;
DROP SCHEMA chat, old CASCADE;
DROP EXTENSION chatroom;
DROP ROLE olga, adam, mallory;
