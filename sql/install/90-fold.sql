-- Values that clients hold. What fold loads, and what evaluates policies, can't
-- be in a parallel query.

CREATE FUNCTION chatroom.fold(value jsonb, answer json, relation text,
							  preload text[] DEFAULT '{}',
							  options jsonb DEFAULT '{}')
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'chatroom_fold';
COMMENT ON FUNCTION chatroom.fold(jsonb, json, text, text[], jsonb) IS
'bring a row or list of rows that a client holds up to date with an answer of sync(); options: where, order, limit';

CREATE FUNCTION chatroom.fold(value jsonb, answer jsonb, relation text,
							  preload text[] DEFAULT '{}',
							  options jsonb DEFAULT '{}')
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'chatroom_fold_jsonb';
COMMENT ON FUNCTION chatroom.fold(jsonb, jsonb, text, text[], jsonb) IS
'the same for an answer that is jsonb';

CREATE FUNCTION chatroom.fold(value jsonb, answer text, relation text,
							  preload text[] DEFAULT '{}',
							  options jsonb DEFAULT '{}')
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'chatroom_fold';
COMMENT ON FUNCTION chatroom.fold(jsonb, text, text, text[], jsonb) IS
'the same for an answer that is text';

CREATE FUNCTION chatroom.topics_for(value jsonb, relation text,
									preload text[] DEFAULT '{}',
									options jsonb DEFAULT '{}')
RETURNS text[]
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'chatroom_topics_for';
COMMENT ON FUNCTION chatroom.topics_for(jsonb, text, text[], jsonb) IS
'the topics to follow to keep a value true with fold(): with its options';
