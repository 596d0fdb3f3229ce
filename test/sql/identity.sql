-- who the caller acts for: act_as, acting_for, claims, roles
CREATE EXTENSION chatroom;
SET client_min_messages = warning;
SELECT chatroom.migrate();
SELECT chatroom.set_access('members');
CREATE ROLE id_app;
CREATE ROLE id_user;
GRANT USAGE ON SCHEMA chat TO id_app, id_user;
GRANT SELECT ON ALL TABLES IN SCHEMA chat TO id_app, id_user;
GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO id_app;
INSERT INTO chat.rooms (name) VALUES ('lobby');
RESET client_min_messages;
\set VERBOSITY terse

-- the caller's username: whose messages the caller may edit
CREATE VIEW me AS
	SELECT coalesce((SELECT string_agg(u, ' ') FROM unnest('{id_app,id_user,anna,bert,regress,julia}'::text[]) u
					 WHERE chatroom.may_edit('chat.rooms', 1, u)), '(nobody)') AS me,
		chatroom.is_exempt('chat.rooms') AS exempt;
GRANT SELECT ON me TO PUBLIC;

-- the role that the session acts as
SET ROLE id_user;
SELECT * FROM me;
-- the right to speak for others is the right to execute act_as
SELECT chatroom.act_as('anna');
CALL chatroom.wait('{lobby}', NULL, '0', acting_for => 'anna');
SELECT chatroom.channel('lobby', acting_for => 'anna');
SELECT chatroom.listen('lobby', acting_for => 'anna');
RESET ROLE;

-- act_as: until the transaction ends
SET ROLE id_app;
SELECT * FROM me;
BEGIN;
SELECT chatroom.act_as('anna');
SELECT * FROM me;
SELECT chatroom.act_as('bert');
SELECT * FROM me;
SELECT chatroom.act_as(NULL);
SELECT * FROM me;
SELECT chatroom.act_as('anna');
COMMIT;
SELECT * FROM me;
BEGIN;
SELECT chatroom.act_as('anna');
ROLLBACK;
SELECT * FROM me;
-- an error ends it with its transaction
BEGIN;
SELECT chatroom.act_as('anna');
SELECT 1 / 0;
COMMIT;
SELECT * FROM me;
-- in one statement
SELECT me FROM (SELECT chatroom.act_as('anna') OFFSET 0) a, LATERAL (SELECT * FROM me OFFSET 0) m;
SELECT * FROM me;

-- savepoints: rolled back, what was said since is taken back; released, it stays
BEGIN;
SELECT chatroom.act_as('anna');
SAVEPOINT a;
SELECT chatroom.act_as('bert');
SAVEPOINT b;
SELECT chatroom.act_as(NULL);
SELECT * FROM me;
ROLLBACK TO b;
SELECT * FROM me;
ROLLBACK TO a;
SELECT * FROM me;
SELECT chatroom.act_as('bert');
RELEASE a;
SELECT * FROM me;
SAVEPOINT c;
SAVEPOINT d;
SELECT chatroom.act_as('anna');
RELEASE d;
SELECT * FROM me;
ROLLBACK TO c;
SELECT * FROM me;
COMMIT;
-- exceptions are savepoints
BEGIN;
SELECT chatroom.act_as('anna');
DO $$
BEGIN
	PERFORM chatroom.act_as('bert');
	PERFORM 1 / 0;
EXCEPTION WHEN division_by_zero THEN
	RAISE NOTICE '%', (SELECT me FROM me);
END
$$;
SELECT * FROM me;
COMMIT;
-- what can't be a user
SELECT chatroom.act_as('');

-- a cursor asks as of each fetch
BEGIN;
DECLARE c CURSOR FOR SELECT me FROM generate_series(1, 2), LATERAL (SELECT * FROM me WHERE generate_series > 0) m;
SELECT chatroom.act_as('anna');
FETCH c;
COMMIT;
RESET ROLE;

-- it is no setting that anyone could set
SET ROLE id_user;
SELECT set_config('chatroom.act_as', 'anna', false);
RESET ROLE;

-- a function of somebody else's does not make the caller somebody else
CREATE FUNCTION definer() RETURNS SETOF me LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM me';
CREATE ROLE id_owner;
GRANT CREATE ON DATABASE regression TO id_owner;
ALTER FUNCTION definer() OWNER TO id_user;
SET ROLE id_app;
SELECT me, exempt FROM definer();
BEGIN;
SELECT chatroom.act_as('anna');
SELECT me, exempt FROM definer();
COMMIT;
RESET ROLE;

