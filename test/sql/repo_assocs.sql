-- insert() and update() as Ecto's Repo: associations of each kind, what becomes
-- of rows that are missing, upserts, several schemas side by side
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE SCHEMA a;
SET search_path = a;
\pset format unaligned
\pset tuples_only on
CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL UNIQUE, visits int NOT NULL DEFAULT 0, inserted_at timestamp, updated_at timestamp);
CREATE TABLE profiles (id serial PRIMARY KEY, user_id int UNIQUE REFERENCES users, bio text NOT NULL);
CREATE TABLE posts (id serial PRIMARY KEY, user_id int REFERENCES users, title text NOT NULL);
CREATE TABLE tags (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE posts_tags (post_id int REFERENCES posts ON DELETE CASCADE, tag_id int REFERENCES tags, PRIMARY KEY (post_id, tag_id));
-- an answer's row without times, or its errors wherever they are
CREATE FUNCTION told(answer jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE WHEN answer ? 'ok' THEN (answer -> 'ok') - '{inserted_at,updated_at}'::text[]
		ELSE jsonb_path_query_array(answer, 'strict $.error.** ? (exists (@.message))') END $$;

-- build_assoc: a row of the other side by its key
SELECT told(chatroom.insert('users', '{"name": "ann"}'));
SELECT told(chatroom.insert('posts', '{"title": "built", "user": {"id": 1}}', put => '{user}')) #> '{user,name}';
SELECT told(chatroom.insert('profiles', '{"bio": "built", "user": {"id": 1}}', put => '{user}')) #> '{user,name}';
SELECT user_id FROM posts UNION ALL SELECT user_id FROM profiles;
-- cast_assoc of a new row: belongs_to, has_one, has_many, many_to_many, nested
SELECT told(chatroom.insert('users', '{"name": "bob", "profiles": {"bio": "b"}, "posts": [{"title": "p", "tags": [{"name": "x"}, {"name": "y"}]}]}'));
SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM posts), (SELECT count(*) FROM profiles), (SELECT count(*) FROM tags), (SELECT count(*) FROM posts_tags);
-- nothing of it where one of the rows is refused, however deep
SELECT told(chatroom.insert('users', '{"name": "cid", "posts": [{"title": "q", "tags": [{"name": "z"}, {"name": "x"}]}, {}]}'));
SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM posts), (SELECT count(*) FROM tags);

-- rules are asked of all rows before any is written
SELECT chatroom.add_rule('posts', 'title', 'required');
SELECT chatroom.add_rule('tags', 'name', 'length', '{"max": 3}');
SELECT told(chatroom.insert('users', '{"name": "", "profiles": {"bio": "x"}, "posts": [{"title": "q", "tags": [{"name": "x"}, {"name": "long"}]}, {"title": " "}]}'));
SELECT chatroom.drop_rule('tags', 'tags_name_length');

-- has_one: raise, as made; then each on_replace
CREATE PROCEDURE again(on_replace text) LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM profiles;
	INSERT INTO profiles VALUES (10, 2, 'first');
	PERFORM chatroom.add_assoc('users', 'profiles', jsonb_build_object('on_replace', on_replace));
END
$$;
CALL again('raise');
SELECT told(chatroom.update('users', '2', '{"profiles": {"bio": "second"}}'));
SELECT told(chatroom.update('users', '2', '{"profiles": null}'));
SELECT told(chatroom.update('users', '2', '{"profiles": {"id": 10, "bio": "changed"}}'));
CALL again('mark_as_invalid');
SELECT told(chatroom.update('users', '2', '{"profiles": {"bio": "second"}}'));
SELECT told(chatroom.update('users', '2', '{"profiles": null}'));
CALL again('update');
SELECT told(chatroom.update('users', '2', '{"profiles": {"bio": "second"}}'));
SELECT told(chatroom.update('users', '2', '{"profiles": {"bio": ""}}'));
TABLE profiles;
CALL again('nilify');
SELECT told(chatroom.update('users', '2', '{"profiles": {"bio": "second"}}')) #- '{profiles,id}';
SELECT user_id, bio FROM profiles ORDER BY bio;
CALL again('nilify');
SELECT told(chatroom.update('users', '2', '{"profiles": null}'));
TABLE profiles;
CALL again('delete');
SELECT told(chatroom.update('users', '2', '{"profiles": {"bio": "second"}}')) #- '{profiles,id}';
SELECT user_id, bio FROM profiles;
SELECT told(chatroom.update('users', '2', '{"profiles": null}'));
SELECT count(*) FROM profiles;
CALL again('delete_if_exists');
SELECT told(chatroom.update('users', '2', '{"profiles": null}'));
SELECT count(*) FROM profiles;

