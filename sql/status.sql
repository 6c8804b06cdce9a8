-- One row for people and monitoring, cheap enough to poll each second. LEFT JOIN: there is no cursor before the first
-- fold.
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
               'Raise litellm_spend.max_databases and restart the server: more databases record at a time than the server keeps track of.'
           WHEN w.worker = 'starved' THEN
               'If this lasts, raise max_worker_processes and restart the server: no background worker process is free.'
           WHEN w.last_error IS NOT NULL AND w.worker <> 'held' THEN
               'End the transaction that last_error names if its client is gone. Only the records that need its rows wait.'
           WHEN w.last_error IS NOT NULL THEN
               'Fix the cause named in last_error. The fold is held and tried again; nothing is lost meanwhile.'
           WHEN n.refused_at > pg_catalog.clock_timestamp() - interval '1 hour' THEN
               'Look in the log for who names so many new users, tags or other entities, or raise litellm_spend.max_new_entities: more were named in an hour than it allows.'
           WHEN f.foreign_rows > 0 THEN
               pg_catalog.format('When the restore or the upgrade is complete, run SELECT litellm_spend.adopt(): %s rows of another cluster wait.',
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
COMMENT ON COLUMN litellm_spend.status.preloaded IS 'Whether the server loads litellm_spend at its start; without that, no worker can run';
COMMENT ON COLUMN litellm_spend.status.worker IS 'running, idle (starts at the next commit), held (see last_error; there is no process between two tries), starved (no process is free), crowded (see litellm_spend.max_databases) or absent (not preloaded)';
COMMENT ON COLUMN litellm_spend.status.worker_pid IS 'Process id of the worker; NULL while there is none';
COMMENT ON COLUMN litellm_spend.status.last_fold_at IS 'When a fold last consumed rows';
COMMENT ON COLUMN litellm_spend.status.last_error IS 'Why the fold is held, or what postponed records wait for; NULL if neither';
COMMENT ON COLUMN litellm_spend.status.last_error_at IS 'When last_error last occurred';
COMMENT ON COLUMN litellm_spend.status.lag IS 'Age of the oldest committed row that is not yet folded';
COMMENT ON COLUMN litellm_spend.status.backlog IS 'Committed rows that are not yet folded, counted up to 100,000';
COMMENT ON COLUMN litellm_spend.status.postponed IS 'Rows of the backlog that need a row or lock that another session holds (see last_error), counted up to 100,000';
COMMENT ON COLUMN litellm_spend.status.backlog_bytes IS 'Bytes that staging takes on disk';
COMMENT ON COLUMN litellm_spend.status.folded IS 'Records counted';
COMMENT ON COLUMN litellm_spend.status.duplicates IS 'Records that repeated a request already counted';
COMMENT ON COLUMN litellm_spend.status.reused_ids IS 'Records counted under id#litellm_call_id, or id#start in milliseconds, because another request held their id';
COMMENT ON COLUMN litellm_spend.status.rejected IS 'Rows in litellm_spend.rejected, counted up to 100,000';
COMMENT ON COLUMN litellm_spend.status.pinned_by IS 'Oldest transaction that keeps a staging segment from being truncated: a prepared or an open one';
COMMENT ON COLUMN litellm_spend.status.pinned_since IS 'When the transaction in pinned_by began or was prepared';
COMMENT ON COLUMN litellm_spend.status.entities_not_created IS 'Missing rows that folds did not create because of litellm_spend.max_new_entities; a row counts again in each batch that needs it';
COMMENT ON COLUMN litellm_spend.status.names_not_counted IS 'Tags, tools and access groups beyond the first 100 of a record; only its log row has them';
COMMENT ON COLUMN litellm_spend.status.foreign_rows IS 'Rows that another cluster staged and that wait for litellm_spend.adopt(), counted up to 100,000';
COMMENT ON COLUMN litellm_spend.status.advice IS 'What to do; NULL if there is nothing to do';

CREATE VIEW litellm_spend.targets AS
SELECT target, found, action, columns_written, columns_unknown, reason FROM litellm_spend.list_targets();

COMMENT ON VIEW litellm_spend.targets IS 'LiteLLM''s tables that folds write, and what folds do with each';
COMMENT ON COLUMN litellm_spend.targets.target IS 'LiteLLM''s table';
COMMENT ON COLUMN litellm_spend.targets.found IS 'Whether litellm_spend.target_schema has the table';
COMMENT ON COLUMN litellm_spend.targets.action IS 'written, skipped (not there, or switched off), or held (nothing is folded until the cause in reason is fixed)';
COMMENT ON COLUMN litellm_spend.targets.columns_written IS 'Columns that a fold fills or adds to';
COMMENT ON COLUMN litellm_spend.targets.columns_unknown IS 'Columns that LiteLLM''s definition did not have when this version of the extension was released; they keep their defaults';
COMMENT ON COLUMN litellm_spend.targets.reason IS 'Why folds do not write the table, or what may change a write: triggers, rules, forced row security';
