# What is seen through chatroom is what a SELECT shows: every function and view
# that reads, for every sort of caller, on rooms and on ordinary tables.
#
# Each value of the test's rows is a marker of its own: a text mk_..., or a
# number 77xxxxxxx.  A cell of the matrix is a call by a caller; the markers in
# its answer are compared with those that SELECTs of the same tables show to the
# same caller, column by column, at the same moment (for superusers who act for
# a user, whom SELECT doesn't hold to anything: to an ordinary role that acts for
# him).  Where SELECT is denied, so is the call; and what is hidden is answered
# in every respect as what isn't there.  CHATROOM_CALLER='room owner' runs the
# cells of one caller.
use strict;
use warnings;
use Chatroom::Test;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $json = JSON::PP->new->canonical->allow_nonref;
my $node = chatroom_node('matrix');

# ------------------------------------------------------------------ who, what

# Callers: a role, whom it acts for, the claims of a token, and whose SELECT of
# chat tables tells what it is to see.
my %callers = (
	'table owner' => { role => 'mk_tables' },
	'owner acting for a member' => { role => 'mk_tables', acts => 'mk_mary', prefixed => 1 },
	'owner acting for a stranger' => { role => 'mk_tables', acts => 'mk_stranger' },
	'room owner' => { role => 'mk_olivia' },
	'admin' => { role => 'mk_adam' },
	'member' => { role => 'mk_mary' },
	'guest' => { role => 'mk_gustav' },
	'non-member' => { role => 'mk_norman' },
	'server' => { role => 'mk_app' },
	'server acting for a member' => { role => 'mk_app', acts => 'mk_mary' },
	'server acting for a stranger' => { role => 'mk_app', acts => 'mk_stranger' },
	'role without privileges' => { role => 'mk_plain' },
	'role with USAGE alone' => { role => 'mk_usage' },
	'role with column privileges' => { role => 'mk_columns' },
	'pg_read_all_data' => { role => 'mk_reader' },
	'BYPASSRLS' => { role => 'mk_bypass' },
	'BYPASSRLS acting for a stranger' => { role => 'mk_bypass', acts => 'mk_stranger', as => 'server acting for a stranger' },
	'superuser' => { role => 'mk_super' },
	'superuser acting for a stranger' => { role => 'mk_super', acts => 'mk_stranger', as => 'server acting for a stranger' },
	'superuser acting for a member' => { role => 'mk_super', acts => 'mk_mary', as => 'server acting for a member' },
	'claims of a member' => { role => 'mk_web', claims => '{"sub": "mk_mary"}' },
	'claims of a stranger' => { role => 'mk_web', claims => '{"sub": "mk_stranger"}' },
	'claims of nobody' => { role => 'mk_web', claims => '' },
);
my @callers = sort keys %callers;
my ($only) = grep { defined && length } $ENV{CHATROOM_CALLER};
@callers = grep { $_ eq $only } @callers if $only;

my %rooms = (
	public => { I => 771000001, N => 'mk_hall' },
	private => { I => 771000002, N => 'mk_den' },
	deleted => { I => 771000003, N => 'mk_gone' },
	'made private' => { I => 771000004, N => 'mk_turned' },
	missing => { I => 771000009, N => 'mk_none' },
);
$_->{M} = 772000000 + $_->{I} % 10 * 10 + 1 foreach values %rooms;
my @rooms = ('public', 'private', 'deleted', 'made private');

# open to the roles; to nobody; some columns; with policies; with forced ones.
my @tables = qw(open closed columns keyed policed forced);

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE mk_users;
CREATE ROLE mk_tables LOGIN;
CREATE ROLE mk_super LOGIN SUPERUSER;
CREATE ROLE mk_bypass LOGIN BYPASSRLS IN ROLE mk_users;
CREATE ROLE mk_reader LOGIN IN ROLE pg_read_all_data;
CREATE ROLE mk_plain LOGIN;
CREATE ROLE mk_usage LOGIN;
CREATE ROLE mk_columns LOGIN;
CREATE ROLE mk_web LOGIN IN ROLE mk_users;
ALTER ROLE mk_web SET chatroom.claims = 'request.jwt.claims';
CREATE ROLE mk_app LOGIN IN ROLE mk_users;
CREATE ROLE mk_olivia LOGIN IN ROLE mk_users;
CREATE ROLE mk_adam LOGIN IN ROLE mk_users;
CREATE ROLE mk_mary LOGIN IN ROLE mk_users;
CREATE ROLE mk_gustav LOGIN IN ROLE mk_users;
CREATE ROLE mk_norman LOGIN IN ROLE mk_users;
GRANT CREATE ON DATABASE postgres TO mk_tables;
GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO mk_app, mk_tables, mk_bypass;

-- a database of somebody else's, with a cache
CREATE DATABASE mk_other;
\c mk_other
CREATE EXTENSION chatroom;
SELECT chatroom.snapshot_cursor();
\c postgres

SET ROLE mk_tables;
SELECT chatroom.migrate(), chatroom.migrate('mk_prefix');
GRANT USAGE ON SCHEMA chat TO mk_users, mk_usage, mk_columns;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat TO mk_users;
GRANT SELECT (id, name, inserted_at) ON chat.rooms TO mk_columns;
GRANT SELECT (id, room_id, text, inserted_at) ON chat.messages TO mk_columns;
GRANT SELECT (room_id, username, role, inserted_at) ON chat.members TO mk_columns;
GRANT UPDATE, DELETE ON chat.rooms, chat.messages TO mk_columns;

