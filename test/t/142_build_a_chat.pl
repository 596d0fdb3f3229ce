# docs/build-a-chat.md: its statements make the chat that it says, and its
# programs take part in it, over a restart of the server. So do the functions of
# docs/chat.md. A program whose driver is not there is skipped.
use strict;
use warnings;
use Chatroom::Test;
use Cwd qw(getcwd);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file('docs/build-a-chat.md');
my $node = chatroom_node('build_a_chat', create => 0);
my $dir  = PostgreSQL::Test::Utils::tempdir();
my ($printed, $errors) = ('', '');
my $statements = join '', $page =~ /^<!-- test: run -->\n```sql\n(.*?)^```/gms;

IPC::Run::run(
	[
		'psql', '-XAt', '-v', 'ON_ERROR_STOP=1', '-d',
		$node->connstr('postgres')
	],
	'<', \$statements, '>', \$printed, '2>', \$errors);
is($?, 0, 'the statements run') or diag($errors);
like($printed, qr/"field": "username".*"field": "text"/,
	'a form is told all that is wrong');
like($printed, qr/^lobby\|2$/m, 'the room comes first');
like($printed, qr/^insert\|carla\|Thank you! 🍅$/m, 'then what happens in it');
like($printed, qr/"alice".*"status": "online".*"bobby".*"typing": true/,
	'who is here, and who types');
like($printed, qr/\[\{[^\]]*"lobby"[^\]]*\}\]\n/, 'carla sees the lobby');
unlike($printed, qr/\[\{[^\]]*"lobby"[^\]]*"greenhouse"/, 'and no greenhouse');

