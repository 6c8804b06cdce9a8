//! Puts records into a staging segment: one insert per call, in the caller's transaction. A recorder never waits. If a
//! rotation holds a segment, the recorder takes the next one (invariant 5).

use std::cell::Cell;

use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::postgres::own_tables::{Relation, SEGMENTS};
use crate::postgres::segment_insert::Common;
use crate::postgres::{plans, process, session};
use crate::worker::board;

pub mod adoption;
pub mod backlog;
pub mod batch;
pub mod cluster_id;
pub mod cursor;
pub mod postponed;
mod room;
pub mod rotation;
mod rows;
pub mod subscriber;
pub mod truncation;

const CURRENT_SEGMENT: &str = "SELECT segment FROM litellm_spend.rotation WHERE origin = $1";

thread_local! {
    /// The transaction in which this process last staged something, and the number of that transaction's next row.
    static NEXT_ROW: Cell<(u64, i32)> = const { Cell::new((0, 0)) };
}

/// Stages sanitised records in order. Each record is a jsonb container.
///
/// # Errors
/// This fails if one transaction stages more than 2^31 records, or if the segment refuses a record.
pub fn insert(records: &[&[u8]]) -> Result<()> {
    let first_row = reserve_rows(records.len())?;
    let common = Common { xid: NEXT_ROW.get().0, origin: cluster_id::this_database(), first_row };
    rows::insert(open_segment()?, &common, records)
}

/// Opens the segment for new rows and locks it against truncation until the transaction ends. It is the current
/// segment, or the next segment that nobody is truncating.
pub fn open_segment() -> Result<(usize, pg_sys::Oid)> {
    let current = current_segment()?;
    for step in 0..SEGMENTS {
        let segment = (current + step) % SEGMENTS;
        if let Some(oid) = Relation::Segment(segment).lock_without_waiting(pg_sys::RowExclusiveLock) {
            return Ok((segment, oid));
        }
    }
    Err(Error::refused(
        PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
        "every staging segment of litellm_spend is locked exclusively",
        "End the session that locks litellm_spend.staging_0 to staging_2; pg_locks shows it.",
    ))
}

/// The segment that rotations have chosen. Every segment would be correct, because folds read all of them. So the note
/// on the board is enough. It costs no query, and no search through old versions of a row while another session holds
/// an old snapshot.
fn current_segment() -> Result<usize> {
    let database = process::my_database();
    if let Some(segment) = board::segment(database) {
        return Ok(segment);
    }
    if Relation::Rotation.lock_without_waiting(pg_sys::AccessShareLock).is_none() {
        return Ok(0);
    }
    let segment = Spi::connect_mut(|client| -> Result<usize> {
        let row = plans::run(client, CURRENT_SEGMENT, &[cluster_id::this_database().into()])?;
        let segment: Option<i16> = if row.is_empty() { None } else { row.first().get(1)? };
        Ok(segment.map_or(0, |segment| usize::from(segment.unsigned_abs()) % SEGMENTS))
    })?;
    board::note_segment_read(database, segment);
    Ok(segment)
}

/// Numbers `count` rows of the running transaction and returns the first number.
pub fn reserve_rows(count: usize) -> Result<i32> {
    let xid = session::transaction_id();
    let (last_xid, next) = NEXT_ROW.get();
    let first = if last_xid == xid { next } else { 0 };
    let after = i32::try_from(count).ok().and_then(|count| first.checked_add(count)).ok_or_else(|| {
        Error::refused(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            "one transaction cannot stage more than 2147483647 spend records",
            "Split the records over several transactions.",
        )
    })?;
    NEXT_ROW.set((xid, after));
    Ok(first)
}
