-- Functions that may be called by name from data.

CREATE TABLE chatroom.call_grant
(
	function text COLLATE "C" NOT NULL,
	role pg_catalog.regrole NOT NULL,
	owner pg_catalog.regrole NOT NULL,
	PRIMARY KEY (function, role)
);
COMMENT ON TABLE chatroom.call_grant IS
	'what chatroom.allow_call() allowed; use the view chatroom.callable';
COMMENT ON COLUMN chatroom.call_grant.function IS
	'the function, with its schema and the types of its arguments';
COMMENT ON COLUMN chatroom.call_grant.role IS
	'role that may call it, with its members; - for everybody';
COMMENT ON COLUMN chatroom.call_grant.owner IS
	'who owned the function: of another owner it is another one';

-- Names of functions may be private: the view shows to each role what is its
-- own.
REVOKE ALL ON chatroom.call_grant FROM PUBLIC;

-- A dump of the database has it, so that who owns the database reads it.
GRANT SELECT ON chatroom.call_grant TO pg_database_owner;

-- Dumps carry the roles' names; of roles that were dropped there is none.
SELECT pg_catalog.pg_extension_config_dump('chatroom.call_grant',
	'WHERE (role = 0 OR role IN (SELECT oid FROM pg_catalog.pg_roles)) AND owner IN (SELECT oid FROM pg_catalog.pg_roles)');

-- They ask for the right to say so: PUBLIC may call them.
CREATE FUNCTION chatroom.allow_call(function text, role text)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_allow_call';
COMMENT ON FUNCTION chatroom.allow_call(text, text) IS
	'let a role ("public": everybody) have a function called by name, as op call of multi does; it must have the right to execute it, too';

CREATE FUNCTION chatroom.disallow_call(function text, role text)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_disallow_call';
COMMENT ON FUNCTION chatroom.disallow_call(text, text) IS
	'take back what chatroom.allow_call() allowed';

CREATE VIEW chatroom.callable WITH (security_barrier) AS
	SELECT g.function,
		   CASE WHEN g.role OPERATOR(pg_catalog.=) 0 THEN 'public'
				ELSE r.rolname::text END AS role,
		   o.rolname::text AS owner
	  FROM chatroom.call_grant g
	  LEFT JOIN pg_catalog.pg_roles r
		ON r.oid OPERATOR(pg_catalog.=) g.role
	  JOIN pg_catalog.pg_roles o
		ON o.oid OPERATOR(pg_catalog.=) g.owner
	 WHERE g.role OPERATOR(pg_catalog.=) 0
		OR (r.oid IS NOT NULL
			AND (pg_catalog.pg_has_role(r.oid, 'USAGE')
				 OR pg_catalog.pg_has_role(o.oid, 'USAGE')
				 OR pg_catalog.pg_has_role('pg_database_owner', 'USAGE')));
COMMENT ON VIEW chatroom.callable IS
	'functions that may be called by name: by the caller''s roles and by everybody, and those that the caller owns; all of them for the database''s owner';
COMMENT ON COLUMN chatroom.callable.function IS
	'the function, with its schema and the types of its arguments';
COMMENT ON COLUMN chatroom.callable.role IS
	'role that may call it, with its members; public for everybody';
COMMENT ON COLUMN chatroom.callable.owner IS
	'who owns it; of another owner it can''t be called';
-- It shows nobody what others may call.
GRANT SELECT ON chatroom.callable TO PUBLIC;
