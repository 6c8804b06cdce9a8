//! Says what to do when a log row fits no partition. Postgres's own message names neither the day nor the fix, and
//! `status` does not show its DETAIL.

use std::panic::AssertUnwindSafe;

use litellm_spend_core::record::SpendRecord;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::prelude::*;

use super::Table;
use crate::postgres::failure;

/// Runs `insert` for log rows. If it fails because a partition is missing, the error gets a hint.
pub fn explained<R>(table: &Table, records: &[&SpendRecord], insert: impl FnOnce() -> R) -> R {
    if !table.is_partitioned || table.takes_every_row {
        return insert();
    }
    PgTryBuilder::new(AssertUnwindSafe(insert))
        .catch_when(PgSqlErrorCode::ERRCODE_CHECK_VIOLATION, |caught| match &caught {
            // A row without a partition violates a check that has no name.
            CaughtError::PostgresError(error) if !failure::names_constraint(&caught) => {
                let mut report = ErrorReport::new(error.sql_error_code(), error.message().to_owned(), "litellm_spend");
                if let Some(detail) = error.detail() {
                    report = report.set_detail(detail);
                }
                report.set_hint(hint(table, records)).report(PgLogLevel::ERROR);
                unreachable!("an ERROR does not return")
            }
            _ => caught.rethrow(),
        })
        .execute()
}

fn hint(table: &Table, records: &[&SpendRecord]) -> String {
    let days = || records.iter().map(|record| record.timing.start.utc_date());
    let (first, last) = (days().min().unwrap_or_default(), days().max().unwrap_or_default());
    format!(
        "Create the partitions of {} for the days from {first} to {last}, or a DEFAULT partition. \
         The fold then goes on.",
        table.name
    )
}
