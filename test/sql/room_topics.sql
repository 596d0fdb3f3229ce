-- Topics of rooms: who may follow them, what they show, and what a room's end
-- is to those who were in it.
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE ROLE regress_rt_owner;
CREATE ROLE regress_rt_ann;
CREATE ROLE regress_rt_ben;
CREATE ROLE regress_rt_col;
CREATE ROLE regress_rt_app SUPERUSER;
CREATE SCHEMA chat AUTHORIZATION regress_rt_owner;
CREATE SCHEMA "Other Chat" AUTHORIZATION regress_rt_owner;
CREATE SCHEMA rt;
GRANT USAGE ON SCHEMA rt, chat TO PUBLIC;

-- an answer, without what differs from run to run; what an error says
CREATE FUNCTION rt.brief(image json) RETURNS text LANGUAGE sql AS $$
	SELECT nullif(json_strip_nulls(json_object_agg(key, value)
		FILTER (WHERE key !~ '_at$|^client_key$'))::text, '{}')
	FROM json_each(CASE json_typeof(image) WHEN 'object' THEN image ELSE '{}' END)
$$;
CREATE FUNCTION rt.show(asked text[], since text)
RETURNS TABLE (type text, "table" text, key text, "row" text, old text, topics text)
LANGUAGE plpgsql AS $$
BEGIN
	-- what was done before is published then
	PERFORM chatroom.snapshot_cursor();
	RETURN QUERY
	WITH answer AS MATERIALIZED (SELECT chatroom.sync_many(asked, since, 1000000) AS a)
	SELECT 'reset', NULL, NULL, NULL, NULL, NULL
	FROM answer WHERE (a->>'reset')::boolean
	UNION ALL
	SELECT e->>'type', e->>'table', e->>'key', rt.brief(e->'row'), rt.brief(e->'old'),
		e->>'topics'
	FROM answer, json_array_elements(a->'events') AS e;
EXCEPTION WHEN OTHERS THEN
	RETURN QUERY SELECT SQLSTATE || ' ' || SQLERRM, NULL, NULL, NULL, NULL, NULL;
