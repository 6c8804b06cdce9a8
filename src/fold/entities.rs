//! Adds a batch's spend to the rows of one kind of entity: existing rows are locked in byte order
//! (invariant 8) and updated; rows that are missing are made where `litellm_spend.create_missing` asks
//! for it.

use std::collections::HashSet;

use litellm_spend_core::entity::{EntityId, EntityKind, EntitySpend, EntityTotals};
use litellm_spend_core::sum::Sum;
use pgrx::datum::DatumWithOid;
use pgrx::spi::{SpiClient, quote_identifier};

use super::targets::{Role, Target, Targets};
use super::upsert::NOW;
use super::{budget, members, owner};
use crate::error::Result;
use crate::settings;

/// Ids of rows, the second `""` where the table has one key column.
pub type Ids = HashSet<(String, String)>;

/// Every column that a fold fills in a row that is there; a row that it makes has some more.
pub fn columns(kind: EntityKind) -> Vec<&'static str> {
    let optional: &[&str] = match kind {
        EntityKind::Key => &["total_spend", "last_active", "updated_at"],
        EntityKind::TeamMember => &["total_spend"],
        EntityKind::EndUser => &[],
        _ => &["updated_at"],
    };
    kind.key_columns().iter().chain(&["spend"]).chain(optional).copied().collect()
}

/// Writes the spend of every kind of entity, in LiteLLM's order of tables.
pub fn write_all(client: &mut SpiClient, targets: &Targets, totals: &EntityTotals) -> Result<()> {
    let new_members = members::lock_rosters(client, targets, totals.of(EntityKind::TeamMember))?;
    for kind in EntityKind::ALL {
        let spend = totals.of(kind);
        match targets.get(Role::Entity(kind)) {
            Some(_) if spend.is_empty() => {}
            Some(target) if kind == EntityKind::TeamMember => members::write(client, target, spend, &new_members)?,
            Some(target) => write(client, targets, kind, target, spend)?,
            None => {}
        }
    }
    Ok(())
}

fn write(
    client: &mut SpiClient,
    targets: &Targets,
    kind: EntityKind,
    target: &Target,
    spend: &EntitySpend,
) -> Result<()> {
    let existing = owner::act_as(client, target.table.owner, |client| update(client, kind, target, spend))?;
    if !settings::creates_missing(kind) || existing.len() == spend.len() {
        return Ok(());
    }
    if kind == EntityKind::Organization {
        budget::ensure(client, targets)?;
    }
    let missing = spend.iter().filter(|(id, _)| !is_among(&existing, id));
    owner::act_as(client, target.table.owner, |client| create(client, kind, target, missing))
}

pub fn is_among(ids: &Ids, (id, member): &EntityId) -> bool {
    ids.contains(&(id.to_string(), member.to_string()))
}

/// Adds to the rows that exist and returns their ids.
pub fn update(client: &mut SpiClient, kind: EntityKind, target: &Target, spend: &EntitySpend) -> Result<Ids> {
    let existing = lock(client, kind, target, spend.keys())?;
    if existing.is_empty() {
        return Ok(existing);
    }
    let keys = kind.key_columns();
    let sums: Vec<f64> = spend.values().map(|sum| sum.value()).collect();
    let statement = format!(
        "UPDATE {} AS t SET {} FROM unnest({}, ${}::pg_catalog.float8[]) AS b ({}, spend) WHERE {}",
        target.table.name,
        assignments(kind, target).join(", "),
        id_parameters(keys),
        keys.len() + 1,
        id_aliases(keys),
        same_ids(keys)
    );
    let mut arguments = id_arguments(keys, spend.keys());
    arguments.push(sums.into());
    client.update(&statement, None, &arguments)?;
    Ok(existing)
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
    let query = format!(
        "SELECT {} FROM {} AS t JOIN unnest({}) AS b ({}) ON {} ORDER BY {} FOR NO KEY UPDATE OF t",
        keys.iter().map(|key| format!("t.{key}")).collect::<Vec<_>>().join(", "),
        target.table.name,
        id_parameters(keys),
        id_aliases(keys),
        same_ids(keys),
        in_order.join(", ")
    );
    read_ids(client, keys, &query, &id_arguments(keys, ids))
}

/// Runs a query that returns ids.
pub fn read_ids(client: &mut SpiClient, keys: &[&str], query: &str, arguments: &[DatumWithOid]) -> Result<Ids> {
    let mut ids = Ids::new();
    for row in client.update(query, None, arguments)? {
        let member = if keys.len() > 1 { row.get::<String>(2)? } else { None };
        if let Some(id) = row.get::<String>(1)? {
            ids.insert((id, member.unwrap_or_default()));
        }
    }
    Ok(ids)
}

/// The parameters of ids, one array a key column, their aliases in `b`, and the join with the table `t`.
pub fn id_parameters(keys: &[&str]) -> String {
    (1..=keys.len()).map(|n| format!("${n}::pg_catalog.text[]")).collect::<Vec<_>>().join(", ")
}

pub fn id_aliases(keys: &[&str]) -> String {
    keys.join(", ")
}

