# Without a cache nobody waits in a hot loop, and the status says why there is
# none: the worker was stopped, or others have taken all places.
use strict;
use warnings;
use Chatroom::Test;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('main', conf => "chatroom.max_databases = 2\n");

$node->safe_psql('postgres', 'CREATE TABLE notes (id int PRIMARY KEY); SELECT chatroom.watch(\'notes\'); SELECT chatroom.migrate(); SELECT chatroom.create_room(\'lobby\')');
my $since = $node->safe_psql('postgres', q(SELECT chatroom.sync('public.notes')->>'cursor'));

# What a wait of 300 ms answers, and whether it took as long.
sub answer
{
	my ($database, $arguments, $procedure) = @_;
	my ($status, $out, $err) = $node->psql($database, <<"SQL");
SELECT clock_timestamp() AS begin \\gset
CALL chatroom.@{[ $procedure // 'wait' ]}($arguments, timeout => '300 ms') \\gset
SELECT (:'answer'::json)->>'reset';
SELECT clock_timestamp() - :'begin' >= '300 ms';
SQL

	$out =~ s/\n/ /g;
	return $out . ($err =~ /ERROR:  (.*)/ ? " $1" : '');
}

# A call that sleeps.
sub start_wait
{
	my ($database, $arguments, $procedure) = @_;
	my %wait = (out => '', err => '');

	$procedure //= 'wait';
	$wait{run} = IPC::Run::start(
		[
			'psql', '-XAtq', '-d', $node->connstr($database), '-c',
			"SET application_name = 'waiting $database'", '-c',
			"CALL chatroom.$procedure($arguments, timeout => '1 min')"
		],
		'>', \$wait{out}, '2>', \$wait{err},
		IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default));
	poll_until(
		"$procedure sleeps in $database",
		sub {
			$node->safe_psql('postgres', <<"SQL") eq 't';
SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'waiting $database'
AND query LIKE 'CALL%' AND wait_event IN ('Extension', 'ChatroomWait')
SQL
		});
	return \%wait;
}

# What it answered in the end.
sub finish
{
	my ($wait) = @_;

	$wait->{run}->finish;
	return $wait->{out} . $wait->{err};
}

# Stopped.
my $asleep = start_wait('postgres', "'{public.notes}', '$since'");
$node->safe_psql('postgres', 'SELECT chatroom.stop()');
is(answer('postgres', "'{public.notes}', '$since'"), 'true t', 'wait answers at its timeout when stopped');
is(answer('postgres', "'{public.notes}', NULL"), 'true t', 'also without a cursor');
is( answer('postgres', "'lobby', '$since'", 'follow_room'),
	' chatroom has no running worker, or no cache for this database',
	'follow_room, too, with an error');
is(status($node, 'problem'), 'The worker was stopped: chatroom.start() starts it again.',
	'the status says why');
my $fresh = start_wait('postgres', "'{public.notes}', NULL");
$node->safe_psql('postgres', 'INSERT INTO notes VALUES (1); SELECT chatroom.start()');
like(finish($_), qr/"reset":true/, 'who waits is told to reload when there is a cache')
  foreach $asleep, $fresh;
is(status($node, 'problem IS NULL'), 't', 'and all is well');

# No place.
foreach my $database (qw(second third))
{
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database,
		'CREATE EXTENSION chatroom; CREATE TABLE notes (id int PRIMARY KEY); SELECT chatroom.watch(\'notes\')');
	$since = $node->safe_psql($database, q(SELECT chatroom.sync('public.notes')->>'cursor'));
}
is(answer('third', "'{public.notes}', '$since'"),
	'true t', 'wait answers at its timeout where others have taken all places');
is( $node->safe_psql('third', 'SELECT problem FROM chatroom.status WHERE database = current_database()'),
	'2 databases have a cache, and no more can: raise chatroom.max_databases.',
	'the status says that');
is( $node->safe_psql('second', 'SELECT problem IS NULL, cache_bytes > 0 FROM chatroom.status WHERE database = current_database()'),
	't|t', 'where there is one, all is well');
$asleep = start_wait('third', "'{public.notes}', '$since'");
$node->safe_psql('postgres', 'DROP DATABASE second');
like(finish($asleep), qr/"reset":true/, 'it comes when another database goes');
is($node->safe_psql('third', 'SELECT problem IS NULL FROM chatroom.status WHERE database = current_database()'),
	't', 'then all is well there, too');

$node->append_conf('postgresql.conf', "chatroom.max_databases = 3000\n");
$node->restart;
is($node->safe_psql('postgres', q(SELECT chatroom.sync('public.notes')->>'cursor' IS NOT NULL)),
	't', 'the setting makes room');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
my ($status, $out, $err) = $node->psql('postgres', q(SELECT chatroom.sync('public.notes')->>'cursor' IS NOT NULL; SHOW chatroom.max_databases));
is($out, "t\n64", 'without preloading the limit is what it is');
like($err, qr/parameter "chatroom.max_databases" cannot be changed/, 'and that is told');
$node->stop;
done_testing();
