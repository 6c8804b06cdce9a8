//! The state of this database's worker on the board, which `litellm_spend.worker_state()` shows.

use std::borrow::Cow;

use pgrx::prelude::*;

use super::{find, memory};
use crate::postgres::{process, session};

pub struct State {
    pub preloaded: bool,
    pub worker: &'static str,
    pub pid: Option<i32>,
    pub last_error: Option<String>,
    pub last_error_at: Option<TimestampWithTimeZone>,
}

pub fn state_of_this_database() -> State {
    if !memory::is_available() {
        return State { preloaded: false, worker: "absent", pid: None, last_error: None, last_error_at: None };
    }
    let database = process::my_database();
    let (launcher, slot, error, is_crowded) = memory::read(|board| {
        let at = find(board.slots, database);
        let is_crowded = at.is_none() && (board.notes.crowded || board.notes.unvisited > 0);
        let (slot, error) = at.map(|at| (board.slots[at], board.errors[at])).unwrap_or_default();
        (board.notes.launcher_pid, slot, error, is_crowded)
    });
    let no_launcher = !process::is_alive(launcher) && !session::is_in_recovery();
    let is_alive = process::is_alive(slot.worker_pid);
    let last_error = error.text().map(Cow::into_owned);
    let worker = match is_alive {
        false if no_launcher || slot.is_starved() => "starved",
        false if is_crowded => "crowded",
        _ if slot.is_held => "held",
        true => "running",
        false => "idle",
    };
    State {
        preloaded: true,
        worker,
        pid: is_alive.then_some(slot.worker_pid),
        last_error_at: last_error.as_ref().and_then(|_| TimestampWithTimeZone::try_from(error.at).ok()),
        last_error,
    }
}
