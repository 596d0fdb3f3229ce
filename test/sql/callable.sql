-- allow_call(), disallow_call(): what multi calls by name
CREATE EXTENSION chatroom;
CREATE SCHEMA c;
CREATE ROLE regress_owner;
CREATE ROLE regress_caller;
CREATE ROLE regress_member IN ROLE regress_caller;
CREATE ROLE regress_stranger;
GRANT ALL ON SCHEMA c TO regress_owner;
GRANT USAGE ON SCHEMA c TO PUBLIC;
GRANT regress_caller TO regress_owner;
CREATE FUNCTION called(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN chatroom.multi(jsonb_build_array(jsonb_build_object('name', 'a', 'op', 'call', 'function', name))) #>> '{ok,a}';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SET ROLE regress_owner;
CREATE FUNCTION c.f(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"f"'::jsonb $$;
CREATE FUNCTION c.f(text) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"text"'::jsonb $$;
CREATE FUNCTION c.g(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(current_user::text) $$;
CREATE FUNCTION c.hidden(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"hidden"'::jsonb $$;
REVOKE EXECUTE ON FUNCTION c.hidden FROM PUBLIC;
CREATE PROCEDURE c.p(jsonb) LANGUAGE sql AS '';
RESET ROLE;
\pset format unaligned
\pset tuples_only on

-- nothing is callable at first, not even by who may do all
SELECT called('c.f'), called('c.f(jsonb)'), called('pg_catalog.to_jsonb'), called('c.none');
-- a function's owner allows it to roles that it is a member of, to no others
SET ROLE regress_owner;
SELECT chatroom.allow_call('c.f(jsonb)', 'regress_caller');
SELECT chatroom.allow_call('c.g', 'regress_caller');
SELECT chatroom.allow_call('c.hidden', 'regress_caller');
SELECT chatroom.allow_call('c.g', 'regress_stranger');
SELECT chatroom.allow_call('c.g', 'public');
SELECT chatroom.allow_call('pg_catalog.jsonb_pretty', 'regress_caller');
SELECT chatroom.allow_call('c.f', 'regress_caller');
SELECT chatroom.allow_call('c.p', 'regress_caller');
SELECT chatroom.allow_call('c.none', 'regress_caller');
SELECT chatroom.allow_call('-', 'regress_caller');
SELECT chatroom.allow_call('17', 'regress_caller');
SELECT chatroom.allow_call('c.g', 'regress_nobody');
SELECT chatroom.allow_call(NULL, 'regress_caller');
RESET ROLE;
-- a stranger neither calls nor allows
SET ROLE regress_stranger;
SELECT called('c.f'), called('c.g');
SELECT chatroom.allow_call('c.f(jsonb)', 'regress_stranger');
SELECT chatroom.disallow_call('c.f(jsonb)', 'regress_caller');
SELECT * FROM chatroom.callable;
SELECT * FROM chatroom.call_grant;
-- members call, as themselves, what they may execute
SET ROLE regress_member;
SELECT called('c.f'), called('c.g'), called('c.hidden'), called('c.f(text)');
SELECT * FROM chatroom.callable ORDER BY 1;
RESET ROLE;
-- another function of that name is another one
SET ROLE regress_owner;
DROP FUNCTION c.f(jsonb);
ALTER FUNCTION c.g RENAME TO g2;
SELECT * FROM chatroom.callable ORDER BY 1;
RESET ROLE;
CREATE FUNCTION c.f(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"another"'::jsonb $$;
SET ROLE regress_member;
SELECT called('c.f'), called('c.g'), called('c.g2');
RESET ROLE;
-- the owner's own is what it allowed
DROP FUNCTION c.f(jsonb);
SET ROLE regress_owner;
CREATE FUNCTION c.f(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"again"'::jsonb $$;
SET ROLE regress_member;
SELECT called('c.f');
RESET ROLE;
-- who owns the database allows anything, to everybody; with a new owner, too
ALTER FUNCTION c.f(jsonb) OWNER TO regress_stranger;
SELECT called('c.f');
SELECT chatroom.allow_call('c.f(jsonb)', 'regress_caller');
SELECT chatroom.allow_call('c.f(jsonb)', 'public');
SELECT * FROM chatroom.callable ORDER BY 1, 2;
SET ROLE regress_stranger;
SELECT called('c.f');
SELECT * FROM chatroom.callable ORDER BY 1, 2;
RESET ROLE;
-- taken back, also of what is gone
SELECT chatroom.disallow_call('c.f(jsonb)', 'public');
SELECT chatroom.disallow_call('c.f(jsonb)', 'public');
SELECT chatroom.disallow_call('c.g(pg_catalog.jsonb)', 'regress_caller');
SELECT * FROM chatroom.callable ORDER BY 1, 2;
SET ROLE regress_stranger;
SELECT called('c.f');
RESET ROLE;
-- in a session with another search_path, and operators of its own
CREATE FUNCTION c.eq(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR c.= (LEFTARG = text, RIGHTARG = text, FUNCTION = c.eq);
SET search_path = c, public, pg_catalog;
SELECT called('f');
SET ROLE regress_member;
SELECT called('f'), called('g2');
RESET ROLE;
RESET search_path;

DROP EXTENSION chatroom;
SET client_min_messages = warning;
DROP SCHEMA c CASCADE;
DROP FUNCTION called(text);
DROP ROLE regress_owner, regress_caller, regress_member, regress_stranger;
