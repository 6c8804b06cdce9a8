//! The launcher: visits each database once after the server's start, then starts a worker wherever the
//! board asks for one. Connected to no database.

use std::time::Duration;

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::prelude::*;

use super::{LIBRARY, board, databases, signals};

/// How long a worker may take to appear on the board before another one is tried.
const START_TIMEOUT: Duration = Duration::from_secs(2);

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
    for database in databases::connectable() {
        board::request_fold(database);
    }
    loop {
        start_due_workers();
        signals::wait(
            board::next_due().map(|micros| Duration::from_micros(micros.unsigned_abs()).max(Duration::from_millis(10))),
        );
    }
}

fn start_due_workers() {
    let due = board::take_due(i64::try_from(START_TIMEOUT.as_micros()).unwrap_or(i64::MAX));
    if due.is_empty() {
        return;
    }
    let existing = databases::connectable();
    for database in due {
        if !existing.contains(&database) {
            board::forget(database);
        } else if start(database).is_err() {
            log!(
                "litellm_spend could not start a worker for the database with oid {database}: max_worker_processes is exhausted; it tries again"
            );
        }
    }
}

fn start(database: pg_sys::Oid) -> Result<(), ()> {
    let worker = BackgroundWorkerBuilder::new("litellm_spend worker")
        .set_library(LIBRARY)
        .set_function("litellm_spend_worker")
        .set_argument(Some(database.into()))
        .enable_spi_access()
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(None)
        .load_dynamic();
    worker.map(|_| ()).map_err(|_| ())
}
