-- the public surface: a change of what others rely on, or may do, shows here;
-- everything has a comment, nothing is open to all without being listed so
CREATE EXTENSION chatroom;
\pset format unaligned
\pset tuples_only on

-- functions and procedures: who but the owner may execute them, arguments,
-- result; "all" is PUBLIC
SELECT concat_ws(' ',
		CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END,
		p.proname || '(' || pg_get_function_arguments(p.oid) || ')',
		'-> ' || pg_get_function_result(p.oid),
		'[' || CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable'
			ELSE 'volatile' END,
		'parallel ' || CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN
			'restricted' ELSE 'unsafe' END ||
		CASE WHEN p.prosecdef THEN ' definer' ELSE '' END ||
		CASE WHEN p.proisstrict THEN ' strict' ELSE '' END || ']',
		coalesce((SELECT string_agg(CASE WHEN a.grantee = 0 THEN 'all'
									ELSE a.grantee::regrole::text END, ' ')
				  FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
				  WHERE a.grantee <> p.proowner), 'owner only'))
  FROM pg_proc p
 WHERE p.pronamespace = 'chatroom'::regnamespace
 ORDER BY p.proname COLLATE "C", p.oid;

-- tables, views, sequences, types and their columns
SELECT c.relkind, c.relname, coalesce(
		(SELECT string_agg(a.privilege_type || ' to ' || CASE WHEN a.grantee = 0
						   THEN 'all' ELSE a.grantee::regrole::text END, ', '
						   ORDER BY a.grantee, a.privilege_type)
		 FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
		 WHERE a.grantee <> c.relowner), 'owner only')
  FROM pg_class c
 WHERE c.relnamespace = 'chatroom'::regnamespace AND c.relkind NOT IN ('i', 't')
 ORDER BY c.relname COLLATE "C";
SELECT a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod)
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
 WHERE c.relnamespace = 'chatroom'::regnamespace AND c.relkind NOT IN ('i', 't')
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY c.relname COLLATE "C", a.attnum;

SELECT conrelid::regclass, pg_get_constraintdef(oid)
  FROM pg_constraint
 WHERE connamespace = 'chatroom'::regnamespace AND contype <> 'n'
 ORDER BY conrelid::regclass::text COLLATE "C", conname COLLATE "C";
SELECT tgrelid::regclass, pg_get_triggerdef(t.oid)
  FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid
 WHERE c.relnamespace = 'chatroom'::regnamespace AND NOT tgisinternal
 ORDER BY c.relname COLLATE "C", tgname COLLATE "C";

-- the schema, and what is not in it
SELECT nspname, (SELECT string_agg(a.privilege_type, ', ' ORDER BY 1)
				 FROM aclexplode(nspacl) a WHERE a.grantee = 0) AS all_may
  FROM pg_namespace WHERE nspname = 'chatroom';
SELECT e.evtname, e.evtevent, e.evtenabled, array_to_string(e.evttags, ', ')
  FROM pg_event_trigger e
  JOIN pg_depend d ON d.classid = 'pg_event_trigger'::regclass
   AND d.objid = e.oid AND d.deptype = 'e'
 ORDER BY e.evtname COLLATE "C";

-- members of the extension of any other kind: none, but for the row types of
-- tables and views, which PostgreSQL 17 counts; without a comment: none
SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
  FROM pg_depend d
  JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass
   AND d.refobjid = x.oid AND d.deptype = 'e'
 WHERE x.extname = 'chatroom'
   AND d.classid NOT IN ('pg_proc'::regclass, 'pg_class'::regclass,
						 'pg_event_trigger'::regclass, 'pg_namespace'::regclass)
   AND NOT EXISTS (SELECT FROM pg_type t
				   LEFT JOIN pg_type e ON e.oid = t.typelem
				   WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid
				   AND (t.typrelid <> 0 OR e.typrelid <> 0))
 ORDER BY 1;
SELECT 'without a comment: ' || pg_describe_object(d.classid, d.objid, 0)
  FROM pg_depend d
  JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass
   AND d.refobjid = x.oid AND d.deptype = 'e'
 WHERE x.extname = 'chatroom'
   AND d.classid IN ('pg_proc'::regclass, 'pg_class'::regclass,
					 'pg_event_trigger'::regclass, 'pg_namespace'::regclass)
   AND obj_description(d.objid, d.classid::regclass::name) IS NULL
 ORDER BY 1;
SELECT 'without a comment: ' || a.attrelid::regclass || '.' || a.attname
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
 WHERE c.relnamespace = 'chatroom'::regnamespace AND c.relkind IN ('v', 'r')
   AND a.attnum > 0 AND NOT a.attisdropped
   AND col_description(a.attrelid, a.attnum) IS NULL
 ORDER BY c.relname COLLATE "C", a.attnum;

-- nothing in the schema is not the extension's
SELECT 'not a member: ' || p.oid::regprocedure
  FROM pg_proc p
 WHERE p.pronamespace = 'chatroom'::regnamespace
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
				   AND d.objid = p.oid AND d.deptype = 'e');

-- settings: type, unit, default, limits, and who may change them when
SELECT name, vartype, unit, boot_val, min_val, max_val, context
  FROM pg_settings WHERE name LIKE 'chatroom.%' ORDER BY name COLLATE "C";
SELECT 'without a description: ' || name
  FROM pg_settings WHERE name LIKE 'chatroom.%' AND short_desc = '';
DROP EXTENSION chatroom;
