//! The settings under which a fold runs, whatever the session, role or database has set (invariant 1). These settings
//! decide what the fold's queries mean and which triggers fire.

use std::ffi::CString;
use std::time::Duration;

use pgrx::prelude::*;

use super::compat;
use crate::settings;

const PINS: &[(&str, &str)] = &[
    ("search_path", "pg_catalog, pg_temp"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    // A fold compares the names of types without quotes.
    ("quote_all_identifiers", "off"),
    ("row_security", "off"),
    ("session_replication_role", "origin"),
    ("default_tablespace", ""),
    ("synchronous_commit", "on"),
    ("statement_timeout", "0"),
    // When on, an error that a fold catches, such as the error of one bad record, would end the process.
    ("exit_on_error", "off"),
    // A fold that completes a deadlock finds it first, and gives way.
    ("deadlock_timeout", "1ms"),
    // With so short a deadlock_timeout each wait would be logged. `status` shows the waits that matter.
    ("log_lock_waits", "off"),
    // Staging segments are never analysed, and the index avoids a scan of consumed rows.
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_sort", "off"),
    ("jit", "off"),
    // The plans of a fold are kept, so they must use the index for any number of rows.
    ("plan_cache_mode", "force_generic_plan"),
];

/// Allows a fold to read the view of staged rows. Minor versions before August 2024 do not have this setting.
const OF_LATER_MINOR_VERSIONS: (&str, &str) = ("restrict_nonsystem_relation_kind", "");

const OF_A_WORKER: &[(&str, &str)] = &[
    // These settings write each statement's tree into the server log.
    ("debug_print_parse", "off"),
    ("debug_print_rewritten", "off"),
    ("debug_print_plan", "off"),
    // A role may be set for the superuser that the worker runs as. The worker must not run as that role.
    ("role", "none"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_deferrable", "off"),
    ("idle_in_transaction_session_timeout", "0"),
];

/// Runs `body`, and undoes the settings that `body` changed. An error needs no clean-up, because it ends the
/// transaction, and that undoes every setting changed here.
pub fn restoring<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: the nest level is closed below, or by the abort of the transaction.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    let result = body();
    // SAFETY: this closes the level opened above.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}

/// Runs `body` under the pinned settings, and restores the session's own. An error needs no clean-up, because it ends
/// the transaction, and that undoes every setting changed here.
pub fn pinned<R>(body: impl FnOnce() -> R) -> R {
    let row_wait = longest_row_wait();
    restoring(|| {
        for (name, value) in PINS {
            set(name, value, pg_sys::GucAction::GUC_ACTION_SAVE);
        }
        let (name, value) = OF_LATER_MINOR_VERSIONS;
        if is_known(name) {
            set(name, value, pg_sys::GucAction::GUC_ACTION_SAVE);
        }
        set("lock_timeout", &format!("{}ms", row_wait.as_millis()), pg_sys::GucAction::GUC_ACTION_SAVE);
        body()
    })
}

/// Makes the transaction that is about to commit wait until its commit is on this server's disk, whatever the session's
/// setting is. The transaction does not wait for a standby. A standby may be gone, and then the worker could neither
/// fold nor end. A standby that takes over folds again what it lacks.
pub fn commit_durably() {
    set("synchronous_commit", "local", pg_sys::GucAction::GUC_ACTION_LOCAL);
}

/// Runs `body`, which waits for each lock for at most `wait`.
pub fn waiting_at_most<R>(wait: Duration, body: impl FnOnce() -> R) -> R {
    let millis = wait.as_millis().max(1);
    restoring(|| {
        set("lock_timeout", &format!("{millis}ms"), pg_sys::GucAction::GUC_ACTION_SAVE);
        body()
    })
}

/// Runs `body`, which waits 1.5 times as long for each lock, and at most three quarters of `deadlock_timeout`.
pub fn waiting_longer<R>(body: impl FnOnce() -> R) -> R {
    let longest = longest_lock_wait();
    waiting_at_most(longest + longest / 2, body)
}

/// How long this session waits for a lock. Called under `pinned`.
pub fn longest_lock_wait() -> Duration {
    // SAFETY: this reads a setting.
    Duration::from_millis(u64::try_from(unsafe { pg_sys::LockTimeout }).unwrap_or(1))
}

/// Sleeps, and then handles a pending cancel or shutdown.
pub fn sleep(duration: Duration) {
    // SAFETY: this only sleeps. Interrupts are handled below, where an error may be raised.
    unsafe { pg_sys::pg_usleep(i64::try_from(duration.as_micros()).unwrap_or(0)) };
    pgrx::check_for_interrupts!();
}

/// How long a fold waits for a row. If another session completes a deadlock, that session checks for one
/// `deadlock_timeout` later. By then the fold has given way, so no session but a fold fails because of the deadlock.
fn longest_row_wait() -> Duration {
    // SAFETY: this reads a setting.
    let of_session = u64::try_from(unsafe { pg_sys::DeadlockTimeout }).unwrap_or(0);
    let until_others_look = deadlock_timeout_of_others().map_or(of_session, |others| others.min(of_session));
    settings::lock_timeout().min(Duration::from_millis((until_others_look / 2).max(1)))
}

/// The `deadlock_timeout` in milliseconds that sessions start with, whatever this session has set since.
fn deadlock_timeout_of_others() -> Option<u64> {
    // SAFETY: every role may see this setting. The text lives until the next such call.
    let text = unsafe { std::ffi::CStr::from_ptr(pg_sys::GetConfigOptionResetString(c"deadlock_timeout".as_ptr())) };
    text.to_str().ok()?.parse().ok()
}

/// Pins the settings of a worker, whatever the server, role or database has set. Every later transaction of the worker
/// is READ COMMITTED and read-write, and runs as the superuser that the worker connected as.
pub fn pin_worker() {
    // SAFETY: a background worker that named no role has connected as the bootstrap superuser. `session_authorization`
    // itself can be set within a transaction only.
    unsafe { pg_sys::SetSessionAuthorization(pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID), true) };
    for (name, value) in OF_A_WORKER.iter().chain(compat::LATER_SETTINGS) {
        set(name, value, pg_sys::GucAction::GUC_ACTION_SET);
    }
}

fn is_known(name: &str) -> bool {
    let Ok(name) = CString::new(name) else { return false };
    // SAFETY: this looks up a setting, and an unknown name raises no error.
    unsafe { !pg_sys::GetConfigOption(name.as_ptr(), true, false).is_null() }
}

fn set(name: &str, value: &str, action: pg_sys::GucAction::Type) {
    let (Ok(name), Ok(value)) = (CString::new(name), CString::new(value)) else { return };
    // SAFETY: both strings outlive the call, and Postgres copies them. An unknown name raises an error.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        );
    }
}
