# Asynchronous commits: published within milliseconds, as the worker sees to
# their WAL's flush itself, and never before: what a crash loses nobody was told.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;
use Time::HiRes qw(time);

# The server's own WAL writer would let them wait for seconds.
my $node = chatroom_node('async', conf => <<'CONF');
synchronous_commit = off
wal_writer_delay = 10s
wal_writer_flush_after = 1GB
chatroom.cache_size = 64MB
CONF
make_log($node);
my $follower = Chatroom::Follower->new($node);
$follower->follow;
$follower->catch_up;

# ---- how soon

my $writer = Chatroom::Session->new($node);
$writer->query('SELECT 1');
my @times;
for my $n (1 .. 40)
{
	my $start = time();
	my $seen  = @{ $follower->{log} };

	$writer->query("INSERT INTO log (writer) VALUES (0)");
	poll_until('it is told',
		sub { $follower->poll; @{ $follower->{log} } > $seen });
	push @times, (time() - $start) * 1000;
}
@times = sort { $a <=> $b } @times;
note(sprintf 'until told: median %.1f ms, most %.1f ms',
	$times[20], $times[-1]);
cmp_ok($times[20], '<', 1000,
	'asynchronous commits are told long before the WAL writer flushes them');
$follower->is_exact('all of them');

# A session that waits is woken by them.
my $waiter = Chatroom::Session->new($node);
my $start  = time();
$waiter->send(
	"CALL chatroom.wait(ARRAY['public.log'], '$follower->{cursor}', '1min')");
poll_until('it waits',
	sub { $waiter->done; status($node, 'waiting') eq '1' });
$writer->query("INSERT INTO log (writer) VALUES (0)");
like($waiter->answer, qr/"type":"insert"/, 'who waits is told');
cmp_ok(time() - $start, '<', 30, 'before the time is up');

# ---- a crash

# What was told stays told: each row that a follower knows of is there after the
# crash. In every other round the worker is held after the last write, so that
# nobody flushes it.
my $lost = 0;
for my $round (1 .. 6)
{
	my $writers = writers($node, clients => 4, rate => 1500);
	my $end     = time() + 0.3 + $round / 20;

	$follower->poll_while(sub { time() < $end });
	my $tailer = tailer_pid($node);
	if ($round % 2)
	{
		$writers->stop;
		kill 'STOP', $tailer;
		$node->safe_psql('postgres', "INSERT INTO log (writer) VALUES (-1)");
	}
	my $acknowledged =
	  $node->safe_psql('postgres', 'SELECT max(id) FROM log');
	$follower->poll(sub { 0 });
	crash($node);
	kill 'KILL', $tailer;
	$writers->stop;
	start_again($node);
	my $rows = watched_rows($node);
	my @told_lost = grep { !$rows->{ $_->{id} } } @{ $follower->{log} };
	my ($last) = sort { $b <=> $a } keys %$rows;

	$lost += $acknowledged - $last if $acknowledged > $last;
	is(scalar @told_lost, 0, "crash $round: nothing was told that is lost");
	$follower->follow;
	$follower->catch_up;
	$follower->is_exact("crash $round: and nothing is missing that is not");
}
cmp_ok($lost, '>', 0, "rows were lost ($lost)");
$node->stop;
done_testing();
