# chatroom through Perl's DBD::Pg: perl dbd_pg.pl TASK...
#
# follow prints what happens in the room "lobby" until somebody says bye there;
# post, sync, wait, listen and errors try that, and print "ok NAME" or "not ok
# NAME" for each thing they looked at. The server is the one that PGHOST,
# PGPORT, PGUSER and PGDATABASE name.
use strict;
use warnings;
use utf8;
use DBD::Pg ':async';
use DBI;
use IO::Select;
use JSON::PP ();
use Time::HiRes qw(sleep);

my $text = q(it's "quoted" \ %s $1 👍);
my $json = JSON::PP->new->canonical->allow_nonref;
my $failures = 0;

binmode STDOUT, ':utf8';
$| = 1;

# With PgBouncer before the server, the next statement may be run by another
# connection that knows nothing of what this one has prepared.
sub connect_server
{
	return DBI->connect('dbi:Pg:', undef, undef,
		{
			AutoCommit => 1,
			RaiseError => 1,
			PrintError => 0,
			pg_server_prepare => !$ENV{PGBOUNCER}
		});
}

# The only value of a statement's answer, as text and from JSON.
sub text_value
{
	my ($dbh, $sql, @params) = @_;

	return ($dbh->selectrow_array($sql, undef, @params))[0];
}

sub value
{
	return $json->decode(text_value(@_));
}

sub post_from_elsewhere
{
	my ($what) = @_;
	my $dbh = connect_server();

	value($dbh, q{SELECT chatroom.post('lobby', 'bobby', ?)}, $what);
	$dbh->disconnect;
	return;
}

# What is wrong with each field.
sub form_errors
{
	my ($dbh) = @_;

	return { map { $_->{field} => $_->{message} }
		  @{ $json->decode($dbh->pg_error_field('message_detail')) } };
}

sub follow
{
	my ($dbh, $since);

	for (;;)
	{
		my $answer = eval {
			$dbh //= connect_server();
			value($dbh, q{CALL chatroom.follow_room('lobby', ?::text)}, $since);
		};
		if (!$answer)
		{
			die $@ unless $DBI::state =~ /^(08|57P)/;
			undef $dbh;
			sleep 0.2;    # and go on from the cursor
			next;
		}
		$since = $answer->{cursor};
		printf "loaded %d\n", scalar @{ $answer->{messages} }
		  if $answer->{reset};
		foreach my $event (@{ $answer->{events} // [] })
		{
			next
			  unless $event->{table} eq 'chat.messages'
			  && $event->{type} eq 'insert';
			print "$event->{row}{text}\n";
			return if $event->{row}{text} eq 'bye';
		}
	}
}

sub post
{
	my $send = 'SELECT chatroom.post(?, ?, ?, client_key => ?)';
	my $key = "DBD::Pg $$ " . time;
	my $dbh = connect_server();

	my $sent = value($dbh, $send, 'lobby', 'alice', $text, $key);
	report('post returns the message', $sent,
		{ username => 'alice', text => $text, client_key => $key });
	my $again = value($dbh, $send, 'lobby', 'alice', $text, $key);
	report('the same client_key returns the same message', $again, $sent);
	my $errors = eval { value($dbh, $send, 'lobby', 'al', 'x', undef) }
	  // form_errors($dbh);
	report(
		'broken rules are told by field',
		$errors,
		{
			username => 'should be at least 4 character(s)',
			text => 'should be at least 2 character(s)'
		});
	return;
}

sub sync_until_news
{
	my ($dbh, $topic, $since) = @_;

	for (;; sleep 0.01)
	{
		my $answer =
		  value($dbh, 'SELECT chatroom.sync(?, ?)', $topic, $since);
		return $answer if $answer->{reset} || @{ $answer->{events} };
	}
}

sub sync
{
	my $dbh = connect_server();
	my $room = value($dbh, q{SELECT chatroom.join_room('lobby')});
	my $sent = value($dbh,
		q{SELECT chatroom.post(?::bigint, 'alice', 'to a number')},
		$room->{room}{id});

	my $answer = sync_until_news($dbh, $room->{topic}, $room->{cursor});
	report('sync returns what happened since the cursor',
		$answer->{events}[0], { type => 'insert', row => $sent });
	$answer = value($dbh, 'SELECT chatroom.sync(?, ?)', $room->{topic},
		$answer->{cursor});
	report('and nothing twice', $answer,
		{ reset => JSON::PP::false, events => [] });
	return;
}

sub wait_for_news
{
	my $call = 'CALL chatroom.wait(?, ?, ?)';
	my $dbh = connect_server();
	my $room = value($dbh, q{SELECT chatroom.join_room('lobby')});

	# This connection waits, and meanwhile the program goes on.
	my $sth = $dbh->prepare($call, { pg_async => PG_ASYNC });
	$sth->execute([ $room->{topic} ], $room->{cursor}, '30s');
	post_from_elsewhere('wake up');
	$sth->pg_result;
	my $answer = $json->decode($sth->fetchrow_array);
	$sth->finish;
	report('wait returns when something happens',
		$answer->{events}[0]{row},
		{ username => 'bobby', text => 'wake up' });

	my $since = $answer->{cursor};
	$answer = value($dbh, $call, [ $room->{topic} ], $since, '10ms');
	report('wait returns without events at its timeout',
		$answer, { events => [] });

	$dbh->begin_work;
	eval { value($dbh, $call, [ $room->{topic} ], $since, '10ms') };
	report('wait refuses a transaction block',
		{ sqlstate => $dbh->state }, { sqlstate => '25001' });
	$dbh->rollback;
	return;
}

sub listen_room
{
	my $dbh = connect_server();
	my $room = value($dbh, q{SELECT chatroom.join_room('lobby')});
	my $since = text_value($dbh, 'SELECT chatroom.listen(?)', $room->{topic});
	my $select = IO::Select->new($dbh->{pg_socket});
	my $notification;

	post_from_elsewhere('ring');
	until ($notification = $dbh->pg_notifies)
	{
		$select->can_read;
	}
	my ($channel, $pid, $payload) = @$notification;
	my $answer =
	  value($dbh, 'SELECT chatroom.sync(?, ?)', $room->{topic}, $since);
	report('a notification comes, with a cursor',
		$answer->{events}[0], { cursor => $payload });
	report('and sync tells what happened',
		$answer->{events}[0]{row}, { username => 'bobby', text => 'ring' });
	return;
}

# Tell of one thing: what of the things expected is otherwise?
sub report
{
	my ($name, $got, $expected) = @_;
	my @problems;

	foreach my $key (sort keys %$expected)
	{
		my ($found, $wanted) =
		  map { $json->encode($_->{$key}) } $got, $expected;
		push @problems, "$key: $found, expected $wanted"
		  if $found ne $wanted;
	}
	print @problems ? 'not ok ' : 'ok ', "$name\n";
	print "# $_\n" foreach @problems;
	$failures++ if @problems;
	return;
}

# All that an error tells; the broken rules, where there are any.
sub error_fields
{
	my ($dbh) = @_;
	my %fields = map { $_ => $dbh->pg_error_field("${_}_name") }
	  qw(schema table column constraint);

	$fields{sqlstate} = $dbh->state;
	$fields{message} = $dbh->pg_error_field('message_primary');
	$fields{detail} = $dbh->pg_error_field('message_detail');
	$fields{detail} = $json->decode($fields{detail})
	  if ($fields{detail} // '') =~ /^\[/;
	return \%fields;
}

# Run one statement of errors.json.
sub run_case
{
	my ($dbh, $case) = @_;
	my $got = eval {
		my $sth = $dbh->prepare($case->{sql});

		$sth->execute(@{ $case->{params} // [] });
		my ($answer) = $sth->{NUM_OF_FIELDS} ? $sth->fetchrow_array : ();
		$answer = $json->decode($answer)
		  if defined $answer && $sth->{pg_type}[0] =~ /^json/;
		{ answer => $answer };
	} // error_fields($dbh);

	report($case->{name}, $got, $case->{expect});
	return;
}

sub errors
{
	my $dbh = connect_server();

	open my $file, '<:raw', 'errors.json' or die "errors.json: $!\n";
	my $cases = JSON::PP::decode_json(join '', <$file>);
	run_case($dbh, $_) foreach @$cases;
	return;
}

sub check
{
	print "DBD::Pg $DBD::Pg::VERSION\n";
	return;
}

my %tasks = (
	check => \&check,
	follow => \&follow,
	post => \&post,
	sync => \&sync,
	wait => \&wait_for_news,
	listen => \&listen_room,
	errors => \&errors);

$tasks{$_}->() foreach @ARGV;
exit($failures ? 1 : 0);
