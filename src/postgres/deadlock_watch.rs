//! Has a process look for a deadlock again and again while it waits for a lock. Postgres looks once a wait, so a
//! circle that another session closes later would be found by that session alone, which would die of it. A fold that
//! looks every few milliseconds finds the circle first, and is the one to fail (invariant 8).

use std::cell::Cell;
use std::ffi::c_int;

use pgrx::prelude::*;

/// How often. A look takes microseconds, and keeps all lock tables of the server for so long.
const PERIOD_MILLIS: c_int = 5;
/// Any id of PostgreSQL's utils/timeout.h from `USER_TIMEOUT` on stands for one that is free.
const ANY_USER_TIMEOUT: c_int = 1_000;

unsafe extern "C-unwind" {
    // PostgreSQL's utils/timeout.h, of which pgrx has no bindings.
    fn RegisterTimeout(id: c_int, handler: unsafe extern "C-unwind" fn()) -> c_int;
    fn enable_timeout_every(id: c_int, first: pg_sys::TimestampTz, period_millis: c_int);
    fn disable_timeout(id: c_int, keep_indicator: bool);
    // PostgreSQL's storage/proc.h: the handler of `deadlock_timeout`, which runs in a signal handler. Its binding in
    // pgrx may not.
    fn CheckDeadLockAlert();
}

thread_local! {
    static TIMEOUT: Cell<Option<c_int>> = const { Cell::new(None) };
}

/// While it lives, each wait of this process for a lock looks for deadlocks again and again.
pub struct DeadlockWatch(c_int);

/// Begins to watch.
pub fn watch() -> DeadlockWatch {
    let id = TIMEOUT.get().unwrap_or_else(|| {
        // SAFETY: the handler is Postgres's own and made for signals; registered once a process.
        let id = unsafe { RegisterTimeout(ANY_USER_TIMEOUT, CheckDeadLockAlert) };
        TIMEOUT.set(Some(id));
        id
    });
    // SAFETY: a timeout that is registered.
    unsafe {
        let first = pg_sys::GetCurrentTimestamp() + i64::from(PERIOD_MILLIS) * 1_000;
        enable_timeout_every(id, first, PERIOD_MILLIS);
    }
    DeadlockWatch(id)
}

impl Drop for DeadlockWatch {
    fn drop(&mut self) {
        // SAFETY: a timeout that is registered; raises no error.
        unsafe { disable_timeout(self.0, false) };
    }
}
