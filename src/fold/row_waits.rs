//! How long a fold that has locked rows waits for more rows (invariant 8). A session that waits for the fold looks for
//! a deadlock once, `deadlock_timeout` after its wait began. If the fold waits at that moment, it may be part of a
//! deadlock, and the session would fail because of it. So a fold waits for half of that time in all, or for three
//! quarters where other sessions lock the rows again and again. After that it waits only while no session waits for it.
//! This rule counts from statement to statement. `deadlock_watch` ends each deadlock that comes about meanwhile.

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
    /// The waits of a fold that has not locked any row of LiteLLM's tables yet. All its waits together may take as long
    /// as one of them may take.
    pub fn begin() -> Self {
        let longest = pinned_settings::longest_lock_wait();
        RowWaits { longest, until: Instant::now() + longest }
    }

    /// Runs `body`, which waits for each of its rows no longer than the time that is left.
    pub fn within<R>(&mut self, client: &mut SpiClient, body: impl FnOnce(&mut SpiClient) -> Result<R>) -> Result<R> {
        let mut left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() && !pace::somebody_waits(client)? {
            // A session that waits for the fold from now on looks for a deadlock later than the fold waits.
            self.until = Instant::now() + self.longest;
            left = self.longest;
        }
        pinned_settings::waiting_at_most(left, || body(client))
    }
}
