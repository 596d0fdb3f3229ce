-- State of the worker and of the caches.

CREATE FUNCTION chatroom.status_rows(
	OUT dboid oid,
	OUT state text, OUT tailer_pid integer, OUT preloaded boolean,
	OUT standby boolean, OUT timeline bigint, OUT read_lsn pg_lsn,
	OUT lag_bytes bigint, OUT restart_lsn pg_lsn,
	OUT messages_read bigint, OUT messages_forged bigint,
	OUT messages_torn bigint, OUT wal_bytes_read bigint,
	OUT transactions_reread bigint, OUT assembly_bytes bigint,
	OUT tailer_starts bigint,
	OUT notifier_pid integer, OUT cache_failed boolean,
	OUT cache_bytes bigint, OUT cache_used_bytes bigint,
	OUT events_kept bigint, OUT floor_lsn pg_lsn,
	OUT last_event_at timestamptz, OUT stats_reset timestamptz,
	OUT published_lsn pg_lsn, OUT held boolean,
	OUT waiting bigint, OUT interested bigint,
	OUT events bigint, OUT transactions bigint, OUT event_bytes bigint,
	OUT overwritten bigint, OUT oversize bigint,
	OUT large_transactions bigint, OUT topics_evicted bigint,
	OUT syncs bigint, OUT syncs_with_news bigint, OUT waits bigint,
	OUT notifies bigint, OUT notify_batches bigint, OUT resets jsonb)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'chatroom_status';
COMMENT ON FUNCTION chatroom.status_rows() IS
'rows of the view chatroom.status';

CREATE VIEW chatroom.status AS
	SELECT d.datname::text AS database, s.*
	FROM chatroom.status_rows() AS s
	LEFT JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) s.dboid;
GRANT SELECT ON chatroom.status TO PUBLIC;
COMMENT ON VIEW chatroom.status IS
'state of the worker, lag, cache, counters, resets by reason: this database, and for pg_read_all_stats all that have a cache';

CREATE FUNCTION chatroom.stat_topic_rows(OUT topic text, OUT events bigint,
										 OUT newest_cursor text,
										 OUT newest_at timestamptz)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'chatroom_stat_topics';
COMMENT ON FUNCTION chatroom.stat_topic_rows() IS
'rows of the view chatroom.stat_topics';

CREATE VIEW chatroom.stat_topics AS
	SELECT * FROM chatroom.stat_topic_rows();
GRANT SELECT ON chatroom.stat_topics TO PUBLIC;
COMMENT ON VIEW chatroom.stat_topics IS
'topics with events in the cache, as far as the caller may see all their rows';

CREATE FUNCTION chatroom.stat_reset()
RETURNS void
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'chatroom_stat_reset';
COMMENT ON FUNCTION chatroom.stat_reset() IS
'set this database''s counters to zero';
-- Statistics are the administrator's, as with pg_stat_reset().
REVOKE EXECUTE ON FUNCTION chatroom.stat_reset() FROM PUBLIC;

CREATE FUNCTION chatroom.start()
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'chatroom_start';
COMMENT ON FUNCTION chatroom.start() IS
'start the worker after a stop; true when it is ready, false when it still rebuilds';

CREATE FUNCTION chatroom.stop()
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'chatroom_stop';
COMMENT ON FUNCTION chatroom.stop() IS
'stop the cluster''s worker until start() or a server restart; gives its memory, slot and retained WAL back';
-- One worker serves all databases of the cluster.
REVOKE EXECUTE ON FUNCTION chatroom.start() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION chatroom.stop() FROM PUBLIC;
