-- 100 posts with 10 comments each.
CREATE SCHEMA blog;

CREATE TABLE blog.posts (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	title text NOT NULL,
	body text NOT NULL,
	inserted_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO blog.posts (title, body)
	SELECT 'post no. ' || n, repeat('what somebody had to say, ', 8)
		FROM generate_series(1, 100) AS n;

CREATE TABLE blog.comments (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	post_id bigint NOT NULL REFERENCES blog.posts ON DELETE CASCADE,
	author text NOT NULL,
	text text NOT NULL,
	inserted_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX comments_post_id_index ON blog.comments (post_id);

-- neighbours in the table are of different posts, as they come in
INSERT INTO blog.comments (post_id, author, text)
	SELECT 1 + n % 100, 'crimsun', 'what somebody else says to that, no. ' || n
		FROM generate_series(1, 1000) AS n;
VACUUM ANALYZE blog.posts, blog.comments;
