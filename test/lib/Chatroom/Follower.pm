# Chatroom::Follower: a client that keeps its cursor, and all that it was told.
#
#   my $follower = Chatroom::Follower->new($node, topics => ['public.log']);
#   $follower->poll;             ask once, as far as there is more
#   $follower->poll($code);      but only while CODE is true: where others write
#                                there may always be more
#   $follower->follow;           the same, until the server answers
#   $follower->catch_up;         poll until a marker row written now comes
#   $follower->is_exact($name);  told what was written, as it was committed
#   $follower->is_complete($name);   knows the rows that are there
#
# Told to reset, a follower reads the rows again, as a client would. What it
# was told before doesn't count any more for is_exact, but the reset does.
#
# A server that is away is no event: poll returns undef, and goes on with the
# same cursor when it is back.
#
# Thousands of events a second are followed here, too many for a JSON parser in
# Perl: what is wanted of the log's rows is picked out by patterns. events()
# parses all.
package Chatroom::Follower;

use strict;
use warnings;
use JSON::PP;
use Time::HiRes qw(time);
use PostgreSQL::Test::Utils ();
use Test::More;
use Chatroom::Session;

sub new
{
	my ($class, $node, %options) = @_;
	my $self = bless {
		node   => $node,
		db     => $options{db} // 'postgres',
		topics => $options{topics} // ['public.log'],
		limit  => $options{limit} // 1000,
		wait   => $options{wait},
		texts  => [],
		log    => [],
		rows   => {},
		resets => 0,
		polls  => 0
	}, $class;

	$self->{session} = Chatroom::Session->new($node, $self->{db},
		user => $options{user});
	return $self;
}

# Go on at another server, with the same cursor.
sub move
{
	my ($self, $node) = @_;

	$self->{session}->close;
	$self->{node} = $node;
	$self->{session} = Chatroom::Session->new($node, $self->{db});
	return;
}

