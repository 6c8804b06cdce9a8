//! Asks for memory before it is needed. If there is no memory, Postgres raises an error, but Rust ends the process, and
//! then the whole server restarts. Records are bounded, so the memory that they need is known beforehand.

use litellm_spend_core::allowed::bounds::Bounds;
use pgrx::prelude::*;

/// The most memory that a decoded value takes, twice, because the value may be copied.
const BYTES_OF_VALUE: usize = 2 * 48;
/// A batch is in memory three times: as staged, as log rows, and on its way into a table.
const COPIES: usize = 3;

/// A record smaller than this needs a few megabytes at most, whatever it contains.
const LARGE_RECORD: usize = 64 << 10;

/// Raises an error unless there is memory for a record of so many bytes, as far as the bounds keep it.
pub fn require_for_record(bytes: usize, bounds: Bounds) {
    if bytes > LARGE_RECORD {
        // A value takes at least two bytes.
        require(bytes.min(bounds.bytes), (bytes / 2).min(bounds.values), 0);
    }
}

/// Raises an error unless there is memory for records of so many bytes and values, plus `more` bytes.
pub fn require(bytes: usize, values: usize, more: usize) {
    let needed =
        bytes.saturating_mul(COPIES).saturating_add(values.saturating_mul(BYTES_OF_VALUE)).saturating_add(more);
    // The memory is freed at once, and never touched.
    if Vec::<u8>::new().try_reserve_exact(needed).is_err() {
        ereport!(
            PgLogLevel::ERROR,
            PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
            "out of memory",
            format!("Spend records of {bytes} bytes with {values} values need {needed} bytes of memory.")
        );
    }
}
