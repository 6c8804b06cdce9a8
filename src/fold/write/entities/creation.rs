//! Creates the row of an entity that has spent and has no row, with what LiteLLM requires of such a row.

use litellm_spend_core::litellm::tables::EntityKind;
use litellm_spend_core::totals::entities::EntityId;
use litellm_spend_core::totals::sum::Sum;
use pgrx::spi::quote_identifier;

use super::{assignments, write_rows};
use crate::error::Result;
use crate::fold::write::budget;
use crate::fold::write::upsert::NOW;
use crate::targets::{Table, Target};

/// Creates rows, or adds to the rows that exist, in one pass.
pub fn create<'i, 'a: 'i>(
    kind: EntityKind,
    target: &Target,
    spend: impl Iterator<Item = (&'i EntityId<'a>, &'i Sum)>,
) -> Result<()> {
    let mut spend = spend.peekable();
    if spend.peek().is_none() {
        return Ok(());
    }
    let table = &target.table;
    let (names, values): (Vec<String>, Vec<String>) =
        filled(kind, table).into_iter().map(|(name, value)| (quote_identifier(name), value)).unzip();
    let insert = format!(
        "INSERT INTO {} AS t ({}) SELECT {} FROM batch AS b {} ON CONFLICT ({}) DO UPDATE SET {}",
        table.name,
        names.join(", "),
        values.join(", "),
        made_where(kind, &table.name),
        target.conflict_target(),
        assignments(kind, target, "EXCLUDED").join(", ")
    );
    write_rows(&insert, kind.key_columns(), spend)
}

/// Why a fold cannot create rows of this table: a column must have a value that nobody knows.
pub fn obstacle(kind: EntityKind, table: &Table) -> Option<String> {
    let filled = filled(kind, table);
    let is_open = |column: &str| !filled.iter().any(|(name, _)| *name == column);
    table
        .required_columns()
        .into_iter()
        .find(|column| is_open(column))
        .map(|column| format!("missing rows are not created: column {} has no default", quote_identifier(column)))
}

/// The columns of a new row, each with the expression for its value.
fn filled(kind: EntityKind, table: &Table) -> Vec<(&str, String)> {
    let of_batch = |column: &&'static str| (*column, format!("b.{column}"));
    let known = made_columns(kind).iter().chain(&[("created_at", NOW), ("updated_at", NOW)]);
    kind.key_columns()
        .iter()
        .chain(&["spend"])
        .map(of_batch)
        .chain(known.filter(|(column, _)| table.has(column)).map(|(column, value)| (*column, (*value).to_owned())))
        .chain(table.bare_lists().into_iter().map(|list| (list, "'{}'".to_owned())))
        .collect()
}

/// What a new row needs besides its key and spend. Its name is its id, where the UI shows the name alone.
fn made_columns(kind: EntityKind) -> &'static [(&'static str, &'static str)] {
    match kind {
        EntityKind::Key => {
            &[("key_alias", "b.token"), ("total_spend", "b.spend"), ("last_active", NOW), ("blocked", "true")]
        }
        EntityKind::Team => &[("team_alias", "b.team_id"), ("members_with_roles", "'[]'")],
        EntityKind::TeamMember => &[("total_spend", "b.spend")],
        EntityKind::EndUser => &[("blocked", "false")],
        EntityKind::Organization => &[
            ("organization_alias", "b.organization_id"),
            ("budget_id", budget::UNLIMITED_ID_LITERAL),
            ("created_by", "'litellm_spend'"),
            ("updated_by", "'litellm_spend'"),
        ],
        EntityKind::Project => {
            &[("project_alias", "b.project_id"), ("created_by", "'litellm_spend'"), ("updated_by", "'litellm_spend'")]
        }
        EntityKind::ModelAccessGroup => &[("created_by", "'litellm_spend'"), ("updated_by", "'litellm_spend'")],
        EntityKind::Agent => &[
            ("agent_name", "b.agent_id"),
            ("agent_card_params", "'{}'"),
            ("created_by", "'litellm_spend'"),
            ("updated_by", "'litellm_spend'"),
        ],
        EntityKind::User | EntityKind::Tag | EntityKind::OrganizationMember => &[],
    }
}

/// The condition under which a row is created. An agent's name is unique too: if the name of another agent is the id,
/// no row is created.
fn made_where(kind: EntityKind, table: &str) -> String {
    if kind == EntityKind::Agent {
        format!(
            "WHERE EXISTS (SELECT FROM {table} AS a WHERE a.agent_id = b.agent_id)
                OR NOT EXISTS (SELECT FROM {table} AS a WHERE a.agent_name = b.agent_id)"
        )
    } else {
        String::new()
    }
}
