# Who may see what, beyond one session: grants and policies on standbys, in
# other sessions, in dumps; and broadcasts over a crash.
use strict;
use warnings;
use Chatroom::Session;
use Chatroom::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('grants');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE ann LOGIN;
CREATE ROLE team;
CREATE ROLE leaver;
CREATE ROLE "Odd ""Name";
CREATE TABLE members (room int, name name);
CREATE TABLE notes (id int PRIMARY KEY, room int, text text);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY member ON notes USING (EXISTS (
	SELECT FROM members m WHERE m.room = notes.room AND m.name = current_user));
GRANT SELECT ON notes, members TO ann;
SELECT chatroom.watch('notes');
SQL

# The statement's answer, or the SQLSTATE of its error.
sub result
{
	my ($session, $sql) = @_;

	$session->send($sql);
	my $answer = $session->answer;
	return $1 if $session->error =~ /^ERROR:\s+(\w{5}):/m;
	return $answer;
}

# -------------------------------------------------- other sessions' next calls

my $ann = Chatroom::Session->new($node, 'postgres', user => 'ann');
my $may = "SELECT chatroom.sync('lobby') IS NOT NULL";

is(result($ann, $may), '42501', 'nobody may follow a topic of no table');
$node->safe_psql('postgres', "SELECT chatroom.grant_topic('lob*', 'ann', '{sync}')");
is(result($ann, $may), 't', 'a grant holds from the next call in another session');
$node->safe_psql('postgres', "SELECT chatroom.revoke_topic('lob*', 'ann')");
is(result($ann, $may), '42501', 'and so does its end');
$node->safe_psql('postgres', "SELECT chatroom.grant_topic('lobby', 'team', '{sync}')");
is(result($ann, $may), '42501', 'a grant to others is none');
$node->safe_psql('postgres', 'GRANT team TO ann');
is(result($ann, $may), 't', 'a membership holds from the next call');
$node->safe_psql('postgres', 'REVOKE team FROM ann');
is(result($ann, $may), '42501', 'and so does its end');

# Channels are named anew when something is taken away, not when it's granted.
my $channel = "SELECT chatroom.channel('lobby', '1 min')";
my $name    = $node->safe_psql('postgres', $channel);
$node->safe_psql('postgres', "SELECT chatroom.grant_topic('lobby', 'ann', '{sync}')");
is($node->safe_psql('postgres', $channel), $name, 'a grant leaves channels alone');
$node->safe_psql('postgres', "BEGIN; SELECT chatroom.revoke_topic('lobby', 'ann'); ROLLBACK");
is($node->safe_psql('postgres', $channel), $name, 'so does a revocation rolled back');
$node->safe_psql('postgres', "SELECT chatroom.revoke_topic('lobby', 'ann')");
isnt($node->safe_psql('postgres', $channel), $name, 'a revocation names channels anew');

# The database's owner need not be a superuser.
$node->safe_psql('postgres', 'CREATE DATABASE anns OWNER ann');
$node->safe_psql('anns', 'CREATE EXTENSION chatroom');
my $owner = Chatroom::Session->new($node, 'anns', user => 'ann');
is(result($owner, $may), 't', "the database's owner may follow");
is(result($owner, "SELECT chatroom.grant_topic('lobby', 'public', '{sync}')"), '', '... and grant');
$node->safe_psql('postgres', 'ALTER DATABASE anns OWNER TO postgres');
is(result($owner, "SELECT chatroom.sync('den')"), '42501', 'not when it is no longer the owner');
is(result($owner, "SELECT chatroom.grant_topic('den', 'public', '{sync}')"), '42501', '... nor grant');
is(result($owner, $may), 't', 'but what was granted holds');
$owner->close;

# ------------------------------------------------------------------- dumps

