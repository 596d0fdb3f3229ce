# Chatroom::Bouncer: PgBouncer in transaction mode, before a server.
#
#   missing()               the reason why there is none, or nothing
#   new(NODE, OPTIONS)      start one. Options: users (those that may connect
#                           besides the server's owner), databases (name =>
#                           size of its pool; all are database postgres)
#   host, port, stop        Session takes it for a server
package Chatroom::Bouncer;

use strict;
use warnings;
use Chatroom::Test;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Scalar::Util qw(weaken);

# Those to be stopped when Perl ends.
my %running;

END
{
	local $?;
	$_->stop foreach grep { defined } values %running;
}

sub program
{
	return (
		grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}),
		'/usr/sbin', '/usr/local/sbin')[0];
}

sub missing
{
	return program() ? undef : 'PgBouncer is not there';
}

sub new
{
	my ($class, $node, %options) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my %pools = %{ $options{databases} // { postgres => 25 } };
	my $self = bless {
		port => PostgreSQL::Test::Cluster::get_free_port(),
		log => "$PostgreSQL::Test::Utils::log_path/${\ $node->name}_pgbouncer.log"
	}, $class;
	my @users = ($node->safe_psql('postgres', 'SELECT current_user'),
		@{ $options{users} // [] });

	append_to_file("$dir/users", join '', map { qq("$_" ""\n) } @users);
	append_to_file("$dir/pgbouncer.ini", <<"INI");
[databases]
@{[ join "\n", map {
	"$_ = host=127.0.0.1 port=${\ $node->port } dbname=postgres pool_size=$pools{$_}"
} sort keys %pools ]}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $self->{port}
unix_socket_dir =
auth_type = trust
auth_file = $dir/users
pool_mode = transaction
# tried again soon after the server's restart
server_login_retry = 1
# JDBC sends it
ignore_startup_parameters = extra_float_digits
INI
	# To a file: a pipe that nobody empties would stop it.
	$self->{run} = IPC::Run::start([ program(), "$dir/pgbouncer.ini" ],
		'<', \undef, '>&', $self->{log});
	weaken($running{$self} = $self);
	poll_until('PgBouncer answers',
		sub { slurp_file($self->{log}) =~ /process up|FATAL/ });
	die "PgBouncer doesn't start: " . slurp_file($self->{log})
	  unless slurp_file($self->{log}) =~ /process up/;
	return $self;
}

sub host { return '127.0.0.1'; }
sub port { return $_[0]->{port}; }

sub stop
{
	my ($self) = @_;
	my $run = delete $self->{run} or return;

	eval { $run->kill_kill(grace => 1) };
	delete $running{$self};
	return;
}

1;
