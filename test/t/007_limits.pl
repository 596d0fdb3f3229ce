# WAL that is gone, very many connections, and transaction ids past 2^31.
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

# Transaction ids that are larger than 2^31, and turn over while it runs.
$node = chatroom_node('wrapped', start => 0);
$node->start;
$node->safe_psql('postgres', 'VACUUM FREEZE');
$node->stop;
my $xact = $node->data_dir . '/pg_xact/0FFF';
append_to_file($xact, "\0" x (256 * 1024));
system_or_bail('pg_resetwal', '-D', $node->data_dir, '-x', '4294966000', '-u',
	'4294900000', '-e', '5');
$node->append_conf('postgresql.conf', "autovacuum = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION chatroom');
make_log($node);
$follower = Chatroom::Follower->new($node);
$follower->follow;
my $first = $node->safe_psql('postgres', 'SELECT pg_current_xact_id()');
my $writers = writers($node, rate => 1000);
$follower->poll_while(sub { @{ $follower->{log} } < 3000 });
$writers->stop;
$follower->catch_up;
cmp_ok($first, '<', 6 * 2**32, 'transaction ids are before the end of an epoch');
cmp_ok(
	$node->safe_psql('postgres', 'SELECT pg_current_xact_id()'),
	'>', 6 * 2**32, 'and then behind it');
$follower->is_exact('transaction ids past 2^31 and 2^32');
my $hanging = Chatroom::Session->new($node);
$hanging->query('BEGIN; INSERT INTO log (writer) VALUES (-2)');
add_rows($node, 1);
$follower->follow;
$hanging->query('COMMIT');
$follower->catch_up;
$follower->is_exact('one that is open for long');
crash($node);
start_again($node);
$follower->catch_up;
$follower->is_exact('and over a crash');
$node->stop;
done_testing();
