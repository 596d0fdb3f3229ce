# Plot: pictures of comparisons and curves, by gnuplot.
package Plot;

use strict;
use warnings;
use Exporter 'import';
use Bench;
use Compare;

our @EXPORT = qw(can_plot draw_plots);

my $out = $ENV{CHATROOM_OUT};

# A colour of its own for each side, the same in all pictures: of the palette
# of Okabe and Ito, which the colour blind can tell apart.
my %colour = (
	none   => '#999999', notify => '#e69f00', decode => '#56b4e9',
	outbox => '#009e73', pgq    => '#cc79a7', redis  => '#d55e00',
	chatroom => '#0072b2', wait => '#000000', alone => '#f0c808');

# Draw all that there are figures for; the pictures' names, by part. One that
# can't be drawn is left out.
sub draw_plots
{
	my %by_key = map { $_->{key} => $_ } comparisons(), curves();
	my %drawn;
	my @plots = (
		[ cost => 'insert', 900, 1, lines($by_key{insert}, 'clients') ],
		[ cost => 'cost', 900, 2, bars($by_key{cpu}),
			bars($by_key{wal}) ],
		[ delay => 'latency', 900, 2,
			bars($by_key{latency}, qr/^idle/), bars($by_key{latency}, qr/^loaded/) ],
		[ followers => 'followers', 900, 2,
			lines($by_key{followers}, 'followers'),
			lines($by_key{delivered}, 'followers') ],
		[ catchup => 'catchup', 500, 1, bars($by_key{catchup}) ],
		[ idle => 'memory', 900, 1, bars($by_key{memory}) ],
		[ growth => 'growth', 900, 2,
			map { curve_lines($by_key{$_}) } qw(rooms calls fanout ring sizes) ]);

	foreach my $plot (@plots)
	{
		my ($part, $name, $width, $columns, @panels) = @$plot;

		next unless @panels;
		if (eval { draw($name, $width, $columns, @panels); 1 })
		{
			push @{ $drawn{$part} }, "benchmarks-$name.svg";
		}
		else
		{
			left_out("the picture $name", "gnuplot failed, see plot-$name.log");
		}
	}
	return \%drawn;
}

# Is there a gnuplot?
sub can_plot { return grep { -x "$_/gnuplot" } split /:/, $ENV{PATH}; }

sub draw
{
	my ($name, $width, $columns, @panels) = @_;
	my $rows = int((@panels + $columns - 1) / $columns);
	my $height = 380 * $rows;
	my $file = "$out/plot-$name.gp";

	open my $fh, '>', $file or die "$file: $!";
	print $fh <<"GNUPLOT";
set terminal svg size $width,$height dynamic noenhanced font 'sans-serif,11' background '#ffffff'
set output '$out/benchmarks-$name.svg'
set encoding utf8
set border 3
set tics nomirror
set grid ytics linetype 1 linecolor rgb '#dddddd'
set rmargin 5
set key outside below horizontal samplen 2
set multiplot layout $rows,$columns
GNUPLOT
	print $fh $_ foreach @panels;
	print $fh "unset multiplot\n";
	close $fh;
	command("gnuplot $file 2> $out/plot-$name.log");
}

my $blocks = 0;

# Lines over a number: of clients, say. Rounds' least and most as bars.
sub lines
{
	my ($c, $x) = @_;

	return () unless $c;
	my ($data, @drawn) = ('');
	foreach my $side (grep { $c->{cells}{$_} } map { $_->[0] } @Compare::sides)
	{
		my $name = '$d' . ++$blocks;

		$data .= "$name << EOD\n";
		foreach my $column (@{ $c->{columns} })
		{
			my $values = $c->{cells}{$side}{ $column->[0] } // next;
			$data .= point($column->[0], $values);
		}
		$data .= "EOD\n";
		push @drawn, "$name using 1:2:3:4 with yerrorlines linewidth 1.5"
		  . " pointtype 7 pointsize 0.5 linecolor rgb '$colour{$side}'"
		  . ' title ' . quoted(title($side));
	}
	return axes($c->{name}, $x, $c->{unit}, map { $_->[0] } @{ $c->{columns} })
	  . $data
	  . "set yrange [0:*]\nplot " . join(", \\\n  ", @drawn) . "\n";
}

