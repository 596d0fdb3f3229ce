# The terminal client: join, on pseudo terminals and with pipes.
use strict;
use warnings;
use Chatroom::Test;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $have_pty = eval { require IO::Pty; 1 };
my $node = chatroom_node('client_join');
my $db   = $node->connstr('postgres');

$ENV{TERM} = 'xterm';
delete $ENV{NO_COLOR};
$node->safe_psql('postgres', 'SELECT chatroom.migrate()');
wait_running($node);

my $input = PostgreSQL::Test::Utils::tempdir() . '/input';

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Start a client on a terminal of its own.
sub terminal
{
	my ($name, $room, %options) = @_;
	my $client = { name => $name, in => '', raw => '' };
	my @command = ('chatroom', '-d', $options{db} // $db, 'join', $room);

	push @command, '--as', $name, @{ $options{args} // [] };
	$client->{run} = IPC::Run::start(\@command, '<pty<', \$client->{in},
		'>pty>', \$client->{raw}, '2>&1');
	return $client;
}

# What stands on the screen, without what was taken off it again: whole lines,
# and the one that is edited.
sub screen
{
	my ($client) = @_;

	# to pump one that has ended would start it again
	eval { $client->{run}->pump_nb } unless defined $client->{status};
	my @lines = split /\n/, $client->{raw}, -1;
	foreach my $line (@lines)
	{
		$line =~ s/\r+$//;
		$line =~ s/.*\r//;
		$line =~ s/\e\[[0-9;?]*[a-zA-Z]//g;
	}
	return @lines;
}

sub is_shown
{
	my ($client, $re, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $good = poll_until("$client->{name}: $name",
		sub { grep { /$re/ } screen($client) });
	ok($good, $name) or diag(join "\n", screen($client));
}

sub is_prompt
{
	my ($client, $re, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $good = poll_until("$client->{name}: $name",
		sub { (screen($client))[-1] =~ $re });
	ok($good, $name) or diag(join "\n", screen($client));
}

# Type; what is typed comes to the program before anything else is looked at.
sub type
{
	my ($client, $text) = @_;

	$client->{in} .= $text;
	$client->{run}->pump while length $client->{in};
}

# Messages shown, by their texts.
sub messages
{
	my ($client) = @_;

	return map { /^[\d:]+ #\d+ \w+: (.*)/ ? $1 : () } screen($client);
}

# Wait for the client's end: its status.
sub finish
{
	my ($client) = @_;

	poll_until("$client->{name} ends",
		sub { eval { $client->{run}->pump_nb }; !$client->{run}->pumpable })
	  or $client->{run}->kill_kill;
	$client->{run}->finish;
	return $client->{status} = $client->{run}->full_result(0) >> 8;
}

sub leave
{
	my ($client, $name) = @_;

	type($client, "\cD");
	is(finish($client), 0, $name // "$client->{name} leaves");
}

# Run a client with pipes: status, output, errors. It may end without having
# read all: IPC::Run would die of that, cat ends quietly.
sub piped
{
	my ($in, @args) = @_;
	my ($out, $err) = ('', '');

	unlink $input;
	append_to_file($input, $in);
	IPC::Run::run(
		[
			'bash', '-c', 'cat "$0" 2> /dev/null | "$@"', $input,
			'chatroom', '-d', $db, @args
		],
		'<', \undef, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($? >> 8, $out, $err);
}

# Pipes first: they need no terminal.
my ($status, $out, $err) = piped('', 'join', 'lobby', '--as', 'alice');
is($status, 1, 'a room that is not there');
like($err, qr/room "lobby" does not exist/, 'is told so');
($status, $out, $err) = piped(
	"hello\n\nevil \e[2J \x{e2}\x{80}\x{ae}txt\n/quit is a line\nno end of line",
	'join', 'lobby', '--as', 'alice', '--create');
is($status, 0, 'lines of a pipe are posted');
is($err, '', 'without a word');
is( $out =~ s/^[-\d]+ [\d:]+ #\d+ //mgr,
	"alice: hello\nalice: evil \\x1b[2J \\u{202e}txt\n"
	  . "alice: /quit is a line\nalice: no end of line\n",
	'all are seen before it ends, control characters escaped');
is(sql('SELECT count(*) FROM chat.messages'), 4, 'each once');
($status, $out, $err) = piped("x\nfine\n", 'join', 'lobby', '--as', 'alice');
is($status, 1, 'a line that breaks a rule is an error');
like($err, qr/not posted: text should be at least 2 character/, 'told so');
like($out, qr/alice: fine$/m, 'and the others are posted');
($status, $out, $err) =
  piped('long ' x 100_000, 'join', 'lobby', '--as', 'alice');
is($status, 1, 'and one that is too long');
cmp_ok(length $err, '<', 1000, 'which is not told of at length');
($status) = piped("nu\0ll\n", 'join', 'lobby', '--as', 'alice');
is($status, 1, 'so is one with a null byte');
($status, $out, $err) = piped(join('', map { "line $_\n" } 1 .. 200),
	'join', 'lobby', '--as', 'alice');
is($status, 0, 'many lines');
my @numbers = $out =~ /alice: line (\d+)$/mg;
is("@numbers", join(' ', 1 .. 200), 'come once and in order');
($status, $out, $err) = piped('', 'join', '1', '--as', 'alice');
# the client before may be told to be there still, or to leave
is(scalar(() = $out =~ /^[-\d]+ [\d:]+ #\d+ alice: line/mg),
	30, 'a room by its id, and no input: the newest page');
($status, $out, $err) =
  piped('', 'join', 'lobby', '--as', 'alice', '--prefix', 'nope');
is($status, 1, 'a prefix that is not there');
like($err, qr/nope/, 'is named');
($status, $out, $err) = piped("hi there\n", 'join', 'lobby');
my $role = sql('SELECT current_user');
like($out, qr/\Q$role\E: hi there$/m, 'without --as the role has its name');

# Other tables: of version 1, which know no keys for posts, and with a prefix
# that has to be quoted.
sql(q{SELECT chatroom.migrate('old', 1), chatroom.migrate('My Chat')});
foreach my $prefix ('old', 'My Chat')
{
	($status, $out, $err) = piped("one\ntwo\n", 'join', 'lobby', '--as',
		'alice', '--prefix', $prefix, '--create');
	is("$status $err", '0 ', "prefix $prefix");
	is( join('|', $out =~ /alice: (.*)$/mg),
		'one|two', 'messages come back from there');
}

# Acting for users: a private room is none for those who are not in it.
sql(q{BEGIN; SELECT chatroom.act_as('alice');
	SELECT chatroom.create_room('secret', true); COMMIT});
($status, $out, $err) =
  piped("psst\n", 'join', 'secret', '--as', 'alice', '--act-as');
is("$status $err", '0 ', 'a private room, acting for its owner');
like($out, qr/alice: psst$/m, 'posts are seen');
($status, $out, $err) =
  piped("what\n", 'join', 'secret', '--as', 'bobby', '--act-as');
is($status, 1, 'acting for somebody else');
like($err, qr/room "secret" does not exist/, 'there is no such room');

SKIP:
{
	skip 'IO::Pty is not there (libio-pty-perl)', 1 unless $have_pty;

	sql('SELECT chatroom.create_room($$den$$)');
	sql("SELECT chatroom.post('den', 'carla', 'message ' || i)"
		  . ' FROM generate_series(1, 40) AS i');

	my $alice = terminal('alice', 'den');
	is_shown($alice, qr/#\d+ carla: message 40$/, 'history is shown');
	my $bobby = terminal('bobby', 'den');
	is_shown($alice, qr/^\* bobby joined$/, 'who comes is shown');
	is_shown($bobby, qr/^\* here: alice|^\* alice joined/, 'and who is there already');
	is(scalar(messages($alice)), 30, 'a page of history');

	# Live.
	sql(q{SELECT chatroom.post('den', 'carla', E'ding\x07 \u009b2J')});
	is_shown($alice, qr/carla: ding\\x07 \\u\{9b\}2J$/,
		'a live message is shown, control characters escaped');
	sql(q{UPDATE chat.messages SET text = 'dong' WHERE text LIKE 'ding%'});
	is_shown($alice, qr/carla edits: dong$/, 'an edit is shown');
	sql(q{DELETE FROM chat.messages WHERE text = 'dong'});
	is_shown($alice, qr/^\* message #\d+ of carla was deleted$/,
		'a deletion is shown');

	# Typing, and lines that come meanwhile.
	type($bobby, 'half a ');
	is_prompt($alice, qr/^\[bobby types\] alice> $/, 'who types is shown');
	sql(q{SELECT chatroom.post('den', 'carla', 'in between')});
	is_shown($bobby, qr/carla: in between$/, 'a message while one types');
	is_prompt($bobby, qr/^bobby> half a $/, 'leaves the line as it was');
	type($bobby, "sentence\r");
	is_shown($alice, qr/bobby: half a sentence$/, 'it is posted whole');
	is_prompt($alice, qr/^alice> $/, 'typing has ended');
	is_prompt($bobby, qr/^bobby> $/, 'and the line is empty again');

	# Commands.
	type($bobby, "/edit a whole sentence\r");
	is_shown($alice, qr/bobby edits: a whole sentence$/, '/edit');
	my $id = sql(q{SELECT id FROM chat.messages WHERE text = 'in between'});
	type($bobby, "/edit #$id by number\r");
	is_shown($alice, qr/#$id carla edits: by number$/, '/edit with a number');
	type($bobby, "/delete\r");
	is_shown($alice, qr/message #\d+ of bobby was deleted/, '/delete');
	type($bobby, "/dance\r");
	is_shown($bobby, qr{^\* there is no command /dance}, 'an unknown command');
	type($bobby, "//shrug\r");
	is_shown($alice, qr{bobby: /shrug$}, '// posts a line with one');
	type($alice, "/who\r");
	is_shown($alice, qr/^\* here: alice, bobby$/, '/who');
	type($alice, "/history\r");
	is_shown($alice, qr/carla: message 1$/, '/history');
	is_shown($alice, qr/^\* that is how it began$/, 'up to the beginning');
	type($alice, "bo\t");
	is_prompt($alice, qr/^alice> bobby $/, 'Tab completes a name');
	type($alice, "\cC");
	is_prompt($alice, qr/^alice> $/, 'Ctrl-C empties the line');
	type($alice, "Grüße 👩‍👩‍👧 🍅\r");
	is_shown($bobby, qr/alice: Grüße 👩‍👩‍👧 🍅$/, 'UTF-8 goes through');
	type($alice, "x\r");
	is_shown($alice, qr/^\* not posted: text should be at least 2/,
		'a refused line is told');
	leave($bobby);
	is_shown($alice, qr/^\* bobby left$/, 'who goes is shown');

	my $quitter = terminal('fritz', 'den');
	is_shown($quitter, qr/here: alice/, 'one more');

	# The server restarts; what is said meanwhile waits.
	$node->stop('immediate');
	is_prompt($alice, qr/^\[not connected\] alice> $/, 'a lost connection');
	is_prompt($quitter, qr/^\[not connected\] fritz> $/, 'of another, too');
	type($quitter, "never to be\r\cD");
	is(finish($quitter), 1, 'leaving without connection');
	is_shown($quitter, qr/^chatroom: not posted: never to be$/,
		'tells what was not posted');
	type($alice, "said in the dark\r");
	is_shown($alice, qr/^\* not connected, to be posted later: said in the dark/,
		'is told of what is typed');
	$node->start;
	sql(q{SELECT chatroom.post('den', 'carla', 'after ' || i)}
		  . ' FROM generate_series(1, 50) AS i');
	is_shown($alice, qr/^\* connected again$/, 'the client connects again');
	is_shown($alice, qr/alice: said in the dark$/, 'and posts it');
	is_shown($alice, qr/carla: after 50$/, 'and has what others said');
	my %times;
	$times{$_}++ for messages($alice);
	is(scalar(grep { ($times{"after $_"} // 0) == 1 } 1 .. 50),
		50, 'all of it, once');
	is($times{'said in the dark'}, 1, 'its own once, too');

	# A reset, after more than a page: the gap is filled.
	sql('SELECT chatroom.stop()');
	sql(q{SELECT chatroom.post('den', 'carla', 'unseen ' || i)}
		  . ' FROM generate_series(1, 300) AS i');
	sql(q{DELETE FROM chat.messages WHERE text = 'after 50'});
	sql(q{UPDATE chat.messages SET text = 'after all' WHERE text = 'after 49'});
	sql('SELECT chatroom.start()');
	is_shown($alice, qr/carla: unseen 300$/, 'what came while nothing ran');
	%times = ();
	$times{$_}++ for messages($alice);
	is(scalar(grep { ($times{"unseen $_"} // 0) == 1 } 1 .. 300),
		300, 'all of it, once');
	is_shown($alice, qr/carla edits: after all$/, 'an edit of that time');
	is_shown($alice, qr/^\* message #\d+ of carla was deleted$/,
		'a deletion of that time');

	# The answer to a post is lost after its commit: it is sent again.
	sql(q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
	sql('SELECT pg_reload_conf()');
	poll_until('the setting is there',
		sub { sql('SHOW synchronous_standby_names') eq 'nobody' });
	# it counts from when the checkpointer knows it, which looks before it works
	sql('CHECKPOINT');
	type($alice, "exactly once\r");
	my $waiting = q{FROM pg_stat_activity WHERE wait_event = 'SyncRep'}
	  . q{ AND query LIKE '%chatroom.post(%'};
	poll_until('the post waits for a standby',
		sub { sql("SELECT count(*) $waiting") eq '1' });
	sql("SELECT pg_terminate_backend(pid) $waiting");
	poll_until('it is sent again, or stored',
		sub { sql(q{SELECT count(*) FROM chat.messages WHERE text = 'exactly once'}) eq '1'; });
	sql('ALTER SYSTEM RESET synchronous_standby_names');
	sql('SELECT pg_reload_conf()');
	is_shown($alice, qr/alice: exactly once$/, 'a post whose answer is lost');
	type($alice, "and one more\r");
	is_shown($alice, qr/alice: and one more$/, 'the next one goes through');
	is( sql(q{SELECT count(*) FROM chat.messages WHERE text = 'exactly once'}),
		1, 'is stored once');
	is(scalar(grep { $_ eq 'exactly once' } messages($alice)),
		1, 'and shown once');

	# Leaving at once loses nothing that was typed; without a connection it is
	# said.
	my $hasty = terminal('emil', 'den');
	type($hasty, "that was all\r/quit\r");
	is(finish($hasty), 0, 'a short visit');
	is_shown($alice, qr/emil: that was all$/, 'the last line before /quit');

	# The room is renamed, and goes.
	sql(q{SELECT chatroom.rename_room('den', 'cave')});
	is_shown($alice, qr/^\* the room is called cave now$/, 'a new name');
	sql(q{SELECT chatroom.delete_room('cave')});
	is_shown($alice, qr/^\* the room was deleted$/, 'the end of a room');
	is(finish($alice), 0, 'is the end of the client');

	# Membership begins and ends.
	sql(q{SELECT chatroom.add_member('secret', 'bobby')});
	my $member =
	  terminal('bobby', 'secret', args => ['--act-as']);
	is_shown($member, qr/alice: psst$/, 'a member sees the private room');
	sql(q{SELECT chatroom.add_member('secret', 'carla', 'guest')});
	is_shown($member, qr/^\* carla is guest now$/, 'and who becomes one, too');
	type($member, "psst, too\r");
	is_shown($member, qr/bobby: psst, too$/, 'and posts');
	sql(q{SELECT chatroom.remove_member('secret', 'bobby')});
	is_shown($member, qr/^\* the room is gone, or you may not see it|^\* room "\w+" does not exist/,
		'and is told when that ends');
	is(finish($member), 1, 'which is no good end');

	# A standby can be read, and becomes the primary.
	sql(q{SELECT chatroom.create_room('hall')});
	sql(q{SELECT chatroom.post('hall', 'carla', 'before')});
	$node->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('client_standby');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	my $reader = terminal('dora', 'hall', db => $standby->connstr('postgres'));
	is_shown($reader, qr/carla: before$/, 'a standby can be read');
	is_shown($reader, qr/^\* this server is a standby: you can read/,
		'which is told');
	type($reader, "no way\r");
	is_shown($reader, qr/^\* not posted: this server is a standby/,
		'posting there is an error');
	leave($reader);

	# The first of two hosts is the standby: it is read, the other one written.
	my $order = sprintf "host=%s,%s port=%d,%d dbname=postgres",
	  $standby->host, $node->host, $standby->port, $node->port;
	$reader = terminal('dora', 'hall', db => $order);
	type($reader, "to the primary\r");
	is_shown($reader, qr/dora: to the primary$/,
		'a line finds the primary among the hosts');
	leave($reader);

	my $both = sprintf "host=%s,%s port=%d,%d dbname=postgres",
	  $node->host, $standby->host, $node->port, $standby->port;
	my $anna = terminal('anna', 'hall', db => $both);
	type($anna, "on the primary\r");
	is_shown($anna, qr/anna: on the primary$/, 'two hosts');
	$node->wait_for_catchup($standby);
	$node->stop('immediate');
	is_shown($anna, qr/^\* disconnected, trying again/, 'the primary goes');
	type($anna, "in between\r");
	$standby->promote;
	is_shown($anna, qr/anna: in between$/, 'the standby takes over');
	$standby->safe_psql('postgres',
		q{SELECT chatroom.post('hall', 'carla', 'all here')});
	is_shown($anna, qr/carla: all here$/, 'and tells what happens');
	is( join('|', messages($anna)),
		'before|to the primary|on the primary|in between|all here',
		'nothing is lost, nothing comes twice');
	leave($anna);
	$standby->stop;
	$node->start;
}

$node->stop;
done_testing();
