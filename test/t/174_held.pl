# What sessions hold on to: no files of WAL after an error, and little memory of
# caches that are gone.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;

plan skip_all => 'needs /proc of Linux' unless -d '/proc/self/fd';

my $node = chatroom_node('main', conf => "dynamic_shared_memory_type = mmap\n");

# Files of WAL that a process has open.
sub open_wal
{
	my ($pid) = @_;

	return scalar grep { m{/pg_wal/} } map { readlink($_) // '' } glob "/proc/$pid/fd/*";
}

# An error in the midst of reading: events over what pending() shows.
my $session = Chatroom::Session->new($node);
my $pid = $session->query('SELECT pg_backend_pid()');

$session->query('BEGIN');
$session->query(q(SELECT count(chatroom.broadcast('large', 'x', to_jsonb(repeat('x', 250000)))) FROM generate_series(1, 280)));
my $before = open_wal($pid);
for (1 .. 10)
{
	$session->query('SAVEPOINT before');
	$session->query(q(SELECT chatroom.pending('large')));
	like($session->error, qr/too many events/, 'pending() fails') if $_ == 1;
	$session->query('ROLLBACK TO before');
}
is(open_wal($pid), $before, 'pending() leaves no file open when it fails');
$session->query('ROLLBACK');

# Bytes that the segments take on disk.
sub segment_bytes
{
	my $bytes = 0;

	$bytes += (stat $_)[12] * 512 foreach glob $node->data_dir . '/pg_dynshmem/mmap.*';
	return $bytes;
}

$session->query(q(SELECT chatroom.sync('large')));
my $with_cache = segment_bytes();
cmp_ok($with_cache, '>', 16 * 1024 * 1024, 'a cache takes its size');
$node->safe_psql('postgres', 'SELECT chatroom.stop()');
cmp_ok(segment_bytes(), '<', $with_cache / 2,
	'a session that once read, and sleeps, does not keep the memory of a cache that is gone');
$node->safe_psql('postgres', 'SELECT chatroom.start()');
$session->query(q(SELECT chatroom.sync('large')));
cmp_ok(segment_bytes(), '<=', $with_cache, 'and lets go of the rest when it reads again');
$session->close;
$node->stop;
done_testing();
