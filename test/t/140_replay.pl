# Real chat, replayed: rooms, joins, leaves, renames and messages of an IRC
# channel go through chatroom's functions, from several sessions at once, while
# the worker is ended now and then. What is refused is what the file says should
# be; what followers saw, in three ways, folds to what the tables and presence()
# hold, in the midst of it and in the end.
#
# The log is ubuntu-irc.tsv.gz in the folder that CHATROOM_LOG_DATA names, see
# scripts/sandbox. Without CHATROOM_LONG only the beginning of each room is
# replayed, and the lines that are unlike the others.
use strict;
use warnings;
use Chatroom::Replay;
use Chatroom::Test;
use Encode qw(decode encode);
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $file = ($ENV{CHATROOM_LOG_DATA} // '../shared/data') . '/ubuntu-irc.tsv.gz';
plan skip_all => "no log to replay: $file is not there" unless -r $file;

# How long, in seconds, the writers may take, and then each follower.
my $patience = $ENV{CHATROOM_LONG} ? 1200 : 180;
my $writers  = 4;
# Of the lines that are posted, each how-many-th ...
my %every = (typing => 10, resent => 30, edited => 50, deleted => 70);
# ... and of the rooms.
my %room_every = (renamed => 5, deleted => 17);

# ---------------------------------------------------------------- the log

my @lines = read_log($file, $ENV{CHATROOM_LONG} ? undef : 30);
my (%count, @rooms);
{
	my %seen;
	@rooms = grep { !$seen{$_}++ } map { $_->{room} } @lines;
	$count{ $_->{kind} }++ for @lines;
}
note(scalar(@lines), ' lines of ', scalar(@rooms), ' rooms: ',
	join ', ', map { "$count{$_} $_" } sort keys %count);

# Lines of the log: the first $most of each room, and those with anything but
# printable ASCII, or blank.
sub read_log
{
	my ($file, $most) = @_;
	my (@lines, %n);

	open my $fh, '-|', 'gzip', '-dc', $file or die "gzip: $!";
	while (my $text = decode('UTF-8', <$fh> // last, Encode::FB_CROAK))
	{
		chomp $text;
		my ($room, $at, $kind, $nick, $said) =
		  map { s/\\\\/\\/gr } split /\t/, $text, -1;

		next
		  if defined $most
		  && $n{$room}++ >= $most
		  && $said !~ /[^\x20-\x7e]/
		  && ($said =~ /\S/ || $kind !~ /message|action/);
		push @lines, {
			line => $.,
			room => $room,
			at   => $at,
			kind => $kind,
			nick => $nick,
			said => $said
		};
	}
	close $fh or die "gzip could not read $file";
	return @lines;
}

# What is wrong with a message, by the rules of the tables, worked out without
# them: the faults of both of its fields. Perl and utf8proc may know different
# versions of Unicode; graphemes that these tell apart would have to be in a
# text of just 150 to count.
sub faults
{
	my ($line) = @_;
	my @faults;

	foreach my $field ([ username => $line->{nick}, 4, 20 ],
		[ text => $line->{said}, 2, 150 ])
	{
		my ($name, $value, $min, $max) = @$field;
		my $length = () = $value =~ /\X/g;

		push @faults,
		  $value !~ /\S/ ? "$name required"
		  : $length < $min ? "$name min"
		  : $length > $max ? "$name max"
		  :                  ();
	}
	return @faults;
}

# ------------------------------------------------------------- the script

# What each writer does. A nick's lines in all rooms are one writer's, so that
# they stay in their order; different nicks write at once.
my (@script, @what, %id, %expected, %present, %accepted);
my ($posted, $ends, %n) = (0, 0);
my @followers;

sub writer { return unpack('%32C*', encode('UTF-8', $_[0])) % $writers; }

# Every third nick is tracked with a lease, the others as long as the session.
sub leased { return unpack('%32C*', encode('UTF-8', $_[0])) % 3 == 0; }

# Add a statement, one line, to a writer's script; and what it is, for errors.
sub add
{
	my ($writer, $what, $sql) = @_;

	push @{ $script[$writer] }, encode('UTF-8', "$sql;\n");
	push @{ $what[$writer] }, $what;
	return;
}

# Have all followers go on, for a moment.
sub follow
{
	my $busy = grep { $_->turn } @followers;

	usleep(1000) unless $busy;
	return;
}

sub quote { return "'" . $_[0] =~ s/'/''/gr . "'"; }

sub track
{
	my ($line, $nick) = @_;
	my $meta = quote(qq({"at": "$line->{at}"}));
	my $ttl  = leased($nick) ? ", '1 day'" : '';

	add(writer($nick), 'track',
		"SELECT chatroom.track('room:$id{$line->{room}}', "
		  . quote($nick)
		  . ", $meta$ttl)");
	$present{ $line->{room} }{$nick} = $line->{at};
	return;
}

sub untrack
{
	my ($line, $nick) = @_;

	add(writer($nick), 'untrack',
		"SELECT chatroom.untrack('room:$id{$line->{room}}', "
		  . quote($nick)
		  . ')');
	delete $present{ $line->{room} }{$nick};
	return;
}

# A message: some are announced by typing, some sent twice, some edited, some
# deleted; rooms are named by name and by id.
sub message
{
	my ($line) = @_;
	my ($nick, $said, $n) = (quote($line->{nick}), quote($line->{said}), $line->{line});
	my $writer = writer($line->{nick});
	my $id     = $id{ $line->{room} };
	my $room   = $n % 2 ? quote($line->{room}) : $id;
	my @faults = faults($line);
	my $message = "(SELECT id FROM chat.messages WHERE room_id = $id"
	  . " AND username = $nick AND client_key = '$n')";

	$n{lines}++;
	add($writer, 'typing', "SELECT chatroom.typing($room, $nick)")
	  if $n{lines} % $every{typing} == 0;
	add($writer, 'post', "SELECT chatroom.post($room, $nick, $said, '$n')");
	if (@faults)
	{
		$expected{$_}++ for @faults;
		$n{refused}++;
		return;
	}
	$posted++;
	$accepted{$n} = $said = $line->{said};
	$n{users}{ $line->{nick} } = 1;
	if ($posted % $every{resent} == 0)
	{
		add($writer, 'resend', "SELECT chatroom.post($room, $nick, 'again', '$n')");
	}
	if ($posted % $every{edited} == 0)
	{
		$accepted{$n} = substr($said, 0, 100) . ' (edited)';
		add($writer, 'edit',
			"SELECT chatroom.edit_message($message, " . quote($accepted{$n}) . ')');
	}
	if ($posted % $every{deleted} == 0)
	{
		delete $accepted{$n};
		add($writer, 'delete', "SELECT chatroom.delete_message($message)");
	}
	return;
}

my %do = (
	message => \&message,
	action  => \&message,
	join    => sub { track($_[0], $_[0]{nick}) },
	leave   => sub { untrack($_[0], $_[0]{nick}) },
	rename  => sub {
		untrack($_[0], $_[0]{nick});
		track($_[0], $_[0]{said});
	});

# ------------------------------------------------------------- the replay

# So much in the cache that followers on a busy machine are reset now and then
# at most, whatever the number of lines.
my $cache = $ENV{CHATROOM_LONG} ? '128MB' : '16MB';
my $node = chatroom_node('replay', conf => <<"CONF");
chatroom.max_presence = 30000
chatroom.cache_size = $cache
CONF
$node->safe_psql('postgres', 'SELECT chatroom.migrate()');
my @writers = map { Chatroom::Replay::Writer->new($node, $_) } 0 .. $writers - 1;

# Have the writers do what stands in the script; follow meanwhile, and end the
# worker now and then, which is to be noticed by nobody. Returns what was
# refused, by statement and by code, and for rules by field and kind.
sub play
{
	my (%refused, %broken);

	$writers[$_]->start($script[$_] // []) for 0 .. $#writers;
	my $end = time() + $patience;
	my $next = time() + 1;
	while (grep { !$_->done } @writers)
	{
		follow();
		# one that had no time to run would keep the writers waiting
		if (time() > $next && status($node, 'state') eq 'running')
		{
			my $pid = tailer_pid($node);
			$ends += kill 'TERM', $pid if $pid;
			$next = time() + 2;
		}
		die 'the writers take too long' if time() > $end;
	}
	foreach my $i (0 .. $#writers)
	{
		foreach my $error ($writers[$i]->errors)
		{
			$refused{"$what[$i][$error->{line} - 1] $error->{code}"}++;
			next unless $error->{code} eq '23514';
			$broken{"$_->{field} " . ($_->{kind} // $_->{validation})}++
			  for @{ decode_json($error->{detail}) };
		}
	}
	@script = @what = ();
	return (\%refused, \%broken);
}

# Rooms: each is created by two writers at once, and one of them wins.
foreach my $i (0 .. $#rooms)
{
	add(($i + $_) % $writers, 'create', 'SELECT chatroom.create_room(' . quote($rooms[$i]) . ')')
	  for 0, 1;
}
my ($refused) = play();
is_deeply($refused, { 'create 23505' => scalar @rooms },
	'of two that create a room at once one wins');
%id = map { split /\|/ } split /\n/,
  $node->safe_psql('postgres', 'SELECT name, id FROM chat.rooms');
is_deeply([ sort keys %id ], [ sort @rooms ], 'the rooms are there');

# The log itself, followed in three ways.
my @ids = map { $id{$_} } @rooms;
@followers = map { $_->new($node, @ids) }
  qw(Chatroom::Replay::ByWait Chatroom::Replay::BySync Chatroom::Replay::ByRoom);
$do{ $_->{kind} }->($_) for @lines;
my $started = time();
($refused, my $broken) = play();
my $seconds = time() - $started;
note(sprintf('%d lines in %.1f s; the worker was ended %d times',
	scalar @lines, $seconds, $ends));
is_deeply($broken, \%expected,
	'refused is, by kind, what the file says: ' . join ', ',
	map { "$_ $expected{$_}" } sort keys %expected);
is_deeply($refused, { 'post 23514' => $n{refused} }, 'nothing else is refused');

sub sql { return $node->safe_psql('postgres', $_[0]); }

is(sql('SELECT count(*) FROM chat.messages'), scalar keys %accepted,
	'the others are stored, but for those that were deleted');
is(sql('SELECT count(*) FROM chat.users'), scalar keys %{ $n{users} },
	'each who got a message in is a user');

# Texts are stored as they were sent: a digest of all, by line.
is(digest(sql(<<'SQL')), digest(join "\n", map { encode('UTF-8', "$_ $accepted{$_}") } sort { $a <=> $b } keys %accepted), 'texts are stored as they were sent');
SELECT client_key || ' ' || text FROM chat.messages ORDER BY client_key::bigint
SQL

# Who is present, of what the file says; typing has ended, or will.
my $all = { map { $id{$_} => $present{$_} } grep { %{ $present{$_} // {} } } @rooms };
poll_until('typing ends', sub { follow(); no_typing() });
is_deeply(present(), $all, 'who is present is who the file says');
same('followers know all that there is');

# Rooms are renamed and deleted, each by a session, all at once.
my (%new_name, %gone);
foreach my $i (0 .. $#rooms)
{
	my $writer = $i % $writers;
	if ($i % $room_every{renamed} == 0)
	{
		$new_name{ $rooms[$i] } = "$rooms[$i], closed";
		add($writer, 'rename',
			"SELECT chatroom.rename_room($ids[$i], '$new_name{$rooms[$i]}')");
	}
	if ($i % $room_every{deleted} == 0)
	{
		$gone{ $ids[$i] } = $new_name{ $rooms[$i] } // $rooms[$i];
		add($writer, 'delete', "SELECT chatroom.delete_room($ids[$i])");
	}
}
($refused) = play();
is_deeply($refused, {}, 'rooms are renamed and deleted');
delete @$all{ keys %gone };
same('followers know that rooms were renamed and deleted');
foreach my $follower (@followers)
{
	is_deeply($follower->gone, \%gone,
		$follower->name . ': all deleted rooms are told, with their last name');
}

# The writers go: who isn't held by a lease is no longer there.
$_->close for @writers;
foreach my $who (values %$all)
{
	delete @$who{ grep { !leased($_) } keys %$who };
}
delete @$all{ grep { !%{ $all->{$_} } } keys %$all };
poll_until('sessions leave',
	sub { follow(); entries(present()) == entries($all) });
is_deeply(present(), $all, 'when the writers are gone, who has a lease is present');
same('followers know who left');

foreach my $follower (@followers)
{
	is_deeply([ $follower->faults ], [],
		$follower->name
		  . ': nothing came twice, or out of a writer\'s order; '
		  . $follower->told);
}

# ------------------------------------------------------------- comparisons

sub digest
{
	my ($text) = @_;

	return join ' ', length $text, unpack '%32C*', $text;
}

sub entries
{
	my ($present) = @_;
	my $n = 0;

	$n += keys %$_ for values %$present;
	return $n;
}

# presence() of all rooms that are there.
sub present_rows
{
	return $followers[0]->rows(<<'SQL');
SELECT r.id, p.key, m ->> 'phx_ref', m ->> 'at', m ->> 'typing'
FROM chat.rooms r, json_each(chatroom.presence('room:' || r.id)) p,
	 json_array_elements(p.value -> 'metas') m
SQL
}

sub present
{
	my %present;

	$present{ $_->[0] }{ decode('UTF-8', $_->[1]) } = $_->[3] for present_rows();
	return \%present;
}

sub no_typing { return !grep { defined $_->[4] } present_rows(); }

# Test that all followers hold what the tables and presence() do, as soon as
# they have got it all.
sub same
{
	my ($what) = @_;
	my $truth = $followers[0]->truth;

	$truth->{presence} = {};
	$truth->{presence}{ $_->[0] }{"$_->[1] $_->[2]"} =
	  join ' ', grep { defined } @$_[ 3, 4 ]
	  for present_rows();
	foreach my $follower (@followers)
	{
		my $end = time() + $patience;
		my @differences;

		# when it knows of no more, there may be what is about to be published
		$follower->{idle} = 0;
		follow() while time() < $end && !$follower->idle;
		$end = time() + $patience;
		while ((@differences = $follower->differences($truth)) && time() < $end)
		{
			follow();
			follow() while time() < $end && !$follower->idle;
		}
		is(scalar @differences, 0, $follower->name . ": $what")
		  or diag(join "\n", grep { defined } @differences[ 0 .. 2 ]);
	}
	return;
}

$_->close for @followers;
$node->stop;
done_testing();
