//! Signal handlers and waiting, the same for launcher and worker: core's own handlers, so that a
//! statement in progress heeds pg_terminate_backend and a reload is seen.

use std::time::Duration;

use pgrx::prelude::*;

unsafe extern "C-unwind" {
    fn die(signal: i32);
    fn SignalHandlerForConfigReload(signal: i32);
}

/// Installs the handlers and lets signals in.
pub fn attach() {
    handle(pg_sys::SIGTERM, die);
    handle(pg_sys::SIGHUP, SignalHandlerForConfigReload);
    // SAFETY: called once at the start of a background worker.
    unsafe { pg_sys::BackgroundWorkerUnblockSignals() };
}

/// Has this process run `handler` at a signal.
pub fn handle(signal: u32, handler: unsafe extern "C-unwind" fn(i32)) {
    // SAFETY: the caller's handler is made for signals.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
        pg_sys::pqsignal(signal as i32, Some(handler));
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(signal as i32, Some(handler));
    }
}

/// Waits until the latch is set or the time is over (`None`: no end), then serves interrupts and
/// reloads. True if the latch was set.
pub fn wait(timeout: Option<Duration>) -> bool {
    let millis = timeout.map_or(-1, |timeout| i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX));
    let timeout_flag = if timeout.is_some() { pg_sys::WL_TIMEOUT } else { 0 };
    // SAFETY: waits on this process's own latch.
    let woken = unsafe {
        let events = pg_sys::WL_LATCH_SET | pg_sys::WL_EXIT_ON_PM_DEATH | timeout_flag;
        let woken = pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, millis, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
        woken
    };
    pgrx::check_for_interrupts!();
    // SAFETY: the flag is this process's own, set by the handler above.
    unsafe {
        if pg_sys::ConfigReloadPending != 0 {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
    woken & pg_sys::WL_LATCH_SET as i32 != 0
}
