# One place of the source takes on other rights, and nothing that it misses is
# done elsewhere.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;

my @found;
foreach my $file (sort glob 'src/*.[ch] src/*/*.[ch]')
{
	push @found, $file if slurp_file($file) =~ /\bSetUserId\w*\s*\(/;
}
is_deeply(\@found, ['src/base/owner.c'],
	'the user is changed with the security context and search_path');

# each statement of the install script, without its comments
foreach my $file (sort glob 'sql/install/*.sql')
{
	my $source = slurp_file($file);

	$source =~ s/--.*//g;
	while ($source =~ /\bCREATE (?:FUNCTION|PROCEDURE) (chatroom\w*\.\w+)(.*?)\bAS\s+['\$]/gs)
	{
		my ($name, $options) = ($1, $2);

		next if $options =~ /\bLANGUAGE c\b/i && $options !~ /\bSECURITY DEFINER\b/i;
		like($options, qr/\bSET search_path = pg_catalog, pg_temp\b/,
			"$name fixes its search_path");
	}
}

done_testing();
