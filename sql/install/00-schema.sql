CREATE SCHEMA chatroom;
GRANT USAGE ON SCHEMA chatroom TO PUBLIC;
COMMENT ON SCHEMA chatroom IS
	'extension chatroom: change feed from memory';
