# shout() returns before the disk, and never shows what is not saved: what a
# crash undid nobody was told.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;

# The server's own WAL writer would take its time.
my $node = chatroom_node('shout', conf => <<'CONF');
wal_writer_delay = 10s
wal_writer_flush_after = 1GB
chatroom.cache_size = 64MB
CONF
$node->safe_psql('postgres', <<'SQL');
SELECT chatroom.migrate();
SELECT chatroom.create_room('lobby');
SELECT chatroom.snapshot_cursor();
SQL

my $follower = Chatroom::Session->new($node);
my ($cursor) = $follower->query("SELECT chatroom.join_room('lobby')") =~
  /"cursor":"([-0-9a-f]+)"/;
my (%told, $resets);

# Ask what is new; false where the server is away.
sub follow
{
	my $answer =
	  eval { $follower->query("SELECT chatroom.sync('room:1', '$cursor')") };

	return 0
	  unless ($answer // '') =~ /^\{"cursor":"([-0-9a-f]+)","reset":(\w+)/;
	$cursor = $1;
	$resets++ if $2 eq 'true';
	$told{$1} = $2
	  while $answer =~ /"row":\{"id":(\d+),"room_id":1,"username":"alice","text":"([^"]*)"/g;
	return 1;
}

my $lost = 0;
for my $round (1 .. 6)
{
	my $writers = writers($node,
		clients => 4,
		rate    => 1500,
		scripts => {
			shout =>
			  "SELECT chatroom.shout('lobby', 'alice', 'shout $round');\n"
		});
	my $before = keys %told;

	poll_until('shouts are heard', sub { follow(); keys %told > $before + 50 });

	# In every other round the worker is held after the last of them, so that
	# nobody saves it.
	my $tailer = tailer_pid($node);
	if ($round % 2)
	{
		$writers->stop;
		kill 'STOP', $tailer;
		$node->safe_psql('postgres',
			"SELECT chatroom.shout('lobby', 'alice', 'last $round');" x 5);
	}
	my $shouted =
	  $node->safe_psql('postgres', 'SELECT max(id) FROM chat.messages');
	follow() unless $round % 2;
	crash($node);
	kill 'KILL', $tailer;
	$writers->stop;
	start_again($node);

	my %there = map { split /\|/ } split /\n/,
	  $node->safe_psql('postgres', 'SELECT id, text FROM chat.messages');
	my ($last) = sort { $b <=> $a } keys %there;
	my @undone =
	  grep { ($there{$_} // '') ne $told{$_} } keys %told;

	$lost += $shouted - $last if $shouted > $last;
	is(scalar @undone, 0, "crash $round: what was told is there");
	$node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()');
	poll_until("crash $round: all that is there is told",
		sub { follow(); !grep { !defined $told{$_} } keys %there });
	is(scalar(grep { !defined $there{$_} } keys %told),
		0, "crash $round: and nothing else");
}
cmp_ok($lost, '>', 0, "shouts were lost ($lost)");
is($resets // 0, 0, 'no reset');
$node->stop;
done_testing();
