//! Staged rows that came from another cluster or database (a restored dump, a logical subscriber): no
//! fold counts them until they are adopted (invariant 12).

use pgrx::prelude::*;

use crate::error::Result;
use crate::{origin, staging};

/// Rows looked at in each segment: those of a restored dump lie at its beginning.
const LOOKED_AT: i64 = 1_000;

/// Whether such rows lie at the beginning of a segment. Reads only, and few rows, so that a poll stays
/// cheap; call it without `session::pinned`, which would have it read the whole index.
pub fn rows_wait() -> Result<bool> {
    Spi::connect(|client| {
        for segment in 0..staging::SEGMENTS {
            let query = format!(
                "SELECT EXISTS (SELECT FROM (SELECT origin FROM litellm_spend.staging_{segment} LIMIT $2) AS s
                                WHERE s.origin <> $1)"
            );
            let found = client.select(&query, Some(1), &[origin::this_database().into(), LOOKED_AT.into()])?;
            if found.first().get(1)? == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    })
}
