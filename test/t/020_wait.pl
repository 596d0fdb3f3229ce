# CALL chatroom.wait(): sleeping until something happens.
use strict;
use warnings;
use Chatroom::Test;
use JSON::PP;
use Test::More;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time usleep);

my $node = chatroom_node('wait', conf => <<'CONF');
chatroom.max_wait = 5min
chatroom.cache_size = 64MB
CONF
make_log($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE other (id int PRIMARY KEY);
SELECT chatroom.watch('other');
CREATE ROLE reader LOGIN;
GRANT SELECT ON log TO reader;
SQL

# ---------------------------------------------------------------- what it does

my $waiter = Chatroom::Session->new($node, 'postgres');
my $cursor = now($waiter);

my $start  = time();
my $answer = call($waiter, "CALL chatroom.wait('{public.log}', '$cursor', '300ms')");
ok(time() - $start >= 0.3, 'nothing happens: it takes the whole timeout');
is_deeply([ $answer->{reset}, $answer->{more}, $answer->{events} ],
	[ JSON::PP::false, JSON::PP::false, [] ], 'and the answer is empty');

asleep($waiter, "CALL chatroom.wait('{public.log}', '$cursor', '1min')");
is( $node->safe_psql(
		'postgres', <<'SQL'),
SELECT state, backend_xmin IS NULL, backend_xid IS NULL,
	(SELECT string_agg(locktype, ',') FROM pg_locks l WHERE l.pid = a.pid)
  FROM pg_stat_activity a WHERE query ~ '^CALL chatroom.wait'
SQL
	'active|t|t|virtualxid',
	'asleep it holds no snapshot, and no lock but on its own transaction');
add_rows($node, 2);
$answer = decode_json($waiter->answer);
is(scalar @{ $answer->{events} }, 2, 'a commit ends the wait, all of it');
$cursor = $answer->{cursor};

$start = time();
add_rows($node, 1);
$answer = call($waiter, "CALL chatroom.wait('{public.log}', '$cursor', '1min')");
is(scalar @{ $answer->{events} }, 1, 'what has happened already is answered');
ok(time() - $start < 30, 'at once');
$cursor = $answer->{cursor};

asleep($waiter, "CALL chatroom.wait('{public.other,public.log}', '$cursor', '1min')");
$node->safe_psql('postgres', 'INSERT INTO other VALUES (1)');
$answer = decode_json($waiter->answer);
is($answer->{events}[0]{topics}[0], 'public.other', 'any of several topics ends it');

asleep($waiter, "CALL chatroom.wait('{public.log}', NULL, '1min')");
add_rows($node, 1);
$answer = decode_json($waiter->answer);
is(scalar @{ $answer->{events} }, 1, 'without a cursor it waits from now on');

# a wait answers what is published, of which the second may be none yet
add_rows($node, 5) for 1 .. 2;
published($node);
$answer = call($waiter, "CALL chatroom.wait('{public.log}', '$answer->{cursor}', '1min', 3)");
is_deeply([ scalar @{ $answer->{events} }, $answer->{more} ],
	[ 5, JSON::PP::true ], 'the limit cuts at a transaction\'s end');

# the topic of another row, whose event must not end this wait
$cursor = now($waiter);
asleep($waiter, "CALL chatroom.wait('{public.other:2}', '$cursor', '1min')");
$node->safe_psql('postgres', 'INSERT INTO other VALUES (3)');
$node->safe_psql('postgres', 'INSERT INTO other VALUES (2)');
$answer = decode_json($waiter->answer);
is_deeply([ map { $_->{key}{id} } @{ $answer->{events} } ],
	[2], 'events of other topics do not end it');

# ------------------------------------------------------------ where it may run

$waiter->query("BEGIN; CALL chatroom.wait('{public.log}', NULL, '1s'); ROLLBACK");
like($waiter->error, qr/25001.*HINT/s, 'in a transaction block: 25001, with a hint');
$waiter->query(
	"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS
	 \$\$ DECLARE a json; BEGIN CALL chatroom.wait('{public.log}', NULL, '1s', 1, a); END \$\$");
$waiter->query('SELECT f()');
like($waiter->error, qr/25001/, 'in a function: 25001');
$waiter->query(
	"DO \$\$ DECLARE a json; BEGIN
	 BEGIN CALL chatroom.wait('{public.log}', NULL, '1s', 1, a);
	 EXCEPTION WHEN division_by_zero THEN NULL; END; END \$\$");
like($waiter->error, qr/25001/, 'in a subtransaction: 25001');
is( $waiter->query(<<'SQL'),
CREATE PROCEDURE follow(INOUT n int DEFAULT 0) LANGUAGE plpgsql AS $$
DECLARE
	a json := chatroom.sync('public.other');
BEGIN
	FOR i IN 1 .. 3 LOOP
		INSERT INTO other VALUES (100 + i);
		COMMIT;
		CALL chatroom.wait('{public.other}', a ->> 'cursor', '1min', 10, a);
		n := n + json_array_length(a -> 'events');
	END LOOP;
END $$;
CALL follow();
SQL
	'3', 'in a procedure that may commit it works, again and again');
is($waiter->error, '', 'without an error');

$waiter->query("SET default_transaction_isolation = 'serializable'");
$cursor = now($waiter);
asleep($waiter, "CALL chatroom.wait('{public.log}', '$cursor', '1min')");
add_rows($node, 1);
$answer = decode_json($waiter->answer);
is(scalar @{ $answer->{events} }, 1, 'whatever the default isolation level');
is($waiter->query('SHOW transaction_isolation'),
	'serializable', 'which stays as it is');
$waiter->query('RESET default_transaction_isolation');

# The extended protocol, as drivers use it.
{
	my $file = PostgreSQL::Test::Utils::tempdir() . '/wait';
	my ($out, $err) = ('', '');

	PostgreSQL::Test::Utils::append_to_file($file,
		"CALL chatroom.wait('{public.log}', NULL, '1min');\n");
	my $run = IPC::Run::start(
		[
			'pgbench', '-n', '-t', 1, '-M', 'extended', '-f', $file,
			'-h', $node->host, '-p', $node->port, 'postgres'
		],
		'<', \undef, '>', \$out, '2>', \$err);
	waiting($node, 1);
	is( $node->safe_psql(
			'postgres', <<'SQL'),
SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE query ~ '^CALL chatroom.wait'
SQL
		't', 'extended protocol: no snapshot while asleep');
	add_rows($node, 1);
	$run->finish;
	like($out, qr/transactions actually processed: 1\/1/, 'and it answers');
}

# Nobody is kept from anything.
asleep($waiter, "CALL chatroom.wait('{public.log}', NULL, '1min')");
$node->safe_psql('postgres', <<'SQL');
SET lock_timeout = '5s';
ALTER TABLE other ADD note text;
BEGIN;
LOCK TABLE log IN ACCESS EXCLUSIVE MODE;
COMMIT;
SQL
pass('tables that are waited for can be altered');
add_rows($node, 1);
$waiter->answer;

# ---------------------------------------------------------------- its end

asleep($waiter, "CALL chatroom.wait('{public.log}', NULL, '1min')");
signal_waiters($node, 'pg_cancel_backend');
$waiter->answer;
like($waiter->error, qr/57014/, 'it can be cancelled');
waiting($node, 0);
is($waiter->query('SELECT 1'), '1', 'and the session goes on');

asleep($waiter, "CALL chatroom.wait('{public.log}', NULL, '1min')");
signal_waiters($node, 'pg_terminate_backend');
eval { $waiter->answer };
waiting($node, 0);
pass('terminated, it leaves no slot behind');

asleep($waiter, "CALL chatroom.wait('{public.log}', NULL, '1min')");
$waiter->{run}->kill_kill(grace => 0);
delete $waiter->{run};
poll_until('the backend of a dead client ends',
	sub { $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE query ~ '^CALL chatroom.wait'") eq '0' });
waiting($node, 0);
pass('a client that dies is noticed while its wait sleeps');

$start  = time();
$answer = call($waiter,
	"SET statement_timeout = '10s';\nCALL chatroom.wait('{public.log}', NULL, '1min')");
is($waiter->error, '', 'under a statement_timeout there is an answer, no error');
ok(time() - $start < 30, 'before it strikes');
$waiter->query('RESET statement_timeout');

$start = time();
$waiter->query("SET chatroom.max_wait = '100ms'");
call($waiter, "CALL chatroom.wait('{public.log}', NULL, '1min')");
ok(time() - $start < 30, 'chatroom.max_wait bounds the timeout');
$waiter->query('RESET chatroom.max_wait');

# ------------------------------------------------------------------- limits

$node->safe_psql('postgres', 'ALTER SYSTEM SET chatroom.max_waiters = 1');
$node->reload;
poll_until('the setting is there',
	sub { $waiter->query('SHOW chatroom.max_waiters') eq '1' });
asleep($waiter, "CALL chatroom.wait('{public.log}', NULL, '1min')");
my $second = Chatroom::Session->new($node, 'postgres');
$second->query("CALL chatroom.wait('{public.log}', NULL, '1s')");
like($second->error, qr/53300.*HINT/s, 'chatroom.max_waiters: 53300 beyond');
like($second->query("CALL chatroom.wait('{public.log}', NULL, '0')"),
	qr/"events":\[\]/, 'but who does not wait is answered');
add_rows($node, 1);
$waiter->answer;
$node->safe_psql('postgres', 'ALTER SYSTEM RESET chatroom.max_waiters');
$node->reload;
poll_until('the setting is gone',
	sub { $waiter->query('SHOW chatroom.max_waiters') eq '-1' });

# ------------------------------------------------------------------- rights

my $reader = Chatroom::Session->new($node, 'postgres', user => 'reader');
$reader->query("CALL chatroom.wait('{public.other}', NULL, '1s')");
like($reader->error, qr/42501/, 'without a right to the table: 42501');
asleep($reader, "CALL chatroom.wait('{public.log}', NULL, '1min')");
$node->safe_psql('postgres', 'REVOKE SELECT ON log FROM reader');
add_rows($node, 1);
is($reader->answer, '', 'a right revoked while asleep: nothing is told');
like($reader->error, qr/42501/, 'but an error');
$reader->query("CALL chatroom.wait('{public.log}', NULL, '1s', acting_for => 'alice')");
like($reader->error, qr/42501/, 'acting_for needs a right');

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE secret (id int PRIMARY KEY, owner text);
SELECT chatroom.watch('secret');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secret FOR SELECT USING (owner = current_user);
GRANT SELECT ON secret TO reader;
SQL
asleep($reader, "CALL chatroom.wait('{public.secret}', NULL, '1min')");
my $before = status($node, 'syncs');
$node->safe_psql('postgres', "INSERT INTO secret VALUES (1, 'postgres')");
poll_until('the waiter has looked at what it may not see',
	sub { status($node, 'syncs') > $before });
$node->safe_psql('postgres', "INSERT INTO secret VALUES (2, 'reader')");
$answer = decode_json($reader->answer);
is_deeply([ map { $_->{key}{id} } @{ $answer->{events} } ],
	[2], 'an event that is withheld does not end the wait');

# ------------------------------------------------------------- the tailer ends

$cursor = now($waiter);
my $pid = tailer_pid($node);
asleep($waiter, "CALL chatroom.wait('{public.log}', '$cursor', '1min')");
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
poll_until('another tailer runs', sub { (tailer_pid($node) || $pid) ne $pid });
add_rows($node, 1);
$answer = decode_json($waiter->answer);
is_deeply([ $answer->{reset}, scalar @{ $answer->{events} } ],
	[ JSON::PP::false, 1 ], 'it waits on when the tailer is started again');

asleep($waiter, "CALL chatroom.wait('{public.log}', '$answer->{cursor}', '1min')");
$node->safe_psql('postgres', 'SELECT chatroom.stop()');
$answer = decode_json($waiter->answer);
is($answer->{reset}, JSON::PP::true, 'chatroom.stop() ends it with a reset');
$node->safe_psql('postgres', 'SELECT chatroom.start()');
wait_running($node);

# ------------------------------------------------------------- nothing is lost

$node->safe_psql('postgres', 'TRUNCATE log');
poll_until('that is told', sub { status($node, 'lag_bytes') eq '0' });
my $follower = Chatroom::Follower->new($node, wait => '2s');
$follower->{cursor} = now($waiter);
my $writers = writers($node);
my $told = 0;
poll_until('it is told a lot', sub { ($told += $follower->poll(sub { 0 })) > 1000 });
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . tailer_pid($node) . ')');
poll_until('and when the tailer is back',
	sub { ($told += $follower->poll(sub { 0 }) // 0) > 3000 });
$writers->stop;
$follower->catch_up;
$follower->is_exact('a client that does nothing but wait, under 8 writers');
$follower->{session}->close;

# ------------------------------------------------ while others come and go

# Twenty sessions take waiters' slots and give them back all the time. One that
# sleeps is woken by each commit; passed over, it would sleep on to its timeout.
my $script = PostgreSQL::Test::Utils::tempdir();
append_to_file("$script/others", "CALL chatroom.wait('{public.other:0}', NULL, '1ms');\n");
my $others = IPC::Run::start(
	[
		'pgbench', '-n', '-c', 20, '-T', 600, '-f', "$script/others",
		$node->connstr('postgres')
	],
	'<', \undef, '>', \my $others_out, '2>', \my $others_err);
poll_until('others come and go', sub { status($node, 'waiting') > 0 });
$cursor = now($waiter);
my ($woken, $overslept, $end) = (0, 0, time() + 8);
while ($woken < 400 && time() < $end)
{
	$start = time();
	$waiter->send("CALL chatroom.wait('{public.other:5}', '$cursor', '20s')");
	usleep(2_000);
	$second->query(
		$woken % 2 ? 'DELETE FROM other WHERE id = 5' : 'INSERT INTO other VALUES (5)');
	$cursor = decode_json($waiter->answer)->{cursor};
	$woken++;
	last if time() - $start > 15 && ++$overslept;
}
$others->signal('TERM');
$others->finish;
note("$woken waits; $others_err");
is($overslept, 0, 'nobody is passed over who sleeps while others come and go');
# ------------------------------------------------------------------- standby

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

# it reads from an anchor on, and the primary logs one after a checkpoint
$node->safe_psql('postgres',
	"INSERT INTO log (note) SELECT repeat('x', 1000) FROM generate_series(1, 100)");
$node->safe_psql('postgres', 'CHECKPOINT');
$node->wait_for_catchup($standby);
$standby->safe_psql('postgres', 'CHECKPOINT');
wait_running($standby);
$node->wait_for_catchup($standby);
my $there = Chatroom::Session->new($standby, 'postgres');
asleep($there, "CALL chatroom.wait('{public.log}', NULL, '1min')", $standby);
is( $standby->safe_psql(
		'postgres', <<'SQL'),
SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE query ~ '^CALL chatroom.wait'
SQL
	't', 'on a standby: no snapshot while asleep');
$node->safe_psql('postgres', 'DELETE FROM other; VACUUM other; DROP TABLE other');
add_rows($node, 1);
$answer = decode_json($there->answer);
is($there->error, '', 'on a standby: not cancelled by replay');
is(scalar @{ $answer->{events} }, 1, 'on a standby: a commit of the primary ends it');
$_->close for $waiter, $second, $reader, $there;
$standby->stop;
$node->stop;

# ------------------------------------------------------------------ helpers

# The cursor of now, when all that has committed is published.
sub now
{
	my ($session) = @_;

	return $session->query('SELECT chatroom.snapshot_cursor()');
}

sub call
{
	my ($session, $sql) = @_;

	return decode_json($session->query($sql));
}

# Send a call, and return when it sleeps: nothing of before is left to wake it.
sub asleep
{
	my ($session, $sql, $where) = @_;

	published($where // $node);
	$session->send($sql);
	waiting($where // $node, 1);
	poll_until('it sleeps', sub {
		$session->done;
		($where // $node)->safe_psql('postgres',
			"SELECT count(*) FROM pg_stat_activity WHERE query ~ '^CALL chatroom.wait' AND wait_event_type = 'Extension'"
		) eq '1';
	});
	return;
}

# Wait until so many are registered.
sub waiting
{
	my ($where, $count) = @_;

	return poll_until("$count wait",
		sub { status($where, 'waiting') eq $count });
}

sub signal_waiters
{
	my ($where, $function) = @_;

	$where->safe_psql('postgres',
		"SELECT $function(pid) FROM pg_stat_activity WHERE query ~ '^CALL chatroom.wait'");
	return;
}

done_testing();
