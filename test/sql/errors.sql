-- bad input gets an error that names what is wrong, its own SQLSTATE, and
-- where there is one a way out (docs/errors.md); a cursor that is well formed
-- and can't be continued gets a reset, no error
CREATE EXTENSION chatroom;
SET client_min_messages = warning;
CREATE ROLE regress_errors_owner;
CREATE ROLE regress_errors_reader;
CREATE SCHEMA bad;
GRANT USAGE, CREATE ON SCHEMA bad TO regress_errors_owner;
GRANT USAGE ON SCHEMA bad TO regress_errors_reader;
SET ROLE regress_errors_owner;
CREATE TABLE bad.a (id bigint PRIMARY KEY, n int, "Odd Name" text, secret text);
CREATE TABLE bad.b (id int PRIMARY KEY, a_id bigint REFERENCES bad.a);
CREATE TABLE bad.unwatched (id int PRIMARY KEY);
CREATE TABLE bad.others (id int PRIMARY KEY);
CREATE TABLE bad.nokey (n int);
SELECT chatroom.watch('bad.a');
SELECT chatroom.watch('bad.b');
SELECT chatroom.watch('bad.nokey');
RESET ROLE;

-- What a statement fails with.
CREATE FUNCTION bad.fails(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	m text; d text; h text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL,
		h = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', SQLSTATE || ': ' || left(m, 200),
					 'DETAIL: ' || nullif(left(d, 200), ''),
					 'HINT: ' || nullif(h, ''));
END $$;
GRANT EXECUTE ON FUNCTION bad.fails TO PUBLIC;
\pset format unaligned
\pset tuples_only on

-- topics
SELECT bad.fails($$SELECT chatroom.sync(NULL)$$);
SELECT bad.fails($$SELECT chatroom.sync('')$$);
SELECT bad.fails($$SELECT chatroom.sync(repeat('x', 1000001))$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.unwatched')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.unwatched:1')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a.n:1')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a.nosuch:1')$$);
SELECT bad.fails($$SELECT chatroom.sync_many(NULL)$$);
SELECT bad.fails($$SELECT chatroom.sync_many('{}')$$);
SELECT bad.fails($$SELECT chatroom.sync_many('{NULL}')$$);
SELECT bad.fails($$SELECT chatroom.sync_many('{bad.a,""}')$$);
SELECT bad.fails($$SELECT chatroom.sync_many('{{bad.a,bad.b},{bad.a,bad.b}}')$$);
SELECT bad.fails($$SELECT chatroom.sync_many(array_fill('bad.a'::text, '{100000}'))$$);
SELECT bad.fails($$SELECT chatroom.events(NULL)$$);
SELECT bad.fails($$SELECT chatroom.events('')$$);
SELECT bad.fails($$SELECT chatroom.pending(NULL)$$);
SELECT bad.fails($$SELECT chatroom.pending('')$$);

-- topics that the caller may not follow
SET ROLE regress_errors_reader;
SELECT bad.fails($$SELECT chatroom.sync('bad.a')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a:1')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.b.a_id:1')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.nosuch')$$);
SELECT bad.fails($$SELECT chatroom.sync('anything')$$);
SELECT bad.fails($$SELECT chatroom.events('bad.a')$$);
SELECT bad.fails($$SELECT chatroom.pending('bad.a')$$);
RESET ROLE;

-- limits
SELECT bad.fails($$SELECT chatroom.sync('bad.a', NULL, NULL)$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', NULL, 0)$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', NULL, -2147483648)$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', NULL, 2147483647)$$);
SELECT bad.fails($$SELECT chatroom.sync_many('{bad.a}', NULL, 0)$$);
SELECT bad.fails($$SELECT chatroom.events('bad.a', NULL, 0)$$);
SELECT bad.fails($$SELECT chatroom.events('bad.a', NULL, NULL)$$);

