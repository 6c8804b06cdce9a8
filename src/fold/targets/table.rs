//! A table of LiteLLM's as the catalogue describes it.

use std::collections::HashMap;

use pgrx::prelude::*;

use super::keys::UniqueKey;

/// A table, or what bears a table's name.
pub struct Table {
    pub oid: pg_sys::Oid,
    /// Schema-qualified and quoted.
    pub name: String,
    pub owner: pg_sys::Oid,
    /// False for a view, materialized view or foreign table.
    pub is_table: bool,
    pub is_partitioned: bool,
    /// Whether a partitioned table has a `DEFAULT` partition.
    pub takes_every_row: bool,
    pub columns: HashMap<String, Column>,
    pub unique_keys: Vec<UniqueKey>,
    /// What may change or refuse a write: triggers, rules, row security.
    pub peculiarities: Vec<String>,
}

/// A column of a table.
pub struct Column {
    /// As `format_type` names it, without a modifier.
    pub type_name: String,
    pub has_default: bool,
    pub is_nullable: bool,
}

impl Table {
    pub fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    pub fn is_of_type(&self, column: &str, type_name: &str) -> bool {
        self.columns.get(column).is_some_and(|found| found.type_name == type_name)
    }

    pub fn is_nullable(&self, column: &str) -> bool {
        self.columns.get(column).is_some_and(|found| found.is_nullable)
    }

    /// Text array columns without a default, which LiteLLM always fills; sorted.
    pub fn bare_lists(&self) -> Vec<&str> {
        let bare = |column: &Column| column.type_name == "text[]" && !column.has_default;
        let mut lists: Vec<&str> =
            self.columns.iter().filter(|(_, column)| bare(column)).map(|(name, _)| name.as_str()).collect();
        lists.sort_unstable();
        lists
    }
}
