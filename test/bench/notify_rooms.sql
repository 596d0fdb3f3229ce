-- As notify.sql, but a channel for each room.

CREATE FUNCTION notify_rooms.tell() RETURNS trigger
	LANGUAGE plpgsql
AS $$
DECLARE
	changed record := coalesce(NEW, OLD);
	payload text;
BEGIN
	payload := jsonb_build_object('type', 'inserted',
		'identifier', changed.id,
		'extra', jsonb_build_object('room_id', changed.room_id));
	PERFORM pg_notify('messages_inserted_' || changed.room_id, payload);
	RETURN NEW;
END;
$$;

CREATE TRIGGER tell AFTER INSERT ON notify_rooms.messages
	FOR EACH ROW EXECUTE FUNCTION notify_rooms.tell();
