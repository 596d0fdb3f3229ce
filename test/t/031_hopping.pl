# Followers that go from a primary to its standby and back, at random, while
# clients write and either server, or its worker, is ended and started again.
# In the end the standby is promoted. Nobody misses a row, or is told anything
# twice, in parts or out of order between two resets.
#
# CHATROOM_LONG=1 for some minutes; see also 030_chaos.pl.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Cluster;
use Test::More;
use Time::HiRes qw(time usleep);

my $seconds = $ENV{CHATROOM_LONG} ? 180 : 8;
random_seed();

my $primary = chatroom_node('hop_primary', conf => <<'CONF');
chatroom.cache_size = 32MB
wal_keep_size = 1GB
CONF
make_log($primary);
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('hop_standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
my @nodes     = ($primary, $standby);
my @followers = map { Chatroom::Follower->new($primary, limit => $_) } 5, 50, 1000;
$_->follow for @followers;

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

sub hop
{
	$_->move($nodes[ rand 2 ]) for @followers;
	return;
}

# A standby that was made to wait replays again soon.
my %actions = (
	hop          => \&hop,
	checkpoint   => sub { $_->psql('postgres', 'CHECKPOINT') for @nodes },
	'switch WAL' =>
	  sub { $primary->psql('postgres', 'SELECT pg_switch_wal()') },
	'standby restarts' =>
	  sub { $standby->stop(rand() < 0.5 ? 'fast' : 'immediate'); $standby->start },
	'primary restarts' =>
	  sub { $primary->stop(rand() < 0.5 ? 'fast' : 'immediate'); $primary->start },
	'a worker ends' => sub {
		my ($ret, $pid) = $nodes[ rand 2 ]->psql('postgres',
			"SELECT pid FROM pg_stat_activity WHERE backend_type = 'chatroom tailer'"
		);
		kill 'TERM', $pid if $pid;
	},
	'a worker stops' => sub {
		$standby->psql('postgres', 'SELECT chatroom.stop()');
		follow_for(rand(0.2));
		$standby->psql('postgres', 'SELECT chatroom.start()');
	});
my @names = sort keys %actions;
my $end   = time() + $seconds;
my $writers;
my %done;

while (time() < $end)
{
	my $action = $names[ rand @names ];

	$writers //= writers($primary, rate => 600);
	follow_for(rand(0.4));
	note($action);
	$actions{$action}->();
	$done{$action}++;
	hop() if rand() < 0.5;
	follow_for(rand(0.4));
	undef $writers if $writers->gone;
}
$writers->stop if $writers;
wait_running($_) for @nodes;
$_->catch_up($primary) for @followers;

sub check
{
	my ($when, $node) = @_;

	foreach my $follower (@followers)
	{
		my @faults =
		  grep { !/is missing/ } $follower->faults(watched_rows($node));

		is(scalar @faults, 0,
			"$when, limit $follower->{limit}: nothing came twice, in parts or out of order"
		) or diag(join "\n", grep { defined } @faults[ 0 .. 9 ]);
		$follower->is_complete(
			"$when, limit $follower->{limit}: and nothing is missing ("
			  . keys(%{ $follower->{rows} })
			  . " rows, $follower->{resets} resets)",
			$node);
	}
	return;
}
check('hopping', $primary);

# Promotion, with followers of both.
$_->{before} = $_->{resets} for @followers;
$writers = writers($primary, rate => 600);
follow_for(0.5);
$writers->stop;
$primary->wait_for_catchup($standby);
$primary->stop('immediate');
$standby->promote;
$_->move($standby) for @followers;
$writers = writers($standby, rate => 600);
follow_for(0.5);
$writers->stop;
$_->catch_up for @followers;
check('promoted', $standby);
is($_->{resets}, $_->{before}, "promoted, limit $_->{limit}: without a reset")
  for @followers;
note(join ', ', map { "$_: $done{$_}" } sort keys %done);
$standby->stop;
done_testing();
