-- Row-level security on events: an event is shown to who could select its row,
-- by the table's policies of now over the images that the event carries.
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE ROLE regress_policies_owner;
CREATE ROLE regress_policies_ann;
CREATE ROLE regress_policies_ben;
CREATE ROLE regress_policies_team;
CREATE ROLE regress_policies_watcher BYPASSRLS;
CREATE SCHEMA pol AUTHORIZATION regress_policies_owner;
GRANT USAGE ON SCHEMA pol TO PUBLIC;

-- an answer, without what differs from run to run
CREATE FUNCTION pol.show(topic text, since text)
RETURNS TABLE (type text, key json, "row" json, old json, changed json, topics json)
LANGUAGE sql AS $$
	WITH answer AS MATERIALIZED (SELECT chatroom.sync(topic, since, 1000000) AS a)
	SELECT 'reset', NULL::json, NULL::json, NULL::json, NULL::json, NULL::json
	FROM answer WHERE (a->>'reset')::boolean
	UNION ALL
	SELECT e->>'type', e->'key', e->'row', e->'old', e->'changed', e->'topics'
	FROM answer, json_array_elements(a->'events') AS e
$$;

SET ROLE regress_policies_owner;
CREATE TABLE pol.members (room int, name name, PRIMARY KEY (room, name));
CREATE TABLE pol.notes (id int PRIMARY KEY, room int, author name, text text);
ALTER TABLE pol.notes ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON pol.members, pol.notes TO regress_policies_ann,
	regress_policies_ben, regress_policies_watcher;
SELECT chatroom.watch('pol.notes', topic_columns => '{room}');
RESET ROLE;

-- without a policy nobody sees a thing, but who is exempt
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.notes VALUES (1, 1, 'nobody', 'hidden');
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
SET ROLE regress_policies_watcher;
SELECT type, key FROM pol.show('pol.notes', :'start');
SET ROLE regress_policies_owner;
SELECT type, key FROM pol.show('pol.notes', :'start');
RESET ROLE;
SELECT type, key FROM pol.show('pol.notes', :'start');

-- a column and current_user
SET ROLE regress_policies_owner;
CREATE POLICY author ON pol.notes FOR SELECT USING (author = current_user);
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.notes VALUES
	(2, 1, 'regress_policies_ann', 'of ann'),
	(3, 1, 'regress_policies_ben', 'of ben');
UPDATE pol.notes SET text = 'of ann, better' WHERE id = 2;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SELECT type, key, "row" FROM pol.show('pol.notes', :'start');
SET ROLE regress_policies_ben;
SELECT type, key, "row" FROM pol.show('pol.notes', :'start');
-- the owner is exempt until it is not
SET ROLE regress_policies_owner;
SELECT count(*) FROM pol.show('pol.notes', :'start');
ALTER TABLE pol.notes FORCE ROW LEVEL SECURITY;
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
UPDATE pol.notes SET text = 'forced' WHERE id = 2;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_owner;
SELECT type, key FROM pol.show('pol.notes', :'start');
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
SET ROLE regress_policies_owner;
ALTER TABLE pol.notes NO FORCE ROW LEVEL SECURITY;
RESET ROLE;

-- an update that takes a row out of the caller's view, or into it: under the
-- key it had there, and no word of the other image
SELECT chatroom.snapshot_cursor() AS start \gset
UPDATE pol.notes SET author = 'regress_policies_ben', text = 'taken' WHERE id = 2;
UPDATE pol.notes SET id = 20, author = 'regress_policies_ann', room = 2 WHERE id = 2;
UPDATE pol.notes SET id = 21, author = 'regress_policies_ben', room = 3 WHERE id = 20;
DELETE FROM pol.notes WHERE id = 21;
TRUNCATE pol.notes;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SELECT * FROM pol.show('pol.notes', :'start');
SET ROLE regress_policies_ben;
SELECT * FROM pol.show('pol.notes', :'start');
SELECT type, key, "row", old, changed, topics FROM chatroom.events('pol.notes', :'start');
RESET ROLE;
-- nor do the topics of the other image tell of it
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.notes VALUES (4, 1, 'regress_policies_ann', 'here');
UPDATE pol.notes SET author = 'regress_policies_ben', room = 2 WHERE id = 4;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SELECT type, topics FROM pol.show('pol.notes.room:1', :'start');
SELECT type, topics FROM pol.show('pol.notes.room:2', :'start');
SET ROLE regress_policies_ben;
SELECT type, topics FROM pol.show('pol.notes.room:1', :'start');
SELECT type, topics FROM pol.show('pol.notes.room:2', :'start');
RESET ROLE;
SELECT type, topics FROM pol.show('pol.notes.room:1', :'start');

