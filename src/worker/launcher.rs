//! The launcher: visits each database once after the server's start, then starts a worker wherever the
//! board asks for one. Connected to no database.

use std::time::Duration;

use pgrx::bgworkers::{
    BackgroundWorker, BackgroundWorkerBuilder, BackgroundWorkerStatus, BgWorkerStartTime, DynamicBackgroundWorker,
};
use pgrx::prelude::*;

use super::{LIBRARY, board, databases, signals};

/// How long a worker may take to appear on the board before another one is tried.
const START_TIMEOUT: Duration = Duration::from_secs(2);
/// How soon to look for a free slot again while databases wait for one.
const CROWDED_POLL: Duration = Duration::from_secs(1);
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// The launcher's entry point.
///
/// # Safety
/// Called by the postmaster in a new background worker.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn litellm_spend_launcher(_argument: pg_sys::Datum) {
    signals::attach();
    BackgroundWorker::connect_worker_to_spi_by_oid(None, None);
    board::attach_launcher();
    // SAFETY: reports this process to pg_stat_activity.
    unsafe { pg_sys::pgstat_report_appname(c"litellm_spend launcher".as_ptr()) };
    let mut to_visit = databases::connectable();
    let mut starved = false;
    let mut started = Vec::new();
    loop {
        forget_ended(&mut started);
        while to_visit.last().is_some_and(|database| board::request_fold(*database)) {
            to_visit.pop();
        }
        if to_visit.is_empty() && board::take_crowded() {
            to_visit = databases::connectable();
        }
        starved = start_due_workers(starved, &mut started);
        let due = board::next_due().map(|micros| Duration::from_micros(micros.unsigned_abs()).max(SHORTEST_WAIT));
        let crowded = (!to_visit.is_empty()).then_some(CROWDED_POLL);
        signals::wait(due.into_iter().chain(crowded).min());
    }
}

/// Starts the workers that are due; true if there was no process for one of them. That is logged once,
/// until there is one again.
fn start_due_workers(was_starved: bool, started: &mut Vec<DynamicBackgroundWorker>) -> bool {
    let due = board::take_due(i64::try_from(START_TIMEOUT.as_micros()).unwrap_or(i64::MAX));
    if due.is_empty() {
        return was_starved;
    }
    let existing = databases::connectable();
    let mut waiting = Vec::new();
    for database in due {
        if !existing.contains(&database) {
            board::forget(database);
        } else if let Some(worker) = start(database) {
            started.push(worker);
        } else {
            waiting.push(database);
        }
    }
    let starved = !waiting.is_empty();
    board::note_starved(&waiting);
    if starved && !was_starved {
        warning!(
            "litellm_spend finds no background worker process and waits for one: raise max_worker_processes if this lasts"
        );
    }
    starved
}

/// Forgets the workers that have ended. The postmaster wakes the launcher for each, once its process is
/// free for another.
fn forget_ended(started: &mut Vec<DynamicBackgroundWorker>) {
    let before = started.len();
    started.retain(|worker| !matches!(worker.pid(), Err(BackgroundWorkerStatus::Stopped)));
    if started.len() < before {
        board::note_free_process();
    }
}

/// `None` if no process is free.
fn start(database: pg_sys::Oid) -> Option<DynamicBackgroundWorker> {
    // SAFETY: set when the process starts.
    let launcher = unsafe { pg_sys::MyProcPid };
    BackgroundWorkerBuilder::new("litellm_spend worker")
        .set_library(LIBRARY)
        .set_function("litellm_spend_worker")
        .set_argument(Some(database.into()))
        .enable_spi_access()
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(None)
        .set_notify_pid(launcher)
        .load_dynamic()
        .ok()
}
