-- Messages in a room, each in a transaction of its own.
CREATE PROCEDURE fill(side text, room bigint, n int)
	LANGUAGE plpgsql
AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		EXECUTE format('INSERT INTO %I.messages (room_id, username, text)'
			' VALUES ($1, $2, $3)', side)
			USING room, 'crimsun',
				'the same text of some seventy characters, message no. ' || i;
		COMMIT;
	END LOOP;
END;
$$;
