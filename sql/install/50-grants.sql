-- Who may use topics that are no table's.

CREATE TABLE chatroom.topic_grant
(
	pattern text NOT NULL
		CHECK (pg_catalog.octet_length(pattern) BETWEEN 1 AND 1000),
	role pg_catalog.regrole NOT NULL,
	privileges text[] NOT NULL
		CHECK (pg_catalog.cardinality(privileges) > 0
			   AND privileges OPERATOR(pg_catalog.<@)
			   '{sync,track,broadcast}'::text[]),
	PRIMARY KEY (pattern, role)
);
COMMENT ON TABLE chatroom.topic_grant IS
	'what chatroom.grant_topic() granted; use the view chatroom.topic_grants';
COMMENT ON COLUMN chatroom.topic_grant.pattern IS
	'topic, in which * stands for any text';
COMMENT ON COLUMN chatroom.topic_grant.role IS
	'role it was granted to, with its members; - for everybody';
COMMENT ON COLUMN chatroom.topic_grant.privileges IS
	'of sync, track and broadcast';

-- Topics' names may be private: the view shows to each role what is its own.
REVOKE ALL ON chatroom.topic_grant FROM PUBLIC;

-- Who owns the database says who may use topics, and dumps that.
GRANT SELECT ON chatroom.topic_grant TO pg_database_owner;

-- Dumps carry the roles' names; of roles that were dropped there is none.
SELECT pg_catalog.pg_extension_config_dump('chatroom.topic_grant',
	'WHERE role = 0 OR role IN (SELECT oid FROM pg_catalog.pg_roles)');

CREATE FUNCTION chatroom.topic_grants_changed() RETURNS trigger
	LANGUAGE c PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_topic_grants_changed';
COMMENT ON FUNCTION chatroom.topic_grants_changed() IS
	'trigger that makes changed grants known to all sessions';
-- It makes every session read the grants again: nobody's business but the
-- table's own.
REVOKE ALL ON FUNCTION chatroom.topic_grants_changed() FROM PUBLIC;

CREATE TRIGGER topic_grants_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON chatroom.topic_grant
	FOR EACH STATEMENT EXECUTE FUNCTION chatroom.topic_grants_changed();

CREATE FUNCTION chatroom.grant_topic(pattern text, role text,
									 privileges text[])
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_grant_topic';
COMMENT ON FUNCTION chatroom.grant_topic(text, text, text[]) IS
	'let a role ("public": everybody) sync, track or broadcast on topics that are no table''s; * in the pattern stands for any text';

CREATE FUNCTION chatroom.revoke_topic(pattern text, role text,
	privileges text[] DEFAULT '{sync,track,broadcast}')
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_revoke_topic';
COMMENT ON FUNCTION chatroom.revoke_topic(text, text, text[]) IS
	'take back what chatroom.grant_topic() granted on just this pattern';

-- Who may use topics is for the database's owner to say; the right to execute
-- these may be handed on.
REVOKE ALL ON FUNCTION chatroom.grant_topic(text, text, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION chatroom.revoke_topic(text, text, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION chatroom.grant_topic(text, text, text[])
	TO pg_database_owner;
GRANT EXECUTE ON FUNCTION chatroom.revoke_topic(text, text, text[])
	TO pg_database_owner;

CREATE VIEW chatroom.topic_grants WITH (security_barrier) AS
	SELECT g.pattern,
		   CASE WHEN g.role OPERATOR(pg_catalog.=) 0 THEN 'public'
				ELSE r.rolname::text END AS role,
		   g.privileges
	  FROM chatroom.topic_grant g
	  LEFT JOIN pg_catalog.pg_roles r
		ON r.oid OPERATOR(pg_catalog.=) g.role
	 WHERE g.role OPERATOR(pg_catalog.=) 0
		OR (r.oid IS NOT NULL
			AND (pg_catalog.pg_has_role(r.oid, 'USAGE')
				 OR pg_catalog.pg_has_role('pg_database_owner', 'USAGE')));
COMMENT ON VIEW chatroom.topic_grants IS
	'who may use topics that are no table''s: grants to the caller''s roles and to everybody; all of them for the database''s owner';
COMMENT ON COLUMN chatroom.topic_grants.pattern IS
	'topic, in which * stands for any text';
COMMENT ON COLUMN chatroom.topic_grants.role IS
	'role it was granted to, with its members; public for everybody';
COMMENT ON COLUMN chatroom.topic_grants.privileges IS
	'of sync, track and broadcast';
-- It shows nobody another role's grants.
GRANT SELECT ON chatroom.topic_grants TO PUBLIC;
