-- The same as constraints, as people write them: NOT NULL is in schema.sql.
-- They let a name of four blanks through, and count code points.
ALTER TABLE checks.messages
	ADD CONSTRAINT messages_username_length
		CHECK (char_length(username) BETWEEN 4 AND 20),
	ADD CONSTRAINT messages_text_length
		CHECK (char_length(text) BETWEEN 2 AND 150);
