//! Transactions of a background worker. An error ends the transaction and is returned as a value, so the worker lives
//! on and retries. Every transaction runs under the pinned settings, because the worker is a superuser and the
//! database's owner chooses the settings with which the worker connects.

use pgrx::prelude::*;

use super::failure::{self, Failure};
use super::pinned_settings;
use crate::error::Result;

/// Runs `body` in a transaction of its own and commits it. The commit is durable, because the next start of the server
/// may read there why the server crashed.
pub fn run<R>(body: impl FnOnce() -> Result<R>) -> std::result::Result<R, Failure> {
    let outcome = failure::caught(|| {
        // SAFETY: the background worker is between transactions. The snapshot is popped before the commit.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        let result = pinned_settings::pinned(body).map_err(Failure::from);
        if result.is_ok() {
            pinned_settings::commit_durably();
            // SAFETY: this pops the snapshot and commits the transaction that were begun above.
            unsafe {
                pg_sys::PopActiveSnapshot();
                pg_sys::CommitTransactionCommand();
            }
        }
        result
    });
    if outcome.is_err() {
        // SAFETY: this rolls back what the failed `body` left, and restores role and settings.
        unsafe { pg_sys::AbortCurrentTransaction() };
    }
    // SAFETY: this reports what the transaction did, after the transaction has ended.
    unsafe { pg_sys::pgstat_report_stat(false) };
    outcome
}

/// Runs a read under a snapshot taken now, in a READ COMMITTED transaction.
pub fn with_latest_snapshot<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: the snapshot is popped below. An error aborts the transaction, and that pops the snapshot too.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
    let result = body();
    // SAFETY: this pops the snapshot that was pushed above.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
}
