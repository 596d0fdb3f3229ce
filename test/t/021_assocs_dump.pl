# Associations that add_assoc() told in dumps: all of one stands in a trigger.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('dump');
my $file = "$PostgreSQL::Test::Utils::tmp_check/assocs.sql";

$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA "S x";
CREATE TABLE "S x".posts (id int PRIMARY KEY);
CREATE TABLE "S x".tags (id int PRIMARY KEY);
CREATE TABLE "S x".comments (id int PRIMARY KEY, a int REFERENCES "S x".posts, b int REFERENCES "S x".posts);
CREATE TABLE "S x".posts_tags (post int REFERENCES "S x".posts, tag int REFERENCES "S x".tags, PRIMARY KEY (post, tag));
SELECT chatroom.add_assoc('"S x".posts', 'it''s', '{"relation": "\"S x\".comments", "foreign_key": "a",
	"where": {"b": [1, null]}, "order": [{"desc": "id"}], "on_replace": "delete"}');
SELECT chatroom.add_assoc('"S x".posts', 'labels', '{"relation": "\"S x\".tags", "join_through": "\"S x\".posts_tags"}');
SELECT chatroom.add_assoc('"S x".comments', 'main', '{"foreign_key": "a", "kind": "belongs_to"}');
SELECT chatroom.add_assoc('"S x".posts', 'others', '{"through": ["it''s", "main"]}');
SQL

# All associations, and whether their triggers are disabled.
sub associations
{
	my ($database) = @_;

	return $node->safe_psql($database, <<'SQL');
SELECT to_jsonb(a) FROM chatroom.assocs a WHERE relation ~ 'S x' ORDER BY relation, name;
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger
WHERE tgname ~ '^chatroom_assoc' ORDER BY tgrelid::regclass::text, tgname;
SQL
}

my $before = associations('postgres');
like($before, qr/"name": "others"/, 'associations are listed');
my $count = 0;

foreach my $options ([], ['--schema-only'])
{
	my $database = 'copy' . ++$count;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->command_ok([ 'pg_dump', '-d', 'postgres', '-f', $file, @$options ],
		"dumped: @$options");
	$node->command_ok(
		[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $database, '-f', $file ],
		"restored: @$options");
	is(associations($database), $before, "the same: @$options");
}

$node->stop;
done_testing();
