-- rules mean the same in every session, whatever is set there, and follow
-- what their types are renamed to
\getenv folder PG_ABS_SRCDIR
\set setup :folder '/sql/rules.psql'
\i :setup

-- One line a setting and type: made under one value, used under another. "yes"
-- is what was in the list, "no" what the other session would take it for.
CREATE TABLE settings (setting text, made text, used text, type text, value text, yes text, no text);
INSERT INTO settings VALUES
	('DateStyle', 'ISO, DMY', 'ISO, MDY', 'date', '01/03/2024', '2024-03-01', '2024-01-03'),
	('DateStyle', 'ISO, DMY', 'German', 'date[]', '{01/03/2024}', '{2024-03-01}', '{2024-01-03}'),
	('DateStyle', 'SQL, DMY', 'Postgres, MDY', 'daterange', '[01/03/2024,02/03/2024)', '[2024-03-01,2024-03-02)', '[2024-01-03,2024-02-03)'),
	('DateStyle', 'SQL, DMY', 'ISO, YMD', 'timestamp', '01/03/2024 10:00', '2024-03-01 10:00', '2024-01-03 10:00'),
	('TimeZone', 'Asia/Tokyo', 'UTC', 'timestamptz', '2024-03-01 10:00', '2024-03-01 01:00+00', '2024-03-01 10:00+00'),
	('TimeZone', 'Asia/Tokyo', 'UTC', 'timetz', '10:00', '10:00+09', '10:00+00'),
	('IntervalStyle', 'sql_standard', 'postgres', 'interval', '-1 2:03:04', '-1 day -02:03:04', '-1 day 02:03:04'),
	('IntervalStyle', 'iso_8601', 'sql_standard', 'interval', '-1 day 02:03:04', '-1 day +02:03:04', '-1 day -02:03:04'),
	('extra_float_digits', '-15', '1', 'float8[]', '{0.1234567890123456}', '{0.1234567890123456}', '{0.1}'),
	('bytea_output', 'escape', 'hex', 'bytea', 'a\000b', '\x610062', '\x6162'),
	('array_nulls', 'off', 'on', 'text[]', '{NULL}', '{"NULL"}', '{NULL}'),
	('search_path', 'r', 'pg_catalog', 'regclass', 'kinds', 'r.kinds', 'pg_class'),
	('quote_all_identifiers', 'on', 'off', 'regclass', 'r.kinds', 'r.kinds', 'pg_class'),
	('lc_numeric', 'C', 'POSIX', 'numeric', '1.50', '1.5', '15'),
	('standard_conforming_strings', 'off', 'on', 'point[]', '{}', '{}', NULL),
	('standard_conforming_strings', 'off', 'on', 'text', 'a\''b', 'a\''b', 'a''b');
CREATE TABLE kinds (a int);

-- "ok" for a statement that passes, else its SQLSTATE
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql SET search_path = r AS $$
BEGIN
	EXECUTE statement;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;

-- From PostgreSQL 19 on standard_conforming_strings can't be off.
CREATE FUNCTION set(setting text, value text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config(setting, value, true);
EXCEPTION WHEN feature_not_supported THEN
	NULL;
END $$;

-- The rule is compiled again after each change of the table.
CREATE FUNCTION held(s r.settings) RETURNS text LANGUAGE plpgsql SET search_path = r AS $$
DECLARE
	made text; first text; second text; third text;
BEGIN
	EXECUTE format('CREATE TABLE r.held (x %s)', s.type);
	PERFORM r.set(s.setting, s.made);
	made := r.outcome(format($q$ SELECT chatroom.add_rule('r.held', 'x', 'inclusion', jsonb_build_object('in', array[%L])) $q$, s.value));
	PERFORM set_config(s.setting, s.used, true);
	SET LOCAL standard_conforming_strings = on;
	first := r.outcome(format('INSERT INTO r.held SELECT %L::text::%s', s.yes, s.type));
	second := r.outcome(format('INSERT INTO r.held SELECT %L::text::%s', s.no, s.type));
	-- the same again adds nothing and refuses nothing
	PERFORM r.set(s.setting, s.made);
	third := r.outcome(format($q$ SELECT chatroom.add_rule('r.held', 'x', 'inclusion', jsonb_build_object('in', array[%L])) $q$, s.value));
	DROP TABLE r.held;
	RETURN concat_ws(' ', made, first, second, third);
END $$;
CREATE FUNCTION reset_all() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RESET ALL; END $$;
SELECT setting, made, used, type, r.held(s) FROM r.settings s WHERE type <> 'point[]';
-- a type without equality is refused, as ever
SELECT r.held(s) FROM r.settings s WHERE type = 'point[]';

-- conditions: values that a session would print in its own way
CREATE TABLE watched (id int PRIMARY KEY, d date, f float8, i interval);
SET DateStyle = 'SQL, DMY';
SET extra_float_digits = -15;
SET IntervalStyle = sql_standard;
SELECT chatroom.watch('watched', condition => $$ d > '01/03/2024' AND f > 0.1234567890123456::float8 AND i > '-1 2:03:04' $$);
SELECT chatroom.add_rule('watched', 'd', 'check', $$ {"expression": "d > '01/03/2024' AND f > 0.1234567890123456::float8"} $$);
RESET DateStyle;
RESET extra_float_digits;
RESET IntervalStyle;
SELECT condition FROM chatroom.watches;
SELECT params FROM chatroom.rules WHERE relation = 'r.watched';
SELECT outcome($$ INSERT INTO watched VALUES (1, '2024-03-02', 0.12345678901234561) $$);
SELECT outcome($$ INSERT INTO watched VALUES (2, '2024-01-04', 0.12345678901234561) $$);
SELECT outcome($$ INSERT INTO watched VALUES (2, '2024-03-02', 0.1234567890123455) $$);
-- and look-ups of a partial index, planned after the session's settings changed
CREATE TABLE partial (id int PRIMARY KEY, d date, v int, n text);
CREATE UNIQUE INDEX ON partial (v) WHERE d >= '2024-02-01';
INSERT INTO partial VALUES (1, '2024-03-01', 1), (2, '2024-01-02', 2);
SELECT chatroom.add_rule('partial', 'n', 'length', '{"max": 3}');
SET DateStyle = 'SQL, DMY';
SELECT chatroom.changeset('partial', '{"n": "x"}', '1') -> 'errors';
SET DateStyle = 'SQL, MDY';
SELECT chatroom.changeset('partial', '{"id": 3, "d": "2024-03-05", "v": 1}') -> 'errors';
SELECT chatroom.changeset('partial', '{"id": 3, "d": "2024-01-05", "v": 1}') -> 'errors';
RESET DateStyle;

-- labels of enums are followed, whoever owns the table
CREATE ROLE rules_kept_owner;
CREATE TYPE mood AS ENUM ('sad', 'ok', '{', 'it''s "so"');
CREATE DOMAIN feeling AS mood;
GRANT USAGE ON SCHEMA r TO rules_kept_owner;
CREATE TABLE one (id int PRIMARY KEY, m mood, f feeling, a mood[], fa feeling[], note text);
SELECT chatroom.add_rule('one', 'm', 'inclusion', '{"in": ["sad", "ok"]}', 'of the two');
SELECT chatroom.add_rule('one', 'f', 'exclusion', '{"in": ["sad", "{"]}');
SELECT chatroom.add_rule('one', 'a', 'subset', '{"in": ["sad", "it''s \"so\""]}');
SELECT chatroom.add_rule('one', 'fa', 'inclusion', '{"in": ["{sad,NULL,\"{\"}", "{{ok},{sad}}"]}');
SELECT chatroom.add_rule('one', 'note', 'inclusion', '{"in": ["sad"]}');
ALTER TABLE one OWNER TO rules_kept_owner;
INSERT INTO one VALUES (1, 'sad', 'ok', '{sad}', '{sad,NULL,"{"}', 'sad');
ALTER TYPE mood RENAME VALUE 'sad' TO 'un "happy"';
ALTER TYPE mood RENAME VALUE '{' TO 'brace';
ALTER TYPE mood ADD VALUE 'new';
SELECT name, params, message, problem FROM chatroom.rules WHERE relation = 'r.one' ORDER BY name;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'one'::regclass AND NOT tgisinternal ORDER BY 1;
SELECT try($$ UPDATE one SET note = 'sad', m = 'ok' WHERE id = 1 $$);
SELECT try($$ UPDATE one SET m = 'brace', f = 'un "happy"', a = '{ok}', fa = '{ok}' WHERE id = 1 $$);
-- a label that is not followed: the rule is to blame, and says so

ALTER EVENT TRIGGER chatroom_ddl DISABLE;
ALTER TYPE mood RENAME VALUE 'ok' TO 'fine';
ALTER EVENT TRIGGER chatroom_ddl ENABLE ALWAYS;
ALTER TABLE one ADD more int;
SELECT try($$ UPDATE one SET note = 'sad' WHERE id = 1 $$);
SELECT name, problem FROM chatroom.rules WHERE relation = 'r.one' ORDER BY name;
SELECT chatroom.drop_rule('one', 'one_m_inclusion'), chatroom.drop_rule('one', 'one_fa_inclusion');
SELECT try($$ UPDATE one SET note = 'sad' WHERE id = 1 $$);

-- a holder made by hand, broken in each way, is its own table's problem
CREATE TABLE hand (id int PRIMARY KEY, x text, n int);
CREATE TRIGGER nothing AFTER UPDATE ON hand EXECUTE FUNCTION chatroom.rule();
CREATE TRIGGER unknown AFTER UPDATE OF x ON hand EXECUTE FUNCTION chatroom.rule('unknown', '{}');
CREATE TRIGGER nowhere AFTER UPDATE ON hand EXECUTE FUNCTION chatroom.rule('length', '{"max": 1}');
CREATE TRIGGER no_json AFTER UPDATE OF x ON hand EXECUTE FUNCTION chatroom.rule('length', '{');
CREATE TRIGGER huge AFTER UPDATE OF x ON hand EXECUTE FUNCTION chatroom.rule('length', '{"max": 1e999999}');
CREATE TRIGGER wrong_type AFTER UPDATE OF n ON hand EXECUTE FUNCTION chatroom.rule('length', '{"max": 1}');
CREATE TRIGGER good AFTER UPDATE OF x ON hand EXECUTE FUNCTION chatroom.rule('required', '{}');
SELECT name, field, validation, params, problem FROM chatroom.rules WHERE relation = 'r.hand' ORDER BY name;

-- and of associations
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE kid (id int PRIMARY KEY, parent_id int REFERENCES parent);
CREATE TRIGGER no_json AFTER UPDATE OF parent_id ON kid EXECUTE FUNCTION chatroom.assoc_option('has_many', 'kids', '{');
CREATE TABLE other (id int PRIMARY KEY, parent_id int REFERENCES other);
SELECT relation, name, kind, problem FROM chatroom.assocs WHERE relation LIKE 'r.%' ORDER BY 1, 2;
\set VERBOSITY terse
DROP OWNED BY rules_kept_owner;
DROP ROLE rules_kept_owner;

SET client_min_messages = warning;
DROP SCHEMA r CASCADE;
DROP EXTENSION chatroom;
