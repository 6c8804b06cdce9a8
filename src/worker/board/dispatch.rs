//! The launcher's view of the board: which databases need a worker, and whether a start of a worker succeeded.

use std::time::Duration;

use pgrx::pg_sys;

use super::{ErrorText, Slot, find, memory};
use crate::postgres::process;

/// Enters the launcher on the board. A worker that an earlier launcher started either comes to the board by itself or
/// is started again.
pub fn attach_launcher() {
    memory::write(|board| {
        board.notes.launcher_pid = process::my_pid();
        board.slots.iter_mut().for_each(|slot| slot.is_starting = false);
    });
}

/// Asks for a visit of a database that may have no notes on the board. Returns false if it finds no slot.
pub fn visit(database: pg_sys::Oid) -> bool {
    memory::write(|board| {
        find(board.slots, database).is_some() || board.slot_or_take(database).map(|slot| slot.wanted = true).is_some()
    })
}

/// Notes how many databases the launcher needs slots for, and asks workers to end for them.
pub fn note_unvisited(databases: usize) {
    memory::write(|board| board.notes.unvisited = databases);
    if databases > 0 {
        super::want_turns(databases);
    }
}

/// How long until the launcher visits all databases, because one found no slot or lost its slot.
pub fn revisit_in() -> Option<Duration> {
    memory::read(|board| match board.notes.revisit_at {
        _ if board.notes.crowded => Some(Duration::ZERO),
        0 => None,
        at => Some(process::until(at)),
    })
}

/// Returns whether the visit to all databases is due now, and clears the note if it is.
pub fn take_revisit() -> bool {
    let is_due = revisit_in().is_some_and(|wait| wait.is_zero());
    if is_due {
        memory::write(|board| (board.notes.crowded, board.notes.revisit_at) = (false, 0));
    }
    is_due
}

/// The databases that need a worker now. Databases that wait for a process come first, the longest wait before the
/// others, so no database is passed over.
pub fn due() -> Vec<pg_sys::Oid> {
    let now = process::now();
    let mut due: Vec<_> = memory::read(|board| {
        let is_due = |slot: &&Slot| slot.due_at().is_some_and(|at| at <= now);
        board.slots.iter().filter(is_due).map(|slot| (since(slot), slot.database)).collect()
    });
    due.sort_unstable_by_key(|(since, _)| *since);
    due.into_iter().map(|(_, database)| database).collect()
}

fn since(slot: &Slot) -> pg_sys::TimestampTz {
    if slot.is_starved() { slot.starved_since } else { pg_sys::TimestampTz::MAX }
}

/// How long until a database may be due; `None` if no database is due later.
pub fn next_due() -> Option<Duration> {
    memory::read(|board| board.slots.iter().filter_map(Slot::due_at).min()).map(process::until)
}

/// Notes whether a worker is starting.
pub fn set_starting(database: pg_sys::Oid, is_starting: bool) {
    super::change(database, |slot| slot.is_starting = is_starting);
}

/// Notes that a worker has ended. A worker that never came to the board failed to start.
pub fn note_ended(database: pg_sys::Oid) {
    fail(
        database,
        "a worker of litellm_spend could not start in this database: the server log has the reason",
        |slot| std::mem::take(&mut slot.is_starting),
    );
}

/// Notes that no worker can start, because the database accepts no connections.
pub fn note_refused(database: pg_sys::Oid) {
    fail(database, "the database does not allow connections", |_| true);
}

fn fail(database: pg_sys::Oid, error: &str, has_failed: impl FnOnce(&mut Slot) -> bool) {
    memory::write(|board| {
        if let Some(at) = find(board.slots, database)
            && has_failed(&mut board.slots[at])
        {
            board.slots[at].put_off();
            board.slots[at].is_held = true;
            board.errors[at] = ErrorText::of(error);
        }
    });
}

/// Forgets a database that no longer exists.
pub fn forget(database: pg_sys::Oid) {
    memory::write(|board| {
        if let Some(at) = find(board.slots, database) {
            board.slots[at] = Slot::default();
            board.errors[at] = ErrorText::default();
        }
    });
}
