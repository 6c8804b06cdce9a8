//! Keeps the rows that a logical subscriber has recorded itself when its publisher truncates a segment. The publisher
//! truncates the rows that its own folds have consumed. The subscriber's segment of the same name may hold rows of the
//! subscriber. A BEFORE TRUNCATE trigger stages these rows again in another segment, within the transaction that
//! truncates (invariant 12). The trigger fires only in the apply worker (ENABLE REPLICA).
//!
//! The apply worker holds the segment exclusively, and a fold keeps its lock on every segment until it ends. So no fold
//! is between reading a row here and moving the cursor, and the cursor's row need not be locked.

use pgrx::prelude::*;

use super::{cluster_id, reserve_rows};
use crate::error::{Error, Result};
use crate::postgres::own_tables::{Relation, SEGMENTS};
use crate::postgres::{current_statement, relation};
use crate::worker::wake;

/// Condition for rows `s` of this database that its cursor `c` has not consumed.
const PENDING: &str = "s.origin = $1 AND (c.origin IS NULL
    OR NOT pg_catalog.pg_visible_in_snapshot(s.xid, c.folded_through)
       AND NOT coalesce(pg_catalog.pg_visible_in_snapshot(s.xid, c.open_window)
                        AND (s.xid, s.seq) <= (c.position_xid, c.position_seq), false))";

#[pg_schema]
pub mod litellm_spend {
    use pgrx::pg_sys::panic::ErrorReport;
    use pgrx::prelude::*;

    /// The BEFORE TRUNCATE trigger of the segments. It runs as the extension's owner, because the owner of a
    /// subscription may be unable to read staging.
    #[pg_trigger(sql = r#"
        CREATE FUNCTION litellm_spend.keep_own_rows() RETURNS trigger
            LANGUAGE c SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
            AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
    "#)]
    fn keep_own_rows<'a>(
        trigger: &'a PgTrigger<'a>,
    ) -> Result<Option<PgHeapTuple<'a, AllocatedByRust>>, std::convert::Infallible> {
        if let Err(error) = super::keep_rows_of(trigger) {
            // The macro would turn a returned error into a panic without its SQLSTATE.
            ErrorReport::from(error).report(PgLogLevel::ERROR);
        }
        Ok(None)
    }
}

fn keep_rows_of(trigger: &PgTrigger<'_>) -> Result<()> {
    let relation = trigger.relid().ok();
    let truncated = (0..SEGMENTS).find(|at| relation.is_some() && Relation::Segment(*at).oid() == relation);
    let fires_before_truncate = trigger.event().fired_before() && trigger.event().fired_by_truncate();
    let Some(truncated) = truncated.filter(|_| fires_before_truncate) else {
        return Err(Error::refused(
            PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
            "litellm_spend.keep_own_rows() is not a trigger function for this table or event",
            "Drop the trigger. The function works only for BEFORE TRUNCATE on the staging segments of litellm_spend.",
        ));
    };
    let staged = stage_anew(truncated)?;
    if staged > 0 {
        wake::at_commit();
    }
    Ok(())
}

/// Stages this database's pending rows of a segment again in another segment. Returns how many rows it staged.
fn stage_anew(truncated: usize) -> Result<usize> {
    let from = format!(
        "FROM litellm_spend.staging_{truncated} s LEFT JOIN litellm_spend.fold_cursor c USING (origin) WHERE {PENDING}"
    );
    let origin = pg_sys::Datum::from(cluster_id::this_database());
    if current_statement::run(&format!("SELECT {from} LIMIT 1"), &[(pg_sys::INT8OID, origin)])? == 0 {
        return Ok(0);
    }
    let into = lock_another_segment(truncated)?;
    let first_row = pg_sys::Datum::from(reserve_rows(0)?);
    let statement = format!(
        "INSERT INTO litellm_spend.staging_{into} (xid, origin, staged_at, seq, payload)
         SELECT pg_catalog.pg_current_xact_id(), $1, s.staged_at,
                $2 + (pg_catalog.row_number() OVER () - 1)::pg_catalog.int4, s.payload {from}"
    );
    let staged = current_statement::run(&statement, &[(pg_sys::INT8OID, origin), (pg_sys::INT4OID, first_row)])?;
    reserve_rows(staged)?;
    Ok(staged)
}

/// Locks a segment that the same transaction does not truncate, because a truncation would delete the rows after all.
fn lock_another_segment(truncated: usize) -> Result<usize> {
    let is_kept = |segment: &usize| {
        let is_truncated = |oid| relation::is_locked_by_me(oid, pg_sys::AccessExclusiveLock);
        Relation::Segment(*segment).oid().is_some_and(|oid| !is_truncated(oid))
    };
    let kept: Vec<usize> = (0..SEGMENTS).filter(|segment| *segment != truncated).filter(is_kept).collect();
    let Some(first) = kept.first() else {
        return Err(Error::held(
            "one transaction truncates every staging segment, and records of this database wait in them",
            "Run CALL litellm_spend.fold_all() if no worker runs here. The subscription then tries again.",
        ));
    };
    let is_free = |at: &&usize| Relation::Segment(**at).lock_without_waiting(pg_sys::RowExclusiveLock).is_some();
    match kept.iter().find(is_free) {
        Some(segment) => Ok(*segment),
        None => {
            // An apply worker may wait for a lock.
            Relation::Segment(*first).lock_and_wait(pg_sys::RowExclusiveLock)?;
            Ok(*first)
        }
    }
}
