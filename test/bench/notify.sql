-- What people do without chatroom: a trigger that tells of each row with
-- NOTIFY, on one channel for the table. The payload is what EctoWatch's has:
-- type, key, and an extra column.

CREATE FUNCTION notify.tell() RETURNS trigger
	LANGUAGE plpgsql
AS $$
DECLARE
	changed record := coalesce(NEW, OLD);
	payload text;
BEGIN
	payload := jsonb_build_object('type', 'inserted',
		'identifier', changed.id,
		'extra', jsonb_build_object('room_id', changed.room_id));
	PERFORM pg_notify('messages_inserted', payload);
	RETURN NEW;
END;
$$;

CREATE TRIGGER tell AFTER INSERT ON notify.messages
	FOR EACH ROW EXECUTE FUNCTION notify.tell();
