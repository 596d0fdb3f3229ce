# Messages under chatroom's name that chatroom did not write. Anyone may send
# them with pg_logical_emit_message: they are dropped and counted, the server
# stays up, and cursors stay good. So are copies of genuine ones, which a role
# with REPLICATION can read.
use strict;
use warnings;
use Chatroom::Seal;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('forged');
make_log($node);
$node->safe_psql('postgres', 'CREATE ROLE plain LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other',    'CREATE EXTENSION chatroom');
make_log($node, db => 'other');

my $follower = Chatroom::Follower->new($node);
my $other    = Chatroom::Follower->new($node, db => 'other');
my $starts;
$_->follow for $follower, $other;
$starts = status($node, 'tailer_starts');

# What was counted since the last call: forged and torn messages. All that was
# sent before has been read, as the followers have caught up.
my %last = (forged => 0, torn => 0);

sub counted
{
	my %now;

	$_->catch_up for $follower, $other;
	@now{qw(forged torn)} = split /\|/,
	  status($node, 'messages_forged, messages_torn');
	my $text = join ', ',
	  map { $now{$_} - $last{$_} . " $_" } qw(forged torn);
	%last = %now;
	return $text;
}

# All is as it should be: nobody was reset, or missed anything.
sub all_well
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$follower->is_exact("$name: the follower's cursor is good");
	$other->is_exact("$name: so is another database's");
	is(status($node, 'tailer_starts'), $starts, "$name: the worker goes on");
	return;
}

sub emit
{
	my ($sql) = @_;

	$node->safe_psql('postgres', $sql, extra_params => [ '-U', 'plain' ]);
	return;
}

# The same as superuser.
sub super
{
	my ($sql) = @_;

	$node->safe_psql('postgres', $sql);
	return;
}

# The last genuine messages of a database, by kind: bytes, transaction.
sub genuine
{
	my ($db) = @_;
	my $from = $node->safe_psql($db, 'SELECT pg_current_wal_lsn()');
	my %found;

	$node->safe_psql('postgres', 'CHECKPOINT');
	add_rows($node, 1, $db);
	$node->safe_psql($db, "SELECT chatroom.broadcast('lobby', 'wave', '{}')");
	$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
	my ($out, $err) = run_command(
		[
			'pg_waldump', '-p', $node->data_dir . '/pg_wal',
			'-r', 'LogicalMessage', '-s', $from
		]);
	foreach my $line (split /\n/, $out)
	{
		next
		  unless $line =~
		  /tx: +(\d+),.*prefix "chatroom"; payload \(\d+ bytes\): (.*)/;
		my ($xid, $hex) = ($1, $2);
		my $bytes = pack 'H*', $hex =~ s/ //gr;

		$found{ substr $bytes, 1, 1 } = { bytes => $bytes, xid => $xid };
	}
	return @found{qw(E D B)};
}

# Bytes as a bytea literal.
sub bytes { return "'\\x" . unpack('H*', $_[0]) . "'::bytea"; }

# ---- what is no message of ours

my @shapes = (
	'', 'x', '2', '2E',
	'2E' . '#' x 10,
	'2E' . '#' x 11,
	'2E' . '#' x 100,
	'2E' . 'c' x 100,
	"2E" . "\0" x 50,
	"2E" . "\xFF" x 50,
	'3E' . '#' x 50,
	"\xFF\xFF" . "\xFF" x 50,
	'2A' . '#' x 50,
	'2K' . '#' x 50,
	'2R' . '#' x 30);

emit(
	join ';', map { "SELECT pg_logical_emit_message(false, 'chatroom', " . bytes($_) . ")" }
	  @shapes);
is(counted(), @shapes . ' forged, 0 torn',
	'messages outside a transaction are dropped and counted');
emit(
	join ';', map { "SELECT pg_logical_emit_message(true, 'chatroom', " . bytes($_) . ")" }
	  @shapes);
is(counted(), @shapes . ' forged, 0 torn',
	'those of transactions of their own, too');
emit(
	join ';', 'BEGIN',
	(map { "SELECT pg_logical_emit_message(true, 'chatroom', " . bytes($_) . ")" }
		  @shapes),
	'ROLLBACK');
is(counted(), @shapes . ' forged, 0 torn',
	'those of an aborted transaction, too');
