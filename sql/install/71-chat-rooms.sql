-- Rooms and messages.

-- All of these run with the caller's rights: what they do is the plain
-- statement that the caller could have typed, under the tables' privileges and
-- row-level security. So PUBLIC may call them.

CREATE FUNCTION chatroom.create_room(name text, private boolean DEFAULT false,
	prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_create_room';
COMMENT ON FUNCTION chatroom.create_room(text, boolean, text) IS
	'make a room; a private one, and any one made for a user, belongs to its creator';

CREATE FUNCTION chatroom.rename_room(room text, name text,
	prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_rename_room';
COMMENT ON FUNCTION chatroom.rename_room(text, text, text) IS
	'give a room another name';

CREATE FUNCTION chatroom.rename_room(room bigint, name text,
	prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_rename_room_id';
COMMENT ON FUNCTION chatroom.rename_room(bigint, text, text) IS
	'give a room another name';

CREATE FUNCTION chatroom.set_private(room text, private boolean,
	prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_set_private';
COMMENT ON FUNCTION chatroom.set_private(text, boolean, text) IS
	'make a room private, or public; its owner may';

CREATE FUNCTION chatroom.set_private(room bigint, private boolean,
	prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_set_private_id';
COMMENT ON FUNCTION chatroom.set_private(bigint, boolean, text) IS
	'make a room private, or public; its owner may';

CREATE FUNCTION chatroom.delete_room(room text, prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_delete_room';
COMMENT ON FUNCTION chatroom.delete_room(text, text) IS
	'delete a room with its messages; everyone in it is told';

CREATE FUNCTION chatroom.delete_room(room bigint, prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_delete_room_id';
COMMENT ON FUNCTION chatroom.delete_room(bigint, text) IS
	'delete a room with its messages; everyone in it is told';

CREATE FUNCTION chatroom.get_room(room text, preload text[] DEFAULT '{}',
	prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_get_room';
COMMENT ON FUNCTION chatroom.get_room(text, text[], text) IS
	'a room, with associations such as messages or members';

CREATE FUNCTION chatroom.get_room(room bigint, preload text[] DEFAULT '{}',
	prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_get_room_id';
COMMENT ON FUNCTION chatroom.get_room(bigint, text[], text) IS
	'a room, with associations such as messages or members';

CREATE FUNCTION chatroom.post(room text, username text, text text,
	client_key text DEFAULT NULL, prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_post';
COMMENT ON FUNCTION chatroom.post(text, text, text, text, text) IS
	'post a message; the same client_key again answers the message that is there';

CREATE FUNCTION chatroom.post(room bigint, username text, text text,
	client_key text DEFAULT NULL, prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_post_id';
COMMENT ON FUNCTION chatroom.post(bigint, text, text, text, text) IS
	'post a message; the same client_key again answers the message that is there';

CREATE FUNCTION chatroom.shout(room text, username text, text text,
	prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_shout';
COMMENT ON FUNCTION chatroom.shout(text, text, text, text) IS
	'post a message without waiting for the disk; nobody is shown it before it is saved';

CREATE FUNCTION chatroom.shout(room bigint, username text, text text,
	prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_shout_id';
COMMENT ON FUNCTION chatroom.shout(bigint, text, text, text) IS
	'post a message without waiting for the disk; nobody is shown it before it is saved';

CREATE FUNCTION chatroom.edit_message(id bigint, text text,
	prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_edit_message';
COMMENT ON FUNCTION chatroom.edit_message(bigint, text, text) IS
	'change a message''s text; its updated_at moves';

CREATE FUNCTION chatroom.delete_message(id bigint, prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_delete_message';
COMMENT ON FUNCTION chatroom.delete_message(bigint, text) IS
	'delete a message; returns what it was';

CREATE FUNCTION chatroom.list_rooms(after text DEFAULT NULL,
	max_rows integer DEFAULT 30, prefix text DEFAULT NULL)
	RETURNS json
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_list_rooms';
COMMENT ON FUNCTION chatroom.list_rooms(text, integer, text) IS
	'a page of the rooms that the caller may see, oldest first; max_rows null: all';

CREATE FUNCTION chatroom.list_messages(room text, before text DEFAULT NULL,
	max_rows integer DEFAULT 30, prefix text DEFAULT NULL)
	RETURNS json
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_list_messages';
COMMENT ON FUNCTION chatroom.list_messages(text, text, integer, text) IS
	'a page of a room''s messages: the newest before a place, in ascending order; max_rows null: all';

CREATE FUNCTION chatroom.list_messages(room bigint, before text DEFAULT NULL,
	max_rows integer DEFAULT 30, prefix text DEFAULT NULL)
	RETURNS json
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_list_messages_id';
COMMENT ON FUNCTION chatroom.list_messages(bigint, text, integer, text) IS
	'a page of a room''s messages: the newest before a place, in ascending order; max_rows null: all';

CREATE FUNCTION chatroom.list_messages_by(username text,
	before text DEFAULT NULL, max_rows integer DEFAULT 30,
	prefix text DEFAULT NULL)
	RETURNS json
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_list_messages_by';
COMMENT ON FUNCTION chatroom.list_messages_by(text, text, integer, text) IS
	'a page of a user''s messages in rooms that the caller may see: the newest before a place, in ascending order';

CREATE FUNCTION chatroom.join_room(room text, max_rows integer DEFAULT 30,
	prefix text DEFAULT NULL)
	RETURNS json
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_join_room';
COMMENT ON FUNCTION chatroom.join_room(text, integer, text) IS
	'a room, its newest messages, who is present, and the cursor that belongs to just these';

CREATE FUNCTION chatroom.join_room(room bigint, max_rows integer DEFAULT 30,
	prefix text DEFAULT NULL)
	RETURNS json
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_join_room_id';
COMMENT ON FUNCTION chatroom.join_room(bigint, integer, text) IS
	'a room, its newest messages, who is present, and the cursor that belongs to just these';

-- Procedures, as chatroom.wait() is, and for the same reasons.
CREATE PROCEDURE chatroom.follow_room(room text, since text DEFAULT NULL,
	timeout interval DEFAULT '10s', max_events integer DEFAULT 1000,
	INOUT answer json DEFAULT NULL, acting_for text DEFAULT NULL,
	prefix text DEFAULT NULL)
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'chatroom_follow_room';
COMMENT ON PROCEDURE chatroom.follow_room(text, text, interval, integer, json, text, text) IS
	'a client''s loop: first the room as join_room() has it, then, with the cursor, what happens in it';

CREATE PROCEDURE chatroom.follow_room(room bigint, since text DEFAULT NULL,
	timeout interval DEFAULT '10s', max_events integer DEFAULT 1000,
	INOUT answer json DEFAULT NULL, acting_for text DEFAULT NULL,
	prefix text DEFAULT NULL)
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'chatroom_follow_room_id';
COMMENT ON PROCEDURE chatroom.follow_room(bigint, text, interval, integer, json, text, text) IS
	'a client''s loop: first the room as join_room() has it, then, with the cursor, what happens in it';
