# Growth: chatroom itself, with more of everything; a part of test/bench/run.
package Growth;

use strict;
use warnings;
use Exporter 'import';
use Bench;
use Compare;
use Peers;

our @EXPORT = qw(bench_growth);

my ($quick, $reps, $seconds);

sub bench_growth
{
	($quick, $reps, $seconds) = @_;

	grow_rooms();
	grow_ring();
	grow_sizes();
}

# Each of some cases of each of some lines, in turn: points of lines.
sub measure_lines
{
	my ($xs, @lines) = @_;
	my (@sides, @result);

	while (my ($name, $sub) = splice @lines, 0, 2)
	{
		push @result, [ $name, [] ];
		foreach my $x (@$xs)
		{
			push @sides, "$name $x" => sub { return $sub->($x); };
		}
	}
	my $values = interleave($reps, @sides);
	foreach my $line (@result)
	{
		push @{ $line->[1] }, [ $_, $values->{"$line->[0] $_"} ] foreach @$xs;
	}
	return \@result;
}

# Rooms: each message goes to a random one, each reader asks about one.
sub grow_rooms
{
	my @counts = grep { $_ <= $many_rooms } (1, 100, 10_000, 1_000_000);

	need_sides(qw(many watched_many));
	curve(
		key => 'rooms', part => 'growth', name => 'rooms, inserts by 8 clients',
		x => 'rooms', y => 'inserts/s',
		lines => measure_lines(\@counts,
			map {
				my ($name, $side) = @$_;
				$name => sub {
					return peer_slice($side, clients => 8, rooms => $_[0],
						seconds => $seconds)->{rate};
				}
			} [ 'no feed', 'many' ], [ 'chatroom', 'watched_many' ]));

	begin_slice('watched_many');
	write_messages('watched_many', '-c', 8, '-N', 1000, '-r', $many_rooms);
	my $cursor = sql('SELECT chatroom.snapshot_cursor()');
	curve(
		key => 'calls', part => 'growth',
		name => 'rooms, sync() without news by 8 clients',
		x => 'rooms', y => 'calls/s',
		lines => measure_lines(\@counts,
			'sync() of a random room' => sub {
				my ($count) = @_;

				return pgbench(script("growth_$count", <<"SQL"), 8, 1);
\\set room random(1, $count)
SELECT chatroom.sync('watched_many.messages.room_id:' || :room, '$cursor');
SQL
			}));
}

# Events in the ring, after the reader's cursor: it takes 100 of them.
sub grow_ring
{
	my @counts = grep { !$quick || $_ <= 10_000 }
	  (100, 1000, 10_000, 100_000, 1_000_000);
	my $left = $counts[-1];
	my %cursor;

	need_sides('watched');
	with_cache($quick ? '64MB' : '1536MB');
	begin_slice('watched');
	$cursor{$left} = sql('SELECT chatroom.snapshot_cursor()');
	foreach my $count (reverse 0, @counts[ 0 .. $#counts - 1 ])
	{
		my $turns = ($left - $count) / 100;

		sql(<<"SQL");
DO \$\$
BEGIN
	SET synchronous_commit = off;
	FOR i IN 1 .. $turns LOOP
		INSERT INTO watched.messages (room_id, username, text)
			SELECT 1, 'crimsun',
				'the same text of some seventy characters, message no. ' || n
			FROM generate_series(1, 100) AS n;
		COMMIT;
	END LOOP;
END;
\$\$
SQL
		$left = $count;
		$cursor{$count} = sql('SELECT chatroom.snapshot_cursor()') if $count;
	}
	settle();
	curve(
		key => 'ring', part => 'growth',
		name => 'events in the ring after the cursor, sync() of 100 by 8 clients',
		x => 'events', y => 'calls/s',
		lines => measure_lines(\@counts,
			'100 events' => sub {
				my $query = "SELECT chatroom.sync('watched.messages.room_id:1',"
				  . " '$cursor{$_[0]}', 100)";

				expect_events(100, $query);
				return pgbench(script("ring_$_[0]", "$query;\n"), 8, 1);
			}));
	with_cache(undef);
}

# Sizes of messages, which are not to be compressed.
sub grow_sizes
{
	need_sides(qw(plain watched));
	with_cache('1GB');
	curve(
		key => 'sizes', part => 'growth',
		name => 'sizes of messages, inserts by 8 clients',
		x => 'bytes', y => 'inserts/s',
		lines => measure_lines([ 10, 100, 1000, 10_000, 100_000 ],
			map {
				my ($name, $side) = @$_;
				$name => sub {
					return peer_slice($side, clients => 8, followers => 1,
						size => $_[0], seconds => $seconds)->{rate};
				}
			} [ 'no feed', 'none' ], [ 'chatroom, with a reader', 'chatroom' ]));
	with_cache(undef);
}

1;
