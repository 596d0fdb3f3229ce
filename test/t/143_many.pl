# Functions that take lists and objects take 100,000 of everything, or say how many
# they take, in a time that grows no faster than n log n; and they can be cancelled.
use strict;
use warnings;
use Chatroom::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chatroom_node('many');

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE r (id int PRIMARY KEY, j jsonb);
SELECT chatroom.add_rule('r', 'j', 'embed', '{"many": true, "on_replace": "delete", "rules": [{"field": "u", "validation": "required"}]}');
CREATE TABLE s (id int PRIMARY KEY, up int REFERENCES s);
CREATE TABLE doc (id int PRIMARY KEY, n int, r_id int REFERENCES r);
SELECT chatroom.watch('doc');
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (id int PRIMARY KEY, n int, parent_id int REFERENCES parents);
CREATE INDEX ON children (parent_id);
SELECT chatroom.add_assoc('parents', 'children', '{"on_replace": "delete"}');
INSERT INTO parents VALUES (1);
INSERT INTO children SELECT g, g, 1 FROM generate_series(1, 5000) g;
-- events of inserts as an answer has them
CREATE FUNCTION answer(n int, first int) RETURNS json LANGUAGE sql AS $$
	SELECT json_build_object('cursor', 'x', 'reset', false, 'more', false, 'events',
		json_agg(json_build_object('cursor', 'x', 'type', 'insert', 'topics', '["public.doc"]'::json, 'table', 'public.doc',
			'key', json_build_object('id', g), 'row', json_build_object('id', g, 'n', g, 'r_id', NULL), 'at', now()) ORDER BY g))
	FROM generate_series(first, first + n - 1) g $$;
CREATE FUNCTION docs(n int) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_agg(jsonb_build_object('id', g, 'n', g, 'r_id', NULL)) FROM generate_series(1, n) g $$;
INSERT INTO r SELECT 7, jsonb_agg(jsonb_build_object('id', g, 'u', 'xx')) FROM generate_series(1, 100000) g;
INSERT INTO r SELECT 8, jsonb_agg('{"id": 1, "u": "xx"}'::jsonb) FROM generate_series(1, 100000) g;
SQL

# What grows with the square takes many minutes of this.
sub in_time
{
	my ($name, $sql, $wanted) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "SET statement_timeout = '100s'; $sql");

	is($err . $out, $wanted, $name);
}

in_time('an embed of many, reversed', <<'SQL', 100000);
SELECT jsonb_array_length(chatroom.update('r', '7', jsonb_build_object('j', (SELECT jsonb_agg(jsonb_build_object('id', g, 'u', 'yy')) FROM generate_series(100000, 1, -1) g))) #> '{ok,j}');
SQL
in_time('an embed of many that are alike', <<'SQL', 100000);
SELECT jsonb_array_length(chatroom.update('r', '8', jsonb_build_object('j', (SELECT jsonb_agg('{"id": 1, "u": "yy"}'::jsonb) FROM generate_series(1, 100000) g))) #> '{ok,j}');
SQL
in_time('many permitted paths, and as many attributes', <<'SQL', '{"j": [{"u": 1}]}');
SELECT chatroom.changeset('r', (SELECT jsonb_object_agg('a' || g, g) || '{"j": [{"u": 1, "v": 2}]}' FROM generate_series(1, 100000) g), NULL,
	(SELECT array_agg('j.a' || g) || '{j.u}' FROM generate_series(1, 100000) g)) -> 'changes';
SQL
in_time('many rows given with another', <<'SQL', 5000);
SELECT jsonb_array_length(chatroom.update('parents', '1', jsonb_build_object('children', (SELECT jsonb_agg(jsonb_build_object('id', g, 'n', -g)) FROM generate_series(5000, 1, -1) g))) #> '{ok,children}');
SQL
in_time('many references of an operation', <<'SQL', 100001);
SELECT count(*) FROM jsonb_object_keys(chatroom.multi(jsonb_build_array('{"name": "v", "op": "put", "value": 1}'::jsonb, jsonb_build_object('name', 'x', 'op', 'put', 'value', '{"y": 0}'::jsonb,
	'refs', (SELECT jsonb_object_agg('value.k' || g, 'v') FROM generate_series(1, 100000) g)))) #> '{ok,x}');
SQL
in_time('many operations', <<'SQL', 10000);
SELECT count(*) FROM jsonb_object_keys(chatroom.multi((SELECT jsonb_agg(jsonb_build_object('name', 'op' || g, 'op', 'put', 'value', g)) FROM generate_series(1, 10000) g)) -> 'ok');
SQL
in_time('more operations than there may be', <<'SQL', 'psql:<stdin>:1: ERROR:  more than 10000 operations');
SELECT chatroom.multi((SELECT jsonb_agg(jsonb_build_object('name', 'op' || g, 'op', 'put', 'value', g)) FROM generate_series(1, 100000) g));
SQL
in_time('many rows into a list', <<'SQL', 200000);
SELECT jsonb_array_length(chatroom.fold(docs(100000), answer(100000, 100001), 'doc'));
SQL
in_time('many rows into a list, each before the others', <<'SQL', '200000|200000');
SELECT jsonb_array_length(f), f #>> '{0,id}' FROM chatroom.fold((SELECT jsonb_agg(d ORDER BY (d ->> 'id')::int DESC) FROM jsonb_array_elements(docs(100000)) d), answer(100000, 100001), 'doc', '{}', '{"where": {}, "order": [{"desc": "id"}]}') f;
SQL
in_time('many long paths to watch', <<'SQL', '{public.s}');
SELECT chatroom.watch_assocs('s', array_fill(rtrim(repeat('s.', 500), '.'), ARRAY[10000]));
SQL

# A call that takes long ends when it is cancelled.
my ($status, $out, $err) = $node->psql('postgres', <<'SQL');
SET statement_timeout = '300ms';
SELECT chatroom.watch_assocs('s', (SELECT array_agg(rtrim(repeat('s.', 100), '.') || repeat('.s', g % 397) || repeat(' ', g / 397)) FROM generate_series(1, 100000) g));
SQL
like($err, qr/canceling statement due to statement timeout/, 'long paths to watch are cancelled');

$node->stop;
done_testing();
