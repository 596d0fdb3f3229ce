-- list_messages, list_messages_by, list_rooms: pages

SET client_min_messages = warning;
CREATE EXTENSION chatroom;
SELECT chatroom.migrate();
SELECT chatroom.create_room('lobby') ->> 'id' AS lobby \gset
SELECT chatroom.create_room('den') ->> 'id' AS den \gset

-- the ids of a page's messages, and what it says of what follows
CREATE FUNCTION page(answer json, OUT ids text, OUT more boolean,
	OUT end_reached text)
LANGUAGE sql AS $$
	SELECT (SELECT string_agg(m ->> 'id', ' ') FROM
			json_array_elements(coalesce(answer -> 'messages',
										 answer -> 'rooms')) m),
		answer ->> 'next' IS NOT NULL, answer ->> 'end_reached' $$;
-- all pages of a room, newest first
CREATE FUNCTION walk(room text, max_rows int)
RETURNS TABLE (page int, ids text) LANGUAGE plpgsql AS $$
DECLARE
	answer json;
	place text;
BEGIN
	page := 1;
	LOOP
		answer := chatroom.list_messages(room, place, max_rows);
		ids := (page(answer)).ids;
		RETURN NEXT;
		place := answer ->> 'next';
		EXIT WHEN (answer ->> 'end_reached')::boolean;
		page := page + 1;
	END LOOP;
END $$;

-- nothing yet
SELECT chatroom.list_messages('lobby');
SELECT chatroom.list_messages_by('alice');

-- 31 of one microsecond
INSERT INTO chat.messages (room_id, username, text, inserted_at)
	SELECT :lobby, 'alice', 'message ' || i, '2026-01-01 12:00:00.123456Z'
	FROM generate_series(1, 31) i;
SELECT (page(chatroom.list_messages('lobby'))).*;
SELECT (page(chatroom.list_messages('lobby',
	chatroom.list_messages('lobby') ->> 'next'))).*;
SELECT * FROM walk('lobby', 7);
-- a page that is just full
SELECT (page(chatroom.list_messages('lobby', NULL, 31))).*;
SELECT (page(chatroom.list_messages('lobby', NULL, 32))).*;
SELECT (page(chatroom.list_messages('lobby', NULL, NULL))).*;
DELETE FROM chat.messages WHERE id > 30;
SELECT (page(chatroom.list_messages('lobby'))).*;
SELECT count(*), max(page), string_agg(ids, '; ') FROM walk('lobby', 10);

-- the order is that of inserted_at, then id
INSERT INTO chat.messages (id, room_id, username, text, inserted_at)
	OVERRIDING SYSTEM VALUE VALUES
	(101, :lobby, 'alice', 'late', '2026-01-01 12:00:00.123457Z'),
	(100, :lobby, 'bobby', 'later', '2026-01-02 12:00:00Z'),
	(102, :lobby, 'bobby', 'early', '2025-12-31 12:00:00Z');
SELECT (page(chatroom.list_messages('lobby', NULL, 3))).*;
SELECT (page(chatroom.list_messages('lobby',
	chatroom.list_messages('lobby', NULL, 3) ->> 'next', 2))).*;

-- a timestamp is a place, too: before all of that moment
SELECT (page(chatroom.list_messages('lobby', '2026-01-01 12:00:00.123457Z'))).*;
SELECT (page(chatroom.list_messages('lobby', '2026-01-01T12:00:00.123456+00:00'))).*;
SELECT (page(chatroom.list_messages('lobby', 'infinity', 1))).*;
SELECT (page(chatroom.list_messages('lobby', '-infinity'))).*;
SET TimeZone = 'America/New_York';
SELECT (page(chatroom.list_messages('lobby', '2026-01-01 07:00:00.123456'))).*;
SELECT (page(chatroom.list_messages('lobby',
	chatroom.list_messages('lobby', NULL, 3) ->> 'next', 2))).*;
RESET TimeZone;

-- what goes on meanwhile hides nothing and repeats nothing
SELECT chatroom.list_messages('lobby', NULL, 5) ->> 'next' AS place \gset
DELETE FROM chat.messages WHERE id IN (28, 27, 25);
SELECT chatroom.post('lobby', 'alice', 'new') IS NOT NULL AS posted;
SELECT (page(chatroom.list_messages('lobby', :'place', 3))).*;
SELECT (page(chatroom.list_messages('den', :'place', 3))).*;

-- by a user, in all rooms
SELECT chatroom.post('den', 'bobby', 'in the den') ->> 'room_id' = :'den' AS den;
SELECT (page(chatroom.list_messages_by('bobby'))).*;
SELECT (page(chatroom.list_messages_by('bobby', NULL, 2))).*;
SELECT (page(chatroom.list_messages_by('bobby',
	chatroom.list_messages_by('bobby', NULL, 2) ->> 'next', 2))).*;
SELECT (page(chatroom.list_messages_by('nobody'))).*;

