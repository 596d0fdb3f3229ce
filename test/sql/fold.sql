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

-- Neither takes a query; nor does a tag that the cache has, or that another
-- post has. Only what isn't anywhere is read.
CREATE FUNCTION scans() RETURNS bigint LANGUAGE sql AS $$
	SELECT sum(seq_scan + coalesce(idx_scan, 0)) FROM pg_stat_xact_user_tables WHERE schemaname = 'f' AND relname <> 'held';
$$;
CREATE FUNCTION queries(which text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	before bigint := scans();
BEGIN
	PERFORM folded(which);
	RETURN scans() - before;
END $$;
INSERT INTO tags SELECT g, 'old ' || g FROM generate_series(10, 11) AS g;
SELECT chatroom.unwatch('tags');
SELECT chatroom.watch('tags');
SELECT hold('posts', value, relation, preload) FROM held WHERE name = 'posts';
UPDATE tags SET name = 'x' WHERE id = 1;
SELECT queries('posts') AS changed_tag;
INSERT INTO posts_tags VALUES (2, 2);
SELECT queries('posts') AS tag_of_another_post;
INSERT INTO tags VALUES (3, 'new');
INSERT INTO posts_tags VALUES (1, 3), (2, 3);
SELECT queries('posts') AS cached_tag;
INSERT INTO posts_tags VALUES (1, 10), (2, 10);
SELECT queries('posts') AS tag_not_cached;
SELECT folded('posts');
UPDATE tags SET name = 'xx' WHERE id = 1;
DELETE FROM tags WHERE id IN (3, 10, 11);
DELETE FROM posts_tags WHERE post_id = 2 AND tag_id = 2;

-- null, an object, a list, a scalar
SELECT chatroom.fold('null', '{"reset": false, "events": [{"type": "insert", "table": "f.users", "key": {"id": 7}, "row": {"id": 7, "name": "eve"}}]}', 'users');
SELECT chatroom.fold(NULL, '{"reset": false, "events": []}', 'users');
SELECT chatroom.fold('7', '{"reset": false, "events": [{"type": "insert", "table": "f.users", "key": {"id": 7}, "row": {"id": 7, "name": "eve"}}]}', 'users');


-- What EctoSync's tests do by way of association, in one value: belongs to,
-- has many, has one, many to many, through, with where; each step is compared
-- with preload.
SELECT chatroom.add_assoc('users', 'hidden', '{"relation": "comments", "where": {"visible": false}, "order": [{"desc": "text"}]}');
SELECT chatroom.add_assoc('users', 'tags', '{"through": ["posts", "tags"]}');
CREATE FUNCTION same(which text, rows jsonb) RETURNS boolean LANGUAGE sql AS $$
	SELECT folded(which) = chatroom.preload(rows, relation, preload) FROM held WHERE name = which;
$$;
CREATE VIEW all_users AS SELECT jsonb_agg(to_jsonb(u) ORDER BY id) AS rows FROM users AS u;
SELECT hold('users', chatroom.preload(rows, 'users', '{posts.comments.user,posts.tags,hidden,tags,profiles}'), 'users', '{posts.comments.user,posts.tags,hidden,tags,profiles}') FROM all_users;
INSERT INTO users VALUES (3, 'cat');
INSERT INTO posts VALUES (3, 3, 'third');
SELECT same('users', rows) AS inserted FROM all_users;
UPDATE posts SET user_id = 1 WHERE id = 2;
SELECT same('users', rows) AS moved FROM all_users;
UPDATE comments SET visible = false;
SELECT same('users', rows) AS meets_where FROM all_users;
UPDATE comments SET visible = true, user_id = 3 WHERE id = 1;
SELECT same('users', rows) AS meets_it_no_more FROM all_users;
INSERT INTO profiles VALUES (3, 'likes tea');
UPDATE users SET name = 'Cat' WHERE id = 3;
SELECT same('users', rows) AS has_one FROM all_users;
DELETE FROM profiles;
SELECT same('users', rows) AS has_one_deleted FROM all_users;
UPDATE posts_tags SET tag_id = 2 WHERE post_id = 2;
SELECT same('users', rows) AS join_row_changed FROM all_users;
INSERT INTO tags VALUES (3, 'z');
INSERT INTO posts_tags VALUES (3, 3), (2, 1);
SELECT same('users', rows) AS tags_inserted FROM all_users;
DELETE FROM tags WHERE id = 1;
SELECT same('users', rows) AS tag_deleted FROM all_users;
DELETE FROM posts WHERE id = 1;
SELECT same('users', rows) AS post_deleted FROM all_users;
UPDATE comments SET user_id = NULL;
DELETE FROM users WHERE id = 2;
SELECT same('users', rows) AS user_deleted FROM all_users;
BEGIN;
UPDATE posts SET title = title || '!';
TRUNCATE comments;
INSERT INTO comments VALUES (9, 3, 1, 'after');
COMMIT;
SELECT same('users', rows) AS truncated FROM all_users;
SELECT folded('users');

-- A list without where: by an association's topic, rows move in and out.
SELECT chatroom.snapshot_cursor() AS since \gset
INSERT INTO posts VALUES (5, 3, 'fifth'), (6, 3, 'sixth');
UPDATE posts SET user_id = 1 WHERE id = 3;
UPDATE posts SET user_id = 3 WHERE id = 2;
DELETE FROM posts WHERE id = 6;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT chatroom.fold('[{"id": 3, "title": "third!", "user_id": 3}]', chatroom.sync('f.posts.user_id:3', :'since'), 'posts');
-- followed by the table's topic, all that is inserted comes in
SELECT chatroom.fold('[{"id": 3, "title": "third!", "user_id": 3}]', chatroom.sync('f.posts', :'since'), 'posts');
-- by a row's topic, nothing else does; the same row twice
SELECT chatroom.fold('[{"id": 3, "title": "third!"}, {"id": 3, "title": "third!"}]', chatroom.sync('f.posts:3', :'since'), 'posts');
-- the first row that meets the condition, and no row that does
SELECT chatroom.fold('null', chatroom.sync('f.posts', :'since'), 'posts', '{}', '{"where": {"user_id": 3}}');
SELECT chatroom.fold('{"id": 3, "user_id": 3}', chatroom.sync('f.posts:3', :'since'), 'posts', '{}', '{"where": {"user_id": 3}}');
-- what is not loaded yet is loaded
SELECT chatroom.fold('{"id": 3, "user_id": 3}', chatroom.sync('f.posts:3', :'since'), 'posts', '{user,comments}');

-- A watch with a label and a condition; partitions speak in the root's name.
CREATE TABLE logs (id int, level int, text text, PRIMARY KEY (id, level)) PARTITION BY LIST (level);
CREATE TABLE logs_1 PARTITION OF logs FOR VALUES IN (1);
CREATE TABLE logs_2 PARTITION OF logs FOR VALUES IN (2);
SELECT chatroom.watch('logs', 'severe', condition => 'level = 2');
SELECT chatroom.snapshot_cursor() AS since \gset
INSERT INTO logs VALUES (1, 1, 'a'), (2, 2, 'b');
UPDATE logs SET level = 2 WHERE id = 1;
SELECT chatroom.snapshot_cursor() AS next \gset
UPDATE logs SET level = 1 WHERE id = 2;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT chatroom.fold('[]', chatroom.sync('severe', :'since', 1), 'logs') AS v \gset
SELECT :'v';
SELECT chatroom.fold(chatroom.fold(:'v', chatroom.sync('severe', :'since'), 'logs'), chatroom.sync('severe', :'next'), 'logs');
SELECT chatroom.topics_for('[]', 'logs');
SELECT chatroom.watch('logs');
SELECT chatroom.topics_for('{"id": 1, "level": 2}', 'logs'), chatroom.topics_for('[]', 'logs');

-- An answer of pending(), in a sandbox that never commits.
BEGIN;
INSERT INTO tags VALUES (4, 'pending');
SELECT chatroom.fold('[]', chatroom.pending('f.tags'), 'tags');
ROLLBACK;

-- Events that show part of the row, rows that are too large, big numbers that
-- are strings: the rest is loaded, and written as the value has it.
CREATE TABLE parts (id bigint PRIMARY KEY, a int, b text);
SELECT chatroom.watch('parts', columns => '{id,a}', big_numbers => 'text');
INSERT INTO parts VALUES (1, 1, 'b');
SELECT hold('parts', '[{"id": 1, "a": 1, "b": "b"}]', 'parts');
UPDATE parts SET a = 2, b = 'bb';
INSERT INTO parts VALUES (2, 1, repeat('x', 10));
SELECT folded('parts');
SELECT hold('strings', '[{"id": "1", "a": 2}]', 'parts');
UPDATE parts SET a = 3;
INSERT INTO parts VALUES (9007199254740993, 1, 'x');
SELECT folded('strings');
SELECT chatroom.watch('parts');
SELECT hold('large', '[{"id": 1, "a": 3, "b": "bb"}]', 'parts');
UPDATE parts SET b = (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 10000) AS g) WHERE id = 1;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT e->'row' AS row, e->'oversize' AS oversize FROM json_array_elements(chatroom.sync('f.parts',
	(SELECT cursor FROM held WHERE name = 'large'))->'events') AS e;
