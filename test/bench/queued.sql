-- PgQ: its own trigger puts each row into a queue. The queue itself is made
-- anew for each slice, see Peers.pm.
CREATE EXTENSION pgq;
SELECT pgq.create_queue('messages');
CREATE TRIGGER put AFTER INSERT ON queued.messages
	FOR EACH ROW EXECUTE FUNCTION pgq.logutriga('messages');
