//! How much one fold counts. While more rows wait, a fold reads batch after batch and writes their sums once. A daily
//! row that a hundred batches add to is then written once instead of a hundred times, and no row is locked before the
//! end. Only one batch at a time is in memory, and the size of the sums is bounded as well.
//!
//! A fold that fails counts nothing. The next fold reads half as many rows, and so on down to the one row that fails by
//! itself (`isolate::verdict`). A fold that did not get a lock learns which rows are held (`isolate::held`) and leaves
//! out the records that need them (`postponed`).

use std::rc::Rc;
use std::time::{Duration, Instant};

use litellm_spend_core::fault::Fault;
use litellm_spend_core::pace::{Counted, FoldedBy, LockWait, Pace};
use litellm_spend_core::snapshot::window::Position;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::count::Count;
use super::isolate::{contention, held, verdict};
use super::pace::{self, bounds};
use super::write::budget_windows;
use crate::error::{Error, Result};
use crate::postgres::failure::Failure;
use crate::postgres::{pinned_settings, subtransaction};
use crate::staging::batch::{self, Batch, Consumed, Row};
use crate::staging::cursor::{Cursor, Tally};
use crate::staging::postponed;
use crate::targets::Targets;

/// How long a fold waits for each lock while it narrows down which record needs a lock that another session holds.
const SHORT_WAIT: Duration = Duration::from_millis(50);

/// How long a fold that gives way leaves its rows to other sessions.
const GIVE_WAY: Duration = Duration::from_millis(20);

/// The place from which a fold reads rows.
pub enum Source<'c> {
    /// Staged rows after the cursor.
    Staging(&'c Cursor),
    /// One batch of `litellm_spend.postponed`, after this position.
    Postponed(Position),
}

/// The outcome of a fold.
pub enum Outcome {
    Counted(Consumed, Tally),
    /// Nothing was counted. The next fold knows more and may succeed.
    TryAgain,
}

/// Counts the rows of a source, or a part of them.
pub fn run(source: &Source, by: FoldedBy) -> Result<Outcome> {
    let held_deliveries = budget_windows::read_log_sums()?;
    let targets = Spi::connect_mut(Targets::lock)?;
    held::add(&targets, held_deliveries)?;
    let pace = pace::now();
    let mut attempt = Attempt::new(source, targets, by);
    let outcome = subtransaction::attempt(|| match pace.lock_wait() {
        LockWait::Usual => attempt.run(pace),
        LockWait::Short => pinned_settings::waiting_at_most(SHORT_WAIT, || attempt.run(pace)),
        LockWait::Long => pinned_settings::waiting_longer(|| attempt.run(pace)),
    });
    match outcome {
        Ok(()) => {
            pace::change(|pace| pace.after_fold(bounds()));
            Ok(Outcome::Counted(attempt.consumed, attempt.tally))
        }
        // The next fold adds the log up first. Migrations must not wait for that, so the targets are unlocked.
        Err(_) if budget_windows::log_sums_are_lacking() => {
            attempt.targets.unlock();
            Ok(Outcome::TryAgain)
        }
        Err(failure) => attempt.learn_from(failure),
    }
}

struct Attempt<'s> {
    source: &'s Source<'s>,
    by: FoldedBy,
    targets: Rc<Targets>,
    count: Count,
    /// Rows that were read, including the rows of a batch that failed.
    rows_read: usize,
    /// The row, if only one row was to be read.
    only_row: Option<Row>,
    consumed: Consumed,
    tally: Tally,
}

impl<'s> Attempt<'s> {
    fn new(source: &'s Source, targets: Rc<Targets>, by: FoldedBy) -> Self {
        let count = Count::of(targets.clone());
        Attempt {
            source,
            by,
            targets,
            count,
            rows_read: 0,
            only_row: None,
            consumed: Consumed::default(),
            tally: Tally::default(),
        }
    }

    fn run(&mut self, pace: Pace) -> Result<()> {
        loop {
            // Each batch has an SPI connection of its own, because its memory is freed with the connection.
            Spi::connect_mut(|client| self.add_batch(client, pace))?;
            if self.consumed.is_last
                || self.rows_read >= pace.limit()
                || matches!(self.source, Source::Postponed(_))
                || pace.is_full(self.by, bounds(), self.counted())
            {
                break;
            }
            pgrx::check_for_interrupts!();
        }
        if self.consumed.rows > 0 {
            Spi::connect_mut(|client| {
                let begun = Instant::now();
                self.count.write(client)?;
                pace::learn(client, self.by, self.count.totals().rows(), begun.elapsed())
            })?;
        }
        Ok(())
    }

    fn counted(&self) -> Counted {
        let totals = self.count.totals();
        Counted { staged: self.consumed.rows, rows: totals.rows(), bytes: totals.bytes() }
    }