SELECT left(jsonb_path_query_first(folded('large'), '$[0].b')::text, 17);

-- Row JSON is the same in events and in what preload and fold load, for all
-- types, whatever the sessions' settings.
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TYPE pair AS (a int, b timestamptz, c money);
CREATE TABLE heads (id int PRIMARY KEY);
CREATE TABLE types (id int PRIMARY KEY REFERENCES heads,
	c_bool bool, c_char "char", c_name name, c_int2 int2, c_int4 int4, c_int8 int8, c_float4 float4, c_float8 float8,
	c_numeric numeric, c_money money, c_text text, c_varchar varchar(10), c_bpchar char(5), c_bytea bytea, c_date date,
	c_time time, c_timetz timetz, c_timestamp timestamp, c_timestamptz timestamptz, c_interval interval, c_uuid uuid,
	c_json json, c_jsonb jsonb, c_xml xml, c_inet inet, c_cidr cidr, c_macaddr macaddr, c_macaddr8 macaddr8, c_bit bit(3),
	c_varbit varbit, c_point point, c_line line, c_lseg lseg, c_box box, c_path path, c_polygon polygon, c_circle circle,
	c_tsvector tsvector, c_tsquery tsquery, c_oid oid, c_regclass regclass, c_regtype regtype, c_regproc regproc,
	c_lsn pg_lsn, c_tid tid, c_xid xid, c_xid8 xid8, c_snapshot pg_snapshot, c_jsonpath jsonpath, c_int4range int4range,
	c_numrange numrange, c_tstzrange tstzrange, c_datemultirange datemultirange, c_mood mood, c_positive positive,
	c_pair pair, c_ints int[], c_texts text[], c_times timestamptz[], c_pairs pair[], c_bools bool[][],
	c_int2vector int2vector, c_oidvector oidvector, c_floats float8[], c_numerics numeric[], c_jsons json[]);
