-- What is hidden from the caller leaves no trace: an answer is, byte for byte,
-- that of a topic where nothing happened; and what is seen comes, and is
-- counted, as if there were nothing else.
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE ROLE regress_hidden_ann;
CREATE ROLE regress_hidden_mal;
CREATE SCHEMA hid;
GRANT USAGE ON SCHEMA hid TO PUBLIC;
CREATE TABLE hid.notes (id int PRIMARY KEY, room int, author name, text text);
CREATE TABLE hid.idle (LIKE hid.notes INCLUDING ALL);
ALTER TABLE hid.notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE hid.idle ENABLE ROW LEVEL SECURITY;
CREATE POLICY author ON hid.notes USING (author = current_user);
CREATE POLICY author ON hid.idle USING (author = current_user);
GRANT SELECT ON hid.notes, hid.idle TO PUBLIC;
SELECT chatroom.watch(t, topic_columns => '{room}') FROM unnest('{hid.notes,hid.idle}'::text[]) t;

-- do several topics answer the same?  What is published may move on between
-- the answers: then once more
CREATE FUNCTION hid.same(topics text[], since text, max_events int = 1) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	answers text[];
BEGIN
	PERFORM chatroom.snapshot_cursor();
	FOR i IN 1 .. 1000 LOOP
		SELECT array_agg(chatroom.sync(t, since, max_events)::text ORDER BY n) INTO answers
		FROM unnest(topics || topics[1]) WITH ORDINALITY u(t, n);
		EXIT WHEN answers[1] = answers[cardinality(answers)];
	END LOOP;
	IF answers[1] <> ALL (answers) OR answers[1] <> ANY (answers) THEN
		RETURN answers;
	END IF;
	RETURN regexp_replace(answers[1], '"cursor":"[^"]*"', '"cursor":…', 'g');
END
$$;
-- all that is seen since a cursor, an answer after the other
CREATE FUNCTION hid.follow(topics text[], since text, max_events int)
RETURNS TABLE (answer int, more boolean, keys text) LANGUAGE plpgsql AS $$
DECLARE
	a json;
