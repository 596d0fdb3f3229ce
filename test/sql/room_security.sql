-- who sees and changes what: rooms, messages, members, by roles and access modes; a private room can't be
-- told from one that isn't there
CREATE EXTENSION chatroom;
SET client_min_messages = warning;
CREATE ROLE sec_owner;		-- of the tables
CREATE ROLE sec_app;		-- an application server
GRANT CREATE ON DATABASE regression TO sec_owner;
SET ROLE sec_owner;
SELECT chatroom.migrate();
RESET ROLE;
CREATE ROLE rolanda;		-- an end user with a role of her own
GRANT sec_app, rolanda TO CURRENT_USER;
GRANT USAGE ON SCHEMA chat TO sec_app, rolanda;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat TO sec_app, rolanda;
GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO sec_app, sec_owner;
RESET client_min_messages;
\set VERBOSITY terse

INSERT INTO chat.rooms (name, private) VALUES ('lobby', false), ('den', true), ('gone', true);
INSERT INTO chat.users (username) SELECT unnest('{olivia,adam,mary,gustav,rolanda}'::text[]);
INSERT INTO chat.members (room_id, username, role) VALUES
	(1, 'olivia', 'owner'), (1, 'adam', 'admin'),
	(2, 'olivia', 'owner'), (2, 'adam', 'admin'), (2, 'mary', 'member'), (2, 'gustav', 'guest'), (2, 'rolanda', 'member');
INSERT INTO chat.messages (room_id, username, text) VALUES
	(1, 'mary', 'hello all'), (2, 'mary', 'hello den'), (2, 'gustav', 'hi den'), (3, 'mary', 'bye');
SELECT chatroom.create_invite(2) IS NOT NULL;
DELETE FROM chat.rooms WHERE id = 3;

-- a statement as somebody; what came of it, and everything is as before
CREATE FUNCTION try(who text, call text, as_role text DEFAULT 'sec_app') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	rows int;
	result text;
	state text;
	message text;
	detail text;
	hint text;
BEGIN
	BEGIN
		EXECUTE format('SET LOCAL ROLE %I', as_role);
		IF who IS NOT NULL THEN
			PERFORM chatroom.act_as(who);
		END IF;
		EXECUTE call;
		GET DIAGNOSTICS rows = ROW_COUNT;
		RAISE EXCEPTION USING ERRCODE = 'XXDON', MESSAGE = rows;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
			detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
		IF state = 'XXDON' THEN
			RETURN message;
		END IF;
		RETURN concat_ws('|', state, message, detail, hint);
	END;
END
$$;

CREATE TABLE callers (n serial, who text, as_role text DEFAULT 'sec_app', label text);
INSERT INTO callers (who, label) VALUES
	('olivia', 'owner'), ('adam', 'admin'), ('mary', 'member'), ('gustav', 'guest'), ('stranger', 'stranger');
INSERT INTO callers (who, as_role, label) VALUES
	(NULL, 'rolanda', 'role'), (NULL, 'sec_app', 'app'), (NULL, 'sec_owner', 'exempt'), ('stranger', 'sec_owner', 'acting'),
	(NULL, current_user, 'super');
