# The WAL that is kept for rebuilding, and what happens where it can't be:
# cursors may then be reset, but nothing is lost silently, writers go on, and
# no WAL is pinned.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

# The slot under chatroom's name: temporary or persistent, or nothing.
sub slot
{
	my ($node) = @_;

	return $node->safe_psql('postgres',
		"SELECT CASE WHEN temporary THEN 'temporary' ELSE 'persistent' END FROM pg_replication_slots WHERE slot_name = 'chatroom'"
	);
}

# A follower is told what happens: whether it was reset since the last look.
sub goes_on
{
	my ($follower, $name, $resets) = @_;
	my $before = @{ $follower->{log} };

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$follower->{resets} = 0;
	$follower->follow;
	$follower->catch_up;
	$follower->catch_up if $follower->{resets};
	is($follower->{resets}, $resets, $name);
	$follower->is_complete("$name: nothing is missing");
	return;
}

# ---- no slot can be had

my %without = (
	'wal_level = minimal' =>
	  "wal_level = minimal\nmax_wal_senders = 0\n",
	'max_replication_slots = 0' =>
	  "max_replication_slots = 0\nmax_wal_senders = 0\n");
foreach my $what (sort keys %without)
{
	my $node = chatroom_node(($what =~ /^(\w+)/)[0], conf => $without{$what});

	make_log($node);
	my $follower = Chatroom::Follower->new($node);
	$follower->follow;
	add_rows($node, 10);
	goes_on($follower, "$what: it works", 0);
	is(slot($node), '', "$what: without a slot");
	kill 'TERM', tailer_pid($node);
	poll_until('the worker is back',
		sub { status($node, "state = 'running' AND tailer_starts = 2") eq 't' });
	goes_on($follower, "$what: cursors live through a restart of the worker",
		0);
	$node->restart;
	wait_running($node);
	goes_on($follower, "$what: a restart of the server resets", 1);
	goes_on($follower, "$what: once", 0);
	$node->stop;
}

# With a slot that is there the server does not start that way, which no
# extension can change: stop() drops it before.
my $turned = chatroom_node('turned');
make_log($turned);
Chatroom::Follower->new($turned)->follow;
poll_until('there is a slot', sub { slot($turned) eq 'persistent' });
foreach my $what (sort keys %without)
{
	my $conf = slurp_file($turned->data_dir . '/postgresql.conf');

	$turned->stop;
	$turned->append_conf('postgresql.conf', $without{$what});
	is($turned->start(fail_ok => 1), 0, "$what: no start with our slot");
	unlink $turned->data_dir . '/postgresql.conf';
	append_to_file($turned->data_dir . '/postgresql.conf', $conf);
	$turned->start;
	$turned->safe_psql('postgres', 'SELECT chatroom.stop()');
	$turned->append_conf('postgresql.conf', $without{$what});
	$turned->restart;
	wait_running($turned);
	$turned->safe_psql('postgres', 'TRUNCATE log');
	my $follower = Chatroom::Follower->new($turned);
	$follower->follow;
	add_rows($turned, 3);
	goes_on($follower, "$what: after stop() it does", 0);
	$turned->stop;
	unlink $turned->data_dir . '/postgresql.conf';
	append_to_file($turned->data_dir . '/postgresql.conf', $conf);
	$turned->start;
	poll_until('there is a slot again', sub { slot($turned) eq 'persistent' });
}
$turned->stop;

# ---- preloaded

my $node = chatroom_node('slots', conf => <<'CONF');
chatroom.retain_wal = 16MB
max_wal_size = 1GB
max_replication_slots = 2
dynamic_shared_memory_type = mmap
chatroom.cache_size = 4MB
chatroom.max_presence = 16
CONF
make_log($node);
my $follower = Chatroom::Follower->new($node);
goes_on($follower, 'preloaded', 0);
is(slot($node), 'persistent', 'preloaded, the slot is persistent');

