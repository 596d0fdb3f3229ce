# Every function and procedure of schema chatroom, called at random with what
# it may get, and with what it should never get, by a role without privileges,
# by a user of the chat who owns tables too, and by an application server: a
# call may fail, but never crash the server, lose the connection, or report an
# internal error (XX000).
#
# Half of the arguments are what their name and type lead to, so that calls get
# far; the others are hostile: NULL, the ends of a type, other users' rooms,
# damaged JSON, cursors and topics, a megabyte of text.  CHATROOM_SEED does the
# same as once it did; CHATROOM_LONG=1 (make test-long) runs for minutes.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seed = random_seed();
my $seconds = $ENV{CHATROOM_LONG} ? 240 : 20;
my $batch = 20;

my $node = chatroom_node('calls', conf => <<'CONF');
log_error_verbosity = verbose
log_min_error_statement = error
temp_file_limit = 100MB
CONF

# Whoever has no privileges at all; who chats, and owns tables and a prefix of
# her own; and who speaks for others.
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE stranger LOGIN;
CREATE ROLE chatter LOGIN;
CREATE ROLE server LOGIN;
ALTER ROLE stranger SET statement_timeout = '1s';
ALTER ROLE chatter SET statement_timeout = '1s';
ALTER ROLE server SET statement_timeout = '1s';
GRANT CREATE ON DATABASE postgres TO chatter;
GRANT CREATE ON SCHEMA public TO chatter;
GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO server;
SELECT chatroom.grant_topic('free*', 'public', '{sync,track,broadcast}');
SQL

# All there is to call, as it was made; random calls take much of it away, so
# now and then it is made anew.
my $setup = <<'SQL';
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS chat, hers, odd CASCADE;
DROP TABLE IF EXISTS public.posts, public.comments, public.nokey, public.parts CASCADE;
SELECT chatroom.migrate();
GRANT USAGE ON SCHEMA chat TO chatter, server;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat TO chatter, server;
INSERT INTO chat.rooms (id, name, private) OVERRIDING SYSTEM VALUE
	VALUES (1, 'lobby', false), (2, 'den', true), (3, 'her own', true);
INSERT INTO chat.users (username) VALUES ('chatter'), ('alice'), ('robert');
INSERT INTO chat.members (room_id, username, role) VALUES (2, 'alice', 'owner'), (2, 'robert', 'guest'),
	(3, 'chatter', 'owner'), (3, 'alice', 'member');
INSERT INTO chat.messages (room_id, username, text) SELECT 1 + i % 3, 'alice', 'text ' || i FROM generate_series(1, 30) i;
SET ROLE chatter;
SELECT chatroom.migrate('hers');
SELECT chatroom.create_room('room of hers', prefix => 'hers');
CREATE TABLE public.posts (id bigint PRIMARY KEY, parent bigint REFERENCES public.posts, title text NOT NULL, num numeric,
	at timestamptz, tags text[], doc jsonb, "Odd ""name""" int);
CREATE TABLE public.comments (id serial PRIMARY KEY, post bigint REFERENCES public.posts ON DELETE CASCADE, body text, version int DEFAULT 1);
CREATE TABLE public.nokey (a int, b text);
CREATE TABLE public.parts (a int, b text, PRIMARY KEY (a, b)) PARTITION BY RANGE (a);
CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM (0) TO (100);
CREATE SCHEMA odd;
CREATE TABLE odd."Odd ""Table""" (id uuid PRIMARY KEY, "x:y" text);
CREATE VIEW odd.a_view AS SELECT * FROM public.posts;
SELECT chatroom.watch('posts'), chatroom.watch('comments'), chatroom.watch('nokey'), chatroom.watch('parts', label => 'parts');
SELECT chatroom.add_rule('posts', 'title', 'length', '{"min": 2, "max": 20}');
INSERT INTO public.posts (id, title, parent) VALUES (1, 'first', NULL), (2, 'second', 1);
INSERT INTO public.comments (post, body) VALUES (1, 'one'), (1, 'two'), (2, 'three');
INSERT INTO public.parts VALUES (1, 'a');
SQL
$node->safe_psql('postgres', $setup);
my $cursor = $node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()');
my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');

# --- arguments

