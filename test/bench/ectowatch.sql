-- A trigger that tells of each row with NOTIFY, on one channel for the table,
-- as EctoWatch makes it. It carries every column, as its extra_columns can, so
-- that who listens has what the other feeds' followers have, without a query.
CREATE FUNCTION ectowatch.tell() RETURNS trigger
	LANGUAGE plpgsql
AS $$
DECLARE
	changed record := coalesce(NEW, OLD);
	payload text;
BEGIN
	payload := jsonb_build_object('type', 'inserted', 'values',
		json_build_object('id', changed.id, 'room_id', changed.room_id,
			'username', changed.username, 'text', changed.text,
			'inserted_at', changed.inserted_at,
			'updated_at', changed.updated_at));
	PERFORM pg_notify('ew_inserted_for_messages', payload);
	RETURN NEW;
END;
$$;

CREATE TRIGGER tell AFTER INSERT ON ectowatch.messages
	FOR EACH ROW EXECUTE FUNCTION ectowatch.tell();
