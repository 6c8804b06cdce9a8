//! The board in shared memory on which sessions, the launcher and the workers leave each other notes:
//! which databases want a fold, which worker serves them and why its last fold failed.

use std::cell::Cell;

use pgrx::lwlock::PgLwLock;
use pgrx::prelude::*;
use pgrx::shmem::*;
use pgrx::{pg_shmem_init, pg_sys};

/// Databases with staged records that the board can hold at a time; a slot without work is given away.
const SLOTS: usize = 64;

mod slot;
mod turns;

use slot::Slot;
pub use turns::{give_way, is_turn_wanted, note_free_process, note_starved};

#[derive(Clone, Copy)]
struct Board {
    launcher_pid: i32,
    /// A database found no slot: the launcher is to visit all of them.
    crowded: bool,
    /// How many workers are to end, because databases wait for a process.
    turns_wanted: u32,
    slots: [Slot; SLOTS],
}

impl Default for Board {
    fn default() -> Self {
        Board { launcher_pid: 0, crowded: false, turns_wanted: 0, slots: [Slot::default(); SLOTS] }
    }
}

// SAFETY: plain data without pointers, the same in every process.
unsafe impl PGRXSharedMemory for Board {}

// SAFETY: the name is used for no other lock.
static BOARD: PgLwLock<Board> = unsafe { PgLwLock::new(c"litellm_spend_board") };

thread_local! {
    /// Set while the server preloads libraries and inherited by every process it forks.
    static RESERVED: Cell<bool> = const { Cell::new(false) };
}

/// Reserves the shared memory; called while the server preloads libraries.
pub fn reserve() {
    pg_shmem_init!(BOARD = Board::default());
    RESERVED.set(true);
}

/// Whether there is a board, which is to say whether the library was preloaded.
pub fn is_available() -> bool {
    RESERVED.get()
}

impl Board {
    fn slot(&mut self, database: pg_sys::Oid) -> Option<&mut Slot> {
        let known = self.slots.iter().position(|slot| slot.database == database);
        let at = known.or_else(|| self.slots.iter().position(Slot::is_free))?;
        let slot = &mut self.slots[at];
        if slot.database != database {
            *slot = Slot::of(database);
        }
        Some(slot)
    }
}

/// Notes that something has committed, and wakes the worker, or the launcher to start one. False if all
/// slots are taken.
pub fn request_fold(database: pg_sys::Oid) -> bool {
    note(database, |slot| !std::mem::replace(&mut slot.wanted, true))
}

/// Notes that a transaction with staged rows has been prepared.
pub fn note_prepared(database: pg_sys::Oid) {
    note(database, |slot| !std::mem::replace(&mut slot.prepared, true));
}

/// Changes a slot and wakes who looks after it, if `change` says that this is news: who was woken by the same
/// note before has yet to read it.
fn note(database: pg_sys::Oid, change: impl FnOnce(&mut Slot) -> bool) -> bool {
    let (pid, noted) = {
        let mut board = BOARD.exclusive();
        let launcher = board.launcher_pid;
        match board.slot(database) {
            Some(slot) => {
                if !change(slot) {
                    return true;
                }
                (if slot.worker_pid != 0 { slot.worker_pid } else { launcher }, true)
            }
            None => {
                board.crowded = true;
                (launcher, false)
            }
        }
    };
    set_latch_of(pid);
    noted
}

/// The staging segment that recorders of this database are to use, if there is a board and it is noted there.
pub fn segment(database: pg_sys::Oid) -> Option<usize> {
    if !is_available() {
        return None;
    }
    let board = BOARD.share();
    board.slots.iter().find(|slot| slot.database == database)?.segment.map(usize::from)
}

/// Notes which segment is in use, as a rotation has it.
pub fn note_segment(database: pg_sys::Oid, segment: usize) {
    change_segment(database, |_| u8::try_from(segment).ok());
}

/// Notes what a recorder has read, unless a rotation has noted something newer meanwhile.
pub fn note_segment_read(database: pg_sys::Oid, segment: usize) {
    change_segment(database, |noted| noted.or(u8::try_from(segment).ok()));
}

fn change_segment(database: pg_sys::Oid, change: impl FnOnce(Option<u8>) -> Option<u8>) {
    if is_available()
        && let Some(slot) = BOARD.exclusive().slot(database)
    {
        slot.segment = change(slot.segment);
    }
}

/// Reads and clears the note that a database found no slot.
pub fn take_crowded() -> bool {
    std::mem::take(&mut BOARD.exclusive().crowded)
}

/// Asks for a visit of a database `micros` from now, unless an earlier one is due.
pub fn visit_after(database: pg_sys::Oid, micros: i64) {
    let mut board = BOARD.exclusive();
    if let Some(slot) = board.slot(database) {
        let at = now().saturating_add(micros);
        slot.visit_at = if slot.visit_at == 0 { at } else { slot.visit_at.min(at) };
    }
}

/// Enters the launcher.
pub fn attach_launcher() {
    BOARD.exclusive().launcher_pid = my_pid();
}

/// Enters a worker as the one of its database; false if another one is there.
pub fn attach_worker(database: pg_sys::Oid) -> bool {
    let mut board = BOARD.exclusive();
    let Some(slot) = board.slot(database) else { return false };
    if slot.worker_pid != 0 && slot.worker_pid != my_pid() && is_alive(slot.worker_pid) {
        return false;
    }
    slot.worker_pid = my_pid();
    slot.visit_at = 0;
    slot.starved_since = 0;
    slot.starts_failed = 0;
    true
}

