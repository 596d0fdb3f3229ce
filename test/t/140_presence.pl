# Presence over deaths, restarts, standbys and promotions; leases, limits.
use strict;
use warnings;
use Chatroom::Presence;
use Chatroom::Session;
use Chatroom::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

# Presence on a topic without its refs: "ann 1 2, ben" for entries whose metas
# have an n, or none.
sub present
{
	my ($node, $topic) = @_;

	return $node->safe_psql('postgres', <<"SQL");
SELECT coalesce(string_agg(concat_ws(' ', key, (SELECT string_agg(m->>'n', ' ') FROM json_array_elements(value->'metas') m)), ', '), 'nobody')
FROM json_each(chatroom.presence('$topic'))
SQL
}

# Wait until that is so.
sub present_is
{
	my ($node, $topic, $wanted, $what) = @_;
	my $last;

	poll_until($what, sub { ($last = present($node, $topic)) eq $wanted });
	is($last, $wanted, $what);
	return;
}

# How long after a moment the last leave was told, in seconds, by the clock of
# this machine.
sub left_after
{
	my ($node, $topic, $moment) = @_;

	return $node->safe_psql('postgres', "SELECT extract(epoch FROM max(at)) - $moment FROM chatroom.events('$topic') WHERE type = 'presence_leave'");
}

# The statement's answer, or the SQLSTATE of its error.
sub result
{
	my ($session, $sql) = @_;

	my $answer = $session->query($sql);
	return $1 if $session->error =~ /^ERROR:\s+(\w{5}):/m;
	return $answer;
}

