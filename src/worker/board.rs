//! The board in shared memory. Sessions, the launcher and the workers leave each other notes on it: which databases
//! want a fold, and which worker serves them. `litellm_spend.max_databases` is how many databases have a slot at a
//! time. A database without a slot is not forgotten, because the launcher visits all databases.

use std::cell::Cell;
use std::time::Duration;

use pgrx::pg_sys;

use crate::postgres::process;
use memory::{Board, View};
use slot::{ErrorText, Slot};

mod dispatch;
mod memory;
mod slot;
mod state;
mod turns;

pub use dispatch::{
    attach_launcher, due, forget, next_due, note_ended, note_refused, note_unvisited, revisit_in, set_starting,
    take_revisit, visit,
};
pub use memory::{is_available, reserve};
pub use state::state_of_this_database;
pub use turns::{give_way, is_turn_wanted, note_starved, want_turns};

/// How soon the launcher visits all databases after a database has lost its slot and its later visit. This is as long
/// as the longest wait between two tries of a fold, so even a database whose fold is held is tried as often.
const REVISIT: Duration = litellm_spend_core::backoff::LONGEST;

thread_local! {
    /// The slot that this process found last. A session only asks for the slot of its own database.
    static LAST_FOUND: Cell<usize> = const { Cell::new(0) };
}

fn find(slots: &[Slot], database: pg_sys::Oid) -> Option<usize> {
    let last = LAST_FOUND.get();
    if slots.get(last).is_some_and(|slot| slot.database == database) {
        return Some(last);
    }
    let found = slots.iter().position(|slot| slot.database == database)?;
    LAST_FOUND.set(found);
    Some(found)
}

impl View<'_> {
    fn slot(&self, database: pg_sys::Oid) -> Option<&Slot> {
        find(self.slots, database).map(|at| &self.slots[at])
    }
}

impl Board<'_> {
    fn slot(&mut self, database: pg_sys::Oid) -> Option<&mut Slot> {
        find(self.slots, database).map(|at| &mut self.slots[at])
    }

    /// The database's slot, which it may take from another database that has nothing to fold. While databases wait for
    /// a slot, only the launcher takes one, so that databases get slots in turn.
    fn slot_in_turn(&mut self, database: pg_sys::Oid) -> Option<&mut Slot> {
        if self.notes.unvisited > 0 { self.slot(database) } else { self.slot_or_take(database) }
    }

    fn slot_or_take(&mut self, database: pg_sys::Oid) -> Option<&mut Slot> {
        let at = match find(self.slots, database) {
            Some(at) => at,
            None => {
                let takeable = self.slots.iter().enumerate().filter(|(_, slot)| slot.is_takeable());
                let (at, _) = takeable.max_by_key(|(_, slot)| slot.spareness())?;
                self.put(at, Slot::of(database));
                at
            }
        };
        Some(&mut self.slots[at])
    }

    /// Gives a slot to another database. If the previous database still had work to do, the launcher visits all
    /// databases.
    fn put(&mut self, at: usize, slot: Slot) {
        let lost = std::mem::replace(&mut self.slots[at], slot);
        self.errors[at] = ErrorText::default();
        if lost.is_wanted() && lost.failures == 0 {
            self.notes.crowded = true;
        } else if (lost.is_wanted() || lost.visit_at != 0) && self.notes.revisit_at == 0 {
            self.notes.revisit_at = process::after(REVISIT);
        }
    }
}

/// Changes the database's slot, if it has one.
fn change<R>(database: pg_sys::Oid, body: impl FnOnce(&mut Slot) -> R) -> Option<R> {
    memory::write(|board| board.slot(database).map(body))
}

/// Notes that something has committed, and wakes the worker, or the launcher if there is no worker.
pub fn request_fold(database: pg_sys::Oid) {
    note(database, |slot| !std::mem::replace(&mut slot.wanted, true));
}

/// Notes that a transaction with staged rows has been prepared.
pub fn note_prepared(database: pg_sys::Oid) {
    note(database, |slot| !std::mem::replace(&mut slot.prepared, true));
}

/// Changes a slot. Wakes the worker or the launcher if `change` returns true, which means that the note is new. A
/// process that was woken by the same note has not read it yet and needs no second signal.
fn note(database: pg_sys::Oid, change: impl FnOnce(&mut Slot) -> bool) {
    let pid = memory::write(|board| {
        let launcher = board.notes.launcher_pid;
        let Some(slot) = board.slot_in_turn(database) else {
            let is_news = !std::mem::replace(&mut board.notes.crowded, true);
            return if is_news { launcher } else { 0 };
        };
        match (change(slot), slot.worker_pid) {
            (false, _) => 0,
            (true, 0) => launcher,
            (true, worker) => worker,
        }
    });
    process::wake(pid);
}

/// The staging segment that recorders of this database use, if there is a board and the segment is noted on it.
pub fn segment(database: pg_sys::Oid) -> Option<usize> {
    if !is_available() {
        return None;
    }
    memory::read(|board| board.slot(database)?.segment).map(usize::from)
}

/// Notes the segment that a rotation has chosen.
pub fn note_segment(database: pg_sys::Oid, segment: usize) {
    change_segment(database, |_| u8::try_from(segment).ok());
}

/// Notes the segment that a recorder has read from the database, unless one is noted already, because a rotation may
/// have noted a newer one.
pub fn note_segment_read(database: pg_sys::Oid, segment: usize) {
    change_segment(database, |noted| noted.or(u8::try_from(segment).ok()));
}

