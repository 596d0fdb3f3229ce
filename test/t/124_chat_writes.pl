# Every chat function that writes, with what another session committed between
# the transaction's snapshot and the call, at each isolation level; and with a
# trigger on each table that suppresses a row or changes its key.  Each call
# does what it says, and the answer is the row as it stands, or it is an error:
# no crash, no endless loop, and nothing half done.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;

my $node = chatroom_node('chat_writes', conf => "fsync = off\nautovacuum = off\n");

$node->safe_psql('postgres', <<'SQL');
SELECT chatroom.migrate();
CREATE ROLE app LOGIN;
GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO app;
GRANT USAGE ON SCHEMA chat TO app;
GRANT SELECT ON ALL TABLES IN SCHEMA chat TO app;
GRANT INSERT, UPDATE, DELETE ON chat.rooms, chat.messages TO app;
ALTER TABLE chat.rooms ALTER id RESTART 1000000;
ALTER TABLE chat.messages ALTER id RESTART 1000000;
CREATE TABLE cells (n int PRIMARY KEY, what text, change text, call text, truth text);
CREATE TABLE done (n int PRIMARY KEY, state text, answer jsonb, message text);
GRANT SELECT ON cells TO app;
GRANT INSERT ON done TO app;

-- Each cell has people, a room, messages and invites of its own: {n} is its number.
CREATE FUNCTION furnish() RETURNS void LANGUAGE sql AS $$
	INSERT INTO chat.users (username) SELECT who || n FROM cells, unnest('{olga,adam,mary,bobby}'::text[]) who;
	INSERT INTO chat.rooms (id, name, private) SELECT n, 'room ' || n, true FROM cells
		UNION ALL SELECT 100000 + n, 'other ' || n, false FROM cells;
	INSERT INTO chat.members (room_id, username, role) SELECT n, who || n, role
		FROM cells, (VALUES ('olga', 'owner'), ('adam', 'admin'), ('mary', 'member')) m (who, role);
	INSERT INTO chat.messages (id, room_id, username, text) SELECT n, n, 'olga' || n, 'hello' FROM cells;
	INSERT INTO chat.invites (room_id, token_hash, role, username, max_uses)
		SELECT n, sha256(('open' || n)::bytea), 'guest', 'adam' || n, 1 FROM cells
		UNION ALL SELECT n, sha256(('mine' || n)::bytea), 'member', 'adam' || n, 1 FROM cells;
$$;

