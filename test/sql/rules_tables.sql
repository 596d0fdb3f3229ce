-- rules: look-ups, constraints, privileges, and all kinds of tables and writes
\getenv folder PG_ABS_SRCDIR
\set setup :folder '/sql/rules.psql'
\i :setup

-- unique without a unique index: the rule looks
CREATE TABLE t (id int PRIMARY KEY, a text, b int, c text COLLATE "C", n numeric);
SELECT chatroom.add_rule('t', 'a', 'unique');
SET client_min_messages = notice;
SELECT chatroom.add_rule('t', 'c', 'unique', '{"fields": ["b", "c"]}');
SET client_min_messages = warning;
SELECT chatroom.add_rule('t', 'n', 'unique', message => 'is there already');
SELECT try($$ INSERT INTO t VALUES (1, 'x', 1, 'c', 1.0) $$);
SELECT try($$ INSERT INTO t VALUES (2, 'x', 1, 'c', 1.00) $$);
SELECT try($$ INSERT INTO t VALUES (2, NULL, NULL, 'c', NULL), (3, NULL, NULL, 'c', NULL) $$);
-- within one statement, too
SELECT try($$ INSERT INTO t VALUES (4, 'y'), (5, 'y') $$);
-- an update that changes none of the fields' values is not looked at
SELECT try($$ UPDATE t SET n = 1.000, a = a, b = b WHERE id = 1 $$);
SELECT try($$ UPDATE t SET a = 'x' WHERE id = 2 $$);
SELECT try($$ UPDATE t SET b = 1 WHERE id = 2 $$);
-- an error of the field is enough: nothing is looked up then
SELECT chatroom.add_rule('t', 'a', 'length', '{"min": 2}');
SELECT try($$ INSERT INTO t VALUES (9, 'x') $$);
DROP TABLE t;

-- with a unique index the index answers, so that ON CONFLICT works
CREATE TABLE t (id int PRIMARY KEY, name text CONSTRAINT t_name_index UNIQUE, n int);
SELECT chatroom.add_rule('t', 'name', 'unique');
SELECT chatroom.add_rule('t', 'n', 'number', '{"less_than": 10}');
INSERT INTO t VALUES (1, 'x', 1);
SELECT try($$ INSERT INTO t VALUES (2, 'x', 1) $$);
SELECT try($$ INSERT INTO t VALUES (2, 'x', 10) $$);
SELECT try($$ INSERT INTO t VALUES (2, 'x', 2) ON CONFLICT (name) DO UPDATE SET n = excluded.n $$);
SELECT try($$ INSERT INTO t VALUES (2, 'x', 3) ON CONFLICT DO NOTHING $$);
SELECT try($$ INSERT INTO t VALUES (2, 'x', 3) ON CONFLICT (name) DO UPDATE SET n = 11 $$);
SELECT try($$ INSERT INTO t VALUES (2, 'x', 12) ON CONFLICT (name) DO NOTHING $$);
SELECT try($$ MERGE INTO t USING (VALUES (1, 13)) v (id, n) ON v.id = t.id WHEN MATCHED THEN UPDATE SET n = v.n $$);
TABLE t;
-- COPY
\set VERBOSITY terse
COPY t FROM stdin;
5	five	5
6	six	60
\.
\set VERBOSITY default
SELECT count(*) FROM t;
DROP TABLE t;