SELECT chatroom.watch_assocs('heads', '{types}');
INSERT INTO heads SELECT generate_series(1, 4);
SELECT hold('types', chatroom.preload('[{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}]', 'heads', '{types}'), 'heads', '{types}');
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German';
SET IntervalStyle = 'iso_8601';
SET bytea_output = 'escape';
SET extra_float_digits = 0;
INSERT INTO types VALUES (1, true, 'x', 'name', 32767, -2147483648, 9223372036854775807, 1.1, 1e300,
	12345678901234567890.12300, 1234.5, E'tab\t"quote"\\ \u00e9', 'v', 'ab', '\x00ff41', '2024-02-29', '12:34:56.789',
	'12:34:56+09', '2024-02-29 23:59:59.999999', '2024-02-29 23:59:59.999999+09', '1 year 2 mons 3 days 04:05:06.7',
	'00000000-0000-0000-0000-0000000000ab', '{"b": 1,  "a": [1, 2.50, "x"], "b": 2}', '{"b": 1, "a": [1, 2.50, "x"]}',
	'<a>b</a>', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '101', '10101', '(1.5,2)',
	'{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)', '((0,0),(1,1))', '((0,0),(1,1),(2,0))', '<(0,0),1>', 'a fat cat',
	'fat & cat', 26, 'f.types', 'f.mood', 'now', '16/B374D848', '(1,2)', '7', '8', '10:20:10,14', '$.a[*]', '[1,5)',
	'(1.5,)', '[2024-01-01 00:00+09,)', '{[2024-01-01,2024-01-05)}', 'ok', 3, '(1,"2024-01-01 00:00+09",3.5)',
	'{1,NULL,3}', '{a,NULL,"b c"}', '{"2024-01-01 00:00+09"}', '{"(1,,)"}', '{{t,f},{f,t}}', '1 2', '3 4',
	'{1.5,NaN,-Infinity}', '{1.10,NaN}', '{"{\"a\": 1}"}');
INSERT INTO types (id, c_float4, c_float8, c_numeric, c_date, c_timestamp, c_timestamptz) VALUES
	(2, 'NaN', '-Infinity', 'NaN', 'infinity', '-infinity', 'infinity'),
	(3, 1e-30, 0.1, 'Infinity', '0044-03-15 BC', '0044-03-15 BC', '294276-12-31 00:00Z'),
	(4, '-0', '-0', 0.000, NULL, NULL, NULL);
