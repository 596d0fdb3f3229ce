-- Users, members and invites.

-- All of these check what the caller may do to whom, and that it may use the
-- tables at all (USAGE on the schema, SELECT on rooms); then they write with
-- the rights of the tables' owner. So PUBLIC may call them.

CREATE FUNCTION chatroom.update_user(username text, attrs jsonb, prefix text
	DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_update_user';
COMMENT ON FUNCTION chatroom.update_user(text, jsonb, text) IS
	'change a user''s profile: {"profile": {"display_name": "...", "avatar": "..."}}; null takes an entry away';

CREATE FUNCTION chatroom.delete_user(username text, prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_delete_user';
COMMENT ON FUNCTION chatroom.delete_user(text, text) IS
	'delete a user, and its memberships; messages stay';

CREATE FUNCTION chatroom.add_member(room text, username text, role text
	DEFAULT 'member', prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_add_member';
COMMENT ON FUNCTION chatroom.add_member(text, text, text, text) IS
	'make a user a member of a room, or give a member another role: admin, member or guest';

CREATE FUNCTION chatroom.add_member(room bigint, username text, role text
	DEFAULT 'member', prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_add_member_id';
COMMENT ON FUNCTION chatroom.add_member(bigint, text, text, text) IS
	'make a user a member of a room, or give a member another role: admin, member or guest';

CREATE FUNCTION chatroom.remove_member(room text, username text, prefix text
	DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_remove_member';
COMMENT ON FUNCTION chatroom.remove_member(text, text, text) IS
	'take a member out of a room; an owner''s room passes on';

CREATE FUNCTION chatroom.remove_member(room bigint, username text, prefix
	text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_remove_member_id';
COMMENT ON FUNCTION chatroom.remove_member(bigint, text, text) IS
	'take a member out of a room; an owner''s room passes on';

CREATE FUNCTION chatroom.leave_room(room text, prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_leave_room';
COMMENT ON FUNCTION chatroom.leave_room(text, text) IS
	'leave a room; an owner''s room passes to its longest-standing admin, else member';

CREATE FUNCTION chatroom.leave_room(room bigint, prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_leave_room_id';
COMMENT ON FUNCTION chatroom.leave_room(bigint, text) IS
	'leave a room; an owner''s room passes to its longest-standing admin, else member';

CREATE FUNCTION chatroom.list_members(room text, prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_list_members';
COMMENT ON FUNCTION chatroom.list_members(text, text) IS
	'list of a room''s members, the owner first';

CREATE FUNCTION chatroom.list_members(room bigint, prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_list_members_id';
COMMENT ON FUNCTION chatroom.list_members(bigint, text) IS
	'list of a room''s members, the owner first';

CREATE FUNCTION chatroom.transfer_room(room text, username text, prefix text
	DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_transfer_room';
COMMENT ON FUNCTION chatroom.transfer_room(text, text, text) IS
	'make another member the owner of a room; the old one stays as admin';

CREATE FUNCTION chatroom.transfer_room(room bigint, username text, prefix
	text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_transfer_room_id';
COMMENT ON FUNCTION chatroom.transfer_room(bigint, text, text) IS
	'make another member the owner of a room; the old one stays as admin';

CREATE FUNCTION chatroom.create_invite(room text, role text DEFAULT 'guest',
	expires interval DEFAULT '7 days', max_uses integer DEFAULT NULL, prefix
	text DEFAULT NULL)
	RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_create_invite';
COMMENT ON FUNCTION chatroom.create_invite(text, text, interval, integer, text) IS
	'make an invite to a room; returns its token, which is kept nowhere';

CREATE FUNCTION chatroom.create_invite(room bigint, role text DEFAULT
	'guest', expires interval DEFAULT '7 days', max_uses integer DEFAULT NULL,
	prefix text DEFAULT NULL)
	RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_create_invite_id';
COMMENT ON FUNCTION chatroom.create_invite(bigint, text, interval, integer, text) IS
	'make an invite to a room; returns its token, which is kept nowhere';

CREATE FUNCTION chatroom.accept_invite(token text, prefix text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_accept_invite';
COMMENT ON FUNCTION chatroom.accept_invite(text, text) IS
	'become a member of the room that a token is for; returns the member';
