//! The fold: one transaction that counts a batch of staged rows in every target and marks them consumed
//! (invariants 1 and 2). Reads top to bottom as the data flows: cursor, batch, log rows and duplicates,
//! sums, targets, cursor.

use litellm_spend_core::aggregate::Totals;
use litellm_spend_core::daily::DailyKind;
use litellm_spend_core::dedupe::Groups;
use litellm_spend_core::error::RecordError;
use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb as jsonb_format;
use litellm_spend_core::record::SpendRecord;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::error::{Error, Result};
use crate::{record, session, settings};

mod batch;
mod budget;
mod cursor;
mod daily;
mod entities;
mod guard;
mod identity;
mod ledger;
mod log;
mod members;
mod memory;
mod null_keys;
mod owner;
pub mod pending;
mod relation;
mod rollups;
mod rotation;
mod targets;
mod tool_index;
mod upsert;
mod windows;

use targets::{Role, Targets};

pub use guard::installed_and_unlocked;
pub use rotation::{needs_rotation, next_truncation, prepared_transactions_hold_rows, rotate};

/// What one batch did.
#[derive(Debug, Default, Clone, Copy)]
pub struct Folded {
    /// Staged rows consumed.
    pub rows: usize,
    /// Whether more committed rows wait in the window.
    pub more: bool,
}

/// Counts of a batch, added to the cursor's totals.
#[derive(Debug, Default)]
struct Tally {
    folded: usize,
    duplicates: usize,
    reused_ids: usize,
    rejected: usize,
}

/// Folds every row that is committed now, in the caller's session; returns how many staged rows it
/// consumed. Works without the preload line and beside a running worker.
#[pg_extern(volatile, parallel_unsafe, security_definer, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
fn fold() -> std::result::Result<i64, ErrorReport> {
    guard::refuse_in_a_transaction()?;
    let rows = session::pinned(|| -> Result<usize> {
        guard::lock_own_tables()?;
        // A window that was open before ends at a snapshot older than this call.
        let mut window_is_old = Spi::connect_mut(cursor::has_open_window)?;
        let mut rows = 0;
        loop {
            let folded = fold_batch()?;
            rows += folded.rows;
            if !folded.more && !std::mem::take(&mut window_is_old) {
                rotate()?;
                return Ok(rows);
            }
        }
    })?;
    Ok(i64::try_from(rows).unwrap_or(i64::MAX))
}

/// Folds one batch in the running transaction, which must be READ COMMITTED, under `session::pinned`.
pub fn fold_batch() -> Result<Folded> {
    Spi::connect_mut(|client| {
        let mut cursor = cursor::Cursor::lock(client)?;
        let window = cursor.open_window(client)?;
        let batch = batch::read(client, &window)?;
        if batch.rows.is_empty() {
            cursor.close_window(client)?;
            return Ok(Folded::default());
        }
        let tally = count(client, &batch)?;
        let folded = Folded { rows: batch.rows.len(), more: !batch.is_last };
        rotation::note_read(client, &batch)?;
        cursor.advance(client, &batch, &tally)?;
        Ok(folded)
    })
}

/// Decodes, deduplicates, sums and writes a batch.
fn count(client: &mut SpiClient, batch: &batch::Batch) -> Result<Tally> {
    let mut tally = Tally::default();
    let documents: Vec<Option<Json>> =
        batch.rows.iter().map(|row| jsonb_format::read(row.payload.bytes()).ok()).collect();
    let mut records = Vec::with_capacity(documents.len());
    for (document, row) in documents.iter().zip(&batch.rows) {
        match document.as_ref().ok_or(RecordError::Damaged).and_then(SpendRecord::decode) {
            Ok(record) => records.push(record),
            Err(error) => {
                tally.rejected += 1;
                record::reject(&Error::Record { error, index: None }, Some(&row.payload))?;
            }
        }
    }

    let targets = Targets::lock(client)?;
    identity::resolve(client, &targets, &mut records)?;
    let admitted = memory::admit(client, &targets, Groups::new(records))?;
    tally.duplicates = admitted.duplicates;
    tally.reused_ids = admitted.reused_ids;
    tally.folded = admitted.counted.len();

    let mut totals = Totals::default();
    for record in &admitted.counted {
        totals.add(record, |kind| targets.daily_shape(kind));
    }
    write(client, &targets, &admitted.counted, &totals)?;
    Ok(tally)
}

/// Adds a batch to every target but the log, in LiteLLM's order of tables (invariant 8).
fn write(client: &mut SpiClient, targets: &Targets, counted: &[SpendRecord], totals: &Totals) -> Result<()> {
    let windows = windows::read(client, targets, counted, &totals.window_holders)?;
    entities::write_all(client, targets, &totals.entities)?;
    for kind in DailyKind::ALL {
        if let Some(target) = targets.get(Role::Daily(kind)) {
            daily::write(client, kind, target, totals.daily(kind))?;
        }
    }
    windows::write(client, targets, &windows)?;
    if settings::write_spend_logs() {
        if let Some(target) = targets.get(Role::ToolIndex) {
            tool_index::write(client, target, counted)?;
        }
        if let Some(target) = targets.get(Role::ToolSpend) {
            rollups::write_tool_spend(client, target, &totals.tool_spend)?;
        }
    }
    if let Some(target) = targets.get(Role::ModelUsage) {
        rollups::write_model_usage(client, target, &totals.model_usage)?;
    }
    if let Some(target) = targets.get(Role::RequestErrors) {
        rollups::write_request_errors(client, target, &totals.request_errors)?;
    }
    Ok(())
}
