//! Tells a row that one session holds from a row that many sessions lock one after the other. One session holds a row
//! if the same transaction has locked it for long. A fold that waits for the other kind of row gets it, so its records
//! are not postponed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Targets, join, rows_by_target};
use crate::error::Result;
use crate::fold::row_key::Key;

/// A row is held if one transaction has locked it for this long.
const LONG: Duration = Duration::from_millis(500);
/// The most rows that are remembered. All of them are forgotten when there would be more.
const MOST_KEPT: usize = 10_000;

thread_local! {
    /// The transaction that had locked a row at the last look, and when that transaction was first seen.
    static LOCKERS: RefCell<HashMap<Key, (String, Instant)>> = RefCell::default();
}

/// Divides rows that other sessions have locked. The first part is the rows that one transaction has locked for long,
/// and the rows whose transaction is not known. The second part is all other rows.
pub fn divide(targets: &Targets, keys: Vec<Key>) -> Result<(Vec<Key>, Vec<Key>)> {
    let lockers = of_keys(targets, &keys)?;
    Ok(LOCKERS.with_borrow_mut(|known| {
        if known.len() + lockers.len() > MOST_KEPT {
            known.clear();
        }
        for (key, locker) in lockers {
            let seen = known.entry(key).or_insert_with(|| (locker.clone(), Instant::now()));
            if seen.0 != locker {
                *seen = (locker, Instant::now());
            }
        }
        keys.into_iter().partition(|key| known.get(key).is_none_or(|(_, since)| since.elapsed() >= LONG))
    }))
}

/// The transaction that has locked each of these rows, as text. If several sessions have locked a row, the text names
/// no transaction.
pub fn of_keys<'k>(targets: &Targets, keys: impl IntoIterator<Item = &'k Key> + Clone) -> Result<HashMap<Key, String>> {
    let mut lockers = HashMap::new();
    for (role, target, rows) in rows_by_target(targets, keys) {
        join(role, target, &rows, "b.n, t.xmax::pg_catalog.text", "", |found| {
            for row in found {
                let at = row.get::<i64>(1)?.and_then(|n| usize::try_from(n).ok());
                if let (Some(key), Some(locker)) = (at.and_then(|at| rows.get(at)), row.get(2)?) {
                    lockers.insert((*key).clone(), locker);
                }
            }
            Ok(())
        })?;
    }
    Ok(lockers)
}
