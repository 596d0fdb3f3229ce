# Messages under chatroom's name that chatroom did not write. Anyone may send
# them with pg_logical_emit_message: they are dropped and counted, the server
# stays up, and cursors stay good.
use strict;
use warnings;
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

# The bytes of the last genuine row event of a database, and of its descriptor.
sub genuine
{
	my ($db) = @_;
	my $from = $node->safe_psql($db, 'SELECT pg_current_wal_lsn()');
	my $dboid = $node->safe_psql($db,
		'SELECT oid FROM pg_database WHERE datname = current_database()');
	my %found;

	$node->safe_psql('postgres', 'CHECKPOINT');
	add_rows($node, 1, $db);
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
		  /MESSAGE (transactional|non-transactional), prefix "chatroom"; payload \(\d+ bytes\): (.*)/;
		my ($how, $hex) = ($1, $2);

		$hex =~ s/ //g;
		my $kind = chr hex substr $hex, 6, 2;

		$found{$kind} = $hex if $how eq 'transactional' || $kind eq 'D';
	}
	return @found{qw(E D)};
}

# Bytes as a bytea literal.
sub bytes { return "'\\x" . unpack('H*', $_[0]) . "'::bytea"; }

# ---- what is no message of ours

my $header = pack 'SCa', 0xC4A7, 1, 'E';
my @shapes = (
	'',
	'x',
	$header,
	$header . "\0" x 7,
	$header . "\0" x 8,
	$header . "\xFF" x 100,
	pack('SCa', 0xC4A7, 2,   'E') . "\0" x 50,
	pack('SCa', 0xC4A7, 255, "\xFF") . "\xFF" x 50,
	pack('SCa', 0xC4A7, 1,   'A') . "\0" x 50,
	pack('SCa', 0xC4A7, 1,   'K') . "\0" x 50,
	pack('SCa', 0xC4A7, 1,   'R') . "\0" x 10);

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
			bytes := '\\xa7c401' || substr(convert_to('EDBRAKP?', 'UTF8'), 1 + i / 2 % 8, 1) || bytes;
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

my ($event, $descriptor) = genuine('other');
ok($event && $descriptor, 'genuine messages stand in WAL');
$_->catch_up for $follower, $other;
counted();
emit(
	join ';',
	map {
		my $message = $_;
		map { "SELECT pg_logical_emit_message($_, 'chatroom', '\\x$message'::bytea)" }
		  'true', 'false'
	} $event, $descriptor);
is(counted(), '4 forged, 0 torn',
	'genuine bytes of another database are no genuine message');
all_well('replayed');

# ---- who knows the secret (a superuser can read it) can send damaged ones

my ($mine, $mine_descriptor) = genuine('postgres');
my $length = length($mine) / 2;
counted();

# An event that stands alone, or is cut inside what orders it.
super("SELECT pg_logical_emit_message(false, 'chatroom', '\\x$mine'::bytea)");
is(counted(), '0 forged, 1 torn', 'an event outside a transaction is torn');
super(
	join ';',
	map { "SELECT pg_logical_emit_message(true, 'chatroom', substr('\\x$mine'::bytea, 1, $_))" }
	  12 .. 22);
is(counted(), '0 forged, 11 torn', 'events cut short are torn');
all_well('torn');

# Cut or damaged further behind it is found out when it is published: then all
# reload, for nobody can tell what it said.
foreach my $cut (23 .. $length - 1)
{
	super(
		"SELECT pg_logical_emit_message(true, 'chatroom', substr('\\x$mine'::bytea, 1, $cut))"
	  )
	  if $cut % 7 == 0 || $cut == $length - 1;
}
$follower->catch_up;
is($follower->{resets}, 1, 'an event that can not be read resets');
$node->safe_psql('postgres', 'TRUNCATE log');
$follower = Chatroom::Follower->new($node);
$follower->follow;
counted();

# A reset for a reason that there is none of would reset nobody, or count
# beyond the counters.
my $reset = substr(pack('H*', $mine), 0, 12);
substr($reset, 3, 1) = 'R';
super(
	join ';',
	map { "SELECT pg_logical_emit_message(false, 'chatroom', " . bytes("$reset\0$_\0") . ")" }
	  "\0", "\x40", "\xFF");
is(counted(), '0 forged, 3 torn', 'resets without a known reason are torn');
all_well('reasons');

# Bytes behind the header changed, of all messages there are, in all kinds.
my @damaged;
foreach my $message (
	pack('H*', $mine), pack('H*', $mine_descriptor),
	"$reset\0\2\0", "$reset\1\2\6xxxx")
{
	foreach my $kind (split //, 'EDBRAKP')
	{
		substr($message, 3, 1) = $kind;
		push @damaged, $message;
		for (1 .. 60)
		{
			my $changed = $message;

			substr($changed, 12 + int rand(length($message) - 12), 1) =
			  chr int rand 256
			  for 1 .. 1 + rand 3;
			push @damaged, $changed;
		}
	}
}
super(
	join ';',
	map {
		my $message = $_;
		map { "SELECT pg_logical_emit_message($_, 'chatroom', " . bytes($message) . ")" }
		  'true', 'false'
	} @damaged);
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
