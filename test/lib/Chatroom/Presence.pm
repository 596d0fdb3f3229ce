# Chatroom::Presence: someone who holds the presence of a topic as a client
# does: what presence() says, and then what events say, which may tell again
# what it has heard of.
package Chatroom::Presence;

use strict;
use warnings;
use Chatroom::Test;
use JSON::PP;
use Test::More;

my $json = JSON::PP->new->canonical;

# new(NODE, TOPIC)
sub new
{
	my ($class, $node, $topic) = @_;
	my $self = bless { node => $node, topic => $topic, resets => 0, count => {} }, $class;

	$self->reload(published($node));
	return $self;
}

# Metas by key and phx_ref.
sub by_ref
{
	my ($node, $topic) = @_;
	my $state = $json->decode($node->safe_psql('postgres', "SELECT chatroom.presence('$topic')"));

	return {
		map {
			my $key = $_;
			$key => { map { $_->{phx_ref} => $_ } @{ $state->{$key}{metas} } }
		} keys %$state
	};
}

# From a cursor on, with what is there after it.
sub reload
{
	my ($self, $cursor) = @_;

	$self->{cursor} = $cursor;
	$self->{state}  = by_ref($self->{node}, $self->{topic});
	return;
}

# Forget what was counted.
sub forget
{
	my ($self) = @_;

	$self->{count}  = {};
	$self->{resets} = 0;
	return;
}

# Take an event in.
sub take
{
	my ($self, $event) = @_;
	my $metas = $self->{state}{ $event->{key} } //= {};
	my $meta  = $event->{meta};

	$self->{count}{ $event->{type} }++;
	delete $metas->{ delete $meta->{phx_ref_prev} }
	  if $event->{type} eq 'presence_update';
	if ($event->{type} eq 'presence_leave')
	{
		delete $metas->{ $meta->{phx_ref} };
	}
	else
	{
		$metas->{ $meta->{phx_ref} } = $meta;
	}
	delete $self->{state}{ $event->{key} } unless %$metas;
	return;
}

# Hear what happened since.
sub hear
{
	my ($self) = @_;
	my $answer;

	do
	{
		$answer = $json->decode($self->{node}->safe_psql('postgres', "SELECT chatroom.sync('$self->{topic}', '$self->{cursor}')"));
		$self->{cursor} = $answer->{cursor};
		if ($answer->{reset})
		{
			$self->{resets}++;
			$self->reload($self->{cursor});
		}
		$self->take($_) foreach @{ $answer->{events} };
	} while ($answer->{more});
	return;
}

# What it holds, and what presence() says, in the same form.
sub held { return $json->encode($_[0]->{state}); }
sub told { return $json->encode(by_ref(@_)); }

# A test: it comes to hold what is there.
sub agrees
{
	my ($self, $what) = @_;
	my $told;

	poll_until($what,
		sub { $self->hear; $self->held eq ($told = told($self->{node}, $self->{topic})) });
	is($self->held, $told, $what);
	return;
}

1;