-- cursors that are none
SELECT bad.fails($$SELECT chatroom.sync('bad.a', '')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', 'garbage')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', repeat('äöü', 400000))$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', '2-1-1-1-1-1')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', '1-1-1-1-1')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', '1-1-1-1-1-')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', ' 1-1-1-1-1-1')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', '1-1-1-1-1-A')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', '1-1-1-1-1-11111111111111111')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', '1-100000000-1-1-1-1')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', '1-1-1-1-1-9-9')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', '1-1-1-1-1-9-5-4')$$);
SELECT bad.fails($$SELECT chatroom.sync('bad.a', '1-1-1-1-1-fff' ||
	(SELECT string_agg('-' || to_hex(i), '') FROM generate_series(1, 65) i))$$);
SELECT bad.fails($$SELECT chatroom.sync_many('{bad.a}', 'x')$$);
SELECT bad.fails($$SELECT chatroom.events('bad.a', 'x')$$);

-- cursors of another cluster, database, incarnation and timeline, from the
-- future, and from before the cache
SELECT chatroom.snapshot_cursor() AS cursor \gset
SELECT string_to_array(:'cursor', '-') AS parts \gset
SELECT chatroom.stat_reset();
CREATE FUNCTION bad.reset(parts text[], field int, value text) RETURNS text
LANGUAGE sql AS $$
	SELECT chatroom.sync('bad.a', array_to_string(parts[:field - 1] || value ||
		parts[field + 1:], '-'))->>'reset' $$;
SELECT bad.reset(:'parts', 6, (:'parts'::text[])[6]);
SELECT bad.reset(:'parts', 2, '1');
SELECT bad.reset(:'parts', 3, '1');
SELECT bad.reset(:'parts', 4, '1');
SELECT bad.reset(:'parts', 5, 'ffff');
SELECT bad.reset(:'parts', 6, 'ffffffffffffffff');
SELECT bad.reset(:'parts', 6, '1');
SELECT bad.reset(:'parts', 6, '0');
SELECT chatroom.sync('bad.a', '1-0-0-0-0-0')->>'reset';
-- the answer of a reset goes on from now
SELECT json_array_length(a->'events'), a->>'more',
	   chatroom.sync('bad.a', a->>'cursor')->>'reset'
  FROM chatroom.sync('bad.a', '1-0-0-0-0-0') AS a;
SELECT type FROM chatroom.events('bad.a', '1-0-0-0-0-0');
CALL chatroom.wait('{bad.a}', '1-0-0-0-0-0', '0') \gset
SELECT :'answer'::json->>'reset';
SELECT key FROM chatroom.status, jsonb_each(resets)
 WHERE database = current_database() ORDER BY key;

-- wait
BEGIN;
CALL chatroom.wait('{bad.a}', NULL, '0');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
SELECT bad.fails($$CALL chatroom.wait('{bad.a}', NULL, '0')$$);
CALL chatroom.wait(NULL, NULL, '0');
CALL chatroom.wait('{}', NULL, '0');
CALL chatroom.wait('{NULL}', NULL, '0');
CALL chatroom.wait('{{bad.a},{bad.b}}', NULL, '0');
CALL chatroom.wait(array_fill('bad.a'::text, '{100000}'), NULL, '0');
CALL chatroom.wait('{""}', NULL, '0');
CALL chatroom.wait('{bad.unwatched}', NULL, '0');
CALL chatroom.wait('{bad.a}', 'garbage', '0');
CALL chatroom.wait('{bad.a}', NULL, NULL);
CALL chatroom.wait('{bad.a}', NULL, '-1 ms');
CALL chatroom.wait('{bad.a}', NULL, '1 month -31 days');
CALL chatroom.wait('{bad.a}', NULL, '1000 years');
CALL chatroom.wait('{bad.a}', NULL, '-178000000 years');
\echo :LAST_ERROR_SQLSTATE
CALL chatroom.wait('{bad.a}', NULL, '0', NULL);
CALL chatroom.wait('{bad.a}', NULL, '0', 0);
SET ROLE regress_errors_reader;
CALL chatroom.wait('{bad.a}', NULL, '0');
\echo :LAST_ERROR_SQLSTATE
CALL chatroom.wait('{anything}', NULL, '0');
\echo :LAST_ERROR_SQLSTATE
CALL chatroom.wait('{bad.a}', NULL, '0', acting_for => 'someone');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;

