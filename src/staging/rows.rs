//! Writes the rows of a staging segment: heap and index directly, without a statement. Only the extension's
//! own tables are written so, which have no triggers and an index on plain columns, as a system catalogue has.

use pgrx::prelude::*;

use crate::jsonb;

/// Columns of a segment, in the order of `sql/staging.sql`: xid, origin, staged_at, seq, payload.
const COLUMNS: usize = 5;
/// Rows that reach the heap together, and so its pages and the WAL.
const TOGETHER: usize = 100;

/// What the rows of a call have in common.
pub struct Common {
    /// Their top-level transaction.
    pub xid: u64,
    pub origin: i64,
    /// The first row's number in that transaction.
    pub first_row: i32,
}

/// Inserts a row for each payload, a jsonb container. The caller holds a lock on the segment.
pub fn insert(segment: pg_sys::Oid, common: &Common, payloads: &[&[u8]]) {
    // SAFETY: a table that the caller has locked stays what it is. Whatever raises an error leaves its
    // resources to the end of the transaction, as everywhere in Postgres.
    unsafe {
        let relation = pg_sys::table_open(segment, pg_sys::NoLock as pg_sys::LOCKMODE);
        let indexes = pg_sys::CatalogOpenIndexes(relation);
        let rows = (common.first_row..).zip(payloads);
        if payloads.len() == 1 {
            for (row, payload) in rows {
                let tuple = form(relation, common, row, payload);
                pg_sys::CatalogTupleInsertWithInfo(relation, tuple, indexes);
                pg_sys::heap_freetuple(tuple);
            }
        } else {
            insert_many(relation, indexes, rows.map(|(row, payload)| form(relation, common, row, payload)));
        }
        pg_sys::CatalogCloseIndexes(indexes);
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
    }
}

/// # Safety
/// `relation` and `indexes` are open, and the tuples are of the relation's form.
unsafe fn insert_many(
    relation: pg_sys::Relation,
    indexes: pg_sys::CatalogIndexState,
    mut tuples: impl Iterator<Item = pg_sys::HeapTuple>,
) {
    // SAFETY: as the caller says; a slot owns the tuple that is stored in it.
    unsafe {
        let mut slots: Vec<*mut pg_sys::TupleTableSlot> = Vec::with_capacity(TOGETHER);
        loop {
            let mut filled = 0;
            for tuple in tuples.by_ref().take(TOGETHER) {
                if filled == slots.len() {
                    let ops = &raw const pg_sys::TTSOpsHeapTuple;
                    slots.push(pg_sys::MakeSingleTupleTableSlot((*relation).rd_att, ops));
                }
                pg_sys::ExecStoreHeapTuple(tuple, slots[filled], true);
                filled += 1;
            }
            if filled == 0 {
                break;
            }
            pg_sys::CatalogTuplesMultiInsertWithInfo(relation, slots.as_mut_ptr(), filled as i32, indexes);
        }
        for slot in slots {
            pg_sys::ExecDropSingleTupleTableSlot(slot);
        }
    }
}

/// # Safety
/// `relation` is an open segment.
unsafe fn form(relation: pg_sys::Relation, common: &Common, row: i32, payload: &[u8]) -> pg_sys::HeapTuple {
    // SAFETY: the values are those of a segment's columns; the tuple is a copy of them.
    unsafe {
        let payload = jsonb::datum(payload);
        let now = pg_sys::GetCurrentTimestamp();
        let values: [pg_sys::Datum; COLUMNS] =
            [common.xid.into(), common.origin.into(), now.into(), row.into(), payload];
        let tuple = pg_sys::heap_form_tuple((*relation).rd_att, values.as_ptr(), [false; COLUMNS].as_ptr());
        pg_sys::pfree(payload.cast_mut_ptr());
        tuple
    }
}
