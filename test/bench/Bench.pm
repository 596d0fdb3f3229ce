# Bench: the benchmark's servers, tools and figures; see Report.pm for what is
# made of them.
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
  start_peer_server need_sides begin_slice $rooms $many_rooms
  tailer_pid cpu_seconds tree_cpu server_cpu memory_kb private_kb
  image_bytes command start_child processors read_line
  texts quote script pgbench pgbench_warm pgbench_count pgbench_latencies
  start_load end_load fill
  expect_events client start_client run_program start_program end_program
  interleave median spread figure note begin_part left_out
  thousands number range ratio text_table markdown_table
  figure_head figure_cells note_head note_cells);

my $out = $ENV{CHATROOM_OUT} or die "start this with make bench\n";
my $here = $FindBin::Bin;
my $sockets;
my @running;
my $part;
our (@figures, @notes, @left_out, @circumstances);
our $rooms = 1000;
our $many_rooms = $ENV{QUICK} ? 10_000 : 1_000_000;
our $began = time;
my $load = read_line('/proc/loadavg', qr/^(\S+ \S+)/);

$| = 1;

# ------------------------------------------------------------------- server

# Settings that are not as initdb makes them.
my @settings = (
	[ shared_preload_libraries => 'chatroom' ],
	[ shared_buffers           => '256MB' ],
	[ max_connections          => 700 ],
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
sub start_cluster
{
	my ($name, $port, @more) = @_;

	local $ENV{PGDATA} = "$out/$name";
	command("initdb -A trust -U postgres -E UTF8 > $out/initdb-$name.log");
	open my $conf, '>>', "$ENV{PGDATA}/postgresql.conf" or die $!;
	print $conf "$_->[0] = '$_->[1]'\n" foreach @more;
	print $conf "listen_addresses = ''\n",
	  "unix_socket_directories = '$sockets'\n", "port = $port\n",
	  "log_line_prefix = '%m [%p] %b '\n";
	close $conf;
	unshift @running, $ENV{PGDATA};
	command("pg_ctl start -w -t 60 -l $out/server-$name.log > /dev/null");
}

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
	start_cluster('data', $ENV{PGPORT}, @settings);
	sql('CREATE EXTENSION chatroom');
	psql_file('fill.sql');
}

# One more server beside it, which differs in what is given, and has no
# chatroom; its environment.
sub start_peer_server
{
	my ($name, $port, @more) = @_;

	start_cluster($name, $port,
		(grep { $_->[0] !~ /chatroom|preload/ } @settings), @more);
	return (PGPORT => $port, PGDATA => "$out/$name");
}

sub stop_server
{
	foreach my $data (splice @running)
	{
		system("pg_ctl stop -D $data -m fast -t 20 > /dev/null 2>&1") == 0
		  or system("pg_ctl stop -D $data -m immediate > /dev/null 2>&1");
	}
	system("rm -rf $sockets") if $sockets;
}

# What is started besides ends with us.
my %children;

END
{
	my $status = $?;
	kill 'TERM', keys %children;
	stop_server();
	$? = $status;
}