-- rooms, the other way
SELECT (page(chatroom.list_rooms())).*;
SELECT (page(chatroom.list_rooms(NULL, 2))).*;
SELECT (page(chatroom.list_rooms(NULL, 1))).*;
SELECT (page(chatroom.list_rooms(chatroom.list_rooms(NULL, 1) ->> 'next', 1))).*;
SELECT (page(chatroom.list_rooms('infinity'))).*;
SELECT (page(chatroom.list_rooms('-infinity', NULL))).*;
UPDATE chat.rooms SET inserted_at = '2026-01-01';
SELECT (page(chatroom.list_rooms(NULL, 1))).*;
SELECT (page(chatroom.list_rooms(chatroom.list_rooms(NULL, 1) ->> 'next'))).*;
SELECT (page(chatroom.list_rooms('2026-01-01'))).*;
SELECT (page(chatroom.list_rooms('2025-12-31'))).*;

-- what is no place, and no number of rows
SELECT chatroom.list_messages('lobby', 'bla');
\echo :SQLSTATE
SELECT chatroom.list_messages('lobby', '');
\echo :SQLSTATE
SELECT chatroom.list_messages('lobby', 'p');
\echo :SQLSTATE
SELECT chatroom.list_messages('lobby', 'p1.');
\echo :SQLSTATE
SELECT chatroom.list_messages('lobby', 'p1.2 ');
\echo :SQLSTATE
SELECT chatroom.list_messages('lobby', 'p1.99999999999999999999');
\echo :SQLSTATE
SELECT chatroom.list_messages('lobby', '2026-02-30');
\echo :SQLSTATE
SELECT chatroom.list_messages('lobby', '999999-01-01');
\echo :SQLSTATE
SELECT chatroom.list_messages('lobby', repeat('ü', 100));
\echo :SQLSTATE
SELECT chatroom.list_messages_by('bobby', 'bla');
\echo :SQLSTATE
SELECT chatroom.list_rooms('bla');
\echo :SQLSTATE
SELECT chatroom.list_messages('lobby', NULL, 0);
\echo :SQLSTATE
SELECT chatroom.list_messages('lobby', NULL, -1);
\echo :SQLSTATE
SELECT chatroom.list_messages_by('alice', NULL, 0);
\echo :SQLSTATE
SELECT chatroom.list_rooms(NULL, 0);
\echo :SQLSTATE
SELECT chatroom.list_messages('nope');
\echo :SQLSTATE
SELECT chatroom.list_messages_by(NULL);
\echo :SQLSTATE

-- nobody's settings, operators or functions change the answer
CREATE SCHEMA evil;
CREATE FUNCTION evil.no(timestamptz, timestamptz) RETURNS boolean
	LANGUAGE sql AS $$ SELECT false $$;
CREATE OPERATOR evil.< (LEFTARG = timestamptz, RIGHTARG = timestamptz,
	FUNCTION = evil.no);
CREATE OPERATOR evil.= (LEFTARG = timestamptz, RIGHTARG = timestamptz,
	FUNCTION = evil.no);
SELECT chatroom.list_messages('lobby', NULL, 3)::text AS page \gset
SET search_path = evil, pg_catalog;
SET DateStyle = 'German';
SET TimeZone = 'Asia/Kolkata';
SELECT chatroom.list_messages('lobby', NULL, 3)::text = :'page' AS same;
RESET search_path;
RESET DateStyle;
RESET TimeZone;

-- deep or not, a page is as many buffers
INSERT INTO chat.messages (id, room_id, username, text, inserted_at)
	SELECT 1000 + i, :den, 'alice', 'message ' || i, '2026-01-01'::timestamptz + i * '1 s'::interval
	FROM generate_series(1, 20000) i;
ANALYZE chat.messages;
CREATE FUNCTION buffers(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE statement;
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ' || statement
		INTO plan;
	RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::bigint
		+ (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::bigint;
END $$;
SELECT buffers($$SELECT chatroom.list_messages('den')$$) < 150 AS newest,
	buffers($$SELECT chatroom.list_messages('den', '2026-01-01 00:10:00Z')$$) < 150 AS deep,
	buffers($$SELECT chatroom.list_messages_by('alice', '2026-01-01 00:10:00Z')$$) < 150 AS by_user;

-- policies don't keep conditions from the index
CREATE ROLE regress_pages_reader;
GRANT USAGE ON SCHEMA chat TO regress_pages_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA chat TO regress_pages_reader;
SET ROLE regress_pages_reader;
SELECT buffers($$SELECT chatroom.list_messages('den')$$) < 150 AS newest,
	buffers($$SELECT chatroom.list_messages('den', '2026-01-01 00:10:00Z')$$) < 150 AS deep,
	buffers($$SELECT chatroom.list_messages_by('alice', '2026-01-01 00:10:00Z')$$) < 150 AS by_user;
RESET ROLE;

DROP SCHEMA chat, evil CASCADE;
DROP ROLE regress_pages_reader;
DROP FUNCTION page, walk, buffers;
DROP EXTENSION chatroom;
