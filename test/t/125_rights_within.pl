# A right to a room that ends reaches who waits: also where a session acts as
# one that replicates; and where nothing tells of it, because a trigger doesn't
# fire or a privilege is taken away, within chatroom.recheck.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;
use Time::HiRes qw(time);

my $node = chatroom_node('rights_within', conf => "chatroom.recheck = 1s\n");

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE bobby LOGIN;
SELECT chatroom.migrate();
GRANT USAGE ON SCHEMA chat TO bobby;
INSERT INTO chat.rooms (name, private) VALUES ('den', true);
INSERT INTO chat.users (username) VALUES ('bobby');
SQL

my $bobby = Chatroom::Session->new($node, 'postgres', user => 'bobby');
my $remove = "SET session_replication_role = replica; DELETE FROM chat.members WHERE username = 'bobby'";

# Have bobby in the room, asleep in a call.
sub wait_in_room
{
	my ($call) = @_;

	$node->safe_psql('postgres', 'GRANT SELECT ON ALL TABLES IN SCHEMA chat TO bobby;'
		  . " INSERT INTO chat.members (room_id, username) SELECT 1, 'bobby' ON CONFLICT DO NOTHING");
	my $since = $node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()');

	$bobby->send($call =~ s/SINCE/'$since'/r);
	poll_until('he waits', sub { status($node, 'waiting') eq '1' });
	return;
}

my %calls = (
	wait => "CALL chatroom.wait('{room:1}', SINCE, '55 s')",
	follow_room => "CALL chatroom.follow_room(1, SINCE, '55 s')");
for my $name (sort keys %calls)
{
	my $start = time();

	wait_in_room($calls{$name});
	$node->safe_psql('postgres', $remove);
	like($bobby->answer, qr/"reset":true/, "$name: who is removed by a session that acts as a replica is told");

	# as pg_restore --disable-triggers leaves them
	$node->safe_psql('postgres', 'ALTER TABLE chat.members DISABLE TRIGGER ALL; ALTER TABLE chat.members ENABLE TRIGGER ALL');
	wait_in_room($calls{$name});
	$node->safe_psql('postgres', $remove);
	$bobby->answer;
	like($bobby->error, qr/P0002/, "$name: without an event he finds it out by himself");

	$node->safe_psql('postgres', 'SELECT chatroom.migrate()');
	is($node->safe_psql('postgres', "SELECT string_agg(tgname, ' ' ORDER BY tgname) FROM pg_trigger
		WHERE tgrelid = 'chat.members'::regclass AND tgenabled = 'A'"),
		'chatroom_emit chatroom_emit_truncate chatroom_members chatroom_members_truncated',
		"$name: migrate() puts the triggers back");
	wait_in_room($calls{$name});
	$node->safe_psql('postgres', $remove);
	like($bobby->answer, qr/"reset":true/, "$name: and he is told again");

	wait_in_room($calls{$name});
	$node->safe_psql('postgres', 'REVOKE SELECT ON chat.rooms FROM bobby');
	$bobby->answer;
	like($bobby->error, qr/42501/, "$name: who loses a privilege finds it out");
	cmp_ok(time() - $start, '<', 50, "$name: long before the call's end");
}

# To choose what is watched leaves it so.
$node->safe_psql('postgres', "SELECT chatroom.watch('chat.messages', events => '{insert}')");
is($node->safe_psql('postgres', q(SELECT always FROM chatroom.watches WHERE relation = 'chat.messages')),
	't', 'a watch of a chat table with other options is for replicated rows, too');

$node->stop;
done_testing();
