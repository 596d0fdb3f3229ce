# Rules in dumps: all of a rule stands in a trigger.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('rules_dump');
my $file = "$PostgreSQL::Test::Utils::tmp_check/rules_dump";

$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
CREATE SCHEMA "S x";
CREATE TABLE "S x".rooms (id int PRIMARY KEY, name text);
CREATE TABLE "S x".messages (id int PRIMARY KEY, gone int, room_id int REFERENCES "S x".rooms, text text,
	"V v" int, meta jsonb, lock_version int DEFAULT 1, twice int GENERATED ALWAYS AS ("V v" * 2) STORED);
ALTER TABLE "S x".messages DROP gone;
SELECT chatroom.add_rule('"S x".messages', 'text', 'required', message => E'it''s "\\" %{x}\nmissing');
SELECT chatroom.add_rule('"S x".messages', 'text', 'length', '{"min": 2, "max": 150, "count": "codepoints"}');
SELECT chatroom.add_rule('"S x".messages', 'text', 'format', '{"with": "^[^\\\\''\"]*$"}');
SELECT chatroom.add_rule('"S x".messages', 'V v', 'number', '{"less_than": 1e3, "not_equal_to": 0.50}');
SELECT chatroom.add_rule('"S x".messages', 'V v', 'unique', '{"fields": ["V v", "text"]}');
SELECT chatroom.add_rule('"S x".messages', 'twice', 'exclusion', '{"in": [2, 4]}');
SELECT chatroom.add_rule('"S x".messages', 'text', 'check', '{"expression": "upper(text) <> ''X'' and \"V v\" > length(text)"}');
SELECT chatroom.add_rule('"S x".messages', 'meta', 'embed', '{"many": true, "rules": [{"field": "a", "validation": "inclusion", "params": {"in": ["\u00e4", "''"]}}]}');
SELECT chatroom.add_rule('"S x".messages', 'room', 'assoc');
SELECT chatroom.add_rule('"S x".messages', 'lock_version', 'optimistic_lock', name => 'the lock');
SELECT chatroom.add_rule('"S x".messages', 'terms', 'acceptance');
SELECT chatroom.add_rule('"S x".rooms', 'messages', 'no_assoc');
CREATE TABLE parted (id int, kind text, v int, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a');
CREATE TABLE parted_b (v int, gone int, kind text NOT NULL, id int NOT NULL);
ALTER TABLE parted_b DROP gone;
ALTER TABLE parted ATTACH PARTITION parted_b FOR VALUES IN ('b');
SELECT chatroom.add_rule('parted', 'v', 'required');
SELECT chatroom.add_rule('parted', 'v', 'check', '{"expression": "v > id"}');
CREATE TABLE parent (id int PRIMARY KEY, t text);
CREATE TABLE child (x int) INHERITS (parent);
SELECT chatroom.add_rule('parent', 't', 'length', '{"min": 2}');
CREATE TABLE disabled (t text);
SELECT chatroom.add_rule('disabled', 't', 'required');
ALTER TABLE disabled DISABLE TRIGGER "~chatroom_validate";
INSERT INTO "S x".rooms VALUES (1, 'one');
INSERT INTO "S x".messages VALUES (1, 1, 'text', 7, '[{"a": "ä"}]');
INSERT INTO parted VALUES (1, 'a', 2), (2, 'b', 3);
INSERT INTO child VALUES (1, 'tt', 1);
INSERT INTO disabled VALUES (NULL);
SQL

# All that there is to know of a database's rules.
sub rules
{
	my ($database) = @_;

	return $node->safe_psql($database, <<'SQL');
SELECT to_jsonb(r) FROM chatroom.rules r ORDER BY relation, name;
SELECT tgrelid::regclass, tgname, tgenabled, tgparentid <> 0,
	CASE WHEN tgparentid = 0 THEN pg_get_triggerdef(oid) END
FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgrelid::regclass::text, tgname;
SQL
}

# What a row that breaks all rules is refused with.
sub refusal
{
	my ($database) = @_;
	my ($status, $out, $err) = $node->psql($database, <<'SQL', on_error_stop => 0);
\set VERBOSITY verbose
INSERT INTO "S x".messages VALUES (2, 9, 'x', 1, '[{"a": 1}]');
INSERT INTO "S x".messages VALUES (2, 9, '');
INSERT INTO parted VALUES (3, 'b', 3);
INSERT INTO child VALUES (3, 'x');
DELETE FROM "S x".rooms;
INSERT INTO disabled VALUES (NULL);
UPDATE "S x".messages SET lock_version = 0;
SQL
	return $err =~ s/^LOCATION:.*\n//mgr;
}

my $before = rules('postgres');
my $count = 0;
my @psql = ('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1');

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

my $plain = restore('plain', [], \@psql);
is(rules($plain), $before, 'a dump restored has the same rules');
my $schema = restore('schema', ['--schema-only'], \@psql);
is(rules($schema), $before, 'so has one of the schema alone');
is(rules(restore('parallel', ['-Fc'], [ 'pg_restore', '-j', '3' ])),
	$before, 'and one restored by parallel jobs');

# They refuse the same rows there, for the same reasons.
my $refused = refusal('postgres');
is(() = $refused =~ /ERROR:  235(?:14|03)/g, 6, 'rows that break rules are refused');
is(refusal($plain), $refused, 'and so they are in a restored dump');

# The data afterwards, as --disable-triggers loads it.
$node->command_ok([ 'pg_dump', '-d', $plain, '-f', $file, '--data-only', '--disable-triggers' ],
	'data alone: dumped');
$node->command_ok([ @psql, '-d', $schema, '-f', $file ], 'data alone: restored');
# pg_dump enables all triggers, also those that were disabled before
$node->safe_psql($schema, 'ALTER TABLE disabled DISABLE TRIGGER "~chatroom_validate"');
is(rules($schema), $before, 'and the rules are as they were');

# One table of the dump alone.
$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('one', 'CREATE EXTENSION chatroom');
$node->command_ok([ 'pg_dump', '-d', 'postgres', '-f', $file, '-t', 'public.parent' ],
	'one table: dumped');
$node->command_ok([ @psql, '-d', 'one', '-f', $file ], 'one table: restored');
is( $node->safe_psql('one', 'SELECT relation, name, params, enabled FROM chatroom.rules'),
	'public.parent|parent_t_length|{"min": 2}|t',
	'a dump of one table brings its rules along');

$node->stop;
done_testing();
