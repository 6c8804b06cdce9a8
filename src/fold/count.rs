//! Counts records: decodes them, drops duplicates, logs and sums them up, and writes the sums to every other target.
//! The functions stand in the order in which the data flows.

use std::rc::Rc;

use litellm_spend_core::dedupe::Groups;
use litellm_spend_core::error::RecordError;
use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb as jsonb_format;
use litellm_spend_core::litellm::tables::{EntityKind, Role};
use litellm_spend_core::record::SpendRecord;
use litellm_spend_core::totals::Totals;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::admit::{dedupe, identity};
use super::isolate::{contention, held};
use super::row_key::Key;
use super::row_waits::RowWaits;
use super::write::budget_windows::{self, Windows};
use super::write::counted_days::CountedDays;
use super::write::{entities, members, tool_index, upsert};
use crate::error::{Error, Result};
use crate::staging::batch::Row;
use crate::staging::cursor::Tally;
use crate::targets::{Targets, is_switched_off};
use crate::{failpoint, record};

/// The document of a staged row; `None` if the row is damaged.
pub fn document(row: &Row) -> Option<Json<'_>> {
    jsonb_format::read(row.payload.bytes()).ok()
}

/// Records that are counted, from one batch or from several. They are logged and remembered batch by batch. Their sums
/// are written once, at the end, so that no row is locked before.
pub struct Count {
    targets: Rc<Targets>,
    totals: Totals,
    windows: Windows,
    days: CountedDays,
}

impl Count {
    pub fn of(targets: Rc<Targets>) -> Self {
        let totals = Totals::new(|kind| targets.daily_shape(kind));
        Count { targets, totals, windows: Windows::default(), days: CountedDays::default() }
    }

    /// Counts staged rows. A row that holds no record is rejected. A row that needs what another session holds is left
    /// out. Also returns the indexes of the rows that are left out.
    pub fn add_rows(&mut self, client: &mut SpiClient, rows: &[Row]) -> Result<(Tally, Vec<usize>)> {
        let mut rejected = 0;
        let (mut decoded, mut places) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for (at, row) in rows.iter().enumerate() {
            match document(row).as_ref().ok_or(RecordError::Damaged).and_then(SpendRecord::decode) {
                Ok(record) => {
                    decoded.push(record);
                    places.push(at);
                }
                Err(error) => {
                    rejected += 1;
                    // A damaged payload would be damaged in the table of rejected records too, so it is not kept.
                    let kept = (error != RecordError::Damaged).then_some(&row.payload);
                    record::reject(&Error::Record { error, index: None }, kept)?;
                }
            }
        }
        identity::resolve(client, &self.targets, &mut decoded)?;
        let needs_held = held::needed_by(client, &self.targets, &decoded)?;
        let left_out = places.into_iter().zip(&needs_held).filter(|(_, left)| **left).map(|(at, _)| at).collect();
        let mut needs_held = needs_held.into_iter();
        decoded.retain(|_| needs_held.next() == Some(false));
        Ok((Tally { rejected, ..self.add(client, decoded)? }, left_out))
    }

    /// Adds rows up in the same way as `add_rows`, but writes nothing.
    pub fn sum_up(&mut self, client: &mut SpiClient, rows: &[Row]) -> Result<()> {
        let documents: Vec<_> = rows.iter().filter_map(document).collect();
        let mut decoded: Vec<_> = documents.iter().filter_map(|json| SpendRecord::decode(json).ok()).collect();
        identity::resolve(client, &self.targets, &mut decoded)?;
        self.windows.read_keys(client, &self.targets, &decoded)?;
        decoded.iter().for_each(|record| self.totals.add(record));
        Ok(())
    }

    /// Counts records whose identity is resolved.
    pub fn add(&mut self, client: &mut SpiClient, records: Vec<SpendRecord>) -> Result<Tally> {
        let admitted = dedupe::admit(client, &self.targets, Groups::new(records))?;
        failpoint::reach("after_log_insert");
        let counted = admitted.counted.as_slice();
        if !is_switched_off(Role::ToolIndex)
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
            names_not_counted: counted.iter().map(|record| record.identity.names_not_counted).sum(),
        })
    }

    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The rows of targets that `write` changes, as far as they are known.
    pub fn keys(&self) -> Vec<Key> {
        contention::keys(&self.targets, &self.totals, &self.windows)
    }

    /// The rows of targets that `write` cannot create or change because of other sessions, where `contention::held`
    /// finds no held row.
    pub fn keys_held_by_creation(&self) -> Result<Vec<Key>> {
        contention::held_by_creation(&self.targets, &self.totals, &self.windows, |role| {
            Spi::connect_mut(|client| self.write_target(client, role))
        })
    }

    /// Writes what is counted to every target except the log, in LiteLLM's order of tables (invariant 8).
    pub fn write(&self, client: &mut SpiClient) -> Result<()> {
        budget_windows::require_log_sums()?;
        let mut waits = RowWaits::begin();
        let members = self.totals.entities(EntityKind::TeamMember);
        let new_members = waits.within(client, |client| members::lock_rosters(client, &self.targets, &members))?;
        for role in self.targets.order().targets() {
            waits.within(client, |client| match role {
                Role::Entity(EntityKind::TeamMember) => members::write(client, &self.targets, &members, &new_members),
                role => self.write_target(client, role),
            })?;
        }
        self.days.write(client)
    }

    fn write_target(&self, client: &mut SpiClient, role: Role) -> Result<()> {
        let (targets, totals) = (&*self.targets, &self.totals);
        let Some(target) = targets.get(role) else { return Ok(()) };
        match role {
            Role::Entity(EntityKind::TeamMember) => {
                let members = totals.entities(EntityKind::TeamMember);
                let new_members = members::lock_rosters(client, targets, &members)?;
                members::write(client, targets, &members, &new_members)
            }
            Role::Entity(kind) => entities::write(client, targets, kind, target, &totals.entities(kind)),
            Role::Rollup(_) if is_switched_off(role) => Ok(()),
            Role::Daily(_) | Role::Rollup(_) => upsert::write(client, target, totals.columns(role)),
            Role::WindowSpend => self.windows.write(client, targets, totals),
            Role::Log | Role::ToolIndex | Role::Budget | Role::DeprecatedKeys | Role::Deliveries => Ok(()),
        }
    }
}
