//! Adds a batch's spend to the rows of one kind of entity: existing rows are locked in byte order
//! (invariant 8) and updated; rows that are missing are made where `litellm_spend.create_missing` asks
//! for it.

use std::collections::HashSet;

use litellm_spend_core::entity::{EntityKind, EntitySpend};
use pgrx::spi::SpiClient;

use super::targets::{Table, Targets};
use super::{budget, owner};
use crate::error::Result;
use crate::settings;

/// Writes the spend of one kind of entity.
pub fn write(
    client: &mut SpiClient,
    targets: &Targets,
    kind: EntityKind,
    table: &Table,
    spend: &EntitySpend,
) -> Result<()> {
    if spend.is_empty() {
        return Ok(());
    }
    let existing = owner::act_as(client, table.owner, |client| update(client, kind, table, spend))?;
    if !settings::creates_missing(kind) || existing.len() == spend.len() {
        return Ok(());
    }
    if kind == EntityKind::Organization {
        budget::ensure(client, targets)?;
    }
    owner::act_as(client, table.owner, |client| create(client, kind, table, spend, &existing))
}

/// Adds to the rows that exist and returns their ids.
fn update(client: &mut SpiClient, kind: EntityKind, table: &Table, spend: &EntitySpend) -> Result<HashSet<String>> {
    let (name, id) = (&table.name, kind.id_column());
    let ids: Vec<&str> = spend.keys().map(AsRef::as_ref).collect();
    let lock = format!("SELECT {id} FROM {name} WHERE {id} = ANY ($1) ORDER BY {id} COLLATE \"C\" FOR NO KEY UPDATE");
    let existing: HashSet<String> = client
        .update(&lock, None, &[ids.clone().into()])?
        .filter_map(|row| row.get::<String>(1).transpose())
        .collect::<std::result::Result<_, _>>()?;
    if existing.is_empty() {
        return Ok(existing);
    }
    let sums: Vec<f64> = spend.values().map(|sum| sum.value()).collect();
    let update = format!(
        "UPDATE {name} AS t SET {} FROM unnest($1::pg_catalog.text[], $2::pg_catalog.float8[]) AS b (id, spend)
         WHERE t.{id} = b.id",
        assignments(table).join(", ")
    );
    client.update(&update, None, &[ids.into(), sums.into()])?;
    Ok(existing)
}

/// What LiteLLM sets beside `spend`, where the table has it.
fn assignments(table: &Table) -> Vec<&'static str> {
    let optional = [
        ("total_spend", "total_spend = t.total_spend + b.spend"),
        ("last_active", "last_active = pg_catalog.timezone('UTC', pg_catalog.now())"),
        ("updated_at", "updated_at = pg_catalog.timezone('UTC', pg_catalog.now())"),
    ];
    let present = optional.into_iter().filter(|(column, _)| table.has(column)).map(|(_, assignment)| assignment);
    ["spend = t.spend + b.spend"].into_iter().chain(present).collect()
}

/// Makes the rows that are missing. A row that somebody else made in between is added to.
fn create(
    client: &mut SpiClient,
    kind: EntityKind,
    table: &Table,
    spend: &EntitySpend,
    existing: &HashSet<String>,
) -> Result<()> {
    let (ids, sums): (Vec<&str>, Vec<f64>) = spend
        .iter()
        .filter(|(id, _)| !existing.contains(id.as_ref()))
        .map(|(id, sum)| (id.as_ref(), sum.value()))
        .unzip();
    let now = "pg_catalog.timezone('UTC', pg_catalog.now())";
    let mut columns = vec![(kind.id_column(), "b.id"), ("spend", "b.spend")];
    let optional: &[(&str, &str)] = match kind {
        EntityKind::Key => &[("total_spend", "b.spend"), ("last_active", now), ("blocked", "true")],
        EntityKind::Team => &[("members_with_roles", "'[]'")],
        EntityKind::EndUser => &[("blocked", "false")],
        EntityKind::Organization => &[
            ("organization_alias", "b.id"),
            ("budget_id", budget::UNLIMITED_ID_LITERAL),
            ("created_by", "'litellm_spend'"),
            ("updated_by", "'litellm_spend'"),
        ],
        EntityKind::User | EntityKind::Tag => &[],
    };
    columns.extend(optional.iter().copied().filter(|(column, _)| table.has(column)));
    columns.extend(
        ["created_at", "updated_at"].into_iter().filter(|column| table.has(column)).map(|column| (column, now)),
    );
    columns.extend(table.bare_lists().into_iter().map(|list| (list, "'{}'")));
    let (names, values): (Vec<String>, Vec<&str>) =
        columns.into_iter().map(|(name, value)| (pgrx::spi::quote_identifier(name), value)).unzip();
    let insert = format!(
        "INSERT INTO {} AS t ({}) SELECT {} FROM unnest($1::pg_catalog.text[], $2::pg_catalog.float8[]) AS b (id, spend)
         ON CONFLICT ({}) DO UPDATE SET spend = t.spend + EXCLUDED.spend",
        table.name,
        names.join(", "),
        values.join(", "),
        kind.id_column()
    );
    client.update(&insert, None, &[ids.into(), sums.into()])?;
    Ok(())
}
