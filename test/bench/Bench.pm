# Bench: the benchmark's server, tools and report.
package Bench;

use strict;
use warnings;
use Exporter 'import';
use FindBin;
use IPC::Open2;
use JSON::PP;
use POSIX qw(strftime);
use Time::HiRes qw(time sleep);

our @EXPORT = qw(
  start_server stop_server sql sql_in psql_file setting with_cache settle
  tailer_pid cpu_seconds private_kb command
  texts quote script pgbench pgbench_warm pgbench_count pgbench_latencies
  start_load end_load fill
  expect_events client start_client end_client
  interleave median figure note begin_part thousands report);

my $out = $ENV{CHATROOM_OUT} or die "start this with make bench\n";
my $here = $FindBin::Bin;
my $sockets;
my $started;
my $part;
my (@figures, @notes);
my $began = time;
my $load = read_line('/proc/loadavg', qr/^(\S+ \S+)/);

$| = 1;

# ------------------------------------------------------------------- server

# Settings that are not as initdb makes them.
my @settings = (
	[ shared_preload_libraries => 'chatroom' ],
	[ shared_buffers           => '256MB' ],
	[ max_connections          => 200 ],
	[ min_wal_size             => '1GB' ],
	[ max_wal_size             => '16GB' ],
	[ checkpoint_timeout       => '1h' ],
	[ autovacuum               => 'off' ],
	[ 'chatroom.max_presence'  => 100000 ]);

# Run a program; its output.
sub command
{
	my ($command) = @_;
	my $output = `$command`;

	die "failed: $command\n" if $? != 0;
	return $output;
}

# Make a server and start it.
sub start_server
{
	compile();
	chomp($sockets = command('mktemp -d /tmp/chatroom.XXXXXX'));
	$ENV{PGDATA}     = "$out/data";
	$ENV{PGHOST}     = $sockets;
	$ENV{PGPORT}     = 54330;
	$ENV{PGUSER}     = 'postgres';
	$ENV{PGDATABASE} = 'postgres';
	$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);
	command("initdb -A trust -U postgres -E UTF8 > $out/initdb.log");
	open my $conf, '>>', "$ENV{PGDATA}/postgresql.conf" or die $!;
	print $conf "$_->[0] = '$_->[1]'\n" foreach @settings;
	print $conf "listen_addresses = ''\n",
	  "unix_socket_directories = '$sockets'\n", "port = $ENV{PGPORT}\n",
	  "log_line_prefix = '%m [%p] %b '\n";
	close $conf;
	$started = 1;
	command("pg_ctl start -w -t 60 -l $out/server.log > /dev/null");
	sql('CREATE EXTENSION chatroom');
	psql_file('fill.sql');
}

sub stop_server
{
	return unless $started;
	$started = 0;
	system('pg_ctl stop -m fast -t 20 > /dev/null 2>&1') == 0
	  or system('pg_ctl stop -m immediate > /dev/null 2>&1');
	system("rm -rf $sockets");
}

END
{
	my $status = $?;
	stop_server();
	$? = $status;
}

# Run a statement by psql; what it answered, as unaligned text.
sub sql_in
{
	my ($database, $sql) = @_;
	my $output = '';

	open my $psql, '-|', 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d',
	  $database, '-c', $sql
	  or die "psql: $!";
	$output .= $_ while <$psql>;
	close $psql or die "psql failed: $sql\n";
	chomp $output;
	return $output;
}

sub sql { return sql_in('postgres', @_); }

# Run a file of this folder, with psql variables.
sub psql_file
{
	my ($file, %variables) = @_;

	system('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', "$here/$file",
		map { ('-v', "$_=$variables{$_}") } sort keys %variables) == 0
	  or die "psql failed: $file\n";
}

# Change a setting of the server for a while; undef: back again.
sub setting
{
	my ($name, $value) = @_;

	sql(defined $value ? "ALTER SYSTEM SET $name = '$value'"
		: "ALTER SYSTEM RESET $name");
	sql('SELECT pg_reload_conf()');
	sleep 0.2 while sql("SHOW $name") ne ($value // sql("SELECT"
		  . " CASE WHEN unit IS NULL THEN boot_val ELSE"
		  . " current_setting(name) END FROM pg_settings WHERE name = '$name'"));
}

# Make the caches anew, of this size; undef: the default.
sub with_cache
{
	my ($size) = @_;

	sql('SELECT chatroom.stop()');
	setting('chatroom.cache_size', $size);
	sql('SELECT chatroom.start()');
}

