-- chat tables: versions up and down, prefixes, what hangs on the extension
CREATE EXTENSION chatroom;
\set VERBOSITY terse
CREATE ROLE mig_owner;
GRANT CREATE ON DATABASE regression TO mig_owner;

-- everything that a prefix has, but data
CREATE FUNCTION shape(prefix text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(line, prefix || '\.', 'P.', 'g') FROM (
		SELECT format('%s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
			CASE WHEN a.attnotnull THEN ' not null' END, a.attidentity) AS line
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		WHERE c.relnamespace = prefix::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
		UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = prefix::regnamespace
		UNION ALL SELECT format('%s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace = prefix::regnamespace AND contype <> 'n'
		UNION ALL SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = prefix::regnamespace AND NOT tgisinternal
		UNION ALL SELECT format('%s.%s %s using (%s) check (%s)', c.relname, polname, polcmd, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
			FROM pg_policy JOIN pg_class c ON c.oid = polrelid WHERE relnamespace = prefix::regnamespace
		UNION ALL SELECT format('%s rls %s %s', relname, relrowsecurity, relforcerowsecurity) FROM pg_class WHERE relnamespace = prefix::regnamespace AND relkind = 'r'
		UNION ALL SELECT format('%s: %s', objoid::regclass, description) FROM pg_description JOIN pg_class c ON c.oid = objoid
			WHERE classoid = 'pg_class'::regclass AND relnamespace = prefix::regnamespace) l
	ORDER BY line COLLATE "C"
$$;

-- the newest version
SELECT chatroom.migrate();
SELECT prefix, version, owner = current_user AS mine, access FROM chatroom.migrations;
SELECT shape('chat');
SELECT relation, name, field, validation, params, message FROM chatroom.rules ORDER BY relation, name;
SELECT topic, columns FROM chatroom.watches ORDER BY topic;

-- twice changes nothing
CREATE TEMP TABLE shapes AS SELECT 'fresh' AS state, shape('chat') AS line;
SELECT xmin FROM pg_class WHERE oid = 'chat.rooms'::regclass \gset before_
SELECT chatroom.migrate();
SELECT xmin = :before_xmin AS untouched FROM pg_class WHERE oid = 'chat.rooms'::regclass;
SELECT shape('chat') EXCEPT SELECT line FROM shapes WHERE state = 'fresh';

-- an owner's changes stay: a rule less, a column more
SELECT chatroom.drop_rule('chat.messages', 'messages_text_length');
ALTER TABLE chat.messages ADD COLUMN mood text;
SELECT chatroom.migrate();
SELECT count(*) FROM chatroom.rules WHERE name = 'messages_text_length';
SELECT chatroom.add_rule('chat.messages', 'text', 'length', '{"min": 2, "max": 150}');
ALTER TABLE chat.messages DROP COLUMN mood;

-- down and up again: nothing to lose, and the same as before
SELECT chatroom.migrate(version => 1);
SELECT shape('chat');
SELECT prefix, version, owner = current_user AS mine, access FROM chatroom.migrations;
SELECT chatroom.migrate(version => 1);
SELECT chatroom.migrate();
SELECT shape('chat') EXCEPT SELECT line FROM shapes WHERE state = 'fresh';
SELECT line FROM shapes WHERE state = 'fresh' EXCEPT SELECT shape('chat');
SELECT chatroom.migrate(version => 0);
SELECT prefix, version, owner = current_user AS mine, access FROM chatroom.migrations;
SELECT chatroom.migrate(version => 0);
SELECT shape('chat');
SELECT chatroom.migrate();
SELECT shape('chat') EXCEPT SELECT line FROM shapes WHERE state = 'fresh';
SELECT line FROM shapes WHERE state = 'fresh' EXCEPT SELECT shape('chat');

-- down with data tells what it would lose, and wants force
\set VERBOSITY default
\set SHOW_CONTEXT never
INSERT INTO chat.rooms (name, private) VALUES ('lobby', false), ('den', true);
INSERT INTO chat.users (username) VALUES ('anna'), ('bert');
INSERT INTO chat.members (room_id, username, role) VALUES (2, 'anna', 'owner');
INSERT INTO chat.messages (room_id, username, text) VALUES (1, 'anna', 'hello'), (2, 'anna', 'psst');
SELECT chatroom.create_invite('den') <> '' AS invited;
SELECT chatroom.migrate(version => 1);
SELECT chatroom.migrate(version => 0);
SELECT (SELECT count(*) FROM chat.members) AS members, version FROM chatroom.migrations;
SELECT chatroom.migrate(version => 1, force => true);
SELECT id, name FROM chat.rooms ORDER BY id;
SELECT room_id, username, text FROM chat.messages ORDER BY id;
SELECT chatroom.migrate(version => 0);
SELECT chatroom.migrate();
SELECT name, private FROM chat.rooms ORDER BY id;
-- no one's loss is not seen: who acts for a user is not let
BEGIN;
SELECT chatroom.act_as('anna');
SELECT chatroom.migrate(version => 1);
ROLLBACK;

-- a migration that fails leaves all as it was
CREATE VIEW chat.secrets AS SELECT * FROM chat.rooms WHERE private;
SELECT chatroom.migrate(version => 1);
SELECT version FROM chatroom.migrations;
DROP VIEW chat.secrets;

-- several prefixes, odd names, the setting
SELECT chatroom.migrate('my "chat" 100%');
SELECT chatroom.migrate('old', 1);
SET chatroom.prefix = 'my "chat" 100%';
SELECT chatroom.create_room('there') -> 'id' AS id;
SELECT name FROM "my ""chat"" 100%".rooms;
RESET chatroom.prefix;
SELECT topic FROM chatroom.watches WHERE topic LIKE '%100%' ORDER BY topic;
SELECT prefix, version, owner = current_user AS mine, access FROM chatroom.migrations ORDER BY prefix;
-- a prefix renamed is one by the other name
ALTER SCHEMA "my ""chat"" 100%" RENAME TO mine;
SELECT chatroom.create_room('here', prefix => 'mine') -> 'id' AS id;
SELECT chatroom.create_room('here', prefix => 'my "chat" 100%');
SELECT chatroom.migrate('mine');
SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = 'mine.messages'::regclass AND polname = 'chatroom_select';

-- not with these
SELECT chatroom.migrate('');
SELECT chatroom.migrate(NULL);
SELECT chatroom.migrate('pg_chat');
SELECT chatroom.migrate('chatroom');
SELECT chatroom.migrate(repeat('x', 64));
SELECT chatroom.migrate(version => 99);
SELECT chatroom.migrate(version => -1);
SELECT chatroom.migrate(force => NULL);

-- somebody else's table of that name is left alone
CREATE SCHEMA app;
CREATE TABLE app.rooms (id int);
SELECT chatroom.migrate('app');
SELECT chatroom.list_rooms(prefix => 'app');
ALTER TABLE app.rooms RENAME TO other;
CREATE TABLE app.messages (id int);
SELECT chatroom.migrate('app');
SELECT to_regclass('app.rooms');
-- nor is what only says that it is one
COMMENT ON TABLE app.messages IS 'chatroom: messages';
CREATE TABLE app.rooms (id int);
COMMENT ON TABLE app.rooms IS 'chatroom: rooms, version 2';
SELECT chatroom.list_rooms(prefix => 'app');
COMMENT ON TABLE app.rooms IS 'chatroom: rooms, version 3';
SELECT chatroom.migrate('app');
COMMENT ON TABLE app.rooms IS 'chatroom: rooms, version two';
SELECT chatroom.list_rooms(prefix => 'app');
DROP SCHEMA app CASCADE;

-- changes that leave nothing to work with
ALTER TABLE mine.messages OWNER TO mig_owner;
SELECT chatroom.list_rooms(prefix => 'mine');
ALTER TABLE mine.messages OWNER TO current_user;
ALTER TABLE mine.rooms RENAME name TO title;
SELECT chatroom.list_rooms(prefix => 'mine');
ALTER TABLE mine.rooms RENAME title TO name;
-- and some that do: look-ups without their index
DROP INDEX mine.rooms_name_index;
SELECT chatroom.get_room('here', prefix => 'mine') ->> 'name' AS name;

-- who may: an owner; who may not create a schema or change the tables is told by the server
SET ROLE mig_owner;
SELECT chatroom.migrate('theirs');
SELECT prefix, owner FROM chatroom.migrations WHERE owner = 'mig_owner';
SELECT chatroom.migrate('chat', 1);
SELECT chatroom.migrate('theirs', 0);
SELECT chatroom.set_access('members', 'chat');
SELECT chatroom.migrate('theirs', 1);
RESET ROLE;
-- a superuser may as well; the tables stay their owner's
SELECT chatroom.migrate('theirs');
SELECT DISTINCT relowner::regrole FROM pg_class WHERE relnamespace = 'theirs'::regnamespace;
SET ROLE mig_owner;
SELECT chatroom.create_room('my own', true, 'theirs') -> 'id' AS id;
RESET ROLE;
DROP SCHEMA theirs CASCADE;

-- tables that are not what they say are not even counted
CREATE SCHEMA trap AUTHORIZATION mig_owner;
SET ROLE mig_owner;
CREATE FUNCTION trap.spring() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'sprung as %', current_user; END $$;
CREATE TABLE trap.rooms (id bigint, name text);
COMMENT ON TABLE trap.rooms IS 'chatroom: rooms, version 1';
CREATE VIEW trap.messages AS SELECT trap.spring() AS id;
RESET ROLE;
SELECT chatroom.migrate('trap', 0);
SELECT chatroom.list_rooms(prefix => 'trap');
DROP SCHEMA trap CASCADE;

-- set_access
SELECT chatroom.set_access('closed');
SELECT chatroom.set_access(NULL);
SELECT chatroom.set_access('members', 'old');
SELECT chatroom.set_access('members', 'none');
SELECT chatroom.set_access('members');
SELECT access FROM chatroom.migrations WHERE prefix = 'chat';
SELECT obj_description('chat.rooms'::regclass);
SELECT chatroom.migrate();
SELECT access FROM chatroom.migrations WHERE prefix = 'chat';
BEGIN;
SELECT chatroom.set_access('open');
ROLLBACK;
SELECT access FROM chatroom.migrations WHERE prefix = 'chat';

-- DROP EXTENSION takes what depends on it, and data stays; until migrate() nobody but superusers sees a row
SET client_min_messages = warning;
INSERT INTO chat.users (username) VALUES ('anna');
INSERT INTO chat.members (room_id, username, role) VALUES (2, 'anna', 'owner');
GRANT USAGE ON SCHEMA chat TO mig_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA chat TO mig_owner;
DROP EXTENSION chatroom CASCADE;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'chat.rooms'::regclass AND NOT tgisinternal;
SET ROLE mig_owner;
SELECT count(*) FROM chat.rooms;
RESET ROLE;
CREATE EXTENSION chatroom;
SELECT chatroom.list_rooms(prefix => 'chat')::jsonb #> '{rooms,0,name}' AS first;
SELECT chatroom.migrate(), chatroom.migrate('mine'), chatroom.migrate('old', 1);
SELECT prefix, version, owner = current_user AS mine, access FROM chatroom.migrations ORDER BY prefix;
SELECT regexp_replace(shape('chat'), ', access members', '') EXCEPT SELECT line FROM shapes WHERE state = 'fresh';
SELECT line FROM shapes WHERE state = 'fresh' EXCEPT SELECT regexp_replace(shape('chat'), ', access members', '');
SELECT count(*) FROM chatroom.rules;
SELECT room_id, username, role FROM chat.members;
SELECT room_id, username, text FROM chat.messages ORDER BY id;

-- updated_at: of who changed, unless told otherwise
UPDATE chat.messages SET text = 'hello' WHERE id = 1;
SELECT updated_at = inserted_at AS untouched FROM chat.messages WHERE id = 1;
UPDATE chat.messages SET text = 'hello, world' WHERE id = 1;
SELECT updated_at > inserted_at AS edited FROM chat.messages WHERE id = 1;
UPDATE chat.messages SET text = 'hullo', updated_at = '2001-01-01' WHERE id = 1;
SELECT updated_at::date FROM chat.messages WHERE id = 1;
UPDATE chat.messages SET inserted_at = 'infinity', text = 'and on' WHERE id = 1;
BEGIN;
INSERT INTO chat.messages (room_id, username, text, inserted_at, updated_at) VALUES (1, 'anna', 'at once', '2101-01-01', '2101-01-01') RETURNING id \gset
UPDATE chat.messages SET text = 'again' WHERE id = :id RETURNING updated_at - inserted_at AS edited;
COMMIT;
CREATE TABLE untimed (id int);
CREATE TRIGGER touch BEFORE UPDATE ON untimed FOR EACH ROW EXECUTE FUNCTION chatroom.touch();
INSERT INTO untimed VALUES (1);
UPDATE untimed SET id = 2;
CREATE TRIGGER touch2 AFTER UPDATE ON untimed FOR EACH ROW EXECUTE FUNCTION chatroom.touch();
UPDATE untimed SET id = 3;
SELECT chatroom.touch();
SELECT chatroom.members_changed();
SELECT chatroom.sees_room('untimed', 1);
-- parts of migrate(), called with what it doesn't say
SELECT chatroom.watch_chat('untimed', NULL);
SELECT chatroom.watch_chat('untimed', '{room:1}');
SELECT chatroom.watch_chat('untimed', '{free}');
SELECT chatroom.watch_chat('untimed', '{*,*,*,*,*,*,*,*,*}');
SELECT chatroom.watch_chat('untimed', '{*}', '{no}');

DROP TABLE untimed;
DROP FUNCTION shape;
DROP SCHEMA chat, mine, old CASCADE;
DROP EXTENSION chatroom;
DROP OWNED BY mig_owner;
DROP ROLE mig_owner;
