-- The ledger: which requests were counted, for as long as litellm_spend.dedupe_window at least. Three
-- tables take turns, each for half a window. Rows are only ever inserted, and the oldest table is
-- truncated for reuse once all in it is a window old. Autovacuum stays on for the rows of folds that
-- failed: a fold that is held tries again and again.
--   request_hash  first 16 bytes of the sha256 of the request id under which the record was counted
--   call_hash     first 8 bytes of the sha256 of its litellm_call_id, and of its start where the id is that call id;
--                 NULL if it had none
CREATE TABLE litellm_spend.ledger_0 (
    request_hash uuid PRIMARY KEY,
    call_hash    bigint
);
CREATE TABLE litellm_spend.ledger_1 (LIKE litellm_spend.ledger_0 INCLUDING INDEXES);
CREATE TABLE litellm_spend.ledger_2 (LIKE litellm_spend.ledger_0 INCLUDING INDEXES);

CREATE VIEW litellm_spend.ledger AS
    SELECT request_hash, call_hash FROM litellm_spend.ledger_0
    UNION ALL
    SELECT request_hash, call_hash FROM litellm_spend.ledger_1
    UNION ALL
    SELECT request_hash, call_hash FROM litellm_spend.ledger_2;

-- Made lazily, one row for each origin. A new row says that every table began now, so that rows of a
-- restored dump, whose age nobody knows, are kept for another window.
CREATE TABLE litellm_spend.ledger_rotation (
    origin     bigint PRIMARY KEY,
    current    smallint NOT NULL DEFAULT 0,
    started_at timestamptz[] NOT NULL
        DEFAULT pg_catalog.array_fill(pg_catalog.clock_timestamp(), ARRAY[3])
);

COMMENT ON TABLE litellm_spend.ledger_0 IS 'Hashes of requests that folds have counted, where SpendLogs alone cannot remember them';
COMMENT ON TABLE litellm_spend.ledger_1 IS 'Hashes of requests that folds have counted, as litellm_spend.ledger_0';
COMMENT ON TABLE litellm_spend.ledger_2 IS 'Hashes of requests that folds have counted, as litellm_spend.ledger_0';
COMMENT ON VIEW litellm_spend.ledger IS 'Hashes of requests that folds have counted: the three tables together';
COMMENT ON TABLE litellm_spend.ledger_rotation IS 'Which ledger table folds write, and when each began to be written';

DO $$
DECLARE relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['ledger_0', 'ledger_1', 'ledger_2', 'ledger'] LOOP
        EXECUTE pg_catalog.format('COMMENT ON COLUMN litellm_spend.%I.request_hash IS %L', relation,
                                  'First 16 bytes of the sha256 of the request id under which the record was counted');
        EXECUTE pg_catalog.format('COMMENT ON COLUMN litellm_spend.%I.call_hash IS %L', relation,
                                  'First 8 bytes of the sha256 of its litellm_call_id; NULL if it had none');
    END LOOP;
END
$$;
COMMENT ON COLUMN litellm_spend.ledger_rotation.origin IS 'Cluster and database that the row is of';
COMMENT ON COLUMN litellm_spend.ledger_rotation.current IS 'The table that folds write: 0, 1 or 2';
COMMENT ON COLUMN litellm_spend.ledger_rotation.started_at IS 'When each table began to be written';
