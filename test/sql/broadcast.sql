-- Events without a row.
SET client_min_messages = notice;
CREATE EXTENSION chatroom;
CREATE ROLE regress_broadcast_ann;
CREATE SCHEMA bc;
CREATE TABLE bc.t (id int PRIMARY KEY, v int);
SELECT chatroom.watch('bc.t');

-- a broadcast is out at once, and its cursor is that of its event
SELECT chatroom.snapshot_cursor() AS start \gset
SELECT chatroom.broadcast('lobby', 'hello', '{"b": 1, "a": [null, "ü"]}') AS sent \gset
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT e->>'cursor' = :'sent' AS same, e->>'type' AS type, e->'topics' AS topics,
	e->>'event' AS event, e->'payload' AS payload, e->'origin' AS origin,
	(e->>'at')::timestamptz BETWEEN now() - interval '1 minute' AND now() AS at
FROM json_array_elements(chatroom.sync('lobby', :'start')->'events') e;
SELECT json_array_length(chatroom.sync('lobby', :'sent')->'events');
SELECT type, relation, key, "row", old, changed, topics, payload, oversize, origin
FROM chatroom.events('lobby', :'start');
-- also where its record ends at the end of a page of WAL
CREATE TABLE bc.sent (n int, cursor text);
CREATE PROCEDURE bc.send(times int) LANGUAGE plpgsql AS $$
DECLARE
	sent text[];
BEGIN
	FOR i IN 1 .. times LOOP
		sent[i] := chatroom.broadcast('pages', 'n', to_jsonb(repeat('x', (i * 83) % 1000)));
	END LOOP;
	INSERT INTO bc.sent SELECT i, sent[i] FROM generate_subscripts(sent, 1) i;
END $$;
CALL bc.send(3000);
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT count(*), count(DISTINCT s.cursor), bool_and(s.cursor = e.cursor) AS same
FROM bc.sent s JOIN (SELECT cursor, row_number() OVER () AS n
	FROM chatroom.events('pages', :'start', 100000)) e USING (n);

-- in a transaction block it is part of the transaction, in its place
SELECT chatroom.snapshot_cursor() AS start \gset
BEGIN;
INSERT INTO bc.t VALUES (1);
SELECT chatroom.broadcast('lobby', 'between', '1') IS NULL AS unknown_yet;
UPDATE bc.t SET v = 1;
SAVEPOINT s;
SELECT chatroom.broadcast('lobby', 'undone', '2') IS NULL AS unknown_yet;
ROLLBACK TO s;
SELECT chatroom.broadcast('lobby', 'last', '3') IS NULL AS unknown_yet;
SELECT e->>'type' AS type, e->>'event' AS event FROM json_array_elements(chatroom.pending('lobby')->'events') e;
COMMIT;
BEGIN;
SELECT chatroom.broadcast('lobby', 'never', '4') IS NULL AS unknown_yet;
ROLLBACK;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT e->>'type' AS type, e->>'event' AS event, e->'payload' AS payload,
	dense_rank() OVER (ORDER BY length(e->>'cursor'), e->>'cursor') AS transaction
FROM json_array_elements(chatroom.sync_many('{lobby, bc.t}', :'start')->'events')
	WITH ORDINALITY AS a(e, n) ORDER BY n;