-- what can't be watched
CREATE VIEW bad.a_view AS SELECT * FROM bad.a;
CREATE MATERIALIZED VIEW bad.a_matview AS SELECT * FROM bad.a;
CREATE SEQUENCE bad.a_sequence;
CREATE TEMPORARY TABLE a_temporary (id int);
CREATE UNLOGGED TABLE bad.a_unlogged (id int);
CREATE TYPE bad.a_type AS (id int);
CREATE TABLE bad.parted (id int) PARTITION BY LIST (id);
CREATE TABLE bad.part PARTITION OF bad.parted DEFAULT;
CREATE FOREIGN DATA WRAPPER regress_errors_fdw;
CREATE SERVER regress_errors_server FOREIGN DATA WRAPPER regress_errors_fdw;
CREATE FOREIGN TABLE bad.a_foreign (id int) SERVER regress_errors_server;
SELECT bad.fails($$SELECT chatroom.watch('bad.a_view')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a_matview')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a_sequence')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a_pkey')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a_type')$$);
SELECT bad.fails($$SELECT chatroom.watch('a_temporary')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a_unlogged')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.part')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a_foreign')$$);
SELECT bad.fails($$SELECT chatroom.watch('pg_class')$$);
SELECT bad.fails($$SELECT chatroom.watch('pg_catalog.pg_authid')$$);
SET ROLE regress_errors_reader;
SELECT bad.fails($$SELECT chatroom.watch('bad.a')$$);
SELECT bad.fails($$SELECT chatroom.unwatch('bad.a')$$);
RESET ROLE;

-- names of tables
SELECT bad.fails($$SELECT chatroom.watch(NULL)$$);
SELECT bad.fails($$SELECT chatroom.watch('')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.nosuch')$$);
SELECT bad.fails($$SELECT chatroom.watch('nosuch.a')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.A; DROP TABLE bad.a')$$);
SELECT bad.fails($$SELECT chatroom.watch('"bad.a')$$);
SELECT bad.fails($$SELECT chatroom.watch('a.b.c.d.e')$$);
SELECT bad.fails($$SELECT chatroom.watch('other.bad.a')$$);
SELECT bad.fails($$SELECT chatroom.watch('4294967295')$$);
SELECT bad.fails($$SELECT chatroom.watch('99999999999')$$);
SELECT bad.fails($$SELECT chatroom.watch(repeat('x', 1000000))$$);

-- options of a watch
SELECT bad.fails($$SELECT chatroom.watch('bad.a', events => '{}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', events => '{select}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', events => '{insert,insert}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', events => '{NULL}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', events => '{{insert},{update}}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', columns => '{}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', columns => '{nosuch}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', columns => '{id,id}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', columns => '{id,NULL}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', columns => '{{id},{n}}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', columns => '{ctid}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', columns => array_fill('id'::text, '{100000}'))$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', trigger_columns => '{}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', trigger_columns => '{nosuch}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', events => '{insert,delete}', trigger_columns => '{n}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', topic_columns => '{nosuch}')$$);
CREATE TABLE bad.wide (a int, b int, c int, d int, e int, f int, g int);
SELECT bad.fails($$SELECT chatroom.watch('bad.wide', topic_columns => '{a,b,c,d,e,f,g}')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', big_numbers => 'string')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', label => '')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', label => repeat('x', 64))$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', label => 'a:b')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', label => E'a\nb')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', label => 'rooms')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', label => 'bad.label')$$);
SELECT chatroom.watch('bad.b', label => 'taken');
SELECT bad.fails($$SELECT chatroom.watch('bad.a', label => 'taken')$$);
CREATE TABLE bad.triggered (id int PRIMARY KEY);
CREATE TRIGGER chatroom_emit BEFORE UPDATE ON bad.triggered
	FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
SELECT bad.fails($$SELECT chatroom.watch('bad.triggered')$$);

-- conditions
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => '')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => 'n >')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => 'n')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => 'nosuch > 1')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => 'n > 1, n > 2')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => 'n > 1 AS x')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => 'n > 1 ORDER BY 1')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => 'true) EXECUTE FUNCTION f(')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => 'true; DROP TABLE bad.a')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => 'ctid IS NULL')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => 'count(*) > 1')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => 'EXISTS (SELECT)')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => '$1')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => 'row_number() OVER () = 1')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => 'generate_series(1, 2) = 1')$$);
SELECT bad.fails($$SELECT chatroom.watch('bad.a', condition => 'true UNION SELECT false')$$);

