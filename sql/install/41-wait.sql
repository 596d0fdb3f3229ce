-- Waiting for the stream.

-- A procedure, because it ends its transaction before it sleeps; not SECURITY
-- DEFINER and without SET, because both would forbid that.
CREATE PROCEDURE chatroom.wait(topics text[], since text,
							   timeout interval DEFAULT '10s',
							   max_events integer DEFAULT 1000,
							   INOUT answer json DEFAULT NULL,
							   acting_for text DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'chatroom_wait';
COMMENT ON PROCEDURE chatroom.wait(text[], text, interval, integer, json, text) IS
'block until something happens to the topics after the cursor, or the timeout; answers as sync_many';