-- a subquery on another table: as it is now
SET ROLE regress_policies_owner;
DROP POLICY author ON pol.notes;
CREATE POLICY member ON pol.notes FOR SELECT USING (EXISTS (
	SELECT FROM pol.members m WHERE m.room = notes.room AND m.name = current_user));
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.notes VALUES (5, 1, NULL, 'in 1'), (6, 2, NULL, 'in 2');
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
RESET ROLE;
INSERT INTO pol.members VALUES (1, 'regress_policies_ann'), (2, 'regress_policies_ben');
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
SET ROLE regress_policies_ben;
SELECT type, key FROM pol.show('pol.notes', :'start');
RESET ROLE;
-- the transaction's own changes count, as in a SELECT
SET ROLE regress_policies_ann;
BEGIN;
SELECT count(*) FROM pol.notes WHERE id IN (5, 6);
RESET ROLE;
DELETE FROM pol.members;
SET ROLE regress_policies_ann;
SELECT count(*) FROM pol.show('pol.notes', :'start');
ROLLBACK;
SELECT count(*) FROM pol.show('pol.notes', :'start');
RESET ROLE;
-- that other table's privileges and policies are the caller's
REVOKE SELECT ON pol.members FROM regress_policies_ann;
SET ROLE regress_policies_ann;
SELECT count(*) FROM pol.notes;
SELECT type FROM pol.show('pol.notes', :'start');
RESET ROLE;
GRANT SELECT ON pol.members TO regress_policies_ann;
SET ROLE regress_policies_owner;
ALTER TABLE pol.members ENABLE ROW LEVEL SECURITY;
SET ROLE regress_policies_ann;
SELECT type FROM pol.show('pol.notes', :'start');
SET ROLE regress_policies_owner;
CREATE POLICY all_of_it ON pol.members USING (true);
SET ROLE regress_policies_ann;
SELECT type FROM pol.show('pol.notes', :'start');
RESET ROLE;

-- restrictive policies, policies for roles, and memberships that change
SET ROLE regress_policies_owner;
DROP POLICY member ON pol.notes;
CREATE POLICY team ON pol.notes FOR SELECT TO regress_policies_team USING (true);
CREATE POLICY low ON pol.notes AS RESTRICTIVE FOR SELECT USING (room < 3);
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.notes VALUES (7, 2, NULL, 'low'), (8, 3, NULL, 'high');
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
RESET ROLE;
GRANT regress_policies_team TO regress_policies_ann;
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
RESET ROLE;
REVOKE regress_policies_team FROM regress_policies_ann;
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
RESET ROLE;

