# Large transactions, many subtransactions, and a ring that turns round fast.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;
use Time::HiRes qw(time);

my $node = chatroom_node('small', conf => "chatroom.cache_size = 1MB\n");
make_log($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE big (id int PRIMARY KEY, body text);
SELECT chatroom.watch('big');
SQL

sub followers
{
	my (%topics) = @_;
	my %followers;

	foreach my $name (keys %topics)
	{
		$followers{$name} =
		  Chatroom::Follower->new($node, topics => [ $topics{$name} ]);
		$followers{$name}->follow;
	}
	return %followers;
}

# Who of them is told to reset, after all that was written is published?
sub resets
{
	my (%followers) = @_;

	Chatroom::Follower->new($node)->catch_up;
	$_->follow for values %followers;
	return join ' ', sort grep { $followers{$_}{resets} } keys %followers;
}

# Few rows, each of them large.
my %rows = (
	table     => 'public.big',
	one       => 'public.big:1',
	untouched => 'public.big:1000000',
	log       => 'public.log',
	pair      => 'public.log:1');
my %followers = followers(%rows);
$node->safe_psql('postgres',
	"INSERT INTO big SELECT i, (SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 300) AS j) FROM generate_series(1, 200) AS i"
);
is(resets(%followers), 'one table',
	'a transaction larger than the ring resets its own topics, and no others');
is(status($node, 'large_transactions'), 1, 'and is counted');
add_rows($node, 1);
$node->safe_psql('postgres', "UPDATE big SET body = 'short' WHERE id = 1");
$_->{resets} = 0 for values %followers;
is(resets(%followers), '', 'after it, events go on');
is(join(' ', map { $_->{type} . $_->{row}{id} } $followers{one}->events),
	'update1', 'and are told');

# A snapshot from before it has a cursor that tells of it.
my $session = Chatroom::Session->new($node);
my $count = $session->query(
	'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM big');
$node->safe_psql('postgres',
	"INSERT INTO big SELECT i, (SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 300) AS j) FROM generate_series(1001, 1200) AS i"
);
Chatroom::Follower->new($node)->catch_up;
my $cursor = $session->query('SELECT chatroom.snapshot_cursor()');
$session->query('COMMIT');
like(
	$session->query("SELECT chatroom.sync('public.big', '$cursor')"),
	qr/"reset":true/,
	'the cursor of a snapshot that does not see it is told to reset');

# More rows than the topic table has places.
%followers = followers(%rows);
$node->safe_psql('postgres',
	"INSERT INTO big SELECT i, 'x' FROM generate_series(10001, 30000) AS i");
is(resets(%followers), 'one table untouched',
	'one of many rows resets all of its table, and no other');

# Very many rows: the worker's memory is bounded.
sub memory_peak
{
	open my $fh, '<', '/proc/' . tailer_pid($node) . '/status' or die $!;
	my ($kb) = map { /^VmHWM:\s+(\d+) kB/ } <$fh>;
	close $fh;
	return $kb;
}
my $before = memory_peak();
$node->safe_psql('postgres',
	"INSERT INTO big SELECT i FROM generate_series(1000001, 2000000) AS i");
is(resets(%followers), 'one table untouched',
	'one of a million rows resets them, too');
cmp_ok(memory_peak() - $before, '<', 32 * 1024,
	'and takes less than 32 MB of memory');
is(status($node, 'assembly_bytes'), 0, 'which is given back');

# Readers while the ring turns round: what they are told is what is there.
my $writers = writers($node, clients => 4, rate => 4000);
my @readers = map { Chatroom::Follower->new($node, limit => $_) } 5, 100, 1000;
my $dir     = PostgreSQL::Test::Utils::tempdir();
PostgreSQL::Test::Utils::append_to_file("$dir/reader", <<'SQL');
SELECT chatroom.sync('public.log', NULL)->>'cursor' AS c \gset
\sleep 30 ms
SELECT 1 / (count(*) FILTER (WHERE e.key->>'id' IS DISTINCT FROM e.row->>'id' OR e.type NOT IN ('insert', 'reset') OR e.row->>'note' LIKE '%ed%' OR e.type = 'insert' AND l.id IS NULL) = 0)::int
FROM chatroom.events('public.log', ':c') AS e LEFT JOIN log AS l ON l.id = (e.key->>'id')::bigint AND l.xid::text = e.row->>'xid';
SQL
my $output = '';
my $checker = IPC::Run::start(
	[
		'pgbench', '-n', '-c', 4, '-T', 5, '-h', $node->host, '-p', $node->port,
		'-f', "$dir/reader", 'postgres'
	],
	'<', \undef, '>', \$output, '2>', \$output);
my $end = time() + 4;
while (time() < $end)
{
	$_->poll for @readers;
}
$checker->finish;
$writers->stop;
like($output, qr/number of failed transactions: 0 /,
	'readers of a ring that turns round see rows as they are in the table')
  or diag($output);
unlike($output, qr/error|abort/i, 'and nothing else');
cmp_ok(status($node, 'overwritten'), '>', status($node, 'events_kept'),
	'it did turn round');
foreach my $reader (@readers)
{
	$reader->catch_up;
	my @faults = grep { !/is missing/ } $reader->faults(watched_rows($node));
	is(scalar @faults, 0,
		"with a limit of $reader->{limit}, none came twice, in parts or out of order")
	  or diag(join "\n", grep { defined } @faults[ 0 .. 9 ]);
}
foreach my $reader (@readers)
{
	$reader->is_complete(
		"nor got lost: $reader->{resets} resets, " . @{ $reader->{log} } . ' events');
}
$node->stop;

# 100,000 subtransactions, half of them rolled back, in a ring that holds them.
$node = chatroom_node('wide', conf => "chatroom.cache_size = 128MB\n");
make_log($node);
my $follower = Chatroom::Follower->new($node);
$follower->follow;
$node->safe_psql('postgres', <<'SQL');
DO $$
BEGIN
	FOR i IN 1 .. 100000 LOOP
		BEGIN
			INSERT INTO log (n) VALUES (i);
			IF i % 2 = 0 THEN
				RAISE division_by_zero;
			END IF;
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
	END LOOP;
END $$;
SQL
$follower->catch_up;
$follower->is_exact('100,000 subtransactions, half of them rolled back');
$node->stop;
done_testing();
