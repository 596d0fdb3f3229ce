-- invites: tokens, roles, expiry, uses; they end with their maker's rights
CREATE EXTENSION chatroom;
SET client_min_messages = warning;
SELECT chatroom.migrate();
CREATE ROLE invites_app;
GRANT USAGE ON SCHEMA chat TO invites_app;
GRANT SELECT ON ALL TABLES IN SCHEMA chat TO invites_app;
GRANT INSERT ON chat.rooms TO invites_app;
GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO invites_app;
RESET client_min_messages;
CREATE FUNCTION by(who text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer jsonb;
BEGIN
	SET LOCAL ROLE invites_app;
	PERFORM chatroom.act_as(who);
	EXECUTE 'SELECT to_jsonb(' || call || ')' INTO answer;
	PERFORM chatroom.act_as(NULL);
	RESET ROLE;
	RETURN CASE jsonb_typeof(answer) WHEN 'object' THEN (answer - '{id,inserted_at,updated_at}'::text[])::text
		ELSE answer #>> '{}' END;
END
$$;
\set VERBOSITY terse

SELECT by('olivia', $$chatroom.create_room('den', private => true)$$);
SELECT by('olivia', $$chatroom.add_member('den', 'adam', 'admin')$$), by('olivia', $$chatroom.add_member('den', 'mary')$$),
	by('olivia', $$chatroom.add_member('den', 'gustav', 'guest')$$);

-- the token is 32 characters, good in a link, and kept nowhere
SELECT by('olivia', $$chatroom.create_invite('den')$$) AS token \gset
SELECT :'token' ~ '^[A-Za-z0-9_-]{32}$' AS form;
SELECT role, username, expires_at - inserted_at BETWEEN '7 days' AND '7 days 1 minute' AS week, max_uses, uses,
	token_hash = sha256(convert_to(:'token', 'UTF8')) AS hashed
FROM chat.invites;
SELECT count(*) FROM chat.invites i WHERE i::text ~ :'token';
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published;
SELECT count(*), bool_or(e::text ~ 'token') AS tells FROM chatroom.events('chat.invites') e;

-- a stranger comes in by it, once; a second time it is just the member
SELECT by('stranger', $$chatroom.list_members('den')$$);
SELECT by('stranger', format('chatroom.accept_invite(%L)', :'token'));
SELECT by('stranger', format('chatroom.accept_invite(%L)', :'token'));
SELECT by('stranger', $$jsonb_array_length(chatroom.list_members('den'))$$);
SELECT uses FROM chat.invites;
-- without a limit it is for others as well
SELECT by('another', format('chatroom.accept_invite(%L)', :'token'));
-- it makes nobody less than he is
SELECT by('adam', format('chatroom.accept_invite(%L)', :'token'));

-- a better one makes a guest a member
SELECT by('adam', $$chatroom.create_invite(1, 'member', '1 hour', 1)$$) AS token2 \gset
SELECT by('stranger', format('chatroom.accept_invite(%L)', :'token2'));
SELECT by('third', format('chatroom.accept_invite(%L)', :'token2'));
SELECT by('stranger', format('chatroom.accept_invite(%L)', :'token2')) AS "still a member";

-- who may invite whom
SELECT by('mary', $$length(chatroom.create_invite('den'))$$);
SELECT by('mary', $$chatroom.create_invite('den', 'member')$$);
SELECT by('gustav', $$chatroom.create_invite('den')$$);
SELECT by('adam', $$chatroom.create_invite('den', 'admin')$$);
SELECT by('olivia', $$length(chatroom.create_invite('den', 'admin'))$$);
SELECT by('olivia', $$chatroom.create_invite('den', 'owner')$$);
SELECT by('nobody1', $$chatroom.create_invite('den')$$);
SELECT by('nobody1', $$chatroom.create_invite('no den')$$);
SELECT by('olivia', $$chatroom.create_invite('den', 'king')$$);
SELECT by('olivia', $$chatroom.create_invite('den', 'guest', '-1 day')$$);
SELECT by('olivia', $$chatroom.create_invite('den', 'guest', '0')$$);
SELECT by('olivia', $$chatroom.create_invite('den', max_uses => 0)$$);
SELECT by('olivia', $$length(chatroom.create_invite('den', expires => NULL))$$);

-- no good: another's guess, expired, used up
SELECT by('third', $$chatroom.accept_invite('')$$);
SELECT by('third', $$chatroom.accept_invite('AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA')$$);
SELECT by('third', $$chatroom.accept_invite(NULL)$$);
SELECT by('olivia', $$chatroom.create_invite('den')$$) AS token3 \gset
UPDATE chat.invites SET expires_at = now() WHERE token_hash = sha256(convert_to(:'token3', 'UTF8'));
SELECT by('third', format('chatroom.accept_invite(%L)', :'token3'));
-- a name that rules refuse uses nothing up
SELECT by('olivia', $$chatroom.create_invite('den', max_uses => 1)$$) AS token4 \gset
SELECT by('bob', format('chatroom.accept_invite(%L)', :'token4'));
SELECT by('third', format('chatroom.accept_invite(%L)', :'token4'));

-- only managers see invites
SELECT by(u, '(SELECT count(*) > 0 FROM chat.invites)') AS sees, u FROM unnest('{olivia,adam,mary,gustav}'::text[]) u;

-- a demoted or removed maker's invites end, those that he still could make don't
SELECT count(*) FROM chat.invites WHERE username = 'adam';
SELECT by('adam', $$length(chatroom.create_invite('den', 'guest'))$$);
SELECT by('olivia', $$chatroom.add_member('den', 'adam', 'member')$$);
SELECT role FROM chat.invites WHERE username = 'adam';
SELECT by('adam', $$chatroom.create_invite('den')$$) AS token5 \gset
SELECT by('olivia', $$chatroom.remove_member('den', 'adam')$$);
SELECT count(*) FROM chat.invites WHERE username = 'adam';
SELECT by('adam', format('chatroom.accept_invite(%L)', :'token5'));
-- an owner that gives the room away can't invite admins any more
SELECT role, count(*) FROM chat.invites WHERE username = 'olivia' GROUP BY role ORDER BY role;
SELECT by('olivia', $$chatroom.transfer_room('den', 'mary')$$);
SELECT role, count(*) FROM chat.invites WHERE username = 'olivia' GROUP BY role ORDER BY role;
-- another name keeps them
UPDATE chat.users SET username = 'olivia2' WHERE username = 'olivia';
SELECT role, count(*) FROM chat.invites WHERE username = 'olivia2' GROUP BY role ORDER BY role;
SELECT username, role FROM chat.members ORDER BY username;

-- with the room they are gone
DELETE FROM chat.rooms;
SELECT count(*) FROM chat.invites;
SELECT by('third', format('chatroom.accept_invite(%L)', :'token'));

-- claims that name nobody can't accept
SELECT by('olivia', $$chatroom.create_room('den', private => true)$$);
SELECT by('olivia', $$chatroom.create_invite('den')$$) AS token \gset
SET chatroom.claims = 'request.jwt.claims';
SELECT chatroom.accept_invite(:'token');
SET request.jwt.claims = '{"sub": "julia"}';
SET ROLE invites_app;
SELECT chatroom.accept_invite(:'token') ->> 'username';
RESET ROLE;
RESET chatroom.claims;

DROP FUNCTION by;
DROP SCHEMA chat CASCADE;
DROP EXTENSION chatroom;
DROP ROLE invites_app;