# Run a statement by psql; what it answered, as unaligned text.
sub sql_in
{
	my ($database, $sql) = @_;
	my $output = '';
	local $_;

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

# The same of a process and those it started, whether they still run or not;
# to a hundredth of a second.
sub tree_cpu
{
	my ($root) = @_;
	my (%parent, %ticks, %mine);
	my $sum = 0;

	foreach my $file (glob '/proc/[0-9]*/stat')
	{
		open my $stat, '<', $file or next;
		my $line = <$stat> // next;
		my ($pid) = $line =~ /^(\d+)/;
		# after the name, which may have blanks and parentheses in it
		my @fields = split ' ', $line =~ s/^.*\)//sr;

		$parent{$pid} = $fields[1];
		$ticks{$pid} = $fields[11] + $fields[12] + $fields[13] + $fields[14];
	}
	foreach my $pid (keys %parent)
	{
		my $at = $pid;
		$at = $parent{$at} while $at && $at != $root && exists $parent{$at};
		$sum += $ticks{$pid} if $at && $at == $root;
	}
	return $sum / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# The same of all of the server.
sub server_cpu
{
	return tree_cpu(read_line("$ENV{PGDATA}/postmaster.pid", qr/^(\d+)/));
}

# Memory of a process: of one kind that smaps_rollup has.
sub memory_kb
{
	my ($pid, $kind) = @_;

	open my $maps, '<', "/proc/$pid/smaps_rollup" or die "process $pid: $!\n";
	my ($kb) = map { /^\Q$kind\E:\s+(\d+)/ } <$maps>;
	return $kb;
}

# What it has for itself.
sub private_kb { return memory_kb($_[0], 'Private_Dirty'); }

# Bytes of full-page images between two places in the WAL.
sub image_bytes
{
	my ($start, $end) = @_;

	sql('SELECT pg_switch_wal()');
	my ($total) = grep { /^Total/ }
	  split /\n/, command("pg_waldump --stats -p $ENV{PGDATA}/pg_wal"
		  . " -s $start -e $end 2>> $out/waldump.log");
	# Total  N   RECORDBYTES [x%]   FPIBYTES [y%]   COMBINED [z%]
	my ($records, $images) =
	  $total =~ /^Total\s+\d+\s+(\d+)\s+\[[^]]*\]\s+(\d+)\s+\[/
	  or die "pg_waldump printed: $total\n";
	return $images;
}

# ---------------------------------------------------------------- the sides

my %made;

# Make the tables of some sides, once on each server.
sub need_sides
{
	foreach my $side (grep { !$made{"$ENV{PGPORT} $_"}++ } @_)
	{
		psql_file('schema.sql', side => $side,
			rooms => $side =~ /many/ ? $many_rooms : $rooms);
		psql_file("$side.sql") if -e "$here/$side.sql";
		sql("SELECT chatroom.watch('$side.messages')") if $side =~ /^watched/;
	}
}

# Make a side ready for a slice: empty, and with a worker only if it has one.
sub begin_slice
{
	my ($side) = @_;

	sql("TRUNCATE $side.messages");
	if ($side =~ /^watched/)
	{
		sql('SELECT chatroom.start()');
		sql("SELECT chatroom.sync('$side.messages')");
	}
	else
	{
		sql('SELECT chatroom.stop()');
	}
	sql('CHECKPOINT');
}

# -------------------------------------------------------------------- tools

# The programs for what pgbench can't measure.
sub compile
{
	command("cc -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -pthread"
		  . " -o $out/$_ $here/$_.c $here/../demo/client.c"
		  . " -ljansson $ENV{CHATROOM_LIBPQ}") foreach qw(client peers);
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
	local $_;

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
	delete $children{$pid};

	# its sessions end when they meet the closed connection
	sleep 0.05 while sql("SELECT count(*) FROM pg_stat_activity"
		  . " WHERE application_name IN ('pgbench', 'writer')") > 0;
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

# Run a program of ours; what it reports.
sub run_program
{
	my ($name, @arguments) = @_;
	my $output = '';
	local $_;

	open my $program, '-|', "$out/$name", @arguments or die "$name: $!";
	$output .= $_ while <$program>;
	close $program or die "$name @arguments failed\n";
	return decode_json($output);
}

# The same in the background, until end_program.
sub start_program
{
	my ($name, @arguments) = @_;
	my ($from, $to);
	my $pid = open2($from, $to, "$out/$name", @arguments);

	$children{$pid} = 1;
	my $first = <$from> // die "$name @arguments failed\n";
	return { pid => $pid, from => $from, to => $to, first => $first };
}

# End it, with what it is to be told; what it reports.
sub end_program
{
	my ($program, $last) = @_;
	my $output = '';
	local $_;
	my $from = $program->{from};

	print { $program->{to} } $last if defined $last;
	close $program->{to};
	$output .= $_ while <$from>;
	waitpid $program->{pid}, 0;
	delete $children{ $program->{pid} };
	die "a program failed\n" if $? != 0;
	return $output eq '' ? undef : decode_json($output);
}

sub client { return run_program('client', @_); }
sub start_client { return start_program('client', @_); }

# Have a server of another kind run as long as we do; its process.
sub start_child
{
	my @command = @_;
	my $pid = fork() // die "fork: $!";

	if (!$pid)
	{
		open STDOUT, '>', "$out/" . ($command[0] =~ s/.*\///r) . '.log';
		open STDERR, '>&', \*STDOUT;
		{ exec @command; }
		POSIX::_exit(127);
	}
	$children{$pid} = 1;
	return $pid;
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

# Something that is not measured, and why.
sub left_out
{
	my ($what, $reason) = @_;

	push @left_out, [ $what, $reason ];
	print "\n  left out: $what: $reason\n";
}

sub begin_part
{
	($part) = @_;
	printf "\n[%3d s] %s ", time - $began, $part;
}

# ------------------------------------------------------------------- as text

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
sub figure_head { return ('figure', 'chatroom', 'compared with', 'ratio', 'target', 'met'); }
sub note_head { return ('figure', 'median (least–most)', 'unit'); }

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
			  . ' synchronous_commit = on, wal_level = replica' ],
		@circumstances);
}

# One more line of that.
sub circumstance { push @circumstances, [@_]; }

1;