SET IntervalStyle = 'sql_standard';
SELECT h.value->>'id' AS id, c.key, f.value->'types'->c.key AS folded, c.value AS preloaded
FROM jsonb_array_elements(folded('types')) AS f,
	jsonb_array_elements(chatroom.preload('[{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}]', 'heads', '{types}')) AS h,
	jsonb_each(h.value->'types') AS c
WHERE f.value->'id' = h.value->'id' AND (f.value->'types'->c.key)::text IS DISTINCT FROM c.value::text;
SELECT count(*) FROM held, jsonb_array_elements(value) AS e WHERE name = 'types' AND jsonb_typeof(e->'types') = 'object';
RESET TimeZone;
RESET DateStyle;
RESET IntervalStyle;
RESET bytea_output;
RESET extra_float_digits;

-- With the caller's rights: what it may no longer see leaves.
CREATE ROLE regress_fold;
GRANT USAGE ON SCHEMA f TO regress_fold;
GRANT SELECT ON posts, tags, posts_tags TO regress_fold;
GRANT SELECT (id, post_id, text, visible) ON comments TO regress_fold;
GRANT ALL ON held TO regress_fold;
ALTER TABLE comments ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible ON comments USING (visible);
SET ROLE regress_fold;
SELECT hold('mine', chatroom.preload('[{"id": 3}]', 'posts', '{comments}'), 'posts', '{comments}');
RESET ROLE;
INSERT INTO comments VALUES (10, 3, 1, 'seen', true), (11, 3, 1, 'not seen', false);
SET ROLE regress_fold;
SELECT folded('mine');
RESET ROLE;
UPDATE comments SET visible = NOT visible WHERE id > 9;
SET ROLE regress_fold;
SELECT folded('mine');
SELECT chatroom.fold('[]', '{"reset": true}', 'users', '{}', '{"where": {}}');
RESET ROLE;

-- Resets.
SELECT chatroom.fold('{"id": 3, "title": "old"}', '{"reset": true}', 'posts', '{comments}');
SELECT chatroom.fold('[{"id": 3}, {"id": 77}]', '{"reset": true}', 'posts');
SELECT chatroom.fold('[]', '{"reset": true}', 'tags', '{}', '{"where": {"id": {"greater_than": 2}}}');
SELECT chatroom.fold('null', '{"reset": true}', 'tags', '{}', '{"where": {"id": 2}}');
SELECT chatroom.fold('[]', '{"reset": true}', 'tags', '{}', '{"order": [{"desc": "name"}], "limit": 1}');
SELECT chatroom.fold('[]', '{"reset": true}', 'tags');
SELECT chatroom.fold('null', '{"reset": true}', 'tags');

-- A table without a key.
CREATE TABLE keyless (a int);
SELECT chatroom.watch('keyless');
SELECT chatroom.fold('[{"a": 1}]', '{"reset": false, "events": [{"type": "delete", "table": "f.keyless", "key": null, "old": {"a": 1}, "row": null}]}', 'keyless');
SELECT chatroom.fold('[{"a": 1}]', '{"reset": false, "events": [{"type": "delete", "table": "f.keyless", "key": null, "old": {"a": 1}, "row": null}]}', 'keyless', '{}', '{"where": {}}');

