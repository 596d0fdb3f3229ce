-- multi(): several operations, all or nothing
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE SCHEMA m;
SET search_path = m;
CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE posts (id serial PRIMARY KEY, title text NOT NULL, views int DEFAULT 0,
	user_id int REFERENCES users);
CREATE FUNCTION greet(changes jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_build_object('ok', 'hello ' || (changes #>> '{user,name}')) $$;
CREATE FUNCTION refuse(changes jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT '{"error": "not today"}'::jsonb $$;

SELECT chatroom.allow_call('greet', 'public');
SELECT chatroom.allow_call('m.refuse(jsonb)', 'public');
SELECT jsonb_pretty(chatroom.multi('[
	{"name": "user", "op": "insert", "relation": "users", "attrs": {"name": "ann"}},
	{"name": "post", "op": "insert", "relation": "posts",
	 "attrs": {"title": "first"}, "refs": {"attrs.user_id": "user.id"}},
	{"name": "changed", "op": "update", "relation": "posts", "refs": {"key": "post"}, "attrs": {"title": "1st"}},
	{"name": "up", "op": "insert_or_update", "relation": "users", "key": {"id": 50}, "attrs": {"name": "bob"}},
	{"name": "up2", "op": "insert_or_update", "relation": "users", "key": {"id": 50}, "attrs": {"name": "bo"}},
	{"name": "some", "op": "insert_all", "relation": "posts", "attrs": [{"title": "a"}, {"title": "b"}]},
	{"name": "seen", "op": "update_all", "relation": "posts", "where": {"title": ["a", "b"]}, "attrs": {"views": 3}},
	{"name": "all", "op": "all", "relation": "posts", "where": {"views": {"greater_than": 2}}},
	{"name": "gone", "op": "delete_all", "relation": "posts", "where": {"views": 3}},
	{"name": "one", "op": "one", "relation": "users", "where": {"name": "ann"}},
	{"name": "none", "op": "one", "relation": "users", "where": {"name": {"in": []}}},
	{"name": "exists", "op": "exists", "relation": "posts", "where": {"user_id": null}},
	{"name": "value", "op": "put", "refs": {"value.who": "user.name"}},
	{"name": "called", "op": "call", "function": "greet"},
	{"name": "more", "op": "merge", "value": [{"name": "merged", "op": "put", "refs": {"value": "value.who"}}]},
	{"name": "deleted", "op": "delete", "relation": "posts", "refs": {"key": "post"}}
	]'));
SELECT * FROM users; SELECT * FROM posts;

-- the first that fails ends it, and nothing stays; nor an event
SELECT chatroom.watch('users');
BEGIN;
SELECT chatroom.multi('[
	{"name": "new", "op": "insert", "relation": "users", "attrs": {"name": "cid"}},
	{"name": "again", "op": "insert", "relation": "users", "attrs": {"name": "ann"}},
	{"name": "never", "op": "put", "value": 1}]') #- '{error,changes}';
SELECT json_array_length(chatroom.pending('m.users') -> 'events');
SELECT name FROM users;
SELECT chatroom.multi('[{"name": "new", "op": "insert", "relation": "users", "attrs": {"name": "cid"}}]') #> '{ok,new,name}';
SELECT json_array_length(chatroom.pending('m.users') -> 'events');
ROLLBACK;
SELECT chatroom.multi('[{"name": "v", "op": "put", "value": 1}, {"name": "e", "op": "error", "refs": {"value.why": "v"}}]');
SELECT chatroom.multi('[{"name": "v", "op": "put", "value": 1}, {"name": "c", "op": "call", "function": "m.refuse(jsonb)"}]');
SELECT chatroom.multi('[{"name": "m", "op": "merge", "value": [{"name": "e", "op": "error", "value": 2}]}]');
SELECT chatroom.multi('[]');

-- mistakes are raised, and leave the session as it was
\set VERBOSITY default
SELECT chatroom.multi('{}');
SELECT chatroom.multi('[{"op": "put"}]');
SELECT chatroom.multi('[{"name": "a", "op": "select"}]');
SELECT chatroom.multi('[{"name": "a", "op": "put"}, {"name": "a", "op": "put"}]');
SELECT chatroom.multi('[{"name": "a", "op": "put", "attr": 1}]');
SELECT chatroom.multi('[{"name": "a", "op": "put", "refs": {"value": "b.c"}}]');
SELECT chatroom.multi('[{"name": "b", "op": "put", "value": {}}, {"name": "a", "op": "put", "refs": {"value": "b.c"}}]');
SELECT chatroom.multi('[{"name": "a", "op": "insert", "attrs": {}}]');
SELECT chatroom.multi('[{"name": "a", "op": "all", "relation": "users", "where": {"name; --": 1}}]');
SELECT chatroom.multi('[{"name": "a", "op": "all", "relation": "users", "where": {"id": {"like": 1}}}]');
SELECT chatroom.multi('[{"name": "a", "op": "one", "relation": "users"}]');
SELECT chatroom.multi('[{"name": "a", "op": "call", "function": "pg_backend_pid()"}]');
SELECT chatroom.multi('[{"name": "a", "op": "call", "function": "nothing; --"}]');
\set VERBOSITY default
SELECT name FROM users;
-- with the caller's rights
CREATE ROLE regress_multi;
GRANT USAGE ON SCHEMA m TO regress_multi;
REVOKE EXECUTE ON FUNCTION greet FROM PUBLIC;
SET ROLE regress_multi;
SELECT chatroom.multi('[{"name": "a", "op": "call", "function": "greet"}]');
SELECT chatroom.multi('[{"name": "a", "op": "all", "relation": "users"}]');
RESET ROLE;
DROP SCHEMA m CASCADE;
DROP ROLE regress_multi;
DROP EXTENSION chatroom;
