# What a transaction's events are, and when they are told.
use strict;
use warnings;
use Chatroom::Test;
use Test::More;

my $node = chatroom_node('transactions');
make_log($node);

# What is told of the table "item" since the last call: types and values.
my $items = Chatroom::Follower->new($node, topics => ['public.item']);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE item (id int PRIMARY KEY, n int);
SELECT chatroom.watch('item');
SQL
$items->follow;
my $seen = 0;

sub told
{
	my @events;

	# all that committed before this mark is told; the one before it is deleted
	$node->safe_psql('postgres', 'INSERT INTO item VALUES (-1, 0)');
	poll_until('the mark comes',
		sub
		{
			$items->follow;
			@events = $items->events;
			@events = @events[ $seen .. $#events ];
			return grep { $_->{key}{id} == -1 && $_->{type} eq 'insert' } @events;
		});
	$node->safe_psql('postgres', 'DELETE FROM item WHERE id = -1');
	$seen += @events;
	return join ' ',
	  map { "$_->{type}($_->{key}{id}" . ($_->{row} ? "=$_->{row}{n}" : '') . ')' }
	  grep { $_->{key}{id} != -1 } @events;
}

# A trigger that fires before ours changes the row again, so that the newer
# version is logged first; and one that fires after ours.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF new.n < 100 THEN
		UPDATE item SET n = n + 100 WHERE id IN (new.id, new.id + 1);
	END IF;
	RETURN NULL;
END $$;
SQL
foreach my $trigger ('aaa', 'zzz')
{
	my $when = $trigger eq 'aaa' ? 'before' : 'after';

	$node->safe_psql('postgres', <<"SQL");
CREATE TRIGGER $trigger AFTER INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION again();
INSERT INTO item VALUES (1, 1), (2, 2);
SQL
	my %last = told() =~ /(?:insert|update)\((\d+)=(\d+)\)/g;
	my $rows = $node->safe_psql('postgres',
		"SELECT string_agg(id || '=' || n, ' ' ORDER BY id) FROM item");
	is(join(' ', map { "$_=$last{$_}" } sort keys %last),
		$rows,
		"a trigger $when ours that changes rows again: the last event is the row's last version"
	);
	$node->safe_psql('postgres', <<'SQL');
UPDATE item SET n = id;
SQL
	%last = told() =~ /update\((\d+)=(\d+)\)/g;
	$rows = $node->safe_psql('postgres',
		"SELECT string_agg(id || '=' || n, ' ' ORDER BY id) FROM item");
	is(join(' ', map { "$_=$last{$_}" } sort keys %last),
		$rows, "the same with an update of several rows");
	$node->safe_psql('postgres', <<"SQL");
TRUNCATE item;
DROP TRIGGER $trigger ON item;
SQL
	$items = Chatroom::Follower->new($node, topics => ['public.item']);
	$items->follow;
	$seen = 0;
}

# Savepoints.
$node->safe_psql('postgres', <<'SQL');
BEGIN;
INSERT INTO item VALUES (1, 1);
SAVEPOINT a;
INSERT INTO item VALUES (2, 2);
SAVEPOINT b;
INSERT INTO item VALUES (3, 3);
ROLLBACK TO b;
INSERT INTO item VALUES (4, 4);
RELEASE a;
SAVEPOINT c;
UPDATE item SET n = 5 WHERE id = 1;
ROLLBACK TO c;
INSERT INTO item VALUES (6, 6);
COMMIT;
SQL
is( told(),
	'insert(1=1) insert(2=2) insert(4=4) insert(6=6)',
	'savepoints: what was rolled back is not told, nested and released ones are, in order'
);
$node->safe_psql('postgres', <<'SQL');
BEGIN;
SAVEPOINT a;
INSERT INTO item VALUES (7, 7);
RELEASE a;
ROLLBACK;
DO $$
BEGIN
	INSERT INTO item VALUES (8, 8);
	BEGIN
		INSERT INTO item VALUES (9, 9);
		INSERT INTO item VALUES (8, 8);
	EXCEPTION WHEN unique_violation THEN
		INSERT INTO item VALUES (10, 10);
	END;
END $$;
SQL
is( told(),
	'insert(8=8) insert(10=10)',
	'an aborted transaction is not told, nor what an exception undid');

# Two-phase commit.
$node->safe_psql('postgres', <<'SQL');
BEGIN;
INSERT INTO item VALUES (11, 11);
SAVEPOINT a;
INSERT INTO item VALUES (12, 12);
SAVEPOINT b;
INSERT INTO item VALUES (13, 13);
ROLLBACK TO b;
PREPARE TRANSACTION 'kept';
BEGIN;
INSERT INTO item VALUES (14, 14);
PREPARE TRANSACTION 'dropped';
BEGIN;
INSERT INTO item VALUES (15, 15);
PREPARE TRANSACTION 'over a restart';
BEGIN;
INSERT INTO item VALUES (16, 16);
PREPARE TRANSACTION 'over a crash';
SQL
is(told(), '', 'a prepared transaction is not told');
$node->safe_psql('postgres', q(COMMIT PREPARED 'kept'));
is(told(), 'insert(11=11) insert(12=12)', 'COMMIT PREPARED tells it');
$node->safe_psql('postgres', q(ROLLBACK PREPARED 'dropped'));
is(told(), '', 'ROLLBACK PREPARED does not');
$node->restart;
is(told(), '', 'a prepared transaction is not told by a restart');
$node->safe_psql('postgres', q(COMMIT PREPARED 'over a restart'));
is(told(), 'insert(15=15)', 'COMMIT PREPARED after a restart tells it');
crash($node);
start_again($node);
$node->safe_psql('postgres', q(COMMIT PREPARED 'over a crash'));
is(told(), 'insert(16=16)', 'and after a crash');
is($items->{resets}, 0, 'without a reset');

# In sessions that don't have the library, which tell nobody of their commit.
$node->safe_psql('postgres', <<'SQL');
BEGIN;
INSERT INTO item VALUES (17, 17);
PREPARE TRANSACTION 'elsewhere';
SQL
$node->safe_psql('template1', 'SELECT 1');
my $session = Chatroom::Session->new($node);
$session->query(q(COMMIT PREPARED 'elsewhere'));
poll_until(
	'it comes',
	sub
	{
		$items->follow;
		return grep { $_->{key}{id} == 17 } $items->events;
	});
pass('COMMIT PREPARED is noticed without anybody telling the worker');

$node->stop;
done_testing();
