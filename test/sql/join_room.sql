-- join_room, and follow_room where it answers at once

SET client_min_messages = warning;
CREATE EXTENSION chatroom;
SELECT chatroom.migrate();
SELECT chatroom.create_room('lobby') ->> 'id' AS lobby \gset
CREATE FUNCTION texts(answer json) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(m ->> 'text', ', ')
	FROM json_array_elements(answer -> 'messages') m $$;

-- what there is
SELECT chatroom.join_room('lobby') AS answer \gset
SELECT k FROM json_object_keys(:'answer') k;
SELECT :'answer'::json ->> 'topic' AS topic,
	:'answer'::json #>> '{room,name}' AS room, :'answer'::json -> 'messages' AS messages,
	:'answer'::json -> 'presence' AS presence,
	:'answer'::json -> 'next' AS next, :'answer'::json -> 'end_reached' AS end_reached;
-- the row of the room is that of events
SELECT (:'answer'::json -> 'room')::text =
	chatroom.cached('chat.rooms', to_jsonb(:lobby))::text AS same;

-- from the cursor on nothing is missing, nothing comes twice
SELECT chatroom.post('lobby', 'alice', 'one') IS NOT NULL AS posted;
SELECT chatroom.join_room(:lobby) AS answer \gset
SELECT texts(:'answer');
SELECT chatroom.post('lobby', 'alice', 'two') IS NOT NULL AS posted;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT type, "row" ->> 'text' AS text FROM chatroom.events('room:' || :lobby, :'answer'::json ->> 'cursor');
-- messages look as they do in events
SELECT (chatroom.join_room('lobby', 1) #> '{messages,0}')::text = "row"::text AS same
	FROM chatroom.events('room:' || :lobby, :'answer'::json ->> 'cursor');

-- a page of it, and where to go on
SELECT texts(chatroom.join_room('lobby', 1)),
	chatroom.join_room('lobby', 1) -> 'end_reached' AS end_reached,
	texts(chatroom.list_messages('lobby', chatroom.join_room('lobby', 1) ->> 'next')) AS before;
SELECT texts(chatroom.join_room('lobby', NULL));
SELECT chatroom.join_room('lobby', 0);
SELECT chatroom.join_room('nope');
SELECT chatroom.join_room(999);
SELECT chatroom.join_room(NULL::text);

-- who is there
SELECT chatroom.track('room:' || :lobby, 'alice', '{"device": "phone"}') AS ref \gset
SELECT chatroom.join_room('lobby') -> 'presence' AS presence \gset
SELECT replace(:'presence', :'ref', 'REF') AS presence;
SELECT chatroom.untrack('room:' || :lobby, 'alice');

-- one snapshot: that of the transaction
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM chat.messages;
SELECT texts(chatroom.join_room('lobby'));
COMMIT;
-- an own message that is not committed is there, and comes again
BEGIN;
SELECT chatroom.post('lobby', 'alice', 'three') IS NOT NULL AS posted;
SELECT chatroom.join_room('lobby') AS answer \gset
SELECT texts(:'answer');
COMMIT;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT "row" ->> 'text' AS text FROM chatroom.events('room:' || :lobby, :'answer'::json ->> 'cursor')
	WHERE type <> 'presence_leave';		-- which may be told late
-- reading only
BEGIN READ ONLY;
SELECT texts(chatroom.join_room('lobby'));
COMMIT;

-- follow_room: the room at first
CALL chatroom.follow_room('lobby') \gset
SELECT k FROM json_object_keys(:'answer') k;
SELECT texts(:'answer'), :'answer'::json -> 'reset' AS reset, :'answer'::json -> 'events' AS events;
-- then what happens
SELECT chatroom.post('lobby', 'bobby', 'four') IS NOT NULL AS posted;
SELECT :'answer'::json ->> 'cursor' AS since \gset
CALL chatroom.follow_room('lobby', :'since') \gset
SELECT k FROM json_object_keys(:'answer') k;
SELECT :'answer'::json -> 'reset' AS reset, :'answer'::json #>> '{events,0,row,text}' AS text;
SELECT :'answer'::json ->> 'cursor' AS since \gset
CALL chatroom.follow_room(:lobby, :'since', timeout => '1 ms') \gset
SELECT :'answer'::json -> 'reset' AS reset, :'answer'::json -> 'events' AS events;
-- a cursor that can't be continued: the room again
CALL chatroom.follow_room('lobby', '1-1-1-1-1-1') \gset
SELECT texts(:'answer'), :'answer'::json -> 'reset' AS reset;
-- what can't be
CALL chatroom.follow_room('nope');
\echo :SQLSTATE
CALL chatroom.follow_room('nope', :'since');
\echo :SQLSTATE
CALL chatroom.follow_room(999);
\echo :SQLSTATE
CALL chatroom.follow_room('lobby', 'bla');
\echo :SQLSTATE
CALL chatroom.follow_room('lobby', timeout => '-1 s');
\echo :SQLSTATE
CALL chatroom.follow_room('lobby', max_events => 0);
\echo :SQLSTATE
CALL chatroom.follow_room(NULL::text);
\echo :SQLSTATE
BEGIN;
CALL chatroom.follow_room('lobby');
\echo :SQLSTATE
ROLLBACK;

-- for a user
BEGIN;
SELECT chatroom.act_as('alice');
SELECT chatroom.create_room('den', true) ->> 'id' AS den \gset
SELECT chatroom.post('den', 'alice', 'psst') ->> 'text' AS text;
COMMIT;
CALL chatroom.follow_room('den', acting_for => 'alice') \gset
SELECT texts(:'answer');
CALL chatroom.follow_room('den', acting_for => 'mallory');
-- acting ends with the call
SELECT texts(chatroom.join_room('den'));

-- another prefix
SELECT chatroom.migrate('team');
SELECT chatroom.create_room('lobby', prefix => 'team') ->> 'id' AS id \gset
SELECT chatroom.join_room('lobby', prefix => 'team') ->> 'topic' AS topic;
CALL chatroom.follow_room('lobby', prefix => 'team') \gset
SELECT :'answer'::json ->> 'topic' AS topic;

DROP SCHEMA chat, team CASCADE;
DROP FUNCTION texts;
DROP EXTENSION chatroom;
