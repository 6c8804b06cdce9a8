//! Transactions of a background worker. An error ends the transaction and comes back as a value: the
//! worker lives on and tries again. All of them run under the pinned settings, because the worker is a superuser and
//! a database's owner chooses the settings with which it connects.

use pgrx::prelude::*;

use super::failure::{self, Failure};
use super::pinned_settings;
use crate::error::Result;

/// Runs `body` in a transaction of its own and commits it, durably: the next start of the server may read of it why
/// this one crashed.
pub fn run<R>(body: impl FnOnce() -> Result<R>) -> std::result::Result<R, Failure> {
    let outcome = failure::caught(|| {
        // SAFETY: a background worker between transactions; the snapshot is popped before the commit.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        let result = pinned_settings::pinned(body).map_err(Failure::from);
        if result.is_ok() {
            pinned_settings::commit_durably();
            // SAFETY: ends what was begun above.
            unsafe {
                pg_sys::PopActiveSnapshot();
                pg_sys::CommitTransactionCommand();
            }
        }
        result
    });
    if outcome.is_err() {
        // SAFETY: rolls back what the failed body left, and restores role and settings.
        unsafe { pg_sys::AbortCurrentTransaction() };
    }
    // SAFETY: reports what the transaction did, outside of it.
    unsafe { pg_sys::pgstat_report_stat(false) };
    outcome
}

/// Runs a read under a snapshot of this moment, in a transaction that reads at READ COMMITTED.
pub fn with_latest_snapshot<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: pushed and popped in pairs; an error aborts the transaction, which pops it.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
    let result = body();
    // SAFETY: pops what was pushed above.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
}
