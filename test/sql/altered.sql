-- columns of rules, watches and associations get other types, and go
\getenv folder PG_ABS_SRCDIR
\set setup :folder '/sql/rules.psql'
\i :setup

CREATE FUNCTION kept(t regclass) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(pg_get_triggerdef(oid), '_[0-9a-f]{8}', '_HASH') || ' ' || tgenabled::text
	FROM pg_trigger WHERE tgrelid = t AND NOT tgisinternal
		AND tgfoid IN ('chatroom.rule'::regproc, 'chatroom.watch_option'::regproc, 'chatroom.assoc_option'::regproc)
	ORDER BY tgname COLLATE "C" $$;

CREATE TABLE p (id int PRIMARY KEY, v text);
CREATE TABLE c (id int PRIMARY KEY, p_id int REFERENCES p, body varchar(100), n int, m int, "odd ""name""" int, gone int);
SELECT chatroom.add_assoc('p', 'kids', '{"relation": "c", "order": ["id"]}');
SELECT chatroom.watch('c', columns => '{id,body,gone}', trigger_columns => '{body,gone}', topic_columns => '{p_id}', condition => 'n > 1');
SELECT chatroom.add_rule('c', 'body', 'length', '{"max": 5}');
SELECT chatroom.add_rule('c', 'n', 'unique', '{"fields": ["n", "m"]}');
SELECT chatroom.add_rule('c', 'n', 'check', '{"expression": "n > m"}', 'must be more');
SELECT chatroom.add_rule('c', 'odd "name"', 'inclusion', '{"in": [1, 2]}');
SELECT chatroom.add_rule('c', 'p_id', 'assoc', name => 'parent');
CREATE TABLE before AS SELECT kept('c');

-- all kinds keep working, with all that they were
ALTER TABLE c ALTER body TYPE varchar(900), ALTER p_id TYPE bigint, ALTER n TYPE bigint, ALTER "odd ""name""" TYPE numeric;
SELECT kept('c') EXCEPT TABLE before;
TABLE before EXCEPT SELECT kept('c');
SELECT condition, columns, trigger_columns, topic_columns FROM chatroom.watches;
SELECT name, field, params, message, problem FROM chatroom.rules ORDER BY name;
INSERT INTO p VALUES (1);
SELECT try($$ INSERT INTO c VALUES (1, 1, 'abcdef', 1, 2, 3) $$);
SELECT try($$ INSERT INTO c VALUES (1, 1, 'abc', 3, 2, 2) $$);
SELECT chatroom.preload('{"id": 1}', 'p', '{kids}') -> 'kids' -> 0 ->> 'body';

-- a type that a rule can't be for
SELECT try($$ ALTER TABLE c ALTER body TYPE int USING 1 $$);
SELECT try($$ ALTER TABLE c ALTER "odd ""name""" TYPE bool USING true $$);
SELECT count(*) FROM chatroom.rules WHERE relation = 'r.c';
-- what fails, in the end or at once, changes nothing
SELECT try($$ ALTER TABLE c ALTER body TYPE text, ADD CHECK (n > 100) $$);
SELECT try($$ ALTER TABLE c ALTER body TYPE text, DROP nothing $$);
BEGIN;
SAVEPOINT a;
ALTER TABLE c ALTER body TYPE text;
ROLLBACK TO a;
ALTER TABLE c ALTER p_id TYPE int;
ROLLBACK;
SELECT kept('c') EXCEPT TABLE before;
TABLE before EXCEPT SELECT kept('c');

-- with a column go rules and associations, also of several columns; lists of
-- watches get shorter
CREATE VIEW on_it AS SELECT gone FROM c;
SELECT try('ALTER TABLE c DROP gone');
DROP VIEW on_it;
ALTER TABLE c DROP gone, ALTER body TYPE text;
ALTER TABLE c DROP m;
ALTER TABLE c DROP p_id;
ALTER TABLE c DROP IF EXISTS m, DROP IF EXISTS "odd ""name""";
SELECT kept('c');
-- down to nothing; but a condition is not lost
ALTER TABLE c DROP body;
SELECT try('ALTER TABLE c DROP n');
SELECT columns, trigger_columns, topic_columns, condition FROM chatroom.watches;
SET client_min_messages = error;
ALTER TABLE c DROP n CASCADE;
SET client_min_messages = warning;
SELECT columns, condition FROM chatroom.watches;
DROP TABLE c;
-- the trigger that enforces rules goes with the last of them
CREATE TABLE last (id int PRIMARY KEY, v text);
SELECT chatroom.add_rule('last', 'v', 'required');
ALTER TABLE last DROP v;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'last'::regclass;