fn change_segment(database: pg_sys::Oid, new: impl FnOnce(Option<u8>) -> Option<u8>) {
    if is_available() {
        change(database, |slot| slot.segment = new(slot.segment));
    }
}

/// Asks for a visit of a database `wait` from now, unless an earlier visit is due.
pub fn visit_after(database: pg_sys::Oid, wait: Duration) {
    change(database, |slot| slot.visit_after(wait));
}

/// Enters this process as the database's worker. Returns false if another worker is there or no slot is free.
pub fn attach_worker(database: pg_sys::Oid) -> bool {
    memory::write(|board| {
        let Some(slot) = board.slot_or_take(database) else {
            board.notes.crowded = true;
            return false;
        };
        if slot.worker_pid != process::my_pid() && process::is_alive(slot.worker_pid) {
            return false;
        }
        slot.worker_pid = process::my_pid();
        slot.is_starting = false;
        slot.not_before = 0;
        slot.visit_at = 0;
        slot.starved_since = 0;
        true
    })
}

/// Takes a worker off the board when its process ends. A worker that was terminated or failed may have left rows, so
/// another worker is wanted. While databases wait for a slot, the worker's own slot becomes free.
pub fn detach_worker(database: pg_sys::Oid, finished: bool) {
    let launcher = memory::write(|board| {
        let at = find(board.slots, database).filter(|at| board.slots[*at].worker_pid == process::my_pid())?;
        let slot = &mut board.slots[at];
        slot.worker_pid = 0;
        if !finished {
            slot.wanted = true;
            slot.put_off();
        }
        if board.notes.unvisited > 0 {
            board.put(at, Slot::default());
        }
        Some(board.notes.launcher_pid)
    });
    process::wake(launcher.unwrap_or(0));
}

/// Reads and clears the note that something has committed.
pub fn take_wanted(database: pg_sys::Oid) -> bool {
    change(database, |slot| std::mem::take(&mut slot.wanted)) == Some(true)
}

/// Whether something has committed or been prepared that the worker has not seen yet.
pub fn is_wanted(database: pg_sys::Oid) -> bool {
    memory::read(|board| board.slot(database).is_some_and(Slot::is_wanted))
}

/// Reads and clears the note that a transaction has been prepared.
pub fn take_prepared(database: pg_sys::Oid) -> bool {
    change(database, |slot| std::mem::take(&mut slot.prepared)) == Some(true)
}

/// Keeps the first bytes of the error with which a fold failed. Returns how long to wait before the next try, and
/// whether the error differs from the previous one.
pub fn note_failure(database: pg_sys::Oid, error: &str) -> (Duration, bool) {
    memory::write(|board| {
        let Some(at) = find(board.slots, database) else { return (Duration::ZERO, true) };
        let error = ErrorText::of(error);
        let is_news = error.text() != std::mem::replace(&mut board.errors[at], error).text();
        board.slots[at].is_held = true;
        (board.slots[at].put_off(), is_news)
    })
}

/// Keeps the reason why records are postponed, or `None` if none are. Other records go on. Returns true if the reason
/// has changed.
pub fn note_postponed(database: pg_sys::Oid, reason: Option<&str>) -> bool {
    memory::write(|board| {
        let Some(at) = find(board.slots, database) else { return false };
        if board.slots[at].is_held {
            return false;
        }
        let text = reason.map(ErrorText::of).unwrap_or_default();
        let is_news = board.errors[at].text() != text.text();
        if is_news {
            board.errors[at] = text;
        }
        is_news
    })
}

/// When the server last started, also after a crash.
pub fn made_at() -> pgrx::datum::TimestampWithTimeZone {
    let made_at = memory::read(|board| board.notes.made_at);
    pgrx::datum::TimestampWithTimeZone::try_from(made_at)
        .unwrap_or_else(|_| pgrx::datum::TimestampWithTimeZone::negative_infinity())
}

/// Whether a worker has noted in the database, since the server's start, that it folds.
pub fn is_fuse_armed(database: pg_sys::Oid) -> bool {
    memory::read(|board| board.slot(database).is_some_and(|slot| slot.is_fuse_armed))
}

/// Notes on the board that a worker has noted in the database that it folds.
pub fn note_fuse_armed(database: pg_sys::Oid) {
    change(database, |slot| slot.is_fuse_armed = true);
}

/// Whether the last try of a fold failed.
pub fn is_failing(database: pg_sys::Oid) -> bool {
    memory::read(|board| board.slot(database).is_some_and(|slot| slot.failures > 0))
}

/// Clears the notes of failures. Returns true if a failure held the fold.
pub fn note_success(database: pg_sys::Oid) -> bool {
    memory::write(|board| {
        let Some(at) = find(board.slots, database) else { return false };
        let slot = &mut board.slots[at];
        (slot.failures, slot.not_before, slot.visit_at) = (0, 0, 0);
        let was_held = std::mem::take(&mut slot.is_held);
        if was_held {
            board.errors[at] = ErrorText::default();
        }
        was_held
    })
}

/// Clears all notes except the worker and the request for one, because the extension is not installed.
pub fn clear(database: pg_sys::Oid) {
    memory::write(|board| {
        let Some(at) = find(board.slots, database) else { return };
        let Slot { wanted, worker_pid, .. } = board.slots[at];
        board.slots[at] = Slot { wanted, worker_pid, ..Slot::of(database) };
        board.errors[at] = ErrorText::default();
    });
}
