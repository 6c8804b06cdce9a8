//! How many rows of LiteLLM's tables a fold may lock at a time. Who writes to one of them, a LiteLLM proxy say,
//! waits until the fold commits: some 20 us for each row. A worker writes few rows at a time where somebody
//! waits for it, and more and more where nobody does, for then fewer writes are needed in all.

use std::cell::Cell;

use pgrx::spi::SpiClient;

use super::plans;
use crate::error::Result;
use crate::settings;

/// As many as take about 200 ms.
const FEWEST: usize = 10_000;
/// As many as fit the memory of a fold.
const MOST: usize = 50_000;

thread_local! {
    static OF_WORKER: Cell<usize> = const { Cell::new(FEWEST) };
}

/// Whether any session waits for a row that this transaction, or a part of it, has written.
const SOMEBODY_WAITS: &str = "
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_locks AS mine
        JOIN pg_catalog.pg_locks AS waiting
            ON waiting.locktype = mine.locktype AND waiting.transactionid = mine.transactionid
        WHERE mine.locktype = 'transactionid' AND mine.pid = pg_catalog.pg_backend_pid() AND mine.granted
          AND NOT waiting.granted)";

/// How long those may wait who want a row of the fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// As short as can be: the worker commits after each write.
    Short,
    /// Until the caller of `fold()` commits, which no fold can hasten.
    Long,
}

impl Patience {
    /// From how many staged rows on a fold writes.
    pub fn staged_rows(self) -> usize {
        match self {
            Patience::Short => settings::fold_rows(),
            Patience::Long => usize::MAX,
        }
    }

    /// From how many rows of LiteLLM's tables on it writes.
    pub fn rows(self) -> usize {
        match self {
            Patience::Short => OF_WORKER.get(),
            Patience::Long => MOST,
        }
    }

    /// Looks who waits, before the commit of a fold that has written so many rows.
    pub fn learn(self, client: &mut SpiClient, written: usize) -> Result<()> {
        let bound = self.rows();
        if self == Patience::Long || written < FEWEST.min(bound) {
            return Ok(());
        }
        let somebody_waits: Option<bool> = plans::run(client, SOMEBODY_WAITS, &[])?.first().get(1)?;
        OF_WORKER.set(if somebody_waits == Some(true) { bound / 2 } else { bound * 2 }.clamp(FEWEST, MOST));
        Ok(())
    }
}
