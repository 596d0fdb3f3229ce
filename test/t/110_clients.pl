# Users' drivers: programs of test/clients, each with a real driver and run in
# its folder, with the server in the usual PG variables, and PGBOUNCER where
# that one is PgBouncer in transaction mode.
#
# A program takes what it is to do as its arguments: "check" prints what driver
# it has, or fails; "follow" prints what is said in the room "lobby" until
# somebody says bye, over restarts of the server; and for any other, each line
# "ok ..." or "not ok ..." that it prints is a test.
use strict;
use warnings;
use Chatroom::Bouncer;
use Chatroom::Test;
use Cwd qw(abs_path getcwd);
use IPC::Run;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = abs_path('test/clients');
my $made = PostgreSQL::Test::Utils::tempdir();
# Debian's Python is the one that has Debian's drivers.
my $python = -x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3';
my @programs = (
	# psql tells what an error consists of as text.
	{ name => 'psql', run => [ 'bash', 'psql.sh' ], no_errors => 1 },
	{
		name => 'libpq',
		make => [
			split(' ', $ENV{CC} // 'cc'), '-Wall', '-Wextra', '-o', "$made/libpq",
			'libpq.c', split(' ', $ENV{CHATROOM_LIBPQ} // '-lpq'), '-ljansson'
		],
		run => ["$made/libpq"]
	},
	{ name => 'psycopg', run => [ $python, 'psycopg3.py' ] },
	{ name => 'asyncpg', run => [ $python, 'asyncpg_.py' ] },
	{ name => 'node pg', run => [ 'node', 'node_pg.js' ] },
	{
		name => 'JDBC',
		make => [ 'javac', '-d', $made, 'Jdbc.java' ],
		run => [ 'java', 'Jdbc' ]
	},
	{
		name => 'pgx',
		make => [ 'go', 'build', '-o', "$made/pgx", 'pgx.go' ],
		run => ["$made/pgx"]
	},
	{ name => 'DBD::Pg', run => [ $^X, 'dbd_pg.pl' ] },
	{ name => 'Ruby pg', run => [ 'ruby', 'ruby_pg.rb' ] });

# What a task prints.
my %names = (
	post => [
		'post returns the message',
		'the same client_key returns the same message',
		'broken rules are told by field'
	],
	sync => [ 'sync returns what happened since the cursor', 'and nothing twice' ],
	wait => [
		'wait returns when something happens',
		'wait returns without events at its timeout',
		'wait refuses a transaction block'
	],
	listen => [
		'a notification comes, with a cursor',
		'and sync tells what happened'
	],
	errors => [
		map { $_->{name} }
		  @{ JSON::PP::decode_json(slurp_file("$folder/errors.json")) }
	]);

# JDBC knows no unix sockets.
my $node = chatroom_node('clients', conf => "listen_addresses = '127.0.0.1'\n");
my $user = $node->safe_psql('postgres', 'SELECT current_user');

$node->safe_psql('postgres',
	"SELECT chatroom.migrate(), chatroom.create_room('lobby')");

$ENV{CLASSPATH} = join ':', $made, '/usr/share/java/postgresql.jar',
  '/usr/share/java/gson.jar', $ENV{CLASSPATH} // ();
# Go's packages are those that Debian brings, and come from nowhere else.
$ENV{GOPATH} = '/usr/share/gocode';
$ENV{GO111MODULE} = 'off';
$ENV{GOCACHE} = "$ENV{CHATROOM_OUT}/go";
$ENV{NODE_PATH} = join ':', '/usr/share/nodejs', $ENV{NODE_PATH} // ();

# Start a command in the folder. What it prints, also on stderr, goes to two
# strings, which may be the same.
sub start
{
	my ($command, $printed, $errors, %env) = @_;
	my $top = getcwd();
	local %ENV = (
		%ENV,
		PGHOST => '127.0.0.1',
		PGPORT => $node->port,
		PGDATABASE => 'postgres',
		PGUSER => $user,
		%env);

	chdir $folder or die "$folder: $!";
	my $run = eval {
		IPC::Run::start(
			$command, '<', \undef,
			$printed == $errors
			? ('>&', $printed)
			: ('>', $printed, '2>', $errors),
			IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	};
	$$errors .= $@ if $@;
	chdir $top or die "$top: $!";
	return $run;
}

# Run a command to its end; what it printed, and its exit status.
sub run
{
	my ($command, %env) = @_;
	my $printed = '';
	my $run = start($command, \$printed, \$printed, %env);
	my $status = 255;

	if ($run && eval { $run->finish; 1 })
	{
		$status = $?;
	}
	elsif ($run)
	{
		$printed .= $@;
		eval { $run->kill_kill };
	}
	return ($printed, $status);
}

# What compilers and interpreters say of what isn't there.
my $missing = qr/^(.*(?:
	Command\ '.*'\ not\ found |			# IPC::Run
	cannot\ find\ -l | \.h:\ No\ such\ file |	# C
	No\ module\ named |					# Python
	Cannot\ find\ module |					# node
	package\ .*\ does\ not\ exist |			# Java
	cannot\ find\ package |					# Go
	Can't\ locate\ .*\ in\ \@INC |			# Perl
	cannot\ load\ such\ file					# Ruby
	).*)$/mx;

# Is the program's driver there? Whatever else is wrong with a program is a
# failure.
sub check
{
	my ($program) = @_;
	my ($printed, $status) = ('', 0);

	($printed, $status) = run($program->{make}) if $program->{make};
	($printed, $status) = run([ @{ $program->{run} }, 'check' ])
	  if $status == 0;
	if ($status != 0)
	{
		($program->{missing}) = $printed =~ $missing;
		if (!$program->{missing})
		{
			fail("$program->{name}: the program can be run");
			diag($printed);
			$program->{missing} = "it can't be run";
		}
		return;
	}
	chomp $printed;
	note $printed;
}

# Let a program do tasks; each of their names must come, and say ok.
sub do_tasks
{
	my ($program, $through, $env, @tasks) = @_;
	my $name = "$program->{name}$through";

	$node->safe_psql('postgres', slurp_file("$folder/errors.sql"));
	my ($printed, $status) = run([ @{ $program->{run} }, @tasks ], %$env);
	my %seen;

	$seen{$2} = $1 ? 'not ok' : 'ok'
	  while $printed =~ /^(not )?ok (.*)$/mg;
	my $good = $status == 0;
	foreach my $what (map { @{ $names{$_} } } @tasks)
	{
		$good = 0
		  unless is($seen{$what} // 'nothing', 'ok', "$name: $what");
	}
	ok($good, "$name: @tasks are done");
	diag(join "\n", "exit status $status", grep { !/^ok / } split /\n/, $printed)
	  unless $good;
}

check($_) foreach @programs;
my $no_bouncer = Chatroom::Bouncer->missing;
my $bouncer = $no_bouncer ? undef : Chatroom::Bouncer->new($node);
my %pooled = $bouncer ? (PGPORT => $bouncer->port, PGBOUNCER => 'yes') : ();

foreach my $program (@programs)
{
  SKIP:
	{
		skip "$program->{name} is not there: $program->{missing}", 1
		  if $program->{missing};
		my @errors = $program->{no_errors} ? () : 'errors';
		do_tasks($program, '', {}, qw(post sync wait listen), @errors);
		skip $no_bouncer, 1 if $no_bouncer;
		do_tasks($program, ' through PgBouncer', \%pooled,
			qw(post sync wait), @errors);
	}
}

# All of them follow a room while the server is started anew, and killed.
my @followers;

sub said
{
	my ($text) = @_;

	poll_until("all followers are told \"$text\"",
		sub {
			eval { $_->{run}->pump_nb } foreach @followers;
			return !grep {
				$_->{printed} !~ /^\Q$text\E/m && $_->{run}->pumpable
			} @followers;
		});
}

sub say_in_lobby
{
	my ($text) = @_;

	$node->safe_psql('postgres',
		"SELECT chatroom.post('lobby', 'carol', '$text')");
	return;
}

foreach my $program (grep { !$_->{missing} } @programs)
{
	foreach my $env ({}, $bouncer ? \%pooled : ())
	{
		my $follower = {
			name => $program->{name} . (%$env ? ' through PgBouncer' : ''),
			printed => '',
			errors => ''
		};
		$follower->{run} = start([ @{ $program->{run} }, 'follow' ],
			\$follower->{printed}, \$follower->{errors}, %$env);
		push @followers, $follower;
	}
}
said('loaded');
say_in_lobby('before the restart');
said('before the restart');
$node->restart;
say_in_lobby('after the restart');
said('after the restart');
crash($node);
start_again($node);
say_in_lobby('after the crash');
say_in_lobby('bye');
said('bye');
foreach my $follower (@followers)
{
	eval { $follower->{run}->finish };
	my ($status) = eval { $follower->{run}->full_results };
	is($status, 0, "$follower->{name}: the follower has ended");
	is($follower->{printed} =~ s/^loaded \d+/loaded/r,
		"loaded\nbefore the restart\nafter the restart\nafter the crash\nbye\n",
		"$follower->{name}: its cursor lives on over a restart and a crash")
	  or diag($follower->{errors});
}

$bouncer->stop if $bouncer;
$node->stop;
done_testing();