sub tailer_pid { return sql('SELECT tailer_pid FROM chatroom.status'); }

# Wait until the worker has published all there is.
sub settle
{
	my $give_up = time + 300;

	for (;;)
	{
		my $behind = sql("SELECT read_lsn < '" . sql('SELECT pg_current_wal_flush_lsn()')
			  . "'::pg_lsn OR state <> 'running' FROM chatroom.status");
		last if $behind eq 'f';
		die "the worker doesn't catch up\n" if time > $give_up;
		sleep 0.05;
	}
	sql('SELECT chatroom.snapshot_cursor()');
}

# CPU time that a process has used.
sub cpu_seconds
{
	my ($pid) = @_;

	open my $stat, '<', "/proc/$pid/schedstat" or die "process $pid: $!\n";
	my ($ns) = split ' ', <$stat>;
	return $ns / 1e9;
}

# Memory that a process has for itself.
sub private_kb
{
	my ($pid) = @_;

	open my $maps, '<', "/proc/$pid/smaps_rollup" or die "process $pid: $!\n";
	my ($kb) = map { /^Private_Dirty:\s+(\d+)/ } <$maps>;
	return $kb;
}

# -------------------------------------------------------------------- tools

# The program for what pgbench can't measure.
sub compile
{
	command("cc -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -pthread"
		  . " -o $out/client $here/client.c $here/../demo/client.c"
		  . " -ljansson $ENV{CHATROOM_LIBPQ}");
}

# Texts of messages, of 60 to 80 characters: of a log, or made up.
my @texts;

sub texts
{
	return @texts if @texts;
	if ($ENV{LOG})
	{
		open my $log, '-|:encoding(UTF-8)', 'gzip -dcf <&3' or die "gzip: $!";
		while (@texts < 200 && defined(my $line = <$log>))
		{
			chomp $line;
			my ($kind, $text) = (split /\t/, $line)[ 2, 4 ];
			next if $kind ne 'message' || !defined $text;
			# pgbench takes :word for a variable
			push @texts, $text
			  if length $text >= 60 && length $text <= 80
			  && $text =~ /^[ -~]+$/ && $text !~ /[:\\]/;
		}
	}
	else
	{
		my @words = qw(anyone here who has got sound to work with the new kernel
		  yes mine does since I installed it from source but not for every user
		  look at the log then and tell what stands there after boot please);
		my $next = 1;

		while (@texts < 200)
		{
			my $text = 'well';

			while (length $text < 60)
			{
				$next = ($next * 1103515245 + 12345) % 2147483648;
				$text .= ' ' . $words[ ($next >> 16) % @words ];
			}
			push @texts, $text;
		}
	}
	die "the log has too few texts\n" if @texts < 200;
	return @texts;
}

# As SQL literal.
sub quote
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

# A script file for pgbench. Its variable :ready is 0 at the start, so that
# it can prepare something once.
sub script
{
	my ($name, $text) = @_;
	my $file = "$out/$name.sql";

	open my $fh, '>', $file or die "$file: $!";
	print $fh $text;
	close $fh;
	return $file;
}

sub processors
{
	my $n = () = command('cat /proc/cpuinfo') =~ /^processor\s*:/mg;
	return $n || 1;
}

