//! Adds a fold's spend to the rows of one kind of entity, in byte order (invariant 8). If a row is missing that
//! `litellm_spend.create_missing` asks for, one upsert creates and updates all rows. An update followed by an insert
//! would be two passes, and a LiteLLM writer between them could cause a deadlock.

use std::collections::HashSet;

use litellm_spend_core::litellm::tables::EntityKind;
use litellm_spend_core::totals::entities::{EntityId, EntitySpend};
use litellm_spend_core::totals::sum::Sum;
use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiClient;

use super::upsert::NOW;
use super::{budget, saturation};
use crate::error::Result;
use crate::postgres::batch_table::{self, Type, Value};
use crate::postgres::{owner, plans};
use crate::settings;
use crate::targets::{Target, Targets};
use limit::Missing;

mod creation;
mod limit;

pub use creation::{create, obstacle};

/// Ids of rows. The second id is `""` where the table has one key column.
pub type Ids = HashSet<(String, String)>;

/// Writes the spend of one kind of entity. Team members have a function of their own, `members::write`.
pub fn write(
    client: &mut SpiClient,
    targets: &Targets,
    kind: EntityKind,
    target: &Target,
    spend: &EntitySpend,
) -> Result<()> {
    if spend.is_empty() {
        return Ok(());
    }
    let makes_rows = makes_rows(kind, target);
    let missing = if makes_rows { Missing::find(client, kind, target, spend)? } else { Missing::none() };
    let updated = if missing.admitted.is_empty() {
        owner::act_as(client, target.table.owner, |client| update(client, kind, target, spend))?
    } else {
        Ids::new()
    };
    let is_left = |id: &EntityId| !is_among(&updated, id) && !missing.leaves_out(id);
    if makes_rows && spend.keys().any(is_left) {
        if kind == EntityKind::Organization {
            budget::ensure(client, targets)?;
        }
        let others = spend.iter().filter(|(id, _)| is_left(id));
        owner::act_as(client, target.table.owner, |_| create(kind, target, others))?;
    }
    missing.note(client, kind, target)
}

/// Whether a fold creates missing rows of this kind.
pub fn makes_rows(kind: EntityKind, target: &Target) -> bool {
    settings::creates_missing(kind) && obstacle(kind, &target.table).is_none()
}

pub fn is_among(ids: &Ids, (id, member): &EntityId) -> bool {
    ids.contains(&((*id).to_owned(), (*member).to_owned()))
}

/// Adds to the rows that exist and returns their ids. A row that is created while this waits for the lock of another
/// row is not among them.
pub fn update(client: &mut SpiClient, kind: EntityKind, target: &Target, spend: &EntitySpend) -> Result<Ids> {
    let locked = lock(client, kind, target, spend.keys())?;
    if locked.is_empty() {
        return Ok(locked);
    }
    let keys = kind.key_columns();
    let statement = format!(
        "UPDATE {} AS t SET {} FROM batch AS b WHERE {}",
        target.table.name,
        assignments(kind, target, "b").join(", "),
        same_ids(keys)
    );
    write_rows(&statement, keys, spend.iter().filter(|(id, _)| is_among(&locked, id)))?;
    Ok(locked)
}

/// Runs a statement that reads ids and their spend from `batch`.
fn write_rows<'i, 'a: 'i>(
    statement: &str,
    keys: &[&str],
    spend: impl Iterator<Item = (&'i EntityId<'a>, &'i Sum)>,
) -> Result<()> {
    let types: Vec<(&str, Type)> =
        keys.iter().map(|key| (*key, Type::Text)).chain([("spend", Type::Dollars)]).collect();
    batch_table::write(statement, &types, |rows| {
        for ((id, member), sum) in spend {
            let ids = [Value::Text(id), Value::Text(member)];
            let values: Vec<Value> = ids.into_iter().take(keys.len()).chain([Value::Dollars(sum.value())]).collect();
            rows.push(&values);
        }
    })
}

