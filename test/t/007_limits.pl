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
