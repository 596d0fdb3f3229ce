-- insert(), update(), delete(): constraints that only the statement finds broken,
-- as in a race, are errors of the changeset, by the names and columns of the
-- table that was written to; also where a partition or child broke them.
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE SCHEMA caught;
SET search_path = caught;
\pset format unaligned
\pset tuples_only on

CREATE TABLE rooms (id int PRIMARY KEY);
INSERT INTO rooms VALUES (1), (2);
CREATE TABLE t (id int PRIMARY KEY, gone int, room_id int REFERENCES rooms, n int CONSTRAINT positive CHECK (n > 0), s text NOT NULL,
	code text, span int4range, EXCLUDE USING gist (span WITH &&));
ALTER TABLE t DROP gone;
CREATE UNIQUE INDEX t_code_index ON t (lower(code));
INSERT INTO t VALUES (1, 1, 1, 's', 'Code', '[1,5)');
-- A trigger changes the row after it was looked at, as another transaction would
-- change the table.
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RETURN jsonb_populate_record(NEW, (SELECT jsonb_object_agg(key, value) FROM jsonb_each(NEW.s::jsonb)));
END
$$;
CREATE TRIGGER meddle BEFORE INSERT OR UPDATE ON t FOR EACH ROW WHEN (NEW.s LIKE '{%') EXECUTE FUNCTION meddle();
CREATE FUNCTION meddled(attrs text, id int = 2, relation text = 't') RETURNS jsonb LANGUAGE sql AS
	$$ SELECT chatroom.insert(relation, jsonb_build_object('id', id, 's', attrs)) #> '{error,errors}' $$;
SELECT attrs, meddled(attrs) FROM unnest(ARRAY['{"id": 1}', '{"room_id": 9}', '{"n": 0}', '{"s": null}', '{"code": "cODE"}', '{"span": "[4,6)"}']) attrs;
SELECT chatroom.update('t', '1', '{"s": "{\"room_id\": 9}"}') #> '{error,errors}';
SELECT chatroom.update('t', '1', '{"s": "{\"n\": -1}"}') #> '{error,errors}';
-- a bug of a trigger's is no error of the data
\set SHOW_CONTEXT never
SELECT meddled('{"n": "x"}');
SELECT meddled('{x');
\set SHOW_CONTEXT errors
-- what functions raise in the words of a constraint counts as one
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE check_violation USING MESSAGE = 'not today', CONSTRAINT = 'weekdays', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME;
END
$$;
CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.s = 'sunday') EXECUTE FUNCTION refuse();
SELECT meddled('sunday');
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE check_violation USING MESSAGE = 'not today', CONSTRAINT = 'weekdays', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'code';
END
$$;
SELECT meddled('sunday');
-- errors of other tables are raised: nobody could mend them here
CREATE TABLE log (n int CHECK (n > 0));
CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (0); RETURN NEW; END $$;
CREATE TRIGGER also BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.s = 'log') EXECUTE FUNCTION also();
SELECT meddled('log');
-- deferred constraints speak at COMMIT, in their own words
CREATE TABLE late (id int PRIMARY KEY, room_id int REFERENCES rooms DEFERRABLE INITIALLY DEFERRED);
BEGIN;
SELECT chatroom.insert('late', '{"id": 1, "room_id": 9}') ? 'ok';
COMMIT;
SELECT count(*) FROM late;
-- a row that others refer to
INSERT INTO t VALUES (5, 2, 1, 's');
SELECT chatroom.delete('rooms', '2') #> '{error,errors}';
SELECT chatroom.update('rooms', '2', '{"id": 3}') #> '{error,errors}';
TABLE t;

