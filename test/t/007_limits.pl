# Servers that are short of something, and transaction ids past 2^31.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

sub slots
{
	return $_[0]->safe_psql('postgres',
		'SELECT slot_name, active, wal_status FROM pg_replication_slots');
}

# A server that keeps no WAL for replication.
my $node = chatroom_node('minimal', conf => <<'CONF');
wal_level = minimal
max_wal_senders = 0
CONF
make_log($node);
my $follower = Chatroom::Follower->new($node);
$follower->follow;
my $writers = writers($node, rate => 500);
my $end     = time() + 1;
$follower->poll_while(sub { time() < $end });
$writers->stop;
$follower->catch_up;
$follower->is_exact('wal_level = minimal: events are told');
is(slots($node), '', 'wal_level = minimal: without a slot');
$node->restart;
$follower->follow;
is($follower->{resets}, 1, 'wal_level = minimal: a restart is told as a reset');
$follower->is_complete('wal_level = minimal: after which nothing is missing');

# No slot to be had.
$node->append_conf('postgresql.conf', <<'CONF');
wal_level = replica
max_replication_slots = 0
CONF
$node->restart;
$follower->{resets} = 0;
$follower->follow;
is($follower->{resets}, 1, 'no slots: a restart is told as a reset');
$follower->catch_up;
$follower->is_complete('no slots: events are told');

$node->append_conf('postgresql.conf', "max_replication_slots = 1\n");
$node->restart;
poll_until('the worker has its slot', sub { slots($node) =~ /^chatroom\|t/ });
$node->safe_psql('postgres', 'SELECT chatroom.stop()');
$node->safe_psql('postgres',
	"SELECT pg_create_physical_replication_slot('mine', true)");
$node->safe_psql('postgres', 'SELECT chatroom.start()');
is(slots($node), 'mine|f|reserved',
	'no slot free: the worker leaves that of others alone');
ok($node->log_contains('all replication slots are in use'),
	'no slot free: and says so');
$follower->follow;
$follower->catch_up;
$follower->is_complete('no slot free: events are told');
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('mine')");

# A slot that falls behind max_slot_wal_keep_size.
$node->append_conf('postgresql.conf', <<'CONF');
max_slot_wal_keep_size = 16MB
min_wal_size = 32MB
CONF
$node->restart;
wait_running($node);
$follower->follow;
$follower->catch_up;
my $tailer = tailer_pid($node);
for (1 .. 4)
{
	$node->safe_psql('postgres',
		"SELECT pg_logical_emit_message(false, 'other', 'x'); SELECT pg_switch_wal()"
	);
}
add_rows($node, 1);
$node->safe_psql('postgres', 'CHECKPOINT');
poll_until('the slot is lost',
	sub { $node->log_contains(qr/invalidating.*slot "chatroom"/s) });
poll_until(
	'another worker has another slot',
	sub { slots($node) eq 'chatroom|t|reserved' && tailer_pid($node) ne $tailer });
add_rows($node, 1);
$follower->catch_up;
$follower->is_complete('slot invalidated: nothing is missing');
add_rows($node, 1);
$node->restart;
$follower->{resets} = 0;
$follower->catch_up;
is($follower->{resets}, 0, 'slot invalidated: the new one holds over a restart');
$follower->is_complete('slot invalidated: and nothing is missing then');

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
$writers = writers($node, rate => 1000);
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
