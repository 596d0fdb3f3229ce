# Everything at once, at random: clients write in all ways while the worker and
# the server are ended in all ways, commits hang, and events are switched off.
# Whoever follows knows all rows in the end, and was never told anything twice,
# in parts or out of order between two resets.
#
# CHATROOM_LONG=1 for some minutes; CHATROOM_SEED=n does the same as once n did,
# as far as chance allows.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seconds = $ENV{CHATROOM_LONG} ? 240 : 10;
random_seed();

my $node = chatroom_node('chaos', conf => <<'CONF');
chatroom.cache_size = 8MB
chatroom.retain_wal = 8MB
max_wal_size = 64MB
CONF
make_log($node);
my @followers =
  map { Chatroom::Follower->new($node, limit => $_) } 5, 50, 1000;
$_->follow for @followers;

# Follow for a while.
sub follow_for
{
	my ($time) = @_;
	my $end = time() + $time;

	while (time() < $end)
	{
		defined $_->poll(sub { time() < $end }) or usleep(5_000)
		  for @followers;
	}
	return;
}

# Sessions that hold transactions open, and end them in all ways.
my @sessions = map { Chatroom::Session->new($node) } 1 .. 3;
my @open     = (0) x @sessions;
my $prepared = 0;

sub use_session
{
	my $i = int(rand(@sessions));
	my ($session, $choice) = ($sessions[$i], rand());
	my $insert = "INSERT INTO log (writer) VALUES (-2)";
	my $sql;

	if (!$open[$i])
	{
		$sql = "BEGIN; $insert";
	}
	elsif ($choice < 0.3)
	{
		$sql = "SAVEPOINT a; $insert; ROLLBACK TO a; $insert";
	}
	elsif ($choice < 0.7)
	{
		$sql = 'COMMIT';
	}
	elsif ($choice < 0.8)
	{
		$sql = 'ROLLBACK';
	}
	else
	{
		$prepared++;
		$sql = "PREPARE TRANSACTION 'p$prepared'";
	}
	$open[$i] = $sql !~ /^(COMMIT|ROLLBACK$|PREPARE)/;
	eval { $session->query($sql); 1 } or $open[$i] = 0;
	return;
}

# Statements that may find the server away.
sub try_sql
{
	my ($sql) = @_;

	$node->psql('postgres', $sql,
		timeout => $PostgreSQL::Test::Utils::timeout_default);
	return;
}

sub end_prepared
{
	my ($ret, $list) =
	  $node->psql('postgres', 'SELECT gid FROM pg_prepared_xacts');

	try_sql((rand() < 0.7 ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$_'")
	  for split /\n/, $list // '';
	return;
}

sub end_tailer
{
	my ($signal) = @_;
	my ($ret, $pid) = $node->psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'chatroom tailer'");

	kill $signal, $pid if $pid;
	return;
}

my $writers;
my %done;
my %actions = (
	nothing        => sub { },
	checkpoint     => sub { try_sql('CHECKPOINT') },
	'switch WAL'   => sub { try_sql('SELECT pg_switch_wal()') },
	'foreign WAL'  => sub {
		try_sql(
			"SELECT pg_logical_emit_message(true, 'other', repeat('x', 1000000))"
		);
	},
	'large transaction' => sub {
		try_sql(
			"INSERT INTO log (writer) SELECT -2 FROM generate_series(1, 30000)");
	},
	'stop and start' => sub {
		try_sql('SELECT chatroom.stop()');
		follow_for(rand(0.2));
		try_sql('SELECT chatroom.start()');
	},
	'end prepared'    => \&end_prepared,
	'SIGTERM'         => sub { end_tailer('TERM') },
	'kill -9 of the worker' => sub { end_tailer('KILL') },
	'kill -9'         => sub {
		crash($node);
		start_again($node);
	},
	'restart'         => sub { $node->stop(rand() < 0.5 ? 'fast' : 'immediate'); $node->start },
	'hanging commits' => sub {
		try_sql("ALTER SYSTEM SET synchronous_standby_names = 'absent'");
		try_sql('SELECT pg_reload_conf()');
		follow_for(rand(0.5));
		end_tailer('TERM') if rand() < 0.3;
		follow_for(rand(0.5));
		try_sql('ALTER SYSTEM RESET synchronous_standby_names');
		try_sql('SELECT pg_reload_conf()');
	},
	'events off' => sub {
		try_sql('ALTER SYSTEM SET chatroom.emit = off');
		try_sql('SELECT pg_reload_conf()');
		follow_for(rand(0.2));
		try_sql('ALTER SYSTEM RESET chatroom.emit');
		try_sql('SELECT pg_reload_conf()');
	});
my @names = sort keys %actions;
my $end   = time() + $seconds;

while (time() < $end)
{
	my $action = $names[ rand @names ];

	$writers //= writers($node, rate => 800);
	follow_for(rand(0.4));
	use_session() for 1 .. int(rand(6));
	note($action);
	$actions{$action}->();
	$done{$action}++;
	follow_for(rand(0.4));

	# those that lost the server are followed by others
	if ($writers->gone)
	{
		undef $writers;
	}
}
$writers->stop if $writers;
foreach my $i (0 .. $#sessions)
{
	eval { $sessions[$i]->query('COMMIT') } if $open[$i];
}
wait_running($node);
end_prepared();
$_->catch_up for @followers;
foreach my $follower (@followers)
{
	my @faults = grep { !/is missing/ } $follower->faults(watched_rows($node));

	is(scalar @faults, 0,
		"limit $follower->{limit}: nothing came twice, in parts or out of order")
	  or diag(join "\n", grep { defined } @faults[ 0 .. 9 ]);
	$follower->is_complete("limit $follower->{limit}: and nothing is missing ("
		  . keys(%{ $follower->{rows} })
		  . " rows, $follower->{resets} resets)");
}
note(join ', ', map { "$_: $done{$_}" } sort keys %done);
$node->stop;
done_testing();
