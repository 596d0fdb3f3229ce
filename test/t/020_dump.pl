# Watches in dumps: all of a watch stands in triggers.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('dump');
my $file = "$PostgreSQL::Test::Utils::tmp_check/dump";

$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA "S x";
CREATE TABLE "S x".rooms (id int PRIMARY KEY);
CREATE TABLE "S x".messages (id int PRIMARY KEY, gone int, room_id int REFERENCES "S x".rooms, text text, v int);
ALTER TABLE "S x".messages DROP gone;
SELECT chatroom.watch('"S x".messages', columns => '{text,v}', trigger_columns => '{v}',
	topic_columns => '{v,room_id}', condition => 'v > 0 AND upper(text) <> ''X''', big_numbers => 'text');
SELECT chatroom.watch('"S x".messages', 'lab''el', always => true, events => '{insert,truncate}');
CREATE TABLE parted (id int, kind text, v int, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a');
CREATE TABLE parted_b (v int, gone int, kind text NOT NULL, id int NOT NULL);
ALTER TABLE parted_b DROP gone;
ALTER TABLE parted ATTACH PARTITION parted_b FOR VALUES IN ('b');
SELECT chatroom.watch('parted', columns => '{v}', always => true, condition => 'v > 0');
CREATE TABLE parent (id int PRIMARY KEY, t text);
CREATE TABLE child (x int) INHERITS (parent);
CREATE TABLE grandchild (y int) INHERITS (child);
SELECT chatroom.watch('parent');
SELECT chatroom.watch('child', columns => '{x}');
SELECT chatroom.watch('parent', 'replicas', always => true);
INSERT INTO parted VALUES (1, 'a', 1), (2, 'b', 2);
INSERT INTO grandchild VALUES (1, 'a', 1, 1);
SQL

# All that there is to know of a database's watches.
sub watches
{
	my ($database) = @_;

	return $node->safe_psql($database, <<'SQL');
SELECT to_jsonb(w) FROM chatroom.watches w ORDER BY topic;
SELECT tgrelid::regclass, tgenabled, tgparentid <> 0,
	CASE WHEN tgparentid = 0 THEN pg_get_triggerdef(oid) END
FROM pg_trigger WHERE tgname ~ '^chatroom' ORDER BY tgrelid::regclass::text, tgname;
SQL
}

my $before = watches('postgres');
my $count = 0;

# Restore a dump into a new database; returns its name.
sub restore
{
	my ($name, $dump, $restore) = @_;
	my $database = 'copy' . ++$count;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->command_ok([ 'pg_dump', '-d', 'postgres', '-f', $file, @$dump ],
		"$name: dumped");
	$node->command_ok([ @$restore, '-d', $database, $restore->[0] eq 'psql' ? ('-f', $file) : $file ],
		"$name: restored");
	return $database;
}

my @psql = ('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1');
my $plain = restore('plain', [], \@psql);
is(watches($plain), $before, 'a dump restored has the same watches');
is(watches(restore('schema', ['--schema-only'], \@psql)),
	$before, 'so has one of the schema alone');
is(watches(restore('parallel', ['-Fc'], [ 'pg_restore', '-j', '3' ])),
	$before, 'and one restored by parallel jobs');

# They work there.
is($node->safe_psql($plain, <<'SQL'), "insert|7\ninsert|8\nupdate|8", 'the watches of a restored dump emit');
BEGIN;
INSERT INTO parted VALUES (7, 'a', 1), (8, 'b', 1), (9, 'b', -1);
UPDATE parted SET kind = 'a' WHERE id >= 8;
SELECT e->>'type', e->'key'->>'id'
FROM json_array_elements(chatroom.pending('public.parted')->'events') e;
SQL

# One table of the dump alone.
$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('one', 'CREATE EXTENSION chatroom');
$node->command_ok([ 'pg_dump', '-d', 'postgres', '-f', $file, '-t', 'public.parent' ],
	'one table: dumped');
$node->command_ok([ @psql, '-d', 'one', '-f', $file ], 'one table: restored');
is( $node->safe_psql('one', 'SELECT topic, always FROM chatroom.watches ORDER BY 1'),
	"public.parent|f\nreplicas|t",
	'a dump of one table brings its watches along');

$node->stop;
done_testing();
