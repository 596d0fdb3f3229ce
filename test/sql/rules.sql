-- rules: every validation with Ecto's texts, and what errors carry
\getenv folder PG_ABS_SRCDIR
\set setup :folder '/sql/rules.psql'
\i :setup

-- required: null, empty, or nothing but white space
CREATE TABLE t (id int PRIMARY KEY, s text, n int, b bytea, j jsonb, a text[], c char(5), v varchar);
SELECT chatroom.add_rule('t', 's', 'required');
SELECT try('INSERT INTO t (id) VALUES (1)');
SELECT try($$ INSERT INTO t VALUES (1, '') $$);
SELECT try($$ INSERT INTO t VALUES (1, E' \t\n\u00a0\u2003\u3000') $$);
SELECT try($$ INSERT INTO t VALUES (1, E'\u200b') $$);	-- that is no white space
SELECT try('UPDATE t SET s = NULL');
SELECT chatroom.add_rule('t', f, 'required') FROM unnest('{n,b,j,a,c,v}'::text[]) f;
SELECT try($$ INSERT INTO t VALUES (2, 'x', NULL, '', 'null', NULL, '  ', ' ') $$);
SELECT try($$ INSERT INTO t VALUES (2, 'x', 0, '\x20', '{}', '{}', 'x', 'x') $$);
-- an update is held against "required" whatever it changes
SELECT try('UPDATE t SET n = 1 WHERE id = 1');
DROP TABLE t;

-- length of texts: is, min, max, in this order; nulls pass
CREATE TABLE t (id serial PRIMARY KEY, s text, lang text);
SELECT chatroom.add_rule('t', 's', 'length', '{"min": 2, "max": 4}');
SELECT try($$ INSERT INTO t (s) VALUES ('x') $$);
SELECT try($$ INSERT INTO t (s) VALUES ('') $$);
SELECT try($$ INSERT INTO t (s) VALUES ('abcde') $$);
SELECT try($$ INSERT INTO t (s) VALUES (NULL), ('ab'), ('abcd') $$);
SELECT chatroom.add_rule('t', 's', 'length', '{"is": 3}', name => 'three');
SELECT try($$ INSERT INTO t (s) VALUES ('x') $$);
SELECT chatroom.add_rule('t', 's', 'length', '{"is": 3, "min": 3, "max": 3}', name => 'all_three');
SELECT try($$ INSERT INTO t (s) VALUES ('xxxx') $$);
SELECT chatroom.drop_rule('t', name) FROM chatroom.rules;
SELECT chatroom.add_rule('t', 's', 'length', '{"is": 4, "count": "bytes"}', name => 'is_bytes');
SELECT chatroom.add_rule('t', 's', 'length', '{"min": 4, "count": "bytes"}', name => 'min_bytes');
SELECT chatroom.add_rule('t', 's', 'length', '{"max": 2, "count": "bytes"}', name => 'max_bytes');
SELECT try($$ INSERT INTO t (s) VALUES ('äb') $$);
SELECT chatroom.drop_rule('t', name) FROM chatroom.rules;

-- how texts' graphemes, codepoints and bytes are counted
SELECT chatroom.add_rule('t', 's', 'length', '{"is": 1}');
SELECT try(format('INSERT INTO t (s, lang) VALUES (%L, %L)', s, lang)) || ' ' || lang
	FROM (VALUES (1, 'a', 'letter'), (2, 'ä', 'umlaut'), (3, E'a\u0308', 'combining mark'),
		(4, E'\r\n', 'CR LF'), (5, '👍🏽', 'skin tone'), (6, '👩‍👩‍👧‍👦', 'family'), (7, '🇩🇪', 'flag'),
		(8, '각', 'Hangul'), (9, E'\u1100\u1161\u11a8', 'Hangul of jamo'), (10, 'नि', 'Devanagari'),
		(11, E'e\u0301\u0302\u0303', 'many marks'), (12, '🏴󠁧󠁢󠁥󠁮󠁧󠁿', 'flag by tags')) AS x (i, s, lang)
	ORDER BY i;
SELECT try(format('INSERT INTO t (s) VALUES (%L)', s))
	FROM unnest(ARRAY['ab', E'\n\r', '🇩🇪🇫🇷', E'a\n', '👍👍', E'\u00a9\u00ae']) s;
