# Several databases in one cluster: the worker is in nobody's way when they are
# dropped, renamed or copied, and they know nothing of each other.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;
use Time::HiRes qw(time);

# Caches are files here, which can be told from others by their size: that of
# the setting, and some kB for connections.
my $node = chatroom_node(
	'databases',
	conf => <<'CONF');
dynamic_shared_memory_type = mmap
chatroom.cache_size = 4MB
chatroom.max_presence = 16
chatroom.retain_wal = 512MB
max_wal_size = 2GB
CONF
make_log($node);

sub segments
{
	my @files = grep { int((-s $_) / 1024**2) == 4 }
	  glob $node->data_dir . '/pg_dynshmem/mmap.*';

	return scalar @files;
}

# A database with a watched log.
sub make_database
{
	my ($name) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name,      'CREATE EXTENSION chatroom');
	make_log($node, db => $name);
	return;
}

# Databases that have a cache, by name.
sub cached_databases
{
	return $node->safe_psql('postgres',
		"SELECT string_agg(coalesce(database, 'gone'), ' ' ORDER BY database) FROM chatroom.status WHERE cache_bytes IS NOT NULL"
	);
}

# Run a statement that must not be blocked; says how long it took.
sub unblocked
{
	my ($name, $sql, %options) = @_;
	my $start = time();
	my ($ret, $out, $err) = $node->psql('postgres', $sql);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($err, '', $name);
	note(sprintf '%s: %.0f ms', $sql, (time() - $start) * 1000);
	return $ret == 0;
}

# ---- two databases

make_database('two');
my $one = Chatroom::Follower->new($node);
my $two = Chatroom::Follower->new($node, db => 'two');
$_->follow for $one, $two;
is(cached_databases(), 'postgres two', 'each database has a cache');
is(segments(), 2, 'each cache is a segment');

my @writers = (writers($node, clients => 2, rate => 200),
	writers($node, clients => 2, rate => 200, db => 'two'));
my $end = time() + 1.5;
while (time() < $end)
{
	$_->poll(sub { time() < $end }) for $one, $two;
}
$_->stop for @writers;
$_->catch_up for $one, $two;
$one->is_exact('a database is told of its own changes');
$two->is_exact('and the other of its own, under the same names');

# A cursor of one is no cursor of the other.
my $foreign = Chatroom::Follower->new($node, db => 'two');
$foreign->{cursor} = $one->{cursor};
$foreign->follow;
is($foreign->{resets}, 1, "another database's cursor is reset");
like(status($node, 'resets', 'two'), qr/"cursor": 1/, 'for that reason');
$foreign->catch_up;
is($foreign->{resets}, 1, 'and what it is told then is good');
$foreign->{session}->close;

# ---- rename, copy, drop

$two->{session}->close;
unblocked('a database can be renamed',
	'ALTER DATABASE two RENAME TO renamed');
$two->{db} = 'renamed';
$two->{session} = Chatroom::Session->new($node, 'renamed');
$two->catch_up;
$two->is_exact('a renamed database keeps its cursors');
is(cached_databases(), 'postgres renamed', 'it is known by its new name');

$two->{session}->close;
unblocked('a database can be a template',
	'CREATE DATABASE copy TEMPLATE renamed');
unblocked('also of a copy file by file',
	'CREATE DATABASE copy2 TEMPLATE renamed STRATEGY file_copy');
my $copy = Chatroom::Follower->new($node, db => 'copy');
$copy->{cursor} = $two->{cursor};
$copy->follow;
is($copy->{resets}, 1, "the template's cursor is reset in the copy");
$copy->{resets} = 0;
add_rows($node, 3, 'copy');
add_rows($node, 5, 'renamed');
$copy->catch_up;
is(scalar @{ $copy->{log} }, 4, 'the copy is told of its own rows alone');

# Someone listens, so there is a notifier.
$copy->{session}->query("SELECT chatroom.listen('public.log')");
poll_until('a notifier runs',
	sub { status($node, 'notifier_pid IS NOT NULL', 'copy') eq 't' });
$copy->{session}->close;
is(segments(), 3, 'there are three caches');
unblocked('a database can be dropped that someone listened in',
	'DROP DATABASE copy');
poll_until('the cache is gone',
	sub { segments() == 2 && cached_databases() !~ /copy|gone/ });
is(segments(), 2, 'its cache is given back');
is(cached_databases(), 'postgres renamed', 'and is in the status no more');
unblocked('so can one that nobody ever used', 'DROP DATABASE copy2');

# ---- the extension is dropped and made anew

my $old = Chatroom::Follower->new($node, db => 'renamed');
$old->follow;
$two->{session} = Chatroom::Session->new($node, 'renamed');
$two->catch_up;
$node->safe_psql('renamed', 'DROP EXTENSION chatroom CASCADE');
add_rows($node, 3, 'renamed');
is($old->poll, undef, 'without the extension there is no answer');
like($old->{error}, qr/schema "chatroom" does not exist/, 'but an error');
$node->safe_psql('renamed',
	"CREATE EXTENSION chatroom; SELECT chatroom.watch('log')");
