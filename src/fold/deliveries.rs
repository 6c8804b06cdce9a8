//! `LiteLLM_SpendLogDelivery`, the ledger of LiteLLM's proxy since 1.110. The proxy writes a log row together with a
//! pending delivery; its projector charges all other tables later, in one transaction with `state = 'applied'`. Until
//! then the row is logged and not charged. Applied deliveries are deleted after a day, and other writers make none, so
//! a log row without a delivery is charged.
//!
//! Who adds the log up leaves out what is not charged, in the statement that also reads what the sum is compared with:
//! one snapshot shows a delivery's state and its charges before the projector's commit or after it. Who acts on such a
//! sum locks the deliveries that it leaves out first, so that the sum stays true until the commit. The projector skips
//! locked deliveries and charges them at its next flush.

use std::time::Instant;

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::owner;
use super::targets::{Role, Table, Targets};
use crate::error::{Error, Result};
use crate::{settings, subtransaction};

pub const TABLE: &str = "LiteLLM_SpendLogDelivery";

/// Deliveries that the projector has not applied: it will, unless they are parked, and then when an operator has made
/// them pending again.
const IS_OPEN: &str = "d.state IN ('pending', 'parked')";
const OPEN_STATES: [&str; 2] = ["pending", "parked"];
const TEXTS: [&str; 2] = ["text", "character varying"];

pub const SHAPE_HINT: &str = "Run LiteLLM's migrations, or rename the table if it is not LiteLLM's: it tells which \
    log rows LiteLLM has charged, and without that budget windows cannot be counted right.";
const LOCKED_HINT: &str = "Try again in a moment: LiteLLM's projector is charging requests of this time. If it stays \
    so, look in pg_locks for the session that holds rows of the table.";

/// Why the states of deliveries cannot be read; `None` if they can.
pub fn obstacle(table: &Table) -> Option<String> {
    for name in ["delivery_id", "request_id", "state"] {
        let Some(column) = table.columns.get(name) else {
            return Some(format!("{} has no column {name}", table.name));
        };
        let is_text = TEXTS.contains(&column.type_name.as_str());
        let has_states = OPEN_STATES.iter().all(|state| column.labels.iter().any(|label| label == state));
        let is_readable = is_text || (name == "state" && has_states);
        if !is_readable {
            return Some(format!("{} has a column {name} of another type than LiteLLM's", table.name));
        }
    }
    None
}

/// A condition for the statements that read the log as `l`: that LiteLLM has not charged the row yet. It is LiteLLM's
/// own (budget_window_spend_writer.py): of several requests with one id, all deliveries must be applied.
pub fn not_charged(targets: &Targets, log: &Table) -> Result<String> {
    let Some(deliveries) = targets.get(Role::Deliveries).map(|target| &target.table) else {
        return Ok("false".to_owned());
    };
    owner::must_read(log, deliveries)?;
    Ok(format!("EXISTS (SELECT FROM {} AS d WHERE d.request_id = l.request_id AND {IS_OPEN})", deliveries.name))
}

/// Locks the open deliveries of the log rows `l` for which `condition` holds, until the transaction ends; returns how
/// many. Waits for the projector, if it is charging some of them, for as long as `litellm_spend.lock_timeout`. The
/// caller holds no lock of LiteLLM's meanwhile, because the projector may wait for it.
///
/// # Errors
/// Another session still holds some: none is locked.
pub fn lock(condition: &str, arguments: &[DatumWithOid]) -> Result<usize> {
    let deadline = Instant::now() + settings::lock_timeout();
    loop {
        let ids = subtransaction::rehearse(|| Spi::connect_mut(|client| find(client, condition, arguments)));
        let ids = ids.map_err(Error::Failed)?;
        if ids.is_empty() {
            return Ok(0);
        }
        match subtransaction::attempt(|| Spi::connect_mut(|client| lock_all(client, ids))) {
            Ok(locked) => return Ok(locked),
            Err(failure) if !failure.is_lock() => return Err(Error::Failed(failure.advised())),
            Err(_) if Instant::now() < deadline => {}
            Err(_) => return Err(held_by_another()),
        }
    }
}

/// The deliveries to lock, in their order.
fn find(client: &mut SpiClient, condition: &str, arguments: &[DatumWithOid]) -> Result<Vec<String>> {
    let targets = Targets::lock_to_read(client, |role| matches!(role, Role::Log | Role::Deliveries))?;
    let (Some(log), Some(deliveries)) = (targets.get(Role::Log), targets.get(Role::Deliveries)) else {
        return Ok(Vec::new());
    };
    owner::must_read(&log.table, &deliveries.table)?;
    let query = format!(
        "SELECT pg_catalog.array_agg(DISTINCT d.delivery_id::pg_catalog.text)
         FROM {} AS d JOIN {} AS l USING (request_id) WHERE {IS_OPEN} AND {condition}",
        deliveries.table.name, log.table.name
    );
    owner::act_as(client, log.table.owner, |client| {
        Ok(client.update(&query, Some(1), arguments)?.first().get(1)?.unwrap_or_default())
    })
}

/// First those that are free, so that the projector can take none of them next; then the others one by one.
fn lock_all(client: &mut SpiClient, ids: Vec<String>) -> Result<usize> {
    let targets = Targets::lock_to_read(client, |role| role == Role::Deliveries)?;
    let Some(deliveries) = targets.get(Role::Deliveries).map(|target| &target.table) else { return Ok(0) };
    let query = format!(
        "SELECT FROM {} AS d WHERE d.delivery_id = ANY ($1) AND {IS_OPEN} ORDER BY d.delivery_id FOR SHARE",
        deliveries.name
    );
    owner::act_as(client, deliveries.owner, |client| {
        client.update(&format!("{query} SKIP LOCKED"), None, &[ids.clone().into()])?;
        Ok(client.update(&query, None, &[ids.into()])?.len())
    })
}

fn held_by_another() -> Error {
    let message = format!("another session holds rows of \"{TABLE}\"");
    Error::refused(PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE, message, LOCKED_HINT)
}