CREATE TABLE statements (n serial, what text, call text);
INSERT INTO statements (what, call) VALUES
	('see den', 'SELECT FROM chat.rooms WHERE id = 2'),
	('see its messages', 'SELECT FROM chat.messages WHERE room_id = 2'),
	('see its members', 'SELECT FROM chat.members WHERE room_id = 2'),
	('see its invites', 'SELECT FROM chat.invites WHERE room_id = 2'),
	('post to den as mary', $$INSERT INTO chat.messages (room_id, username, text) VALUES (2, 'mary', 'text')$$),
	('edit mary''s in den', $$UPDATE chat.messages SET text = 'other' WHERE id = 2$$),
	('edit all in den', $$UPDATE chat.messages SET text = 'other' WHERE room_id = 2$$),
	('rename mary in den', $$UPDATE chat.messages SET username = 'olivia' WHERE id = 2$$),
	('move mary''s to lobby', $$UPDATE chat.messages SET room_id = 1 WHERE id = 2$$),
	('delete mary''s in den', $$DELETE FROM chat.messages WHERE id = 2$$),
	('rename den', $$UPDATE chat.rooms SET name = 'cave' WHERE id = 2$$),
	('open den', $$UPDATE chat.rooms SET private = false WHERE id = 2$$),
	('delete den', $$DELETE FROM chat.rooms WHERE id = 2$$),
	('post to lobby as mary', $$INSERT INTO chat.messages (room_id, username, text) VALUES (1, 'mary', 'text')$$),
	('edit mary''s in lobby', $$UPDATE chat.messages SET text = 'other' WHERE id = 1$$),
	('delete mary''s in lobby', $$DELETE FROM chat.messages WHERE id = 1$$),
	('move mary''s to den', $$UPDATE chat.messages SET room_id = 2 WHERE id = 1$$),
	('rename lobby', $$UPDATE chat.rooms SET name = 'hall' WHERE id = 1$$),
	('hide lobby', $$UPDATE chat.rooms SET private = true WHERE id = 1$$),
	('delete lobby', $$DELETE FROM chat.rooms WHERE id = 1$$),
	('join den', $$INSERT INTO chat.members (room_id, username) VALUES (2, 'rolanda2')$$),
	('get promoted', $$UPDATE chat.members SET role = 'admin' WHERE role = 'guest'$$),
	('throw out', $$DELETE FROM chat.members WHERE role = 'guest'$$),
	('see users', 'SELECT FROM chat.users'),
	('change users', $$UPDATE chat.users SET profile = '{}'$$);

-- rows affected, or the error's code
CREATE FUNCTION matrix() RETURNS TABLE (what text, owner text, admin text, member text, guest text, stranger text,
	role text, app text, exempt text, acting text, super text) LANGUAGE sql AS $$
	SELECT what, max(r) FILTER (WHERE label = 'owner'), max(r) FILTER (WHERE label = 'admin'), max(r) FILTER (WHERE label = 'member'),
		max(r) FILTER (WHERE label = 'guest'), max(r) FILTER (WHERE label = 'stranger'), max(r) FILTER (WHERE label = 'role'),
		max(r) FILTER (WHERE label = 'app'), max(r) FILTER (WHERE label = 'exempt'), max(r) FILTER (WHERE label = 'acting'),
		max(r) FILTER (WHERE label = 'super')
	FROM (SELECT s.n, what, label, left(try(who, call, as_role), 5) AS r FROM statements s, callers c) x
	GROUP BY what, n ORDER BY n
$$;

-- access "open": members' rules govern private rooms alone
SELECT * FROM matrix();
-- access "members": they govern all; who is a member of none posts to public rooms, as himself
SELECT chatroom.set_access('members');
SELECT * FROM matrix();

-- a room that is hidden and one that isn't there: every function gives the same answer
CREATE TABLE calls (n serial, call text);
INSERT INTO calls (call) SELECT 'SELECT chatroom.' || c FROM unnest(ARRAY[
	'rename_room($, ''cave'')', 'delete_room($)', 'get_room($)', 'get_room($, ''{messages}'')', 'post($, ''stranger'', ''text'')',
	'post($, ''mary'', ''text'')', 'post($, ''stranger'', ''text'', ''key1'')', 'shout($, ''stranger'', ''text'')',
	'post($, ''stranger'', ''t'')',
	'list_messages($)', 'join_room($)', 'typing($, ''stranger'')', 'add_member($, ''stranger'')', 'remove_member($, ''mary'')',
	'remove_member($, ''stranger'')', 'leave_room($)', 'list_members($)', 'transfer_room($, ''stranger'')', 'create_invite($)']) c;
SELECT call, name.hidden IS NOT DISTINCT FROM name.missing AND id.hidden IS NOT DISTINCT FROM id.missing
		AND text_id.hidden IS NOT DISTINCT FROM text_id.missing AS same, name.hidden
FROM calls c,
	LATERAL (SELECT try('stranger', replace(call, '$', '''den''')) AS hidden,
		replace(try('stranger', replace(call, '$', '''cot''')), '"cot"', '"den"') AS missing) name,
	LATERAL (SELECT try('stranger', replace(call, '$', '2')) AS hidden,
		replace(try('stranger', replace(call, '$', '9')), '"9"', '"2"') AS missing) id,
	LATERAL (SELECT try('stranger', replace(call, '$', '''2''')) AS hidden,
		replace(try('stranger', replace(call, '$', '''9''')), '"9"', '"2"') AS missing) text_id
