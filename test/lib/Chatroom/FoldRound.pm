# Chatroom::FoldRound: random tables, values and transactions, to see whether
# chatroom.fold() keeps a value what chatroom.preload() would load.
#
#   my $schema = Chatroom::FoldRound::schema();   DDL, tables, associations
#   my $round  = Chatroom::FoldRound::round($schema);
#   script($schema, $round)                       as SQL for people to read
#
# All is made with rand(): srand() decides. Steps are of these forms:
#
#   [ write => SESSION, SQL ]   SESSION 0 and 1 in transactions, 2 without
#   [ take ]                    the client loads its value
#   [ fold ]                    the client brings it up to date
#   [ race => SESSION, SQL ]    both at the same time
#   [ check ]                   the same, and compares
package Chatroom::FoldRound;

use strict;
use warnings;
use Exporter 'import';

our @EXPORT_OK = qw(schema round script);

sub pick { return $_[ int rand @_ ]; }
sub chance { return rand() < $_[0]; }

# --------------------------------------------------------------- the tables

my @deletes = ('CASCADE', 'SET NULL', 'NO ACTION', 'CASCADE');

# Columns of a table's key, and of a foreign key that refers to it.
sub key_columns { return $_[0]{composite} ? qw(g id) : qw(id); }

sub key_type
{
	my ($table) = @_;
	return $table->{text} ? 'text' : $table->{big} ? 'bigint' : 'int';
}

# The SQL of a key's values.
sub key_values
{
	my ($table, $id) = @_;

	return map { 'NULL' } key_columns($table) unless defined $id;
	return ($id % 2, $id) if $table->{composite};
	return $table->{text} ? "'k$id'" : $id;
}

# The SQL of a reference's values: a row that is there, if any is.
sub ref_values
{
	my ($table, $id) = @_;

	return key_values($table) unless defined $id;
	my $wanted = (key_values($table, $id))[-1];
	return
	  map { "(SELECT $_ FROM $table->{name} ORDER BY id <> $wanted, id LIMIT 1)" }
	  key_columns($table);
}

sub make_table
{
	my ($number) = @_;
	my $kind = rand();

	return {
		name      => "t$number",
		composite => $kind < 0.12,
		text      => $kind >= 0.12 && $kind < 0.22,
		big       => chance(0.3),
		refs      => [],
		next      => 9,
	};
}

# Give a table a foreign key.
sub add_reference
{
	my ($from, $to, $unique) = @_;
	my $number = @{ $from->{refs} } + 1;
	my @columns = map { $_ eq 'id' ? "b${number}_id" : "b${number}_$_" }
	  key_columns($to);

	push @{ $from->{refs} },
	  {
		to      => $to,
		columns => \@columns,
		delete  => pick(@deletes),
		unique  => $unique
	  };
}

sub create_table
{
	my ($table) = @_;
	my @columns = map { "$_ " . ($_ eq 'g' ? 'int' : key_type($table)) }
	  key_columns($table);

	foreach my $ref (@{ $table->{refs} })
	{
		my @types = map { $_ eq 'g' ? 'int' : key_type($ref->{to}) }
		  key_columns($ref->{to});
		push @columns, map { "$ref->{columns}[$_] $types[$_]" } 0 .. $#types;
	}
	push @columns, 'n int', 's text', 'flag boolean NOT NULL DEFAULT true',
	  'at timestamptz', 'uid serial';
	push @columns, 'PRIMARY KEY (' . join(', ', key_columns($table)) . ')';
	return "CREATE TABLE $table->{name} (" . join(', ', @columns) . ')';
}

sub create_references
{
	my ($table) = @_;
	my @sql;

	foreach my $ref (@{ $table->{refs} })
	{
		my $columns = join ', ', @{ $ref->{columns} };

		push @sql, "ALTER TABLE $table->{name} ADD FOREIGN KEY ($columns)"
		  . " REFERENCES $ref->{to}{name} ON UPDATE CASCADE"
		  . " ON DELETE $ref->{delete}";
		push @sql, "CREATE UNIQUE INDEX ON $table->{name} ($columns)"
		  if $ref->{unique};
	}
	return @sql;
}

