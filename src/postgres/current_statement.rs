//! Runs a statement under a snapshot taken now.

use std::ffi::{CStr, CString};

use pgrx::prelude::*;

use crate::error::Result;

/// Runs a statement under a snapshot taken now, and returns how many rows the statement processed. At REPEATABLE READ
/// the transaction's snapshot is older than the lock, so it would miss rows that committed in between.
pub fn run(statement: &str, arguments: &[(pg_sys::Oid, pg_sys::Datum)]) -> Result<usize> {
    let statement = CString::new(statement).unwrap_or_default();
    let (mut types, mut values): (Vec<_>, Vec<_>) = arguments.iter().copied().unzip();
    let count = i32::try_from(arguments.len()).unwrap_or(0);
    Spi::connect_mut(|_| {
        // SAFETY: there is one type and one value for each parameter of the statement, and no value is null. The plan
        // and the result live in the memory of this SPI connection.
        let processed = unsafe { execute(&statement, count, types.as_mut_ptr(), values.as_mut_ptr()) };
        let (status, rows) = processed;
        Spi::check_status(status)?;
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    })
}

/// # Safety
/// Called within an SPI connection, with types and values for the statement's parameters.
unsafe fn execute(statement: &CStr, count: i32, types: *mut pg_sys::Oid, values: *mut pg_sys::Datum) -> (i32, u64) {
    // SAFETY: the caller keeps the contract above. A statement that does not parse raises an error.
    unsafe {
        let plan = pg_sys::SPI_prepare(statement.as_ptr(), count, types);
        if plan.is_null() {
            return (pg_sys::SPI_result, 0);
        }
        let now = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let status =
            pg_sys::SPI_execute_snapshot(plan, values, std::ptr::null(), now, std::ptr::null_mut(), false, true, 0);
        pg_sys::UnregisterSnapshot(now);
        (status, pg_sys::SPI_processed)
    }
}