-- assoc and no_assoc
CREATE TABLE rooms (id bigint PRIMARY KEY, name text);
CREATE TABLE messages (id bigint PRIMARY KEY, room_id bigint CONSTRAINT messages_room_id_fkey REFERENCES rooms ON DELETE CASCADE, n smallint);
CREATE TABLE settings (room_id bigint PRIMARY KEY REFERENCES rooms);
SELECT chatroom.add_rule('messages', 'room', 'assoc');
SELECT chatroom.add_rule('messages', 'room_id', 'assoc', message => 'is nowhere', name => 'by_column');
SELECT chatroom.add_rule('rooms', 'messages', 'no_assoc');
SELECT chatroom.add_rule('rooms', 'settings', 'no_assoc');
SELECT tgname, tgtype FROM pg_trigger WHERE tgrelid = 'rooms'::regclass AND NOT tgisinternal AND tgenabled = 'O';
INSERT INTO rooms VALUES (1), (2), (3);
SELECT try('INSERT INTO messages VALUES (1, 7)');
SELECT try('INSERT INTO messages VALUES (1, NULL), (2, 2)');
SELECT try('UPDATE messages SET room_id = 8 WHERE id = 2');
INSERT INTO settings VALUES (3);
SELECT try('DELETE FROM rooms WHERE id = 1');
SELECT try('DELETE FROM rooms WHERE id = 2');
SELECT try('DELETE FROM rooms WHERE id = 3');
INSERT INTO messages VALUES (3, 3);
SELECT try('DELETE FROM rooms WHERE id = 3');
-- the name is the foreign key's, as it is now; with another rule broken, too,
-- the error is that one's
ALTER TABLE messages RENAME CONSTRAINT messages_room_id_fkey TO in_a_room;
SELECT try('INSERT INTO messages VALUES (4, 7)');
SELECT try('DELETE FROM rooms WHERE id = 2');
SELECT chatroom.add_rule('messages', 'n', 'number', '{"less_than": 5}');
SELECT try('INSERT INTO messages VALUES (4, 7, 5)');
SELECT chatroom.drop_rule('messages', 'messages_n_number');
ALTER TABLE messages RENAME CONSTRAINT in_a_room TO messages_room_id_fkey;
-- what it looks at may be renamed; without its foreign key it has nothing to look at
ALTER TABLE rooms RENAME TO "Rooms of r";
ALTER TABLE "Rooms of r" RENAME id TO "Id";
ALTER TABLE messages RENAME room_id TO place_id;
SELECT try('INSERT INTO messages VALUES (4, 7)');
ALTER TABLE messages DROP CONSTRAINT messages_room_id_fkey;
SELECT try('INSERT INTO messages VALUES (4, 7)');
SELECT relation, name, problem FROM chatroom.rules ORDER BY name;
DROP TABLE messages, settings, "Rooms of r";

-- a table that refers to itself
CREATE TABLE tree (id int PRIMARY KEY, parent_id int REFERENCES tree);
SELECT chatroom.add_rule('tree', 'parent', 'assoc');
SELECT chatroom.add_rule('tree', 'tree:parent_id', 'no_assoc');
SELECT try('INSERT INTO tree VALUES (1, 1), (2, 1), (3, 2)');
SELECT try('INSERT INTO tree VALUES (4, 5)');
SELECT try('DELETE FROM tree WHERE id = 2');
SELECT try('DELETE FROM tree WHERE id = 3');
SELECT try('DELETE FROM tree WHERE id = 2');
SELECT try('DELETE FROM tree WHERE id = 1');
DROP TABLE tree;

-- a deferred foreign key, and one of several columns
CREATE TABLE a (x int, y text, PRIMARY KEY (x, y));
CREATE TABLE b (id int PRIMARY KEY, ax bigint, ay varchar, FOREIGN KEY (ay, ax) REFERENCES a (y, x));
CREATE TABLE c (id int PRIMARY KEY, b_id int REFERENCES b DEFERRABLE INITIALLY DEFERRED);
SELECT chatroom.add_rule('b', 'a', 'assoc');
SELECT chatroom.add_rule('c', 'b', 'assoc');
SELECT try('INSERT INTO b VALUES (1, 1, ''one'')');
INSERT INTO a VALUES (1, 'one');
SELECT try('INSERT INTO b VALUES (1, 1, ''one'')');
SELECT try('INSERT INTO b VALUES (2, 2, ''one'')');
SELECT try('INSERT INTO b VALUES (2, 2, NULL)');
BEGIN;
INSERT INTO c VALUES (1, 7);
INSERT INTO b VALUES (7);
COMMIT;
DROP TABLE a, b, c CASCADE;

