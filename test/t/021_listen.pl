# Doorbells: listen(), unlisten(), channel(), and the notifier behind them.
use strict;
use warnings;
use Chatroom::Test;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);

my $node = chatroom_node('listen', conf => <<'CONF');
max_worker_processes = 6
max_logical_replication_workers = 0
chatroom.cache_size = 1MB
CONF
make_log($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE item (id int PRIMARY KEY, text text);
SELECT chatroom.watch('item');
CREATE ROLE reader LOGIN;
SQL

my $bell = qr/notification "(chatroom_[0-9a-f]{32})"(?: with payload "([^"]*)")? received/;

# ---------------------------------------------------------------- a doorbell

my $listener = session();
my $cursor   = ask($listener, "SELECT chatroom.listen('public.log')");
like($cursor, qr/^1-[0-9a-f-]+$/, 'listen answers a cursor');
add_rows($node, 3);
my ($rung) = bells($listener, 1);
like($rung->{payload}, qr/^1(-[0-9a-f]+){5}$/,
	'the payload is a cursor and nothing else');
my $answer = changes($listener, 'public.log', $cursor);
is(scalar @{ $answer->{events} }, 3, 'what rang is there to be read');
is($answer->{events}[-1]{cursor}, $rung->{payload}, 'up to the cursor that was rung');

my $channel = ask($listener, "SELECT chatroom.channel('public.log')");
is($channel, $rung->{channel}, 'channel() tells the name that is rung');
is(ask($listener, "SELECT chatroom.channel('public.log', '1 min')"),
	$channel, 'the same for all');
isnt(ask($listener, "SELECT chatroom.channel('public.item', '1 min')"),
	$channel, 'another topic has another');

# Many topics, each with its own bell.
my $many = session();
ask($many, "SELECT count(chatroom.listen('public.item:' || i)) FROM generate_series(1, 100) i");
$node->safe_psql('postgres', "INSERT INTO item SELECT generate_series(1, 100)");
my %channels = map { $_->{channel} => 1 } bells($many, 100);
is(scalar keys %channels, 100, 'a doorbell for each of many topics');
$many->close;

# Many commits, few doorbells, and the last event is rung for. It rings every 5 ms
# at most; how many commits there are meanwhile is the machine's affair.
{
	my $began = time();
	my $sent = status($node, 'notifies');
	my $commits = 500;
	my $seen    = $answer->{cursor};

	$node->safe_psql('postgres', <<"SQL");
SET synchronous_commit = off;
DO \$\$
BEGIN
	FOR i IN 1 .. $commits LOOP
		INSERT INTO log DEFAULT VALUES;
		COMMIT;
	END LOOP;
END \$\$;
SQL
	published($node);
	poll_until(
		'all is rung for',
		sub {
			my ($last) = reverse bells($listener, 0);
			return $last
			  && Chatroom::Follower::lsn($last->{payload}) >=
			  Chatroom::Follower::lsn(
				newest($node, 'public.log'));
		});
	$answer = changes($listener, 'public.log', $seen, 10000);
	is(scalar @{ $answer->{events} }, $commits, 'a burst of commits is read as a whole');
	$sent = status($node, 'notifies') - $sent;
	my $seconds = time() - $began;
	cmp_ok($sent, '<=', $seconds / 0.005 + 1,
		sprintf('and rung for now and then (%d for %d commits in %.2f s)',
			$sent, $commits, $seconds));
}

# ------------------------------------------------------- with the transaction

my $other = session();
ask($other, 'BEGIN');
$cursor = ask($other, "SELECT chatroom.listen('public.item')");
$node->safe_psql('postgres', "INSERT INTO item VALUES (101)");
poll_until('the event is published',
	sub { Chatroom::Follower::lsn(newest($node, 'public.item')) > Chatroom::Follower::lsn($cursor) });
ask($other, 'COMMIT');
bells($other, 1);
is(scalar @{ changes($other, 'public.item', $cursor)->{events} },
	1, 'news between listen() and its commit is rung after it');

ask($other, "BEGIN; SELECT chatroom.unlisten('public.item'); ROLLBACK");
$node->safe_psql('postgres', "INSERT INTO item VALUES (102)");
ok(bells($other, 1), 'an unlisten() that is rolled back is none');

