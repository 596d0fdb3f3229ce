# No memory for a database's cache: writers go on, readers are told to reset and
# why, and when there is memory again the cache comes.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

# Readers get resets and no error that they would not expect; writers nothing.
sub without_cache
{
	my ($node, $what) = @_;
	my $follower = Chatroom::Follower->new($node);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	add_rows($node, 10);
	$follower->follow;
	$follower->{cursor} //= '';
	$follower->{resets} = 0;
	$follower->follow;
	is($follower->{resets}, 1, "$what: who follows is told to reset");
	$follower->is_complete("$what: and can read the rows");
	add_rows($node, 10);
	is( $node->safe_psql('postgres', 'SELECT count(*) >= 20 FROM log'),
		't',
		"$what: writers go on");
	is(status($node, 'cache_failed'), 't', "$what: the status tells");
	is(status($node, 'state'), 'running', "$what: the worker runs");

	my ($ret, $out, $err) = $node->psql('postgres',
		"CALL chatroom.wait(ARRAY['public.log'], '$follower->{cursor}', '1s')");
	like($out, qr/"reset":true/, "$what: who waits is told to reset");
	($ret, $out, $err) =
	  $node->psql('postgres', 'SELECT chatroom.snapshot_cursor()');
	like($err, qr/no running worker, or no cache/,
		"$what: there is no cursor of a snapshot");
	$node->psql('postgres', "SELECT chatroom.$_")
	  for "listen('public.log')", "channel('public.log')", 'stat_reset()';
	is( $node->safe_psql('postgres', "SELECT chatroom.cached('log', '{\"id\": 1}') IS NULL, count(*) FROM chatroom.stat_topics"),
		't|0',
		"$what: nothing is cached");
	return $follower;
}

# When there is memory again, all is as it should be.
sub with_cache
{
	my ($node, $follower, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	poll_until(
		'there is a cache',
		sub {
			$follower->follow;
			status($node, 'cache_failed IS FALSE AND cache_bytes > 0') eq 't';
		});
	$follower->{resets} = 0;
	$follower->follow;
	$follower->catch_up;
	$follower->{resets} = 0;
	add_rows($node, 10);
	$follower->catch_up;
	is($follower->{resets}, 0, "$what: events are told again");
	$follower->is_complete("$what: and nothing is missing");
	return;
}

# ---- no file can be made

my $node = chatroom_node(
	'permission',
	create => 0,
	conf   => "dynamic_shared_memory_type = mmap\n");
my $dir = $node->data_dir . '/pg_dynshmem';
chmod 0500, $dir or die "$dir: $!";
$node->safe_psql('postgres', 'CREATE EXTENSION chatroom');
make_log($node);
my $follower = without_cache($node, 'no permission');
ok( $node->log_contains(qr/could not open shared memory segment/),
	'the log tells why');
chmod 0700, $dir or die "$dir: $!";
with_cache($node, $follower, 'with permission');

# Other databases' caches are not touched.
chmod 0500, $dir or die "$dir: $!";
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other',    'CREATE EXTENSION chatroom');
make_log($node, db => 'other');
my $other = Chatroom::Follower->new($node, db => 'other');
$other->follow;
is(status($node, 'cache_failed', 'other'),
	't', 'another database can get no cache');
$follower->{resets} = 0;
$follower->catch_up;
is($follower->{resets}, 0, 'and one that has its own goes on');
$node->safe_psql('postgres', 'DROP DATABASE other WITH (FORCE)');
chmod 0700, $dir or die "$dir: $!";
$node->stop;

# ---- /dev/shm is too small

SKIP:
{
	my @enter = ('unshare', '--user', '--map-root-user', '--mount');
	my @leave = ('unshare', '--user', '--map-user=1000', '--map-group=1000');
	my $mount = 'mount -t tmpfs -o size=8m tmpfs /dev/shm';

	skip 'no namespaces here, so /dev/shm can not be made small', 11
	  if system("@enter sh -c '$mount && @leave true' >/dev/null 2>&1") != 0;

	my $small = chatroom_node('small', start => 0);
	system_or_bail(@enter, 'sh', '-c',
		"$mount && exec @leave pg_ctl -w -s -D '"
		  . $small->data_dir
		  . "' -l '"
		  . $small->logfile
		  . "' start >/dev/null");
	$small->_update_pid(1);
	$small->safe_psql('postgres', 'CREATE EXTENSION chatroom');
	make_log($small);
	my $follower = without_cache($small, 'small /dev/shm');
	ok( $small->log_contains(qr/could not resize shared memory segment .*No space left/),
		'the log tells why');
	$small->safe_psql('postgres',
		"ALTER SYSTEM SET chatroom.cache_size = '4MB'");
	$small->safe_psql('postgres',
		'ALTER SYSTEM SET chatroom.max_presence = 1000');
	$small->reload;
	with_cache($small, $follower, 'with a smaller cache');
	$small->stop;
}
done_testing();
