# Others who read WAL, in the same database and with wal_level = logical: output
# plugins hand out chatroom's messages, too. They are text, so that JSON stays
# JSON, text stays text, and nobody's client trips over them.
use strict;
use warnings;
use Chatroom::Test;
use Encode qw(decode FB_CROAK);
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('readers', conf => "wal_level = logical\n");
my $libraries = qx(pg_config --pkglibdir);
chomp $libraries;
my $wal2json = -e "$libraries/wal2json.so";
my @slots = ([ 'test_decoding', '' ]);
push @slots, [ 'wal2json', "'format-version', '1', " ],
  [ 'wal2json', "'format-version', '2', " ]
  if $wal2json;

# newer servers let nobody use any library as a plugin
if ($node->safe_psql('postgres',
		"SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'"))
{
	$node->append_conf('postgresql.conf',
		"output_plugin_libraries = 'test_decoding, pgoutput, wal2json'\n");
	$node->reload;
}
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE notes (id int PRIMARY KEY, v text, n numeric, b bytea);
CREATE TABLE unpublished (id int PRIMARY KEY, v text);
CREATE PUBLICATION p FOR TABLE notes;
SELECT chatroom.watch('notes'), chatroom.watch('unpublished'), chatroom.sync('notes');
SELECT pg_create_logical_replication_slot('bytes', 'pgoutput');
SQL
$node->safe_psql('postgres',
	"SELECT pg_create_logical_replication_slot('s$_', '$slots[$_][0]')")
  for 0 .. $#slots;

# What is not plain: other scripts, quotes, backslashes, controls, long and
# empty values, NULL; updates, deletes, truncates, presence, resets, anchors.
$node->safe_psql('postgres', <<'SQL');
CHECKPOINT;
INSERT INTO notes VALUES (1, 'a', 1.5, '\x00ff'),
	(2, E'Gr\u00FC\u00DFe "\u4F60\u597D" \\ \t\n\x01', 'NaN', NULL),
	(3, repeat('x', 5000), 1e100, repeat('y', 300)::bytea), (4, '', NULL, '');
UPDATE notes SET v = v || '!', id = id + 10 WHERE id > 1;
DELETE FROM notes WHERE id = 1;
SELECT chatroom.broadcast('lobby', E'w\u00E4ve', '{"a": [1, "\u00E4\"\\"]}');
BEGIN; SELECT chatroom.broadcast('lobby', 'wave', '{}'); COMMIT;
SELECT chatroom.track('lobby', 'al"ice', '{"mood": "gr\u00FCn"}', '1 minute');
INSERT INTO unpublished VALUES (1, 'not for subscribers');
ALTER TABLE notes ADD COLUMN more int;
INSERT INTO notes VALUES (5, 'more');
TRUNCATE notes;
CHECKPOINT;
SQL
my $published = published($node);

# All that a plugin tells, as bytes.
sub told
{
	my ($i) = @_;
	my $hex = $node->safe_psql('postgres',
		"SELECT encode(convert_to(data, 'SQL_ASCII'), 'hex') FROM pg_logical_slot_get_changes('s$i', NULL, NULL, "
		  . ($slots[$i][1] =~ s/, $//r || 'VARIADIC ARRAY[]::text[]')
		  . ')');

	return map { pack 'H*', $_ } split /\n/, $hex;
}

foreach my $i (0 .. $#slots)
{
	my ($plugin, $options) = @{ $slots[$i] };
	my $name  = $plugin . ($options =~ /(\d)/ ? " $1" : '');
	my @told  = told($i);
	my @wrong = grep { !eval { decode('UTF-8', my $copy = $_, FB_CROAK); 1 } } @told;

	is(scalar @wrong, 0, "$name: all of " . @told . ' lines are UTF-8');
	ok(!(grep { /\0/ } @told), "$name: and have no zero byte");
	cmp_ok(scalar(grep { /chatroom/ } @told),
		'>', $plugin eq 'wal2json' && $options =~ /1/ ? 3 : 8, "$name: the messages are told");
	next if $plugin ne 'wal2json';
	# its own: format 1 puts a comma before any message outside a transaction
	s/^\{"change":\[,/{"change":[/ foreach @told;
	@wrong = grep { !eval { JSON::PP->new->utf8->decode($_); 1 } } @told;
	is(scalar @wrong, 0, "$name: all of it is JSON") or diag($wrong[0]);
	if ($options =~ /2/)
	{
		my %lengths = map {
			my $line = JSON::PP->new->utf8->decode($_);
			$line->{action} eq 'M' ? (length($line->{content}) => 1) : ()
		} @told;
		cmp_ok(scalar keys %lengths, '>', 5, "$name: and the messages are whole");
	}
}
SKIP:
{
	skip 'wal2json is not installed (scripts/setup --ci)', 1 unless $wal2json;
	pass('wal2json is installed');
}

# pgoutput with messages: text as well, and rows of tables that were not
# published: who may read a slot reads all of the database that is in WAL.
my $content = $node->safe_psql('postgres', <<'SQL');
SELECT string_agg(convert_from(substr(data, 24), 'UTF8'), E'\n')
FROM pg_logical_slot_get_binary_changes('bytes', NULL, NULL,
	'proto_version', '1', 'publication_names', 'p', 'messages', 'true')
WHERE substr(data, 1, 1) = 'M' AND substr(data, 11, 9) = 'chatroom\000'
SQL
like($content, qr/not for subscribers/,
	'pgoutput: messages are text, and speak of all watched tables, as the docs say');
$node->stop;
done_testing();