-- One cell's call, by who owns the room, unless it says otherwise.
CREATE FUNCTION run(cell int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	sql text := (SELECT call FROM cells WHERE n = cell);
	who text := coalesce(substring(sql from '^(\w+): '), 'olga') || cell;
	answer jsonb;
	state text;
	text text;
BEGIN
	PERFORM chatroom.act_as(who);
	EXECUTE 'SELECT to_jsonb(chatroom.' || regexp_replace(sql, '^\w+: ', '') || ')' INTO answer;
	SET CONSTRAINTS ALL IMMEDIATE;
	INSERT INTO done VALUES (cell, '00000', answer);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, text = MESSAGE_TEXT;
	INSERT INTO done VALUES (cell, state, NULL, text);
END
$$;

-- Is what a call answered, {a}, what stands in the tables now?
CREATE FUNCTION wrong() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	cell record;
	right_ boolean;
BEGIN
	FOR cell IN SELECT * FROM cells JOIN done USING (n) WHERE state = '00000' ORDER BY n LOOP
		EXECUTE 'SELECT ' || replace(cell.truth, '{a}', quote_nullable(cell.answer) || '::jsonb') INTO right_;
		IF right_ IS NOT TRUE THEN
			RETURN NEXT format('%s: %s, %s: %s', cell.what, cell.change, cell.call, cell.answer);
		END IF;
	END LOOP;
END
$$;

-- What must hold whatever happened.
CREATE VIEW broken AS
	SELECT 'a room without an owner whom it could have' AS what, room_id AS n FROM chat.members
	GROUP BY room_id HAVING bool_or(role IN ('admin', 'member')) AND NOT bool_or(role = 'owner')
	UNION ALL SELECT 'an invite that its maker could not make', i.room_id
	FROM chat.invites i LEFT JOIN chat.members m USING (room_id, username)
	WHERE m.role IS NULL OR m.role = 'guest' OR (m.role = 'member' AND i.role <> 'guest')
	UNION ALL SELECT 'an invite used more often than it may be', room_id FROM chat.invites WHERE uses > max_uses
	UNION ALL SELECT 'a member of no room', room_id FROM chat.members WHERE room_id NOT IN (SELECT id FROM chat.rooms)
	UNION ALL SELECT 'a message of no room', id FROM chat.messages WHERE room_id NOT IN (SELECT id FROM chat.rooms)
	UNION ALL SELECT 'a member who is no user', room_id FROM chat.members WHERE username NOT IN (SELECT username FROM chat.users);
SQL

# --------------------------------------------------------------- calls, changes

my $message = q(EXISTS (SELECT FROM chat.messages WHERE id = ({a} ->> 'id')::bigint
	AND room_id = ({a} ->> 'room_id')::bigint AND text = {a} ->> 'text'));
my $member = q(EXISTS (SELECT FROM chat.members WHERE room_id = {n} AND username = {a} ->> 'username'
	AND role = {a} ->> 'role' AND {a} ->> 'room_id' = '{n}') AND {a} ->> 'username' LIKE );
my $gone = q(NOT EXISTS (SELECT FROM chat.members WHERE room_id = {n} AND username = {a} ->> 'username'));
my $room = q(EXISTS (SELECT FROM chat.rooms WHERE id = ({a} ->> 'id')::bigint AND name = {a} ->> 'name'
	AND private = ({a} ->> 'private')::boolean)
	AND EXISTS (SELECT FROM chat.members WHERE room_id = ({a} ->> 'id')::bigint AND role = 'owner'));
my @calls = (
	[ q(create_room('new room {n}')), $room ],
	[ q(create_room('new room {n}', true)), $room ],
	[ q(rename_room({n}, 'renamed {n}')), $room ],
	[ q(adam: rename_room({n}, 'renamed {n}')), $room ],
	[ q(delete_room({n})), q(NOT EXISTS (SELECT FROM chat.rooms WHERE id = {n})) ],
	[ q(post({n}, 'olga{n}', 'hello again')), $message ],
	[ q(mary: post({n}, 'mary{n}', 'hello again', 'key')), $message . q( AND {a} ->> 'username' = 'mary{n}') ],
	[ q(shout({n}, 'olga{n}', 'hello again')), $message ],
	[ q(edit_message({n}, 'edited')), $message . q( AND {a} ->> 'text' = 'edited') ],
	[ q(delete_message({n})), q(NOT EXISTS (SELECT FROM chat.messages WHERE id = {n})) ],
	[ q(adam: delete_message({n})), q(NOT EXISTS (SELECT FROM chat.messages WHERE id = {n})) ],
	[ q(add_member({n}, 'bobby{n}', 'guest')), $member . q('bobby%') ],
	[ q(add_member({n}, 'newbie{n}')), $member . q('newbie%') ],
	[ q(add_member({n}, 'mary{n}', 'admin')), $member . q('mary%') ],
	[ q(adam: add_member({n}, 'bobby{n}', 'member')), $member . q('bobby%') ],
	[ q(remove_member({n}, 'mary{n}')), $gone ],
	[ q(remove_member({n}, 'adam{n}')), $gone ],
	[ q(leave_room({n})), $gone ],
	[ q(mary: leave_room({n})), $gone ],
	[ q(transfer_room({n}, 'mary{n}')), $member . q('mary%') . q( AND {a} ->> 'role' = 'owner') ],
	[ q(create_invite({n}, 'member')), q(EXISTS (SELECT FROM chat.invites
		WHERE room_id = {n} AND token_hash = sha256(({a} #>> '{}')::bytea))) ],
	[ q(bobby: accept_invite('open{n}')), $member . q('bobby%') ],
	[ q(newbie: accept_invite('open{n}')), $member . q('newbie%') ],
	[ q(mary: accept_invite('open{n}')), $member . q('mary%') ],
	[ q(update_user('olga{n}', '{"profile": {"avatar": "x"}}')),
		q(EXISTS (SELECT FROM chat.users WHERE username = 'olga{n}' AND profile = {a} -> 'profile' AND profile ->> 'avatar' = 'x')) ],
	[ q(newbie: update_user('newbie{n}', '{"profile": {"avatar": "x"}}')),
		q(EXISTS (SELECT FROM chat.users WHERE username = 'newbie{n}' AND profile = {a} -> 'profile')) ],
	[ q(delete_user('olga{n}')), q(NOT EXISTS (SELECT FROM chat.users WHERE username = 'olga{n}')
		AND NOT EXISTS (SELECT FROM chat.members WHERE username = 'olga{n}')) ],
	[ q(bobby: delete_user('bobby{n}')), q(NOT EXISTS (SELECT FROM chat.users WHERE username = 'bobby{n}')
		AND NOT EXISTS (SELECT FROM chat.members WHERE username = 'bobby{n}')) ]);

# By the tables' owner, who may do all of it by plain statements.
my %changes = (
	'nothing' => '',
	'room deleted' => 'DELETE FROM chat.rooms WHERE id = {n}',
	'room renamed' => "UPDATE chat.rooms SET name = 'changed {n}' WHERE id = {n}",
	'room opened' => 'UPDATE chat.rooms SET private = false WHERE id = {n}',
	'name taken' => "INSERT INTO chat.rooms (id, name) VALUES (200000 + {n}, 'renamed {n}'), (300000 + {n}, 'new room {n}')",
	'bobby added' => "INSERT INTO chat.members (room_id, username, role) VALUES ({n}, 'bobby{n}', 'guest')",
	'bobby added as admin' => "INSERT INTO chat.members (room_id, username, role) VALUES ({n}, 'bobby{n}', 'admin')",
	'bobby deleted' => "DELETE FROM chat.users WHERE username = 'bobby{n}'",
	'bobby made anew' => "DELETE FROM chat.users WHERE username = 'bobby{n}'; INSERT INTO chat.users (username) VALUES ('bobby{n}')",
	'newbie made' => "INSERT INTO chat.users (username) VALUES ('newbie{n}')",
	'newbie added' => "INSERT INTO chat.users (username) VALUES ('newbie{n}');"
	  . "INSERT INTO chat.members (room_id, username, role) VALUES ({n}, 'newbie{n}', 'guest')",
	'mary removed' => "DELETE FROM chat.members WHERE room_id = {n} AND username = 'mary{n}'",
	'mary removed and added' => "DELETE FROM chat.members WHERE room_id = {n} AND username = 'mary{n}';"
	  . "INSERT INTO chat.members (room_id, username) VALUES ({n}, 'mary{n}')",
	'mary demoted' => "UPDATE chat.members SET role = 'guest' WHERE room_id = {n} AND username = 'mary{n}'",
	'adam removed' => "DELETE FROM chat.members WHERE room_id = {n} AND username = 'adam{n}'",
	'olga removed' => "DELETE FROM chat.members WHERE room_id = {n} AND username = 'olga{n}'",
	'olga demoted' => "UPDATE chat.members SET role = 'admin' WHERE room_id = {n} AND role = 'owner';"
	  . "UPDATE chat.members SET role = 'owner' WHERE room_id = {n} AND username = 'adam{n}'",
	'all heirs replaced' => "DELETE FROM chat.members WHERE room_id = {n} AND role IN ('admin', 'member');"
	  . "INSERT INTO chat.members (room_id, username) VALUES ({n}, 'bobby{n}')",
	'olga deleted' => "DELETE FROM chat.users WHERE username = 'olga{n}'",
	'profile changed' => qq(UPDATE chat.users SET profile = '{"a": 1}' WHERE username IN ('olga{n}', 'bobby{n}')),
	'into another room' => "INSERT INTO chat.members (room_id, username, role)"
	  . " VALUES (100000 + {n}, 'olga{n}', 'guest'), (100000 + {n}, 'bobby{n}', 'guest')",
	'left over of a room' => 'SET session_replication_role = replica;'
	  . "INSERT INTO chat.members (room_id, username, role) VALUES (400000 + {n}, 'bobby{n}', 'guest');"
	  . 'RESET session_replication_role',
	'message edited' => "UPDATE chat.messages SET text = 'changed' WHERE id = {n}",
	'message moved' => 'UPDATE chat.messages SET room_id = 100000 + {n} WHERE id = {n}',
	'message deleted' => 'DELETE FROM chat.messages WHERE id = {n}',
	'same key posted' => "INSERT INTO chat.messages (room_id, username, text, client_key) VALUES ({n}, 'mary{n}', 'first', 'key')",
	'invite used' => 'UPDATE chat.invites SET uses = 1 WHERE room_id = {n}',
	'invite deleted' => 'DELETE FROM chat.invites WHERE room_id = {n}',
	'invites made' => 'INSERT INTO chat.invites (room_id, token_hash, role, username)'
	  . " SELECT {n}, sha256((who || '{n}')::bytea), 'guest', who || '{n}' FROM unnest('{olga,adam,mary}'::text[]) who");

# What a call may be refused with, besides what is wrong with the rights.
my $allowed = join '|', qw(40001 09000 27000 P0002 42501 23503 23505 55000);

# Make cells of all calls with some changes; their SQL, in order.
my $next = 1;

sub fill
{
	my ($what, @changes) = @_;
	my (@values, @sql);

	foreach my $change (@changes)
	{
		foreach my $call (@calls)
		{
			my $n = $next++;
			my ($sql, $truth) = @$call;
			my $done = $changes{$change} // '';

			s/\{n\}/$n/g foreach $sql, $truth, $done;
			push @values, "($n, '$what', '$change', \$c\$$sql\$c\$, \$c\$$truth\$c\$)";
			push @sql, $done if $done;
		}
	}
	$node->safe_psql('postgres',
			'TRUNCATE cells, done; INSERT INTO cells VALUES ' . join(', ', @values) . ';'
		  . ' SELECT furnish()');
	return join(";\n", @sql) . ";\n";
}

# What came of the cells.
sub check
{
	my ($what) = @_;

	is($node->safe_psql('postgres', "SELECT change, call, state, message FROM cells JOIN done USING (n)
		WHERE state !~ '^(00000|$allowed)\$' ORDER BY n"), '', "$what: errors are those that are told");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM cells LEFT JOIN done USING (n) WHERE done IS NULL'),
		0, "$what: all were called");
	is($node->safe_psql('postgres', 'SELECT wrong()'), '', "$what: what was answered is so");
	is($node->safe_psql('postgres', "SELECT b.what, c.change, call, state FROM broken b LEFT JOIN cells c USING (n)
		LEFT JOIN done USING (n) WHERE NOT (b.what = 'a member of no room' AND n > 400000)"), '', "$what: nothing is broken");
	return;
}

# Everything away again, quickly.
sub clear
{
	$node->safe_psql('postgres', 'TRUNCATE chat.rooms, chat.users CASCADE');
	return;
}

# ------------------------------------------------ another session's changes

for my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	my $changes = fill($level, sort keys %changes);
	my $session = Chatroom::Session->new($node, 'postgres', user => 'app');

	$session->query("SET statement_timeout = '60s'; BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM chat.rooms");
	$node->safe_psql('postgres', $changes);
	$session->query('SELECT count(run(n)) FROM cells');
	is($session->error, '', "$level: no call ends the session");
	$session->query('COMMIT');
	$session->close;
	check($level);
	is($node->safe_psql('postgres', "SELECT call, state, message FROM cells JOIN done USING (n)
		WHERE change = 'nothing' AND state <> '00000'"), '', "$level: all succeed where nothing changed");
	is($node->safe_psql('postgres', "SELECT change, call, message FROM cells JOIN done USING (n)
		WHERE state IN ('09000', '27000')"), '', "$level: no trigger is blamed where there is none");
	is($node->safe_psql('postgres', "SELECT change, call, message FROM cells JOIN done USING (n)
		WHERE state = '40001'"), '', "$level: nothing has to be tried again")
	  if $level eq 'READ COMMITTED';
	clear();
}

# What somebody else did to just the row that is written: to be tried again.
is($node->safe_psql('postgres', <<'SQL'), '', 'a row that the snapshot does not show is 40001');
SELECT change, call, state FROM cells JOIN done USING (n) WHERE (change, regexp_replace(call, '\d+', '', 'g')) IN (
	('bobby added as admin', 'add_member(, ''bobby'', ''guest'')'), ('mary removed and added', 'transfer_room(, ''mary'')'),
	('invites made', 'remove_member(, ''mary'')')) AND state <> '40001'
SQL

# ------------------------------------------------------ triggers of the owner's

my %rewrite = (
	rooms => 'NEW.id := NEW.id + 500000',
	messages => 'NEW.id := NEW.id + 500000',
	users => 'NEW.username := upper(NEW.username)',
	members => q(NEW.username := 'bobby' || regexp_replace(NEW.username, '\D', '', 'g')),
	invites => 'NEW.token_hash := sha256(NEW.token_hash)');
for my $table (sort keys %rewrite)
{
	for my $event (qw(INSERT UPDATE DELETE))
	{
		for my $how ($event eq 'DELETE' ? 'suppresses' : qw(suppresses rewrites))
		{
			my $what = "a trigger $how each $event of $table";
			my $body = $how eq 'rewrites' ? "$rewrite{$table}; RETURN NEW" : 'RETURN NULL';

			fill($what, 'nothing');
			$node->safe_psql('postgres', <<"SQL");
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN ${\ ($body =~ s/'/''/gr)}; END';
CREATE TRIGGER meddle BEFORE $event ON chat.$table FOR EACH ROW EXECUTE FUNCTION meddle();
SQL
			my ($code, $out, $err) = $node->psql('postgres',
				"SET statement_timeout = '60s'; SET ROLE app; SELECT count(run(n)) FROM cells");
			is($err, '', "$what: no call ends the session");
			$node->safe_psql('postgres', "DROP TRIGGER meddle ON chat.$table; DROP FUNCTION meddle()");
			check($what);
			clear();
		}
	}
}

$node->stop;
done_testing();
