//! When a fold may run: not inside a transaction that staged something itself, and not while the
//! extension is being dropped.

use pgrx::prelude::*;

use super::ledger::Ledger;
use super::relation;
use crate::error::{Error, Result};
use crate::staging;

/// A transaction's own id is never in progress in its own snapshot, so rows that it staged after the
/// fold would be taken for consumed: `fold()` must be a transaction of its own (invariant 1).
pub fn refuse_in_a_transaction() -> Result<()> {
    let refuse = |message: &str| {
        Err(Error::refused(
            PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            message,
            "Call it as a statement of its own, at READ COMMITTED, outside BEGIN, functions that write and DO blocks.",
        ))
    };
    // SAFETY: reads this session's transaction state.
    unsafe {
        if pg_sys::IsTransactionBlock() || pg_sys::GetCurrentTransactionNestLevel() > 1 {
            return refuse("litellm_spend.fold() cannot run inside a transaction block");
        }
        if pg_sys::GetTopTransactionIdIfAny() != pg_sys::InvalidTransactionId {
            return refuse("litellm_spend.fold() cannot run in a transaction that has written something");
        }
        if pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 {
            return refuse("litellm_spend.fold() cannot run at REPEATABLE READ or SERIALIZABLE");
        }
    }
    Ok(())
}

/// Locks the extension's own tables for a caller who may wait for nobody.
pub fn lock_own_tables() -> Result<()> {
    if installed_and_unlocked() == Some(true) {
        return Ok(());
    }
    Err(Error::refused(
        PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
        "the tables of litellm_spend are locked exclusively",
        "Another session drops, alters or truncates them; try again when it is done.",
    ))
}

/// Takes the locks that a fold needs on the extension's own tables without waiting: `None` if the
/// extension is not installed, `Some(false)` if somebody (a DROP EXTENSION, say) holds one of them. All
/// of them are taken before anything else, so that a fold and a DROP cannot wait for each other.
pub fn installed_and_unlocked() -> Option<bool> {
    let tables = own_tables()?;
    if !tables.iter().all(|table| relation::lock_without_waiting(*table, pg_sys::RowExclusiveLock)) {
        return Some(false);
    }
    // A drop that committed while a lock was being granted is seen only now.
    (own_tables()? == tables).then_some(true)
}

fn own_tables() -> Option<Vec<pg_sys::Oid>> {
    const STATE: [&std::ffi::CStr; 6] =
        [c"fold_cursor", c"rotation", c"ledger_rotation", c"rejected", c"counted_days", c"new_entities"];
    let segments = (0..staging::SEGMENTS).map(staging::segment_oid);
    STATE.into_iter().map(relation::own).chain(Ledger::tables()).chain(segments).collect()
}
