//! The settings `litellm_spend.*`. Each setting is described here and in the README's table. Only a superuser may
//! change a setting that decides where spend is written or with which privileges.

use std::ffi::{CStr, CString};
use std::time::Duration;

use litellm_spend_core::allowed::bounds::{Bounds, SMALLEST};
use litellm_spend_core::litellm::tables::EntityKind;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::prelude::*;

use crate::postgres::session;

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
    /// Folds keep the ledger where SpendLogs is not written, is missing, or is partitioned by "startTime".
    #[name = c"auto"]
    Auto,
    /// Folds always keep the ledger, in addition to the log.
    #[name = c"on"]
    On,
}

/// The schema of LiteLLM's tables.
pub fn target_schema() -> String {
    text(&TARGET_SCHEMA)
}

/// Whether a fold creates the row of an entity of this kind when LiteLLM's table has none.
pub fn creates_missing(kind: EntityKind) -> bool {
    let setting = text(&CREATE_MISSING);
    kind.word().is_some_and(|name| setting.split(',').any(|listed| listed.trim() == name))
}

/// The most missing rows that folds create in an hour; `None` means no limit.
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

/// Whether folds count requests from outside a proxy in the table where LiteLLM counts what its proxies answered.
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

/// The number of staged rows after which a worker's fold reads no further batch.
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

/// The size in bytes at which recorders move from a staging segment to the next.
pub fn segment_bytes() -> u64 {
    u64::try_from(SEGMENT_SIZE.get()).unwrap_or(0) * 1024
}

/// How long a consumed staging segment is kept before it is truncated.
pub fn truncate_delay() -> Duration {
    Duration::from_secs(u64::try_from(TRUNCATE_DELAY.get()).unwrap_or(0))
}

/// How many databases have a slot on the board at a time.
pub fn max_databases() -> usize {
    usize::try_from(MAX_DATABASES.get()).unwrap_or(1)
}

fn text(setting: &GucSetting<Option<CString>>) -> String {
    setting.get().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}

fn millis(setting: &GucSetting<i32>) -> Duration {
    Duration::from_millis(u64::try_from(setting.get()).unwrap_or(0))
}

/// Defines the settings. `_PG_init` calls it when the library is loaded.
pub fn define() {
    GucRegistry::define_string_guc(
        c"litellm_spend.target_schema",
        c"Schema that holds LiteLLM's tables.",
        c"The schema of LiteLLM's DATABASE_URL.",
        &TARGET_SCHEMA,
        GucContext::Suset,
        GucFlags::default(),
    );
    // SAFETY: the hook has a pgrx guard and lives as long as the library.
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
        c"Most missing rows of entities that folds create in an hour; 0 creates none, -1 sets no limit.",
        &MAX_NEW_ENTITIES,
        (-1, i32::MAX),
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"litellm_spend.store_prompts",
        c"Stores the messages, response and proxy_server_request of a spend record.",
        c"When off, they are dropped before anything is written.",
        &STORE_PROMPTS,
        GucContext::Suset,
        GucFlags::default(),
    );
    // Several copies of a record are in memory, both in the session that records it and in the fold.
    define_int(
        c"litellm_spend.max_record_size",
        c"Most bytes of a record; a larger record loses its prompts, then its spend_logs_metadata, and is still counted.",
        &MAX_RECORD_SIZE,
        (at_least(SMALLEST.bytes / 1024), 64 * 1024),
        GucFlags::UNIT_KB,
    );
    // A value takes four bytes of jsonb and up to 48 bytes when it is decoded, so a bound in bytes alone does not bound
    // memory.
    define_int(
        c"litellm_spend.max_record_values",
        c"Most JSON values of a record, counted at all levels; a record with more loses the same fields as one with too many bytes.",
        &MAX_RECORD_VALUES,
        (at_least(SMALLEST.values), 10_000_000),
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"litellm_spend.write_spend_logs",
        c"Writes a row of \"LiteLLM_SpendLogs\" for each request.",
        c"When off, everything else is still counted, as with LiteLLM's disable_spend_logs.",
        &WRITE_SPEND_LOGS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"litellm_spend.count_gateway_requests",
        c"Counts requests from outside a LiteLLM proxy in \"LiteLLM_DailyGatewayRequests\".",
        c"The UI reads its total requests and success rate from that table. When off, the UI shows only what LiteLLM's proxies answered.",
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
        c"Shortest time between two folds of the worker; records that commit in that time are folded together.",
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
        c"Staged rows after which the worker writes their sums and commits; the fold ends after the batch that reaches this number.",
        &FOLD_ROWS,
        (1, 10_000_000),
        GucFlags::default(),
    );
    define_int(
        c"litellm_spend.batch_size",
        c"Most bytes of staged rows in one batch of a fold; a larger row forms its own batch.",
        &BATCH_SIZE,
        (64, 1024 * 1024),
        GucFlags::UNIT_KB,
    );
    define_int(
        c"litellm_spend.lock_timeout",
        c"How long a fold waits for a table that another session has locked; for rows it waits half of deadlock_timeout, or three quarters if other sessions lock them again and again.",
        &LOCK_TIMEOUT,
        (100, 60_000),
        GucFlags::UNIT_MS,
    );
    define_int(
        c"litellm_spend.segment_size",
        c"Size of a staging segment at which records go to the next segment.",
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
    // Only a preloaded library may define a postmaster setting. In a library that is not preloaded the setting has no
    // effect.
    let context = match session::is_preloading() {
        true => GucContext::Postmaster,
        false => GucContext::Sighup,
    };
    GucRegistry::define_int_guc(
        c"litellm_spend.max_databases",
        c"How many databases with records to fold the server keeps track of at a time.",
        c"Each database takes half a kilobyte of shared memory. Read when the server starts.",
        &MAX_DATABASES,
        1,
        100_000,
        context,
        GucFlags::default(),
    );
    // SAFETY: `_PG_init` calls this, and the string is static.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"litellm_spend".as_ptr()) };
}

/// Refuses a list with a word that names no kind, because a typo would silently leave out the rows of a kind. An empty
/// list names no kind.
#[pg_guard]
unsafe extern "C-unwind" fn check_create_missing(
    value: *mut *mut std::ffi::c_char,
    _extra: *mut *mut std::ffi::c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: Postgres passes a pointer to the proposed value, which is a C string or null.
    let list = unsafe { if (*value).is_null() { c"" } else { CStr::from_ptr(*value) } };
    let list = list.to_string_lossy();
    let is_kind = |word: &str| EntityKind::ALL.into_iter().any(|kind| kind.word() == Some(word));
    if list.trim().is_empty() || list.split(',').map(str::trim).all(is_kind) {
        return true;
    }
    // SAFETY: Postgres only reads the hint when it reports the error and does not free it, and the text is static.
    unsafe { pg_sys::GUC_check_errhint_string = CREATE_MISSING_HINT.as_ptr().cast_mut() };
    false
}

/// A bound as the smallest value of its setting.
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
