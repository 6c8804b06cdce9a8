//! Unique keys of a table, as `ON CONFLICT` must name them. LiteLLM's index names are cut at 63 bytes
//! and differ per table, so a key is known by its columns.

use pgrx::spi::quote_identifier;

/// A valid unique index over whole rows.
pub struct UniqueKey {
    parts: Vec<Part>,
}

struct Part {
    /// The column it indexes; `None` for an expression that is more than a column.
    column: Option<String>,
    /// As `pg_get_indexdef` shows it.
    definition: String,
}

/// A unique key that fits a target.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its columns, in index order.
    pub columns: Vec<String>,
    /// What `ON CONFLICT (…)` names.
    pub conflict_target: String,
}

impl Key {
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|own| own == column)
    }
}

impl UniqueKey {
    /// `columns` and `definitions` of the index's parts; an expression has an empty column.
    pub fn new(columns: Vec<Option<String>>, definitions: Vec<String>, of_table: &[&str]) -> Self {
        let parts = columns
            .into_iter()
            .zip(definitions)
            .map(|(column, definition)| Part {
                column: column.or_else(|| coalesced_column(&definition, of_table)),
                definition,
            })
            .collect();
        UniqueKey { parts }
    }

    /// The key, if it consists of all of `required` and at most `optional` besides.
    pub fn fit(&self, required: &[&str], optional: &[&str]) -> Option<Key> {
        let columns: Vec<String> = self.parts.iter().map(|part| part.column.clone()).collect::<Option<_>>()?;
        let has_all = required.iter().all(|name| columns.iter().any(|own| own == name));
        let has_no_other =
            columns.iter().all(|own| required.contains(&own.as_str()) || optional.contains(&own.as_str()));
        let conflict_target = self.parts.iter().map(|part| part.definition.as_str()).collect::<Vec<_>>().join(", ");
        (has_all && has_no_other).then_some(Key { columns, conflict_target })
    }
}

/// The column of `COALESCE(column, '')`. A fold writes no NULL into a key, so for its rows the
/// expression and the column are the same.
fn coalesced_column(definition: &str, of_table: &[&str]) -> Option<String> {
    let is_it = |column: &&&str| definition == format!("COALESCE({}, ''::text)", quote_identifier(**column));
    of_table.iter().find(is_it).map(|column| (*column).to_owned())
}
