//! A part of a transaction that may fail by itself.

use pgrx::pg_sys;

use crate::error::Result;
use crate::failure::{self, Failure};

/// Runs `body` in a subtransaction; one that fails is rolled back, its locks, role and settings included.
pub fn attempt<R>(body: impl FnOnce() -> Result<R>) -> std::result::Result<R, Failure> {
    run(body, true)
}

/// The same, and rolls back what `body` did in any case.
pub fn rehearse<R>(body: impl FnOnce() -> Result<R>) -> std::result::Result<R, Failure> {
    run(body, false)
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
