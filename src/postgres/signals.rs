//! Signal handlers and waiting for launcher and worker. The handlers are Postgres' own. A running statement therefore
//! reacts to pg_terminate_backend, and a reload takes effect.

use std::time::Duration;

use pgrx::prelude::*;

use super::compat::handle_signal;
use super::wait;

unsafe extern "C-unwind" {
    fn die(signal: i32);
    fn SignalHandlerForConfigReload(signal: i32);
}

/// Installs the handlers and unblocks signals.
pub fn attach() {
    handle_signal(pg_sys::SIGTERM, die);
    handle_signal(pg_sys::SIGHUP, SignalHandlerForConfigReload);
    // SAFETY: this is called once, at the start of a background worker.
    unsafe { pg_sys::BackgroundWorkerUnblockSignals() };
}

/// Waits until the latch is set or the timeout has passed (`None`: no timeout), then handles interrupts and reloads.
/// True if the latch was set.
pub fn wait(timeout: Option<Duration>) -> bool {
    let is_woken = wait::for_latch(timeout);
    // SAFETY: the flag belongs to this process, and the handler above sets it.
    unsafe {
        if pg_sys::ConfigReloadPending != 0 {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
    is_woken
}
