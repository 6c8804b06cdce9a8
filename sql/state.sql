-- What folds remember. Rows are made lazily, one for each origin, so that a restored dump cannot
-- collide with rows that CREATE EXTENSION made.
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
COMMENT ON TABLE litellm_spend.fold_cursor IS 'How far folds have come, and their totals; its row lock makes folds take turns';
COMMENT ON COLUMN litellm_spend.fold_cursor.origin IS 'Cluster and database that the row is of';
COMMENT ON COLUMN litellm_spend.fold_cursor.last_fold_at IS 'When a fold last consumed rows';
COMMENT ON COLUMN litellm_spend.fold_cursor.folded_through IS 'Every row whose transaction this snapshot sees has been folded';
COMMENT ON COLUMN litellm_spend.fold_cursor.open_window IS 'Snapshot up to which the fold under way reads; NULL between windows';
COMMENT ON COLUMN litellm_spend.fold_cursor.position_xid IS 'Last row consumed of the open window: its transaction';
COMMENT ON COLUMN litellm_spend.fold_cursor.position_seq IS 'Last row consumed of the open window: its number within the transaction';
COMMENT ON COLUMN litellm_spend.fold_cursor.starts_without_fold IS 'Starts of the server after which a worker began to fold, since the last fold: from the second on it folds one row at a time';
COMMENT ON COLUMN litellm_spend.fold_cursor.armed_for IS 'The start of the server that was counted last';
COMMENT ON COLUMN litellm_spend.fold_cursor.trying_xid IS 'Row that is being folded alone: its transaction';
COMMENT ON COLUMN litellm_spend.fold_cursor.trying_seq IS 'Row that is being folded alone: its number within the transaction';
COMMENT ON COLUMN litellm_spend.fold_cursor.tries IS 'What counts against that row: 5 for a worker that died while it folded the row alone, 1 for one that was ended meanwhile; from 10 on the row is rejected';
COMMENT ON COLUMN litellm_spend.fold_cursor.folded IS 'Records counted';
COMMENT ON COLUMN litellm_spend.fold_cursor.duplicates IS 'Records that repeated a request already counted';
COMMENT ON COLUMN litellm_spend.fold_cursor.reused_ids IS 'Records counted under id#litellm_call_id, or id#start in milliseconds, because another request held their id';
COMMENT ON COLUMN litellm_spend.fold_cursor.names_not_counted IS 'Tags, tools and access groups beyond the first 100 of a record, which are in its log row only';
COMMENT ON COLUMN litellm_spend.fold_cursor.rejected IS 'Staged rows that could not be counted and went to litellm_spend.rejected';

CREATE TABLE litellm_spend.rotation (
    origin     bigint PRIMARY KEY,
    segment    smallint NOT NULL DEFAULT 0,
    retired_at timestamptz[] NOT NULL DEFAULT '{NULL,NULL,NULL}'
);
COMMENT ON COLUMN litellm_spend.rotation.origin IS 'Cluster and database that the row is of';
COMMENT ON COLUMN litellm_spend.rotation.segment IS 'The segment that recorders use: 0, 1 or 2';
COMMENT ON COLUMN litellm_spend.rotation.retired_at IS 'When each segment was last read after recorders had left it';
COMMENT ON TABLE litellm_spend.rotation IS 'Which staging segment recorders use, and since when each of the others waits to be truncated';

CREATE TABLE litellm_spend.rejected (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rejected_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    payload     jsonb,
    sqlstate    text NOT NULL,
    message     text NOT NULL,
    detail      text
);
COMMENT ON TABLE litellm_spend.rejected IS 'Records that cannot be counted, sanitised like any other, with the reason';
COMMENT ON COLUMN litellm_spend.rejected.id IS 'What retry_rejected() takes';
COMMENT ON COLUMN litellm_spend.rejected.rejected_at IS 'When it was rejected';
COMMENT ON COLUMN litellm_spend.rejected.message IS 'Why, without values of the record';
COMMENT ON COLUMN litellm_spend.rejected.payload IS 'The sanitised record; of an element that was no object just its type and length';
COMMENT ON COLUMN litellm_spend.rejected.sqlstate IS 'SQLSTATE of the reason: class 22 of a record that is not one, otherwise that of the database''s error in a fold';
COMMENT ON COLUMN litellm_spend.rejected.detail IS 'Where in the payload the fault was: array index (from 0) and key';

CREATE TABLE litellm_spend.postponed (
    origin    bigint NOT NULL,
    xid       xid8 NOT NULL,
    seq       integer NOT NULL,
    staged_at timestamptz NOT NULL,
    payload   jsonb NOT NULL,
    PRIMARY KEY (origin, xid, seq)
);
COMMENT ON COLUMN litellm_spend.postponed.origin IS 'Cluster and database in which the transaction id means something';
COMMENT ON COLUMN litellm_spend.postponed.xid IS 'Top-level transaction that staged the row';
COMMENT ON COLUMN litellm_spend.postponed.seq IS 'Number of the row within its transaction';
COMMENT ON COLUMN litellm_spend.postponed.staged_at IS 'When the record was staged';
COMMENT ON COLUMN litellm_spend.postponed.payload IS 'The sanitised spend record';
COMMENT ON TABLE litellm_spend.postponed IS 'Staged rows that folds have consumed and not counted yet, because they need a row or lock that another session holds';

CREATE TABLE litellm_spend.new_entities (
    origin      bigint PRIMARY KEY,
    hour        timestamptz NOT NULL,
    created     bigint NOT NULL DEFAULT 0,
    not_created bigint NOT NULL DEFAULT 0,
    refused_at  timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE litellm_spend.new_entities IS 'How many missing rows of entities folds have made, for litellm_spend.max_new_entities';
COMMENT ON COLUMN litellm_spend.new_entities.origin IS 'Cluster and database that the row is of';
COMMENT ON COLUMN litellm_spend.new_entities.hour IS 'Hour (UTC) of the last fold that found a row missing';
COMMENT ON COLUMN litellm_spend.new_entities.created IS 'Rows made in that hour';
COMMENT ON COLUMN litellm_spend.new_entities.not_created IS 'Rows not made, in any hour; one counts again in each batch that lacks it';
COMMENT ON COLUMN litellm_spend.new_entities.refused_at IS 'When a row was last not made';
