# fold() is exact: whatever happens to whatever tables, a value that is kept up
# to date with answers is what preload() loads at the answer's cursor.
#
# Rounds are made at random (Chatroom::FoldRound), with several sessions whose
# transactions overlap. CHATROOM_SEED chooses the first; a round that fails is
# made smaller and printed as SQL. CHATROOM_LONG runs 10,000 rounds instead of
# 300, CHATROOM_ROUNDS as many as it says.
use strict;
use warnings;
use Chatroom::FoldRound qw(schema round script);
use Chatroom::Session;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seed   = random_seed();
my $rounds = $ENV{CHATROOM_ROUNDS} // ($ENV{CHATROOM_LONG} ? 10_000 : 300);
my $rounds_a_schema = 12;

my $node = chatroom_node('fold_property',
	conf => "chatroom.cache_size = '16MB'\nfsync = off\n"
	  . "deadlock_timeout = 50ms\n");

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE reader LOGIN;
CREATE SCHEMA client;
GRANT USAGE ON SCHEMA client TO reader;
-- what the client holds
CREATE TABLE client.held (value jsonb, cursor text, uid bigint, folds int, changes int);
GRANT ALL ON client.held TO reader;

-- Load the value, and the cursor that belongs to it.
CREATE FUNCTION client.take(rows_sql text, relation text, paths text[]) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	v jsonb;
	c text := chatroom.snapshot_cursor();
BEGIN
	EXECUTE rows_sql INTO v;
	DELETE FROM client.held;
	INSERT INTO client.held VALUES (chatroom.preload(v, relation, paths), c,
		CASE WHEN jsonb_typeof(v) = 'object' THEN (v->>'uid')::bigint END, 0, 0);
	RETURN 'ok';
END $$;

-- Bring it up to date; mode: single, defined (by where or limit), list. What
-- is read in parts (limit of events) is folded in parts.
CREATE FUNCTION client.fold(relation text, paths text[], options jsonb, mode text,
	rows_sql text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	h client.held;
	answer json;
	before jsonb;
BEGIN
	SELECT * INTO h FROM client.held;
	IF h.value IS NULL OR h.value = 'null' THEN
		RETURN false;
	END IF;
	before := h.value;
	LOOP
		answer := chatroom.sync_many(chatroom.topics_for(h.value, relation, paths, options), h.cursor, 3);
		h.cursor := answer->>'cursor';
		IF (answer->>'reset')::boolean THEN
			IF mode <> 'defined' THEN
				PERFORM client.take(rows_sql, relation, paths);
				RETURN false;
			END IF;
			h.cursor := chatroom.snapshot_cursor();
		END IF;
		h.value := chatroom.fold(h.value, answer, relation, paths, options);
		EXIT WHEN h.value = 'null' OR NOT (answer->>'more')::boolean;
	END LOOP;
	UPDATE client.held SET value = h.value, cursor = h.cursor, folds = folds + 1,
		changes = changes + (before <> h.value)::int;
	RETURN true;
END $$;

-- The same in this transaction's snapshot, and compare. A list without order
-- is compared without it.
CREATE FUNCTION client.check(relation text, paths text[], options jsonb, mode text,
	rows_sql text, single_sql text, ordered boolean) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	h client.held;
	wanted jsonb;
BEGIN
	PERFORM chatroom.snapshot_cursor();
	IF NOT client.fold(relation, paths, options, mode, rows_sql) THEN
		RETURN 'ok';
	END IF;
	SELECT * INTO h FROM client.held;
	EXECUTE CASE WHEN mode = 'single' THEN single_sql ELSE rows_sql END INTO wanted USING h.uid;
	wanted := coalesce(chatroom.preload(wanted, relation, paths), 'null');
	IF NOT ordered AND jsonb_typeof(wanted) = 'array' THEN
		wanted := coalesce((SELECT jsonb_agg(e ORDER BY e) FROM jsonb_array_elements(wanted) AS e), '[]');
		h.value := coalesce((SELECT jsonb_agg(e ORDER BY e) FROM jsonb_array_elements(h.value) AS e), '[]');
	END IF;
	RETURN CASE WHEN wanted = h.value THEN 'ok'
		ELSE format(E'folded: %s\nwanted: %s', h.value, wanted) END;
END $$;
SQL

my @writers = map { Chatroom::Session->new($node) } 0 .. 2;
my $reader = Chatroom::Session->new($node, 'postgres', user => 'reader');

foreach my $session (@writers, $reader)
{
	$session->query(<<'SQL');
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET search_path = fuzz;
SET client_min_messages = error;
SET lock_timeout = '20ms';
SET TimeZone = 'UTC';
SQL
}
$reader->query("SET lock_timeout = '10s'");

# Make the schema.
sub make_schema
{
	my ($schema) = @_;

	$writers[2]->query("SET lock_timeout = 0;\nDROP SCHEMA IF EXISTS fuzz CASCADE;"
		  . "\nCREATE SCHEMA fuzz; GRANT USAGE ON SCHEMA fuzz TO reader;\n"
		  . join('', map { "$_;\n" } @{ $schema->{sql} }));
	my $error = $writers[2]->error;
	$error =~ s/^psql:.*?WARNING.*\n//mg;
	die "schema: $error\n" . join(";\n", @{ $schema->{sql} }) if $error =~ /ERROR/;
	return;
}

# Ask which associations there are.
sub find_assocs
{
	my ($schema) = @_;

	$schema->{assocs} = {};
	foreach my $line (split /\n/, $writers[2]->query(<<'SQL'))
SELECT split_part(relation, '.', 2), name, split_part(related, '.', 2) FROM chatroom.assocs AS a
WHERE relation LIKE 'fuzz.%' AND name IS NOT NULL AND related LIKE 'fuzz.t%'
AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = a.relation::regclass AND attname = a.name)
ORDER BY 1, 2
SQL
	{
		my ($table, $name, $to) = split /\|/, $line;
		push @{ $schema->{assocs}{$table} }, { name => $name, to => $to };
	}
	return;
}

