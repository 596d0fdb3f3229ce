# Report: what make bench prints and writes.
package Report;

use strict;
use warnings;
use Exporter 'import';
use JSON::PP;
use Time::HiRes qw(time);
use Bench;
use Compare;
use Plot;

our @EXPORT = qw(report);

my $out = $ENV{CHATROOM_OUT};

# What is measured how; the same for every run.
my %method = (
	insert => 'Rows of a table of chat messages (identity key, foreign key to'
	  . ' one of 1,000 rooms, index on room and key, a text of 60 to 80'
	  . ' characters, two timestamps), one INSERT a transaction, by pgbench'
	  . ' -M prepared. The same table twice, emptied before each slice, with a'
	  . ' checkpoint; watched with the worker running, and not watched with'
	  . ' the worker stopped.',
	wal => 'What pg_current_wal_insert_lsn() moves during many of the same'
	  . ' inserts at 8 clients, less the full-page images that pg_waldump'
	  . ' --stats counts there, by the number of rows. Commit records, page'
	  . ' headers and all that the worker logs are in it.',
	notify => 'The same inserts at 32 clients, with listeners in one more'
	  . ' process. The trigger is plpgsql and calls pg_notify with the key,'
	  . ' as EctoWatch makes it. Its listeners LISTEN and take every'
	  . ' notification; ours use chatroom.listen() and fetch with sync() when'
	  . ' the doorbell rings. A slice counts only if the listeners got every'
	  . ' row of it in the end. The worker is stopped while the trigger is'
	  . ' measured.',
	sync => 'Nobody writes meanwhile. pgbench -M prepared, 8 clients, on a'
	  . ' topic with 100,000 events of 100,000 transactions; chatroom.cache_size'
	  . ' = 256MB, because the default 16MB holds about 20,000 such events.'
	  . ' The index query is json_agg(row_to_json()) over the newest 30 rows'
	  . ' of a room.',
	topics => 'One database for each count, with one event a topic, at'
	  . ' chatroom.cache_size = 1536MB (a million rows are three million'
	  . ' topics: table, row, room; only the rooms are counted here). Each'
	  . ' call asks for a random topic. 8 clients, without the first two seconds,'
	  . ' in which new sessions map the memory.',
	latency => 'One client sends an INSERT, and another gets to know: by the'
	  . ' answer of wait(), by a notification, or by the answer of the sync()'
	  . ' that follows a doorbell. From before the INSERT is sent until the'
	  . ' row, or with pg_notify its key, is there; so the commit with its'
	  . ' fsync is in it. Some 7 ms between two. The 8 writers of the load'
	  . ' insert at full speed in other rooms of the same table, by the same'
	  . ' trigger; every listener has its own room\'s channel.',
	foreign => 'WAL of small transactions (an insert, an update, a delete) in'
	  . ' tables that nobody watches, from two sessions at a time, held by the'
	  . ' slot with chatroom.retain_wal = 4GB. The worker is started anew and'
	  . ' timed until it is up to date; pg_waldump --stats reads the same range.',
	presence => 'Leases under keys of their own, each of which ends after'
	  . ' 100 ms. None of the sides waits for the disk.',
	fold => 'One client; 100 calls in a statement, on values that are in'
	  . ' memory as jsonb: 30 messages, or 30 posts with 10 comments and 3'
	  . ' tags each, and an answer with one event. Queries are the scans that'
	  . ' pg_stat_user_tables counts while 1,000 clients, 50 at a time, fold'
	  . ' once each.',
	memory => "Private_Dirty of the sessions' processes, of 50 each.",
	rules => 'The same table of messages with the four rules of a chat:'
	  . ' username required, 4 to 20 characters; text required, 2 to 150.'
	  . ' By chatroom.add_rule(), which counts graphemes and takes white'
	  . ' space for nothing; by NOT NULL and CHECK (char_length()), which'
	  . ' count code points and take blanks for a name; by a plpgsql trigger'
	  . ' that gathers all errors. The worker is stopped, nothing is watched.'
	  . ' One INSERT a transaction, by pgbench -M prepared, 7 times 2 s; then'
	  . ' 1,000 rows in a statement, 5 times 4 s, by one client that inserts'
	  . ' into one table after the other, one of which has no validation but'
	  . ' NOT NULL.',
	changesets => 'insert() and changeset() on that table with rules, with'
	  . ' the attributes as a parameter of the statement, in slices of 2 s.'
	  . ' The echo is a parameter with the text of what changeset() answers,'
	  . ' cast to jsonb and sent back. preload() gets the posts by jsonb_agg()'
	  . ' in the same statement; the queries by hand make the same as json,'
	  . ' and the faster of two is taken, with LATERAL or with GROUP BY and a'
	  . ' join.',
	private => '1,000 private rooms of 101 members each, asked about by one'
	  . ' of them who is neither owner of the tables nor superuser, in slices'
	  . ' of 2 s. The table that it is compared with has the same columns and'
	  . ' events, and an association topic for its rooms.',
	cost => 'Rows of a table of chat messages (identity key, foreign key to one'
	  . ' of 1,000 rooms, index on room and key, a text of 70 characters, two'
	  . ' timestamps), one INSERT a transaction, by peers.c in slices of 1 s, and'
	  . ' one reader in another process that gets all of them; a slice counts'
	  . ' only if it did. Without a feed there is no reader.'
	  . ' chatroom\'s reader follows by listen() and sync(), or by wait(). The'
	  . ' worker is stopped while others are measured. pg_notify: a plpgsql'
	  . ' trigger as EctoWatch makes it, with all columns in the payload. The'
	  . ' outbox is filled by a plpgsql trigger and asked every 100 ms, in the'
	  . ' order of transaction ids and no further than the oldest that still'
	  . ' runs: whoever remembers the last id instead loses what commits late.'
	  . ' What was read is not deleted. PgQ: pgq.logutriga(), a tick and a'
	  . ' batch every 100 ms. Decoding: pg_recvlogical, on a server of its own'
	  . ' with wal_level = logical. Redis: the client that has inserted adds the'
	  . ' message to a stream (XADD), and the reader waits in XREAD BLOCK. All'
	  . ' readers get the whole row, and throw it away.',
	delay => 'From before the INSERT is sent until a reader in the same process'
	  . ' as the writer has the row, so with one clock; some 7 ms between two,'
	  . ' in slices of 2.5 s. The outbox and PgQ take what their interval of 100 ms'
	  . ' makes them take: a shorter one costs CPU, all day long.',
	followers => 'All follow the whole table, from one process; in slices of'
	  . ' 1 s, and until all of them have all of it. 8 clients write as fast as'
	  . ' they can, so the followers compete with them for the same cores.',
	catchup => 'Written one INSERT a transaction while the reader was away; then'
	  . ' from its start, connecting included, to its last event.',
	idle => 'Of a follower to whom nothing happens.',
	growth => 'In slices of 1 s. Rooms are rows that others refer to; those'
	  . ' without a message are topics without an event. Texts are random, so'
	  . ' that TOAST can\'t compress them; the cache is 1GB for those, and 1536MB'
	  . ' for the ring of a million events.',
	chat => 'The tables of chatroom.migrate(), 1,000 rooms, in slices of 2 s.'
	  . ' The functions, and the INSERT, are called by an ordinary role under'
	  . ' the row-level security of these tables; the other plain queries by'
	  . ' their owner, without. All are watched and the worker runs.');

