//! What is known of an error that rolled something back, in words that hold no data of a row.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;

use litellm_spend_core::fault::{self, Fault};
use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};
use pgrx::prelude::*;

use crate::error::{Error, sqlstate};

/// Why a transaction, or a part of one, was rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: PgSqlErrorCode,
    pub sqlstate: String,
    pub message: String,
    pub hint: Option<String>,
    names_constraint: bool,
}

impl Failure {
    /// Whose fault it may be.
    pub fn fault(&self) -> Fault {
        fault::of(&self.sqlstate)
    }

    /// Whether it waited for a lock in vain.
    pub fn is_lock(&self) -> bool {
        self.fault() == Fault::Lock
    }

    /// Whether it was in a circle of sessions that wait for each other's locks.
    pub fn is_deadlock(&self) -> bool {
        self.code == PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED
    }

    /// Whether there is no partition for a row, which violates a check that has no name.
    pub fn is_missing_partition(&self) -> bool {
        self.code == PgSqlErrorCode::ERRCODE_CHECK_VIOLATION && !self.names_constraint
    }

    /// The same with an advice, where Postgres gives none, on a right that was missing: what a fold runs on a
    /// table's account has its owner's rights, less those that a security-restricted operation has not.
    pub fn advised(self) -> Self {
        if self.hint.is_some() || self.code != PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE {
            return self;
        }
        self.with_hint(
            "A fold writes each table as its owner: grant that role what the table's triggers, defaults and \
             constraints need; they cannot change roles, make temporary tables or defer constraints.",
        )
    }

    /// The same with another advice.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Failure { hint: Some(hint.into()), ..self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Error::Failed(failure) = error {
            return failure;
        }
        Failure {
            code: error.code(),
            sqlstate: sqlstate(error.code() as i32),
            message: error.to_string(),
            hint: error.hint().map(str::to_owned),
            names_constraint: false,
        }
    }
}

impl From<CaughtError> for Failure {
    fn from(caught: CaughtError) -> Self {
        let names_constraint = names_constraint(&caught);
        let extras = EXTRAS.with_borrow(Clone::clone);
        let report = report_of(&caught);
        let code = report.sql_error_code();
        // A SQLSTATE that a trigger made up has no name.
        let known = sqlstate(code as i32);
        let is_made_up = code == PgSqlErrorCode::ERRCODE_INTERNAL_ERROR && extras.message == report.message();
        Failure {
            code,
            sqlstate: if is_made_up { sqlstate(extras.code) } else { known },
            message: report.message().to_owned(),
            hint: report.hint().map(str::to_owned),
            names_constraint,
        }
    }
}

/// Whether the error that was just caught names the constraint that a row violates.
pub fn names_constraint(caught: &CaughtError) -> bool {
    let report = report_of(caught);
    EXTRAS.with_borrow(|extras| extras.names_constraint && extras.message == report.message())
}

fn report_of(caught: &CaughtError) -> &ErrorReportWithLevel {
    match caught {
        CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. } => report,
    }
}

/// Runs `body` and returns whatever error ends it, Postgres's own and panics included. What it leaves
/// behind is for the caller to roll back.
pub fn caught<R>(body: impl FnOnce() -> std::result::Result<R, Failure>) -> std::result::Result<R, Failure> {
    PgTryBuilder::new(AssertUnwindSafe(body))
        .catch_others(|caught| Err(Failure::from(caught)))
        .catch_rust_panic(|caught| Err(Failure::from(caught)))
        .execute()
}

/// What an error says of itself and pgrx does not keep.
#[derive(Debug, Clone, Default)]
struct ErrorExtras {
    code: i32,
    message: String,
    names_constraint: bool,
}

thread_local! {
    static EXTRAS: RefCell<ErrorExtras> = RefCell::default();
}

/// Runs `body`, and notes of each error that Postgres raises in it what pgrx does not keep.
pub fn watched<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: the entry lies on this stack frame and is taken off before the frame ends; an error that
    // unwinds through it restores the stack of callbacks, as whoever catches it does.
    unsafe {
        let previous = pg_sys::error_context_stack;
        let mut entry =
            pg_sys::ErrorContextCallback { previous, callback: Some(note_error), arg: std::ptr::null_mut() };
        pg_sys::error_context_stack = &raw mut entry;
        let result = body();
        pg_sys::error_context_stack = previous;
        result
    }
}

/// Called by Postgres for each message that it is about to raise.
#[pg_guard]
unsafe extern "C-unwind" fn note_error(_argument: *mut std::ffi::c_void) {
    // SAFETY: a message is being raised, so there is one to copy; the copy is freed at once. Where memory
    // is short none is made.
    unsafe {
        if sqlstate(pg_sys::geterrcode()).starts_with("53") {
            return;
        }
        let context = pg_sys::MemoryContextSwitchTo(pg_sys::TopTransactionContext);
        let data = pg_sys::CopyErrorData();
        if (*data).elevel >= PgLogLevel::ERROR as i32 {
            let message = if (*data).message.is_null() {
                String::new()
            } else {
                std::ffi::CStr::from_ptr((*data).message).to_string_lossy().into_owned()
            };
            let names_constraint = !(*data).constraint_name.is_null();
            EXTRAS.set(ErrorExtras { code: (*data).sqlerrcode, message, names_constraint });
        }
        pg_sys::FreeErrorData(data);
        pg_sys::MemoryContextSwitchTo(context);
    }
}
