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

DROP SCHEMA bell CASCADE;
DROP ROLE regress_bell;
DROP EXTENSION chatroom;