my $node = chatroom_node('presence', conf => "chatroom.max_presence = 10100\n");
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('presence_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

# ------------------------------------------------------- sessions and leases

my $ann     = Chatroom::Session->new($node, 'postgres');
my $ben     = Chatroom::Session->new($node, 'postgres');
my $here    = Chatroom::Presence->new($node, 'lobby');
my $there   = Chatroom::Presence->new($standby, 'lobby');
my $pid     = $ann->query('SELECT pg_backend_pid()');

$ann->query(q{SELECT chatroom.track('lobby', 'ann', '{"n": 1}')});
$ann->query(q{SELECT chatroom.track('lobby', 'ann', '{"n": 2}')});
$ben->query(q{SELECT chatroom.track('lobby', 'ann', '{"n": 3}'), chatroom.track('lobby', 'ben')});
is(present($node, 'lobby'), 'ann 2 3, ben', 'who was tracked is there at once');
present_is($standby, 'lobby', 'ann 2 3, ben', 'and soon on the standby');
$_->agrees('who follows holds the same') foreach $here, $there;
is(Chatroom::Presence::told($node, 'lobby'), Chatroom::Presence::told($standby, 'lobby'), 'of the same refs');
my $on_standby = Chatroom::Session->new($standby, 'postgres');
is(result($on_standby, "SELECT chatroom.$_"), '25006', "no $_ on a standby")
  foreach "track('lobby', 'ann')", "untrack('lobby', 'ann')";

my $moment = $node->safe_psql('postgres', "SELECT extract(epoch FROM clock_timestamp()) FROM pg_terminate_backend($pid)");
present_is($node, 'lobby', 'ann 3, ben', 'a session that is terminated leaves');
poll_until('it is told', sub { left_after($node, 'lobby', $moment) ne '' });
cmp_ok(left_after($node, 'lobby', $moment), '<', 10, 'within seconds');
$moment = time();
$ben->close;
present_is($node, 'lobby', 'nobody', 'a client that goes away leaves');
poll_until('it is told', sub { left_after($node, 'lobby', $moment) > 0 });
cmp_ok(left_after($node, 'lobby', $moment), '<', 10, 'within seconds');
present_is($standby, 'lobby', 'nobody', 'on the standby, too');
$_->agrees('followers were told') foreach $here, $there;
is_deeply($here->{count}, { presence_join => 3, presence_update => 1, presence_leave => 3 }, 'once of each');

# A cursor of here goes on there.
my $moved = Chatroom::Presence->new($node, 'lobby');
$moved->{node} = $standby;
$moment = time();
$ben->query(q{SELECT chatroom.track('lobby', 'ben', '{"n": 4}', '5 s')});
present_is($standby, 'lobby', 'ben 4', 'a lease is seen on the standby');
$moved->agrees('a cursor of the primary is good there');
present_is($node, 'lobby', 'nobody', 'and ends');
poll_until('it is told', sub { left_after($node, 'lobby', $moment) > 0 });
cmp_ok(left_after($node, 'lobby', $moment), '<', 15, 'in time');
cmp_ok(left_after($node, 'lobby', $moment), '>', 4.9, 'but not before');
$_->agrees('followers were told of its end') foreach $here, $there;

# Renewals are no events, whoever makes them.
$here->forget;
my $other = Chatroom::Session->new($node, 'postgres');
foreach my $i (1 .. 2000)
{
	last unless ($i % 2 ? $ben : $other)->query(q{SELECT chatroom.track('lobby', 'storm', '{"n": 1}', '5 s')});
}
$here->agrees('a storm');
is_deeply([ map { $here->{count}{"presence_$_"} // 0 } qw(join update) ], [ 1, 0 ], '2,000 calls made one event');
present_is($node, 'lobby', 'nobody', 'and one end');

# ------------------------------------------------------------- many entries

$ben->query(q{SELECT count(chatroom.track('many', 'user' || n, jsonb_build_object('n', n, 'text', repeat('x', 100)), '1 hour')) FROM generate_series(1, 10000) n});
my $many = "SELECT count(*) FROM json_each(chatroom.presence('many'))";
is($node->safe_psql('postgres', $many), '10000', '10,000 are tracked');
poll_until('the standby has them', sub { $standby->safe_psql('postgres', $many) eq '10000' });
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . tailer_pid($node) . ')');
poll_until('the worker is back', sub { status($node, 'state') eq 'running' && status($node, 'tailer_starts') > 1 });
is($node->safe_psql('postgres', $many), '10000', 'a worker that is started again finds them');
is($standby->safe_psql('postgres', $many), '10000', 'and the standby still has them');

# Whoever starts to read at its anchor knows them from the state logged there.
$node->backup('later');
my $late = PostgreSQL::Test::Cluster->new('presence_late');
$late->init_from_backup($node, 'later', has_streaming => 1);
$late->start;
poll_until('a new standby has them', sub { $late->safe_psql('postgres', $many) eq '10000' });
is(Chatroom::Presence::told($late, 'many'), Chatroom::Presence::told($node, 'many'), 'a standby made now knows all, from the anchor');
$late->stop('immediate');

# -------------------------------------------------------------------- crash

$ben->query(q{SELECT chatroom.track('lobby', 'ben'), chatroom.track('lobby', 'leased', '{"n": 5}', '10 s')});
$_->agrees('before the crash') foreach $here, $there;
$_->forget foreach $here, $there;
crash($node);
start_again($node);
present_is($node, 'lobby', 'leased 5', 'after kill -9 of the server session entries have left, a lease is there');
is($node->safe_psql('postgres', $many), '10000', 'and all the others');
$here->agrees('the follower goes on with its cursor');
is($here->{resets}, 0, 'without a reset');
is_deeply($here->{count}, { presence_leave => 1 }, 'told of who left');
present_is($standby, 'lobby', 'leased 5', 'the standby knows, too');
$there->agrees('and told its follower');
present_is($node, 'lobby', 'nobody', 'the lease ends after a full ttl');
$_->agrees('followers know') foreach $here, $there;

# A backend's kill -9 restarts all of the server's processes.
$ben->close;
$ben = Chatroom::Session->new($node, 'postgres');
$ben->query(q{SELECT chatroom.track('lobby', 'ben')});
$here->agrees('before a backend is killed');
crash_backend($node, $ben->query('SELECT pg_backend_pid()'));
present_is($node, 'lobby', 'nobody', 'after kill -9 of its backend an entry has left');
present_is($standby, 'lobby', 'nobody', 'from the standby, too');
$_->agrees('as followers are told') foreach $here, $there;

# ---------------------------------------------------------------- promotion

$ben = Chatroom::Session->new($node, 'postgres');
$ben->query(q{SELECT chatroom.track('lobby', 'ben'), chatroom.track('lobby', 'leased', '{"n": 6}', '10 s')});
present_is($standby, 'lobby', 'ben, leased 6', 'before the promotion');
$there->hear;
$there->forget;
$node->stop('immediate');
$standby->promote;
present_is($standby, 'lobby', 'leased 6', 'promoted: session entries have left, the lease is there');
$there->agrees('the follower goes on with its cursor');
is($there->{resets}, 0, 'without a reset');
is($standby->safe_psql('postgres', q{SELECT chatroom.track('lobby', 'new') IS NOT NULL}), 't', 'and sessions may track');
present_is($standby, 'lobby', 'nobody', 'until the lease and the session ended');
$there->agrees('the follower holds the same');
$standby->stop;

# ----------------------------------------------------------- without preload

$node = chatroom_node('presence_plain', preload => 0);
$ben  = Chatroom::Session->new($node, 'postgres');
$here = Chatroom::Presence->new($node, 'lobby');
$ben->query(q{SELECT chatroom.track('lobby', 'ben'), chatroom.track('lobby', 'leased', '{}', '1 hour')});
$here->agrees('not preloaded: who is tracked is there');
$node->restart;
present_is($node, 'lobby', 'nobody', 'a restart forgets all');
$here->hear;
is($here->{resets}, 1, 'and who follows is told to reload');
$node->safe_psql('postgres', 'SELECT chatroom.stop()');
$ben->close;
is(result($ben, q{SELECT chatroom.track('lobby', 'ben')}), '55000', 'stopped: nobody is tracked');
is(result($ben, q{SELECT chatroom.presence('lobby')}), '55000', 'or told of');
$node->safe_psql('postgres', 'SELECT chatroom.start()');
is(result($ben, q{SELECT chatroom.track('lobby', 'ben') IS NOT NULL}), 't', 'and started again, they are');
$node->stop;

# ------------------------------------------------------------------- limits

$node = chatroom_node('presence_limits', conf => "chatroom.max_presence = 20\n");
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE few LOGIN;
CREATE ROLE rest LOGIN;
CREATE ROLE half LOGIN;
ALTER ROLE few SET chatroom.max_presence_per_role = 3;
ALTER ROLE rest SET chatroom.max_presence_per_role = 20;
SELECT chatroom.migrate();
SELECT chatroom.create_room('hall');
SELECT chatroom.grant_topic('*', 'public', '{sync, track}');
SQL
my $half = Chatroom::Session->new($node, 'postgres', user => 'half');
my $all  = Chatroom::Session->new($node, 'postgres');
is(result($half, q{SELECT count(chatroom.track('lobby', 'half' || n)) FROM generate_series(1, 10) n}), '10', 'unless told otherwise a role has half of the room');
is(result($half, q{SELECT chatroom.track('lobby', 'half11')}), '53400', 'and no more');
like($half->error, qr/role "half" has too many presence entries/, 'as it is told');
is(result($half, q{SELECT chatroom.track('lobby', 'half1', jsonb_build_object('x', repeat('x', 3000)))}), '53400', 'nor more of the room for metas');
like($half->error, qr/role "half" has too many presence entries/, 'as it is told, too');
is(result($all, q{SELECT count(chatroom.track('lobby', 'all' || n)) FROM generate_series(1, 10) n}), '10', 'others have the rest');
is(result($all, q{SELECT chatroom.track('lobby', 'all11')}), '53400', 'but for what is kept for typing');
is(result($all, q{SELECT chatroom.typing('hall', 'anna')}), '', 'which goes on');
is(result($all, q{SELECT chatroom.typing('hall', 'anna', false)}), '', 'and ends');
$half->close;
$all->close;
poll_until('they are gone, and have been told so', sub { $node->safe_psql('postgres', q{SELECT count(*) FROM chatroom.events('lobby') WHERE type = 'presence_leave'}) == 20 && status($node, 'present') == 0 });
$node->safe_psql('postgres', 'SELECT chatroom.stat_reset()');
my $left = $node->safe_psql('postgres', 'SELECT chatroom.snapshot_cursor()');
my $few  = Chatroom::Session->new($node, 'postgres', user => 'few');
my $some = Chatroom::Session->new($node, 'postgres', user => 'rest');
is(result($few, q{SELECT count(chatroom.track('lobby', 'few' || n)) FROM generate_series(1, 3) n}), '3', 'a role has its quota');
is(result($few, q{SELECT chatroom.track('lobby', 'few4')}), '53400', 'and no more');
like($few->error, qr/role "few" has too many presence entries/, 'as it is told');
is(result($few, q{SELECT chatroom.track('lobby', 'few3', '{"n": 1}') IS NOT NULL}), 't', 'what it has it may change');
is(result($few, q{SET chatroom.max_presence_per_role = 100}), '42501', 'a role cannot raise its quota');
is(result($few, q{SELECT chatroom.untrack('lobby', 'few1')}), '', 'one goes');
is(status($node, 'presence_refused'), 1, 'what was refused is counted');
# its place is free before it is told that it left
poll_until('it is told', sub { $node->safe_psql('postgres', qq{SELECT count(*) FROM chatroom.events('lobby', '$left') WHERE type = 'presence_leave'}) > 0 });
poll_until('another comes', sub { result($few, q{SELECT chatroom.track('lobby', 'few4') IS NOT NULL}) eq 't' });
my $refused = status($node, 'presence_refused');

is(result($some, q{SELECT count(chatroom.track('lobby', 'some' || n, '{}', '1 hour')) FROM generate_series(1, 17) n}), '17', 'others have what is left');
is(result($some, q{SELECT chatroom.track('lobby', 'more')}), '53400', 'a full table refuses');
like($some->error, qr/too many presence entries in this database.*There is room for 20/s, 'clearly');
is(result($few, q{SELECT chatroom.track('lobby', 'few3', '{"n": 2}') IS NOT NULL}), 't', 'and hurts nobody who is in it');
is(result($some, q{SELECT chatroom.track('lobby', 'some1', '{}', '1 hour') IS NOT NULL}), 't', 'or renews');
is(status($node, "present || ' ' || presence_limit || ' ' || presence_refused - $refused"), '20 20 1', 'status counts');
$few->close;
poll_until('places are free again', sub { result($some, q{SELECT chatroom.track('lobby', 'more') IS NOT NULL}) eq 't' });
is(result($some, q{SELECT chatroom.track('lobby', 'more', jsonb_build_object('x', repeat('x', 4100)))}), '54000', 'a meta has a limit');
is(result($some, q{SELECT chatroom.track('lobby', 'some2', jsonb_build_object('x', repeat('x', 3000)), '1 hour') IS NOT NULL}), 't', 'a large one takes room of others');
is(result($some, q{SELECT chatroom.track('lobby', 'some3', jsonb_build_object('x', repeat('x', 3000)), '1 hour')}), '53400', 'which is limited');
like($some->error, qr/no room is left for presence metas/, 'as it is told');
present_is($node, 'lobby', join(', ', sort 'more', map { "some$_" } 1 .. 17), 'and nobody lost anything');

# ------------------------------------------------- databases, the kill switch

$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
$node->safe_psql('elsewhere', 'CREATE EXTENSION chatroom');
$ben = Chatroom::Session->new($node, 'elsewhere');
is(result($ben, q{SELECT count(chatroom.track('lobby', 'there' || n, '{}', '1 hour')) FROM generate_series(1, 20) n}), '20', 'another database has a table of its own');
is(result($some, q{SELECT count(*) FROM json_each(chatroom.presence('lobby'))}), '18', 'which this one does not show');
$ben->close;
$node->safe_psql('postgres', 'DROP DATABASE elsewhere');
pass('and with leases in it can be dropped');
$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
$node->safe_psql('elsewhere', 'CREATE EXTENSION chatroom');
is($node->safe_psql('elsewhere', q{SELECT chatroom.presence('lobby')}), '{}', 'they are gone with it');

$node->append_conf('postgresql.conf', 'chatroom.emit = off');
$node->reload;
poll_until('the setting is there', sub { result($some, 'SHOW chatroom.emit') eq 'off' });
is(result($some, q{SELECT chatroom.track('lobby', 'some1', '{"n": 1}', '1 hour')}), '55000', 'events off: nobody comes');
is(result($some, q{SELECT chatroom.untrack('lobby', 'some1')}), '', 'but may go');
$node->append_conf('postgresql.conf', 'chatroom.emit = on');
$node->reload;
$node->stop;

done_testing();
