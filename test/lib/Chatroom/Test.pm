# Chatroom::Test: what the TAP tests share.
#
#   chatroom_node(NAME, OPTIONS)   a server with chatroom, started
#   make_log(NODE)                 a watched table that can tell what is missing
#   writers(NODE, OPTIONS)         pgbench clients that write to it
#   poll_until(WHAT, CODE)         wait for a condition; never sleep for a time
#   published(NODE)                wait until what has committed is published
#   random_seed()                  begin what is done at random
#
# A Follower keeps a cursor and all that it was told; Session is a psql that
# stays connected.
package Chatroom::Test;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Chatroom::Follower;
use Chatroom::Session;

our @EXPORT = qw(add_rows chatroom_node make_log writers poll_until published random_seed crash
  crash_backend start_again tailer_pid status wait_running watched_rows);

# How long anything may take, in seconds.
my $timeout = $PostgreSQL::Test::Utils::timeout_default;

# The seed of what a test does at random: CHATROOM_SEED, which test/run chooses
# and prints. rand() begins with it; pgbench has it already.
sub random_seed
{
	my $seed = $ENV{CHATROOM_SEED} // 1;

	srand($seed);
	note("CHATROOM_SEED=$seed");
	return $seed;
}

# A server with chatroom in database postgres. Options: preload (1), conf (text
# for postgresql.conf), start (1), create (1).
sub chatroom_node
{
	my ($name, %options) = @_;
	my $node    = PostgreSQL::Test::Cluster->new($name);
	my $preload = $options{preload} // 1;

	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf', <<"CONF");
max_prepared_transactions = 10
max_connections = 60
log_statement = none
log_replication_commands = off
restart_after_crash = on
autovacuum_naptime = 1h
CONF
	$node->append_conf('postgresql.conf',
		"shared_preload_libraries = 'chatroom'\n")
	  if $preload;
	$node->append_conf('postgresql.conf', $options{conf})
	  if defined $options{conf};
	return $node unless $options{start} // 1;
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION chatroom')
	  if $options{create} // 1;
	return $node;
}

# A watched table "log" whose rows tell which transaction wrote them and in
# which order: rows of one transaction bear its xid, those of a writer ascend
# in n, and those with a turn were committed in the order of turns.
sub make_log
{
	my ($node, %options) = @_;
	my $db = $options{db} // 'postgres';

	$node->safe_psql($db, <<'SQL');
CREATE TABLE log (
	id bigserial PRIMARY KEY,
	xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
	writer int NOT NULL DEFAULT 0,
	n bigint,
	turn bigint,
	note text);
CREATE TABLE counter (turn bigint NOT NULL);
INSERT INTO counter VALUES (0);
SELECT chatroom.watch('log');
SQL

	# A worker that has just started tells a reset for what was going on then.
	poll_until('the worker has seen this',
		sub { status($node, 'coalesce(lag_bytes, 0)', $db) eq '0' });
	return;
}

# Start pgbench clients that write to the log until they are told to stop or
# the server goes away. Options: clients (8), rate (transactions a second, not
# to take the machine from everybody else), db, scripts (others than these, by
# name). Some transactions take turns, others have several rows, or savepoints,
# or are aborted.
my %scripts = (
	turn => <<'SQL',
BEGIN;
UPDATE counter SET turn = turn + 1 RETURNING turn \gset
INSERT INTO log (writer, turn) VALUES (:client_id, :turn), (:client_id, :turn);
COMMIT;
SQL
	plain => <<'SQL',
INSERT INTO log (writer, note) SELECT :client_id, repeat('x', 200) FROM generate_series(1, 3);
SQL
	nested => <<'SQL',
BEGIN;
INSERT INTO log (writer) VALUES (:client_id);
SAVEPOINT a;
INSERT INTO log (writer, note) VALUES (:client_id, 'rolled back');
ROLLBACK TO a;
SAVEPOINT b;
INSERT INTO log (writer) VALUES (:client_id);
RELEASE b;
INSERT INTO log (writer) VALUES (:client_id);
COMMIT;
SQL
	aborted => <<'SQL',
BEGIN;
INSERT INTO log (writer, note) VALUES (:client_id, 'aborted');
ROLLBACK;
SQL
);

