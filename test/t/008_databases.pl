# Several databases, and what is done to them while the worker runs.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;
use Time::HiRes qw(time);

my $node = chatroom_node('main', conf => <<'CONF');
chatroom.cache_size = 32MB
chatroom.retain_wal = 2GB
allow_in_place_tablespaces = on
CONF
make_log($node);
my @databases = ('postgres', 'other');

# What must not wait for anybody.
sub quickly
{
	my ($sql) = @_;
	my ($status, $out, $err) =
	  $node->psql('template1', "SET statement_timeout = '5s'; $sql");

	return $status == 0 ? '' : $err;
}

# Databases are independent, also over a crash.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other',    'CREATE EXTENSION chatroom');
make_log($node, db => 'other');
my %followers = map { $_ => Chatroom::Follower->new($node, db => $_) } @databases;
$_->follow for values %followers;
my @writers = map { writers($node, db => $_, clients => 4, rate => 500) } @databases;
my $end = time() + 1;
while (time() < $end)
{
	$_->poll for values %followers;
}
crash($node);
start_again($node);
$_->stop for @writers;
foreach my $db (@databases)
{
	$followers{$db}->catch_up;
	$followers{$db}->is_exact("two databases with writers, and a crash: $db");
}

# Nobody is in the way of DROP, RENAME and a template's copy: not a worker that
# has a cache for the database, ...
$node->safe_psql('postgres', 'CREATE DATABASE victim');
$followers{other}{session}->close;
is(quickly('CREATE DATABASE copy TEMPLATE other'),
	'', 'a watched database can be copied');
is(quickly('ALTER DATABASE copy RENAME TO renamed'),
	'', 'a copy can be renamed');
is(quickly('ALTER DATABASE other RENAME TO another'),
	'', 'a watched database can be renamed');
my $renamed = Chatroom::Follower->new($node, db => 'another');
$renamed->{$_} = $followers{other}{$_} for qw(cursor log rows);
$renamed->catch_up;
$renamed->is_exact('its cursors go on');
my $copied = Chatroom::Follower->new($node, db => 'renamed');
$copied->{cursor} = $followers{other}{cursor};
$copied->follow;
is($copied->{resets}, 1, 'they are not good in the copy');
$copied->catch_up;
$copied->is_complete('where events are told from now on');
$_->{session}->close for $renamed, $copied;
is($node->safe_psql('postgres', 'SELECT count(*) FROM chatroom.status'),
	3, 'each has its own cache');
is(quickly('DROP DATABASE renamed'), '', 'a watched database can be dropped');
poll_until('its cache is gone',
	sub { $node->safe_psql('postgres', 'SELECT count(*) FROM chatroom.status') == 2 });

# ... nor one that rebuilds its caches.
$node->safe_psql('postgres', <<'SQL') for 1 .. 15;
INSERT INTO log (writer) SELECT -2 FROM generate_series(1, 20000)
SQL
$followers{postgres}->catch_up;
my $session    = Chatroom::Session->new($node);
my $rebuilding = 0;
my $failed     = '';
for my $round (1 .. 3)
{
	my $tailer = tailer_pid($node);

	kill 'TERM', $tailer;
	poll_until(
		'the worker starts again',
		sub {
			$session->query(
				"SELECT state IN ('rebuilding', 'running') AND tailer_pid <> $tailer FROM chatroom.status"
			) =~ /^t/;
		});
	$failed .= quickly("CREATE DATABASE copy$round TEMPLATE victim");
	$failed .= quickly("ALTER DATABASE copy$round RENAME TO gone$round");
	$failed .= quickly("DROP DATABASE gone$round");
	$rebuilding++
	  if $session->query('SELECT state FROM chatroom.status LIMIT 1') =~
	  /rebuilding/;
	wait_running($node);
}
is($failed, '', 'nor is a worker that rebuilds its caches in the way');
note("it still rebuilt afterwards in $rebuilding of 3 rounds");
$followers{postgres}->follow;
$followers{postgres}->catch_up;
$followers{postgres}->is_complete('and nothing is missing then');

# A database that moves to another tablespace looks dropped in WAL.
$renamed->follow;
$renamed->{session}->close;
$node->safe_psql('postgres', q(CREATE TABLESPACE elsewhere LOCATION ''));
add_rows($node, 1, 'another');
is(quickly('ALTER DATABASE another SET TABLESPACE elsewhere'),
	'', 'a watched database can be moved to another tablespace');
add_rows($node, 1, 'another');
$renamed->catch_up;
$renamed->is_complete('nothing is missing then');

# The extension goes and comes back under writers' hands.
my $writers = writers($node, rate => 300);
$end = time() + 1;
$followers{postgres}->poll_while(sub { time() < $end });
$node->safe_psql('postgres', 'DROP EXTENSION chatroom CASCADE');
poll_until('sync is gone',
	sub { !defined $followers{postgres}->poll });
like($followers{postgres}{error}, qr/^ERROR: +(42883|3F000)/,
	'DROP EXTENSION while clients write and follow');
add_rows($node, 1);
$node->safe_psql('postgres',
	"CREATE EXTENSION chatroom; SELECT chatroom.watch('log')");
$writers->stop;
$followers{postgres}{resets} = 0;
$followers{postgres}->follow;
is($followers{postgres}{resets}, 1,
	'and back again: who followed before is told to reset');
$followers{postgres}->catch_up;
$followers{postgres}->is_complete('and nothing is missing');
$node->stop;
done_testing();
