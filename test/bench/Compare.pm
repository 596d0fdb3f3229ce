# Compare: figures of several sides at once, their ratios, and who wins.
#
# A comparison is a table: its rows are sides (the feeds), its columns cases
# (numbers of clients, say). Each cell has a value of each round; its ratio is
# taken of each round's pair with the same column of the row that it is
# compared with, which is no feed at all where that makes sense.
package Compare;

use strict;
use warnings;
use Exporter 'import';
use Bench;

our @EXPORT = qw(compare comparisons curve curves title
  ratio_text ratio_section compare_sections wins_section compare_json);

# What the sides are called, in the order of the tables; a package's version
# may be part of it, so Peers.pm sets it.
our @sides = (
	[ none     => 'no feed' ],
	[ notify   => 'pg_notify' ],
	[ decode   => 'wal2json' ],
	[ outbox   => 'outbox' ],
	[ pgq      => 'PgQ' ],
	[ redis    => 'Redis Streams' ],
	[ chatroom => 'chatroom' ],
	[ wait     => 'chatroom, wait()' ],
	[ alone    => 'chatroom, no reader' ]);
my %ours = map { $_ => 1 } qw(chatroom wait alone);
my (@comparisons, @curves);

sub title
{
	my ($side) = @_;
	my ($found) = grep { $_->[0] eq $side } @sides;

	return $found ? $found->[1] : $side;
}

sub comparisons { return @comparisons; }
sub curves { return @curves; }

# Report a comparison: key, part, name, unit, better (more or less), columns
# as [id, label], cells{side}{column} as values, and base, the side compared
# with; missing{side}{column} is why there is none.
sub compare
{
	my (%c) = @_;

	$c{base} //= 'none';
	foreach my $side (keys %{ $c{cells} })
	{
		foreach my $column (keys %{ $c{cells}{$side} })
		{
			my $values = $c{cells}{$side}{$column};
			my $base = $c{cells}{ $c{base} }{$column};

			$c{median}{$side}{$column} = median(@$values);
			next unless $base;
			$c{ratio}{$side}{$column} = spread(pairs($values, $base));
		}
	}
	push @comparisons, \%c;
	print "\n", text_table([ "  $c{name}", map { $_->[1] } @{ $c{columns} } ],
		map {
			my $side = $_;
			[ '    ' . title($side),
				map { cell(\%c, $side, $_->[0]) } @{ $c{columns} } ]
		} rows(\%c));
}

# The ratios of each round's pair, or of the medians, where the rounds were not
# the same.
sub pairs
{
	my ($values, $base) = @_;

	return median(@$values) / (median(@$base) || 1) if @$values != @$base;
	return map { $values->[$_] / ($base->[$_] || 1) } 0 .. $#$values;
}

# Report how something grows: key, name, x and y as what the axes are of, and
# lines as [name, [[x, [values]], ...]].
sub curve
{
	my (%curve) = @_;

	push @curves, \%curve;
	print "\n", text_table([ "  $curve{name}" ],
		map {
			my ($name, $points) = @$_;
			map { [ "    $name, $curve{x}: " . thousands($_->[0]),
				range(spread(@{ $_->[1] }), \&number) . " $curve{y}" ] } @$points
		} @{ $curve{lines} });
}

# The sides that a comparison has.
sub rows
{
	my ($c) = @_;

	return grep { $c->{cells}{$_} || $c->{missing}{$_} } map { $_->[0] } @sides;
}

# A value, with its ratio.
sub cell
{
	my ($c, $side, $column) = @_;
	my $values = $c->{cells}{$side}{$column};
	my $ratio = $c->{ratio}{$side}{$column};

	return $c->{missing}{$side}{$column} ? 'not possible' : '—' if !$values;
	return (@$values > 1 ? range(spread(@$values), \&number)
		: number($values->[0]))
	  . ($ratio && $side ne $c->{base} ? ' ×' . ratio($ratio->{median}) : '');
}

# ----------------------------------------------------------- all the ratios

sub ratio_rows
{
	my @rows;
	my %seen = map { $_ => 1 } map { rows($_) } @comparisons;
	my @columns = grep { $seen{$_} } map { $_->[0] } @sides;

	foreach my $c (@comparisons)
	{
		foreach my $column (@{ $c->{columns} })
		{
			push @rows, [
				"$c->{name}, $column->[1]" . ($c->{better} eq 'less' ? ' ↓' : ''),
				map {
					my $ratio = $c->{ratio}{$_}{ $column->[0] };
					$c->{missing}{$_}{ $column->[0] } ? 'not possible'
					  : $ratio ? ratio($ratio->{median}) : '—'
				} @columns
			];
		}
	}
	return ([ 'ratio', map { title($_) } @columns ], @rows);
}

# As text.
sub ratio_text
{
	return '' unless @comparisons;
	return text_table(ratio_rows()) . "↓: less is better.\n" . reasons("\n")
	  . "\n";
}

