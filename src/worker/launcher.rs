//! The launcher. It visits each database once after the server's start, then starts a worker where the board asks for
//! one. It is connected to no database.

use std::time::{Duration, Instant};

use pgrx::bgworkers::{
    BackgroundWorker, BackgroundWorkerBuilder, BackgroundWorkerStatus, BgWorkerStartTime, DynamicBackgroundWorker,
};
use pgrx::prelude::*;

use super::{LIBRARY, board};
use crate::postgres::databases::{self, Listed};
use crate::postgres::{process, session, signals};

/// The wait before the next search for a free slot while databases wait for one.
const CROWDED_POLL: Duration = Duration::from_secs(1);
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// The waits between tries while no process is free for a worker. They double up to 16 s. The end of one of this
/// launcher's workers cuts the wait short. A process that another extension frees sends no signal.
const FIRST_STARVED_WAIT: Duration = Duration::from_secs(1);
const MOST_DOUBLINGS: u32 = 4;

/// The launcher's entry point.
///
/// # Safety
/// Only the postmaster may call this, in a new background worker.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn litellm_spend_launcher(_argument: pg_sys::Datum) {
    signals::attach();
    BackgroundWorker::connect_worker_to_spi_by_oid(None, None);
    board::attach_launcher();
    session::report_name(c"litellm_spend launcher");
    let mut launcher = Launcher { to_visit: databases::open(), started: Vec::new(), starved: None };
    loop {
        launcher.forget_ended();
        launcher.visit();
        launcher.start_due_workers();
        signals::wait(launcher.next_look());
    }
}

/// A worker and its database.
type Started = (pg_sys::Oid, DynamicBackgroundWorker);

struct Launcher {
    /// Databases that the launcher must visit and that have found no slot yet.
    to_visit: Vec<pg_sys::Oid>,
    /// Workers that have not ended.
    started: Vec<Started>,
    starved: Option<Starved>,
}

/// A wait for a free process.
struct Starved {
    retry_at: Instant,
    tries: u32,
}

impl Launcher {
    /// Forgets the workers that have ended. The postmaster wakes the launcher for each ended worker, once its process
    /// is free.
    fn forget_ended(&mut self) {
        let has_ended = |(_, worker): &Started| matches!(worker.pid(), Err(BackgroundWorkerStatus::Stopped));
        let (ended, running) = std::mem::take(&mut self.started).into_iter().partition::<Vec<_>, _>(has_ended);
        self.started = running;
        for (database, _) in &ended {
            // A worker leaves the board before its process ends, so the next worker may already be starting.
            if !self.started.iter().any(|(other, _)| other == database) {
                board::note_ended(*database);
            }
        }
        if let Some(starved) = &mut self.starved
            && !ended.is_empty()
        {
            (starved.retry_at, starved.tries) = (Instant::now(), 0);
        }
    }

    /// Visits databases until no slot is free. While a database waits for a slot, the board asks workers to end.
    fn visit(&mut self) {
        if self.to_visit.is_empty() && board::take_revisit() {
            self.to_visit = databases::open();
        }
        while self.to_visit.last().is_some_and(|database| board::visit(*database)) {
            self.to_visit.pop();
        }
        board::note_unvisited(self.to_visit.len());
    }

    fn start_due_workers(&mut self) {
        if self.starved.as_ref().is_some_and(|starved| Instant::now() < starved.retry_at) {
            return;
        }
        let due = board::due();
        let databases = if due.is_empty() { Some(Vec::new()) } else { databases::list() };
        let Some(databases) = databases else { return };
        let mut due = due.as_slice();
        while let [database, later @ ..] = due {
            match databases.iter().find(|listed| listed.oid == *database) {
                None => board::forget(*database),
                Some(Listed { is_open: false, .. }) => board::note_refused(*database),
                Some(_) => match start(*database) {
                    Some(worker) => self.started.push((*database, worker)),
                    None => break,
                },
            }
            due = later;
        }
        self.note_starved(due);
    }

    /// Notes which databases wait for a process. This is logged once, until a process is free again.
    fn note_starved(&mut self, waiting: &[pg_sys::Oid]) {
        if waiting.is_empty() {
            if self.starved.take().is_some() {
                board::want_turns(self.to_visit.len());
            }
            return;
        }
        if self.starved.is_none() {
            warning!(
                "litellm_spend finds no background worker process and waits for one: raise max_worker_processes if this lasts"
            );
        }
        board::note_starved(waiting);
        let tries = self.starved.as_ref().map_or(0, |starved| starved.tries);
        let wait = FIRST_STARVED_WAIT * (1 << tries.min(MOST_DOUBLINGS));
        self.starved = Some(Starved { retry_at: Instant::now() + wait, tries: tries + 1 });
    }

    /// How long until there may be work; `None` if nothing is due.
    fn next_look(&self) -> Option<Duration> {
        let due = match &self.starved {
            Some(starved) => Some(starved.retry_at.saturating_duration_since(Instant::now())),
            None => board::next_due(),
        };
        let visit = if self.to_visit.is_empty() { board::revisit_in() } else { Some(CROWDED_POLL) };
        due.into_iter().chain(visit).min().map(|wait| wait.max(SHORTEST_WAIT))
    }
}

/// Starts a worker for the database; `None` if no process is free.
fn start(database: pg_sys::Oid) -> Option<DynamicBackgroundWorker> {
    // This note comes first, because the worker may be on the board before this process continues.
    board::set_starting(database, true);
    let worker = BackgroundWorkerBuilder::new("litellm_spend worker")
        .set_library(LIBRARY)
        .set_function("litellm_spend_worker")
        .set_argument(Some(database.into()))
        .enable_spi_access()
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(None)
        .set_notify_pid(process::my_pid())
        .load_dynamic()
        .ok();
    if worker.is_none() {
        board::set_starting(database, false);
    }
    worker
}
