//! When a caller's fold may run: not inside a transaction that may stage something itself.

use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::postgres::session;

/// Refuses `fold()` in a transaction that is not its own. A transaction's own id is never in progress in its own
/// snapshot, so rows that the transaction staged after the fold would be read as consumed. `fold()` must therefore be a
/// transaction of its own (invariant 1).
pub fn refuse_in_a_transaction() -> Result<()> {
    let refuse = |message: &str| {
        Err(Error::refused(
            PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            message,
            "Call it as a statement of its own, at READ COMMITTED, outside BEGIN, functions that write and DO blocks.",
        ))
    };
    if session::is_in_transaction_block() {
        return refuse("litellm_spend.fold() cannot run inside a transaction block");
    }
    if session::has_written() {
        return refuse("litellm_spend.fold() cannot run in a transaction that has written something");
    }
    if session::keeps_its_snapshot() {
        return refuse("litellm_spend.fold() cannot run at REPEATABLE READ or SERIALIZABLE");
    }
    Ok(())
}