# How much WAL is kept may be: retain_wal, a quarter until the next anchor, and
# what was just written.
sub retained
{
	return $node->safe_psql('postgres',
		"SELECT (pg_current_wal_insert_lsn() - restart_lsn)::bigint / 1048576 FROM pg_replication_slots WHERE slot_name = 'chatroom'"
	);
}

$node->safe_psql('postgres', 'CREATE TABLE other (text text)');
my $old = Chatroom::Session->new($node);
$old->query("BEGIN; INSERT INTO log (writer, note) VALUES (1, 'old')");
my $writers = writers($node, clients => 2, rate => 200);
my $most    = 0;
my $kept    = 0;
for (1 .. 12)
{
	$node->safe_psql('postgres',
		"INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 7000)"
	);
	# the bound holds for a worker that has read what is there
	$follower->catch_up;
	my $now = retained();
	$most = $now if $now > $most;
}
$writers->stop;
note("at most $most MB were kept");
cmp_ok($most, '<=', 16 + 4 + 8 + 8, 'WAL is kept within its bound');
cmp_ok($most, '>=', 12, 'but so much is kept');
$old->query("COMMIT");
goes_on($follower, 'a transaction that is older than that is told', 0);

# An idle server lets it go, too, as soon as something happens.
$node->safe_psql('postgres', 'CHECKPOINT; SELECT pg_switch_wal(); CHECKPOINT');
poll_until('WAL is let go', sub { retained() <= 20 });
cmp_ok(retained(), '<=', 20, 'in the end no more than that');

# A smaller max_slot_wal_keep_size wins over retain_wal.
$node->safe_psql('postgres',
	"ALTER SYSTEM SET chatroom.retain_wal = '1GB'; ALTER SYSTEM SET max_slot_wal_keep_size = '64MB'");
$node->reload;
my $starts = status($node, 'tailer_starts');
for (1 .. 8)
{
	$node->safe_psql('postgres',
		"INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 14000)"
	);
	# a worker that lags behind by more than the rest would lose the slot
	$follower->catch_up;
	$node->safe_psql('postgres', 'CHECKPOINT');
}
goes_on($follower, 'a smaller max_slot_wal_keep_size is kept to', 0);
is(status($node, 'tailer_starts'), $starts, 'and nobody ends the worker');

# ---- the slot is invalidated

$node->safe_psql('postgres',
	"ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'");
$node->reload;
$follower->catch_up;
my $pid = tailer_pid($node);
kill 'STOP', $pid;
add_rows($node, 10);
$node->safe_psql('postgres',
	"INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 14000); SELECT pg_switch_wal()"
) for 1 .. 4;
my $checkpoint = Chatroom::Session->new($node);
$checkpoint->send('CHECKPOINT');
poll_until(
	'the slot is taken from the worker',
	sub {
		$checkpoint->done;
		return $node->log_contains(
			qr/terminating process $pid to release replication slot "chatroom"/);
	});
add_rows($node, 5);
kill 'CONT', $pid;
$checkpoint->answer;
poll_until('the worker is back',
	sub { status($node, "state = 'running' AND tailer_pid <> $pid") eq 't' });
ok($node->log_contains(qr/invalidating (obsolete replication )?slot "chatroom"/),
	'the slot was invalidated');
goes_on($follower, 'a slot that was lost resets', 1);
goes_on($follower, 'once',                        0);
is(slot($node), 'persistent', 'there is a new slot');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
$node->reload;

# ---- stop and start

sub segments
{
	return scalar grep { int((-s $_) / 1024**2) == 4 }
	  glob $node->data_dir . '/pg_dynshmem/mmap.*';
}

is(segments(), 1, 'there is a cache');
is($node->safe_psql('postgres', 'SELECT chatroom.stop()'), 't', 'stop stops');
is(slot($node), '', 'and gives the slot back');
$follower->{session}->close;
poll_until('memory is given back', sub { segments() == 0 });
is(segments(), 0, 'and memory');
$follower->{resets} = 0;
$follower->follow;
is($follower->{resets}, 1, 'who follows is told to reset');
add_rows($node, 10);
is($node->safe_psql('postgres', 'SELECT DISTINCT state FROM chatroom.status'),
	'stopped', 'nobody starts it again');
