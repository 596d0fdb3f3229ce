# Fold: how fast values that clients hold are brought up to date; a part of
# test/bench/run.
package Fold;

use strict;
use warnings;
use Exporter 'import';
use Time::HiRes qw(sleep);
use Bench;

our @EXPORT = qw(bench_fold);

# Calls in one statement: values are in memory then, and what is measured is
# not the way to the server.
my $calls = 100;

# A script that folds one answer into one value, over and over.
sub folds
{
	my ($side, $name, $arguments) = @_;

	return script("fold_${side}_$name", <<"SQL");
WITH h AS MATERIALIZED (SELECT value || '[]'::jsonb AS v, (answer || '{}'::jsonb)::json AS a FROM $side.held WHERE name = '$name')
SELECT count(chatroom.fold(v, a, $arguments)) FROM h, generate_series(1, $calls);
SQL
}

# How often were a schema's tables read so far, by index or from end to end?
sub scans
{
	my ($side) = @_;
	my $count = "SELECT sum(seq_scan + coalesce(idx_scan, 0)) FROM"
	  . " pg_stat_user_tables WHERE schemaname = '$side' AND relname <> 'held'";
	my ($last, $now) = (-1, sql($count));

	# what sessions counted is told when they end
	while ($last != $now)
	{
		sleep 0.5;
		($last, $now) = ($now, sql($count));
	}
	return $now;
}

# Does fold make of the value what preload loads?
sub check
{
	my ($side, $name) = @_;
	my $same = sql(<<"SQL");
SET search_path = $side;
SELECT chatroom.fold(value, answer::json, 'posts', '{comments,tags}') @> jsonb_build_array(
	chatroom.preload((SELECT to_jsonb(p) FROM posts AS p WHERE id = 5), 'posts', '{comments}'))
	OR '$name' <> 'comment'
FROM held WHERE name = '$name'
SQL

	die "fold() isn't right\n" if $same ne 't';
}

sub bench_fold
{
	my ($reps, $seconds) = @_;
	my $posts = "'%s.posts', '{comments,tags}'";
	my %script;

	psql_file('fold.sql', side => 'fold',  more => 1);
	psql_file('fold.sql', side => 'folds', more => 100);
	foreach my $side (qw(fold folds))
	{
		$script{"$side $_"} = folds($side, $_, sprintf $posts, $side)
		  foreach qw(comment tag joined);
	}
	check('fold', 'comment');
	$script{message} = folds('fold', 'message', "'fold.messages'");
	$script{page} = script('fold_page', <<"SQL");
WITH h AS MATERIALIZED (SELECT value || '[]'::jsonb AS v, (answer || '{}'::jsonb)::json AS a FROM fold.held WHERE name = 'message')
SELECT count(chatroom.fold(v, a, 'fold.messages', '{}',
	'{"where": {"room_id": 1}, "order": ["inserted_at"], "limit": 30}')) FROM h, generate_series(1, $calls);
SQL
	$script{anew} = script('fold_preload', <<"SQL");
SELECT count(chatroom.preload((SELECT jsonb_agg(to_jsonb(p) ORDER BY id) FROM fold.posts AS p WHERE id <= 30 + 0 * n),
	'fold.posts', '{comments,tags}')) FROM generate_series(1, $calls) AS n;
SQL
	my $result = interleave($reps,
		map { my $name = $_; $name => sub { $calls * pgbench($script{$name}, 1, $seconds) } }
		  sort keys %script);

	figure(
		name    => 'fold() of one event into 30 messages, one core',
		unit    => 'calls/s',
		ours    => [ 'fold()', $result->{message} ],
		theirs  => [ 'a fixed number', [ map { 20_000 } 1 .. $reps ] ],
		atleast => 1);
	figure(
		name    => 'the same of a page, with where, order and limit',
		unit    => 'calls/s',
		ours    => [ 'fold()', $result->{page} ],
		theirs  => [ 'a fixed number', [ map { 20_000 } 1 .. $reps ] ],
		atleast => 1,
		limits  => 'The row is looked at by its condition, and put at its'
		  . ' place by comparing it with others.');
	foreach my $what (
		[ comment => 'a new comment' ],
		[ tag     => 'a changed tag' ],
		[ joined  => 'a post gets a tag' ])
	{
		figure(
			name    => "fold() into 30 posts with comments and tags, $what->[1]",
			unit    => 'calls/s',
			ours    => [ 'fold()', $result->{"fold $what->[0]"} ],
			theirs  => [ 'preload() of all of it', $result->{anew} ],
			atleast => 5,
			limits  => 'Without the way of the value to the server and back as'
			  . ' JSON text, which only fold() takes both ways.');
		figure(
			name    => "the same with tables 100 times as large, $what->[1]",
			unit    => 'calls/s',
			ours    => [ '100 times as large', $result->{"folds $what->[0]"} ],
			theirs  => [ 'as large as the value', $result->{"fold $what->[0]"} ],
			atleast => 0.9);
	}
	bench_clients($reps);
}

# A thousand clients, each with a session of its own for its fold.
sub bench_clients
{
	my ($reps) = @_;
	my (@scans, @joined);
	my $none = scans('fold');

	sql("SELECT chatroom.preload('[{\"id\": 1}]', 'fold.posts', '{tags}')");
	die "queries aren't counted\n" if scans('fold') == $none;

	foreach my $run ([ tag => \@scans ], [ joined => \@joined ])
	{
		my ($name, $counts) = @$run;
		my $one = script("fold_clients_$name",
			"SELECT octet_length(chatroom.fold(value, answer::json, 'fold.posts',"
			  . " '{comments,tags}')::text) FROM fold.held WHERE name = '$name';\n");

		foreach (1 .. $reps)
		{
			my $before = scans('fold');

			pgbench_count($one, 50, 1000);
			push @$counts, scans('fold') - $before;
		}
	}
	figure(
		name   => '1,000 clients and one changed tag',
		unit   => 'queries',
		ours   => [ 'fold() by each', \@scans ],
		theirs => [ 'one', [ map { 1 } 1 .. $reps ] ],
		atmost => 1);
	figure(
		name   => '1,000 clients and a tag that a post gets, and others have',
		unit   => 'queries',
		ours   => [ 'fold() by each', \@joined ],
		theirs => [ 'one', [ map { 1 } 1 .. $reps ] ],
		atmost => 1);
}

1;
