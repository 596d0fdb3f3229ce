# Chat: the part "chat" of the benchmark.
#
# What users do runs as an ordinary role, under the tables' row-level security.
package Chat;

use strict;
use warnings;
use Exporter 'import';
use Bench;

our @EXPORT = qw(bench_chat);

my $rooms = 1000;
my $present = 1000;
my $role = 'chatter';

# Run code as the ordinary role.
sub as_user
{
	my ($code) = @_;

	local $ENV{PGUSER} = $role;
	return $code->();
}

# The chat tables, with rooms, one of which has many messages and many present.
sub make_chat
{
	my ($messages) = @_;
	my $array = join ',', map { quote($_) } texts();

	sql('SELECT chatroom.stop()');
	sql(<<"SQL");
DROP SCHEMA IF EXISTS chat CASCADE;
SELECT chatroom.migrate();
CREATE ROLE $role LOGIN;
GRANT USAGE ON SCHEMA chat TO $role;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat TO $role;
INSERT INTO chat.rooms (name)
	SELECT 'room ' || n FROM generate_series(1, $rooms) AS n;
INSERT INTO chat.messages (room_id, username, text, inserted_at)
	SELECT 1 + (n % 10 = 0)::int * (n % $rooms), 'user' || n % 500,
		(ARRAY[$array])[1 + n % 200], now() - n * interval '1 second'
	FROM generate_series(1, $messages * 10 / 9) AS n;
SQL
	sql('VACUUM ANALYZE chat.messages');
	sql('VACUUM ANALYZE chat.rooms');
	sql('SELECT chatroom.start()');
	sql("SELECT count(chatroom.track('room:1', 'user' || n,"
		  . " ttl => '1 day')) FROM generate_series(1, $present) AS n");
	settle();
}

# post() and the INSERT that it stands for.
sub bench_post
{
	my ($reps, $seconds) = @_;
	my $array = join ',', map { quote($_) } texts();
	my $start = <<"SQL";
\\set room random(2, $rooms)
\\set line random(1, 200)
\\if :ready = 0
SELECT (ARRAY[$array])[:line] AS text \\gset
\\set ready 1
\\endif
SQL
	my %script = (
		insert => script('chat_insert', $start
			  . 'INSERT INTO chat.messages (room_id, username, text)'
			  . " VALUES (:room, 'crimsun', :text);\n"),
		post => script('chat_post', $start
			  . "SELECT chatroom.post(:room::bigint, 'crimsun', :text);\n"),
		key => script('chat_post_key', $start
			  . "SELECT chatroom.post(:room::bigint, 'crimsun', :text,"
			  . " gen_random_uuid()::text);\n"),
		shout => script('chat_shout', $start
			  . "SELECT chatroom.shout(:room::bigint, 'crimsun', :text);\n"));
	my $result = interleave($reps,
		map {
			my $side = $_;
			$side => sub {
				sql('CHECKPOINT');
				return as_user(sub { pgbench($script{$side}, 8, $seconds) });
			}
		} qw(post insert key shout));
	my $theirs = [ 'INSERT', $result->{insert} ];

	figure(
		name    => 'posting, 8 clients',
		unit    => 'messages/s',
		ours    => [ 'post()', $result->{post} ],
		theirs  => $theirs,
		atleast => 0.8,
		limits  => 'It looks for the room, whether the caller may post there,'
		  . ' for the user\'s row and for a typing entry, and makes jsonb of'
		  . ' the row.');
	figure(
		name   => 'posting with client_key, 8 clients',
		unit   => 'messages/s',
		ours   => [ 'post()', $result->{key} ],
		theirs => $theirs);
	figure(
		name   => 'posting before the disk, 8 clients',
		unit   => 'messages/s',
		ours   => [ 'shout()', $result->{shout} ],
		theirs => $theirs);
}

# join_room() and what of it a plain query could tell.
sub bench_join
{
	my ($reps, $seconds, $messages) = @_;
	my $newest = 'SELECT * FROM chat.messages WHERE room_id = 1'
	  . ' ORDER BY inserted_at DESC, id DESC LIMIT 30';
	my %script = (
		join  => script('chat_join', "SELECT chatroom.join_room(1);\n"),
		empty => script('chat_join_empty', "SELECT chatroom.join_room(1001);\n"),
		list  => script('chat_list', "SELECT chatroom.list_messages(1);\n"),
		bare  => script('chat_bare', "$newest;\n"),
		json  => script('chat_json',
			"SELECT json_agg(row_to_json(m)) FROM ($newest) AS m;\n"));

	# as the empty room, but for who is present
	sql("INSERT INTO chat.rooms (id, name) VALUES (1001, 'quiet')");
	sql('INSERT INTO chat.messages (room_id, username, text, inserted_at)'
		  . ' SELECT 1001, username, text, inserted_at'
		  . " FROM ($newest) AS m");
	sql('SELECT chatroom.snapshot_cursor()');
	my $result = interleave($reps,
		map {
			my $side = $_;
			$side => sub {
				my $run =
				  sub { 8000 / pgbench($script{$side}, 8, $seconds) };

				# plain queries without row-level security
				return $side eq 'bare' || $side eq 'json' ? $run->()
				  : as_user($run);
			}
		} qw(join bare empty list json));
	my $bare = [ 'newest 30 by index', $result->{bare} ];

	figure(
		name   => 'join_room() of ' . thousands($messages) . ' messages, '
		  . thousands($present) . ' present',
		unit   => 'ms a call, 8 clients',
		ours   => [ 'join_room()', $result->{join} ],
		theirs => $bare,
		atmost => 3,
		limits => 'Who is present is a hundred kilobytes of JSON.');
	figure(
		name   => 'join_room() with nobody present',
		unit   => 'ms a call, 8 clients',
		ours   => [ 'join_room()', $result->{empty} ],
		theirs => $bare);
	figure(
		name   => 'list_messages()',
		unit   => 'ms a call, 8 clients',
		ours   => [ 'list_messages()', $result->{list} ],
		theirs => [ 'the same by json_agg', $result->{json} ]);
}

sub bench_chat
{
	my ($quick, $reps, $seconds) = @_;
	my $messages = $quick ? 50_000 : 1_000_000;

	make_chat($messages);
	bench_join($reps, $seconds, $messages);
	bench_post($reps, $seconds);
}

1;