pub fn same_ids(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("t.{key} = b.{key}")).collect::<Vec<_>>().join(" AND ")
}

pub fn id_arguments<'i, 'a: 'i>(keys: &[&str], ids: impl Iterator<Item = &'i EntityId<'a>>) -> Vec<DatumWithOid<'i>> {
    let (first, second): (Vec<&str>, Vec<&str>) = ids.map(|(id, member)| (id.as_ref(), member.as_ref())).unzip();
    if keys.len() > 1 { vec![first.into(), second.into()] } else { vec![first.into()] }
}

/// What LiteLLM sets beside `spend`, where the table has it. A member's `total_spend` is as old as the
/// column, so its floor is the `spend` that was there before; a key's has no floor.
fn assignments(kind: EntityKind, target: &Target) -> Vec<String> {
    let total = match kind {
        EntityKind::TeamMember => "total_spend = greatest(t.total_spend, t.spend) + b.spend",
        _ => "total_spend = t.total_spend + b.spend",
    };
    let optional = [
        ("total_spend", total.to_owned()),
        ("last_active", format!("last_active = {NOW}")),
        ("updated_at", format!("updated_at = {NOW}")),
    ];
    let filled = columns(kind);
    let present = optional
        .into_iter()
        .filter(|(column, _)| filled.contains(column) && target.table.has(column))
        .map(|(_, assignment)| assignment);
    std::iter::once("spend = t.spend + b.spend".to_owned()).chain(present).collect()
}

/// Makes the rows that are missing. A row that somebody else made in between is added to.
pub fn create<'i, 'a: 'i>(
    client: &mut SpiClient,
    kind: EntityKind,
    target: &Target,
    missing: impl Iterator<Item = (&'i EntityId<'a>, &'i Sum)>,
) -> Result<()> {
    let (ids, sums): (Vec<&EntityId>, Vec<f64>) = missing.map(|(id, sum)| (id, sum.value())).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let keys = kind.key_columns();
    let table = &target.table;
    let of_key: Vec<String> = keys.iter().map(|key| format!("b.{key}")).collect();
    let mut columns: Vec<(&str, &str)> = keys.iter().copied().zip(of_key.iter().map(String::as_str)).collect();
    columns.push(("spend", "b.spend"));
    columns.extend(made_columns(kind).iter().copied().filter(|(column, _)| table.has(column)));
    columns.extend(
        ["created_at", "updated_at"].map(|column| (column, NOW)).iter().filter(|(column, _)| table.has(column)),
    );
    columns.extend(table.bare_lists().into_iter().map(|list| (list, "'{}'")));
    let (names, values): (Vec<String>, Vec<&str>) =
        columns.into_iter().map(|(name, value)| (quote_identifier(name), value)).unzip();
    let insert = format!(
        "INSERT INTO {} AS t ({}) SELECT {} FROM unnest({}, ${}::pg_catalog.float8[]) AS b ({}, spend) {}
         ON CONFLICT ({}) DO UPDATE SET {}",
        table.name,
        names.join(", "),
        values.join(", "),
        id_parameters(keys),
        keys.len() + 1,
        id_aliases(keys),
        made_where(kind, &table.name),
        target.conflict_target(),
        assignments(kind, target).join(", ").replace("b.spend", "EXCLUDED.spend")
    );
    let mut arguments = id_arguments(keys, ids.into_iter());
    arguments.push(sums.into());
    client.update(&insert, None, &arguments)?;
    Ok(())
}

/// What a new row needs besides its key and spend.
fn made_columns(kind: EntityKind) -> &'static [(&'static str, &'static str)] {
    match kind {
        EntityKind::Key => &[("total_spend", "b.spend"), ("last_active", NOW), ("blocked", "true")],
        EntityKind::Team => &[("members_with_roles", "'[]'")],
        EntityKind::TeamMember => &[("total_spend", "b.spend")],
        EntityKind::EndUser => &[("blocked", "false")],
        EntityKind::Organization => &[
            ("organization_alias", "b.organization_id"),
            ("budget_id", budget::UNLIMITED_ID_LITERAL),
            ("created_by", "'litellm_spend'"),
            ("updated_by", "'litellm_spend'"),
        ],
        EntityKind::Project | EntityKind::ModelAccessGroup => {
            &[("created_by", "'litellm_spend'"), ("updated_by", "'litellm_spend'")]
        }
        EntityKind::Agent => &[
            ("agent_name", "b.agent_id"),
            ("agent_card_params", "'{}'"),
            ("created_by", "'litellm_spend'"),
            ("updated_by", "'litellm_spend'"),
        ],
        EntityKind::User | EntityKind::Tag | EntityKind::OrganizationMember => &[],
    }
}

/// An agent's name is unique too; where another agent bears the id as its name, no row is made.
fn made_where(kind: EntityKind, table: &str) -> String {
    if kind == EntityKind::Agent {
        format!("WHERE NOT EXISTS (SELECT FROM {table} AS a WHERE a.agent_name = b.agent_id)")
    } else {
        String::new()
    }
}