SELECT chatroom.drop_rule('t', 't_s_length');
SELECT chatroom.add_rule('t', 's', 'length', '{"is": 7, "count": "codepoints"}');
SELECT try($$ INSERT INTO t (s) VALUES ('👩‍👩‍👧‍👦') $$);
SELECT try($$ INSERT INTO t (s) VALUES (E'a\u0308') $$);
DROP TABLE t;

-- a long text counts right: ASCII, CR LF at every place, what is beyond it
CREATE TABLE t (s text);
SELECT chatroom.add_rule('t', 's', 'length', '{"is": 3000}');
SELECT try(format('INSERT INTO t VALUES (%L)', repeat('a', 3000)));
SELECT try(format('INSERT INTO t VALUES (%L)', repeat(E'\r\n', 3000)));
SELECT try(format('INSERT INTO t VALUES (%L)', repeat(E'ab\r\n', 1000)));
SELECT try(format('INSERT INTO t VALUES (%L)', repeat('ä', 3000)));
SELECT try(format('INSERT INTO t VALUES (%L)', repeat('🇩🇪', 3000)));
SELECT try(format('INSERT INTO t VALUES (%L)', repeat(E'abcdefgh\u0301', 375)));
SELECT try(format('INSERT INTO t VALUES (%L)', repeat(E'abcdefg\r\n', 375)));
DROP TABLE t;

-- bytes that are no UTF-8 count one each, and harm nobody
CREATE CAST (bytea AS text) WITHOUT FUNCTION;
CREATE TABLE t (s text);
SELECT chatroom.add_rule('t', 's', 'length', '{"is": 3}');
SELECT chatroom.add_rule('t', 's', 'length', '{"is": 3, "count": "codepoints"}', name => 'codepoints');
SELECT chatroom.add_rule('t', 's', 'required');
SELECT b, try(format('INSERT INTO t VALUES (%L::bytea::text)', b))
FROM unnest('{"\\xffffff","\\x61c362","\\xe282ffc3","\\xf0908d","\\xeda080","\\xf8888080","\\xe2"}'::bytea[]) b;
DROP TABLE t;
DROP CAST (bytea AS text);

-- length of lists, maps, bytes
CREATE TABLE t (id serial PRIMARY KEY, a int[], j jsonb, k json, b bytea, c char(9), n name);
SELECT chatroom.add_rule('t', f, 'length', '{"is": 2}', name => f || '_is') FROM unnest('{a,j,k,b,c,n}'::text[]) f;
SELECT chatroom.add_rule('t', f, 'length', '{"min": 2}', name => f || '_min') FROM unnest('{a,j,b}'::text[]) f;
SELECT chatroom.add_rule('t', f, 'length', '{"max": 0}', name => f || '_max') FROM unnest('{a,j,b}'::text[]) f;
SELECT try($$ INSERT INTO t (a) VALUES ('{1}') $$);
SELECT try($$ INSERT INTO t (a) VALUES ('{}') $$);
SELECT try($$ INSERT INTO t (j) VALUES ('[1]') $$);
SELECT try($$ INSERT INTO t (j) VALUES ('{"a": 1}') $$);
SELECT try($$ INSERT INTO t (j) VALUES ('"a"') $$);
SELECT try($$ INSERT INTO t (j) VALUES ('1') $$);
SELECT try($$ INSERT INTO t (b) VALUES ('\x00') $$);
SELECT try($$ INSERT INTO t (k, c, n) VALUES ('[1, 2, 3]', 'abc', 'x') $$);
SELECT try($$ INSERT INTO t (k, c, n) VALUES ('{"a": 1, "b": 2}', 'ab', 'xy') $$);
DROP TABLE t;

-- format, inclusion, exclusion, subset
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN username AS text CHECK (VALUE <> 'nobody');
CREATE TABLE t (id serial PRIMARY KEY, s text, u username, n int, m mood, d date, b boolean,
	a text[], x mood[], j jsonb, k json, i numeric, v varchar(3));
