//! Adds the missing amounts to the rows of a table. The repair is a fold of the differences by the fold's own upsert,
//! so it takes the same locks in the same order, writes with the same privileges, and treats NULL in a key in the same
//! way as a fold.

use std::collections::{HashMap, HashSet};

use litellm_spend_core::totals::columns::{Column, OnConflict, Values};
use pgrx::spi::SpiClient;

use super::day::Day;
use super::derivable::Derivable;
use super::difference::{Difference, Pair};
use super::sums::{self, Key};
use crate::error::Result;
use crate::fold::write::upsert;

/// Repairs one table.
pub fn write(client: &mut SpiClient, table: &Derivable, day: &Day, differences: &[Difference]) -> Result<()> {
    let lacking: HashMap<(&Key, &str), Pair> =
        differences.iter().map(|found| ((&found.key, found.column), found.pair)).collect();
    let columns = day.totals.columns(table.role);
    let keys = sums::keys(table, &columns);
    let differing: HashSet<&Key> = differences.iter().map(|found| &found.key).collect();
    let rows: Vec<usize> = (0..keys.len()).filter(|at| differing.contains(&keys[*at])).collect();
    let changes = columns.into_iter().map(|column| restricted(column, &rows, &keys, &lacking)).collect();
    upsert::write(client, table.target, changes)
}

/// The column's values for just these rows. For a sum it is the missing amount.
fn restricted<'a>(
    column: Column<'a>,
    rows: &[usize],
    keys: &[Key],
    lacking: &HashMap<(&Key, &str), Pair>,
) -> Column<'a> {
    let pair = |at: &usize| lacking.get(&(&keys[*at], column.name)).copied();
    let count = |at: &usize| match pair(at) {
        Some(Pair::Count { logged, stored }) => logged.unwrap_or(0).saturating_sub(stored.unwrap_or(0)),
        _ => 0,
    };
    let dollars = |at: &usize| match pair(at) {
        Some(Pair::Dollars { logged, stored }) => logged.unwrap_or(0.0) - stored.unwrap_or(0.0),
        _ => 0.0,
    };
    let values = match (column.on_conflict, column.values) {
        (OnConflict::Add, Values::Count(_)) => Values::Count(rows.iter().map(count).collect()),
        (OnConflict::Add, Values::Dollars(_)) => Values::Dollars(rows.iter().map(dollars).collect()),
        (_, Values::Text(texts)) => Values::Text(rows.iter().map(|at| texts[*at]).collect()),
        (_, Values::Code(codes)) => Values::Code(rows.iter().map(|at| codes[*at]).collect()),
        (_, other) => other,
    };
    Column { name: column.name, on_conflict: column.on_conflict, values }
}
