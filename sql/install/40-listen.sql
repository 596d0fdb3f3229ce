-- Doorbells: LISTEN on topics.

CREATE FUNCTION chatroom.listen(topic text, acting_for text DEFAULT NULL)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'chatroom_listen';
COMMENT ON FUNCTION chatroom.listen(text, text) IS
'LISTEN for a topic in this session; returns the cursor to start from';

CREATE FUNCTION chatroom.unlisten(topic text)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'chatroom_unlisten';
COMMENT ON FUNCTION chatroom.unlisten(text) IS
'end this session''s LISTEN for a topic';

CREATE FUNCTION chatroom.channel(topic text, keep interval DEFAULT NULL,
								 acting_for text DEFAULT NULL)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'chatroom_channel';
COMMENT ON FUNCTION chatroom.channel(text, interval, text) IS
'the channel to LISTEN to for a topic; it is rung while this session lasts, or with keep that long';
