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
CREATE TABLE tags (id int PRIMARY KEY);
CREATE TABLE doc_tags (doc_id int REFERENCES doc, tag_id int REFERENCES tags, PRIMARY KEY (doc_id, tag_id));
CREATE TABLE kinds (id int PRIMARY KEY);
CREATE TABLE owners (id int PRIMARY KEY);
CREATE TABLE things (id int PRIMARY KEY, owner_id int REFERENCES owners, kind_id int REFERENCES kinds);
SELECT chatroom.add_assoc('owners', 'kinds', '{"through": ["things", "kind"]}');
SELECT chatroom.watch_assocs('doc', '{tags}'), chatroom.watch_assocs('owners', '{kinds}');
INSERT INTO kinds SELECT generate_series(1, 150000);
INSERT INTO owners VALUES (1);
SET session_replication_role = replica;
INSERT INTO things SELECT g, 1, g FROM generate_series(1, 150000) g;
RESET session_replication_role;
CREATE INDEX ON things (owner_id);
ANALYZE;
-- one document's tags come and go
CREATE FUNCTION tagged(type text, side text, first int, last int) RETURNS SETOF json LANGUAGE sql AS $$
	SELECT json_build_object('cursor', 'x', 'type', type, 'topics', '["public.doc_tags"]'::json, 'table', 'public.doc_tags',
		'key', json_build_object('doc_id', 1, 'tag_id', g), side, json_build_object('doc_id', 1, 'tag_id', g), 'at', now())
	FROM generate_series(first, last) g $$;
CREATE TABLE js (id int PRIMARY KEY, j jsonb);
SELECT chatroom.add_rule('js', 'j', 'subset', jsonb_build_object('in', (SELECT jsonb_agg('value ' || g) FROM generate_series(1, 100000) g)));
CREATE FUNCTION one(results jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '1'::jsonb $$;
SELECT chatroom.allow_call('public.one(jsonb)', 'public');
INSERT INTO r SELECT 7, jsonb_agg(jsonb_build_object('id', g, 'u', 'xx')) FROM generate_series(1, 100000) g;
INSERT INTO r SELECT 8, jsonb_agg('{"id": 1, "u": "xx"}'::jsonb) FROM generate_series(1, 100000) g;
SQL

# The most memory that a session has had, in kB, of the server's buffers as well.
my $peak = q{SELECT 'peak ' || substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s*(\d+)')};
my $linux = -e '/proc/self/status';

# What grows with the square takes many minutes of this.
sub in_time
{
	my ($name, $sql, $wanted) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "SET statement_timeout = '100s'; $sql" . ($linux ? "; $peak" : ''));
	my $memory = $out =~ s/\n?peak (\d+)$// ? $1 : undef;

	is($err . $out, $wanted, $name);
	cmp_ok($memory, '<', 1024 * 1024, "$name: memory") if $linux && $err eq '';
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
in_time('many of one row come and go', <<'SQL', '100000|30001|130000');
INSERT INTO tags SELECT generate_series(1, 130000);
SELECT jsonb_array_length(f -> 'tags'), f #>> '{tags,0,id}', f #>> '{tags,-1,id}'
	FROM chatroom.fold((SELECT jsonb_build_object('id', 1, 'n', 1, 'r_id', NULL, 'tags', jsonb_agg(jsonb_build_object('id', g))) FROM generate_series(1, 100000) g),
		(SELECT json_build_object('cursor', 'x', 'reset', false, 'more', false, 'events', json_agg(e))
			FROM (SELECT tagged('delete', 'old', 1, 30000) UNION ALL SELECT tagged('insert', 'row', 100001, 130000)) t (e)), 'doc', '{tags}') f;
SQL
in_time('many through others', <<'SQL', 150000);
SELECT jsonb_array_length(chatroom.assoc('{"id": 1}', 'owners', 'kinds'));
SQL
in_time('many through others, of which one comes', <<'SQL', 150000);
SELECT jsonb_array_length(chatroom.fold('{"id": 1, "kinds": []}', '{"cursor": "x", "reset": false, "more": false, "events": [{"cursor": "x", "type": "insert", "topics": ["public.things"],
	"table": "public.things", "key": {"id": 1}, "row": {"id": 1, "owner_id": 1, "kind_id": 1}, "at": "2026-01-01T00:00:00Z"}]}', 'owners', '{kinds}') -> 'kinds');
SQL
in_time('many values of a long list', <<'SQL', 'true');
SELECT chatroom.changeset('js', jsonb_build_object('id', 1, 'j', (SELECT jsonb_agg('value ' || g) FROM generate_series(100000, 1, -1) g))) -> 'valid';
SQL
in_time('many calls, each of what came before', <<'SQL', 2000);
SELECT count(*) FROM jsonb_object_keys(chatroom.multi((SELECT jsonb_agg(jsonb_build_object('name', 'op' || g, 'op', 'call', 'function', 'public.one')) FROM generate_series(1, 2000) g)) -> 'ok');
SQL
in_time('many topics, and many times the same', <<'SQL', "0\n0");
SELECT json_array_length(chatroom.sync_many((SELECT array_agg('topic ' || g) FROM generate_series(1, 10000) g), NULL) -> 'events');
SELECT json_array_length(chatroom.sync_many(array_fill('topic'::text, '{10000}'), NULL) -> 'events');
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
