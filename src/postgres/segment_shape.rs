//! Checks whether a segment has the shape that `sql/staging.sql` creates. A row is written directly only to such a
//! table. The heap functions for system catalogues support no other shape, and would crash or store stray memory.
//!
//! The check reads the relcache entries of the segment and its indexes. Postgres renews these entries when the table
//! changes. The check is a few dozen comparisons in memory, so no result is kept that could become outdated.

use pgrx::{PgTupleDesc, pg_sys};

/// The types of the columns xid, origin, staged_at, seq and payload. Each type occurs once, so it identifies its
/// column.
pub const COLUMNS: [pg_sys::Oid; 5] =
    [pg_sys::XID8OID, pg_sys::INT8OID, pg_sys::TIMESTAMPTZOID, pg_sys::INT4OID, pg_sys::JSONBOID];

/// Whether a row with values for `COLUMNS` may be inserted without a statement.
///
/// # Safety
/// `relation` is open, and CatalogOpenIndexes has opened its indexes as `indexes`.
pub unsafe fn is_known(relation: pg_sys::Relation, indexes: pg_sys::CatalogIndexState) -> bool {
    // SAFETY: the caller keeps the contract above.
    unsafe { is_plain_heap(relation) && has_known_columns((*relation).rd_att) && has_plain_indexes(indexes) }
}

/// Whether an insert touches only the heap and its indexes.
unsafe fn is_plain_heap(relation: pg_sys::Relation) -> bool {
    // SAFETY: these are fields of an open relation. A pointer that the relation does not use is null.
    unsafe {
        let class = &*(*relation).rd_rel;
        let triggers = (*relation).trigdesc.as_ref();
        class.relkind == pg_sys::RELKIND_RELATION as std::ffi::c_char
            && class.relam == pg_sys::HEAP_TABLE_AM_OID
            && class.relpersistence == pg_sys::RELPERSISTENCE_PERMANENT as std::ffi::c_char
            && !class.relispartition
            && !class.relrowsecurity
            && (*relation).rd_rules.is_null()
            && !triggers.is_some_and(fires_on_insert)
    }
}

fn fires_on_insert(triggers: &pg_sys::TriggerDesc) -> bool {
    triggers.trig_insert_before_row
        || triggers.trig_insert_after_row
        || triggers.trig_insert_instead_row
        || triggers.trig_insert_before_statement
        || triggers.trig_insert_after_statement
        || triggers.trig_insert_new_table
}

unsafe fn has_known_columns(descriptor: pg_sys::TupleDesc) -> bool {
    // SAFETY: this is the descriptor of an open relation.
    let (columns, checks) = unsafe {
        let checks = (*descriptor).constr.as_ref().map_or(0, |constraints| constraints.num_check);
        (PgTupleDesc::from_pg_unchecked(descriptor), checks)
    };
    checks == 0
        && columns.len() == COLUMNS.len()
        && columns.iter().zip(COLUMNS).all(|(column, of)| {
            column.atttypid == of && !column.attisdropped && column.attgenerated == 0 && column.attidentity == 0
        })
}

/// Whether each index is a valid btree of plain columns that checks nothing at the end of the transaction.
unsafe fn has_plain_indexes(indexes: pg_sys::CatalogIndexState) -> bool {
    // SAFETY: both arrays have one element for each index.
    unsafe {
        (0..usize::try_from((*indexes).ri_NumIndices).unwrap_or(0)).all(|at| {
            let relation = *(*indexes).ri_IndexRelationDescs.add(at);
            let entries = &**(*indexes).ri_IndexRelationInfo.add(at);
            let index = &*(*relation).rd_index;
            (*(*relation).rd_rel).relam == pg_sys::BTREE_AM_OID
                && index.indisvalid
                && index.indisready
                && index.indislive
                && index.indimmediate
                && entries.ii_Expressions.is_null()
                && entries.ii_Predicate.is_null()
                && entries.ii_ExclusionOps.is_null()
        })
    }
}
