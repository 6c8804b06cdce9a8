-- Staging: three segments that take turns. Rows are only inserted, and a consumed segment is truncated, so there is
-- nothing to vacuum (invariant 6). Recorders write the segments as heaps, below SQL (src/staging/rows.rs), so they are
-- heaps whatever default_table_access_method says.
--   xid        top-level transaction that staged the row; it decides which snapshots see the row
--   origin     cluster and database in which the transaction id is valid
--   staged_at  when the record was staged, for the lag
--   seq        number of the row within its transaction
--   payload    the sanitised spend record
CREATE TABLE litellm_spend.staging_0 (
    xid       xid8        NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    origin    bigint      NOT NULL,
    staged_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    seq       integer     NOT NULL,
    payload   jsonb       NOT NULL
) USING heap WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off);
CREATE TABLE litellm_spend.staging_1 (LIKE litellm_spend.staging_0 INCLUDING DEFAULTS)
    USING heap WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off);
CREATE TABLE litellm_spend.staging_2 (LIKE litellm_spend.staging_0 INCLUDING DEFAULTS)
    USING heap WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off);

-- The order in which a fold reads. The origin comes first, so that a look for rows of another origin needs no scan. The
-- indexes are not unique, because nothing could be done about a conflict.
CREATE INDEX staging_0_origin_xid_seq ON litellm_spend.staging_0 (origin, xid, seq);
CREATE INDEX staging_1_origin_xid_seq ON litellm_spend.staging_1 (origin, xid, seq);
CREATE INDEX staging_2_origin_xid_seq ON litellm_spend.staging_2 (origin, xid, seq);

-- On a logical subscriber the publisher's TRUNCATE must not remove the records that this database has staged itself.
-- ENABLE REPLICA: the trigger fires only in the apply worker.
CREATE TRIGGER keep_own_rows BEFORE TRUNCATE ON litellm_spend.staging_0
    EXECUTE FUNCTION litellm_spend.keep_own_rows();
CREATE TRIGGER keep_own_rows BEFORE TRUNCATE ON litellm_spend.staging_1
    EXECUTE FUNCTION litellm_spend.keep_own_rows();
CREATE TRIGGER keep_own_rows BEFORE TRUNCATE ON litellm_spend.staging_2
    EXECUTE FUNCTION litellm_spend.keep_own_rows();
ALTER TABLE litellm_spend.staging_0 ENABLE REPLICA TRIGGER keep_own_rows;
ALTER TABLE litellm_spend.staging_1 ENABLE REPLICA TRIGGER keep_own_rows;
ALTER TABLE litellm_spend.staging_2 ENABLE REPLICA TRIGGER keep_own_rows;

CREATE VIEW litellm_spend.staging AS
    SELECT 0::smallint AS segment, xid, origin, staged_at, seq, payload FROM litellm_spend.staging_0
    UNION ALL
    SELECT 1::smallint, xid, origin, staged_at, seq, payload FROM litellm_spend.staging_1
    UNION ALL
    SELECT 2::smallint, xid, origin, staged_at, seq, payload FROM litellm_spend.staging_2;

COMMENT ON TABLE litellm_spend.staging_0 IS 'Staging segment: sanitised spend records that their callers have committed; folds may not have counted them yet';
COMMENT ON TABLE litellm_spend.staging_1 IS 'Staging segment: sanitised spend records that their callers have committed; folds may not have counted them yet';
COMMENT ON TABLE litellm_spend.staging_2 IS 'Staging segment: sanitised spend records that their callers have committed; folds may not have counted them yet';
COMMENT ON VIEW litellm_spend.staging IS 'Rows of all staging segments, including consumed rows until their segment is truncated';
COMMENT ON FUNCTION litellm_spend.keep_own_rows() IS
    'Trigger function of the staging segments: stages this database''s records again when a subscription truncates them';

DO $$
DECLARE
    relation text;
    of_column record;
BEGIN
    FOREACH relation IN ARRAY ARRAY['staging_0', 'staging_1', 'staging_2', 'staging'] LOOP
        FOR of_column IN VALUES ('xid', 'Top-level transaction that staged the row; it decides which snapshots see the row'),
                                ('origin', 'Cluster and database in which the transaction id is valid'),
                                ('staged_at', 'When the record was staged'),
                                ('seq', 'Number of the row within its transaction'),
                                ('payload', 'The sanitised spend record') LOOP
            EXECUTE pg_catalog.format('COMMENT ON COLUMN litellm_spend.%I.%I IS %L', relation, of_column.column1,
                                      of_column.column2);
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON COLUMN litellm_spend.staging.segment IS 'Which segment has the row: 0, 1 or 2';
