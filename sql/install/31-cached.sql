CREATE FUNCTION chatroom.cached(relation text, key jsonb)
RETURNS json
LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED
SET search_path FROM CURRENT
AS $$ SELECT chatroom.cached_row(chatroom.topic($1, $2)) $$;
COMMENT ON FUNCTION chatroom.cached(text, jsonb) IS
'the newest version of a row from memory; null if it is not cached';
