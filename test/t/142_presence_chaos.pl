# Presence while sessions come and go in their hundreds, the worker is killed,
# and the server: what followers hold, here and on a standby, is what
# presence() says, and when everybody has gone nobody is there.
use strict;
use warnings;
use Chatroom::Presence;
use Chatroom::Test;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = chatroom_node('chaos', conf => <<'CONF');
chatroom.cache_size = 64MB
chatroom.retain_wal = 256MB
max_connections = 100
CONF
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('chaos_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

# Sessions that stay for some statements, and leases that nobody renews.
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/session", <<'SQL');
\set who random(1, 20)
\set n random(1, 3)
SELECT chatroom.track('lobby', 'user' || :who, jsonb_build_object('n', :n::int));
SELECT chatroom.track('lobby', 'user' || :who, jsonb_build_object('n', :n::int + 1));
SELECT chatroom.track('other', 'user' || :who);
SQL
append_to_file("$dir/lease", <<'SQL');
\set who random(1, 50)
\set n random(1, 3)
\set ttl random(20, 1500)
SELECT chatroom.track('lobby', 'user' || :who, jsonb_build_object('id', :n::int, 't', :ttl::int), :ttl::int * interval '1 ms');
SQL
append_to_file("$dir/untrack", <<'SQL');
\set who random(1, 50)
SELECT chatroom.track('lobby', 'user' || :who);
SELECT chatroom.untrack('lobby', 'user' || :who);
SQL

sub start_load
{
	my %load = (out => '', err => '');

	$load{run} = IPC::Run::start(
		[
			'pgbench', '-n', '-C', '-c', 10, '-j', 2, '-T', 600, '--rate', 300,
			'-h', $node->host, '-p', $node->port,
			map({ ('-f', "$dir/$_") } qw(session lease untrack)), 'postgres'
		],
		'<', \undef, '>', \$load{out}, '2>', \$load{err});
	return \%load;
}

sub stop_load
{
	my ($load) = @_;

	$load->{run}->signal('TERM');
	eval { $load->{run}->finish };
	return;
}

my $here  = Chatroom::Presence->new($node,    'lobby');
my $there = Chatroom::Presence->new($standby, 'lobby');

# Hear for some seconds.
sub listen_for
{
	my ($seconds) = @_;
	my $end = time() + $seconds;

	while (time() < $end)
	{
		$_->hear foreach $here, $there;
		usleep(20_000);
	}
	return;
}

my @kinds = (
	[ 'the worker ended'   => sub { $node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . tailer_pid($node) . ')') } ],
	[ 'the standby\'s did' => sub { $standby->safe_psql('postgres', 'SELECT pg_terminate_backend(' . tailer_pid($standby) . ')') } ],
	[ 'a checkpoint'       => sub { $node->safe_psql('postgres', 'CHECKPOINT') } ],
	[ 'kill -9'            => sub { crash($node); start_again($node) } ],
	[ 'restart'            => sub { $node->restart } ],
	[ 'standby restart'    => sub { $standby->restart } ]);

foreach my $kind (@kinds)
{
	my ($what, $do) = @$kind;
	my $load = start_load();

	listen_for(1.5);
	$do->();
	stop_load($load);
	$load = start_load();
	listen_for(1.5);
	stop_load($load);
	$here->agrees("$what: a follower holds what is there");
	poll_until("$what: the standby has replayed all",
		sub { Chatroom::Presence::told($standby, 'lobby') eq Chatroom::Presence::told($node, 'lobby') });
	$there->agrees("$what: so does one on the standby");
	is($here->{resets} + $there->{resets}, 0, "$what: nobody was told to reload");
}

poll_until('leases end',
	sub { Chatroom::Presence::told($node, 'lobby') eq '{}' });
poll_until('other topics, too', sub { status($node, 'present') eq '0' });
is(status($node, 'present'), '0', 'everybody has gone, of all topics');
poll_until('on the standby, too', sub { status($standby, 'present') eq '0' });
$_->agrees('and followers know') foreach $here, $there;
is(status($node, 'messages_torn'), '0', 'no message was torn');
note(join ', ', map { "$_: $here->{count}{$_}" } sort keys %{ $here->{count} });

done_testing();
