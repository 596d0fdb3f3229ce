# Everything that the applications of two Phoenix tutorials do, and what the
# second one's list of ideas would add, done with chatroom: a test for each
# feature, named after it.
#
# The channel tutorial (dwyl/phoenix-chat-example): one lobby; messages are
# kept, and shown to who joins; names of who is online. The LiveView tutorial
# (BrianHammer/phoenix-liveview-chatrooms): rooms that are created, renamed and
# deleted live, messages that are edited and deleted live, pages, the number of
# users online, who is typing.
#
# A View is what an open browser window holds: a session, and what it was told.
use strict;
use warnings;
use Chatroom::Test;
use JSON::PP;
use Test::More;

my $json = JSON::PP->new->allow_nonref->canonical;

package View;

# View->new(NODE, [USER]): a role's own session, or the superuser's.
sub new
{
	my ($class, $node, $user) = @_;

	return bless { session => Chatroom::Session->new($node, 'postgres',
			user => $user) }, $class;
}

# One value, decoded if it is JSON; undef after an error.
sub get
{
	my ($self, $sql) = @_;
	my $text = $self->{session}->query($sql);

	return undef if $self->error ne '';
	return eval { $json->decode($text) } // $text;
}

sub error { return $_[0]{session}->error; }

# The SQLSTATE of a statement that is refused.
sub code
{
	my ($self, $sql) = @_;

	$self->get($sql);
	return $self->error =~ /^ERROR:  (\w{5}):/m ? $1 : 'none';
}

# What rules say, as Ecto's errors: field => [messages].
sub errors
{
	my ($self, $sql) = @_;
	my %errors;

	$self->get($sql);
	my ($detail) = $self->error =~ /^DETAIL:  (\[.*\])/m or return $self->error;
	push @{ $errors{ $_->{field} } }, $_->{message} for @{ $json->decode($detail) };
	return \%errors;
}

# Open a room; returns the messages shown.
sub open
{
	my ($self, $room) = @_;
	my $answer = $self->get("SELECT chatroom.join_room('$room')");

	@$self{qw(topics cursor)} = ($answer->{topic}, $answer->{cursor});
	return [ map { $_->{text} } @{ $answer->{messages} } ];
}

# Follow other topics from now on.
sub follow
{
	my ($self, @topics) = @_;

	$self->{topics} = join ',', @topics;
	$self->{cursor} = $self->get('SELECT chatroom.snapshot_cursor()');
	return;
}

