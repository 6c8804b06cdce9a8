-- One row for people and monitoring; cheap enough to poll each second. LEFT JOIN: before the first fold
-- there is no cursor.
CREATE VIEW litellm_spend.status AS
SELECT w.preloaded,
       w.worker,
       w.worker_pid,
       CASE WHEN b.rows = 0 THEN interval '0' ELSE pg_catalog.clock_timestamp() - b.oldest END AS lag,
       b.rows AS backlog,
       b.postponed,
       b.bytes AS backlog_bytes,
       coalesce(c.folded, 0) AS folded,
       coalesce(c.duplicates, 0) AS duplicates,
       coalesce(c.reused_ids, 0) AS reused_ids,
       (SELECT pg_catalog.count(*) FROM (SELECT FROM litellm_spend.rejected LIMIT 100000) AS r) AS rejected,
       coalesce(n.not_created, 0) AS entities_not_created,
       coalesce(c.names_not_counted, 0) AS names_not_counted,
       f.foreign_rows,
       c.last_fold_at,
       w.last_error,
       w.last_error_at,
       p.pinned_by,
       p.pinned_since,
       CASE
           WHEN NOT w.preloaded THEN
               'Add litellm_spend to shared_preload_libraries and restart the server; until then CALL litellm_spend.fold_all().'
           WHEN w.worker = 'crowded' THEN
               'More databases record at a time than the server keeps track of: raise litellm_spend.max_databases and restart the server.'
           WHEN w.worker = 'starved' THEN
               'No background worker process is free: if this lasts, raise max_worker_processes and restart the server.'
           WHEN w.last_error IS NOT NULL AND w.worker <> 'held' THEN
               'End the transaction that last_error names if its client is gone. Only the records that need its rows wait.'
           WHEN w.last_error IS NOT NULL THEN
               'Fix what last_error names. The fold is held and tried again, and nothing is lost meanwhile.'
           WHEN n.refused_at > pg_catalog.clock_timestamp() - interval '1 hour' THEN
               'More new users, tags or other entities were named in an hour than litellm_spend.max_new_entities: look in the log for who names them, or raise it.'
           WHEN f.foreign_rows > 0 THEN
               pg_catalog.format('%s rows of another cluster wait. When the restore or the upgrade is complete: SELECT litellm_spend.adopt();',
                                 f.foreign_rows)
       END AS advice
FROM litellm_spend.worker_state() AS w
CROSS JOIN litellm_spend.backlog() AS b
CROSS JOIN litellm_spend.oldest_pin() AS p
CROSS JOIN litellm_spend.foreign_rows() AS f (foreign_rows)
LEFT JOIN (SELECT pg_catalog.sum(folded)::bigint AS folded, pg_catalog.sum(duplicates)::bigint AS duplicates,
                  pg_catalog.sum(reused_ids)::bigint AS reused_ids,
                  pg_catalog.sum(names_not_counted)::bigint AS names_not_counted, pg_catalog.max(last_fold_at) AS last_fold_at
           FROM litellm_spend.fold_cursor) AS c ON true
LEFT JOIN (SELECT pg_catalog.sum(not_created)::bigint AS not_created, pg_catalog.max(refused_at) AS refused_at
           FROM litellm_spend.new_entities) AS n ON true;

COMMENT ON VIEW litellm_spend.status IS 'The worker, the lag, the backlog, totals and the last error of this database; one row';
COMMENT ON COLUMN litellm_spend.status.preloaded IS 'Whether the server loads litellm_spend at its start, without which no worker can run';
COMMENT ON COLUMN litellm_spend.status.worker IS 'running, idle (starts at the next commit), held (see last_error; no process between two tries), starved (no process is free), crowded (see litellm_spend.max_databases) or absent (not preloaded)';
COMMENT ON COLUMN litellm_spend.status.worker_pid IS 'Process id of the worker; NULL while there is none';
COMMENT ON COLUMN litellm_spend.status.last_fold_at IS 'When a fold last consumed rows';
COMMENT ON COLUMN litellm_spend.status.last_error IS 'Why the fold is held, or what postponed records wait for; NULL if neither';
COMMENT ON COLUMN litellm_spend.status.last_error_at IS 'When it was last met';
COMMENT ON COLUMN litellm_spend.status.lag IS 'Age of the oldest committed row not yet folded';
COMMENT ON COLUMN litellm_spend.status.backlog IS 'Committed rows not yet folded, counted up to 100,000';
COMMENT ON COLUMN litellm_spend.status.postponed IS 'Rows of the backlog that need what another session holds (see last_error), counted up to 100,000';
COMMENT ON COLUMN litellm_spend.status.backlog_bytes IS 'Bytes that staging takes on disk';
COMMENT ON COLUMN litellm_spend.status.folded IS 'Records counted';
COMMENT ON COLUMN litellm_spend.status.duplicates IS 'Records that repeated a request already counted';
COMMENT ON COLUMN litellm_spend.status.reused_ids IS 'Records counted under id#litellm_call_id, or id#start in milliseconds, because another request held their id';
COMMENT ON COLUMN litellm_spend.status.rejected IS 'Rows in litellm_spend.rejected, counted up to 100,000';
COMMENT ON COLUMN litellm_spend.status.pinned_by IS 'Oldest transaction that keeps a staging segment from being truncated: a prepared or an open one';
COMMENT ON COLUMN litellm_spend.status.pinned_since IS 'When that transaction began, or was prepared';
COMMENT ON COLUMN litellm_spend.status.entities_not_created IS 'Missing rows that litellm_spend.max_new_entities kept folds from making; one counts again in each batch that lacks it';
COMMENT ON COLUMN litellm_spend.status.names_not_counted IS 'Tags, tools and access groups beyond the first 100 of a record, which are in its log row only';
COMMENT ON COLUMN litellm_spend.status.foreign_rows IS 'Rows that another cluster staged and that wait for litellm_spend.adopt(), counted up to 100,000';
COMMENT ON COLUMN litellm_spend.status.advice IS 'What to do; NULL when nothing';

CREATE VIEW litellm_spend.targets AS
SELECT target, found, action, columns_written, columns_unknown, reason FROM litellm_spend.list_targets();

COMMENT ON VIEW litellm_spend.targets IS 'LiteLLM''s tables that folds write, and what is done with each';
COMMENT ON COLUMN litellm_spend.targets.target IS 'LiteLLM''s table';
COMMENT ON COLUMN litellm_spend.targets.found IS 'Whether litellm_spend.target_schema has the table';
COMMENT ON COLUMN litellm_spend.targets.action IS 'written, skipped (not there, or switched off), or held (nothing is folded until reason is mended)';
COMMENT ON COLUMN litellm_spend.targets.columns_written IS 'Columns that a fold fills or adds to';
COMMENT ON COLUMN litellm_spend.targets.columns_unknown IS 'Columns that LiteLLM''s definition did not have when this version of the extension was made; they keep their defaults';
COMMENT ON COLUMN litellm_spend.targets.reason IS 'Why the table is not written, or what may change a write: triggers, rules, forced row security';
