-- The memory of folds. There is one row for each origin, created when it is first needed, so that a restored dump
-- cannot collide with rows that CREATE EXTENSION created.
CREATE TABLE litellm_spend.fold_cursor (
    origin         bigint PRIMARY KEY,
    folded_through pg_snapshot NOT NULL,
    open_window    pg_snapshot,
    position_xid   xid8,
    position_seq   integer,
    folded         bigint NOT NULL DEFAULT 0,
    duplicates     bigint NOT NULL DEFAULT 0,
    reused_ids     bigint NOT NULL DEFAULT 0,
    rejected       bigint NOT NULL DEFAULT 0,
    names_not_counted bigint NOT NULL DEFAULT 0,
    last_fold_at   timestamptz,
    starts_without_fold integer NOT NULL DEFAULT 0,
    armed_for      timestamptz,
    trying_xid     xid8,
    trying_seq     integer,
    tries          integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE litellm_spend.fold_cursor IS 'How far folds have come, and their totals. The lock of a row makes folds take turns';
COMMENT ON COLUMN litellm_spend.fold_cursor.origin IS 'Cluster and database that the row belongs to';
COMMENT ON COLUMN litellm_spend.fold_cursor.last_fold_at IS 'When a fold last consumed rows';
COMMENT ON COLUMN litellm_spend.fold_cursor.folded_through IS 'Folds have consumed every row whose transaction this snapshot sees';
COMMENT ON COLUMN litellm_spend.fold_cursor.open_window IS 'Snapshot up to which the current window reads; NULL between windows';
COMMENT ON COLUMN litellm_spend.fold_cursor.position_xid IS 'Transaction of the last row that was consumed in the open window';
COMMENT ON COLUMN litellm_spend.fold_cursor.position_seq IS 'Number, within its transaction, of the last row that was consumed in the open window';
COMMENT ON COLUMN litellm_spend.fold_cursor.starts_without_fold IS 'How many times since the last fold the server started and a worker then began to fold. From the second start on, the worker folds one row at a time';
COMMENT ON COLUMN litellm_spend.fold_cursor.armed_for IS 'The server start that starts_without_fold counted last';
COMMENT ON COLUMN litellm_spend.fold_cursor.trying_xid IS 'Transaction of the row that is being folded alone';
COMMENT ON COLUMN litellm_spend.fold_cursor.trying_seq IS 'Number, within its transaction, of the row that is being folded alone';
COMMENT ON COLUMN litellm_spend.fold_cursor.tries IS 'Points against that row: 5 for each worker that died while it folded the row alone, 1 for each that was ended. From 10 points on the row is rejected';
COMMENT ON COLUMN litellm_spend.fold_cursor.folded IS 'Records counted';
COMMENT ON COLUMN litellm_spend.fold_cursor.duplicates IS 'Records that repeated a request already counted';
COMMENT ON COLUMN litellm_spend.fold_cursor.reused_ids IS 'Records counted under id#litellm_call_id, or id#start in milliseconds, because another request held their id';
COMMENT ON COLUMN litellm_spend.fold_cursor.names_not_counted IS 'Tags, tools and access groups beyond the first 100 of a record; only its log row has them';
COMMENT ON COLUMN litellm_spend.fold_cursor.rejected IS 'Staged rows that could not be counted and were moved to litellm_spend.rejected';

CREATE TABLE litellm_spend.rotation (
    origin     bigint PRIMARY KEY,
    segment    smallint NOT NULL DEFAULT 0,
    retired_at timestamptz[] NOT NULL DEFAULT '{NULL,NULL,NULL}'
);
COMMENT ON COLUMN litellm_spend.rotation.origin IS 'Cluster and database that the row belongs to';
COMMENT ON COLUMN litellm_spend.rotation.segment IS 'The segment that recorders use: 0, 1 or 2';
COMMENT ON COLUMN litellm_spend.rotation.retired_at IS 'When folds last read each segment after recorders had left it';
COMMENT ON TABLE litellm_spend.rotation IS 'Which staging segment recorders use, and since when each other segment waits to be truncated';

CREATE TABLE litellm_spend.rejected (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rejected_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    payload     jsonb,
    sqlstate    text NOT NULL,
    message     text NOT NULL,
    detail      text
);
COMMENT ON TABLE litellm_spend.rejected IS 'Records that cannot be counted, sanitised like any other, with the reason';
COMMENT ON COLUMN litellm_spend.rejected.id IS 'The id that retry_rejected() takes';
COMMENT ON COLUMN litellm_spend.rejected.rejected_at IS 'When the record was rejected';
COMMENT ON COLUMN litellm_spend.rejected.message IS 'Why the record cannot be counted, without values of the record';
COMMENT ON COLUMN litellm_spend.rejected.payload IS 'The sanitised record; only the type and length of an element that is not a JSON object';
COMMENT ON COLUMN litellm_spend.rejected.sqlstate IS 'SQLSTATE of the reason: class 22 for an element that is not a valid record, otherwise the SQLSTATE of the database error in the fold';
COMMENT ON COLUMN litellm_spend.rejected.detail IS 'Where in the payload the fault is: array index (from 0) and key';

CREATE TABLE litellm_spend.postponed (
    origin    bigint NOT NULL,
    xid       xid8 NOT NULL,
    seq       integer NOT NULL,
    staged_at timestamptz NOT NULL,
    payload   jsonb NOT NULL,
    PRIMARY KEY (origin, xid, seq)
);
COMMENT ON COLUMN litellm_spend.postponed.origin IS 'Cluster and database in which the transaction id is valid';
COMMENT ON COLUMN litellm_spend.postponed.xid IS 'Top-level transaction that staged the row';
COMMENT ON COLUMN litellm_spend.postponed.seq IS 'Number of the row within its transaction';
COMMENT ON COLUMN litellm_spend.postponed.staged_at IS 'When the record was staged';
COMMENT ON COLUMN litellm_spend.postponed.payload IS 'The sanitised spend record';
COMMENT ON TABLE litellm_spend.postponed IS 'Staged rows that folds have consumed but not counted yet, because they need a row or lock that another session holds';

CREATE TABLE litellm_spend.new_entities (
    origin      bigint PRIMARY KEY,
    hour        timestamptz NOT NULL,
    created     bigint NOT NULL DEFAULT 0,
    not_created bigint NOT NULL DEFAULT 0,
    refused_at  timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE litellm_spend.new_entities IS 'How many missing rows of entities folds have created, for litellm_spend.max_new_entities';
COMMENT ON COLUMN litellm_spend.new_entities.origin IS 'Cluster and database that the row belongs to';
COMMENT ON COLUMN litellm_spend.new_entities.hour IS 'Hour (UTC) of the last fold that found a row missing';
COMMENT ON COLUMN litellm_spend.new_entities.created IS 'Rows that folds created in that hour';
COMMENT ON COLUMN litellm_spend.new_entities.not_created IS 'Missing rows that folds did not create, in any hour; a row counts again in each batch that needs it';
COMMENT ON COLUMN litellm_spend.new_entities.refused_at IS 'When folds last refused to create a missing row';