-- topic
SELECT bad.fails($$SELECT chatroom.topic(NULL)$$);
SELECT bad.fails($$SELECT chatroom.topic('bad.nosuch')$$);
SELECT bad.fails($$SELECT chatroom.topic('nosuch')$$);
SELECT bad.fails($$SELECT chatroom.topic('bad.a', '{}')$$);
SELECT bad.fails($$SELECT chatroom.topic('bad.a', '[1]')$$);
SELECT bad.fails($$SELECT chatroom.topic('bad.a', 'null')$$);
SELECT bad.fails($$SELECT chatroom.topic('bad.a', '{"id": null}')$$);
SELECT bad.fails($$SELECT chatroom.topic('bad.a', '{"nosuch": 1}')$$);
SELECT bad.fails($$SELECT chatroom.topic('bad.a', '{"ctid": "(0,1)"}')$$);
SELECT bad.fails($$SELECT chatroom.topic('bad.a', '{"id": "x"}')$$);
SELECT bad.fails($$SELECT chatroom.topic('bad.a', '{"id": [1]}')$$);
SELECT bad.fails($$SELECT chatroom.topic('bad.a', '{"id": 1, "n": 1}')$$);
SELECT bad.fails($$SELECT chatroom.topic('bad.b', '{"a_id": 1, "id": 2}')$$);
SELECT bad.fails($$SELECT chatroom.topic('bad.nokey', '1')$$);

-- cached
SELECT bad.fails($$SELECT chatroom.cached('bad.nosuch', '{"id": 1}')$$);
SELECT bad.fails($$SELECT chatroom.cached('bad.unwatched', '{"id": 1}')$$);
SELECT bad.fails($$SELECT chatroom.cached('bad.a', '{"n": 1}')$$);
SELECT bad.fails($$SELECT chatroom.cached('bad.b', '{"a_id": 1}')$$);

-- doorbells
SELECT bad.fails($$SELECT chatroom.listen(NULL)$$);
SELECT bad.fails($$SELECT chatroom.listen('')$$);
SELECT bad.fails($$SELECT chatroom.listen('bad.unwatched')$$);
SELECT bad.fails($$SELECT chatroom.unlisten(NULL)$$);
SELECT bad.fails($$SELECT chatroom.unlisten('never listened to')$$);
SELECT bad.fails($$SELECT chatroom.channel(NULL)$$);
SELECT bad.fails($$SELECT chatroom.channel('bad.a', '0')$$);
SELECT bad.fails($$SELECT chatroom.channel('bad.a', '-1 s')$$);
SELECT bad.fails($$SELECT chatroom.channel('bad.a', '25 h')$$);
SELECT bad.fails($$SELECT chatroom.channel('bad.a', '1000 years')$$);
SET ROLE regress_errors_reader;
SELECT bad.fails($$SELECT chatroom.listen('bad.a')$$);
SELECT bad.fails($$SELECT chatroom.channel('anything')$$);
RESET ROLE;

