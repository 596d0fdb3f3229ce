# Presence: how fast people come, stay and are counted; a part of test/bench/run.
package Presence;

use strict;
use warnings;
use Exporter 'import';
use Bench;

our @EXPORT = qw(bench_presence);

# A script whose session doesn't wait for the disk, as track() doesn't.
sub eager
{
	my ($name, $statement) = @_;

	return script("presence_$name", <<"SQL");
\\if :ready = 0
SET synchronous_commit = off;
\\set ready 1
\\endif
\\set n random(1, 1000000000000)
$statement;
SQL
}

# Leases end soon, so that there is room for those who come; each is told of
# twice, and all of it happens on the same cores.
my $join = "SELECT chatroom.track('bench', :n::text, '{\"status\": \"online\"}', '100 ms')";

# Bytes of WAL that a call makes.
sub wal_bytes
{
	my ($call) = @_;

	return sql(<<"SQL");
SELECT (b - a) / 1000 FROM
	(SELECT pg_current_wal_insert_lsn() AS a OFFSET 0) AS x,
	LATERAL (SELECT count(chatroom.$call) AS n FROM generate_series(1, 1000) AS n WHERE a IS NOT NULL OFFSET 0) AS y,
	LATERAL (SELECT pg_current_wal_insert_lsn() AS b WHERE y.n = 1000 OFFSET 0) AS z
SQL
}

sub bench_presence
{
	my ($reps, $seconds) = @_;
	my $made = "SELECT events FROM chatroom.status";
	my %script = (
		join => eager('join', $join),
		broadcast => eager('broadcast',
			"SELECT chatroom.broadcast('bench', 'join', jsonb_build_object('key', :n::bigint))"),
		message => eager('message',
			"SELECT pg_logical_emit_message(false, 'other', repeat('x', 90) || :n::text)"),
		renewal => eager('renewal',
			"SELECT chatroom.track('bench', 'typist', '{\"typing\": true}', '5 s')"),
		nothing => eager('nothing', 'SELECT :n::bigint'),
		presence => eager('presence', "SELECT chatroom.presence('full')"));

	sql('SELECT chatroom.start()');
	sql("SELECT chatroom.sync('bench')");
	my $result = interleave($reps,
		map {
			my $side = $_;
			$side => sub {
				my $rate = pgbench($script{$side}, 8, $seconds);
				settle();
				return $rate;
			}
		} qw(join broadcast message renewal nothing));
	figure(
		name   => 'joins with a lease, 8 clients',
		unit   => 'joins/s',
		ours   => [ 'track()', $result->{join} ],
		theirs => [ 'broadcast()', $result->{broadcast} ],
		limits => 'Each join ends after 100 ms, which the worker tells, too:'
		  . ' two events, of which one is written by the worker.');
	figure(
		name   => 'joins with a lease, 8 clients',
		unit   => 'joins/s',
		ours   => [ 'track()', $result->{join} ],
		theirs => [ 'a message in WAL that nobody reads', $result->{message} ],
		limits => 'What is left of it is the table, and the worker.');
	figure(
		name   => 'renewals of one lease, 8 clients',
		unit   => 'calls/s',
		ours   => [ 'track()', $result->{renewal} ],
		theirs => [ 'SELECT of a parameter', $result->{nothing} ]);

	# no more than asked for, and no fewer
	my (@joins, @events);
	foreach my $rep (1 .. $reps)
	{
		my $before = sql($made);
		push @joins,
		  Bench::run_pgbench(
			Bench::pgbench_command($script{join}, 8, undef, '-T', $seconds,
				'-R', 1000));
		settle();
		push @events, (sql($made) - $before) / $seconds;
	}
	note(
		name   => 'asked for 1,000 joins/s, 8 clients',
		unit   => 'joins/s',
		values => \@joins);
	note(
		name   => 'the same: joins and leaves told',
		unit   => 'events/s',
		values => \@events);

	# of a thousand that come, and go, at once
	my @wal = map { wal_bytes("track('full', 'user' || n, '{\"status\": \"online\"}')") } 1 .. $reps;
	note(
		name   => 'WAL of a join',
		unit   => 'bytes',
		values => \@wal);

	sql("SELECT count(chatroom.track('full', 'user' || n, '{\"status\": \"online\"}', '1 hour')) FROM generate_series(1, 1000) n");
	note(
		name   => 'presence() of 1,000, 8 clients',
		unit   => 'calls/s',
		values => [ map { pgbench($script{presence}, 8, $seconds) } 1 .. $reps ]);
	sql("SELECT count(chatroom.untrack('full', 'user' || n)) FROM generate_series(1, 1000) n");
}

1;