/// The ids of the rows that exist. Locks nothing.
pub fn existing<'i, 'a: 'i>(
    client: &mut SpiClient,
    kind: EntityKind,
    target: &Target,
    ids: impl Iterator<Item = &'i EntityId<'a>>,
) -> Result<Ids> {
    let keys = kind.key_columns();
    let query = select_ids(keys, target);
    let arguments = id_arguments(keys, ids);
    owner::act_as(client, target.table.owner, |client| read_ids(client, keys, &query, &arguments))
}

/// Locks the rows that exist, in byte order, and returns their ids.
fn lock<'i, 'a: 'i>(
    client: &mut SpiClient,
    kind: EntityKind,
    target: &Target,
    ids: impl Iterator<Item = &'i EntityId<'a>>,
) -> Result<Ids> {
    let keys = kind.key_columns();
    let in_order: Vec<String> = keys.iter().map(|key| format!("t.{key} COLLATE \"C\"")).collect();
    let query = format!("{} ORDER BY {} FOR NO KEY UPDATE OF t", select_ids(keys, target), in_order.join(", "));
    read_ids(client, keys, &query, &id_arguments(keys, ids))
}

/// The query for the ids of the rows that exist.
fn select_ids(keys: &[&str], target: &Target) -> String {
    format!(
        "SELECT {} FROM {} AS t JOIN unnest({}) AS b ({}) ON {}",
        keys.iter().map(|key| format!("t.{key}")).collect::<Vec<_>>().join(", "),
        target.table.name,
        id_parameters(keys),
        id_aliases(keys),
        same_ids(keys)
    )
}

/// Runs a query that returns ids.
pub fn read_ids(client: &mut SpiClient, keys: &[&str], query: &str, arguments: &[DatumWithOid]) -> Result<Ids> {
    let mut ids = Ids::new();
    for row in plans::run(client, query, arguments)? {
        let member = if keys.len() > 1 { row.get::<String>(2)? } else { None };
        if let Some(id) = row.get::<String>(1)? {
            ids.insert((id, member.unwrap_or_default()));
        }
    }
    Ok(ids)
}

/// The parameters of ids: one array for each key column.
pub fn id_parameters(keys: &[&str]) -> String {
    (1..=keys.len()).map(|n| format!("${n}::pg_catalog.text[]")).collect::<Vec<_>>().join(", ")
}

/// The aliases of the ids in `b`.
pub fn id_aliases(keys: &[&str]) -> String {
    keys.join(", ")
}

/// The condition that joins the ids in `b` with the table `t`.
pub fn same_ids(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("t.{key} = b.{key}")).collect::<Vec<_>>().join(" AND ")
}

/// The arguments for `id_parameters`.
pub fn id_arguments<'i, 'a: 'i>(keys: &[&str], ids: impl Iterator<Item = &'i EntityId<'a>>) -> Vec<DatumWithOid<'i>> {
    let (first, second): (Vec<&str>, Vec<&str>) = ids.copied().unzip();
    if keys.len() > 1 { vec![first.into(), second.into()] } else { vec![first.into()] }
}

/// The assignments that LiteLLM makes, for the columns that the table has. `added` is the alias of the row to add. A
/// member's `total_spend` is only as old as the column, so its floor is the `spend` that was there before. A key's
/// `total_spend` has no floor.
fn assignments(kind: EntityKind, target: &Target, added: &str) -> Vec<String> {
    let added = format!("{added}.spend");
    let sum = |column, held| format!("{column} = {}", saturation::sum(&target.table, column, held, &added));
    let total = match kind {
        EntityKind::TeamMember => "greatest(t.total_spend, t.spend)",
        _ => "t.total_spend",
    };
    let optional = [
        ("total_spend", sum("total_spend", total)),
        ("last_active", format!("last_active = {NOW}")),
        ("updated_at", format!("updated_at = {NOW}")),
    ];
    let present = optional
        .into_iter()
        .filter(|(column, _)| kind.columns_beside_spend().contains(column) && target.table.has(column))
        .map(|(_, assignment)| assignment);
    std::iter::once(sum("spend", "t.spend")).chain(present).collect()
}
