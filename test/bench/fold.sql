-- 30 posts with 10 comments and 3 tags each, as a client holds them; and what
-- happens to them then. "more" times as many rows are in the tables besides.
CREATE SCHEMA :side;
SET search_path = :side;

CREATE TABLE posts (
	id bigint PRIMARY KEY,
	title text NOT NULL,
	body text NOT NULL,
	inserted_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE comments (
	id bigint PRIMARY KEY,
	post_id bigint NOT NULL REFERENCES posts,
	text text NOT NULL,
	inserted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON comments (post_id);
CREATE TABLE tags (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE posts_tags (
	post_id bigint REFERENCES posts,
	tag_id bigint REFERENCES tags,
	PRIMARY KEY (post_id, tag_id)
);
CREATE TABLE messages (
	id bigint PRIMARY KEY,
	room_id bigint NOT NULL,
	username text NOT NULL,
	text text NOT NULL,
	inserted_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO posts SELECT n, 'post no. ' || n, repeat('what somebody had to say, ', 8)
	FROM generate_series(1, 30 * :more) AS n;
INSERT INTO comments SELECT n, 1 + n % (30 * :more), 'what somebody else says to that, no. ' || n
	FROM generate_series(1, 300 * :more) AS n;
INSERT INTO tags SELECT n, 'tag no. ' || n FROM generate_series(1, 20 * :more) AS n;
INSERT INTO posts_tags SELECT n, 1 + (n * 3 + m * 7) % 20
	FROM generate_series(1, 30 * :more) AS n, generate_series(0, 2) AS m;
INSERT INTO messages SELECT n, 1, 'crimsun', repeat('x', 70) FROM generate_series(1, 30) AS n;
VACUUM ANALYZE posts, comments, tags, posts_tags, messages;
SELECT chatroom.watch_assocs('posts', '{comments,tags}');
SELECT chatroom.watch('posts_tags');
SELECT chatroom.watch('messages', topic_columns => '{room_id}');

-- a value, and an answer with one event for it, neither compressed
CREATE TABLE held (name text PRIMARY KEY, value jsonb, answer jsonb);
ALTER TABLE held ALTER value SET STORAGE EXTERNAL, ALTER answer SET STORAGE EXTERNAL;

SELECT chatroom.preload((SELECT jsonb_agg(to_jsonb(p) ORDER BY id) FROM posts AS p WHERE id <= 30),
	'posts', '{comments,tags}') AS posts,
	(SELECT jsonb_agg(to_jsonb(m) ORDER BY id) FROM messages AS m) AS messages,
	chatroom.snapshot_cursor() AS cursor \gset
SELECT chatroom.topics_for(:'posts', 'posts', '{comments,tags}') AS topics \gset

INSERT INTO messages VALUES (31, 1, 'crimsun', repeat('y', 70));
SELECT chatroom.snapshot_cursor() AS next \gset
INSERT INTO held VALUES ('message', :'messages', chatroom.sync(:'side' || '.messages.room_id:1', :'cursor'));
INSERT INTO comments VALUES (0, 5, 'what somebody else says to that, no. 0');
SELECT chatroom.snapshot_cursor() AS last \gset
INSERT INTO held VALUES ('comment', :'posts', chatroom.sync_many(:'topics', :'next'));
UPDATE tags SET name = 'changed' WHERE id = 4;
SELECT chatroom.snapshot_cursor() AS next \gset
INSERT INTO held VALUES ('tag', :'posts', chatroom.sync_many(:'topics', :'last'));
INSERT INTO posts_tags VALUES (3, 4) ON CONFLICT DO NOTHING;
INSERT INTO posts_tags VALUES (4, 4) ON CONFLICT DO NOTHING;
SELECT chatroom.snapshot_cursor() AS last \gset
INSERT INTO held VALUES ('joined', :'posts', chatroom.sync_many(:'topics', :'next', 1));
