//! A table of LiteLLM, as the catalogue describes it.

use std::collections::HashMap;

use pgrx::prelude::*;

use super::keys::{Key, UniqueKey};
use crate::error::{Error, Result};
use crate::postgres::owner;

/// A table, or another relation that has a table's name.
pub struct Table {
    pub oid: pg_sys::Oid,
    /// The name, schema-qualified and quoted.
    pub name: String,
    pub owner: pg_sys::Oid,
    /// False for a view, materialized view or foreign table.
    pub is_table: bool,
    pub is_partitioned: bool,
    /// Whether a partitioned table has a `DEFAULT` partition.
    pub takes_every_row: bool,
    /// Whether a foreign key references the table.
    pub is_referenced: bool,
    pub columns: HashMap<String, Column>,
    pub unique_keys: Vec<UniqueKey>,
    /// Rules that rewrite writes, by name.
    pub rules: Vec<Rule>,
    /// Everything that may change or refuse a write: triggers, rules on DELETE, row security.
    pub peculiarities: Vec<String>,
}

/// A column of a table.
pub struct Column {
    /// The name that `format_type` shows, without a modifier.
    pub type_name: String,
    /// The values of an enum.
    pub labels: Vec<String>,
    /// Whether the column has a default, an identity or a generated value.
    pub has_default: bool,
    pub is_nullable: bool,
    pub is_generated: bool,
}

/// A rule of a table.
pub struct Rule {
    pub name: String,
    /// Whether the rule rewrites deletions, and not inserts or updates.
    pub is_of_deletes: bool,
}

const NUMBERS: [&str; 6] = ["smallint", "integer", "bigint", "real", "double precision", "numeric"];

impl Table {
    pub fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    pub fn is_of_type(&self, column: &str, type_name: &str) -> bool {
        self.columns.get(column).is_some_and(|found| found.type_name == type_name)
    }

    /// The least and the largest number that an integer column holds.
    pub fn integer_range(&self, column: &str) -> Option<(i64, i64)> {
        match self.columns.get(column)?.type_name.as_str() {
            "smallint" => Some((i16::MIN.into(), i16::MAX.into())),
            "integer" => Some((i32::MIN.into(), i32::MAX.into())),
            "bigint" => Some((i64::MIN, i64::MAX)),
            _ => None,
        }
    }

    /// A count, clamped to the range of the column.
    pub fn clamped(&self, column: &str, count: i64) -> i64 {
        let (least, most) = self.integer_range(column).unwrap_or((i64::MIN, i64::MAX));
        count.clamp(least, most)
    }

    pub fn is_nullable(&self, column: &str) -> bool {
        self.columns.get(column).is_some_and(|found| found.is_nullable)
    }

    /// Checks that one statement may read this table and `other` with the rights of this table's owner. That role must
    /// have the right to read `other`, and the owner of `other` must have the rights of that role already. The second
    /// check is needed because a table may bring code of its owner: in the types of its columns, or in an index
    /// expression that Postgres evaluates to plan. A role that may create tables in LiteLLM's schema can create one
    /// with a name that LiteLLM does not use yet.
    pub fn require_owner_reads(&self, other: &Table) -> Result<()> {
        if !owner::may_select(self.owner, other.oid) {
            return Err(Error::refused(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("the owner of {} may not read {}", self.name, other.name),
                "GRANT SELECT on it to the owner of the log, because both are read with the rights of that role.",
            ));
        }
        if !owner::has_rights_of(other.owner, self.owner) {
            return Err(Error::refused(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("the owner of {} does not have the rights of the owner of {}", other.name, self.name),
                "Give both tables one owner, or GRANT the role of the log's owner to the other owner. A table may \
                 bring code of its owner, and that code must not run with another role's rights.",
            ));
        }
        Ok(())
    }

    /// The unique key that has all columns of `required`, and no other columns than `required` and `optional`. Of
    /// several keys this is the shortest, because rows that differ in the shortest key differ in the others too.
    pub fn key(&self, required: &[&str], optional: &[&str]) -> Option<Key> {
        let fitting = self.unique_keys.iter().filter_map(|key| key.fit(required, optional));
        fitting.min_by_key(|key| key.columns.len())
    }

    /// The number columns that can be set, sorted.
    pub fn numbers(&self) -> Vec<&str> {
        self.columns_where(|column| NUMBERS.contains(&column.type_name.as_str()) && !column.is_generated)
    }

    /// The columns for which each row must provide a value, sorted.
    pub fn required_columns(&self) -> Vec<&str> {
        self.columns_where(|column| !column.has_default && !column.is_nullable)
    }

    /// The text array columns without a default, which LiteLLM always fills, sorted.
    pub fn bare_lists(&self) -> Vec<&str> {
        self.columns_where(|column| column.type_name == "text[]" && !column.has_default)
    }

    fn columns_where(&self, holds: impl Fn(&Column) -> bool) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.columns.iter().filter(|(_, column)| holds(column)).map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }
}