END
$$;
-- the types of its events, when those of presence are there
CREATE FUNCTION rt.show_types(asked text[], since text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	types text;
BEGIN
	FOR i IN 1 .. 10000 LOOP
		SELECT string_agg(s.type, ' ') INTO types FROM rt.show(asked, since) s;
		EXIT WHEN types ~ 'leave';
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN types;
END
$$;
CREATE FUNCTION rt.next(topic text, since text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	RETURN chatroom.sync(topic, since)->>'cursor';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLERRM;
END
$$;

SET ROLE regress_rt_owner;
SELECT chatroom.migrate();
SELECT chatroom.migrate('Other Chat');
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat
	TO regress_rt_ann, regress_rt_ben, regress_rt_col;
INSERT INTO chat.rooms (id, name, private) VALUES (1, 'lobby', false), (2, 'den', true);
INSERT INTO chat.users (username) VALUES ('regress_rt_ann'), ('regress_rt_ben'), ('regress_rt_col');
INSERT INTO chat.members VALUES (2, 'regress_rt_ann', 'owner'), (2, 'regress_rt_ben', 'member');
RESET ROLE;

-- a private room is not there for others: the same as for a missing one
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO chat.messages (id, room_id, username, text) VALUES
	(1, 1, 'regress_rt_col', 'in the lobby'), (2, 2, 'regress_rt_ann', 'in the den');
SET ROLE regress_rt_ben;
SELECT type, key, "row", topics FROM rt.show('{room:2}', :'start');
SELECT type, key, "row", topics FROM rt.show('{room:1,room:2}', :'start');
SET ROLE regress_rt_col;
SELECT type FROM rt.show('{room:2}', :'start');
SELECT type FROM rt.show('{room:3}', :'start');
SELECT type FROM rt.show('{room:2}', NULL);
SELECT type FROM rt.show('{room:3}', NULL);
SELECT type FROM rt.show('{room:1,room:2}', :'start');
SELECT type, key FROM rt.show('{room:1}', :'start');
\set VERBOSITY terse
SELECT * FROM chatroom.events('room:2');
SELECT * FROM chatroom.events('room:3', :'start');
SELECT chatroom.pending('room:2');
SELECT chatroom.pending('room:3');
SELECT chatroom.listen('room:2');
SELECT chatroom.listen('room:3');
SELECT chatroom.channel('room:2', '1 s');
CALL chatroom.wait('{room:2}', NULL, '0');
CALL chatroom.wait('{room:3}', NULL, '0');
\set VERBOSITY default
-- nor in what comprises it, nor in its own rows' topics
SELECT type, key FROM rt.show('{chat/*}', :'start');
SELECT type, key FROM rt.show('{chat.messages}', :'start');
SELECT chatroom.cached('chat.messages', '{"id": 1}')->'text' AS lobby,
	chatroom.cached('chat.messages', '{"id": 2}')->'text' AS den;
SELECT topic FROM chatroom.stat_topics WHERE topic ~ '^(room:|rooms$|chat[./])' ORDER BY topic;
SET ROLE regress_rt_ben;
SELECT type, key FROM rt.show('{chat/*}', :'start');
SELECT chatroom.cached('chat.messages', '{"id": 2}')->'text' AS den;
SELECT topic FROM chatroom.stat_topics WHERE topic ~ '^(room:|rooms$|chat[./])' ORDER BY topic;
RESET ROLE;
SELECT topic FROM chatroom.stat_topics WHERE topic ~ '^(room:|rooms$|chat/)' ORDER BY topic;

-- privileges hold, too: for rooms, for the tables, for columns
SET ROLE regress_rt_owner;
REVOKE SELECT ON chat.messages FROM regress_rt_ben;
GRANT SELECT (id, room_id) ON chat.messages TO regress_rt_ben;
SET ROLE regress_rt_ben;
SELECT type, key, "row" FROM rt.show('{room:2}', :'start');
SET ROLE regress_rt_owner;
REVOKE SELECT (id, room_id) ON chat.messages FROM regress_rt_ben;
SET ROLE regress_rt_ben;
SELECT type FROM rt.show('{room:2}', :'start');
SET ROLE regress_rt_owner;
GRANT SELECT ON chat.messages TO regress_rt_ben;
REVOKE SELECT ON chat.rooms FROM regress_rt_ben;
SET ROLE regress_rt_ben;
SELECT type FROM rt.show('{room:2}', :'start');
SELECT type FROM rt.show('{room:3}', :'start');
SELECT type FROM rt.show('{rooms}', :'start');
SELECT type FROM rt.show('{chat/*}', :'start');
SELECT topic FROM chatroom.stat_topics WHERE topic ~ '^room:' ORDER BY topic;
SET ROLE regress_rt_owner;
GRANT SELECT ON chat.rooms TO regress_rt_ben;

-- who acts for a user is held to the user's rights, superuser or not
SET ROLE regress_rt_app;
SELECT type, key FROM rt.show('{chat.messages}', :'start');
BEGIN;
SELECT chatroom.act_as('regress_rt_col');
SELECT type FROM rt.show('{room:2}', :'start');
SELECT type, key FROM rt.show('{chat.messages}', :'start');
SELECT type, key FROM rt.show('{chat/*,chat.messages}', :'start');
SELECT chatroom.cached('chat.messages', '{"id": 2}')->'text' AS den;
SELECT count(*) FROM chatroom.stat_topics WHERE topic ~ '^(chat[./]|room:2|rooms$)';
SELECT chatroom.act_as('regress_rt_ann');
SELECT type, key FROM rt.show('{room:2}', :'start');
COMMIT;
CALL chatroom.wait('{room:2}', :'start', '0', acting_for => 'regress_rt_col');
SELECT chatroom.listen('room:2', 'regress_rt_col');
SELECT chatroom.listen('room:2', 'regress_rt_ann') IS NOT NULL;
SELECT chatroom.unlisten('room:2');
RESET ROLE;

-- presence is for those who see the room
SELECT chatroom.snapshot_cursor() AS start \gset
SET ROLE regress_rt_ben;
SELECT chatroom.track('room:2', 'regress_rt_ben', '{}', '1 min') IS NOT NULL AS tracked;
SELECT e.key, json_array_length(e.value->'metas') FROM json_each(chatroom.presence('room:2')) e;
SELECT chatroom.untrack('room:2', 'regress_rt_ben');
SELECT rt.show_types('{room:2}', :'start');
SET ROLE regress_rt_col;
\set VERBOSITY terse
SELECT chatroom.track('room:2', 'regress_rt_col');
SELECT chatroom.track('room:3', 'regress_rt_col');
SELECT chatroom.presence('room:2');
SELECT chatroom.presence('room:3');
SELECT chatroom.presence('missing/room:2');
SELECT chatroom.untrack('room:2', 'regress_rt_ben');
SELECT type FROM rt.show('{chat/*}', :'start');
SET ROLE regress_rt_owner;
REVOKE SELECT ON chat.rooms FROM regress_rt_ben;
SET ROLE regress_rt_ben;
SELECT chatroom.presence('room:1');
SELECT chatroom.track('room:1', 'regress_rt_ben');
SET ROLE regress_rt_owner;
GRANT SELECT ON chat.rooms TO regress_rt_ben;
\set VERBOSITY default
RESET ROLE;

-- a message that moves from room to room
SELECT chatroom.snapshot_cursor() AS start \gset
UPDATE chat.messages SET room_id = 1 WHERE id = 2;
SET ROLE regress_rt_ben;
SELECT type, key, old FROM rt.show('{room:2}', :'start');
SELECT type, key, old, topics FROM rt.show('{room:1,room:2}', :'start');
SET ROLE regress_rt_col;
SELECT type, key, old FROM rt.show('{room:1}', :'start');
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
UPDATE chat.messages SET room_id = 2 WHERE id = 2;
SET ROLE regress_rt_col;
SELECT type, key, "row", old FROM rt.show('{room:1}', :'start');
RESET ROLE;

-- taken out of a room: one reset, then it isn't there
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO chat.messages (id, room_id, username, text) VALUES (3, 2, 'regress_rt_ann', 'about ben');
DELETE FROM chat.members WHERE username = 'regress_rt_ben';
INSERT INTO chat.messages (id, room_id, username, text) VALUES (4, 2, 'regress_rt_ann', 'ben is out');
SET ROLE regress_rt_ben;
SELECT type FROM rt.show('{room:2}', :'start');
SELECT type FROM rt.show('{room:2,room:1}', :'start');
SELECT rt.next('room:2', :'start') AS after \gset
SELECT type FROM rt.show('{room:2}', :'after');
-- nobody else is told a thing
SET ROLE regress_rt_col;
SELECT type FROM rt.show('{room:2}', :'start');
RESET ROLE;
-- in again: all of it
INSERT INTO chat.members VALUES (2, 'regress_rt_ben', 'guest');
SET ROLE regress_rt_ben;
SELECT type, "table", key FROM rt.show('{room:2}', :'start');
RESET ROLE;

-- he hears of it, and only he and those who are in
SET ROLE regress_rt_ben;
SELECT type, "row" FROM rt.show('{chat.members.username:regress_rt_ben}', :'after');
SELECT type FROM rt.show('{rooms}', :'after');
SET ROLE regress_rt_col;
SELECT type FROM rt.show('{chat.members.username:regress_rt_ben}', :'after');
RESET ROLE;

-- a room becomes private, and public again
SELECT chatroom.snapshot_cursor() AS start \gset
UPDATE chat.rooms SET private = true WHERE id = 1;
SET ROLE regress_rt_col;
SELECT type FROM rt.show('{room:1}', :'start');
SELECT rt.next('room:1', :'start') AS after \gset
SELECT type FROM rt.show('{room:1}', :'after');
SELECT type, key, old FROM rt.show('{rooms}', :'start');
RESET ROLE;
UPDATE chat.rooms SET private = false WHERE id = 1;
SET ROLE regress_rt_col;
SELECT type, key, "row" FROM rt.show('{rooms}', :'after');
SELECT type, key, "row" FROM rt.show('{room:1}', :'after');
RESET ROLE;

-- a private room is deleted: who was in it learns of it, and of all before
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO chat.messages (id, room_id, username, text) VALUES (5, 2, 'regress_rt_ann', 'good bye');
BEGIN;
DELETE FROM chat.rooms WHERE id = 2;
SELECT e->>'type' AS type, e->'key' AS key FROM json_array_elements(chatroom.pending('room:2')->'events') e;
SELECT chatroom.pending('chat.messages')->'reset' AS messages,
	chatroom.pending('chat.rooms')->'reset' AS rooms;
COMMIT;
SET ROLE regress_rt_ben;
SELECT type, "table", key, old FROM rt.show('{room:2}', :'start');
SELECT type, "table", key FROM rt.show('{rooms}', :'start');
SELECT type, "table", key FROM rt.show('{chat.rooms:2}', :'start');
SELECT type, "table", key FROM rt.show('{chat/*}', :'start');
SELECT rt.next('room:2', :'start') AS after \gset
SELECT type FROM rt.show('{room:2}', :'after');
SELECT type FROM rt.show('{room:2}', NULL);
SET ROLE regress_rt_col;
SELECT type FROM rt.show('{room:2}', :'start');
SELECT type FROM rt.show('{rooms}', :'start');
SELECT type FROM rt.show('{chat.rooms:2}', :'start');
SELECT type FROM rt.show('{chat/*}', :'start');
RESET ROLE;
-- its messages and members are not told one by one, but to be loaded again
SELECT type, key FROM rt.show('{chat.messages}', :'start');
SELECT type, key FROM rt.show('{chat.messages.room_id:2}', :'start');
SELECT type, key FROM rt.show('{chat.messages.room_id:1}', :'start');
SELECT type, key FROM rt.show('{chat.members}', :'start');
SELECT chatroom.cached('chat.messages', '{"id": 5}');
-- while a public room's followers go on
SELECT type, key FROM rt.show('{room:1}', :'start');

-- a public room is deleted: everyone may know; messages deleted by themselves
-- are told, before it and after
INSERT INTO chat.rooms (id, name) VALUES (4, 'hall');
INSERT INTO chat.messages (id, room_id, username, text) SELECT i, 4, 'regress_rt_ann', 'hello' FROM generate_series(10, 14) i;
SELECT chatroom.snapshot_cursor() AS start \gset
BEGIN;
DELETE FROM chat.messages WHERE id = 10;
DELETE FROM chat.rooms WHERE id = 4;
DELETE FROM chat.messages WHERE id = 1;
COMMIT;
SET ROLE regress_rt_col;
SELECT type, "table", key FROM rt.show('{room:4}', :'start');
SELECT type, "table", key FROM rt.show('{room:1}', :'start');
SELECT type, "table", key FROM rt.show('{rooms}', :'start');
RESET ROLE;

-- one reset for all rooms of a transaction; none of a savepoint that is undone
INSERT INTO chat.rooms (id, name, private) VALUES (5, 'five', true), (6, 'six', true), (7, 'seven', true);
INSERT INTO chat.messages (id, room_id, username, text) SELECT i, 5 + i % 3, 'regress_rt_ann', 'hello' FROM generate_series(20, 30) i;
BEGIN;
SAVEPOINT a;
DELETE FROM chat.rooms WHERE id = 5;
SELECT chatroom.pending('chat.messages')->'reset' AS inside;
ROLLBACK TO a;
SELECT chatroom.pending('chat.messages')->'reset' AS undone;
DELETE FROM chat.messages WHERE id IN (20, 23);
SELECT count(*) FROM json_array_elements(chatroom.pending('chat.messages')->'events');
SAVEPOINT b;
SAVEPOINT c;
DELETE FROM chat.rooms WHERE id = 6;
RELEASE c;
DELETE FROM chat.rooms WHERE id = 5;
SELECT chatroom.pending('chat.messages')->'reset' AS inside;
ROLLBACK TO b;
SELECT chatroom.pending('chat.messages')->'reset' AS undone;
DELETE FROM chat.rooms WHERE id IN (6, 7);
SELECT chatroom.pending('chat.messages')->'reset' AS kept;
ROLLBACK;

-- who was taken out before is no part of the audience; who came in meanwhile is
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO chat.members VALUES (5, 'regress_rt_ann', 'owner'), (5, 'regress_rt_ben', 'member'), (6, 'regress_rt_ann', 'owner');
BEGIN;
DELETE FROM chat.members WHERE room_id = 5 AND username = 'regress_rt_ben';
INSERT INTO chat.members VALUES (5, 'regress_rt_col');
DELETE FROM chat.rooms WHERE id = 5;
COMMIT;
SET ROLE regress_rt_ben;
SELECT type FROM rt.show('{room:5}', :'start');
SELECT type FROM rt.show('{chat.rooms}', :'start') WHERE type <> 'insert';
SET ROLE regress_rt_col;
SELECT type, "table", key FROM rt.show('{room:5}', :'start') WHERE type <> 'insert';
RESET ROLE;

-- keys that are made anew while a session goes on
INSERT INTO chat.rooms (id, name, private) VALUES (8, 'eight', true), (9, 'nine', true), (10, 'ten', true);
INSERT INTO chat.members SELECT r, 'regress_rt_ann', 'owner' FROM generate_series(8, 10) r;
INSERT INTO chat.messages (room_id, username, text) SELECT r, 'regress_rt_ann', 'hello' FROM generate_series(8, 10) r;
DELETE FROM chat.rooms WHERE id = 8;
ALTER TABLE chat.members DROP CONSTRAINT members_pkey, ADD PRIMARY KEY (username, room_id);
REINDEX INDEX CONCURRENTLY chat.rooms_pkey;
SELECT chatroom.snapshot_cursor() AS start \gset
DELETE FROM chat.rooms WHERE id = 9;
ALTER TABLE chat.members DROP CONSTRAINT members_pkey, ADD PRIMARY KEY (room_id, username);
SELECT chatroom.snapshot_cursor() AS again \gset
DELETE FROM chat.rooms WHERE id = 10;
SET ROLE regress_rt_ann;
SELECT type, "table", key FROM rt.show('{chat.rooms:9}', :'start');
SELECT type, "table", key FROM rt.show('{room:10}', :'again');
RESET ROLE;

-- more members than an event can name: all of the prefix load again
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO chat.users (username) SELECT 'user' || lpad(i::text, 16, '0') FROM generate_series(1, 7000) i;
INSERT INTO chat.members SELECT 6, 'user' || lpad(i::text, 16, '0') FROM generate_series(1, 7000) i;
SELECT chatroom.snapshot_cursor() AS start \gset
DELETE FROM chat.rooms WHERE id = 6;
SET ROLE regress_rt_ann;
SELECT type FROM rt.show('{rooms}', :'start');
SELECT type FROM rt.show('{room:1}', :'start');
SELECT type FROM rt.show('{chat/*}', :'start');
SELECT type FROM rt.show('{room:6}', :'start');
RESET ROLE;

-- policies of the owner's own: then they are asked, of each event
SELECT chatroom.snapshot_cursor() AS start \gset
SET ROLE regress_rt_owner;
CREATE POLICY quiet ON chat.messages AS RESTRICTIVE FOR SELECT USING (text <> 'secret');
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO chat.messages (id, room_id, username, text) VALUES (40, 1, 'regress_rt_ann', 'secret'), (41, 1, 'regress_rt_ann', 'known');
SET ROLE regress_rt_col;
SELECT type, key FROM rt.show('{room:1}', :'start');
SET ROLE regress_rt_app;
BEGIN;
SELECT chatroom.act_as('regress_rt_col');
SELECT type, key FROM rt.show('{room:1}', :'start');
COMMIT;
SET ROLE regress_rt_owner;
DROP POLICY quiet ON chat.messages;
RESET ROLE;

-- other prefixes, and other names of theirs
INSERT INTO "Other Chat".rooms (id, name) VALUES (1, 'elsewhere');
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO "Other Chat".messages (id, room_id, username, text) VALUES (1, 1, 'somebody', 'hello');
UPDATE "Other Chat".rooms SET name = 'there';
SELECT type, "table", topics FROM rt.show('{"\"Other Chat\"/room:1"}', :'start');
SELECT type, "table", topics FROM rt.show('{"\"Other Chat\"/rooms","\"Other Chat\"/*"}', :'start');
SELECT type FROM rt.show('{room:1,rooms,chat/*}', :'start');
ALTER SCHEMA "Other Chat" RENAME TO other_chat;
SELECT type FROM rt.show('{"\"Other Chat\"/room:1"}', :'start');
SELECT type FROM rt.show('{other_chat/room:1}', :'start');
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO other_chat.messages (id, room_id, username, text) VALUES (2, 1, 'somebody', 'hello');
UPDATE other_chat.rooms SET name = 'here';
SELECT type, "table", topics FROM rt.show('{other_chat/room:1,other_chat/rooms,other_chat/*}', :'start');
ALTER SCHEMA chat RENAME TO first_chat;
SELECT type FROM rt.show('{room:1}', :'start');
ALTER SCHEMA other_chat RENAME TO chat;
SELECT type FROM rt.show('{room:1}', :'start');
SELECT chatroom.snapshot_cursor() AS start \gset
UPDATE chat.rooms SET name = 'now first';
SELECT type, "table", topics FROM rt.show('{room:1,rooms}', :'start');

-- DDL and TRUNCATE of a prefix' table reset its topics, of other tables don't
ALTER TABLE first_chat.messages ADD COLUMN stars int;
SELECT type FROM rt.show('{room:1,rooms}', :'start');
SELECT type FROM rt.show('{first_chat/rooms}', :'start');
TRUNCATE chat.messages;
SELECT type FROM rt.show('{room:1}', :'start');

-- what is no topic of a prefix
SELECT type FROM rt.show('{chat/room:1}', NULL);
SELECT type FROM rt.show('{chat/rooms}', NULL);
SELECT type FROM rt.show('{first_chat/nothing}', NULL);
SELECT type FROM rt.show('{missing/room:1}', NULL);
SELECT type FROM rt.show('{rt/rooms}', NULL);
SELECT type FROM rt.show('{rt/*}', NULL);
SELECT type FROM rt.show('{room:}', NULL);
SELECT type FROM rt.show('{room:01}', NULL);
SELECT type FROM rt.show('{room:lobby}', NULL);
SELECT type FROM rt.show('{room:99999999999999999999}', NULL);
SELECT type FROM rt.show('{first_chat/room:x}', NULL);

-- a prefix' topics are for its own tables to speak in
SELECT chatroom.snapshot_cursor() AS start \gset
CREATE TABLE first_chat.notes (id int PRIMARY KEY, room_id bigint);
GRANT SELECT ON first_chat.notes TO PUBLIC;
CREATE TRIGGER chatroom_emit AFTER INSERT ON first_chat.notes FOR EACH ROW
	EXECUTE FUNCTION chatroom.emit('', 'extra_columns', 'topic=room:{1}', 'topic=rooms');
CREATE TRIGGER chatroom_emit_extra_columns AFTER UPDATE OF room_id ON first_chat.notes FOR EACH STATEMENT
	EXECUTE FUNCTION chatroom.watch_option('extra_columns', '');
ALTER TABLE first_chat.notes DISABLE TRIGGER chatroom_emit_extra_columns;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO first_chat.notes VALUES (1, 1);
SELECT type FROM rt.show('{first_chat/room:1,first_chat/rooms}', :'start');
SELECT type, topics FROM rt.show('{first_chat/room:1,first_chat.notes}', :'start');

-- to watch a chat table otherwise does not take its topics away
SET ROLE regress_rt_owner;
SELECT chatroom.watch('first_chat.messages', big_numbers => 'text');
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO first_chat.messages (id, room_id, username, text) VALUES (50, 1, 'regress_rt_ann', 'hello');
UPDATE first_chat.rooms SET private = true WHERE id = 1;
SET ROLE regress_rt_ann;
SELECT type FROM rt.show('{first_chat.messages}', :'start');
RESET ROLE;
SELECT type, key FROM rt.show('{first_chat/room:1}', :'start');

-- where the tables publish nothing, nobody is to think that nothing happens
ALTER TABLE first_chat.messages DISABLE TRIGGER chatroom_emit;
SELECT type FROM rt.show('{first_chat/room:1}', :'start');
SELECT type FROM rt.show('{first_chat/rooms}', :'start');
SELECT type FROM rt.show('{first_chat/*}', :'start');
ALTER TABLE first_chat.messages ENABLE TRIGGER chatroom_emit;
SELECT type FROM rt.show('{first_chat/room:1}', :'start');
SELECT chatroom.unwatch('first_chat.members');
SELECT type FROM rt.show('{first_chat/room:1}', :'start');
SELECT chatroom.watch('first_chat.members');
SELECT type FROM rt.show('{first_chat/room:1}', :'start');
SET ROLE regress_rt_owner;
SELECT chatroom.migrate('first_chat');
RESET ROLE;
SELECT type FROM rt.show('{first_chat/room:1}', :'start');

-- version 1: no private rooms, no users
SET ROLE regress_rt_owner;
SELECT chatroom.migrate('first_chat', 1, true);
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO first_chat.messages (id, room_id, username, text) VALUES (60, 1, 'regress_rt_ann', 'hello');
DELETE FROM first_chat.rooms WHERE id = 1;
SET ROLE regress_rt_ann;
SELECT type, "table", key FROM rt.show('{first_chat/room:1}', :'start');
SELECT rt.next('first_chat/room:1', :'start') AS after \gset
SELECT type FROM rt.show('{first_chat/room:1}', :'after');
SELECT type, "table" FROM rt.show('{first_chat/rooms}', :'start');
RESET ROLE;

DROP SCHEMA chat, first_chat, rt CASCADE;
DROP EXTENSION chatroom;
DROP ROLE regress_rt_owner, regress_rt_ann, regress_rt_ben, regress_rt_col, regress_rt_app;
