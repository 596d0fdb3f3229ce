-- whoever looks at views, or does DDL, runs nothing of other tables' owners:
-- objects of a stranger's, of each kind that can carry code, and a superuser
SET client_min_messages = warning;
CREATE EXTENSION chatroom;
\pset format unaligned
\pset tuples_only on
CREATE ROLE strangers_mallory;
CREATE SCHEMA mal AUTHORIZATION strangers_mallory;
CREATE TABLE public.caught (what text, who name);
GRANT INSERT ON public.caught TO PUBLIC;
-- functions that tell when they are run by somebody else than their owner
SET SESSION AUTHORIZATION strangers_mallory;
CREATE FUNCTION mal.trap(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'strangers_mallory' THEN
		INSERT INTO public.caught VALUES (what, current_user);
	END IF;
	RETURN true;
END $$;
CREATE FUNCTION mal.fixed(what text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN mal.trap(what); END $$;
-- types
CREATE DOMAIN mal.d AS text CHECK (mal.trap('domain'));
CREATE DOMAIN mal.dd AS mal.d[] CHECK (mal.trap('domain over array'));
CREATE TYPE mal.comp AS (a mal.d, b int);
CREATE TYPE mal.mood AS ENUM ('sad', 'ok');
CREATE TYPE mal.span AS RANGE (subtype = mal.d);
-- a cast, operators that are nearer than pg_catalog's, functions of their names
CREATE FUNCTION mal.to_comp(text) RETURNS mal.comp LANGUAGE plpgsql AS $$ BEGIN PERFORM mal.trap('cast'); RETURN NULL; END $$;
CREATE CAST (text AS mal.comp) WITH FUNCTION mal.to_comp(text) AS IMPLICIT;
CREATE FUNCTION mal.same(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN mal.trap('operator'); END $$;
CREATE OPERATOR mal.= (LEFTARG = text, RIGHTARG = text, FUNCTION = mal.same);
CREATE FUNCTION mal.same(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN mal.trap('operator'); END $$;
CREATE OPERATOR mal.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = mal.same);
CREATE FUNCTION mal.count() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM mal.trap('function'); RETURN 1; END $$;
CREATE FUNCTION mal.pg_event_trigger_ddl_commands() RETURNS TABLE (classid oid, objid oid) LANGUAGE plpgsql AS $$ BEGIN PERFORM mal.trap('function'); END $$;
-- tables with all of it
CREATE TABLE mal.parent (id int PRIMARY KEY, k mal.mood);
CREATE TABLE mal.t (
	id int PRIMARY KEY,
	x mal.d[], y mal.comp, z mal.span, dd mal.dd, m mal.mood,
	def text DEFAULT CASE WHEN mal.trap('default') THEN 'd' END,
	gen boolean GENERATED ALWAYS AS (mal.fixed('generated')) STORED,
	p_id int REFERENCES mal.parent,
	c text COLLATE "C",
	j jsonb,
	CHECK (mal.trap('check')));
CREATE INDEX ON mal.t ((mal.fixed('index')));
CREATE UNIQUE INDEX ON mal.t (c) WHERE mal.fixed('predicate');
CREATE POLICY p ON mal.t USING (mal.trap('policy')) WITH CHECK (mal.trap('policy'));
ALTER TABLE mal.t ENABLE ROW LEVEL SECURITY;
CREATE TABLE mal.heir () INHERITS (mal.t);
CREATE TABLE mal.parts (id int, v mal.d[]) PARTITION BY LIST (mal.fixed('partition ' || id));
CREATE TABLE mal.part PARTITION OF mal.parts DEFAULT;
-- rules, watches and associations of all kinds
SELECT chatroom.add_rule('mal.t', 'x', 'inclusion', '{"in": ["{a}"]}');
SELECT chatroom.add_rule('mal.t', 'x', 'subset', '{"in": ["a"]}');
SELECT chatroom.add_rule('mal.t', 'y', 'exclusion', '{"in": ["(a,1)"]}');
SELECT chatroom.add_rule('mal.t', 'z', 'inclusion', '{"in": ["[a,b)"]}');
SELECT chatroom.add_rule('mal.t', 'dd', 'inclusion', '{"in": ["{a}"]}');
SELECT chatroom.add_rule('mal.t', 'm', 'inclusion', '{"in": ["sad"]}');
SELECT chatroom.add_rule('mal.t', 'def', 'check', '{"expression": "mal.trap(''rule'') AND mal.fixed(''folded'') AND def <> ''{}''"}');
SELECT chatroom.add_rule('mal.t', 'gen', 'required');
SELECT chatroom.add_rule('mal.t', 'c', 'unique');
SELECT chatroom.add_rule('mal.t', 'j', 'embed', '{"rules": [{"field": "a", "validation": "format", "params": {"with": "a"}}]}');
SELECT chatroom.add_rule('mal.parts', 'v', 'inclusion', '{"in": ["{a}"]}');
SELECT chatroom.add_assoc('mal.parent', 'kids', '{"relation": "mal.t", "where": {"c": "a"}}');
SELECT chatroom.watch('mal.t', condition => $$ mal.trap('watch') AND mal.fixed('folded') AND def <> 'x' $$, topic_columns => '{c}');
SELECT chatroom.watch('mal.parts', 'mal_parts');
RESET SESSION AUTHORIZATION;

-- one view and list function after the other, with the stranger's schema first
SET search_path = mal, pg_catalog;
SELECT format('SELECT pg_catalog.count(x.*) > -1 FROM chatroom.%I x', relname)
FROM pg_catalog.pg_class WHERE relnamespace OPERATOR(pg_catalog.=) 'chatroom'::regnamespace AND relkind OPERATOR(pg_catalog.=) 'v' ORDER BY 1 \gexec
SELECT format('SELECT pg_catalog.count(x.*) > -1 FROM chatroom.%I() x', proname)
FROM pg_catalog.pg_proc WHERE pronamespace OPERATOR(pg_catalog.=) 'chatroom'::regnamespace AND proretset
	AND pronargs OPERATOR(pg_catalog.=) 0::int2 AND provolatile OPERATOR(pg_catalog.<>) 'v' ORDER BY 1 \gexec
TABLE public.caught;
-- DDL that fires each event trigger, of somebody else's objects and the stranger's
CREATE TABLE public.mine (id int PRIMARY KEY, v text);
ALTER TABLE public.mine ADD w int;
ALTER TABLE public.mine DROP w;
CREATE TABLE public.child () INHERITS (public.mine);
CREATE TABLE mal.below () INHERITS (mal.parent);
CREATE POLICY p ON public.mine;
DROP TABLE public.child;
ALTER TABLE mal.t ENABLE TRIGGER USER;
ALTER TABLE mal.t RENAME c TO cc;
ALTER TABLE mal.t RENAME TO tt;
ALTER TYPE mal.mood RENAME VALUE 'sad' TO 'blue';
ALTER TABLE mal.tt ALTER p_id DROP NOT NULL;
ALTER TABLE mal.tt NO FORCE ROW LEVEL SECURITY;
ALTER TABLE mal.heir NO INHERIT mal.tt;
ALTER TABLE mal.parts DETACH PARTITION mal.part;
ALTER SCHEMA mal RENAME TO malice;
ALTER SCHEMA malice RENAME TO mal;
TABLE public.caught;
RESET search_path;
SELECT name, params, problem FROM chatroom.rules WHERE relation LIKE 'mal.%' ORDER BY relation, name;
-- the type of a column: rules are made again as the table's owner
ALTER TABLE mal.tt DROP gen, ALTER j TYPE json;
SELECT DISTINCT what FROM public.caught WHERE what NOT IN ('check', 'index', 'predicate', 'generated', 'default', 'policy');
\set VERBOSITY terse
SET client_min_messages = error;
ALTER TABLE mal.below NO INHERIT mal.parent;
DROP TABLE mal.below;
DROP OWNED BY strangers_mallory CASCADE;
DROP ROLE strangers_mallory;
DROP TABLE public.mine, public.caught;
DROP EXTENSION chatroom;
