//! The server's processes and its clock, for launcher, workers and sessions.

use std::cell::Cell;
use std::time::Duration;

use pgrx::prelude::*;

/// The current time in microseconds, as the server counts it.
pub fn now() -> pg_sys::TimestampTz {
    // SAFETY: this reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

/// The time `wait` from now.
pub fn after(wait: Duration) -> pg_sys::TimestampTz {
    now().saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
}

/// The time until `at`; zero if `at` has passed.
pub fn until(at: pg_sys::TimestampTz) -> Duration {
    Duration::from_micros(u64::try_from(at.saturating_sub(now())).unwrap_or(0))
}

/// The database that this process is connected to.
pub fn my_database() -> pg_sys::Oid {
    // SAFETY: Postgres sets this variable before any function can run in a session.
    unsafe { pg_sys::MyDatabaseId }
}

pub fn my_pid() -> i32 {
    // SAFETY: Postgres sets this variable when the process starts.
    unsafe { pg_sys::MyProcPid }
}

pub fn is_alive(pid: i32) -> bool {
    // SAFETY: this looks up the process in shared memory.
    pid != 0 && !unsafe { pg_sys::BackendPidGetProc(pid) }.is_null()
}

/// Wakes a process. A pid of 0 means no process.
pub fn wake(pid: i32) {
    if pid == 0 {
        return;
    }
    // SAFETY: PGPROC entries are never freed. If the entry was reused, this wakes another process once without need.
    unsafe {
        let process = pg_sys::BackendPidGetProc(pid);
        if !process.is_null() {
            pg_sys::SetLatch(&raw mut (*process).procLatch);
        }
    }
}

thread_local! {
    static AT_EXIT: Cell<Option<fn(i32)>> = const { Cell::new(None) };
}

/// Registers `run`. It is called with the exit code when this process ends, while shared memory still exists. Called
/// once per process.
pub fn at_exit(run: fn(i32)) {
    AT_EXIT.set(Some(run));
    // SAFETY: this registers a callback of this library, and the library stays loaded.
    unsafe { pg_sys::before_shmem_exit(Some(exit), pg_sys::Datum::from(0)) };
}

#[pg_guard]
unsafe extern "C-unwind" fn exit(exit_code: i32, _argument: pg_sys::Datum) {
    if let Some(run) = AT_EXIT.get() {
        run(exit_code);
    }
}
