-- LISTEN to a topic; that doorbells ring, and how, is shown by t/021_listen.pl
\set VERBOSITY sqlstate
CREATE EXTENSION chatroom;
SET client_min_messages = warning;
CREATE SCHEMA bell;
CREATE TABLE bell.note (id int PRIMARY KEY, text text);
SELECT chatroom.watch('bell.note');
-- what the watch itself tells is past, and rings no bell below
SELECT chatroom.snapshot_cursor() IS NOT NULL;

-- the channel's name tells nothing
SELECT chatroom.channel('bell.note') ~ '^chatroom_[0-9a-f]{32}$' AS name,
	chatroom.channel('bell.note') = chatroom.channel('bell.note', '1 s') AS same,
	chatroom.channel('bell.note') <> chatroom.channel('bell.note:1') AS other;

-- as LISTEN: once, and with the transaction
SELECT chatroom.listen('bell.note') ~ '^1(-[0-9a-f]+){5}$' AS cursor;
SELECT count(chatroom.listen('bell.note')) FROM generate_series(1, 3);
SELECT c = chatroom.channel('bell.note') FROM pg_listening_channels() c;
BEGIN;
SELECT chatroom.unlisten('bell.note');
SAVEPOINT a;
SELECT chatroom.listen('bell.note:1') IS NOT NULL;
ROLLBACK TO a;
SELECT chatroom.listen('bell.note:2') IS NOT NULL;
COMMIT;
SELECT c = chatroom.channel('bell.note:2') FROM pg_listening_channels() c;
BEGIN READ ONLY;
SELECT chatroom.unlisten('bell.note:2');
SELECT chatroom.listen('bell.note') IS NOT NULL;
ROLLBACK;
SELECT c = chatroom.channel('bell.note:2') FROM pg_listening_channels() c;
SELECT chatroom.unlisten('bell.note:2');
SELECT chatroom.unlisten('bell.note:2');
SELECT count(*) FROM pg_listening_channels();

-- what a driver does by itself
DO $$ BEGIN EXECUTE format('LISTEN %I', chatroom.channel('bell.note')); END $$;
SELECT count(*) FROM pg_listening_channels();
SELECT chatroom.unlisten('bell.note');
SELECT count(*) FROM pg_listening_channels();
SELECT chatroom.listen('bell.note') IS NOT NULL;
DISCARD ALL;
SET client_min_messages = warning;
SELECT count(*) FROM pg_listening_channels();

-- not where LISTEN isn't allowed, nor by one who may not read
CREATE MATERIALIZED VIEW bell.view AS SELECT chatroom.listen('bell.note');
CREATE ROLE regress_bell;
GRANT USAGE ON SCHEMA bell TO regress_bell;
SET ROLE regress_bell;
SELECT chatroom.listen('bell.note');
SELECT chatroom.channel('bell.note', '1 s');
SELECT chatroom.listen('bell.note', 'somebody');
RESET ROLE;
SELECT count(*) FROM pg_listening_channels();

-- nor where something may be hidden from who listens: the bell would tell of it
ALTER TABLE bell.note ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON bell.note USING (true);
GRANT SELECT ON bell.note TO regress_bell;
SET ROLE regress_bell;
\set VERBOSITY default
SELECT chatroom.listen('bell.note');
\set VERBOSITY sqlstate
SELECT chatroom.channel('bell.note:1', '1 s');
RESET ROLE;
SELECT chatroom.channel('bell.note:1', '1 s') IS NOT NULL AS exempt;
ALTER TABLE bell.note DISABLE ROW LEVEL SECURITY;
SET ROLE regress_bell;
SELECT chatroom.channel('bell.note:1', '1 s') IS NOT NULL AS everything;
RESET ROLE;
-- what may come to be hidden names all channels anew, and nothing else does
CREATE TABLE bell.names (step int GENERATED ALWAYS AS IDENTITY, name text);
CREATE FUNCTION bell.renamed() RETURNS boolean LANGUAGE sql AS $$
	WITH before AS (SELECT name FROM bell.names ORDER BY step DESC LIMIT 1),
	now AS (INSERT INTO bell.names (name) VALUES (chatroom.channel('bell.note', '1 s')) RETURNING name)
	SELECT before.name <> now.name FROM before, now
$$;
SELECT bell.renamed();
GRANT SELECT ON bell.note TO PUBLIC;
SELECT bell.renamed() AS granted;
REVOKE SELECT ON bell.note FROM PUBLIC;
SELECT bell.renamed() AS revoked;
BEGIN;
ALTER TABLE bell.note ENABLE ROW LEVEL SECURITY;
ROLLBACK;
SELECT bell.renamed() AS undone;
ALTER TABLE bell.note ENABLE ROW LEVEL SECURITY;
SELECT bell.renamed() AS enabled;
ALTER TABLE bell.note FORCE ROW LEVEL SECURITY;
SELECT bell.renamed() AS forced;
ALTER POLICY everything ON bell.note USING (id > 0);
SELECT bell.renamed() AS altered;
DROP POLICY everything ON bell.note;
SELECT bell.renamed() AS dropped;
ALTER TABLE bell.note OWNER TO regress_bell;
SELECT bell.renamed() AS passed_on;
INSERT INTO bell.note VALUES (1, 'no change of rights');
ALTER TABLE bell.note ADD COLUMN more int;
SELECT bell.renamed() AS same;

-- no role takes listening from the others: it may have its share, which what has ended is no part of
CREATE ROLE regress_many;
CREATE TABLE bell.many (id int PRIMARY KEY);
SELECT chatroom.watch('bell.many');
GRANT USAGE ON SCHEMA bell TO regress_many, regress_bell;
GRANT SELECT ON bell.many TO regress_many, regress_bell;
CREATE FUNCTION bell.keep(first int, last int, keep interval) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM chatroom.channel('bell.many:' || i, keep) FROM generate_series(first, last) AS i;
	RETURN 'all';
EXCEPTION WHEN configuration_limit_exceeded THEN
	RETURN SQLERRM;
END $$;
SET ROLE regress_many;
SELECT bell.keep(1, 100000, '1 day');
SELECT bell.keep(1, 1, '1 day');
SELECT chatroom.listen('bell.many:100000');
SET ROLE regress_bell;
SELECT bell.keep(100001, 100003, '1 ms');
RESET ROLE;
SET chatroom.max_interests_per_role = 3;
SET ROLE regress_bell;
DO $$
BEGIN
	-- those of a millisecond end, and make room
	WHILE bell.keep(100004, 100005, '1 day') <> 'all' LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SELECT bell.keep(100006, 100007, '1 day');
RESET ROLE;
RESET chatroom.max_interests_per_role;
SELECT bell.keep(100008, 100020, '1 day');

DROP SCHEMA bell CASCADE;
DROP ROLE regress_many;
DROP ROLE regress_bell;
DROP EXTENSION chatroom;
