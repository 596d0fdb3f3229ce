-- Made here rather than by the control file, which would take a schema of this
-- name that anybody made before, and leave it to its owner.
CREATE SCHEMA chatroom;
GRANT USAGE ON SCHEMA chatroom TO PUBLIC;
COMMENT ON SCHEMA chatroom IS
	'extension chatroom: change feed from memory';
