# Peers: chatroom next to what people use for the same; a part of test/bench/run.
#
# Each side writes the same messages by the same client (peers.c), into a
# table of its own with the same columns, index and foreign key. Sides take
# turns in short slices on the same machine; all are on one server but the
# decoded one, which wants wal_level = logical and so has another, that sleeps
# while it isn't its turn.
package Peers;

use strict;
use warnings;
use Exporter 'import';
use POSIX ();
use Time::HiRes qw(time sleep);
use Bench;
use Compare;

our @EXPORT = qw(start_peers peer_slice write_messages
  bench_cost bench_delay bench_followers bench_catchup bench_idle);

my $decode_slots = 60;
my ($quick, $reps, $started, @peers, %logical, $plugin, $redis, $redis_pid);
my %fastest;

# Where each side's messages are, how it is followed, and by what name.
my %sides = (
	none     => { schema => 'plain',     way => 'none' },
	notify   => { schema => 'ectowatch', way => 'notify',
		name => 'ew_inserted_for_messages' },
	decode   => { schema => 'plain',  way => 'decode', name => 'peer_%d' },
	outbox   => { schema => 'outbox', way => 'outbox', name => '' },
	pgq      => { schema => 'queued', way => 'pgq',    name => 'peer_%d' },
	redis    => { schema => 'plain',  way => 'redis',  name => '' },
	chatroom => { schema => 'watched', way => 'listen',
		name => 'watched.messages' },
	wait     => { schema => 'watched', way => 'wait',
		name => 'watched.messages' },
	alone => { schema => 'watched', way => 'none' },

	# of Growth.pm
	many         => { schema => 'many',         way => 'none' },
	watched_many => { schema => 'watched_many', way => 'none' });

# ------------------------------------------------------------ what there is

sub version
{
	my ($package) = @_;
	my $version = `dpkg-query -W -f '\${Version}' $package 2> /dev/null`;

	return $? == 0 && $version ? $version : 'of unknown version';
}