# What is asked. Option wait: a timeout, to have the server wait for news.
sub question
{
	my ($self) = @_;
	my $since = defined $self->{cursor} ? "'$self->{cursor}'" : 'NULL';
	my @topics = map { "'" . s/'/''/gr . "'" } @{ $self->{topics} };
	my $all = 'ARRAY[' . join(',', @topics) . ']';

	return "CALL chatroom.wait($all, $since, '$self->{wait}', $self->{limit})"
	  if $self->{wait};
	return "SELECT chatroom.sync($topics[0], $since, $self->{limit})"
	  if @topics == 1;
	return "SELECT chatroom.sync_many($all, $since, $self->{limit})";
}

# One call; the answer, or undef where the server is away.
sub ask
{
	my ($self) = @_;
	my $text = eval { $self->{session}->query($self->question) };

	return undef unless defined $text;
	if ($text eq '')
	{
		$self->{error} = $self->{session}->error;
		return undef;
	}
	$text =~ /^\{"cursor":"([-0-9a-f]+)","reset":(true|false),"more":(true|false),/
	  or die "unexpected answer: $text";
	return {
		text   => $text,
		cursor => $1,
		reset  => $2 eq 'true',
		more   => $3 eq 'true'
	};
}

# Read the rows anew.
sub reload
{
	my ($self) = @_;

	return 1 unless grep { $_ eq 'public.log' } @{ $self->{topics} };
	my $text = eval { $self->{session}->query('SELECT id, xid FROM log') };
	return 0 unless defined $text;
	$self->{rows} = { map { split /\|/ } split /\n/, $text };
	return 1;
}

# Test that the follower comes to know all rows, and soon.
sub is_complete
{
	my ($self, $name, $node) = @_;
	my $rows =
	  Chatroom::Test::watched_rows($node // $self->{node}, $self->{db});
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	my (@missing, @extra);

	do
	{
		$self->follow;
		@missing = grep { !$self->{rows}{$_} } keys %$rows;
		@extra   = grep { !$rows->{$_} } keys %{ $self->{rows} };
	} while ((@missing || @extra) && time() < $end);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(!@missing && !@extra, $name)
	  or diag(scalar(@missing), " rows missing, ",
		scalar(@extra), " that are not there");
	return;
}

# All that was told, parsed.
sub events
{
	my ($self) = @_;

	return map { @{ decode_json($_)->{events} } } @{ $self->{texts} };
}

# Pick the log's events out of an answer.
sub take
{
	my ($self, $text) = @_;
	my $count = 0;

	while ($text =~ /\{"cursor":"([-0-9a-f]+)","type":"(\w+)","topics":/g)
	{
		my $event = { lsn => lsn($1), type => $2 };

		if ($text =~
			/\G[^{}]*"key":\{[^{}]*\},"row":\{"id":(\d+),"xid":"(\d+)","writer":(-?\d+),"n":\w+,"turn":(\w+),"note":(?:null|"([^"]*)")/gc
		  )
		{
			@$event{qw(id xid writer turn note)} =
			  ($1, $2, $3, $4 eq 'null' ? 0 : $4, $5 // '');
		}
		$self->{rows}{ $event->{id} } = $event->{xid}
		  if defined $event->{id};
		push @{ $self->{log} }, $event;
		$count++;
	}
	push @{ $self->{texts} }, $text if $count;
	return $count;
}

# Begin behind all that has committed, also if it isn't published yet. Where no
# such cursor can be had, as without a cache, it is that of the first answer.
# What starts the worker is refused one, but not twice.
sub begin
{
	my ($self) = @_;

	foreach (1 .. 2)
	{
		my $cursor =
		  eval { $self->{session}->query('SELECT chatroom.snapshot_cursor()') };

		return unless defined $cursor;
		next unless $cursor =~ /^[-0-9a-f]+$/;
		$self->{cursor} = $cursor;
		last;
	}
	return;
}

# Ask, as far as there is more; CODE tells whether to. Returns the number of
# events, or undef.
sub poll
{
	my ($self, $code) = @_;
	my $count = 0;

	$self->begin unless defined $self->{cursor};
	for (;;)
	{
		my $answer = $self->ask;

		return undef unless defined $answer;
		$self->{polls}++;
		$self->{cursor} = $answer->{cursor};
		if ($answer->{reset})
		{
			$self->{resets}++;
			$self->{reset_at}{ @{ $self->{log} } } = 1;
			$self->reload or return undef;
		}
		$count += $self->take($answer->{text});
		return $count unless $answer->{more};
		return $count if $code && !$code->();
	}
}

# Poll until the server answers.
sub follow
{
	my ($self) = @_;

	return Chatroom::Test::poll_until('the server answers',
		sub { defined $self->poll });
}

# Poll for a while, whatever the server does.
sub poll_while
{
	my ($self, $code) = @_;

	while ($code->())
	{
		$self->poll($code) // select(undef, undef, undef, 0.01);
	}
	return;
}

# Write a marker row and poll until it comes: all before it has come then.
# Where: on which node to write, if not on the one that is followed.
sub catch_up
{
	my ($self, $where) = @_;
	my $mark = 'mark ' . ++$self->{marks} . " of $$ " . ($self + 0);
	$self->follow unless defined $self->{cursor};
	my $resets = $self->{resets};
	my $seen = @{ $self->{log} };

	($where // $self->{node})->safe_psql($self->{db},
		"INSERT INTO log (writer, note) VALUES (-1, '$mark')");
	Chatroom::Test::poll_until(
		'the follower catches up',
		sub {
			my $until = time() + 1;

			# others may write faster than this can read
			$self->poll(sub { time() < $until });
			return 1 if $self->{resets} > $resets;
			for (; $seen < @{ $self->{log} }; $seen++)
			{
				return 1 if ($self->{log}[$seen]{note} // '') eq $mark;
			}
			return 0;
		});
	return;
}

# The LSN in a cursor.
sub lsn
{
	my ($cursor) = @_;

	no warnings 'portable';
	return hex((split /-/, $cursor)[5]);
}

# What is wrong with what was told, compared with the rows of the log: each
# row's insert once, nothing else, whole transactions, in commit order.
sub faults
{
	my ($self, $rows) = @_;
	my (%told, %seen, %xid_seen, %last_id, @faults);
	my ($last_lsn, $last_xid, $last_turn) = (0, '', 0);
	my $count = 0;

	foreach my $event (@{ $self->{log} })
	{
		my ($id, $xid, $writer) = @$event{qw(id xid writer)};

		if ($self->{reset_at}{ $count++ })
		{
			# what was told before a reset may be told again
			%told = (%told, %seen);
			%$_ = () for \%seen, \%xid_seen, \%last_id;
			($last_lsn, $last_xid, $last_turn) = (0, '', 0);
		}
		if ($event->{type} ne 'insert' || !defined $id)
		{
			push @faults, "unexpected $event->{type}";
			next;
		}
		push @faults, "row $id came twice" if $seen{$id}++;
		push @faults, "row $id is not there"
		  if !$rows->{$id} || $rows->{$id} ne $xid;
		push @faults, "row $id came out of order"
		  if $event->{lsn} < $last_lsn
		  || ($event->{lsn} == $last_lsn) != ($xid eq $last_xid);
		push @faults, "transaction $xid came in parts"
		  if $xid ne $last_xid && $xid_seen{$xid}++;
		push @faults, "row $id of writer $writer came late"
		  if $writer >= 0 && ($last_id{$writer} // 0) >= $id;
		push @faults, "turn $event->{turn} came after $last_turn"
		  if $event->{turn} && $event->{turn} < $last_turn;
		$last_turn = $event->{turn} if $event->{turn};
		$last_id{$writer} = $id;
		($last_lsn, $last_xid) = ($event->{lsn}, $xid);
	}
	push @faults, map { "row $_ is missing" }
	  sort { $a <=> $b } grep { !$seen{$_} && !$told{$_} } keys %$rows;
	return @faults;
}

# Test that all was told that was written, and how; no reset.
sub is_exact
{
	my ($self, $name, $node) = @_;
	my $rows = Chatroom::Test::watched_rows($node // $self->{node}, $self->{db});
	my @faults = $self->faults($rows);
	my $count = keys %$rows;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	unshift @faults, "$self->{resets} resets" if $self->{resets};
	is(scalar @faults, 0, "$name ($count rows)")
	  or diag(join "\n", @faults > 20 ? (@faults[ 0 .. 19 ], '...') : @faults);
	return !@faults;
}

1;
