# make demo on a terminal: after the demonstration, a chat to type into.
use strict;
use warnings;
use Chatroom::Test;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'IO::Pty is not there (libio-pty-perl)'
  unless eval { require IO::Pty; 1 };

my ($in, $out) = ('', '');
$ENV{TERM} = 'xterm';
$ENV{CHATROOM_OUT} = PostgreSQL::Test::Utils::tempdir();
my $demo = IPC::Run::start([ 'test/demo/run' ], '<pty<', \$in, '>pty>', \$out);

sub is_shown
{
	my ($re, $name) = @_;

	ok( poll_until(
			$name, sub { eval { $demo->pump_nb }; return $out =~ $re }),
		$name) or diag($out);
}

is_shown(qr/Everyone saw everything/, 'the demonstration');
is_shown(qr/visitor> /, 'then a prompt');
is_shown(qr/robin.*: Hello!/, 'and somebody who talks');
$in = "Nice to meet you\r";
is_shown(qr/visitor.*: Nice to meet you/, 'one can type');
is_shown(qr/robin types.*robin.*: That came to me/s, 'and is answered');
$in = "/quit\r";
poll_until('the demonstration ends',
	sub { eval { $demo->pump_nb }; return !$demo->pumpable });
$demo->finish;
is($demo->full_result(0), 0, 'without an error');
ok(!-e "$ENV{CHATROOM_OUT}/data/postmaster.pid", 'its server is stopped');

done_testing();
