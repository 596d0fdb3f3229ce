# Topics of rooms: what their followers are told when rights change while they
# wait, on a standby, over a crash, and when much goes with a room.
use strict;
use warnings;
use Chatroom::Test;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use Test::More;
use Time::HiRes qw(time);

my $many = $ENV{CHATROOM_LONG} ? 1_000_000 : 100_000;

my $node = chatroom_node('primary', conf => <<'CONF');
chatroom.cache_size = 16MB
chatroom.max_wait = 5min
CONF
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE anna LOGIN;
CREATE ROLE bert LOGIN;
CREATE ROLE carl LOGIN;
CREATE ROLE server LOGIN;
GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO server;
SELECT chatroom.migrate();
GRANT USAGE ON SCHEMA chat TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA chat TO PUBLIC;
INSERT INTO chat.users (username) VALUES ('anna'), ('bert'), ('carl');
INSERT INTO chat.rooms (id, name) VALUES (1, 'lobby');
SQL

# A private room of anna's and bert's.
sub make_room
{
	my ($id) = @_;

	$node->safe_psql('postgres', <<"SQL");
INSERT INTO chat.rooms (id, name, private) VALUES ($id, 'room $id', true);
INSERT INTO chat.members VALUES ($id, 'anna', 'owner'), ($id, 'bert', 'member');
SQL
	return;
}

sub say
{
	my ($room, $text) = @_;

	$node->safe_psql('postgres',
		"INSERT INTO chat.messages (room_id, username, text) VALUES ($room, 'anna', '$text')");
	return;
}

