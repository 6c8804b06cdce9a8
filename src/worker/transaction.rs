//! Transactions of a background worker. An error ends the transaction and comes back as a value: the
//! worker lives on and tries again.

use std::panic::AssertUnwindSafe;

use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

use crate::error::{Error, Result, sqlstate};

/// Why a transaction was rolled back, in words that hold no data of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub sqlstate: String,
    pub message: String,
    pub hint: Option<String>,
}

/// Runs `body` in a transaction of its own and commits it.
pub fn run<R>(body: impl FnOnce() -> Result<R>) -> std::result::Result<R, Failure> {
    let outcome = PgTryBuilder::new(AssertUnwindSafe(|| {
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
    }))
    .catch_others(|caught| Err(Failure::from(caught)))
    .catch_rust_panic(|caught| Err(Failure::from(caught)))
    .execute();
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

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { sqlstate: sqlstate(error.code()), message: error.to_string(), hint: error.hint().map(str::to_owned) }
    }
}

impl From<CaughtError> for Failure {
    fn from(caught: CaughtError) -> Self {
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. }) = caught;
        Failure {
            sqlstate: sqlstate(report.sql_error_code()),
            message: report.message().to_owned(),
            hint: report.hint().map(str::to_owned),
        }
    }
}