$node->safe_psql('postgres', <<'SQL');
SELECT chatroom.grant_topic('lobby', 'leaver', '{sync}');
SELECT chatroom.grant_topic('it''s "odd":*', 'Odd "Name', '{broadcast}');
SELECT chatroom.grant_topic('all:*', 'public', '{sync,track}');
CREATE SCHEMA "Odd Schema";
CREATE FUNCTION "Odd Schema"."a ""call"""(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION plain(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
GRANT USAGE ON SCHEMA "Odd Schema" TO public;
SELECT chatroom.allow_call('"Odd Schema"."a ""call"""(jsonb)', 'ann');
SELECT chatroom.allow_call('plain', 'leaver');
DROP ROLE leaver;
SQL
my $file   = "$PostgreSQL::Test::Utils::tmp_check/grants.sql";
my $grants = 'SELECT * FROM chatroom.topic_grants ORDER BY pattern COLLATE "C"';
my $before = $node->safe_psql('postgres', $grants);
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_dump', '-d', 'postgres', '-f', $file ], 'dumped');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'copy', '-f', $file ], 'restored');
is($node->safe_psql('copy', $grants), $before, 'grants are in dumps');
my $copy = Chatroom::Session->new($node, 'copy', user => 'ann');
is(result($copy, "SELECT chatroom.sync('all:1') IS NOT NULL"), 't', 'and hold where they are restored');
is(result($copy, $may), '42501', 'but no others do');
my $call = q{SELECT chatroom.multi(jsonb_build_array(jsonb_build_object('name', 'a', 'op', 'call', 'function', '%s'))) #>> '{ok,a}'};
is(result($copy, sprintf $call, '"Odd Schema"."a ""call"""'), '{}', 'what may be called by name is in dumps, too');
is(result($copy, sprintf $call, 'public.plain'), '42501', 'and nothing else');
$copy->close;

# ----------------------------------------------------------------- standby

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
# what is told before its worker began is not for it to tell
wait_running($standby);
$node->safe_psql('postgres', "SELECT chatroom.grant_topic('lobby', 'ann', '{sync}')");
my $since = $node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()');
my $sent  = $node->safe_psql('postgres', "SELECT chatroom.broadcast('lobby', 'hello', '1')");
$node->safe_psql('postgres', "INSERT INTO members VALUES (1, 'ann')");
$node->safe_psql('postgres', "INSERT INTO notes VALUES (1, 1, 'shown'), (2, 2, 'hidden')");

# It reads from an anchor on, which the primary logs after a checkpoint that has
# something to do.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 100);
CHECKPOINT;
SQL
$node->wait_for_catchup($standby);
$standby->safe_psql('postgres', 'CHECKPOINT');
wait_running($standby);
$node->wait_for_catchup($standby);
my $there = Chatroom::Session->new($standby, 'postgres', user => 'ann');
my $events = "SELECT string_agg(coalesce(e->>'event', e->'row'->>'text'), ',')
	FROM json_array_elements(chatroom.sync_many('{lobby, public.notes}', '%s')->'events') e";
poll_until('the standby has the note',
	sub { result($there, sprintf($events, $since)) =~ /shown/ });
is(result($there, sprintf($events, $since)),
	'hello,shown', 'on a standby: broadcasts, and what policies let through');
is(result($there, sprintf($events, $sent)),
	'shown', "a broadcast's cursor is good there");
is(result($there, "SELECT chatroom.broadcast('lobby', 'x', '1')"), '42501', 'a broadcast takes a grant there, too');
my $super = Chatroom::Session->new($standby, 'postgres');
is(result($super, "SELECT chatroom.broadcast('lobby', 'x', '1')"), '25006', 'and can be made on the primary only');
like($super->error, qr/HINT:.*on the primary/, '... which the hint says');
is(result($super, "SELECT chatroom.grant_topic('lobby', 'ann', '{sync}')"), '25006', 'as grants');
$super->close;

# A revocation, and a changed policy, reach sessions that are there already.
$node->safe_psql('postgres', "SELECT chatroom.revoke_topic('lobby', 'ann')");
$node->safe_psql('postgres', 'DELETE FROM members');
$node->wait_for_catchup($standby);
is(result($there, $may), '42501', 'a revocation holds on standbys');
is(result($there, "SELECT json_array_length(chatroom.sync('public.notes', '$since')->'events')"),
	'0', 'and so do policies, by their tables as of now');
$there->close;
$ann->close;
$standby->stop;

# ------------------------------------------------------------------- crash

# A cursor that was told is of a place that a crash leaves where it is: what
# comes later stands behind it.
my $session = Chatroom::Session->new($node, 'postgres');
$since = result($session, 'SELECT chatroom.snapshot_cursor()');
my @sent = map { result($session, "SELECT chatroom.broadcast('lobby', '$_', '1')") } 1 .. 5;
crash($node);
start_again($node);
wait_running($node);
$node->safe_psql('postgres', "SELECT chatroom.broadcast('lobby', '6', '1')");
$node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()');
is( $node->safe_psql('postgres',
		"SELECT string_agg(e->>'event', ',') FROM json_array_elements(chatroom.sync('lobby', '$since')->'events') e"),
	'1,2,3,4,5,6', 'broadcasts whose cursors were told outlive a crash');
is( $node->safe_psql('postgres',
		"SELECT string_agg(e->>'event', ',') FROM json_array_elements(chatroom.sync('lobby', '$sent[4]')->'events') e"),
	'6', 'and the last cursor is good after it');

$node->stop;
done_testing();
