-- Chat tables: ordinary tables of the user's, and what makes them.

-- Row-level security asks these, of whoever runs a query: PUBLIC may call them.
-- Each tells of the caller's own rights in a room, by the table of rooms. They
-- look at what a process keeps of act_as(): parallel workers have no part in it.

CREATE FUNCTION chatroom.is_exempt(rooms regclass)
	RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_is_exempt';
COMMENT ON FUNCTION chatroom.is_exempt(regclass) IS
	'does the caller act for nobody, with the rights of the tables'' owner?';

CREATE FUNCTION chatroom.sees_room(rooms regclass, room_id bigint)
	RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_sees_room';
COMMENT ON FUNCTION chatroom.sees_room(regclass, bigint) IS
	'policy: may the caller see a room, its messages and members?';

CREATE FUNCTION chatroom.sees_room(rooms regclass, room_id bigint,
								   private boolean)
	RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_sees_room_row';
COMMENT ON FUNCTION chatroom.sees_room(regclass, bigint, boolean) IS
	'policy: may the caller see this row of a room?';

CREATE FUNCTION chatroom.may_post(rooms regclass, room_id bigint,
								  username text)
	RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_may_post';
COMMENT ON FUNCTION chatroom.may_post(regclass, bigint, text) IS
	'policy: may the caller write such a message? A room that it can''t see is an error, as one that isn''t there';

CREATE FUNCTION chatroom.may_edit(rooms regclass, room_id bigint,
								  username text)
	RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_may_edit';
COMMENT ON FUNCTION chatroom.may_edit(regclass, bigint, text) IS
	'policy: may the caller change this message?';

CREATE FUNCTION chatroom.may_moderate(rooms regclass, room_id bigint,
									  username text)
	RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_may_moderate';
COMMENT ON FUNCTION chatroom.may_moderate(regclass, bigint, text) IS
	'policy: may the caller delete this message?';

CREATE FUNCTION chatroom.may_manage(rooms regclass, room_id bigint)
	RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_may_manage';
COMMENT ON FUNCTION chatroom.may_manage(regclass, bigint) IS
	'policy: may the caller change this room?';

CREATE FUNCTION chatroom.may_delete(rooms regclass, room_id bigint)
	RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_may_delete';
COMMENT ON FUNCTION chatroom.may_delete(regclass, bigint) IS
	'policy: may the caller delete this room?';

-- The trigger functions stay executable by PUBLIC: CREATE TRIGGER asks for
-- that, of whoever owns the table.

CREATE FUNCTION chatroom.touch() RETURNS trigger
	LANGUAGE c PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_touch';
COMMENT ON FUNCTION chatroom.touch() IS
	'trigger that keeps ids and times of rows';

CREATE FUNCTION chatroom.members_changed() RETURNS trigger
	LANGUAGE c PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_members_changed';
COMMENT ON FUNCTION chatroom.members_changed() IS
	'trigger for who goes from a room: passes it on, ends invites, renames channels';

CREATE FUNCTION chatroom.room_changed() RETURNS trigger
	LANGUAGE c PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_room_changed';
COMMENT ON FUNCTION chatroom.room_changed() IS
	'trigger that renames channels when a room becomes private';

-- All of these run with the caller's rights, which are those that the DDL asks
-- for: so PUBLIC may call them.

CREATE FUNCTION chatroom.require_local(relation text)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_require_local';
COMMENT ON FUNCTION chatroom.require_local(text) IS
	'part of chatroom.migrate(): refuse a table whose rows Citus keeps elsewhere';

CREATE FUNCTION chatroom.watch_chat(relation text, topics text[],
									columns text[] DEFAULT NULL)
	RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_watch_chat';
COMMENT ON FUNCTION chatroom.watch_chat(text, text[], text[]) IS
	'part of chatroom.migrate(): watch a chat table, with the topics of rooms';

CREATE FUNCTION chatroom.chat_watch(prefix text, relation text)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM chatroom.watch_chat(format('%I.%I', prefix, relation),
		CASE relation WHEN 'rooms' THEN '{room:id,rooms,*}'
			WHEN 'messages' THEN '{room:room_id,*}'
			WHEN 'members' THEN '{room:room_id,*}'
			ELSE '{*}' END::text[],
		CASE relation WHEN 'invites' THEN
			'{id,room_id,role,username,expires_at,max_uses,uses,inserted_at,updated_at}'
			END::text[]);
