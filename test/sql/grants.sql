-- Who may use topics that are no table's.
SET client_min_messages = notice;
CREATE EXTENSION chatroom;
CREATE ROLE regress_grants_ann;
CREATE ROLE regress_grants_ben;
CREATE ROLE regress_grants_team;
CREATE FUNCTION may_sync(topic text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM chatroom.sync(topic);
	RETURN true;
EXCEPTION WHEN insufficient_privilege OR invalid_schema_name OR invalid_parameter_value THEN
	RETURN false;
END $$;
CREATE FUNCTION may_broadcast(topic text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM chatroom.broadcast(topic, 'test', 'null');
	RETURN true;
EXCEPTION WHEN insufficient_privilege THEN
	RETURN false;
END $$;

-- by default nobody but the database's owner
SELECT may_sync('lobby'), may_broadcast('lobby');
SET ROLE regress_grants_ann;
SELECT may_sync('lobby'), may_broadcast('lobby');
SELECT chatroom.grant_topic('lobby', 'regress_grants_ann', '{sync}');
SELECT chatroom.revoke_topic('lobby', 'regress_grants_ann');
SELECT * FROM chatroom.topic_grant;
RESET ROLE;

-- one topic, and each privilege on its own
SELECT chatroom.grant_topic('lobby', 'regress_grants_ann', '{sync}');
SET ROLE regress_grants_ann;
SELECT may_sync('lobby'), may_broadcast('lobby'), may_sync('lobby2'), may_sync('lobb');
RESET ROLE;
SELECT chatroom.grant_topic('lobby', 'regress_grants_ann', '{broadcast, track, sync, sync}');
SET ROLE regress_grants_ann;
SELECT may_sync('lobby'), may_broadcast('lobby');
SET ROLE regress_grants_ben;
SELECT may_sync('lobby'), may_broadcast('lobby');
RESET ROLE;
SELECT * FROM chatroom.topic_grants;
SELECT chatroom.revoke_topic('lobby', 'regress_grants_ann', '{sync}');
SELECT * FROM chatroom.topic_grants;
SET ROLE regress_grants_ann;
SELECT may_sync('lobby'), may_broadcast('lobby');
RESET ROLE;
SELECT chatroom.revoke_topic('lobby', 'regress_grants_ann');
SELECT * FROM chatroom.topic_grants;
SELECT chatroom.revoke_topic('lobby', 'regress_grants_ann');

-- patterns: an asterisk stands for any text
SELECT chatroom.grant_topic('game:*', 'public', '{sync}');
SELECT chatroom.grant_topic('*:news', 'regress_grants_ben', '{sync}');
SELECT chatroom.grant_topic('a*b*c', 'regress_grants_ann', '{sync}');
SET ROLE regress_grants_ann;
SELECT topic, may_sync(topic)
FROM unnest('{game:, game:1, "game:1:2", game, agame:1, abc, aXbYc, aXXbc, ab, abcd, abcc, acb, weather:news}'::text[]) AS topic;
SET ROLE regress_grants_ben;
SELECT topic, may_sync(topic) FROM unnest('{game:1, weather:news, ":news", news, abc}'::text[]) AS topic;
-- each sees what concerns it
SELECT * FROM chatroom.topic_grants ORDER BY pattern COLLATE "C";
RESET ROLE;
SELECT * FROM chatroom.topic_grants ORDER BY pattern COLLATE "C";

-- by membership, which may come and go
SELECT chatroom.grant_topic('team', 'regress_grants_team', '{sync}');
SET ROLE regress_grants_ann;
SELECT may_sync('team');
RESET ROLE;
GRANT regress_grants_team TO regress_grants_ann;
SET ROLE regress_grants_ann;
SELECT may_sync('team');
SELECT pattern, role FROM chatroom.topic_grants ORDER BY pattern COLLATE "C";
RESET ROLE;
REVOKE regress_grants_team FROM regress_grants_ann;
SET ROLE regress_grants_ann;
SELECT may_sync('team');
RESET ROLE;

-- a grant is its transaction's until that commits
BEGIN;
SELECT chatroom.grant_topic('draft', 'regress_grants_ann', '{sync}');
SET LOCAL ROLE regress_grants_ann;
SELECT may_sync('draft');
ROLLBACK;
SET ROLE regress_grants_ann;
SELECT may_sync('draft');
RESET ROLE;

-- roles may be renamed and dropped
ALTER ROLE regress_grants_team RENAME TO regress_grants_crew;
SELECT role FROM chatroom.topic_grants WHERE pattern = 'team';
SELECT chatroom.grant_topic('game:*', 'regress_grants_crew', '{broadcast}');
DROP ROLE regress_grants_crew;
SELECT * FROM chatroom.topic_grants ORDER BY pattern COLLATE "C";
SET ROLE regress_grants_ann;
SELECT may_sync('game:1');
RESET ROLE;

-- the right to grant is that to execute, and may be handed on
GRANT EXECUTE ON FUNCTION chatroom.grant_topic(text, text, text[]) TO regress_grants_ben;
SET ROLE regress_grants_ben;
SELECT chatroom.grant_topic('bens', 'regress_grants_ben', '{sync, broadcast}');
SELECT may_sync('bens'), may_broadcast('bens');
RESET ROLE;
-- what is done to the table itself holds as well
DELETE FROM chatroom.topic_grant WHERE pattern = 'bens';
SET ROLE regress_grants_ben;
SELECT may_sync('bens');
RESET ROLE;
TRUNCATE chatroom.topic_grant;
SET ROLE regress_grants_ann;
SELECT may_sync('game:1');
RESET ROLE;

-- forms that belong to tables and rooms, for everybody
SELECT chatroom.grant_topic('*', 'public', '{sync, track, broadcast}');
DO $$
DECLARE
	topic text;
BEGIN
	FOREACH topic IN ARRAY ARRAY[
		'public.t', 'public.t:1', 'public.t.room:1', '"A b".t', '"A.b"."c""d":x',
		'no.such', 'public.*', '*.t', 'room:1', 'room:*', 'rooms', 'chat/rooms',
		'"Chat"/room:1', 'chat/*', '*/rooms']
	LOOP
		BEGIN
			PERFORM chatroom.grant_topic(topic, 'public', '{sync}');
			RAISE NOTICE 'granted %', topic;
		EXCEPTION WHEN reserved_name THEN
			NULL;
		END;
		BEGIN
			PERFORM chatroom.broadcast(topic, 'test', 'null');
			RAISE NOTICE 'broadcast on %', topic;
		EXCEPTION WHEN reserved_name THEN
			NULL;
		END;
	END LOOP;
	FOREACH topic IN ARRAY ARRAY[
		'lobby', 'v1.2', 'room', 'room1', 'Room:1', 'roomss', 'user:a.b', 'user:a/b',
		'/x', '.x', 'x.', 'x.y z', 'ä.ö', '1/2', 'http://x.y/z', '"x', '"x"y.z']
	LOOP
		PERFORM chatroom.grant_topic(topic, 'public', '{sync}');
		PERFORM chatroom.broadcast(topic, 'test', 'null');
	END LOOP;
END $$;
SET ROLE regress_grants_ann;
SELECT topic, may_sync(topic) FROM unnest('{lobby, room:1, rooms, chat/rooms}'::text[]) AS topic;
RESET ROLE;

-- bad input
SELECT chatroom.grant_topic(NULL, 'public', '{sync}');
SELECT chatroom.grant_topic('x', NULL, '{sync}');
SELECT chatroom.grant_topic('x', 'public', NULL);
SELECT chatroom.grant_topic('', 'public', '{sync}');
SELECT chatroom.grant_topic(repeat('x', 1001), 'public', '{sync}');
SELECT chatroom.grant_topic('x', 'regress_grants_nobody', '{sync}');
SELECT chatroom.grant_topic('x', 'public', '{}');
SELECT chatroom.grant_topic('x', 'public', '{sing}');
SELECT chatroom.grant_topic('x', 'public', '{sync, NULL}');
SELECT chatroom.grant_topic('x', 'public', '{{sync}, {track}}');
SELECT chatroom.topic_grants_changed();
INSERT INTO chatroom.topic_grant VALUES ('x', 'regress_grants_ann', '{sing}');

DROP FUNCTION may_sync, may_broadcast;
DROP EXTENSION chatroom;
DROP ROLE regress_grants_ann, regress_grants_ben;
