# Changes while chatroom.emit is off have no events, and readers are told.
use strict;
use warnings;
use Chatroom::Test;
use JSON::PP;
use Test::More;

my $node = chatroom_node('emit');
make_log($node);

sub emit
{
	my ($value) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET chatroom.emit = $value");
	$node->reload;
	return poll_until("chatroom.emit is $value",
		sub { $node->safe_psql('postgres', 'SHOW chatroom.emit') eq $value });
}

sub cursor
{
	return $node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()');
}

# The answer from a cursor, when all that was committed is published.
sub answer
{
	my ($cursor) = @_;

	cursor();
	return decode_json($node->safe_psql('postgres',
			"SELECT chatroom.sync('public.log', '$cursor')"));
}

sub cached
{
	cursor();
	return $node->safe_psql('postgres', "SELECT chatroom.cached('log', '1')");
}

my $cursor = cursor();
add_rows($node, 1);
isnt(cached(), '', 'a row is cached');
emit('off');
add_rows($node, 1);
ok(answer($cursor)->{reset}, 'a change without an event resets');
is(cached(), '', 'and what was cached may be old');

# Nobody reads WAL at that moment.
wait_running($node);
$cursor = cursor();
my $ended = '';
poll_until(
	'the tailer is gone',
	sub {
		my $pid = tailer_pid($node);

		# it is started again after a second, which one may have missed
		$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)")
		  if $pid ne '' && $pid ne $ended;
		$ended = $pid;
		return $pid eq '';
	});
add_rows($node, 1);
wait_running($node);
ok(answer($cursor)->{reset}, 'also when the worker was not there');

# And a moment later neither is the server.
$cursor = cursor();
add_rows($node, 1);
crash($node);
start_again($node);
wait_running($node);
ok(answer($cursor)->{reset}, 'also when the server crashed just then');

# Two phases: the change is there with the second.
$node->safe_psql('postgres',
	"BEGIN; INSERT INTO log DEFAULT VALUES; PREPARE TRANSACTION 'p'");
$cursor = cursor();
emit('on');
ok(!answer($cursor)->{reset}, 'a prepared transaction has changed nothing yet');
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
ok(answer($cursor)->{reset}, 'committed, it resets');

# On again; what rolls back, and what nobody watches, is nothing.
$cursor = cursor();
emit('off');
$node->safe_psql('postgres', 'BEGIN; INSERT INTO log DEFAULT VALUES; ROLLBACK');
$node->safe_psql('postgres', 'UPDATE counter SET turn = turn');
ok(!answer($cursor)->{reset}, 'what rolls back, or is not watched, does not');
emit('on');
add_rows($node, 2);
my $answer = answer($cursor);
ok(!$answer->{reset} && @{ $answer->{events} } == 2, 'on again: events come');

done_testing();
