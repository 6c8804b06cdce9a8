-- The SQL objects of litellm_spend 0.1.0. `make sql` writes this file from what the code declares.
-- It follows the code until that version is released; from then on upgrade scripts do.

/* <begin connected objects> */
-- src/lib.rs
-- bootstrap
-- Conditions that must hold before anything is created: a UTF8 database (jsonb's strings and LiteLLM's ids are UTF-8),
-- and the role for recorders. Roles belong to the whole cluster. CREATE EXTENSION in another database may have created
-- the role already, or may create it at this moment.
DO $$
BEGIN
    IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = pg_catalog.format('litellm_spend needs a database with encoding UTF8, not %s',
                                        pg_catalog.getdatabaseencoding()),
            HINT = 'Create the database WITH ENCODING ''UTF8'' TEMPLATE template0.';
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'litellm_spend_writer' AND rolcanlogin) THEN
        RAISE WARNING USING
            MESSAGE = 'the role litellm_spend_writer exists and may log in; this extension creates it without that right',
            HINT = 'Run ALTER ROLE litellm_spend_writer NOLOGIN, and find out who created the role.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'litellm_spend_writer') THEN
        BEGIN
            CREATE ROLE litellm_spend_writer NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END IF;
END
$$;
/* </end connected objects> */

/* <begin connected objects> */
-- src/record.rs
-- litellm_spend::record::litellm_record_spend
CREATE  FUNCTION "litellm_record_spend"(
	"payload" jsonb, /* Option < Toasted > */
	"on_invalid" TEXT DEFAULT 'error' /* Option < & str > */
) RETURNS bigint /* std :: result :: Result < i64, ErrorReport > */
VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'litellm_record_spend_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/staging/subscriber.rs
CREATE SCHEMA IF NOT EXISTS litellm_spend; /* litellm_spend::staging::subscriber::litellm_spend */
/* </end connected objects> */

/* <begin connected objects> */
-- src/lib.rs
-- requires:
--   litellm_spend

