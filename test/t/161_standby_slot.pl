# A standby's slot is made where it last began replay, and reading starts before
# that, maybe at an anchor that the slot can't rest at. It comes to rest at the
# next one: so after a promotion, and a crash soon after, cursors are good.
use strict;
use warnings;
use Chatroom::Test;
use File::Path qw(rmtree);
use PostgreSQL::Test::Cluster;
use Test::More;

my $primary = chatroom_node('primary', conf => <<'CONF');
checkpoint_timeout = 1h
CONF
make_log($primary);

# An anchor, and a redo point close behind it: it is logged when the worker
# has seen that there was a checkpoint, after so much WAL.
add_rows($primary, 2000);
$primary->safe_psql('postgres', 'CHECKPOINT');
my $restart = $primary->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
add_rows($primary, 1);
poll_until('an anchor is logged',
	sub {
		$primary->safe_psql('postgres',
			"SELECT pg_current_wal_lsn() - '$restart' > 2000") eq 't';
	});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
wait_running($standby);

my $follower = Chatroom::Follower->new($standby);
$follower->follow;
$follower->reload;
add_rows($primary, 10);
$primary->wait_for_catchup($standby);
$follower->catch_up($primary);
$primary->wait_for_catchup($standby);
$primary->stop('immediate');
$standby->promote;
add_rows($standby, 10);
$follower->catch_up;
crash($standby);
start_again($standby);
wait_running($standby);
add_rows($standby, 10);
$follower->catch_up;
is($follower->{resets}, 0,
	'a crash soon after the promotion: a cursor goes on');
$follower->is_complete('and nothing is missing');
$standby->stop;

# Where the first anchor comes late, cursors from before it are good, too, once
# the standby was restarted: its restart point is further back.
$primary = chatroom_node('slow', conf => <<'CONF');
checkpoint_timeout = 1h
chatroom.retain_wal = 1MB
CONF
make_log($primary);
add_rows($primary, 10);
$primary->backup('base');
$standby = PostgreSQL::Test::Cluster->new('restarted');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
wait_running($standby);
$follower = Chatroom::Follower->new($primary);
$follower->follow;
$follower->reload;
my $since = $primary->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
add_rows($primary, 10);
poll_until('the slot rests at an anchor', sub {
	add_rows($primary, 100);
	$primary->wait_for_catchup($standby);
	$standby->safe_psql('postgres',
		"SELECT confirmed_flush_lsn > '$since' FROM pg_replication_slots") eq 't';
});
goes_on_after_restart('a restart of a standby: a cursor goes on');

# As a server that pg_rewind made a standby does, one begins at a checkpoint
# that ended a server's run, behind which nobody logs for seconds who runs: no
# transaction is taken for one that began before it.
$primary = chatroom_node('stopped', conf => <<'CONF');
checkpoint_timeout = 1h
CONF
make_log($primary);
add_rows($primary, 10);
$primary->stop;
$primary->backup_fs_cold('cold');
$standby = PostgreSQL::Test::Cluster->new('cold');
$standby->init_from_backup($primary, 'cold', has_streaming => 1);
rmtree($standby->data_dir . '/pg_replslot/chatroom');
$primary->start;
wait_running($primary);
$standby->start;
wait_running($standby);
$follower = Chatroom::Follower->new($primary);
$follower->follow;
$follower->reload;
add_rows($primary, 10);
$primary->wait_for_catchup($standby);
goes_on_after_restart('a checkpoint where nothing ran: a cursor goes on');
done_testing();

# ------------------------------------------------------------------ helpers

# The standby is restarted, and the primary's follower goes there with its
# cursor. Then both servers are stopped.
sub goes_on_after_restart
{
	my ($name) = @_;

	$standby->restart;
	wait_running($standby);
	$follower->move($standby);
	$follower->catch_up($primary);
	is($follower->{resets}, 0, $name);
	$follower->is_complete('and nothing is missing');
	$standby->stop;
	$primary->stop;
	return;
}
