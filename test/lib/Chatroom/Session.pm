# Chatroom::Session: a psql that stays connected, for many quick statements.
# It notices when the server goes away, and connects anew when asked again.
package Chatroom::Session;

use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Scalar::Util qw(weaken);
use Time::HiRes qw(time);

# Sessions to be closed before Perl takes everything to pieces in any order.
my %open;

END
{
	local $?;
	$_->close for grep { defined } values %open;
}

# new(NODE, DATABASE, OPTIONS): user, options (PGOPTIONS).
sub new
{
	my ($class, $node, $db, %options) = @_;

	my $self = bless {
		node => $node,
		db   => $db // 'postgres',
		user => $options{user},
		end  => 0
	}, $class;
	weaken($open{$self} = $self);
	return $self;
}

sub connect
{
	my ($self) = @_;
	my $node = $self->{node};
	my @command = (
		'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-h', $node->host, '-p',
		$node->port, '-d', $self->{db});

	push @command, '-U', $self->{user} if $self->{user};
	$self->{in} = $self->{out} = $self->{err} = '';
	$self->{run} = IPC::Run::start(\@command, '<', \$self->{in}, '>',
		\$self->{out}, '2>', \$self->{err});
	return;
}

# Send a statement without waiting for its end.
sub send
{
	my ($self, $sql) = @_;

	$self->connect unless $self->{run};
	$self->{mark} = 'end of statement ' . ++$self->{end};
	$self->{in} .= "$sql\n;\n\\echo $self->{mark}\n";
	eval { $self->{run}->pump_nb };
	return;
}

# Has the statement that was sent ended? Dies when the server is gone.
sub done
{
	my ($self) = @_;

	return 1 if $self->{out} =~ /^\Q$self->{mark}\E\n/m;
	eval { $self->{run}->pump_nb; 1 } or $self->lost;
	return 1 if $self->{out} =~ /^\Q$self->{mark}\E\n/m;
	$self->lost unless $self->{run}->pumpable;
	return 0;
}

# The answer to the statement that was sent. Dies when the server is gone;
# what psql said of errors is in error().
sub answer
{
	my ($self) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;

	until ($self->{out} =~ /^\Q$self->{mark}\E\n/m)
	{
		$self->lost unless $self->{run}->pumpable;
		eval { $self->{run}->pump; 1 } or $self->lost;
		die "statement timed out: $self->{err}" if time() > $end;
	}
	(my $answer = $self->{out}) =~ s/\n?^\Q$self->{mark}\E\n.*//ms;
	$self->{out} = '';
	$self->{run}->pump_nb;
	$self->{error} = $self->{err};
	$self->{err} = '';
	return $answer;
}

sub query
{
	my ($self, $sql) = @_;

	$self->send($sql);
	return $self->answer;
}

sub error { return $_[0]->{error} // ''; }

# The connection was lost: the next statement connects anew.
sub lost
{
	my ($self) = @_;
	my $message = $self->{err} // '';

	$self->close;
	die "connection lost: $message\n";
}

sub close
{
	my ($self) = @_;
	my $run = delete $self->{run} or return;

	$self->{in} = '' if defined $self->{in};
	eval { $run->kill_kill(grace => 1) };
	return;
}

sub DESTROY
{
	my ($self) = @_;

	local $?;
	$self->close;
	delete $open{$self};
	return;
}

1;
