//! The settings `litellm_spend.*`. Each is described here and in the README's table. What decides
//! where spend is written, and with which power, only a superuser may change.

use crate::postgres::session;
use std::ffi::{CStr, CString};
use std::time::Duration;

use litellm_spend_core::allowed::bounds::{Bounds, SMALLEST};
use litellm_spend_core::litellm::tables::EntityKind;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::prelude::*;

static TARGET_SCHEMA: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"public"));
static CREATE_MISSING: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"user, team, organization, end_user, tag"));
const CREATE_MISSING_HINT: &CStr = c"Each word of the list is one of user, team, organization, end_user, tag, project, model_access_group, agent and key.";
static MAX_NEW_ENTITIES: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static STORE_PROMPTS: GucSetting<bool> = GucSetting::<bool>::new(false);
static WRITE_SPEND_LOGS: GucSetting<bool> = GucSetting::<bool>::new(true);
static COUNT_GATEWAY_REQUESTS: GucSetting<bool> = GucSetting::<bool>::new(true);
static LEDGER: GucSetting<LedgerUse> = GucSetting::<LedgerUse>::new(LedgerUse::Auto);
static DEDUPE_WINDOW: GucSetting<i32> = GucSetting::<i32>::new(7 * 86_400);
static MAX_RECORD_SIZE: GucSetting<i32> = GucSetting::<i32>::new(16 * 1024);
static MAX_RECORD_VALUES: GucSetting<i32> = GucSetting::<i32>::new(500_000);
static FOLD_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(100);
static LINGER: GucSetting<i32> = GucSetting::<i32>::new(2_000);
static BATCH_ROWS: GucSetting<i32> = GucSetting::<i32>::new(5_000);
static FOLD_ROWS: GucSetting<i32> = GucSetting::<i32>::new(100_000);
static BATCH_SIZE: GucSetting<i32> = GucSetting::<i32>::new(32 * 1024);
static LOCK_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(5_000);
static SEGMENT_SIZE: GucSetting<i32> = GucSetting::<i32>::new(16 * 1024);
static TRUNCATE_DELAY: GucSetting<i32> = GucSetting::<i32>::new(60);
static MAX_DATABASES: GucSetting<i32> = GucSetting::<i32>::new(1_024);

/// When folds keep the ledger of counted requests.
#[derive(Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum LedgerUse {
    /// Where SpendLogs is not written, is missing, or is partitioned by "startTime".
    #[name = c"auto"]
    Auto,
    /// Always, beside the log.
    #[name = c"on"]
    On,
}

/// Schema of LiteLLM's tables.
pub fn target_schema() -> String {
    text(&TARGET_SCHEMA)
}

/// Whether a fold makes the row of an entity of this kind that LiteLLM's table lacks.
pub fn creates_missing(kind: EntityKind) -> bool {
    let setting = text(&CREATE_MISSING);
    kind.word().is_some_and(|name| setting.split(',').any(|listed| listed.trim() == name))
}

/// Most missing rows that folds make in an hour; `None` where there is no limit.
pub fn max_new_entities() -> Option<usize> {
    usize::try_from(MAX_NEW_ENTITIES.get()).ok()
}

/// Whether prompts and responses are stored.
pub fn store_prompts() -> bool {
    STORE_PROMPTS.get()
}

/// Whether folds write rows of SpendLogs.
pub fn write_spend_logs() -> bool {
    WRITE_SPEND_LOGS.get()
}

/// Whether folds count requests that were made outside a proxy where LiteLLM counts what its proxies answered.
pub fn count_gateway_requests() -> bool {
    COUNT_GATEWAY_REQUESTS.get()
}

/// How large a record may be before it loses its documents.
pub fn record_bounds() -> Bounds {
    let positive = |setting: &GucSetting<i32>| usize::try_from(setting.get()).unwrap_or(0);
    Bounds { bytes: positive(&MAX_RECORD_SIZE) * 1024, values: positive(&MAX_RECORD_VALUES) }
}

/// When folds keep the ledger.
pub fn ledger() -> LedgerUse {
    LEDGER.get()
}

/// How long the ledger remembers a request id at least.
pub fn dedupe_window() -> Duration {
    Duration::from_secs(u64::try_from(DEDUPE_WINDOW.get()).unwrap_or(0))
}

/// How long the worker collects commits before it folds them.
pub fn fold_interval() -> Duration {
    millis(&FOLD_INTERVAL)
}