# The lines of a curve.
sub curve_lines
{
	my ($curve) = @_;

	return () unless $curve;
	my ($data, @drawn, %x) = ('');
	my @colours = @colour{qw(none chatroom redis)};
	@colours = reverse @colours[ 0, 1 ] if $curve->{lines}[0][0] ne 'no feed';
	foreach my $line (@{ $curve->{lines} })
	{
		my $name = '$d' . ++$blocks;

		$data .= "$name << EOD\n";
		$data .= point(@$_) foreach @{ $line->[1] };
		$x{ $_->[0] } = 1 foreach @{ $line->[1] };
		$data .= "EOD\n";
		push @drawn, "$name using 1:2:3:4 with yerrorlines linewidth 1.5"
		  . " pointtype 7 pointsize 0.5 linecolor rgb '" . shift(@colours) . "'"
		  . ' title ' . quoted($line->[0]);
	}
	my $log = $curve->{key} eq 'fanout'
	  ? "set logscale y\nset yrange [*:*]\n" : "set yrange [0:*]\n";
	return axes($curve->{name} =~ s/, (?=sync\(\) of)/,\\n/r,
		$curve->{x}, $curve->{y},
		sort { $a <=> $b } keys %x)
	  . $data . $log . 'plot ' . join(", \\\n  ", @drawn) . "\n";
}

# Bars, a group for each column whose label fits; on a scale of factors where
# they differ much.
sub bars
{
	my ($c, $which) = @_;

	return () unless $c;
	my @columns = grep { !$which || $_->[1] =~ $which } @{ $c->{columns} };
	my @present = grep { $c->{cells}{$_} } map { $_->[0] } @Compare::sides;
	my $name = '$d' . ++$blocks;
	my $data = "$name << EOD\n";
	my $n = 0;
	my (@drawn, @medians);

	foreach my $column (@columns)
	{
		my ($label) = (split /, /, $column->[1])[-1];
		my $groups = @columns > 1;

		$data .= join(' ', quoted($groups ? $label : ''),
			map {
				my $values = $c->{cells}{$_}{ $column->[0] };
				push @medians, median(@$values) if $values;
				$values ? median(@$values) : '-'
			} @present) . "\n";
	}
	$data .= "EOD\n";
	@medians = sort { $a <=> $b } grep { $_ > 0 } @medians;
	my $log = @medians && $medians[-1] > 30 * $medians[0];
	foreach my $side (@present)
	{
		$n++;
		push @drawn, "$name using " . ($n + 1) . ':xtic(1) title '
		  . quoted(title($side)) . " linecolor rgb '$colour{$side}'";
	}
	my $what = $which && $columns[0][1] =~ /^(\w+), / ? ", $1" : '';
	return "set datafile missing '-'\n"
	  . "set style data histogram\nset style histogram clustered gap 1\n"
	  . "set style fill solid 0.9 noborder\nset boxwidth 0.9\n"
	  . "unset logscale\nset format y '"
	  . (@medians && $medians[-1] > 100 ? '%.0f' : '%g') . "'\n"
	  . ($log ? "set logscale y\nset yrange [*:*]\n" : "set yrange [0:*]\n")
	  . 'set title ' . quoted("$c->{name}$what") . "\nunset xlabel\n"
	  . 'set ylabel ' . quoted($c->{unit}) . "\nset xtics autofreq\n"
	  . sprintf("set xrange [-0.6:%g]\n", @columns - 0.4) . $data
	  . 'plot ' . join(", \\\n  ", @drawn) . "\n";
}

sub axes
{
	my ($title, $x, $y, @at) = @_;
	my $tics = join ', ', map { quoted(thousands($_)) . ' ' . place($_) } @at;
	my @range = map { place($_) } @at[ 0, -1 ];

	return "unset logscale\nset logscale x\n"
	  . sprintf("set xrange [%g:%g]\n", $range[0] / 1.3, $range[1] * 1.3)
	  . 'set title ' . quoted($title) . "\nset xlabel " . quoted($x)
	  . "\nset ylabel " . quoted($y) . "\nset xtics ($tics)\n"
	  . "set format y '%.0f'\n";
}

# Where a number is, on an axis of factors, which has no 0.
sub place { return $_[0] || 0.3; }

sub point
{
	my ($x, $values) = @_;
	my @sorted = sort { $a <=> $b } @$values;

	return join(' ', place($x), median(@sorted), $sorted[0], $sorted[-1]) . "\n";
}

sub quoted { return '"' . ($_[0] =~ s/"/'/gr) . '"'; }

1;
