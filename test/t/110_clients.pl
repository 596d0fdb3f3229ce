# What users' drivers tell of errors: programs of test/clients, each with a
# real driver and run in its folder, with the server in the usual PG variables.
#
# A program takes what it is to do as its argument: "check" prints what driver
# it has, or fails; for any other, NAME.sql is loaded before, and each line
# "ok ..." or "not ok ..." that it prints is a test.
use strict;
use warnings;
use Chatroom::Test;
use Cwd qw(abs_path getcwd);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = abs_path('test/clients');
# Debian's Python is the one that has Debian's drivers.
my $python = -x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3';
my @programs = (
	[ 'psycopg', $python, 'psycopg3.py' ],
	[ 'node pg', 'node', 'node_pg.js' ],
	[ 'JDBC', 'java', 'Jdbc.java' ]);
my @tasks = qw(errors);

# JDBC knows no unix sockets.
my $node = chatroom_node('clients', conf => "listen_addresses = '127.0.0.1'\n");

$ENV{CLASSPATH} = join ':', '/usr/share/java/postgresql.jar',
  '/usr/share/java/gson.jar', $ENV{CLASSPATH} // ();
$ENV{NODE_PATH} = join ':', '/usr/share/nodejs', $ENV{NODE_PATH} // ();

# Run a program; what it printed, and its exit status.
sub run_program
{
	my ($command, $task) = @_;
	my $top = getcwd();
	my $printed = '';
	local %ENV = (
		%ENV,
		PGHOST => '127.0.0.1',
		PGPORT => $node->port,
		PGDATABASE => 'postgres',
		PGUSER => $node->safe_psql('postgres', 'SELECT current_user'));

	chdir $folder or die "$folder: $!";
	my $status = eval {
		IPC::Run::run([ @$command, $task ], '<', \undef, '>&', \$printed,
			IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
		$?;
	} // 255;
	$printed .= $@ if $@;
	chdir $top or die "$top: $!";
	return ($printed, $status);
}

foreach my $program (@programs)
{
	my ($name, @command) = @$program;

  SKIP:
	{
		my ($printed, $status) = run_program(\@command, 'check');

		if ($status != 0)
		{
			my ($why) = $printed =~ /^(.*(?:[Ee]rror|cannot|not found).*)$/m;
			skip "$name is not there: " . ($why // $printed), 1;
		}
		chomp $printed;
		note $printed;
		foreach my $task (@tasks)
		{
			$node->safe_psql('postgres', slurp_file("$folder/$task.sql"));
			($printed, $status) = run_program(\@command, $task);
			my @lines = split /\n/, $printed;
			my $failed = 0;

			foreach my $line (@lines)
			{
				my ($not, $what) = $line =~ /^(not )?ok (.*)/ or next;
				ok(!$not, "$name: $what");
				$failed++ if $not;
			}
			ok((grep { /^(not )?ok / } @lines) && ($status == 0 || $failed),
				"$name: $task is done");
			diag(join "\n", grep { !/^ok / } @lines)
			  if $failed || $status != 0;
		}
	}
}

$node->stop;
done_testing();
