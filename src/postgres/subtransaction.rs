//! Runs a part of a transaction that may fail without ending the transaction.

use std::cell::Cell;

use pgrx::pg_sys;

use super::failure::{self, Failure};
use crate::error::Result;

/// Runs `body` in a subtransaction. If `body` fails, the subtransaction is rolled back with its locks, role and
/// settings.
pub fn attempt<R>(body: impl FnOnce() -> Result<R>) -> std::result::Result<R, Failure> {
    run(body, true)
}

/// Runs `body` in a subtransaction, and always rolls the subtransaction back.
pub fn rehearse<R>(body: impl FnOnce() -> Result<R>) -> std::result::Result<R, Failure> {
    run(body, false)
}

thread_local! {
    static BEGUN: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
}

/// The number of subtransactions that the running transaction has begun. From 64 on, kept or not, every snapshot of the
/// server has to read pg_subtrans.
pub fn begun() -> usize {
    let (transaction, begun) = BEGUN.get();
    if transaction == this_transaction() { begun } else { 0 }
}

/// The id of the running top-level transaction; 0 if the transaction has no id yet.
pub fn this_transaction() -> u64 {
    // SAFETY: this reads the id of the running transaction.
    unsafe { pg_sys::GetTopFullTransactionIdIfAny() }.value
}

fn run<R>(body: impl FnOnce() -> Result<R>, keep: bool) -> std::result::Result<R, Failure> {
    // SAFETY: PL/pgSQL makes the same calls for a block with EXCEPTION. The memory context and resource owner of the
    // surrounding transaction are restored below.
    let (context, owner, callbacks) = unsafe {
        let saved = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner, pg_sys::error_context_stack);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        // The subtransaction needs an id of its own. Without one, pgrx would treat it as read-only and read under the
        // snapshot of the surrounding statement. That snapshot may be older than the locks that are held now.
        pg_sys::GetCurrentTransactionId();
        BEGUN.set((this_transaction(), begun() + 1));
        pg_sys::MemoryContextSwitchTo(saved.0);
        saved
    };
    let outcome = failure::caught(|| failure::watched(body).map_err(Failure::from));
    // SAFETY: this ends the subtransaction that was begun above.
    unsafe {
        pg_sys::error_context_stack = callbacks;
        if keep && outcome.is_ok() {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::MemoryContextSwitchTo(context);
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
    }
    outcome
}
