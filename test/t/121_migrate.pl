# Chat tables move between versions while they are written and read: no
# statement fails for it, deadlocks, or is lost; those who follow know all rows.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seconds = $ENV{CHATROOM_LONG} ? 60 : 6;
my $node = chatroom_node('migrate', conf => "deadlock_timeout = 200ms\nlog_lock_waits = on");

$node->safe_psql('postgres', <<'SQL');
SELECT chatroom.migrate(version => 1);
INSERT INTO chat.rooms (name) SELECT 'room ' || i FROM generate_series(1, 10) i;
SQL

# What is written, as the tutorials do: messages, and rooms with what is in them.
my $folder = $PostgreSQL::Test::Utils::tmp_check;
my %scripts = (
	post => <<'SQL',
\set room random(1, 10)
INSERT INTO chat.messages (room_id, username, text) VALUES (:room, 'writer', 'text ' || :client_id);
SQL
	edit => <<'SQL',
\set room random(1, 10)
UPDATE chat.messages SET text = text || '.' WHERE id = (SELECT max(id) FROM chat.messages WHERE room_id = :room) AND length(text) < 100;
UPDATE chat.rooms SET name = name WHERE id = :room;
SQL
	rooms => <<'SQL',
BEGIN;
INSERT INTO chat.rooms (name) VALUES ('t ' || gen_random_uuid()) RETURNING id \gset
INSERT INTO chat.messages (room_id, username, text) VALUES (:id, 'writer', 'gone with the room');
END;
DELETE FROM chat.rooms WHERE id = :id;
SQL
	read => <<'SQL',
\set room random(1, 10)
SELECT count(*) FROM (SELECT FROM chat.messages m JOIN chat.rooms r ON r.id = room_id WHERE r.id = :room LIMIT 50) x;
SELECT chatroom.sync('chat.messages', NULL);
SQL
	functions => <<'SQL');
\set room random(1, 10)
SELECT chatroom.post(:room, 'writer', 'by post');
SELECT chatroom.list_messages(:room, max_rows => 5);
SQL

my @writers;
foreach my $name (sort keys %scripts)
{
	my $file = "$folder/migrate_$name.sql";
	my ($out, $err) = ('', '');

	append_to_file($file, $scripts{$name});
	push @writers, { name => $name, out => \$out, err => \$err,
		run => IPC::Run::start([ 'pgbench', '-h', $node->host, '-p', $node->port, '-n', '-c', 2, '-T', $seconds,
			'-f', $file, 'postgres' ], '>', \$out, '2>', \$err) };
}

# Up and down, all the while, and more than once; two at a time do no harm
# either.
my $moves = 0;
my $end = time() + $seconds - 1;
while (time() < $end || $moves < 4)
{
	my $version = $moves % 2 ? 1 : 2;
	my ($out, $err) = ('', '');
	my $other = IPC::Run::start([ 'psql', '-X', '-h', $node->host, '-p', $node->port, '-c',
			"SELECT chatroom.migrate(version => $version, force => true)", 'postgres' ], '>', \$out, '2>', \$err);

	$node->safe_psql('postgres', "SELECT chatroom.migrate(version => $version, force => true)");
	$other->finish;
	is($err, '', 'two may migrate at once') if $moves < 2 || $err ne '';
	$moves++;
	usleep(50_000);
}
note("moved up and down $moves times");

foreach my $writer (@writers)
{
	$writer->{run}->finish;
	my ($done) = ${ $writer->{out} } =~ /transactions actually processed: (\d+)/;
	my ($failed) = ${ $writer->{out} } =~ /failed transactions: (\d+)/;

	cmp_ok($done // 0, '>', 0, "$writer->{name}: went on");
	is($failed, 0, "$writer->{name}: nothing failed");
	unlike(${ $writer->{err} }, qr/ERROR|aborted/, "$writer->{name}: no errors") or diag(${ $writer->{err} });
}
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock');

# In the end all is as migrate() makes it.
$node->safe_psql('postgres', 'SELECT chatroom.migrate()');
is($node->safe_psql('postgres', 'SELECT version FROM chatroom.migrations'), 2, 'the newest version');
is($node->safe_psql('postgres', "SELECT count(*) FROM chat.rooms WHERE name LIKE 't %'"), 0, 'rooms went');
is( $node->safe_psql('postgres', "SELECT count(*) FROM chatroom.watches"), 5, 'all tables are watched');

$node->stop;
done_testing();
