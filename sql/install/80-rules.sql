-- Rules: validations of rows that the trigger chatroom.validate enforces.

-- The trigger functions stay executable by PUBLIC: CREATE TRIGGER asks for
-- that, of whoever owns the table. They do nothing when called otherwise than
-- by a trigger.

CREATE FUNCTION chatroom.validate() RETURNS trigger
	LANGUAGE c PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_validate';
COMMENT ON FUNCTION chatroom.validate() IS
	'trigger that holds rows against the table''s rules; made by chatroom.add_rule()';

CREATE FUNCTION chatroom.rule() RETURNS trigger
	LANGUAGE c PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_rule';
COMMENT ON FUNCTION chatroom.rule() IS
	'function of disabled triggers that hold a rule: it does nothing';

-- add_rule() and drop_rule() run with the caller's rights, and ask for
-- ownership of the table: so PUBLIC may call them.

CREATE FUNCTION chatroom.add_rule(
	relation text,
	field text,
	validation text,
	params jsonb DEFAULT '{}',
	message text DEFAULT NULL,
	name text DEFAULT NULL,
	check_existing boolean DEFAULT false)
	RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_add_rule';
COMMENT ON FUNCTION chatroom.add_rule(text, text, text, jsonb, text, text, boolean) IS
	'enforce a validation of a field from now on; returns the rule''s name';

CREATE FUNCTION chatroom.drop_rule(relation text, name text)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_drop_rule';
COMMENT ON FUNCTION chatroom.drop_rule(text, text) IS
	'drop a rule of a table';

-- Shows what the caller may see some column of, and own tables: PUBLIC may ask.
CREATE FUNCTION chatroom.list_rules(
	OUT relation text,
	OUT name text,
	OUT field text,
	OUT validation text,
	OUT params jsonb,
	OUT message text,
	OUT enabled boolean,
	OUT problem text)
	RETURNS SETOF record
	LANGUAGE c STABLE PARALLEL UNSAFE ROWS 50
	AS 'MODULE_PATHNAME', 'chatroom_list_rules';
COMMENT ON FUNCTION chatroom.list_rules() IS
	'rows of the view chatroom.rules';

CREATE VIEW chatroom.rules AS
	SELECT relation, name, field, validation, params, message, enabled, problem
	FROM chatroom.list_rules();
COMMENT ON VIEW chatroom.rules IS
	'the rules of tables that the current user may read or owns';
COMMENT ON COLUMN chatroom.rules.relation IS
	'the table, as topics spell it';
COMMENT ON COLUMN chatroom.rules.name IS
	'the rule''s name: what errors give as constraint';
COMMENT ON COLUMN chatroom.rules.field IS
	'the column, association or attribute that it is about';
COMMENT ON COLUMN chatroom.rules.validation IS
	'the kind of rule, by Ecto''s name';
COMMENT ON COLUMN chatroom.rules.params IS
	'its parameters';
COMMENT ON COLUMN chatroom.rules.message IS
	'its own message; NULL: Ecto''s';
COMMENT ON COLUMN chatroom.rules.enabled IS
	'false: the trigger that enforces it is missing or disabled';
COMMENT ON COLUMN chatroom.rules.problem IS
	'why it can''t be enforced any more; NULL: it can';
GRANT SELECT ON chatroom.rules TO PUBLIC;
