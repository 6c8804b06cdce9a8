//! What the server knows of a relation below SQL.

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
