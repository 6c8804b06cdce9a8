//! Prepares a table of the extension's own for a TRUNCATE that waits for nobody (invariant 5). TRUNCATE locks the
//! TOAST table and all indexes as well, and would wait for whoever uses one of those alone: a vacuum of the TOAST
//! table, say.

use pgrx::pg_sys::{self, LOCKMODE, Oid};

use crate::postgres::own_tables::Relation;

const MODE: u32 = pg_sys::AccessExclusiveLock;

/// Locks all that a truncation of the table needs; false if that would mean to wait, and then nothing is locked.
pub fn lock(table: Relation) -> bool {
    let Some(table) = table.lock_without_waiting(MODE) else { return false };
    let mut locked = vec![table];
    if lock_parts(table, &mut locked) {
        return true;
    }
    for part in locked {
        // SAFETY: releases a lock that was taken just now.
        unsafe { pg_sys::UnlockRelationOid(part, MODE as LOCKMODE) };
    }
    false
}

/// Locks the indexes of a locked table, and its TOAST table with that one's.
fn lock_parts(table: Oid, locked: &mut Vec<Oid>) -> bool {
    let (indexes, toast) = parts(table);
    indexes.into_iter().all(|index| lock_one(index, locked))
        && toast.is_none_or(|toast| lock_one(toast, locked) && lock_parts(toast, locked))
}

fn lock_one(oid: Oid, locked: &mut Vec<Oid>) -> bool {
    // SAFETY: a lock request by oid, within a transaction.
    let is_locked = unsafe { pg_sys::ConditionalLockRelationOid(oid, MODE as LOCKMODE) };
    if is_locked {
        locked.push(oid);
    }
    is_locked
}

/// The indexes and the TOAST table of a table.
fn parts(table: Oid) -> (Vec<Oid>, Option<Oid>) {
    // SAFETY: the table is locked, so it can be opened without a lock; the list is this call's own.
    unsafe {
        let relation = pg_sys::relation_open(table, pg_sys::NoLock as LOCKMODE);
        let toast = (*(*relation).rd_rel).reltoastrelid;
        let list = pgrx::PgList::<Oid>::from_pg(pg_sys::RelationGetIndexList(relation));
        let indexes = list.iter_oid().collect();
        pg_sys::relation_close(relation, pg_sys::NoLock as LOCKMODE);
        (indexes, (toast != pg_sys::InvalidOid).then_some(toast))
    }
}