SELECT chatroom.add_rule('t', 's', 'format', '{"with": "^[a-z]+$"}');
SELECT chatroom.add_rule('t', 'u', 'format', '{"with": "(?i)^X"}');
SELECT chatroom.add_rule('t', 'u', 'length', '{"max": 3}');
SELECT chatroom.add_rule('t', 's', 'exclusion', '{"in": ["admin", "root"]}');
SELECT chatroom.add_rule('t', 'n', 'inclusion', '{"in": [1, 2, "3"]}');
SELECT chatroom.add_rule('t', 'i', 'inclusion', '{"in": [1.50, 2]}');
SELECT chatroom.add_rule('t', 'm', 'exclusion', '{"in": ["sad"]}');
SELECT chatroom.add_rule('t', 'd', 'inclusion', '{"in": ["2026-01-01"]}');
SELECT chatroom.add_rule('t', 'b', 'inclusion', '{"in": [true]}');
SELECT chatroom.add_rule('t', 'a', 'subset', '{"in": ["red", "green"]}');
SELECT chatroom.add_rule('t', 'x', 'subset', '{"in": ["ok", "happy"]}');
SELECT chatroom.add_rule('t', 'j', 'subset', '{"in": ["red", 1, {"a": [1]}]}');
SELECT chatroom.add_rule('t', 'k', 'inclusion', '{"in": ["red", 1, {"a": 1, "b": 2}, [1], true]}');
SELECT try($$ INSERT INTO t (s) VALUES ('Abc') $$);
SELECT try($$ INSERT INTO t (s) VALUES ('root') $$);
SELECT try($$ INSERT INTO t (u) VALUES ('yxxx') $$);
SELECT try($$ INSERT INTO t (u) VALUES ('nobody') $$);
SELECT try($$ INSERT INTO t (n, i, m, d, b) VALUES (4, 1.51, 'sad', '2026-01-02', false) $$);
SELECT try($$ INSERT INTO t (a, x, j, k) VALUES ('{red,blue}', '{ok,NULL}', '["red", 2]', '{"a": 2}') $$);
SELECT try($$ INSERT INTO t (j) VALUES ('"red"') $$);
SELECT try($$ INSERT INTO t (s, u, n, i, m, d, b, a, x, j, k, v) VALUES
	('abc', 'xyz', 3, 1.5, 'ok', '2026-01-01', true, '{green,red,red}', '{}', '[{"a": [1]}, 1.0]', '{"b": 2.0, "a": 1}', 'xyz') $$);
-- long lists are searched, not walked
SELECT chatroom.add_rule('t', 'v', 'inclusion', jsonb_build_object('in', jsonb_agg('v' || i)), name => 'long') FROM generate_series(0, 99) i;
SELECT chatroom.add_rule('t', 'n', 'exclusion', jsonb_build_object('in', jsonb_agg(i)), name => 'reserved') FROM generate_series(100, 1, -3) i;
SELECT left(try($$ INSERT INTO t (v) VALUES ('v') $$), 60);
SELECT try($$ INSERT INTO t (v) SELECT 'v' || i FROM generate_series(0, 99) i $$);
SELECT left(try($$ UPDATE t SET n = 1 WHERE id = 1 $$), 60);
SELECT count(*) FROM t;
DROP TABLE t;

-- number: the first that fails of less_than, greater_than, less_than_or_equal_to,
-- greater_than_or_equal_to, equal_to, not_equal_to
CREATE TABLE t (id serial PRIMARY KEY, i2 smallint, i4 int, i8 bigint, n numeric, f4 real, f8 float8);
SELECT chatroom.add_rule('t', 'i4', 'number', '{"less_than": 10, "greater_than": 0}');
SELECT chatroom.add_rule('t', 'i2', 'number', '{"less_than_or_equal_to": 2.5, "greater_than_or_equal_to": -2.5}');
SELECT chatroom.add_rule('t', 'i8', 'number', '{"equal_to": 9007199254740993}');
SELECT chatroom.add_rule('t', 'n', 'number', '{"not_equal_to": 1.10, "less_than": 1e40}');
SELECT chatroom.add_rule('t', 'f4', 'number', '{"equal_to": 0.1}');
SELECT chatroom.add_rule('t', 'f8', 'number', '{"less_than": 0.5}');
SELECT try('INSERT INTO t (i4, i2, i8, n, f4, f8) VALUES (10, 3, 9007199254740992, 1.1, 0.2, 0.5)');
SELECT try('INSERT INTO t (i4, i2, n, f8) VALUES (0, -3, 1e40, ''NaN'')');
SELECT try('INSERT INTO t (n) VALUES (''NaN'')');
SELECT try('INSERT INTO t (i4, i2, i8, n, f4, f8) VALUES (9, 2, 9007199254740993, 1.11, 0.1, ''-Infinity'')');
SELECT chatroom.drop_rule('t', 't_n_number');
SELECT chatroom.add_rule('t', 'n', 'number', '{"not_equal_to": 1}');
SELECT try('INSERT INTO t (n) VALUES (''NaN'')');
SELECT try('INSERT INTO t (n) VALUES (1.000)');
DROP TABLE t;

