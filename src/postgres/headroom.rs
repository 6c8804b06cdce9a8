//! Asks for memory before it is needed. Postgres raises an error where there is none, Rust ends the process, and
//! with a process that ends so the server restarts. Records are bounded, so that what they need is known beforehand.

use litellm_spend_core::allowed::bounds::Bounds;
use pgrx::prelude::*;

/// What a value takes at most when it is decoded, and once more where it is copied.
const BYTES_OF_VALUE: usize = 2 * 48;
/// A batch is in memory as it is staged, as log rows and on its way into a table.
const COPIES: usize = 3;

/// A smaller record needs a few megabytes at most, whatever it is.
const LARGE_RECORD: usize = 64 << 10;

/// Raises an error unless there is memory for what the bounds leave of a record of so many bytes.
pub fn require_for_record(bytes: usize, bounds: Bounds) {
    if bytes > LARGE_RECORD {
        // A value takes two bytes at least.
        require(bytes.min(bounds.bytes), (bytes / 2).min(bounds.values), 0);
    }
}

/// Raises an error unless there is memory for records of so many bytes and values, and for `more` bytes besides.
pub fn require(bytes: usize, values: usize, more: usize) {
    let needed =
        bytes.saturating_mul(COPIES).saturating_add(values.saturating_mul(BYTES_OF_VALUE)).saturating_add(more);
    // Given back at once, and never touched.
    if Vec::<u8>::new().try_reserve_exact(needed).is_err() {
        ereport!(
            PgLogLevel::ERROR,
            PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
            "out of memory",
            format!("Spend records of {bytes} bytes with {values} values need {needed} bytes of memory.")
        );
    }
}
