-- Who is present, and who types.

-- PUBLIC may call these: who may track and look on which topic is for grants
-- and for rooms to say.
CREATE FUNCTION chatroom.track(topic text, key text, meta jsonb DEFAULT '{}',
							   ttl interval DEFAULT NULL)
	RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_track';
COMMENT ON FUNCTION chatroom.track(text, text, jsonb, interval) IS
	'be present on a topic as a key: as long as this session, or with ttl until not tracked again for so long; returns the phx_ref';

CREATE FUNCTION chatroom.untrack(topic text, key text)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_untrack';
COMMENT ON FUNCTION chatroom.untrack(text, text) IS
	'be present on a topic no more: ends this session''s entry of a key, and the key''s entries with ttl';

CREATE FUNCTION chatroom.presence(topic text)
	RETURNS json
	LANGUAGE c VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'chatroom_presence';
COMMENT ON FUNCTION chatroom.presence(text) IS
	'who is present on a topic: {key: {"metas": [{..., "phx_ref": "..."}]}}';

CREATE FUNCTION chatroom.typing(room text, username text,
								typing boolean DEFAULT true,
								prefix text DEFAULT NULL)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_typing';
COMMENT ON FUNCTION chatroom.typing(text, text, boolean, text) IS
	'a user types in a room, by its name or id: until 5 s after the last call, its next post, or a call with false';

CREATE FUNCTION chatroom.typing(room bigint, username text,
								typing boolean DEFAULT true,
								prefix text DEFAULT NULL)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'chatroom_typing_id';
COMMENT ON FUNCTION chatroom.typing(bigint, text, boolean, text) IS
	'a user types in a room, by its id: until 5 s after the last call, its next post, or a call with false';
