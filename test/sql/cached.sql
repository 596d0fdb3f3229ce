-- What cached(), fold and events take from memory after a reset: nothing of
-- before, also where both are of one transaction.

SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE SCHEMA ca;
SET search_path = ca;

CREATE TABLE people (id int PRIMARY KEY, level int);
CREATE TABLE posts (id int PRIMARY KEY, person_id int REFERENCES people);
SELECT chatroom.watch_assocs('posts', '{person}');

-- what memory has of a person, and the newest that is told of the table
CREATE FUNCTION has(person int, OUT cached json, OUT wanted json, OUT events bigint)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM chatroom.snapshot_cursor();
	cached := chatroom.cached('people', to_jsonb(person));
	wanted := (SELECT row_to_json(p) FROM people AS p WHERE id = person);
	events := (SELECT count(*) FROM chatroom.events('ca.people') WHERE key->>'id' = person::text);
END $$;

-- a row of the transaction that goes on to change it by ALTER TABLE
SELECT chatroom.snapshot_cursor() AS c \gset
BEGIN;
INSERT INTO people VALUES (1, 1);
ALTER TABLE people ALTER level TYPE text USING 'level ' || level;
COMMIT;
SELECT * FROM has(1);
SELECT chatroom.sync('ca.people', :'c')->>'reset' AS reset, chatroom.sync('ca.people:1', :'c')->>'reset' AS row_reset;
-- fold loads such a row
INSERT INTO posts VALUES (1, 1);
SELECT chatroom.snapshot_cursor() AS later \gset
SELECT chatroom.fold('[]', chatroom.sync('ca.posts', :'c'), 'posts', '{person}');

-- behind the reset in its transaction: nothing tells the order of the two
BEGIN;
ALTER TABLE people ALTER level TYPE varchar(20);
UPDATE people SET level = 'high';
COMMIT;
SELECT * FROM has(1);
-- and the next transaction's are known again
UPDATE people SET level = 'higher';
SELECT * FROM has(1);

-- a row that the same transaction took away without an event
BEGIN;
INSERT INTO people VALUES (2, 'two');
TRUNCATE people CASCADE;
COMMIT;
SELECT * FROM has(2);

-- in a savepoint, and reset after it
BEGIN;
SAVEPOINT one;
INSERT INTO people VALUES (3, 'three');
RELEASE one;
ALTER TABLE people RENAME level TO rank;
COMMIT;
SELECT * FROM has(3);
-- what was rolled back resets nothing
UPDATE people SET rank = 'drei';
BEGIN;
SAVEPOINT one;
ALTER TABLE people RENAME rank TO level;
ROLLBACK TO one;
UPDATE people SET rank = 'trois';
COMMIT;
SELECT * FROM has(3);

-- a partition goes
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES FROM (0) TO (9);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (10) TO (19);
SELECT chatroom.watch('parts');
BEGIN;
INSERT INTO parts VALUES (1), (10);
TRUNCATE parts_0;
COMMIT;
BEGIN;
INSERT INTO parts VALUES (11);
DROP TABLE parts_1;
COMMIT;
SELECT chatroom.snapshot_cursor() AS later \gset
SELECT id, chatroom.cached('parts', to_jsonb(id)) FROM unnest('{1,10,11}'::int[]) AS id;

DROP SCHEMA ca CASCADE;
DROP EXTENSION chatroom CASCADE;