ORDER BY n;
-- and so do topics, messages by id, and plain statements; there is never a row
CREATE TABLE pairs (n serial, hidden text, missing text);
INSERT INTO pairs (hidden, missing) VALUES
	($$SELECT chatroom.sync('room:2')$$, $$SELECT chatroom.sync('room:9')$$),
	($$SELECT chatroom.sync('room:2', chatroom.snapshot_cursor())$$, $$SELECT chatroom.sync('room:9', chatroom.snapshot_cursor())$$),
	($$SELECT chatroom.presence('room:2')$$, $$SELECT chatroom.presence('room:9')$$),
	($$SELECT chatroom.track('room:2', 'stranger')$$, $$SELECT chatroom.track('room:9', 'stranger')$$),
	($$SELECT chatroom.channel('room:2')$$, $$SELECT chatroom.channel('room:9')$$),
	($$SELECT chatroom.edit_message(2, 'other')$$, $$SELECT chatroom.edit_message(9, 'other')$$),
	($$SELECT chatroom.delete_message(2)$$, $$SELECT chatroom.delete_message(9)$$),
	($$INSERT INTO chat.messages (room_id, username, text) VALUES (2, 'stranger', 'text')$$,
	 $$INSERT INTO chat.messages (room_id, username, text) VALUES (9, 'stranger', 'text')$$),
	($$INSERT INTO chat.messages (room_id, username, text) VALUES (2, 'mary', 'text')$$,
	 $$INSERT INTO chat.messages (room_id, username, text) VALUES (9, 'mary', 'text')$$),
	($$INSERT INTO chat.messages (room_id, username, text) VALUES (2, 'stranger', 'text') RETURNING id$$,
	 $$INSERT INTO chat.messages (room_id, username, text) VALUES (9, 'stranger', 'text') RETURNING id$$),
	($$UPDATE chat.messages SET text = 'other' WHERE id = 2$$, $$UPDATE chat.messages SET text = 'other' WHERE id = 9$$),
	($$DELETE FROM chat.messages WHERE room_id = 2$$, $$DELETE FROM chat.messages WHERE room_id = 9$$),
	($$SELECT FROM chat.members WHERE room_id = 2$$, $$SELECT FROM chat.members WHERE room_id = 9$$),
	($$INSERT INTO chat.members (room_id, username) VALUES (2, 'stranger')$$,
	 $$INSERT INTO chat.members (room_id, username) VALUES (9, 'stranger')$$);
SELECT left(hidden, 50) AS call, h = replace(replace(replace(m, '"9"', '"2"'), 'room:9', 'room:2'), 'message 9', 'message 2') AS same, h AS answer
FROM pairs, LATERAL (SELECT try('stranger', hidden) AS h, try('stranger', missing) AS m) x ORDER BY n;
-- and procedures, which a function can't call
SET ROLE sec_app;
\set VERBOSITY default
CALL chatroom.follow_room('den', acting_for => 'stranger');
CALL chatroom.follow_room('cot', acting_for => 'stranger');
CALL chatroom.follow_room('2', acting_for => 'stranger');
CALL chatroom.follow_room('9', acting_for => 'stranger');
CALL chatroom.wait('{room:2}', NULL, '0', acting_for => 'stranger');
CALL chatroom.wait('{room:9}', NULL, '0', acting_for => 'stranger');
CALL chatroom.follow_room('den', acting_for => 'mary') \gset
SELECT :'answer'::json #>> '{room,name}' AS "a member's";
\set VERBOSITY terse
RESET ROLE;
-- lists have nothing of it
SELECT try('stranger', $$SELECT 1 WHERE chatroom.list_rooms()::text ~ 'den'$$) AS rooms,
	try('stranger', $$SELECT 1 WHERE chatroom.list_messages_by('mary')::text ~ 'den'$$) AS messages,
	try('mary', $$SELECT 1 WHERE chatroom.list_messages_by('mary')::text ~ 'den'$$) AS "a member's",
	try('stranger', $$SELECT 1 WHERE chatroom.cached('chat.rooms', '2') IS NOT NULL$$) AS cached;
