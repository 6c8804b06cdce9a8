//! The fold: one transaction that counts staged rows in every target and marks them consumed (invariants 1
//! and 2). Cursor, how much to count (`batches`), reading (`batch`), counting (`count`, in parts where a record
//! fails: `isolation`), cursor.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::Result;
use crate::{extension, plans, session};

pub mod adoption;
mod batch;
mod batches;
mod budget;
mod count;
mod counted_days;
mod cursor;
mod daily;
mod entities;
mod guard;
mod identity;
mod isolation;
mod ledger;
mod log;
mod members;
mod memory;
mod null_keys;
mod owner;
mod patience;
pub mod pending;
mod probe;
mod relation;
mod rollups;
mod rotation;
mod rows;
mod targets;
mod tool_index;
mod upsert;
mod verify;
pub mod version;
mod windows;

pub use patience::Patience;
pub use rotation::{needs_rotation, next_truncation, prepared_transactions_hold_rows, rotate};

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
struct Tally {
    folded: usize,
    duplicates: usize,
    reused_ids: usize,
    rejected: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.folded += other.folded;
        self.duplicates += other.duplicates;
        self.reused_ids += other.reused_ids;
        self.rejected += other.rejected;
    }
}

/// Folds every row that is committed now, in the caller's session; returns how many staged rows it
/// consumed. Works without the preload line and beside a running worker.
#[pg_extern(volatile, parallel_unsafe, security_definer, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
fn fold() -> std::result::Result<i64, ErrorReport> {
    guard::refuse_in_a_transaction()?;
    let rows = session::pinned(|| -> Result<usize> {
        extension::lock_patiently()?;
        version::check()?;
        // A window that was open before ends at a snapshot older than this call.
        let mut window_is_old = Spi::connect_mut(cursor::has_open_window)?;
        let mut rows = 0;
        loop {
            let folded = fold_once(Patience::Long)?;
            rows += folded.rows;
            if !folded.more && !std::mem::take(&mut window_is_old) {
                rotate()?;
                return Ok(rows);
            }
        }
    })?;
    Ok(i64::try_from(rows).unwrap_or(i64::MAX))
}

/// Folds in the running transaction, which must be READ COMMITTED, under `session::pinned`.
pub fn fold_once(patience: Patience) -> Result<Folded> {
    version::check()?;
    Spi::connect_mut(|client| {
        let mut cursor = cursor::Cursor::lock(client)?;
        cursor.open_window(client)?;
        let (consumed, tally) = batches::count(&cursor, patience)?;
        if consumed.rows == 0 {
            cursor.close_window(client)?;
            return Ok(Folded::default());
        }
        rotation::note_read(client, &consumed)?;
        cursor.advance(client, &consumed, &tally)?;
        Ok(Folded { rows: consumed.rows, more: !consumed.is_last })
    })
}
