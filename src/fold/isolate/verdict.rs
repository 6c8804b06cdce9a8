//! One poison record costs one record, and a broken environment costs none (invariant 7). A row that fails by itself is
//! rejected only if a record that is known to be good can take the same path (`rehearsal`). Otherwise the whole fold
//! fails and is retried, and nothing is rejected.

use std::rc::Rc;

use litellm_spend_core::dedupe::Groups;
use litellm_spend_core::fault::Fault;
use litellm_spend_core::litellm::tables::Role;
use litellm_spend_core::record::SpendRecord;
use pgrx::prelude::*;

use super::contention::WAIT_FOR_ONE;
use super::{held, rehearsal};
use crate::error::{Error, Result};
use crate::fold::admit::dedupe;
use crate::fold::count::{self, Count};
use crate::fold::row_key::Key;
use crate::postgres::failure::Failure;
use crate::postgres::{pinned_settings, subtransaction};
use crate::record;
use crate::staging::batch::{self, Row};
use crate::staging::cursor::Tally;
use crate::targets::Targets;

/// Rejects a row that fails by itself, or counts it after all. Fails if nothing shows that the row is bad.
pub fn judge(targets: &Rc<Targets>, row: &Row, failure: Failure) -> Result<Tally> {
    let is_bad = Spi::connect_mut(|client| {
        let neighbours = batch::neighbours(client, row.position)?;
        rehearsal::good_records_pass(client, targets, row, &failure, &neighbours)
    })?;
    if !is_bad && failure.is_missing_partition() {
        return Err(Error::Failed(failure));
    }
    if !is_bad {
        let hint = "Fix the constraint or trigger that refuses the record, because a record that is known to be good fails \
                    too. Nothing is rejected or lost meanwhile.";
        return Err(Error::Failed(failure.with_hint(hint)));
    }
    // The row is tried once more, because what refused it may have been repaired between its failure and the rehearsal.
    match subtransaction::attempt(|| count_alone(targets, row)) {
        Ok(tally) => Ok(tally),
        Err(failure) if failure.fault() != Fault::Undecided => Err(Error::Failed(failure.advised())),
        Err(failure) => {
            record::reject(&Error::Failed(failure), Some(&row.payload))?;
            Ok(Tally { rejected: 1, ..Tally::default() })
        }
    }
}

fn count_alone(targets: &Rc<Targets>, row: &Row) -> Result<Tally> {
    let mut count = Count::of(targets.clone());
    Spi::connect_mut(|client| {
        let (tally, left_out) = count.add_rows(client, std::slice::from_ref(row))?;
        if !left_out.is_empty() {
            return Err(held::refusal());
        }
        count.write(client)?;
        Ok(tally)
    })
}

/// The first row that needs nothing which is known to be held, among the first hundred of these rows.
pub fn first_free<'r>(targets: &Targets, rows: &'r [Row]) -> Result<Option<&'r Row>> {
    const LOOKED_AT: usize = 100;
    Spi::connect_mut(|client| {
        for row in rows.iter().take(LOOKED_AT) {
            let Some(document) = count::document(row) else { continue };
            let Some(record) = rehearsal::decoded(client, targets, &document)? else { continue };
            if held::needed_by(client, targets, &[record])? == [false] {
                return Ok(Some(row));
            }
        }
        Ok(None)
    })
}

/// The rows that one record needs and other sessions hold, if no existing row is held. They are rows that another
/// session is creating, and the record's own log row.
pub fn keys_held_from(targets: &Rc<Targets>, row: &Row) -> Result<Vec<Key>> {
    let mut count = Count::of(targets.clone());
    Spi::connect_mut(|client| count.sum_up(client, std::slice::from_ref(row)))?;
    let held = count.keys_held_by_creation()?;
    if !held.is_empty() {
        return Ok(held);
    }
    let Some(document) = count::document(row) else { return Ok(Vec::new()) };
    let Ok(record) = SpendRecord::decode(&document) else { return Ok(Vec::new()) };
    let id = record.request_id.clone().into_owned();
    // Another id with the same start goes to the same partition. If that waits too, the table is held and not the row.
    let other = rehearsal::under_another_id(&record);
    if waits_for_log(targets, record)? && !waits_for_log(targets, other)? {
        return Ok(vec![Key { role: Role::Log, parts: vec![id] }]);
    }
    Ok(Vec::new())
}

fn waits_for_log(targets: &Targets, record: SpendRecord) -> Result<bool> {
    let logged = subtransaction::rehearse(|| {
        pinned_settings::waiting_at_most(WAIT_FOR_ONE, || {
            Spi::connect_mut(|client| dedupe::admit(client, targets, Groups::new(vec![record])).map(|_| ()))
        })
    });
    match logged {
        Ok(()) => Ok(false),
        Err(failure) if failure.fault() == Fault::Lock => Ok(true),
        Err(failure) => Err(Error::Failed(failure)),
    }
}
