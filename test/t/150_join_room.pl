# join_room() while many write: what its page shows and what the first sync from
# its cursor tells is all there is, and each message is in one of them only, at
# every isolation level.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;

my $rounds = $ENV{CHATROOM_LONG} ? 200 : 25;
my $node = chatroom_node('join_room', conf => "chatroom.cache_size = 64MB\n");

$node->safe_psql('postgres', <<'SQL');
SELECT chatroom.migrate();
SELECT chatroom.create_room('lobby'), chatroom.create_room('den');
SELECT chatroom.snapshot_cursor();
SQL

# Transactions of one message, of several, with savepoints, aborted, in another
# room, and such that take their time.
my $writers = writers($node,
	clients => 8,
	rate    => 300,
	scripts => {
		one   => "SELECT chatroom.post('lobby', 'alice', 'one');\n",
		shout => "SELECT chatroom.shout('lobby', 'bobby', 'shout');\n",
		other => "SELECT chatroom.post('den', 'bobby', 'elsewhere');\n",
		slow  => <<'SQL',
BEGIN;
SELECT chatroom.post('lobby', 'carol', 'first');
\sleep 20 ms
SELECT chatroom.post('lobby', 'carol', 'second');
COMMIT;
SQL
		nested => <<'SQL',
BEGIN;
SELECT chatroom.post('lobby', 'david', 'kept');
SAVEPOINT a;
SELECT chatroom.post('lobby', 'david', 'rolled back');
ROLLBACK TO a;
SAVEPOINT b;
SELECT chatroom.post('lobby', 'david', 'kept, too');
COMMIT;
SQL
		aborted => <<'SQL'
BEGIN;
SELECT chatroom.post('lobby', 'ellen', 'aborted');
ROLLBACK;
SQL
	});

# How a join is called: alone, or in a transaction whose snapshot may be older.
my @ways = (
	[ 'by itself' => '', '' ],
	map {
		[
			lc $_ => "BEGIN ISOLATION LEVEL $_; "
			  . "SELECT 'ids', count(*) FROM chat.rooms; "
			  . "SELECT pg_sleep(0.01)::text;", 'COMMIT;'
		]
	} ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'));
my $session = Chatroom::Session->new($node);
my @joins;

poll_until('messages come',
	sub { $node->safe_psql('postgres', 'SELECT count(*) FROM chat.messages') > 20 });
for my $round (1 .. $rounds)
{
	foreach my $way (@ways)
	{
		my ($name, $before, $after) = @$way;
		my $answer = $session->query(
			"$before SELECT chatroom.join_room('lobby', NULL); $after");

		my ($cursor) = $answer =~ /"cursor":"([-0-9a-f]+)","topic":"room:1"/;
		if (!defined $cursor)
		{
			fail("joined $name") or diag($answer, $session->error);
			next;
		}
		push @joins,
		  {
			name   => $name,
			cursor => $cursor,
			ids    => [ $answer =~ /\{"id":(\d+),"room_id":1,/g ]
		  };
	}
}
$writers->stop;

my @all = split /\n/, $node->safe_psql('postgres',
	'SELECT id FROM chat.messages WHERE room_id = 1 ORDER BY inserted_at, id');
my %place;
@place{@all} = 0 .. $#all;
$node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()');

my (%gaps, %twice, %unordered, %resets, %count, %between);
foreach my $join (@joins)
{
	my $name   = $join->{name};
	my $answer = $session->query(
		"SELECT chatroom.sync('room:1', '$join->{cursor}', 1000000)");
	my @told = $answer =~
	  /"type":"insert","topics":\["room:1"\],"table":"chat.messages","key":\{"id":(\d+)\}/g;
	my %seen;
	my $last = -1;

	$resets{$name}++ if $answer =~ /"reset":true/;
	$seen{$_}++ for @{ $join->{ids} }, @told;
	$gaps{$name}  += grep { !$seen{$_} } @all;
	$twice{$name} += grep { $seen{$_} > 1 || !defined $place{$_} } keys %seen;
	foreach my $id (@{ $join->{ids} })
	{
		$unordered{$name}++ if $place{$id} < $last;
		$last = $place{$id};
	}
	$count{$name}++;
	$between{$name}++ if @told && @{ $join->{ids} };
}
foreach my $way (@ways)
{
	my $name = $way->[0];

	is($count{$name}, $rounds, "$name: joined $rounds times");
	cmp_ok($between{$name}, '>', 0, "$name: in the midst of it");
	is($resets{$name}    // 0, 0, "$name: no reset");
	is($gaps{$name}      // 0, 0, "$name: no message is missing");
	is($twice{$name}     // 0, 0, "$name: no message came twice");
	is($unordered{$name} // 0, 0, "$name: messages in their order");
}
note(scalar(@all), ' messages');
$node->stop;
done_testing();
