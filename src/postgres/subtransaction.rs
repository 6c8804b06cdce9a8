//! A part of a transaction that may fail by itself.

use std::cell::Cell;

use pgrx::pg_sys;

use super::failure::{self, Failure};
use crate::error::Result;

/// Runs `body` in a subtransaction; one that fails is rolled back, its locks, role and settings included.
pub fn attempt<R>(body: impl FnOnce() -> Result<R>) -> std::result::Result<R, Failure> {
    run(body, true)
}

/// The same, and rolls back what `body` did in any case.
pub fn rehearse<R>(body: impl FnOnce() -> Result<R>) -> std::result::Result<R, Failure> {
    run(body, false)
}

thread_local! {
    static BEGUN: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
}

/// How many of them the running transaction has begun. From 64 on, kept or not, every snapshot of the server has to
/// look in pg_subtrans.
pub fn begun() -> usize {
    let (transaction, begun) = BEGUN.get();
    if transaction == this_transaction() { begun } else { 0 }
}

/// The id of the transaction that runs now, whatever its subtransactions; 0 if it has none yet.
pub fn this_transaction() -> u64 {
    // SAFETY: reads this transaction's own id.
    unsafe { pg_sys::GetTopFullTransactionIdIfAny() }.value
}

fn run<R>(body: impl FnOnce() -> Result<R>, keep: bool) -> std::result::Result<R, Failure> {
    // SAFETY: as PL/pgSQL does for a block with EXCEPTION; memory context and resource owner are the
    // surrounding transaction's before and after.
    let (context, owner, callbacks) = unsafe {
        let saved = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner, pg_sys::error_context_stack);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        // Without an id of its own it would pass for one that only reads, and pgrx would read under the
        // snapshot of the surrounding statement, which may be older than the locks that are held by now.
        pg_sys::GetCurrentTransactionId();
        BEGUN.set((this_transaction(), begun() + 1));
        pg_sys::MemoryContextSwitchTo(saved.0);
        saved
    };
    let outcome = failure::caught(|| failure::watched(body).map_err(Failure::from));
    // SAFETY: ends the subtransaction begun above.
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
