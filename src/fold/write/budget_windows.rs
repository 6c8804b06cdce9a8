//! `LiteLLM_BudgetWindowSpend`: adds what a batch spent to the running total of each budget window of its keys and
//! teams. A window that has moved on starts from this batch. A window without a row starts from the log's sum for it
//! (LiteLLM's budget_window_spend_writer.py), which `log_sums` adds up.

use std::collections::HashSet;

use litellm_spend_core::json::Json;
use litellm_spend_core::litellm::tables::{EntityKind, Role};
use litellm_spend_core::record::SpendRecord;
use litellm_spend_core::totals::Totals;
use litellm_spend_core::totals::budget_windows::{self, LIMITS_COLUMN, Window};
use pgrx::spi::SpiClient;

use super::saturation;
use super::upsert::NOW;
use crate::error::Result;
use crate::postgres::batch_table::{self, Type, Value};
use crate::postgres::timestamp::{timestamp, transaction_start};
use crate::postgres::{owner, plans};
use crate::targets::{Target, Targets};

mod log_sums;

pub use log_sums::{
    are_lacking as log_sums_are_lacking, read_lacking as read_log_sums, require_all as require_log_sums,
};

/// A row to add to.
struct Increment {
    holder: EntityKind,
    id: String,
    window: Window,
    /// The spend from which a row that does not exist starts; `None` if the row exists.
    logged_before: Option<f64>,
}

/// The windows of the keys and teams that a fold charges.
#[derive(Default)]
pub struct Windows {
    /// The keys and teams whose windows were read, in the order of `budget_windows::HOLDERS`.
    holders: [HashSet<String>; budget_windows::HOLDERS.len()],
    increments: Vec<Increment>,
}

impl Windows {
    /// Reads the windows of a batch's keys and teams that no earlier batch has charged. `counted` are the batch's
    /// requests, which are logged already. Locks nothing.
    pub fn read(&mut self, client: &mut SpiClient, targets: &Targets, counted: &[SpendRecord]) -> Result<()> {
        let Some(target) = targets.get(Role::WindowSpend) else { return Ok(()) };
        let mut increments = self.find(client, targets, counted)?;
        if !increments.is_empty() {
            let existing = existing(client, target, &increments)?;
            for increment in increments.iter_mut().filter(|increment| !existing.contains(&key_of(increment))) {
                let window = (increment.holder, increment.id.clone(), increment.window.start);
                increment.logged_before = Some(log_sums::of(window));
            }
        }
        self.increments.append(&mut increments);
        Ok(())
    }

    /// Reads the windows of these records' keys and teams without what the log holds of them. `keys` then tells which
    /// rows would be written.
    pub fn read_keys(&mut self, client: &mut SpiClient, targets: &Targets, records: &[SpendRecord]) -> Result<()> {
        if targets.get(Role::WindowSpend).is_some() {
            let mut increments = self.find(client, targets, records)?;
            self.increments.append(&mut increments);
        }
        Ok(())
    }

    fn find(&mut self, client: &mut SpiClient, targets: &Targets, counted: &[SpendRecord]) -> Result<Vec<Increment>> {
        let mut increments = Vec::new();
        for (holder, known) in budget_windows::HOLDERS.into_iter().zip(&mut self.holders) {
            let charged: HashSet<&str> =
                counted.iter().filter_map(|record| budget_windows::holder_id(holder, record)).collect();
            let new: Vec<&str> = charged.into_iter().filter(|id| !known.contains(*id)).collect();
            if let Some(table) = targets.get(Role::Entity(holder)) {
                read_windows(client, holder, table, &new, &mut increments)?;
            }
            known.extend(new.into_iter().map(str::to_owned));
        }
        Ok(increments)
    }

    /// The keys of the rows, in the order of the table's key.
    pub fn keys(&self) -> Vec<Vec<String>> {
        self.increments.iter().map(key_of).map(|(of, id, duration)| vec![of, id, duration]).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.increments.is_empty()
    }

    /// Adds to each window what `totals` hold for its key or team, in the order of the table's key.
    pub fn write(&self, client: &mut SpiClient, targets: &Targets, totals: &Totals) -> Result<()> {
        let Some(target) = targets.get(Role::WindowSpend).filter(|_| !self.is_empty()) else { return Ok(()) };
        let mut increments: Vec<&Increment> = self.increments.iter().collect();
        increments.sort_by_key(|increment| (increment.holder, &increment.id, &increment.window.duration));
        if increments.iter().any(|increment| increment.logged_before.is_some()) {
            let before = increments.iter().map(|increment| increment.logged_before.unwrap_or(0.0)).collect();
            insert(client, target, &increments, before, KEEP)?;
        }
        let spends = budget_windows::HOLDERS.map(|holder| (holder, totals.holders(holder)));
        let spend_of = |increment: &&Increment| {
            let of_holder = spends.iter().find(|(holder, _)| *holder == increment.holder);
            of_holder.and_then(|(_, spends)| spends.get(increment.id.as_str())).map_or(0.0, |sum| sum.value())
        };
        insert(client, target, &increments, increments.iter().map(spend_of).collect(), &add(target))
    }
}

