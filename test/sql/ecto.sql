-- Every text that Ecto's changesets have, with the keys of its metadata: as an
-- error that the trigger raises for any writer, and as changeset() answers it.
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE SCHEMA ecto;
SET search_path = ecto;
\pset format unaligned
\pset tuples_only on

-- The errors that a statement raises, from DETAIL, without what is there for
-- adapters alone; or its SQLSTATE.
CREATE FUNCTION raised(statement text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	EXECUTE statement;
	RETURN '[]';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	IF detail LIKE '[%' THEN
		RETURN (SELECT jsonb_agg(e - '{rule,template}'::text[]) FROM jsonb_array_elements(detail::jsonb) AS e);
	END IF;
	RETURN to_jsonb(SQLSTATE);
END
$$;

-- Hold one value against one rule in both ways; what is told is the expected,
-- or shown.
CREATE FUNCTION told(type text, validation text, params jsonb, value jsonb, expected jsonb)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	by_trigger jsonb;
	by_changeset jsonb;
BEGIN
	EXECUTE format('CREATE TABLE t (f %s)', type);
	PERFORM chatroom.add_rule('t', 'f', validation, params);
	by_trigger := raised(format(
		'INSERT INTO t SELECT f FROM jsonb_populate_record(NULL::t, %L)',
		jsonb_build_object('f', value)));
	by_changeset := chatroom.changeset('t', jsonb_build_object('f', value)) -> 'errors';
	DROP TABLE t;
	expected := jsonb_build_array(expected || '{"field": "f"}');
	IF by_trigger = expected AND by_changeset = expected THEN
		RETURN 'ok: ' || (expected #>> '{0,message}');
	END IF;
	RETURN format(E'expected %s\nraised %s\nanswered %s', expected, by_trigger, by_changeset);
END
$$;

SELECT told(type, validation, params::jsonb, value::jsonb,
	keys::jsonb || jsonb_build_object('message', message, 'validation', validation))
FROM (VALUES
	(1, 'text', 'required', '{}', 'null', 'can''t be blank', '{}'),
	(2, 'text', 'format', '{"with": "@"}', '"x"', 'has invalid format', '{}'),
	(3, 'text', 'inclusion', '{"in": ["a", "b"]}', '"x"', 'is invalid', '{"enum": ["a", "b"]}'),
	(4, 'int', 'inclusion', '{"in": [1, 2]}', '3', 'is invalid', '{"enum": [1, 2]}'),
	(5, 'text[]', 'subset', '{"in": ["a", "b"]}', '["a", "x"]', 'has an invalid entry', '{"enum": ["a", "b"]}'),
	(6, 'text', 'exclusion', '{"in": ["admin"]}', '"admin"', 'is reserved', '{"enum": ["admin"]}'),
	-- strings
	(10, 'text', 'length', '{"is": 2}', '"x"', 'should be 2 character(s)', '{"count": 2, "kind": "is", "type": "string"}'),
	(11, 'text', 'length', '{"min": 2}', '"x"', 'should be at least 2 character(s)', '{"count": 2, "kind": "min", "type": "string"}'),
	(12, 'text', 'length', '{"max": 2}', '"xyz"', 'should be at most 2 character(s)', '{"count": 2, "kind": "max", "type": "string"}'),
	(13, 'varchar', 'length', '{"is": 2, "count": "codepoints"}', '"x"', 'should be 2 character(s)', '{"count": 2, "kind": "is", "type": "string"}'),
	-- bytes
	(20, 'text', 'length', '{"is": 2, "count": "bytes"}', '"x"', 'should be 2 byte(s)', '{"count": 2, "kind": "is", "type": "binary"}'),
	(21, 'text', 'length', '{"min": 2, "count": "bytes"}', '"x"', 'should be at least 2 byte(s)', '{"count": 2, "kind": "min", "type": "binary"}'),
	(22, 'text', 'length', '{"max": 2, "count": "bytes"}', '"äö"', 'should be at most 2 byte(s)', '{"count": 2, "kind": "max", "type": "binary"}'),
	(23, 'bytea', 'length', '{"is": 2}', '"\\x00"', 'should be 2 byte(s)', '{"count": 2, "kind": "is", "type": "binary"}'),
	(24, 'bytea', 'length', '{"min": 2}', '"\\x00"', 'should be at least 2 byte(s)', '{"count": 2, "kind": "min", "type": "binary"}'),
	(25, 'bytea', 'length', '{"max": 2}', '"\\x000000"', 'should be at most 2 byte(s)', '{"count": 2, "kind": "max", "type": "binary"}'),
	-- lists
	(30, 'int[]', 'length', '{"is": 2}', '[1]', 'should have 2 item(s)', '{"count": 2, "kind": "is", "type": "list"}'),
	(31, 'int[]', 'length', '{"min": 2}', '[1]', 'should have at least 2 item(s)', '{"count": 2, "kind": "min", "type": "list"}'),
	(32, 'int[]', 'length', '{"max": 2}', '[1, 2, 3]', 'should have at most 2 item(s)', '{"count": 2, "kind": "max", "type": "list"}'),
	(33, 'jsonb', 'length', '{"is": 2}', '[1]', 'should have 2 item(s)', '{"count": 2, "kind": "is", "type": "list"}'),
	-- maps
	(40, 'jsonb', 'length', '{"is": 2}', '{"a": 1}', 'should have 2 item(s)', '{"count": 2, "kind": "is", "type": "map"}'),
	(41, 'jsonb', 'length', '{"min": 2}', '{"a": 1}', 'should have at least 2 item(s)', '{"count": 2, "kind": "min", "type": "map"}'),
	(42, 'jsonb', 'length', '{"max": 2}', '{"a": 1, "b": 2, "c": 3}', 'should have at most 2 item(s)', '{"count": 2, "kind": "max", "type": "map"}'),
	-- numbers
	(50, 'int', 'number', '{"less_than": 3}', '3', 'must be less than 3', '{"kind": "less_than", "number": 3}'),
	(51, 'int', 'number', '{"greater_than": 3}', '3', 'must be greater than 3', '{"kind": "greater_than", "number": 3}'),
	(52, 'int', 'number', '{"less_than_or_equal_to": 3}', '4', 'must be less than or equal to 3', '{"kind": "less_than_or_equal_to", "number": 3}'),
	(53, 'int', 'number', '{"greater_than_or_equal_to": 3}', '2', 'must be greater than or equal to 3', '{"kind": "greater_than_or_equal_to", "number": 3}'),
	(54, 'numeric', 'number', '{"equal_to": 3.5}', '3', 'must be equal to 3.5', '{"kind": "equal_to", "number": 3.5}'),
	(55, 'float8', 'number', '{"not_equal_to": 3}', '3', 'must be not equal to 3', '{"kind": "not_equal_to", "number": 3}')
) AS x (i, type, validation, params, value, message, keys)
ORDER BY i;

-- Of what a client sent: acceptance and confirmation. A missing confirmation is
-- one only where it is required.
CREATE TABLE signup (id serial PRIMARY KEY, email text, password text);
SELECT chatroom.add_rule('signup', 'terms', 'acceptance');
SELECT chatroom.add_rule('signup', 'email', 'confirmation');
SELECT chatroom.add_rule('signup', 'password', 'confirmation', '{"required": true}');
SELECT attrs, e FROM (VALUES
	(1, '{}'),
	(2, '{"terms": true, "password_confirmation": null}'),
	(3, '{"terms": "true", "password": "x", "password_confirmation": "x"}'),
	(4, '{"terms": "1", "password": "x", "password_confirmation": "y", "email": "a", "email_confirmation": "A"}'),
	(5, '{"terms": 1, "password": "x", "password_confirmation": null, "email_confirmation": "a"}'),
	(6, '{"terms": false, "password": 1, "password_confirmation": "1"}'),
	(7, '{"terms": null, "password": {"a": [1, "\""]}, "password_confirmation": {"a": [1.0, "\""]}}')
) AS x (i, attrs), chatroom.changeset('signup', attrs::jsonb) c, jsonb_array_elements(c -> 'errors') WITH ORDINALITY e (e, n)
ORDER BY i, n;
SELECT chatroom.insert('signup', '{"password": "x", "password_confirmation": "z", "terms": false}') #> '{error,errors}';
SELECT chatroom.insert('signup', '{"password": "x", "password_confirmation": "x", "terms": true}') #> '{ok,password}';
SELECT chatroom.update('signup', '1', '{"password": "y", "password_confirmation": "yy"}') #> '{error,errors}';
SELECT raised('INSERT INTO signup (password) VALUES (''other writers know nothing of them'')');

-- Casts: the type's name is Ecto's metadata key "type".
CREATE TABLE c (id serial PRIMARY KEY, n int, d date, a int[], j jsonb);
SELECT e FROM jsonb_array_elements(chatroom.changeset('c', '{"n": "x", "d": "1 May", "a": "x"}') -> 'errors') e;

-- Constraints of the server.
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, age int CONSTRAINT age_must_be_positive CHECK (age > 0),
	stay int4range, lock_version int DEFAULT 1, CONSTRAINT cannot_overlap EXCLUDE USING gist (stay WITH &&));
CREATE UNIQUE INDEX users_name_index ON users (name);
CREATE TABLE posts (id int PRIMARY KEY, user_id int REFERENCES users);
CREATE TABLE profiles (id int PRIMARY KEY, user_id int UNIQUE REFERENCES users);
SELECT chatroom.add_rule('users', 'lock_version', 'optimistic_lock');
INSERT INTO users VALUES (1, 'ann', 20, '[1,5)'), (2, 'bob', 20, '[5,9)');
INSERT INTO posts VALUES (1, 1);
INSERT INTO profiles VALUES (2, 2);
SELECT e FROM jsonb_array_elements(chatroom.insert('users', '{"id": 1, "name": "ann", "age": 0, "stay": "[4,6)"}') #> '{error,errors}') e;
SELECT chatroom.insert('users', '{"id": 3}') #> '{error,errors}';
SELECT chatroom.insert('posts', '{"id": 3, "user_id": 9}') #> '{error,errors}';
SELECT chatroom.delete('users', '1') #> '{error,errors}';
SELECT chatroom.delete('users', '2') #> '{error,errors}';
SELECT chatroom.update('users', '1', '{"name": "x", "lock_version": 0}') #> '{error,errors}';
SELECT chatroom.update('users', '9', '{"name": "x"}') #> '{error,errors}';
SELECT chatroom.delete('users', '9') #> '{error,errors}';
-- the same as rules
SELECT chatroom.add_rule('posts', 'user', 'assoc');
SELECT chatroom.add_rule('users', 'posts', 'no_assoc');
SELECT chatroom.add_rule('users', 'profiles', 'no_assoc');
SELECT chatroom.add_rule('users', 'name', 'unique');
SELECT chatroom.add_rule('users', 'age', 'check', '{"expression": "age < 100"}');
SELECT raised('INSERT INTO posts VALUES (4, 9)'), chatroom.changeset('posts', '{"id": 4, "user_id": 9}') -> 'errors';
SELECT raised('DELETE FROM users WHERE id = 1'), raised('DELETE FROM users WHERE id = 2');
SELECT chatroom.delete('users', '1') #> '{error,errors}', chatroom.delete('users', '2') #> '{error,errors}';
SELECT raised('INSERT INTO users VALUES (4, ''ann'', 100)');
SELECT chatroom.changeset('users', '{"id": 4, "name": "ann", "age": 100}') -> 'errors';

-- Associations and embeds.
SELECT chatroom.add_assoc('users', 'posts', '{"on_replace": "mark_as_invalid"}');
SELECT chatroom.changeset('users', '{"id": 5, "name": "cid", "posts": 1, "profiles": "x"}') -> 'errors';
SELECT chatroom.update('users', '1', '{"posts": []}') #> '{error,errors}';
ALTER TABLE users ADD meta jsonb, ADD tags jsonb;
SELECT chatroom.add_rule('users', 'meta', 'embed', '{"rules": [{"field": "a", "validation": "required"}]}');
SELECT chatroom.add_rule('users', 'tags', 'embed', '{"many": true, "rules": [{"field": "a", "validation": "required"}]}');
SELECT e FROM jsonb_array_elements(chatroom.changeset('users', '{"id": 5, "name": "cid", "meta": [], "tags": {}}') -> 'errors') e;
SELECT e FROM jsonb_array_elements(chatroom.changeset('users', '{"id": 5, "name": "cid", "meta": {}, "tags": [{}, {"a": 1}]}') -> 'errors') e;

-- What Ecto's cast() doesn't take, although PostgreSQL's input would.
CREATE TYPE pair AS (i int, d date);
CREATE TABLE casts (b boolean, i int, s smallint, f float8, n numeric, d date, ts timestamp, tz timestamptz, t time, "is" int[], p pair);
SELECT field || ' ' || value, coalesce(c #>> '{errors,0,message}', (c -> 'changes' -> field)::text)
FROM (VALUES ('b', '"true"'), ('b', '"1"'), ('b', '"0"'), ('b', '"yes"'), ('b', '"on"'), ('b', '"t"'), ('b', '"TRUE"'), ('b', '" true "'), ('b', '1'),
	('i', '"5"'), ('i', '"+5"'), ('i', '" 5 "'), ('i', '"5_0"'), ('i', '"0x5"'), ('s', '"5 "'), ('i', '"-"'),
	('f', '"1.5"'), ('f', '"-1e3"'), ('f', '"NaN"'), ('f', '"-Infinity"'), ('f', '" 1"'), ('n', '".5"'), ('n', '"NaN"'), ('n', '"inf"'), ('n', '"1 "'), ('n', '"."'),
	('d', '"2020-01-05"'), ('d', '"2020-01-05T10:00:00Z"'), ('d', '"now"'), ('d', '"infinity"'), ('d', '"Jan 5 2020"'), ('d', '"05.01.2020"'), ('d', '"2020-02-30"'),
	('ts', '"2020-01-05t10:00"'), ('ts', '"now"'), ('ts', '"-infinity"'), ('tz', '"2020-01-05 10:00:00.5+02:00"'), ('tz', '"2020-01-05 10:00:00z"'), ('tz', '"tomorrow"'), ('tz', '"2020-01-05 10:00 Europe/Berlin"'),
	('t', '"10:00:01.5"'), ('t', '"10:00"'), ('t', '"now"'), ('t', '"allballs"'), ('t', '"10 PM"'), ('t', '"10:00 PM"'),
	('is', '["1", " 2"]'), ('is', '[["1"], ["0x2"]]'), ('is', '[["1"], ["2"]]'), ('p', '{"i": " 1"}'), ('p', '{"d": "now"}'), ('p', '{"i": "1", "d": "2020-01-05", "x": "now"}')) AS v (field, value),
	LATERAL chatroom.changeset('casts', jsonb_build_object(field, value::jsonb)) AS c;
-- What rows have may still be such a value: where and keys take it.
INSERT INTO casts (d, n) VALUES ('infinity', 'NaN');
SELECT chatroom.multi('[{"name": "x", "op": "exists", "relation": "casts", "where": {"d": "infinity", "n": "NaN"}}]');

-- Children that stay as they are are no change, however deep; rows have them.
DELETE FROM posts;
DELETE FROM profiles;
INSERT INTO posts (id, user_id) VALUES (71, 1), (72, 1);
SELECT chatroom.changeset('users', '{"posts": [{"id": 72}, {"id": 71}], "profiles": null}', '1') -> 'changes';
SELECT chatroom.changeset('users', '{"posts": [{"id": 71}, {"id": 72, "user": {"id": 1}}]}', '1') -> 'changes';
SELECT jsonb_array_length(chatroom.changeset('users', '{"posts": [{"id": 71}, {"id": 72, "user": {"id": 1, "name": "else"}}]}', '1') #> '{changes,posts}');
SELECT jsonb_array_length(chatroom.update('users', '1', '{"posts": [{"id": 71}, {"id": 72}]}') #> '{ok,posts}');

-- A foreign key's error has the text of the rule that says the same, but which
-- its writer may not look up.
CREATE TABLE late (id int PRIMARY KEY, user_id bigint CONSTRAINT late_user_id_fkey REFERENCES users);
SELECT chatroom.add_rule('late', 'user', 'assoc', message => 'is nobody');
CREATE ROLE regress_ecto;
GRANT USAGE ON SCHEMA ecto TO regress_ecto;
GRANT ALL ON late TO regress_ecto;
SET ROLE regress_ecto;
SELECT chatroom.insert('late', '{"id": 1, "user_id": 99}') #> '{error,errors}';
RESET ROLE;
REVOKE ALL ON late FROM regress_ecto;
REVOKE ALL ON SCHEMA ecto FROM regress_ecto;
DROP ROLE regress_ecto;

DROP SCHEMA ecto CASCADE;
DROP EXTENSION chatroom;