-- acceptance and confirmation are for functions alone
CREATE TABLE t (id serial PRIMARY KEY, password text);
SELECT chatroom.add_rule('t', 'terms', 'acceptance');
SELECT chatroom.add_rule('t', 'password', 'confirmation', '{"required": true}');
SELECT chatroom.add_rule('t', 'email', 'confirmation');
SELECT try('INSERT INTO t DEFAULT VALUES');
SELECT name, field, validation, params, enabled FROM chatroom.rules ORDER BY name;
SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass AND tgenabled <> 'D';
DROP TABLE t;

-- check: an expression; true and null pass, as they do in CHECK
CREATE TABLE t (id serial PRIMARY KEY, a int, b int, "Odd name" text,
	twice int GENERATED ALWAYS AS (a * 2) STORED);
SELECT chatroom.add_rule('t', 'a', 'check', '{"expression": "a < b and \"Odd name\" <> ''x''"}');
SELECT chatroom.add_rule('t', 'b', 'check', '{"expression": "t.twice <> 4"}');
SELECT try($$ SELECT chatroom.add_rule('t', 'a', 'check', '{"expression": "t is not null"}', name => 'whole') $$);
SELECT try('INSERT INTO t (a, b) VALUES (2, 1)');
SELECT try('INSERT INTO t VALUES (1, 1, 2, NULL)');
-- it counts when any of its columns changed
SELECT try('UPDATE t SET b = 1');
SELECT try('UPDATE t SET a = 2, b = 3');
SELECT try('UPDATE t SET "Odd name" = ''x''');
SELECT name, params FROM chatroom.rules ORDER BY name;
CREATE TABLE w (a int, b int);
SELECT chatroom.add_rule('w', 'b', 'check', '{"expression": "w is not null"}', 'whole rows only');
SELECT try('INSERT INTO w VALUES (1, NULL)');
SELECT try('INSERT INTO w VALUES (1, 1)');
SELECT try('UPDATE w SET a = NULL');
DROP TABLE w;
-- rules of generated columns see what will be generated
SELECT chatroom.drop_rule('t', name) FROM chatroom.rules;
TRUNCATE t;
SELECT chatroom.add_rule('t', 'twice', 'number', '{"less_than": 10}');
SELECT chatroom.add_rule('t', 'twice', 'required');
SELECT try('INSERT INTO t (a) VALUES (5)');
SELECT try('INSERT INTO t (a) VALUES (NULL)');
INSERT INTO t (a) VALUES (1);
SELECT try('UPDATE t SET a = 6');
SELECT try('UPDATE t SET a = 4');
SELECT a, twice FROM t WHERE a = 4;
SELECT try($$ SELECT chatroom.add_rule('t', 'twice', 'unique') $$);
SELECT try($$ SELECT chatroom.add_rule('t', 'twice', 'optimistic_lock') $$);
DROP TABLE t;

-- embed: objects and lists of them, nested; errors give the path
CREATE TABLE t (id serial PRIMARY KEY, profile jsonb, items json);
SELECT chatroom.add_rule('t', 'profile', 'embed', '{"on_replace": "update", "rules": [
	{"field": "name", "validation": "length", "params": {"min": 2}},
	{"field": "name", "validation": "required"},
	{"field": "age", "validation": "number", "params": {"greater_than": 0}},
	{"field": "mood", "validation": "inclusion", "params": {"in": ["ok", 1, true]}, "message": "is none of %{enum}"},
	{"field": "mood", "validation": "exclusion", "params": {"in": [1]}},
	{"field": "tags", "validation": "subset", "params": {"in": ["a", "b"]}},
	{"field": "tags", "validation": "length", "params": {"max": 1}},
	{"field": "avatar", "validation": "format", "params": {"with": "^https:"}},
	{"field": "links", "validation": "embed", "params": {"many": true, "rules": [
		{"field": "url", "validation": "required"},
		{"field": "url", "validation": "length", "params": {"max": 3}}]}}]}');