# Why something isn't there.
sub reasons
{
	my ($between) = @_;
	my (@reasons, %seen);

	foreach my $c (@comparisons)
	{
		foreach my $side (sort keys %{ $c->{missing} // {} })
		{
			foreach my $column (sort keys %{ $c->{missing}{$side} })
			{
				my $reason = $c->{missing}{$side}{$column};
				push @reasons, 'Not possible: ' . title($side) . ", $c->{name}"
				  . ($reason =~ s/^all: // ? '' : " ($column)") . ": $reason"
				  unless $seen{"$side $c->{key} $reason"}++;
			}
		}
	}
	return join '', map { "$_$between" } @reasons;
}

# ---------------------------------------------------------------- who wins

# Why a peer is ahead where it is: by the comparison's key and side. Hand
# written; shown only where the figures say so.
my %why = (
	'insert notify' => 'With few writers nobody waits for the lock that NOTIFY'
	  . ' takes at commit, and no worker wants a part of a core: the committing'
	  . ' backend wakes the listener itself.',
	'insert decode' => 'There is no trigger in the writer\'s way: what the log'
	  . ' has anyway is decoded afterwards, by another process.',
	'insert outbox' => 'One more row in the same commit is cheap, and a poller'
	  . ' that asks ten times a second takes hundreds of rows at a time, with'
	  . ' next to no CPU. It pays in latency, and for deleting what was read,'
	  . ' which is not counted here.',
	'insert pgq' => 'One more row in the same commit is cheap, and its readers'
	  . ' take a batch ten times a second, with next to no CPU. It pays in'
	  . ' latency.',
	'insert redis' => 'XADD is a short visit to another process, and adds'
	  . ' nothing to the database\'s log. It is no part of the transaction: what'
	  . ' is committed when the writer dies before its XADD is never told,'
	  . ' messages can be in another order than their commits, and nothing'
	  . ' checks who may read them.',
	'cpu notify' => 'Nothing is logged or kept: the payload goes through a queue'
	  . ' in memory to who listens just now.',
	'cpu decode' => 'The writer does nothing more, and one decoder does the work'
	  . ' for its one reader. With each further reader all of it is done again.',
	'cpu outbox' => 'Ten batches a second cost less than an answer each time'
	  . ' that something is new.',
	'cpu pgq' => 'Ten batches a second cost less than an answer each time that'
	  . ' something is new.',
	'cpu redis' => 'Redis adds bytes to a list in memory, without JSON, rights or'
	  . ' snapshots.',
	'wal notify' => 'A notification is not logged at all: nobody gets it who was'
	  . ' not there when it was sent, and it doesn\'t reach a standby.',
	'wal decode' => 'The row is in the log anyway; wal_level = logical adds a'
	  . ' little to it. An event of chatroom is the row as text once more, which'
	  . ' is what spares readers the decoding.',
	'wal outbox' => 'The outbox logs the row once more, as chatroom does.',
	'wal pgq' => 'PgQ logs the row once more, as chatroom does.',
	'wal redis' => 'Redis writes a file of its own, which is not counted here'
	  . ' (appendonly yes, appendfsync everysec).',
	'followers' => 'Without followers chatroom\'s worker still reads and publishes'
	  . ' all there is. With them, who reads in batches at fixed times leaves the'
	  . ' writers more of the CPU than who reads as soon as something is new.',
	'followers redis' => 'Without followers chatroom\'s worker still reads and'
	  . ' publishes all there is. With them, Redis serves all in one process,'
	  . ' without rights or snapshots.',
	'followers notify' => 'With few listeners a notification costs next to'
	  . ' nothing.',
	'followers decode' => 'Without a trigger, and while there are cores left for'
	  . ' the decoding.',
	'delivered' => 'Where writers are faster, there is more to deliver.',
	'delivered redis' => 'One process copies the same bytes to all its readers:'
	  . ' no process for each reader, no row-level security, no snapshot.',
	'delivered outbox' => 'A reader takes up to 1,000 rows in a plain index scan'
	  . ' each 100 ms, late but cheap.',
	'latency notify' => 'The committing backend wakes the listener itself:'
	  . ' nobody is in between. With chatroom the worker and, with listen(), the'
	  . ' notifier and a query are.',
	'latency decode' => 'The walsender is woken by the flush itself, before the'
	  . ' writer is told, and sends what it decodes; it doesn\'t wait until others'
	  . ' can see the row, so a reader may look for it in vain.',
	'latency redis' => 'Redis wakes its reader in the same turn in which it takes'
	  . ' the message. The writer\'s XADD comes after its commit, though, so the'
	  . ' reader is told later than the database has it.',
	'latency outbox' => 'Readers that ask every 100 ms leave the CPU to others.',
	'latency pgq' => 'Readers that ask every 100 ms leave the CPU to others.',
	'catchup outbox' => 'Rows by an index, in the order in which they are'
	  . ' stored, as they are: no rights to check, no topics, no old values.',
	'catchup pgq' => 'Rows by an index, in batches as large as they come, as'
	  . ' they are stored.',
	'catchup redis' => 'Bytes from the memory of one process, as they are.',
	'catchup decode' => 'The decoder streams without being asked again; an'
	  . ' answer of chatroom is asked for each 1,000 events, and has topics,'
	  . ' keys and a cursor with each.',
	'memory notify' => 'A session that only listens has run nothing else.'
	  . ' chatroom\'s has its function\'s plan and catalogs, and the pages of the'
	  . ' ring that it looked at.',
	'memory outbox' => 'A session that polls is any session with one plan.',
	'memory pgq' => 'A session with three plans.',
	'memory decode' => 'A walsender has no catalogs loaded until it decodes'
	  . ' something. The slot itself is not counted: it keeps WAL, and the'
	  . ' catalogs from being vacuumed.',
	'memory redis' => 'A client of Redis is a buffer in one process; a session of'
	  . ' PostgreSQL is a process. A pooler in front, with sync() or follow_room()'
	  . ' through it, shares sessions.');

# Where a peer is ahead of every way to read that chatroom has.
sub wins_section
{
	my (@items, %found, @order);

	foreach my $c (@comparisons)
	{
		my $sign = $c->{better} eq 'more' ? 1 : -1;

		foreach my $side (grep { !$ours{$_} && $_ ne 'none' } rows($c))
		{
			foreach my $column (@{ $c->{columns} })
			{
				my $id = $column->[0];
				my $theirs = $c->{median}{$side}{$id} // next;
				my ($best) = sort { $sign * ($b->[1] <=> $a->[1]) }
				  map { [ $_, $c->{median}{$_}{$id} ] }
				  grep { defined $c->{median}{$_}{$id} } qw(chatroom wait);
				$best //= [ alone => $c->{median}{alone}{$id} ];
				next unless defined $best->[1];
				my $pairs = spread(pairs($c->{cells}{$side}{$id},
					$c->{cells}{ $best->[0] }{$id}));
				next unless $sign * ($pairs->{median} <=> 1) > 0;

				my $close = $pairs->{min} <= 1 && $pairs->{max} >= 1;
				push @order, "$c->{key} $side" unless $found{"$c->{key} $side"};
				push @{ $found{"$c->{key} $side"} },
				  (@{ $c->{columns} } > 1 ? "$column->[1]: " : '')
				  . number($theirs) . ' against '
				  . number($best->[1]) . ($best->[0] eq 'wait' ? ' by wait()' : '')
				  . ($close ? ' (not in all rounds)' : '');
			}
			my $key = "$c->{key} $side";
			next unless $found{$key} && !ref $found{$key}[0];
			my $why = $why{$key} // $why{ $c->{key} }
			  // 'No reason is known yet.';
			push @items, '- **' . title($side) . "**, $c->{name} ($c->{unit}): "
			  . join('; ', @{ delete $found{$key} }) . ". $why\n";
		}
	}
	return "No peer was ahead of chatroom in any of these figures.\n"
	  unless @items;
	return join '', @items;
}

# -------------------------------------------------------------- the sections

# Of a part, for the page: tables and pictures.
sub compare_sections
{
	my ($part) = @_;
	my $text = '';

	foreach my $c (grep { $_->{part} eq $part } @comparisons)
	{
		$text .= "### $c->{name}\n\n" . ($c->{about} ? "$c->{about}\n\n" : '')
		  . markdown_table(
			[ (@{ $c->{columns} } > 1 ? $c->{unit} : ''), map { $_->[1] } @{ $c->{columns} } ],
			map {
				my $side = $_;
				[ title($side), map { cell($c, $side, $_->[0]) } @{ $c->{columns} } ]
			} rows($c))
		  . "\n\n";
	}
	foreach my $curve (grep { $_->{part} eq $part } @curves)
	{
		$text .= "### $curve->{name}\n\n"
		  . markdown_table(
			[ $curve->{x}, map { "$_->[0], $curve->{y}" } @{ $curve->{lines} } ],
			curve_rows($curve)) . "\n\n";
	}
	return $text;
}

# A row for each x of a curve's lines.
sub curve_rows
{
	my ($curve) = @_;
	my %at;

	foreach my $line (@{ $curve->{lines} })
	{
		$at{ $_->[0] }{ $line->[0] } = $_->[1] foreach @{ $line->[1] };
	}
	return map {
		my $x = $_;
		[ thousands($x), map {
			my $values = $at{$x}{ $_->[0] };
			$values ? range(spread(@$values), \&number) : '—'
		} @{ $curve->{lines} } ]
	} sort { $a <=> $b } keys %at;
}

# The table of all ratios, for the page.
sub ratio_section
{
	my ($head, @rows) = ratio_rows();

	return markdown_table($head, @rows) . "\n\n↓: less is better.\n\n"
	  . reasons("\n\n");
}

# All of it, for programs.
sub compare_json
{
	return {
		sides => { map { $_->[0] => $_->[1] } @sides },
		comparisons => \@comparisons,
		curves => \@curves };
}

1;