# A table between two others: with a key of both, of its own, or of none.
sub create_join
{
	my ($join) = @_;
	my (@columns, @all);

	foreach my $side (0, 1)
	{
		my $to = $join->{to}[$side];
		my @names = map { ('l', 'r')[$side] . "_$_" } key_columns($to);
		my @types = map { $_ eq 'g' ? 'int' : key_type($to) } key_columns($to);

		push @columns, map { "$names[$_] $types[$_] NOT NULL" } 0 .. $#names;
		push @columns, 'FOREIGN KEY (' . join(', ', @names) . ')'
		  . " REFERENCES $to->{name} ON UPDATE CASCADE ON DELETE CASCADE";
		push @all, @names;
		$join->{columns}[$side] = \@names;
	}
	my $all = join ', ', @all;
	unshift @columns, 'id serial PRIMARY KEY' if $join->{kind} =~ /own/;
	push @columns, "PRIMARY KEY ($all)" if $join->{kind} eq 'pair';
	push @columns, "UNIQUE ($all)" if $join->{kind} =~ /unique/;
	return "CREATE TABLE $join->{name} (" . join(', ', @columns) . ')';
}

# Conditions: as JSON, and as SQL.
sub condition
{
	my ($table) = @_;
	my @simple = (
		[ '"flag": true',                    'flag' ],
		[ '"n": {"less_than": 3}',           'n < 3' ],
		[ '"n": {"greater_than_or_equal_to": 2}', 'n >= 2' ],
		[ '"s": ["a", "c", null]',           "(s IN ('a', 'c') OR s IS NULL)" ],
		[ '"n": null',                       'n IS NULL' ],
		[ '"n": {"not": 2}',                 'n <> 2' ],
		[ '"n": {"not_in": [1, 4]}',         'n NOT IN (1, 4)' ],
		[ '"s": {"not": null}',              's IS NOT NULL' ],
		[ '"s": "b"',                        "s = 'b'" ]);
	my ($ref) = grep { @{ $_->{columns} } == 1 } @{ $table->{refs} };

	if ($ref && chance(0.3))
	{
		my ($value) = key_values($ref->{to}, 1 + int rand 3);
		(my $json = $value) =~ tr/'/"/;
		return [ "\"$ref->{columns}[0]\": $json",
			"$ref->{columns}[0] = $value" ];
	}
	return pick(@simple);
}

my @orders = (
	[ '["n"]', 'n' ],
	[ '[{"desc": "n"}]', 'n DESC' ],
	[ '[{"desc_nulls_last": "s"}, "n"]', 's DESC NULLS LAST, n' ],
	[ '["at"]', 'at' ],
	[ '[{"asc_nulls_first": "s"}]', 's NULLS FIRST' ]);

# Associations that are named: conditions, orders, one of several, through.
sub named_associations
{
	my ($schema) = @_;
	my @sql;
	my $count = 0;

	foreach my $table (@{ $schema->{tables} })
	{
		foreach my $ref (@{ $table->{refs} })
		{
			my @params;

			next unless chance(0.3);
			push @params, '"where": {' . condition($table)->[0] . '}'
			  if chance(0.6);
			push @params, '"order": ' . pick(@orders)->[0] if chance(0.5);
			push @params, '"kind": "' . (chance(0.2) ? 'has_one' : 'has_many') . '"';
			push @sql, "SELECT chatroom.add_assoc('$ref->{to}{name}', 'x"
			  . ++$count . "', '{"
			  . join(', ', "\"relation\": \"$table->{name}\"",
				'"foreign_key": [' . join(', ', map { "\"$_\"" } @{ $ref->{columns} }) . ']',
				@params)
			  . "}')";
		}
	}
	foreach my $join (@{ $schema->{joins} })
	{
		next unless chance(0.3);
		my ($l, $r) = @{ $join->{to} };
		my $where = chance(0.5) ?
		  ', "where": {' . condition($r)->[0] . '}' : '';
		my $order = chance(0.5) ? ', "order": ' . pick(@orders)->[0] : '';

		push @sql, "SELECT chatroom.add_assoc('$l->{name}', 'x" . ++$count
		  . "', '{\"relation\": \"$r->{name}\", \"join_through\":"
		  . " \"$join->{name}\", \"foreign_key\": ["
		  . join(', ', map { "\"$_\"" } @{ $join->{columns}[1] })
		  . "], \"kind\": \"many_to_many\"$where$order}')";
	}
	return @sql;
}

