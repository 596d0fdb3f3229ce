# The pages of docs/: their examples run, their numbers are as measured, and
# what they refer to exists.
use strict;
use warnings;
use Chatroom::Test;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my %pages = map { $_ => slurp_file($_) } ('README.md', glob 'docs/*.md');
my $node = chatroom_node('docs');

# Run text in one psql; what it printed.
sub run_psql
{
	my ($db, $text, $what) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(
		[
			'psql', '-XAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db)
		],
		'<', \$text, '>', \$out, '2>', \$err);
	is($?, 0, "$what: no error") or diag($err);
	return $out;
}

# Examples: all of a page's in one session, in a database of their own. Those
# marked "prints" must print what stands behind them.
foreach my $page (sort grep { m{^docs/} } keys %pages)
{
	my (@code, @expected);

	while ($pages{$page} =~
		/^<!-- test: (run|prints) -->\n```sql\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?/gms)
	{
		push @code, "$2;\n\\echo ---- end of block\n";
		push @expected, $1 eq 'prints' ? $3 // 'a block of text' : undef;
	}
	next unless @code;
	$node->safe_psql('postgres', 'CREATE DATABASE example');
	my @printed = split /^---- end of block\n/m,
	  run_psql('example', join('', "\\set QUIET on\n", @code),
		"examples of $page");
	foreach my $i (grep { defined $expected[$_] } 0 .. $#expected)
	{
		my ($title) = $code[$i] =~ /\A(.*)/;

		is($printed[$i] =~ s/^\n//mgr, $expected[$i],
			"$page prints what it says: $title");
	}
	$node->safe_psql('postgres', 'DROP DATABASE example');
}

# Sizes: the table's rows, and what the statements print.
my $page = $pages{'docs/how-it-works.md'};
my ($table) = $page =~ /^<!-- test: sizes -->\n(\|.*?)\n\n/ms;
my ($statements) = $page =~ /^<!-- test: sizes -->\n```sql\n(.*?)^```/ms;
my @rows = map { [ map { s/,//gr } /([\d,]+)/g ] }
  grep { /^\| \d/ } split /\n/, $table;
my @printed = split /\n/,
  run_psql('postgres', $statements, 'the statements that measure sizes');
@printed = grep { /^\d+(\|\d+\|\d+)?$/ } @printed;
my $cache = pop @printed;

# As near as 15 %: versions and settings differ a little.
sub near
{
	my ($listed, $measured, $what) = @_;

	cmp_ok(abs($listed - $measured), '<=', 0.15 * $measured,
		"$what: $listed is listed, $measured measured");
}

is(scalar @printed, scalar @rows, 'each row of the table is measured');
foreach my $row (@rows)
{
	my ($text, $wal, $watched, $ring, @events) = @$row;
	my ($m_wal, $m_watched, $m_ring) = split /\|/, shift @printed;

	near($wal, $m_wal, "WAL of an INSERT of $text bytes");
	near($watched, $m_watched, "WAL of it, watched, $text bytes");
	near($ring, $m_ring, "bytes in the ring, $text bytes");
	near($events[$_], $cache * 4**$_ / $m_ring,
		'events in ' . 16 * 4**$_ . " MB, $text bytes")
	  foreach 0 .. $#events;
}

# Links, and files that are named.
foreach my $name (sort keys %pages)
{
	my @missing;
	(my $dir = $name) =~ s{[^/]*$}{};

	foreach my $link ($pages{$name} =~ /\]\(([^)\s]+)\)/g)
	{
		my ($file, $anchor) = split /#/, $link, 2;
		my $target = $file eq '' ? $name : "$dir$file";

		next if $link =~ /^https?:/;
		1 while $target =~ s{[^/]+/\.\./}{};
		if (!-e $target)
		{
			push @missing, $link;
			next;
		}
		next unless defined $anchor;
		my %anchors = map {
			my $heading = lc;
			$heading =~ s/[`]//g;
			$heading =~ s/[^\w\- ]//g;
			$heading =~ s/ /-/g;
			$heading => 1
		} slurp_file($target) =~ /^#+ (.*)$/gm;
		push @missing, $link unless $anchors{$anchor};
	}
	foreach my $file ($pages{$name} =~ /`(test\/[\w\/.]+)`/g)
	{
		push @missing, $file unless -e $file;
	}
	is("@missing", '', "$name: what it refers to exists");
}

done_testing();