/// How long an idle worker stays connected.
pub fn linger() -> Duration {
    millis(&LINGER)
}

/// Most staged rows in one batch.
pub fn batch_rows() -> usize {
    usize::try_from(BATCH_ROWS.get()).unwrap_or(1)
}

/// After how many staged rows a worker's fold reads no further batch.
pub fn fold_rows() -> usize {
    usize::try_from(FOLD_ROWS.get()).unwrap_or(1)
}

/// Most bytes of staged rows in one batch.
pub fn batch_bytes() -> usize {
    usize::try_from(BATCH_SIZE.get()).unwrap_or(1) * 1024
}

/// How long a fold waits for a lock.
pub fn lock_timeout() -> Duration {
    millis(&LOCK_TIMEOUT)
}

/// Size in bytes from which the next staging segment is taken.
pub fn segment_bytes() -> u64 {
    u64::try_from(SEGMENT_SIZE.get()).unwrap_or(0) * 1024
}

/// How long a consumed staging segment is kept before it is truncated.
pub fn truncate_delay() -> Duration {
    Duration::from_secs(u64::try_from(TRUNCATE_DELAY.get()).unwrap_or(0))
}

/// How many databases have a place on the board at a time.
pub fn max_databases() -> usize {
    usize::try_from(MAX_DATABASES.get()).unwrap_or(1)
}

fn text(setting: &GucSetting<Option<CString>>) -> String {
    setting.get().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}

fn millis(setting: &GucSetting<i32>) -> Duration {
    Duration::from_millis(u64::try_from(setting.get()).unwrap_or(0))
}