is( $node->safe_psql(
		'postgres', 'SELECT chatroom.start() AND chatroom.start()'),
	't',
	'start starts, also twice');
goes_on($follower, 'then the cursor from before resets', 1);
goes_on($follower, 'and all goes on',                    0);
is(slot($node), 'persistent', 'with a slot');

# Started by hand, it comes back after a crash as well.
sub crash_session
{
	my $session = Chatroom::Session->new($node);

	crash_backend($node, $session->query('SELECT pg_backend_pid()'));
	return;
}

crash_session();
wait_running($node);
goes_on($follower, 'one that was started by hand lives through a crash', 0);

# A stop is forgotten by a crash, which starts all anew.
$node->safe_psql('postgres', 'SELECT chatroom.stop()');
crash_session();
is($node->safe_psql('postgres', 'SELECT chatroom.start()'),
	't', 'after a crash a stopped worker can be started');
goes_on($follower, 'after a stop and a crash', 1);
$node->safe_psql('postgres', 'SELECT chatroom.stop()');
$node->restart;
wait_running($node);
is(slot($node), 'persistent', 'a restart of the server starts it');
goes_on($follower, 'after a stop and a restart', 1);

# ---- the kill switch

$node->safe_psql('postgres', 'ALTER SYSTEM SET chatroom.emit = off');
$node->reload;
poll_until('events are off',
	sub { $node->safe_psql('postgres', 'SHOW chatroom.emit') eq 'off' });
my $log = @{ $follower->{log} };
add_rows($node, 10);
$follower->{resets} = 0;
poll_until('a reset is told', sub { $follower->follow; $follower->{resets} });
is(scalar @{ $follower->{log} }, $log, 'changes come as resets, not events');
like(status($node, 'resets'), qr/"emit_off"/, 'for that reason');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET chatroom.emit');
$node->reload;
poll_until('events are on',
	sub { $node->safe_psql('postgres', 'SHOW chatroom.emit') eq 'on' });
goes_on($follower, 'switched on again', 0);

# ---- without preload

$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', undef);
$node->restart;
is(slot($node), 'persistent', 'a slot is left over from a preloaded worker');
goes_on($follower, 'without preload a restart resets', 1);
is(slot($node), 'temporary', 'the left-over slot is dropped by the next worker');
$node->restart;
is(slot($node), '', 'which leaves nothing behind');

# ---- somebody else's slot of that name

$node->safe_psql('postgres',
	"SELECT pg_create_physical_replication_slot('chatroom', true)");
my $theirs = 'SELECT restart_lsn, active FROM pg_replication_slots';
my $before = $node->safe_psql('postgres', $theirs);
goes_on($follower, "with somebody else's slot of that name it works", 1);
goes_on($follower, "and goes on",                                     0);
$node->append_conf('postgresql.conf',
	"shared_preload_libraries = 'chatroom'\n");
$node->restart;
wait_running($node);
goes_on($follower, 'also preloaded', 1);
$node->safe_psql('postgres', 'SELECT chatroom.stop()');
is($node->safe_psql('postgres', $theirs), $before, 'the slot is left alone');
ok($node->log_contains(qr/replication slot "chatroom" is not the chatroom worker's/),
	'and the log tells');

# No slot is free.
$node->safe_psql('postgres', <<'SQL');
SELECT pg_drop_replication_slot('chatroom');
SELECT pg_create_physical_replication_slot('x'), pg_create_physical_replication_slot('y');
SELECT chatroom.start();
SQL
is(slot($node), '', 'where no slot is free');
goes_on($follower, 'it works without', 1);
goes_on($follower, 'and goes on',      0);
$node->stop;
done_testing();