-- Tells whether the log of a day still holds what folds have counted. rebuild() trusts no other log.
CREATE TABLE litellm_spend.counted_days (
    date        date PRIMARY KEY,
    requests    bigint NOT NULL,
    fingerprint bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE litellm_spend.counted_days IS 'Requests that folds have counted, by the UTC day on which the log shows them';
COMMENT ON COLUMN litellm_spend.counted_days.date IS 'The UTC day';
COMMENT ON COLUMN litellm_spend.counted_days.requests IS 'How many requests';
COMMENT ON COLUMN litellm_spend.counted_days.fingerprint IS 'Exclusive or of the hashes of the request ids';
/* </end connected objects> */

/* <begin connected objects> */
-- src/lib.rs
-- requires:
--   litellm_spend

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
/* </end connected objects> */

/* <begin connected objects> */
-- src/staging/subscriber.rs
-- litellm_spend::staging::subscriber::litellm_spend::keep_own_rows

        CREATE FUNCTION litellm_spend.keep_own_rows() RETURNS trigger
            LANGUAGE c SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
            AS 'MODULE_PATHNAME', 'keep_own_rows_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/lib.rs
-- requires:
--   litellm_spend
--   staging::subscriber::litellm_spend::keep_own_rows

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
/* </end connected objects> */

/* <begin connected objects> */
-- src/lib.rs
-- requires:
--   staging

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
/* </end connected objects> */

/* <begin connected objects> */
-- src/inbox.rs
CREATE SCHEMA IF NOT EXISTS litellm_spend; /* litellm_spend::inbox::litellm_spend */
/* </end connected objects> */

/* <begin connected objects> */
-- src/inbox.rs
-- litellm_spend::inbox::litellm_spend::insert_into_inbox

        CREATE FUNCTION litellm_spend.insert_into_inbox() RETURNS trigger
            LANGUAGE c SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
            AS 'MODULE_PATHNAME', 'insert_into_inbox_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/lib.rs
-- requires:
--   staging
--   state
--   inbox::litellm_spend::insert_into_inbox

-- For tools that can only INSERT or COPY. The column is text and not jsonb, because jsonb would fail the whole
-- statement for one malformed row or one \u0000.
CREATE VIEW litellm_spend.inbox AS SELECT NULL::text AS payload WHERE false;

CREATE TRIGGER insert_into_inbox INSTEAD OF INSERT ON litellm_spend.inbox
    FOR EACH ROW EXECUTE FUNCTION litellm_spend.insert_into_inbox();

COMMENT ON VIEW litellm_spend.inbox IS
    'Insert or COPY spend records here as JSON text. Each row is staged or goes to litellm_spend.rejected, so the view is always empty';
COMMENT ON COLUMN litellm_spend.inbox.payload IS 'One spend record (a JSON object) or an array of them';
COMMENT ON FUNCTION litellm_spend.insert_into_inbox() IS 'Trigger function of litellm_spend.inbox';
/* </end connected objects> */

/* <begin connected objects> */
-- src/lib.rs
CREATE SCHEMA IF NOT EXISTS litellm_spend; /* litellm_spend::litellm_spend */
/* </end connected objects> */

/* <begin connected objects> */
-- src/verify.rs
-- litellm_spend::verify::rebuild
CREATE  FUNCTION litellm_spend."rebuild"(
	"from_date" date, /* Date */
	"to_date" date, /* Date */
	"dry_run" bool DEFAULT true /* bool */
) RETURNS TABLE (
	"day" date,  /* Date */
	"target" TEXT,  /* & '_ str */
	"key" jsonb,  /* Jsonb */
	"column_name" TEXT,  /* & '_ str */
	"logged" NUMERIC,  /* Option < AnyNumeric > */
	"stored" NUMERIC,  /* Option < AnyNumeric > */
	"difference" NUMERIC  /* AnyNumeric */
)
STRICT VOLATILE SECURITY DEFINER PARALLEL UNSAFE 
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'rebuild_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/functions/flush.rs
-- litellm_spend::functions::flush::flush
CREATE  FUNCTION litellm_spend."flush"(
	"timeout" interval DEFAULT '30 s' /* Interval */
) RETURNS bool /* std :: result :: Result < bool, ErrorReport > */
STRICT VOLATILE SECURITY DEFINER PARALLEL UNSAFE 
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'flush_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/postgres/lock_holders.rs
-- litellm_spend::postgres::lock_holders::lock_holders
CREATE  FUNCTION litellm_spend."lock_holders"() RETURNS TEXT /* std :: result :: Result < Option < String > , pgrx :: pg_sys :: panic ::
ErrorReport > */
STRICT STABLE PARALLEL UNSAFE 
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'lock_holders_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/functions/status.rs
-- litellm_spend::functions::status::worker_state
CREATE  FUNCTION litellm_spend."worker_state"() RETURNS TABLE (
	"preloaded" bool,  /* bool */
	"worker" TEXT,  /* & '_ str */
	"worker_pid" INT,  /* Option < i32 > */
	"last_error" TEXT,  /* Option < String > */
	"last_error_at" timestamp with time zone  /* Option < TimestampWithTimeZone > */
)
STRICT STABLE PARALLEL UNSAFE 
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'worker_state_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/lib.rs
-- requires:
--   staging
--   functions::status::worker_state

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
/* </end connected objects> */

/* <begin connected objects> */
-- src/fold/version.rs
-- litellm_spend::fold::version::version_skew
CREATE  FUNCTION litellm_spend."version_skew"() RETURNS TABLE (
	"skew" TEXT,  /* Option < String > */
	"advice" TEXT  /* Option < String > */
)
STRICT STABLE PARALLEL UNSAFE 
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'version_skew_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/functions/create_tables.rs
-- litellm_spend::functions::create_tables::create_tables
CREATE  FUNCTION litellm_spend."create_tables"() RETURNS TABLE (
	"table_name" TEXT,  /* String */
	"action" TEXT  /* & '_ str */
)
STRICT VOLATILE PARALLEL UNSAFE 
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'create_tables_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/functions/status.rs
-- litellm_spend::functions::status::backlog
CREATE  FUNCTION litellm_spend."backlog"() RETURNS TABLE (
	"rows" bigint,  /* i64 */
	"bytes" bigint,  /* i64 */
	"oldest" timestamp with time zone,  /* Option < TimestampWithTimeZone > */
	"postponed" bigint  /* i64 */
)
STRICT STABLE SECURITY DEFINER PARALLEL UNSAFE 
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'backlog_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/functions/targets.rs
-- litellm_spend::functions::targets::list_targets
CREATE  FUNCTION litellm_spend."list_targets"() RETURNS TABLE (
	"target" TEXT,  /* String */
	"found" bool,  /* bool */
	"action" TEXT,  /* & '_ str */
	"columns_written" TEXT[],  /* Vec < String > */
	"columns_unknown" TEXT[],  /* Vec < String > */
	"reason" TEXT  /* Option < String > */
)
STRICT STABLE SECURITY DEFINER PARALLEL UNSAFE 
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'list_targets_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/functions/fold.rs
-- litellm_spend::functions::fold::fold
CREATE  FUNCTION litellm_spend."fold"() RETURNS bigint /* std :: result :: Result < i64, ErrorReport > */
STRICT VOLATILE SECURITY DEFINER PARALLEL UNSAFE 
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'fold_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/lib.rs
-- requires:
--   functions::fold::fold

-- For pg_cron and for servers that do not preload the library. With SECURITY DEFINER or a SET clause the procedure
-- could not commit, so every name here is qualified.
CREATE PROCEDURE litellm_spend.fold_all()
LANGUAGE plpgsql
AS $$
BEGIN
    WHILE litellm_spend.fold() OPERATOR(pg_catalog.>) 0 LOOP
        COMMIT;
    END LOOP;
END
$$;
/* </end connected objects> */

/* <begin connected objects> */
-- src/verify.rs
-- litellm_spend::verify::verify
CREATE  FUNCTION litellm_spend."verify"(
	"from_date" date, /* Date */
	"to_date" date /* Date */
) RETURNS TABLE (
	"day" date,  /* Date */
	"target" TEXT,  /* & '_ str */
	"key" jsonb,  /* Jsonb */
	"column_name" TEXT,  /* & '_ str */
	"logged" NUMERIC,  /* Option < AnyNumeric > */
	"stored" NUMERIC,  /* Option < AnyNumeric > */
	"difference" NUMERIC  /* AnyNumeric */
)
STRICT VOLATILE SECURITY DEFINER PARALLEL UNSAFE 
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'verify_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/staging/adoption.rs
-- litellm_spend::staging::adoption::foreign_rows
CREATE  FUNCTION litellm_spend."foreign_rows"() RETURNS bigint /* std :: result :: Result < i64, ErrorReport > */
STRICT STABLE SECURITY DEFINER PARALLEL UNSAFE 
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'foreign_rows_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/lib.rs
-- requires:
--   state
--   segment_holders
--   functions::status::backlog
--   functions::status::worker_state
--   staging::adoption::foreign_rows
--   functions::targets::list_targets

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
/* </end connected objects> */

/* <begin connected objects> */
-- src/functions/health.rs
-- litellm_spend::functions::health::alert_bounds
CREATE  FUNCTION litellm_spend."alert_bounds"() RETURNS TABLE (
	"slow" interval,  /* Interval */
	"stuck" interval,  /* Interval */
	"pinned" interval  /* Interval */
)
STRICT STABLE PARALLEL SAFE 
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'alert_bounds_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/lib.rs
-- requires:
--   status
--   functions::health::alert_bounds
--   postgres::lock_holders::lock_holders
--   fold::version::version_skew

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
/* </end connected objects> */

/* <begin connected objects> */
-- src/worker.rs
-- litellm_spend::worker::start_worker
CREATE  FUNCTION litellm_spend."start_worker"() RETURNS bool /* bool */
STRICT VOLATILE PARALLEL UNSAFE 
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'start_worker_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/staging/adoption.rs
-- litellm_spend::staging::adoption::adopt
CREATE  FUNCTION litellm_spend."adopt"() RETURNS bigint /* std :: result :: Result < i64, ErrorReport > */
STRICT VOLATILE SECURITY DEFINER PARALLEL UNSAFE 
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'adopt_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/functions/retry_rejected.rs
-- litellm_spend::functions::retry_rejected::retry_rejected
CREATE  FUNCTION litellm_spend."retry_rejected"(
	"ids" bigint[] DEFAULT NULL /* :: std :: option :: Option < Vec < Option < i64 > > > */
) RETURNS bigint /* std :: result :: Result < i64, ErrorReport > */
VOLATILE SECURITY DEFINER PARALLEL UNSAFE 
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'retry_rejected_wrapper';
/* </end connected objects> */

/* <begin connected objects> */
-- src/lib.rs
-- finalize
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
/* </end connected objects> */
