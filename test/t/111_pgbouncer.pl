# Behind PgBouncer in transaction mode, where clients share connections to the
# server: nothing of one client is left for the next, and a client doesn't
# notice that its connection is another one each time.
use strict;
use warnings;
use Chatroom::Bouncer;
use Chatroom::Session;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => Chatroom::Bouncer->missing if Chatroom::Bouncer->missing;

my $node = chatroom_node('pgbouncer', conf => "listen_addresses = '127.0.0.1'\n");
my $bouncer = Chatroom::Bouncer->new(
	$node,
	users => ['web'],
	databases => { one => 1, three => 3 });

$node->safe_psql('postgres', <<'SQL');
SELECT chatroom.migrate(), chatroom.create_room('lobby');
CREATE ROLE web LOGIN;
GRANT USAGE ON SCHEMA chat TO web;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat TO web;
GRANT EXECUTE ON FUNCTION chatroom.act_as TO web;
SQL

# The statements' last answer, or the SQLSTATE of their error.
sub result
{
	my ($session, @statements) = @_;
	my $answer;

	foreach my $sql (@statements)
	{
		$answer = $session->query($sql);
		return $1 if $session->error =~ /^ERROR:\s+(\w{5}):/m;
	}
	return $answer;
}

# --------------------------------------------- one connection, two clients

my ($a, $b) = map { Chatroom::Session->new($bouncer, 'one', user => 'web') } 1, 2;

is( result($a, 'SELECT pg_backend_pid()'),
	result($b, 'SELECT pg_backend_pid()'),
	'two clients share a connection to the server');
like(
	result(
		$a, 'BEGIN',
		q{SELECT chatroom.act_as('alice')},
		q{SELECT chatroom.create_room('attic', private => true)}),
	qr/"attic"/,
	'one acts for a user in a transaction');
result($a, 'COMMIT');
my $see = q{SELECT chatroom.join_room('attic') #>> '{room,name}'};
is(result($b, $see), 'P0002', 'the other does not act for anybody then');
is(result($a, $see), 'P0002', 'nor does the one, afterwards');
result($a, 'BEGIN', q{SELECT chatroom.act_as('alice')}, 'SAVEPOINT s', $see);
result($a, 'ROLLBACK');
is(result($b, $see), 'P0002', 'a transaction rolled back leaves nothing, too');
like(
	result($a, q{CALL chatroom.follow_room('attic', acting_for => 'alice')}),
	qr/"attic"/, 'a call acts for a user');
is(result($b, $see), 'P0002', 'the other does not after that call');
is(result($a, q{CALL chatroom.follow_room('cellar', acting_for => 'alice')}),
	'P0002', 'a call for a user fails');
is(result($b, $see), 'P0002', 'nor after one that failed');

# ------------------------------------------------------------ leases, wait

my $present = q{SELECT string_agg(key, ' ') FROM json_each(chatroom.presence('room:1'))};

result($a, q{SELECT chatroom.track('room:1', 'alice', '{}', '1 h')});
$a->close;
poll_until('presence with a lease stays when its client goes',
	sub { $node->safe_psql('postgres', $present) eq 'alice' });
is(result($b, $present), 'alice', 'any client is told who is present');
result($b, q{SELECT chatroom.untrack('room:1', 'alice')});
poll_until('and any client may end it',
	sub { $node->safe_psql('postgres', $present) eq '' });

# A channel taken through the pool, heard on a connection of one's own.
my $channel =
  result($b, q{SELECT chatroom.channel('room:1', keep => '1 min')});
my $listener = Chatroom::Session->new($node, 'postgres');
$listener->query("LISTEN $channel");
result($b, q{SELECT chatroom.post('lobby', 'bobby', 'ring')});
my $heard = '';
poll_until('a channel that is kept rings',
	sub { ($heard .= $listener->query('SELECT 1')) =~ /notification/ });
like(
	$heard,
	qr/notification "$channel" with payload "1-[^"]+"/,
	'a channel taken through the pool is heard directly');

# A client that goes while it waits takes the connection along, not to hold up
# those behind it.
my $waiting = q{
	SELECT count(*) FROM pg_stat_activity
	WHERE query LIKE 'CALL chatroom.wait%' AND state = 'active'};
# that alice left is told, and doesn't end the wait
poll_until('all is told',
	sub { $node->safe_psql('postgres', q{SELECT count(*) FROM chatroom.events('room:1') WHERE type = 'presence_leave'}) > 0 });
$b->send(q{CALL chatroom.wait('{room:1}', NULL, '1 min')});
poll_until('a client waits',
	sub { $b->done; $node->safe_psql('postgres', $waiting) eq '1' });
$b->close;
my $c = Chatroom::Session->new($bouncer, 'one', user => 'web');
is(result($c, 'SELECT 1'), '1', 'the next client is served');
# PgBouncer doesn't wait for the end of a process that it has hung up on
poll_until('the wait ends',
	sub { $node->safe_psql('postgres', $waiting) eq '0' });
is($node->safe_psql('postgres', $waiting),
	'0', 'and nobody waits for one that has gone');

# ----------------------------------------- one client, several connections

# Another client takes the connection that was used last, so that the one gets
# another in each turn.
my $other = Chatroom::Session->new($bouncer, 'three', user => 'web');
my $one = Chatroom::Session->new($bouncer, 'three', user => 'web');
my %pids;
my @told;
my $since = $one->query(q{SELECT chatroom.snapshot_cursor()});

foreach my $i (1 .. 20)
{
	$other->query($i % 2 ? 'BEGIN' : 'COMMIT');
	$pids{ $one->query('SELECT pg_backend_pid()') } = 1;
	$one->query("SELECT chatroom.post('lobby', 'carol', 'number $i')");
	my $answer = $one->query(
		$i % 3
		? "CALL chatroom.wait('{room:1}', '$since')"
		: "SELECT chatroom.snapshot_cursor() \\g /dev/null\nSELECT chatroom.sync('room:1', '$since')"
	);
	push @told, $answer =~ /"row":\{[^}]*"text":"([^"]*)"/g;
	($since) = $answer =~ /"cursor":"([^"]+)","reset":false/;
}
cmp_ok(scalar keys %pids, '>', 1, 'a client has several connections by turns');
is_deeply(
	\@told,
	[ map { "number $_" } 1 .. 20 ],
	'its cursor goes on with each of them');

$_->close foreach $c, $other, $one, $listener;
$bouncer->stop;
$node->stop;
done_testing();
