-- Watches: the triggers that emit events, and what makes them.

-- The trigger functions stay executable by PUBLIC: CREATE TRIGGER asks for
-- that, of whoever owns the table. They do nothing when called otherwise than
-- by a trigger, and a trigger emits under the names of its own table only.

CREATE FUNCTION chatroom.emit() RETURNS trigger
	LANGUAGE c PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_emit';
COMMENT ON FUNCTION chatroom.emit() IS
	'trigger that emits row changes; made by chatroom.watch()';

CREATE FUNCTION chatroom.emit_truncate() RETURNS trigger
	LANGUAGE c PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_emit_truncate';
COMMENT ON FUNCTION chatroom.emit_truncate() IS
	'trigger that emits TRUNCATE; made by chatroom.watch()';

CREATE FUNCTION chatroom.watch_option() RETURNS trigger
	LANGUAGE c PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_watch_option';
COMMENT ON FUNCTION chatroom.watch_option() IS
	'function of disabled triggers that hold options of a watch: it does nothing';

-- watch() and unwatch() run with the caller's rights, and ask for ownership of
-- the table: so PUBLIC may call them.

CREATE FUNCTION chatroom.watch(
	relation text,
	label text DEFAULT NULL,
	events text[] DEFAULT '{insert,update,delete,truncate}',
	columns text[] DEFAULT NULL,
	trigger_columns text[] DEFAULT NULL,
	topic_columns text[] DEFAULT NULL,
	condition text DEFAULT NULL,
	big_numbers text DEFAULT 'number',
	always boolean DEFAULT false)
	RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_watch';
COMMENT ON FUNCTION chatroom.watch(text, text, text[], text[], text[], text[], text, text, boolean) IS
	'emit the changes of a table from now on; returns the table''s topic';

CREATE FUNCTION chatroom.watch_assocs(relation text, preload text[])
	RETURNS text[]
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_watch_assocs';
COMMENT ON FUNCTION chatroom.watch_assocs(text, text[]) IS
	'watch a table and all on the paths of associations; returns their topics';

CREATE FUNCTION chatroom.unwatch(relation text, label text DEFAULT NULL)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_unwatch';
COMMENT ON FUNCTION chatroom.unwatch(text, text) IS
	'end a watch of a table';

-- It tells a name that anyone could put together: PUBLIC may call it.
CREATE FUNCTION chatroom.topic(relation text, key jsonb DEFAULT NULL)
	RETURNS text
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_topic';
COMMENT ON FUNCTION chatroom.topic(text, jsonb) IS
	'the topic of a table, of a row by its key, or of an association';

-- Shows what the caller may see some column of, and own tables: PUBLIC may ask.
CREATE FUNCTION chatroom.list_watches(
	OUT relation text,
	OUT label text,
	OUT topic text,
	OUT events text[],
	OUT columns text[],
	OUT trigger_columns text[],
	OUT topic_columns text[],
	OUT condition text,
	OUT big_numbers text,
	OUT always boolean,
	OUT enabled boolean)
	RETURNS SETOF record
	LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 10
	AS 'MODULE_PATHNAME', 'chatroom_list_watches';
COMMENT ON FUNCTION chatroom.list_watches() IS
	'rows of the view chatroom.watches';

CREATE VIEW chatroom.watches AS
	SELECT relation, label, topic, events, columns, trigger_columns,
		topic_columns, condition, big_numbers, always, enabled
	FROM chatroom.list_watches();
COMMENT ON VIEW chatroom.watches IS
	'the watches of tables that the current user may read or owns';
COMMENT ON COLUMN chatroom.watches.relation IS
	'the watched table, as topics spell it';
COMMENT ON COLUMN chatroom.watches.label IS
	'label given to chatroom.watch()';
COMMENT ON COLUMN chatroom.watches.topic IS
	'topic of all the table''s events';
COMMENT ON COLUMN chatroom.watches.events IS
	'the kinds of changes that are emitted';
