//! One pass of the fold: it locks the cursor, counts one or more batches and advances the cursor. Separate passes count
//! postponed records.

use std::time::Duration;

use litellm_spend_core::pace::{FoldedBy, Pace};
use pgrx::prelude::*;

use super::batches::{self, Outcome, Source};
use super::isolate::{fuse, held, postponed_walk};
use super::write::budget_windows;
use super::{pace, version};
use crate::error::Result;
use crate::postgres::deadlock_watch;
use crate::staging::{cursor, postponed, rotation};
use crate::{settings, targets};

/// What one fold did.
#[derive(Debug, Default, Clone, Copy)]
pub struct Folded {
    /// Staged rows consumed.
    pub rows: usize,
    /// Whether more committed rows wait in the window.
    pub more: bool,
}

/// Folds in the running transaction, which must be READ COMMITTED, under `pinned_settings::pinned`.
pub fn fold_once(by: FoldedBy) -> Result<Folded> {
    version::check()?;
    let mut cursor = Spi::connect_mut(cursor::Cursor::lock)?;
    Spi::connect_mut(|client| cursor.open_window(client))?;
    let _watch = deadlock_watch::watch();
    let (consumed, tally) = match batches::run(&Source::Staging(&cursor), by)? {
        Outcome::Counted(consumed, tally) => (consumed, tally),
        Outcome::TryAgain => return Ok(Folded { rows: 0, more: true }),
    };
    Spi::connect_mut(|client| {
        if consumed.rows == 0 {
            cursor.close_window(client)?;
            return Ok(Folded::default());
        }
        rotation::note_read(client, &consumed)?;
        cursor.advance(client, &consumed, &tally)?;
        Ok(Folded { rows: consumed.rows, more: !consumed.is_last })
    })
}

/// The number of postponed records, from the first one on, that are read to see whether what they need is still held.
const LOOKED_AT: usize = 100;

/// Looks again at rows that other sessions hold, and counts one batch of the records that were postponed for them.
/// Returns `None` if it is not time yet. `exists` tells whether any record is postponed.
pub fn retry_postponed(exists: bool, by: FoldedBy) -> Result<Option<Folded>> {
    if !exists && !held::any() {
        return Ok(None);
    }
    version::check()?;
    let _watch = deadlock_watch::watch();
    if budget_windows::log_sums_are_lacking() {
        Spi::connect_mut(cursor::Cursor::lock)?;
        let held_deliveries = budget_windows::read_log_sums()?;
        let targets = Spi::connect_mut(targets::Targets::lock)?;
        held::add(&targets, held_deliveries)?;
    }
    if held::is_due() && !fuse::is_careful() {
        let targets = Spi::connect_mut(targets::Targets::lock)?;
        let before = held::keys();
        if held::look_again(&targets)? && exists {
            // A row that another session is creating cannot be seen. The first records tell whether it is still being
            // created.
            postponed_walk::learn_what_is_held(postponed_walk::BEGINNING, LOOKED_AT)?;
        }
        if !before.is_subset(&held::keys()) {
            pace::change(Pace::widen);
            postponed_walk::begin();
        }
    }
    let Some(after) = postponed_walk::next().filter(|_| exists) else { return Ok(None) };
    let cursor = Spi::connect_mut(cursor::Cursor::lock)?;
    postponed_walk::learn_what_is_held(after, pace::now().limit().min(settings::batch_rows()))?;
    match batches::run(&Source::Postponed(after), by)? {
        Outcome::TryAgain => Ok(Some(Folded { rows: 0, more: true })),
        Outcome::Counted(consumed, tally) => {
            let counted = consumed.rows - consumed.left_out;
            if counted > 0 {
                Spi::connect_mut(|client| cursor.add_up(client, &tally))?;
            }
            postponed_walk::go_on(consumed.position.filter(|_| !consumed.is_last), counted > 0);
            Ok(Some(Folded { rows: counted, more: true }))
        }
    }
}

/// How long until the postponed records are looked at again; `None` if no record is postponed.
pub fn next_retry() -> Result<Option<Duration>> {
    if !postponed::exists()? {
        return Ok(None);
    }
    Ok(Some(postponed_walk::pause().min(held::next_look().unwrap_or(Duration::MAX))))
}
