//! How much a fold may lock at a time. Who writes to one of its rows, a LiteLLM proxy say, waits until it
//! commits. A worker writes no more at a time than takes 200 ms where somebody waits for it, and more and more
//! where nobody does, for then fewer writes are needed in all.

use std::cell::Cell;
use std::time::Duration;

use pgrx::spi::SpiClient;

use super::plans;
use crate::error::Result;
use crate::settings;

/// How long a write may take for which somebody waits.
const SHORT: Duration = Duration::from_millis(200);
/// Rows of LiteLLM's tables that a worker writes at a time, at least and at most.
const FEWEST: usize = 1_000;
const MOST: usize = 50_000;
/// With which it begins: 200 ms where each row moves to another page, which takes 50 us.
const FIRST: usize = 4_000;
/// Rows of LiteLLM's tables that a record changes, if it is the only one of its kind.
const ROWS_OF_RECORD: usize = 8;

/// Bytes of sums, by `Totals::bytes`; to write them takes about as much again.
const BYTES_OF_WORKER: usize = 32 << 20;
const BYTES_OF_CALLER: usize = 128 << 20;

thread_local! {
    static ROWS_OF_WORKER: Cell<usize> = const { Cell::new(FIRST) };
}

/// Whether any session waits for a lock of this one: of a row, a team or a table.
const SOMEBODY_WAITS: &str = "
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_locks AS waiting
        WHERE NOT waiting.granted
          AND pg_catalog.pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(waiting.pid)))";

/// How long those may wait who want a row of the fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// As short as can be: the worker commits after each write.
    Short,
    /// Until the caller of `fold()` commits, which no fold can hasten; what it writes twice, it writes beside
    /// its own first version.
    Long,
}

impl Patience {
    /// Whether a fold that has counted so many staged rows, which change so many rows in so many bytes, is to
    /// write them.
    pub fn ends_at(self, staged: usize, rows: usize, bytes: usize) -> bool {
        match self {
            Patience::Short => {
                staged >= settings::fold_rows() || rows >= ROWS_OF_WORKER.get() || bytes >= BYTES_OF_WORKER
            }
            Patience::Long => staged >= settings::fold_rows() || rows >= MOST || bytes >= BYTES_OF_CALLER,
        }
    }

    /// How many staged rows to read next where so many rows are to be changed already: not many more than there
    /// is room for, and not so few that reading them is what takes the time.
    pub fn batch_rows(self, rows: usize) -> usize {
        let most = settings::batch_rows();
        let bound = ROWS_OF_WORKER.get();
        let wanted = (bound.saturating_sub(rows) / ROWS_OF_RECORD).max(bound / (4 * ROWS_OF_RECORD));
        if self == Patience::Short { most.min(wanted) } else { most }
    }

    /// Looks who waits, before the commit of a fold that took so long to write so many rows.
    pub fn learn(self, client: &mut SpiClient, rows: usize, took: Duration) -> Result<()> {
        if self == Patience::Long {
            return Ok(());
        }
        let bound = ROWS_OF_WORKER.get();
        if took <= SHORT && rows < bound / 2 {
            return Ok(());
        }
        let next = if somebody_waits(client)? {
            // The same rows may take much longer next time: up a little, down at once.
            let of_short = rows as f64 * SHORT.as_secs_f64() / took.as_secs_f64();
            (of_short as usize).min(bound + bound / 4)
        } else if rows < bound / 2 {
            bound
        } else {
            bound * 2
        };
        ROWS_OF_WORKER.set(next.clamp(FEWEST, MOST));
        Ok(())
    }
}

/// Whether any session waits for this one.
pub fn somebody_waits(client: &mut SpiClient) -> Result<bool> {
    let found: Option<bool> = plans::run(client, SOMEBODY_WAITS, &[])?.first().get(1)?;
    Ok(found == Some(true))
}