SELECT chatroom.add_rule('t', 'items', 'embed', '{"many": true, "on_replace": "delete", "rules": [{"field": "n", "validation": "required"}]}');
SELECT try($$ INSERT INTO t (profile) VALUES ('{"age": 0, "mood": 1, "tags": ["a", "x"], "avatar": "ftp:", "links": [{}, {"url": "abcd"}, {"url": "abc"}]}') $$);
SELECT try($$ INSERT INTO t (profile) VALUES ('{"name": 7, "age": "1", "mood": "bad", "tags": {"a": 1}, "avatar": [], "links": {}}') $$);
SELECT try($$ INSERT INTO t (profile) VALUES ('{"name": " ", "links": [1]}') $$);
SELECT try($$ INSERT INTO t (profile) VALUES ('[]') $$);
SELECT try($$ INSERT INTO t (profile) VALUES ('7') $$);
SELECT try($$ INSERT INTO t (items) VALUES ('{}') $$);
SELECT try($$ INSERT INTO t (items) VALUES ('[{"n": 1}, {"n": null}, {}]') $$);
SELECT try($$ INSERT INTO t (profile, items) VALUES ('{"name": "ab", "age": 0.5, "mood": true, "tags": ["b"], "avatar": null, "links": [{"url": "abc"}]}', '[{"n": 1}]') $$);
SELECT try($$ INSERT INTO t (profile, items) VALUES ('null', 'null') $$);
DROP TABLE t;

-- optimistic_lock: an update must come from the newest version
CREATE TABLE t (id serial PRIMARY KEY, s text, lock_version int DEFAULT 1, small smallint, big bigint);
SELECT chatroom.add_rule('t', 'lock_version', 'optimistic_lock');
INSERT INTO t (s) VALUES ('a');
UPDATE t SET s = 'b' RETURNING lock_version;	-- says nothing of it
UPDATE t SET s = 'c', lock_version = 2 RETURNING lock_version;	-- the version it was read at
UPDATE t SET s = 'd', lock_version = 4 WHERE lock_version = 3 RETURNING lock_version;	-- as Ecto and others
SELECT try('UPDATE t SET s = ''e'', lock_version = 3');
SELECT try('UPDATE t SET s = ''e'', lock_version = 6');
SELECT try('UPDATE t SET s = ''e'', lock_version = NULL');
ALTER TABLE t DISABLE TRIGGER USER;
UPDATE t SET lock_version = 2147483647;
ALTER TABLE t ENABLE TRIGGER "~chatroom_validate";
UPDATE t SET s = 'e' RETURNING lock_version;
ALTER TABLE t DISABLE TRIGGER USER;
UPDATE t SET lock_version = NULL;
ALTER TABLE t ENABLE TRIGGER "~chatroom_validate";
UPDATE t SET s = 'f' RETURNING lock_version;
DROP TABLE t;
CREATE TABLE t (id int, small smallint, big bigint);
SELECT chatroom.add_rule('t', 'small', 'optimistic_lock');
INSERT INTO t VALUES (1, 32767);
UPDATE t SET id = 2 RETURNING small;
SELECT chatroom.drop_rule('t', 't_small_optimistic_lock');
SELECT chatroom.add_rule('t', 'big', 'optimistic_lock', message => 'was changed by somebody else');
UPDATE t SET big = 9000000000;
UPDATE t SET id = 3 RETURNING big;
SELECT try('UPDATE t SET big = 1');
DROP TABLE t;

-- own messages
CREATE TABLE t (id serial PRIMARY KEY, s text, n int);
SELECT chatroom.add_rule('t', 's', 'length', '{"min": 3}', 'wants %{count} %{type}s or more (%{kind}, %{validation}, %{nothing}, %{, %{count');
SELECT chatroom.add_rule('t', 'n', 'number', '{"less_than": 1.50}', '%{number}%{number} "quoted" \ %{kind');
SELECT chatroom.add_rule('t', 'n', 'inclusion', '{"in": ["1", 2]}', E'%{enum}\n\t');
SELECT try($$ INSERT INTO t (s, n) VALUES ('x', 3) $$);
SELECT message FROM chatroom.rules ORDER BY name;
DROP TABLE t;

SET client_min_messages = warning;
DROP SCHEMA r CASCADE;
DROP EXTENSION chatroom;