# The events that come next, as soon as there are as many as wanted.
sub told
{
	my ($self, $count) = @_;
	my @events;

	do
	{
		my $answer = $self->get("CALL chatroom.wait('{$self->{topics}}',"
			  . " '$self->{cursor}', '20 s')") or die $self->error;

		push @events, @{ $answer->{events} };
		$self->{cursor} = $answer->{cursor};
		main::fail('events come in time'), return () unless @{ $answer->{events} };
	} while (@events < ($count // 1));
	return @events;
}

# The same in short: "insert hello", "presence_join alice".
sub news
{
	my ($self, $count) = @_;

	return [
		map {
			my $row = $_->{row} // $_->{old} // {};
			"$_->{type} "
			  . ($row->{text} // $row->{name} // (ref $_->{key} ? $_->{key}{id} : $_->{key}))
			  . ($_->{meta} && $_->{meta}{typing} ? ' is typing' : '')
		} $self->told($count)
	];
}

# Who is online in the room.
sub online
{
	my ($self) = @_;

	return [ sort keys %{ $self->get("SELECT chatroom.presence('$self->{topics}')") } ];
}

sub close { return $_[0]{session}->close; }

package main;

my $node = chatroom_node('tutorials', conf => <<'CONF');
log_min_messages = fatal
CONF
my $app = View->new($node);
$app->get('SELECT chatroom.migrate()');
$app->get("SELECT chatroom.create_room('lobby')");
my $lobby = $app->get("SELECT chatroom.get_room('lobby')")->{id};

# ------------------------------------------------- the channel tutorial

{
	my ($ann, $ben) = map { View->new($node) } 1, 2;

	is_deeply($ann->open('lobby'), [], 'channel: an empty room is joined');
	$ben->open('lobby');

	my $message = $ann->get("SELECT chatroom.shout('lobby', 'anna', 'hey all')");
	is($node->safe_psql('postgres', 'SELECT username, text FROM chat.messages'),
		'anna|hey all', 'channel: a shout is saved in the database');
	my ($event) = $ben->told;
	is_deeply($event->{row}, $message,
		'channel: a shout is broadcast to everyone, with the id of its row');
	is_deeply($ann->news, ['insert hey all'],
		'channel: the one who shouted gets it, too');

	is_deeply($ann->errors("SELECT chatroom.shout('lobby', '', '')"),
		{ username => [q(can't be blank)], text => [q(can't be blank)] },
		'channel: name and message are required');

	$ann->get("SELECT chatroom.post('lobby', 'anna', 'message ' || n) FROM generate_series(1, 25) n");
	my $late = View->new($node);
	my $page = $late->get("SELECT chatroom.join_room('lobby', 20)");
	is_deeply([ map { $_->{text} } @{ $page->{messages} } ],
		[ map { "message $_" } 6 .. 25 ],
		'channel: who joins gets the 20 last messages, oldest first');

	$app->get(q{SELECT chatroom.grant_topic('pings', 'public', '{sync,broadcast}')});
	$ben->follow('pings');
	$ann->get(q{SELECT chatroom.broadcast('pings', 'ping', '{"hello": "there"}')});
	is_deeply(($ben->told)[0]{payload}, { hello => 'there' },
		'channel: events that are no messages are broadcast, and not kept');

	# presence: after the first message the name is known
	$_->open('lobby') for $ann, $ben;
	$ann->get(q{SELECT chatroom.track('room:1', 'anna', '{"online_at": "1700000000"}')});
	is_deeply($ben->news, ['presence_join anna'],
		'channel: presence: who came is told to the others');
	my $state = $late->get("SELECT chatroom.join_room('lobby')")->{presence};
	is($state->{anna}{metas}[0]{online_at}, '1700000000',
		'channel: presence: who joins is told who is online, since when');
	ok($state->{anna}{metas}[0]{phx_ref},
		'channel: presence: each meta has its phx_ref');
	$late->get(q{SELECT chatroom.track('room:1', 'anna')});
	is(scalar @{ $ben->get("SELECT chatroom.presence('room:1')")->{anna}{metas} }, 2,
		'channel: presence: two windows under one name are two metas');
	$ben->news;
	$late->close;
	is_deeply($ben->news, ['presence_leave anna'],
		'channel: presence: a window that is closed leaves');
	is_deeply($ben->online, ['anna'],
		'channel: presence: the name stays while another window has it');
	$ann->close;
	$ben->news;
	is_deeply($ben->online, [], 'channel: presence: it is gone with the last');

	my $since = $ben->{cursor};
	$ben->close;
	$node->restart;
	$ben = View->new($node);
	is(scalar @{ $ben->open('lobby') }, 26,
		'channel: messages are there after a restart');
	$ben->{cursor} = $since;
	$ben->get("SELECT chatroom.post('lobby', 'benn', 'still here')");
	is_deeply($ben->news, ['insert still here'],
		'channel: a client goes on after a restart, without joining again');
	$app->close;
}

# -------------------------------------------- the LiveView tutorial: rooms

{
	my ($ann, $ben) = map { View->new($node) } 1, 2;

	$ben->follow('rooms');
	my $room = $ann->get("SELECT chatroom.create_room('gardening')");
	is($room->{name}, 'gardening', 'LiveView: a room is created');
	is_deeply($ben->news, ['insert gardening'],
		'LiveView: a new room appears in the list of rooms, live');
	is_deeply($ann->errors("SELECT chatroom.create_room('')"),
		{ name => [q(can't be blank)] }, 'LiveView: a room must have a name');
	is($ann->code("SELECT chatroom.create_room('gardening')"), '23505',
		'LiveView: no two rooms have the same name');
	like($ann->error, qr/rooms_name_index/,
		'LiveView: unique_constraint(:name) knows the error by its index');
	my $changeset =
	  $ann->get(q{SELECT chatroom.changeset('chat.rooms', '{"name": "gardening"}')});
	is_deeply([ $changeset->{valid}, $changeset->{errors}[0]{message} ],
		[ JSON::PP::false, 'has already been taken' ],
		'LiveView: the form for a room is validated while it is filled in');

	my $viewer = View->new($node);
	$viewer->open('gardening');
	$ann->get("SELECT chatroom.rename_room('gardening', 'plants')");
	is_deeply($viewer->news, ['update plants'],
		'LiveView: those in a room see its new name at once');
	is_deeply($ben->news, ['update plants'],
		'LiveView: a renamed room changes in the list, live');

	$ann->get("SELECT chatroom.post('plants', 'anna', 'roses')");
	$viewer->news;
	$ann->get("SELECT chatroom.delete_room('plants')");
	is_deeply($viewer->news, ['delete plants'],
		'LiveView: those in a room are told that it was deleted, with its name');
	is_deeply($ben->news, ['delete plants'],
		'LiveView: a deleted room leaves the list, live');
	is($ann->get("SELECT count(*) FROM chat.messages WHERE room_id = $room->{id}"), 0,
		'LiveView: the messages of a deleted room are deleted');
	is($viewer->code('SELECT chatroom.join_room(' . $room->{id} . ')'), 'P0002',
		'LiveView: a deleted room can\'t be opened');

	$ann->get("SELECT chatroom.create_room('room ' || n) FROM generate_series(1, 40) n");
	my $page = $ann->get('SELECT chatroom.list_rooms()');
	is_deeply([ scalar @{ $page->{rooms} }, $page->{rooms}[0]{name}, $page->{end_reached} ],
		[ 30, 'lobby', JSON::PP::false ],
		'LiveView: the list shows the 30 oldest rooms');
	$page = $ann->get("SELECT chatroom.list_rooms('$page->{next}')");
	is_deeply([ scalar @{ $page->{rooms} }, $page->{rooms}[-1]{name}, $page->{end_reached} ],
		[ 11, 'room 40', JSON::PP::true ],
		'LiveView: more rooms are loaded, until there are no more');
	is(scalar @{ $ann->get('SELECT chatroom.list_rooms(max_rows => NULL)')->{rooms} },
		41, 'LiveView: all rooms are listed');
	is(scalar @{ $ann->get("SELECT chatroom.list_rooms('$page->{rooms}[-1]{inserted_at}')")->{rooms} },
		0, 'LiveView: rooms are listed after a timestamp, too');
}

# ----------------------------------------- the LiveView tutorial: messages

{
	my ($ann, $ben) = map { View->new($node) } 1, 2;

	$ben->open('room 1');
	my $message = $ann->get("SELECT chatroom.post('room 1', 'anna', 'one')");
	is_deeply($ben->news, ['insert one'],
		'LiveView: a message appears to everyone in the room, live');
	is($message->{updated_at}, $message->{inserted_at},
		'LiveView: a new message is not marked as edited');
	is_deeply($ann->errors("SELECT chatroom.post('room 1', 'ann', 'x')"),
		{
			username => ['should be at least 4 character(s)'],
			text     => ['should be at least 2 character(s)']
		},
		'LiveView: a username has 4 characters, a text 2, and both errors are shown');
	is_deeply($ann->errors("SELECT chatroom.post('room 1', repeat('a', 21), repeat('x', 151))"),
		{
			username => ['should be at most 20 character(s)'],
			text     => ['should be at most 150 character(s)']
		},
		'LiveView: a username has 20 characters at most, a text 150');
	is($ann->code("SELECT chatroom.post(999999, 'anna', 'hello')"), 'P0002',
		'LiveView: there is no message without a room');
	is($ann->code(q{INSERT INTO chat.messages (room_id, username, text) VALUES (999999, 'anna', 'hello')}),
		'23503', 'LiveView: nor by a plain INSERT');
	like($ann->error, qr/messages_room_id_fkey/,
		'LiveView: assoc_constraint(:room) knows the error by its foreign key');

	my $edited = $ann->get("SELECT chatroom.edit_message($message->{id}, 'uno')");
	is_deeply($ben->news, ['update uno'],
		'LiveView: an edited message changes for everyone, live');
	isnt($edited->{updated_at}, $edited->{inserted_at},
		'LiveView: an edited message can be told by its updated_at');
	$ann->get("SELECT chatroom.delete_message($message->{id})");
	is_deeply($ben->news, ['delete uno'],
		'LiveView: a deleted message disappears for everyone, live');

	# going from room to room
	$ann->open('room 2');
	$ben->get("SELECT chatroom.post('room 1', 'benn', 'in the first')");
	$ben->get("SELECT chatroom.post('room 2', 'benn', 'in the second')");
	is_deeply($ann->news, ['insert in the second'],
		'LiveView: who went to another room gets only what is said there');

	$ben->get("SELECT chatroom.post('room 3', 'benn', 'no. ' || n) FROM generate_series(1, 65) n");
	my $page = $ann->get("SELECT chatroom.join_room('room 3')");
	is_deeply([ map { $page->{messages}[$_]{text} } 0, -1 ],
		[ 'no. 36', 'no. 65' ],
		'LiveView: a room opens with its 30 newest messages, in order');
	$page = $ann->get("SELECT chatroom.list_messages('room 3', '$page->{next}')");
	is_deeply([ map { $page->{messages}[$_]{text} } 0, -1 ],
		[ 'no. 6', 'no. 35' ], 'LiveView: older messages are loaded above');
	$page = $ann->get("SELECT chatroom.list_messages('room 3', '$page->{next}')");
	is_deeply([ $page->{messages}[0]{text}, $page->{end_reached}, $page->{next} ],
		[ 'no. 1', JSON::PP::true, undef ],
		'LiveView: the top of the page is known to be reached');
	is(scalar @{ $ann->get("SELECT chatroom.list_messages('room 3', max_rows => NULL)")->{messages} },
		65, 'LiveView: all messages of a room are listed');
	is(scalar @{ $ann->get(q{SELECT chatroom.get_room('room 3', '{messages}')})->{messages} },
		65, 'LiveView: a room is fetched with its messages preloaded');
	is($ann->get("SELECT chatroom.list_messages_by('benn', NULL, 100)")->{messages}[-1]{text},
		'no. 65', 'LiveView: messages are listed by username');

	# presence and typing
	$ben->open('room 4');
	$ann->open('room 4');
	$ann->get("SELECT chatroom.track('$ann->{topics}', 'tab 1')");
	$ben->get("SELECT chatroom.track('$ben->{topics}', 'tab 2')");
	$ben->news(2);
	is(scalar @{ $ben->online }, 2, 'LiveView: the number of users online is shown');
	my $room_4 = $ann->{topics};
	$ann->get("SELECT chatroom.untrack('$room_4', 'tab 1')");
	$ann->open('room 5');
	is_deeply($ben->news, ['presence_leave tab 1'],
		'LiveView: who goes to another room leaves the first');
	$ann->open('room 4');
	$ann->get("SELECT chatroom.track('$room_4', 'tab 1')");
	$ben->news;
	$ann->get("SELECT chatroom.typing('room 4', 'anna')");
	is_deeply($ben->news, ['presence_join anna is typing'],
		'LiveView: that somebody is typing is shown to the others');
	$ann->get("SELECT chatroom.typing('room 4', 'anna')");
	$ann->get("SELECT chatroom.post('room 4', 'anna', 'typed')");
	is_deeply([ sort @{ $ben->news(2) } ],
		[ 'insert typed', 'presence_leave anna is typing' ],
		'LiveView: who has sent the message is no longer typing');
	$ann->get("SELECT chatroom.typing('room 4', 'anna')");
	$ann->get("SELECT chatroom.typing('room 4', 'anna', false)");
	is_deeply($ben->news(2),
		[ 'presence_join anna is typing', 'presence_leave anna is typing' ],
		'LiveView: who empties the field is no longer typing');
	$ann->close;
	is_deeply($ben->news, ['presence_leave tab 1'],
		'LiveView: a window that is closed is no longer online');
}

# ------------------------------------------------- the ideas to go on with

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE chat_user;
GRANT USAGE ON SCHEMA chat TO chat_user;
GRANT SELECT ON ALL TABLES IN SCHEMA chat TO chat_user;
GRANT INSERT, UPDATE, DELETE ON chat.rooms, chat.messages TO chat_user;
CREATE ROLE alice LOGIN IN ROLE chat_user;
CREATE ROLE bobby LOGIN IN ROLE chat_user;
CREATE ROLE carla LOGIN IN ROLE chat_user;
CREATE ROLE server LOGIN IN ROLE chat_user;
GRANT EXECUTE ON FUNCTION chatroom.act_as(text) TO server;
SELECT chatroom.set_access('members');
SQL
{
	my ($alice, $bobby, $carla) =
	  map { View->new($node, $_) } qw(alice bobby carla);

	# authentication
	is($bobby->code("SELECT chatroom.post('lobby', 'alice', 'forged')"), '42501',
		'authentication: nobody posts under another\'s name');
	is($bobby->code(q{INSERT INTO chat.messages (room_id, username, text) VALUES (1, 'alice', 'forged')}),
		'42501', 'authentication: nor by a plain INSERT');
	is($bobby->code("SELECT chatroom.act_as('alice')"), '42501',
		'authentication: nobody takes another\'s part');
	my $server = View->new($node, 'server');
	$server->get('BEGIN');
	$server->get("SELECT chatroom.act_as('alice')");
	my $message =
	  $server->get("SELECT chatroom.post('lobby', 'alice', 'by the server')");
	$server->get('COMMIT');
	is($message->{username}, 'alice',
		'authentication: an application server, which has logged its users in, acts for them');
	$_->open('lobby') for $alice, $bobby;
	is($alice->code("SELECT chatroom.track('room:$lobby', 'bobby')"), '42501',
		'authentication: nobody is online under another\'s name');
	my $tab = View->new($node, 'bobby');
	$_->get("SELECT chatroom.track('room:$lobby', 'bobby')") for $bobby, $tab;
	is_deeply($alice->online, ['bobby'],
		'authentication: the list has users, not windows');

	# profiles
	$alice->follow('chat.users');
	$bobby->get(q{SELECT chatroom.update_user('bobby', '{"profile": {"avatar": "https://example.com/b.png", "display_name": "Bob"}}')});
	is(($alice->told)[-1]{row}{profile}{avatar}, 'https://example.com/b.png',
		'profiles: a new avatar is shown to everyone, live');
	is($carla->code(q{SELECT chatroom.update_user('bobby', '{"profile": {"avatar": "x"}}')}),
		'42501', 'profiles: nobody changes another\'s');

	# permissions
	my $own = $alice->get("SELECT chatroom.post('lobby', 'alice', 'mine')");
	is($bobby->code("SELECT chatroom.edit_message($own->{id}, 'yours')"), '42501',
		'permissions: nobody edits another\'s message');
	is($bobby->code("SELECT chatroom.delete_message($own->{id})"), '42501',
		'permissions: nobody deletes another\'s message');
	$bobby->get("UPDATE chat.messages SET text = 'yours' WHERE id = $own->{id}");
	is($alice->get("SELECT text FROM chat.messages WHERE id = $own->{id}"), 'mine',
		'permissions: nor by a plain UPDATE');
	is($alice->get("SELECT chatroom.edit_message($own->{id}, 'still mine')")->{text},
		'still mine', 'permissions: one\'s own messages can be edited');

	my $club = $alice->get("SELECT chatroom.create_room('club')");
	is($alice->get("SELECT chatroom.list_members('club')")->[0]{role}, 'owner',
		'permissions: a room belongs to who created it');
	is($bobby->code("SELECT chatroom.rename_room('club', 'mine now')"), '42501',
		'permissions: only its owner renames a room');
	is($bobby->code("SELECT chatroom.delete_room('club')"), '42501',
		'permissions: only its owner deletes a room');
	my $rude = $bobby->get("SELECT chatroom.post('club', 'bobby', 'rude')");
	is($alice->get("SELECT chatroom.delete_message($rude->{id})")->{text}, 'rude',
		'permissions: the owner of a room deletes any message in it');

	# roles
	is($alice->get("SELECT chatroom.add_member('club', 'bobby', 'admin')")->{role},
		'admin', 'roles: the owner gives members a role');
	is($alice->get("SELECT chatroom.add_member('club', 'bobby', 'member')")->{role},
		'member', 'roles: a user has one role in a room, which can be changed');
	is($alice->get("SELECT count(*) FROM chat.members WHERE room_id = $club->{id}"), 2,
		'roles: and is in it once');
	is($bobby->code("SELECT chatroom.add_member('club', 'carla')"), '42501',
		'roles: who is no admin adds no members');

	# private rooms
	my $den = $alice->get("SELECT chatroom.create_room('den', private => true)");
	$alice->get("SELECT chatroom.post('den', 'alice', 'psst')");
	is($bobby->code("SELECT chatroom.join_room('den')"), 'P0002',
		'private rooms: for others there is no such room');
	is($bobby->error =~ s/den/nope/r =~ s/LOCATION.*//sr,
		do { $bobby->get("SELECT chatroom.join_room('nope')"); $bobby->error =~ s/LOCATION.*//sr },
		'private rooms: in the words for a room that there isn\'t');
	ok(!(grep { $_->{name} eq 'den' } @{ $bobby->get('SELECT chatroom.list_rooms(max_rows => NULL)')->{rooms} }),
		'private rooms: it isn\'t in their list');
	is($bobby->code("SELECT chatroom.sync('room:$den->{id}')"), 'P0002',
		'private rooms: its events are not theirs');
	is($bobby->get("SELECT count(*) FROM chat.messages WHERE room_id = $den->{id}"), 0,
		'private rooms: nor are its rows');

	# invites
	my $token = $alice->get("SELECT chatroom.create_invite('den', max_uses => 1)");
	is($bobby->get("SELECT chatroom.accept_invite('$token')")->{role}, 'guest',
		'invites: who opens the link is a guest of the room');
	is_deeply($bobby->open('den'), ['psst'], 'invites: and sees what is in it');
	is($carla->code("SELECT chatroom.accept_invite('$token')"), '55000',
		'invites: a link for one use is used up');
	my $expired = $alice->get("SELECT chatroom.create_invite('den', expires => '1 ms')");
	poll_until('it expires',
		sub { $node->safe_psql('postgres', 'SELECT max(expires_at) < now() FROM chat.invites WHERE max_uses IS NULL') eq 't' });
	is($carla->code("SELECT chatroom.accept_invite('$expired')"), '55000',
		'invites: a link expires');

	$alice->get("SELECT chatroom.remove_member('den', 'bobby')");
	my $answer = $bobby->get("CALL chatroom.wait('{$bobby->{topics}}', '$bobby->{cursor}', '20 s')");
	ok(defined $answer && $answer->{reset}, 'private rooms: who is removed is told once');
	is($bobby->code("SELECT chatroom.join_room('den')"), 'P0002',
		'private rooms: then there is no such room');

	# an account is deleted
	$alice->get("SELECT chatroom.delete_user('alice')");
	my %roles = map { $_->{username} => $_->{role} } @{ $bobby->get("SELECT chatroom.list_members('club')") };
	is_deeply(\%roles, { bobby => 'owner' },
		'accounts: when an owner\'s account is deleted, a new owner is found');
	is($bobby->get("SELECT username FROM chat.messages WHERE id = $own->{id}"), 'alice',
		'accounts: what a deleted user wrote stays');
	$_->close for $alice, $bobby, $carla, $server, $tab;
}

$node->stop;
done_testing();
