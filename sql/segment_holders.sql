-- The oldest transaction that keeps a staging segment from being truncated: one that recorded something and is still
-- open, one that waits for COMMIT PREPARED, or a reader such as pg_dump. A prepared transaction has no process; its
-- lock and its transaction id share a virtual transaction.
CREATE FUNCTION litellm_spend.oldest_pin(OUT pinned_by text, OUT pinned_since timestamptz)
LANGUAGE sql STABLE PARALLEL RESTRICTED SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH locks AS MATERIALIZED (
        SELECT l.locktype, l.database, l.relation, l.transactionid, l.virtualtransaction, l.pid
        FROM pg_catalog.pg_locks AS l WHERE l.granted
    ), holders AS (
        SELECT DISTINCT l.virtualtransaction, l.pid FROM locks AS l
        WHERE l.locktype = 'relation'
          AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
          AND l.relation IN ('litellm_spend.staging_0'::pg_catalog.regclass, 'litellm_spend.staging_1'::pg_catalog.regclass,
                             'litellm_spend.staging_2'::pg_catalog.regclass)
          AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
          -- A worker's transactions are short, and it truncates what they leave behind.
          AND l.pid IS DISTINCT FROM (SELECT w.worker_pid FROM litellm_spend.worker_state() AS w)
    ), pins AS (
        SELECT pg_catalog.format('prepared transaction %L', p.gid) AS pinned_by, p.prepared AS pinned_since
        FROM holders AS h
        JOIN locks AS t ON t.locktype = 'transactionid' AND t.pid IS NULL AND t.virtualtransaction = h.virtualtransaction
        JOIN pg_catalog.pg_prepared_xacts AS p ON p.transaction = t.transactionid
        WHERE h.pid IS NULL
        UNION ALL
        SELECT pg_catalog.format('open transaction of process %s', h.pid), a.xact_start
        FROM holders AS h JOIN pg_catalog.pg_stat_activity AS a ON a.pid = h.pid
        WHERE a.xact_start IS NOT NULL
    )
    SELECT pins.pinned_by, pins.pinned_since FROM pins ORDER BY pins.pinned_since LIMIT 1
$$;