# What the parts next to others are called on the page.
my %heading = (
	cost => 'Inserts, CPU and WAL', delay => 'Latency', followers => 'Followers',
	catchup => 'Catching up', idle => 'Memory', growth => 'Growth');

# Print all, and write it down.
sub report
{
	my ($quick, $reps, $seconds) = @_;
	my @where = Bench::circumstances();
	my $plots = {};
	my $text = '';

	write_json($quick, $reps, $seconds, @where);
	if (can_plot())
	{
		$plots = draw_plots();
	}
	else
	{
		left_out('pictures', 'no gnuplot here (Debian: gnuplot-nox)');
	}
	$text .= "\n\n" . text_table(map { [ "$_->[0]:", $_->[1] ] } @where)
	  . "\n";
	$text .= text_table([ figure_head() ],
		map { [ figure_cells($_) ] } @Bench::figures) . "\n"
	  if @Bench::figures;
	$text .= text_table([ note_head() ],
		map { [ note_cells($_) ] } @Bench::notes) . "\n"
	  if @Bench::notes;
	$text .= ratio_text();
	$text .= "Where a peer wins:\n" . wins_section() if comparisons();
	$text .= "Left out: $_->[0]: $_->[1]\n" foreach @Bench::left_out;
	$text .= "\nQUICK: these figures are noise.\n" if $quick;
	print $text;
	printf "%d s. Written: %s/benchmarks.json, benchmarks.md%s\n",
	  time - $Bench::began, $out,
	  join '', map { ", $_" } map { @{ $plots->{$_} } } sort keys %$plots;

	write_page($quick, $reps, $seconds, $plots, @where);
}

