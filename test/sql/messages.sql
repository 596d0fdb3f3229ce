-- post, shout, edit_message, delete_message

SET client_min_messages = warning;
CREATE EXTENSION chatroom;
SELECT chatroom.migrate();
-- an answer without times
CREATE FUNCTION short(answer jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT answer - '{inserted_at,updated_at}'::text[] $$;
SELECT short(chatroom.create_room('lobby'));

SELECT short(chatroom.post('lobby', 'alice', 'hello'));
SELECT short(chatroom.post(1, 'bobby', 'by id'));
SELECT short(chatroom.post('1', 'bobby', 'by id as text'));
SELECT short(chatroom.shout('lobby', 'alice', 'HELLO'));
SELECT short(chatroom.shout(1, 'alice', 'HELLO AGAIN'));
-- users come into being
SELECT username, profile FROM chat.users ORDER BY 1;

-- all broken rules at once
SELECT chatroom.post('lobby', 'al', 'x');
\echo :SQLSTATE
SELECT chatroom.post('lobby', 'alice', '');
\echo :SQLSTATE
SELECT chatroom.post('lobby', 'alice', repeat('x', 151));
\echo :SQLSTATE
SELECT chatroom.post('nope', 'alice', 'hello');
\echo :SQLSTATE
SELECT chatroom.post(99, 'alice', 'hello');
\echo :SQLSTATE
SELECT chatroom.post('lobby', NULL, 'hello');
\echo :SQLSTATE
SELECT chatroom.post('lobby', 'alice', NULL);
\echo :SQLSTATE
SELECT chatroom.post(NULL::text, 'alice', 'hello');
\echo :SQLSTATE
-- who was refused is no user
SELECT count(*) FROM chat.users WHERE username = 'al';

-- the same client_key: the same message, whatever else is said
SELECT chatroom.post('lobby', 'alice', 'once', 'key 1') AS first \gset
SELECT chatroom.snapshot_cursor() AS since \gset
SELECT chatroom.post('lobby', 'alice', 'once', 'key 1') = :'first' AS same;
SELECT chatroom.post('lobby', 'alice', 'edited', 'key 1') = :'first' AS same;
SELECT chatroom.post('lobby', 'alice', 'x', 'key 1') = :'first' AS same;
SELECT chatroom.post('lobby', 'alice', 'again', 'key 1') = :'first' AS same;
-- no second row, no second event
SELECT count(*) FROM chat.messages WHERE client_key = 'key 1';
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT count(*) FROM chatroom.events('chat.messages', :'since');
-- another user's, another room's and another key are others
SELECT short(chatroom.create_room('den'));
SELECT chatroom.post('lobby', 'bobby', 'mine', 'key 1') ->> 'text' AS text;
SELECT chatroom.post('den', 'alice', 'there', 'key 1') ->> 'text' AS text;
SELECT chatroom.post('lobby', 'alice', 'twice', 'key 2') ->> 'text' AS text;
-- in one transaction, too
BEGIN;
SELECT chatroom.post('lobby', 'alice', 'three', 'key 3') AS first \gset
SELECT chatroom.post('lobby', 'alice', 'three', 'key 3') = :'first' AS same;
ROLLBACK;
SELECT chatroom.post('lobby', 'alice', 'other', 'key 3') ->> 'text' AS text;

-- a trigger that keeps a message out
CREATE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep_out BEFORE INSERT ON chat.messages FOR EACH ROW
	WHEN (new.text = 'spam') EXECUTE FUNCTION keep_out();
SELECT chatroom.post('lobby', 'alice', 'spam');
\echo :SQLSTATE
SELECT chatroom.post('lobby', 'alice', 'spam', 'key 4');
\echo :SQLSTATE
DROP TRIGGER keep_out ON chat.messages;
DROP FUNCTION keep_out();

-- edited: updated_at moves, and tells so
SELECT short(chatroom.edit_message(1, 'hello there'));
SELECT id, text, updated_at <> inserted_at AS edited FROM chat.messages
	WHERE id < 3 ORDER BY id;
SELECT chatroom.edit_message(1, 'x');
SELECT chatroom.edit_message(1, NULL);
SELECT chatroom.edit_message(NULL, 'text');
SELECT chatroom.edit_message(999, 'text');
-- deleted
SELECT short(chatroom.delete_message(1));
SELECT chatroom.delete_message(1);
\echo :SQLSTATE
SELECT chatroom.edit_message(1, 'text');

-- shout leaves the session as it was
SHOW synchronous_commit;
BEGIN;
SELECT short(chatroom.shout('lobby', 'alice', 'quick')) ->> 'text' AS text;
SHOW synchronous_commit;
COMMIT;
SHOW synchronous_commit;

-- who posts has stopped typing
SELECT chatroom.typing('lobby', 'alice');
SELECT chatroom.typing('lobby', 'bobby');
SELECT chatroom.post('lobby', 'alice', 'x');
SELECT k FROM json_object_keys(chatroom.presence('room:1')) k;
SELECT chatroom.post('lobby', 'alice', 'said') ->> 'text' AS text;
SELECT k FROM json_object_keys(chatroom.presence('room:1')) k;
SELECT chatroom.shout('lobby', 'bobby', 'said') ->> 'text' AS text;
SELECT chatroom.presence('room:1');

-- a private room: members only, under their own names
CREATE FUNCTION acting(username text, statement text) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	PERFORM chatroom.act_as(username);
	EXECUTE statement INTO answer;
	RETURN answer;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS answer = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' ', sqlstate, sqlerrm, answer);