-- so it is where the statement has written already
SELECT chatroom.snapshot_cursor() AS start \gset
CREATE FUNCTION bc.write_and_tell(what int, fail boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	sent text;
BEGIN
	INSERT INTO bc.t VALUES (what);
	sent := chatroom.broadcast('lobby', 'written', to_jsonb(what));
	IF fail THEN
		RAISE 'after all not';
	END IF;
	RETURN sent;
END $$;
SELECT bc.write_and_tell(10, false) IS NULL AS unknown_yet;
SELECT bc.write_and_tell(11, true);
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT e->>'type' AS type, e->'payload' AS payload, e->'row' AS "row"
FROM json_array_elements(chatroom.sync_many('{lobby, bc.t}', :'start')->'events') e;

-- it comes in order also in a transaction so large that it is read again
SELECT chatroom.snapshot_cursor() AS start \gset
SELECT transactions_reread AS before FROM chatroom.status WHERE database = current_database() \gset
BEGIN;
INSERT INTO bc.t SELECT i FROM generate_series(1000, 1009) i;
SELECT count(*), count(chatroom.broadcast('lobby', 'middle', to_jsonb(repeat('x', 200000)))) AS cursors
FROM generate_series(1, 24);
INSERT INTO bc.t SELECT i FROM generate_series(2000, 2009) i;
COMMIT;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT transactions_reread > :before AS reread FROM chatroom.status WHERE database = current_database();
SELECT string_agg(coalesce(e->>'event', e->>'type'), ' ' ORDER BY n) AS events
FROM json_array_elements(chatroom.sync_many('{lobby, bc.t}', :'start')->'events') WITH ORDINALITY AS a(e, n);

-- with asynchronous commit there is no place that a crash could not take back
SELECT chatroom.snapshot_cursor() AS start \gset
SET synchronous_commit = off;
SELECT chatroom.broadcast('lobby', 'soon', '5') IS NULL AS unknown_yet;
RESET synchronous_commit;
-- it writes no table, and so may be sent from a read-only transaction
BEGIN READ ONLY;
SELECT chatroom.broadcast('lobby', 'read only', '6') IS NULL AS unknown_yet;
COMMIT;
-- the origin comes with it
SET chatroom.origin = 'tab 1';
SELECT chatroom.broadcast('lobby', 'tagged', '7') IS NULL AS unknown_yet;
RESET chatroom.origin;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT e->>'event' AS event, e->>'origin' AS origin
FROM json_array_elements(chatroom.sync('lobby', :'start')->'events') e;

-- a payload may have the size of an event
SELECT chatroom.snapshot_cursor() AS start \gset
SELECT chatroom.broadcast('lobby', 'large', to_jsonb(repeat('x', 256 * 1024 - 2))) IS NULL AS unknown_yet;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT e->>'event' AS event, length(e->>'payload')
FROM json_array_elements(chatroom.sync('lobby', :'start')->'events') e;
SELECT chatroom.broadcast('lobby', 'larger', to_jsonb(repeat('x', 256 * 1024 - 1)));
SELECT chatroom.broadcast('lobby', 'huge', to_jsonb(repeat('x', 20000000)));
SELECT chatroom.broadcast('lobby', 'many', (SELECT jsonb_agg(i % 2) FROM generate_series(1, 200000) i));

-- who may, and on what
SELECT chatroom.watch('bc.t', label => 'things');
SELECT chatroom.broadcast('things', 'x', '1');
SELECT chatroom.broadcast('things:1', 'x', '1');
SELECT chatroom.broadcast('bc.t', 'x', '1');
SELECT chatroom.broadcast('room:1', 'x', '1');
SET ROLE regress_broadcast_ann;
SELECT chatroom.broadcast('lobby', 'x', '1');
RESET ROLE;
SELECT chatroom.grant_topic('lob*', 'regress_broadcast_ann', '{broadcast}');
SET ROLE regress_broadcast_ann;
SELECT chatroom.broadcast('lobby', 'x', '1') IS NULL AS unknown_yet;
-- to send is not to follow
SELECT chatroom.sync('lobby');
RESET ROLE;

-- bad input
SELECT chatroom.broadcast(NULL, 'x', '1');
SELECT chatroom.broadcast('lobby', NULL, '1');
SELECT chatroom.broadcast('lobby', 'x', NULL);
SELECT chatroom.broadcast('', 'x', '1');
SELECT chatroom.broadcast(repeat('x', 1001), 'x', '1');
SELECT chatroom.broadcast('lobby', '', '1');
SELECT chatroom.broadcast('lobby', repeat('x', 256), '1');

SET client_min_messages = warning;
DROP SCHEMA bc CASCADE;
DROP EXTENSION chatroom;
DROP ROLE regress_broadcast_ann;
