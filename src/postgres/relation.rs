//! What the server knows of a relation below SQL.

use std::cell::Cell;
use std::ffi::CString;

use pgrx::prelude::*;

/// Bytes of a table's heap; a truncated one has none.
pub fn heap_bytes(oid: pg_sys::Oid) -> u64 {
    // SAFETY: opens the relation under a lock that a fold holds already, and closes it.
    unsafe {
        let relation = pg_sys::relation_open(oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let blocks = pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM);
        pg_sys::relation_close(relation, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        u64::from(blocks) * u64::from(pg_sys::BLCKSZ)
    }
}

/// Locks a relation until the transaction ends, unless that would have to wait; whether it did.
pub fn try_lock(oid: pg_sys::Oid, mode: u32) -> bool {
    // SAFETY: a lock request by oid, within a transaction.
    unsafe { pg_sys::ConditionalLockRelationOid(oid, mode as pg_sys::LOCKMODE) }
}

/// Gives back a lock under which nothing was read or written yet.
pub fn unlock(oid: pg_sys::Oid, mode: u32) {
    // SAFETY: releases a lock of this transaction; one that it does not hold is a warning.
    unsafe { pg_sys::UnlockRelationOid(oid, mode as pg_sys::LOCKMODE) };
}

/// Whether this transaction holds the lock.
pub fn is_locked_by_me(oid: pg_sys::Oid, mode: u32) -> bool {
    // SAFETY: asks by oid about the locks of this transaction.
    unsafe { pg_sys::CheckRelationOidLockedByMe(oid, mode as pg_sys::LOCKMODE, false) }
}

/// The relations of these names in a schema; `InvalidOid` for each that is not there.
pub fn named<'n>(schema: &str, names: impl Iterator<Item = &'n str>) -> Vec<pg_sys::Oid> {
    // A name with a NUL byte is the name of nothing.
    let c_string = |text: &str| CString::new(text).unwrap_or_default();
    // SAFETY: catalogue look-ups by name within a transaction; an unknown name gives InvalidOid.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c_string(schema).as_ptr(), true);
        names.map(|name| pg_sys::get_relname_relid(c_string(name).as_ptr(), schema)).collect()
    }
}

/// The indexes and the TOAST table of a table that is locked.
pub fn parts(table: pg_sys::Oid) -> (Vec<pg_sys::Oid>, Option<pg_sys::Oid>) {
    // SAFETY: the table is locked, so it can be opened without a lock; the list is this call's own.
    unsafe {
        let relation = pg_sys::relation_open(table, pg_sys::NoLock as pg_sys::LOCKMODE);
        let toast = (*(*relation).rd_rel).reltoastrelid;
        let list = pgrx::PgList::<pg_sys::Oid>::from_pg(pg_sys::RelationGetIndexList(relation));
        let indexes = list.iter_oid().collect();
        pg_sys::relation_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        (indexes, (toast != pg_sys::InvalidOid).then_some(toast))
    }
}

/// Learns of the changes that other sessions have made to relations.
pub fn accept_changes() {
    // SAFETY: reads the invalidations that other sessions have sent.
    unsafe { pg_sys::AcceptInvalidationMessages() };
}

thread_local! {
    static CHANGED: Cell<Option<fn(pg_sys::Oid)>> = const { Cell::new(None) };
}

/// Has `changed` called for each relation of which this process learns that it has changed; `InvalidOid` stands for all
/// of them. Called once in a process.
pub fn on_change(changed: fn(pg_sys::Oid)) {
    CHANGED.set(Some(changed));
    // SAFETY: registers a callback of this library, which stays loaded.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::from(0)) };
}

#[pg_guard]
unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    if let Some(changed) = CHANGED.get() {
        changed(relation);
    }
}
