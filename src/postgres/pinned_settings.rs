//! The settings under which a fold runs, whatever the session, role or database has set (invariant 1):
//! they decide what its queries mean and which triggers fire.

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
    // The names of types are compared as they are without quotes.
    ("quote_all_identifiers", "off"),
    ("row_security", "off"),
    ("session_replication_role", "origin"),
    ("default_tablespace", ""),
    ("synchronous_commit", "on"),
    ("statement_timeout", "0"),
    // An error that is caught, as that of one bad record, would end the process.
    ("exit_on_error", "off"),
    // A fold that closes a circle of locks is the one to notice it, and gives way.
    ("deadlock_timeout", "1ms"),
    // With so short a time each wait would be logged; `status` tells of those that matter.
    ("log_lock_waits", "off"),
    // Staging segments are never analysed, and a scan of consumed rows is what the index avoids.
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_sort", "off"),
    ("jit", "off"),
    // The plans of a fold are kept, and look rows up by index however many there are.
    ("plan_cache_mode", "force_generic_plan"),
];

/// Keeps nobody from the view of staged rows. Minor versions before August 2024 have no such setting.
const OF_LATER_MINOR_VERSIONS: (&str, &str) = ("restrict_nonsystem_relation_kind", "");

const OF_A_WORKER: &[(&str, &str)] = &[
    // They write each statement's tree into the server log.
    ("debug_print_parse", "off"),
    ("debug_print_rewritten", "off"),
    ("debug_print_plan", "off"),
    // A role that is set for the superuser as whom it runs would be in the way.
    ("role", "none"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_deferrable", "off"),
    ("idle_in_transaction_session_timeout", "0"),
];

/// Runs `body`, and takes back afterwards the settings that it has made. An error needs no clean-up: it ends the
/// transaction, and with it every setting made here.
pub fn restoring<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: the nest level is closed below, or by the transaction's abort.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    let result = body();
    // SAFETY: closes the level opened above.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}

/// Runs `body` under the pinned settings and restores the session's own. An error needs no clean-up:
/// it ends the transaction, and with it every setting made here.
pub fn pinned<R>(body: impl FnOnce() -> R) -> R {
    let row_wait = longest_row_wait();
    // SAFETY: the nest level is closed below, or by the transaction's abort.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    for (name, value) in PINS {
        set(name, value, pg_sys::GucAction::GUC_ACTION_SAVE);
    }
    let (name, value) = OF_LATER_MINOR_VERSIONS;
    if is_known(name) {
        set(name, value, pg_sys::GucAction::GUC_ACTION_SAVE);
    }
    set("lock_timeout", &format!("{}ms", row_wait.as_millis()), pg_sys::GucAction::GUC_ACTION_SAVE);
    let result = body();
    // SAFETY: closes the level opened above.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}

/// Has the transaction that is about to commit wait until its commit is on this server's disk, whatever the session's
/// setting is. It waits for no standby, which may be gone: a worker could neither fold nor end meanwhile. A standby that
/// takes over folds what it lacks of the fold.
pub fn commit_durably() {
    set("synchronous_commit", "local", pg_sys::GucAction::GUC_ACTION_LOCAL);
}

/// Runs `body`, which waits so long for each lock at most.
pub fn waiting_at_most<R>(wait: Duration, body: impl FnOnce() -> R) -> R {
    // SAFETY: the nest level is closed below, or by the transaction's abort.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    let millis = wait.as_millis().max(1);
    set("lock_timeout", &format!("{millis}ms"), pg_sys::GucAction::GUC_ACTION_SAVE);
    let result = body();
    // SAFETY: closes the level opened above.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}

/// Runs `body`, which waits half as long again for each lock: three quarters of `deadlock_timeout` at most.
pub fn waiting_longer<R>(body: impl FnOnce() -> R) -> R {
    let longest = longest_lock_wait();
    waiting_at_most(longest + longest / 2, body)
}

/// How long this session waits for a lock, under `pinned`.
pub fn longest_lock_wait() -> Duration {
    // SAFETY: reads a setting.
    Duration::from_millis(u64::try_from(unsafe { pg_sys::LockTimeout }).unwrap_or(1))
}

/// Sleeps, and serves a cancel or a shutdown after it.
pub fn sleep(duration: Duration) {
    // SAFETY: sleeps; interrupts are served at a safe place.
    unsafe { pg_sys::pg_usleep(i64::try_from(duration.as_micros()).unwrap_or(0)) };
    pgrx::check_for_interrupts!();
}

/// How long a fold waits for a row. If another session closes a circle of locks, it looks for one
/// `deadlock_timeout` later: the fold has given way by then, and nobody but a fold dies of it.
fn longest_row_wait() -> Duration {
    // SAFETY: reads a setting.
    let of_session = u64::try_from(unsafe { pg_sys::DeadlockTimeout }).unwrap_or(0);
    let until_others_look = deadlock_timeout_of_others().map_or(of_session, |others| others.min(of_session));
    settings::lock_timeout().min(Duration::from_millis((until_others_look / 2).max(1)))
}

/// The `deadlock_timeout` in milliseconds that sessions begin with, whatever this one has set since.
fn deadlock_timeout_of_others() -> Option<u64> {
    // SAFETY: reads a setting that everybody may see, as text that lives until the next such call.
    let text = unsafe { std::ffi::CStr::from_ptr(pg_sys::GetConfigOptionResetString(c"deadlock_timeout".as_ptr())) };
    text.to_str().ok()?.parse().ok()
}

/// Makes every later transaction of a worker READ COMMITTED and read-write, and that of the superuser as whom
/// it connected, whatever the server, role or database has set.
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
    // SAFETY: looks a setting up, without an error where there is none.
    unsafe { !pg_sys::GetConfigOption(name.as_ptr(), true, false).is_null() }
}

fn set(name: &str, value: &str, action: pg_sys::GucAction::Type) {
    let (Ok(name), Ok(value)) = (CString::new(name), CString::new(value)) else { return };
    // SAFETY: both strings outlive the call, which copies them; an unknown name raises an error.
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
