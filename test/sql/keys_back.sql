-- Ids that come back: what was before a room's deletion is for those who saw it
-- go, whatever bears its id now.
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE ROLE regress_back_ann;
CREATE ROLE regress_back_mal;
CREATE SCHEMA back;
GRANT USAGE ON SCHEMA back TO PUBLIC;

-- what the caller is told, by table and type, of a topic since a cursor
CREATE FUNCTION back.told(asked text, since text, max_events int = 1000) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	a json;
BEGIN
	PERFORM chatroom.snapshot_cursor();
	a := chatroom.sync(asked, since, max_events);
	RETURN concat_ws(', ', CASE WHEN (a ->> 'reset')::boolean THEN 'reset' END,
		(SELECT string_agg(concat_ws(' ', e ->> 'table', e ->> 'type',
			coalesce(e #>> '{row,text}', e #>> '{row,name}', e #>> '{old,name}', e #>> '{old,text}', e #>> '{row,username}')), ', ')
		 FROM json_array_elements(a -> 'events') e WHERE e ->> 'type' !~ '^presence'));
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;
-- the same of presence
CREATE FUNCTION back.here(asked text, since text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(e ->> 'type' || ' ' || (e ->> 'key'), ', ')
	FROM chatroom.snapshot_cursor(), json_array_elements(chatroom.sync(asked, since) -> 'events') e
	WHERE e ->> 'type' ~ '^presence'
$$;
CREATE FUNCTION back.until_left(asked text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 10000 LOOP
		IF EXISTS (SELECT FROM chatroom.events(asked) WHERE type = 'presence_leave') THEN
			RETURN true;
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN false;
END
$$;
-- the newest that are kept
CREATE FUNCTION back.newest(asked text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM chatroom.snapshot_cursor();
	RETURN (SELECT string_agg(concat_ws(' ', e.relation, e.type, coalesce(e."row" ->> 'text', e."row" ->> 'name', e.old ->> 'name')), ', ')
		FROM chatroom.events(asked) e WHERE e.type !~ '^presence');
END
$$;

SELECT chatroom.migrate(), chatroom.set_access('members');
GRANT USAGE ON SCHEMA chat TO PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat TO PUBLIC;
SELECT chatroom.snapshot_cursor() AS start \gset
SET ROLE regress_back_ann;
SELECT chatroom.create_room('secret plans', true) ->> 'id' AS id \gset
SELECT chatroom.post(:'id', 'regress_back_ann', 'the secret') ->> 'text' AS text;
SELECT chatroom.track('room:' || :'id', 'regress_back_ann') IS NOT NULL AS tracked;
SELECT chatroom.delete_room(:'id') ->> 'name' AS gone;
RESET ROLE;

-- another private room gets the id, with a message and a member of its own
INSERT INTO chat.rooms (id, name, private) OVERRIDING SYSTEM VALUE VALUES (:id, 'innocent', true);
INSERT INTO chat.users (username) VALUES ('regress_back_mal');
INSERT INTO chat.members (room_id, username, role) VALUES (:id, 'regress_back_mal', 'owner');
-- who was in the first leaves a moment later
SELECT back.until_left('room:' || :'id');
SET ROLE regress_back_mal;
SELECT back.here('room:' || :'id', :'start');
SELECT chatroom.track('room:' || :'id', 'regress_back_mal') IS NOT NULL AS tracked;
SELECT back.here('room:' || :'id', :'start');
SELECT chatroom.post(:'id', 'regress_back_mal', 'my own') ->> 'text' AS text;
SELECT back.told('room:' || :'id', :'start');
SELECT back.told('chat.messages', :'start', 1);
SELECT back.told('chat.messages.room_id:' || :'id', :'start');
SELECT back.told('chat.members', :'start');
SELECT back.told('chat.rooms', :'start');
SELECT back.told('chat.rooms:' || :'id', :'start');
SELECT back.told('rooms', :'start');
SELECT back.told('chat/*', :'start') ~ 'secret' AS secret;
SELECT back.newest('room:' || :'id');
SELECT back.newest('chat.messages');
SELECT back.newest('chat.rooms:' || :'id');
-- who saw the first go, is told of that, and no more
SET ROLE regress_back_ann;
SELECT back.here('room:' || :'id', :'start');
SELECT back.told('room:' || :'id', :'start');
SELECT back.told('chat.messages.room_id:' || :'id', :'start');
SELECT back.told('rooms', :'start');
SELECT back.told('room:' || :'id', chatroom.snapshot_cursor());
RESET ROLE;

-- both in turn, and a public one in between that everybody saw
SET ROLE regress_back_mal;
SELECT chatroom.delete_room(:'id') ->> 'name' AS gone;
RESET ROLE;
INSERT INTO chat.rooms (id, name) OVERRIDING SYSTEM VALUE VALUES (:id, 'hall');
INSERT INTO chat.messages (room_id, username, text) VALUES (:id, 'regress_back_ann', 'for everybody');
BEGIN;
DELETE FROM chat.rooms WHERE id = :id;
INSERT INTO chat.rooms (id, name, private) OVERRIDING SYSTEM VALUE VALUES (:id, 'in one transaction', true);
INSERT INTO chat.members (room_id, username, role) VALUES (:id, 'regress_back_ann', 'owner');
INSERT INTO chat.messages (room_id, username, text) VALUES (:id, 'regress_back_ann', 'at once');
COMMIT;
SET ROLE regress_back_ann;
SELECT back.told('room:' || :'id', :'start');
SELECT back.told('rooms', :'start');
SET ROLE regress_back_mal;
SELECT back.told('room:' || :'id', :'start');
SELECT back.told('rooms', :'start');
RESET ROLE;
SELECT back.told('room:' || :'id', :'start') ~ 'the secret.*my own.*for everybody.*at once' AS exempt;

-- all rooms are emptied out, and ids begin anew
SELECT chatroom.snapshot_cursor() AS start \gset
SET ROLE regress_back_ann;
SELECT chatroom.post(:'id', 'regress_back_ann', 'before the end') ->> 'text' AS text;
RESET ROLE;
TRUNCATE chat.rooms RESTART IDENTITY CASCADE;
SET ROLE regress_back_mal;
SELECT chatroom.create_room('anew', true) ->> 'id' = :'id' AS same_id;
SELECT chatroom.post(:'id', 'regress_back_mal', 'after it') ->> 'text' AS text;
SELECT back.told('room:' || :'id', :'start');
SELECT back.told('chat.messages', :'start');
SELECT back.told('chat.rooms', :'start');
SELECT back.newest('room:' || :'id');
SELECT back.newest('chat.messages.room_id:' || :'id');
SELECT back.newest('chat.messages') ~ 'before the end|secret|at once' AS told;
SELECT back.newest('rooms');
RESET ROLE;

-- who is present in a room goes with it, and with its prefix, however it goes;
-- and channels get other names
CREATE TABLE back.channels (step int GENERATED ALWAYS AS IDENTITY, name text);
GRANT ALL ON back.channels TO PUBLIC;
CREATE FUNCTION back.present() RETURNS text LANGUAGE sql AS $$
	WITH last AS (SELECT name FROM back.channels ORDER BY step DESC LIMIT 1),
	now AS (INSERT INTO back.channels (name) VALUES (chatroom.channel('back_p/room:1', '1 s')) RETURNING name)
	SELECT chatroom.presence('back_p/room:1')::text || CASE WHEN last.name <> now.name THEN ', renamed' ELSE '' END
	FROM now LEFT JOIN last ON true
$$;
CREATE FUNCTION back.fill() RETURNS text LANGUAGE sql AS $$
	INSERT INTO back_p.rooms (id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'hall');
	SELECT chatroom.track('back_p/room:1', 'somebody', '{}', '1 h');
	SELECT regexp_replace(back.present(), '"phx_ref": "[^"]*"', '"phx_ref": …');
$$ SET check_function_bodies = off;
SELECT chatroom.migrate('back_p');
SELECT back.fill();
DELETE FROM back_p.rooms;
INSERT INTO back_p.rooms (id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'another');
SELECT back.present() AS deleted;
DELETE FROM back_p.rooms;
SELECT back.fill();
BEGIN;
TRUNCATE back_p.rooms CASCADE;
ROLLBACK;
SELECT regexp_replace(back.present(), '"phx_ref": "[^"]*"', '"phx_ref": …') AS undone;
TRUNCATE back_p.rooms CASCADE;
INSERT INTO back_p.rooms (id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'another');
SELECT back.present() AS truncated;
TRUNCATE back_p.rooms CASCADE;
SELECT back.fill();
ALTER TABLE back_p.rooms ADD COLUMN more int;
ALTER TABLE back_p.rooms RENAME COLUMN more TO less;
SELECT regexp_replace(back.present(), '"phx_ref": "[^"]*"', '"phx_ref": …') AS altered;
ALTER SCHEMA back_p RENAME TO back_q;
ALTER SCHEMA back_q RENAME TO back_p;
SELECT back.present() AS renamed;
TRUNCATE back_p.rooms CASCADE;
SELECT back.fill();
SELECT chatroom.migrate('back_p', 0, true), chatroom.migrate('back_p');
INSERT INTO back_p.rooms (id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'another');
SELECT back.present() AS down_and_up;
TRUNCATE back_p.rooms CASCADE;
SELECT back.fill();
DROP SCHEMA back_p CASCADE;
SELECT chatroom.migrate('back_p');
INSERT INTO back_p.rooms (id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'another');
SELECT back.present() AS dropped;

DROP SCHEMA back, chat, back_p CASCADE;
DROP ROLE regress_back_ann, regress_back_mal;
DROP EXTENSION chatroom;
