-- keys and rule values of types whose operators are not in pg_catalog, with a
-- search_path that doesn't have them
\getenv folder PG_ABS_SRCDIR
\set setup :folder '/sql/rules.psql'
\i :setup
CREATE SCHEMA types;
CREATE EXTENSION ltree SCHEMA types;
CREATE EXTENSION citext SCHEMA types;
CREATE EXTENSION hstore SCHEMA types;
CREATE EXTENSION isn SCHEMA types;

CREATE TABLE kinds (type text, a text, b text, same text);
INSERT INTO kinds VALUES
	('types.ltree', 'a.b', 'a.c', 'a.b'),
	('types.citext', 'Abc', 'abd', 'aBC'),
	('types.isbn13', '978-0-393-04002-9', '978-0-306-40615-7', '0-393-04002-X'),
	('types.hstore', 'a=>1, b=>2', 'a=>2', 'b=>2, a=>1');

-- each step as it came out
CREATE FUNCTION walk(k kinds) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	a jsonb := to_jsonb(k.a); b jsonb := to_jsonb(k.b); same jsonb := to_jsonb(k.same);
BEGIN
	EXECUTE format('CREATE TABLE r.t (key %1$s PRIMARY KEY, name text UNIQUE, parent %1$s REFERENCES r.t)', k.type);
	PERFORM chatroom.add_rule('r.t', 'key', 'exclusion', jsonb_build_object('in', jsonb_build_array(k.b)));
	PERFORM chatroom.add_rule('r.t', 't:parent', 'no_assoc');
	PERFORM chatroom.add_rule('r.t', 'parent', 'assoc');
	PERFORM chatroom.add_rule('r.t', 'parent', 'unique');
	RETURN NEXT k.type;
	RETURN NEXT 'insert ' || (chatroom.insert('r.t', jsonb_build_object('key', a, 'name', 'x', 'parent', a)) ? 'ok');
	RETURN NEXT 'again ' || (chatroom.insert('r.t', jsonb_build_object('key', same, 'name', 'y')) #>> '{error,errors,0,message}');
	RETURN NEXT 'excluded ' || (chatroom.insert('r.t', jsonb_build_object('key', b, 'name', 'y')) #>> '{error,errors,0,message}');
	RETURN NEXT 'change ' || (chatroom.changeset('r.t', '{"name": "yy"}', same) ->> 'valid');
	RETURN NEXT 'update ' || (chatroom.update('r.t', same, '{"name": "yy"}') #>> '{ok,name}');
	RETURN NEXT 'upsert ' || (chatroom.insert('r.t', jsonb_build_object('key', same, 'name', 'z'), '{"target": ["key"], "action": "replace", "fields": ["name"]}') #>> '{ok,name}');
	RETURN NEXT 'delete ' || (chatroom.delete('r.t', same) ? 'ok');
	DROP TABLE r.t;
END $$;
SELECT walk(k) FROM kinds k;

SET client_min_messages = warning;
DROP SCHEMA r CASCADE;
DROP SCHEMA types CASCADE;
DROP EXTENSION chatroom;
