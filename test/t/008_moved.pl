# Databases over a crash, and one that moves to another tablespace. See also
# 011_databases.pl.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;
use Time::HiRes qw(time);

my $node = chatroom_node('main', conf => "allow_in_place_tablespaces = on\n");
make_log($node);
my @databases = ('postgres', 'other');

$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other',    'CREATE EXTENSION chatroom');
make_log($node, db => 'other');
my %followers = map { $_ => Chatroom::Follower->new($node, db => $_) } @databases;
$_->follow for values %followers;
my @writers =
  map { writers($node, db => $_, clients => 4, rate => 500) } @databases;
my $end = time() + 1;
while (time() < $end)
{
	$_->poll(sub { time() < $end }) for values %followers;
}
crash($node);
start_again($node);
$_->stop for @writers;
foreach my $db (@databases)
{
	$followers{$db}->catch_up;
	$followers{$db}->is_exact("two databases with writers, and a crash: $db");
}

# In WAL a move looks as if the database were dropped.
my $moved = $followers{other};
$moved->{session}->close;
$node->safe_psql('postgres', q(CREATE TABLESPACE elsewhere LOCATION ''));
add_rows($node, 1, 'other');
$node->safe_psql('postgres', 'ALTER DATABASE other SET TABLESPACE elsewhere');
add_rows($node, 1, 'other');
$moved->catch_up;
$moved->is_complete('nothing is missing in a database that was moved');
is($moved->{resets}, 1, 'as who follows is told to reset');
$moved->{resets} = 0;
$node->restart;
$moved->catch_up;
is($moved->{resets}, 0, 'once, and not again by a restart');
$moved->is_complete('after which nothing is missing either');
$followers{postgres}->catch_up;
$followers{postgres}->is_exact('other databases did not notice');
$node->stop;
done_testing();
