-- what events say of changes, as chatroom.pending() reads them from WAL
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE SCHEMA e;
SET search_path = e;

-- the events of the open transaction, in brief
CREATE FUNCTION seen(topic text)
	RETURNS TABLE (type text, key json, "row" json, old json, changed json, topics json, oversize text)
	LANGUAGE sql AS $$
	SELECT e->>'type', nullif(e->>'key', 'null')::json, e->'row', e->'old', e->'changed',
		e->'topics', e->>'oversize'
	FROM json_array_elements(chatroom.pending(topic)->'events') e
$$;
-- the same, without the topics
CREATE FUNCTION brief(topic text)
	RETURNS TABLE (type text, key json, "row" json, old json, changed json)
	LANGUAGE sql AS $$
	SELECT type, key, "row", old, changed FROM e.seen(topic)
$$;
-- has the topic been reset since?
CREATE FUNCTION is_reset(topic text, since text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	-- this waits until all that has committed is known
	PERFORM chatroom.snapshot_cursor();
	RETURN chatroom.sync(topic, since)->>'reset';
END $$;

CREATE TABLE rooms (id bigint PRIMARY KEY, name text);
INSERT INTO rooms VALUES (1, 'lobby'), (2, 'attic');
CREATE TABLE messages (
	id bigint PRIMARY KEY,
	room_id bigint REFERENCES rooms ON DELETE CASCADE,
	text text);
SELECT chatroom.watch('messages');

-- insert, update, delete, truncate
BEGIN;
INSERT INTO messages VALUES (1, 1, E'"quoted"\n\\ ünï\t'), (2, NULL, NULL);
UPDATE messages SET text = 'new' WHERE id = 1;
UPDATE messages SET room_id = 2 WHERE id = 1;
UPDATE messages SET id = 3 WHERE id = 1;
UPDATE messages SET text = text WHERE id = 2;
DELETE FROM messages WHERE id = 3;
TRUNCATE messages;
SELECT * FROM brief('e.messages');
-- an association's topic has what comes to it and what leaves it
SELECT * FROM brief('e.messages.room_id:1');
SELECT * FROM brief('e.messages.room_id:2');
-- a row's has it by its old and new key
SELECT * FROM brief('e.messages:1');
SELECT * FROM brief('e.messages:3');
ROLLBACK;

-- what really happened: upsert, MERGE, COPY, UPDATE ... FROM, cascades
BEGIN;
COPY messages FROM stdin;
1	1	copied
2	2	copied too
\.
INSERT INTO messages VALUES (1, 1, 'upsert') ON CONFLICT (id) DO UPDATE SET text = excluded.text;
INSERT INTO messages VALUES (1, 1, 'nothing') ON CONFLICT DO NOTHING;
MERGE INTO messages m USING (VALUES (1), (5)) v(id) ON m.id = v.id
	WHEN MATCHED THEN DELETE
	WHEN NOT MATCHED THEN INSERT VALUES (v.id, 2, 'merged');
UPDATE messages m SET text = r.name FROM rooms r WHERE r.id = m.room_id AND m.id = 5;
DELETE FROM rooms WHERE id = 2;
SELECT * FROM brief('e.messages');
ROLLBACK;

-- savepoints
BEGIN;
INSERT INTO messages VALUES (1, 1, 'kept');
SAVEPOINT a;
INSERT INTO messages VALUES (2, 1, 'rolled back');
ROLLBACK TO a;
SAVEPOINT b;
INSERT INTO messages VALUES (3, 1, 'kept too');
RELEASE b;
SELECT * FROM brief('e.messages');
ROLLBACK;

-- a trigger that writes the row again: its last version comes last
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE e.messages SET text = 'last' WHERE id = 2 AND text <> 'last';
	RETURN NULL;
END $$;
CREATE TRIGGER a_first AFTER UPDATE ON messages FOR EACH ROW
	WHEN (new.id = 1) EXECUTE FUNCTION again();
BEGIN;
INSERT INTO messages VALUES (1, 1, 'a'), (2, 1, 'b');
UPDATE messages SET text = 'first';
SELECT key, "row"->>'text' AS text FROM brief('e.messages') WHERE type = 'update';
SELECT * FROM messages ORDER BY id;
ROLLBACK;
DROP TRIGGER a_first ON messages;

-- a row's way in and out of a condition; trigger_columns; columns
SELECT chatroom.watch('messages', 'short', columns => '{text}',
	trigger_columns => '{text}', condition => 'length(text) <= 3');
BEGIN;
INSERT INTO messages VALUES (1, 1, 'in'), (2, 1, 'outside');
UPDATE messages SET text = 'now';
UPDATE messages SET room_id = 2;
UPDATE messages SET text = 'yes' WHERE id = 1;
UPDATE messages SET text = 'outside again', room_id = 1 WHERE id = 1;
DELETE FROM messages;
SELECT type, key, "row", old, changed, topics FROM seen('short');
SELECT type, topics FROM seen('short.room_id:2');
ROLLBACK;
SELECT chatroom.unwatch('messages', 'short');

-- an error in the condition is the writer's, and nothing else is
SELECT chatroom.watch('messages', 'failing', condition => '1 / (id - 1) > 0');
INSERT INTO messages VALUES (1, 1, 'x');
BEGIN;
INSERT INTO messages VALUES (2, 1, 'x');
SELECT * FROM brief('failing');
ROLLBACK;
SELECT chatroom.unwatch('messages', 'failing');
-- a condition that writes to the table itself
CREATE FUNCTION writes(bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF $1 < 3 THEN
		INSERT INTO e.messages VALUES ($1 + 1, 1, 'by the condition');
	END IF;
	RETURN true;
END $$;
SELECT chatroom.watch('messages', 'writing', condition => 'e.writes(id)');
BEGIN;
INSERT INTO messages VALUES (1, 1, 'x');
SELECT key, "row" FROM brief('writing') ORDER BY key->>'id';
ROLLBACK;
SELECT chatroom.unwatch('messages', 'writing');
-- functions in a condition run with the rights of who writes
CREATE FUNCTION guarded(bigint) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
REVOKE ALL ON FUNCTION guarded(bigint) FROM PUBLIC;
CREATE ROLE chatroom_regress_writer;
GRANT USAGE ON SCHEMA e TO chatroom_regress_writer;
GRANT ALL ON messages TO chatroom_regress_writer;
SELECT chatroom.watch('messages', 'guarded', condition => 'e.guarded(id)');
BEGIN;
INSERT INTO messages VALUES (1, 1, 'as owner');
SET ROLE chatroom_regress_writer;
INSERT INTO messages VALUES (2, 1, 'as another');
ROLLBACK;
SELECT chatroom.unwatch('messages', 'guarded');

-- only the events asked for
SELECT chatroom.watch('messages', 'few', events => '{delete,truncate}');
BEGIN;
INSERT INTO messages VALUES (1, 1, 'x');
UPDATE messages SET text = 'y';
DELETE FROM messages;
TRUNCATE messages;
SELECT type FROM brief('few');
ROLLBACK;
SELECT chatroom.unwatch('messages', 'few');

-- session_replication_role
SELECT chatroom.watch('messages', 'replicated', always => true);
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO messages VALUES (1, 1, 'x');
TRUNCATE messages;
SELECT type FROM brief('e.messages');
SELECT type FROM brief('replicated');
ROLLBACK;
SELECT chatroom.unwatch('messages', 'replicated');

-- where a session's changes come from
BEGIN;
SET LOCAL chatroom.origin = 'tab 1';
INSERT INTO messages VALUES (1, 1, 'x');
SELECT e->>'origin' AS origin
	FROM json_array_elements(chatroom.pending('e.messages')->'events') e;
ROLLBACK;

-- columns change; dropped ones are gone
BEGIN;
INSERT INTO messages VALUES (1, 1, 'x');
ALTER TABLE messages ADD COLUMN stars int DEFAULT 3;
UPDATE messages SET text = 'y';
ALTER TABLE messages DROP COLUMN text;
ALTER TABLE messages RENAME stars TO likes;
UPDATE messages SET likes = 4;
SELECT * FROM brief('e.messages');
ROLLBACK;
ALTER TABLE messages ADD COLUMN stars int DEFAULT 3;
ALTER TABLE messages DROP COLUMN text;
BEGIN;
INSERT INTO messages VALUES (1, 1, 5);
SELECT * FROM brief('e.messages');
ROLLBACK;

-- all kinds of values: as row_to_json shows them in a session with UTC, and
-- the same in any other
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, at timestamptz);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN ints AS int[];
-- a type with a cast to json
CREATE TYPE level AS ENUM ('low', 'high');
CREATE FUNCTION level_json(level) RETURNS json LANGUAGE sql AS
	$$ SELECT json_build_object('level', $1::text) $$;
CREATE CAST (level AS json) WITH FUNCTION level_json(level);
CREATE TABLE kinds (
	id int PRIMARY KEY, b bool, i2 smallint, i8 bigint, f4 real, f8 float8,
	n numeric, n2 numeric(5,2), m money, t text, v varchar(5), c char(5), nm name,
	ch "char", by bytea, ts timestamp, tz timestamptz, d date, tm time,
	tmz timetz, iv interval, u uuid, j json, jb jsonb, e mood, p pair, a int[],
	aa text[][], atz timestamptz[], dp positive, di ints, tr tstzrange,
	rc regclass, ip inet, bt bit(3), pt point, o oid, lv level, gen int GENERATED ALWAYS AS (id * 2) STORED);
SELECT chatroom.watch('kinds');
CREATE TEMP TABLE wanted (id int, "row" text);
-- leaves what is wanted in "wanted", and returns what does not match
CREATE FUNCTION differences() RETURNS TABLE (id int, wanted text, seen text)
	LANGUAGE sql AS $$
	SELECT w.id, w."row", s."row"::text
	FROM wanted w JOIN e.seen('e.kinds') s ON w.id = (s.key->>'id')::int
	WHERE w."row" IS DISTINCT FROM s."row"::text
$$;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';
BEGIN;
INSERT INTO kinds VALUES
	(1, true, -32768, 9007199254740993, 0.1, 1e300, 1.50, 1.5, '12.34',
	E'tab\t"q" \\ é \x01', 'abc', 'ab', 'name', 'c', '\x00ff', '2020-01-01 12:00:00.5',
	'2020-01-01 12:00+00', '2020-01-01', '12:34:56.7', '12:34:56+02',
	'1 year 2 days 03:04:05', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{"a":  1}',
	'{"a":  1}', 'sad', '(1,2020-01-01 00:00+00)', '{1,2,NULL}', '{{a,b},{c,"d,e"}}',
	'{2020-01-01 00:00+00}', 5, '{1}', '[2020-01-01 00:00+00,2020-02-01 00:00+00)',
	'pg_class', '10.0.0.1/8', '101', '(0.1,2)', 42, 'high');
INSERT INTO kinds (id, b, i2, i8, f4, f8, n, n2) VALUES
	(2, false, 0, -9223372036854775808, 'NaN', '-Infinity', 'NaN', 0),
	(3, NULL, NULL, NULL, 'Infinity', '-0', '-Infinity', -0.01);
INSERT INTO kinds (id) VALUES (4);
UPDATE kinds SET ts = 'infinity', tz = '-infinity', d = 'infinity' WHERE id = 2;
UPDATE kinds SET ts = '0044-03-15 BC', tz = '294276-12-31 23:59:59.999999+00',
	d = '5874897-12-31', iv = '-1 day +02:03' WHERE id = 3;
INSERT INTO wanted SELECT id, row_to_json(kinds)::text FROM kinds WHERE id IN (1, 4);
SELECT * FROM differences();
TRUNCATE wanted;
INSERT INTO wanted SELECT id, row_to_json(kinds)::text FROM kinds WHERE id IN (2, 3);
-- (2 and 3 were inserted with less, then updated)
SELECT count(*) FROM seen('e.kinds') s JOIN wanted w ON s."row"::text = w."row" AND type = 'update';
TRUNCATE kinds, wanted;
COMMIT;

-- the same with settings that output depends on
BEGIN;
INSERT INTO kinds (id, f4, f8, m, by, ts, tz, d, tmz, iv, p, atz, tr, rc, pt)
	VALUES (1, 0.1, 0.1, '12.34', '\x00ff', '2020-01-02 12:00', '2020-01-02 12:00+00', '2020-01-02',
	'12:00+02', '1 year 2 days', '(1,2020-01-02 00:00+00)', '{2020-01-02 00:00+00}',
	'[2020-01-02 00:00+00,)', 'e.kinds', '(0.1,2)');
SET LOCAL timezone = 'Asia/Kolkata';
SET LOCAL lc_monetary = 'C';
SET LOCAL datestyle = 'German, DMY';
SET LOCAL intervalstyle = 'iso_8601';
SET LOCAL bytea_output = 'escape';
SET LOCAL extra_float_digits = -5;
SET LOCAL search_path = pg_catalog, e, pg_temp;
UPDATE kinds SET i2 = 1;
SELECT s.type, ("row"->>'i2') IS NULL AS null, ("row"::jsonb - 'i2')::text = lag(("row"::jsonb - 'i2')::text) OVER () AS same FROM e.seen('e.kinds') s;
-- and nothing of the session's settings has changed
SHOW timezone;
SHOW datestyle;
SHOW intervalstyle;
SHOW bytea_output;
SHOW extra_float_digits;
SHOW search_path;
SELECT timestamptz '2020-01-02 12:00+00', interval '1 year', '\x00'::bytea;
ROLLBACK;

-- big numbers as text
SELECT chatroom.watch('kinds', columns => '{i2,i8,n,f8}', big_numbers => 'text');
BEGIN;
INSERT INTO kinds (id, i2, i8, n, f8) VALUES (1, 1, 9007199254740993, 1.10, 1.5);
SELECT "row" FROM brief('e.kinds');
ROLLBACK;

-- a table without a key: updates carry the whole old row
CREATE TABLE keyless (a int, b text, c text);
SELECT chatroom.watch('keyless', columns => '{a,b}');
BEGIN;
INSERT INTO keyless VALUES (1, 'x', 'y');
UPDATE keyless SET b = 'z';
DELETE FROM keyless;
SELECT * FROM brief('e.keyless');
ROLLBACK;
-- the replica identity will do for a key
ALTER TABLE keyless ALTER a SET NOT NULL, ADD CONSTRAINT a_key UNIQUE (a);
ALTER TABLE keyless REPLICA IDENTITY USING INDEX a_key;
BEGIN;
INSERT INTO keyless VALUES (1, 'x', 'y');
UPDATE keyless SET b = 'z';
SELECT * FROM brief('e.keyless');
ROLLBACK;

-- a key of several columns, quoted names
CREATE TABLE "Two, ""Keys""" ("B c" text, a int, v int, PRIMARY KEY (a, "B c"));
SELECT chatroom.watch('"Two, ""Keys"""');
BEGIN;
INSERT INTO "Two, ""Keys""" VALUES ('x,y', 1, 1);
SELECT type, key, "row", topics FROM seen(chatroom.topic('"Two, ""Keys"""', '{"a": 1, "B c": "x,y"}'));
ROLLBACK;

-- topics that the chat's tables have beyond those of any table: they name the
-- table's own schema, whatever a trigger says, and only a prefix' can be followed
CREATE TABLE notes (id int PRIMARY KEY, room int, v text);
CREATE TRIGGER chatroom_emit AFTER INSERT OR UPDATE OR DELETE ON notes FOR EACH ROW
	EXECUTE FUNCTION chatroom.emit('', 'extra_columns', 'topic=room:{1}', 'topic=rooms', 'topic=*');
CREATE TRIGGER chatroom_emit_extra_columns AFTER UPDATE OF room ON notes FOR EACH STATEMENT
	EXECUTE FUNCTION chatroom.watch_option('extra_columns', '');
ALTER TABLE notes DISABLE TRIGGER chatroom_emit_extra_columns;
ALTER TABLE notes RENAME room TO "Room id";
BEGIN;
INSERT INTO notes VALUES (1, 5, 'x');
UPDATE notes SET "Room id" = 6;
SELECT type, topics FROM seen('e.notes');
ROLLBACK;
CREATE OR REPLACE TRIGGER chatroom_emit AFTER INSERT ON notes FOR EACH ROW
	EXECUTE FUNCTION chatroom.emit('', 'topic=chat/rooms');
INSERT INTO notes VALUES (1, 5, 'x');

-- TOAST: an untouched value is not "changed"; rows too large lose their content,
-- not their event; a key or topic too large resets
CREATE TABLE large (id text PRIMARY KEY, room int, body text, n int[]);
SELECT chatroom.watch('large', topic_columns => '{room}');
SELECT chatroom.watch('large', 'by_body', topic_columns => '{body}', events => '{update}');
CREATE FUNCTION noise(int) RETURNS text LANGUAGE sql AS
	$$ SELECT string_agg(md5(i::text), '') FROM generate_series(1, $1 / 32) i $$;
BEGIN;
INSERT INTO large VALUES ('a', 1, noise(100000));
UPDATE large SET room = 2;
SELECT type, key, length("row"->>'body'), old, changed FROM brief('e.large');
ROLLBACK;
BEGIN;
INSERT INTO large VALUES ('a', 1, noise(300000));
UPDATE large SET room = 2;
UPDATE large SET body = body || 'x';
DELETE FROM large;
SELECT type, key, "row", old, changed, oversize FROM seen('e.large');
SELECT type FROM seen('e.large.room:2');
SELECT type FROM seen('by_body');
ROLLBACK;
INSERT INTO large VALUES ('a', 1, noise(300000));
SELECT chatroom.snapshot_cursor() AS cursor \gset
UPDATE large SET room = 2;
SELECT is_reset('e.large', :'cursor'), is_reset('by_body', :'cursor');
DELETE FROM large;
-- small in memory, large as text
BEGIN;
INSERT INTO large SELECT 'b', 1, 'x', array_agg(-2000000000) FROM generate_series(1, 60000);
SELECT type, key, "row", oversize FROM seen('e.large');
ROLLBACK;
-- a long key's topic is a hash, the key is there
BEGIN;
INSERT INTO large VALUES (repeat('k', 1000), 1, 'x');
SELECT length(key->>'id'), length(topics->>0), key->>'id' = repeat('k', 1000)
	FROM seen(chatroom.topic('large', jsonb_build_object('id', repeat('k', 1000))));
ROLLBACK;

-- partitions speak for the partitioned table
CREATE TABLE parted (id int, kind text, v int, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a');
CREATE TABLE parted_b (v int, gone int, kind text NOT NULL, id int NOT NULL);
ALTER TABLE parted_b DROP gone;
SELECT chatroom.watch('parted', topic_columns => '{v}', condition => 'v < 100 AND parted IS NOT NULL');
ALTER TABLE parted ATTACH PARTITION parted_b FOR VALUES IN ('b');
BEGIN;
INSERT INTO parted VALUES (1, 'a', 1), (2, 'b', 2);
INSERT INTO parted_b (id, kind, v) VALUES (3, 'b', 3);
UPDATE parted SET v = v + 1;
-- moves between partitions are updates
UPDATE parted SET kind = CASE kind WHEN 'a' THEN 'b' ELSE 'a' END;
UPDATE parted SET kind = 'a', v = 100 WHERE id = 1;
UPDATE parted SET kind = 'b', v = 0 WHERE id = 1;
DELETE FROM parted_a;
SELECT * FROM brief('e.parted');
SELECT type, key FROM brief('e.parted.v:3');
ROLLBACK;
BEGIN;
TRUNCATE parted;
SELECT type FROM brief('e.parted');
ROLLBACK;
SELECT chatroom.snapshot_cursor() AS cursor \gset
TRUNCATE parted;
SELECT is_reset('e.parted', :'cursor');
TRUNCATE parted_a;
SELECT is_reset('e.parted', :'cursor');
-- a move that a trigger turns into a delete
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER nothing BEFORE INSERT ON parted_b FOR EACH ROW WHEN (new.v = 13) EXECUTE FUNCTION nothing();
BEGIN;
INSERT INTO parted VALUES (1, 'a', 1), (2, 'a', 13), (3, 'a', 3);
SAVEPOINT a;
UPDATE parted SET kind = 'b';
SELECT type, key, old FROM brief('e.parted') WHERE type <> 'insert';
ROLLBACK TO a;
UPDATE parted SET kind = 'b' WHERE id = 1;
SELECT type, key, old FROM brief('e.parted') WHERE type <> 'insert';
ROLLBACK;
-- updates only: a move is one, too
SELECT chatroom.watch('parted', 'moves', events => '{update}');
BEGIN;
INSERT INTO parted VALUES (1, 'a', 1);
UPDATE parted SET kind = 'b';
DELETE FROM parted;
SELECT type, key, old FROM brief('moves');
ROLLBACK;

-- inheritance: children speak for their parents, and for themselves
CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE child (extra text) INHERITS (parent);
SELECT chatroom.watch('parent');
CREATE TABLE grandchild (id int NOT NULL, v text, more text);
ALTER TABLE grandchild ADD extra text;
ALTER TABLE grandchild INHERIT child;
SELECT chatroom.watch('child');
BEGIN;
INSERT INTO parent VALUES (1, 'a');
INSERT INTO child VALUES (2, 'b', 'x');
INSERT INTO grandchild VALUES (3, 'c', 'm', 'y');
UPDATE parent SET v = 'd';
DELETE FROM child;
SELECT type, key, "row", old FROM brief('e.parent');
SELECT type, "row", old FROM brief('e.child');
ROLLBACK;
SELECT chatroom.snapshot_cursor() AS cursor \gset
TRUNCATE grandchild;
SELECT is_reset('e.parent', :'cursor'), is_reset('e.child', :'cursor');
SELECT chatroom.snapshot_cursor() AS cursor \gset
TRUNCATE ONLY parent;
SELECT is_reset('e.parent', :'cursor'), is_reset('e.child', :'cursor');

-- what ends completeness of a watch's topics: not this
SELECT chatroom.snapshot_cursor() AS cursor \gset
CREATE INDEX ON messages (stars); COMMENT ON TABLE messages IS 'x';
ALTER TABLE messages ALTER stars SET STATISTICS 10; GRANT SELECT ON messages TO PUBLIC;
ANALYZE messages; ALTER TABLE rooms ADD x int; DROP TABLE keyless;
SELECT chatroom.watch('messages');
SELECT is_reset('e.messages', :'cursor');
-- but this
SELECT chatroom.snapshot_cursor() AS cursor \gset
ALTER TABLE messages ADD x int;
SELECT is_reset('e.messages', :'cursor');
ALTER TABLE messages DROP x;
SELECT chatroom.snapshot_cursor() AS cursor \gset
ALTER TABLE messages RENAME stars TO likes;
SELECT is_reset('e.messages', :'cursor');
ALTER TABLE messages RENAME likes TO stars;
SELECT chatroom.snapshot_cursor() AS cursor \gset
ALTER TABLE messages DISABLE TRIGGER ALL;
SELECT is_reset('e.messages', :'cursor');
ALTER TABLE messages ENABLE TRIGGER chatroom_emit;
ALTER TABLE messages ENABLE TRIGGER chatroom_emit_truncate;
SELECT chatroom.snapshot_cursor() AS cursor \gset
CREATE POLICY p ON messages USING (true);
SELECT is_reset('e.messages', :'cursor');
SELECT chatroom.snapshot_cursor() AS cursor \gset
ALTER POLICY p ON messages USING (id > 0);
SELECT is_reset('e.messages', :'cursor');
SELECT chatroom.snapshot_cursor() AS cursor \gset
DROP POLICY p ON messages;
SELECT is_reset('e.messages', :'cursor');
SELECT chatroom.snapshot_cursor() AS cursor \gset
SELECT chatroom.watch('messages', columns => '{id}');
SELECT is_reset('e.messages', :'cursor');
-- a renamed table's old topic, and its new one
SELECT chatroom.snapshot_cursor() AS cursor \gset
ALTER TABLE messages RENAME TO posts;
SELECT is_reset('e.posts', :'cursor');
SELECT chatroom.snapshot_cursor() AS cursor \gset
ALTER TABLE posts RENAME TO messages;
SELECT is_reset('e.messages', :'cursor');
SELECT chatroom.snapshot_cursor() AS cursor \gset
ALTER SCHEMA e RENAME TO e2;
ALTER SCHEMA e2 RENAME TO e;
SELECT is_reset('e.messages', :'cursor');
-- unwatched and watched again; dropped and made again
SELECT chatroom.snapshot_cursor() AS cursor \gset
SELECT chatroom.unwatch('messages');
SELECT chatroom.watch('messages');
SELECT is_reset('e.messages', :'cursor');
SELECT chatroom.snapshot_cursor() AS cursor \gset
DROP TABLE messages;
CREATE TABLE messages (id int PRIMARY KEY);
SELECT chatroom.watch('messages');
SELECT is_reset('e.messages', :'cursor');
-- the parts of a tree
SELECT chatroom.snapshot_cursor() AS cursor \gset
CREATE TABLE parted_c (LIKE parted);
ALTER TABLE parted ATTACH PARTITION parted_c FOR VALUES IN ('c');
SELECT is_reset('e.parted', :'cursor');
SELECT chatroom.snapshot_cursor() AS cursor \gset
ALTER TABLE parted DETACH PARTITION parted_c;
SELECT is_reset('e.parted', :'cursor');
SELECT chatroom.snapshot_cursor() AS cursor \gset
DROP TABLE parted_a;
SELECT is_reset('e.parted', :'cursor');
SELECT chatroom.snapshot_cursor() AS cursor \gset
ALTER TABLE grandchild NO INHERIT child;
SELECT is_reset('e.parent', :'cursor');
SELECT chatroom.snapshot_cursor() AS cursor \gset
DROP TABLE child;
SELECT is_reset('e.parent', :'cursor');
-- the extension gone and back: all topics
SELECT chatroom.snapshot_cursor() AS cursor \gset
DROP EXTENSION chatroom CASCADE;
CREATE EXTENSION chatroom;
SELECT chatroom.watch('rooms');
SELECT is_reset('e.rooms', :'cursor');

DROP EXTENSION chatroom CASCADE;
SET client_min_messages = error;
DROP SCHEMA e CASCADE;
DROP ROLE chatroom_regress_writer;
