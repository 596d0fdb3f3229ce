-- The same as a trigger that tells of all that is wrong at once, as chatroom
-- does; it counts code points.
CREATE FUNCTION plpgsql.validate() RETURNS trigger
	LANGUAGE plpgsql
AS $$
DECLARE
	errors jsonb := '[]';
BEGIN
	IF NEW.username IS NULL OR btrim(NEW.username) = '' THEN
		errors := errors || jsonb_build_object('field', 'username',
			'message', 'can''t be blank');
	ELSIF char_length(NEW.username) < 4 THEN
		errors := errors || jsonb_build_object('field', 'username',
			'message', 'should be at least 4 character(s)');
	ELSIF char_length(NEW.username) > 20 THEN
		errors := errors || jsonb_build_object('field', 'username',
			'message', 'should be at most 20 character(s)');
	END IF;
	IF NEW.text IS NULL OR btrim(NEW.text) = '' THEN
		errors := errors || jsonb_build_object('field', 'text',
			'message', 'can''t be blank');
	ELSIF char_length(NEW.text) < 2 THEN
		errors := errors || jsonb_build_object('field', 'text',
			'message', 'should be at least 2 character(s)');
	ELSIF char_length(NEW.text) > 150 THEN
		errors := errors || jsonb_build_object('field', 'text',
			'message', 'should be at most 150 character(s)');
	END IF;
	IF errors <> '[]' THEN
		RAISE EXCEPTION 'the message is invalid'
			USING ERRCODE = 'check_violation', DETAIL = errors;
	END IF;
	RETURN NEW;
END;
$$;

CREATE TRIGGER validate BEFORE INSERT OR UPDATE ON plpgsql.messages
	FOR EACH ROW EXECUTE FUNCTION plpgsql.validate();
