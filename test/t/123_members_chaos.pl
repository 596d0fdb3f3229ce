# Users come, go, invite, promote and remove each other, all at once: a room that
# anybody could own has one owner, nothing deadlocks, and no call fails but for
# what it is documented to.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $calls = $ENV{CHATROOM_LONG} ? 20_000 : 1500;
my $node = chatroom_node('members_chaos', conf => "deadlock_timeout = 200ms\nfsync = off");

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE app LOGIN;
GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO app;
SELECT chatroom.migrate();
GRANT USAGE ON SCHEMA chat TO app;
GRANT SELECT ON ALL TABLES IN SCHEMA chat TO app;
GRANT INSERT, UPDATE, DELETE ON chat.rooms, chat.messages TO app;
CREATE TABLE tokens (room int, token text);
CREATE TABLE done (op text, state text, message text);
GRANT ALL ON tokens, done TO app;

-- The tables' owner takes a room away that nobody is in any more: one at a time,
-- and in a transaction of its own, or it would be this that deadlocks.
CREATE FUNCTION sweep() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
	DELETE FROM chat.rooms WHERE id = (
		SELECT id FROM chat.rooms r WHERE NOT EXISTS (
			SELECT FROM chat.members WHERE room_id = r.id AND role <> 'guest')
		LIMIT 1 FOR UPDATE SKIP LOCKED)
$$;

-- One call of a user's; what may be refused is noted.
CREATE FUNCTION act(who int, op int, room int, target int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	me text := 'user' || who;
	other text := 'user' || target;
	name text := 'room' || room;
	calls text[] := ARRAY[
		format('chatroom.create_room(%L, private => true)', name),
		format('chatroom.add_member(%L, %L)', name, other),
		format('chatroom.add_member(%L, %L, ''admin'')', name, other),
		format('chatroom.add_member(%L, %L, ''guest'')', name, other),
		format('chatroom.remove_member(%L, %L)', name, other),
		format('chatroom.leave_room(%L)', name),
		format('chatroom.add_member(%L, %L)', name, other),
		format('chatroom.transfer_room(%L, %L)', name, other),
		format('chatroom.delete_user(%L)', me),
		format('chatroom.post(%L, %L, ''hello'')', name, me),
		format('chatroom.accept_invite((SELECT token FROM tokens t WHERE t.room = %s ORDER BY random() LIMIT 1))', room),
		format('chatroom.create_invite(%L, max_uses => 2)', name),
		format('chatroom.list_members(%L)', name)];
	state text;
	text text;
	answer text;
BEGIN
	PERFORM chatroom.act_as(me);
	BEGIN
		EXECUTE 'SELECT ' || calls[op] INTO answer;
		IF op = 12 THEN
			INSERT INTO tokens VALUES (room, answer);
		END IF;
		state := '00000';
	EXCEPTION WHEN no_data_found OR insufficient_privilege OR object_not_in_prerequisite_state
		OR unique_violation OR null_value_not_allowed OR foreign_key_violation THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, text = MESSAGE_TEXT;
	END;
	INSERT INTO done VALUES (regexp_replace(calls[op], '\(.*', ''), state, text);
END
$$;
SQL

my $script = "$PostgreSQL::Test::Utils::tmp_check/members_chaos.sql";
append_to_file($script, <<'SQL');
\set who random(1, 6)
\set op random(1, 13)
\set room random(1, 3)
\set target random(1, 6)
SELECT sweep();
SELECT act(:who, :op, :room, :target);
SQL
my ($out, $err) = run_command([ 'pgbench', '-h', $node->host, '-p', $node->port, '-U', 'app', '-n', '-c', 6, '-t', $calls,
		'-f', $script, 'postgres' ]);
unlike($err, qr/ERROR|aborted/, 'no call fails but for what it is documented to') or diag($err);
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock');
my ($done) = $out =~ /transactions actually processed: (\d+)/;
is($done, 6 * $calls, 'all calls were made');
note($node->safe_psql('postgres', 'SELECT op, state, count(*) FROM done GROUP BY 1, 2 ORDER BY 1, 2'));
is( $node->safe_psql('postgres', <<'SQL'), '', 'each call succeeded at times');
SELECT op FROM done GROUP BY op HAVING count(*) FILTER (WHERE state = '00000') = 0;
SQL
is( $node->safe_psql('postgres', <<'SQL'), '', 'nobody was refused for a reason that is none');
SELECT DISTINCT message FROM done WHERE message !~ '^(room ".*" does not exist|permission denied for room|user ".*" (is no member of|owns) room|user ".*" does not exist|the invite is used up|there is no such invite|token must not be null|duplicate key value violates unique constraint "rooms_name_index"|insert or update on table "messages" violates)';
SQL
is( $node->safe_psql('postgres', <<'SQL'), '', 'a room that anybody could own has an owner');
SELECT r.name, string_agg(m.username || ' ' || m.role, ', ') FROM chat.rooms r JOIN chat.members m ON m.room_id = r.id
GROUP BY r.name HAVING bool_or(role IN ('admin', 'member')) AND NOT bool_or(role = 'owner');
SQL
is( $node->safe_psql('postgres', <<'SQL'), '', 'invites are those that their makers could make');
SELECT i.username, i.role, m.role FROM chat.invites i LEFT JOIN chat.members m USING (room_id, username)
WHERE m.role IS NULL OR m.role = 'guest' OR i.uses > i.max_uses;
SQL
is($node->safe_psql('postgres', 'SELECT count(*) FROM chat.messages m LEFT JOIN chat.rooms r ON r.id = room_id WHERE r.id IS NULL'),
	0, 'messages have rooms');

$node->stop;
done_testing();
