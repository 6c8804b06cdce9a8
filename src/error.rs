//! The errors of the adapter, and the one table that maps them and the core's errors to what Postgres reports.

use litellm_spend_core::error::RecordError;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::postgres::failure::Failure;

pub type Result<T> = std::result::Result<T, Error>;

/// Why a call or a fold failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A record of the payload cannot be counted. `index` is the record's place in an array, counted from 0.
    #[error("{error}")]
    Record { error: RecordError, index: Option<usize> },
    /// The call cannot work with these arguments or in this state.
    #[error("{message}")]
    Refused { code: PgSqlErrorCode, message: String, hint: &'static str },
    /// A query of the extension failed.
    #[error("internal query failed: {0}")]
    Spi(#[from] SpiError),
    #[error("litellm_spend.fold_cursor holds a damaged snapshot")]
    Snapshot(#[from] litellm_spend_core::snapshot::NotASnapshot),
    /// The error that rolled back a part of the transaction.
    #[error("{}", .0.message)]
    Failed(Failure),
}

impl Error {
    pub fn refused(code: PgSqlErrorCode, message: impl Into<String>, hint: &'static str) -> Self {
        Error::Refused { code, message: message.into(), hint }
    }

    /// An error that holds the fold until somebody fixes the database.
    pub fn held(message: impl Into<String>, hint: &'static str) -> Self {
        Self::refused(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message, hint)
    }

    pub fn code(&self) -> PgSqlErrorCode {
        match self {
            Error::Record { error, .. } => code_of(error),
            Error::Refused { code, .. } => *code,
            Error::Spi(_) => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            Error::Snapshot(_) => PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            Error::Failed(failure) => failure.code,
        }
    }

    /// The SQLSTATE, five characters.
    pub fn sqlstate(&self) -> String {
        match self {
            Error::Failed(failure) => failure.sqlstate.clone(),
            _ => sqlstate(self.code() as i32),
        }
    }

    pub fn hint(&self) -> Option<&str> {
        match self {
            Error::Record { error, .. } => Some(error.hint()),
            Error::Refused { hint, .. } => Some(hint),
            Error::Failed(failure) => failure.hint.as_deref(),
            Error::Spi(_) | Error::Snapshot(_) => None,
        }
    }

    /// Where the fault is in the payload.
    pub fn detail(&self) -> Option<String> {
        let Error::Record { error, index } = self else { return None };
        let place = match (index, error.key()) {
            (Some(index), Some(key)) => format!("Array element {index}, key \"{key}\"."),
            (Some(index), None) => format!("Array element {index}."),
            (None, Some(key)) => format!("Key \"{key}\"."),
            (None, None) => return None,
        };
        Some(place)
    }
}

/// Unpacks the five characters of an error code. Each character takes six bits, the first character the lowest bits
/// (PostgreSQL: elog.h).
pub fn sqlstate(packed: i32) -> String {
    (0..5).map(|at| char::from(b'0' + ((packed >> (6 * at)) & 0x3F) as u8)).collect()
}

fn code_of(error: &RecordError) -> PgSqlErrorCode {
    match error.sqlstate() {
        "22004" => PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
        "22007" => PgSqlErrorCode::ERRCODE_INVALID_DATETIME_FORMAT,
        "22008" => PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
        "22001" => PgSqlErrorCode::ERRCODE_STRING_DATA_RIGHT_TRUNCATION,
        "22P02" => PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
        _ => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
    }
}

impl From<Error> for ErrorReport {
    fn from(error: Error) -> Self {
        let mut report = ErrorReport::new(error.code(), error.to_string(), "litellm_spend");
        if let Some(detail) = error.detail() {
            report = report.set_detail(detail);
        }
        if let Some(hint) = error.hint() {
            report = report.set_hint(hint);
        }
        report
    }
}
