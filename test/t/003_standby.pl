# Cursors on a hot standby, and over promotion.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Cluster;
use Test::More;
use Time::HiRes qw(time);

# Serializable by default: the worker's own snapshots must not care.
my $primary = chatroom_node('primary', conf => <<'CONF');
chatroom.cache_size = 64MB
default_transaction_isolation = serializable
default_transaction_deferrable = on
CONF
make_log($primary);
$primary->safe_psql('postgres',
	"ALTER ROLE CURRENT_USER SET default_transaction_isolation = 'read committed'");
$primary->backup('base');

sub make_standby
{
	my ($name, $from) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init_from_backup($from, 'base', has_streaming => 1);
	$node->start;
	# cursors from before its worker began are not for it to continue
	wait_running($node);
	return $node;
}
my $standby = make_standby('standby', $primary);

# The same cursor here and there.
my $follower = Chatroom::Follower->new($primary);
my $there    = Chatroom::Follower->new($standby);
$_->follow for $follower, $there;
my $writers = writers($primary);
my $end = time() + 2;
my $going_on = sub { time() < $end };
while (time() < $end)
{
	$_->poll($going_on) for $follower, $there;
}
my $old = Chatroom::Follower->new($primary);
$old->{cursor} = $follower->{cursor};
my $told_before = @{ $follower->{log} };

# Change places while writers write.
$follower->move($standby);
$there->move($primary);
$end = time() + 2;
while (time() < $end)
{
	$_->poll($going_on) for $follower, $there;
}
$writers->stop;
$_->catch_up($primary) for $follower, $there;
# the other's marker has yet to come to the standby
poll_until('the standby has replayed all',
	sub { $follower->poll; @{ $follower->{log} } >= @{ $there->{log} } });
$follower->is_exact('a follower goes on at a standby with its cursor', $primary);
$there->is_exact('and one of the standby at the primary', $primary);

# A standby that is restarted goes on, too.
$follower->follow;
add_rows($primary, 3);
$standby->restart;
add_rows($primary, 3);
$follower->catch_up($primary);
$standby->stop('immediate');
add_rows($primary, 3);
$standby->start;
$follower->catch_up($primary);
$follower->is_exact('over restarts of the standby', $primary);

# Promotion while writers write: the primary dies, its clients go elsewhere.
$there->move($standby);
$writers = writers($primary);
$end = time() + 2;
while (time() < $end)
{
	$_->poll($going_on) for $follower, $there;
}
$primary->stop('immediate');
$writers->finish;
$standby->promote;
my $promoted_writers = writers($standby);
$end = time() + 2;
while (time() < $end)
{
	$_->poll($going_on) // 0 for $follower, $there;
}
$promoted_writers->stop;
$follower->catch_up;
$there->catch_up;
$follower->follow;
$_->is_exact('promotion under load: a follower of the standby was told all')
  for $follower, $there;
$old->move($standby);
$old->follow;
$old->follow;
my @faults = grep { !/is missing/ } $old->faults(watched_rows($standby));
is(scalar(@faults) + $old->{resets},
	0, 'a cursor of the old primary is good on the new one');
is( @{ $old->{log} },
	@{ $follower->{log} } - $told_before,
	'and is told all since');
$primary->teardown_node;

# Promotion after which the tail of the old primary's WAL is lost.
$standby->backup('base');
my $second = make_standby('second', $standby);
$standby->wait_for_catchup($second);
my $tail = Chatroom::Follower->new($standby);
$tail->follow;
my $before = Chatroom::Follower->new($standby);
$before->{cursor} = $tail->{cursor};
add_rows($standby, 1);
$standby->wait_for_catchup($second);
$second->stop;
$tail->catch_up;
$standby->stop('immediate');
$second->start;
# a worker that begins with the promotion has nothing to continue from
wait_running($second);
$second->promote;
$_->move($second) for $tail, $before;
my $lost = $tail->{cursor};
$tail->follow;
$before->follow;
is($tail->{resets}, 1,
	'a cursor from the part of WAL that was lost is told to reset');
is("$before->{resets} " . @{ $before->{log} },
	'0 1', 'one from before is not');

# The lost cursor, once the new primary has come further than that.
my $late = Chatroom::Follower->new($second);
$late->{cursor} = $lost;
add_rows($second, 100);
$late->follow;
$late->follow;
is($late->{resets}, 1, 'also after the new primary has come further than that');
$second->stop;
done_testing();
