-- insert(), update(), delete(): a row that a trigger suppresses or rewrites is
-- told as it is, never as if it were there
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE SCHEMA r;
SET search_path = r;
CREATE TABLE posts (id bigserial PRIMARY KEY, title text UNIQUE, author_id bigint);
CREATE TABLE comments (id bigserial PRIMARY KEY, post_id bigint REFERENCES posts, body text);
CREATE TABLE tags (name text PRIMARY KEY);
CREATE TABLE posts_tags (post_id bigint REFERENCES posts,
	tag_name text REFERENCES tags, note text, PRIMARY KEY (post_id, tag_name));
CREATE FUNCTION no_spam() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF to_jsonb(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END)::text LIKE '%spam%' THEN
		RETURN NULL;
	END IF;
	RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE FUNCTION guard(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TRIGGER no_spam BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION r.no_spam()', relation);
END $$;
SELECT guard(t) FROM unnest('{posts,comments,tags,posts_tags}'::regclass[]) t;
-- errors of a changeset and of those of its associations
CREATE FUNCTION told(answer jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN answer ? 'ok' THEN 'ok ' || (answer -> 'ok')::text ELSE
		(SELECT string_agg(e::text, ' ') FROM jsonb_path_query(answer, 'strict $.**.errors[*]') e) END $$;

SELECT told(chatroom.insert('posts', '{"id": 100, "title": "spam"}'));
SELECT told(chatroom.insert('posts', '{"title": "spam", "comments": [{"body": "orphan"}]}'));
SELECT told(chatroom.insert('posts', '{"title": "fine", "comments": [{"body": "spam"}]}'));
SELECT told(chatroom.insert('comments', '{"body": "of spam", "post": {"title": "spam"}}'));
SELECT told(chatroom.insert('posts', '{"title": "fine", "tags": [{"name": "spam"}]}'));
SELECT told(chatroom.insert('posts', '{"title": "spam"}', '{"target": ["title"], "action": "replace_all"}'));
SELECT told(chatroom.insert('posts', '{"title": "spam"}', '{"action": "nothing"}'));
SELECT count(*) FROM posts; SELECT count(*) FROM comments; SELECT count(*) FROM tags;

-- a row of a join table
INSERT INTO tags VALUES ('red'), ('blue');
CREATE FUNCTION no_blue() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN RETURN CASE WHEN NEW.tag_name = 'blue' THEN NULL ELSE NEW END; END $$;
CREATE TRIGGER no_blue BEFORE INSERT ON posts_tags FOR EACH ROW EXECUTE FUNCTION no_blue();
SELECT told(chatroom.insert('posts', '{"title": "with tags", "tags": [{"name": "green"}, {"name": "blue"}]}', put => '{tags}'));
INSERT INTO posts (id, title) VALUES (50, 'fine');
INSERT INTO posts_tags VALUES (50, 'red', NULL);
ALTER TABLE posts_tags DISABLE TRIGGER no_spam;
UPDATE posts_tags SET note = 'spam';
ALTER TABLE posts_tags ENABLE TRIGGER no_spam;
SELECT chatroom.add_assoc('posts', 'tags', '{"on_replace": "delete"}');
SELECT told(chatroom.update('posts', '50', '{"tags": []}'));
SELECT * FROM posts_tags;

-- update, delete
SELECT told(chatroom.update('posts', '50', '{"title": "spam"}'));
INSERT INTO comments VALUES (60, 50, 'x');
ALTER TABLE comments DISABLE TRIGGER no_spam;
UPDATE comments SET body = 'spam';
ALTER TABLE comments ENABLE TRIGGER no_spam;
SELECT told(chatroom.delete('comments', '60'));
SELECT chatroom.add_assoc('posts', 'comments', '{"on_replace": "delete"}');
SELECT told(chatroom.update('posts', '50', '{"title": "new", "comments": []}'));
SELECT title FROM posts;

-- do nothing is no error where there is such a row, seen or not; nothing of what
-- is given with it is written
SELECT told(chatroom.insert('posts', '{"title": "fine", "comments": [{"body": "x"}]}', '{"action": "nothing"}'));
SELECT told(chatroom.insert('posts', '{"title": "fine", "tags": [{"name": "unused"}]}', '{"target": ["title"], "action": "nothing"}'));
CREATE TABLE plain (id bigserial PRIMARY KEY, name text UNIQUE);
CREATE TABLE parts (id bigserial PRIMARY KEY, plain_id bigint REFERENCES plain);
INSERT INTO plain (name) VALUES ('a');
SELECT told(chatroom.insert('plain', '{"name": "a", "parts": [{}]}', '{"action": "nothing"}'));
SELECT count(*) FROM parts;
SELECT count(*) FROM comments WHERE body = 'x'; SELECT * FROM tags ORDER BY name;
CREATE ROLE regress_suppressed;
GRANT USAGE ON SCHEMA r TO regress_suppressed;
GRANT SELECT, INSERT ON posts TO regress_suppressed;
GRANT USAGE ON SEQUENCE posts_id_seq TO regress_suppressed;
ALTER TABLE posts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON posts TO regress_suppressed USING (title LIKE 'o%');
SET ROLE regress_suppressed;
SELECT told(chatroom.insert('posts', '{"title": "ours"}', '{"action": "nothing"}')) LIKE 'ok {"id": %';
SELECT told(chatroom.insert('posts', '{"title": "ours"}', '{"action": "nothing"}'));
RESET ROLE;

-- a partition's trigger counts as its parent's
CREATE TABLE parted (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted DEFAULT;
SELECT guard('parted_1');
SELECT told(chatroom.insert('parted', '{"id": 1, "note": "spam"}'));
SELECT told(chatroom.insert('parted', '{"id": 1, "note": "spam"}', '{"action": "nothing"}'));
SELECT told(chatroom.insert('parted', '{"id": 1, "note": "fine"}', '{"action": "nothing"}'));
SELECT told(chatroom.insert('parted', '{"id": 1, "note": "fine"}', '{"action": "nothing"}'));
-- nor has a table a key
CREATE TABLE keyless (note text);
SELECT guard('keyless');
SELECT told(chatroom.insert('keyless', '{"note": "spam"}'));

-- multi fails where a row does, and counts what is there
SELECT chatroom.multi('[{"name": "x", "op": "insert_all", "relation": "comments", "attrs": [{"body": "good"}, {"body": "spam"}]}]') #> '{error,value,errors}';
SELECT chatroom.multi('[{"name": "x", "op": "insert_all", "relation": "plain", "attrs": [{"name": "a"}, {"name": "b"}], "on_conflict": {"action": "nothing"}}]');
SELECT chatroom.multi('[{"name": "p", "op": "insert", "relation": "posts", "attrs": {"title": "spam"}}, {"name": "c", "op": "insert", "relation": "comments", "attrs": {"body": "two"}}]') #> '{error,failed}';
SELECT count(*) FROM comments WHERE body IN ('good', 'two');

-- a key that a trigger rewrites is the one that is told, and that children get
CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN NEW.id := NEW.id + 1000; RETURN NEW; END $$;
CREATE TRIGGER move BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION move();
SELECT told(chatroom.insert('posts', '{"id": 1, "title": "moved", "comments": [{"id": 70, "body": "hers"}]}'));
SELECT post_id FROM comments WHERE id = 70;

-- who may not select the key isn't told it, so rows can't be associated by it
GRANT INSERT ON plain, parts TO regress_suppressed;
GRANT SELECT (name) ON plain TO regress_suppressed;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA r TO regress_suppressed;
SET ROLE regress_suppressed;
SELECT told(chatroom.insert('plain', '{"name": "c"}'));
SELECT told(chatroom.insert('plain', '{"name": "d", "parts": [{}]}'));
RESET ROLE;
SELECT count(*) FROM parts;
-- neither can they by what is null
CREATE TABLE codes (id bigserial PRIMARY KEY, code text UNIQUE);
CREATE TABLE uses (id bigserial PRIMARY KEY, code text REFERENCES codes (code));
SELECT told(chatroom.insert('codes', '{"uses": [{}]}'));
SELECT count(*) FROM uses;

DROP SCHEMA r CASCADE;
DROP ROLE regress_suppressed;
DROP EXTENSION chatroom;