-- partitions: the table's names, whatever those of the partition
CREATE TABLE p (id int, s text, room_id int REFERENCES rooms, v int CONSTRAINT v_positive CHECK (v > 0), code text, PRIMARY KEY (id), CONSTRAINT p_code_index UNIQUE (code, id)) PARTITION BY RANGE (id);
CREATE TABLE p_a PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p_b (gone int, code text, other text, v int, room_id int, s text, id int NOT NULL) PARTITION BY RANGE (id);
ALTER TABLE p_b DROP gone, DROP other;
ALTER TABLE p_b ADD CONSTRAINT v_positive CHECK (v > 0), ADD CONSTRAINT p_b_small CHECK (v < 100);
CREATE TABLE p_b1 (v int, s text, code text, room_id int, id int NOT NULL, CONSTRAINT v_positive CHECK (v > 0), CONSTRAINT p_b_small CHECK (v < 100));
CREATE UNIQUE INDEX of_this_partition ON p_b1 (code);
ALTER TABLE p_b1 ADD CONSTRAINT of_this_partition_too FOREIGN KEY (room_id) REFERENCES rooms;
ALTER TABLE p_b ATTACH PARTITION p_b1 FOR VALUES FROM (10) TO (20);
ALTER TABLE p ATTACH PARTITION p_b FOR VALUES FROM (10) TO (20);
SELECT chatroom.insert('p', '{"id": 1, "code": "a", "v": 1}') ? 'ok', chatroom.insert('p', '{"id": 11, "code": "b", "v": 1}') ? 'ok';
CREATE TRIGGER meddle BEFORE INSERT OR UPDATE ON p FOR EACH ROW WHEN (NEW.s LIKE '{%') EXECUTE FUNCTION meddle();
SELECT chatroom.insert('p', attrs) #> '{error,errors}'
FROM unnest(ARRAY['{"id": 1, "code": "a", "v": 0, "room_id": 9}', '{"id": 11, "code": "b", "v": 0, "room_id": 9}']::jsonb[]) attrs;
SELECT id, attrs, meddled(attrs, id, 'p')
FROM unnest('{2,12}'::int[]) id, unnest(ARRAY['{"v": 0}', '{"v": 100}', '{"room_id": 9}', '{"code": "b"}']) attrs
WHERE id > 2 OR attrs NOT IN ('{"v": 100}', '{"code": "b"}');
SELECT meddled('{"id": 1}', 2, 'p'), meddled('{"id": 11}', 12, 'p');
-- the partition itself
SELECT chatroom.insert('p_b', '{"id": 11, "code": "b", "v": 100, "room_id": 9}') #> '{error,errors}';
SELECT meddled('{"id": 11}', 12, 'p_b'), meddled('{"v": 100}', 12, 'p_b1');
-- no partition is no matter of the data's
SELECT chatroom.insert('p', '{"id": 50}');
SELECT chatroom.insert('p_a', '{"id": 11}');
-- rules tell of constraints together, in the root's columns
SELECT chatroom.add_rule('p', 'code', 'required');
INSERT INTO p (id, v, room_id) VALUES (11, 0, 9);
-- inheritance
CREATE TABLE parent (id int PRIMARY KEY, n int CONSTRAINT few CHECK (n < 10));
CREATE TABLE child (extra int, CONSTRAINT more CHECK (n > 0)) INHERITS (parent);
INSERT INTO child VALUES (1, 5);
SELECT chatroom.update('parent', '1', '{"n": 10}') #> '{error,errors}';
SELECT chatroom.update('parent', '1', '{"n": -10}') #> '{error,errors}';

-- a constraint that names the partition is the server's to tell, after others
CREATE TABLE own (id int PRIMARY KEY, n int CHECK (n > 0),
	CONSTRAINT elsewhere CHECK (tableoid <> 'own'::regclass OR n < 9));
SELECT chatroom.changeset('own', '{"id": 1, "n": -2}') -> 'errors';
SELECT chatroom.insert('own', '{"id": 1, "n": -2}') #> '{error,errors}';
SELECT chatroom.insert('own', '{"id": 1, "n": 9}') #> '{error,errors}';
SELECT chatroom.insert('own', '{"id": 1, "n": 8}');

DROP SCHEMA caught CASCADE;
DROP EXTENSION chatroom;
