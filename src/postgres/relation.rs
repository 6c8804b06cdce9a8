//! What the server knows about a relation, read below SQL.

use std::cell::Cell;
use std::ffi::CString;

use pgrx::prelude::*;

/// The size of a table's heap in bytes. A truncated table has 0 bytes.
pub fn heap_bytes(oid: pg_sys::Oid) -> u64 {
    // SAFETY: this opens and closes a relation that the fold has already locked.
    unsafe {
        let relation = pg_sys::relation_open(oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let blocks = pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM);
        pg_sys::relation_close(relation, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        u64::from(blocks) * u64::from(pg_sys::BLCKSZ)
    }
}

/// Locks a relation until the transaction ends, without waiting. True if the lock was granted.
pub fn try_lock(oid: pg_sys::Oid, mode: u32) -> bool {
    // SAFETY: this requests a lock by oid, within a transaction. The call also accepts invalidations of other sessions.
    unsafe { pg_sys::ConditionalLockRelationOid(oid, mode as pg_sys::LOCKMODE) }
}

/// Releases a lock under which nothing was read or written yet.
pub fn unlock(oid: pg_sys::Oid, mode: u32) {
    // SAFETY: this releases a lock of this transaction. If the transaction does not hold it, Postgres only warns.
    unsafe { pg_sys::UnlockRelationOid(oid, mode as pg_sys::LOCKMODE) };
}

/// Whether this transaction holds the lock.
pub fn is_locked_by_me(oid: pg_sys::Oid, mode: u32) -> bool {
    // SAFETY: this looks up a lock of this transaction by oid.
    unsafe { pg_sys::CheckRelationOidLockedByMe(oid, mode as pg_sys::LOCKMODE, false) }
}

/// The relations with these names in a schema; `InvalidOid` for each name without a relation.
pub fn named<'n>(schema: &str, names: impl Iterator<Item = &'n str>) -> Vec<pg_sys::Oid> {
    // No relation has a name with a NUL byte.
    let c_string = |text: &str| CString::new(text).unwrap_or_default();
    // SAFETY: these are catalogue look-ups by name within a transaction. An unknown name gives InvalidOid.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c_string(schema).as_ptr(), true);
        names.map(|name| pg_sys::get_relname_relid(c_string(name).as_ptr(), schema)).collect()
    }
}

/// The indexes and the TOAST table of a table. The caller holds a lock on the table.
pub fn parts(table: pg_sys::Oid) -> (Vec<pg_sys::Oid>, Option<pg_sys::Oid>) {
    // SAFETY: the table is locked already, so it can be opened without a lock. Only this call uses the list.
    unsafe {
        let relation = pg_sys::relation_open(table, pg_sys::NoLock as pg_sys::LOCKMODE);
        let toast = (*(*relation).rd_rel).reltoastrelid;
        let list = pgrx::PgList::<pg_sys::Oid>::from_pg(pg_sys::RelationGetIndexList(relation));
        let indexes = list.iter_oid().collect();
        pg_sys::relation_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        (indexes, (toast != pg_sys::InvalidOid).then_some(toast))
    }
}

/// Accepts the changes that other sessions have committed to relations.
pub fn accept_changes() {
    // SAFETY: this reads the invalidations that other sessions have sent.
    unsafe { pg_sys::AcceptInvalidationMessages() };
}

thread_local! {
    static CHANGED: Cell<Option<fn(pg_sys::Oid)>> = const { Cell::new(None) };
}

/// Registers `changed`. It is called for each relation when this process learns that the relation has changed.
/// `InvalidOid` stands for all relations. Called once per process.
pub fn on_change(changed: fn(pg_sys::Oid)) {
    CHANGED.set(Some(changed));
    // SAFETY: this registers a callback of this library, and the library stays loaded.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::from(0)) };
}

#[pg_guard]
unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    if let Some(changed) = CHANGED.get() {
        changed(relation);
    }
}
