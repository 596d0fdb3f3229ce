# What test/t/140_replay.pl writes and follows with.
#
# A Writer is a psql that runs scripts, tells what was refused, and stays
# connected in between. A follower folds what it is told of rooms into what they
# hold: messages, names, presence. There are three: ByWait waits for all rooms
# in one call, BySync asks about all of them, ByRoom joins one room after the
# other and asks about each with a cursor of its own.
package Chatroom::Replay;

use strict;
use warnings;

# ---------------------------------------------------------------- Writer

package Chatroom::Replay::Writer;

use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;

sub new
{
	my ($class, $node, $number) = @_;
	my $self = bless {
		base => PostgreSQL::Test::Utils::tempdir() . "/writer$number",
		in   => '',
		runs => 0
	}, $class;

	# What a psql says goes to files: no pipe could fill.
	$self->{run} = IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d',
			$node->connstr('postgres')
		],
		'<', \$self->{in}, '>', "$self->{base}.out", '2>', "$self->{base}.err");
	return $self;
}

# Start to run statements, each a line.
sub start
{
	my ($self, $statements) = @_;

	$self->{script} = "$self->{base}." . ++$self->{runs} . '.sql';
	$self->{mark}   = "end of script $self->{runs}";
	$self->{from}   = -s "$self->{base}.err" // 0;
	append_to_file($self->{script}, join '', @$statements);
	$self->{in} .= "\\o /dev/null\n\\i '$self->{script}'\n\\o\n\\echo $self->{mark}\n";
	$self->{run}->pump_nb;
	return;
}

# Did the statements end?
sub done
{
	my ($self) = @_;

	$self->{run}->pump_nb;
	return 1 if slurp_file("$self->{base}.out") =~ /^\Q$self->{mark}\E$/m;
	die 'psql has gone: ' . slurp_file("$self->{base}.err")
	  unless $self->{run}->pumpable;
	return 0;
}

# What was refused of the last script: its line, SQLSTATE and detail.
sub errors
{
	my ($self) = @_;
	my @errors;

	open my $fh, '<', "$self->{base}.err" or die "$self->{base}.err: $!";
	seek $fh, $self->{from}, 0;
	while (<$fh>)
	{
		push @errors, { line => $1, code => $2 }
		  if /^psql:\Q$self->{script}\E:(\d+): \w+:  (\w{5}):/;
		$errors[-1]{detail} = $1 if @errors && /^DETAIL:  (.*)/;
	}
	return @errors;
}

sub close
{
	my ($self) = @_;

	$self->{in} .= "\\q\n";
	eval { $self->{run}->finish };
	return;
}

# -------------------------------------------------------------- followers

package Chatroom::Replay::Follower;

use strict;
use warnings;
use Chatroom::Session;

# What of an event is folded, as columns of SQL, from a JSON event e.
my $columns = <<'SQL';
e ->> 'type', e ->> 'table', e #>> '{topics,0}', e #>> '{key,id}',
e #>> '{row,room_id}', e #>> '{row,username}', e #>> '{row,text}',
e #>> '{row,client_key}', e #>> '{row,updated_at}', e #>> '{row,name}',
e #>> '{old,name}', e ->> 'key', e #>> '{meta,phx_ref}',
e #>> '{meta,phx_ref_prev}', e #>> '{meta,at}', e #>> '{meta,typing}'
SQL
my @columns =
  qw(type table topic id room_id username text client_key updated_at name
  old_name key phx_ref phx_ref_prev at typing);
my $n_columns = @columns;

sub new
{
	my ($class, $node, @ids) = @_;
	my $self = bless {
		session => Chatroom::Session->new($node),
		asking  => Chatroom::Session->new($node),
		ids     => \@ids,
		state   => {
			messages => {},
			names    => {},
			presence => {}
		},
		gone   => {},
		events => 0,
		resets => 0
	}, $class;

	$self->begin;
	return $self;
}

# Rows of a query, each a list of columns. What needs the worker, which is ended
# now and then, and doesn't get it in time, is asked again.
sub rows
{
	my ($self, $sql) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	my $text;

	do
	{
		$text = $self->{asking}->query("COPY ($sql) TO STDOUT");
	} while ($self->{asking}->error =~ /^ERROR:  55000:/m && time() < $end);
	return parse($text);
}

