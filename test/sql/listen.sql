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

DROP SCHEMA bell CASCADE;
DROP ROLE regress_bell;
DROP EXTENSION chatroom;
