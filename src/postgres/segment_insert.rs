//! Inserts rows into a staging segment. It writes heap and index directly, without a statement, as Postgres writes a
//! system catalogue.

use pgrx::prelude::*;

use super::{jsonb, segment_shape};

/// What the rows of a call have in common.
pub struct Common {
    /// The top-level transaction of the call.
    pub xid: u64,
    pub origin: i64,
    /// The number of the first row in that transaction.
    pub first_row: i32,
}

/// Inserts a row for each payload, which is a jsonb container. The caller holds a lock on the segment. If the segment
/// does not have the known shape, this inserts nothing and returns false.
pub fn insert(segment: pg_sys::Oid, common: &Common, payloads: &[&[u8]]) -> bool {
    // SAFETY: the caller has locked the table, so its shape cannot change after the check here. If a call raises an
    // error, the end of the transaction frees the resources, as everywhere in Postgres.
    unsafe {
        let relation = pg_sys::table_open(segment, pg_sys::NoLock as pg_sys::LOCKMODE);
        let indexes = pg_sys::CatalogOpenIndexes(relation);
        let is_known = segment_shape::is_known(relation, indexes);
        if is_known {
            for (row, payload) in (common.first_row..).zip(payloads) {
                // The tuples are inserted one by one. CatalogTuplesMultiInsertWithInfo would create a broken index
                // entry for a tuple that goes to TOAST, because its callers in Postgres never insert such a tuple.
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
/// `relation` is an open segment with the known shape.
unsafe fn form(relation: pg_sys::Relation, common: &Common, row: i32, payload: &[u8]) -> pg_sys::HeapTuple {
    // SAFETY: there is one value of the right type for each column of a segment, and the tuple copies the values.
    unsafe {
        let payload = jsonb::datum(payload);
        let now = pg_sys::GetCurrentTimestamp();
        // The arrays are mutable because the signature before Postgres 18 requires it.
        let mut values: [pg_sys::Datum; segment_shape::COLUMNS.len()] =
            [common.xid.into(), common.origin.into(), now.into(), row.into(), payload];
        let mut nulls = [false; segment_shape::COLUMNS.len()];
        let tuple = pg_sys::heap_form_tuple((*relation).rd_att, values.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::pfree(payload.cast_mut_ptr());
        tuple
    }
}
