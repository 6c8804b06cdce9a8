//! The columns that a fold fills in each of LiteLLM's tables.

use super::tables::Role;
use crate::record::log_row;
use crate::totals::{Totals, budget_windows, tool_spend};

/// The columns that a fold fills in each row of a table of sums, if the table has them: LiteLLM's id and times.
const OF_EACH_ROW: [&str; 3] = ["id", "created_at", "updated_at"];

/// The columns of the budget that a fold creates for new organizations.
const OF_BUDGET: [&str; 3] = ["budget_id", "created_by", "updated_by"];

/// The columns that a fold fills or adds to, if the table has them. When a fold creates the row of an entity, it fills
/// more columns.
pub fn filled(role: Role) -> Vec<&'static str> {
    let of_sums = || Totals::default().columns(role).into_iter().map(|column| column.name).collect::<Vec<_>>();
    match role {
        Role::Log => log_row::COLUMNS.iter().map(|column| column.name).collect(),
        Role::ToolIndex => tool_spend::INDEX_COLUMNS.to_vec(),
        Role::Entity(kind) => [&of_sums(), kind.columns_beside_spend()].concat(),
        Role::Daily(_) | Role::Rollup(_) => [&of_sums()[..], &OF_EACH_ROW].concat(),
        Role::WindowSpend => budget_windows::COLUMNS.to_vec(),
        Role::Budget => OF_BUDGET.to_vec(),
        Role::DeprecatedKeys | Role::Deliveries => Vec::new(),
    }
}
