//! The settings under which a fold runs, whatever the session, role or database has set (invariant 1):
//! they decide what its queries mean, which triggers fire and when its commit is durable.

use std::ffi::CString;
use std::time::Duration;

use pgrx::prelude::*;

use crate::settings;

const PINS: &[(&str, &str)] = &[
    ("search_path", "pg_catalog, pg_temp"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("row_security", "off"),
    ("session_replication_role", "origin"),
    ("default_tablespace", ""),
    ("synchronous_commit", "on"),
    ("statement_timeout", "0"),
    // A fold that closes a circle of locks is the one to notice it, and gives way.
    ("deadlock_timeout", "100ms"),
    // Staging segments are never analysed, and a scan of consumed rows is what the index avoids.
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_sort", "off"),
    ("jit", "off"),
];

const TRANSACTION_DEFAULTS: &[(&str, &str)] = &[
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_deferrable", "off"),
    ("idle_in_transaction_session_timeout", "0"),
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    ("transaction_timeout", "0"),
];

/// Runs `body` under the pinned settings and restores the session's own. An error needs no clean-up:
/// it ends the transaction, and with it every setting made here.
pub fn pinned<R>(body: impl FnOnce() -> R) -> R {
    let row_wait = longest_row_wait();
    // SAFETY: the nest level is closed below, or by the transaction's abort.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    for (name, value) in PINS {
        set(name, value, pg_sys::GucAction::GUC_ACTION_SAVE);
    }
    set("lock_timeout", &format!("{}ms", row_wait.as_millis()), pg_sys::GucAction::GUC_ACTION_SAVE);
    let result = body();
    // SAFETY: closes the level opened above.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}

/// How long a fold waits for a row. If another session closes a circle of locks, it looks for one
/// `deadlock_timeout` later: the fold has given way by then, and nobody but a fold dies of it.
fn longest_row_wait() -> Duration {
    // SAFETY: reads a setting.
    let until_others_look = u64::try_from(unsafe { pg_sys::DeadlockTimeout }).unwrap_or(0);
    settings::lock_timeout().min(Duration::from_millis((until_others_look / 2).max(1)))
}

/// Makes every later transaction of a worker READ COMMITTED and read-write, whatever the server, role or
/// database has set.
pub fn pin_transaction_defaults() {
    for (name, value) in TRANSACTION_DEFAULTS {
        set(name, value, pg_sys::GucAction::GUC_ACTION_SET);
    }
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