-- grants
SELECT bad.fails($$SELECT chatroom.grant_topic(NULL, 'public', '{sync}')$$);
SELECT bad.fails($$SELECT chatroom.grant_topic('lobby', NULL, '{sync}')$$);
SELECT bad.fails($$SELECT chatroom.grant_topic('lobby', 'public', NULL)$$);
SELECT bad.fails($$SELECT chatroom.grant_topic('', 'public', '{sync}')$$);
SELECT bad.fails($$SELECT chatroom.grant_topic(repeat('x', 1000001), 'public', '{sync}')$$);
SELECT bad.fails($$SELECT chatroom.grant_topic('lobby', 'regress_nobody', '{sync}')$$);
SELECT bad.fails($$SELECT chatroom.grant_topic('lobby', '', '{sync}')$$);
SELECT bad.fails($$SELECT chatroom.grant_topic('lobby', 'public', '{}')$$);
SELECT bad.fails($$SELECT chatroom.grant_topic('lobby', 'public', '{NULL}')$$);
SELECT bad.fails($$SELECT chatroom.grant_topic('lobby', 'public', '{{sync},{track}}')$$);
SELECT bad.fails($$SELECT chatroom.grant_topic('lobby', 'public', '{read}')$$);
SELECT bad.fails($$SELECT chatroom.grant_topic('bad.a', 'public', '{sync}')$$);
SELECT bad.fails($$SELECT chatroom.grant_topic('bad.*', 'public', '{sync}')$$);
SELECT bad.fails($$SELECT chatroom.grant_topic('rooms', 'public', '{sync}')$$);
SELECT bad.fails($$SELECT chatroom.grant_topic('room:*', 'public', '{sync}')$$);
SELECT bad.fails($$SELECT chatroom.grant_topic('chat/*', 'public', '{sync}')$$);
SELECT bad.fails($$SELECT chatroom.revoke_topic('never granted', 'public')$$);
SET ROLE regress_errors_reader;
SELECT bad.fails($$SELECT chatroom.grant_topic('lobby', 'public', '{sync}')$$);
SELECT bad.fails($$SELECT chatroom.revoke_topic('lobby', 'public')$$);
SELECT bad.fails($$SELECT FROM chatroom.topic_grant$$);
RESET ROLE;

-- paths of associations
SELECT bad.fails($$SELECT chatroom.watch_assocs(NULL, '{b}')$$);
SELECT bad.fails($$SELECT chatroom.watch_assocs('bad.a', NULL)$$);
SELECT bad.fails($$SELECT chatroom.watch_assocs('bad.a', '{NULL}')$$);
SELECT bad.fails($$SELECT chatroom.watch_assocs('bad.a', '{{b},{b}}')$$);
SELECT bad.fails($$SELECT chatroom.watch_assocs('bad.a', '{""}')$$);
SELECT bad.fails($$SELECT chatroom.watch_assocs('bad.a', '{b..a}')$$);
SELECT bad.fails($$SELECT chatroom.watch_assocs('bad.a', '{nosuch}')$$);
SELECT bad.fails($$SELECT chatroom.watch_assocs('bad.others', '{b}')$$);
SELECT bad.fails($$SELECT chatroom.watch_assocs('bad.a', ARRAY[repeat('b.', 500000)])$$);

-- unwatch
SELECT bad.fails($$SELECT chatroom.unwatch(NULL)$$);
SELECT bad.fails($$SELECT chatroom.unwatch('bad.nosuch')$$);
SELECT bad.fails($$SELECT chatroom.unwatch('bad.unwatched')$$);
SELECT bad.fails($$SELECT chatroom.unwatch('bad.a', 'nosuch')$$);

