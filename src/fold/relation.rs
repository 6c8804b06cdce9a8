//! The extension's own tables as the server sees them below SQL: by oid, with locks that are never
//! waited for.

use std::ffi::CStr;

use pgrx::prelude::*;

/// The relation of this name in the schema `litellm_spend`, if there is one.
pub fn own(name: &CStr) -> Option<pg_sys::Oid> {
    // SAFETY: catalogue look-ups by name within a transaction; unknown names give InvalidOid.
    let oid = unsafe {
        let schema = pg_sys::get_namespace_oid(c"litellm_spend".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

/// Locks a relation until the transaction ends; false if that would mean to wait.
pub fn lock_without_waiting(oid: pg_sys::Oid, mode: u32) -> bool {
    // SAFETY: a lock request by oid, within a transaction.
    unsafe { pg_sys::ConditionalLockRelationOid(oid, mode as pg_sys::LOCKMODE) }
}

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
