//! Counts records: decodes them, drops duplicates, sums and writes every target. Reads top to bottom as
//! the data flows.

use litellm_spend_core::aggregate::Totals;
use litellm_spend_core::daily::DailyKind;
use litellm_spend_core::dedupe::Groups;
use litellm_spend_core::error::RecordError;
use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb as jsonb_format;
use litellm_spend_core::record::SpendRecord;
use pgrx::spi::SpiClient;

use super::batch::Row;
use super::targets::{Role, Targets};
use super::{Tally, counted_days, daily, entities, identity, memory, rollups, tool_index, windows};
use crate::error::{Error, Result};
use crate::{failpoint, record, settings};

/// Counts staged rows; one that holds no record is rejected.
pub fn rows(client: &mut SpiClient, rows: &[Row]) -> Result<Tally> {
    let mut rejected = 0;
    let documents: Vec<Option<Json>> = rows.iter().map(document).collect();
    let mut decoded = Vec::with_capacity(documents.len());
    for (document, row) in documents.iter().zip(rows) {
        match document.as_ref().ok_or(RecordError::Damaged).and_then(SpendRecord::decode) {
            Ok(record) => decoded.push(record),
            Err(error) => {
                rejected += 1;
                record::reject(&Error::Record { error, index: None }, Some(&row.payload))?;
            }
        }
    }
    let targets = Targets::lock(client)?;
    identity::resolve(client, &targets, &mut decoded)?;
    Ok(Tally { rejected, ..records(client, &targets, decoded)? })
}

/// The document of a staged row, unless it is damaged.
pub fn document(row: &Row) -> Option<Json<'_>> {
    jsonb_format::read(row.payload.bytes()).ok()
}

/// Counts records whose identity is resolved.
pub fn records(client: &mut SpiClient, targets: &Targets, records: Vec<SpendRecord>) -> Result<Tally> {
    let admitted = memory::admit(client, targets, Groups::new(records))?;
    failpoint::reach("after_log_insert");
    write(client, targets, &admitted.counted, &totals(targets, &admitted.counted))?;
    counted_days::add(client, &admitted.counted)?;
    Ok(Tally {
        folded: admitted.counted.len(),
        duplicates: admitted.duplicates,
        reused_ids: admitted.reused_ids,
        rejected: 0,
    })
}

/// What records add up to in each target.
pub fn totals<'a>(targets: &Targets, records: &[SpendRecord<'a>]) -> Totals<'a> {
    let mut totals = Totals::default();
    for record in records {
        totals.add(record, |kind| targets.daily_shape(kind));
    }
    totals
}

/// Adds records to every target but the log, in LiteLLM's order of tables (invariant 8).
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
