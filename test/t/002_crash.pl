# Cursors over crashes, while clients write.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;
use Time::HiRes qw(time);

my $node = chatroom_node('crash', conf => "chatroom.cache_size = 64MB\n");
make_log($node);

my $follower = Chatroom::Follower->new($node);
my $slow     = Chatroom::Follower->new($node, limit => 7);
$_->follow for $follower, $slow;

# Follow for some seconds while clients write.
sub follow_for
{
	my ($seconds) = @_;
	my $end = time() + $seconds;

	$follower->poll_while(sub { time() < $end });
	return;
}

# Write, do something to the server, and write on after it came back.
sub write_through
{
	my ($what, $code) = @_;
	my $writers = writers($node);

	follow_for(1);
	$code->();
	$writers->stop;
	$writers = writers($node);
	follow_for(1);
	$writers->stop;
	$_->catch_up for $follower, $slow;
	$follower->follow;
	$follower->is_exact("$what: a follower was told all, in order, once");
	$slow->is_exact("$what: so was one that was away meanwhile");
	return;
}

write_through(
	'kill -9 of the postmaster',
	sub {
		crash($node);
		start_again($node);
	});

# Kills of other processes restart all of them, or just the tailer.
sub kill_and_wait
{
	my ($signal, $pid) = @_;
	my $tailer = tailer_pid($node);

	$pid //= $tailer;
	kill $signal, $pid;
	poll_until(
		'a new tailer runs',
		sub {
			my ($ret, $out) = $node->psql('postgres',
				"SELECT tailer_pid FROM chatroom.status WHERE state = 'running'");
			return $ret == 0 && $out =~ /^\d+$/m && $out != $tailer;
		});
	return;
}

write_through('kill -9 of the tailer', sub { kill_and_wait('KILL') });
write_through('SIGTERM of the tailer', sub { kill_and_wait('TERM') });
write_through(
	'kill -9 of a writer',
	sub {
		kill_and_wait(
			'KILL',
			poll_until(
				'there is a writer',
				sub {
					$node->safe_psql('postgres',
						"SELECT pid FROM pg_stat_activity WHERE application_name = 'writer' LIMIT 1"
					);
				}));
	});

# Over and over, without a pause for the new tailer.
write_through(
	'kill -9 of the postmaster, three times in a row',
	sub {
		for (1 .. 3)
		{
			crash($node);
			start_again($node);
		}
	});

$node->stop;
done_testing();