-- that a name is taken shows: names are unique among all rooms
SELECT try('stranger', $$SELECT chatroom.create_room('den')$$);
-- a plain INSERT makes a message and its room in one statement
SELECT try('stranger', $$WITH r AS (INSERT INTO chat.rooms (name) VALUES ('new') RETURNING id)
	INSERT INTO chat.messages (room_id, username, text) SELECT id, 'stranger', 'first' FROM r RETURNING id$$);

-- functions that read what a policy reads are not evaluated for rows that it hides
CREATE FUNCTION leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
	RAISE NOTICE 'leaked %', $1;
	RETURN true;
END
$$;
SELECT try('stranger', 'SELECT FROM chat.messages WHERE leak(text) AND room_id = 2');

-- from the next statement on, when rights are taken or given
SELECT try('mary', 'SELECT FROM chat.rooms WHERE id = 2') AS before;
DELETE FROM chat.members WHERE username = 'mary';
SELECT try('mary', 'SELECT FROM chat.rooms WHERE id = 2') AS removed;
UPDATE chat.rooms SET private = false WHERE id = 2;
SELECT try('mary', 'SELECT FROM chat.rooms WHERE id = 2') AS opened;
UPDATE chat.rooms SET private = true WHERE id = 2;
SELECT try('mary', 'SELECT FROM chat.rooms WHERE id = 2') AS closed;

-- one statement asks about several rooms and users: none is taken for another
INSERT INTO chat.members (room_id, username) VALUES (2, 'mary');
INSERT INTO chat.rooms (name, private) SELECT 'p' || i, i % 2 = 0 FROM generate_series(1, 6) i;
INSERT INTO chat.messages (room_id, username, text) SELECT id, 'mary', name FROM chat.rooms, generate_series(1, 2) WHERE name LIKE 'p_';
BEGIN;
SET LOCAL ROLE sec_app;
SELECT chatroom.act_as('mary');
SELECT string_agg(text, ' ' ORDER BY id) FROM chat.messages;
SELECT string_agg(text, ' ' ORDER BY id) FROM (SELECT * FROM chat.messages ORDER BY text, id OFFSET 0) m;
COMMIT;
-- act_as in the middle of a statement counts from there on
BEGIN;
SET LOCAL ROLE sec_app;
SELECT u, chatroom.act_as(u), chatroom.sees_room('chat.rooms', 2) FROM unnest('{mary,stranger,adam,nobody1}'::text[]) u;
COMMIT;

-- what was found of a room is good for what a statement sees, and no longer
BEGIN;
SET LOCAL ROLE sec_app;
SELECT chatroom.act_as('gustav');
SELECT count(*) FROM chat.messages WHERE room_id = 2;
RESET ROLE;
SELECT chatroom.act_as(NULL);
SAVEPOINT away;
DELETE FROM chat.members WHERE username = 'gustav';
SET LOCAL ROLE sec_app;
SELECT chatroom.act_as('gustav');
SELECT count(*) FROM chat.messages WHERE room_id = 2;
ROLLBACK TO away;
SET LOCAL ROLE sec_app;
SELECT chatroom.act_as('gustav');
SELECT count(*) FROM chat.messages WHERE room_id = 2;
SELECT chatroom.act_as('stranger');
SELECT count(*) FROM chat.messages WHERE room_id = 2;
RESET ROLE;
SELECT chatroom.act_as(NULL);
SELECT count(*) FROM chat.messages WHERE room_id = 2;
ROLLBACK;

-- restrictive policies of the owner's own come on top
CREATE POLICY quiet ON chat.messages AS RESTRICTIVE FOR SELECT USING (text <> 'hi den');
SELECT try('adam', 'SELECT FROM chat.messages WHERE room_id = 2');
DROP POLICY quiet ON chat.messages;

-- row_security = off tells, instead of showing less
SELECT try('adam', 'SELECT set_config(''row_security'', ''off'', true); SELECT FROM chat.messages');

SET client_min_messages = warning;
DROP TABLE callers, statements, calls, pairs;
DROP FUNCTION try, matrix, leak;
DROP SCHEMA chat CASCADE;
DROP EXTENSION chatroom;
DROP OWNED BY sec_owner;
DROP ROLE sec_owner, sec_app, rolanda;