published($node, 'renamed');
$old->follow;
is($old->{resets}, 1, 'an extension made anew resets');
$old->{resets} = 0;
$old->{log}    = [];
add_rows($node, 3, 'renamed');
$old->catch_up;
is(scalar @{ $old->{log} } . " $old->{resets}",
	'4 0', 'and what comes after is told');
$one->catch_up;
$one->is_exact('other databases did not notice');

# ---- dropped under load

$old->{session}->close;
$two->{session}->close;
my $writers  = writers($node, clients => 4, rate => 500, db => 'renamed');
my $follower = Chatroom::Follower->new($node, db => 'renamed');
$follower->follow;
$follower->catch_up;
$end = time() + 0.5;
while (time() < $end)
{
	$follower->poll(sub { time() < $end });
	$one->poll;
}
my $waiter = Chatroom::Session->new($node, 'renamed');
$waiter->send(
	"CALL chatroom.wait(ARRAY['public.log'], '$follower->{cursor}', '10s')");
unblocked(
	'a database can be dropped by force while it is written to and waited in',
	'DROP DATABASE renamed WITH (FORCE)');
$writers->finish;
$follower->{session}->close;
$waiter->close;
poll_until('the cache is gone',
	sub { segments() == 1 && cached_databases() !~ /renamed|gone/ });
is(segments(), 1, 'its cache is given back');
is(cached_databases(), 'postgres', 'and is in the status no more');
$one->catch_up;
$one->is_exact('others go on');

# ---- while the worker rebuilds after a restart

make_database('busy');
$node->safe_psql('busy',
	"INSERT INTO log (writer, note) SELECT 0, repeat('x', 300) FROM generate_series(1, 300)"
) for 1 .. 3;
my $script = PostgreSQL::Test::Utils::tempdir() . '/script';
PostgreSQL::Test::Utils::append_to_file($script,
	"INSERT INTO log (writer, note) SELECT 0, repeat('x', 300) FROM generate_series(1, 300)\n"
);
$node->command_ok(
	[ 'pgbench', '-n', '-c', 2, '-t', 250, '-f', $script, 'busy' ],
	'there is much to rebuild from');
$one->catch_up;
make_database("victim$_") for 1 .. 3;
Chatroom::Follower->new($node, db => "victim$_")->follow for 1 .. 3;
my $session = Chatroom::Session->new($node);
my $busy    = Chatroom::Follower->new($node, db => 'busy');
$busy->follow;
my $rebuilding = 0;

# Do something while the worker rebuilds; says whether it still did afterwards.
sub while_rebuilding
{
	my ($name, $sql) = @_;
	my $start = status($node, 'tailer_starts');
	my $state = '';

	kill 'TERM', tailer_pid($node);
	my $seen = poll_until(
		"the worker rebuilds",
		sub {
			$state = $session->query(
				"SELECT state FROM chatroom.status WHERE database = 'postgres' AND tailer_starts > $start"
			);
			return $state eq 'rebuilding' || $state eq 'running';
		});
	my $begin = time();
	unblocked($name, $sql);
	my $after = $session->query('SELECT DISTINCT state FROM chatroom.status');
	note("state before: $state, after: $after");
	$rebuilding++ if $state eq 'rebuilding' && $after eq 'rebuilding';
	wait_running($node);
	return;
}

while_rebuilding('a database can be dropped meanwhile',
	'DROP DATABASE victim1');
while_rebuilding('and renamed', 'ALTER DATABASE victim2 RENAME TO victim4');
while_rebuilding('and copied', 'CREATE DATABASE copy TEMPLATE victim4');
# Where others' processes were in the way, the worker may have been done before
# any of them.
for (my $i = 0; !$rebuilding && $i < 10; $i++)
{
	while_rebuilding('renamed again', 'ALTER DATABASE victim3 RENAME TO victim5');
	while_rebuilding('and back', 'ALTER DATABASE victim5 RENAME TO victim3');
}
cmp_ok($rebuilding, '>', 0, "$rebuilding of them while it rebuilt all the time");
poll_until('the cache is gone',
	sub { segments() == 4 && cached_databases() !~ /victim1|gone/ });
is( cached_databases(),
	'busy postgres victim3 victim4',
	'what was dropped meanwhile has no cache');
is(segments(), 4, 'nor a segment');
$_->catch_up for $one, $busy;
$one->is_exact('cursors stay good over it');
is($busy->{resets}, 0, 'where much was rebuilt, too');

# A server that restarts meets in WAL what was dropped before.
$node->restart;
$_->catch_up for $one, $busy;
$one->is_exact('also over a restart of the server');
unlike(cached_databases(), qr/victim1|gone/,
	'after which what was dropped before has no cache');
unblocked('after it a database can be dropped at once',
	'DROP DATABASE victim4');
$node->stop;
done_testing();
