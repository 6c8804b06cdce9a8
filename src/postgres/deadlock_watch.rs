//! Makes a process check for deadlocks periodically while it waits for a lock. Postgres itself checks once per wait. If
//! another session completes the deadlock later, only that session would find it, and that session would fail. A fold
//! checks every few milliseconds, so the fold finds the deadlock first and fails instead (invariant 8).

use std::cell::Cell;
use std::ffi::c_int;

use pgrx::prelude::*;

/// The period of the checks. A check takes microseconds, and locks all lock tables of the server for that time.
const PERIOD_MILLIS: c_int = 5;
/// Any id from `USER_TIMEOUT` (PostgreSQL's utils/timeout.h) on asks Postgres for a free id.
const ANY_USER_TIMEOUT: c_int = 1_000;

unsafe extern "C-unwind" {
    // From PostgreSQL's utils/timeout.h. pgrx has no bindings for it.
    fn RegisterTimeout(id: c_int, handler: unsafe extern "C-unwind" fn()) -> c_int;
    fn enable_timeout_every(id: c_int, first: pg_sys::TimestampTz, period_millis: c_int);
    fn disable_timeout(id: c_int, keep_indicator: bool);
    // From PostgreSQL's storage/proc.h: the handler of `deadlock_timeout`. This function may run in a signal handler;
    // the binding of pgrx may not.
    fn CheckDeadLockAlert();
}

thread_local! {
    static TIMEOUT: Cell<Option<c_int>> = const { Cell::new(None) };
}

/// While this value lives, the process checks for deadlocks periodically in each wait for a lock.
pub struct DeadlockWatch(c_int);

/// Starts the periodic checks. They stop when the returned value is dropped.
pub fn watch() -> DeadlockWatch {
    let id = TIMEOUT.get().unwrap_or_else(|| {
        // SAFETY: the handler is Postgres's own, and it may run in a signal handler. It is registered once per process.
        let id = unsafe { RegisterTimeout(ANY_USER_TIMEOUT, CheckDeadLockAlert) };
        TIMEOUT.set(Some(id));
        id
    });
    // SAFETY: the timeout is registered.
    unsafe {
        let first = pg_sys::GetCurrentTimestamp() + i64::from(PERIOD_MILLIS) * 1_000;
        enable_timeout_every(id, first, PERIOD_MILLIS);
    }
    DeadlockWatch(id)
}

impl Drop for DeadlockWatch {
    fn drop(&mut self) {
        // SAFETY: the timeout is registered, and the call raises no error.
        unsafe { disable_timeout(self.0, false) };
    }
}
