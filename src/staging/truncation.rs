//! Prepares a table of the extension's own for a TRUNCATE that waits for nobody (invariant 5). TRUNCATE locks the
//! TOAST table and all indexes as well, and would wait for whoever uses one of those alone: a vacuum of the TOAST
//! table, say.

use pgrx::pg_sys::{self, Oid};

use crate::postgres::own_tables::Relation;
use crate::postgres::relation;

const MODE: u32 = pg_sys::AccessExclusiveLock;

/// Locks all that a truncation of the table needs; false if that would mean to wait, and then nothing is locked.
pub fn lock(table: Relation) -> bool {
    let Some(table) = table.lock_without_waiting(MODE) else { return false };
    let mut locked = vec![table];
    if lock_parts(table, &mut locked) {
        return true;
    }
    for part in locked {
        relation::unlock(part, MODE);
    }
    false
}

/// Locks the indexes of a locked table, and its TOAST table with that one's.
fn lock_parts(table: Oid, locked: &mut Vec<Oid>) -> bool {
    let (indexes, toast) = relation::parts(table);
    indexes.into_iter().all(|index| lock_one(index, locked))
        && toast.is_none_or(|toast| lock_one(toast, locked) && lock_parts(toast, locked))
}

fn lock_one(oid: Oid, locked: &mut Vec<Oid>) -> bool {
    let is_locked = relation::try_lock(oid, MODE);
    if is_locked {
        locked.push(oid);
    }
    is_locked
}
