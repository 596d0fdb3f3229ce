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
	OUT notifier_pid integer, OUT cache_failed boolean, OUT problem text,
	OUT cache_bytes bigint, OUT cache_used_bytes bigint,
	OUT events_kept bigint, OUT floor_lsn pg_lsn,
	OUT last_event_at timestamptz, OUT stats_reset timestamptz,
	OUT published_lsn pg_lsn, OUT held boolean,
	OUT waiting bigint, OUT interested bigint,
	OUT present bigint, OUT presence_limit bigint,
	OUT events bigint, OUT transactions bigint, OUT event_bytes bigint,
	OUT overwritten bigint, OUT oversize bigint,
	OUT large_transactions bigint, OUT topics_evicted bigint,
	OUT syncs bigint, OUT syncs_with_news bigint, OUT waits bigint,
	OUT notifies bigint, OUT notify_batches bigint,
	OUT presence_refused bigint, OUT resets jsonb)
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
'state of the worker, lag, cache, counters, resets by reason: this database, and for pg_read_all_stats all that have a cache; what counts what happens is null but for them and the database''s owner';
COMMENT ON COLUMN chatroom.status.database IS
'the database that the row is about; NULL: it was dropped a moment ago';
COMMENT ON COLUMN chatroom.status.dboid IS
'its oid';
COMMENT ON COLUMN chatroom.status.state IS
'the cluster''s worker: not running, starting, rebuilding, running or stopped';
COMMENT ON COLUMN chatroom.status.tailer_pid IS
'its process id; NULL: it does not run';
COMMENT ON COLUMN chatroom.status.preloaded IS
'is the library in shared_preload_libraries?';
COMMENT ON COLUMN chatroom.status.standby IS
'is this server in recovery?';
COMMENT ON COLUMN chatroom.status.timeline IS
'timeline of the WAL that the worker reads';
COMMENT ON COLUMN chatroom.status.read_lsn IS
'end of the last WAL record that the worker has read';
COMMENT ON COLUMN chatroom.status.lag_bytes IS
'WAL that is flushed (on a standby: replayed) and not yet read; NULL: no worker';
COMMENT ON COLUMN chatroom.status.restart_lsn IS
'where reading starts after a restart; the slot keeps WAL from here on';
COMMENT ON COLUMN chatroom.status.messages_read IS
'chatroom''s messages met in WAL, of all databases';
COMMENT ON COLUMN chatroom.status.messages_forged IS
'messages under chatroom''s name that chatroom did not write: ignored';
COMMENT ON COLUMN chatroom.status.messages_torn IS
'authentic messages that can''t be read, because they are damaged';
COMMENT ON COLUMN chatroom.status.wal_bytes_read IS
'bytes of WAL records that the worker has read';
COMMENT ON COLUMN chatroom.status.transactions_reread IS
'transactions too large to be kept in memory, read from WAL again at commit';
COMMENT ON COLUMN chatroom.status.assembly_bytes IS
'memory that holds messages of transactions that have not ended';
COMMENT ON COLUMN chatroom.status.tailer_starts IS
'how often the worker has started since the server did';
COMMENT ON COLUMN chatroom.status.notifier_pid IS
'process id of the database''s notifier; NULL: it does not run';
COMMENT ON COLUMN chatroom.status.cache_failed IS
'was there no memory for the database''s cache? Readers then get resets';
COMMENT ON COLUMN chatroom.status.problem IS
'why the database has no cache, and what to do about it; NULL: it has one, or nobody has asked for it yet';
COMMENT ON COLUMN chatroom.status.cache_bytes IS
'size of the ring of events; chatroom.cache_size less what manages it';
COMMENT ON COLUMN chatroom.status.cache_used_bytes IS
'bytes of the ring that hold events';
COMMENT ON COLUMN chatroom.status.events_kept IS
'events in the ring';
COMMENT ON COLUMN chatroom.status.floor_lsn IS
'cursors before this place are reset';
COMMENT ON COLUMN chatroom.status.last_event_at IS
'commit time of the newest event in the ring';
COMMENT ON COLUMN chatroom.status.stats_reset IS
'since when the columns from events on count';
COMMENT ON COLUMN chatroom.status.published_lsn IS
'all that committed in the database up to here can be read';
COMMENT ON COLUMN chatroom.status.held IS
'is a committed transaction held back, until other sessions can see it?';
COMMENT ON COLUMN chatroom.status.waiting IS
'sessions in CALL chatroom.wait()';
COMMENT ON COLUMN chatroom.status.interested IS
'topics that somebody listens to';
COMMENT ON COLUMN chatroom.status.present IS
'presence entries';
COMMENT ON COLUMN chatroom.status.presence_limit IS
'presence entries that there is room for: chatroom.max_presence when the cache was made';
COMMENT ON COLUMN chatroom.status.events IS
'events published';
COMMENT ON COLUMN chatroom.status.transactions IS
'transactions published';
COMMENT ON COLUMN chatroom.status.event_bytes IS
'bytes that the published events took in the ring';
COMMENT ON COLUMN chatroom.status.overwritten IS
'events that gave way to newer ones';
COMMENT ON COLUMN chatroom.status.oversize IS
'events published without their row, which was too large';
COMMENT ON COLUMN chatroom.status.large_transactions IS
'transactions too large for the ring: their topics were reset';
COMMENT ON COLUMN chatroom.status.topics_evicted IS
'topics that gave way to others in the table of topics';
COMMENT ON COLUMN chatroom.status.syncs IS
'times that somebody looked for events, waiting sessions'' looks included';
COMMENT ON COLUMN chatroom.status.syncs_with_news IS
'those of them that found some';
COMMENT ON COLUMN chatroom.status.waits IS
'calls of chatroom.wait() that slept, or were about to';
COMMENT ON COLUMN chatroom.status.notifies IS
'NOTIFYs sent';
COMMENT ON COLUMN chatroom.status.notify_batches IS
'transactions that they were sent in';
COMMENT ON COLUMN chatroom.status.presence_refused IS
'calls of track() and typing() that were refused: no room, or too many entries of a role';
COMMENT ON COLUMN chatroom.status.resets IS
'answers that told of a reset, by reason';

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
COMMENT ON COLUMN chatroom.stat_topics.topic IS
'name of the topic';
COMMENT ON COLUMN chatroom.stat_topics.events IS
'its events, counted since the cache last had none of it';
COMMENT ON COLUMN chatroom.stat_topics.newest_cursor IS
'cursor of its newest event';
COMMENT ON COLUMN chatroom.stat_topics.newest_at IS
'commit time of its newest event';

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
