# Beside other extensions: a session has little room for callbacks, and other
# extensions take theirs first.
use strict;
use warnings;
use Chatroom::Test;
use Cwd qw(abs_path);
use PostgreSQL::Test::Utils;
use Test::More;

# A library of test/beside, compiled for this server.
sub neighbour
{
	my ($name) = @_;
	my $library = PostgreSQL::Test::Utils::tempdir() . "/$name.so";
	my @include = map { '-I' . `$ENV{CHATROOM_PG_CONFIG} --$_` }
	  qw(includedir-server includedir);

	chomp(@include);
	PostgreSQL::Test::Utils::system_log(
		split(' ', $ENV{CC} // 'cc'), '-shared', '-fPIC', '-Wall', '-Wextra',
		'-Wno-unused-parameter', '-Wno-sign-compare', @include, '-o', $library,
		abs_path("test/beside/$name.c")) == 0
	  or die "$name.c doesn't compile\n";
	return $library;
}

my $node = chatroom_node('main');
my $library = neighbour('callbacks');

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE stranger LOGIN;
SELECT chatroom.migrate();
GRANT USAGE ON SCHEMA chat TO stranger;
GRANT ALL ON ALL TABLES IN SCHEMA chat TO stranger;
CREATE TABLE notes (id int PRIMARY KEY, text text);
GRANT ALL ON notes TO stranger;
SELECT chatroom.watch('notes', 'labelled');
SELECT chatroom.add_rule('notes', 'text', 'length', '{"min": 2}');
SELECT chatroom.grant_topic('free', 'stranger', '{sync}');
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_of_them ON notes USING (true);
SQL

# Each of chatroom's caches is made: of topics, labels, grants, tables, rules,
# what triggers emit, prefixes and policies.
my $everything = <<'SQL';
SET ROLE stranger;
SELECT chatroom.sync('free')->>'reset';
SELECT chatroom.sync('labelled')->>'cursor' AS start \gset
SELECT chatroom.insert('notes', '{"id": 1, "text": "x"}') ? 'error';
SELECT chatroom.insert('notes', '{"id": 1, "text": "xy"}') ? 'ok';
SELECT chatroom.create_room('lobby')->>'name';
SELECT chatroom.post('lobby', 'stranger', 'hello')->>'text';
CALL chatroom.wait('{labelled}', :'start') \gset
SELECT :'answer'::json #>> '{events,0,row,text}';
SQL

# What is told once has to reach each of them.
my $changes = <<'SQL';
RESET ROLE;
SELECT chatroom.drop_rule('notes', 'notes_text_length');
SELECT chatroom.insert('notes', '{"id": 2, "text": "x"}') ? 'ok';
DROP POLICY all_of_them ON notes;
SELECT chatroom.revoke_topic('free', 'stranger');
SELECT chatroom.unwatch('notes', 'labelled');
ALTER SCHEMA chat RENAME TO talk;
SET ROLE stranger;
SELECT chatroom.insert('notes', '{"id": 3, "text": "x"}');
SELECT chatroom.sync('free');
SELECT chatroom.sync('labelled');
SELECT chatroom.post('lobby', 'stranger', 'hello', prefix => 'talk')->>'text';
SELECT chatroom.post('lobby', 'stranger', 'hello')->>'text';
SQL
my ($status, $out, $err) = $node->psql(
	'postgres',
	"LOAD '$library';\n$everything$changes",
	on_error_stop => 0);
my @errors = $err =~ /^psql:\S+ ERROR:  (.*)$/mg;

is_deeply(
	\@errors,
	[
		'new row violates row-level security policy for table "notes"',
		'permission denied for topic "free"',
		'permission denied for topic "labelled"',
		'there are no chat tables with prefix "chat"'
	],
	'in a session whose callbacks others have taken changes are noticed');
is( $out,
	join("\n", qw(false t t lobby hello xy), '', 't', '', '', 'hello'),
	'and all works');

my @others = grep { !m{^src/base/invalidation\.c:} }
  split /\n/, `grep -n 'CacheRegister' src/*.c src/*/*.c`;

is("@others", '', 'one place asks the server for callbacks');
$node->stop;
done_testing();