$node->safe_psql('postgres', 'GRANT ALL ON log, log_id_seq TO plain');
emit(
	join ';', 'BEGIN', 'INSERT INTO log DEFAULT VALUES',
	(map {
			(   "SAVEPOINT s",
				"INSERT INTO log DEFAULT VALUES",
				"SELECT pg_logical_emit_message(true, 'chatroom', " . bytes($_) . ")",
				"SELECT pg_logical_emit_message(false, 'chatroom', " . bytes($_) . ")")
		} @shapes),
	'COMMIT');
is( counted(),
	2 * @shapes . ' forged, 0 torn',
	'those amid a transaction with events of its own, too');
emit(
	join ';', 'BEGIN READ ONLY',
	(map { "SELECT pg_logical_emit_message(false, 'chatroom', " . bytes($_) . ")" }
		  @shapes),
	'COMMIT');
is(counted(), @shapes . ' forged, 0 torn',
	'those of a read-only transaction, too');

# Other names are nobody's business, however alike.
emit(
	join ';',
	map { "SELECT pg_logical_emit_message(false, '$_', 'x')" } '', 'chatroo',
	'chatroom ', 'chatroomchatroom', 'Chatroom', 'x' x 1000);
is(counted(), '0 forged, 0 torn', 'other prefixes are not looked at');
all_well('small forgeries');

# ---- oversize

emit(
	join ';',
	map { "SELECT pg_logical_emit_message($_, 'chatroom', repeat('x', 40000000))" }
	  'true', 'false');
is(counted(), '2 forged, 0 torn', 'oversize messages are dropped and counted');
my ($pid) = tailer_pid($node);
my ($memory) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s*(\d+) kB/m;
cmp_ok($memory, '<', 32 * 1024,
	'and the worker gives the memory back that they took to read');
all_well('oversize');

# ---- garbage of all sizes

my $seed = random_seed();
my $garbage = 1500;
emit(<<"SQL");
DO \$\$
DECLARE
	bytes bytea;
BEGIN
	PERFORM setseed($seed / 1000000000.0);
	FOR i IN 1 .. $garbage LOOP
		SELECT coalesce(string_agg(set_byte('\\x00', 0, (random() * 255)::int), ''), '')
			INTO bytes FROM generate_series(1, CASE WHEN i % 50 = 0 THEN i * 10 ELSE i % 97 END);
		-- half of it begins as it should
		IF i % 2 = 0 THEN
			bytes := '2'::bytea || substr(convert_to('EDBRAKP?', 'UTF8'), 1 + i / 2 % 8, 1) || bytes;
		END IF;
		PERFORM pg_logical_emit_message(i % 3 = 0, 'chatroom', bytes);
		IF i % 7 = 0 THEN
			INSERT INTO log DEFAULT VALUES;
		END IF;
	END LOOP;
END \$\$
SQL
is(counted(), "$garbage forged, 0 torn",
	'random garbage of all sizes is dropped and counted');
all_well('garbage');

# ---- genuine bytes in the wrong place

my %genuine = map { $_ => [ genuine($_) ] } 'other', 'postgres';
foreach my $db (sort keys %genuine)
{
	my $key = Chatroom::Seal->new($node, $db);
	my @messages = grep { defined } @{ $genuine{$db} };

	is(scalar @messages, 3, "$db: an event, its descriptor and a broadcast");
	is_deeply(
		[ map { $key->again(@$_{qw(bytes xid)}) } @messages ],
		[ map { $_->{bytes} } @messages ],
		"$db: their seals are SipHash-2-4 of all of them, and of their place");
	$_->catch_up for $follower, $other;
	counted();
	emit(
		join ';',
		map {
			my $message = bytes($_->{bytes});
			map { "SELECT pg_logical_emit_message($_, 'chatroom', $message)" }
			  'true', 'false'
		} @messages);
	is(counted(), '6 forged, 0 torn',
		"$db: copies of them are no genuine messages");
	all_well("copies of $db");
}

# Copied at once, while the position in WAL that it tells is near.
$node->safe_psql('postgres', "SELECT chatroom.broadcast('lobby', 'wave', '{}')");
my $seal = Chatroom::Seal->new($node, 'postgres');
my $session = Chatroom::Session->new($node);
my $copied = $seal->outside($session, 'B', broadcast());
counted();
$session->query("SELECT pg_logical_emit_message(false, 'chatroom', " . bytes($copied) . ")")
  for 1 .. 5;
