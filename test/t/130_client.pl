# The terminal client: tail and status.
use strict;
use warnings;
use Chatroom::Test;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('client');
my $dir  = PostgreSQL::Test::Utils::tempdir();

# Run the client to its end: status, output, errors.
sub client
{
	my ($args, %options) = @_;
	my ($out, $err) = ('', '');
	my $db = $options{db} // $node->connstr('postgres');

	IPC::Run::run([ 'chatroom', '-d', $db, @$args ], '<', \undef, '>', \$out,
		'2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($? >> 8, $out, $err);
}

# Start tail; a hash with its run, out and err.
sub start_tail
{
	my ($args, %options) = @_;
	my $tail = { out => '', err => '' };
	my $db = $options{db} // $node->connstr('postgres');

	$tail->{run} = IPC::Run::start([ 'chatroom', '-d', $db, 'tail', @$args ],
		'<', \undef, '>', \$tail->{out}, '2>', \$tail->{err});
	return $tail;
}

# Wait for a number of lines, and return them parsed.
sub lines
{
	my ($tail, $count) = @_;

	poll_until(
		"$count lines of tail",
		sub {
			eval { $tail->{run}->pump_nb };
			return ($tail->{out} =~ tr/\n//) >= $count;
		});
	return map { decode_json($_) } split /\n/, $tail->{out};
}

# How it ended.
sub finish
{
	my ($tail) = @_;

	poll_until(
		'the client ends',
		sub {
			eval { $tail->{run}->pump_nb };
			return !$tail->{run}->pumpable;
		});
	$tail->{run}->finish;
	return $tail->{run}->full_result(0) >> 8;
}

# Until its waiting session is seen, tail has no cursor.
sub wait_for_waiters
{
	my ($count) = @_;

	poll_until("$count sessions wait",
		sub { status($node, 'waiting') eq $count });
}

# The command line.
my ($status, $out, $err) = client(['--help']);
is($status, 0, '--help is no error');
like($out, qr/^Usage:/m, '--help tells the usage');
($status, $out) = client(['--version']);
like($out, qr/^chatroom \d+\.\d+\.\d+$/, '--version tells the version');
foreach my $wrong (
	[ [], qr/what to do/ ],
	[ ['dance'], qr/"dance" is no command/ ],
	[ ['tail'], qr/tail wants a topic/ ],
	[ [ 'tail', 'a', '--json' ], qr/option that "tail" does not have/ ],
	[ [ 'tail', 'a', '-n', '0' ], qr/--count wants a number from 1 on/ ],
	[ [ 'tail', 'a', '--since', 'x', '--cursor-file', 'y' ], qr/exclude/ ],
	[ [ 'status', '--bogus' ], qr/bogus/ ])
{
	($status, $out, $err) = client($wrong->[0]);
	is($status, 2, "refused: @{ $wrong->[0] }");
	like($err, $wrong->[1], 'and says why');
}

# status
wait_running($node);
($status, $out) = client(['status']);
is($status, 0, 'status: the worker runs');
like($out, qr/^worker +running, process \d+/m, 'status says so');
like($out, qr/^database +postgres$/m, 'status shows the database');
($status, $out) = client([ 'status', '--json' ]);
is(decode_json($out)->{state}, 'running', 'status as JSON');
$node->safe_psql('postgres', 'CREATE DATABASE plain');
($status, $out, $err) = client(['status'], db => $node->connstr('plain'));
is($status, 2, 'status of a database without chatroom');
like($err, qr/CREATE EXTENSION chatroom/, 'it says what to do');
($status, $out, $err) = client(['status'], db => $node->connstr('nowhere'));
is($status, 2, 'status of no database');
like($err, qr/database "nowhere" does not exist/, 'it says so');
$node->safe_psql('postgres', 'SELECT chatroom.stop()');
($status, $out) = client(['status']);
is($status, 1, 'status: the worker was stopped');
like($out, qr/^worker +stopped$/m, 'status says so');
$node->safe_psql('postgres', 'SELECT chatroom.start()');
wait_running($node);

# tail
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE notes (id int PRIMARY KEY, body text, data json, big numeric);
SELECT chatroom.watch('notes');
SQL
published($node);
($status, $out, $err) = client([ 'tail', 'public.nothing' ]);
is($status, 2, 'tail of what nobody publishes ends');
like($err, qr/nothing is published under topic "public\.nothing"/,
	'and says why');

my $file = "$dir/cursor";
my $tail = start_tail([ 'public.notes', '--cursor-file', $file, '-n', '4' ]);
wait_for_waiters(1);
ok(-s $file, 'the file has a cursor before the first event');
$node->safe_psql('postgres', <<'SQL');
INSERT INTO notes VALUES (1, E'a\nb\x1b[2J', E'{"a":\n 1.10}', 12345678901234567890.120);
SQL
my ($event) = lines($tail, 1);
is($event->{type}, 'insert', 'an event is a line of JSON');
is($event->{row}{body}, "a\nb\e[2J", 'whatever is in its texts');
like($tail->{out}, qr/\{"a": +1\.10\}/, 'on one line, as it was written');
like($tail->{out}, qr/:12345678901234567890\.120\}/, 'numbers keep all digits');
unlike($tail->{out}, qr/[\x00-\x09\x0b-\x1f]/, 'no control characters');

# Over a restart, whose events it can't be told meanwhile.
$node->stop('immediate');
poll_until('it notices',
	sub { eval { $tail->{run}->pump_nb }; $tail->{err} =~ /trying again/ });
$node->start;
$node->safe_psql('postgres',
	'INSERT INTO notes VALUES (2), (3); UPDATE notes SET body = 1');
my @events = lines($tail, 6);
is( join(' ', map { "$_->{type} $_->{key}{id}" } @events),
	'insert 1 insert 2 insert 3 update 1 update 2 update 3',
	'nothing is lost over a crash, and the last transaction is whole');
is(finish($tail), 0, 'it ends after the count');
like($tail->{err}, qr/connected again/, 'it said that it was away');

# Go on with the file.
$node->safe_psql('postgres', 'INSERT INTO notes VALUES (4), (5)');
($status, $out) =
  client([ 'tail', 'public.notes', '--cursor-file', $file, '-n', '1' ]);
is( join(' ', map { decode_json($_)->{key}{id} } split /\n/, $out),
	'4 5', 'with the file it goes on where it was');
my $since = $events[0]{cursor};
($status, $out) =
  client([ 'tail', 'public.notes', '--since', $since, '-n', '1' ]);
is(decode_json($out)->{key}{id}, 2, '--since, and an exact count without file');
(my $foreign = $since) =~ s/^1-./1-0/;
$foreign =~ s/^1-0/1-f/ if $foreign eq $since;
$tail = start_tail([ 'public.notes', '--since', $foreign ]);
($event) = lines($tail, 1);
is_deeply([ sort keys %$event ], [ 'cursor', 'type' ], 'a line for a reset');
is($event->{type}, 'reset', 'says so');
$tail->{run}->signal('INT');
is(finish($tail), 0, 'SIGINT ends it, and is no error');

# Several topics; nobody reads any more.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE others (id int PRIMARY KEY);
SELECT chatroom.watch('others');
SQL
published($node);
wait_for_waiters(0);
my ($shell_out, $shell_err) = ('', '');
my $db = $node->connstr('postgres');
my $shell = IPC::Run::start(
	[
		'bash', '-c',
		"chatroom -d \"$db\" tail public.notes public.others"
		  . ' | { read -r line; echo "$line"; }; echo "${PIPESTATUS[0]}"'
	],
	'>', \$shell_out, '2>', \$shell_err);
wait_for_waiters(1);
$node->safe_psql('postgres', 'INSERT INTO others VALUES (1)');
$shell->finish;
my ($line, $pipe_status) = split /\n/, $shell_out;
is(decode_json($line)->{table}, 'public.others', 'several topics');
is($pipe_status, 0, 'it ends when nobody reads any more, without an event');
is($shell_err, '', 'and has nothing to complain of');

# What the role may not see.
$node->safe_psql('postgres', 'CREATE ROLE reader LOGIN');
($status, $out, $err) =
  client([ '-U', 'reader', 'tail', 'public.notes' ]);
is($status, 2, 'tail without the right to select');
like($err, qr/permission denied/, 'is told so');

$node->stop;
done_testing();
