# The extension belongs to no schema of the user's, and makes its own.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('main', create => 0);
my $file = "$PostgreSQL::Test::Utils::tmp_check/extension_dump";

# A watched table with an event, outside of public.
my $use = <<'SQL';
CREATE SCHEMA app;
CREATE TABLE app.notes (id int PRIMARY KEY, text text);
SELECT chatroom.watch('app.notes');
SELECT chatroom.snapshot_cursor() AS start \gset
INSERT INTO app.notes VALUES (1, 'one');
CALL chatroom.wait('{app.notes}', :'start') \gset
SELECT :'answer'::json #>> '{events,0,row,text}';
SQL

$node->safe_psql('postgres', 'CREATE DATABASE bare');
$node->safe_psql('bare', 'DROP SCHEMA public; CREATE EXTENSION chatroom');
is($node->safe_psql('bare', $use), "app.notes\none", 'it needs no schema public');

$node->safe_psql('postgres', 'CREATE EXTENSION chatroom; DROP SCHEMA public CASCADE');
is($node->safe_psql('postgres', $use), "app.notes\none", 'and outlives it');

# In dumps it asks for nothing that a new database lacks.
foreach my $format ('plain', 'custom')
{
	my @restore = $format eq 'plain' ? ('psql', '-Xqf', $file) : ('pg_restore', $file);

	$node->safe_psql('postgres', "CREATE DATABASE $format");
	$node->safe_psql($format, 'DROP SCHEMA public');
	$node->command_ok([ 'pg_dump', '-F', $format, '-f', $file, 'bare' ], "$format: dumped");
	$node->command_ok(
		[ @restore, $restore[0] eq 'psql' ? ('-v', 'ON_ERROR_STOP=1') : '-e', '-d', $format ],
		"$format: restored");
	is($node->safe_psql($format, 'SELECT relation FROM chatroom.watches'),
		'app.notes', "$format: works");
}

# What the server answers to some statements.
sub refused
{
	my ($database, $sql, $error, $name) = @_;
	my ($status, $out, $err) = $node->psql($database, $sql);

	like($err, qr/ERROR:  \Q$error\E/, $name);
	return $err;
}

$node->safe_psql('postgres', 'CREATE ROLE stranger; CREATE DATABASE squatted');
$node->safe_psql('squatted', 'CREATE SCHEMA chatroom AUTHORIZATION stranger');
refused('squatted', 'CREATE EXTENSION chatroom', 'schema "chatroom" already exists',
	'a schema of somebody\'s is not taken');
is($node->safe_psql('squatted', 'SELECT count(*) FROM pg_extension WHERE extname = \'chatroom\''),
	0, 'then there is no extension');
refused('squatted', 'DROP SCHEMA chatroom; CREATE SCHEMA app; CREATE EXTENSION chatroom SCHEMA app',
	'extension "chatroom" must be installed in schema "pg_catalog"', 'nor another one');
refused('bare', 'ALTER EXTENSION chatroom SET SCHEMA app',
	'extension "chatroom" does not support SET SCHEMA', 'it can\'t be moved');
refused('bare', 'DROP SCHEMA chatroom CASCADE',
	'cannot drop schema chatroom because extension chatroom requires it',
	'its schema goes with it only');

$node->safe_psql('bare', 'DROP EXTENSION chatroom CASCADE');
is($node->safe_psql('bare', q(SELECT count(*) FROM pg_namespace WHERE nspname = 'chatroom')),
	0, 'and does go with it');
is($node->safe_psql('bare', 'CREATE EXTENSION chatroom; SELECT count(*) FROM chatroom.watches'),
	0, 'it can be made again');
$node->stop;
done_testing();