ask($other, <<'SQL');
BEGIN;
SAVEPOINT a;
SELECT chatroom.unlisten('public.item');
ROLLBACK TO a;
COMMIT;
SQL
$node->safe_psql('postgres', "INSERT INTO item VALUES (103)");
ok(bells($other, 1), 'nor one in a subtransaction');
ask($other, "SELECT chatroom.unlisten('public.item')");
is(ask($other, 'SELECT count(*) FROM pg_listening_channels()'),
	0, 'unlisten() ends it');
ask($other, "BEGIN; SELECT chatroom.listen('public.item'); ROLLBACK");
is(ask($other, 'SELECT count(*) FROM pg_listening_channels()'),
	0, 'a listen() that is rolled back is none');
ask($listener, "SELECT chatroom.unlisten('public.log')");

# A session that is ended inside such a transaction.
my $ended = session();
ask($ended, 'BEGIN');
ask($ended, "SELECT chatroom.listen('public.item')");
my $ended_pid = ask($ended, 'SELECT pg_backend_pid()');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($ended_pid, 60000)");
eval { $ended->close };
is(ask($other, 'SELECT 1'), '1',
	'a session ended while it begins to listen harms no other');

# ------------------------------------------------------------- nothing is lost

# Who asks only when rung, from the cursor that listen() answered on, is in the
# end rung for all; whatever was committed while it began to listen.
random_seed();
my $writer = session();
my $missed = 0;
foreach my $round (1 .. 40)
{
	$writer->send(join ";\n", ('INSERT INTO log DEFAULT VALUES') x 20);
	ask($other, 'BEGIN');
	my $at = ask($other, "SELECT chatroom.listen('public.log')");
	ask($other, 'SELECT count(*) FROM generate_series(1, '
		  . int(rand(30000)) . ')');
	ask($other, 'COMMIT');
	$writer->answer;

	my $last = Chatroom::Follower::lsn(newest($node, 'public.log'));
	my $rang = poll_until(
		'it is rung for the last',
		sub {
			$at = changes($other, 'public.log', $at)->{cursor}
			  if bells($other, 0);
			return Chatroom::Follower::lsn($at) >= $last;
		});
	$missed++ unless $rang;
	ask($other, "SELECT chatroom.unlisten('public.log')");
	bells($other, 0);
}
is($missed, 0, 'no doorbell is missed by who begins to listen while others write');
$writer->close;

# ------------------------------------------------------ interest is given back

# only what channel() was asked to keep is left: wait for that in a server
# of our own time
$node->restart;
$_->close for $listener, $other;
my $end = session();
my %ways = (
	'unlisten()'       => "SELECT chatroom.unlisten('public.log')",
	'UNLISTEN channel' =>
	  "SELECT format('UNLISTEN %I', c) FROM pg_listening_channels() c \\gexec",
	'UNLISTEN *'           => 'UNLISTEN *',
	'DISCARD ALL'          => 'DISCARD ALL',
	'the session\'s end'   => undef);
foreach my $way (sort keys %ways)
{
	ask($end, "SELECT chatroom.listen('public.log')");
	is(status($node, 'interested'), 1, "$way: there is interest");
	if ($ways{$way})
	{
		ask($end, $ways{$way});
	}
	else
	{
		$end->close;
		$end = session();
	}
	poll_until("$way gives interest back",
		sub { status($node, 'interested') eq '0' });
	is($end->error, '', "$way gives interest back");
}
ask($end, "SELECT chatroom.channel('public.log')");
ask($end, 'UNLISTEN *');
poll_until('interest of channel() goes with UNLISTEN, too',
	sub { status($node, 'interested') eq '0' });
poll_until('the notifier leaves', sub { notifier_pid($node) eq '' });
pass('nobody is interested: the notifier leaves');
is(status($node, 'notifier_pid'), '', 'and is forgotten');

# --------------------------------------------------------- the notifier ends

ask($end, "SELECT chatroom.listen('public.log')");
my $pid = poll_until('a notifier comes', sub { notifier_pid($node) });
ok($pid, 'interest brings it back');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
add_rows($node, 1);
bells($end, 1);
isnt(notifier_pid($node), $pid, 'ended against its will, it is started again');

my $tailer = tailer_pid($node);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($tailer)");
poll_until('another tailer runs',
	sub { (tailer_pid($node) || $tailer) ne $tailer });
