//! Tells a worker that died from one that was ended. When any process of the server crashes, or the server is stopped
//! at once, the postmaster sends SIGQUIT to all others: these must end without touching shared memory, which is made
//! anew. So the note is an empty file, in the folder that Postgres keeps for such files and leaves out of backups.

use std::ffi::{CString, c_char, c_int};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use pgrx::pg_sys;

use super::{process, signals};

unsafe extern "C" {
    // POSIX functions that a signal handler may call.
    fn creat(path: *const c_char, mode: pg_sys::mode_t) -> c_int;
    fn _exit(status: c_int) -> !;
}

/// The path of the note, relative to the data directory, where every process of the server is. Never freed.
static PATH: AtomicPtr<c_char> = AtomicPtr::new(ptr::null_mut());
/// Whether it is of interest how this process ends.
static WANTED: AtomicBool = AtomicBool::new(false);

/// Has this process leave a note when it is ended by SIGQUIT; true if an earlier one has left its note.
pub fn prepare() -> bool {
    if PATH.load(Ordering::Relaxed).is_null()
        && let Ok(path) = CString::new(path())
    {
        PATH.store(path.into_raw(), Ordering::Relaxed);
        signals::handle(pg_sys::SIGQUIT, quit);
    }
    Path::new(&path()).exists()
}

/// Removes the note.
pub fn remove() {
    // Nothing to do where there is none. One that stays makes the row of the next crash suspect more slowly.
    let _ = std::fs::remove_file(path());
}

fn path() -> String {
    format!("pg_stat_tmp/litellm_spend.{}.quit", process::my_database().to_u32())
}

/// Says whether the note is wanted from now on.
pub fn want(wanted: bool) {
    WANTED.store(wanted, Ordering::Relaxed);
}

/// As core's own handler, which ends the process with status 2.
unsafe extern "C-unwind" fn quit(_: i32) {
    let path = PATH.load(Ordering::Relaxed);
    // SAFETY: both functions may be called in a signal handler; the path is never freed.
    unsafe {
        if WANTED.load(Ordering::Relaxed) && !path.is_null() {
            creat(path, 0o600);
        }
        _exit(2)
    }
}
