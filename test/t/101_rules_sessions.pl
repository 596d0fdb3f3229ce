# Rules with several sessions, with two-phase commit and replicas, and in
# databases of other encodings.
use strict;
use warnings;
use Chatroom::Session;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('rules_sessions');

# psql's verdict on a statement: ok, or SQLSTATE and message.
sub verdict
{
	my ($database, $sql) = @_;
	my ($status, $out, $err) = $node->psql($database, "\\set VERBOSITY verbose\n$sql");

	return $1 if $err =~ /ERROR:\s+(\S+: .*)/;
	return $out ne '' ? $out : 'ok';
}

# What one session changes, another knows at once.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE rooms (id int PRIMARY KEY);
CREATE TABLE t (id serial, s text, room_id int REFERENCES rooms);
SELECT chatroom.add_rule('t', 's', 'length', '{"min": 2}');
SELECT chatroom.add_rule('t', 'room', 'assoc');
INSERT INTO rooms VALUES (1);
SQL
my $one = Chatroom::Session->new($node);
my $two = Chatroom::Session->new($node);

# What a session says to a statement: its error's first line, or nothing.
sub tried
{
	my ($session, $sql) = @_;

	$session->query($sql);
	return $session->error =~ /ERROR:\s+(\S+: [^\n]*)/ ? $1 : $session->error;
}

is(tried($one, "INSERT INTO t (s, room_id) VALUES ('xx', 1)"), '', 'a row that is all right');
like(tried($one, "INSERT INTO t (s) VALUES ('x')"), qr/^23514: s should be at least 2/, 'one that is not');
is(tried($two, "SELECT chatroom.add_rule('t', 's', 'format', '{\"with\": \"^a\"}')"), '', 'a rule is added elsewhere');
like(tried($one, "INSERT INTO t (s) VALUES ('xx')"), qr/^23514: s has invalid format/, 'and counts here');
is(tried($two, "SELECT chatroom.drop_rule('t', 't_s_format'); ALTER TABLE t RENAME s TO body; ALTER TABLE rooms RENAME TO places"), '', 'dropped, and a column and a table renamed');
is(tried($one, "INSERT INTO t (body, room_id) VALUES ('xx', 1)"), '', 'which is known here, too');
like(tried($one, "INSERT INTO t (body, room_id) VALUES ('xx', 7)"), qr/^23503: room does not exist/, 'and look-ups find the table');
is(tried($two, "BEGIN; SELECT chatroom.add_rule('t', 'body', 'required'); ROLLBACK"), '', 'a rule is added and rolled back');
is(tried($one, "INSERT INTO t (body) VALUES (NULL)"), '', 'and does not count');

# Adding a rule that is there already waits for no writer.
is(tried($one, "BEGIN; INSERT INTO t (body) VALUES ('open')"), '', 'a writer has not committed');
is(tried($two, "SET lock_timeout = '1s'; SELECT chatroom.add_rule('t', 'body', 'length', '{\"min\": 2}', name => 't_s_length')"), '', 'the same rule is added again');
like(tried($two, "SELECT chatroom.add_rule('t', 'body', 'required')"), qr/^55P03/, 'another waits');
is(tried($one, 'COMMIT'), '', 'the writer commits');

# Savepoints, and a transaction that is prepared.
is($node->safe_psql('postgres', <<'SQL'), 'pp', 'a refused row leaves the transaction to its savepoint');
\set ON_ERROR_STOP off
BEGIN;
SAVEPOINT s;
INSERT INTO t (body) VALUES ('p');
ROLLBACK TO s;
INSERT INTO t (body) VALUES ('pp');
PREPARE TRANSACTION 'p';
COMMIT PREPARED 'p';
SELECT body FROM t WHERE body LIKE 'p%';
SQL

# A replica applies what was checked at the origin.
is(verdict('postgres', "SET session_replication_role = replica; INSERT INTO t (body) VALUES ('r'); SELECT count(*) FROM t WHERE body = 'r'"),
	'1', 'rows that are replicated are not checked again');

# Two sessions write the same value at the same time: only a unique index keeps
# them apart, and says so in its own words.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE u (a text);
SELECT chatroom.add_rule('u', 'a', 'unique');
SQL
is(tried($one, "BEGIN; INSERT INTO u VALUES ('x')"), '', 'one writes');
is(tried($two, "INSERT INTO u VALUES ('x')"), '', 'the other does not see it');
is(tried($one, 'COMMIT'), '', 'and both have written');
like(tried($one, "INSERT INTO u VALUES ('x')"), qr/^23514: a has already been taken/, 'later it is seen');
is(tried($one, "DELETE FROM u; CREATE UNIQUE INDEX u_a_index ON u (a)"), '', 'with a unique index');
is(tried($one, "BEGIN; INSERT INTO u VALUES ('x')"), '', 'one writes');
$two->send("INSERT INTO u VALUES ('x')");
poll_until('the other waits', sub {
	$node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE NOT granted") > 0;
});
is(tried($one, 'COMMIT'), '', 'and commits');
$two->answer;
like($two->error, qr/23505: duplicate key value violates unique constraint "u_a_index"/, 'and the other is refused');
$one->close;
$two->close;

# Other encodings: a grapheme is a character there, but CR LF is still one.
foreach my $case (
	['LATIN1', 'C', 'SET client_encoding = UTF8;', "'äöü'", "E'a\\r\\nb'"],
	['EUC_JP', 'C', 'SET client_encoding = UTF8;', "'日本語'", "E'日\\r\\n本'"],
	['SQL_ASCII', 'C', '', "E'\\xe4\\xff\\xfe'", "E'\\xe4\\r\\n\\xff'"])
{
	my ($encoding, $locale, $set, $three, $crlf) = @$case;
	my $db = lc $encoding;

	$node->safe_psql('postgres', "CREATE DATABASE $db ENCODING '$encoding' LOCALE '$locale' TEMPLATE template0");
	$node->safe_psql($db, <<'SQL');
CREATE EXTENSION chatroom;
CREATE TABLE t (s text);
SELECT chatroom.add_rule('t', 's', 'length', '{"is": 3}');
SELECT chatroom.add_rule('t', 's', 'required');
SELECT chatroom.add_rule('t', 's', 'exclusion', '{"in": ["abc"]}');
SQL
	is(verdict($db, "$set INSERT INTO t VALUES ($three)"), 'ok', "$encoding: three characters are three");
	is(verdict($db, "$set INSERT INTO t VALUES ($crlf)"), 'ok', "$encoding: CR LF is one");
	like(verdict($db, "$set INSERT INTO t VALUES ($three || 'x')"), qr/^23514: s should be 3 character/, "$encoding: four are not three");
	like(verdict($db, "INSERT INTO t VALUES (E' \\t')"), qr/^23514: s can't be blank/, "$encoding: blank");
}

$node->stop;
done_testing();
