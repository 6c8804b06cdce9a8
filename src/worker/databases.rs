//! The databases of the cluster, read from the shared catalogue: the launcher belongs to none of them.

use pgrx::prelude::*;

use super::transaction;

/// Oids of the databases that accept connections.
pub fn connectable() -> Vec<pg_sys::Oid> {
    transaction::run(|| Ok(scan())).unwrap_or_default()
}

fn scan() -> Vec<pg_sys::Oid> {
    let mut databases = Vec::new();
    // SAFETY: a catalogue scan within a transaction, as the autovacuum launcher does; each tuple of
    // pg_database begins with FormData_pg_database.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let scan = pg_sys::table_beginscan_catalog(relation, 0, std::ptr::null_mut());
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            let row: pg_sys::Form_pg_database = pg_sys::GETSTRUCT(tuple).cast();
            if (*row).datallowconn {
                databases.push((*row).oid);
            }
        }
        pg_sys::table_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
    }
    databases
}
