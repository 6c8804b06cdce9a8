//! Tells a worker that died from one that was ended. When any process of the server crashes, or the server is stopped
//! at once, the postmaster sends SIGQUIT to all others: these must end without touching shared memory, which is made
//! anew. So the note is a file, in the folder that Postgres keeps for such files and leaves out of backups. It is
//! empty if the worker was trying the row that the cursor names, and has one byte if it was not.

use std::ffi::{CString, c_char, c_int};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use pgrx::pg_sys;

use super::{compat, process};

unsafe extern "C" {
    // POSIX functions that a signal handler may call.
    fn creat(path: *const c_char, mode: pg_sys::mode_t) -> c_int;
    fn write(file: c_int, bytes: *const u8, count: usize) -> isize;
    fn _exit(status: c_int) -> !;
}

/// The path of the note, relative to the data directory, where every process of the server is. Never freed.
static PATH: AtomicPtr<c_char> = AtomicPtr::new(ptr::null_mut());
/// What `tell` was told last.
static ROW: AtomicU8 = AtomicU8::new(Row::NotNamed as u8);

/// The row that the cursor names as tried alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Row {
    /// There is none.
    NotNamed,
    /// This process folds it.
    Tried,
    /// Its fold has ended, and the cursor still names it.
    Left,
}

/// How the last worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It left no note: if the cursor names a row, it died while it tried it.
    Died,
    /// It was ended while it tried the row.
    Ended,
    /// It was ended while it tried no row.
    EndedAfterwards,
}

/// Has this process leave a note when it is ended by SIGQUIT; tells of the note that an earlier one has left.
pub fn prepare() -> End {
    if PATH.load(Ordering::Relaxed).is_null()
        && let Ok(path) = CString::new(path())
    {
        PATH.store(path.into_raw(), Ordering::Relaxed);
        compat::handle_signal(pg_sys::SIGQUIT, quit);
    }
    match Path::new(&path()).metadata() {
        Err(_) => End::Died,
        Ok(note) if note.len() == 0 => End::Ended,
        Ok(_) => End::EndedAfterwards,
    }
}

/// Removes the note.
pub fn remove() {
    // Nothing to do where there is none. One that stays makes the row of the next crash suspect more slowly.
    let _ = std::fs::remove_file(path());
}

fn path() -> String {
    format!("pg_stat_tmp/litellm_spend.{}.quit", process::my_database().to_u32())
}

/// Says what the cursor names from now on: no note is left where it names no row.
pub fn tell(row: Row) {
    ROW.store(row as u8, Ordering::Relaxed);
}

/// Whether the cursor names a row.
pub fn is_named() -> bool {
    ROW.load(Ordering::Relaxed) != Row::NotNamed as u8
}

/// Leaves the note, if the cursor names a row. A signal handler may call it.
pub fn leave() {
    let path = PATH.load(Ordering::Relaxed);
    if !is_named() || path.is_null() {
        return;
    }
    // SAFETY: both functions may be called in a signal handler; the path is never freed. A file that could not be made
    // is -1, which `write` refuses.
    unsafe {
        let file = creat(path, 0o600);
        if ROW.load(Ordering::Relaxed) == Row::Left as u8 {
            write(file, c"-".as_ptr().cast(), 1);
        }
    }
}

/// As core's own handler, which ends the process with status 2.
unsafe extern "C-unwind" fn quit(_: i32) {
    leave();
    // SAFETY: may be called in a signal handler.
    unsafe { _exit(2) }
}
