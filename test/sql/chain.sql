-- Long chains: a topic's events are counted from a little below 2^32 on, so
-- that this many pass it. Read in pieces, none is left out or told twice.
CREATE EXTENSION chatroom;
CREATE TABLE links (id int PRIMARY KEY);
SELECT chatroom.watch('links') IS NOT NULL AS watched;
SELECT state FROM chatroom.status WHERE database = current_database();
SELECT chatroom.snapshot_cursor() AS start \gset

DO $$
BEGIN
	FOR i IN 1 .. 700 LOOP
		INSERT INTO links VALUES (i);
	END LOOP;
END $$;
-- transactions of their own: an answer ends with a whole one
CREATE PROCEDURE extend(first int, last int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first .. last LOOP
		INSERT INTO links VALUES (i);
		COMMIT;
	END LOOP;
END $$;
CALL extend(701, 1500);
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;

CREATE FUNCTION read_all(cursor text, step int, OUT ids int[], OUT resets int)
LANGUAGE plpgsql AS $$
DECLARE
	answer json;
BEGIN
	resets := 0;
	LOOP
		answer := chatroom.sync('public.links', cursor, step);
		ids := ids || ARRAY(SELECT (e -> 'key' ->> 'id')::int
							FROM json_array_elements(answer -> 'events') e);
		resets := resets + (answer ->> 'reset')::boolean::int;
		cursor := answer ->> 'cursor';
		EXIT WHEN NOT (answer ->> 'more')::boolean;
	END LOOP;
END $$;
SELECT step, cardinality(ids), resets,
	ids = ARRAY(SELECT generate_series(1, 1500)) AS exact
FROM generate_series(1, 300, 23) AS step, read_all(:'start', step);

-- from each place of it
SELECT count(*) AS cursors,
	bool_and((answer ->> 'reset')::boolean) AS reset,
	bool_and(json_array_length(answer -> 'events') = 1500 - id) AS exact
FROM (
	SELECT id, chatroom.sync('public.links', cursor, 2000) AS answer
	FROM chatroom.events('public.links', :'start', 2000) AS e,
		LATERAL (SELECT (e.key ->> 'id')::int AS id) AS k
	WHERE id >= 700) AS answers;

-- the newest of it
SELECT array_length(array_agg(e), 1) AS n,
	min((e.key ->> 'id')::int), max((e.key ->> 'id')::int)
FROM chatroom.events('public.links', NULL, 1000) AS e;
SELECT topic, events FROM chatroom.stat_topics WHERE topic = 'public.links';

SELECT chatroom.unwatch('links') IS NOT NULL AS unwatched;
DROP TABLE links;
DROP FUNCTION read_all;
DROP PROCEDURE extend;
DROP EXTENSION chatroom;
