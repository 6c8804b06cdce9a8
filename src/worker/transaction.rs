//! Transactions of a background worker. An error ends the transaction and comes back as a value: the
//! worker lives on and tries again.

use pgrx::prelude::*;

use crate::error::Result;
use crate::failure::{self, Failure};

/// Runs `body` in a transaction of its own and commits it.
pub fn run<R>(body: impl FnOnce() -> Result<R>) -> std::result::Result<R, Failure> {
    let outcome = failure::caught(|| {
        // SAFETY: a background worker between transactions; the snapshot is popped before the commit.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        let result = body().map_err(Failure::from);
        if result.is_ok() {
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
