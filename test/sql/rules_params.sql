-- rules: what add_rule and drop_rule refuse, and hostile input
\getenv folder PG_ABS_SRCDIR
\set setup :folder '/sql/rules.psql'
\i :setup

CREATE TABLE rooms (id bigint PRIMARY KEY, name text);
CREATE TABLE t (id int PRIMARY KEY, room_id bigint REFERENCES rooms, s text, n int, a text[], j jsonb,
	b bytea, d date, p point, u uuid);

-- a rule on what
SELECT try($$ SELECT chatroom.add_rule('nowhere', 's', 'required') $$);
SELECT try($$ SELECT chatroom.add_rule('t', 'nothing', 'required') $$);
SELECT try($$ SELECT chatroom.add_rule('t', '', 'required') $$);
SELECT try($$ SELECT chatroom.add_rule('t', 'ctid', 'required') $$);
SELECT try($$ SELECT chatroom.add_rule('t', 's', 'reqired') $$);
SELECT try($$ SELECT chatroom.add_rule('t', 's', '') $$);
SELECT try($$ SELECT chatroom.add_rule(NULL, 's', 'required') $$);
SELECT try($$ SELECT chatroom.add_rule('t', NULL, 'required') $$);
SELECT try($$ SELECT chatroom.add_rule('t', 's', NULL) $$);
SELECT try($$ SELECT chatroom.add_rule('t', 's', 'required', message => '') $$);
SELECT try($$ SELECT chatroom.add_rule('t', 's', 'required', name => '') $$);
SELECT try($$ SELECT chatroom.add_rule('t', 's', 'required', name => repeat('x', 64)) $$);
SELECT try($$ SELECT chatroom.add_rule('pg_catalog.pg_class', 'relname', 'required') $$);
SELECT try($$ SELECT chatroom.add_rule('chatroom.rules', 'name', 'required') $$);
CREATE SEQUENCE seq;
SELECT try($$ SELECT chatroom.add_rule('seq', 'last_value', 'required') $$);
BEGIN READ ONLY;
SELECT try($$ SELECT chatroom.add_rule('t', 's', 'required') $$);
SELECT try($$ SELECT chatroom.drop_rule('t', 's') $$);
COMMIT;

