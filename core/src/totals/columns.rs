//! The data that a fold adds to one table: its columns, their values, and what happens to each column if the row exists
//! already.

use std::borrow::Cow;

/// What happens to a column if the row exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// The old value stays. The column is part of the key, or keeps the value of its first writer.
    Keep,
    /// The new value replaces the old one.
    Replace,
    /// The new value is added to the old one.
    Add,
}

/// The values of a column, one for each row.
#[derive(Debug, Clone, PartialEq)]
pub enum Values<'a> {
    /// Texts.
    Text(Vec<&'a str>),
    /// Counts.
    Count(Vec<i64>),
    /// HTTP statuses, in an `integer` column.
    Code(Vec<i32>),
    /// Sums in US dollars.
    Dollars(Vec<f64>),
}

/// A column and the values that a fold has for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Column<'a> {
    /// The column's name.
    pub name: &'static str,
    /// What happens to the column if the row exists already.
    pub on_conflict: OnConflict,
    /// The values, one for each row.
    pub values: Values<'a>,
}

impl<'a> Column<'a> {
    /// A text that is part of the key, or that keeps the value of its first writer.
    pub fn text(name: &'static str, values: impl IntoIterator<Item = &'a str>) -> Self {
        Column { name, on_conflict: OnConflict::Keep, values: Values::Text(values.into_iter().collect()) }
    }

    /// A text that the latest writer replaces.
    pub fn latest_text(name: &'static str, values: impl IntoIterator<Item = &'a str>) -> Self {
        Column { on_conflict: OnConflict::Replace, ..Column::text(name, values) }
    }

    /// An HTTP status that is part of the key.
    pub fn code(name: &'static str, values: impl IntoIterator<Item = i32>) -> Self {
        Column { name, on_conflict: OnConflict::Keep, values: Values::Code(values.into_iter().collect()) }
    }

    /// A count that is added up.
    pub fn count(name: &'static str, values: impl IntoIterator<Item = i64>) -> Self {
        Column { name, on_conflict: OnConflict::Add, values: Values::Count(values.into_iter().collect()) }
    }

    /// US dollars that are added up.
    pub fn dollars(name: &'static str, values: impl IntoIterator<Item = f64>) -> Self {
        Column { name, on_conflict: OnConflict::Add, values: Values::Dollars(values.into_iter().collect()) }
    }
}

impl Values<'_> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self {
            Values::Text(values) => values.len(),
            Values::Count(values) => values.len(),
            Values::Code(values) => values.len(),
            Values::Dollars(values) => values.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a row, as text.
    fn text_at(&self, row: usize) -> Cow<'_, str> {
        match self {
            Values::Text(values) => Cow::Borrowed(values[row]),
            Values::Count(values) => Cow::Owned(values[row].to_string()),
            Values::Code(values) => Cow::Owned(values[row].to_string()),
            Values::Dollars(values) => Cow::Owned(values[row].to_string()),
        }
    }
}

/// How many rows the columns have.
pub fn rows(columns: &[Column]) -> usize {
    columns.first().map_or(0, |column| column.values.len())
}

/// The column with this name; `None` if there is none.
pub fn named<'c, 'a>(columns: &'c [Column<'a>], name: &str) -> Option<&'c Column<'a>> {
    columns.iter().find(|column| column.name == name)
}

/// The values of the named columns as text, row by row. A name that is not a column is left out.
pub fn keys<'n>(columns: &[Column], names: impl IntoIterator<Item = &'n str>) -> Vec<Vec<String>> {
    let of_key: Vec<&Column> = names.into_iter().filter_map(|name| named(columns, name)).collect();
    (0..rows(columns))
        .map(|row| of_key.iter().map(|column| column.values.text_at(row).into_owned()).collect())
        .collect()
}
