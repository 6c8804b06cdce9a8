//! Unique keys of a table, as `ON CONFLICT` must name them. A key is identified by its columns, because LiteLLM's index
//! names are truncated at 63 bytes and differ per table.

use pgrx::spi::quote_identifier;

/// A valid unique index over whole rows.
pub struct UniqueKey {
    parts: Vec<Part>,
}

struct Part {
    /// The indexed column; `None` for an expression that is more than a column.
    column: Option<String>,
    /// The definition that `pg_get_indexdef` shows.
    definition: String,
}

/// A unique key that fits a target.
#[derive(Debug, Clone)]
pub struct Key {
    /// The columns of the key, in index order.
    pub columns: Vec<String>,
    /// The text in the parentheses of `ON CONFLICT (…)`.
    pub conflict_target: String,
}

impl Key {
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|own| own == column)
    }
}

impl UniqueKey {
    /// A key from the `columns` and `definitions` of the index's parts. The column of an expression is `None`.
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

    /// The key, if it has all columns of `required`, and no other columns than `required` and `optional`.
    pub fn fit(&self, required: &[&str], optional: &[&str]) -> Option<Key> {
        let columns: Vec<String> = self.parts.iter().map(|part| part.column.clone()).collect::<Option<_>>()?;
        let has_all = required.iter().all(|name| columns.iter().any(|own| own == name));
        let has_no_other =
            columns.iter().all(|own| required.contains(&own.as_str()) || optional.contains(&own.as_str()));
        let conflict_target = self.parts.iter().map(|part| part.definition.as_str()).collect::<Vec<_>>().join(", ");
        (has_all && has_no_other).then_some(Key { columns, conflict_target })
    }
}

/// The column of `COALESCE(column, '')`. A fold writes no NULL into a key, so the expression and the column have the
/// same value in a fold's rows.
fn coalesced_column(definition: &str, of_table: &[&str]) -> Option<String> {
    let is_it = |column: &&&str| definition == format!("COALESCE({}, ''::text)", quote_identifier(**column));
    of_table.iter().find(is_it).map(|column| (*column).to_owned())
}
