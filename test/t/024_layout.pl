# A library that was replaced while the server runs, and takes shared memory to
# look otherwise, doesn't attach to it; the server and its other sessions go on.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('layout', preload => 0);
make_log($node);
my $follower = Chatroom::Follower->new($node);
$follower->follow;

# A copy of the library that another version's layout is told of in.
my $library = slurp_file(pkglibdir() . '/chatroom.so');
my $patched = $library =~ s/layout 1, %zu bytes/layout 0, %zu bytes/;
is($patched, 1, 'a library has its layout told in one place');
my $other = PostgreSQL::Test::Utils::tempdir() . '/other.so';
append_to_file($other, $library);

my ($ret, $out, $err) = $node->psql(
	'postgres', <<"SQL", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
CREATE FUNCTION pg_temp.other_start() RETURNS boolean
	AS '$other', 'chatroom_start' LANGUAGE c;
SELECT pg_temp.other_start();
SQL
isnt($ret, 0, 'another version of the library is refused');
like(
	$err,
	qr/55000: chatroom's shared memory is of another version of its library.*The server has "layout 1, \d+ bytes", the library "layout 0, \d+ bytes".*Restart the server/s,
	'and says what to do');
add_rows($node, 3);
$follower->catch_up;
$follower->is_exact('sessions with the library that the server has go on');
$node->stop;
done_testing();

sub pkglibdir
{
	my $dir = qx(pg_config --pkglibdir);

	chomp $dir;
	return $dir;
}
