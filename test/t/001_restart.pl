# Cursors over restarts of the server.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;

# Preloaded: the cursor is good, and events from before and after come.
my $node = chatroom_node('preloaded');
make_log($node);

my $follower = Chatroom::Follower->new($node);
$follower->follow;
add_rows($node, 10);
$follower->catch_up;
add_rows($node, 10);
$node->restart;
add_rows($node, 10);
$follower->catch_up;
$follower->is_exact('preloaded: a cursor goes on after a restart');

# Without a poll in between, and with checkpoints.
add_rows($node, 1);
$node->safe_psql('postgres', 'CHECKPOINT');
add_rows($node, 1);
$node->restart;
add_rows($node, 1);
$node->safe_psql('postgres', 'CHECKPOINT');
add_rows($node, 1);
$node->stop('immediate');
$node->start;
add_rows($node, 1);
$follower->catch_up;
$follower->is_exact('preloaded: also after two, one of them immediate');

is( slots($node), 'physical|f|t', 'preloaded: a persistent slot holds WAL');

# No longer preloaded: the cursor is no good, and this is told; the slot goes.
$node->append_conf('postgresql.conf', q(shared_preload_libraries = ''));
$node->restart;
add_rows($node, 1);
$follower->follow;
is($follower->{resets}, 1,
	'not preloaded: a cursor from before the restart is told to reset');
is(slots($node), 'physical|t|t',
	'not preloaded: the slot left over gives way to a temporary one');

# From the reset on, nothing is missing.
my $fresh = Chatroom::Follower->new($node);
$fresh->follow;
$fresh->catch_up;
is(scalar @{ $fresh->{log} }, 1, 'not preloaded: what comes then is told');

$node->restart;
$fresh->follow;
is($fresh->{resets}, 1, 'not preloaded: the next restart resets again');
$node->restart;
is(slots($node), '', 'not preloaded: nothing is left that could hold WAL');
$node->stop;

sub slots
{
	return $_[0]->safe_psql('postgres',
		'SELECT slot_type, temporary, active FROM pg_replication_slots');
}

done_testing();
