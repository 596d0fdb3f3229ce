-- Events without a row.

-- PUBLIC may call it: who may broadcast on which topic is for grants to say.
CREATE FUNCTION chatroom.broadcast(topic text, event text, payload jsonb)
	RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_broadcast';
COMMENT ON FUNCTION chatroom.broadcast(text, text, jsonb) IS
	'send an event without a row to those who follow a topic; returns its cursor, or null where it is part of a transaction';
