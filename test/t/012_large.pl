# What is too large: transactions for the ring and for the worker's memory,
# many subtransactions, many topics, and a ring that wraps around under those
# who read it.
#
# With CHATROOM_LONG set (make test-long) with more rows.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $rows = $ENV{CHATROOM_LONG} ? 1_000_000 : 200_000;
my $node = chatroom_node('large', conf => <<'CONF');
chatroom.cache_size = 1MB
max_wal_size = 4GB
CONF
make_log($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE big (id serial PRIMARY KEY, room int, text text);
CREATE TABLE calm (id serial PRIMARY KEY, text text);
SELECT chatroom.watch('big', topic_columns => '{room}'), chatroom.watch('calm');
SQL

# A follower of a topic that is not the log's.
sub follow
{
	my ($topic, $on) = @_;
	my $follower = Chatroom::Follower->new($on // $node, topics => [$topic]);

	$follower->follow;
	return $follower;
}

# Anonymous memory of the worker, in kB: without the caches.
sub memory
{
	my ($pid) = @_;
	my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s*(\d+) kB/m;

	return $kb;
}

# Run statements and return the most memory that the worker had until its
# follower was told of them.
sub memory_while
{
	my ($on, $sql) = @_;
	my $pid     = tailer_pid($on);
	my $most    = memory($pid);
	my $session = Chatroom::Session->new($on);
	my $target;

	$session->send($sql);
	poll_until(
		'the worker has read it all',
		sub {
			my $now = memory($pid);

			$most = $now if $now > $most;
			return 0 unless $session->done;
			$target //= $on->safe_psql('postgres',
				'SELECT pg_current_wal_flush_lsn()');
			return $on->safe_psql('postgres',
				"SELECT published_lsn >= '$target' FROM chatroom.status WHERE database = 'postgres'"
			) eq 't';
		});
	is($session->answer . $session->error, '', 'it is written');
	is(tailer_pid($on), $pid, 'and the worker lived through it');
	return $most;
}

# ---- a transaction larger than the ring

my %followers = map { $_ => follow($_) } 'public.log', 'public.calm',
  'public.big', 'public.big.room:1', 'public.big.room:2', 'public.big:61',
  'public.big:1000';
my $insert =
  "INSERT INTO big (room, text) SELECT 1, repeat('x', 20000) FROM generate_series(1, 60)";

# The topics that are reset now.
sub reset_topics
{
	my @reset;

	poll_until(
		'all is published',
		sub {
			my $target =
			  $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
			return poll_until('all is published',
				sub { status($node, "published_lsn >= '$target'") eq 't' });
		});
	foreach my $topic (sort keys %followers)
	{
		my $follower = $followers{$topic};

		$follower->{resets} = 0;
		$follower->follow;
		push @reset, $topic if $follower->{resets};
	}
	return "@reset";
}

is(reset_topics(), '', 'nobody is reset at first');
$node->safe_psql('postgres', "BEGIN; $insert; ROLLBACK");
is(reset_topics(), '', 'nor by a large transaction that is rolled back');
$node->safe_psql('postgres', $insert);
is( reset_topics(),
	'public.big public.big.room:1 public.big:61',
	'a transaction larger than the ring resets its topics, and only them');
is(status($node, 'large_transactions'), 1, 'it is counted');
$node->safe_psql('postgres', "BEGIN; INSERT INTO calm VALUES (DEFAULT); $insert; COMMIT");
is( reset_topics(),
	'public.big public.big.room:1 public.calm',
	'all of its topics');
$node->safe_psql('postgres', "INSERT INTO big (room) VALUES (1), (2)");
is(reset_topics(), '', 'after that they go on');
is( $followers{'public.big'}{log}[-1]{type},
	'insert', 'and are told what happens');

# More topics than the topic table has: then nothing is known of any.
$node->safe_psql('postgres',
	"INSERT INTO big (room) SELECT g FROM generate_series(1, 20000) g");
like(reset_topics(), qr/public\.big public\.big\.room:1 public\.big\.room:2/,
	'a transaction with more topics than there is room for resets, too');
is(reset_topics(), '', 'once');

# ---- the ring wraps around, and topics are evicted, under readers

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE rooms (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
CREATE TABLE messages (
	id bigserial PRIMARY KEY,
	room int NOT NULL REFERENCES rooms,
	n int NOT NULL,			-- 1, 2, ... of its room
	text text NOT NULL,
	sum text NOT NULL);		-- of text
INSERT INTO rooms SELECT generate_series(1, 3000);
CREATE TABLE seen (
	reader int,
	room int,
	n int,
	cursor text,
	PRIMARY KEY (reader, room));
CREATE SEQUENCE told;
CREATE SEQUENCE resets;
SELECT chatroom.watch('messages');

-- What a client of a room does: it knows the room's last message, and asks what
-- came then. Told to reset it looks into the table.
CREATE FUNCTION follow(me int, asked int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	known seen;
	answer json;
	event json;
	message json;
	again boolean;
BEGIN
	SELECT * INTO known FROM seen WHERE reader = me AND room = asked;
	IF FOUND THEN
		answer := chatroom.sync('public.messages.room:' || asked, known.cursor, 20);
		again := (answer ->> 'reset')::boolean;
		FOR event IN SELECT json_array_elements(answer -> 'events') LOOP
			message := event -> 'row';
			IF event ->> 'type' IS DISTINCT FROM 'insert'
				OR (message ->> 'room')::int IS DISTINCT FROM asked
				OR (message ->> 'n')::int IS DISTINCT FROM known.n + 1
				OR md5(message ->> 'text') IS DISTINCT FROM message ->> 'sum'
				OR event -> 'topics' ->> 0 IS DISTINCT FROM 'public.messages.room:' || asked
			THEN
				RAISE 'after % of room % came %', known.n, asked, event;
			END IF;
			known.n := known.n + 1;
			PERFORM nextval('told');
		END LOOP;
		known.cursor := answer ->> 'cursor';
	END IF;
	IF known.reader IS NULL OR again THEN
		PERFORM nextval('resets') WHERE again;
		BEGIN
			SELECT me, id, n, chatroom.snapshot_cursor() INTO known
			FROM rooms WHERE id = asked;
		EXCEPTION WHEN object_not_in_prerequisite_state THEN
			RETURN;		-- try again
		END;
	END IF;
	INSERT INTO seen SELECT known.*
	ON CONFLICT (reader, room) DO UPDATE SET n = known.n, cursor = known.cursor;
END $$;
SQL

my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/write", <<'SQL');
\set room random_zipfian(1, 3000, 1.1)
\set size random(1, 3000)
WITH r AS (UPDATE rooms SET n = n + 1 WHERE id = :room RETURNING id, n)
INSERT INTO messages (room, n, text, sum)
SELECT id, n, t, md5(t) FROM r, LATERAL repeat(chr(65 + n % 26), :size) t;
SQL
append_to_file("$dir/read", <<'SQL');
\set room random_zipfian(1, 3000, 1.1)
SELECT follow(:client_id, :room);
SQL
$node->safe_psql('postgres', 'SELECT chatroom.stat_reset()');

# For 6 seconds, and again on a machine that doesn't get far in that time.
my ($told, $resets, $overwritten, $evicted);
foreach my $round (1 .. 10)
{
	my @runs = map {
		my ($script, $clients) = @$_;
		my $run = { name => $script, out => '', err => '' };

		$run->{run} = IPC::Run::start(
			[
				'pgbench', '-n', '-c', $clients, '-j', 1, '-T', 6,
				'-f', "$dir/$script", '-M', 'prepared',
				$node->connstr('postgres')
			],
			'<', \undef, '>', \$run->{out}, '2>', \$run->{err});
		$run;
	} [ 'write', 3 ], [ 'read', 6 ];
	foreach my $run (@runs)
	{
		$run->{run}->finish;
		is($run->{run}->result(0), 0,
			"clients that $run->{name} while the ring wraps around")
		  or diag($run->{err});
	}
	($told, $resets, $overwritten, $evicted) = split /\|/,
	  $node->safe_psql('postgres',
		'SELECT t.last_value, r.last_value, overwritten, topics_evicted FROM told t, resets r, chatroom.status WHERE database = current_database()'
	  );
	last if $told > 500 && $resets > 1 && $overwritten > 1000 && $evicted > 1000;
}
note("$told told, $resets resets, $overwritten overwritten, $evicted topics evicted");
cmp_ok($told,        '>', 500,  'they were told what happened');
cmp_ok($resets,      '>', 1,    'or were told to reset');
cmp_ok($overwritten, '>', 1000, 'while the ring wrapped around');
cmp_ok($evicted,     '>', 1000, 'and topics were evicted');

my $behind = poll_until(
	'all read to the end',
	sub {
		return $node->safe_psql('postgres', <<'SQL') =~ /^0\z/m;
SELECT count(follow(reader, room)) FROM seen WHERE room <= 20;
SELECT count(*) FROM seen JOIN rooms ON id = room WHERE room <= 20 AND seen.n <> rooms.n;
SQL
	});
ok($behind, 'in the end nothing is missing');
$node->stop;

# ---- a huge transaction, and many subtransactions

my $huge = chatroom_node('huge', conf => <<'CONF');
chatroom.cache_size = 128MB
chatroom.retain_wal = 1GB
max_wal_size = 8GB
CONF
make_log($huge);
my $follower = Chatroom::Follower->new($huge);
$follower->follow;
$follower->catch_up;

$huge->safe_psql('postgres', 'CREATE TABLE wide (id serial PRIMARY KEY, text text); SELECT chatroom.watch($$wide$$)');
my $wide = follow('public.wide', $huge);
my $before = memory(tailer_pid($huge));
my $most   = memory_while($huge,
	"INSERT INTO wide (text) SELECT repeat('x', 400) FROM generate_series(1, $rows)");
note("$rows rows: the worker's memory grew from $before to $most kB");
cmp_ok($most - $before, '<', 24 * 1024,
	"a transaction of $rows rows takes less than 24 MB of the worker's memory");
is(status($huge, 'transactions_reread'), 1, 'its WAL was read again');
$wide->follow;
is($wide->{resets}, 1, 'it was larger than the ring');
cmp_ok(status($huge, 'topics_evicted'), '<', 100,
	'and its many topics did not push out those of others');

# Small enough for the ring, too large to be kept.
$wide->{resets} = 0;
$huge->safe_psql('postgres',
	"INSERT INTO wide (text) SELECT repeat('x', 400) FROM generate_series(1, 40000)");
poll_until('all is told', sub { $wide->follow; @{ $wide->{log} } >= 40000 });
poll_until('memory is given back',
	sub { memory(tailer_pid($huge)) < $before + 16 * 1024 });
cmp_ok(memory(tailer_pid($huge)), '<', $before + 16 * 1024,
	'the memory to read one again that fits the ring is given back');
is(scalar @{ $wide->{log} } . " $wide->{resets}",
	'40000 0', 'one that is read again is told completely');

$before = memory(tailer_pid($huge));
$most   = memory_while($huge, <<'SQL');
DO $$
BEGIN
	FOR i IN 1 .. 100000 LOOP
		BEGIN
			INSERT INTO log (writer, n) VALUES (0, i);
			IF i % 10 = 0 THEN
				RAISE division_by_zero;
			END IF;
		EXCEPTION WHEN division_by_zero THEN
		END;
	END LOOP;
END $$
SQL
note("100,000 subtransactions: from $before to $most kB");
cmp_ok($most - $before, '<', 96 * 1024,
	'100,000 subtransactions take less than 96 MB');
$follower->catch_up;
$follower->is_exact('and are told completely');
poll_until('memory is given back',
	sub { memory(tailer_pid($huge)) < $before + 48 * 1024 });
cmp_ok(memory(tailer_pid($huge)), '<', $before + 48 * 1024,
	'what was not for keeping them is given back');
$huge->stop;
done_testing();
