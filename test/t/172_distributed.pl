# Tables that Citus distributes: here there is only its list of them, which
# nobody else can make.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;

my $node = chatroom_node('main');

sub fails
{
	my ($sql, $error, $name) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql);

	like($err, qr/ERROR:  \Q$error\E/, $name);
	return $err;
}

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE notes (id int PRIMARY KEY, text text);
CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE watched (id int PRIMARY KEY, note_id int REFERENCES notes);
SELECT chatroom.watch('watched');
SELECT chatroom.watch('watched', 'label');
SELECT chatroom.migrate();
SELECT chatroom.migrate('local');
SELECT chatroom.create_room('lobby');
SELECT chatroom.create_room('lobby', prefix => 'local');
SQL

# A list of that name is anybody's to make, but not there.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE pg_dist_partition (logicalrelid regclass PRIMARY KEY, partmethod "char");
INSERT INTO pg_dist_partition VALUES ('notes', 'h'), ('watched', 'h'), ('chat.rooms', 'h');
ALTER ROLE CURRENT_USER SET search_path = public, pg_catalog;
SQL
is($node->safe_psql('postgres', <<'SQL'), "public.notes\nlobby\nf", 'a list in another schema means nothing');
SELECT chatroom.watch('notes');
SELECT chatroom.get_room('lobby')->>'name';
SELECT chatroom.sync('public.watched')->>'reset' = 'true';
SELECT chatroom.unwatch('notes') \gset
SQL
$node->safe_psql('postgres', 'CREATE ROLE stranger; GRANT CREATE ON DATABASE postgres TO stranger');
fails('SET ROLE stranger; CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass)',
	'permission denied', 'that nobody else can make one where Citus has it');

$node->safe_psql('postgres', <<'SQL');
ALTER ROLE CURRENT_USER RESET search_path;
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass PRIMARY KEY, partmethod "char");
INSERT INTO pg_catalog.pg_dist_partition
SELECT unnest('{notes,parted,watched,chat.messages}'::regclass[]), 'h';
SQL

my $detail = fails(q(SELECT chatroom.watch('notes')), 'table "notes" is distributed',
	'a distributed table can\'t be watched');
like($detail, qr/HINT:  Use a table that Citus does not manage/, 'and the hint tells what to do');
fails(q(\set VERBOSITY verbose
SELECT chatroom.watch('parted')), '0A000: table "parted" is distributed', 'nor a partitioned one');
fails(q(SELECT chatroom.watch_assocs('watched', '{note}')),
	'table "watched" is distributed', 'nor with its associations');
fails(q(SELECT chatroom.add_rule('notes', 'text', 'required')),
	'table "notes" is distributed', 'it can have no rules, which nobody would enforce');
fails(qq(SELECT chatroom.$_), 'table "watched" is distributed', "$_ says that nothing is published")
  foreach q[sync('public.watched')], q[sync('label:1')],
  q[sync_many('{public.watched.note_id:1}')], q[cached('watched', '1')],
  q[listen('label')], q[snapshot_cursor(), chatroom.sync('public.watched')];
fails(q(CALL chatroom.wait('{public.watched}', NULL)),
	'table "watched" is distributed', 'wait doesn\'t wait for it');
fails($_, 'table "messages" is distributed', "chat: $_")
  foreach q[SELECT chatroom.post('lobby', 'alice', 'hello')],
  q[SELECT chatroom.list_messages('lobby')], q[CALL chatroom.follow_room('lobby')],
  q[SELECT chatroom.sync('room:1')], q[SELECT chatroom.migrate()],
  q[SELECT chatroom.migrate('chat', 1, true)];

is($node->safe_psql('postgres', q(SELECT chatroom.migrate('local'))),
	2, 'another prefix is not concerned');
is($node->safe_psql('postgres', <<'SQL'), 'hello', 'it goes on, and a watch can be given up');
SELECT chatroom.post('lobby', 'alice', 'hello', prefix => 'local')->>'text';
SELECT chatroom.unwatch('watched') \gset
SQL

$node->safe_psql('postgres', <<'SQL');
SET allow_system_table_mods = on;
DELETE FROM pg_catalog.pg_dist_partition WHERE logicalrelid = 'chat.messages'::regclass;
ALTER TABLE pg_catalog.pg_dist_partition RENAME logicalrelid TO relid;
SQL
is($node->safe_psql('postgres', <<'SQL'), "0\npublic.notes", 'tables that are local again are as ever');
SELECT chatroom.migrate('chat', 0, true);
SELECT chatroom.watch('notes');
SQL
$node->stop;
done_testing();
