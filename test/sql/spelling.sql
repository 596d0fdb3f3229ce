-- Topics by type: values that are equal and spelled differently meet in one
-- topic, or their column makes none, and topics_for() takes the table's.

SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE EXTENSION ltree;
CREATE EXTENSION isn;
CREATE SCHEMA sp;
SET search_path = sp, public;
CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE place AS (zip numeric);
CREATE DOMAIN price AS numeric(8, 2);
CREATE DOMAIN word AS citext;

-- Can a column of a type make topics, and are two values of it equal?
CREATE FUNCTION meet(type text, one text, other text, OUT offered boolean, OUT equal boolean)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TABLE t (id int PRIMARY KEY, v %s)', type);
	BEGIN
		PERFORM chatroom.watch('t', topic_columns => '{v}');
		offered := true;
	EXCEPTION WHEN feature_not_supported THEN
		PERFORM chatroom.watch('t');
		offered := false;
	END;
	BEGIN
		EXECUTE format('SELECT a.v = b.v FROM (SELECT ''x'') AS x, jsonb_populate_record(null::t, jsonb_build_object(''v'', $1)) AS a, jsonb_populate_record(null::t, jsonb_build_object(''v'', $2)) AS b')
			INTO equal USING one, other;
	EXCEPTION WHEN undefined_function THEN
		NULL;
	END;
END $$;
CREATE TABLE kinds (type text, one text, other text);
INSERT INTO kinds VALUES
	('smallint', '7', '007'), ('int', '7', '+7'), ('bigint', '7', '07'),
	('numeric', '1', '1.00'), ('numeric(8,2)', '1', '1.000'), ('numeric(8)', '1', '1.2'), ('price', '1', '1.0'),
	('real', '0', '-0'), ('float8', '0', '-0'), ('money', '1', '$1.00'),
	('boolean', 't', 'true'), ('"char"', 'a', 'a'), ('name', 'a', 'a'),
	('text', 'a', 'a'), ('varchar(9)', 'a', 'a'), ('char(3)', 'a', 'a  '), ('bpchar', 'a', 'a  '),
	('text COLLATE any_case', 'a', 'A'), ('varchar COLLATE any_case', 'a', 'A'), ('text[] COLLATE any_case', '{a}', '{A}'),
	('citext', 'a', 'A'), ('word', 'a', 'A'), ('citext[]', '{a}', '{A}'),
	('bytea', '\x41', 'A'), ('uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'),
	('date', '2020-02-01', 'Feb 1 2020'), ('time', '10:00', '10:00:00'), ('timetz', '10:00+00', '10:00:00+00'),
	('timestamp', '2020-02-01 10:00', '2020-02-01T10:00:00'), ('timestamptz', '2020-02-01 10:00+00', '2020-02-01 12:00+02'),
	('interval', '1 month', '30 days'), ('mood', 'sad', 'sad'), ('mood[]', '{sad}', '{ sad }'),
	('int[]', '{1}', '[1:1]={1}'), ('numeric[]', '{1}', '{1.0}'), ('numeric(8,2)[]', '{1}', '{1.0}'), ('interval[]', '{1 month}', '{30 days}'),
	('inet', '10.0.0.1', '10.0.0.1/32'), ('cidr', '10.0.0.0/8', '10/8'), ('macaddr', '08:00:2b:01:02:03', '08002b010203'), ('macaddr8', '08:00:2b:01:02:03', '08002bfffe010203'),
	('bit(3)', '101', 'B101'), ('varbit', '101', 'B101'), ('oid', '7', '07'), ('xid', '7', '07'), ('xid8', '7', '07'), ('pg_lsn', '1/ABCDEF01', '1/abcdef01'), ('tid', '(0,1)', '(0,1)'),
	('jsonb', '1', '1.0'), ('json', '1', '1'), ('xml', '<a/>', '<a/>'), ('point', '(0,0)', '(-0,0)'), ('int4range', '[1,3)', '[1,2]'), ('numrange', '[1,2)', '[1.0,2)'),
	('place', '(1)', '(1.0)'), ('tsvector', 'a', 'a'), ('tsquery', 'a', 'a'), ('regclass', 'kinds', 'sp.kinds'),
	('hstore', 'a=>1', '"a"=>"1"'), ('ltree', 'a.b', 'a.b'), ('isbn', '0-306-40615-2', '0306406152');
CREATE TABLE results (type text, offered boolean, equal boolean, topics text[], told boolean, n int GENERATED ALWAYS AS IDENTITY);

-- Ask for the topics with one of them, and write the other.
CREATE PROCEDURE try(kind text, one text, other text) LANGUAGE plpgsql AS $$
DECLARE
	made record;
	names text[];
	since text;
	answer jsonb;