    fn add_batch(&mut self, client: &mut SpiClient, pace: Pace) -> Result<()> {
        let wanted = pace.next_batch(self.by, bounds(), self.count.totals().rows()).min(pace.limit() - self.rows_read);
        let batch = self.source.read(client, self.consumed.position, wanted)?;
        self.rows_read += batch.rows.len();
        self.consumed.add(&batch);
        let mut rows = batch.rows;
        if pace.limit() == 1 {
            // The row is kept before it is counted, so that it can be judged if the count fails.
            self.only_row = rows.pop();
        }
        let rows = self.only_row.as_ref().map_or(rows.as_slice(), std::slice::from_ref);
        let (tally, left_out) = self.count.add_rows(client, rows)?;
        self.source.consume(client, rows, &left_out)?;
        self.consumed.left_out += left_out.len();
        self.tally += tally;
        Ok(())
    }

    fn learn_from(self, failure: Failure) -> Result<Outcome> {
        match failure.fault() {
            Fault::Environment => Err(Error::Failed(failure.advised())),
            Fault::Lock => self.learn_what_is_held(failure),
            Fault::Size | Fault::Undecided if self.narrow() => Ok(Outcome::TryAgain),
            Fault::Size => Err(Error::Failed(failure)),
            Fault::Undecided => self.judge(failure),
        }
    }

    /// Makes the next fold read fewer rows. Returns false if this fold was to read one row alone.
    fn narrow(&self) -> bool {
        pace::change(|pace| pace.after_failure(bounds(), self.rows_read, self.only_row.is_some()))
    }

    fn learn_what_is_held(self, failure: Failure) -> Result<Outcome> {
        pgrx::debug1!("litellm_spend: a fold gives way to the locks of other sessions (SQLSTATE {})", failure.sqlstate);
        // Sessions that waited for this fold go first.
        pinned_settings::sleep(GIVE_WAY);
        let look = contention::held(&self.targets, &self.count.keys())?;
        if held::add(&self.targets, look.held)? {
            pace::change(Pace::after_held_rows);
            return Ok(Outcome::TryAgain);
        }
        let is_busy = !look.busy.is_empty();
        if (is_busy || failure.is_deadlock()) && pace::change(Pace::may_give_way_again) {
            return Ok(Outcome::TryAgain);
        }
        // Records that need none of the busy rows must not wait any longer.
        if is_busy && held::add(&self.targets, look.busy)? {
            pace::change(Pace::after_held_rows);
            pace::change(Pace::stop_giving_way);
            return Ok(Outcome::TryAgain);
        }
        if pace::change(|pace| pace.after_lock(bounds(), self.rows_read, self.only_row.is_some())) {
            return Ok(Outcome::TryAgain);
        }
        pace::change(Pace::widen);
        let Some(row) = &self.only_row else { return Err(Error::Failed(failure)) };
        let keys = verdict::keys_held_from(&self.targets, row)?;
        match held::add(&self.targets, keys)? {
            true => Ok(Outcome::TryAgain),
            // No row explains this lock.
            false => Err(Error::Failed(failure)),
        }
    }

    fn judge(self, failure: Failure) -> Result<Outcome> {
        let Some(row) = &self.only_row else { return Err(Error::Failed(failure)) };
        let tally = verdict::judge(&self.targets, row, failure)?;
        Spi::connect_mut(|client| self.source.consume(client, std::slice::from_ref(row), &[]))?;
        pace::change(Pace::after_verdict);
        Ok(Outcome::Counted(self.consumed, tally))
    }
}

impl Source<'_> {
    fn read(&self, client: &mut SpiClient, after: Option<Position>, rows: usize) -> Result<Batch> {
        match self {
            Source::Staging(cursor) => batch::read(client, &cursor.spans_after(after), rows),
            Source::Postponed(position) => postponed::read(client, after.unwrap_or(*position), rows),
        }
    }

    /// Settles what happens to rows, except that the cursor passes them. The rows at the indexes `left_out` are not
    /// counted.
    fn consume(&self, client: &mut SpiClient, rows: &[Row], left_out: &[usize]) -> Result<()> {
        match self {
            Source::Staging(_) => {
                let kept: Vec<&Row> = left_out.iter().map(|at| &rows[*at]).collect();
                if postponed::keep(client, &kept, rows.len())? { Ok(()) } else { Err(held::refusal()) }
            }
            Source::Postponed(_) => {
                let mut left_out = left_out.iter().copied().peekable();
                let is_counted = |(at, _): &(usize, &Row)| left_out.next_if_eq(at).is_none();
                let counted: Vec<&Row> = rows.iter().enumerate().filter(is_counted).map(|(_, row)| row).collect();
                postponed::drop_rows(client, &counted)
            }
        }
    }
}
