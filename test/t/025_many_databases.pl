# What the worker does for a commit depends little on how many databases there
# are beside the one that it is in.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('many_databases', conf => <<'CONF');
fsync = off
chatroom.cache_size = 1MB
chatroom.max_presence = 1000
CONF
make_log($node);
my $follower = Chatroom::Follower->new($node);
$follower->follow;
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/one", "INSERT INTO log DEFAULT VALUES;\n");

# CPU of the worker for a number of commits, in ms: so far apart that each has a
# turn of its own.
sub cost
{
	my ($commits) = @_;
	my $before = used();

	$node->command_ok(
		[ 'pgbench', '-n', '-c', 1, '-R', 400, '-t', $commits, '-f', "$dir/one", 'postgres' ],
		"$commits commits");
	$follower->catch_up;
	return used() - $before;
}

sub used
{
	my ($ns) = split / /, slurp_file('/proc/' . tailer_pid($node) . '/schedstat');

	return $ns / 1_000_000;
}

cost(200);
my $commits = 1000;
my $alone   = cost($commits);
$node->safe_psql('postgres', "CREATE DATABASE d$_") for 1 .. 30;
foreach my $i (1 .. 30)
{
	$node->safe_psql("d$i", <<'SQL');
CREATE EXTENSION chatroom;
CREATE TABLE t (id int PRIMARY KEY);
SELECT chatroom.watch('t'), chatroom.sync('t');
SQL
}
poll_until(
	'all have a cache',
	sub {
		$node->safe_psql('postgres',
			'SELECT count(*) FROM chatroom.status WHERE cache_bytes > 0') >= 31;
	});
my $among = cost($commits);
note("$commits commits: $alone ms alone, $among ms among 30 databases");

# a little more is right; machines are shared
cmp_ok($among, '<', 2.5 * $alone,
	'commits cost the worker about the same with 30 other databases');
$node->stop;
done_testing();