-- an embed likewise; objects of a list are known by their "id"
CREATE TABLE carts (id int PRIMARY KEY, item jsonb, items jsonb);
INSERT INTO carts VALUES (1, '{"id": 1, "n": 1}', '[{"id": 1, "n": 1}, {"id": 2, "n": 2}]');
CREATE FUNCTION replaced(on_replace text, attrs jsonb) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM chatroom.drop_rule('carts', name) FROM chatroom.rules WHERE relation = 'a.carts';
	PERFORM chatroom.add_rule('carts', 'item', 'embed', jsonb_build_object('on_replace', on_replace));
	PERFORM chatroom.add_rule('carts', 'items', 'embed', jsonb_build_object('many', true, 'on_replace', replace(on_replace, 'update', 'raise')));
	BEGIN
		RETURN NEXT told(chatroom.update('carts', '1', attrs));
		RAISE EXCEPTION 'undo';
	EXCEPTION WHEN OTHERS THEN
		IF SQLERRM <> 'undo' THEN
			RETURN NEXT SQLSTATE || ' ' || SQLERRM;
		END IF;
	END;
END
$$;
SELECT on_replace, attrs, replaced(on_replace, attrs)
FROM unnest('{raise,mark_as_invalid,update,delete}'::text[]) WITH ORDINALITY o (on_replace, i),
	unnest(ARRAY['{"item": {"n": 2}}', '{"item": null}', '{"item": {"id": 1, "n": 3}}', '{"items": [{"id": 1, "n": 3}, {"id": 2}, {"n": 4}]}', '{"items": [{"id": 2}]}']::jsonb[]) WITH ORDINALITY a (attrs, j)
ORDER BY i, j;

-- inserted_at and updated_at: where they are columns, and somebody else didn't say
SELECT chatroom.update('users', '2', '{"visits": 1}') #> '{ok,visits}';
SELECT updated_at > inserted_at FROM users WHERE id = 2;
SELECT updated_at AS before FROM users WHERE id = 2 \gset
SELECT chatroom.update('users', '2', '{"visits": 1, "name": "bob"}') ? 'ok';
SELECT updated_at = :'before' AS nothing_changed FROM users WHERE id = 2;
SELECT chatroom.update('users', '2', '{"visits": 2, "updated_at": "2001-02-03T04:05:06"}') #> '{ok,updated_at}';
SELECT chatroom.multi('[{"name": "all", "op": "insert_all", "relation": "users", "attrs": [{"name": "s"}, {"name": "t"}]}]') #> '{ok,all}';
SELECT count(inserted_at), count(updated_at) FROM users WHERE name IN ('s', 't');

-- many_to_many: rows are put by their key; a row that is missing is taken out of
-- the join table, the tag stays
SELECT told(chatroom.update('posts', '2', '{"tags": [{"id": 1}, {"id": 2}]}', put => '{tags}'));
SELECT told(chatroom.update('posts', '2', '{"tags": [{"id": 1}]}'));
SELECT chatroom.add_assoc('posts', 'tags', '{"on_replace": "delete"}');
SELECT told(chatroom.update('posts', '2', '{"tags": [{"id": 1}, {"name": "new"}]}')) #> '{tags,1,name}';
SELECT tag_id = 1 AS first FROM posts_tags WHERE post_id = 2 ORDER BY tag_id;
SELECT name FROM tags ORDER BY id;
-- a tag is changed through the post; one that isn't there is no tag
SELECT told(chatroom.update('posts', '2', '{"tags": [{"id": 1, "name": "renamed"}]}')) -> 'tags';
SELECT told(chatroom.update('posts', '2', '{"tags": [{"id": 1}, {"id": 999}]}', put => '{tags}'));
SELECT told(chatroom.insert('posts', '{"title": "r", "tags": [{"id": 999}]}', put => '{tags}'));
SELECT count(*) FROM posts;