# A schema: its tables and the SQL that makes them.
sub schema
{
	my %schema = (tables => [], joins => [], sql => []);
	my @tables = map { make_table($_) } 1 .. 1 + int rand 6;
	my $sql = $schema{sql};

	$schema{tables} = \@tables;
	foreach my $table (@tables)
	{
		foreach (1 .. int rand 4)
		{
			last if @{ $table->{refs} } == 3;
			add_reference($table, chance(0.25) ? $table : pick(@tables),
				chance(0.15));
		}
	}
	foreach my $number (1 .. pick(0, 1, 1, 2))
	{
		push @{ $schema{joins} },
		  {
			name => "j$number",
			to   => [ pick(@tables), pick(@tables) ],
			kind => pick('pair', 'pair', 'own unique', 'own', 'keyless unique')
		  };
	}
	push @$sql, map { create_table($_) } @tables;
	push @$sql, map { create_references($_) } @tables;
	push @$sql, map { create_join($_) } @{ $schema{joins} };
	foreach my $table (@tables)
	{
		my $options = '';

		$options = ", columns => '{" . join(',', key_columns($table), 'n', 'flag') . "}'"
		  if chance(0.1);
		push @$sql, "SELECT chatroom.watch('$table->{name}'$options)";
	}
	push @$sql, map { "SELECT chatroom.watch('$_->{name}')" } @{ $schema{joins} };
	push @$sql, named_associations(\%schema);
	foreach my $table (@tables)
	{
		$table->{shown} = [ key_columns($table),
			(map { @{ $_->{columns} } } @{ $table->{refs} }),
			qw(n s flag at uid) ];
		if (chance(0.05))
		{
			$table->{shown} = [ grep { $_ ne 's' || chance(0.5) } @{ $table->{shown} } ];
			push @$sql, "GRANT SELECT (" . join(', ', @{ $table->{shown} })
			  . ") ON $table->{name} TO reader";
		}
		else
		{
			push @$sql, "GRANT SELECT ON $table->{name} TO reader";
		}
		if (chance(0.12))
		{
			push @$sql, "ALTER TABLE $table->{name} ENABLE ROW LEVEL SECURITY",
			  "CREATE POLICY p ON $table->{name} USING (flag OR n > 3)";
		}
	}
	push @$sql, map { "GRANT SELECT ON $_->{name} TO reader" } @{ $schema{joins} };
	return \%schema;
}

# ------------------------------------------------------------------- writes

sub text_value { return chance(0.2) ? 'NULL' : "'" . pick(qw(a b c d)) . "'"; }
sub int_value { return chance(0.2) ? 'NULL' : int rand 6; }

# An id that is likely to be there.
sub old_id { return 1 + int rand($_[0]{next} + 1); }

sub where_keys
{
	my ($table, @ids) = @_;

	return '(' . join(', ', key_columns($table)) . ') IN ('
	  . join(', ', map { '(' . join(', ', key_values($table, $_)) . ')' } @ids)
	  . ')';
}

sub insert_row
{
	my ($table, $id) = @_;
	my @values = key_values($table, $id);

	push @values, ref_values($_->{to}, chance(0.15) ? undef : old_id($_->{to}))
	  foreach @{ $table->{refs} };
	push @values, int_value(), text_value(), pick('true', 'true', 'false'),
	  chance(0.3) ? 'NULL' : "'2024-01-0" . (1 + int rand 4) . " 12:00Z'";
	my @columns = (key_columns($table),
		(map { @{ $_->{columns} } } @{ $table->{refs} }), qw(n s flag at));
	return "INSERT INTO $table->{name} (" . join(', ', @columns)
	  . ') VALUES (' . join(', ', @values) . ')';
}

