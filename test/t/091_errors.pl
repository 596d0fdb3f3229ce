# docs/errors.md lists every message that the source can raise, with its
# SQLSTATE, and none that it can't.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;

# Names of SQLSTATEs, as the server's own list has them.
chomp(my $share = `pg_config --sharedir`);
my %sqlstate = map { /^(\w{5})\s+[EWS]\s+(ERRCODE_\w+)/ ? ($2 => $1) : () }
  split /\n/, slurp_file("$share/errcodes.txt");
cmp_ok(scalar keys %sqlstate, '>', 200, 'the server tells SQLSTATEs');

# The text between a position's parenthesis and the one that closes it.
sub argument
{
	my ($text, $from) = @_;
	my $depth = 1;

	pos($text) = $from;
	while ($text =~ /\G(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^"'()]|([()]))/gs)
	{
		$depth += $1 eq '(' ? 1 : -1 if defined $1;
		return substr($text, $from, pos($text) - $from - 1) if $depth == 0;
	}
	die 'no end of a call';
}

# A C format as the page writes it.
sub page_form
{
	my ($strings) = @_;
	my $text = join '', $strings =~ /"((?:[^"\\]|\\.)*)"/g;

	$text =~ s/\\(.)/$1/g;
	$text =~ s/%(?:[-+ #0]*[\d*]*(?:\.[\d*]+)?(?:ll?|z)?[a-zA-Z])/…/g;
	return $text;
}

# What the source raises: by message, its SQLSTATEs and where.
my %raised;
foreach my $file (sort glob 'src/*.c src/*/*.c')
{
	my $source = slurp_file($file);

	while ($source =~ /\bereport\(/g)
	{
		my $call  = argument($source, pos $source);
		my ($code) = $call =~ /errcode\((\w[^)]*)\)/;
		my $level = $call =~ /^\s*(\w+)/ ? $1 : '';

		while ($call =~ /\berrmsg\(/g)
		{
			my $strings = argument($call, pos $call);
			my ($format) = $strings =~ /^((?:\s*(?:"(?:[^"\\]|\\.)*"|\w*INT64\w*))+)/;
			my $state =
			  !defined $code ? ($level eq 'ERROR' ? 'XX000' : '00000')
			  : $sqlstate{$code} // 'as the cause';
			push @{ $raised{ page_form($format // '') }{$state} }, $file;
		}
	}
}
# What functions in plpgsql raise, by the names of conditions.
my %condition = map { /^(\w{5})\s+[EWS]\s+ERRCODE_\w+\s+(\w+)/ ? ($2 => $1) : () }
  reverse split /\n/, slurp_file("$share/errcodes.txt");
foreach my $file (sort glob 'sql/install/*.sql')
{
	my $source = slurp_file($file);

	while ($source =~ /\bRAISE (\w+) USING\s+MESSAGE = (?:format\()?'((?:[^']|'')*)'/g)
	{
		my ($name, $message) = ($1, $2);

		$message =~ s/''/'/g;
		$message =~ s/%[sIL]/…/g;
		push @{ $raised{$message}{ $condition{$name} // $name } }, $file;
	}
}

cmp_ok(scalar keys %raised, '>', 50, 'the source raises errors');

# What the page lists.
my ($ours) = split /^<!-- not ours -->/m, slurp_file('docs/errors.md');
utf8::decode($ours);
my %listed;
while ($ours =~ /^\| ([^|]+?) \| `([^`]+)` \|/gm)
{
	$listed{$2}{$1} = 1;
}

foreach my $message (sort keys %raised)
{
	my $decoded = $message;

	utf8::decode($decoded);
	foreach my $state (sort keys %{ $raised{$message} })
	{
		ok($listed{$decoded}{$state},
			"listed: $state $message")
		  or diag("raised in @{ $raised{$message}{$state} }");
	}
}
foreach my $message (sort keys %listed)
{
	my $encoded = $message;

	utf8::encode($encoded);
	foreach my $state (sort keys %{ $listed{$message} })
	{
		ok($raised{$encoded}{$state}, "raised: $state $encoded");
	}
}

done_testing();