/// Takes a worker off the board as its process ends. One that was terminated or failed may have left
/// rows, so another is wanted.
pub fn detach_worker(database: pg_sys::Oid, finished: bool) {
    let launcher = {
        let mut board = BOARD.exclusive();
        let launcher = board.launcher_pid;
        match board.slot(database) {
            Some(slot) if slot.worker_pid == my_pid() => {
                slot.worker_pid = 0;
                slot.not_before = 0;
                slot.wanted |= !finished;
            }
            _ => return,
        }
        launcher
    };
    set_latch_of(launcher);
}

/// Reads and clears the note that something has committed.
pub fn take_wanted(database: pg_sys::Oid) -> bool {
    BOARD.exclusive().slot(database).is_some_and(|slot| std::mem::take(&mut slot.wanted))
}

/// Whether something has committed that the worker has not looked at.
pub fn is_wanted(database: pg_sys::Oid) -> bool {
    BOARD.exclusive().slot(database).is_some_and(|slot| slot.wanted)
}

/// Reads and clears the note that a transaction has been prepared.
pub fn take_prepared(database: pg_sys::Oid) -> bool {
    BOARD.exclusive().slot(database).is_some_and(|slot| std::mem::take(&mut slot.prepared))
}

/// Keeps why a fold failed, or why records are postponed, cut to a bound; `None` clears it.
pub fn set_error(database: pg_sys::Oid, error: Option<&str>, is_held: bool) {
    let mut board = BOARD.exclusive();
    let Some(slot) = board.slot(database) else { return };
    slot.set_error(error, now());
    slot.is_held = is_held;
}

/// Whether a worker has noted in the database that it folds, since the server's start.
pub fn is_fuse_armed(database: pg_sys::Oid) -> bool {
    BOARD.share().slots.iter().any(|slot| slot.database == database && slot.is_fuse_armed)
}

/// Notes that it has.
pub fn note_fuse_armed(database: pg_sys::Oid) {
    if let Some(slot) = BOARD.exclusive().slot(database) {
        slot.is_fuse_armed = true;
    }
}

/// Whether the fold is held.
pub fn is_held(database: pg_sys::Oid) -> bool {
    BOARD.share().slots.iter().any(|slot| slot.database == database && slot.is_held)
}

/// Databases that need a worker now, each put off by `retry_micros` in case none comes up. Those that
/// wait for a process come first, the longest wait before all, so that none is passed over.
pub fn take_due(retry_micros: i64) -> Vec<pg_sys::Oid> {
    let now = now();
    let mut board = BOARD.exclusive();
    let is_absent = |slot: &Slot| slot.worker_pid == 0 || !is_alive(slot.worker_pid);
    if !board.slots.iter().any(|slot| slot.is_due(now) && is_absent(slot)) {
        return Vec::new();
    }
    let mut due: Vec<_> = board
        .slots
        .iter_mut()
        .filter(|slot| (slot.is_due(now) || slot.is_starved()) && is_absent(slot))
        .map(|slot| {
            slot.worker_pid = 0;
            slot.not_before = now + retry_micros;
            (if slot.is_starved() { slot.starved_since } else { pg_sys::TimestampTz::MAX }, slot.database)
        })
        .collect();
    due.sort_by_key(|(since, _)| *since);
    due.into_iter().map(|(_, database)| database).collect()
}

/// Microseconds until a database may be due; `None` if nothing is to come.
pub fn next_due() -> Option<i64> {
    let now = now();
    let board = BOARD.share();
    board
        .slots
        .iter()
        .filter(|slot| slot.worker_pid == 0)
        .filter_map(|slot| slot.due_at())
        .map(|at| at.saturating_sub(now).max(0))
        .min()
}

/// Forgets a database that no longer exists.
pub fn forget(database: pg_sys::Oid) {
    let mut board = BOARD.exclusive();
    if let Some(slot) = board.slots.iter_mut().find(|slot| slot.database == database) {
        *slot = Slot::default();
    }
}

/// What `litellm_spend.worker_state()` shows.
pub struct State {
    pub preloaded: bool,
    pub worker: &'static str,
    pub pid: Option<i32>,
    pub last_error: Option<String>,
    pub last_error_at: Option<TimestampWithTimeZone>,
}

pub fn state_of_this_database() -> State {
    let mut state =
        State { preloaded: is_available(), worker: "absent", pid: None, last_error: None, last_error_at: None };
    if !state.preloaded {
        return state;
    }
    // SAFETY: the session's database is set before any function can run in it.
    let database = unsafe { pg_sys::MyDatabaseId };
    let (launcher, slot) = {
        let board = BOARD.share();
        (board.launcher_pid, board.slots.iter().find(|slot| slot.database == database).copied().unwrap_or_default())
    };
    // SAFETY: reads the state of the server.
    let no_launcher = !is_alive(launcher) && !unsafe { pg_sys::RecoveryInProgress() };
    let alive = slot.worker_pid != 0 && is_alive(slot.worker_pid);
    state.pid = alive.then_some(slot.worker_pid);
    state.last_error = slot.error();
    state.last_error_at = state.last_error.as_ref().and_then(|_| TimestampWithTimeZone::try_from(slot.error_at).ok());
    state.worker = match (alive, &state.last_error) {
        (false, _) if no_launcher || slot.is_starved() => "starved",
        _ if slot.is_held => "held",
        (true, _) => "running",
        (false, _) => "idle",
    };
    state
}

fn now() -> pg_sys::TimestampTz {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

fn my_pid() -> i32 {
    // SAFETY: set when the process starts.
    unsafe { pg_sys::MyProcPid }
}

fn is_alive(pid: i32) -> bool {
    // SAFETY: looks the process up in shared memory.
    !unsafe { pg_sys::BackendPidGetProc(pid) }.is_null()
}

fn set_latch_of(pid: i32) {
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