/// Defines the settings; called once as the library is loaded.
pub fn define() {
    GucRegistry::define_string_guc(
        c"litellm_spend.target_schema",
        c"Schema that holds LiteLLM's tables.",
        c"The schema of LiteLLM's DATABASE_URL.",
        &TARGET_SCHEMA,
        GucContext::Suset,
        GucFlags::default(),
    );
    // SAFETY: the hook is guarded and lives as long as the library.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"litellm_spend.create_missing",
            c"Kinds of entities whose missing row a fold creates.",
            c"A list of user, team, organization, end_user, tag, project, model_access_group, agent and key; a key is created blocked.",
            &CREATE_MISSING,
            GucContext::Suset,
            GucFlags::default(),
            Some(check_create_missing),
            None,
            None,
        );
    }
    define_int(
        c"litellm_spend.max_new_entities",
        c"Most missing rows of entities that folds create in an hour; 0 means none, -1 no limit.",
        &MAX_NEW_ENTITIES,
        (-1, i32::MAX),
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"litellm_spend.store_prompts",
        c"Stores the messages, response and proxy_server_request of a spend record.",
        c"Off, they are dropped before anything is written.",
        &STORE_PROMPTS,
        GucContext::Suset,
        GucFlags::default(),
    );
    // A record is in memory some times over, in the session that records it and in the fold.
    define_int(
        c"litellm_spend.max_record_size",
        c"Most bytes of a record; a larger one loses its prompts, then its spend_logs_metadata, and is counted.",
        &MAX_RECORD_SIZE,
        (at_least(SMALLEST.bytes / 1024), 64 * 1024),
        GucFlags::UNIT_KB,
    );
    // A value takes four bytes of jsonb and up to 48 when it is decoded, so bytes alone bound no memory.
    define_int(
        c"litellm_spend.max_record_values",
        c"Most JSON values of a record, counted at all levels; a record with more loses what a larger one does.",
        &MAX_RECORD_VALUES,
        (at_least(SMALLEST.values), 10_000_000),
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"litellm_spend.write_spend_logs",
        c"Writes a row of \"LiteLLM_SpendLogs\" for each request.",
        c"Off, as with LiteLLM's disable_spend_logs, everything else is counted as before.",
        &WRITE_SPEND_LOGS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"litellm_spend.count_gateway_requests",
        c"Counts requests that were made outside a LiteLLM proxy in \"LiteLLM_DailyGatewayRequests\".",
        c"The UI's total requests and success rate are read from it. Off, they are what LiteLLM's proxies answered.",
        &COUNT_GATEWAY_REQUESTS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_enum_guc(
        c"litellm_spend.ledger",
        c"When folds keep a ledger of the requests that they have counted.",
        c"auto: where \"LiteLLM_SpendLogs\" is not written, is missing or is partitioned; \
          on: always, for a table whose old rows are deleted.",
        &LEDGER,
        GucContext::Suset,
        GucFlags::default(),
    );
    define_int(
        c"litellm_spend.dedupe_window",
        c"How long the ledger remembers a request id at least.",
        &DEDUPE_WINDOW,
        (1, 366 * 86_400),
        GucFlags::UNIT_S,
    );
    define_int(
        c"litellm_spend.fold_interval",
        c"How often the worker folds at most: what commits meanwhile is folded together.",
        &FOLD_INTERVAL,
        (0, 10_000),
        GucFlags::UNIT_MS,
    );
    define_int(
        c"litellm_spend.linger",
        c"How long an idle worker stays connected to its database.",
        &LINGER,
        (0, 4_000),
        GucFlags::UNIT_MS,
    );
    define_int(
        c"litellm_spend.batch_rows",
        c"Most staged rows that a fold has in memory at a time: a batch.",
        &BATCH_ROWS,
        (1, 1_000_000),
        GucFlags::default(),
    );
    define_int(
        c"litellm_spend.fold_rows",
        c"Staged rows after which the worker writes their sums and commits; a fold ends with the batch that reaches it.",
        &FOLD_ROWS,
        (1, 10_000_000),
        GucFlags::default(),
    );
    define_int(
        c"litellm_spend.batch_size",
        c"Most bytes of staged rows in one batch of a fold; a larger row is a batch of its own.",
        &BATCH_SIZE,
        (64, 1024 * 1024),
        GucFlags::UNIT_KB,
    );
    define_int(
        c"litellm_spend.lock_timeout",
        c"How long a fold waits for a table that another session has locked; for rows half of deadlock_timeout, or three quarters where other sessions lock them again and again.",
        &LOCK_TIMEOUT,
        (100, 60_000),
        GucFlags::UNIT_MS,
    );
    define_int(
        c"litellm_spend.segment_size",
        c"Size of a staging segment from which the next one is taken.",
        &SEGMENT_SIZE,
        (64, 1024 * 1024),
        GucFlags::UNIT_KB,
    );
    define_int(
        c"litellm_spend.truncate_delay",
        c"How long a consumed staging segment is kept before it is truncated.",
        &TRUNCATE_DELAY,
        (0, 86_400),
        GucFlags::UNIT_S,
    );
    // Only a library that is preloaded may define a setting of the postmaster's. Elsewhere it has no effect.
    let context = match session::is_preloading() {
        true => GucContext::Postmaster,
        false => GucContext::Sighup,
    };
    GucRegistry::define_int_guc(
        c"litellm_spend.max_databases",
        c"How many databases with records to fold the server keeps track of at a time.",
        c"Each takes half a kilobyte of shared memory. Read when the server starts.",
        &MAX_DATABASES,
        1,
        100_000,
        context,
        GucFlags::default(),
    );
    // SAFETY: called from _PG_init with a string that lives for ever.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"litellm_spend".as_ptr()) };
}

/// Refuses a list with a word that names no kind: a typo would leave rows out in silence. An empty list
/// is none.
#[pg_guard]
unsafe extern "C-unwind" fn check_create_missing(
    value: *mut *mut std::ffi::c_char,
    _extra: *mut *mut std::ffi::c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: Postgres passes a pointer to the proposed value, a C string or null.
    let list = unsafe { if (*value).is_null() { c"" } else { CStr::from_ptr(*value) } };
    let list = list.to_string_lossy();
    let is_kind = |word: &str| EntityKind::ALL.into_iter().any(|kind| kind.word() == Some(word));
    if list.trim().is_empty() || list.split(',').map(str::trim).all(is_kind) {
        return true;
    }
    // SAFETY: read, not freed, by the error that Postgres then reports; the text lives for ever.
    unsafe { pg_sys::GUC_check_errhint_string = CREATE_MISSING_HINT.as_ptr().cast_mut() };
    false
}

/// A bound as the least value of its setting.
fn at_least(bound: usize) -> i32 {
    i32::try_from(bound).unwrap_or(i32::MAX)
}

fn define_int(
    name: &'static std::ffi::CStr,
    what: &'static std::ffi::CStr,
    setting: &'static GucSetting<i32>,
    (least, most): (i32, i32),
    unit: GucFlags,
) {
    GucRegistry::define_int_guc(name, what, c"", setting, least, most, GucContext::Sighup, unit);
}