CREATE SCHEMA m;
CREATE TABLE m.parents (id text PRIMARY KEY);
DO $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY '{open,closed,columns,keyed,policed,forced}'::text[] LOOP
		EXECUTE format('CREATE TABLE m.%I (id text PRIMARY KEY, parent text REFERENCES m.parents,
			author text, note text, secret text)', t);
		PERFORM chatroom.watch('m.' || t);
		PERFORM chatroom.add_rule('m.' || t, 'note', 'length', '{"max": 100}');
	END LOOP;
END $$;
SELECT chatroom.watch('m.parents');
GRANT USAGE ON SCHEMA m TO mk_users, mk_usage, mk_columns;
GRANT SELECT ON m.parents TO mk_users, mk_columns;
GRANT SELECT, INSERT, UPDATE, DELETE ON m.open, m.policed, m.forced TO mk_users;
GRANT SELECT (parent, note) ON m.columns TO mk_users, mk_columns;
GRANT SELECT (id, parent, note) ON m.keyed TO mk_users, mk_columns;
GRANT UPDATE, DELETE ON m.columns, m.keyed TO mk_users, mk_columns;
GRANT SELECT (id, author, note) ON m.policed TO mk_columns;
ALTER TABLE m.policed ENABLE ROW LEVEL SECURITY;
ALTER TABLE m.forced ENABLE ROW LEVEL SECURITY;
ALTER TABLE m.forced FORCE ROW LEVEL SECURITY;
CREATE POLICY author ON m.policed USING (author = current_user);
CREATE POLICY author ON m.forced USING (author IN (current_user, 'all_of_us'));
RESET ROLE;
SELECT chatroom.grant_topic('mk_free_mary*', 'mk_mary', '{sync}'), chatroom.grant_topic('mk_free_all*', 'public', '{sync}'),
	chatroom.grant_topic('mk_free_app*', 'mk_app', '{sync,track}');
ALTER ROLE mk_web SET request.jwt.claims = '';
SQL