BEGIN
	made := meet(kind, one, other);
	COMMIT;
	since := chatroom.snapshot_cursor();
	BEGIN
		names := chatroom.topics_for('[]', 't', '{}', jsonb_build_object('where', jsonb_build_object('v', one)));
	EXCEPTION WHEN OTHERS THEN
		names := ARRAY[SQLSTATE];
	END;
	COMMIT;
	EXECUTE format('INSERT INTO t SELECT 1, (jsonb_populate_record(null::t, jsonb_build_object(''v'', $1))).v') USING other;
	COMMIT;
	PERFORM chatroom.snapshot_cursor();
	COMMIT;
	IF names[1] ~ 't' THEN
		answer := chatroom.sync_many(names, since);
	END IF;
	INSERT INTO results (type, offered, equal, topics, told)
		VALUES (kind, made.offered, made.equal, names, jsonb_array_length(answer->'events') = 1);
	DROP TABLE t;
	COMMIT;
END $$;
SELECT format('CALL try(%L, %L, %L)', type, one, other) FROM kinds
\gexec
SELECT type, offered, equal, topics, told FROM results ORDER BY n;

-- equal values that a topic is offered for are told; none is missed
SELECT type FROM results WHERE equal AND topics[1] ~ 't' AND NOT coalesce(told, false);

-- what is refused says so; so does a column that became such a one
CREATE TABLE bids (id int PRIMARY KEY, lot numeric, price numeric(8, 2));
SELECT chatroom.watch('bids', topic_columns => '{lot}');
SELECT chatroom.watch('bids', topic_columns => '{price}');
SELECT chatroom.topic('bids', '{"price": 1}');
ALTER TABLE bids ALTER price TYPE numeric;
SELECT topic_columns FROM chatroom.watches WHERE relation = 'sp.bids';
SELECT chatroom.topic('bids', '{"price": 1}');
SELECT chatroom.sync('sp.bids.price:1');

-- foreign keys: by equality, whichever way they are spelled
CREATE TABLE users (username citext PRIMARY KEY);
CREATE TABLE posts (id int PRIMARY KEY, user_id citext REFERENCES users, t text);
SELECT chatroom.watch_assocs('users', '{posts}');
INSERT INTO users VALUES ('ann');
INSERT INTO posts VALUES (1, 'ann', 'one');
SELECT chatroom.preload('{"username": "ann"}', 'users', '{posts}') AS value, chatroom.snapshot_cursor() AS cursor \gset
SELECT chatroom.topics_for(:'value', 'users', '{posts}') AS topics \gset
SELECT :'topics' AS topics;
INSERT INTO posts VALUES (2, 'Ann', 'two');
SELECT chatroom.snapshot_cursor() AS later \gset
SELECT chatroom.fold(:'value', chatroom.sync_many(:'topics', :'cursor'), 'users', '{posts}') =
	chatroom.preload('{"username": "ann"}', 'users', '{posts}') AS has_many;
SELECT chatroom.fold('[]', chatroom.sync('sp.posts', :'cursor'), 'posts', '{user}');
-- the other side's name is another spelling of the same
UPDATE posts SET user_id = 'ANN' WHERE id = 1;
DELETE FROM posts WHERE id = 2;
SELECT chatroom.snapshot_cursor() AS later \gset
SELECT chatroom.fold(:'value', chatroom.sync_many(:'topics', :'cursor'), 'users', '{posts}') AS folded,
	chatroom.preload('{"username": "ann"}', 'users', '{posts}') AS wanted;

-- columns of two types, one of which spells it otherwise
CREATE TABLE lots (id char(5) PRIMARY KEY);
CREATE TABLE items (id int PRIMARY KEY, lot_id varchar REFERENCES lots);
SELECT chatroom.watch_assocs('lots', '{items}');
INSERT INTO lots VALUES ('a');
SELECT chatroom.preload('{"id": "a"}', 'lots', '{items}') AS value, chatroom.snapshot_cursor() AS cursor \gset
SELECT chatroom.topics_for(:'value', 'lots', '{items}') AS topics \gset
SELECT :'topics' AS topics;
INSERT INTO items VALUES (1, 'a');
SELECT chatroom.snapshot_cursor() AS later \gset
SELECT chatroom.fold(:'value', chatroom.sync_many(:'topics', :'cursor'), 'lots', '{items}') AS folded,
	chatroom.preload('{"id": "a"}', 'lots', '{items}') AS wanted;

DROP SCHEMA sp CASCADE;
DROP EXTENSION chatroom CASCADE;
DROP EXTENSION citext, hstore, ltree, isn;
