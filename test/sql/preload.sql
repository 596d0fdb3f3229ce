-- preload(), assoc(), add_assoc(), the view assocs
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE SCHEMA p;
SET search_path = p;
CREATE TABLE users (id bigint PRIMARY KEY, name text);
CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users, bio text);
CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint REFERENCES users,
	editor_id bigint REFERENCES users, title text);
CREATE TABLE comments (id bigint PRIMARY KEY, post_id int, user_id bigint REFERENCES users,
	text text, visible boolean DEFAULT true, at timestamptz DEFAULT '2024-01-01 00:00Z');
ALTER TABLE comments ADD CONSTRAINT comments_post_id_fkey FOREIGN KEY (post_id) REFERENCES posts;
CREATE TABLE tags (id int PRIMARY KEY, name text);
CREATE TABLE posts_tags (post_id bigint REFERENCES posts, tag_id int REFERENCES tags, PRIMARY KEY (post_id, tag_id));
CREATE TABLE orders (tenant int, id int, PRIMARY KEY (tenant, id));
CREATE TABLE items (id int PRIMARY KEY, tenant int, order_id int, FOREIGN KEY (tenant, order_id) REFERENCES orders);
INSERT INTO users VALUES (1, 'ann'), (2, 'bob');
INSERT INTO profiles VALUES (1, 'likes tea');
INSERT INTO posts VALUES (1, 1, 2, 'first'), (2, 2, NULL, 'second'), (3, NULL, NULL, 'third');
INSERT INTO comments VALUES (1, 1, 1, 'a', true), (2, 1, 2, 'b', false), (3, 2, 1, 'c', true);
INSERT INTO tags VALUES (1, 'x'), (2, 'y');
INSERT INTO posts_tags VALUES (1, 1), (1, 2), (2, 2);
INSERT INTO orders VALUES (1, 1), (1, 2), (2, 1);
INSERT INTO items VALUES (1, 1, 1), (2, 1, 1), (3, 2, 1);

-- every kind, nested; the same as by hand
SELECT jsonb_pretty(chatroom.preload('{"id": 1, "user_id": 1}', 'posts', '{comments.user.profiles,tags}'));
SELECT chatroom.preload((SELECT jsonb_agg(to_jsonb(p) ORDER BY id) FROM posts p), 'posts', '{comments}') =
	(SELECT jsonb_agg(to_jsonb(p) || jsonb_build_object('comments',
		coalesce((SELECT jsonb_agg(to_jsonb(c) || '{"at": "2024-01-01T00:00:00+00:00"}' ORDER BY id) FROM comments c WHERE post_id = p.id), '[]')) ORDER BY id)
	FROM posts p) AS same;
SELECT chatroom.preload('[{"tenant": 1, "id": 1}, {"tenant": 2, "id": 1}, {"tenant": 1, "id": 2}]', 'orders', '{items}');
SELECT chatroom.preload('[{"user_id": null}, {"user_id": 2}, {"user_id": 77}]', 'comments', '{user}');
SELECT chatroom.preload('[]', 'posts', '{comments}'), chatroom.preload('null', 'posts', '{comments}'), chatroom.preload(NULL, 'posts', '{comments}');
SELECT chatroom.preload('{"id": 1}', 'posts', '{}');
-- what is there already stays, and paths go on from it
SELECT chatroom.preload('{"id": 1, "comments": [{"id": 9, "user_id": 2}]}', 'posts', '{comments.user}');
-- more than a jsonb's stride of elements
INSERT INTO comments (id, post_id, text) SELECT g, 3, 'n' || g FROM generate_series(100, 299) g;
SELECT jsonb_array_length(v -> 'comments'), v #>> '{comments,150,text}', v = (v::text)::jsonb
	FROM chatroom.preload('{"id": 3}', 'posts', '{comments}') v;
DELETE FROM comments WHERE id >= 100;
SELECT chatroom.assoc('{"id": 1}', 'posts', 'comments');
SELECT chatroom.assoc('[{"id": 1}, {"id": 2}]', 'posts', 'tags');
SELECT chatroom.assoc('{"user_id": 1}', 'comments', 'user'), chatroom.assoc('{"user_id": null}', 'comments', 'user');

-- two foreign keys to one table: a name that tells them apart
SELECT chatroom.preload('{"id": 1}', 'users', '{posts}');
SELECT chatroom.add_assoc('users', 'edited', '{"relation": "posts", "foreign_key": "editor_id"}');
SELECT chatroom.add_assoc('users', 'written', '{"relation": "posts", "foreign_key": ["user_id"]}');
SELECT chatroom.preload('[{"id": 1}, {"id": 2}]', 'users', '{edited,written}');
-- where and order
SELECT chatroom.add_assoc('posts', 'comments', '{"where": {"visible": true}}');
SELECT chatroom.add_assoc('posts', 'latest', '{"relation": "comments", "foreign_key": "post_id", "order": [{"desc": "id"}]}');
SELECT jsonb_path_query_array(chatroom.preload('{"id": 1}', 'posts', '{comments,latest}'), '$.*[*].id');
-- through others, each once
SELECT chatroom.add_assoc('posts', 'commenters', '{"through": ["latest", "user"]}');
SELECT chatroom.add_assoc('users', 'received', '{"through": ["written", "comments"]}');
SELECT chatroom.preload('[{"id": 1}, {"id": 2}]', 'posts', '{commenters.profiles}');
SELECT jsonb_path_query_array(chatroom.preload('[{"id": 1}, {"id": 2}]', 'users', '{received}'), '$[*].received[*].id');
SELECT chatroom.insert('posts', '{"id": 9, "commenters": []}');
SELECT relation, name, kind, related, foreign_key, through, join_through, condition, sort_order, on_replace
	FROM chatroom.assocs WHERE added ORDER BY 1, 2;
