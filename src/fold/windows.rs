//! `LiteLLM_BudgetWindowSpend`: adds what a batch spent to the running total of each budget window of
//! its keys and teams. A window that has moved on starts from this batch; a window without a row starts
//! from what the log holds of it (LiteLLM's budget_window_spend_writer.py).

use std::collections::HashSet;

use litellm_spend_core::budget_window::{self, HolderSpends, LIMITS_COLUMN, Window};
use litellm_spend_core::entity::EntityKind;
use litellm_spend_core::json::Json;
use litellm_spend_core::moment::Moment;
use pgrx::datum::Timestamp;
use pgrx::spi::SpiClient;

use super::log::timestamp;
use super::owner;
use super::targets::{Role, Target, Targets};
use super::upsert::NOW;
use crate::error::Result;

pub const KEY: [&str; 3] = ["entity_type", "entity_id", "window_duration"];
pub const COLUMNS: [&str; 7] =
    ["entity_type", "entity_id", "window_duration", "window_start", "spend", "created_at", "updated_at"];

/// What is added to one row.
struct Increment {
    holder: EntityKind,
    id: String,
    window: Window,
    spend: f64,
    since: Moment,
    /// What a new row holds before this batch.
    before: f64,
}

/// Writes the windows of the batch's keys and teams. The batch's own log rows are there already.
pub fn write(client: &mut SpiClient, targets: &Targets, holders: &[HolderSpends]) -> Result<()> {
    let Some(target) = targets.get(Role::WindowSpend) else { return Ok(()) };
    let mut increments = Vec::new();
    for (holder, spends) in budget_window::HOLDERS.into_iter().zip(holders) {
        if let Some(table) = targets.get(Role::Entity(holder)) {
            read_windows(client, holder, table, spends, &mut increments)?;
        }
    }
    if increments.is_empty() {
        return Ok(());
    }
    let existing = lock(client, target, &increments)?;
    for increment in &mut increments {
        if !existing.contains(&key_of(increment)) {
            increment.before = logged_before(client, targets, increment)?;
        }
    }
    upsert(client, target, &increments)
}

fn read_windows(
    client: &mut SpiClient,
    holder: EntityKind,
    target: &Target,
    spends: &HolderSpends,
    increments: &mut Vec<Increment>,
) -> Result<()> {
    if spends.is_empty() || !target.table.has(LIMITS_COLUMN) {
        return Ok(());
    }
    let id = holder.key_columns()[0];
    let query = format!(
        "SELECT {id}, {LIMITS_COLUMN}::pg_catalog.text, pg_catalog.now() FROM {} WHERE {id} = ANY ($1)
             AND {LIMITS_COLUMN} IS NOT NULL ORDER BY {id} COLLATE \"C\"",
        target.table.name
    );
    let ids: Vec<&str> = spends.keys().map(AsRef::as_ref).collect();
    owner::act_as(client, target.table.owner, |client| {
        for row in client.update(&query, None, &[ids.into()])? {
            let (Some(id), Some(limits)) = (row.get::<String>(1)?, row.get::<String>(2)?) else { continue };
            let (Some(spend), Ok(limits)) = (spends.get(id.as_str()), Json::from_text(&limits)) else { continue };
            for window in budget_window::windows(&limits, now()) {
                increments.push(Increment {
                    holder,
                    id: id.clone(),
                    window,
                    spend: spend.spend.value(),
                    since: spend.since,
                    before: 0.0,
                });
            }
        }
        Ok(())
    })
}

/// This transaction's time.
fn now() -> Moment {
    // SAFETY: reads the transaction's start, in microseconds since 2000.
    let micros = unsafe { pgrx::pg_sys::GetCurrentTransactionStartTimestamp() };
    super::log::moment(micros)
}

type RowKey = (String, String, String);

fn key_of(increment: &Increment) -> RowKey {
    let entity_type = budget_window::entity_type(increment.holder);
    (entity_type.to_owned(), increment.id.clone(), increment.window.duration.clone())
}