-- partitions, children with rules of their own, other owners
CREATE ROLE altered_owner;
GRANT USAGE, CREATE ON SCHEMA r TO altered_owner;
CREATE TABLE parts (id int, k text, v int) PARTITION BY LIST (id);
CREATE TABLE part1 PARTITION OF parts FOR VALUES IN (1);
SELECT chatroom.watch('parts', columns => '{id,v}', condition => 'v > 1');
SELECT chatroom.add_rule('parts', 'v', 'check', '{"expression": "v > 0"}');
SELECT chatroom.add_rule('parts', 'k', 'length', '{"max": 3}');
ALTER TABLE parts ALTER v TYPE bigint, ALTER k TYPE varchar;
SELECT kept('parts');
SELECT try($$ INSERT INTO parts VALUES (1, 'long', 0) $$);
ALTER TABLE parts DROP k;
SELECT name FROM chatroom.rules WHERE relation = 'r.parts';
CREATE TABLE mother (id int, v int, w int);
CREATE TABLE child (x int) INHERITS (mother);
CREATE TABLE owner_of_w (w int);
CREATE TABLE both_ () INHERITS (mother, owner_of_w);
ALTER TABLE child OWNER TO altered_owner;
SELECT chatroom.add_rule('child', 'v', 'number', '{"less_than": 5}');
SELECT chatroom.add_rule('both_', 'w', 'required');
ALTER TABLE mother ALTER v TYPE bigint;
SELECT try('INSERT INTO child VALUES (1, 7)');
-- the column stays in a child that has it from elsewhere, and so does its rule
ALTER TABLE mother DROP w, DROP v;
SELECT relation, name FROM chatroom.rules WHERE relation IN ('r.child', 'r.both_') ORDER BY 1;
SELECT try('INSERT INTO both_ VALUES (1)');
-- who may not alter the table does not
SET ROLE altered_owner;
SELECT try('ALTER TABLE parts ALTER v TYPE int');
RESET ROLE;
-- a command within a command
CREATE TABLE inner_ (id int PRIMARY KEY, v int);
CREATE TABLE outer_ (id int PRIMARY KEY, v int);
SELECT chatroom.add_rule('inner_', 'v', 'required');
SELECT chatroom.add_rule('outer_', 'v', 'required');
INSERT INTO outer_ VALUES (1, 1);
CREATE FUNCTION within(int) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN
	BEGIN
		ALTER TABLE r.inner_ ALTER v TYPE bigint;
		RAISE EXCEPTION 'no';
	EXCEPTION WHEN raise_exception THEN NULL;
	END;
	ALTER TABLE r.inner_ ALTER v TYPE numeric;
	RETURN $1;
END $$;
ALTER TABLE outer_ ALTER v TYPE bigint USING within(v);
SELECT relation, name, enabled FROM chatroom.rules WHERE relation IN ('r.inner_', 'r.outer_') ORDER BY 1;
-- without what puts them up again, nothing is taken down
ALTER EVENT TRIGGER chatroom_ddl DISABLE;
SELECT rtrim(try('ALTER TABLE outer_ ALTER v TYPE int'), '.');
ALTER EVENT TRIGGER chatroom_ddl ENABLE ALWAYS;

-- whatever enables holders, they are disabled again, and did nothing
CREATE TABLE q (id int PRIMARY KEY, p_id int REFERENCES p, v text);
SELECT chatroom.add_assoc('p', 'qs', '{"relation": "q"}');
ALTER TABLE q DISABLE TRIGGER ALL;
ALTER TABLE q ENABLE TRIGGER ALL;
SELECT kept('q');
SELECT format('ALTER TABLE q ENABLE TRIGGER %I', tgname) FROM pg_trigger WHERE tgrelid = 'q'::regclass AND NOT tgisinternal \gexec
SELECT format('ALTER TABLE q ENABLE ALWAYS TRIGGER %I', tgname) FROM pg_trigger WHERE tgrelid = 'q'::regclass AND NOT tgisinternal \gexec
SELECT kept('q');
ALTER EVENT TRIGGER chatroom_ddl DISABLE;
ALTER TABLE q ENABLE TRIGGER ALL;
ALTER EVENT TRIGGER chatroom_ddl ENABLE ALWAYS;
INSERT INTO q VALUES (1, 1);
UPDATE q SET p_id = 1;
SELECT name FROM chatroom.assocs WHERE added AND relation = 'r.p';
SELECT try($$ SELECT chatroom.on_alter() $$);
\set VERBOSITY terse
SET client_min_messages = error;
DROP OWNED BY altered_owner;
DROP ROLE altered_owner;

SET client_min_messages = warning;
DROP SCHEMA r CASCADE;
DROP EXTENSION chatroom;