END
$$;
COMMENT ON FUNCTION chatroom.chat_watch(text, text) IS
	'part of chatroom.migrate(): the watch of a chat table';

CREATE FUNCTION chatroom.chat_policies(prefix text, relation text)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	target regclass := format('%I.%I', prefix, relation);
	rooms text := quote_literal(format('%I.rooms', prefix)) || '::regclass';
	policy record;
BEGIN
	FOR policy IN
		SELECT * FROM (VALUES
			('rooms', 'chatroom_select', 'FOR SELECT USING (chatroom.sees_room(%s, id, private))'),
			('rooms', 'chatroom_insert', 'FOR INSERT WITH CHECK (true)'),
			('rooms', 'chatroom_update', 'FOR UPDATE USING (chatroom.may_manage(%s, id))'),
			('rooms', 'chatroom_delete', 'FOR DELETE USING (chatroom.may_delete(%s, id))'),
			('messages', 'chatroom_select', 'FOR SELECT USING (chatroom.sees_room(%s, room_id))'),
			('messages', 'chatroom_insert', 'FOR INSERT WITH CHECK (chatroom.may_post(%s, room_id, username))'),
			('messages', 'chatroom_update', 'FOR UPDATE USING (chatroom.may_edit(%1$s, room_id, username))'
				' WITH CHECK (chatroom.may_post(%1$s, room_id, username))'),
			('messages', 'chatroom_delete', 'FOR DELETE USING (chatroom.may_moderate(%s, room_id, username))'),
			('users', 'chatroom_select', 'FOR SELECT USING (true)'),
			('members', 'chatroom_select', 'FOR SELECT USING (chatroom.sees_room(%s, room_id))'),
			('invites', 'chatroom_select', 'FOR SELECT USING (chatroom.may_manage(%s, room_id))'),
			(relation, 'chatroom_exempt', 'FOR ALL USING (chatroom.is_exempt(%s))')
		) AS p (of, name, ddl)
		WHERE p.of = relation AND NOT EXISTS (
			SELECT FROM pg_policy
			WHERE polrelid = target AND polname = p.name)
	LOOP
		EXECUTE format('CREATE POLICY %I ON %s ', policy.name, target)
			|| format(policy.ddl, rooms);
	END LOOP;
	EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', target);
END
$$;
COMMENT ON FUNCTION chatroom.chat_policies(text, text) IS
	'part of chatroom.migrate(): row-level security of a chat table';

CREATE FUNCTION chatroom.chat_attach(prefix text, relation text, version int)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	target text := format('%I.%I', prefix, relation);
	piece record;
BEGIN
	FOR piece IN
		SELECT * FROM (VALUES
			('rooms', 'name', 'required', '{}', NULL),
			('rooms', 'name', 'length', '{"max": 100}', NULL),
			('rooms', 'name', 'format', '{"with": "[^0-9]"}', 'can''t be digits only'),
			('rooms', 'name', 'unique', '{}', NULL),
			('messages', 'username', 'required', '{}', NULL),
			('messages', 'username', 'length', '{"min": 4, "max": 20}', NULL),
			('messages', 'text', 'required', '{}', NULL),
			('messages', 'text', 'length', '{"min": 2, "max": 150}', NULL),
			('users', 'username', 'required', '{}', NULL),
			('users', 'username', 'length', '{"min": 4, "max": 20}', NULL),
			('users', 'username', 'unique', '{}', NULL),
			('users', 'profile', 'embed', '{"rules": [
				{"field": "display_name", "validation": "length", "params": {"max": 100}},
				{"field": "avatar", "validation": "length", "params": {"max": 2000}}]}', NULL)
		) AS r (of, field, validation, params, message)
		WHERE r.of = relation
	LOOP
		PERFORM chatroom.add_rule(target, piece.field, piece.validation,
			piece.params::jsonb, piece.message);
	END LOOP;

	PERFORM chatroom.chat_watch(prefix, relation);
	IF version >= 2 THEN
		PERFORM chatroom.chat_policies(prefix, relation);
	END IF;
END
$$;
COMMENT ON FUNCTION chatroom.chat_attach(text, text, int) IS
	'part of chatroom.migrate(): rules, watch and policies of a chat table';

-- What keeps rights fires also where a session replicates, or acts as if it did.
CREATE FUNCTION chatroom.chat_triggers(prefix text, relation text, version int)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	target text := format('%I.%I', prefix, relation);
	piece record;
