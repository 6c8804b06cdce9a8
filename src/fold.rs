//! The fold: one transaction that counts staged rows in every target and marks them consumed (invariants 1
//! and 2). Cursor, how much to count (`batches`), reading (`batch`), counting (`count`), cursor. What becomes of a
//! record that fails is decided in `isolation`, of one that needs what another session holds in `held`.

use std::time::Duration;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::Result;
use crate::postgres::{deadlock_watch, own_tables, pinned_settings, plans, subtransaction};
use crate::staging::{cursor, postponed, rotation};
use crate::{settings, targets};
use batches::{Outcome, Source};
use isolate::{fuse, held};
use write::budget_windows;

pub mod admit;
mod batches;
pub mod count;
pub mod isolate;
mod pace;
mod preconditions;
mod row_waits;
pub mod version;
pub mod write;

pub use crate::staging::rotation::{
    keep_staging, next_truncation, prepared_transactions_hold_rows, warn as warn_of_staging,
};
pub use pace::Patience;

/// What one fold did.
#[derive(Debug, Default, Clone, Copy)]
pub struct Folded {
    /// Staged rows consumed.
    pub rows: usize,
    /// Whether more committed rows wait in the window.
    pub more: bool,
}

/// Counts of a fold, added to the cursor's totals.
#[derive(Debug, Default)]
pub struct Tally {
    pub folded: usize,
    pub duplicates: usize,
    pub reused_ids: usize,
    pub rejected: usize,
    pub names_not_counted: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.folded += other.folded;
        self.duplicates += other.duplicates;
        self.reused_ids += other.reused_ids;
        self.rejected += other.rejected;
        self.names_not_counted += other.names_not_counted;
    }
}

/// Folds what is committed now, in the caller's session, up to a bound; returns how many staged rows it consumed,
/// 0 if nothing is left but rows that need what other sessions hold. Works without the preload line and beside a
/// running worker.
#[pg_extern(volatile, parallel_unsafe, security_definer, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
fn fold() -> std::result::Result<i64, ErrorReport> {
    preconditions::refuse_in_a_transaction()?;
    let rows = pinned_settings::pinned(|| -> Result<usize> {
        own_tables::lock_patiently()?;
        version::check()?;
        // A window that was open before ends at a snapshot older than this call.
        let mut window_is_old = Spi::connect_mut(cursor::has_open_window)?;
        postponed::begin_pass();
        held::make_due();
        let mut rows = 0;
        while !(rows > 0 && is_enough(rows)) {
            let folded = match retry_postponed(postponed::exists()?, Patience::Long)? {
                Some(folded) => folded,
                None => fold_once(Patience::Long)?,
            };
            rows += folded.rows;
            if !folded.more && !std::mem::take(&mut window_is_old) {
                break;
            }
        }
        rotation::rotate_or_warn();
        Ok(rows)
    })?;
    Ok(i64::try_from(rows).unwrap_or(i64::MAX))
}

/// Whether one call of `fold()` has done enough: its transaction locks each row that it has changed, and many
/// subtransactions slow every session of the server down.
fn is_enough(rows: usize) -> bool {
    const MOST_SUBTRANSACTIONS: usize = 8;
    rows >= settings::fold_rows() || subtransaction::begun() >= MOST_SUBTRANSACTIONS
}

/// Folds in the running transaction, which must be READ COMMITTED, under `session::pinned`.
pub fn fold_once(patience: Patience) -> Result<Folded> {
    version::check()?;
    let mut cursor = Spi::connect_mut(cursor::Cursor::lock)?;
    Spi::connect_mut(|client| cursor.open_window(client))?;
    let _watch = deadlock_watch::watch();
    let (consumed, tally) = match batches::count(&Source::Staging(&cursor), patience)? {
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

/// Postponed records of which the first ones are tried to see whether what they need is still held.
const LOOKED_AT: usize = 100;

/// Looks again at rows that other sessions hold, and counts the records that were postponed for them, one batch;
/// `None` if it is not time. `exists` tells whether any is postponed.
pub fn retry_postponed(exists: bool, patience: Patience) -> Result<Option<Folded>> {
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
            // A row that another session is creating cannot be seen: the first records tell whether it still is.
            postponed::learn_what_is_held(postponed::BEGINNING, LOOKED_AT)?;
        }
        if !before.is_subset(&held::keys()) {
            batches::widen();
            postponed::begin_pass();
        }
    }
    let Some(after) = postponed::pass().filter(|_| exists) else { return Ok(None) };
    let cursor = Spi::connect_mut(cursor::Cursor::lock)?;
    postponed::learn_what_is_held(after, batches::limit().min(settings::batch_rows()))?;
    match batches::count(&Source::Postponed(after), patience)? {
        Outcome::TryAgain => Ok(Some(Folded { rows: 0, more: true })),
        Outcome::Counted(consumed, tally) => {
            let counted = consumed.rows - consumed.left_out;
            if counted > 0 {
                Spi::connect_mut(|client| cursor.add_up(client, &tally))?;
            }
            postponed::go_on(consumed.position.filter(|_| !consumed.is_last), counted > 0);
            Ok(Some(Folded { rows: counted, more: true }))
        }
    }
}

/// How long until what was postponed is looked at again; `None` if nothing is.
pub fn next_retry() -> Result<Option<Duration>> {
    if !postponed::exists()? {
        return Ok(None);
    }
    Ok(Some(postponed::next_pass().min(held::next_look().unwrap_or(Duration::MAX))))
}
