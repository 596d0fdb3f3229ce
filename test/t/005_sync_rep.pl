# Commits that wait for a synchronous standby: they are in WAL, and flushed,
# but nobody can see them yet.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;

my $node = chatroom_node('primary', conf => "chatroom.cache_size = 1MB\n");
make_log($node);
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other',    'CREATE EXTENSION chatroom');
make_log($node, db => 'other');

my $follower = Chatroom::Follower->new($node);
my $other    = Chatroom::Follower->new($node, db => 'other');
$_->follow for $follower, $other;

# Make a commit that hangs; returns its session.
sub hang
{
	$node->safe_psql('postgres',
		"ALTER SYSTEM SET synchronous_standby_names = 'absent'");
	$node->reload;
	poll_until('the setting is taken over',
		sub { $node->safe_psql('postgres', 'SHOW synchronous_standby_names') eq 'absent' });
	# it counts from when the checkpointer knows it, which looks before it works
	$node->safe_psql('postgres', 'CHECKPOINT');
	my $session = Chatroom::Session->new($node);
	$session->send("INSERT INTO log (writer, note) VALUES (1, 'hangs')");
	poll_until(
		'a commit hangs',
		sub {
			$session->done;
			return $node->safe_psql('postgres',
				"SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
			);
		});
	return $session;
}

# Let it go.
sub release
{
	my ($session) = @_;

	$node->safe_psql('postgres', 'ALTER SYSTEM RESET synchronous_standby_names');
	$node->reload;
	$session->answer;
	return;
}

# Rows whose commit waits for nobody.
sub add_local
{
	my ($db, $count, $note) = @_;

	$node->safe_psql($db,
		"SET synchronous_commit = local; INSERT INTO log (writer, note) SELECT 2, '$note' FROM generate_series(1, $count)"
	);
	return;
}

# The kill switch of events: changes made with it reset the database's topics.
sub set_emit
{
	my ($value) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET chatroom.emit = $value");
	$node->reload;
	poll_until('the setting is taken over',
		sub { $node->safe_psql('postgres', 'SHOW chatroom.emit') eq $value });
	return;
}

sub notes
{
	return join ' ', map { $_->{note} } @{ $_[0]{log} };
}

my $hanging = hang();
add_local('postgres', 1, 'behind');
add_local('other',    1, 'elsewhere');
poll_until('the other database is told',
	sub { $other->follow; notes($other) =~ /elsewhere/ });
is(notes($other), 'elsewhere', 'other databases are not held');
poll_until('the held transaction is noticed',
	sub { status($node, 'held') eq 't' });
$follower->follow;
is(notes($follower), '', 'a commit that nobody can see yet is not told');
is($node->safe_psql('postgres', "SELECT string_agg(note, ' ') FROM log"),
	'behind', 'and writers go on');
release($hanging);
poll_until('the commit is told',
	sub { $follower->follow; notes($follower) =~ /behind/ });
is(notes($follower), 'hangs behind', 'then it is told, in its place');

# A reset that takes place behind it is told in its place, too.
$hanging = hang();
set_emit('off');
add_local('postgres', 1, 'not emitted');
set_emit('on');
add_local('postgres', 1, 'after the reset');
poll_until('the held transaction is noticed',
	sub { status($node, 'held') eq 't' });
$follower->follow for 1 .. 3;
is($follower->{resets}, 0, 'a reset behind it is not told before its time');
release($hanging);
$follower->catch_up;
$follower->follow;
is($follower->{resets}, 1, 'and once');
$follower->catch_up;
$follower->is_complete('after which nothing is missing');

# So much piles up behind it that the ring would not hold it.
$follower->{resets} = 0;
$hanging = hang();
add_local('postgres', 100, 'x' x 1000) for 1 .. 20;
my $joined  = Chatroom::Follower->new($node);
my $session = Chatroom::Session->new($node);
$joined->{rows} = {
	map { split /\|/ } split /\n/,
	$session->query(
		'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT id, xid FROM log')
};
add_local('postgres', 100, 'x' x 1000) for 1 .. 20;
add_local('other', 1, 'still there');
poll_until('the other database is told',
	sub { $other->follow; notes($other) =~ /still there/ });
is($other->{resets}, 0, 'more behind it than the ring holds stops nobody else');
release($hanging);
poll_until('the reset is told',
	sub { $follower->follow; $follower->{resets} });
$follower->catch_up;
$follower->follow;
$follower->is_complete('and is told as a reset when it goes');
$joined->{cursor} = $session->query('SELECT chatroom.snapshot_cursor()');
$session->query('COMMIT');
$joined->is_complete('also to who has the cursor of a snapshot of meanwhile');

# The same with one behind it that hangs longer than the first.
$follower->{resets} = 0;
$hanging = hang();
my $longer = Chatroom::Session->new($node);
$longer->send("INSERT INTO log (writer, note) VALUES (1, 'hangs longer')");
poll_until(
	'two commits hang',
	sub {
		$longer->done;
		return $node->safe_psql('postgres',
			"SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
		) eq 't';
	});
add_local('postgres', 100, 'x' x 1000) for 1 .. 40;
poll_until('the held transaction is noticed',
	sub { status($node, 'held') eq 't' });
$node->safe_psql('postgres',
	"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' ORDER BY backend_start LIMIT 1"
);
$hanging->answer;
$follower->follow;
poll_until('what waited is told, or waits on',
	sub { $follower->follow; $follower->{resets} || status($node, 'held') eq 't' });
$follower->follow for 1 .. 5;
release($longer);
$follower->is_complete('nor does one get lost that hangs behind it');

# The worker is restarted while it hangs: what it wrote must not get lost.
$hanging = hang();
my $tailer = tailer_pid($node);
kill 'TERM', $tailer;
poll_until('a new tailer runs',
	sub { status($node, "state || (tailer_pid <> $tailer)") eq 'runningtrue' });
$follower->follow;
add_local('postgres', 1, 'behind');
$follower->follow;
release($hanging);
$follower->catch_up;
$follower->follow;
$follower->is_complete('nothing is missing after a restart of the worker meanwhile');

# The same where the new worker can't continue from the old one's place.
$node->safe_psql('postgres', 'SELECT chatroom.stop()');
$hanging = hang();
$node->safe_psql('postgres', 'SELECT chatroom.start()');
$follower->follow;
add_local('postgres', 1, 'behind');
$follower->follow;
release($hanging);
$follower->catch_up;
$follower->follow;
$follower->is_complete('nor after a fresh start of it');
$node->stop;
done_testing();