sub any { return $_[ int(rand(scalar @_)) ]; }
sub quote { my ($text) = @_; $text =~ s/'/''/g; $text =~ s/\\/\\\\/g; return "E'$text'"; }

my @words = ('', ' ', 'a', 'lobby', 'den', 'her own', 'alice', 'chatter', 'robert', 'no such', '1', '2', '3', '-1', '0',
	'9223372036854775807', '99999999999999999999', '00001', '%s%n%d', '"', "'", '""', '..', 'a.b.c.d', '{', '}', '{}', '[]',
	'null', 'NaN', "\x{1}", "tab\tnew\nline", 'U&"\0041"', '*', '%', '_', '\\', '$1', ':', '/', ';', '--', '/*');
my @relations = qw(posts comments nokey parts parts_1 public.posts chat.rooms chat.messages chat.members chat.users chat.invites hers.rooms
  hers.messages odd.a_view pg_class pg_catalog.pg_authid chatroom.topic_grant chatroom.status no_such information_schema.tables 1259 0 4294967295 -1);
push @relations, 'odd."Odd ""Table"""', 'odd."unclosed', 'a.b.c', 'postgres.public.posts', 'posts posts', 'posts_pkey';
my @fields = qw(id title num parent tags doc post body version name text username room_id private at a b no_such ctid tableoid);
push @fields, 'Odd "name"', '';
my @topics = ('public.posts', 'public.posts:1', 'public.posts.parent:1', 'public.comments.post:1', 'public.nokey', 'parts', 'parts:1,a',
	'room:1', 'room:2', 'room:3', 'room:9', 'rooms', 'chat/*', 'chat.messages', 'chat.rooms:2', 'chat.invites', 'hers/room:1', 'hers/rooms', 'hers/*',
	'free', 'free:1', 'free/x', 'odd."Odd ""Table"""', 'room:', 'room:x', 'room:-1', 'room:01', 'room:9223372036854775808', '/*', '*', 'x/*',
	'public.posts:', 'public.posts.', 'public.posts.no:1', 'public.posts:\\', 'public.posts:1,2,3', '.', ':', '"', '"".""', 'pg_catalog.pg_authid');
my @validations = qw(required length format inclusion exclusion subset number unique assoc no_assoc check embed optimistic_lock acceptance
  confirmation no_such);
my @params = ('{}', '{"min": 1}', '{"min": -1, "max": 1e400}', '{"is": "x"}', '{"max": 99999999999999999999}', '{"with": "("}', '{"with": "^(a+)+$"}',
	'{"with": "a"}', '{"in": []}', '{"in": [1, "a", null, {}]}', '{"in": {}}', '{"less_than": "NaN"}', '{"less_than": 1e1000}', '{"fields": ["id", "no"]}',
	'{"fields": []}', '{"expression": "1 = 1"}', '{"expression": "1/0"}', '{"expression": "); DROP"}', '{"expression": "(SELECT 1)"}',
	'{"rules": [{"field": "a", "validation": "required"}], "many": true}', '{"rules": 1}', '{"count": "bytes"}', '{"is": 3, "count": "x"}',
	'{"through": ["posts", "x"]}', '{"foreign_key": ["post"]}', '{"where": {"id": 1}, "order": ["id"]}', '{"related": "posts"}');
my @objects = ('{}', '{"id": 1}', '{"id": "1"}', '{"id": null}', '{"id": [1]}', '{"id": 99999999999999999999}', '{"a": 1, "b": "a"}', '1', '"1"', 'null', '[]',
	'[1, "a"]', '{"id": 7, "title": "a title"}', '{"id": 8, "title": "t", "tags": ["a", 1, null], "num": 1e300, "at": "yesterday"}',
	'{"title": "with more", "comments": [{"body": "x"}, {"id": 1, "body": "y"}], "posts": {}}', '{"comments": {"0": {"body": 1}}}',
	'{"profile": {"display_name": "x", "avatar": null}}', '{"profile": [1]}', '{"title": {"$ref": "x.y"}}', '{"": 1}', '{"id": NaN}',
	'{"id": 1, "comments": [{"id": 1, "post": 1}]}', '[{"id": 1, "comments": []}, {"id": 2}]', '{"target": ["id"], "action": "replace_all"}',
	'{"action": "inc", "target": ["id"], "inc": {"num": 1}}', '{"action": "nothing"}', '{"action": "set", "set": {"title": 1}, "target": []}',
	'{"parent": {"parent": {"parent": {"id": 1}}}}', '{"doc": {"a": [[[[]]]]}, "id": 3, "title": "doc"}', '{"a\\\\u0000b": 1}', '"\\\\ud800"');
my @operations = ('[{"name": "a", "op": "insert", "relation": "posts", "attrs": {"id": 50, "title": "fifty"}}, {"name": "b", "op": "update", "relation": "posts", "refs": {"key.id": "a.id"}, "attrs": {"title": "again"}}]',
	'[{"name": "a", "op": "call", "function": "pg_catalog.version"}]', '[{"name": "a", "op": "call", "function": "chatroom.multi", "value": []}]', '[{"op": "insert"}]',
	'[{"name": "a", "op": "delete", "relation": "chat.rooms", "key": {"id": 2}}]', '[1]', '{}', '[[]]', '[{"name": "a", "op": "value", "refs": {"value": "a"}}]',
	'[{"name": "a", "op": "update_all", "relation": "posts", "where": {"id": 1}, "attrs": {"title": "xx"}}, {"name": "b", "op": "delete_all", "relation": "comments", "where": {}}]',
	'[{"name": "a", "op": "all", "relation": "posts", "where": {"id": [1, 2]}}, {"name": "a", "op": "no_such"}]', '[{"name": null, "op": null}]');
my @paths = ('{}', '{posts}', '{comments}', '{comments.post}', '{messages,members,users}', '{parent.comments.post.parent}', '{no_such}', '{""}', '{NULL}', '{.}',
	'{a..b}', '{comments,comments}', '{{a},{b}}');
my @answers = ('{"cursor": "x", "reset": false, "more": false, "events": []}', '{"reset": true}', '{"events": {}}', '{"events": [1]}', '{"events": [{"type": "insert"}]}',
	'{"cursor": "x", "reset": false, "events": [{"cursor": "x", "type": "insert", "topics": ["public.comments"], "table": "public.comments", "key": {"id": 9}, "row": {"id": 9, "post": 1, "body": "nine"}}]}',
	'{"events": [{"type": "update", "table": "public.posts", "key": {"id": 1}, "row": null, "old": [], "changed": {}}]}',
	'{"events": [{"type": "delete", "table": "public.posts", "key": {"id": "x"}, "row": 1, "old": {"id": 1}}]}',
	'{"events": [{"type": "presence_join", "key": 1, "meta": 2}, {"type": null, "table": null}]}');

# Text of any sort; a long or deep one now and then.
sub hostile_text
{
	return any("repeat('x', 1000000)", "repeat('[', 100000)", "repeat('ab:', 30000)", "repeat(E'\\u00e4', 200)", "repeat('\"', 999)") if rand() < 0.04;
	return "'" . join('', map { chr(33 + int(rand(6))) } 1 .. 5) . "'" =~ s/(?<=.)'(?=.)/''/gr if rand() < 0.05;
	return quote(any(@words, @topics, @relations));
}

sub cursor
{
	my $text = any($cursor, $cursor, $cursor, '', '-', 'x', "$cursor-", substr($cursor, 0, int(rand(length $cursor))), '0' x 200);

	if (rand() < 0.4 && length $text)
	{
		substr($text, int(rand(length $text)), 1) = any(0 .. 9, 'a' .. 'f', '-', '.', 'F');
	}
	return quote($text);
}

sub json_text
{
	return any("repeat('[', 3000) || repeat(']', 3000)", "repeat('{\"a\":', 2000) || '1' || repeat('}', 2000)",
		"'[' || repeat('1,', 300000) || '1]'", "'{\"title\": \"' || repeat('x', 1000000) || '\"}'",
		"repeat('[', 200000)", "'{\"id\": 1'", "'{\"a\":}'") if rand() < 0.06;
	return quote(any(@objects, @params, @operations, @answers));
}

# By the argument's name, what may well be right.
my %by_name = (
	acting_for => sub { any('NULL', 'NULL', quote(any(qw(alice robert chatter stranger)))) },
	after => sub { any('NULL', quote(any('2030-01-01', '-infinity', 'x'))) },
	answer => sub { quote(any(@answers)) },
	attrs => sub { quote(any(@objects)) },
	before => sub { any('NULL', quote(any('2030-01-01', 'infinity', 'x'))) },
	big_numbers => sub { quote(any('number', 'text', 'x')) },
	columns => sub { quote(any('{id}', '{id,title}', '{no_such}', '{}', '{NULL}')) },
	condition => sub { quote(any('true', 'id > 1', 'title = NULL', '(SELECT 1) = 1', '1; DROP', 'no_such', 'random() < 1', 'count(*) > 1', '$1')) },
	event => sub { quote(any('x', 'saved', 'insert')) },
	events => sub { quote(any('{insert}', '{insert,update,delete,truncate}', '{no}', '{}')) },
	expires => sub { quote(any('1 day', '-1 day', '0', '1000000 years')) },
	field => sub { quote(any(@fields)) },
	id => sub { any(1 .. 30) },
	key => sub { quote(any(@objects, 'alice')) },
	label => sub { quote(any('', 'label', 'parts', 'room', 'free')) },
	max_events => sub { any(1, 2, 1000) },
	max_rows => sub { any(1, 2, 30, 'NULL') },
	mode => sub { quote(any('open', 'members')) },
	name => sub { quote(any('lobby', 'new room', 'posts_title_length', 'comments', @fields)) },
	operations => sub { quote(any(@operations)) },
	params => sub { quote(any(@params)) },
	prefix => sub { any('NULL', quote(any('chat', 'hers', 'hers', 'public', 'odd', 'no such'))) },
	preload => sub { quote(any(@paths)) },
	relation => sub { quote(any(@relations)) },
	role => sub { quote(any(qw(guest member admin owner))) },
	room => sub { my ($type) = @_; $type eq 'bigint' ? any(1, 2, 3, 9) : quote(any('lobby', 'den', 'her own', 'room of hers', 1, 2, 3, 9)) },
	rooms => sub { quote(any('chat.rooms', 'hers.rooms', 'posts')) },
	since => sub { cursor() },
	timeout => sub { quote(any('0', '1 ms', '20 ms')) },
	topic => sub { quote(any(@topics)) },
	topics => sub { 'ARRAY[' . join(',', map { quote(any(@topics)) } 0 .. int(rand(3))) . ']' },
	ttl => sub { any('NULL', quote(any('1 s', '1 h'))) },
	username => sub { quote(any(qw(alice robert chatter stranger somebody))) },
	validation => sub { quote(any(@validations)) },
	value => sub { quote(any(@objects)) },
	version => sub { any(0, 1, 2, 'NULL') },
);

# By the argument's type, anything.
my %by_type = (
	'bigint' => sub { any(0, -1, 1, 2, 3, '9223372036854775807', "'-9223372036854775808'") },
	'boolean' => sub { any('true', 'false') },
	'integer' => sub { any(0, -1, 1, 2, 7, '2147483647', "'-2147483648'") },
	'interval' => sub { quote(any('0', '-1 s', '1 us', '178000000 years', '-178000000 years', '-1 mon 3 days', '2147483647 days', 'NaN', 'infinity', '1 y x')) },
	'json' => \&json_text,
	'jsonb' => \&json_text,
	'regclass' => sub { quote(any(@relations)) },
	'text' => sub { any(sub { cursor() }, \&hostile_text, \&hostile_text, \&json_text)->() },
	'text[]' => sub { any("'{}'", "ARRAY[NULL]", "ARRAY[" . hostile_text() . "]", quote(any(@paths)), "'{{a,b},{c,d}}'", "'[0:1]={a,b}'",
		"array_fill('room:1'::text, ARRAY[5000])", "ARRAY(SELECT 'free' || i FROM generate_series(1, 3000) i)") },
);

# --- calls

my @functions = map { my ($kind, $name, $args) = split /\|/; { kind => $kind, name => $name, args => [ map { [ split /=/ ] } split /;/, $args // '' ] } }
  split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT p.prokind, p.proname, (
		SELECT string_agg(coalesce(nullif(p.proargnames[i], ''), 'x') || '=' || format_type(p.proargtypes[i - 1], NULL), ';' ORDER BY i)
		FROM generate_series(1, p.pronargs) i)
  FROM pg_proc p WHERE p.pronamespace = 'chatroom'::regnamespace ORDER BY p.proname, p.oid
SQL
my @views = split /\n/, $node->safe_psql('postgres',
	"SELECT relname FROM pg_class WHERE relnamespace = 'chatroom'::regnamespace AND relkind IN ('v', 'r')");
cmp_ok(scalar @functions, '>', 90, 'there is much to call');

sub random_call
{
	my ($function) = @_;
	my @args;

	foreach my $arg (@{ $function->{args} })
	{
		my ($name, $type) = @$arg;
		my $value = rand() < 0.04 ? 'NULL'
		  : rand() < 0.7 && $by_name{$name} ? $by_name{$name}->($type)
		  : ($by_type{$type} // sub { "'x'" })->();

		push @args, "($value)::$type";
	}
	my $call = "chatroom.\"$function->{name}\"(" . join(', ', @args) . ')';
	return $function->{kind} eq 'p' ? "CALL $call" : "SELECT $call";
}

# One of all functions, at random; some in transactions, with what else a
# session does.
sub random_statements
{
	my ($who) = @_;
	my $function = any(@functions);
	my $call = random_call($function);

	$function->{calls}++;
	return "SELECT * FROM chatroom." . any(@views) if rand() < 0.02;
	if (rand() < 0.25)
	{
		my @inside = ($call, map { random_call(any(@functions)) } 1 .. int(rand(3)));
		my $act = $who eq 'server' ? "SELECT chatroom.act_as('" . any(qw(alice robert stranger)) . "');\n" : '';

		return any('BEGIN', 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'BEGIN READ ONLY') . ";\n$act"
		  . join(";\n", map { rand() < 0.5 ? "SAVEPOINT a;\n$_;\nROLLBACK TO a" : $_ } @inside) . ";\n" . any('COMMIT', 'ROLLBACK');
	}
	return $call;
}

my %session = map { $_ => Chatroom::Session->new($node, 'postgres', user => $_) } qw(stranger chatter server);
my (%states, $lost);
my ($calls, $end, $renew) = (0, time() + $seconds, 1);

until (time() > $end || $lost)
{
	my $who = any(sort keys %session);
	my @statements = map { random_statements($who) } 1 .. $batch;

	# what a former call has locked, listened to or tracked must not add up
	push @statements, 'UNLISTEN *';
	eval { $session{$who}->query(join ";\n", @statements); 1 } or $lost = $@;
	$calls += $batch;
	my $errors = $session{$who}->error;
	$states{$1}++ while $errors =~ /^(?:psql:\S+ )?ERROR:  (\w{5}):/mg;
	if ($calls >= $renew * 2000)
	{
		$renew++;
		$node->safe_psql('postgres', $setup);
		$cursor = $node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()');
	}
}
$_->close foreach values %session;
note("$calls calls; errors: " . join(', ', map { "$_ $states{$_}" } sort { $states{$b} <=> $states{$a} } keys %states));

# --- what came of it

is($lost, undef, 'no connection was lost');
is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $started, 'the server has run all the time');
my @missing = map { $_->{name} } grep { !$_->{calls} } @functions;
is("@missing", '', 'every function was called') if $calls > 1500;

# Whole log entries of what must not be, with the statement.
my $log = slurp_file($node->logfile);
my @bad;
while ($log =~ /^([^\n]*(?:XX\w{3}:|PANIC|TRAP:|was terminated by signal|FATAL:  57P02)[^\n]*\n(?:[^\n]*(?:LOCATION|STATEMENT|DETAIL|CONTEXT|HINT):[^\n]*\n|\t[^\n]*\n)*)/mg)
{
	push @bad, substr($1, 0, 2000);
}
is(scalar @bad, 0, "neither internal errors nor crashes ($calls calls, CHATROOM_SEED=$seed)")
  or diag(join "\n", @bad > 10 ? @bad[ 0 .. 9 ] : @bad);

# And all goes on as before.  The sessions that have gone may still be told as
# leaving the room: only what is posted counts.
$node->safe_psql('postgres', $setup);
is( $node->safe_psql('postgres', <<'SQL'), 'insert still here', 'the chat works');
SELECT chatroom.snapshot_cursor() AS start \gset
SELECT chatroom.post('lobby', 'alice', 'still here') IS NOT NULL AS posted \gset
SELECT chatroom.snapshot_cursor() IS NOT NULL AS published \gset
SELECT concat_ws(' ', e->>'type', e->'row'->>'text')
  FROM json_array_elements(chatroom.sync('room:1', :'start')->'events') e
 WHERE e->>'type' NOT LIKE 'presence%'
SQL
$node->stop;
done_testing();
