# Chat tables in dumps: they are the user's own, and bring along rows, rules,
# watches, policies, version and access mode.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('chat_dump');
my $file = "$PostgreSQL::Test::Utils::tmp_check/chat_dump";

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE owner LOGIN;
CREATE ROLE app LOGIN;
GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO app;
GRANT CREATE ON DATABASE postgres TO owner;
SET ROLE owner;
SELECT chatroom.migrate();
SELECT chatroom.migrate('old', 1);
SELECT chatroom.migrate('Other "chat"');
SELECT chatroom.set_access('members');
RESET ROLE;
GRANT USAGE ON SCHEMA chat TO app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat TO app;
BEGIN;
SELECT chatroom.act_as('olivia');
SELECT chatroom.create_room('lobby'), chatroom.create_room('den', private => true);
SELECT chatroom.add_member('den', 'adam', 'admin');
SELECT chatroom.update_user('olivia', '{"profile": {"display_name": "Olivia"}}');
SELECT chatroom.post('den', 'olivia', 'psst', 'key');
COMMIT;
SELECT chatroom.create_room('there', prefix => 'Other "chat"');
CREATE TABLE tokens AS SELECT chatroom.create_invite('den') AS token;
CREATE POLICY own ON chat.rooms AS RESTRICTIVE FOR DELETE USING (name <> 'lobby');
SELECT chatroom.drop_rule('chat.messages', 'messages_text_length');
SELECT chatroom.add_rule('chat.messages', 'text', 'length', '{"max": 1000}');
SQL

# All that there is to know of a database's chats; rows only if wanted.
sub chats
{
	my ($database, $rows) = @_;
	my $shape = $node->safe_psql($database, <<'SQL');
SELECT to_jsonb(m) FROM chatroom.migrations m ORDER BY prefix;
SELECT to_jsonb(r) FROM chatroom.rules r ORDER BY relation, name;
SELECT to_jsonb(w) FROM chatroom.watches w ORDER BY topic;
SELECT pg_get_triggerdef(oid), tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1;
SELECT polrelid::regclass, polname, polcmd, polpermissive, pg_get_expr(polqual, polrelid),
	pg_get_expr(polwithcheck, polrelid) FROM pg_policy ORDER BY polrelid::regclass::text, polname;
SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class
WHERE relname IN ('rooms', 'messages', 'users', 'members', 'invites') ORDER BY relnamespace::regnamespace::text, relname;
SQL
	return $shape unless $rows;
	return $shape . $node->safe_psql($database, <<'SQL');
SELECT to_jsonb(r) FROM chat.rooms r ORDER BY id;
SELECT to_jsonb(m) FROM chat.messages m ORDER BY id;
SELECT to_jsonb(u) FROM chat.users u ORDER BY id;
SELECT to_jsonb(m) FROM chat.members m ORDER BY room_id, username;
SELECT to_jsonb(i) FROM chat.invites i ORDER BY id;
SQL
}

my $shape  = chats('postgres');
my $before = chats('postgres', 1);
my @psql   = ('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1');
my $count  = 0;

# An empty database, maybe with the extension.
sub new_database
{
	my ($extension) = @_;
	my $database = 'copy' . ++$count;

	$node->safe_psql('postgres', "CREATE DATABASE $database; GRANT CREATE ON DATABASE $database TO owner");
	$node->safe_psql($database, 'CREATE EXTENSION chatroom; GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO app')
	  if $extension;
	return $database;
}

# Dump, and restore into a new database; returns its name.
sub restore
{
	my ($name, $dump, $restore, $extension) = @_;
	my $database = new_database($extension);

	$node->command_ok([ 'pg_dump', '-d', 'postgres', '-f', $file, @$dump ], "$name: dumped");
	$node->command_ok([ @$restore, '-d', $database, $restore->[0] eq 'psql' ? ('-f', $file) : $file ],
		"$name: restored");
	return $database;
}

# What the restored tables do for users of an application.
sub works
{
	my ($name, $database) = @_;

	is($node->safe_psql($database, <<'SQL', extra_params => [ '-U', 'app' ]), "lobby\n3\nolivia\nowner", "$name: members are held to their rights");
BEGIN;
SELECT chatroom.act_as('stranger') \g /dev/null
SELECT string_agg(name, ' ') FROM chat.rooms;
SELECT chatroom.create_room('my own') ->> 'id';
SELECT chatroom.act_as('adam') \g /dev/null
SELECT chatroom.list_messages('den')::jsonb #>> '{messages,0,username}';
SELECT chatroom.list_members('den') #>> '{0,role}';
ROLLBACK;
SQL
	my ($code, $out, $err) = $node->psql($database, "SELECT chatroom.act_as('stranger'), chatroom.post('lobby', 'adam', 'not me')",
		extra_params => [ '-U', 'app' ]);
	like($err, qr/permission denied for room "lobby"/, "$name: the access mode came along");
	return;
}

