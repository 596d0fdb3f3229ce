# Who sees what of a chat, on a hot standby: the same as on the primary, from the
# statement on after a change has come there, in a session that knew otherwise.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $primary = chatroom_node('chat_primary', conf => 'hot_standby_feedback = on');
$primary->safe_psql('postgres', <<'SQL');
CREATE ROLE app LOGIN;
GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO app;
SELECT chatroom.migrate();
GRANT USAGE ON SCHEMA chat TO app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat TO app;
INSERT INTO chat.rooms (name) VALUES ('lobby');
BEGIN;
SELECT chatroom.act_as('olivia');
SELECT chatroom.create_room('den', true), chatroom.add_member('den', 'mary');
SELECT chatroom.post('den', 'olivia', 'psst');
COMMIT;
SQL
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('chat_standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
wait_running($standby);

my $session = Chatroom::Session->new($standby, 'postgres', user => 'app');

# What a user sees there, in that one session.
sub seen
{
	my ($user) = @_;

	return join '|', split /\n/, $session->query(<<SQL);
BEGIN;
SELECT chatroom.act_as('$user') \\g /dev/null
SELECT string_agg(name, ' ' ORDER BY id) FROM chat.rooms;
SELECT count(*) FROM chat.messages;
SELECT chatroom.list_rooms()::jsonb #>> '{rooms,1,name}';
COMMIT;
SQL
}

# Change something on the primary, and wait until it is here.
sub change
{
	my ($sql) = @_;

	$primary->safe_psql('postgres', $sql);
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	return;
}

is(seen('mary'), 'lobby den|1|den', 'a member sees the room');
is(seen('stranger'), 'lobby|0', 'others see what is public');
$session->query("CALL chatroom.follow_room('den', acting_for => 'stranger')");
like($session->error, qr/P0002: room "den" does not exist/, 'and are told that there is none');
$session->query("CALL chatroom.follow_room('den', acting_for => 'mary')");
is($session->error, '', 'a member follows it');

change("SELECT chatroom.remove_member('den', 'mary')");
is(seen('mary'), 'lobby|0', 'who was removed sees it no more');
change("SELECT chatroom.add_member('den', 'stranger')");
is(seen('stranger'), 'lobby den|1|den', 'who was added does');
change("UPDATE chat.rooms SET private = true WHERE name = 'lobby'");
is(seen('stranger'), 'den|1', 'a room that became private is hidden');

# What is known of the tables themselves comes along, too.
my $mine = "SELECT chatroom.may_edit('chat.rooms', 1, 'other')";
change("UPDATE chat.rooms SET private = false WHERE name = 'lobby'");
is($session->query($mine), 't', 'open access');
change("SELECT chatroom.set_access('members')");
is($session->query($mine), 'f', 'access by members');
change("ALTER SCHEMA chat RENAME TO moved");
$session->query('SELECT chatroom.list_rooms()');
like($session->error, qr/3F000: there are no chat tables with prefix "chat"/, 'the prefix has another name');
is($session->query("SELECT chatroom.list_rooms(prefix => 'moved')::jsonb #>> '{rooms,0,name}'"), 'lobby', 'and is there by it');
change("ALTER SCHEMA moved RENAME TO chat");

# What writes is refused; act_as writes nothing.
$session->query("BEGIN; SELECT chatroom.act_as('olivia'), chatroom.add_member('den', 'mary'); ROLLBACK");
like($session->error, qr/25006: cannot execute/, 'nobody joins on a standby');
$session->query("SELECT chatroom.set_access('open')");
like($session->error, qr/25006/, 'nor is access set there');

# After promotion it is the same.
$standby->promote;
is(seen('stranger'), 'lobby den|1|den', 'after promotion a member sees the room');
is(seen('mary'), 'lobby|0', 'and others do not');
$session->query(<<'SQL');
BEGIN;
SELECT chatroom.act_as('olivia'), chatroom.remove_member('den', 'stranger');
COMMIT;
SQL
is($session->error, '', 'members can be removed');
is(seen('stranger'), 'lobby|0', 'and see it no more');

$session->close;
$_->stop for $standby, $primary;
done_testing();
