-- Who the caller is in chat.

CREATE FUNCTION chatroom.act_as(username text)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_act_as';
COMMENT ON FUNCTION chatroom.act_as(text) IS
	'for application servers: the user that the rest of this transaction acts for; NULL: nobody';
-- The right to execute it, and so to use arguments acting_for, is the right to
-- speak for any user.
REVOKE ALL ON FUNCTION chatroom.act_as(text) FROM PUBLIC;
