-- changeset(): casting, changes, errors; nothing is written
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE SCHEMA ch;
SET search_path = ch;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN small AS int CHECK (VALUE < 10);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE rooms (id bigserial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE things (
	id bigserial PRIMARY KEY,
	room_id bigint REFERENCES rooms,
	name text NOT NULL,
	short varchar(5),
	status text DEFAULT 'open',
	i2 smallint, i4 int, f8 float8, n numeric(5,2),
	b boolean, d date, ts timestamp, tz timestamptz, u uuid,
	bin bytea, j jsonb, js json, m mood, dom small, p pair,
	tags text[], grid int[], span int4range, dur interval,
	twice int GENERATED ALWAYS AS (i4 * 2) STORED,
	CONSTRAINT positive CHECK (i4 > 0));
CREATE FUNCTION errors(c jsonb) RETURNS TABLE (field text, error jsonb)
	LANGUAGE sql AS $$
	SELECT e ->> 'field', e - 'field' FROM jsonb_array_elements(c -> 'errors') e
	ORDER BY 1, 2 $$;
CREATE FUNCTION cast_as(attrs jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE WHEN c -> 'errors' = '[]' THEN c -> 'changes'
		ELSE c -> 'errors' END
	FROM chatroom.changeset('things', attrs || '{"name": "x"}') c
	$$;

-- unknown attributes are dropped, defaults are data, not changes
SELECT jsonb_pretty(chatroom.changeset('rooms', '{"name": "lobby", "nope": 1}'));
SELECT chatroom.changeset('things', '{"name": "x", "status": "open"}') -> 'changes';
SELECT chatroom.changeset('things', '{"name": "x"}') -> 'data' -> 'status';
-- permitted
SELECT chatroom.changeset('things', '{"name": "x", "i4": 1}', permitted => '{name}') -> 'changes';
SELECT chatroom.changeset('things', '{"name": "x", "i4": 1}', permitted => '{}') -> 'changes';
-- generated columns can't be given
SELECT chatroom.changeset('things', '{"name": "x", "twice": 1}') -> 'changes';
-- empty values: null, or the default
SELECT cast_as('{"short": "", "status": " \t\n", "tags": ["a", "", "b"]}');
SELECT cast_as('{"short": "\u00a0\u2003"}');
SELECT * FROM errors(chatroom.changeset('rooms', '{"name": "  "}'));

-- casting, and what is no value of the type
SELECT cast_as('{"i2": 1, "i4": "2", "f8": 1.5, "n": "3.10", "b": "true"}');
SELECT cast_as('{"i2": 40000}');
SELECT cast_as('{"i4": 1.5}');
SELECT cast_as('{"i4": "1x"}');
SELECT cast_as('{"i4": true}');
SELECT cast_as('{"i4": [1]}');
SELECT cast_as('{"f8": "NaN"}');
SELECT cast_as('{"f8": "1e999"}');
SELECT cast_as('{"n": 1000}');
SELECT cast_as('{"n": "x"}');
SELECT cast_as('{"b": 1}');
SELECT cast_as('{"short": 1}');
SELECT cast_as('{"short": "abcdef"}');
SELECT cast_as('{"short": "abc     "}');
SELECT cast_as('{"d": "2024-02-29", "ts": "2024-02-29T10:11:12.5", "tz": "2024-02-29T10:11:12+02:00"}');
SELECT cast_as('{"d": "2023-02-29"}');
SELECT cast_as('{"ts": "2024-13-01"}');
SELECT cast_as('{"ts": 20240101}');
SELECT cast_as('{"u": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "bin": "\\xFF00", "m": "happy"}');
SELECT cast_as('{"u": "a0eebc99"}');
SELECT cast_as('{"m": "angry"}');
SELECT cast_as('{"bin": "\\xZ"}');
SELECT cast_as('{"j": {"a": [1, null]}, "js": [1, 2]}');
SELECT cast_as('{"dom": 9}');
SELECT cast_as('{"dom": 10}');
SELECT cast_as('{"p": {"a": 1, "b": "x", "c": 3}}');
SELECT cast_as('{"p": {"a": "x"}}');
SELECT cast_as('{"grid": [[1, 2], [3, null]]}');
SELECT cast_as('{"grid": [[1, 2], [3]]}');
SELECT cast_as('{"grid": [1, [2]]}');
SELECT cast_as('{"grid": {}}');
SELECT cast_as('{"grid": []}');
SELECT cast_as('{"span": "[1,5)", "dur": "1 day"}');
SELECT cast_as('{"span": "x"}');
-- it does not matter what the session's settings are
SET timezone = 'America/New_York'; SET datestyle = 'SQL, DMY';
SELECT cast_as('{"tz": "2024-01-01T00:00:00", "ts": "2024-01-02T03:04:05"}');
RESET timezone; RESET datestyle;

-- native constraints, several together
INSERT INTO rooms (name) VALUES ('lobby');
SELECT * FROM errors(chatroom.changeset('rooms', '{"name": "lobby"}'));
SELECT * FROM errors(chatroom.changeset('things', '{"i4": -1, "room_id": 99, "u": "x"}'));
-- a row that there is
SELECT chatroom.changeset('rooms', '{"name": "lobby"}', '1') -> 'changes';
SELECT chatroom.changeset('rooms', '{"name": "hall"}', '{"id": 1}') - 'data';
SELECT chatroom.changeset('rooms', '{"name": null}', '{"id": 1}') - 'data';
SELECT chatroom.changeset('rooms', '{"name": "hall"}', '2') - 'data';
-- rules
SELECT chatroom.add_rule('things', 'name', 'length', '{"min": 2}');
SELECT chatroom.add_rule('things', 'terms', 'acceptance');
SELECT * FROM errors(chatroom.changeset('things', '{"name": "x", "terms": false}'));
SELECT chatroom.changeset('things', '{"name": "xy", "terms": true}') - 'data';
-- nothing was written
SELECT * FROM rooms;
SELECT last_value, is_called FROM rooms_id_seq;

-- what callers get wrong
\set VERBOSITY default
SELECT chatroom.changeset('rooms', '[]');
SELECT chatroom.changeset('rooms', NULL);
SELECT chatroom.changeset('rooms', '{}', '{"name": "x"}');
SELECT chatroom.changeset('rooms', '{}', '"x"');
SELECT chatroom.changeset('rooms', '{}', '{"id": null}');
SELECT chatroom.changeset('rooms_id_seq', '{}');
SELECT chatroom.changeset('rooms; DROP TABLE rooms', '{}');
\set VERBOSITY default
-- names are names, not SQL
CREATE TABLE "odd ""table" ("a "" b" int PRIMARY KEY, "select" text);
SELECT chatroom.changeset('"odd ""table"', '{"a \" b": 1, "select": "x'' OR 1=1", "a\"; DROP TABLE rooms; --": 1}') -> 'changes';
-- only for those who may write
CREATE ROLE regress_changeset;
GRANT USAGE ON SCHEMA ch TO regress_changeset;
SET ROLE regress_changeset;
SELECT chatroom.changeset('rooms', '{"name": "x"}');
RESET ROLE;
GRANT INSERT (name) ON rooms TO regress_changeset;
SET ROLE regress_changeset;
SELECT chatroom.changeset('rooms', '{"name": "x"}');
RESET ROLE;

DROP SCHEMA ch CASCADE;
DROP ROLE regress_changeset;
DROP EXTENSION chatroom;