wait_running($node);
ask($end, 'SELECT 1');
bells($end, 0);
add_rows($node, 1);
ok(bells($end, 1), 'doorbells ring when the tailer was started again');

$node->safe_psql('postgres', 'SELECT chatroom.stop()');
$rung = farewell($end);
ok($rung, 'chatroom.stop(): an empty payload tells to listen again');
ask($end, "SELECT chatroom.listen('public.log')");
like($end->error, qr/55000/, 'which answers 55000 until it is started');
poll_until('the notifier leaves', sub { notifier_pid($node) eq '' });
$node->safe_psql('postgres', 'SELECT chatroom.start()');
wait_running($node);
ask($end, "SELECT chatroom.listen('public.log')");
is($end->error, '', 'then one can listen');
is(ask($end, 'SELECT count(*) FROM pg_listening_channels()'),
	1, 'and no longer does to the channel of before');
add_rows($node, 1);
ok(bells($end, 1), 'and is rung');

# ------------------------------------------------------- a channel's new name

$node->safe_psql('postgres',
	"SELECT chatroom.grant_topic('news', 'reader', '{sync}')");
my $reader = session('postgres', user => 'reader');
ask($reader, "SELECT chatroom.listen('news')");
my $told = session();
ask($told, "SELECT chatroom.listen('news')");
$node->safe_psql('postgres', "SELECT chatroom.broadcast('news', 'x', '{}')");
my ($heard) = bells($reader, 1);
is((bells($told, 1))[0]->{channel}, $heard->{channel}, 'all hear the same');
$node->safe_psql('postgres',
	"SELECT chatroom.revoke_topic('news', 'reader', '{sync}')");
$rung = farewell($told);
ok($rung, 'a right is revoked: who listens is told to listen again');
ask($told, "SELECT chatroom.listen('news')");
ask($reader, "SELECT chatroom.listen('news')");
like($reader->error, qr/42501/, 'whoever may');
farewell($reader);
poll_until('the channel has its new name', sub {
	$node->safe_psql('postgres', "SELECT chatroom.broadcast('news', 'x', '{}')");
	ask($told, 'SELECT 1');
	return grep { defined $_->{payload} } @{ $told->{bells} };
});
($rung) = grep { defined $_->{payload} } bells($told, 1);
isnt($rung->{channel}, $heard->{channel}, 'the channel has another name');
is(scalar(grep { defined $_->{payload} } bells($reader, 0)),
	0, 'that who lost the right does not hear');
$_->close for $reader, $told;

# -------------------------------------------------- kept for another session

my $keeper = session();
my $name   = ask($keeper, "SELECT chatroom.channel('public.item', '1 h')");
$keeper->close;
my $driver = session();
ask($driver, "LISTEN \"$name\"");
$node->safe_psql('postgres', "INSERT INTO item VALUES (201)");
($rung) = bells($driver, 1);
is($rung->{channel}, $name, 'interest kept by one session rings in another');

# --------------------------------------------------------------- DROP DATABASE

foreach my $db ('quit', 'forced', 'kept')
{
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, 'CREATE EXTENSION chatroom');
	make_log($node, db => $db);
}
my $there = session('quit');
ask($there, "SELECT chatroom.listen('public.log')");
isnt(ask($there, "SELECT chatroom.channel('public.log')"),
	ask($end, "SELECT chatroom.channel('public.log')"),
	'the same topic of another database has another channel');
add_rows($node, 1, 'quit');
ok(bells($there, 1), 'two databases are rung independently');
$there->close;
$node->safe_psql('postgres', 'DROP DATABASE quit');
pass('DROP DATABASE: not hindered once the listeners are gone');

$there = session('forced');
ask($there, "SELECT chatroom.listen('public.log')");
add_rows($node, 1, 'forced');
bells($there, 1);
my ($code, $out, $err) = $node->psql('postgres', 'DROP DATABASE forced');
like($err, qr/is being accessed/, 'DROP DATABASE: refused while one listens');
$node->safe_psql('postgres', 'DROP DATABASE forced WITH (FORCE)');
pass('DROP DATABASE WITH (FORCE) ends listener and notifier');
eval { ask($there, 'SELECT 1') };

$there = session('kept');
ask($there, "SELECT chatroom.channel('public.log', '1 day')");
poll_until('a notifier is there', sub { notifier_pid($node, 'kept') });
$there->close;
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE kept');
$node->safe_psql('postgres', 'DROP DATABASE kept');
pass('DROP DATABASE, template copy: not hindered by interest that is kept');
is(notifier_pid($node, 'quit') . notifier_pid($node, 'forced') . notifier_pid($node, 'kept'),
	'', 'no notifier is left behind');