sub cursor { return $node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()'); }

# What an answer says: "reset", or its events' types and tables.
sub told
{
	my ($session) = @_;
	my $answer = $session->answer;

	return $1 if $session->error =~ /ERROR:\s+(\S+): /;
	$answer = decode_json($answer);
	return 'reset' if $answer->{reset};
	return join ' ', map { "$_->{type} $_->{table}" } @{ $answer->{events} };
}

# Sessions of each user's.
sub session { return Chatroom::Session->new($_[0], 'postgres', user => $_[1]); }
my %user = map { $_ => session($node, $_) } qw(anna bert carl server);

sub asks
{
	my ($session, $topic, $since) = @_;

	$session->send("SELECT chatroom.sync('$topic', '$since')");
	return told($session);
}

# A wait that sleeps: it has looked, and found nothing.
sub sleeps
{
	my ($session, $topic, $since, $more, $at) = @_;

	$session->send("CALL chatroom.wait('{$topic}', '$since', '1min'" . ($more // '') . ')');
	return poll_until('it sleeps', sub {
		my $n = ($at // $node)->safe_psql('postgres',
			"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Extension' AND query ~ '^CALL chatroom.wait'"
		);

		# a call of a session is one statement
		return $n >= 1;
	});
}

# ------------------------------------------------------- waits that sleep already

make_room(10);
my $since = cursor();
sleeps($user{bert}, 'room:10', $since);
$node->safe_psql('postgres', "DELETE FROM chat.members WHERE room_id = 10 AND username = 'bert'");
is(told($user{bert}), 'reset', 'taken out of a room, a wait that sleeps says reset');
is(asks($user{bert}, 'room:10', $since), 'reset', 'so does a sync with the old cursor');
is(asks($user{carl}, 'room:10', $since), 'P0002', 'others are not told a thing');
my $after = decode_json($user{bert}->query("SELECT chatroom.sync('room:10', '$since')"))->{cursor};
is(asks($user{bert}, 'room:10', $after), 'P0002', 'then the room is not there');

$since = cursor();
sleeps($user{carl}, 'room:1', $since);
$node->safe_psql('postgres', 'UPDATE chat.rooms SET private = true WHERE id = 1');
is(told($user{carl}), 'reset', 'a room that becomes private resets those who sleep on it');
$node->safe_psql('postgres', 'UPDATE chat.rooms SET private = false WHERE id = 1');

make_room(11);
$since = cursor();
sleeps($user{bert}, 'room:11', $since);
$node->safe_psql('postgres', 'DELETE FROM chat.rooms WHERE id = 11');
is(told($user{bert}), 'delete chat.rooms', 'a member who sleeps sees a private room go');

make_room(12);
$since = cursor();
sleeps($user{server}, 'room:12', $since, ", acting_for => 'bert'");
$node->safe_psql('postgres', "DELETE FROM chat.members WHERE room_id = 12 AND username = 'bert'");
is(told($user{server}), 'reset', 'who waits for a user loses what the user loses');
$user{server}->query("CALL chatroom.wait('{room:12}', NULL, '0', acting_for => 'carl')");
like($user{server}->error, qr/P0002/, 'and has no more than the user has');

# to come in ends no wait that sleeps on other rooms
$since = cursor();
sleeps($user{bert}, 'room:1', $since);
make_room(13);
say(13, 'not here');
say(1, 'but here');
is(told($user{bert}), 'insert chat.messages', 'what happens in other rooms ends no wait');

# -------------------------------------------------------------------- doorbells

make_room(20);
cursor();
$user{bert}->query("SELECT chatroom.listen('room:20')");
my $channel = $user{bert}->query('SELECT pg_listening_channels()');
$node->safe_psql('postgres', "DELETE FROM chat.members WHERE room_id = 20 AND username = 'bert'");
poll_until('the old channel is rung a last time',
	sub { $user{bert}->query('SELECT 1') =~ /"$channel" received from/ });
$user{bert}->query("SELECT chatroom.listen('room:20')");
like($user{bert}->error, qr/P0002/, 'who was taken out can not listen again');
my $renamed = $user{anna}->query("SELECT chatroom.channel('room:20')");
isnt($renamed, $channel, 'the channel has another name now');
$user{anna}->query("SELECT chatroom.listen('room:20')");
say(20, 'not for bert');
poll_until('who may listen hears of it',
	sub { $user{anna}->query('SELECT 1') =~ /"$renamed" with payload .* received from/ });
unlike($user{bert}->query('SELECT 1'), qr/received from/, 'who may not, does not');

# --------------------------------------------------------------------- a standby

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
# what is told before its worker began is not for it to tell
wait_running($standby);
my %there = map { $_ => session($standby, $_) } qw(bert carl);

make_room(30);
$since = cursor();
say(30, 'hello');
$node->wait_for_catchup($standby);
poll_until('the standby tells it',
	sub { asks($there{bert}, 'room:30', $since) eq 'insert chat.messages' });
is(asks($there{carl}, 'room:30', $since), 'P0002', 'a private room is hidden on a standby, too');
is(asks($there{carl}, 'room:31', $since), 'P0002', 'as one that is not there');
$since = cursor();
$node->wait_for_catchup($standby);
sleeps($there{bert}, 'room:30', $since, '', $standby);
$node->safe_psql('postgres', "DELETE FROM chat.members WHERE room_id = 30 AND username = 'bert'");
is(told($there{bert}), 'reset', 'a wait on a standby ends with the membership');
make_room(31);
$since = cursor();
$node->wait_for_catchup($standby);
sleeps($there{bert}, 'room:31', $since, '', $standby);
$node->safe_psql('postgres', 'DELETE FROM chat.rooms WHERE id = 31');
is(told($there{bert}), 'delete chat.rooms', 'and with the room, which the member sees go');
is(asks($there{carl}, 'room:31', $since), 'P0002', 'he alone');
$standby->stop;

# ---------------------------------------------------------------- much at a time

# a transaction that is too large to be kept is read again: with all it says
make_room(40);
$since = cursor();
$node->safe_psql('postgres', <<'SQL');
BEGIN;
INSERT INTO chat.messages (room_id, username, text, client_key)
	SELECT 40, 'anna', 'hello', i || repeat('key ', 600) FROM generate_series(1, 1000) i;
DELETE FROM chat.messages WHERE room_id = 40;
DELETE FROM chat.rooms WHERE id = 40;
COMMIT;
SQL
cursor();
my ($last) = asks($user{bert}, 'room:40', $since) =~ /(\S+ \S+)$/;
is($last, 'delete chat.rooms', 'a member is told by a transaction that was read again');
is(asks($user{carl}, 'room:40', $since), 'P0002', 'he alone');
cmp_ok(status($node, 'transactions_reread'), '>', 0, 'it was');

# one that is larger than the ring can't say it: who follows more than the room
# reloads, and the room is not there
make_room(41);
$since = cursor();
$node->safe_psql('postgres', <<'SQL');
BEGIN;
INSERT INTO chat.messages (room_id, username, text)
	SELECT 41, 'anna', 'hello' FROM generate_series(1, 20000);
DELETE FROM chat.messages WHERE room_id = 41;
DELETE FROM chat.rooms WHERE id = 41;
COMMIT;
SQL
cursor();
is(asks($user{bert}, 'room:41', $since), 'P0002', 'one larger than the ring leaves no trace of a room');
is(asks($user{bert}, 'rooms', $since), 'reset', 'but resets what comprises it');
is(asks($user{carl}, 'room:1', $since), '', 'and no other room');

# a room of many messages: others' events stay where they are
$node->safe_psql('postgres', <<"SQL");
INSERT INTO chat.rooms (id, name, private) VALUES (50, 'large', true);
INSERT INTO chat.members VALUES (50, 'anna', 'owner'), (50, 'bert', 'member');
BEGIN;
ALTER TABLE chat.messages DISABLE TRIGGER USER;
INSERT INTO chat.messages (room_id, username, text)
	SELECT 50, 'anna', 'hello' FROM generate_series(1, $many);
ALTER TABLE chat.messages ENABLE TRIGGER USER;
COMMIT;
ANALYZE chat.messages;
CREATE TABLE plain_rooms (id bigint PRIMARY KEY);
CREATE TABLE plain_messages (LIKE chat.messages INCLUDING ALL,
	FOREIGN KEY (room_id) REFERENCES plain_rooms ON DELETE CASCADE);
INSERT INTO plain_rooms VALUES (50);
INSERT INTO plain_messages SELECT * FROM chat.messages WHERE room_id = 50;
ANALYZE plain_messages;
SQL
$since = cursor();
say(1, "before $_") for 1 .. 3;
say(50, 'in it');
my $looks = sub
{
	$node->safe_psql('postgres', 'SELECT pg_stat_force_next_flush()');
	return $node->safe_psql('postgres',
		"SELECT idx_scan FROM pg_stat_user_tables WHERE relid = 'chat.rooms'::regclass");
};
cursor();
my $before = status($node, 'events');
my $scans = $looks->();
my $start = time();
$node->safe_psql('postgres', 'DELETE FROM plain_rooms');
my $plain = time() - $start;
$start = time();
$node->safe_psql('postgres', 'DELETE FROM chat.rooms WHERE id = 50');
my $watched = time() - $start;
diag(sprintf '%d messages gone with their room: %.2f s, without a trigger %.2f s',
	$many, $watched, $plain);
cursor();
cmp_ok(status($node, 'events') - $before, '<', 10, 'a room of many messages goes as one event');
cmp_ok($looks->() - $scans, '<', 100, 'looked up but a few times');
is(asks($user{carl}, 'room:1', $since), join(' ', ('insert chat.messages') x 3),
	'followers of other rooms have missed nothing');
is(asks($user{bert}, 'room:50', $since), 'insert chat.messages delete chat.rooms', 'members see it go');
is(asks($user{carl}, 'room:50', $since), 'P0002', 'they alone');
is($node->safe_psql('postgres', "SELECT chatroom.sync('chat.messages', '$since')->>'reset'"),
	'true', 'who follows the table reloads');

# a prepared transaction says it when it commits
make_room(55);
$since = cursor();
$node->safe_psql('postgres', <<'SQL');
BEGIN;
INSERT INTO chat.messages (room_id, username, text) VALUES (55, 'anna', 'the last');
DELETE FROM chat.rooms WHERE id = 55;
PREPARE TRANSACTION 'gone';
SQL
cursor();
is(asks($user{bert}, 'room:55', $since), '', 'a room is there until the transaction that deletes it has committed');
$node->safe_psql('postgres', "COMMIT PREPARED 'gone'");
cursor();
is(asks($user{bert}, 'room:55', $since), 'insert chat.messages delete chat.rooms', 'members see it go then');
is(asks($user{carl}, 'room:55', $since), 'P0002', 'they alone');

# ---------------------------------------------------------------------- a crash

make_room(60);
make_room(61);
$since = cursor();
say(60, 'hello');
$node->safe_psql('postgres', <<'SQL');
DELETE FROM chat.rooms WHERE id = 60;
DELETE FROM chat.members WHERE room_id = 61 AND username = 'bert';
SQL
$_->close for values %user;
crash($node);
start_again($node);
wait_running($node);
cursor();
is(asks($user{bert}, 'room:60', $since), 'insert chat.messages delete chat.rooms',
	'after a crash a member still sees a room go');
is(asks($user{bert}, 'room:61', $since), 'reset', 'and one who was taken out, that he was');
is(asks($user{carl}, 'room:60', $since), 'P0002', 'and others nothing');
is(asks($user{carl}, 'room:61', $since), 'P0002', 'at all');

done_testing();
