# Transactions larger than the ring: whom they reset, and whom not. See also
# 012_large.pl.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;

my $node = chatroom_node('small', conf => "chatroom.cache_size = 1MB\n");
make_log($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE big (id int PRIMARY KEY, body text);
SELECT chatroom.watch('big');
SQL

sub followers
{
	my (%topics) = @_;
	my %followers;

	foreach my $name (keys %topics)
	{
		$followers{$name} =
		  Chatroom::Follower->new($node, topics => [ $topics{$name} ]);
		$followers{$name}->follow;
	}
	return %followers;
}

# Who of them is told to reset, after all that was written is published?
sub resets
{
	my (%followers) = @_;

	Chatroom::Follower->new($node)->catch_up;
	$_->follow for values %followers;
	return join ' ', sort grep { $followers{$_}{resets} } keys %followers;
}

# Few rows, each of them large.
my %rows = (
	table     => 'public.big',
	one       => 'public.big:1',
	untouched => 'public.big:1000000',
	log       => 'public.log',
	pair      => 'public.log:1');
my %followers = followers(%rows);
$node->safe_psql('postgres',
	"INSERT INTO big SELECT i, (SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 300) AS j) FROM generate_series(1, 200) AS i"
);
is(resets(%followers), 'one table',
	'a transaction larger than the ring resets its own topics, and no others');
is(status($node, 'large_transactions'), 1, 'and is counted');
add_rows($node, 1);
$node->safe_psql('postgres', "UPDATE big SET body = 'short' WHERE id = 1");
$_->{resets} = 0 for values %followers;
is(resets(%followers), '', 'after it, events go on');
is(join(' ', map { $_->{type} . $_->{row}{id} } $followers{one}->events),
	'update1', 'and are told');

# A snapshot from before it has a cursor that tells of it.
my $session = Chatroom::Session->new($node);
my $count = $session->query(
	'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM big');
$node->safe_psql('postgres',
	"INSERT INTO big SELECT i, (SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 300) AS j) FROM generate_series(1001, 1200) AS i"
);
Chatroom::Follower->new($node)->catch_up;
my $cursor = $session->query('SELECT chatroom.snapshot_cursor()');
$session->query('COMMIT');
like(
	$session->query("SELECT chatroom.sync('public.big', '$cursor')"),
	qr/"reset":true/,
	'the cursor of a snapshot that does not see it is told to reset');

# More rows than the topic table has places.
%followers = followers(%rows);
$node->safe_psql('postgres',
	"INSERT INTO big SELECT i, 'x' FROM generate_series(10001, 30000) AS i");
is(resets(%followers), 'one table untouched',
	'one of many rows resets all of its table, and no other');

$node->stop;
done_testing();