sub update_row
{
	my ($table, $keys_change) = @_;
	my @ids = map { old_id($table) } 1 .. 1 + int rand 3;
	my $what = rand();
	my @set;

	if ($what < 0.5 && @{ $table->{refs} })
	{
		my $ref = pick(@{ $table->{refs} });
		my @values = ref_values($ref->{to}, chance(0.2) ? undef : old_id($ref->{to}));
		push @set, map { "$ref->{columns}[$_] = $values[$_]" } 0 .. $#values;
		@ids = $ids[0] if $ref->{unique};
	}
	elsif ($what < 0.6 && $keys_change)
	{
		my @columns = key_columns($table);
		my @values = key_values($table, $table->{next}++);
		push @set, map { "$columns[$_] = $values[$_]" } 0 .. $#values;
		@ids = $ids[0];
	}
	elsif ($what < 0.75) { push @set, 'flag = NOT flag'; }
	push @set, 'n = ' . int_value() if !@set || chance(0.5);
	push @set, 's = ' . text_value() if chance(0.3);
	return "UPDATE $table->{name} SET " . join(', ', @set) . ' WHERE '
	  . where_keys($table, @ids);
}

sub write_join
{
	my ($join) = @_;
	my @values = map { [ ref_values($_, old_id($_)) ] } @{ $join->{to} };
	my @columns = @{ $join->{columns} };
	my $same = join ' AND ', map {
		my $side = $_;
		map { "$columns[$side][$_] = $values[$side][$_]" }
		  0 .. $#{ $columns[$side] }
	} chance(0.6) ? (0, 1) : (pick(0, 1));
	my $what = rand();

	return "INSERT INTO $join->{name} ("
	  . join(', ', map { @$_ } @columns) . ') VALUES ('
	  . join(', ', map { @$_ } @values) . ')'
	  if $what < 0.55;
	return "DELETE FROM $join->{name} WHERE $same" if $what < 0.8;
	my $side = pick(0, 1);
	my @new = ref_values($join->{to}[$side], old_id($join->{to}[$side]));
	return "UPDATE $join->{name} SET "
	  . join(', ', map { "$columns[$side][$_] = $new[$_]" } 0 .. $#new)
	  . " WHERE $same";
}

sub write_something
{
	my ($schema, $round) = @_;
	my $table = pick(@{ $schema->{tables} });
	my $what = rand();

	return write_join(pick(@{ $schema->{joins} }))
	  if @{ $schema->{joins} } && chance(0.25);
	return insert_row($table,
		$round->{reuse} && chance(0.3) ? old_id($table) : $table->{next}++)
	  if $what < 0.35;

	# a single row is lost when its key changes twice from answer to answer
	return update_row($table, !$round->{single} || !$round->{keys_changed}++)
	  if $what < 0.83;
	return "DELETE FROM $table->{name} WHERE "
	  . where_keys($table, map { old_id($table) } 1 .. pick(1, 1, 2))
	  if $what < 0.99;
	return "TRUNCATE $table->{name} CASCADE";
}

# ------------------------------------------------------------------ a round

# What the client holds: SQL that loads its rows, and fold's arguments.
sub choose_value
{
	my ($schema, $round) = @_;
	my $table = $round->{table} = pick(@{ $schema->{tables} });
	my @columns = @{ $table->{shown} };
	my @order = key_columns($table);
	my $kind = rand();
	my (@options, $where, $limit);

	# a list that is empty doesn't tell which columns it is of
	if ($kind < 0.2)
	{
		@columns = grep { $_ ne 'at' } @columns if chance(0.3);
		$round->{single} = 1;
		$where = where_keys($table, 1 + int rand 4);
	}
	elsif ($kind < 0.75)
	{
		if (chance(0.6))
		{
			my $condition = chance(0.2) ? [ '', 'true' ] : condition($table);
			push @options, "\"where\": {$condition->[0]}";
			$where = $condition->[1];
		}
		if (chance(0.6))
		{
			my $order = pick(@orders);
			push @options, "\"order\": $order->[0]";
			unshift @order, $order->[1];
			$round->{ordered} = 1;
		}
		if (chance(0.4))
		{
			$limit = pick(1, 2, 3, 5);
			push @options, "\"limit\": $limit";
			$round->{ordered} = 1;
		}
		# columns that the options are about must be there
		@columns = @{ $table->{shown} };
		my $text = "@options";
		my %shown = map { $_ => 1 } @columns;
		if (grep { $text =~ /"$_"/ && !$shown{$_} } qw(s at n))
		{
			@options = ();
			($where, $limit) = ();
			@order = key_columns($table);
			$round->{ordered} = 0;
		}
	}
	$round->{defined} = grep { /"where"|"limit"/ } @options;
	$round->{reuse} = !$round->{single};
	$round->{options} = '{' . join(', ', @options) . '}';
	my $rows = 'SELECT ' . join(', ', @columns) . " FROM $table->{name}"
	  . ($where ? " WHERE $where" : '') . ' ORDER BY ' . join(', ', @order)
	  . ($limit ? " LIMIT $limit" : '');
	$round->{rows} = $round->{single} ?
	  "SELECT to_jsonb(t) FROM ($rows) AS t"
	  : "SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]') FROM ($rows) AS t";
	return;
}

# Paths of associations, from what chatroom.assocs says of the schema.
sub choose_paths
{
	my ($schema, $round) = @_;
	my %paths;

	foreach (1 .. pick(0, 1, 1, 2, 2, 3))
	{
		my $table = $round->{table}{name};
		my @path;

		foreach (1 .. 1 + int rand 3)
		{
			my @choices = @{ $schema->{assocs}{$table} // [] };
			last unless @choices;
			my $choice = pick(@choices);
			push @path, $choice->{name};
			$table = $choice->{to};
		}
		$paths{ join '.', @path } = 1 if @path;
	}
	$round->{paths} = [ sort keys %paths ];
	return;
}

# A round: rows to begin with, and steps.
sub round
{
	my ($schema) = @_;
	my %round = (setup => [], steps => []);
	my @steps;

	$_->{next} = 5 foreach @{ $schema->{tables} };
	foreach my $id (1 .. 4)
	{
		push @{ $round{setup} }, map { insert_row($_, $id) } @{ $schema->{tables} };
	}
	push @{ $round{setup} }, map { update_row($_, 0) } @{ $schema->{tables} }, @{ $schema->{tables} };
	push @{ $round{setup} }, map { my $join = $_; map { write_join($join) } 1 .. 5 }
	  @{ $schema->{joins} };
	choose_value($schema, \%round);
	choose_paths($schema, \%round);

	push @steps, [ write => 0, write_something($schema, \%round) ]
	  foreach 1 .. int rand 3;
	push @steps, ['take'];
	foreach my $phase (1 .. 1 + int rand 3)
	{
		foreach (1 .. 1 + int rand 8)
		{
			push @steps,
			  [ write => pick(0, 1, 2), write_something($schema, \%round) ];
			push @steps, ['fold'] if chance(0.05);
			push @steps, [ race => 2, write_something($schema, \%round) ]
			  if chance(0.1);
		}
		push @steps, [ write => pick(0, 1), pick('COMMIT', 'COMMIT', 'ROLLBACK') ]
		  if chance(0.7);
		push @steps, ['check'];
	}
	push @steps, [ write => 0, 'COMMIT' ], [ write => 1, 'COMMIT' ], ['check'];
	$round{steps} = \@steps;
	return \%round;
}

# The round as SQL.
sub script
{
	my ($schema, $round) = @_;
	my $paths = join ',', @{ $round->{paths} };
	my @lines = ('CREATE SCHEMA fuzz; SET search_path = fuzz;',
		(map { "$_;" } @{ $schema->{sql} }, @{ $round->{setup} }));

	foreach my $step (@{ $round->{steps} })
	{
		my ($what, $session, $sql) = @$step;

		push @lines, $what eq 'write' || $what eq 'race' ?
		  "/* session $session"
		  . ($what eq 'race' ? ', while the client folds' : '') . " */ $sql;"
		  : $what eq 'take' ?
		  "-- take: SELECT chatroom.preload(($round->{rows}), '$round->{table}{name}', '{$paths}'), chatroom.snapshot_cursor()"
		  : "-- $what: chatroom.fold(value, chatroom.sync_many(topics_for(...), cursor), '$round->{table}{name}', '{$paths}', '$round->{options}')";
	}
	return join("\n", @lines) . "\n";
}

1;
