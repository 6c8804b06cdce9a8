//! Prepares one of the extension's tables for a TRUNCATE that waits for no session (invariant 5). TRUNCATE also locks
//! the TOAST table and all indexes. It would wait for a session that uses only one of these, such as a vacuum of the
//! TOAST table.

use pgrx::pg_sys::{self, Oid};

use crate::postgres::own_tables::Relation;
use crate::postgres::relation;

const MODE: u32 = pg_sys::AccessExclusiveLock;

/// Locks the table, its indexes and its TOAST table, as a truncation needs. Returns false if a lock is not free; then
/// nothing stays locked.
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

/// Locks the indexes of a locked table, its TOAST table, and the index of the TOAST table.
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