sub pgbench_command
{
	my ($script, $clients, $database, @limit) = @_;
	my $threads = processors();

	$threads = $clients if $clients < $threads;
	return ('pgbench', '-n', '-M', 'prepared', '-D', 'ready=0',
		'-c', $clients, '-j', $threads,
		@limit, '-f', $script, $database // 'postgres');
}

sub run_pgbench
{
	my $output = '';

	open my $pgbench, '-|', @_ or die "pgbench: $!";
	$output .= $_ while <$pgbench>;
	close $pgbench or die "pgbench failed\n";
	$output =~ /^number of failed transactions: [1-9]/m
	  and die "statements failed:\n$output";
	$output =~ /^tps = ([\d.]+)/m or die "pgbench printed:\n$output";
	return $1;
}

# Transactions per second of a script.
sub pgbench
{
	my ($script, $clients, $seconds, $database) = @_;

	return run_pgbench(
		pgbench_command($script, $clients, $database, '-T', $seconds));
}

# The same without the first seconds, in which new processes meet memory that
# they haven't mapped yet.
sub pgbench_warm
{
	my ($script, $clients, $seconds, $database, $warm) = @_;
	my @command = pgbench_command($script, $clients, $database,
		'-T', $seconds + $warm, '-P', 1);
	my (@rates, $sum);

	open my $pgbench, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @command
	  or die "pgbench: $!";
	while (my $line = <$pgbench>)
	{
		push @rates, $1 if $line =~ /^progress: [\d.]+ s, ([\d.]+) tps/;
	}
	close $pgbench or die "pgbench failed\n";
	splice @rates, 0, $warm;
	$sum += $_ foreach @rates;
	return $sum / @rates;
}

# Run a script about so often.
sub pgbench_count
{
	my ($script, $clients, $count) = @_;

	run_pgbench(pgbench_command($script, $clients, undef, '-t',
			int($count / $clients)));
}

# Milliseconds that each line of a script takes, of those that are statements;
# so what they are compared with is only milliseconds away.
sub pgbench_latencies
{
	my ($script, $seconds) = @_;
	my @times;

	open my $pgbench, '-|',
	  pgbench_command($script, 1, undef, '-T', $seconds, '-r')
	  or die "pgbench: $!";
	while (my $line = <$pgbench>)
	{
		push @times, $1 if $line =~ /^\s+([\d.]+)\s+(?:\d+\s+)?[A-Z]/;
	}
	close $pgbench or die "pgbench failed\n";
	return @times;
}

# Run a script in the background.
sub start_load
{
	my ($script, $clients) = @_;
	my $pid = fork() // die "fork: $!";

	if (!$pid)
	{
		open STDOUT, '>', '/dev/null';
		open STDERR, '>', '/dev/null';
		exec pgbench_command($script, $clients, undef, '-T', 3600);
	}
	return $pid;
}

sub end_load
{
	my ($pid) = @_;

	kill 'TERM', $pid;
	waitpid $pid, 0;

	# its sessions end when they meet the closed connection
	sleep 0.05 while sql("SELECT count(*) FROM pg_stat_activity"
		  . " WHERE application_name = 'pgbench'") > 0;
}

# Insert so many messages in a room, each in a transaction of its own.
sub fill
{
	my ($side, $room, $count) = @_;

	local $ENV{PGOPTIONS} = '-c synchronous_commit=off';
	sql("CALL fill('$side', $room, $count)");
}

# A query that answers events must answer so many, or nothing is measured.
sub expect_events
{
	my ($count, $query, $database) = @_;
	my $answer = decode_json(sql_in($database // 'postgres', $query));

	die "expected $count events, not " . @{ $answer->{events} } . ": $query\n"
	  if @{ $answer->{events} } != $count || $answer->{reset};
}

# Run our own client; what it reports.
sub client
{
	my @arguments = @_;
	my $output = '';

	open my $client, '-|', "$out/client", @arguments or die "client: $!";
	$output .= $_ while <$client>;
	close $client or die "client @arguments failed\n";
	return decode_json($output);
}

# The same in the background, until end_client.
sub start_client
{
	my @arguments = @_;
	my ($from, $to);
	my $pid = open2($from, $to, "$out/client", @arguments);
	my $first = <$from> // die "client @arguments failed\n";

	return { pid => $pid, from => $from, to => $to, first => $first };
}

sub end_client
{
	my ($client) = @_;
	my $output = '';
	my $from = $client->{from};

	close $client->{to};
	$output .= $_ while <$from>;
	waitpid $client->{pid}, 0;
	die "client failed\n" if $? != 0;
	return $output eq '' ? undef : decode_json($output);
}

# -------------------------------------------------------------- the figures

# Measure each, some times, in alternating order; the values of each.
sub interleave
{
	my ($reps, @sides) = @_;
	my (@names, %measure, %values);

	while (my ($name, $sub) = splice @sides, 0, 2)
	{
		push @names, $name;
		$measure{$name} = $sub;
	}
	foreach my $rep (1 .. $reps)
	{
		foreach my $name ($rep % 2 ? @names : reverse @names)
		{
			push @{ $values{$name} }, $measure{$name}->();
		}
		print '.';
	}
	return \%values;
}

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	my $middle = int(@sorted / 2);

	return @sorted % 2 ? $sorted[$middle]
	  : ($sorted[ $middle - 1 ] + $sorted[$middle]) / 2;
}

sub spread
{
	my @sorted = sort { $a <=> $b } @_;

	return {
		median => median(@sorted), min => $sorted[0], max => $sorted[-1],
		values => [@_] };
}

# Report a comparison.
sub figure
{
	my (%figure) = @_;
	my ($ours, $theirs) = ($figure{ours}[1], $figure{theirs}[1]);
	my @ratios = map { $ours->[$_] / $theirs->[$_] } 0 .. $#$ours;

	$figure{part}  = $part;
	$figure{ours}  = { what => $figure{ours}[0], %{ spread(@$ours) } };
	$figure{theirs} = { what => $figure{theirs}[0], %{ spread(@$theirs) } };
	$figure{ratio} = spread(@ratios);
	if (defined $figure{atleast})
	{
		$figure{met} = $figure{ratio}{median} >= $figure{atleast};
	}
	elsif (defined $figure{atmost})
	{
		$figure{met} = $figure{ratio}{median} <= $figure{atmost};
	}
	push @figures, \%figure;
	print "\n", figure_line(\%figure);
}

# Report values without comparison.
sub note
{
	my (%note) = @_;

	$note{part} = $part;
	push @notes, { %note, %{ spread(@{ $note{values} }) } };
	print "\n", note_line($notes[-1]);
}

sub begin_part
{
	($part) = @_;
	printf "\n[%3d s] %s ", time - $began, $part;
}

# ---------------------------------------------------------------- the report

# A count with commas.
sub thousands
{
	my $text = reverse shift;
	$text =~ s/(\d{3})(?=\d)/$1,/g;
	return scalar reverse $text;
}

# A number with three digits that count.
sub number
{
	my ($value) = @_;

	return thousands(sprintf '%.0f', $value) if $value >= 100;
	return sprintf $value >= 10 ? '%.1f' : '%.2f', $value;
}

sub range
{
	my ($spread, $format) = @_;

	return sprintf '%s (%s–%s)', map { $format->($spread->{$_}) }
	  qw(median min max);
}

sub ratio { return sprintf $_[0] >= 10 ? '%.1f' : '%.2f', $_[0]; }

sub target
{
	my ($figure) = @_;

	return "≥ $figure->{atleast}" if defined $figure->{atleast};
	return "≤ $figure->{atmost}"  if defined $figure->{atmost};
	return '—';
}

sub met
{
	my ($figure) = @_;

	return !defined $figure->{met} ? '' : $figure->{met} ? 'yes' : 'no';
}

# The tables' rows, as cells.
my @figure_head = ('figure', 'chatroom', 'compared with', 'ratio', 'target', 'met');
my @note_head = ('figure', 'median (least–most)', 'unit');

sub figure_cells
{
	my ($figure) = @_;

	return (
		"$figure->{name}, $figure->{unit}",
		"$figure->{ours}{what}: " . range($figure->{ours}, \&number),
		"$figure->{theirs}{what}: " . range($figure->{theirs}, \&number),
		range($figure->{ratio}, \&ratio),
		target($figure), met($figure));
}

sub note_cells
{
	my ($note) = @_;

	return ($note->{name}, range($note, \&number), $note->{unit});
}

sub figure_line
{
	my @cells = figure_cells(@_);
	return "  $cells[0]: $cells[3], target $cells[4] $cells[5]\n"
	  . "      $cells[1]; $cells[2]\n";
}

sub note_line
{
	my @cells = note_cells(@_);
	return "  $cells[0]: $cells[1] $cells[2]\n";
}

# Columns of text, aligned; widths are of characters, not bytes.
sub width
{
	my ($text) = @_;
	return length($text =~ s/[\x80-\xbf]//gr);
}

sub text_table
{
	my @rows = @_;
	my @widths;
	my $text = '';

	foreach my $row (@rows)
	{
		foreach my $i (0 .. $#$row)
		{
			my $width = width($row->[$i]);
			$widths[$i] = $width if $width > ($widths[$i] // 0);
		}
	}
	foreach my $row (@rows)
	{
		my $line = join '  ',
		  map { $row->[$_] . ' ' x ($widths[$_] - width($row->[$_])) } 0 .. $#$row;
		$text .= ($line =~ s/ +$//r) . "\n";
	}
	return $text;
}

sub markdown_table
{
	my ($head, @rows) = @_;

	return join "\n", map { '| ' . join(' | ', @$_) . ' |' } $head,
	  [ ('---') x @$head ], @rows;
}

sub read_line
{
	my ($file, $pattern) = @_;

	open my $fh, '<', $file or return 'unknown';
	while (my $line = <$fh>)
	{
		return $1 if $line =~ $pattern;
	}
	return 'unknown';
}

# Where and how all this was measured.
sub circumstances
{
	my $fsync = client('fsync', "$out/fsync.test")->{fdatasync};
	my @now = gmtime $began;

	return (
		[ 'date', strftime('%Y-%m-%d %H:%M UTC', @now) ],
		[ 'commit', $ENV{BENCH_COMMIT} || 'unknown' ],
		[ 'PostgreSQL', sql('SHOW server_version') ],
		[ 'system',
			read_line('/etc/os-release', qr/^PRETTY_NAME="?([^"\n]*)/)
			  . ', Linux ' . read_line('/proc/sys/kernel/osrelease', qr/(\S+)/)
		],
		[ 'processor',
			processors() . ' × '
			  . read_line('/proc/cpuinfo', qr/^model name\s*: (.*)/) ],
		[ 'memory',
			int(read_line('/proc/meminfo', qr/^MemTotal:\s+(\d+)/) / 1048576 + 0.5)
			  . ' GB' ],
		[ 'load before', $load ],
		[ 'fdatasync of a page', "$fsync->{p50} µs (p50), $fsync->{p99} µs (p99)" ],
		[ 'settings', join(', ', map { "$_->[0] = $_->[1]" } @settings)
			  . '; all others as made by initdb, so fsync = on,'
			  . ' synchronous_commit = on, wal_level = replica' ]);
}

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
	chat => 'The tables of chatroom.migrate(), 1,000 rooms, in slices of 2 s.'
	  . ' The functions, and the INSERT, are called by an ordinary role under'
	  . ' the row-level security of these tables; the other plain queries by'
	  . ' their owner, without. All are watched and the worker runs.');

# Print all, and write it down.
sub report
{
	my ($quick, $reps, $seconds) = @_;
	my @where = circumstances();
	my $text = '';
	my $fh;

	$text .= "\n\n" . text_table(map { [ "$_->[0]:", $_->[1] ] } @where)
	  . "\n";
	$text .= text_table(\@figure_head, map { [ figure_cells($_) ] } @figures)
	  . "\n"
	  if @figures;
	$text .= text_table(\@note_head, map { [ note_cells($_) ] } @notes)
	  if @notes;
	$text .= "\nQUICK: these figures are noise.\n" if $quick;
	print $text;
	printf "%d s. Written: %s/results.json, benchmarks.md\n", time - $began,
	  $out;

	open $fh, '>', "$out/results.json" or die $!;
	print $fh JSON::PP->new->canonical->pretty->encode(
		{
			circumstances => { map { @$_ } @where },
			quick         => $quick ? JSON::PP::true : JSON::PP::false,
			repetitions   => $reps,
			slice_seconds => $seconds,
			figures       => [
				map {
					{
						%$_, defined $_->{met}
						? (met => $_->{met} ? JSON::PP::true
							: JSON::PP::false) : ()
					}
				} @figures
			],
			notes => \@notes
		});
	close $fh;
	write_page($quick, $reps, $seconds, @where);
}

# docs/benchmarks.md.
sub write_page
{
	my ($quick, $reps, $seconds, @where) = @_;
	my (@parts, %seen);

	open my $fh, '>', "$out/benchmarks.md" or die $!;
	print $fh <<"MD";
# Benchmarks

Written by `make bench PUBLISH=1`, all of it from one run of $reps repetitions in
slices of $seconds s where nothing else is said. What is compared runs on the same server, one side after
the other, in alternating order. Values are medians with the least and the most
of the repetitions; the ratio is taken of each repetition's pair.

MD
	print $fh "**A quick run: these figures are noise.**\n\n" if $quick;
	print $fh markdown_table([ 'where', '' ], @where), "\n\n";
	@parts = grep { !$seen{$_}++ } map { $_->{part} } @figures, @notes;
	foreach my $name (@parts)
	{
		my @mine  = grep { $_->{part} eq $name } @figures;
		my @other = grep { $_->{part} eq $name } @notes;
		my @missed = grep { defined $_->{met} && !$_->{met} } @mine;

		print $fh "## $name\n\n$method{$name}\n\n";
		print $fh markdown_table(\@figure_head,
			map { [ figure_cells($_) ] } @mine), "\n\n"
		  if @mine;
		print $fh markdown_table(\@note_head,
			map { [ note_cells($_) ] } @other), "\n\n"
		  if @other;
		print $fh "Missed: $_->{name}. ", $_->{limits} // '', "\n\n" foreach @missed;
	}
	close $fh;
}

1;
