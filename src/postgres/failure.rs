//! Describes an error that rolled something back. The description contains no data of a row.

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
    /// What may have caused the failure.
    pub fn fault(&self) -> Fault {
        fault::of(&self.sqlstate)
    }

    /// Whether a lock was not granted in time.
    pub fn is_lock(&self) -> bool {
        self.fault() == Fault::Lock
    }

    /// Whether Postgres found a deadlock.
    pub fn is_deadlock(&self) -> bool {
        self.code == PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED
    }

    /// Whether a row has no partition. Postgres reports this as a check violation without a constraint name.
    pub fn is_missing_partition(&self) -> bool {
        self.code == PgSqlErrorCode::ERRCODE_CHECK_VIOLATION && !self.names_constraint
    }

    /// Adds a hint about a missing privilege, unless Postgres gives a hint itself. A fold writes a table with the
    /// rights of the table's owner, except for the rights that a security-restricted operation lacks.
    pub fn advised(self) -> Self {
        if self.hint.is_some() || self.code != PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE {
            return self;
        }
        self.with_hint(
            "Grant the table's owner what the table's triggers, defaults and constraints need, because a fold writes \
             each table as its owner. This code cannot change roles, create temporary tables or defer constraints.",
        )
    }

    /// Replaces the hint.
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
        // A trigger may raise a SQLSTATE that Postgres does not define. pgrx reads such a code as an internal error.
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

/// Whether the error that was caught last names the constraint that a row violates.
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

/// Runs `body` and returns any error that ends it, including errors of Postgres and panics. The caller must roll back
/// what `body` left behind.
pub fn caught<R>(body: impl FnOnce() -> std::result::Result<R, Failure>) -> std::result::Result<R, Failure> {
    PgTryBuilder::new(AssertUnwindSafe(body))
        .catch_others(|caught| Err(Failure::from(caught)))
        .catch_rust_panic(|caught| Err(Failure::from(caught)))
        .execute()
}

/// The parts of an error that pgrx does not keep.
#[derive(Debug, Clone, Default)]
struct ErrorExtras {
    code: i32,
    message: String,
    names_constraint: bool,
}

thread_local! {
    static EXTRAS: RefCell<ErrorExtras> = RefCell::default();
}

/// Runs `body`. Of each error that Postgres raises in `body`, this notes the parts that pgrx does not keep.
pub fn watched<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: the entry is on this stack frame and is removed before the frame ends. If an error unwinds through the
    // frame, the code that catches the error restores the stack of callbacks.
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

/// The callback that Postgres calls for each message before it raises the message.
#[pg_guard]
unsafe extern "C-unwind" fn note_error(_argument: *mut std::ffi::c_void) {
    // SAFETY: a message is being raised, so there is a message to copy. The copy is freed at once. If resources are
    // short (SQLSTATE class 53), nothing is copied.
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