-- parameters of the wrong shape
SELECT try(format('SELECT chatroom.add_rule(%L, %L, %L, %L)', 't', field, validation, params))
FROM (VALUES
	(1, 's', 'required', '[]'), (2, 's', 'required', '"x"'), (3, 's', 'required', 'null'), (4, 's', 'required', '{"min": 1}'),
	(5, 's', 'length', '{}'), (6, 's', 'length', '[]'), (7, 's', 'length', '{"minimum": 1}'), (8, 's', 'length', '{"min": "1"}'),
	(9, 's', 'length', '{"min": -1}'), (10, 's', 'length', '{"min": 1.5}'), (11, 's', 'length', '{"max": 1e30}'),
	(12, 's', 'length', '{"min": 3, "max": 2}'), (13, 's', 'length', '{"is": 3, "max": 2}'), (14, 's', 'length', '{"is": 3, "min": 4}'),
	(15, 's', 'length', '{"min": 1, "count": "words"}'), (16, 's', 'length', '{"min": 1, "count": 1}'), (17, 's', 'length', '{"min": null}'),
	(18, 's', 'length', '{"min": [1]}'), (19, 's', 'length', '{"min": {}}'), (20, 's', 'length', '{"count": "bytes"}'),
	(30, 's', 'format', '{}'), (31, 's', 'format', '{"with": 1}'), (32, 's', 'format', '{"with": "("}'), (33, 's', 'format', '{"with": "a{5,3}"}'),
	(34, 's', 'format', '{"with": "(?q)(", "flags": "i"}'),
	(40, 's', 'inclusion', '{}'), (41, 's', 'inclusion', '{"in": {}}'), (42, 's', 'inclusion', '{"in": {"a": 1}}'), (43, 's', 'inclusion', '{"in": "a"}'),
	(44, 's', 'exclusion', '{"in": [null]}'), (45, 's', 'exclusion', '{"in": [["a"]]}'), (46, 'n', 'inclusion', '{"in": ["one"]}'),
	(47, 'n', 'inclusion', '{"in": [1.5]}'), (48, 'd', 'inclusion', '{"in": [true]}'), (49, 's', 'subset', '{"in": ["a"]}'),
	(50, 'a', 'subset', '{"in": [["a"]]}'), (51, 'a', 'subset', '{"in": {}}'), (52, 'p', 'inclusion', '{"in": ["(1,2)"]}'),
	(60, 'n', 'number', '{}'), (61, 'n', 'number', '{"less_than": "3"}'), (62, 'n', 'number', '{"less": 3}'), (63, 's', 'number', '{"less_than": 3}'),
	(64, 'd', 'number', '{"less_than": 3}'), (65, 'a', 'number', '{"less_than": 3}'),
	(70, 'n', 'length', '{"min": 1}'), (71, 'u', 'length', '{"min": 1}'), (72, 'n', 'format', '{"with": "1"}'), (73, 's', 'embed', '{}'),
	(74, 's', 'optimistic_lock', '{}'), (75, 'n', 'optimistic_lock', '{"by": 2}'), (76, 'nothing', 'optimistic_lock', '{}'),
	(80, 's', 'unique', '{"fields": {}}'), (81, 's', 'unique', '{"fields": []}'), (82, 's', 'unique', '{"fields": "s"}'), (83, 's', 'unique', '{"fields": ["n"]}'),
	(84, 's', 'unique', '{"fields": ["s", "nothing"]}'), (85, 's', 'unique', '{"fields": ["s", "n", "n"]}'), (86, 's', 'unique', '{"fields": ["s", 1]}'),
	(87, 'p', 'unique', '{}'), (88, 'nothing', 'unique', '{}'),
	(90, 's', 'assoc', '{}'), (91, 'nothing', 'assoc', '{}'), (92, 'room', 'no_assoc', '{}'), (93, 'room', 'assoc', '{"x": 1}'),
	(100, 's', 'check', '{}'), (101, 's', 'check', '{"expression": 1}'), (102, 's', 'check', '{"expression": "s <"}'), (103, 's', 'check', '{"expression": "nothing > 1"}'),
	(104, 's', 'check', '{"expression": "s"}'), (105, 's', 'check', '{"expression": "true); drop table r.t; --"}'),
	(106, 's', 'check', '{"expression": "(select true)"}'), (107, 's', 'check', '{"expression": "count(*) > 1"}'), (108, 's', 'check', '{"expression": "ctid is null"}'),
	(109, 'nothing', 'check', '{"expression": "true"}'),
	(120, 'j', 'embed', '{"rules": {}}'), (121, 'j', 'embed', '{"rules": [1]}'), (122, 'j', 'embed', '{"rules": [{}]}'), (123, 'j', 'embed', '{"rules": [{"field": "a"}]}'),
	(124, 'j', 'embed', '{"rules": [{"field": "a", "validation": "x"}]}'), (125, 'j', 'embed', '{"rules": [{"field": "a", "validation": "unique"}]}'),
	(126, 'j', 'embed', '{"rules": [{"field": "a", "validation": "length", "params": []}]}'), (127, 'j', 'embed', '{"rules": [{"field": "a", "validation": "length", "params": 1}]}'),
	(128, 'j', 'embed', '{"rules": [{"field": "a", "validation": "length", "params": {"min": -1}}]}'), (129, 'j', 'embed', '{"rules": [{"field": "a", "validation": "required", "x": 1}]}'),
	(130, 'j', 'embed', '{"many": 1}'), (131, 'j', 'embed', '{"on_replace": "nilify"}'), (132, 'j', 'embed', '{"on_replace": "update", "many": true}'),
	(133, 'j', 'embed', '{"on_replace": "explode"}'), (134, 'password', 'confirmation', '{"required": "yes"}'), (135, 'terms', 'acceptance', '{"in": []}')
	) AS x (i, field, validation, params)
ORDER BY i;
SELECT count(*) FROM chatroom.rules;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal;
-- nested too deep
SELECT try(format('SELECT chatroom.add_rule(%L, %L, %L, %L)', 't', 'j', 'embed',
	repeat('{"rules": [{"field": "a", "validation": "embed", "params": ', 10) || '{}' || repeat('}]}', 10)));
