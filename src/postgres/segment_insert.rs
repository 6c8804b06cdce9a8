//! Inserts rows into a staging segment: heap and index directly, without a statement, as Postgres writes a system
//! catalogue.

use pgrx::prelude::*;

use super::{jsonb, segment_shape};

/// What the rows of a call have in common.
pub struct Common {
    /// Their top-level transaction.
    pub xid: u64,
    pub origin: i64,
    /// The first row's number in that transaction.
    pub first_row: i32,
}

/// Inserts a row for each payload, a jsonb container. The caller holds a lock on the segment. False, and nothing is
/// inserted, if the segment is not of the known shape.
pub fn insert(segment: pg_sys::Oid, common: &Common, payloads: &[&[u8]]) -> bool {
    // SAFETY: a table that the caller has locked stays what it is, and its shape is looked at. Whatever raises an
    // error leaves its resources to the end of the transaction, as everywhere in Postgres.
    unsafe {
        let relation = pg_sys::table_open(segment, pg_sys::NoLock as pg_sys::LOCKMODE);
        let indexes = pg_sys::CatalogOpenIndexes(relation);
        let is_known = segment_shape::is_known(relation, indexes);
        if is_known {
            for (row, payload) in (common.first_row..).zip(payloads) {
                // Not many at once: CatalogTuplesMultiInsertWithInfo makes a broken index entry for a tuple that
                // goes to TOAST, because no catalogue of its callers has one.
                let tuple = form(relation, common, row, payload);
                pg_sys::CatalogTupleInsertWithInfo(relation, tuple, indexes);
                pg_sys::heap_freetuple(tuple);
            }
        }
        pg_sys::CatalogCloseIndexes(indexes);
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        is_known
    }
}

/// # Safety
/// `relation` is an open segment of the known shape.
unsafe fn form(relation: pg_sys::Relation, common: &Common, row: i32, payload: &[u8]) -> pg_sys::HeapTuple {
    // SAFETY: the values are those of a segment's columns; the tuple is a copy of them.
    unsafe {
        let payload = jsonb::datum(payload);
        let now = pg_sys::GetCurrentTimestamp();
        // Mutable, because before Postgres 18 the signature asks for that.
        let mut values: [pg_sys::Datum; segment_shape::COLUMNS.len()] =
            [common.xid.into(), common.origin.into(), now.into(), row.into(), payload];
        let mut nulls = [false; segment_shape::COLUMNS.len()];
        let tuple = pg_sys::heap_form_tuple((*relation).rd_att, values.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::pfree(payload.cast_mut_ptr());
        tuple
    }
}
