//! Signal handlers and waiting, the same for launcher and worker: core's own handlers, so that a
//! statement in progress heeds pg_terminate_backend and a reload is seen.

use std::time::Duration;

use pgrx::prelude::*;

use super::compat::handle_signal;
use super::wait;

unsafe extern "C-unwind" {
    fn die(signal: i32);
    fn SignalHandlerForConfigReload(signal: i32);
}

/// Installs the handlers and lets signals in.
pub fn attach() {
    handle_signal(pg_sys::SIGTERM, die);
    handle_signal(pg_sys::SIGHUP, SignalHandlerForConfigReload);
    // SAFETY: called once at the start of a background worker.
    unsafe { pg_sys::BackgroundWorkerUnblockSignals() };
}

/// Waits until the latch is set or the time is over (`None`: no end), then serves interrupts and
/// reloads. True if the latch was set.
pub fn wait(timeout: Option<Duration>) -> bool {
    let is_woken = wait::for_latch(timeout);
    // SAFETY: the flag is this process's own, set by the handler above.
    unsafe {
        if pg_sys::ConfigReloadPending != 0 {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
    is_woken
}
