# A long answer of presence() is kept by the session that asked; whoever changes
# what it tells, it is told anew.
use strict;
use warnings;
use Chatroom::Test;
use JSON::PP;
use Test::More;

my $node = chatroom_node('presence_kept');
my $asker = Chatroom::Session->new($node);
my $other = Chatroom::Session->new($node);

# Who is present, as the session is told: count of keys, and one's metas.
sub asked
{
	my ($topic, $key) = @_;
	my $present =
	  decode_json($asker->query("SELECT chatroom.presence('$topic')"));

	return scalar keys %$present unless defined $key;
	return [ map { delete $_->{phx_ref}; delete $_->{phx_ref_prev}; $_ }
		  @{ ($present->{$key} // {})->{metas} // [] } ];
}

foreach my $topic (qw(one two))
{
	$node->safe_psql('postgres',
		"SELECT count(chatroom.track('$topic', 'user' || n, '{\"n\": 1}', '1 hour')) FROM generate_series(1, 300) n"
	);
}
is(asked('one'), 300, 'all are present');
is(asked('one'), 300, 'and asked again');
cmp_ok(length $asker->query("SELECT chatroom.presence('one')"),
	'>', 2000, 'the answer is long');

$other->query("SELECT chatroom.track('one', 'guest', '{\"n\": 2}')");
is(asked('one'), 301, 'another session tracks');
is_deeply(asked('one', 'guest'), [ { n => 2 } ], 'with its meta');
$other->query("SELECT chatroom.track('one', 'guest', '{\"n\": 3}')");
is_deeply(asked('one', 'guest'), [ { n => 3 } ], 'it has another meta');
$other->query("SELECT chatroom.track('one', 'user7', '{\"n\": 4}', '1 hour')");
is_deeply(asked('one', 'user7'), [ { n => 4 } ], 'a lease has another meta');
is(asked('two'), 300, 'another topic');
is(asked('one'), 301, 'and back');
$other->query("SELECT chatroom.untrack('one', 'user7')");
is(asked('one'), 300, 'one is untracked');
$other->close;
poll_until('it leaves', sub { asked('one') == 299 });
is_deeply(asked('one', 'guest'), [], 'a session ended');
$asker->query(
	"SELECT chatroom.track('one', 'brief', '{}', '5 s')");
is(asked('one'), 300, 'a short lease');
poll_until('it ends', sub { asked('one') == 299 });
pass('it ended');

# the worker and its cache are made anew
$node->safe_psql('postgres', 'SELECT chatroom.stop()');
$node->safe_psql('postgres', 'SELECT chatroom.start()');
poll_until('the worker is there',
	sub { $asker->query("SELECT chatroom.presence('one')") eq '{}' });
pass('nobody is there after a stop');
$node->stop;
done_testing();