# The same for programs.
sub write_json
{
	my ($quick, $reps, $seconds, @where) = @_;

	open my $fh, '>', "$out/benchmarks.json" or die $!;
	print $fh JSON::PP->new->canonical->pretty->encode(
		{
			circumstances => { map { @$_ } @where },
			quick         => $quick ? JSON::PP::true : JSON::PP::false,
			repetitions   => $reps,
			slice_seconds => $seconds,
			left_out      => { map { @$_ } @Bench::left_out },
			peers         => compare_json(),
			figures       => [
				map {
					{
						%$_, defined $_->{met}
						? (met => $_->{met} ? JSON::PP::true
							: JSON::PP::false) : ()
					}
				} @Bench::figures
			],
			notes => \@Bench::notes
		});
	close $fh;
}

# docs/benchmarks.md.
sub write_page
{
	my ($quick, $reps, $seconds, $plots, @where) = @_;
	my %seen;
	my @old = grep { !$seen{$_}++ }
	  map { $_->{part} } @Bench::figures, @Bench::notes;
	my @new = grep { !$seen{$_}++ }
	  map { $_->{part} } comparisons(), curves();

	open my $fh, '>', "$out/benchmarks.md" or die $!;
	print $fh <<"MD";
# Benchmarks

Written by `make bench PUBLISH=1`, all of it from one run of $reps repetitions in
slices of $seconds s where nothing else is said. What is compared runs on the
same machine, one side after the other, in alternating order. Values are medians
with the least and the most of the repetitions; the ratio is the median of those
of each repetition's pair.

MD
	print $fh "**A quick run: these figures are noise.**\n\n" if $quick;
	print $fh markdown_table([ 'where', '' ], @where), "\n\n";
	print $fh "Left out: $_->[0]: $_->[1].\n\n" foreach @Bench::left_out;
	print_comparisons($fh, $plots, @new) if @new;
	print_part($fh, $_) foreach @old;
	close $fh;
}

# chatroom next to others, and itself growing.
sub print_comparisons
{
	my ($fh, $plots, @parts) = @_;

	print $fh <<'MD';
# Next to others

The same messages by every feed, and by none: what each costs, and how soon and
how many followers have them. A ratio is to no feed at all; to pg_notify where
there is nothing to measure without a feed. The tables below have the figures.

MD
	print $fh ratio_section(), "## Where a peer wins\n\nFigures in which a peer"
	  . " was ahead of all ways to read that chatroom has.\n\n", wins_section(),
	  "\n"
	  if comparisons();
	foreach my $part (@parts)
	{
		print $fh "## $heading{$part}\n\n", wrapped($method{$part}), "\n\n";
		print $fh "![$heading{$part}]($_)\n\n" foreach @{ $plots->{$part} // [] };
		print $fh compare_sections($part);
	}
	print $fh "# By themselves\n\n";
}

# One of the parts with targets.
sub print_part
{
	my ($fh, $name) = @_;
	my @mine   = grep { $_->{part} eq $name } @Bench::figures;
	my @other  = grep { $_->{part} eq $name } @Bench::notes;
	my @missed = grep { defined $_->{met} && !$_->{met} } @mine;

	print $fh "## $name\n\n", wrapped($method{$name}), "\n\n";
	print $fh markdown_table([ figure_head() ],
		map { [ figure_cells($_) ] } @mine), "\n\n"
	  if @mine;
	print $fh markdown_table([ note_head() ],
		map { [ note_cells($_) ] } @other), "\n\n"
	  if @other;
	print $fh wrapped("Missed: $_->{name}. " . ($_->{limits} // '')), "\n\n"
	  foreach @missed;
}

# Lines of text that are no longer than 80 characters.
sub wrapped
{
	my ($text) = @_;

	return $text =~ s/(.{1,80})(?: +|$)/$1\n/gr =~ s/\n+$//r;
}

1;
