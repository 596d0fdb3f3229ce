-- watch(): what it makes, what it refuses, and what DDL does to it
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE SCHEMA w;
SET search_path = w;

-- what pg_trigger has of a table's watches
CREATE FUNCTION triggers(relation text)
	RETURNS TABLE (name name, enabled "char", definition text)
	LANGUAGE sql AS $$
	SELECT tgname, tgenabled,
		regexp_replace(pg_get_triggerdef(oid), '^CREATE TRIGGER \S+ ', '')
	FROM pg_trigger
	WHERE tgrelid = relation::regclass AND NOT tgisinternal
	ORDER BY tgname
$$;

CREATE TABLE rooms (id bigint PRIMARY KEY, name text);
CREATE TABLE messages (
	id bigint PRIMARY KEY,
	room_id bigint REFERENCES rooms,
	parent_id bigint REFERENCES messages,
	text text,
	draft boolean);

-- the plain watch
SELECT chatroom.watch('messages');
SELECT * FROM triggers('messages');
SELECT * FROM chatroom.watches;
-- the same again changes nothing: not even the triggers' oids
CREATE TEMP TABLE before AS
	SELECT oid FROM pg_trigger WHERE tgrelid = 'messages'::regclass;
SELECT chatroom.watch('w.messages', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT count(*) FROM pg_trigger
	WHERE tgrelid = 'messages'::regclass AND oid NOT IN (SELECT oid FROM before);

-- other options replace it
SELECT chatroom.watch('messages', events => '{update,insert}',
	columns => '{text,id}', trigger_columns => '{text}',
	topic_columns => '{parent_id,room_id}',
	condition => 'not draft and messages.room_id > 0',
	big_numbers => 'text', always => true);
SELECT * FROM triggers('messages');
\x on
SELECT * FROM chatroom.watches;
\x off
-- no topic columns at all; an event alone that no row has
SELECT chatroom.watch('messages', topic_columns => '{}', events => '{truncate}');
SELECT * FROM triggers('messages');
SELECT topic_columns, events FROM chatroom.watches;

-- several watches of one table
SELECT chatroom.watch('messages', 'drafts', condition => 'draft');
SELECT chatroom.watch('messages', 'Märchen & more');
SELECT relation, label, topic, condition FROM chatroom.watches ORDER BY 3;
SELECT chatroom.unwatch('messages', 'Märchen & more');
SELECT chatroom.unwatch('messages');
SELECT relation, label, topic FROM chatroom.watches ORDER BY 3;
SELECT * FROM triggers('messages');
SELECT chatroom.unwatch('messages', 'drafts');
SELECT * FROM triggers('messages');

-- renames are followed
SELECT chatroom.watch('messages', columns => '{id,text}', condition => 'text <> ''''');
ALTER TABLE messages RENAME text TO body;
ALTER TABLE messages RENAME TO posts;
ALTER SCHEMA w RENAME TO "W 2";
SET search_path = "W 2";
SELECT relation, topic, columns, condition FROM chatroom.watches;
ALTER SCHEMA "W 2" RENAME TO w;
SET search_path = w;
ALTER TABLE posts RENAME TO messages;
-- a dropped column: only with CASCADE, and then nothing but keys is shown
ALTER TABLE messages DROP body;
SET client_min_messages = error;
ALTER TABLE messages DROP body CASCADE;
SET client_min_messages = warning;
SELECT relation, columns, condition FROM chatroom.watches;
-- watching again mends it
ALTER TABLE messages ADD text text;
SELECT chatroom.watch('messages', columns => '{id,text}');
SELECT relation, columns, condition FROM chatroom.watches;
-- disabled
ALTER TABLE messages DISABLE TRIGGER chatroom_emit;
SELECT relation, enabled FROM chatroom.watches;
SELECT chatroom.watch('messages', columns => '{id,text}');
SELECT relation, enabled FROM chatroom.watches;
-- switching all triggers off and on leaves the holders disabled
ALTER TABLE messages DISABLE TRIGGER USER;
ALTER TABLE messages ENABLE TRIGGER USER;
SELECT name, enabled FROM triggers('messages');
SELECT chatroom.unwatch('messages');

-- partitions and children get what they need, now and later
CREATE TABLE parted (id int, kind text, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a');
SELECT chatroom.watch('parted', condition => 'id > 0');
CREATE TABLE parted_b PARTITION OF parted FOR VALUES IN ('b');
CREATE TABLE parted_c (kind text NOT NULL, id int NOT NULL);
ALTER TABLE parted ATTACH PARTITION parted_c FOR VALUES IN ('c');
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger
	WHERE tgname ~ '^chatroom' ORDER BY 1, 2;
ALTER TABLE parted DETACH PARTITION parted_c;
SELECT * FROM triggers('parted_c');
ALTER TABLE parted DETACH PARTITION parted_b CONCURRENTLY;
SELECT * FROM triggers('parted_b');
ALTER TABLE parted ATTACH PARTITION parted_b FOR VALUES IN ('b');
SELECT relation, topic FROM chatroom.watches;
SELECT chatroom.watch('parted_b');
SELECT chatroom.unwatch('parted');
SELECT tgrelid::regclass, tgname FROM pg_trigger
	WHERE tgname ~ '^chatroom' ORDER BY 1, 2;

CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (extra text) INHERITS (parent);
SELECT chatroom.watch('parent');
SELECT chatroom.watch('parent', 'replicas', always => true, events => '{insert}');
CREATE TABLE grandchild (more text) INHERITS (child);
SELECT chatroom.watch('child');
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger
	WHERE tgname ~ '^chatroom' ORDER BY 1, 2;
ALTER TABLE child NO INHERIT parent;
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger
	WHERE tgname ~ '^chatroom' ORDER BY 1, 2;
DROP TABLE parent;
SELECT relation, label FROM chatroom.watches;
DROP TABLE child CASCADE;

-- associations
CREATE TABLE users (id bigint PRIMARY KEY, name text);
CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users);
CREATE TABLE articles (id bigint PRIMARY KEY, author_id bigint REFERENCES users, editor_id bigint REFERENCES users);
CREATE TABLE comments (id bigint PRIMARY KEY, article_id bigint REFERENCES articles, user_id bigint REFERENCES users);
CREATE TABLE tags (id bigint PRIMARY KEY);
CREATE TABLE articles_tags (article_id bigint REFERENCES articles, tag_id bigint REFERENCES tags, PRIMARY KEY (article_id, tag_id));
SELECT chatroom.watch_assocs('articles', '{comments.user.profiles,author,tags}');
-- what is watched stays as it is
SELECT chatroom.watch('tags', events => '{insert}');
SELECT chatroom.watch_assocs('users', '{articles:editor_id.tags}');
SELECT relation, events FROM chatroom.watches WHERE relation = 'w.tags';
SELECT chatroom.watch_assocs('users', '{}');
SELECT chatroom.watch_assocs('articles', '{nothing}');
SELECT chatroom.watch_assocs('users', '{articles}');
SELECT chatroom.watch_assocs('articles', '{users}');
SELECT chatroom.watch_assocs('articles', '{a..b}');
SELECT chatroom.watch_assocs('articles', '{""}');
SELECT chatroom.watch_assocs('articles', '{{author},{editor}}');
SELECT chatroom.watch_assocs('articles', '{NULL}');
SELECT chatroom.watch_assocs('articles', NULL);
SELECT chatroom.watch_assocs(NULL, '{}');
SELECT chatroom.unwatch(topic)
	FROM (SELECT topic FROM chatroom.watches WHERE relation <> 'w.articles') x;

-- topics
SELECT chatroom.topic('articles');
SELECT chatroom.topic('articles', '7');
SELECT chatroom.topic('articles', '"007"');
SELECT chatroom.topic('articles', '{"id": 7}');
SELECT chatroom.topic('articles', '{"author_id": "7"}');
SELECT chatroom.topic('articles_tags', '{"tag_id": 1, "article_id": 2}');
SELECT chatroom.topic('articles_tags', '{"tag_id": 1}');
CREATE TABLE "Odd, ""table""" (a text, "B" timestamptz, PRIMARY KEY (a, "B"));
SELECT chatroom.topic('"Odd, ""table"""', '{"a": "x,y\\z", "B": "2020-01-01 00:00+09"}');
SELECT length(chatroom.topic('"Odd, ""table"""', jsonb_build_object('a', repeat('x', 5000), 'B', now())));
SELECT chatroom.watch('articles', 'by_editor', topic_columns => '{editor_id}');
SELECT chatroom.topic('by_editor', '{"editor_id": 3}');
SELECT chatroom.topic('articles', '{}');
SELECT chatroom.topic('articles', '{"title": 1}');
SELECT chatroom.topic('articles', '{"id": 1, "author_id": 2}');
SELECT chatroom.topic('articles', '{"id": null}');
SELECT chatroom.topic('articles', '{"id": "x"}');
SELECT chatroom.topic('articles', '[7]');
SELECT chatroom.topic('articles_tags', '7');
SELECT chatroom.topic('nothing');
SELECT chatroom.topic('nothing at all');
SELECT chatroom.topic(NULL);
SELECT chatroom.unwatch('articles', 'by_editor');

-- what can't be watched
CREATE VIEW a_view AS SELECT * FROM articles;
CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM articles;
CREATE TEMP TABLE a_temp (i int);
CREATE UNLOGGED TABLE an_unlogged (i int);
CREATE SEQUENCE a_sequence;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE a_foreign (i int) SERVER nowhere;
SELECT chatroom.watch('a_view');
SELECT chatroom.watch('a_matview');
SELECT chatroom.watch('a_temp');
SELECT chatroom.watch('an_unlogged');
SELECT chatroom.watch('a_sequence');
SELECT chatroom.watch('a_foreign');
SELECT chatroom.watch('articles_pkey');
SELECT chatroom.watch('pg_class');
SELECT chatroom.watch('information_schema.sql_features');
SELECT chatroom.watch('chatroom.watches');
SELECT chatroom.watch('nothing');
SELECT chatroom.watch('no.such.thing');
SELECT chatroom.watch('a..b');
SELECT chatroom.watch('');
SELECT chatroom.watch('4294967295');
SELECT chatroom.watch('99999999999');
SELECT chatroom.watch(NULL);
BEGIN READ ONLY;
SELECT chatroom.watch('users');
ROLLBACK;

-- labels
SELECT chatroom.watch('articles', '');
SELECT chatroom.watch('articles', 'room:1');
SELECT chatroom.watch('articles', 'rooms');
SELECT chatroom.watch('articles', 'chat/rooms');
SELECT chatroom.watch('articles', 'w');
SELECT chatroom.watch('articles', 'w.users');
SELECT chatroom.watch('articles', repeat('x', 64));
SELECT chatroom.watch('articles', E'two\nlines');
SELECT chatroom.watch('articles', 'news');
SELECT chatroom.watch('users', 'news');
SELECT chatroom.unwatch('articles', 'news');
SELECT chatroom.unwatch('articles', 'news');
SELECT chatroom.unwatch('articles');
SELECT chatroom.unwatch('articles');
SELECT chatroom.unwatch('nothing');
SELECT chatroom.unwatch(NULL);

-- options
SELECT chatroom.watch('users', events => '{}');
SELECT chatroom.watch('users', events => '{inserted}');
SELECT chatroom.watch('users', events => '{insert,insert}');
SELECT chatroom.watch('users', events => '{{insert},{update}}');
SELECT chatroom.watch('users', events => '{NULL}');
SELECT chatroom.watch('users', columns => '{}');
SELECT chatroom.watch('users', columns => '{id,nothing}');
SELECT chatroom.watch('users', columns => '{id,id}');
SELECT chatroom.watch('users', trigger_columns => '{ctid}');
SELECT chatroom.watch('users', big_numbers => 'string');
CREATE TABLE wide (a int, b int, c int, d int, e int, f int, g int);
SELECT chatroom.watch('wide', topic_columns => '{a,b,c,d,e,f,g}');
CREATE TRIGGER chatroom_emit BEFORE UPDATE ON wide FOR EACH ROW
	EXECUTE FUNCTION suppress_redundant_updates_trigger();
SELECT chatroom.watch('wide');
SELECT chatroom.watch('users', condition => '');
SELECT chatroom.watch('users', condition => '1');
SELECT chatroom.watch('users', condition => 'nothing > 1');
SELECT chatroom.watch('users', condition => 'articles.id > 1');
SELECT chatroom.watch('users', condition => 'id IN (SELECT 1)');
SELECT chatroom.watch('users', condition => 'count(*) > 1');
SELECT chatroom.watch('users', condition => 'generate_series(1, 2) > 1');
SELECT chatroom.watch('users', condition => 'true) OR (true');
SELECT chatroom.watch('users', condition => 'true; DROP TABLE users');
SELECT chatroom.watch('users', condition => 'true FROM users');
SELECT chatroom.watch('users', condition => 'true AS x');
SELECT chatroom.watch('users', condition => 'ctid IS NULL');
SELECT chatroom.watch('users', condition => '$1');
SELECT relation FROM chatroom.watches;

-- rights: own tables only; of others' watches one sees those that one may read
CREATE ROLE chatroom_regress_user;
GRANT USAGE, CREATE ON SCHEMA w TO chatroom_regress_user;
SELECT chatroom.watch('users');
SELECT chatroom.watch('tags');
GRANT SELECT (name) ON users TO chatroom_regress_user;
SET ROLE chatroom_regress_user;
SELECT relation FROM chatroom.watches;
SELECT chatroom.watch('articles');
SELECT chatroom.unwatch('users');
SELECT chatroom.watch_assocs('articles', '{}');
-- a part of a tree may belong to somebody else
CREATE TABLE mine (id int PRIMARY KEY);
RESET ROLE;
CREATE TABLE of_mine () INHERITS (mine);
SET ROLE chatroom_regress_user;
SELECT chatroom.watch('mine');
SELECT name, enabled FROM triggers('of_mine');
-- a trigger written by hand emits in the name of its own table, or not at all
CREATE TABLE forged (id int);
CREATE TRIGGER forged AFTER INSERT ON forged FOR EACH ROW EXECUTE FUNCTION chatroom.emit();
INSERT INTO forged VALUES (1);
CREATE OR REPLACE TRIGGER forged AFTER INSERT ON forged FOR EACH ROW EXECUTE FUNCTION chatroom.emit('', 'topic=w.users');
INSERT INTO forged VALUES (1);
CREATE OR REPLACE TRIGGER forged AFTER INSERT ON forged FOR EACH STATEMENT EXECUTE FUNCTION chatroom.emit('');
INSERT INTO forged VALUES (1);
CREATE OR REPLACE TRIGGER forged AFTER INSERT ON forged FOR EACH ROW EXECUTE FUNCTION chatroom.emit('w.users');
INSERT INTO forged VALUES (1);
SELECT relation FROM chatroom.watches WHERE relation = 'w.forged';
SELECT chatroom.emit();
SELECT chatroom.emit_truncate();
SELECT chatroom.watch_option();
RESET ROLE;
SELECT chatroom.on_ddl();

DROP EXTENSION chatroom CASCADE;
SELECT count(*) FROM pg_trigger WHERE tgname ~ '^chatroom' AND tgrelid <> 'wide'::regclass;
SET client_min_messages = error;
DROP SCHEMA w CASCADE;
DROP FOREIGN DATA WRAPPER nowhere CASCADE;
DROP ROLE chatroom_regress_user;