BEGIN
	PERFORM chatroom.snapshot_cursor();
	FOR i IN 1 .. 100 LOOP
		a := chatroom.sync_many(topics, since, max_events);
		since := a ->> 'cursor';
		answer := i;
		more := a ->> 'more';
		keys := (SELECT string_agg(e #>> '{key,id}', ' ') FROM json_array_elements(a -> 'events') e);
		RETURN NEXT;
		EXIT WHEN NOT more;
	END LOOP;
END
$$;

-- a few, many, and many of one transaction
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO hid.notes VALUES (1, 1, 'regress_hidden_ann', 'one');
INSERT INTO hid.notes VALUES (2, 1, 'regress_hidden_ann', 'two');
UPDATE hid.notes SET text = 'new' WHERE id = 1;
DELETE FROM hid.notes WHERE id = 2;
SET ROLE regress_hidden_mal;
SELECT hid.same('{hid.notes,hid.idle,hid.notes:1,hid.notes:2,hid.idle:1,hid.notes.room:1,hid.notes.room:2}', :'start');
SELECT hid.same('{hid.notes,hid.idle}', :'start', 1000);
SELECT count(*) FROM chatroom.events('hid.notes', :'start', 1);
SELECT count(*) FROM chatroom.events('hid.notes', NULL, 1);
SELECT count(*) FROM chatroom.stat_topics WHERE topic ~ '^hid';
RESET ROLE;
DO $$ BEGIN FOR i IN 100 .. 399 LOOP
	INSERT INTO hid.notes VALUES (i, 1, 'regress_hidden_ann', 'one of many'); COMMIT; END LOOP; END $$;
INSERT INTO hid.notes SELECT i, 1, 'regress_hidden_ann', 'many in one' FROM generate_series(1000, 5000) i;
SET ROLE regress_hidden_mal;
SELECT hid.same('{hid.notes,hid.idle,hid.notes:1,hid.notes.room:1}', :'start');
SELECT hid.same('{hid.notes,hid.idle,hid.notes.room:1}', :'start', 2000000000);
SELECT count(*) FROM chatroom.events('hid.notes', NULL, 3);
RESET ROLE;

-- an answer is cut by what is seen of it, and says more where more is seen
SELECT chatroom.snapshot_cursor() AS start \gset
DO $$ BEGIN FOR i IN 1 .. 300 LOOP
	INSERT INTO hid.idle VALUES (i, i % 2, CASE i % 100 WHEN 50 THEN 'regress_hidden_mal' ELSE 'nobody' END);
	COMMIT; END LOOP; END $$;
SET ROLE regress_hidden_mal;
SELECT * FROM hid.follow('{hid.idle}', :'start', 1);
SELECT * FROM hid.follow('{hid.idle}', :'start', 2);
SELECT * FROM hid.follow('{hid.idle}', :'start', 3);
SELECT * FROM hid.follow('{hid.idle.room:0,hid.idle:150,hid.notes}', :'start', 1);
SELECT * FROM hid.follow('{hid.idle.room:1,hid.notes}', :'start', 1);
SELECT key FROM chatroom.events('hid.idle', NULL, 1);
SELECT key FROM chatroom.events('hid.idle', NULL, 2);
SELECT key FROM chatroom.events('hid.idle');
RESET ROLE;
-- one transaction is never cut, hidden events in it or not
SELECT chatroom.snapshot_cursor() AS start \gset
BEGIN;
INSERT INTO hid.idle SELECT i, 0, CASE i % 2 WHEN 0 THEN 'regress_hidden_mal' ELSE 'nobody' END FROM generate_series(1001, 1200) i;
COMMIT;
INSERT INTO hid.idle VALUES (2000, 0, 'regress_hidden_mal');
INSERT INTO hid.idle VALUES (2001, 0, 'nobody');
SET ROLE regress_hidden_mal;
SELECT answer, more, cardinality(string_to_array(keys, ' ')) FROM hid.follow('{hid.idle}', :'start', 3);
SELECT answer, more, cardinality(string_to_array(keys, ' ')) FROM hid.follow('{hid.idle}', :'start', 100);
SELECT answer, more, cardinality(string_to_array(keys, ' ')) FROM hid.follow('{hid.idle}', :'start', 101);
RESET ROLE;

-- what the ring has lost is lost of all that may be hidden, or of nothing
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO hid.notes VALUES (6000, 1, 'nobody', 'hidden, and then overwritten');
DO $$ BEGIN FOR i IN 1 .. 100 LOOP
	UPDATE hid.notes SET text = repeat('x', 200000) WHERE id = 6000; COMMIT; END LOOP; END $$;
SELECT chatroom.snapshot_cursor() AS later \gset
SET ROLE regress_hidden_mal;
SELECT hid.same('{hid.notes,hid.idle,hid.notes:6000,hid.idle:6000,hid.notes.room:1,hid.idle.room:1}', :'start');
SELECT hid.same('{hid.notes,hid.idle,hid.notes:6000,hid.idle:6000,hid.notes.room:1,hid.idle.room:1}', :'later');
RESET ROLE;
SELECT chatroom.sync('hid.idle', :'start') ->> 'reset' AS idle, chatroom.sync('hid.notes', :'start') ->> 'reset' AS notes;

-- chat: what strangers hear of a private room
SELECT chatroom.migrate(), chatroom.migrate('hid_quiet');
GRANT USAGE ON SCHEMA chat, hid_quiet TO PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat, hid_quiet TO PUBLIC;
SELECT chatroom.snapshot_cursor() AS start \gset
SET ROLE regress_hidden_ann;
SELECT chatroom.create_room('secret plans', true) ->> 'id' AS room \gset
SELECT chatroom.post(:'room', 'regress_hidden_ann', 'hello there') ->> 'id' AS message \gset
SELECT chatroom.track('room:' || :'room', 'regress_hidden_ann') IS NOT NULL AS tracked;
SELECT chatroom.rename_room(:'room', 'other plans') ->> 'name' AS name;
SET ROLE regress_hidden_mal;
SELECT hid.same(ARRAY['chat.messages', 'chat.messages:' || :'message', 'chat.messages:0', 'chat.messages.room_id:' || :'room',
	'chat.messages.room_id:0', 'chat.rooms', 'chat.rooms:' || :'room', 'chat.rooms:0', 'chat.members',
	'chat.members.username:regress_hidden_ann', 'rooms', 'hid_quiet/rooms', 'hid_quiet/*'], :'start');
SELECT count(*) FROM chatroom.events('rooms');
SELECT count(*) FROM chatroom.events('chat.messages', NULL, 1);
SELECT topic FROM chatroom.stat_topics WHERE topic ~ '^(chat|hid|room)';
RESET ROLE;
-- nor does a doorbell tell; who is in the room is rung
\set VERBOSITY terse
SET ROLE regress_hidden_mal;
SELECT chatroom.listen('chat.messages');
SELECT chatroom.listen('chat.messages.room_id:' || :'room');
SELECT chatroom.channel('chat.messages:' || :'message', '1 s');
SELECT chatroom.listen('rooms');
SELECT chatroom.listen('chat/*');
SELECT chatroom.listen('room:' || :'room');
SET ROLE regress_hidden_ann;
SELECT chatroom.listen('rooms');
SELECT chatroom.channel('room:' || :'room', '1 s') IS NOT NULL AS inside;
RESET ROLE;
SELECT chatroom.channel(t, '1 s') IS NOT NULL AS exempt FROM unnest('{rooms,chat/*,chat.messages}'::text[]) t;
SELECT chatroom.listen('rooms', 'regress_hidden_ann');
SELECT chatroom.listen('chat.messages', 'regress_hidden_ann');
SELECT chatroom.channel('room:' || :'room', '1 s', 'regress_hidden_ann') IS NOT NULL AS inside;
-- only with a right to all that is said there
REVOKE SELECT ON chat.messages FROM PUBLIC;
SET ROLE regress_hidden_ann;
SELECT chatroom.listen('room:' || :'room');
RESET ROLE;
GRANT SELECT ON chat.messages TO PUBLIC;
\set VERBOSITY default
-- nor when the room goes
SET ROLE regress_hidden_ann;
SELECT chatroom.delete_room(:'room') ->> 'name' AS name;
SET ROLE regress_hidden_mal;
SELECT hid.same('{rooms,hid_quiet/rooms,hid_quiet/*}', :'start');
RESET ROLE;

DROP SCHEMA hid, chat, hid_quiet CASCADE;
DROP ROLE regress_hidden_ann, regress_hidden_mal;
DROP EXTENSION chatroom;
