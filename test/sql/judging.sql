-- What policies do while they are evaluated for events: they say who sees what, and
-- that is all that comes of it.
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
SELECT chatroom.migrate();
CREATE ROLE regress_mallory;
CREATE ROLE regress_judge;
GRANT EXECUTE ON FUNCTION chatroom.act_as(text), chatroom.stop(), chatroom.stat_reset() TO regress_judge;
GRANT USAGE ON SCHEMA chat TO regress_judge;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA chat TO regress_judge;
INSERT INTO chat.rooms (name) VALUES ('lobby');
CREATE SCHEMA jud AUTHORIZATION regress_mallory;
GRANT USAGE ON SCHEMA jud TO PUBLIC;
CREATE TABLE public.loot (what text);
GRANT INSERT ON public.loot TO PUBLIC;

-- mallory's policy tries whatever the statement in a setting says, and tells of it in
-- a warning
SET ROLE regress_mallory;
CREATE TABLE jud.notes (id int PRIMARY KEY, author text);
ALTER TABLE jud.notes ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION jud.try() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	EXECUTE 'SELECT ' || current_setting('jud.call');
	RAISE WARNING 'done';
	RETURN true;
EXCEPTION WHEN OTHERS THEN
	RAISE WARNING '% %', SQLSTATE, SQLERRM;
	RETURN true;