# ------------------------------------------------------------------ refusals

$reader = session('postgres', user => 'reader');
ask($reader, "SELECT chatroom.listen('public.log')");
like($reader->error, qr/42501/, 'no right to the table: 42501');
ask($reader, "SELECT chatroom.channel('public.log', '1 h')");
like($reader->error, qr/42501/, 'nor its channel');

ask($driver, "SELECT count(chatroom.listen('public.item:' || i)) FROM generate_series(1, 300) i");
like($driver->error, qr/53400.*HINT/s, 'a full table of interests: 53400, with a hint');
is(status($node, 'interested') < 300, 1, 'which are given back');
ask($driver, "SELECT chatroom.listen('public.item:1')");
is($driver->error, '', 'then there is room again');

$node->stop;
$node->append_conf('postgresql.conf', 'max_worker_processes = 1');
$node->start;
wait_running($node);
$driver = session();
ask($driver, "SELECT chatroom.listen('public.log')");
like($driver->error, qr/53000.*HINT/s, 'no worker slot is free: 53000, with a hint');
is(ask($driver, 'SELECT count(*) FROM pg_listening_channels()'),
	0, 'and no LISTEN that nobody rings');
$driver->close;
$node->append_conf('postgresql.conf', 'max_worker_processes = 6');
$node->restart;

# ------------------------------------------------------------------- standby

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
foreach my $call ("listen('public.log')", "channel('public.log', '1 h')")
{
	my ($code, $out, $err) = $standby->psql('postgres',
		"\\set VERBOSITY verbose\nSELECT chatroom.$call");
	like($err, qr/25006.*HINT/s, "on a standby: $call is 25006, with a hint");
}
is($standby->safe_psql('postgres', "SELECT chatroom.unlisten('public.log')"),
	'', 'on a standby: unlisten() does nothing');
$standby->promote;
wait_running($standby);
my $promoted = session('postgres', node => $standby);
ask($promoted, "SELECT chatroom.listen('public.log')");
is($promoted->error, '', 'promoted: one can listen');
add_rows($standby, 1);
ok(bells($promoted, 1), 'promoted: and is rung');

$_->close for $promoted, $end, $driver;
$standby->stop;
$node->stop;

# ------------------------------------------------------------------ helpers

sub session
{
	my ($db, %options) = @_;

	return Chatroom::Session->new($options{node} // $node, $db // 'postgres',
		user => $options{user});
}

# The answer to a query; doorbells that ring meanwhile are kept for bells().
sub ask
{
	my ($session, $sql) = @_;
	my $out = $session->query($sql);

	while ($out =~ /$bell/g)
	{
		push @{ $session->{bells} }, { channel => $1, payload => $2 };
	}
	$out =~ s/^Asynchronous.*$//mg;
	$out =~ s/^\n+|\n+$//g;
	return $out;
}

# What has rung in a session and wasn't asked for before; waits for at least
# so many.
sub bells
{
	my ($session, $count) = @_;

	$session->{bells} //= [];
	poll_until(
		"$count doorbells ring",
		sub {
			ask($session, 'SELECT 1');
			return @{ $session->{bells} } >= $count;
		});
	return splice @{ $session->{bells} };
}

# The doorbell without a payload, which tells to listen again; a last one with
# news may ring before it.
sub farewell
{
	my ($session) = @_;
	my $rung;

	poll_until('a last doorbell rings',
		sub { ($rung) = grep { !defined $_->{payload} } bells($session, 0) });
	return $rung;
}

sub changes
{
	my ($session, $topic, $since, $limit) = @_;

	$limit //= 1000;
	return decode_json(
		ask($session, "SELECT chatroom.sync('$topic', '$since', $limit)"));
}

# The cursor of a topic's newest event.
sub newest
{
	my ($where, $topic) = @_;

	return $where->safe_psql('postgres',
		"SELECT cursor FROM chatroom.events('$topic', NULL, 1)");
}

sub notifier_pid
{
	my ($where, $db) = @_;

	$db //= 'postgres';
	return $where->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'chatroom notifier' AND datname = '$db'"
	);
}

done_testing();