is(counted(), '4 forged, 0 torn', 'one outside a transaction counts once');
all_well('copied at once');

# ---- who knows the secret (a superuser can read it) can send damaged ones

# Send such messages outside transactions: [kind, body], ...
sub outside
{
	while (my @some = splice @_, 0, 50)
	{
		$session->query(join ';',
			map { "SELECT pg_logical_emit_message(false, 'chatroom', " . bytes($_) . ")" }
			  map { $seal->outside($session, @$_) } @some);
	}
	return;
}

# In one transaction.
sub inside
{
	my $xid = $session->query('BEGIN; SELECT pg_current_xact_id()');

	while (my @some = splice @_, 0, 50)
	{
		$session->query(join ';',
			map { "SELECT pg_logical_emit_message(true, 'chatroom', " . bytes($_) . ")" }
			  map { $seal->inside($xid, @$_) } @some);
	}
	$session->query('COMMIT');
	return;
}

# A broadcast, sent at a time.
sub broadcast
{
	my ($at) = @_;
	my $vint = \&Chatroom::Seal::vint;

	return $vint->(1) . $vint->($at // 0) . join '',
	  map { $vint->(2 + length) . $_ } 'lobby', 'wave', '{}', 'me';
}

my $event      = substr $genuine{postgres}[0]{bytes}, 13;
my $descriptor = substr $genuine{postgres}[1]{bytes}, 24;
counted();

# An event that stands alone, or is cut inside what orders it.
outside([ 'E', $event ]);
is(counted(), '0 forged, 1 torn', 'an event outside a transaction is torn');
inside(map { [ 'E', substr $event, 0, $_ ] } 0 .. 12);
is(counted(), '0 forged, 13 torn', 'events cut short are torn');
outside(map { [ 'B', broadcast($_) ] } 0x7FFFFFFFFFFFFFFF, 1 << 63, 0xC000000000000000);
is(counted(), '0 forged, 3 torn', 'broadcasts of no time are torn');
outside(map { [ 'R', "#$_#" ] } '#', 'B%', 'b*');
is(counted(), '0 forged, 3 torn', 'resets without a known reason are torn');
all_well('torn');

# Cut or damaged further behind it is found out when it is published: then all
# reload, for nobody can tell what it said.
inside(map { [ 'E', substr $event, 0, $_ ] } 20 .. length($event) - 1);
$follower->catch_up;
is($follower->{resets}, 1, 'an event that can not be read resets');
$node->safe_psql('postgres', 'TRUNCATE log');
$follower = Chatroom::Follower->new($node);
$follower->follow;
counted();

# Bytes of the body changed, of all messages there are, in all kinds.
my @damaged;
foreach my $message ($event, $descriptor, broadcast(), '$%#', '##(xxxx')
{
	foreach my $kind (split //, 'EDBRAKP')
	{
		push @damaged, [ $kind, $message ];
		for (1 .. 40)
		{
			my $changed = $message;

			substr($changed, int rand length $message, 1) =
			  rand() < 0.5 ? chr int rand 256 : chr 35 + int rand 64
			  for 1 .. 1 + rand 3;
			push @damaged, [ $kind, $changed ];
		}
	}
}
outside(@damaged);
inside(@damaged);
$other->catch_up;
$other->is_exact('damaged messages do no harm to other databases');

# Their values may be no JSON: who can forge, can send those.
foreach my $call (
	"chatroom.sync_many(ARRAY['public.log'], '$follower->{cursor}')",
	"chatroom.events('public.log', NULL, 1000000)",
	'chatroom.stat_topics',
	'chatroom.status')
{
	my ($ret, $out, $err) = $node->psql('postgres', "SELECT * FROM $call");
}
is(status($node, 'tailer_starts'), $starts, 'nor to the worker');
ok( !$node->log_contains(qr/terminated by signal|PANIC|TRAP/),
	'nor to the server');

# Then all goes on as before.
my $fresh = Chatroom::Follower->new($node);
$node->safe_psql('postgres', 'TRUNCATE log');
$fresh->follow;
add_rows($node, 10);
$fresh->catch_up;
$fresh->is_exact('after all of it, cursors are good');
$node->stop;
done_testing();
