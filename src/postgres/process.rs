//! Processes of the server and its clock, as launcher, workers and sessions ask for them.

use std::cell::Cell;
use std::time::Duration;

use pgrx::prelude::*;

/// The time in microseconds, as the server counts it.
pub fn now() -> pg_sys::TimestampTz {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

/// The time `wait` from now.
pub fn after(wait: Duration) -> pg_sys::TimestampTz {
    now().saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
}

/// How long it is until `at`; zero once that has passed.
pub fn until(at: pg_sys::TimestampTz) -> Duration {
    Duration::from_micros(u64::try_from(at.saturating_sub(now())).unwrap_or(0))
}

/// The database that this process is connected to.
pub fn my_database() -> pg_sys::Oid {
    // SAFETY: set before any function can run in a session.
    unsafe { pg_sys::MyDatabaseId }
}

pub fn my_pid() -> i32 {
    // SAFETY: set when the process starts.
    unsafe { pg_sys::MyProcPid }
}

pub fn is_alive(pid: i32) -> bool {
    // SAFETY: looks the process up in shared memory.
    pid != 0 && !unsafe { pg_sys::BackendPidGetProc(pid) }.is_null()
}

/// Wakes a process; 0 is none.
pub fn wake(pid: i32) {
    if pid == 0 {
        return;
    }
    // SAFETY: PGPROC entries are never freed; setting the latch of one that was reused wakes a process
    // once for nothing.
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

/// Has `run` called with the exit code as this process ends, while shared memory is still there. Called once in a process.
pub fn at_exit(run: fn(i32)) {
    AT_EXIT.set(Some(run));
    // SAFETY: registers a callback of this library, which stays loaded.
    unsafe { pg_sys::before_shmem_exit(Some(exit), pg_sys::Datum::from(0)) };
}

#[pg_guard]
unsafe extern "C-unwind" fn exit(exit_code: i32, _argument: pg_sys::Datum) {
    if let Some(run) = AT_EXIT.get() {
        run(exit_code);
    }
}
