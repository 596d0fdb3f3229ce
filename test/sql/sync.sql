-- Reading the stream: sync, sync_many, events, pending, cached,
-- snapshot_cursor, and status.

SET client_min_messages = notice;
CREATE EXTENSION chatroom;
CREATE SCHEMA talk;
CREATE TABLE talk.rooms (id bigint PRIMARY KEY, name text);
CREATE TABLE talk.messages (
	id bigint PRIMARY KEY,
	room_id bigint REFERENCES talk.rooms,
	text text
);
SELECT chatroom.watch('talk.rooms');
SELECT chatroom.watch('talk.messages');

-- an answer as rows, without what differs from run to run
CREATE FUNCTION talk.show(answer json,
	OUT type text, OUT topics json, OUT "table" text, OUT key json,
	OUT "row" json, OUT old json, OUT changed json)
RETURNS SETOF record LANGUAGE sql AS $$
	SELECT e->>'type', e->'topics', e->>'table', e->'key', e->'row',
		   e->'old', e->'changed'
	FROM json_array_elements(answer->'events') AS e
$$;

-- snapshot_cursor waits for the worker: what committed before is published
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO talk.rooms VALUES (1, 'lobby'), (2, 'den');
INSERT INTO talk.messages VALUES (10, 1, 'hello');
UPDATE talk.messages SET text = 'hello "all"' WHERE id = 10;
UPDATE talk.messages SET room_id = 2 WHERE id = 10;
DELETE FROM talk.messages WHERE id = 10;
SELECT chatroom.snapshot_cursor() AS later \gset

-- a table's topic has all of its changes, in commit order
SELECT * FROM talk.show(chatroom.sync('talk.messages', :'start'));
-- an association's topic has the row until it moves away
SELECT type, topics, key, old FROM talk.show(chatroom.sync('talk.messages.room_id:1', :'start'));
SELECT type, topics, key, old FROM talk.show(chatroom.sync('talk.messages.room_id:2', :'start'));
-- a row's topic
SELECT type, key FROM talk.show(chatroom.sync('talk.messages:10', :'start'));
-- several topics are merged in commit order, each event once
SELECT type, topics, key FROM talk.show(chatroom.sync_many(
	'{talk.messages, talk.messages:10, talk.rooms, talk.rooms}', :'start'));

-- the limit cuts at the end of a transaction, and gives at least one
SELECT a->>'more' AS more, json_array_length(a->'events') AS events
FROM chatroom.sync('talk.rooms', :'start', 1) AS a;
SELECT a->>'more' AS more, json_array_length(a->'events') AS events
FROM chatroom.sync_many('{talk.rooms, talk.messages}', :'start', 3) AS a;
CREATE PROCEDURE talk.read_on(topics text[], since text, max_events int)
LANGUAGE plpgsql AS $$
DECLARE
	answer json;
BEGIN
	LOOP
		answer := chatroom.sync_many(topics, since, max_events);
		RAISE NOTICE 'events %, more %',
			(SELECT string_agg(type || ' ' || (key->>'id'), ', ')
			 FROM talk.show(answer)), answer->>'more';
		EXIT WHEN (answer->>'more')::boolean IS NOT TRUE;
		since := answer->>'cursor';
	END LOOP;
END
$$;
CALL talk.read_on('{talk.rooms, talk.messages}', :'start', 1);

-- no news: an empty answer, and a cursor that is good
SELECT a->>'reset' AS reset, a->>'more' AS more, a->'events' AS events
FROM chatroom.sync('talk.messages', :'later') AS a;
SELECT json_array_length(chatroom.sync('talk.messages',
	chatroom.sync('talk.messages', :'later')->>'cursor')->'events');
-- without a cursor: an empty answer
SELECT a->>'reset' AS reset, a->'events' AS events
FROM chatroom.sync('talk.messages') AS a;
-- an event's own cursor continues after its transaction
SELECT type FROM talk.show(chatroom.sync('talk.messages',
	(chatroom.sync('talk.messages', :'start')->'events'->1->>'cursor')));