-- a function that is SECURITY DEFINER asks as its owner
GRANT regress_policies_team TO regress_policies_ben;
CREATE FUNCTION pol.as_ben(topic text, since text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER AS $$ SELECT count(*) FROM pol.show(topic, since) $$;
ALTER FUNCTION pol.as_ben(text, text) OWNER TO regress_policies_ben;
SET ROLE regress_policies_ann;
SELECT count(*), pol.as_ben('pol.notes', :'start') FROM pol.show('pol.notes', :'start');
RESET ROLE;

-- row_security = off is an error, as for a SELECT
SET ROLE regress_policies_ann;
SET row_security = off;
SELECT type FROM pol.show('pol.notes', :'start');
RESET row_security;
RESET ROLE;

-- a changed policy is a reset
SET ROLE regress_policies_owner;
DROP POLICY team ON pol.notes;
DROP POLICY low ON pol.notes;
CREATE POLICY room ON pol.notes FOR SELECT USING (room = 2);
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.notes VALUES (9, 2, 'regress_policies_ann', 'whose?');
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
SET ROLE regress_policies_owner;
ALTER POLICY room ON pol.notes USING (room <> 2);
RESET ROLE;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
RESET ROLE;

-- Also where no event trigger hears of the change it holds at once, for events
-- that were before it. What they don't carry is a reset.
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.notes VALUES (10, 1, 'regress_policies_ann', 'whose?');
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
ALTER EVENT TRIGGER chatroom_ddl DISABLE;
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
SET ROLE regress_policies_owner;
ALTER POLICY room ON pol.notes USING (room <> 1);
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
SET ROLE regress_policies_owner;
ALTER POLICY room ON pol.notes USING (true);
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
SET ROLE regress_policies_owner;
ALTER POLICY room ON pol.notes USING (author = current_user);
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
SET ROLE regress_policies_owner;
ALTER TABLE pol.notes DISABLE ROW LEVEL SECURITY;
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
RESET ROLE;
ALTER EVENT TRIGGER chatroom_ddl ENABLE ALWAYS;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.notes VALUES (11, 2, 'regress_policies_ann', 'before');
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
ALTER EVENT TRIGGER chatroom_ddl DISABLE;
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
SET ROLE regress_policies_owner;
ALTER TABLE pol.notes ENABLE ROW LEVEL SECURITY;
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');

-- a policy that fails is a reset; the client's own SELECT says why
SET ROLE regress_policies_owner;
ALTER POLICY room ON pol.notes USING (100 / (room - 2) > 0);
RESET ROLE;
ALTER EVENT TRIGGER chatroom_ddl ENABLE ALWAYS;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.notes VALUES (12, 2, NULL, 'fails');
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
ALTER EVENT TRIGGER chatroom_ddl DISABLE;
SET ROLE regress_policies_ann;
BEGIN;
SELECT type, key FROM pol.show('pol.notes', :'start');
SELECT 'the transaction goes on' AS note;
COMMIT;
SELECT count(*) FROM pol.notes;
-- one that looks into its own table, likewise
SET ROLE regress_policies_owner;
ALTER POLICY room ON pol.notes USING (EXISTS (SELECT FROM pol.notes n WHERE n.room = notes.room));
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
SELECT count(*) FROM pol.notes;
-- and one that asks for what no event carries
SET ROLE regress_policies_owner;
ALTER POLICY room ON pol.notes USING (room = 2 AND tableoid = 'pol.notes'::regclass);
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
-- but being cancelled is no verdict on the policy
RESET ROLE;
CREATE FUNCTION pol.cancelled() RETURNS boolean LANGUAGE sql SECURITY DEFINER AS
	'SELECT pg_cancel_backend(pg_backend_pid()) AND pg_sleep(60) IS NOT NULL';
SET ROLE regress_policies_owner;
ALTER POLICY room ON pol.notes USING (room = 2 AND pol.cancelled());
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
RESET ROLE;
ALTER EVENT TRIGGER chatroom_ddl ENABLE ALWAYS;

-- functions in policies run as in a SELECT: with the caller's settings
CREATE SCHEMA pol_path;
GRANT USAGE ON SCHEMA pol_path TO PUBLIC;
CREATE FUNCTION pol_path.limits() RETURNS int LANGUAGE sql AS 'SELECT 7';
CREATE FUNCTION pol.visible(room int) RETURNS boolean LANGUAGE plpgsql STABLE AS
	'BEGIN RETURN room < limits() AND current_setting(''app.open'', true) = ''yes''; END';
SET ROLE regress_policies_owner;
ALTER POLICY room ON pol.notes USING (pol.visible(room));
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.notes VALUES (13, 6, NULL, 'six'), (14, 7, NULL, 'seven');
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SELECT type, key FROM pol.show('pol.notes', :'start');
SET search_path = pol_path;
SELECT type, key FROM pol.show('pol.notes', :'start');
SET app.open = 'yes';
SELECT type, key FROM pol.show('pol.notes', :'start');
RESET app.open;
RESET search_path;
RESET ROLE;
-- and one that itself reads the stream
CREATE FUNCTION pol.nested(id int, room int) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	IF current_setting('app.nested', true) = 'on' THEN
		RETURN false;
	END IF;
	PERFORM set_config('app.nested', 'on', false);
	PERFORM chatroom.sync('pol.notes', current_setting('app.start'));
	PERFORM set_config('app.nested', 'off', false);
	RETURN id = 15;
END $$;
SET ROLE regress_policies_owner;
ALTER POLICY room ON pol.notes USING (pol.nested(id, room));
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.notes VALUES (15, 1, NULL, 'a'), (16, 1, NULL, 'b');
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SET app.start = :'start';
SELECT type, key FROM pol.show('pol.notes', :'start');
RESET ROLE;

-- values of all sorts of types come back as they were
SET ROLE regress_policies_owner;
CREATE TYPE pol.mood AS ENUM ('sad', 'so so', 'happy');
CREATE TYPE pol.pair AS (a int, b text);
CREATE DOMAIN pol.small AS int CHECK (VALUE < 100);
CREATE TABLE pol.types (
	id int PRIMARY KEY,
	dropped int,
	ok boolean,
	big bigint, num numeric(10,2), f4 real, f8 double precision,
	t text, c char(5), v varchar(4), n name,
	d date, ts timestamp, tz timestamptz, tm timetz, iv interval,
	u uuid, b bytea, j json, jb jsonb,
	ia int[], ta text[], na numeric[][],
	m pol.mood, p pol.pair, pa pol.pair[], s pol.small,
	r int4range, tr tstzrange, ip inet, x bit(4), rc regclass, mon money,
	nul text
);
ALTER TABLE pol.types DROP COLUMN dropped;
ALTER TABLE pol.types ENABLE ROW LEVEL SECURITY;
CREATE POLICY each ON pol.types FOR SELECT USING (
	ok AND big = 9223372036854775807 AND num = 12345678.90 AND f4 = 0.1::real
	AND f8 = 1e-300 AND t = E'line\n"two" \\ ü' AND c = 'ab' AND v = 'abcd'
	AND n = 'name' AND d = '0044-03-15 BC' AND ts = '99999-12-31 23:59:59.999999'
	AND tz = '2024-02-29 12:00:00+00' AND tm = '10:00:00+02' AND iv = '-1 year 2 mons -3 days 04:05:06'
	AND u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' AND b = '\x00ff5c27'
	AND j->>'a' = 'x' AND jb = '{"b": [1, null]}'
	AND ia = '{1,NULL,3}' AND ta = ARRAY['a,b', '"', 'NULL', NULL] AND na = '{{1.5,2},{3,4}}'
	AND m = 'so so' AND p = ROW(1, 'x,y')::pol.pair AND pa = ARRAY[ROW(1, '"')::pol.pair]
	AND s = 99 AND r = '[1,5)' AND tr @> '2024-01-15 00:00+00'::timestamptz
	AND ip = '10.0.0.0/8' AND x = B'1010' AND rc = 'pol.notes'::regclass
	AND mon = 12.34::numeric::money AND nul IS NULL);
GRANT SELECT ON pol.types TO regress_policies_ann;
SELECT chatroom.watch('pol.types', columns => '{id, ok, ta}');
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.types VALUES (1, true,
	9223372036854775807, 12345678.90, 0.1, 1e-300,
	E'line\n"two" \\ ü', 'ab', 'abcd', 'name',
	'0044-03-15 BC', '99999-12-31 23:59:59.999999', '2024-02-29 12:00:00+00', '10:00:00+02', '-1 year 2 mons -3 days 04:05:06',
	'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\x00ff5c27', '{"a":"x"}', '{"b":[1,null]}',
	'{1,NULL,3}', ARRAY['a,b', '"', 'NULL', NULL], '{{1.5,2},{3,4}}',
	'so so', ROW(1, 'x,y'), ARRAY[ROW(1, '"')::pol.pair], 99,
	'[1,5)', '[2024-01-01 00:00+00,2024-02-01 00:00+00)', '10.0.0.0/8', B'1010', 'pol.notes', 12.34::numeric::money, NULL);
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
GRANT regress_policies_ann TO regress_policies_owner;
SET ROLE regress_policies_ann;
SELECT count(*) FROM pol.types;
SELECT type, key, "row" FROM pol.show('pol.types', :'start');
-- whatever the reader's settings
SET IntervalStyle = sql_standard;
SET DateStyle = 'German, DMY';
SET TimeZone = 'Asia/Kolkata';
SET array_nulls = off;
SET bytea_output = escape;
SET extra_float_digits = 0;
SET search_path = pol_path;
SELECT type, key FROM pol.show('pol.types', :'start');
RESET ALL;
RESET ROLE;
-- the whole row as a value
SET client_min_messages = warning;
CREATE FUNCTION pol.whole(pol.types) RETURNS boolean LANGUAGE sql AS
	'SELECT $1.id = 1 AND $1.m = ''so so'' AND $1.mon IS NOT NULL';
SET ROLE regress_policies_owner;
ALTER POLICY each ON pol.types USING (pol.whole(types));
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
UPDATE pol.types SET t = 'changed' WHERE id = 1;
UPDATE pol.types SET m = 'sad' WHERE id = 1;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SELECT type, key, old FROM pol.show('pol.types', :'start');
RESET ROLE;

-- composite and hidden keys: a row that leaves does so under its old key, also
-- where the watch doesn't show the key
SET ROLE regress_policies_owner;
CREATE TABLE pol.hidden (a int, b int, mine name, text text, PRIMARY KEY (a, b));
ALTER TABLE pol.hidden ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON pol.hidden USING (mine = current_user);
GRANT SELECT (b, mine, text) ON pol.hidden TO regress_policies_ann;
GRANT SELECT ON pol.hidden TO regress_policies_ben;
SELECT chatroom.watch('pol.hidden', columns => '{text}');
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.hidden VALUES (1, 2, 'regress_policies_ann', 'x');
UPDATE pol.hidden SET b = 3, mine = 'regress_policies_ben';
UPDATE pol.hidden SET b = 4, mine = 'regress_policies_ann';
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SELECT type, key, "row", old FROM pol.show('pol.hidden', :'start');
SET ROLE regress_policies_ben;
SELECT type, key, "row", old FROM pol.show('pol.hidden', :'start');
RESET ROLE;

-- oversize rows have their policy columns all the same
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.hidden VALUES (5, 5, 'regress_policies_ann', repeat('x', 1000000));
UPDATE pol.hidden SET b = 6, mine = 'regress_policies_ben' WHERE a = 5;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SELECT type, key, "row", old FROM pol.show('pol.hidden', :'start');
SET ROLE regress_policies_ben;
SELECT type, key, "row", old FROM pol.show('pol.hidden', :'start');
RESET ROLE;

-- partitions are judged by the policies of the table that is watched
SET ROLE regress_policies_owner;
CREATE TABLE pol.parts (id int, mine name, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE pol.parts_1 PARTITION OF pol.parts FOR VALUES FROM (1) TO (10);
CREATE TABLE pol.parts_2 (mine name, id int NOT NULL);
ALTER TABLE pol.parts ATTACH PARTITION pol.parts_2 FOR VALUES FROM (10) TO (20);
ALTER TABLE pol.parts ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON pol.parts USING (mine = current_user);
GRANT SELECT ON pol.parts TO regress_policies_ann;
SELECT chatroom.watch('pol.parts');
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.parts VALUES (1, 'regress_policies_ann'), (2, 'regress_policies_ben');
UPDATE pol.parts SET id = 11 WHERE id = 1;
UPDATE pol.parts SET id = 12, mine = 'regress_policies_ann' WHERE id = 2;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SELECT type, key, "row", old FROM pol.show('pol.parts', :'start');
RESET ROLE;

-- one query a table and call, however many events; two tables in one answer
SET ROLE regress_policies_owner;
CREATE FUNCTION pol.counted(id int) RETURNS boolean LANGUAGE sql STABLE AS
	$$ SELECT id % 100 = 0 FROM (VALUES (1)) v $$;
CREATE FUNCTION pol.once() RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF current_setting('app.tell', true) = 'on' THEN
		RAISE WARNING 'asked once';
	END IF;
	RETURN 1;
END $$;
ALTER POLICY mine ON pol.parts USING (pol.counted(id) AND (SELECT pol.once()) > 0);
ALTER TABLE pol.parts DETACH PARTITION pol.parts_2;
CREATE TABLE pol.parts_3 PARTITION OF pol.parts FOR VALUES FROM (100) TO (100000);
ALTER POLICY room ON pol.notes USING (id = 100);
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO pol.parts SELECT i, NULL FROM generate_series(100, 5099) i;
INSERT INTO pol.notes VALUES (100), (101);
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_policies_ann;
SET app.tell = on;
SELECT e->>'table' AS "table", count(*)
FROM json_array_elements(chatroom.sync_many('{pol.parts, pol.notes}', :'start', 100000)->'events') e
GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM chatroom.events('pol.parts', :'start', 100000);
RESET app.tell;
RESET ROLE;

-- a query that could be parallel isn't
CREATE TABLE pol.big AS SELECT generate_series(1, 3) AS i;
ALTER TABLE pol.big SET (parallel_workers = 2);
GRANT SELECT ON pol.big TO PUBLIC;
SET ROLE regress_policies_ann;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
EXPLAIN (COSTS OFF) SELECT sum(i) FROM pol.big;
SELECT i, json_array_length(chatroom.sync('pol.parts', :'start', 100000)->'events') AS events
FROM pol.big;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
-- the newest version of a row from memory, and a wait
SELECT chatroom.cached('pol.parts', '{"id": 200}'), chatroom.cached('pol.parts', '{"id": 201}');
CALL chatroom.wait('{pol.notes}', :'start') \gset
SELECT e->'key' AS key FROM json_array_elements(:'answer'::json->'events') e;
RESET ROLE;

-- a table that is gone is nobody's; another under its name starts anew
SET ROLE regress_policies_owner;
DROP TABLE pol.notes;
SET ROLE regress_policies_ann;
SELECT type FROM pol.show('pol.notes', :'start');
RESET ROLE;

DROP SCHEMA pol, pol_path CASCADE;
DROP OWNED BY regress_policies_ann, regress_policies_ben;
DROP EXTENSION chatroom;
DROP ROLE regress_policies_owner, regress_policies_ann, regress_policies_ben,
	regress_policies_team, regress_policies_watcher;