END $$;
SELECT acting('alice', $$SELECT short(chatroom.create_room('private', true))$$);
SELECT acting('alice', $$SELECT chatroom.post('private', 'alice', 'psst') -> 'text'$$);
SELECT acting('alice', $$SELECT chatroom.post('private', 'bobby', 'as bob') -> 'text'$$);
SELECT acting('bobby', $$SELECT chatroom.post('private', 'bobby', 'me too') -> 'text'$$);
SELECT acting('bobby', $$SELECT chatroom.shout('private', 'bobby', 'me too') -> 'text'$$);
SELECT acting('bobby', $$SELECT chatroom.post(999, 'bobby', 'me too') -> 'text'$$);
SELECT id AS psst FROM chat.messages WHERE text = 'psst' \gset
SELECT acting('bobby', format($$SELECT chatroom.edit_message(%s, 'mine')$$, :psst));
SELECT acting('bobby', format($$SELECT chatroom.delete_message(%s)$$, :psst));
SELECT acting('bobby', $$SELECT json_array_length(chatroom.list_messages_by('alice') -> 'messages')$$);
SELECT acting('alice', $$SELECT json_array_length(chatroom.list_messages_by('alice') -> 'messages')$$);
SELECT acting('alice', format($$SELECT chatroom.edit_message(%s, 'psssst') -> 'text'$$, :psst));
-- a superuser that acts for a user sees no more than the user
SELECT acting('alice', $$SELECT chatroom.add_member('private', 'bobby') IS NULL$$);
SELECT acting('bobby', $$SELECT jsonb_array_length(chatroom.get_room('private', '{messages,users}') -> 'messages')$$);
SELECT acting('bobby', $$SELECT chatroom.get_room('private', '{users.members}')$$);
SELECT acting('bobby', $$SELECT chatroom.get_room('private', '{invites}')$$);
SELECT acting('alice', $$SELECT chatroom.get_room('private', '{invites}') -> 'invites'$$);
SELECT acting('alice', $$SELECT chatroom.remove_member('private', 'bobby') IS NULL$$);

-- access members: one's own messages; owners and admins moderate
SELECT chatroom.set_access('members');
SELECT acting('carol', $$SELECT short(chatroom.create_room('carols'))$$);
SELECT acting('bobby', $$SELECT chatroom.post('carols', 'bobby', 'hi carol') -> 'text'$$);
SELECT acting('bobby', $$SELECT chatroom.post('carols', 'alice', 'hi carol') -> 'text'$$);
SELECT id AS hi FROM chat.messages WHERE text = 'hi carol' \gset
SELECT acting('alice', format($$SELECT chatroom.edit_message(%s, 'bye')$$, :hi));
SELECT acting('alice', format($$SELECT chatroom.delete_message(%s)$$, :hi));
SELECT acting('carol', format($$SELECT chatroom.edit_message(%s, 'bye')$$, :hi));
SELECT acting('bobby', format($$SELECT chatroom.edit_message(%s, 'hello carol') -> 'text'$$, :hi));
SELECT acting('carol', format($$SELECT chatroom.delete_message(%s) -> 'text'$$, :hi));

DROP SCHEMA chat CASCADE;
DROP FUNCTION short, acting;
DROP EXTENSION chatroom;