# Run statements as a caller; the last one's rows, or the complete error.
# Nothing stays.
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA mx;
GRANT USAGE ON SCHEMA mx TO PUBLIC;
CREATE FUNCTION mx.try(acts text, statements text[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	answer text;
	state text;
	message text;
	detail text;
	hint text;
	context text;
	s text;
	t text;
	c text;
	k text;
	d text;
BEGIN
	BEGIN
		IF acts IS NOT NULL THEN
			PERFORM chatroom.act_as(acts);
		END IF;
		FOR i IN 1 .. cardinality(statements) - 1 LOOP
			EXECUTE statements[i];
		END LOOP;
		EXECUTE format('SELECT coalesce(jsonb_agg(to_jsonb(x)), ''[]'') FROM (%s) x', statements[cardinality(statements)])
			INTO answer;
		RAISE EXCEPTION USING ERRCODE = 'XXDON', DETAIL = answer;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT, s = SCHEMA_NAME, t = TABLE_NAME, c = COLUMN_NAME,
			k = CONSTRAINT_NAME, d = PG_DATATYPE_NAME;
		IF state = 'XXDON' THEN
			RETURN jsonb_build_object('answer', detail);
		END IF;
		RETURN jsonb_build_object('state', state, 'error', ARRAY[state, message, detail, hint, context, s, t, c, k, d]);
	END;
END $$;
CREATE FUNCTION mx.run(acts text, calls jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_agg(mx.try(acts, (SELECT array_agg(s ORDER BY o) FROM jsonb_array_elements_text(c) WITH ORDINALITY x (s, o))) ORDER BY n)
	FROM jsonb_array_elements(calls) WITH ORDINALITY y (c, n)
$$;

-- writes that the caller could not do, in his transaction
CREATE FUNCTION mx.write() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	INSERT INTO chat.messages (id, room_id, username, text) OVERRIDING SYSTEM VALUE
		SELECT 773000000 + id % 10, id, 'mk_writer', 'mk_pending_' || id FROM chat.rooms;
	INSERT INTO m.open VALUES ('mk_p_open_id', 'mk_parent', 'mk_norman', 'mk_p_open_note', 'mk_p_open_secret');
	INSERT INTO m.closed VALUES ('mk_p_closed_id', 'mk_parent', 'mk_norman', 'mk_p_closed_note', 'mk_p_closed_secret');
	INSERT INTO m.columns VALUES ('mk_p_columns_id', 'mk_parent', 'mk_norman', 'mk_p_columns_note', 'mk_p_columns_secret');
	INSERT INTO m.keyed VALUES ('mk_p_keyed_id', 'mk_parent', 'mk_norman', 'mk_p_keyed_note', 'mk_p_keyed_secret');
	INSERT INTO m.policed VALUES ('mk_p_policed_id', 'mk_parent', 'mk_norman', 'mk_p_policed_note', 'mk_p_policed_secret');
	INSERT INTO m.forced VALUES ('mk_p_forced_id', 'mk_parent', 'mk_norman', 'mk_p_forced_note', 'mk_p_forced_secret');
END $$;
SQL

my $start = $node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()');

$node->safe_psql('postgres', <<'SQL');
INSERT INTO chat.users (username) SELECT 'mk_' || unnest('{olivia,adam,mary,gustav,norman,writer}'::text[]);
INSERT INTO chat.rooms (id, name, private) OVERRIDING SYSTEM VALUE VALUES (771000001, 'mk_hall', false),
	(771000002, 'mk_den', true), (771000003, 'mk_gone', true), (771000004, 'mk_turned', false);
INSERT INTO chat.members (room_id, username, role) SELECT id, 'mk_' || u, r FROM chat.rooms,
	(VALUES ('olivia', 'owner'), ('adam', 'admin'), ('mary', 'member'), ('gustav', 'guest')) x (u, r);
INSERT INTO chat.messages (id, room_id, username, text, client_key) OVERRIDING SYSTEM VALUE
	SELECT 772000000 + id % 10 * 10 + i, id, CASE i WHEN 1 THEN 'mk_mary' ELSE 'mk_writer' END, format('mk_text_%s_%s', id, i),
		format('mk_key_%s_%s', id, i) FROM chat.rooms, generate_series(1, 2) i;
INSERT INTO m.parents VALUES ('mk_parent');
DO $$
DECLARE
	t text;
	a text;
BEGIN
	FOREACH t IN ARRAY '{open,closed,columns,keyed,policed,forced}'::text[] LOOP
		FOREACH a IN ARRAY '{mk_tables,mk_mary,mk_norman,mk_app,mk_reader,mk_web,mk_columns,all_of_us}'::text[] LOOP
			EXECUTE format('INSERT INTO m.%I VALUES (%L, %L, %L, %L, %L)', t, format('mk_%s_%s_id', t, a), 'mk_parent', a,
				format('mk_%s_%s_note', t, a), format('mk_%s_%s_secret', t, a));
		END LOOP;
	END LOOP;
END $$;
SELECT chatroom.track('room:' || id, 'mk_here_' || id, jsonb_build_object('mk', 'mk_meta_' || id), '1 hour') FROM chat.rooms;
SELECT chatroom.broadcast('mk_free_mary_1', 'x', '"mk_said_mary"'), chatroom.broadcast('mk_free_all_1', 'x', '"mk_said_all"'),
	chatroom.broadcast('mk_free_app_1', 'x', '"mk_said_app"');
SQL
my $later = $node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()');

# ------------------------------------------------------------------- the calls

# What SELECT is to be compared with: [TABLE, WHERE], or ['', a whole query].
my $room_row = [ 'chat.rooms', 'id = $I' ];
my $messages = [ 'chat.messages', 'room_id = $I' ];
my $members = [ 'chat.members', 'room_id = $I' ];
my $present = [ '', q{SELECT 'mk_here_' || id AS key, 'mk_meta_' || id AS meta FROM chat.rooms WHERE id = $I} ];
my $all_of_room = [ $room_row, $messages, $members, $present ];

# Calls about a room: [CALL, oracles, options].  $I is its id, $N its name, $M
# a message's id, $C a cursor.  Options: after: compare with what is there after
# the call; may_fail: whoever sees it may not be allowed to do it;
# bell: of these, policies may hide something, so nobody is rung.
my @room_calls = (
	[ q{SELECT chatroom.sync('room:$I', '$C')}, $all_of_room ],
	[ q{SELECT chatroom.sync_many('{room:$I}', '$C')}, $all_of_room ],
	[ q{SELECT * FROM chatroom.events('room:$I', '$C')}, $all_of_room ],
	[ q{SELECT chatroom.sync('room:$I')}, [] ],
	[ q{SELECT chatroom.sync('room:$I', '$L')}, [] ],
	[ q{SELECT chatroom.sync('room:$I', chatroom.snapshot_cursor())}, [] ],
	[ q{SELECT chatroom.pending('room:$I')}, [] ],
	[ q{SELECT chatroom.channel('room:$I') IS NOT NULL}, [] ],
	[ q{SELECT chatroom.listen('room:$I') IS NOT NULL}, [] ],
	[ q{SELECT chatroom.presence('room:$I')}, [$present] ],
	[ q{SELECT topic FROM chatroom.stat_topics WHERE topic = 'room:$I'}, [ [ '', q{SELECT id FROM chat.rooms WHERE id = $I} ] ], { denied => 'empty' } ],
	(map {
		my $room = $_;
		(
			[ qq{SELECT chatroom.join_room($room)}, [ $room_row, $messages, $present ] ],
			[ qq{SELECT chatroom.get_room($room)}, [$room_row] ],
			[ qq{SELECT chatroom.get_room($room, '{messages}')}, [ $room_row, $messages ] ],
			[ qq{SELECT chatroom.get_room($room, '{members}')}, [ $room_row, $members ] ],
			[ qq{SELECT chatroom.list_messages($room, max_rows => NULL)}, [$messages] ],
			[ qq{SELECT chatroom.list_messages($room, 'infinity', 100)}, [$messages] ],
			[ qq{SELECT chatroom.list_members($room)}, [$members] ],
			# these write, or may
			map { [ "SELECT chatroom.$_", undef, { may_fail => 1 } ] } (
				"post($room, 'mk_stranger', 'text')", "post($room, 'mk_mary', 'text', 'key')", "post($room, 'x', '')", "shout($room, 'mk_stranger', 'text')",
				"rename_room($room, 'mk_other')", "delete_room($room)", "typing($room, 'someone')", "add_member($room, 'mk_norman')",
				"remove_member($room, 'mk_gustav')", "remove_member($room, 'mk_nobody')", "leave_room($room)", "transfer_room($room, 'mk_adam')",
				"create_invite($room) IS NOT NULL")
		)
	} '$I', q{'$I'}, q{'$N'}),
	[ q{SELECT chatroom.track('room:$I', 'someone') IS NOT NULL}, undef, { may_fail => 1 } ],
	[ q{SELECT chatroom.untrack('room:$I', 'someone')}, undef, { may_fail => 1 } ],
	[ q{SELECT chatroom.edit_message($M, 'mk_edited')}, undef, { may_fail => 1 } ],
	[ q{SELECT chatroom.delete_message($M)}, undef, { may_fail => 1 } ],
	[ q{SELECT chatroom.sync('chat.rooms:$I', '$C')}, [$room_row] ],
	[ q{SELECT chatroom.sync('chat.messages.room_id:$I', '$C')}, [$messages] ],
	[ q{SELECT chatroom.sync('chat.members.room_id:$I', '$C')}, [$members] ],
	[ q{SELECT chatroom.sync('chat.messages:$M', '$C')}, [ [ 'chat.messages', 'id = $M' ] ] ],
	[ q{SELECT chatroom.cached('chat.rooms', '{"id": $I}')}, [$room_row], { some => 1, cached => 1 } ],
	[ q{SELECT chatroom.cached('chat.messages', '{"id": $M}')}, [ [ 'chat.messages', 'id = $M' ] ], { some => 1, cached => 1 } ],
	[ q{SELECT chatroom.preload('[{"id": $I}]', 'chat.rooms', '{messages}')}, [$messages] ],
	[ q{SELECT chatroom.preload('[{"room_id": $I}]', 'chat.messages', '{room}')}, [$room_row] ],
	[ q{SELECT chatroom.assoc('{"id": $I}', 'chat.rooms', 'messages')}, [$messages] ],
	[ q{SELECT chatroom.assoc('{"id": $I}', 'chat.rooms', 'members')}, [$members] ],
	[ q{SELECT chatroom.fold('[]', chatroom.sync('chat.rooms:$I', '$C'), 'chat.rooms', '{messages}')}, [ $room_row, $messages ] ],
	[ q{SELECT chatroom.topics_for('[{"id": $I}]', 'chat.rooms', '{messages}')}, [] ],
	[ q{SELECT chatroom.topic('chat.rooms', '{"id": $I}')}, [] ],
	[ q{SELECT chatroom.changeset('chat.rooms', '{"private": null}', '{"id": $I}')}, [$room_row], { may_fail => 1 } ],
	[ q{SELECT chatroom.changeset('chat.messages', '{"text": ""}', '{"id": $M}')}, [ [ 'chat.messages', 'id = $M' ] ], { may_fail => 1 } ],
	[ q{SELECT chatroom.update('chat.rooms', '{"id": $I}', '{"name": "mk_renamed"}')}, undef, { may_fail => 1 } ],
	[ q{SELECT chatroom.update('chat.messages', '{"id": $M}', '{"text": "mk_edited"}')}, undef, { may_fail => 1 } ],
	[ q{SELECT chatroom.delete('chat.rooms', '{"id": $I}')}, undef, { may_fail => 1 } ],
	[ q{SELECT chatroom.delete('chat.messages', '{"id": $M}')}, undef, { may_fail => 1 } ],
	[ q{SELECT chatroom.multi('[{"name": "a", "op": "all", "relation": "chat.messages", "where": {"room_id": $I}}]')}, [$messages] ],
	[ q{SELECT chatroom.multi('[{"name": "a", "op": "exists", "relation": "chat.rooms", "where": {"id": $I}}]')}, undef ],
	[ q{SELECT chatroom.multi('[{"name": "a", "op": "delete_all", "relation": "chat.messages", "where": {"room_id": $I}}]')}, undef ],
	(map { [ qq{SELECT chatroom.$_}, undef ] } (
		q{insert('chat.messages', '{"room_id": $I, "username": "mk_stranger", "text": "some text"}')},
		q{insert('chat.messages', '{"room_id": $I, "username": "mk_mary", "text": "x"}')},
		q{insert('chat.messages', '{"room_id": $I, "username": "mk_mary", "text": "some text", "client_key": "mk_key_$I_1"}')},
		q{insert('chat.rooms', '{"id": $I, "name": "mk_none_either"}', '{"action": "nothing"}') IS NOT NULL},
		q{insert('chat.members', '{"room_id": $I, "username": "mk_norman"}')},
		q{changeset('chat.messages', '{"room_id": $I, "username": "mk_stranger", "text": "some text"}')},
		q{changeset('chat.messages', '{"room_id": $I, "username": "mk_stranger", "text": ""}')},
		q{changeset('chat.members', '{"room_id": $I, "username": "mk_mary"}')},
		q{sync('chat.rooms:$I', '$C', 1)}, q{sync('chat.messages.room_id:$I', '$C', 1)}, q{sync('chat.members.room_id:$I', '$C', 1)})),
	[ [ 'SELECT mx.write()', q{SELECT chatroom.pending('room:$I')} ], [ [ 'chat.messages', q{room_id = $I AND id > 773000000} ] ], { room => $room_row } ],
	[ [ 'SELECT mx.write()', q{SELECT chatroom.pending('chat.messages.room_id:$I')} ], [ [ 'chat.messages', q{room_id = $I AND id > 773000000} ] ] ],
);

# Calls about all rooms.
my @chat_calls = (
	[ q{SELECT chatroom.sync('rooms', '$C')}, [ ['chat.rooms'] ] ],
	[ q{SELECT chatroom.sync('chat/*', '$C')}, [ ['chat.rooms'], ['chat.messages'], ['chat.members'], ['chat.users'] ] ],
	(map { [ "SELECT chatroom.sync('$_', '\$C')", [ [$_] ] ] } qw(chat.rooms chat.messages chat.members chat.users)),
	[ q{SELECT chatroom.multi('[{"name": "a", "op": "all", "relation": "chat.rooms"}]')}, [ ['chat.rooms'] ] ],
	[ q{SELECT chatroom.list_rooms(NULL, NULL)}, [ ['chat.rooms'] ] ],
	[ q{SELECT chatroom.list_messages_by('mk_mary', NULL, NULL)}, [ [ 'chat.messages', q{username = 'mk_mary'} ] ] ],
	[ q{SELECT prefix FROM chatroom.migrations}, [ [ '', q{SELECT nspname FROM pg_namespace WHERE nspname LIKE 'mk%'} ] ] ],
	[ q{SELECT database FROM chatroom.status}, [ [ '', q{SELECT datname FROM pg_database WHERE datname LIKE 'mk%' AND pg_has_role('pg_read_all_stats', 'USAGE')} ] ] ],
	[ q{SELECT replace(pattern, '*', '') FROM chatroom.topic_grants}, [ [ '', q{SELECT 'mk_free_all'}],
		map { [ '', "SELECT 'mk_free_$_' WHERE pg_has_role('mk_$_', 'USAGE') OR pg_has_role('pg_database_owner', 'USAGE')" ] } qw(mary app) ] ],
	(map { [ qq{SELECT chatroom.sync('mk_free_${_}_1', '\$C')}, [ [ '', "SELECT 'mk_said_$_' WHERE pg_has_role('mk_$_', 'USAGE') OR pg_has_role('pg_database_owner', 'USAGE')" ] ],
		{ empty => '42501' } ] } qw(mary app)),
	[ q{SELECT chatroom.sync('mk_free_all_1', '$C')}, [ [ '', "SELECT 'mk_said_all'" ] ] ],
	[ q{SELECT chatroom.sync('mk_free_none_1', '$C')}, [], { empty => '42501', but => 'mk_super' } ],
);

# Calls about an ordinary table: $T is its name, $K a key.
my $table = ['m.$T'];
my $row = [ 'm.$T', q{id = '$K'} ];
my $parent = [ 'm.$T', q{parent = 'mk_parent'} ];
my @table_calls = (
	[ q{SELECT chatroom.sync('m.$T', '$C')}, [$table] ],
	[ q{SELECT chatroom.sync_many('{m.$T}', '$C')}, [$table] ],
	[ q{SELECT chatroom.sync_many('{m.$T,m.parents}', '$C')}, [ $table, ['m.parents'] ], { each => 1 } ],
	[ q{SELECT * FROM chatroom.events('m.$T', '$C')}, [$table] ],
	[ q{SELECT chatroom.sync('m.$T')}, [$table], { none => 1 } ],
	[ q{SELECT chatroom.channel('m.$T') IS NOT NULL}, [$table], { none => 1, bell => 'policed|forced' } ],
	[ q{SELECT chatroom.listen('m.$T') IS NOT NULL}, [$table], { none => 1, bell => 'policed|forced' } ],
	[ q{SELECT chatroom.sync('m.$T:$K', '$C')}, [$row] ],
	[ q{SELECT chatroom.sync('m.$T.parent:mk_parent', '$C')}, [$parent] ],
	[ q{SELECT chatroom.cached('m.$T', '{"id": "$K"}')}, [$row], { some => 1 } ],
	[ q{SELECT chatroom.preload('[{"id": "mk_parent"}]', 'm.parents', '{$T}')}, [$parent], { needs => 'id' } ],
	[ q{SELECT chatroom.assoc('{"id": "mk_parent"}', 'm.parents', '$T')}, [$parent], { needs => 'id' } ],
	[ q{SELECT chatroom.fold('[]', chatroom.sync('m.parents', '$C'), 'm.parents', '{$T}')}, [ ['m.parents'], $parent ], { each => 1, needs => 'id' } ],
	[ q{SELECT chatroom.topics_for('[{"id": "mk_parent"}]', 'm.parents', '{$T}')}, [$table], { none => 1, some => 1 } ],
	[ q{SELECT chatroom.multi('[{"name": "a", "op": "all", "relation": "m.$T"}]')}, [$table], { needs => 'id' } ],
	[ q{SELECT chatroom.multi('[{"name": "a", "op": "one", "relation": "m.$T", "where": {"id": "$K"}}]')}, [$row] ],
	[ q{SELECT chatroom.changeset('m.$T', '{"note": "x"}', '{"id": "$K"}')}, [$row], { may_fail => 1 } ],
	[ q{SELECT chatroom.update('m.$T', '{"id": "$K"}', '{"note": "mk_changed"}')}, [$row], { may_fail => 1, after => 1 } ],
	[ q{SELECT chatroom.delete('m.$T', '{"id": "$K"}')}, [$row], { may_fail => 1 } ],
	[ [ 'SELECT mx.write()', q{SELECT chatroom.pending('m.$T')} ], [ [ 'm.$T', q{note LIKE 'mk\_p\_%'} ] ] ],
	[ q{SELECT replace(relation, 'm.', 'mk_rel_') FROM chatroom.watches WHERE relation = 'm.$T'}, [$table], { shown => 'mk_rel_$T' } ],
	[ q{SELECT replace(relation, 'm.', 'mk_rel_') FROM chatroom.rules WHERE relation = 'm.$T'}, [$table], { shown => 'mk_rel_$T' } ],
	[ q{SELECT replace(relation, 'm.', 'mk_rel_') FROM chatroom.assocs WHERE relation = 'm.$T'}, [$table], { shown => 'mk_rel_$T' } ],
	[ q{SELECT replace(topic, 'm.$T:', '') FROM chatroom.stat_topics WHERE topic LIKE 'm.$T:%'}, [ [ 'm.$T', 'true', 'id' ] ], { some => 1, subset => 1 } ],
);

# --------------------------------------------------------------------- running

my %sessions;

sub session
{
	my ($caller) = @_;
	my $who = $callers{$caller};

	return $sessions{$caller} //= do
	{
		my $session = Chatroom::Session->new($node, 'postgres', user => $who->{role});
		$session->query("SET request.jwt.claims = '$who->{claims}'") if defined $who->{claims};
		$session->query('SET client_min_messages = error');
		$session;
	};
}

# Run lists of statements as a caller.
sub run_as
{
	my ($caller, @calls) = @_;
	my $acts = defined $callers{$caller}{acts} ? "'$callers{$caller}{acts}'" : 'NULL';
	my @results;

	while (my @some = splice @calls, 0, 200)
	{
		my $answer = session($caller)->query("SELECT mx.run($acts, \$call\$" . $json->encode(\@some) . "\$call\$)");
		die "$caller: " . session($caller)->error if $answer eq '';
		push @results, @{ $json->decode($answer) };
	}
	return @results;
}

# The markers in an answer; topics and cursors are what was asked for.
sub markers
{
	my ($text, $call) = @_;
	my (%found, %asked);

	$text =~ s/\\?"topics\\?": ?\[.*?\]//g;
	$text =~ s/\\?"(?:topic|cursor)\\?": ?\\?".*?"//g;
	$found{$_} = 1 foreach $text =~ /(mk_\w+|\b77\d{7}\b)/g;
	$asked{$_} = 1 foreach $call =~ /(mk_\w+|\b77\d{7}\b)/g;
	delete $found{$_} foreach keys %asked;
	return join ' ', sort keys %found;
}

# All columns of the tables, to be selected one by one.
my %columns;
foreach (split /\n/, $node->safe_psql('postgres', <<'SQL'))
SELECT attrelid::regclass, attname FROM pg_attribute
WHERE attnum > 0 AND attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace IN ('chat'::regnamespace, 'm'::regnamespace))
SQL
{
	my ($relation, $column) = split /\|/;
	push @{ $columns{$relation} }, $column;
}

# What SELECTs show to a caller, after other statements in the transaction.
# Returns by oracle: denied (all of it), the markers.
my %known;

sub selects
{
	my ($caller, $before, $phase, @oracles) = @_;
	my (@statements, @of, @result);

	foreach my $n (0 .. $#oracles)
	{
		my ($relation, $where, @wanted) = @{ $oracles[$n] };
		my @queries = $relation eq '' ? ($where)
		  : map { qq{SELECT "$_"::text FROM $relation WHERE } . ($where // 'true') } @wanted ? @wanted : @{ $columns{$relation} };

		$result[$n] = { denied => 1, text => '' };
		foreach my $query (@queries)
		{
			push @statements, [ @$before, $query ];
			push @of, $n;
		}
	}
	my @todo = grep { !$known{$phase}{$caller}{ $json->encode($_) } } @statements;
	my @answers = run_as($caller, @todo);
	$known{$phase}{$caller}{ $json->encode($todo[$_]) } = $answers[$_] foreach 0 .. $#todo;
	foreach my $n (0 .. $#statements)
	{
		my $got = $known{$phase}{$caller}{ $json->encode($statements[$n]) };

		die "$caller: @{ $statements[$n] }: @{ $got->{error} }" if $got->{state} && $got->{state} ne '42501';
		next if $got->{state};
		$result[ $of[$n] ]{denied} = 0;
		$result[ $of[$n] ]{text} .= " $got->{answer}";
	}
	return @result;
}

sub fill
{
	my ($text, %values) = @_;
	my $names = join '|', map { quotemeta } keys %values;

	return $text unless defined $text;
	return $text =~ s/\$($names)(?!\w)/$values{$1}/gr;
}

sub fill_all { my ($list, %values) = @_; return map { [ map { fill($_, %values) } @$_ ] } @$list; }

# Whose SELECT tells what a caller is to see of a relation.
sub selector
{
	my ($caller, $relation) = @_;

	return $callers{$caller}{as} && $relation =~ /\bchat\b/ ? $callers{$caller}{as} : $caller;
}

my ($cells, @faults, %kinds);

sub fault
{
	my ($phase, $caller, $call, $expected, $got) = @_;

	push @faults, "$phase: $caller ($callers{$caller}{role}): $call\n  expected: $expected\n  got: $got";
	return;
}

# What a caller was told, without the names of what was asked for.
sub told
{
	my ($got, $room) = @_;
	my $text = $json->encode($got);

	$text =~ s/$room->{I}(?!\d)/ID/g;
	$text =~ s/$room->{M}(?!\d)/MESSAGE/g;
	$text =~ s/\b$room->{N}\b/NAME/g;
	$text =~ s/(cursor\\*": ?\\*")[^"\\]*/$1/g;
	return $text;
}

# Judge a cell by what SELECT showed: a list of denied and text.
sub judge
{
	my ($phase, $caller, $call, $got, $options, @shown) = @_;
	my $denied = $options->{each} ? grep { $_->{denied} } @shown : @shown && !grep { !$_->{denied} } @shown;
	my $expected = $options->{none} ? '' : markers(join(' ', map { $_->{text} } @shown), $call);
	my $seen = $got->{state} ? '' : markers($got->{answer}, $call);

	$cells++;
	$kinds{ $denied ? 'denied' : $expected eq '' ? 'nothing to see' : 'something to see' }++;
	if (defined $options->{shown})
	{
		$expected = $denied ? '' : $options->{shown};
		$seen = join ' ', sort keys %{ { map { $_ => 1 } ($got->{answer} // '') =~ /(mk_\w+)/g } };
		$denied = 0;
	}
	if ($denied && !($options->{some} && !$got->{state} && $seen eq ''))
	{
		fault($phase, $caller, $call, '42501', $got->{state} ? "@{ $got->{error} }" : $got->{answer})
		  if ($got->{state} // '') !~ /^42501$/ && !($options->{denied} && $seen eq '');
	}
	elsif ($options->{empty} && $expected eq '' && $callers{$caller}{role} ne ($options->{but} // ''))
	{
		fault($phase, $caller, $call, $options->{empty}, $got->{answer}) if ($got->{state} // '') ne $options->{empty};
	}
	elsif (unbound($caller, $got))
	{
		fault($phase, $caller, $call, 'no refusal', "@{ $got->{error} }") if $call !~ /chatroom\.(?:preload|assoc|fold|changeset|insert|update|delete|multi)\(/;
	}
	elsif ($got->{state})
	{
		fault($phase, $caller, $call, $expected, "@{ $got->{error} }") unless $options->{may_fail} && $got->{state} =~ /^(42501|P0002|55000)$/ or
		  $options->{bell} && $got->{state} eq '0A000' && $call =~ /$options->{bell}/;
	}
	elsif ($seen ne $expected)
	{
		my %expected = map { $_ => 1 } split ' ', $expected;
		my @more = grep { !$expected{$_} } split ' ', $seen;

		return if $options->{may_fail} && !@more && $got->{answer} =~ /"error"/;
		return if $options->{subset} && !@more;

		# a room's deletion makes its tables be read again
		return if $phase eq 'after' && $options->{cached} && $seen eq '';
		return if $phase eq 'after' && $call =~ /'chat\.(?:messages|members)[.:]/ && $seen eq '' && $got->{answer} =~ /"reset": true/;
		fault($phase, $caller, $call, $expected, "$seen\n  answer: " . substr($got->{answer}, 0, 1500));
	}
	return;
}

# Refused as what row-level security should see to, and can't?
sub unbound
{
	my ($caller, $got) = @_;

	return $callers{$caller}{as} && $got->{state} && ($got->{error}[1] // '') =~ /^permission denied for table "\w+" for a user$/;
}

# The cells of a caller and a room.
sub room_cells
{
	my ($phase, $caller, $name) = @_;
	my $room = $rooms{$name};
	my (@calls, @missing);

	foreach my $template (@room_calls)
	{
		my @statements = ref $template->[0] ? @{ $template->[0] } : $template->[0];

		push @calls, [ map { fill($_, %$room, C => $start, L => $later) } @statements ];
		push @missing, [ map { fill($_, %{ $rooms{missing} }, C => $start, L => $later) } @statements ];
	}
	my @got = run_as($caller, @calls);
	my @none = @{ $known{missing}{$phase}{$caller} //= [ run_as($caller, @missing) ] };
	my $select = selector($caller, 'chat');
	my ($row) = selects($select, [], $phase, fill_all([ [ '', 'SELECT id FROM chat.rooms WHERE id = $I' ] ], %$room));
	my $visible = $row->{text} =~ /77/;

	foreach my $n (0 .. $#calls)
	{
		my (undef, $oracles, $options) = @{ $room_calls[$n] };
		my $call = $calls[$n][-1];
		my @before = @{ $calls[$n] }[ 0 .. $#{ $calls[$n] } - 1 ];

		# What is hidden is told of as what isn't there.
		if (!$visible && !unbound($caller, $got[$n]))
		{
			my ($here, $there) = (told($got[$n], $room), told($none[$n], $rooms{missing}));

			# events of the room's end, and of what it was before
			next if $phase eq 'after' && $name =~ /deleted|made/ && $call =~ /'\Q$start\E'/;
			$cells++;
			$kinds{'as what is missing'}++;
			fault($phase, $caller, $call, $there, $here) if $here ne $there;
			next if ($got[$n]{state} // '') eq 'P0002';
			next if $row->{denied} && ($got[$n]{state} // '') eq '42501';
		}
		next unless $oracles;
		judge($phase, $caller, $call, $got[$n], $options // {}, selects($select, \@before, $phase, fill_all($oracles, %$room)));
	}
	return;
}

sub other_cells
{
	my ($phase, $caller, $templates, %values) = @_;
	my @calls = map { [ map { fill($_, %values, C => $start, L => $later) } ref $_->[0] ? @{ $_->[0] } : $_->[0] ] } @$templates;
	my @got = run_as($caller, @calls);

	foreach my $n (0 .. $#calls)
	{
		my (undef, $oracles, $options) = @{ $templates->[$n] };
		my @statements = @{ $calls[$n] };
		my $call = pop @statements;
		my %options = %{ $options // {} };

		push @statements, $call if $options{after} && !$got[$n]{state};
		$options{shown} = fill($options{shown}, %values) if $options{shown};
		my @filled = fill_all($oracles, %values);
		if ($options{needs})
		{
			my ($needed) = selects($caller, [], $phase, [ "m.$values{T}", 'true', $options{needs} ]);

			$options{may_fail} = $needed->{denied};
		}
		judge($phase, $caller, $call, $got[$n], \%options,
			map { selects(selector($caller, "@$_"), \@statements, $phase, $_) } @filled);
	}
	return;
}

# Procedures can't be called by functions: the complete error as psql has it.
sub call_procedure
{
	my ($caller, $call) = @_;
	my $acts = $callers{$caller}{acts};
	my $session = session($caller);

	$call .= ", acting_for => '$acts'" if defined $acts;
	my $answer = $session->query("CALL $call)");
	my $error = $session->error;
	return { answer => $answer } if $error !~ /ERROR:  /;
	my ($state) = $error =~ /ERROR:  (\w{5})/;
	return { state => $state, error => [$error] };
}

my @procedures = (
	[ q{chatroom.wait('{room:$I}', '$C', '0'}, $all_of_room ],
	[ q{chatroom.wait('{room:$I}', '$L', '0'}, [] ],
	[ q{chatroom.follow_room($I, NULL, '0'}, [ $room_row, $messages, $present ] ],
	[ q{chatroom.follow_room('$N', NULL, '0'}, [ $room_row, $messages, $present ] ],
	[ q{chatroom.follow_room('$I', '$C', '0'}, $all_of_room ],
);

sub procedure_cells
{
	my ($phase, $caller) = @_;
	my $select = selector($caller, 'chat');

	foreach my $name (@rooms)
	{
		my $room = $rooms{$name};
		my ($row) = selects($select, [], $phase, fill_all([ [ '', 'SELECT id FROM chat.rooms WHERE id = $I' ] ], %$room));

		foreach (@procedures)
		{
			my ($template, $oracles) = @$_;
			my $call = fill($template, %$room, C => $start, L => $later);
			my $got = call_procedure($caller, $call);

			if ($row->{text} !~ /77/)
			{
				next if $phase eq 'after' && $call =~ /'\Q$start\E'|'\Q$later\E'/;
				my $none = call_procedure($caller, fill($template, %{ $rooms{missing} }, C => $start, L => $later));
				my ($here, $there) = (told($got, $room), told($none, $rooms{missing}));

				$cells++;
				fault($phase, $caller, $call, $there, $here) if $here ne $there;
				next if ($got->{state} // '') eq 'P0002' || ($row->{denied} && ($got->{state} // '') eq '42501');
			}
			judge($phase, $caller, $call, $got, {}, selects($select, [], $phase, fill_all($oracles, %$room)));
		}
	}
	foreach my $table (@tables)
	{
		my $call = "chatroom.wait('{m.$table}', '$start', '0'";

		judge($phase, $caller, $call, call_procedure($caller, $call), {}, selects($caller, [], $phase, ["m.$table"]));
	}
	return;
}

sub is_exact
{
	my ($name) = @_;
	my $count = @faults;

	is($count, 0, "$name: $cells cells") or diag(join "\n", $count > 40 ? (@faults[ 0 .. 39 ], "... $count in all") : @faults);
	@faults = ();
	$cells = 0;
	return;
}

# ------------------------------------------------------------ everything is there

foreach my $caller (@callers)
{
	room_cells('before', $caller, $_) foreach @rooms;
}
is_exact('rooms: what is seen is what SELECT shows, and what is hidden is as what is missing');
other_cells('before', $_, \@chat_calls) foreach @callers;
is_exact('all of the chat, and views');
foreach my $caller (@callers)
{
	foreach my $table (@tables)
	{
		foreach my $author (qw(mk_norman mk_mary))
		{
			other_cells('before', $caller, $author eq 'mk_norman' ? \@table_calls : [ grep { $json->encode($_->[0]) =~ /\$K/ } @table_calls ],
				T => $table, K => "mk_${table}_${author}_id");
		}
	}
}
is_exact('ordinary tables');
procedure_cells('before', $_) foreach @callers;
is_exact('procedures');

# --------------------------------------- a room is deleted, another made private

my %before = map {
	my $caller = $_;
	$caller => { map {
		my $room = $rooms{$_};
		$_ => [ selects(selector($caller, 'chat'), [], 'before', fill_all($all_of_room, %$room)) ];
	} ('deleted', 'made private') };
} @callers;

$node->safe_psql('postgres', <<'SQL');
UPDATE chat.rooms SET private = true WHERE id = 771000004;
DELETE FROM chat.rooms WHERE id = 771000003;
SQL
$later = $node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()');

# From now on they are not there, but for what a cursor from before entitles to.
foreach my $caller (@callers)
{
	foreach my $name ('deleted', 'made private')
	{
		my $room = $rooms{$name};
		my @shown = @{ $before{$caller}{$name} };
		my ($now) = selects(selector($caller, 'chat'), [], 'after', [ '', "SELECT id FROM chat.rooms WHERE id = $room->{I}" ]);
		my $could = $shown[0]{text} =~ /77/;
		my @calls = ("SELECT chatroom.sync('room:$room->{I}', '$start')", "SELECT chatroom.sync_many('{room:$room->{I}}', '$start')",
			"SELECT * FROM chatroom.events('room:$room->{I}', '$start')");
		my @got = (run_as($caller, map { [$_] } @calls),
			call_procedure($caller, "chatroom.wait('{room:$room->{I}}', '$start', '0'"));

		room_cells('after', $caller, $name) unless $now->{text} =~ /77/ && $name eq 'made private';
		foreach my $got (@got)
		{
			my $reset = !$got->{state} && $got->{answer} =~ /"reset": ?true|"type": ?"reset"/;

			$cells++;
			if ($now->{denied})
			{
				fault('after', $caller, $calls[0], '42501', $json->encode($got)) if ($got->{state} // '') ne '42501';
			}
			elsif (!$could)
			{
				fault('after', $caller, $calls[0], 'P0002', $json->encode($got)) if ($got->{state} // '') ne 'P0002';
			}
			elsif ($name eq 'made private' && $now->{text} !~ /77/)
			{
				fault('after', $caller, $calls[0], 'one reset', $json->encode($got)) if !$reset || markers($got->{answer}, $calls[0]) ne '';
			}
			else
			{
				my $expected = markers(join(' ', map { $_->{text} } @shown), $calls[0]);
				my $seen = $got->{state} ? "@{ $got->{error} }" : markers($got->{answer}, $calls[0]);

				fault('after', $caller, $calls[0], "$expected, no reset", $seen) if $seen ne $expected || $reset;
			}
		}
	}
	room_cells('after', $caller, 'private');
}
is_exact('rooms that were deleted or made private');

# All sorts of cells there were, and each many times.
cmp_ok($kinds{$_} // 0, '>', $only ? -1 : 500, "cells of this sort: $_") foreach 'denied', 'nothing to see', 'something to see', 'as what is missing';
note(join ', ', map { "$_: $kinds{$_}" } sort keys %kinds);

$_->close foreach values %sessions;
$node->stop;
done_testing();