/// Locks the rows that exist, in LiteLLM's order, and returns their keys.
fn lock(client: &mut SpiClient, target: &Target, increments: &[Increment]) -> Result<HashSet<RowKey>> {
    let query = format!(
        "SELECT t.entity_type, t.entity_id, t.window_duration FROM {} AS t
         JOIN unnest($1::pg_catalog.text[], $2::pg_catalog.text[], $3::pg_catalog.text[])
             AS b (entity_type, entity_id, window_duration)
         USING (entity_type, entity_id, window_duration)
         ORDER BY t.entity_type COLLATE \"C\", t.entity_id COLLATE \"C\", t.window_duration COLLATE \"C\"
         FOR NO KEY UPDATE OF t",
        target.table.name
    );
    let (types, (ids, durations)) = split_keys(increments);
    owner::act_as(client, target.table.owner, |client| {
        let mut existing = HashSet::new();
        for row in client.update(&query, None, &[types.into(), ids.into(), durations.into()])? {
            if let (Some(entity_type), Some(id), Some(duration)) = (row.get(1)?, row.get(2)?, row.get(3)?) {
                existing.insert((entity_type, id, duration));
            }
        }
        Ok(existing)
    })
}

/// What the log holds of a window without this batch: all of it less the batch, and at least what
/// began before the batch, for the batch may not be in the log.
fn logged_before(client: &mut SpiClient, targets: &Targets, increment: &Increment) -> Result<f64> {
    let Some(log) = targets.get(Role::Log) else { return Ok(0.0) };
    let holder = if increment.holder == EntityKind::Key { "api_key" } else { "team_id" };
    let query = format!(
        "SELECT coalesce(pg_catalog.sum(spend), 0), coalesce(pg_catalog.sum(spend) FILTER (WHERE \"startTime\" < $3), 0)
         FROM {} WHERE {holder} = $1 AND \"startTime\" >= $2",
        log.table.name
    );
    let arguments =
        [increment.id.as_str().into(), timestamp(increment.window.start).into(), timestamp(increment.since).into()];
    owner::act_as(client, log.table.owner, |client| {
        let row = client.update(&query, Some(1), &arguments)?.first();
        let (total, before): (Option<f64>, Option<f64>) = (row.get(1)?, row.get(2)?);
        Ok((total.unwrap_or(0.0) - increment.spend).max(before.unwrap_or(0.0)))
    })
}

fn upsert(client: &mut SpiClient, target: &Target, increments: &[Increment]) -> Result<()> {
    let statement = format!(
        "INSERT INTO {} AS t (entity_type, entity_id, window_duration, window_start, spend, created_at, updated_at)
         SELECT b.entity_type, b.entity_id, b.window_duration, b.window_start, b.before + b.spend, {NOW}, {NOW}
         FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[], $3::pg_catalog.text[],
                     $4::pg_catalog.timestamp[], $5::pg_catalog.float8[], $6::pg_catalog.float8[])
             AS b (entity_type, entity_id, window_duration, window_start, spend, before)
         ON CONFLICT ({}) DO UPDATE SET
             spend = CASE WHEN t.window_start >= EXCLUDED.window_start THEN t.spend + EXCLUDED.spend
                          ELSE EXCLUDED.spend END,
             window_start = greatest(t.window_start, EXCLUDED.window_start),
             updated_at = EXCLUDED.updated_at",
        target.table.name,
        target.conflict_target()
    );
    let (types, (ids, durations)) = split_keys(increments);
    let starts: Vec<Timestamp> = increments.iter().map(|increment| timestamp(increment.window.start)).collect();
    let spends: Vec<f64> = increments.iter().map(|increment| increment.spend).collect();
    let before: Vec<f64> = increments.iter().map(|increment| increment.before).collect();
    owner::act_as(client, target.table.owner, |client| {
        let arguments = [types.into(), ids.into(), durations.into(), starts.into(), spends.into(), before.into()];
        client.update(&statement, None, &arguments)?;
        Ok(())
    })
}

fn split_keys(increments: &[Increment]) -> (Vec<&'static str>, (Vec<&str>, Vec<&str>)) {
    increments
        .iter()
        .map(|increment| {
            let key = (increment.id.as_str(), increment.window.duration.as_str());
            (budget_window::entity_type(increment.holder), key)
        })
        .unzip()
}
