-- An outbox: a table that a trigger fills, in the writer's transaction, and
-- that readers ask again and again.
--
-- A reader that remembers the last id it saw loses what commits late: ids are
-- drawn before the commit, so a smaller one can appear after a larger one was
-- read. Here it asks in the order of transaction ids instead, and only for
-- transactions older than any that still runs, which are all there or never
-- will be. So a long transaction, anywhere in the cluster, holds the feed up.
--
-- What was read is not deleted here; who runs an outbox pays for that, too.
CREATE TABLE outbox.outbox (
	txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
	id bigint GENERATED ALWAYS AS IDENTITY,
	message jsonb NOT NULL,
	PRIMARY KEY (txid, id)
);

CREATE FUNCTION outbox.put() RETURNS trigger
	LANGUAGE plpgsql
AS $$
BEGIN
	INSERT INTO outbox.outbox (message) VALUES (to_jsonb(NEW));
	RETURN NEW;
END;
$$;

CREATE TRIGGER put AFTER INSERT ON outbox.messages
	FOR EACH ROW EXECUTE FUNCTION outbox.put();
