-- Names and values that try to be SQL, patterns or JSON, in every place where a
-- client may put a string: they are data, or an error that says what is wrong
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
CREATE SCHEMA inj;
SET search_path = inj;
\pset format unaligned
\pset tuples_only on
CREATE TABLE users (id int PRIMARY KEY, name text UNIQUE, n int DEFAULT 0, a text[], j jsonb, b bytea, d date);
CREATE TABLE posts (id serial PRIMARY KEY, user_id int REFERENCES users, title text);
INSERT INTO users VALUES (1, 'ann');
INSERT INTO posts VALUES (1, 1, 'first');
-- counts, also where all else is rolled back, what was executed
CREATE SEQUENCE fired;
CREATE TABLE hostile (i serial, s text);
INSERT INTO hostile (s) VALUES
	(''''), ('"'), ('\'), ('\'''), (''), (' '), (E'\n'), ('%'), ('%s%n%{x}'), ('$1'), ('$$'), ('{'), ('}]'), ('"}], "x": "'), ('.'), ('a.b.c.d'), ('*'), ('(') , (E'\u202e👍'),
	('''); SELECT nextval(''inj.fired''); --'),
	('"); SELECT nextval(''inj.fired''); --'),
	('1; SELECT nextval(''inj.fired''); --'),
	(''' || nextval(''inj.fired'') || '''),
	('" = nextval(''inj.fired'') OR "'),
	('id = nextval(''inj.fired'')'),
	('nextval(''inj.fired'')'),
	('(SELECT nextval(''inj.fired''))'),
	('\''; SELECT nextval(\''inj.fired\''); --'),
	('*/ SELECT nextval(''inj.fired''); /*'),
	('$$; SELECT nextval(''inj.fired''); $$'),
	('users, LATERAL (SELECT nextval(''inj.fired'')) x'),
	('users" t, LATERAL (SELECT nextval(''inj.fired'')) x --'),
	('name) DO UPDATE SET n = nextval(''inj.fired'') --'),
	(repeat('x"''\', 40));

-- Run a statement with each of them; all that came of it, undone afterwards.
CREATE FUNCTION try_all(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	h hostile;
	state text;
	states text[];
	answer text;
BEGIN
	FOR h IN SELECT * FROM hostile ORDER BY i LOOP
		BEGIN
			EXECUTE statement INTO answer USING h.s;
			RAISE EXCEPTION USING ERRCODE = 'ZZUND';
		EXCEPTION WHEN OTHERS THEN
			state := CASE SQLSTATE WHEN 'ZZUND' THEN 'ok' ELSE SQLSTATE END;
			IF state IN ('XX000', '42601') THEN
				state := format('%s (%s: %s)', state, h.s, SQLERRM);
			END IF;
		END;
		IF state <> ALL (coalesce(states, '{}')) THEN
			states := states || state;
		END IF;
	END LOOP;
	RETURN (SELECT string_agg(s, ', ' ORDER BY s) FROM unnest(states) s);
END
$$;

SELECT statement, try_all('SELECT ' || statement) AS states FROM (VALUES
	-- rules
	(1, $$chatroom.add_rule($1, 'name', 'required')$$),
	(2, $$chatroom.add_rule('users', $1, 'required')$$),
	(3, $$chatroom.add_rule('users', $1, 'acceptance')$$),
	(4, $$chatroom.add_rule('users', 'name', $1)$$),
	(5, $$chatroom.add_rule('users', 'name', 'required', message => $1)$$),
	(6, $$chatroom.add_rule('users', 'name', 'required', name => $1)$$),
	(7, $$chatroom.add_rule('users', 'name', 'required', jsonb_build_object($1, 1))$$),
	(8, $$chatroom.add_rule('users', 'name', 'format', jsonb_build_object('with', $1))$$),
	(9, $$chatroom.add_rule('users', 'name', 'inclusion', jsonb_build_object('in', ARRAY[$1]))$$),
	(10, $$chatroom.add_rule('users', 'name', 'unique', jsonb_build_object('fields', ARRAY['name', $1]))$$),
	(11, $$chatroom.add_rule('posts', $1, 'assoc')$$),
	(12, $$chatroom.add_rule('users', 'j', 'embed', jsonb_build_object('rules', jsonb_build_array(jsonb_build_object('field', $1, 'validation', 'required', 'message', $1))))$$),
	(13, $$chatroom.drop_rule('users', $1)$$),
	-- changeset, insert, update, delete
	(20, $$chatroom.changeset($1, '{}')$$),
	(21, $$chatroom.changeset('users', jsonb_build_object($1, 1))$$),
	(22, $$chatroom.changeset('users', jsonb_build_object('id', $1, 'name', $1, 'n', $1, 'a', $1, 'j', $1, 'b', $1, 'd', $1))$$),
	(23, $$chatroom.changeset('users', jsonb_build_object('a', ARRAY[$1], 'j', jsonb_build_object($1, $1)))$$),
	(24, $$chatroom.changeset('users', '{"name": "x"}', jsonb_build_object($1, 1))$$),
	(25, $$chatroom.changeset('users', '{"name": "x"}', to_jsonb($1))$$),
	(26, $$chatroom.changeset('users', '{"name": "x"}', permitted => ARRAY[$1])$$),
	(27, $$chatroom.insert('users', jsonb_build_object('id', 2, 'name', $1, 'a', ARRAY[$1], 'j', jsonb_build_object($1, $1)))$$),
	(28, $$chatroom.insert('users', jsonb_build_object('id', 2, 'posts', jsonb_build_array(jsonb_build_object('title', $1, $1, 1))))$$),
	(29, $$chatroom.insert('users', '{"id": 1}', jsonb_build_object('action', $1))$$),
	(30, $$chatroom.insert('users', '{"id": 1}', jsonb_build_object('action', 'nothing', 'target', ARRAY[$1]))$$),
	(31, $$chatroom.insert('users', '{"id": 1}', jsonb_build_object('action', 'nothing', 'target', jsonb_build_object('constraint', $1)))$$),
	(32, $$chatroom.insert('users', '{"id": 1}', jsonb_build_object('action', 'replace', 'target', ARRAY['id'], 'fields', ARRAY[$1]))$$),
	(33, $$chatroom.insert('users', '{"id": 1}', jsonb_build_object('action', 'set', 'target', ARRAY['id'], 'set', jsonb_build_object($1, 1)))$$),
	(34, $$chatroom.insert('users', '{"id": 1}', jsonb_build_object('action', 'set', 'target', ARRAY['id'], 'set', jsonb_build_object('name', $1)))$$),
	(35, $$chatroom.insert('users', '{"id": 1}', jsonb_build_object('action', 'inc', 'target', ARRAY['id'], 'inc', jsonb_build_object($1, 1)))$$),
	(36, $$chatroom.update('users', to_jsonb($1), '{"n": 1}')$$),
	(37, $$chatroom.update('users', '1', jsonb_build_object('name', $1, $1, $1))$$),
	(38, $$chatroom.delete('users', jsonb_build_object('id', $1))$$),
	(39, $$chatroom.delete($1, '1')$$),
	-- associations
	(50, $$chatroom.preload('{"id": 1}', 'users', ARRAY[$1])$$),
	(51, $$chatroom.preload('{"id": 1}', 'users', ARRAY['posts.' || $1])$$),
	(52, $$chatroom.preload(jsonb_build_object('id', $1), 'users', '{posts}')$$),
	(53, $$chatroom.preload(jsonb_build_object('id', 1, $1, $1), 'users', '{posts}')$$),
	(54, $$chatroom.assoc('{"id": 1}', 'users', $1)$$),
	(55, $$chatroom.add_assoc('users', $1, '{"relation": "posts"}')$$),
	(56, $$chatroom.add_assoc('users', 'x', jsonb_build_object('relation', $1))$$),
	(57, $$chatroom.add_assoc('users', 'x', jsonb_build_object('relation', 'posts', 'foreign_key', $1))$$),
	(58, $$chatroom.add_assoc('users', 'x', jsonb_build_object('relation', 'posts', 'join_through', $1))$$),
	(59, $$chatroom.add_assoc('users', 'x', jsonb_build_object('relation', 'posts', 'where', jsonb_build_object($1, 1)))$$),
	(60, $$chatroom.preload('{"id": 1}', 'users', '{x}') FROM chatroom.add_assoc('users', 'x', jsonb_build_object('relation', 'posts', 'where', jsonb_build_object('title', $1)))$$),
	(61, $$chatroom.add_assoc('users', 'x', jsonb_build_object('relation', 'posts', 'order', ARRAY[$1]))$$),
	(62, $$chatroom.add_assoc('users', 'x', jsonb_build_object('relation', 'posts', 'order', jsonb_build_array(jsonb_build_object($1, 'title'))))$$),
	(63, $$chatroom.add_assoc('users', 'x', jsonb_build_object('through', ARRAY['posts', $1]))$$),
	-- multi
	(70, $$chatroom.multi(jsonb_build_array(jsonb_build_object('name', $1, 'op', 'put', 'value', $1)))$$),
	(71, $$chatroom.multi(jsonb_build_array(jsonb_build_object('name', 'a', 'op', $1)))$$),
	(72, $$chatroom.multi(jsonb_build_array(jsonb_build_object('name', 'a', 'op', 'all', 'relation', $1)))$$),
	(73, $$chatroom.multi(jsonb_build_array(jsonb_build_object('name', 'a', 'op', 'all', 'relation', 'users', 'where', jsonb_build_object($1, 1))))$$),
	(74, $$chatroom.multi(jsonb_build_array(jsonb_build_object('name', 'a', 'op', 'all', 'relation', 'users', 'where', jsonb_build_object('name', $1))))$$),
	(75, $$chatroom.multi(jsonb_build_array(jsonb_build_object('name', 'a', 'op', 'all', 'relation', 'users', 'where', jsonb_build_object('name', ARRAY[$1]))))$$),
	(76, $$chatroom.multi(jsonb_build_array(jsonb_build_object('name', 'a', 'op', 'all', 'relation', 'users', 'where', jsonb_build_object('n', jsonb_build_object($1, 1)))))$$),
	(77, $$chatroom.multi(jsonb_build_array(jsonb_build_object('name', 'a', 'op', 'update_all', 'relation', 'users', 'where', '{"id": 1}'::jsonb, 'attrs', jsonb_build_object('name', $1))))$$),
	(78, $$chatroom.multi(jsonb_build_array(jsonb_build_object('name', 'a', 'op', 'call', 'function', $1)))$$),
	(79, $$chatroom.multi(jsonb_build_array(jsonb_build_object('name', $1, 'op', 'put', 'value', '{"x": 1}'::jsonb), jsonb_build_object('name', $1 || '2', 'op', 'put', 'refs', jsonb_build_object('value', $1 || '.x'))))$$),
	(80, $$chatroom.multi(jsonb_build_array(jsonb_build_object('name', 'a', 'op', 'put', $1, 1)))$$)
) AS x (i, statement) ORDER BY i;

-- none of it was executed
SELECT last_value, is_called FROM fired;

-- what is data comes back as it was sent: from insert, from the table, as JSON,
-- and from the errors of rules that have it in them
CREATE FUNCTION kept(h text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	answer jsonb;
	detail text;
	ok boolean;
BEGIN
	answer := chatroom.insert('posts', jsonb_build_object('title', 'x' || h || 'x'));
	ok := answer #>> '{ok,title}' = 'x' || h || 'x'
		AND EXISTS (SELECT FROM posts WHERE title = 'x' || h || 'x');
	PERFORM chatroom.add_rule('posts', 'title', 'inclusion', jsonb_build_object('in', ARRAY[h]), '<' || h || '>', 'hostile');
	ok := ok AND chatroom.changeset('posts', jsonb_build_object('title', 'other' || h)) -> 'errors' =
		jsonb_build_array(jsonb_build_object('field', 'title', 'message', '<' || h || '>', 'validation', 'inclusion', 'enum', ARRAY[h]));
	BEGIN
		INSERT INTO posts (title) VALUES ('other' || h);
		ok := false;
	EXCEPTION WHEN check_violation THEN
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
		ok := ok AND detail::jsonb = jsonb_build_array(jsonb_build_object('field', 'title', 'message', '<' || h || '>', 'validation', 'inclusion', 'enum', ARRAY[h],
				'rule', 'hostile', 'template', '<' || h || '>'))
			AND SQLERRM = 'title <' || h || '>';
	END;
	PERFORM chatroom.drop_rule('posts', 'hostile');
	RETURN ok;
END
$$;
SELECT count(*) AS kept, count(*) FILTER (WHERE NOT kept(s)) AS lost FROM hostile;
SELECT s AS lost FROM hostile WHERE NOT kept(s);
SELECT id, name, n FROM users;

DROP SCHEMA inj CASCADE;
DROP EXTENSION chatroom;
