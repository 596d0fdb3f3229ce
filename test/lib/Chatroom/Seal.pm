# The seals of chatroom's messages, made with the secret of the server's control
# file: as src/base/event.h and src/base/message.c tell, written a second time.
package Chatroom::Seal;
use strict;
use warnings;
use Digest::SHA qw(sha256);
use PostgreSQL::Test::Utils;

# For the messages of a database.
sub new
{
	my ($class, $node, $db) = @_;
	my ($out) = run_command([ 'pg_controldata', $node->data_dir ]);
	my ($nonce) = $out =~ /^Mock authentication nonce: +(\w+)/m;
	my $dboid = $node->safe_psql($db,
		'SELECT oid FROM pg_database WHERE datname = current_database()');
	my ($low, $high) = unpack 'Q<Q<',
	  sha256("chatroom message seal\0" . pack('H*', $nonce) . pack('L', $dboid));

	return bless { key => [ $low, $high ] }, $class;
}

# A message of a transaction.
sub inside
{
	my ($self, $xid, $kind, $body) = @_;

	return "2$kind" . word($self->seal($xid, $kind, 1, $body)) . $body;
}

# One outside of transactions, to be sent at once.
sub outside
{
	my ($self, $session, $kind, $body) = @_;
	my $here = $session->query(q{SELECT pg_current_wal_insert_lsn() - '0/0'});

	return $self->at($here, $kind, $body);
}

sub at
{
	my ($self, $position, $kind, $body) = @_;

	return "2$kind" . word($self->seal($position, $kind, 0, $body)) .
	  word($position) . $body;
}

# What a message's bytes should be: made again of what they say.
sub again
{
	my ($self, $bytes, $xid) = @_;
	my $kind = substr $bytes, 1, 1;

	return $self->inside($xid, $kind, substr $bytes, 13) if $kind eq 'E';
	return $self->at(unword(substr $bytes, 13, 11), $kind, substr $bytes, 24);
}

sub seal
{
	my ($self, $place, $kind, $transactional, $body) = @_;

	return siphash(@{ $self->{key} },
		pack('Q<Q<', $place, ord('2') | ord($kind) << 8 | $transactional << 16) .
		  $body);
}

sub digit
{
	my $c = ord('#') + $_[0];

	return chr($c < ord('\\') ? $c : $c + 1);
}

sub word
{
	my ($value) = @_;

	return join '', map { digit($value >> 6 * $_ & 63) } 0 .. 10;
}

sub unword
{
	my $value = 0;

	foreach my $c (reverse map { ord } split //, $_[0])
	{
		$value = $value << 6 | $c - ord('#') - ($c > ord('\\') ? 1 : 0);
	}
	return $value;
}

sub vint
{
	my ($value) = @_;
	my $text = '';

	for (; $value >= 32; $value >>= 5)
	{
		$text .= digit($value & 31 | 32);
	}
	return $text . digit($value);
}

sub rotate
{
	my ($x, $bits) = @_;

	return $x << $bits | $x >> 64 - $bits;
}

sub sip_round
{
	my ($v) = @_;
	my $add = sub { use integer; return $_[0] + $_[1] };

	$v->[0] = $add->($v->[0], $v->[1]);
	$v->[2] = $add->($v->[2], $v->[3]);
	$v->[1] = rotate($v->[1], 13) ^ $v->[0];
	$v->[3] = rotate($v->[3], 16) ^ $v->[2];
	$v->[0] = rotate($v->[0], 32);
	$v->[2] = $add->($v->[2], $v->[1]);
	$v->[0] = $add->($v->[0], $v->[3]);
	$v->[1] = rotate($v->[1], 17) ^ $v->[2];
	$v->[3] = rotate($v->[3], 21) ^ $v->[0];
	$v->[2] = rotate($v->[2], 32);
	return;
}

# SipHash-2-4, by its paper.
sub siphash
{
	my ($low, $high, $message) = @_;
	my $length = length $message;
	my @v = (
		$low ^ 0x736f6d6570736575,
		$high ^ 0x646f72616e646f6d,
		$low ^ 0x6c7967656e657261,
		$high ^ 0x7465646279746573);

	$message .= "\0" x (7 - $length % 8) . chr($length & 255);
	foreach my $word (unpack 'Q<*', $message)
	{
		$v[3] ^= $word;
		sip_round(\@v) for 1 .. 2;
		$v[0] ^= $word;
	}
	$v[2] ^= 0xff;
	sip_round(\@v) for 1 .. 4;
	return $v[0] ^ $v[1] ^ $v[2] ^ $v[3];
}

1;
