//! The databases of the cluster. They are read from the shared catalogue, because the launcher is connected to none of
//! them.

use pgrx::prelude::*;

use super::transaction;

/// `pg_database.datconnlimit` of a database whose DROP was interrupted. Such a database can only be dropped
/// (PostgreSQL: DATCONNLIMIT_INVALID_DB in pg_database.h, since August 2023).
const INVALID: i32 = -2;

/// A database that may need a worker.
pub struct Listed {
    pub oid: pg_sys::Oid,
    /// Whether the database accepts connections.
    pub is_open: bool,
}

/// All databases except interrupted drops; `None` if the catalogue could not be read.
pub fn list() -> Option<Vec<Listed>> {
    transaction::run(|| Ok(scan())).ok()
}

/// The databases that accept connections.
pub fn open() -> Vec<pg_sys::Oid> {
    list().into_iter().flatten().filter(|database| database.is_open).map(|database| database.oid).collect()
}

fn scan() -> Vec<Listed> {
    let mut databases = Vec::new();
    // SAFETY: this scans a catalogue within a transaction, as the autovacuum launcher does. Each tuple of pg_database
    // begins with FormData_pg_database.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let scan = pg_sys::table_beginscan_catalog(relation, 0, std::ptr::null_mut());
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            let row: pg_sys::Form_pg_database = pg_sys::GETSTRUCT(tuple).cast();
            if (*row).datconnlimit != INVALID {
                databases.push(Listed { oid: (*row).oid, is_open: (*row).datallowconn });
            }
        }
        pg_sys::table_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
    }
    databases
}