-- who is exempt: superusers, BYPASSRLS, the tables' owner and its members; nobody who acts for a user
SELECT exempt FROM me;
BEGIN;
SELECT chatroom.act_as('anna');
SELECT * FROM me;
COMMIT;
SET ROLE id_owner;
SELECT chatroom.migrate('own');
SELECT chatroom.is_exempt('own.rooms') AS owner;
RESET ROLE;
GRANT id_owner TO id_user;
SET ROLE id_user;
SELECT chatroom.is_exempt('own.rooms') AS "the owner's member";
RESET ROLE;
REVOKE id_owner FROM id_user;
CREATE ROLE id_bypass BYPASSRLS;
GRANT USAGE ON SCHEMA own TO id_bypass;
SET ROLE id_bypass;
SELECT chatroom.is_exempt('own.rooms') AS bypassrls;
RESET ROLE;

-- acting_for: during the call alone, errors or not
SELECT chatroom.grant_topic('lobby', 'id_app', '{sync}');
SET ROLE id_app;
CALL chatroom.wait('{lobby}', NULL, '0', acting_for => 'anna') \gset
SELECT * FROM me;
SELECT length(chatroom.channel('lobby', acting_for => 'anna')) > 0 AS channel;
SELECT * FROM me;
BEGIN;  -- a doorbell that rang would be printed
SELECT chatroom.listen('lobby', acting_for => 'anna') IS NOT NULL AS listen;
SELECT * FROM me;
ROLLBACK;
CALL chatroom.wait('{chat.nothing}', NULL, '0', acting_for => 'anna');
SELECT * FROM me;
BEGIN;
SELECT chatroom.act_as('bert');
SAVEPOINT a;
SELECT chatroom.channel('chat.nothing', acting_for => 'anna');
ROLLBACK TO a;
SELECT * FROM me;
SELECT length(chatroom.channel('lobby', acting_for => 'anna')) > 0 AS channel;
SELECT * FROM me;
SELECT chatroom.channel('lobby', acting_for => '');
COMMIT;
RESET ROLE;

-- claims: "sub" of what a setting holds, whoever the role is
SET chatroom.claims = 'request.jwt.claims';
SET ROLE id_user;
SELECT * FROM me;
SET request.jwt.claims = '{"sub": "julia", "role": "web"}';
SELECT * FROM me;
BEGIN;
SET LOCAL request.jwt.claims = '{"sub": "anna"}';
SELECT * FROM me;
COMMIT;
SELECT * FROM me;
SET request.jwt.claims = '';
SELECT * FROM me;
SET request.jwt.claims = '{"role": "web"}';
SELECT * FROM me;
SET request.jwt.claims = '{"sub": 17}';
SELECT * FROM me;
SET request.jwt.claims = '{"sub": ""}';
SELECT * FROM me;
SET request.jwt.claims = '["sub"]';
SELECT * FROM me;
SET request.jwt.claims = '{"sub": "anna", "sub": "bert"}';
SELECT me AS "the last of two" FROM me;
SET request.jwt.claims = '{"sub": ';
SELECT * FROM me;
SELECT chatroom.leave_room('lobby');
-- who has no username sees what is public, and does nothing that needs one
SET request.jwt.claims = '{}';
SELECT name FROM chat.rooms;
SELECT chatroom.leave_room('lobby');
-- the role may not choose which setting it is
SET chatroom.claims = 'mine';
RESET ROLE;
-- act_as goes before claims
SET request.jwt.claims = '{"sub": "julia"}';
SET ROLE id_app;
BEGIN;
SELECT chatroom.act_as('anna');
SELECT * FROM me;
SELECT chatroom.act_as(NULL);
SELECT * FROM me;
COMMIT;
RESET ROLE;
-- claims hold superusers, too
SELECT * FROM me;
SET request.jwt.claims = '';
SELECT exempt FROM me;
RESET chatroom.claims;

-- outside a transaction block it is forgotten at once: that is said, unless the
-- statement itself, or a pipeline, has asked for it
SET ROLE id_app;
SELECT chatroom.act_as('anna');
SELECT chatroom.act_as('anna'), chatroom.get_room('lobby') ->> 'name' AS room;
DO $$ BEGIN PERFORM chatroom.act_as('anna'); PERFORM chatroom.get_room('lobby'); END $$;
DO $$ BEGIN PERFORM chatroom.act_as('anna'); END $$;
SELECT chatroom.act_as(NULL);
SELECT chatroom.act_as('anna')\; SELECT chatroom.get_room('lobby') ->> 'name' AS room;
BEGIN;
SELECT chatroom.act_as('anna');
COMMIT;
RESET ROLE;

-- parallel workers know nothing of it: what depends on it stays out of them
SET ROLE id_app;
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT * FROM chat.messages;
COMMIT;
RESET ROLE;

DROP VIEW me CASCADE;
SET client_min_messages = warning;
DROP SCHEMA chat CASCADE;
DROP SCHEMA own CASCADE;
DROP EXTENSION chatroom;
DROP OWNED BY id_owner;
DROP ROLE id_app, id_user, id_owner, id_bypass;