# Undo COPY's text format.
my %escapes = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t", v => "\x0b");

sub parse
{
	my ($text) = @_;

	return map {
		[
			map {
				$_ eq '\N' ? undef : s/\\(.)/$escapes{$1} \/\/ $1/ger
			} split /\t/, $_, -1
		]
	} split /\n/, $text;
}

# The statement that tells an answer, and then its events, from JSON.
sub answer_sql
{
	my ($self, $answer) = @_;
	my $nulls = join ', ', ('NULL') x ($n_columns - 4);

	return <<"SQL";
COPY (WITH a AS MATERIALIZED (SELECT $answer AS a)
SELECT 'answer', a ->> 'cursor', a ->> 'reset', a ->> 'more', $nulls FROM a
UNION ALL SELECT $columns FROM a, json_array_elements(a -> 'events') e) TO STDOUT
SQL
}

# Go on: send what to ask next, or take what was answered. Doesn't wait; false
# if there was nothing to do.
sub turn
{
	my ($self) = @_;

	if (!$self->{sent})
	{
		$self->{sent} = $self->ask;
		return 1;
	}
	return 0 unless $self->{session}->done;
	$self->{sent} = 0;
	my $text = $self->{session}->answer;
	die $self->name . ': ' . $self->{session}->error
	  if $self->{session}->error ne '' && !$self->refused($self->{session}->error);
	$self->take(parse($text));
	return 1;
}

# Was the last answer empty?
sub idle { return $_[0]{idle} && !$_[0]{sent}; }

# Take an answer of sync() and the like.
sub take
{
	my ($self, @rows) = @_;
	my (undef, $cursor, $reset, $more) = @{ shift @rows };

	$self->{cursor} = $cursor;
	$self->{idle} = !@rows && $more eq 'false';
	if ($reset eq 'true')
	{
		$self->{resets}++;
		$self->begin;
		return;
	}
	$self->apply($_) for @rows;
	return;
}

