-- Presence and typing in rooms: who may, and when typing ends.
CREATE EXTENSION chatroom;
CREATE ROLE regress_typing_app;
CREATE ROLE regress_typing_none;
SELECT chatroom.migrate(), chatroom.migrate('other');
GRANT USAGE ON SCHEMA chat TO regress_typing_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat TO regress_typing_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA chat TO regress_typing_app;
GRANT EXECUTE ON FUNCTION chatroom.act_as TO regress_typing_app;

CREATE FUNCTION present(topic text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT key || ' ' || (m - 'phx_ref')::text
	FROM json_each(chatroom.presence(topic)) WITH ORDINALITY AS e(key, value, n),
		jsonb_array_elements(value::jsonb->'metas') WITH ORDINALITY AS a(m, i)
	ORDER BY n, i;
$$;

SELECT chatroom.create_room('attic')->'id' AS attic, chatroom.create_room('7 dwarfs')->'id' AS dwarfs;
INSERT INTO other.rooms (name) VALUES ('attic');

SELECT chatroom.snapshot_cursor() AS cursor \gset

-- by name or id, with or without prefix
SELECT chatroom.typing('attic', 'alice'), chatroom.typing(1, 'bob'), chatroom.typing('1', 'carl'), chatroom.typing('7 dwarfs', 'alice');
SELECT chatroom.typing('attic', 'dave', true, 'other'), chatroom.typing(1, 'erin', prefix => 'other');
SELECT * FROM present('room:1');
SELECT * FROM present('room:2');
SELECT * FROM present('other/room:1');

-- an entry of its own, renewed without another ref; it ends with false, or untrack
SELECT chatroom.track('room:1', 'alice', '{"status": "online"}') IS NOT NULL AS tracked,
	chatroom.track('room:1', 'alice', '{"typing": true}', '1 hour') IS NOT NULL AS lease_of_same_meta;
SELECT chatroom.presence('room:1')::text AS before \gset
SELECT chatroom.typing('attic', 'alice'), chatroom.typing('attic', 'bob');
SELECT chatroom.presence('room:1')::text = :'before' AS only_renewed;
SELECT chatroom.typing('attic', 'alice', false), chatroom.typing('attic', 'nobody', false);
SELECT * FROM present('room:1');
SELECT chatroom.untrack('room:1', 'bob'), chatroom.untrack('room:1', 'alice');
SELECT * FROM present('room:1');

-- it ends with the user's own post
SELECT chatroom.typing('attic', 'alice'), chatroom.typing('7 dwarfs', 'carl');
SELECT chatroom.post('attic', 'alice', 'said it')->>'text' AS text;
SELECT * FROM present('room:1');
SELECT * FROM present('room:2');
SELECT chatroom.untrack('room:1', 'carl'), chatroom.untrack('room:2', 'carl'), chatroom.untrack('room:2', 'alice'), chatroom.untrack('other/room:1', 'dave'), chatroom.untrack('other/room:1', 'erin');

-- followers of the room are told, among its other events
CREATE PROCEDURE wait_for(topic text, since text, wanted int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 20000 LOOP
		EXIT WHEN (SELECT count(*) >= wanted FROM chatroom.events(topic, since));
		PERFORM pg_sleep(0.005);
	END LOOP;
END
$$;
CALL wait_for('room:1', :'cursor', 13);
SELECT type, coalesce(key->>'key', "row"->>'username') AS who, payload - 'phx_ref' AS meta, "row"->>'text' AS text, count(*)
FROM chatroom.events('room:1', :'cursor') GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3;

-- and by itself, after 5 s
SELECT clock_timestamp() AS started, chatroom.typing('attic', 'alice') \gset
DO $$
BEGIN
	FOR i IN 1 .. 20000 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM present('room:1'));
		PERFORM pg_sleep(0.005);
	END LOOP;
END
$$;
SELECT clock_timestamp() - :'started' BETWEEN '4.9 s' AND '30 s' AS after_5_s;

-- who may: open rooms, and a private one
SELECT chatroom.typing('attic', 'alice'), chatroom.create_room('den', true)->'id' AS den;
INSERT INTO chat.users (username) VALUES ('alice') ON CONFLICT DO NOTHING;
INSERT INTO chat.members (room_id, username) VALUES (3, 'alice');
SET ROLE regress_typing_app;
SELECT * FROM present('room:1');
SELECT chatroom.typing('attic', 'anybody');
SELECT chatroom.presence('room:3');
SELECT chatroom.track('room:3', 'alice');
SELECT chatroom.typing('den', 'alice');
SELECT chatroom.typing(3, 'alice');
SELECT chatroom.typing('no such room', 'alice');
SELECT chatroom.typing(99, 'alice');
BEGIN;
SELECT chatroom.act_as('alice');
SELECT chatroom.track('room:3', 'alice', '{}', '1 hour') IS NOT NULL AS tracked, chatroom.typing('den', 'alice');
SELECT * FROM present('room:3');
SAVEPOINT a;
SELECT chatroom.track('room:3', 'mallory');
ROLLBACK TO a;
SELECT chatroom.typing('den', 'mallory');
ROLLBACK TO a;
SELECT chatroom.untrack('room:3', 'mallory');
ROLLBACK TO a;
COMMIT;
SELECT chatroom.presence('room:3');

-- who is removed, or leaves, is no longer there from the commit on
RESET ROLE;
INSERT INTO chat.users (username) VALUES ('bobby') ON CONFLICT DO NOTHING;
INSERT INTO chat.members (room_id, username) VALUES (3, 'bobby');
SELECT chatroom.track('room:3', 'bobby', '{"id": 1}', '1 hour') IS NOT NULL AS tracked, chatroom.track('room:3', 'bobby') IS NOT NULL AS tracked;
BEGIN;
SAVEPOINT a;
DELETE FROM chat.members WHERE username = 'bobby';
ROLLBACK TO a;
SAVEPOINT b;
DELETE FROM chat.members WHERE username = 'alice';
RELEASE b;
SELECT * FROM present('room:3');
COMMIT;
SELECT * FROM present('room:3');
BEGIN;
DELETE FROM chat.members WHERE username = 'bobby';
ROLLBACK;
SELECT * FROM present('room:3');
-- so is everybody when the room is deleted
BEGIN;
SELECT chatroom.delete_room('den')->'id' AS deleted;
ROLLBACK;
SELECT * FROM present('room:3');
SELECT chatroom.untrack('room:1', 'alice'), chatroom.untrack('room:1', 'anybody');
SELECT present AS before FROM chatroom.status \gset
SELECT chatroom.delete_room('den')->'id' AS deleted;
SELECT :before - present AS ended FROM chatroom.status;

-- set_access('members'): one's own name in all rooms
RESET ROLE;
SELECT chatroom.set_access('members');
SET ROLE regress_typing_app;
SELECT chatroom.typing('attic', 'anybody');
SELECT chatroom.typing('attic', 'regress_typing_app');
BEGIN;
SELECT chatroom.act_as('alice');
SELECT chatroom.typing('attic', 'alice');
COMMIT;
SELECT * FROM present('room:1');

-- without privileges there are no rooms to look for
SET ROLE regress_typing_none;
SELECT chatroom.presence('room:1');
SELECT chatroom.typing('attic', 'regress_typing_none');
SELECT chatroom.typing('no such room', 'regress_typing_none');
RESET ROLE;
GRANT USAGE ON SCHEMA chat TO regress_typing_none;
SET ROLE regress_typing_none;
SELECT chatroom.presence('room:1');
RESET ROLE;

-- arguments
SELECT chatroom.typing(NULL::text, 'alice');
SELECT chatroom.typing('attic', NULL);
SELECT chatroom.typing('attic', 'alice', NULL);
SELECT chatroom.typing('attic', '');
SELECT chatroom.typing('attic', repeat('x', 256));
SELECT chatroom.typing('attic', 'alice', true, 'nowhere');
SELECT chatroom.track('nowhere/room:1', 'alice');
SELECT chatroom.track('chat/room:1', 'alice');
SELECT chatroom.presence('room:01');
SELECT chatroom.presence('other/room:1') IS NOT NULL AS told;

DROP FUNCTION present;
DROP PROCEDURE wait_for;
SET client_min_messages = warning;
DROP EXTENSION chatroom CASCADE;
DROP SCHEMA chat, other CASCADE;
DROP ROLE regress_typing_app, regress_typing_none;
