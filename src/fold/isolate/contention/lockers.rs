//! Tells a row that one session holds from a row that many sessions lock one after the other: the same transaction has
//! locked it for long. Who waits for the other kind of row gets it, so its records are not postponed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Targets, join, rows_by_target};
use crate::error::Result;
use crate::fold::row_key::Key;

/// A row is held if one transaction has locked it for so long.
const LONG: Duration = Duration::from_millis(500);
/// From so many rows on all are forgotten.
const MOST_KEPT: usize = 10_000;

thread_local! {
    /// Which transaction had locked a row at the last look, and when it was seen first.
    static LOCKERS: RefCell<HashMap<Key, (String, Instant)>> = RefCell::default();
}

/// Divides rows that other sessions have locked: those that one transaction has locked for long, or of which that
/// cannot be known, and the others.
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

/// The transaction that has locked each of these rows, as text. Of a row that several have locked it is none.
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
