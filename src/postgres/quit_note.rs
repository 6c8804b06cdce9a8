//! Distinguishes a worker that crashed from a worker that the server ended. When a process of the server crashes, or
//! the server stops immediately, the postmaster sends SIGQUIT to all other processes. They must end without touching
//! shared memory, because Postgres creates it again. The note is therefore a file. It is in the folder that Postgres
//! keeps for such files and leaves out of backups. The file is empty if the worker was trying the row that the cursor
//! names. It has one byte if the worker was not.

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

/// The path of the note, relative to the data directory, where every process of the server runs. Never freed.
static PATH: AtomicPtr<c_char> = AtomicPtr::new(ptr::null_mut());
/// The last value that was passed to `tell`.
static ROW: AtomicU8 = AtomicU8::new(Row::NotNamed as u8);

/// The state of the row that the cursor names as tried alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Row {
    /// The cursor names no row.
    NotNamed,
    /// This process folds the row.
    Tried,
    /// The fold of the row has ended, and the cursor still names the row.
    Left,
}

/// How the last worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The worker left no note. If the cursor names a row, the worker crashed while it tried that row.
    Died,
    /// The server ended the worker while the worker tried the row.
    Ended,
    /// The server ended the worker while the worker tried no row.
    EndedAfterwards,
}

/// Makes this process leave a note when SIGQUIT ends it. Returns what the note of an earlier worker says.
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
    // An error is ignored. There may be no note, and a note that stays only delays the suspicion after the next crash.
    let _ = std::fs::remove_file(path());
}

fn path() -> String {
    format!("pg_stat_tmp/litellm_spend.{}.quit", process::my_database().to_u32())
}

/// Stores what the cursor names from now on. If the cursor names no row, the process leaves no note.
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
    // SAFETY: both functions may be called in a signal handler, and the path is never freed. If `creat` fails, it
    // returns
    // -1, and `write` refuses that.
    unsafe {
        let file = creat(path, 0o600);
        if ROW.load(Ordering::Relaxed) == Row::Left as u8 {
            write(file, c"-".as_ptr().cast(), 1);
        }
    }
}

/// The handler of SIGQUIT. It leaves the note and ends the process with status 2, as Postgres' own handler does.
unsafe extern "C-unwind" fn quit(_: i32) {
    leave();
    // SAFETY: `_exit` may be called in a signal handler.
    unsafe { _exit(2) }
}
