-- Changesets: JSON in, JSON out, as Ecto's.

-- All of these run with the caller's rights: privileges and row-level security
-- are those of the statements that they stand for. So PUBLIC may call them.

CREATE FUNCTION chatroom.changeset(
	relation text,
	attrs jsonb,
	key jsonb DEFAULT NULL,
	permitted text[] DEFAULT NULL,
	put text[] DEFAULT '{}')
	RETURNS jsonb
	LANGUAGE c STABLE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_changeset';
COMMENT ON FUNCTION chatroom.changeset(text, jsonb, jsonb, text[], text[]) IS
	'what inserting attributes, or updating the row of a key, would do; writes nothing';

CREATE FUNCTION chatroom.insert(
	relation text,
	attrs jsonb,
	on_conflict jsonb DEFAULT NULL,
	permitted text[] DEFAULT NULL,
	put text[] DEFAULT '{}')
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_insert';
COMMENT ON FUNCTION chatroom.insert(text, jsonb, jsonb, text[], text[]) IS
	'insert a row: {"ok": row}, or {"error": changeset} and nothing is written';

CREATE FUNCTION chatroom.update(
	relation text,
	key jsonb,
	attrs jsonb,
	permitted text[] DEFAULT NULL,
	put text[] DEFAULT '{}')
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_update';
COMMENT ON FUNCTION chatroom.update(text, jsonb, jsonb, text[], text[]) IS
	'update a row: {"ok": row}, or {"error": changeset} and nothing is written';

CREATE FUNCTION chatroom.delete(relation text, key jsonb,
	lock_version bigint DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_delete';
COMMENT ON FUNCTION chatroom.delete(text, jsonb, bigint) IS
	'delete a row, of a lock_version where that is given: {"ok": row}, or {"error": changeset} and nothing is written';

CREATE FUNCTION chatroom.multi(operations jsonb)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_multi';
COMMENT ON FUNCTION chatroom.multi(jsonb) IS
	'several operations, all or nothing: {"ok": {name: value}} or {"error": {"failed", "value", "changes"}}';

CREATE FUNCTION chatroom.preload(value jsonb, relation text, preload text[])
	RETURNS jsonb
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_preload';
COMMENT ON FUNCTION chatroom.preload(jsonb, text, text[]) IS
	'a row or list of rows with associations on paths like posts.comments.author; one query each';

CREATE FUNCTION chatroom.assoc(value jsonb, relation text, name text)
	RETURNS jsonb
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_assoc';
COMMENT ON FUNCTION chatroom.assoc(jsonb, text, text) IS
	'what a row or list of rows is associated with, each once';

-- The function of the triggers stays executable by PUBLIC: CREATE TRIGGER asks
-- for that, of whoever owns the table.
CREATE FUNCTION chatroom.assoc_option() RETURNS trigger
	LANGUAGE c PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_assoc_option';
COMMENT ON FUNCTION chatroom.assoc_option() IS
	'function of disabled triggers that hold associations: it does nothing';

-- It asks for ownership of the tables: PUBLIC may call it.
CREATE FUNCTION chatroom.add_assoc(relation text, name text, params jsonb)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_add_assoc';
COMMENT ON FUNCTION chatroom.add_assoc(text, text, jsonb) IS
	'name an association, and tell what foreign keys leave open; params NULL: as drop_assoc()';

-- It asks for ownership of the tables: PUBLIC may call it.
CREATE FUNCTION chatroom.drop_assoc(relation text, name text)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_drop_assoc';
COMMENT ON FUNCTION chatroom.drop_assoc(text, text) IS
	'end what add_assoc() told of an association';

-- Shows what the caller may see some column of, and own tables: PUBLIC may ask.
CREATE FUNCTION chatroom.list_assocs(
	OUT relation text,
	OUT name text,
	OUT kind text,
	OUT related text,
	OUT foreign_key text[],
	OUT through text[],
	OUT join_through text,
	OUT condition jsonb,
	OUT sort_order jsonb,
	OUT on_replace text,
	OUT added boolean,
	OUT problem text)
	RETURNS SETOF record
	LANGUAGE c STABLE PARALLEL UNSAFE ROWS 100
	AS 'MODULE_PATHNAME', 'chatroom_list_assocs';
COMMENT ON FUNCTION chatroom.list_assocs() IS
	'rows of the view chatroom.assocs';

CREATE VIEW chatroom.assocs AS
	SELECT relation, name, kind, related, foreign_key, through, join_through,
		condition, sort_order, on_replace, added, problem
	FROM chatroom.list_assocs();
COMMENT ON VIEW chatroom.assocs IS
	'associations of tables that the current user may read or owns';
COMMENT ON COLUMN chatroom.assocs.relation IS
	'the table whose association it is';
COMMENT ON COLUMN chatroom.assocs.name IS
	'the name that preload, assoc and attributes call it by';
COMMENT ON COLUMN chatroom.assocs.kind IS
	'belongs_to, has_one, has_many, many_to_many or through';
COMMENT ON COLUMN chatroom.assocs.related IS
	'the associated table';
COMMENT ON COLUMN chatroom.assocs.foreign_key IS
	'columns of the foreign key; of many_to_many the one to the associated table';
COMMENT ON COLUMN chatroom.assocs.through IS
	'the associations that it goes through';
COMMENT ON COLUMN chatroom.assocs.join_through IS
	'the join table of many_to_many';
COMMENT ON COLUMN chatroom.assocs.condition IS
	'only rows that meet it are associated: "where" of chatroom.add_assoc()';
COMMENT ON COLUMN chatroom.assocs.sort_order IS
	'the order of rows: "order" of chatroom.add_assoc(); NULL: by key';
COMMENT ON COLUMN chatroom.assocs.on_replace IS
	'what becomes of rows that are associated no more';
COMMENT ON COLUMN chatroom.assocs.added IS
	'false: foreign keys alone tell it';
COMMENT ON COLUMN chatroom.assocs.problem IS
	'why the table''s associations can''t be told; NULL: they can';
GRANT SELECT ON chatroom.assocs TO PUBLIC;
