# Where the worker starts anew, and what it knows then.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('worker', conf => <<'CONF');
chatroom.retain_wal = 2MB
checkpoint_timeout = 1h
CONF
make_log($node);
my $follower = Chatroom::Follower->new($node);
$follower->follow;

# Fill WAL with something else, enough for the worker to note a place from
# which it can start anew.
sub fill_wal
{
	my $before = status($node, 'read_lsn');

	$node->safe_psql('postgres',
		"SELECT pg_logical_emit_message(true, 'other', repeat('x', 700000))");
	poll_until('the worker has read it',
		sub { status($node, "read_lsn - '$before' > 700000") eq 't' });
	return;
}

# Let another worker start from where the last one notes that it may.
sub restart_worker
{
	my $tailer = tailer_pid($node);

	kill 'TERM', $tailer;
	poll_until('a new worker runs',
		sub { status($node, "state = 'running' AND tailer_pid <> $tailer") eq 't' });
	return;
}

# While the worker is away nobody waits for it: what it had published is
# answered, and the cursor goes on when another has come. The postmaster is kept
# from starting one.
{
	my $session = Chatroom::Session->new($node);
	my $since = $session->query("SELECT chatroom.sync('public.log') ->> 'cursor'");

	add_rows($node, 1);
	$session->query('SELECT chatroom.snapshot_cursor()');
	my $tailer = tailer_pid($node);
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	kill 'STOP', $postmaster;
	kill 'TERM', $tailer;
	poll_until('the worker has ended', sub {
		$session->query("SELECT DISTINCT state FROM chatroom.status") eq 'not running'
	});
	my $answer = $session->query("SELECT chatroom.sync('public.log', '$since')");
	my $now = $session->query("SELECT chatroom.sync('public.log')");
	my $cached = $session->query("SELECT chatroom.cached('log', to_jsonb(id)) IS NOT NULL FROM log ORDER BY id DESC LIMIT 1");
	kill 'CONT', $postmaster;
	like($answer, qr/"reset":false.*"type":"insert"/,
		'while the worker is away what it had published is answered');
	like($now, qr/"reset":false/, 'and the cursor of now');
	is($cached, 't', 'and rows from memory');
	my ($next) = $answer =~ /^\{"cursor":"([^"]+)"/;
	add_rows($node, 1);
	poll_until('another worker runs', sub { status($node, 'state') eq 'running' });
	$session->query('SELECT chatroom.snapshot_cursor()');
	like($session->query("SELECT chatroom.sync('public.log', '$next')"),
		qr/"reset":false.*"type":"insert"/, 'and its cursor goes on when another has come');
}

# What events look like is logged once after a checkpoint, by the writer; long
# after that the worker must still know it.
add_rows($node, 1);
for (1 .. 6)
{
	fill_wal();
}
add_rows($node, 1);
$follower->catch_up;
restart_worker();
add_rows($node, 1);
$follower->catch_up;
$follower->is_exact('started anew far behind the last checkpoint, the worker knows what events look like');
for (1 .. 6)
{
	fill_wal();
}
$follower->follow;
crash($node);
start_again($node);
add_rows($node, 1);
$follower->catch_up;
$follower->is_exact('also after a crash');

# Transactions that are open when the worker starts anew.
my $open = Chatroom::Session->new($node);
$open->query('BEGIN; INSERT INTO log (writer) VALUES (-2)');
fill_wal();
restart_worker();
$open->query('INSERT INTO log (writer) VALUES (-2)');
add_rows($node, 1);
$open->query('COMMIT');
$follower->catch_up;
$follower->is_exact('a transaction that was open then is told whole');

# The worker that starts behind such a place waits for those that were open to
# end: one that had no events ends like any other.
for (1 .. 6)
{
	fill_wal();
}
$open->query('BEGIN; SELECT pg_current_xact_id()');
restart_worker();
$follower->catch_up;
$follower->{resets} = 0;
$open->query('COMMIT');
for (1 .. 5)
{
	add_rows($node, 1);
	$follower->catch_up;
}
is($follower->{resets}, 0, 'one that was open then, without events, resets nobody');

$open->query('BEGIN; INSERT INTO log (writer) VALUES (-2)');
for (1 .. 6)
{
	fill_wal();
}
restart_worker();
$open->query('INSERT INTO log (writer) VALUES (-2)');
$follower->catch_up;
$follower->{resets} = 0;
$open->query('COMMIT');
$follower->is_complete('where its beginning is too far back, it is told as a reset');
is($follower->{resets}, 1, 'once');

# Reading that began in the middle of a transaction hands this on.
$open->query('BEGIN; INSERT INTO log (writer) VALUES (-2)');
$node->safe_psql('postgres', 'SELECT chatroom.stop()');
$node->safe_psql('postgres', 'SELECT chatroom.start()');
$open->query('INSERT INTO log (writer) VALUES (-2)');
fill_wal();
restart_worker();
$follower->catch_up;
$open->query('COMMIT');
$follower->is_complete('nor is the rest of one told alone');

# Broadcasts and rows of a large transaction keep their order when it is read
# again; see also 006_large.pl.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE big (id int PRIMARY KEY, body text);
SELECT chatroom.watch('big');
SQL
my $cursor = published($node);
$node->safe_psql('postgres', <<'SQL');
BEGIN;
INSERT INTO big SELECT i, repeat('x', 100000) FROM generate_series(1, 40) AS i;
SELECT chatroom.broadcast('free', 'middle', '{}');
INSERT INTO big SELECT i, repeat('x', 100000) FROM generate_series(41, 80) AS i;
COMMIT;
SQL
Chatroom::Follower->new($node)->catch_up;
is( $node->safe_psql('postgres', <<"SQL"),
SELECT string_agg(coalesce(e->'row'->>'id', e->>'event'), ' ')
FROM json_array_elements(chatroom.sync_many('{public.big,free}', '$cursor')->'events') AS e
SQL
	join(' ', 1 .. 40, 'middle', 41 .. 80),
	'a large transaction is read again, in order');
is(status($node, 'transactions_reread'), 1, 'once');

$node->stop;
done_testing();