# The README's beginning, in a database of its own.
my ($first) = slurp_file('README.md') =~ /^<!-- test: chat -->\n```sql\n(.*?)^```/ms;
$node->safe_psql('postgres', 'CREATE DATABASE readme');
$node->safe_psql('readme', 'CREATE EXTENSION chatroom');
$printed = $node->safe_psql('readme', $first);
like($printed, qr/"events":\s*\[\{.*"text":\s*"hello"/s,
	'the README shows a message that is followed');

# The programs. Debian's Python is the one that has Debian's drivers.
my $python = -x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3';
my %programs = (
	python => {
		file   => 'chat.py',
		follow => <<'CODE',
import json, sys
follow("", sys.argv[1], lambda answer: print(json.dumps(answer, ensure_ascii=False), flush=True))
CODE
		run    => [$python],
		check  => [ $python, '-c', 'import psycopg' ]
	},
	node => {
		file   => 'chat.js',
		follow => <<'CODE',
follow({}, process.argv[2], (answer) => console.log(JSON.stringify(answer)))
  .catch((error) => console.log(error.message));
CODE
		run    => ['node'],
		check  => [ 'node', '-e', 'require("pg")' ]
	});
$ENV{NODE_PATH} = join ':', getcwd() . '/test/clients/node_modules',
  '/usr/share/nodejs', $ENV{NODE_PATH} // ();
$ENV{PGHOST}     = $node->host;
$ENV{PGPORT}     = $node->port;
$ENV{PGDATABASE} = 'postgres';

# Start the program for a user in a room.
sub start
{
	my ($program, $room, $user) = @_;
	my $run = { in => '', out => '', name => $user };
	local $ENV{PGUSER} = 'garden_app';

	$run->{run} = IPC::Run::start(
		[ @{ $program->{run} }, "$dir/$program->{file}", $room, $user ],
		'<', \$run->{in}, '>&', \$run->{out});
	return $run;
}

# Wait until one of them shows something that it hasn't shown before.
sub shows
{
	my ($run, $regex, $what) = @_;
	my $seen = poll_until("$run->{name}: $what",
		sub {
			eval { $run->{run}->pump_nb };
			$run->{out} =~ $regex || !$run->{run}->pumpable;
		});
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	like($run->{out}, $regex, $what);
	$run->{out} =~ s/.*?$regex//s;
	return;
}

sub type
{
	my ($run, $line) = @_;

	$run->{in} .= "$line\n";
	$run->{run}->pump_nb;
	return;
}

sub acting
{
	my ($user, $sql) = @_;

	return $node->safe_psql('postgres', <<"SQL");
BEGIN; SELECT FROM chatroom.act_as('$user'); $sql; COMMIT;
SQL
}

foreach my $name (sort keys %programs)
{
	my $program = $programs{$name};
	my ($code) = $page =~ /^<!-- test: $name -->\n```\w+\n(.*?)^```/ms;

  SKIP:
	{
		my ($out, $can) = ('');

		$can = eval { IPC::Run::run($program->{check}, '<', \undef, '>&', \$out) };
		skip "$name or its driver is not there", 1 unless $can;

		append_to_file("$dir/$program->{file}", $code);
		my $anna = start($program, 'lobby', "anna_$name");
		shows($anna, qr/lobby.*carla: Thank you! 🍅/s, "$name: the room and its history");
		shows($anna, qr/anna_$name is here/, "$name: who comes is told");
		my $benn = start($program, 'lobby', "benn_$name");
		shows($benn, qr/here:.*anna_$name/, "$name: who is there is shown");
		shows($anna, qr/benn_$name is here/, "$name: who comes later is told");

		type($anna, '...');
		shows($benn, qr/anna_$name is typing/, "$name: who types is told");
		type($anna, "hello, it's $name");
		shows($benn, qr/anna_$name: hello, it's $name/, "$name: a line is posted");
		shows($anna, qr/anna_$name: hello, it's $name/, "$name: and shown to its author");
		type($anna, 'x');
		shows($anna, qr/! text should be at least 2 character\(s\)/,
			"$name: a line that is too short is refused");

		my $id = $node->safe_psql('postgres', 'SELECT max(id) FROM chat.messages');
		acting("anna_$name", "SELECT chatroom.edit_message($id, 'good day')");
		shows($benn, qr/anna_$name edits: good day/, "$name: edits are shown");
		acting("anna_$name", "SELECT chatroom.delete_message($id)");
		shows($benn, qr/anna_$name takes back: good day/, "$name: so are deletions");

		$node->restart;
		type($anna, 'after the restart');
		shows($benn, qr/anna_$name: after the restart/, "$name: it goes on after a restart");
		unlike($benn->{out}, qr/here:/, "$name: without loading the room again");

		# a private room, for members alone
		my $carl = start($program, 'greenhouse', 'carl');
		shows($carl, qr/room "greenhouse" does not exist/,
			"$name: for others there is no private room");
		my $bobby = start($program, 'greenhouse', 'bobby');
		shows($bobby, qr/bobby: It is warm in here/, "$name: a member is let in");
		acting('alice', "SELECT chatroom.remove_member('greenhouse', 'bobby')");
		shows($bobby, qr/removed|does not exist/, "$name: until it is removed");
		acting('alice', "SELECT chatroom.add_member('greenhouse', 'bobby')");

		$node->safe_psql('postgres', "SELECT chatroom.create_room('cellar')");
		my $dora = start($program, 'cellar', 'dora');
		shows($dora, qr/dora is here/, "$name: another room");
		$node->safe_psql('postgres', "SELECT chatroom.rename_room('cellar', 'attic')");
		shows($dora, qr/now called attic/, "$name: a room's new name is told");
		$node->safe_psql('postgres', "SELECT chatroom.delete_room('attic')");
		shows($dora, qr/attic was deleted/, "$name: so is its end");

		# the function in docs/chat.md
		($code) = slurp_file('docs/chat.md') =~ /^<!-- test: $name -->\n```\w+\n(.*?)^```/ms;
		unlink "$dir/$program->{file}";
		append_to_file("$dir/$program->{file}", $code . $program->{follow});
		my $loop = start($program, 'lobby', "loop_$name");
		shows($loop, qr/"reset": ?true/, "$name, docs/chat.md: the room comes first");
		acting('alice', "SELECT chatroom.post('lobby', 'alice', 'one')");
		shows($loop, qr/"text": ?"one"/, "$name, docs/chat.md: then what happens");
		$node->restart;
		acting('alice', "SELECT chatroom.post('lobby', 'alice', 'two')");
		shows($loop, qr/"text": ?"two"/, "$name, docs/chat.md: also after a restart");
		unlike($loop->{out}, qr/"reset": ?true/, "$name, docs/chat.md: without a reset");
		eval { $_->{run}->kill_kill(grace => 1) } for $anna, $benn, $carl, $bobby, $dora, $loop;
	}
}

$node->stop;
done_testing();
