# Rows and a cursor of one snapshot: together with what comes after the cursor
# they are all rows, each once, while clients write.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;
use Time::HiRes qw(time);

my $node = chatroom_node('snapshot', conf => <<'CONF');
chatroom.cache_size = 128MB
max_prepared_transactions = 5
CONF
make_log($node);
Chatroom::Follower->new($node)->follow;

# Take rows and a cursor in one snapshot. Returns a follower from there on, and
# the rows that it must not be told.
my $session = Chatroom::Session->new($node);
my $refused = 0;
my $holes   = 0;

sub join_now
{
	my ($how) = @_;
	my ($cursor, $rows);

	if ($how eq 'one statement')
	{
		my $text = $session->query(
			"SELECT chatroom.snapshot_cursor() || '/' || string_agg(id::text, ' ') FROM log"
		);
		($cursor, $rows) = split m{/}, $text;
	}
	else
	{
		$session->query("BEGIN ISOLATION LEVEL $how");
		$rows = $session->query("SELECT string_agg(id::text, ' ') FROM log");
		$cursor = $session->query('SELECT chatroom.snapshot_cursor()');
		$session->query('COMMIT');
	}
	if (!$cursor)
	{
		$refused++ if $session->error =~ /55000/;
		return;
	}
	my $follower = Chatroom::Follower->new($node);
	$follower->{cursor} = $cursor;
	$holes++ if ($cursor =~ tr/-//) > 5;
	return { follower => $follower, rows => { map { $_ => 1 } split / /, $rows // '' } };
}

# Check them when the writers have ended.
sub faults
{
	my ($joined) = @_;
	my $rows = watched_rows($node);
	my @faults;
	my %told;

	$joined->{follower}->follow;
	push @faults, "$joined->{follower}{resets} resets"
	  if $joined->{follower}{resets};
	$told{ $_->{id} }++ for @{ $joined->{follower}{log} };
	foreach my $id (sort { $a <=> $b } keys %$rows)
	{
		my $times = ($joined->{rows}{$id} ? 1 : 0) + ($told{$id} // 0);
		push @faults, "row $id: $times times" if $times != 1;
	}
	$joined->{follower}{session}->close;
	return @faults;
}

add_rows($node, 1);
foreach my $how ('one statement', 'REPEATABLE READ', 'SERIALIZABLE')
{
	my $writers = writers($node, rate => 600);
	my @joined;
	my $end = time() + 1;

	while (time() < $end)
	{
		push @joined, join_now($how);
	}
	$writers->stop;
	Chatroom::Follower->new($node)->catch_up;

	# each knows its rows and what came after: checking some will do
	my $step = @joined > 12 ? int(@joined / 12) : 1;
	my @checked = grep { defined } map { $joined[ $_ * $step ] } 0 .. 12;
	my @faults = map { faults($_) } @checked;
	is(scalar @faults, 0,
		"$how: rows and events are each row once (" . @checked . ' of '
		  . @joined . ' snapshots checked)')
	  or diag(join "\n", grep { defined } @faults[ 0 .. 9 ]);
}
# Presence and broadcasts are no part of a transaction: many transactions that
# came after the snapshot, with these between them, are no holes.
$node->safe_psql('postgres',
	q{SELECT chatroom.grant_topic('lobby', 'public', '{sync,broadcast}')});
$session->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $count = $session->query('SELECT count(*) FROM log');
my $other = Chatroom::Session->new($node);
foreach my $n (1 .. 100)
{
	$other->query('INSERT INTO log (writer) VALUES (1)');
	$other->query("SELECT chatroom.broadcast('lobby', 'n', '$n')");
}
my $follower = Chatroom::Follower->new($node);
$follower->{cursor} = $session->query('SELECT chatroom.snapshot_cursor()');
is($session->error, '', 'after many transactions and broadcasts there is a cursor');
$session->query('COMMIT');
$follower->follow;
is(scalar @{ $follower->{log} }, 100, 'and all of the transactions come after it');
is($session->query('SELECT count(*) FROM log'), $count + 100, 'which are these');

# On a quiet cluster an old transaction of another database is in nobody's way,
# also after the worker, or the server, began anew; nor is one of this database.
$node->safe_psql('postgres', 'CREATE DATABASE other');
my $keeper = Chatroom::Session->new($node, 'other');
$keeper->query('BEGIN; CREATE TABLE kept (id int)');
$node->safe_psql('other',
	"BEGIN; CREATE TABLE prepared (id int); PREPARE TRANSACTION 'old'");
my $writer = Chatroom::Session->new($node);
$writer->query('BEGIN; INSERT INTO log (writer) VALUES (7)');

# A snapshot's rows and cursor, and that what the writer does comes after it.
sub exact_beside_old
{
	my ($when) = @_;
	my $follower = Chatroom::Follower->new($node);

	$session->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
	my $rows = $session->query('SELECT count(*) FROM log');
	$follower->{cursor} = $session->query('SELECT chatroom.snapshot_cursor()');
	is($session->error, '', "$when: there is a cursor beside old transactions");
	$session->query('COMMIT');
	$writer->query('COMMIT; BEGIN; INSERT INTO log (writer) VALUES (7)');
	$follower->catch_up;
	my $now = $node->safe_psql('postgres', 'SELECT count(*) FROM log');
	is($rows + @{ $follower->{log} }, $now, "$when: rows and events are all rows");
	is($follower->{resets}, 0, "$when: without a reset");
	return;
}

exact_beside_old('before');
my $pid = tailer_pid($node);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
poll_until('another tailer runs', sub { (tailer_pid($node) || $pid) ne $pid });
wait_running($node);
exact_beside_old('after the worker was ended');
$_->close for $writer, $keeper, $session, $other;
$node->restart;
wait_running($node);
$session = Chatroom::Session->new($node);
$writer = Chatroom::Session->new($node);
$writer->query('BEGIN; INSERT INTO log (writer) VALUES (7)');
exact_beside_old('after the server was restarted');
$writer->query('COMMIT');
$node->safe_psql('other', "ROLLBACK PREPARED 'old'");

note("$refused snapshots had no cursor, $holes cursors had holes");
$node->stop;
done_testing();