# Start the peers that are there, once; the others are left out, with a reason.
sub start_peers
{
	($quick, $reps) = @_;

	return if $started++;
	my $lib = command('pg_config --pkglibdir') =~ s/\n//r;
	my $pg = sql('SHOW server_version') =~ s/\D.*//sr;

	push @peers, 'notify';
	need_sides(qw(plain watched ectowatch outbox));
	$plugin = -e "$lib/wal2json.so" ? 'wal2json' : 'test_decoding';
	if (-e "$lib/$plugin.so")
	{
		# a server that wants to be told which plugins may be used
		my $allowed = sql("SELECT setting FROM pg_settings"
			  . " WHERE name = 'output_plugin_libraries'");
		%logical = start_peer_server('logical', $ENV{PGPORT} + 1,
			[ wal_level => 'logical' ],
			[ max_replication_slots => $decode_slots ],
			[ max_wal_senders => $decode_slots ],
			$allowed ne '' ? [ output_plugin_libraries => "$allowed, $plugin" ]
			: ());
		local @ENV{ keys %logical } = values %logical;
		need_sides('plain');
		push @peers, 'decode';
		left_out('wal2json', "no postgresql-$pg-wal2json here:"
			  . ' PostgreSQL\'s own test_decoding is in its place')
		  if $plugin ne 'wal2json';
		$_->[0] eq 'decode' and $_->[1] = $plugin foreach @Compare::sides;
	}
	else
	{
		left_out('wal2json', "no postgresql-$pg-wal2json here, and no"
			  . ' test_decoding');
	}
	push @peers, 'outbox';
	if (sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'pgq'"))
	{
		need_sides('queued');
		push @peers, 'pgq';
	}
	else
	{
		left_out('PgQ', "no postgresql-$pg-pgq3 here");
	}
	if (grep { -x "$_/redis-server" } split /:/, $ENV{PATH})
	{
		start_redis();
		push @peers, 'redis';
	}
	else
	{
		left_out('Redis Streams', 'no redis-server here');
	}
	Bench::circumstance('compared with',
		join ', ', "pg_notify as of EctoWatch's triggers",
		(map {
			{
				decode => $plugin eq 'wal2json'
				  ? "wal2json " . version("postgresql-$pg-wal2json") : $plugin,
				outbox => 'an outbox polled every 100 ms',
				pgq => 'PgQ ' . version("postgresql-$pg-pgq3")
				  . ' with a tick every 100 ms',
				redis => 'Redis ' . version('redis-server')
				  . ' (appendonly yes, appendfsync everysec)'
			  }->{$_} // ()
		} @peers));
}

sub start_redis
{
	my $folder = "$ENV{CHATROOM_OUT}/redis";

	mkdir $folder or die "$folder: $!";
	$redis = "$ENV{PGHOST}/redis";
	$redis_pid = start_child('redis-server', '--port', 0, '--unixsocket', $redis,
		'--dir', $folder, '--appendonly', 'yes', '--appendfsync', 'everysec',
		'--save', '', '--daemonize', 'no');
	my $give_up = time + 10;
	until (-S $redis && `redis-cli -s $redis ping 2> /dev/null` =~ /PONG/)
	{
		die "redis-server doesn't start, see redis-server.log\n"
		  if time > $give_up;
		sleep 0.05;
	}
}

sub with_server
{
	my ($side, $sub) = @_;

	return $sub->() unless $side eq 'decode';
	local @ENV{ keys %logical } = values %logical;
	return $sub->();
}

# ------------------------------------------------------------------ slices

# Have so many slots, and no others.
sub need_slots
{
	my ($count, $name) = @_;

	sql("SELECT count(pg_drop_replication_slot(slot_name))"
		  . " FROM pg_replication_slots WHERE NOT active");
	sql("SELECT count(pg_create_logical_replication_slot(format('$name', n),"
		  . " '$plugin')) FROM generate_series(1, $count) AS n") if $count;
}

# Have a queue without events, with so many consumers.
sub need_queue
{
	my ($count, $name) = @_;

	sql("SELECT pgq.drop_queue('messages', true)");
	sql("SELECT pgq.create_queue('messages')");
	sql("SELECT pgq.set_queue_config('messages', '$_->[0]', '$_->[1]')")
	  foreach [ ticker_max_lag => '0 seconds' ],
	  [ ticker_idle_period => '1 second' ];
	sql("SELECT count(pgq.register_consumer('messages', format('$name', n)))"
		  . " FROM generate_series(1, $count) AS n") if $count;
}

# Make a side ready for a slice: nothing in it, and so many followers known.
sub begin_peer
{
	my ($side, $count) = @_;
	my $of = $sides{$side};

	begin_slice($side eq 'decode' ? 'plain' : $of->{schema});
	sql('TRUNCATE outbox.outbox RESTART IDENTITY') if $side eq 'outbox';
	need_queue($count, 'peer_%s') if $side eq 'pgq';
	command("redis-cli -s $redis flushall > /dev/null") if $side eq 'redis';
	with_server(decode => sub {
		sql('TRUNCATE plain.messages');
		need_slots($count, 'peer_%s');
		sql('CHECKPOINT');
	}) if $side eq 'decode';
}

# The arguments of a follower, and of a writer.
sub follow_arguments
{
	my ($side, $count) = @_;
	my $of = $sides{$side};

	return ('-w', $of->{way}, '-n', $count, '-t', $of->{name} // '',
		$side eq 'decode' ? ('-o', $plugin) : (),
		$side eq 'redis' ? ('-x', $redis) : ());
}

sub write_arguments
{
	my ($side) = @_;

	return ('-S', $sides{$side}{schema},
		$side eq 'redis' ? ('-x', $redis) : ());
}

# Write by itself; what peers.c reports.
sub write_messages
{
	my ($side, @arguments) = @_;

	return run_program('peers', 'write', write_arguments($side), @arguments);
}

# A slice: some write, others follow until they have it all. What it was like:
# rate of inserts and of deliveries; with cost, CPU and WAL of it, too.
sub peer_slice
{
	my ($side, %o) = @_;
	my $count = $o{followers} // 0;

	$count = 0 if $sides{$side}{way} eq 'none';
	begin_peer($side, $count);
	return with_server($side, sub {
		# PgQ ticks whether or not somebody follows
		my $follower = $count || $side eq 'pgq'
		  ? start_program('peers', 'follow', follow_arguments($side, $count))
		  : undef;
		my ($cpu, $lsn);
		if ($o{cost})
		{
			$cpu = server_cpu() + ($side eq 'redis' ? tree_cpu($redis_pid) : 0);
			$lsn = sql('SELECT pg_current_wal_insert_lsn()');
		}
		my $wrote = write_messages($side, '-c', $o{clients}, '-T', $o{seconds},
			'-r', $o{rooms} // $rooms, $o{size} ? ('-z', $o{size}) : ());
		my $seconds = ($wrote->{ended} - $wrote->{began}) / 1e6;
		my $expected = $wrote->{rows} * $count;
		my %got = (rate => $wrote->{rows} / $seconds);

		if ($follower)
		{
			my $read = end_program($follower, "$expected\n");
			die title($side) . ": $count followers got $read->{events} of"
			  . " $expected events\n" if $read->{events} != $expected;
			$got{delivered} = $expected
			  / (($read->{last} - $wrote->{began}) / 1e6) if $count;
			$wrote->{cpu} += $read->{cpu};
		}
		settle() if $sides{$side}{schema} =~ /^watched/;
		if ($o{cost})
		{
			my $end = sql('SELECT pg_current_wal_insert_lsn()');
			my $bytes = sql("SELECT '$end'::pg_lsn - '$lsn'::pg_lsn");
			$cpu = server_cpu() - $cpu + $wrote->{cpu}
			  + ($side eq 'redis' ? tree_cpu($redis_pid) : 0);
			$got{cpu} = $cpu / $wrote->{rows} * 1000;
			$got{wal} = ($bytes - image_bytes($lsn, $end)) / $wrote->{rows} * 1000;
		}
		return \%got;
	});
}

# Of what slices were like, one value of each.
sub values_of { my ($slices, $what) = @_; return [ map { $_->{$what} } @$slices ]; }

# ----------------------------------------------- inserts, CPU, WAL: cost

sub bench_cost
{
	my ($seconds) = @_;
	my @clients = (1, 8, 32, 64);
	my @run = ('none', @peers, qw(chatroom wait alone));
	my (%rate, %cpu, %wal);

	foreach my $clients (@clients)
	{
		my $result = interleave($reps,
			map {
				my $side = $_;
				$side => sub {
					return peer_slice($side, clients => $clients,
						followers => 1, seconds => $seconds,
						cost => $clients == 8);
				}
			} @run);

		foreach my $side (@run)
		{
			$rate{$side}{$clients} = values_of($result->{$side}, 'rate');
			next if $clients != 8;
			$fastest{$side} = median(@{ $rate{$side}{8} });
			$cpu{$side}{all} = values_of($result->{$side}, 'cpu');
			$wal{$side}{all} = [ map { $_ / 1000 }
				  @{ values_of($result->{$side}, 'wal') } ];
		}
	}
	compare(
		key => 'insert', part => 'cost', name => 'inserts', unit => 'inserts/s',
		better => 'more', cells => \%rate,
		columns => [ map { [ $_, $_ == 1 ? '1 client' : "$_ clients" ] } @clients ]);
	compare(
		key => 'cpu', part => 'cost', name => 'CPU time, 8 clients',
		unit => 's per 1,000 messages', better => 'less', cells => \%cpu,
		columns => [ [ all => 's per 1,000 messages' ] ],
		about => 'Of the server with all its processes, of the reader, of Redis,'
		  . ' and of the client that writes, whose XADD is a part of what Redis'
		  . ' costs.');
	compare(
		key => 'wal', part => 'cost', name => 'WAL, 8 clients',
		unit => 'kB per 1,000 messages', better => 'less', cells => \%wal,
		columns => [ [ all => 'kB per 1,000 messages' ] ],
		about => 'Without full-page images, which depend on the checkpoints.');
}


# ------------------------------------------------------------ latency: delay

sub percentile
{
	my ($percent, @values) = @_;
	my @sorted = sort { $a <=> $b } @values;

	return $sorted[ int($percent / 100 * $#sorted + 0.5) ];
}

# How many messages a second a side takes from 8 clients.
sub fastest
{
	my ($side) = @_;

	return $fastest{$side} //= peer_slice($side, clients => 8, followers => 1,
		seconds => $quick ? 0.3 : 1)->{rate};
}

# One who writes now and then, one who follows, and others who write half of
# what they could. The times of all.
sub delay_slice
{
	my ($side, $seconds, $loaded) = @_;
	my $rate = $loaded ? int(fastest($side) / 2) : 0;

	begin_peer($side, 1);
	return with_server($side, sub {
		my $load = $loaded
		  ? start_writers(write_arguments($side), '-c', 8, '-T', 600,
			'-R', $rate, '-r', $rooms)
		  : undef;
		sleep($quick ? 0.2 : 0.5) if $load;
		my $times = run_program('peers', 'probe', write_arguments($side),
			follow_arguments($side, 1), '-T', $seconds)->{seen};
		end_load($load) if $load;
		return $times;
	});
}

sub start_writers
{
	local $ENV{PGAPPNAME} = 'writer';
	return start_child("$ENV{CHATROOM_OUT}/peers", 'write', @_);
}

sub bench_delay
{
	my ($seconds) = @_;
	my @run = ('none', @peers, qw(chatroom wait));
	my @percents = (50, 99, 99.9);
	my %cells;

	fastest($_) foreach @run;
	foreach my $loaded (0, 1)
	{
		my $result = interleave($reps,
			map {
				my $side = $_;
				$side => sub { delay_slice($side, $seconds, $loaded) }
			} @run);

		foreach my $side (@run)
		{
			my @slices = @{ $result->{$side} };
			foreach my $percent (@percents)
			{
				# of a slice's few hundred, one in a thousand means nothing
				$cells{$side}{"$loaded $percent"} = $percent == 99.9
				  ? [ percentile($percent, map { @$_ } @slices) ]
				  : [ map { percentile($percent, @$_) } @slices ];
			}
		}
	}
	compare(
		key => 'latency', part => 'delay', name => 'from sending to seeing',
		unit => 'µs', better => 'less', cells => \%cells,
		columns => [ map {
			my $loaded = $_;
			map { [ "$loaded $_", ($loaded ? 'loaded' : 'idle') . ", p$_" ] }
			  @percents
		} 0, 1 ],
		about => 'Loaded, 8 clients write half of what the side takes at most'
		  . ' (a second: '
		  . join(', ', map { title($_) . ' ' . thousands(int(fastest($_) / 2)) }
			  @run)
		  . '), and the follower gets all of it. Without a feed it is the time'
		  . ' until the writer is told of the commit. p99.9 is of all rounds'
		  . ' together.');
}

# ---------------------------------------------------------------- followers

sub bench_followers
{
	my ($seconds) = @_;
	my @counts = (0, 1, 50, 500);
	my %more = map { $_ => 1 } (10, 200);
	my @run = ('none', @peers, 'chatroom');
	my (%rate, %delivered, %missing);

	with_cache('512MB');
	foreach my $count (sort { $a <=> $b } @counts, keys %more)
	{
		my @sides = grep {
			$more{$count} ? $_ eq 'chatroom'
			  : $_ eq 'none' ? $count == 0
			  : $_ ne 'decode' || $count < $decode_slots
		} @run;
		my $result = interleave($reps,
			map {
				my $side = $_;
				$side => sub {
					return peer_slice($side, clients => 8, followers => $count,
						seconds => $seconds);
				}
			} @sides);

		foreach my $side (@sides)
		{
			$rate{$side}{$count} = values_of($result->{$side}, 'rate');
			$delivered{$side}{$count} = values_of($result->{$side}, 'delivered')
			  if $count > 0;
		}
	}

	# nobody follows what isn't there, so all are compared with the same
	$rate{none}{$_} = $rate{none}{0} foreach @counts;
	$missing{decode}{500} = 'each follower would be a replication slot of its'
	  . ' own, with a process that decodes all of the WAL once more and keeps'
	  . ' it from being removed; 500 followers want one slot, and a fan-out'
	  . ' written for it'
	  if $rate{decode};
	compare(
		key => 'followers', part => 'followers', name => 'inserts, 8 clients',
		unit => 'inserts/s', better => 'more', cells => \%rate,
		missing => \%missing,
		columns => [ map { [ $_, $_ == 1 ? '1 follower' : "$_ followers" ] }
			@counts ]);
	compare(
		key => 'delivered', part => 'followers', name => 'events delivered',
		unit => 'events/s', better => 'more', base => 'notify',
		cells => \%delivered, missing => \%missing,
		columns => [ map { [ $_, $_ == 1 ? '1 follower' : "$_ followers" ] }
			grep { $_ > 0 } @counts ],
		about => 'To all followers together, until the last of them has the last'
		  . ' event; the ratio is to pg_notify, as there is nothing to deliver'
		  . ' without a feed.');
	curve(
		key => 'fanout', part => 'followers', name => 'followers of chatroom',
		x => 'followers', y => 'a second',
		lines => [
			[ 'inserts' => points($rate{chatroom}) ],
			[ 'events delivered' => points($delivered{chatroom}) ] ]);
	with_cache(undef);
}

# The points of a line, by x; there is no 0 where x grows by factors.
sub points
{
	my ($at) = @_;

	return [ map { [ $_, $at->{$_} ] } grep { $_ > 0 } sort { $a <=> $b } keys %$at ];
}

# ----------------------------------------------------------------- catch up

# What was written while the follower was away, and reading it then.
sub bench_catchup
{
	my $count = $quick ? 10_000 : 100_000;
	my @run = ('none', (grep { $_ ne 'notify' } @peers), qw(chatroom wait));
	my ($cursor, %cells, %next);

	with_cache('256MB');
	begin_slice('watched');
	$cursor = sql('SELECT chatroom.snapshot_cursor()');
	need_queue($reps, 'catchup_%s') if grep { $_ eq 'pgq' } @run;
	command("redis-cli -s $redis flushall > /dev/null") if $redis;
	sql('TRUNCATE outbox.messages, outbox.outbox RESTART IDENTITY');
	with_server(decode => sub { need_slots($reps, 'catchup_%s') })
	  if grep { $_ eq 'decode' } @run;
	foreach my $side (grep { $_ ne 'wait' } @run)
	{
		with_server($side, sub {
			local $ENV{PGOPTIONS} = '-c synchronous_commit=off';
			my $ticker = $side eq 'pgq'
			  ? start_program('peers', 'follow', '-w', 'pgq', '-n', 0) : undef;

			sql("TRUNCATE $sides{$side}{schema}.messages");
			write_messages($side, '-c', 8, '-N', $count, '-r', $rooms);
			sql("VACUUM ANALYZE $sides{$side}{schema}.messages");
			sql('VACUUM ANALYZE outbox.outbox') if $side eq 'outbox';
			sleep 0.5 if $ticker;
			end_program($ticker, "0\n") if $ticker;
		});
	}
	settle();

	my $result = interleave($reps,
		map {
			my $side = $_;
			$side => sub { return catchup($side, ++$next{$side}, $count, $cursor); }
		} @run);
	compare(
		key => 'catchup', part => 'catchup',
		name => 'catching up ' . thousands($count) . ' events', unit => 's',
		better => 'less', columns => [ [ all => 's' ] ],
		cells => { map { $_ => { all => $result->{$_} } } @run },
		missing => { notify => { all => 'all: who does not listen gets nothing,'
				  . ' then or later' } },
		about => 'Without a feed it is psql reading all rows of the table, as'
		  . ' after a reset. For chatroom the cache is 256MB, which holds them'
		  . ' all; the default of 16MB holds some 20,000 such events, and whoever'
		  . ' asks for older ones is told to reload (reset): that is the line'
		  . ' "no feed", or, in a chat, one join_room().');
	with_server(decode => sub { need_slots(0) }) if grep { $_ eq 'decode' } @run;
	with_cache(undef);
}

# Seconds until one has it all.
sub catchup
{
	my ($side, $n, $count, $cursor) = @_;

	return with_server($side, sub {
		if ($side eq 'none')
		{
			my $began = time;
			command("psql -XAtq -c 'SELECT * FROM plain.messages ORDER BY id'"
				  . " > /dev/null");
			return time - $began;
		}
		my $program = start_program('peers', 'follow',
			follow_arguments($side, 1), '-t',
			$sides{$side}{way} =~ /^(pgq|decode)$/ ? "catchup_$n"
			: $sides{$side}{name},
			$sides{$side}{schema} eq 'watched' ? ('-s', $cursor) : ());
		my $got = end_program($program, "$count\n");
		die title($side) . ": $got->{events} of $count events\n"
		  if $got->{events} != $count;
		return ($got->{last} - $got->{began}) / 1e6;
	});
}

# -------------------------------------------------------------- memory: idle

sub bench_idle
{
	my $count = 20;
	my @run = ('none', @peers, qw(chatroom wait));
	my $result = interleave($reps,
		map {
			my $side = $_;
			$side => sub { return idle_slice($side, $count); }
		} @run);
	my %cells;

	foreach my $side (@run)
	{
		$cells{$side}{$_} = values_of($result->{$side}, $_) foreach qw(pss own);
	}
	compare(
		key => 'memory', part => 'idle', name => 'memory of an idle follower',
		unit => 'kB', better => 'less', cells => \%cells,
		columns => [ [ pss => 'PSS' ], [ own => 'of its own' ] ],
		about => "The mean of $count followers' processes in the server, without"
		  . ' what runs at the client: PSS shares what several processes map'
		  . ' among them, of its own is Private_Dirty. Without a feed, a'
		  . ' connection that ran SELECT 1. Of Redis, what it'
		  . ' says itself that each client takes: its process grows by more at a'
		  . ' time.');
}

# What Redis says of those who wait.
sub redis_clients_kb
{
	my $sum = 0;

	my $clients = command("redis-cli -s $redis client list");

	$sum += $1 while $clients =~ /tot-mem=(\d+).*cmd=xread/g;
	return $sum / 1024;
}

# Memory of each follower that waits.
sub idle_slice
{
	my ($side, $count) = @_;
	my %kind = (pss => 'Pss', own => 'Private_Dirty');
	my %got;

	begin_peer($side, $count);
	return with_server($side, sub {
		my @arguments = follow_arguments($side, $count);

		$arguments[1] = 'plain' if $side eq 'none';
		my $followers = start_program('peers', 'follow', @arguments);
		my (undef, @pids) = split ' ', $followers->{first};

		sleep($quick ? 0.3 : 1);
		@pids = split ' ', sql("SELECT string_agg(pid::text, ' ')"
			  . ' FROM pg_stat_replication') if $side eq 'decode';
		foreach my $what (keys %kind)
		{
			my $sum = 0;
			$sum += memory_kb($_, $kind{$what}) foreach @pids;
			$sum = redis_clients_kb() if $side eq 'redis';
			$got{$what} = $sum / $count;
		}
		end_program($followers, "0\n");
		return \%got;
	});
}

1;