-- events: the same as rows
SELECT type, relation, key, "row", old, changed, topics, payload, oversize,
	   at IS NOT NULL AS at, origin
FROM chatroom.events('talk.messages', :'start');
-- without a cursor the newest
SELECT type, key, "row" FROM chatroom.events('talk.messages', NULL, 2);

-- a snapshot's cursor: just what the snapshot does not show
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM talk.rooms;
SELECT chatroom.snapshot_cursor() AS snapshot \gset
COMMIT;
INSERT INTO talk.rooms VALUES (3, 'attic');
SELECT chatroom.snapshot_cursor() IS NOT NULL;
SELECT type, key FROM talk.show(chatroom.sync('talk.rooms', :'snapshot'));

-- pending: the own transaction, without what was rolled back
BEGIN;
INSERT INTO talk.rooms VALUES (4, 'cellar');
SAVEPOINT one;
INSERT INTO talk.rooms VALUES (5, 'garden');
ROLLBACK TO one;
UPDATE talk.rooms SET name = 'wine cellar' WHERE id = 4;
SELECT type, key, "row", changed FROM talk.show(chatroom.pending('talk.rooms'));
SELECT type, key FROM talk.show(chatroom.pending('talk.rooms:4'));
SELECT chatroom.pending('talk.messages');
SELECT chatroom.pending('talk.rooms')->'cursor' AS cursor;
ROLLBACK;
SELECT chatroom.pending('talk.rooms');

-- cached: the newest version, null where there is none
SELECT chatroom.cached('talk.rooms', '{"id": 3}');
SELECT chatroom.cached('talk.messages', '{"id": 10}');
SELECT chatroom.cached('talk.rooms', '{"id": 99}');
UPDATE talk.rooms SET name = 'loft' WHERE id = 3;
SELECT chatroom.snapshot_cursor() IS NOT NULL;
SELECT chatroom.cached('talk.rooms', '{"id": 3}');
SELECT chatroom.cached('talk.rooms', '{"name": "loft"}');

-- truncate: an event for the table, a reset for its parts
SELECT chatroom.snapshot_cursor() AS before \gset
TRUNCATE talk.messages;
SELECT chatroom.snapshot_cursor() IS NOT NULL;
SELECT type, key, "row" FROM talk.show(chatroom.sync('talk.messages', :'before'));
SELECT chatroom.sync('talk.messages.room_id:1', :'before')->>'reset' AS reset;

-- origin: a session's tag
SET chatroom.origin = 'tab-1';
SELECT chatroom.snapshot_cursor() AS before \gset
UPDATE talk.rooms SET name = 'lounge' WHERE id = 1;
SELECT chatroom.snapshot_cursor() IS NOT NULL;
SELECT chatroom.sync('talk.rooms', :'before')->'events'->0->>'origin';
RESET chatroom.origin;

-- status and stat_topics
SELECT state, lag_bytes >= 0 AS lag, cache_failed, held, events_kept > 0 AS kept
FROM chatroom.status WHERE database = current_database();
SELECT topic, events, newest_cursor IS NOT NULL AS cursor
FROM chatroom.stat_topics
WHERE topic LIKE 'talk.%' ORDER BY topic COLLATE "C";
SELECT chatroom.stat_reset();
SELECT events, resets FROM chatroom.status WHERE database = current_database();

-- unwatched: nothing is published any more
SELECT chatroom.unwatch('talk.messages');
SELECT chatroom.sync('talk.messages', :'later');
-- nor under the name of a table that is gone, whoever asks
DROP TABLE talk.messages;
SELECT chatroom.sync('talk.messages', :'later');

SET client_min_messages = warning;
DROP SCHEMA talk CASCADE;
DROP EXTENSION chatroom;
