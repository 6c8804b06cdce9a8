//! Turns: where `max_worker_processes` gives fewer processes than there are databases with work, a worker
//! leaves for a database that waits (invariant 16).

use pgrx::pg_sys;

use super::{BOARD, now, set_latch_of};

/// Waits between starts for which no process is free: doubling up to 16 s. A worker of ours that ends
/// cuts the wait short; processes of others come free without a word.
const FIRST_RETRY_MICROS: i64 = 1_000_000;
const LONGEST_DOUBLING: u32 = 4;

/// Notes databases for which no process is free, and asks as many workers to end.
pub fn note_starved(databases: &[pg_sys::Oid]) {
    let now = now();
    let workers: Vec<i32> = {
        let mut board = BOARD.exclusive();
        board.turns_wanted = u32::try_from(databases.len()).unwrap_or(u32::MAX);
        for slot in board.slots.iter_mut().filter(|slot| databases.contains(&slot.database)) {
            if !slot.is_starved() {
                slot.starved_since = now;
            }
            slot.not_before = now + (FIRST_RETRY_MICROS << slot.starts_failed.min(LONGEST_DOUBLING));
            slot.starts_failed += 1;
        }
        board.slots.iter().map(|slot| slot.worker_pid).filter(|pid| *pid != 0).collect()
    };
    workers.into_iter().for_each(set_latch_of);
}

/// Notes that a process came free: whoever waits for one is due.
pub fn note_free_process() {
    for slot in BOARD.exclusive().slots.iter_mut().filter(|slot| slot.is_starved()) {
        slot.not_before = 0;
        slot.starts_failed = 0;
    }
}

/// Whether a worker is to end for a database that waits.
pub fn is_turn_wanted() -> bool {
    BOARD.share().turns_wanted > 0
}

/// Takes up such a request, if there is one; the caller's database is visited again `micros` from now,
/// or not for its own sake (`None`).
pub fn give_way(database: pg_sys::Oid, micros: Option<i64>) -> bool {
    {
        let mut board = BOARD.exclusive();
        if board.turns_wanted == 0 {
            return false;
        }
        board.turns_wanted -= 1;
    }
    if let Some(micros) = micros {
        super::visit_after(database, micros);
    }
    true
}
