//! Named points at which the tests kill a process. A crash between any two steps of a fold or a rotation must lose
//! nothing and count nothing twice (invariant 1). The points exist only in builds with the feature `failpoints`, which
//! a release cannot have. In other builds `reach` is empty.

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("the feature failpoints is for debug builds under test: leave it out of a release");

/// Marks a point. In a build for tests, `litellm_spend.failpoint` can make this process log the point and then kill
/// itself or wait there.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn reach(_name: &'static str) {}

#[cfg(feature = "failpoints")]
pub use armed::{define, reach};

#[cfg(feature = "failpoints")]
mod armed {
    use std::ffi::CString;

    use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
    use pgrx::prelude::*;

    static FAILPOINT: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
    const POLL_MILLIS: std::ffi::c_long = 1_000;

    /// Defines `litellm_spend.failpoint`: empty, `name:kill` or `name:pause`. Only the server's configuration files can
    /// set it, and only a superuser can see it.
    pub fn define() {
        GucRegistry::define_string_guc(
            c"litellm_spend.failpoint",
            c"Point at which a process kills itself or waits.",
            c"For tests: name:kill or name:pause.",
            &FAILPOINT,
            GucContext::Sighup,
            GucFlags::SUPERUSER_ONLY | GucFlags::NO_SHOW_ALL,
        );
    }

    pub fn reach(name: &'static str) {
        let setting = FAILPOINT.get().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default();
        match setting.split_once(':') {
            Some((point, "kill")) if point == name => {
                log!("litellm_spend failpoint {name} reached");
                kill_this_process();
            }
            Some((point, "pause")) if point == name => {
                log!("litellm_spend failpoint {name} reached");
                wait_for_the_end();
            }
            _ => {}
        }
    }

    /// Sends SIGKILL to this process, as the kernel's out-of-memory killer does: no handler and no clean-up runs.
    fn kill_this_process() {
        unsafe extern "C" {
            fn kill(pid: i32, signal: i32) -> i32;
        }
        // SAFETY: `kill` takes no pointer, and MyProcPid is the id of this process, so no other process gets the
        // signal.
        unsafe { kill(pg_sys::MyProcPid, pg_sys::SIGKILL as i32) };
    }

    /// Waits until a signal ends this process or the postmaster dies.
    fn wait_for_the_end() {
        loop {
            let events = pg_sys::WL_EXIT_ON_PM_DEATH | pg_sys::WL_TIMEOUT;
            // SAFETY: the flags do not include WL_LATCH_SET, so WaitLatch accepts a null latch.
            unsafe { pg_sys::WaitLatch(std::ptr::null_mut(), events as i32, POLL_MILLIS, pg_sys::PG_WAIT_EXTENSION) };
            pgrx::check_for_interrupts!();
        }
    }
}