-- Mistakes.
SELECT chatroom.fold('[{"name": "x"}]', '{"reset": false, "events": []}', 'tags');
SELECT chatroom.fold('[{"id": null}]', '{"reset": false, "events": []}', 'tags');
SELECT chatroom.fold('[1]', '{"reset": false, "events": []}', 'tags');
SELECT chatroom.fold('[[]]', '{"reset": false, "events": []}', 'tags');
SELECT chatroom.fold('[{"id": 1, "user": null}]', '{"reset": false, "events": [{"type": "delete", "table": "f.users", "key": {"id": 1}, "old": {"id": 1}}]}', 'posts', '{user}');
SELECT chatroom.fold('[{"id": 1, "comments": {}}]', '{"reset": false, "events": [{"type": "delete", "table": "f.comments", "key": {"id": 1}, "old": {"id": 1}}]}', 'posts', '{comments}');
SELECT chatroom.fold('[{"id": 1, "user_id": 1, "user": []}]', '{"reset": false, "events": [{"type": "delete", "table": "f.users", "key": {"id": 1}, "old": {"id": 1}}]}', 'posts', '{user}');
SELECT chatroom.fold('[]', '{"reset": false, "events": []}', 'posts', '{nope}');
SELECT chatroom.fold('[]', '{"reset": false, "events": []}', 'posts', '{"comments..x"}');
SELECT chatroom.fold('[]', '{"reset": false, "events": []}', 'nope');
SELECT chatroom.add_assoc('users', 'ring', '{"through": ["posts", "user"]}');
SELECT chatroom.add_assoc('posts', 'ring', '{"through": ["user", "ring"]}');
SELECT chatroom.add_assoc('users', 'ring', '{"through": ["posts", "ring"]}');
SELECT chatroom.fold('[]', '{"reset": false, "events": []}', 'posts', '{ring}');
SELECT chatroom.fold('[]', '[]', 'posts');
SELECT chatroom.fold('[]', '{}', 'posts');
SELECT chatroom.fold('[]', '{"reset": false}', 'posts');
SELECT chatroom.fold('[]', '{"reset": false, "events": [1]}', 'posts');
SELECT chatroom.fold('[]', '{"reset": false, "events": [{}]}', 'posts');
SELECT chatroom.fold('[]', '{"reset": false, "events": [{"type": "insert"}]}', 'posts');
SELECT chatroom.fold('[]', 'no json', 'posts');
SELECT chatroom.fold('[]', NULL::json, 'posts');
SELECT chatroom.fold('[]', '{"reset": false, "events": []}', 'posts', '{}', '[]');
SELECT chatroom.fold('[]', '{"reset": false, "events": []}', 'posts', '{}', '{"sort": []}');
SELECT chatroom.fold('[]', '{"reset": false, "events": []}', 'posts', '{}', '{"where": {"nope": 1}}');
SELECT chatroom.fold('[]', '{"reset": false, "events": []}', 'posts', '{}', '{"where": {"id": "x"}}');
SELECT chatroom.fold('[]', '{"reset": false, "events": []}', 'posts', '{}', '{"order": "id"}');
SELECT chatroom.fold('[]', '{"reset": false, "events": []}', 'posts', '{}', '{"limit": 0}');
SELECT chatroom.fold('[]', '{"reset": false, "events": []}', 'posts', '{}', '{"limit": "x"}');
SELECT chatroom.fold('[]', '{"reset": false, "events": []}', 'posts', '{}', '{"limit": 1.5}');
-- other events are none of its business
SELECT chatroom.fold('[]', '{"reset": false, "events": [{"type": "broadcast", "event": "x"}, {"type": "insert", "table": "x.y", "key": {"id": 1}, "row": {"id": 1}}]}', 'posts');
-- what drivers prepare, of whose parameters the server is to tell the types
PREPARE prepared_fold AS SELECT chatroom.fold($1, $2, $3, $4);
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'prepared_fold';
EXECUTE prepared_fold('[]', '{"reset": false, "events": []}', 'posts', '{}');
DEALLOCATE prepared_fold;

-- A key of several columns that changes takes the row out of the topic that
-- was followed, which doesn't tell what happens to it later, its end included.
CREATE TABLE seats (hall int, num int, guest text, PRIMARY KEY (hall, num));
SELECT chatroom.watch('seats');
INSERT INTO seats VALUES (1, 1, 'ann'), (1, 2, 'bob');
SELECT hold('seat', '{"hall": 1, "num": 1, "guest": "ann"}', 'seats');
SELECT hold('seats', '[{"hall": 1, "num": 1, "guest": "ann"}, {"hall": 1, "num": 2, "guest": "bob"}]', 'seats');
UPDATE seats SET num = 7 WHERE num = 1;
UPDATE seats SET guest = 'eve' WHERE num = 7;
SELECT folded('seat');
UPDATE seats SET hall = 2 WHERE num = 2;
DELETE FROM seats WHERE num = 2;
SELECT folded('seats');

-- topics_for
SELECT chatroom.topics_for('null', 'posts'), chatroom.topics_for(NULL, 'posts'), chatroom.topics_for('"x"', 'posts');
SELECT chatroom.topics_for('{"id": "1"}', 'posts');
SELECT chatroom.topics_for('{"id": 1}', 'posts', '{comments}');
SELECT chatroom.topics_for('[{"id": 1, "user_id": 7}]', 'posts', '{user}', '{"where": {"user_id": [7, 8]}}');
SELECT chatroom.topics_for('{"id": 1}', 'users', '{tags}');
SELECT chatroom.topics_for('[{"id": 1}]', 'heads');
SELECT array_length(chatroom.topics_for((SELECT jsonb_agg(jsonb_build_object('id', g)) FROM generate_series(1, 2000) AS g), 'posts', '{comments}'), 1);

DROP SCHEMA f CASCADE;
DROP ROLE regress_fold;
DROP EXTENSION chatroom;