-- null parameters are none
SELECT chatroom.add_rule('t', 's', 'required', NULL, NULL, NULL, NULL);

-- the same again changes nothing; something else of the same name is refused
CREATE TEMP TABLE before AS SELECT oid FROM pg_trigger WHERE tgrelid = 't'::regclass;
SELECT chatroom.add_rule('r.t', 's', 'required', '{}');
SELECT chatroom.add_rule('t', 's', 'check', '{"expression": "s <> ''x'' and n > 0"}');
SELECT chatroom.add_rule('t', 's', 'check', '{"expression": " (T.s)<>''x'' and n>0 "}');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass AND oid NOT IN (SELECT oid FROM before) AND tgname <> 't_s_check';
SELECT try($$ SELECT chatroom.add_rule('t', 's', 'check', '{"expression": "n > 1"}') $$);
SELECT try($$ SELECT chatroom.add_rule('t', 's', 'required', message => 'else') $$);
SELECT try($$ SELECT chatroom.add_rule('t', 'n', 'required', name => 't_s_required') $$);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER mine BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
SELECT try($$ SELECT chatroom.add_rule('t', 'n', 'required', name => 'mine') $$);
SELECT try($$ SELECT chatroom.drop_rule('t', 'mine') $$);
SELECT try($$ SELECT chatroom.drop_rule('t', 'nothing') $$);
SELECT try($$ SELECT chatroom.drop_rule('t', NULL) $$);
SELECT try($$ SELECT chatroom.drop_rule('nowhere', 'x') $$);
SELECT try($$ SELECT chatroom.drop_rule('t', '~chatroom_validate') $$);
SELECT chatroom.drop_rule('t', 't_s_check');
SELECT chatroom.drop_rule('t', 't_s_required');
-- with the last rule goes the trigger that enforces it
SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal;
-- functions of triggers are nothing to call
SELECT try('SELECT chatroom.validate()');
CREATE TRIGGER wrong AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION chatroom.validate();
SELECT try('INSERT INTO t VALUES (1)');
DROP TRIGGER wrong ON t;
CREATE TRIGGER wrong AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION chatroom.rule();
SELECT try('INSERT INTO t VALUES (1)');
SELECT name, validation, enabled, problem FROM chatroom.rules;
DROP TRIGGER wrong ON t;

