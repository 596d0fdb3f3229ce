-- Privileges on tables and columns hold for the stream as for a SELECT, from
-- the next call after a change.
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE ROLE regress_access_all;
CREATE ROLE regress_access_some;
CREATE ROLE regress_access_none;
CREATE ROLE regress_access_group;
CREATE SCHEMA acc;
CREATE TABLE acc.rooms (id int PRIMARY KEY, name text);
CREATE TABLE acc.people (
	id int PRIMARY KEY,
	room int REFERENCES acc.rooms,
	name text,
	salary int REFERENCES acc.rooms
);
SELECT chatroom.watch('acc.people');
SELECT chatroom.watch('acc.people', label => 'staff');
INSERT INTO acc.rooms VALUES (1, 'one'), (2, 'two'), (5, 'five');

CREATE FUNCTION show(topic text, since text,
	OUT type text, OUT key json, OUT "row" json, OUT old json, OUT changed json, OUT topics json)
RETURNS SETOF record LANGUAGE sql AS $$
	SELECT e->>'type', e->'key', e->'row', e->'old', e->'changed', e->'topics'
	FROM json_array_elements(chatroom.sync(topic, since)->'events') AS e
$$;

SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO acc.people VALUES (1, 1, 'Ann', 5);
UPDATE acc.people SET salary = 2 WHERE id = 1;
UPDATE acc.people SET id = 2, room = 2, name = 'Anne' WHERE id = 1;
DELETE FROM acc.people WHERE id = 2;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;

-- neither schema nor table
SET ROLE regress_access_none;
SELECT chatroom.sync('acc.people');
RESET ROLE;
GRANT SELECT ON acc.people TO regress_access_all;
GRANT SELECT (room, name) ON acc.people TO regress_access_some;
SET ROLE regress_access_all;
SELECT chatroom.sync('acc.people');
SELECT count(*) FROM acc.people;
RESET ROLE;
GRANT USAGE ON SCHEMA acc TO PUBLIC;
SET ROLE regress_access_none;
SELECT chatroom.sync('acc.people');
SELECT chatroom.sync('acc.people:1');
SELECT chatroom.sync('acc.people.room:1');
SELECT chatroom.sync('staff');
SELECT chatroom.sync_many('{staff, acc.people}');
SELECT chatroom.pending('acc.people');
SELECT * FROM chatroom.events('acc.people');
SELECT chatroom.cached('acc.people', '{"id": 1}');
RESET ROLE;

-- all columns
SET ROLE regress_access_all;
SELECT * FROM show('acc.people', :'start');
SELECT type, key, "row", old, changed FROM chatroom.events('acc.people', :'start');
RESET ROLE;

-- some columns: rows, keys and changed columns have just those
SET ROLE regress_access_some;
SELECT * FROM show('acc.people', :'start');
SELECT type, key, "row", old, changed FROM chatroom.events('acc.people', :'start');
SELECT type, "row" FROM show('staff', :'start');
-- nor can topics be asked which rows have what the role may not see
SELECT type, topics FROM show('acc.people.room:1', :'start');
SELECT type FROM show('acc.people.salary:5', :'start');
SELECT type FROM show('acc.people:1', :'start');
SELECT type FROM show('staff.salary:5', :'start');
SELECT chatroom.cached('acc.people', '{"id": 1}');
SELECT chatroom.topic('acc.people', '{"id": 1}');
-- and the statistics tell of those topics only that it may follow
SELECT topic FROM chatroom.stat_topics ORDER BY topic COLLATE "C";
RESET ROLE;
GRANT SELECT (id) ON acc.people TO regress_access_some;
SET ROLE regress_access_some;
SELECT type, key FROM show('acc.people:1', :'start');
RESET ROLE;

-- privileges by membership, and their end
SET ROLE regress_access_none;
SELECT count(*) FROM show('acc.people', :'start');
RESET ROLE;
GRANT regress_access_group TO regress_access_none;
GRANT SELECT ON acc.people TO regress_access_group;
SET ROLE regress_access_none;
SELECT count(*) FROM show('acc.people', :'start');
RESET ROLE;
REVOKE regress_access_group FROM regress_access_none;
SET ROLE regress_access_none;
SELECT count(*) FROM show('acc.people', :'start');
RESET ROLE;
REVOKE SELECT ON acc.people FROM regress_access_all;
SET ROLE regress_access_all;
SELECT count(*) FROM show('acc.people', :'start');
RESET ROLE;

-- a function that is SECURITY DEFINER asks as its owner
CREATE FUNCTION acc.ask(topic text, since text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER AS $$ SELECT count(*) FROM show(topic, since) $$;
SET ROLE regress_access_none;
SELECT acc.ask('acc.people', :'start');
RESET ROLE;

-- an oversize row shows its key to who may see it
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO acc.people VALUES (3, 1, repeat('x', 1000000), NULL);
UPDATE acc.people SET salary = 5 WHERE id = 3;
DELETE FROM acc.people WHERE id = 3;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT type, key, "row", old FROM show('acc.people', :'start');
SET ROLE regress_access_some;
SELECT type, key, "row", old FROM show('acc.people', :'start');
RESET ROLE;

-- topics that are no table's are granted
SET ROLE regress_access_none;
SELECT chatroom.sync('lobby');
SELECT chatroom.sync('acc.nothing');
RESET ROLE;

-- what happens is told in status to those who may read statistics, and the database's owner
CREATE ROLE regress_access_stats;
GRANT pg_read_all_stats TO regress_access_stats;
CREATE FUNCTION activity() RETURNS TABLE(told bigint, null_columns bigint) LANGUAGE sql AS $$
	SELECT count(*) FILTER (WHERE value <> 'null'), count(*) FILTER (WHERE value = 'null')
	FROM chatroom.status s, jsonb_each(to_jsonb(s))
	WHERE database = current_database() AND key = ANY ('{messages_read,messages_forged,messages_torn,transactions_reread,assembly_bytes,cache_used_bytes,events_kept,last_event_at,held,waiting,interested,present,events,transactions,event_bytes,overwritten,oversize,large_transactions,topics_evicted,syncs,syncs_with_news,waits,notifies,notify_batches,presence_refused,resets}'::text[])
$$;
SELECT * FROM activity();
SET ROLE regress_access_stats;
SELECT * FROM activity();
SET ROLE regress_access_none;
SELECT * FROM activity();
SELECT state, lag_bytes IS NOT NULL AS lag, cache_bytes > 0 AS cache, presence_limit FROM chatroom.status;
RESET ROLE;
DROP FUNCTION activity;

DROP SCHEMA acc CASCADE;
DROP FUNCTION show;
DROP EXTENSION chatroom;
DROP ROLE regress_access_all, regress_access_some, regress_access_none,
	regress_access_group, regress_access_stats;