# Associations through others, once it's known which there are.
sub add_through
{
	my ($schema) = @_;
	my $count = 0;

	foreach my $table (sort keys %{ $schema->{assocs} })
	{
		my $choices = $schema->{assocs}{$table};
		my $first = $choices->[ rand @$choices ];
		my $next = $schema->{assocs}{ $first->{to} } or next;
		my $second = $next->[ rand @$next ];

		next if rand() > 0.3;
		$count++;
		my $sql = "SELECT chatroom.add_assoc('$table', 'y$count',"
		  . " '{\"through\": [\"$first->{name}\", \"$second->{name}\"]}')";
		push @{ $schema->{sql} }, $sql;
		$writers[2]->query($sql);
		die $writers[2]->error if $writers[2]->error =~ /ERROR/;
	}
	find_assocs($schema) if $count;
	return;
}

sub quote { return "'" . $_[0] =~ s/'/''/gr . "'"; }

# Run a round; what is wrong, or nothing.
sub run_round
{
	my ($schema, $round) = @_;
	my $relation = quote($round->{table}{name});
	my $paths = quote('{' . join(',', map { "\"$_\"" } @{ $round->{paths} }) . '}');
	my $mode = quote($round->{single} ? 'single' : $round->{defined} ? 'defined' : 'list');
	my $rows = quote($round->{rows});
	my $single = quote($round->{rows} =~ s/WHERE .* ORDER BY/WHERE uid = \$1 ORDER BY/r);
	my $options = quote($round->{options});
	my $ordered = $round->{ordered} ? 'true' : 'false';
	my %open;
	my $taken = 0;
	my $fault = '';

	$writers[2]->query("SET lock_timeout = 0;\nTRUNCATE "
		  . join(', ', map { $_->{name} } @{ $schema->{tables} }, @{ $schema->{joins} })
		  . " RESTART IDENTITY;\nSELECT setseed(0);\nSET lock_timeout = '20ms';\n"
		  . join('', map { "$_;\n" } @{ $round->{setup} }));
	foreach my $step (@{ $round->{steps} })
	{
		my ($what, $session, $sql) = @$step;

		if ($what eq 'write')
		{
			$session = 2 if $sql =~ /^TRUNCATE/;
			next if $sql =~ /^(COMMIT|ROLLBACK)/ && !$open{$session};
			$sql = "BEGIN; $sql" if $session < 2 && !$open{$session}++;
			delete $open{$session} if $sql =~ /^(COMMIT|ROLLBACK)/;
			$writers[$session]->query("$sql;");
			next;
		}
		$writers[$session]->send("$sql;") if $what eq 'race';
		if ($what eq 'take')
		{
			$fault = $reader->query("BEGIN ISOLATION LEVEL REPEATABLE READ;\n"
				  . "SELECT client.take($rows, $relation, $paths);\nCOMMIT;");
			$taken = 1;
		}
		elsif ($what eq 'fold' || $what eq 'race')
		{
			# where it isn't compared, it may load rows that are newer than
			# the answer
			$fault = $reader->query('SELECT CASE WHEN client.fold('
				  . "$relation, $paths, $options, $mode, $rows) IS NOT NULL THEN 'ok' END;")
			  if $taken;
			$writers[$session]->answer if $what eq 'race';
		}
		elsif ($taken)
		{
			$fault = $reader->query("BEGIN ISOLATION LEVEL REPEATABLE READ;\n"
				  . "SELECT client.check($relation, $paths, $options, $mode,"
				  . " $rows, $single, $ordered);\nCOMMIT;");
		}
		next unless $taken;

		# preload() would say so, too: the reader may not select some columns
		my $denied = $reader->error =~ /permission denied/;
		$fault = $fault eq 'ok' && $reader->error eq '' ? ''
		  : "at step $what: $fault " . $reader->error;
		$fault = '' if $denied;
		last if $denied || $fault ne '';
	}
	$reader->query('ROLLBACK;') if $fault ne '';
	$writers[$_]->query('COMMIT;') foreach grep { $open{$_} } 0, 1;
	return $fault;
}

# The same in a schema made anew.
sub fails_anew
{
	my ($schema, $round) = @_;

	make_schema($schema);
	return run_round($schema, $round);
}

# Leave out what isn't needed for the failure.
sub shrink
{
	my ($schema, $round) = @_;
	my $tries = 150;

	return unless fails_anew($schema, $round);
	foreach my $part (qw(steps setup paths))
	{
		my $i = @{ $round->{$part} };

		while ($i-- > 0 && $tries > 0)
		{
			next if $part eq 'steps' && $round->{steps}[$i][0] eq 'take';
			my ($left_out) = splice @{ $round->{$part} }, $i, 1;
			$tries--;
			splice @{ $round->{$part} }, $i, 0, $left_out
			  unless fails_anew($schema, $round);
		}
	}
	return;
}

# Rounds. Each schema, and each of its rounds, has a seed of its own.
my ($done, $failed, $schema) = (0, 0);
my $began = time();
my ($folds, $changes) = (0, 0);
my $last = $began;

while ($done < $rounds && $failed < 3)
{
	if ($done % $rounds_a_schema == 0)
	{
		srand($seed + $done);
		$schema = schema();
		make_schema($schema);
		find_assocs($schema);
		add_through($schema);
	}
	srand($seed + $done * 7919 + 1);
	my $round = round($schema);
	my $fault = run_round($schema, $round);
	my ($some, $changed) = split /\|/, $reader->query(
		'SELECT folds, changes FROM client.held;') || '0|0';

	$folds   += $some;
	$changes += $changed;
	$done++;
	if ($fault ne '')
	{
		$failed++;
		diag("CHATROOM_SEED=$seed, round $done: $fault");
		shrink($schema, $round);
		diag("made smaller:\n" . script($schema, $round)
			  . '-- ' . fails_anew($schema, $round));
		$done += $rounds_a_schema - $done % $rounds_a_schema
		  if $done % $rounds_a_schema;
	}
	if (time() - $last > 60)
	{
		$last = time();
		note("$done rounds");
	}
}
note(sprintf('%d rounds in %.0f s, %d folds, of which %d changed the value',
		$done, time() - $began, $folds, $changes));
is($failed, 0, "what fold makes of a value is what preload loads ($rounds rounds, CHATROOM_SEED=$seed)");
cmp_ok($changes, '>', $rounds / 5, 'values changed');
done_testing();
