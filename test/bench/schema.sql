-- One side of a comparison: rooms and messages in a schema of their own.
-- psql variables: side, the schema; rooms, how many.
CREATE SCHEMA :"side";
SET search_path = :"side";

CREATE TABLE rooms (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL UNIQUE,
	inserted_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE messages (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	room_id bigint NOT NULL REFERENCES rooms ON DELETE CASCADE,
	username text NOT NULL,
	text text NOT NULL,
	inserted_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX messages_room_id_index ON messages (room_id, id);

INSERT INTO rooms (name) SELECT 'room ' || n FROM generate_series(1, :rooms) AS n;
