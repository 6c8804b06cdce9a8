//! `LiteLLM_SpendLogDelivery`, the ledger of LiteLLM's proxy since 1.110. The proxy writes a log row together with a
//! pending delivery. Its projector charges all other tables later, in one transaction with `state = 'applied'`. Until
//! then the row is logged and not charged. Applied deliveries are deleted after a day, and other writers create none,
//! so a log row without a delivery is charged.
//!
//! Code that adds the log up leaves out the rows that are not charged. It does so in the statement that also reads the
//! value with which the sum is compared, because one snapshot shows a delivery's state and its charges either before
//! the projector's commit or after it. Code that acts on such a sum first locks the deliveries that the sum leaves out,
//! so that the sum stays true until the commit. The projector skips locked deliveries and charges them at its next
//! flush.

use std::time::Instant;

use litellm_spend_core::litellm::tables::Role;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiTupleTable};

use crate::error::{Error, Result};
use crate::postgres::{owner, subtransaction};
use crate::settings;
use crate::targets::delivery_states::IS_OPEN;
use crate::targets::{Table, Targets};

const LOCKED_HINT: &str = "Try again in a moment: LiteLLM's projector is charging requests of this time. If the \
    error persists, look in pg_locks for the session that holds rows of the table.";

/// A condition for the statements that read the log as `l`: LiteLLM has not charged the row yet. LiteLLM uses the same
/// condition (budget_window_spend_writer.py): of several requests with one id, all deliveries must be applied.
pub fn not_charged(targets: &Targets, log: &Table) -> Result<String> {
    let Some(deliveries) = targets.get(Role::Deliveries).map(|target| &target.table) else {
        return Ok("false".to_owned());
    };
    log.require_owner_reads(deliveries)?;
    Ok(format!("EXISTS (SELECT FROM {} AS d WHERE d.request_id = l.request_id AND {IS_OPEN})", deliveries.name))
}

/// The deliveries that `lock_free` has locked, and the deliveries that other sessions hold.
#[derive(Default)]
pub struct Locked {
    pub count: usize,
    /// Pairs of (name, delivery). Each name of log rows that has open deliveries held by another session is paired with
    /// one of these deliveries.
    pub held: Vec<(String, String)>,
}

/// Locks the open deliveries of the log rows `l` for which `condition` holds, until the transaction ends. If the
/// projector is charging some of them, this waits for the projector for as long as `litellm_spend.lock_timeout`. The
/// caller holds no lock of LiteLLM's tables meanwhile, because the projector may wait for such a lock.
///
/// # Errors
/// Another session still holds some of the deliveries. Then none is locked.
pub fn lock(condition: &str, arguments: &[DatumWithOid]) -> Result<()> {
    let deadline = Instant::now() + settings::lock_timeout();
    loop {
        let ids = find(condition, arguments)?;
        if ids.is_empty() || lock_all(ids)?.is_some() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(held_by_another());
        }
    }
}

/// Locks the open deliveries of the log rows `l` for which `condition` holds, until the transaction ends. Waits only as
/// long as for a row, and leaves out the deliveries that are still held then. `name` is the log's column that tells
/// whose a row is.
pub fn lock_free<'a>(name: &str, condition: &str, arguments: impl Fn() -> Vec<DatumWithOid<'a>>) -> Result<Locked> {
    let ids = find(condition, &arguments())?;
    if ids.is_empty() {
        return Ok(Locked::default());
    }
    if let Some(count) = lock_all(ids.clone())? {
        return Ok(Locked { count, held: Vec::new() });
    }
    let free = subtransaction::attempt(|| Spi::connect_mut(|client| select(client, ids, "SKIP LOCKED")));
    let free = free.map_err(|failure| Error::Failed(failure.advised()))?;
    let count = free.len();
    let held = subtransaction::rehearse(|| {
        Spi::connect_mut(|client| {
            let wanted = format!("l.{name}, pg_catalog.min(d.delivery_id::pg_catalog.text)");
            let mut arguments = arguments();
            arguments.push(free.into());
            let condition = format!("{condition} AND d.delivery_id <> ALL (${}) GROUP BY 1", arguments.len());
            read(client, &wanted, &condition, &arguments, |found| {
                let pairs = found.map(|row| Ok(row.get(1)?.zip(row.get(2)?)));
                pairs.filter_map(Result::transpose).collect::<Result<_>>()
            })
        })
    });
    Ok(Locked { count, held: held.map_err(Error::Failed)? })
}

/// The ids of the deliveries to lock.
fn find(condition: &str, arguments: &[DatumWithOid]) -> Result<Vec<String>> {
    let found = subtransaction::rehearse(|| {
        let wanted = "pg_catalog.array_agg(DISTINCT d.delivery_id::pg_catalog.text)";
        Spi::connect_mut(|client| {
            read(client, wanted, condition, arguments, |found| Ok(found.first().get(1)?.unwrap_or_default()))
        })
    });
    found.map_err(Error::Failed)
}

/// Reads `wanted` from the open deliveries `d` of the log rows `l`.
fn read<R: Default>(
    client: &mut SpiClient,
    wanted: &str,
    condition: &str,
    arguments: &[DatumWithOid],
    take: impl FnOnce(SpiTupleTable) -> Result<R>,
) -> Result<R> {
    let targets = Targets::lock_to_read(client, |role| matches!(role, Role::Log | Role::Deliveries))?;
    let (Some(log), Some(deliveries)) = (targets.get(Role::Log), targets.get(Role::Deliveries)) else {
        return Ok(R::default());
    };
    log.table.require_owner_reads(&deliveries.table)?;
    let query = format!(
        "SELECT {wanted} FROM {} AS d JOIN {} AS l USING (request_id) WHERE {IS_OPEN} AND {condition}",
        deliveries.table.name, log.table.name
    );
    owner::act_as(client, log.table.owner, |client| take(client.update(&query, None, arguments)?))
}

/// Locks these deliveries; returns `None` if another session holds some. First locks the deliveries that are free, so
/// that the projector can take none of them next. Then locks the others one by one.
fn lock_all(ids: Vec<String>) -> Result<Option<usize>> {
    let locked = subtransaction::attempt(|| {
        Spi::connect_mut(|client| {
            select(client, ids.clone(), "SKIP LOCKED")?;
            Ok(select(client, ids, "")?.len())
        })
    });
    match locked {
        Ok(count) => Ok(Some(count)),
        Err(failure) if failure.is_lock() => Ok(None),
        Err(failure) => Err(Error::Failed(failure.advised())),
    }
}

/// Locks the deliveries of this list that are open, and returns their ids.
fn select(client: &mut SpiClient, ids: Vec<String>, locking: &str) -> Result<Vec<String>> {
    let targets = Targets::lock_to_read(client, |role| role == Role::Deliveries)?;
    let Some(deliveries) = targets.get(Role::Deliveries).map(|target| &target.table) else { return Ok(Vec::new()) };
    let query = format!(
        "SELECT d.delivery_id::pg_catalog.text FROM {} AS d WHERE d.delivery_id = ANY ($1) AND {IS_OPEN}
         ORDER BY d.delivery_id FOR SHARE {locking}",
        deliveries.name
    );
    owner::act_as(client, deliveries.owner, |client| {
        let found = client.update(&query, None, &[ids.into()])?;
        Ok(found.filter_map(|row| row.get(1).transpose()).collect::<std::result::Result<_, _>>()?)
    })
}

fn held_by_another() -> Error {
    let message = format!("another session holds rows of \"{}\"", Role::Deliveries.table());
    Error::refused(PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE, message, LOCKED_HINT)
}
