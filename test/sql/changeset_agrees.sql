-- changeset(), insert(), update() and the trigger say the same of the same row:
-- rows put together at random from values that are right and wrong in all ways.
-- make test-long takes more of them. CHATROOM_SEED chooses them.
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE SCHEMA agrees;
SET search_path = agrees;
\pset format unaligned
\pset tuples_only on
\set rows 3000
\getenv long CHATROOM_LONG
\if :{?long}
\set rows 200000
\endif
\set seed 1
\getenv seed CHATROOM_SEED
SELECT setseed(:seed / 1000000000.0) \gset

CREATE TABLE rooms (id int PRIMARY KEY);
INSERT INTO rooms VALUES (1), (2);
CREATE TABLE t (id int PRIMARY KEY, room_id int REFERENCES rooms, s text NOT NULL, code text UNIQUE, n int CHECK (n > 0),
	f float8, num numeric(6,2), a text[], j jsonb, items jsonb, d date, v varchar(4), span int4range, low int, high int,
	CHECK (low < high), EXCLUDE USING gist (span WITH &&));
INSERT INTO t VALUES (1, 1, 'one', 'c1', 1, 1, 1, '{a}', NULL, NULL, '2020-01-01', 'v', '[1,5)', 1, 2);
SELECT count(chatroom.add_rule('t', field, validation, params::jsonb)) FROM (VALUES
	('s', 'required', '{}'), ('s', 'length', '{"min": 2, "max": 5}'), ('code', 'format', '{"with": "^c"}'), ('n', 'number', '{"less_than": 10}'),
	('f', 'number', '{"not_equal_to": 1.5}'), ('num', 'inclusion', '{"in": [1, 2.50]}'), ('a', 'subset', '{"in": ["a", "b"]}'), ('a', 'length', '{"max": 2}'),
	('j', 'embed', '{"on_replace": "delete", "rules": [{"field": "k", "validation": "required"}, {"field": "k", "validation": "length", "params": {"max": 2}}]}'),
	('items', 'embed', '{"many": true, "on_replace": "delete", "rules": [{"field": "q", "validation": "number", "params": {"greater_than": 0}}]}'),
	('room', 'assoc', '{}'), ('low', 'check', '{"expression": "low <> 7"}')) AS r (field, validation, params);
CREATE TABLE choices AS SELECT field, value FROM (VALUES
	('id', '[1, 2, 3, null, "x"]'), ('room_id', '[1, 2, 9, null, ""]'), ('s', '["", "  ", "x", "xy", "xyzzyx", null, 5]'),
	('code', '["c1", "c2", "x", null]'), ('n', '[0, 5, 10, -1, null, 1.5, "7"]'), ('f', '[1.5, 2, "NaN", null]'), ('num', '[1, 2.5, 3, 99999, null]'),
	('a', '[[], ["a"], ["a", "b", "a"], ["x"], ["a", null], {}, null]'), ('j', '[{}, {"k": "a"}, {"k": "abc"}, {"k": 5}, [], "x", null]'),
	('items', '[[], [{"q": 1}], [{"q": 0}, {"q": "x"}], [1], {}, null]'), ('d', '["2020-02-30", "2020-02-03", null]'), ('v', '["abcd", "abcde", null]'),
	('span', '["[4,6)", "[6,7)", "x", null]'), ('low', '[1, 7, 5, null]'), ('high', '[1, 8, null]')) AS c (field, vals),
	jsonb_array_elements(vals::jsonb) value;
CREATE FUNCTION some_attrs() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT '{"id": 2, "s": "right"}' || coalesce(jsonb_object_agg(field, value), '{}')
	FROM (SELECT DISTINCT ON (field) field, value FROM choices WHERE random() < 0.05 ORDER BY field, random()) c
$$;
-- Errors, sorted, without what only the trigger's have, for adapters.
CREATE FUNCTION sorted(errors jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT coalesce(jsonb_agg(e ORDER BY e), '[]')
		FROM (SELECT e - '{rule,template}'::text[] AS e FROM jsonb_array_elements(errors) e) AS x $$;
CREATE FUNCTION differences(attrs jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	dry jsonb := chatroom.changeset('t', attrs);
	dry_update jsonb := chatroom.changeset('t', attrs, '1');
	answer jsonb;
	detail text;
	state text;
BEGIN
	BEGIN
		answer := chatroom.insert('t', attrs);
		RAISE EXCEPTION USING ERRCODE = 'ZZUND';
	EXCEPTION WHEN SQLSTATE 'ZZUND' THEN
		IF sorted(dry -> 'errors') <> sorted(coalesce(answer #> '{error,errors}', '[]')) THEN
			RETURN format('insert: %s %s %s', attrs, dry -> 'errors', answer);
		END IF;
	END;
	BEGIN
		answer := chatroom.update('t', '1', attrs);
		RAISE EXCEPTION USING ERRCODE = 'ZZUND';
	EXCEPTION WHEN SQLSTATE 'ZZUND' THEN
		IF sorted(dry_update -> 'errors') <> sorted(coalesce(answer #> '{error,errors}', '[]')) THEN
			RETURN format('update: %s %s %s', attrs, dry_update -> 'errors', answer);
		END IF;
	END;
	-- what can't be cast, or is too long for its type, never gets to a trigger
	IF dry -> 'errors' @> '[{"validation": "cast"}]' OR dry -> 'errors' @> '[{"field": "v"}]' THEN
		RETURN NULL;
	END IF;
	BEGIN
		INSERT INTO t SELECT (jsonb_populate_record(NULL::t, (dry -> 'data') || (dry -> 'changes'))).*;
		RAISE EXCEPTION USING ERRCODE = 'ZZUND';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
		state := SQLSTATE;
		-- a constraint alone has its own error
		IF (state = 'ZZUND') <> (dry ->> 'valid')::boolean OR state !~ '^(ZZ|23)' OR
			(detail LIKE '[%' AND sorted(detail::jsonb) <> sorted(dry -> 'errors')) THEN
			RETURN format('trigger: %s %s %s %s', attrs, dry -> 'errors', state, detail);
		END IF;
	END;
	RETURN NULL;
END
$$;
SELECT count(*) = :rows AS all, count(DISTINCT attrs) > 1000 AS various, count(differences) AS differ, min(differences) AS first
FROM (SELECT attrs, differences(attrs) FROM (SELECT some_attrs() AS attrs FROM generate_series(1, :rows) OFFSET 0) a OFFSET 0) d;

DROP SCHEMA agrees CASCADE;
DROP EXTENSION chatroom;
