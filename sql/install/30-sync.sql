-- Reading the stream. What evaluates policies does so in a subtransaction, which
-- a parallel query can't have.

CREATE FUNCTION chatroom.sync(topic text, since text DEFAULT NULL,
							  max_events integer DEFAULT 1000)
RETURNS json
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'chatroom_sync';
COMMENT ON FUNCTION chatroom.sync(text, text, integer) IS
'what happened to a topic since a cursor; null: nothing, and the cursor of now';

CREATE FUNCTION chatroom.sync_many(topics text[], since text DEFAULT NULL,
								   max_events integer DEFAULT 1000)
RETURNS json
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'chatroom_sync_many';
COMMENT ON FUNCTION chatroom.sync_many(text[], text, integer) IS
'what happened to several topics since a cursor, in commit order';

CREATE FUNCTION chatroom.snapshot_cursor()
RETURNS text
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'chatroom_snapshot_cursor';
COMMENT ON FUNCTION chatroom.snapshot_cursor() IS
'the cursor that belongs to the caller''s snapshot: sync from it tells exactly what rows read with that snapshot don''t show';

CREATE FUNCTION chatroom.events(topic text, since text DEFAULT NULL,
								max_events integer DEFAULT 1000)
RETURNS TABLE (cursor text, type text, relation text, key jsonb, "row" json,
			   old json, changed text[], topics text[], payload jsonb,
			   oversize boolean, at timestamptz, origin text)
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'chatroom_events';
COMMENT ON FUNCTION chatroom.events(text, text, integer) IS
'sync() as rows; since null: the newest events that are kept; a broadcast''s name stands in its key, and a presence entry''s key';

CREATE FUNCTION chatroom.pending(topic text)
RETURNS json
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'chatroom_pending';
COMMENT ON FUNCTION chatroom.pending(text) IS
'the events of the caller''s own open transaction, as sync() would tell them after a commit; their cursors are null';

CREATE FUNCTION chatroom.cached(relation text, key jsonb)
RETURNS json
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'chatroom_cached';
COMMENT ON FUNCTION chatroom.cached(text, jsonb) IS
'the newest version of a row from memory; null if it is not cached';
