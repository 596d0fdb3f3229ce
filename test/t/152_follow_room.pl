# follow_room() as a client's whole loop: through restarts and crashes of the
# server each message is told once, with no reset; a room's end, and that of the
# right to see it, reach who is waiting.
use strict;
use warnings;
use Chatroom::Test;
use JSON::PP;
use Test::More;

my $node = chatroom_node('follow_room');
$node->safe_psql('postgres', <<'SQL');
SELECT chatroom.migrate();
SELECT chatroom.create_room('lobby');
SELECT chatroom.snapshot_cursor();
SQL

# A client: what it shows, by its loop.
package Client
{
	sub new
	{
		my ($class, $room, %options) = @_;

		return bless {
			room    => $room,
			options => $options{options} // '',
			session => Chatroom::Session->new($node),
			texts   => {},
			events  => [],
			resets  => 0
		}, $class;
	}

	sub send
	{
		my ($self, $timeout) = @_;
		my $since = defined $self->{since} ? "'$self->{since}'" : 'NULL';

		$self->{session}->send("CALL chatroom.follow_room($self->{room}, "
			  . "$since, '$timeout' $self->{options})");
		return;
	}

	sub take
	{
		my ($self) = @_;
		my $text = eval { $self->{session}->answer };

		return undef unless defined $text;
		$self->{error} = $self->{session}->error;
		return undef if $text eq '';
		my $answer = $self->{answer} = JSON::PP::decode_json($text);
		if ($answer->{reset})
		{
			$self->{resets}++;
			$self->{texts} =
			  { map { $_->{id} => 1 } @{ $answer->{messages} } };
		}
		foreach my $event (@{ $answer->{events} })
		{
			push @{ $self->{events} }, $event;
			$self->{texts}{ $event->{row}{id} }++
			  if $event->{table} eq 'chat.messages'
			  && $event->{type} eq 'insert';
		}
		$self->{since} = $answer->{cursor};
		return $answer;
	}

	sub call
	{
		my ($self, $timeout) = @_;

		eval { $self->send($timeout // '30 s') };
		return $self->take;
	}
}

# Is a session waiting?
sub wait_asleep
{
	poll_until('it waits', sub { status($node, 'waiting') eq '1' });
	return;
}

# Post without an answer.
sub post
{
	my ($room, $text) = @_;

	$node->safe_psql('postgres',
		"SELECT chatroom.post('$room', 'alice', '$text')");
	return;
}

# ---- restarts

my $client = Client->new("'lobby'");
post('lobby', 'before all');
$client->call;
is($client->{resets}, 1, 'the first answer is the room');
is(scalar keys %{ $client->{texts} }, 1, 'with its messages');

for my $how (qw(restart crash))
{
	# while it waits
	$client->send('30 s');
	wait_asleep();
	post('lobby', "before $how");
	$client->take;
	is($client->{answer}{events}[0]{row}{text},
		"before $how", 'who waits is told');
	$client->send('30 s');
	wait_asleep();
	post('lobby', "just before $how");
	if ($how eq 'restart')
	{
		$node->stop('fast');
		$node->start;
	}
	else
	{
		crash($node);
		start_again($node);
	}
	$client->take;
	post('lobby', "after $how");
	my $count = $node->safe_psql('postgres', 'SELECT count(*) FROM chat.messages');
	poll_until("all is told after the $how",
		sub { $client->call; keys %{ $client->{texts} } == $count });
	is(scalar(grep { $_ > 1 } values %{ $client->{texts} }),
		0, "$how: nothing twice");
	is($client->{resets}, 1, "$how: no reset");
}

# ---- a cursor that can't be continued: the room again

$client->{since} =~ s/^(\d+-)[0-9a-f]+/${1}1/;
$client->call;
is($client->{resets}, 2, 'a cursor of elsewhere is answered with the room');
is($client->{answer}{room}{name}, 'lobby', 'as it is');
is(scalar keys %{ $client->{texts} },
	$node->safe_psql('postgres', 'SELECT count(*) FROM chat.messages'),
	'with all its messages');

# ---- the room's end

$client->send('30 s');
wait_asleep();
$node->safe_psql('postgres', "SELECT chatroom.delete_room('lobby')");
$client->take;
is_deeply(
	[ map { [ $_->{table}, $_->{type}, $_->{old}{name} ] } @{ $client->{answer}{events} } ],
	[ [ 'chat.rooms', 'delete', 'lobby' ] ],
	'who waits is told that the room is gone');
$client->call;
like($client->{error}, qr/P0002.*room "lobby" does not exist/,
	'after that there is no such room');

# between two calls, by id
$node->safe_psql('postgres', "SELECT chatroom.create_room('den')");
my $id = $node->safe_psql('postgres', 'SELECT id FROM chat.rooms');
$client = Client->new($id);
$client->call;
$node->safe_psql('postgres', "SELECT chatroom.delete_room('den')");
$client->call;
is($client->{answer}{events}[0]{old}{name},
	'den', 'by id also between two calls');
$client->call;
like($client->{error}, qr/P0002.*room "$id" does not exist/,
	'and then there is no such room');

# ---- the end of a membership

sub acting
{
	my ($user, $sql) = @_;

	return $node->safe_psql('postgres',
		"BEGIN; SELECT FROM chatroom.act_as('$user'); $sql; COMMIT");
}

$id = acting('alice', "SELECT chatroom.create_room('private', true) ->> 'id'");
acting('alice', "SELECT FROM chatroom.add_member('private', 'bobby')");
$client = Client->new("'private'", options => ", acting_for => 'bobby'");
$client->call;
is($client->{answer}{room}{name}, 'private', 'a member comes in');
$client->send('30 s');
wait_asleep();
acting('alice', "SELECT FROM chatroom.post('private', 'alice', 'hello')");
$client->take;
is($client->{answer}{events}[0]{row}{text}, 'hello', 'and is told');
$client->send('30 s');
wait_asleep();
acting('alice', "SELECT FROM chatroom.remove_member('private', 'bobby')");
acting('alice', "SELECT FROM chatroom.post('private', 'alice', 'psst')");
$client->take;
ok($client->{answer}{reset}, 'one who was removed is told a reset');
is($client->{answer}{room}, undef, 'with no room in it');
is_deeply($client->{answer}{messages}, [], 'and no messages');
$client->call;
like($client->{error}, qr/P0002.*room "private" does not exist/,
	'and then there is no such room');
unlike(encode_json($client->{events}), qr/psst/, 'nothing of later was told');

$node->stop;
done_testing();
