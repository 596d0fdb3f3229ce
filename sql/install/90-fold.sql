-- Values that clients hold. What fold loads, and what evaluates policies, can't
-- be in a parallel query.

-- There is one alone: drivers that ask the server for the types of parameters
-- couldn't prepare a call of several.
CREATE FUNCTION chatroom.fold(value jsonb, answer json, relation text,
							  preload text[] DEFAULT '{}',
							  options jsonb DEFAULT '{}')
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'chatroom_fold';
COMMENT ON FUNCTION chatroom.fold(jsonb, json, text, text[], jsonb) IS
'bring a row or list of rows that a client holds up to date with an answer of sync(); options: where, order, limit';

CREATE FUNCTION chatroom.topics_for(value jsonb, relation text,
									preload text[] DEFAULT '{}',
									options jsonb DEFAULT '{}')
RETURNS text[]
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'chatroom_topics_for';
COMMENT ON FUNCTION chatroom.topics_for(jsonb, text, text[], jsonb) IS
'the topics to follow to keep a value true with fold(): with its options';
