-- fold(), topics_for()
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE SCHEMA f;
SET search_path = f;
CREATE TABLE users (id int PRIMARY KEY, name text);
CREATE TABLE profiles (user_id int PRIMARY KEY REFERENCES users ON DELETE CASCADE, bio text);
CREATE TABLE posts (id bigint PRIMARY KEY, user_id int REFERENCES users, title text);
CREATE TABLE comments (id bigint PRIMARY KEY, post_id bigint REFERENCES posts ON DELETE CASCADE,
	user_id int REFERENCES users, text text, visible boolean NOT NULL DEFAULT true);
CREATE TABLE tags (id int PRIMARY KEY, name text);
CREATE TABLE posts_tags (post_id bigint REFERENCES posts ON DELETE CASCADE,
	tag_id int REFERENCES tags ON DELETE CASCADE, PRIMARY KEY (post_id, tag_id));
SELECT chatroom.watch_assocs('users', '{profiles,posts.comments,posts.tags}');
INSERT INTO users VALUES (1, 'ann'), (2, 'bob');
INSERT INTO posts VALUES (1, 1, 'first'), (2, 2, 'second');
INSERT INTO comments VALUES (1, 1, 2, 'a'), (2, 2, 1, 'b');
INSERT INTO tags VALUES (1, 'x'), (2, 'y');
INSERT INTO posts_tags VALUES (1, 1), (2, 1);

-- What a client holds, from when, and how it came to it.
CREATE TABLE held (name text PRIMARY KEY, value jsonb, cursor text, relation text, preload text[], options jsonb);
CREATE FUNCTION hold(name text, value jsonb, relation text, preload text[] DEFAULT '{}', options jsonb DEFAULT '{}') RETURNS void
	LANGUAGE sql BEGIN ATOMIC
	INSERT INTO held VALUES (name, value, chatroom.snapshot_cursor(), relation, preload, options)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value, cursor = excluded.cursor;
END;
-- The value brought up to date, which is held from now on.
CREATE FUNCTION folded(which text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	h held;
	answer json;
	topics text[];
BEGIN
	PERFORM chatroom.snapshot_cursor();
	SELECT * INTO h FROM held WHERE name = which;
	topics := chatroom.topics_for(h.value, h.relation, h.preload, h.options);
	answer := chatroom.sync_many(topics, h.cursor);
	h.value := chatroom.fold(h.value, answer, h.relation, h.preload, h.options);
	UPDATE held SET value = h.value, cursor = answer->>'cursor' WHERE name = which;
	RETURN h.value;
END $$;

-- The examples of EctoSync's README.
SELECT hold('posts', chatroom.preload('[{"id": 1, "title": "first"}, {"id": 2, "title": "second"}]', 'posts', '{tags}'), 'posts', '{tags}');
-- A changed tag updates every post that has it.
UPDATE tags SET name = 'xx' WHERE id = 1;
SELECT folded('posts');
-- A new posts_tags row adds the tag to its post.
INSERT INTO posts_tags VALUES (1, 2);
SELECT folded('posts');

-- null, an object, a list, a scalar
SELECT chatroom.fold('null', '{"reset": false, "events": [{"type": "insert", "table": "f.users", "key": {"id": 7}, "row": {"id": 7, "name": "eve"}}]}', 'users');
SELECT chatroom.fold(NULL, '{"reset": false, "events": []}', 'users');
SELECT chatroom.fold('7', '{"reset": false, "events": [{"type": "insert", "table": "f.users", "key": {"id": 7}, "row": {"id": 7, "name": "eve"}}]}', 'users');

DROP SCHEMA f CASCADE;
DROP EXTENSION chatroom;
