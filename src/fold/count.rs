//! Counts records: decodes them, drops duplicates, logs and sums them up, and writes the sums to every other
//! target. Reads top to bottom as the data flows.

use std::rc::Rc;

use litellm_spend_core::aggregate::Totals;
use litellm_spend_core::daily::DailyKind;
use litellm_spend_core::dedupe::Groups;
use litellm_spend_core::error::RecordError;
use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb as jsonb_format;
use litellm_spend_core::record::SpendRecord;
use pgrx::spi::SpiClient;

use super::batch::Row;
use super::counted_days::CountedDays;
use super::targets::{Role, Targets};
use super::windows::Windows;
use super::{Tally, daily, entities, identity, memory, rollups, tool_index};
use crate::error::{Error, Result};
use crate::{failpoint, record, settings};

/// Counts staged rows from beginning to end.
pub fn rows(client: &mut SpiClient, rows: &[Row]) -> Result<Tally> {
    let mut count = Count::begin(client)?;
    let tally = count.add_rows(client, rows)?;
    count.write(client)?;
    Ok(tally)
}

/// The document of a staged row, unless it is damaged.
pub fn document(row: &Row) -> Option<Json<'_>> {
    jsonb_format::read(row.payload.bytes()).ok()
}

/// Records that are counted, of one batch or of several. They are logged and remembered; what they add up to
/// is written at the end, once, so that no row is locked before.
pub struct Count {
    targets: Rc<Targets>,
    totals: Totals,
    windows: Windows,
    days: CountedDays,
}

impl Count {
    /// Locks the targets' shapes.
    pub fn begin(client: &mut SpiClient) -> Result<Self> {
        Ok(Self::of(Targets::lock(client)?))
    }

    pub fn of(targets: Rc<Targets>) -> Self {
        let totals = Totals::new(|kind| targets.daily_shape(kind));
        Count { targets, totals, windows: Windows::default(), days: CountedDays::default() }
    }

    /// Counts staged rows; one that holds no record is rejected.
    pub fn add_rows(&mut self, client: &mut SpiClient, rows: &[Row]) -> Result<Tally> {
        let mut rejected = 0;
        let mut decoded = Vec::with_capacity(rows.len());
        for row in rows {
            match document(row).as_ref().ok_or(RecordError::Damaged).and_then(SpendRecord::decode) {
                Ok(record) => decoded.push(record),
                Err(error) => {
                    rejected += 1;
                    record::reject(&Error::Record { error, index: None }, Some(&row.payload))?;
                }
            }
        }
        identity::resolve(client, &self.targets, &mut decoded)?;
        Ok(Tally { rejected, ..self.add(client, decoded)? })
    }

    /// Counts records whose identity is resolved.
    pub fn add(&mut self, client: &mut SpiClient, records: Vec<SpendRecord>) -> Result<Tally> {
        let admitted = memory::admit(client, &self.targets, Groups::new(records))?;
        failpoint::reach("after_log_insert");
        let counted = admitted.counted.as_slice();
        if settings::write_spend_logs()
            && let Some(target) = self.targets.get(Role::ToolIndex)
        {
            tool_index::write(client, target, counted)?;
        }
        self.windows.read(client, &self.targets, counted)?;
        for record in counted {
            self.totals.add(record);
            self.days.add(record);
        }
        Ok(Tally {
            folded: counted.len(),
            duplicates: admitted.duplicates,
            reused_ids: admitted.reused_ids,
            rejected: 0,
        })
    }

    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Writes what is counted to every target but the log, in LiteLLM's order of tables (invariant 8).
    pub fn write(&self, client: &mut SpiClient) -> Result<()> {
        let (targets, totals) = (&self.targets, &self.totals);
        entities::write_all(client, targets, totals)?;
        for kind in DailyKind::ALL {
            if let Some(target) = targets.get(Role::Daily(kind)) {
                daily::write(client, kind, target, &totals.daily(kind))?;
            }
        }
        self.windows.write(client, targets, totals)?;
        if settings::write_spend_logs()
            && let Some(target) = targets.get(Role::ToolSpend)
        {
            rollups::write_tool_spend(client, target, &totals.tool_spend())?;
        }
        if let Some(target) = targets.get(Role::ModelUsage) {
            rollups::write_model_usage(client, target, &totals.model_usage())?;
        }
        if let Some(target) = targets.get(Role::RequestErrors) {
            rollups::write_request_errors(client, target, &totals.request_errors())?;
        }
        self.days.write(client)
    }
}
