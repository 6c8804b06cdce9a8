-- Least power (invariant 10): PUBLIC gets nothing, recorders get one function, monitoring gets read access.
REVOKE ALL ON SCHEMA litellm_spend FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA litellm_spend FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA litellm_spend FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.litellm_record_spend(jsonb, text) FROM PUBLIC;

GRANT USAGE ON SCHEMA @extschema@ TO litellm_spend_writer;
GRANT EXECUTE ON FUNCTION @extschema@.litellm_record_spend(jsonb, text) TO litellm_spend_writer;

GRANT USAGE ON SCHEMA litellm_spend TO pg_monitor;
GRANT SELECT ON litellm_spend.status, litellm_spend.targets TO pg_monitor;
GRANT EXECUTE ON FUNCTION litellm_spend.backlog(), litellm_spend.worker_state(), litellm_spend.list_targets(),
    litellm_spend.health(), litellm_spend.oldest_pin(), litellm_spend.alert_bounds(),
    litellm_spend.version_skew(), litellm_spend.foreign_rows(), litellm_spend.lock_holders()
    TO pg_monitor;

COMMENT ON SCHEMA litellm_spend IS 'Staging, folds and status of the extension litellm_spend';
COMMENT ON FUNCTION @extschema@.litellm_record_spend(jsonb, text) IS
    'Stages one LiteLLM spend record or an array of them in the caller''s transaction; returns how many. on_invalid: error or reject';
COMMENT ON FUNCTION litellm_spend.fold() IS
    'Folds records that are committed now into LiteLLM''s tables, up to a bound. Returns how many staged rows it consumed; 0 if only postponed rows are left';
COMMENT ON PROCEDURE litellm_spend.fold_all() IS 'Calls litellm_spend.fold() until only postponed rows are left, and commits after each call';
COMMENT ON FUNCTION litellm_spend.flush(interval) IS
    'Waits until every record that had committed before the call is folded; returns false if the time runs out';
COMMENT ON FUNCTION litellm_spend.adopt() IS
    'Takes over the rows that another cluster staged and did not fold (a restored dump, pg_upgrade); returns how many';
COMMENT ON FUNCTION litellm_spend.foreign_rows() IS 'Rows that wait for litellm_spend.adopt(), counted up to 100,000';
COMMENT ON FUNCTION litellm_spend.lock_holders() IS 'Sessions that hold locks for which a fold of this database waits at this moment; null if there are none';
COMMENT ON FUNCTION litellm_spend.start_worker() IS 'Asks for a worker for this database; returns false if none can run';
COMMENT ON FUNCTION litellm_spend.backlog() IS 'Committed rows that are not yet folded (up to 100,000), bytes of staging, age of the oldest row';
COMMENT ON FUNCTION litellm_spend.worker_state() IS 'The state of this database''s worker in shared memory';
COMMENT ON FUNCTION litellm_spend.list_targets() IS 'The rows of litellm_spend.targets';
COMMENT ON FUNCTION litellm_spend.health() IS
    'One row for a monitoring check: state (ok, degraded or down), the reason as a sentence, and how to fix it';
COMMENT ON FUNCTION litellm_spend.oldest_pin() IS 'Oldest transaction that keeps a staging segment from being truncated';
COMMENT ON FUNCTION litellm_spend.alert_bounds() IS 'The lags from which health() calls folds slow and stuck, and how long a transaction may keep a segment before health() reports it';
COMMENT ON FUNCTION litellm_spend.version_skew() IS 'How the versions of the library and of the SQL objects differ, and how to fix it; nulls if they belong together';
COMMENT ON FUNCTION litellm_spend.retry_rejected(bigint[]) IS
    'Stages the rejected records (all, or these ids) that can be counted by now, and removes them from rejected; returns how many';
COMMENT ON FUNCTION litellm_spend.verify(date, date) IS
    'Adds up the log of these UTC days again and lists each number of the daily tables that differs';
COMMENT ON FUNCTION litellm_spend.rebuild(date, date, boolean) IS
    'Sets each daily number in the list of verify() to the sum of the log; only lists them unless dry_run is false';
COMMENT ON FUNCTION litellm_spend.create_tables() IS
    'Creates those of LiteLLM''s tables that folds write and that are missing, and lower-case views of them';

-- Pending rows, the cursor, the ledger and rejected records are data, so a dump must contain them.
SELECT pg_catalog.pg_extension_config_dump('litellm_spend.staging_0', '');
SELECT pg_catalog.pg_extension_config_dump('litellm_spend.staging_1', '');
SELECT pg_catalog.pg_extension_config_dump('litellm_spend.staging_2', '');
SELECT pg_catalog.pg_extension_config_dump('litellm_spend.fold_cursor', '');
SELECT pg_catalog.pg_extension_config_dump('litellm_spend.postponed', '');
SELECT pg_catalog.pg_extension_config_dump('litellm_spend.counted_days', '');
SELECT pg_catalog.pg_extension_config_dump('litellm_spend.ledger_0', '');
SELECT pg_catalog.pg_extension_config_dump('litellm_spend.ledger_1', '');
SELECT pg_catalog.pg_extension_config_dump('litellm_spend.ledger_2', '');
SELECT pg_catalog.pg_extension_config_dump('litellm_spend.rejected', '');
SELECT pg_catalog.pg_extension_config_dump('litellm_spend.rejected_id_seq', '');

-- These grants let the database's owner, who need not be a superuser, dump the database. pg_dump only needs to read;
-- a role that may write here could forge what is counted.
GRANT USAGE ON SCHEMA litellm_spend TO pg_database_owner;
DO $$
DECLARE
    dumped pg_catalog.regclass;
BEGIN
    FOR dumped IN SELECT pg_catalog.unnest(extconfig) FROM pg_catalog.pg_extension WHERE extname = 'litellm_spend' LOOP
        EXECUTE pg_catalog.format('GRANT SELECT ON %s TO pg_database_owner', dumped);
    END LOOP;
END $$;

SELECT litellm_spend.start_worker();
