//! How long a fold that has locked rows waits for more of them (invariant 8). A session that waits for the fold looks
//! for a deadlock once, `deadlock_timeout` after its wait began. A fold that waits by then may be part of one, and the
//! session would die of it. So a fold waits for half of that time in all, for three quarters where others lock the rows
//! again and again, and then only while nobody waits for it. The rule counts from statement to statement.
//! `deadlock_watch` ends each circle that comes about meanwhile.

use std::time::{Duration, Instant};

use pgrx::spi::SpiClient;

use super::pace;
use crate::error::Result;
use crate::postgres::pinned_settings;

/// The time that a fold may wait for rows.
pub struct RowWaits {
    longest: Duration,
    until: Instant,
}

impl RowWaits {
    /// For a fold that has not locked any row of LiteLLM's: its waits, in all, may take what one of them may.
    pub fn begin() -> Self {
        let longest = pinned_settings::longest_lock_wait();
        RowWaits { longest, until: Instant::now() + longest }
    }

    /// Runs `body`, which waits no longer than is left for each of its rows.
    pub fn within<R>(&mut self, client: &mut SpiClient, body: impl FnOnce(&mut SpiClient) -> Result<R>) -> Result<R> {
        let mut left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() && !pace::somebody_waits(client)? {
            // Whoever waits for the fold from now on looks for a deadlock later than the fold waits.
            self.until = Instant::now() + self.longest;
            left = self.longest;
        }
        pinned_settings::waiting_at_most(left, || body(client))
    }
}
