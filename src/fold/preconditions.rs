//! When a fold may run: not inside a transaction that staged something itself, and not while the
//! extension is being dropped.

use pgrx::prelude::*;

use crate::error::{Error, Result};

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