-- constraints of PostgreSQL's come with a broken rule, and alone stay its own
CREATE TABLE rooms (id bigint PRIMARY KEY, name text);
CREATE TABLE m (id bigint PRIMARY KEY, room_id bigint NOT NULL REFERENCES rooms, s text, n int CONSTRAINT m_n_positive CHECK (n > 0),
	code text, span int4range, EXCLUDE USING gist (span WITH &&), gone int, low int, high int, CHECK (low < high),
	k text UNIQUE NULLS NOT DISTINCT, d int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE UNIQUE INDEX m_code_index ON m (lower(code), (n + 1)) WHERE high > 10;
ALTER TABLE m DROP gone;
SELECT chatroom.add_rule('m', 's', 'required');
INSERT INTO rooms VALUES (1);
INSERT INTO m VALUES (1, 1, 's', 1, 'Code', '[1,5)', 1, 20, NULL, 1);
SELECT try($$ INSERT INTO m VALUES (1, NULL, '', 0, 'CODE', '[2,3)', 1, 1, NULL, 1) $$);
SELECT try($$ INSERT INTO m VALUES (2, 7, '', 1, 'CODE', '[5,6)', 1, 20, 'k', 1) $$);
SELECT try($$ INSERT INTO m VALUES (2, 7, '', 1, 'CODE', '[5,6)', 1, 5, 'k', 1) $$);
-- a row is not in its own way; what an update doesn't change is not looked at
SELECT try($$ UPDATE m SET s = '', span = '[2,4)', code = 'cODE', room_id = 8 $$);
SELECT try($$ UPDATE m SET s = '', id = 1 $$);
INSERT INTO m VALUES (2, 1, 's', 1, 'two', '[7,8)', 1, 20, 'two', 2);
SELECT try($$ UPDATE m SET s = '', id = 1, span = '[2,4)', code = 'CODE', k = NULL WHERE id = 2 $$);
SELECT try($$ INSERT INTO m VALUES (3, 1, 's', 0, 'three') $$);
SELECT try($$ INSERT INTO m (id, room_id, s) VALUES (1, 1, 's') $$);
SELECT try($$ INSERT INTO m (id, room_id, s, k) VALUES (4, 9, 's', 'four') $$);
SELECT try($$ INSERT INTO m (id, room_id, s, k) VALUES (4, NULL, 's', 'four') $$);
DROP TABLE m, rooms;

-- who writes may not look everywhere
CREATE ROLE regress_rules_writer;
CREATE TABLE rooms (id bigint PRIMARY KEY, name text);
CREATE TABLE hidden (id bigint PRIMARY KEY);
CREATE TABLE m (id bigint PRIMARY KEY, room_id bigint REFERENCES rooms, hidden_id bigint REFERENCES hidden, s text, u text);
SELECT chatroom.add_rule('m', 'room', 'assoc');
SELECT chatroom.add_rule('m', 'hidden', 'assoc');
SELECT chatroom.add_rule('m', 's', 'required');
INSERT INTO rooms VALUES (1, 'seen'), (2, 'unseen');
INSERT INTO hidden VALUES (1);
ALTER TABLE rooms ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON rooms USING (name = 'seen');
GRANT USAGE ON SCHEMA r TO regress_rules_writer;
GRANT SELECT ON rooms TO regress_rules_writer;
GRANT INSERT ON m TO regress_rules_writer;
GRANT EXECUTE ON FUNCTION try TO regress_rules_writer;
SET ROLE regress_rules_writer;
SELECT try($$ SELECT chatroom.add_rule('m', 's', 'required') $$);
SELECT try($$ SELECT chatroom.drop_rule('m', 'm_s_required') $$);
-- a room that is not seen is none; what may not be read is left to the foreign key
SELECT try($$ INSERT INTO m VALUES (1, 1, 1, 's') $$);
SELECT try($$ INSERT INTO m VALUES (2, 2, 1, 's') $$);
SELECT try($$ INSERT INTO m VALUES (2, 1, 7, 's') $$);
-- nothing is told of keys that could not be read
SELECT try($$ INSERT INTO m VALUES (1, 3, 7, '') $$);
SELECT count(*) FROM chatroom.rules;
RESET ROLE;
-- a rule that no constraint stands behind asks for the right to look
SELECT chatroom.add_rule('m', 'u', 'unique');
SET ROLE regress_rules_writer;
SELECT try($$ INSERT INTO m VALUES (2, 1, 1, 's', 'u') $$);
SELECT try($$ INSERT INTO m VALUES (2, 1, 1, 's', NULL) $$);
RESET ROLE;
GRANT SELECT (u) ON m TO regress_rules_writer;
SET ROLE regress_rules_writer;
SELECT try($$ INSERT INTO m VALUES (3, 1, 1, 's', 'u') $$);
SELECT try($$ INSERT INTO m VALUES (4, 1, 1, 's', 'u') $$);
SELECT name FROM chatroom.rules ORDER BY name;
RESET ROLE;
-- expressions run as who writes
CREATE FUNCTION whoami() RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
SELECT chatroom.add_rule('m', 's', 'check', '{"expression": "s <> whoami()"}');
SET ROLE regress_rules_writer;
SELECT try($$ INSERT INTO m VALUES (5, 1, 1, 'regress_rules_writer', 'x') $$);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION whoami() FROM PUBLIC;
SELECT try($$ INSERT INTO m VALUES (5, 1, 1, 'regress_rules_writer', 'x') $$);
SET ROLE regress_rules_writer;
SELECT try($$ INSERT INTO m VALUES (6, 1, 1, 'me', 'y') $$);
RESET ROLE;
DROP TABLE m, hidden, rooms;
DROP OWNED BY regress_rules_writer;
DROP ROLE regress_rules_writer;

-- renames are followed
CREATE TABLE t (id int PRIMARY KEY, a text, b text, c int);
SELECT chatroom.add_rule('t', 'a', 'length', '{"min": 2}');
SELECT chatroom.add_rule('t', 'b', 'unique', '{"fields": ["a", "b"]}');
SELECT chatroom.add_rule('t', 'c', 'check', '{"expression": "c > length(a)"}');
SELECT chatroom.add_rule('t', 'a', 'confirmation');
ALTER TABLE t RENAME a TO "Text";
ALTER TABLE t RENAME b TO bee;
ALTER TABLE t RENAME TO things;
ALTER SCHEMA r RENAME TO "R 2";
SET search_path = "R 2";
SELECT relation, name, field, params FROM chatroom.rules ORDER BY name;
SELECT try($$ INSERT INTO things VALUES (1, 'x', 'b', 1) $$);
INSERT INTO things VALUES (1, 'xx', 'b', 3);
SELECT try($$ INSERT INTO things VALUES (2, 'xx', 'b', 3) $$);
ALTER SCHEMA "R 2" RENAME TO r;
SET search_path = r;
ALTER TRIGGER t_a_length ON things RENAME TO things_text_length;
SELECT try($$ INSERT INTO things VALUES (1, 'x', 'b', 2) $$);
-- other rules of the same relation are noticed at once
SELECT chatroom.drop_rule('things', 'things_text_length');
SELECT try($$ INSERT INTO things VALUES (3, 'x', 'b', 2) $$);
-- with a dropped column go its rules
ALTER TABLE things DROP "Text";
SELECT name FROM chatroom.rules;
SELECT try($$ INSERT INTO things VALUES (4, 'b', 1) $$);
-- a column with rules can get another type
SELECT chatroom.add_rule('things', 'bee', 'required');
SELECT try('ALTER TABLE things ALTER bee TYPE varchar');
-- disabled, and enabled again
ALTER TABLE things DISABLE TRIGGER USER;
SELECT name, enabled FROM chatroom.rules;
SELECT try($$ INSERT INTO things VALUES (5, NULL, 1) $$);
ALTER TABLE things ENABLE TRIGGER USER;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'things'::regclass ORDER BY 1;
SELECT try($$ INSERT INTO things VALUES (6, NULL, 1) $$);
-- rules are about the row as other triggers leave it
CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.bee := coalesce(NEW.bee, NEW.c::text); RETURN NEW; END $$;
CREATE TRIGGER zzz BEFORE INSERT OR UPDATE ON things FOR EACH ROW EXECUTE FUNCTION fill();
SELECT try($$ INSERT INTO things VALUES (7, NULL, 1) $$);
SELECT try($$ INSERT INTO things VALUES (8, NULL, NULL) $$);
TABLE things;
DROP TABLE things;
SELECT count(*) FROM chatroom.rules;

-- partitions
CREATE TABLE parted (id int, kind text, s text, n int, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a');
SELECT chatroom.add_rule('parted', 's', 'length', '{"min": 2}');
SELECT chatroom.add_rule('parted', 'n', 'check', '{"expression": "n <> id"}');
SELECT chatroom.add_rule('parted', 'n', 'unique');
CREATE TABLE parted_b PARTITION OF parted FOR VALUES IN ('b') PARTITION BY RANGE (id);
CREATE TABLE parted_b1 PARTITION OF parted_b FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_c (n int, gone int, s text, kind text NOT NULL, id int NOT NULL);
ALTER TABLE parted_c DROP gone;
ALTER TABLE parted ATTACH PARTITION parted_c FOR VALUES IN ('c');
SELECT try($$ SELECT chatroom.add_rule('parted_a', 's', 'required') $$);
SELECT try(format('INSERT INTO parted VALUES (1, %L, %L, 1)', kind, 'x')) FROM unnest('{a,b,c}'::text[]) kind;
SELECT try($$ INSERT INTO parted_c VALUES (1, 'x', 'c', 1) $$);
SELECT try($$ INSERT INTO parted VALUES (1, 'a', 'xx', 2), (1, 'b', 'xx', 3), (1, 'c', 'xx', 4) $$);
SELECT try($$ INSERT INTO parted VALUES (2, 'c', 'x', 3) $$);
SELECT try($$ INSERT INTO parted VALUES (2, 'c', 'xx', 3) $$);
SELECT try($$ UPDATE parted SET s = 'y' WHERE kind = 'c' $$);
SELECT try($$ UPDATE parted SET kind = 'c', id = 3, n = 3 WHERE kind = 'a' $$);
SELECT try($$ UPDATE parted SET kind = 'c', id = 3 WHERE kind = 'a' $$);
ALTER TABLE parted RENAME s TO text;
SELECT try($$ INSERT INTO parted VALUES (5, 'c', 'x', 9) $$);
SELECT relation, name FROM chatroom.rules ORDER BY 2;
SELECT try($$ SELECT chatroom.add_rule('parted', 'text', 'length', '{"min": 3}', name => 'three', check_existing => true) $$);
ALTER TABLE parted DETACH PARTITION parted_c;
SELECT try($$ INSERT INTO parted_c VALUES (5, 'x', 'c', 5) $$);
SELECT tgname FROM pg_trigger WHERE tgrelid = 'parted_c'::regclass;
SELECT chatroom.drop_rule('parted', name) FROM chatroom.rules WHERE relation = 'r.parted';
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgrelid IN ('parted'::regclass, 'parted_a'::regclass, 'parted_b1'::regclass) ORDER BY 1, 2;
DROP TABLE parted, parted_c;

-- inheritance: children have their parents' rules, as they have their checks
CREATE TABLE parent (id int, s text);
CREATE TABLE child (extra int) INHERITS (parent);
SELECT chatroom.add_rule('parent', 's', 'required');
SELECT chatroom.add_rule('child', 'extra', 'number', '{"less_than": 10}');
CREATE TABLE other (more int, s text, id int);
CREATE TABLE grandchild () INHERITS (child);
ALTER TABLE other INHERIT parent;
SELECT try('INSERT INTO child VALUES (1, NULL, 10)');
SELECT try('INSERT INTO grandchild VALUES (1, NULL, 10)');
SELECT try('INSERT INTO other VALUES (1, NULL, 10)');
SELECT try('INSERT INTO parent VALUES (1, NULL)');
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname ~ '^~' ORDER BY 1;
ALTER TABLE other NO INHERIT parent;
SELECT try('INSERT INTO other VALUES (1, NULL, 10)');
SELECT chatroom.drop_rule('parent', 'parent_s_required');
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname ~ '^~' ORDER BY 1;
DROP TABLE parent CASCADE;
DROP TABLE other;

-- unlogged and temporary tables; views; TOASTed values
CREATE UNLOGGED TABLE u (s text);
CREATE TEMP TABLE tmp (s text);
SELECT chatroom.add_rule('u', 's', 'required'), chatroom.add_rule('tmp', 's', 'length', '{"max": 100000}');
CREATE VIEW v AS SELECT s FROM u;
SELECT try($$ INSERT INTO v VALUES ('') $$);
SELECT try($$ INSERT INTO tmp SELECT repeat(md5(i::text), 3000) FROM generate_series(1, 2) i $$);
SELECT regexp_replace(try($$ INSERT INTO tmp SELECT string_agg(md5(i::text), '') FROM generate_series(1, 3126) i $$), 'pg_temp_\d+', 'pg_temp');
SELECT chatroom.add_rule('tmp', 's', 'format', '{"with": "^[0-9a-f]*$"}');
SELECT regexp_replace(try($$ UPDATE tmp SET s = s || 'x' $$), 'pg_temp_\d+', 'pg_temp');
SELECT try($$ UPDATE tmp SET s = s $$);
ALTER TABLE tmp ADD n int;
SELECT try($$ UPDATE tmp SET n = 1 $$);
DROP TABLE u CASCADE;
DROP TABLE tmp;

-- an expression that writes to its own table
CREATE TABLE x (n int);
CREATE FUNCTION more(i int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF i > 0 THEN INSERT INTO x VALUES (i - 1); END IF;
	RETURN i < 5;
END $$;
SELECT chatroom.add_rule('x', 'n', 'check', '{"expression": "more(n)"}');
SELECT try('INSERT INTO x VALUES (3)');
SELECT try('INSERT INTO x VALUES (5)');
SELECT array_agg(n ORDER BY n) FROM x;
-- and one that changes the rules while they are being used
CREATE OR REPLACE FUNCTION more(i int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'COMMENT ON TABLE x IS ''changed''';
	PERFORM chatroom.add_rule('rooms2', 's', 'required', name => 'r' || i);
	RETURN i < 5;
END $$;
CREATE TABLE rooms2 (s text);
SELECT chatroom.add_rule('x', 'n', 'number', '{"less_than": 5}');
SELECT try('INSERT INTO x VALUES (4)');
SELECT try('INSERT INTO x VALUES (6)');
DROP TABLE x, rooms2;

SET client_min_messages = warning;
DROP SCHEMA r CASCADE;
DROP EXTENSION chatroom;