SELECT relation, name, kind, related, foreign_key, join_through
	FROM chatroom.assocs WHERE NOT added AND relation ~ '^p\.' ORDER BY 1, 2;
-- renames are followed
ALTER TABLE posts RENAME editor_id TO corrector_id;
ALTER TABLE posts RENAME TO articles;
SELECT jsonb_path_query_array(chatroom.preload('{"id": 2}', 'users', '{edited}'), '$.edited[*].id');
ALTER TABLE articles RENAME TO posts;
ALTER SCHEMA p RENAME TO q;
SET search_path = q;
SELECT jsonb_path_query_array(chatroom.preload('{"id": 2}', 'users', '{edited.comments}'), '$.edited[*].comments[*].id');
ALTER SCHEMA q RENAME TO p;
SET search_path = p;
-- it ends
SELECT chatroom.drop_assoc('users', 'edited');
SELECT chatroom.drop_assoc('users', 'edited');
SELECT chatroom.drop_assoc('users', NULL);

-- mistakes
SELECT chatroom.preload('{"id": 1}', 'posts', '{nope}');
SELECT chatroom.preload('{"id": 1}', 'posts', '{"comments; DROP TABLE posts"}');
SELECT chatroom.preload('{"id": 1}', 'comments', '{user_id}');
SELECT chatroom.preload('{"x": 1}', 'posts', '{comments}');
SELECT chatroom.preload('{"id": "x"}', 'posts', '{comments}');
SELECT chatroom.preload('1', 'posts', '{comments}');
SELECT chatroom.preload('[1]', 'posts', '{comments}');
SELECT chatroom.add_assoc('posts', 'title', '{}');
SELECT chatroom.add_assoc('posts', 'x', '{}');
SELECT chatroom.add_assoc('posts', 'x', '{"relation": "users"}');
SELECT chatroom.add_assoc('posts', 'x', '{"relation": "tags"}');
SELECT chatroom.add_assoc('posts', 'x', '{"colour": "red"}');
SELECT chatroom.add_assoc('posts', 'comments', '{"on_replace": "explode"}');
SELECT chatroom.add_assoc('posts', 'comments', '{"on_replace": "update"}');
SELECT chatroom.add_assoc('posts', 'comments', '{"where": {"nope": 1}}');
SELECT chatroom.add_assoc('posts', 'comments', '{"order": ["nope"]}');
SELECT chatroom.add_assoc('posts', 'loop', '{"through": ["loop", "user"]}');
-- with the caller's rights
CREATE ROLE regress_preload;
GRANT USAGE ON SCHEMA p TO regress_preload;
GRANT SELECT ON posts TO regress_preload;
GRANT SELECT (id, post_id, text) ON comments TO regress_preload;
SET ROLE regress_preload;
SELECT chatroom.preload('{"id": 2}', 'posts', '{latest}');
SELECT chatroom.preload('{"id": 2}', 'posts', '{tags}');
SELECT chatroom.add_assoc('posts', 'mine', '{"relation": "comments"}');
RESET ROLE;
ALTER TABLE comments ENABLE ROW LEVEL SECURITY;
CREATE POLICY older ON comments USING (id < 3);
SET ROLE regress_preload;
SELECT chatroom.preload('[{"id": 1}, {"id": 2}]', 'posts', '{latest}');
RESET ROLE;

-- names in paths: an exact one first, else they are folded as identifiers are
CREATE TABLE "Album" (id int PRIMARY KEY);
CREATE TABLE "Track" (id int PRIMARY KEY, album_id int REFERENCES "Album");
CREATE TABLE track (id int PRIMARY KEY, album_id int REFERENCES "Album");
INSERT INTO "Album" VALUES (1);
INSERT INTO "Track" VALUES (2, 1);
INSERT INTO track VALUES (3, 1);
SELECT chatroom.preload('{"id": 1}', '"Album"', '{Track}');
SELECT chatroom.preload('{"id": 1}', '"Album"', ARRAY[' "Track" . Album . TRACK ']);
SELECT chatroom.preload('{"id": 1}', '"Album"', '{track}');
SELECT chatroom.preload('{"id": 1}', '"Album"', '{TRACK}');
SELECT chatroom.preload('{"id": 1}', '"Album"', '{"\"TRACK\""}');
SELECT chatroom.watch_assocs('"Album"', '{Track}');
SELECT chatroom.topics_for('{"id": 1}', '"Album"', '{Track}');

DROP SCHEMA p CASCADE;
DROP ROLE regress_preload;
DROP EXTENSION chatroom;
