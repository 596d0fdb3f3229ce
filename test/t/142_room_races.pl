# Readers of a private room while its members change, rooms go and come, and
# indexes are made anew: nobody is shown what is not his, and nobody
# who stays misses a thing.
use strict;
use warnings;
use Chatroom::Test;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{CHATROOM_LONG} ? 60 : 8;

my $node = chatroom_node('races', conf => "chatroom.cache_size = 64MB\n");
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE stays LOGIN;
CREATE ROLE goes LOGIN;
CREATE ROLE never LOGIN;
SELECT chatroom.migrate();
GRANT USAGE ON SCHEMA chat TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA chat TO PUBLIC;
INSERT INTO chat.users (username) VALUES ('stays'), ('goes'), ('writer');
INSERT INTO chat.rooms (id, name, private) VALUES (1, 'den', true);
INSERT INTO chat.members VALUES (1, 'writer', 'owner'), (1, 'stays', 'member'), (1, 'goes', 'member');
CREATE SEQUENCE said;
SQL

# Writers: some post, some take "goes" out and in, some make and delete rooms
# that "stays" is in.
my $dir = PostgreSQL::Test::Utils::tempdir();
PostgreSQL::Test::Utils::append_to_file("$dir/say", <<'SQL');
INSERT INTO chat.messages (room_id, username, text) VALUES (1, 'writer', 'number ' || nextval('said'));
SQL
PostgreSQL::Test::Utils::append_to_file("$dir/move", <<'SQL');
DELETE FROM chat.members WHERE room_id = 1 AND username = 'goes';
\sleep 3 ms
INSERT INTO chat.members VALUES (1, 'goes', 'member') ON CONFLICT DO NOTHING;
\sleep 3 ms
SQL
PostgreSQL::Test::Utils::append_to_file("$dir/rooms", <<'SQL');
\set id 10 + :client_id
BEGIN;
INSERT INTO chat.rooms (id, name, private) VALUES (:id, 'room ' || :id, true) ON CONFLICT DO NOTHING;
INSERT INTO chat.members VALUES (:id, 'stays', 'member') ON CONFLICT DO NOTHING;
INSERT INTO chat.messages (room_id, username, text) SELECT :id, 'writer', 'short lived' FROM generate_series(1, 5);
END;
DELETE FROM chat.rooms WHERE id = :id;
SQL
my $since = $node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()');
my $out = '';
my $writers = IPC::Run::start(
	[ 'pgbench', '-n', '-c', 6, '-j', 2, '-T', $seconds, '--rate', 600, '-h', $node->host,
		'-p', $node->port, '-f', "$dir/say\@6", '-f', "$dir/move\@2", '-f', "$dir/rooms\@2", 'postgres' ],
	'<', \undef, '>', \$out, '2>&1');

my %session = map { $_ => Chatroom::Session->new($node, 'postgres', user => $_) } qw(stays goes never);
my %cursor = map { $_ => $since } keys %session;
my (@numbers, %gone, %answers);
my $strange = 0;

# One turn of a follower's; undef when the room is not there.
sub turn
{
	my ($user, $topic) = @_;
	my $key = "$user $topic";

	$cursor{$key} //= $since;
	my $json = $session{$user}->query("SELECT chatroom.sync('$topic', '$cursor{$key}', 300)");
	if ($session{$user}->error =~ /ERROR:\s+(\S+): /)
	{
		$answers{"$key $1"}++;
		return;
	}
	my $answer = decode_json($json);
	$answers{ $answer->{reset} ? "$key reset" : "$key events" }++;
	$cursor{$key} = $answer->{cursor};
	return $answer;
}

my $reindexed = 0;
my $end = time() + $seconds + $PostgreSQL::Test::Utils::timeout_default;
my $done = 0;
while (time() < $end)
{
	my $finished = !$writers->pumpable || do { eval { $writers->pump_nb }; !$writers->pumpable };
	# waits until all that was committed is published
	$node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()') if $finished;
	my $answer = turn('stays', 'room:1');
	my $news = $answer && @{ $answer->{events} };

	# who stays is told each message once, in order
	$strange++ if !$answer || $answer->{reset};
	push @numbers, map { $_->{row}{text} =~ /(\d+)/ }
	  grep { $_->{table} eq 'chat.messages' } @{ $answer->{events} // [] };
	$answer = turn('stays', 'rooms');
	$strange++ if !$answer || $answer->{reset};
	$gone{ $_->{cursor} . $_->{key}{id} }++
	  foreach grep { $_->{type} eq 'delete' } @{ $answer->{events} // [] };

	# who is taken out gets resets, P0002, or events
	turn('goes', 'room:1');

	# who never was in is told nothing but that
	turn('never', 'room:1');
	my $other = turn('never', 'rooms');
	$strange++ if !$other || $other->{reset} || @{ $other->{events} };
	$other = turn('never', 'chat/*');
	$strange++ if !$other || $other->{reset}
	  || grep { $_->{table} ne 'chat.users' } @{ $other->{events} };

	$node->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY chat.'
		  . ($reindexed++ % 2 ? 'rooms_pkey' : 'members_pkey'))
	  if !$finished && $reindexed < 6;
	last if $finished && $done++ > 3 && !$news;
}
$writers->finish;
unlike($out, qr/failed transactions: [1-9]|ERROR|aborted/, 'no writer failed') or diag($out);
is($strange, 0, 'nobody was told what is not his, and nobody who stays was reset');
my $rows = $node->safe_psql('postgres',
	"SELECT string_agg(substring(text, '\\d+'), ' ' ORDER BY substring(text, '\\d+')::int) FROM chat.messages WHERE room_id = 1");
is(join(' ', sort { $a <=> $b } @numbers), $rows, 'who stays was told all messages, each once');
is(scalar(grep { $_ > 1 } values %gone), 0, 'and each room\'s end once');
cmp_ok(scalar(keys %gone), '>', 1, 'of several rooms');
is(join(' ', grep { /^never room:1 / && !/P0002/ } sort keys %answers), '', 'who never was in: P0002');

# At rest: who is out at last is told so, whatever he was told before.
$node->safe_psql('postgres', "INSERT INTO chat.members VALUES (1, 'goes', 'member') ON CONFLICT DO NOTHING");
$cursor{'goes room:1'} = $node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()');
$node->safe_psql('postgres', "DELETE FROM chat.members WHERE username = 'goes'");
ok(turn('goes', 'room:1')->{reset}, 'who is out at last is told so');
is(turn('goes', 'room:1'), undef, 'once');
note(join ', ', map { "$_: $answers{$_}" } sort keys %answers);

done_testing();
