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
