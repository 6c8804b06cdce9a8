//! Adds sums to a table that has one row a key: one set-based upsert, rows in key order (invariant 8),
//! naming just the columns that the table has.

use pgrx::datum::DatumWithOid;
use pgrx::spi::{SpiClient, quote_identifier};

use super::targets::Target;
use super::{null_keys, owner};
use crate::error::Result;

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

/// One array of values, an element a row.
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
}

impl Values<'_> {
    pub fn type_name(&self) -> &'static str {
        match self {
            Values::Text(_) => "pg_catalog.text",
            Values::Count(_) => "pg_catalog.int8",
            Values::Code(_) => "pg_catalog.int4",
            Values::Dollars(_) => "pg_catalog.float8",
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
}

impl<'a> From<Values<'a>> for DatumWithOid<'a> {
    fn from(values: Values<'a>) -> Self {
        match values {
            Values::Text(values) => values.into(),
            Values::Count(values) => values.into(),
            Values::Code(values) => values.into(),
            Values::Dollars(values) => values.into(),
        }
    }
}

pub const NOW: &str = "pg_catalog.timezone('UTC', pg_catalog.now())";

/// Adds the rows to the target, as its owner.
pub fn write(client: &mut SpiClient, target: &Target, columns: Vec<Column>) -> Result<()> {
    let columns: Vec<Column> = columns.into_iter().filter(|column| target.table.has(column.name)).collect();
    if columns.first().is_none_or(|column| column.values.len() == 0) {
        return Ok(());
    }
    let nullable = null_keys::nullable_key(target);
    let mut statement = statement(target, &columns);
    if !nullable.is_empty() {
        statement = null_keys::returning_new_rows(target, &statement);
    }
    let merge = (!nullable.is_empty()).then(|| null_keys::merge_statement(target, &nullable));
    let arguments: Vec<DatumWithOid> = columns.into_iter().map(|column| column.values.into()).collect();
    owner::act_as(client, target.table.owner, |client| {
        let new_rows = client.update(&statement, None, &arguments)?;
        match merge {
            Some(merge) => null_keys::merge(client, target, new_rows, &merge),
            None => Ok(()),
        }
    })
}

fn statement(target: &Target, columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| quote_identifier(column.name)).collect();
    let parameters: Vec<String> =
        (1..).zip(columns).map(|(n, column)| format!("${n}::{}[]", column.values.type_name())).collect();
    let made = [("id", "pg_catalog.gen_random_uuid()::pg_catalog.text"), ("created_at", NOW), ("updated_at", NOW)];
    let (made_names, made_values): (Vec<&str>, Vec<&str>) =
        made.into_iter().filter(|(name, _)| target.table.has(name)).unzip();
    let mut changes: Vec<String> = columns
        .iter()
        .zip(&names)
        .filter_map(|(column, name)| match column.on {
            On::First => None,
            On::Latest => Some(format!("{name} = coalesce(EXCLUDED.{name}, t.{name})")),
            On::Sum => Some(format!("{name} = t.{name} + EXCLUDED.{name}")),
        })
        .collect();
    if target.table.has("updated_at") {
        changes.push("updated_at = EXCLUDED.updated_at".to_owned());
    }
    format!(
        "INSERT INTO {} AS t ({}) SELECT {} FROM unnest({}) AS r ({}) ON CONFLICT ({}) DO UPDATE SET {}",
        target.table.name,
        made_names.into_iter().map(str::to_owned).chain(names.iter().cloned()).collect::<Vec<_>>().join(", "),
        made_values
            .into_iter()
            .map(str::to_owned)
            .chain(names.iter().map(|name| format!("r.{name}")))
            .collect::<Vec<_>>()
            .join(", "),
        parameters.join(", "),
        names.join(", "),
        target.conflict_target(),
        changes.join(", ")
    )
}