sub writers
{
	my ($node, %options) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my @files;
	my $writers = { out => '', err => '' };
	my $scripts = $options{scripts} // \%scripts;

	foreach my $name (sort keys %$scripts)
	{
		PostgreSQL::Test::Utils::append_to_file("$dir/$name",
			$scripts->{$name});
		push @files, '-f', "$dir/$name";
	}
	$writers->{run} = IPC::Run::start(
		[
			'pgbench', '-n', '-c', $options{clients} // 8, '-j', 2,
			'-T', 600, '--rate', $options{rate} // 2000,
			'-h', $node->host, '-p', $node->port, '-M', 'prepared',
			@files,
			"dbname=" . ($options{db} // 'postgres') . " application_name=writer"
		],
		'<', \undef, '>', \$writers->{out}, '2>', \$writers->{err});
	return bless $writers, 'Chatroom::Test::Writers';
}

sub Chatroom::Test::Writers::stop
{
	my ($self) = @_;

	return unless $self->{run};
	$self->{run}->signal('TERM');
	eval { $self->{run}->finish };
	delete $self->{run};
	return;
}

# Have they ended by themselves, as when the server went away?
sub Chatroom::Test::Writers::gone
{
	my ($self) = @_;

	return 1 unless $self->{run};
	eval { $self->{run}->pump_nb };
	return 0 if $self->{run}->pumpable;
	$self->finish;
	return 1;
}

# Wait until the writers have ended by themselves.
sub Chatroom::Test::Writers::finish
{
	my ($self) = @_;

	eval { $self->{run}->finish } if $self->{run};
	delete $self->{run};
	return;
}

# Wait until CODE is true; fails after the timeout.
sub poll_until
{
	my ($what, $code) = @_;
	my $end = time() + $timeout;

	for (;;)
	{
		my $result = $code->();
		return $result if $result;
		if (time() > $end)
		{
			fail("timed out: $what");
			return;
		}
		usleep(5_000);
	}
}

# Wait until what has committed is published, and return the cursor of then. The
# cursor of a sync() without one may be of before that. What starts the worker
# gets no cursor: it takes another call.
sub published
{
	my ($node, $db) = @_;

	return poll_until(
		'what has committed is published',
		sub {
			my ($ret, $out) =
			  $node->psql($db // 'postgres', 'SELECT chatroom.snapshot_cursor()');
			return $ret == 0 && $out;
		});
}

# kill -9 of a backend, which restarts all of the server's processes, and wait
# until they are back. The server goes on as if nothing had been until it has
# noticed; then the process is gone for good.
sub crash_backend
{
	my ($node, $pid) = @_;

	kill 'KILL', $pid;
	poll_until('the server restarts',
		sub { !kill(0, $pid) && ($node->psql('postgres', 'SELECT 1'))[0] == 0 });
	return;
}

# kill -9 of the postmaster, and wait until all of its processes are gone.
sub crash
{
	my ($node) = @_;

	$node->kill9;
	return;
}

# Start a server that was killed: its processes may take a moment to notice.
sub start_again
{
	my ($node) = @_;

	poll_until('the server starts again',
		sub { $node->start(fail_ok => 1) });
	return;
}

# One column of chatroom.status, of this database.
sub status
{
	my ($node, $column, $db) = @_;

	return $node->safe_psql($db // 'postgres',
		"SELECT $column FROM chatroom.status WHERE database = current_database()"
	);
}

sub tailer_pid
{
	my ($node) = @_;

	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'chatroom tailer'"
	);
}

# Add rows to the log, in one transaction.
sub add_rows
{
	my ($node, $count, $db) = @_;

	$node->safe_psql($db // "postgres",
		"INSERT INTO log SELECT FROM generate_series(1, $count)");
	return;
}

# Wait until the tailer runs; the server may be about to come back, too.
sub wait_running
{
	my ($node) = @_;

	return poll_until(
		'the tailer runs',
		sub {
			my ($ret, $state) = $node->psql('postgres',
				'SELECT state FROM chatroom.status WHERE database = current_database()'
			);
			return $ret == 0 && $state eq 'running';
		});
}

# The rows of the log: their transactions, by id.
sub watched_rows
{
	my ($node, $db) = @_;

	return {
		map { split /\|/ } split /\n/,
		$node->safe_psql($db // 'postgres', 'SELECT id, xid FROM log')
	};
}

1;