/// The change that only locks a row that exists, so that all rows are locked in one order (invariant 8).
const KEEP: &str = "DO UPDATE SET updated_at = EXCLUDED.updated_at";

/// The change that adds to a row that exists. A window that has moved on starts anew.
fn add(target: &Target) -> String {
    let sum = saturation::sum(&target.table, "spend", "t.spend", "EXCLUDED.spend");
    format!(
        "DO UPDATE SET
         spend = CASE WHEN t.window_start >= EXCLUDED.window_start THEN {sum} ELSE EXCLUDED.spend END,
         window_start = greatest(t.window_start, EXCLUDED.window_start), updated_at = EXCLUDED.updated_at"
    )
}

fn read_windows(
    client: &mut SpiClient,
    holder: EntityKind,
    target: &Target,
    ids: &[&str],
    increments: &mut Vec<Increment>,
) -> Result<()> {
    if ids.is_empty() || !target.table.has(LIMITS_COLUMN) {
        return Ok(());
    }
    let id = holder.key_columns()[0];
    let query = format!(
        "SELECT {id}, {LIMITS_COLUMN}::pg_catalog.text FROM {} WHERE {id} = ANY ($1)
             AND {LIMITS_COLUMN} IS NOT NULL",
        target.table.name
    );
    owner::act_as(client, target.table.owner, |client| {
        for row in plans::run(client, &query, &[ids.to_vec().into()])? {
            let (Some(id), Some(limits)) = (row.get::<String>(1)?, row.get::<String>(2)?) else { continue };
            let Ok(limits) = Json::from_text(&limits) else { continue };
            for window in budget_windows::windows(&limits, transaction_start()) {
                increments.push(Increment { holder, id: id.clone(), window, logged_before: None });
            }
        }
        Ok(())
    })
}

type RowKey = (String, String, String);

fn key_of(increment: &Increment) -> RowKey {
    let entity_type = budget_windows::entity_type(increment.holder);
    (entity_type.to_owned(), increment.id.clone(), increment.window.duration.clone())
}

/// The keys of the rows that exist.
fn existing(client: &mut SpiClient, target: &Target, increments: &[Increment]) -> Result<HashSet<RowKey>> {
    let query = format!(
        "SELECT t.entity_type, t.entity_id, t.window_duration FROM {} AS t
         JOIN unnest($1::pg_catalog.text[], $2::pg_catalog.text[], $3::pg_catalog.text[])
             AS b (entity_type, entity_id, window_duration)
         USING (entity_type, entity_id, window_duration)",
        target.table.name
    );
    let (types, (ids, durations)) = split_keys(increments);
    owner::act_as(client, target.table.owner, |client| {
        let mut existing = HashSet::new();
        for row in plans::run(client, &query, &[types.into(), ids.into(), durations.into()])? {
            if let (Some(entity_type), Some(id), Some(duration)) = (row.get(1)?, row.get(2)?, row.get(3)?) {
                existing.insert((entity_type, id, duration));
            }
        }
        Ok(existing)
    })
}

/// Inserts rows of these windows that hold `spends`. `on_conflict` says what happens to a row that exists.
fn insert(
    client: &mut SpiClient,
    target: &Target,
    windows: &[&Increment],
    spends: Vec<f64>,
    on_conflict: &str,
) -> Result<()> {
    let statement = format!(
        "INSERT INTO {} AS t (entity_type, entity_id, window_duration, window_start, spend, created_at, updated_at)
         SELECT b.entity_type, b.entity_id, b.window_duration, b.window_start, b.spend, {NOW}, {NOW} FROM batch AS b
         ON CONFLICT ({}) {on_conflict}",
        target.table.name,
        target.conflict_target()
    );
    let types = [
        ("entity_type", Type::Text),
        ("entity_id", Type::Text),
        ("window_duration", Type::Text),
        ("window_start", Type::Time),
        ("spend", Type::Dollars),
    ];
    owner::act_as(client, target.table.owner, |_| {
        batch_table::write(&statement, &types, |rows| {
            for (increment, spend) in windows.iter().zip(spends) {
                rows.push(&[
                    Value::Text(budget_windows::entity_type(increment.holder)),
                    Value::Text(&increment.id),
                    Value::Text(&increment.window.duration),
                    Value::Time(timestamp(increment.window.start)),
                    Value::Dollars(spend),
                ]);
            }
        })
    })
}

type Keys<'i> = (Vec<&'static str>, (Vec<&'i str>, Vec<&'i str>));

fn split_keys(increments: &[Increment]) -> Keys<'_> {
    increments
        .iter()
        .map(|increment| {
            let key = (increment.id.as_str(), increment.window.duration.as_str());
            (budget_windows::entity_type(increment.holder), key)
        })
        .unzip()
}