-- names of any kind; long ones are cut as PostgreSQL cuts them
CREATE TABLE "Weird ""table"" ' \ name" ("a ""col"" ' \ %{x} $1" text, "ünïcödé äöü ünïcödé äöü ünïcödé" text);
SELECT chatroom.add_rule('"Weird ""table"" '' \ name"', 'a "col" '' \ %{x} $1', 'length', '{"min": 2}', E'it''s "%{count}" \\ \n ''); DROP TABLE t; --');
SELECT chatroom.add_rule('"Weird ""table"" '' \ name"', 'a "col" '' \ %{x} $1', 'inclusion', '{"in": ["''); DROP TABLE t; --", "\"}]", "\\"]}', name => E'n"''); DROP TABLE t; --');
SELECT chatroom.add_rule('"Weird ""table"" '' \ name"', 'ünïcödé äöü ünïcödé äöü ünïcödé', 'required');
SELECT chatroom.add_rule('"Weird ""table"" '' \ name"', 'a "col" '' \ %{x} $1', 'unique', '{"fields": ["ünïcödé äöü ünïcödé äöü ünïcödé", "a \"col\" '' \\ %{x} $1"]}', name => 'u');
SELECT chatroom.add_rule('"Weird ""table"" '' \ name"', 'a "col" '' \ %{x} $1', 'check', '{"expression": "\"a \"\"col\"\" '' \\ %{x} $1\" <> ''''''); DROP TABLE t; --''"}');
SELECT chatroom.add_rule('"Weird ""table"" '' \ name"', E'"}], "x": "''', 'confirmation', name => 'c');
SELECT * FROM chatroom.rules ORDER BY name;
SELECT try($$ INSERT INTO "Weird ""table"" ' \ name" VALUES (E'"', ' ') $$);
SELECT try($$ INSERT INTO "Weird ""table"" ' \ name" VALUES ('''); DROP TABLE t; --', 'x') $$);
SELECT try($$ INSERT INTO "Weird ""table"" ' \ name" VALUES ('"}]', 'x') $$);
SELECT try($$ INSERT INTO "Weird ""table"" ' \ name" VALUES ('"}]', 'x') $$);
SELECT count(*) FROM t;
DROP TABLE "Weird ""table"" ' \ name";
CREATE TABLE embeds (j jsonb);
SELECT chatroom.add_rule('embeds', 'j', 'embed', '{"rules": [{"field": "a\"]}\\ ''", "validation": "required", "message": "\"}, {\"field\": \"x"}, {"field": "", "validation": "required"}]}');
SELECT try($$ INSERT INTO embeds VALUES ('{}') $$);
DROP TABLE embeds;

-- hostile patterns and texts are interrupted
CREATE TABLE h (s text);
SELECT chatroom.add_rule('h', 's', 'format', '{"with": "^(a*)(a*)(a*)\\1\\2\\3$"}');
SET statement_timeout = '1s';
SELECT try($$ INSERT INTO h VALUES (repeat('a', 3001)) $$);
RESET statement_timeout;
SELECT chatroom.drop_rule('h', 'h_s_format');
SELECT chatroom.add_rule('h', 's', 'length', '{"max": 5}');
SET statement_timeout = '100ms';
SELECT try(format('INSERT INTO h VALUES (repeat(%L, 30000000))', E'e\u0301'));
RESET statement_timeout;
SELECT try($$ INSERT INTO h VALUES (repeat('a', 10000000)) $$);
DROP TABLE h;

-- existing rows
CREATE TABLE e (id int, kind text, s text, PRIMARY KEY (kind, id));
INSERT INTO e SELECT i, 'k' || i % 2, repeat('x', i) FROM generate_series(1, 5) i;
SELECT try($$ SELECT chatroom.add_rule('e', 's', 'length', '{"max": 3}', check_existing => true) $$);
SELECT try($$ SELECT chatroom.add_rule('e', 's', 'length', '{"max": 4}', check_existing => true) $$);
SELECT count(*) FROM chatroom.rules;
SELECT chatroom.add_rule('e', 's', 'length', '{"max": 5}', check_existing => true);
SELECT try($$ SELECT chatroom.add_rule('e', 'kind', 'unique', check_existing => true) $$);
SELECT chatroom.add_rule('e', 'id', 'unique', check_existing => true);
-- without it only what is written is held against the rule
SELECT chatroom.add_rule('e', 's', 'length', '{"max": 1}', name => 'short');
SELECT try($$ UPDATE e SET kind = 'z' WHERE id = 5 $$);
SELECT try($$ UPDATE e SET s = 'zz' WHERE id = 5 $$);
-- a rule that is there already is checked, too
SELECT try($$ SELECT chatroom.add_rule('e', 's', 'length', '{"max": 1}', name => 'short', check_existing => true) $$);
CREATE TABLE nokey (s text);
INSERT INTO nokey VALUES (NULL);
SELECT try($$ SELECT chatroom.add_rule('nokey', 's', 'required', check_existing => true) $$);

-- errors show the beginning of a long list, and how much of it they leave out
CREATE TABLE long (v text, vs text[], l text);
SELECT chatroom.add_rule('long', 'v', 'inclusion', jsonb_build_object('in',
	(SELECT jsonb_agg('value ' || n ORDER BY n) FROM generate_series(1, 20000) n)), '%{enum} it must be');
SELECT chatroom.add_rule('long', 'vs', 'subset', jsonb_build_object('in',
	(SELECT jsonb_agg('value ' || n ORDER BY n) FROM generate_series(1, 20000) n)));
SELECT chatroom.add_rule('long', 'l', 'exclusion', jsonb_build_object('in', jsonb_build_array(repeat('x', 2000), 'y')));
SELECT e ->> 'field' AS field, e ->> 'validation' AS validation, e ->> 'more' AS more,
	jsonb_array_length(e -> 'enum') AS shown, e -> 'enum' ->> 0 AS first,
	length(e ->> 'message') AS message
FROM jsonb_array_elements(chatroom.changeset('long', '{"v": "z", "vs": ["z"], "l": "y"}') -> 'errors') e;

SET client_min_messages = warning;
DROP SCHEMA r CASCADE;
DROP EXTENSION chatroom;
