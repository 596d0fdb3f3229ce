# WAL that is gone, and very many connections.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('reset');
make_log($node);
my $follower = Chatroom::Follower->new($node);
$follower->follow;
$follower->catch_up;

# WAL that was thrown away.
$node->stop;
system_or_bail('pg_resetwal', '-D', $node->data_dir);
my $offset = -s $node->logfile;
$node->start;
$follower->{resets} = 0;
$follower->follow;
is($follower->{resets}, 1, 'pg_resetwal: who follows is told to reset');
ok( $node->log_contains('chatroom can.t continue at', $offset),
	'pg_resetwal: and why is logged');
$follower->catch_up;
$follower->is_complete('pg_resetwal: after which nothing is missing');
$node->stop;

# A disk that lost the end of WAL: cursors from there are of a future that never
# was, and stay so when WAL has come as far again.
$node->start;
$follower->follow;
$follower->catch_up;
$node->safe_psql('postgres', 'CHECKPOINT');
$follower->catch_up;
my ($file, $place) = split /\|/,
  $node->safe_psql('postgres',
	'SELECT * FROM pg_walfile_name_offset(pg_current_wal_flush_lsn())');
my $kept = Chatroom::Follower->new($node);
$kept->{cursor} = $follower->{cursor};
add_rows($node, 10);
$follower->catch_up;
my $late = Chatroom::Follower->new($node);
$late->{cursor} = $follower->{cursor};
crash($node);
truncate($node->data_dir . "/pg_wal/$file", $place) or die $!;
truncate($node->data_dir . "/pg_wal/$file", 16 * 1024 * 1024) or die $!;
start_again($node);
$_->{resets} = 0 for $follower, $kept;
$follower->follow;
is($follower->{resets}, 1, 'lost WAL: a cursor from there is told to reset');
$kept->follow;
is($kept->{resets}, 0, 'lost WAL: one from before is not');
add_rows($node, 1000);
$follower->catch_up;
$follower->is_complete('lost WAL: nothing is missing');
cmp_ok(Chatroom::Follower::lsn($follower->{cursor}),
	'>', Chatroom::Follower::lsn($late->{cursor}),
	'lost WAL: when WAL has come as far again');
$late->follow;
is($late->{resets}, 1, 'lost WAL: the cursor from there is told to reset');
$node->stop;

# Many connections: the places of those who wait take no room from events.
$node->append_conf('postgresql.conf', <<'CONF');
max_connections = 9000
chatroom.cache_size = 1MB
CONF
$node->start;
$follower->follow;
$follower->catch_up;
$follower->is_complete('9,000 connections and the smallest cache');
cmp_ok(status($node, 'cache_bytes'), '>', 512 * 1024, 'which has room');
$node->stop;

done_testing();
