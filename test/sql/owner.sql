-- What runs as the owner of the tables runs nothing of the caller's: whatever
-- names her search_path would find, and whatever the owner's own triggers leave
-- open.
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE ROLE regress_owner;
CREATE ROLE regress_mallory;
CREATE ROLE regress_other;
GRANT CREATE ON DATABASE regression TO regress_owner, regress_mallory;
CREATE TABLE public.secret (x text);
ALTER TABLE public.secret OWNER TO regress_owner;
CREATE TABLE public.audit (what text);
ALTER TABLE public.audit OWNER TO regress_owner;

-- the owner's ordinary triggers, which don't fix their search_path
SET ROLE regress_owner;
SELECT chatroom.migrate();
CREATE TABLE chat.stars (message_id bigint REFERENCES chat.messages ON DELETE CASCADE);
CREATE FUNCTION chat.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF lower(tg_op) || ' of ' || tg_table_name::text <> '' AND length(tg_op) > 3 THEN
		INSERT INTO public.audit
			SELECT concat(lower(tg_op), ' of ', tg_table_name)
			WHERE current_user OPERATOR(pg_catalog.<>) 'regress_mallory';
	END IF;
	IF tg_table_name OPERATOR(pg_catalog.=) 'users' AND tg_op OPERATOR(pg_catalog.=) 'INSERT' THEN
		IF new.username OPERATOR(pg_catalog.=) 'raiser' THEN
			RAISE 'not you';
		END IF;
	END IF;
	RETURN coalesce(new, old);