-- the same one twice; what the join table refuses is told of the association
SELECT told(chatroom.insert('posts', '{"title": "r", "tags": [{"id": 1}, {"id": 1}]}', put => '{tags}'));
SELECT told(chatroom.insert('posts', '{"title": "r", "tags": [{"name": "twin"}, {"name": "twin"}]}'));
-- a row that can't be removed is told once, however deep
CREATE TABLE likes (id serial PRIMARY KEY, post_id int REFERENCES posts);
INSERT INTO likes SELECT 1, id FROM posts WHERE user_id = 2;
SELECT chatroom.add_assoc('users', 'posts', '{"on_replace": "delete"}');
SELECT told(chatroom.update('profiles', (SELECT to_jsonb(id) FROM chatroom.insert('profiles', '{"bio": "x", "user_id": 2}') i, LATERAL (SELECT (i #>> '{ok,id}')::int) x (id)), '{"user": {"id": 2, "posts": []}}'));
DROP TABLE likes;
SELECT chatroom.add_assoc('users', 'posts', NULL);

-- upserts: the key and inserted_at stay what they were, updated_at moves on
INSERT INTO users (id, name, visits, inserted_at, updated_at) VALUES (100, 'old', 5, '2000-01-01', '2000-01-01');
CREATE FUNCTION upserted(on_conflict jsonb, attrs jsonb = '{"name": "old", "visits": 1}') RETURNS jsonb LANGUAGE sql AS
	$$ SELECT told(chatroom.insert('users', attrs, on_conflict)) $$;
SELECT upserted('{"target": ["name"], "action": "replace_all"}');
SELECT id, name, visits, inserted_at, updated_at > '2020-01-01' FROM users WHERE name = 'old';
SELECT upserted('{"target": ["name"], "action": "replace_all_except", "fields": ["visits", "updated_at"]}', '{"name": "old", "visits": 9}') -> 'visits';
SELECT upserted('{"target": ["name"], "action": "replace", "fields": ["visits"]}', '{"name": "old", "visits": 9}') -> 'visits';
SELECT upserted('{"target": ["name"], "action": "set", "set": {"visits": 20}}') -> 'visits';
SELECT upserted('{"target": ["name"], "action": "inc", "inc": {"visits": -3}}') -> 'visits';
SELECT upserted('{"target": ["name"], "action": "set", "set": {"name": "older"}, "inc": {"visits": 0.5}}');
SELECT upserted('{"target": ["name"], "action": "set", "set": {"name": "older"}, "inc": {"visits": 1}}');
SELECT upserted('{"action": "nothing"}', '{"name": "older"}');
SELECT upserted('{"target": ["name"], "action": "nothing"}', '{"name": "older"}') -> 'id';
SELECT upserted('{"target": ["visits"], "action": "nothing"}', '{"name": "older"}');
SELECT upserted('{"action": "raise"}', '{"name": "older"}');
SELECT id, name, visits, inserted_at FROM users WHERE id >= 100;
-- rules hold for what an upsert would write
SELECT chatroom.add_rule('users', 'visits', 'number', '{"less_than": 30}');
SELECT upserted('{"target": ["name"], "action": "set", "set": {"visits": 30}}', '{"name": "older"}');
SELECT upserted('{"target": ["name"], "action": "inc", "inc": {"visits": 10}}', '{"name": "older"}');

-- a row that is there already is no error of an upsert, what else is wrong with it is
SELECT upserted('{"target": ["name"], "action": "replace_all"}', '{"name": "older", "visits": 40}');
SELECT upserted('{"target": ["name"], "action": "replace_all"}', '{"name": "older", "visits": null}');

-- the same names in two schemas: each keeps to its own
CREATE SCHEMA b;
CREATE TABLE b.users (LIKE a.users INCLUDING ALL);
CREATE TABLE b.posts (id serial PRIMARY KEY, user_id int REFERENCES b.users, title text NOT NULL);
SELECT chatroom.add_rule('b.posts', 'title', 'length', '{"min": 5}');
SELECT told(chatroom.insert('b.users', '{"id": 1, "name": "of b", "posts": [{"title": "of b, too"}]}'));
SELECT told(chatroom.insert('b.posts', '{"title": "b"}'));
SELECT told(chatroom.insert('a.posts', '{"title": "a", "user": {"id": 1}}', put => '{user}')) #> '{user,name}';
SELECT told(chatroom.insert('b.posts', '{"title": "for nobody", "user_id": 2}'));
SELECT chatroom.preload('{"id": 1}', 'b.users', '{posts}') #> '{posts,0,title}', chatroom.preload('{"id": 1}', 'a.users', '{posts}') #> '{posts,0,title}';
SELECT chatroom.multi('[{"name": "a", "op": "insert", "relation": "a.posts", "attrs": {"title": "m"}},
	{"name": "b", "op": "insert", "relation": "b.posts", "attrs": {"title": "m"}}]') #> '{error,failed}';
SELECT (SELECT count(*) FROM a.posts WHERE title = 'm'), (SELECT count(*) FROM b.posts WHERE title = 'm');

-- preload: one query an association, however many rows; policies are asked once
CREATE ROLE regress_assocs;
GRANT USAGE ON SCHEMA a TO regress_assocs;
CREATE SEQUENCE queries;
GRANT SELECT ON users, posts, tags, posts_tags TO regress_assocs;
GRANT USAGE ON queries TO regress_assocs;
ALTER TABLE posts ENABLE ROW LEVEL SECURITY;
ALTER TABLE tags ENABLE ROW LEVEL SECURITY;
CREATE POLICY counted ON posts USING ((SELECT nextval('a.queries')) > 0);
CREATE POLICY counted ON tags USING ((SELECT nextval('a.queries')) > 0);
INSERT INTO users (id, name) SELECT i, 'user ' || i FROM generate_series(1000, 1099) i;
INSERT INTO posts (user_id, title) SELECT 1000 + i % 100, 'post ' || i FROM generate_series(1, 1000) i;
INSERT INTO posts_tags SELECT id, 1 FROM posts WHERE user_id >= 1000;
SELECT jsonb_agg(jsonb_build_object('id', id)) AS users FROM users WHERE id >= 1000 \gset
SET ROLE regress_assocs;
SELECT count(*) FROM jsonb_path_query(chatroom.preload(:'users', 'users', '{posts}'), '$[*].posts[*]');
SELECT nextval('queries') - 1 AS queries;
SELECT count(*) FROM jsonb_path_query(chatroom.preload(:'users', 'users', '{posts.tags,posts}'), '$[*].posts[*].tags[*]');
SELECT nextval('queries') - 3 AS queries;
RESET ROLE;

DROP SCHEMA a, b CASCADE;
DROP ROLE regress_assocs;
DROP EXTENSION chatroom;
