-- Who is present: sessions and leases, their events, and who may.
CREATE EXTENSION chatroom;
CREATE ROLE regress_presence_ann;
CREATE SCHEMA pr;
CREATE TABLE pr.t (id int PRIMARY KEY);
SELECT chatroom.watch('pr.t', label => 'things');

-- presence without what differs from run to run
CREATE FUNCTION present(topic text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT key || ' ' || (m - 'phx_ref')::text || CASE WHEN m->>'phx_ref' ~ '^[0-9a-f]{16}$' THEN '' ELSE ' without ref' END
	FROM json_each(chatroom.presence(topic)) WITH ORDINALITY AS e(key, value, n),
		jsonb_array_elements(value::jsonb->'metas') WITH ORDINALITY AS a(m, i)
	ORDER BY n, i;
$$;
-- events after a cursor, once the worker has told of all that was done
CREATE FUNCTION told(topic text, since text, wanted int) RETURNS TABLE (type text, key jsonb, meta jsonb) LANGUAGE plpgsql AS $$
DECLARE
	n int;
BEGIN
	FOR i IN 1 .. 20000 LOOP
		SELECT count(*) INTO n FROM chatroom.events(topic, since);
		EXIT WHEN n >= wanted;
		PERFORM pg_sleep(0.005);
	END LOOP;
	RETURN QUERY SELECT e.type, e.key, e.payload - 'phx_ref' - 'phx_ref_prev' FROM chatroom.events(topic, since) AS e;
END
$$;

SELECT chatroom.snapshot_cursor() AS cursor \gset
SELECT chatroom.presence('lobby');
SELECT chatroom.track('lobby', 'ann', '{"status": "online", "n": [1, null]}') AS first \gset
SELECT :'first' ~ '^[0-9a-f]{16}$' AS ref, * FROM present('lobby');
SELECT chatroom.presence('lobby')::jsonb #>> '{ann,metas,0,phx_ref}' = :'first' AS same;

-- again: nothing but a renewal, whatever the order of fields; another meta is an update
SELECT chatroom.track('lobby', 'ann', '{"n": [1, null], "status": "online"}') = :'first' AS same;
SELECT chatroom.track('lobby', 'ann', '{"status": "away"}') AS second \gset
SELECT :'first' <> :'second' AS differs, * FROM present('lobby');

-- a session's entries and leases stand side by side; keys are sorted
SELECT chatroom.track('lobby', 'ann', '{"id": "phone"}', '1 hour') IS NOT NULL AS phone,
	chatroom.track('lobby', 'ann', '{"id": "laptop", "x": 1}', '1 hour') IS NOT NULL AS laptop,
	chatroom.track('lobby', 'ann', '{}', '1 hour') IS NOT NULL AS without_id,
	chatroom.track('lobby', 'Bob "the" Ü', '{}') IS NOT NULL AS bob,
	chatroom.track('elsewhere', 'ann') IS NOT NULL AS elsewhere;
SELECT chatroom.track('lobby', 'ann', '{"id": "laptop", "x": 2}', '1 hour') IS NOT NULL AS laptop;
SELECT * FROM present('lobby');
SELECT * FROM present('elsewhere');
-- a number and its text are one id
SELECT chatroom.track('ids', 'ann', '{"id": 7}', '1 hour') <> chatroom.track('ids', 'ann', '{"id": "7"}', '1 hour') AS differ;
SELECT * FROM present('ids');

-- what is ours to say is not taken from callers
SELECT chatroom.track('lobby', 'carl', '{"phx_ref": "mine", "phx_ref_prev": "too", "x": 1}') IS NOT NULL AS ref;
SELECT * FROM present('lobby') LIMIT 3 OFFSET 5;

-- untrack: this session's and the leases of a key
SELECT chatroom.untrack('lobby', 'ann');
SELECT chatroom.untrack('lobby', 'carl'), chatroom.untrack('lobby', 'nobody');
SELECT * FROM present('lobby');
SELECT * FROM told('lobby', :'cursor', 13);

-- an event as JSON; an update tells both refs
SELECT regexp_replace(e::text, '"(cursor|at)":"[^"]+"', '"\1":"…"', 'g') =
	format('{"cursor":"…","type":"presence_update","topics":["lobby"],"key":"ann","meta":{"status": "away", "phx_ref": "%s", "phx_ref_prev": "%s"},"at":"…","origin":null}', :'second', :'first') AS as_documented
FROM json_array_elements(chatroom.sync('lobby', :'cursor')->'events') WITH ORDINALITY AS a(e, n) WHERE n = 2;

-- it is out at once, whatever becomes of the transaction; in a READ ONLY one, too
SELECT chatroom.snapshot_cursor() AS cursor \gset
BEGIN READ ONLY;
SELECT chatroom.track('lobby', 'reader') IS NOT NULL AS tracked;
SELECT pg_current_xact_id_if_assigned() IS NULL AS without_xid, chatroom.pending('lobby')->'events' AS pending;
ROLLBACK;
BEGIN;
SAVEPOINT a;
SET LOCAL chatroom.origin = 'me';
SELECT chatroom.track('lobby', 'undone') IS NOT NULL AS tracked;
ROLLBACK TO a;
SELECT chatroom.untrack('lobby', 'reader');
ROLLBACK;
SELECT * FROM present('lobby');
SELECT * FROM told('lobby', :'cursor', 3);
SELECT origin, key FROM chatroom.events('lobby', :'cursor') WHERE origin IS NOT NULL;

-- a lease ends by itself; with another ttl it ends at another time
SELECT chatroom.snapshot_cursor() AS cursor \gset
SELECT chatroom.track('leases', 'short', '{}', '20 ms') IS NOT NULL AS tracked,
	chatroom.track('leases', 'long', '{}', '1 hour') IS NOT NULL AS tracked,
	chatroom.track('leases', 'cut', '{}', '1 hour') IS NOT NULL AS tracked;
SELECT chatroom.track('leases', 'cut', '{}', '20 ms') IS NOT NULL AS tracked;
SELECT type, key FROM told('leases', :'cursor', 5) ORDER BY type, key;
SELECT * FROM present('leases');

-- texts longer than a chunk
SELECT chatroom.track('texts:' || repeat('t', 994), repeat('k', 255), jsonb_build_object('m', repeat('m', 4096 - 9))) IS NOT NULL AS tracked;
SELECT length(key), length(value::text) - length('{"metas": [, "phx_ref": ""]}') - 16 AS meta FROM json_each(chatroom.presence('texts:' || repeat('t', 994)));
SELECT * FROM present('texts:' || repeat('t', 993));
SELECT chatroom.untrack('texts:' || repeat('t', 994), repeat('k', 255));
SELECT * FROM present('texts:' || repeat('t', 994));

-- DISCARD ALL ends what is a session's
SELECT * FROM present('lobby');
DISCARD ALL;
SELECT * FROM present('lobby');
SELECT * FROM present('elsewhere');
SELECT * FROM present('ids');
SELECT chatroom.untrack('ids', 'ann'), chatroom.untrack('leases', 'long');

-- status counts
SELECT present, presence_limit, presence_refused FROM chatroom.status;

-- errors
SELECT chatroom.track(NULL, 'x');
SELECT chatroom.track('lobby', NULL);
SELECT chatroom.track('lobby', 'x', NULL);
SELECT chatroom.track('', 'x');
SELECT chatroom.track('lobby', '');
SELECT chatroom.track('lobby', repeat('k', 256));
SELECT chatroom.track('lobby', 'x', '[]');
SELECT chatroom.track('lobby', 'x', '"x"');
SELECT chatroom.track('lobby', 'x', jsonb_build_object('m', repeat('m', 4096 - 8)));
SELECT chatroom.track('lobby', 'x', jsonb_build_object('m', repeat('m', 10000000)));
SELECT chatroom.track('lobby', 'x', '{}', '0');
SELECT chatroom.track('lobby', 'x', '{}', '-1 s');
SELECT chatroom.track('lobby', 'x', '{}', '25 hours');
SELECT chatroom.track('things', 'x');
SELECT chatroom.track('things:1', 'x');
SELECT chatroom.track('pr.t', 'x');
SELECT chatroom.track('rooms', 'x');
SELECT chatroom.presence('things');
SELECT chatroom.presence('pr.t:1');
SELECT chatroom.presence(NULL);
SELECT chatroom.untrack('pr.t', 'x');
SELECT chatroom.untrack(NULL, 'x');
SELECT chatroom.untrack('lobby', NULL);

-- who may
SET ROLE regress_presence_ann;
SELECT chatroom.track('lobby', 'x');
SELECT chatroom.untrack('lobby', 'x');
SELECT chatroom.presence('lobby');
RESET ROLE;
SELECT chatroom.grant_topic('lob*', 'regress_presence_ann', '{sync}');
SET ROLE regress_presence_ann;
SELECT chatroom.presence('lobby');
SELECT chatroom.track('lobby', 'x');
RESET ROLE;
SELECT chatroom.grant_topic('lob*', 'regress_presence_ann', '{track}');
SET chatroom.max_presence_per_role = 1;
SET ROLE regress_presence_ann;
SELECT chatroom.track('lobby', 'x') IS NOT NULL AS tracked;
SELECT chatroom.track('lobby', 'y') IS NOT NULL AS tracked;
SET chatroom.max_presence_per_role = 2;
RESET ROLE;
RESET chatroom.max_presence_per_role;
SELECT * FROM present('lobby');
DROP EXTENSION chatroom CASCADE;
DISCARD ALL;
DROP FUNCTION present, told;
DROP SCHEMA pr CASCADE;
DROP ROLE regress_presence_ann;