my $plain = restore('plain', [], \@psql);
is(chats($plain, 1), $before, 'a dump restored has the same chats');
works('plain', $plain);
my $token = $node->safe_psql($plain, 'SELECT token FROM tokens');
is( $node->safe_psql($plain, "SELECT chatroom.act_as('guest'); SELECT chatroom.accept_invite('$token') ->> 'role'")
	  =~ s/^\n//r,
	'guest', 'an invite works where it was restored');
is($node->safe_psql($plain, 'SELECT chatroom.migrate()'), 2, 'there is nothing left to migrate');
is(chats($plain), $shape, 'and nothing changes');

my $empty = restore('schema', ['--schema-only'], \@psql);
is(chats($empty), $shape, 'the schema alone has all but rows');
is($node->safe_psql($empty, "SELECT chatroom.create_room('first') ->> 'id'"), 1, 'and works');

is(chats(restore('parallel', ['-Fc'], [ 'pg_restore', '-j', '3' ]), 1), $before, 'parallel jobs restore the same');

# One prefix alone.
$node->safe_psql('postgres', 'DROP SCHEMA old CASCADE; DROP SCHEMA "Other ""chat""" CASCADE; DROP TABLE tokens');
$before = chats('postgres', 1);
my $one = restore('one prefix', [ '-n', 'chat' ], \@psql, 1);
is(chats($one, 1), $before, 'a prefix alone is a chat where the extension is');
works('one prefix', $one);

# Rows alone, into tables that migrate() made.
my $rows = new_database(1);
$node->safe_psql($rows, "SET ROLE owner; SELECT chatroom.migrate(), chatroom.set_access('members')");
$node->command_ok([ 'pg_dump', '-d', 'postgres', '-f', $file, '--data-only', '-n', 'chat', '--disable-triggers' ],
	'rows: dumped');
$node->command_ok([ @psql, '-d', $rows, '-f', $file ], 'rows: restored');
$node->safe_psql($rows, 'GRANT USAGE ON SCHEMA chat TO app; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat TO app');
works('rows', $rows);

# An owner that is no superuser is under its own row-level security: pg_dump
# refuses to dump what might be a part, and is told that it is all.
$node->command_fails_like([ 'pg_dump', '-U', 'owner', '-d', 'postgres', '-n', 'chat', '-f', $file ],
	qr/row-level security/, q{an owner's dump asks for --enable-row-security});
my $owned = restore('owner', [ '-U', 'owner', '-n', 'chat', '--enable-row-security' ], [ @psql, '-U', 'owner' ], 1);
is($node->safe_psql($owned, 'SELECT count(*), count(*) FILTER (WHERE private) FROM chat.rooms'), '2|1',
	q{an owner's dump has private rooms, too});

# The extension goes, and comes again: data, version and mode stay.
$node->safe_psql('postgres', 'DROP EXTENSION chatroom CASCADE');
is($node->safe_psql('postgres', 'SELECT count(*) FROM chat.rooms', extra_params => [ '-U', 'app' ]),
	0, 'without the extension nobody sees a room');
$node->command_ok([ 'pg_dump', '-d', 'postgres', '-f', $file, '-n', 'chat' ], 'dumped without the extension');
$node->safe_psql('postgres', 'CREATE EXTENSION chatroom; GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO app');
$node->safe_psql('postgres', 'SET ROLE owner; SELECT chatroom.migrate()');
works('again', 'postgres');
my $bare = new_database(1);
$node->command_ok([ @psql, '-d', $bare, '-f', $file ], 'and restored where it is');
$node->safe_psql($bare, 'SET ROLE owner; SELECT chatroom.migrate()');
works('dumped without', $bare);

# The database's owner, who is no superuser, dumps all of it.
$node->safe_psql('postgres', 'CREATE DATABASE owned OWNER owner');
$node->safe_psql('owned',    'CREATE EXTENSION chatroom');
my $owner = $node->connstr('owned') . ' user=owner';
command_ok([ 'pg_dump', '-f', "$file.plain", $owner ], 'an owner dumps a database with the extension');
$node->safe_psql('owned', q{SET SESSION AUTHORIZATION owner;
	SELECT chatroom.migrate(), chatroom.grant_topic('garden', 'public', '{sync}')});
command_ok([ 'pg_dump', '--enable-row-security', '-f', "$file.owned", $owner ],
	'an owner dumps a database with chat tables');
like(slurp_file("$file.owned"), qr/^garden\t/m, 'grants of topics are in it');

$node->stop;
done_testing();
