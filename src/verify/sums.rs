//! The numbers of one table by key, from the log or from the table itself.

use std::collections::BTreeMap;

use litellm_spend_core::totals::columns::{self, Column, Values};

use super::derivable::Derivable;

/// The values of a table's key columns as text. NULL is `''`.
pub type Key = Vec<String>;

/// Numbers in the order of `Derivable`'s columns.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    pub counts: Vec<i64>,
    pub dollars: Vec<f64>,
}

/// Rows by key.
pub type Sums = BTreeMap<Key, Numbers>;

/// The rows of `columns`. Each row is one element of each array.
pub fn of_columns(table: &Derivable, columns: &[Column]) -> Sums {
    keys(table, columns)
        .into_iter()
        .enumerate()
        .map(|(at, key)| {
            // The number is clamped to the column, as a fold does.
            let clamped = |name: &str, count| table.target.table.clamped(name, count);
            let count = |name: &&str| values(columns, name).map_or(0, |values| clamped(name, count_at(values, at)));
            let dollars = |name: &&str| values(columns, name).map_or(0.0, |values| dollars_at(values, at));
            let numbers = Numbers {
                counts: table.counts.iter().map(count).collect(),
                dollars: table.dollars.iter().map(dollars).collect(),
            };
            (key, numbers)
        })
        .collect()
}

/// The key of each row of `columns`, in their order.
pub fn keys(table: &Derivable, columns: &[Column]) -> Vec<Key> {
    columns::keys(columns, table.keys.iter().copied())
}

fn values<'c, 'a>(columns: &'c [Column<'a>], name: &str) -> Option<&'c Values<'a>> {
    columns::named(columns, name).map(|column| &column.values)
}

fn count_at(values: &Values, at: usize) -> i64 {
    if let Values::Count(counts) = values { counts.get(at).copied().unwrap_or(0) } else { 0 }
}

fn dollars_at(values: &Values, at: usize) -> f64 {
    if let Values::Dollars(dollars) = values { dollars.get(at).copied().unwrap_or(0.0) } else { 0.0 }
}