BEGIN
	FOR piece IN
		SELECT * FROM (VALUES
			(relation, 1, 'chatroom_touch',
				'BEFORE INSERT OR UPDATE ON %s FOR EACH ROW', 'touch'),
			('rooms', 2, 'chatroom_private',
				'AFTER UPDATE OF private ON %s FOR EACH ROW'
				' WHEN (new.private AND NOT old.private)', 'room_changed'),
			('members', 2, 'chatroom_members',
				'AFTER DELETE OR UPDATE OF room_id, username, role ON %s FOR EACH ROW',
				'members_changed'),
			('members', 2, 'chatroom_members_truncated',
				'AFTER TRUNCATE ON %s FOR EACH STATEMENT', 'room_changed')
		) AS t (of, since, name, ddl, function)
		WHERE t.of = relation AND t.since <= version AND NOT EXISTS (
			SELECT FROM pg_trigger
			WHERE tgrelid = target::regclass AND tgname = t.name)
	LOOP
		EXECUTE format('CREATE TRIGGER %I ', piece.name)
			|| format(piece.ddl, target)
			|| format(' EXECUTE FUNCTION chatroom.%I()', piece.function);
	END LOOP;

	FOR piece IN
		SELECT t.tgname FROM pg_trigger t
		WHERE t.tgrelid = target::regclass AND t.tgenabled <> 'A'
		AND (t.tgfoid IN ('chatroom.members_changed()'::regprocedure,
				'chatroom.room_changed()'::regprocedure)
			OR (t.tgfoid IN ('chatroom.emit()'::regprocedure,
					'chatroom.emit_truncate()'::regprocedure)
				AND octet_length(t.tgargs) > 0 AND get_byte(t.tgargs, 0) = 0))
	LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', target,
			piece.tgname);
	END LOOP;
END
$$;
COMMENT ON FUNCTION chatroom.chat_triggers(text, text, int) IS
	'part of chatroom.migrate(): the triggers of a chat table, enabled as they are to be';

CREATE FUNCTION chatroom.chat_lock(prefix text, relations text[])
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- Writers lock these tables in more than one order. To wait for one while
	-- holding another could be a deadlock: so none is waited for but the first.
	tries int := 0;
	held int;
BEGIN
	LOOP
		held := 0;
		BEGIN
			WHILE held < cardinality(relations) LOOP
				EXECUTE format('LOCK TABLE %I.%I IN ACCESS EXCLUSIVE MODE %s',
					prefix, relations[held + 1],
					CASE WHEN held > 0 THEN 'NOWAIT' END);
				held := held + 1;
			END LOOP;
			RETURN;
		EXCEPTION WHEN lock_not_available THEN
			tries := tries + 1;
			IF held = 0 OR tries >= 1000 THEN
				RAISE;
			END IF;
		END;
		PERFORM pg_sleep(0.001 + random() * 0.02);
		relations := relations[2:] || relations[1:1];
	END LOOP;
END
$$;
COMMENT ON FUNCTION chatroom.chat_lock(text, text[]) IS
	'part of chatroom.migrate(): lock chat tables against all others';

CREATE FUNCTION chatroom.chat_up(prefix text, version int)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	owner name;
	relation text;
	ddl text := CASE version WHEN 1 THEN $ddl$
