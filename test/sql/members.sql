-- users, members and their roles; ownership that passes on
CREATE EXTENSION chatroom;
SET client_min_messages = warning;
SELECT chatroom.migrate();
CREATE ROLE members_app;
GRANT USAGE ON SCHEMA chat TO members_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat TO members_app;
GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO members_app;
RESET client_min_messages;

-- who is what
CREATE VIEW who AS
	SELECT r.name, m.username, m.role FROM chat.members m JOIN chat.rooms r ON r.id = m.room_id
	ORDER BY r.id, array_position('{owner,admin,member,guest}', m.role), m.username;

-- one call as a user
CREATE FUNCTION by(who text, call text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	answer jsonb;
BEGIN
	SET LOCAL ROLE members_app;
	PERFORM chatroom.act_as(who);
	EXECUTE 'SELECT to_jsonb(' || call || ')' INTO answer;
	PERFORM chatroom.act_as(NULL);
	RESET ROLE;
	RETURN CASE jsonb_typeof(answer) WHEN 'object' THEN answer - '{id,inserted_at,updated_at}'::text[] ELSE answer END;
END
$$;
\set VERBOSITY terse

-- a room's maker owns it
SELECT by('olivia', $$chatroom.create_room('den', private => true)$$);
SELECT * FROM who;
SELECT username, profile FROM chat.users;

-- add_member: owner and admins; a user is made on first use
SELECT by('olivia', $$chatroom.add_member('den', 'adam')$$);
SELECT by('olivia', $$chatroom.add_member('den', 'adam', 'admin')$$);
SELECT by('olivia', $$chatroom.add_member('den', 'adam', 'admin')$$) AS "the same again";
SELECT by('adam', $$chatroom.add_member('den', 'mary')$$);
SELECT by('adam', $$chatroom.add_member(1, 'gustav', 'guest')$$);
SELECT by('adam', $$chatroom.add_member('den', 'mary', 'admin')$$);
SELECT by('mary', $$chatroom.add_member('den', 'peter')$$);
SELECT by('adam', $$chatroom.add_member('den', 'olivia', 'guest')$$);
SELECT by('olivia', $$chatroom.add_member('den', 'adam2', 'owner')$$);
SELECT by('olivia', $$chatroom.add_member('den', 'x')$$);
SELECT by('olivia', $$chatroom.add_member('den', NULL)$$);
SELECT by('adam', $$chatroom.list_members('den')->0->'role'$$), by('adam', $$jsonb_array_length(chatroom.list_members(1))$$);
SELECT * FROM who;

-- remove_member: admins remove members and guests, the owner anyone
SELECT by('mary', $$chatroom.remove_member('den', 'gustav')$$);
SELECT by('adam', $$chatroom.remove_member('den', 'gustav')$$);
SELECT by('adam', $$chatroom.remove_member('den', 'gustav')$$);
SELECT by('adam', $$chatroom.remove_member('den', 'olivia')$$);
SELECT by('mary', $$chatroom.remove_member('den', 'mary')$$) AS "oneself";
SELECT by('mary', $$chatroom.remove_member('den', 'mary')$$) AS "sees it no more";
SELECT by('mary', $$chatroom.leave_room('den')$$);

-- transfer_room
SELECT by('olivia', $$chatroom.transfer_room('den', 'mary')$$);
SELECT by('adam', $$chatroom.transfer_room('den', 'adam')$$);
SELECT by('olivia', $$chatroom.transfer_room('den', 'adam')$$);
SELECT by('adam', $$chatroom.transfer_room('den', 'adam')$$) AS "is it already";
SELECT * FROM who;

-- an owner who goes: the longest-standing admin, else member, inherits
SELECT by('adam', $$chatroom.add_member('den', 'newest', 'admin')$$) -> 'role' AS newest,
	by('adam', $$chatroom.add_member('den', 'mary')$$) -> 'role' AS mary,
	by('adam', $$chatroom.add_member('den', 'gustav', 'guest')$$) -> 'role' AS gustav;
SELECT by('adam', $$chatroom.leave_room('den')$$);
SELECT * FROM who;
SELECT by('olivia', $$chatroom.delete_user('olivia')$$) -> 'username' AS gone;
SELECT * FROM who;
SELECT by('newest', $$chatroom.leave_room('den')$$) -> 'role' AS was;
SELECT * FROM who;
SELECT by('mary', $$chatroom.leave_room('den')$$) -> 'role' AS was;
SELECT * FROM who;
-- guests don't inherit; the tables' owner may give the room to one
SELECT by('gustav', $$chatroom.transfer_room('den', 'gustav')$$);
SELECT chatroom.transfer_room('den', 'gustav') -> 'role' AS role;
-- a plain statement of the tables' owner's passes it on, too
SELECT chatroom.add_member('den', 'heir1') -> 'role', chatroom.add_member('den', 'heir2') -> 'role';
DELETE FROM chat.members WHERE username = 'gustav';
SELECT * FROM who;
-- a room that goes passes to nobody
DELETE FROM chat.rooms;
SELECT count(*) FROM chat.members;
-- all at once leaves none to inherit
SELECT by('olivia', $$chatroom.create_room('attic', private => true)$$) -> 'name',
	by('olivia', $$chatroom.add_member('attic', 'mary')$$) -> 'role';
DELETE FROM chat.members;
SELECT count(*) FROM chat.members;
SELECT name FROM chat.rooms;
DELETE FROM chat.rooms;

-- several rooms' owner is deleted
SELECT by('olivia', format('chatroom.create_room(%L)', 'room ' || i)) -> 'name' FROM generate_series(1, 3) i;
SELECT by('olivia', format('chatroom.add_member(%L, ''mary'')', 'room ' || i)) -> 'role' FROM generate_series(1, 2) i;
SELECT by('mary', $$chatroom.delete_user('olivia')$$);
SELECT by('olivia', $$chatroom.post('room 1', 'olivia', 'I am off')$$) -> 'text';
SELECT by('olivia', $$chatroom.delete_user('olivia')$$) -> 'username';
SELECT * FROM who;
SELECT username, text FROM chat.messages;
SELECT chatroom.delete_user('olivia');

-- profiles: rules, and who may
SELECT by('mary', $$chatroom.update_user('mary', '{"profile": {"display_name": "Mary", "mood": "fine"}}')$$);
SELECT by('mary', $$chatroom.update_user('mary', '{"profile": {"avatar": "https://a/b.png", "mood": null}}')$$);
SELECT by('mary', $$chatroom.update_user('mary', '{}')$$);
SELECT by('mary', $$chatroom.update_user('olivia', '{}')$$);
SELECT by('mary', format('chatroom.update_user(''mary'', %L)', jsonb_build_object('profile', jsonb_build_object('display_name', repeat('x', 101)))));
SELECT by('mary', $$chatroom.update_user('mary', '{"username": "bob"}')$$);
SELECT by('mary', $$chatroom.update_user('mary', '{"profile": []}')$$);
SELECT by('mary', $$chatroom.update_user('mary', '[]')$$);
SELECT by('bob', $$chatroom.update_user('bob', '{}')$$);
SELECT chatroom.update_user('fresh', '{"profile": {"display_name": "Fresh"}}') -> 'profile';
SELECT username, updated_at > inserted_at AS changed FROM chat.users ORDER BY id;

-- nobody writes members, users and invites but through the functions
SET ROLE members_app;
INSERT INTO chat.members VALUES (2, 'members_app');
INSERT INTO chat.users (username) VALUES ('impostor');
UPDATE chat.members SET role = 'guest';
DELETE FROM chat.members;
DELETE FROM chat.users;
SELECT count(*) FROM chat.members;
RESET ROLE;

-- rights come first: they tell nothing about rooms
CREATE ROLE members_nobody;
SET ROLE members_nobody;
SELECT chatroom.list_members('room 1');
SELECT chatroom.list_members('no room');
SELECT chatroom.leave_room('room 1');
RESET ROLE;
GRANT USAGE ON SCHEMA chat TO members_nobody;
SET ROLE members_nobody;
SELECT chatroom.add_member('room 1', 'mary');
SELECT chatroom.get_room('room 1');
SELECT chatroom.get_room('no room');
SELECT chatroom.post('no room', 'mary', 'text');
SELECT chatroom.delete_message(1);
SELECT chatroom.delete_message(1000);
SELECT chatroom.accept_invite('x');
SELECT chatroom.delete_user('members_nobody');
RESET ROLE;

-- whoever may listen no more must not know the channels' next names
SELECT chatroom.create_room('heard', private => true) ->> 'id' AS heard \gset
SELECT chatroom.add_member('heard', 'mary') -> 'role', chatroom.add_member('room 1', 'peter') -> 'role';
SELECT chatroom.channel('room:' || :heard) AS name \gset
SELECT chatroom.channel('room:' || :heard) = :'name' AS "same name";
SELECT chatroom.remove_member('room 1', 'peter') -> 'role' AS "left a public room";
SELECT chatroom.channel('room:' || :heard) = :'name' AS "same name";
BEGIN;
SELECT chatroom.remove_member('heard', 'mary') -> 'role' AS "stays after all";
ROLLBACK;
SELECT chatroom.channel('room:' || :heard) = :'name' AS "same name";
SELECT chatroom.remove_member('heard', 'mary') -> 'role' AS "left a private room";
SELECT chatroom.channel('room:' || :heard) = :'name' AS "same name";
SELECT chatroom.channel('room:' || :heard) AS name \gset
UPDATE chat.rooms SET private = true WHERE name = 'room 1';
SELECT chatroom.channel('room:' || :heard) = :'name' AS "same name";
SELECT chatroom.channel('room:' || :heard) AS name \gset
UPDATE chat.rooms SET private = false WHERE name = 'room 1';
DELETE FROM chat.rooms WHERE name = 'room 1';
SELECT chatroom.channel('room:' || :heard) = :'name' AS "same name";

-- all in one statement
SELECT chatroom.create_room('at once', true) ->> 'name', chatroom.add_member('at once', 'mary') ->> 'role',
	chatroom.post('at once', 'mary', 'hello') ->> 'text', chatroom.rename_room('at once', 'after all') ->> 'name',
	length(chatroom.create_invite('after all')), chatroom.remove_member('after all', 'mary') ->> 'username',
	chatroom.delete_room('after all') ->> 'name';

-- tables of version 1 have no members
SELECT chatroom.migrate('old', 1);
SELECT chatroom.add_member('1', 'mary', prefix => 'old');
SELECT chatroom.list_members('1', 'none');

DROP VIEW who;
DROP FUNCTION by;
DROP SCHEMA chat CASCADE;
DROP SCHEMA old CASCADE;
DROP EXTENSION chatroom;
DROP ROLE members_app, members_nobody;