-- where nothing may be written
SET default_transaction_read_only = on;
SELECT bad.fails($$SELECT chatroom.watch('bad.unwatched')$$);
SELECT bad.fails($$SELECT chatroom.unwatch('bad.a')$$);
SET default_transaction_read_only = off;

-- functions that are triggers', and triggers that chatroom.watch() didn't make
SELECT bad.fails($$SELECT chatroom.emit()$$);
SELECT bad.fails($$SELECT chatroom.on_ddl()$$);
CREATE TRIGGER by_hand AFTER INSERT ON bad.unwatched
	FOR EACH ROW EXECUTE FUNCTION chatroom.emit();
SELECT bad.fails($$INSERT INTO bad.unwatched VALUES (1)$$);
DROP TRIGGER by_hand ON bad.unwatched;
CREATE TRIGGER by_hand BEFORE INSERT ON bad.unwatched
	FOR EACH ROW EXECUTE FUNCTION chatroom.emit('');
SELECT bad.fails($$INSERT INTO bad.unwatched VALUES (1)$$);
DROP TRIGGER by_hand ON bad.unwatched;
CREATE TRIGGER by_hand AFTER INSERT ON bad.unwatched
	FOR EACH ROW EXECUTE FUNCTION chatroom.emit('rooms');
SELECT bad.fails($$INSERT INTO bad.unwatched VALUES (1)$$);
DROP TRIGGER by_hand ON bad.unwatched;
CREATE TRIGGER by_hand AFTER INSERT ON bad.unwatched
	FOR EACH ROW EXECUTE FUNCTION chatroom.emit('taken');
SELECT bad.fails($$INSERT INTO bad.unwatched VALUES (1)$$);
DROP TRIGGER by_hand ON bad.unwatched;
CREATE TRIGGER by_hand AFTER INSERT ON bad.unwatched
	FOR EACH ROW EXECUTE FUNCTION chatroom.watch_option();
SELECT bad.fails($$INSERT INTO bad.unwatched VALUES (1)$$);
DROP TRIGGER by_hand ON bad.unwatched;
CREATE TRIGGER by_hand AFTER INSERT ON bad.unwatched
	FOR EACH ROW EXECUTE FUNCTION chatroom.emit_truncate('');
SELECT bad.fails($$INSERT INTO bad.unwatched VALUES (2)$$);
DROP TRIGGER by_hand ON bad.unwatched;

-- what is an administrator's
SET ROLE regress_errors_reader;
SELECT bad.fails($$SELECT chatroom.start()$$);
SELECT bad.fails($$SELECT chatroom.stop()$$);
SELECT bad.fails($$SELECT chatroom.stat_reset()$$);
SELECT bad.fails($$SELECT chatroom.on_drop()$$);
RESET ROLE;

-- settings
SELECT bad.fails($$SET chatroom.origin = '$$ || repeat('x', 65) || $$'$$);
SELECT bad.fails($$SET chatroom.nosuch = 1$$);
SELECT bad.fails($$SET chatroom.cache_size = '64MB'$$);
SELECT bad.fails($$SET chatroom.emit = off$$);
SET ROLE regress_errors_reader;
SELECT bad.fails($$SET chatroom.max_event_size = '1GB'$$);
SELECT bad.fails($$SET chatroom.max_wait = 0$$);
SELECT bad.fails($$SET chatroom.claims = 'x'$$);
RESET ROLE;

-- after all that
SELECT messages_torn FROM chatroom.status;
INSERT INTO bad.a VALUES (1, 2, 'x');
CALL chatroom.wait('{bad.a}', :'cursor') \gset
SELECT e->>'type', e->'key'
  FROM json_array_elements(:'answer'::json->'events') AS e;

DROP SCHEMA bad CASCADE;
DROP FOREIGN DATA WRAPPER regress_errors_fdw CASCADE;
DROP EXTENSION chatroom;
DROP ROLE regress_errors_owner, regress_errors_reader;