CREATE TABLE %1$I.rooms (
	id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	name text NOT NULL,
	inserted_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE %1$I.rooms IS 'chatroom: rooms, version 1';
CREATE UNIQUE INDEX rooms_name_index ON %1$I.rooms (name);
CREATE INDEX rooms_inserted_at_index ON %1$I.rooms (inserted_at, id);
CREATE TABLE %1$I.messages (
	id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	room_id bigint NOT NULL CONSTRAINT messages_room_id_fkey
		REFERENCES %1$I.rooms ON DELETE CASCADE,
	username text NOT NULL,
	text text NOT NULL,
	client_key text,
	inserted_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE %1$I.messages IS 'chatroom: messages of rooms';
COMMENT ON COLUMN %1$I.messages.client_key IS
	'given by the client, so that sending again makes no second message';
CREATE INDEX messages_room_id_index ON %1$I.messages (room_id, inserted_at, id);
CREATE INDEX messages_username_index ON %1$I.messages (username, inserted_at, id);
CREATE UNIQUE INDEX messages_client_key_index
	ON %1$I.messages (room_id, username, client_key)
	WHERE client_key IS NOT NULL;
$ddl$ ELSE $ddl$
COMMENT ON TABLE %1$I.rooms IS 'chatroom: rooms, version 2';
ALTER TABLE %1$I.rooms ADD COLUMN private boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN %1$I.rooms.private IS 'is there for its members only';
CREATE TABLE %1$I.users (
	id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	username text NOT NULL,
	profile jsonb NOT NULL DEFAULT '{}',
	inserted_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE %1$I.users IS 'chatroom: users, made on first use';
COMMENT ON COLUMN %1$I.users.profile IS 'display_name, avatar and more';
CREATE UNIQUE INDEX users_username_index ON %1$I.users (username);
CREATE TABLE %1$I.members (
	room_id bigint CONSTRAINT members_room_id_fkey
		REFERENCES %1$I.rooms ON DELETE CASCADE,
	username text CONSTRAINT members_username_fkey
		REFERENCES %1$I.users (username) ON UPDATE CASCADE ON DELETE CASCADE,
	role text NOT NULL DEFAULT 'member' CONSTRAINT members_role_check
		CHECK (role IN ('owner', 'admin', 'member', 'guest')),
	inserted_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (room_id, username)
);
COMMENT ON TABLE %1$I.members IS 'chatroom: who belongs to a room, as what';
CREATE INDEX members_username_index ON %1$I.members (username);
CREATE UNIQUE INDEX members_owner_index ON %1$I.members (room_id)
	WHERE role = 'owner';
CREATE TABLE %1$I.invites (
	id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	room_id bigint NOT NULL CONSTRAINT invites_room_id_fkey
		REFERENCES %1$I.rooms ON DELETE CASCADE,
	token_hash bytea NOT NULL,
	role text NOT NULL CONSTRAINT invites_role_check
		CHECK (role IN ('admin', 'member', 'guest')),
	username text NOT NULL,
	expires_at timestamptz,
	max_uses int CONSTRAINT invites_max_uses_check CHECK (max_uses > 0),
	uses int NOT NULL DEFAULT 0,
	inserted_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT invites_uses_check CHECK (uses BETWEEN 0 AND max_uses)
);
COMMENT ON TABLE %1$I.invites IS 'chatroom: invitations to rooms';
COMMENT ON COLUMN %1$I.invites.token_hash IS
	'SHA-256 of the token, which is not kept';
COMMENT ON COLUMN %1$I.invites.username IS 'who made it';
COMMENT ON COLUMN %1$I.invites.expires_at IS 'null: never';
COMMENT ON COLUMN %1$I.invites.max_uses IS 'null: no limit';
CREATE UNIQUE INDEX invites_token_hash_index ON %1$I.invites (token_hash);
CREATE INDEX invites_room_id_index ON %1$I.invites (room_id);
$ddl$ END;
BEGIN
	IF version = 1 THEN
		IF to_regnamespace(quote_ident(prefix)) IS NULL THEN
			EXECUTE format('CREATE SCHEMA %I', prefix);
		END IF;
	ELSE
		PERFORM chatroom.chat_lock(prefix, '{rooms,messages}');
	END IF;
	EXECUTE format(ddl, prefix);
	IF version = 2 THEN
		-- all tables of a prefix have one owner
		SELECT pg_get_userbyid(relowner) INTO owner FROM pg_class
		WHERE oid = format('%I.rooms', prefix)::regclass;
		IF owner <> current_user THEN
			FOREACH relation IN ARRAY '{users,members,invites}'::text[] LOOP
				EXECUTE format('ALTER TABLE %I.%I OWNER TO %I', prefix,
					relation, owner);
			END LOOP;
		END IF;
		PERFORM chatroom.chat_policies(prefix, 'rooms');
		PERFORM chatroom.chat_policies(prefix, 'messages');
	END IF;
END
$$;
COMMENT ON FUNCTION chatroom.chat_up(text, int) IS
	'part of chatroom.migrate(): one version up';

CREATE FUNCTION chatroom.chat_loses(prefix text, version int)
	RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	loss record;
	n bigint;
	losses text[] := '{}';
BEGIN
	FOR loss IN
		SELECT * FROM (VALUES
			(1, 'room', 'rooms', ''),
			(1, 'message', 'messages', ''),
			(2, 'user', 'users', ''),
			(2, 'member', 'members', ''),
			(2, 'invite', 'invites', ''),
			(2, 'private room''s privacy', 'rooms', 'WHERE private')
		) AS l (of, what, relation, condition)
		WHERE l.of = version
	LOOP
		EXECUTE format('SELECT count(*) FROM %I.%I ' || loss.condition,
			prefix, loss.relation) INTO n;
		IF n > 0 THEN
			losses := losses || (n || ' ' ||
				CASE WHEN n = 1 THEN loss.what
				ELSE regexp_replace(loss.what, '^(private )?(\w+)', '\1\2s')
				END);
		END IF;
	END LOOP;
	RETURN array_to_string(losses, ', ');
END
$$;
COMMENT ON FUNCTION chatroom.chat_loses(text, int) IS
	'part of chatroom.migrate(): what would be lost one version down';

CREATE FUNCTION chatroom.chat_down(prefix text, version int, force boolean)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	losses text;
	policy record;
BEGIN
	-- Who sees only some rows would be told of a part of the loss. Tables that
	-- are not what they say are an error here: counting could call anything.
	IF NOT chatroom.is_exempt(format('%I.rooms', prefix)) THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('permission denied to take the chat tables of prefix "%s" to an older version', prefix),
			HINT = 'Their owner may, unless it acts for a user.';
	END IF;
	PERFORM chatroom.chat_lock(prefix, CASE version
		WHEN 1 THEN '{rooms,messages}'
		ELSE '{rooms,messages,members,users,invites}' END::text[]);
	losses := chatroom.chat_loses(prefix, version);
	IF losses <> '' AND NOT force THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('version %s of the chat tables of prefix "%s" would lose data', version - 1, prefix),
			DETAIL = format('That is %s.', losses),
			HINT = 'Call chatroom.migrate() with force => true to lose it.';
	END IF;
	IF version = 1 THEN
		EXECUTE format('DROP TABLE %1$I.messages, %1$I.rooms', prefix);
		RETURN;
	END IF;
	EXECUTE format('COMMENT ON TABLE %I.rooms IS ''chatroom: rooms, version 1''', prefix);
	EXECUTE format('DROP TABLE %1$I.invites, %1$I.members, %1$I.users', prefix);
	FOR policy IN
		SELECT polname, polrelid::regclass AS relation FROM pg_policy
		WHERE polname LIKE 'chatroom\_%' AND polrelid IN
			(format('%I.rooms', prefix)::regclass,
			 format('%I.messages', prefix)::regclass)
	LOOP
		EXECUTE format('DROP POLICY %I ON %s', policy.polname, policy.relation);
	END LOOP;
	EXECUTE format('DROP TRIGGER IF EXISTS chatroom_private ON %I.rooms', prefix);
	EXECUTE format('ALTER TABLE %I.messages DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY', prefix);
	EXECUTE format('ALTER TABLE %I.rooms DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY, DROP COLUMN private', prefix);
END
$$;
COMMENT ON FUNCTION chatroom.chat_down(text, int, boolean) IS
	'part of chatroom.migrate(): one version down';

CREATE FUNCTION chatroom.migrate(prefix text DEFAULT 'chat',
								 version int DEFAULT NULL,
								 force boolean DEFAULT false)
	RETURNS int
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	newest constant int := 2;
	wanted int := coalesce(version, newest);
	current int;
	relation text;
BEGIN
	IF prefix IS NULL OR force IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = 'prefix and force must not be null';
	ELSIF prefix = '' OR octet_length(prefix) > 63 OR prefix ~ '^pg_'
		OR prefix IN ('chatroom', 'information_schema') THEN
		RAISE invalid_schema_name USING
			MESSAGE = format('"%s" can''t be a prefix', prefix),
			DETAIL = 'A prefix is the name of a schema, other than the system''s and chatroom''s own.';
	ELSIF wanted NOT BETWEEN 0 AND newest THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('chat tables have no version %s', wanted),
			HINT = format('Versions are 1 to %s; 0 is to have no tables.', newest);
	END IF;
	PERFORM pg_advisory_xact_lock(hashtextextended('chatroom.migrate ' || prefix, 0));
	current := coalesce((SELECT m.version FROM chatroom.migrations m
						 WHERE m.prefix = migrate.prefix), 0);
	IF current > newest THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('the chat tables of prefix "%s" are of version %s', prefix, current),
			DETAIL = format('This chatroom knows versions up to %s.', newest),
			HINT = 'Update the extension.';
	ELSIF current = 0 AND wanted > 0
		AND to_regclass(format('%I.rooms', prefix)) IS NOT NULL THEN
		RAISE duplicate_table USING
			MESSAGE = format('table "%s.rooms" is there already, and none of chatroom''s', prefix),
			HINT = 'Choose another prefix. If it is chatroom''s and lost its comment, say COMMENT ON TABLE ... IS ''chatroom: rooms, version N''.';
	END IF;
	PERFORM chatroom.require_local(c.oid::text) FROM pg_class c
		WHERE current > 0 AND c.relnamespace = to_regnamespace(quote_ident(prefix))
		AND c.relname IN ('rooms', 'messages', 'users', 'members', 'invites')
		AND c.relkind IN ('r', 'p');
	FOR step IN current + 1 .. wanted LOOP
		PERFORM chatroom.chat_up(prefix, step);
	END LOOP;
	FOR step IN REVERSE current .. wanted + 1 LOOP
		PERFORM chatroom.chat_down(prefix, step, force);
	END LOOP;

	-- what is new, and what lost all that was the extension's
	FOREACH relation IN ARRAY CASE wanted WHEN 0 THEN '{}'
		WHEN 1 THEN '{rooms,messages}'
		ELSE '{rooms,messages,users,members,invites}' END::text[]
	LOOP
		IF NOT EXISTS (
			SELECT FROM pg_trigger
			WHERE tgrelid = format('%I.%I', prefix, relation)::regclass
			AND tgfoid = 'chatroom.touch()'::regprocedure)
		THEN
			PERFORM chatroom.chat_attach(prefix, relation, wanted);
		ELSIF NOT EXISTS (
			SELECT FROM pg_trigger
			WHERE tgrelid = format('%I.%I', prefix, relation)::regclass
			AND tgfoid = 'chatroom.emit()'::regprocedure
			AND encode(tgargs, 'escape') LIKE '%topic=*%')
		THEN
			PERFORM chatroom.chat_watch(prefix, relation);
		END IF;
		PERFORM chatroom.chat_triggers(prefix, relation, wanted);
	END LOOP;
	RETURN wanted;
END
$$;
COMMENT ON FUNCTION chatroom.migrate(text, int, boolean) IS
	'make the chat tables in a schema, or move them to a version (NULL: the newest; 0: none); returns it';

-- Names of schemas and comments are no secrets in PostgreSQL either.
CREATE VIEW chatroom.migrations AS
	SELECT n.nspname::text AS prefix,
		   (pg_catalog.regexp_match(d.description,
			   '^chatroom: rooms, version ([0-9]{1,6})'))[1]::integer AS version,
		   pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
		   CASE WHEN d.description OPERATOR(pg_catalog.~) ', access members$'
				THEN 'members' ELSE 'open' END AS access
	  FROM pg_catalog.pg_class c
	  JOIN pg_catalog.pg_namespace n
		ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
	  JOIN pg_catalog.pg_description d
		ON d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
	   AND d.objoid OPERATOR(pg_catalog.=) c.oid
	   AND d.objsubid OPERATOR(pg_catalog.=) 0
	 WHERE c.relname OPERATOR(pg_catalog.=) 'rooms'
	   AND c.relkind OPERATOR(pg_catalog.=) 'r'
	   AND d.description OPERATOR(pg_catalog.~) '^chatroom: rooms, version [1-9][0-9]{0,5}(,|$)';
COMMENT ON VIEW chatroom.migrations IS
	'the sets of chat tables that chatroom.migrate() made in this database';
COMMENT ON COLUMN chatroom.migrations.prefix IS
	'the schema that they are in';
COMMENT ON COLUMN chatroom.migrations.version IS
	'of the tables; chatroom.migrate() moves them to another';
COMMENT ON COLUMN chatroom.migrations.owner IS
	'the role that owns them';
COMMENT ON COLUMN chatroom.migrations.access IS
	'open or members; see chatroom.set_access()';
GRANT SELECT ON chatroom.migrations TO PUBLIC;

-- It asks for the rights of the tables' owner: PUBLIC may call it.
CREATE FUNCTION chatroom.set_access(mode text, prefix text DEFAULT NULL)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_set_access';
COMMENT ON FUNCTION chatroom.set_access(text, text) IS
	'open: who has the tables'' privileges reads and posts under any name; members: own messages only, owners and admins of rooms moderate';