END
$$;
GRANT USAGE ON SCHEMA chat TO regress_mallory, regress_other;
GRANT SELECT ON ALL TABLES IN SCHEMA chat TO regress_mallory, regress_other;
GRANT INSERT, UPDATE, DELETE ON chat.rooms, chat.messages TO regress_mallory, regress_other;
DO $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY '{rooms,messages,users,members,invites,stars}'::text[] LOOP
		EXECUTE format('CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON chat.%I
			FOR EACH ROW EXECUTE FUNCTION chat.note()', name);
		-- what foreign keys delete fires those before it as the owner
		EXECUTE format('CREATE TRIGGER note_before BEFORE INSERT OR UPDATE OR DELETE ON chat.%I
			FOR EACH ROW EXECUTE FUNCTION chat.note()', name);
	END LOOP;
END
$$;
GRANT INSERT, DELETE ON chat.stars TO PUBLIC;
GRANT INSERT ON public.audit TO PUBLIC;
-- a table of the owner's under one of mallory's
CREATE TABLE chat.child (id int, room_id int);
RESET ROLE;
CREATE TABLE public.parent (id int, room_id int);
ALTER TABLE chat.child INHERIT public.parent;
ALTER TABLE public.parent OWNER TO regress_mallory;
GRANT EXECUTE ON FUNCTION chatroom.grant_topic(text, text, text[]),
	chatroom.revoke_topic(text, text, text[]) TO regress_mallory;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON chatroom.topic_grant
	FOR EACH ROW EXECUTE FUNCTION chat.note();
CREATE FUNCTION chat.note_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	IF lower(tg_tag) <> tg_tag || ' '::text THEN
		INSERT INTO public.audit VALUES (lower(tg_tag));
	END IF;
END
$$;

-- mallory's schema: functions, operators and types that the server's own names
-- are found as, which note who runs them, and take what they can
CREATE SCHEMA mallory AUTHORIZATION regress_mallory;
SET ROLE regress_mallory;
GRANT USAGE, CREATE ON SCHEMA mallory TO PUBLIC;
CREATE TABLE mallory.ran (who name, what text);
GRANT INSERT ON mallory.ran TO PUBLIC;
CREATE FUNCTION mallory.spy(what text) RETURNS pg_catalog.bool LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO mallory.ran VALUES (current_user, what);
	GRANT ALL ON public.secret TO regress_mallory;
	RETURN true;
EXCEPTION WHEN insufficient_privilege THEN
	INSERT INTO mallory.ran VALUES (current_user, what);
	RETURN true;
END
$$;
CREATE DOMAIN mallory.text AS pg_catalog.text CHECK (mallory.spy('text'));
CREATE DOMAIN mallory.int8 AS pg_catalog.int8 CHECK (mallory.spy('int8'));
DO $$
DECLARE
	f record;
BEGIN
	-- each function and operator of a few names, for all the types it has
	FOR f IN
		SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS args,
			format_type(prorettype, NULL) AS result, quote_literal(p.oid::regprocedure) AS what
		FROM pg_proc p
		WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f'
			AND proname = ANY ('{lower,upper,length,position,coalesce,jsonb_each,jsonb_typeof,concat,now,textcat,format,unnest,encode,sha256}')
			AND NOT proretset AND provariadic = 0 AND 'internal'::regtype <> ALL (proargtypes)
	LOOP
		EXECUTE pg_catalog.format('CREATE FUNCTION mallory.%I(%s) RETURNS %s LANGUAGE plpgsql AS
			$f$ BEGIN PERFORM mallory.spy(%L); RETURN NULL; END $f$', f.proname, f.args, f.result, f.what);
	END LOOP;
	FOR f IN
		SELECT oprname, format_type(oprleft, NULL) AS l, format_type(oprright, NULL) AS r,
			format_type(oprresult, NULL) AS result, o.oid
		FROM pg_operator o
		WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprkind = 'b' AND oprresult <> 0
			AND oprname = ANY ('{=,<>,||,<,>,+,-,>=,<=,~,<@,&&}')
			AND oprleft = ANY ('{text,name,int4,int8,bool,timestamptz,jsonb,bytea,anycompatiblearray,anyarray}'::regtype[])
	LOOP
		EXECUTE pg_catalog.format('CREATE FUNCTION mallory.op_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS
			$f$ BEGIN PERFORM mallory.spy(%L); RETURN NULL; END $f$', f.oid, f.l, f.r, f.result, f.oprname);
		EXECUTE pg_catalog.format('CREATE OPERATOR mallory.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = mallory.op_%s)',
			f.oprname, f.l, f.r, f.oid);
	END LOOP;
END
$$;
-- relations, too
CREATE TABLE mallory.audit (what pg_catalog.text);
CREATE VIEW mallory.pg_class AS SELECT mallory.spy('pg_class'), c.* FROM pg_catalog.pg_class c;
CREATE VIEW mallory.pg_trigger AS SELECT mallory.spy('pg_trigger'), t.* FROM pg_catalog.pg_trigger t;
RESET ROLE;
SELECT count(*) > 100 AS "many of them" FROM pg_proc WHERE pronamespace = 'mallory'::regnamespace;
CREATE EVENT TRIGGER regress_note ON ddl_command_end
	WHEN TAG IN ('CREATE TRIGGER', 'ALTER TABLE', 'DROP TRIGGER') EXECUTE FUNCTION chat.note_ddl();

-- it bites: her own statement runs it, as herself
SET ROLE regress_mallory;
SET search_path = mallory, pg_catalog, public;
INSERT INTO chat.rooms (name) VALUES ('of mallory');
RESET search_path;
RESET ROLE;
SELECT who, count(*) > 0 AS ran FROM mallory.ran GROUP BY who;
TRUNCATE mallory.ran, public.audit;

-- every function of the API that acts as the owner
SET ROLE regress_other;
SELECT chatroom.create_room('theirs', true) ->> 'name' AS name;
CREATE TABLE mallory.tokens AS SELECT chatroom.create_invite('theirs', 'member') AS token;
GRANT SELECT ON mallory.tokens TO PUBLIC;
RESET ROLE;
CREATE TABLE public.calls (n serial, call text);
INSERT INTO public.calls (call) VALUES
	('chatroom.create_room(''lobby'')'),
	('chatroom.create_room(''den'', true)'),
	('chatroom.post(''lobby'', ''mallory'', ''hello'')'),
	('chatroom.post(''lobby'', ''mallory'', ''again'', ''key'')'),
	('chatroom.shout(''lobby'', ''mallory2'', ''hello'')'),
	('chatroom.insert(''chat.stars'', jsonb_build_object(''message_id'', (SELECT min(id) FROM chat.messages)))'),
	('chatroom.insert(''chat.stars'', jsonb_build_object(''message_id'', (SELECT max(id) FROM chat.messages)))'),
	('chatroom.edit_message((SELECT min(id) FROM chat.messages), ''edited'')'),
	('chatroom.rename_room(''lobby'', ''hall'')'),
	('chatroom.update_user(''regress_mallory'', ''{"profile": {"name": "M"}}'')'),
	('chatroom.add_member(''den'', ''bertie'')'),
	('chatroom.add_member(''den'', ''bertie'', ''admin'')'),
	('chatroom.add_member(''den'', ''carla'', ''member'')'),
	('chatroom.remove_member(''den'', ''carla'')'),
	('chatroom.list_members(''den'')'),
	('length(chatroom.create_invite(''den'', ''member''))'),
	('chatroom.add_member(''den'', ''regress_other'', ''admin'')'),
	('chatroom.transfer_room(''den'', ''regress_other'')'),
	('chatroom.leave_room(''den'')'),
	('chatroom.accept_invite((SELECT token FROM tokens))'),
	('chatroom.leave_room(''theirs'')'),
	('chatroom.create_room(''den2'', true)'),
	('chatroom.delete_message((SELECT max(id) FROM chat.messages))'),
	('chatroom.delete_room(''hall'')'),
	('chatroom.delete_room(''den2'')'),
	('chatroom.delete_user(''regress_mallory'')'),
	('chatroom.grant_topic(''a:*'', ''regress_mallory'', ''{sync,track}'')'),
	('chatroom.grant_topic(''a:*'', ''regress_mallory'', ''{broadcast}'')'),
	('chatroom.revoke_topic(''a:*'', ''regress_mallory'', ''{sync}'')'),
	('chatroom.revoke_topic(''a:*'', ''regress_mallory'', ''{sync,track,broadcast}'')'),
	('chatroom.watch(''public.parent'', ''lbl'')'),
	('chatroom.watch(''public.parent'', ''lbl'', always => true)'),
	('chatroom.watch(''public.parent'', ''lbl'', condition => ''id > 1'')'),
	('chatroom.unwatch(''public.parent'', ''lbl'')'),
	('chatroom.insert(''chat.rooms'', ''{"name": "by changeset"}'')'),
	('chatroom.post(''by changeset'', ''raiser'', ''hello'')');
-- called as mallory, with her search_path; how it went, who ran code of hers, and
-- which triggers of the owner's ran as the owner
CREATE TABLE public.report (n int, state text, owner text, others text);
CREATE PROCEDURE public.try_all() LANGUAGE plpgsql AS $$
DECLARE
	c public.calls;
	state pg_catalog.text;
	ignored pg_catalog.text;
BEGIN
	FOR c IN SELECT * FROM public.calls ORDER BY n LOOP
		TRUNCATE mallory.ran, public.audit;
		SET LOCAL ROLE regress_mallory;
		SET LOCAL search_path = mallory, pg_catalog, public;
		state := 'ok';
		BEGIN
			EXECUTE pg_catalog.concat('SELECT ', c.call) INTO ignored;
		EXCEPTION WHEN OTHERS THEN
			state := sqlerrm;
		END;
		SET LOCAL search_path = pg_catalog;
		RESET ROLE;
		INSERT INTO public.report SELECT c.n, state,
			(SELECT string_agg(DISTINCT what, ', ' ORDER BY what) FROM public.audit),
			(SELECT string_agg(DISTINCT who || ' ' || what, ', ') FROM mallory.ran WHERE who <> 'regress_mallory');
		COMMIT;
	END LOOP;
END
$$;
CALL public.try_all();
SELECT n, call, state, owner, others FROM public.report JOIN public.calls USING (n) ORDER BY n;
-- what she got
SELECT has_table_privilege('regress_mallory', 'public.secret', 'SELECT') AS secret;

-- an error tells where in the owner's code it was, and of no statement of ours
SET ROLE regress_mallory;
SELECT chatroom.post('by changeset', 'raiser', 'hello');
RESET ROLE;
GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO regress_mallory;
SET ROLE regress_mallory;
BEGIN;
SELECT chatroom.act_as('x');
SELECT chatroom.create_room('of nobody', true);
ROLLBACK;
-- settings are as they were, whatever happened
SHOW search_path;
RESET ROLE;
SELECT chatroom.watch('public.parent', 'lbl');
ALTER EVENT TRIGGER regress_note DISABLE;
CREATE OR REPLACE FUNCTION chat.note_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE 'no DDL as %, with %', current_user, current_setting('search_path');
END
$$;
ALTER EVENT TRIGGER regress_note ENABLE;
SET ROLE regress_mallory;
SELECT chatroom.watch('public.parent', 'other', condition => 'id > 1');
\set VERBOSITY terse
SELECT chatroom.unwatch('public.parent', 'lbl');
RESET ROLE;

-- functions that are SECURITY DEFINER fix their search_path
SELECT p.oid::regprocedure AS "without search_path"
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'chatroom')
	AND (p.prosecdef OR p.prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c'))
	AND NOT coalesce(p.proconfig @> '{"search_path=pg_catalog, pg_temp"}', false);

DROP EVENT TRIGGER regress_note;
DROP SCHEMA chat CASCADE;
DROP EXTENSION chatroom CASCADE;
DROP SCHEMA mallory CASCADE;
DROP TABLE public.parent, public.calls, public.report;
DROP PROCEDURE public.try_all;
DROP OWNED BY regress_owner, regress_mallory, regress_other CASCADE;
DROP ROLE regress_owner, regress_mallory, regress_other;
