-- insert(), update(), delete(): rows, errors, upserts, nested attributes
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE SCHEMA r;
SET search_path = r;
CREATE TABLE users (id bigserial PRIMARY KEY, name text NOT NULL UNIQUE,
	age int CONSTRAINT grown_up CHECK (age > 17), visits int NOT NULL DEFAULT 0,
	profile jsonb, links jsonb, inserted_at timestamp(0), updated_at timestamptz);
CREATE TABLE posts (id bigserial PRIMARY KEY, title text NOT NULL,
	user_id bigint REFERENCES users, lock_version int DEFAULT 1);
CREATE TABLE comments (id bigserial PRIMARY KEY,
	post_id int NOT NULL REFERENCES posts, text text NOT NULL);
CREATE TABLE tags (name text PRIMARY KEY);
CREATE TABLE posts_tags (post_id bigint REFERENCES posts,
	tag_name text REFERENCES tags, PRIMARY KEY (post_id, tag_name));
CREATE TABLE seats (room int, during int4range,
	EXCLUDE USING gist (during WITH &&));
-- an answer without times
CREATE FUNCTION short(answer jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE WHEN answer ? 'ok'
		THEN (answer -> 'ok') - '{inserted_at,updated_at,profile,links}'::text[]
		ELSE jsonb_build_object('action', answer #> '{error,action}',
			'errors', answer #> '{error,errors}') END $$;

SELECT clock_timestamp() AS before \gset
SELECT short(chatroom.insert('users', '{"name": "ann", "age": 20, "nope": 1}'));
-- times are kept
SELECT inserted_at = date_trunc('second', inserted_at) AS seconds,
	inserted_at BETWEEN (:'before'::timestamptz AT TIME ZONE 'UTC') - interval '1 s' AND (now() AT TIME ZONE 'UTC') + interval '1 s' AS utc,
	updated_at BETWEEN :'before' AND now() AS now FROM users;
SELECT short(chatroom.insert('users', '{"name": "bob", "inserted_at": "2000-01-01T00:00:00"}'));
SELECT inserted_at FROM users WHERE name = 'bob';

-- constraints come back as errors, several together
SELECT short(chatroom.insert('users', '{"name": "ann", "age": 3}'));
SELECT short(chatroom.insert('users', '{}'));
SELECT short(chatroom.insert('posts', '{"title": "x", "user_id": 99}'));
SELECT short(chatroom.insert('seats', '{"room": 1, "during": "[1,3)"}'));
SELECT short(chatroom.insert('seats', '{"room": 2, "during": "[2,4)"}'));
-- also those that only the statement finds out
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN NEW.name := upper(NEW.name); RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION shout();
SELECT short(chatroom.insert('users', '{"name": "cid"}'));
SELECT short(chatroom.insert('users', '{"name": "Cid"}'));
DROP TRIGGER shout ON users;
-- bugs are raised
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN RAISE EXCEPTION 'a bug'; END $$;
CREATE TRIGGER fail BEFORE INSERT ON seats FOR EACH ROW EXECUTE FUNCTION fail();
SELECT chatroom.insert('seats', '{"room": 3}');

-- update: only what changes; nothing changes, nothing happens
SELECT short(chatroom.update('users', '1', '{"age": 21}'));
SELECT xmin AS before FROM users WHERE id = 1 \gset
SELECT short(chatroom.update('users', '{"id": 1}', '{"age": 21, "name": "ann"}'));
SELECT xmin = :'before' AS untouched FROM users WHERE id = 1;
SELECT short(chatroom.update('users', '1', '{"age": 1}'));
SELECT short(chatroom.update('users', '99', '{"age": 1}'));
-- optimistic lock
SELECT short(chatroom.insert('posts', '{"title": "first", "user_id": 1}'));
SELECT chatroom.add_rule('posts', 'lock_version', 'optimistic_lock');
SELECT short(chatroom.update('posts', '2', '{"title": "second", "lock_version": 1}'));
SELECT short(chatroom.update('posts', '2', '{"title": "third", "lock_version": 1}'));
-- delete
SELECT short(chatroom.delete('users', '1'));
SELECT short(chatroom.delete('users', '99'));
SELECT short(chatroom.delete('users', '2'));

-- upserts
SELECT short(chatroom.insert('users', '{"name": "ann"}', '{"action": "nothing"}'));
SELECT short(chatroom.insert('users', '{"name": "ann", "age": 30}', '{"target": ["name"], "action": "replace_all"}'));
SELECT short(chatroom.insert('users', '{"name": "ann", "age": 31, "visits": 7}', '{"target": ["name"], "action": "replace_all_except", "fields": ["age"]}'));
SELECT short(chatroom.insert('users', '{"name": "ann", "age": 32, "visits": 8}', '{"target": ["name"], "action": "replace", "fields": ["age"]}'));
SELECT short(chatroom.insert('users', '{"name": "ann", "age": 33}', '{"target": {"constraint": "users_name_key"}, "action": "set", "set": {"age": 40}}'));
SELECT short(chatroom.insert('users', '{"name": "ann"}', '{"target": ["name"], "action": "inc", "inc": {"visits": 3}}'));
SELECT short(chatroom.insert('users', '{"name": "ann"}', '{"target": ["name"], "action": "raise"}'));
SELECT short(chatroom.insert('tags', '{"name": "a"}', '{"target": ["name"], "action": "replace_all"}'));
SELECT short(chatroom.insert('tags', '{"name": "a"}', '{"target": ["name"], "action": "replace_all"}'));
SELECT chatroom.insert('users', '{"name": "ann"}', '{"action": "replace_all"}');
SELECT chatroom.insert('users', '{"name": "ann"}', '{"action": "upsert"}');
SELECT chatroom.insert('users', '{"name": "ann"}', '{"target": {}, "action": "nothing"}');
SELECT chatroom.insert('users', '{"name": "ann"}', '{"target": ["name = 1"], "action": "nothing"}');

-- nested: children, parents, and rows joined, new or by key
SELECT short(chatroom.insert('posts', '{"title": "nested", "user": {"name": "dan"}, "comments": [{"text": "one"}, {"text": "two"}], "tags": [{"name": "a"}, {"name": "b"}]}', put => '{tags}')) - 'user';
SELECT post_id, text FROM comments; SELECT * FROM posts_tags;
-- errors stand where the rows do; nothing is written
SELECT jsonb_pretty(chatroom.insert('posts', '{"title": "bad", "comments": [{"text": "fine"}, {}]}') #> '{error,changes}');
SELECT count(*) FROM posts;
SELECT chatroom.insert('posts', '{"title": "bad", "comments": "x"}') #> '{error,errors}';
SELECT chatroom.insert('posts', '{"title": "bad", "user": {"name": "ann"}}') #> '{error,changes,user,errors}';
SELECT chatroom.insert('posts', '{"title": "bad", "user": {"id": 999}}', put => '{user}') #> '{error,changes,user,errors}';
-- on_replace
SELECT chatroom.update('posts', '3', '{"comments": [{"id": 1, "text": "uno"}]}');
SELECT chatroom.add_assoc('posts', 'comments', '{"on_replace": "mark_as_invalid"}');
SELECT short(chatroom.update('posts', '3', '{"comments": [{"id": 1, "text": "uno"}]}'));
SELECT chatroom.add_assoc('posts', 'comments', '{"on_replace": "delete"}');
SELECT short(chatroom.update('posts', '3', '{"comments": [{"text": "three"}, {"id": 1, "text": "uno"}]}'));
SELECT post_id, text FROM comments ORDER BY id;
SELECT chatroom.add_assoc('posts', 'comments', '{"on_replace": "nilify"}');
SELECT short(chatroom.update('posts', '3', '{"comments": []}'));
ALTER TABLE comments ALTER post_id DROP NOT NULL;
SELECT short(chatroom.update('posts', '3', '{"comments": []}'));
SELECT post_id, text FROM comments ORDER BY id;
-- put by key, where that may be
SELECT chatroom.update('posts', '3', '{"comments": [{"id": 1}]}') #> '{error,changes,comments,0,errors}';
SELECT short(chatroom.update('posts', '3', '{"comments": [{"id": 1}]}', put => '{comments}'));
SELECT post_id, text FROM comments ORDER BY id;
SELECT chatroom.add_assoc('posts', 'tags', '{"on_replace": "delete"}');
SELECT short(chatroom.update('posts', '3', '{"tags": [{"name": "b"}, {"name": "c"}]}', put => '{tags}'));
SELECT * FROM posts_tags; SELECT * FROM tags;
SELECT chatroom.add_assoc('posts', 'user', '{"on_replace": "update"}');
SELECT short(chatroom.update('posts', '3', '{"user": {"name": "daniel"}}')) #>> '{user,name}';
SELECT chatroom.add_assoc('posts', 'user', '{"on_replace": "nilify"}');
SELECT short(chatroom.update('posts', '3', '{"user": null}'));
-- embeds
SELECT chatroom.add_rule('users', 'profile', 'embed', '{"on_replace": "update"}');
SELECT chatroom.add_rule('users', 'links', 'embed', '{"many": true, "on_replace": "delete"}');
SELECT chatroom.update('users', '1', '{"profile": {"a": 1}, "links": [{"id": 1, "to": "x"}, {"id": 2}]}') #> '{ok,links}';
SELECT (chatroom.update('users', '1', '{"profile": {"b": 2}, "links": [{"id": 1, "n": 1}, {"id": 3}]}') -> 'ok') - '{inserted_at,updated_at}'::text[];

-- with the caller's rights, and row-level security
CREATE ROLE regress_repo;
GRANT USAGE ON SCHEMA r TO regress_repo;
GRANT SELECT, INSERT ON tags TO regress_repo;
ALTER TABLE tags ENABLE ROW LEVEL SECURITY;
CREATE POLICY short ON tags USING (length(name) < 3);
SET ROLE regress_repo;
SELECT chatroom.insert('tags', '{"name": "z"}');
SELECT chatroom.insert('tags', '{"name": "long"}');
SELECT chatroom.delete('tags', '{"name": "z"}');
SELECT chatroom.insert('users', '{"name": "x"}');
RESET ROLE;
-- what callers get wrong
SELECT chatroom.insert('users', '[]');
-- (what isn't an object or a list where an association has one is their data)
SELECT chatroom.insert('posts', '{"title": "x", "comments": {}}') #> '{error,errors}';
SELECT chatroom.insert('posts', '{"title": "x", "user": []}') #> '{error,errors}';
SELECT chatroom.update('users', '[1]', '{}');
SELECT chatroom.update('seats', '1', '{}');

DROP SCHEMA r CASCADE;
DROP ROLE regress_repo;
DROP EXTENSION chatroom;
