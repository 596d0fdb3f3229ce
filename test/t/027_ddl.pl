# DDL by command tag: what changes a watched table's rows, names or topics resets
# them, and wakes who waits; what doesn't, leaves them alone.
use strict;
use warnings;
use Chatroom::Test;
use JSON::PP;
use Test::More;

my $node    = chatroom_node('ddl');
my $session = Chatroom::Session->new($node, 'postgres');
my $waiter  = Chatroom::Session->new($node, 'postgres');
my $plain   = 'CREATE TABLE t (id int PRIMARY KEY, n int)';
my $row     = 'INSERT INTO t (id) VALUES (1)';

# Each has a table t that is watched, with a column n; its rows; and a command.
# after: what t is called then; no_key: a row can't be told from others then;
# topic: what to follow, if not all of it; later: what happens then.
my @resets = (
	{ command => 'ALTER TABLE t RENAME n TO m; ALTER TABLE t RENAME m TO n' },
	{ command => 'ALTER TABLE t ADD v int DEFAULT 5' },
	{ command => 'ALTER TABLE t RENAME TO u', after => 'u' },
	{ command => 'ALTER INDEX t RENAME TO u', after => 'u' },
	{ command => 'ALTER VIEW t RENAME COLUMN v TO w', columns => 'v int' },
	{
		command => 'ALTER MATERIALIZED VIEW t RENAME COLUMN v TO w',
		columns => 'v int'
	},
	{
		setup   => 'CREATE SCHEMA old',
		table   => 'old.t',
		command => 'ALTER SCHEMA old RENAME TO new',
		after   => 'new.t'
	},
	{
		setup   => 'CREATE EXTENSION citext; CREATE SCHEMA away',
		extra   => 'ALTER EXTENSION citext ADD TABLE t',
		command => 'ALTER EXTENSION citext SET SCHEMA away; ALTER EXTENSION citext DROP TABLE away.t; DROP EXTENSION citext',
		after   => 'away.t'
	},
	{
		setup   => q{CREATE TYPE mood AS ENUM ('sad', 'ok')},
		columns => q{v mood DEFAULT 'sad'},
		command => q{ALTER TYPE mood RENAME VALUE 'sad' TO 'unhappy'}
	},
	{
		setup   => q{CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN moods AS mood[]},
		columns => q{v moods DEFAULT '{sad}'},
		command => q{ALTER TYPE mood RENAME VALUE 'sad' TO 'unhappy'}
	},
	{
		setup   => q{CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE moods AS RANGE (subtype = mood)},
		columns => q{v moods DEFAULT '[sad,ok)'},
		command => q{ALTER TYPE mood RENAME VALUE 'sad' TO 'unhappy'}
	},
	{
		setup   => 'CREATE TYPE place AS (street text, zip text)',
		columns => q{v place DEFAULT ('x', '1')},
		command => 'ALTER TYPE place DROP ATTRIBUTE street'
	},
	{
		setup   => 'CREATE TYPE place AS (street text, zip text)',
		columns => q{v place[] DEFAULT ARRAY[('x', '1')::place]},
		command => 'ALTER TYPE place RENAME ATTRIBUTE zip TO code'
	},
	{
		setup   => 'CREATE TYPE place AS (zip text); CREATE TYPE home AS (at place)',
		columns => q{v home DEFAULT ROW(ROW('1'))},
		command => 'ALTER TYPE place ADD ATTRIBUTE street text'
	},
	{
		setup   => 'CREATE TYPE shape AS (id int, n int, v int)',
		of      => 'shape',
		command => 'ALTER TYPE shape ALTER ATTRIBUTE v TYPE text CASCADE'
	},
	{
		setup   => 'CREATE TABLE other (zip text)',
		columns => q{v other DEFAULT ROW('1')},
		command => 'ALTER TABLE other RENAME zip TO code'
	},
	{
		setup   => 'CREATE TYPE kind AS (k text); CREATE TYPE place AS (zip text, k kind)',
		columns => q{v place DEFAULT ROW('1', ROW('k'))},
		command => 'DROP TYPE kind CASCADE'
	},
	{
		setup   => q{CREATE TYPE place AS (zip text);
			CREATE FUNCTION show(place) RETURNS json LANGUAGE sql AS 'SELECT to_json(''at '' || ($1).zip)'},
		columns => q{v place DEFAULT ROW('1')},
		command => 'CREATE CAST (place AS json) WITH FUNCTION show(place)'
	},
	{
		setup   => q{CREATE TYPE place AS (zip text);
			CREATE FUNCTION show(place) RETURNS json LANGUAGE sql AS 'SELECT to_json(''at '' || ($1).zip)';
			CREATE CAST (place AS json) WITH FUNCTION show(place)},
		columns => q{v place DEFAULT ROW('1')},
		command => 'DROP CAST (place AS json)'
	},
	{
		setup   => q{CREATE TYPE place AS (zip text);
			CREATE FUNCTION show(place) RETURNS json LANGUAGE sql AS 'SELECT to_json(''at '' || ($1).zip)';
			CREATE CAST (place AS json) WITH FUNCTION show(place)},
		columns => q{v place[] DEFAULT ARRAY[ROW('1')::place]},
		command => 'DROP FUNCTION show CASCADE'
	},
	{
		setup   => 'CREATE TYPE mood AS ENUM ()',
		columns => 'v mood',
		command => 'DROP TYPE mood CASCADE'
	},
	{
		setup   => 'CREATE SCHEMA kinds; CREATE DOMAIN kinds.mood AS text',
		columns => 'v kinds.mood',
		command => 'DROP SCHEMA kinds CASCADE'
	},
	{
		setup   => 'CREATE ROLE leaver; CREATE DOMAIN mood AS text; ALTER DOMAIN mood OWNER TO leaver',
		columns => 'v mood',
		command => 'DROP OWNED BY leaver CASCADE; DROP ROLE leaver'
	},
	{
		setup   => 'CREATE EXTENSION citext',
		columns => q{v citext DEFAULT 'x@y'},
		command => 'DROP EXTENSION citext CASCADE'
	},
	{
		setup   => q{CREATE COLLATION mine FROM "C"},
		columns => q{v text COLLATE mine DEFAULT 'x'},
		command => 'DROP COLLATION mine CASCADE'
	},
	{
		setup   => q{CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2'},
		columns => 'v int GENERATED ALWAYS AS (twice(id)) STORED',
		command => 'DROP FUNCTION twice CASCADE'
	},
	{
		setup   => 'CREATE DOMAIN doc_id AS int',
		table   => 't',
		create  => 'CREATE TABLE t (id doc_id PRIMARY KEY, n int)',
		command => 'DROP DOMAIN doc_id CASCADE',
		no_key  => 1
	},
	{
		create  => 'CREATE TABLE t (id int NOT NULL, n int); CREATE UNIQUE INDEX k ON t (id); ALTER TABLE t REPLICA IDENTITY USING INDEX k',
		command => 'DROP INDEX k',
		no_key  => 1
	},
	{
		create  => 'CREATE TABLE t (id int NOT NULL, n int); CREATE UNIQUE INDEX k ON t (id); ALTER TABLE t REPLICA IDENTITY USING INDEX k',
		command => 'DROP INDEX CONCURRENTLY k',
		no_key  => 1
	},
	{
		setup   => 'CREATE OPERATOR CLASS mine FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int)',
		create  => 'CREATE TABLE t (id int NOT NULL, n int); CREATE UNIQUE INDEX k ON t (id mine); ALTER TABLE t REPLICA IDENTITY USING INDEX k',
		command => 'DROP OPERATOR CLASS mine USING btree CASCADE',
		no_key  => 1
	},
	{
		setup   => 'CREATE TABLE other (id int PRIMARY KEY)',
		columns => 'v int REFERENCES other',
		topic   => 't.v:1',
		command => 'DROP TABLE other CASCADE'
	},
	{
		setup   => 'CREATE TABLE other (id int PRIMARY KEY)',
		columns => 'v int REFERENCES other',
		topic   => 't.v:1',
		command => 'ALTER TABLE other DROP CONSTRAINT other_pkey CASCADE'
	},
	{
		create  => 'CREATE TABLE t (id int, n int) PARTITION BY LIST (n); CREATE TABLE part PARTITION OF t DEFAULT',
		no_key  => 1,
		later   => 'INSERT INTO t VALUES (2, 2)',
		command => 'DROP TABLE part; CREATE TABLE part PARTITION OF t DEFAULT'
	},
	{
		setup   => 'CREATE FOREIGN DATA WRAPPER nobody; CREATE SERVER far FOREIGN DATA WRAPPER nobody',
		create  => 'CREATE TABLE t (id int, n int) PARTITION BY LIST (n); CREATE TABLE part PARTITION OF t DEFAULT',
		no_key  => 1,
		later   => 'INSERT INTO t VALUES (2, 2)',
		command => 'CREATE FOREIGN TABLE f PARTITION OF t FOR VALUES IN (7) SERVER far'
	},
	{ command => 'CREATE POLICY p ON t USING (true)' },
	{ extra   => 'CREATE POLICY p ON t USING (true)', command => 'ALTER POLICY p ON t USING (id > 0)' },
	{ extra   => 'CREATE POLICY p ON t USING (true)', command => 'DROP POLICY p ON t' },
);

my @same = (
	{
		setup   => 'CREATE TYPE mood AS ENUM (\'sad\', \'ok\')',
		columns => q{v mood DEFAULT 'sad'},
		command => [
			q{ALTER TYPE mood ADD VALUE 'new' BEFORE 'sad'}, 'ALTER TYPE mood RENAME TO moods',
			'ALTER TYPE moods OWNER TO CURRENT_USER',        'CREATE SCHEMA kinds',
			'ALTER TYPE moods SET SCHEMA kinds'
		]
	},
	{
		setup   => 'CREATE DOMAIN word AS text',
		columns => q{v word DEFAULT 'x'},
		command => [
			q{ALTER DOMAIN word SET DEFAULT 'y'},       q{ALTER DOMAIN word ADD CHECK (value <> 'z')},
			'ALTER DOMAIN word DROP CONSTRAINT word_check', 'ALTER DOMAIN word RENAME TO words',
			'ALTER DOMAIN words OWNER TO CURRENT_USER'
		]
	},
	{
		setup   => 'CREATE SCHEMA old',
		columns => 'v int DEFAULT 1',
		command => [
			'CREATE UNIQUE INDEX i ON t (v)', 'ALTER INDEX i RENAME TO j',
			'ALTER INDEX j SET (fillfactor = 50)', 'REINDEX TABLE t', 'REINDEX TABLE CONCURRENTLY t',
			'CLUSTER t USING j',              'VACUUM FULL t', 'DROP INDEX CONCURRENTLY IF EXISTS nosuch',
			'CREATE STATISTICS s ON id, n FROM t', 'DROP STATISTICS s', 'ANALYZE t',
			'CREATE VIEW w AS SELECT v FROM t', 'ALTER VIEW w RENAME COLUMN v TO x',
			'CREATE MATERIALIZED VIEW m AS SELECT v FROM t', 'REFRESH MATERIALIZED VIEW m',
			'DROP VIEW w; DROP MATERIALIZED VIEW m',
			'CREATE RULE r AS ON UPDATE TO t DO ALSO NOTHING', 'ALTER RULE r ON t RENAME TO q', 'DROP RULE q ON t',
			'GRANT SELECT ON t TO PUBLIC', q{COMMENT ON TABLE t IS 'x'},
			'ALTER TABLE t ALTER n SET DEFAULT 1, ALTER n SET STATISTICS 5, SET (fillfactor = 70)',
			'ALTER TABLE t OWNER TO CURRENT_USER', 'ALTER SCHEMA old RENAME TO older', 'CREATE TABLE o (v t)', 'DROP TABLE o',
			'CREATE SEQUENCE s', 'ALTER SEQUENCE s OWNED BY t.n', 'DROP SEQUENCE s',
			'CREATE EXTENSION citext', 'ALTER EXTENSION citext UPDATE', 'ALTER EXTENSION citext SET SCHEMA older', 'DROP EXTENSION citext',
			'CREATE TYPE unused AS (a int)', 'ALTER TYPE unused DROP ATTRIBUTE a', 'DROP TYPE unused',
			'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS \'SELECT 1\'', 'ALTER FUNCTION f RENAME TO g', 'DROP FUNCTION g',
			'CREATE CAST (t AS text) WITH INOUT', 'DROP CAST (t AS text)'
		]
	},
	{
		create  => 'CREATE TABLE t (id int NOT NULL, n int); CREATE UNIQUE INDEX k ON t (id); ALTER TABLE t REPLICA IDENTITY USING INDEX k',
		no_key  => 0,
		command => [ 'REINDEX INDEX k', 'REINDEX INDEX CONCURRENTLY k', 'ALTER INDEX k RENAME TO l' ]
	},
);

my $number = 0;

# Run SQL that must not fail.
sub run
{
	my ($sql) = @_;
	my $answer = $session->query($sql);

	die "$sql: " . $session->error if $session->error =~ /ERROR|WARNING/;
	return $answer;
}

# Make a case's table, watched and with a row; returns the cursor behind that.
sub prepare
{
	my ($case) = @_;
	my $table = $case->{table} // 't';
	my $columns = $case->{columns} ? ", $case->{columns}" : '';
	my $create = $case->{create}
	  // ($case->{of} ? "CREATE TABLE t OF $case->{of} (PRIMARY KEY (id))" : "CREATE TABLE $table (id int PRIMARY KEY, n int$columns)");

	$number++;
	run("CREATE SCHEMA c$number; SET search_path = c$number; SET client_min_messages = warning");
	run($case->{setup}) if $case->{setup};
	run($create);
	run("SELECT chatroom.watch('$table')");
	run("INSERT INTO $table (id, n) VALUES (1, 1)");
	run($case->{extra}) if $case->{extra};
	return run('SELECT chatroom.snapshot_cursor()');
}

# Begin to wait for a topic of the table.
sub begin_wait
{
	my ($case, $cursor) = @_;
	my $topic = run("SELECT chatroom.topic('" . ($case->{table} // 't') . "')");

	$topic = "c$number.$case->{topic}" if $case->{topic};
	$waiter->send("CALL chatroom.wait('{$topic}', '$cursor', '3min')");
	poll_until('it waits', sub { $waiter->done; status($node, 'waiting') eq '1' });
	return;
}

# Was the waiter told that all may be different, or that the topic is no more?
sub wait_told
{
	my ($case) = @_;
	my $answer = $waiter->answer;

	return ($case->{after} || $case->{topic}) && $waiter->error =~ /55000/
	  if $answer eq '';
	return decode_json($answer)->{reset};
}

# How many rows are cached, and how many of them otherwise than they are?
sub cached
{
	my ($table) = @_;

	run('SELECT chatroom.snapshot_cursor()');
	return run("SELECT count(c), count(c) FILTER (WHERE c::jsonb <> row_to_json(t)::jsonb) FROM $table AS t, chatroom.cached('$table', to_jsonb(id)) AS c");
}

sub finish
{
	run("SET client_min_messages = error; DROP SCHEMA IF EXISTS new, away, kinds, old, older CASCADE; DROP SCHEMA c$number CASCADE; DROP SERVER IF EXISTS far CASCADE; DROP FOREIGN DATA WRAPPER IF EXISTS nobody CASCADE");
	return;
}

foreach my $case (@resets)
{
	my $name = $case->{command};
	my $table = $case->{after} // $case->{table} // 't';

	begin_wait($case, prepare($case));
	run($name);
	ok(wait_told($case), "$name: a reset");
	is(cached($table), '0|0', '... of what is cached') unless $case->{no_key};
	my $cursor = run('SELECT chatroom.snapshot_cursor()');
	run($case->{later} // "UPDATE $table SET n = 2");
	is(cached($table), '1|0', '... and what comes then is as it is') unless $case->{no_key};
	run('SELECT chatroom.snapshot_cursor()');
	my $answer = decode_json(run("SELECT chatroom.sync(chatroom.topic('$table'), '$cursor')"));
	ok(!$answer->{reset} && @{ $answer->{events} }, '... and goes on');
	finish();
}

foreach my $case (@same)
{
	my $cursor = prepare($case);

	foreach my $command (@{ $case->{command} })
	{
		run($command);
		run('SELECT chatroom.snapshot_cursor()');
		my $answer = decode_json(run("SELECT chatroom.sync('c$number.t', '$cursor')"));
		ok(!$answer->{reset}, "$command: no reset");
		is(cached('t'), '1|0', '... and a row is as it was');
	}
	begin_wait($case, $cursor);
	run('UPDATE t SET n = 2');
	my $answer = decode_json($waiter->answer);
	is(scalar @{ $answer->{events} }, 1, 'and what comes then is told');
	finish();
}

# Children that CREATE SCHEMA makes speak in their parent's name.
my $cursor = prepare({});
run("CREATE SCHEMA kinds CREATE TABLE child () INHERITS (c$number.t)");
run('INSERT INTO kinds.child VALUES (2)');
run('SELECT chatroom.snapshot_cursor()');
my $answer = decode_json(run("SELECT chatroom.sync('c$number.t', '$cursor')"));
is_deeply([ map { $_->{key}{id} } @{ $answer->{events} } ], [2], 'a child made by CREATE SCHEMA is watched');
finish();

done_testing();