# Fold an event.
sub apply
{
	my ($self, $row) = @_;
	my %event;
	@event{@columns} = @$row;
	my $state = $self->{state};
	my ($type, $table) = ($event{type}, $event{table} // '');
	my ($room) = ($event{topic} // '') =~ /^room:(\d+)$/;

	$self->{events}++;
	$self->{types}{"$table $type"}++;
	if ($table eq 'chat.messages' && $type eq 'delete')
	{
		delete $state->{messages}{ $event{id} }
		  // push @{ $self->{faults} }, "message $event{id} went, and wasn't there";
	}
	elsif ($table eq 'chat.messages')
	{
		push @{ $self->{faults} }, "message $event{id}: $type"
		  if ($type eq 'insert') == defined $state->{messages}{ $event{id} };
		$self->check_order(\%event) if $type eq 'insert';
		$state->{messages}{ $event{id} } = join "\t",
		  @event{qw(room_id username text client_key updated_at)};
	}
	elsif ($table eq 'chat.rooms' && $type eq 'delete')
	{
		$self->{gone}{ $event{id} } = $event{old_name};
		$self->forget($event{id});
	}
	elsif ($table eq 'chat.rooms')
	{
		$state->{names}{ $event{id} } = $event{name};
	}
	elsif ($type eq 'presence_leave')
	{
		$self->leave($room, $event{key}, $event{phx_ref});
	}
	elsif ($type =~ /^presence_(join|update)$/)
	{
		$self->leave($room, $event{key}, $event{phx_ref_prev})
		  if $1 eq 'update';
		$self->enter($room, @event{qw(key phx_ref at typing)});
	}
	else
	{
		push @{ $self->{faults} }, "unexpected: $table $type";
	}
	return;
}

# A nick's messages come in the order of the log's lines.
sub check_order
{
	my ($self, $event) = @_;
	my $last = \$self->{last}{"$event->{room_id} $event->{username}"};

	push @{ $self->{faults} },
	  "line $event->{client_key} came after line $$last"
	  if ($$last // 0) >= $event->{client_key};
	$$last = $event->{client_key};
	return;
}

sub enter
{
	my ($self, $room, $key, $ref, @meta) = @_;

	$self->{state}{presence}{$room}{"$key $ref"} = join ' ', grep { defined } @meta;
	return;
}

sub leave
{
	my ($self, $room, $key, $ref) = @_;

	delete $self->{state}{presence}{$room}{"$key $ref"};
	delete $self->{state}{presence}{$room}
	  unless %{ $self->{state}{presence}{$room} // {} };
	return;
}

# All that is known of a room.
sub forget
{
	my ($self, $room) = @_;
	my $state = $self->{state};

	delete $state->{names}{$room};
	delete $state->{presence}{$room};
	foreach my $id (keys %{ $state->{messages} })
	{
		delete $state->{messages}{$id} if $state->{messages}{$id} =~ /^$room\t/;
	}
	return;
}

# What a page of join_room() holds: its columns as those of $columns.
sub load
{
	my ($self, $room, @rows) = @_;

	$self->forget($room);
	foreach my $row (@rows)
	{
		my ($what, @values) = @$row;

		if ($what eq 'message')
		{
			my $id = shift @values;
			$self->{state}{messages}{$id} = join "\t", @values;
		}
		elsif ($what eq 'room')
		{
			$self->{state}{names}{$room} = $values[0];
		}
		elsif ($what eq 'presence')
		{
			$self->enter($room, @values[ 0 .. 3 ]);
		}
		else
		{
			$self->{cursors}{$room} = $values[0];
		}
	}
	return;
}

# What the tables hold.
sub truth
{
	my ($self) = @_;

	return {
		names => {
			map { @$_ } $self->rows('SELECT id, name FROM chat.rooms')
		},
		messages => {
			map { my ($id, @rest) = @$_; $id => join "\t", @rest }
			  $self->rows(<<'SQL')
SELECT id, room_id, username, text, client_key,
	to_jsonb(updated_at AT TIME ZONE 'UTC') #>> '{}' || '+00:00'
FROM chat.messages
SQL
		}
	};
}

# What differs between what was folded and what there is.
sub differences
{
	my ($self, $truth) = @_;
	my $state = $self->{state};
	my @differences;
	my $compare = sub {
		my ($what, $got, $want) = @_;
		my %all = (%$got, %$want);

		foreach my $key (keys %all)
		{
			my ($a, $b) = ($got->{$key} // '(nothing)', $want->{$key} // '(nothing)');
			push @differences, "$what $key: $a is not $b" if $a ne $b;
		}
	};

	$compare->('message', $state->{messages}, $truth->{messages});
	$compare->('room', $state->{names}, $truth->{names});
	$compare->("in room $_", $state->{presence}{$_} // {}, $truth->{presence}{$_} // {})
	  for keys %{ { %{ $state->{presence} }, %{ $truth->{presence} } } };
	return @differences;
}

sub gone   { return $_[0]{gone}; }
sub faults { return @{ $_[0]{faults} // [] }; }
sub name   { return ref($_[0]) =~ s/.*:://r; }

sub told
{
	my ($self) = @_;

	return "$self->{events} events, $self->{resets} resets";
}

sub close
{
	my ($self) = @_;

	$_->close for $self->{session}, $self->{asking};
	return;
}

# Topics of all rooms, as an array of SQL.
sub topics
{
	my ($self) = @_;

	return "'{" . join(',', map { "room:$_" } @{ $self->{ids} }) . "}'";
}

# Start with all rooms as they are, and the cursor that belongs to them, by one
# snapshot. Presence has none: what happened to it meanwhile comes again.
sub begin
{
	my ($self) = @_;
	my %rows;

	push @{ $rows{ shift(@$_) // '' } }, $_ foreach $self->rows(<<'SQL');
SELECT NULL, 'cursor', chatroom.snapshot_cursor(), NULL, NULL, NULL, NULL, NULL
UNION ALL SELECT id, 'room', name, NULL, NULL, NULL, NULL, NULL FROM chat.rooms
UNION ALL SELECT room_id, 'message', id::text, room_id::text, username, text,
	client_key, to_jsonb(updated_at AT TIME ZONE 'UTC') #>> '{}' || '+00:00' FROM chat.messages
UNION ALL SELECT r.id, 'presence', p.key, m ->> 'phx_ref', m ->> 'at', m ->> 'typing', NULL, NULL
	FROM chat.rooms r, json_each(chatroom.presence('room:' || r.id)) p,
		json_array_elements(p.value -> 'metas') m
SQL
	$self->{state} = { messages => {}, names => {}, presence => {} };
	$self->{cursor} = delete($rows{''})->[0][1];
	$self->load($_, @{ $rows{$_} }) foreach keys %rows;
	return;
}

# A room as join_room() has it; it may be gone.
sub load_room
{
	my ($self, $room) = @_;

	return if $self->{gone}{$room};
	$self->load($room, $self->rows(<<"SQL"));
WITH j AS MATERIALIZED (SELECT chatroom.join_room($room, NULL) AS j)
SELECT 'cursor', j ->> 'cursor', NULL, NULL, NULL, NULL, NULL FROM j
UNION ALL SELECT 'room', j #>> '{room,name}', NULL, NULL, NULL, NULL, NULL FROM j
UNION ALL SELECT 'message', m ->> 'id', m ->> 'room_id', m ->> 'username', m ->> 'text',
	m ->> 'client_key', m ->> 'updated_at' FROM j, json_array_elements(j -> 'messages') m
UNION ALL SELECT 'presence', p.key, m ->> 'phx_ref', m ->> 'at', m ->> 'typing', NULL, NULL
	FROM j, json_each(j -> 'presence') p, json_array_elements(p.value -> 'metas') m
SQL
	return;
}

# An error: is it one that is to be expected?
sub refused
{
	my ($self, $error) = @_;

	return 0 unless $error =~ /P0002/;
	return 1;
}

# ------------------------------------------------------------------ ByWait

package Chatroom::Replay::ByWait;

use strict;
use warnings;
our @ISA = ('Chatroom::Replay::Follower');

sub ask
{
	my ($self) = @_;

	$self->{ids} = [ grep { !$self->{gone}{$_} } @{ $self->{ids} } ];
	$self->{session}->send("CALL chatroom.wait("
		  . $self->topics
		  . ", '$self->{cursor}', '20 ms') \\gset\n"
		  . $self->answer_sql(":'answer'::json"));
	return 1;
}

# ------------------------------------------------------------------ BySync

package Chatroom::Replay::BySync;

use strict;
use warnings;
our @ISA = ('Chatroom::Replay::Follower');

sub ask
{
	my ($self) = @_;

	$self->{ids} = [ grep { !$self->{gone}{$_} } @{ $self->{ids} } ];
	$self->{session}->send($self->answer_sql("chatroom.sync_many("
			  . $self->topics
			  . ", '$self->{cursor}', 300)"));
	return 1;
}

# ------------------------------------------------------------------ ByRoom

package Chatroom::Replay::ByRoom;

use strict;
use warnings;
our @ISA = ('Chatroom::Replay::Follower');

# Half of the rooms are joined before anybody writes.
sub begin
{
	my ($self) = @_;
	my @ids = @{ $self->{ids} };

	$self->load_room($_) for @ids[ 0 .. $#ids / 2 ];
	return;
}

# Round and round. Of the rooms that aren't known yet a round joins some.
sub ask
{
	my ($self) = @_;

	if (!@{ $self->{round} // [] })
	{
		my @there = grep { !$self->{gone}{$_} } @{ $self->{ids} };
		my @unknown = grep { !defined $self->{cursors}{$_} } @there;

		$self->load_room($_) for splice @unknown, 0, 10;
		$self->{round} = [ grep { defined $self->{cursors}{$_} } @there ];
		$self->{quiet} = !@unknown;
	}
	my $room = $self->{room} = shift @{ $self->{round} };
	$self->{session}->send($self->answer_sql(
			"chatroom.sync('room:$room', '$self->{cursors}{$room}')"));
	return 1;
}

sub take
{
	my ($self, @rows) = @_;
	my (undef, $cursor, $reset, $more) = @{ shift @rows };

	$self->{cursors}{ $self->{room} } = $cursor;
	$self->{quiet} = 0 if @rows || $reset eq 'true';
	$self->{idle} = $self->{quiet} && !@{ $self->{round} };
	if ($reset eq 'true')
	{
		$self->{resets}++;
		$self->load_room($self->{room});
		return;
	}
	unshift @{ $self->{round} }, $self->{room} if $more eq 'true';
	$self->apply($_) for @rows;
	return;
}

1;
