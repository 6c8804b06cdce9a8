//! Adds sums to a table that has one row a key: one set-based upsert, rows in key order (invariant 8),
//! naming just the columns that the table has.

use pgrx::spi::{SpiClient, quote_identifier};

use super::{null_keys, saturation};
use crate::error::Result;
use crate::postgres::batch_table::{self, Rows, Type, Value};
use crate::postgres::owner;
use crate::targets::{Table, Target};

/// What becomes of a column when the row is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Part of the key, or left as its first writer had it.
    First,
    /// Replaced.
    Latest,
    /// Added up.
    Sum,
}

/// The values of a column, one a row.
pub enum Values<'a> {
    Text(Vec<&'a str>),
    Count(Vec<i64>),
    Code(Vec<i32>),
    Dollars(Vec<f64>),
}

/// A column and what a batch has for it.
pub struct Column<'a> {
    pub name: &'static str,
    pub on: On,
    pub values: Values<'a>,
}

impl<'a> Column<'a> {
    pub fn first(name: &'static str, values: Vec<&'a str>) -> Self {
        Column { name, on: On::First, values: Values::Text(values) }
    }

    pub fn count(name: &'static str, values: Vec<i64>) -> Self {
        Column { name, on: On::Sum, values: Values::Count(values) }
    }

    pub fn dollars(name: &'static str, values: Vec<f64>) -> Self {
        Column { name, on: On::Sum, values: Values::Dollars(values) }
    }

    /// With counts that the table's column can hold.
    fn within_range_of(mut self, table: &Table) -> Self {
        if let Values::Count(counts) = &mut self.values {
            counts.iter_mut().for_each(|count| *count = table.clamped(self.name, *count));
        }
        self
    }
}

impl Values<'_> {
    fn column_type(&self) -> Type {
        match self {
            Values::Text(_) => Type::Text,
            Values::Count(_) => Type::Count,
            Values::Code(_) => Type::Code,
            Values::Dollars(_) => Type::Dollars,
        }
    }

    /// How many rows they are for.
    pub fn len(&self) -> usize {
        match self {
            Values::Text(values) => values.len(),
            Values::Count(values) => values.len(),
            Values::Code(values) => values.len(),
            Values::Dollars(values) => values.len(),
        }
    }

    fn text_at(&self, row: usize) -> String {
        match self {
            Values::Text(values) => values[row].to_owned(),
            Values::Count(values) => values[row].to_string(),
            Values::Code(values) => values[row].to_string(),
            Values::Dollars(values) => values[row].to_string(),
        }
    }

    fn at(&self, row: usize) -> Value<'_> {
        match self {
            Values::Text(values) => Value::Text(values[row]),
            Values::Count(values) => Value::Count(values[row]),
            Values::Code(values) => Value::Code(values[row]),
            Values::Dollars(values) => Value::Dollars(values[row]),
        }
    }
}

/// The values of these columns, row by row, as text.
pub fn keys(names: &[String], columns: &[Column]) -> Vec<Vec<String>> {
    let count = columns.first().map_or(0, |column| column.values.len());
    let of_key: Vec<&Column> =
        names.iter().filter_map(|name| columns.iter().find(|column| column.name == name)).collect();
    (0..count).map(|row| of_key.iter().map(|column| column.values.text_at(row)).collect()).collect()
}

pub const NOW: &str = "pg_catalog.timezone('UTC', pg_catalog.now())";

/// Adds the rows to the target, as its owner.
pub fn write(client: &mut SpiClient, target: &Target, columns: Vec<Column>) -> Result<()> {
    let columns: Vec<Column> = columns
        .into_iter()
        .filter(|column| target.table.has(column.name))
        .map(|column| column.within_range_of(&target.table))
        .collect();
    let count = columns.first().map_or(0, |column| column.values.len());
    if count == 0 {
        return Ok(());
    }
    let nullable = null_keys::nullable_key(target);
    let statement = statement(target, &columns);
    let types: Vec<(&str, Type)> = columns.iter().map(|column| (column.name, column.values.column_type())).collect();
    let fill = |rows: &mut Rows| {
        let mut values = Vec::with_capacity(columns.len());
        for row in 0..count {
            values.clear();
            values.extend(columns.iter().map(|column| column.values.at(row)));
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

fn statement(target: &Target, columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| quote_identifier(column.name)).collect();
    let made = [("id", "pg_catalog.gen_random_uuid()::pg_catalog.text"), ("created_at", NOW), ("updated_at", NOW)];
    let (made_names, made_values): (Vec<&str>, Vec<&str>) =
        made.into_iter().filter(|(name, _)| target.table.has(name)).unzip();
    let mut changes: Vec<String> = columns
        .iter()
        .zip(&names)
        .filter_map(|(column, name)| match column.on {
            On::First => None,
            On::Latest => Some(format!("{name} = coalesce(EXCLUDED.{name}, t.{name})")),
            On::Sum => {
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
