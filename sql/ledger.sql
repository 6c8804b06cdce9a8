-- The ledger: which requests were counted. It remembers each for at least litellm_spend.dedupe_window. Three tables
-- take turns, each for half a window. Rows are only ever inserted. The oldest table is truncated for reuse once all
-- its rows are a window old. Autovacuum stays on because of the rows that failed folds leave: a fold that is held tries
-- again and again.
--   request_hash  first 16 bytes of the sha256 of the request id under which the record was counted
--   call_hash     first 8 bytes of the sha256 of the record's litellm_call_id, or of the call id and the start if the
--                 request id is that call id; NULL if the record had no call id
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

-- One row for each origin, created when it is first needed. A new row says that every table began now, so that rows of
-- a restored dump, whose age is not known, are kept for another window.
CREATE TABLE litellm_spend.ledger_rotation (
    origin     bigint PRIMARY KEY,
    current    smallint NOT NULL DEFAULT 0,
    started_at timestamptz[] NOT NULL
        DEFAULT pg_catalog.array_fill(pg_catalog.clock_timestamp(), ARRAY[3])
);

COMMENT ON TABLE litellm_spend.ledger_0 IS 'Hashes of requests that folds have counted and that SpendLogs alone cannot remember';
COMMENT ON TABLE litellm_spend.ledger_1 IS 'Hashes of requests that folds have counted and that SpendLogs alone cannot remember';
COMMENT ON TABLE litellm_spend.ledger_2 IS 'Hashes of requests that folds have counted and that SpendLogs alone cannot remember';
COMMENT ON VIEW litellm_spend.ledger IS 'Hashes of requests that folds have counted: the three tables together';
COMMENT ON TABLE litellm_spend.ledger_rotation IS 'Which ledger table folds write, and when folds began to write each table';

DO $$
DECLARE relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['ledger_0', 'ledger_1', 'ledger_2', 'ledger'] LOOP
        EXECUTE pg_catalog.format('COMMENT ON COLUMN litellm_spend.%I.request_hash IS %L', relation,
                                  'First 16 bytes of the sha256 of the request id under which the record was counted');
        EXECUTE pg_catalog.format('COMMENT ON COLUMN litellm_spend.%I.call_hash IS %L', relation,
                                  'First 8 bytes of the sha256 of the record''s litellm_call_id; NULL if it had none');
    END LOOP;
END
$$;
COMMENT ON COLUMN litellm_spend.ledger_rotation.origin IS 'Cluster and database that the row belongs to';
COMMENT ON COLUMN litellm_spend.ledger_rotation.current IS 'The table that folds write: 0, 1 or 2';
COMMENT ON COLUMN litellm_spend.ledger_rotation.started_at IS 'When folds began to write each table';
