//! Adds sums to a table that has one row per key. One set-based upsert writes the rows in key order (invariant 8). It
//! names only the columns that the table has.

use litellm_spend_core::totals::columns::{Column, OnConflict, Values, rows};
use pgrx::spi::{SpiClient, quote_identifier};

use super::{null_keys, saturation};
use crate::error::Result;
use crate::postgres::batch_table::{self, Rows, Type, Value};
use crate::postgres::owner;
use crate::targets::{Table, Target};

pub const NOW: &str = "pg_catalog.timezone('UTC', pg_catalog.now())";

/// Adds the rows to the target, with the rights of the target's owner.
pub fn write(client: &mut SpiClient, target: &Target, columns: Vec<Column>) -> Result<()> {
    let columns: Vec<Column> = columns
        .into_iter()
        .filter(|column| target.table.has(column.name))
        .map(|column| within_range(column, &target.table))
        .collect();
    let count = rows(&columns);
    if count == 0 {
        return Ok(());
    }
    let nullable = null_keys::nullable_key(target);
    let statement = statement(target, &columns);
    let types: Vec<(&str, Type)> = columns.iter().map(|column| (column.name, column_type(&column.values))).collect();
    let fill = |rows: &mut Rows| {
        let mut values = Vec::with_capacity(columns.len());
        for row in 0..count {
            values.clear();
            values.extend(columns.iter().map(|column| value(&column.values, row)));
            rows.push(&values);
        }
    };
    owner::act_as(client, target.table.owner, |client| {
        if nullable.is_empty() {
            return batch_table::write(&statement, &types, fill);
        }
        let statement = null_keys::returning_new_rows(target, &statement);
        batch_table::run(&statement, &types, fill, |new_rows| null_keys::merge(client, target, &nullable, new_rows))
    })
}

/// The column with its counts clamped to the range of the table's column.
fn within_range<'a>(mut column: Column<'a>, table: &Table) -> Column<'a> {
    if let Values::Count(counts) = &mut column.values {
        counts.iter_mut().for_each(|count| *count = table.clamped(column.name, *count));
    }
    column
}

fn column_type(values: &Values) -> Type {
    match values {
        Values::Text(_) => Type::Text,
        Values::Count(_) => Type::Count,
        Values::Code(_) => Type::Code,
        Values::Dollars(_) => Type::Dollars,
    }
}

fn value<'v>(values: &'v Values, row: usize) -> Value<'v> {
    match values {
        Values::Text(values) => Value::Text(values[row]),
        Values::Count(values) => Value::Count(values[row]),
        Values::Code(values) => Value::Code(values[row]),
        Values::Dollars(values) => Value::Dollars(values[row]),
    }
}

fn statement(target: &Target, columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| quote_identifier(column.name)).collect();
    let made = [("id", "pg_catalog.gen_random_uuid()::pg_catalog.text"), ("created_at", NOW), ("updated_at", NOW)];
    let (made_names, made_values): (Vec<&str>, Vec<&str>) =
        made.into_iter().filter(|(name, _)| target.table.has(name)).unzip();
    let mut changes: Vec<String> = columns
        .iter()
        .zip(&names)
        .filter_map(|(column, name)| match column.on_conflict {
            OnConflict::Keep => None,
            OnConflict::Replace => Some(format!("{name} = coalesce(EXCLUDED.{name}, t.{name})")),
            OnConflict::Add => {
                let (held, added) = (format!("t.{name}"), format!("EXCLUDED.{name}"));
                Some(format!("{name} = {}", saturation::sum(&target.table, column.name, &held, &added)))
            }
        })
        .collect();
    if target.table.has("updated_at") {
        changes.push("updated_at = EXCLUDED.updated_at".to_owned());
    }
    format!(
        "INSERT INTO {} AS t ({}) SELECT {} FROM batch AS r ON CONFLICT ({}) DO UPDATE SET {}",
        target.table.name,
        made_names.into_iter().map(str::to_owned).chain(names.iter().cloned()).collect::<Vec<_>>().join(", "),
        made_values
            .into_iter()
            .map(str::to_owned)
            .chain(names.iter().map(|name| format!("r.{name}")))
            .collect::<Vec<_>>()
            .join(", "),
        target.conflict_target(),
        changes.join(", ")
    )
}
