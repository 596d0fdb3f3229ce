# Transaction ids past 2^31 and over the wraparound at 2^32: the order of events
# and who sees what does not depend on them.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('xids', conf => <<'CONF');
autovacuum = off
chatroom.cache_size = 64MB
CONF
make_log($node);
$node->safe_psql('postgres', 'ALTER DATABASE template0 ALLOW_CONNECTIONS true');

# Have the next transaction id be this one. What is older than 2^31 has to be
# frozen before, so go there in steps.
sub next_xid
{
	my ($xid) = @_;
	my $segment = $node->data_dir . sprintf '/pg_xact/%04X', $xid >> 20;

	$node->command_ok([ 'vacuumdb', '-q', '--all', '--freeze' ],
		"all is frozen before $xid");
	$node->stop;
	if (!-e $segment)
	{
		open my $fh, '>', $segment or die "$segment: $!";
		binmode $fh;
		print $fh "\0" x (256 * 1024);
		close $fh;
	}
	command_ok([ 'pg_resetwal', '-x', $xid, $node->data_dir ],
		"the next transaction is $xid");
	$node->start;
	return;
}

sub now
{
	return $node->safe_psql('postgres',
		'SELECT pg_current_xact_id()::text::numeric');
}

# Transactions of all kinds, and followers that know all of them.
sub follow_all
{
	my ($what) = @_;

	$node->safe_psql('postgres', 'TRUNCATE log');
	wait_running($node);
	my $follower = Chatroom::Follower->new($node);
	$follower->follow;
	my $writers = writers($node, clients => 3, rate => 300);
	poll_until("$what: much is told",
		sub { $follower->poll(sub { 0 }); @{ $follower->{log} } > 100 });
	$writers->stop;
	$follower->catch_up;
	$follower->is_exact("$what: all is told, once, in order");
	return $follower;
}

# Two sessions whose transactions are open: the older one must not hold the
# younger one's events, nor be forgotten.
sub open_transactions
{
	my ($what, $burn) = @_;
	my $follower = Chatroom::Follower->new($node);
	my ($old, $young, $reader) =
	  map { Chatroom::Session->new($node) } 1 .. 3;

	$follower->follow;
	$old->query("BEGIN; INSERT INTO log (writer, note) VALUES (-1, 'old')");
	$node->safe_psql('postgres',
		"BEGIN; INSERT INTO log (writer, note) VALUES (-1, 'prepared'); PREPARE TRANSACTION 'p'"
	);
	$reader->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
	my $cursor = $reader->query('SELECT chatroom.snapshot_cursor()');
	$burn->() if $burn;
	$young->query("BEGIN; INSERT INTO log (writer, note) VALUES (-1, 'young')");
	$node->safe_psql('postgres', 'CHECKPOINT');
	$young->query('COMMIT');
	poll_until(
		'the younger one is told',
		sub { $follower->follow; @{ $follower->{log} } });
	is(join(' ', map { $_->{note} } @{ $follower->{log} }),
		'young', "$what: a younger transaction does not wait for an older one");
	like(
		$reader->query("SELECT chatroom.sync('public.log', '$cursor')"),
		qr/"events":\[\]/,
		"$what: a snapshot from before is told nothing");
	$old->query('COMMIT');
	$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
	poll_until('the older ones are told',
		sub { $follower->follow; @{ $follower->{log} } >= 3 });
	is(join(' ', map { $_->{note} } @{ $follower->{log} }),
		'young old prepared', "$what: the older ones are told when they commit");
	like(
		$reader->query("SELECT chatroom.sync('public.log', '$cursor')"),
		qr/"events":\[\]/,
		"$what: a snapshot from before is told nothing still");
	$reader->query('COMMIT');
	my @told = $reader->query("SELECT chatroom.sync('public.log', '$cursor')")
	  =~ /"note":"(\w+)"/g;
	is("@told", 'young old prepared',
		"$what: its cursor goes on with all of them");
	$_->close for $old, $young, $reader;
	return;
}

# Use transaction ids up.
sub burn
{
	my ($count) = @_;

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE IF NOT EXISTS burnt (x int);
DO \$\$
BEGIN
	FOR i IN 1 .. $count LOOP
		BEGIN
			INSERT INTO burnt VALUES (i);
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN
		END;
	END LOOP;
END \$\$
SQL
	return;
}

follow_all('small ids');
open_transactions('small ids');

# A cursor from before goes on, as far as WAL does: pg_resetwal cuts it.
my $old = Chatroom::Follower->new($node);
$old->follow;
$old->catch_up;
next_xid(1_500_000_256);
wait_running($node);
$old->{resets} = 0;
$old->follow;
is($old->{resets}, 1, 'a cursor from before pg_resetwal is reset');
$old->catch_up;
$old->is_complete('and nothing is missing');
follow_all('middling ids');

# Past 2^31, where ids compare as smaller than those at the start.
next_xid(2_999_975_936);
follow_all('ids past 2^31');
open_transactions('ids past 2^31');
cmp_ok(now(), '>', 2**31, 'they were past 2^31');

# Over 2^32, to the next epoch.
next_xid(2**32 - 20_000);
follow_all('ids short of 2^32');
cmp_ok(now(), '<', 2**32, 'they were short of 2^32');
open_transactions(
	'over 2^32',
	sub {
		burn(2**32 - now() + 100);
	});
cmp_ok(now(), '>', 2**32, 'the next epoch has begun');
follow_all('ids past 2^32');
open_transactions('ids past 2^32');

# Events from before and after are rebuilt from WAL.
my $follower = Chatroom::Follower->new($node);
$node->safe_psql('postgres', 'TRUNCATE log');
$follower->follow;
add_rows($node, 5);
$node->safe_psql('postgres',
	"BEGIN; INSERT INTO log (writer) VALUES (-1); PREPARE TRANSACTION 'p'");
$node->restart;
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
$follower->follow;
$follower->catch_up;
$follower->is_exact('a restart of the server does not change that');
crash($node);
start_again($node);
$follower->catch_up;
$follower->is_exact('nor does a crash');
$node->stop;
done_testing();
