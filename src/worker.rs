//! The processes that fold on their own: a launcher, which starts with the server, and one worker for each database in
//! which something has been staged. A worker leaves soon after its database is idle, so it costs nothing and blocks no
//! DROP DATABASE (invariant 11).

use std::time::Duration;

use pgrx::bgworkers::{BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::prelude::*;

use crate::postgres::session;

pub mod board;
mod database;
mod launcher;
mod next;
mod reports;
pub mod wake;

const LIBRARY: &str = "litellm_spend";
const LAUNCHER_RESTART: Duration = Duration::from_secs(1);

/// Registers shared memory and the launcher if the server is preloading the library.
pub fn register() {
    if !session::is_preloading() || session::is_binary_upgrade() {
        return;
    }
    board::reserve();
    BackgroundWorkerBuilder::new("litellm_spend launcher")
        .set_library(LIBRARY)
        .set_function("litellm_spend_launcher")
        .enable_spi_access()
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(Some(LAUNCHER_RESTART))
        .load();
}

/// Asks for a worker for this database, as a commit of staged records does. Where no worker can run, it returns false
/// and warns what to add.
#[pg_extern(volatile, parallel_unsafe, schema = "litellm_spend")]
fn start_worker() -> bool {
    if board::is_available() {
        crate::worker::wake::at_commit();
        return true;
    }
    ereport!(
        PgLogLevel::WARNING,
        PgSqlErrorCode::ERRCODE_WARNING,
        "litellm_spend is not in shared_preload_libraries: records are staged, but no worker folds them",
        "Add litellm_spend to shared_preload_libraries and restart the server; until then CALL litellm_spend.fold_all()."
    );
    false
}
