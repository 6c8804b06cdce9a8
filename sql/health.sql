-- One verdict for a monitoring check: the worst problem at this moment, as a sentence, and how to fix it.
-- down: committed spend is not being counted. degraded: it is counted late, or a problem will grow.
-- Ranks 1 to 9 are down, the others degraded. If several conditions hold, the first is reported.
CREATE FUNCTION litellm_spend.health(OUT state text, OUT reason text, OUT advice text)
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN v.rank IS NULL THEN 'ok' WHEN v.rank < 10 THEN 'down' ELSE 'degraded' END,
           coalesce(v.reason, CASE WHEN s.recovery THEN 'This is a standby: the primary folds.'
                                   WHEN NOT s.preloaded THEN 'Committed spend is counted when fold() or fold_all() is called: litellm_spend is not preloaded.'
                                   ELSE 'Committed spend is counted as it comes.' END),
           v.advice
    FROM (SELECT st.*, b.slow, b.stuck, b.pinned, pg_catalog.pg_is_in_recovery() AS recovery,
                 st.lag > b.slow AS is_slow, st.lag > b.stuck AS is_stuck,
                 pg_catalog.date_trunc('second', st.lag) AS late,
                 pg_catalog.clock_timestamp() - st.pinned_since AS pin_age,
                 CASE WHEN st.lag > b.slow THEN litellm_spend.lock_holders() END AS locked
          FROM litellm_spend.status AS st CROSS JOIN litellm_spend.alert_bounds() AS b) AS s
    LEFT JOIN LATERAL (
        SELECT w.rank, w.reason, w.advice
        FROM litellm_spend.version_skew() AS k, LATERAL (VALUES
            (1, NOT s.preloaded AND s.is_stuck,
             pg_catalog.format('No worker can run, because litellm_spend is not preloaded; the oldest uncounted record is %s old.', s.late),
             'Add litellm_spend to shared_preload_libraries and restart the server; until then CALL litellm_spend.fold_all().'),
            (2, k.skew IS NOT NULL AND s.is_stuck,
             pg_catalog.format('Nothing is folded and the oldest uncounted record is %s old: %s.', s.late, k.skew), k.advice),
            (3, s.worker = 'held' AND s.is_stuck,
             pg_catalog.format('The fold is held and the oldest uncounted record is %s old: %s', s.late, s.last_error),
             'Fix the cause named in the reason; the worker then catches up on its own.'),
            (4, s.worker = 'starved' AND s.is_stuck,
             pg_catalog.format('No background worker process is free and the oldest uncounted record is %s old.', s.late),
             'Raise max_worker_processes and restart the server, or end workers of other extensions; meanwhile CALL litellm_spend.fold_all().'),
            (5, s.worker = 'crowded' AND s.is_stuck,
             pg_catalog.format('More databases record at a time than the server keeps track of, and the oldest uncounted record is %s old.', s.late),
             'Raise litellm_spend.max_databases and restart the server; meanwhile CALL litellm_spend.fold_all().'),
            (10, k.skew IS NOT NULL, pg_catalog.format('Nothing is folded: %s.', k.skew), k.advice),
            (11, s.worker = 'held',
             pg_catalog.format('The fold is held and tried again: %s', s.last_error),
             'If the fold does not recover by itself, fix the cause named in the reason.'),
            (12, s.worker = 'starved',
             'No background worker process is free; databases take turns where they can.',
             'If this lasts, raise max_worker_processes and restart the server.'),
            (13, s.worker = 'crowded',
             'More databases record at a time than the server keeps track of; they take turns.',
             'Raise litellm_spend.max_databases and restart the server.'),
            (14, s.postponed > 0 AND s.is_slow,
             pg_catalog.format('%s records are postponed, the oldest is %s old: %s.', s.postponed, s.late,
                               coalesce(s.last_error, 'the worker has not found out yet who holds the rows or locks that they need')),
             'End the transactions that the reason names, with pg_terminate_backend() if their clients are gone; the other records are counted meanwhile.'),
            (15, s.locked IS NOT NULL,
             pg_catalog.format('The oldest uncounted record is %s old, because others hold locks: %s.', s.late, s.locked),
             'Commit or roll back these transactions, or end their processes with pg_terminate_backend().'),
            (16, s.preloaded AND s.is_slow,
             pg_catalog.format('The oldest uncounted record is %s old, and at least %s wait.', s.late, s.backlog),
             'If this lasts, look for sessions that lock or slow down LiteLLM''s tables: more is recorded than is folded. See docs/operations.md.'),
            (17, s.pin_age > s.pinned,
             pg_catalog.format('The %s has kept a staging segment since %s, so staging grows.', s.pinned_by, s.pinned_since),
             'Commit or roll it back: COMMIT PREPARED or ROLLBACK PREPARED for a prepared one, pg_terminate_backend() for a process.'),
            (18, s.foreign_rows > 0,
             pg_catalog.format('%s staged records of another cluster or database wait, and no fold counts them.', s.foreign_rows),
             'If they came with a restored dump or an upgrade that is complete, run SELECT litellm_spend.adopt(). On a subscriber do nothing: the publisher folds them itself.')
        ) AS w (rank, holds, reason, advice)
        WHERE w.holds AND NOT s.recovery
        ORDER BY w.rank LIMIT 1
    ) AS v ON true
$$;