END
$$;
CREATE FUNCTION jud.do(statement text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	EXECUTE statement;
	RETURN true;
END
$$;
CREATE POLICY tries ON jud.notes USING (jud.try());
GRANT SELECT ON jud.notes TO regress_judge;
SELECT chatroom.watch('jud.notes');
RESET ROLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO jud.notes VALUES (1, 'alice');
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;

CREATE FUNCTION jud.ask(call text, since text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer json;
BEGIN
	PERFORM set_config('jud.call', call, false);
	answer := chatroom.sync('jud.notes', since);
	RETURN CASE WHEN (answer->>'reset')::boolean THEN 'reset'
		ELSE json_array_length(answer->'events') || ' events' END;
END
$$;

-- powers of the caller that it gets none of
SET ROLE regress_judge;
\pset tuples_only on
SELECT jud.ask('1', :'start');
SELECT jud.ask('chatroom.act_as(''admin'')', :'start');
SELECT jud.ask('chatroom.channel(''jud.notes'', acting_for => ''admin'')', :'start');
SELECT jud.ask('chatroom.listen(''jud.notes'')', :'start');
SELECT jud.ask('chatroom.unlisten(''jud.notes'')', :'start');
SELECT jud.ask('chatroom.track(''room:1'', ''regress_judge'')', :'start');
SELECT jud.ask('chatroom.untrack(''room:1'', ''regress_judge'')', :'start');
SELECT jud.ask('chatroom.typing(1, ''regress_judge'')', :'start');
SELECT jud.ask('chatroom.stop()', :'start');
SELECT jud.ask('chatroom.stat_reset()', :'start');
SELECT jud.ask('chatroom.post(''lobby'', ''admin'', ''forged'')', :'start');
SELECT jud.ask('jud.do($$INSERT INTO public.loot VALUES (1)$$)', :'start');
SELECT jud.ask('jud.do($$SET ROLE regress_mallory$$)', :'start');
SELECT jud.ask('jud.do($$RESET ROLE$$)', :'start');
SELECT jud.ask('jud.do($$RESET SESSION AUTHORIZATION$$)', :'start');
SELECT jud.ask('jud.do($$SET transaction_read_only = off$$)', :'start');
SELECT jud.ask('jud.do($$CREATE TEMP TABLE t ()$$)', :'start');
SELECT jud.ask('jud.do($$LISTEN x$$)', :'start');
-- what it may: ask who the caller is, and follow
SELECT jud.ask('chatroom.may_edit(''chat.rooms'', 1, ''regress_judge'')', :'start');
-- what it set is not set afterwards
SELECT jud.ask('set_config(''jud.left'', ''here'', false), set_config(''DateStyle'', ''German'', false), set_config(''search_path'', ''jud'', false)', :'start');
SELECT coalesce(nullif(current_setting('jud.left', true), ''), '(nothing)'), current_setting('DateStyle'), current_setting('search_path');
BEGIN;
SELECT chatroom.act_as('alice');
SELECT jud.ask('set_config(''jud.left'', ''here'', true)', :'start');
SELECT coalesce(nullif(current_setting('jud.left', true), ''), '(nothing)'), current_setting('transaction_read_only');
-- and the transaction writes on, as whom it was
INSERT INTO chat.messages (room_id, username, text) VALUES (1, 'alice', 'goes on') RETURNING text;
ROLLBACK;
RESET ROLE;
SELECT count(*) FROM public.loot;

-- whatever it raises, the answer is a reset
SET ROLE regress_mallory;
CREATE FUNCTION jud.fail() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	PERFORM set_config('jud.left', 'here', false);
	RAISE 'by hand' USING ERRCODE = current_setting('jud.state');
END
$$;
ALTER POLICY tries ON jud.notes USING (jud.fail());
RESET ROLE;
ALTER EVENT TRIGGER chatroom_ddl DISABLE;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO jud.notes VALUES (2, 'alice');
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SET ROLE regress_judge;
SELECT state, set_config('jud.state', state, false) = state AND jud.ask('', :'start') = 'reset' AS reset
FROM unnest('{40001,40P01,57014,57P01,53200,53400,55P03,58030,XX001,XX000,22012,P0001}'::text[]) state;
SELECT coalesce(nullif(current_setting('jud.left', true), ''), '(nothing)');
-- also in a transaction that others' changes could end
BEGIN ISOLATION LEVEL SERIALIZABLE;
SET LOCAL jud.state = '40001';
SELECT jud.ask('', :'start');
SELECT 'goes on';
COMMIT;
-- but not what is the caller's own
RESET ROLE;
SET ROLE regress_mallory;
ALTER POLICY tries ON jud.notes USING (pg_sleep(600) IS NOT NULL);
SET ROLE regress_judge;
\set VERBOSITY terse
SET statement_timeout = '50ms';
SELECT jud.ask('', :'start');
RESET statement_timeout;
RESET ROLE;

-- what an IMMUTABLE function says of one user is not what it says of the next
SET ROLE regress_mallory;
CREATE FUNCTION jud.who() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT current_setting('jud.caller', true) $$;
CREATE FUNCTION jud.who2() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN current_setting('jud.caller', true); END $$;
CREATE FUNCTION jud.who3() RETURNS text LANGUAGE sql STABLE AS $$ SELECT jud.who2() $$;
CREATE VIEW jud.me AS SELECT jud.who2() AS me;
GRANT SELECT ON jud.me TO PUBLIC;
CREATE FUNCTION jud.sees(since text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(e->'row'->>'author', ' ') FROM json_array_elements(chatroom.sync('jud.notes', since)->'events') e
$$;
ALTER POLICY tries ON jud.notes USING (author = jud.who());
RESET ROLE;
ALTER EVENT TRIGGER chatroom_ddl ENABLE ALWAYS;
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO jud.notes VALUES (3, 'alice'), (4, 'carol');
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
ALTER EVENT TRIGGER chatroom_ddl DISABLE;
SET plan_cache_mode = force_generic_plan;
CREATE PROCEDURE jud.each(since text) LANGUAGE plpgsql AS $$
DECLARE
	condition text;
	username text;
BEGIN
	FOREACH condition IN ARRAY ARRAY['author = jud.who()', 'author = jud.who2()', 'author = jud.who3()',
			'author IN (SELECT me FROM jud.me)'] LOOP
		EXECUTE format('ALTER POLICY tries ON jud.notes USING (%s)', condition);
		SET LOCAL ROLE regress_judge;
		FOREACH username IN ARRAY '{alice,carol,alice}'::text[] LOOP
			PERFORM set_config('jud.caller', username, false);
			RAISE WARNING '%: % sees %', condition, username, jud.sees(since);
		END LOOP;
		RESET ROLE;
	END LOOP;
END
$$;
CALL jud.each(:'start');
-- nor in pages of messages
RESET plan_cache_mode;
CREATE POLICY own ON chat.messages AS RESTRICTIVE FOR SELECT USING (username = jud.who2());
INSERT INTO chat.messages (room_id, username, text) VALUES (1, 'alice', 'of alice'), (1, 'carol', 'of carol');
SET ROLE regress_judge;
SET jud.caller = 'alice';
SELECT m->>'text' FROM json_array_elements(chatroom.list_messages('lobby')->'messages') m;
SET jud.caller = 'carol';
SELECT m->>'text' FROM json_array_elements(chatroom.list_messages('lobby')->'messages') m;
RESET ROLE;
ALTER EVENT TRIGGER chatroom_ddl ENABLE ALWAYS;

-- where PostgreSQL runs the code of a table's owner for somebody else, chat knows nobody
SET ROLE regress_judge;
SELECT name FROM jsonb_to_record(chatroom.create_room('den', true)) AS r(name text);
RESET ROLE;
ALTER TABLE chat.messages DISABLE TRIGGER USER;
INSERT INTO chat.messages (room_id, username, text) SELECT id, 'regress_judge', 'secret' FROM chat.rooms WHERE name = 'den';
ALTER TABLE chat.messages ENABLE TRIGGER USER;
DROP POLICY own ON chat.messages;
GRANT USAGE ON SCHEMA chat TO regress_mallory;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA chat TO regress_mallory;
SET ROLE regress_mallory;
CREATE FUNCTION jud.spy(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RAISE WARNING 'as %: %', current_user, (SELECT string_agg(text, ', ') FROM chat.messages WHERE text LIKE 'secret%');
	PERFORM set_config('jud.call', current_setting('jud.calls'), true);
	PERFORM jud.try();
	RETURN $1;
END
$$;
CREATE TABLE jud.big (i int);
INSERT INTO jud.big VALUES (1);
SET jud.calls = '1';
CREATE INDEX big_spy ON jud.big (jud.spy(i));
RESET ROLE;
GRANT regress_mallory TO regress_judge;
GRANT CREATE ON SCHEMA jud TO regress_judge;
SET ROLE regress_judge;
SET jud.calls = 'chatroom.post(''den'', ''alice'', ''forged'')';
ANALYZE jud.big;
SET jud.calls = 'chatroom.add_member(''den'', ''mallory'', ''admin'')';
REINDEX TABLE jud.big;
SET jud.calls = 'chatroom.create_room(''of nobody'', true)';
ANALYZE jud.big;
SET jud.calls = 'chatroom.act_as(''alice'')';
ANALYZE jud.big;
SET jud.calls = 'chatroom.track(''room:1'', ''alice'')';
ANALYZE jud.big;
-- whatever was said before
BEGIN;
SELECT chatroom.act_as('regress_judge');
SELECT text FROM chat.messages WHERE text LIKE 'secret%';
SET LOCAL jud.calls = '1';
ANALYZE jud.big;
SELECT text FROM chat.messages WHERE text LIKE 'secret%';
COMMIT;
-- the tables' owner refreshes a view of all, for whomever it acts
RESET ROLE;
CREATE MATERIALIZED VIEW jud.counts AS SELECT count(*) FILTER (WHERE text = 'secret') AS secrets FROM chat.messages;
SELECT * FROM jud.counts;
BEGIN;
SELECT chatroom.act_as('alice');
REFRESH MATERIALIZED VIEW jud.counts;
SELECT * FROM jud.counts;
COMMIT;

DROP SCHEMA jud CASCADE;
DROP SCHEMA chat CASCADE;
DROP EXTENSION chatroom CASCADE;
DROP TABLE public.loot;
DROP OWNED BY regress_mallory, regress_judge;
DROP ROLE regress_mallory, regress_judge;
