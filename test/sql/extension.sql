-- the extension installs, all that it makes lives in its own schema, and it
-- goes without a trace
CREATE EXTENSION chatroom;
SELECT extname, extrelocatable FROM pg_extension WHERE extname = 'chatroom';
SELECT pg_describe_object(classid, objid, objsubid) AS elsewhere
  FROM pg_depend d
  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
 WHERE extname = 'chatroom' AND deptype = 'e'
   AND (pg_identify_object(classid, objid, objsubid)).schema <> 'chatroom'
 ORDER BY 1;
DROP EXTENSION chatroom;
SELECT count(*) FROM pg_namespace WHERE nspname = 'chatroom';