COMMENT ON COLUMN chatroom.watches.columns IS
	'the columns that events show; NULL: all';
COMMENT ON COLUMN chatroom.watches.trigger_columns IS
	'an update counts only where one of these changed; NULL: any';
COMMENT ON COLUMN chatroom.watches.topic_columns IS
	'the columns whose values make association topics';
COMMENT ON COLUMN chatroom.watches.condition IS
	'the rows that events are about; NULL: all';
COMMENT ON COLUMN chatroom.watches.big_numbers IS
	'how bigint and numeric are shown: number, or text for strings';
COMMENT ON COLUMN chatroom.watches.always IS
	'are replicated changes emitted too?';
COMMENT ON COLUMN chatroom.watches.enabled IS
	'false: the trigger is disabled, nothing is emitted';
GRANT SELECT ON chatroom.watches TO PUBLIC;

-- Event triggers: DDL on watched tables. They run whatever
-- session_replication_role says, and nobody calls their functions.

CREATE FUNCTION chatroom.on_ddl() RETURNS event_trigger
	LANGUAGE c PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_on_ddl';
COMMENT ON FUNCTION chatroom.on_ddl() IS
	'event trigger: DDL on a watched table resets its topics';
REVOKE ALL ON FUNCTION chatroom.on_ddl() FROM PUBLIC;

CREATE FUNCTION chatroom.on_drop() RETURNS event_trigger
	LANGUAGE c PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_on_drop';
COMMENT ON FUNCTION chatroom.on_drop() IS
	'event trigger: dropping a watched table resets its topics';
REVOKE ALL ON FUNCTION chatroom.on_drop() FROM PUBLIC;

CREATE FUNCTION chatroom.on_alter() RETURNS event_trigger
	LANGUAGE c PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_on_alter';
COMMENT ON FUNCTION chatroom.on_alter() IS
	'event trigger: lets columns of rules, watches and associations be changed';
REVOKE ALL ON FUNCTION chatroom.on_alter() FROM PUBLIC;

CREATE EVENT TRIGGER chatroom_alter ON ddl_command_start
	WHEN TAG IN ('ALTER TABLE', 'ALTER FOREIGN TABLE')
	EXECUTE FUNCTION chatroom.on_alter();
COMMENT ON EVENT TRIGGER chatroom_alter IS
	'lets columns of rules, watches and associations be changed';
ALTER EVENT TRIGGER chatroom_alter ENABLE ALWAYS;

CREATE EVENT TRIGGER chatroom_ddl ON ddl_command_end
	WHEN TAG IN ('ALTER TABLE', 'ALTER FOREIGN TABLE', 'ALTER TYPE',
		'ALTER INDEX', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW',
		'ALTER EXTENSION', 'ALTER SCHEMA', 'CREATE TABLE',
		'CREATE FOREIGN TABLE', 'CREATE SCHEMA', 'CREATE CAST',
		'CREATE TRIGGER', 'CREATE POLICY', 'ALTER POLICY', 'REVOKE',
		'DROP OWNED')
	EXECUTE FUNCTION chatroom.on_ddl();
COMMENT ON EVENT TRIGGER chatroom_ddl IS
	'DDL on a watched table resets its topics';
ALTER EVENT TRIGGER chatroom_ddl ENABLE ALWAYS;

CREATE EVENT TRIGGER chatroom_drop ON sql_drop
	EXECUTE FUNCTION chatroom.on_drop();
COMMENT ON EVENT TRIGGER chatroom_drop IS
	'dropping a watched table resets its topics';
ALTER EVENT TRIGGER chatroom_drop ENABLE ALWAYS;

-- What happened in this database before the extension was there, readers of an
-- earlier one's cursors don't know. Nobody else calls this: it goes again.
CREATE FUNCTION chatroom.installed() RETURNS void
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'chatroom_installed';
SELECT chatroom.installed();
DROP FUNCTION chatroom.installed();
