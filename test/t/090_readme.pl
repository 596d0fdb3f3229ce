# The README's example and programs do what it says.
#
# A comment "test: NAME" stands before each block that is run. What psql's
# prints must contain, in order, the lines of the text block that follows it.
# Programs follow the example's table: they must tell of an insert and of a
# delete. A program whose driver is not there is skipped.
use strict;
use warnings;
use Chatroom::Test;
use Cwd qw(getcwd);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $readme = slurp_file('README.md');
my %blocks;
while ($readme =~ /^<!-- test: (\w+) -->\n```\w+\n(.*?)^```\n(.*?)(?=^<!--|\z)/gms)
{
	push @{ $blocks{$1} }, { code => $2, rest => $3 };
}
my $dir  = PostgreSQL::Test::Utils::tempdir();
# JDBC knows no unix sockets.
my $node = chatroom_node('readme', create => 0,
	conf => "listen_addresses = '127.0.0.1'\n");

# Lines without what differs from run to run.
sub lines
{
	my ($text) = @_;

	$text =~ s/\b1-[0-9a-f]+(-[0-9a-f]+){4,}/CURSOR/g;
	$text =~ s/\d{4}-\d\d-\d\dT[\d:.]+/TIME/g;
	$text =~ s/ *\+?\s*$//gm;
	return grep { /\S/ } split /\n/, $text;
}

# psql: the first block, with its output, and what goes on from there.
my ($example, @more) = @{ $blocks{psql} };
my ($expected) = $example->{rest} =~ /^```text\n(.*?)^```/ms;
my @got = lines(run_psql($example->{code}, 'the example'));
my $missing;
foreach my $line (lines($expected))
{
	shift @got while @got && $got[0] ne $line;
	$missing = $line unless @got;
	last unless @got;
	shift @got;
}
is($missing, undef, 'the example prints what the README says');
foreach my $block (@more)
{
	like(run_psql($block->{code}, 'following from psql'),
		qr/insert.*one more/, 'following from psql tells of an insert');
}

# Run text in psql; what it printed.
sub run_psql
{
	my ($text, $what) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(
		[
			'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-d',
			$node->connstr('postgres')
		],
		'<', \$text, '>', \$out, '2>', \$err);
	is($?, 0, "$what: no error") or diag($err);
	return $out;
}

# Programs, and how to find out whether they can run.
my %programs = (
	python => {
		file  => 'follow.py',
		check => [ 'python3', '-c', 'import psycopg' ],
		run   => [ 'python3', 'follow.py' ]
	},
	node => {
		file  => 'follow.js',
		check => [ 'node', '-e', 'require("pg")' ],
		run   => [ 'node', 'follow.js' ]
	},
	# Debian has an older pgx, which differs in nothing that matters here.
	go => {
		file  => 'follow.go',
		edit  => sub { s{jackc/pgx/v5}{jackc/pgx/v4} },
		check => [ 'go', 'build', 'github.com/jackc/pgx/v4' ],
		run   => [ 'sh', '-c', 'go build -o follow follow.go && exec ./follow' ]
	},
	java => {
		file  => 'Follow.java',
		check => [ 'java', '--source', '11', 'Check.java' ],
		run   => [ 'java', 'Follow.java', jdbc_url() ]
	});

sub jdbc_url
{
	return 'jdbc:postgresql://127.0.0.1:' . $node->port . '/postgres?user='
	  . $node->safe_psql('postgres', 'SELECT current_user');
}

append_to_file("$dir/Check.java", <<'JAVA');
public class Check {
	public static void main(String[] args) throws Exception {
		Class.forName("org.postgresql.Driver");
	}
}
JAVA
my $jar = '/usr/share/java/postgresql.jar';
$ENV{CLASSPATH} //= $jar if -e $jar;
$ENV{NODE_PATH} //= getcwd() . '/test/clients/node_modules:/usr/share/nodejs';
# Go's packages are those that Debian brings, and come from nowhere else.
$ENV{GOPATH} = '/usr/share/gocode';
$ENV{GO111MODULE} = 'off';
$ENV{GOCACHE} = "$ENV{CHATROOM_OUT}/go";
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
$ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT current_user');

# Run a program in the folder; what it printed.
sub start
{
	my ($command, $printed) = @_;
	my $top = getcwd();

	chdir $dir or die "$dir: $!";
	my $run = eval {
		IPC::Run::start($command, '<', \undef, '>&', $printed);
	};
	chdir $top or die "$top: $!";
	return $run;
}

sub can_run
{
	my ($command) = @_;
	my $printed = '';
	my $run = start($command, \$printed) or return 0;

	eval { $run->finish };
	return $? == 0;
}

foreach my $name (sort keys %programs)
{
	my $program = $programs{$name};

  SKIP:
	foreach my $block (@{ $blocks{$name} })
	{
		skip "$name or its driver is not there", 2
		  unless $program->{can} //= can_run($program->{check});

		my $printed = '';
		unlink "$dir/$program->{file}";
		$program->{edit}->() foreach $program->{edit} ? $block->{code} : ();
		append_to_file("$dir/$program->{file}", $block->{code});
		my $run = start($program->{run}, \$printed);
		my $until = sub {
			my ($what, $regex) = @_;
			poll_until("$name: $what",
				sub {
					eval { $run->pump_nb };
					$printed =~ $regex || !$run->pumpable;
				});
			return $printed =~ $regex;
		};
		$until->('it is ready', qr/loaded|listening/);
		$node->safe_psql('postgres',
			"INSERT INTO notes (room, body) VALUES ('attic', 'from psql')");
		ok($until->('an insert', qr/insert.*from psql/s),
			"$name: the program tells of an insert")
		  or diag($printed);
		$node->safe_psql('postgres',
			"DELETE FROM notes WHERE body = 'from psql'");
		ok($until->('a delete', qr/delete/),
			"$name: the program tells of a delete")
		  or diag($printed);
		eval { $run->kill_kill(grace => 1) };
	}
}

done_testing();
