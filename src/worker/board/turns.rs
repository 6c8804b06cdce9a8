//! Turns: if there are fewer processes or fewer slots than databases with work, a worker leaves so that a waiting
//! database gets its place (invariant 16).

use pgrx::pg_sys;

use super::memory;
use crate::postgres::process;

/// Notes the databases that wait for a free process, and asks as many workers to end.
pub fn note_starved(databases: &[pg_sys::Oid]) {
    let now = process::now();
    memory::write(|board| {
        for slot in board.slots.iter_mut().filter(|slot| databases.contains(&slot.database) && !slot.is_starved()) {
            slot.starved_since = now;
        }
    });
    want_turns(databases.len());
}

/// Asks `turns` workers to end.
pub fn want_turns(turns: usize) {
    let workers: Vec<i32> = memory::write(|board| {
        board.notes.turns_wanted = u32::try_from(turns).unwrap_or(u32::MAX);
        let workers = board.slots.iter().map(|slot| slot.worker_pid);
        workers.filter(|pid| turns > 0 && *pid != 0).collect()
    });
    workers.into_iter().for_each(process::wake);
}

/// Whether a worker must end because a database waits.
pub fn is_turn_wanted() -> bool {
    memory::read(|board| board.notes.turns_wanted > 0)
}

/// Takes one request for a worker to end, if there is one. If this returns true, the caller must end.
pub fn give_way() -> bool {
    is_turn_wanted()
        && memory::write(|board| {
            let is_wanted = board.notes.turns_wanted > 0;
            board.notes.turns_wanted = board.notes.turns_wanted.saturating_sub(1);
            is_wanted
        })
}
