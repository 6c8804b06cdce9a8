//! Compares the sums of the log with the stored numbers.

use std::borrow::Cow;

use litellm_spend_core::json::Json;

use super::day::Day;
use super::derivable::Derivable;
use super::sums::{self, Key, Numbers, Sums};

/// The largest difference at which two sums of money count as equal, relative to the sum of their absolute amounts. A
/// column adds up rounded sums, each wrong by 1e-16 at most, so ten million of them are needed for an error this large.
const TOLERANCE: f64 = 1e-9;

/// One number on both sides. A side that has no row is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pair {
    Count { logged: Option<i64>, stored: Option<i64> },
    Dollars { logged: Option<f64>, stored: Option<f64> },
}

/// A number that differs, with its row and column.
#[derive(Debug)]
pub struct Difference {
    pub key: Key,
    pub column: &'static str,
    pub pair: Pair,
}

/// The numbers of one table that differ, in the order of its key.
pub fn find(table: &Derivable, stored: &Sums, day: &Day) -> Vec<Difference> {
    let logged = sums::of_columns(table, &day.totals.columns(table.role));
    let refunds = sums::of_columns(table, &day.refunds.columns(table.role));
    let doubtful = day.doubtful_keys(table);
    let mut keys: Vec<&Key> = logged.keys().chain(stored.keys()).filter(|key| !doubtful.contains(*key)).collect();
    keys.sort_unstable();
    keys.dedup();
    let differ = |key| of_row(table, key, logged.get(key), stored.get(key), refunds.get(key));
    keys.into_iter().flat_map(differ).collect()
}

fn of_row(
    table: &Derivable,
    key: &Key,
    logged: Option<&Numbers>,
    stored: Option<&Numbers>,
    refunds: Option<&Numbers>,
) -> Vec<Difference> {
    let count = |row: Option<&Numbers>, at: usize| row.and_then(|row| row.counts.get(at).copied());
    let dollars = |row: Option<&Numbers>, at: usize| row.and_then(|row| row.dollars.get(at).copied());
    let counts = table.counts.iter().enumerate().filter_map(|(at, column)| {
        let (logged, stored) = (count(logged, at), count(stored, at));
        (logged.unwrap_or(0) != stored.unwrap_or(0)).then_some((*column, Pair::Count { logged, stored }))
    });
    let money = table.dollars.iter().enumerate().filter_map(|(at, column)| {
        let (logged, stored) = (dollars(logged, at), dollars(stored, at));
        let refunded = dollars(refunds, at).unwrap_or(0.0);
        let agree = agree(logged.unwrap_or(0.0), stored.unwrap_or(0.0), refunded);
        (!agree).then_some((*column, Pair::Dollars { logged, stored }))
    });
    counts.chain(money).map(|(column, pair)| Difference { key: key.clone(), column, pair }).collect()
}

fn agree(logged: f64, stored: f64, refunded: f64) -> bool {
    let amounts = (logged + 2.0 * refunded).abs().max(stored.abs());
    (logged - stored).abs() <= TOLERANCE * amounts
}

impl Difference {
    /// Whether the log has no request for the stored row.
    pub fn is_without_request(&self) -> bool {
        matches!(self.pair, Pair::Count { logged: None, .. } | Pair::Dollars { logged: None, .. })
    }

    /// Whether the row counts more requests than the log has.
    pub fn exceeds_log(&self) -> bool {
        let is_requests = matches!(
            self.column,
            "api_requests" | "successful_requests" | "failed_requests" | "request_count" | "timed_requests"
        );
        is_requests && matches!(self.pair, Pair::Count { logged, stored } if stored > logged)
    }

    /// The table's key columns with their values.
    pub fn key_document(&self, table: &Derivable) -> Json<'_> {
        let members = table.keys.iter().zip(&self.key);
        Json::Object(members.map(|(name, value)| (Cow::Borrowed(*name), text(value))).collect())
    }
}

fn text(value: &str) -> Json<'_> {
    Json::Str(Cow::Borrowed(value))
}
