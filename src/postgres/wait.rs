//! Waits for the latch of this process.

use std::time::Duration;

use pgrx::prelude::*;

/// Waits until the latch is set or the timeout has passed (`None`: no timeout), and then handles interrupts, such as a
/// cancel or a shutdown. True if the latch was set.
pub fn for_latch(timeout: Option<Duration>) -> bool {
    let millis = timeout.map_or(-1, |timeout| i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX));
    let timeout_flag = if timeout.is_some() { pg_sys::WL_TIMEOUT } else { 0 };
    // SAFETY: this waits for the latch of this process.
    let woken = unsafe {
        let events = pg_sys::WL_LATCH_SET | pg_sys::WL_EXIT_ON_PM_DEATH | timeout_flag;
        let woken = pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, millis, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
        woken
    };
    pgrx::check_for_interrupts!();
    woken & pg_sys::WL_LATCH_SET as i32 != 0
}
